//! What happens by itself: signatures follow decisions, certifications end, the reach follows the TLS key, visitors who may not stay
//! go, and those who came long ago are forgotten.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Farewells, Trust, TrustFault, lock};
use crate::jid::BareJid;
use crate::limits::VISITOR_TTL;
use crate::net::OwnCertificate;
use crate::node::hub::{Inbox, Input};
use crate::node::worker::work;
use crate::pgp::RevocationReason;
use crate::router::Ticket;
use crate::stanza::Timestamp;
use crate::store::PeerChange;
use crate::store::StoreError;
use crate::trust::{Act, Change, End, NodeDomain, Situation, State, judge_clock, reconcile, trust_ended};

/// One round's result.
#[derive(Default)]
pub(super) struct Round {
    ticket: Option<Ticket>,
    pub(super) farewells: Farewells,
    pub(super) gone: Vec<(BareJid, NodeDomain, End)>,
    pub(super) long_gone: Vec<BareJid>,
}

/// Every minute, for as long as the node runs.
pub(in crate::node) async fn keep(trust: Arc<Trust>, certificate: Arc<OwnCertificate>, inbox: Inbox) {
    for minute in 0u64.. {
        let (office, tls) = (trust.clone(), certificate.facts().spki_sha256);
        let round = work(move || office.round(minute, tls, Timestamp::from_system(SystemTime::now()))).await;
        let Round { ticket, farewells, gone, long_gone } = round;
        let kept = match ticket {
            Some(ticket) => trust.store.commit(ticket).await,
            None => Ok(()),
        };
        match kept {
            Ok(()) => trust.restored_seen_to(),
            Err(error) => log::error!("trust: what was decided is not kept: {error}"),
        }
        trust.send_away(&inbox, farewells).await;
        for (account, home, end) in gone {
            trust.end_visits(&inbox, vec![account], &home, end).await;
        }
        if !long_gone.is_empty() {
            inbox.send(Input::Expire(long_gone)).await;
        }
        smol::Timer::after(Duration::from_secs(60)).await;
    }
}

impl Trust {
    /// Ends the sessions of all visitors of these homes, those that wait for resumption too.
    pub(in crate::node) async fn send_away(&self, inbox: &Inbox, farewells: Farewells) {
        for (home, end) in farewells {
            match self.store.visitors_of(&home) {
                Ok(accounts) if accounts.is_empty() => {}
                Ok(accounts) => {
                    log::debug!("trust: visitors of {home} must go: {}", end.as_str());
                    self.end_visits(inbox, accounts, &home, end).await;
                }
                Err(error) => log::error!("trust: the visitors of {home} cannot be found: {error}"),
            }
        }
    }

    async fn end_visits(&self, inbox: &Inbox, accounts: Vec<BareJid>, home: &NodeDomain, end: End) {
        // Nobody is woken for what he may not fetch.
        if let Err(error) = self.store.forget_pushes(&accounts) {
            log::warn!("trust: devices of visitors of {home} will be woken in vain: {error}");
        }
        inbox.visitors_end(accounts, trust_ended(home, end)).await;
    }

    /// What is due this minute; the first round is at start.
    pub(super) fn round(&self, minute: u64, tls: [u8; 32], now: Timestamp) -> Round {
        *lock(&self.tls) = Some(tls);
        let mut round = Round::default();
        let note = |outcome: Result<(), TrustFault>| match outcome {
            Ok(()) => {}
            // The store has said why, or the node stops while this round is on its thread.
            Err(TrustFault::Store(StoreError::Broken)) => log::debug!("trust: the store takes nothing more"),
            Err(fault) => log::error!("trust: {fault}"),
        };
        note(self.store.raise_clock_floor(now).map_err(TrustFault::from));
        note(self.watch_clock(minute, now));
        note(self.renew_reach(now).map_err(TrustFault::from).map(|ticket| round.ticket = ticket));
        if minute > 0 {
            note(self.grace_passes(&mut round, now));
        }
        note(self.reconcile(&mut round, now));
        if minute.is_multiple_of(RECHECK_MINUTES) {
            note(self.recheck(now).map(|gone| round.gone = gone));
        }
        if minute.is_multiple_of(60) {
            note(self.store.forget_resets(now).map_err(TrustFault::from));
            note(self.long_gone(now).map(|gone| round.long_gone = gone));
            self.warn_of_ends(minute, now);
        }
        round
    }

    fn watch_clock(&self, minute: u64, now: Timestamp) -> Result<(), TrustFault> {
        if let Err(suspect) = judge_clock(now, self.store.clock_floor()?)
            && minute.is_multiple_of(60)
        {
            log::warn!("no visitors are let in: {suspect}");
        }
        Ok(())
    }

    fn grace_passes(&self, round: &mut Round, now: Timestamp) -> Result<(), TrustFault> {
        for (node, peer) in self.store.peers()? {
            if matches!(peer.state, State::Grace { .. }) {
                let outcome = self.decide(&node, Change::Ran(Duration::from_secs(60)), "", now)?;
                round.ticket = round.ticket.max(outcome.ticket);
                round.farewells.extend(outcome.farewells);
            }
        }
        Ok(())
    }

    /// Makes signatures and sessions agree with what was decided.
    fn reconcile(&self, round: &mut Round, now: Timestamp) -> Result<(), TrustFault> {
        let mut expired = HashSet::new();
        for (node, _) in self.store.peers()? {
            if let Err(fault) = self.reconcile_one(&node, round, &mut expired, now) {
                log::error!("trust: {fault}");
            }
        }
        *lock(&self.expired) = expired;
        Ok(())
    }

    fn reconcile_one(
        &self,
        node: &NodeDomain,
        round: &mut Round,
        expired: &mut HashSet<NodeDomain>,
        now: Timestamp,
    ) -> Result<(), TrustFault> {
        let deciding = lock(&self.deciding);
        let Some(home) = self.home(node)? else { return Ok(()) };
        let key = home.certificate.check_node(node.as_str(), now);
        let situation = Situation { domain: node.clone(), state: home.state, own: home.own.clone(), key };
        let mut change = None;
        for (_, act) in reconcile([&situation], now) {
            let words = match act {
                Act::Certify(why) => self.certified(node, &home, why, now)?,
                Act::Revoke => self.revoked(node, &home.certificate, RevocationReason::TrustEnded, now)?,
                Act::Kill(end) => {
                    // Every minute, for a login may have been under way; told once.
                    expired.insert(node.clone());
                    let told = lock(&self.expired).contains(node);
                    round.farewells.push((node.clone(), end));
                    if !told && end == End::Expired {
                        log::warn!("trust: {node}: our certification or its key has ended; its users are not let in");
                    }
                    continue;
                }
                Act::KeyRevoked => {
                    change = Some(Change::KeyRevoked);
                    continue;
                }
                Act::Forget => {
                    change = Some(Change::Revoke);
                    continue;
                }
            };
            log::info!("trust: the signature on {node}'s key is brought up to what was decided");
            let write = PeerChange { words: vec![words], ..PeerChange::default() };
            round.ticket = round.ticket.max(Some(self.store.decide_peer(node, write)?));
        }
        drop(deciding);
        if let Some(change) = change {
            let outcome = self.decide(node, change, "", now)?;
            round.ticket = round.ticket.max(outcome.ticket);
            round.farewells.extend(outcome.farewells);
        }
        Ok(())
    }

    /// What visitors left is kept for a while after they were here last. Who is connected stays; that is the hub's to see.
    fn long_gone(&self, now: Timestamp) -> Result<Vec<BareJid>, TrustFault> {
        let mut gone = Vec::new();
        for (account, visit) in self.store.visitors()? {
            let Some(record) = self.store.account(&account)? else { continue };
            let seen = [record.last_login, record.last_logout].into_iter().flatten().fold(visit.seen, Timestamp::max);
            if now.since(seen) > VISITOR_TTL {
                gone.push(account);
            }
        }
        Ok(gone)
    }

    fn warn_of_ends(&self, minute: u64, now: Timestamp) {
        if !minute.is_multiple_of(24 * 60) {
            return;
        }
        if let Ok(super::TrustReply::Nodes { nodes, .. }) =
            self.act(super::TrustRequest::List, now).map(|(reply, _)| reply)
        {
            for node in nodes.iter().filter(|node| !node.flags.is_empty()) {
                log::warn!("trust: {}: {}", node.node, node.flags.join("; "));
            }
        }
    }
}

/// How often all checks of all visitors are made again; those of their homes are made every minute.
const RECHECK_MINUTES: u64 = 6 * 60;
