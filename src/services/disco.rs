//! Service discovery. XEP-0030.

use super::{Addressee, Facts};
use crate::stanza::{StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

pub(super) fn get(
    payload: &Element,
    addressee: Addressee,
    facts: &Facts,
) -> Option<Result<Option<Element>, StanzaError>> {
    let info = payload.is("query", ns::DISCO_INFO);
    if !info && !payload.is("query", ns::DISCO_ITEMS) {
        return None;
    }
    if payload.attribute("node").is_some_and(|node| !node.is_empty()) {
        // XEP-0030 §7: there is nothing behind other nodes.
        return Some(Err(StanzaError::new(StanzaCondition::ItemNotFound)));
    }
    if !info {
        return Some(Ok(Some(items(addressee, facts))));
    }
    let query = Element::new("query", ns::DISCO_INFO);
    Some(Ok(Some(match addressee {
        Addressee::Domain => domain_info(query, facts),
        Addressee::OwnAccount | Addressee::Contact | Addressee::Stranger => account_info(query, facts),
        Addressee::Component => component_info(query),
    })))
}

/// Kontalk's services have a name before the @ and are items of the domain.
fn items(addressee: Addressee, facts: &Facts) -> Element {
    let mut query = Element::new("query", ns::DISCO_ITEMS);
    if addressee == Addressee::Domain {
        for name in super::COMPONENTS {
            let jid = format!("{name}@{}", facts.domain);
            query.push(Element::new("item", ns::DISCO_ITEMS).with("jid", jid).with("name", name));
        }
    }
    query
}

fn component_info(query: Element) -> Element {
    let mut query = query.with_child(identity("component", "generic"));
    for feature in [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::PING, ns::COMMANDS] {
        query.push(Element::new("feature", ns::DISCO_INFO).with("var", feature));
    }
    query
}

fn domain_info(query: Element, facts: &Facts) -> Element {
    let mut query = query.with_child(identity("server", "im"));
    let always = [
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::ROSTER,
        ns::BLOCKING,
        ns::PING,
        ns::TIME,
        ns::VERSION,
        ns::MSG_OFFLINE,
        ns::LAST,
        ns::CARBONS,
        ns::ADDRESS,
        ns::KONTALK_PUBKEY,
    ];
    for feature in always.into_iter().chain(facts.registration.then_some(ns::REGISTER)) {
        query.push(Element::new("feature", ns::DISCO_INFO).with("var", feature));
    }
    if !facts.contact.is_empty() {
        query.push(contact_form(&facts.contact));
    }
    query
}

/// XEP-0157 §3, in the form of XEP-0128.
fn contact_form(contact: &[String]) -> Element {
    let field = |var: &str| Element::new("field", ns::DATA_FORMS).with("var", var);
    let value = |text: &str| Element::new("value", ns::DATA_FORMS).with_text(text);
    let mut addresses = field("admin-addresses");
    for address in contact {
        addresses.push(value(address));
    }
    Element::new("x", ns::DATA_FORMS)
        .with("type", "result")
        .with_child(field("FORM_TYPE").with("type", "hidden").with_child(value(SERVER_INFO)))
        .with_child(addresses)
}

/// XEP-0030 §3.1, and the registry's identity for an account that is registered here.
fn account_info(query: Element, facts: &Facts) -> Element {
    let mut query = query.with_child(identity("account", "registered"));
    let always = [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::PING, ns::CARBONS, ns::STANZA_ID];
    // XEP-0313 §7.
    let archive = [ns::MAM, ns::MAM_EXTENDED].into_iter().filter(|_| facts.archive);
    for feature in always.into_iter().chain(archive) {
        query.push(Element::new("feature", ns::DISCO_INFO).with("var", feature));
    }
    query
}

fn identity(category: &str, kind: &str) -> Element {
    Element::new("identity", ns::DISCO_INFO).with("category", category).with("type", kind).with("name", "kontalk-node")
}

/// XEP-0157: the form's name.
const SERVER_INFO: &str = "http://jabber.org/network/serverinfo";
