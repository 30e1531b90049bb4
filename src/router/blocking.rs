//! Blocking. XEP-0191, with Kontalk's habit of silence: whom a user blocks is not told, neither by an error nor otherwise.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ledger::Debt;
use super::roster_iq::broken;
use super::session::{Cargo, SessionId};
use super::{Router, Storage};
use crate::jid::{BareJid, Jid};
use crate::roster::{self, BlockList, BlockingRequest};
use crate::stanza::{IqType, Kind, PresenceType, Stanza, StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

impl<S: Storage> Router<S> {
    pub(super) fn blocking_iq(&mut self, id: SessionId, stanza: &Stanza, debt: Option<Debt>) {
        let outcome = match stanza.kind() {
            Kind::Iq(IqType::Get) => self.block_list_get(id, stanza),
            _ => self.block_list_set(id, stanza, debt),
        };
        if let Err(error) = outcome {
            self.bounce(stanza, error);
        }
    }

    /// XEP-0191 §3.2.
    fn block_list_get(&mut self, id: SessionId, stanza: &Stanza) -> Result<(), StanzaError> {
        if !stanza.payload().is_some_and(roster::is_blocklist_get) {
            return Err(StanzaError::new(StanzaCondition::BadRequest));
        }
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        session.wants_block_list = true;
        let account = session.jid.bare().clone();
        let list = self.block_list_of(&account);
        let result = stanza.result().with_child(roster::blocklist_result(&list));
        self.send(id, result.to_text().into(), Cargo::Other);
        Ok(())
    }

    /// XEP-0191 §3.3-3.5.
    fn block_list_set(&mut self, id: SessionId, stanza: &Stanza, debt: Option<Debt>) -> Result<(), StanzaError> {
        let Some(account) = self.sessions.get(&id).map(|s| s.jid.bare().clone()) else { return Ok(()) };
        let payload = stanza.payload().ok_or_else(|| StanzaError::new(StanzaCondition::BadRequest))?;
        let request = BlockingRequest::read(payload, &account)?;
        let mut list = (*self.block_list_of(&account)).clone();
        let changed = request.apply(&mut list)?;
        let blocking = matches!(request, BlockingRequest::Block(_));
        if blocking {
            // XEP-0191 §3.3: while it still may pass, unavailable presence goes to those who see the user.
            self.for_watchers(&account, &changed, Router::hide_presence_of);
            self.take_directed_back(&account, &changed);
        }
        let ticket = self.storage.save_block_list(&account, &list).map_err(broken)?;
        if let Some(online) = self.accounts.get_mut(&account) {
            online.block_list = Arc::new(list);
        }
        self.owe_until(debt, ticket);
        self.reply_when_durable(id, stanza, ticket);
        self.push_block_list(
            &account,
            &match &request {
                BlockingRequest::Block(_) => roster::block_push(&changed),
                BlockingRequest::Unblock(_) => roster::unblock_push(Some(&changed)),
                BlockingRequest::UnblockAll => roster::unblock_push(None),
            },
        );
        if !blocking {
            // XEP-0191 §3.4.
            self.for_watchers(&account, &changed, Router::show_presence_of);
        }
        Ok(())
    }

    /// Those among the addresses, or of the domains among them, that are contacts who see the account's presence.
    fn for_watchers(
        &mut self,
        account: &BareJid,
        addresses: &BTreeSet<Jid>,
        act: fn(&mut Router<S>, &BareJid, &BareJid),
    ) {
        let mut contacts: BTreeSet<BareJid> = addresses.iter().map(|address| address.bare().clone()).collect();
        if addresses.iter().any(|address| address.localpart().is_none()) {
            let entries = self.storage.roster(account).map(|roster| roster.entries).unwrap_or_default();
            let meant = |contact: &BareJid| addresses.contains(&Jid::Bare(contact.to_domain()));
            contacts.extend(entries.into_iter().map(|(contact, _)| contact).filter(meant));
        }
        for contact in contacts {
            let watches = self.storage.entry(account, &contact).is_ok_and(|e| e.subscription().seen_by_contact());
            if watches {
                act(self, account, &contact);
            }
        }
    }

    /// Who was sent presence directly and is blocked now sees the resource go, while that still may pass. RFC 6121 §4.6.
    fn take_directed_back(&mut self, account: &BareJid, blocked: &BTreeSet<Jid>) {
        let blocked = BlockList { blocked: blocked.clone() };
        let sessions = self.accounts.get(account).map(|online| online.sessions.clone()).unwrap_or_default();
        for id in sessions {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            let told: Vec<Jid> = session.directed.iter().filter(|to| blocked.blocks(to)).cloned().collect();
            session.directed.retain(|to| !told.contains(to));
            let from = Jid::Full(session.jid.clone());
            for to in told {
                let kind = Kind::Presence(PresenceType::Unavailable);
                self.route(Stanza::build(kind, Some(from.clone()), Some(to), None), None);
            }
        }
    }

    fn push_block_list(&mut self, account: &BareJid, payload: &Element) {
        let sessions = self.accounts.get(account).map(|online| online.sessions.clone()).unwrap_or_default();
        for id in sessions {
            let Some(session) = self.sessions.get(&id).filter(|s| s.wants_block_list) else { continue };
            let number = format!("block-{}", session.sent);
            let to = Some(Jid::Full(session.jid.clone()));
            let push = Stanza::build(Kind::Iq(IqType::Set), Some(Jid::Bare(account.clone())), to, Some(&number))
                .with_child(payload.clone());
            self.send(id, push.to_text().into(), Cargo::Other);
        }
    }

    fn block_list_of(&self, account: &BareJid) -> Arc<BlockList> {
        match self.accounts.get(account) {
            Some(online) => online.block_list.clone(),
            None => Arc::new(self.storage.block_list(account).unwrap_or_else(|fault| {
                log::error!("a block list cannot be read: {fault}");
                BlockList::default()
            })),
        }
    }

    /// Does the account block the other? Nobody can block himself.
    pub(super) fn blocks(&self, account: &BareJid, other: &Jid) -> bool {
        account.localpart().is_some()
            && other.bare() != account
            && *other != Jid::Bare(self.domain.clone())
            && self.block_list_of(account).blocks(other)
    }

    /// A user writes to somebody he blocks. XEP-0191 §3.3 has an error for requests; the rest vanishes, as Kontalk's clients
    /// are used to.
    pub(super) fn outgoing_to_blocked(&mut self, stanza: &Stanza) {
        if stanza.is_request() {
            let error = StanzaError::new(StanzaCondition::NotAcceptable)
                .application(Element::new("blocked", ns::BLOCKING_ERRORS));
            self.bounce(stanza, error);
        }
    }
}
