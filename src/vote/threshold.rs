//! Who must agree: the quorum of machines, and for each kind of proposal how many people.

use super::proposal::Kind;
use super::state::Role;

/// q(n) = ⌊2n/3⌋+1: of n voters, so many make a certificate. Any two such sets share an honest voter while less than a third cheat.
pub fn quorum(n: usize) -> usize {
    (n / 3) * 2 + (n % 3) * 2 / 3 + 1
}

/// n−q(n)+1: of so many voters at least one follows the rules, while those who do not are too few to stop everything.
pub fn one_honest(n: usize) -> usize {
    (n + 1).saturating_sub(quorum(n))
}

/// A majority, ⌊n/2⌋+1.
pub fn majority(n: usize) -> usize {
    n / 2 + 1
}

/// What the number of needed ballots depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The kind of the proposal.
    pub kind: Kind,
    /// The role that the subject would have; `None` if it would have none.
    pub role: Option<Role>,
    /// Voters of the parent state.
    pub voters: usize,
    /// Is the subject one of them?
    pub subject_votes: bool,
    /// Does evidence that proves itself go with it? For strip-vote that is proof of a double vote.
    pub proved: bool,
    /// Is the new card signed by those keys that may replace the old one?
    pub self_proving: bool,
}

/// How many people must have said yes, and whether the subject is among those who are asked. More than there are voters: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// Yes ballots.
    pub yes: usize,
    /// Does the subject's own ballot count?
    pub subject_counts: bool,
}

/// The table of who must agree.
pub fn needed(question: Question) -> Needed {
    let Question { kind, role, voters: n, subject_votes, proved, self_proving } = question;
    // The same without the subject.
    let others = if subject_votes { n.saturating_sub(1) } else { n };
    let (yes, subject_counts) = match kind {
        // Low harm, reversible: yet more than any rogue third.
        Kind::Admit if role != Some(Role::Voter) => (majority(n), true),
        // Changes the power base.
        Kind::Admit | Kind::GrantVote => (quorum(n), true),
        Kind::StripVote if proved => (0, false),
        Kind::StripVote => (quorum(others), false),
        // Hurts users: a majority of honest operators must want it.
        Kind::Ban if proved => (majority(others), false),
        Kind::Ban => (quorum(others), false),
        // Symmetric to a ban; the vote is granted anew.
        Kind::Reinstate => (quorum(n), true),
        Kind::RotateKey if self_proving => (0, false),
        Kind::RotateKey => (quorum(others), false),
        // Leaving is free.
        Kind::Leave => (0, false),
        Kind::SetParam | Kind::Pardon => (quorum(n), true),
    };
    Needed { yes, subject_counts }
}

/// How many votes may be new within [`GROWTH_WINDOW`] epochs when there are n voters; `None`: any number.
pub fn growth_cap(n: usize) -> Option<usize> {
    (n >= GROWTH_CAPPED_FROM).then_some(n / 4)
}

/// From so many voters on, the number of new votes is capped.
pub const GROWTH_CAPPED_FROM: usize = 8;
/// Over so many epochs, the present one included.
pub const GROWTH_WINDOW: u64 = 16;
