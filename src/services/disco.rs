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
    let node = payload.attribute("node").filter(|node| !node.is_empty());
    if let Some(node) = node.filter(|_| info && addressee == Addressee::Domain) {
        // XEP-0115 §6.2: what is behind the hash that the stream features tell.
        if node.strip_prefix(CAPS_NODE).and_then(|rest| rest.strip_prefix('#')) == Some(&facts.caps) {
            return Some(Ok(Some(domain_info(facts).with("node", node))));
        }
    }
    if node.is_some() {
        // XEP-0030 §7: there is nothing behind other nodes.
        return Some(Err(StanzaError::new(StanzaCondition::ItemNotFound)));
    }
    if !info {
        return Some(Ok(Some(items(addressee, facts))));
    }
    Some(Ok(Some(match addressee {
        Addressee::Domain => domain_info(facts),
        Addressee::OwnAccount | Addressee::Contact | Addressee::Stranger => {
            let mut info = account_info(facts);
            if facts.administrator && addressee == Addressee::OwnAccount {
                info.push(Element::new("feature", ns::DISCO_INFO).with("var", ns::COMMANDS));
            }
            info
        }
        Addressee::Component => component_info(),
    })))
}

/// What the domain is and can do.
pub fn domain_info(facts: &Facts) -> Element {
    let mut query = Element::new("query", ns::DISCO_INFO).with_child(identity("server", "im"));
    let always = [
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::CAPS,
        ns::ROSTER,
        ns::BLOCKING,
        ns::PING,
        ns::TIME,
        ns::VERSION,
        ns::MSG_OFFLINE,
        ns::VCARD,
        ns::PRIVATE,
        ns::LAST,
        ns::CARBONS,
        ns::ADDRESS,
        ns::KONTALK_PUBKEY,
        // Accounts are the services; Kontalk's desktop client looks here before it publishes a picture.
        ns::PUBSUB,
        ns::COMMANDS,
    ];
    let sometimes = [(ns::REGISTER, facts.registration), (ns::KONTALK_PUSH, facts.kontalk_push)];
    let sometimes = sometimes.into_iter().filter(|(_, holds)| *holds).map(|(feature, _)| feature);
    for feature in always.into_iter().chain(sometimes) {
        query.push(Element::new("feature", ns::DISCO_INFO).with("var", feature));
    }
    if !facts.contact.is_empty() {
        query.push(contact_form(&facts.contact));
    }
    if let Some(bytes_max) = facts.upload_bytes_max {
        upload_info(&mut query, bytes_max);
    }
    query
}

/// XEP-0363 §4, once for each generation of clients.
fn upload_info(query: &mut Element, bytes_max: u64) {
    query.push(identity("store", "file"));
    let field = |var: &str, text: &str| {
        let value = Element::new("value", ns::DATA_FORMS).with_text(text);
        Element::new("field", ns::DATA_FORMS).with("var", var).with_child(value)
    };
    for namespace in [ns::UPLOAD_OLD, ns::UPLOAD] {
        query.push(Element::new("feature", ns::DISCO_INFO).with("var", namespace));
        let form = Element::new("x", ns::DATA_FORMS)
            .with("type", "result")
            .with_child(field("FORM_TYPE", namespace).with("type", "hidden"))
            .with_child(field("max-file-size", &bytes_max.to_string()));
        query.push(form);
    }
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

/// Kontalk's services have a name before the @ and are items of the domain.
fn items(addressee: Addressee, facts: &Facts) -> Element {
    let mut query = Element::new("query", ns::DISCO_ITEMS);
    if addressee == Addressee::Domain {
        for name in super::COMPONENTS.into_iter().filter(|name| facts.kontalk_push || *name != super::PUSH) {
            let jid = format!("{name}@{}", facts.domain);
            query.push(Element::new("item", ns::DISCO_ITEMS).with("jid", jid).with("name", name));
        }
        for component in &facts.components {
            query.push(Element::new("item", ns::DISCO_ITEMS).with("jid", component.as_str()));
        }
    }
    query
}

fn component_info() -> Element {
    let mut query = Element::new("query", ns::DISCO_INFO).with_child(identity("component", "generic"));
    for feature in [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::PING, ns::COMMANDS] {
        query.push(Element::new("feature", ns::DISCO_INFO).with("var", feature));
    }
    query
}

/// XEP-0030 §3.1, and the registry's identity for an account that is registered here. XEP-0163 §6: an account is a pubsub
/// service, too.
fn account_info(facts: &Facts) -> Element {
    let mut query = Element::new("query", ns::DISCO_INFO)
        .with_child(identity("account", "registered"))
        .with_child(identity("pubsub", "pep"));
    let features = [
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::PING,
        ns::CARBONS,
        ns::VCARD,
        ns::AVATAR_CONVERSION,
        ns::PUBSUB,
        ns::STANZA_ID,
        // XEP-0357 §4.
        ns::PUSH,
    ];
    // XEP-0313 §7.
    let archive = [ns::MAM, ns::MAM_EXTENDED].into_iter().filter(|_| facts.archive);
    for feature in features.into_iter().chain(archive) {
        query.push(Element::new("feature", ns::DISCO_INFO).with("var", feature));
    }
    for feature in PUBSUB_FEATURES {
        query.push(Element::new("feature", ns::DISCO_INFO).with("var", format!("{}#{feature}", ns::PUBSUB)));
    }
    query
}

fn identity(category: &str, kind: &str) -> Element {
    Element::new("identity", ns::DISCO_INFO).with("category", category).with("type", kind).with("name", "kontalk-node")
}

/// The software, for capabilities: an address that tells of it. XEP-0115 §4.
pub const CAPS_NODE: &str = "https://kontalk.net/node";

/// Which parts of XEP-0060 accounts offer, by the names of its §16.1.
const PUBSUB_FEATURES: &[&str] = &[
    "access-open",
    "access-presence",
    "access-roster",
    "access-whitelist",
    "auto-create",
    "auto-subscribe",
    "config-node",
    "config-node-max",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "filtered-notifications",
    "item-ids",
    "last-published",
    "member-affiliation",
    "meta-data",
    "modify-affiliations",
    "multi-items",
    "outcast-affiliation",
    "persistent-items",
    "presence-notifications",
    "presence-subscribe",
    "publish",
    "publish-options",
    "purge-nodes",
    "retract-items",
    "retrieve-default",
    "retrieve-items",
];

/// XEP-0157: the form's name.
const SERVER_INFO: &str = "http://jabber.org/network/serverinfo";
