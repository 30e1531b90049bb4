//! The form of all our texts: UTF-8, one `key value` a line in a fixed order, a line feed behind each, and exactly one way to
//! write what is said. A reader takes the lines one after the other; its caller writes what it read again and compares.

use std::fmt;
use std::str::FromStr;

use crate::stanza::Timestamp;
use crate::trust::{NodeDomain, Note, NoteError, NoteSignature, Signer};

/// Why bytes are not the text that they should be. The peer's fault in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextError {
    /// No signed note.
    Note(NoteError),
    /// The line that begins so is missing, in the wrong place, or does not hold what it should.
    Line(&'static str),
    /// Every line says something, but the text is not the one way to say it.
    NotCanonical,
    /// More bytes or lines than such a text may have.
    TooLong,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextError::Note(error) => error.fmt(f),
            TextError::Line(name) => write!(f, "its line \"{name}\" is missing, misplaced or malformed"),
            TextError::NotCanonical => f.write_str("its text is not the one that its content has"),
            TextError::TooLong => f.write_str("it is too long"),
        }
    }
}

impl std::error::Error for TextError {}

/// The lines of a text, taken one after the other.
pub(super) struct Lines<'a>(&'a str);

impl<'a> Lines<'a> {
    /// Begins behind the head line.
    pub(super) fn of(text: &'a str, head: &'static str) -> Result<Lines<'a>, TextError> {
        match text.split_once('\n') {
            Some((line, rest)) if line == head => Ok(Lines(rest)),
            _ => Err(TextError::Line(head)),
        }
    }

    /// The value of the next line, if it has this key.
    pub(super) fn maybe(&mut self, key: &'static str) -> Option<&'a str> {
        let (line, rest) = self.0.split_once('\n')?;
        let value = line.strip_prefix(key)?.strip_prefix(' ')?;
        self.0 = rest;
        Some(value)
    }

    /// The value of the next line, which must have this key.
    pub(super) fn value(&mut self, key: &'static str) -> Result<&'a str, TextError> {
        self.maybe(key).ok_or(TextError::Line(key))
    }

    /// The same, read as what it is.
    pub(super) fn read<T: FromStr>(&mut self, key: &'static str) -> Result<T, TextError> {
        self.with(key, |value| value.parse().ok())
    }

    /// The same, read by this.
    pub(super) fn with<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<T, TextError> {
        read(self.value(key)?).ok_or(TextError::Line(key))
    }

    /// A node's domain.
    pub(super) fn domain(&mut self, key: &'static str) -> Result<NodeDomain, TextError> {
        self.with(key, |value| NodeDomain::parse(value).ok())
    }

    /// The next line, whatever it is; `None` at the end.
    pub(super) fn any(&mut self) -> Option<&'a str> {
        let (line, rest) = self.0.split_once('\n')?;
        self.0 = rest;
        Some(line)
    }
}

/// Is what was read, written again, the very text?
pub(super) fn canonical<T>(read: T, written: &str, text: &str) -> Result<T, TextError> {
    if written == text { Ok(read) } else { Err(TextError::NotCanonical) }
}

/// `-` or a value.
pub(super) fn dash<T: FromStr>(value: &str) -> Option<Option<T>> {
    if value == "-" { Some(None) } else { value.parse().ok().map(Some) }
}

/// Writes `-` or a value.
pub(super) fn or_dash<T: fmt::Display>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(|| "-".to_owned(), T::to_string)
}

/// One line for people: not empty, no control characters, no white space at its ends, so many bytes at most.
pub(super) fn is_phrase(text: &str, bytes_max: usize) -> bool {
    !text.is_empty() && text.len() <= bytes_max && text.trim() == text && !text.contains(is_hidden)
}

/// Control characters, and those that turn the direction of writing or are not seen: a voter must see what is said.
fn is_hidden(c: char) -> bool {
    let unseen = matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}');
    c.is_control() || unseen
}

/// Signs a text with a note key, whose signatures know no time.
pub(super) fn sign(signer: &Signer, text: &str) -> NoteSignature {
    signer.sign(text, Timestamp { millis: 0 })
}

/// A text with one line below it.
pub(super) fn note(text: String, line: NoteSignature) -> Note {
    Note::new(text).with(line)
}

/// Bytes of one object between nodes.
pub const OBJECT_BYTES_MAX: usize = 64 * 1024;
/// Signature lines of a certificate.
pub const CERTIFICATE_LINES_MAX: usize = 1024;
