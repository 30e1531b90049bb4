//! What a voter has said itself, as it is written down before it is said.

use std::collections::BTreeMap;

use super::message::{Phase, Proposal, ValueId, Vote};

/// One line of the journal: what this node is about to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// It proposes.
    Proposal(Proposal),
    /// It votes.
    Vote(Vote),
}

impl Entry {
    /// The number of the epoch it is about.
    pub fn epoch(&self) -> u64 {
        match self {
            Self::Proposal(proposal) => proposal.epoch,
            Self::Vote(vote) => vote.epoch,
        }
    }
}

/// What this node has said about one epoch: the journal, read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    proposals: BTreeMap<u32, Proposal>,
    votes: BTreeMap<(u32, Phase), Option<ValueId>>,
}

impl Said {
    /// The entries of the journal that are about `epoch`. Of two for one round and phase the first holds: it may have been sent.
    pub fn read(epoch: u64, entries: &[Entry]) -> Self {
        let mut said = Self::default();
        for entry in entries.iter().filter(|entry| entry.epoch() == epoch) {
            said.note(entry);
        }
        said
    }

    /// Takes down an entry, unless there is one for its round and phase. Whether it was taken.
    pub(super) fn note(&mut self, entry: &Entry) -> bool {
        match entry {
            Entry::Proposal(proposal) => {
                let free = !self.proposals.contains_key(&proposal.round);
                self.proposals.entry(proposal.round).or_insert(*proposal);
                free
            }
            Entry::Vote(vote) => {
                let free = !self.votes.contains_key(&(vote.round, vote.phase));
                self.votes.entry((vote.round, vote.phase)).or_insert(vote.value);
                free
            }
        }
    }

    /// What was proposed in `round`.
    pub fn proposal(&self, round: u32) -> Option<&Proposal> {
        self.proposals.get(&round)
    }

    /// What was voted in `round`: `Some(None)` is nil.
    pub fn vote(&self, round: u32, phase: Phase) -> Option<Option<ValueId>> {
        self.votes.get(&(round, phase)).copied()
    }

    /// The newest round about which anything was said.
    pub fn last_round(&self) -> Option<u32> {
        let proposed = self.proposals.keys().next_back().copied();
        proposed.max(self.votes.keys().next_back().map(|(round, _)| *round))
    }

    /// The lock: the newest round in which a value was precommitted, and the value.
    pub fn lock(&self) -> Option<(u32, ValueId)> {
        let precommits = self.votes.iter().rev().filter(|((_, phase), _)| *phase == Phase::Precommit);
        precommits.filter_map(|((round, _), value)| value.map(|value| (*round, value))).next()
    }

    /// All of it, in the order of rounds, to be said again.
    pub fn entries(&self, epoch: u64) -> Vec<Entry> {
        let proposals = self.proposals.values().map(|proposal| Entry::Proposal(*proposal));
        let votes = self
            .votes
            .iter()
            .map(|((round, phase), value)| Entry::Vote(Vote { epoch, round: *round, phase: *phase, value: *value }));
        proposals.chain(votes).collect()
    }
}
