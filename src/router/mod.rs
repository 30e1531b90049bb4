//! The router: sessions, presence, delivery rules. A stanza in, deliveries out. RFC 6121 §2-5 and §8, RFC 6120 §10, XEP-0198.
//!
//! A [`Router`] is told ([`Router::handle`]) what the connections and the store report, and fills a list of [`Action`]s. It
//! holds no socket and reads no clock. Two kinds of numbers keep apart what lives longer: a [`ConnectionId`] ends with its
//! socket, a session outlives it for as long as its client may resume (XEP-0198 §5).
//!
//! **The promise.** A client's `<r/>` is answered only when each message it sent is safe: every receiving session has it
//! (acknowledged by XEP-0198, or written to the socket where the session has none), or the store reported it durable. A
//! ledger keeps that account: a message under way is a *parcel* with holders; its sender's session has an open *debt*.
//! A parcel that nobody acknowledged within [`limits::ACK_PATIENCE`] is stored, so a slow receiver delays no sender for long
//! and an online chat writes nothing.
//!
//! States of a session: connected -> (available <-> unavailable); connection lost -> waiting for resumption -> resumed, or
//! ended: then what it did not acknowledge is delivered to the account's other sessions or stored.
//!
//! Limits: `SESSIONS_PER_ACCOUNT_MAX`, `UNACKED_*`, `DIRECTED_PRESENCE_MAX` of [`limits`].

mod archive;
mod blocking;
mod carbons;
mod client_state;
mod iq;
mod kept;
mod kontalk;
mod ledger;
mod message;
mod presence;
mod remote;
mod roll;
mod roster_iq;
mod session;
mod stamps;
mod storage;
mod stream_management;
mod subscription;
#[cfg(test)]
mod tests;
mod wake;
mod watchers;

pub use kept::{KeptSession, KeptState};
pub use remote::Receipt;
pub use storage::{ArchiveScan, OfflineId, OfflineMessage, Storage, StorageFault, Ticket};
pub use watchers::Watcher;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::jid::{BareJid, FullJid, Jid};
use crate::limits;
use crate::roster::{BlockList, Removal};
use crate::stanza::{Kind, Stanza, StanzaCondition, StanzaError, StreamCondition, StreamError, Timestamp};
use crate::xml::{Element, ns};
use archive::Archiving;
use ledger::{Debt, Ledger, WhenDurable};
use remote::Abroad;
use session::{Cargo, Session, SessionId};

/// Names one connection for as long as it lasts; the edges number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// The two clocks, read together by whoever calls.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For deadlines.
    pub monotonic: Instant,
    /// For stamps.
    pub wall: Timestamp,
}

/// What the router is told.
#[derive(Debug)]
pub enum Event {
    /// An authenticated connection asks for a resource. RFC 6120 §7.
    Bind {
        /// The asking connection.
        connection: ConnectionId,
        /// The address it will have; the resource was chosen by the client or made by the edge.
        jid: FullJid,
        /// What the session begins with.
        start: SessionStart,
    },
    /// A stanza of a bound connection, `from` stamped with its full JID.
    Stanza {
        /// Where it came from.
        connection: ConnectionId,
        /// The stanza.
        stanza: Stanza,
    },
    /// A stanza of a bound connection that the stream answered by itself: it counts as received, the answer as sent.
    Answered {
        /// Where it came from.
        connection: ConnectionId,
        /// The answer, if there is one.
        reply: Option<Stanza>,
    },
    /// `<enable/>`. XEP-0198 §3.
    EnableStreamManagement {
        /// The asking connection.
        connection: ConnectionId,
        /// The unguessable name for resumption, if the client wants to resume.
        resumption: Option<Resumption>,
    },
    /// The user looks at the client, or no longer. XEP-0352.
    ClientState {
        /// The client.
        connection: ConnectionId,
        /// Looks.
        active: bool,
    },
    /// `<r/>`. XEP-0198 §4.
    AckRequest(ConnectionId),
    /// `<a/>`. XEP-0198 §4.
    Ack {
        /// Where it came from.
        connection: ConnectionId,
        /// How many stanzas the client has handled.
        h: u32,
    },
    /// `<resume/>` of an authenticated connection that is not bound. XEP-0198 §5.
    Resume {
        /// The new connection.
        connection: ConnectionId,
        /// Who it authenticated as.
        account: BareJid,
        /// The name it was given.
        token: String,
        /// How many stanzas the client has handled.
        h: u32,
    },
    /// All text up to this number has left for the socket of a connection.
    Written {
        /// The connection.
        connection: ConnectionId,
        /// The highest `number` of [`Action::Send`] that was written.
        up_to: u64,
    },
    /// The client ended its stream in order.
    Closed(ConnectionId),
    /// The connection broke or its edge gave it up; the session may be resumed.
    Lost(ConnectionId),
    /// The connection's outbox overflowed: its client reads too slowly.
    Overflowed(ConnectionId),
    /// The store has made all writes up to this ticket durable.
    Durable(Ticket),
    /// A stanza of another domain; its edge has checked that `from` is there.
    FromRemote(Stanza),
    /// Another domain has what [`Action::Remote`] gave out, or its sender has been told that it has not.
    RemoteTaken(Receipt),
    /// A stanza of the node itself (a service's reply, an announcement), `from` set, to be delivered.
    FromServer(Stanza),
    /// The same, once the store has made a ticket durable: an answer that is a promise.
    FromServerWhenDurable(Ticket, Stanza),
    /// These visitors must go: their streams end with this error, and cannot be resumed. What waits for them is stored.
    VisitorsEnd {
        /// Their addresses here.
        accounts: Vec<BareJid>,
        /// What they are told.
        error: StreamError,
    },
    /// An account is gone or has a new owner: end its sessions, tell these contacts. Its data is already removed.
    AccountEnded {
        /// The account.
        account: BareJid,
        /// The contacts to be told, and what: the subscriptions they had.
        farewells: Vec<(BareJid, Removal)>,
    },
    /// An administrator ends the sessions of an account, or the one of a full JID. What they held finds another way.
    EndSessions {
        /// Whose.
        jid: Jid,
        /// What the clients are told.
        error: StreamError,
    },
    /// An account's picture has changed: the SHA-1 that its presence tells from now on.
    AvatarChanged {
        /// The account.
        account: BareJid,
        /// In hexadecimal digits; `None` without a picture.
        hash: Option<Arc<str>>,
    },
    /// A deadline of [`Router::deadline`] has come.
    Tick,
    /// The node stops: store what is under way and end all streams.
    Shutdown,
}

/// What a client may come back with after its connection is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumption {
    /// Unguessable.
    pub token: String,
    /// How long the session waits.
    pub patience: Duration,
}

/// What a session begins with, in force before anything can reach it. XEP-0386 §3.2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionStart {
    /// Stream management, and how it can be resumed, if it can. XEP-0198 §3.
    pub management: Option<Option<Resumption>>,
    /// Message carbons. XEP-0280.
    pub carbons: bool,
    /// The user does not look at the client. XEP-0352.
    pub inactive: bool,
}

/// What of [`SessionStart`] is heeded, as feature names: for clients to see (XEP-0386 §3.1).
pub const SESSION_START_FEATURES: &[&str] = &[ns::SM, ns::CARBONS, ns::CSI];

/// A session that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Its address.
    pub jid: FullJid,
    /// What the client is told of what its session began with, such as `<enabled/>`.
    pub inline: Vec<Element>,
}

/// A session that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Its address.
    pub jid: FullJid,
    /// How many of the client's stanzas were received, all of them safe.
    pub h: u32,
}

/// What the router wants done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Answer a [`Event::Bind`].
    Bound {
        /// The asking connection.
        connection: ConnectionId,
        /// The session, or why there is none.
        outcome: Result<Bound, StanzaError>,
    },
    /// Answer a [`Event::Resume`].
    Resumed {
        /// The asking connection.
        connection: ConnectionId,
        /// The session, whose client is told so before anything else; on refusal the stanzas that the old session had handled, if
        /// known.
        outcome: Result<Resumed, Option<u32>>,
    },
    /// Write text to a connection.
    Send {
        /// The connection.
        connection: ConnectionId,
        /// The serialised stanza or nonza.
        text: Arc<str>,
        /// Report [`Event::Written`] with this number once it is written.
        number: Option<u64>,
    },
    /// End a connection's stream, with an error or in order.
    Close {
        /// The connection.
        connection: ConnectionId,
        /// What its client is told.
        error: Option<StreamError>,
    },
    /// An iq get or set for the node, or for an account on whose behalf the node answers. Answer with [`Event::FromServer`].
    Serve(Stanza),
    /// An iq result or error for the node: an answer to what it asked, if it asked.
    Reply(Stanza),
    /// A resource came, or changed what it says it can do; it has not been told yet what it wants to hear. XEP-0163 §4.3.4.
    Arrived(Watcher),
    /// Somebody sees an account's presence from now on, and what goes with it.
    NowSees {
        /// Who sees.
        viewer: BareJid,
        /// Whom he sees.
        account: BareJid,
    },
    /// A stanza for another domain. The receipt, if there is one, is given back by [`Event::RemoteTaken`].
    Remote(Stanza, Option<Receipt>),
    /// The last session of an account has ended.
    WentOffline(BareJid),
    /// A message waits for an account, that is worth waking its devices for (XEP-0357): those that are not connected, and those
    /// that are and do not answer.
    Unread {
        /// Whose message it is.
        account: BareJid,
        /// The resources that do not answer.
        silent: Vec<FullJid>,
    },
}

/// All sessions and what is under way between them.
pub struct Router<S> {
    domain: BareJid,
    storage: S,
    sessions: HashMap<SessionId, Session>,
    connections: HashMap<ConnectionId, SessionId>,
    accounts: HashMap<BareJid, Online>,
    ledger: Ledger,
    abroad: Abroad,
    /// Sessions without a connection, by the moment they end.
    waiting: BTreeSet<(Instant, SessionId)>,
    next_session: u64,
    now: Now,
    actions: Vec<Action>,
    /// The node stops.
    stopped: bool,
}

/// An account with sessions.
#[derive(Default)]
struct Online {
    sessions: Vec<SessionId>,
    /// The block list, read when the first session was bound.
    block_list: Arc<BlockList>,
    /// Stored messages that a session holds right now; a second session is not given them again.
    in_flight: HashSet<OfflineId>,
    /// What presence tells of the account's picture; `None` while it was not looked up.
    avatar: Option<Option<Arc<str>>>,
    /// What it wants archived, once that was asked.
    archiving: Option<Archiving>,
}

impl<S: Storage> Router<S> {
    /// A router for one domain without sessions.
    pub fn new(domain: BareJid, storage: S, now: Now) -> Router<S> {
        Router {
            domain,
            storage,
            sessions: HashMap::new(),
            connections: HashMap::new(),
            accounts: HashMap::new(),
            ledger: Ledger::default(),
            abroad: Abroad::default(),
            waiting: BTreeSet::new(),
            next_session: 0,
            now,
            actions: Vec::new(),
            stopped: false,
        }
    }

    /// Handles one event; what is to be done is appended to `actions`, in order.
    pub fn handle(&mut self, now: Now, event: Event, actions: &mut Vec<Action>) {
        self.now = now;
        if self.stopped && !matches!(event, Event::Ack { .. } | Event::Written { .. }) {
            // The sessions are written down: what happened to them now would be lost.
            return;
        }
        match event {
            Event::Bind { connection, jid, start } => self.bind(connection, jid, start),
            Event::Stanza { connection, stanza } => self.stanza_from_client(connection, stanza),
            Event::Answered { connection, reply } => self.answered(connection, reply),
            Event::EnableStreamManagement { connection, resumption } => self.enable(connection, resumption),
            Event::ClientState { connection, active } => self.client_state(connection, active),
            Event::AckRequest(connection) => self.ack_requested(connection),
            Event::Ack { connection, h } => self.acked(connection, h),
            Event::Resume { connection, account, token, h } => self.resume(connection, &account, &token, h),
            Event::Written { connection, up_to } => self.written(connection, up_to),
            Event::Closed(connection) => self.connection_closed(connection),
            Event::Lost(connection) => self.connection_lost(connection),
            Event::Overflowed(connection) => self.overflowed(connection),
            Event::Durable(ticket) => self.durable(ticket),
            Event::FromRemote(stanza) => self.remote_stanza(stanza),
            Event::RemoteTaken(receipt) => self.remote_taken(receipt),
            Event::FromServer(stanza) => self.route(stanza, None),
            Event::FromServerWhenDurable(ticket, stanza) => {
                self.when_durable(ticket, WhenDurable::Route(Box::new(stanza)));
            }
            Event::VisitorsEnd { accounts, error } => self.visitors_end(&accounts, &error),
            Event::AccountEnded { account, farewells } => self.account_ended(&account, &farewells),
            Event::EndSessions { jid, error } => self.end_sessions(&jid, &error),
            Event::AvatarChanged { account, hash } => self.avatar_changed(&account, hash),
            Event::Tick => {}
            Event::Shutdown => self.shutdown(),
        }
        if !self.stopped {
            self.pass_deadlines();
        }
        actions.append(&mut self.actions);
    }

    /// When to call with [`Event::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.first().map(|(until, _)| *until);
        [waiting, self.ledger.deadline()].into_iter().flatten().min()
    }

    /// How many sessions there are, those waiting for resumption included.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Has the account a session that is available?
    pub fn is_available(&self, account: &BareJid) -> bool {
        let available = |id: &SessionId| self.sessions.get(id).is_some_and(|session| session.presence.is_some());
        self.accounts.get(account).is_some_and(|online| online.sessions.iter().any(available))
    }

    /// Has the account sessions, be it one that waits for its client?
    pub fn has_sessions(&self, account: &BareJid) -> bool {
        self.accounts.contains_key(account)
    }

    /// The store behind the router.
    pub fn storage_mut(&mut self) -> &mut S {
        &mut self.storage
    }

    /// RFC 6120 §10: decides by the address. `debt` is owed to the sender's session until the stanza is safe.
    fn route(&mut self, stanza: Stanza, debt: Option<Debt>) {
        let Some(to) = stanza.to().cloned() else {
            log::error!("a stanza without an address reached the router's second half");
            return;
        };
        if !self.is_local(to.bare()) {
            let receipt = self.receipt_for(&stanza, debt);
            return self.actions.push(Action::Remote(stanza, receipt));
        }
        match stanza.kind() {
            Kind::Message(kind) => self.route_message(stanza, &to, kind, debt),
            Kind::Presence(kind) => self.route_presence(stanza, &to, kind, debt),
            Kind::Iq(kind) => self.route_iq(stanza, &to, kind),
        }
    }

    /// RFC 6120 §10.3: without an address a stanza is for the sender's own account.
    fn stanza_from_client(&mut self, connection: ConnectionId, stanza: Stanza) {
        let Some(session) = self.connections.get(&connection).copied() else { return };
        let debt = self.receive(session);
        self.dispatch(session, stanza, debt);
        self.settle(debt);
    }

    fn answered(&mut self, connection: ConnectionId, reply: Option<Stanza>) {
        let Some(session) = self.connections.get(&connection).copied() else { return };
        let debt = self.receive(session);
        if let Some(reply) = reply {
            self.send(session, reply.to_text().into(), Cargo::Other);
        }
        self.settle(debt);
    }

    fn dispatch(&mut self, session: SessionId, mut stanza: Stanza, debt: Option<Debt>) {
        let Some(from) = self.sessions.get(&session).map(|s| s.jid.clone()) else { return };
        if stanza.to().is_some_and(|to| self.blocks(from.bare(), to)) {
            return self.outgoing_to_blocked(&stanza);
        }
        match stanza.kind() {
            Kind::Presence(kind) => self.presence_from_client(session, stanza, kind, debt),
            Kind::Iq(_) => self.iq_from_client(session, stanza, debt),
            Kind::Message(_) => {
                if stanza.to().is_none() {
                    // RFC 6120 §10.3.1.
                    stanza.set_to(Some(Jid::Bare(from.bare().clone())));
                }
                self.message_from_client(stanza, debt);
            }
        }
    }

    /// RFC 6120 §7: the newest binding of a resource wins. Kontalk clients keep their resource, so a reconnect after a silent
    /// loss always meets the old stream.
    fn bind(&mut self, connection: ConnectionId, jid: FullJid, start: SessionStart) {
        if let Some(old) = self.session_of(&jid) {
            let text = "another stream was bound to the same resource";
            self.close_connection(old, Some(StreamError::with_text(StreamCondition::Conflict, text)));
            self.end_session(old);
        }
        if let Err(error) = self.make_room(jid.bare()) {
            self.actions.push(Action::Bound { connection, outcome: Err(error) });
            return;
        }
        let block_list = match self.accounts.get(jid.bare()) {
            Some(online) => Ok(online.block_list.clone()),
            None => self.storage.block_list(jid.bare()).map(Arc::new),
        };
        let Ok(block_list) = block_list else {
            let error = StanzaError::new(StanzaCondition::InternalServerError);
            self.actions.push(Action::Bound { connection, outcome: Err(error) });
            return;
        };
        self.next_session += 1;
        let id = SessionId(self.next_session);
        let online = self.accounts.entry(jid.bare().clone()).or_default();
        online.block_list = block_list;
        online.sessions.push(id);
        self.connections.insert(connection, id);
        self.sessions.insert(id, Session::new(jid.clone(), connection));
        let inline = self.begin_session(id, start);
        self.actions.push(Action::Bound { connection, outcome: Ok(Bound { jid, inline }) });
    }

    /// Puts in force what a new session begins with; gives what its client is told of that.
    fn begin_session(&mut self, id: SessionId, start: SessionStart) -> Vec<Element> {
        let SessionStart { management, carbons, inactive } = start;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.wants_carbons = carbons;
            if inactive {
                session.held.get_or_insert_default();
            }
        }
        management.into_iter().map(|resumption| self.manage(id, resumption)).collect()
    }

    /// One more session must fit; the one that has waited longest for its client goes first.
    fn make_room(&mut self, account: &BareJid) -> Result<(), StanzaError> {
        let Some(online) = self.accounts.get(account) else { return Ok(()) };
        if online.sessions.len() < limits::SESSIONS_PER_ACCOUNT_MAX {
            return Ok(());
        }
        let waiting = |id: &&SessionId| self.sessions.get(id).is_some_and(|s| s.connection.is_none());
        match online.sessions.iter().find(waiting).copied() {
            Some(oldest) => {
                self.end_session(oldest);
                Ok(())
            }
            // RFC 6120 §7.6.2.1.
            None => {
                Err(StanzaError::new(StanzaCondition::ResourceConstraint).text("too many sessions of this account"))
            }
        }
    }

    fn session_of(&self, jid: &FullJid) -> Option<SessionId> {
        let online = self.accounts.get(jid.bare())?;
        online.sessions.iter().copied().find(|id| self.sessions.get(id).is_some_and(|s| s.jid == *jid))
    }

    /// The sessions of an account that messages to its bare JID go to: available, priority not negative. RFC 6121 §8.5.2.1.
    fn receiving_sessions(&self, account: &BareJid) -> Vec<SessionId> {
        let Some(online) = self.accounts.get(account) else { return Vec::new() };
        let receives = |id: &SessionId| self.sessions.get(id).is_some_and(Session::receives_messages);
        online.sessions.iter().copied().filter(receives).collect()
    }

    fn connection_closed(&mut self, connection: ConnectionId) {
        if let Some(session) = self.connections.remove(&connection) {
            // XEP-0198 §5: a stream that was closed in order cannot be resumed.
            self.end_session(session);
        }
    }

    fn overflowed(&mut self, connection: ConnectionId) {
        if let Some(session) = self.connections.get(&connection).copied() {
            let text = "this client reads too slowly";
            self.close_connection(session, Some(StreamError::with_text(StreamCondition::ResourceConstraint, text)));
            self.connection_lost(connection);
        }
    }

    fn close_connection(&mut self, session: SessionId, error: Option<StreamError>) {
        if let Some(connection) = self.sessions.get(&session).and_then(|s| s.connection) {
            self.actions.push(Action::Close { connection, error });
        }
    }

    /// The session is over for good: its contacts see it go, what it held finds another way.
    fn end_session(&mut self, id: SessionId) {
        self.broadcast_gone(id);
        let Some(session) = self.sessions.remove(&id) else { return };
        if let Some(until) = session.resume_until() {
            self.waiting.remove(&(until, id));
        }
        if let Some(connection) = session.connection {
            self.connections.remove(&connection);
        }
        if let Some(online) = self.accounts.get_mut(session.jid.bare()) {
            online.sessions.retain(|other| *other != id);
        }
        let account = session.jid.bare().clone();
        self.return_undelivered(session);
        self.forget_if_offline(&account);
    }

    fn forget_if_offline(&mut self, account: &BareJid) {
        if self.accounts.get(account).is_some_and(|online| online.sessions.is_empty()) {
            self.accounts.remove(account);
            self.actions.push(Action::WentOffline(account.clone()));
        }
    }

    fn account_ended(&mut self, account: &BareJid, farewells: &[(BareJid, Removal)]) {
        // The roster is gone already: only the farewells know who saw the account's presence. RFC 6121 §2.5.2.
        for (contact, _) in farewells.iter().filter(|(_, owed)| owed.unsubscribed) {
            if !self.blocks(account, &Jid::Bare(contact.clone())) {
                self.hide_presence_of(account, contact);
            }
        }
        let sessions = self.accounts.get(account).map(|online| online.sessions.clone()).unwrap_or_default();
        for session in sessions {
            let error =
                StreamError::with_text(StreamCondition::NotAuthorized, "the account is gone or has a new owner");
            self.close_connection(session, Some(error));
            self.discard_session(session);
        }
        self.tell_account_ended(account, farewells);
    }

    fn visitors_end(&mut self, accounts: &[BareJid], error: &StreamError) {
        for account in accounts {
            let sessions = self.accounts.get(account).map(|online| online.sessions.clone()).unwrap_or_default();
            for session in sessions {
                self.close_connection(session, Some(error.clone()));
                self.end_session(session);
            }
        }
    }

    fn pass_deadlines(&mut self) {
        self.store_overdue();
        let now = self.now.monotonic;
        while let Some((_, session)) = self.waiting.first().copied().filter(|(until, _)| *until <= now) {
            self.end_session(session);
        }
    }
}
