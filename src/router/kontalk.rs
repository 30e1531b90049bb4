//! Kontalk's additions to routing: keys in presence, and messages to a group in one stanza.
//!
//! A user's presence tells the fingerprint of his key, so that contacts notice a new one; a subscription request brings the
//! key itself. What a client puts in there by itself is replaced: clients that accept automatically take such a key as verified.
//!
//! XEP-0033 at `multicast@DOMAIN` and at `DOMAIN`: a copy for each `to`, `cc` and `bcc`, each with the promise of any message. Only our
//! own users may use it. What a copy shows depends on what the sender says: with nothing but `to`, as Kontalk's groups have it, no list,
//! for the original server took it out and the group's members know each other; with any other type those that XEP-0033 wants to be seen.
//! Limits: [`RECEIVERS_MAX`] a stanza.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::ledger::Debt;
use super::{Router, Storage};
use crate::jid::{BareJid, Jid};
use crate::stanza::{Stanza, StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

impl<S: Storage> Router<S> {
    /// Presence that an account broadcasts: with its key's fingerprint, if it has a key.
    pub(super) fn mark_with_fingerprint(&self, stanza: &mut Stanza, account: &BareJid) {
        strip_keys(stanza);
        if let Ok(Some(fingerprint)) = self.storage.key_fingerprint(account) {
            let print = Element::new("print", ns::KONTALK_PUBKEY).with_text(&fingerprint);
            stanza.element_mut().push(Element::new("pubkey", ns::KONTALK_PUBKEY).with_child(print));
        }
    }

    /// Presence of somebody who is here from another node: with his address at home. Nobody else says so.
    pub(super) fn mark_visitor(&self, stanza: &mut Stanza, account: &BareJid) {
        stanza.element_mut().retain_children(|child| !child.is("visitor", ns::KONTALK_NET));
        if let Ok(Some(home)) = self.storage.visitor_home(account) {
            stanza.element_mut().push(Element::new("visitor", ns::KONTALK_NET).with("home", home.as_str()));
        }
    }

    /// A subscription request of somebody elsewhere: his own node adds his key. Others could claim any key.
    pub(super) fn keep_key_of_node(&self, stanza: &mut Stanza, sender: &BareJid) {
        let domain = BareJid::domain(sender.domainpart());
        if !domain.is_ok_and(|domain| self.storage.trusts_node(&domain)) {
            strip_keys(stanza);
        }
    }

    /// A subscription request of an account of ours: with its key, if it has one.
    pub(super) fn enclose_key(&self, stanza: &mut Stanza, sender: &BareJid) {
        strip_keys(stanza);
        if let (Ok(Some(fingerprint)), Ok(Some(ring))) =
            (self.storage.key_fingerprint(sender), self.storage.key_ring(sender))
        {
            let key = Element::new("key", ns::KONTALK_PUBKEY).with_text(&STANDARD.encode(ring));
            let print = Element::new("print", ns::KONTALK_PUBKEY).with_text(&fingerprint);
            let pubkey = Element::new("pubkey", ns::KONTALK_PUBKEY).with_child(key).with_child(print);
            stanza.element_mut().push(pubkey);
        }
    }

    /// Is the message for several, and from one of ours?
    pub(super) fn is_multicast(&self, stanza: &Stanza, to: &Jid) -> bool {
        let place = to.domainpart() == self.domain.domainpart() && matches!(to.localpart(), None | Some(MULTICAST));
        place && stanza.element().child("addresses", ns::ADDRESS).is_some()
    }

    /// A copy for each receiver. XEP-0033 §2.2, §4.
    pub(super) fn multicast(&mut self, mut stanza: Stanza, debt: Option<Debt>) {
        let Some(from) = stanza.from().cloned() else { return };
        let ours = from.domainpart() == self.domain.domainpart() && from.full().is_some();
        let list = stanza.element().child("addresses", ns::ADDRESS).cloned();
        let receivers = |list: &Element| list.children().filter_map(receiver).collect();
        let addresses: Vec<Jid> = list.as_ref().map_or(Vec::new(), receivers);
        if !ours {
            // XEP-0033 §7: no relay for strangers.
            return self.bounce(&stanza, StanzaError::new(StanzaCondition::Forbidden));
        }
        if addresses.len() > RECEIVERS_MAX {
            let error = StanzaError::new(StanzaCondition::NotAcceptable).text("too many receivers for one message");
            return self.bounce(&stanza, error);
        }
        stanza.element_mut().retain_children(|child| !child.is("addresses", ns::ADDRESS));
        if let Some(shown) = list.and_then(shown) {
            stanza.element_mut().push(shown);
        }
        let mut told = BTreeSet::new();
        for to in addresses {
            let nested = matches!(to.localpart(), None | Some(MULTICAST));
            if nested || !told.insert(to.clone()) || self.blocks(from.bare(), &to) {
                continue;
            }
            let mut copy = stanza.clone();
            copy.set_to(Some(to));
            if copy.to().is_some_and(|to| to.bare() != from.bare()) {
                self.note_sent(from.bare(), &copy, debt);
            }
            self.route(copy, debt);
        }
    }
}

fn receiver(address: &Element) -> Option<Jid> {
    let kind = address.attribute("type").filter(|_| address.is("address", ns::ADDRESS))?;
    // XEP-0033 §4.3: who is marked so has it already.
    let counts = matches!(kind, "to" | "cc" | "bcc") && !is_delivered(address);
    address.attribute("jid").filter(|_| counts)?.parse().ok()
}

fn is_delivered(address: &Element) -> bool {
    matches!(address.attribute("delivered"), Some("true" | "1"))
}

/// The list as receivers see it; `None`: not at all.
fn shown(mut list: Element) -> Option<Element> {
    let is_kontalks = list.children().all(|address| address.attribute("type") == Some("to") && !is_delivered(address));
    if is_kontalks {
        return None;
    }
    // XEP-0033 §4.4: nobody learns of blind copies.
    list.retain_children(|address| address.attribute("type") != Some("bcc"));
    list.each_child(|address| {
        if matches!(address.attribute("type"), Some("to" | "cc")) {
            // Every receiver has a copy from us; no other server is to make more.
            address.set_attribute("delivered", "true");
        }
    });
    let is_empty = list.first_child().is_none();
    if is_empty { None } else { Some(list) }
}

fn strip_keys(stanza: &mut Stanza) {
    stanza.element_mut().retain_children(|child| child.namespace() != ns::KONTALK_PUBKEY);
}

/// The service's name before the @, hard-wired in Kontalk for Android.
const MULTICAST: &str = "multicast";
/// Receivers of one message; Kontalk's groups are small, and each receiver costs a delivery.
const RECEIVERS_MAX: usize = 200;
