//! What networks report of messages that they took: whether they arrived.
//!
//! A report is waited for from the moment the network took the message until it says how it ended, or for [`REPORT_TTL`]. It counts
//! once: what comes twice, late, or for a message that nobody sent changes nothing. One that overtakes the answer to the message
//! itself is kept for [`EARLY_TTL`] until that is known. Only hashes of names of messages are kept, in memory, and no number.
//!
//! What a report changes: the same code goes out by another route while its user still waits for it, if the fault is not the number's;
//! the route's counts; whether the route is tried last for its country, when three messages in a row did not
//! arrive there for a reason that is not the number's; and by which way the same number is challenged next. It proves nothing of
//! anybody's number, and gives no budget back: in some countries reports are made up, and a message that did not arrive is paid for.

use std::time::{Duration, Instant};

use crate::limits::{BoundedMap, REPORTS_AWAITED_MAX};
use crate::phone::KeyedHash;

use super::alert::Cause;
use super::counter_key::{CounterKey, CounterKind};
use super::{Dispatcher, Trip};

/// How a message ended, as its network says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The telephone has it.
    Arrived,
    /// It will not arrive, since the number is not in use or its telephone is off: no fault of the route.
    Unreachable,
    /// It will not arrive, for another reason.
    Lost,
}

/// Messages whose reports are waited for, and reports whose messages are.
#[derive(Debug)]
pub(super) struct Awaited(BoundedMap<KeyedHash, Entry>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    until: Instant,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Sent { address: KeyedHash, country: u16 },
    Early(Arrival),
}

impl Default for Awaited {
    fn default() -> Awaited {
        Awaited(BoundedMap::new(REPORTS_AWAITED_MAX))
    }
}

impl Awaited {
    /// Forgets what is over.
    pub(super) fn forget(&mut self, now: Instant) {
        self.0.retain(|_, entry| entry.until > now);
    }

    fn take(&mut self, now: Instant, key: &KeyedHash) -> Option<What> {
        self.0.remove(key).filter(|entry| entry.until > now).map(|entry| entry.what)
    }
}

impl Dispatcher {
    /// The network took the message of this trip and calls it so: it will report how that ended.
    pub fn await_report(&mut self, now: Instant, trip: &Trip, reference: &str) {
        let index = trip.route();
        let Some(key) = self.report_key(index, reference) else { return };
        if let Some(state) = self.routes.get_mut(index) {
            state.reports.charge(now);
        }
        self.report_changed(index);
        match self.awaited.take(now, &key) {
            Some(What::Early(arrival)) => self.apply(now, index, trip.address, trip.country, arrival),
            Some(What::Sent { .. }) | None => {
                let what = What::Sent { address: trip.address, country: trip.country };
                self.awaited.0.insert(key, Entry { until: now + REPORT_TTL, what });
            }
        }
    }

    /// The network of the route with this name says how the message ended that it calls so. Says whether that was waited for.
    pub fn reported(&mut self, now: Instant, route: &str, reference: &str, arrival: Arrival) -> bool {
        let Some(index) = self.plan.routes.iter().position(|known| known.name == route) else { return false };
        let Some(key) = self.report_key(index, reference) else { return false };
        match self.awaited.take(now, &key) {
            Some(What::Sent { address, country }) => {
                self.apply(now, index, address, country, arrival);
                true
            }
            Some(What::Early(_)) | None => {
                self.awaited.0.insert(key, Entry { until: now + EARLY_TTL, what: What::Early(arrival) });
                false
            }
        }
    }

    /// A message did not arrive, for a reason that is the route's: may another of the same kind carry the same code? Then that one is
    /// charged, and is [`Trip::route`] from now on. Nothing is given back for the first.
    pub fn again(&mut self, now: Instant, trip: &mut Trip) -> bool {
        let (used, kind) = (trip.route(), self.kind_of(trip.route()));
        let country = trip.country;
        trip.legs_left = trip.legs_left.saturating_sub(1);
        trip.routes.retain(|index| {
            let known = self.plan.routes.get(*index).zip(self.routes.get(*index));
            known.is_some_and(|(route, state)| {
                let is_affordable = route.day_max.is_none_or(|max| state.counter.day.check(now, max).is_ok());
                *index != used && route.kind == kind && state.barred(now, country).is_none() && is_affordable
            })
        });
        if trip.legs_left == 0 || trip.routes.is_empty() || (!kind.is_free() && self.check(now, trip).is_err()) {
            return false;
        }
        self.charge(now, trip);
        true
    }

    fn apply(&mut self, now: Instant, index: usize, address: KeyedHash, country: u16, arrival: Arrival) {
        let Some((route, state)) = self.plan.routes.get(index).zip(self.routes.get_mut(index)) else { return };
        let day = &mut state.reports;
        day.turn(now);
        match arrival {
            Arrival::Arrived => {
                day.verified = day.verified.saturating_add(1);
                state.arrived(country);
            }
            Arrival::Unreachable | Arrival::Lost => day.failed = day.failed.saturating_add(1),
        }
        if arrival == Arrival::Lost && state.did_not_arrive(now, country) {
            self.alerts.raise(now, Cause::RouteLoses { route: route.name.clone(), country });
        }
        self.report_changed(index);
        if arrival != Arrival::Arrived
            && let Some(recent) = self.recent.get_mut(&address)
            && !recent.lost.contains(&index)
        {
            recent.lost.push(index);
        }
    }

    fn report_key(&self, index: usize, reference: &str) -> Option<KeyedHash> {
        let route = self.plan.routes.get(index)?;
        Some(self.key.hash("report", &[route.name.as_bytes(), reference.as_bytes()]))
    }

    fn report_changed(&mut self, index: usize) {
        if let Some(route) = self.plan.routes.get(index) {
            let hash = self.key.hash("route", &[route.name.as_bytes()]);
            self.changed.insert(CounterKey { kind: CounterKind::Reports, hash });
        }
    }
}

/// Codes are sent with a life of ten minutes; what is reported later than this helps nobody.
pub const REPORT_TTL: Duration = Duration::from_secs(3600);
/// The longest that an answer to a message takes which its report has overtaken.
pub const EARLY_TTL: Duration = Duration::from_secs(60);
