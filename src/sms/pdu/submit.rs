//! SMS-SUBMIT: 3GPP TS 23.040 §9.2.2.2.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::alphabet::{code_of, is_gsm, pack};
use super::octets::to_hex;
use super::userdata::{CONCATENATED_8, CONCATENATED_16, USER_DATA_MAX};
use super::{Address, Hidden};

/// A message to send. Does not print its receiver or text.
#[derive(Clone, Debug)]
pub struct Submit {
    /// Who receives it.
    pub to: Address,
    /// What it says.
    pub text: Hidden,
    /// How long the network may try to deliver it; rounded up to what can be told, at most 63 weeks.
    pub validity: Duration,
    /// Ask for a report of the delivery. Some tariffs charge for it.
    pub report: bool,
    /// Shown at once and not kept (class 0), instead of an ordinary message.
    pub flash: bool,
}

/// Binds the parts of a longer message together; the longer form is for those who send many such to one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The usual one.
    Short(u8),
    /// With 16 bits; a part is one character shorter.
    Long(u16),
}

/// What is given to the modem for one part. Does not print itself: it holds number and text.
#[derive(Clone)]
pub struct SubmitPdu {
    hex: Zeroizing<String>,
    octets: usize,
}

/// Why a message cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// It needs more than [`PARTS_MAX`] parts.
    TooLong,
    /// A name cannot be sent to.
    Receiver,
}

impl Submit {
    /// The PDUs of all parts: one if the text has at most 160 septets or 70 UTF-16 units. `reference` is used only if there
    /// are more.
    pub fn encode(&self, reference: Reference) -> Result<Vec<SubmitPdu>, EncodeError> {
        if self.to.kind() == super::AddressKind::Name {
            return Err(EncodeError::Receiver);
        }
        let text = self.text.as_str();
        let gsm = is_gsm(text);
        let whole = if gsm { SEPTETS_MAX } else { UNITS_MAX };
        let pieces = split(text, gsm, whole);
        if pieces.len() <= 1 {
            return Ok(vec![self.part(pieces.first().copied().unwrap_or(""), gsm, &[])]);
        }
        let header_octets = header(reference, 1, 1).len();
        let room =
            if gsm { SEPTETS_MAX - (header_octets * 8).div_ceil(7) } else { (USER_DATA_MAX - header_octets) / 2 };
        let pieces = split(text, gsm, room);
        let total = u8::try_from(pieces.len()).ok().filter(|total| *total <= PARTS_MAX).ok_or(EncodeError::TooLong)?;
        let numbered = (1..=total).zip(pieces);
        Ok(numbered.map(|(number, piece)| self.part(piece, gsm, &header(reference, total, number))).collect())
    }

    fn part(&self, text: &str, gsm: bool, header: &[u8]) -> SubmitPdu {
        let mut tpdu = Zeroizing::new(Vec::with_capacity(TPDU_OCTETS_MAX));
        let mut first = SUBMIT | RELATIVE_VALIDITY;
        if self.report {
            first |= REPORT_REQUESTED;
        }
        if !header.is_empty() {
            first |= HEADER_PRESENT;
        }
        // TP-MR: the modem puts its own there. TP-PID: an ordinary message.
        tpdu.extend([first, 0]);
        self.to.write(&mut tpdu);
        tpdu.push(0);
        // 23.038 §4: bit 3 is UCS-2, bit 4 says that bits 1 and 0 are the class.
        tpdu.push(if gsm { 0 } else { 0x08 } | if self.flash { 0x10 } else { 0 });
        tpdu.push(validity_octet(self.validity));
        write_user_data(&mut tpdu, text, gsm, header);
        let mut pdu = Zeroizing::new(Vec::with_capacity(TPDU_OCTETS_MAX + 1));
        // The service centre that the SIM knows.
        pdu.push(0);
        pdu.extend_from_slice(&tpdu);
        SubmitPdu { hex: to_hex(&pdu), octets: tpdu.len() }
    }
}

impl SubmitPdu {
    /// The hexadecimal that follows the prompt.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// The number in `AT+CMGS=`: octets without those of the service centre (27.005 §3.5.1).
    pub fn octets(&self) -> usize {
        self.octets
    }
}

impl fmt::Debug for SubmitPdu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubmitPdu(… {} octets)", self.octets)
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EncodeError::TooLong => "the text is too long for a text message",
            EncodeError::Receiver => "a name cannot receive a text message",
        })
    }
}

impl std::error::Error for EncodeError {}

/// Cuts a text into pieces of at most `room` septets or UTF-16 units, never within a character.
fn split(text: &str, gsm: bool, room: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut begin, mut used) = (0, 0);
    for (index, c) in text.char_indices() {
        let size = if gsm { code_of(c).map_or(1, super::alphabet::Code::len) } else { c.len_utf16() };
        if used + size > room {
            pieces.extend(text.get(begin..index));
            (begin, used) = (index, 0);
        }
        used += size;
    }
    pieces.extend(text.get(begin..).filter(|rest| !rest.is_empty()));
    pieces
}

fn header(reference: Reference, total: u8, number: u8) -> Vec<u8> {
    match reference {
        Reference::Short(reference) => vec![5, CONCATENATED_8, 3, reference, total, number],
        Reference::Long(reference) => {
            let [high, low] = reference.to_be_bytes();
            vec![6, CONCATENATED_16, 4, high, low, total, number]
        }
    }
}

/// TP-UDL and TP-UD. The length counts septets in the GSM alphabet, the header and its filling included, else octets.
fn write_user_data(tpdu: &mut Vec<u8>, text: &str, gsm: bool, header: &[u8]) {
    if gsm {
        let septets = super::septets_of(text).unwrap_or_default();
        let header_septets = (header.len() * 8).div_ceil(7);
        let fill = header_septets * 7 - header.len() * 8;
        tpdu.push((header_septets + septets.len()) as u8);
        tpdu.extend_from_slice(header);
        if !septets.is_empty() {
            tpdu.extend_from_slice(&pack(&septets, fill as u8));
        }
    } else {
        tpdu.push((header.len() + text.encode_utf16().count() * 2) as u8);
        tpdu.extend_from_slice(header);
        tpdu.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
    }
}

/// TP-VP, relative format (§9.2.3.12.1): steps of 5 minutes, half hours, days, weeks. Rounded up.
fn validity_octet(validity: Duration) -> u8 {
    let minutes = validity.as_secs().div_ceil(60);
    let octet = match minutes {
        0..=720 => minutes.div_ceil(5).saturating_sub(1),
        721..=1440 => 143 + (minutes - 720).div_ceil(30),
        1441..=43_200 => 166 + minutes.div_ceil(1440),
        _ => 192 + minutes.div_ceil(7 * 1440),
    };
    u8::try_from(octet).unwrap_or(u8::MAX)
}

/// Parts of one message that is sent. The format allows 255, but a text of 1,500 characters is somebody's mistake and every
/// part is paid for.
pub const PARTS_MAX: u8 = 10;

const SEPTETS_MAX: usize = 160;
const UNITS_MAX: usize = 70;
const TPDU_OCTETS_MAX: usize = 176;
/// The first octet, §9.2.3.1 to §9.2.3.5, §9.2.3.23.
const SUBMIT: u8 = 0x01;
const RELATIVE_VALIDITY: u8 = 0x10;
const REPORT_REQUESTED: u8 = 0x20;
const HEADER_PRESENT: u8 = 0x40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_is_rounded_up_to_what_can_be_told() {
        const MINUTE: u64 = 60;
        for (seconds, octet) in [
            (0, 0x00),
            (5 * MINUTE, 0x00),
            (10 * MINUTE, 0x01),
            (11 * MINUTE, 0x02),
            (15 * MINUTE, 0x02),
            (60 * MINUTE, 0x0b),
            (12 * 60 * MINUTE, 143),
            (12 * 60 * MINUTE + 1, 144),
            (24 * 60 * MINUTE, 0xa7),
            (2 * 1440 * MINUTE, 168),
            (30 * 1440 * MINUTE, 196),
            (31 * 1440 * MINUTE, 197),
            (63 * 7 * 1440 * MINUTE, 255),
            (u64::MAX, 255),
        ] {
            assert_eq!(validity_octet(Duration::from_secs(seconds)), octet, "{seconds} s");
        }
    }
}
