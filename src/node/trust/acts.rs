//! What the operator does. Each act is one line in the log.

use super::facts::{NodeFacts, TrustReply, TrustRequest};
use super::{Farewells, Trust, TrustFault, Words, lock, news, read_card};
use crate::node::control::Secret;
use crate::pgp::{Fingerprint, RevocationReason, UserRing};
use crate::router::Ticket;
use crate::stanza::Timestamp;
use crate::store::{Peer, PeerChange, PinnedCard};
use crate::trust::{
    Card, Change, Effect, End, Home, Introduction, Lesson, NodeDomain, Pinned, SignedReach, State, Succession,
    WARN_BEFORE, Why, accept, edge, judge_clock, learn, step,
};

/// What an act leads to.
#[derive(Debug, Default)]
pub(in crate::node) struct Outcome {
    /// Must be durable before the operator is told.
    pub(in crate::node) ticket: Option<Ticket>,
    /// Whose users must go.
    pub(in crate::node) farewells: Farewells,
}

impl Trust {
    /// Does what the operator asks. Takes the time of a few signatures.
    pub(in crate::node) fn act(
        &self,
        request: TrustRequest,
        now: Timestamp,
    ) -> Result<(TrustReply, Outcome), TrustFault> {
        let read = |reply| Ok((reply, Outcome::default()));
        match request {
            TrustRequest::Card { make } => self.card(make, now),
            TrustRequest::Preview { node, introduction } => read(self.preview(&node, introduction.as_deref(), now)?),
            TrustRequest::List => read(self.list(now)?),
            TrustRequest::Show { node } => read(self.show(&node, now)?),
            TrustRequest::Add { node, fingerprint, introduction, despite_ban, reason } => {
                let node = self.node(&node)?;
                let outcome = self.add(&node, &fingerprint, introduction.as_deref(), despite_ban, &reason, now)?;
                Ok((done(format!("{node} is trusted: its users may log in here")), outcome))
            }
            TrustRequest::Revoke { node, reason } => {
                let node = self.node(&node)?;
                let here = self.store.visitors_of(&node)?.len();
                let outcome = self.decide(&node, Change::Revoke, &reason, now)?;
                Ok((done(format!("{node} is revoked: signature 0x30 made, {here} visitors sent away")), outcome))
            }
            TrustRequest::Deny { node, reason } => {
                let node = self.node(&node)?;
                let outcome = self.decide(&node, Change::Deny, &reason, now)?;
                Ok((done(format!("{node} is denied, whatever the network decides")), outcome))
            }
            TrustRequest::Undeny { node } => {
                let node = self.node(&node)?;
                let carded = self.store.card(&node)?.is_some();
                let outcome = self.decide(&node, Change::Undeny { carded }, "", now)?;
                let hint =
                    if carded { format!(" (to trust it again: kontalk-node trust add {node})") } else { String::new() };
                Ok((done(format!("{node} is not denied any more{hint}")), outcome))
            }
            TrustRequest::Clock => {
                let ticket = self.store.set_clock_floor(now)?;
                log::warn!("trust: the operator says that the clock is right");
                let outcome = Outcome { ticket: Some(ticket), farewells: Vec::new() };
                Ok((done(format!("it is {now}, and no earlier time will be believed")), outcome))
            }
        }
    }

    fn card(&self, make: bool, now: Timestamp) -> Result<(TrustReply, Outcome), TrustFault> {
        let words = if make { self.make_card(now)? } else { None };
        let outcome = Outcome { ticket: self.renew_reach(now)?, farewells: Vec::new() };
        let introduction = self.introduction()?.ok_or(TrustFault::NoOwnCard)?;
        let reply = TrustReply::Card {
            introduction,
            fingerprint: self.own.ring.fingerprint().to_string(),
            words: words.map(|mut words| Secret::new(std::mem::take(&mut *words))),
        };
        Ok((reply, outcome))
    }

    /// What this node hands to others; `None` without a card.
    pub(in crate::node) fn introduction(&self) -> Result<Option<String>, TrustFault> {
        let Some(card) = self.own_card() else { return Ok(None) };
        let certificate = self.own.ring.of_node(self.own.name.as_str(), &[]).unwrap_or_else(|| self.own.ring.clone());
        let reach = self.own_reach()?;
        Ok(Some(Introduction { card, certificate, reach }.to_string()))
    }

    fn preview(&self, node: &str, introduction: Option<&str>, now: Timestamp) -> Result<TrustReply, TrustFault> {
        let node = self.node(node)?;
        let (fingerprint, succession) = match introduction {
            Some(text) => {
                let introduction = read_introduction(&node, text)?;
                (introduction.card.card().fingerprint, self.judge(&node, &introduction, now)?)
            }
            None => {
                let home = self.home(&node)?.ok_or_else(|| no_card(&node))?;
                (home.card.fingerprint, Succession::Same)
            }
        };
        let news = news(succession).to_owned();
        Ok(TrustReply::Preview { node: node.to_string(), fingerprint: fingerprint.to_string(), news })
    }

    fn add(
        &self,
        node: &NodeDomain,
        typed: &str,
        introduction: Option<&str>,
        despite_ban: bool,
        reason: &str,
        now: Timestamp,
    ) -> Result<Outcome, TrustFault> {
        let introduction = introduction.map(|text| read_introduction(node, text)).transpose()?;
        let known = match &introduction {
            Some(introduction) => introduction.card.card().fingerprint,
            None => self.home(node)?.ok_or_else(|| no_card(node))?.card.fingerprint,
        };
        compare(typed, known)?;
        let mut farewells = Vec::new();
        if let Some(introduction) = introduction {
            farewells = self.pin(node, &introduction, true, now)?.farewells;
        }
        let mut outcome = self.decide(node, Change::Add { despite_ban }, reason, now)?;
        outcome.farewells.extend(farewells);
        Ok(outcome)
    }

    /// Another node showed its card, by whatever way. It is pinned if it is to be believed without a person's word; that alone is no
    /// trust.
    pub(in crate::node) fn introduced(
        &self,
        node: &NodeDomain,
        text: &str,
        now: Timestamp,
    ) -> Result<Outcome, TrustFault> {
        self.pin(node, &read_introduction(node, text)?, false, now)
    }

    fn judge(&self, node: &NodeDomain, shown: &Introduction, now: Timestamp) -> Result<Succession, TrustFault> {
        let pinned = self.home(node)?;
        let former: Vec<_> = self.store.peer(node)?.map(|peer| peer.former_cards).unwrap_or_default();
        let former: Vec<_> = former.into_iter().map(crate::trust::CardId).collect();
        let pinned = pinned.as_ref().map(|home| Pinned {
            card: &home.card,
            key_created: home.certificate.created(),
            former: &former,
        });
        let mut others: Vec<Card> = self.own_card().map(|own| own.card().clone()).into_iter().collect();
        for (other, _) in self.store.peers()? {
            if let Some(pinned) = self.store.card(&other)? {
                others.extend(read_card(&other, &pinned.note).map(|card| card.card().clone()).ok());
            }
        }
        accept(&shown.card, &shown.certificate, pinned, others.iter(), now).map_err(TrustFault::Card)
    }

    /// Pins a card with its certificate and its reach.
    fn pin(
        &self,
        node: &NodeDomain,
        shown: &Introduction,
        confirmed: bool,
        now: Timestamp,
    ) -> Result<Outcome, TrustFault> {
        let _deciding = lock(&self.deciding);
        let succession = self.judge(node, shown, now)?;
        if succession == Succession::MustConfirm && !confirmed {
            // Anybody can show one: it is told once.
            if lock(&self.changed).insert(node.clone()) {
                log::warn!("trust: {}", TrustFault::CardChanged(node.clone()));
            }
            return Err(TrustFault::CardChanged(node.clone()));
        }
        let known = self.home(node)?;
        let certificate = self.merged(node, &shown.certificate, known.as_ref());
        let mut peer = self.store.peer(node)?;
        let mut change = PeerChange::default();
        let mut outcome = Outcome::default();
        let mut to = match (&peer, succession) {
            (None, _) => step(None, Change::CardSeen),
            (Some(peer), Succession::Recovered | Succession::MustConfirm) => {
                let other_key = known.as_ref().is_none_or(|home| home.card.kid != shown.card.card().kid);
                step(Some(peer.state), Change::CardReplaced { other_key })
            }
            (Some(peer), _) => step(Some(peer.state), Change::CardSeen),
        }
        .map_err(|impossible| TrustFault::Impossible(node.clone(), impossible))?;
        let fresh = Home {
            card: shown.card.card().clone(),
            own: certificate.node_statements(node.as_str(), &self.own.ring),
            certificate: certificate.clone(),
            former: known.as_ref().map(|home| home.certificate.clone()),
            state: to.to.unwrap_or(State::Seen),
        };
        let held = known.as_ref().filter(|home| home.certificate.kid() == certificate.kid());
        let lesson = held.map_or(Lesson::Nothing, |home| learn(&home.own, &fresh.own));
        if lesson == Lesson::Revoked && fresh.state.is_certified() {
            log::warn!(
                "trust: {node} is REVOKED: its key bears our revocation, which this node forgot with an older backup"
            );
            to.to = Some(State::Revoked);
            to.effects = vec![Effect::Kill(End::Revoked)];
        }
        // Signatures that were shown to us and are ours are kept, whatever else comes.
        change.words.push((certificate.kid(), certificate.own_words(node.as_str(), &self.own.ring)));
        self.carry_out(node, &to.effects, Some(&fresh), &mut change, &mut outcome, now)?;
        let replaces = known.as_ref().filter(|home| home.card != fresh.card);
        if let (Some(peer), Some(home)) = (&mut peer, replaces) {
            peer.former_cards.push(home.card.id().0);
            let surplus = peer.former_cards.len().saturating_sub(FORMER_CARDS_MAX);
            peer.former_cards.drain(..surplus);
        }
        change.peer = Some(to.to.map(|state| renewed(peer, state, "", now)));
        change.card = Some(self.pinned_card(node, shown, &certificate, known.as_ref())?);
        change.reach = self.shown_reach(node, shown)?;
        outcome.ticket = Some(self.store.decide_peer(node, change)?);
        self.rejudge(node);
        if succession != Succession::Same {
            let (card, key) = (shown.card.card().id(), certificate.fingerprint());
            log::info!("trust: {node} shows {}: {card}, key {key}", news(succession));
        }
        Ok(outcome)
    }

    /// What is shown of a key added to what is known of it: neither self-signatures nor our own words get lost.
    fn merged(&self, node: &NodeDomain, shown: &UserRing, known: Option<&Home>) -> UserRing {
        let ours = [self.own.ring.fingerprint()];
        let shown = shown.of_node(node.as_str(), &ours).unwrap_or_else(|| shown.clone());
        match known.filter(|home| home.certificate.kid() == shown.kid()) {
            Some(home) => home.certificate.clone().merge(&shown).unwrap_or_else(|_| home.certificate.clone()),
            None => shown,
        }
    }

    fn pinned_card(
        &self,
        node: &NodeDomain,
        shown: &Introduction,
        certificate: &UserRing,
        known: Option<&Home>,
    ) -> Result<PinnedCard, TrustFault> {
        // Our own words lie elsewhere.
        let bare = certificate.of_node(node.as_str(), &[]).unwrap_or_else(|| certificate.clone());
        let former = match known {
            Some(home) if home.certificate.kid() != certificate.kid() => {
                home.certificate.of_node(node.as_str(), &[]).map(|former| former.to_bytes())
            }
            _ => self.store.card(node)?.and_then(|pinned| pinned.former_certificate),
        };
        Ok(PinnedCard { note: shown.card.to_text(), certificate: bare.to_bytes(), former_certificate: former })
    }

    /// The reach beside a card, if it is newer than what is known. One that is not is left out: mails are old.
    fn shown_reach(&self, node: &NodeDomain, shown: &Introduction) -> Result<Option<String>, TrustFault> {
        let Some(reach) = &shown.reach else { return Ok(None) };
        let card = shown.card.card();
        let held = self.store.reach(node)?.and_then(|note| SignedReach::parse(note.as_bytes()).ok());
        let held = held.filter(|held| held.reach().card == card.id()).map(|held| held.reach().seq);
        match SignedReach::accept(reach.to_text().as_bytes(), card, held) {
            Ok(reach) => Ok(Some(reach.to_text())),
            Err(crate::trust::ReachRefusal::NotNewer { .. }) => Ok(None),
            Err(refusal) => Err(TrustFault::Reach(refusal)),
        }
    }

    /// Decides about a node, and makes the signatures that say so.
    pub(super) fn decide(
        &self,
        node: &NodeDomain,
        change: Change,
        reason: &str,
        now: Timestamp,
    ) -> Result<Outcome, TrustFault> {
        let _deciding = lock(&self.deciding);
        let peer = self.store.peer(node)?;
        let before = peer.as_ref().map(|peer| peer.state);
        let step = step(before, change).map_err(|impossible| TrustFault::Impossible(node.clone(), impossible))?;
        let home = self.home(node)?;
        if matches!(change, Change::Add { .. }) {
            let home = home.as_ref().ok_or_else(|| no_card(node))?;
            let fault = |fault| TrustFault::Card(crate::trust::CardRefusal::Certificate(fault));
            home.certificate.check_node(node.as_str(), now).map_err(fault)?;
        }
        let mut write = PeerChange::default();
        let mut outcome = Outcome::default();
        self.carry_out(node, &step.effects, home.as_ref(), &mut write, &mut outcome, now)?;
        write.peer = Some(step.to.map(|state| renewed(peer, state, reason, now)));
        outcome.ticket = Some(self.store.decide_peer(node, write)?);
        if before != step.to {
            self.rejudge(node);
        }
        if before != step.to {
            let state = step.to.map_or("UNKNOWN", State::name);
            let key = home.map_or_else(String::new, |home| format!(", key {}", home.card.fingerprint));
            let said = if reason.is_empty() { String::new() } else { format!(": {}", for_log(reason)) };
            log::info!("trust: {node} is {state}{key}{said}");
        } else if !step.effects.is_empty() {
            log::info!("trust: {node} is certified anew");
        }
        Ok(outcome)
    }

    fn carry_out(
        &self,
        node: &NodeDomain,
        effects: &[Effect],
        home: Option<&Home>,
        change: &mut PeerChange,
        outcome: &mut Outcome,
        now: Timestamp,
    ) -> Result<(), TrustFault> {
        for effect in effects {
            let words: Option<Words> = match (effect, home) {
                (Effect::Certify(why), Some(home)) => Some(self.certified(node, home, *why, now)?),
                (Effect::Revoke(reason), Some(home)) => Some(self.revoked(node, &home.certificate, *reason, now)?),
                (Effect::RevokeFormerKey, Some(Home { former: Some(former), .. })) => {
                    Some(self.revoked(node, former, RevocationReason::Superseded, now)?)
                }
                (Effect::Kill(end), _) => {
                    outcome.farewells.push((node.clone(), *end));
                    None
                }
                _ => None,
            };
            if let Some((kid, words)) = words {
                change.words.retain(|(known, _)| *known != kid);
                change.words.push((kid, words));
            }
        }
        Ok(())
    }

    fn list(&self, now: Timestamp) -> Result<TrustReply, TrustFault> {
        let peers = self.store.peers()?;
        let nodes = peers.iter().map(|(node, peer)| self.facts(node, peer, now));
        let clock = judge_clock(now, self.store.clock_floor()?).err().map(|suspect| suspect.to_string());
        Ok(TrustReply::Nodes { nodes: nodes.collect::<Result<_, _>>()?, clock })
    }

    fn show(&self, node: &str, now: Timestamp) -> Result<TrustReply, TrustFault> {
        let node = self.node(node)?;
        let peer = self.store.peer(&node)?.ok_or_else(|| no_card(&node))?;
        let home = self.home(&node)?;
        Ok(TrustReply::Node {
            facts: Box::new(self.facts(&node, &peer, now)?),
            card: self.store.card(&node)?.map(|pinned| pinned.note),
            reach: self.store.reach(&node)?,
            certificate: home.map(|home| home.certificate.armored()),
        })
    }

    fn facts(&self, node: &NodeDomain, peer: &Peer, now: Timestamp) -> Result<NodeFacts, TrustFault> {
        let home = self.home(node)?;
        let mut flags = Vec::new();
        let holds = home.as_ref().map(|home| edge(&home.own, now));
        if let Some(home) = &home
            && peer.state.is_certified()
        {
            flags.extend(holds.and_then(Result::err).map(|fault| fault.to_string()));
            flags.extend(home.certificate.check_node(node.as_str(), now).err().map(|fault| fault.to_string()));
        }
        let edge = holds.and_then(Result::ok);
        let expires = edge.and_then(|edge| edge.expires);
        if matches!(peer.state, State::Trusted(Why::Operator)) && expires.is_some_and(|at| at < now.plus(WARN_BEFORE)) {
            flags.push(format!("trust ends soon (remedy: kontalk-node trust add {node})"));
        }
        Ok(NodeFacts {
            node: node.to_string(),
            state: peer.state.name().to_owned(),
            since: peer.since.to_string(),
            why: match peer.state {
                State::Trusted(Why::Operator) => Some("operator".to_owned()),
                State::Trusted(Why::Network) => Some("network".to_owned()),
                _ => None,
            },
            reason: peer.reason.clone(),
            fingerprint: home.as_ref().map(|home| home.card.fingerprint.to_string()),
            certified: edge.map(|edge| edge.since.to_string()),
            expires: expires.map(|expires| expires.to_string()),
            visitors: u64::try_from(self.store.visitors_of(node)?.len()).unwrap_or(u64::MAX),
            flags,
        })
    }
}

fn done(sentence: String) -> TrustReply {
    TrustReply::Done { sentence }
}

fn no_card(node: &NodeDomain) -> TrustFault {
    TrustFault::Impossible(node.clone(), crate::trust::Impossible::NoCard)
}

fn read_introduction(node: &NodeDomain, text: &str) -> Result<Introduction, TrustFault> {
    let introduction = Introduction::parse(text).map_err(TrustFault::Introduction)?;
    let of = &introduction.card.card().domain;
    if of == node { Ok(introduction) } else { Err(TrustFault::OtherNode(of.clone())) }
}

/// Compares what the operator typed, in groups or not, with the key's.
fn compare(typed: &str, known: Fingerprint) -> Result<(), TrustFault> {
    let plain: String = typed.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
    match plain.parse::<Fingerprint>() {
        Ok(typed) if typed == known => Ok(()),
        _ => Err(TrustFault::OtherFingerprint { typed: typed.trim().to_owned(), known: known.to_string() }),
    }
}

fn renewed(peer: Option<Peer>, state: State, reason: &str, now: Timestamp) -> Peer {
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    match peer {
        Some(peer) if peer.state == state => {
            let reason = if reason.is_empty() { peer.reason } else { reason };
            Peer { reason, ..peer }
        }
        Some(peer) => Peer { state, since: now, reason, former_cards: peer.former_cards },
        None => Peer { state, since: now, reason, former_cards: Vec::new() },
    }
}

/// One line, whatever was typed.
fn for_log(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

const REASON_CHARS_MAX: usize = 280;
/// Former cards that are remembered of one node.
const FORMER_CARDS_MAX: usize = 32;
