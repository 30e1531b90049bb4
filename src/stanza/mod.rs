//! Message, presence and iq as typed views of an element; the conditions of stanza, stream and SASL errors; replies.
//! RFC 6120 §4.9, §6.5, §8.
//!
//! A [`Stanza`] owns its element and has its addresses and type read and checked once. What is wrong with a stanza's frame
//! is told by [`StanzaFault`], which says whether the sender can be answered or has broken the stream.

mod condition;
mod datetime;
mod error;
mod secret;

pub use condition::{ErrorType, SaslCondition, StanzaCondition, StreamCondition};
pub use datetime::{Timestamp, delay};
pub use error::{SaslFailure, StanzaError, StreamError};
pub use secret::Secret;

use crate::jid::{BareJid, Jid};
use crate::xml::{Element, ns};

/// What a stanza is, with its type attribute. RFC 6120 §8.2, RFC 6121 §4.7.1, §5.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A message of this type.
    Message(MessageType),
    /// A presence of this type.
    Presence(PresenceType),
    /// An iq of this type.
    Iq(IqType),
}

/// The `type` of a message; an unknown or absent one is `normal`. RFC 6121 §5.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The RFC's words.
pub enum MessageType {
    Normal,
    Chat,
    Groupchat,
    Headline,
    Error,
}

/// The `type` of a presence; absent is available. RFC 6121 §4.7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The RFC's words.
pub enum PresenceType {
    Available,
    Unavailable,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Probe,
    Error,
}

/// The `type` of an iq. RFC 6120 §8.2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The RFC's words.
pub enum IqType {
    Get,
    Set,
    Result,
    Error,
}

/// Why an element is no stanza that can be handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StanzaFault {
    /// Not message, presence or iq of the client namespace: `unsupported-stanza-type`, RFC 6120 §4.9.3.24.
    NotAStanza,
    /// The `from` is no JID: `invalid-from`, RFC 6120 §4.9.3.9.
    InvalidFrom,
    /// The sender can be told: the element as it came and the error.
    Answer(Box<Element>, StanzaError),
}

/// A message, presence or iq whose frame is sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stanza {
    element: Element,
    kind: Kind,
    to: Option<Jid>,
    from: Option<Jid>,
}

impl Stanza {
    /// Reads the frame of a stanza: name, type, addresses, id.
    pub fn new(element: Element) -> Result<Stanza, StanzaFault> {
        if element.namespace() != ns::CLIENT {
            return Err(StanzaFault::NotAStanza);
        }
        let kind = match element.name() {
            "message" => Kind::Message(message_type(element.attribute("type"))),
            "presence" => match presence_type(element.attribute("type")) {
                Some(kind) => Kind::Presence(kind),
                None => return Err(answer(element, StanzaCondition::BadRequest)),
            },
            "iq" => match iq_type(&element) {
                Some(kind) => Kind::Iq(kind),
                None => return Err(answer(element, StanzaCondition::BadRequest)),
            },
            _ => return Err(StanzaFault::NotAStanza),
        };
        let from = match element.attribute("from").map(str::parse) {
            None => None,
            Some(Ok(from)) => Some(from),
            Some(Err(_)) => return Err(StanzaFault::InvalidFrom),
        };
        let to = match element.attribute("to").map(str::parse) {
            None => None,
            Some(Ok(to)) => Some(to),
            // RFC 6120 §8.3.3.8.
            Some(Err(_)) => return Err(answer(element, StanzaCondition::JidMalformed)),
        };
        Ok(Stanza { element, kind, to, from })
    }

    /// A stanza built here; its attributes are set from the arguments.
    pub fn build(kind: Kind, from: Option<Jid>, to: Option<Jid>, id: Option<&str>) -> Stanza {
        let mut element = Element::new(kind.name(), ns::CLIENT);
        if let Some(kind) = kind.attribute() {
            element.set_attribute("type", kind);
        }
        if let Some(id) = id {
            element.set_attribute("id", id);
        }
        let mut stanza = Stanza { element, kind, to: None, from: None };
        stanza.set_from(from);
        stanza.set_to(to);
        stanza
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The whole element.
    pub fn element(&self) -> &Element {
        &self.element
    }

    /// The element, to change its children. Addresses and type are set by this type's own functions.
    pub fn element_mut(&mut self) -> &mut Element {
        &mut self.element
    }

    /// Gives the element away.
    pub fn into_element(self) -> Element {
        self.element
    }

    /// The receiver.
    pub fn to(&self) -> Option<&Jid> {
        self.to.as_ref()
    }

    /// The sender.
    pub fn from(&self) -> Option<&Jid> {
        self.from.as_ref()
    }

    /// The `id`.
    pub fn id(&self) -> Option<&str> {
        self.element.attribute("id")
    }

    /// The payload of an iq: its only child.
    pub fn payload(&self) -> Option<&Element> {
        self.element.first_child()
    }

    /// Sets or removes the receiver.
    pub fn set_to(&mut self, to: Option<Jid>) {
        match &to {
            Some(to) => self.element.set_attribute("to", to.to_string()),
            None => self.element.remove_attribute("to"),
        }
        self.to = to;
    }

    /// Sets or removes the sender.
    pub fn set_from(&mut self, from: Option<Jid>) {
        match &from {
            Some(from) => self.element.set_attribute("from", from.to_string()),
            None => self.element.remove_attribute("from"),
        }
        self.from = from;
    }

    /// Appends a child.
    #[must_use]
    pub fn with_child(mut self, child: Element) -> Stanza {
        self.element.push(child);
        self
    }

    /// The result of an iq get or set, addressed to its sender, without payload yet.
    pub fn result(&self) -> Stanza {
        Stanza::build(Kind::Iq(IqType::Result), self.to.clone(), self.from.clone(), self.id())
    }

    /// The error that answers this stanza, or `None` where RFC 6120 §8.3.1 forbids one: errors and results are never answered.
    pub fn error(&self, error: &StanzaError) -> Option<Stanza> {
        let kind = match self.kind {
            Kind::Message(MessageType::Error)
            | Kind::Presence(PresenceType::Error)
            | Kind::Iq(IqType::Error | IqType::Result) => return None,
            Kind::Message(_) => Kind::Message(MessageType::Error),
            Kind::Presence(_) => Kind::Presence(PresenceType::Error),
            Kind::Iq(_) => Kind::Iq(IqType::Error),
        };
        let reply = Stanza::build(kind, self.to.clone(), self.from.clone(), self.id());
        Some(reply.with_child(error.to_element()))
    }

    /// Is it an iq get or set, which must be answered (RFC 6120 §8.2.3)?
    pub fn is_request(&self) -> bool {
        matches!(self.kind, Kind::Iq(IqType::Get | IqType::Set))
    }

    /// Is it of type error?
    pub fn is_error(&self) -> bool {
        matches!(
            self.kind,
            Kind::Message(MessageType::Error) | Kind::Presence(PresenceType::Error) | Kind::Iq(IqType::Error)
        )
    }

    /// A presence's priority, 0 if absent or unreadable. RFC 6121 §4.7.2.3.
    pub fn priority(&self) -> i8 {
        self.element.child("priority", ns::CLIENT).and_then(|p| p.text().trim().parse().ok()).unwrap_or(0)
    }

    /// The stanza as text for a client's stream.
    pub fn to_text(&self) -> String {
        self.element.to_text(ns::CLIENT)
    }

    /// The sender's bare JID, where there is a sender.
    pub fn from_bare(&self) -> Option<&BareJid> {
        self.from.as_ref().map(Jid::bare)
    }
}

impl Kind {
    /// The element's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Message(_) => "message",
            Kind::Presence(_) => "presence",
            Kind::Iq(_) => "iq",
        }
    }

    /// The `type` attribute, `None` where the absent attribute says it.
    pub fn attribute(self) -> Option<&'static str> {
        Some(match self {
            Kind::Message(MessageType::Normal) | Kind::Presence(PresenceType::Available) => return None,
            Kind::Message(MessageType::Chat) => "chat",
            Kind::Message(MessageType::Groupchat) => "groupchat",
            Kind::Message(MessageType::Headline) => "headline",
            Kind::Presence(PresenceType::Unavailable) => "unavailable",
            Kind::Presence(PresenceType::Subscribe) => "subscribe",
            Kind::Presence(PresenceType::Subscribed) => "subscribed",
            Kind::Presence(PresenceType::Unsubscribe) => "unsubscribe",
            Kind::Presence(PresenceType::Unsubscribed) => "unsubscribed",
            Kind::Presence(PresenceType::Probe) => "probe",
            Kind::Iq(IqType::Get) => "get",
            Kind::Iq(IqType::Set) => "set",
            Kind::Iq(IqType::Result) => "result",
            Kind::Message(MessageType::Error) | Kind::Presence(PresenceType::Error) | Kind::Iq(IqType::Error) => {
                "error"
            }
        })
    }
}

fn answer(element: Element, condition: StanzaCondition) -> StanzaFault {
    StanzaFault::Answer(Box::new(element), StanzaError::new(condition))
}

fn message_type(attribute: Option<&str>) -> MessageType {
    match attribute {
        Some("chat") => MessageType::Chat,
        Some("groupchat") => MessageType::Groupchat,
        Some("headline") => MessageType::Headline,
        Some("error") => MessageType::Error,
        // RFC 6121 §5.2.2: what we do not know is to be treated as normal.
        _ => MessageType::Normal,
    }
}

fn presence_type(attribute: Option<&str>) -> Option<PresenceType> {
    Some(match attribute {
        None => PresenceType::Available,
        Some("unavailable") => PresenceType::Unavailable,
        Some("subscribe") => PresenceType::Subscribe,
        Some("subscribed") => PresenceType::Subscribed,
        Some("unsubscribe") => PresenceType::Unsubscribe,
        Some("unsubscribed") => PresenceType::Unsubscribed,
        Some("probe") => PresenceType::Probe,
        Some("error") => PresenceType::Error,
        Some(_) => return None,
    })
}

/// RFC 6120 §8.2.3: `id` and `type` are required, a get or set has exactly one child.
fn iq_type(element: &Element) -> Option<IqType> {
    element.attribute("id")?;
    let kind = match element.attribute("type")? {
        "get" => IqType::Get,
        "set" => IqType::Set,
        "result" => IqType::Result,
        "error" => IqType::Error,
        _ => return None,
    };
    let children = element.children().count();
    match kind {
        IqType::Get | IqType::Set if children != 1 => None,
        IqType::Result if children > 1 => None,
        _ => Some(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_document;

    fn read(text: &str) -> Result<Stanza, StanzaFault> {
        Stanza::new(parse_document(text, ns::CLIENT, 10).unwrap())
    }

    #[test]
    fn frames_are_read_as_the_rfc_has_them() {
        for (text, kind) in [
            ("<message/>", Kind::Message(MessageType::Normal)),
            ("<message type='nonsense'/>", Kind::Message(MessageType::Normal)),
            ("<message type='chat'/>", Kind::Message(MessageType::Chat)),
            ("<presence/>", Kind::Presence(PresenceType::Available)),
            ("<presence type='probe'/>", Kind::Presence(PresenceType::Probe)),
            ("<iq type='get' id='1'><q/></iq>", Kind::Iq(IqType::Get)),
            ("<iq type='result' id='1'/>", Kind::Iq(IqType::Result)),
        ] {
            let stanza = read(text).unwrap();
            assert_eq!(stanza.kind(), kind, "{text}");
        }
    }

    #[test]
    fn unsound_frames_are_answered_or_end_the_stream() {
        for (text, condition) in [
            ("<iq type='get'><q/></iq>", StanzaCondition::BadRequest),
            ("<iq type='get' id='1'/>", StanzaCondition::BadRequest),
            ("<iq type='set' id='1'><q/><q/></iq>", StanzaCondition::BadRequest),
            ("<iq type='nonsense' id='1'><q/></iq>", StanzaCondition::BadRequest),
            ("<presence type='nonsense'/>", StanzaCondition::BadRequest),
            ("<message to='@'/>", StanzaCondition::JidMalformed),
        ] {
            match read(text) {
                Err(StanzaFault::Answer(_, error)) => assert_eq!(error.condition(), condition, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert_eq!(read("<foo/>"), Err(StanzaFault::NotAStanza));
        assert_eq!(read("<message xmlns='jabber:server'/>"), Err(StanzaFault::NotAStanza));
        assert_eq!(read("<message from='@'/>"), Err(StanzaFault::InvalidFrom));
    }

    #[test]
    fn errors_and_results_are_never_answered() {
        let error = StanzaError::new(StanzaCondition::ServiceUnavailable);
        for text in [
            "<message type='error'/>",
            "<presence type='error'/>",
            "<iq type='error' id='1'/>",
            "<iq type='result' id='1'/>",
        ] {
            assert_eq!(read(text).unwrap().error(&error), None);
        }
        let reply = read("<iq type='get' id='1' from='a@b/c' to='b'><q/></iq>").unwrap().error(&error).unwrap();
        assert_eq!(
            reply.to_text(),
            "<iq type='error' id='1' from='b' to='a@b/c'><error type='cancel'>\
             <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        );
    }
}
