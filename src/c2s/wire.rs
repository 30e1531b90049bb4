//! The connection's bytes: one place that reads, writes and waits, all at once.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use smol::Timer;
use smol::future::FutureExt;
use smol::io::{AsyncWrite, AsyncWriteExt};

use super::{Outbox, Outgoing};
use crate::limits;
use crate::net::Transport;
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

/// One connection's transport with what waits to be written to it.
pub struct Wire {
    /// Away only during a TLS handshake.
    transport: Option<Transport>,
    /// What waits to be written, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    unflushed: bool,
    /// The highest number among what waits.
    number: Option<u64>,
    heard_at: Instant,
    /// Since when nothing could be written although something waits.
    stalled_at: Option<Instant>,
    timer: Option<(Instant, Timer)>,
}

impl Wire {
    /// Nothing was heard yet, and nothing waits.
    pub fn new(transport: Transport, now: Instant) -> Wire {
        Wire {
            transport: Some(transport),
            out: Vec::new(),
            sent: 0,
            unflushed: false,
            number: None,
            heard_at: now,
            stalled_at: None,
            timer: None,
        }
    }

    /// Text to be written before what is in the outbox.
    pub fn queue(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// When something arrived last.
    pub fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// Since when the other side has taken nothing of what waits.
    pub fn stalled_at(&self) -> Option<Instant> {
        self.stalled_at
    }

    /// The version of TLS, in words.
    pub fn tls_version(&self) -> String {
        match self.transport.as_ref().and_then(Transport::tls) {
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
            if !self.poll_drain(cx)? {
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
        if self.poll_timer(cx, deadline) {
            progress.timed_out = true;
            return Poll::Ready(Ok(progress));
        }
        Poll::Pending
    }

    /// Appends texts from the outbox, up to one batch; stops at what is no text.
    fn fill(&mut self, cx: &mut Context<'_>, outbox: &Outbox) -> Filled {
        while self.out.len() < BATCH_BYTES {
            match outbox.poll_next(cx) {
                Poll::Ready(Outgoing::Text(text, number)) => {
                    self.out.extend_from_slice(text.as_bytes());
                    self.number = number.or(self.number);
                }
                Poll::Ready(item) => return Filled::Item(item),
                Poll::Pending => return Filled::Empty,
            }
        }
        Filled::Batch
    }

    /// Writes what waits; true when all of it is with the socket.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let Some(transport) = self.transport.as_mut() else { return Err(gone()) };
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut *transport).poll_write(cx, rest)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(count) => {
                    self.sent += count;
                    self.unflushed = true;
                    self.stalled_at = None;
                }
                Poll::Pending => {
                    self.stalled_at.get_or_insert_with(Instant::now);
                    return Ok(false);
                }
            }
        }
        if self.unflushed {
            if Pin::new(transport).poll_flush(cx)?.is_pending() {
                self.stalled_at.get_or_insert_with(Instant::now);
                return Ok(false);
            }
            self.unflushed = false;
        }
        self.stalled_at = None;
        self.sent = 0;
        // An idle connection owns no buffer.
        if self.out.capacity() > KEPT_BYTES {
            self.out = Vec::new()
        } else {
            self.out.clear()
        }
        Ok(true)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, stream: &mut impl Incoming) -> io::Result<bool> {
        // What the stream has not worked off waits in the socket instead.
        if stream.pending_bytes() > limits::STANZA_BYTES_MAX {
            return Ok(false);
        }
        let Some(transport) = self.transport.as_mut() else { return Err(gone()) };
        match transport.poll_read_scratch(cx, |bytes| stream.receive(bytes))? {
            Poll::Ready(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Poll::Ready(_) => {
                self.heard_at = Instant::now();
                Ok(true)
            }
            Poll::Pending => Ok(false),
        }
    }

    /// A timer that is too early is left to fire: the deadline mostly moves away, and arming costs more than waking once.
    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        if self.timer.as_ref().is_none_or(|(armed, _)| *armed > deadline) {
            self.timer = Some((deadline, Timer::at(deadline)));
        }
        let Some((armed, timer)) = self.timer.as_mut() else { return false };
        if timer.poll(cx).is_pending() {
            return false;
        }
        let came = *armed >= deadline;
        self.timer = None;
        came || self.poll_timer(cx, deadline)
    }

    /// Writes everything and gives the transport away for a TLS handshake.
    pub async fn take_for_tls(&mut self) -> io::Result<Transport> {
        self.flush().or(super::timed_out(limits::TLS_HANDSHAKE_TIMEOUT)).await?;
        self.transport.take().ok_or_else(gone)
    }

    /// With its TLS.
    pub fn put_back(&mut self, transport: Transport) {
        self.transport = Some(transport);
    }

    async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| match self.poll_drain(cx) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        })
        .await
    }

    /// Says the last words, with some patience, and closes.
    pub async fn close(&mut self) {
        let farewell = async {
            self.flush().await?;
            match self.transport.as_mut() {
                Some(transport) => transport.close().await,
                None => Ok(()),
            }
        };
        if let Err(error) = farewell.or(super::timed_out(limits::CLOSE_TIMEOUT)).await {
            log::debug!("a closing connection did not take its last words: {error}");
        }
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection failed during its TLS handshake")
}

/// Texts are written together up to about so many bytes.
const BATCH_BYTES: usize = 16 * 1024;
/// A write buffer of at most this size is kept for the next stanza.
const KEPT_BYTES: usize = 512;
