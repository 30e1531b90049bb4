//! Other servers: their streams as values, who they are, what waits for them. RFC 6120 §4–6, §13, XEP-0178, XEP-0198, XEP-0220.
//!
//! [`PeerStream`] negotiates one stream, dialled or accepted, and then carries stanzas. [`Policy`] judges what TLS has shown of
//! a peer. [`Queues`] holds what is under way to other domains until the peers confirm it. [`Target`]s say where to dial.
//!
//! A stream belongs to one [`Pair`] of domains: it carries stanzas from exactly one domain of ours to exactly one of theirs,
//! and with XEP-0288 back again. A node behind an address that nobody can dial is thus reached over the stream that it dialled.
//!
//! Limits: the `S2S_*` of [`crate::limits`]. Knows no socket, clock, randomness, name server or certificate.

mod dialback;
mod policy;
mod queue;
mod stream;
mod targets;

#[cfg(test)]
mod tests;

pub use dialback::DialbackSecret;
pub use policy::{Class, NoPins, PeerEvidence, Pins, PkixFault, Policy, Refusal, SpkiHash, Standing, Verdict};
pub use queue::{Confirmation, DialFault, Effect, Outgoing, OutgoingId, Queues, Refused, Sent};
pub use stream::{Action, Errand, Established, PeerConfig, PeerFault, PeerStream, PingNumber};
pub use targets::{ServiceRecord, Target, interleaved, order_targets};

use std::fmt;

use crate::jid::BareJid;

/// A domain of ours and one of theirs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    /// Ours.
    pub own: BareJid,
    /// Theirs.
    pub peer: BareJid,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {}", self.own, self.peer)
    }
}
