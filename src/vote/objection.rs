//! Why an epoch cannot be decided: for good, or until something is known.

use std::collections::BTreeSet;
use std::fmt;

use super::id::{EvidenceId, ProposalId};
use crate::trust::{CardId, NodeDomain};

/// What is referred to and not at hand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Want {
    /// A proposal's text.
    Proposal(ProposalId),
    /// More yes ballots on it.
    Ballots(ProposalId),
    /// A card with its signatures and certificate.
    Card(CardId),
    /// A piece of evidence.
    Evidence(EvidenceId),
    /// A candidate's signature on the charter.
    Consent(NodeDomain),
}

/// Why a step of the chain is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never will be.
    Invalid(Objection),
    /// It might be, if these were known. Nobody votes for it before.
    Missing(BTreeSet<Want>),
}

/// What is wrong with an epoch, or with a proposal of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Objection {
    /// It belongs to another network.
    OtherNetwork,
    /// Its number is not the next.
    Number,
    /// Its parent is not the last epoch.
    Parent,
    /// Too few voters have signed it.
    NotCertified,
    /// It is of rules that this version does not know.
    Rules,
    /// Two of its proposals are about one subject.
    SubjectTwice,
    /// It was made in a later epoch.
    NotYet,
    /// It waited for too many epochs.
    TooOld,
    /// What it would change is not so any more.
    Overtaken,
    /// The change is not one of its kind.
    Form,
    /// Who made it may not make such a proposal.
    Proposer,
    /// The card is another node's.
    CardOfAnother,
    /// A founder's card lacks the signature of its recovery key.
    CardUnsigned,
    /// A key of the card was another node's.
    KeyOfAnother,
    /// Nobody is left who votes.
    NoVoters,
    /// Too many votes would be new within few epochs.
    Growth,
    /// The state would be too long.
    TooLong,
    /// The state that results is another.
    State,
    /// A first epoch is not as it must be: voters alone without sponsors, the rules, and bans only if it continues a network.
    Founding,
}

impl From<Objection> for Fault {
    fn from(objection: Objection) -> Fault {
        Fault::Invalid(objection)
    }
}

impl From<Want> for Fault {
    fn from(want: Want) -> Fault {
        Fault::Missing(BTreeSet::from([want]))
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Objection::OtherNetwork => "it belongs to another network",
            Objection::Number => "its number is not the next",
            Objection::Parent => "it does not follow the last epoch",
            Objection::NotCertified => "too few voters have signed it",
            Objection::Rules => {
                "the network has agreed on newer rules than this version knows (remedy: install a newer kontalk-node)"
            }
            Objection::SubjectTwice => "two of its proposals are about the same",
            Objection::NotYet => "it was made in a later epoch",
            Objection::TooOld => "it has waited for too long",
            Objection::Overtaken => "what it would change has changed meanwhile",
            Objection::Form => "the change is not one that a proposal of its kind can make",
            Objection::Proposer => "who made it may not make such a proposal",
            Objection::CardOfAnother => "the card is another node's",
            Objection::CardUnsigned => "the card's recovery key is new and did not sign it",
            Objection::KeyOfAnother => "a key of the card was another node's",
            Objection::NoVoters => "no voter would be left",
            Objection::Growth => "too many votes would be new within few epochs",
            Objection::TooLong => "the list of members would be too long",
            Objection::State => "the state that it names does not result",
            Objection::Founding => "a network cannot begin so",
        })
    }
}

impl std::error::Error for Objection {}
