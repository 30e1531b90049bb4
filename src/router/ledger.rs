//! Who owes what to whom: parcels (messages that must not be lost) with their holders, and the debts to senders' sessions.
//!
//! A parcel is held by the sessions it was sent to. It is *settled* when every holder has it, and *safe* once that is so or the
//! store reported its copy durable. A parcel that no holder took when the last one ends is delivered anew.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::session::SessionId;
use super::{OfflineId, Ticket};
use crate::jid::BareJid;
use crate::limits;
use crate::stanza::{Stanza, Timestamp};

/// Names a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ParcelId(u64);

/// One received stanza of one session, which may be acknowledged when nothing is owed for it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Debt {
    pub(super) session: SessionId,
    pub(super) number: u32,
}

/// A message under way to the sessions of one account.
#[derive(Debug)]
pub(super) struct Parcel {
    /// Whose message it is.
    pub(super) account: BareJid,
    /// The serialised stanza as it was sent on.
    pub(super) text: Arc<str>,
    /// When the node took it.
    pub(super) stamp: Timestamp,
    /// What is owed to the sender for it; none once it is safe.
    pub(super) debt: Option<Debt>,
    /// Sessions that were sent it and have not acknowledged it.
    pub(super) holders: u16,
    /// A session has acknowledged it.
    pub(super) taken: bool,
    /// It came out of the store: the holder is being given what waited.
    pub(super) waited: bool,
    /// A device may be woken for it.
    pub(super) wakes: bool,
    /// The store's copy.
    pub(super) stored: Option<OfflineId>,
}

/// What happens when the store has made a ticket durable.
#[derive(Debug)]
pub(super) enum WhenDurable {
    /// One debt less.
    Settle(Debt),
    /// A reply that promised durability goes out.
    Send(SessionId, Arc<str>),
    /// The same for a stanza that has yet to find its receiver.
    Route(Box<Stanza>),
}

/// All parcels, and what waits for the store.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    parcels: HashMap<ParcelId, Parcel>,
    next: u64,
    /// Parcels in the order they were sent: each has so long until it is stored.
    patience: VecDeque<(Instant, ParcelId)>,
    durable: VecDeque<(Ticket, WhenDurable)>,
    /// The newest ticket that the store reported.
    reached: Ticket,
}

impl Ledger {
    /// A new parcel without holders.
    pub(super) fn open(&mut self, parcel: Parcel, now: Instant) -> ParcelId {
        self.next += 1;
        let id = ParcelId(self.next);
        // What is stored already can wait for its receiver as long as it takes, and so can what nobody waits for.
        if parcel.stored.is_none() && parcel.debt.is_some() {
            self.patience.push_back((now + limits::ACK_PATIENCE, id));
        }
        self.parcels.insert(id, parcel);
        id
    }

    pub(super) fn get(&self, id: ParcelId) -> Option<&Parcel> {
        self.parcels.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ParcelId) -> Option<&mut Parcel> {
        self.parcels.get_mut(&id)
    }

    pub(super) fn close(&mut self, id: ParcelId) -> Option<Parcel> {
        self.parcels.remove(&id)
    }

    /// One holder less. The parcel is given back when that was the last one.
    pub(super) fn released(&mut self, id: ParcelId, taken: bool) -> Option<Parcel> {
        let parcel = self.parcels.get_mut(&id)?;
        parcel.holders = parcel.holders.saturating_sub(1);
        parcel.taken |= taken;
        if parcel.holders == 0 { self.parcels.remove(&id) } else { None }
    }

    /// When the next parcel's patience ends. Parcels that are gone meanwhile are passed over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.patience.front().map(|(until, _)| *until)
    }

    /// Parcels whose patience is over and whose senders still wait.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<ParcelId> {
        let mut due = Vec::new();
        while let Some((until, id)) = self.patience.front().copied() {
            let waits = self.parcels.get(&id).is_some_and(|parcel| parcel.stored.is_none());
            if waits && until > now {
                break;
            }
            self.patience.pop_front();
            if waits {
                due.push(id);
            }
        }
        due
    }

    /// All parcels that a session's sender waits for.
    pub(super) fn owed_to(&self, session: SessionId) -> Vec<ParcelId> {
        let owed = |parcel: &Parcel| parcel.stored.is_none() && parcel.debt.is_some_and(|d| d.session == session);
        let mut ids: Vec<ParcelId> = self.parcels.iter().filter(|(_, p)| owed(p)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn is_durable(&self, ticket: Ticket) -> bool {
        ticket <= self.reached
    }

    pub(super) fn when_durable(&mut self, ticket: Ticket, then: WhenDurable) {
        self.durable.push_back((ticket, then));
    }

    /// What may happen now that a ticket is durable, in order. Tickets only grow, so the queue is sorted.
    pub(super) fn durable(&mut self, ticket: Ticket) -> Vec<WhenDurable> {
        self.reached = self.reached.max(ticket);
        let mut due = Vec::new();
        while self.durable.front().is_some_and(|(waiting, _)| *waiting <= ticket) {
            due.extend(self.durable.pop_front().map(|(_, then)| then));
        }
        due
    }
}
