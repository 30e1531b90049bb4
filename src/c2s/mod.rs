//! One client: a task that moves bytes between a connection, its [`Stream`] and the router. RFC 6120, XEP-0368.
//!
//! States: negotiating (everything the stream asks is answered in turn) -> bound (stanzas go to the router's inbox, texts
//! come from the [`Outbox`]) -> closing (what was said is flushed, then the socket goes). One task owns all of it, so that an
//! idle connection costs one future, and no buffer. Reading waits for the router, the router never waits for writing.
//!
//! Limits: the permit and the time of a stranger, [`limits::IDLE_BEFORE_PING`] and [`limits::PING_TIMEOUT`] of a silent
//! client, [`limits::WRITE_TIMEOUT`] of one that does not read, and the outbox's size.

mod host;
mod outbox;
mod wire;

pub use host::{Answer, Host, Peer};
pub use outbox::{Full, Outbox, Outgoing};
pub use wire::{Incoming, Progress, Wire};

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smol::future::FutureExt;

use crate::jid::{BareJid, FullJid};
use crate::limits;
use crate::net::{Permit, Transport, timed_out};
use crate::router::{self, ConnectionId, Event, Resumption, SessionStart};
use crate::stanza::{SaslCondition, SaslFailure};
use crate::stream::{
    Action, Bound, ClientCertificate, Management, ResumeRefused, Resumed, Security, SessionWishes, Stream, TlsFacts,
};
use crate::xml::ns;

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// In the clear; the client must ask for TLS. RFC 6120 §5.
    StartTls,
    /// With TLS. XEP-0368.
    DirectTls,
}

/// How a connection ended.
#[derive(Debug)]
enum End {
    /// The client closed its stream in order.
    InOrder,
    /// We closed it, and the router knows.
    Closed,
    /// It broke.
    Lost(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Lost(error)
    }
}

/// Serves one connection until it ends. The permit is given back when the client has authenticated.
pub async fn serve(transport: Transport, start: Start, permit: Permit, id: ConnectionId, host: Arc<dyn Host>) {
    let begun = Instant::now();
    // Boxed: what only the beginning needs must not stay with the connection for ever.
    let Some(mut connection) = Box::pin(begin(transport, start, permit, id, host, begun)).await else { return };
    connection.host.attach(id, connection.outbox.clone()).await;
    let end = connection.run().await;
    connection.finish(&end, begun).await;
}

async fn begin(
    transport: Transport,
    start: Start,
    permit: Permit,
    id: ConnectionId,
    host: Arc<dyn Host>,
    begun: Instant,
) -> Option<Connection> {
    let address = transport.peer().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
    let peer = Peer { address, certificate: None };
    let (transport, security, peer) = match start {
        Start::StartTls => (transport, Security::Plain, peer),
        Start::DirectTls => match secure(transport, start, host.as_ref(), peer).await {
            Ok((transport, facts, peer)) => (transport, Security::Tls(facts), peer),
            Err(error) => {
                log::debug!("c{} {address}: no TLS: {error}", id.0);
                return None;
            }
        },
    };
    Some(Connection {
        id,
        stream: Stream::new(host.stream_config(), security, host.random(), begun),
        host,
        peer,
        wire: Wire::new(transport, begun),
        outbox: Outbox::default(),
        permit: Some(permit),
        bound: false,
        managed: false,
        asked_alive: false,
        stanzas_in: 0,
    })
}

/// TLS on a connection, and what it tells of the client.
async fn secure(
    transport: Transport,
    start: Start,
    host: &dyn Host,
    mut peer: Peer,
) -> io::Result<(Transport, TlsFacts, Peer)> {
    let tls = host.tls();
    let handshake = async {
        match start {
            Start::StartTls => transport.start_tls(&tls).await,
            Start::DirectTls => transport.start_direct_tls(&tls).await,
        }
    };
    let transport = handshake.or(timed_out(limits::TLS_HANDSHAKE_TIMEOUT)).await?;
    let Some(stream) = transport.tls() else {
        return Err(io::Error::other("no TLS behind a TLS handshake"));
    };
    peer.certificate = stream.peer_certificate().map(Arc::from);
    let client_certificate = match &peer.certificate {
        None => ClientCertificate::None,
        Some(der) if host.is_bridge_certificate(der) => ClientCertificate::Bridge,
        Some(_) => ClientCertificate::Other,
    };
    let facts = TlsFacts {
        exporter: stream.exporter(),
        server_end_point: stream.server_end_point(),
        client_certificate,
        version: stream.version().number(),
    };
    Ok((transport, facts, peer))
}

struct Connection {
    id: ConnectionId,
    host: Arc<dyn Host>,
    peer: Peer,
    stream: Stream,
    wire: Wire,
    outbox: Outbox,
    permit: Option<Permit>,
    /// It became a session, or tried to; the log tells of its end.
    bound: bool,
    /// Stream management is on: a silent client is asked with `<r/>`, a ping would have to be counted.
    managed: bool,
    /// A silent client was asked whether it lives.
    asked_alive: bool,
    stanzas_in: u64,
}

impl Connection {
    async fn run(&mut self) -> End {
        loop {
            while let Some(action) = self.stream.next_action() {
                if let Err(end) = self.perform(action).await {
                    return end;
                }
            }
            let deadline = self.deadline();
            let progress = match self.wire.next(&mut self.stream, &self.outbox, deadline).await {
                Ok(progress) => progress,
                Err(error) => return End::Lost(error),
            };
            if let Err(end) = self.progressed(progress).await {
                return end;
            }
        }
    }

    async fn progressed(&mut self, progress: Progress) -> Result<(), End> {
        if let Some(up_to) = progress.written {
            self.host.tell(Event::Written { connection: self.id, up_to }).await;
        }
        if progress.heard {
            self.asked_alive = false;
        }
        match progress.item {
            Some(Outgoing::Bound(outcome)) => {
                if let Ok(bound) = &outcome {
                    self.managed |= bound.inline.iter().any(|answer| answer.is("enabled", ns::SM));
                    self.log_bound(&bound.jid, "bound");
                }
                self.stream.bound(outcome.map(|router::Bound { jid, inline }| Bound { jid, inline }));
            }
            Some(Outgoing::Resumed(outcome)) => {
                if let Ok(resumed) = &outcome {
                    self.managed = true;
                    self.log_bound(&resumed.jid, "resumed");
                }
                let outcome = outcome.map(|router::Resumed { jid, h }| Resumed { jid, h });
                self.stream.resumed(outcome.map_err(|h| ResumeRefused { h }));
            }
            Some(Outgoing::Close(error)) => self.stream.close(error),
            Some(Outgoing::Text(..)) | None => {}
        }
        if progress.timed_out { self.time_passed() } else { Ok(()) }
    }

    /// When something must happen although nothing arrives.
    fn deadline(&self) -> Instant {
        let silence = match (self.stream.deadline(), self.asked_alive) {
            (Some(negotiation), _) => negotiation,
            (None, false) => self.wire.heard_at() + limits::IDLE_BEFORE_PING,
            (None, true) => self.wire.heard_at() + limits::IDLE_BEFORE_PING + limits::PING_TIMEOUT,
        };
        self.wire.stalled_at().map_or(silence, |since| silence.min(since + limits::WRITE_TIMEOUT))
    }

    fn time_passed(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let timed_out = |text: &'static str| End::Lost(io::Error::new(io::ErrorKind::TimedOut, text));
        if self.wire.stalled_at().is_some_and(|since| since + limits::WRITE_TIMEOUT <= now) {
            return Err(timed_out("the client does not read"));
        }
        if self.deadline() > now {
            return Ok(());
        }
        if self.stream.deadline().is_some() {
            self.stream.handle_timeout(now);
            return Ok(());
        }
        if self.asked_alive {
            return Err(timed_out("the client is silent"));
        }
        // RFC 6120 §4.6.1, XEP-0199 §4.1: does it live?
        self.asked_alive = true;
        let question = match (self.managed, self.stream.full_jid()) {
            (false, Some(jid)) => format!(
                "<iq type='get' id='alive' from='{}' to='{}'><ping xmlns='urn:xmpp:ping'/></iq>",
                escaped(jid.bare().domainpart()),
                escaped(&jid.to_string())
            ),
            _ => "<r xmlns='urn:xmpp:sm:3'/>".to_owned(),
        };
        self.wire.queue(&question);
        Ok(())
    }

    async fn perform(&mut self, action: Action) -> Result<(), End> {
        let id = self.id;
        match action {
            Action::Send(text) => self.wire.queue(&text),
            Action::StartTls => self.start_tls().await?,
            Action::FetchScramKeys { account } => {
                let answer = match self.host.may_attempt(&self.peer, Some(&account)) {
                    Ok(()) => self.host.scram_keys(&account).await,
                    Err(failure) => Err(failure),
                };
                self.stream.scram_keys(answer);
            }
            Action::VerifyPlain { account, password } => {
                let answer = match self.host.may_attempt(&self.peer, Some(&account)) {
                    Ok(()) => self.host.verify_plain(&account, password).await,
                    Err(failure) => Err(failure),
                };
                self.stream.authenticated(answer);
            }
            Action::VerifyExternal { authzid } => {
                let answer = self.verify_external(authzid.as_ref()).await;
                self.stream.authenticated(answer);
            }
            Action::VerifyToken(proof) => {
                // Nobody guesses a token: an attack on the account's password does not lock its own devices out.
                let answer = match self.host.may_attempt(&self.peer, None) {
                    Ok(()) => self.host.verify_token(*proof).await,
                    Err(failure) => Err(failure),
                };
                self.stream.token_verified(answer);
            }
            Action::IssueToken { account, client, mechanism } => {
                let token = self.host.issue_token(&account, client, mechanism).await;
                self.stream.token_issued(token);
            }
            Action::SaslAttemptFailed { account } => self.host.attempt_failed(&self.peer, account.as_ref()),
            Action::Register(request) => {
                let reply = self.host.register(&self.peer, request).await;
                self.stream.registration_reply(reply);
            }
            Action::Bind { account, resource, wishes } => self.bind(account, resource, wishes).await,
            Action::Resume { account, token, h } => {
                self.leave_strangers();
                self.host.tell(Event::Resume { connection: id, account, token, h }).await;
            }
            Action::EnableSm(wish) => {
                self.managed = true;
                let resumption = self.resumption(wish);
                self.host.tell(Event::EnableStreamManagement { connection: id, resumption }).await;
            }
            Action::AckRequest => self.host.tell(Event::AckRequest(id)).await,
            Action::Ack { h } => self.host.tell(Event::Ack { connection: id, h }).await,
            Action::Csi { active } => self.host.tell(Event::ClientState { connection: id, active }).await,
            Action::Stanza(stanza) => {
                self.stanzas_in += 1;
                self.host.tell(Event::Stanza { connection: id, stanza }).await;
            }
            Action::Answered(reply) => self.host.tell(Event::Answered { connection: id, reply }).await,
            Action::StreamEnded => {
                self.wire.close().await;
                return Err(End::InOrder);
            }
            Action::Close => {
                self.wire.close().await;
                return Err(End::Closed);
            }
        }
        Ok(())
    }

    async fn verify_external(&self, authzid: Option<&BareJid>) -> Result<BareJid, SaslFailure> {
        if self.peer.certificate.is_none() {
            return Err(SaslFailure::new(SaslCondition::NotAuthorized));
        }
        self.host.may_attempt(&self.peer, None)?;
        self.host.verify_external(&self.peer, authzid).await
    }

    async fn start_tls(&mut self) -> Result<(), End> {
        let transport = self.wire.take_for_tls().await?;
        let peer = self.peer.clone();
        let handshake = Box::pin(secure(transport, Start::StartTls, self.host.as_ref(), peer));
        let (transport, facts, peer) = handshake.await?;
        self.wire.put_back(transport);
        self.peer = peer;
        self.stream.tls_established(facts);
        Ok(())
    }

    async fn bind(&mut self, account: BareJid, resource: Option<String>, wishes: SessionWishes) {
        self.leave_strangers();
        // RFC 6120 §7.6: without a wish the server makes one up that nobody can guess.
        let wished = resource.and_then(|resource| account.with_resource(&resource).ok());
        let jid = match wished {
            Some(jid) => Ok(jid),
            None => account.with_resource(&token(&self.host.random())),
        };
        let start = SessionStart {
            management: wishes.management.map(|wish| self.resumption(wish)),
            carbons: wishes.carbons,
            inactive: wishes.inactive,
        };
        match jid {
            Ok(jid) => self.host.tell(Event::Bind { connection: self.id, jid, start }).await,
            Err(error) => log::error!("c{} a resource made here is none: {error}", self.id.0),
        }
    }

    /// The client has authenticated: it takes no place of those who have not.
    fn leave_strangers(&mut self) {
        self.permit = None;
        self.peer.certificate = None;
        self.bound = true;
    }

    fn resumption(&self, wish: Management) -> Option<Resumption> {
        if !wish.resume {
            return None;
        }
        let wished = wish.max_secs.map_or(self.host.resume_patience(), |secs| Duration::from_secs(secs.into()));
        Some(Resumption { token: token(&self.host.random()), patience: wished.min(limits::RESUME_MAX) })
    }

    fn log_bound(&self, jid: &FullJid, what: &str) {
        let version = self.wire.tls_version();
        log::info!("c{} {} {what} ({}, {version})", self.id.0, jid.bare().for_log(), self.peer.address);
    }

    async fn finish(&self, end: &End, begun: Instant) {
        self.outbox.close();
        let event = match end {
            End::Lost(_) => Event::Lost(self.id),
            End::InOrder | End::Closed => Event::Closed(self.id),
        };
        let how = match end {
            End::InOrder => "closed by the client".to_owned(),
            End::Closed => "closed".to_owned(),
            End::Lost(error) => format!("lost: {error}"),
        };
        let (id, secs) = (self.id.0, begun.elapsed().as_secs());
        self.host.tell(event).await;
        if self.bound {
            log::info!("c{id} {how}: {} stanzas in, {secs} s", self.stanzas_in);
        } else {
            log::debug!("c{id} {} {how} before authentication, {secs} s", self.peer.address);
        }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    crate::xml::escape_attribute(text, &mut out);
    out
}

/// 128 bits as text.
fn token(random: &[u8; 32]) -> String {
    random.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what a function makes of such arguments, without calling it.
    fn size_of_output<A, B, C, F>(_: fn(A, B, C) -> F) -> usize {
        std::mem::size_of::<F>()
    }

    #[test]
    fn an_idle_connection_costs_little_of_our_own() {
        let future = size_of_output(|transport: Transport, permit: Permit, host: Arc<dyn Host>| {
            serve(transport, Start::StartTls, permit, ConnectionId(1), host)
        });
        assert!(future <= 1792, "the task of one connection takes {future} bytes");
    }
}
