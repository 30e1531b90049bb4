//! One XML element with its namespace resolved, and the few ways stanza code looks into and builds one.

use std::borrow::Cow;

use super::ns;

/// An attribute. `namespace` is empty for the ordinary ones, [`ns::XML`] for `xml:lang`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The namespace its prefix stood for, or empty.
    pub namespace: Cow<'static, str>,
    /// The name without prefix.
    pub name: Cow<'static, str>,
    /// The value, unescaped.
    pub value: String,
}

/// What an element holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A child.
    Element(Element),
    /// Character data, unescaped; never two in a row.
    Text(String),
}

/// An element: name, namespace, attributes and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    name: Cow<'static, str>,
    namespace: Cow<'static, str>,
    attributes: Vec<Attribute>,
    nodes: Vec<Node>,
}

impl Element {
    /// An empty element.
    pub fn new(name: impl Into<Cow<'static, str>>, namespace: impl Into<Cow<'static, str>>) -> Element {
        Element { name: name.into(), namespace: namespace.into(), attributes: Vec::new(), nodes: Vec::new() }
    }

    /// The local name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Is it the element of this name and namespace?
    pub fn is(&self, name: &str, namespace: &str) -> bool {
        self.name == name && self.namespace == namespace
    }

    /// The value of an attribute without namespace.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.name == name && a.namespace.is_empty()).map(|a| a.value.as_str())
    }

    /// All attributes.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// The `xml:lang` of this very element.
    pub fn lang(&self) -> Option<&str> {
        self.attributes.iter().find(|a| a.name == "lang" && a.namespace == ns::XML).map(|a| a.value.as_str())
    }

    /// Sets an attribute without namespace, replacing it where it stands.
    pub fn set_attribute(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        match self.attributes.iter_mut().find(|a| a.name == name && a.namespace.is_empty()) {
            Some(attribute) => attribute.value = value,
            None => self.attributes.push(Attribute { namespace: Cow::Borrowed(""), name, value }),
        }
    }

    /// Sets `xml:lang`.
    pub fn set_lang(&mut self, value: impl Into<String>) {
        self.attributes.retain(|a| !(a.name == "lang" && a.namespace == ns::XML));
        self.attributes.push(Attribute {
            namespace: Cow::Borrowed(ns::XML),
            name: Cow::Borrowed("lang"),
            value: value.into(),
        });
    }

    /// Removes an attribute without namespace.
    pub fn remove_attribute(&mut self, name: &str) {
        self.attributes.retain(|a| !(a.name == name && a.namespace.is_empty()));
    }

    pub(super) fn push_attribute(&mut self, attribute: Attribute) {
        self.attributes.push(attribute);
    }

    /// The content in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The child elements in order.
    pub fn children(&self) -> impl Iterator<Item = &Element> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The first child element of this name and namespace.
    pub fn child(&self, name: &str, namespace: &str) -> Option<&Element> {
        self.children().find(|child| child.is(name, namespace))
    }

    /// The first child element of this name and namespace, to change it.
    pub fn child_mut(&mut self, name: &str, namespace: &str) -> Option<&mut Element> {
        self.nodes.iter_mut().find_map(|node| match node {
            Node::Element(element) if element.is(name, namespace) => Some(element),
            _ => None,
        })
    }

    /// The first child element, whatever it is: the payload of an iq.
    pub fn first_child(&self) -> Option<&Element> {
        self.children().next()
    }

    /// The element's own text, children's left out.
    pub fn text(&self) -> String {
        self.nodes
            .iter()
            .filter_map(|node| match node {
                Node::Text(text) => Some(text.as_str()),
                Node::Element(_) => None,
            })
            .collect()
    }

    /// Appends a child.
    pub fn push(&mut self, child: Element) {
        self.nodes.push(Node::Element(child));
    }

    /// Appends text; empty text adds nothing.
    pub fn push_text(&mut self, text: &str) {
        match self.nodes.last_mut() {
            _ if text.is_empty() => {}
            Some(Node::Text(last)) => last.push_str(text),
            _ => self.nodes.push(Node::Text(text.to_owned())),
        }
    }

    /// Keeps only the children that `keep` says yes to; text stays.
    pub fn retain_children(&mut self, mut keep: impl FnMut(&Element) -> bool) {
        self.nodes.retain(|node| match node {
            Node::Element(element) => keep(element),
            Node::Text(_) => true,
        });
    }

    /// Changes every child element.
    pub fn each_child(&mut self, mut change: impl FnMut(&mut Element)) {
        for node in &mut self.nodes {
            if let Node::Element(element) = node {
                change(element);
            }
        }
    }

    /// Moves this element and all that is in it from one namespace to another: stanzas of other kinds of streams are handled as
    /// clients' are. RFC 6120 §4.8.3.
    pub fn move_namespace(&mut self, from: &str, to: &'static str) {
        if self.namespace == from {
            self.namespace = Cow::Borrowed(to);
        }
        for node in &mut self.nodes {
            if let Node::Element(child) = node {
                child.move_namespace(from, to);
            }
        }
    }

    /// Builder: with an attribute.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Element {
        self.set_attribute(name, value);
        self
    }

    /// Builder: with a child.
    #[must_use]
    pub fn with_child(mut self, child: Element) -> Element {
        self.push(child);
        self
    }

    /// Builder: with text.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Element {
        self.push_text(text);
        self
    }
}
