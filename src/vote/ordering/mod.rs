//! Ordering: which epoch comes next, agreed on by the voters' nodes. Tendermint as published in arXiv 1807.04938, Algorithm 1; one
//! height is one epoch, a value is the id of an epoch's text, `2f + 1` is q(n) = ⌊2n/3⌋ + 1 and `f + 1` is n − q(n) + 1.
//!
//! An [`Ordering`] decides one epoch. It hears [`Message`]s whose signatures were verified, timers that ran out and texts that
//! arrived, and answers with [`Action`]s, which its owner performs **one after the other**: an entry is in the journal, on the disk,
//! before what follows it is done. Its own votes it counts like everybody's, when the owner hands them back signed; so nothing
//! counts that was not written down.
//!
//! # States of a voter
//! `idle` (nothing approved is known) → round 0 `propose` → `prevote` → `precommit` → round 1 `propose` … → decided. A round that
//! does not decide ends by its timer; a voter that is behind goes to the round that n − q + 1 others have reached.
//!
//! # What keeps it safe
//! - The journal: never a second value for one (epoch, round, phase), through any crash. After a start the votes of the journal are
//!   said again, and the lock is that of the newest precommit in it.
//! - The [`Guard`]: who was put back from an old copy, and may have said more than its journal knows, abstains until the epoch
//!   after the one under way.
//!
//! # Where this differs from the paper, and why it may
//! - Messages get lost, so all that is valid is forwarded once, and a quorum is forwarded as a [`Certificate`]: who kept the other
//!   vote of a double voter would never see the quorum that its neighbour acted on.
//! - Lines 36 and 49 want the proposal itself; we are content with the quorum, whose honest members had it.
//! - Line 55 wants f + 1 voters in one round; we go to the highest round that so many have reached or passed. One of them is
//!   honest in either case.
//! - A proposal whose text is not here yet is no reason for a nil before its time is over: the text is asked for meanwhile.
//!
//! # Limits
//! Rounds further than [`ROUNDS_AHEAD`] ahead are counted, not kept; those more than [`ROUNDS_BEHIND`] behind are forgotten but
//! for the newest [`LOCKS_KEPT`] with a quorum; a vote for each voter, phase and round; [`EVIDENCE_PER_VOTER`] double votes told of
//! each. For 100 voters that is at most 3 MiB, and only if a third of them sign for every round they may.
//!
//! No socket, file, clock or randomness here: the simulator in `tests/vote_simulation` runs this very code.

mod electorate;
mod guard;
mod journal;
mod machine;
mod message;
mod rules;
mod tally;
#[cfg(test)]
mod tests;

pub use electorate::{Electorate, ElectorateError, PATIENCE_MAX, VOTERS_MAX, patience};
pub use guard::Guard;
pub use journal::{Entry, Said};
pub use machine::{Action, Ordering, Refusal, Step, Texts, Timer, Validity};
pub use message::{Certificate, Message, Phase, Proposal, Signature, ValueId, Vote, Voter};
pub use tally::{DoubleVote, EVIDENCE_PER_VOTER, LOCKS_KEPT, ROUNDS_AHEAD, ROUNDS_BEHIND};
