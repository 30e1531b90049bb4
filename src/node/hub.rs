//! The router's task: one inbox in, many outboxes out. It waits for events and for nobody else.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use smol::Timer;
use smol::channel::{Receiver, Sender, WeakSender, bounded};
use smol::future::FutureExt;
use smol::lock::Semaphore;

use super::clock;
use super::components::{Components, Refused, Sent};
use super::desk::{Desk, Job};
use super::trust::must_go;
use crate::c2s::{Outbox, Outgoing};
use crate::component::Told;
use crate::jid::BareJid;
use crate::limits;
use crate::roster::Removal;
use crate::router::{Action, ConnectionId, Event, LinkId, Receipt, Router, Storage, Ticket};
use crate::s2s::Outlet;
use crate::stanza::{Kind, PresenceType, Stanza, StanzaCondition, StanzaError, StreamCondition, StreamError};
use crate::store::{Farewell, Store, StoreError};

/// What the hub is sent.
#[derive(Debug)]
pub(super) enum Input {
    /// A connection takes texts from now on.
    Attach(ConnectionId, Outbox),
    /// Something for the router.
    Event(Event),
    /// A component has shown its secret: may it serve its domain?
    ComponentAttach { connection: ConnectionId, domain: BareJid, outbox: Outbox, answer: Sender<bool> },
    /// What a component tells.
    Component(ConnectionId, Told),
    /// These accounts are used no more, unless they are connected.
    Expire(Vec<BareJid>),
    /// Has this account-to-be one at a node that we trust?
    AskNetwork(BareJid, Sender<bool>),
    /// How many sessions are there?
    CountSessions(Sender<usize>),
    /// Store all, end all streams, then say so.
    Shutdown(Sender<()>),
}

/// The way into the hub. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Inbox {
    sender: Sender<Input>,
}

impl Inbox {
    /// Waits while the hub has too much to do: up waits, down never waits. A hub that is gone takes the process with it.
    pub(super) async fn send(&self, input: Input) {
        let _ = self.sender.send(input).await;
    }

    /// Tells the contacts of an account that is gone or has a new owner. They stay on the store's list until they are told.
    pub(super) async fn account_ended(&self, account: BareJid, farewells: Vec<Farewell>) {
        let farewells = farewells.into_iter().map(|f| (f.contact, f.presence)).collect();
        self.send(Input::Event(Event::AccountEnded { account, farewells })).await;
    }

    /// These visitors must go.
    pub(super) async fn visitors_end(&self, accounts: Vec<BareJid>, error: StreamError) {
        self.send(Input::Event(Event::VisitorsEnd { accounts, error })).await;
    }

    /// Tells the router something, from a thread that may block.
    pub(super) fn tell_blocking(&self, event: Event) {
        let _ = self.sender.send_blocking(Input::Event(event));
    }

    /// As [`Inbox::account_ended`], from a thread that may block.
    pub(super) fn account_ended_blocking(&self, account: BareJid, farewells: Vec<Farewell>) {
        let farewells = farewells.into_iter().map(|f| (f.contact, f.presence)).collect();
        self.tell_blocking(Event::AccountEnded { account, farewells });
    }

    /// Says the farewells that a crash left unsaid.
    pub(super) async fn farewells(&self, store: &Store) {
        let unsaid = store.farewells().unwrap_or_else(|error| {
            log::error!("farewells to old contacts are not said: {error}");
            Vec::new()
        });
        let mut by_account: HashMap<BareJid, Vec<Farewell>> = HashMap::new();
        for farewell in unsaid {
            by_account.entry(farewell.account.clone()).or_default().push(farewell);
        }
        for (account, farewells) in by_account {
            self.account_ended(account, farewells).await;
        }
    }

    /// Tells other servers what of theirs is safe, before their streams end. XEP-0198 §4: what they are not told of, they send again.
    pub(super) async fn acknowledge_peers(&self, store: &Store, links: Vec<LinkId>) {
        // What is on its way to the disk counts when it is there; if it does not get there, it is not acknowledged.
        let _ = store.commit(store.last_written()).await;
        for link in links {
            self.send(Input::Event(Event::PeerAckRequest(link))).await;
        }
        // Behind the answer to this the acknowledgements are with the streams.
        self.sessions().await;
    }

    /// Does a node that we trust say that this address's number has an account there? Takes some seconds where there are such nodes.
    pub(super) async fn is_known_elsewhere(&self, address: &BareJid) -> bool {
        let (sender, receiver) = bounded(1);
        self.send(Input::AskNetwork(address.clone(), sender)).await;
        receiver.recv().await.unwrap_or(false)
    }

    pub(super) async fn sessions(&self) -> usize {
        let (sender, receiver) = bounded(1);
        self.send(Input::CountSessions(sender)).await;
        receiver.recv().await.unwrap_or(0)
    }

    pub(super) async fn shutdown(&self) {
        let (sender, receiver) = bounded(1);
        self.send(Input::Shutdown(sender)).await;
        let _ = receiver.recv().await;
    }
}

pub(super) struct Hub {
    router: Router<Store>,
    store: Store,
    inbox: Receiver<Input>,
    /// For jobs to answer by; it keeps the inbox open for nobody.
    own: WeakSender<Input>,
    jobs: Arc<Semaphore>,
    durable: Option<Receiver<Ticket>>,
    outboxes: HashMap<ConnectionId, Outbox>,
    components: Components,
    desk: Desk,
    /// Where stanzas for other domains go, if the node federates.
    outlet: Option<Outlet>,
    /// Events that actions led to; they come before the inbox.
    follow_up: VecDeque<Event>,
    actions: Vec<Action>,
}

/// What woke the hub.
enum Wake {
    Input(Option<Input>),
    Durable(Option<Ticket>),
    Deadline,
}

impl Hub {
    pub(super) fn new(
        router: Router<Store>,
        store: Store,
        desk: Desk,
        components: Components,
        outlet: Option<Outlet>,
    ) -> (Hub, Inbox) {
        let (sender, inbox) = bounded(limits::ROUTER_INBOX_MAX);
        let hub = Hub {
            router,
            durable: store.take_durable_events(),
            components,
            desk,
            outlet,
            store,
            own: sender.downgrade(),
            jobs: Arc::new(Semaphore::new(limits::DESK_JOBS_MAX)),
            inbox,
            outboxes: HashMap::new(),
            follow_up: VecDeque::new(),
            actions: Vec::new(),
        };
        (hub, Inbox { sender })
    }

    /// Runs until all senders are gone or the store has failed.
    pub(super) async fn run(mut self) {
        let mut without_pause = 0u32;
        loop {
            let wake = self.wait().await;
            match wake {
                Wake::Input(Some(input)) => self.take(input),
                Wake::Durable(Some(ticket)) => self.handle(Event::Durable(ticket)),
                Wake::Deadline => self.handle(Event::Tick),
                Wake::Input(None) => return,
                Wake::Durable(None) => {
                    // The store has said why. Acknowledgements stop, connected clients can still talk.
                    self.durable = None;
                }
            }
            self.pass_deadline_of_desk();
            without_pause += 1;
            if without_pause >= EVENTS_PER_TURN {
                without_pause = 0;
                smol::future::yield_now().await;
            }
        }
    }

    fn pass_deadline_of_desk(&mut self) {
        let Some(at) = self.desk.deadline() else { return };
        let now = clock().monotonic;
        if at <= now {
            for answer in self.desk.due(now) {
                self.handle(Event::FromServer(answer));
            }
        }
    }

    async fn wait(&self) -> Wake {
        if let Some(ticket) = self.durable.as_ref().and_then(|durable| durable.try_recv().ok()) {
            return Wake::Durable(Some(ticket));
        }
        // Handling any event passes the router's deadlines too, so a flood does not keep them waiting.
        if let Ok(input) = self.inbox.try_recv() {
            return Wake::Input(Some(input));
        }
        let deadline = [self.router.deadline(), self.desk.deadline()].into_iter().flatten().min();
        let input = async { Wake::Input(self.inbox.recv().await.ok()) };
        let durable = async {
            match &self.durable {
                Some(durable) => Wake::Durable(durable.recv().await.ok()),
                None => std::future::pending().await,
            }
        };
        let tick = async {
            match deadline {
                Some(at) => {
                    Timer::at(at).await;
                    Wake::Deadline
                }
                None => std::future::pending().await,
            }
        };
        input.or(durable).or(tick).await
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Attach(connection, outbox) => {
                self.outboxes.insert(connection, outbox);
            }
            Input::Event(Event::AccountEnded { account, farewells }) => self.account_ended(account, farewells),
            Input::Event(Event::Bind { connection, jid, .. }) if self.is_shut(jid.bare()) => {
                let error = StreamError::with_text(StreamCondition::NotAuthorized, "the account is closed");
                self.put(connection, Outgoing::Close(Some(error)));
            }
            Input::Event(Event::Bind { connection, jid, .. }) if self.turns_away(connection, jid.bare()) => {}
            Input::Event(Event::Resume { connection, account, .. }) if self.turns_away(connection, &account) => {}
            Input::Event(event) => {
                if let Event::Closed(connection) | Event::Lost(connection) = &event {
                    self.outboxes.remove(connection);
                }
                self.handle(event);
            }
            Input::ComponentAttach { connection, domain, outbox, answer } => {
                let free = self.components.attach(connection, &domain, outbox);
                self.desk.components = self.components.connected();
                let _ = answer.try_send(free);
            }
            Input::Component(connection, told) => self.component_told(connection, told),
            Input::Expire(accounts) => accounts.iter().for_each(|account| self.expire(account)),
            Input::AskNetwork(address, reply) => {
                for question in self.desk.ask_network(address, reply) {
                    self.handle(Event::FromServer(question));
                }
            }
            Input::CountSessions(reply) => {
                let _ = reply.try_send(self.router.sessions());
            }
            Input::Shutdown(done) => {
                self.handle(Event::Shutdown);
                for outbox in self.outboxes.values() {
                    // RFC 6120 §4.9.3.20, for those too who have not authenticated.
                    let error = StreamError::new(StreamCondition::SystemShutdown);
                    let _ = outbox.push(Outgoing::Close(Some(error)));
                }
                self.components.shut_down();
                let _ = done.try_send(());
            }
        }
    }

    /// A visitor's login may have been judged just before the trust in his home ended.
    fn turns_away(&mut self, connection: ConnectionId, account: &BareJid) -> bool {
        let error = must_go(&self.store, account);
        let goes = error.is_some();
        if let Some(error) = error {
            self.put(connection, Outgoing::Close(Some(error)));
        }
        goes
    }

    fn component_told(&mut self, connection: ConnectionId, told: Told) {
        match told {
            Told::Stanza(stanza) => self.handle(Event::FromRemote(stanza)),
            Told::Written(up_to) => {
                for receipt in self.components.written(connection, up_to) {
                    self.handle(Event::RemoteTaken(receipt));
                }
            }
            Told::Gone => {
                for lost in self.components.gone(connection) {
                    self.refuse_remote(lost);
                }
                self.desk.components = self.components.connected();
                self.handle(Event::Tick);
            }
        }
    }

    fn account_ended(&mut self, account: BareJid, farewells: Vec<(BareJid, Removal)>) {
        let told: Vec<BareJid> = farewells.iter().map(|(contact, _)| contact.clone()).collect();
        self.handle(Event::AccountEnded { account: account.clone(), farewells });
        // Its sessions lived a little longer than the account.
        if let Err(error) = self.store.forget_leftovers(&account) {
            log::warn!("what came last for a removed account stays: {error}");
        }
        for contact in told {
            if let Err(error) = self.store.farewell_said(&account, &contact) {
                log::warn!("a farewell will be said again: {error}");
            }
        }
    }

    fn expire(&mut self, account: &BareJid) {
        let connected = self.router.has_sessions(account);
        match super::expiry::expire(&self.store, account, connected, clock().wall) {
            Ok(Some(departed)) => {
                let farewells = departed.farewells.into_iter().map(|f| (f.contact, f.presence)).collect();
                self.account_ended(account.clone(), farewells);
            }
            // It was removed meanwhile.
            Ok(None) | Err(StoreError::NoAccount) => {}
            Err(error) => log::error!("an unused account is not removed: {error}"),
        }
    }

    fn handle(&mut self, event: Event) {
        self.follow_up.push_back(event);
        while let Some(event) = self.follow_up.pop_front() {
            if matches!(event, Event::AccountEnded { .. }) {
                self.desk.account_ended();
            }
            let mut actions = std::mem::take(&mut self.actions);
            self.router.handle(clock(), event, &mut actions);
            for action in actions.drain(..) {
                self.perform(action);
            }
            self.actions = actions;
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Send { connection, text, number } => self.put(connection, Outgoing::Text(text, number)),
            Action::Bound { connection, outcome } => {
                if let Ok(bound) = &outcome {
                    self.desk.device_seen(&bound.jid);
                    if let Err(error) = self.store.note_login(bound.jid.bare(), clock().wall) {
                        log::warn!("a login is not noted: {error}");
                    }
                }
                self.put(connection, Outgoing::Bound(outcome));
            }
            Action::Resumed { connection, outcome } => {
                outcome.iter().for_each(|resumed| self.desk.device_seen(&resumed.jid));
                self.put(connection, Outgoing::Resumed(outcome));
            }
            Action::Close { connection, error } => self.put(connection, Outgoing::Close(error)),
            Action::Serve(request) => self.serve(&request),
            Action::Reply(answer) => {
                let stanzas = self.desk.replied(&answer, &self.router);
                self.follow_up.extend(stanzas.into_iter().map(Event::FromServer));
            }
            Action::Arrived(watcher) => {
                let stanzas = self.desk.arrived(&watcher);
                self.follow_up.extend(stanzas.into_iter().map(Event::FromServer));
            }
            Action::NowSees { viewer, account } => {
                let stanzas = self.desk.now_sees(&self.router, &viewer, &account);
                self.follow_up.extend(stanzas.into_iter().map(Event::FromServer));
            }
            Action::PeerAck { link, h } => {
                if let Some(outlet) = &self.outlet {
                    outlet.acknowledge(link, h);
                }
            }
            Action::Remote(stanza, receipt) => self.send_remote(stanza, receipt),
            Action::Unread { account, silent } => {
                let pushes = self.desk.unread(&account, &silent, &self.router);
                self.follow_up.extend(pushes.into_iter().map(Event::FromServer));
            }
            Action::WentOffline(account) => match self.store.note_logout(&account, clock().wall) {
                // An account that was removed took its sessions along.
                Ok(()) | Err(StoreError::NoAccount) => {}
                Err(error) => log::warn!("a logout is not noted: {error}"),
            },
        }
    }

    fn serve(&mut self, request: &Stanza) {
        let handled = self.desk.handle(request, clock().wall, &self.router);
        self.follow_up.extend(handled.stanzas.into_iter().map(|stanza| match handled.after {
            None => Event::FromServer(stanza),
            Some(ticket) => Event::FromServerWhenDurable(ticket, stanza),
        }));
        self.follow_up.extend(self.desk.take_follow_up());
        if let Some(job) = handled.job {
            self.begin(job, request);
        }
    }

    /// Has a job done on a thread of its own; at most so many at once.
    fn begin(&mut self, job: Job, request: &Stanza) {
        let (Some(permit), Some(sender)) = (self.jobs.try_acquire_arc(), self.own.upgrade()) else {
            let error = StanzaError::new(StanzaCondition::ResourceConstraint).text("too much to do; try again soon");
            self.follow_up.extend(request.error(&error).map(Event::FromServer));
            return;
        };
        // Its owner is the hub, by the permit; it ends by itself.
        let work = move || {
            job.run(&Inbox { sender });
            drop(permit);
        };
        smol::unblock(work).detach();
    }

    /// Was the account disabled or removed since its owner authenticated?
    fn is_shut(&self, account: &BareJid) -> bool {
        self.store.is_disabled(account).unwrap_or(false) || !self.store.account_exists(account).unwrap_or(true)
    }

    fn put(&mut self, connection: ConnectionId, item: Outgoing) {
        let full = self.outboxes.get(&connection).is_some_and(|outbox| outbox.push(item).is_err());
        if full {
            log::debug!("c{} reads too slowly", connection.0);
            self.follow_up.push_back(Event::Overflowed(connection));
        }
    }

    /// The one way out to other domains. Whoever takes a stanza on gives its receipt back when the other side has it, or when its
    /// sender has been told that it has not.
    fn send_remote(&mut self, stanza: Stanza, receipt: Option<Receipt>) {
        match self.components.send(stanza, receipt) {
            Sent::Taken => {}
            Sent::Refused(refused) => self.refuse_remote(*refused),
            Sent::NotOurs(stanza, receipt) => {
                let refused = match &self.outlet {
                    Some(outlet) => outlet.send(*stanza, receipt).err().map(|refused| (*refused.stanza, refused.error)),
                    None => {
                        let error = StanzaError::new(StanzaCondition::RemoteServerNotFound);
                        Some((*stanza, error.text("this node does not federate")))
                    }
                };
                if let Some((stanza, error)) = refused {
                    self.refuse_remote(Refused { stanza, error, receipt });
                }
            }
        }
    }

    /// The sender is told that a stanza for another domain does not get there. Presence that spreads by itself is not answered.
    fn refuse_remote(&mut self, Refused { stanza, error, receipt }: Refused) {
        let spread = matches!(
            stanza.kind(),
            Kind::Presence(PresenceType::Available | PresenceType::Unavailable | PresenceType::Probe)
        );
        if let Some(reply) = stanza.error(&error).filter(|_| !spread) {
            self.follow_up.push_back(Event::FromServer(reply));
        }
        self.follow_up.extend(receipt.map(Event::RemoteTaken));
    }
}

/// After so many events others have their turn.
const EVENTS_PER_TURN: u32 = 64;
