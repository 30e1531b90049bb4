//! Signed notes, by C2SP signed-note: a text, an empty line, and below it a line for each signature.
//!
//! A note is read whatever keys signed it; lines of keys that nobody asks for are carried along. A key has signed if it has at
//! least one line and all its lines are good. Limits: [`NOTE_BYTES_MAX`], [`NOTE_SIGNATURES_MAX`].

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::key::{Signer, Verifier, is_name};
use crate::stanza::Timestamp;

/// A text and who signed it.
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One line below the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// The key's name.
    pub name: String,
    /// The key's short id.
    pub id: [u8; 4],
    /// The signature.
    pub bytes: Vec<u8>,
}

/// Why bytes are no note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteError {
    /// More bytes or signatures than the reader takes; of one node, [`NOTE_BYTES_MAX`] and [`NOTE_SIGNATURES_MAX`].
    TooLong,
    /// Not UTF-8, or control characters in it.
    NotText,
    /// No empty line between text and signatures, or no signature.
    NoSignature,
    /// A signature's line is not `— NAME BASE64`.
    SignatureMalformed,
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoteError::TooLong => "the note is too long",
            NoteError::NotText => "the note is not plain text",
            NoteError::NoSignature => "the note is not signed",
            NoteError::SignatureMalformed => "a signature of the note is malformed",
        })
    }
}

impl std::error::Error for NoteError {}

impl Note {
    /// A text that nobody has signed yet; it ends with a line feed.
    pub fn new(text: String) -> Note {
        Note { text, signatures: Vec::new() }
    }

    /// Reads a note about one node.
    pub fn parse(bytes: &[u8]) -> Result<Note, NoteError> {
        Note::parse_within(bytes, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX)
    }

    /// Reads a note that may be so long and have so many signatures.
    pub fn parse_within(bytes: &[u8], bytes_max: usize, signatures_max: usize) -> Result<Note, NoteError> {
        if bytes.len() > bytes_max {
            return Err(NoteError::TooLong);
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::NotText)?;
        if whole.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteError::NotText);
        }
        let (text, lines) = whole.rsplit_once("\n\n").ok_or(NoteError::NoSignature)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::NoSignature)?;
        if text.is_empty() {
            return Err(NoteError::NotText);
        }
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == signatures_max {
                return Err(NoteError::TooLong);
            }
            signatures.push(NoteSignature::parse(line).ok_or(NoteError::SignatureMalformed)?);
        }
        Ok(Note { text: format!("{text}\n"), signatures })
    }

    /// What is signed, its last line feed included.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whoever signed.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature of this key.
    #[must_use]
    pub fn signed(mut self, signer: &Signer, now: Timestamp) -> Note {
        let signature = signer.sign(&self.text, now);
        self.signatures.push(signature);
        self
    }

    /// Adds a line that was made elsewhere.
    #[must_use]
    pub fn with(mut self, signature: NoteSignature) -> Note {
        self.signatures.push(signature);
        self
    }

    /// Has this key signed the text?
    pub fn is_signed_by(&self, key: &Verifier) -> bool {
        self.lines_of(key.name(), key.id())
            .fold(None, |so_far, line| Some(so_far.unwrap_or(true) && key.verifies(&self.text, &line.bytes).is_some()))
            == Some(true)
    }

    /// When this cosigner saw the text, by its newest line.
    pub fn cosigned_by(&self, key: &Verifier) -> Option<Timestamp> {
        self.is_signed_by(key)
            .then(|| self.lines_of(key.name(), key.id()).filter_map(|l| key.verifies(&self.text, &l.bytes)?).max())?
    }

    /// The lines of a key.
    pub fn lines_of(&self, name: &str, id: [u8; 4]) -> impl Iterator<Item = &NoteSignature> {
        self.signatures.iter().filter(move |line| line.name == name && line.id == id)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.signatures.iter().map(|signature| signature.name.as_str()).collect();
        write!(f, "Note({} bytes, signed by {names:?})", self.text.len())
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Option<NoteSignature> {
        let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
        NoteSignature::decode(name, encoded)
    }

    /// From the key's name and what [`NoteSignature::encoded`] writes.
    pub fn decode(name: &str, encoded: &str) -> Option<NoteSignature> {
        let bytes = STANDARD.decode(encoded).ok()?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        let sound = is_name(name) && !signature.is_empty();
        sound.then(|| NoteSignature { name: name.to_owned(), id: *id, bytes: signature.to_vec() })
    }

    /// Id and signature in base64, as behind the name.
    pub fn encoded(&self) -> String {
        STANDARD.encode([self.id.as_slice(), &self.bytes].concat())
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "— {} {}", self.name, self.encoded())
    }
}

/// Bytes of a note about a node.
pub const NOTE_BYTES_MAX: usize = 16 * 1024;
/// Signatures of one note.
pub const NOTE_SIGNATURES_MAX: usize = 32;
