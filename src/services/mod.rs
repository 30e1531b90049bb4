//! What the node answers on its own behalf or an account's: iq services, a file each. Pure: a request and facts in, an answer out.
//!
//! A request that no service knows gets `service-unavailable` (RFC 6120 §8.4), and so does every question about an account that
//! the asker may not see: existing or not, it looks the same.

mod disco;
pub mod discoverable;
pub mod last_activity;
pub mod network_match;
mod ping;
pub mod registration;
pub mod roster_match;
mod time;
mod version;

pub use disco::{CAPS_NODE, domain_info};

use crate::jid::BareJid;
use crate::stanza::{IqType, Kind, Stanza, StanzaCondition, StanzaError, Timestamp};
use crate::xml::Element;

/// What services tell about the node.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The node's domain.
    pub domain: BareJid,
    /// Where the operator can be reached, as URIs.
    pub contact: Vec<String>,
    /// Is `jabber:iq:register` open to strangers?
    pub registration: bool,
    /// The hash of what the domain can do (XEP-0115).
    pub caps: String,
    /// Are messages archived?
    pub archive: bool,
    /// Bytes that an uploaded file may have, if files can be uploaded (XEP-0363).
    pub upload_bytes_max: Option<u64>,
    /// The domains of the components that are connected (XEP-0114).
    pub components: Vec<BareJid>,
    /// Can Kontalk's clients register for push in their own way?
    pub kontalk_push: bool,
    /// Does the asker administrate the node? Then his own account answers to commands, too.
    pub administrator: bool,
    /// The moment of the request.
    pub now: Timestamp,
}

/// Whom a request is addressed to, seen by the asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressee {
    /// The node itself.
    Domain,
    /// The asker's own account.
    OwnAccount,
    /// An account whose presence the asker may see.
    Contact,
    /// Any other account, or none.
    Stranger,
    /// One of the node's own services with a name before the @, see [`COMPONENTS`].
    Component,
}

/// Where Kontalk's clients match their address books.
pub const PROBE: &str = "probe";
/// Where they ask for other servers.
pub const NETWORK: &str = "network";
/// Where they send what is for a group.
pub const MULTICAST: &str = "multicast";
/// Where they register for push.
pub const PUSH: &str = "push";
/// Names before the @ that are services, hard-wired in Kontalk's clients; no account can have them.
pub const COMPONENTS: [&str; 4] = [PROBE, NETWORK, MULTICAST, PUSH];

/// Answers an iq get or set. `None` only for what is no request.
pub fn answer(request: &Stanza, addressee: Addressee, facts: &Facts) -> Option<Stanza> {
    let payload = request.payload()?;
    let outcome = match request.kind() {
        Kind::Iq(IqType::Get) => get(payload, addressee, facts),
        Kind::Iq(IqType::Set) => Err(StanzaError::new(StanzaCondition::ServiceUnavailable)),
        _ => return None,
    };
    match outcome {
        Ok(Some(payload)) => Some(request.result().with_child(payload)),
        Ok(None) => Some(request.result()),
        Err(error) => request.error(&error),
    }
}

fn get(payload: &Element, addressee: Addressee, facts: &Facts) -> Result<Option<Element>, StanzaError> {
    let services: [Service; 4] = [disco::get, ping::get, version::get, time::get];
    let unavailable = || Err(StanzaError::new(StanzaCondition::ServiceUnavailable));
    if addressee == Addressee::Stranger {
        return unavailable();
    }
    services.iter().find_map(|service| service(payload, addressee, facts)).unwrap_or_else(unavailable)
}

/// A service looks at a payload: `None` if it is not for it, else the result's payload or an error.
type Service = fn(&Element, Addressee, &Facts) -> Option<Result<Option<Element>, StanzaError>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{ns, parse_document};

    fn ask(payload: &str, to: &str, addressee: Addressee) -> String {
        let text = format!("<iq type='get' id='q' from='a@a.example/x' to='{to}'>{payload}</iq>");
        let request = Stanza::new(parse_document(&text, ns::CLIENT, 10).unwrap()).unwrap();
        let facts = Facts {
            domain: "a.example".parse().unwrap(),
            contact: vec!["mailto:admin@a.example".into()],
            registration: true,
            caps: "hash".to_owned(),
            archive: true,
            upload_bytes_max: Some(1000),
            kontalk_push: false,
            components: vec!["chat.a.example".parse().unwrap()],
            administrator: false,
            now: Timestamp { millis: 1_633_608_000_000 },
        };
        answer(&request, addressee, &facts).unwrap().to_text()
    }

    #[test]
    fn the_domain_answers_and_strangers_learn_nothing() {
        for (payload, expected) in [
            ("<ping xmlns='urn:xmpp:ping'/>", "type='result'"),
            ("<query xmlns='jabber:iq:version'/>", "<name>kontalk-node</name>"),
            ("<time xmlns='urn:xmpp:time'/>", "<utc>2021-10-07T12:00:00Z</utc>"),
            ("<query xmlns='http://jabber.org/protocol/disco#info'/>", "category='server'"),
            ("<query xmlns='http://jabber.org/protocol/disco#info'/>", "<feature var='jabber:iq:register'/>"),
            ("<query xmlns='http://jabber.org/protocol/disco#info'/>", "<feature var='urn:xmpp:http:upload'/>"),
            (
                "<query xmlns='http://jabber.org/protocol/disco#info'/>",
                "<value>urn:xmpp:http:upload:0</value></field><field var='max-file-size'><value>1000</value></field></x>",
            ),
            ("<query xmlns='http://jabber.org/protocol/disco#items'/>", "<item jid='probe@a.example' name='probe'/>"),
            ("<query xmlns='http://jabber.org/protocol/disco#items'/>", "<item jid='chat.a.example'/>"),
            ("<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>", "item-not-found"),
            // XEP-0115 §6.2.
            (
                "<query xmlns='http://jabber.org/protocol/disco#info' node='https://kontalk.net/node#hash'/>",
                "node='https://kontalk.net/node#hash'",
            ),
            ("<query xmlns='urn:example:unknown'/>", "service-unavailable"),
        ] {
            let answer = ask(payload, "a.example", Addressee::Domain);
            assert!(answer.contains(expected), "{payload}: {answer}");
            let answer = ask(payload, "b@a.example", Addressee::Stranger);
            assert!(answer.contains("service-unavailable"), "{payload}: {answer}");
        }
    }

    #[test]
    fn an_account_says_that_it_is_one() {
        let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
        for addressee in [Addressee::OwnAccount, Addressee::Contact] {
            assert!(ask(info, "a@a.example", addressee).contains("category='account'"));
        }
        assert!(ask("<ping xmlns='urn:xmpp:ping'/>", "a@a.example", Addressee::OwnAccount).contains("type='result'"));
    }
}
