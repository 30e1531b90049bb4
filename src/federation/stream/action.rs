//! What a peer's stream asks of its edge.

use std::fmt;

use crate::federation::{Class, Pair, PkixFault, Refusal};
use crate::jid::BareJid;
use crate::router::LinkId;
use crate::stanza::{SaslCondition, Stanza, StreamCondition};
use crate::xml::Element;

/// One thing for the edge to do, in this order. Those that say so are answered; until then the stream stands still.
///
/// Debug names the kind alone: stanzas and keys are not printed.
pub enum Action {
    /// Write this text.
    Send(String),
    /// Flush, do the TLS handshake (as the side that dialled or accepted), answer with
    /// [`tls_established`](super::PeerStream::tls_established).
    StartTls,
    /// What has TLS shown of this domain? Answer with [`judged`](super::PeerStream::judged).
    Judge(BareJid),
    /// A node that says it is this domain shows where it is, before authentication. Answer with
    /// [`reach_taken`](super::PeerStream::reach_taken).
    Reach {
        /// The domain, not proved yet.
        domain: BareJid,
        /// What it shows.
        shown: Element,
    },
    /// Ask the peer's authoritative server whether this is its key, and answer with
    /// [`key_verified`](super::PeerStream::key_verified). XEP-0220 §2.1.2.
    VerifyKey {
        /// Who asks and who is asked.
        pair: Pair,
        /// The stream that the key is for.
        id: String,
        /// The key.
        key: String,
    },
    /// The answer to [`Errand::Verify`](super::Errand). `Close` follows.
    KeyJudged(bool),
    /// The stream carries stanzas from now on.
    Established(Established),
    /// The peer counts what it sends from now on, and wants it acknowledged. XEP-0198 §3.
    Managed,
    /// `<r/>`: tell the peer what was handled. XEP-0198 §4.
    AckRequest,
    /// `<a/>`: the peer has handled this many stanzas, modulo 2^32. XEP-0198 §4.
    Ack {
        /// The count.
        h: u32,
    },
    /// A ping of ours was answered; the answer counts as a received stanza.
    Pong(PingNumber),
    /// A stanza of the peer, from its domain to ours, in the namespace of clients.
    Stanza(Stanza),
    /// A stanza that cannot be handled: it counts as received, and this goes back if it may.
    Returned(Option<Stanza>),
    /// Negotiation failed, or the stream broke a rule. `Close` follows.
    Failed(PeerFault),
    /// The peer closed its stream in order. `Close` follows.
    Ended {
        /// It answered our own closing tag: all that was sent before has reached it. RFC 6120 §4.4.
        answered: bool,
    },
    /// Close the connection after what was sent is flushed. Nothing follows.
    Close,
}

/// What an established stream is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Established {
    /// Whom it connects.
    pub pair: Pair,
    /// How we know the peer.
    pub class: Class,
    /// We may send on it.
    pub sends: bool,
    /// The peer may send on it.
    pub receives: bool,
    /// Both count what they send (XEP-0198). An accepted stream may become so later: [`Action::Managed`].
    pub managed: bool,
}

/// Names a ping of ours: the stream it is to confirm, and how many stanzas were sent on it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingNumber {
    /// The stream.
    pub link: LinkId,
    /// Stanzas before the ping.
    pub sent: u64,
}

impl PingNumber {
    /// The iq's id.
    pub fn id(self) -> String {
        format!("{PING_ID}-{}-{}", self.link.0, self.sent)
    }

    /// Back from the id.
    pub fn from_id(id: &str) -> Option<PingNumber> {
        let (link, sent) = id.strip_prefix(PING_ID)?.strip_prefix('-')?.split_once('-')?;
        Some(PingNumber { link: LinkId(link.parse().ok()?), sent: sent.parse().ok()? })
    }
}

/// Why a stream was not established, or ended otherwise than in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerFault {
    /// The peer offers no TLS. RFC 7590.
    NoTls,
    /// It refused to begin TLS.
    TlsRefused,
    /// We do not want it.
    Refused(Refusal),
    /// It offers no way to authenticate that we have.
    NoMechanism,
    /// It does not believe our certificate.
    NotBelieved(SaslCondition),
    /// It says that our dialback key is none, or that it cannot tell.
    KeyRefused,
    /// It took too long.
    TimedOut,
    /// It ended the stream with this error.
    StreamError(StreamCondition),
    /// It broke the protocol, and was told this.
    Broken(StreamCondition),
    /// It closed the stream before it was established.
    Closed,
}

impl fmt::Display for PeerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerFault::NoTls => f.write_str("it offers no TLS"),
            PeerFault::TlsRefused => f.write_str("it refuses TLS"),
            PeerFault::Refused(refusal) => refusal.fmt(f),
            PeerFault::NoMechanism => f.write_str("it offers no way to authenticate that is allowed here"),
            PeerFault::NotBelieved(condition) => {
                write!(f, "it does not believe our certificate ({})", condition.as_str())
            }
            PeerFault::KeyRefused => f.write_str("dialback did not prove us to it"),
            PeerFault::TimedOut => f.write_str("it does not answer in time"),
            PeerFault::StreamError(condition) => write!(f, "it ended the stream: {}", condition.as_str()),
            PeerFault::Broken(condition) => write!(f, "it broke the protocol: {}", condition.as_str()),
            PeerFault::Closed => f.write_str("it closed the stream before it was established"),
        }
    }
}

impl From<PkixFault> for PeerFault {
    fn from(fault: PkixFault) -> PeerFault {
        PeerFault::Refused(Refusal::Unproved(fault))
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Send(_) => "Send",
            Action::StartTls => "StartTls",
            Action::Judge(_) => "Judge",
            Action::Reach { .. } => "Reach",
            Action::VerifyKey { .. } => "VerifyKey",
            Action::KeyJudged(_) => "KeyJudged",
            Action::Established(_) => "Established",
            Action::Managed => "Managed",
            Action::AckRequest => "AckRequest",
            Action::Ack { .. } => "Ack",
            Action::Pong(_) => "Pong",
            Action::Stanza(_) => "Stanza",
            Action::Returned(_) => "Returned",
            Action::Failed(_) => "Failed",
            Action::Ended { .. } => "Ended",
            Action::Close => "Close",
        })
    }
}

/// What the ids of our pings begin with.
const PING_ID: &str = "alive";
