//! The side that dialled: it follows the features that the other side offers. RFC 6120 §4.3.2, §5.4, §6.4, XEP-0178 §3.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Action, Awaiting, Errand, Expects, PeerFault, PeerStream, Role, Stage};
use crate::federation::{Class, Refusal, Verdict};
use crate::limits;
use crate::stanza::{SaslCondition, StreamCondition, StreamError};
use crate::xml::{Element, StreamHeader, ns};

impl PeerStream {
    pub(super) fn header_of_receiver(&mut self, header: &StreamHeader) {
        // RFC 6120 §4.7.3: the receiver names the stream; dialback's keys are made of that name.
        match header.root.attribute("id").filter(|id| !id.is_empty() && id.len() <= ID_BYTES_MAX) {
            Some(id) => self.id = id.to_owned(),
            None => return self.end(StreamError::with_text(StreamCondition::BadFormat, "the stream has no id")),
        }
        if self.stage == Stage::Secured
            && self.verdict.is_none()
            && let Some(peer) = self.peer.clone()
        {
            self.awaiting = Awaiting::Judgement;
            self.queue.push_back(Action::Judge(peer));
        }
    }

    pub(super) fn initiate_further(&mut self, element: &Element) {
        let Role::Initiator(_, expects) = &self.role else { return };
        match (expects, element.namespace(), element.name()) {
            (Expects::Features, ns::STREAM, "features") => self.follow(element),
            (Expects::Proceed, ns::TLS, "proceed") => {
                self.queue.push_back(Action::StartTls);
                self.awaiting = Awaiting::Tls;
                // RFC 6120 §5.4.3.3.
                self.framer.restart_discarding();
            }
            (Expects::Proceed, ns::TLS, "failure") => self.give_up(PeerFault::TlsRefused),
            (Expects::Reach, ns::KONTALK_NET, "reach") => {
                let Some(domain) = self.peer.clone() else { return };
                self.awaiting = Awaiting::Reach;
                self.queue.push_back(Action::Reach { domain, shown: element.clone() });
            }
            (Expects::Success, ns::SASL, "success") => self.believed(),
            (Expects::Success, ns::SASL, "challenge") => {
                // EXTERNAL has nothing more to say than it said (RFC 4422, Appendix A.1).
                self.send(&Element::new("response", ns::SASL).with_text("="));
                self.count_attempt();
            }
            (Expects::Success, ns::SASL, "failure") => self.not_believed(element),
            (Expects::DialbackResult, ns::DIALBACK, "result") => self.dialback_result(element),
            (Expects::DialbackVerdict, ns::DIALBACK, "verify") => self.dialback_verdict(element),
            (Expects::Enabled, ns::SM, "enabled") => {
                self.managed = true;
                self.begin_carrying();
            }
            (Expects::Enabled, ns::SM, "failed") => self.begin_carrying(),
            // XEP-0220 §2.2: the peer may prove itself, or ask about keys of ours, only on streams that it dials.
            _ => self.end_unsupported(),
        }
    }

    fn expect(&mut self, wanted: Expects) {
        if let Role::Initiator(_, expects) = &mut self.role {
            *expects = wanted;
        }
    }

    fn follow(&mut self, features: &Element) {
        match self.stage {
            Stage::Plain if features.child("starttls", ns::TLS).is_some() => {
                self.send(&Element::new("starttls", ns::TLS));
                self.expect(Expects::Proceed);
            }
            // RFC 7590 §3.4: federation without TLS is none.
            Stage::Plain => self.give_up(PeerFault::NoTls),
            Stage::Secured => self.authenticate(features),
            Stage::Authenticated(_) if features.child("sm", ns::SM).is_some() => {
                // XEP-0198 §3. Nothing can be resumed: what is not acknowledged is sent again on the next stream.
                self.send(&Element::new("enable", ns::SM));
                self.expect(Expects::Enabled);
            }
            Stage::Authenticated(_) | Stage::Carrying => self.begin_carrying(),
        }
    }

    /// XEP-0178 §3, XEP-0220 §2.1.1: by certificate where the peer takes ours, else by dialback.
    fn authenticate(&mut self, features: &Element) {
        if let Role::Initiator(Errand::Verify { id, key }, _) = &self.role {
            let verify = Element::new("verify", ns::DIALBACK).with("id", id.clone()).with_text(key);
            return self.send_dialback(verify, Expects::DialbackVerdict);
        }
        // A node that does not hold our newest reach is handed it here, before authentication; it answers with its own.
        let proved = self.verdict == Some(Verdict::Proved(Class::Node));
        if (proved || self.verdict == Some(Verdict::AwaitReach))
            && let Some(peer) = &self.peer
            && let Some(reach) = self.config.policy.pins.introduce(peer, features, proved)
        {
            self.send(&reach);
            self.offered = Some(features.clone());
            return self.expect(Expects::Reach);
        }
        self.authenticate_by(features);
    }

    /// It has our reach, and we have its own.
    pub(super) fn authenticate_introduced(&mut self) {
        match self.offered.take() {
            Some(features) => self.authenticate_by(&features),
            None => self.end_unsupported(),
        }
    }

    fn authenticate_by(&mut self, features: &Element) {
        let class = match self.verdict {
            Some(Verdict::Proved(class)) => class,
            // Its name server has told us where it is, and that is all that is known of it.
            Some(Verdict::ByDialback) => Class::Dialback,
            Some(Verdict::AwaitReach) => return self.refuse(Refusal::OtherKey),
            Some(Verdict::Refused(refusal)) => return self.refuse(refusal),
            None => return self.end_unsupported(),
        };
        if features.child("bidi", ns::BIDI_FEATURE).is_some() {
            // XEP-0288 §2.2: before authentication.
            self.send(&Element::new("bidi", ns::BIDI));
            self.bidi = true;
        } else if class == Class::Node {
            // Between nodes it is required: one of them may be where nobody can dial.
            return self.refuse(Refusal::OtherKey);
        }
        let offered = features.child("mechanisms", ns::SASL);
        let external = offered.is_some_and(|list| list.children().any(|mechanism| mechanism.text() == "EXTERNAL"));
        if external {
            // XEP-0178 §3: the authorization identity is our domain.
            let own = self.own.as_ref().map(|own| BASE64.encode(own.as_str())).unwrap_or_default();
            self.send(&Element::new("auth", ns::SASL).with("mechanism", "EXTERNAL").with_text(&own));
            return self.expect(Expects::Success);
        }
        match class {
            Class::Node => self.give_up(PeerFault::NoMechanism),
            Class::Domain | Class::Dialback => self.try_dialback(PeerFault::NoMechanism),
        }
    }

    /// `otherwise` says why there is no other way.
    fn try_dialback(&mut self, otherwise: PeerFault) {
        let pair = self.pair().filter(|_| self.config.policy.dialback);
        let Some(pair) = pair else { return self.give_up(otherwise) };
        // XEP-0220 §2.1.1.
        let key = self.config.secret.key(&pair.peer, &pair.own, &self.id);
        self.send_dialback(Element::new("result", ns::DIALBACK).with_text(&key), Expects::DialbackResult);
    }

    fn send_dialback(&mut self, element: Element, expects: Expects) {
        let Some(pair) = self.pair() else { return };
        self.send(&element.with("from", pair.own.as_str()).with("to", pair.peer.as_str()));
        self.expect(expects);
    }

    /// RFC 6120 §6.4.6: success, and the stream begins anew.
    fn believed(&mut self) {
        self.stage = Stage::Authenticated(self.class());
        self.framer.restart();
        self.expect(Expects::Features);
        self.send_header();
    }

    fn not_believed(&mut self, failure: &Element) {
        let name = failure.children().find(|child| child.name() != "text").map(Element::name);
        let condition = SaslCondition::ALL.iter().find(|condition| name == Some(condition.as_str())).copied();
        let fault = PeerFault::NotBelieved(condition.unwrap_or(SaslCondition::NotAuthorized));
        match self.class() {
            Class::Node => self.give_up(fault),
            // XEP-0178 §3: dialback is the way out.
            Class::Domain | Class::Dialback => self.try_dialback(fault),
        }
    }

    fn dialback_result(&mut self, result: &Element) {
        match result.attribute("type") {
            // XEP-0220 §2.1.1: no new header; what the peer offers behind this is not known, so nothing is counted.
            Some("valid") => self.begin_carrying(),
            _ => self.give_up(PeerFault::KeyRefused),
        }
    }

    fn dialback_verdict(&mut self, verdict: &Element) {
        let Role::Initiator(Errand::Verify { id, .. }, _) = &self.role else { return };
        // XEP-0220 §2.2.2: whatever it is but a clear yes is a no.
        let valid = verdict.attribute("id") == Some(id.as_str()) && verdict.attribute("type") == Some("valid");
        self.queue.push_back(Action::KeyJudged(valid));
        self.end_with(None);
    }

    fn begin_carrying(&mut self) {
        self.expect(Expects::Nothing);
        self.establish(self.class());
    }

    fn class(&self) -> Class {
        match (&self.stage, self.verdict) {
            (Stage::Authenticated(class), _) => *class,
            (_, Some(Verdict::Proved(class))) => class,
            _ => Class::Dialback,
        }
    }

    fn count_attempt(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts > limits::SASL_ATTEMPTS_PER_STREAM_MAX {
            self.end(StreamError::new(StreamCondition::PolicyViolation));
        }
    }

    /// Nothing comes of it, and no rule was broken.
    fn give_up(&mut self, fault: PeerFault) {
        self.fail(fault);
        self.end_with(None);
    }
}

/// Ids are chosen by the peer; nobody needs longer ones.
const ID_BYTES_MAX: usize = 256;
