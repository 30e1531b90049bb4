//! An established stream: stanzas, acknowledgements, pongs. RFC 6120 §8, XEP-0198 §4.

use super::{Action, PeerStream, PingNumber, Role};
use crate::federation::Class;
use crate::jid::Jid;
use crate::stanza::{
    IqType, Kind, MessageType, PresenceType, Stanza, StanzaCondition, StanzaError, StanzaFault, StreamCondition,
    StreamError,
};
use crate::xml::{Element, ns};

impl PeerStream {
    pub(super) fn carry(&mut self, element: Element) {
        self.peer_has_begun();
        match (element.namespace(), element.name()) {
            (ns::SERVER, _) => self.stanza(element),
            (ns::SM, "r") => self.queue.push_back(Action::AckRequest),
            (ns::SM, "a") => match element.attribute("h").and_then(|h| h.parse().ok()) {
                Some(h) => self.queue.push_back(Action::Ack { h }),
                None => self.end(StreamError::with_text(StreamCondition::BadFormat, "<a/> has no count in h")),
            },
            (ns::SM, "enable") => self.enable(),
            // XEP-0198 §5: nothing is kept here that could be resumed; the peer sends again what it must.
            (ns::SM, "resume") => self.send(&failed(StanzaCondition::ItemNotFound)),
            // XEP-0220 §2.2.2: whoever was given a key in our name may ask on any stream.
            (ns::DIALBACK, "verify") => self.dialback_question(&element),
            // XEP-0220 §2.6.2: one domain per stream; a second one dials.
            (ns::DIALBACK, "result") => self.refuse_multiplexing(&element),
            // Some servers offer more once dialback has succeeded; there is nothing there that we need.
            (ns::STREAM, "features") if matches!(self.role, Role::Initiator(..)) => {}
            _ => self.end_unsupported(),
        }
    }

    /// XEP-0198 §3.
    fn enable(&mut self) {
        if self.managed || !matches!(self.role, Role::Receiver) {
            return self.send(&failed(StanzaCondition::UnexpectedRequest));
        }
        self.managed = true;
        self.send(&Element::new("enabled", ns::SM));
        self.queue.push_back(Action::Managed);
    }

    fn refuse_multiplexing(&mut self, result: &Element) {
        let attribute = |name: &str| result.attribute(name).unwrap_or_default().to_owned();
        let mut reply = Element::new("result", ns::DIALBACK)
            .with("from", attribute("to"))
            .with("to", attribute("from"))
            .with("type", "error")
            .with_child(StanzaError::new(StanzaCondition::NotAcceptable).to_element());
        reply.move_namespace(ns::CLIENT, ns::SERVER);
        self.send(&reply);
    }

    fn stanza(&mut self, mut element: Element) {
        if matches!(self.role, Role::Initiator(..)) && !self.bidi {
            // RFC 6120 §4.9.3.12: it never authenticated to us on this stream.
            return self.end(StreamError::new(StreamCondition::NotAuthorized));
        }
        // Inside, stanzas of servers and of clients are the same.
        element.move_namespace(ns::SERVER, ns::CLIENT);
        let stanza = match Stanza::new(element) {
            Ok(stanza) => stanza,
            Err(StanzaFault::NotAStanza) => return self.end_unsupported(),
            Err(StanzaFault::InvalidFrom) => return self.end(StreamError::new(StreamCondition::InvalidFrom)),
            Err(StanzaFault::Answer(element, error)) => return self.unsound(&element, &error),
        };
        // RFC 6120 §8.1.1.2, §8.1.2.2: between servers both addresses are required.
        let (Some(from), Some(to)) = (stanza.from(), stanza.to()) else {
            return self.end(StreamError::new(StreamCondition::ImproperAddressing));
        };
        // RFC 6120 §4.9.3.9: a peer speaks for the domain that it has proved, and for no other.
        if self.peer.as_ref().is_none_or(|peer| peer.domainpart() != from.domainpart()) {
            return self.end(StreamError::new(StreamCondition::InvalidFrom));
        }
        if !self.config.serves(to.bare()) {
            return self.end(StreamError::with_text(StreamCondition::HostUnknown, "this domain is not served here"));
        }
        if self.class != Some(Class::Node) && is_between_nodes(&stanza) {
            let error = StanzaError::new(StanzaCondition::Forbidden).text("only a node with a pinned key may ask this");
            return self.queue.push_back(Action::Returned(stanza.error(&error)));
        }
        let action = match pong(&stanza) {
            Some(number) => Action::Pong(number),
            None => Action::Stanza(self.in_its_language(stanza)),
        };
        self.queue.push_back(action);
    }

    /// RFC 6120 §8.1.5.
    fn in_its_language(&self, mut stanza: Stanza) -> Stanza {
        if let Some(lang) = self.lang.as_deref().filter(|_| stanza.element().lang().is_none()) {
            stanza.element_mut().set_lang(lang);
        }
        stanza
    }

    /// A stanza whose frame is no good. Its sender is told, if it is one of the peer's and the stanza no error itself (RFC 6120
    /// §8.3.1).
    fn unsound(&mut self, element: &Element, error: &StanzaError) {
        let kind = match (element.name(), element.attribute("type")) {
            (_, Some("error")) | ("iq", Some("result")) => None,
            ("message", _) => Some(Kind::Message(MessageType::Error)),
            ("presence", _) => Some(Kind::Presence(PresenceType::Error)),
            _ => Some(Kind::Iq(IqType::Error)),
        };
        let sender = element.attribute("from").and_then(|from| from.parse::<Jid>().ok());
        let peer = self.peer.as_ref().map(|peer| peer.domainpart());
        let Some(sender) = sender.filter(|sender| Some(sender.domainpart()) == peer) else {
            return self.end(StreamError::new(StreamCondition::InvalidFrom));
        };
        let own = self.own.clone().map(Jid::Bare);
        let addressed = element.attribute("to").and_then(|to| to.parse::<Jid>().ok());
        let from = addressed.filter(|to| self.config.serves(to.bare())).or(own);
        let reply = kind.map(|kind| {
            Stanza::build(kind, from, Some(sender), element.attribute("id")).with_child(error.to_element())
        });
        self.queue.push_back(Action::Returned(reply));
    }
}

/// The answer to a ping of ours, whichever way it came: from the peer itself to our domain itself. XEP-0199 §4.2.
fn pong(stanza: &Stanza) -> Option<PingNumber> {
    let is_domain = |jid: Option<&Jid>| matches!(jid, Some(Jid::Bare(bare)) if bare.localpart().is_none());
    if !matches!(stanza.kind(), Kind::Iq(IqType::Result | IqType::Error))
        || !is_domain(stanza.from())
        || !is_domain(stanza.to())
    {
        return None;
    }
    PingNumber::from_id(stanza.id()?)
}

/// What nodes alone say to each other. A node's introduction proves itself, and is what makes it known.
fn is_between_nodes(stanza: &Stanza) -> bool {
    let payload = stanza.payload().filter(|_| matches!(stanza.kind(), Kind::Iq(_)));
    payload.is_some_and(|payload| {
        payload.namespace().starts_with("urn:kontalk:") && !payload.is("introduction", ns::KONTALK_NET)
    })
}

fn failed(condition: StanzaCondition) -> Element {
    Element::new("failed", ns::SM).with_child(Element::new(condition.as_str(), ns::STANZA_ERRORS))
}
