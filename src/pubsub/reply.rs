//! What the service says: payloads of results, and notifications. XEP-0060 §5-8, XEP-0163 §4.

use super::request::NODE_CONFIG;
use super::{AccessModel, Config, Item, Node};
use crate::jid::{BareJid, FullJid, Jid};
use crate::limits;
use crate::stanza::{Kind, MessageType, Stanza, Timestamp, delay};
use crate::xml::{Element, ns, parse_document};

/// Who is to be told of something, before each is asked what he wants and may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The owner's own resources.
    Own,
    /// Also those who see his presence.
    Contacts,
}

impl Audience {
    /// Of a node. What only the owner reads is no reason to look through his roster.
    pub fn of(node: &Node) -> Audience {
        match node.config.access {
            AccessModel::Whitelist if node.affiliations.is_empty() => Audience::Own,
            _ => Audience::Contacts,
        }
    }
}

/// The items of a node, newest last. XEP-0060 §6.5.2.
pub fn items(node: &str, items: &[Item]) -> Element {
    let mut list = Element::new("items", ns::PUBSUB).with("node", node);
    for item in items {
        list.push(element(item, ns::PUBSUB, true));
    }
    pubsub().with_child(list)
}

/// The name that a published item has. XEP-0060 §7.1.2.
pub fn published(node: &str, id: &str) -> Element {
    let item = Element::new("item", ns::PUBSUB).with("id", id);
    pubsub().with_child(Element::new("publish", ns::PUBSUB).with("node", node).with_child(item))
}

/// The configuration as a form to fill in. XEP-0060 §8.2.2.
pub fn configuration(node: &str, config: &Config) -> Element {
    let configure = Element::new("configure", ns::PUBSUB_OWNER).with("node", node).with_child(form("form", config));
    owner().with_child(configure)
}

/// A node's configuration as a form filled in, in the element that would set it. XEP-0060 §8.2.4.
pub fn configure(node: &str, config: &Config) -> Element {
    let mut filled = form("submit", config);
    filled.each_child(|field| field.retain_children(|child| child.name() == "value"));
    Element::new("configure", ns::PUBSUB_OWNER).with("node", node).with_child(filled)
}

/// The configuration that nodes begin with. XEP-0060 §8.3.2.
pub fn default_configuration() -> Element {
    owner().with_child(Element::new("default", ns::PUBSUB_OWNER).with_child(form("form", &Config::default())))
}

/// Who has which part in a node. XEP-0060 §8.9.1.
pub fn affiliations(node: &str, owner_jid: &BareJid, of: &Node) -> Element {
    let mut list = Element::new("affiliations", ns::PUBSUB_OWNER).with("node", node);
    let others = of.affiliations.iter().map(|(jid, affiliation)| (jid.as_str(), affiliation.as_str()));
    for (jid, affiliation) in std::iter::once((owner_jid.as_str(), "owner")).chain(others) {
        list.push(Element::new("affiliation", ns::PUBSUB_OWNER).with("jid", jid).with("affiliation", affiliation));
    }
    owner().with_child(list)
}

/// What a node is. XEP-0060 §5.3, §5.4.
pub fn disco_info(name: &str, config: &Config) -> Element {
    let mut meta = Element::new("x", ns::DATA_FORMS).with("type", "result").with_child(form_type(META_DATA));
    for field in config.fields() {
        // What meta-data are is for the owner to publish; these three are for people and their clients.
        if matches!(field.attribute("var"), Some("pubsub#title" | "pubsub#description" | "pubsub#type"))
            && field.first_child().is_some()
        {
            meta.push(field);
        }
    }
    Element::new("query", ns::DISCO_INFO)
        .with("node", name)
        .with_child(Element::new("identity", ns::DISCO_INFO).with("category", "pubsub").with("type", "leaf"))
        .with_child(Element::new("feature", ns::DISCO_INFO).with("var", ns::PUBSUB))
        .with_child(meta)
}

/// The nodes of an account, or the items of a node. XEP-0060 §5.2, §5.5.
pub fn disco_items<'a>(account: &BareJid, node: Option<&str>, names: impl IntoIterator<Item = &'a str>) -> Element {
    let mut query = Element::new("query", ns::DISCO_ITEMS);
    if let Some(node) = node {
        query.set_attribute("node", node);
    }
    for name in names {
        let item = Element::new("item", ns::DISCO_ITEMS).with("jid", account.as_str());
        // §5.2 names nodes, §5.5 items: these are no nodes that one could ask further.
        let attribute = if node.is_some() { "name" } else { "node" };
        query.push(item.with(attribute, name));
    }
    query
}

/// An item was published, or is the last one. XEP-0060 §7.1.2.1, §7.1.2.2.
pub fn item_event(node: &str, config: &Config, item: &Item) -> Element {
    let items = Element::new("items", ns::PUBSUB_EVENT).with("node", node);
    event().with_child(items.with_child(element(item, ns::PUBSUB_EVENT, config.deliver_payloads)))
}

/// An item was retracted. XEP-0060 §7.2.2.1.
pub fn retract_event(node: &str, id: &str) -> Element {
    let items = Element::new("items", ns::PUBSUB_EVENT).with("node", node);
    event().with_child(items.with_child(Element::new("retract", ns::PUBSUB_EVENT).with("id", id)))
}

/// A node was deleted. XEP-0060 §8.4.2.
pub fn delete_event(node: &str) -> Element {
    event().with_child(Element::new("delete", ns::PUBSUB_EVENT).with("node", node))
}

/// All items of a node are gone. XEP-0060 §8.5.2.
pub fn purge_event(node: &str) -> Element {
    event().with_child(Element::new("purge", ns::PUBSUB_EVENT).with("node", node))
}

/// A node is configured anew. XEP-0060 §8.2.5.4.
pub fn configuration_event(node: &str, config: &Config) -> Element {
    let configuration = Element::new("configuration", ns::PUBSUB_EVENT).with("node", node);
    event().with_child(if config.deliver_payloads {
        configuration.with_child(form("result", config))
    } else {
        configuration
    })
}

/// The message that tells one resource. XEP-0163 §4.3.1: from the account's bare JID, as a headline, so that nobody stores it.
/// `since` stands on items that were published earlier (XEP-0060 §7.1.2.3).
pub fn notification(account: &BareJid, to: &FullJid, event: Element, since: Option<Timestamp>) -> Stanza {
    let kind = Kind::Message(MessageType::Headline);
    let message = Stanza::build(kind, Some(Jid::Bare(account.clone())), Some(Jid::Full(to.clone())), None);
    let message = message.with_child(event);
    match since {
        Some(since) => message.with_child(delay(account, since)),
        None => message,
    }
}

fn element(item: &Item, namespace: &'static str, with_payload: bool) -> Element {
    let element = Element::new("item", namespace).with("id", item.id.as_str());
    if !with_payload || item.payload.is_empty() {
        return element;
    }
    match parse_document(&item.payload, ns::CLIENT, limits::STANZA_DEPTH_MAX) {
        Ok(payload) => element.with_child(payload),
        Err(error) => {
            log::error!("an item's payload cannot be read: {error}");
            element
        }
    }
}

fn form(kind: &'static str, config: &Config) -> Element {
    let mut form = Element::new("x", ns::DATA_FORMS).with("type", kind).with_child(form_type(NODE_CONFIG));
    for field in config.fields() {
        form.push(field);
    }
    form
}

fn form_type(value: &str) -> Element {
    let value = Element::new("value", ns::DATA_FORMS).with_text(value);
    Element::new("field", ns::DATA_FORMS).with("var", "FORM_TYPE").with("type", "hidden").with_child(value)
}

fn pubsub() -> Element {
    Element::new("pubsub", ns::PUBSUB)
}

fn owner() -> Element {
    Element::new("pubsub", ns::PUBSUB_OWNER)
}

fn event() -> Element {
    Element::new("event", ns::PUBSUB_EVENT)
}

/// FORM_TYPE of a node's meta-data. XEP-0060 §16.4.3.
const META_DATA: &str = "http://jabber.org/protocol/pubsub#meta-data";
