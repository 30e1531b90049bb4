//! Trust between nodes: who a node is, and whose users it lets in. Our own specification; C2SP signed-note for signatures on texts.
//!
//! A node is one OpenPGP key (`pgp`) and a few note keys that a [`Card`] binds to it. Where it is, and what TLS key it shows, says
//! its [`Reach`]. Both are texts with one `key value` a line and exactly one way to be written; what is read is written again and
//! compared.
//!
//! Whether a node is trusted is decided by people ([`step`], later by the network too); that its own signatures say so is the
//! [`reconcile`]r's work, and whether they hold the [`edge`]'s. Whose users come in is [`judge_visit`]'s, who is at the other end of a
//! stream [`classify`]'s. [`judge_clock`], [`next_seq`] and [`learn`] guard against a board's clock and old backups.
//!
//! Decisions only: what was stored, what time it is and what is random comes in as arguments.

mod card;
mod domain;
mod edge;
mod guard;
mod introduction;
mod key;
mod label;
mod note;
mod peer;
mod pin;
mod reach;
mod reconcile;
mod recovery;
#[cfg(test)]
mod tests;
mod visit;
mod wire;

pub(crate) use card::unhex;
pub use card::{
    Card, CardError, CardId, CardRefusal, Pinned, SignedCard, Succession, accept, log_name, vote_name, witness_name,
};
pub use domain::{NodeDomain, NodeDomainError};
pub use edge::{Edge, EdgeFault, edge, issue_time};
pub use guard::{CLOCK_LEEWAY, ClockSuspect, Lesson, judge_clock, learn, next_seq, seq_after_restore};
pub use introduction::{INTRODUCTION_BYTES_MAX, Introduction, IntroductionError};
pub(crate) use key::hex;
pub use key::{KeyKind, Signer, Verifier, VerifierError};
pub use label::public_key;
pub use note::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, Note, NoteError, NoteSignature};
pub use peer::{Change, Effect, End, GRACE, Impossible, State, Step, Why, step};
pub use pin::{Class, PinnedNode, classify, take_reach};
pub use reach::{Endpoint, HTTP_MAX, Reach, ReachRefusal, S2S_MAX, SignedReach, TLS_MAX, is_http};
pub use reconcile::{Act, Situation, VALID_BY_NETWORK, VALID_BY_OPERATOR, WARN_BEFORE, reconcile};
pub use recovery::{RecoveryWords, WordsError};
pub use visit::{
    Admission, Home, Presented, Records, RecordsFault, Resident, Usage, VisitRefusal, Visitor, judge_stay, judge_visit,
};
pub use wire::{
    introduction_nonza, node_feature, node_feature_knowing, reach_answer, reach_nonza, read_introduction,
    read_known_card, read_node_feature, read_reach, trust_ended, visitor_marker,
};
