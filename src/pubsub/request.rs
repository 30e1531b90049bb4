//! What a client asks of a service, read and checked. XEP-0060 §6-8.

use std::collections::BTreeMap;

use super::config::{Applied, Field, submitted};
use super::{Affiliation, Config, Refusal};
use crate::jid::Jid;
use crate::limits;
use crate::xml::{Element, ns};

/// A request that this service knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// §7.1.
    Publish(Publish),
    /// §7.2.
    Retract {
        /// The node.
        node: String,
        /// The item.
        id: String,
        /// Others are told, whatever the node's configuration says.
        notify: bool,
    },
    /// §6.5.
    Items {
        /// The node.
        node: String,
        /// Only these, if any are named.
        ids: Vec<String>,
        /// Only so many of the newest.
        max: Option<u32>,
    },
    /// §8.1.
    Create {
        /// The node.
        node: String,
        /// Its configuration where it differs from the default.
        options: Option<Options>,
    },
    /// §8.2.
    Configuration {
        /// The node.
        node: String,
    },
    /// §8.2.4.
    Configure {
        /// The node.
        node: String,
        /// What is to change; `None` if the form was cancelled.
        options: Option<Options>,
    },
    /// §8.3.
    DefaultConfiguration,
    /// §8.4.
    Delete {
        /// The node.
        node: String,
    },
    /// §8.5.
    Purge {
        /// The node.
        node: String,
    },
    /// §8.9.1.
    Affiliations {
        /// The node.
        node: String,
    },
    /// §8.9.2: changes by bare JID; `None` removes.
    SetAffiliations {
        /// The node.
        node: String,
        /// The changes.
        changes: BTreeMap<String, Option<Affiliation>>,
    },
}

/// A publication. XEP-0060 §7.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The node.
    pub node: String,
    /// The item's name, if the publisher gives it one.
    pub id: Option<String>,
    /// The payload.
    pub payload: Element,
    /// What the node must be like, or become.
    pub options: Option<Options>,
}

/// A filled-in form of a configuration, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    fields: Vec<Field>,
    /// Must every field be known? XEP-0060 §7.1.5.
    strict: bool,
}

impl Options {
    /// The configuration with these changes.
    ///
    /// Errors: [`Refusal::NotAcceptable`] for a value that is none; as a precondition [`Refusal::PreconditionNotMet`] for that
    /// and for unknown fields.
    pub fn apply(&self, config: &Config) -> Result<Config, Refusal> {
        let mut changed = config.clone();
        for field in &self.fields {
            match changed.apply(field) {
                Ok(Applied::Yes) => {}
                // XEP-0060 §7.1.5: what cannot be checked is not met.
                Ok(Applied::Unknown) | Err(_) if self.strict => return Err(Refusal::PreconditionNotMet),
                Ok(Applied::Unknown) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(changed)
    }
}

impl Request {
    /// Is the payload a request to a pubsub service?
    pub fn is_one(payload: &Element) -> bool {
        payload.is("pubsub", ns::PUBSUB) || payload.is("pubsub", ns::PUBSUB_OWNER)
    }

    /// Reads the payload of an iq; `set` says which type.
    ///
    /// Errors: what is missing or not offered.
    pub fn read(payload: &Element, set: bool) -> Result<Request, Refusal> {
        let action = payload.first_child().ok_or(Refusal::BadRequest)?;
        if payload.namespace() == ns::PUBSUB_OWNER {
            return read_owners(action, set);
        }
        match (action.name(), set) {
            ("publish", true) => Ok(Request::Publish(read_publish(payload, action)?)),
            ("retract", true) => Ok(Request::Retract {
                node: node(action)?,
                id: retracted_id(action)?,
                notify: matches!(action.attribute("notify"), Some("1" | "true")),
            }),
            ("create", true) => Ok(Request::Create {
                node: node(action)?,
                options: form(payload.child("configure", ns::PUBSUB), NODE_CONFIG, false)?,
            }),
            ("items", false) => read_items(action),
            ("subscribe" | "unsubscribe", true) => Err(Refusal::Unsupported("subscribe")),
            ("options", _) => Err(Refusal::Unsupported("subscription-options")),
            ("subscriptions", false) => Err(Refusal::Unsupported("retrieve-subscriptions")),
            ("affiliations", false) => Err(Refusal::Unsupported("retrieve-affiliations")),
            ("default", false) => Err(Refusal::Unsupported("retrieve-default-sub")),
            _ => Err(Refusal::BadRequest),
        }
    }

    /// May only the owner ask for this?
    pub fn is_owners(&self) -> bool {
        !matches!(self, Request::Items { .. })
    }
}

fn read_owners(action: &Element, set: bool) -> Result<Request, Refusal> {
    match (action.name(), set) {
        ("configure", false) => Ok(Request::Configuration { node: node(action)? }),
        ("configure", true) => {
            let cancelled = action.child("x", ns::DATA_FORMS).is_some_and(|x| x.attribute("type") == Some("cancel"));
            let options = if cancelled { None } else { form(Some(action), NODE_CONFIG, false)? };
            if options.is_none() && !cancelled {
                return Err(Refusal::BadRequest);
            }
            Ok(Request::Configure { node: node(action)?, options })
        }
        ("default", false) => Ok(Request::DefaultConfiguration),
        ("delete", true) => Ok(Request::Delete { node: node(action)? }),
        ("purge", true) => Ok(Request::Purge { node: node(action)? }),
        ("affiliations", false) => Ok(Request::Affiliations { node: node(action)? }),
        ("affiliations", true) => {
            Ok(Request::SetAffiliations { node: node(action)?, changes: read_affiliations(action)? })
        }
        ("subscriptions", _) => Err(Refusal::Unsupported("manage-subscriptions")),
        _ => Err(Refusal::BadRequest),
    }
}

fn read_publish(payload: &Element, action: &Element) -> Result<Publish, Refusal> {
    let node = node(action)?;
    let mut items = action.children().filter(|child| child.is("item", ns::PUBSUB));
    let item = items.next().ok_or(Refusal::ItemRequired)?;
    if items.next().is_some() {
        // §7.1.3.7, and no client of PEP needs more.
        return Err(Refusal::TooManyItems);
    }
    let id = match item.attribute("id") {
        None | Some("") => None,
        Some(id) => Some(checked_name(id)?),
    };
    let mut contents = item.children();
    let content = contents.next().ok_or(Refusal::PayloadRequired)?;
    if contents.next().is_some() {
        return Err(Refusal::InvalidPayload);
    }
    let options = form(payload.child("publish-options", ns::PUBSUB), PUBLISH_OPTIONS, true)?;
    Ok(Publish { node, id, payload: content.clone(), options })
}

fn read_items(action: &Element) -> Result<Request, Refusal> {
    let max = match action.attribute("max_items") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Refusal::BadRequest)?),
    };
    let ids_max = usize::try_from(limits::PEP_ITEMS_PER_NODE_MAX).unwrap_or(usize::MAX);
    let ids = action.children().filter_map(|item| item.attribute("id")).take(ids_max).map(str::to_owned).collect();
    Ok(Request::Items { node: node(action)?, ids, max })
}

fn read_affiliations(action: &Element) -> Result<BTreeMap<String, Option<Affiliation>>, Refusal> {
    let mut changes = BTreeMap::new();
    for element in action.children().filter(|child| child.is("affiliation", ns::PUBSUB_OWNER)) {
        let jid: Jid = element.attribute("jid").and_then(|jid| jid.parse().ok()).ok_or(Refusal::BadRequest)?;
        let affiliation = match element.attribute("affiliation") {
            Some("none") => None,
            Some("member") => Some(Affiliation::Member),
            Some("outcast") => Some(Affiliation::Outcast),
            // §8.9.2.4: others than the owner do not publish here.
            Some("owner" | "publisher" | "publish-only") => return Err(Refusal::NotAcceptable),
            _ => return Err(Refusal::BadRequest),
        };
        changes.insert(jid.bare().to_string(), affiliation);
    }
    Ok(changes)
}

/// The form inside an element, if the element and the form are there.
fn form(within: Option<&Element>, form_type: &str, strict: bool) -> Result<Option<Options>, Refusal> {
    let Some(form) = within.and_then(|element| element.child("x", ns::DATA_FORMS)) else {
        return Ok(None);
    };
    let invalid = |refusal| if strict { Refusal::InvalidOptions } else { refusal };
    Ok(Some(Options { fields: submitted(form, form_type).map_err(invalid)?, strict }))
}

fn node(action: &Element) -> Result<String, Refusal> {
    match action.attribute("node") {
        None | Some("") => Err(Refusal::NodeRequired),
        Some(name) => checked_name(name),
    }
}

fn retracted_id(action: &Element) -> Result<String, Refusal> {
    let mut items = action.children().filter(|child| child.is("item", ns::PUBSUB));
    let id = items.next().and_then(|item| item.attribute("id")).filter(|id| !id.is_empty());
    if items.next().is_some() {
        return Err(Refusal::TooManyItems);
    }
    id.map(str::to_owned).ok_or(Refusal::ItemRequired)
}

fn checked_name(name: &str) -> Result<String, Refusal> {
    if name.len() > limits::PEP_NAME_BYTES_MAX { Err(Refusal::NameTooLong) } else { Ok(name.to_owned()) }
}

/// FORM_TYPE of a node's configuration. XEP-0060 §16.4.4.
pub(super) const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
/// FORM_TYPE of publish options. XEP-0060 §16.4.5.
const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
