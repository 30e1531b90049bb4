//! Message traces, a table each, by the lines of Algorithm 1.

use super::bench::{Bench, EPOCH, UNSIGNED, four, value};
use crate::vote::ordering::{Electorate, Message, Ordering, Phase, Refusal, Said, Vote, Voter};

/// Round 0 gets us locked on A, and is over.
const LOCKED_ON_A: &[(&str, &str)] = &[
    ("approved", "arm Propose(0)"),
    ("propose 0 A by 1", "prevote 0 A"),
    ("prevote 0 A by 1 2", "precommit 0 A"),
    ("precommit 0 nil by 2 3", "arm Precommit(0)"),
    ("timer precommit 0", "arm Propose(1)"),
];

#[test]
fn a_clean_round_decides() {
    Bench::new().play(&[
        ("approved", "arm Propose(0)"),
        ("approved", ""),
        ("propose 0 A by 1", "prevote 0 A"),
        ("prevote 0 A by 2", ""),
        ("prevote 0 A by 3", "precommit 0 A"),
        ("precommit 0 A by 1", ""),
        ("precommit 0 A by 3", "decided A"),
        ("precommit 0 A by 2", ""),
        ("timer propose 0", ""),
    ]);
}

#[test]
fn a_round_without_a_proposal_ends_by_its_timers() {
    Bench::new().play(&[
        ("approved", "arm Propose(0)"),
        ("timer propose 0", "prevote 0 nil"),
        ("prevote 0 nil by 2", ""),
        ("prevote 0 nil by 3", "precommit 0 nil"),
        ("precommit 0 nil by 1 2", "arm Precommit(0)"),
        ("timer precommit 0", "arm Propose(1)"),
        ("timer propose 0", ""),
        ("timer precommit 0", ""),
        ("propose 1 B by 2", "prevote 1 B"),
    ]);
}

#[test]
fn prevotes_that_do_not_agree_get_some_time_and_then_nil() {
    Bench::new().play(&[
        ("approved", "arm Propose(0)"),
        ("propose 0 A by 1", "prevote 0 A"),
        ("prevote 0 nil by 2", ""),
        ("prevote 0 B by 3", "arm Prevote(0)"),
        ("timer prevote 0", "precommit 0 nil"),
        // The last prevote makes a quorum after our nil: no lock, but we propose it in our turn.
        ("prevote 0 A by 1", ""),
        ("timer prevote 0", ""),
    ]);
}

#[test]
fn the_propose_timer_does_nothing_once_we_have_prevoted() {
    Bench::new().play(&[
        ("approved", "arm Propose(0)"),
        ("propose 0 A by 1", "prevote 0 A"),
        ("timer propose 0", ""),
        ("prevote 0 A by 1 2", "precommit 0 A"),
        ("timer propose 0", ""),
        ("timer prevote 0", ""),
    ]);
}

#[test]
fn who_is_locked_prevotes_nil_for_another_value() {
    let mut bench = Bench::new();
    bench.play(LOCKED_ON_A);
    assert_eq!(bench.ordering.lock(), Some((0, value('A'))));
    bench.play(&[("propose 1 B by 2", "prevote 1 nil")]);
}

#[test]
fn who_is_locked_prevotes_for_the_same_value_again() {
    let mut bench = Bench::new();
    bench.play(LOCKED_ON_A);
    bench.play(&[("propose 1 A by 2", "prevote 1 A")]);
}

#[test]
fn a_quorum_in_a_later_round_moves_the_lock() {
    let mut bench = Bench::new();
    bench.play(LOCKED_ON_A);
    bench.play(&[
        ("propose 1 B by 2", "prevote 1 nil"),
        ("prevote 1 B by 1 2", "arm Prevote(1)"),
        ("prevote 1 B by 3", "precommit 1 B"),
    ]);
    assert_eq!(bench.ordering.lock(), Some((1, value('B'))));
}

#[test]
fn a_quorum_since_the_lock_frees_from_it() {
    let mut bench = Bench::new();
    bench.play(LOCKED_ON_A);
    bench.play(&[
        ("timer propose 1", "prevote 1 nil"),
        ("timer prevote 1", "precommit 1 nil"),
        ("prevote 2 nil by 2", ""),
        ("prevote 2 nil by 3", "arm Propose(2)"),
        // Before the quorum is here, the proposal is as good as not here.
        ("propose 2 B after 1 by 3", ""),
        ("prevote 1 B by 1 2", ""),
        ("prevote 1 B by 3", "prevote 2 B; arm Prevote(2)"),
    ]);
    assert_eq!(bench.ordering.lock(), Some((0, value('A'))), "a prevote does not move the lock");
}

#[test]
fn a_quorum_from_before_the_lock_does_not_free_from_it() {
    let mut bench = Bench::new();
    bench.play(&[
        ("approved", "arm Propose(0)"),
        ("timer propose 0", "prevote 0 nil"),
        ("prevote 1 A by 1", ""),
        ("prevote 1 A by 2", "arm Propose(1)"),
        ("propose 1 A by 2", "prevote 1 A; precommit 1 A"),
        ("quorum prevote 0 B by 1 2 3", ""),
        ("prevote 2 nil by 1 2", "arm Propose(2)"),
        ("propose 2 B after 0 by 3", "prevote 2 nil; precommit 2 nil"),
    ]);
    assert_eq!(bench.ordering.lock(), Some((1, value('A'))));
}

#[test]
fn a_valid_round_without_its_quorum_ends_by_the_timer() {
    let mut bench = Bench::new();
    bench.play(LOCKED_ON_A);
    bench.play(&[
        ("prevote 2 nil by 2 3", "arm Propose(2)"),
        ("propose 2 B after 1 by 3", ""),
        ("timer propose 2", "prevote 2 nil; precommit 2 nil"),
        ("propose 9 B after 9 by 1", "refused: the valid round of the proposal is not before its round"),
    ]);
}

#[test]
fn a_late_quorum_is_proposed_again_in_our_turn_without_a_lock() {
    let mut bench = Bench::new();
    bench.play(&[
        ("approved", "arm Propose(0)"),
        ("propose 0 A by 1", "prevote 0 A"),
        ("prevote 0 nil by 2 3", "arm Prevote(0)"),
        ("timer prevote 0", "precommit 0 nil"),
        ("quorum prevote 0 A by 0 1 2", "evidence 2"),
        ("prevote 3 nil by 1 2", "arm Propose(3); propose 3 A after 0; prevote 3 A; arm Prevote(3)"),
    ]);
    assert_eq!(bench.ordering.lock(), None);
}

#[test]
fn in_our_turn_we_propose_what_was_approved() {
    let mut bench = Bench::new();
    *bench.texts.candidate.borrow_mut() = None;
    bench.play(&[("approved", ""), ("prevote 3 nil by 1 2", "arm Propose(3)")]);
    *bench.texts.candidate.borrow_mut() = Some('D');
    bench.play(&[("approved", "propose 3 D; prevote 3 D; arm Prevote(3)"), ("approved", "")]);
}

#[test]
fn a_missing_text_is_asked_for_and_waited_for() {
    Bench::new().play(&[
        ("approved", "arm Propose(0)"),
        ("propose 0 N by 1", "want N"),
        ("prevote 0 N by 1", ""),
        ("text N", "prevote 0 N"),
    ]);
    Bench::new().play(&[
        ("approved", "arm Propose(0)"),
        ("propose 0 N by 1", "want N"),
        ("text O", "want N"),
        ("timer propose 0", "prevote 0 nil"),
        // Others have it: no vote without the text, and none against it either.
        ("prevote 0 N by 1 2 3", "arm Prevote(0)"),
        ("text N", "precommit 0 N"),
    ]);
}

#[test]
fn an_invalid_proposal_gets_nil() {
    Bench::new().play(&[("approved", "arm Propose(0)"), ("propose 0 X by 1", "prevote 0 nil")]);
}

#[test]
fn what_others_decided_and_we_find_invalid_is_told_once_and_not_taken() {
    Bench::new().play(&[
        ("approved", "arm Propose(0)"),
        ("precommit 0 X by 1 2", ""),
        ("precommit 0 X by 3", "disagree X; arm Precommit(0)"),
        ("timer propose 0", "prevote 0 nil"),
    ]);
}

#[test]
fn who_is_behind_goes_where_one_honest_voter_is() {
    Bench::new().play(&[
        ("approved", "arm Propose(0)"),
        ("prevote 7 nil by 1", ""),
        ("precommit 7 nil by 1", ""),
        ("prevote 9 nil by 2", "arm Propose(7)"),
        ("prevote 9 nil by 3", "arm Propose(9)"),
        // Too far ahead to be kept, but counted.
        ("prevote 5000 nil by 3", ""),
        ("prevote 5001 nil by 2", "arm Propose(5000); propose 5000 C; prevote 5000 C"),
    ]);
}

#[test]
fn idle_is_ended_by_approval_by_a_valid_proposal_or_by_enough_others() {
    for trace in [
        [("prevote 0 A by 1", ""), ("propose 0 A by 1", "arm Propose(0); prevote 0 A")],
        [("propose 0 N by 1", "want N"), ("text N", "arm Propose(0); prevote 0 N")],
        [("propose 0 X by 1", ""), ("prevote 0 nil by 2", "arm Propose(0); prevote 0 nil")],
        [("prevote 0 A by 1", ""), ("prevote 0 B by 3", "arm Propose(0)")],
        [("timer propose 0", ""), ("timer precommit 0", "")],
    ] {
        Bench::new().play(&trace);
    }
}

#[test]
fn a_decision_of_any_round_is_taken() {
    Bench::new().play(&[
        ("approved", "arm Propose(0)"),
        ("prevote 9 nil by 1 2", "arm Propose(9)"),
        ("precommit 3 A by 1", ""),
        ("precommit 3 A by 2", ""),
        ("precommit 3 A by 3", "decided A"),
    ]);
    Bench::new().play(&[
        ("quorum precommit 4000 N by 1 2 3", "want N; arm Propose(4000); want N; arm Precommit(4000)"),
        ("text N", "decided N"),
    ]);
}

#[test]
fn a_second_vote_is_evidence_and_does_not_count_but_the_quorum_of_others_does() {
    Bench::new().play(&[
        ("approved", "arm Propose(0)"),
        ("propose 0 A by 1", "prevote 0 A"),
        ("prevote 0 B by 2", ""),
        ("prevote 0 A by 2", "evidence 2"),
        ("prevote 0 nil by 2", ""),
        ("prevote 0 B by 2", ""),
        ("prevote 0 B by 1", "arm Prevote(0)"),
        ("quorum prevote 0 A by 0 2 3", "precommit 0 A"),
    ]);
}

#[test]
fn certificates_that_are_none_are_refused() {
    let no = "refused: the certificate is no quorum of voters for a value";
    Bench::new().play(&[
        ("quorum precommit 0 A by 1 2", no),
        ("quorum precommit 0 A by 1 2 2", no),
        ("quorum precommit 0 A by 2 1 3", no),
        ("quorum precommit 0 nil by 1 2 3", no),
        ("quorum precommit 0 A by 1 2 4", no),
        ("prevote 0 A by 4", "refused: it is not by a voter"),
        ("propose 0 A by 2", "refused: it is not its turn to propose"),
    ]);
    let other = Vote { epoch: EPOCH + 1, round: 0, phase: Phase::Prevote, value: None };
    let mut bench = Bench::new();
    let answer = bench.ordering.hear(Message::Vote(Voter(1), other, UNSIGNED), &bench.texts);
    assert_eq!(answer, Err(Refusal::OtherEpoch));
}

#[test]
fn a_network_of_one_decides_alone() {
    let one = Electorate::new([0; 32], vec![[1; 32]]).unwrap();
    Bench::with(one, true, &[])
        .play(&[("approved", "arm Propose(0); propose 0 C; prevote 0 C; precommit 0 C; decided C")]);
}

#[test]
fn an_associate_follows_and_says_nothing() {
    let (ordering, actions) = Ordering::start(EPOCH, four(), None, true, Said::default());
    assert_eq!(actions, []);
    let mut bench = Bench::new();
    bench.ordering = ordering;
    bench.play(&[
        ("approved", "arm Propose(0)"),
        ("propose 0 A by 1", ""),
        ("prevote 0 A by 1 2 3", ""),
        ("precommit 0 A by 1 2 3", "decided A"),
    ]);
    assert_eq!(bench.told, []);
}
