//! kontalk-node: a Kontalk node in one binary.
pub mod config;
pub mod jid;
pub mod limits;
pub mod net;
pub mod roster;
pub mod router;
pub mod stanza;
pub mod xml;
