//! Streams with other nodes: what they are to the server-to-server room, and that there is one with each that is trusted.
//!
//! A node behind an address that nobody can dial holds its streams from its own side; when its address changes, they break, and it
//! dials again. Where others are, they say themselves (see `gossip`): no name server is needed.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use smol::Timer;
use smol::future::FutureExt;

use super::{Trust, TrustFault, lock};
use crate::config::BannedS2s;
use crate::federation::{Class, Pair, Pins, SpkiHash, Standing, Target};
use crate::jid::BareJid;
use crate::limits::{S2S_NODE_RETRY_LONGEST, S2S_RETRY_LONGEST};
use crate::node::hub::{Inbox, Input};
use crate::node::worker::work;
use crate::router::Event;
use crate::s2s::Post;
use crate::stanza::{StreamCondition, StreamError, Timestamp};
use crate::trust::{
    Endpoint, NodeDomain, ReachRefusal, State, introduction_nonza, node_feature_knowing, reach_answer, reach_nonza,
    read_introduction, read_known_card, read_node_feature, read_reach,
};
use crate::xml::Element;

/// The trust, as streams with other servers see it.
pub(in crate::node) struct NodePins(pub(in crate::node) Arc<Trust>);

impl fmt::Debug for NodePins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodePins(…)")
    }
}

impl Pins for NodePins {
    fn standing(&self, domain: &BareJid) -> Standing {
        let Some(node) = NodeDomain::of(domain) else { return Standing::Foreign };
        self.0.standing(&node)
    }

    fn blocks(&self, domain: &BareJid) -> bool {
        self.0.settings.banned_s2s == BannedS2s::Block && self.0.is_banned(domain)
    }

    fn feature(&self, domain: &BareJid) -> Option<Element> {
        let own = self.0.own_card_id()?;
        let node = NodeDomain::of(domain)?;
        // Others are foreign servers to us, and what they say of where they are is not asked for.
        let Standing::Node(_) = self.0.standing(&node) else { return None };
        let pinned = self.0.pinned(&node).ok().flatten()?;
        Some(node_feature_knowing(pinned.reach.map_or(0, |reach| reach.seq), &own, &pinned.card.id()))
    }

    fn introduce(&self, _domain: &BareJid, features: &Element, proved: bool) -> Option<Element> {
        let (has, _) = read_node_feature(features)?;
        if proved {
            self.0.peer_has_our(has);
        }
        let own = self.0.durable_reach()?;
        if read_known_card(features).is_some_and(|known| known != own.reach().card) {
            // It knows us by a former card: the present one proves itself, by the recovery key perhaps.
            return self.0.introduction().ok().flatten().map(|text| introduction_nonza(&text));
        }
        (!proved || has < own.reach().seq).then(|| reach_nonza(&own.to_text()))
    }

    fn targets(&self, domain: &BareJid) -> Vec<Target> {
        let pinned = NodeDomain::of(domain).and_then(|node| self.0.pinned(&node).ok().flatten());
        let target = |endpoint: Endpoint| {
            let (host, port) = match endpoint {
                Endpoint::Socket(socket) => (socket.ip().to_string(), socket.port()),
                Endpoint::Name(name, port) => (name.to_string(), port),
            };
            Target { host, port, direct_tls: false }
        };
        pinned.and_then(|node| node.reach).map_or_else(Vec::new, |reach| reach.s2s.into_iter().map(target).collect())
    }
}

impl Trust {
    /// What a node is to our streams. What is kept of it and cannot be read lets nobody in by its name.
    fn standing(&self, node: &NodeDomain) -> Standing {
        let read = || -> Result<Standing, TrustFault> {
            let Some(pinned) = self.pinned(node)? else { return Ok(Standing::Foreign) };
            let keys = pinned.reach.map_or_else(Vec::new, |reach| reach.tls.into_iter().map(SpkiHash).collect());
            Ok(match self.store.peer(node)?.map(|peer| peer.state) {
                Some(State::Revoked | State::Denied) => Standing::Former(keys),
                _ => Standing::Node(keys),
            })
        };
        read().unwrap_or_else(|fault| {
            log::error!("trust: {fault}");
            Standing::Node(Vec::new())
        })
    }

    /// Is this the domain of a node that is denied?
    fn is_banned(&self, domain: &BareJid) -> bool {
        let peer = NodeDomain::of(domain).and_then(|node| self.store.peer(&node).ok().flatten());
        peer.is_some_and(|peer| peer.state == State::Denied)
    }

    /// Must what comes from this domain be for somebody who knows its sender?
    pub(in crate::node) fn quarantines(&self, domain: &BareJid) -> bool {
        self.settings.banned_s2s == BannedS2s::Quarantine && self.is_banned(domain)
    }

    /// The streams that follow what is decided.
    pub(in crate::node) fn set_streams(&self, post: Arc<Post>) {
        // Once, by the assembly.
        let _ = self.streams.set(post);
    }

    /// The streams with a node whose standing may have changed are judged again: those that would not come about now are ended.
    pub(super) fn rejudge(&self, node: &NodeDomain) {
        let (Some(post), Some(domain)) = (self.streams.get(), node.to_jid()) else { return };
        if self.settings.banned_s2s == BannedS2s::Block && self.is_banned(&domain) {
            let error = StreamError::with_text(StreamCondition::PolicyViolation, "this server is not wanted here");
            return post.expel(&domain, |_| true, &error);
        }
        let is_node = matches!(self.standing(node), Standing::Node(_));
        // RFC 6120 §4.9.3.16: what secured the stream is worth another thing now.
        let error = StreamError::new(StreamCondition::Reset);
        post.expel(&domain, |class| (class == Class::Node) != is_node, &error);
        self.ring();
    }

    /// A peer shows on a stream where it is. Gives what it is answered: whether that was taken, and where we are.
    pub(in crate::node) async fn reach_shown(
        self: Arc<Self>,
        domain: &BareJid,
        shown: &Element,
        SpkiHash(key): SpkiHash,
        inbox: &Inbox,
    ) -> Option<Element> {
        let node = NodeDomain::of(domain)?;
        if let Some(text) = read_introduction(shown) {
            return Some(self.card_shown(node, text, inbox).await);
        }
        let (note, _) = read_reach(shown)?;
        let (office, of) = (self.clone(), node.clone());
        let taken = work(move || office.peer_shows_reach(&of, &note, &key)).await;
        let accepted = match taken {
            Ok((_, ticket)) => self.store.commit(ticket).await.is_ok(),
            // It is the one we have, or older: it may be answered, and the key decides.
            Err(TrustFault::Reach(ReachRefusal::NotNewer { .. })) => true,
            Err(fault) => {
                log::debug!("trust: what {node} shows of where it is: {fault}");
                false
            }
        };
        Some(self.answer(accepted))
    }

    /// A peer shows another card than the known one. Only its recovery key makes that right without a person's word.
    async fn card_shown(self: Arc<Self>, node: NodeDomain, text: String, inbox: &Inbox) -> Element {
        let (office, now) = (self.clone(), Timestamp::from_system(SystemTime::now()));
        let accepted = match work(move || office.introduced(&node, &text, now)).await {
            Ok(outcome) => {
                let kept = match outcome.ticket {
                    Some(ticket) => self.store.commit(ticket).await.is_ok(),
                    None => true,
                };
                self.send_away(inbox, outcome.farewells).await;
                kept
            }
            Err(fault) => {
                log::debug!("trust: a card that a peer shows: {fault}");
                false
            }
        };
        self.answer(accepted)
    }

    fn answer(&self, accepted: bool) -> Element {
        let own = self.durable_reach().map(|own| own.to_text());
        reach_answer(accepted, &own.unwrap_or_default())
    }

    /// The trusted nodes, as they are addressed.
    pub(super) fn partners(&self) -> Result<Vec<(NodeDomain, BareJid)>, TrustFault> {
        let mut partners = Vec::new();
        for (node, peer) in self.store.peers()? {
            if peer.state.keeps_visitors()
                && self.store.card(&node)?.is_some()
                && let Some(jid) = node.to_jid()
            {
                partners.push((node, jid));
            }
        }
        Ok(partners)
    }

    /// Wakes whoever keeps the streams.
    pub(super) fn ring(&self) {
        // Full: it is rung already.
        let _ = self.bell.0.try_send(());
    }
}

/// What is remembered of a partner while the node runs.
#[derive(Debug, Default)]
struct Partner {
    linked: bool,
    /// There was a stream since the start: it is worth trying again soon.
    ever: bool,
    tried: Option<Instant>,
    wait: Duration,
}

/// Keeps a stream with every trusted node, and tells them what is new, for as long as the node runs.
pub(in crate::node) async fn keep_links(trust: Arc<Trust>, post: Arc<Post>, inbox: Inbox) {
    let mut partners: HashMap<NodeDomain, Partner> = HashMap::new();
    for round in 0usize.. {
        // The first thing to do is to know one's own key; before that there is nothing to show.
        if lock(&trust.tls).is_some() && trust.has_card() {
            let news = std::mem::take(&mut *lock(&trust.news));
            for stanza in look_after(&trust, &post, &mut partners, &news, round).await {
                inbox.send(Input::Event(Event::FromServer(stanza))).await;
            }
        }
        let rung = async {
            // The sender lives as long as we do.
            let _ = trust.bell.1.recv().await;
        };
        let look = async {
            Timer::after(LOOK_EVERY).await;
        };
        rung.or(look).await;
    }
}

async fn look_after(
    trust: &Arc<Trust>,
    post: &Post,
    partners: &mut HashMap<NodeDomain, Partner>,
    news: &BTreeSet<NodeDomain>,
    round: usize,
) -> Vec<crate::stanza::Stanza> {
    let office = trust.clone();
    let trusted = work(move || office.partners()).await.unwrap_or_else(|fault| {
        log::error!("trust: {fault}");
        Vec::new()
    });
    // What is told is on the disk.
    if trust.store.commit(trust.store.last_written()).await.is_err() {
        return Vec::new();
    }
    partners.retain(|node, _| trusted.iter().any(|(known, _)| known == node));
    let (now, count) = (Instant::now(), trusted.len().max(1));
    let mut stanzas = Vec::new();
    for (place, (node, jid)) in trusted.iter().enumerate() {
        let partner = partners.entry(node.clone()).or_default();
        let linked = post.has_node(jid);
        let came = linked && !partner.linked;
        partner.linked = linked;
        if linked {
            (partner.ever, partner.wait) = (true, Duration::ZERO);
            // Now and then two of them are asked what they know.
            let turn = (round / SYNC_ROUNDS) * 2;
            let asked = round.is_multiple_of(SYNC_ROUNDS) && [turn % count, (turn + 1) % count].contains(&place);
            stanzas.extend((came || asked).then(|| trust.question(jid)));
            let others: Vec<&NodeDomain> = news.iter().filter(|of| *of != node).collect();
            stanzas.extend(trust.tidings(jid, &others));
            continue;
        }
        if news.contains(node) {
            (partner.tried, partner.wait) = (None, Duration::ZERO);
        }
        if partner.tried.is_none_or(|tried| now.saturating_duration_since(tried) >= partner.wait) {
            partner.tried = Some(now);
            let longest = if partner.ever { S2S_NODE_RETRY_LONGEST } else { S2S_RETRY_LONGEST };
            partner.wait = (partner.wait * 2).clamp(LOOK_EVERY, longest);
            stanzas.push(trust.question(jid));
        }
        post.hurry(&Pair { own: trust.domain.clone(), peer: jid.clone() }, partner.wait);
    }
    stanzas
}

/// An id for a stanza of ours; who answers repeats it.
pub(super) fn stanza_id(what: &str) -> String {
    format!("{what}-{}", Timestamp::from_system(SystemTime::now()).millis)
}

/// How often it is looked whether all streams are there.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Every so many looks some are asked what is new: about ten minutes.
const SYNC_ROUNDS: usize = 120;
