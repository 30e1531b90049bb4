//! What a stream asks of its edge.

use std::fmt;

use super::Password;
use super::binding::failed;
use super::token::{ClientId, HashedToken, TokenProof};
use crate::jid::{BareJid, FullJid};
use crate::stanza::{Stanza, StanzaCondition};
use crate::xml::{Element, ns};

/// One thing for the edge to do, in this order. Those that say so are answered; until then the stream stands still.
///
/// Debug names the kind alone: stanzas, tokens and passwords are not printed.
pub enum Action {
    /// Write this text.
    Send(String),
    /// `<proceed/>` was sent: flush, do the TLS handshake, answer with [`tls_established`](super::Stream::tls_established).
    StartTls,
    /// Answer with [`scram_keys`](super::Stream::scram_keys).
    FetchScramKeys {
        /// Whose.
        account: BareJid,
    },
    /// Credentials were refused, for throttling. The refusal was sent already.
    SaslAttemptFailed {
        /// The account that was tried, where the client named one.
        account: Option<BareJid>,
    },
    /// Check the password, for instance with [`verify_password`](super::ScramKeys::verify_password), and answer with
    /// [`authenticated`](super::Stream::authenticated).
    VerifyPlain {
        /// Whose.
        account: BareJid,
        /// As the client sent it.
        password: Password,
    },
    /// Check the client's certificate, which may be missing, and answer with
    /// [`authenticated`](super::Stream::authenticated).
    VerifyExternal {
        /// Whom the client wants to act as, if it says so.
        authzid: Option<BareJid>,
    },
    /// A `jabber:iq:register` get or set of somebody not authenticated, addressed to the node, without `from`. Answer with
    /// [`registration_reply`](super::Stream::registration_reply).
    Register(Stanza),
    /// Make a connected resource and answer with [`bound`](super::Stream::bound).
    Bind {
        /// Whose.
        account: BareJid,
        /// The resourcepart wished for, prepared; `None` leaves it to the server.
        resource: Option<String>,
        /// What the session begins with.
        wishes: SessionWishes,
    },
    /// Does the client have a token? Answer with [`token_verified`](super::Stream::token_verified). XEP-0484 §3.4.
    VerifyToken(Box<TokenProof>),
    /// Give the client a token, and answer with [`token_issued`](super::Stream::token_issued). XEP-0484 §3.3.
    IssueToken {
        /// Who has authenticated.
        account: BareJid,
        /// With which client.
        client: ClientId,
        /// What it will use the token with.
        mechanism: HashedToken,
    },
    /// Find the session and answer with [`resumed`](super::Stream::resumed). XEP-0198 §5.
    Resume {
        /// Who asks; the session must be this account's.
        account: BareJid,
        /// `previd`, what the server gave out as `id` in `<enabled/>`.
        token: String,
        /// How many stanzas the client has handled.
        h: u32,
    },
    /// Switch stream management on, or refuse; whoever keeps the session answers in its order. XEP-0198 §3.
    EnableSm(Management),
    /// `<r/>`: tell the client what was handled.
    AckRequest,
    /// `<a/>`: the client has handled this many stanzas, modulo 2^32.
    Ack {
        /// The count.
        h: u32,
    },
    /// XEP-0352: the user looks at the client, or does not.
    Csi {
        /// Looks.
        active: bool,
    },
    /// A stanza of the bound client, to be routed; `from` is its full JID.
    Stanza(Stanza),
    /// A stanza of the bound client that needs no routing. Count it as handled (XEP-0198 §4), and send the reply, if there
    /// is one, in the order of the session and counted as any stanza.
    Answered(Option<Stanza>),
    /// The client closed its stream in order, and our closing tag was sent. `Close` follows.
    StreamEnded,
    /// Close the connection after what was sent is flushed. Nothing follows.
    Close,
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Send(_) => "Send",
            Action::StartTls => "StartTls",
            Action::FetchScramKeys { .. } => "FetchScramKeys",
            Action::SaslAttemptFailed { .. } => "SaslAttemptFailed",
            Action::VerifyPlain { .. } => "VerifyPlain",
            Action::VerifyExternal { .. } => "VerifyExternal",
            Action::Register(_) => "Register",
            Action::Bind { .. } => "Bind",
            Action::VerifyToken(_) => "VerifyToken",
            Action::IssueToken { .. } => "IssueToken",
            Action::Resume { .. } => "Resume",
            Action::EnableSm(_) => "EnableSm",
            Action::AckRequest => "AckRequest",
            Action::Ack { .. } => "Ack",
            Action::Csi { .. } => "Csi",
            Action::Stanza(_) => "Stanza",
            Action::Answered(_) => "Answered",
            Action::StreamEnded => "StreamEnded",
            Action::Close => "Close",
        })
    }
}

/// How a client wants its stream managed. XEP-0198 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Management {
    /// It wants to be able to resume.
    pub resume: bool,
    /// For how long at most it wants the session kept, in seconds.
    pub max_secs: Option<u32>,
}

/// What a session begins with, before anything can reach it. XEP-0386 §3.2. Binding by RFC 6120 wishes for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionWishes {
    /// Stream management; the answer is among [`Bound::inline`].
    pub management: Option<Management>,
    /// Message carbons. XEP-0280.
    pub carbons: bool,
    /// The user does not look at the client. XEP-0352.
    pub inactive: bool,
}

/// A connected resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Its address.
    pub jid: FullJid,
    /// What the client is told of its wishes, such as `<enabled/>`; of use with inline binding alone.
    pub inline: Vec<Element>,
}

/// A session goes on. XEP-0198 §5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Its address.
    pub jid: FullJid,
    /// How many of the client's stanzas were handled.
    pub h: u32,
}

impl Resumed {
    pub(super) fn to_element(&self, token: &str) -> Element {
        Element::new("resumed", ns::SM).with("h", self.h.to_string()).with("previd", token)
    }
}

/// There is no session to resume. XEP-0198 §5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeRefused {
    /// How many of the old session's stanzas were handled, where that is still known: the client need not send them again.
    pub h: Option<u32>,
}

impl ResumeRefused {
    pub(super) fn to_element(self) -> Element {
        let mut failed = failed(StanzaCondition::ItemNotFound);
        if let Some(h) = self.h {
            failed.set_attribute("h", h.to_string());
        }
        failed
    }
}
