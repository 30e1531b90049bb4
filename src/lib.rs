//! kontalk-node: a Kontalk node in one binary.
pub mod account;
pub mod c2s;
pub mod config;
pub mod jid;
pub mod limits;
pub mod net;
pub mod node;
pub mod pgp;
pub mod phone;
pub mod roster;
pub mod router;
pub mod services;
pub mod sms;
pub mod stanza;
pub mod store;
pub mod stream;
pub mod xml;
