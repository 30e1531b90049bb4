//! Messages: to whom, and what happens when nobody is there. RFC 6121 §8.5, XEP-0160; Kontalk's offline rules.

use std::collections::VecDeque;
use std::sync::Arc;

use super::carbons::Direction;
use super::ledger::{Debt, Parcel, WhenDurable};
use super::session::{Cargo, Draining, SessionId};
use super::{OfflineId, OfflineMessage, Router, Storage, StorageFault};
use crate::jid::{BareJid, Jid};
use crate::limits;
use crate::stanza::{MessageType, Stanza, StanzaCondition, StanzaError, Timestamp, delay};
use crate::xml::{Element, ns, parse_document};

impl<S: Storage> Router<S> {
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
            return self.hand_out(account, &stanza, &[session], debt);
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
                let receivers = self.receiving_sessions(account);
                if !receivers.is_empty() {
                    self.hand_out(account, &stanza, &receivers, debt);
                } else if is_kept(&stanza, kind) {
                    self.keep(account, &stanza, debt);
                }
            }
        }
    }

    /// Sends a message to sessions of one account, as one parcel if it must not be lost.
    fn hand_out(&mut self, account: &BareJid, stanza: &Stanza, sessions: &[SessionId], debt: Option<Debt>) {
        let text: Arc<str> = stanza.to_text().into();
        let kept = match stanza.kind() {
            crate::stanza::Kind::Message(kind) => is_kept(stanza, kind),
            _ => false,
        };
        if !kept {
            let cargo = if is_trifle(stanza) { Cargo::Trifle } else { Cargo::Other };
            for session in sessions {
                self.send(*session, text.clone(), cargo);
            }
            for (session, copy) in self.copies(account, stanza, Direction::Received, sessions) {
                self.send(session, copy, cargo);
            }
            return;
        }
        let parcel = Parcel {
            account: account.clone(),
            text,
            stamp: self.now.wall,
            debt,
            holders: 0,
            taken: false,
            waited: false,
            stored: None,
        };
        self.owe(debt);
        let copies = self.copies(account, stanza, Direction::Received, sessions);
        self.send_parcel(parcel, sessions, copies);
    }

    /// Stores a message for an account that nobody is there for.
    fn keep(&mut self, account: &BareJid, stanza: &Stanza, debt: Option<Debt>) {
        let text = with_delay(&stanza.to_text(), &self.domain, self.now.wall);
        match self.storage.store_offline(account, &text, self.now.wall) {
            Ok((_, ticket)) => {
                if let Some(debt) = debt {
                    self.owe(Some(debt));
                    self.when_durable(ticket, WhenDurable::Settle(debt));
                }
            }
            Err(fault) => self.bounce_fault(stanza, fault),
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
        let waits = |s: &SessionId| self.sessions.get(s).is_some_and(|session| session.connection.is_none());
        if sessions.iter().chain(&copied).any(waits) {
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
                .text("too many messages wait for this user already"),
            StorageFault::Broken => StanzaError::new(StanzaCondition::InternalServerError),
        };
        self.bounce(stanza, error);
    }

    pub(super) fn exists(&self, account: &BareJid) -> Result<bool, StorageFault> {
        if self.accounts.contains_key(account) { Ok(true) } else { self.storage.account_exists(account) }
    }

    /// A client cannot stamp a delay in our name. XEP-0203 §4.
    pub(super) fn forget_own_delay_stamps(&self, stanza: &mut Stanza) {
        let domain = self.domain.as_str();
        let forged = |child: &Element| child.is("delay", ns::DELAY) && child.attribute("from") == Some(domain);
        if stanza.element().children().any(forged) {
            stanza.element_mut().retain_children(|child| !forged(child));
        }
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
pub(super) fn is_kept(stanza: &Stanza, kind: MessageType) -> bool {
    if !matches!(kind, MessageType::Normal | MessageType::Chat) {
        return false;
    }
    let hinted_away =
        |child: &Element| child.namespace() == ns::HINTS && matches!(child.name(), "no-store" | "no-permanent-store");
    let worth_keeping = |child: &Element| {
        !matches!(child.namespace(), ns::CHAT_STATES | ns::KONTALK_CHAT_STATES | ns::HINTS | ns::DELAY)
            && !child.is("thread", ns::CLIENT)
    };
    !stanza.element().children().any(hinted_away) && stanza.element().children().any(worth_keeping)
}

/// Nothing but chat states: not worth waking anybody for. XEP-0085 §5.
fn is_trifle(stanza: &Stanza) -> bool {
    let mut children = stanza.element().children();
    stanza.element().first_child().is_some()
        && children.all(|child| {
            matches!(child.namespace(), ns::CHAT_STATES | ns::KONTALK_CHAT_STATES) && child.name() != "active"
                || matches!(child.namespace(), ns::HINTS)
                || child.is("thread", ns::CLIENT)
        })
}

/// A serialised stanza with the moment the node took it, unless it tells one already: clients take the first delay element.
pub(super) fn with_delay(text: &str, domain: &BareJid, stamp: Timestamp) -> String {
    if has_delay(text) {
        return text.to_owned();
    }
    let mut stamped = String::with_capacity(text.len() + 128);
    match (text.strip_suffix("/>"), text.rfind("</")) {
        (Some(open), _) => {
            let name: String = open.chars().skip(1).take_while(|c| c.is_alphabetic()).collect();
            stamped.push_str(open);
            stamped.push('>');
            delay(domain, stamp).write(&mut stamped, ns::CLIENT);
            stamped.push_str(&format!("</{name}>"));
        }
        (None, Some(end)) => {
            let (open, close) = text.split_at(end);
            stamped.push_str(open);
            delay(domain, stamp).write(&mut stamped, ns::CLIENT);
            stamped.push_str(close);
        }
        (None, None) => stamped.push_str(text),
    }
    stamped
}

fn has_delay(text: &str) -> bool {
    // Reading the stanza again is only needed where the namespace occurs at all, as in a forwarded message.
    text.contains(ns::DELAY)
        && parse_document(text, ns::CLIENT, limits::STANZA_DEPTH_MAX)
            .is_ok_and(|s| s.child("delay", ns::DELAY).is_some())
}
