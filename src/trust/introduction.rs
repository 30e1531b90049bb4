//! What one operator hands another: the card, the certificate of its key, and where the node is, in one file of plain text.
//!
//! First the signed card, then the certificate in ASCII armor, then, if there is one, the signed reach. `gpg --show-keys` reads the
//! middle, note tools the rest.

use std::fmt;

use super::card::{CardError, SignedCard};
use super::reach::{ReachRefusal, SignedReach};
use crate::pgp::{RingError, UserRing};

/// A node as it is introduced. Nothing is verified yet but the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// Its card.
    pub card: SignedCard,
    /// The certificate of its key.
    pub certificate: UserRing,
    /// Where it is.
    pub reach: Option<SignedReach>,
}

/// Why a text is no introduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntroductionError {
    /// It is too long, or has no certificate in it.
    Form,
    /// Its card.
    Card(CardError),
    /// Its certificate.
    Certificate(RingError),
    /// Its reach.
    Reach(ReachRefusal),
}

impl Introduction {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Introduction, IntroductionError> {
        if text.len() > INTRODUCTION_BYTES_MAX {
            return Err(IntroductionError::Form);
        }
        let (card, rest) = text.split_once(BEGIN).ok_or(IntroductionError::Form)?;
        let (certificate, reach) = rest.split_once(END).ok_or(IntroductionError::Form)?;
        // An empty line between the blocks is for the eye, and mails add carriage returns.
        let block = |text: &str| format!("{}\n", text.replace('\r', "").trim_matches('\n'));
        let card = SignedCard::parse(block(card).as_bytes()).map_err(IntroductionError::Card)?;
        let armored = format!("{BEGIN}{certificate}{END}\n");
        let certificate = UserRing::parse_armored(armored.as_bytes()).map_err(IntroductionError::Certificate)?;
        let reach = match block(reach).as_str() {
            "\n" => None,
            reach => Some(SignedReach::parse(reach.as_bytes()).map_err(IntroductionError::Reach)?),
        };
        Ok(Introduction { card, certificate, reach })
    }
}

impl fmt::Display for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.card.to_text(), self.certificate.armored())?;
        match &self.reach {
            Some(reach) => write!(f, "\n{}", reach.to_text()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for IntroductionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IntroductionError::Form => f.write_str("this is no card of a node, as `kontalk-node trust card` prints it"),
            IntroductionError::Card(error) => write!(f, "the card cannot be read: {error}"),
            IntroductionError::Certificate(error) => write!(f, "the key beside the card cannot be read: {error}"),
            IntroductionError::Reach(error) => write!(f, "the addresses beside the card cannot be read: {error}"),
        }
    }
}

impl std::error::Error for IntroductionError {}

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";
/// Bytes of an introduction.
pub const INTRODUCTION_BYTES_MAX: usize = 48 * 1024;
