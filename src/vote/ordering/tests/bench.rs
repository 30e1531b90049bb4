//! A voter on the bench: four voters, ourselves the first; messages and answers are words, so that traces are tables.
//!
//! Inputs: `approved`, `text B`, `timer propose 0`, `propose 0 A by 1`, `propose 2 B after 1 by 3`, `prevote 0 A by 1 2`,
//! `precommit 0 nil by 3`, `quorum prevote 0 A by 1 2 3` (in one piece). Values are letters; those above `M` need a text before
//! they can be judged, `X` is invalid. Answers leave out what is forwarded and what is only said again by the owner.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use crate::vote::ordering::{
    Action, Certificate, Electorate, Entry, Message, Ordering, Phase, Proposal, Said, Signature, Texts, Timer,
    Validity, ValueId, Vote, Voter,
};

pub const EPOCH: u64 = 7;

pub struct Letters {
    pub here: RefCell<BTreeSet<char>>,
    pub candidate: RefCell<Option<char>>,
}

impl Default for Letters {
    fn default() -> Self {
        Self { here: RefCell::default(), candidate: RefCell::new(Some('C')) }
    }
}

impl Texts for Letters {
    fn valid(&self, value: &ValueId) -> Validity {
        match char::from(value.0[0]) {
            'X' => Validity::Invalid,
            letter if letter > 'M' && !self.here.borrow().contains(&letter) => Validity::Missing(vec![value.0]),
            _ => Validity::Valid,
        }
    }

    fn candidate(&self) -> Option<ValueId> {
        self.candidate.borrow().map(value)
    }
}

pub fn value(letter: char) -> ValueId {
    ValueId([u8::try_from(letter).unwrap(); 32])
}

pub const UNSIGNED: Signature = Signature([0; 64]);

/// Voters 1, 2, 3, 0 propose in the rounds 0, 1, 2, 3.
pub fn four() -> Electorate {
    static FOUR: OnceLock<Electorate> = OnceLock::new();
    FOUR.get_or_init(find_four).clone()
}

fn find_four() -> Electorate {
    let kids: Vec<[u8; 32]> = (0..4u8).map(|n| [n; 32]).collect();
    (0..=u8::MAX)
        .flat_map(|a| (0..8u8).map(move |b| (a, b)))
        .map(|(a, b)| {
            let mut parent = [b; 32];
            parent[0] = a;
            Electorate::new(parent, kids.clone()).unwrap()
        })
        .find(|electorate| (0..4).all(|round| electorate.proposer(round) == Voter((round as u16 + 1) % 4)))
        .unwrap()
}

pub struct Bench {
    pub ordering: Ordering,
    pub texts: Letters,
    pub journal: Vec<Entry>,
    /// What was signed and told.
    pub told: Vec<Entry>,
    /// Stops, as a crash does, when so many more actions were done.
    pub fuse: Option<usize>,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(four(), true, &[])
    }

    pub fn with(electorate: Electorate, may_vote: bool, journal: &[Entry]) -> Self {
        let said = Said::read(EPOCH, journal);
        let (ordering, actions) = Ordering::start(EPOCH, electorate, Some(Voter(0)), may_vote, said);
        let mut bench =
            Self { ordering, texts: Letters::default(), journal: journal.to_vec(), told: Vec::new(), fuse: None };
        bench.perform(actions);
        bench
    }

    /// Gives the voter an input, and tells what it did; what it says comes back to it at once.
    pub fn give(&mut self, input: &str) -> String {
        let words: Vec<&str> = input.split_whitespace().collect();
        let actions = match words.as_slice() {
            ["approved"] => self.ordering.approved(&self.texts),
            ["text", letter] => {
                self.texts.here.borrow_mut().insert(letter.chars().next().unwrap());
                self.ordering.texts_changed(&self.texts)
            }
            ["timer", phase, round] => self.ordering.expired(timer(phase, round.parse().unwrap()), &self.texts),
            _ => {
                let mut told = Vec::new();
                for message in messages(&words) {
                    match self.ordering.hear(message, &self.texts) {
                        Ok(actions) => told.push(self.perform(actions)),
                        Err(refusal) => told.push(format!("refused: {refusal}")),
                    }
                }
                told.retain(|one| !one.is_empty());
                return told.join("; ");
            }
        };
        self.perform(actions)
    }

    pub fn perform(&mut self, actions: Vec<Action>) -> String {
        let mut told = Vec::new();
        for action in actions {
            match &mut self.fuse {
                Some(0) => break,
                Some(left) => *left -= 1,
                None => {}
            }
            match action {
                Action::Journal(entry) => {
                    assert!(!self.journal.contains(&entry), "an entry is written once");
                    self.journal.push(entry);
                    told.push(name(&entry));
                }
                Action::Say(entry) => {
                    assert!(self.journal.contains(&entry), "journal before send");
                    self.told.push(entry);
                    let message = match entry {
                        Entry::Proposal(proposal) => Message::Proposal(Voter(0), proposal, UNSIGNED),
                        Entry::Vote(vote) => Message::Vote(Voter(0), vote, UNSIGNED),
                    };
                    let actions = self.ordering.hear(message, &self.texts).unwrap();
                    told.push(self.perform(actions));
                }
                Action::Forward(_) => {}
                Action::Arm(timer, _) => told.push(format!("arm {timer:?}")),
                Action::WantTexts(value, _) => told.push(format!("want {}", char::from(value.0[0]))),
                Action::Evidence(double) => told.push(format!("evidence {}", double.voter.0)),
                Action::Abstain => told.push("abstain".to_owned()),
                Action::Disagree(value) => told.push(format!("disagree {}", char::from(value.0[0]))),
                Action::Decided(certificate) => {
                    told.push(format!("decided {}", char::from(certificate.vote.value.unwrap().0[0])));
                }
            }
        }
        told.retain(|one| !one.is_empty());
        told.join("; ")
    }

    /// Gives one input after the other, and compares what was done.
    pub fn play(&mut self, trace: &[(&str, &str)]) {
        for (at, (input, expected)) in trace.iter().enumerate() {
            assert_eq!(self.give(input), *expected, "at line {at}: {input}");
        }
    }
}

pub fn name(entry: &Entry) -> String {
    match entry {
        Entry::Proposal(Proposal { round, value, valid_round: None, .. }) => {
            format!("propose {round} {}", char::from(value.0[0]))
        }
        Entry::Proposal(Proposal { round, value, valid_round: Some(valid), .. }) => {
            format!("propose {round} {} after {valid}", char::from(value.0[0]))
        }
        Entry::Vote(Vote { round, phase, value, .. }) => {
            let value = value.map_or("nil".to_owned(), |value| char::from(value.0[0]).to_string());
            format!("{} {round} {value}", if *phase == Phase::Prevote { "prevote" } else { "precommit" })
        }
    }
}

fn timer(phase: &str, round: u32) -> Timer {
    match phase {
        "propose" => Timer::Propose(round),
        "prevote" => Timer::Prevote(round),
        "precommit" => Timer::Precommit(round),
        other => panic!("{other} is no timer"),
    }
}

fn messages(words: &[&str]) -> Vec<Message> {
    let by = words.iter().position(|word| *word == "by").unwrap();
    let (what, voters) = words.split_at(by);
    let voters: Vec<Voter> = voters[1..].iter().map(|word| Voter(word.parse().unwrap())).collect();
    let vote = |phase: &str, round: &str, letter: &str| Vote {
        epoch: EPOCH,
        round: round.parse().unwrap(),
        phase: if phase == "prevote" { Phase::Prevote } else { Phase::Precommit },
        value: (letter != "nil").then(|| value(letter.chars().next().unwrap())),
    };
    match what {
        ["propose", round, letter, rest @ ..] => {
            let value = value(letter.chars().next().unwrap());
            let valid_round = rest.get(1).map(|word| word.parse().unwrap());
            let proposal = Proposal { epoch: EPOCH, round: round.parse().unwrap(), value, valid_round };
            voters.into_iter().map(|voter| Message::Proposal(voter, proposal, UNSIGNED)).collect()
        }
        ["quorum", phase, round, letter] => {
            let lines = voters.into_iter().map(|voter| (voter, UNSIGNED)).collect();
            vec![Message::Certificate(Arc::new(Certificate { vote: vote(phase, round, letter), lines }))]
        }
        [phase, round, letter] => {
            let vote = vote(phase, round, letter);
            voters.into_iter().map(|voter| Message::Vote(voter, vote, UNSIGNED)).collect()
        }
        other => panic!("{other:?} is no message"),
    }
}
