//! The negotiation core of a component's stream: bytes in, actions out. XEP-0114 §3.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::{Secret, Secrets};
use crate::c2s::Incoming;
use crate::jid::{BareJid, Jid};
use crate::limits;
use crate::stanza::{
    IqType, Kind, MessageType, PresenceType, Stanza, StanzaCondition, StanzaError, StanzaFault, StreamCondition,
    StreamError,
};
use crate::xml::{Element, Frame, Framer, FramerLimits, StreamHeader, escape_attribute, ns};

/// What the edge has to do.
#[derive(Debug)]
pub(super) enum Action {
    /// Write this.
    Send(String),
    /// The component has shown its secret: may it serve its domain now? Answer with [`Stream::attached`].
    Attach(BareJid),
    /// A stanza of the component, its sender checked.
    Stanza(Stanza),
    /// Nothing more comes: close the connection.
    Close,
}

/// How far a component has come.
#[derive(Debug)]
enum Stage {
    /// Nothing was said.
    Header,
    /// It named its domain.
    Handshake(BareJid),
    /// Its handshake was right; the node has yet to say whether the domain is free.
    Attaching(BareJid),
    /// It serves its domain.
    Open(BareJid),
    /// All was said.
    Closed,
}

/// One stream.
pub(super) struct Stream {
    /// The node's own domain.
    node: BareJid,
    secrets: Arc<Secrets>,
    framer: Framer,
    stage: Stage,
    /// What the handshake is made of, and nobody can guess.
    id: String,
    header_sent: bool,
    queue: VecDeque<Action>,
    deadline: Instant,
}

impl Incoming for Stream {
    fn receive(&mut self, bytes: &[u8]) {
        if !matches!(self.stage, Stage::Closed) {
            self.framer.push(bytes);
        }
    }

    fn pending_bytes(&self) -> usize {
        self.framer.pending_bytes()
    }
}

impl Stream {
    /// A stream on which nothing was said yet; `random` is for its id alone.
    pub(super) fn new(node: BareJid, secrets: Arc<Secrets>, random: [u8; 32], now: Instant) -> Stream {
        Stream {
            node,
            secrets,
            framer: Framer::new(STRANGER_LIMITS),
            stage: Stage::Header,
            id: random.iter().take(STREAM_ID_BYTES).map(|byte| format!("{byte:02x}")).collect(),
            header_sent: false,
            queue: VecDeque::new(),
            deadline: now.checked_add(limits::COMPONENT_HANDSHAKE_TIMEOUT).unwrap_or(now),
        }
    }

    /// The next thing to do; `None` when more bytes, an answer or the deadline must come first.
    pub(super) fn next_action(&mut self) -> Option<Action> {
        loop {
            if let Some(action) = self.queue.pop_front() {
                return Some(action);
            }
            if matches!(self.stage, Stage::Attaching(_) | Stage::Closed) {
                return None;
            }
            match self.framer.next_frame() {
                Ok(Some(Frame::Header(header))) => self.header(&header),
                Ok(Some(Frame::Element(element))) => self.element(element),
                Ok(Some(Frame::End)) => self.end(None),
                Ok(None) => return None,
                Err(error) => self.end(Some(StreamError::from(error))),
            }
        }
    }

    /// Until when the handshake must be done; `None` when it is.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (!matches!(self.stage, Stage::Open(_))).then_some(self.deadline)
    }

    /// The domain it serves, once it does.
    pub(super) fn domain(&self) -> Option<&BareJid> {
        match &self.stage {
            Stage::Open(domain) => Some(domain),
            _ => None,
        }
    }

    /// Answers [`Action::Attach`].
    pub(super) fn attached(&mut self, free: bool) {
        let Stage::Attaching(domain) = &self.stage else { return };
        if free {
            self.stage = Stage::Open(domain.clone());
            self.framer.set_limits(STANZA_LIMITS);
            self.queue.push_back(Action::Send("<handshake/>".to_owned()));
        } else {
            // RFC 6120 §4.9.3.3.
            let text = "this component is connected already";
            self.end(Some(StreamError::with_text(StreamCondition::Conflict, text)));
        }
    }

    /// Ends the stream, with an error or in order.
    pub(super) fn end(&mut self, error: Option<StreamError>) {
        if matches!(self.stage, Stage::Closed) {
            return;
        }
        let mut text = String::new();
        if !self.header_sent {
            self.write_header(None, &mut text);
        }
        if let Some(error) = error {
            log::debug!("a component's stream ends: {error}");
            error.to_element().write(&mut text, ns::COMPONENT);
        }
        text.push_str("</stream:stream>");
        self.stage = Stage::Closed;
        self.queue.push_back(Action::Send(text));
        self.queue.push_back(Action::Close);
    }

    fn header(&mut self, header: &StreamHeader) {
        let root = &header.root;
        let refusal = if !root.is("stream", ns::STREAM) {
            // RFC 6120 §4.9.3.1, §4.9.3.10.
            Some((StreamCondition::InvalidNamespace, "the root element is not <stream/> of the stream namespace"))
        } else if header.content_namespace() != ns::COMPONENT {
            Some((StreamCondition::InvalidNamespace, "the default namespace is not jabber:component:accept"))
        } else {
            None
        };
        if let Some((condition, text)) = refusal {
            return self.end(Some(StreamError::with_text(condition, text)));
        }
        let domain = root.attribute("to").and_then(|to| to.parse::<BareJid>().ok());
        let Some(domain) = domain.filter(|domain| self.secrets.contains_key(domain)) else {
            // XEP-0114 §3, RFC 6120 §4.9.3.6.
            let text = "no component of this name is configured here";
            return self.end(Some(StreamError::with_text(StreamCondition::HostUnknown, text)));
        };
        let mut text = String::new();
        self.write_header(Some(&domain), &mut text);
        self.queue.push_back(Action::Send(text));
        self.stage = Stage::Handshake(domain);
    }

    fn write_header(&mut self, domain: Option<&BareJid>, out: &mut String) {
        self.header_sent = true;
        out.push_str("<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='");
        out.push_str(ns::STREAM);
        out.push_str("' from='");
        // XEP-0114 §3: the component's own name.
        escape_attribute(domain.unwrap_or(&self.node).as_str(), out);
        out.push_str("' id='");
        out.push_str(&self.id);
        out.push_str("'>");
    }

    fn element(&mut self, element: Element) {
        match &self.stage {
            Stage::Handshake(domain) if element.is("handshake", ns::COMPONENT) => {
                let domain = domain.clone();
                let proved = |secret: &Secret| secret.proves(&self.id, &element.text());
                if self.secrets.get(&domain).is_some_and(proved) {
                    self.stage = Stage::Attaching(domain.clone());
                    self.queue.push_back(Action::Attach(domain));
                } else {
                    log::warn!("component {domain}: the handshake is wrong (remedy: the same secret on both sides)");
                    // XEP-0114 §3.
                    self.end(Some(StreamError::new(StreamCondition::NotAuthorized)));
                }
            }
            Stage::Open(domain) => {
                let domain = domain.clone();
                self.stanza(&domain, element);
            }
            // RFC 6120 §4.9.3.12.
            _ => self.end(Some(StreamError::with_text(StreamCondition::NotAuthorized, "the handshake comes first"))),
        }
    }

    fn stanza(&mut self, domain: &BareJid, mut element: Element) {
        if element.namespace() != ns::COMPONENT {
            return self.end(Some(StreamError::new(StreamCondition::UnsupportedStanzaType)));
        }
        element.move_namespace(ns::COMPONENT, ns::CLIENT);
        let mut stanza = match Stanza::new(element) {
            Ok(stanza) => stanza,
            Err(StanzaFault::NotAStanza) => {
                return self.end(Some(StreamError::new(StreamCondition::UnsupportedStanzaType)));
            }
            Err(StanzaFault::InvalidFrom) => return self.end(Some(StreamError::new(StreamCondition::InvalidFrom))),
            Err(StanzaFault::Answer(element, error)) => {
                let answer = fault_answer(&element, &error, &self.node);
                return self.queue.extend(answer.map(|stanza| Action::Send(stanza.to_text())));
            }
        };
        match stanza.from() {
            // RFC 6120 §8.1.2.2, §4.9.3.9: it speaks for its own domain only.
            Some(from) if from.domainpart() != domain.domainpart() => {
                let text = "a component speaks for its own domain only";
                return self.end(Some(StreamError::with_text(StreamCondition::InvalidFrom, text)));
            }
            Some(_) => {}
            None => stanza.set_from(Some(Jid::Bare(domain.clone()))),
        }
        if stanza.to().is_none() {
            let error = StanzaError::new(StanzaCondition::BadRequest).text("a component's stanza needs an address");
            let answer = fault_answer(stanza.element(), &error, &self.node);
            return self.queue.extend(answer.map(|stanza| Action::Send(stanza.to_text())));
        }
        self.queue.push_back(Action::Stanza(stanza));
    }
}

/// The error that answers a stanza that goes nowhere. Errors and results are never answered (RFC 6120 §8.3.1).
fn fault_answer(element: &Element, error: &StanzaError, node: &BareJid) -> Option<Stanza> {
    let kind = match (element.name(), element.attribute("type")) {
        (_, Some("error")) | ("iq", Some("result")) => return None,
        ("message", _) => Kind::Message(MessageType::Error),
        ("presence", _) => Kind::Presence(PresenceType::Error),
        _ => Kind::Iq(IqType::Error),
    };
    let from = element.attribute("to").and_then(|to| to.parse().ok()).unwrap_or_else(|| Jid::Bare(node.clone()));
    let to = element.attribute("from").and_then(|from| from.parse().ok());
    Some(Stanza::build(kind, Some(from), to, element.attribute("id")).with_child(error.to_element()))
}

const STRANGER_LIMITS: FramerLimits =
    FramerLimits { element_bytes_max: limits::STRANGER_ELEMENT_BYTES_MAX, depth_max: limits::STANZA_DEPTH_MAX };
const STANZA_LIMITS: FramerLimits =
    FramerLimits { element_bytes_max: limits::STANZA_BYTES_MAX, depth_max: limits::STANZA_DEPTH_MAX };
/// 128 bits.
const STREAM_ID_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
                          xmlns:stream='http://etherx.jabber.org/streams' to='chat.a.example'>";

    fn stream() -> Stream {
        let secrets = Secrets::from([("chat.a.example".parse().unwrap(), Secret::from_file("hush").unwrap())]);
        Stream::new("a.example".parse().unwrap(), Arc::new(secrets), [7; 32], Instant::now())
    }

    /// What the stream does, a word or the text it sends each.
    fn told(stream: &mut Stream, text: &str) -> Vec<String> {
        stream.receive(text.as_bytes());
        let mut done = Vec::new();
        while let Some(action) = stream.next_action() {
            done.push(match action {
                Action::Send(text) => text,
                Action::Attach(domain) => format!("attach {domain}"),
                Action::Stanza(stanza) => format!("stanza {}", stanza.to_text()),
                Action::Close => "close".to_owned(),
            });
        }
        done
    }

    fn handshake() -> String {
        let mut hash = <sha1::Sha1 as sha1::Digest>::new();
        sha1::Digest::update(&mut hash, format!("{}hush", "07".repeat(16)));
        let hex: String = sha1::Digest::finalize(hash).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("<handshake>{hex}</handshake>")
    }

    fn open() -> Stream {
        let mut stream = stream();
        told(&mut stream, HEADER);
        assert_eq!(told(&mut stream, &handshake()), ["attach chat.a.example"]);
        // What it says meanwhile waits.
        assert!(told(&mut stream, "<message to='juliet@a.example'/>").is_empty());
        stream.attached(true);
        assert_eq!(
            told(&mut stream, ""),
            ["<handshake/>", "stanza <message to='juliet@a.example' from='chat.a.example'/>"]
        );
        assert_eq!(stream.deadline(), None);
        stream
    }

    #[test]
    fn a_component_that_knows_its_secret_serves_its_domain() {
        let mut stream = stream();
        let greeting = told(&mut stream, HEADER);
        assert!(greeting[0].contains("from='chat.a.example'") && greeting[0].contains(&"07".repeat(16)));
        assert!(stream.deadline().is_some());
        open();
    }

    #[test]
    fn whoever_is_not_who_he_says_is_told_why() {
        let client = HEADER.replace("jabber:component:accept", "jabber:client");
        let elsewhere = HEADER.replace("to='chat.", "to='other.");
        let nowhere = HEADER.replace(" to='chat.a.example'", "");
        for (text, condition) in [
            (client, "invalid-namespace"),
            (elsewhere, "host-unknown"),
            (nowhere, "host-unknown"),
            (format!("{HEADER}<handshake>{}</handshake>", "0".repeat(40)), "not-authorized"),
            (format!("{HEADER}<handshake/>"), "not-authorized"),
            (format!("{HEADER}<message to='juliet@a.example' from='chat.a.example'/>"), "not-authorized"),
            (format!("{HEADER}<handshake>{}</handshake>", "x".repeat(20_000)), "policy-violation"),
            ("GET / HTTP/1.1\r\n".to_owned(), "not-well-formed"),
        ] {
            let mut stream = stream();
            let done = told(&mut stream, &text);
            assert_eq!(done.last().map(String::as_str), Some("close"), "{text}: {done:?}");
            assert!(done.iter().any(|text| text.contains(condition)), "{text}: {done:?}");
            assert!(!done.iter().any(|text| text.starts_with("attach")), "{text}: {done:?}");
            assert!(told(&mut stream, "<handshake/>").is_empty());
        }
        let mut second = stream();
        told(&mut second, &format!("{HEADER}{}", handshake()));
        second.attached(false);
        assert!(told(&mut second, "")[0].contains("<conflict"));
    }

    #[test]
    fn a_component_speaks_for_its_own_domain_only() {
        for (stanza, expected) in [
            ("<message from='romeo@chat.a.example/x' to='juliet@a.example'/>", "stanza <message"),
            ("<iq type='get' id='1' from='chat.a.example' to='a.example'><q xmlns='urn:q'/></iq>", "stanza <iq"),
            ("<message from='romeo@a.example' to='juliet@a.example'/>", "invalid-from"),
            ("<message from='a.example' to='juliet@a.example'/>", "invalid-from"),
            ("<message from='x.chat.a.example' to='juliet@a.example'/>", "invalid-from"),
            ("<message from='@' to='juliet@a.example'/>", "invalid-from"),
            ("<message from='chat.a.example'><body>x</body></message>", "bad-request"),
            ("<iq type='get' from='chat.a.example' to='a.example'><q xmlns='urn:q'/></iq>", "bad-request"),
            ("<nonsense/>", "unsupported-stanza-type"),
            ("<message xmlns='jabber:client' from='chat.a.example' to='juliet@a.example'/>", "unsupported-stanza-type"),
        ] {
            let done = told(&mut open(), stanza);
            assert!(done[0].contains(expected), "{stanza}: {done:?}");
        }
        // Errors are never answered.
        assert!(told(&mut open(), "<message type='error' from='chat.a.example'/>").is_empty());
    }

    #[test]
    fn what_is_inside_a_stanza_is_a_clients_too() {
        let done = told(
            &mut open(),
            "<message from='chat.a.example' to='a@a.example'><body>x</body><x xmlns='urn:x'><y/></x></message>",
        );
        assert_eq!(
            done,
            [
                "stanza <message from='chat.a.example' to='a@a.example'><body>x</body><x xmlns='urn:x'><y/></x></message>"
            ]
        );
        assert_eq!(told(&mut open(), "</stream:stream>"), ["</stream:stream>", "close"]);
    }
}
