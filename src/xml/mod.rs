//! XML as XMPP streams use it: bytes in, whole elements out. RFC 6120 §11.
//!
//! [`Framer`] finds the stream header, each complete top-level element and the end of the stream in arbitrary chunks of bytes,
//! with limits on bytes and depth while they arrive; RFC 6120 §8 forbids acting on a partial stanza anyway. [`Element`] is one
//! element with its namespaces resolved. Comments, processing instructions, doctypes and entities other than the five
//! predefined ones are refused as restricted XML (RFC 6120 §11.1). Only this room knows quick-xml.

mod chars;
mod document;
mod element;
mod framer;
pub mod ns;
mod parse;
mod write;

pub use document::{Document, DocumentError, Step};
pub use element::{Attribute, Element, Node};
pub use framer::{Frame, Framer, FramerLimits};
pub use parse::{Prefixes, StreamHeader, parse_document};
pub use write::{escape_attribute, escape_text};

use std::fmt;

/// Why bytes are no XML stream that we read on. Each maps to one stream error condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XmlError {
    /// Not XML, or a stream cut at the wrong place. RFC 6120 §4.9.3.13.
    NotWellFormed,
    /// XML that RFC 6120 §11.1 forbids in streams. §4.9.3.18.
    Restricted,
    /// Not UTF-8. RFC 6120 §4.9.3.22.
    NotUtf8,
    /// A prefix nobody declared. RFC 6120 §4.9.3.1.
    UnboundPrefix,
    /// More bytes than one element may have. RFC 6120 §4.9.3.14.
    ElementTooLong,
    /// Deeper than elements may nest.
    TooDeep,
    /// More attributes or namespace declarations on one element than anybody needs.
    TooManyAttributes,
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            XmlError::NotWellFormed => "not well-formed XML",
            XmlError::Restricted => "a comment, processing instruction, doctype or entity is not allowed in a stream",
            XmlError::NotUtf8 => "the stream is not UTF-8",
            XmlError::UnboundPrefix => "a namespace prefix was not declared",
            XmlError::ElementTooLong => "the stanza is longer than this server allows",
            XmlError::TooDeep => "the stanza nests deeper than this server allows",
            XmlError::TooManyAttributes => "an element has more attributes than this server allows",
        })
    }
}

impl std::error::Error for XmlError {}
