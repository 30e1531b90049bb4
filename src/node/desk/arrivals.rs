//! Who comes is told what he missed: the last item of each node that he wants to hear of and may read. XEP-0163 §4.3.4. What he
//! wants, his client is asked if its capabilities are new. XEP-0115.

use std::time::Instant;

use super::Desk;
use crate::caps::{Caps, Wishes};
use crate::jid::{BareJid, FullJid, Jid};
use crate::limits;
use crate::pubsub::{self, SendLast};
use crate::router::{Router, Storage, Watcher};
use crate::stanza::Stanza;
use crate::store::{Store, StoreError};

/// What one resource may be sent in one go; it must fit its outbox.
struct Allowance {
    messages: usize,
    bytes: usize,
}

impl Desk {
    /// A resource came, or its capabilities changed.
    pub(in crate::node) fn arrived(&mut self, watcher: &Watcher) -> Vec<Stanza> {
        let caps = watcher.read_presence().and_then(|presence| Caps::of(&presence));
        let Some(caps) = caps else { return Vec::new() };
        match self.caps.wishes(&watcher.jid, &caps) {
            Some(wishes) => self.last_items(&watcher.jid, &wishes),
            None => self.caps.ask(&self.domain, &watcher.jid, caps).into_iter().collect(),
        }
    }

    /// A client answered a question of the node.
    pub(in crate::node) fn replied(&mut self, answer: &Stanza, router: &Router<Store>) -> Vec<Stanza> {
        if self.abroad.answered(Instant::now(), answer) {
            return Vec::new();
        }
        if self.gossip_answered(answer) {
            return Vec::new();
        }
        let Some((client, wishes)) = self.caps.answered(answer) else {
            self.push_answered(answer);
            return Vec::new();
        };
        let there = router.available(client.bare()).iter().any(|watcher| watcher.jid == client);
        if there { self.last_items(&client, &wishes) } else { Vec::new() }
    }

    /// Somebody sees an account's presence from now on.
    pub(in crate::node) fn now_sees(&self, router: &Router<Store>, viewer: &BareJid, account: &BareJid) -> Vec<Stanza> {
        let mut items = Vec::new();
        let mut allowance = Allowance::new();
        for watcher in router.available(viewer) {
            let caps = watcher.read_presence().and_then(|presence| Caps::of(&presence));
            if let Some(wishes) = caps.and_then(|caps| self.caps.wishes(&watcher.jid, &caps)) {
                self.last_items_of(account, &watcher.jid, &wishes, &mut allowance, &mut items).unwrap_or_else(broken);
            }
        }
        items
    }

    /// Of the client's own account first, then of those whose presence it sees.
    fn last_items(&self, client: &FullJid, wishes: &Wishes) -> Vec<Stanza> {
        let mut items = Vec::new();
        if wishes.is_empty() {
            return items;
        }
        let mut allowance = Allowance::new();
        self.last_items_of(client.bare(), client, wishes, &mut allowance, &mut items).unwrap_or_else(broken);
        let roster = self.store.roster(client.bare()).map(|roster| roster.entries).unwrap_or_default();
        for (contact, entry) in roster {
            if entry.subscription().sees_contact() && contact.domainpart() == self.domain.domainpart() {
                self.last_items_of(&contact, client, wishes, &mut allowance, &mut items).unwrap_or_else(broken);
            }
        }
        items
    }

    fn last_items_of(
        &self,
        account: &BareJid,
        client: &FullJid,
        wishes: &Wishes,
        allowance: &mut Allowance,
        items: &mut Vec<Stanza>,
    ) -> Result<(), StoreError> {
        if !self.store.has_pep(account)? || !self.sees(client, account) {
            return Ok(());
        }
        for name in wishes.nodes() {
            let Some(node) = self.store.pep_node(account, name)? else { continue };
            let sent = node.config.send_last == SendLast::OnSubAndPresence && node.config.deliver_notifications;
            if !sent || !self.may_read(account, &node, client.bare()) {
                continue;
            }
            let Some(item) = self.store.pep_last_item(account, name)? else { continue };
            if !allowance.take(item.payload.len()) {
                log::debug!("{} has more to hear of than it can be sent at once", client.bare().for_log());
                return Ok(());
            }
            let event = pubsub::item_event(name, &node.config, &item);
            items.push(pubsub::notification(account, client, event, Some(item.published)));
        }
        Ok(())
    }

    /// Does the client's account see the other's presence, as the other has it? Nobody who is blocked does.
    fn sees(&self, client: &FullJid, account: &BareJid) -> bool {
        if client.bare() == account {
            return true;
        }
        let shown = self.store.entry(account, client.bare()).is_ok_and(|entry| entry.subscription().seen_by_contact());
        shown && self.store.block_list(account).is_ok_and(|list| !list.blocks(&Jid::Full(client.clone())))
    }
}

impl Allowance {
    fn new() -> Allowance {
        Allowance { messages: limits::LAST_ITEMS_MAX, bytes: limits::LAST_ITEMS_BYTES_MAX }
    }

    fn take(&mut self, bytes: usize) -> bool {
        if self.messages == 0 || self.bytes < bytes {
            return false;
        }
        self.messages -= 1;
        self.bytes -= bytes;
        true
    }
}

fn broken(error: StoreError) {
    log::error!("last items cannot be read: {error}");
}
