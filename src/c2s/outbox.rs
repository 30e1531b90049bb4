//! What waits to be written to one connection. The router puts in and never waits; the connection's task takes out.
//!
//! An idle outbox owns no memory beyond its own struct: ten thousand of them sit on a small board.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::limits;
use crate::router::{Bound, Resumed};
use crate::stanza::{StanzaError, StreamError};

/// What the router tells a connection.
#[derive(Debug)]
pub enum Outgoing {
    /// The answer to its bind.
    Bound(Result<Bound, StanzaError>),
    /// The answer to its resume; refused with the stanzas the old session had handled, if known.
    Resumed(Result<Resumed, Option<u32>>),
    /// Text to write; report the number once it is written.
    Text(Arc<str>, Option<u64>),
    /// End the stream.
    Close(Option<StreamError>),
}

/// The outbox is full: the client reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A bounded queue between the router and one connection. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    shared: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Outgoing>,
    bytes: usize,
    waker: Option<Waker>,
    closed: bool,
}

impl Outbox {
    /// Puts something in. What ends the stream always fits; text for a connection that is gone is dropped.
    pub fn push(&self, item: Outgoing) -> Result<(), Full> {
        let mut queue = self.lock();
        if queue.closed {
            return Ok(());
        }
        if let Outgoing::Text(text, _) = &item {
            let full = queue.items.len() >= limits::OUTBOX_STANZAS_MAX
                || (queue.bytes + text.len() > limits::OUTBOX_BYTES_MAX && !queue.items.is_empty());
            if full {
                return Err(Full);
            }
            queue.bytes += text.len();
        }
        queue.items.push_back(item);
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Takes the oldest item out; the task is woken when there is one.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Outgoing> {
        let mut queue = self.lock();
        match queue.items.pop_front() {
            Some(item) => {
                if let Outgoing::Text(text, _) = &item {
                    queue.bytes -= text.len().min(queue.bytes);
                }
                if queue.items.is_empty() {
                    queue.items = VecDeque::new();
                }
                Poll::Ready(item)
            }
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Nobody reads any more: what is in and what comes is dropped.
    pub fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.items = VecDeque::new();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_fills_it_and_the_end_still_fits() {
        let outbox = Outbox::default();
        let text: Arc<str> = "x".repeat(1000).into();
        let mut fitted = 0;
        while outbox.push(Outgoing::Text(text.clone(), None)).is_ok() {
            fitted += 1;
        }
        assert_eq!(fitted, limits::OUTBOX_STANZAS_MAX);
        assert_eq!(outbox.push(Outgoing::Close(None)), Ok(()));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..fitted {
            assert!(matches!(outbox.poll_next(&mut cx), Poll::Ready(Outgoing::Text(..))));
        }
        assert!(matches!(outbox.poll_next(&mut cx), Poll::Ready(Outgoing::Close(None))));
        assert!(outbox.poll_next(&mut cx).is_pending());
        outbox.close();
        assert_eq!(outbox.push(Outgoing::Text(text, None)), Ok(()));
        assert!(outbox.poll_next(&mut cx).is_pending());
    }

    #[test]
    fn one_large_stanza_always_fits_an_empty_outbox() {
        let outbox = Outbox::default();
        let text: Arc<str> = "x".repeat(limits::OUTBOX_BYTES_MAX + 1).into();
        assert_eq!(outbox.push(Outgoing::Text(text.clone(), None)), Ok(()));
        assert_eq!(outbox.push(Outgoing::Text(text, None)), Err(Full));
    }
}
