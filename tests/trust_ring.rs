//! Ten nodes in a ring, each a process that trusts its two neighbours: restarts, changes of address and of TLS keys, revocations and
//! denials as dice fall. Whoever visits somewhere is let in exactly if the signatures say so, and neighbours find each other again.
//! `KONTALK_SEED` repeats a run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/network.rs"]
mod network;
#[path = "support/person.rs"]
mod person;
mod support;

use std::fs;
use std::time::Duration;

use network::{Place, goes_to, within};
use person::Person;
use support::Dice;
use support::client::Connect;

const DOMAINS: [&str; 10] = [
    "a.ring.test",
    "b.ring.test",
    "c.ring.test",
    "d.ring.test",
    "e.ring.test",
    "f.ring.test",
    "g.ring.test",
    "h.ring.test",
    "i.ring.test",
    "j.ring.test",
];
const STEPS: usize = 40;

/// What a node thinks of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opinion {
    Trusted,
    Revoked,
    Denied,
}

struct Ring {
    places: Vec<Place>,
    people: Vec<Person>,
    /// Of the neighbour before and the one behind.
    opinions: Vec<[Opinion; 2]>,
}

impl Ring {
    fn new() -> Ring {
        let mut places: Vec<Place> = DOMAINS.iter().map(|domain| Place::new(domain, "", "")).collect();
        let people = (0..places.len()).map(|index| {
            let place = &mut places[index];
            let mut person = Person::new(index, &format!("+3933512500{index:02}"), Connect::to(&place.node));
            person.register(&mut place.node, false);
            person
        });
        let people = people.collect();
        let opinions = vec![[Opinion::Trusted; 2]; places.len()];
        let ring = Ring { places, people, opinions };
        for at in 0..ring.places.len() {
            for side in 0..2 {
                ring.places[at].trusts(&ring.places[ring.neighbour(at, side)]);
            }
        }
        ring
    }

    fn neighbour(&self, at: usize, side: usize) -> usize {
        let count = self.places.len();
        (at + if side == 0 { count - 1 } else { 1 }) % count
    }

    fn opinion(&self, at: usize, of: usize) -> Option<Opinion> {
        (0..2).find(|side| self.neighbour(at, *side) == of).map(|side| self.opinions[at][side])
    }

    /// Something happens; gives what.
    fn step(&mut self, dice: &mut Dice) -> String {
        let at = pick(dice, self.places.len());
        let side = pick(dice, 2);
        let other = self.neighbour(at, side);
        let (name, fingerprint) = (self.places[other].domain(), self.places[other].fingerprint.clone());
        let place = &mut self.places[at];
        match (dice.below(8), self.opinions[at][side]) {
            (0, _) => {
                place.node.sigterm();
                place.node.start_again();
                format!("{} starts again", place.domain())
            }
            (1, _) => {
                place.node.kill9();
                place.move_away();
                place.node.start_again();
                format!("{} moves to {}", place.domain(), place.address)
            }
            (2, _) => {
                place.node.sigterm();
                for file in [kontalk_node::net::SELF_MADE_CERTIFICATE, kontalk_node::net::SELF_MADE_KEY] {
                    fs::remove_file(place.node.data_dir().join(file)).unwrap();
                }
                place.node.start_again();
                format!("{} has another TLS key", place.domain())
            }
            (3 | 4, Opinion::Trusted) => {
                place.trust(&["revoke", name]);
                self.opinions[at][side] = Opinion::Revoked;
                format!("{} revokes {name}", place.domain())
            }
            (5, Opinion::Trusted | Opinion::Revoked) => {
                place.trust(&["deny", name]);
                self.opinions[at][side] = Opinion::Denied;
                format!("{} denies {name}", place.domain())
            }
            (_, Opinion::Denied) => {
                place.trust(&["undeny", name]);
                self.opinions[at][side] = Opinion::Revoked;
                format!("{} no longer denies {name}", place.domain())
            }
            (_, _) => {
                place.trust(&["add", name, "--fingerprint", &fingerprint]);
                self.opinions[at][side] = Opinion::Trusted;
                format!("{} trusts {name}", place.domain())
            }
        }
    }

    /// Tries to visit; it must come out as the signatures say.
    fn visit(&mut self, at: usize, whose: usize, story: &[String]) {
        let person = &mut self.people[whose];
        goes_to(person, &self.places[at]);
        let mut client = person.with_certificate();
        let admitted = client.external("").is_ok();
        let expected = self.opinion(at, whose) == Some(Opinion::Trusted);
        assert_eq!(admitted, expected, "{} at {} after {story:#?}", DOMAINS[whose], DOMAINS[at]);
    }
}

fn pick(dice: &mut Dice, count: usize) -> usize {
    usize::try_from(dice.below(u64::try_from(count).unwrap())).unwrap()
}

#[test]
fn ten_nodes_let_in_exactly_whom_their_signatures_allow() {
    let mut dice = Dice::new();
    println!("KONTALK_SEED={}", dice.seed);
    let mut ring = Ring::new();
    let mut story = Vec::new();
    for _ in 0..STEPS {
        story.push(ring.step(&mut dice));
        let at = pick(&mut dice, ring.places.len());
        for side in 0..2 {
            ring.visit(at, ring.neighbour(at, side), &story);
        }
    }
    let count = ring.places.len();
    for at in 0..count {
        for whose in (0..count).filter(|whose| *whose != at) {
            ring.visit(at, whose, &story);
        }
    }
    // Where both trust each other they know where the other is, however often it moved.
    for at in 0..count {
        let to = ring.neighbour(at, 1);
        let both = [ring.opinion(at, to), ring.opinion(to, at)];
        if both == [Some(Opinion::Trusted); 2] {
            for (here, there) in [(at, to), (to, at)] {
                let there = &ring.places[there];
                let own = there.trust(&["card"]);
                let newest = own.lines().rev().find_map(|line| line.strip_prefix("seq ")?.parse::<u64>().ok());
                let here = &ring.places[here];
                within(
                    Duration::from_secs(60),
                    &format!("{} knows where {} is: {story:#?}", here.domain(), there.domain()),
                    || here.knows_reach(there.domain()) == newest,
                );
            }
        }
    }
}
