//! When to ask for a certificate.

use std::time::{Duration, SystemTime};

use crate::limits::{ACME_RETRY_FIRST, ACME_RETRY_LONGEST, Backoff};

/// When a certificate with these dates is to be renewed: when two thirds of its life are over.
pub fn renew_at(not_before: SystemTime, not_after: SystemTime) -> SystemTime {
    let life = not_after.duration_since(not_before).unwrap_or_default();
    not_before + life / 3 * 2
}

/// How long to wait after so many failures in a row (from 1). Longer each time, up to a day; never shorter than the server asked for,
/// up to a week. `random` spreads the wait over its upper half.
pub fn retry_in(failures: u32, random: u32, asked_for: Option<Duration>) -> Duration {
    let mut backoff = Backoff::new(ACME_RETRY_FIRST, ACME_RETRY_LONGEST);
    let mut wait = ACME_RETRY_FIRST;
    for _ in 0..failures.clamp(1, 31) {
        wait = backoff.failed(random);
    }
    wait.max(asked_for.unwrap_or_default().min(ASKED_FOR_LONGEST))
}

/// Let's Encrypt's longest limit is for a week.
const ASKED_FOR_LONGEST: Duration = Duration::from_secs(7 * 86_400);
