//! The committer: one thread that makes writes durable, many at once.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use smol::channel::{Receiver, Sender, bounded};

use super::{Shared, StoreError};
use crate::router::Ticket;

/// What is written, what is durable, and who waits for it.
#[derive(Default)]
pub(super) struct Commits {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    written: u64,
    durable: u64,
    /// When to tidy up after writes whose durability nobody waits for.
    tidy_at: Option<Instant>,
    closing: bool,
    ended: bool,
    broken: bool,
    waiters: Vec<(u64, Waker)>,
    events: Option<Sender<Ticket>>,
    events_taken: bool,
}

/// What the committer has to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Commit,
    Tidy,
    End,
}

impl Commits {
    /// A write was made; gives it its ticket.
    pub(super) fn wrote(&self) -> Ticket {
        let mut state = self.state();
        state.written += 1;
        if state.written == state.durable + 1 {
            self.work.notify_one();
        }
        Ticket(state.written)
    }

    /// A write was made that nobody waits for: it becomes durable with the next commit, or after [`TIDY_AFTER`].
    pub(super) fn wrote_lazily(&self) {
        let mut state = self.state();
        if state.tidy_at.is_none() {
            state.tidy_at = Some(Instant::now() + TIDY_AFTER);
            self.work.notify_one();
        }
    }

    /// The ticket of the last write, for a decision that found nothing to write.
    pub(super) fn last_written(&self) -> Ticket {
        Ticket(self.state().written)
    }

    pub(super) fn durable(&self) -> Ticket {
        Ticket(self.state().durable)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.state().broken
    }

    /// Neither broken nor closed?
    pub(super) fn is_writable(&self) -> bool {
        let state = self.state();
        !state.broken && !state.closing && !state.ended
    }

    pub(super) fn take_events(&self) -> Option<Receiver<Ticket>> {
        let mut state = self.state();
        if state.events_taken {
            return None;
        }
        state.events_taken = true;
        let (sender, receiver) = bounded(1);
        if !state.broken && !state.ended {
            state.events = Some(sender);
        }
        Some(receiver)
    }

    pub(super) async fn wait(&self, ticket: Ticket) -> Result<(), StoreError> {
        poll_fn(|context| {
            let mut state = self.state();
            if state.durable >= ticket.0 {
                return Poll::Ready(Ok(()));
            }
            if state.broken || state.ended || ticket.0 > state.written {
                return Poll::Ready(Err(StoreError::Broken));
            }
            let known =
                state.waiters.iter().any(|(other, waker)| *other == ticket.0 && waker.will_wake(context.waker()));
            if !known {
                state.waiters.push((ticket.0, context.waker().clone()));
            }
            Poll::Pending
        })
        .await
    }

    /// Nothing more becomes durable. Logged once, because all that follows is the same.
    pub(super) fn break_down(&self, dir: &Path, cause: &str) {
        let mut state = self.state();
        if state.broken {
            return;
        }
        log::error!(
            "store: writing to {} failed: {cause}; nothing more is stored until the node is started again (remedy: free some space or \
             check the disk, then restart)",
            dir.display()
        );
        state.broken = true;
        state.events = None;
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        self.work.notify_one();
        waiters.into_iter().for_each(|(_, waker)| waker.wake());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until there is something to do.
    fn next_work(&self) -> Work {
        let mut state = self.state();
        loop {
            if state.broken {
                return Work::End;
            }
            if state.closing {
                let dirty = state.written > state.durable || state.tidy_at.is_some();
                return if dirty { Work::Tidy } else { Work::End };
            }
            if state.written > state.durable {
                return Work::Commit;
            }
            state = match state.tidy_at.map(|at| at.saturating_duration_since(Instant::now())) {
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Work::Tidy,
                Some(rest) => self.work.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// The ticket up to which the commit that begins now reaches.
    fn begin(&self, work: Work) -> u64 {
        let mut state = self.state();
        if work == Work::Tidy {
            state.tidy_at = None;
        }
        state.written
    }

    fn publish(&self, durable: u64) {
        let mut state = self.state();
        let advanced = durable > state.durable;
        state.durable = state.durable.max(durable);
        if advanced && let Some(events) = &state.events {
            // The newest replaces one that was not read yet, and says all that it said.
            let _ = events.force_send(Ticket(durable));
        }
        let mut ready = Vec::new();
        state.waiters.retain_mut(|(ticket, waker)| {
            let waits = *ticket > durable;
            if !waits {
                ready.push(waker.clone());
            }
            waits
        });
        drop(state);
        ready.into_iter().for_each(Waker::wake);
    }

    fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.events = None;
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        waiters.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// The thread, ended and awaited when this is dropped.
pub(super) struct Committer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Committer> {
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || run(&theirs))?;
        Ok(Committer { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread after a last commit. A second call finds nothing to do.
    pub(super) fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        self.shared.commits.state().closing = true;
        self.shared.commits.work.notify_one();
        if thread.join().is_err() {
            log::error!("store: the committer panicked");
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(shared: &Shared) {
    loop {
        let work = shared.commits.next_work();
        if work == Work::End {
            break;
        }
        if work == Work::Commit {
            // Neighbours get on board; those that come during the sync below are the next commit.
            std::thread::sleep(GATHER);
        }
        let target = shared.commits.begin(work);
        // sled may panic where the disk fails it.
        let outcome = catch_unwind(AssertUnwindSafe(|| commit(shared, work)));
        match outcome {
            Ok(Ok(())) => shared.commits.publish(target),
            Ok(Err(cause)) => shared.commits.break_down(&shared.dir, &cause),
            Err(_) => shared.commits.break_down(&shared.dir, "the database panicked"),
        }
    }
    shared.commits.end();
}

/// Everything written so far reaches the disk.
fn commit(shared: &Shared, work: Work) -> Result<(), String> {
    {
        let mut queues = shared.queues();
        let written = match work {
            Work::Tidy => queues.tidy(&shared.trees),
            _ => queues.write_all_pending(&shared.trees),
        };
        written.map_err(|error| error.to_string())?;
    }
    shared.db.flush().map_err(|error| error.to_string())?;
    shared.data_file.sync_data().map_err(|error| error.to_string())
}

/// How long the first write of a commit waits for neighbours.
const GATHER: Duration = Duration::from_millis(3);

/// How long deletions and the like may stay unsynced if nothing else is written.
const TIDY_AFTER: Duration = Duration::from_secs(30);
