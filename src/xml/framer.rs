//! Finds stream header, complete elements and stream end in bytes that arrive as they please.

use super::parse::{parse_element, parse_header};
use super::{Element, Prefixes, StreamHeader, XmlError};

/// What the framer found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The opening tag of the stream.
    Header(StreamHeader),
    /// A complete top-level element.
    Element(Element),
    /// `</stream:stream>`.
    End,
}

/// How much one element may be. Both count while bytes arrive, so that nothing larger is ever held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramerLimits {
    /// Bytes of one element, or of the stream header, tags included.
    pub element_bytes_max: usize,
    /// Levels of one element, itself included.
    pub depth_max: usize,
}

/// Where the scan stands between two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Between tags.
    Text,
    /// Behind `<`.
    TagOpen,
    /// Inside a tag; `quote` is the open quotation mark or 0, `last` the byte before.
    Tag { closing: bool, quote: u8, last: u8 },
    /// Inside `<!…` of which this many bytes equal `[CDATA[`.
    Bang(usize),
    /// Inside character data; this many `]` just before.
    CData(usize),
    /// Inside `<?xml … ?>` before the header; `last` is the byte before.
    Declaration { last: u8 },
}

/// The scanner of one stream. Restart it with [`Framer::restart`] where RFC 6120 §4.3.3 restarts the stream.
#[derive(Debug)]
pub struct Framer {
    limits: FramerLimits,
    prefixes: Option<Prefixes>,
    buffer: Vec<u8>,
    /// Where in `buffer` the frame being scanned begins; what is before is used up.
    start: usize,
    /// Where in `buffer` the scan stands.
    scanned: usize,
    at: At,
    depth: usize,
    declaration_seen: bool,
    ended: bool,
}

impl Framer {
    /// A framer that waits for a stream header.
    pub fn new(limits: FramerLimits) -> Framer {
        Framer {
            limits,
            prefixes: None,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            at: At::Text,
            depth: 0,
            declaration_seen: false,
            ended: false,
        }
    }

    /// Forgets everything, unread bytes too: a new stream header is next. What arrived before TLS must not leak into the
    /// new stream (RFC 6120 §5.4.3.3).
    pub fn restart_discarding(&mut self) {
        *self = Framer::new(self.limits);
    }

    /// A new stream header is next; it may already have arrived behind the SASL exchange (RFC 6120 §6.4.6).
    pub fn restart(&mut self) {
        let unread = self.buffer.split_off(self.scanned.min(self.buffer.len()));
        *self = Framer::new(self.limits);
        self.buffer = unread;
    }

    /// Other limits from the next element on, as after authentication.
    pub fn set_limits(&mut self, limits: FramerLimits) {
        self.limits = limits;
    }

    /// Takes bytes in. Ask [`Framer::next_frame`] until it says `None` before the next call.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.ended {
            return;
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes held that no frame has used yet.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The next frame in what was pushed, `None` where more bytes are needed. After an error the stream is beyond repair.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, XmlError> {
        while let Some(&byte) = self.buffer.get(self.scanned) {
            self.scanned += 1;
            if self.scanned - self.start > self.limits.element_bytes_max {
                return Err(XmlError::ElementTooLong);
            }
            let found = self.step(byte)?;
            if let Some(frame) = found {
                return Ok(Some(frame));
            }
        }
        if self.start == self.buffer.len() {
            // An idle stream holds no buffer.
            self.buffer = Vec::new();
            (self.start, self.scanned) = (0, 0);
        }
        Ok(None)
    }

    fn step(&mut self, byte: u8) -> Result<Option<Frame>, XmlError> {
        self.at = match self.at {
            At::Text => return self.step_text(byte),
            At::TagOpen => self.step_tag_open(byte)?,
            At::Tag { closing, quote, last } => match byte {
                b'<' => return Err(XmlError::NotWellFormed),
                b'>' if quote == 0 => return self.tag_ends(closing, last == b'/'),
                b'\'' | b'"' if quote == 0 => At::Tag { closing, quote: byte, last: byte },
                _ if byte == quote => At::Tag { closing, quote: 0, last: byte },
                _ => At::Tag { closing, quote, last: byte },
            },
            At::Bang(matched) => match CDATA_OPEN.get(matched) {
                Some(expected) if *expected == byte && matched + 1 == CDATA_OPEN.len() => At::CData(0),
                Some(expected) if *expected == byte => At::Bang(matched + 1),
                // RFC 6120 §11.1: comments and doctypes.
                _ => return Err(XmlError::Restricted),
            },
            At::CData(brackets) => match byte {
                b']' => At::CData((brackets + 1).min(2)),
                b'>' if brackets == 2 => At::Text,
                _ => At::CData(0),
            },
            At::Declaration { last } => {
                if byte == b'>' && last == b'?' {
                    return self.declaration_ends();
                }
                At::Declaration { last: byte }
            }
        };
        Ok(None)
    }

    fn step_text(&mut self, byte: u8) -> Result<Option<Frame>, XmlError> {
        if byte == b'<' {
            self.at = At::TagOpen;
        } else if self.depth <= 1 {
            // Between elements only white space may stand, RFC 6120 §11.7; it also keeps idle connections alive (§4.6.1).
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Err(XmlError::NotWellFormed);
            }
            self.discard_scanned();
        }
        Ok(None)
    }

    fn step_tag_open(&mut self, byte: u8) -> Result<At, XmlError> {
        match byte {
            b'/' if self.depth > 0 => Ok(At::Tag { closing: true, quote: 0, last: byte }),
            b'!' if self.depth > 1 => Ok(At::Bang(0)),
            b'!' => Err(XmlError::Restricted),
            // RFC 6120 §11.5: an XML declaration may precede the header.
            b'?' if self.depth == 0 && !self.declaration_seen => Ok(At::Declaration { last: 0 }),
            b'?' => Err(XmlError::Restricted),
            b'/' | b'>' | b' ' | b'\t' | b'\r' | b'\n' => Err(XmlError::NotWellFormed),
            _ => Ok(At::Tag { closing: false, quote: 0, last: byte }),
        }
    }

    fn tag_ends(&mut self, closing: bool, empty: bool) -> Result<Option<Frame>, XmlError> {
        self.at = At::Text;
        match (closing, self.depth) {
            (true, 0) => Err(XmlError::NotWellFormed),
            (true, 1) => {
                self.ended = true;
                self.buffer = Vec::new();
                (self.start, self.scanned) = (0, 0);
                Ok(Some(Frame::End))
            }
            (true, 2) => {
                self.depth = 1;
                self.element_ends().map(Some)
            }
            (true, _) => {
                self.depth -= 1;
                Ok(None)
            }
            (false, 0) if empty => Err(XmlError::NotWellFormed),
            (false, 0) => self.header_ends().map(Some),
            (false, 1) if empty => self.element_ends().map(Some),
            (false, _) if empty => Ok(None),
            (false, _) => {
                self.depth += 1;
                if self.depth > self.limits.depth_max + 1 {
                    return Err(XmlError::TooDeep);
                }
                Ok(None)
            }
        }
    }

    fn declaration_ends(&mut self) -> Result<Option<Frame>, XmlError> {
        let text = self.scanned_text()?;
        if !text.starts_with("<?xml") {
            return Err(XmlError::Restricted);
        }
        let lower = text.to_ascii_lowercase();
        if lower.contains("encoding") && !lower.contains("utf-8") {
            return Err(XmlError::NotUtf8);
        }
        self.discard_scanned();
        self.declaration_seen = true;
        self.at = At::Text;
        Ok(None)
    }

    fn header_ends(&mut self) -> Result<Frame, XmlError> {
        let header = parse_header(self.scanned_text()?)?;
        self.discard_scanned();
        self.depth = 1;
        self.prefixes = Some(header.prefixes.clone());
        Ok(Frame::Header(header))
    }

    fn element_ends(&mut self) -> Result<Frame, XmlError> {
        let prefixes = self.prefixes.as_ref().ok_or(XmlError::NotWellFormed)?;
        let element = parse_element(self.scanned_text()?, prefixes, self.limits.depth_max)?;
        self.discard_scanned();
        Ok(Frame::Element(element))
    }

    fn scanned_text(&self) -> Result<&str, XmlError> {
        let bytes = self.buffer.get(self.start..self.scanned).unwrap_or_default();
        std::str::from_utf8(bytes).map_err(|_| XmlError::NotUtf8)
    }

    fn discard_scanned(&mut self) {
        self.start = self.scanned;
    }
}

const CDATA_OPEN: &[u8] = b"[CDATA[";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::ns;

    const LIMITS: FramerLimits = FramerLimits { element_bytes_max: 1000, depth_max: 5 };
    const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a.example' version='1.0'>";

    fn frames(text: &str, chunk: usize) -> Result<Vec<Frame>, XmlError> {
        let mut framer = Framer::new(LIMITS);
        let mut found = Vec::new();
        for bytes in text.as_bytes().chunks(chunk) {
            framer.push(bytes);
            while let Some(frame) = framer.next_frame()? {
                found.push(frame);
            }
        }
        Ok(found)
    }

    fn only_element(stanza: &str) -> Result<Element, XmlError> {
        match frames(&format!("{HEADER}{stanza}"), 4096)?.pop() {
            Some(Frame::Element(element)) => Ok(element),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_frames() {
        let text = format!(
            "{HEADER} \n<message to='b' id=\"x>y\"><body>a &lt; b &#x41; <![CDATA[<&]]>]]&gt;</body></message><r xmlns='urn:xmpp:sm:3'/></stream:stream>"
        );
        let whole = frames(&text, text.len()).unwrap();
        assert_eq!(whole.len(), 4);
        for chunk in 1..40 {
            assert_eq!(frames(&text, chunk).unwrap(), whole);
        }
        let Some(Frame::Element(message)) = whole.get(1) else { panic!() };
        assert_eq!(message.attribute("id"), Some("x>y"));
        assert_eq!(message.child("body", ns::CLIENT).unwrap().text(), "a < b A <&]]>");
        let again = only_element(&message.to_text(ns::CLIENT)).unwrap();
        assert_eq!(&again, message);
    }

    #[test]
    fn what_streams_forbid_is_refused_by_name() {
        for (stanza, error) in [
            ("<!-- c -->", XmlError::Restricted),
            ("<a><!-- c --></a>", XmlError::Restricted),
            ("<!DOCTYPE a>", XmlError::Restricted),
            ("<a><?pi x?></a>", XmlError::Restricted),
            ("<a>&ext;</a>", XmlError::Restricted),
            ("<a>&amp</a>", XmlError::NotWellFormed),
            ("<a>&#0;</a>", XmlError::NotWellFormed),
            ("<a b='&#1;'/>", XmlError::NotWellFormed),
            ("<a>\u{1}</a>", XmlError::NotWellFormed),
            ("<a>\u{FFFF}</a>", XmlError::NotWellFormed),
            ("<a></b>", XmlError::NotWellFormed),
            ("<a b='1' b='2'/>", XmlError::NotWellFormed),
            ("<a b='<'/>", XmlError::NotWellFormed),
            ("<a b=1/>", XmlError::NotWellFormed),
            ("<1a/>", XmlError::NotWellFormed),
            ("<a:b:c/>", XmlError::NotWellFormed),
            ("<a\"b\"/>", XmlError::NotWellFormed),
            ("text", XmlError::NotWellFormed),
            ("<x:a/>", XmlError::UnboundPrefix),
            ("<a x:b='c'/>", XmlError::UnboundPrefix),
            ("<a xmlns:xmlns='u'/>", XmlError::NotWellFormed),
            ("<a><b><c><d><e><f/></e></d></c></b></a>", XmlError::TooDeep),
            ("<a><b><c><d><e><f></f></e></d></c></b></a>", XmlError::TooDeep),
        ] {
            let text = format!("{HEADER}{stanza}");
            match frames(&text, 4096) {
                Err(found) => assert_eq!(found, error, "{stanza}"),
                Ok(found) => panic!("{stanza}: {found:?}"),
            }
        }
        assert_eq!(only_element("<a><b><c><d><e/></d></c></b></a>").unwrap().name(), "a");
    }

    #[test]
    fn an_element_over_the_limit_is_refused_while_it_arrives() {
        let mut framer = Framer::new(LIMITS);
        framer.push(HEADER.as_bytes());
        assert!(matches!(framer.next_frame(), Ok(Some(Frame::Header(_)))));
        framer.push(b"<a>");
        framer.push(&[b'x'; 2000]);
        assert_eq!(framer.next_frame(), Err(XmlError::ElementTooLong));
    }

    #[test]
    fn an_equal_second_xmlns_is_tolerated_and_a_different_one_is_not() {
        // Kontalk for Android asks for the server list like this.
        let twice = "<iq><command xmlns='http://jabber.org/protocol/commands' xmlns='http://jabber.org/protocol/commands' node='serverlist'/></iq>";
        let element = only_element(twice).unwrap();
        assert!(element.child("command", ns::COMMANDS).is_some());
        assert_eq!(only_element("<iq><c xmlns='u:1' xmlns='u:2'/></iq>"), Err(XmlError::NotWellFormed));
    }

    #[test]
    fn namespaces_survive_the_way_through() {
        let text = "<message xmlns:d='urn:d' xml:lang='en'><d:a d:b='1' b='2'><c xmlns=''/></d:a><x xmlns='urn:x'>t</x></message>";
        let element = only_element(text).unwrap();
        assert_eq!(element.lang(), Some("en"));
        let a = element.child("a", "urn:d").unwrap();
        assert_eq!(a.attribute("b"), Some("2"));
        assert!(a.child("c", "").is_some());
        assert_eq!(only_element(&element.to_text(ns::CLIENT)).unwrap(), element);
    }

    #[test]
    fn whitespace_between_stanzas_holds_no_memory() {
        let mut framer = Framer::new(LIMITS);
        framer.push(HEADER.as_bytes());
        assert!(matches!(framer.next_frame(), Ok(Some(Frame::Header(_)))));
        for _ in 0..100 {
            framer.push(&[b' '; 1000]);
            assert_eq!(framer.next_frame(), Ok(None));
        }
        assert_eq!(framer.pending_bytes(), 0);
    }

    #[test]
    fn bytes_behind_a_restart_belong_to_the_new_stream_unless_tls_begins() {
        let mut framer = Framer::new(LIMITS);
        framer.push(format!("{HEADER}<auth/>{HEADER}").as_bytes());
        assert!(matches!(framer.next_frame(), Ok(Some(Frame::Header(_)))));
        assert!(matches!(framer.next_frame(), Ok(Some(Frame::Element(_)))));
        framer.restart();
        assert!(matches!(framer.next_frame(), Ok(Some(Frame::Header(_)))));
        framer.push(b"<starttls/><evil/>");
        assert!(matches!(framer.next_frame(), Ok(Some(Frame::Element(_)))));
        framer.restart_discarding();
        assert_eq!(framer.next_frame(), Ok(None));
    }
}
