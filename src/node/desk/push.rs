//! Push: registrations of clients, and the requests to their services. XEP-0357, Kontalk's push. The decisions are in
//! [`crate::push`].

use std::collections::HashSet;
use std::time::Instant;

use super::{Desk, Handled, Request};
use crate::config::{Config, KontalkPush};
use crate::jid::{BareJid, FullJid, Jid};
use crate::push::{self, KontalkRequest, Pace, Registration, Verdict};
use crate::router::{Router, Ticket};
use crate::services::{Addressee, PUSH};
use crate::stanza::{IqType, Kind, Stanza, StanzaCondition, StanzaError};
use crate::store::{Store, StoreError};
use crate::xml::{Element, ns};

/// Who is woken, and how often.
pub(super) struct Waking {
    /// Accounts with registrations, so that the others cost nothing; read when first needed.
    accounts: Option<HashSet<BareJid>>,
    pace: Pace,
    kontalk: Option<KontalkPush>,
}

impl Waking {
    pub(super) fn new(config: &Config) -> Waking {
        Waking { accounts: None, pace: Pace::default(), kontalk: config.push.clone() }
    }

    /// Can Kontalk's clients register in their own way?
    pub(super) fn is_kontalks(&self) -> bool {
        self.kontalk.is_some()
    }

    fn has_any(&mut self, store: &Store, account: &BareJid) -> bool {
        let accounts = self.accounts.get_or_insert_with(|| {
            store.push_accounts().unwrap_or_else(|error| {
                log::error!("nobody is woken who does not register again: {error}");
                HashSet::new()
            })
        });
        accounts.contains(account)
    }
}

/// XEP-0357 §5 and §6.
pub(super) fn push(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let (payload, sender) = set_by_client(request)?;
    if request.addressee != Addressee::OwnAccount {
        return None;
    }
    let outcome = push::Request::read(payload, sender)?.and_then(|wanted| match wanted {
        push::Request::Enable(registration) => desk.register(sender, &registration, false),
        push::Request::Disable { service, node } => desk.unregister(sender, &service, node.as_deref()),
    });
    Some(answered(request, outcome))
}

/// Kontalk's way, at `push@DOMAIN`: one registration for an account and provider.
pub(super) fn kontalk(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let (payload, sender) = set_by_client(request)?;
    let there = request.addressee == Addressee::Component && request.stanza.to().and_then(Jid::localpart) == Some(PUSH);
    let gateway = desk.push.kontalk.as_ref().filter(|_| there && desk.is_ours(sender.bare()))?.gateway.clone();
    let outcome = KontalkRequest::read(payload, sender, &gateway)?.and_then(|wanted| match wanted {
        KontalkRequest::Register(registration) => desk.register(sender, &registration, true),
        KontalkRequest::Unregister => desk.unregister(sender, &Jid::Bare(gateway), None),
    });
    Some(answered(request, outcome))
}

/// Where Kontalk's clients learn what to ask their provider for a token with.
pub(super) fn kontalk_sender(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let asked = request.stanza.payload().filter(|payload| payload.is("query", ns::DISCO_ITEMS))?;
    let wanted = request.stanza.kind() == Kind::Iq(IqType::Get)
        && request.addressee == Addressee::Domain
        && asked.attribute("node") == Some(ns::KONTALK_PUSH);
    let push = desk.push.kontalk.as_ref().filter(|_| wanted)?;
    // Kontalk, push: the address is compared letter by letter, whatever the gateway is.
    let item = Element::new("item", ns::DISCO_ITEMS)
        .with("jid", format!("gcm.push.{}", desk.domain))
        .with("node", push.sender_id.clone())
        .with("name", "Push notifications");
    let query = Element::new("query", ns::DISCO_ITEMS).with("node", ns::KONTALK_PUSH).with_child(item);
    Some(Handled::now(Some(request.stanza.result().with_child(query))))
}

fn set_by_client<'a>(request: &'a Request<'_>) -> Option<(&'a Element, &'a FullJid)> {
    let payload = request.stanza.payload().filter(|_| request.stanza.kind() == Kind::Iq(IqType::Set))?;
    Some((payload, request.stanza.from()?.full()?))
}

/// An empty result, once it is safe.
fn answered(request: &Request<'_>, outcome: Result<Ticket, StanzaError>) -> Handled {
    match outcome {
        Ok(ticket) => Handled { stanzas: vec![request.stanza.result()], after: Some(ticket), ..Handled::default() },
        Err(error) => Handled::now(request.stanza.error(&error)),
    }
}

impl Desk {
    fn register(&mut self, sender: &FullJid, new: &Registration, alone: bool) -> Result<Ticket, StanzaError> {
        let account = sender.bare();
        let ticket = self.store.save_push(account, new, alone).map_err(refusal)?;
        self.push.pace.forget(account, &new.service, (!alone).then_some(new.node.as_str()));
        if let Some(accounts) = &mut self.push.accounts {
            accounts.insert(account.clone());
        }
        Ok(ticket)
    }

    fn unregister(&mut self, sender: &FullJid, service: &Jid, node: Option<&str>) -> Result<Ticket, StanzaError> {
        self.push.pace.forget(sender.bare(), service, node);
        self.store.remove_push(sender.bare(), service, node).map_err(refusal)
    }

    /// A message waits for an account: what its devices' services are told. A device that is connected hears of it by itself,
    /// unless it is among those that do not answer.
    pub(in crate::node) fn unread(
        &mut self,
        account: &BareJid,
        silent: &[FullJid],
        router: &Router<Store>,
    ) -> Vec<Stanza> {
        if !self.push.has_any(&self.store, account) {
            return Vec::new();
        }
        let registrations = self.store.pushes(account).unwrap_or_else(|error| {
            log::error!("devices are not woken: {error}");
            Vec::new()
        });
        if let Some(accounts) = self.push.accounts.as_mut().filter(|_| registrations.is_empty()) {
            accounts.remove(account);
        }
        let mut pushes = Vec::new();
        for registration in registrations {
            let Ok(device) = account.with_resource(&registration.resource) else { continue };
            let asleep = if silent.is_empty() { !router.is_connected(&device) } else { silent.contains(&device) };
            if !asleep {
                continue;
            }
            if let Some((id, waiting)) = self.push.pace.unread(Instant::now(), account, &registration) {
                pushes.push(push::publish(&self.domain, &registration, waiting, &id));
            }
        }
        pushes
    }

    /// A device connected.
    pub(in crate::node) fn device_seen(&mut self, device: &FullJid) {
        self.push.pace.seen(Instant::now(), device.bare(), device.resource());
    }

    /// A push service, perhaps, answered.
    pub(super) fn push_answered(&mut self, answer: &Stanza) {
        let Some(Verdict::Over { account, service, node, why }) = self.push.pace.answered(Instant::now(), answer)
        else {
            return;
        };
        log::debug!("{} is no longer woken by {service}: {why}", account.for_log());
        self.push.pace.forget(&account, &service, Some(&node));
        match self.store.remove_push(&account, &service, Some(&node)) {
            Ok(_) => {}
            Err(error) => log::warn!("a push registration that its service refuses is kept: {error}"),
        }
    }
}

fn refusal(error: StoreError) -> StanzaError {
    match error {
        StoreError::Full => {
            StanzaError::new(StanzaCondition::ResourceConstraint).text("too many push registrations of one account")
        }
        error => {
            log::error!("a push registration is not changed: {error}");
            StanzaError::new(StanzaCondition::InternalServerError)
        }
    }
}
