//! What the operator decides about sending: ways, countries, budgets.

use crate::limits::{CODES_PER_DAY_MAX, PREFIX_CODES_PER_DAY_MAX};
use crate::phone::{Area, ChallengeKind, PhoneNumber};

/// How challenges go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The ways, the first first; at most [`ROUTES_MAX`].
    pub routes: Vec<Route>,
    /// Which numbers are served.
    pub countries: Countries,
    /// The calling code of the node's own country, where it is known: where sending is cheap and users are expected.
    pub home: Option<u16>,
    /// Codes in 24 hours, to all numbers together: what the node may cost.
    pub day_max: u32,
    /// Codes in 24 hours to one block of ten thousand numbers, all but the last four digits being equal; and ten times as many
    /// abroad to all numbers that have the country and the next three digits in common.
    pub block_day_max: u32,
}

impl Plan {
    /// One way for everybody, with all defaults.
    pub fn new(routes: Vec<Route>) -> Plan {
        Plan {
            routes,
            countries: Countries::Home,
            home: None,
            day_max: CODES_PER_DAY_MAX,
            block_day_max: PREFIX_CODES_PER_DAY_MAX,
        }
    }

    /// Does the operator want to serve this number?
    pub(super) fn serves(&self, number: &PhoneNumber) -> bool {
        match (&self.countries, self.home) {
            (Countries::All, _) | (Countries::Home, None) => true,
            (Countries::Home, Some(home)) => number.country_code() == home,
            (Countries::These(areas), _) => areas.iter().any(|area| area.covers(number)),
        }
    }

    /// Is the number one of the node's own country, as far as anybody knows which that is?
    pub(super) fn is_home(&self, number: &PhoneNumber) -> bool {
        match (self.home, &self.countries) {
            (Some(home), _) => number.country_code() == home,
            (None, Countries::These(areas)) => areas.first().is_some_and(|first| first.covers(number)),
            (None, _) => false,
        }
    }

    /// Is a home known at all, so that there is an abroad?
    pub(super) fn knows_home(&self) -> bool {
        self.home.is_some() || matches!(&self.countries, Countries::These(areas) if !areas.is_empty())
    }
}

/// One way to challenge a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What the operator calls it; unlike all others.
    pub name: String,
    /// What it does.
    pub kind: ChallengeKind,
    /// The only numbers it is for; empty: all.
    pub areas: Vec<Area>,
    /// Codes in 24 hours by this way, if it has a budget of its own.
    pub day_max: Option<u32>,
}

impl Route {
    /// A way for all numbers, with no budget of its own.
    pub fn new(name: &str, kind: ChallengeKind) -> Route {
        Route { name: name.to_owned(), kind, areas: Vec::new(), day_max: None }
    }

    pub(super) fn reaches(&self, number: &PhoneNumber) -> bool {
        self.areas.is_empty() || self.areas.iter().any(|area| area.covers(number))
    }
}

/// Which numbers are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Countries {
    /// Those of the node's own country; all as long as that is not known.
    Home,
    /// All.
    All,
    /// Those that begin so. Where no other home is known, the first of them is home.
    These(Vec<Area>),
}

/// Routes of one node; each is a line of the configuration.
pub const ROUTES_MAX: usize = 16;
