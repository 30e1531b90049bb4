//! What a push service is told. XEP-0357 §7.

use super::Registration;
use crate::jid::{BareJid, Jid};
use crate::limits;
use crate::stanza::{IqType, Kind, Stanza};
use crate::xml::{Element, ns, parse_document};

/// The request to a service to wake a device, with the number of messages that wait for it and nothing else about them. It comes
/// from the node, not from the account: a service need not learn whose device it wakes.
pub fn publish(domain: &BareJid, registration: &Registration, waiting: u32, id: &str) -> Stanza {
    let summary = Element::new("x", ns::DATA_FORMS)
        .with("type", "submit")
        .with_child(field("FORM_TYPE", SUMMARY))
        .with_child(field("message-count", &waiting.to_string()));
    let notification = Element::new("notification", ns::PUSH).with_child(summary);
    let mut publish = Element::new("publish", ns::PUBSUB);
    if !registration.node.is_empty() {
        publish.set_attribute("node", registration.node.clone());
    }
    publish.push(Element::new("item", ns::PUBSUB).with_child(notification));
    let mut pubsub = Element::new("pubsub", ns::PUBSUB).with_child(publish);
    let options = registration.options.as_ref();
    if let Some(form) = options.and_then(|o| parse_document(o, ns::CLIENT, limits::STANZA_DEPTH_MAX).ok()) {
        pubsub.push(Element::new("publish-options", ns::PUBSUB).with_child(form));
    }
    let (from, to) = (Some(Jid::Bare(domain.clone())), Some(registration.service.clone()));
    Stanza::build(Kind::Iq(IqType::Set), from, to, Some(id)).with_child(pubsub)
}

fn field(name: &'static str, value: &str) -> Element {
    let value = Element::new("value", ns::DATA_FORMS).with_text(value);
    Element::new("field", ns::DATA_FORMS).with("var", name).with_child(value)
}

/// The form's name. XEP-0357 §10.1.
const SUMMARY: &str = "urn:xmpp:push:summary";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_learns_the_number_and_what_the_client_wanted_it_to_be_told() {
        let registration = Registration {
            service: "push.b.example".parse().unwrap(),
            node: "yxs32".to_owned(),
            resource: "phone".to_owned(),
            options: Some(
                "<x xmlns='jabber:x:data' type='submit'><field var='secret'><value>s</value></field></x>".to_owned(),
            ),
        };
        let domain = "a.example".parse().unwrap();
        assert_eq!(
            publish(&domain, &registration, 3, "push-1").to_text(),
            "<iq type='set' id='push-1' from='a.example' to='push.b.example'>\
             <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='yxs32'><item>\
             <notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>urn:xmpp:push:summary</value></field>\
             <field var='message-count'><value>3</value></field></x></notification></item></publish>\
             <publish-options><x xmlns='jabber:x:data' type='submit'><field var='secret'><value>s</value></field></x>\
             </publish-options></pubsub></iq>"
        );
        let bare = Registration { node: String::new(), options: None, ..registration };
        let text = publish(&domain, &bare, 1, "push-2").to_text();
        assert!(text.contains("<publish><item>") && !text.contains("publish-options"), "{text}");
    }
}
