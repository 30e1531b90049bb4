//! Keys that sign notes, by C2SP signed-note and tlog-cosignature: Ed25519 (RFC 8032), named, each with a short id.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::note::NoteSignature;
use crate::stanza::Timestamp;

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// Type 0x01: the text.
    Note,
    /// Type 0x04: the text and when it was seen (a witness).
    Cosigner,
}

/// The public half of a note key. Reads and prints as `NAME+ID+KEY`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Verifier {
    name: String,
    kind: KeyKind,
    key: [u8; 32],
}

/// The text is no key of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifierError;

impl fmt::Display for VerifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a key in the form NAME+ID+KEY, or not a sound one")
    }
}

impl std::error::Error for VerifierError {}

impl KeyKind {
    fn byte(self) -> u8 {
        match self {
            KeyKind::Note => 1,
            KeyKind::Cosigner => 4,
        }
    }
}

impl Verifier {
    /// From its parts. The name has no spaces and no plus; the key must not be one that many signatures fit.
    pub fn new(name: &str, kind: KeyKind, key: [u8; 32]) -> Result<Verifier, VerifierError> {
        if !is_name(name) || !is_sound_key(&key) {
            return Err(VerifierError);
        }
        Ok(Verifier { name: name.to_owned(), kind, key })
    }

    /// Reads exactly the form that is printed; the id must be the key's.
    pub fn parse(text: &str) -> Result<Verifier, VerifierError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VerifierError);
        };
        let bytes = STANDARD.decode(key).map_err(|_| VerifierError)?;
        let (kind, key) = bytes.split_first().ok_or(VerifierError)?;
        let kind = match kind {
            1 => KeyKind::Note,
            4 => KeyKind::Cosigner,
            _ => return Err(VerifierError),
        };
        let key = <[u8; 32]>::try_from(key).map_err(|_| VerifierError)?;
        Verifier::new(name, kind, key).ok().filter(|read| read.to_string() == text).ok_or(VerifierError)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The 32 bytes.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The short id: the first four bytes of SHA-256 over name, line feed, type and key.
    pub fn id(&self) -> [u8; 4] {
        let mut hash = Sha256::new();
        hash.update(self.name.as_bytes());
        hash.update([b'\n', self.kind.byte()]);
        hash.update(self.key);
        let digest: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, ..] = digest;
        [a, b, c, d]
    }

    /// Is the line this key's, and good over the text?
    pub fn has_signed(&self, text: &str, line: &NoteSignature) -> bool {
        line.name == self.name && line.id == self.id() && self.verifies(text, &line.bytes).is_some()
    }

    /// Did this key sign the text? A cosigner also says when.
    pub(super) fn verifies(&self, text: &str, signature: &[u8]) -> Option<Option<Timestamp>> {
        match self.kind {
            KeyKind::Note => verify(&self.key, text.as_bytes(), signature).then_some(None),
            KeyKind::Cosigner => {
                let (secs, signature) = signature.split_first_chunk::<8>()?;
                let secs = u64::from_be_bytes(*secs);
                let at = Timestamp { millis: secs.checked_mul(1000)? };
                verify(&self.key, cosigned(text, secs).as_bytes(), signature).then_some(Some(at))
            }
        }
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.kind.byte()];
        key.extend_from_slice(&self.key);
        write!(f, "{}+{}+{}", self.name, hex(&self.id()), STANDARD.encode(key))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The secret half. Prints the public one; wiped when dropped.
pub struct Signer {
    public: Verifier,
    key: SigningKey,
}

impl Signer {
    /// From 32 bytes that nobody else knows.
    pub fn new(name: &str, kind: KeyKind, seed: &Zeroizing<[u8; 32]>) -> Result<Signer, VerifierError> {
        let key = SigningKey::from_bytes(seed);
        Ok(Signer { public: Verifier::new(name, kind, key.verifying_key().to_bytes())?, key })
    }

    /// The public half.
    pub fn public(&self) -> &Verifier {
        &self.public
    }

    /// Signs a text; `now` is what a cosigner says of the time, and of no matter for other keys.
    pub fn sign(&self, text: &str, now: Timestamp) -> NoteSignature {
        let bytes = match self.public.kind {
            KeyKind::Note => self.key.sign(text.as_bytes()).to_bytes().to_vec(),
            KeyKind::Cosigner => {
                let signature = self.key.sign(cosigned(text, now.secs()).as_bytes()).to_bytes();
                [now.secs().to_be_bytes().as_slice(), &signature].concat()
            }
        };
        NoteSignature { name: self.public.name.clone(), id: self.public.id(), bytes }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public)
    }
}

/// Is it a point that signatures can be checked against, and none of the few for which anything passes?
pub(super) fn is_sound_key(key: &[u8; 32]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| !key.is_weak())
}

/// C2SP signed-note: a name is not empty, and holds neither spaces nor a plus.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.contains(|c: char| c.is_whitespace() || c == '+' || c.is_control())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cosigned(text: &str, secs: u64) -> String {
    format!("cosignature/v1\ntime {secs}\n{text}")
}

fn verify(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_bytes(key), Signature::from_slice(signature)) else {
        return false;
    };
    // All who verify must agree: no leeway about how a point is written.
    key.verify_strict(message, &signature).is_ok()
}

/// A domain and what the key is for.
const NAME_BYTES_MAX: usize = 300;
