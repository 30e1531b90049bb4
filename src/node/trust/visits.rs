//! Visitors: who comes in, and who may stay. The checks are `trust`'s; here they are given what is stored.

use std::time::Instant;

use super::{Trust, TrustFault, lock};
use crate::jid::BareJid;
use crate::pgp::{Fingerprint, UserRing};
use crate::router::Ticket;
use crate::stanza::{StreamError, Timestamp};
use crate::store::{Store, StoreError};
use crate::trust::{
    Admission, End, Home, NodeDomain, Presented, Records, RecordsFault, Resident, State, Usage, VisitRefusal,
    judge_stay, judge_visit, trust_ended,
};

/// How a key that is not one of our accounts' comes in.
#[derive(Debug)]
pub(in crate::node) enum Visited {
    /// It is, and was only named differently: the account here.
    Native(BareJid),
    /// A visitor: his address here, and the write that must be durable before he is let in.
    Visitor(BareJid, Ticket),
}

impl Trust {
    /// Judges who presents this ring, whose key TLS has proved, and lets him in. Takes the time of some signatures.
    pub(in crate::node) fn visit(
        &self,
        ring: &UserRing,
        authzid: Option<&BareJid>,
        now: Timestamp,
    ) -> Result<Visited, VisitRefusal> {
        let known = self.stored_ring(ring.fingerprint())?;
        // What is known of the key (a revocation by its home, say) counts beside what is presented.
        let merged = match known {
            Some(known) => known.merge(ring).unwrap_or_else(|_| ring.clone()),
            None => ring.tidy(),
        };
        let presented = Presented { ring: Ok(&merged), authzid };
        match judge_visit(&presented, &self.domain, self, now)? {
            // What is known of the key has a user id here, though what was presented has none.
            Admission::Local => {
                merged.address_at(self.domain.domainpart()).map(Visited::Native).ok_or(VisitRefusal::NoUserId)
            }
            Admission::Native(address) => Ok(Visited::Native(address)),
            Admission::Visitor(visitor) => {
                let home = self.home(&visitor.home).map_err(|fault| unreadable(&fault))?;
                let issuers: Vec<Fingerprint> = home
                    .iter()
                    .flat_map(|home| {
                        [Some(home.certificate.fingerprint()), home.former.as_ref().map(UserRing::fingerprint)]
                    })
                    .flatten()
                    .collect();
                let ring = merged.without_foreign_certifications(&issuers).to_bytes();
                let ticket = self.store.admit_visitor(&visitor, &ring, now).map_err(|error| store_fault(&error))?;
                let _ = lock(&self.logins).take(Instant::now(), &visitor.home);
                log::info!("{} visits from {}", visitor.address.for_log(), visitor.home);
                Ok(Visited::Visitor(visitor.address, ticket))
            }
        }
    }

    /// Checks 4 to 7 for all who are here: gives those who must go.
    pub(super) fn recheck(&self, now: Timestamp) -> Result<Vec<(BareJid, NodeDomain, End)>, TrustFault> {
        let mut gone = Vec::new();
        for (account, visit) in self.store.visitors()? {
            let (Some(home_address), Some(home)) = (visit.home_address(), visit.home()) else { continue };
            let key = self.store.account(&account)?.and_then(|account| account.fingerprint);
            let ring = match key.map(|key| self.store.ring(&key)).transpose()?.flatten() {
                Some(bytes) => UserRing::parse(&bytes).ok(),
                None => None,
            };
            let verdict = match &ring {
                Some(ring) => judge_stay(ring, &home_address, self, now),
                None => Err(VisitRefusal::NoUserId),
            };
            match verdict {
                Err(refusal) if !refusal.is_temporary() => {
                    log::debug!("{} may not stay: check {}: {refusal}", account.for_log(), refusal.check());
                    gone.push((account, home, end_of(&refusal)));
                }
                _ => {}
            }
        }
        Ok(gone)
    }

    fn stored_ring(&self, key: Fingerprint) -> Result<Option<UserRing>, VisitRefusal> {
        let bytes = self.store.ring(&key.0).map_err(|error| store_fault(&error))?;
        Ok(bytes.and_then(|bytes| UserRing::parse(&bytes).ok()))
    }
}

impl Records for Trust {
    fn home(&self, domain: &NodeDomain) -> Result<Option<Home>, RecordsFault> {
        Trust::home(self, domain).map_err(|fault| {
            log::error!("trust: {fault}");
            RecordsFault
        })
    }

    fn is_denied(&self, domain: &NodeDomain) -> Result<bool, RecordsFault> {
        let peer = self.store.peer(domain).map_err(|error| fault(&error))?;
        Ok(peer.is_some_and(|peer| peer.state == State::Denied))
    }

    fn resident(&self, address: &BareJid) -> Result<Option<Resident>, RecordsFault> {
        let Some(account) = self.store.account(address).map_err(|error| fault(&error))? else { return Ok(None) };
        let home = self.store.visit(address).map_err(|error| fault(&error))?.and_then(|visit| visit.home());
        let ring = match account.fingerprint {
            Some(key) => self.store.ring(&key).map_err(|error| fault(&error))?,
            None => None,
        };
        let key_created = ring.and_then(|bytes| UserRing::parse(&bytes).ok()).map(|ring| ring.created());
        Ok(Some(Resident { key: account.fingerprint.map(Fingerprint), key_created, home }))
    }

    fn usage(&self, home: &NodeDomain) -> Result<Usage, RecordsFault> {
        let (all, of_home) = self.store.count_visitors(home).map_err(|error| fault(&error))?;
        let most = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(Usage {
            all,
            of_home,
            all_max: most(self.settings.visitors_max),
            of_home_max: most(self.settings.visitors_per_home_max),
            login_allowed: self.settings.visitor_logins_per_hour_max > 0
                && lock(&self.logins).check(Instant::now(), home).is_ok(),
        })
    }

    fn clock_floor(&self) -> Result<Timestamp, RecordsFault> {
        self.store.clock_floor().map_err(|error| fault(&error))
    }
}

/// Must whoever is about to have a session here go at once? A login that was judged before the trust ended must not outlive it.
pub(in crate::node) fn must_go(store: &Store, account: &BareJid) -> Option<StreamError> {
    let home = match store.visit(account) {
        Ok(visit) => visit?.home()?,
        Err(error) => {
            log::error!("whether somebody visits cannot be read: {error}");
            return None;
        }
    };
    let state = store.peer(&home).ok().flatten().map(|peer| peer.state);
    match state {
        Some(state) if state.keeps_visitors() => None,
        Some(State::Denied) => Some(trust_ended(&home, End::Denied)),
        Some(State::Suspended) => Some(trust_ended(&home, End::Suspended)),
        _ => Some(trust_ended(&home, End::Revoked)),
    }
}

fn end_of(refusal: &VisitRefusal) -> End {
    match refusal {
        VisitRefusal::NotTrusted(_, State::Denied) => End::Denied,
        VisitRefusal::NotTrusted(_, State::Suspended) => End::Suspended,
        VisitRefusal::HomeEdge(..) | VisitRefusal::HomeKey(..) => End::Expired,
        VisitRefusal::UserEdge(..) | VisitRefusal::Key(_) | VisitRefusal::NoUserId => End::UserNotCertified,
        _ => End::Revoked,
    }
}

fn fault(error: &StoreError) -> RecordsFault {
    log::error!("what is kept of nodes and visitors cannot be read: {error}");
    RecordsFault
}

fn store_fault(error: &StoreError) -> VisitRefusal {
    fault(error).into()
}

fn unreadable(fault: &TrustFault) -> VisitRefusal {
    log::error!("trust: {fault}");
    VisitRefusal::Records
}
