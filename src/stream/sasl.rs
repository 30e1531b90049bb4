//! Authentication: which mechanisms are offered, and each step of an exchange. RFC 6120 §6, RFC 4422, RFC 4616.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use super::keys::ScramKeys;
use super::scram::{ClientFirst, Hash, ServerExchange};
use super::{Action, Awaiting, CLIENT_LIMITS, ClientCertificate, Password, Stage, Stream, TlsFacts};
use crate::jid::BareJid;
use crate::limits;
use crate::stanza::{SaslCondition, SaslFailure, StreamCondition, StreamError};
use crate::xml::{Element, ns};

/// A SASL mechanism that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    External,
    Scram { hash: Hash, plus: bool },
    Plain,
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
        }
    }
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
            // Clients that leave EXTERNAL's only word out mean no authorisation identity.
            None if mechanism == Mechanism::External => self.sasl_initial(mechanism, &[]),
            None => {
                self.exchange = Exchange::Initial(mechanism);
                self.send(&Element::new("challenge", ns::SASL));
                Ok(())
            }
        }
    }

    /// RFC 6120 §6.4.3.
    fn sasl_response(&mut self, element: &Element) -> Result<(), Refused> {
        let exchange = std::mem::replace(&mut self.exchange, Exchange::None);
        let data = decode(&element.text())?.unwrap_or_default();
        match exchange {
            Exchange::None => Err(refusal(SaslCondition::MalformedRequest)),
            Exchange::Initial(mechanism) => self.sasl_initial(mechanism, &data),
            Exchange::Proof(exchange, account) => {
                let refused = |failure| Refused { account: Some(account.clone()), failure };
                let server_final = exchange.finish(text(&data)?).map_err(refused)?;
                self.sasl_succeeded(account, Some(&server_final));
                Ok(())
            }
        }
    }

    /// The client's first word.
    fn sasl_initial(&mut self, mechanism: Mechanism, data: &[u8]) -> Result<(), Refused> {
        let message = text(data)?;
        match mechanism {
            Mechanism::External => {
                // RFC 4422, Appendix A.
                let authzid = (!message.is_empty()).then(|| message.parse::<BareJid>()).transpose();
                let authzid = authzid.map_err(|_| refusal(SaslCondition::MalformedRequest))?;
                self.awaiting = Awaiting::Verdict(authzid.clone());
                self.queue.push_back(Action::VerifyExternal { authzid });
            }
            Mechanism::Plain => {
                // RFC 4616 §2.
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
            }
            Mechanism::Scram { hash, plus } => {
                let first = ClientFirst::parse(message)?;
                let account = self.account(&first.username, first.authzid.as_deref())?;
                let Stage::Secured(facts) = &self.stage else { return Err(refusal(SaslCondition::InvalidMechanism)) };
                let plus_offered = mechanisms(facts).contains(&Mechanism::Scram { hash, plus: true });
                let binding_data = first
                    .binding_data(plus, plus_offered, facts)
                    .map_err(|failure| Refused { account: Some(account.clone()), failure })?;
                self.queue.push_back(Action::FetchScramKeys { account: account.clone() });
                self.awaiting = Awaiting::ScramKeys(Box::new(PendingScram { hash, first, binding_data, account }));
            }
        }
        Ok(())
    }

    /// The account of a user name, which must also be whom the client wants to act as, if it says so.
    fn account(&self, username: &str, authzid: Option<&str>) -> Result<BareJid, Refused> {
        // A name that cannot be anybody's is refused as a wrong password is.
        let account = BareJid::new(Some(username), self.config.domain.domainpart())
            .map_err(|_| refusal(SaslCondition::NotAuthorized))?;
        match authzid {
            // RFC 6120 §6.3.8: nobody acts for somebody else here.
            Some(authzid) if authzid.parse::<BareJid>().as_ref() != Ok(&account) => {
                let failure = SaslFailure::new(SaslCondition::InvalidAuthzid);
                Err(Refused { account: Some(account), failure })
            }
            _ => Ok(account),
        }
    }

    pub(super) fn continue_scram(&mut self, answer: Result<ScramKeys, SaslFailure>) {
        let Awaiting::ScramKeys(pending) = std::mem::replace(&mut self.awaiting, Awaiting::Nothing) else { return };
        let PendingScram { hash, first, binding_data, account } = *pending;
        match answer {
            Ok(keys) => {
                let random = self.draw();
                let nonce = BASE64.encode(random.get(..NONCE_BYTES).unwrap_or(&random));
                let (exchange, challenge) = ServerExchange::begin(first, &binding_data, hash, keys, &nonce);
                self.send(&Element::new("challenge", ns::SASL).with_text(&BASE64.encode(challenge)));
                self.exchange = Exchange::Proof(Box::new(exchange), account);
            }
            Err(failure) => self.sasl_failed(Some(account), &failure),
        }
    }

    /// RFC 6120 §6.4.6: success, and the stream begins anew; the client may have sent its header already.
    pub(super) fn sasl_succeeded(&mut self, account: BareJid, data: Option<&str>) {
        let mut success = Element::new("success", ns::SASL);
        if let Some(data) = data {
            success.push_text(&BASE64.encode(data));
        }
        self.send(&success);
        self.exchange = Exchange::None;
        self.stage = Stage::Authenticated(account);
        self.framer.set_limits(CLIENT_LIMITS);
        self.framer.restart();
        self.header_sent = false;
    }

    /// RFC 6120 §6.4.5: failure; the client may try again, but not for ever.
    pub(super) fn sasl_failed(&mut self, account: Option<BareJid>, failure: &SaslFailure) {
        self.exchange = Exchange::None;
        self.send(&failure.to_element());
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
struct Refused {
    account: Option<BareJid>,
    failure: SaslFailure,
}

impl From<SaslFailure> for Refused {
    fn from(failure: SaslFailure) -> Refused {
        Refused { account: None, failure }
    }
}

fn refusal(condition: SaslCondition) -> Refused {
    SaslFailure::new(condition).into()
}

/// RFC 6120 §6.4.2: nothing is no data, `=` is data of no length, all else is base64 without white space.
fn decode(text: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Refused> {
    match text {
        "" => Ok(None),
        "=" => Ok(Some(Zeroizing::new(Vec::new()))),
        // RFC 6120 §6.5.5.
        _ => match BASE64.decode(text) {
            Ok(data) => Ok(Some(Zeroizing::new(data))),
            Err(_) => Err(refusal(SaslCondition::IncorrectEncoding)),
        },
    }
}

/// All our mechanisms speak UTF-8.
fn text(data: &[u8]) -> Result<&str, Refused> {
    std::str::from_utf8(data).map_err(|_| refusal(SaslCondition::MalformedRequest))
}

/// 144 bits, 24 characters of base64.
const NONCE_BYTES: usize = 18;
