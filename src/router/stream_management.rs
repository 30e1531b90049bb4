//! Acknowledgements, both ways, and what becomes of a session whose connection is lost. XEP-0198.

use std::sync::Arc;

use super::kept::token_hash;
use super::ledger::{Debt, Parcel, ParcelId, WhenDurable};
use super::session::{Cargo, Session, SessionId, StreamManagement, Token, Unacknowledged, Unwritten};
use super::stamps::with_delay;
use super::{Action, ConnectionId, Resumed, Resumption, Router, Storage, Ticket};
use crate::jid::BareJid;
use crate::limits;
use crate::stanza::{Stanza, StanzaCondition, StanzaError, StreamCondition, StreamError};
use crate::xml::{Element, ns, parse_document};

/// What the sender is owed for what it sent.
impl<S: Storage> Router<S> {
    /// Counts a received stanza and opens its first debt, which the caller settles when all others are known.
    pub(super) fn receive(&mut self, session: SessionId) -> Option<Debt> {
        let sm = self.sessions.get_mut(&session)?.sm.as_mut()?;
        sm.received = sm.received.wrapping_add(1);
        sm.open.push_back(1);
        Some(Debt { session, number: sm.received })
    }

    /// One more thing must happen before the stanza is safe.
    pub(super) fn owe(&mut self, debt: Option<Debt>) {
        if let Some(open) = debt.and_then(|debt| self.open_debts(debt)) {
            *open = open.saturating_add(1);
        }
    }

    /// One thing less.
    pub(super) fn settle(&mut self, debt: Option<Debt>) {
        let Some(debt) = debt else { return };
        let Some(open) = self.open_debts(debt) else { return };
        *open = open.saturating_sub(1);
        let Some(sm) = self.sessions.get_mut(&debt.session).and_then(|s| s.sm.as_mut()) else { return };
        while sm.open.front() == Some(&0) {
            sm.open.pop_front();
        }
        self.answer_ack_request(debt.session);
    }

    fn open_debts(&mut self, debt: Debt) -> Option<&mut u16> {
        let sm = self.sessions.get_mut(&debt.session)?.sm.as_mut()?;
        let index = sm.open_index(debt.number)?;
        sm.open.get_mut(index)
    }

    pub(super) fn ack_requested(&mut self, connection: ConnectionId) {
        let Some(id) = self.connections.get(&connection).copied() else { return };
        let Some(sm) = self.sessions.get_mut(&id).and_then(|s| s.sm.as_mut()) else { return };
        let first = sm.asked_at.map_or(sm.received, |(first, _)| first);
        sm.asked_at = Some((first, sm.received));
        self.answer_ack_request(id);
    }

    /// Answers a waiting `<r/>` or resumption once all that had been received by then is safe.
    fn answer_ack_request(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(sm) = session.sm.as_mut() else { return };
        let handled = sm.handled();
        let Some((first, last)) = sm.asked_at else { return };
        if is_behind(handled, first) {
            return;
        }
        // A client that asks after each stanza of a flood gets an answer now and another one later.
        sm.asked_at = is_behind(handled, last).then_some((last, last));
        match sm.resuming.take() {
            Some((connection, h)) => self.complete_resumption(id, connection, h),
            None => {
                if let Some(connection) = session.connection {
                    let text = Element::new("a", ns::SM).with("h", handled.to_string()).to_text(ns::CLIENT);
                    self.actions.push(Action::Send { connection, text: text.into(), number: None });
                }
            }
        }
    }

    pub(super) fn durable(&mut self, ticket: Ticket) {
        for then in self.ledger.durable(ticket) {
            self.act(then);
        }
    }

    /// Does something when the store is done with a ticket, which may be already.
    pub(super) fn when_durable(&mut self, ticket: Ticket, then: WhenDurable) {
        if self.ledger.is_durable(ticket) { self.act(then) } else { self.ledger.when_durable(ticket, then) }
    }

    fn act(&mut self, then: WhenDurable) {
        match then {
            WhenDurable::Settle(debt) => self.settle(Some(debt)),
            WhenDurable::Send(session, text) => self.send(session, text, Cargo::Other),
            WhenDurable::Route(stanza) => self.route(*stanza, None),
        }
    }

    /// Writes the store's copy of a parcel; its sender's debt then waits for the disk instead of the receiver.
    pub(super) fn store_parcel(&mut self, id: ParcelId) {
        let Some(parcel) = self.ledger.get_mut(id) else { return };
        if parcel.stored.is_some() {
            return;
        }
        let text = with_delay(&parcel.text, &self.domain, parcel.stamp);
        match self.storage.store_offline(&parcel.account, &text, parcel.stamp) {
            Ok((stored, ticket)) => {
                parcel.stored = Some(stored);
                let (debt, account) = (parcel.debt.take(), parcel.account.clone());
                if let Some(online) = self.accounts.get_mut(&account) {
                    online.in_flight.insert(stored);
                }
                if let Some(debt) = debt {
                    self.when_durable(ticket, WhenDurable::Settle(debt));
                }
            }
            // It stays in memory; the sender keeps waiting for the receiver's acknowledgement.
            Err(fault) => log::warn!("a message that its receiver has not acknowledged cannot be stored: {fault}"),
        }
    }

    /// Stores what waited too long for its receivers.
    pub(super) fn store_overdue(&mut self) {
        for parcel in self.ledger.overdue(self.now.monotonic) {
            self.wake_for_overdue(parcel);
            self.store_parcel(parcel);
        }
    }

    /// A holder has a parcel, or never will. With the last holder the parcel ends or is delivered anew.
    fn release(&mut self, holder: SessionId, id: ParcelId, taken: bool) {
        let waited = taken && self.ledger.get_mut(id).is_some_and(|parcel| parcel.waited);
        self.release_parcel(id, taken);
        if waited {
            self.drained_one(holder);
        }
    }

    fn release_parcel(&mut self, id: ParcelId, taken: bool) {
        let Some(parcel) = self.ledger.released(id, taken) else { return };
        if !parcel.taken {
            return self.deliver_anew(parcel);
        }
        self.settle(parcel.debt);
        if let Some(stored) = parcel.stored {
            if let Some(online) = self.accounts.get_mut(&parcel.account) {
                online.in_flight.remove(&stored);
            }
            if let Err(fault) = self.storage.delete_offline(&parcel.account, &[stored]) {
                log::warn!("a delivered message stays in the store and will be delivered again: {fault}");
            }
        }
    }

    /// XEP-0198 §5: what an ended session did not acknowledge goes to the account's other sessions, or is stored.
    fn deliver_anew(&mut self, parcel: Parcel) {
        if let (Some(id), Some(online)) = (parcel.stored, self.accounts.get_mut(&parcel.account)) {
            online.in_flight.remove(&id);
        }
        let receivers = self.receiving_sessions(&parcel.account);
        if !receivers.is_empty() {
            return self.send_parcel(parcel, &receivers, Vec::new());
        }
        if parcel.stored.is_some() {
            return;
        }
        let text = with_delay(&parcel.text, &self.domain, parcel.stamp);
        match self.storage.store_offline(&parcel.account, &text, parcel.stamp) {
            Ok((_, ticket)) => {
                if let Some(debt) = parcel.debt {
                    self.when_durable(ticket, WhenDurable::Settle(debt));
                }
                if parcel.wakes {
                    self.unread(&parcel.account);
                }
            }
            Err(fault) => {
                if let Some(stanza) = reread(&text) {
                    self.bounce_fault(&stanza, fault);
                }
                self.settle(parcel.debt);
            }
        }
    }
}

/// What the client is sent and acknowledges.
impl<S: Storage> Router<S> {
    /// Sends text to a session: now, when its client resumes, or, what an inactive client can do without, later.
    pub(super) fn send(&mut self, id: SessionId, text: Arc<str>, cargo: Cargo) {
        let draining = self.sessions.get_mut(&id).and_then(|session| session.draining.as_mut());
        if let Some(draining) = draining.filter(|_| is_parcel(&cargo) || cargo == Cargo::Copy) {
            draining.behind.push_back((text, cargo));
            return self.check_backlog(id);
        }
        if !self.is_held_back(id, &text, cargo) {
            self.send_now(id, text, cargo);
        }
    }

    pub(super) fn send_now(&mut self, id: SessionId, text: Arc<str>, cargo: Cargo) {
        let Some(session) = self.sessions.get_mut(&id) else {
            if let Cargo::Parcel(parcel) = cargo {
                self.release(id, parcel, false);
            }
            return;
        };
        session.sent += 1;
        let mut number = None;
        if let Some(sm) = session.sm.as_mut() {
            sm.unacknowledged_bytes += text.len();
            sm.unacknowledged.push_back(Unacknowledged { text: text.clone(), cargo });
        } else if let Cargo::Parcel(parcel) = cargo {
            session.unwritten.push_back(Unwritten { number: session.sent, parcel });
            number = Some(session.sent);
        }
        if let Some(connection) = session.connection {
            self.actions.push(Action::Send { connection, text, number });
            request_ack(session, connection, cargo, &mut self.actions);
        }
        self.check_backlog(id);
    }

    /// A client that takes everything and acknowledges nothing is given up.
    fn check_backlog(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let over = session.sm.as_ref().is_some_and(|sm| {
            sm.unacknowledged.len() > limits::UNACKED_STANZAS_MAX || sm.unacknowledged_bytes > limits::UNACKED_BYTES_MAX
        });
        let behind = session.draining.as_ref().map_or(0, |draining| draining.behind.len());
        let over = over || session.unwritten.len().max(behind) > limits::UNACKED_STANZAS_MAX;
        if !over {
            return;
        }
        log::debug!("{} does not acknowledge what it is sent", session.jid.bare());
        let text = "this client does not acknowledge what it is sent";
        self.close_connection(id, Some(StreamError::with_text(StreamCondition::ResourceConstraint, text)));
        self.end_session(id);
    }

    pub(super) fn enable(&mut self, connection: ConnectionId, resumption: Option<Resumption>) {
        let Some(id) = self.connections.get(&connection).copied() else { return };
        let reply = self.manage(id, resumption);
        self.actions.push(Action::Send { connection, text: reply.to_text(ns::CLIENT).into(), number: None });
    }

    /// Switches stream management on; gives what the client is told.
    pub(super) fn manage(&mut self, id: SessionId, resumption: Option<Resumption>) -> Element {
        let session = self.sessions.get_mut(&id).filter(|session| session.sm.is_none());
        let Some(session) = session else {
            // XEP-0198 §3: only one enabling.
            return Element::new("failed", ns::SM)
                .with_child(Element::new(StanzaCondition::UnexpectedRequest.as_str(), ns::STANZA_ERRORS));
        };
        let mut enabled = Element::new("enabled", ns::SM);
        let (mut token, mut patience) = (None, std::time::Duration::ZERO);
        if let Some(resumption) = resumption {
            patience = resumption.patience.min(limits::RESUME_MAX);
            enabled.set_attribute("id", resumption.token.clone());
            enabled.set_attribute("resume", "true");
            enabled.set_attribute("max", patience.as_secs().to_string());
            token = Some(Token::Name(Arc::from(resumption.token)));
        }
        session.sm = Some(Box::new(StreamManagement::new(token, patience)));
        enabled
    }

    pub(super) fn acked(&mut self, connection: ConnectionId, h: u32) {
        let Some(id) = self.connections.get(&connection).copied() else { return };
        let Some(sm) = self.sessions.get_mut(&id).and_then(|s| s.sm.as_mut()) else { return };
        sm.request_pending = false;
        if !self.take_acknowledged(id, h) {
            // XEP-0198 §4: acknowledging what was never sent ends the stream.
            let text = "more stanzas acknowledged than were sent";
            self.close_connection(id, Some(StreamError::with_text(StreamCondition::UndefinedCondition, text)));
            return self.end_session(id);
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            let urgent = session.sm.as_ref().and_then(|sm| sm.unacknowledged.iter().map(|u| u.cargo).find(is_parcel));
            if let Some(cargo) = urgent {
                request_ack(session, connection, cargo, &mut self.actions);
            }
        }
    }

    /// Drops what `h` acknowledges from the queue; false where it acknowledges more than was sent.
    fn take_acknowledged(&mut self, id: SessionId, h: u32) -> bool {
        let Some(sm) = self.sessions.get_mut(&id).and_then(|s| s.sm.as_mut()) else { return false };
        let count = usize::try_from(h.wrapping_sub(sm.acknowledged)).unwrap_or(usize::MAX);
        if count > sm.unacknowledged.len() {
            return false;
        }
        sm.acknowledged = h;
        let taken: Vec<Unacknowledged> = sm.unacknowledged.drain(..count).collect();
        sm.unacknowledged_bytes -= taken.iter().map(|u| u.text.len()).sum::<usize>().min(sm.unacknowledged_bytes);
        if sm.unacknowledged.is_empty() {
            sm.unacknowledged.shrink_to(4);
        }
        for unacknowledged in taken {
            if let Cargo::Parcel(parcel) = unacknowledged.cargo {
                self.release(id, parcel, true);
            }
        }
        true
    }

    pub(super) fn written(&mut self, connection: ConnectionId, up_to: u64) {
        let Some(id) = self.connections.get(&connection).copied() else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let mut done = Vec::new();
        while session.unwritten.front().is_some_and(|u| u.number <= up_to) {
            done.extend(session.unwritten.pop_front().map(|u| u.parcel));
        }
        for parcel in done {
            self.release(id, parcel, true);
        }
    }
}

/// Lost connections.
impl<S: Storage> Router<S> {
    pub(super) fn connection_lost(&mut self, connection: ConnectionId) {
        let Some(id) = self.connections.remove(&connection) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match session.sm.as_mut().filter(|sm| sm.token.is_some() && !sm.patience.is_zero()) {
            None => self.end_session(id),
            Some(sm) => {
                sm.request_pending = false;
                let until = self.now.monotonic + sm.patience;
                session.wait_until(until);
                self.waiting.insert((until, id));
                // Nobody will acknowledge these soon: their senders need not wait.
                let held = self.sessions.get(&id).map(held_parcels).unwrap_or_default();
                self.wake_for_lost(id, &held);
                self.store_undelivered(id);
            }
        }
    }

    /// Stores the parcels that a session holds, in order.
    pub(super) fn store_undelivered(&mut self, id: SessionId) {
        for parcel in self.sessions.get(&id).map(held_parcels).unwrap_or_default() {
            self.store_parcel(parcel);
        }
    }

    /// The session is over: its parcels are released, requests that it never saw are answered.
    pub(super) fn return_undelivered(&mut self, session: Session) {
        for parcel in held_parcels(&session) {
            self.release_parcel(parcel, false);
        }
        let lost = session.sm.into_iter().flat_map(|sm| sm.unacknowledged);
        for request in lost.filter(|u| u.cargo == Cargo::Request) {
            if let Some(stanza) = reread(&request.text) {
                self.bounce(&stanza, StanzaError::new(StanzaCondition::RecipientUnavailable));
            }
        }
    }

    /// The account is gone with all its messages: nothing is delivered anew.
    pub(super) fn discard_session(&mut self, id: SessionId) {
        self.broadcast_gone(id);
        let Some(session) = self.sessions.remove(&id) else { return };
        if let Some(connection) = session.connection {
            self.connections.remove(&connection);
        }
        if let Some(until) = session.resume_until() {
            self.waiting.remove(&(until, id));
        }
        for parcel in held_parcels(&session) {
            if let Some(parcel) = self.ledger.close(parcel) {
                self.settle(parcel.debt);
            }
        }
        if let Some(online) = self.accounts.get_mut(session.jid.bare()) {
            online.sessions.retain(|other| *other != id);
        }
        self.forget_if_offline(session.jid.bare());
    }

    /// XEP-0198 §5. What was received before must be safe before `h` can be told, else the client would send it again.
    pub(super) fn resume(&mut self, connection: ConnectionId, account: &BareJid, token: &str, h: u32) {
        let named = |id: &&SessionId| {
            let session = self.sessions.get(id);
            match session.and_then(|s| s.sm.as_ref()).and_then(|sm| sm.token.as_ref()) {
                Some(Token::Name(name)) => **name == *token,
                Some(Token::Hash(hash)) => session.is_some_and(|s| token_hash(&s.jid, token) == **hash),
                None => false,
            }
        };
        let found = self.accounts.get(account).and_then(|online| online.sessions.iter().find(named)).copied();
        let Some(id) = found else {
            return self.actions.push(Action::Resumed { connection, outcome: Err(None) });
        };
        if let Some(old) = self.sessions.get(&id).and_then(|s| s.connection) {
            // The old connection is dead, only we have not noticed.
            let text = "the session was resumed on another connection";
            let error = Some(StreamError::with_text(StreamCondition::Conflict, text));
            self.actions.push(Action::Close { connection: old, error });
            self.connection_lost(old);
        }
        if let Some(sm) = self.sessions.get_mut(&id).and_then(|s| s.sm.as_mut()) {
            sm.token = Some(Token::Name(token.into()));
        }
        if !self.take_acknowledged(id, h) {
            let handled = self.sessions.get(&id).and_then(|s| s.sm.as_ref()).map(|sm| sm.handled());
            return self.actions.push(Action::Resumed { connection, outcome: Err(handled) });
        }
        for parcel in self.ledger.owed_to(id) {
            self.store_parcel(parcel);
        }
        if let Some(sm) = self.sessions.get_mut(&id).and_then(|s| s.sm.as_mut()) {
            if let Some((earlier, _)) = sm.resuming.replace((connection, h)) {
                self.actions.push(Action::Resumed { connection: earlier, outcome: Err(None) });
            }
            sm.asked_at = Some((sm.received, sm.received));
        }
        self.answer_ack_request(id);
    }

    fn complete_resumption(&mut self, id: SessionId, connection: ConnectionId, h: u32) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let Some(until) = session.resume_until() {
            self.waiting.remove(&(until, id));
        }
        session.resumed_on(connection);
        self.connections.insert(connection, id);
        let jid = session.jid.clone();
        let Some(sm) = session.sm.as_mut() else { return };
        debug_assert_eq!(sm.acknowledged, h);
        self.actions.push(Action::Resumed { connection, outcome: Ok(Resumed { jid, h: sm.received }) });
        for again in &sm.unacknowledged {
            self.actions.push(Action::Send { connection, text: again.text.clone(), number: None });
        }
        if !sm.unacknowledged.is_empty() {
            sm.request_pending = true;
            self.actions.push(Action::Send { connection, text: ACK_REQUEST.into(), number: None });
        }
        // XEP-0352 §5: a new stream begins active.
        self.release_held(id);
    }
}

/// Modulo 2^32: has `handled` not yet reached `wanted`? XEP-0198 §4.
fn is_behind(handled: u32, wanted: u32) -> bool {
    let distance = wanted.wrapping_sub(handled);
    distance != 0 && distance <= u32::MAX / 2
}

fn is_parcel(cargo: &Cargo) -> bool {
    matches!(cargo, Cargo::Parcel(_))
}

/// Asks for an acknowledgement: at once behind a message, since its sender may wait for it; else now and then.
fn request_ack(session: &mut Session, connection: ConnectionId, cargo: Cargo, actions: &mut Vec<Action>) {
    let Some(sm) = session.sm.as_mut() else { return };
    let due = is_parcel(&cargo) || sm.unacknowledged.len() >= STANZAS_BETWEEN_REQUESTS;
    if due && !sm.request_pending {
        sm.request_pending = true;
        actions.push(Action::Send { connection, text: ACK_REQUEST.into(), number: None });
    }
}

fn held_parcels(session: &Session) -> Vec<ParcelId> {
    let unwritten = session.unwritten.iter().map(|u| u.parcel);
    let unacknowledged = session.sm.iter().flat_map(|sm| &sm.unacknowledged).filter_map(|u| match u.cargo {
        Cargo::Parcel(parcel) => Some(parcel),
        _ => None,
    });
    let behind = session.draining.iter().flat_map(|draining| &draining.behind).filter_map(|(_, cargo)| match cargo {
        Cargo::Parcel(parcel) => Some(*parcel),
        _ => None,
    });
    unwritten.chain(unacknowledged).chain(behind).collect()
}

/// A stanza that was serialised here.
pub(super) fn reread(text: &str) -> Option<Stanza> {
    let element = parse_document(text, ns::CLIENT, limits::STANZA_DEPTH_MAX).ok()?;
    Stanza::new(element).ok()
}

const ACK_REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";

/// Unacknowledged stanzas that make us ask even without a message among them.
const STANZAS_BETWEEN_REQUESTS: usize = 10;
