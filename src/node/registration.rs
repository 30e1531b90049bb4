//! Registration put together: the decisions of `account`, the courier, the server key, the store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use smol::channel::bounded;
use smol::future::FutureExt;
use smol::{Executor, Timer};

use super::courier::Courier;
use super::hub::{Inbox, Input};
use super::ways::Announcer;
use super::worker::work;
use crate::account::{CodeForm, Parking, PhoneForm, Refusal, Registrar, Request, Token, Verdict, fetched};
use crate::c2s::Peer;
use crate::jid::{BareJid, Jid};
use crate::limits::SENDING_PATIENCE;
use crate::pgp::{ServerKey, UserRing, judge_candidate, ring_of_certificate};
use crate::router::Event;
use crate::stanza::{Kind, MessageType, Stanza, StanzaCondition, StanzaError, Timestamp};
use crate::store::{Store, StoreError};
use crate::xml::{Element, ns};

pub(super) struct Registrations {
    executor: &'static Executor<'static>,
    courier: Arc<Courier>,
    announcer: Announcer,
    parking: Arc<Mutex<Parking>>,
    domain: BareJid,
    store: Store,
    server_key: Arc<ServerKey>,
    inbox: Inbox,
}

impl Registrations {
    pub(super) fn new(
        executor: &'static Executor<'static>,
        announcer: Announcer,
        store: Store,
        server_key: Arc<ServerKey>,
        inbox: Inbox,
        courier: Arc<Courier>,
        parking: Arc<Mutex<Parking>>,
    ) -> Registrations {
        let domain = announcer.domain().clone();
        Registrations { executor, courier, announcer, parking, domain, store, server_key, inbox }
    }

    /// Answers a stranger's `jabber:iq:register` request.
    pub(super) async fn answer(&self, peer: &Peer, request: Stanza) -> Stanza {
        let read = self.registrar().read(&request, false);
        let outcome = match read {
            Ok(Request::Instructions) => Ok(self.registrar().instructions()),
            Ok(Request::Phone(form)) => self.phone(peer, form).await,
            Ok(Request::Code(form)) => self.code(peer, &form).await,
            Ok(Request::Fetch(token)) => self.fetch(peer, &token),
            Ok(Request::Unsupported(error)) | Err(error) => Err(error),
        };
        let reply = match outcome {
            Ok(payload) => Some(request.result().with_child(payload)),
            Err(error) => request.error(&error),
        };
        reply.unwrap_or_else(|| request.result())
    }

    /// Kontalk registration, set: telephone number. The message goes out in a task of its own: a client that does not wait for it,
    /// or that waits in vain, stops nothing.
    async fn phone(&self, peer: &Peer, form: PhoneForm) -> Result<Element, StanzaError> {
        self.courier.admit(peer.address, &form)?;
        if self.store.is_disabled(&form.address).map_err(fault)? {
            // A new key must not open what an administrator shut.
            return Err(StanzaError::new(StanzaCondition::Forbidden).text("this account is disabled"));
        }
        let asked = Instant::now();
        if !form.force && self.is_in_use(&form.address).await? {
            return Err(self.registrar().conflict(&form));
        }
        let job = match self.courier.accept(peer.address, form) {
            Ok(job) => job,
            Err(refusal) => {
                self.announcer.tell(&self.courier.take_alerts()).await;
                return Err(refusal);
            }
        };
        let (promise, patience) = self.courier.promise(&job);
        // The client's patience is one; the network may have had some of it.
        let patience = patience.min(SENDING_PATIENCE.saturating_sub(asked.elapsed()));
        let (tell, told) = bounded(1);
        let (courier, announcer) = (self.courier.clone(), self.announcer.clone());
        let deliver = async move {
            let outcome = courier.deliver(job).await;
            // Who asked may be gone.
            let _ = tell.try_send(outcome);
            announcer.tell(&courier.take_alerts()).await;
        };
        self.executor.spawn(deliver).detach();
        let outcome = async { told.recv().await.unwrap_or_else(|_| Err(Refusal::Fault.to_error())) };
        outcome.or(after(patience, promise)).await
    }

    /// Has the number an account here, or at a node that we trust? Then its user may want to bring his key instead of starting afresh.
    /// A node that does not answer, or will not say, does not keep anybody from registering.
    async fn is_in_use(&self, address: &BareJid) -> Result<bool, StanzaError> {
        // A visitor who registers is no conflict: with the key he is known by he keeps what he has.
        if self.store.visit(address).map_err(fault)?.is_some() {
            return Ok(false);
        }
        let here = self.store.account(address).map_err(fault)?.is_some();
        Ok(here || self.inbox.is_known_elsewhere(address).await)
    }

    /// Kontalk registration, set: code. The key in the client's certificate is certified for the number that was proved.
    async fn code(&self, peer: &Peer, form: &CodeForm) -> Result<Element, StanzaError> {
        let Some(certificate) = peer.certificate.clone() else { return Err(Refusal::BadKey.to_error()) };
        let domain = self.domain.clone();
        let now = Timestamp::from_system(SystemTime::now());
        let read = work(move || {
            let ring = ring_of_certificate(&certificate).map_err(|error| error.to_string())?;
            let address = judge_candidate(&ring, domain.domainpart(), now).map_err(|error| error.to_string())?;
            Ok::<_, String>((ring, address))
        });
        let (ring, address) = read.await.map_err(|reason| {
            log::debug!("{} registers a key that will not do: {reason}", peer.address);
            Refusal::BadKey.to_error()
        })?;
        let key = ring.fingerprint().0;
        let mut verdict = self.registrar().check(Instant::now(), peer.address, &address, &key, form.code.as_ref());
        if let (Verdict::AskProvider { serial }, Some(code)) = (&verdict, &form.code) {
            verdict = self.courier.judge(&address, &key, *serial, code).await;
        }
        match verdict {
            // It was asked a moment ago.
            Verdict::AskProvider { .. } => Err(Refusal::Fault.to_error()),
            Verdict::Refused(error) => Err(error),
            Verdict::Repeat => match self.store.ring(&key).map_err(fault)? {
                Some(certified) => Ok(self.registrar().certified_reply(&certified)),
                None => Err(Refusal::Fault.to_error()),
            },
            Verdict::Accepted => self.certify(ring, address, now).await,
        }
    }

    /// Certify, store, and only then answer: what the client is told survives a power cut.
    async fn certify(&self, ring: UserRing, address: BareJid, now: Timestamp) -> Result<Element, StanzaError> {
        let key = ring.fingerprint();
        let reset = self.store.reset_by(&address, &key.0, now).map_err(fault)?;
        let (server_key, to_certify) = (self.server_key.clone(), address.clone());
        let certified = work(move || {
            // Of other people's certifications nothing is known here; they would only make the ring grow.
            let ring = ring.without_foreign_certifications(&[server_key.fingerprint()]);
            server_key.certify_after_reset(&ring, &to_certify, reset, now).map(|ring| ring.to_bytes())
        });
        let certified = certified.await.map_err(|error| {
            log::debug!("a key is not certified: {error}");
            Refusal::BadKey.to_error()
        })?;
        let before = self.store.account(&address).map_err(fault)?;
        let accepted = self.store.accept_registration(&address, key.0, &certified, now);
        let (departed, ticket) = accepted.map_err(fault)?;
        self.store.commit(ticket).await.map_err(fault)?;
        self.registrar().registered(Instant::now(), &address, &key.0);
        self.courier.proved(&address);
        log::info!("{} registered with the key {key}", address.for_log());
        if before.is_some_and(|account| account.fingerprint != Some(key.0)) {
            // Sessions of a previous owner are told why and end; his contacts are told.
            self.inbox.send(Input::Event(Event::FromServer(taken_over(&self.domain, &address)))).await;
            self.inbox.account_ended(address, departed.farewells).await;
        }
        Ok(self.registrar().certified_reply(&certified))
    }

    /// Kontalk private key transfer, the new device's side.
    fn fetch(&self, peer: &Peer, token: &Token) -> Result<Element, StanzaError> {
        let found =
            self.parking.lock().unwrap_or_else(PoisonError::into_inner).fetch(Instant::now(), peer.address, token);
        let (account, key) = found?;
        let fingerprint = self.store.account(&account).map_err(fault)?.and_then(|account| account.fingerprint);
        let ring = match fingerprint {
            Some(fingerprint) => self.store.ring(&fingerprint).map_err(fault)?,
            None => None,
        };
        let ring = ring.ok_or_else(|| Refusal::NotAuthorized.to_error())?;
        log::info!("{} moved its key to another device", account.for_log());
        Ok(fetched(&key, &ring))
    }

    fn registrar(&self) -> MutexGuard<'_, Registrar> {
        self.courier.registrar()
    }
}

/// The client has waited long enough: its message is still on its way.
async fn after(patience: Duration, promise: Element) -> Result<Element, StanzaError> {
    Timer::after(patience).await;
    Ok(promise)
}

/// To the device of who had the number before. A headline: it reaches whoever is there and is kept for nobody.
fn taken_over(domain: &BareJid, account: &BareJid) -> Stanza {
    let body = Element::new("body", ns::CLIENT).with_text(
        "This telephone number was registered again, with another key. If it was not you, somebody else can receive your text \
         messages: tell your contacts, and ask your operator about your SIM card.",
    );
    let (from, to) = (Jid::Bare(domain.clone()), Jid::Bare(account.clone()));
    Stanza::build(Kind::Message(MessageType::Headline), Some(from), Some(to), None).with_child(body)
}

fn fault(error: StoreError) -> StanzaError {
    match error {
        // Told once by the store, and no fault of ours.
        StoreError::NoSpace => log::debug!("a registration waits for room on the disk"),
        error => log::error!("a registration fails: {error}"),
    }
    Refusal::Fault.to_error()
}
