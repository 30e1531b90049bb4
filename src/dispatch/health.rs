//! How a route is: working, resting because it failed, barred from a country because its network does not let it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::counter::{Day, Prefix};

#[derive(Debug, Default)]
pub(super) struct RouteState {
    /// Only its day is used.
    pub(super) counter: Prefix,
    /// Failures since the last success.
    failures: u32,
    /// Other routes go first until then.
    rests_until: Option<Instant>,
    /// Calling codes for which it is not even tried, until when, and how often in a row.
    barred: HashMap<u16, (Instant, u32)>,
    /// Messages whose reports were waited for, as sent; those that arrived, as verified; those that did not, as failed.
    pub(super) reports: Day,
    /// Calling codes where messages were taken and did not arrive: how many in a row, and until when other routes go first.
    losing: HashMap<u16, (u32, Option<Instant>)>,
}

impl RouteState {
    /// The network took a message.
    pub(super) fn worked(&mut self, country: u16) {
        self.failures = 0;
        self.rests_until = None;
        self.barred.remove(&country);
    }

    /// It did not, or nobody knows. Says whether it rests from now on, when it did not before.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        let rested = self.failures >= FAILURES_BEFORE_REST;
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_BEFORE_REST {
            self.rests_until = Some(now + doubled(REST_FIRST, self.failures - FAILURES_BEFORE_REST, REST_MAX));
        }
        !rested && self.failures >= FAILURES_BEFORE_REST
    }

    /// It asks to be left alone for so long.
    pub(super) fn busy(&mut self, now: Instant, wait: Duration) {
        self.rests_until = Some(now + wait.min(REST_MAX));
    }

    /// The operator must do something first: no credit, a wrong password, a country that is not enabled. Which of these it is
    /// only the network knows; so it is barred from the number's country at once, and rests for the others.
    pub(super) fn not_allowed(&mut self, now: Instant, country: u16) -> bool {
        let again = self.barred.get(&country).map_or(0, |(_, times)| *times);
        self.barred.insert(country, (now + doubled(BAR_FIRST, again, BAR_MAX), again.saturating_add(1)));
        self.busy(now, REST_FIRST);
        again == 0
    }

    pub(super) fn rests(&self, now: Instant) -> Option<Duration> {
        let left = self.rests_until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    pub(super) fn barred(&self, now: Instant, country: u16) -> Option<Duration> {
        let left = self.barred.get(&country)?.0.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// A message arrived in this country.
    pub(super) fn arrived(&mut self, country: u16) {
        self.losing.remove(&country);
    }

    /// A message that the network took did not arrive in this country. Says whether the route rests there from now on, when it did not
    /// before.
    pub(super) fn did_not_arrive(&mut self, now: Instant, country: u16) -> bool {
        let (losses, rests_until) = self.losing.entry(country).or_default();
        *losses = losses.saturating_add(1);
        if let Some(beyond) = losses.checked_sub(FAILURES_BEFORE_REST) {
            *rests_until = Some(now + doubled(LOSING_REST_FIRST, beyond, LOSING_REST_MAX));
        }
        *losses == FAILURES_BEFORE_REST
    }

    /// Do other routes go first for numbers of this country, since little arrives there?
    pub(super) fn loses(&self, now: Instant, country: u16) -> bool {
        self.losing.get(&country).and_then(|(_, until)| *until).is_some_and(|until| until > now)
    }

    /// In how many countries little arrives.
    pub(super) fn countries_losing(&self, now: Instant) -> usize {
        self.losing.values().filter(|(_, until)| until.is_some_and(|until| until > now)).count()
    }

    /// In how many countries it may not send.
    pub(super) fn countries_barred(&self, now: Instant) -> usize {
        self.barred.values().filter(|(until, _)| *until > now).count()
    }
}

fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    first.saturating_mul(1u32.checked_shl(times).unwrap_or(u32::MAX)).min(max)
}

/// One bad number is no reason: whoever types nonsense would send the route to rest.
const FAILURES_BEFORE_REST: u32 = 3;
const REST_FIRST: Duration = Duration::from_secs(30);
const REST_MAX: Duration = Duration::from_secs(15 * 60);
const BAR_FIRST: Duration = Duration::from_secs(5 * 60);
const BAR_MAX: Duration = Duration::from_secs(20 * 60);
/// Reports come minutes after the message: a short rest would be over before it is known whether it helped.
const LOSING_REST_FIRST: Duration = Duration::from_secs(10 * 60);
const LOSING_REST_MAX: Duration = Duration::from_secs(2 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_rests_after_three_failures_in_a_row_and_longer_each_time() {
        let now = Instant::now();
        let mut route = RouteState::default();
        for (secs, first) in [
            (0, false),
            (0, false),
            (30, true),
            (60, false),
            (120, false),
            (240, false),
            (480, false),
            (900, false),
            (900, false),
        ] {
            assert_eq!(route.failed(now), first);
            assert_eq!(route.rests(now), (secs > 0).then(|| Duration::from_secs(secs)));
        }
        route.worked(49);
        assert_eq!(route.rests(now), None);
        assert!(!route.failed(now));
    }

    #[test]
    fn what_is_not_allowed_bars_one_country_and_only_delays_the_others() {
        let now = Instant::now();
        let mut route = RouteState::default();
        assert!(route.not_allowed(now, 49));
        assert_eq!(route.barred(now, 49), Some(BAR_FIRST));
        assert_eq!((route.barred(now, 43), route.rests(now)), (None, Some(REST_FIRST)));
        let later = now + BAR_FIRST;
        assert_eq!(route.barred(later, 49), None);
        assert!(!route.not_allowed(later, 49));
        assert_eq!(route.barred(later, 49), Some(BAR_FIRST * 2));
        assert_eq!(route.countries_barred(later), 1);
        route.worked(49);
        assert_eq!(route.barred(later, 49), None);
    }
}
