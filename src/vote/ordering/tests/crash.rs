//! Kill at each point between the actions, start again from the journal: nothing is ever said twice differently.

use std::collections::BTreeMap;

use super::bench::{Bench, EPOCH, four, name, value};
use crate::vote::ordering::{Action, Entry, Phase, Said, Vote};

/// What a voter lives through before it is killed; it says a proposal and votes of several rounds.
const BEFORE: &[&str] = &[
    "approved",
    "propose 0 A by 1",
    "prevote 0 A by 1 2",
    "precommit 0 nil by 1 2",
    "timer precommit 0",
    "propose 1 B by 2",
    "prevote 1 B by 1 2 3",
    "precommit 1 nil by 1 2",
    "timer precommit 1",
    "timer propose 2",
    "prevote 2 nil by 1 2",
    "precommit 2 nil by 1 2",
    "timer precommit 2",
    "prevote 3 B by 1 2",
    "precommit 3 nil by 1 2",
];

/// And after: others tempt it to say something else in each round it was in.
const AFTER: &[&str] = &[
    "propose 0 D by 1",
    "timer propose 0",
    "prevote 0 D by 1 2 3",
    "timer prevote 0",
    "timer precommit 0",
    "approved",
    "timer propose 1",
    "propose 1 D by 2",
    "prevote 1 D by 1 2 3",
    "timer prevote 1",
    "timer precommit 1",
    "propose 2 D by 3",
    "prevote 2 D by 1 2 3",
    "timer prevote 2",
    "prevote 3 D by 1 2 3",
    "timer propose 3",
    "timer prevote 3",
];

fn key(entry: &Entry) -> (u32, u8) {
    match entry {
        Entry::Proposal(proposal) => (proposal.round, 0),
        Entry::Vote(vote) => (vote.round, 1 + vote.phase as u8),
    }
}

fn assert_no_second(told: &[Entry], at: &str) {
    let mut first = BTreeMap::new();
    for entry in told {
        let before = first.entry(key(entry)).or_insert(*entry);
        assert_eq!(before, entry, "{at}: said {} and then {}", name(before), name(entry));
    }
}

#[test]
fn killed_at_each_point_it_never_says_a_second_thing() {
    let points = (0..).take_while(|fuse| {
        let mut bench = Bench::new();
        bench.fuse = Some(*fuse);
        for input in BEFORE {
            bench.give(input);
        }
        bench.fuse == Some(0)
    });
    let points: Vec<usize> = points.collect();
    assert!(points.len() > 40, "{} points", points.len());
    for fuse in points {
        let mut before = Bench::new();
        before.fuse = Some(fuse);
        for input in BEFORE {
            if before.fuse == Some(0) {
                break;
            }
            before.give(input);
        }
        for input in 0..AFTER.len() {
            let mut after = Bench::with(four(), true, &before.journal);
            *after.texts.candidate.borrow_mut() = Some('E');
            for tempt in AFTER.iter().skip(input).chain(AFTER.iter().take(input)) {
                after.give(tempt);
            }
            let told: Vec<Entry> = before.told.iter().chain(&after.told).copied().collect();
            assert_no_second(&told, &format!("killed after {fuse} actions, tempted from {input}"));
            assert_no_second(&after.journal, &format!("the journal, killed after {fuse} actions"));
        }
    }
}

#[test]
fn what_was_written_and_perhaps_not_sent_is_said_after_the_start() {
    let mut before = Bench::new();
    before.give("approved");
    // Killed between the journal and the sending of its prevote: the actions are forward, journal, say.
    before.fuse = Some(2);
    before.give("propose 0 A by 1");
    assert_eq!((before.journal.len(), before.told.len()), (1, 0));
    let after = Bench::with(four(), true, &before.journal);
    assert_eq!(after.told, before.journal);
}

#[test]
fn the_lock_outlives_a_crash() {
    let mut before = Bench::new();
    for input in ["approved", "propose 0 A by 1", "prevote 0 A by 1 2"] {
        before.give(input);
    }
    let mut after = Bench::with(four(), true, &before.journal);
    assert_eq!(after.ordering.lock(), Some((0, value('A'))));
    after.play(&[("prevote 1 nil by 1 2", "arm Propose(1)"), ("propose 1 B by 2", "prevote 1 nil; precommit 1 nil")]);
}

#[test]
fn a_restored_old_directory_abstains_when_others_know_more_of_it() {
    let mut before = Bench::new();
    for input in ["approved", "propose 0 A by 1", "prevote 0 A by 1 2"] {
        before.give(input);
    }
    // The copy was made before anything was said.
    let mut after = Bench::with(four(), true, &[]);
    after.play(&[
        ("approved", "arm Propose(0)"),
        ("prevote 0 A by 0", "abstain"),
        ("propose 0 B by 1", ""),
        ("timer propose 0", ""),
        ("quorum prevote 0 A by 0 1 2", ""),
        ("precommit 0 A by 1 2 3", "decided A"),
    ]);
    assert_eq!(after.told, []);
    // The guard's word at the start is as good.
    let mut guarded = Bench::with(four(), false, &before.journal);
    guarded.play(&[("approved", ""), ("propose 0 B by 1", ""), ("prevote 0 A by 1 2 3", "arm Precommit(0)")][..2]);
    assert_eq!(guarded.told, []);
}

#[test]
fn the_journal_of_other_epochs_says_nothing_about_this_one() {
    let other = Entry::Vote(Vote { epoch: EPOCH - 1, round: 3, phase: Phase::Precommit, value: Some(value('A')) });
    let said = Said::read(EPOCH, &[other]);
    assert_eq!((said.last_round(), said.lock()), (None, None));
    let (_, actions) = crate::vote::ordering::Ordering::start(EPOCH, four(), None, true, said);
    assert!(!actions.iter().any(|action| matches!(action, Action::Say(_))));
}
