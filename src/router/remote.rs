//! Other servers: what leaves for them and when it is safe, what comes from them and when they may be told so.
//!
//! A message of a client with stream management leaves as [`Action::RemoteKept`]; its sender's debt stays open until
//! [`Event::HandedOver`] says that the peer has it, that it is on the disk, or that its sender was answered. So the promise of
//! [`crate::router`] holds for messages to other domains too.
//!
//! A peer that counts what it sends (XEP-0198) is owed the same as a client: it is told of a stanza only when that is safe.

use super::ledger::{Debt, WhenDurable};
use super::session::{SessionId, StreamManagement};
use super::stamps::forget_stanza_ids_of;
use super::{Action, HandoverId, LinkId, Router, Storage, Ticket};
use crate::stanza::{Kind, PresenceType, Stanza};

use super::carbons::strip_forged_copies;
use super::message::is_kept;

impl<S: Storage> Router<S> {
    /// A stanza for another domain.
    pub(super) fn route_remote(&mut self, stanza: Stanza, debt: Option<Debt>) {
        let Some(debt) = debt.filter(|_| must_not_be_lost(&stanza)) else {
            return self.actions.push(Action::Remote(stanza));
        };
        self.owe(Some(debt));
        self.next_handover += 1;
        let handover = HandoverId(self.next_handover);
        self.handovers.insert(handover, debt);
        self.actions.push(Action::RemoteKept(stanza, handover));
    }

    /// Stanzas are safe: at once, or when a write is durable.
    pub(super) fn handed_over(&mut self, handovers: &[HandoverId], when: Option<Ticket>) {
        for handover in handovers {
            let Some(debt) = self.handovers.remove(handover) else { continue };
            match when {
                None => self.settle(Some(debt)),
                Some(ticket) => self.when_durable(ticket, WhenDurable::Settle(debt)),
            }
        }
    }

    /// A stanza of a peer, checked to be from its domain and for one of ours.
    pub(super) fn stanza_from_peer(&mut self, link: LinkId, mut stanza: Stanza) {
        let debt = self.receive_from_peer(link);
        if matches!(stanza.kind(), Kind::Message(_)) {
            self.forget_own_delay_stamps(&mut stanza);
            strip_forged_copies(&mut stanza);
            if let Some(account) = stanza.to().map(|to| to.bare().clone()) {
                forget_stanza_ids_of(&mut stanza, &account);
            }
        }
        self.route(stanza, debt);
        self.settle(debt);
    }

    /// A stanza of a peer that its stream has dealt with: it counts as received.
    pub(super) fn peer_answered(&mut self, link: LinkId, reply: Option<Stanza>) {
        let debt = self.receive_from_peer(link);
        if let Some(reply) = reply {
            self.route(reply, None);
        }
        self.settle(debt);
    }

    /// The peer counts from now on. XEP-0198 §3.
    pub(super) fn peer_managed(&mut self, link: LinkId) {
        self.next_session += 1;
        let id = SessionId(self.next_session);
        self.links.insert(link, id);
        self.peers.insert(id, (link, StreamManagement::new(None, std::time::Duration::ZERO)));
    }

    /// The stream is over; nobody can be told any more.
    pub(super) fn peer_gone(&mut self, link: LinkId) {
        if let Some(id) = self.links.remove(&link) {
            self.peers.remove(&id);
        }
    }

    /// `<r/>` of a peer.
    pub(super) fn peer_requests_ack(&mut self, link: LinkId) {
        let Some(id) = self.links.get(&link).copied() else { return };
        let Some((_, sm)) = self.peers.get_mut(&id) else { return };
        let first = sm.asked_at.map_or(sm.received, |(first, _)| first);
        sm.asked_at = Some((first, sm.received));
        self.answer_peer(id);
    }

    /// Answers a peer's `<r/>` once all that had been received by then is safe. XEP-0198 §4.
    pub(super) fn answer_peer(&mut self, id: SessionId) {
        let Some((link, sm)) = self.peers.get_mut(&id) else { return };
        if let Some(h) = sm.due_answer() {
            let link = *link;
            self.actions.push(Action::PeerAck { link, h });
        }
    }

    fn receive_from_peer(&mut self, link: LinkId) -> Option<Debt> {
        let session = self.links.get(&link).copied()?;
        let (_, sm) = self.peers.get_mut(&session)?;
        sm.received = sm.received.wrapping_add(1);
        sm.open.push_back(1);
        Some(Debt { session, number: sm.received })
    }
}

/// Messages that are kept for whoever is not there, and what changes subscriptions.
fn must_not_be_lost(stanza: &Stanza) -> bool {
    match stanza.kind() {
        Kind::Message(kind) => is_kept(stanza, kind),
        Kind::Presence(kind) => matches!(
            kind,
            PresenceType::Subscribe | PresenceType::Subscribed | PresenceType::Unsubscribe | PresenceType::Unsubscribed
        ),
        Kind::Iq(_) => false,
    }
}
