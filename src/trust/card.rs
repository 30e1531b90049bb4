//! The card: which keys a node has. Exactly one text for one card, so its SHA-256 names it.
//!
//! A card is accepted ([`accept`]) when the OpenPGP key it names signed it, the note keys it names too, and the certificate is the
//! domain's. A card that replaces another is believed only if the recovery key of the one before signed it; else a person must
//! confirm. The OpenPGP signature is a line of the note like the others, of type 0xFF by C2SP signed-note: a stored
//! card is one file that tools can read.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::domain::NodeDomain;
use super::key::{KeyKind, Signer, Verifier, hex, is_sound_key};
use super::label::is_sound_point;
use super::note::{Note, NoteError, NoteSignature};
use super::recovery;
use crate::pgp::{Fingerprint, KeyFault, SIGNATURE_BYTES_MAX, UserRing};
use crate::stanza::Timestamp;

/// The name of a card: SHA-256 of its text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardId(pub [u8; 32]);

/// What a node says its keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Whose card it is.
    pub domain: NodeDomain,
    /// The OpenPGP primary key, by SHA-256 ([`UserRing::kid`]).
    pub kid: [u8; 32],
    /// The same by its usual fingerprint.
    pub fingerprint: Fingerprint,
    /// Signs the node's reach and its votes.
    pub vote: Verifier,
    /// Cosigns others' logs.
    pub witness: Verifier,
    /// Signs the node's own log; its name ends with the log's generation.
    pub log: Verifier,
    /// Makes the log's labels; a point of ristretto255.
    pub label: [u8; 32],
    /// Signs the next card when the OpenPGP key is lost; Ed25519.
    pub recovery: [u8; 32],
    /// After a theft: certifications of the former key from this place of its log on do not count.
    pub cut: Option<u64>,
}

/// A card with its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCard {
    card: Card,
    note: Note,
}

/// Why bytes are no card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardError {
    /// No signed note at all.
    Note(NoteError),
    /// The line that begins so is missing, in the wrong place, or does not hold what it should.
    Line(&'static str),
    /// Every line says something, but the text is not the one way to say it.
    NotCanonical,
    /// One key stands in two lines.
    KeyTwice,
}

/// Why a card is not accepted. The peer's fault in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardRefusal {
    /// The certificate is of another key than the card names.
    OtherKey,
    /// The certificate is not good for the domain.
    Certificate(KeyFault),
    /// The OpenPGP key did not sign the card.
    NotSignedByKey,
    /// The vote key did not sign it.
    NotSignedByVote,
    /// The log key did not sign it.
    NotSignedByLog,
    /// The recovery key is new and did not sign it.
    NotSignedByRecovery,
    /// A key of it is in another node's card.
    KeyOfAnother,
    /// The pinned card is another domain's.
    OtherDomain,
    /// The card was replaced by the pinned one before, or its key is older, or its log begins anew: a step back.
    StepBack,
}

/// How an acceptable card relates to the pinned one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Succession {
    /// No card was pinned.
    First,
    /// It is the pinned card.
    Same,
    /// Another, signed by the pinned recovery key: it takes the place of the pinned one.
    Recovered,
    /// Another, and nothing but a person's word can say that it is right.
    MustConfirm,
}

/// What is pinned of a node when another card of it comes.
#[derive(Clone, Copy, Debug)]
pub struct Pinned<'a> {
    /// Its card.
    pub card: &'a Card,
    /// When its OpenPGP key was made.
    pub key_created: Timestamp,
    /// Cards that were pinned before.
    pub former: &'a [CardId],
}

impl Card {
    /// Reads exactly the text that [`Card::to_text`] writes.
    pub fn parse(text: &str) -> Result<Card, CardError> {
        let mut lines = Lines(text);
        lines.head(HEAD)?;
        let domain = lines.value("domain").and_then(|v| NodeDomain::parse(v).ok()).ok_or(CardError::Line("domain"))?;
        let kid = lines.value("kid").and_then(unhex).ok_or(CardError::Line("kid"))?;
        let fingerprint = lines.value("fpr").and_then(|v| v.parse().ok()).ok_or(CardError::Line("fpr"))?;
        let vote = lines.key("vote", KeyKind::Note, |name| name == vote_name(&domain))?;
        let witness = lines.key("witness", KeyKind::Cosigner, |name| name == witness_name(&domain))?;
        let log = lines.key("log", KeyKind::Note, |name| log_generation(&domain, name).is_some())?;
        let label = lines.bytes("label", "ristretto255 ")?;
        let recovery = lines.bytes("recovery", "ed25519 ")?;
        let cut = lines.value("cut").map(|v| v.parse().map_err(|_| CardError::Line("cut"))).transpose()?;
        if !is_sound_point(&label) {
            return Err(CardError::Line("label"));
        }
        if !is_sound_key(&recovery) {
            return Err(CardError::Line("recovery"));
        }
        let card = Card { domain, kid, fingerprint, vote, witness, log, label, recovery, cut };
        if card.to_text() != text {
            return Err(CardError::NotCanonical);
        }
        let keys = card.keys();
        let twice = keys.iter().enumerate().any(|(at, key)| keys.iter().skip(at + 1).any(|other| other == key));
        if twice { Err(CardError::KeyTwice) } else { Ok(card) }
    }

    /// The one text of this card.
    pub fn to_text(&self) -> String {
        let fingerprint = hex(self.fingerprint.as_bytes());
        let mut text = format!(
            "{HEAD}\ndomain {}\nkid {}\nfpr {fingerprint}\nvote {}\nwitness {}\nlog {}\nlabel ristretto255 {}\nrecovery ed25519 {}\n",
            self.domain,
            hex(&self.kid),
            self.vote,
            self.witness,
            self.log,
            STANDARD.encode(self.label),
            STANDARD.encode(self.recovery),
        );
        if let Some(cut) = self.cut {
            text.push_str(&format!("cut {cut}\n"));
        }
        text
    }

    /// Its name.
    pub fn id(&self) -> CardId {
        CardId(Sha256::digest(self.to_text()).into())
    }

    /// The recovery key as one that signs notes.
    pub fn recovery_key(&self) -> Option<Verifier> {
        Verifier::new(&recovery::key_name(&self.domain), KeyKind::Note, self.recovery).ok()
    }

    /// Every key in it: OpenPGP, vote, witness, log, label, recovery. None of them may be in another node's card.
    pub fn keys(&self) -> [[u8; 32]; 6] {
        [self.kid, *self.vote.key(), *self.witness.key(), *self.log.key(), self.label, self.recovery]
    }

    /// The generation of its log.
    pub fn generation(&self) -> u32 {
        log_generation(&self.domain, self.log.name()).unwrap_or(0)
    }
}

impl SignedCard {
    /// Signs a card with the note keys it names. `openpgp` is a detached signature of the OpenPGP key over [`Card::to_text`].
    pub fn make(card: Card, openpgp: Vec<u8>, signers: &[&Signer], now: Timestamp) -> SignedCard {
        let line = NoteSignature { name: openpgp_name(&card.domain), id: openpgp_id(&card), bytes: openpgp };
        let note = Note::new(card.to_text()).with(line);
        let note = signers.iter().fold(note, |note, signer| note.signed(signer, now));
        SignedCard { card, note }
    }

    /// Reads a signed card; whether the signatures are good is [`accept`]'s to say.
    pub fn parse(bytes: &[u8]) -> Result<SignedCard, CardError> {
        let note = Note::parse(bytes).map_err(CardError::Note)?;
        let card = Card::parse(note.text())?;
        Ok(SignedCard { card, note })
    }

    /// What is signed.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Card and signatures as one file.
    pub fn to_text(&self) -> String {
        self.note.to_string()
    }

    /// Adds a signature, such as the recovery key's.
    #[must_use]
    pub fn signed(self, signer: &Signer, now: Timestamp) -> SignedCard {
        SignedCard { card: self.card, note: self.note.signed(signer, now) }
    }

    /// Has this note key signed it?
    pub fn is_signed_by(&self, key: &Verifier) -> bool {
        self.note.is_signed_by(key)
    }

    /// Has the OpenPGP key that it names signed it, and is that the key of this certificate? No matter when.
    pub fn is_signed_by_its_key(&self, certificate: &UserRing) -> bool {
        let named = certificate.kid() == self.card.kid && certificate.fingerprint() == self.card.fingerprint;
        let text = self.note.text().as_bytes();
        named && self.openpgp_signature().is_some_and(|bytes| certificate.signed_text(bytes, text).is_some())
    }

    fn openpgp_signature(&self) -> Option<&[u8]> {
        let name = openpgp_name(&self.card.domain);
        let line = self.note.lines_of(&name, openpgp_id(&self.card)).next()?;
        Some(line.bytes.as_slice()).filter(|bytes| bytes.len() <= SIGNATURE_BYTES_MAX)
    }
}

/// Judges a card with the certificate of its OpenPGP key. `others` are the cards of all other nodes known.
pub fn accept<'a>(
    signed: &SignedCard,
    certificate: &UserRing,
    pinned: Option<Pinned<'_>>,
    others: impl Iterator<Item = &'a Card>,
    now: Timestamp,
) -> Result<Succession, CardRefusal> {
    let card = &signed.card;
    if certificate.kid() != card.kid || certificate.fingerprint() != card.fingerprint {
        return Err(CardRefusal::OtherKey);
    }
    certificate.check_node(card.domain.as_str(), now).map_err(CardRefusal::Certificate)?;
    if !signed.is_signed_by_its_key(certificate) {
        return Err(CardRefusal::NotSignedByKey);
    }
    if !signed.note.is_signed_by(&card.vote) {
        return Err(CardRefusal::NotSignedByVote);
    }
    if !signed.note.is_signed_by(&card.log) {
        return Err(CardRefusal::NotSignedByLog);
    }
    let is_signed_by_recovery_of = |card: &Card| card.recovery_key().is_some_and(|key| signed.note.is_signed_by(&key));
    let recovery_is_known = pinned.is_some_and(|pinned| pinned.card.recovery == card.recovery);
    if !recovery_is_known && !is_signed_by_recovery_of(card) {
        return Err(CardRefusal::NotSignedByRecovery);
    }
    let own = card.keys();
    let mut others = others.filter(|other| other.domain != card.domain);
    if others.any(|other| other.keys().iter().any(|key| own.contains(key))) {
        return Err(CardRefusal::KeyOfAnother);
    }
    match pinned {
        None => Ok(Succession::First),
        Some(pinned) => succession(card, certificate.created(), pinned, is_signed_by_recovery_of(pinned.card)),
    }
}

fn succession(
    card: &Card,
    key_created: Timestamp,
    pinned: Pinned<'_>,
    by_recovery: bool,
) -> Result<Succession, CardRefusal> {
    if card.domain != pinned.card.domain {
        return Err(CardRefusal::OtherDomain);
    }
    if card == pinned.card {
        return Ok(Succession::Same);
    }
    // The recovery key signed each card it was new in: an old card shown again, perhaps by who stole its OpenPGP key, must not
    // count as the word of today.
    let older_key = card.kid != pinned.card.kid && key_created <= pinned.key_created;
    if pinned.former.contains(&card.id()) || older_key || card.generation() < pinned.card.generation() {
        return Err(CardRefusal::StepBack);
    }
    Ok(if by_recovery { Succession::Recovered } else { Succession::MustConfirm })
}

/// The lines of a text, taken one after the other.
pub(super) struct Lines<'a>(pub(super) &'a str);

impl<'a> Lines<'a> {
    pub(super) fn head(&mut self, head: &'static str) -> Result<(), CardError> {
        match self.0.split_once('\n') {
            Some((line, rest)) if line == head => {
                self.0 = rest;
                Ok(())
            }
            _ => Err(CardError::Line(head)),
        }
    }

    /// The value of the next line, if it has this key.
    pub(super) fn value(&mut self, key: &str) -> Option<&'a str> {
        let (line, rest) = self.0.split_once('\n')?;
        let value = line.strip_prefix(key)?.strip_prefix(' ')?;
        self.0 = rest;
        Some(value)
    }

    /// 32 bytes in base64 behind the name of what they are.
    pub(super) fn bytes(&mut self, key: &'static str, what: &str) -> Result<[u8; 32], CardError> {
        let value = self.value(key).and_then(|value| value.strip_prefix(what));
        value.and_then(bytes32).ok_or(CardError::Line(key))
    }

    fn key(
        &mut self,
        key: &'static str,
        kind: KeyKind,
        is_named: impl Fn(&str) -> bool,
    ) -> Result<Verifier, CardError> {
        let read = self.value(key).and_then(|value| Verifier::parse(value).ok());
        read.filter(|read| read.kind() == kind && is_named(read.name())).ok_or(CardError::Line(key))
    }
}

pub(super) fn bytes32(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// What a node's vote key is called.
pub fn vote_name(domain: &NodeDomain) -> String {
    format!("{domain}/vote")
}

/// What a node's witness key is called.
pub fn witness_name(domain: &NodeDomain) -> String {
    format!("{domain}/witness")
}

/// What the key of this generation of a node's log is called; from 1.
pub fn log_name(domain: &NodeDomain, generation: u32) -> String {
    format!("{domain}/kt/{generation}")
}

fn log_generation(domain: &NodeDomain, name: &str) -> Option<u32> {
    let generation = name.rsplit_once('/')?.1.parse().ok()?;
    (generation > 0 && log_name(domain, generation) == name).then_some(generation)
}

fn openpgp_name(domain: &NodeDomain) -> String {
    format!("{domain}/openpgp")
}

/// C2SP signed-note: the id of a signature of another kind, which its type names.
fn openpgp_id(card: &Card) -> [u8; 4] {
    let mut hash = Sha256::new();
    hash.update(openpgp_name(&card.domain));
    hash.update(b"\n\xFFkontalk-openpgp\n");
    hash.update(card.kid);
    let digest: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

impl fmt::Display for CardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for CardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for CardId {
    type Err = CardError;

    fn from_str(text: &str) -> Result<CardId, CardError> {
        unhex(text).map(CardId).filter(|id| id.to_string() == text).ok_or(CardError::Line("card"))
    }
}

impl fmt::Display for CardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CardError::Note(error) => error.fmt(f),
            CardError::Line(name) => write!(f, "its line \"{name}\" is missing, misplaced or malformed"),
            CardError::NotCanonical => f.write_str("its text is not the one that its content has"),
            CardError::KeyTwice => f.write_str("one key stands in it twice"),
        }
    }
}

impl std::error::Error for CardError {}

impl fmt::Display for CardRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CardRefusal::OtherKey => "the certificate is not of the key that the card names",
            CardRefusal::Certificate(fault) => return write!(f, "its certificate will not do: {fault}"),
            CardRefusal::NotSignedByKey => "its OpenPGP key did not sign the card",
            CardRefusal::NotSignedByVote => "its vote key did not sign the card",
            CardRefusal::NotSignedByLog => "its log key did not sign the card",
            CardRefusal::NotSignedByRecovery => "its recovery key is new and did not sign the card",
            CardRefusal::KeyOfAnother => "a key of it stands in another node's card",
            CardRefusal::OtherDomain => "it is another domain's",
            CardRefusal::StepBack => "it is an older card than the one that is known",
        })
    }
}

impl std::error::Error for CardRefusal {}

const HEAD: &str = "kontalk-card-v1";
