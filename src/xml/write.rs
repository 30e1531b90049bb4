//! Elements back to text.

use super::{Attribute, Element, Node, ns};

impl Element {
    /// Appends the element to `out`, for a place where `outer` is the default namespace.
    pub fn write(&self, out: &mut String, outer: &str) {
        // The two elements of a stream that clients expect with the prefix of the root, RFC 6120 §4.8.5.
        // And those of dialback, whose prefix some servers take for a part of the name (XEP-0220 §2.1.1).
        let prefix = match (self.namespace(), self.name()) {
            (ns::STREAM, "features" | "error") => "stream:",
            (ns::DIALBACK, "result" | "verify") => "db:",
            _ => "",
        };
        out.push('<');
        out.push_str(prefix);
        out.push_str(self.name());
        let inner = if prefix.is_empty() { self.namespace() } else { outer };
        if prefix == "db:" {
            // Also where the header declared none.
            out.push_str(" xmlns:db='jabber:server:dialback'");
        }
        if inner != outer {
            out.push_str(" xmlns='");
            escape_attribute(inner, out);
            out.push('\'');
        }
        for (index, attribute) in self.attributes().iter().enumerate() {
            write_attribute(attribute, index, out);
        }
        if self.nodes().is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        for node in self.nodes() {
            match node {
                Node::Element(child) => child.write(out, inner),
                Node::Text(text) => escape_text(text, out),
            }
        }
        out.push_str("</");
        out.push_str(prefix);
        out.push_str(self.name());
        out.push('>');
    }

    /// The element as text for a stream whose content namespace is `outer`.
    pub fn to_text(&self, outer: &str) -> String {
        let mut out = String::with_capacity(256);
        self.write(&mut out, outer);
        out
    }
}

fn write_attribute(attribute: &Attribute, index: usize, out: &mut String) {
    out.push(' ');
    if attribute.namespace == ns::XML {
        out.push_str("xml:");
    } else if !attribute.namespace.is_empty() {
        // A prefix of our own making, declared on the spot.
        let prefix = format!("n{index}");
        out.push_str(&format!("xmlns:{prefix}='"));
        escape_attribute(&attribute.namespace, out);
        out.push_str(&format!("' {prefix}:"));
    }
    out.push_str(&attribute.name);
    out.push_str("='");
    escape_attribute(&attribute.value, out);
    out.push('\'');
}

/// Appends text for use as content. `>` too, so that `]]>` cannot arise; carriage returns survive as references.
pub fn escape_text(text: &str, out: &mut String) {
    escape(text, out, |b| match b {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'\r' => Some("&#13;"),
        _ => None,
    });
}

/// Appends text for use between single or double quotes. White space survives normalisation as references.
pub fn escape_attribute(text: &str, out: &mut String) {
    escape(text, out, |b| match b {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'\'' => Some("&apos;"),
        b'"' => Some("&quot;"),
        b'\n' => Some("&#10;"),
        b'\r' => Some("&#13;"),
        b'\t' => Some("&#9;"),
        _ => None,
    });
}

fn escape(text: &str, out: &mut String, replacement: impl Fn(u8) -> Option<&'static str>) {
    let mut clean_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if let Some(escaped) = replacement(byte) {
            out.push_str(text.get(clean_from..at).unwrap_or_default());
            out.push_str(escaped);
            clean_from = at + 1;
        }
    }
    out.push_str(text.get(clean_from..).unwrap_or_default());
}
