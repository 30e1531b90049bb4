//! Moments on the wire: XEP-0082 date-times, and the delay element of XEP-0203.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::jid::BareJid;
use crate::xml::{Element, ns};

/// A moment of the world's clock in milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub millis: u64,
}

impl Timestamp {
    /// From the system's type; moments before 1970 become 1970.
    pub fn from_system(time: SystemTime) -> Timestamp {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp { millis: u64::try_from(since.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Whole seconds since 1970.
    pub fn secs(self) -> u64 {
        self.millis / 1000
    }

    /// Later by this much.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Timestamp {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Timestamp { millis: self.millis.saturating_add(millis) }
    }

    /// How long ago `earlier` was; zero if it was not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.millis.saturating_sub(earlier.millis))
    }

    /// Reads a XEP-0082 DateTime.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let millis = u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok()?;
        Some(Timestamp { millis })
    }
}

impl fmt::Display for Timestamp {
    /// XEP-0082 §3.2, in UTC with three decimals, as old clients expect it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = i64::try_from(self.secs()).unwrap_or(i64::MAX);
        let moment = OffsetDateTime::from_unix_timestamp(secs).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, clock) = (moment.date(), moment.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second(),
            self.millis % 1000
        )
    }
}

/// The delay element: who held the stanza, and since when. XEP-0203 §2.
pub fn delay(from: &BareJid, stamp: Timestamp) -> Element {
    Element::new("delay", ns::DELAY).with("from", from.as_str()).with("stamp", stamp.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_have_three_decimals_and_read_back() {
        let stamp = Timestamp { millis: 1_633_608_000_005 };
        assert_eq!(stamp.to_string(), "2021-10-07T12:00:00.005Z");
        assert_eq!(Timestamp::parse("2021-10-07T12:00:00.005Z"), Some(stamp));
        assert_eq!(Timestamp::parse("2021-10-07T14:00:00.005+02:00"), Some(stamp));
        assert_eq!(Timestamp::parse("yesterday"), None);
    }
}
