//! Thresholds, turns and times, as tables; the guard.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::vote::ordering::{Electorate, ElectorateError, Guard, PATIENCE_MAX, Voter, patience};
use crate::vote::{one_honest, quorum};

#[test]
fn the_thresholds_are_those_of_the_design() {
    let table = [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (8, 6), (9, 7), (10, 7)];
    let large = [(16, 11), (20, 14), (50, 34), (100, 67), (300, 201), (1000, 667)];
    for (n, q) in table.into_iter().chain(large) {
        assert_eq!(quorum(n), q, "n = {n}");
        assert_eq!(one_honest(n), n - q + 1, "n = {n}");
        let rogue = (n - 1) / 3;
        assert!(q <= n - rogue, "a third that is silent stops nothing, n = {n}");
        assert!(rogue < one_honest(n), "a third alone moves nobody, n = {n}");
        assert!(rogue < 2 * q - n, "two quorums share an honest voter, n = {n}");
    }
}

#[test]
fn the_turn_is_that_of_the_known_vector() {
    let kid = |domain: &str| -> [u8; 32] { Sha256::digest(format!("test kid {domain}")).into() };
    let mut parent = [0; 32];
    let text = "154f1abda5dff12fea229dbe58ec5f0f9b3d4c302357964354196caf5eed6ab4";
    for (at, byte) in parent.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    }
    let electorate = Electorate::new(parent, vec![kid("a.example"), kid("b.example")]).unwrap();
    assert_eq!(electorate.proposer(0), Voter(1), "b.example, 19ea9687… before a9637d44…");
    assert_eq!(electorate.find(&kid("b.example")), Some(Voter(1)));
    assert_eq!(electorate.find(&[0; 32]), None);
}

#[test]
fn everybody_has_a_turn() {
    let electorate = Electorate::new([3; 32], (0..10).map(|n| [n; 32]).collect()).unwrap();
    let turns: std::collections::BTreeSet<Voter> = (0..200).map(|round| electorate.proposer(round)).collect();
    assert_eq!(turns.len(), 10);
}

#[test]
fn no_electorate_is_empty_too_large_or_has_a_key_twice() {
    assert_eq!(Electorate::new([0; 32], vec![]), Err(ElectorateError::Empty));
    assert_eq!(Electorate::new([0; 32], vec![[1; 32], [2; 32], [1; 32]]), Err(ElectorateError::Twice));
    let many = (0..1025u32).map(|n| Sha256::digest(n.to_be_bytes()).into()).collect();
    assert_eq!(Electorate::new([0; 32], many), Err(ElectorateError::TooMany));
}

#[test]
fn patience_grows_with_the_round_up_to_an_hour() {
    let first = Duration::from_secs(60);
    for (round, seconds) in [(0, 60), (1, 120), (58, 3540), (59, 3600), (60, 3600), (u32::MAX, 3600)] {
        assert_eq!(patience(first, round), Duration::from_secs(seconds), "round {round}");
    }
    assert_eq!(PATIENCE_MAX, Duration::from_secs(3600));
}

#[test]
fn the_guard_lets_vote_only_who_knows_all_it_said() {
    // Journal, was a voter, restored, next epoch; may vote on it at once.
    let table = [
        (Some(16), true, false, 17, true),
        (Some(17), true, false, 17, true),
        (None, false, false, 17, true),
        (None, true, false, 17, false),
        (Some(17), true, true, 17, false),
        (Some(18), true, false, 17, false),
    ];
    for (journal, was_voter, restored, next, may) in table {
        assert_eq!(
            Guard::at_start(journal, was_voter, restored, next).may_vote(next),
            may,
            "{journal:?} {was_voter} {restored}"
        );
    }
}

#[test]
fn a_restored_node_votes_again_after_the_epoch_that_was_under_way() {
    let mut guard = Guard::at_start(Some(12), true, true, 12);
    guard.heads_compared(11, &[14], 2);
    assert!(!guard.may_vote(15), "one head is not enough");
    assert_eq!(guard.through(), None);
    guard.heads_compared(11, &[14, 13], 2);
    assert_eq!(guard.through(), Some(15));
    assert!(!guard.may_vote(15), "15 was under way");
    assert!(guard.may_vote(16));
    guard.own_vote_unknown(16);
    assert!(!guard.may_vote(16));
    assert!(guard.may_vote(17));
    guard.heads_compared(40, &[41, 41], 2);
    assert!(guard.may_vote(17), "a sound node compares heads all day");
}
