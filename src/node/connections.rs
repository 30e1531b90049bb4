//! Accepting: a permit for each stranger, a task for each connection, and a way to wait until all have ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use smol::channel::{Receiver, Sender, bounded};
use smol::future::FutureExt;
use smol::{Executor, Task, Timer};

pub(super) use crate::c2s::Start as Entrance;
use crate::c2s::{self, Host};
use crate::config::Config;
use crate::net::{Listener, Permits, Transport};
use crate::router::{ConnectionId, Event};

/// Never sent: the channel closes when the last connection lets go of it.
#[derive(Debug)]
pub(super) enum Never {}

/// Held by each connection while it lasts.
pub(super) type Alive = Sender<Never>;

pub(super) struct Connections {
    executor: &'static Executor<'static>,
    host: Arc<dyn Host>,
    permits: Arc<Permits>,
    next: Arc<AtomicU64>,
    alive: Sender<Never>,
    all_ended: Receiver<Never>,
}

impl Connections {
    pub(super) fn new(executor: &'static Executor<'static>, host: Arc<dyn Host>, config: &Config) -> Connections {
        let permits = Permits::new(config.limits.unauthenticated_max, config.limits.unauthenticated_per_address_max);
        let (alive, all_ended) = bounded(1);
        Connections { executor, host, permits: Arc::new(permits), next: Arc::new(AtomicU64::new(1)), alive, all_ended }
    }

    /// Accepts on these listeners until the tasks are dropped.
    pub(super) fn open(&self, listeners: Vec<Listener>, entrance: Entrance) -> Vec<Task<()>> {
        let accept = |mut listener: Listener| {
            let door = Door {
                executor: self.executor,
                host: self.host.clone(),
                permits: self.permits.clone(),
                next: self.next.clone(),
                alive: self.alive.clone(),
                entrance,
            };
            self.executor.spawn(async move {
                loop {
                    let transport = listener.accept().await;
                    door.admit(transport);
                }
            })
        };
        listeners.into_iter().map(accept).collect()
    }

    /// To be held by connections of other kinds too, which [`Connections::ended`] waits for then.
    pub(super) fn alive(&self) -> &Alive {
        &self.alive
    }

    /// Waits until all connections have ended, at most so long.
    pub(super) async fn ended(self, patience: Duration) {
        drop(self.alive);
        let all = async {
            let _ = self.all_ended.recv().await;
        };
        let enough = async {
            Timer::after(patience).await;
            log::info!("some connections did not end in time");
        };
        all.or(enough).await;
    }
}

struct Door {
    executor: &'static Executor<'static>,
    host: Arc<dyn Host>,
    permits: Arc<Permits>,
    next: Arc<AtomicU64>,
    alive: Sender<Never>,
    entrance: Entrance,
}

impl Door {
    fn admit(&self, transport: Transport) {
        let Some(peer) = transport.peer() else { return };
        let permit = match self.permits.take(peer.ip()) {
            Ok(permit) => permit,
            // One line per refused connection would be a stranger's to write.
            Err(refusal) => return log::debug!("{} refused: {refusal}", peer.ip()),
        };
        let id = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed));
        let (host, alive, entrance) = (self.host.clone(), self.alive.clone(), self.entrance);
        let task = async move {
            let served = AssertUnwindSafe(c2s::serve(transport, entrance, permit, id, host.clone()));
            if served.catch_unwind().await.is_err() {
                // The panic hook has printed where. Only this connection ends.
                log::error!("c{} ended by a fault of this program; please report it", id.0);
                host.tell(Event::Lost(id)).await;
            }
            drop(alive);
        };
        // Its owner is the connection itself: `ended` waits for all of them by the channel they hold.
        self.executor.spawn(task).detach();
    }
}
