//! Addresses in PDUs: 3GPP TS 23.040 §9.1.2.5.

use std::fmt;

use zeroize::Zeroizing;

use super::alphabet::{characters_of, pack, septets_of, unpack};
use super::octets::Octets;
use super::{Hidden, PduError};
use crate::phone::PhoneNumber;

/// Who sends or receives. Never printed, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    kind: AddressKind,
    /// Without a plus.
    text: Hidden,
}

/// How an address is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// A number with its country calling code.
    International,
    /// A number as it is dialled in the network: national or a short code.
    National,
    /// A name, which proves nothing and cannot be answered.
    Name,
}

impl Address {
    /// From `+` and digits, or from digits as they are dialled; nothing for anything else or more than 20 digits.
    pub fn parse(text: &str) -> Option<Address> {
        let (kind, digits) = match text.strip_prefix('+') {
            Some(digits) => (AddressKind::International, digits),
            None => (AddressKind::National, text),
        };
        let fits = (1..=DIGITS_MAX).contains(&digits.len()) && digits.chars().all(|c| DIGITS.contains(c));
        fits.then(|| Address { kind, text: Hidden::new(digits) })
    }

    /// A sender's name, up to 11 characters of the GSM alphabet.
    pub fn name(text: &str) -> Option<Address> {
        let septets = septets_of(text)?;
        let fits = (1..=NAME_SEPTETS_MAX).contains(&septets.len());
        fits.then(|| Address { kind: AddressKind::Name, text: Hidden::new(text) })
    }

    /// How to read it.
    pub fn kind(&self) -> AddressKind {
        self.kind
    }

    /// The digits or the name, an international number with its plus: the one way out. Not for logs or the store.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.text.as_str().len() + 1));
        if self.kind == AddressKind::International {
            text.push('+');
        }
        text.push_str(self.text.as_str());
        text
    }

    /// The number in E.164 form, where it can be one. Home networks give national numbers with a leading zero: `country`
    /// is the country calling code of the SIM, by which such a number is read. Names and short codes are no numbers.
    pub fn number(&self, country: Option<u16>) -> Option<PhoneNumber> {
        match self.kind {
            AddressKind::International => PhoneNumber::parse(&self.to_text()).ok(),
            AddressKind::National => {
                let national = self.text.as_str().strip_prefix('0').filter(|rest| rest.len() >= NATIONAL_DIGITS_MIN)?;
                let full = match national.strip_prefix('0') {
                    Some(international) => Zeroizing::new(format!("+{international}")),
                    None => Zeroizing::new(format!("+{}{national}", country?)),
                };
                PhoneNumber::parse(&full).ok()
            }
            AddressKind::Name => None,
        }
    }

    /// Length in semi-octets, type, value: the form of TP-DA, TP-OA, TP-RA.
    pub(super) fn write(&self, octets: &mut Vec<u8>) {
        if self.kind == AddressKind::Name {
            // The length counts the semi-octets that are in use.
            let septets = septets_of(self.text.as_str()).unwrap_or_default();
            octets.push((septets.len() * 7).div_ceil(4) as u8);
            octets.push(TYPE_NAME);
            octets.extend_from_slice(&pack(&septets, 0));
        } else {
            octets.push(self.text.as_str().len() as u8);
            octets.push(if self.kind == AddressKind::International { TYPE_INTERNATIONAL } else { TYPE_UNKNOWN });
            let mut digits = self.text.as_str().chars().map(semi_octet);
            while let Some(first) = digits.next() {
                octets.push(first | digits.next().unwrap_or(FILLER) << 4);
            }
        }
    }

    pub(super) fn read(octets: &mut Octets<'_>) -> Result<Address, PduError> {
        let length = usize::from(octets.octet()?);
        let kind = octets.octet()?;
        if length > SEMI_OCTETS_MAX {
            return Err(PduError::Address);
        }
        let value = octets.take(length.div_ceil(2))?;
        if kind & TYPE_MASK == TYPE_NAME & TYPE_MASK {
            let septets = unpack(value, 0, length * 4 / 7);
            return Ok(Address { kind: AddressKind::Name, text: Hidden::new(characters_of(&septets)) });
        }
        Ok(Address { kind: kind_of(kind), text: digits_of(value, length) })
    }

    /// The service centre; nothing if the modem leaves it out.
    pub(super) fn read_centre(octets: &mut Octets<'_>) -> Result<Option<Address>, PduError> {
        let length = usize::from(octets.octet()?);
        let mut value = Octets::new(octets.take(length)?);
        if value.is_empty() {
            return Ok(None);
        }
        let kind = value.octet()?;
        let digits = value.take(length - 1)?;
        if digits.len() * 2 > SEMI_OCTETS_MAX + 2 {
            return Err(PduError::Address);
        }
        Ok(Some(Address { kind: kind_of(kind), text: digits_of(digits, digits.len() * 2) }))
    }
}

impl From<&PhoneNumber> for Address {
    fn from(number: &PhoneNumber) -> Address {
        let digits = number.as_e164().strip_prefix('+').unwrap_or(number.as_e164());
        Address { kind: AddressKind::International, text: Hidden::new(digits) }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(…)")
    }
}

fn kind_of(octet: u8) -> AddressKind {
    if octet & TYPE_MASK == TYPE_INTERNATIONAL & TYPE_MASK { AddressKind::International } else { AddressKind::National }
}

/// Swapped semi-octets up to the filler.
fn digits_of(octets: &[u8], count: usize) -> Hidden {
    let nibbles = octets.iter().flat_map(|octet| [octet & 0x0f, octet >> 4]);
    let mut text = String::with_capacity(SEMI_OCTETS_MAX + 2);
    text.extend(nibbles.take(count).take_while(|n| *n != FILLER).filter_map(|n| DIGITS.chars().nth(usize::from(n))));
    Hidden::new(text)
}

fn semi_octet(digit: char) -> u8 {
    DIGITS.chars().position(|known| known == digit).map_or(FILLER, |position| position as u8)
}

/// §9.1.2.3, value 0 first; 15 fills up.
const DIGITS: &str = "0123456789*#abc";
const FILLER: u8 = 0x0f;
/// Of a number that is written; E.164 has 15, and test networks more.
const DIGITS_MAX: usize = 20;
/// Of an address that is read: §9.1.2.5 allows 20.
const SEMI_OCTETS_MAX: usize = 20;
const NAME_SEPTETS_MAX: usize = 11;
const NATIONAL_DIGITS_MIN: usize = 5;
/// The type of number, without its numbering plan.
const TYPE_MASK: u8 = 0x70;
const TYPE_INTERNATIONAL: u8 = 0x91;
const TYPE_UNKNOWN: u8 = 0x81;
const TYPE_NAME: u8 = 0xd0;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(address: &Address) -> Vec<u8> {
        let mut octets = Vec::new();
        address.write(&mut octets);
        octets
    }

    #[test]
    fn addresses_are_written_and_read_again() {
        for (text, octets) in [
            ("+4915112345678", &[13, 0x91, 0x94, 0x51, 0x11, 0x32, 0x54, 0x76, 0xf8][..]),
            ("+491511234567", &[12, 0x91, 0x94, 0x51, 0x11, 0x32, 0x54, 0x76]),
            ("12345", &[5, 0x81, 0x21, 0x43, 0xf5]),
            ("*100#", &[5, 0x81, 0x1a, 0x00, 0xfb]),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(written(&address), octets);
            let read = Address::read(&mut Octets::new(octets)).unwrap();
            assert_eq!(read.to_text().as_str(), text);
            assert_eq!(format!("{read:?}"), "Address(…)");
        }
        for text in ["", "+", "+49 151", "hello", "123456789012345678901"] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_keep_their_length_in_semi_octets() {
        for name in ["MyBank", "A", "Kontalk", "ABCDEFGHIJK", "12345678", "€"] {
            let octets = written(&Address::name(name).unwrap());
            let read = Address::read(&mut Octets::new(&octets)).unwrap();
            assert_eq!((read.kind(), read.to_text().as_str()), (AddressKind::Name, name));
        }
        assert_eq!(Address::name("twelve chars"), None);
    }

    #[test]
    fn national_numbers_are_read_by_the_country_of_the_sim() {
        for (text, country, number) in [
            ("+4915112345678", None, Some("+4915112345678")),
            ("015112345678", Some(49), Some("+4915112345678")),
            ("015112345678", None, None),
            ("004915112345678", None, Some("+4915112345678")),
            ("12345", Some(49), None),
            ("0123", Some(49), None),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.number(country).as_ref().map(PhoneNumber::as_e164), number, "{text}");
        }
        assert_eq!(Address::name("MyBank").unwrap().number(Some(49)), None);
    }
}
