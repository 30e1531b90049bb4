//! Errors of stanzas, streams and SASL as values, and the one place that puts each on the wire.

use std::borrow::Cow;
use std::fmt;

use super::{ErrorType, SaslCondition, StanzaCondition, StreamCondition};
use crate::xml::{Element, XmlError, ns};

/// A refused stanza: it is answered and the stream lives. RFC 6120 §8.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StanzaError {
    condition: StanzaCondition,
    kind: ErrorType,
    text: Option<Cow<'static, str>>,
    application: Option<Box<Element>>,
}

impl StanzaError {
    /// The condition with the type the RFC recommends.
    pub fn new(condition: StanzaCondition) -> StanzaError {
        StanzaError { condition, kind: condition.usual_type(), text: None, application: None }
    }

    /// With another type than the usual.
    #[must_use]
    pub fn of_type(mut self, kind: ErrorType) -> StanzaError {
        self.kind = kind;
        self
    }

    /// With a sentence for people.
    #[must_use]
    pub fn text(mut self, text: impl Into<Cow<'static, str>>) -> StanzaError {
        self.text = Some(text.into());
        self
    }

    /// With an application-specific condition, RFC 6120 §8.3.4.
    #[must_use]
    pub fn application(mut self, element: Element) -> StanzaError {
        self.application = Some(Box::new(element));
        self
    }

    /// The condition.
    pub fn condition(&self) -> StanzaCondition {
        self.condition
    }

    /// The type.
    pub fn error_type(&self) -> ErrorType {
        self.kind
    }

    /// The `<error/>` child.
    pub fn to_element(&self) -> Element {
        let mut error = Element::new("error", ns::CLIENT)
            .with("type", self.kind.as_str())
            .with_child(Element::new(self.condition.as_str(), ns::STANZA_ERRORS));
        if let Some(text) = &self.text {
            let mut element = Element::new("text", ns::STANZA_ERRORS).with_text(text);
            element.set_lang("en");
            error.push(element);
        }
        if let Some(application) = &self.application {
            error.push((**application).clone());
        }
        error
    }
}

/// A broken or ended stream: it is said, then the stream is closed. RFC 6120 §4.9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// The condition.
    pub condition: StreamCondition,
    /// A sentence for people.
    pub text: Option<Cow<'static, str>>,
    application: Option<Box<Element>>,
}

impl StreamError {
    /// The condition alone.
    pub fn new(condition: StreamCondition) -> StreamError {
        StreamError { condition, text: None, application: None }
    }

    /// The condition with a sentence.
    pub fn with_text(condition: StreamCondition, text: impl Into<Cow<'static, str>>) -> StreamError {
        StreamError { condition, text: Some(text.into()), application: None }
    }

    /// With an application-specific condition, RFC 6120 §4.9.4.
    #[must_use]
    pub fn application(mut self, element: Element) -> StreamError {
        self.application = Some(Box::new(element));
        self
    }

    /// The `<stream:error/>` element.
    pub fn to_element(&self) -> Element {
        let mut error =
            Element::new("error", ns::STREAM).with_child(Element::new(self.condition.as_str(), ns::STREAM_ERRORS));
        if let Some(text) = &self.text {
            let mut element = Element::new("text", ns::STREAM_ERRORS).with_text(text);
            element.set_lang("en");
            error.push(element);
        }
        if let Some(application) = &self.application {
            error.push((**application).clone());
        }
        error
    }
}

impl From<XmlError> for StreamError {
    fn from(error: XmlError) -> StreamError {
        let condition = match error {
            XmlError::NotWellFormed => StreamCondition::NotWellFormed,
            XmlError::Restricted => StreamCondition::RestrictedXml,
            XmlError::NotUtf8 => StreamCondition::UnsupportedEncoding,
            XmlError::UnboundPrefix => StreamCondition::BadNamespacePrefix,
            XmlError::ElementTooLong | XmlError::TooDeep | XmlError::TooManyAttributes => {
                StreamCondition::PolicyViolation
            }
        };
        StreamError::with_text(condition, error.to_string())
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => write!(f, "{} ({text})", self.condition.as_str()),
            None => f.write_str(self.condition.as_str()),
        }
    }
}

/// A refused authentication: the stream lives, the client may try again. RFC 6120 §6.4.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslFailure {
    /// The condition.
    pub condition: SaslCondition,
    /// A sentence for people.
    pub text: Option<Cow<'static, str>>,
}

impl SaslFailure {
    /// The condition alone.
    pub fn new(condition: SaslCondition) -> SaslFailure {
        SaslFailure { condition, text: None }
    }

    /// The condition with a sentence.
    pub fn with_text(condition: SaslCondition, text: impl Into<Cow<'static, str>>) -> SaslFailure {
        SaslFailure { condition, text: Some(text.into()) }
    }

    /// The `<failure/>` element. `profile` is the namespace of the exchange that fails: [`ns::SASL`] or [`ns::SASL2`], whose
    /// failures have the conditions of the first (XEP-0388 §2.6.2).
    pub fn to_element(&self, profile: &'static str) -> Element {
        let mut failure = Element::new("failure", profile).with_child(Element::new(self.condition.as_str(), ns::SASL));
        if let Some(text) = &self.text {
            let mut element = Element::new("text", profile).with_text(text);
            element.set_lang("en");
            failure.push(element);
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_xml_has_its_stream_condition() {
        for (fault, condition) in [
            (XmlError::NotWellFormed, "not-well-formed"),
            (XmlError::Restricted, "restricted-xml"),
            (XmlError::NotUtf8, "unsupported-encoding"),
            (XmlError::UnboundPrefix, "bad-namespace-prefix"),
            (XmlError::ElementTooLong, "policy-violation"),
            (XmlError::TooDeep, "policy-violation"),
            (XmlError::TooManyAttributes, "policy-violation"),
        ] {
            assert_eq!(StreamError::from(fault).condition.as_str(), condition);
        }
    }

    #[test]
    fn errors_look_as_the_rfc_prints_them() {
        let error = StreamError::new(StreamCondition::SystemShutdown).to_element().to_text(ns::CLIENT);
        assert_eq!(
            error,
            "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
        );
        let failure = SaslFailure::new(SaslCondition::NotAuthorized).to_element(ns::SASL).to_text(ns::CLIENT);
        assert_eq!(failure, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>");
    }
}
