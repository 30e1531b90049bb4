//! Guard against the own past: a data directory that was put back from a copy does not know what was signed after the copy.
//!
//! To sign again what may have been signed otherwise looks like a double vote, and is proof of one. So after a start that is
//! suspicious the node abstains until it has compared heads with enough voters and the epoch that was then under way is over.

/// Whether this node may vote on an epoch. States: `sound`; `suspicious` (nothing until heads are compared); `waiting` (nothing up
/// to and with an epoch).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    suspicious: bool,
    through: Option<u64>,
}

impl Guard {
    /// After a start. `journal`: the number of the newest epoch in the journal, `None` when there is no journal; `was_voter`:
    /// whether this key could vote before; `restored`: whether the data came out of a backup; `next`: the epoch that our chain
    /// leaves to be decided.
    ///
    /// Suspicious are a restored directory, a missing journal of somebody who could vote, and a chain that is older than the
    /// journal: then the two are not of one time, and the journal may be old as well.
    pub fn at_start(journal: Option<u64>, was_voter: bool, restored: bool, next: u64) -> Self {
        let missing = journal.is_none() && was_voter;
        let apart = journal.is_some_and(|newest| newest > next);
        Self { suspicious: restored || missing || apart, through: journal.filter(|_| apart) }
    }

    /// The heads (numbers of decided epochs, each verified by its certificate) that other voters have told since the start, one
    /// for each voter, and how many are enough (n − q + 1, without ourselves as far as there are others).
    pub fn heads_compared(&mut self, own: u64, others: &[u64], enough: usize) {
        if self.suspicious && others.len() >= enough {
            let newest = others.iter().copied().fold(own, u64::max);
            self.suspicious = false;
            self.through = self.through.max(Some(newest.saturating_add(1)));
        }
    }

    /// A vote or proposal on `epoch` with our own signature came from others, and the journal does not have it.
    pub fn own_vote_unknown(&mut self, epoch: u64) {
        self.through = self.through.max(Some(epoch));
    }

    /// Whether this node may vote on `epoch`.
    pub fn may_vote(&self, epoch: u64) -> bool {
        !self.suspicious && self.through.is_none_or(|through| epoch > through)
    }

    /// The last epoch that is abstained from, as far as it is known already.
    pub fn through(&self) -> Option<u64> {
        self.through
    }
}
