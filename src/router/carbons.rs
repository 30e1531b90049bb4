//! Message carbons: what one session of an account sends or receives, the others see too. XEP-0280.
//!
//! A copy is no parcel: it is sent again when its session resumes, but nothing is stored for it and no sender waits for it.

use std::sync::Arc;

use super::session::{Cargo, SessionId};
use super::{Router, Storage};
use crate::jid::{BareJid, Jid};
use crate::stanza::{Kind, MessageType, Stanza, StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

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
        match wish {
            Some("enable") => session.wants_carbons = true,
            Some("disable") => session.wants_carbons = false,
            _ => return self.bounce(stanza, StanzaError::new(StanzaCondition::BadRequest)),
        }
        self.send(id, stanza.result().to_text().into(), Cargo::Other);
    }

    /// Copies a message to the account's sessions that want it and are not among `except`, which have it.
    pub(super) fn copy_to_others(
        &mut self,
        account: &BareJid,
        stanza: &Stanza,
        direction: Direction,
        except: &[SessionId],
    ) {
        let wants =
            |id: &SessionId| !except.contains(id) && self.sessions.get(id).is_some_and(|session| session.wants_carbons);
        let Some(online) = self.accounts.get(account) else { return };
        let others: Vec<SessionId> = online.sessions.iter().copied().filter(wants).collect();
        if others.is_empty() || !is_copied(stanza) {
            return;
        }
        for id in others {
            let Some(to) = self.sessions.get(&id).map(|session| Jid::Full(session.jid.clone())) else { continue };
            let text: Arc<str> = wrapped(stanza, direction, account, to).to_text().into();
            self.send(id, text, Cargo::Other);
        }
    }
}

/// Takes out of a client's message what only a server may say, or what was meant for the server alone.
pub(super) fn strip_carbons(stanza: &mut Stanza) {
    if stanza.element().children().any(|child| child.namespace() == ns::CARBONS) {
        stanza.element_mut().retain_children(|child| child.namespace() != ns::CARBONS);
    }
}

/// XEP-0280 §6.1: conversations are copied; not what is private, for a room, or hinted otherwise.
fn is_copied(stanza: &Stanza) -> bool {
    let element = stanza.element();
    let excluded = element.children().any(|child| (child.namespace() == ns::CARBONS) || child.is("no-copy", ns::HINTS));
    let conversation = match stanza.kind() {
        Kind::Message(MessageType::Chat) => true,
        Kind::Message(MessageType::Normal) => {
            element.child("body", ns::CLIENT).is_some() || element.children().any(|c| c.namespace() == ns::RECEIPTS)
        }
        _ => false,
    };
    conversation && !excluded
}

fn wrapped(stanza: &Stanza, direction: Direction, account: &BareJid, to: Jid) -> Stanza {
    let name = match direction {
        Direction::Sent => "sent",
        Direction::Received => "received",
    };
    // XEP-0297 §3.1.
    let forwarded = Element::new("forwarded", ns::FORWARD).with_child(stanza.element().clone());
    // XEP-0280 §7: from the account itself, or clients must not believe it.
    Stanza::build(stanza.kind(), Some(Jid::Bare(account.clone())), Some(to), stanza.id())
        .with_child(Element::new(name, ns::CARBONS).with_child(forwarded))
}
