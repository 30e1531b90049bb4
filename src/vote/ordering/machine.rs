//! One epoch's ordering as its owner sees it: what goes in, what comes out, and where it stands.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::electorate::Electorate;
use super::journal::{Entry, Said};
use super::message::{Certificate, Message, Phase, Proposal, Signature, ValueId, Vote, Voter};
use super::tally::{DoubleVote, News, ROUNDS_AHEAD, ROUNDS_BEHIND, Tally};

/// Where a voter is in its round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing approved is known, nobody has begun.
    Idle,
    /// Waits for the proposal.
    Propose,
    /// Has prevoted.
    Prevote,
    /// Has precommitted.
    Precommit,
}

/// A timer of a round. One that runs out when its round or step is over changes nothing, so none needs to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// The proposal of this round should be here.
    Propose(u32),
    /// Prevotes that agree should be here.
    Prevote(u32),
    /// Precommits that agree should be here.
    Precommit(u32),
}

/// What the texts that are here say about a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It may be the next epoch.
    Valid,
    /// It may not, and never will.
    Invalid,
    /// These texts (by their SHA-256) are missing to know; the value's own is one of them when it is not here.
    Missing(Vec<[u8; 32]>),
}

/// The texts that are here. Answers depend on the chain and on texts alone, never on clocks: what is valid for one is valid for
/// all, at any time, once the texts are there.
pub trait Texts {
    /// Whether `value` may be the next epoch.
    fn valid(&self, value: &ValueId) -> Validity;
    /// What we would propose: an epoch that applies approved proposals. `None` when there is none.
    fn candidate(&self) -> Option<ValueId>;
}

/// What the owner has to do, in the order given; the next action only after this one is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Append to the journal, and do not go on before it is on the disk. When that fails, nothing after it may be done.
    Journal(Entry),
    /// Sign it, and hand it back by [`Ordering::hear`], which forwards it.
    Say(Entry),
    /// Send it to all peers that are connected. It is told once; who connects later asks for [`Ordering::messages`].
    Forward(Message),
    /// Call [`Ordering::expired`] after so much time on the monotonic clock.
    Arm(Timer, Duration),
    /// Ask peers for these texts, which decide over the value; call [`Ordering::texts_changed`] when any came.
    WantTexts(ValueId, Vec<[u8; 32]>),
    /// Keep and spread the proof that a voter broke the rules.
    Evidence(Box<DoubleVote>),
    /// Others have a vote of ours that our journal has not: our data was put back from an old copy. We abstain from now on in this
    /// epoch; tell the [`Guard`](super::Guard).
    Abstain,
    /// A quorum precommitted what is invalid for us: our software or our chain differs from theirs. The operator must know; told
    /// once.
    Disagree(ValueId),
    /// The epoch is decided, by these precommits. Nothing comes after it.
    Decided(Arc<Certificate>),
}

/// Why a message was not taken. All but [`Refusal::OtherEpoch`] are faults of who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is about another epoch.
    OtherEpoch,
    /// It is by nobody who votes.
    NoVoter,
    /// It is a proposal by somebody whose turn it is not.
    NotProposer,
    /// A proposal's valid round is not before its round.
    ValidRound,
    /// A certificate for nil, with too few lines, or with lines that are not each by one voter and in order.
    Certificate,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherEpoch => "it is about another epoch",
            Self::NoVoter => "it is not by a voter",
            Self::NotProposer => "it is not its turn to propose",
            Self::ValidRound => "the valid round of the proposal is not before its round",
            Self::Certificate => "the certificate is no quorum of voters for a value",
        })
    }
}

impl std::error::Error for Refusal {}

/// The ordering of one epoch at one node. Every call answers with what is to be done; see [`Action`].
#[derive(Debug)]
pub struct Ordering {
    pub(super) epoch: u64,
    pub(super) electorate: Electorate,
    pub(super) me: Option<Voter>,
    pub(super) abstains: bool,
    pub(super) said: Said,
    pub(super) round: u32,
    pub(super) step: Step,
    pub(super) proposer: Voter,
    pub(super) locked: Option<(u32, ValueId)>,
    pub(super) valid: Option<(u32, ValueId)>,
    pub(super) held: bool,
    pub(super) armed_prevote: bool,
    pub(super) armed_precommit: bool,
    pub(super) wanted: BTreeSet<ValueId>,
    pub(super) odd: BTreeSet<ValueId>,
    pub(super) others_moved: bool,
    pub(super) tally: Tally,
    pub(super) decided: Option<Arc<Certificate>>,
    pub(super) actions: Vec<Action>,
}

impl Ordering {
    /// Begins, or goes on after a start. `me`: our place among the voters, `None` for an associate, who follows and says nothing;
    /// `may_vote`: what the [`Guard`](super::Guard) allows; `said`: the journal's part about this epoch.
    pub fn start(
        epoch: u64,
        electorate: Electorate,
        me: Option<Voter>,
        may_vote: bool,
        said: Said,
    ) -> (Self, Vec<Action>) {
        let tally = Tally::new(epoch, &electorate);
        let mut ordering = Self {
            epoch,
            proposer: electorate.proposer(0),
            electorate,
            me,
            abstains: !may_vote,
            round: 0,
            step: Step::Idle,
            locked: said.lock(),
            valid: said.lock(),
            said,
            held: false,
            armed_prevote: false,
            armed_precommit: false,
            wanted: BTreeSet::new(),
            odd: BTreeSet::new(),
            others_moved: false,
            tally,
            decided: None,
            actions: Vec::new(),
        };
        ordering.go_on();
        let actions = std::mem::take(&mut ordering.actions);
        (ordering, actions)
    }

    /// Something approved is known, or something else than before.
    pub fn approved(&mut self, texts: &impl Texts) -> Vec<Action> {
        if self.step == Step::Idle && self.decided.is_none() && texts.candidate().is_some() {
            self.start_round(0);
        }
        self.settle(texts)
    }

    /// Texts came that were missing.
    pub fn texts_changed(&mut self, texts: &impl Texts) -> Vec<Action> {
        self.wanted.clear();
        self.settle(texts)
    }

    /// A message came, whose signatures are verified. Known ones change nothing.
    pub fn hear(&mut self, message: Message, texts: &impl Texts) -> Result<Vec<Action>, Refusal> {
        if message.epoch() != self.epoch {
            return Err(Refusal::OtherEpoch);
        }
        if self.decided.is_some() {
            return Ok(Vec::new());
        }
        let news = match &message {
            Message::Proposal(voter, proposal, signature) => self.take_proposal(*voter, *proposal, *signature)?,
            Message::Vote(voter, vote, signature) => self.take_vote(*voter, *vote, *signature)?,
            Message::Certificate(certificate) => self.take_certificate(certificate)?,
        };
        let Some(news) = news else { return Ok(self.settle(texts)) };
        self.actions.extend(news.doubles.into_iter().map(|double| Action::Evidence(Box::new(double))));
        if news.fresh {
            let whole = matches!(message, Message::Certificate(_));
            self.actions.push(Action::Forward(message));
            if let Some(quorum) = news.quorum.filter(|_| !whole) {
                self.actions.push(Action::Forward(Message::Certificate(quorum)));
            }
            return Ok(self.settle(texts));
        }
        Ok(std::mem::take(&mut self.actions))
    }

    /// A timer ran out.
    pub fn expired(&mut self, timer: Timer, texts: &impl Texts) -> Vec<Action> {
        if self.decided.is_some() {
            return Vec::new();
        }
        match timer {
            // Algorithm 1, OnTimeoutPropose: nil, but only by who still waits for the proposal.
            Timer::Propose(round) if round == self.round && self.step == Step::Propose => self.prevote(None),
            // Algorithm 1, OnTimeoutPrevote.
            Timer::Prevote(round) if round == self.round && self.step == Step::Prevote => self.precommit(None),
            // Algorithm 1, OnTimeoutPrecommit.
            Timer::Precommit(round) if round == self.round && self.step != Step::Idle => {
                self.start_round(round.saturating_add(1));
            }
            _ => return Vec::new(),
        }
        self.settle(texts)
    }

    /// All that is known and may be told to a peer: proposals, votes, and quorums.
    pub fn messages(&self) -> impl Iterator<Item = Message> + '_ {
        self.tally.messages()
    }

    /// The number of the epoch that is to be decided.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Round and step.
    pub fn position(&self) -> (u32, Step) {
        (self.round, self.step)
    }

    /// The round and the value we are locked on.
    pub fn lock(&self) -> Option<(u32, ValueId)> {
        self.locked
    }

    /// The precommits that decided.
    pub fn decided(&self) -> Option<&Arc<Certificate>> {
        self.decided.as_ref()
    }

    /// How many votes are kept, for figures.
    pub fn votes_kept(&self) -> usize {
        self.tally.votes_kept()
    }

    /// Whether we keep from voting although we are a voter.
    pub fn abstains(&self) -> bool {
        self.abstains
    }

    /// Goes on where the journal ends, and says again what may not have been heard.
    fn go_on(&mut self) {
        let Some(round) = self.said.last_round() else { return };
        self.round = round;
        self.proposer = self.electorate.proposer(round);
        self.step = if self.said.vote(round, Phase::Precommit).is_some() {
            Step::Precommit
        } else if self.said.vote(round, Phase::Prevote).is_some() {
            Step::Prevote
        } else {
            Step::Propose
        };
        if self.me.is_some() && !self.abstains {
            let oldest = round.saturating_sub(ROUNDS_BEHIND);
            let again = self.said.entries(self.epoch).into_iter().filter(|entry| entry.round() >= oldest);
            self.actions.extend(again.map(Action::Say));
        }
        if self.step == Step::Propose {
            self.arm(Timer::Propose(round));
        }
    }

    fn take_proposal(
        &mut self,
        voter: Voter,
        proposal: Proposal,
        signature: Signature,
    ) -> Result<Option<News>, Refusal> {
        self.electorate.kid(voter).ok_or(Refusal::NoVoter)?;
        if proposal.valid_round.is_some_and(|valid| valid >= proposal.round) {
            return Err(Refusal::ValidRound);
        }
        if self.tally.round(proposal.round).is_some_and(|round| round.proposal.is_some_and(|kept| kept.0 == voter)) {
            return Ok(Some(News::default()));
        }
        let turn = if proposal.round == self.round { self.proposer } else { self.electorate.proposer(proposal.round) };
        if turn != voter {
            return Err(Refusal::NotProposer);
        }
        self.own_past(voter, self.said.proposal(proposal.round).map(|said| said.value) == Some(proposal.value));
        self.reached(voter, proposal.round);
        if !self.kept(proposal.round) {
            return Ok(None);
        }
        Ok(Some(News { fresh: self.tally.proposal(voter, proposal, signature), ..News::default() }))
    }

    fn take_vote(&mut self, voter: Voter, vote: Vote, signature: Signature) -> Result<Option<News>, Refusal> {
        self.electorate.kid(voter).ok_or(Refusal::NoVoter)?;
        self.own_past(voter, self.said.vote(vote.round, vote.phase) == Some(vote.value));
        self.reached(voter, vote.round);
        Ok(self.kept(vote.round).then(|| self.tally.vote(voter, vote, signature)))
    }

    fn take_certificate(&mut self, certificate: &Arc<Certificate>) -> Result<Option<News>, Refusal> {
        let vote = certificate.vote;
        let in_order = certificate.lines.is_sorted_by(|(a, _), (b, _)| a < b);
        if vote.value.is_none() || !in_order || certificate.lines.len() < self.electorate.quorum() {
            return Err(Refusal::Certificate);
        }
        if certificate.lines.iter().any(|(voter, _)| self.electorate.kid(*voter).is_none()) {
            return Err(Refusal::Certificate);
        }
        for (voter, _) in &certificate.lines {
            self.own_past(*voter, self.said.vote(vote.round, vote.phase) == Some(vote.value));
            self.reached(*voter, vote.round);
        }
        // A quorum of precommits decides, whatever its round.
        let keep = self.kept(vote.round) || vote.phase == Phase::Precommit;
        Ok(keep.then(|| self.tally.certificate(certificate)))
    }

    /// Whether votes of a round are kept.
    fn kept(&self, round: u32) -> bool {
        round >= self.round.saturating_sub(ROUNDS_BEHIND) && round <= self.round.saturating_add(ROUNDS_AHEAD)
    }

    fn reached(&mut self, voter: Voter, round: u32) {
        let ahead = round > self.round || self.step == Step::Idle;
        self.others_moved |= self.tally.reach(voter, round) && ahead;
    }

    /// A message with our own name on it that we have not `written` proves that our journal is not the newest.
    fn own_past(&mut self, voter: Voter, written: bool) {
        if Some(voter) == self.me && !written && !self.abstains {
            self.abstains = true;
            self.actions.push(Action::Abstain);
        }
    }
}

impl Entry {
    /// The round it is about.
    pub(super) fn round(&self) -> u32 {
        match self {
            Self::Proposal(proposal) => proposal.round,
            Self::Vote(vote) => vote.round,
        }
    }
}
