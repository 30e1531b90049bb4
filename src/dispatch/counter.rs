//! Counts of one day, the breaker of one prefix, and how both are kept over a restart.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::stanza::Timestamp;

/// What went out in 24 hours. The day begins with its first message and ends for all of its messages at once: a sliding day, or a
/// bucket, would let nearly twice the number through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Day {
    /// When the count starts anew; `None`: nothing was counted yet.
    pub(super) ends: Option<Instant>,
    /// Accepted by the network, under way, or perhaps accepted.
    pub(super) sent: u32,
    /// Of these, proved by the user.
    pub(super) verified: u32,
    /// Certainly not sent.
    pub(super) failed: u32,
    /// Of those sent, nobody knows whether they were.
    pub(super) unknown: u32,
}

impl Day {
    /// Starts anew when the day is over.
    pub(super) fn turn(&mut self, now: Instant) {
        if self.is_over(now) {
            *self = Day::default();
        }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }

    /// May one more go out? If not, how long until one may.
    pub(super) fn check(&self, now: Instant, max: u32) -> Result<(), Duration> {
        if self.is_over(now) || self.sent < max {
            return if max == 0 { Err(DAY) } else { Ok(()) };
        }
        Err(self.ends.map_or(DAY, |ends| ends.saturating_duration_since(now)))
    }

    pub(super) fn charge(&mut self, now: Instant) {
        self.turn(now);
        self.ends.get_or_insert(now + DAY);
        self.sent = self.sent.saturating_add(1);
    }

    pub(super) fn refund(&mut self) {
        self.sent = self.sent.saturating_sub(1);
    }

    /// How many may still go out.
    pub(super) fn left(&self, now: Instant, max: u32) -> u32 {
        if self.is_over(now) { max } else { max.saturating_sub(self.sent) }
    }
}

/// What is remembered of the numbers that begin alike: their day, and a breaker that opens the circuit when codes go out and
/// nobody types them in. States: closed (codes flow) → open for a while, longer each time → one code more, whose proof closes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) day: Day,
    /// Codes that nobody has proved; a proof makes up for several.
    pub(super) unproven: u32,
    /// How often it opened without a proof in between.
    pub(super) strikes: u8,
    /// No codes until then.
    pub(super) open_until: Option<Instant>,
}

impl Prefix {
    /// May one more go out?
    pub(super) fn check(&self, now: Instant, day_max: u32) -> Result<(), Duration> {
        let open = self.open_until.map(|until| until.saturating_duration_since(now)).filter(|wait| !wait.is_zero());
        match (open, self.day.check(now, day_max)) {
            (Some(wait), Err(longer)) => Err(wait.max(longer)),
            (Some(wait), Ok(())) => Err(wait),
            (None, outcome) => outcome,
        }
    }

    /// One more goes out. Gives how long none may follow, if this was one too many.
    pub(super) fn charge(&mut self, now: Instant, unproven_max: u32) -> Option<Duration> {
        if self.day.is_over(now) && self.open_until.is_none_or(|until| until <= now) {
            *self = Prefix::default();
        }
        if self.open_until.is_some_and(|until| until <= now) {
            // Half open: this one decides.
            self.open_until = None;
            self.unproven = self.unproven.min(unproven_max.saturating_sub(1));
        }
        self.day.charge(now);
        self.unproven = self.unproven.saturating_add(1);
        if self.unproven < unproven_max {
            return None;
        }
        let pause =
            PAUSE_FIRST.saturating_mul(1u32.checked_shl(self.strikes.into()).unwrap_or(u32::MAX)).min(PAUSE_MAX);
        self.strikes = self.strikes.saturating_add(1).min(STRIKES_MAX);
        self.open_until = Some(now + pause);
        Some(pause)
    }

    /// What was charged did not go out.
    pub(super) fn refund(&mut self, unproven_max: u32) {
        self.day.refund();
        self.unproven = self.unproven.saturating_sub(1);
        if self.unproven < unproven_max && self.open_until.take().is_some() {
            self.strikes = self.strikes.saturating_sub(1);
        }
    }

    /// A code was proved.
    pub(super) fn proved(&mut self, unproven_max: u32) {
        self.day.verified = self.day.verified.saturating_add(1);
        self.unproven = self.unproven.saturating_sub(PROOF_IS_WORTH);
        if self.unproven < unproven_max {
            self.open_until = None;
            self.strikes = 0;
        }
    }

    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.open_until.is_some_and(|until| until > now)
    }

    /// Is nothing of it worth remembering?
    pub(super) fn is_over(&self, now: Instant) -> bool {
        !self.is_open(now) && self.day.ends.is_none_or(|ends| ends <= now)
    }
}

/// A counter as it is kept over a restart: ages instead of moments, because the clock may have been set meanwhile, or a board
/// without a battery does not know the time yet. Then a day lasts longer, never shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    saved: Timestamp,
    day_left_secs: u32,
    sent: u32,
    verified: u32,
    failed: u32,
    unknown: u32,
    unproven: u32,
    strikes: u8,
    open_secs: u32,
}

impl Kept {
    pub(super) fn of(prefix: &Prefix, now: Instant, wall: Timestamp) -> Kept {
        let secs = |until: Option<Instant>| {
            let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
            u32::try_from(left.as_secs()).unwrap_or(u32::MAX)
        };
        let day = &prefix.day;
        Kept {
            saved: wall,
            day_left_secs: secs(day.ends),
            sent: day.sent,
            verified: day.verified,
            failed: day.failed,
            unknown: day.unknown,
            unproven: prefix.unproven,
            strikes: prefix.strikes,
            open_secs: secs(prefix.open_until),
        }
    }

    pub(super) fn revive(&self, now: Instant, wall: Timestamp) -> Prefix {
        let age = wall.since(self.saved);
        let until = |secs: u32| {
            let left = Duration::from_secs(secs.into()).min(DAY).saturating_sub(age);
            (!left.is_zero()).then(|| now + left)
        };
        let open_until = until(self.open_secs);
        let strikes = self.strikes.min(STRIKES_MAX);
        let Some(ends) = until(self.day_left_secs) else {
            return Prefix { open_until, strikes, ..Prefix::default() };
        };
        let Kept { sent, verified, failed, unknown, unproven, .. } = *self;
        Prefix { day: Day { ends: Some(ends), sent, verified, failed, unknown }, unproven, strikes, open_until }
    }
}

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a breaker stays open at first, then twice as long each time.
const PAUSE_FIRST: Duration = Duration::from_secs(30 * 60);
const PAUSE_MAX: Duration = Duration::from_secs(12 * 3600);
const STRIKES_MAX: u8 = 5;
/// For one that is proved, so many unproven ones are forgiven: one proof in five keeps a prefix going.
const PROOF_IS_WORTH: u32 = 5;
