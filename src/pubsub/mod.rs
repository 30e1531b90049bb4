//! Personal eventing: nodes and items that an account publishes, who may read them, who is told. XEP-0060 in the profile of
//! XEP-0163; private storage of XEP-0223.
//!
//! Every account is a service of its own. A [`Request`] is read from what a client sent; [`Node`]s say with their [`Config`]
//! who may read ([`check_access`]) and what a publication may change ([`publish_to`]); the answers and the notifications are
//! built here too. Only the owner publishes, and nobody subscribes by himself: whoever sees the account's presence and says
//! so in his capabilities (`NODE+notify`) is told. A [`Refusal`] is one of the errors of XEP-0060 with its own condition.
//!
//! What clients keep in nodes needs nothing of its own here: contact details (XEP-0292), keys (XEP-0373, XEP-0384), bookmarks
//! (XEP-0402), what was read (XEP-0490). Pictures do (XEP-0084): old clients look for them in the vCard.
//!
//! What keeps nodes and items is the store; who is there to be told, the router knows. Limits: `PEP_*` of [`crate::limits`].
//! A stranger, who sees nothing of the account, is refused in one way whatever the reason: it could be an account that does
//! not exist.

mod access;
mod avatar;
mod config;
mod refusal;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub use access::{Asker, check_access, hide_from};
pub use avatar::{
    AVATAR_DATA, AVATAR_METADATA, Photo, current_avatar, no_avatar, photo_in_data, with_photo, without_photo,
};
pub use config::{AccessModel, Config, SendLast};
pub use refusal::Refusal;
pub use reply::{
    Audience, affiliations, configuration, configuration_event, configure, default_configuration, delete_event,
    disco_info, disco_items, item_event, items, notification, published, purge_event, retract_event,
};
pub use request::{Options, Publish, Request};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::stanza::Timestamp;
use crate::xml::{Element, ns};

/// A node: what it is called is the key it is kept under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// How it behaves.
    pub config: Config,
    /// Who has another part in it than their relation to the account gives them, by bare JID. XEP-0060 §4.1.
    pub affiliations: BTreeMap<String, Affiliation>,
}

/// What the owner made of somebody. XEP-0060 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Affiliation {
    /// May read, also where the access model is whitelist.
    Member,
    /// May not read whatever the access model says.
    Outcast,
}

impl Affiliation {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Affiliation::Member => "member",
            Affiliation::Outcast => "outcast",
        }
    }
}

/// A published item. It does not print its payload.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name, unique in the node.
    pub id: String,
    /// When it was published.
    pub published: Timestamp,
    /// The payload's element, serialised for a place where `jabber:client` is the default namespace; empty if there is none.
    pub payload: String,
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Item").field("id", &self.id).field("published", &self.published).finish_non_exhaustive()
    }
}

/// What an element of private XML is kept under: its name and its namespace, which must be its own (XEP-0049 §4). A name holds no
/// space.
///
/// Errors: [`Refusal::BadRequest`], [`Refusal::NameTooLong`].
pub fn private_id(content: &Element) -> Result<String, Refusal> {
    if matches!(content.namespace(), "" | ns::CLIENT | ns::PRIVATE) {
        return Err(Refusal::BadRequest);
    }
    let id = format!("{} {}", content.name(), content.namespace());
    if id.len() > limits::PEP_NAME_BYTES_MAX { Err(Refusal::NameTooLong) } else { Ok(id) }
}

/// What a publication makes of the node: the node as it will be.
///
/// Errors: [`Refusal::PreconditionNotMet`], or [`Refusal::InvalidOptions`] for values that are none.
pub fn publish_to(existing: Option<&Node>, options: Option<&Options>) -> Result<Node, Refusal> {
    match (existing, options) {
        (Some(node), None) => Ok(node.clone()),
        (Some(node), Some(options)) => {
            // XEP-0060 §7.1.5: where the node exists, what is asked for must be so already.
            if options.apply(&node.config)? == node.config {
                Ok(node.clone())
            } else {
                Err(Refusal::PreconditionNotMet)
            }
        }
        // §7.1.4, XEP-0163 §3: a node comes into being with its first item, and then as it is asked for.
        (None, None) => Ok(Node::default()),
        (None, Some(options)) => Ok(Node { config: options.apply(&Config::default())?, ..Node::default() }),
    }
}
