//! Which messages are worth waking a device for, and when. XEP-0357 §7.
//!
//! Whom to wake and how is not known here. [`Action::Unread`] says that a message waits for an account: because nobody is there
//! and it was stored, because a receiver's connection is lost, or because the account's archive keeps it for the devices that are
//! not there. A device that is there and looked at is never woken; one that nobody looks at (XEP-0352) gets its messages at once
//! too, and is woken only if it does not acknowledge them within [`limits::ACK_PATIENCE`].

#[allow(unused_imports)] // The documentation above names it.
use crate::limits;

use super::ledger::ParcelId;
use super::session::{Cargo, SessionId};
use super::{Action, Router, Storage};
use crate::jid::{BareJid, FullJid};
use crate::stanza::{Kind, MessageType, Stanza};
use crate::xml::{Element, ns};

impl<S: Storage> Router<S> {
    /// A message that is worth it waits for an account.
    pub(super) fn unread(&mut self, account: &BareJid) {
        self.actions.push(Action::Unread { account: account.clone(), silent: Vec::new() });
    }

    /// Has any of the sessions lost its connection?
    pub(super) fn any_waits(&self, sessions: impl IntoIterator<Item = SessionId>) -> bool {
        sessions.into_iter().any(|id| self.sessions.get(&id).is_some_and(|session| session.connection.is_none()))
    }

    /// A session's connection is lost: is anything among what it has not acknowledged worth waking its device for? What had been
    /// waiting before woke it already.
    pub(super) fn wake_for_lost(&mut self, id: SessionId, held: &[ParcelId]) {
        let worth = |parcel: &ParcelId| self.ledger.get(*parcel).is_some_and(|parcel| parcel.wakes && !parcel.waited);
        if !held.iter().any(worth) {
            return;
        }
        if let Some(account) = self.sessions.get(&id).map(|session| session.jid.bare().clone()) {
            self.unread(&account);
        }
    }

    /// Nobody has acknowledged a message in time: those of its receivers that nobody looks at may be asleep.
    pub(super) fn wake_for_overdue(&mut self, id: ParcelId) {
        let Some(parcel) = self.ledger.get(id).filter(|parcel| parcel.wakes) else { return };
        let account = parcel.account.clone();
        let holds = |session: &super::session::Session| {
            let unacknowledged = session.sm.iter().flat_map(|sm| &sm.unacknowledged);
            session.held.is_some()
                && unacknowledged.into_iter().any(|unacknowledged| unacknowledged.cargo == Cargo::Parcel(id))
        };
        let sessions = self.accounts.get(&account).map(|online| online.sessions.as_slice()).unwrap_or_default();
        let sleepers = sessions.iter().filter_map(|id| self.sessions.get(id)).filter(|session| holds(session));
        let silent: Vec<FullJid> = sleepers.map(|session| session.jid.clone()).collect();
        if !silent.is_empty() {
            self.actions.push(Action::Unread { account, silent });
        }
    }
}

/// Does the message tell its receiver something now? A body, an encrypted one, or a call; not chat states, receipts, markers, or
/// keys alone. Nobody wakes his own devices.
pub(super) fn is_worth_waking(stanza: &Stanza, account: &BareJid) -> bool {
    let kind = matches!(stanza.kind(), Kind::Message(MessageType::Normal | MessageType::Chat | MessageType::Groupchat));
    kind && stanza.from_bare() != Some(account) && stanza.element().children().any(tells)
}

fn tells(child: &Element) -> bool {
    match child.namespace() {
        ns::CLIENT => child.name() == "body" && !child.text().is_empty(),
        // XEP-0384: without a payload it only carries keys.
        "eu.siacs.conversations.axolotl" | "urn:xmpp:omemo:2" => {
            child.name() == "encrypted" && child.children().any(|part| part.name() == "payload")
        }
        // XEP-0373, XEP-0027, and Kontalk's.
        "urn:xmpp:openpgp:0" | "jabber:x:encrypted" | "urn:ietf:params:xml:ns:xmpp-e2e" => true,
        "urn:xmpp:jingle-message:0" => child.name() == "propose",
        _ => false,
    }
}
