//! One connection's bytes: reads, writes and waits, all at once.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smol::Timer;
use smol::future::FutureExt;
use smol::io::{AsyncWrite, AsyncWriteExt};

use super::post::{Post, Word};
use crate::federation::PeerStream;
use crate::limits;
use crate::net::Transport;
use crate::router::LinkId;

/// What happened.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes arrived and were given to the stream.
    pub(super) heard: bool,
    /// Somebody said something that is no text.
    pub(super) word: Option<Word>,
    /// The deadline has come.
    pub(super) timed_out: bool,
}

pub(super) struct Wire {
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

impl Wire {
    pub(super) fn new(transport: Transport, now: Instant) -> Wire {
        let transport = Some(transport);
        Wire { transport, out: Vec::new(), sent: 0, unflushed: false, heard_at: now, stalled_at: None, timer: None }
    }

    pub(super) fn queue(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    pub(super) fn heard_at(&self) -> Instant {
        self.heard_at
    }

    pub(super) fn stalled_at(&self) -> Option<Instant> {
        self.stalled_at
    }

    pub(super) fn transport(&self) -> Option<&Transport> {
        self.transport.as_ref()
    }

    /// Waits until something happens: writes what waits, takes texts out of the post, reads.
    pub(super) async fn next(
        &mut self,
        stream: &mut PeerStream,
        post: Option<(&Post, LinkId)>,
        deadline: Instant,
    ) -> io::Result<Progress> {
        poll_fn(|cx| self.poll(cx, stream, post, deadline)).await
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut PeerStream,
        post: Option<(&Post, LinkId)>,
        deadline: Instant,
    ) -> Poll<io::Result<Progress>> {
        let mut progress = Progress::default();
        loop {
            // Only what the socket takes is fetched: what waits stays where it is counted, and can go another way.
            if !self.poll_drain(cx)? {
                break;
            }
            let Some((post, link)) = post else { break };
            match self.fill(cx, post, link) {
                Poll::Ready(None) => {}
                Poll::Ready(word) => {
                    progress.word = word;
                    break;
                }
                Poll::Pending if self.out.is_empty() => break,
                Poll::Pending => {}
            }
        }
        progress.heard = self.poll_read(cx, stream)?;
        if progress.heard || progress.word.is_some() {
            return Poll::Ready(Ok(progress));
        }
        if self.poll_timer(cx, deadline) {
            progress.timed_out = true;
            return Poll::Ready(Ok(progress));
        }
        Poll::Pending
    }

    /// Appends texts, up to one batch; stops at what is no text. Pending: there is nothing more, and the task will be woken.
    fn fill(&mut self, cx: &mut Context<'_>, post: &Post, link: LinkId) -> Poll<Option<Word>> {
        while self.out.len() < BATCH_BYTES {
            match post.poll_next(cx, link) {
                Poll::Ready(Word::Text(text)) => self.out.extend_from_slice(text.as_bytes()),
                Poll::Ready(word) => return Poll::Ready(Some(word)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(None)
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

    fn poll_read(&mut self, cx: &mut Context<'_>, stream: &mut PeerStream) -> io::Result<bool> {
        // What the stream has not worked off waits in the socket, and so does a peer that asks and does not read the answers.
        if stream.pending_bytes() > limits::S2S_STANZA_BYTES_MAX || self.out.len() - self.sent > UNWRITTEN_BYTES_MAX {
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
    pub(super) async fn take_for_tls(&mut self) -> io::Result<Transport> {
        self.flush().or(timed_out(limits::TLS_HANDSHAKE_TIMEOUT)).await?;
        self.transport.take().ok_or_else(gone)
    }

    pub(super) fn put_back(&mut self, transport: Transport) {
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
    pub(super) async fn close(&mut self) {
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
pub(super) async fn timed_out<T>(after: Duration) -> io::Result<T> {
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
/// A peer that leaves so much unread is not listened to.
const UNWRITTEN_BYTES_MAX: usize = 256 * 1024;
