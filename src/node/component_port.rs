//! The port for components: their secrets, a permit for each that has not shown one, a task for each connection. XEP-0114.

use std::fmt;
use std::fs;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use smol::channel::bounded;
use smol::future::FutureExt;
use smol::{Executor, Task};
use zeroize::Zeroizing;

use super::connections::Alive;
use super::hub::{Inbox, Input};
use super::random::random_bytes;
use crate::c2s::{Answer, Outbox};
use crate::component::{self, Host, Secret, Secrets, Told};
use crate::config::Config;
use crate::jid::BareJid;
use crate::limits;
use crate::net::{Listener, Permits, Transport};
use crate::router::ConnectionId;

/// A component's secret that cannot be read.
#[derive(Debug)]
pub struct SecretFault {
    /// The file.
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for SecretFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the component's secret {} cannot be used: {} (remedy: its first line is the secret, and the user that runs the node may \
             read it)",
            self.path.display(),
            self.error
        )
    }
}

impl std::error::Error for SecretFault {}

/// Reads the secrets of all components that are configured.
pub(super) fn read_secrets(config: &Config) -> Result<Secrets, SecretFault> {
    let mut secrets = Secrets::new();
    for (domain, path) in &config.components.secret_files {
        let fault = |error| SecretFault { path: path.clone(), error };
        let content = Zeroizing::new(fs::read_to_string(path).map_err(fault)?);
        let secret = Secret::from_file(&content);
        secrets.insert(domain.clone(), secret.ok_or_else(|| fault(io::Error::other("it is empty")))?);
    }
    Ok(secrets)
}

/// The node, as its components see it.
pub(super) struct ComponentHost {
    pub(super) domain: BareJid,
    pub(super) secrets: Arc<Secrets>,
    pub(super) inbox: Inbox,
}

impl Host for ComponentHost {
    fn domain(&self) -> &BareJid {
        &self.domain
    }

    fn secrets(&self) -> Arc<Secrets> {
        self.secrets.clone()
    }

    fn random(&self) -> [u8; 32] {
        random_bytes()
    }

    fn attach<'a>(&'a self, connection: ConnectionId, domain: BareJid, outbox: Outbox) -> Answer<'a, bool> {
        Box::pin(async move {
            let (answer, free) = bounded(1);
            self.inbox.send(Input::ComponentAttach { connection, domain, outbox, answer }).await;
            free.recv().await.unwrap_or(false)
        })
    }

    fn tell<'a>(&'a self, connection: ConnectionId, told: Told) -> Answer<'a, ()> {
        Box::pin(self.inbox.send(Input::Component(connection, told)))
    }
}

/// Accepts on these listeners until the tasks are dropped. `alive` is held by each connection while it lasts.
pub(super) fn open(
    executor: &'static Executor<'static>,
    listeners: Vec<Listener>,
    host: ComponentHost,
    alive: &Alive,
) -> Vec<Task<()>> {
    let host: Arc<dyn Host> = Arc::new(host);
    let permits = Permits::new(limits::COMPONENT_STRANGERS_MAX, limits::COMPONENT_STRANGERS_MAX);
    let ids = Arc::new(std::sync::atomic::AtomicU64::new(1));
    let accept = |mut listener: Listener| {
        let (host, permits, ids, alive) = (host.clone(), permits.clone(), ids.clone(), alive.clone());
        executor.spawn(async move {
            loop {
                let transport = listener.accept().await;
                let id = ConnectionId(ids.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
                admit(executor, transport, id, &permits, host.clone(), alive.clone());
            }
        })
    };
    listeners.into_iter().map(accept).collect()
}

fn admit(
    executor: &'static Executor<'static>,
    transport: Transport,
    id: ConnectionId,
    permits: &Permits,
    host: Arc<dyn Host>,
    alive: Alive,
) {
    let Some(peer) = transport.peer() else { return };
    let permit = match permits.take(peer.ip()) {
        Ok(permit) => permit,
        Err(refusal) => return log::debug!("{}: a component's connection is refused: {refusal}", peer.ip()),
    };
    let task = async move {
        let served = AssertUnwindSafe(component::serve(transport, permit, id, host.clone()));
        if served.catch_unwind().await.is_err() {
            // The panic hook has printed where. Only this connection ends.
            log::error!("the connection of a component ended by a fault of this program; please report it");
            host.tell(id, Told::Gone).await;
        }
        drop(alive);
    };
    // Its owner is the connection itself, as of clients' connections.
    executor.spawn(task).detach();
}
