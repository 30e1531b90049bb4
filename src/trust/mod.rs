//! Trust between nodes: who a node is, and whose users it lets in. Our own specification; C2SP signed-note for signatures on texts.
//!
//! A node is one OpenPGP key (`pgp`) and a few note keys that a [`Card`] binds to it. Where it is, and what TLS key it shows, says
//! its [`Reach`]. Both are texts with one `key value` a line and exactly one way to be written; what is read is written again and
//! compared.
//!
//! Decisions only: what was stored, what time it is and what is random comes in as arguments.

mod card;
mod domain;
mod key;
mod label;
mod note;
mod reach;
mod recovery;
#[cfg(test)]
mod tests;

pub use card::{Card, CardError, CardId, CardRefusal, Pinned, SignedCard, Succession, accept};
pub use domain::{NodeDomain, NodeDomainError};
pub use key::{KeyKind, Signer, Verifier, VerifierError};
pub use label::public_key;
pub use note::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, Note, NoteError, NoteSignature};
pub use reach::{Endpoint, HTTP_MAX, Reach, ReachRefusal, S2S_MAX, SignedReach, TLS_MAX, is_http};
pub use recovery::{RecoveryWords, WordsError};
