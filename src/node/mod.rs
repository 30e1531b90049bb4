//! The node: puts the rooms together and runs them on one thread.
//!
//! **Start-up, in order:** data directory, store (its lock refuses a second instance), server key, TLS certificate, listeners,
//! control socket. Then the tasks:
//!
//! | Task | Waits for | Tells |
//! |---|---|---|
//! | [`hub`] | events of connections and control, durable tickets of the store, its deadline | outboxes, store |
//! | one per listener | connections | starts connections |
//! | one per connection (`c2s`, `component`) | its socket, its outbox | the hub's inbox |
//! | clerk and streams (`s2s`) | other servers, the queues to them | hub, store |
//! | [`control`] | commands of the operator | hub, store |
//! | [`modem`], if there is one | its serial port, its queue | whoever ordered, registration |
//! | housekeeping | a minute, an hour | certificate, store |
//! | watchdog, if systemd has one for us | half its time, the hub | the [`supervisor`](crate::supervisor) |
//! | one per challenge ([`courier`]) | a sender of messages | the connection that asked |
//! | counting (`ways`) | a minute | administrators, store |
//! | [`trust`] | a minute; news of other nodes | store, hub |
//! | one per web listener | connections | connections of its own |
//! | the upload clerk ([`web`]) | errands of the desk, an hour | the hub's inbox, files |
//! | [`expiry`] | six hours | hub, store |
//! | [`acme`], if configured | the certificate's time, an authority | certificate |
//! | [`dynamic_dns`], if configured | five minutes | a name server |
//! | [`watch`] | a minute | administrators |
//!
//! Blocking work has threads of its own: the store's committer, a few for OpenPGP and passwords ([`worker`]), and one for each
//! provider that codes go out by. A panic in a connection ends that connection; one in the hub ends the process, and whoever
//! supervises it starts it again.
//!
//! **Stopping** (SIGTERM, Ctrl-C): no new connections, `system-shutdown` to all, 3 s for them to go, the store is closed.

pub mod accounts;
mod acme;
mod bare_sites;
pub mod checkup;
mod component_port;
mod components;
mod connections;
pub mod control;
pub mod courier;
mod desk;
mod dynamic_dns;
mod expiry;
mod host;
mod hub;
mod identity;
pub mod journal;
mod key_directory;
mod login;
mod metrics;
mod modem;
mod name_server;
mod peers;
mod random;
mod registration;
mod reload;
mod reports;
mod signals;
mod tokens;
mod trust;
mod watch;
mod ways;
mod web;
mod worker;

pub use component_port::SecretFault;
pub use identity::{IdentityFault, read_server_key};
pub use random::random_bytes;
pub use trust::{Renewal, RenewalFault, Renewed, renew};

use std::fmt;
use std::fs;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use smol::Executor;
use smol::future::FutureExt;

use crate::account::Parking;
use crate::config::Config;
use crate::net::{self, BindError, CertificateFault, CertificateSource, OwnCertificate};
use crate::pgp::ServerKey;
use crate::router::{Now, Router};
use crate::s2s::{Federation, Outlet, Post, Start};
use crate::sms::http::BuildError;
use crate::stanza::Timestamp;
use crate::store::{OpenError, Store, StoreError};
use crate::supervisor::{News, Supervisor};
use crate::web::ProofBoard;
use bare_sites::BareSites;
use component_port::ComponentHost;
use components::Components;
use connections::{Connections, Entrance};
use control::ControlFault;
use desk::Desk;
use host::NodeHost;
use hub::Hub;
use name_server::NameServer;
use peers::PeerHost;
use registration::Registrations;
use reload::Reloader;
use reports::{REPORTS_PATH, ReportDesks};
use signals::Signal;
use trust::Trust;
use watch::{Watch, Watchman};
use ways::Announcer;
use web::Website;
use zeroize::Zeroizing;

/// Why the node did not start, or did not end well.
#[derive(Debug)]
pub enum NodeFault {
    /// The data directory cannot be made or entered.
    DataDir(PathBuf, std::io::Error),
    /// The store does not open.
    Store(OpenError),
    /// The store failed while the node ran.
    StoreBroke(StoreError),
    /// The server key cannot be read or made.
    Identity(IdentityFault),
    /// The secret of a component cannot be read.
    ComponentSecret(SecretFault),
    /// The TLS certificate cannot be read or made.
    Certificate(CertificateFault),
    /// The provider of this name cannot be used.
    Provider(String, BuildError),
    /// Addresses that cannot be listened on.
    Listen(Vec<BindError>),
    /// The control socket cannot be opened.
    Control(ControlFault),
    /// Signals cannot be watched.
    Signals(std::io::Error),
}

impl fmt::Display for NodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeFault::DataDir(path, error) => write!(
                f,
                "the data directory {} cannot be used: {error} (remedy: give its owner and this user the same name, or choose another with data_dir)",
                path.display()
            ),
            NodeFault::Store(error) => error.fmt(f),
            NodeFault::StoreBroke(error) => error.fmt(f),
            NodeFault::Identity(fault) => fault.fmt(f),
            NodeFault::ComponentSecret(fault) => fault.fmt(f),
            NodeFault::Certificate(fault) => fault.fmt(f),
            NodeFault::Provider(name, error) => write!(f, "codes cannot go out by sms.http.{name}: {error}"),
            NodeFault::Listen(faults) => {
                for (index, fault) in faults.iter().enumerate() {
                    let separator = if index > 0 { "\n" } else { "" };
                    write!(f, "{separator}{fault}")?;
                }
                Ok(())
            }
            NodeFault::Control(fault) => fault.fmt(f),
            NodeFault::Signals(error) => write!(f, "signals cannot be watched: {error}"),
        }
    }
}

impl std::error::Error for NodeFault {}

/// Runs a node until it is told to stop. Blocks. `file` is where the configuration was read, to be read again. `announce` takes the lines that a person at the terminal, or a script, waits
/// for: where it listens, and of a trial node what to try next.
pub fn run(config: &Config, file: Option<&Path>, announce: &mut dyn Write) -> Result<(), NodeFault> {
    let begun = Instant::now();
    if let Err(error) = net::raise_open_files() {
        log::warn!("the limit of open files cannot be raised: {error}; many clients will not fit");
    }
    make_data_dir(&config.data_dir)?;
    let store = Store::open(&config.data_dir.join("store")).map_err(NodeFault::Store)?;
    store.set_offline_limits(config.limits.offline_messages_max, config.limits.offline_ttl);
    let now = SystemTime::now();
    let server_key = identity::open(&config.data_dir, config.domain.as_str(), Timestamp::from_system(now))
        .map_err(NodeFault::Identity)?;
    let token_secret = identity::token_secret(&config.data_dir).map_err(NodeFault::Identity)?;
    let server_key = Arc::new(server_key);
    let at = Timestamp::from_system(now);
    let trust =
        Trust::open(&config.domain, &config.data_dir, store.clone(), server_key.clone(), config.trust.clone(), at)
            .map_err(NodeFault::Identity)?
            .map(Arc::new);
    if let Some(trust) = trust.as_ref().filter(|trust| !config.trial && !trust.has_card()) {
        introduce(trust, at, announce)?;
    }
    let source = match &config.tls {
        Some(files) => CertificateSource::Files { certificate: files.certificate.clone(), key: files.key.clone() },
        None if config.acme.is_some() => CertificateSource::Ordered { dir: config.data_dir.clone() },
        None => CertificateSource::SelfMade { dir: config.data_dir.clone() },
    };
    let certificate = OwnCertificate::open(source, config.domain.as_str(), now).map_err(NodeFault::Certificate)?;
    let certificate = Arc::new(certificate);
    let executor: &'static Executor<'static> = Box::leak(Box::new(Executor::new()));
    smol::block_on(executor.run(serve(
        executor,
        config,
        store,
        (server_key, token_secret, trust),
        certificate,
        (announce, file),
        begun,
    )))
}

/// All that `serve` starts ends when it returns.
#[allow(clippy::too_many_arguments)] // Called once, from above; what it takes has nothing in common but this moment.
async fn serve(
    executor: &'static Executor<'static>,
    config: &Config,
    store: Store,
    (server_key, token_secret, trust): (Arc<ServerKey>, Zeroizing<[u8; 32]>, Option<Arc<Trust>>),
    certificate: Arc<OwnCertificate>,
    (announce, file): (&mut dyn Write, Option<&Path>),
    begun: Instant,
) -> Result<(), NodeFault> {
    let plain = net::bind(&config.c2s.listen).map_err(NodeFault::Listen)?;
    let direct = net::bind(&config.c2s.listen_tls).map_err(NodeFault::Listen)?;
    let mut peer_listeners = Vec::new();
    if config.s2s.enabled {
        for (addresses, start) in [(&config.s2s.listen, Start::StartTls), (&config.s2s.listen_tls, Start::DirectTls)] {
            let bound = net::bind(addresses).map_err(NodeFault::Listen)?;
            peer_listeners.extend(bound.into_iter().map(|listener| (listener, start)));
        }
    }
    let board = ProofBoard::default();
    let (mut website, upload_clerk) = Website::open(config, &certificate, &board, &store, &server_key)?;
    let bare = BareSites::bind(config)?;
    let secrets = Arc::new(component_port::read_secrets(config).map_err(NodeFault::ComponentSecret)?);
    let component_addresses = if secrets.is_empty() { &[] } else { config.components.listen.as_slice() };
    let component_listeners = net::bind(component_addresses).map_err(NodeFault::Listen)?;
    let mut signals = signals::watch().map_err(NodeFault::Signals)?;
    let supervisor = supervisor();
    let listening: Vec<String> = plain
        .iter()
        .map(|l| format!("listening for clients on {}", l.local_addr()))
        .chain(direct.iter().map(|l| format!("listening for clients with direct TLS on {}", l.local_addr())))
        .chain(peer_listeners.iter().map(|(l, start)| {
            let tls = if *start == Start::DirectTls { " with direct TLS" } else { "" };
            format!("listening for other servers{tls} on {}", l.local_addr())
        }))
        .chain(website.iter().flat_map(Website::listening))
        .chain(bare.listening())
        .chain(component_listeners.iter().map(|l| format!("listening for components on {}", l.local_addr())))
        .collect();

    let mut router = Router::new(config.domain.clone(), store.clone(), clock());
    store.set_archive_ttl(config.archive.ttl);
    router.restore(store.take_sessions().await.map_err(NodeFault::StoreBroke)?);
    let parking = Arc::new(Mutex::new(Parking::default()));
    let mut desk = Desk::new(config, store.clone(), server_key.clone(), parking.clone(), begun);
    desk.set_upload_clerk(upload_clerk);
    desk.set_trust(trust.clone());
    let federation = config.s2s.enabled.then(|| {
        (Arc::new(Post::new(config.s2s.queue_age)), peers::settings(config, &store, trust.as_ref(), secrets.keys()))
    });
    let outlet = federation.as_ref().map(|(post, settings)| Outlet::new(post.clone(), settings.peers.clone()));
    let components = Components::new(secrets.keys().cloned());
    let (hub, inbox) = Hub::new(router, store.clone(), desk, components, outlet);
    let opened = modem::open(config, &store);
    let modem = opened.as_ref().map(|parts| parts.modem.clone());
    let report_desks = ReportDesks::new(config, &store, website.as_ref().map(Website::url));
    let courier = Arc::new(ways::courier(config, &store, modem.as_ref(), &report_desks)?);
    let report_addresses = report_desks.for_operator();
    if let Some(website) = website.as_mut().filter(|_| !report_desks.is_empty()) {
        website.add(REPORTS_PATH, report_desks.page(courier.clone(), executor));
    }
    let modem_tasks = opened.map(|parts| modem::serve(executor, parts, courier.clone()));
    let announcer = Announcer::new(config, inbox.clone());
    let watch = Watch::default();
    let registrations = Registrations::new(
        executor,
        announcer.clone(),
        store.clone(),
        server_key.clone(),
        inbox.clone(),
        courier.clone(),
        parking,
    );
    let host = NodeHost::new(
        config,
        store.clone(),
        server_key,
        token_secret,
        certificate.clone(),
        inbox.clone(),
        registrations,
        trust.clone(),
    );
    let host = Arc::new(host);
    let socket = control::listen(&config.data_dir).map_err(NodeFault::Control)?;
    let key = host.server_fingerprint();
    let control = control::Server::new(
        socket,
        control::Office {
            domain: config.domain.clone(),
            store: store.clone(),
            inbox: inbox.clone(),
            key,
            courier: courier.clone(),
            report_addresses,
            begun,
            trust: trust.clone(),
            modem: modem.clone(),
            data_dir: config.data_dir.clone(),
            watch: watch.clone(),
            backup: smol::lock::Semaphore::new(1),
        },
    );
    let hub = executor.spawn(hub.run());
    let control = executor.spawn(control.run(executor));
    let connections = Connections::new(executor, host, config);
    let entrances =
        connections.open(plain, Entrance::StartTls).into_iter().chain(connections.open(direct, Entrance::DirectTls));
    let component_host = ComponentHost { domain: config.domain.clone(), secrets, inbox: inbox.clone() };
    let components = component_port::open(executor, component_listeners, component_host, connections.alive());
    let entrances: Vec<smol::Task<()>> = entrances.chain(components).collect();
    let housekeeping = executor.spawn(housekeep(store.clone(), certificate.clone()));
    let metrics = metrics::Metrics {
        store: store.clone(),
        inbox: inbox.clone(),
        courier: courier.clone(),
        certificate: certificate.clone(),
        watch: watch.clone(),
        data_dir: config.data_dir.clone(),
        begun,
    };
    let bare = bare.start(executor, &board, metrics);
    let name_server = config.dns_update.clone().map(NameServer::new);
    let keeper = config.acme.clone().map(|settings| {
        let (certificate, data_dir) = (certificate.clone(), config.data_dir.clone());
        executor
            .spawn(acme::Keeper::new(settings, certificate, board, name_server.clone(), data_dir, watch.clone()).run())
    });
    let follower = config
        .dynamic_dns
        .clone()
        .map(|settings| executor.spawn(dynamic_dns::follow(settings, name_server, watch.clone())));
    let watchman = Watchman {
        watch,
        certificate: certificate.clone(),
        data_dir: config.data_dir.clone(),
        modem,
        announcer: announcer.clone(),
    };
    let watchman = executor.spawn(watchman.run());
    let watchdog = executor.spawn(show_life(supervisor.clone(), inbox.clone()));
    let counting = executor.spawn(ways::keep_counting(courier.clone(), announcer));
    let links = match (&trust, &federation) {
        (Some(trust), Some((post, _))) => {
            trust.set_streams(post.clone());
            Some(executor.spawn(trust::keep_links(trust.clone(), post.clone(), inbox.clone())))
        }
        _ => None,
    };
    let upkeep = trust.clone().map(|trust| executor.spawn(trust::keep(trust, certificate.clone(), inbox.clone())));
    let website = website.map(|website| website.start(executor, store.clone(), inbox.clone()));
    let expiry = executor.spawn(expiry::watch(store.clone(), inbox.clone(), config.registration.expiry));
    let federation = match federation {
        Some((post, settings)) => {
            let (certificate, inbox) = (certificate.clone(), inbox.clone());
            let host = PeerHost { certificate, inbox, store: store.clone(), trust: trust.clone() };
            let outgoing = store.outgoing().map_err(NodeFault::StoreBroke)?;
            Some(Federation::start(executor, post, Arc::new(host), settings, peer_listeners, outgoing))
        }
        None => None,
    };
    inbox.farewells(&store).await;
    for line in &listening {
        say(announce, line);
    }
    log::info!("serving {} after {} ms", config.domain, begun.elapsed().as_millis());
    supervisor.tell(News::Ready);
    if config.trial {
        say(announce, &trial_greeting(config));
    }

    let mut reloader = Reloader {
        file: file.map(Path::to_owned),
        in_force: config.clone(),
        certificate: certificate.clone(),
        courier: courier.clone(),
    };
    let stop = async {
        loop {
            match signals.next().await {
                Signal::Stop => return,
                Signal::Reload => {
                    supervisor.tell(News::Reloading);
                    reloader.reload();
                    supervisor.tell(News::Ready);
                }
            }
        }
    };
    let mut hub = hub.fallible();
    let hub_ended = async {
        (&mut hub).await;
        log::error!("the router ended by itself");
    };
    stop.or(hub_ended).await;
    log::info!("stopping");
    supervisor.tell(News::Stopping);
    drop((entrances, bare, keeper, follower, watchman));
    drop(website);
    drop(control);
    drop(housekeeping);
    drop(watchdog);
    drop(counting);
    drop(upkeep);
    drop(links);
    drop(expiry);
    control::remove(&config.data_dir);
    // First: what other servers have, or the disk, the router need not ask its clients for again.
    if let Some(federation) = federation {
        inbox.acknowledge_peers(&store, federation.links()).or(patience()).await;
        federation.stop(PEERS_PATIENCE).await;
    }
    inbox.shutdown().or(patience()).await;
    connections.ended(SHUTDOWN_PATIENCE).await;
    drop(modem_tasks);
    drop(hub);
    let close = move || {
        ways::keep_counters(&courier);
        store.close()
    };
    smol::unblock(close).await.map_err(NodeFault::StoreBroke)
}

/// The node's card is made when somebody is there to write the recovery words down: they are shown once, on a terminal, and never
/// where a journal or a file would keep them.
fn introduce(trust: &Trust, now: Timestamp, announce: &mut dyn Write) -> Result<(), NodeFault> {
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        log::info!(
            "this node has no card yet, and no other node can trust it (remedy: kontalk-node trust card --make)"
        );
        return Ok(());
    }
    if let Some(words) = trust.make_card(now).map_err(NodeFault::Identity)? {
        say(announce, &recovery_note(&words));
    }
    Ok(())
}

/// The recovery words as they are shown, once: 24 words in numbered columns. Wiped when dropped.
pub fn recovery_note(words: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    text.push_str(RECOVERY_HEAD);
    for (place, word) in (1..).zip(words.split(' ')) {
        text.push_str(&format!("{place:>4} "));
        text.push_str(word);
        text.push_str(if place % 6 == 0 { "\n" } else { BLANKS.get(word.len()..).unwrap_or_default() });
    }
    text
}

async fn patience() {
    smol::Timer::after(SHUTDOWN_PATIENCE).await;
}

/// Who started the node, if he wants to hear of it.
fn supervisor() -> Arc<Supervisor> {
    Arc::new(Supervisor::of_this_process().unwrap_or_else(|error| {
        log::warn!(
            "the supervisor cannot be told how the node is: {error} (remedy: let NOTIFY_SOCKET name its socket)"
        );
        Supervisor::default()
    }))
}

/// Tells the watchdog that the hub still answers, so that a node that hangs is started again.
async fn show_life(supervisor: Arc<Supervisor>, inbox: hub::Inbox) {
    let Some(patience) = supervisor.watchdog() else { return };
    loop {
        inbox.sessions().await;
        supervisor.tell(News::Alive);
        smol::Timer::after(patience / 2).await;
    }
}

/// Both clocks, now.
fn clock() -> Now {
    Now { monotonic: Instant::now(), wall: Timestamp::from_system(SystemTime::now()) }
}

/// Looks every minute whether the certificate's files changed, every hour whether messages have waited too long.
async fn housekeep(store: Store, certificate: Arc<OwnCertificate>) {
    for minute in 1u64.. {
        smol::Timer::after(Duration::from_secs(60)).await;
        let (store, certificate) = (store.clone(), certificate.clone());
        smol::unblock(move || {
            let now = SystemTime::now();
            certificate.reload_if_changed(now);
            if minute % 60 == 0
                && let Err(error) = store.expire_offline(Timestamp::from_system(now))
            {
                log::error!("messages that waited too long are not removed: {error}");
            }
            if minute % 60 == 0
                && let Err(error) = store.expire_archives(Timestamp::from_system(now))
            {
                log::error!("archived messages that are too old are not removed: {error}");
            }
        })
        .await;
    }
}

fn make_data_dir(path: &Path) -> Result<(), NodeFault> {
    let fault = |error| NodeFault::DataDir(path.to_owned(), error);
    if !path.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fault)?;
    }
    let mode = fs::metadata(path).map_err(fault)?.permissions().mode();
    if mode & 0o077 != 0 {
        log::warn!("{} can be read by others (remedy: chmod 700 {0})", path.display());
    }
    Ok(())
}

fn say(out: &mut dyn Write, line: &str) {
    // Nobody listening is no reason to stop.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn trial_greeting(config: &Config) -> String {
    format!(
        "\nThis is a trial node for {domain}: it keeps its data in {data} and speaks to this machine only.\n\
         Verification codes appear here instead of being sent.\n\n\
         Try next, in another terminal:\n  \
         kontalk-node account add alice@{domain}\n  \
         kontalk-node account add bob@{domain}\n\
         then log in as alice@{domain} with any XMPP client (accept the self-made certificate), or point a Kontalk client\n\
         at the server \"{domain}\". Ctrl-C ends it; the next run continues where this one stopped.",
        domain = config.domain,
        data = config.data_dir.display()
    )
}

/// How long streams with other servers may take to end in order; what they have not confirmed then is stored.
const PEERS_PATIENCE: Duration = Duration::from_millis(1500);
const RECOVERY_HEAD: &str = "\n\
    WRITE THESE 24 WORDS ON PAPER. They are shown once and kept nowhere; with them this node can prove who it is after\n\
    its machine is lost or stolen.\n\n";
/// The longest of the words has eight letters.
const BLANKS: &str = "          ";

/// How long streams may take to end after `system-shutdown`.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(3);
