//! People and machines together, by chance from a seed: who buys many domains (V8), who races against a ban (V9), who floods (V10).
//! `KONTALK_SEED` repeats a run, `KONTALK_VOTE_RUNS=full` plays all that the design asks for.

use std::cell::RefCell;

use super::*;
use crate::vote::ordering::{
    self, Action, Electorate, Entry, Message, Ordering, Said, Signature, Timer, Validity, ValueId, Voter,
};

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

fn dice(run: u64) -> Dice {
    let seed = std::env::var("KONTALK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1u64);
    println!("KONTALK_SEED={seed}");
    Dice(seed.wrapping_mul(1_000_003) + run)
}

fn full() -> bool {
    std::env::var("KONTALK_VOTE_RUNS").is_ok_and(|runs| runs == "full")
}

/// One operator wants votes for all domains he buys; each honest voter believes each domain with this chance, his own always do.
fn sybil(founders: usize, percent: usize, wanted: usize) -> (usize, usize) {
    let mut dice = dice((founders * 100 + percent) as u64);
    let mut world = World::of_count(founders);
    let mut grown = vec![founders];
    for attempt in 0..wanted {
        // Something honest is decided between, so that windows and proposals end.
        let name = format!("s{attempt}.example");
        let before = world.chain.number();
        let voters = world.voters();
        let own: Vec<&String> = voters.iter().filter(|name| name.starts_with('s') || *name == "n0.example").collect();
        let by = own[dice.below(own.len())].clone();
        let proposal = world.proposal(Kind::Admit, None, Some(member(&name, Role::Voter, &by)), &by);
        if let Ok(id) = world.open(proposal) {
            for voter in &voters {
                if own.contains(&voter) || dice.below(100) < percent {
                    world.say(id, Choice::Yes, voter).unwrap();
                }
            }
        }
        let approved = world.pool.approved(&world.chain);
        if let Some(first) = approved.iter().find(|id| world.chain.draft([**id], &world.pool).is_some()) {
            world.decide(&[*first]).unwrap();
            grown.push(world.chain.state().voter_count());
        }
        if world.chain.number() == before {
            let was = world.chain.state().param("day").map(|day| param("day", day));
            let honest = world.proposal(Kind::SetParam, was, Some(param("day", &attempt.to_string())), "n1.example");
            let id = world.open(honest).unwrap();
            let voters = world.voters();
            world.agree(id, &voters.iter().map(String::as_str).collect::<Vec<_>>());
            world.decide(&[id]).unwrap();
            grown.push(world.chain.state().voter_count());
        }
    }
    for window in grown.windows(GROWTH_WINDOW as usize + 1) {
        let (first, last) = (window[0], window[GROWTH_WINDOW as usize]);
        if first >= GROWTH_CAPPED_FROM {
            assert!(last - first <= last.div_ceil(4), "{first} voters became {last} within {GROWTH_WINDOW} epochs");
        }
    }
    (world.chain.state().voter_count() - founders + 1, world.chain.state().voter_count())
}

#[test]
fn v8_whoever_buys_domains_gets_votes_only_from_people_who_believe_him_and_under_the_cap() {
    let wanted = if full() { 200 } else { 24 };
    for founders in [5, 20] {
        for percent in [30, 50, 70] {
            let (his, all) = sybil(founders, percent, wanted);
            println!(
                "| V8 one operator wants {wanted} votes, {founders} founders, each believes {percent} % | {his} of {all} votes ({} %) |",
                his * 100 / all
            );
        }
    }
}

/// What one node knows, as the ordering asks for it. Texts of epochs reach everybody.
struct Desk<'a> {
    chain: &'a Chain,
    pool: &'a Pool,
    first: usize,
    drafts: &'a RefCell<BTreeMap<ValueId, Decision>>,
}

impl ordering::Texts for Desk<'_> {
    fn valid(&self, value: &ValueId) -> Validity {
        let drafts = self.drafts.borrow();
        let Some(decision) = drafts.get(value) else { return Validity::Missing(vec![value.0]) };
        match self.chain.judge(decision, self.pool) {
            Ok(_) => Validity::Valid,
            Err(Fault::Missing(_)) => Validity::Missing(Vec::new()),
            Err(Fault::Invalid(_)) => Validity::Invalid,
        }
    }

    fn candidate(&self) -> Option<ValueId> {
        let mut approved = self.pool.approved(self.chain);
        let first = self.first % approved.len().max(1);
        approved.rotate_left(first);
        let decision = self.chain.draft(approved, self.pool)?;
        let value = ValueId(hash(&decision.to_text()));
        self.drafts.borrow_mut().insert(value, decision);
        Some(value)
    }
}

/// Orders one epoch among all voters' nodes, each with its own pool; who misses a text gets all. What was decided, by all alike.
fn order(world: &World, pools: &[Pool], all: &Pool, dice: &mut Dice) -> CertifiedEpoch {
    let electors = world.chain.electorate();
    let kids = electors.iter().map(|elector| elector.kid).collect();
    let electorate = Electorate::new(hash(&world.chain.head().to_string()), kids).unwrap();
    let drafts = RefCell::default();
    let number = world.chain.number() + 1;
    let start = |at| Ordering::start(number, electorate.clone(), Some(Voter(at)), true, Said::default()).0;
    let mut cores: Vec<Ordering> = (0..electors.len() as u16).map(start).collect();
    let firsts: Vec<usize> = cores.iter().map(|_| dice.below(8)).collect();
    let mut asked = vec![false; cores.len()];
    let mut timers: Vec<(usize, Timer)> = Vec::new();
    let mut links: Vec<(usize, Message)> = Vec::new();
    let mut work: Vec<(usize, Vec<Action>)> = Vec::new();
    let mut idle = (0..cores.len()).collect::<Vec<_>>();
    while cores.iter().any(|core| core.decided().is_none()) {
        let (at, actions) = if let Some(next) = work.pop() {
            next
        } else {
            let (at, message) = match (idle.pop(), links.len(), timers.len()) {
                (Some(at), _, _) => (at, None),
                (None, 0, 0) if asked.contains(&false) => {
                    // Too few know of anything approved; texts and ballots spread.
                    asked.fill(true);
                    idle.extend(0..cores.len());
                    continue;
                }
                (None, 0, 0) => panic!("nothing is under way, and not all have decided"),
                (None, 0, many) => {
                    let (at, timer) = timers.swap_remove(dice.below(many));
                    let desk = Desk {
                        chain: &world.chain,
                        pool: if asked[at] { all } else { &pools[at] },
                        first: firsts[at],
                        drafts: &drafts,
                    };
                    let actions = cores[at].expired(timer, &desk);
                    work.push((at, actions));
                    continue;
                }
                (None, many, _) => {
                    let (at, message) = links.swap_remove(dice.below(many));
                    (at, Some(message))
                }
            };
            let desk = Desk {
                chain: &world.chain,
                pool: if asked[at] { all } else { &pools[at] },
                first: firsts[at],
                drafts: &drafts,
            };
            let core = &mut cores[at];
            let actions = match message {
                None => core.approved(&desk),
                Some(message) => core.hear(message, &desk).unwrap(),
            };
            (at, actions)
        };
        for action in actions {
            match action {
                Action::Say(entry) => {
                    let me = Voter(at as u16);
                    let message = match entry {
                        Entry::Proposal(proposal) => Message::Proposal(me, proposal, Signature([0; 64])),
                        Entry::Vote(vote) => Message::Vote(me, vote, Signature([0; 64])),
                    };
                    links.push((at, message));
                }
                Action::Forward(message) => {
                    links.extend((0..cores.len()).filter(|to| *to != at).map(|to| (to, message.clone())));
                }
                Action::Arm(timer, _) => timers.push((at, timer)),
                Action::WantTexts(..) if !asked[at] => {
                    asked[at] = true;
                    let desk = Desk { chain: &world.chain, pool: all, first: firsts[at], drafts: &drafts };
                    let more = cores[at].texts_changed(&desk);
                    work.push((at, more));
                }
                Action::Disagree(_) | Action::Evidence(_) | Action::Abstain => panic!("{action:?} among honest nodes"),
                _ => {}
            }
        }
    }
    let certificates: Vec<_> = cores.iter().filter_map(Ordering::decided).collect();
    assert!(certificates.iter().all(|one| one.vote.value == certificates[0].vote.value), "a fork");
    let decision = drafts.borrow()[&certificates[0].vote.value.unwrap()].clone();
    let round = certificates[0].vote.round;
    let text = precommit(&decision, round).to_text();
    let signs =
        |voter: &Voter| super::text::sign(&world.vote_key(electors[usize::from(voter.0)].domain.as_str()), &text);
    let lines = certificates[0].lines.iter().map(|(voter, _)| signs(voter)).collect();
    CertifiedEpoch::Decision { decision, round, lines }
}

/// The others ban a node; it bans its accuser, renews its card and leaves, all at once. Epochs until it is out.
fn race(n: usize, dice: &mut Dice) -> u64 {
    let names = names(n);
    let (target, accuser) = (names[0].as_str(), names[1].as_str());
    let mut world = World::of(&names.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let mut age = 0;
    while let Some(line) = world.chain.state().node(&domain(target)).cloned() {
        let Line::Member { role, sponsor, .. } = &line else { break };
        assert!(world.chain.number() < 64, "the race has no end");
        let quiet = world.pool.clone();
        let card = line.card().unwrap();
        let ban = Line::Banned { domain: domain(target), card, effect: BanEffect::Immediate };
        let ban = world.proposal(Kind::Ban, Some(line.clone()), Some(ban), accuser);
        let ban = world.open(ban).unwrap();
        world.agree(ban, &names[1..].iter().map(String::as_str).collect::<Vec<_>>());
        let banning = world.pool.clone();
        // The target's answers; its friends are too few to ban anybody.
        let new = Keys { age: age + 1, ..keys(target) };
        let renewed =
            Line::Member { domain: domain(target), role: *role, card: new.card().id(), sponsor: sponsor.clone() };
        let rotate = world.proposal(Kind::RotateKey, Some(line.clone()), Some(renewed), target);
        world.open(rotate).unwrap();
        world.pool.take_card(&world.chain, new.proved()).unwrap();
        let accused = world.chain.state().node(&domain(accuser)).cloned();
        let card = accused.as_ref().and_then(Line::card).unwrap();
        let back = Line::Banned { domain: domain(accuser), card, effect: BanEffect::Immediate };
        let back = world.proposal(Kind::Ban, accused, Some(back), target);
        if let Ok(back) = world.open(back) {
            let friends = names[2..].iter().take((n - 1) / 3).map(String::as_str);
            world.agree(back, &[target].into_iter().chain(friends).collect::<Vec<_>>());
        }
        if dice.below(4) == 0 {
            let leave = world.proposal(Kind::Leave, Some(line), None, target);
            let _ = world.open(leave);
        }
        let pools: Vec<Pool> = names.iter().map(|_| [&quiet, &banning, &world.pool][dice.below(3)].clone()).collect();
        let certified = order(&world, &pools, &world.pool, dice);
        let next = world.chain.follow(&certified, &world.pool).unwrap();
        // Whoever follows from its own texts, once it has them, comes to the same.
        assert_eq!(world.chain.follow(&certified, &world.pool.clone()).unwrap().head(), next.head());
        if next.card_of(&domain(target)).is_some_and(|card| card.card() == &new.card()) {
            age += 1;
            world.renewed.insert(target.to_owned(), age);
        }
        world.chain = next;
        world.pool.advance(&world.chain);
        assert!(world.chain.state().is_voter(&domain(accuser)), "the accuser was banned by too few");
    }
    let again = world.proposal(Kind::Admit, None, Some(member(target, Role::Associate, names[2].as_str())), &names[2]);
    if let Ok(again) = world.open(again) {
        world.agree(again, &[&names[2]]);
        assert!(!world.pool.approved(&world.chain).contains(&again), "its sponsor alone brings nobody back");
    }
    world.chain.number()
}

#[test]
fn v9_a_race_against_a_ban_has_one_outcome_everywhere() {
    let mut epochs = Vec::new();
    for n in 4..=if full() { 20 } else { 7 } {
        for run in 0..if full() { 20 } else { 2 } {
            epochs.push(race(n, &mut dice((n * 1000 + run) as u64)));
        }
    }
    epochs.sort_unstable();
    let (middle, most) = (epochs[epochs.len() / 2], epochs[epochs.len() - 1]);
    println!(
        "| V9 ban race, {} runs | epochs until the target is out: {middle} in the middle, {most} at most |",
        epochs.len()
    );
}

#[test]
fn v10_a_flood_of_objects_is_refused_and_not_kept() {
    let mut world = World::of_count(4);
    let many = if full() { 100_000u32 } else { 2000 };
    let mut kept = 0;
    for number in 0..many {
        let by = ["n3.example", "stranger.example"][number as usize % 2];
        let proposal = world.proposal(Kind::SetParam, None, Some(param(&format!("p{number}"), "1")), by);
        if let Ok(id) = world.open(proposal) {
            kept += 1;
            for choice in [Choice::No, Choice::Abstain, Choice::No] {
                let _ = world.say(id, choice, "n3.example");
            }
        }
    }
    assert_eq!((kept, world.pool.waiting().count()), (OPEN_PER_PROPOSER_MAX, OPEN_PER_PROPOSER_MAX));
    println!("| V10 {many} proposals of one voter and a stranger | {kept} kept |");
}
