//! Does what the queues want done: dials, stores, tells the router.

use std::time::{Instant, SystemTime};

use smol::Timer;
use smol::future::FutureExt;

use super::Federation;
use crate::federation::{Effect, OutgoingId};
use crate::limits;
use crate::router::{Event, Now};
use crate::stanza::Timestamp;

impl Federation {
    /// Runs until it is dropped. While nothing waits it sleeps.
    pub(super) async fn clerk(self) {
        let mut next_tick = Instant::now();
        loop {
            let post = &self.inner.post;
            let quiet = post.is_quiet();
            let tick = async {
                match quiet {
                    true => std::future::pending().await,
                    // By the clock, so that a flood of effects does not put it off.
                    false => Timer::at(next_tick).await,
                };
            };
            post.rung().or(tick).await;
            let now = Instant::now();
            let effects = if now >= next_tick && !post.is_quiet() {
                next_tick = now + limits::S2S_TICK;
                post.tick(now)
            } else {
                post.take_effects()
            };
            self.perform(effects).await;
        }
    }

    pub(super) async fn perform(&self, effects: Vec<Effect>) {
        let host = &self.inner.host;
        let mut forgotten: Vec<OutgoingId> = Vec::new();
        for effect in effects {
            match effect {
                Effect::Dial(pair) => self.dial(pair),
                Effect::Taken(receipt) => host.tell(Event::RemoteTaken(receipt)).await,
                Effect::Forget(id) => forgotten.push(id),
                Effect::Answer(stanza) => host.tell(Event::FromServer(stanza)).await,
                Effect::Store(pair, number) => {
                    let Some(outgoing) = self.inner.post.to_store(&pair, number) else { continue };
                    let Some((id, ticket)) = host.keep(&outgoing) else { continue };
                    // No await in between: what was kept is known to be kept.
                    if let Some(receipt) = self.inner.post.stored(&pair, number, id) {
                        host.tell(Event::RemoteStored(ticket, receipt)).await;
                    }
                }
            }
        }
        if !forgotten.is_empty() {
            host.forget(&forgotten);
        }
    }
}

/// Both clocks, now.
pub(super) fn clock() -> Now {
    Now { monotonic: Instant::now(), wall: Timestamp::from_system(SystemTime::now()) }
}
