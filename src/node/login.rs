//! Who a client is: passwords (SCRAM, PLAIN) and certified keys (EXTERNAL). Kontalk's login decision tree, without any fallback.
//!
//! A definite refusal and a temporary fault are told apart with care: Kontalk clients take the first as a reason to register
//! again, and a broken disk must not send everybody there.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::random::random_bytes;
use super::trust::{Trust, Visited};
use super::worker::work;
use crate::c2s::Peer;
use crate::jid::BareJid;
use crate::limits::{self, Buckets};
use crate::pgp::{Fingerprint, LoginRefusal, ServerKey, UserRing, judge_login, ring_of_certificate};
use crate::stanza::{SaslCondition, SaslFailure, Timestamp};
use crate::store::{Account, Credentials, Store, StoreError};
use crate::stream::{Password, ScramKeys};

pub(super) struct Logins {
    domain: BareJid,
    store: Store,
    server_key: Arc<ServerKey>,
    /// The certificate of the server key before, if it was recovered.
    former: Option<Arc<UserRing>>,
    trust: Option<Arc<Trust>>,
    /// Makes up keys for accounts that have no password, always the same for the same account.
    decoy_secret: [u8; 32],
    throttle: Mutex<Throttle>,
}

/// Failed attempts only count; who logs in at once is never slowed down.
struct Throttle {
    networks: Buckets<IpAddr>,
    accounts: Buckets<BareJid>,
}

impl Logins {
    pub(super) fn new(
        domain: BareJid,
        store: Store,
        server_key: Arc<ServerKey>,
        former: Option<Arc<UserRing>>,
        trust: Option<Arc<Trust>>,
    ) -> Logins {
        let decoy_secret = lasting_secret(&store, "scram-decoys");
        let throttle = Throttle {
            networks: Buckets::new(limits::THROTTLE_ENTRIES_MAX, NETWORK_BURST, NETWORK_REFILL),
            accounts: Buckets::new(limits::THROTTLE_ENTRIES_MAX, ACCOUNT_BURST, ACCOUNT_REFILL),
        };
        Logins { domain, store, server_key, former, trust, decoy_secret, throttle: Mutex::new(throttle) }
    }

    pub(super) fn may_attempt(&self, peer: &Peer, account: Option<&BareJid>) -> Result<(), SaslFailure> {
        let now = Instant::now();
        let throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        let network = throttle.networks.check(now, &limits::network_of(peer.address));
        let account = account.map_or(Ok(()), |account| throttle.accounts.check(now, account));
        network.and(account).map_err(|wait| {
            let text = format!("too many failed attempts; try again in {} s", wait.as_secs() + 1);
            SaslFailure::with_text(SaslCondition::TemporaryAuthFailure, text)
        })
    }

    pub(super) fn attempt_failed(&self, peer: &Peer, account: Option<&BareJid>) {
        let now = Instant::now();
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = throttle.networks.take(now, &limits::network_of(peer.address));
        if let Some(account) = account {
            let _ = throttle.accounts.take(now, account);
        }
        match account {
            Some(account) => log::info!("{} failed to log in as {}", peer.address, account.for_log()),
            None => log::info!("{} failed to log in", peer.address),
        }
    }

    /// The account's SCRAM keys; keys that no password fits where it has none, so that strangers cannot tell.
    pub(super) fn scram_keys(&self, account: &BareJid) -> Result<ScramKeys, SaslFailure> {
        let found = self.account(account)?.and_then(|account| account.password);
        match found {
            None => Ok(ScramKeys::fake(&self.decoy_secret, account)),
            Some(credentials) => {
                let keys = decode(&credentials).ok_or_else(|| {
                    log::error!("the password record of {} cannot be read", account.for_log());
                    temporary()
                })?;
                let disabled = self.store.is_disabled(account).map_err(|error| fault(&error))?;
                Ok(ScramKeys { disabled, ..keys })
            }
        }
    }

    /// PLAIN: costs as much whether or not there is such an account.
    pub(super) async fn plain(&self, account: &BareJid, password: Password) -> Result<BareJid, SaslFailure> {
        let keys = self.scram_keys(account)?;
        let real = self.account(account)?.is_some_and(|account| account.password.is_some());
        let fits = work(move || keys.verify_password(password.expose())).await;
        if fits && real { self.admit(account) } else { Err(SaslFailure::new(SaslCondition::NotAuthorized)) }
    }

    /// EXTERNAL: the ring in the certificate, whose key the client has proved to hold, decides.
    pub(super) async fn external(&self, peer: &Peer, authzid: Option<&BareJid>) -> Result<BareJid, SaslFailure> {
        let presented = peer.certificate.clone().ok_or_else(refused)?;
        let ring = work(move || ring_of_certificate(&presented)).await.map_err(|error| {
            log::debug!("{} presents no usable key: {error}", peer.address);
            refused()
        })?;
        let elsewhere = authzid.is_some_and(|wanted| wanted.domainpart() != self.domain.domainpart());
        let Some(address) = ring.address_at(self.domain.domainpart()).filter(|_| !elsewhere) else {
            return self.visit(peer, ring, authzid).await;
        };
        // Who was removed comes back by proving the number again, not with an old key.
        let Some(account) = self.account(&address)? else {
            log::debug!("{} presents a key for an account that is not here", peer.address);
            return Err(refused());
        };
        let judged = self.judge(ring, &address, &account).await?;
        if authzid.is_some_and(|wanted| *wanted != judged.address) {
            return Err(SaslFailure::new(SaslCondition::InvalidAuthzid));
        }
        if let Some(ring) = judged.news {
            let fingerprint = judged.fingerprint.0;
            let ticket = self.store.save_login(&judged.address, fingerprint, &ring).map_err(|error| fault(&error))?;
            self.store.commit(ticket).await.map_err(|error| fault(&error))?;
        }
        self.admit(&judged.address)
    }

    /// Who has proved who he is comes in, unless an administrator shut his account.
    fn admit(&self, account: &BareJid) -> Result<BareJid, SaslFailure> {
        if self.store.is_disabled(account).map_err(|error| fault(&error))? {
            // RFC 6120 §6.5.2.
            return Err(SaslFailure::new(SaslCondition::AccountDisabled));
        }
        Ok(account.clone())
    }

    /// EXTERNAL with a key of another node's user.
    async fn visit(&self, peer: &Peer, ring: UserRing, authzid: Option<&BareJid>) -> Result<BareJid, SaslFailure> {
        let Some(trust) = self.trust.clone() else {
            log::debug!("{} presents a key without address here", peer.address);
            return Err(refused());
        };
        let now = Timestamp::from_system(SystemTime::now());
        let (presented, wanted) = (ring.clone(), authzid.cloned());
        match work(move || trust.visit(&presented, wanted.as_ref(), now)).await {
            Ok(Visited::Visitor(address, ticket)) => {
                self.store.commit(ticket).await.map_err(|error| fault(&error))?;
                self.admit(&address)
            }
            Ok(Visited::Native(address)) => self.native(address, ring, now).await,
            Err(refusal) => {
                let level = if refusal.concerns_operator() { log::Level::Warn } else { log::Level::Info };
                log::log!(level, "{} may not visit: check {}: {refusal}", peer.address, refusal.check());
                Err(if refusal.is_temporary() { temporary() } else { refused() })
            }
        }
    }

    /// The account's own key, presented by the name it has at another node: it logs in here as itself, by the ring that is stored.
    async fn native(&self, address: BareJid, ring: UserRing, now: Timestamp) -> Result<BareJid, SaslFailure> {
        let key = ring.fingerprint();
        let stored = self.ring(key)?.ok_or_else(refused)?;
        let (server_key, domain) = (self.server_key.clone(), self.domain.clone());
        let judged = work(move || {
            let merged = stored.merge(&ring).map_err(|_| LoginRefusal::NotCertified)?;
            judge_login(&merged, domain.domainpart(), &server_key, now, Some(key), Some(&merged))
        });
        match judged.await {
            Ok(judged) if judged == address => self.admit(&address),
            Ok(_) => Err(refused()),
            Err(refusal) => {
                log::debug!("a key is refused: {refusal}");
                Err(if refusal.is_definite() { refused() } else { temporary() })
            }
        }
    }

    /// Merges what is known of the key and decides. Off the main thread: signatures are verified.
    async fn judge(&self, ring: UserRing, address: &BareJid, account: &Account) -> Result<Judged, SaslFailure> {
        let presented = ring.fingerprint();
        let known = self.ring(presented)?;
        let stored = account.fingerprint.map(Fingerprint);
        let current = match stored.filter(|stored| *stored != presented) {
            Some(stored) => self.ring(stored)?,
            None => None,
        };
        let (server_key, domain) = (self.server_key.clone(), self.domain.clone());
        let now = Timestamp::from_system(SystemTime::now());
        let reset = self.store.reset(address, now).map_err(|error| fault(&error))?;
        let (former, claimed) = (self.former.clone(), address.clone());
        let outcome = work(move || {
            let before = known.as_ref().map(UserRing::to_bytes);
            let judge =
                |ring: &UserRing| judge_login(ring, domain.domainpart(), &server_key, now, stored, current.as_ref());
            let merged = match known {
                None => ring,
                Some(known) if known == ring => ring,
                Some(known) => {
                    // What a client presents must itself be certified: an app that never got our answer must not seem to
                    // be registered. What we know besides (a revocation) counts as well.
                    match judge(&ring) {
                        // Its app has not yet fetched what the recovered node certified.
                        Err(LoginRefusal::NotCertified)
                            if former.is_some_and(|former| certified_by(&former, &ring, &claimed)) => {}
                        other => _ = other?,
                    }
                    known.merge(&ring).map_err(|_| LoginRefusal::NotCertified)?
                }
            };
            let address = judge(&merged)?;
            // Other nodes want certifications that have not ended. That one cannot be renewed shuts nobody out at home.
            let renewed = server_key.renewed(&merged, &address, reset, now);
            let after = renewed.unwrap_or(merged).to_bytes();
            // Nothing is written by a login that brings nothing new.
            let news = (stored != Some(presented) || before.as_ref() != Some(&after)).then_some(after);
            Ok::<_, LoginRefusal>(Judged { address, fingerprint: presented, news })
        });
        outcome.await.map_err(|refusal| {
            if refusal.is_definite() {
                log::debug!("a key is refused: {refusal}");
                refused()
            } else {
                log::error!("no key can be judged: {refusal}");
                temporary()
            }
        })
    }

    fn account(&self, address: &BareJid) -> Result<Option<Account>, SaslFailure> {
        self.store.account(address).map_err(|error| fault(&error))
    }

    fn ring(&self, fingerprint: Fingerprint) -> Result<Option<UserRing>, SaslFailure> {
        let bytes = self.store.ring(&fingerprint.0).map_err(|error| fault(&error))?;
        Ok(bytes.and_then(|bytes| {
            let ring = UserRing::parse(&bytes);
            ring.inspect_err(|error| log::error!("the stored ring {fingerprint} cannot be read: {error}")).ok()
        }))
    }
}

/// Did the former server key certify this, and not take it back?
fn certified_by(former: &UserRing, ring: &UserRing, address: &BareJid) -> bool {
    let said = ring.statements_about(address, former);
    let stands = |at: Timestamp| said.revocations.iter().all(|revoked| *revoked < at);
    said.certifications.iter().any(|certified| matches!(certified.level, 0 | 2) && stands(certified.at))
}

struct Judged {
    address: BareJid,
    fingerprint: Fingerprint,
    /// The ring to store, if it or the account's key is new.
    news: Option<Vec<u8>>,
}

/// A secret of the node's own that a restart does not change, if the store can keep it.
pub(super) fn lasting_secret(store: &Store, name: &str) -> [u8; 32] {
    let fresh = random_bytes();
    store.secret(name, &fresh).unwrap_or_else(|error| {
        log::warn!("the secret {name} will be another one after the next restart: {error}");
        fresh
    })
}

/// SCRAM keys as the store keeps them.
pub(super) fn encode(keys: &ScramKeys) -> Option<Credentials> {
    keys.to_bytes().map(Credentials::new)
}

fn decode(credentials: &Credentials) -> Option<ScramKeys> {
    ScramKeys::from_bytes(credentials.as_bytes())
}

pub(super) fn refused() -> SaslFailure {
    SaslFailure::new(SaslCondition::NotAuthorized)
}

fn temporary() -> SaslFailure {
    SaslFailure::new(SaslCondition::TemporaryAuthFailure)
}

pub(super) fn fault(error: &StoreError) -> SaslFailure {
    log::error!("a login fails: {error}");
    temporary()
}

/// Failures at once from one network, then one each so often: a household behind one address must be able to mistype.
const NETWORK_BURST: u32 = 30;
const NETWORK_REFILL: Duration = Duration::from_secs(10);
/// The same for one account by password: 10, then 120 an hour, is no rate to guess at.
const ACCOUNT_BURST: u32 = 10;
const ACCOUNT_REFILL: Duration = Duration::from_secs(30);
