//! File upload, decided: who may put which file where, and under which name it is given out again. XEP-0363.
//!
//! States of a slot: open (its account asked for it, and the bytes are reserved) -> receiving (a PUT is under way) -> done (the
//! file is there, a second PUT is refused). A PUT that breaks off leads back to open, so that it can be repeated; an open or done
//! slot is forgotten when its time is up. Slots live in memory alone: after a restart a client asks again.
//!
//! The path of a file is its [`FileKey`] and its name. Who does not know it cannot guess it (128 random bits), and it does not
//! tell whose file it is. Clients of two generations ask in two forms ([`Form`]); each is answered in its own.
//!
//! Limits: size of a file, bytes and files of an account, slots of an account and of all, free space left on the disk
//! ([`Policy`], `limits`). Does not read or write files (`web`).

mod key;
mod ledger;
mod name;
mod request;

pub use key::{FileKey, KeySecret, OwnerTag};
pub use ledger::{Expected, Ledger, Policy, PutRefusal, Reserved, Usage};
pub use name::{FileName, MediaType};
pub use request::{Form, SlotRefusal, Wish};
