//! Evidence: what proves by its own bytes that a node broke the rules.
//!
//! A **double vote** is two votes of one key in one phase of one round for different values. Whoever has seen both can show it, and
//! nobody can make it but the holder of the key. Forks of logs are proved by other forms, which need the logs: they are not read yet.

use super::id::{EvidenceId, NetworkId};
use super::message::{Phase, Vote, nil_or, value_or_nil};
use super::text::{Lines, TextError, canonical};
use crate::trust::{KeyKind, NodeDomain, NoteSignature, Verifier, vote_name};

/// Proof of a double vote. One that exists was verified: both signatures are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoubleVote {
    accused: NodeDomain,
    key: Verifier,
    first: Vote,
    second: Vote,
    signatures: [NoteSignature; 2],
}

/// Why a text proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceError {
    /// Its form.
    Text(TextError),
    /// Of a kind that is not judged by this version: only double votes are.
    Kind,
    /// The two votes are not of one phase of one round, or say the same.
    NoContradiction,
    /// A signature is not good.
    Signature,
}

impl From<TextError> for EvidenceError {
    fn from(error: TextError) -> EvidenceError {
        EvidenceError::Text(error)
    }
}

impl std::fmt::Display for EvidenceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EvidenceError::Text(error) => error.fmt(f),
            EvidenceError::Kind => f.write_str("evidence of this kind is not judged here, only double votes are"),
            EvidenceError::NoContradiction => f.write_str("the two votes do not contradict each other"),
            EvidenceError::Signature => f.write_str("a signature of the evidence is not good"),
        }
    }
}

impl std::error::Error for EvidenceError {}

impl DoubleVote {
    /// From two votes and their signature lines, in any order.
    pub fn new(
        accused: NodeDomain,
        key: Verifier,
        one: (Vote, NoteSignature),
        other: (Vote, NoteSignature),
    ) -> Result<DoubleVote, EvidenceError> {
        let ((first, a), (second, b)) =
            if nil_or(&one.0.value) <= nil_or(&other.0.value) { (one, other) } else { (other, one) };
        if key.kind() != KeyKind::Note || key.name() != vote_name(&accused) {
            return Err(TextError::Line("key").into());
        }
        if first.value == second.value || first != (Vote { value: first.value, ..second }) {
            return Err(EvidenceError::NoContradiction);
        }
        if !key.has_signed(&first.to_text(), &a) || !key.has_signed(&second.to_text(), &b) {
            return Err(EvidenceError::Signature);
        }
        Ok(DoubleVote { accused, key, first, second, signatures: [a, b] })
    }

    /// Reads exactly the text that [`DoubleVote::to_text`] writes, and verifies it.
    pub fn parse(text: &str) -> Result<DoubleVote, EvidenceError> {
        let mut lines = Lines::of(text, HEAD)?;
        if lines.value("kind")? != KIND {
            return Err(EvidenceError::Kind);
        }
        let network: NetworkId = lines.read("network")?;
        let accused = lines.domain("accused")?;
        let key = lines.with("key", |value| Verifier::parse(value).ok())?;
        let (epoch, round) = (lines.read("epoch")?, lines.read("round")?);
        let phase = lines.with("phase", Phase::parse)?;
        let vote = |value: &str| {
            let (value, line) = value.split_once(' ')?;
            let vote = Vote { network, epoch, round, phase, value: value_or_nil(value)? };
            Some((vote, NoteSignature::decode(key.name(), line)?))
        };
        let (first, second) = (lines.with("first", vote)?, lines.with("second", vote)?);
        let proof = DoubleVote::new(accused, key, first, second)?;
        let written = proof.to_text();
        Ok(canonical(proof, &written, text)?)
    }

    /// The one text of this proof.
    pub fn to_text(&self) -> String {
        let Vote { network, epoch, round, phase, .. } = self.first;
        let [a, b] = &self.signatures;
        format!(
            "{HEAD}\nkind {KIND}\nnetwork {network}\naccused {}\nkey {}\nepoch {epoch}\nround {round}\nphase {phase}\n\
             first {} {}\nsecond {} {}\n",
            self.accused,
            self.key,
            nil_or(&self.first.value),
            a.encoded(),
            nil_or(&self.second.value),
            b.encoded(),
        )
    }

    /// Its name.
    pub fn id(&self) -> EvidenceId {
        EvidenceId::of(&self.to_text())
    }

    /// Who is said to have done it: the domain in the key's name. That the key was this node's is the chain's to say.
    pub fn accused(&self) -> &NodeDomain {
        &self.accused
    }

    /// The key that voted twice.
    pub fn key(&self) -> &Verifier {
        &self.key
    }

    /// In which network.
    pub fn network(&self) -> NetworkId {
        self.first.network
    }

    /// In which epoch.
    pub fn epoch(&self) -> u64 {
        self.first.epoch
    }

    /// Is it about the same two votes' place: round and phase of one epoch?
    pub fn is_of(&self, epoch: u64, round: u32, phase: Phase) -> bool {
        (self.first.epoch, self.first.round, self.first.phase) == (epoch, round, phase)
    }
}

/// Pieces of evidence that are kept against one node.
pub const EVIDENCE_PER_ACCUSED_MAX: usize = 8;
const KIND: &str = "double-vote";
const HEAD: &str = "kontalk-evidence-v1";
