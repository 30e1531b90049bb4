//! Countries and parts of countries, by what their numbers begin with.

use std::fmt;

use super::PhoneNumber;

/// A country, or a part of one: what numbers begin with, such as `+49` or `+1212`. It names nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area(String);

impl Area {
    /// From a plus and up to seven digits. `None` for anything else.
    pub fn parse(text: &str) -> Option<Area> {
        let digits = text.strip_prefix('+')?;
        let fits = (1..=AREA_DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        (fits && !digits.starts_with('0')).then(|| Area(digits.to_owned()))
    }

    /// Does the number begin so?
    pub fn covers(&self, number: &PhoneNumber) -> bool {
        number.as_e164().strip_prefix('+').is_some_and(|digits| digits.starts_with(&self.0))
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

/// More would come near to naming somebody.
const AREA_DIGITS_MAX: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_a_plus_and_some_digits() {
        for (text, good) in [
            ("+49", true),
            ("+1212", true),
            ("+1234567", true),
            ("49", false),
            ("+", false),
            ("+0", false),
            ("+12345678", false),
            ("+4 9", false),
        ] {
            assert_eq!(Area::parse(text).is_some(), good, "{text}");
        }
        let area = Area::parse("+49").unwrap();
        assert_eq!(area.to_string(), "+49");
        assert!(area.covers(&PhoneNumber::parse("+4915112345678").unwrap()));
        assert!(!area.covers(&PhoneNumber::parse("+442079460123").unwrap()));
    }
}
