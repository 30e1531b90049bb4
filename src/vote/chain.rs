//! The chain as far as it is known: the fold of all epochs. Two nodes with the same epochs have the same chain, whatever their
//! clocks say and in whatever order they learnt it.

use std::collections::{BTreeMap, VecDeque};

use super::card::ProvedCard;
use super::certificate::{CertifiedEpoch, VoterKeys};
use super::charter::SignedConsent;
use super::epoch::{Decision, Genesis};
use super::evidence::DoubleVote;
use super::id::{CharterHash, EpochId, EvidenceId, NetworkId, ProposalId};
use super::judge::Ballots;
use super::objection::{Fault, Objection, Want};
use super::proposal::{PROPOSAL_EPOCHS, SignedProposal};
use super::state::{Line, LineKey, Role, State};
use super::threshold::{GROWTH_CAPPED_FROM, GROWTH_WINDOW};
use crate::trust::{CardId, NodeDomain, NoteSignature, Verifier};

/// The texts that epochs refer to, as far as they are at hand. What is not there is asked for, so whoever answers `None` or with
/// too few ballots delays a decision and never changes it.
pub trait Texts {
    /// A proposal.
    fn proposal(&self, id: ProposalId) -> Option<&SignedProposal>;
    /// Signature lines below the yes ballot on a proposal, of whomever; the judge verifies them.
    fn yes(&self, id: ProposalId) -> Vec<NoteSignature>;
    /// A card.
    fn card(&self, id: CardId) -> Option<&ProvedCard>;
    /// Evidence.
    fn evidence(&self, id: EvidenceId) -> Option<&DoubleVote>;
    /// A candidate's signature on the charter.
    fn consent(&self, by: &NodeDomain, charter: CharterHash) -> Option<&SignedConsent>;
}

/// A network as decided up to its last epoch. Memory: the state's lines, their cards (2 KiB each), and 100 bytes for every key that
/// was ever in a card.
#[derive(Clone, Debug)]
pub struct Chain {
    pub(super) network: NetworkId,
    pub(super) name: String,
    pub(super) number: u64,
    pub(super) head: EpochId,
    pub(super) state: State,
    pub(super) cards: BTreeMap<CardId, ProvedCard>,
    /// Whose each key is or was.
    pub(super) keys: BTreeMap<[u8; 32], NodeDomain>,
    /// The epoch that changed a line last, if it was one of the last [`PROPOSAL_EPOCHS`].
    pub(super) changed: BTreeMap<LineKey, u64>,
    /// New votes by epoch, over the last [`GROWTH_WINDOW`].
    pub(super) grants: VecDeque<(u64, usize)>,
}

/// A voter, as the ordering knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elector {
    /// Which.
    pub domain: NodeDomain,
    /// Its OpenPGP key by SHA-256, which turns are taken by.
    pub kid: [u8; 32],
    /// The key that signs its votes.
    pub vote: Verifier,
}

/// What the network has decided of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is a member.
    Member {
        /// What it may.
        role: Role,
        /// Its card.
        card: CardId,
    },
    /// It is banned.
    Banned {
        /// At once, or with grace.
        effect: super::state::BanEffect,
    },
    /// It is neither: it has left, or never came.
    Absent,
}

impl Chain {
    /// Begins with a first epoch: its state is the one it names, its members are voters without sponsor, and each has signed it.
    pub fn begin(first: &CertifiedEpoch, state: State, texts: &impl Texts) -> Result<Chain, Fault> {
        let CertifiedEpoch::Genesis { genesis, .. } = first else { return Err(Objection::Number.into()) };
        if state.hash() != genesis.state {
            return Err(Objection::State.into());
        }
        check_founding(genesis, &state)?;
        let mut chain = Chain {
            network: genesis.network(),
            name: genesis.name.clone(),
            number: 0,
            head: genesis.network().genesis(),
            cards: BTreeMap::new(),
            keys: BTreeMap::new(),
            changed: BTreeMap::new(),
            grants: VecDeque::new(),
            state: state.clone(),
        };
        for (domain, _, id) in state.members() {
            let card = texts.card(id).ok_or(Want::Card(id))?;
            if card.card().domain != *domain {
                return Err(Objection::CardOfAnother.into());
            }
            if !card.may_begin() {
                return Err(Objection::CardUnsigned.into());
            }
            chain.take_card(card)?;
        }
        match first.is_certified_by(&chain.voter_keys()) {
            true => Ok(chain),
            false => Err(Objection::NotCertified.into()),
        }
    }

    /// The chain with the next epoch, if a quorum of the voters before it certified it and it is valid.
    pub fn follow(&self, next: &CertifiedEpoch, texts: &impl Texts) -> Result<Chain, Fault> {
        let CertifiedEpoch::Decision { decision, .. } = next else { return Err(Objection::Number.into()) };
        self.check_place(decision)?;
        if !next.is_certified_by(&self.voter_keys()) {
            return Err(Objection::NotCertified.into());
        }
        self.judge(decision, texts)
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of the last epoch.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The id of the last epoch.
    pub fn head(&self) -> EpochId {
        self.head
    }

    /// What was decided.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What was decided of this node.
    pub fn standing(&self, domain: &NodeDomain) -> Standing {
        match self.state.node(domain) {
            Some(Line::Member { role, card, .. }) => Standing::Member { role: *role, card: *card },
            Some(Line::Banned { effect, .. }) => Standing::Banned { effect: *effect },
            _ => Standing::Absent,
        }
    }

    /// The card of a member.
    pub fn card_of(&self, domain: &NodeDomain) -> Option<&ProvedCard> {
        self.cards.get(&self.state.node(domain)?.card()?)
    }

    /// Those who decide the next epoch, in the order of their domains.
    pub fn electorate(&self) -> Vec<Elector> {
        let elector = |(domain, id): (&NodeDomain, CardId)| {
            let card = self.cards.get(&id)?;
            Some(Elector { domain: domain.clone(), kid: card.card().kid, vote: card.vote().clone() })
        };
        self.state.voters().filter_map(elector).collect()
    }

    /// Their keys.
    pub fn voter_keys(&self) -> VoterKeys {
        self.electorate().into_iter().map(|elector| (elector.domain, elector.vote)).collect()
    }

    /// Does this proof count against the node it names? It is of this network and of an epoch that has begun, the key was that
    /// node's, and people have not forgiven it.
    pub fn counts(&self, proof: &DoubleVote) -> bool {
        let forgiven = self.state.forgiven(proof.accused());
        proof.network() == self.network
            && proof.epoch() <= self.number.saturating_add(1)
            && self.keys.get(proof.key().key()) == Some(proof.accused())
            && forgiven.is_none_or(|epoch| epoch < proof.epoch())
    }

    /// Which of these proofs suspend a member: a function of the state and the proofs alone, so that all who know them agree.
    pub fn suspends(&self, proof: &DoubleVote) -> bool {
        self.counts(proof) && matches!(self.standing(proof.accused()), Standing::Member { .. })
    }

    /// Counts the ballots on a proposal by today's voters.
    pub fn tally(&self, proposal: &SignedProposal, texts: &impl Texts) -> Ballots {
        super::judge::count(self, proposal, texts)
    }

    /// The next epoch that applies what can be applied of these proposals, up to eight; `None` if that is nothing.
    pub fn draft(&self, proposals: impl IntoIterator<Item = ProposalId>, texts: &impl Texts) -> Option<Decision> {
        super::judge::draft(self, proposals, texts)
    }

    /// Makes a card one of this network's.
    pub(super) fn take_card(&mut self, card: &ProvedCard) -> Result<(), Objection> {
        let domain = &card.card().domain;
        let keys = card.card().keys();
        if keys.iter().any(|key| self.keys.get(key).is_some_and(|owner| owner != domain)) {
            return Err(Objection::KeyOfAnother);
        }
        self.keys.extend(keys.into_iter().map(|key| (key, domain.clone())));
        self.cards.insert(card.id(), card.clone());
        Ok(())
    }

    /// Forgets what no rule asks for any more.
    pub(super) fn tidy(&mut self) {
        let (next, cards) = (self.number + 1, &mut self.cards);
        self.changed.retain(|_, at| *at + PROPOSAL_EPOCHS > next);
        self.grants.retain(|(at, _)| *at + GROWTH_WINDOW > next);
        let state = &self.state;
        cards.retain(|id, card| state.node(&card.card().domain).and_then(Line::card) == Some(*id));
    }

    /// Is it the next?
    pub(super) fn check_place(&self, decision: &Decision) -> Result<(), Objection> {
        if decision.network != self.network {
            return Err(Objection::OtherNetwork);
        }
        if decision.number != self.number + 1 {
            return Err(Objection::Number);
        }
        if decision.parent != self.head { Err(Objection::Parent) } else { Ok(()) }
    }

    /// Notes how many votes are new by the epoch that is about to be the last. Only those count that were given under the cap.
    pub(super) fn note_grants(&mut self, number: u64, voters_before: usize, new: usize) {
        if new > 0 && voters_before >= GROWTH_CAPPED_FROM {
            self.grants.push_back((number, new));
        }
    }
}

fn check_founding(genesis: &Genesis, state: &State) -> Result<(), Objection> {
    let sound = |line: &Line| match line {
        Line::Member { role, sponsor, .. } => *role == Role::Voter && sponsor.is_none(),
        Line::Banned { .. } => genesis.continues.is_some(),
        Line::Pardon { .. } => false,
        Line::Param { .. } => true,
    };
    let founders = state.voter_count();
    if !state.lines().all(sound) || founders == 0 || founders > FOUNDERS_MAX {
        return Err(Objection::Founding);
    }
    if state.proto() == Some(RULES) { Ok(()) } else { Err(Objection::Rules) }
}

/// The version of the rules that this code judges by: the value of the rule `proto`.
pub const RULES: u32 = 1;
/// Founders of a network.
pub const FOUNDERS_MAX: usize = 32;
