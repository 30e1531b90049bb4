//! What clients ask for. XEP-0357 §5 and §6; Kontalk's registration.

use super::Registration;
use crate::jid::{BareJid, FullJid, Jid};
use crate::limits;
use crate::stanza::{StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

/// A request of a client for its own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Wake me so from now on.
    Enable(Registration),
    /// No longer.
    Disable {
        /// By this service,
        service: Jid,
        /// under this node; without one, under all.
        node: Option<String>,
    },
}

impl Request {
    /// Reads the payload of an iq set; `None` if it is none of push. The registration is the sender's.
    ///
    /// Errors: `bad-request` without a service or with what is no form of options, `jid-malformed`, `policy-violation` for what is
    /// too long to keep.
    pub fn read(payload: &Element, sender: &FullJid) -> Option<Result<Request, StanzaError>> {
        let enable = payload.is("enable", ns::PUSH);
        (enable || payload.is("disable", ns::PUSH)).then(|| Request::parse(payload, enable, sender))
    }

    fn parse(payload: &Element, enable: bool, sender: &FullJid) -> Result<Request, StanzaError> {
        let service = payload.attribute("jid").ok_or_else(|| bad("the service's address is missing"))?;
        let service: Jid = service.parse().map_err(|_| StanzaError::new(StanzaCondition::JidMalformed))?;
        let node = payload.attribute("node").map(str::to_owned);
        if !enable {
            // XEP-0357 §6.
            return Ok(Request::Disable { service, node });
        }
        let node = node.unwrap_or_default();
        if node.len() > limits::PEP_NAME_BYTES_MAX {
            return Err(too_long());
        }
        // XEP-0357 §5: a form of publish-options.
        let options = match payload.child("x", ns::DATA_FORMS) {
            Some(form) if form.attribute("type").is_some_and(|kind| kind != "submit") => {
                return Err(bad("the form is not a submitted one"));
            }
            Some(form) => Some(form.to_text(ns::CLIENT)),
            None => None,
        };
        if options.as_ref().is_some_and(|options| options.len() > limits::PUSH_OPTIONS_BYTES_MAX) {
            return Err(too_long());
        }
        Ok(Request::Enable(Registration { service, node, resource: sender.resource().to_owned(), options }))
    }
}

/// The same in Kontalk's way, at `push@DOMAIN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KontalkRequest {
    /// Wake me by this token.
    Register(Registration),
    /// No longer.
    Unregister,
}

impl KontalkRequest {
    /// Reads the payload of an iq set; `None` if it is none of push. The gateway takes a token for a node.
    ///
    /// Errors: `item-not-found` for another provider than `gcm`, `bad-request` without token, `policy-violation` for a longer one
    /// than there are.
    pub fn read(payload: &Element, sender: &FullJid, gateway: &BareJid) -> Option<Result<KontalkRequest, StanzaError>> {
        let register = payload.is("register", ns::KONTALK_PUSH);
        (register || payload.is("unregister", ns::KONTALK_PUSH)).then(|| {
            if payload.attribute("provider") != Some(PROVIDER) {
                return Err(StanzaError::new(StanzaCondition::ItemNotFound).text("there is no such push provider here"));
            }
            if !register {
                return Ok(KontalkRequest::Unregister);
            }
            let token = payload.text().trim().to_owned();
            if token.is_empty() {
                return Err(bad("the token is missing"));
            }
            if token.len() > limits::PEP_NAME_BYTES_MAX {
                return Err(too_long());
            }
            Ok(KontalkRequest::Register(Registration {
                service: Jid::Bare(gateway.clone()),
                node: token,
                resource: sender.resource().to_owned(),
                options: None,
            }))
        })
    }
}

fn bad(text: &'static str) -> StanzaError {
    StanzaError::new(StanzaCondition::BadRequest).text(text)
}

fn too_long() -> StanzaError {
    StanzaError::new(StanzaCondition::PolicyViolation).text("longer than a push registration may be")
}

/// Kontalk's name for the one provider that its clients know.
const PROVIDER: &str = "gcm";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_document;

    fn sender() -> FullJid {
        "juliet@a.example/phone".parse().unwrap()
    }

    fn read(text: &str) -> Option<Result<Request, StanzaError>> {
        Request::read(&parse_document(text, ns::CLIENT, 10).unwrap(), &sender())
    }

    #[test]
    fn a_registration_is_read_with_its_options_and_is_the_senders() {
        let form = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
                    <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
                    <field var='secret'><value>eruio234vzxc2kla-91</value></field></x>";
        let enable = format!("<enable xmlns='urn:xmpp:push:0' jid='push.b.example' node='yxs32'>{form}</enable>");
        let Some(Ok(Request::Enable(registration))) = read(&enable) else { panic!("not read") };
        assert_eq!((registration.node.as_str(), registration.resource.as_str()), ("yxs32", "phone"));
        assert_eq!(registration.options.as_deref(), Some(form));
        let shown = format!("{registration:?}");
        assert!(!shown.contains("eruio") && !shown.contains("yxs32"), "{shown}");
        let disable = read("<disable xmlns='urn:xmpp:push:0' jid='push.b.example'/>").unwrap().unwrap();
        assert_eq!(disable, Request::Disable { service: "push.b.example".parse().unwrap(), node: None });
        assert!(read("<enable xmlns='urn:xmpp:carbons:2'/>").is_none());
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let long = "x".repeat(limits::PUSH_OPTIONS_BYTES_MAX);
        for (text, condition) in [
            ("<enable xmlns='urn:xmpp:push:0' node='n'/>".to_owned(), StanzaCondition::BadRequest),
            ("<enable xmlns='urn:xmpp:push:0' jid='@'/>".to_owned(), StanzaCondition::JidMalformed),
            ("<disable xmlns='urn:xmpp:push:0'/>".to_owned(), StanzaCondition::BadRequest),
            (format!("<enable xmlns='urn:xmpp:push:0' jid='b' node='{long}'/>"), StanzaCondition::PolicyViolation),
            (
                format!("<enable xmlns='urn:xmpp:push:0' jid='b'><x xmlns='jabber:x:data'>{long}</x></enable>"),
                StanzaCondition::PolicyViolation,
            ),
            (
                "<enable xmlns='urn:xmpp:push:0' jid='b'><x xmlns='jabber:x:data' type='cancel'/></enable>".to_owned(),
                StanzaCondition::BadRequest,
            ),
        ] {
            assert_eq!(read(&text).unwrap().unwrap_err().condition(), condition, "{text}");
        }
    }

    #[test]
    fn kontalks_way_names_a_provider_and_a_token() {
        let gateway: BareJid = "push.a.example".parse().unwrap();
        let read = |name: &str, provider: &str, token: &str| {
            let text = format!("<{name} xmlns='{}' provider='{provider}'>{token}</{name}>", ns::KONTALK_PUSH);
            let payload = parse_document(&text, ns::CLIENT, 10).unwrap();
            KontalkRequest::read(&payload, &sender(), &gateway).unwrap().map_err(|error| error.condition())
        };
        let Ok(KontalkRequest::Register(registration)) = read("register", "gcm", " token ") else { panic!("not read") };
        assert_eq!(
            (registration.node.as_str(), registration.service.to_string().as_str()),
            ("token", "push.a.example")
        );
        assert_eq!(read("unregister", "gcm", ""), Ok(KontalkRequest::Unregister));
        assert_eq!(read("register", "gcm", " "), Err(StanzaCondition::BadRequest));
        assert_eq!(read("register", "apns", "token"), Err(StanzaCondition::ItemNotFound));
        assert_eq!(read("register", "gcm", &"x".repeat(600)), Err(StanzaCondition::PolicyViolation));
    }
}
