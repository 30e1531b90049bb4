//! Moved: a user's own word, signed with the user's OpenPGP key, that the account is at another node now. Its sense is XEP-0283's,
//! but nobody need ask the old node, which may be hostile or gone: whoever pinned the key checks the key.

use std::fmt;

use super::text::{Lines, TextError, canonical};
use crate::jid::BareJid;
use crate::pgp::{Fingerprint, UserRing};
use crate::stanza::Timestamp;

/// What is signed, with a detached signature of the key that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where the account was.
    pub from: BareJid,
    /// Where it is.
    pub to: BareJid,
    /// The user's key, the same at both.
    pub key: Fingerprint,
}

/// Why a statement is not believed. The peer's fault in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MovedRefusal {
    /// The key is not the one it names.
    OtherKey,
    /// The key has no user id for one of the addresses.
    NotItsAddress,
    /// The key did not sign it.
    NotSigned,
    /// A statement at least as new is known.
    NotNewer,
}

impl fmt::Display for MovedRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MovedRefusal::OtherKey => "it names another key",
            MovedRefusal::NotItsAddress => "the key is not of both addresses",
            MovedRefusal::NotSigned => "the key did not sign it",
            MovedRefusal::NotNewer => "it is not newer than what is known",
        })
    }
}

impl std::error::Error for MovedRefusal {}

impl Moved {
    /// Reads exactly the text that [`Moved::to_text`] writes. Both addresses are accounts, at different nodes.
    pub fn parse(text: &str) -> Result<Moved, TextError> {
        if text.len() > MOVED_BYTES_MAX {
            return Err(TextError::TooLong);
        }
        let mut lines = Lines::of(text, HEAD)?;
        let account = |value: &str| value.parse::<BareJid>().ok().filter(|jid| jid.localpart().is_some());
        let (from, to) = (lines.with("from", account)?, lines.with("to", account)?);
        if from.domainpart() == to.domainpart() {
            return Err(TextError::Line("to"));
        }
        let moved = Moved { from, to, key: lines.read("fpr")? };
        let written = moved.to_text();
        canonical(moved, &written, text)
    }

    /// The one text of this statement.
    pub fn to_text(&self) -> String {
        format!("{HEAD}\nfrom {}\nto {}\nfpr {}\n", self.from, self.to, crate::trust::hex(self.key.as_bytes()))
    }

    /// Is it the word of this key, whose ring names both addresses? Then when it was given; it must be newer than what is known.
    pub fn accept(
        &self,
        signature: &[u8],
        ring: &UserRing,
        known: Option<Timestamp>,
    ) -> Result<Timestamp, MovedRefusal> {
        if ring.fingerprint() != self.key {
            return Err(MovedRefusal::OtherKey);
        }
        let names = |address: &BareJid| ring.address_at(address.domainpart()).as_ref() == Some(address);
        if !names(&self.from) || !names(&self.to) {
            return Err(MovedRefusal::NotItsAddress);
        }
        let at = ring.signed_text(signature, self.to_text().as_bytes()).ok_or(MovedRefusal::NotSigned)?;
        if known.is_some_and(|known| at <= known) { Err(MovedRefusal::NotNewer) } else { Ok(at) }
    }
}

const MOVED_BYTES_MAX: usize = 8 * 1024;
const HEAD: &str = "kontalk-moved-v1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_one_text() {
        let moved = Moved {
            from: "4bdd4f929f3a1062253e4e496bafba0bdfb5db75@a.example".parse().unwrap(),
            to: "4bdd4f929f3a1062253e4e496bafba0bdfb5db75@c.example".parse().unwrap(),
            key: Fingerprint([0xAB; 20]),
        };
        let text = moved.to_text();
        assert_eq!(Moved::parse(&text), Ok(moved));
        for (wrong, error) in [
            (text.replace("fpr abab", "fpr ABAB"), TextError::NotCanonical),
            (text.replace("@a.example", "@A.example"), TextError::NotCanonical),
            (text.replace("@a.example", "@c.example"), TextError::Line("to")),
            (text.replace("from 4bdd", "from @4bdd"), TextError::Line("from")),
            (text.replace("4bdd4f929f3a1062253e4e496bafba0bdfb5db75@a", "a"), TextError::Line("from")),
            (format!("{text}\n"), TextError::NotCanonical),
        ] {
            assert_eq!(Moved::parse(&wrong), Err(error), "{wrong}");
        }
    }
}
