//! Last activity. XEP-0012, with what Kontalk's clients depend on: a living contact is never `item-not-found`, since they would
//! unsubscribe from it.

use std::time::Duration;

use crate::stanza::{StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

use super::Addressee;

/// What is known of an account's presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A resource is available.
    Now,
    /// The last session ended, or, if there was none yet, the account was made so long ago.
    Ago(Duration),
    /// There is no such account.
    Never,
}

/// Answers about an account, or, with the node's uptime, about the node. Who may not see the presence of an account learns no
/// more than that of one that is not there.
pub fn answer(addressee: Addressee, seen: Seen, uptime: Duration) -> Result<Element, StanzaError> {
    let query = |age: Duration| Element::new("query", ns::LAST).with("seconds", age.as_secs().to_string());
    match (addressee, seen) {
        (Addressee::Domain, _) => Ok(query(uptime)),
        (Addressee::OwnAccount | Addressee::Contact, Seen::Now) => Ok(query(Duration::ZERO)),
        (Addressee::OwnAccount | Addressee::Contact, Seen::Ago(age)) => Ok(query(age)),
        (Addressee::OwnAccount | Addressee::Contact, Seen::Never) | (Addressee::Stranger, _) => {
            Err(StanzaError::new(StanzaCondition::ItemNotFound))
        }
        (Addressee::Component, _) => Err(StanzaError::new(StanzaCondition::ServiceUnavailable)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_contact_is_always_found_and_a_stranger_never() {
        let up = Duration::from_secs(9);
        let seconds = |a, s| answer(a, s, up).ok().and_then(|q| q.attribute("seconds").map(str::to_owned));
        let hour = Seen::Ago(Duration::from_secs(3600));
        for (addressee, seen, expected) in [
            (Addressee::Domain, Seen::Never, Some("9")),
            (Addressee::OwnAccount, hour, Some("3600")),
            (Addressee::Contact, Seen::Now, Some("0")),
            (Addressee::Contact, hour, Some("3600")),
            (Addressee::Contact, Seen::Never, None),
            (Addressee::Stranger, Seen::Now, None),
            (Addressee::Stranger, hour, None),
            (Addressee::Stranger, Seen::Never, None),
        ] {
            assert_eq!(seconds(addressee, seen).as_deref(), expected, "{addressee:?} {seen:?}");
        }
    }
}
