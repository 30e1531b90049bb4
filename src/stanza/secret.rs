//! Text of a stanza that must not be printed.

use std::fmt;

use zeroize::Zeroizing;

/// A password that came in a stanza. It is wiped when dropped and does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes it in.
    pub fn new(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }

    /// In the clear.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
