//! One stream with another server: a task that moves bytes and stanzas between its connection, the post and the router.
//!
//! States: negotiating -> established -> closing, as in `c2s`. Reading waits for the router; the router never waits for writing.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::dialler::{ascii, connect_tls};
use super::post::Word;
use super::wire::{Progress, Wire};
use super::{Inner, pkix_fault};
use crate::federation::{Action, Confirmation, Established, PeerEvidence, PeerFault, PeerStream, PkixFault, SpkiHash};
use crate::jid::BareJid;
use crate::limits;
use crate::net::{Permit, Transport, spki_sha256, timed_out};
use crate::router::{Event, LinkId};
use crate::stanza::{StreamCondition, StreamError};
use smol::future::FutureExt;

/// How a stream ended.
#[derive(Debug)]
enum End {
    /// It was closed by one side, and both know.
    Closed,
    /// It broke.
    Lost(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Lost(error)
    }
}

/// What came of a stream.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// It carried stanzas.
    pub(super) established: bool,
    /// The answer to a question about a key. XEP-0220.
    pub(super) key_judged: Option<bool>,
    /// Why it was not established, or ended.
    pub(super) fault: Option<PeerFault>,
    /// It ended in the midst of a TLS handshake.
    pub(super) tls_failed: bool,
}

/// A stream and its connection.
pub(super) struct Link {
    id: LinkId,
    inner: Arc<Inner>,
    stream: PeerStream,
    wire: Wire,
    /// We dialled it.
    dialled: bool,
    permit: Option<Permit>,
    established: Option<Established>,
    closing: bool,
    stanzas_in: u64,
    outcome: Outcome,
}

impl Link {
    pub(super) fn new(
        id: LinkId,
        inner: Arc<Inner>,
        stream: PeerStream,
        transport: Transport,
        dialled: bool,
        permit: Option<Permit>,
        now: Instant,
    ) -> Link {
        inner.post.open(id);
        let wire = Wire::new(transport, now);
        let outcome = Outcome::default();
        Link { id, inner, stream, wire, dialled, permit, established: None, closing: false, stanzas_in: 0, outcome }
    }

    /// Serves the stream until it ends.
    pub(super) async fn run(mut self) -> Outcome {
        let begun = Instant::now();
        let end = loop {
            match self.turn().await {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        self.log_end(&end, begun);
        if self.established.is_some() {
            self.inner.host.tell(Event::PeerGone(self.id)).await;
        }
        std::mem::take(&mut self.outcome)
    }

    async fn turn(&mut self) -> Result<(), End> {
        while let Some(action) = self.stream.next_action() {
            self.perform(action).await?;
        }
        let deadline = self.deadline();
        // Behind our closing tag nothing more may be said.
        let inner = self.inner.clone();
        let post = (!self.closing).then_some((inner.post.as_ref(), self.id));
        let progress = self.wire.next(&mut self.stream, post, deadline).await?;
        self.progressed(progress)
    }

    fn progressed(&mut self, progress: Progress) -> Result<(), End> {
        let now = Instant::now();
        if progress.heard && self.sends() {
            self.inner.post.heard(self.id, now);
        }
        match progress.word {
            Some(Word::Finish) => self.finish(now),
            Some(Word::Close(error)) => self.stream.close(error),
            Some(Word::Text(_)) | None => {}
        }
        if progress.timed_out { self.time_passed(now) } else { Ok(()) }
    }

    fn sends(&self) -> bool {
        self.established.as_ref().is_some_and(|established| established.sends)
    }

    fn finish(&mut self, now: Instant) {
        self.closing = true;
        self.stream.finish(now);
    }

    /// When something must happen although nothing arrives.
    fn deadline(&self) -> Instant {
        let look = Instant::now() + LOOK_EVERY;
        let deadline = self.stream.deadline().map_or(look, |deadline| deadline.min(look));
        self.wire.stalled_at().map_or(deadline, |since| deadline.min(since + limits::WRITE_TIMEOUT))
    }

    fn time_passed(&mut self, now: Instant) -> Result<(), End> {
        let timed_out = |text: &'static str| Err(End::Lost(io::Error::new(io::ErrorKind::TimedOut, text)));
        if self.wire.stalled_at().is_some_and(|since| since + limits::WRITE_TIMEOUT <= now) {
            return timed_out("the peer does not read");
        }
        self.stream.handle_timeout(now);
        if self.established.is_none() || self.closing {
            return Ok(());
        }
        if !self.sends() {
            if now.saturating_duration_since(self.wire.heard_at()) >= limits::S2S_ACCEPTED_IDLE {
                self.finish(now);
            }
            return Ok(());
        }
        match self.inner.post.look_at(self.id, now) {
            Confirmation::Fine => {}
            // XEP-0199 §4.3: it has said nothing to a question for too long.
            Confirmation::Dead => return timed_out("the peer is silent"),
            Confirmation::Idle => self.finish(now),
        }
        Ok(())
    }

    async fn perform(&mut self, action: Action) -> Result<(), End> {
        let id = self.id;
        match action {
            Action::Send(text) => self.wire.queue(&text),
            Action::StartTls => self.start_tls().await?,
            Action::Judge(domain) => {
                let evidence = self.evidence(domain);
                self.stream.judged(&evidence);
            }
            Action::Reach { domain, shown } => {
                let evidence = self.evidence(domain);
                let answer = match evidence.spki_sha256 {
                    Some(key) => self.inner.host.reach_shown(&evidence.domain, shown, key).await,
                    None => None,
                };
                self.stream.reach_taken(answer.as_ref(), &evidence);
            }
            Action::VerifyKey { pair, id, key } => {
                let answer = Box::pin(self.inner.verify_key(pair, id, key)).await;
                self.stream.key_verified(answer);
            }
            Action::KeyJudged(valid) => self.outcome.key_judged = Some(valid),
            Action::Established(established) => self.begin(established).await,
            Action::Managed => {
                self.inner.post.manage(id);
                self.tell(Event::PeerManaged(id)).await;
            }
            Action::AckRequest => self.tell(Event::PeerAckRequest(id)).await,
            Action::Ack { h } => {
                if !self.inner.post.acknowledged(id, h) {
                    // XEP-0198 §4.
                    let text = "more stanzas acknowledged than were sent";
                    self.stream.close(StreamError::with_text(StreamCondition::UndefinedCondition, text));
                }
            }
            Action::Pong(number) => {
                if let Some(established) = &self.established {
                    self.inner.post.ponged(number, &established.pair.peer);
                }
                self.tell(Event::PeerAnswered { link: id, reply: None }).await;
            }
            Action::Stanza(stanza) => {
                self.stanzas_in += 1;
                self.tell(Event::FromPeer { link: id, stanza }).await;
            }
            Action::Returned(reply) => self.tell(Event::PeerAnswered { link: id, reply }).await,
            Action::Failed(fault) => self.outcome.fault = Some(fault),
            Action::Ended { answered: true } => self.inner.post.closed_in_order(id),
            Action::Ended { answered: false } => self.closing = true,
            Action::Close => {
                self.wire.close().await;
                return Err(End::Closed);
            }
        }
        Ok(())
    }

    async fn tell(&self, event: Event) {
        self.inner.host.tell(event).await;
    }

    async fn begin(&mut self, established: Established) {
        self.permit = None;
        self.outcome.established = true;
        let Established { pair, class, sends, managed, .. } = &established;
        let direction = if self.dialled { "to" } else { "from" };
        let both = if established.sends && established.receives { ", both ways" } else { "" };
        log::info!("s{} stream {direction} {} ({class}, {}{both})", self.id.0, pair.peer, Where(&self.wire));
        self.inner.post.identify(self.id, &pair.peer, *class);
        if *sends {
            self.inner.post.attach(pair, self.id, *class, *managed, self.dialled, Instant::now());
        }
        if *managed {
            self.tell(Event::PeerManaged(self.id)).await;
        }
        self.established = Some(established);
    }

    async fn start_tls(&mut self) -> Result<(), End> {
        self.outcome.tls_failed = true;
        let transport = self.wire.take_for_tls().await?;
        let tls = self.inner.host.tls();
        let transport = if self.dialled {
            let name = self.stream.peer().and_then(ascii).unwrap_or_default();
            Box::pin(connect_tls(transport, &tls, &name, false)).await?
        } else {
            Box::pin(transport.start_tls(&tls).or(timed_out(limits::TLS_HANDSHAKE_TIMEOUT))).await?
        };
        self.outcome.tls_failed = false;
        self.wire.put_back(transport);
        self.stream.tls_established();
        Ok(())
    }

    /// What TLS has shown of a domain.
    fn evidence(&self, domain: BareJid) -> PeerEvidence {
        let tls = self.wire.transport().and_then(Transport::tls);
        let chain = tls.map(|tls| tls.peer_chain()).unwrap_or_default();
        let pkix = match (chain.is_empty(), ascii(&domain)) {
            (true, _) => Err(PkixFault::NoCertificate),
            (false, None) => Err(PkixFault::WrongName),
            (false, Some(name)) => self.inner.authorities.judge(&chain, &name, SystemTime::now()).map_err(pkix_fault),
        };
        let key = chain.first().and_then(|certificate| spki_sha256(certificate)).map(SpkiHash);
        PeerEvidence { domain, pkix, spki_sha256: key, tls13: tls.is_some_and(|tls| tls.version().number() >= 0x0304) }
    }

    fn log_end(&self, end: &End, begun: Instant) {
        let (id, secs) = (self.id.0, begun.elapsed().as_secs());
        let peer = self.stream.peer().map_or("somebody", BareJid::as_str);
        let how = match (end, &self.outcome.fault) {
            (_, Some(fault)) => fault.to_string(),
            (End::Closed, None) => "closed".to_owned(),
            (End::Lost(error), None) => format!("lost: {error}"),
        };
        if self.established.is_some() {
            log::info!("s{id} with {peer} ended: {how}; {} stanzas in, {secs} s", self.stanzas_in);
        } else {
            log::debug!("s{id} with {peer} ({}) not established: {how}", Where(&self.wire));
        }
    }
}

impl Drop for Link {
    /// Also when the task is dropped, or panics: what was under way finds another stream.
    fn drop(&mut self) {
        self.inner.post.close(self.id, Instant::now(), self.inner.random_number());
    }
}

/// Where a connection leads, for the log.
struct Where<'a>(&'a Wire);

impl fmt::Display for Where<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(transport) = self.0.transport() else { return f.write_str("no connection") };
        if let Some(peer) = transport.peer() {
            write!(f, "{}", peer.ip())?;
        }
        match transport.tls() {
            Some(tls) => write!(f, ", {}", tls.version()),
            None => f.write_str(", no TLS"),
        }
    }
}

/// How often a quiet stream is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
