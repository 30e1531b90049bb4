//! SASL2 and what a client wants of its session in the same breath: tokens, resumption, a resource. XEP-0388, XEP-0386, XEP-0484,
//! XEP-0198 §9.
//!
//! After authentication the steps are taken in this order, each asked of the edge and answered by it: a token -> resumption ->
//! binding. All answers stand in one `<success/>`, so that a client that knows us is in its session after one round trip.

use super::action::{Management, SessionWishes};
use super::binding::{count, failed, management_wish};
use super::keys::hmac_sha256;
use super::sasl::{BASE64, Mechanism, Refused, decode_base64, refusal};
use super::token::{ClientId, HashedToken, IssuedToken, TokenProof, TokenVerdict};
use super::{Action, Awaiting, Bound, Exchange, ResumeRefused, Resumed, Stage, Stream, TlsFacts};
use crate::jid::BareJid;
use crate::limits;
use crate::stanza::{SaslCondition, SaslFailure, StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

use base64::Engine;

/// What a client asked for in `<authenticate/>`, and what has come of it so far.
#[derive(Default)]
pub(super) struct SignOn {
    client: Option<ClientId>,
    /// `<fast/>`: the token's count, and whether the token shall be forgotten. XEP-0484 §3.4, §3.6.
    fast: Option<(u32, bool)>,
    /// The mechanism of a token that the client wants. XEP-0484 §3.2.
    token_wish: Option<HashedToken>,
    /// `<resume/>`, which may be unsound.
    resume: Option<Option<(String, u32)>>,
    bind: Option<BindWish>,
    /// The mechanism's last word.
    additional_data: Option<Vec<u8>>,
    token: Option<IssuedToken>,
    /// What came of the session: `<resumed/>`, `<failed/>`, `<bound/>`.
    outcomes: Vec<Element>,
}

/// `<bind/>` of XEP-0386.
struct BindWish {
    tag: Option<String>,
    wishes: SessionWishes,
}

/// The feature of XEP-0388 §2.1, with what can be negotiated inside. `inline` is what a session can begin with (XEP-0386 §3.1).
pub(super) fn authentication_feature(facts: &TlsFacts, offered: &[Mechanism], inline: &[&str]) -> Element {
    let mut authentication = Element::new("authentication", ns::SASL2);
    for mechanism in offered {
        authentication.push(Element::new("mechanism", ns::SASL2).with_text(mechanism.as_str()));
    }
    let mut features = Element::new("inline", ns::BIND2);
    for feature in inline {
        features.push(Element::new("feature", ns::BIND2).with("var", *feature));
    }
    let mut inline = Element::new("inline", ns::SASL2)
        .with_child(Element::new("bind", ns::BIND2).with_child(features))
        .with_child(Element::new("sm", ns::SM));
    if offered.contains(&Mechanism::Plain) {
        // XEP-0484 §3.1, without tls-0rtt: our TLS takes no early data. A key's owner needs no token, and a token would outlive
        // the key's revocation.
        let mut fast = Element::new("fast", ns::FAST);
        for mechanism in HashedToken::usable(facts) {
            fast.push(Element::new("mechanism", ns::FAST).with_text(mechanism.as_str()));
        }
        inline.push(fast);
    }
    authentication.with_child(inline)
}

/// The exchange.
impl Stream {
    pub(super) fn sasl2_element(&mut self, element: &Element) {
        let step = match element.name() {
            "authenticate" => self.authenticate(element),
            "response" => self.answer_challenge(element),
            // XEP-0388 §4.5.
            "abort" => Err(refusal(SaslCondition::Aborted)),
            _ => return self.end_unsupported(),
        };
        if let Err(refused) = step {
            // Whatever failed, it failed in this profile.
            self.sign_on.get_or_insert_default();
            self.sasl_failed(refused.account, &refused.failure);
        }
    }

    /// XEP-0388 §2.3.
    fn authenticate(&mut self, element: &Element) -> Result<(), Refused> {
        if !matches!(self.exchange, Exchange::None) {
            return Err(refusal(SaslCondition::MalformedRequest));
        }
        let Stage::Secured(facts) = &self.stage else { return Err(refusal(SaslCondition::InvalidMechanism)) };
        let mechanism = chosen(facts, element.attribute("mechanism").unwrap_or_default())?;
        self.sign_on = Some(Box::new(read(element, facts)));
        match element.child("initial-response", ns::SASL2) {
            Some(data) => self.sasl_initial(mechanism, &decode_base64(data.text().trim())?),
            None => self.sasl_begin(mechanism),
        }
    }

    /// XEP-0388 §2.5.
    fn answer_challenge(&mut self, element: &Element) -> Result<(), Refused> {
        if self.sign_on.is_none() {
            return Err(refusal(SaslCondition::MalformedRequest));
        }
        let data = decode_base64(element.text().trim())?;
        self.sasl_next(&data)
    }

    /// The only word of HT-*: the user's name and a hash that only he can make who has the token.
    pub(super) fn hashed_token(&mut self, mechanism: HashedToken, data: &[u8]) -> Result<(), Refused> {
        let malformed = |text| Refused::from(SaslFailure::with_text(SaslCondition::MalformedRequest, text));
        let (Stage::Secured(facts), Some(sign_on)) = (&self.stage, &self.sign_on) else {
            return Err(refusal(SaslCondition::InvalidMechanism));
        };
        // XEP-0484 §3.4, §4.1.
        let (count, invalidate) = sign_on.fast.ok_or_else(|| malformed("a token needs <fast/> beside it"))?;
        let client = sign_on.client.ok_or_else(|| malformed("a token needs the id of a <user-agent/>"))?;
        let binding = mechanism.binding(facts).ok_or_else(|| refusal(SaslCondition::InvalidMechanism))?;
        let mut parts = data.splitn(2, |byte| *byte == 0);
        let name = parts.next().and_then(|name| std::str::from_utf8(name).ok()).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| malformed("the user name is missing"))?;
        let hash =
            parts.next().and_then(|hash| hash.try_into().ok()).ok_or_else(|| malformed("the hash is missing"))?;
        let account = self.account(name, None)?;
        self.awaiting = Awaiting::Token(Some(Box::new(account.clone())));
        let proof = TokenProof { account, client, mechanism, count, invalidate, hash, binding };
        self.queue.push_back(Action::VerifyToken(Box::new(proof)));
        Ok(())
    }

    /// Answers [`Action::VerifyToken`].
    pub fn token_verified(&mut self, answer: Result<TokenVerdict, SaslFailure>) {
        if self.closed {
            return;
        }
        let Awaiting::Token(Some(account)) = &self.awaiting else { return };
        let account = (**account).clone();
        self.awaiting = Awaiting::Nothing;
        match answer {
            Ok(verdict) => {
                if let Some(sign_on) = &mut self.sign_on {
                    sign_on.token = verdict.replacement;
                }
                self.sasl_succeeded(account, Some(&verdict.response));
            }
            Err(failure) => self.sasl_failed(Some(account), &failure),
        }
    }
}

/// The session.
impl Stream {
    /// The client is who it says; what it asked for besides comes next.
    pub(super) fn signed_on(&mut self, mut sign_on: Box<SignOn>, account: &BareJid, data: Option<&[u8]>) {
        sign_on.additional_data = data.map(<[u8]>::to_vec);
        let wish = sign_on.client.zip(sign_on.token_wish.take()).filter(|_| sign_on.token.is_none());
        self.sign_on = Some(sign_on);
        match wish {
            // XEP-0484 §3.3.
            Some((client, mechanism)) => {
                self.awaiting = Awaiting::Token(None);
                self.queue.push_back(Action::IssueToken { account: account.clone(), client, mechanism });
            }
            None => self.resume_or_bind(account.clone()),
        }
    }

    /// Answers [`Action::IssueToken`]; `None` if there is none to be had now, which is no reason to refuse the client.
    pub fn token_issued(&mut self, token: Option<IssuedToken>) {
        if self.closed || !matches!(self.awaiting, Awaiting::Token(None)) {
            return;
        }
        self.awaiting = Awaiting::Nothing;
        let Stage::Authenticated(account) = &self.stage else { return };
        let account = account.clone();
        if let Some(sign_on) = &mut self.sign_on {
            sign_on.token = token;
        }
        self.resume_or_bind(account);
    }

    /// XEP-0198 §9.2: resumption goes before binding.
    fn resume_or_bind(&mut self, account: BareJid) {
        match self.sign_on.as_mut().and_then(|sign_on| sign_on.resume.take()) {
            Some(Some((token, h))) => {
                self.awaiting = Awaiting::Resumption(token.as_str().into());
                self.queue.push_back(Action::Resume { account, token, h });
            }
            Some(None) => self.resume_failed(account, failed(StanzaCondition::BadRequest)),
            None => self.bind_or_finish(account),
        }
    }

    pub(super) fn inline_resumed(&mut self, account: BareJid, answer: Result<Resumed, ResumeRefused>, token: &str) {
        match answer {
            Ok(resumed) => {
                if let Some(sign_on) = &mut self.sign_on {
                    sign_on.outcomes.push(resumed.to_element(token));
                }
                self.stage = Stage::Bound(resumed.jid);
                // XEP-0198 §9.2: the old stream goes on right behind <success/>, without features.
                self.succeed(false);
            }
            Err(refused) => self.resume_failed(account, refused.to_element()),
        }
    }

    fn resume_failed(&mut self, account: BareJid, failed: Element) {
        if let Some(sign_on) = &mut self.sign_on {
            sign_on.outcomes.push(failed);
        }
        self.bind_or_finish(account);
    }

    /// XEP-0386 §3.2.
    fn bind_or_finish(&mut self, account: BareJid) {
        let Some(BindWish { tag, wishes }) = self.sign_on.as_mut().and_then(|sign_on| sign_on.bind.take()) else {
            return self.succeed(true);
        };
        let resource = Some(self.resource(&account, tag.as_deref()));
        self.awaiting = Awaiting::Binding(None);
        self.queue.push_back(Action::Bind { account, resource, wishes });
    }

    /// XEP-0386 §3.2.1: the same client gets the same resource again, so that its old session, dead perhaps without our
    /// knowing, ends when the new one begins, and its contacts do not see it twice. Nobody can tell the client's id from it.
    pub(super) fn resource(&mut self, account: &BareJid, tag: Option<&str>) -> String {
        let tag = tag.filter(|tag| account.with_resource(tag).is_ok()).unwrap_or_default();
        let unique = match self.sign_on.as_ref().and_then(|sign_on| sign_on.client) {
            Some(client) => hmac_sha256(
                &self.config.resource_secret,
                &[&client.0, account.as_str().as_bytes(), &[0], tag.as_bytes()],
            ),
            None => self.draw(),
        };
        let unique: String = unique.iter().take(RESOURCE_BYTES).map(|byte| format!("{byte:02x}")).collect();
        if tag.is_empty() { unique } else { format!("{tag}~{unique}") }
    }

    pub(super) fn inline_bound(&mut self, answer: Result<Bound, StanzaError>) {
        match answer {
            Ok(bound) => {
                let mut element = Element::new("bound", ns::BIND2);
                bound.inline.into_iter().for_each(|answer| element.push(answer));
                if let Some(sign_on) = &mut self.sign_on {
                    sign_on.outcomes.push(element);
                }
                self.stage = Stage::Bound(bound.jid);
            }
            // XEP-0386 has no word for it. Without <bound/> the client has to bind by RFC 6120, which tells it why it cannot.
            Err(_) => log::debug!("a client is authenticated, but cannot have a session now"),
        }
        self.succeed(true);
    }

    /// XEP-0388 §2.6.1: all that came of it in one element, and the features of the stream, which goes on without a new header.
    fn succeed(&mut self, features: bool) {
        let Some(sign_on) = self.sign_on.take() else { return };
        let identity = match &self.stage {
            Stage::Bound(full) => full.to_string(),
            Stage::Authenticated(account) => account.to_string(),
            Stage::Plain | Stage::Secured(_) => return,
        };
        let mut success = Element::new("success", ns::SASL2);
        if let Some(data) = &sign_on.additional_data {
            success.push(Element::new("additional-data", ns::SASL2).with_text(&BASE64.encode(data)));
        }
        success.push(Element::new("authorization-identifier", ns::SASL2).with_text(&identity));
        let managed = sign_on.outcomes.iter().any(|outcome| outcome.child("enabled", ns::SM).is_some());
        sign_on.outcomes.into_iter().for_each(|outcome| success.push(outcome));
        if let Some(token) = &sign_on.token {
            let token = Element::new("token", ns::FAST)
                .with("expiry", token.expiry.to_string())
                .with("token", token.token.as_str());
            success.push(token);
        }
        let mut text = success.to_text(ns::CLIENT);
        if features {
            self.session_features(managed).write(&mut text, ns::CLIENT);
        }
        self.queue.push_back(Action::Send(text));
    }
}

/// A mechanism among those offered by SASL2, or inside `<fast/>`.
fn chosen(facts: &TlsFacts, name: &str) -> Result<Mechanism, Refused> {
    let offered = Mechanism::offered_by_sasl2(facts);
    let tokens = HashedToken::usable(facts).filter(|_| offered.contains(&Mechanism::Plain)).map(Mechanism::Token);
    let found = offered.iter().copied().chain(tokens).find(|mechanism| mechanism.as_str() == name);
    found.ok_or_else(|| refusal(SaslCondition::InvalidMechanism))
}

fn read(element: &Element, facts: &TlsFacts) -> SignOn {
    let yes = |value: Option<&str>| matches!(value, Some("1" | "true"));
    let fast = element.child("fast", ns::FAST).map(|fast| {
        let count = fast.attribute("count").and_then(|count| count.parse().ok()).unwrap_or(0);
        (count, yes(fast.attribute("invalidate")))
    });
    let token_wish = element.child("request-token", ns::FAST).and_then(|wish| {
        let name = wish.attribute("mechanism")?;
        let password = Mechanism::offered_by_sasl2(facts).contains(&Mechanism::Plain);
        HashedToken::usable(facts).find(|mechanism| password && mechanism.as_str() == name)
    });
    let resume = element.child("resume", ns::SM).map(|resume| {
        let token = resume.attribute("previd").filter(|token| !token.is_empty())?;
        Some((token.to_owned(), count(resume)?))
    });
    SignOn {
        client: element.child("user-agent", ns::SASL2).and_then(|agent| ClientId::of(agent.attribute("id")?)),
        fast,
        token_wish,
        resume,
        bind: element.child("bind", ns::BIND2).map(bind_wish),
        ..SignOn::default()
    }
}

fn bind_wish(bind: &Element) -> BindWish {
    let tag = bind.child("tag", ns::BIND2).map(Element::text);
    let management: Option<Management> = bind.child("enable", ns::SM).map(management_wish);
    let wishes = SessionWishes {
        management,
        carbons: bind.child("enable", ns::CARBONS).is_some(),
        inactive: bind.child("inactive", ns::CSI).is_some(),
    };
    BindWish { tag: tag.filter(|tag| !tag.is_empty() && tag.len() <= limits::BIND_TAG_BYTES_MAX), wishes }
}

/// 64 bits tell the clients of one account apart.
const RESOURCE_BYTES: usize = 8;
