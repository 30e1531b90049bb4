//! The side that accepted: it offers, and decides who the other side is. RFC 6120 §5.4, §6.4, XEP-0178 §3, XEP-0220 §2.2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Action, Awaiting, PeerFault, PeerStream, Stage, domain_in};
use crate::federation::{Class, Pair, Refusal, Verdict};
use crate::limits;
use crate::stanza::{SaslCondition, SaslFailure, StanzaCondition, StanzaError, StreamCondition, StreamError};
use crate::xml::{Element, StreamHeader, ns};

impl PeerStream {
    pub(super) fn header_of_initiator(&mut self, header: &StreamHeader) {
        // RFC 6120 §4.9.3.6. One who names nobody can only mean the node itself.
        let to = match header.root.attribute("to") {
            None => self.config.served.first().cloned(),
            Some(_) => domain_in(&header.root, "to").filter(|to| self.config.serves(to)),
        };
        let Some(to) = to else {
            return self.end(StreamError::with_text(StreamCondition::HostUnknown, "this domain is not served here"));
        };
        let from = match header.root.attribute("from") {
            None => None,
            Some(_) => match domain_in(&header.root, "from").filter(|from| !self.config.serves(from)) {
                Some(from) => Some(from),
                // RFC 6120 §4.9.3.9.
                None => return self.end(StreamError::new(StreamCondition::InvalidFrom)),
            },
        };
        if let Stage::Authenticated(class) = self.stage {
            // RFC 6120 §6.4.6: behind authentication it is who it was.
            if (from.is_some() && from != self.peer) || Some(&to) != self.own.as_ref() {
                return self.end(StreamError::new(StreamCondition::InvalidFrom));
            }
            self.answer_header();
            return self.establish(class);
        }
        self.own = Some(to);
        self.peer = from.clone();
        let Some(from) = from else {
            // RFC 6120 §4.7.1: in the clear it may hide who it is. Behind TLS only dialback brings a name of its own.
            if self.stage == Stage::Secured && !self.config.policy.dialback {
                return self.end(StreamError::new(StreamCondition::ImproperAddressing));
            }
            return self.answer_header();
        };
        if let Err(refusal) = self.config.policy.admits(&from) {
            return self.refuse(refusal);
        }
        if self.stage == Stage::Secured {
            self.awaiting = Awaiting::Judgement;
            return self.queue.push_back(Action::Judge(from));
        }
        self.answer_header();
    }

    /// Our header, and what we offer behind it.
    pub(super) fn answer_header(&mut self) {
        if let Some(Verdict::Refused(refusal)) = self.verdict {
            // There is nothing that such a peer could do to prove itself. XEP-0178 §3.
            return self.refuse(refusal);
        }
        let mut text = String::with_capacity(512);
        self.write_header(&mut text);
        self.features().write(&mut text, ns::SERVER);
        self.queue.push_back(Action::Send(text));
    }

    fn features(&self) -> Element {
        let features = Element::new("features", ns::STREAM);
        match self.stage {
            // RFC 7590 §3.4, RFC 6120 §5.4.1: nothing but TLS until it is there.
            Stage::Plain => {
                features.with_child(Element::new("starttls", ns::TLS).with_child(Element::new("required", ns::TLS)))
            }
            Stage::Secured => {
                // XEP-0178 §3: EXTERNAL is offered to whom it can succeed for.
                let mut features = features;
                if let Some(Verdict::Proved(_) | Verdict::AwaitReach) = self.verdict {
                    let external = Element::new("mechanism", ns::SASL).with_text("EXTERNAL");
                    features.push(Element::new("mechanisms", ns::SASL).with_child(external));
                }
                // A node shows that it is one, and what it knows of where the other is.
                if let Some(node) = self.peer.as_ref().and_then(|peer| self.config.policy.pins.feature(peer)) {
                    features.push(node);
                }
                let takes_dialback = match &self.peer {
                    Some(peer) => self.config.policy.takes_dialback(peer),
                    None => self.config.policy.dialback,
                };
                if takes_dialback {
                    // XEP-0220 §2.3.1, §2.3.2: with errors that end no stream.
                    let errors = Element::new("errors", ns::DIALBACK_FEATURE);
                    features.push(Element::new("dialback", ns::DIALBACK_FEATURE).with_child(errors));
                }
                // XEP-0288 §2.1.
                features.with_child(Element::new("bidi", ns::BIDI_FEATURE))
            }
            Stage::Authenticated(_) | Stage::Carrying => features.with_child(Element::new("sm", ns::SM)),
        }
    }

    pub(super) fn receive_further(&mut self, element: &Element) {
        match (&self.stage, element.namespace(), element.name()) {
            (Stage::Plain, ns::TLS, "starttls") => {
                self.send(&Element::new("proceed", ns::TLS));
                self.queue.push_back(Action::StartTls);
                self.awaiting = Awaiting::Tls;
                // RFC 6120 §5.4.3.3: nothing said in the clear counts afterwards.
                self.framer.restart_discarding();
                (self.own, self.peer) = (None, None);
            }
            (Stage::Secured, ns::KONTALK_NET, "reach" | "introduction") => self.reach_shown(element),
            (Stage::Secured, ns::BIDI, "bidi") => self.bidi = true,
            (Stage::Secured, ns::SASL, "auth") => self.auth(element),
            (Stage::Secured, ns::SASL, "response") => self.external(&element.text()),
            (Stage::Secured, ns::SASL, "abort") => self.refuse_auth(SaslCondition::Aborted),
            (Stage::Secured, ns::DIALBACK, "result") => self.dialback_key(element),
            (Stage::Secured, ns::DIALBACK, "verify") => self.dialback_question(element),
            // RFC 6120 §4.9.3.12.
            (_, ns::SERVER, "message" | "presence" | "iq") | (_, ns::SM, _) => {
                self.end(StreamError::new(StreamCondition::NotAuthorized));
            }
            (Stage::Plain, ns::DIALBACK | ns::SASL, _) => {
                // RFC 6120 §4.9.3.14.
                self.end(StreamError::with_text(StreamCondition::PolicyViolation, "TLS is required first"));
            }
            _ => self.end_unsupported(),
        }
    }

    /// Looked at only of a domain whose card we have: what others say is signed by a key that we do not know.
    fn reach_shown(&mut self, shown: &Element) {
        let node = matches!(self.verdict, Some(Verdict::Proved(Class::Node) | Verdict::AwaitReach));
        let Some(domain) = self.peer.clone().filter(|_| node) else { return self.end_unsupported() };
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts > limits::SASL_ATTEMPTS_PER_STREAM_MAX {
            return self.end(StreamError::new(StreamCondition::PolicyViolation));
        }
        self.awaiting = Awaiting::Reach;
        self.queue.push_back(Action::Reach { domain, shown: shown.clone() });
    }

    fn auth(&mut self, auth: &Element) {
        if auth.attribute("mechanism") != Some("EXTERNAL") {
            return self.refuse_auth(SaslCondition::InvalidMechanism);
        }
        match auth.text().as_str() {
            // RFC 6120 §6.4.2: no initial response, so it is asked for.
            "" => self.send(&Element::new("challenge", ns::SASL)),
            text => self.external(text),
        }
    }

    /// The authorization identity must be the domain that the header named and TLS has proved. XEP-0178 §3.
    fn external(&mut self, text: &str) {
        if self.verdict == Some(Verdict::AwaitReach) {
            // It had its chance to show a newer reach; neither authority nor name server can stand in for its key.
            return self.refuse(Refusal::OtherKey);
        }
        let Some(Verdict::Proved(class)) = self.verdict else {
            return self.refuse_auth(SaslCondition::NotAuthorized);
        };
        let Some(authzid) = decode(text) else { return self.refuse_auth(SaslCondition::IncorrectEncoding) };
        let same = authzid.is_empty() || authzid.parse().ok().as_ref() == self.peer.as_ref();
        if !same || self.peer.is_none() {
            return self.refuse_auth(SaslCondition::InvalidAuthzid);
        }
        if class == Class::Node && !self.bidi {
            return self.refuse_auth(SaslCondition::MechanismTooWeak);
        }
        // RFC 6120 §6.4.6: the stream begins anew.
        self.send(&Element::new("success", ns::SASL));
        self.stage = Stage::Authenticated(class);
        self.framer.restart();
        self.header_sent = false;
    }

    fn refuse_auth(&mut self, condition: SaslCondition) {
        self.send(&SaslFailure::new(condition).to_element(ns::SASL));
        self.count_failure();
    }

    fn count_failure(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts >= limits::SASL_ATTEMPTS_PER_STREAM_MAX {
            self.end(StreamError::with_text(StreamCondition::PolicyViolation, "too many failed authentications"));
        }
    }

    /// The peer gives a key to prove itself with: its authoritative server is asked. XEP-0220 §2.1.2.
    fn dialback_key(&mut self, result: &Element) {
        let (Some(from), Some(to)) = (domain_in(result, "from"), domain_in(result, "to")) else {
            return self.end(StreamError::new(StreamCondition::ImproperAddressing));
        };
        if !self.config.serves(&to) {
            // XEP-0220 §2.3.2.
            return self.answer_key(&Pair { own: to, peer: from }, Err(StanzaCondition::ItemNotFound));
        }
        let pair = Pair { own: to, peer: from };
        let named_another = self.peer.as_ref().is_some_and(|peer| *peer != pair.peer);
        if named_another || self.config.serves(&pair.peer) {
            return self.end(StreamError::new(StreamCondition::InvalidFrom));
        }
        if let Err(refusal) = self.config.policy.admits(&pair.peer) {
            return self.refuse(refusal);
        }
        if !self.config.policy.takes_dialback(&pair.peer) {
            return self.refuse(Refusal::OtherKey);
        }
        let key = result.text().trim().to_owned();
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return self.answer_key(&pair, Err(StanzaCondition::NotAcceptable));
        }
        self.awaiting = Awaiting::KeyVerification(pair.clone());
        self.queue.push_back(Action::VerifyKey { pair, id: self.id.clone(), key });
    }

    /// Answers [`Action::VerifyKey`]: the authoritative server's yes or no, or why it could not be asked.
    pub fn key_verified(&mut self, answer: Result<bool, StanzaCondition>) {
        if self.closed {
            return;
        }
        let Awaiting::KeyVerification(pair) = std::mem::replace(&mut self.awaiting, Awaiting::Nothing) else { return };
        self.answer_key(&pair, answer);
    }

    fn answer_key(&mut self, pair: &Pair, answer: Result<bool, StanzaCondition>) {
        let reply = Element::new("result", ns::DIALBACK).with("from", pair.own.as_str()).with("to", pair.peer.as_str());
        match answer {
            Ok(true) => {
                self.send(&reply.with("type", "valid"));
                (self.own, self.peer) = (Some(pair.own.clone()), Some(pair.peer.clone()));
                self.establish(Class::Dialback);
            }
            Ok(false) => {
                // XEP-0220 §2.2.1.2: an impostor's stream is closed.
                self.send(&reply.with("type", "invalid"));
                self.fail(PeerFault::KeyRefused);
                self.end_with(None);
            }
            Err(condition) => {
                let error = StanzaError::new(condition).to_element();
                let mut reply = reply.with("type", "error").with_child(error);
                reply.move_namespace(ns::CLIENT, ns::SERVER);
                self.send(&reply);
                self.count_failure();
            }
        }
    }

    /// Somebody was given a key in our name and asks whether it is ours. XEP-0220 §2.2.2.
    pub(super) fn dialback_question(&mut self, verify: &Element) {
        let (Some(from), Some(to), Some(id)) =
            (domain_in(verify, "from"), domain_in(verify, "to"), verify.attribute("id"))
        else {
            return self.end(StreamError::new(StreamCondition::ImproperAddressing));
        };
        let reply =
            Element::new("verify", ns::DIALBACK).with("from", to.as_str()).with("to", from.as_str()).with("id", id);
        if !self.config.policy.dialback {
            // XEP-0220 §2.3.2: we give out no keys.
            let error = StanzaError::new(StanzaCondition::ServiceUnavailable).to_element();
            let mut reply = reply.with("type", "error").with_child(error);
            reply.move_namespace(ns::CLIENT, ns::SERVER);
            return self.send(&reply);
        }
        let ours = self.config.serves(&to) && self.config.secret.is_key(&verify.text(), &from, &to, id);
        self.send(&reply.with("type", if ours { "valid" } else { "invalid" }));
    }
}

/// RFC 6120 §6.4.2: `=` is data of no length, all else is base64.
fn decode(text: &str) -> Option<String> {
    match text {
        "" | "=" => Some(String::new()),
        _ => String::from_utf8(BASE64.decode(text).ok()?).ok(),
    }
}

/// Keys are hexadecimal digits of some hash; nobody needs longer ones.
const KEY_BYTES_MAX: usize = 512;
