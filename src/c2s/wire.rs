//! The connection's bytes: one place that reads, writes and waits, all at once.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use super::{Outbox, Outgoing};
use crate::limits;
use crate::net::{Pipe, Transport};
use crate::stream::Stream;

/// What the bytes that arrive are for.
pub trait Incoming {
    /// Takes bytes in.
    fn receive(&mut self, bytes: &[u8]);

    /// Bytes taken in that were not worked off yet; with more than a stanza's, nothing more is read.
    fn pending_bytes(&self) -> usize;
}

impl Incoming for Stream {
    fn receive(&mut self, bytes: &[u8]) {
        Stream::receive(self, bytes);
    }

    fn pending_bytes(&self) -> usize {
        Stream::pending_bytes(self)
    }
}

/// What happened.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes arrived and were given to the stream.
    pub heard: bool,
    /// Texts up to this number were written.
    pub written: Option<u64>,
    /// The router said something that is no text.
    pub item: Option<Outgoing>,
    /// The deadline has come.
    pub timed_out: bool,
}

/// Why filling stopped.
enum Filled {
    /// A batch is complete; there may be more.
    Batch,
    /// The outbox is empty, and will wake the task.
    Empty,
    /// Something that is no text came.
    Item(Outgoing),
}

/// One connection's pipe, and the number of the last text in it.
pub struct Wire {
    pipe: Pipe,
    /// The highest number among what waits.
    number: Option<u64>,
}

impl Wire {
    /// Nothing was heard yet, and nothing waits.
    pub fn new(transport: Transport, now: Instant) -> Wire {
        Wire { pipe: Pipe::new(transport, now), number: None }
    }

    /// Text to be written before what is in the outbox.
    pub fn queue(&mut self, text: &str) {
        self.pipe.queue(text);
    }

    /// When something arrived last.
    pub fn heard_at(&self) -> Instant {
        self.pipe.heard_at()
    }

    /// Since when the other side has taken nothing of what waits.
    pub fn stalled_at(&self) -> Option<Instant> {
        self.pipe.stalled_at()
    }

    /// The version of TLS, in words.
    pub fn tls_version(&self) -> String {
        match self.pipe.transport().and_then(Transport::tls) {
            Some(tls) => tls.version().to_string(),
            None => "no TLS".to_owned(),
        }
    }

    /// Waits until something happens: writes what waits, takes texts out of the outbox, reads.
    pub async fn next(
        &mut self,
        stream: &mut impl Incoming,
        outbox: &Outbox,
        deadline: Instant,
    ) -> io::Result<Progress> {
        poll_fn(|cx| self.poll(cx, stream, outbox, deadline)).await
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut impl Incoming,
        outbox: &Outbox,
        deadline: Instant,
    ) -> Poll<io::Result<Progress>> {
        let mut progress = Progress::default();
        let mut filled = Filled::Batch;
        while matches!(filled, Filled::Batch) {
            filled = self.fill(cx, outbox);
            if !self.pipe.poll_drain(cx)? {
                break;
            }
            progress.written = self.number.take().or(progress.written);
        }
        if let Filled::Item(item) = filled {
            progress.item = Some(item);
        }
        progress.heard = self.poll_read(cx, stream)?;
        if progress.heard || progress.written.is_some() || progress.item.is_some() {
            return Poll::Ready(Ok(progress));
        }
        if self.pipe.poll_timer(cx, deadline) {
            progress.timed_out = true;
            return Poll::Ready(Ok(progress));
        }
        Poll::Pending
    }

    /// Appends texts from the outbox, up to one batch; stops at what is no text.
    fn fill(&mut self, cx: &mut Context<'_>, outbox: &Outbox) -> Filled {
        while self.pipe.has_room() {
            match outbox.poll_next(cx) {
                Poll::Ready(Outgoing::Text(text, number)) => {
                    self.pipe.queue(&text);
                    self.number = number.or(self.number);
                }
                Poll::Ready(item) => return Filled::Item(item),
                Poll::Pending => return Filled::Empty,
            }
        }
        Filled::Batch
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, stream: &mut impl Incoming) -> io::Result<bool> {
        // What the stream has not worked off waits in the socket instead.
        if stream.pending_bytes() > limits::STANZA_BYTES_MAX {
            return Ok(false);
        }
        self.pipe.poll_read(cx, |bytes| stream.receive(bytes))
    }

    /// Writes everything and gives the transport away for a TLS handshake.
    pub async fn take_for_tls(&mut self) -> io::Result<Transport> {
        self.pipe.take_for_tls().await
    }

    /// With its TLS.
    pub fn put_back(&mut self, transport: Transport) {
        self.pipe.put_back(transport);
    }

    /// Says the last words, with some patience, and closes.
    pub async fn close(&mut self) {
        self.pipe.close().await;
    }
}
