//! One connection's bytes: reads, writes and waits, all at once.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use super::post::{Post, Word};
use crate::federation::PeerStream;
use crate::limits;
use crate::net::{Pipe, Transport};
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

pub(super) struct Wire(Pipe);

impl Wire {
    pub(super) fn new(transport: Transport, now: Instant) -> Wire {
        Wire(Pipe::new(transport, now))
    }

    pub(super) fn queue(&mut self, text: &str) {
        self.0.queue(text);
    }

    pub(super) fn heard_at(&self) -> Instant {
        self.0.heard_at()
    }

    pub(super) fn stalled_at(&self) -> Option<Instant> {
        self.0.stalled_at()
    }

    pub(super) fn transport(&self) -> Option<&Transport> {
        self.0.transport()
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
            if !self.0.poll_drain(cx)? {
                break;
            }
            let Some((post, link)) = post else { break };
            match self.fill(cx, post, link) {
                Poll::Ready(None) => {}
                Poll::Ready(word) => {
                    progress.word = word;
                    break;
                }
                Poll::Pending if self.0.unwritten() == 0 => break,
                Poll::Pending => {}
            }
        }
        progress.heard = self.poll_read(cx, stream)?;
        if progress.heard || progress.word.is_some() {
            return Poll::Ready(Ok(progress));
        }
        if self.0.poll_timer(cx, deadline) {
            progress.timed_out = true;
            return Poll::Ready(Ok(progress));
        }
        Poll::Pending
    }

    /// Appends texts, up to one batch; stops at what is no text. Pending: there is nothing more, and the task will be woken.
    fn fill(&mut self, cx: &mut Context<'_>, post: &Post, link: LinkId) -> Poll<Option<Word>> {
        while self.0.has_room() {
            match post.poll_next(cx, link) {
                Poll::Ready(Word::Text(text)) => self.0.queue(&text),
                Poll::Ready(word) => return Poll::Ready(Some(word)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(None)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, stream: &mut PeerStream) -> io::Result<bool> {
        // What the stream has not worked off waits in the socket, and so does a peer that asks and does not read the answers.
        if stream.pending_bytes() > limits::S2S_STANZA_BYTES_MAX || self.0.unwritten() > UNWRITTEN_BYTES_MAX {
            return Ok(false);
        }
        self.0.poll_read(cx, |bytes| stream.receive(bytes))
    }

    /// Writes everything and gives the transport away for a TLS handshake.
    pub(super) async fn take_for_tls(&mut self) -> io::Result<Transport> {
        self.0.take_for_tls().await
    }

    pub(super) fn put_back(&mut self, transport: Transport) {
        self.0.put_back(transport);
    }

    /// Says the last words, with some patience, and closes.
    pub(super) async fn close(&mut self) {
        self.0.close().await;
    }
}

/// A peer that leaves so much unread is not listened to.
const UNWRITTEN_BYTES_MAX: usize = 256 * 1024;
