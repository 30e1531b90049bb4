//! Roster gets, sets and pushes. RFC 6121 §2.

use std::sync::Arc;

use super::ledger::{Debt, WhenDurable};
use super::session::{Cargo, SessionId};
use super::{Router, Storage, StorageFault, Ticket};
use crate::jid::{BareJid, Jid};
use crate::roster::{self, Entry, Removal, Roster, RosterSet};
use crate::stanza::{IqType, Kind, PresenceType, Stanza, StanzaCondition, StanzaError};

impl<S: Storage> Router<S> {
    pub(super) fn roster_iq(&mut self, id: SessionId, stanza: &Stanza, debt: Option<Debt>) {
        let outcome = match stanza.kind() {
            Kind::Iq(IqType::Get) => self.roster_get(id, stanza),
            _ => self.roster_set(id, stanza, debt),
        };
        if let Err(error) = outcome {
            self.bounce(stanza, error);
        }
    }

    /// RFC 6121 §2.2, §2.6.3.
    fn roster_get(&mut self, id: SessionId, stanza: &Stanza) -> Result<(), StanzaError> {
        let (Some(session), Some(query)) = (self.sessions.get_mut(&id), stanza.payload()) else { return Ok(()) };
        session.wants_roster = true;
        let account = session.jid.bare().clone();
        let roster = self.storage.roster(&account).map_err(broken)?;
        let mut result = stanza.result();
        if let Some(payload) = roster::result(&roster, roster::requested_version(query)) {
            result = result.with_child(payload);
        }
        self.send(id, result.to_text().into(), Cargo::Other);
        Ok(())
    }

    /// RFC 6121 §2.3-2.5. The result goes out when the change is durable; it is a promise.
    fn roster_set(&mut self, id: SessionId, stanza: &Stanza, debt: Option<Debt>) -> Result<(), StanzaError> {
        let Some(account) = self.sessions.get(&id).map(|s| s.jid.bare().clone()) else { return Ok(()) };
        let query = stanza.payload().ok_or_else(|| StanzaError::new(StanzaCondition::BadRequest))?;
        let set = RosterSet::read(query, &account)?;
        let roster: Roster = self.storage.roster(&account).map_err(broken)?;
        let contact = set.contact().clone();
        let items = roster.entries.iter().filter(|(_, entry)| entry.item.is_some()).count();
        let before = self.storage.entry(&account, &contact).map_err(broken)?;
        let after = set.apply(&before, items)?;
        if let RosterSet::Remove { .. } = set {
            self.say_goodbye(&account, &contact, roster::remove(&before), debt);
            if before.subscription().seen_by_contact() {
                self.hide_presence_of(&account, &contact);
            }
        }
        let ticket = self.save_entry(&account, &contact, &after, true, debt).map_err(broken)?;
        self.reply_when_durable(id, stanza, ticket);
        Ok(())
    }

    /// RFC 6121 §2.5.2: a removed contact is unsubscribed from and loses its own subscription.
    pub(super) fn say_goodbye(&mut self, account: &BareJid, contact: &BareJid, owed: Removal, debt: Option<Debt>) {
        let kinds = [(owed.unsubscribe, PresenceType::Unsubscribe), (owed.unsubscribed, PresenceType::Unsubscribed)];
        for (_, kind) in kinds.into_iter().filter(|(owed, _)| *owed) {
            let (from, to) = (Jid::Bare(account.clone()), Jid::Bare(contact.clone()));
            self.route(Stanza::build(Kind::Presence(kind), Some(from), Some(to), None), debt);
        }
    }

    /// Sends the empty result of an iq set once its ticket is durable.
    pub(super) fn reply_when_durable(&mut self, id: SessionId, stanza: &Stanza, ticket: Ticket) {
        let text: Arc<str> = stanza.result().to_text().into();
        self.when_durable(ticket, WhenDurable::Send(id, text));
    }

    /// RFC 6121 §2.1.6: to all interested resources.
    pub(super) fn push_roster(&mut self, account: &BareJid, contact: &BareJid, entry: &Entry, version: u64) {
        let sessions = self.accounts.get(account).map(|online| online.sessions.clone()).unwrap_or_default();
        for id in sessions {
            let Some(session) = self.sessions.get(&id).filter(|s| s.wants_roster) else { continue };
            let to = Some(Jid::Full(session.jid.clone()));
            let number = format!("push-{version}");
            let push = Stanza::build(Kind::Iq(IqType::Set), Some(Jid::Bare(account.clone())), to, Some(&number))
                .with_child(roster::push(contact, entry, version));
            self.send(id, push.to_text().into(), Cargo::Other);
        }
    }
}

pub(super) fn broken(_: StorageFault) -> StanzaError {
    StanzaError::new(StanzaCondition::InternalServerError)
}
