//! Two things a small board gets wrong without noticing: its clock, and its memory after an old backup was put back.
//!
//! **Clock.** A floor is kept of the latest time ever seen. A clock that stands well below it is suspect: certifications that have
//! expired would count again, so no visitor is let in until it is right.
//!
//! **Old backup.** What others show us of ourselves may be newer than what we remember: the number of our own reach, and our own
//! signatures on their keys. The newer counts, and a revocation that we forgot is a revocation.

use std::fmt;
use std::time::Duration;

use super::edge::{EdgeFault, edge};
use crate::pgp::Statements;
use crate::stanza::Timestamp;

/// The clock is behind a time that it has shown before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSuspect {
    /// By so much.
    pub behind: Duration,
}

impl fmt::Display for ClockSuspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the clock is {} s behind a time that it has shown before (remedy: set it; if it is right now, kontalk-node trust clock)",
            self.behind.as_secs()
        )
    }
}

impl std::error::Error for ClockSuspect {}

/// Is the clock to be trusted, given the latest time ever seen?
pub fn judge_clock(now: Timestamp, floor: Timestamp) -> Result<(), ClockSuspect> {
    if now.plus(CLOCK_LEEWAY) < floor { Err(ClockSuspect { behind: floor.since(now) }) } else { Ok(()) }
}

/// The number of the next reach of our own, after one of number `held`, where others have shown us number `shown`.
pub fn next_seq(held: Option<u64>, shown: Option<u64>) -> u64 {
    held.max(shown).unwrap_or(0).saturating_add(1)
}

/// The number of the next reach after a backup of this age was put back. Others may have seen any that was made meanwhile, at most
/// one a minute besides those of restarts: they are leapt over, for none of them can be asked for certain.
pub fn seq_after_restore(held: Option<u64>, shown: Option<u64>, age: Duration) -> u64 {
    next_seq(held, shown).saturating_add(age.as_secs() / 60).saturating_add(RESTARTS_MAX)
}

/// What our own signatures on another's key, shown by others, teach us beyond what we remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// Nothing.
    Nothing,
    /// We revoked, and forgot it.
    Revoked,
    /// We certified, and forgot it. That alone is no reason to trust: what was decided then is forgotten too.
    Certified,
}

/// Compares what we remember of our own signatures on a key with what is shown.
pub fn learn(held: &Statements, shown: &Statements) -> Lesson {
    let newest = |own: &Statements| {
        own.certifications.iter().map(|certified| certified.at).chain(own.revocations.iter().copied()).max()
    };
    if newest(shown) <= newest(held) {
        return Lesson::Nothing;
    }
    let mut both = held.clone();
    both.certifications.extend(shown.certifications.iter().copied());
    both.revocations.extend(shown.revocations.iter().copied());
    match edge(&both, Timestamp { millis: 0 }) {
        Err(EdgeFault::Revoked(_)) => Lesson::Revoked,
        _ => Lesson::Certified,
    }
}

/// Restarts, and acts of the operator, between a backup and its restoration: a thousand would be many.
const RESTARTS_MAX: u64 = 1000;
/// A clock may be corrected backwards by so much without a word.
pub const CLOCK_LEEWAY: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pgp::Certified;

    fn at(secs: u64) -> Timestamp {
        Timestamp { millis: secs * 1000 }
    }

    #[test]
    fn a_clock_behind_its_floor_is_suspect() {
        for (now, floor, behind) in [(1000, 0, None), (1000, 1000, None), (1000, 1300, None), (1000, 1301, Some(301))] {
            assert_eq!(judge_clock(at(now), at(floor)).err().map(|suspect| suspect.behind.as_secs()), behind);
        }
    }

    #[test]
    fn a_reach_is_newer_than_what_others_have_seen_of_us() {
        for (held, shown, next) in
            [(None, None, 1), (Some(3), None, 4), (Some(3), Some(2), 4), (Some(3), Some(9), 10), (None, Some(9), 10)]
        {
            assert_eq!(next_seq(held, shown), next);
        }
    }

    #[test]
    fn after_a_restore_all_that_can_have_been_made_meanwhile_is_leapt_over() {
        let hour = Duration::from_secs(3600);
        for (held, shown, age, next) in [
            (Some(3), None, Duration::ZERO, 1004),
            (Some(3), None, hour, 1064),
            (Some(3), Some(2000), hour, 3061),
            (Some(u64::MAX), None, hour, u64::MAX),
        ] {
            assert_eq!(seq_after_restore(held, shown, age), next);
        }
    }

    #[test]
    fn a_forgotten_revocation_is_learnt_again_and_a_forgotten_certification_is_not_trust() {
        let own = |certified: &[u64], revoked: &[u64]| Statements {
            certifications: certified
                .iter()
                .map(|secs| Certified { at: at(*secs), expires: None, level: 3, reset: None })
                .collect(),
            revocations: revoked.iter().map(|secs| at(*secs)).collect(),
        };
        for (held, shown, lesson) in [
            (own(&[10], &[]), own(&[10], &[]), Lesson::Nothing),
            (own(&[10], &[]), own(&[10], &[20]), Lesson::Revoked),
            (own(&[10], &[20]), own(&[10], &[]), Lesson::Nothing),
            (own(&[10], &[20]), own(&[10, 30], &[20]), Lesson::Certified),
            (own(&[], &[]), own(&[], &[20]), Lesson::Revoked),
        ] {
            assert_eq!(learn(&held, &shown), lesson);
        }
    }
}
