//! User data: alphabets by the data coding scheme (3GPP TS 23.038 §4), and the header of a part (23.040 §9.2.3.24).

use super::alphabet::{characters_of, unpack};
use super::octets::Octets;
use super::{Hidden, PduError};

/// Which part of a longer message this is: 3GPP TS 23.040 §9.2.3.24.1 and §9.2.3.24.8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// The same in all parts of one message; 0 to 255, or to 65535 with the longer header.
    pub reference: u16,
    /// How many there are, at least 1.
    pub total: u8,
    /// Which this is, 1 to `total`.
    pub number: u8,
}

/// How the characters of a message are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gsm,
    Octets,
    Ucs2,
}

impl Coding {
    /// 23.038 §4. Reserved values are read as the GSM alphabet, as it asks.
    pub(super) fn of(scheme: u8) -> Result<Coding, PduError> {
        match scheme >> 4 {
            // Bit 5: compressed, which nobody implements.
            group @ 0x0..=0x7 if group & 0x2 != 0 => Err(PduError::Compressed),
            0x0..=0x7 => Ok(match scheme >> 2 & 0x3 {
                1 => Coding::Octets,
                2 => Coding::Ucs2,
                _ => Coding::Gsm,
            }),
            0xe => Ok(Coding::Ucs2),
            0xf if scheme & 0x4 != 0 => Ok(Coding::Octets),
            _ => Ok(Coding::Gsm),
        }
    }
}

/// Reads TP-UDL and TP-UD.
pub(super) fn read_user_data(
    octets: &mut Octets<'_>,
    coding: Coding,
    has_header: bool,
) -> Result<(Hidden, Option<Part>), PduError> {
    let length = usize::from(octets.octet()?);
    let length_octets = if coding == Coding::Gsm { (length * 7).div_ceil(8) } else { length };
    if length_octets > USER_DATA_MAX {
        return Err(PduError::TooLong);
    }
    let data = octets.take(length_octets)?;
    let (header_octets, part) = if has_header { read_header(data)? } else { (0, None) };
    let body = data.get(header_octets..).ok_or(PduError::Truncated)?;
    let text = match coding {
        // Binary: what it says only its maker knows.
        Coding::Octets => return Err(PduError::NotText),
        Coding::Ucs2 => {
            let units = body.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(u16::from_be_bytes));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        Coding::Gsm => {
            // The header is filled up to the next septet; the length counts its septets too.
            let header_septets = (header_octets * 8).div_ceil(7);
            let fill = header_septets * 7 - header_octets * 8;
            let count = length.checked_sub(header_septets).ok_or(PduError::Truncated)?;
            characters_of(&unpack(body, fill as u8, count))
        }
    };
    Ok((Hidden::new(text), part))
}

/// The octets of the header with its length, and what it says about parts.
fn read_header(data: &[u8]) -> Result<(usize, Option<Part>), PduError> {
    let mut octets = Octets::new(data);
    let length = usize::from(octets.octet()?);
    let mut elements = Octets::new(octets.take(length)?);
    let mut part = None;
    while !elements.is_empty() {
        let (kind, length) = (elements.octet()?, elements.octet()?);
        let value = elements.take(usize::from(length))?;
        part = match (kind, value) {
            (CONCATENATED_8, [reference, total, number]) => checked(u16::from(*reference), *total, *number),
            (CONCATENATED_16, [high, low, total, number]) => {
                checked(u16::from_be_bytes([*high, *low]), *total, *number)
            }
            _ => part,
        };
    }
    Ok((length + 1, part))
}

/// §9.2.3.24.1: an element with impossible numbers is ignored.
fn checked(reference: u16, total: u8, number: u8) -> Option<Part> {
    (number >= 1 && number <= total).then_some(Part { reference, total, number })
}

/// Octets of TP-UD.
pub(super) const USER_DATA_MAX: usize = 140;
pub(super) const CONCATENATED_8: u8 = 0x00;
pub(super) const CONCATENATED_16: u8 = 0x08;
