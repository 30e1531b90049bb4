//! One stanza on its way to another domain.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::federation::Pair;
use crate::limits;
use crate::router::{Now, Receipt, is_kept, is_trifle};
use crate::stanza::{Kind, MessageType, PresenceType, Stanza, StanzaError, Timestamp, delay};
use crate::xml::{Element, ns, parse_document};

/// Names a stanza in the store that is on its way to another domain; ordered as they were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutgoingId(pub u64);

/// A stanza on its way to another domain, as the store keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its name in the store; of no meaning before it is there.
    pub id: OutgoingId,
    /// From which domain to which.
    pub pair: Pair,
    /// The stanza, serialised.
    pub text: String,
    /// When the node took it.
    pub stamp: Timestamp,
}

impl fmt::Debug for Outgoing {
    /// Without the stanza: what people write to each other is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("id", &self.id).field("pair", &self.pair).finish_non_exhaustive()
    }
}

/// What becomes of a stanza that waits too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cargo {
    /// It must not be lost: stored when that takes long, answered with an error in the end.
    Kept,
    /// An iq get or set: somebody waits for the answer, so an error comes soon.
    Request,
    /// Presence: forgotten when it is old.
    Presence,
    /// Chat states and the like: forgotten.
    Trifle,
    /// All else: answered where that may be.
    Other,
}

impl Cargo {
    pub(super) fn of(stanza: &Stanza) -> Cargo {
        match stanza.kind() {
            // What is said in a room waits for the room as any message does.
            Kind::Message(MessageType::Groupchat) if is_kept(stanza, MessageType::Chat) => Cargo::Kept,
            Kind::Message(kind) if is_kept(stanza, kind) => Cargo::Kept,
            Kind::Message(_) if is_trifle(stanza) => Cargo::Trifle,
            Kind::Presence(
                PresenceType::Subscribe
                | PresenceType::Subscribed
                | PresenceType::Unsubscribe
                | PresenceType::Unsubscribed,
            ) => Cargo::Kept,
            Kind::Presence(_) => Cargo::Presence,
            Kind::Iq(_) if stanza.is_request() => Cargo::Request,
            Kind::Message(_) | Kind::Iq(_) => Cargo::Other,
        }
    }

    pub(super) fn age_max(self, messages: Duration) -> Duration {
        match self {
            Cargo::Kept => messages,
            Cargo::Request => limits::S2S_REQUEST_AGE,
            Cargo::Presence | Cargo::Trifle | Cargo::Other => messages.min(limits::S2S_FLEETING_AGE),
        }
    }
}

pub(super) struct Item {
    pub(super) number: u64,
    /// The stanza in the namespace of clients, which is left unsaid: between servers it is then in theirs.
    pub(super) text: Arc<str>,
    pub(super) cargo: Cargo,
    pub(super) since: Instant,
    pub(super) stamp: Timestamp,
    /// What its sender waits for.
    pub(super) receipt: Option<Receipt>,
    /// The store's copy.
    pub(super) stored: Option<OutgoingId>,
    /// The store has it or was asked to.
    pub(super) storing: bool,
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item").field("number", &self.number).field("cargo", &self.cargo).finish_non_exhaustive()
    }
}

impl Item {
    pub(super) fn new(number: u64, text: Arc<str>, cargo: Cargo, now: Now, receipt: Option<Receipt>) -> Item {
        let (since, stamp) = (now.monotonic, now.wall);
        Item { number, text, cargo, since, stamp, receipt, stored: None, storing: false }
    }

    /// The error for its sender. RFC 6120 §8.3.1: none for errors and results; nobody cares for lost presence.
    pub(super) fn answer(&self, error: &StanzaError) -> Option<Stanza> {
        match self.cargo {
            Cargo::Presence | Cargo::Trifle => None,
            Cargo::Kept | Cargo::Request | Cargo::Other => Stanza::new(self.element()?).ok()?.error(error),
        }
    }

    /// As it is written now: a message that had to wait says since when (XEP-0203 §2).
    pub(super) fn to_send(&self, pair: &Pair, now: Instant) -> Arc<str> {
        let waited = now.saturating_duration_since(self.since) >= limits::S2S_DELAY_TOLD_AFTER;
        if !waited || self.cargo != Cargo::Kept {
            return self.text.clone();
        }
        let told = |element: &Element| element.name() != "message" || element.child("delay", ns::DELAY).is_some();
        match self.element().filter(|element| !told(element)) {
            Some(element) => element.with_child(delay(&pair.own, self.stamp)).to_text(ns::CLIENT).into(),
            None => self.text.clone(),
        }
    }

    fn element(&self) -> Option<Element> {
        parse_document(&self.text, ns::CLIENT, limits::STANZA_DEPTH_MAX).ok()
    }
}
