//! kontalk-node: a Kontalk node in one binary.
pub mod account;
pub mod jid;
pub mod limits;
pub mod phone;
pub mod roster;
pub mod router;
pub mod sms;
pub mod stanza;
pub mod xml;
