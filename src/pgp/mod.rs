//! OpenPGP keys: read a user's ring, match its user id to an address, certify, revoke, and judge who may log in.
//! RFC 9580 (and RFC 4880, whose v4 keys these are), the Kontalk protocol's rules for keys and for the bridge certificate.
//!
//! What goes in and out:
//! - [`UserRing::parse`] reads what a stranger sends. It takes nothing on trust but the shape: one v4 public key that can be a
//!   TLS key, ids, subkeys, exportable signatures, each within a limit. Own signatures are verified where something depends on
//!   them: when a key is judged, certified, or merged into a stored ring.
//! - [`ring_of_certificate`] finds the ring in a client's certificate and insists that the key is the same.
//! - [`judge_candidate`] says whether a key may be certified (code step), [`ServerKey::certify`] does it, [`judge_login`] says
//!   whether it lets its bearer in. [`ServerKey::revoke_certification`] takes a certification back.
//! - Other nodes' certificates are rings too: [`UserRing::check_node`], [`ServerKey::certify_node`], and what one key says of another
//!   as bare [`Statements`]; rooms that know of clocks decide what holds.
//!
//! [`ServerKey::sign_text`] makes what the node announces to its users a message that they can verify.
//!
//! A certification's life: none -> certified (`0x10`, for [`CERTIFICATION_VALID`]) -> renewed by a login -> revoked (`0x30`) -> certified
//! again by a later one. The newest counts, and at the same second the revocation. A key that its owner revoked (`0x20`) never comes back.
//!
//! Signatures are verified with the key's bare operation, not with the library's remembering one: its memory of good
//! signatures has no bound, and strangers can make as many as they like.
//!
//! Limits: [`RING_BYTES_MAX`](crate::limits::RING_BYTES_MAX) for a ring, [`IDS_MAX`], [`SUBKEYS_MAX`], and per user id
//! [`OWN_SIGNATURES_MAX`], [`CERTIFICATIONS_MAX`], [`REVOCATIONS_MAX`]. What exceeds a number is dropped, an oversized ring
//! refused. A client's clock may be ahead by [`CLOCK_SKEW_MAX`].

mod announcement;
mod bridge;
mod fingerprint;
mod judge;
mod merge;
mod node;
mod ring;
mod server_key;
mod signature;
mod spki;
mod userid;

#[cfg(test)]
#[path = "../../tests/support/keys.rs"]
pub(crate) mod keys;
#[cfg(test)]
mod tests;

pub use bridge::{BridgeError, certificate_spki, is_bridge_certificate, ring_of_certificate};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use judge::{CLOCK_SKEW_MAX, CandidateRefusal, KeyFault, LoginRefusal, judge_candidate, judge_login};
pub use node::{Certified, NodeCertification, RevocationReason, SIGNATURE_BYTES_MAX, Statements};
pub use ring::{CERTIFICATIONS_MAX, IDS_MAX, OWN_SIGNATURES_MAX, REVOCATIONS_MAX, RingError, SUBKEYS_MAX, UserRing};
pub use server_key::{CERTIFICATION_VALID, CertifyError, RENEW_BEFORE, RESET_NOTATION, ServerKey, ServerKeyError};
