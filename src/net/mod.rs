//! The network edge: listeners, TLS, and the [`Transport`] that carries one stream. RFC 6120 §3, §5 and §13; XEP-0368.
//!
//! The sole user of rustls. A transport is `Plain` until [`Transport::start_tls`] or [`Transport::start_direct_tls`] makes it
//! `Tls`, and never goes back. The node's own certificate ([`OwnCertificate`]) can be replaced while it serves: streams that
//! are up keep the one they began with.
//!
//! A client may show any certificate, for Kontalk clients wrap their OpenPGP key in a self-made one that no authority signed;
//! what it proves is that the client holds the key in it, and nothing else ([`tls`]).
//!
//! Limits: connections that have not authenticated, in total and per network ([`Permits`]); bytes of a client certificate. The
//! time limits of `limits` are the callers' to apply; a [`Pipe`] brings the timer for it. An idle connection owns no read buffer of ours
//! ([`Transport::poll_read_scratch`]).

mod authorities;
mod certificate;
mod challenge;
mod dial;
pub mod dns;
mod listen;
mod open_files;
mod permits;
mod pipe;
#[cfg(test)]
mod tests;
pub mod tls;
mod transport;
mod verifier;

pub use authorities::{Authorities, ChainFault};
pub use certificate::{
    CertificateFacts, CertificateFault, CertificateSource, OwnCertificate, SELF_MADE_CERTIFICATE, SELF_MADE_KEY,
    examine,
};
pub use dial::connect_any;
pub use listen::{BindError, Listener, bind};
pub use open_files::raise_open_files;
pub use permits::{Permit, Permits, Refusal};
pub use pipe::{Pipe, timed_out};
pub use tls::{ServerTls, TlsError, TlsStream, TlsVersion};
pub use transport::Transport;
pub use verifier::spki_sha256;
