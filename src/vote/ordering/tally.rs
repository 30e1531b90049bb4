//! What was heard about one epoch: kept by round, counted by value, within bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::electorate::Electorate;
use super::message::{Certificate, Message, Phase, Proposal, Signature, ValueId, Vote, Voter};

/// Rounds ahead of ours of which votes are kept.
pub const ROUNDS_AHEAD: u32 = 100;
/// Rounds behind ours of which votes are kept, to prove a proposal's valid round and to help those who lag.
pub const ROUNDS_BEHIND: u32 = 20;
/// Older rounds that are kept because a quorum prevoted for a value in them: somebody may be locked on it.
pub const LOCKS_KEPT: usize = 4;
/// Double votes that are told of each voter and epoch.
pub const EVIDENCE_PER_VOTER: usize = 8;
/// Values with a quorum in one round and phase that are kept. More than one takes 2q − n double voters.
const QUORUMS_KEPT: usize = 2;

/// Two votes of one voter for one epoch, round and phase: proof that it broke the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoubleVote {
    /// Who.
    pub voter: Voter,
    /// The vote that was heard first.
    pub first: (Vote, Signature),
    /// The other.
    pub second: (Vote, Signature),
}

/// The votes of one phase of one round.
#[derive(Debug, Default)]
pub(super) struct Count {
    votes: BTreeMap<Voter, (Option<ValueId>, Signature)>,
    by_value: BTreeMap<Option<ValueId>, usize>,
    quorums: BTreeMap<ValueId, Arc<Certificate>>,
}

impl Count {
    /// How many voters voted for anything.
    pub(super) fn any(&self) -> usize {
        self.votes.len()
    }

    /// How many voted nil.
    pub(super) fn nil(&self) -> usize {
        self.by_value.get(&None).copied().unwrap_or(0)
    }

    /// The values that a quorum voted for.
    pub(super) fn quorums(&self) -> impl Iterator<Item = (&ValueId, &Arc<Certificate>)> {
        self.quorums.iter()
    }

    /// Whether a quorum voted for `value`.
    pub(super) fn has_quorum(&self, value: &ValueId) -> bool {
        self.quorums.contains_key(value)
    }
}

/// What is kept of one round.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) proposal: Option<(Voter, Proposal, Signature)>,
    pub(super) prevotes: Count,
    pub(super) precommits: Count,
}

/// What a message changed.
#[derive(Debug, Default)]
pub(super) struct News {
    /// It was not known, and is kept.
    pub(super) fresh: bool,
    /// It completed a quorum for a value.
    pub(super) quorum: Option<Arc<Certificate>>,
    /// It proves double votes.
    pub(super) doubles: Vec<DoubleVote>,
}

/// All that was heard about one epoch.
#[derive(Debug)]
pub(super) struct Tally {
    epoch: u64,
    quorum: usize,
    weak: usize,
    rounds: BTreeMap<u32, Round>,
    reached: Vec<Option<u32>>,
    told: BTreeMap<Voter, BTreeSet<(u32, Phase)>>,
}

impl Tally {
    pub(super) fn new(epoch: u64, electorate: &Electorate) -> Self {
        Self {
            epoch,
            quorum: electorate.quorum(),
            weak: electorate.weak_quorum(),
            rounds: BTreeMap::new(),
            reached: vec![None; electorate.n()],
            told: BTreeMap::new(),
        }
    }

    pub(super) fn round(&self, round: u32) -> Option<&Round> {
        self.rounds.get(&round)
    }

    pub(super) fn rounds(&self) -> impl DoubleEndedIterator<Item = (u32, &Round)> {
        self.rounds.iter().map(|(number, round)| (*number, round))
    }

    /// Notes how far a voter is. Whether that is further than before.
    pub(super) fn reach(&mut self, voter: Voter, round: u32) -> bool {
        let Some(reached) = self.reached.get_mut(usize::from(voter.0)) else { return false };
        let further = reached.is_none_or(|before| round > before);
        if further {
            *reached = Some(round);
        }
        further
    }

    /// The highest round that n − q + 1 voters have reached or passed.
    pub(super) fn weakly_reached(&self) -> Option<u32> {
        let mut rounds: Vec<u32> = self.reached.iter().flatten().copied().collect();
        rounds.sort_unstable_by(|a, b| b.cmp(a));
        rounds.get(self.weak - 1).copied()
    }

    /// Keeps the first proposal of its round. The caller has checked that it is the proposer's.
    pub(super) fn proposal(&mut self, voter: Voter, proposal: Proposal, signature: Signature) -> bool {
        let slot = &mut self.rounds.entry(proposal.round).or_default().proposal;
        let fresh = slot.is_none();
        if fresh {
            *slot = Some((voter, proposal, signature));
        }
        fresh
    }

    /// Keeps the first vote of a voter for a round and phase; another one is proof of a double vote.
    pub(super) fn vote(&mut self, voter: Voter, vote: Vote, signature: Signature) -> News {
        let count = self.count(vote.round, vote.phase);
        if let Some((value, held)) = count.votes.get(&voter) {
            if *value == vote.value {
                return News::default();
            }
            let first = (Vote { value: *value, ..vote }, *held);
            let double = DoubleVote { voter, first, second: (vote, signature) };
            return News { doubles: self.tell(double).into_iter().collect(), ..News::default() };
        }
        count.votes.insert(voter, (vote.value, signature));
        let votes = count.by_value.entry(vote.value).or_default();
        *votes += 1;
        let votes = *votes;
        let quorum = vote.value.filter(|_| votes >= self.quorum).and_then(|value| self.complete(vote, value));
        News { fresh: true, quorum, doubles: Vec::new() }
    }

    /// Keeps a quorum that came in one piece, and its votes. The caller has checked its lines.
    pub(super) fn certificate(&mut self, certificate: &Arc<Certificate>) -> News {
        let Some(value) = certificate.vote.value else { return News::default() };
        let vote = certificate.vote;
        let quorums = &mut self.count(vote.round, vote.phase).quorums;
        if quorums.contains_key(&value) || quorums.len() >= QUORUMS_KEPT {
            return News::default();
        }
        quorums.insert(value, certificate.clone());
        let mut news = News { fresh: true, quorum: Some(certificate.clone()), doubles: Vec::new() };
        for (voter, signature) in &certificate.lines {
            news.doubles.extend(self.vote(*voter, vote, *signature).doubles);
        }
        news
    }

    /// Forgets rounds far behind `current`.
    pub(super) fn forget_behind(&mut self, current: u32) {
        let oldest = current.saturating_sub(ROUNDS_BEHIND);
        let behind: Vec<u32> = self.rounds.range(..oldest).rev().map(|(number, _)| *number).collect();
        let mut locks = 0;
        for number in behind {
            let lock = self.rounds.get(&number).is_some_and(|round| !round.prevotes.quorums.is_empty());
            locks += usize::from(lock);
            if !lock || locks > LOCKS_KEPT {
                self.rounds.remove(&number);
            }
        }
    }

    /// All that is kept, to be told to somebody who does not have it.
    pub(super) fn messages(&self) -> impl Iterator<Item = Message> + '_ {
        let epoch = self.epoch;
        self.rounds.iter().flat_map(move |(number, round)| {
            let proposal =
                round.proposal.map(|(voter, proposal, signature)| Message::Proposal(voter, proposal, signature));
            let counts = [(Phase::Prevote, &round.prevotes), (Phase::Precommit, &round.precommits)];
            let votes = counts.into_iter().flat_map(move |(phase, count)| {
                let quorums = count.quorums.values().cloned().map(Message::Certificate);
                let votes = count.votes.iter().map(move |(voter, (value, signature))| {
                    Message::Vote(*voter, Vote { epoch, round: *number, phase, value: *value }, *signature)
                });
                quorums.chain(votes)
            });
            proposal.into_iter().chain(votes)
        })
    }

    /// Votes that are kept.
    pub(super) fn votes_kept(&self) -> usize {
        self.rounds.values().map(|round| round.prevotes.any() + round.precommits.any()).sum()
    }

    fn count(&mut self, round: u32, phase: Phase) -> &mut Count {
        let round = self.rounds.entry(round).or_default();
        match phase {
            Phase::Prevote => &mut round.prevotes,
            Phase::Precommit => &mut round.precommits,
        }
    }

    fn complete(&mut self, vote: Vote, value: ValueId) -> Option<Arc<Certificate>> {
        let count = self.count(vote.round, vote.phase);
        if count.quorums.contains_key(&value) || count.quorums.len() >= QUORUMS_KEPT {
            return None;
        }
        let lines = count.votes.iter().filter(|(_, (other, _))| *other == Some(value));
        let lines = lines.map(|(voter, (_, signature))| (*voter, *signature)).collect();
        let certificate = Arc::new(Certificate { vote, lines });
        count.quorums.insert(value, certificate.clone());
        Some(certificate)
    }

    fn tell(&mut self, double: DoubleVote) -> Option<DoubleVote> {
        let told = self.told.entry(double.voter).or_default();
        let room = told.len() < EVIDENCE_PER_VOTER;
        (room && told.insert((double.second.0.round, double.second.0.phase))).then_some(double)
    }
}
