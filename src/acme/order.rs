//! One order, step by step. RFC 8555 §7.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::jws::Jwk;
use super::message::{Answer, Authorization, Directory, Offer, Order, Progress, sound_url};
use super::{Challenge, Fault};
use crate::limits::{ACME_POLLS_MAX, ACME_REQUESTS_MAX, ACME_WAIT_MAX};

/// What one order is about.
#[derive(Clone, Debug)]
pub struct Purpose {
    /// The server's directory.
    pub directory: String,
    /// Where its people can be reached: `mailto:` URIs. RFC 8555 §7.3.
    pub contact: Vec<String>,
    /// Host names in ASCII, the domain first; 1 to `ACME_NAMES_MAX`.
    pub names: Vec<String>,
    /// How they are proved.
    pub challenge: Challenge,
    /// The account's key.
    pub key: Jwk,
    /// The account's URL, where it is known.
    pub account: Option<String>,
    /// The request for the certificate (PKCS #10, DER).
    pub request: Vec<u8>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Ask the server; then [`Errand::answered`].
    Ask(Ask),
    /// Put these proofs in place, all of them; then [`Errand::proofs_are_there`].
    Prove(Vec<Proof>),
    /// Wait so long; then [`Errand::waited`].
    Wait(Duration),
    /// Here is the chain in PEM. The errand is over.
    Done(Vec<u8>),
    /// It is over, and nothing came of it.
    Failed(Fault),
}

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// To where.
    pub url: String,
    /// Of which kind.
    pub method: Method,
}

/// Kinds of request.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// The directory. RFC 8555 §7.1.1.
    Get,
    /// A fresh nonce. RFC 8555 §7.2.
    Head,
    /// Signed. RFC 8555 §6.2.
    Post {
        /// The nonce to sign.
        nonce: String,
        /// The account that signs; `None`: the key speaks for itself.
        account: Option<String>,
        /// `None`: POST-as-GET. RFC 8555 §6.3.
        payload: Option<Value>,
    },
}

/// What shall be found by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The host name.
    pub name: String,
    /// The token; safe in paths.
    pub token: String,
    /// The key authorization. RFC 8555 §8.1.
    pub key_authorization: String,
}

/// Where an errand is.
#[derive(Clone, Debug)]
enum Stage {
    Directory,
    Account,
    NewOrder,
    /// Reads the authorizations one after the other.
    Authorizations,
    /// Waits until the proofs are in place.
    Proving,
    /// Tells the server that they are, one after the other.
    Telling,
    /// Asks for the first of those that are not proved yet.
    Validation,
    Finalization,
    Issuance,
    Certificate,
    Over,
}

/// What an answer leads to.
enum Next {
    Get,
    Post(String, Option<Value>),
    /// What was asked last, once more.
    Again,
    Wait(Duration),
    Prove,
    Done(Vec<u8>),
}

/// One order on its way.
#[derive(Debug)]
pub struct Errand {
    purpose: Purpose,
    stage: Stage,
    directory: Option<Directory>,
    account: Option<String>,
    nonce: Option<String>,
    /// The last request was for a nonce; what it is for comes after it.
    fetching_nonce: bool,
    /// What was asked last, to be asked again.
    target: String,
    payload: Option<Value>,
    order_url: String,
    finalize: String,
    authorizations: VecDeque<String>,
    /// Those that are not proved yet.
    unproved: VecDeque<String>,
    to_tell: VecDeque<String>,
    proofs: Vec<Proof>,
    polls: u32,
    requests: u32,
    stale_nonces: u32,
}

impl Errand {
    /// A new one; begin with [`Errand::begin`].
    pub fn new(purpose: Purpose) -> Errand {
        Errand {
            account: purpose.account.clone(),
            purpose,
            stage: Stage::Directory,
            directory: None,
            nonce: None,
            fetching_nonce: false,
            target: String::new(),
            payload: None,
            order_url: String::new(),
            finalize: String::new(),
            authorizations: VecDeque::new(),
            unproved: VecDeque::new(),
            to_tell: VecDeque::new(),
            proofs: Vec::new(),
            polls: 0,
            requests: 0,
            stale_nonces: 0,
        }
    }

    /// The account's URL, once it is known; to be kept for the next errand.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The first step.
    pub fn begin(&mut self) -> Step {
        self.step(|_| Ok(Next::Get))
    }

    /// The server has answered what was asked last.
    pub fn answered(&mut self, answer: &Answer) -> Step {
        self.nonce = answer.sound_nonce().or_else(|| self.nonce.take());
        self.step(|errand| errand.take(answer))
    }

    /// All proofs are in place.
    pub fn proofs_are_there(&mut self) -> Step {
        self.step(|errand| {
            errand.stage = Stage::Telling;
            Ok(errand.tell(None))
        })
    }

    /// The time is over.
    pub fn waited(&mut self) -> Step {
        self.step(|_| Ok(Next::Again))
    }

    fn step(&mut self, act: impl FnOnce(&mut Errand) -> Result<Next, Fault>) -> Step {
        let outcome = act(self).and_then(|next| self.perform(next));
        outcome.unwrap_or_else(|fault| {
            self.stage = Stage::Over;
            Step::Failed(fault)
        })
    }

    fn perform(&mut self, next: Next) -> Result<Step, Fault> {
        let method = match next {
            Next::Wait(time) => return Ok(Step::Wait(time)),
            Next::Prove => return Ok(Step::Prove(self.proofs.clone())),
            Next::Done(chain) => {
                self.stage = Stage::Over;
                return Ok(Step::Done(chain));
            }
            Next::Get => {
                self.target.clone_from(&self.purpose.directory);
                Method::Get
            }
            Next::Post(url, payload) => {
                (self.target, self.payload) = (url, payload);
                self.post()
            }
            Next::Again => self.post(),
        };
        self.requests += 1;
        if self.requests > ACME_REQUESTS_MAX {
            return Err(Fault::TooLong);
        }
        let url = if method == Method::Head { self.directory()?.new_nonce.clone() } else { self.target.clone() };
        Ok(Step::Ask(Ask { url, method }))
    }

    /// With the nonce at hand; else that is asked for first, and the answer to that leads here again. RFC 8555 §6.5, §7.2.
    fn post(&mut self) -> Method {
        let Some(nonce) = self.nonce.take() else {
            self.fetching_nonce = true;
            return Method::Head;
        };
        let account = self.account.clone().filter(|_| !matches!(self.stage, Stage::Account));
        Method::Post { nonce, account, payload: self.payload.clone() }
    }

    fn directory(&self) -> Result<&Directory, Fault> {
        self.directory.as_ref().ok_or(Fault::Answer("no directory"))
    }

    fn take(&mut self, answer: &Answer) -> Result<Next, Fault> {
        if std::mem::take(&mut self.fetching_nonce) {
            return if self.nonce.is_some() { Ok(Next::Again) } else { Err(Fault::Answer("no nonce")) };
        }
        if answer.status >= 400 {
            return self.refused(answer.problem());
        }
        if !(200..300).contains(&answer.status) {
            return Err(Fault::Answer("neither success nor a problem"));
        }
        match self.stage {
            Stage::Directory => {
                let value = answer.json()?;
                self.directory = Some(Directory::read(&value)?);
                if self.account.is_some() { self.order() } else { self.introduce() }
            }
            Stage::Account => {
                // RFC 8555 §7.3: the same answer for a key that has an account already.
                self.account = Some(sound_url(answer.location.as_deref())?);
                self.order()
            }
            Stage::NewOrder => {
                self.order_url = sound_url(answer.location.as_deref())?;
                let order = Order::read(&answer.json()?)?;
                if order.progress == Progress::Invalid {
                    return Err(refusal(order.error));
                }
                self.finalize = order.finalize;
                self.authorizations = order.authorizations.into();
                self.stage = Stage::Authorizations;
                self.next_authorization()
            }
            Stage::Authorizations => self.authorization(&Authorization::read(&answer.json()?)?),
            Stage::Telling => Ok(self.tell(answer.retry_after)),
            Stage::Validation => self.validation(&Authorization::read(&answer.json()?)?, answer.retry_after),
            Stage::Finalization | Stage::Issuance => self.issuance(Order::read(&answer.json()?)?, answer.retry_after),
            Stage::Certificate => {
                // RFC 8555 §7.4.2. What is in it is looked at by who installs it.
                let is_pem = answer.body.windows(PEM_BEGIN.len()).any(|part| part == PEM_BEGIN);
                if is_pem { Ok(Next::Done(answer.body.clone())) } else { Err(Fault::Answer("no certificate")) }
            }
            Stage::Proving | Stage::Over => Err(Fault::Answer("nothing was asked")),
        }
    }

    fn refused(&mut self, fault: Fault) -> Result<Next, Fault> {
        match &fault {
            // RFC 8555 §6.5: the fresh nonce came with the refusal.
            Fault::Refused { kind, .. } if kind == "badNonce" && self.stale_nonces < STALE_NONCES_MAX => {
                self.stale_nonces += 1;
                Ok(Next::Again)
            }
            // The account that we remember is another server's, or gone.
            Fault::Refused { kind, .. }
                if kind == "accountDoesNotExist"
                    && matches!(self.stage, Stage::NewOrder)
                    && self.purpose.account.is_some() =>
            {
                self.purpose.account = None;
                self.introduce()
            }
            _ => Err(fault),
        }
    }

    /// RFC 8555 §7.3. The operator has agreed to the terms: without that no errand is begun.
    fn introduce(&mut self) -> Result<Next, Fault> {
        self.stage = Stage::Account;
        self.account = None;
        let mut payload = json!({ "termsOfServiceAgreed": true });
        if !self.purpose.contact.is_empty()
            && let Some(object) = payload.as_object_mut()
        {
            object.insert("contact".to_owned(), json!(self.purpose.contact));
        }
        Ok(Next::Post(self.directory()?.new_account.clone(), Some(payload)))
    }

    /// RFC 8555 §7.4.
    fn order(&mut self) -> Result<Next, Fault> {
        self.stage = Stage::NewOrder;
        let names: Vec<Value> = self.purpose.names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        Ok(Next::Post(self.directory()?.new_order.clone(), Some(json!({ "identifiers": names }))))
    }

    fn next_authorization(&mut self) -> Result<Next, Fault> {
        match self.authorizations.pop_front() {
            Some(url) => Ok(Next::Post(url, None)),
            None if self.unproved.is_empty() => Ok(self.finalize()),
            None => {
                self.stage = Stage::Proving;
                Ok(Next::Prove)
            }
        }
    }

    /// RFC 8555 §7.5.
    fn authorization(&mut self, found: &Authorization) -> Result<Next, Fault> {
        if !self.purpose.names.iter().any(|name| name.eq_ignore_ascii_case(&found.name)) {
            return Err(Fault::Answer("an authorization for a name that was not asked for"));
        }
        match found.progress {
            // It was proved for an earlier order.
            Progress::Valid => {}
            Progress::Pending => {
                let Offer { url, token, .. } = found.offer(self.purpose.challenge)?.clone();
                let key_authorization = self.purpose.key.key_authorization(&token);
                self.proofs.push(Proof { name: found.name.clone(), token, key_authorization });
                self.to_tell.push_back(url);
                self.unproved.push_back(self.target.clone());
            }
            _ => return Err(found.failure(self.purpose.challenge)),
        }
        self.next_authorization()
    }

    /// RFC 8555 §7.5.1: an empty object says that the proof is there.
    fn tell(&mut self, retry_after: Option<Duration>) -> Next {
        match (self.to_tell.pop_front(), self.unproved.front()) {
            (Some(url), _) => Next::Post(url, Some(json!({}))),
            (None, Some(url)) => {
                (self.stage, self.target, self.payload) = (Stage::Validation, url.clone(), None);
                Next::Wait(pause(0, retry_after))
            }
            (None, None) => self.finalize(),
        }
    }

    fn validation(&mut self, found: &Authorization, retry_after: Option<Duration>) -> Result<Next, Fault> {
        match found.progress {
            Progress::Valid => {
                self.unproved.pop_front();
                Ok(match self.unproved.front() {
                    Some(url) => Next::Post(url.clone(), None),
                    None => self.finalize(),
                })
            }
            Progress::Pending | Progress::Processing => self.poll(retry_after),
            _ => Err(found.failure(self.purpose.challenge)),
        }
    }

    /// RFC 8555 §7.4.
    fn finalize(&mut self) -> Next {
        self.stage = Stage::Finalization;
        let request = super::jws::base64(&self.purpose.request);
        Next::Post(self.finalize.clone(), Some(json!({ "csr": request })))
    }

    fn issuance(&mut self, order: Order, retry_after: Option<Duration>) -> Result<Next, Fault> {
        match (order.progress, order.certificate) {
            (Progress::Valid, Some(url)) => {
                self.stage = Stage::Certificate;
                Ok(Next::Post(url, None))
            }
            (Progress::Invalid, _) => Err(refusal(order.error)),
            (Progress::Valid, None) => Err(Fault::Answer("a certificate that is nowhere")),
            _ => {
                self.stage = Stage::Issuance;
                (self.target, self.payload) = (self.order_url.clone(), None);
                self.poll(retry_after)
            }
        }
    }

    fn poll(&mut self, retry_after: Option<Duration>) -> Result<Next, Fault> {
        self.polls += 1;
        if self.polls > ACME_POLLS_MAX {
            return Err(Fault::TooLong);
        }
        Ok(Next::Wait(pause(self.polls, retry_after)))
    }
}

/// As the server wants it (RFC 8555 §7.5.1), within reason; else longer each time.
fn pause(polls: u32, retry_after: Option<Duration>) -> Duration {
    let own = Duration::from_secs(1 << polls.min(5));
    retry_after.unwrap_or(own).clamp(Duration::from_secs(1), ACME_WAIT_MAX)
}

fn refusal((kind, detail): (String, String)) -> Fault {
    Fault::Refused { kind: if kind.is_empty() { "invalid".to_owned() } else { kind }, detail, retry_after: None }
}

/// In one order: a server that refuses every nonce is broken.
const STALE_NONCES_MAX: u32 = 8;
const PEM_BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
