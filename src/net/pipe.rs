//! A transport with what waits to be written to it: what the edges' wires have in common. It reads and writes as far as the socket
//! goes, and keeps the one timer that its owner waits for.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smol::Timer;
use smol::future::FutureExt;
use smol::io::{AsyncWrite, AsyncWriteExt};

use super::Transport;
use crate::limits;

/// One connection's transport. Memory: an idle one owns no more than [`KEPT_BYTES`] of buffer.
pub struct Pipe {
    /// Away only during a TLS handshake.
    transport: Option<Transport>,
    /// What waits to be written, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    unflushed: bool,
    heard_at: Instant,
    /// Since when nothing could be written although something waits.
    stalled_at: Option<Instant>,
    timer: Option<(Instant, Timer)>,
}

impl Pipe {
    /// Nothing was heard yet, and nothing waits.
    pub fn new(transport: Transport, now: Instant) -> Pipe {
        let transport = Some(transport);
        Pipe { transport, out: Vec::new(), sent: 0, unflushed: false, heard_at: now, stalled_at: None, timer: None }
    }

    /// Text to be written.
    pub fn queue(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Is there room for one more text? They are written together.
    pub fn has_room(&self) -> bool {
        self.out.len() < BATCH_BYTES
    }

    /// Bytes that the socket has not taken.
    pub fn unwritten(&self) -> usize {
        self.out.len().saturating_sub(self.sent)
    }

    /// When something arrived last.
    pub fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// Since when the other side has taken nothing of what waits.
    pub fn stalled_at(&self) -> Option<Instant> {
        self.stalled_at
    }

    /// The transport, but for the time of a TLS handshake.
    pub fn transport(&self) -> Option<&Transport> {
        self.transport.as_ref()
    }

    /// Writes what waits; true when all of it is with the socket.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
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

    /// Reads once; true when bytes arrived and were given to `receive`.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, receive: impl FnMut(&[u8])) -> io::Result<bool> {
        let Some(transport) = self.transport.as_mut() else { return Err(gone()) };
        match transport.poll_read_scratch(cx, receive)? {
            Poll::Ready(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Poll::Ready(_) => {
                self.heard_at = Instant::now();
                Ok(true)
            }
            Poll::Pending => Ok(false),
        }
    }

    /// Has the deadline come? A timer that is too early is left to fire: the deadline mostly moves away, and arming costs more than
    /// waking once.
    pub fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
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
        self.flush().or(timed_out(limits::TLS_HANDSHAKE_TIMEOUT)).await?;
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
        if let Err(error) = farewell.or(timed_out(limits::CLOSE_TIMEOUT)).await {
            log::debug!("a closing connection did not take its last words: {error}");
        }
    }
}

/// Fails when the time is over.
pub async fn timed_out<T>(after: Duration) -> io::Result<T> {
    Timer::after(after).await;
    Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long"))
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection failed during its TLS handshake")
}

/// Texts are written together up to about so many bytes.
const BATCH_BYTES: usize = 16 * 1024;
/// A write buffer of at most this size is kept for the next stanza.
const KEPT_BYTES: usize = 512;
