//! One session: what a bound resource is to the router, with its side of stream management.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client_state::Held;
use super::ledger::ParcelId;
use super::{ConnectionId, OfflineId};
use crate::archive::ArchiveId;
use crate::jid::{FullJid, Jid};

/// Names a session for as long as it lasts, through resumptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SessionId(pub(super) u64);

/// What was written to a client and may have to be handled again if it gets lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cargo {
    /// A message that must not be lost.
    Parcel(ParcelId),
    /// An iq get or set: its sender gets an error if the client never acknowledges it.
    Request,
    /// Presence: an inactive client is told later.
    Presence,
    /// News of a publish-subscribe node: an inactive client is told later.
    Event,
    /// A copy of what another session of the account sent: it keeps its place among messages, and is forgotten with the session.
    Copy,
    /// Chat states and the like: an inactive client is not told.
    Trifle,
    /// Anything else: forgotten with the session.
    Other,
}

/// A stanza that the client has not acknowledged. XEP-0198 §4.
#[derive(Clone, Debug)]
pub(super) struct Unacknowledged {
    pub(super) text: Arc<str>,
    pub(super) cargo: Cargo,
}

/// What a client names its session by when it comes back.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Token {
    Name(Arc<str>),
    /// Of a session from before the node was started again: only the hash was written down.
    Hash(Box<[u8; 32]>),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Stream management of one session, both directions. XEP-0198.
#[derive(Debug)]
pub(super) struct StreamManagement {
    /// Name and patience, if the client may resume.
    pub(super) token: Option<Token>,
    pub(super) patience: Duration,
    /// Stanzas the client has acknowledged, modulo 2^32.
    pub(super) acknowledged: u32,
    /// Sent behind them, in order.
    pub(super) unacknowledged: VecDeque<Unacknowledged>,
    pub(super) unacknowledged_bytes: usize,
    /// An `<r/>` of ours is under way.
    pub(super) request_pending: bool,
    /// Stanzas received, modulo 2^32.
    pub(super) received: u32,
    /// Of those, the oldest that are not safe yet: open debts of each, in order.
    pub(super) open: VecDeque<u16>,
    /// What had been received when the client asked: for the first time since the last answer, and for the last time.
    pub(super) asked_at: Option<(u32, u32)>,
    /// A connection that wants to resume waits until all that was received is safe.
    pub(super) resuming: Option<(ConnectionId, u32)>,
}

impl StreamManagement {
    pub(super) fn new(token: Option<Token>, patience: Duration) -> StreamManagement {
        StreamManagement {
            token,
            patience,
            acknowledged: 0,
            unacknowledged: VecDeque::new(),
            unacknowledged_bytes: 0,
            request_pending: false,
            received: 0,
            open: VecDeque::new(),
            asked_at: None,
            resuming: None,
        }
    }

    /// Stanzas that are received and safe, modulo 2^32: what `h` may promise.
    pub(super) fn handled(&self) -> u32 {
        self.received.wrapping_sub(u32::try_from(self.open.len()).unwrap_or(u32::MAX))
    }

    /// The answer to a waiting `<r/>`, once all that had been received by then is safe.
    pub(super) fn due_answer(&mut self) -> Option<u32> {
        let handled = self.handled();
        let (first, last) = self.asked_at?;
        if is_behind(handled, first) {
            return None;
        }
        // One who asks after each stanza of a flood gets an answer now and another one later.
        self.asked_at = is_behind(handled, last).then_some((last, last));
        Some(handled)
    }

    /// The place of a received stanza among the open ones.
    pub(super) fn open_index(&self, number: u32) -> Option<usize> {
        let behind = number.wrapping_sub(self.handled()).checked_sub(1)?;
        usize::try_from(behind).ok().filter(|index| *index < self.open.len())
    }
}

/// Modulo 2^32: has `handled` not yet reached `wanted`? XEP-0198 §4.
fn is_behind(handled: u32, wanted: u32) -> bool {
    let distance = wanted.wrapping_sub(handled);
    distance != 0 && distance <= u32::MAX / 2
}

/// A message written, or being written, to a connection without stream management.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unwritten {
    pub(super) number: u64,
    pub(super) parcel: ParcelId,
}

/// How far a session is with its account's stored messages.
#[derive(Debug)]
pub(super) struct Draining {
    /// Those given that it has not acknowledged.
    pub(super) open: usize,
    /// The last that was given.
    pub(super) after: OfflineId,
    /// Messages that came meanwhile: they must not overtake those that waited longer.
    pub(super) behind: VecDeque<(Arc<str>, Cargo)>,
}

/// A bound resource.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) jid: FullJid,
    /// `None` while it waits for its client to resume.
    pub(super) connection: Option<ConnectionId>,
    /// When waiting ends.
    resume_until: Option<Instant>,
    /// The last available presence that was broadcast, as it was written: an idle session should cost little. RFC 6121 §4.2.
    pub(super) presence: Option<Arc<str>>,
    pub(super) priority: i8,
    /// Stored messages were given to it once.
    pub(super) offline_given: bool,
    /// It is being given stored messages; what comes for it now follows behind them.
    pub(super) draining: Option<Box<Draining>>,
    /// What the archive told it without a gap: messages behind the first of these, up to the second. XEP-0313.
    pub(super) archive_told: (ArchiveId, ArchiveId),
    /// It asked for the roster: an *interested resource*, RFC 6121 §2.2.
    pub(super) wants_roster: bool,
    /// It asked for the block list. XEP-0191 §3.2.
    pub(super) wants_block_list: bool,
    /// It wants to see what the account's other sessions send and receive. XEP-0280.
    pub(super) wants_carbons: bool,
    /// The client is inactive: what it will be told later. XEP-0352.
    pub(super) held: Option<Box<Held>>,
    /// Where it sent available presence by itself. RFC 6121 §4.6.
    pub(super) directed: BTreeSet<Jid>,
    pub(super) sm: Option<Box<StreamManagement>>,
    /// Numbers what is sent, for reports of the connection.
    pub(super) sent: u64,
    pub(super) unwritten: VecDeque<Unwritten>,
}

impl Session {
    pub(super) fn new(jid: FullJid, connection: ConnectionId) -> Session {
        Session {
            jid,
            connection: Some(connection),
            resume_until: None,
            presence: None,
            priority: 0,
            offline_given: false,
            draining: None,
            archive_told: Default::default(),
            wants_roster: false,
            wants_block_list: false,
            wants_carbons: false,
            held: None,
            directed: BTreeSet::new(),
            sm: None,
            sent: 0,
            unwritten: VecDeque::new(),
        }
    }

    /// A session without connection yet.
    pub(super) fn waiting(jid: FullJid, until: Instant) -> Session {
        let mut session = Session::new(jid, ConnectionId(0));
        session.wait_until(until);
        session
    }

    /// Available, with a priority that is not negative. RFC 6121 §8.5.2.1.
    pub(super) fn receives_messages(&self) -> bool {
        self.presence.is_some() && self.priority >= 0
    }

    /// When it ends, while it waits for its client.
    pub(super) fn resume_until(&self) -> Option<Instant> {
        self.resume_until
    }

    /// The connection is gone; the client may come back until then.
    pub(super) fn wait_until(&mut self, until: Instant) {
        self.connection = None;
        self.resume_until = Some(until);
    }

    /// The client is back.
    pub(super) fn resumed_on(&mut self, connection: ConnectionId) {
        self.connection = Some(connection);
        self.resume_until = None;
    }
}
