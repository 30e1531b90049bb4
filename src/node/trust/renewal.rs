//! A node's next keys, by the words on paper and while it is stopped: **rotated**, with the same OpenPGP key, or **recovered**, with a
//! new one, after the machine was lost or stolen. Either makes a new card that the recovery key signs: other nodes that know the former
//! card take it without asking their operators.
//!
//! What recovery does, on a data directory that may be a restored backup or be empty:
//! 1. All users' rings are certified by the new key, beside the former certification. Their apps still show the former one: it is accepted
//!    for the very key that is on record, until they have fetched the new one.
//! 2. The former key's certificate with its revocation (`0x20`) is kept, and given to whoever asks for it.
//! 3. New note keys and card, then the new server key, each file whole or not at all. After a power cut in between, the same again does it.
//!
//! After a theft the card has a `cut`: what the former key certified does not count at other nodes any more, since nobody can tell its
//! honest certifications from the thief's. Users log in at home once before they visit again.

use std::fmt;
use std::path::Path;

use super::keys::{self, Next};
use crate::jid::BareJid;
use crate::node::identity::{self, IdentityFault};
use crate::pgp::{Fingerprint, ServerKey, UserRing, judge_login};
use crate::stanza::Timestamp;
use crate::store::{OpenError, Store, StoreError};
use crate::trust::{Card, Introduction, NodeDomain, RecoveryWords, SignedCard, WordsError};

/// What is to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The note keys: vote, witness, log, label, discovery.
    Rotate,
    /// The OpenPGP key as well.
    Recover {
        /// The former key is in somebody else's hands.
        stolen: bool,
    },
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// The name of the new card.
    pub card: String,
    /// The fingerprint of the server key, new or not.
    pub fingerprint: String,
    /// How many users were certified by the new key.
    pub users: u64,
    /// And how many could not be: their keys are no longer good, and they must register again.
    pub not_certified: u64,
}

/// Why nothing was renewed.
#[derive(Debug)]
pub enum RenewalFault {
    /// The words are not such words.
    Words(WordsError),
    /// They are, and of another card.
    OtherWords,
    /// There is no card to go on from.
    NoCard,
    /// The card that was given cannot be read.
    Card(String),
    /// The card is of another domain.
    OtherDomain(NodeDomain),
    /// Rotation goes on with the server key that is there.
    Identity(IdentityFault),
    /// The data cannot be opened: a node runs on them, perhaps.
    Open(OpenError),
    /// The data are broken.
    Store(StoreError),
    /// The new key was not made.
    Key(String),
}

impl fmt::Display for RenewalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RenewalFault::Words(error) => error.fmt(f),
            RenewalFault::OtherWords => f.write_str("these are the recovery words of another card"),
            RenewalFault::NoCard => f.write_str(
                "there is no card in the data directory to go on from (remedy: --former-card FILE; the operator of any node that knows \
                 this one has it: kontalk-node trust show)",
            ),
            RenewalFault::Card(what) => write!(f, "the former card cannot be read: {what}"),
            RenewalFault::OtherDomain(domain) => write!(f, "the card is of {domain}"),
            RenewalFault::Identity(fault) => fault.fmt(f),
            RenewalFault::Open(error) => error.fmt(f),
            RenewalFault::Store(error) => error.fmt(f),
            RenewalFault::Key(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for RenewalFault {}

impl From<IdentityFault> for RenewalFault {
    fn from(fault: IdentityFault) -> RenewalFault {
        RenewalFault::Identity(fault)
    }
}

impl From<StoreError> for RenewalFault {
    fn from(error: StoreError) -> RenewalFault {
        RenewalFault::Store(error)
    }
}

/// Renews the keys of the data directory, on which no node may run. `former` is the former card, or a whole introduction, where the
/// directory has none. Takes the time of a signature for each user.
pub fn renew(
    data_dir: &Path,
    what: Renewal,
    words: &str,
    former: Option<&str>,
    now: Timestamp,
) -> Result<Renewed, RenewalFault> {
    let words = RecoveryWords::parse(words).map_err(RenewalFault::Words)?;
    let former = match former {
        Some(text) => read_card(text)?,
        None => keys::card(data_dir)?.ok_or(RenewalFault::NoCard)?,
    };
    let former = former.card();
    let recovery = words.signer(&former.domain).map_err(|error| RenewalFault::Key(error.to_string()))?;
    if *recovery.public().key() != former.recovery {
        return Err(RenewalFault::OtherWords);
    }
    // It also shuts out a node that starts meanwhile.
    let store = Store::open(&data_dir.join("store")).map_err(RenewalFault::Open)?;
    let old_key = match identity::read_server_key(data_dir) {
        Ok(key) if key.is_for(former.domain.as_str()) => Some(key),
        Ok(_) => return Err(RenewalFault::OtherDomain(former.domain.clone())),
        Err(IdentityFault::Absent(_)) if what != Renewal::Rotate => None,
        Err(fault) => return Err(fault.into()),
    };
    let generation = former.generation().saturating_add(1);
    let next = Next { generation, recovery: &recovery, cut: None };
    let renewed = match (what, old_key) {
        (Renewal::Rotate, Some(key)) => {
            let card = keys::succeed(data_dir, &former.domain, &key, &next, now)?;
            Renewed {
                card: card.id().to_string(),
                fingerprint: key.fingerprint().to_string(),
                users: 0,
                not_certified: 0,
            }
        }
        (Renewal::Rotate, None) => return Err(RenewalFault::NoCard),
        (Renewal::Recover { stolen }, old_key) => {
            let next = Next { cut: stolen.then_some(0), ..next };
            recover(data_dir, former, old_key.as_ref(), &next, &store, now)?
        }
    };
    store.close()?;
    Ok(renewed)
}

fn recover(
    data_dir: &Path,
    former: &Card,
    old_key: Option<&ServerKey>,
    next: &Next<'_>,
    store: &Store,
    now: Timestamp,
) -> Result<Renewed, RenewalFault> {
    // Other nodes want a key that is younger than the one it follows.
    let made = old_key.map_or(now, |key| now.max(key.created().plus(std::time::Duration::from_secs(1))));
    let key =
        ServerKey::generate(former.domain.as_str(), made).map_err(|error| RenewalFault::Key(error.to_string()))?;
    let (mut users, mut not_certified) = (0, 0);
    if let Some(old_key) = old_key {
        let revoked = old_key.revoked_ring(now).map_err(|error| RenewalFault::Key(error.to_string()))?;
        identity::keep_former(data_dir, &revoked)?;
        (users, not_certified) = certify_users(store, &former.domain, old_key, &key, now)?;
    }
    let card = keys::succeed(data_dir, &former.domain, &key, next, now.max(made))?;
    identity::replace(data_dir, &key)?;
    Ok(Renewed { card: card.id().to_string(), fingerprint: key.fingerprint().to_string(), users, not_certified })
}

/// All who are at home here and could log in by the former key's certification.
fn certify_users(
    store: &Store,
    domain: &NodeDomain,
    old_key: &ServerKey,
    key: &ServerKey,
    now: Timestamp,
) -> Result<(u64, u64), RenewalFault> {
    let accounts: Vec<_> = store.accounts().collect::<Result<_, _>>()?;
    let (mut users, mut not_certified, mut ticket) = (0, 0, None);
    for (address, account) in accounts {
        let Some(fingerprint) = account.fingerprint else { continue };
        if store.visit(&address)?.is_some() {
            continue;
        }
        let ring = store.ring(&fingerprint)?.and_then(|bytes| UserRing::parse(&bytes).ok());
        let certified = ring.and_then(|ring| certified(ring, &address, domain, (old_key, key), store, now));
        match certified {
            Some(ring) => {
                ticket = ticket.max(Some(store.save_login(&address, fingerprint, &ring.to_bytes())?));
                users += 1;
            }
            None => not_certified += 1,
        }
    }
    if let Some(ticket) = ticket {
        smol::block_on(store.commit(ticket))?;
    }
    Ok((users, not_certified))
}

fn certified(
    ring: UserRing,
    address: &BareJid,
    domain: &NodeDomain,
    (old_key, key): (&ServerKey, &ServerKey),
    store: &Store,
    now: Timestamp,
) -> Option<UserRing> {
    let named = domain.to_jid()?;
    judge_login(&ring, named.domainpart(), old_key, now, None, None).ok().filter(|judged| judged == address)?;
    let issuers: [Fingerprint; 2] = [old_key.fingerprint(), key.fingerprint()];
    let reset = store.reset(address, now).ok()?;
    key.certify_after_reset(&ring.without_foreign_certifications(&issuers), address, reset, now).ok()
}

/// A card alone, or an introduction with a card in it.
fn read_card(text: &str) -> Result<SignedCard, RenewalFault> {
    if let Ok(introduction) = Introduction::parse(text) {
        return Ok(introduction.card);
    }
    SignedCard::parse(text.as_bytes()).map_err(|error| RenewalFault::Card(error.to_string()))
}
