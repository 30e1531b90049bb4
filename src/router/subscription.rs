//! Subscription presence, out of and into accounts of this domain, and the roster pushes that follow. RFC 6121 §3.

use std::sync::Arc;

use super::ledger::{Debt, WhenDurable};
use super::session::{Cargo, SessionId};
use super::stamps::with_delay;
use super::{Action, Router, Storage, StorageFault, Ticket};
use crate::jid::{BareJid, Jid};
use crate::limits;
use crate::roster::{self, ContactSees, Entry, Removal, Request};
use crate::stanza::{Kind, PresenceType, Stanza, StanzaCondition, StanzaError};
use crate::xml::ns;

impl<S: Storage> Router<S> {
    /// The account of a session sends subscription presence.
    pub(super) fn subscription_from_client(
        &mut self,
        id: SessionId,
        mut stanza: Stanza,
        contact: &BareJid,
        kind: PresenceType,
        debt: Option<Debt>,
    ) {
        let Some(account) = self.sessions.get(&id).map(|s| s.jid.bare().clone()) else { return };
        if account == *contact {
            return;
        }
        let entry = match self.storage.entry(&account, contact) {
            Ok(entry) => entry,
            Err(fault) => return self.bounce_fault(&stanza, fault),
        };
        let outcome = roster::outbound(&entry, kind);
        if outcome.entry.item.is_some() && entry.item.is_none() && self.roster_is_full(&account) {
            let error = StanzaError::new(StanzaCondition::ResourceConstraint).text("the roster is full");
            return self.bounce(&stanza, error);
        }
        if outcome.changed
            && let Err(fault) = self.save_entry(&account, contact, &outcome.entry, outcome.push, debt)
        {
            return self.bounce_fault(&stanza, fault);
        }
        if outcome.route {
            // RFC 6121 §3.1.2: subscriptions are between accounts.
            stanza.set_from(Some(Jid::Bare(account.clone())));
            stanza.set_to(Some(Jid::Bare(contact.clone())));
            if kind == PresenceType::Subscribe && !self.is_local(contact) {
                self.enclose_key(&mut stanza, &account);
            }
            self.route(stanza, debt);
        }
        self.adjust_presence(&account, contact, outcome.contact_sees);
    }

    /// Subscription presence arrives for an account of this domain.
    pub(super) fn subscription_for(
        &mut self,
        account: &BareJid,
        mut stanza: Stanza,
        kind: PresenceType,
        debt: Option<Debt>,
    ) {
        let Some(contact) = stanza.from_bare().cloned().filter(|contact| contact != account) else { return };
        // RFC 6121 §8.5.1: for nobody it is ignored; for somebody who blocks the sender too.
        if !self.exists(account).unwrap_or(false) || self.blocks(account, &Jid::Bare(contact.clone())) {
            return;
        }
        let Ok(entry) = self.storage.entry(account, &contact) else { return };
        stanza.set_from(Some(Jid::Bare(contact.clone())));
        stanza.set_to(Some(Jid::Bare(account.clone())));
        if kind == PresenceType::Subscribe {
            match self.is_local(&contact) {
                true => self.enclose_key(&mut stanza, &contact),
                false => self.keep_key_of_node(&mut stanza, &contact),
            }
        }
        let text = stanza.to_text();
        let kept =
            if text.len() <= limits::PENDING_SUBSCRIPTION_BYTES_MAX { text.clone() } else { bare_request(&stanza) };
        let stamp = self.now.wall;
        let outcome = roster::inbound(&entry, kind, || Request { stanza: kept, stamp });
        if !entry.pending_in() && outcome.entry.pending_in() && self.requests_are_full(account) {
            return log::debug!("too many subscription requests wait for one account, one was dropped");
        }
        if outcome.changed && self.save_entry(account, &contact, &outcome.entry, outcome.push, debt).is_err() {
            return;
        }
        if outcome.deliver {
            self.deliver_subscription(account, kind, &text, debt);
        }
        if let Some(reply) = outcome.auto_reply {
            let (from, to) = (Jid::Bare(account.clone()), Jid::Bare(contact.clone()));
            self.route(Stanza::build(Kind::Presence(reply), Some(from), Some(to), None), None);
        }
        self.adjust_presence(account, &contact, outcome.contact_sees);
    }

    /// To the available resources. With none of them a request waits in the roster; an answer is stored, as Kontalk's clients
    /// expect it.
    fn deliver_subscription(&mut self, account: &BareJid, kind: PresenceType, text: &str, debt: Option<Debt>) {
        let receivers = self.presence_receivers(&Jid::Bare(account.clone()));
        let shared: Arc<str> = text.into();
        for session in &receivers {
            self.send(*session, shared.clone(), Cargo::Other);
        }
        if receivers.is_empty() && kind != PresenceType::Subscribe {
            let stamped = with_delay(text, &self.domain, self.now.wall);
            match self.storage.store_offline(account, &stamped, self.now.wall) {
                Ok((_, ticket)) => self.owe_until(debt, ticket),
                Err(fault) => log::debug!("a subscription answer is not kept: {fault}"),
            }
        }
    }

    fn adjust_presence(&mut self, account: &BareJid, contact: &BareJid, sees: ContactSees) {
        match sees {
            ContactSees::AsBefore => {}
            ContactSees::FromNow => {
                self.show_presence_of(account, contact);
                self.actions.push(Action::NowSees { viewer: contact.clone(), account: account.clone() });
            }
            ContactSees::NoMore => self.hide_presence_of(account, contact),
        }
    }

    /// Saves an entry, tells the interested resources, and owes its durability to the sender.
    pub(super) fn save_entry(
        &mut self,
        account: &BareJid,
        contact: &BareJid,
        entry: &Entry,
        push: bool,
        debt: Option<Debt>,
    ) -> Result<Ticket, StorageFault> {
        let (version, ticket) = self.storage.save_entry(account, contact, entry, push)?;
        self.owe_until(debt, ticket);
        if push {
            self.push_roster(account, contact, entry, version);
        }
        Ok(ticket)
    }

    /// One more debt, settled when the store is done.
    pub(super) fn owe_until(&mut self, debt: Option<Debt>, ticket: Ticket) {
        if let Some(debt) = debt {
            self.owe(Some(debt));
            self.when_durable(ticket, WhenDurable::Settle(debt));
        }
    }

    pub(super) fn roster_is_full(&self, account: &BareJid) -> bool {
        let items = |entries: &[(BareJid, Entry)]| entries.iter().filter(|(_, e)| e.item.is_some()).count();
        self.storage.roster(account).is_ok_and(|r| items(&r.entries) >= limits::ROSTER_ITEMS_MAX)
    }

    fn requests_are_full(&self, account: &BareJid) -> bool {
        let requests = |entries: &[(BareJid, Entry)]| entries.iter().filter(|(_, e)| e.pending_in()).count();
        self.storage.roster(account).is_ok_and(|r| requests(&r.entries) >= limits::PENDING_SUBSCRIPTIONS_MAX)
    }

    /// An account is gone or has a new owner: its contacts must not go on believing in the old subscriptions.
    pub(super) fn tell_account_ended(&mut self, account: &BareJid, farewells: &[(BareJid, Removal)]) {
        for (contact, owed) in farewells {
            self.say_goodbye(account, contact, *owed, None);
        }
    }
}

/// A request that is too long to keep, without what made it long.
fn bare_request(stanza: &Stanza) -> String {
    let mut bare = stanza.clone();
    bare.element_mut().retain_children(|child| child.is("status", ns::CLIENT) && child.text().len() < 512);
    bare.to_text()
}
