//! All that an epoch needs to be judged by somebody who has only the chain before it: its certificate, its proposals, the yes on them,
//! cards, evidence, consents. So epochs go to the disk and to nodes that catch up.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::ballot::{Ballot, Choice};
use super::card::ProvedCard;
use super::certificate::CertifiedEpoch;
use super::chain::{Chain, Texts};
use super::charter::SignedConsent;
use super::epoch::Epoch;
use super::evidence::DoubleVote;
use super::id::{CharterHash, EvidenceId, ProposalId};
use super::object::{Object, ObjectKind};
use super::proposal::SignedProposal;
use super::state::{Line, State};
use crate::trust::{CardId, NodeDomain, NoteSignature};

/// An epoch and its texts.
#[derive(Clone, Debug, Default)]
pub struct Bundle {
    epoch: Option<CertifiedEpoch>,
    state: Option<State>,
    proposals: BTreeMap<ProposalId, SignedProposal>,
    yes: BTreeMap<ProposalId, (Ballot, Vec<NoteSignature>)>,
    cards: BTreeMap<CardId, ProvedCard>,
    evidence: BTreeMap<EvidenceId, DoubleVote>,
    consents: BTreeMap<NodeDomain, SignedConsent>,
}

impl Bundle {
    /// The first epoch, its state and the founders' cards.
    pub fn of_first(epoch: CertifiedEpoch, state: State, cards: impl IntoIterator<Item = ProvedCard>) -> Bundle {
        let cards = cards.into_iter().map(|card| (card.id(), card)).collect();
        Bundle { epoch: Some(epoch), state: Some(state), cards, ..Bundle::default() }
    }

    /// An epoch that follows this chain, with what it refers to. `None` if something of it is not at hand.
    pub fn of(before: &Chain, epoch: CertifiedEpoch, texts: &impl Texts) -> Option<Bundle> {
        let Epoch::Decision(decision) = epoch.epoch() else { return None };
        let mut bundle = Bundle { epoch: Some(epoch.least(&before.voter_keys())), ..Bundle::default() };
        for id in decision.apply {
            let signed = texts.proposal(id)?;
            let proposal = signed.proposal();
            let lines = texts.yes(id);
            if !lines.is_empty() {
                let ballot = Ballot { network: before.network(), proposal: id, choice: Choice::Yes };
                bundle.yes.insert(id, (ballot, lines));
            }
            if let Some(card) = proposal.now.as_ref().and_then(Line::card).and_then(|card| texts.card(card)) {
                if let Some(consent) = before.state().charter().and_then(|c| texts.consent(&card.card().domain, c)) {
                    bundle.consents.insert(card.card().domain.clone(), consent.clone());
                }
                bundle.cards.insert(card.id(), card.clone());
            }
            bundle.evidence.extend(proposal.evidence.iter().filter_map(|id| Some((*id, texts.evidence(*id)?.clone()))));
            bundle.proposals.insert(id, signed.clone());
        }
        Some(bundle)
    }

    /// The epoch.
    pub fn epoch(&self) -> Option<&CertifiedEpoch> {
        self.epoch.as_ref()
    }

    /// The chain with this epoch.
    pub fn follow(&self, before: &Chain) -> Result<Chain, super::objection::Fault> {
        let epoch = self.epoch.as_ref().ok_or(super::objection::Objection::Number)?;
        before.follow(epoch, self)
    }

    /// The chain that begins with this epoch.
    pub fn begin(&self) -> Result<Chain, super::objection::Fault> {
        let (Some(epoch), Some(state)) = (&self.epoch, &self.state) else {
            return Err(super::objection::Objection::Number.into());
        };
        Chain::begin(epoch, state.clone(), self)
    }

    /// Puts an object in. What a bundle has no use for is left out, as is a card whose own keys did not sign it.
    pub fn add(&mut self, object: Object) {
        match object {
            Object::Epoch(epoch) => self.epoch = Some(epoch),
            Object::State(state) => self.state = Some(state),
            Object::Proposal(signed) => drop(self.proposals.insert(signed.id(), signed)),
            Object::Ballot(ballot, lines) if ballot.choice == Choice::Yes => {
                self.yes.insert(ballot.proposal, (ballot, lines));
            }
            Object::Evidence(proof) => drop(self.evidence.insert(proof.id(), proof)),
            Object::Consent(consent) => drop(self.consents.insert(consent.consent().by.clone(), consent)),
            Object::Card(introduction) => {
                let card = ProvedCard::check(introduction.card, introduction.certificate);
                self.cards.extend(card.map(|card| (card.id(), card)));
            }
            _ => {}
        }
    }

    /// All objects in it, the epoch first. Cards without a certificate are left out.
    pub fn objects(&self) -> Vec<Object> {
        let mut objects: Vec<Object> = self.epoch.iter().cloned().map(Object::Epoch).collect();
        objects.extend(self.state.iter().cloned().map(Object::State));
        objects.extend(self.proposals.values().cloned().map(Object::Proposal));
        objects.extend(self.yes.values().map(|(ballot, lines)| Object::Ballot(*ballot, lines.clone())));
        objects.extend(self.cards.values().filter_map(Object::card));
        objects.extend(self.evidence.values().cloned().map(Object::Evidence));
        objects.extend(self.consents.values().cloned().map(Object::Consent));
        objects
    }

    /// As one line without its end: each object's kind and its bytes in base64.
    pub fn to_line(&self) -> String {
        let word = |object: &Object| format!("{}:{}", object.kind().as_str(), STANDARD.encode(object.to_bytes()));
        self.objects().iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// Reads such a line.
    pub fn from_line(line: &str) -> Option<Bundle> {
        let mut bundle = Bundle::default();
        for word in line.split(' ') {
            let (kind, bytes) = word.split_once(':')?;
            let object = Object::parse(ObjectKind::parse(kind)?, &STANDARD.decode(bytes).ok()?).ok()?;
            bundle.add(object);
        }
        bundle.epoch.is_some().then_some(bundle)
    }
}

impl Texts for Bundle {
    fn proposal(&self, id: ProposalId) -> Option<&SignedProposal> {
        self.proposals.get(&id)
    }

    fn yes(&self, id: ProposalId) -> Vec<NoteSignature> {
        self.yes.get(&id).map(|(_, lines)| lines.clone()).unwrap_or_default()
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
