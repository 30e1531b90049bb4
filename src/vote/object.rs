//! What nodes hand each other: every kind of text with its signatures, as bytes of up to [`OBJECT_BYTES_MAX`].

use std::fmt;

use sha2::{Digest, Sha256};

use super::ballot::Ballot;
use super::card::ProvedCard;
use super::certificate::CertifiedEpoch;
use super::charter::{Charter, SignedConsent};
use super::epoch::{Decision, Epoch};
use super::evidence::{DoubleVote, EvidenceError};
use super::message::{Propose, Vote};
use super::proposal::SignedProposal;
use super::state::State;
use super::text::{self, CERTIFICATE_LINES_MAX, OBJECT_BYTES_MAX, TextError};
use crate::trust::{Introduction, Note, NoteSignature, SignedReach};

/// Which kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A decided epoch and its certificate, or the first with its founders' signatures.
    Epoch,
    /// The text of an epoch that is voted on.
    Value,
    /// The state that a first epoch names.
    State,
    /// A signed proposal.
    Proposal,
    /// A ballot with one signature line or more.
    Ballot,
    /// What the proposer of a round says.
    Propose,
    /// A vote with one signature line or more: many are a certificate.
    Vote,
    /// Evidence.
    Evidence,
    /// A card with its certificate.
    Card,
    /// A signature on the charter.
    Consent,
    /// The charter's words.
    Charter,
    /// Where a node is.
    Reach,
}

/// An object. It has the right form; signatures are judged where the keys are known, but for evidence, which proves itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// See [`ObjectKind::Epoch`].
    Epoch(CertifiedEpoch),
    /// See [`ObjectKind::Value`].
    Value(Decision),
    /// See [`ObjectKind::State`].
    State(State),
    /// See [`ObjectKind::Proposal`].
    Proposal(SignedProposal),
    /// See [`ObjectKind::Ballot`].
    Ballot(Ballot, Vec<NoteSignature>),
    /// See [`ObjectKind::Propose`].
    Propose(Propose, NoteSignature),
    /// See [`ObjectKind::Vote`].
    Vote(Vote, Vec<NoteSignature>),
    /// See [`ObjectKind::Evidence`].
    Evidence(DoubleVote),
    /// See [`ObjectKind::Card`].
    Card(Box<Introduction>),
    /// See [`ObjectKind::Consent`].
    Consent(SignedConsent),
    /// See [`ObjectKind::Charter`].
    Charter(Charter),
    /// See [`ObjectKind::Reach`].
    Reach(SignedReach),
}

/// Why bytes are no object of their kind. The peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectError {
    /// Its text or its note.
    Text(TextError),
    /// It proves nothing.
    Evidence(EvidenceError),
    /// A card or a reach that is none.
    Node,
}

impl From<TextError> for ObjectError {
    fn from(error: TextError) -> ObjectError {
        ObjectError::Text(error)
    }
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectError::Text(error) => error.fmt(f),
            ObjectError::Evidence(error) => error.fmt(f),
            ObjectError::Node => f.write_str("no card or address of a node"),
        }
    }
}

impl std::error::Error for ObjectError {}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [ObjectKind; 12] = [
        ObjectKind::Epoch,
        ObjectKind::Value,
        ObjectKind::State,
        ObjectKind::Proposal,
        ObjectKind::Ballot,
        ObjectKind::Propose,
        ObjectKind::Vote,
        ObjectKind::Evidence,
        ObjectKind::Card,
        ObjectKind::Consent,
        ObjectKind::Charter,
        ObjectKind::Reach,
    ];

    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ObjectKind::Epoch => "epoch",
            ObjectKind::Value => "value",
            ObjectKind::State => "state",
            ObjectKind::Proposal => "proposal",
            ObjectKind::Ballot => "ballot",
            ObjectKind::Propose => "propose",
            ObjectKind::Vote => "vote",
            ObjectKind::Evidence => "evidence",
            ObjectKind::Card => "card",
            ObjectKind::Consent => "consent",
            ObjectKind::Charter => "charter",
            ObjectKind::Reach => "reach",
        }
    }

    /// Reads the same.
    pub fn parse(text: &str) -> Option<ObjectKind> {
        ObjectKind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl Object {
    /// Reads an object of this kind, up to [`OBJECT_BYTES_MAX`].
    pub fn parse(kind: ObjectKind, bytes: &[u8]) -> Result<Object, ObjectError> {
        if bytes.len() > OBJECT_BYTES_MAX {
            return Err(TextError::TooLong.into());
        }
        let text = || std::str::from_utf8(bytes).map_err(|_| TextError::Line("text"));
        Ok(match kind {
            ObjectKind::Epoch => Object::Epoch(CertifiedEpoch::parse(bytes)?),
            ObjectKind::Value => match Epoch::parse(text()?)? {
                Epoch::Decision(decision) => Object::Value(decision),
                Epoch::Genesis(_) => return Err(TextError::Line("number").into()),
            },
            ObjectKind::State => Object::State(State::parse(text()?)?),
            ObjectKind::Proposal => Object::Proposal(SignedProposal::parse(bytes)?),
            ObjectKind::Ballot => {
                let note = note(bytes, CERTIFICATE_LINES_MAX)?;
                Object::Ballot(Ballot::parse(note.text())?, note.signatures().to_vec())
            }
            ObjectKind::Propose => {
                let note = note(bytes, 1)?;
                let line = note.signatures().first().cloned().ok_or(TextError::TooLong)?;
                Object::Propose(Propose::parse(note.text())?, line)
            }
            ObjectKind::Vote => {
                let note = note(bytes, CERTIFICATE_LINES_MAX)?;
                Object::Vote(Vote::parse(note.text())?, note.signatures().to_vec())
            }
            ObjectKind::Evidence => Object::Evidence(DoubleVote::parse(text()?).map_err(ObjectError::Evidence)?),
            ObjectKind::Card => {
                let introduction = Introduction::parse(text()?).map_err(|_| ObjectError::Node)?;
                Object::Card(Box::new(Introduction { reach: None, ..introduction }))
            }
            ObjectKind::Consent => Object::Consent(SignedConsent::parse(bytes)?),
            ObjectKind::Charter => Object::Charter(Charter::parse(bytes)?),
            ObjectKind::Reach => Object::Reach(SignedReach::parse(bytes).map_err(|_| ObjectError::Node)?),
        })
    }

    /// A card as an object; `None` if its certificate is not known.
    pub fn card(card: &ProvedCard) -> Option<Object> {
        let certificate = card.certificate()?.clone();
        Some(Object::Card(Box::new(Introduction { card: card.signed().clone(), certificate, reach: None })))
    }

    /// A proposal for a round, signed.
    pub fn propose(propose: Propose, vote: &crate::trust::Signer) -> Object {
        Object::Propose(propose, text::sign(vote, &propose.to_text()))
    }

    /// A vote, signed.
    pub fn vote(said: Vote, vote: &crate::trust::Signer) -> Object {
        Object::Vote(said, vec![text::sign(vote, &said.to_text())])
    }

    /// A ballot, signed.
    pub fn ballot(ballot: Ballot, vote: &crate::trust::Signer) -> Object {
        Object::Ballot(ballot, vec![text::sign(vote, &ballot.to_text())])
    }

    /// Its kind.
    pub fn kind(&self) -> ObjectKind {
        match self {
            Object::Epoch(_) => ObjectKind::Epoch,
            Object::Value(_) => ObjectKind::Value,
            Object::State(_) => ObjectKind::State,
            Object::Proposal(_) => ObjectKind::Proposal,
            Object::Ballot(..) => ObjectKind::Ballot,
            Object::Propose(..) => ObjectKind::Propose,
            Object::Vote(..) => ObjectKind::Vote,
            Object::Evidence(_) => ObjectKind::Evidence,
            Object::Card(_) => ObjectKind::Card,
            Object::Consent(_) => ObjectKind::Consent,
            Object::Charter(_) => ObjectKind::Charter,
            Object::Reach(_) => ObjectKind::Reach,
        }
    }

    /// What [`Object::parse`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Object::Epoch(epoch) => epoch.to_text(),
            Object::Value(decision) => decision.to_text(),
            Object::State(state) => state.to_text(),
            Object::Proposal(signed) => signed.to_text(),
            Object::Ballot(ballot, lines) => with_lines(ballot.to_text(), lines),
            Object::Propose(propose, line) => with_lines(propose.to_text(), std::slice::from_ref(line)),
            Object::Vote(vote, lines) => with_lines(vote.to_text(), lines),
            Object::Evidence(proof) => proof.to_text(),
            Object::Card(introduction) => introduction.to_string(),
            Object::Consent(consent) => consent.to_text(),
            Object::Charter(charter) => charter.text().to_owned(),
            Object::Reach(reach) => reach.to_text(),
        }
        .into_bytes()
    }

    /// By what it is known to have been seen: one for what is said, and for ballots, votes and proposals of a round one for each who
    /// said it, whatever the bytes of the signature. The first eight bytes of SHA-256 over kind, text and key.
    pub fn prefixes(&self) -> Vec<Prefix> {
        let of = |text: &str, signers: &[NoteSignature]| {
            let by = |line: &NoteSignature| prefix(self.kind(), text, &line.name);
            signers.iter().map(by).collect()
        };
        let alone = |text: &str| vec![prefix(self.kind(), text, "")];
        match self {
            Object::Ballot(ballot, lines) => of(&ballot.to_text(), lines),
            Object::Propose(propose, line) => of(&propose.to_text(), std::slice::from_ref(line)),
            Object::Vote(vote, lines) => of(&vote.to_text(), lines),
            Object::Epoch(epoch) => alone(&epoch.epoch().to_text()),
            Object::Proposal(signed) => alone(&signed.proposal().to_text()),
            Object::Card(introduction) => alone(&introduction.card.card().to_text()),
            Object::Consent(consent) => alone(&consent.consent().to_text()),
            Object::Reach(reach) => alone(&reach.reach().to_text()),
            Object::Value(decision) => alone(&decision.to_text()),
            Object::State(state) => alone(&state.to_text()),
            Object::Evidence(proof) => alone(&proof.to_text()),
            Object::Charter(charter) => alone(charter.text()),
        }
    }
}

/// The first bytes of an object's name, which do to compare what two nodes have.
pub type Prefix = [u8; 8];

fn prefix(kind: ObjectKind, text: &str, signer: &str) -> Prefix {
    let mut hash = Sha256::new();
    for part in [kind.as_str(), text, signer] {
        hash.update(part);
        hash.update([0]);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    [a, b, c, d, e, f, g, h]
}

fn note(bytes: &[u8], lines_max: usize) -> Result<Note, TextError> {
    Note::parse_within(bytes, OBJECT_BYTES_MAX, lines_max).map_err(TextError::Note)
}

fn with_lines(text: String, lines: &[NoteSignature]) -> String {
    lines.iter().cloned().fold(Note::new(text), Note::with).to_string()
}
