//! What voters' nodes say to each other while they order: proposals, votes, and quorums of votes.
//!
//! The words of the core: their texts, signatures and encoding are another room's.

use std::fmt;
use std::sync::Arc;

/// An epoch's text, by its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub [u8; 32]);

impl fmt::Debug for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A voter, by its place in the electorate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Voter(pub u16);

/// An Ed25519 signature over the text of a vote or a proposal. The core carries it and does not look into it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature")
    }
}

/// Which of the two votes of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// "This could be decided in this round."
    Prevote,
    /// "A quorum said so, and I hold to it."
    Precommit,
}

/// A vote: for a value, or for nothing (nil) in this round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vote {
    /// The number of the epoch that is to be decided.
    pub epoch: u64,
    /// The attempt, from 0.
    pub round: u32,
    /// Which of the two votes.
    pub phase: Phase,
    /// For what; `None` is nil.
    pub value: Option<ValueId>,
}

/// What the proposer of a round wants to be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Proposal {
    /// The number of the epoch that is to be decided.
    pub epoch: u64,
    /// The attempt, from 0.
    pub round: u32,
    /// The epoch's text.
    pub value: ValueId,
    /// The round, before this one, in which a quorum prevoted for it, if one did.
    pub valid_round: Option<u32>,
}

/// A quorum of votes for one value: all over the same bytes, so that it is one note with a line for each voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// What they all signed.
    pub vote: Vote,
    /// Who signed; each voter once, in the electorate's order.
    pub lines: Vec<(Voter, Signature)>,
}

/// Anything that is said about one epoch. Who hands it to the core has verified each signature in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A proposal and its proposer.
    Proposal(Voter, Proposal, Signature),
    /// A vote and its voter.
    Vote(Voter, Vote, Signature),
    /// A quorum, in one piece.
    Certificate(Arc<Certificate>),
}

impl Message {
    /// The number of the epoch it is about.
    pub fn epoch(&self) -> u64 {
        match self {
            Self::Proposal(_, proposal, _) => proposal.epoch,
            Self::Vote(_, vote, _) => vote.epoch,
            Self::Certificate(certificate) => certificate.vote.epoch,
        }
    }

    /// The round it is about.
    pub fn round(&self) -> u32 {
        match self {
            Self::Proposal(_, proposal, _) => proposal.round,
            Self::Vote(_, vote, _) => vote.round,
            Self::Certificate(certificate) => certificate.vote.round,
        }
    }
}
