//! One client's stream as a value: header, features, STARTTLS, SASL, registration before login, resource binding, close.
//! RFC 6120 §4–7, RFC 5802, RFC 7677, XEP-0198, XEP-0440; in one round trip by XEP-0388, XEP-0386 and XEP-0484.
//!
//! States: Plain -> Secured -> Authenticated -> Bound, each after the first beginning with a new stream header. A stream
//! that begins inside TLS starts Secured. With SASL2 the last two need no header, and are reached together ([`sign_on`]). The edge tells ([`Stream::receive`], the answers, [`Stream::handle_timeout`]) and
//! asks ([`Stream::next_action`], [`Stream::deadline`]). While an answer is awaited no further input is looked at, so
//! everything happens in the order in which the client sent it.
//!
//! Limits: bytes and levels of an element (fewer before authentication), authentication attempts, registration requests, and
//! the time until a resource is bound, all from [`crate::limits`]. Knows no socket, clock, randomness, password or store.

mod action;
mod binding;
mod header;
mod keys;
mod negotiation;
mod sasl;
mod scram;
mod sign_on;
#[cfg(test)]
mod tests;
mod token;

pub use action::{Action, Bound, Management, ResumeRefused, Resumed, SessionWishes};
pub use keys::{DEFAULT_ITERATIONS, Keys, PASSWORD_BYTES_MAX, Password, PasswordError, SALT_BYTES, ScramKeys};
pub use token::{
    ClientId, HashedToken, IssuedToken, Judged, Keep, Serial, TokenProof, TokenRecord, TokenSlots, TokenVerdict,
    token_text,
};

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use zeroize::Zeroizing;

use crate::jid::{BareJid, FullJid};
use crate::limits;
use crate::stanza::{SaslFailure, Stanza, StanzaError, StreamCondition, StreamError};
use crate::xml::{Element, Frame, Framer, FramerLimits, ns};

use keys::hmac_sha256;
use sasl::{Exchange, PendingScram};
use sign_on::SignOn;

/// What is the same for all client streams of a node.
#[derive(Clone)]
pub struct StreamConfig {
    /// The domain we serve, which clients name in the header's `to`.
    pub domain: BareJid,
    /// Whether strangers may register (`jabber:iq:register`); if not, the feature is not offered either.
    pub registration: bool,
    /// What a session can begin with, as feature names (XEP-0386 §3.1).
    pub inline: &'static [&'static str],
    /// Random and always the same: clients' resources are made with it (XEP-0386 §3.2.1).
    pub resource_secret: [u8; 32],
    /// The node's own capabilities element (XEP-0115), offered to clients that have authenticated.
    pub caps: Option<Element>,
}

impl fmt::Debug for StreamConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamConfig").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// What kind of certificate the client presented in the TLS handshake. The edge keeps the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// None.
    None,
    /// One without an OpenPGP key in it.
    Other,
    /// A Kontalk bridge certificate. Its owner has no password, so only `EXTERNAL` is offered.
    Bridge,
}

/// What TLS knows of the connection. Its Debug shows no keying material.
#[derive(Clone)]
pub struct TlsFacts {
    /// The channel binding `tls-exporter` (RFC 9266), known with TLS 1.3 only.
    pub exporter: Option<[u8; 32]>,
    /// The channel binding `tls-server-end-point` (RFC 5929 §4): the hash of our certificate.
    pub server_end_point: Option<Vec<u8>>,
    /// The client's certificate.
    pub client_certificate: ClientCertificate,
    /// The version's number in TLS itself (RFC 8446 §4.1.2): 0x0304 for 1.3.
    pub version: u16,
}

impl fmt::Debug for TlsFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFacts").field("client_certificate", &self.client_certificate).finish_non_exhaustive()
    }
}

/// How the connection begins.
#[derive(Clone, Debug)]
pub enum Security {
    /// Without TLS: STARTTLS is required before anything else.
    Plain,
    /// TLS from the first byte (XEP-0368).
    Tls(TlsFacts),
}

/// The negotiation core of one client stream.
pub struct Stream {
    config: Arc<StreamConfig>,
    framer: Framer,
    stage: Stage,
    awaiting: Awaiting,
    exchange: Exchange,
    /// Authentication by SASL2 and what belongs to it, while it lasts.
    sign_on: Option<Box<SignOn>>,
    /// Whom the client's header names, until it has authenticated.
    from: Option<Box<BareJid>>,
    queue: VecDeque<Action>,
    /// Our header of the present stream was queued.
    header_sent: bool,
    /// Nothing is read or said any more.
    closed: bool,
    /// The language of the client's header, where stanzas must be told (RFC 6120 §8.1.5).
    lang: Option<Box<str>>,
    sasl_failures: u8,
    registration_requests: u8,
    deadline: Instant,
    seed: Zeroizing<[u8; 32]>,
    ids_drawn: u64,
}

/// How far the client has come, with what is needed from there on.
enum Stage {
    /// Neither TLS nor authentication.
    Plain,
    /// TLS, not authenticated.
    Secured(Box<TlsFacts>),
    /// Authenticated, without a resource.
    Authenticated(BareJid),
    /// A connected resource.
    Bound(FullJid),
}

/// The answer the edge owes us.
enum Awaiting {
    Nothing,
    Tls,
    ScramKeys(Box<PendingScram>),
    /// Whether PLAIN or EXTERNAL is right; the account is named in what the edge is told of a failure.
    Verdict(Option<BareJid>),
    Registration,
    /// Whether the token of this account is right; without account, a new token.
    Token(Option<Box<BareJid>>),
    /// To the bind request of this id, or to an inline one.
    Binding(Option<Box<str>>),
    /// By this token.
    Resumption(Box<str>),
}

impl Stream {
    /// A stream on which nothing was said yet. `seed` comes from the operating system's random source and belongs to this
    /// stream alone: stream ids and SCRAM nonces are made from it.
    pub fn new(config: Arc<StreamConfig>, security: Security, seed: [u8; 32], now: Instant) -> Stream {
        Stream {
            config,
            framer: Framer::new(STRANGER_LIMITS),
            stage: match security {
                Security::Plain => Stage::Plain,
                Security::Tls(facts) => Stage::Secured(Box::new(facts)),
            },
            awaiting: Awaiting::Nothing,
            exchange: Exchange::None,
            sign_on: None,
            from: None,
            queue: VecDeque::new(),
            header_sent: false,
            closed: false,
            lang: None,
            sasl_failures: 0,
            registration_requests: 0,
            deadline: now.checked_add(limits::NEGOTIATION_TIMEOUT).unwrap_or(now),
            seed: Zeroizing::new(seed),
            ids_drawn: 0,
        }
    }

    /// Takes bytes from the client. Ask [`Stream::next_action`] until it says `None` afterwards. While an answer is awaited
    /// the bytes pile up unread: do not read the socket when [`Stream::pending_bytes`] is above a limit of your choice.
    pub fn receive(&mut self, bytes: &[u8]) {
        // RFC 6120 §5.4.3.3: what a client says in the clear behind <starttls/> must not reach the secured stream.
        if !self.closed && !matches!(self.awaiting, Awaiting::Tls) {
            self.framer.push(bytes);
        }
    }

    /// What the edge has to do next; `None` when more bytes, an answer or the deadline must come first.
    pub fn next_action(&mut self) -> Option<Action> {
        loop {
            if let Some(action) = self.queue.pop_front() {
                return Some(action);
            }
            if self.closed || !matches!(self.awaiting, Awaiting::Nothing) {
                return None;
            }
            match self.framer.next_frame() {
                Ok(Some(Frame::Header(header))) => self.header(&header),
                Ok(Some(Frame::Element(element))) => self.element(element),
                Ok(Some(Frame::End)) => self.client_ends(),
                Ok(None) => {
                    // An idle stream holds no queue.
                    self.queue = VecDeque::new();
                    return None;
                }
                Err(error) => self.end(Some(error.into())),
            }
        }
    }

    /// Bytes received and not yet used.
    pub fn pending_bytes(&self) -> usize {
        self.framer.pending_bytes()
    }

    /// The TLS handshake that [`Action::StartTls`] asked for is done. RFC 6120 §5.4.3.3: a new stream begins.
    pub fn tls_established(&mut self, facts: TlsFacts) {
        if self.closed || !matches!(self.awaiting, Awaiting::Tls) {
            return;
        }
        self.awaiting = Awaiting::Nothing;
        self.stage = Stage::Secured(Box::new(facts));
        self.header_sent = false;
    }

    /// Answers [`Action::FetchScramKeys`]. For an account that does not exist or has no password the keys are
    /// [`ScramKeys::fake`], so that a stranger learns nothing; an error stands for temporary faults alone.
    pub fn scram_keys(&mut self, answer: Result<ScramKeys, SaslFailure>) {
        if !self.closed {
            self.continue_scram(answer);
        }
    }

    /// Answers [`Action::VerifyPlain`] and [`Action::VerifyExternal`]: the account to act as, or why not. Kontalk clients
    /// make the user register anew upon `not-authorized` and `invalid-authzid`: internal faults are
    /// `temporary-auth-failure`.
    pub fn authenticated(&mut self, answer: Result<BareJid, SaslFailure>) {
        if self.closed {
            return;
        }
        let Awaiting::Verdict(account) = &mut self.awaiting else { return };
        let account = account.take();
        self.awaiting = Awaiting::Nothing;
        match answer {
            Ok(account) => self.sasl_succeeded(account, None),
            Err(failure) => self.sasl_failed(account, &failure),
        }
    }

    /// Answers [`Action::Register`] with the iq to send.
    pub fn registration_reply(&mut self, reply: Stanza) {
        if !self.closed && matches!(self.awaiting, Awaiting::Registration) {
            self.awaiting = Awaiting::Nothing;
            self.queue.push_back(Action::Send(reply.to_text()));
        }
    }

    /// Answers [`Action::Bind`]: the full JID of the connected resource, or why there is none; then the client may try again.
    pub fn bound(&mut self, answer: Result<Bound, StanzaError>) {
        if self.closed {
            return;
        }
        let Awaiting::Binding(id) = &mut self.awaiting else { return };
        let id = id.take();
        self.awaiting = Awaiting::Nothing;
        match id {
            Some(id) => self.answer_binding(&id, answer),
            None => self.inline_bound(answer),
        }
    }

    /// Answers [`Action::Resume`]. After success the stream is bound and the client is told so; whoever keeps the session sends
    /// behind it what was lost.
    pub fn resumed(&mut self, answer: Result<Resumed, ResumeRefused>) {
        let (false, Awaiting::Resumption(token)) = (self.closed, &mut self.awaiting) else { return };
        let token = std::mem::take(token);
        self.awaiting = Awaiting::Nothing;
        match &self.stage {
            Stage::Authenticated(account) if self.sign_on.is_some() => {
                let account = account.clone();
                self.inline_resumed(account, answer, &token);
            }
            _ => self.answer_resumption(&token, answer),
        }
    }

    /// When [`Stream::handle_timeout`] is due; `None` once a resource is bound, and after the end.
    pub fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Bound(_) => None,
            _ if self.closed => None,
            _ => Some(self.deadline),
        }
    }

    /// Ends the stream with `connection-timeout` if its deadline has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            // RFC 6120 §4.9.3.4.
            self.end(Some(StreamError::with_text(
                StreamCondition::ConnectionTimeout,
                "no resource was bound within the time allowed",
            )));
        }
    }

    /// Ends the stream from our side, with an error to tell the client if there is one (`system-shutdown`, `conflict`, …).
    /// Queues what is to be sent and [`Action::Close`]; does nothing if the stream has ended already.
    pub fn close(&mut self, error: Option<StreamError>) {
        self.end(error);
    }

    /// The account, once authenticated.
    pub fn authenticated_as(&self) -> Option<&BareJid> {
        match &self.stage {
            Stage::Authenticated(account) => Some(account),
            Stage::Bound(full) => Some(full.bare()),
            Stage::Plain | Stage::Secured(_) => None,
        }
    }

    /// The connected resource, once bound or resumed.
    pub fn full_jid(&self) -> Option<&FullJid> {
        match &self.stage {
            Stage::Bound(full) => Some(full),
            _ => None,
        }
    }

    fn element(&mut self, element: Element) {
        match &self.stage {
            Stage::Plain => self.before_tls(&element),
            Stage::Secured(_) => self.before_authentication(element),
            Stage::Authenticated(account) => {
                let account = account.clone();
                self.before_binding(account, element);
            }
            Stage::Bound(full) => {
                let full = full.clone();
                self.while_bound(full, element);
            }
        }
    }

    /// RFC 6120 §4.4: the other side's closing tag is answered with ours.
    fn client_ends(&mut self) {
        self.queue.push_back(Action::Send(CLOSING_TAG.to_owned()));
        self.queue.push_back(Action::StreamEnded);
        self.queue.push_back(Action::Close);
        self.closed = true;
    }

    fn end(&mut self, error: Option<StreamError>) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.exchange = Exchange::None;
        self.sign_on = None;
        // Between <proceed/> and the end of the handshake nothing can be said.
        if !matches!(self.awaiting, Awaiting::Tls) {
            let mut text = String::new();
            if let Some(error) = error {
                // RFC 6120 §4.9.1.2: an error stands inside a stream, so one is opened for it.
                if !self.header_sent {
                    self.write_header(None, &mut text);
                }
                error.to_element().write(&mut text, ns::CLIENT);
            }
            if self.header_sent {
                text.push_str(CLOSING_TAG);
                self.queue.push_back(Action::Send(text));
            }
        }
        self.queue.push_back(Action::Close);
        self.awaiting = Awaiting::Nothing;
    }

    fn send(&mut self, element: &Element) {
        self.queue.push_back(Action::Send(element.to_text(ns::CLIENT)));
    }

    /// 32 bytes that nobody else can guess, other ones at each call.
    fn draw(&mut self) -> [u8; 32] {
        self.ids_drawn = self.ids_drawn.wrapping_add(1);
        hmac_sha256(self.seed.as_slice(), &[&self.ids_drawn.to_be_bytes()])
    }
}

const CLOSING_TAG: &str = "</stream:stream>";

const STRANGER_LIMITS: FramerLimits =
    FramerLimits { element_bytes_max: limits::STRANGER_ELEMENT_BYTES_MAX, depth_max: limits::STANZA_DEPTH_MAX };

const CLIENT_LIMITS: FramerLimits =
    FramerLimits { element_bytes_max: limits::STANZA_BYTES_MAX, depth_max: limits::STANZA_DEPTH_MAX };
