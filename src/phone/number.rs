//! A telephone number in E.164 form, normalised as the clients normalise it.

use std::fmt;

use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use super::calling_codes;

/// A telephone number: `+`, country calling code, national number. Never printed, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber {
    /// E.164 with the plus.
    text: Zeroizing<String>,
    country_code: u16,
}

impl PhoneNumber {
    /// Reads a number in international form: a plus first (also the full-width one), then digits of any script with the
    /// punctuation people put between them. An existing country calling code and 2 to 17 national digits are wanted, nothing
    /// more: whether a number is in use only a text message can tell.
    ///
    /// The digits are kept as they came, because the client hashes its own result into the user id of its key and the two
    /// must agree. The one exception is the client's own rule for Argentina: a 9 follows +54.
    pub fn parse(text: &str) -> Result<PhoneNumber, PhoneError> {
        let digits = read_digits(text)?;
        let (country_code, national) = split_country(&digits)?;
        match national.len() {
            0..NATIONAL_DIGITS_MIN => return Err(PhoneError::TooShort),
            NATIONAL_DIGITS_MIN..=NATIONAL_DIGITS_MAX => {}
            _ => return Err(PhoneError::TooLong),
        }
        // Kontalk identity, client special cases: "+54 11 …" and "+54 9 11 …" are one mobile number. The client puts the 9
        // there after its library has judged the length, so it may be the eighteenth digit.
        let mobile = if country_code == ARGENTINA && !national.starts_with('9') { "9" } else { "" };
        let mut text = Zeroizing::new(String::with_capacity(TEXT_BYTES_MAX));
        text.push('+');
        text.push_str(&country_code.to_string());
        text.push_str(mobile);
        text.push_str(national);
        Ok(PhoneNumber { text, country_code })
    }

    /// The number in E.164 form with its plus: the one way out, for the sender of the text message. Not for logs, errors or
    /// the store.
    pub fn as_e164(&self) -> &str {
        &self.text
    }

    /// The account's localpart: lowercase hexadecimal SHA-1 of the E.164 form, plus included (Kontalk identity). Anybody can
    /// find the number to it by trying them all, so it is no secret kept, only one not shown.
    pub fn localpart(&self) -> String {
        Sha1::digest(self.text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The country calling code, 1 to 999.
    pub fn country_code(&self) -> u16 {
        self.country_code
    }

    /// The first `digits` digits, country calling code included, plus left out; all if there are fewer.
    pub fn prefix(&self, digits: usize) -> NumberPrefix {
        NumberPrefix(Zeroizing::new(self.text.chars().skip(1).take(digits).collect()))
    }

    /// The digits without the last `count`: the block of numbers that this one stands in, of ten to the power of `count`.
    pub fn block(&self, count: usize) -> NumberPrefix {
        self.prefix(self.text.len().saturating_sub(1).saturating_sub(count))
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber(…)")
    }
}

/// The beginning of a number, for throttles. Never printed, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct NumberPrefix(Zeroizing<String>);

impl NumberPrefix {
    /// The digits: the one way out, for a [`HashKey`](super::HashKey).
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NumberPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NumberPrefix(…)")
    }
}

/// Why a text is no telephone number in international form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhoneError {
    /// It does not begin with a plus.
    NoPlus,
    /// It holds a letter or another character that no telephone number has: vanity numbers and extensions too.
    UnknownCharacter,
    /// No country has this calling code.
    UnknownCountry,
    /// Fewer than 2 digits behind the country calling code.
    TooShort,
    /// More than 17 digits behind the country calling code, or more than 250 bytes of text.
    TooLong,
}

impl fmt::Display for PhoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PhoneError::NoPlus => "the number must begin with + and the country code",
            PhoneError::UnknownCharacter => "the number has a character that is neither a digit nor punctuation",
            PhoneError::UnknownCountry => "no country has this calling code",
            PhoneError::TooShort => "the number is too short",
            PhoneError::TooLong => "the number is too long",
        })
    }
}

impl std::error::Error for PhoneError {}

/// The value of a decimal digit of any script.
pub(super) fn digit_value(c: char) -> Option<char> {
    let value = DIGIT_ZEROS.iter().find_map(|zero| u32::from(c).checked_sub(*zero).filter(|value| *value < 10))?;
    char::from_digit(value, 10)
}

/// The digits behind the plus, as ASCII.
fn read_digits(text: &str) -> Result<Zeroizing<String>, PhoneError> {
    if text.len() > INPUT_BYTES_MAX {
        return Err(PhoneError::TooLong);
    }
    // Enough for every digit: growing would leave copies behind.
    let mut digits = Zeroizing::new(String::with_capacity(text.len()));
    let mut plus_seen = false;
    for c in text.trim().chars() {
        if let Some(digit) = digit_value(c) {
            if !plus_seen {
                return Err(PhoneError::NoPlus);
            }
            digits.push(digit);
        } else if matches!(c, '+' | '\u{ff0b}') && digits.is_empty() {
            plus_seen = true;
        } else if !is_punctuation(c) {
            return Err(PhoneError::UnknownCharacter);
        }
    }
    if plus_seen { Ok(digits) } else { Err(PhoneError::NoPlus) }
}

/// The country calling code and what follows. No code is the beginning of another, so the shortest that exists is it.
fn split_country(digits: &str) -> Result<(u16, &str), PhoneError> {
    if digits.len() < NATIONAL_DIGITS_MIN {
        return Err(PhoneError::TooShort);
    }
    for length in 1..=COUNTRY_DIGITS_MAX {
        let Some((head, national)) = digits.split_at_checked(length) else { break };
        // A leading zero would read as the shorter code behind it.
        let code = head.parse().ok().filter(|code| !head.starts_with('0') && calling_codes::exists(*code));
        if let Some(code) = code {
            return Ok((code, national));
        }
    }
    Err(PhoneError::UnknownCountry)
}

/// What people and address books put between digits: what the clients' telephone library calls valid punctuation, and the
/// invisible marks that come along when a number is copied from right-to-left text.
fn is_punctuation(c: char) -> bool {
    matches!(c,
        ' ' | '-' | '.' | '(' | ')' | '[' | ']' | '/' | '~'
        | '\u{a0}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2010}'..='\u{2015}' | '\u{202a}'..='\u{202f}'
        | '\u{2053}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{2212}' | '\u{223c}' | '\u{3000}' | '\u{30fc}' | '\u{feff}'
        | '\u{ff08}' | '\u{ff09}' | '\u{ff0d}'..='\u{ff0f}' | '\u{ff3b}' | '\u{ff3d}' | '\u{ff5e}')
}

/// The zeros of the scripts that have decimal digits (Unicode category Nd, Basic Multilingual Plane); 1 to 9 follow each.
const DIGIT_ZEROS: &[u32] = &[
    0x0030, 0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6,
    0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40,
    0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];
const ARGENTINA: u16 = 54;
const COUNTRY_DIGITS_MAX: usize = 3;
const NATIONAL_DIGITS_MIN: usize = 2;
const NATIONAL_DIGITS_MAX: usize = 17;
/// Plus, country calling code, Argentina's 9, national number.
const TEXT_BYTES_MAX: usize = 1 + COUNTRY_DIGITS_MAX + 1 + NATIONAL_DIGITS_MAX;
/// Longer input is no number, whatever it holds.
const INPUT_BYTES_MAX: usize = 250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localparts_are_those_of_the_test_vectors() {
        for (number, localpart) in [
            ("+15555215554", "4bdd4f929f3a1062253e4e496bafba0bdfb5db75"),
            ("+393351234567", "377fd61c6b5cebe3d4c916de3858c0d09163ce5a"),
            ("+5491112345678", "f0d1569e981c8804b37581666d9303d778940bef"),
            ("+442079460123", "16a096f6792257d505af56c95e7d26220c5fdfe7"),
            ("+4915112345678", "e59f9b9d3d001f7ed3e3a157eb6de87d35f4207b"),
            ("+14155550100", "069e175e2bdfaf2779e43bb10dee192f77a47cc9"),
            ("+97150123456", "ec41b1cf283b7a3088474addccc8881bd0804b61"),
        ] {
            assert_eq!(PhoneNumber::parse(number).unwrap().localpart(), localpart, "{number}");
        }
        // The wrong one: without the plus it is refused, not hashed.
        assert_eq!(PhoneNumber::parse("15555215554"), Err(PhoneError::NoPlus));
    }

    #[test]
    fn what_people_write_becomes_e164() {
        for (text, e164, country) in [
            ("+1 (555) 521-5554", "+15555215554", 1),
            (" +1.555.521.5554\n", "+15555215554", 1),
            ("(+49) 151/123 456 78", "+4915112345678", 49),
            ("++44 20 7946 0123", "+442079460123", 44),
            ("＋１ ５５５ ５２１ ５５５４", "+15555215554", 1),
            ("+٩٧١٥٠١٢٣٤٥٦", "+97150123456", 971),
            ("+۹۸۹۱۲۳۴۵۶۷۸۹", "+989123456789", 98),
            ("+९१ ९८७६५ ४३२१०", "+919876543210", 91),
            ("\u{202a}+97150123456\u{202c}", "+97150123456", 971),
            ("+39\u{2011}06\u{a0}1234567", "+39061234567", 39),
            // Argentina: the client's rule; a number that has the 9 is kept.
            ("+54 11 1234 5678", "+5491112345678", 54),
            ("+54 9 11 1234 5678", "+5491112345678", 54),
            // Mexico's old mobile prefix is the client's business, and the machine-to-machine numbers of the Netherlands pass.
            ("+52 1 55 1234 5678", "+5215512345678", 52),
            ("+52 55 1234 5678", "+525512345678", 52),
            ("+31 970 12345678", "+3197012345678", 31),
            // Loose bounds: 2 and 17 national digits.
            ("+4412", "+4412", 44),
            ("+44 12345678901234567", "+4412345678901234567", 44),
            ("+54 12345678901234567", "+54912345678901234567", 54),
            ("+870 123456", "+870123456", 870),
        ] {
            let number = PhoneNumber::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((number.as_e164(), number.country_code()), (e164, country), "{text}");
            // What came out goes in again unchanged.
            if number.as_e164().len() <= 20 {
                assert_eq!(PhoneNumber::parse(e164), Ok(number));
            }
        }
    }

    #[test]
    fn what_is_no_international_number_is_refused() {
        for (text, error) in [
            ("", PhoneError::NoPlus),
            ("   ", PhoneError::NoPlus),
            ("+", PhoneError::TooShort),
            ("+1", PhoneError::TooShort),
            ("+441", PhoneError::TooShort),
            ("004915112345678", PhoneError::NoPlus),
            ("030 123456", PhoneError::NoPlus),
            ("1+5555215554", PhoneError::NoPlus),
            ("+1555+5215554", PhoneError::UnknownCharacter),
            ("+1 800 FLOWERS", PhoneError::UnknownCharacter),
            ("+15555215554;ext=12", PhoneError::UnknownCharacter),
            ("+15555215554 x12", PhoneError::UnknownCharacter),
            ("tel:+15555215554", PhoneError::UnknownCharacter),
            ("+1555521555*4", PhoneError::UnknownCharacter),
            ("+1555\u{0}5215554", PhoneError::UnknownCharacter),
            ("+1555²5215554", PhoneError::UnknownCharacter),
            ("+0123456789", PhoneError::UnknownCountry),
            ("+01 555 5215554", PhoneError::UnknownCountry),
            ("+21012345678", PhoneError::UnknownCountry),
            ("+37912345678", PhoneError::UnknownCountry),
            ("+99912345678", PhoneError::UnknownCountry),
            ("+44123456789012345678", PhoneError::TooLong),
        ] {
            assert_eq!(PhoneNumber::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(PhoneNumber::parse(&format!("+1{}", " ".repeat(300))), Err(PhoneError::TooLong));
        assert_eq!(PhoneNumber::parse(&"+".repeat(251)), Err(PhoneError::TooLong));
    }

    #[test]
    fn nothing_of_a_number_is_printed() {
        let number = PhoneNumber::parse("+15555215554").unwrap();
        assert_eq!(format!("{number:?}"), "PhoneNumber(…)");
        assert_eq!(format!("{:?}", number.prefix(3)), "NumberPrefix(…)");
    }

    #[test]
    fn prefixes_count_from_the_country_code_and_blocks_from_the_end() {
        let number = PhoneNumber::parse("+15555215554").unwrap();
        assert_eq!(number.prefix(4).digits(), "1555");
        assert_eq!(number.prefix(99).digits(), "15555215554");
        assert_eq!(number.block(4).digits(), "1555521");
        assert_eq!(number.block(99).digits(), "");
    }
}
