//! What waits: open proposals, the ballots on them, the cards, consents and evidence they need. What comes from a peer is verified
//! before it is kept, and all of it is bounded, so that a flood of objects costs the time to refuse it and no memory.
//!
//! Limits: [`OPEN_PER_PROPOSER_MAX`] proposals of one proposer (more only if an epoch that is voted on names them), one ballot of
//! each voter on each, [`EVIDENCE_PER_ACCUSED_MAX`] proofs against a node, cards and consents only for what waits.

use std::collections::BTreeMap;
use std::fmt;

use super::ballot::{Ballot, Choice};
use super::card::ProvedCard;
use super::chain::{Chain, Texts};
use super::charter::SignedConsent;
use super::evidence::{DoubleVote, EVIDENCE_PER_ACCUSED_MAX};
use super::id::{CharterHash, EvidenceId, ProposalId};
use super::objection::{Objection, Want};
use super::proposal::{Kind, OPEN_PER_PROPOSER_MAX, SignedProposal};
use super::state::Line;
use crate::trust::{CardId, NodeDomain, NoteSignature, Verifier};

/// All that waits in one network.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    proposals: BTreeMap<ProposalId, Waiting>,
    cards: BTreeMap<CardId, ProvedCard>,
    evidence: BTreeMap<EvidenceId, DoubleVote>,
    consents: BTreeMap<NodeDomain, SignedConsent>,
}

/// A proposal and the ballots on it.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// What is proposed.
    pub signed: SignedProposal,
    /// The newest ballot of each voter; a yes stays.
    pub ballots: BTreeMap<NodeDomain, (Choice, NoteSignature)>,
    /// Its proposer's signature that it need not be shown any more. It hides; if enough say yes, it is decided all the same.
    pub withdrawn: Option<NoteSignature>,
}

/// Why an object is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot be decided.
    Objection(Objection),
    /// It is not signed by who may make it.
    NotSigned,
    /// Its maker has enough that waits.
    TooMany,
    /// Nothing that waits needs it.
    NotNeeded,
    /// Something must be known before it can be judged.
    Want(Want),
}

impl From<Objection> for Refusal {
    fn from(objection: Objection) -> Refusal {
        Refusal::Objection(objection)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Objection(objection) => return objection.fmt(f),
            Refusal::NotSigned => "it is not signed by who may make it",
            Refusal::TooMany => "its maker has enough that waits for a decision (remedy: wait until one is decided)",
            Refusal::NotNeeded => "nothing that waits needs it",
            Refusal::Want(_) => "something that it refers to is not known yet",
        })
    }
}

impl std::error::Error for Refusal {}

impl Pool {
    /// Keeps a proposal; `true` if it is new. `named`: an epoch that is voted on names it, so it may be one too many.
    pub fn take_proposal(&mut self, chain: &Chain, signed: SignedProposal, named: bool) -> Result<bool, Refusal> {
        let (id, proposal) = (signed.id(), signed.proposal());
        if self.proposals.contains_key(&id) {
            return Ok(false);
        }
        chain.check_open(proposal)?;
        let own = proposal.node().as_ref() == Some(&proposal.by);
        let free = matches!(proposal.kind, Kind::Leave | Kind::RotateKey) && own;
        if !free && !chain.state().is_voter(&proposal.by) {
            return Err(Objection::Proposer.into());
        }
        let renewed = match (proposal.kind, proposal.now.as_ref().and_then(Line::card)) {
            (Kind::RotateKey, Some(card)) if own => Some(card),
            _ => None,
        };
        let old = chain.card_of(&proposal.by).map(|card| card.vote());
        let new = renewed.and_then(|id| self.cards.get(&id)).map(|card| card.vote());
        let signs = |key: Option<&Verifier>| key.is_some_and(|key| signed.is_signed_by(key));
        if !signs(old) && !signs(new) {
            let unknown = renewed.filter(|_| new.is_none());
            return Err(unknown.map_or(Refusal::NotSigned, |id| Refusal::Want(Want::Card(id))));
        }
        let of_same = self.proposals.values().filter(|waiting| waiting.signed.proposal().by == proposal.by).count();
        let most = if named { NAMED_PER_PROPOSER_MAX } else { OPEN_PER_PROPOSER_MAX };
        if of_same >= most {
            return Err(Refusal::TooMany);
        }
        self.proposals.insert(id, Waiting { signed, ballots: BTreeMap::new(), withdrawn: None });
        Ok(true)
    }

    /// Keeps a ballot; `true` if it says something new. A yes is never replaced.
    pub fn take_ballot(&mut self, chain: &Chain, ballot: Ballot, line: NoteSignature) -> Result<bool, Refusal> {
        if ballot.network != chain.network() {
            return Err(Objection::OtherNetwork.into());
        }
        let waiting = self.proposals.get_mut(&ballot.proposal).ok_or(Refusal::Want(Want::Proposal(ballot.proposal)))?;
        let Some(domain) = voter_of(chain, &line) else { return Err(Refusal::NotSigned) };
        let withdraws = ballot.choice == Choice::Withdraw;
        if withdraws && waiting.signed.proposal().by != domain {
            return Err(Refusal::NotNeeded);
        }
        let known = match waiting.ballots.get(&domain) {
            _ if withdraws => waiting.withdrawn.is_some(),
            Some((choice, _)) => *choice == Choice::Yes || *choice == ballot.choice,
            None => false,
        };
        if known {
            return Ok(false);
        }
        let key = chain.card_of(&domain).map(|card| card.vote());
        if !key.is_some_and(|key| key.has_signed(&ballot.to_text(), &line)) {
            return Err(Refusal::NotSigned);
        }
        if withdraws {
            waiting.withdrawn = Some(line);
            return Ok(true);
        }
        waiting.ballots.insert(domain, (ballot.choice, line));
        Ok(true)
    }

    /// Keeps a card that something that waits names, or another card of a member; `true` if it is new or better signed.
    pub fn take_card(&mut self, chain: &Chain, card: ProvedCard) -> Result<bool, Refusal> {
        if let Some(known) = self.cards.get(&card.id()) {
            let better = (card.may_begin() && !known.may_begin())
                || chain
                    .card_of(&card.card().domain)
                    .is_some_and(|old| card.replaces_by_itself(old.card()) && !known.replaces_by_itself(old.card()));
            if better {
                self.cards.insert(card.id(), card);
            }
            return Ok(better);
        }
        let domain = &card.card().domain;
        let of_same = self.cards.values().filter(|known| known.card().domain == *domain).count();
        let of_member = chain.card_of(domain).is_some_and(|old| {
            // Of a member only one that its own keys may bring.
            old.id() != card.id() && card.replaces_by_itself(old.card())
        });
        if !self.is_named(card.id()) && (!of_member || of_same >= CARDS_PER_MEMBER_MAX) {
            return Err(Refusal::NotNeeded);
        }
        self.cards.insert(card.id(), card);
        Ok(true)
    }

    /// Keeps evidence that counts; `true` if it is new.
    pub fn take_evidence(&mut self, chain: &Chain, proof: DoubleVote) -> Result<bool, Refusal> {
        let id = proof.id();
        if self.evidence.contains_key(&id) {
            return Ok(false);
        }
        if !chain.counts(&proof) {
            return Err(Refusal::NotNeeded);
        }
        let against_same = self.evidence.values().filter(|known| known.accused() == proof.accused()).count();
        let named = self.proposals.values().any(|waiting| waiting.signed.proposal().evidence.contains(&id));
        if against_same >= EVIDENCE_PER_ACCUSED_MAX && !named {
            return Err(Refusal::TooMany);
        }
        self.evidence.insert(id, proof);
        Ok(true)
    }

    /// Keeps a candidate's signature on the charter; `true` if it is new. His card comes first.
    pub fn take_consent(&mut self, chain: &Chain, signed: SignedConsent) -> Result<bool, Refusal> {
        let consent = signed.consent();
        if consent.network != chain.network() {
            return Err(Objection::OtherNetwork.into());
        }
        if chain.state().charter() != Some(consent.charter) {
            return Err(Refusal::NotNeeded);
        }
        if self.consents.get(&consent.by).is_some_and(|known| known.consent() == consent) {
            return Ok(false);
        }
        let mut cards = self.cards.values().filter(|card| card.card().domain == consent.by).peekable();
        if cards.peek().is_none() {
            return Err(Refusal::NotNeeded);
        }
        if !cards.any(|card| signed.is_signed_by(card.vote())) {
            return Err(Refusal::NotSigned);
        }
        self.consents.insert(consent.by.clone(), signed);
        Ok(true)
    }

    /// Lets go of what the last epoch has made pointless: proposals that are dead, ballots of who votes no more or with another key,
    /// evidence that was forgiven.
    pub fn advance(&mut self, chain: &Chain) {
        self.proposals.retain(|_, waiting| chain.check_open(waiting.signed.proposal()).is_ok());
        for (id, waiting) in &mut self.proposals {
            waiting.ballots.retain(|domain, (choice, line)| {
                let ballot = Ballot { network: chain.network(), proposal: *id, choice: *choice };
                let key = chain.card_of(domain).filter(|_| chain.state().is_voter(domain)).map(|card| card.vote());
                key.is_some_and(|key| key.has_signed(&ballot.to_text(), line))
            });
        }
        self.evidence.retain(|_, proof| chain.counts(proof));
        let named: Vec<CardId> = self.proposals.values().filter_map(named_card).collect();
        self.cards.retain(|id, _| named.contains(id));
        let cards = &self.cards;
        self.consents.retain(|domain, _| cards.values().any(|card| card.card().domain == *domain));
    }

    /// Proposals that could be decided next.
    pub fn approved(&self, chain: &Chain) -> Vec<ProposalId> {
        let ready = |waiting: &&Waiting| chain.check(&waiting.signed, self).is_ok();
        self.proposals.values().filter(ready).map(|waiting| waiting.signed.id()).collect()
    }

    /// All proposals that wait, and the ballots on them.
    pub fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.proposals.values()
    }

    /// All evidence.
    pub fn proofs(&self) -> impl Iterator<Item = &DoubleVote> {
        self.evidence.values()
    }

    /// Nodes that evidence suspends.
    pub fn suspended<'a>(&'a self, chain: &'a Chain) -> impl Iterator<Item = &'a NodeDomain> {
        self.evidence.values().filter(|proof| chain.suspends(proof)).map(DoubleVote::accused)
    }

    /// Cards of what waits.
    pub fn cards(&self) -> impl Iterator<Item = &ProvedCard> {
        self.cards.values()
    }

    /// Consents of who would join.
    pub fn consents(&self) -> impl Iterator<Item = &SignedConsent> {
        self.consents.values()
    }

    fn is_named(&self, card: CardId) -> bool {
        self.proposals.values().any(|waiting| named_card(waiting) == Some(card))
    }
}

impl Texts for Pool {
    fn proposal(&self, id: ProposalId) -> Option<&SignedProposal> {
        self.proposals.get(&id).map(|waiting| &waiting.signed)
    }

    fn yes(&self, id: ProposalId) -> Vec<NoteSignature> {
        let ballots = self.proposals.get(&id).map(|waiting| waiting.ballots.values());
        let yes = ballots.into_iter().flatten().filter(|(choice, _)| *choice == Choice::Yes);
        yes.map(|(_, line)| line.clone()).collect()
    }

    fn card(&self, id: CardId) -> Option<&ProvedCard> {
        self.cards.get(&id)
    }

    fn evidence(&self, id: EvidenceId) -> Option<&DoubleVote> {
        self.evidence.get(&id)
    }

    fn consent(&self, by: &NodeDomain, charter: CharterHash) -> Option<&SignedConsent> {
        self.consents.get(by).filter(|signed| signed.consent().charter == charter)
    }
}

fn named_card(waiting: &Waiting) -> Option<CardId> {
    waiting.signed.proposal().now.as_ref().and_then(Line::card)
}

/// The voter whose key this line names.
pub(super) fn voter_of(chain: &Chain, line: &NoteSignature) -> Option<NodeDomain> {
    let domain = NodeDomain::parse(line.name.strip_suffix("/vote")?).ok()?;
    chain.state().is_voter(&domain).then_some(domain)
}

/// Proposals of one proposer, those included that an epoch under vote names.
const NAMED_PER_PROPOSER_MAX: usize = 32;
/// Cards of one member that are kept before a proposal names them.
const CARDS_PER_MEMBER_MAX: usize = 2;
