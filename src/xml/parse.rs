//! One complete element, or the stream's opening tag, from text. The one place that calls quick-xml.

use std::borrow::Cow;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::chars::{all_xml_chars, is_ncname, is_xml_char};
use super::{Attribute, Element, XmlError, ns};

/// The prefixes that the stream header declared, valid in every element of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    declared: Vec<(String, Cow<'static, str>)>,
}

impl Prefixes {
    /// Prefixes with only the default namespace.
    pub fn with_default(namespace: &'static str) -> Prefixes {
        Prefixes { declared: vec![(String::new(), Cow::Borrowed(namespace))] }
    }

    fn resolve(&self, prefix: &str) -> Option<&Cow<'static, str>> {
        self.declared.iter().rev().find(|(declared, _)| declared == prefix).map(|(_, namespace)| namespace)
    }

    /// The default namespace, empty if none was declared.
    pub fn default_namespace(&self) -> &str {
        self.resolve("").map_or("", |namespace| namespace)
    }
}

/// The opening tag of a stream. RFC 6120 §4.7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamHeader {
    /// The root element: its name, namespace and attributes, without content.
    pub root: Element,
    /// What it declared.
    pub prefixes: Prefixes,
}

impl StreamHeader {
    /// The default namespace that stanzas will be in. RFC 6120 §4.8.2.
    pub fn content_namespace(&self) -> &str {
        self.prefixes.default_namespace()
    }
}

/// Parses a text that is one element and nothing else, as if it stood in a stream of `namespace`.
pub fn parse_document(text: &str, namespace: &'static str, depth_max: usize) -> Result<Element, XmlError> {
    parse_element(text.trim(), &Prefixes::with_default(namespace), depth_max)
}

/// Parses the opening tag of a stream, `<stream:stream …>`.
pub(super) fn parse_header(text: &str) -> Result<StreamHeader, XmlError> {
    let mut reader = reader(text)?;
    match reader.read_event() {
        Ok(Event::Start(start)) => {
            let mut scope = Scope::new(&[]);
            let root = scope.open(&start)?;
            let prefixes = Prefixes { declared: scope.bindings };
            Ok(StreamHeader { root, prefixes })
        }
        _ => Err(XmlError::NotWellFormed),
    }
}

/// Parses one complete element.
pub(super) fn parse_element(text: &str, prefixes: &Prefixes, depth_max: usize) -> Result<Element, XmlError> {
    let mut reader = reader(text)?;
    let mut scope = Scope::new(&prefixes.declared);
    let mut open: Vec<(Element, usize)> = Vec::new();
    loop {
        let before = scope.bindings.len();
        let event = reader.read_event().map_err(|_| XmlError::NotWellFormed)?;
        let closed = match event {
            Event::Start(start) => {
                let element = scope.open(&start)?;
                open.push((element, before));
                // The element itself is level one.
                if open.len() > depth_max {
                    return Err(XmlError::TooDeep);
                }
                continue;
            }
            Event::Empty(start) => {
                if open.len() >= depth_max {
                    return Err(XmlError::TooDeep);
                }
                let element = scope.open(&start)?;
                scope.bindings.truncate(before);
                element
            }
            Event::End(_) => {
                let (element, outer) = open.pop().ok_or(XmlError::NotWellFormed)?;
                scope.bindings.truncate(outer);
                element
            }
            other => {
                let (element, _) = open.last_mut().ok_or(XmlError::NotWellFormed)?;
                push_characters(element, &other)?;
                continue;
            }
        };
        match open.last_mut() {
            Some((parent, _)) => parent.push(closed),
            None => {
                return match reader.read_event() {
                    Ok(Event::Eof) => Ok(closed),
                    _ => Err(XmlError::NotWellFormed),
                };
            }
        }
    }
}

fn reader(text: &str) -> Result<Reader<&[u8]>, XmlError> {
    if !all_xml_chars(text) {
        return Err(XmlError::NotWellFormed);
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().enable_all_checks(true);
    Ok(reader)
}

pub(super) fn push_characters(element: &mut Element, event: &Event<'_>) -> Result<(), XmlError> {
    match event {
        Event::Text(text) => element.push_text(&text.xml10_content()),
        Event::CData(data) => element.push_text(&data.xml10_content()),
        Event::GeneralRef(reference) => {
            let resolved = match reference.resolve_char_ref().map_err(|_| XmlError::NotWellFormed)? {
                Some(c) if is_xml_char(c) => c,
                Some(_) => return Err(XmlError::NotWellFormed),
                None => match reference.as_ref() {
                    "amp" => '&',
                    "lt" => '<',
                    "gt" => '>',
                    "apos" => '\'',
                    "quot" => '"',
                    // RFC 6120 §11.1: no entities but the predefined ones.
                    _ => return Err(XmlError::Restricted),
                },
            };
            element.push_text(resolved.encode_utf8(&mut [0; 4]));
        }
        Event::Comment(_) | Event::PI(_) | Event::DocType(_) | Event::Decl(_) => return Err(XmlError::Restricted),
        Event::Start(_) | Event::Empty(_) | Event::End(_) | Event::Eof => return Err(XmlError::NotWellFormed),
    }
    Ok(())
}

/// Namespace declarations in force, innermost last.
pub(super) struct Scope<'a> {
    outer: &'a [(String, Cow<'static, str>)],
    bindings: Vec<(String, Cow<'static, str>)>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(outer: &'a [(String, Cow<'static, str>)]) -> Scope<'a> {
        Scope { outer, bindings: Vec::new() }
    }

    fn resolve(&self, prefix: &str) -> Result<Cow<'static, str>, XmlError> {
        if prefix == "xml" {
            return Ok(Cow::Borrowed(ns::XML));
        }
        let all = self.bindings.iter().rev().chain(self.outer.iter().rev());
        match all.into_iter().find(|(declared, _)| declared == prefix) {
            Some((_, namespace)) => Ok(namespace.clone()),
            None if prefix.is_empty() => Ok(Cow::Borrowed("")),
            None => Err(XmlError::UnboundPrefix),
        }
    }

    /// How many declarations there are.
    pub(super) fn declared(&self) -> usize {
        self.bindings.len()
    }

    /// An element ended, outside of which there were so many.
    pub(super) fn forget(&mut self, declared: usize) {
        self.bindings.truncate(declared);
    }

    /// Reads an opening tag: takes up its declarations, resolves its names.
    pub(super) fn open(&mut self, start: &BytesStart<'_>) -> Result<Element, XmlError> {
        let mut plain: Vec<(String, String)> = Vec::new();
        let own_from = self.bindings.len();
        let mut attributes = start.attributes();
        for (index, attribute) in attributes.with_checks(false).enumerate() {
            if index >= ATTRIBUTES_MAX {
                return Err(XmlError::TooManyAttributes);
            }
            let attribute = attribute.map_err(|_| XmlError::NotWellFormed)?;
            if attribute.value.contains('<') {
                return Err(XmlError::NotWellFormed);
            }
            let value = attribute_value(&attribute)?;
            let name = attribute.key.as_ref();
            if name == "xmlns" || name.starts_with("xmlns:") {
                let prefix = name.strip_prefix("xmlns").unwrap_or_default().trim_start_matches(':');
                self.declare(name, prefix, value, own_from)?;
            } else if plain.iter().any(|(known, _)| known == name) {
                return Err(XmlError::NotWellFormed);
            } else {
                plain.push((name.to_owned(), value));
            }
        }
        let (prefix, local) = split_name(start.name().into_inner())?;
        let mut element = Element::new(static_name(local), self.resolve(prefix)?);
        for (name, value) in plain {
            let (prefix, local) = split_name(&name)?;
            let namespace = if prefix.is_empty() { Cow::Borrowed("") } else { self.resolve(prefix)? };
            let twin = |a: &Attribute| a.name == local && a.namespace == namespace;
            if element.attributes().iter().any(twin) {
                return Err(XmlError::NotWellFormed);
            }
            element.push_attribute(Attribute { namespace, name: static_name(local), value });
        }
        Ok(element)
    }

    fn declare(&mut self, name: &str, prefix: &str, value: String, own_from: usize) -> Result<(), XmlError> {
        let own = self.bindings.get(own_from..).unwrap_or_default();
        if let Some((_, twin)) = own.iter().find(|(declared, _)| declared == prefix) {
            // Android's server list request has the same `xmlns` twice; an equal repetition says nothing new. Two values,
            // or a repeated prefix, are an error as XML has it.
            return if name == "xmlns" && *twin == value { Ok(()) } else { Err(XmlError::NotWellFormed) };
        }
        let reserved = match prefix {
            "xml" => value != ns::XML,
            "xmlns" => true,
            // Namespaces in XML §5: only the default namespace can be undeclared; a declared prefix is an NCName.
            "" => name != "xmlns",
            _ => value.is_empty() || !is_ncname(prefix),
        };
        if reserved {
            return Err(XmlError::NotWellFormed);
        }
        let namespace = match ns::interned(&value) {
            Some(known) => Cow::Borrowed(known),
            None => Cow::Owned(value),
        };
        self.bindings.push((prefix.to_owned(), namespace));
        Ok(())
    }
}

fn attribute_value(attribute: &quick_xml::events::attributes::Attribute<'_>) -> Result<String, XmlError> {
    let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| XmlError::NotWellFormed)?;
    // Character references may have brought in what the text may not hold.
    if matches!(value, Cow::Owned(_)) && !all_xml_chars(&value) {
        return Err(XmlError::NotWellFormed);
    }
    Ok(value.into_owned())
}

fn split_name(name: &str) -> Result<(&str, &str), XmlError> {
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    let prefix_fits = prefix.is_empty() && !name.starts_with(':') || is_ncname(prefix);
    if !prefix_fits || !is_ncname(local) {
        return Err(XmlError::NotWellFormed);
    }
    Ok((prefix, local))
}

/// Names that nearly every stanza has are not copied.
fn static_name(name: &str) -> Cow<'static, str> {
    match NAMES.iter().find(|known| **known == name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.to_owned()),
    }
}

const NAMES: &[&str] = &[
    "message",
    "presence",
    "iq",
    "to",
    "from",
    "id",
    "type",
    "body",
    "query",
    "item",
    "jid",
    "r",
    "a",
    "h",
    "request",
    "received",
    "active",
    "show",
    "status",
    "c",
    "node",
    "ver",
    "hash",
    "delay",
    "stamp",
    "ping",
    "lang",
    "x",
    "field",
    "var",
    "value",
    "e2e",
    "priority",
    "subscription",
    "name",
];

/// Attributes and namespace declarations on one element.
const ATTRIBUTES_MAX: usize = 64;
