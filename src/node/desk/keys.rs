//! A registered user's key: a new one in place of the old, new signatures on it, or the private one parked for another device.
//!
//! Signatures cost milliseconds, on a small board tens of them, so all but parking is done by a [`Job`], a few times an hour.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::job::{Job, committed};
use super::{Desk, Handled, Request};
use crate::account::{KeyForm, Refusal, Token, parked};
use crate::jid::{BareJid, Jid};
use crate::node::random::random_bytes;
use crate::pgp::{Fingerprint, ServerKey, UserRing, judge_candidate};
use crate::router::Event;
use crate::services::Addressee;
use crate::stanza::{IqType, Kind, StanzaCondition, StanzaError, StreamCondition, StreamError, Timestamp};
use crate::store::{Store, StoreError};
use crate::xml::{Element, ns};

/// Forms about the own key; other registration requests are for others.
pub(super) fn key_forms(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let own = matches!(request.addressee, Addressee::Domain | Addressee::OwnAccount);
    let query = request.stanza.payload().filter(|p| own && p.is("query", ns::REGISTER))?;
    if request.stanza.kind() != Kind::Iq(IqType::Set) {
        return None;
    }
    // Of our own users only: nobody elsewhere has a key here.
    let account = request.stanza.from_bare().filter(|from| desk.is_ours(from))?.clone();
    let refused = |refusal: Refusal| Handled::now(request.stanza.error(&StanzaError::from(refusal)));
    Some(match KeyForm::read(query)? {
        Ok(KeyForm::Park(key)) => {
            let token = Token::from_random(random_bytes());
            let mut parking = desk.parking.lock().unwrap_or_else(PoisonError::into_inner);
            parking.park(Instant::now(), account, key, token.clone());
            Handled::now(Some(request.stanza.result().with_child(parked(&token))))
        }
        Ok(KeyForm::Replace { ring, revoked }) => match desk.key_holder(account) {
            Ok(holder) => {
                let (result, now) = (request.stanza.result(), request.now);
                let job = Job::answering(request.stanza, move |_| {
                    Ok(result.with_child(holder.replace(&ring, &revoked, now)?))
                });
                Handled { job: Some(job), ..Handled::default() }
            }
            Err(refusal) => refused(refusal),
        },
        Err(refusal) => refused(refusal),
    })
}

/// A user's own ring with new signatures of his. Kontalk's clients only ask for keys; others publish by it, a revocation for instance.
pub(super) fn publish(desk: &mut Desk, request: &Request<'_>, text: &str) -> Handled {
    let refused = |error: StanzaError| Handled::now(request.stanza.error(&error));
    let ring = STANDARD.decode(text.trim()).ok().filter(|ring| !ring.is_empty());
    let (Addressee::OwnAccount, Some(ring), Some(account)) = (request.addressee, ring, request.stanza.from_bare())
    else {
        return refused(StanzaError::new(StanzaCondition::BadRequest));
    };
    let holder = match desk.key_holder(account.clone()) {
        Ok(holder) => holder,
        Err(refusal) => return refused(refusal.into()),
    };
    let asked = request.stanza.clone();
    let job = Job::new(move |inbox| match holder.add(&ring) {
        Ok(revoked) => {
            inbox.tell_blocking(Event::FromServer(asked.result()));
            if revoked {
                let error = StreamError::with_text(StreamCondition::NotAuthorized, "this key was revoked by its owner");
                inbox.tell_blocking(Event::EndSessions { jid: Jid::Bare(holder.account), error });
            }
        }
        Err(error) => {
            if let Some(answer) = asked.error(&error) {
                inbox.tell_blocking(Event::FromServer(answer));
            }
        }
    });
    Handled { job: Some(job), ..Handled::default() }
}

impl Desk {
    /// Each change costs milliseconds of signatures, so an account has only a few an hour.
    fn key_holder(&mut self, account: BareJid) -> Result<KeyHolder, Refusal> {
        self.key_changes.take(Instant::now(), &account).map_err(|wait| Refusal::Throttled { wait })?;
        let (store, server_key) = (self.store.clone(), self.server_key.clone());
        Ok(KeyHolder { account, domain: self.domain.clone(), store, server_key })
    }
}

/// An account whose key changes.
struct KeyHolder {
    account: BareJid,
    domain: BareJid,
    store: Store,
    server_key: Arc<ServerKey>,
}

impl KeyHolder {
    /// Kontalk registration, key update. The account, its roster and its messages stay; only the key is another. Asking again
    /// with the same new key gives the same answer, should the first one have been lost.
    fn replace(&self, ring: &[u8], revoked: &[u8], now: Timestamp) -> Result<Element, StanzaError> {
        let account = &self.account;
        let new = UserRing::parse(ring).map_err(|_| Refusal::BadKey)?;
        let current = self.current()?;
        if current == Some(new.fingerprint()) {
            let certified = self.store.ring(&new.fingerprint().0).map_err(fault)?.ok_or(Refusal::Fault)?;
            return Ok(crate::account::certified(&certified));
        }
        let old = UserRing::parse(revoked).map_err(|_| Refusal::RevocationWrong)?;
        if !old.is_revoked() || Some(old.fingerprint()) != current {
            return Err(Refusal::RevocationWrong.into());
        }
        match judge_candidate(&new, self.domain.domainpart(), now) {
            Ok(address) if address == *account => {}
            _ => return Err(Refusal::BadKey.into()),
        }
        let new = new.without_foreign_certifications(&[self.server_key.fingerprint()]);
        // Whoever took the number over does not get rid of the hold by yet another key.
        let reset = self.store.reset(account, now).map_err(fault)?;
        let certified = self.server_key.certify_after_reset(&new, account, reset, now);
        let certified = certified.map_err(|_| Refusal::BadKey)?.to_bytes();
        let ticket = self.store.save_login(account, new.fingerprint().0, &certified).map_err(fault)?;
        committed(&self.store, ticket)?;
        log::info!("{} has a new key {}", account.for_log(), new.fingerprint());
        Ok(crate::account::certified(&certified))
    }

    /// Adds what the key itself signed: user ids, subkeys, its revocation. Is it revoked now, and was not before?
    fn add(&self, ring: &[u8]) -> Result<bool, StanzaError> {
        let new = UserRing::parse(ring).map_err(|_| Refusal::BadKey)?;
        let new = new.without_foreign_certifications(&[self.server_key.fingerprint()]);
        let current = self.current()?.filter(|current| *current == new.fingerprint()).ok_or(Refusal::BadKey)?;
        let stored = self.store.ring(&current.0).map_err(fault)?.ok_or(Refusal::Fault)?;
        let stored = UserRing::parse(&stored).map_err(|_| Refusal::Fault)?;
        let before = stored.is_revoked();
        let merged = stored.merge(&new).map_err(|_| Refusal::BadKey)?.tidy();
        let ticket = self.store.save_login(&self.account, current.0, &merged.to_bytes()).map_err(fault)?;
        committed(&self.store, ticket)?;
        let revoked = merged.is_revoked() && !before;
        log::info!("{} {} the key {current}", self.account.for_log(), if revoked { "revoked" } else { "published" });
        Ok(revoked)
    }

    fn current(&self) -> Result<Option<Fingerprint>, StanzaError> {
        let record = self.store.account(&self.account).map_err(fault)?.ok_or(Refusal::Fault)?;
        Ok(record.fingerprint.map(Fingerprint))
    }
}

fn fault(error: StoreError) -> StanzaError {
    log::error!("a key is not changed: {error}");
    Refusal::Fault.into()
}
