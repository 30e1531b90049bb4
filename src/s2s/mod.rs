//! Other servers: dialling, accepting, and what waits for them. RFC 6120, XEP-0220, XEP-0368.
//!
//! [`Post`] holds the queues; the hub puts stanzas in and never waits. The *clerk* does what the queues want: it dials, tells the
//! router, stores. Each stream has a task of its own (`link`), which takes out what is for its peer and hands the router what
//! comes. A stream that the peer dialled serves both directions where both agree on that (XEP-0288).
//!
//! Limits: `S2S_*` and `DNS_*` of [`crate::limits`]. Connections that have not authenticated need a permit; authenticated ones
//! that others dialled are at most [`limits::S2S_ACCEPTED_MAX`].

mod clerk;
mod dialler;
mod link;
mod post;
mod wire;

pub use post::Post;

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use smol::future::FutureExt;
use smol::{Executor, Task, Timer};

use crate::federation::{
    DialFault, Errand, Outgoing, OutgoingId, Pair, PeerConfig, PeerFault, PeerStream, PkixFault, Refused, SpkiHash,
    Target,
};
use crate::jid::BareJid;
use crate::limits;
use crate::net::dns::Resolver;
use crate::net::{Authorities, ChainFault, Listener, Permits, ServerTls, Transport, timed_out};
use crate::router::{Event, LinkId, Receipt, Ticket};
use crate::stanza::{Stanza, StanzaCondition, StanzaError};
use crate::xml::Element;
use clerk::clock;
use dialler::{Dialled, Dialler};
use link::{Link, Outcome};

/// An answer that may take a while.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The node, as streams with other servers see it. `node` implements it.
pub trait Host: Send + Sync {
    /// The certificate in force now.
    fn tls(&self) -> Arc<ServerTls>;

    /// A node that says it is this domain, and holds this TLS key, shows where it is: what is believed of it is kept. Gives what it
    /// is answered; `None` if we are no node, or it shows nothing of the kind.
    fn reach_shown<'a>(&'a self, domain: &'a BareJid, shown: Element, key: SpkiHash) -> Answer<'a, Option<Element>>;

    /// Tells the router; waits when the router has too much to do, so a flood slows its own connection.
    fn tell<'a>(&'a self, event: Event) -> Answer<'a, ()>;

    /// Stores a stanza that its peer has not confirmed; `None` if that failed, which the store has logged.
    fn keep(&self, outgoing: &Outgoing) -> Option<(OutgoingId, Ticket)>;

    /// These need not be stored any longer.
    fn forget(&self, ids: &[OutgoingId]);
}

/// How the node federates.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What all streams have in common.
    pub peers: PeerConfig,
    /// Authorities to believe; without a file, those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// Where some domains' servers are.
    pub hosts: Vec<(BareJid, Target)>,
    /// Finds the others.
    pub resolver: Resolver,
    /// The one random source.
    pub random: fn() -> [u8; 32],
}

/// How a connection of another server begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// In the clear; TLS must be asked for. RFC 6120 §5.
    StartTls,
    /// With TLS. XEP-0368.
    DirectTls,
}

/// All that has to do with other servers. Clones share it.
#[derive(Clone)]
pub struct Federation {
    executor: &'static Executor<'static>,
    inner: Arc<Inner>,
    /// Every stream's task holds one.
    alive: Arc<()>,
}

/// What all streams share.
struct Inner {
    post: Arc<Post>,
    host: Arc<dyn Host>,
    peers: Arc<PeerConfig>,
    authorities: Authorities,
    dialler: Dialler,
    random: fn() -> [u8; 32],
    next_link: AtomicU64,
    accepted: AtomicUsize,
}

/// What [`Federation::start`] started; to be given to [`Running::stop`] at the end.
pub struct Running {
    federation: Federation,
    listeners: Vec<Task<()>>,
    clerk: Task<()>,
}

/// The seam for the hub: takes what is for other domains.
#[derive(Clone, Debug)]
pub struct Outlet {
    post: Arc<Post>,
    peers: Arc<PeerConfig>,
}

impl Outlet {
    /// Into `post`, by these rules.
    pub fn new(post: Arc<Post>, peers: PeerConfig) -> Outlet {
        Outlet { post, peers: Arc::new(peers) }
    }

    /// Takes a stanza for another domain; gives it back, with the reason, if that is no peer or there is no room. Never waits.
    pub fn send(&self, stanza: Stanza, receipt: Option<Receipt>) -> Result<(), Refused> {
        let refused = |stanza, error| Err(Refused { stanza: Box::new(stanza), error });
        let Some(peer) = stanza.to().and_then(|to| BareJid::domain(to.domainpart()).ok()) else {
            return refused(stanza, StanzaError::new(StanzaCondition::JidMalformed));
        };
        let own = stanza.from().and_then(|from| BareJid::domain(from.domainpart()).ok());
        if self.peers.served.contains(&peer) || own.is_none_or(|own| !self.peers.served.contains(&own)) {
            // One of ours that is not there, or the name of somebody below a component, for whom no other server would dial.
            return refused(stanza, StanzaError::new(StanzaCondition::ServiceUnavailable));
        }
        if let Err(refusal) = self.peers.policy.admits(&peer) {
            // RFC 6120 §8.3.3.10: no entity here may do it.
            let error = StanzaError::new(StanzaCondition::NotAllowed).text(refusal.to_string());
            return refused(stanza, error);
        }
        self.post.send(clock(), stanza, receipt)
    }

    /// Tells a peer what was handled of what it sent. XEP-0198 §4.
    pub fn acknowledge(&self, link: LinkId, h: u32) {
        self.post.acknowledge(link, h);
    }
}

impl Federation {
    /// Starts accepting on these listeners and dialling for what is in `post`; `outgoing` was under way when the node ended.
    pub fn start(
        executor: &'static Executor<'static>,
        post: Arc<Post>,
        host: Arc<dyn Host>,
        settings: Settings,
        listeners: Vec<(Listener, Start)>,
        outgoing: Vec<Outgoing>,
    ) -> Running {
        let Settings { peers, ca_file, hosts, resolver, random } = settings;
        let inner = Inner {
            post,
            host,
            dialler: Dialler { hosts, pins: peers.policy.pins.clone(), resolver, random },
            peers: Arc::new(peers),
            authorities: Authorities::new(ca_file),
            random,
            next_link: AtomicU64::new(1),
            accepted: AtomicUsize::new(0),
        };
        let federation = Federation { executor, inner: Arc::new(inner), alive: Arc::new(()) };
        federation.inner.post.restore(clock(), outgoing);
        let permits = Permits::new(limits::S2S_STRANGERS_MAX, limits::S2S_STRANGERS_PER_ADDRESS_MAX);
        let listen = |(listener, start)| executor.spawn(federation.clone().listen(listener, start, permits.clone()));
        let listeners = listeners.into_iter().map(listen).collect();
        let clerk = executor.spawn(federation.clone().clerk());
        Running { federation, listeners, clerk }
    }

    async fn listen(self, mut listener: Listener, start: Start, permits: Permits) {
        loop {
            let transport = listener.accept().await;
            self.admit(transport, start, &permits);
        }
    }

    fn admit(&self, transport: Transport, start: Start, permits: &Permits) {
        let Some(peer) = transport.peer() else { return };
        let permit = match permits.take(peer.ip()) {
            Ok(permit) => permit,
            Err(refusal) => return log::debug!("{} refused: {refusal}", peer.ip()),
        };
        if self.inner.accepted.fetch_add(1, Ordering::Relaxed) >= limits::S2S_ACCEPTED_MAX {
            self.inner.accepted.fetch_sub(1, Ordering::Relaxed);
            return log::debug!("{} refused: too many streams of other servers", peer.ip());
        }
        let inner = self.inner.clone();
        self.spawn(async move {
            let _place = Place(inner.clone());
            let tls = inner.host.tls();
            let transport = match start {
                Start::StartTls => transport,
                Start::DirectTls => {
                    let handshake = transport.start_direct_tls_with_peer(&tls);
                    match handshake.or(timed_out(limits::TLS_HANDSHAKE_TIMEOUT)).await {
                        Ok(transport) => transport,
                        Err(error) => return log::debug!("{} no TLS: {error}", peer.ip()),
                    }
                }
            };
            let now = Instant::now();
            let stream = PeerStream::accept(inner.peers.clone(), start == Start::DirectTls, (inner.random)(), now);
            let id = inner.next_link();
            Link::new(id, inner.clone(), stream, transport, false, Some(permit), now).run().await;
        });
    }

    /// Dials for a pair; the queues hear what came of it.
    fn dial(&self, pair: Pair) {
        let inner = self.inner.clone();
        self.spawn(async move {
            let mut report = Report { inner: inner.clone(), pair: pair.clone(), fault: Some(DialFault::Unreachable) };
            let fault = match inner.dial_link(&pair, Errand::Carry).await {
                Err(fault) => Some(fault),
                Ok(outcome) if outcome.established => None,
                Ok(outcome) => Some(fault_of(outcome)),
            };
            if let Some(fault) = &fault {
                log::info!("no stream to {}: {fault}", pair.peer);
            }
            report.fault = fault;
        });
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let alive = self.alive.clone();
        let guarded = async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                // The panic hook has printed where. Only this stream ends.
                log::error!("a stream with another server ended by a fault of this program; please report it");
            }
            drop(alive);
        };
        // Its owner is whoever waits for `alive` to close.
        self.executor.spawn(guarded).detach();
    }
}

impl Running {
    /// The streams there are. Their peers want to know what has arrived before these end.
    pub fn links(&self) -> Vec<LinkId> {
        self.federation.inner.post.links()
    }

    /// Ends all streams in order, within the time given, and stores what could not be delivered.
    pub async fn stop(self, patience: Duration) {
        let Running { federation, listeners, clerk } = self;
        let inner = federation.inner.clone();
        drop(listeners);
        inner.post.begin_to_stop();
        let ended = async {
            // The clerk and we hold one each.
            while Arc::strong_count(&federation.alive) > 2 {
                Timer::after(ENDED_EVERY).await;
            }
        };
        let enough = async {
            Timer::after(patience).await;
            log::info!("some streams with other servers did not end in time");
        };
        ended.or(enough).await;
        drop(clerk);
        federation.perform(inner.post.stop()).await;
    }
}

impl Inner {
    fn next_link(&self) -> LinkId {
        LinkId(self.next_link.fetch_add(1, Ordering::Relaxed))
    }

    fn random_number(&self) -> u32 {
        let [a, b, c, d, ..] = (self.random)();
        u32::from_be_bytes([a, b, c, d])
    }

    /// Dials and serves the stream until it ends.
    async fn dial_link(self: &Arc<Self>, pair: &Pair, errand: Errand) -> Result<Outcome, DialFault> {
        let Dialled { transport, secured } = self.dialler.dial(&pair.peer, &self.host.tls()).await?;
        let now = Instant::now();
        let seed = (self.random)();
        let stream = PeerStream::initiate(self.peers.clone(), pair.clone(), errand, secured, seed, now);
        Ok(Link::new(self.next_link(), self.clone(), stream, transport, true, None, now).run().await)
    }

    /// Asks the peer's authoritative server whether a key is its own. XEP-0220 §2.1.2.
    async fn verify_key(self: &Arc<Self>, pair: Pair, id: String, key: String) -> Result<bool, StanzaCondition> {
        let asked = async {
            match Box::pin(self.dial_link(&pair, Errand::Verify { id, key })).await {
                Ok(Outcome { key_judged: Some(valid), .. }) => Ok(valid),
                Ok(_) => Err(StanzaCondition::RemoteServerTimeout),
                // XEP-0220 §2.3.2.
                Err(DialFault::NoSuchDomain | DialFault::NoService) => Err(StanzaCondition::RemoteServerNotFound),
                Err(_) => Err(StanzaCondition::RemoteServerTimeout),
            }
        };
        let enough = async {
            Timer::after(limits::S2S_NEGOTIATION_TIMEOUT / 2).await;
            Err(StanzaCondition::RemoteServerTimeout)
        };
        asked.or(enough).await
    }
}

/// A place among the accepted connections.
struct Place(Arc<Inner>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.accepted.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells the queues what came of a dial, whatever comes of its task.
struct Report {
    inner: Arc<Inner>,
    pair: Pair,
    fault: Option<DialFault>,
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(fault) = &self.fault {
            self.inner.post.dial_failed(&self.pair, fault, Instant::now(), self.inner.random_number());
        }
    }
}

fn fault_of(outcome: Outcome) -> DialFault {
    match outcome.fault {
        Some(fault) => DialFault::Peer(fault),
        None if outcome.tls_failed => DialFault::Tls,
        None => DialFault::Peer(PeerFault::Closed),
    }
}

fn pkix_fault(fault: ChainFault) -> PkixFault {
    match fault {
        ChainFault::WrongName => PkixFault::WrongName,
        ChainFault::Expired => PkixFault::Expired,
        ChainFault::NotYetValid => PkixFault::NotYetValid,
        ChainFault::UnknownIssuer => PkixFault::UnknownIssuer,
        ChainFault::Unusable => PkixFault::Unusable,
    }
}

impl fmt::Debug for Federation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Federation(…)")
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running(…)")
    }
}

/// How often it is looked whether all streams have ended.
const ENDED_EVERY: Duration = Duration::from_millis(10);
