//! Short message PDUs: texts to the octets a modem sends, and the octets it receives to texts. A decision's tool: no device,
//! no clock.
//!
//! Specifications: 3GPP TS 23.040 (the PDUs), 23.038 (the alphabets), 27.005 §4 (how a modem writes them: the address of the
//! service centre, then the PDU, in hexadecimal). Sent are SMS-SUBMIT PDUs in the GSM alphabet where the text allows it, in
//! UCS-2 otherwise, in several parts where one is too short. Read are SMS-DELIVER, SMS-STATUS-REPORT and SMS-SUBMIT; what
//! is received was written by a stranger, so the reader checks every length. The national language tables are neither
//! sent nor read: a text in one of them comes out with some characters wrong.
//!
//! Limits: 140 octets a part, [`PARTS_MAX`] parts sent; [`Reassembly`] holds a bounded number of incomplete messages for ten
//! minutes. Addresses and texts do not print themselves.

mod address;
mod alphabet;
mod assembly;
mod hidden;
mod octets;
mod read;
mod submit;
mod userdata;

pub use address::{Address, AddressKind};
pub use alphabet::{is_gsm, septets_of};
pub use assembly::Reassembly;
pub use hidden::Hidden;
pub use octets::{from_hex, to_hex};
pub use read::{Deliver, DeliveryState, Message, PduError, StatusReport, SubmitRead, read};
pub use submit::{EncodeError, PARTS_MAX, Reference, Submit, SubmitPdu};
pub use userdata::Part;

pub(super) use alphabet::{characters_of, pack, unpack};

#[cfg(test)]
mod tests;
