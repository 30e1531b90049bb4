//! What a stranger may say: `<starttls/>`, SASL, registration. RFC 6120 §5, XEP-0077.

use super::{Action, Awaiting, CLOSING_TAG, Stream};
use crate::limits;
use crate::stanza::{SaslCondition, SaslFailure, Stanza, StanzaCondition, StanzaError, StreamCondition, StreamError};
use crate::xml::{Element, ns};

impl Stream {
    /// RFC 6120 §5.3.1: TLS is mandatory to negotiate, nothing else goes before it.
    pub(super) fn before_tls(&mut self, element: &Element) {
        if element.is("starttls", ns::TLS) {
            self.send(&Element::new("proceed", ns::TLS));
            self.queue.push_back(Action::StartTls);
            self.awaiting = Awaiting::Tls;
            // RFC 6120 §5.4.3.3: nothing said in the clear counts afterwards.
            self.framer.restart_discarding();
        } else if element.namespace() == ns::SASL {
            // RFC 6120 §6.5.4.
            self.sasl_failed(None, &SaslFailure::new(SaslCondition::EncryptionRequired));
        } else if element.namespace() == ns::SASL2 {
            // XEP-0388 §3: only after TLS.
            self.sign_on.get_or_insert_default();
            self.sasl_failed(None, &SaslFailure::new(SaslCondition::EncryptionRequired));
        } else if is_stream_content(element) {
            // RFC 6120 §4.9.3.14.
            self.end(Some(StreamError::with_text(StreamCondition::PolicyViolation, "TLS is required first")));
        } else {
            self.end_unsupported();
        }
    }

    pub(super) fn before_authentication(&mut self, element: Element) {
        if element.namespace() == ns::SASL2 {
            self.sasl2_element(&element);
        } else if self.sign_on.is_some() {
            // XEP-0388 §2.4: nothing else goes while authentication is in progress.
            self.end_early(&element);
        } else if element.namespace() == ns::SASL {
            self.sasl_element(&element);
        } else if element.is("starttls", ns::TLS) {
            // RFC 6120 §5.4.2.2: TLS is there already, so this is a failure, and a failure ends the stream.
            self.send(&Element::new("failure", ns::TLS));
            self.queue.push_back(Action::Send(CLOSING_TAG.to_owned()));
            self.queue.push_back(Action::Close);
            self.closed = true;
        } else if is_registration(&element) {
            match self.registration_request(element) {
                Some(request) => self.register(request),
                None => self.end(Some(StreamError::new(StreamCondition::NotAuthorized))),
            }
        } else {
            self.end_early(&element);
        }
    }

    /// A get or set of `jabber:iq:register` for the node, without the `from` that a stranger has no right to.
    fn registration_request(&self, mut element: Element) -> Option<Stanza> {
        element.remove_attribute("from");
        if let (Some(lang), None) = (&self.lang, element.lang()) {
            // RFC 6120 §8.1.5: the message with the code is in the user's language.
            element.set_lang(lang.as_ref());
        }
        let stanza = Stanza::new(element).ok()?;
        let is_for_node = stanza.to().is_none_or(|to| to.resource().is_none() && *to.bare() == self.config.domain);
        (stanza.is_request() && is_for_node).then_some(stanza)
    }

    fn register(&mut self, request: Stanza) {
        self.registration_requests = self.registration_requests.saturating_add(1);
        if self.registration_requests > limits::REGISTRATION_REQUESTS_PER_STREAM_MAX {
            return self.end(Some(StreamError::with_text(
                StreamCondition::PolicyViolation,
                "too many registration requests on one stream",
            )));
        }
        if self.config.registration {
            self.awaiting = Awaiting::Registration;
            self.queue.push_back(Action::Register(request));
            return;
        }
        // Kontalk registration: where it is off, any request is not-allowed.
        let error = StanzaError::new(StanzaCondition::NotAllowed).text("This server does not take registrations.");
        if let Some(mut reply) = request.error(&error) {
            reply.set_from(Some(self.config.domain.clone().into()));
            self.queue.push_back(Action::Send(reply.to_text()));
        }
    }

    /// Something came before its time. RFC 6120 §4.9.3.12, §7.1.
    pub(super) fn end_early(&mut self, element: &Element) {
        if is_stream_content(element) {
            self.end(Some(StreamError::new(StreamCondition::NotAuthorized)));
        } else {
            self.end_unsupported();
        }
    }

    /// RFC 6120 §4.9.3.24.
    pub(super) fn end_unsupported(&mut self) {
        self.end(Some(StreamError::new(StreamCondition::UnsupportedStanzaType)));
    }
}

fn is_registration(element: &Element) -> bool {
    element.is("iq", ns::CLIENT) && element.first_child().is_some_and(|child| child.namespace() == ns::REGISTER)
}

/// Stanzas, and the elements of XEP-0198 and XEP-0352 that go between them.
fn is_stream_content(element: &Element) -> bool {
    match element.namespace() {
        ns::CLIENT => matches!(element.name(), "message" | "presence" | "iq"),
        ns::SM | ns::CSI => true,
        _ => false,
    }
}
