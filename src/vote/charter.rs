//! The charter: the agreement of the operators in plain words. Its hash stands in the state, it is changed by vote alone, and who
//! joins signs it.

use super::id::{CharterHash, NetworkId};
use super::text::{self, Lines, TextError, canonical};
use crate::trust::{NodeDomain, Note, NoteSignature, Signer, Verifier};

/// The text of an agreement: plain text, up to [`CHARTER_BYTES_MAX`] bytes, its lines end with a line feed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Charter(String);

impl Charter {
    /// Reads one. It has no control characters but line feeds, and ends with one.
    pub fn parse(bytes: &[u8]) -> Result<Charter, TextError> {
        if bytes.len() > CHARTER_BYTES_MAX {
            return Err(TextError::TooLong);
        }
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.trim() != "" && text.ends_with('\n'));
        let text = text.filter(|text| !text.contains(|c: char| c.is_control() && c != '\n'));
        text.map(|text| Charter(text.to_owned())).ok_or(TextError::Line("charter"))
    }

    /// Its words.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Its name.
    pub fn hash(&self) -> CharterHash {
        CharterHash::of(&self.0)
    }
}

/// What an operator signs with the vote key of the node: that he keeps to this charter in this network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The network.
    pub network: NetworkId,
    /// The charter.
    pub charter: CharterHash,
    /// Whose word it is.
    pub by: NodeDomain,
}

/// A consent and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedConsent {
    consent: Consent,
    note: Note,
}

impl Consent {
    /// Reads exactly the text that [`Consent::to_text`] writes.
    pub fn parse(text: &str) -> Result<Consent, TextError> {
        let mut lines = Lines::of(text, HEAD)?;
        let (network, charter, by) = (lines.read("network")?, lines.read("charter")?, lines.domain("by")?);
        let consent = Consent { network, charter, by };
        let written = consent.to_text();
        canonical(consent, &written, text)
    }

    /// The one text of this consent.
    pub fn to_text(&self) -> String {
        format!("{HEAD}\nnetwork {}\ncharter {}\nby {}\n", self.network, self.charter, self.by)
    }
}

impl SignedConsent {
    /// Signs it with the node's vote key.
    pub fn make(consent: Consent, vote: &Signer) -> SignedConsent {
        let text = consent.to_text();
        let line: NoteSignature = text::sign(vote, &text);
        SignedConsent { consent, note: text::note(text, line) }
    }

    /// Reads one; whether the signature is good is judged where the key is known.
    pub fn parse(bytes: &[u8]) -> Result<SignedConsent, TextError> {
        let note = Note::parse(bytes).map_err(TextError::Note)?;
        Ok(SignedConsent { consent: Consent::parse(note.text())?, note })
    }

    /// What is signed.
    pub fn consent(&self) -> &Consent {
        &self.consent
    }

    /// Has this key signed it?
    pub fn is_signed_by(&self, key: &Verifier) -> bool {
        self.note.is_signed_by(key)
    }

    /// Text and signature as one file.
    pub fn to_text(&self) -> String {
        self.note.to_string()
    }
}

/// Bytes of a charter.
pub const CHARTER_BYTES_MAX: usize = 32 * 1024;
const HEAD: &str = "kontalk-consent-v1";
