//! Rosters: items, subscription states, block lists. Pure decisions. RFC 6121 §2-3 and appendix A; XEP-0191.
//!
//! An [`Entry`] is all that one account knows of one contact: the roster item, if there is one, and a subscription request
//! that waits for an answer (`Pending In`), which the roster does not show (RFC 6121 §3.1.3). What presence of a subscription
//! kind does to an entry is decided by [`outbound`] and [`inbound`]; [`remove`] says which goodbyes a removed item owes.
//! [`RosterSet`] and [`BlockingRequest`] are what clients ask for, read and checked; the functions beside them build the answers.
//! Limits: items, groups, names and block list as in `limits`. Nothing here is kept: the store does that.

mod blocking;
mod query;
mod subscription;

pub use blocking::{BlockingRequest, block_push, blocklist_result, is_blocklist_get, unblock_push};
pub use query::{RosterSet, push, requested_version, result};
pub use subscription::{ContactSees, Inbound, Outbound, Removal, inbound, outbound, remove};

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::jid::{BareJid, Jid};
use crate::stanza::Timestamp;

/// Who sees whose presence. RFC 6121 §2.1.2.5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // The RFC's words.
pub enum Subscription {
    #[default]
    None,
    To,
    From,
    Both,
}

/// What an account keeps about one contact's roster item. RFC 6121 §2.1.2. The contact's address is the key it is kept under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The handle the user gave.
    pub name: Option<String>,
    /// The groups the user sorted it into, without duplicates.
    pub groups: Vec<String>,
    /// The state of the subscription.
    pub subscription: Subscription,
    /// A subscription request of ours waits for an answer (`Pending Out`, `ask='subscribe'`).
    pub ask: bool,
    /// Pre-approved: a request of the contact will be granted at once. RFC 6121 §3.4.
    pub approved: bool,
}

/// A subscription request that waits for the user's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The presence stanza as it will be delivered, serialised.
    pub stanza: String,
    /// When it came.
    pub stamp: Timestamp,
}

/// All that an account knows of one contact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The roster item, if the contact is in the roster.
    pub item: Option<Item>,
    /// The contact's waiting request, if any.
    pub request: Option<Request>,
}

/// An account's whole roster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Grows with every change of an item. RFC 6121 §2.6.
    pub version: u64,
    /// Each contact with what is known of it, ordered by address.
    pub entries: Vec<(BareJid, Entry)>,
}

/// An account's block list. XEP-0191.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockList {
    /// The blocked addresses: bare or full JIDs, domains, domains with resource.
    pub blocked: BTreeSet<Jid>,
}
