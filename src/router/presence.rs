//! Presence: who is told that a resource comes, changes or goes. RFC 6121 §4.

use std::sync::Arc;

use super::ledger::Debt;
use super::session::{Cargo, SessionId};
use super::stamps::with_delay;
use super::stream_management::reread;
use super::{Router, Storage};
use crate::jid::{BareJid, FullJid, Jid};
use crate::limits;
use crate::roster::Entry;
use crate::stanza::{Kind, PresenceType, Stanza, delay};
use crate::xml::escape_attribute;

impl<S: Storage> Router<S> {
    pub(super) fn presence_from_client(
        &mut self,
        id: SessionId,
        stanza: Stanza,
        kind: PresenceType,
        debt: Option<Debt>,
    ) {
        match (kind, stanza.to().cloned()) {
            (PresenceType::Available, None) => self.comes_or_changes(id, stanza),
            (PresenceType::Unavailable, None) => self.goes(id, stanza),
            (PresenceType::Available | PresenceType::Unavailable, Some(to)) => self.directed(id, stanza, to, kind),
            (
                PresenceType::Subscribe
                | PresenceType::Subscribed
                | PresenceType::Unsubscribe
                | PresenceType::Unsubscribed,
                Some(to),
            ) => self.subscription_from_client(id, stanza, to.bare(), kind, debt),
            // RFC 6121 §4.3: probes are the server's business. An error or a subscription without address says nothing.
            (PresenceType::Probe | PresenceType::Error, _) | (_, None) => {}
        }
    }

    /// RFC 6121 §4.2 and §4.4.
    pub(super) fn comes_or_changes(&mut self, id: SessionId, mut stanza: Stanza) {
        let Some(jid) = self.sessions.get(&id).map(|session| session.jid.clone()) else { return };
        self.mark_with_fingerprint(&mut stanza, jid.bare());
        self.mark_visitor(&mut stanza, jid.bare());
        self.stamp_avatar(jid.bare(), &mut stanza);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let former = session.presence.take();
        let initial = former.is_none();
        session.priority = stanza.priority();
        session.presence = Some(stanza.to_text().into());
        let gives_offline = session.priority >= 0 && !session.offline_given;
        session.offline_given |= gives_offline;
        let entries = self.roster_entries(jid.bare());
        self.broadcast(&jid, &stanza, &entries);
        if initial {
            self.show_others_to(id, &jid, &entries);
            self.give_requests(id, &entries);
        }
        if gives_offline {
            self.give_offline(id, None);
        }
        self.tell_of_arrival(id, &stanza, former.as_deref());
    }

    /// RFC 6121 §4.5.
    fn goes(&mut self, id: SessionId, stanza: Stanza) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let was_available = session.presence.take().is_some();
        let directed = std::mem::take(&mut session.directed);
        // What comes for the account from now on is stored; it is given out when the resource is available again.
        session.offline_given = false;
        let jid = session.jid.clone();
        if was_available {
            let entries = self.roster_entries(jid.bare());
            self.broadcast(&jid, &stanza, &entries);
        }
        for to in directed {
            self.send_presence(&stanza, to);
        }
    }

    /// The session ends: its unavailable presence is made for it. RFC 6121 §4.5.2.
    pub(super) fn broadcast_gone(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        if session.presence.is_none() && session.directed.is_empty() {
            return;
        }
        let from = Jid::Full(session.jid.clone());
        self.goes(id, Stanza::build(Kind::Presence(PresenceType::Unavailable), Some(from), None, None));
    }

    /// RFC 6121 §4.6: to somebody who need not be in the roster.
    fn directed(&mut self, id: SessionId, mut stanza: Stanza, to: Jid, kind: PresenceType) {
        if let Some(account) = stanza.from_bare().cloned().filter(|_| kind == PresenceType::Available) {
            self.stamp_avatar(&account, &mut stanza);
            self.mark_visitor(&mut stanza, &account);
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            if kind == PresenceType::Unavailable {
                session.directed.remove(&to);
            } else if session.directed.len() < limits::DIRECTED_PRESENCE_MAX {
                session.directed.insert(to.clone());
            }
        }
        self.route(stanza, None);
    }

    /// Presence that was refused needs not be taken back later.
    fn directed_in_vain(&mut self, resource: &Jid, refused_by: Option<&Jid>) {
        let session = resource.full().and_then(|full| self.session_of(full));
        if let (Some(session), Some(by)) = (session.and_then(|id| self.sessions.get_mut(&id)), refused_by) {
            session.directed.remove(by);
        }
    }

    /// To the contacts that may see it, and to the account's other resources.
    fn broadcast(&mut self, jid: &FullJid, stanza: &Stanza, entries: &[(BareJid, Entry)]) {
        for (contact, entry) in entries {
            if shares_presence(entry) && !self.blocks(jid.bare(), &Jid::Bare(contact.clone())) {
                self.send_presence(stanza, Jid::Bare(contact.clone()));
            }
        }
        self.send_presence(stanza, Jid::Bare(jid.bare().clone()));
    }

    fn send_presence(&mut self, stanza: &Stanza, to: Jid) {
        let mut copy = stanza.clone();
        copy.set_to(Some(to));
        self.route(copy, None);
    }

    /// Presence for an address of this domain. RFC 6121 §8.5.2.1.2, §8.5.3.
    pub(super) fn route_presence(&mut self, stanza: Stanza, to: &Jid, kind: PresenceType, debt: Option<Debt>) {
        let account = to.bare();
        if account.localpart().is_none() {
            return;
        }
        match kind {
            PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed => self.subscription_for(account, stanza, kind, debt),
            PresenceType::Probe => self.probed(account, &stanza),
            PresenceType::Available | PresenceType::Unavailable | PresenceType::Error => {
                if stanza.from().is_some_and(|from| self.blocks(account, from)) && kind != PresenceType::Unavailable {
                    return;
                }
                if kind == PresenceType::Error {
                    self.directed_in_vain(to, stanza.from());
                }
                let text: Arc<str> = stanza.to_text().into();
                for session in self.presence_receivers(to) {
                    self.send(session, text.clone(), Cargo::Presence);
                }
            }
        }
    }

    /// All available resources, also the one that sends (RFC 6121 §4.2.2), or the one that is meant.
    pub(super) fn presence_receivers(&self, to: &Jid) -> Vec<SessionId> {
        if let Jid::Full(full) = to {
            return self.session_of(full).into_iter().collect();
        }
        let Some(online) = self.accounts.get(to.bare()) else { return Vec::new() };
        let receives = |id: &SessionId| self.sessions.get(id).is_some_and(|s| s.presence.is_some());
        online.sessions.iter().copied().filter(receives).collect()
    }

    /// RFC 6121 §4.2.2, §4.3: what the new resource may see of others: its account's other resources, its contacts.
    fn show_others_to(&mut self, id: SessionId, jid: &FullJid, entries: &[(BareJid, Entry)]) {
        let me = jid.bare().clone();
        self.show_account(&me, jid, id);
        for (contact, entry) in entries {
            if self.blocks(&me, &Jid::Bare(contact.clone())) {
                continue;
            }
            if entry.pending_out() && !self.is_local(contact) {
                self.request_again(&me, contact);
            }
            if !entry.subscription().sees_contact() {
                continue;
            }
            if !self.is_local(contact) {
                let from = Some(Jid::Bare(me.clone()));
                let to = Some(Jid::Bare(contact.clone()));
                self.route(Stanza::build(Kind::Presence(PresenceType::Probe), from, to, None), None);
            } else if self.may_see(contact, &me) {
                self.show_account(contact, jid, id);
            }
        }
    }

    /// Sends one session the current presence of all resources of an account.
    fn show_account(&mut self, account: &BareJid, viewer: &FullJid, viewer_session: SessionId) {
        let Some(online) = self.accounts.get(account) else { return };
        let ids = online.sessions.clone();
        for other in ids.into_iter().filter(|other| *other != viewer_session) {
            let Some(presence) = self.sessions.get(&other).and_then(|s| s.presence.clone()) else { continue };
            self.send(viewer_session, addressed(&presence, &Jid::Full(viewer.clone())), Cargo::Presence);
        }
    }

    /// May `viewer` see the presence of `account`: is the subscription from or both, and nobody blocks?
    fn may_see(&self, account: &BareJid, viewer: &BareJid) -> bool {
        if self.blocks(account, &Jid::Bare(viewer.clone())) {
            return false;
        }
        self.storage.entry(account, viewer).is_ok_and(|entry| shares_presence(&entry))
    }

    /// A probe of another server. RFC 6121 §4.3.2.
    fn probed(&mut self, account: &BareJid, probe: &Stanza) {
        let Some(viewer) = probe.from().cloned() else { return };
        // XEP-0191 §3.3: whom the account blocks is not answered at all.
        if self.blocks(account, &viewer) {
            return;
        }
        let from = Some(Jid::Bare(account.clone()));
        if !self.may_see(account, viewer.bare()) {
            // RFC 6121 §4.3.2: an unsubscribed stranger learns nothing else, whether the account exists or not.
            let kind = Kind::Presence(PresenceType::Unsubscribed);
            return self.route(Stanza::build(kind, from, Some(viewer), None), None);
        }
        let sessions = self.accounts.get(account).map(|online| online.sessions.clone()).unwrap_or_default();
        let available: Vec<Stanza> = sessions.into_iter().filter_map(|session| self.presence_of(session)).collect();
        if available.is_empty() {
            // The other side may believe otherwise, if it missed how the last resource went.
            let kind = Kind::Presence(PresenceType::Unavailable);
            let mut gone = Stanza::build(kind, from, Some(viewer), None);
            // XEP-0203 §4: since when. Kontalk's clients take what has no date for now, and all contacts for just gone.
            if let Ok(Some(seen)) = self.storage.last_seen(account) {
                gone.element_mut().push(delay(&self.domain, seen));
            }
            return self.route(gone, None);
        }
        for presence in available {
            self.send_presence(&presence, viewer.clone());
        }
    }

    /// Sends an account's presence to somebody who may see it from now on. RFC 6121 §3.1.6.
    pub(super) fn show_presence_of(&mut self, account: &BareJid, viewer: &BareJid) {
        let sessions = self.accounts.get(account).map(|online| online.sessions.clone()).unwrap_or_default();
        for session in sessions {
            if let Some(presence) = self.presence_of(session) {
                self.send_presence(&presence, Jid::Bare(viewer.clone()));
            }
        }
    }

    fn presence_of(&self, id: SessionId) -> Option<Stanza> {
        reread(self.sessions.get(&id)?.presence.as_deref()?)
    }

    /// Takes an account's presence away from somebody who may not see it any more. RFC 6121 §3.2.1, §3.3.3.
    pub(super) fn hide_presence_of(&mut self, account: &BareJid, viewer: &BareJid) {
        let sessions = self.accounts.get(account).map(|online| online.sessions.clone()).unwrap_or_default();
        for session in sessions {
            let Some(session) = self.sessions.get(&session).filter(|s| s.presence.is_some()) else { continue };
            let from = Some(Jid::Full(session.jid.clone()));
            let gone = Stanza::build(Kind::Presence(PresenceType::Unavailable), from, None, None);
            self.send_presence(&gone, Jid::Bare(viewer.clone()));
        }
    }

    /// The subscription requests that wait for the user, with the moment they came. RFC 6121 §3.1.3.
    fn give_requests(&mut self, id: SessionId, entries: &[(BareJid, Entry)]) {
        for request in entries.iter().filter_map(|(_, entry)| entry.request.as_ref()) {
            let text = with_delay(&request.stanza, &self.domain, request.stamp);
            self.send(id, text.into(), Cargo::Other);
        }
    }

    fn roster_entries(&self, account: &BareJid) -> Vec<(BareJid, Entry)> {
        match self.storage.roster(account) {
            Ok(roster) => roster.entries,
            Err(fault) => {
                log::error!("a roster cannot be read, presence is not sent: {fault}");
                Vec::new()
            }
        }
    }
}

/// Presence that was broadcast, for one viewer.
fn addressed(presence: &str, to: &Jid) -> Arc<str> {
    let mut text = String::with_capacity(presence.len() + 80);
    text.push_str("<presence to='");
    escape_attribute(&to.to_string(), &mut text);
    text.push('\'');
    text.push_str(presence.strip_prefix("<presence").unwrap_or_default());
    text.into()
}

/// Does the contact see the account's presence?
fn shares_presence(entry: &Entry) -> bool {
    entry.subscription().seen_by_contact()
}
