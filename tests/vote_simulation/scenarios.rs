//! The scenarios V1 to V7, their numbers of runs, and their figures.

use super::attack::GENES;
use super::dice::Dice;
use super::world::{DAY, HOUR, MINUTE, Setup, World};

/// Whether all runs are played, and from which seed on.
pub fn full() -> bool {
    std::env::var("KONTALK_VOTE_RUNS").is_ok_and(|runs| runs == "full")
}

pub fn first_seed() -> u64 {
    std::env::var("KONTALK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// What one scenario showed.
#[derive(Default)]
pub struct Figures {
    pub runs: u64,
    pub forks: u64,
    pub stalls: u64,
    pub faults: Vec<String>,
    pub rounds: u32,
    /// Until half, and until all, of the honest nodes knew the decision, in milliseconds.
    pub half: Vec<u64>,
    pub all: Vec<u64>,
    pub messages: u64,
    pub same_round: u64,
    pub proved: u64,
    pub evidence: u64,
}

impl Figures {
    pub fn add(&mut self, world: &World, seed: u64) {
        self.runs += 1;
        let mut times: Vec<u64> = world.honest().filter_map(|node| node.decided.as_ref()).map(|(_, at)| *at).collect();
        times.sort_unstable();
        let honest = world.honest().count();
        if times.len() < honest {
            self.stalls += 1;
            self.faults.push(format!("seed {seed}: {} of {honest} decided", times.len()));
        }
        if let Some(at) = times.get(honest.div_ceil(2) - 1) {
            self.half.push(*at);
        }
        self.all.extend(times.last().filter(|_| times.len() == honest));
        if let Some((first, second)) = world.fork() {
            self.forks += 1;
            if first.vote.round == second.vote.round {
                self.same_round += 1;
                let both = first.lines.iter().filter(|(voter, _)| second.lines.iter().any(|(other, _)| other == voter));
                self.proved += u64::from(both.count() >= 2 * world.quorum() - world.setup.n);
            }
        }
        let rounds = world.honest().filter_map(|node| node.decided.as_ref()).map(|(one, _)| one.vote.round + 1).max();
        self.rounds = self.rounds.max(rounds.unwrap_or(0));
        self.messages += world.messages;
        self.evidence += u64::from(!world.doubles.is_empty());
        self.faults.extend(world.faults.iter().map(|fault| format!("seed {seed}: {fault}")));
    }

    pub fn row(&self, name: &str) -> String {
        format!(
            "| {name} | {} | {} | {} | {} / {} | {} / {} | {} | {} |",
            self.runs,
            self.forks,
            self.stalls,
            clock(percentile(&self.half, 50)),
            clock(percentile(&self.half, 99)),
            clock(percentile(&self.all, 50)),
            clock(percentile(&self.all, 99)),
            self.rounds,
            self.messages / self.runs.max(1),
        )
    }

    fn show(&self, name: &str) {
        println!("{}", self.row(name));
        assert!(self.faults.is_empty(), "{name}: {:?}", &self.faults[..self.faults.len().min(5)]);
        assert_eq!((self.forks, self.stalls), (0, 0), "{name}");
    }
}

fn percentile(times: &[u64], percent: usize) -> Option<u64> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied()
}

fn clock(time: Option<u64>) -> String {
    match time {
        None => "–".to_owned(),
        Some(time) if time < 2 * MINUTE => format!("{} s", time / 1000),
        Some(time) if time < 2 * HOUR => format!("{} min", time / MINUTE),
        Some(time) => format!("{:.1} h", time as f64 / HOUR as f64),
    }
}

/// Plays `runs` worlds, or `few` when not all are wanted; `each` may change the setup for a run.
fn play(few: u64, runs: u64, end: u64, setup: &Setup, mut each: impl FnMut(&mut Setup, &mut Dice)) -> Figures {
    let mut figures = Figures::default();
    for run in 0..if full() { runs } else { few } {
        let seed = first_seed() * 1_000_003 + run * 31 + setup.n as u64;
        let mut dice = Dice::new(seed ^ 0xabcd);
        let mut setup = setup.clone();
        each(&mut setup, &mut dice);
        let mut world = World::new(&setup, seed);
        world.play(end);
        figures.add(&world, seed);
    }
    figures
}

fn random_genome(setup: &mut Setup, dice: &mut Dice) {
    setup.genome = (0..GENES).map(|_| dice.next() as u8).collect();
}

pub fn third(n: usize) -> usize {
    (n - 1) / 3
}

#[test]
fn v1_clean_with_three_rivals_decides_one_epoch() {
    let small = (1..=10).chain([16, 20]).map(|n| (n, 4, 500));
    for (n, few, runs) in small.chain([(50, 1, 500), (100, 0, 200), (300, 0, 20), (1000, 0, 2)]) {
        let setup = Setup { n, ..Setup::default() };
        play(few, runs, DAY, &setup, |_, _| {}).show(&format!("V1 clean, n = {n}"));
    }
}

#[test]
fn v2_a_third_that_is_silent_or_votes_twice_changes_nothing() {
    for n in [4, 5, 6, 7, 10, 16, 20, 50] {
        let few = if n > 20 { 1 } else { 8 };
        let setup = Setup { n, silent: third(n), ..Setup::default() };
        play(few, 2000, 7 * DAY, &setup, |_, _| {}).show(&format!("V2 silent {}, n = {n}", third(n)));
        let setup = Setup { n, rogue: third(n), ..Setup::default() };
        play(few, 2000, 7 * DAY, &setup, random_genome).show(&format!("V2 double voters {}, n = {n}", third(n)));
        let setup = Setup { delays_until: HOUR, ..setup };
        play(few, 1000, 7 * DAY, &setup, random_genome)
            .show(&format!("V2 double voters {} who delay links for 1 h, n = {n}", third(n)));
    }
}

#[test]
fn v3_over_the_bound_there_are_forks_and_proofs() {
    let mut forks = 0;
    for (n, rogue) in [(4, 2), (5, 2), (5, 3), (6, 2), (6, 3), (7, 3), (7, 4), (10, 4), (10, 5)] {
        let setup = Setup { n, rogue, parted: vec![50, 50], parted_until: HOUR, ..Setup::default() };
        let figures = play(40, 2000, 2 * DAY, &setup, |setup, dice| {
            random_genome(setup, dice);
            setup.genome[0] = 0;
            if dice.chance(50) {
                setup.genome.iter_mut().skip(1).take(28).for_each(|gene| *gene = 7);
            }
        });
        println!(
            "{} forks {:.1} %, {} in one round, of which proved against 2q − n voters: {}",
            figures.row(&format!("V3 {rogue} double voters, n = {n}")),
            figures.forks as f64 * 100.0 / figures.runs as f64,
            figures.same_round,
            figures.proved
        );
        assert_eq!(figures.same_round, figures.proved);
        let bound = 2 * kontalk_node::vote::quorum(n) - n;
        assert!(rogue >= bound || figures.forks == 0, "n = {n} forks below its bound");
        forks += figures.forks;
    }
    assert!(forks > 0, "an attacker that never succeeds shows nothing");
}

#[test]
fn v4_nodes_that_come_and_go_decide_in_the_end() {
    for (uptime, few) in [(95, 4), (85, 4), (75, 3), (65, 3)] {
        for n in [4, 7, 10, 20] {
            let setup = Setup { n, uptime, ..Setup::default() };
            play(few, 200, 60 * DAY, &setup, |_, _| {}).show(&format!("V4 {uptime} % up, n = {n}"));
            let setup = Setup { rogue: third(n), ..setup };
            play(few, 200, 120 * DAY, &setup, random_genome)
                .show(&format!("V4 {uptime} % up, {} double voters, n = {n}", third(n)));
        }
    }
}

#[test]
fn v5_partitions_never_fork_and_decide_after_they_heal() {
    for n in [4, 7, 10, 20] {
        for parted in [vec![50, 50], vec![60, 40], vec![34, 33, 33]] {
            let name = format!("V5 parted {parted:?} for 24 h, n = {n}");
            let setup = Setup { n, parted, parted_until: DAY, ..Setup::default() };
            let mut figures = play(4, 300, 3 * DAY, &setup, |_, _| {});
            // Counted from the healing; some had decided before it.
            for times in [&mut figures.half, &mut figures.all] {
                times.iter_mut().for_each(|time| *time = time.saturating_sub(DAY));
            }
            figures.show(&name);
            assert!(figures.all.iter().all(|time| *time < 10 * MINUTE), "{name}: decided late");
        }
        let setup = Setup { n, flapping: true, parted_until: 6 * HOUR, ..Setup::default() };
        play(4, 300, 3 * DAY, &setup, |_, _| {}).show(&format!("V5 links up 40 % of the time for 6 h, n = {n}"));
    }
}

#[test]
fn v6_a_crash_at_any_point_of_the_journal_makes_no_double_vote() {
    for n in [1, 3, 4, 7] {
        for restored in [None, Some(1), Some(3)] {
            // Who is put back abstains, so others must be enough for a quorum.
            if restored.is_some() && n < 4 {
                continue;
            }
            let mut point = 0;
            let points = 3 * n as u64 + 2;
            let setup = Setup { n, restored, ..Setup::default() };
            let figures = play(2 * points, 40 * points, 7 * DAY, &setup, |setup, _| {
                setup.crash = Some((1 + point / 2 % points, point % 2 == 0));
                point += 1;
            });
            let what = restored.map_or(String::new(), |older| format!(", put back to {older} entries before"));
            figures.show(&format!("V6 crash at each point{what}, n = {n}"));
        }
    }
}

#[test]
fn v7_withheld_texts_and_votes_do_not_stop_the_others() {
    for n in [4, 7, 10, 20, 50] {
        let few = if n > 20 { 1 } else { 8 };
        let setup = Setup { n, withholders: third(n), ..Setup::default() };
        play(few, 1000, 7 * DAY, &setup, |_, _| {}).show(&format!("V7 {} withhold, n = {n}", third(n)));
    }
}
