//! Why an order failed, in words for the operator.

use std::fmt;
use std::time::Duration;

use super::Challenge;

/// Why no certificate came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server's answer is not what RFC 8555 says; which part.
    Answer(&'static str),
    /// The server refused, for a reason of RFC 8555 §6.7.
    Refused {
        /// The last part of its type, such as `rateLimited`; cleaned.
        kind: String,
        /// Its own words, cut and cleaned.
        detail: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The server did not find the proof for a name.
    NotProved {
        /// Which name.
        name: String,
        /// How it was to be proved.
        challenge: Challenge,
        /// The server's words, cut and cleaned.
        detail: String,
    },
    /// The server does not offer this kind of proof for the name.
    NotOffered {
        /// Which name.
        name: String,
        /// What was wanted.
        challenge: Challenge,
    },
    /// It took longer than an order may.
    TooLong,
}

impl Fault {
    /// How long the server wants to be left alone, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Fault::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Fault::Answer(_) => "check acme.directory; is it an ACME server?",
            Fault::Refused { kind, .. } => match kind.as_str() {
                "rateLimited" => "nothing; it is tried again when the authority allows",
                "caa" => "the domain's CAA record must name this authority",
                "rejectedIdentifier" => "check domain and acme.names",
                "externalAccountRequired" => "another acme.directory: this authority wants accounts of its own",
                "userActionRequired" => "read the authority's new terms",
                "dns" | "connection" => "check the domain's DNS records",
                _ => "see what the authority says",
            },
            Fault::NotProved { challenge: Challenge::Http01, .. } => {
                "port 80 of the name must reach acme.listen; check DNS, router and firewall"
            }
            Fault::NotProved { challenge: Challenge::TlsAlpn01, .. } => {
                "port 443 of the name must reach a listener with TLS of this node; check DNS, router and firewall"
            }
            Fault::NotProved { challenge: Challenge::Dns01, .. } => {
                "check the hook or [dns_update], and raise acme.dns_wait_secs if the name servers are slow"
            }
            Fault::NotOffered { .. } => "another acme.challenge",
            Fault::TooLong => "nothing; it is tried again",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Answer(part) => write!(f, "the authority's answer makes no sense: {part}"),
            Fault::Refused { kind, detail, .. } => write!(f, "the authority refuses ({kind}): {detail}"),
            Fault::NotProved { name, challenge, detail } => {
                write!(f, "the authority did not find the proof for {name} by {}: {detail}", challenge.name())
            }
            Fault::NotOffered { name, challenge } => {
                write!(f, "the authority does not take proofs by {} for {name}", challenge.name())
            }
            Fault::TooLong => f.write_str("the authority took too long"),
        }?;
        write!(f, " (remedy: {})", self.remedy())
    }
}

impl std::error::Error for Fault {}
