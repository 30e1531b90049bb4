//! Streams of other servers that count what they send: they are owed the same as a client. XEP-0198 §4.
//!
//! A stanza of such a stream opens a debt as a client's does, and the peer is told of it only when that is settled: when every
//! receiving session has it, or the disk. What is written down for a peer ends with its stream; it sends again what it was not told
//! of.

use super::ledger::Debt;
use super::session::{SessionId, StreamManagement};
use super::{Action, LinkId, Router, Storage};
use crate::stanza::Stanza;

impl<S: Storage> Router<S> {
    /// A stanza of a peer, checked to be from its domain and for one of ours.
    pub(super) fn stanza_from_peer(&mut self, link: LinkId, stanza: Stanza) {
        let debt = self.receive_from_peer(link);
        self.remote_stanza(stanza, debt);
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
