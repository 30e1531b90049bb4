//! kontalk-node: a Kontalk node in one binary.
pub mod jid;
pub mod limits;
pub mod roster;
pub mod router;
pub mod stanza;
pub mod store;
pub mod xml;
