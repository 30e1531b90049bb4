//! A document that may be larger than memory, read element by element: files that people bring along, not streams.
//!
//! [`Document::step`] tells of opening tags and of ends. What a tag opens is read as one [`Element`] with [`Document::content`], within
//! the limits of one element, or passed over with [`Document::skip`], at any length. Comments and processing instructions are passed
//! over; doctypes, and with them all entities but the predefined ones, are refused (RFC 6120 §11.1 is stricter, but this is no stream).

use std::fmt;
use std::io::{self, BufRead, Read};

use quick_xml::Reader;
use quick_xml::events::Event;

use super::chars::all_xml_chars;
use super::parse::{Scope, push_characters};
use super::{Element, XmlError};

/// What comes next in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An element begins; this is it without its content.
    Open(Element),
    /// The innermost open element ends.
    Close,
}

/// Why a document cannot be read further.
#[derive(Debug)]
pub enum DocumentError {
    /// It is no XML, or none that is read here; about at this byte.
    Xml(XmlError, u64),
    /// It cannot be read.
    Io(io::Error),
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DocumentError::Xml(error, at) => write!(f, "{error}, at about byte {at}"),
            DocumentError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DocumentError {}

/// A document that is being read.
pub struct Document<R: BufRead> {
    reader: Reader<Metered<R>>,
    buffer: Vec<u8>,
    scope: Scope<'static>,
    /// How many declarations were in force outside of each open element.
    open: Vec<usize>,
    element_bytes_max: usize,
    depth_max: usize,
}

impl<R: BufRead> Document<R> {
    /// Begins to read. No element that is read whole may have more bytes or levels than these, and no tag or text.
    pub fn new(input: R, element_bytes_max: usize, depth_max: usize) -> Document<R> {
        let mut reader = Reader::from_reader(Metered { input, left: 0 });
        let config = reader.config_mut();
        config.enable_all_checks(true);
        config.expand_empty_elements = true;
        Document { reader, buffer: Vec::new(), scope: Scope::new(&[]), open: Vec::new(), element_bytes_max, depth_max }
    }

    /// The next opening tag, or end; text is passed over. `None` at the end of the document.
    ///
    /// Errors: see [`DocumentError`]; there is no reading on.
    pub fn step(&mut self) -> Result<Option<Step>, DocumentError> {
        loop {
            self.meter();
            match self.event(&mut None)? {
                Some(Token::Open(element)) => return Ok(Some(Step::Open(element))),
                Some(Token::Close) => return Ok(Some(Step::Close)),
                Some(Token::Nothing) => {}
                None if self.open.is_empty() => return Ok(None),
                None => return Err(self.fault(XmlError::NotWellFormed)),
            }
        }
    }

    /// All that is in the element whose opening tag was told last, up to its end.
    ///
    /// Errors: see [`DocumentError`].
    pub fn content(&mut self, opened: Element) -> Result<Element, DocumentError> {
        self.meter();
        let mut outer: Vec<Element> = Vec::new();
        let mut inner = Some(opened);
        loop {
            match self.event(&mut inner)? {
                Some(Token::Open(element)) => {
                    outer.extend(inner.replace(element));
                    if outer.len() >= self.depth_max {
                        return Err(self.fault(XmlError::TooDeep));
                    }
                }
                Some(Token::Close) => {
                    let closed = inner.take().ok_or_else(|| self.fault(XmlError::NotWellFormed))?;
                    match outer.pop() {
                        Some(mut parent) => {
                            parent.push(closed);
                            inner = Some(parent);
                        }
                        None => return Ok(closed),
                    }
                }
                Some(Token::Nothing) => {}
                None => return Err(self.fault(XmlError::NotWellFormed)),
            }
        }
    }

    /// Passes over all that is in the element whose opening tag was told last.
    ///
    /// Errors: see [`DocumentError`].
    pub fn skip(&mut self) -> Result<(), DocumentError> {
        let level = self.open.len();
        while self.open.len() >= level {
            self.step()?.ok_or_else(|| self.fault(XmlError::NotWellFormed))?;
        }
        Ok(())
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.reader.buffer_position()
    }

    fn meter(&mut self) {
        self.reader.get_mut().left = self.element_bytes_max;
    }

    /// One event; text goes to `into`. `None` at the end of the document.
    fn event(&mut self, into: &mut Option<Element>) -> Result<Option<Token>, DocumentError> {
        self.buffer.clear();
        let at = self.reader.buffer_position();
        let xml = |error| DocumentError::Xml(error, at);
        let event = match self.reader.read_event_into(&mut self.buffer) {
            Ok(event) => event,
            Err(quick_xml::Error::Io(error)) if is_too_long(&error) => return Err(xml(XmlError::ElementTooLong)),
            Err(quick_xml::Error::Io(error)) => return Err(DocumentError::Io(io::Error::new(error.kind(), error))),
            Err(quick_xml::Error::Encoding(_)) => return Err(xml(XmlError::NotUtf8)),
            Err(_) => return Err(xml(XmlError::NotWellFormed)),
        };
        match event {
            Event::Start(start) => {
                if !all_xml_chars(&start) {
                    return Err(xml(XmlError::NotWellFormed));
                }
                self.open.push(self.scope.declared());
                Ok(Some(Token::Open(self.scope.open(&start).map_err(xml)?)))
            }
            Event::End(_) => {
                let outer = self.open.pop().ok_or_else(|| xml(XmlError::NotWellFormed))?;
                self.scope.forget(outer);
                Ok(Some(Token::Close))
            }
            Event::Eof => Ok(None),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => Ok(Some(Token::Nothing)),
            Event::DocType(_) => Err(xml(XmlError::Restricted)),
            text => {
                if let Event::Text(text) = &text
                    && !all_xml_chars(text)
                {
                    return Err(xml(XmlError::NotWellFormed));
                }
                let mut nowhere = Element::new("", "");
                push_characters(into.as_mut().unwrap_or(&mut nowhere), &text).map_err(xml)?;
                Ok(Some(Token::Nothing))
            }
        }
    }

    fn fault(&self, error: XmlError) -> DocumentError {
        DocumentError::Xml(error, self.position())
    }
}

enum Token {
    Open(Element),
    Close,
    Nothing,
}

/// Gives out so many bytes and then an error: quick-xml reads a tag of any length.
struct Metered<R> {
    input: R,
    left: usize,
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), available.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let left = self.left;
        let available = self.input.fill_buf()?;
        if left == 0 && !available.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, TooLong));
        }
        Ok(available.get(..available.len().min(left)).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count);
        self.input.consume(count);
    }
}

#[derive(Debug)]
struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an element is too long")
    }
}

impl std::error::Error for TooLong {}

fn is_too_long(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<TooLong>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document<&[u8]> {
        Document::new(text.as_bytes(), 100, 4)
    }

    /// Reads with one word for each step: `+name` is read whole, `-name` passed over, others are entered.
    fn told(text: &str, whole: &[&str], passed: &[&str]) -> Result<Vec<String>, DocumentError> {
        let mut document = document(text);
        let mut told = Vec::new();
        while let Some(step) = document.step()? {
            told.push(match step {
                Step::Open(element) if whole.contains(&element.name()) => document.content(element)?.to_text(""),
                Step::Open(element) if passed.contains(&element.name()) => {
                    document.skip()?;
                    format!("-{}", element.name())
                }
                Step::Open(element) => format!("{{{}}}{}", element.namespace(), element.name()),
                Step::Close => "/".to_owned(),
            });
        }
        Ok(told)
    }

    #[test]
    fn elements_are_entered_read_whole_or_passed_over() {
        let text = "<?xml version='1.0'?><!-- c --><a xmlns='u:a' xmlns:p='u:p'>text<b><c/>d<!-- e --><p:e f='&lt;'>&amp;g</p:e></b>\
                    <p:h><b/></p:h><i/></a>";
        assert_eq!(
            told(text, &["b"], &["h"]).unwrap(),
            ["{u:a}a", "<b xmlns='u:a'><c/>d<e xmlns='u:p' f='&lt;'>&amp;g</e></b>", "-h", "{u:a}i", "/", "/"]
        );
    }

    #[test]
    fn a_document_may_be_long_but_no_element_that_is_read_whole() {
        let long = format!("<a>{}</a>", "<b>0123456789</b>".repeat(1000));
        assert_eq!(told(&long, &["b"], &[]).unwrap().len(), 1002);
        assert_eq!(told(&long, &[], &["a"]).unwrap(), ["-a"]);
        for long in [
            long.as_str(),
            &format!("<a>{}</a>", "x".repeat(1000)),
            &format!("<a b='{}'/>", "x".repeat(1000)),
            &format!("<a{}/>", "x".repeat(1000)),
            &format!("<a><!--{}--></a>", "x".repeat(1000)),
        ] {
            let error = told(long, &["a"], &[]).unwrap_err();
            assert!(matches!(error, DocumentError::Xml(XmlError::ElementTooLong, _)), "{error:?}");
        }
        let deep = "<a><a><a><a><a/></a></a></a></a>";
        assert!(matches!(told(deep, &["a"], &[]), Err(DocumentError::Xml(XmlError::TooDeep, _))));
    }

    /// Whatever is done to a document, reading it ends, in an error or not.
    #[test]
    fn spoilt_documents_are_read_or_refused() {
        let text =
            "<a xmlns='u:a' xmlns:p='u:p'><b c='d'>&lt;e<!-- f --></b><p:g><h><![CDATA[i]]></h></p:g></a>".as_bytes();
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut below = |limit: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % limit
        };
        let mut refused = 0;
        for _ in 0..20_000 {
            let mut bytes = text.to_vec();
            for _ in 0..=below(3) {
                let at = below(bytes.len());
                match below(3) {
                    0 => bytes[at] = b"<>/&;'=:! ]-?\xFF\x00x"[below(16)],
                    1 => drop(bytes.drain(at..(at + 1 + below(4)).min(bytes.len()))),
                    _ => bytes.insert(at, b"<>/&;'"[below(6)]),
                }
            }
            let mut document = Document::new(bytes.as_slice(), 100, 4);
            let mut steps = 0;
            let outcome = loop {
                let step = match document.step() {
                    Ok(Some(Step::Open(element))) if element.name() == "b" => document.content(element).map(drop),
                    Ok(Some(Step::Open(element))) if element.name() == "g" => document.skip(),
                    Ok(Some(_)) => Ok(()),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                };
                steps += 1;
                assert!(steps < 200);
                if step.is_err() {
                    break step;
                }
            };
            refused += u32::from(outcome.is_err());
        }
        assert!((10_000..20_000).contains(&refused), "{refused}");
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in [
            "<a>",
            "<a></b>",
            "<a><b></a>",
            "</a>",
            "<a b='1' b='2'/>",
            "<p:a/>",
            "<a>&other;</a>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
            "<a>\u{1}</a>",
            "<a b='\u{1}'/>",
            "<a>&#1;</a>",
        ] {
            assert!(matches!(told(text, &[], &[]), Err(DocumentError::Xml(..))), "{text}");
            assert!(matches!(told(text, &["a"], &[]), Err(DocumentError::Xml(..))), "{text}");
        }
    }
}
