//! A provider's answer, and what its status alone says.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

use super::SmsError;
use crate::limits::SMS_REST_MAX;

/// What came back. Never printed: providers quote the number.
pub(super) struct Answer {
    pub(super) status: u16,
    /// How long the provider wants to be left in peace (RFC 9110 §10.2.3), if it says so in seconds.
    pub(super) retry_after: Option<Duration>,
    /// `None`: it was cut short, came too slowly or was too large.
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
}

impl Answer {
    /// The body as JSON, if it is that and whole.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(self.body.as_ref()?).ok()
    }

    /// The body as text, if it is that and whole.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.body.as_ref()?).ok()
    }

    /// What the status says of a message, where the body says nothing better. RFC 9110 §15: a fault of the client (4xx) means
    /// that nothing was done; after one of the server (5xx) nobody knows, but for 503, which is said instead of doing it.
    pub(super) fn by_status(&self) -> SmsError {
        match self.status {
            401 | 403 => SmsError::NotAllowed(LOGIN.into()),
            402 => SmsError::NotAllowed(CREDIT.into()),
            300..=399 => SmsError::NotAllowed(MOVED.into()),
            404 | 405 | 410 => SmsError::NotAllowed(NO_SUCH_PAGE.into()),
            408 | 425 | 429 => SmsError::Later(BUSY.into(), self.rest(RATE_REST)),
            400..=499 => SmsError::Refused(REFUSED.into()),
            503 => SmsError::Later(UNAVAILABLE.into(), self.rest(OUTAGE_REST)),
            200..=299 if self.body.is_none() => SmsError::Unknown(CUT_SHORT.into()),
            200..=299 => SmsError::Unknown(STRANGE.into()),
            _ => SmsError::Unknown(BROKEN.into()),
        }
    }

    /// As the provider asks for, within reason, or as is usual.
    pub(super) fn rest(&self, usual: Duration) -> Duration {
        self.retry_after.unwrap_or(usual).clamp(Duration::from_secs(1), SMS_REST_MAX)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({} …)", self.status)
    }
}

/// A text or number of a JSON value, as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// How a network calls a message, if that is something to remember.
pub(super) fn reference(value: Option<&Value>) -> Option<String> {
    scalar(value?).filter(|text| (1..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic()))
}

/// After "too many".
pub(super) const RATE_REST: Duration = Duration::from_secs(15);
/// After "out of order".
pub(super) const OUTAGE_REST: Duration = Duration::from_secs(60);

pub(super) const LOGIN: &str =
    "the provider does not accept user and secret, or the account is closed (remedy: check both in its console)";
pub(super) const CREDIT: &str = "the provider's account has no credit left (remedy: add some)";
pub(super) const BUSY: &str = "the provider takes no more messages just now";
pub(super) const UNAVAILABLE: &str = "the provider is out of order";
pub(super) const REFUSED: &str = "the provider does not take this message";
const MOVED: &str = "the provider's page has moved (remedy: check the url)";
const NO_SUCH_PAGE: &str = "the provider has no such page or account (remedy: check the url and the account)";
const CUT_SHORT: &str = "the provider's answer was cut short";
const STRANGE: &str = "the provider's answer has a form we do not know";
const BROKEN: &str = "the provider had a fault of its own";

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<u64>) -> Answer {
        Answer { status, retry_after: retry_after.map(Duration::from_secs), body: Some(Vec::new().into()) }
    }

    #[test]
    fn a_status_says_what_became_of_the_message() {
        for status in 100..=599 {
            let outcome = answer(status, None).by_status();
            let expected = match status {
                300..=399 | 401..=405 | 410 if status != 400 => "not allowed",
                408 | 425 | 429 | 503 => "later",
                400..=499 => "refused",
                _ => "unknown",
            };
            let is = match outcome {
                SmsError::Refused(_) => "refused",
                SmsError::NotAllowed(_) => "not allowed",
                SmsError::Later(..) => "later",
                SmsError::Unknown(_) => "unknown",
            };
            assert_eq!(is, expected, "{status}");
        }
    }

    #[test]
    fn rests_are_as_asked_for_within_reason() {
        for (asked, rest) in [(None, 15), (Some(0), 1), (Some(120), 120), (Some(1_000_000), 3600)] {
            assert_eq!(answer(429, asked).by_status().rest(), Some(Duration::from_secs(rest)), "{asked:?}");
        }
        assert_eq!(answer(503, None).by_status().rest(), Some(OUTAGE_REST));
    }

    #[test]
    fn references_are_short_words() {
        for (json, expected) in [
            (r#""SM1""#, Some("SM1")),
            ("17", Some("17")),
            (r#""""#, None),
            (r#""a b""#, None),
            ("null", None),
            ("[1]", None),
        ] {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(reference(Some(&value)).as_deref(), expected, "{json}");
        }
    }
}
