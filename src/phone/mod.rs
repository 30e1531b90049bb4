//! Telephone numbers, the codes that prove them, and the texts that carry the codes: words that must not be printed.
//!
//! A [`PhoneNumber`] is in E.164 form, and its SHA-1 is the localpart of the account (Kontalk identity: number to JID). A
//! [`Code`] is the six digits a user types in, an [`SmsText`] the message that brings them. None of them shows its content to
//! `{:?}`, none implements `Display`, all are wiped when dropped; each has one documented way out. A [`KeyedHash`] stands for
//! a number, a code or an address where only equality matters: in throttles, and for codes at rest.
//!
//! Limits: 250 bytes of input, 2 to 17 national digits, as the clients' telephone library has it.

mod area;
mod calling_codes;
mod challenge_kind;
mod code;
mod keyed_hash;
mod number;
mod text;

pub use area::Area;
pub use challenge_kind::ChallengeKind;
pub use code::{CODE_DIGITS, Code};
pub use keyed_hash::{HASH_BYTES, HashKey, KeyedHash};
pub use number::{NumberPrefix, PhoneError, PhoneNumber};
pub use text::{AppHash, SmsText};
