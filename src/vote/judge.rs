//! What may be decided next: one function of the chain so far, the texts that are referred to, and the signatures on them. It knows
//! no clock, no mirrors and no suspensions, so that honest nodes never differ but in what they have not seen yet.

use std::collections::BTreeSet;

use super::ballot::{Ballot, Choice};
use super::card::ProvedCard;
use super::certificate::signers;
use super::chain::{Chain, RULES, Texts};
use super::epoch::{APPLY_MAX, Decision};
use super::id::ProposalId;
use super::objection::{Fault, Objection, Want};
use super::proposal::{Kind, PROPOSAL_EPOCHS, Proposal, SignedProposal};
use super::state::{BanEffect, Line, LineKey, Role, STATE_LINES_MAX};
use super::threshold::{GROWTH_WINDOW, Needed, Question, growth_cap, needed};
use crate::trust::{CardId, NodeDomain};

/// The ballots on a proposal that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballots {
    /// Who said yes and counts.
    pub yes: Vec<NodeDomain>,
    /// How many are needed.
    pub needed: usize,
    /// How many would be, if the evidence it names were at hand and good; `None` if it names none that matters.
    pub with_evidence: Option<usize>,
    /// How many could say yes.
    pub asked: usize,
}

impl Ballots {
    /// Is it approved?
    pub fn is_approved(&self) -> bool {
        self.yes.len() >= self.needed
    }
}

impl Chain {
    /// Is this the next epoch? Then the chain with it; else why not, or what would have to be known.
    pub fn judge(&self, decision: &Decision, texts: &impl Texts) -> Result<Chain, Fault> {
        self.check_place(decision)?;
        self.check_rules()?;
        let mut missing = BTreeSet::new();
        let mut proposals = Vec::new();
        for id in &decision.apply {
            let Some(signed) = texts.proposal(*id) else {
                missing.insert(Want::Proposal(*id));
                continue;
            };
            match self.check(signed, texts) {
                Ok(()) => proposals.push(signed),
                Err(Fault::Missing(wants)) => missing.extend(wants),
                Err(invalid) => return Err(invalid),
            }
        }
        if !missing.is_empty() {
            return Err(Fault::Missing(missing));
        }
        let mut next = self.applied(&proposals, texts)?;
        if next.state.hash() != decision.state {
            return Err(Objection::State.into());
        }
        next.head = decision.id();
        Ok(next)
    }

    /// Could this proposal alone be decided next? Then all that is left is that somebody does.
    pub fn check(&self, signed: &SignedProposal, texts: &impl Texts) -> Result<(), Fault> {
        self.check_open(signed.proposal())?;
        check_proposer(self, signed, texts)?;
        check_card(self, signed.proposal(), texts)?;
        check_approval(self, signed, texts)
    }

    /// Is the proposal still open: of this network, neither too old nor from the future, and what it would change is still so and
    /// was all the time? A proposal that was overtaken once stays dead, even if the line comes back; else the yes ballots on a ban,
    /// which cannot be taken back, would ban again whoever was reinstated.
    pub fn check_open(&self, proposal: &Proposal) -> Result<(), Objection> {
        if proposal.network != self.network {
            return Err(Objection::OtherNetwork);
        }
        if proposal.opened > self.number {
            return Err(Objection::NotYet);
        }
        if self.number - proposal.opened >= PROPOSAL_EPOCHS {
            return Err(Objection::TooOld);
        }
        let key = proposal.key().ok_or(Objection::Form)?;
        let overtaken = self.changed.get(&key).is_some_and(|changed| *changed > proposal.opened);
        if overtaken || self.state.line(&key) != proposal.was.as_ref() {
            return Err(Objection::Overtaken);
        }
        if is_of_its_kind(self, proposal) { Ok(()) } else { Err(Objection::Form) }
    }

    /// Does this version know the rules that are in force? If not, the node must not vote, loudly.
    pub fn check_rules(&self) -> Result<(), Objection> {
        if self.state.proto() == Some(RULES) { Ok(()) } else { Err(Objection::Rules) }
    }

    /// The chain after all of these, but for its head.
    fn applied(&self, proposals: &[&SignedProposal], texts: &impl Texts) -> Result<Chain, Fault> {
        let mut next = self.clone();
        next.number += 1;
        let mut subjects = BTreeSet::new();
        for signed in proposals {
            let proposal = signed.proposal();
            let key = proposal.key().ok_or(Objection::Form)?;
            if !subjects.insert(key.subject().to_owned()) {
                return Err(Objection::SubjectTwice.into());
            }
            if let Some(id) = new_card(proposal) {
                let card = known_card(self, id, texts)?;
                next.take_card(card)?;
            }
            next.changed.insert(key.clone(), next.number);
            next.state.replace(key, proposal.now.clone());
        }
        let before = self.state.voter_count();
        let new = next.state.voters().filter(|(domain, _)| !self.state.is_voter(domain)).count();
        if let Some(cap) = growth_cap(before) {
            let window = |at: u64| at + GROWTH_WINDOW > next.number;
            let recent: usize = self.grants.iter().filter(|(at, _)| window(*at)).map(|(_, count)| count).sum();
            if new > 0 && recent + new > cap {
                return Err(Objection::Growth.into());
            }
        }
        if next.state.voter_count() == 0 {
            return Err(Objection::NoVoters.into());
        }
        if next.state.len() > STATE_LINES_MAX {
            return Err(Objection::TooLong.into());
        }
        next.note_grants(self.number + 1, before, new);
        next.tidy();
        Ok(next)
    }
}

/// Makes the next epoch of what can be applied together, those with the smallest ids first.
pub(super) fn draft(
    chain: &Chain,
    proposals: impl IntoIterator<Item = ProposalId>,
    texts: &impl Texts,
) -> Option<Decision> {
    chain.check_rules().ok()?;
    let ids: BTreeSet<ProposalId> = proposals.into_iter().collect();
    let mut chosen: Vec<&SignedProposal> = Vec::new();
    let mut best = None;
    for id in ids {
        let Some(signed) = texts.proposal(id).filter(|signed| chain.check(signed, texts).is_ok()) else { continue };
        chosen.push(signed);
        match chain.applied(&chosen, texts) {
            Ok(next) => best = Some(next.state.hash()),
            Err(_) => drop(chosen.pop()),
        }
        if chosen.len() == APPLY_MAX {
            break;
        }
    }
    Some(Decision {
        network: chain.network,
        number: chain.number + 1,
        parent: chain.head,
        apply: chosen.iter().map(|signed| signed.id()).collect(),
        state: best?,
    })
}

/// Counts the ballots on a proposal by the voters of the last epoch's state.
pub(super) fn count(chain: &Chain, signed: &SignedProposal, texts: &impl Texts) -> Ballots {
    let proposal = signed.proposal();
    let subject = proposal.node();
    let subject_votes = subject.as_ref().is_some_and(|subject| chain.state.is_voter(subject));
    let voters = chain.state.voter_count();
    let question = Question {
        kind: proposal.kind,
        role: proposal.now.as_ref().and_then(Line::role),
        voters,
        subject_votes,
        proved: false,
        self_proving: is_self_proving(chain, proposal, texts),
    };
    let least = needed(Question { proved: true, ..question });
    let Needed { yes: full, subject_counts } = needed(question);
    let proofs = proposal.evidence.iter().filter_map(|id| texts.evidence(*id));
    let proved = proofs.filter(|proof| subject.as_ref() == Some(proof.accused())).any(|proof| chain.counts(proof));
    let mut asked = chain.voter_keys();
    if let Some(subject) = subject.as_ref().filter(|_| !subject_counts) {
        asked.remove(subject);
    }
    let ballot = Ballot { network: chain.network, proposal: signed.id(), choice: Choice::Yes };
    let yes = signers(&ballot.to_text(), &texts.yes(signed.id()), &asked).into_iter().cloned().collect();
    let matters = least.yes < full && !proposal.evidence.is_empty();
    Ballots {
        yes,
        needed: if proved { least.yes } else { full },
        with_evidence: matters.then_some(least.yes),
        asked: asked.len(),
    }
}

fn check_approval(chain: &Chain, signed: &SignedProposal, texts: &impl Texts) -> Result<(), Fault> {
    let ballots = count(chain, signed, texts);
    if ballots.is_approved() {
        return Ok(());
    }
    let unseen = |least: usize| {
        let wanted = signed.proposal().evidence.iter().filter(|id| texts.evidence(**id).is_none());
        let wanted: BTreeSet<Want> = wanted.map(|id| Want::Evidence(*id)).collect();
        (ballots.yes.len() >= least && !wanted.is_empty()).then_some(wanted)
    };
    let mut wants =
        ballots.with_evidence.and_then(unseen).unwrap_or_else(|| BTreeSet::from([Want::Ballots(signed.id())]));
    if signed.proposal().kind == Kind::RotateKey {
        wants.extend(new_card(signed.proposal()).map(Want::Card));
    }
    Err(Fault::Missing(wants))
}

/// Is the change one that a proposal of this kind makes?
fn is_of_its_kind(chain: &Chain, proposal: &Proposal) -> bool {
    use Line::{Banned, Member, Param, Pardon};
    let by = Some(&proposal.by);
    match (proposal.kind, &proposal.was, &proposal.now) {
        (Kind::Admit, None, Some(Member { sponsor, .. })) => sponsor.as_ref() == by,
        (
            Kind::GrantVote | Kind::StripVote | Kind::RotateKey,
            Some(Member { role: r1, card: c1, sponsor: s1, .. }),
            Some(Member { role: r2, card: c2, sponsor: s2, .. }),
        ) => {
            let roles = match proposal.kind {
                Kind::GrantVote => (*r1, *r2) == (Role::Associate, Role::Voter),
                Kind::StripVote => (*r1, *r2) == (Role::Voter, Role::Associate),
                _ => r1 == r2,
            };
            roles && s1 == s2 && (c1 != c2) == (proposal.kind == Kind::RotateKey)
        }
        (Kind::Ban, Some(Member { card: c1, .. }), Some(Banned { card: c2, .. })) => c1 == c2,
        (
            Kind::Ban,
            Some(Banned { card: c1, effect: BanEffect::Grace, .. }),
            Some(Banned { card: c2, effect: BanEffect::Immediate, .. }),
        ) => c1 == c2,
        (Kind::Reinstate, Some(Banned { card: c1, .. }), Some(Member { role, card: c2, sponsor, .. })) => {
            c1 == c2 && *role == Role::Associate && sponsor.as_ref() == by
        }
        (Kind::Leave, Some(Member { .. }), None) => true,
        (Kind::SetParam, None | Some(Param { .. }), Some(Param { .. })) => proposal.was != proposal.now,
        (Kind::Pardon, was, Some(Pardon { domain, epoch })) => {
            // What is still to come is not forgiven.
            let later = match was {
                Some(Pardon { epoch: before, .. }) => epoch > before,
                was => was.is_none(),
            };
            later && *epoch <= chain.number && chain.state.node(domain).is_some()
        }
        _ => false,
    }
}

/// The card that a proposal brings.
fn new_card(proposal: &Proposal) -> Option<CardId> {
    let brings = matches!(proposal.kind, Kind::Admit | Kind::RotateKey | Kind::Reinstate);
    proposal.now.as_ref().filter(|_| brings).and_then(Line::card)
}

fn known_card<'a>(chain: &'a Chain, id: CardId, texts: &'a impl Texts) -> Result<&'a ProvedCard, Fault> {
    chain.cards.get(&id).or_else(|| texts.card(id)).ok_or_else(|| Want::Card(id).into())
}

fn check_card(chain: &Chain, proposal: &Proposal, texts: &impl Texts) -> Result<(), Fault> {
    let Some(id) = new_card(proposal) else { return Ok(()) };
    let card = known_card(chain, id, texts)?;
    if Some(&card.card().domain) != proposal.node().as_ref() {
        return Err(Objection::CardOfAnother.into());
    }
    let signed = match (proposal.kind, old_card(chain, proposal)) {
        (Kind::RotateKey, Some(old)) => card.may_follow(old.card()),
        (Kind::Reinstate, _) => true,
        _ => card.may_begin(),
    };
    // Another copy of the card may have the signature: what is signed is the same, so honest nodes must not call it wrong.
    if !signed {
        return Err(Want::Card(id).into());
    }
    let mut owners = card.card().keys().into_iter().filter_map(|key| chain.keys.get(&key));
    if owners.any(|owner| *owner != card.card().domain) {
        return Err(Objection::KeyOfAnother.into());
    }
    // Who joins agrees to the charter.
    match chain.state.charter() {
        Some(charter) if proposal.kind == Kind::Admit => {
            let domain = &card.card().domain;
            let consent = texts.consent(domain, charter).filter(|signed| {
                let consent = signed.consent();
                let about = (consent.network, consent.charter, &consent.by);
                about == (chain.network, charter, domain) && signed.is_signed_by(card.vote())
            });
            consent.map(|_| ()).ok_or_else(|| Want::Consent(domain.clone()).into())
        }
        _ => Ok(()),
    }
}

fn old_card<'a>(chain: &'a Chain, proposal: &Proposal) -> Option<&'a ProvedCard> {
    chain.cards.get(&proposal.was.as_ref()?.card()?)
}

/// Does the new card of a proposal take the place of the old one without anybody's vote? Its subject must ask for it. A key that was
/// replaced before comes back by people's decision alone, since the old card is signed as well.
fn is_self_proving(chain: &Chain, proposal: &Proposal, texts: &impl Texts) -> bool {
    if proposal.kind != Kind::RotateKey || proposal.node().as_ref() != Some(&proposal.by) {
        return false;
    }
    let new = new_card(proposal).and_then(|id| known_card(chain, id, texts).ok());
    let (Some(new), Some(old)) = (new, old_card(chain, proposal)) else { return false };
    let (old_keys, new_keys) = (old.card().keys(), new.card().keys());
    let fresh = new_keys.iter().all(|key| old_keys.contains(key) || !chain.keys.contains_key(key));
    fresh && new.replaces_by_itself(old.card())
}

fn check_proposer(chain: &Chain, signed: &SignedProposal, texts: &impl Texts) -> Result<(), Fault> {
    let proposal = signed.proposal();
    let own = proposal.key() == Some(LineKey::Node(proposal.by.clone()));
    let new = match new_card(proposal) {
        Some(id) if proposal.kind == Kind::RotateKey => Some(known_card(chain, id, texts)?),
        _ => None,
    };
    let by_itself = own && (proposal.kind == Kind::Leave || is_self_proving(chain, proposal, texts));
    let may = match proposal.kind {
        Kind::Leave => own,
        _ => by_itself || chain.state.is_voter(&proposal.by),
    };
    if !may {
        // Another copy of the card may have the recovery key's signature.
        return match new {
            Some(card) if own => Err(Want::Card(card.id()).into()),
            _ => Err(Objection::Proposer.into()),
        };
    }
    let old = chain.card_of(&proposal.by).is_some_and(|card| signed.is_signed_by(card.vote()));
    // The old vote key may be lost with the machine.
    let renewed = by_itself && new.is_some_and(|card| signed.is_signed_by(card.vote()));
    // So may another copy of the proposal.
    if old || renewed { Ok(()) } else { Err(Want::Proposal(signed.id()).into()) }
}
