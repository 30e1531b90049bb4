//! Message carbons: what one session of an account sends or receives, the others see too. XEP-0280.
//!
//! A session that gets a copy of a received message is one more holder of it (see ledger): should the one it was addressed to
//! die without it, the copy counts. A copy of a sent message is a courtesy: sent again at a resumption, never stored.

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

    /// Copies of a message for the account's sessions that want them and are not among `except`, which have it.
    pub(super) fn copies(
        &self,
        account: &BareJid,
        stanza: &Stanza,
        direction: Direction,
        except: &[SessionId],
    ) -> Vec<(SessionId, Arc<str>)> {
        let Some(online) = self.accounts.get(account).filter(|online| online.sessions.len() > except.len()) else {
            return Vec::new();
        };
        if !is_copied(stanza) {
            return Vec::new();
        }
        let copy = |id: &SessionId| {
            let session = self.sessions.get(id).filter(|session| session.wants_carbons && !except.contains(id))?;
            let text = wrapped(stanza, direction, account, Jid::Full(session.jid.clone())).to_text();
            Some((*id, Arc::from(text)))
        };
        online.sessions.iter().filter_map(copy).collect()
    }

    /// The user's other sessions see what one of them sends.
    pub(super) fn show_sent(&mut self, account: &BareJid, stanza: &Stanza, sender: SessionId) {
        for (session, text) in self.copies(account, stanza, Direction::Sent, &[sender]) {
            self.send(session, text, Cargo::Other);
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
