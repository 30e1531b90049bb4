//! Exactly one way to write each text.

use super::*;
use crate::vote::text::sign;

fn state() -> State {
    State::new([
        banned("e.example", BanEffect::Immediate),
        member("a.example", Role::Voter, "-"),
        member("c.example", Role::Associate, "a.example"),
        Line::Pardon { domain: domain("c.example"), epoch: 12 },
        param(PROTO, "1"),
        param(CHARTER, &CharterHash::of("be kind\n").to_string()),
    ])
    .unwrap()
}

fn proposal() -> Proposal {
    Proposal {
        network: NetworkId([1; 32]),
        kind: Kind::Ban,
        was: Some(member("e.example", Role::Associate, "c.example")),
        now: Some(banned("e.example", BanEffect::Grace)),
        opened: 16,
        nonce: [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77],
        evidence: [EvidenceId([2; 32]), EvidenceId([3; 32])].into(),
        by: domain("a.example"),
        reason: "two logs shown – “both” kept".to_owned(),
    }
}

#[test]
fn a_state_has_one_text() {
    let text = state().to_text();
    assert_eq!(State::parse(&text), Ok(state()));
    let card = keys("a.example").card().id();
    let a = format!("member a.example voter {card} -\n");
    let wrong_line = TextError::Line("member, banned, pardon or param");
    for (wrong, error) in [
        (String::new(), TextError::Line("kontalk-state-v1")),
        (text.replace("state-v1", "state-v2"), TextError::Line("kontalk-state-v1")),
        (text.replace(&a, &format!("{a}{a}")), TextError::NotCanonical),
        (text.replace(&a, "") + &a, TextError::NotCanonical),
        (text.trim_end().to_owned(), TextError::NotCanonical),
        (format!("{text}\n"), wrong_line),
        (text.replace(" voter ", " Voter "), wrong_line),
        (text.replace(" voter ", " chief "), wrong_line),
        (text.replace("a.example voter", "A.example voter"), wrong_line),
        (text.replace("voter ", "voter  "), wrong_line),
        (text.replace(&card.to_string(), &card.to_string().to_uppercase()), wrong_line),
        (text.replace("immediate", "at-once"), wrong_line),
        (text.replace("c.example 12", "c.example 012"), wrong_line),
        (text.replace("proto 1", "proto 01"), wrong_line),
        (text.replace("proto 1", "proto 0"), wrong_line),
        (text.replace("proto 1", "Proto 1"), wrong_line),
        (text.replace("proto 1", "proto 1 2"), wrong_line),
        (text.replace("param charter ", "param charter 00"), wrong_line),
        // One node is not both.
        (text.replace("banned e.example", "banned a.example"), TextError::NotCanonical),
    ] {
        assert_eq!(State::parse(&wrong), Err(error), "{wrong}");
    }
}

#[test]
fn a_proposal_has_one_text() {
    let text = proposal().to_text();
    assert_eq!(Proposal::parse(&text), Ok(proposal()));
    let evidence = |byte: &str| format!("evidence {}\n", byte.repeat(32));
    let card = keys("e.example").card().id().to_string();
    for (wrong, error) in [
        (text.replace("kind ban", "kind Ban"), TextError::Line("kind")),
        (text.replace("subject e.example", "subject c.example"), TextError::Line("subject")),
        (text.replace("now banned e.example", "now banned c.example"), TextError::Line("subject")),
        (text.replace(&card, "x"), TextError::Line("was")),
        (text.replace("opened 16", "opened +16"), TextError::NotCanonical),
        (text.replace("opened 16", "opened -1"), TextError::Line("opened")),
        (text.replace("nonce 00", "nonce "), TextError::NotCanonical),
        (text.replace("nonce 00", "nonce +0"), TextError::NotCanonical),
        (text.replace(&evidence("02"), &evidence("04")), TextError::NotCanonical),
        (text.replace(&evidence("02"), &evidence("03")), TextError::NotCanonical),
        (
            text.replace(&evidence("02"), &(0..8).map(|n| evidence(&format!("1{n}"))).collect::<String>()),
            TextError::Line("evidence"),
        ),
        (text.replace("by a.example", "by a.example."), TextError::Line("by")),
        (text.replace("reason two", "reason  two"), TextError::Line("reason")),
        (text.replace("reason two", "reason \u{202E}two"), TextError::Line("reason")),
        (text.replace("reason two", &format!("reason {}", "x".repeat(280))), TextError::Line("reason")),
        (text.replace("kept\n", "kept \n"), TextError::Line("reason")),
        (format!("{text}x y\n"), TextError::NotCanonical),
        (text.replace('\n', "\r\n"), TextError::Line("kontalk-proposal-v1")),
    ] {
        assert_eq!(Proposal::parse(&wrong), Err(error), "{wrong}");
    }
    let nothing = Proposal { was: None, now: None, ..proposal() };
    assert_eq!(SignedProposal::make(nothing, &keys("a.example").vote()), None);
    let signed = SignedProposal::make(proposal(), &keys("a.example").vote()).unwrap();
    assert_eq!(SignedProposal::parse(signed.to_text().as_bytes()), Ok(signed.clone()));
    assert!(signed.is_signed_by(keys("a.example").vote().public()));
    assert!(!signed.is_signed_by(keys("b.example").vote().public()));
}

#[test]
fn ballots_and_messages_have_one_text() {
    for choice in Choice::ALL {
        let ballot = Ballot { network: NetworkId([1; 32]), proposal: ProposalId([2; 32]), choice };
        assert_eq!(Ballot::parse(&ballot.to_text()), Ok(ballot));
        let text = ballot.to_text();
        for wrong in [text.replace(choice.as_str(), "maybe"), text.trim_end().to_owned(), format!("{text}{choice}\n")] {
            assert!(Ballot::parse(&wrong).is_err(), "{wrong}");
        }
    }
    for phase in [Phase::Prevote, Phase::Precommit] {
        for value in [None, Some(EpochId([3; 32]))] {
            let vote = Vote { network: NetworkId([1; 32]), epoch: 17, round: 3, phase, value };
            let text = vote.to_text();
            assert_eq!(Vote::parse(&text), Ok(vote));
            for wrong in [
                text.replace("round 3", "round 03"),
                text.replace("round 3", "round 4294967296"),
                text.replace("epoch 17", "epoch  17"),
                text.replace(phase.as_str(), "postvote"),
                format!("{text}{phase} nil\n"),
                text.replace("nil", "Nil").replace("0303", "030G"),
            ] {
                assert!(Vote::parse(&wrong).is_err(), "{wrong}");
            }
        }
    }
    let propose =
        Propose { network: NetworkId([1; 32]), epoch: 17, round: 3, value: EpochId([4; 32]), valid_round: None };
    for valid_round in [None, Some(0), Some(2)] {
        let propose = Propose { valid_round, ..propose };
        assert_eq!(Propose::parse(&propose.to_text()), Ok(propose));
    }
    // A proof is of an earlier round.
    let same = Propose { valid_round: Some(3), ..propose };
    assert_eq!(Propose::parse(&same.to_text()), Err(TextError::Line("validround")));
}

#[test]
fn epochs_have_one_text() {
    let genesis = Genesis {
        name: "Lucca e dintorni".to_owned(),
        nonce: [9; 16],
        continues: Some((NetworkId([8; 32]), 41)),
        state: StateHash([7; 32]),
    };
    let decision = Decision {
        network: NetworkId([1; 32]),
        number: 17,
        parent: EpochId([2; 32]),
        apply: [ProposalId([3; 32]), ProposalId([4; 32])].into(),
        state: StateHash([5; 32]),
    };
    let one = genesis.to_text();
    let found = CertifiedEpoch::found(genesis.clone(), &[&keys("a.example").vote()]).to_text();
    let two_ends = found.replacen("\n\n", "\n\n— x\n\n", 1);
    assert_eq!(CertifiedEpoch::parse(two_ends.as_bytes()), Err(TextError::Line("certificate")));
    assert_eq!(CertifiedEpoch::parse(one.as_bytes()), Err(TextError::Line("certificate")));
    assert_eq!(Epoch::parse(&one), Ok(Epoch::Genesis(genesis)));
    let other = decision.to_text();
    assert_eq!(Epoch::parse(&other), Ok(Epoch::Decision(decision)));
    let apply = |byte: &str| format!("apply {}\n", byte.repeat(32));
    for (wrong, error) in [
        (one.replace("network -", &format!("network {}", NetworkId([1; 32]))), TextError::Line("network")),
        (one.replace("number 0", "number 1"), TextError::Line("number")),
        (one.replace("name Lucca", "name  Lucca"), TextError::Line("name")),
        (one.replace("name Lucca", &format!("name {}", "x".repeat(60))), TextError::Line("name")),
        (one.replace(" 41", " 041"), TextError::NotCanonical),
        (one.replace(" 41", ""), TextError::Line("continues")),
        (one.replace("nonce 09", "nonce 9"), TextError::NotCanonical),
        (other.replace("number 17", "number 0"), TextError::Line("network")),
        (other.replace(&apply("03"), &apply("05")), TextError::NotCanonical),
        (other.replace(&apply("03"), &apply("04")), TextError::NotCanonical),
        (other.replace(&apply("03"), "").replace(&apply("04"), ""), TextError::Line("apply")),
        (
            other.replace(&apply("03"), &(10..18).map(|n| apply(&n.to_string())).collect::<String>()),
            TextError::Line("apply"),
        ),
        (other.replace("state ", "state  "), TextError::Line("state")),
        (format!("{other}\n"), TextError::NotCanonical),
    ] {
        assert_eq!(Epoch::parse(&wrong), Err(error), "{wrong}");
    }
}

#[test]
fn a_voter_counts_once_and_strangers_never() {
    let voters: VoterKeys = names(4).iter().map(|name| (domain(name), keys(name).vote().public().clone())).collect();
    let line = |name: &str, text: &str| sign(&keys(name).vote(), text);
    let good: Vec<_> = names(4).iter().map(|name| line(name, "t\n")).collect();
    let stranger = line("x.example", "t\n");
    let bad = line("n0.example", "other\n");
    let counted = |lines: &[_]| signers("t\n", lines, &voters).len();
    assert_eq!(counted(&good), 4);
    assert_eq!(counted(&good[..3]), 3);
    assert_eq!(counted(&[good[0].clone(), good[0].clone()]), 1);
    assert_eq!(counted(&[good[0].clone(), stranger.clone()]), 1);
    // C2SP signed-note: a false line of a known key spoils what that key says, in whatever order.
    assert_eq!(counted(&[good[0].clone(), bad.clone()]), 0);
    assert_eq!(counted(&[bad, good[0].clone(), good[1].clone()]), 1);
    assert_eq!(signers("u\n", &good, &voters).len(), 0);
}

#[test]
fn a_double_vote_is_proved_by_two_votes_that_contradict_each_other() {
    let key = keys("e.example").vote();
    let vote = |round, phase, value: Option<u8>| {
        let value = value.map(|byte| EpochId([byte; 32]));
        let vote = Vote { network: NetworkId([1; 32]), epoch: 17, round, phase, value };
        (vote, sign(&key, &vote.to_text()))
    };
    let prove = |a, b| DoubleVote::new(domain("e.example"), key.public().clone(), a, b);
    let proof = prove(vote(0, Phase::Precommit, Some(2)), vote(0, Phase::Precommit, Some(1))).unwrap();
    let same = prove(vote(0, Phase::Precommit, Some(1)), vote(0, Phase::Precommit, Some(2))).unwrap();
    assert_eq!(proof.id(), same.id());
    assert_eq!(DoubleVote::parse(&proof.to_text()), Ok(proof.clone()));
    assert!(prove(vote(0, Phase::Prevote, None), vote(0, Phase::Prevote, Some(1))).is_ok());
    for (a, b, error) in [
        (vote(0, Phase::Precommit, Some(1)), vote(0, Phase::Precommit, Some(1)), EvidenceError::NoContradiction),
        (vote(0, Phase::Precommit, Some(1)), vote(0, Phase::Prevote, Some(2)), EvidenceError::NoContradiction),
        (vote(0, Phase::Precommit, Some(1)), vote(1, Phase::Precommit, Some(2)), EvidenceError::NoContradiction),
        (
            vote(0, Phase::Precommit, Some(1)),
            (vote(0, Phase::Precommit, Some(2)).0, vote(0, Phase::Precommit, Some(1)).1),
            EvidenceError::Signature,
        ),
    ] {
        assert_eq!(prove(a, b), Err(error));
    }
    let text = proof.to_text();
    let of_other = DoubleVote::parse(&text.replace("accused e.example", "accused c.example"));
    assert_eq!(of_other, Err(EvidenceError::Text(TextError::Line("key"))));
    for (wrong, error) in [
        (text.replace("kind double-vote", "kind log-fork"), EvidenceError::Kind),
        (text.replace("round 0", "round 1"), EvidenceError::Signature),
        (text.replace("epoch 17", "epoch 017"), EvidenceError::Text(TextError::NotCanonical)),
        (text.replace("first 01", "first 03"), EvidenceError::Signature),
        (text.replace("phase precommit", "phase commit"), EvidenceError::Text(TextError::Line("phase"))),
    ] {
        assert_eq!(DoubleVote::parse(&wrong), Err(error), "{wrong}");
    }
    // The same two votes in the other order are another text.
    let lines: Vec<&str> = text.lines().collect();
    let swapped = lines[..8].join("\n")
        + "\n"
        + &lines[9].replace("second", "first")
        + "\n"
        + &lines[8].replace("first", "second")
        + "\n";
    assert_eq!(DoubleVote::parse(&swapped), Err(EvidenceError::Text(TextError::NotCanonical)));
}

#[test]
fn a_charter_is_plain_text_and_its_consent_names_all_that_is_agreed() {
    let charter = Charter::parse("Be kind.\nSei gentile.\n".as_bytes()).unwrap();
    for wrong in ["", "\n", "Be kind.", "Be\u{7}kind.\n", "Be\r\n"] {
        assert!(Charter::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
    assert_eq!(Charter::parse(&[b'x'; CHARTER_BYTES_MAX + 1]), Err(TextError::TooLong));
    let consent = Consent { network: NetworkId([1; 32]), charter: charter.hash(), by: domain("a.example") };
    let signed = SignedConsent::make(consent, &keys("a.example").vote());
    assert_eq!(SignedConsent::parse(signed.to_text().as_bytes()), Ok(signed.clone()));
    assert!(signed.is_signed_by(keys("a.example").vote().public()));
    let changed = signed.to_text().replace("by a.example", "by b.example");
    let changed = SignedConsent::parse(changed.as_bytes()).unwrap();
    assert!(!changed.is_signed_by(keys("a.example").vote().public()));
}
