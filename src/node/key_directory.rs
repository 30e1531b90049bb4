//! Whose public keys are given to ordinary OpenPGP tools over the web, and to whom.
//!
//! | Key | Asked by | Given |
//! |---|---|---|
//! | the server's | fingerprint, `xmpp:DOMAIN`, the domain | always |
//! | the server's former one, with its revocation | fingerprint | always |
//! | an account's present one | fingerprint, address | if `web.user_keys` is on, its owner may be found by telephone number (as in the roster match), and the account is not disabled |
//! | a visitor's, a former one | | never |
//!
//! An address is the hash of a telephone number and says whether that number has an account, to people without one. So questions about
//! users are counted, answered or not, for each network and for all together: numbers cannot be tried out in masses. Those who have an
//! account ask over XMPP, by other budgets.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::jid::BareJid;
use crate::limits::{
    Buckets, KEY_QUESTIONS_ALL, KEY_QUESTIONS_ALL_REFILL, KEY_QUESTIONS_PER_NETWORK, KEY_QUESTIONS_PER_NETWORK_REFILL,
    THROTTLE_ENTRIES_MAX, TokenBucket, network_of,
};
use crate::pgp::{ServerKey, UserRing};
use crate::store::{Store, StoreError};
use crate::web::{FoundKey, KeyDirectory, NoKey, Wanted};

/// The node's keys as the web sees them.
pub(super) struct KeysOfNode {
    domain: BareJid,
    store: Store,
    server_key: Arc<ServerKey>,
    former: Option<Arc<UserRing>>,
    user_keys: bool,
    asked: Mutex<(Buckets<IpAddr>, TokenBucket)>,
}

impl KeysOfNode {
    pub(super) fn new(
        domain: BareJid,
        store: Store,
        server_key: Arc<ServerKey>,
        former: Option<Arc<UserRing>>,
        user_keys: bool,
    ) -> KeysOfNode {
        let networks = Buckets::new(THROTTLE_ENTRIES_MAX, KEY_QUESTIONS_PER_NETWORK, KEY_QUESTIONS_PER_NETWORK_REFILL);
        let all = TokenBucket::new(Instant::now(), KEY_QUESTIONS_ALL, KEY_QUESTIONS_ALL_REFILL);
        KeysOfNode { domain, store, server_key, former, user_keys, asked: Mutex::new((networks, all)) }
    }

    fn is_server(&self, wanted: &Wanted) -> bool {
        match wanted {
            Wanted::Fingerprint(fingerprint) => *fingerprint == self.server_key.fingerprint().0,
            Wanted::Id(id) => {
                let name = id.strip_prefix("xmpp:").unwrap_or(id);
                BareJid::domain(name).is_ok_and(|name| name == self.domain)
            }
        }
    }

    fn count(&self, client: IpAddr) -> Result<(), NoKey> {
        let now = Instant::now();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (networks, all) = &mut *asked;
        let network = network_of(client);
        networks.check(now, &network).and(all.check(now)).map_err(NoKey::TooMany)?;
        networks.take(now, &network).and(all.take(now)).map_err(NoKey::TooMany)
    }

    fn user(&self, wanted: &Wanted) -> Result<Option<FoundKey>, StoreError> {
        let (address, fingerprint) = match wanted {
            Wanted::Fingerprint(fingerprint) => match self.ring(fingerprint)? {
                Some(ring) => (ring.address_at(self.domain.domainpart()), *fingerprint),
                None => return Ok(None),
            },
            Wanted::Id(id) => {
                let address: Option<BareJid> = id.parse().ok();
                let account = address.as_ref().map(|address| self.store.account(address)).transpose()?.flatten();
                match account.and_then(|account| account.fingerprint) {
                    Some(fingerprint) => (address, fingerprint),
                    None => return Ok(None),
                }
            }
        };
        let Some(address) = address.filter(|address| address.domainpart() == self.domain.domainpart()) else {
            return Ok(None);
        };
        let current = self.store.account(&address)?.and_then(|account| account.fingerprint) == Some(fingerprint);
        let shown = current
            && self.store.visit(&address)?.is_none()
            && self.store.is_discoverable(&address)?
            && !self.store.is_disabled(&address)?;
        let ring = if shown { self.ring(&fingerprint)? } else { None };
        Ok(ring.map(|ring| found(&ring, address.to_string())))
    }

    fn ring(&self, fingerprint: &[u8; 20]) -> Result<Option<UserRing>, StoreError> {
        Ok(self.store.ring(fingerprint)?.and_then(|bytes| UserRing::parse(&bytes).ok()))
    }
}

impl KeyDirectory for KeysOfNode {
    fn find(&self, wanted: &Wanted, client: IpAddr) -> Result<FoundKey, NoKey> {
        if self.is_server(wanted) {
            return Ok(FoundKey {
                ring: self.server_key.public_ring().to_vec(),
                armored: self.server_key.armored_public_ring(),
                fingerprint: self.server_key.fingerprint().to_string(),
                created: self.server_key.created().secs(),
                id: format!("xmpp:{}", self.domain),
            });
        }
        if let (Wanted::Fingerprint(asked), Some(former)) = (wanted, &self.former)
            && former.fingerprint().0 == *asked
        {
            return Ok(found(former, format!("xmpp:{}", self.domain)));
        }
        if !self.user_keys {
            return Err(NoKey::NotHere);
        }
        self.count(client)?;
        self.user(wanted)
            .map_err(|error| {
                log::error!("keys cannot be read for the web: {error}");
                NoKey::Fault
            })?
            .ok_or(NoKey::NotHere)
    }
}

fn found(ring: &UserRing, id: String) -> FoundKey {
    FoundKey {
        ring: ring.to_bytes(),
        armored: ring.armored(),
        fingerprint: ring.fingerprint().to_string(),
        created: ring.created().secs(),
        id,
    }
}
