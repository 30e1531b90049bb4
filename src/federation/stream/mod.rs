//! One stream with another server as a value: header, STARTTLS, EXTERNAL or dialback, then stanzas and acknowledgements.
//! RFC 6120 §4–6, RFC 7590, XEP-0178, XEP-0198, XEP-0220, XEP-0288.
//!
//! States: Plain -> Secured -> Authenticated -> Carrying; the first two and the last two each begin with new stream headers,
//! but for dialback, which authenticates in the midst of a stream. The edge tells ([`PeerStream::receive`], the answers,
//! [`PeerStream::handle_timeout`]) and asks ([`PeerStream::next_action`], [`PeerStream::deadline`]); while an answer is awaited
//! no further input is looked at.
//!
//! TLS is required, always. A certificate is judged when the peer has said who it is, not in the handshake: which key or name is
//! right depends on that. A stream carries stanzas from exactly the domain that was authenticated.
//!
//! Limits: bytes and levels of an element (fewer before authentication), attempts, and the time of negotiation.

mod action;
mod carrying;
mod initiating;
mod receiving;

pub use action::{Action, Established, PeerFault, PingNumber};

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Class, DialbackSecret, Pair, PeerEvidence, Policy, Verdict};
use crate::jid::{BareJid, Jid};
use crate::limits;
use crate::stanza::{StreamCondition, StreamError};
use crate::xml::{Element, Frame, Framer, FramerLimits, StreamHeader, escape_attribute, ns};

/// What is the same for all streams with peers.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// The domains that are served here; the first is the node's own.
    pub served: Vec<BareJid>,
    /// Whom we talk to, and what proves them.
    pub policy: Policy,
    /// What our dialback keys are made from.
    pub secret: DialbackSecret,
}

impl PeerConfig {
    pub(super) fn serves(&self, domain: &BareJid) -> bool {
        self.served.iter().any(|served| served.domainpart() == domain.domainpart())
    }
}

/// What a stream is dialled for.
#[derive(Clone, PartialEq, Eq)]
pub enum Errand {
    /// To carry stanzas.
    Carry,
    /// To ask whether a key that somebody gave us is the peer's. XEP-0220 §2.1.2.
    Verify {
        /// The stream that the key is for: one that we accepted and named.
        id: String,
        /// The key.
        key: String,
    },
}

impl fmt::Debug for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Errand::Carry => "Carry",
            Errand::Verify { .. } => "Verify",
        })
    }
}

/// One stream with another server.
pub struct PeerStream {
    config: Arc<PeerConfig>,
    role: Role,
    framer: Framer,
    stage: Stage,
    awaiting: Awaiting,
    queue: VecDeque<Action>,
    /// Our domain; of an accepted stream, once the peer has named it.
    own: Option<BareJid>,
    /// The peer's domain; of an accepted stream, once it has said so.
    peer: Option<BareJid>,
    /// What TLS has shown of the peer is worth this.
    verdict: Option<Verdict>,
    /// The name of the present stream: ours for an accepted one, the peer's for one that we dialled.
    id: String,
    /// Our header of the present stream was queued.
    header_sent: bool,
    /// Stanzas go both ways. XEP-0288.
    bidi: bool,
    /// Both sides count. XEP-0198.
    managed: bool,
    /// How we know the peer, once the stream carries stanzas.
    class: Option<Class>,
    /// What the peer offered before authentication, while it is told where we are.
    offered: Option<Element>,
    /// What is established once the peer has begun.
    held: Option<Established>,
    /// We have sent our closing tag and wait for the peer's.
    closing: bool,
    /// Nothing is read or said any more.
    closed: bool,
    /// The language of the peer's header, where stanzas must be told (RFC 6120 §8.1.5).
    lang: Option<Box<str>>,
    /// Failed authentications, and other things that are to be counted.
    attempts: u8,
    deadline: Option<Instant>,
    seed: Zeroizing<[u8; 32]>,
    ids_drawn: u64,
}

enum Role {
    /// We dialled; what we wait for on the present stream.
    Initiator(Errand, Expects),
    /// We accepted.
    Receiver,
}

/// What an initiator waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// The features behind a header.
    Features,
    /// `<proceed/>`.
    Proceed,
    /// `<reach/>`, the answer to ours.
    Reach,
    /// `<success/>`.
    Success,
    /// `<db:result/>`.
    DialbackResult,
    /// `<db:verify/>`.
    DialbackVerdict,
    /// `<enabled/>`.
    Enabled,
    /// Nothing in particular.
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Neither TLS nor authentication.
    Plain,
    /// TLS, not authenticated.
    Secured,
    /// Authenticated; the stream begins anew.
    Authenticated(Class),
    /// Stanzas may be sent.
    Carrying,
}

/// The answer the edge owes us.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Awaiting {
    Nothing,
    Tls,
    Judgement,
    Reach,
    KeyVerification(Pair),
}

impl PeerStream {
    /// A stream on a connection that we dialled; `secured` if TLS is there already (XEP-0368). `seed` comes from the system's
    /// random source and belongs to this stream alone.
    pub fn initiate(
        config: Arc<PeerConfig>,
        pair: Pair,
        errand: Errand,
        secured: bool,
        seed: [u8; 32],
        now: Instant,
    ) -> PeerStream {
        let role = Role::Initiator(errand, Expects::Features);
        let mut stream = PeerStream::new(config, role, secured, seed, now);
        (stream.own, stream.peer) = (Some(pair.own), Some(pair.peer));
        stream.send_header();
        stream
    }

    /// A stream on a connection that we accepted.
    pub fn accept(config: Arc<PeerConfig>, secured: bool, seed: [u8; 32], now: Instant) -> PeerStream {
        PeerStream::new(config, Role::Receiver, secured, seed, now)
    }

    fn new(config: Arc<PeerConfig>, role: Role, secured: bool, seed: [u8; 32], now: Instant) -> PeerStream {
        PeerStream {
            config,
            role,
            framer: Framer::new(STRANGER_LIMITS),
            stage: if secured { Stage::Secured } else { Stage::Plain },
            awaiting: Awaiting::Nothing,
            queue: VecDeque::new(),
            own: None,
            peer: None,
            verdict: None,
            id: String::new(),
            header_sent: false,
            bidi: false,
            managed: false,
            class: None,
            offered: None,
            held: None,
            closing: false,
            closed: false,
            lang: None,
            attempts: 0,
            deadline: now.checked_add(limits::S2S_NEGOTIATION_TIMEOUT),
            seed: Zeroizing::new(seed),
            ids_drawn: 0,
        }
    }

    /// Takes bytes from the peer. Ask [`PeerStream::next_action`] until it says `None` afterwards.
    pub fn receive(&mut self, bytes: &[u8]) {
        // RFC 6120 §5.4.3.3: what is said in the clear behind the agreement on TLS must not reach the secured stream.
        if !self.closed && self.awaiting != Awaiting::Tls {
            self.framer.push(bytes);
        }
    }

    /// What the edge has to do next; `None` when more bytes, an answer or the deadline must come first.
    pub fn next_action(&mut self) -> Option<Action> {
        loop {
            if let Some(action) = self.queue.pop_front() {
                return Some(action);
            }
            if self.closed || self.awaiting != Awaiting::Nothing {
                return None;
            }
            match self.framer.next_frame() {
                Ok(Some(Frame::Header(header))) => self.header(&header),
                Ok(Some(Frame::Element(element))) => self.element(element),
                Ok(Some(Frame::End)) => self.peer_ends(),
                Ok(None) => {
                    self.queue = VecDeque::new();
                    return None;
                }
                Err(error) => self.end(error.into()),
            }
        }
    }

    /// Bytes received and not yet used.
    pub fn pending_bytes(&self) -> usize {
        self.framer.pending_bytes()
    }

    /// The TLS handshake that [`Action::StartTls`] asked for is done. RFC 6120 §5.4.3.3: a new stream begins.
    pub fn tls_established(&mut self) {
        if self.closed || self.awaiting != Awaiting::Tls {
            return;
        }
        self.awaiting = Awaiting::Nothing;
        self.stage = Stage::Secured;
        self.header_sent = false;
        if let Role::Initiator(_, expects) = &mut self.role {
            *expects = Expects::Features;
            self.send_header();
        }
    }

    /// Answers [`Action::Judge`].
    pub fn judged(&mut self, evidence: &PeerEvidence) {
        if self.closed || self.awaiting != Awaiting::Judgement {
            return;
        }
        self.awaiting = Awaiting::Nothing;
        let verdict = self.config.policy.judge(evidence);
        self.verdict = Some(verdict);
        match (&self.role, verdict) {
            (Role::Receiver, _) => self.answer_header(),
            (Role::Initiator(Errand::Carry, _), Verdict::Refused(refusal)) => self.refuse(refusal),
            (Role::Initiator(..), _) => {}
        }
    }

    /// Answers [`Action::Reach`]: what the peer is answered, and what TLS has shown of it, to be judged again by what is known now.
    pub fn reach_taken(&mut self, answer: Option<&Element>, evidence: &PeerEvidence) {
        if self.closed || self.awaiting != Awaiting::Reach {
            return;
        }
        self.awaiting = Awaiting::Nothing;
        self.verdict = Some(self.config.policy.judge(evidence));
        match (&self.role, answer) {
            (Role::Receiver, Some(answer)) => self.send(answer),
            (Role::Receiver, None) => self.end_unsupported(),
            (Role::Initiator(..), _) => self.authenticate_introduced(),
        }
    }

    /// When [`PeerStream::handle_timeout`] is due; `None` while stanzas are carried, and after the end.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| !self.closed)
    }

    /// Ends the stream if its deadline has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        if self.closing {
            return self.close_now();
        }
        self.fail(PeerFault::TimedOut);
        // RFC 6120 §4.9.3.4.
        self.end_with(Some(StreamError::with_text(
            StreamCondition::ConnectionTimeout,
            "the stream was not established within the time allowed",
        )));
    }

    /// Ends the stream with an error; does nothing if it has ended already.
    pub fn close(&mut self, error: StreamError) {
        self.end_with(Some(error));
    }

    /// Ends the stream in order: our closing tag goes out, and the peer has so long for its own. RFC 6120 §4.4.
    pub fn finish(&mut self, now: Instant) {
        if self.closed || self.closing {
            return;
        }
        if !self.header_sent || self.awaiting == Awaiting::Tls {
            return self.close_now();
        }
        self.closing = true;
        self.deadline = now.checked_add(limits::CLOSE_TIMEOUT);
        self.queue.push_back(Action::Send(CLOSING_TAG.to_owned()));
    }

    /// Whom the stream connects, as far as that was said; it need not be proved yet.
    pub fn peer(&self) -> Option<&BareJid> {
        self.peer.as_ref()
    }

    fn pair(&self) -> Option<Pair> {
        Some(Pair { own: self.own.clone()?, peer: self.peer.clone()? })
    }

    fn header(&mut self, header: &StreamHeader) {
        if let Err(error) = check_root(header) {
            return self.end(error);
        }
        self.lang = header.root.lang().filter(|lang| lang_must_be_told(lang)).map(Box::from);
        match self.role {
            Role::Initiator(..) => self.header_of_receiver(header),
            Role::Receiver => self.header_of_initiator(header),
        }
    }

    fn element(&mut self, element: Element) {
        // RFC 6120 §4.9.1.1: an error ends the stream, whatever it is.
        if element.is("error", ns::STREAM) {
            let condition = stream_condition(&element);
            self.fail(PeerFault::StreamError(condition));
            return self.end_with(None);
        }
        match (&self.stage, &self.role) {
            (Stage::Carrying, _) => self.carry(element),
            (_, Role::Initiator(..)) => self.initiate_further(&element),
            (_, Role::Receiver) => self.receive_further(&element),
        }
    }

    /// Opens our stream. RFC 6120 §4.7; the prefix `db` says that we know dialback (XEP-0220 §2.3.1).
    fn send_header(&mut self) {
        let mut text = String::with_capacity(256);
        self.write_header(&mut text);
        self.queue.push_back(Action::Send(text));
    }

    fn write_header(&mut self, out: &mut String) {
        self.header_sent = true;
        out.push_str("<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='");
        out.push_str(ns::STREAM);
        if self.config.policy.dialback {
            out.push_str("' xmlns:db='");
            out.push_str(ns::DIALBACK);
        }
        let own = self.own.as_ref().or(self.config.served.first());
        for (name, domain) in [("from", own), ("to", self.peer.as_ref())] {
            if let Some(domain) = domain {
                out.push_str(&format!("' {name}='"));
                escape_attribute(domain.as_str(), out);
            }
        }
        if matches!(self.role, Role::Receiver) {
            self.id = self.draw();
            out.push_str("' id='");
            out.push_str(&self.id);
        }
        out.push_str("' version='1.0' xml:lang='en'>");
    }

    /// The peer is authenticated and no new header is due: stanzas go from now on.
    fn establish(&mut self, class: Class) {
        let Some(pair) = self.pair() else { return };
        self.stage = Stage::Carrying;
        self.class = Some(class);
        self.framer.set_limits(PEER_LIMITS);
        let dialled = matches!(self.role, Role::Initiator(..));
        let established = Established {
            pair,
            class,
            sends: dialled || self.bidi,
            receives: !dialled || self.bidi,
            managed: self.managed,
        };
        if !dialled && self.bidi && class != Class::Dialback {
            // Who dialled may still be asking for acknowledgements (XEP-0198 §3) and takes no stanza before the answer: it comes first.
            self.held = Some(established);
        } else {
            self.deadline = None;
            self.queue.push_back(Action::Established(established));
        }
    }

    /// The peer's first element after negotiation: from now on we send, too.
    pub(super) fn peer_has_begun(&mut self) {
        if let Some(established) = self.held.take() {
            self.deadline = None;
            self.queue.push_back(Action::Established(established));
        }
    }

    /// RFC 6120 §4.4.
    fn peer_ends(&mut self) {
        let answered = self.closing;
        if !answered {
            if self.stage != Stage::Carrying {
                self.queue.push_back(Action::Failed(PeerFault::Closed));
            }
            if self.header_sent {
                self.queue.push_back(Action::Send(CLOSING_TAG.to_owned()));
            }
        }
        self.queue.push_back(Action::Ended { answered });
        self.close_now();
    }

    fn close_now(&mut self) {
        self.closed = true;
        self.queue.push_back(Action::Close);
    }

    fn fail(&mut self, fault: PeerFault) {
        if !self.closed {
            self.queue.push_back(Action::Failed(fault));
        }
    }

    /// The peer broke a rule: it is told and the stream ends.
    fn end(&mut self, error: StreamError) {
        self.fail(PeerFault::Broken(error.condition));
        self.end_with(Some(error));
    }

    /// We do not talk to this peer, and say so. RFC 6120 §4.9.3.14.
    fn refuse(&mut self, refusal: super::Refusal) {
        self.fail(PeerFault::Refused(refusal));
        self.end_with(Some(StreamError::with_text(StreamCondition::PolicyViolation, refusal.to_string())));
    }

    fn end_with(&mut self, error: Option<StreamError>) {
        if self.closed {
            return;
        }
        // Between the agreement on TLS and the end of the handshake nothing can be said; behind our closing tag, nothing more.
        if self.awaiting != Awaiting::Tls && !self.closing {
            let mut text = String::new();
            if let Some(error) = error {
                // RFC 6120 §4.9.1.2: an error stands inside a stream, so one is opened for it.
                if !self.header_sent {
                    self.write_header(&mut text);
                }
                error.to_element().write(&mut text, ns::SERVER);
            }
            if self.header_sent {
                text.push_str(CLOSING_TAG);
                self.queue.push_back(Action::Send(text));
            }
        }
        self.awaiting = Awaiting::Nothing;
        self.close_now();
    }

    /// RFC 6120 §4.9.3.24.
    fn end_unsupported(&mut self) {
        self.end(StreamError::new(StreamCondition::UnsupportedStanzaType));
    }

    fn send(&mut self, element: &Element) {
        self.queue.push_back(Action::Send(element.to_text(ns::SERVER)));
    }

    /// 128 bits in hexadecimal digits that nobody else can guess (RFC 6120 §4.7.3), other ones at each call.
    fn draw(&mut self) -> String {
        self.ids_drawn = self.ids_drawn.wrapping_add(1);
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(self.seed.as_slice()) else { return String::new() };
        let drawn = mac.chain_update(self.ids_drawn.to_be_bytes()).finalize().into_bytes();
        drawn.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A domain in an attribute; nothing else than a domain will do.
fn domain_in(element: &Element, attribute: &str) -> Option<BareJid> {
    match element.attribute(attribute)?.parse::<Jid>() {
        Ok(Jid::Bare(domain)) if domain.localpart().is_none() => Some(domain),
        _ => None,
    }
}

fn check_root(header: &StreamHeader) -> Result<(), StreamError> {
    let root = &header.root;
    // RFC 6120 §4.9.3.10.
    if root.namespace() != ns::STREAM {
        let text = "the root element is not in the stream namespace";
        return Err(StreamError::with_text(StreamCondition::InvalidNamespace, text));
    }
    // RFC 6120 §4.9.3.1.
    if root.name() != "stream" {
        return Err(StreamError::with_text(StreamCondition::BadFormat, "the root element is not <stream/>"));
    }
    // RFC 6120 §4.8.2: the content namespace between servers.
    if header.content_namespace() != ns::SERVER {
        let text = "the default namespace is not jabber:server";
        return Err(StreamError::with_text(StreamCondition::InvalidNamespace, text));
    }
    // RFC 6120 §4.7.5: what has no version knows no features, hence no TLS.
    if root.attribute("version").is_none_or(|version| version.starts_with("0.") || version.is_empty()) {
        return Err(StreamError::with_text(StreamCondition::UnsupportedVersion, "XMPP 1.0 or later is wanted"));
    }
    Ok(())
}

/// RFC 6120 §4.9.2: the condition of a stream error.
fn stream_condition(error: &Element) -> StreamCondition {
    let name = error.children().find(|child| child.namespace() == ns::STREAM_ERRORS && child.name() != "text");
    let known = |condition: &&StreamCondition| name.is_some_and(|name| name.name() == condition.as_str());
    StreamCondition::ALL.iter().find(known).copied().unwrap_or(StreamCondition::UndefinedCondition)
}

/// RFC 6120 §8.1.5, as on a client's stream.
fn lang_must_be_told(lang: &str) -> bool {
    let tag = !lang.is_empty() && lang.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    tag && lang.len() <= LANG_BYTES_MAX && !lang.eq_ignore_ascii_case("en")
}

const CLOSING_TAG: &str = "</stream:stream>";
/// RFC 5646 §4.4.1.
const LANG_BYTES_MAX: usize = 35;

const STRANGER_LIMITS: FramerLimits =
    FramerLimits { element_bytes_max: limits::STRANGER_ELEMENT_BYTES_MAX, depth_max: limits::STANZA_DEPTH_MAX };

const PEER_LIMITS: FramerLimits =
    FramerLimits { element_bytes_max: limits::S2S_STANZA_BYTES_MAX, depth_max: limits::STANZA_DEPTH_MAX };
