//! A small network to try decisions in, and tests of whole rules.

mod growing;
mod rules;
mod simulated;
mod texts;
mod vectors;
mod wire;

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::*;
use crate::pgp::Fingerprint;
use crate::stanza::Timestamp;
use crate::trust::{Card, KeyKind, NodeDomain, SignedCard, Signer, log_name, public_key, vote_name, witness_name};

pub(super) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

pub(super) fn domain(name: &str) -> NodeDomain {
    NodeDomain::parse(name).unwrap()
}

pub(super) fn signer(what: &str, name: &str, seed: &str) -> Signer {
    let kind = if what == "witness" { KeyKind::Cosigner } else { KeyKind::Note };
    Signer::new(name, kind, &Zeroizing::new(hash(&format!("test {what} {seed}")))).unwrap()
}

/// Whoever has this name: the keys are made of it and of `age`, but for the OpenPGP and recovery keys, which have their own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Keys<'a> {
    pub(super) name: &'a str,
    pub(super) age: u32,
    pub(super) openpgp: u32,
    pub(super) recovery: u32,
}

pub(super) fn keys(name: &str) -> Keys<'_> {
    Keys { name, age: 0, openpgp: 0, recovery: 0 }
}

impl Keys<'_> {
    fn seed(&self, age: u32) -> String {
        if age == 0 { self.name.to_owned() } else { format!("{} {age}", self.name) }
    }

    pub(super) fn vote(&self) -> Signer {
        signer("vote", &vote_name(&domain(self.name)), &self.seed(self.age))
    }

    pub(super) fn recovery(&self) -> Signer {
        signer("recovery", &format!("{}/recovery", self.name), &self.seed(self.recovery))
    }

    pub(super) fn card(&self) -> Card {
        let (name, seed) = (domain(self.name), self.seed(self.age));
        let [fingerprint @ .., _, _, _, _, _, _, _, _, _, _, _, _] = hash(&format!("fpr {}", self.seed(self.openpgp)));
        Card {
            kid: hash(&format!("test kid {}", self.seed(self.openpgp))),
            fingerprint: Fingerprint(fingerprint),
            vote: self.vote().public().clone(),
            witness: signer("witness", &witness_name(&name), &seed).public().clone(),
            log: self.log().public().clone(),
            label: public_key(&Zeroizing::new(hash(&format!("label {seed}"))), b"label").unwrap(),
            recovery: *self.recovery().public().key(),
            cut: None,
            domain: name,
        }
    }

    fn log(&self) -> Signer {
        signer("log", &log_name(&domain(self.name), 1), &self.seed(self.age))
    }

    pub(super) fn proved(&self) -> ProvedCard {
        self.proved_by(&[])
    }

    /// Signed by these recovery keys besides, or by its own if none is named.
    pub(super) fn proved_by(&self, recovery: &[Signer]) -> ProvedCard {
        let own = [self.recovery()];
        let recovery = if recovery.is_empty() { &own } else { recovery };
        let (vote, log) = (self.vote(), self.log());
        let signers: Vec<&Signer> = [&vote, &log].into_iter().chain(recovery).collect();
        let signed = SignedCard::make(self.card(), vec![1], &signers, Timestamp { millis: 0 });
        ProvedCard::check_notes_only(signed).unwrap()
    }
}

/// A network that decides whatever it is told to, by its rules.
pub(super) struct World {
    pub(super) chain: Chain,
    pub(super) pool: Pool,
    pub(super) history: Vec<CertifiedEpoch>,
    /// Keys of those whose keys are not the first ones.
    pub(super) renewed: BTreeMap<String, u32>,
    nonce: u64,
}

pub(super) fn member(name: &str, role: Role, sponsor: &str) -> Line {
    let sponsor = (sponsor != "-").then(|| domain(sponsor));
    Line::Member { domain: domain(name), role, card: keys(name).card().id(), sponsor }
}

pub(super) fn banned(name: &str, effect: BanEffect) -> Line {
    Line::Banned { domain: domain(name), card: keys(name).card().id(), effect }
}

pub(super) fn param(name: &str, value: &str) -> Line {
    Line::Param { name: name.to_owned(), value: value.to_owned() }
}

/// The names of so many nodes.
pub(super) fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("n{n}.example")).collect()
}

impl World {
    pub(super) fn of(founders: &[&str], more: &[Line]) -> World {
        let lines = founders.iter().map(|name| member(name, Role::Voter, "-"));
        let lines = lines.chain([param(PROTO, "1")]).chain(more.iter().cloned());
        let state = State::new(lines).unwrap();
        let genesis = Genesis { name: "test-net".to_owned(), nonce: [7; 16], continues: None, state: state.hash() };
        let signers: Vec<Signer> = founders.iter().map(|name| keys(name).vote()).collect();
        let first = CertifiedEpoch::found(genesis, &signers.iter().collect::<Vec<_>>());
        let cards = Shelf(founders.iter().map(|name| keys(name).proved()).map(|card| (card.id(), card)).collect());
        let chain = Chain::begin(&first, state, &cards).unwrap();
        World { chain, pool: Pool::default(), history: vec![first], renewed: BTreeMap::new(), nonce: 0 }
    }

    pub(super) fn of_count(voters: usize) -> World {
        let names = names(voters);
        World::of(&names.iter().map(String::as_str).collect::<Vec<_>>(), &[])
    }

    pub(super) fn vote_key(&self, name: &str) -> Signer {
        Keys { age: self.renewed.get(name).copied().unwrap_or(0), ..keys(name) }.vote()
    }

    pub(super) fn proposal(&mut self, kind: Kind, was: Option<Line>, now: Option<Line>, by: &str) -> Proposal {
        self.nonce += 1;
        Proposal {
            network: self.chain.network(),
            kind,
            was,
            now,
            opened: self.chain.number(),
            nonce: self.nonce.to_be_bytes(),
            evidence: Default::default(),
            by: domain(by),
            reason: "because".to_owned(),
        }
    }

    /// Opens a proposal, with the card it brings.
    pub(super) fn open(&mut self, proposal: Proposal) -> Result<ProposalId, Refusal> {
        let signed = SignedProposal::make(proposal.clone(), &self.vote_key(proposal.by.as_str())).unwrap();
        let id = signed.id();
        self.pool.take_proposal(&self.chain, signed, false)?;
        if let (Kind::Admit, Some(node)) = (proposal.kind, proposal.node()) {
            let _ = self.pool.take_card(&self.chain, keys(node.as_str()).proved());
        }
        Ok(id)
    }

    pub(super) fn say(&mut self, id: ProposalId, choice: Choice, by: &str) -> Result<bool, Refusal> {
        let ballot = Ballot { network: self.chain.network(), proposal: id, choice };
        let line = super::text::sign(&self.vote_key(by), &ballot.to_text());
        self.pool.take_ballot(&self.chain, ballot, line)
    }

    /// All of these say yes.
    pub(super) fn agree(&mut self, id: ProposalId, names: &[&str]) {
        for name in names {
            self.say(id, Choice::Yes, name).unwrap();
        }
    }

    /// Decides these proposals with the signatures of all voters.
    pub(super) fn decide(&mut self, ids: &[ProposalId]) -> Result<(), Fault> {
        let Some(decision) = self.chain.draft(ids.iter().copied(), &self.pool) else {
            let signed = ids.iter().filter_map(|id| self.pool.proposal(*id));
            let faults: Vec<Fault> = signed.filter_map(|s| self.chain.check(s, &self.pool).err()).collect();
            return Err(faults.into_iter().next().unwrap_or(Fault::Invalid(Objection::Growth)));
        };
        assert_eq!(decision.apply.len(), ids.len(), "not all can be applied together");
        let text = precommit(&decision, 0).to_text();
        let electorate = self.chain.electorate();
        let lines = electorate.iter().map(|e| super::text::sign(&self.vote_key(e.domain.as_str()), &text)).collect();
        let certified = CertifiedEpoch::Decision { decision, round: 0, lines };
        let bytes = certified.to_text();
        assert_eq!(CertifiedEpoch::parse(bytes.as_bytes()), Ok(certified.clone()));
        self.chain = self.chain.follow(&certified, &self.pool)?;
        self.pool.advance(&self.chain);
        self.history.push(certified);
        Ok(())
    }

    /// Opens, lets these say yes, decides.
    pub(super) fn pass(&mut self, proposal: Proposal, yes: &[&str]) -> Result<ProposalId, Fault> {
        let id = self.open(proposal).unwrap();
        for name in yes {
            self.say(id, Choice::Yes, name).unwrap();
        }
        self.decide(&[id]).map(|()| id)
    }

    pub(super) fn voters(&self) -> Vec<String> {
        self.chain.state().voters().map(|(domain, _)| domain.to_string()).collect()
    }
}

/// Cards alone.
pub(super) struct Shelf(pub(super) BTreeMap<crate::trust::CardId, ProvedCard>);

impl Texts for Shelf {
    fn proposal(&self, _: ProposalId) -> Option<&SignedProposal> {
        None
    }

    fn yes(&self, _: ProposalId) -> Vec<crate::trust::NoteSignature> {
        Vec::new()
    }

    fn card(&self, id: crate::trust::CardId) -> Option<&ProvedCard> {
        self.0.get(&id)
    }

    fn evidence(&self, _: EvidenceId) -> Option<&DoubleVote> {
        None
    }

    fn consent(&self, _: &NodeDomain, _: CharterHash) -> Option<&SignedConsent> {
        None
    }
}
