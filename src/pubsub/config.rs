//! How a node behaves: its configuration as a value, and as the data form that clients read and fill in. XEP-0060 §8.2, §16.4.

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::limits;
use crate::xml::{Element, ns};

/// Who may read. XEP-0060 §4.5. The model `authorize` is not offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessModel {
    /// Anybody.
    Open,
    /// Who sees the owner's presence.
    #[default]
    Presence,
    /// Who is in one of the node's roster groups.
    Roster,
    /// The owner, and those he made members. XEP-0223.
    Whitelist,
}

/// When the last item is sent by itself. XEP-0060 §16.4.4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // The specification's words.
pub enum SendLast {
    Never,
    OnSub,
    #[default]
    OnSubAndPresence,
}

/// A node's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Who may read.
    pub access: AccessModel,
    /// How many items are kept; at most [`limits::PEP_ITEMS_PER_NODE_MAX`].
    pub max_items: u32,
    /// Are items kept at all?
    pub persist_items: bool,
    /// When the last item is sent by itself.
    pub send_last: SendLast,
    /// Is anybody told of items?
    pub deliver_notifications: bool,
    /// Do notifications hold the payload?
    pub deliver_payloads: bool,
    /// Are others told that an item was retracted?
    pub notify_retract: bool,
    /// That the node was deleted?
    pub notify_delete: bool,
    /// That the node was configured anew?
    pub notify_config: bool,
    /// For the access model `roster`, in order and without duplicates.
    pub roster_groups: Vec<String>,
    /// For people.
    pub title: String,
    /// For people.
    pub description: String,
    /// The namespace of the payloads.
    pub payload_type: String,
}

impl Default for Config {
    /// XEP-0163 §5: what a contact who sees the presence may read, one item.
    fn default() -> Config {
        Config {
            access: AccessModel::default(),
            max_items: 1,
            persist_items: true,
            send_last: SendLast::default(),
            deliver_notifications: true,
            deliver_payloads: true,
            notify_retract: true,
            notify_delete: true,
            notify_config: false,
            roster_groups: Vec::new(),
            title: String::new(),
            description: String::new(),
            payload_type: String::new(),
        }
    }
}

/// What a field of a form did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// It is taken, or it says what is so anyway.
    Yes,
    /// Nobody knows this field.
    Unknown,
}

impl Config {
    /// How many items may be kept.
    pub fn items_max(&self) -> u32 {
        if self.persist_items { self.max_items } else { 0 }
    }

    /// Takes over one field of a form.
    pub(super) fn apply(&mut self, field: &Field) -> Result<Applied, Refusal> {
        let bad = Refusal::NotAcceptable;
        match field.name.as_str() {
            "pubsub#access_model" => self.access = access_model(field.value()).ok_or(bad)?,
            "pubsub#max_items" => self.max_items = max_items(field.value()).ok_or(bad)?,
            "pubsub#persist_items" => self.persist_items = field.flag().ok_or(bad)?,
            "pubsub#send_last_published_item" => self.send_last = send_last(field.value()).ok_or(bad)?,
            "pubsub#deliver_notifications" => self.deliver_notifications = field.flag().ok_or(bad)?,
            "pubsub#deliver_payloads" => self.deliver_payloads = field.flag().ok_or(bad)?,
            "pubsub#notify_retract" => self.notify_retract = field.flag().ok_or(bad)?,
            "pubsub#notify_delete" => self.notify_delete = field.flag().ok_or(bad)?,
            "pubsub#notify_config" => self.notify_config = field.flag().ok_or(bad)?,
            "pubsub#roster_groups_allowed" => self.roster_groups = field.groups().ok_or(bad)?,
            "pubsub#title" => self.title = field.text().ok_or(bad)?,
            "pubsub#description" => self.description = field.text().ok_or(bad)?,
            "pubsub#type" => self.payload_type = field.text().ok_or(bad)?,
            // Fixed: what is asked for must be what is so.
            "pubsub#publish_model" => return fixed(field, &["publishers"]),
            "pubsub#node_type" => return fixed(field, &["leaf"]),
            "pubsub#item_expire" => return fixed(field, &["max", ""]),
            "pubsub#notification_type" => return fixed(field, &["headline"]),
            // A hint that binds us to nothing.
            "pubsub#presence_based_delivery"
            | "pubsub#max_payload_size"
            | "pubsub#subscribe"
            | "pubsub#itemreply"
            | "pubsub#purge_offline"
            | "pubsub#tempsub"
            | "pubsub#notify_sub"
            | "pubsub#language"
            | "pubsub#contact"
            | "pubsub#collection" => {}
            _ => return Ok(Applied::Unknown),
        }
        Ok(Applied::Yes)
    }

    /// The fields as they are, for a form to read or to fill in.
    pub(super) fn fields(&self) -> Vec<Element> {
        let max_items = self.max_items.to_string();
        let groups: Vec<&str> = self.roster_groups.iter().map(String::as_str).collect();
        vec![
            list("pubsub#access_model", self.access.as_str(), &ACCESS_MODELS.map(|(name, _)| name)),
            text("pubsub#max_items", &max_items),
            flag("pubsub#persist_items", self.persist_items),
            list("pubsub#send_last_published_item", self.send_last.as_str(), &SEND_LAST.map(|(name, _)| name)),
            flag("pubsub#deliver_notifications", self.deliver_notifications),
            flag("pubsub#deliver_payloads", self.deliver_payloads),
            flag("pubsub#notify_retract", self.notify_retract),
            flag("pubsub#notify_delete", self.notify_delete),
            flag("pubsub#notify_config", self.notify_config),
            field("pubsub#roster_groups_allowed", "text-multi", &groups),
            list("pubsub#publish_model", "publishers", &["publishers"]),
            list("pubsub#notification_type", "headline", &["headline"]),
            text("pubsub#title", &self.title),
            text("pubsub#description", &self.description),
            text("pubsub#type", &self.payload_type),
        ]
    }
}

impl AccessModel {
    fn as_str(self) -> &'static str {
        ACCESS_MODELS.iter().find(|(_, model)| *model == self).map_or("presence", |(name, _)| name)
    }
}

impl SendLast {
    fn as_str(self) -> &'static str {
        SEND_LAST.iter().find(|(_, when)| *when == self).map_or("never", |(name, _)| name)
    }
}

/// A filled-in field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    name: String,
    values: Vec<String>,
}

impl Field {
    fn value(&self) -> &str {
        self.values.first().map_or("", |value| value.trim())
    }

    /// XEP-0004 §3.3: a boolean is one of four words.
    fn flag(&self) -> Option<bool> {
        match self.value() {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        }
    }

    fn text(&self) -> Option<String> {
        let text = self.value();
        (text.len() <= limits::PEP_NAME_BYTES_MAX).then(|| text.to_owned())
    }

    fn groups(&self) -> Option<Vec<String>> {
        let mut groups = self.values.clone();
        groups.sort_unstable();
        groups.dedup();
        let fit = groups.len() <= limits::ROSTER_GROUPS_MAX
            && groups.iter().all(|group| group.len() <= limits::ROSTER_NAME_BYTES_MAX);
        fit.then_some(groups)
    }
}

/// The fields of a submitted form of this type. XEP-0004 §3.2, XEP-0068: the form type stands first, and may be left out where
/// the place leaves no doubt.
///
/// Errors: [`Refusal::NotAcceptable`] for what is no such form.
pub(super) fn submitted(form: &Element, form_type: &str) -> Result<Vec<Field>, Refusal> {
    if form.attribute("type").is_some_and(|kind| kind != "submit") {
        return Err(Refusal::NotAcceptable);
    }
    let mut fields = Vec::new();
    for element in form.children().filter(|child| child.is("field", ns::DATA_FORMS)) {
        let name = element.attribute("var").unwrap_or_default().to_owned();
        let values: Vec<String> =
            element.children().filter(|child| child.is("value", ns::DATA_FORMS)).map(Element::text).collect();
        if name == "FORM_TYPE" {
            if values.first().is_some_and(|value| value != form_type) {
                return Err(Refusal::NotAcceptable);
            }
        } else {
            fields.push(Field { name, values });
        }
    }
    Ok(fields)
}

fn fixed(field: &Field, allowed: &[&str]) -> Result<Applied, Refusal> {
    if allowed.contains(&field.value()) { Ok(Applied::Yes) } else { Err(Refusal::NotAcceptable) }
}

fn access_model(value: &str) -> Option<AccessModel> {
    ACCESS_MODELS.iter().find(|(name, _)| *name == value).map(|(_, model)| *model)
}

fn send_last(value: &str) -> Option<SendLast> {
    SEND_LAST.iter().find(|(name, _)| *name == value).map(|(_, when)| *when)
}

/// XEP-0060 §16.4.4: a number, or `max` for as many as the service keeps. A higher number means that too.
fn max_items(value: &str) -> Option<u32> {
    let asked = if value == "max" { limits::PEP_ITEMS_PER_NODE_MAX } else { value.parse().ok()? };
    Some(asked.min(limits::PEP_ITEMS_PER_NODE_MAX))
}

fn field(name: &'static str, kind: &'static str, values: &[&str]) -> Element {
    let mut field = Element::new("field", ns::DATA_FORMS).with("var", name).with("type", kind);
    for value in values {
        field.push(Element::new("value", ns::DATA_FORMS).with_text(value));
    }
    field
}

fn text(name: &'static str, value: &str) -> Element {
    let values: &[&str] = if value.is_empty() { &[] } else { &[value] };
    field(name, "text-single", values)
}

fn flag(name: &'static str, value: bool) -> Element {
    field(name, "boolean", &[if value { "1" } else { "0" }])
}

fn list(name: &'static str, value: &str, options: &[&str]) -> Element {
    let mut field = field(name, "list-single", &[value]);
    for option in options {
        let value = Element::new("value", ns::DATA_FORMS).with_text(option);
        field.push(Element::new("option", ns::DATA_FORMS).with_child(value));
    }
    field
}

const ACCESS_MODELS: [(&str, AccessModel); 4] = [
    ("open", AccessModel::Open),
    ("presence", AccessModel::Presence),
    ("roster", AccessModel::Roster),
    ("whitelist", AccessModel::Whitelist),
];

const SEND_LAST: [(&str, SendLast); 3] =
    [("never", SendLast::Never), ("on_sub", SendLast::OnSub), ("on_sub_and_presence", SendLast::OnSubAndPresence)];
