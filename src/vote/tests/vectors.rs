//! Vectors computed once and cross-checked with a second implementation.

use super::*;
use crate::vote::text::sign;

const CARD_A: &str = "a3754c86a5656b9f03566fe49e9df81644008e20c2859bb8294bff6204e4dd67";
const CARD_B: &str = "4cfd31955df64030add06172d37bce8890701d4bcbd1e374495ea9f6d633ad61";
const NETWORK: &str = "9df4d12d0d3be2578332b3112da807a8a9d7955debd004a281ab8edf2dea602e";
const PROPOSAL: &str = "35b240e738f83b230e69452f106a21b5d1932eb35d33c8ec5dfcfba95c6cda3b";
const STATE_1: &str = "2750c0a94b12a5b602e5d2a409c5e7c2f4b3dd2f4fe20d19d79850a817dad36b";
const EPOCH_1: &str = "154f1abda5dff12fea229dbe58ec5f0f9b3d4c302357964354196caf5eed6ab4";

fn line(name: &str, card: &str, sponsor: &str) -> Line {
    Line::parse(&format!("member {name} voter {card} {sponsor}")).unwrap()
}

#[test]
fn the_first_two_epochs_have_the_ids_and_signatures_of_the_vectors() {
    let state = State::new([line("a.example", CARD_A, "-"), param(PROTO, "1")]).unwrap();
    assert_eq!(state.to_text(), format!("kontalk-state-v1\nmember a.example voter {CARD_A} -\nparam proto 1\n"));
    let hash = state.hash().to_string();
    assert!(hash.starts_with("bcd7c29e") && hash.ends_with("2c18fb"), "{hash}");
    let nonce = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f_u128.to_be_bytes();
    let genesis = Genesis { name: "test-net".to_owned(), nonce, continues: None, state: state.hash() };
    assert_eq!(genesis.network().to_string(), NETWORK);

    let joining = line("b.example", CARD_B, "a.example");
    let proposal = Proposal {
        network: genesis.network(),
        kind: Kind::Admit,
        was: None,
        now: Some(joining.clone()),
        opened: 0,
        nonce: 0x0011_2233_4455_6677_u64.to_be_bytes(),
        evidence: Default::default(),
        by: domain("a.example"),
        reason: "Bea, met in person".to_owned(),
    };
    assert_eq!(proposal.id().to_string(), PROPOSAL);
    let vote = keys("a.example").vote();
    let ballot = Ballot { network: genesis.network(), proposal: proposal.id(), choice: Choice::Yes };
    assert_eq!(
        sign(&vote, &ballot.to_text()).encoded(),
        "QJkhZ1jkJL9e6OqVeZD4O+WDNcc8D1bY3Y59AjZvgmGhfLNnyfuj2jEhK7oHvPGwXg+eqJ0eXqD/dv33bDr96mzmPw8="
    );
    let after = State::new([line("a.example", CARD_A, "-"), joining, param(PROTO, "1")]).unwrap();
    assert_eq!(after.hash().to_string(), STATE_1);
    let decision = Decision {
        network: genesis.network(),
        number: 1,
        parent: genesis.network().genesis(),
        apply: [proposal.id()].into(),
        state: after.hash(),
    };
    assert_eq!(decision.id().to_string(), EPOCH_1);
    assert_eq!(
        sign(&vote, &precommit(&decision, 0).to_text()).encoded(),
        "QJkhZ+GvlxPR6HHDQXK9RctfdkbWBHasayKnExhpjY7VBnZyfsTMSTybyBYJFf2WPbFv2CMZ7cTfam6v88+aqNZv7AI="
    );
}
