//! Message carbons: what one session of an account sends or receives, the others see too. XEP-0280.
//!
//! A session that gets a copy of a received message is one more holder of it (see ledger): should the one it was addressed to
//! die without it, the copy counts. A copy of a sent message is a courtesy: sent again at a resumption, never stored; what a device
//! missed of these it finds in the archive.

use std::sync::Arc;

use super::session::{Cargo, SessionId};
use super::{Router, Storage};
use crate::archive::{self, forwarded};
use crate::jid::BareJid;
use crate::stanza::{IqType, Kind, MessageType, Stanza, StanzaCondition, StanzaError};
use crate::xml::{Element, escape_attribute, ns};

/// Which way the copied message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Sent,
    Received,
}

impl<S: Storage> Router<S> {
    /// XEP-0280 §4 and §5: a session wants copies, or no longer.
    pub(super) fn carbons_iq(&mut self, id: SessionId, stanza: &Stanza) {
        let wish = stanza.payload().map(Element::name);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match (stanza.kind(), wish) {
            (Kind::Iq(IqType::Set), Some("enable")) => session.wants_carbons = true,
            (Kind::Iq(IqType::Set), Some("disable")) => session.wants_carbons = false,
            _ => return self.bounce(stanza, StanzaError::new(StanzaCondition::BadRequest)),
        }
        self.send(id, stanza.result().to_text().into(), Cargo::Other);
    }

    /// Would anybody of the account be sent copies?
    pub(super) fn wants_copies(&self, account: &BareJid) -> bool {
        let wants = |id: &SessionId| self.sessions.get(id).is_some_and(|session| session.wants_carbons);
        self.accounts.get(account).is_some_and(|online| online.sessions.iter().any(wants))
    }

    /// Copies of a message, given as text too, for the account's sessions that want them and are not among `except`, which have it;
    /// never for the one it comes from.
    pub(super) fn copies(
        &self,
        account: &BareJid,
        stanza: &Stanza,
        text: &str,
        direction: Direction,
        except: &[SessionId],
    ) -> Vec<(SessionId, Arc<str>)> {
        let Some(online) = self.accounts.get(account).filter(|online| online.sessions.len() > except.len()) else {
            return Vec::new();
        };
        let sender = stanza.from().and_then(|from| from.full());
        let copy = |id: &SessionId| {
            let session = self.sessions.get(id).filter(|session| session.wants_carbons && !except.contains(id))?;
            // XEP-0280 §6: what one says to oneself does not come back.
            let copied = Some(&session.jid) != sender;
            copied.then(|| (*id, wrapped(stanza, text, direction, account, &session.jid.to_string()).into()))
        };
        online.sessions.iter().filter_map(copy).collect()
    }
}

/// Takes out of a client's message what only a server may say: copies. The mark that forbids them stays.
pub(super) fn strip_forged_copies(stanza: &mut Stanza) {
    let forged = |child: &Element| child.namespace() == ns::CARBONS && child.name() != "private";
    if stanza.element().children().any(forged) {
        stanza.element_mut().retain_children(|child| !forged(child));
    }
}

/// Takes out of a message all that is about copies.
pub(super) fn strip_carbons(stanza: &mut Stanza) {
    if stanza.element().children().any(|child| child.namespace() == ns::CARBONS) {
        stanza.element_mut().retain_children(|child| child.namespace() != ns::CARBONS);
    }
}

/// XEP-0280 §6.1: conversations are copied; not what is private, for a room, or hinted otherwise (XEP-0334 §4.3).
pub(super) fn is_copied(stanza: &Stanza) -> bool {
    let excluded = |child: &Element| child.is("private", ns::CARBONS) || child.is("no-copy", ns::HINTS);
    let conversation = match stanza.kind() {
        Kind::Message(MessageType::Chat) => true,
        Kind::Message(MessageType::Normal) => archive::is_conversation(stanza),
        _ => false,
    };
    conversation && !stanza.element().children().any(excluded)
}

fn wrapped(stanza: &Stanza, text: &str, direction: Direction, account: &BareJid, to: &str) -> String {
    let name = match direction {
        Direction::Sent => "sent",
        Direction::Received => "received",
    };
    let mut copy = String::with_capacity(text.len() + 320);
    // XEP-0280 §7: from the account itself, or clients must not believe it.
    let attributes =
        [("type", stanza.kind().attribute()), ("id", stanza.id()), ("from", Some(account.as_str())), ("to", Some(to))];
    copy.push_str("<message");
    for (attribute, value) in attributes {
        let Some(value) = value else { continue };
        copy.push(' ');
        copy.push_str(attribute);
        copy.push_str("='");
        escape_attribute(value, &mut copy);
        copy.push('\'');
    }
    copy.push_str("><");
    copy.push_str(name);
    copy.push_str(" xmlns='urn:xmpp:carbons:2'>");
    forwarded(text, None, &mut copy);
    copy.push_str("</");
    copy.push_str(name);
    copy.push_str("></message>");
    copy
}

/// The message in a copy of a received one, as [`wrapped`] made it.
pub(super) fn copied_message(copy: &str) -> Option<String> {
    let (_, content) = copy.split_once('>')?;
    let message = content.strip_prefix(RECEIVED_BEGINS)?.strip_suffix(RECEIVED_ENDS)?;
    Some(format!("<message{message}"))
}

const RECEIVED_BEGINS: &str = "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
                               <message xmlns='jabber:client'";
const RECEIVED_ENDS: &str = "</forwarded></received></message>";
