//! The file of the node's own note keys and its card: `node-keys` in the data directory, mode 0600. Made once, together with
//! the recovery words, which are in no file.
//!
//! Keys and card lie in one file so that a backup has both or neither.

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::node::identity::{IdentityFault, write};
use crate::node::random::random_bytes;
use crate::pgp::ServerKey;
use crate::stanza::Timestamp;
use crate::trust::{
    Card, KeyKind, NodeDomain, RecoveryWords, SignedCard, Signer, Verifier, accept, log_name, public_key, vote_name,
    witness_name,
};

/// What the node signs with besides its OpenPGP key.
pub(super) struct NodeKeys {
    /// Its card.
    pub(super) card: SignedCard,
    /// Signs its reach.
    pub(super) vote: Signer,
    /// For contact discovery, in its reach.
    pub(super) disco: Option<[u8; 32]>,
}

/// A seed for each key, in the order of the file. Wiped when dropped.
struct Seeds([Zeroizing<[u8; 32]>; 5]);

const NAMES: [&str; 5] = ["vote", "witness", "log", "label", "disco"];

/// Reads the keys; `None`: there are none yet.
pub(super) fn read(
    data_dir: &Path,
    domain: &NodeDomain,
    server_key: &ServerKey,
    now: Timestamp,
) -> Result<Option<NodeKeys>, IdentityFault> {
    let path = data_dir.join(FILE_NAME);
    let fault = |what| IdentityFault::NodeKeys(path.clone(), what);
    let Some((seeds, card)) = load(data_dir)? else { return Ok(None) };
    let keys =
        seeds.keys(domain, card.clone()).ok_or_else(|| fault("its keys are not those of its card".to_owned()))?;
    let certificate = server_key.ring().map_err(|error| fault(error.to_string()))?;
    // A clock that stands before the key was made is no fault of the file.
    let now = now.max(server_key.created());
    accept(&card, &certificate, None, [].into_iter(), now).map_err(|refusal| fault(refusal.to_string()))?;
    Ok(Some(keys))
}

/// The card alone; `None`: there is none yet. Whether it is good is not asked.
pub(super) fn card(data_dir: &Path) -> Result<Option<SignedCard>, IdentityFault> {
    Ok(load(data_dir)?.map(|(_, card)| card))
}

fn load(data_dir: &Path) -> Result<Option<(Seeds, SignedCard)>, IdentityFault> {
    let path = data_dir.join(FILE_NAME);
    let text = match fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(IdentityFault::File(path, error)),
    };
    let fault = || IdentityFault::NodeKeys(path.clone(), "it is not as this program writes it".to_owned());
    parse(&text).map(Some).ok_or_else(fault)
}

/// What is special about a card to be made.
pub(super) struct Next<'a> {
    /// The generation of the node's log.
    pub(super) generation: u32,
    /// The key of the words; it signs the card.
    pub(super) recovery: &'a Signer,
    /// See [`Card::cut`].
    pub(super) cut: Option<u64>,
}

/// Makes keys and card. The words are for paper; nobody has them but the caller.
pub(super) fn make(
    data_dir: &Path,
    domain: &NodeDomain,
    server_key: &ServerKey,
    now: Timestamp,
) -> Result<(NodeKeys, RecoveryWords), IdentityFault> {
    let words = RecoveryWords::from_random(random_bytes());
    let recovery = words.signer(domain);
    let recovery = recovery.map_err(|error| IdentityFault::NodeKeys(data_dir.join(FILE_NAME), error.to_string()))?;
    let next = Next { generation: 1, recovery: &recovery, cut: None };
    Ok((write_new(data_dir, domain, server_key, &next, now)?, words))
}

/// Makes other keys and another card in place of those that are there.
pub(super) fn succeed(
    data_dir: &Path,
    domain: &NodeDomain,
    server_key: &ServerKey,
    next: &Next<'_>,
    now: Timestamp,
) -> Result<Card, IdentityFault> {
    write_new(data_dir, domain, server_key, next, now).map(|keys| keys.card.card().clone())
}

fn write_new(
    data_dir: &Path,
    domain: &NodeDomain,
    server_key: &ServerKey,
    next: &Next<'_>,
    now: Timestamp,
) -> Result<NodeKeys, IdentityFault> {
    let path = data_dir.join(FILE_NAME);
    let fault = |what: &dyn std::fmt::Display| IdentityFault::NodeKeys(path.clone(), what.to_string());
    let seeds = Seeds(std::array::from_fn(|_| Zeroizing::new(random_bytes())));
    let certificate = server_key.ring().map_err(|error| fault(&error))?;
    let unsound = || fault(&"a key came out unsound; try again");
    let card = Card {
        domain: domain.clone(),
        kid: certificate.kid(),
        fingerprint: certificate.fingerprint(),
        vote: seeds.vote(domain).ok_or_else(unsound)?.public().clone(),
        witness: seeds.witness(domain).ok_or_else(unsound)?,
        log: seeds.log(&log_name(domain, next.generation)).ok_or_else(unsound)?.public().clone(),
        label: seeds.point(3).ok_or_else(unsound)?,
        recovery: *next.recovery.public().key(),
        cut: next.cut,
    };
    let openpgp = server_key.sign_detached(card.to_text().as_bytes(), now).map_err(|error| fault(&error))?;
    let (vote, log) = (seeds.vote(domain).ok_or_else(unsound)?, seeds.log(card.log.name()).ok_or_else(unsound)?);
    let card = SignedCard::make(card, openpgp, &[&vote, &log, next.recovery], now);
    accept(&card, &certificate, None, [].into_iter(), now.max(server_key.created())).map_err(|error| fault(&error))?;
    let text = seeds.file(&card);
    write(data_dir, FILE_NAME, text.as_bytes()).map_err(|error| IdentityFault::File(path.clone(), error))?;
    seeds.keys(domain, card).ok_or_else(unsound)
}

fn parse(text: &str) -> Option<(Seeds, SignedCard)> {
    let (head, card) = text.split_once("\n\n")?;
    let mut lines = head.lines();
    if lines.next() != Some(HEAD) {
        return None;
    }
    let mut seeds = Seeds(std::array::from_fn(|_| Zeroizing::new([0; 32])));
    for (name, seed) in NAMES.iter().zip(&mut seeds.0) {
        let value = lines.next()?.strip_prefix(name)?.strip_prefix(' ')?;
        let bytes = Zeroizing::new(STANDARD.decode(value).ok()?);
        seed.copy_from_slice(Some(bytes.as_slice()).filter(|bytes| bytes.len() == 32)?);
    }
    let card = SignedCard::parse(card.as_bytes()).ok()?;
    lines.next().is_none().then_some((seeds, card))
}

impl Seeds {
    fn file(&self, card: &SignedCard) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(4096));
        text.push_str(HEAD);
        text.push('\n');
        for (name, seed) in NAMES.iter().zip(&self.0) {
            let encoded = Zeroizing::new(STANDARD.encode(seed.as_slice()));
            for part in [name, " ", &encoded, "\n"] {
                text.push_str(part);
            }
        }
        text.push('\n');
        text.push_str(&card.to_text());
        text
    }

    fn keys(&self, domain: &NodeDomain, card: SignedCard) -> Option<NodeKeys> {
        let known = card.card();
        let (vote, log) = (self.vote(domain)?, self.log(known.log.name())?);
        let fits = known.domain == *domain
            && known.vote == *vote.public()
            && known.witness == self.witness(domain)?
            && known.log.key() == log.public().key()
            && known.label == self.point(3)?;
        fits.then(|| NodeKeys { card, vote, disco: self.point(4) })
    }

    fn vote(&self, domain: &NodeDomain) -> Option<Signer> {
        Signer::new(&vote_name(domain), KeyKind::Note, self.0.first()?).ok()
    }

    fn witness(&self, domain: &NodeDomain) -> Option<Verifier> {
        Some(Signer::new(&witness_name(domain), KeyKind::Cosigner, self.0.get(1)?).ok()?.public().clone())
    }

    fn log(&self, name: &str) -> Option<Signer> {
        Signer::new(name, KeyKind::Note, self.0.get(2)?).ok()
    }

    fn point(&self, place: usize) -> Option<[u8; 32]> {
        public_key(self.0.get(place)?, NAMES.get(place)?.as_bytes())
    }
}

const FILE_NAME: &str = "node-keys";
const HEAD: &str = "kontalk-node-keys-v1";
