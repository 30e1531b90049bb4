//! One vector for each kind, each boundary of who must agree, and near-misses.

use super::*;
use crate::vote::text::sign;

const A: &str = "a.example";
const B: &str = "b.example";
const C: &str = "c.example";
const D: &str = "d.example";
const X: &str = "x.example";
const ALL: [&str; 4] = [A, B, C, D];

fn four() -> World {
    World::of(&ALL, &[])
}

fn associate(name: &str) -> Line {
    member(name, Role::Associate, A)
}

/// Four voters and the associate X.
fn five() -> World {
    let mut world = four();
    let admit = world.proposal(Kind::Admit, None, Some(associate(X)), A);
    world.pass(admit, &[A, B, C]).unwrap();
    world
}

fn invalid(objection: Objection) -> Result<(), Fault> {
    Err(Fault::Invalid(objection))
}

/// What becomes of a proposal with all the yes there can be.
fn outcome(world: &mut World, proposal: Proposal) -> Result<(), Fault> {
    let signed = SignedProposal::make(proposal.clone(), &world.vote_key(proposal.by.as_str())).unwrap();
    let mut pool = world.pool.clone();
    // Opened before, in a pool that is not asked whether it may.
    if pool.take_proposal(&world.chain, signed.clone(), false).is_err() {
        return world.chain.check(&signed, &pool);
    }
    std::mem::swap(&mut world.pool, &mut pool);
    if let Some(node) = proposal.node().filter(|_| proposal.kind == Kind::Admit) {
        let _ = world.pool.take_card(&world.chain, keys(node.as_str()).proved());
    }
    for name in world.voters() {
        world.say(signed.id(), Choice::Yes, &name).unwrap();
    }
    let outcome = world.chain.check(&signed, &world.pool);
    std::mem::swap(&mut world.pool, &mut pool);
    outcome
}

#[test]
fn each_kind_makes_its_change_and_no_other() {
    use Kind::*;
    let founder = |name| Some(member(name, Role::Voter, "-"));
    let (x, none) = (Some(associate(X)), None);
    let x_votes = Some(member(X, Role::Voter, A));
    let ban = |effect| Some(banned(X, effect));
    let by_b = Some(member(X, Role::Associate, B));
    let form = || invalid(Objection::Form);
    let rows = [
        (GrantVote, x.clone(), x_votes.clone(), A, Ok(())),
        (GrantVote, x.clone(), x_votes.clone(), B, Ok(())),
        (GrantVote, x.clone(), x_votes.clone(), X, invalid(Objection::Proposer)),
        (GrantVote, x.clone(), Some(member(X, Role::Voter, B)), A, form()),
        (GrantVote, x.clone(), ban(BanEffect::Grace), A, form()),
        (GrantVote, founder(B), Some(member(B, Role::Associate, "-")), A, form()),
        (StripVote, founder(B), Some(member(B, Role::Associate, "-")), A, Ok(())),
        (StripVote, founder(B), none.clone(), A, form()),
        (StripVote, x.clone(), x_votes.clone(), A, form()),
        (Admit, none.clone(), Some(member("y.example", Role::Associate, A)), A, Ok(())),
        (Admit, none.clone(), Some(member("y.example", Role::Voter, A)), A, Ok(())),
        (Admit, none.clone(), Some(member("y.example", Role::Voter, B)), A, form()),
        (Admit, none.clone(), Some(member("y.example", Role::Voter, "-")), A, form()),
        (Admit, none.clone(), x_votes.clone(), A, invalid(Objection::Overtaken)),
        (Admit, x.clone(), x_votes.clone(), A, form()),
        (Admit, none.clone(), ban(BanEffect::Grace), A, invalid(Objection::Overtaken)),
        (Ban, x.clone(), ban(BanEffect::Immediate), A, Ok(())),
        (Ban, x.clone(), ban(BanEffect::Grace), B, Ok(())),
        (Ban, x.clone(), ban(BanEffect::Grace), X, invalid(Objection::Proposer)),
        (Ban, x_votes.clone(), ban(BanEffect::Grace), A, invalid(Objection::Overtaken)),
        (Ban, x.clone(), none.clone(), A, form()),
        (Ban, x.clone(), by_b.clone(), A, form()),
        (Reinstate, x.clone(), by_b.clone(), B, form()),
        (Leave, x.clone(), none.clone(), X, Ok(())),
        (Leave, x.clone(), none.clone(), A, invalid(Objection::Proposer)),
        (Leave, founder(B), none.clone(), B, Ok(())),
        (Leave, x.clone(), ban(BanEffect::Grace), X, form()),
        (RotateKey, x.clone(), x_votes.clone(), X, form()),
        (SetParam, none.clone(), Some(param("grace-days", "7")), A, Ok(())),
        (SetParam, Some(param(PROTO, "1")), Some(param(PROTO, "2")), A, Ok(())),
        (SetParam, none.clone(), Some(param(PROTO, "2")), A, invalid(Objection::Overtaken)),
        (SetParam, Some(param(PROTO, "1")), Some(param(PROTO, "1")), A, form()),
        (SetParam, Some(param(PROTO, "1")), none.clone(), A, form()),
        (SetParam, none.clone(), Some(param("grace-days", "7")), X, invalid(Objection::Proposer)),
        (Pardon, none.clone(), Some(Line::Pardon { domain: domain(X), epoch: 1 }), A, Ok(())),
        (Pardon, none.clone(), Some(Line::Pardon { domain: domain(X), epoch: 2 }), A, form()),
        (Pardon, none.clone(), Some(Line::Pardon { domain: domain("y.example"), epoch: 1 }), A, form()),
    ];
    for (kind, was, now, by, expected) in rows {
        let mut world = five();
        let told = format!("{kind} {was:?} -> {now:?} by {by}");
        let proposal = world.proposal(kind, was, now, by);
        assert_eq!(outcome(&mut world, proposal), expected, "{told}");
    }
}

#[test]
fn a_banned_node_comes_back_only_as_an_associate_with_its_card() {
    let mut world = five();
    let ban = world.proposal(Kind::Ban, Some(associate(X)), Some(banned(X, BanEffect::Grace)), A);
    world.pass(ban, &[A, B, C]).unwrap();
    assert_eq!(world.chain.standing(&domain(X)), Standing::Banned { effect: BanEffect::Grace });
    let was = || Some(banned(X, BanEffect::Grace));
    for (now, kind, expected) in [
        (Some(member(X, Role::Voter, A)), Kind::Reinstate, invalid(Objection::Form)),
        (Some(member(X, Role::Associate, B)), Kind::Reinstate, invalid(Objection::Form)),
        (Some(associate(X)), Kind::Admit, invalid(Objection::Form)),
        (Some(banned(X, BanEffect::Immediate)), Kind::Ban, Ok(())),
        (Some(associate(X)), Kind::Reinstate, Ok(())),
    ] {
        let proposal = world.proposal(kind, was(), now, A);
        assert_eq!(outcome(&mut world, proposal), expected);
    }
    let back = world.proposal(Kind::Reinstate, was(), Some(associate(X)), A);
    world.pass(back, &[A, B, C]).unwrap();
    assert_eq!(world.chain.state().node(&domain(X)), Some(&associate(X)));
}

#[test]
fn what_was_overtaken_once_stays_dead() {
    let mut world = five();
    let (in_, out) = (Some(associate(X)), Some(banned(X, BanEffect::Immediate)));
    let ban = world.proposal(Kind::Ban, in_.clone(), out.clone(), A);
    let signed = SignedProposal::make(ban.clone(), &world.vote_key(A)).unwrap();
    let rival = world.proposal(Kind::Ban, in_.clone(), Some(banned(X, BanEffect::Grace)), B);
    let rival = world.open(rival).unwrap();
    world.pass(ban, &[A, B, C]).unwrap();
    assert!(world.pool.proposal(rival).is_none(), "the rival died with the line");
    let back = world.proposal(Kind::Reinstate, out, in_.clone(), A);
    world.pass(back, &[A, B, C]).unwrap();
    // The line is what it was, and the ballots still are yes.
    assert_eq!(world.chain.state().node(&domain(X)), in_.as_ref());
    assert_eq!(world.chain.check_open(signed.proposal()), Err(Objection::Overtaken));
    assert_eq!(world.pool.take_proposal(&world.chain, signed, true), Err(Refusal::Objection(Objection::Overtaken)));
}

/// Kind, what it changes, with evidence or so, and how many of 1 to 10 voters must say yes.
#[test]
fn the_table_of_who_must_agree() {
    use Kind::*;
    let never = 99;
    let any = Question { kind: Admit, role: None, voters: 0, subject_votes: false, proved: false, self_proving: false };
    let of = |kind, role, subject_votes, proved, self_proving| Question {
        kind,
        role,
        subject_votes,
        proved,
        self_proving,
        ..any
    };
    let (a, v) = (Some(Role::Associate), Some(Role::Voter));
    let table: [(Question, [usize; 10]); 17] = [
        (of(Admit, a, false, false, false), [1, 2, 2, 3, 3, 4, 4, 5, 5, 6]),
        (of(Admit, v, false, false, false), [1, 2, 3, 3, 4, 5, 5, 6, 7, 7]),
        (of(GrantVote, v, false, false, false), [1, 2, 3, 3, 4, 5, 5, 6, 7, 7]),
        (of(StripVote, a, true, false, false), [never, 1, 2, 3, 3, 4, 5, 5, 6, 7]),
        (of(StripVote, a, true, true, false), [0; 10]),
        (of(Ban, None, true, false, false), [never, 1, 2, 3, 3, 4, 5, 5, 6, 7]),
        (of(Ban, None, false, false, false), [1, 2, 3, 3, 4, 5, 5, 6, 7, 7]),
        (of(Ban, None, true, true, false), [never, 1, 2, 2, 3, 3, 4, 4, 5, 5]),
        (of(Ban, None, false, true, false), [1, 2, 2, 3, 3, 4, 4, 5, 5, 6]),
        (of(Reinstate, a, false, false, false), [1, 2, 3, 3, 4, 5, 5, 6, 7, 7]),
        (of(RotateKey, v, true, false, false), [never, 1, 2, 3, 3, 4, 5, 5, 6, 7]),
        (of(RotateKey, a, false, false, false), [1, 2, 3, 3, 4, 5, 5, 6, 7, 7]),
        (of(RotateKey, v, true, false, true), [0; 10]),
        (of(Leave, None, true, false, false), [0; 10]),
        (of(Leave, None, false, false, false), [0; 10]),
        (of(SetParam, None, false, false, false), [1, 2, 3, 3, 4, 5, 5, 6, 7, 7]),
        (of(Pardon, None, true, false, false), [1, 2, 3, 3, 4, 5, 5, 6, 7, 7]),
    ];
    for (question, expected) in table {
        for (voters, yes) in (1..).zip(expected) {
            let question = Question { voters, ..question };
            let told = needed(question);
            let asked = voters - usize::from(question.subject_votes && !told.subject_counts);
            match yes {
                99 => assert!(told.yes > asked, "{question:?}: {told:?}"),
                yes => assert_eq!(told.yes, yes, "{question:?}"),
            }
        }
    }
    for (n, q) in [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 3),
        (5, 4),
        (6, 5),
        (7, 5),
        (10, 7),
        (16, 11),
        (20, 14),
        (50, 34),
        (100, 67),
        (1000, 667),
    ] {
        assert_eq!((quorum(n), one_honest(n)), (q, n - q + 1), "{n}");
    }
    assert_eq!(quorum(usize::MAX), usize::MAX / 3 * 2 + 1);
}

/// Every kind at every number of voters: one ballot too few does not decide, the last one does, and strangers' never count.
#[test]
fn each_boundary_is_where_the_table_says_it_is() {
    for n in 1..=10 {
        for kind in
            [Kind::Admit, Kind::GrantVote, Kind::StripVote, Kind::Ban, Kind::Reinstate, Kind::SetParam, Kind::Pardon]
        {
            let names = names(n);
            let extra = match kind {
                Kind::Reinstate => vec![banned(X, BanEffect::Grace)],
                Kind::GrantVote => vec![associate(X)],
                _ => Vec::new(),
            };
            let mut world = World::of_count(n);
            for line in extra {
                world.chain.state.replace(line.key(), Some(line.clone()));
                world.chain.take_card(&keys(X).proved()).unwrap();
            }
            let (first, last) = (names[0].as_str(), names[n - 1].as_str());
            let own = |role| Some(member(last, role, "-"));
            let (was, now) = match kind {
                Kind::Admit => (None, Some(member(X, Role::Associate, first))),
                Kind::GrantVote => (Some(associate(X)), Some(member(X, Role::Voter, A))),
                Kind::StripVote => (own(Role::Voter), own(Role::Associate)),
                Kind::Ban => (own(Role::Voter), Some(banned(last, BanEffect::Immediate))),
                Kind::Reinstate => (Some(banned(X, BanEffect::Grace)), Some(member(X, Role::Associate, first))),
                Kind::Pardon => (None, Some(Line::Pardon { domain: domain(last), epoch: 0 })),
                _ => (None, Some(param("colour", "green"))),
            };
            let proposal = world.proposal(kind, was, now, first);
            let id = world.open(proposal).unwrap();
            let signed = world.pool.proposal(id).unwrap().clone();
            let about_voter = matches!(kind, Kind::StripVote | Kind::Ban);
            let question = Question {
                kind,
                role: signed.proposal().now.as_ref().and_then(Line::role),
                voters: n,
                subject_votes: about_voter || kind == Kind::Pardon,
                proved: false,
                self_proving: false,
            };
            let needed = needed(question).yes;
            let mut said = 0;
            if about_voter {
                // The subject's own does not count.
                world.say(id, Choice::Yes, last).unwrap();
            }
            assert_eq!(world.say(id, Choice::Yes, X), Err(Refusal::NotSigned));
            for name in names.iter().filter(|name| !about_voter || *name != last) {
                let told = format!("{kind} at {n} voters, {said} of {needed} said yes");
                let check = world.chain.check(&signed, &world.pool);
                assert_eq!(check.is_ok(), said >= needed, "{told}: {check:?}");
                assert_eq!(world.chain.tally(&signed, &world.pool).yes.len(), said, "{told}");
                world.say(id, Choice::No, name).unwrap();
                world.say(id, Choice::Yes, name).unwrap();
                said += 1;
            }
            let check = world.chain.check(&signed, &world.pool);
            assert_eq!(check.is_ok(), said >= needed, "{kind} at {n} voters: {check:?}");
        }
    }
}

#[test]
fn a_yes_is_for_good_and_nothing_else_counts() {
    let mut world = five();
    let proposal = world.proposal(Kind::Ban, Some(associate(X)), Some(banned(X, BanEffect::Grace)), A);
    let id = world.open(proposal).unwrap();
    assert_eq!(world.say(id, Choice::Abstain, A), Ok(true));
    assert_eq!(world.say(id, Choice::Abstain, A), Ok(false));
    assert_eq!(world.say(id, Choice::Yes, A), Ok(true));
    assert_eq!(world.say(id, Choice::No, A), Ok(false));
    world.say(id, Choice::No, B).unwrap();
    world.say(id, Choice::Yes, C).unwrap();
    // Hiding it changes nothing, and only who proposed it may.
    assert_eq!(world.say(id, Choice::Withdraw, B), Err(Refusal::NotNeeded));
    assert_eq!(world.say(id, Choice::Withdraw, A), Ok(true));
    assert!(world.pool.waiting().all(|waiting| waiting.withdrawn.is_some()));
    assert_eq!(world.decide(&[id]), Err(Fault::from(Want::Ballots(id))));
    world.say(id, Choice::Yes, B).unwrap();
    assert_eq!(world.decide(&[id]), Ok(()));
    assert_eq!(world.chain.standing(&domain(X)), Standing::Banned { effect: BanEffect::Grace });
}

#[test]
fn proposals_die_after_64_epochs_and_nobody_opens_more_than_three() {
    let mut world = four();
    let old = world.proposal(Kind::SetParam, None, Some(param("old", "1")), A);
    for n in 0..OPEN_PER_PROPOSER_MAX {
        let proposal = world.proposal(Kind::SetParam, None, Some(param(&format!("p{n}"), "1")), B);
        world.open(proposal).unwrap();
    }
    let fourth = world.proposal(Kind::SetParam, None, Some(param("fourth", "1")), B);
    assert_eq!(world.open(fourth.clone()), Err(Refusal::TooMany));
    // An epoch that is voted on may name it.
    let signed = SignedProposal::make(fourth, &world.vote_key(B)).unwrap();
    assert_eq!(world.pool.take_proposal(&world.chain, signed, true), Ok(true));

    let future = Proposal { opened: 1, ..old.clone() };
    assert_eq!(world.chain.check_open(&future), Err(Objection::NotYet));
    let foreign = Proposal { network: NetworkId([1; 32]), ..old.clone() };
    assert_eq!(world.chain.check_open(&foreign), Err(Objection::OtherNetwork));
    for epoch in 1..=64 {
        assert_eq!(world.chain.check_open(&old), Ok(()), "before epoch {epoch}");
        let proposal = world.proposal(Kind::SetParam, None, Some(param(&format!("q{epoch}"), "1")), A);
        world.pass(proposal, &[A, B, C]).unwrap();
    }
    assert_eq!(world.chain.check_open(&old), Err(Objection::TooOld));
    assert_eq!(world.pool.waiting().count(), 0);
}

#[test]
fn an_epoch_is_judged_by_every_line_of_it() {
    let mut world = five();
    let open = |world: &mut World, name: &str| {
        let proposal = world.proposal(Kind::SetParam, None, Some(param(name, "1")), A);
        let id = world.open(proposal).unwrap();
        world.agree(id, &[A, B, C]);
        id
    };
    let (one, other) = (open(&mut world, "one"), open(&mut world, "other"));
    let good = world.chain.draft([one, other], &world.pool).unwrap();
    assert_eq!(good.apply.len(), 2);
    let judge = |decision: &Decision| world.chain.judge(decision, &world.pool).map(|next| next.head());
    assert_eq!(judge(&good), Ok(good.id()));
    for (wrong, fault) in [
        (Decision { network: NetworkId([1; 32]), ..good.clone() }, Objection::OtherNetwork.into()),
        (Decision { number: 3, ..good.clone() }, Objection::Number.into()),
        (Decision { parent: EpochId([1; 32]), ..good.clone() }, Objection::Parent.into()),
        (Decision { state: StateHash([1; 32]), ..good.clone() }, Objection::State.into()),
        (Decision { apply: [one].into(), ..good.clone() }, Objection::State.into()),
        (
            Decision { apply: [one, ProposalId([1; 32])].into(), ..good.clone() },
            Want::Proposal(ProposalId([1; 32])).into(),
        ),
    ] {
        assert_eq!(judge(&wrong), Err(fault));
    }
    // A quorum of the electorate must have signed.
    let text = precommit(&good, 4).to_text();
    let certified = |names: &[&str]| CertifiedEpoch::Decision {
        decision: good.clone(),
        round: 4,
        lines: names.iter().map(|name| sign(&keys(name).vote(), &text)).collect(),
    };
    let follow = |names: &[&str]| world.chain.follow(&certified(names), &world.pool).map(|next| next.number());
    assert_eq!(follow(&[A, B, C]), Ok(2));
    assert_eq!(follow(&[A, B]), Err(Objection::NotCertified.into()));
    assert_eq!(follow(&[A, B, B, X]), Err(Objection::NotCertified.into()));
    let all = certified(&[X, A, B, A, C, D]).least(&world.chain.voter_keys());
    assert!(matches!(&all, CertifiedEpoch::Decision { lines, .. } if lines.len() == 3));
    assert!(all.is_certified_by(&world.chain.voter_keys()));
}

#[test]
fn two_proposals_about_one_subject_are_never_decided_together() {
    let mut world = five();
    let ban = world.proposal(Kind::Ban, Some(associate(X)), Some(banned(X, BanEffect::Grace)), A);
    let grant = world.proposal(Kind::GrantVote, Some(associate(X)), Some(member(X, Role::Voter, A)), B);
    let ids = [ban, grant].map(|proposal| world.open(proposal).unwrap());
    for id in ids {
        world.agree(id, &ALL);
    }
    let drafted = world.chain.draft(ids, &world.pool).unwrap();
    assert_eq!(drafted.apply.len(), 1);
    let both = Decision { apply: ids.into(), ..drafted };
    assert_eq!(world.chain.judge(&both, &world.pool).err(), Some(Objection::SubjectTwice.into()));
}

#[test]
fn newer_rules_stop_this_version_and_it_says_so() {
    let mut world = four();
    let raise = world.proposal(Kind::SetParam, Some(param(PROTO, "1")), Some(param(PROTO, "2")), A);
    world.pass(raise, &[A, B, C]).unwrap();
    assert_eq!(world.chain.check_rules(), Err(Objection::Rules));
    let next = world.proposal(Kind::SetParam, None, Some(param("x", "1")), A);
    let id = world.open(next).unwrap();
    world.agree(id, &ALL);
    assert_eq!(world.chain.draft([id], &world.pool), None);
}

#[test]
fn the_last_voter_stays() {
    let mut world = World::of(&[A], &[]);
    let leave = world.proposal(Kind::Leave, Some(member(A, Role::Voter, "-")), None, A);
    let id = world.open(leave).unwrap();
    assert_eq!(world.chain.check(world.pool.proposal(id).unwrap(), &world.pool), Ok(()));
    assert_eq!(world.chain.draft([id], &world.pool), None);
}

fn double_vote(world: &World, name: &str, epoch: u64, key: &crate::trust::Signer) -> DoubleVote {
    let vote = |byte: u8| {
        let value = Some(EpochId([byte; 32]));
        let vote = Vote { network: world.chain.network(), epoch, round: 0, phase: Phase::Prevote, value };
        (vote, sign(key, &vote.to_text()))
    };
    DoubleVote::new(domain(name), key.public().clone(), vote(1), vote(2)).unwrap()
}

#[test]
fn proof_of_a_double_vote_takes_the_vote_away_and_makes_a_ban_easier() {
    let mut world = World::of_count(7);
    let names = names(7);
    let accused = names[6].as_str();
    let proof = double_vote(&world, accused, 1, &keys(accused).vote());
    let was = || Some(member(accused, Role::Voter, "-"));
    let less = Some(member(accused, Role::Associate, "-"));
    let strip = Proposal { evidence: [proof.id()].into(), ..world.proposal(Kind::StripVote, was(), less, &names[0]) };
    let ban = world.proposal(Kind::Ban, was(), Some(banned(accused, BanEffect::Immediate)), &names[1]);
    let ban = Proposal { evidence: [proof.id()].into(), ..ban };
    let [strip, ban] = [strip, ban].map(|proposal| world.open(proposal).unwrap());
    let check = |world: &World, id| world.chain.check(world.pool.proposal(id).unwrap(), &world.pool);
    // Without the proof at hand it is asked for, once its weight would decide.
    assert_eq!(check(&world, strip), Err(Want::Evidence(proof.id()).into()));
    assert_eq!(check(&world, ban), Err(Want::Ballots(ban).into()));
    assert!(!world.chain.suspends(&double_vote(&world, accused, 2, &keys(accused).vote())), "of an epoch to come");
    assert!(world.chain.suspends(&proof));
    assert_eq!(world.pool.take_evidence(&world.chain, proof.clone()), Ok(true));
    assert_eq!(world.pool.suspended(&world.chain).collect::<Vec<_>>(), [&domain(accused)]);
    assert_eq!(check(&world, strip), Ok(()));
    for (at, name) in names.iter().take(4).enumerate() {
        assert_eq!(check(&world, ban).is_ok(), at >= 4, "{at} yes");
        world.say(ban, Choice::Yes, name).unwrap();
    }
    assert_eq!(check(&world, ban), Ok(()), "⌊6/2⌋+1 with evidence, where five were needed");

    // Proof against somebody else, or by a key that is not the node's, does not help.
    {
        let other = double_vote(&world, &names[5], 1, &keys(&names[5]).vote());
        let proposal = world.proposal(Kind::StripVote, was(), Some(member(accused, Role::Associate, "-")), &names[2]);
        let proposal = Proposal { evidence: [other.id()].into(), ..proposal };
        world.pool.take_evidence(&world.chain, other).unwrap();
        let id = world.open(proposal).unwrap();
        assert_eq!(check(&world, id), Err(Want::Ballots(id).into()));
    }
    let forged = double_vote(&world, accused, 1, &Keys { age: 9, ..keys(accused) }.vote());
    assert!(!world.chain.counts(&forged));
    assert_eq!(world.pool.take_evidence(&world.chain, forged), Err(Refusal::NotNeeded));
}

#[test]
fn what_is_forgiven_suspends_nobody_and_is_kept_no_longer() {
    let mut world = five();
    let proof = double_vote(&world, B, 1, &keys(B).vote());
    let later = double_vote(&world, B, 2, &keys(B).vote());
    assert_eq!(world.pool.take_evidence(&world.chain, proof.clone()), Ok(true));
    let pardon = world.proposal(Kind::Pardon, None, Some(Line::Pardon { domain: domain(B), epoch: 1 }), A);
    world.pass(pardon, &[A, B, C]).unwrap();
    assert!(!world.chain.counts(&proof) && world.chain.counts(&later));
    assert_eq!(world.pool.proofs().count(), 0);
}

#[test]
fn eight_proofs_against_one_node_are_enough() {
    let mut world = four();
    let key = keys(B).vote();
    for round in 0..12 {
        let vote = |byte: u8| {
            let value = Some(EpochId([byte; 32]));
            let vote = Vote { network: world.chain.network(), epoch: 1, round, phase: Phase::Prevote, value };
            (vote, sign(&key, &vote.to_text()))
        };
        let proof = DoubleVote::new(domain(B), key.public().clone(), vote(1), vote(2)).unwrap();
        let kept = world.pool.take_evidence(&world.chain, proof);
        assert_eq!(kept, if round < 8 { Ok(true) } else { Err(Refusal::TooMany) });
    }
}

fn rotate(world: &mut World, old: Keys<'_>, new: Keys<'_>) -> Proposal {
    let line = |keys: Keys<'_>, world: &World| {
        let Some(Line::Member { domain, role, sponsor, .. }) = world.chain.state().node(&domain(keys.name)).cloned()
        else {
            panic!("no member");
        };
        Some(Line::Member { domain, role, card: keys.card().id(), sponsor })
    };
    let (was, now) = (line(old, world), line(new, world));
    world.proposal(Kind::RotateKey, was, now, old.name)
}

#[test]
fn a_card_replaces_another_by_itself_only_by_the_keys_that_may() {
    let old = keys(B);
    let lesser = Keys { age: 1, ..old };
    let other_key = Keys { age: 1, openpgp: 1, ..old };
    let other_recovery = Keys { recovery: 1, ..lesser };
    let all_other = Keys { recovery: 1, ..other_key };
    let strange = [Keys { recovery: 7, ..old }.recovery()];
    let both = [old.recovery(), other_recovery.recovery()];
    let new_alone = [other_recovery.recovery()];
    let none: &[_] = &[];
    // New keys, whose recovery keys sign besides, and is it decided without anybody?
    for (new, by, decided) in [
        (lesser, &strange[..], true),
        (lesser, none, true),
        // The online key alone changes neither itself nor the recovery key: else a thief would win.
        (other_key, &strange[..], false),
        (other_key, none, true),
        (other_recovery, &new_alone[..], false),
        (other_recovery, &both[..], true),
        (all_other, &both[..], true),
        (all_other, &new_alone[..], false),
    ] {
        let mut world = four();
        let proposal = rotate(&mut world, old, new);
        let card = new.proved_by(by);
        let signed = SignedProposal::make(proposal, &old.vote()).unwrap();
        world.pool.take_proposal(&world.chain, signed.clone(), false).unwrap();
        assert_eq!(world.chain.check(&signed, &world.pool), Err(Want::Card(card.id()).into()));
        world.pool.take_card(&world.chain, card).unwrap();
        let check = world.chain.check(&signed, &world.pool);
        assert_eq!(
            check.is_ok(),
            decided,
            "age {} openpgp {} recovery {}: {check:?}",
            new.age,
            new.openpgp,
            new.recovery
        );
        // People may decide the others: of the three other voters, all.
        world.agree(signed.id(), &[A, C, D]);
        let check = world.chain.check(&signed, &world.pool);
        assert_eq!(check, Ok(()), "by vote");
    }
}

#[test]
fn whoever_lost_the_machine_signs_with_the_new_vote_key() {
    let mut world = four();
    let (old, new) = (keys(B), Keys { age: 1, openpgp: 1, ..keys(B) });
    let proposal = rotate(&mut world, old, new);
    let signed = SignedProposal::make(proposal, &new.vote()).unwrap();
    let taken = world.pool.take_proposal(&world.chain, signed.clone(), false);
    assert_eq!(taken, Err(Refusal::Want(Want::Card(new.card().id()))));
    world.pool.take_card(&world.chain, new.proved()).unwrap();
    world.pool.take_proposal(&world.chain, signed.clone(), false).unwrap();
    world.decide(&[signed.id()]).unwrap();
    assert_eq!(world.chain.card_of(&domain(B)).map(ProvedCard::id), Some(new.card().id()));
    assert_eq!(world.chain.electorate().iter().find(|e| e.domain == domain(B)).map(|e| e.kid), Some(new.card().kid));

    // The former card was signed by the recovery key as well. It does not come back by itself, whoever asks for it.
    world.renewed.insert(B.to_owned(), 1);
    let back = rotate(&mut world, new, old);
    for key in [old.vote(), new.vote()] {
        let signed = SignedProposal::make(back.clone(), &key).unwrap();
        let mut pool = world.pool.clone();
        let _ = pool.take_card(&world.chain, old.proved());
        let _ = pool.take_proposal(&world.chain, signed.clone(), true);
        let _ = pool.take_card(&world.chain, old.proved());
        assert!(world.chain.check(&signed, &pool).is_err());
    }
    // What the old key did is still its owner's.
    assert!(world.chain.suspends(&double_vote(&world, B, 1, &old.vote())));
}

#[test]
fn no_key_is_in_the_cards_of_two_nodes_ever() {
    let mut world = four();
    let line = |name: &str, card| {
        Some(Line::Member { domain: domain(name), role: Role::Associate, card, sponsor: Some(domain(A)) })
    };
    // X's card with B's label key.
    let card = Card { label: keys(B).card().label, ..keys(X).card() };
    let (vote, log, recovery) = (keys(X).vote(), keys(X).log(), keys(X).recovery());
    let signed = SignedCard::make(card, vec![1], &[&vote, &log, &recovery], Timestamp { millis: 0 });
    let proved = ProvedCard::check_notes_only(signed).unwrap();
    let proposal = world.proposal(Kind::Admit, None, line(X, proved.id()), A);
    let id = world.open(proposal).unwrap();
    world.pool.take_card(&world.chain, proved).unwrap();
    world.agree(id, &ALL);
    assert_eq!(world.decide(&[id]), invalid(Objection::KeyOfAnother));

    // The card of another name.
    let proposal = world.proposal(Kind::Admit, None, line("y.example", keys(X).card().id()), A);
    let id = world.open(proposal).unwrap();
    world.pool.take_card(&world.chain, keys(X).proved()).unwrap();
    assert_eq!(world.decide(&[id]), invalid(Objection::CardOfAnother));
}

#[test]
fn who_joins_has_signed_the_charter() {
    let charter = CharterHash::of("be kind\n");
    let mut world = World::of(&ALL, &[param(CHARTER, &charter.to_string())]);
    let admit = world.proposal(Kind::Admit, None, Some(associate(X)), A);
    let id = world.open(admit).unwrap();
    world.agree(id, &[A, B, C]);
    assert_eq!(world.decide(&[id]), Err(Want::Consent(domain(X)).into()));
    let network = world.chain.network();
    let consent = |charter, by: &str, key: &str| {
        SignedConsent::make(Consent { network, charter, by: domain(by) }, &keys(key).vote())
    };
    for (wrong, refusal) in [
        (consent(CharterHash::of("be rich\n"), X, X), Refusal::NotNeeded),
        (consent(charter, "y.example", "y.example"), Refusal::NotNeeded),
        (consent(charter, X, B), Refusal::NotSigned),
    ] {
        assert_eq!(world.pool.take_consent(&world.chain, wrong), Err(refusal));
    }
    assert_eq!(world.pool.take_consent(&world.chain, consent(charter, X, X)), Ok(true));
    assert_eq!(world.pool.take_consent(&world.chain, consent(charter, X, X)), Ok(false));
    world.decide(&[id]).unwrap();
    assert_eq!(world.chain.state().node(&domain(X)), Some(&associate(X)));
}

#[test]
fn a_network_begins_only_with_voters_who_all_signed() {
    let begin = |lines: Vec<Line>, continues: Option<(NetworkId, u64)>, signers: &[&str]| {
        let state = State::new(lines).unwrap();
        let genesis = Genesis { name: "n".to_owned(), nonce: [7; 16], continues, state: state.hash() };
        let signers: Vec<Signer> = signers.iter().map(|name| keys(name).vote()).collect();
        let first = CertifiedEpoch::found(genesis, &signers.iter().collect::<Vec<_>>());
        assert_eq!(CertifiedEpoch::parse(first.to_text().as_bytes()), Ok(first.clone()));
        let cards = Shelf([A, B].iter().map(|name| keys(name).proved()).map(|card| (card.id(), card)).collect());
        Chain::begin(&first, state, &cards).map(|chain| chain.electorate().len())
    };
    let voter = |name| member(name, Role::Voter, "-");
    let rules = || param(PROTO, "1");
    let before = Some((NetworkId([3; 32]), 41));
    for (lines, continues, signers, expected) in [
        (vec![voter(A), rules()], None, &[A][..], Ok(1)),
        (vec![voter(A), voter(B), rules()], before, &[B, A], Ok(2)),
        (vec![voter(A), voter(B), rules(), banned(X, BanEffect::Immediate)], before, &[A, B], Ok(2)),
        (vec![voter(A), voter(B), rules()], None, &[A], Err(Objection::NotCertified.into())),
        (vec![voter(A), voter(X), rules()], None, &[A, X], Err(Want::Card(keys(X).card().id()).into())),
        (vec![voter(A), rules(), banned(X, BanEffect::Immediate)], None, &[A], Err(Objection::Founding.into())),
        (vec![voter(A), rules(), associate(B)], None, &[A, B], Err(Objection::Founding.into())),
        (vec![rules()], None, &[A], Err(Objection::Founding.into())),
        (vec![voter(A)], None, &[A], Err(Objection::Rules.into())),
        (vec![voter(A), param(PROTO, "2")], None, &[A], Err(Objection::Rules.into())),
    ] {
        assert_eq!(begin(lines, continues, signers), expected);
    }
}
