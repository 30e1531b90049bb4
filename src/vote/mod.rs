//! The democratic network: nodes that admit new nodes and ban rogue ones by vote, with nobody in charge. Our own specification; C2SP
//! signed-note for signatures.
//!
//! People propose ([`Proposal`]) and vote ([`Ballot`]); machines put what is approved into one order, an [`Epoch`] at a time, each
//! naming the one before and the [`State`] that results. So membership is a function of the chain of epochs, and whoever has the
//! chain can check all of it. [`needed`] says who must agree, [`Chain::judge`] what may be decided next, and
//! [`ordering`] is how the voters' nodes agree on it.
//!
//! All objects are texts with one `key value` a line and exactly one way to be written; what is read is written again and compared.
//! The SHA-256 of a text names it, and signatures are lines below it, so that a quorum certificate is one text with many lines.
//!
//! Decisions only: no socket, file, clock or randomness. Nonces, running times and what was stored come in as arguments.

mod ballot;
mod bundle;
mod card;
mod certificate;
mod chain;
mod charter;
mod epoch;
mod evidence;
mod freshness;
mod gossip;
mod id;
mod joining;
mod journal;
mod judge;
mod message;
mod moved;
mod object;
mod objection;
pub mod ordering;
mod pool;
mod proposal;
mod standing;
mod state;
#[cfg(test)]
mod tests;
mod text;
mod threshold;

pub use ballot::{Ballot, Choice};
pub use bundle::Bundle;
pub use card::ProvedCard;
pub use certificate::{CertifiedEpoch, VoterKeys, precommit, signers};
pub use chain::{Chain, Elector, FOUNDERS_MAX, RULES, Standing, Texts};
pub use charter::{CHARTER_BYTES_MAX, Charter, Consent, SignedConsent};
pub use epoch::{APPLY_MAX, Decision, Epoch, Genesis, NAME_BYTES_MAX};
pub use evidence::{DoubleVote, EVIDENCE_PER_ACCUSED_MAX, EvidenceError};
pub use freshness::{Compared, FRESH_FOR, Stale};
pub use gossip::{
    GossipError, HAVE_MAX, OBJECTS_PER_STANZA_MAX, Objects, ROUNDS_AHEAD_MAX, Sync, SyncAnswer, batches, judge_propose,
    judge_vote, push_element, read_push,
};
pub use id::{CharterHash, EpochId, EvidenceId, NetworkId, ProposalId, StateHash};
pub use joining::{CONTACTS_MAX, Contact, Invite, InviteError, Request, SignedRequest, Token};
pub use journal::{JournalError, JournalWriter, Read, Said, read_epochs, read_votes};
pub use judge::Ballots;
pub use message::{Phase, Propose, Vote};
pub use moved::{Moved, MovedRefusal};
pub use object::{Object, ObjectError, ObjectKind, Prefix};
pub use objection::{Fault, Objection, Want};
pub use pool::{Pool, Refusal, Waiting};
pub use proposal::{
    EVIDENCE_MAX, Kind, OPEN_PER_PROPOSER_MAX, PROPOSAL_EPOCHS, Proposal, REASON_BYTES_MAX, SignedProposal,
};
pub use standing::{Due, Known, Word, due};
pub use state::{BanEffect, CHARTER, Line, LineKey, PROTO, Role, STATE_LINES_MAX, State};
pub use text::{CERTIFICATE_LINES_MAX, OBJECT_BYTES_MAX, TextError};
pub use threshold::{
    GROWTH_CAPPED_FROM, GROWTH_WINDOW, Needed, Question, growth_cap, majority, needed, one_honest, quorum,
};
