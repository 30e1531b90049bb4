//! What the operator should know at once.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

/// Something happened that costs money or users. Its text is for the log and for the administrators; it names no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What.
    pub cause: Cause,
    /// How often the like happened since it was last told.
    pub untold: u32,
}

/// Why there is an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Codes to numbers that begin alike were not typed in by anybody: no more go there for a while.
    PrefixOpened {
        /// The country's calling code.
        country: u16,
        /// How long.
        pause: Duration,
    },
    /// All codes of the day are used up.
    DayBudget {
        /// How many there were.
        max: u32,
    },
    /// All codes for other countries are used up for the day.
    AbroadBudget {
        /// How many there were.
        max: u32,
    },
    /// A route's codes of the day are used up.
    RouteBudget {
        /// Its name.
        route: String,
        /// How many there were.
        max: u32,
    },
    /// A route failed several times in a row.
    RouteFails {
        /// Its name.
        route: String,
    },
    /// A route's network took several messages to a country, and says that none of them arrived.
    RouteLoses {
        /// Its name.
        route: String,
        /// The country's calling code.
        country: u16,
    },
    /// A route's network does not let us send to a country.
    RouteNotAllowed {
        /// Its name.
        route: String,
        /// The country's calling code.
        country: u16,
    },
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::PrefixOpened { country, pause } => write!(
                f,
                "codes to numbers of +{country} that begin alike are asked for and not used; none go there for {} minutes (remedy: none \
                 is needed, this is what stops people who earn from messages; if they are honest users, look whether codes arrive)",
                pause.as_secs() / 60
            ),
            Cause::DayBudget { max } => write!(
                f,
                "the limit of {max} codes in 24 hours is reached, newcomers must wait (remedy: raise registration.codes_per_day_max if \
                 these are honest users)"
            ),
            Cause::AbroadBudget { max } => write!(
                f,
                "the limit of {max} codes in 24 hours to other countries is reached; users of the node's own still get theirs (remedy: \
                 name the countries you want to serve in sms.countries)"
            ),
            Cause::RouteBudget { route, max } => write!(
                f,
                "the route {route} has sent its {max} codes of 24 hours; the next one in sms.routes is used (remedy: raise its max)"
            ),
            Cause::RouteFails { route } => write!(
                f,
                "the route {route} failed several times in a row and is used last (remedy: kontalk-node sms status, and see the log)"
            ),
            Cause::RouteLoses { route, country } => write!(
                f,
                "messages that the route {route} took for +{country} do not arrive, by its own reports; it is used last there (remedy: \
                 none if there is another route; else ask the provider, or name another sender)"
            ),
            Cause::RouteNotAllowed { route, country } => write!(
                f,
                "the route {route} may not send to +{country} (remedy: see the log; check its credit, its account, and the countries it \
                 is enabled for)"
            ),
        }?;
        match self.untold {
            0 => Ok(()),
            count => write!(f, "; {count} more such since it was last told"),
        }
    }
}

/// Tells each kind of alert at most once an hour, however often it happens: an attack on three hundred prefixes is one event.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    told: HashMap<(u8, String), (Instant, u32)>,
    waiting: Vec<Alert>,
}

impl Alerts {
    pub(super) fn raise(&mut self, now: Instant, cause: Cause) {
        let (kind, route) = match &cause {
            Cause::PrefixOpened { .. } => (0, ""),
            Cause::DayBudget { .. } => (1, ""),
            Cause::AbroadBudget { .. } => (2, ""),
            Cause::RouteBudget { route, .. } => (3, route.as_str()),
            Cause::RouteFails { route } => (4, route.as_str()),
            Cause::RouteNotAllowed { route, .. } => (5, route.as_str()),
            Cause::RouteLoses { route, .. } => (6, route.as_str()),
        };
        let told = self.told.entry((kind, route.to_owned()));
        match told {
            std::collections::hash_map::Entry::Occupied(mut told) => {
                let (at, untold) = told.get_mut();
                if now.saturating_duration_since(*at) < QUIET {
                    *untold = untold.saturating_add(1);
                    return;
                }
                let untold = std::mem::take(untold);
                *at = now;
                self.waiting.push(Alert { cause, untold });
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert((now, 0));
                self.waiting.push(Alert { cause, untold: 0 });
            }
        }
    }

    pub(super) fn take(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.waiting)
    }
}

const QUIET: Duration = Duration::from_secs(3600);
