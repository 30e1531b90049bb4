//! What the nodes of voters say to each other to order what people have approved: a proposed value, and votes for it. The rules
//! when to say which are the ordering's; here are the texts.

use std::fmt;

use super::id::{EpochId, NetworkId};
use super::text::{Lines, TextError, canonical, dash, or_dash};

/// Which of the two votes of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The first.
    Prevote,
    /// The second: enough of these decide.
    Precommit,
}

/// A vote of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vote {
    /// In which network.
    pub network: NetworkId,
    /// On the epoch of this number.
    pub epoch: u64,
    /// In this round.
    pub round: u32,
    /// Which vote.
    pub phase: Phase,
    /// For this text; `None`: nil.
    pub value: Option<EpochId>,
}

/// A value that the proposer of a round puts forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Propose {
    /// In which network.
    pub network: NetworkId,
    /// For the epoch of this number.
    pub epoch: u64,
    /// In this round.
    pub round: u32,
    /// The text.
    pub value: EpochId,
    /// The earlier round in which enough prevoted for it; `None`: none.
    pub valid_round: Option<u32>,
}

impl Phase {
    /// As in a text.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Prevote => "prevote",
            Phase::Precommit => "precommit",
        }
    }

    /// Reads the same.
    pub fn parse(text: &str) -> Option<Phase> {
        [Phase::Prevote, Phase::Precommit].into_iter().find(|phase| phase.as_str() == text)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Vote {
    /// Reads exactly the text that [`Vote::to_text`] writes.
    pub fn parse(text: &str) -> Result<Vote, TextError> {
        let mut lines = Lines::of(text, VOTE_HEAD)?;
        let (network, epoch, round) = (lines.read("network")?, lines.read("epoch")?, lines.read("round")?);
        let (phase, value) = match lines.maybe("prevote") {
            Some(value) => (Phase::Prevote, value),
            None => (Phase::Precommit, lines.value("precommit")?),
        };
        let value = value_or_nil(value).ok_or(TextError::Line(phase.as_str()))?;
        let vote = Vote { network, epoch, round, phase, value };
        canonical(vote, &vote.to_text(), text)
    }

    /// The one text of this vote.
    pub fn to_text(&self) -> String {
        let Vote { network, epoch, round, phase, .. } = self;
        format!("{VOTE_HEAD}\nnetwork {network}\nepoch {epoch}\nround {round}\n{phase} {}\n", nil_or(&self.value))
    }
}

impl Propose {
    /// Reads exactly the text that [`Propose::to_text`] writes.
    pub fn parse(text: &str) -> Result<Propose, TextError> {
        let mut lines = Lines::of(text, PROPOSE_HEAD)?;
        let (network, epoch, round) = (lines.read("network")?, lines.read("epoch")?, lines.read("round")?);
        let value = lines.read("value")?;
        let valid_round = lines.with("validround", dash)?;
        if valid_round.is_some_and(|valid| valid >= round) {
            return Err(TextError::Line("validround"));
        }
        let propose = Propose { network, epoch, round, value, valid_round };
        canonical(propose, &propose.to_text(), text)
    }

    /// The one text of this message.
    pub fn to_text(&self) -> String {
        let Propose { network, epoch, round, value, valid_round } = self;
        let valid_round = or_dash(valid_round);
        format!(
            "{PROPOSE_HEAD}\nnetwork {network}\nepoch {epoch}\nround {round}\nvalue {value}\nvalidround {valid_round}\n"
        )
    }
}

/// Reads `nil` or an id.
pub(super) fn value_or_nil(text: &str) -> Option<Option<EpochId>> {
    if text == "nil" { Some(None) } else { text.parse().ok().map(Some) }
}

/// Writes the same.
pub(super) fn nil_or(value: &Option<EpochId>) -> String {
    value.map_or_else(|| "nil".to_owned(), |id| id.to_string())
}

const VOTE_HEAD: &str = "kontalk-vote-v1";
const PROPOSE_HEAD: &str = "kontalk-propose-v1";
