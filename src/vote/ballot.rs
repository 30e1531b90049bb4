//! A ballot: what a person says of a proposal. All ballots that say the same are signatures below the same text.

use std::fmt;

use super::id::{NetworkId, ProposalId};
use super::text::{Lines, TextError, canonical};

/// What a voter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Choice {
    /// For it; cannot be taken back.
    Yes,
    /// Against it; may become yes later. Never counts.
    No,
    /// Neither; may become yes later. Never counts.
    Abstain,
    /// Its proposer would not have it shown any more. Never counts: it only hides.
    Withdraw,
}

/// What is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// In which network.
    pub network: NetworkId,
    /// On which proposal.
    pub proposal: ProposalId,
    /// What is said.
    pub choice: Choice,
}

impl Choice {
    /// Every choice.
    pub const ALL: [Choice; 4] = [Choice::Yes, Choice::No, Choice::Abstain, Choice::Withdraw];

    /// As in a text.
    pub fn as_str(self) -> &'static str {
        match self {
            Choice::Yes => "yes",
            Choice::No => "no",
            Choice::Abstain => "abstain",
            Choice::Withdraw => "withdraw",
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Ballot {
    /// Reads exactly the text that [`Ballot::to_text`] writes.
    pub fn parse(text: &str) -> Result<Ballot, TextError> {
        let mut lines = Lines::of(text, HEAD)?;
        let (network, proposal) = (lines.read("network")?, lines.read("proposal")?);
        let choice = lines.any().and_then(|line| Choice::ALL.into_iter().find(|choice| choice.as_str() == line));
        let ballot =
            Ballot { network, proposal, choice: choice.ok_or(TextError::Line("yes, no, abstain or withdraw"))? };
        canonical(ballot, &ballot.to_text(), text)
    }

    /// The one text of this ballot.
    pub fn to_text(&self) -> String {
        format!("{HEAD}\nnetwork {}\nproposal {}\n{}\n", self.network, self.proposal, self.choice)
    }
}

const HEAD: &str = "kontalk-ballot-v1";
