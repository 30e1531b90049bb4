//! Registration: a telephone number proves itself with a code, then a key is certified for it. XEP-0077 and the Kontalk
//! registration protocol.
//!
//! States of an address: Unknown → Challenged (code, tries left, expiry) → Verified (by a key, while it is being certified) →
//! Registered (the answer can be had again for a while). Expired, out of tries, or the message not sent: Unknown again. A new
//! challenge replaces an old one.
//!
//! The room decides; it sends no message (`sms`), certifies no key (`pgp`) and stores nothing (`store`). How the steps go:
//!
//! 1. [`Registrar::read`] the iq. For a [`PhoneForm`]: [`Registrar::admit`] it; unless `force`, look whether the account
//!    exists, and if so answer [`Registrar::conflict`]; then [`Registrar::challenge`] and send the text. Not sent:
//!    [`Registrar::send_failed`]. Throttles come before the look, so that asking who exists costs as much as registering.
//! 2. For a [`CodeForm`]: take address and fingerprint from the key of the client certificate, [`Registrar::check`], certify,
//!    store, [`Registrar::registered`], and answer with [`Registrar::certified_reply`].
//!
//! Limits: [`CODE_ATTEMPTS_MAX`] tries in [`CODE_TTL`] for a code, [`CHALLENGES_MAX`] addresses, [`REPLY_REPEATABLE`] for the
//! answer, and the throttles of [`Rates`]. Codes are kept as keyed hashes and compared in constant time.

mod key_form;
mod parking;
mod policy;
mod refusal;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod throttle;

pub use key_form::{KeyForm, fetched, parked};
pub use parking::{PARKED_TTL, Parking, PrivateKey, Token};
pub use policy::{Brand, Policy, Rate, Rates};
pub use refusal::Refusal;
pub use reply::certified;
pub use request::{CodeForm, PhoneForm, Request};

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::jid::BareJid;
use crate::limits::{BoundedMap, CHALLENGES_MAX, CODE_ATTEMPTS_MAX, CODE_TTL, REPLY_REPEATABLE};
use crate::phone::{Code, HashKey, KeyedHash, SmsText};
use crate::stanza::{Stanza, StanzaError};
use crate::xml::Element;
use throttle::Throttle;

/// The fingerprint of an OpenPGP v4 key. RFC 9580 §5.5.4.2.
pub type Fingerprint = [u8; 20];

/// Decides about registrations. One per node, owned by one task.
#[derive(Debug)]
pub struct Registrar {
    policy: Policy,
    key: HashKey,
    throttle: Throttle,
    challenged: BoundedMap<BareJid, Challenged>,
    registered: BoundedMap<BareJid, Registered>,
    next_serial: u64,
    /// When the next entry expires, or earlier.
    sweep_at: Option<Instant>,
}

/// A challenge that has begun: what to send and what to answer.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// The text message for the number.
    pub text: SmsText,
    /// The `<query/>` of the result.
    pub reply: Element,
    /// Send it the second way.
    pub fallback: bool,
    /// Names this challenge among those of its address.
    pub serial: u64,
}

/// What a code is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The number is proved: certify the key, store, and say [`Registrar::registered`].
    Accepted,
    /// It was accepted for this key before, and the client has lost the answer: give the same again.
    Repeat,
    /// No.
    Refused(StanzaError),
}

#[derive(Debug)]
struct Challenged {
    code: KeyedHash,
    tries_left: u8,
    expires: Instant,
    serial: u64,
    /// The key that brought the right code and is now being certified.
    verified_by: Option<Fingerprint>,
}

#[derive(Debug)]
struct Registered {
    by: Fingerprint,
    code: KeyedHash,
    until: Instant,
}

impl Registrar {
    /// Nobody challenged yet. `secret` is random; all that is remembered of numbers, codes and addresses is hashed with it.
    pub fn new(policy: Policy, secret: [u8; 32]) -> Registrar {
        Registrar {
            throttle: Throttle::new(&policy.rates),
            policy,
            key: HashKey::new(secret),
            challenged: BoundedMap::new(CHALLENGES_MAX),
            registered: BoundedMap::new(CHALLENGES_MAX),
            next_serial: 0,
            sweep_at: None,
        }
    }

    /// What the operator decided.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Reads a `jabber:iq:register` request from a connection that has or has not authenticated.
    pub fn read(&self, iq: &Stanza, authenticated: bool) -> Result<Request, StanzaError> {
        Ok(request::read_request(&self.policy, iq, authenticated)?)
    }

    /// The `<query/>` that answers a get.
    pub fn instructions(&self) -> Element {
        reply::instructions(&self.policy)
    }

    /// May this number have a message now? Call it before looking for an account, and once per request.
    pub fn admit(&mut self, now: Instant, peer: IpAddr, form: &PhoneForm) -> Result<(), StanzaError> {
        let admitted = self.throttle.message(now, &self.key, peer, &form.number);
        Ok(admitted.map_err(|wait| Refusal::Throttled { wait })?)
    }

    /// An admitted form's number has an account. No message goes out, so the number keeps its messages for the user who
    /// answers with `force`.
    pub fn conflict(&mut self, form: &PhoneForm) -> StanzaError {
        self.throttle.message_not_sent(&self.key, &form.number, false);
        Refusal::NumberInUse.into()
    }

    /// Begins a challenge for an admitted form, in place of an earlier one. With too many at once the oldest is forgotten.
    pub fn challenge(&mut self, now: Instant, form: &PhoneForm, code: Code) -> Challenge {
        // Kontalk registration, choice of the provider: a challenge that can be had goes before the fallback.
        let fallback =
            form.fallback && self.policy.fallback_sender.is_some() && form.challenge.as_deref() != Some("pin");
        self.next_serial += 1;
        let serial = self.next_serial;
        // A new owner's challenge ends the time in which the old one's answer can be had.
        self.registered.remove(&form.address);
        let hash = code.at_rest(&self.key, form.address.as_str());
        self.insert(now, form.address.clone(), hash, CODE_ATTEMPTS_MAX, CODE_TTL);
        Challenge {
            text: SmsText::verification(&code),
            reply: reply::challenge(&self.policy, fallback),
            fallback,
            serial,
        }
    }

    /// The message of this challenge was certainly not sent: the challenge is forgotten and the number has its message
    /// back, so that the user can try again at once.
    pub fn send_failed(&mut self, form: &PhoneForm, serial: u64) -> StanzaError {
        if self.challenged.get(&form.address).is_some_and(|challenged| challenged.serial == serial) {
            self.challenged.remove(&form.address);
        }
        self.throttle.message_not_sent(&self.key, &form.number, true);
        Refusal::SmsFailed.into()
    }

    /// Judges a code. `address` and `key` are those of the presented key, whose ownership the connection has proved.
    pub fn check(&mut self, now: Instant, peer: IpAddr, address: &BareJid, key: &Fingerprint, code: &Code) -> Verdict {
        if let Err(wait) = self.throttle.guess(now, &self.key, peer) {
            return Verdict::Refused(Refusal::Throttled { wait }.into());
        }
        // Hashed before anything is looked up, so that time does not tell who waits for a code.
        let code = code.at_rest(&self.key, address.as_str());
        match self.judge(now, address, key, &code) {
            Some(verdict) => verdict,
            None => Verdict::Refused(Refusal::BadCode.into()),
        }
    }

    /// The accepted key is certified and stored: the code is used up, and the answer repeatable for this key.
    pub fn registered(&mut self, now: Instant, address: &BareJid, key: &Fingerprint) {
        // A newer challenge is none of this key's business.
        if self.challenged.get(address).is_none_or(|challenged| challenged.verified_by.as_ref() != Some(key)) {
            return;
        }
        if let Some(challenged) = self.challenged.remove(address) {
            let until = now + REPLY_REPEATABLE;
            self.registered.insert(address.clone(), Registered { by: *key, code: challenged.code, until });
            self.sweep_by(until);
        }
    }

    /// The `<query/>` with the certified ring, binary.
    pub fn certified_reply(&self, ring: &[u8]) -> Element {
        reply::certified(ring)
    }

    /// When [`Registrar::expire`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.sweep_at
    }

    /// Forgets what has expired.
    pub fn expire(&mut self, now: Instant) {
        let mut next = None;
        let mut keep = |until: Instant| {
            if now < until {
                next = Some(next.map_or(until, |next: Instant| next.min(until)));
            }
            now < until
        };
        self.challenged.retain(|_, challenged| keep(challenged.expires));
        self.registered.retain(|_, registered| keep(registered.until));
        self.sweep_at = next;
    }

    fn insert(&mut self, now: Instant, address: BareJid, code: KeyedHash, tries_left: u8, ttl: Duration) {
        let expires = now + ttl;
        let serial = self.next_serial;
        self.challenged.insert(address, Challenged { code, tries_left, expires, serial, verified_by: None });
        self.sweep_by(expires);
    }

    fn judge(&mut self, now: Instant, address: &BareJid, key: &Fingerprint, code: &KeyedHash) -> Option<Verdict> {
        let Some(challenged) = self.challenged.get_mut(address) else {
            let registered = self.registered.get(address)?;
            let repeat = now < registered.until && registered.by == *key && registered.code == *code;
            return repeat.then_some(Verdict::Repeat);
        };
        if now >= challenged.expires {
            self.challenged.remove(address);
            return None;
        }
        let right = challenged.code == *code;
        if let Some(by) = challenged.verified_by {
            // One code, one key. The same key again is a client that lost its connection, or a store that failed.
            return (right && by == *key).then_some(Verdict::Accepted);
        }
        if right {
            challenged.verified_by = Some(*key);
            return Some(Verdict::Accepted);
        }
        challenged.tries_left = challenged.tries_left.saturating_sub(1);
        if challenged.tries_left == 0 {
            self.challenged.remove(address);
        }
        None
    }

    fn sweep_by(&mut self, when: Instant) {
        self.sweep_at = Some(self.sweep_at.map_or(when, |sweep_at| sweep_at.min(when)));
    }
}
