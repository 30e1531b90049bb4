//! The verification code: six decimal digits, as the clients' input box and reader of text messages are made for.

use std::fmt;

use zeroize::Zeroizing;

use super::number::digit_value;
use super::{HashKey, KeyedHash};

/// A verification code, sent or typed in. Never printed, wiped when dropped.
#[derive(Clone)]
pub struct Code {
    digits: Zeroizing<String>,
}

impl Code {
    /// A code from eight bytes of the operating system's randomness. Some codes are more likely than others by one part
    /// in 10^13; nobody can make use of that.
    pub fn from_random(random: [u8; 8]) -> Code {
        let value = u64::from_le_bytes(random) % CODES;
        let mut digits = Zeroizing::new(String::with_capacity(CODE_DIGITS));
        for place in (0..CODE_DIGITS as u32).rev() {
            let digit = value / 10u64.pow(place) % 10;
            digits.extend(u32::try_from(digit).ok().and_then(|digit| char::from_digit(digit, 10)));
        }
        Code { digits }
    }

    /// A code as a user typed it: six digits of any script; spaces and dashes between them are forgiven.
    pub fn parse(text: &str) -> Option<Code> {
        Code::typed(text).filter(|code| code.digits.len() == CODE_DIGITS)
    }

    /// Digits as a user typed them where the code need not be ours: a provider's, of 4 to 10 digits, or those of the number that
    /// rang, which may be typed in as a whole.
    pub fn typed(text: &str) -> Option<Code> {
        let mut digits = Zeroizing::new(String::with_capacity(TYPED_DIGITS_MAX));
        for c in text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '+')) {
            // Never more, so that the text never moves and leaves a copy behind.
            if digits.len() == TYPED_DIGITS_MAX {
                return None;
            }
            digits.push(digit_value(c)?);
        }
        (digits.len() >= TYPED_DIGITS_MIN).then_some(Code { digits })
    }

    /// The last digits alone; all if there are fewer.
    #[must_use]
    pub fn tail(&self, count: usize) -> Code {
        let from = self.digits.len().saturating_sub(count);
        Code { digits: Zeroizing::new(self.digits.get(from..).unwrap_or_default().to_owned()) }
    }

    /// The digits: the one way out, for the text message.
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// What is kept of the code until it is typed in, bound to the address it was sent for. Hashes compare in constant time.
    pub fn at_rest(&self, key: &HashKey, address: &str) -> KeyedHash {
        key.hash("code", &[address.as_bytes(), self.digits.as_bytes()])
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

/// Digits of a code.
pub const CODE_DIGITS: usize = 6;

/// Digits that a user may type in; the greatest telephone number has fewer.
const TYPED_DIGITS_MIN: usize = 4;
const TYPED_DIGITS_MAX: usize = 24;
const CODES: u64 = 10u64.pow(CODE_DIGITS as u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_six_digits_with_leading_zeros() {
        for (random, digits) in [
            (0u64, "000000"),
            (7, "000007"),
            (123_456, "123456"),
            (1_000_000, "000000"),
            (9_999_999, "999999"),
            (u64::MAX, "551615"),
        ] {
            let code = Code::from_random(random.to_le_bytes());
            assert_eq!(code.digits(), digits);
            assert_eq!(format!("{code:?}"), "Code(…)");
        }
    }

    #[test]
    fn typed_codes_are_read_kindly() {
        for (text, digits) in [
            ("123456", Some("123456")),
            (" 123 456\n", Some("123456")),
            ("123-456", Some("123456")),
            ("1234", None),
            ("１２３４５６", Some("123456")),
            ("٠٠٠٠٠٧", Some("000007")),
            ("12345", None),
            ("1234567", None),
            ("12345a", None),
            ("", None),
        ] {
            assert_eq!(Code::parse(text).as_ref().map(Code::digits), digits, "{text:?}");
        }
    }

    #[test]
    fn other_codes_have_four_digits_at_least_and_a_tail() {
        for (text, digits, tail) in [
            ("1234", Some("1234"), "1234"),
            ("12345678", Some("12345678"), "5678"),
            ("+49 151 1234-5678", Some("4915112345678"), "5678"),
            ("123", None, ""),
            ("1234567890123456789012345", None, ""),
            ("12a4", None, ""),
        ] {
            let code = Code::typed(text);
            assert_eq!(code.as_ref().map(Code::digits), digits, "{text:?}");
            assert_eq!(code.map(|code| code.tail(4).digits().to_owned()).unwrap_or_default(), tail);
        }
    }

    #[test]
    fn hashes_at_rest_depend_on_key_address_and_code() {
        let (code, key) = (Code::parse("123456").unwrap(), HashKey::new([1; 32]));
        let hash = code.at_rest(&key, "a@b");
        assert_eq!(hash, Code::parse("123-456").unwrap().at_rest(&key, "a@b"));
        assert_ne!(hash, Code::parse("123457").unwrap().at_rest(&key, "a@b"));
        assert_ne!(hash, code.at_rest(&key, "a@c"));
        assert_ne!(hash, code.at_rest(&HashKey::new([2; 32]), "a@b"));
    }
}
