//! Personal eventing: requests to an account's nodes, and who is told. XEP-0060, XEP-0163. The decisions are in [`crate::pubsub`].

use std::sync::Arc;

use super::{Desk, Handled, Request};
use crate::caps::Caps;
use crate::jid::{BareJid, Jid};
use crate::limits;
use crate::node::random::random_id;
use crate::pubsub::{
    self, AVATAR_DATA, AVATAR_METADATA, AccessModel, Affiliation, Asker, Audience, Item, Node, Options, Publish,
    Refusal, check_access, hide_from, publish_to,
};
use crate::router::{Event, Router, Storage, Ticket};
use crate::services::Addressee;
use crate::stanza::{IqType, Kind, Stanza, Timestamp};
use crate::store::{PepChange, Store, StoreError};
use crate::xml::{Element, ns};

/// The service: `None` for what is no request to an account's nodes.
pub(super) fn pubsub(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let payload = request.stanza.payload().filter(|payload| pubsub::Request::is_one(payload))?;
    let account = request.stanza.to().map(Jid::bare).filter(|_| !is_nodes_own(request.addressee))?;
    let outcome = Errand { asker: desk.asker(account, request), account, desk, request }.run(payload);
    Some(outcome.unwrap_or_else(|refusal| Handled::now(request.stanza.error(&refusal.to_error()))))
}

/// Neither the domain nor its own services are accounts.
fn is_nodes_own(addressee: Addressee) -> bool {
    matches!(addressee, Addressee::Domain | Addressee::Component)
}

/// One request to the nodes of one account.
struct Errand<'a> {
    desk: &'a mut Desk,
    request: &'a Request<'a>,
    account: &'a BareJid,
    asker: Asker,
}

impl Errand<'_> {
    fn run(mut self, payload: &Element) -> Result<Handled, Refusal> {
        let set = self.request.stanza.kind() == Kind::Iq(IqType::Set);
        let wanted = pubsub::Request::read(payload, set)?;
        if wanted.is_owners() && !self.asker.owner {
            return Err(Refusal::Forbidden);
        }
        match wanted {
            pubsub::Request::Items { node, ids, max } => self.items(&node, &ids, max),
            pubsub::Request::Publish(publish) => self.publish(publish),
            pubsub::Request::Retract { node, id, notify } => self.retract(&node, &id, notify),
            pubsub::Request::Create { node, options } => self.create(&node, options.as_ref()),
            pubsub::Request::Configuration { node } => {
                let config = self.node(&node)?.config;
                Ok(self.answer(pubsub::configuration(&node, &config)))
            }
            pubsub::Request::Configure { node, options } => self.configure(&node, options.as_ref()),
            pubsub::Request::DefaultConfiguration => Ok(self.answer(pubsub::default_configuration())),
            pubsub::Request::Delete { node } => self.delete(&node),
            pubsub::Request::Purge { node } => self.purge(&node),
            pubsub::Request::Affiliations { node } => {
                let found = self.node(&node)?;
                Ok(self.answer(pubsub::affiliations(&node, self.account, &found)))
            }
            pubsub::Request::SetAffiliations { node, changes } => {
                let mut found = self.node(&node)?;
                for (jid, affiliation) in changes {
                    change_affiliation(&mut found, jid, affiliation)?;
                }
                let ticket = self.change(&[PepChange::Save(&node, &found)])?;
                Ok(self.done(ticket, Vec::new()))
            }
        }
    }

    /// XEP-0060 §6.5.
    fn items(&self, name: &str, ids: &[String], max: Option<u32>) -> Result<Handled, Refusal> {
        let node = self.node(name).map_err(|refusal| hide_from(&self.asker, refusal))?;
        check_access(&node, &self.asker).map_err(|refusal| hide_from(&self.asker, refusal))?;
        let store = &self.desk.store;
        let items = if ids.is_empty() {
            let max = max.unwrap_or(u32::MAX).min(limits::PEP_ITEMS_PER_NODE_MAX);
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            store.pep_items(self.account, name, max, limits::PEP_REPLY_BYTES_MAX).map_err(refusal)?
        } else {
            let mut found: Vec<Item> = Vec::new();
            let mut bytes = 0;
            for id in ids {
                // As much as fits one answer; a client could name the same large item a thousand times.
                if bytes > limits::PEP_REPLY_BYTES_MAX {
                    break;
                }
                let item = store.pep_item(self.account, name, id).map_err(refusal)?;
                bytes += item.as_ref().map_or(0, |item| item.payload.len());
                found.extend(item);
            }
            // §6.5.9.11.
            if found.is_empty() {
                return Err(Refusal::NoItem);
            }
            found
        };
        Ok(self.answer(pubsub::items(name, &items)))
    }

    /// XEP-0060 §7.1.
    fn publish(&mut self, publish: Publish) -> Result<Handled, Refusal> {
        let Publish { node: name, id, payload, options } = publish;
        let existing = self.desk.store.pep_node(self.account, &name).map_err(refusal)?;
        let node = publish_to(existing.as_ref(), options.as_ref())?;
        // XEP-0060 §7.1.2: an item without a name gets one.
        let id = id.unwrap_or_else(random_id);
        let item = Item { id, published: self.request.now, payload: payload.to_text(ns::CLIENT) };
        let ticket = match &existing {
            // Nothing is kept: nothing to write.
            Some(_) if node.config.items_max() == 0 => None,
            _ => Some(self.change(&[PepChange::Publish(&name, &node, &item)])?),
        };
        let event = pubsub::item_event(&name, &node.config, &item);
        let told = self.desk.notifications(self.request.router, self.account, &name, &node, &event);
        self.avatar_may_have_changed(&name);
        let mut handled = self.answer(pubsub::published(&name, &item.id));
        handled.stanzas.extend(told);
        handled.after = ticket;
        Ok(handled)
    }

    /// XEP-0060 §7.2.
    fn retract(&mut self, name: &str, id: &str, notify: bool) -> Result<Handled, Refusal> {
        let node = self.node(name)?;
        if self.desk.store.pep_item(self.account, name, id).map_err(refusal)?.is_none() {
            return Err(Refusal::NoItem);
        }
        let ticket = self.change(&[PepChange::Retract(name, id)])?;
        let told = self.told(notify || node.config.notify_retract, name, &node, || pubsub::retract_event(name, id));
        self.avatar_may_have_changed(name);
        Ok(self.done(ticket, told))
    }

    /// XEP-0060 §8.1.
    fn create(&mut self, name: &str, options: Option<&Options>) -> Result<Handled, Refusal> {
        if self.desk.store.pep_node(self.account, name).map_err(refusal)?.is_some() {
            return Err(Refusal::NodeExists);
        }
        let node = publish_to(None, options)?;
        let ticket = self.change(&[PepChange::Save(name, &node)])?;
        Ok(self.done(ticket, Vec::new()))
    }

    /// XEP-0060 §8.2.
    fn configure(&mut self, name: &str, options: Option<&Options>) -> Result<Handled, Refusal> {
        let mut node = self.node(name)?;
        let Some(options) = options else {
            return Ok(Handled::now(Some(self.request.stanza.result())));
        };
        node.config = options.apply(&node.config)?;
        let ticket = self.change(&[PepChange::Save(name, &node)])?;
        let event = || pubsub::configuration_event(name, &node.config);
        let told = self.told(node.config.notify_config, name, &node, event);
        self.avatar_may_have_changed(name);
        Ok(self.done(ticket, told))
    }

    /// XEP-0060 §8.4.
    fn delete(&mut self, name: &str) -> Result<Handled, Refusal> {
        let node = self.node(name)?;
        let ticket = self.change(&[PepChange::Delete(name)])?;
        let told = self.told(node.config.notify_delete, name, &node, || pubsub::delete_event(name));
        self.avatar_may_have_changed(name);
        Ok(self.done(ticket, told))
    }

    /// XEP-0060 §8.5.
    fn purge(&mut self, name: &str) -> Result<Handled, Refusal> {
        let node = self.node(name)?;
        let ticket = self.change(&[PepChange::Purge(name)])?;
        let told = self.told(node.config.notify_retract, name, &node, || pubsub::purge_event(name));
        self.avatar_may_have_changed(name);
        Ok(self.done(ticket, told))
    }

    fn told(&mut self, wanted: bool, name: &str, node: &Node, event: impl FnOnce() -> Element) -> Vec<Stanza> {
        if !wanted {
            return Vec::new();
        }
        self.desk.notifications(self.request.router, self.account, name, node, &event())
    }

    fn avatar_may_have_changed(&mut self, name: &str) {
        if matches!(name, AVATAR_DATA | AVATAR_METADATA) {
            self.desk.avatar_may_have_changed(self.account);
        }
    }

    fn node(&self, name: &str) -> Result<Node, Refusal> {
        if self.request.blocked {
            return Err(Refusal::NoNode);
        }
        self.desk.store.pep_node(self.account, name).map_err(refusal)?.ok_or(Refusal::NoNode)
    }

    fn change(&self, changes: &[PepChange<'_>]) -> Result<Ticket, Refusal> {
        self.desk.store.pep_change(self.account, changes).map_err(refusal)
    }

    fn answer(&self, payload: Element) -> Handled {
        Handled::now(Some(self.request.stanza.result().with_child(payload)))
    }

    /// An empty result, once it is safe.
    fn done(&self, ticket: Ticket, told: Vec<Stanza>) -> Handled {
        let stanzas = std::iter::once(self.request.stanza.result()).chain(told).collect();
        Handled { stanzas, after: Some(ticket), ..Handled::default() }
    }
}

impl Desk {
    /// The sender of a request, as the account's roster knows him.
    pub(super) fn asker(&self, account: &BareJid, request: &Request<'_>) -> Asker {
        let from = request.stanza.from_bare();
        let jid = from.map(BareJid::to_string).unwrap_or_default();
        match request.addressee {
            Addressee::OwnAccount => Asker { jid, owner: true, ..Asker::default() },
            Addressee::Contact | Addressee::Stranger if !request.blocked => {
                let groups = from.map(|from| self.groups(account, from)).unwrap_or_default();
                Asker { jid, owner: false, sees_presence: request.addressee == Addressee::Contact, groups }
            }
            _ => Asker { jid, ..Asker::default() },
        }
    }

    fn groups(&self, account: &BareJid, contact: &BareJid) -> Vec<String> {
        let entry = self.store.entry(account, contact).unwrap_or_default();
        entry.item.map(|item| item.groups).unwrap_or_default()
    }

    /// The messages that tell everybody who is there, wants to hear of the node (XEP-0163 §4.2) and may read it. Whose
    /// capabilities are not known, because he was there before the node was started, is asked, and told when he answers.
    pub(super) fn notifications(
        &mut self,
        router: &Router<Store>,
        account: &BareJid,
        name: &str,
        node: &Node,
        event: &Element,
    ) -> Vec<Stanza> {
        let mut stanzas = Vec::new();
        if !node.config.deliver_notifications {
            return stanzas;
        }
        let watchers = match Audience::of(node) {
            Audience::Own => router.available(account),
            Audience::Contacts => router.watchers(account),
        };
        for watcher in watchers {
            let Some(caps) = watcher.read_presence().and_then(|presence| Caps::of(&presence)) else { continue };
            match self.caps.wishes(&watcher.jid, &caps) {
                Some(wishes) if wishes.include(name) && self.may_read(account, node, watcher.jid.bare()) => {
                    stanzas.push(pubsub::notification(account, &watcher.jid, event.clone(), None));
                }
                Some(_) => {}
                None => stanzas.extend(self.caps.ask_meanwhile(&self.domain, &watcher.jid, caps)),
            }
        }
        stanzas
    }

    /// May an account that sees this one's presence, or is it, read the node?
    pub(super) fn may_read(&self, account: &BareJid, node: &Node, reader: &BareJid) -> bool {
        let groups = match node.config.access {
            AccessModel::Roster => self.groups(account, reader),
            _ => Vec::new(),
        };
        let asker = Asker { jid: reader.to_string(), owner: reader == account, sees_presence: true, groups };
        check_access(node, &asker).is_ok()
    }

    /// Presence tells of the account's picture. XEP-0398 §4.
    pub(super) fn avatar_may_have_changed(&mut self, account: &BareJid) {
        match self.store.avatar_hash(account) {
            Ok(hash) => {
                self.follow_up.push(Event::AvatarChanged { account: account.clone(), hash: hash.map(Arc::from) });
            }
            Err(fault) => log::error!("an account's picture cannot be read: {fault}"),
        }
    }
}

fn change_affiliation(node: &mut Node, jid: String, affiliation: Option<Affiliation>) -> Result<(), Refusal> {
    match affiliation {
        Some(affiliation) => node.affiliations.insert(jid, affiliation),
        None => node.affiliations.remove(&jid),
    };
    if node.affiliations.len() > limits::PEP_AFFILIATIONS_MAX { Err(Refusal::Full) } else { Ok(()) }
}

/// Why the store did not do it, in the words of this service.
pub(super) fn refusal(error: StoreError) -> Refusal {
    match error {
        StoreError::Full | StoreError::NoSpace => Refusal::Full,
        StoreError::TooLarge { .. } => Refusal::PayloadTooBig,
        StoreError::NoAccount => Refusal::NoNode,
        StoreError::Broken | StoreError::AccountExists | StoreError::Database(_) => Refusal::Broken,
    }
}

/// An item as the node itself publishes it.
pub(super) fn item(id: &str, payload: &Element, now: Timestamp) -> Item {
    Item { id: id.to_owned(), published: now, payload: payload.to_text(ns::CLIENT) }
}
