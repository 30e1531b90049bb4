//! By which way a number is challenged, and whether at all: routes, failover, budgets, breakers. Nothing is sent here (`sms`), and
//! what a code is worth is another room's (`account`).
//!
//! How a challenge goes: [`Dispatcher::begin`] chooses a route and charges the budgets; the message is sent; [`Dispatcher::ended`]
//! is told how that went, gives back what was not spent, and may choose another route. When the user has typed the code in:
//! [`Dispatcher::proved`].
//!
//! **Choice of the route.** Among the routes that reach the number: those of the challenge that the client prefers first; where the
//! client asks for a fallback, those last that this number had before; routes that rest because they failed behind the others; for
//! the rest the operator's order. A message whose outcome is unknown is not sent again by another route: the user may get it.
//!
//! **What bounds the cost.** A challenge that costs something needs a place in each of: the day of the whole node ([`Plan::day_max`]);
//! the day of its route; the day of its block of ten thousand numbers; and, if it goes to another country than the node's own, half of
//! the node's day, and ten blocks' worth for all numbers with the same next three digits. A block whose codes nobody types in is closed
//! by a breaker (after [`UNPROVEN_MAX`], abroad also a prefix after [`UNPROVEN_ABROAD_MAX`]) for half an hour, then longer; and a quarter
//! of the day is kept for blocks that owe no proof. So whoever lets messages be sent for money, or out of spite, gets five a block, and
//! users of other blocks do not notice.
//!
//! **Reports.** Where a network reports what became of a message ([`Dispatcher::await_report`], [`Dispatcher::reported`]), it is
//! counted; what did not arrive goes out again by another route ([`Dispatcher::again`]); a route whose messages do not arrive in a
//! country is used last there, and a number whose message did not arrive is challenged by another route the next time. Nothing is
//! proved and nothing given back by a report.
//!
//! **Memory.** Counters of at most [`DISPATCH_PREFIXES_MAX`] prefixes under keyed hashes: no number is kept. [`Dispatcher::changes`] gives what
//! should survive a restart, [`Dispatcher::restore`] takes it back.

mod alert;
mod counter;
mod counter_key;
mod facts;
mod health;
mod plan;
mod reports;
#[cfg(test)]
mod tests;
mod trip;

pub use alert::{Alert, Cause};
pub use counter::Kept;
pub use counter_key::CounterKey;
pub use facts::{Facts, RouteFacts};
pub use plan::{Countries, Plan, ROUTES_MAX, Route};
pub use reports::{Arrival, EARLY_TTL, REPORT_TTL};
pub use trip::{Next, Outcome, Refused, Trip, Wish};

use std::collections::HashSet;
use std::time::Instant;

use crate::jid::BareJid;
use crate::limits::{BoundedMap, CHALLENGES_MAX, CODE_TTL, DISPATCH_PREFIXES_MAX};
use crate::phone::{ChallengeKind, HashKey, KeyedHash, PhoneNumber};
use crate::stanza::Timestamp;
use alert::Alerts;
use counter::Prefix;
use counter_key::CounterKind;
use health::RouteState;
use reports::Awaited;

/// Decides how challenges go out. One per node.
#[derive(Debug)]
pub struct Dispatcher {
    plan: Plan,
    key: HashKey,
    /// Only their days are used.
    all: Prefix,
    abroad: Prefix,
    routes: Vec<RouteState>,
    prefixes: BoundedMap<KeyedHash, Prefix>,
    /// What was sent to whom lately.
    recent: BoundedMap<KeyedHash, Recent>,
    awaited: Awaited,
    alerts: Alerts,
    changed: HashSet<CounterKey>,
}

#[derive(Debug)]
struct Recent {
    until: Instant,
    /// Routes used, the last last.
    routes: Vec<usize>,
    /// Those whose network says that the message did not arrive.
    lost: Vec<usize>,
    block: KeyedHash,
    wide: Option<KeyedHash>,
    charged: bool,
}

impl Dispatcher {
    /// Nothing sent yet. `secret` is random and stays the same over restarts, so that kept counters are found again.
    pub fn new(mut plan: Plan, secret: [u8; 32]) -> Dispatcher {
        plan.routes.truncate(ROUTES_MAX);
        Dispatcher {
            routes: plan.routes.iter().map(|_| RouteState::default()).collect(),
            plan,
            key: HashKey::new(secret),
            all: Prefix::default(),
            abroad: Prefix::default(),
            prefixes: BoundedMap::new(DISPATCH_PREFIXES_MAX),
            recent: BoundedMap::new(CHALLENGES_MAX),
            awaited: Awaited::default(),
            alerts: Alerts::default(),
            changed: HashSet::new(),
        }
    }

    /// What the operator decided.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The operator decided anew how many codes may go out in a day, in all and to numbers that begin alike.
    pub fn set_budgets(&mut self, day_max: u32, block_day_max: u32) {
        (self.plan.day_max, self.plan.block_day_max) = (day_max, block_day_max);
    }

    /// The node's own country became known, as when the modem has read its SIM. What the operator said before goes first.
    pub fn learn_home(&mut self, country: u16) {
        self.plan.home.get_or_insert(country);
    }

    /// Is the number one that codes are sent to at all? To be asked before anything else: it costs nothing and tells nothing.
    pub fn serves(&self, number: &PhoneNumber) -> Result<(), Refused> {
        let served = self.plan.serves(number) && self.plan.routes.iter().any(|route| route.reaches(number));
        if served { Ok(()) } else { Err(Refused::Country) }
    }

    /// Chooses a route and charges the budgets. What is refused costs nothing.
    pub fn begin(&mut self, now: Instant, wish: &Wish<'_>) -> Result<Trip, Refused> {
        self.serves(wish.number)?;
        let abroad = self.plan.knows_home() && !self.plan.is_home(wish.number);
        let wide = !self.plan.is_home(wish.number);
        let address = self.key.hash("address", &[wish.address.as_str().as_bytes()]);
        let recent = self.recent.get(&address).filter(|recent| recent.until > now);
        let mut trip = Trip {
            address,
            country: wish.number.country_code(),
            abroad,
            block: self.key.hash("block", &[wish.number.block(BLOCK_DIGITS).digits().as_bytes()]),
            wide: wide.then(|| self.wide_key(wish.number)),
            routes: Vec::new(),
            legs_left: LEGS_MAX,
            had: recent.map_or(Vec::new(), |recent| recent.routes.clone()),
            lost: recent.map_or(Vec::new(), |recent| recent.lost.clone()),
        };
        trip.routes = self.order(now, wish, &trip)?;
        if !self.kind_of(trip.route()).is_free() {
            self.check(now, &trip)?;
        }
        self.charge(now, &trip);
        Ok(trip)
    }

    /// A route tried to send. What was not sent is given back; then another route may be tried.
    pub fn ended(&mut self, now: Instant, trip: &mut Trip, outcome: Outcome) -> Next {
        let (index, country) = (trip.route(), trip.country);
        let name = self.plan.routes.get(index).map_or_else(String::new, |route| route.name.clone());
        let Some(route) = self.routes.get_mut(index) else { return Next::Failed };
        self.changed.insert(key_of_route(&self.key, &name));
        match outcome {
            Outcome::Accepted => {
                route.worked(country);
                return Next::Done;
            }
            Outcome::Unknown | Outcome::Lost => {
                route.counter.day.unknown = route.counter.day.unknown.saturating_add(1);
                if route.failed(now) {
                    self.alerts.raise(now, Cause::RouteFails { route: name });
                }
                return if outcome == Outcome::Unknown { Next::Done } else { Next::Failed };
            }
            Outcome::Refused if route.failed(now) => self.alerts.raise(now, Cause::RouteFails { route: name }),
            Outcome::Refused => {}
            Outcome::Busy(wait) => route.busy(now, wait),
            Outcome::NotAllowed => {
                if route.not_allowed(now, country) {
                    self.alerts.raise(now, Cause::RouteNotAllowed { route: name, country });
                }
            }
        }
        if let Some(route) = self.routes.get_mut(index) {
            route.counter.day.failed = route.counter.day.failed.saturating_add(1);
        }
        self.refund(trip);
        trip.legs_left = trip.legs_left.saturating_sub(1);
        trip.routes.remove(0);
        if trip.legs_left == 0 || trip.routes.is_empty() {
            return Next::Failed;
        }
        // The place was given back a moment ago; only a free route's successor may find none.
        if !self.kind_of(trip.route()).is_free() && self.check(now, trip).is_err() {
            return Next::Failed;
        }
        self.charge(now, trip);
        Next::Another
    }

    /// A challenge was given up before a route tried it: all is given back.
    pub fn dropped(&mut self, trip: &Trip) {
        self.refund(trip);
    }

    /// The operator sent a test by a route: it counts for that route alone, and tells how it is.
    pub fn tested(&mut self, now: Instant, route: usize, number: &PhoneNumber, outcome: Outcome) {
        let Some(state) = self.routes.get_mut(route) else { return };
        let day = &mut state.counter.day;
        match outcome {
            Outcome::Accepted | Outcome::Unknown | Outcome::Lost => day.charge(now),
            Outcome::Refused | Outcome::Busy(_) | Outcome::NotAllowed => day.failed = day.failed.saturating_add(1),
        }
        match outcome {
            Outcome::Accepted => state.worked(number.country_code()),
            Outcome::Unknown | Outcome::Lost => day.unknown = day.unknown.saturating_add(1),
            Outcome::Refused | Outcome::Busy(_) | Outcome::NotAllowed => {}
        }
    }

    /// The user of this address has proved his number.
    pub fn proved(&mut self, address: &BareJid) {
        let address = self.key.hash("address", &[address.as_str().as_bytes()]);
        let Some(recent) = self.recent.remove(&address) else { return };
        if let Some(index) = recent.routes.last()
            && let (Some(state), Some(route)) = (self.routes.get_mut(*index), self.plan.routes.get(*index))
        {
            state.counter.day.verified = state.counter.day.verified.saturating_add(1);
            self.changed.insert(key_of_route(&self.key, &route.name));
        }
        if !recent.charged {
            return;
        }
        for (key, unproven_max) in prefixes_of(recent.block, recent.wide) {
            if let Some(prefix) = self.prefixes.get_mut(&key) {
                prefix.proved(unproven_max);
                self.changed.insert(CounterKey { kind: CounterKind::Prefix, hash: key });
            }
        }
        self.all.day.verified = self.all.day.verified.saturating_add(1);
        self.changed.insert(self.single(CounterKind::All));
    }

    /// What the operator is to be told; once.
    pub fn take_alerts(&mut self) -> Vec<Alert> {
        self.alerts.take()
    }

    /// How things are.
    pub fn facts(&self, now: Instant) -> Facts {
        let routes = self.plan.routes.iter().zip(&self.routes).map(|(route, state)| {
            let current = |day: counter::Day| if day.is_over(now) { counter::Day::default() } else { day };
            let (day, reports) = (current(state.counter.day), current(state.reports));
            RouteFacts {
                name: route.name.clone(),
                kind: route.kind,
                sent: day.sent,
                verified: day.verified,
                failed: day.failed,
                unknown: day.unknown,
                resting: state.rests(now),
                countries_barred: state.countries_barred(now),
                reportable: reports.sent,
                arrived: reports.verified,
                not_arrived: reports.failed,
                countries_losing: state.countries_losing(now),
                left: route.day_max.map(|max| day.left(now, max)),
            }
        });
        Facts {
            routes: routes.collect(),
            left: self.all.day.left(now, self.plan.day_max),
            abroad_left: self.plan.knows_home().then(|| self.abroad.day.left(now, self.abroad_max())),
            prefixes_closed: self.prefixes.iter().filter(|(_, prefix)| prefix.is_open(now)).count(),
            home: self.plan.home,
        }
    }

    /// Has anything changed that [`Dispatcher::changes`] would give?
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What changed since the last call and should survive a restart; `None`: it is over, and can go. Forgets what is over.
    pub fn changes(&mut self, now: Instant, wall: Timestamp) -> Vec<(CounterKey, Option<Kept>)> {
        let mut over = Vec::new();
        self.prefixes.retain(|key, prefix| {
            let keep = !prefix.is_over(now);
            if !keep {
                over.push(CounterKey { kind: CounterKind::Prefix, hash: *key });
            }
            keep
        });
        self.recent.retain(|_, recent| recent.until > now);
        self.awaited.forget(now);
        self.changed.extend(over);
        self.unkept(now, wall)
    }

    /// The same without forgetting anything, and so quick enough for every message.
    pub fn unkept(&mut self, now: Instant, wall: Timestamp) -> Vec<(CounterKey, Option<Kept>)> {
        let changed: Vec<CounterKey> = self.changed.drain().collect();
        changed.into_iter().map(|key| (key, self.counter(key).map(|c| Kept::of(&c, now, wall)))).collect()
    }

    /// What [`Dispatcher::unkept`] gave could not be kept: it is given again.
    pub fn not_kept(&mut self, changed: impl IntoIterator<Item = CounterKey>) {
        self.changed.extend(changed);
    }

    /// Takes back what an earlier process kept. Gives what is over, and can go.
    pub fn restore(
        &mut self,
        now: Instant,
        wall: Timestamp,
        kept: impl IntoIterator<Item = (CounterKey, Kept)>,
    ) -> Vec<CounterKey> {
        let mut over = Vec::new();
        for (key, kept) in kept {
            let counter = kept.revive(now, wall);
            let known = match key.kind {
                CounterKind::All if key == self.single(CounterKind::All) => Some(&mut self.all),
                CounterKind::Abroad if key == self.single(CounterKind::Abroad) => Some(&mut self.abroad),
                CounterKind::Route => {
                    let index = self.route_with_hash(key.hash);
                    index.and_then(|index| self.routes.get_mut(index)).map(|state| &mut state.counter)
                }
                CounterKind::Reports => {
                    let known = self.route_with_hash(key.hash).and_then(|index| self.routes.get_mut(index));
                    match known.filter(|_| !counter.is_over(now)) {
                        Some(state) => state.reports = counter.day,
                        None => over.push(key),
                    }
                    continue;
                }
                CounterKind::Prefix if !counter.is_over(now) => {
                    self.prefixes.insert(key.hash, counter);
                    continue;
                }
                _ => None,
            };
            match known {
                Some(place) => *place = counter,
                None => over.push(key),
            }
        }
        over
    }

    /// The routes to try, in order.
    fn order(&self, now: Instant, wish: &Wish<'_>, trip: &Trip) -> Result<Vec<usize>, Refused> {
        let mut waits = Vec::new();
        let mut routes: Vec<(u8, usize)> = Vec::new();
        for (index, (route, state)) in self.plan.routes.iter().zip(&self.routes).enumerate() {
            if !route.reaches(wish.number) {
                continue;
            }
            let budget = route.day_max.map_or(Ok(()), |max| state.counter.day.check(now, max));
            if let Some(wait) = state.barred(now, trip.country).or(budget.err()) {
                waits.push(wait);
                continue;
            }
            // Kontalk registration, choice of the provider: the challenge that the client names, else its wish for another way.
            let unwanted = wish.challenge.is_some_and(|wanted| wanted != route.kind.as_challenge());
            let had = (wish.fallback && trip.had.contains(&index)) || trip.lost.contains(&index);
            let resting = state.rests(now).is_some() || state.loses(now, trip.country);
            routes.push((u8::from(had) * 4 + u8::from(unwanted) * 2 + u8::from(resting), index));
        }
        routes.sort();
        if routes.is_empty() {
            return Err(waits.into_iter().min().map_or(Refused::Country, Refused::Routes));
        }
        Ok(routes.into_iter().map(|(_, index)| index).collect())
    }

    fn check(&self, now: Instant, trip: &Trip) -> Result<(), Refused> {
        let clean = self.prefixes.get(&trip.block).is_none_or(|block| block.unproven == 0 || block.is_over(now));
        let day_max = if clean { self.plan.day_max } else { self.plan.day_max - self.plan.day_max / RESERVE_SHARE };
        self.all.day.check(now, day_max).map_err(Refused::Budget)?;
        if trip.abroad {
            self.abroad.day.check(now, self.abroad_max()).map_err(Refused::Budget)?;
        }
        let block = self.prefixes.get(&trip.block).map_or(Ok(()), |p| p.check(now, self.plan.block_day_max));
        let wide = trip.wide.as_ref().and_then(|wide| self.prefixes.get(wide));
        let wide = wide.map_or(Ok(()), |p| p.check(now, self.wide_day_max()));
        match (block, wide) {
            (Err(one), Err(other)) => Err(Refused::Prefix(one.max(other))),
            (Err(wait), _) | (_, Err(wait)) => Err(Refused::Prefix(wait)),
            (Ok(()), Ok(())) => Ok(()),
        }
    }

    fn charge(&mut self, now: Instant, trip: &Trip) {
        let index = trip.route();
        let Some((route, state)) = self.plan.routes.get(index).zip(self.routes.get_mut(index)) else { return };
        state.counter.day.charge(now);
        self.changed.insert(key_of_route(&self.key, &route.name));
        if let Some(max) = route.day_max
            && state.counter.day.sent == max
        {
            self.alerts.raise(now, Cause::RouteBudget { route: route.name.clone(), max });
        }
        let charged = !route.kind.is_free();
        self.remember(now, trip, charged);
        if !charged {
            return;
        }
        self.all.day.charge(now);
        self.changed.insert(self.single(CounterKind::All));
        if self.all.day.sent == self.plan.day_max {
            self.alerts.raise(now, Cause::DayBudget { max: self.plan.day_max });
        }
        if trip.abroad {
            self.abroad.day.charge(now);
            self.changed.insert(self.single(CounterKind::Abroad));
            let max = self.abroad_max();
            if self.abroad.day.sent == max {
                self.alerts.raise(now, Cause::AbroadBudget { max });
            }
        }
        for (key, unproven_max) in prefixes_of(trip.block, trip.wide) {
            if self.prefixes.get(&key).is_none()
                && let Some((evicted, _)) = self.prefixes.insert(key, Prefix::default())
            {
                self.changed.insert(CounterKey { kind: CounterKind::Prefix, hash: evicted });
            }
            let pause = self.prefixes.get_mut(&key).and_then(|prefix| prefix.charge(now, unproven_max));
            if let Some(pause) = pause {
                self.alerts.raise(now, Cause::PrefixOpened { country: trip.country, pause });
            }
            self.changed.insert(CounterKey { kind: CounterKind::Prefix, hash: key });
        }
    }

    fn refund(&mut self, trip: &Trip) {
        let index = trip.route();
        let Some((route, state)) = self.plan.routes.get(index).zip(self.routes.get_mut(index)) else { return };
        state.counter.day.refund();
        if let Some(recent) = self.recent.get_mut(&trip.address)
            && recent.routes.last() == Some(&index)
        {
            recent.routes.pop();
        }
        self.changed.insert(key_of_route(&self.key, &route.name));
        if route.kind.is_free() {
            return;
        }
        self.all.day.refund();
        self.changed.insert(self.single(CounterKind::All));
        if trip.abroad {
            self.abroad.day.refund();
            self.changed.insert(self.single(CounterKind::Abroad));
        }
        for (key, unproven_max) in prefixes_of(trip.block, trip.wide) {
            if let Some(prefix) = self.prefixes.get_mut(&key) {
                prefix.refund(unproven_max);
                self.changed.insert(CounterKey { kind: CounterKind::Prefix, hash: key });
            }
        }
    }

    fn remember(&mut self, now: Instant, trip: &Trip, charged: bool) {
        let (mut routes, mut lost) = match self.recent.get(&trip.address) {
            Some(recent) if recent.until > now => (recent.routes.clone(), recent.lost.clone()),
            _ => (Vec::new(), Vec::new()),
        };
        routes.retain(|route| *route != trip.route());
        routes.push(trip.route());
        lost.retain(|route| *route != trip.route());
        let recent = Recent { until: now + CODE_TTL, routes, lost, block: trip.block, wide: trip.wide, charged };
        self.recent.insert(trip.address, recent);
    }

    fn counter(&self, key: CounterKey) -> Option<Prefix> {
        match key.kind {
            CounterKind::All => Some(self.all),
            CounterKind::Abroad => Some(self.abroad),
            CounterKind::Prefix => self.prefixes.get(&key.hash).copied(),
            CounterKind::Route => {
                self.route_with_hash(key.hash).and_then(|index| self.routes.get(index)).map(|state| state.counter)
            }
            CounterKind::Reports => {
                let state = self.route_with_hash(key.hash).and_then(|index| self.routes.get(index))?;
                Some(Prefix { day: state.reports, ..Prefix::default() })
            }
        }
    }

    fn route_with_hash(&self, hash: KeyedHash) -> Option<usize> {
        self.plan.routes.iter().position(|route| key_of_route(&self.key, &route.name).hash == hash)
    }

    fn single(&self, kind: CounterKind) -> CounterKey {
        CounterKey { kind, hash: self.key.hash("single", &[]) }
    }

    fn wide_key(&self, number: &PhoneNumber) -> KeyedHash {
        let digits = number.country_code().to_string().len() + WIDE_DIGITS;
        self.key.hash("wide", &[number.prefix(digits).digits().as_bytes()])
    }

    fn kind_of(&self, route: usize) -> ChallengeKind {
        self.plan.routes.get(route).map_or(ChallengeKind::Text, |route| route.kind)
    }

    fn abroad_max(&self) -> u32 {
        self.plan.day_max.div_ceil(2)
    }

    fn wide_day_max(&self) -> u32 {
        self.plan.block_day_max.saturating_mul(10)
    }
}

fn key_of_route(key: &HashKey, name: &str) -> CounterKey {
    CounterKey { kind: CounterKind::Route, hash: key.hash("route", &[name.as_bytes()]) }
}

/// The prefixes that a challenge counts for, each with how many unproven codes it stands.
fn prefixes_of(block: KeyedHash, wide: Option<KeyedHash>) -> impl Iterator<Item = (KeyedHash, u32)> {
    std::iter::once((block, UNPROVEN_MAX)).chain(wide.map(|wide| (wide, UNPROVEN_ABROAD_MAX)))
}

/// Codes to one block of ten thousand numbers that nobody types in, before it must wait. One user who asks three times in a place
/// with bad reception does not reach it.
pub const UNPROVEN_MAX: u32 = 5;
/// The same for a whole prefix of another country, or of any where the node's own is not known.
pub const UNPROVEN_ABROAD_MAX: u32 = 20;
/// The last digits that do not count for a block.
const BLOCK_DIGITS: usize = 4;
/// The digits behind the country's that make a prefix abroad: usually one network.
const WIDE_DIGITS: usize = 3;
/// One part in so many of the day's codes is kept for blocks that owe no proof: who attacks some blocks all day leaves it to the others.
const RESERVE_SHARE: u32 = 4;
/// Routes that are tried for one request: the client does not wait longer.
const LEGS_MAX: u8 = 3;
