//! A registered user's key: a new one in place of the old, or the private one parked for another device.

use std::sync::PoisonError;
use std::time::Instant;

use super::{Desk, Handled, Request};
use crate::account::{KeyForm, Refusal, Token, parked};
use crate::jid::BareJid;
use crate::node::random::random_bytes;
use crate::pgp::{Fingerprint, UserRing, judge_candidate};
use crate::router::Ticket;
use crate::services::Addressee;
use crate::stanza::{IqType, Kind, StanzaError, Timestamp};
use crate::store::StoreError;
use crate::xml::{Element, ns};

/// Forms about the own key; other registration requests are for others.
pub(super) fn key_forms(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let own = matches!(request.addressee, Addressee::Domain | Addressee::OwnAccount);
    let query = request.stanza.payload().filter(|p| own && p.is("query", ns::REGISTER))?;
    if request.stanza.kind() != Kind::Iq(IqType::Set) {
        return None;
    }
    let account = request.stanza.from_bare()?.clone();
    let outcome = match KeyForm::read(query)? {
        Ok(KeyForm::Park(key)) => {
            let token = Token::from_random(random_bytes());
            let mut parking = desk.parking.lock().unwrap_or_else(PoisonError::into_inner);
            parking.park(Instant::now(), account, key, token.clone());
            Ok((parked(&token), None))
        }
        Ok(KeyForm::Replace { ring, revoked }) => desk.replace_key(&account, &ring, &revoked, request.now),
        Err(refusal) => Err(refusal),
    };
    Some(match outcome {
        Ok((payload, after)) => {
            Handled { stanzas: vec![request.stanza.result().with_child(payload)], after, ..Handled::default() }
        }
        Err(refusal) => Handled::now(request.stanza.error(&StanzaError::from(refusal))),
    })
}

impl Desk {
    /// Kontalk registration, key update. The account, its roster and its messages stay; only the key is another. Asking again
    /// with the same new key gives the same answer, should the first one have been lost.
    fn replace_key(
        &mut self,
        account: &BareJid,
        ring: &[u8],
        revoked: &[u8],
        now: Timestamp,
    ) -> Result<(Element, Option<Ticket>), Refusal> {
        // Each costs milliseconds of signatures on the thread that serves everybody, so there are only a few an hour.
        self.key_changes.take(Instant::now(), account).map_err(|wait| Refusal::Throttled { wait })?;
        let new = UserRing::parse(ring).map_err(|_| Refusal::BadKey)?;
        let fault = |error: StoreError| {
            log::error!("a key is not replaced: {error}");
            Refusal::Fault
        };
        let record = self.store.account(account).map_err(fault)?.ok_or(Refusal::Fault)?;
        let current = record.fingerprint.map(Fingerprint);
        if current == Some(new.fingerprint()) {
            let certified = self.store.ring(&new.fingerprint().0).map_err(fault)?.ok_or(Refusal::Fault)?;
            return Ok((crate::account::certified(&certified), None));
        }
        let old = UserRing::parse(revoked).map_err(|_| Refusal::RevocationWrong)?;
        if !old.is_revoked() || Some(old.fingerprint()) != current {
            return Err(Refusal::RevocationWrong);
        }
        match judge_candidate(&new, self.domain.domainpart(), now) {
            Ok(address) if address == *account => {}
            _ => return Err(Refusal::BadKey),
        }
        let new = new.without_foreign_certifications(&[self.server_key.fingerprint()]);
        let certified = self.server_key.certify(&new, account, now).map_err(|_| Refusal::BadKey)?.to_bytes();
        let ticket = self.store.save_login(account, new.fingerprint().0, &certified).map_err(fault)?;
        log::info!("{} has a new key {}", account.for_log(), new.fingerprint());
        Ok((crate::account::certified(&certified), Some(ticket)))
    }
}
