//! Certificates from an authority by themselves: what to ask an ACME server next, what its answers mean, and when to ask again.
//! RFC 8555; RFC 8737 for proofs by TLS.
//!
//! An [`Errand`] is one order from its beginning to its end, without a socket: it gives a [`Step`], is told what came of it, and
//! gives the next. Directory -> nonce -> account -> order -> its authorizations -> proofs in place -> their validation ->
//! finalization -> the chain. [`jws`] makes the signed texts (who signs is not here), [`message`] reads the server's answers,
//! [`schedule`] says when a certificate is due and how long to wait after failures.
//!
//! What the server says is hostile input: sizes, counts and forms are checked, polls and requests of an errand are counted, waits
//! have an upper bound, and its words are cut and stripped of control characters before anybody reads them.

mod fault;
pub mod jws;
mod message;
mod order;
pub mod schedule;
#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use message::Answer;
pub use order::{Ask, Errand, Method, Proof, Purpose, Step};

/// How control of a name is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A file on port 80. RFC 8555 §8.3.
    Http01,
    /// A certificate of its own on port 443. RFC 8737.
    TlsAlpn01,
    /// A TXT record. RFC 8555 §8.4.
    Dns01,
}

impl Challenge {
    /// Its name on the wire and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Challenge::Http01 => "http-01",
            Challenge::TlsAlpn01 => "tls-alpn-01",
            Challenge::Dns01 => "dns-01",
        }
    }

    /// The other way round.
    pub fn of_name(name: &str) -> Option<Challenge> {
        [Challenge::Http01, Challenge::TlsAlpn01, Challenge::Dns01].into_iter().find(|kind| kind.name() == name)
    }
}
