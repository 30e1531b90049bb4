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
//!    exists, and if so answer [`Registrar::conflict`]; let `dispatch` choose a way, and if there is none answer
//!    [`Registrar::declined`]; then [`Registrar::challenge`], send, and answer [`Registrar::reply`]. Not sent:
//!    [`Registrar::send_failed`]. Throttles come before the look, so that asking who exists costs as much as registering.
//! 2. For a [`CodeForm`]: take address and fingerprint from the key of the client certificate, [`Registrar::check`] (and if a
//!    provider must say, ask it and tell [`Registrar::judged`]), certify, store, [`Registrar::registered`], and answer with
//!    [`Registrar::certified_reply`].
//!
//! What the number does by itself, where that is the proof, is told to [`Registrar::heard`]. Such a proof binds nobody to the
//! connection that comes for the key, so that connection must come from the network that asked.
//!
//! Limits: [`CODE_ATTEMPTS_MAX`] tries in [`CODE_TTL`] for a code, [`CHALLENGES_MAX`] addresses, [`REPLY_REPEATABLE`] for the
//! answer, and the throttles of [`Rates`]. Codes are kept as keyed hashes and compared in constant time.

mod key_form;
mod parking;
mod policy;
mod proof;
mod refusal;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod throttle;

pub use key_form::{KeyForm, fetched, parked};
pub use parking::{PARKED_TTL, Parking, PrivateKey, Token};
pub use policy::{Brand, Policy, Rate, Rates};
pub use proof::{Ask, CALLER_DIGITS, Heard, Word};
pub use refusal::Refusal;
pub use reply::{Shown, certified};
pub use request::{CodeForm, PhoneForm, Request};

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::jid::BareJid;
use crate::limits::{BoundedMap, CHALLENGES_MAX, CODE_ATTEMPTS_MAX, CODE_TTL, REPLY_REPEATABLE, network_of};
use crate::phone::{Code, HashKey, KeyedHash, PhoneNumber};
use crate::stanza::{Stanza, StanzaError};
use crate::xml::Element;
use proof::{Expected, Typed};
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

/// What a code is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The number is proved: certify the key, store, and say [`Registrar::registered`].
    Accepted,
    /// It was accepted for this key before, and the client has lost the answer: give the same again.
    Repeat,
    /// The provider that sent the code must say; then [`Registrar::judged`].
    AskProvider {
        /// Names the challenge among those of its address.
        serial: u64,
    },
    /// No.
    Refused(StanzaError),
}

#[derive(Debug)]
struct Challenged {
    expected: Expected,
    tries_left: u8,
    expires: Instant,
    serial: u64,
    /// The key that brought the right code and is now being certified.
    verified_by: Option<Fingerprint>,
}

#[derive(Debug)]
struct Registered {
    by: Fingerprint,
    /// The code it came with; without one it came with none.
    code: Option<KeyedHash>,
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

    /// Nothing can be sent to an admitted form's number now. The number keeps its messages.
    pub fn declined(&mut self, form: &PhoneForm, refusal: Refusal) -> StanzaError {
        self.throttle.message_not_sent(&self.key, &form.number, false);
        refusal.into()
    }

    /// Begins a challenge for an admitted form, in place of an earlier one. With too many at once the oldest is forgotten. Gives
    /// what names it among those of its address.
    pub fn challenge(&mut self, now: Instant, form: &PhoneForm, ask: &Ask) -> u64 {
        self.next_serial += 1;
        // A new owner's challenge ends the time in which the old one's answer can be had.
        self.registered.remove(&form.address);
        let expected = Expected::of(ask, &self.key, &form.address);
        self.insert(now, form.address.clone(), expected, CODE_ATTEMPTS_MAX, CODE_TTL);
        self.next_serial
    }

    /// The `<query/>` that tells the client what to wait for.
    pub fn reply(&self, shown: &Shown<'_>) -> Element {
        reply::challenge(&self.policy, shown)
    }

    /// The message of this challenge was certainly not sent: the challenge is forgotten and the number has its message
    /// back, so that the user can try again at once.
    pub fn send_failed(&mut self, form: &PhoneForm, serial: u64) -> StanzaError {
        self.forget(form, serial);
        self.throttle.message_not_sent(&self.key, &form.number, true);
        Refusal::SmsFailed.into()
    }

    /// A message of this challenge may come, but its code cannot be judged: the challenge is forgotten, and the number has no
    /// message back.
    pub fn code_lost(&mut self, form: &PhoneForm, serial: u64) -> StanzaError {
        self.forget(form, serial);
        Refusal::CodeLost.into()
    }

    /// Is this challenge still waiting for its code?
    pub fn is_open(&self, now: Instant, address: &BareJid, serial: u64) -> bool {
        let challenged = self.challenged.get(address);
        challenged.is_some_and(|c| c.serial == serial && c.verified_by.is_none() && now < c.expires)
    }

    fn forget(&mut self, form: &PhoneForm, serial: u64) {
        if self.challenged.get(&form.address).is_some_and(|challenged| challenged.serial == serial) {
            self.challenged.remove(&form.address);
        }
    }

    /// Judges a code, or the claim to need none. `address` and `key` are those of the presented key, whose ownership the
    /// connection has proved.
    pub fn check(
        &mut self,
        now: Instant,
        peer: IpAddr,
        address: &BareJid,
        key: &Fingerprint,
        code: Option<&Code>,
    ) -> Verdict {
        if let Err(wait) = self.throttle.guess(now, &self.key, peer) {
            return Verdict::Refused(Refusal::Throttled { wait }.into());
        }
        // Hashed before anything is looked up, so that time does not tell who waits for a code.
        let typed = Typed::of(code, &self.key, address);
        self.judge(now, peer, address, key, &typed).unwrap_or_else(|refusal| Verdict::Refused(refusal.into()))
    }

    /// The provider said whether the code was right that [`Registrar::check`] could not judge.
    pub fn judged(&mut self, address: &BareJid, key: &Fingerprint, serial: u64, code: &Code, right: bool) -> Verdict {
        let refused = Verdict::Refused(Refusal::BadCode.into());
        let Some(challenged) = self.challenged.get_mut(address) else { return refused };
        // While the provider was asked, somebody else may have been quicker, or begun anew.
        if challenged.serial != serial || challenged.verified_by.is_some() {
            return refused;
        }
        if right {
            challenged.expected = Expected::Code(code.at_rest(&self.key, address.as_str()));
            challenged.verified_by = Some(*key);
            return Verdict::Accepted;
        }
        if challenged.tries_left == 0 {
            self.challenged.remove(address);
        }
        refused
    }

    /// The provider could not be asked: the try is given back.
    pub fn not_judged(&mut self, address: &BareJid, serial: u64) -> StanzaError {
        if let Some(challenged) = self.challenged.get_mut(address).filter(|challenged| challenged.serial == serial) {
            challenged.tries_left = challenged.tries_left.saturating_add(1).min(CODE_ATTEMPTS_MAX);
        }
        Refusal::NotJudged.into()
    }

    /// The number did something by itself. Says whether it was waited for.
    pub fn heard(&mut self, now: Instant, number: &PhoneNumber, what: Heard<'_>) -> bool {
        let Ok(address) = BareJid::new(Some(&number.localpart()), self.policy.domain.domainpart()) else {
            return false;
        };
        let waiting = self.challenged.get_mut(&address).filter(|challenged| now < challenged.expires);
        waiting.is_some_and(|challenged| challenged.expected.hear(&self.key, &address, what))
    }

    /// The accepted key is certified and stored: the code is used up, and the answer repeatable for this key.
    pub fn registered(&mut self, now: Instant, address: &BareJid, key: &Fingerprint) {
        // A newer challenge is none of this key's business.
        if self.challenged.get(address).is_none_or(|challenged| challenged.verified_by.as_ref() != Some(key)) {
            return;
        }
        if let Some(challenged) = self.challenged.remove(address) {
            let until = now + REPLY_REPEATABLE;
            let code = match challenged.expected {
                Expected::Code(code) | Expected::CallerDigits(code) => Some(code),
                Expected::Provider | Expected::Incoming { .. } => None,
            };
            self.registered.insert(address.clone(), Registered { by: *key, code, until });
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

    fn insert(&mut self, now: Instant, address: BareJid, expected: Expected, tries_left: u8, ttl: Duration) {
        let expires = now + ttl;
        let serial = self.next_serial;
        self.challenged.insert(address, Challenged { expected, tries_left, expires, serial, verified_by: None });
        self.sweep_by(expires);
    }

    fn judge(
        &mut self,
        now: Instant,
        peer: IpAddr,
        address: &BareJid,
        key: &Fingerprint,
        typed: &Typed,
    ) -> Result<Verdict, Refusal> {
        let Some(challenged) = self.challenged.get_mut(address) else {
            let registered = self.registered.get(address).ok_or(Refusal::BadCode)?;
            let same = registered.code == typed.whole || (registered.code == typed.tail && typed.tail.is_some());
            let repeat = now < registered.until && registered.by == *key && same;
            return if repeat { Ok(Verdict::Repeat) } else { Err(Refusal::BadCode) };
        };
        if now >= challenged.expires {
            self.challenged.remove(address);
            return Err(Refusal::BadCode);
        }
        let right = match &challenged.expected {
            Expected::Code(code) => typed.whole == Some(*code),
            Expected::CallerDigits(digits) => typed.tail == Some(*digits),
            Expected::Provider => false,
            Expected::Incoming { network, heard, .. } => {
                if *network != network_of(peer) {
                    return Err(Refusal::OtherNetwork);
                }
                // Nothing was guessed, so no try is lost.
                if !*heard { return Err(Refusal::NothingHeard) } else { true }
            }
        };
        if let Some(by) = challenged.verified_by {
            // One code, one key. The same key again is a client that lost its connection, or a store that failed.
            return if right && by == *key { Ok(Verdict::Accepted) } else { Err(Refusal::BadCode) };
        }
        if right {
            challenged.verified_by = Some(*key);
            return Ok(Verdict::Accepted);
        }
        let none_was_left = challenged.tries_left == 0;
        challenged.tries_left = challenged.tries_left.saturating_sub(1);
        // A try counts before the provider is asked: many at once are many tries.
        if challenged.expected == Expected::Provider && typed.whole.is_some() && !none_was_left {
            return Ok(Verdict::AskProvider { serial: challenged.serial });
        }
        if challenged.tries_left == 0 && challenged.expected != Expected::Provider {
            self.challenged.remove(address);
        }
        Err(Refusal::BadCode)
    }

    fn sweep_by(&mut self, when: Instant) {
        self.sweep_at = Some(self.sweep_at.map_or(when, |sweep_at| sweep_at.min(when)));
    }
}
