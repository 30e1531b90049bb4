//! Providers that make the code, send it, and say whether what a user typed is it. The node never knows the code.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::SmsError;
use crate::phone::{Code, PhoneNumber};

/// A way to have a number verified. The outcomes that are no success are those of a message, [`SmsError`].
pub trait Verifier: Send + Sync {
    /// Has a code made and sent to the number. Asking again while the code is good may send the same one again, or be refused.
    fn start<'a>(&'a self, to: &'a PhoneNumber) -> Starting<'a>;

    /// Asks whether this is the code. A verification ends with the right code, with too many wrong ones (about five; the
    /// provider counts), and with its time (about ten minutes).
    ///
    /// [`SmsError::Unknown`]: no answer came. A code that was right may be used up by it; asking once more is allowed, and
    /// [`Checked::Over`] then means that the user needs a new one.
    fn check<'a>(&'a self, id: &'a VerificationId, code: &'a Code) -> Checking<'a>;

    /// What it is, for status and logs: a few words without secrets.
    fn describe(&self) -> String;
}

/// The verification to be, or why there is none.
pub type Starting<'a> = Pin<Box<dyn Future<Output = Result<VerificationId, SmsError>> + Send + 'a>>;

/// The provider's answer to be about one code.
pub type Checking<'a> = Pin<Box<dyn Future<Output = Result<Checked, SmsError>> + Send + 'a>>;

/// What a provider says of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is the one: the number is verified, and the verification at its end.
    Right,
    /// It is not; the user may try again.
    Wrong,
    /// There is no such verification any more: its time is over, or its guesses are used up. Only a new one helps.
    Over,
}

/// How a provider calls one verification. It stays in memory as long as the code is good, and is not shown to anybody.
#[derive(Clone, PartialEq, Eq)]
pub struct VerificationId(String);

impl VerificationId {
    /// A provider's word. `None`: it would not fit into a URL as it is, or has more than 64 characters.
    pub fn new(text: &str) -> Option<VerificationId> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        ((1..=ID_BYTES_MAX).contains(&text.len()) && text.chars().all(fits)).then(|| VerificationId(text.to_owned()))
    }

    /// The provider's word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for VerificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerificationId(…)")
    }
}

const ID_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_words_that_fit_into_a_url() {
        for (text, fits) in [
            ("VE0123456789abcdef0123456789abcdef", true),
            ("c11236f4-00bf-4b89-84ba-88b25df97315", true),
            ("", false),
            ("../Services", false),
            ("a b", false),
            ("a?b", false),
            (&"a".repeat(65), false),
        ] {
            assert_eq!(VerificationId::new(text).is_some(), fits, "{text:?}");
        }
        assert!(!format!("{:?}", VerificationId::new("VE01").unwrap()).contains("VE01"));
    }
}
