//! Work for an answer that takes a processor, or the disk, for milliseconds: it leaves the thread that serves everybody.

use std::fmt;

use crate::node::hub::Inbox;
use crate::router::{Event, Ticket};
use crate::stanza::{Stanza, StanzaCondition, StanzaError};
use crate::store::{Store, StoreError};

/// A job. It sends its answer, and whatever follows from it, to the hub.
pub(in crate::node) struct Job(Box<dyn FnOnce(&Inbox) + Send>);

impl Job {
    /// From what it does. It may block.
    pub(super) fn new(work: impl FnOnce(&Inbox) + Send + 'static) -> Job {
        Job(Box::new(work))
    }

    /// A job whose outcome is the answer, `None` for an empty result.
    pub(super) fn answering(
        request: &Stanza,
        work: impl FnOnce(&Inbox) -> Result<Stanza, StanzaError> + Send + 'static,
    ) -> Job {
        let request = request.clone();
        Job::new(move |inbox| {
            let answer = match work(inbox) {
                Ok(answer) => Some(answer),
                Err(error) => request.error(&error),
            };
            if let Some(answer) = answer {
                inbox.tell_blocking(Event::FromServer(answer));
            }
        })
    }

    /// Does it; blocks.
    pub(in crate::node) fn run(self, inbox: &Inbox) {
        (self.0)(inbox);
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job(..)")
    }
}

/// Waits until a write survives a power cut: what the client is told is a promise.
pub(super) fn committed(store: &Store, ticket: Ticket) -> Result<(), StanzaError> {
    smol::block_on(store.commit(ticket)).map_err(fault)
}

/// What a fault of the store is to who asked.
pub(super) fn fault(error: StoreError) -> StanzaError {
    match error {
        StoreError::NoAccount => StanzaError::new(StanzaCondition::ItemNotFound).text("there is no such account"),
        StoreError::AccountExists => {
            StanzaError::new(StanzaCondition::Conflict).text("there is such an account already")
        }
        StoreError::NoSpace => {
            StanzaError::new(StanzaCondition::ResourceConstraint).text("the server's disk is full; try again later")
        }
        error => {
            log::error!("a request fails: {error}");
            StanzaError::new(StanzaCondition::InternalServerError)
        }
    }
}
