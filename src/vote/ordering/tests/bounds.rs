//! What a hostile voter can make us keep.

use super::bench::{Bench, EPOCH, UNSIGNED};
use crate::vote::ordering::{
    Action, EVIDENCE_PER_VOTER, LOCKS_KEPT, Message, Phase, ROUNDS_AHEAD, ROUNDS_BEHIND, ValueId, Vote, Voter,
};

fn vote(round: u32, phase: Phase, value: u32) -> Vote {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&value.to_be_bytes());
    Vote { epoch: EPOCH, round, phase, value: Some(ValueId(id)) }
}

#[test]
fn a_flood_of_votes_leaves_one_for_each_round_and_phase() {
    let mut bench = Bench::new();
    bench.give("approved");
    let mut evidence = 0;
    for number in 0..100_000u32 {
        let phase = if number % 2 == 0 { Phase::Prevote } else { Phase::Precommit };
        let message = Message::Vote(Voter(3), vote(number / 7 % 1000, phase, number), UNSIGNED);
        let actions = bench.ordering.hear(message, &bench.texts).unwrap();
        evidence += actions.iter().filter(|action| matches!(action, Action::Evidence(_))).count();
    }
    assert_eq!(bench.ordering.votes_kept(), 2 * (ROUNDS_AHEAD as usize + 1));
    assert_eq!(evidence, EVIDENCE_PER_VOTER);
    assert_eq!(bench.ordering.position().0, 0, "one voter moves nobody");
}

#[test]
fn a_flood_of_proposals_leaves_the_first_of_each_round() {
    let mut bench = Bench::new();
    for round in 0..2000 {
        for voter in 0..4 {
            for letter in ["A", "B"] {
                let _ = bench.give(&format!("propose {round} {letter} by {voter}"));
            }
        }
    }
    let kept = bench.ordering.messages().filter(|message| matches!(message, Message::Proposal(..))).count();
    assert!(kept <= ROUNDS_AHEAD as usize + ROUNDS_BEHIND as usize + 2, "{kept}");
}

#[test]
fn old_rounds_are_forgotten_but_for_the_newest_quorums() {
    let mut bench = Bench::new();
    bench.give("approved");
    for round in 0..300 {
        let value = if round % 30 == 0 { "A" } else { "nil" };
        bench.give(&format!("prevote {round} {value} by 1 2 3"));
        bench.give(&format!("precommit {round} nil by 1 2 3"));
    }
    let rounds: std::collections::BTreeSet<u32> = bench.ordering.messages().map(|message| message.round()).collect();
    let old: Vec<u32> = rounds.iter().copied().filter(|round| *round < 299 - ROUNDS_BEHIND).collect();
    assert_eq!(old, [180, 210, 240, 270]);
    assert_eq!(old.len(), LOCKS_KEPT);
}

#[test]
fn every_valid_message_is_forwarded_once() {
    let mut bench = Bench::new();
    let message = Message::Vote(Voter(3), vote(0, Phase::Prevote, 1), UNSIGNED);
    let first = bench.ordering.hear(message.clone(), &bench.texts).unwrap();
    assert_eq!(first, [Action::Forward(message.clone())]);
    assert_eq!(bench.ordering.hear(message, &bench.texts).unwrap(), []);
}
