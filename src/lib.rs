//! kontalk-node: a Kontalk node in one binary.
pub mod c2s;
pub mod jid;
pub mod limits;
pub mod net;
pub mod pgp;
pub mod roster;
pub mod router;
pub mod stanza;
pub mod stream;
pub mod xml;
