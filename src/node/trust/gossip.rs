//! What nodes tell each other of where nodes are. A reach is signed by the node it is about, so it may come from anybody; the newest
//! counts, and whoever learns of a newer one tells those that he trusts.
//!
//! `<push/>` (iq set) brings news. `<sync/>` (iq get) says which numbers the asker has; the answer brings what is newer, of those
//! nodes alone that were named. Both carry `<o t='reach' node='…'>`, the signed note in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::links::stanza_id;
use super::{Trust, TrustFault, lock};
use crate::jid::{BareJid, Jid};
use crate::limits::GOSSIP_NODES_MAX;
use crate::router::Ticket;
use crate::stanza::{IqType, Kind, Stanza};
use crate::store::PeerChange;
use crate::trust::{NOTE_BYTES_MAX, NodeDomain, ReachRefusal, SignedReach};
use crate::xml::{Element, ns};

impl Trust {
    /// A stanza that tells a partner where these nodes are, if they are any that we know of.
    pub(super) fn tidings(&self, to: &BareJid, nodes: &[&NodeDomain]) -> Option<Stanza> {
        let objects: Vec<Element> =
            nodes.iter().take(GOSSIP_NODES_MAX).filter_map(|node| self.object(node, 0)).collect();
        if objects.is_empty() {
            return None;
        }
        let mut push = Element::new("push", ns::KONTALK_NET);
        objects.into_iter().for_each(|object| push.push(object));
        Some(self.iq(IqType::Set, to, &stanza_id("push")).with_child(push))
    }

    /// A stanza that asks a partner what he has that is newer.
    pub(super) fn question(&self, to: &BareJid) -> Stanza {
        let mut sync = Element::new("sync", ns::KONTALK_NET);
        let known = self.store.peers().unwrap_or_default();
        for node in known.iter().map(|(node, _)| node).take(GOSSIP_NODES_MAX) {
            if let Ok(Some(pinned)) = self.pinned(node) {
                let seq = pinned.reach.map_or(0, |reach| reach.seq).to_string();
                sync.push(Element::new("have", ns::KONTALK_NET).with("node", node.as_str()).with("seq", seq));
            }
        }
        let id = stanza_id("sync");
        lock(&self.asked).insert(to.clone(), id.clone());
        self.iq(IqType::Get, to, &id).with_child(sync)
    }

    /// Is this the answer to the last question to its sender? Once.
    pub(in crate::node) fn was_asked(&self, answer: &Stanza) -> bool {
        let Some(Jid::Bare(from)) = answer.from() else { return false };
        let mut asked = lock(&self.asked);
        let is_it = asked.get(from).is_some_and(|id| answer.id() == Some(id));
        if is_it {
            asked.remove(from);
        }
        is_it
    }

    /// The answer to such a question.
    pub(in crate::node) fn newer_than(&self, question: &Element) -> Element {
        let mut answer = Element::new("sync", ns::KONTALK_NET);
        let asked = question.children().filter(|have| have.is("have", ns::KONTALK_NET));
        for have in asked.take(GOSSIP_NODES_MAX) {
            let node = have.attribute("node").and_then(|node| NodeDomain::parse(node).ok());
            let seq = have.attribute("seq").and_then(|seq| seq.parse().ok());
            if let (Some(node), Some(seq)) = (node, seq)
                && let Some(object) = self.object(&node, seq)
            {
                answer.push(object);
            }
        }
        answer
    }

    /// Takes what is newer of what another node tells. Gives the ticket of the last write. Takes the time of some signatures.
    pub(in crate::node) fn gossiped(&self, told: &Element) -> Option<Ticket> {
        let mut last = None;
        let objects = told.children().filter(|o| o.is("o", ns::KONTALK_NET) && o.attribute("t") == Some("reach"));
        for object in objects.take(GOSSIP_NODES_MAX) {
            let Some(node) = object.attribute("node").and_then(|node| NodeDomain::parse(node).ok()) else { continue };
            let text = object.text();
            let Some(note) = Some(text.trim()).filter(|text| text.len() <= NOTE_BYTES_MAX * 3 / 2) else { continue };
            let Ok(note) = STANDARD.decode(note) else { continue };
            match self.take_reach(&node, &note) {
                Ok(ticket) => last = last.max(ticket),
                Err(fault) => log::debug!("trust: what is told of where {node} is: {fault}"),
            }
        }
        last
    }

    /// Keeps a reach if it is newer; `None`: it is not, or nothing is known of the node.
    fn take_reach(&self, node: &NodeDomain, note: &[u8]) -> Result<Option<Ticket>, TrustFault> {
        let _deciding = lock(&self.deciding);
        let Some(pinned) = self.pinned(node)? else { return Ok(None) };
        match SignedReach::accept(note, &pinned.card, pinned.reach.map(|reach| reach.seq)) {
            Ok(reach) => self.keep_reach(node, &reach).map(Some),
            Err(ReachRefusal::NotNewer { .. }) => Ok(None),
            Err(refusal) => Err(TrustFault::Reach(refusal)),
        }
    }

    /// Keeps a newer reach of another node, and will tell others of it.
    pub(super) fn keep_reach(&self, node: &NodeDomain, reach: &SignedReach) -> Result<Ticket, TrustFault> {
        let change = PeerChange { reach: Some(reach.to_text()), ..PeerChange::default() };
        let ticket = self.store.decide_peer(node, change)?;
        log::info!("trust: {node} says with reach {} where it is now", reach.reach().seq);
        lock(&self.news).insert(node.clone());
        self.ring();
        Ok(ticket)
    }

    /// A node's reach as it is passed on, if its number is above this one. Of a node without a pinned card nothing is passed on.
    fn object(&self, node: &NodeDomain, above: u64) -> Option<Element> {
        let reach = if *node == self.own.name {
            self.durable_reach()?
        } else {
            self.store.card(node).ok()??;
            SignedReach::parse(self.store.reach(node).ok()??.as_bytes()).ok()?
        };
        let object = Element::new("o", ns::KONTALK_NET).with("t", "reach").with("node", node.as_str());
        (reach.reach().seq > above).then(|| object.with_text(&STANDARD.encode(reach.to_text())))
    }

    fn iq(&self, kind: IqType, to: &BareJid, id: &str) -> Stanza {
        Stanza::build(Kind::Iq(kind), Some(Jid::Bare(self.domain.clone())), Some(Jid::Bare(to.clone())), Some(id))
    }
}
