//! What an authenticated client says: binding or resumption first, then stanzas. RFC 6120 §7, §8.1.2.1; XEP-0198, XEP-0352.

use super::{Action, Awaiting, Bound, Management, ResumeRefused, Resumed, SessionWishes, Stage, Stream};
use crate::jid::{BareJid, FullJid, Jid};
use crate::stanza::{
    IqType, Kind, MessageType, PresenceType, Stanza, StanzaCondition, StanzaError, StanzaFault, StreamCondition,
    StreamError,
};
use crate::xml::{Element, ns};

impl Stream {
    /// Authenticated, without a resource.
    pub(super) fn before_binding(&mut self, account: BareJid, element: Element) {
        match element.namespace() {
            ns::SM if element.name() == "resume" => self.resume(account, &element),
            // XEP-0198 §3: management of what is not bound cannot be enabled.
            ns::SM if element.name() == "enable" => self.send(&failed(StanzaCondition::UnexpectedRequest)),
            ns::CLIENT if element.name() == "iq" => self.unbound_iq(account, element),
            _ => self.end_early(&element),
        }
    }

    fn unbound_iq(&mut self, account: BareJid, mut element: Element) {
        // There is no resource yet that it could be from.
        element.remove_attribute("from");
        let stanza = match Stanza::new(element) {
            Ok(stanza) => stanza,
            Err(StanzaFault::Answer(element, error)) => {
                if let Some(reply) = fault_reply(&element, &error, &self.config.domain, None) {
                    self.queue.push_back(Action::Send(reply.to_text()));
                }
                return;
            }
            Err(StanzaFault::InvalidFrom | StanzaFault::NotAStanza) => return self.end_unsupported(),
        };
        if is_session_request(&stanza) {
            self.queue.push_back(Action::Send(stanza.result().to_text()));
        } else if let Some(bind) = bind_request(&stanza) {
            self.bind(account, &stanza, bind);
        } else {
            // RFC 6120 §7.1.
            self.end(Some(StreamError::with_text(StreamCondition::NotAuthorized, "a resource must be bound first")));
        }
    }

    /// RFC 6120 §7.6, §7.7.
    fn bind(&mut self, account: BareJid, stanza: &Stanza, bind: &Element) {
        let wish = bind.child("resource", ns::BIND).map(Element::text).filter(|wish| !wish.is_empty());
        let resource = match wish.map(|wish| account.with_resource(&wish)).transpose() {
            Ok(full) => full.map(|full| full.resource().to_owned()),
            Err(error) => {
                // RFC 6120 §7.7.2.1 names bad-request for a resource that cannot be processed.
                let error = StanzaError::new(StanzaCondition::BadRequest).text(error.to_string());
                if let Some(reply) = stanza.error(&error) {
                    self.queue.push_back(Action::Send(reply.to_text()));
                }
                return;
            }
        };
        self.awaiting = Awaiting::Binding(Some(stanza.id().unwrap_or_default().into()));
        self.queue.push_back(Action::Bind { account, resource, wishes: SessionWishes::default() });
    }

    pub(super) fn answer_binding(&mut self, id: &str, answer: Result<Bound, StanzaError>) {
        let reply = match answer {
            Ok(bound) => {
                let jid = Element::new("jid", ns::BIND).with_text(&bound.jid.to_string());
                self.stage = Stage::Bound(bound.jid);
                Stanza::build(Kind::Iq(IqType::Result), None, None, Some(id))
                    .with_child(Element::new("bind", ns::BIND).with_child(jid))
            }
            Err(error) => Stanza::build(Kind::Iq(IqType::Error), None, None, Some(id)).with_child(error.to_element()),
        };
        self.queue.push_back(Action::Send(reply.to_text()));
    }

    /// XEP-0198 §5.
    fn resume(&mut self, account: BareJid, element: &Element) {
        let token = element.attribute("previd").filter(|token| !token.is_empty());
        match (token, count(element)) {
            (Some(token), Some(h)) => {
                self.awaiting = Awaiting::Resumption(token.into());
                self.queue.push_back(Action::Resume { account, token: token.to_owned(), h });
            }
            _ => self.send(&failed(StanzaCondition::BadRequest)),
        }
    }

    pub(super) fn answer_resumption(&mut self, token: &str, answer: Result<Resumed, ResumeRefused>) {
        match answer {
            Ok(resumed) => {
                self.send(&resumed.to_element(token));
                self.stage = Stage::Bound(resumed.jid);
            }
            Err(refused) => self.send(&refused.to_element()),
        }
    }

    /// A connected resource.
    pub(super) fn while_bound(&mut self, full: FullJid, element: Element) {
        match (element.namespace(), element.name()) {
            (ns::CLIENT, _) => self.stanza(full, element),
            (ns::SM, "r") => self.queue.push_back(Action::AckRequest),
            (ns::SM, "a") => match count(&element) {
                Some(h) => self.queue.push_back(Action::Ack { h }),
                // XEP-0198 §4 wants the count, and gives no other way to tell.
                None => self.end(Some(StreamError::with_text(StreamCondition::BadFormat, "<a/> has no count in h"))),
            },
            (ns::SM, "enable") => {
                self.queue.push_back(Action::EnableSm(management_wish(&element)));
            }
            // XEP-0198 §5: only instead of binding.
            (ns::SM, "resume") => self.send(&failed(StanzaCondition::UnexpectedRequest)),
            (ns::CSI, "active") => self.queue.push_back(Action::Csi { active: true }),
            (ns::CSI, "inactive") => self.queue.push_back(Action::Csi { active: false }),
            _ => self.end_unsupported(),
        }
    }

    fn stanza(&mut self, full: FullJid, element: Element) {
        let mut stanza = match Stanza::new(element) {
            Ok(stanza) => stanza,
            Err(StanzaFault::NotAStanza) => return self.end_unsupported(),
            Err(StanzaFault::InvalidFrom) => return self.end_invalid_from(),
            Err(StanzaFault::Answer(element, error)) => {
                let reply = fault_reply(&element, &error, &self.config.domain, Some(&full));
                return self.queue.push_back(Action::Answered(reply));
            }
        };
        // RFC 6120 §8.1.2.1: a client speaks as itself only.
        match stanza.from() {
            Some(Jid::Full(from)) if *from == full => {}
            Some(Jid::Bare(from)) if from != full.bare() => return self.end_invalid_from(),
            Some(Jid::Full(_)) => return self.end_invalid_from(),
            _ => stanza.set_from(Some(Jid::Full(full.clone()))),
        }
        if let Some(lang) = &self.lang
            && stanza.element().lang().is_none()
        {
            // RFC 6120 §8.1.5.
            stanza.element_mut().set_lang(lang.as_ref());
        }
        let for_us = stanza
            .to()
            .is_none_or(|to| to.resource().is_none() && (*to.bare() == self.config.domain || to.bare() == full.bare()));
        let action = if for_us && is_session_request(&stanza) {
            Action::Answered(Some(stanza.result()))
        } else if for_us && bind_request(&stanza).is_some() {
            // RFC 6120 §7.6.2.2: one stream binds one resource here.
            Action::Answered(stanza.error(&StanzaError::new(StanzaCondition::NotAllowed)))
        } else {
            Action::Stanza(stanza)
        };
        self.queue.push_back(action);
    }

    /// RFC 6120 §4.9.3.9.
    fn end_invalid_from(&mut self) {
        self.end(Some(StreamError::new(StreamCondition::InvalidFrom)));
    }
}

/// RFC 3921 §3: old clients ask for a session after binding; there is nothing to do but to say yes.
fn is_session_request(stanza: &Stanza) -> bool {
    stanza.kind() == Kind::Iq(IqType::Set) && stanza.payload().is_some_and(|p| p.is("session", ns::SESSION))
}

fn bind_request(stanza: &Stanza) -> Option<&Element> {
    let payload = stanza.payload()?;
    (stanza.kind() == Kind::Iq(IqType::Set) && payload.is("bind", ns::BIND)).then_some(payload)
}

/// The error that answers a stanza with an unsound frame. Errors and results are never answered (RFC 6120 §8.3.1).
fn fault_reply(element: &Element, error: &StanzaError, domain: &BareJid, to: Option<&FullJid>) -> Option<Stanza> {
    let kind = match (element.name(), element.attribute("type")) {
        (_, Some("error")) | ("iq", Some("result")) => return None,
        ("message", _) => Kind::Message(MessageType::Error),
        ("presence", _) => Kind::Presence(PresenceType::Error),
        _ => Kind::Iq(IqType::Error),
    };
    // The answer comes from where the stanza went, or from us where that is no address.
    let from = element.attribute("to").and_then(|to| to.parse().ok()).unwrap_or_else(|| Jid::Bare(domain.clone()));
    let reply = Stanza::build(kind, Some(from), to.cloned().map(Jid::Full), element.attribute("id"));
    Some(reply.with_child(error.to_element()))
}

/// XEP-0198: the count of stanzas handled, decimal, modulo 2^32.
pub(super) fn count(element: &Element) -> Option<u32> {
    element.attribute("h")?.parse().ok()
}

/// XEP-0198 §3: `<enable/>`.
pub(super) fn management_wish(enable: &Element) -> Management {
    Management {
        resume: matches!(enable.attribute("resume"), Some("true" | "1")),
        max_secs: enable.attribute("max").and_then(|max| max.parse().ok()),
    }
}

/// XEP-0198 §3, §5: a refusal, with a stanza error condition.
pub(super) fn failed(condition: StanzaCondition) -> Element {
    Element::new("failed", ns::SM).with_child(Element::new(condition.as_str(), ns::STANZA_ERRORS))
}
