//! Authentication: which mechanisms are offered, and each step of an exchange. RFC 6120 §6, RFC 4422, RFC 4616.

use base64::Engine;
pub(super) use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use super::keys::ScramKeys;
use super::scram::{ClientFirst, Hash, ServerExchange};
use super::token::HashedToken;
use super::{Action, Awaiting, CLIENT_LIMITS, ClientCertificate, Password, Stage, Stream, TlsFacts};
use crate::jid::BareJid;
use crate::limits;
use crate::stanza::{SaslCondition, SaslFailure, StreamCondition, StreamError};
use crate::xml::{Element, ns};

/// A SASL mechanism that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    External,
    Scram {
        hash: Hash,
        plus: bool,
    },
    Plain,
    /// Not in the list: inside `<fast/>` of SASL2 alone.
    Token(HashedToken),
}

impl Mechanism {
    pub fn as_str(self) -> &'static str {
        match self {
            Mechanism::External => "EXTERNAL",
            Mechanism::Scram { hash: Hash::Sha256, plus: true } => "SCRAM-SHA-256-PLUS",
            Mechanism::Scram { hash: Hash::Sha256, plus: false } => "SCRAM-SHA-256",
            Mechanism::Scram { hash: Hash::Sha1, plus: true } => "SCRAM-SHA-1-PLUS",
            Mechanism::Scram { hash: Hash::Sha1, plus: false } => "SCRAM-SHA-1",
            Mechanism::Plain => "PLAIN",
            Mechanism::Token(token) => token.as_str(),
        }
    }

    /// What SASL2 offers on a connection. Its clients are young enough not to wait for EXTERNAL without a certificate.
    pub fn offered_by_sasl2(facts: &TlsFacts) -> Vec<Mechanism> {
        let mut offered = mechanisms(facts);
        offered.retain(|mechanism| {
            *mechanism != Mechanism::External || facts.client_certificate != ClientCertificate::None
        });
        offered
    }
}

/// The channel bindings that we can check (XEP-0440), if any mechanism offered uses them.
pub(super) fn channel_bindings(facts: &TlsFacts) -> Vec<&'static str> {
    let plus = mechanisms(facts).iter().any(|mechanism| matches!(mechanism, Mechanism::Scram { plus: true, .. }));
    let known =
        [("tls-exporter", facts.exporter.is_some()), ("tls-server-end-point", facts.server_end_point.is_some())];
    known.into_iter().filter(|(_, known)| plus && *known).map(|(name, _)| name).collect()
}

/// What is offered on a connection, best first.
pub(super) fn mechanisms(facts: &TlsFacts) -> Vec<Mechanism> {
    // Kontalk streams: clients with a key wait for EXTERNAL and have no password; clients that only register have no
    // certificate yet and wait for EXTERNAL all the same.
    let mut offered = vec![Mechanism::External];
    if facts.client_certificate != ClientCertificate::Bridge {
        let binding = facts.exporter.is_some() || facts.server_end_point.is_some();
        for hash in [Hash::Sha256, Hash::Sha1] {
            offered.extend(binding.then_some(Mechanism::Scram { hash, plus: true }));
            offered.push(Mechanism::Scram { hash, plus: false });
        }
        offered.push(Mechanism::Plain);
    }
    offered
}

/// Where an exchange stands while the client is to speak.
pub(super) enum Exchange {
    None,
    /// It chose a mechanism without saying its first word.
    Initial(Mechanism),
    /// It has our SCRAM challenge.
    Proof(Box<ServerExchange>, BareJid),
}

/// SCRAM while the edge looks for the keys.
pub(super) struct PendingScram {
    hash: Hash,
    first: ClientFirst,
    binding_data: Vec<u8>,
    account: BareJid,
}

impl Stream {
    pub(super) fn sasl_element(&mut self, element: &Element) {
        let step = match element.name() {
            "auth" => self.sasl_auth(element),
            "response" => self.sasl_response(element),
            // RFC 6120 §6.4.4.
            "abort" => Err(refusal(SaslCondition::Aborted)),
            _ => return self.end_unsupported(),
        };
        if let Err(refused) = step {
            self.sasl_failed(refused.account, &refused.failure);
        }
    }

    /// RFC 6120 §6.4.2.
    fn sasl_auth(&mut self, element: &Element) -> Result<(), Refused> {
        if !matches!(self.exchange, Exchange::None) {
            return Err(refusal(SaslCondition::MalformedRequest));
        }
        let chosen = element.attribute("mechanism").unwrap_or_default();
        let Stage::Secured(facts) = &self.stage else { return Err(refusal(SaslCondition::InvalidMechanism)) };
        let offered = mechanisms(facts).into_iter().find(|mechanism| mechanism.as_str() == chosen);
        // RFC 6120 §6.5.7.
        let mechanism = offered.ok_or_else(|| refusal(SaslCondition::InvalidMechanism))?;
        match decode(&element.text())? {
            Some(data) => self.sasl_initial(mechanism, &data),
            None => self.sasl_begin(mechanism),
        }
    }

    /// The client chose a mechanism without saying its first word.
    pub(super) fn sasl_begin(&mut self, mechanism: Mechanism) -> Result<(), Refused> {
        // Clients that leave EXTERNAL's only word out mean no authorisation identity.
        if mechanism == Mechanism::External {
            return self.sasl_initial(mechanism, &[]);
        }
        self.exchange = Exchange::Initial(mechanism);
        self.send(&Element::new("challenge", self.profile()));
        Ok(())
    }

    /// RFC 6120 §6.4.3.
    fn sasl_response(&mut self, element: &Element) -> Result<(), Refused> {
        let data = decode(&element.text())?.unwrap_or_default();
        self.sasl_next(&data)
    }

    /// The client's next word.
    pub(super) fn sasl_next(&mut self, data: &[u8]) -> Result<(), Refused> {
        match std::mem::replace(&mut self.exchange, Exchange::None) {
            Exchange::None => Err(refusal(SaslCondition::MalformedRequest)),
            Exchange::Initial(mechanism) => self.sasl_initial(mechanism, data),
            Exchange::Proof(exchange, account) => {
                let refused = |failure| Refused { account: Some(account.clone()), failure };
                let server_final = exchange.finish(text(data)?).map_err(refused)?;
                self.sasl_succeeded(account, Some(server_final.as_bytes()));
                Ok(())
            }
        }
    }

    /// The client's first word.
    pub(super) fn sasl_initial(&mut self, mechanism: Mechanism, data: &[u8]) -> Result<(), Refused> {
        match mechanism {
            Mechanism::External => self.external(text(data)?),
            Mechanism::Plain => self.plain(text(data)?),
            Mechanism::Scram { hash, plus } => self.scram(hash, plus, text(data)?),
            Mechanism::Token(mechanism) => self.hashed_token(mechanism, data),
        }
    }

    /// RFC 4422, Appendix A.
    fn external(&mut self, message: &str) -> Result<(), Refused> {
        let authzid = (!message.is_empty()).then(|| message.parse::<BareJid>()).transpose();
        let authzid = authzid.map_err(|_| refusal(SaslCondition::MalformedRequest))?;
        if let Some(authzid) = &authzid {
            self.check_header(authzid)?;
        }
        self.awaiting = Awaiting::Verdict(authzid.clone());
        self.queue.push_back(Action::VerifyExternal { authzid });
        Ok(())
    }

    /// RFC 4616 §2.
    fn plain(&mut self, message: &str) -> Result<(), Refused> {
        let mut parts = message.split('\0');
        let (Some(authzid), Some(name), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(refusal(SaslCondition::MalformedRequest));
        };
        if name.is_empty() || password.is_empty() {
            return Err(refusal(SaslCondition::MalformedRequest));
        }
        let account = self.account(name, Some(authzid).filter(|authzid| !authzid.is_empty()))?;
        self.awaiting = Awaiting::Verdict(Some(account.clone()));
        self.queue.push_back(Action::VerifyPlain { account, password: Password::new(password.to_owned()) });
        Ok(())
    }

    fn scram(&mut self, hash: Hash, plus: bool, message: &str) -> Result<(), Refused> {
        let first = ClientFirst::parse(message)?;
        let account = self.account(&first.username, first.authzid.as_deref())?;
        let Stage::Secured(facts) = &self.stage else { return Err(refusal(SaslCondition::InvalidMechanism)) };
        let plus_offered = mechanisms(facts).contains(&Mechanism::Scram { hash, plus: true });
        let binding_data = first
            .binding_data(plus, plus_offered, facts)
            .map_err(|failure| Refused { account: Some(account.clone()), failure })?;
        self.queue.push_back(Action::FetchScramKeys { account: account.clone() });
        self.awaiting = Awaiting::ScramKeys(Box::new(PendingScram { hash, first, binding_data, account }));
        Ok(())
    }

    /// The account of a user name, which must also be whom the client wants to act as, if it says so.
    pub(super) fn account(&self, username: &str, authzid: Option<&str>) -> Result<BareJid, Refused> {
        // A name that cannot be anybody's is refused as a wrong password is.
        let account = BareJid::new(Some(username), self.config.domain.domainpart())
            .map_err(|_| refusal(SaslCondition::NotAuthorized))?;
        match authzid {
            // RFC 6120 §6.3.8: nobody acts for somebody else here.
            Some(authzid) if authzid.parse::<BareJid>().as_ref() != Ok(&account) => {
                let failure = SaslFailure::new(SaslCondition::InvalidAuthzid);
                Err(Refused { account: Some(account), failure })
            }
            Some(_) => self.check_header(&account).map(|()| account),
            None => Ok(account),
        }
    }

    /// XEP-0388 §4.4: an authorisation identity must be whom the stream's header named, if it named anybody.
    fn check_header(&self, authzid: &BareJid) -> Result<(), Refused> {
        let other = self.from.as_deref().is_some_and(|from| from != authzid);
        if self.sign_on.is_some() && other { Err(refusal(SaslCondition::InvalidAuthzid)) } else { Ok(()) }
    }

    pub(super) fn continue_scram(&mut self, answer: Result<ScramKeys, SaslFailure>) {
        let Awaiting::ScramKeys(pending) = std::mem::replace(&mut self.awaiting, Awaiting::Nothing) else { return };
        let PendingScram { hash, first, binding_data, account } = *pending;
        match answer {
            Ok(keys) => {
                let random = self.draw();
                let nonce = BASE64.encode(random.get(..NONCE_BYTES).unwrap_or(&random));
                let hints = self.downgrade_hints(hash);
                let (exchange, challenge) = ServerExchange::begin(first, &binding_data, hash, keys, &nonce, &hints);
                self.send(&Element::new("challenge", self.profile()).with_text(&BASE64.encode(challenge)));
                self.exchange = Exchange::Proof(Box::new(exchange), account);
            }
            Err(failure) => self.sasl_failed(Some(account), &failure),
        }
    }

    /// What we offered and which TLS we see, for the client to compare: SCRAM's proofs cover it, so that nobody between us can
    /// have changed the one without the other.
    fn downgrade_hints(&self, hash: Hash) -> String {
        let Stage::Secured(facts) = &self.stage else { return String::new() };
        let offered = if self.sign_on.is_some() { Mechanism::offered_by_sasl2(facts) } else { mechanisms(facts) };
        // XEP-0474 §6.1: sorted by octets, what SASL profile the client uses.
        let mut names: Vec<&str> = offered.into_iter().map(Mechanism::as_str).collect();
        names.sort_unstable();
        let mut list = names.join("\u{1e}");
        let mut bindings = channel_bindings(facts);
        if !bindings.is_empty() {
            bindings.sort_unstable();
            list.push('\u{1f}');
            list.push_str(&bindings.join("\u{1e}"));
        }
        // XEP-0515 §4.1.
        format!(",h={},t={:04x}", BASE64.encode(hash.digest(list.as_bytes())), facts.version)
    }

    /// The namespace of the exchange under way.
    fn profile(&self) -> &'static str {
        if self.sign_on.is_some() { ns::SASL2 } else { ns::SASL }
    }

    /// RFC 6120 §6.4.6: success, and the stream begins anew; the client may have sent its header already. XEP-0388 §2.6.1:
    /// with SASL2 it just goes on.
    pub(super) fn sasl_succeeded(&mut self, account: BareJid, data: Option<&[u8]>) {
        self.exchange = Exchange::None;
        self.from = None;
        self.framer.set_limits(CLIENT_LIMITS);
        if let Some(sign_on) = self.sign_on.take() {
            self.stage = Stage::Authenticated(account.clone());
            return self.signed_on(sign_on, &account, data);
        }
        let mut success = Element::new("success", ns::SASL);
        if let Some(data) = data {
            success.push_text(&BASE64.encode(data));
        }
        self.send(&success);
        self.stage = Stage::Authenticated(account);
        self.framer.restart();
        self.header_sent = false;
    }

    /// RFC 6120 §6.4.5: failure; the client may try again, but not for ever.
    pub(super) fn sasl_failed(&mut self, account: Option<BareJid>, failure: &SaslFailure) {
        self.exchange = Exchange::None;
        self.send(&failure.to_element(self.profile()));
        self.sign_on = None;
        if matches!(
            failure.condition,
            SaslCondition::NotAuthorized
                | SaslCondition::InvalidAuthzid
                | SaslCondition::AccountDisabled
                | SaslCondition::CredentialsExpired
        ) {
            self.queue.push_back(Action::SaslAttemptFailed { account });
        }
        self.sasl_failures = self.sasl_failures.saturating_add(1);
        if self.sasl_failures >= limits::SASL_ATTEMPTS_PER_STREAM_MAX {
            self.end(Some(StreamError::with_text(StreamCondition::PolicyViolation, "too many failed authentications")));
        }
    }
}

/// Why a step failed, and whom it was about.
pub(super) struct Refused {
    pub account: Option<BareJid>,
    pub failure: SaslFailure,
}

impl From<SaslFailure> for Refused {
    fn from(failure: SaslFailure) -> Refused {
        Refused { account: None, failure }
    }
}

pub(super) fn refusal(condition: SaslCondition) -> Refused {
    SaslFailure::new(condition).into()
}

/// RFC 6120 §6.4.2: nothing is no data, `=` is data of no length, all else is base64 without white space.
fn decode(text: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Refused> {
    match text {
        "" => Ok(None),
        "=" => Ok(Some(Zeroizing::new(Vec::new()))),
        _ => decode_base64(text).map(Some),
    }
}

/// RFC 6120 §6.5.5.
pub(super) fn decode_base64(text: &str) -> Result<Zeroizing<Vec<u8>>, Refused> {
    BASE64.decode(text).map(Zeroizing::new).map_err(|_| refusal(SaslCondition::IncorrectEncoding))
}

/// All our mechanisms speak UTF-8.
fn text(data: &[u8]) -> Result<&str, Refused> {
    std::str::from_utf8(data).map_err(|_| refusal(SaslCondition::MalformedRequest))
}

/// 144 bits, 24 characters of base64.
const NONCE_BYTES: usize = 18;
