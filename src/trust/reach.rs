//! The reach: how a node is reached and what it shows in TLS, signed by the vote key of its card. Only the newest counts.

use std::fmt;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::card::{Card, CardError, CardId, Lines, bytes32};
use super::domain::NodeDomain;
use super::key::Signer;
use super::label::is_sound_point;
use super::note::{Note, NoteError};
use crate::stanza::Timestamp;

/// What a node says of where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The card whose vote key signs this.
    pub card: CardId,
    /// Grows with each new reach; from 1.
    pub seq: u64,
    /// SHA-256 of the SubjectPublicKeyInfo of each TLS key it may show; 1 to [`TLS_MAX`].
    pub tls: Vec<[u8; 32]>,
    /// Its key for contact discovery; a point of ristretto255.
    pub disco: Option<[u8; 32]>,
    /// Where other servers connect; up to [`S2S_MAX`].
    pub s2s: Vec<Endpoint>,
    /// Where its pages are; up to [`HTTP_MAX`].
    pub http: Vec<String>,
}

/// An address that a server connects to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// An IP address and a port.
    Socket(SocketAddr),
    /// A host name, or an onion service's, and a port.
    Name(NodeDomain, u16),
}

/// A reach with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReach {
    reach: Reach,
    note: Note,
}

/// Why bytes are no reach, or not one to believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReachRefusal {
    /// No signed note at all.
    Note(NoteError),
    /// Not the one text of a reach.
    Text(CardError),
    /// It belongs to another card than the pinned one.
    OtherCard,
    /// The card's vote key did not sign it.
    NotSigned,
    /// Its number is not higher than that of the one we have.
    NotNewer {
        /// The number of the one we have.
        held: u64,
    },
}

impl Endpoint {
    /// Reads `HOST:PORT` in exactly the form that is printed.
    pub fn parse(text: &str) -> Option<Endpoint> {
        let read = match text.parse() {
            Ok(socket) => Endpoint::Socket(socket),
            Err(_) => {
                let (host, port) = text.rsplit_once(':')?;
                Endpoint::Name(NodeDomain::parse(host).ok()?, port.parse().ok()?)
            }
        };
        let port = match &read {
            Endpoint::Socket(socket) => socket.port(),
            Endpoint::Name(_, port) => *port,
        };
        (port != 0 && read.to_string() == text).then_some(read)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Socket(socket) => socket.fmt(f),
            Endpoint::Name(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

impl Reach {
    /// Reads exactly the text that [`Reach::to_text`] writes.
    pub fn parse(text: &str) -> Result<Reach, CardError> {
        let mut lines = Lines(text);
        lines.head(HEAD)?;
        let card = lines.value("card").ok_or(CardError::Line("card"))?.parse()?;
        let seq = lines.value("seq").and_then(|v| v.parse().ok()).filter(|seq| *seq > 0);
        let seq = seq.ok_or(CardError::Line("seq"))?;
        let hash = |value: &str| value.strip_prefix("sha256:").and_then(bytes32);
        let tls = several(&mut lines, "tls", 1..=TLS_MAX, hash)?;
        let point = |value: &str| value.strip_prefix("ristretto255 ").and_then(bytes32).filter(is_sound_point);
        let disco = several(&mut lines, "disco", 0..=1, point)?.pop();
        let s2s = several(&mut lines, "s2s", 0..=S2S_MAX, Endpoint::parse)?;
        let http = several(&mut lines, "http", 0..=HTTP_MAX, |v| is_http(v).then(|| v.to_owned()))?;
        let reach = Reach { card, seq, tls, disco, s2s, http };
        if reach.to_text() == text { Ok(reach) } else { Err(CardError::NotCanonical) }
    }

    /// The one text of this reach.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD}\ncard {}\nseq {}\n", self.card, self.seq);
        let mut line = |key: &str, value: &dyn fmt::Display| text.push_str(&format!("{key} {value}\n"));
        for hash in &self.tls {
            line("tls", &format_args!("sha256:{}", STANDARD.encode(hash)));
        }
        if let Some(disco) = &self.disco {
            line("disco", &format_args!("ristretto255 {}", STANDARD.encode(disco)));
        }
        for endpoint in &self.s2s {
            line("s2s", endpoint);
        }
        for url in &self.http {
            line("http", url);
        }
        text
    }

    /// Does it say the same but for its number?
    pub fn says_what(&self, other: &Reach) -> bool {
        Reach { seq: other.seq, ..self.clone() } == *other
    }
}

impl SignedReach {
    /// Signs it with the vote key.
    pub fn make(reach: Reach, vote: &Signer, now: Timestamp) -> SignedReach {
        let note = Note::new(reach.to_text()).signed(vote, now);
        SignedReach { reach, note }
    }

    /// Reads one that may be believed: signed by the vote key of the pinned card, and newer than the one of number `held`.
    pub fn accept(bytes: &[u8], card: &Card, held: Option<u64>) -> Result<SignedReach, ReachRefusal> {
        let signed = SignedReach::parse(bytes)?;
        if signed.reach.card != card.id() {
            return Err(ReachRefusal::OtherCard);
        }
        if !signed.note.is_signed_by(&card.vote) {
            return Err(ReachRefusal::NotSigned);
        }
        match held {
            Some(held) if signed.reach.seq <= held => Err(ReachRefusal::NotNewer { held }),
            _ => Ok(signed),
        }
    }

    /// Reads one, whoever signed it.
    pub fn parse(bytes: &[u8]) -> Result<SignedReach, ReachRefusal> {
        let note = Note::parse(bytes).map_err(ReachRefusal::Note)?;
        let reach = Reach::parse(note.text()).map_err(ReachRefusal::Text)?;
        Ok(SignedReach { reach, note })
    }

    /// What is signed.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Reach and signature as one file.
    pub fn to_text(&self) -> String {
        self.note.to_string()
    }
}

impl fmt::Display for ReachRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReachRefusal::Note(error) => error.fmt(f),
            ReachRefusal::Text(error) => error.fmt(f),
            ReachRefusal::OtherCard => f.write_str("the reach belongs to another card than the known one"),
            ReachRefusal::NotSigned => f.write_str("the vote key of the card did not sign the reach"),
            ReachRefusal::NotNewer { held } => write!(f, "the reach is not newer than number {held}, which is known"),
        }
    }
}

impl std::error::Error for ReachRefusal {}

/// The next lines of this key, none of them twice.
fn several<T: PartialEq>(
    lines: &mut Lines<'_>,
    key: &'static str,
    count: std::ops::RangeInclusive<usize>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, CardError> {
    let mut found = Vec::new();
    while found.len() < *count.end() {
        let Some(value) = lines.value(key) else { break };
        let value = read(value).filter(|value| !found.contains(value)).ok_or(CardError::Line(key))?;
        found.push(value);
    }
    if count.contains(&found.len()) { Ok(found) } else { Err(CardError::Line(key)) }
}

/// A web address: scheme, host, perhaps port and path. Visible ASCII, so that a line stays a line.
pub fn is_http(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    url.len() <= URL_BYTES_MAX
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['))
}

/// TLS keys of one reach.
pub const TLS_MAX: usize = 4;
/// Addresses for servers of one reach.
pub const S2S_MAX: usize = 8;
/// Web addresses of one reach.
pub const HTTP_MAX: usize = 2;
const URL_BYTES_MAX: usize = 256;
const HEAD: &str = "kontalk-reach-v1";
