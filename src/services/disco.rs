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
        return Some(Ok(Some(Element::new("query", ns::DISCO_ITEMS))));
    }
    let query = Element::new("query", ns::DISCO_INFO);
    Some(Ok(Some(match addressee {
        Addressee::Domain => domain_info(query, facts),
        Addressee::OwnAccount | Addressee::Contact | Addressee::Stranger => account_info(query),
    })))
}

fn domain_info(query: Element, facts: &Facts) -> Element {
    let mut query = query.with_child(identity("server", "im"));
    let always =
        [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::ROSTER, ns::BLOCKING, ns::PING, ns::TIME, ns::VERSION, ns::MSG_OFFLINE];
    for feature in always.into_iter().chain(facts.registration.then_some(ns::REGISTER)) {
        query.push(Element::new("feature", ns::DISCO_INFO).with("var", feature));
    }
    query
}

/// XEP-0030 §3.1, and the registry's identity for an account that is registered here.
fn account_info(query: Element) -> Element {
    let mut query = query.with_child(identity("account", "registered"));
    for feature in [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::PING] {
        query.push(Element::new("feature", ns::DISCO_INFO).with("var", feature));
    }
    query
}

fn identity(category: &str, kind: &str) -> Element {
    Element::new("identity", ns::DISCO_INFO).with("category", category).with("type", kind).with("name", "kontalk-node")
}
