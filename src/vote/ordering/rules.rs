//! The rules of Algorithm 1 (arXiv 1807.04938), by the lines of the paper.

use std::time::Duration;

use super::electorate::patience;
use super::journal::Entry;
use super::machine::{Action, Ordering, Step, Texts, Timer, Validity};
use super::message::{Phase, Proposal, ValueId, Vote};

/// How long the first round waits for its proposal.
const PROPOSE_FIRST: Duration = Duration::from_secs(60);
/// How long the first round waits for prevotes, and for precommits, that agree.
const VOTE_FIRST: Duration = Duration::from_secs(30);

impl Ordering {
    /// Applies the rules until none does anything, and hands out what is to be done.
    pub(super) fn settle(&mut self, texts: &impl Texts) -> Vec<Action> {
        while self.decided.is_none()
            && (self.decide(texts)
                || self.catch_up()
                || self.begin(texts)
                || self.propose(texts)
                || self.answer(texts)
                || self.lock_on(texts)
                || self.give_up())
        {}
        if self.decided.is_none() {
            self.arm_phases();
        }
        std::mem::take(&mut self.actions)
    }

    /// Lines 11 to 13 and 21: the round begins; who proposes is looked at by [`Self::propose`].
    pub(super) fn start_round(&mut self, round: u32) {
        self.round = round;
        self.proposer = self.electorate.proposer(round);
        self.step = Step::Propose;
        self.held = false;
        self.armed_prevote = false;
        self.armed_precommit = false;
        self.wanted.clear();
        self.tally.forget_behind(round);
        self.arm(Timer::Propose(round));
    }

    /// Lines 14 to 19: in our turn, the value we know to be valid, or a new one.
    fn propose(&mut self, texts: &impl Texts) -> bool {
        let (true, false, Some(me)) = (self.step == Step::Propose, self.abstains, self.me) else { return false };
        if self.said.proposal(self.round).is_some() || self.proposer != me {
            return false;
        }
        let Some(value) = self.valid.map(|(_, value)| value).or_else(|| texts.candidate()) else { return false };
        let valid_round = self.valid.map(|(round, _)| round);
        self.say(Entry::Proposal(Proposal { epoch: self.epoch, round: self.round, value, valid_round }));
        true
    }

    /// An approved proposal that others know, too, ends idleness.
    fn begin(&mut self, texts: &impl Texts) -> bool {
        if self.step != Step::Idle {
            return false;
        }
        let Some((_, proposal, _)) = self.tally.round(0).and_then(|round| round.proposal) else { return false };
        let begins = self.judge(proposal.value, texts) == Some(true);
        if begins {
            self.start_round(0);
        }
        begins
    }

    /// Lines 22 to 33: the answer to a proposal.
    fn answer(&mut self, texts: &impl Texts) -> bool {
        if self.step != Step::Propose {
            return false;
        }
        let Some((_, proposal, _)) = self.tally.round(self.round).and_then(|round| round.proposal) else {
            return false;
        };
        let value = proposal.value;
        let free = match proposal.valid_round {
            // Line 23: not locked, or on this.
            None => self.locked.is_none_or(|(_, locked)| locked == value),
            // Lines 28 and 29: a quorum prevoted for it since our lock; before it is here, the proposal counts as not here.
            Some(valid) => {
                if !self.tally.round(valid).is_some_and(|round| round.prevotes.has_quorum(&value)) {
                    return false;
                }
                self.locked.is_none_or(|(round, locked)| round <= valid || locked == value)
            }
        };
        // The lock decides alone when it speaks against; the texts may be missing then.
        match free.then(|| self.judge(value, texts)) {
            None | Some(Some(false)) => self.prevote(None),
            Some(Some(true)) => self.prevote(Some(value)),
            Some(None) => return false,
        }
        true
    }

    /// Lines 36 to 43: a quorum of prevotes for a value, in this round, for the first time.
    fn lock_on(&mut self, texts: &impl Texts) -> bool {
        if self.held || !matches!(self.step, Step::Prevote | Step::Precommit) {
            return false;
        }
        let quorums = self.tally.round(self.round).into_iter().flat_map(|round| round.prevotes.quorums());
        let values: Vec<ValueId> = quorums.map(|(value, _)| *value).collect();
        let Some(value) = values.into_iter().find(|value| self.judge(*value, texts) == Some(true)) else {
            return false;
        };
        self.held = true;
        if self.step == Step::Prevote {
            self.locked = Some((self.round, value));
            self.precommit(Some(value));
        }
        self.valid = Some((self.round, value));
        true
    }

    /// Lines 44 to 46: a quorum of prevotes for nil.
    fn give_up(&mut self) -> bool {
        let nils = self.tally.round(self.round).map_or(0, |round| round.prevotes.nil());
        let over = self.step == Step::Prevote && nils >= self.electorate.quorum();
        if over {
            self.precommit(None);
        }
        over
    }

    /// Lines 34 and 47: a quorum voted, but not for one thing; the rest gets some more time.
    fn arm_phases(&mut self) {
        let quorum = self.electorate.quorum();
        let (prevotes, precommits) =
            self.tally.round(self.round).map_or((0, 0), |round| (round.prevotes.any(), round.precommits.any()));
        if self.step == Step::Prevote && prevotes >= quorum && !self.armed_prevote {
            self.armed_prevote = true;
            self.arm(Timer::Prevote(self.round));
        }
        if self.step != Step::Idle && precommits >= quorum && !self.armed_precommit {
            self.armed_precommit = true;
            self.arm(Timer::Precommit(self.round));
        }
    }

    /// Lines 49 to 54: a quorum of precommits for a value, in any round.
    fn decide(&mut self, texts: &impl Texts) -> bool {
        let all = self.tally.rounds().flat_map(|(_, round)| round.precommits.quorums());
        let quorums: Vec<_> = all.map(|(value, certificate)| (*value, certificate.clone())).collect();
        for (value, certificate) in quorums {
            match self.judge(value, texts) {
                Some(true) => {
                    self.decided = Some(certificate.clone());
                    self.actions.push(Action::Decided(certificate));
                    return true;
                }
                Some(false) if self.odd.insert(value) => self.actions.push(Action::Disagree(value)),
                _ => {}
            }
        }
        false
    }

    /// Lines 55 and 56: so many are ahead that one of them is honest.
    fn catch_up(&mut self) -> bool {
        if !std::mem::take(&mut self.others_moved) {
            return false;
        }
        let Some(round) = self.tally.weakly_reached() else { return false };
        let behind = round > self.round || self.step == Step::Idle;
        if behind {
            self.start_round(round);
        }
        behind
    }

    /// Votes in the first phase, and waits for the others.
    pub(super) fn prevote(&mut self, value: Option<ValueId>) {
        self.step = Step::Prevote;
        self.say(Entry::Vote(Vote { epoch: self.epoch, round: self.round, phase: Phase::Prevote, value }));
    }

    /// Votes in the second phase, and waits for the others.
    pub(super) fn precommit(&mut self, value: Option<ValueId>) {
        self.step = Step::Precommit;
        self.say(Entry::Vote(Vote { epoch: self.epoch, round: self.round, phase: Phase::Precommit, value }));
    }

    /// Says a thing if we may and have not said another; on the disk first.
    fn say(&mut self, entry: Entry) {
        if self.me.is_some() && !self.abstains && self.said.note(&entry) {
            self.actions.push(Action::Journal(entry));
            self.actions.push(Action::Say(entry));
        }
    }

    pub(super) fn arm(&mut self, timer: Timer) {
        let (first, round) = match timer {
            Timer::Propose(round) => (PROPOSE_FIRST, round),
            Timer::Prevote(round) | Timer::Precommit(round) => (VOTE_FIRST, round),
        };
        self.actions.push(Action::Arm(timer, patience(first, round)));
    }

    /// Whether a value is valid; `None`, and its texts are asked for once, as long as some are missing.
    fn judge(&mut self, value: ValueId, texts: &impl Texts) -> Option<bool> {
        if self.wanted.contains(&value) {
            return None;
        }
        match texts.valid(&value) {
            Validity::Valid => Some(true),
            Validity::Invalid => Some(false),
            Validity::Missing(ids) => {
                self.wanted.insert(value);
                self.actions.push(Action::WantTexts(value, ids));
                None
            }
        }
    }
}
