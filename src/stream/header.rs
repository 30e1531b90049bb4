//! Stream headers, theirs and ours, and the features behind ours. RFC 6120 §4.3, §4.7, §4.8.

use super::sasl::{Mechanism, channel_bindings, mechanisms};
use super::sign_on::authentication_feature;
use super::{Action, Stage, Stream, TlsFacts};
use crate::jid::Jid;
use crate::stanza::{StreamCondition, StreamError};
use crate::xml::{Element, StreamHeader, escape_attribute, ns};

impl Stream {
    /// The client opened a stream: check its header, open ours, say what comes next.
    pub(super) fn header(&mut self, header: &StreamHeader) {
        if let Err(error) = self.check(header) {
            return self.end(Some(error));
        }
        if !matches!(self.stage, Stage::Authenticated(_) | Stage::Bound(_)) {
            let from = header.root.attribute("from").and_then(|from| from.parse::<Jid>().ok());
            self.from = from.map(|from| Box::new(from.bare().clone()));
        }
        self.lang = header.root.lang().filter(|lang| lang_must_be_told(lang)).map(Box::from);
        let mut text = String::with_capacity(1024);
        self.write_header(Some(header), &mut text);
        self.features().write(&mut text, ns::CLIENT);
        self.queue.push_back(Action::Send(text));
    }

    fn check(&self, header: &StreamHeader) -> Result<(), StreamError> {
        let root = &header.root;
        // RFC 6120 §4.9.3.10.
        if root.namespace() != ns::STREAM {
            return Err(StreamError::with_text(
                StreamCondition::InvalidNamespace,
                "the root element is not in the stream namespace",
            ));
        }
        // RFC 6120 §4.9.3.1.
        if root.name() != "stream" {
            return Err(StreamError::with_text(StreamCondition::BadFormat, "the root element is not <stream/>"));
        }
        // RFC 6120 §4.8.2: the content namespace of a client's stream.
        if header.content_namespace() != ns::CLIENT {
            return Err(StreamError::with_text(
                StreamCondition::InvalidNamespace,
                "the default namespace is not jabber:client",
            ));
        }
        // RFC 6120 §4.7.5: what has no version speaks the protocol before XMPP 1.0.
        if !root.attribute("version").is_some_and(is_version_1_or_later) {
            return Err(StreamError::with_text(StreamCondition::UnsupportedVersion, "XMPP 1.0 or later is wanted"));
        }
        // RFC 6120 §4.9.3.6. We serve one domain, so a client that names none can only mean this one.
        match root.attribute("to").map(str::parse::<Jid>) {
            None => Ok(()),
            Some(Ok(Jid::Bare(to))) if to == self.config.domain => Ok(()),
            Some(_) => Err(StreamError::with_text(StreamCondition::HostUnknown, "this domain is not served here")),
        }
    }

    /// Opens our stream. RFC 6120 §4.7; the declaration is of §11.5.
    pub(super) fn write_header(&mut self, theirs: Option<&StreamHeader>, out: &mut String) {
        self.header_sent = true;
        let id = self.draw();
        out.push_str("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='");
        out.push_str(ns::STREAM);
        out.push_str("' from='");
        escape_attribute(self.config.domain.as_str(), out);
        if let Some(from) = theirs.and_then(|header| header.root.attribute("from")) {
            // RFC 6120 §4.7.2: a client that named itself is named in return, after authentication as who it is.
            let from =
                self.authenticated_as().cloned().or_else(|| from.parse::<Jid>().ok().map(|jid| jid.bare().clone()));
            if let Some(from) = from {
                out.push_str("' to='");
                escape_attribute(from.as_str(), out);
            }
        }
        out.push_str("' id='");
        id.iter().take(STREAM_ID_BYTES).for_each(|byte| out.push_str(&format!("{byte:02x}")));
        out.push_str("' version='1.0' xml:lang='en'>");
    }

    fn features(&self) -> Element {
        let features = Element::new("features", ns::STREAM);
        match &self.stage {
            // RFC 6120 §5.4.1: nothing but TLS until it is there.
            Stage::Plain => {
                features.with_child(Element::new("starttls", ns::TLS).with_child(Element::new("required", ns::TLS)))
            }
            Stage::Secured(facts) => self.stranger_features(features, facts),
            Stage::Authenticated(_) | Stage::Bound(_) => self.session_features(false),
        }
    }

    fn stranger_features(&self, features: Element, facts: &TlsFacts) -> Element {
        let offered = mechanisms(facts);
        let mut list = Element::new("mechanisms", ns::SASL);
        for mechanism in &offered {
            list.push(Element::new("mechanism", ns::SASL).with_text(mechanism.as_str()));
        }
        let offered = Mechanism::offered_by_sasl2(facts);
        let mut features =
            features.with_child(list).with_child(authentication_feature(facts, &offered, self.config.inline));
        let known = channel_bindings(facts);
        if !known.is_empty() {
            // XEP-0440: which channel bindings we can check, so that the client need not guess.
            let mut bindings = Element::new("sasl-channel-binding", ns::SASL_CHANNEL_BINDING);
            for name in known {
                bindings.push(Element::new("channel-binding", ns::SASL_CHANNEL_BINDING).with("type", name));
            }
            features.push(bindings);
        }
        if self.config.registration {
            // XEP-0077 §8. Kontalk clients register only where they see it.
            features.push(Element::new("register", ns::REGISTER_FEATURE));
        }
        features
    }

    /// What an authenticated client may use; what an inline request has done already is left out. No compression: Kontalk
    /// clients would take it, and it leaks secrets beside which an attacker can place text.
    pub(super) fn session_features(&self, managed: bool) -> Element {
        let mut features = Element::new("features", ns::STREAM);
        if !matches!(self.stage, Stage::Bound(_)) {
            features.push(Element::new("bind", ns::BIND));
            // Old clients ask for a session unless it is marked as optional.
            features.push(Element::new("session", ns::SESSION).with_child(Element::new("optional", ns::SESSION)));
        }
        if !managed {
            features.push(Element::new("sm", ns::SM));
        }
        // XEP-0115 §6.3.
        self.config.caps.iter().for_each(|caps| features.push(caps.clone()));
        features
            .with_child(Element::new("ver", ns::ROSTER_VERSIONING))
            .with_child(Element::new("sub", ns::PRE_APPROVAL))
            .with_child(Element::new("csi", ns::CSI))
            // Kontalk streams: the marker for finding one's contacts.
            .with_child(Element::new("roster", ns::KONTALK_ROSTER))
    }
}

/// RFC 6120 §4.7.5: `major.minor`, both decimal. A higher version than ours is answered with ours.
fn is_version_1_or_later(version: &str) -> bool {
    let Some((major, minor)) = version.split_once('.') else { return false };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits(major) && digits(minor) && major.bytes().any(|b| b != b'0')
}

/// A language of the stream other than our own must be written on each stanza, since its receiver does not see the stream's
/// header (RFC 6120 §8.1.5). What is no language tag (RFC 5646 §2.1, and its longest usual length) is left out.
fn lang_must_be_told(lang: &str) -> bool {
    let tag = !lang.is_empty() && lang.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    tag && lang.len() <= LANG_BYTES_MAX && !lang.eq_ignore_ascii_case("en")
}

/// 128 bits, as RFC 6120 §4.7.3 wants ids unpredictable.
const STREAM_ID_BYTES: usize = 16;
/// RFC 5646 §4.4.1.
const LANG_BYTES_MAX: usize = 35;
