//! Attackers that search: many by chance, and some that climb from each genome to a worse one.

use kontalk_node::vote::ordering::Phase;

use super::attack::GENES;
use super::dice::Dice;
use super::scenarios::{Figures, first_seed, full, third};
use super::world::{DAY, HOUR, Setup, World};

/// How bad a run is: a fork above all, then different votes of the honest in one round, then time until all know.
fn harm(world: &World) -> u64 {
    let last = world.honest().map(|node| node.decided.as_ref().map_or(30 * DAY, |(_, at)| *at)).max().unwrap_or(0);
    u64::from(world.fork().is_some()) * (1 << 60)
        + world.most_divided(Phase::Precommit) as u64 * (1 << 44)
        + world.most_divided(Phase::Prevote) as u64 * (1 << 40)
        + last
}

fn climb(setup: &Setup, steps: u64, end: u64, seed: u64, figures: &mut Figures) -> u64 {
    let mut dice = Dice::new(seed);
    let mut best: Vec<u8> = (0..GENES).map(|_| dice.next() as u8).collect();
    let mut worst = 0;
    for step in 0..steps {
        let mut genome = best.clone();
        for _ in 0..=dice.below(4) {
            let at = dice.below(GENES as u64) as usize;
            genome[at] = dice.next() as u8;
        }
        // One world for one climber, so that a step is a step.
        let world_seed = seed + step / 100;
        let mut world = World::new(&Setup { genome: genome.clone(), ..setup.clone() }, world_seed);
        world.play(end);
        figures.add(&world, world_seed);
        let harm = harm(&world);
        if harm >= worst || step % 100 == 0 {
            worst = harm;
            best = genome;
        }
    }
    worst
}

#[test]
fn attackers_that_search_find_no_fork_and_no_stall() {
    for n in [4, 7, 10] {
        let (climbers, steps) = if full() { (40, 250) } else { (2, 20) };
        let setup = Setup { n, rogue: third(n), delays_until: 2 * HOUR, ..Setup::default() };
        let mut figures = Figures::default();
        for climber in 0..climbers {
            climb(&setup, steps, 30 * DAY, first_seed() * 7919 + climber * 1000, &mut figures);
        }
        println!("{}", figures.row(&format!("search by climbing, {} rogue, n = {n}", third(n))));
        assert!(figures.faults.is_empty(), "{:?}", &figures.faults[..figures.faults.len().min(5)]);
        assert_eq!((figures.forks, figures.stalls), (0, 0));
    }
}

#[test]
fn the_same_search_finds_forks_over_the_bound() {
    let setup = Setup { n: 4, rogue: 2, parted: vec![50, 50], parted_until: HOUR, ..Setup::default() };
    let mut figures = Figures::default();
    let climbers = if full() { 40 } else { 6 };
    for climber in 0..climbers {
        climb(&setup, 100, DAY, first_seed() * 104_729 + climber * 1000, &mut figures);
    }
    println!("{}", figures.row("search over the bound, 2 rogue, n = 4"));
    assert!(figures.forks > 0, "a search that finds nothing where there is something is none");
}
