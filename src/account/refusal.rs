//! Every reason to refuse a registration request, and the one table that puts each on the wire.

use std::time::Duration;

use crate::phone::PhoneError;
use crate::stanza::{ErrorType, StanzaCondition, StanzaError};

/// Why a request was refused. Clients look at condition and type only; the text is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The operator has switched registration off.
    Disabled,
    /// There are terms, and the user has not accepted them.
    TermsNotAccepted,
    /// The number is none.
    BadNumber(PhoneError),
    /// The form has none of the fields we know, or the request is no get or set.
    NothingKnown,
    /// The code is wrong, used up, expired or was never sent: which of them is nobody's business.
    BadCode,
    /// The client presented no certificate with an OpenPGP key, or a key that cannot be certified for its address.
    BadKey,
    /// The number has an account here or on another node.
    NumberInUse,
    /// Too many attempts; how long until one more is allowed.
    Throttled {
        /// The wait.
        wait: Duration,
    },
    /// The text message was not sent.
    SmsFailed,
    /// The operator serves other countries than the number's, or has no way to reach it.
    CountryNotServed,
    /// A message may come whose code nobody can judge.
    CodeLost,
    /// Codes to numbers that begin alike are stopped for a while; how long.
    PrefixPaused {
        /// The wait.
        wait: Duration,
    },
    /// The codes that the operator allows for a day are used up; how long until the next day.
    BudgetSpent {
        /// The wait.
        wait: Duration,
    },
    /// No way to send works at present; how long until one is tried again.
    NoRoute {
        /// The wait.
        wait: Duration,
    },
    /// Too many messages are on their way at once.
    Busy,
    /// The call or the message that the number was to send has not come yet.
    NothingHeard,
    /// The provider that sent the code does not say whether it is right.
    NotJudged,
    /// The key comes from another network than the one that asked for the challenge.
    OtherNetwork,
    /// The revocation of the old key does not fit the account.
    RevocationWrong,
    /// The token names no parked key, or the client may not do this.
    NotAuthorized,
    /// A known request that this node does not serve.
    NotServed,
    /// The store or the key failed.
    Fault,
}

impl Refusal {
    /// Condition, type and text. Kontalk registration, errors: the types are those that clients were made for, and differ
    /// from the usual ones of RFC 6120 §8.3.3 for 409, 500 and 503.
    pub fn to_error(self) -> StanzaError {
        let (condition, kind, text) = match self {
            Refusal::Disabled => {
                (StanzaCondition::NotAllowed, ErrorType::Cancel, "This server registers nobody at present.")
            }
            Refusal::TermsNotAccepted => {
                (StanzaCondition::BadRequest, ErrorType::Modify, "The terms of service must be accepted.")
            }
            Refusal::BadNumber(error) => {
                return StanzaError::new(StanzaCondition::BadRequest)
                    .of_type(ErrorType::Modify)
                    .text(format!("This is no telephone number: {error}."));
            }
            Refusal::NothingKnown => {
                (StanzaCondition::BadRequest, ErrorType::Modify, "The form needs a telephone number or a code.")
            }
            Refusal::BadCode => (
                StanzaCondition::BadRequest,
                ErrorType::Modify,
                "The code is wrong or no longer good. After five wrong ones a new code is needed.",
            ),
            Refusal::BadKey => (
                StanzaCondition::BadRequest,
                ErrorType::Modify,
                "The connection needs a client certificate with an OpenPGP key for this number.",
            ),
            Refusal::NumberInUse => {
                (StanzaCondition::Conflict, ErrorType::Modify, "There is an account for this number already.")
            }
            Refusal::Throttled { wait } => {
                return later(format!("Too many attempts. Try again in {}.", in_words(wait)));
            }
            Refusal::CodeLost => (
                StanzaCondition::NotAcceptable,
                ErrorType::Modify,
                "It is not known whether the text message was sent. If one comes its code is not good: ask for another.",
            ),
            Refusal::CountryNotServed => (
                StanzaCondition::NotAcceptable,
                ErrorType::Modify,
                "This server sends no codes to numbers of this country. Choose another server.",
            ),
            Refusal::PrefixPaused { wait } => {
                return later(format!(
                    "Too many codes were asked for by numbers that begin like this one and not used. Try again in {}.",
                    in_words(wait)
                ));
            }
            Refusal::BudgetSpent { wait } => {
                return later(format!("This server has sent all its codes of today. Try again in {}.", in_words(wait)));
            }
            Refusal::NoRoute { wait } => {
                return later(format!("This server cannot send codes at present. Try again in {}.", in_words(wait)));
            }
            Refusal::Busy => return later("Many people register at this moment. Try again in a minute.".to_owned()),
            Refusal::NothingHeard => (
                StanzaCondition::BadRequest,
                ErrorType::Modify,
                "Nothing has come from this telephone number yet. Try again in a moment.",
            ),
            // Kontalk registration, set: code: a provider that cannot be reached.
            Refusal::NotJudged => (
                StanzaCondition::InternalServerError,
                ErrorType::Wait,
                "Whether the code is right cannot be found out at present. Try again in a minute.",
            ),
            Refusal::OtherNetwork => (
                StanzaCondition::BadRequest,
                ErrorType::Modify,
                "This must be done over the same network connection as the beginning. Begin again.",
            ),
            Refusal::SmsFailed => (
                StanzaCondition::NotAcceptable,
                ErrorType::Modify,
                "The text message could not be sent. Try again, or check the number.",
            ),
            Refusal::RevocationWrong => {
                (StanzaCondition::Forbidden, ErrorType::Auth, "The revocation does not fit the account's key.")
            }
            Refusal::NotAuthorized => {
                (StanzaCondition::NotAuthorized, ErrorType::Auth, "The token is unknown or no longer good.")
            }
            Refusal::NotServed => {
                (StanzaCondition::FeatureNotImplemented, ErrorType::Cancel, "This server does not do that yet.")
            }
            Refusal::Fault => (
                StanzaCondition::InternalServerError,
                ErrorType::Wait,
                "The server has a fault; its operator can find it in the log. Try again later.",
            ),
        };
        StanzaError::new(condition).of_type(kind).text(text)
    }
}

impl From<Refusal> for StanzaError {
    fn from(refusal: Refusal) -> StanzaError {
        refusal.to_error()
    }
}

/// Any other type than wait reads "this server does not support registration" on the client's screen.
fn later(text: String) -> StanzaError {
    StanzaError::new(StanzaCondition::ServiceUnavailable).of_type(ErrorType::Wait).text(text)
}

/// A wait as people say it, rounded up.
fn in_words(wait: Duration) -> String {
    let secs = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
    let (count, unit) = match secs {
        0..60 => (secs, "second"),
        60..3600 => (secs.div_ceil(60), "minute"),
        _ => (secs.div_ceil(3600), "hour"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::ns;

    #[test]
    fn every_refusal_has_the_condition_and_type_that_clients_expect() {
        let wait = Duration::from_secs(540);
        for (refusal, condition, kind) in [
            (Refusal::Disabled, "not-allowed", "cancel"),
            (Refusal::TermsNotAccepted, "bad-request", "modify"),
            (Refusal::BadNumber(PhoneError::NoPlus), "bad-request", "modify"),
            (Refusal::NothingKnown, "bad-request", "modify"),
            (Refusal::BadCode, "bad-request", "modify"),
            (Refusal::BadKey, "bad-request", "modify"),
            (Refusal::NumberInUse, "conflict", "modify"),
            (Refusal::Throttled { wait }, "service-unavailable", "wait"),
            (Refusal::SmsFailed, "not-acceptable", "modify"),
            (Refusal::CodeLost, "not-acceptable", "modify"),
            (Refusal::CountryNotServed, "not-acceptable", "modify"),
            (Refusal::PrefixPaused { wait }, "service-unavailable", "wait"),
            (Refusal::BudgetSpent { wait }, "service-unavailable", "wait"),
            (Refusal::NoRoute { wait }, "service-unavailable", "wait"),
            (Refusal::Busy, "service-unavailable", "wait"),
            (Refusal::NothingHeard, "bad-request", "modify"),
            (Refusal::NotJudged, "internal-server-error", "wait"),
            (Refusal::OtherNetwork, "bad-request", "modify"),
            (Refusal::RevocationWrong, "forbidden", "auth"),
            (Refusal::NotAuthorized, "not-authorized", "auth"),
            (Refusal::NotServed, "feature-not-implemented", "cancel"),
            (Refusal::Fault, "internal-server-error", "wait"),
        ] {
            let error = StanzaError::from(refusal);
            assert_eq!((error.condition().as_str(), error.error_type().as_str()), (condition, kind), "{refusal:?}");
            assert!(error.to_element().child("text", ns::STANZA_ERRORS).is_some());
        }
    }

    #[test]
    fn waits_are_told_in_words_and_rounded_up() {
        for (millis, words) in [
            (0, "1 second"),
            (1, "1 second"),
            (1001, "2 seconds"),
            (59_001, "1 minute"),
            (60_000, "1 minute"),
            (540_001, "10 minutes"),
            (3_600_000, "1 hour"),
            (3_600_001, "2 hours"),
        ] {
            assert_eq!(in_words(Duration::from_millis(millis)), words, "{millis}");
        }
        let error = Refusal::Throttled { wait: Duration::from_secs(540) }.to_error().to_element();
        assert!(error.to_text(ns::CLIENT).contains("Try again in 9 minutes."));
    }
}
