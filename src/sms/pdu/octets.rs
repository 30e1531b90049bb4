//! Hexadecimal, and a reader of octets that cannot run past the end.

use zeroize::Zeroizing;

use super::PduError;

/// Octets as the modem writes them: upper case hexadecimal.
pub fn to_hex(octets: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(octets.len() * 2));
    for octet in octets {
        for nibble in [octet >> 4, octet & 0x0f] {
            text.push(char::from(if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 }));
        }
    }
    text
}

/// Hexadecimal of either case to octets; nothing if it is anything else.
pub fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let mut octets = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    let mut digits = text.chars();
    while let (Some(high), Some(low)) = (digits.next(), digits.next()) {
        let octet = high.to_digit(16)? << 4 | low.to_digit(16)?;
        octets.push(u8::try_from(octet).ok()?);
    }
    Some(octets)
}

/// Takes octets from the front.
pub(super) struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Octets<'a> {
        Octets(octets)
    }

    pub(super) fn octet(&mut self) -> Result<u8, PduError> {
        let (first, rest) = self.0.split_first().ok_or(PduError::Truncated)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], PduError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(PduError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Two decimal digits in swapped semi-octets (3GPP TS 23.040 §9.1.2.3): 0x21 is 12.
pub(super) fn swapped(octet: u8) -> Option<u8> {
    let (tens, units) = (octet & 0x0f, octet >> 4);
    (tens < 10 && units < 10).then_some(tens * 10 + units)
}
