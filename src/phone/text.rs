//! The text message that brings a code.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::Code;
use crate::limits::CODE_TTL;

/// What a text message says. Never printed, wiped when dropped.
#[derive(Clone)]
pub struct SmsText {
    text: Zeroizing<String>,
    code: Code,
}

impl SmsText {
    /// The message for a code: one part, only characters that the GSM alphabet shares with ASCII. The code comes first, and
    /// there is no other digit: clients read the message and look for the digits.
    pub fn verification(code: &Code) -> SmsText {
        let mut text = Zeroizing::new(String::with_capacity(code.digits().len() + REST.len()));
        text.push_str(code.digits());
        text.push_str(REST);
        SmsText { text, code: code.clone() }
    }

    /// The text: the one way out, for whoever sends it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The code alone, for senders whose network has a template of its own, and for the trial node's terminal.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// How long it is worth delivering: later it only confuses.
    pub fn lifetime(&self) -> Duration {
        CODE_TTL
    }
}

impl fmt::Debug for SmsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmsText(…)")
    }
}

/// "Ten" in letters, because of the digits.
const REST: &str = " is your Kontalk code, good for ten minutes. Do not share it.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_the_code_first_and_no_other_digit() {
        let text = SmsText::verification(&Code::parse("012345").unwrap());
        assert_eq!(text.as_str(), "012345 is your Kontalk code, good for ten minutes. Do not share it.");
        assert_eq!(text.as_str().chars().filter(char::is_ascii_digit).collect::<String>(), text.code().digits());
        assert!(text.as_str().len() <= 160);
        assert!(text.as_str().chars().all(|c| c.is_ascii_alphanumeric() || " ,.".contains(c)));
        assert_eq!(format!("{text:?}"), "SmsText(…)");
    }

    #[test]
    fn the_text_tells_the_truth_about_its_lifetime() {
        assert_eq!(CODE_TTL, Duration::from_secs(10 * 60));
    }
}
