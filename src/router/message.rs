//! Messages: to whom, and what happens when nobody is there. RFC 6121 §8.5, XEP-0160; Kontalk's offline rules.

use std::collections::VecDeque;
use std::sync::Arc;

use super::archive::Incoming;
use super::carbons::{Direction, is_copied, strip_forged_copies};
use super::ledger::{Debt, Parcel, WhenDurable};
use super::session::{Cargo, Draining, SessionId};
use super::stamps::{forget_stanza_ids_of, stanza_id_in, with_delay};
use super::{OfflineId, OfflineMessage, Router, Storage, StorageFault};
use crate::archive::ArchiveId;
use crate::jid::{BareJid, Jid};
use crate::limits;
use crate::stanza::{MessageType, Stanza, StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

impl<S: Storage> Router<S> {
    /// A client of ours says something: its account's archive and other sessions learn of it, then it goes its way.
    pub(super) fn message_from_client(&mut self, mut stanza: Stanza, debt: Option<Debt>) {
        let (Some(from), Some(to)) = (stanza.from_bare().cloned(), stanza.to().cloned()) else { return };
        self.forget_own_delay_stamps(&mut stanza);
        strip_forged_copies(&mut stanza);
        forget_stanza_ids_of(&mut stanza, &from);
        forget_stanza_ids_of(&mut stanza, to.bare());
        // What one says to oneself is received, and one message in the archive.
        if *to.bare() != from && !self.is_multicast(&stanza, &to) {
            self.note_sent(&from, &stanza, debt);
        }
        self.route(stanza, debt);
    }

    /// For the archive and the other sessions of the account that sends it.
    pub(super) fn note_sent(&mut self, from: &BareJid, stanza: &Stanza, debt: Option<Debt>) {
        if !self.is_archived_or_copied(from, stanza) {
            return;
        }
        let Some(text) = self.archive_sent(from, stanza, debt) else { return };
        if is_copied(stanza) {
            let cargo = if is_trifle(stanza) { Cargo::Trifle } else { Cargo::Copy };
            for (session, copy) in self.copies(from, stanza, &text, Direction::Sent, &[]) {
                self.send(session, copy, cargo);
            }
        }
    }

    pub(super) fn route_message(&mut self, stanza: Stanza, to: &Jid, kind: MessageType, debt: Option<Debt>) {
        let account = to.bare();
        if self.is_multicast(&stanza, to) {
            return self.multicast(stanza, debt);
        }
        if account.localpart().is_none() {
            // The node itself reads no messages.
            return self.bounce(&stanza, StanzaError::new(StanzaCondition::ServiceUnavailable));
        }
        // To a stranger, an account that blocks him and one that does not exist look alike.
        let reachable = match self.exists(account) {
            Ok(exists) => exists && !stanza.from().is_some_and(|from| self.blocks(account, from)),
            Err(fault) => return self.bounce_fault(&stanza, fault),
        };
        let resource = to.full().filter(|_| reachable).and_then(|full| self.session_of(full));
        if let Some(session) = resource {
            // RFC 6121 §8.5.3.1: a connected resource gets what is addressed to it.
            let incoming = self.accept(account, stanza, kind, debt);
            return self.hand_out(account, incoming, &[session], debt);
        }
        match (to, kind) {
            // RFC 6121 §8.5.3.2.1: only chat messages go on to the other resources of the account.
            (Jid::Full(_), MessageType::Normal | MessageType::Groupchat | MessageType::Headline) => {
                self.bounce(&stanza, StanzaError::new(StanzaCondition::ServiceUnavailable));
            }
            // RFC 6121 §8.5.2.1.1: groupchat to a bare JID is an error.
            (Jid::Bare(_), MessageType::Groupchat) => {
                self.bounce(&stanza, StanzaError::new(StanzaCondition::ServiceUnavailable));
            }
            (_, MessageType::Error) => {}
            _ if !reachable => {}
            _ => {
                let incoming = self.accept(account, stanza, kind, debt);
                let receivers = self.receiving_sessions(account);
                if !receivers.is_empty() {
                    self.hand_out(account, incoming, &receivers, debt);
                } else if incoming.kept {
                    self.keep(account, &incoming, debt);
                }
            }
        }
    }

    /// Sends a message to sessions of one account and copies to others, as one parcel if it must not be lost.
    fn hand_out(&mut self, account: &BareJid, incoming: Incoming, sessions: &[SessionId], debt: Option<Debt>) {
        let copies = match incoming.copied {
            true => self.copies(account, &incoming.stanza, &incoming.text, Direction::Received, sessions),
            false => Vec::new(),
        };
        let receivers = sessions.iter().copied().chain(copies.iter().map(|(session, _)| *session));
        if incoming.wakes && (incoming.archived || self.any_waits(receivers)) {
            self.unread(account);
        }
        if !incoming.kept {
            let cargo = match incoming.trifle {
                true => Cargo::Trifle,
                false if is_event(&incoming.stanza) => Cargo::Event,
                false => Cargo::Other,
            };
            for session in sessions {
                self.send(*session, incoming.text.clone(), cargo);
            }
            for (session, copy) in copies {
                self.send(session, copy, cargo);
            }
            return;
        }
        let parcel = Parcel {
            account: account.clone(),
            text: incoming.text,
            stamp: self.now.wall,
            debt,
            holders: 0,
            taken: false,
            waited: false,
            wakes: incoming.wakes,
            stored: None,
        };
        self.owe(debt);
        self.send_parcel(parcel, sessions, copies);
    }

    /// Stores a message for an account that nobody is there for.
    fn keep(&mut self, account: &BareJid, incoming: &Incoming, debt: Option<Debt>) {
        let text = with_delay(&incoming.text, &self.domain, self.now.wall);
        match self.storage.store_offline(account, &text, self.now.wall) {
            Ok((_, ticket)) => {
                if let Some(debt) = debt {
                    self.owe(Some(debt));
                    self.when_durable(ticket, WhenDurable::Settle(debt));
                }
                if incoming.wakes {
                    self.unread(account);
                }
            }
            Err(fault) => self.bounce_fault(&incoming.stanza, fault),
        }
    }

    /// Sends a parcel to sessions, and copies of it to others; all of them become its holders.
    pub(super) fn send_parcel(
        &mut self,
        mut parcel: Parcel,
        sessions: &[SessionId],
        copies: Vec<(SessionId, Arc<str>)>,
    ) {
        parcel.holders = u16::try_from(sessions.len() + copies.len()).unwrap_or(u16::MAX);
        let text = match parcel.stored {
            // What went through the store says since when.
            Some(_) => with_delay(&parcel.text, &self.domain, parcel.stamp).into(),
            None => parcel.text.clone(),
        };
        if let (Some(id), Some(online)) = (parcel.stored, self.accounts.get_mut(&parcel.account)) {
            online.in_flight.insert(id);
        }
        let id = self.ledger.open(parcel, self.now.monotonic);
        let copied: Vec<SessionId> = copies.iter().map(|(session, _)| *session).collect();
        for session in sessions {
            self.send(*session, text.clone(), Cargo::Parcel(id));
        }
        for (session, copy) in copies {
            self.send(session, copy, Cargo::Parcel(id));
        }
        if self.any_waits(sessions.iter().chain(&copied).copied()) {
            // A receiver whose connection is lost will not acknowledge soon.
            self.store_parcel(id);
        }
    }

    /// Answers a stanza with an error, where one may be sent.
    pub(super) fn bounce(&mut self, stanza: &Stanza, error: StanzaError) {
        if let Some(reply) = stanza.error(&error)
            && reply.to().is_some()
        {
            self.route(reply, None);
        }
    }

    pub(super) fn bounce_fault(&mut self, stanza: &Stanza, fault: StorageFault) {
        let error = match fault {
            StorageFault::Full => StanzaError::new(StanzaCondition::ResourceConstraint)
                .text("there is no room for another message to this user now"),
            StorageFault::Broken => StanzaError::new(StanzaCondition::InternalServerError),
        };
        self.bounce(stanza, error);
    }

    pub(super) fn exists(&self, account: &BareJid) -> Result<bool, StorageFault> {
        if self.accounts.contains_key(account) { Ok(true) } else { self.storage.account_exists(account) }
    }

    /// Gives a session the messages that waited for its account, a batch at a time. RFC 6121 §8.5.2.2.1, XEP-0160 §3.
    pub(super) fn give_offline(&mut self, id: SessionId, mut after: Option<OfflineId>) {
        let Some(account) = self.sessions.get(&id).map(|s| s.jid.bare().clone()) else { return };
        loop {
            let batch = self.storage.offline(&account, self.now.wall, after, limits::OFFLINE_BATCH_MAX);
            let mut messages = batch.unwrap_or_else(|fault| {
                log::error!("stored messages of an account cannot be read: {fault}");
                Vec::new()
            });
            let Some(last) = messages.last().map(|message| message.id) else { return self.drained(id) };
            messages.sort_by_key(|message| message.stamp);
            let in_flight = self.accounts.get(&account).map(|online| &online.in_flight);
            messages.retain(|message| !in_flight.is_some_and(|ids| ids.contains(&message.id)));
            self.forget_what_the_archive_told(id, &account, &mut messages);
            if !messages.is_empty() {
                return self.give_batch(id, &account, messages, last);
            }
            after = Some(last);
        }
    }

    fn give_batch(&mut self, id: SessionId, account: &BareJid, messages: Vec<OfflineMessage>, last: OfflineId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match session.draining.as_mut() {
            Some(draining) => (draining.open, draining.after) = (messages.len(), last),
            None => {
                let draining = Draining { open: messages.len(), after: last, behind: VecDeque::new() };
                session.draining = Some(Box::new(draining));
            }
        }
        for message in messages {
            if let Some(online) = self.accounts.get_mut(account) {
                online.in_flight.insert(message.id);
            }
            let text: Arc<str> = with_delay(&message.stanza, &self.domain, message.stamp).into();
            let parcel = Parcel {
                account: account.clone(),
                text: text.clone(),
                stamp: message.stamp,
                debt: None,
                holders: 1,
                taken: false,
                waited: true,
                wakes: false,
                stored: Some(message.id),
            };
            let parcel = self.ledger.open(parcel, self.now.monotonic);
            // Past the queue of what came meanwhile.
            self.send_now(id, text, Cargo::Parcel(parcel));
        }
    }

    /// All that waited is given: what came meanwhile follows.
    fn drained(&mut self, id: SessionId) {
        let draining = self.sessions.get_mut(&id).and_then(|session| session.draining.take());
        for (text, cargo) in draining.into_iter().flat_map(|draining| draining.behind) {
            self.send(id, text, cargo);
        }
    }

    /// XEP-0313 §6.1.1: what a session was told by the archive before it became available it need not be given once more.
    fn forget_what_the_archive_told(&mut self, id: SessionId, account: &BareJid, messages: &mut Vec<OfflineMessage>) {
        let (from, to) = self.sessions.get(&id).map(|session| session.archive_told).unwrap_or_default();
        if to == ArchiveId::default() {
            return;
        }
        let is_told = |id: ArchiveId| id > from && id <= to;
        let is_known = |message: &OfflineMessage| stanza_id_in(&message.stanza, account).is_some_and(is_told);
        let told: Vec<OfflineId> = messages.iter().filter(|message| is_known(message)).map(|m| m.id).collect();
        messages.retain(|message| !told.contains(&message.id));
        if let Err(fault) = self.storage.delete_offline(account, &told) {
            log::warn!("messages that a client has from the archive will be delivered again: {fault}");
        }
    }

    /// A draining session has acknowledged a message: the next batch follows the last of this one.
    pub(super) fn drained_one(&mut self, id: SessionId) {
        let Some(draining) = self.sessions.get_mut(&id).and_then(|s| s.draining.as_mut()) else { return };
        draining.open = draining.open.saturating_sub(1);
        if draining.open == 0 {
            let after = draining.after;
            self.give_offline(id, Some(after));
        }
    }
}

/// Is the message stored when nobody is there, and must it not be lost? Chat states (XEP-0085)
/// alone are worth nothing later; receipts (XEP-0184) have no body and are kept, as Kontalk clients need it. XEP-0160 §3,
/// XEP-0334 §4.3.
pub fn is_kept(stanza: &Stanza, kind: MessageType) -> bool {
    if !matches!(kind, MessageType::Normal | MessageType::Chat) {
        return false;
    }
    let hinted_away =
        |child: &Element| child.namespace() == ns::HINTS && matches!(child.name(), "no-store" | "no-permanent-store");
    // XEP-0334 §4.4.
    let hinted_here = |child: &Element| child.is("store", ns::HINTS);
    let worth_keeping = |child: &Element| {
        !matches!(child.namespace(), ns::CHAT_STATES | ns::KONTALK_CHAT_STATES | ns::HINTS | ns::DELAY)
            && !child.is("thread", ns::CLIENT)
    };
    let mut children = stanza.element().children();
    !stanza.element().children().any(hinted_away) && children.any(|child| worth_keeping(child) || hinted_here(child))
}

/// News of a publish-subscribe node: an inactive client can wait for them. XEP-0163 §4.
fn is_event(stanza: &Stanza) -> bool {
    stanza.element().child("event", ns::PUBSUB_EVENT).is_some()
}

/// Nothing but chat states: not worth waking anybody for. XEP-0085 §5.
pub fn is_trifle(stanza: &Stanza) -> bool {
    let mut children = stanza.element().children();
    stanza.element().first_child().is_some()
        && children.all(|child| {
            matches!(child.namespace(), ns::CHAT_STATES | ns::KONTALK_CHAT_STATES) && child.name() != "active"
                || matches!(child.namespace(), ns::HINTS)
                || child.is("thread", ns::CLIENT)
        })
}
