//! Queues against a peer that confirms, is silent, or loses the stream, as chance has it: whatever the sender was promised is
//! with the peer, in the store, or came back to the sender.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::limits;

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}

#[test]
fn nothing_is_lost_silently_through_cuts_and_delays() {
    let seed = std::env::var("KONTALK_SEED").ok().and_then(|text| text.parse().ok());
    for round in 0..60 {
        let seed: u64 = seed.unwrap_or(0x5eed_0000 + round);
        println!("KONTALK_SEED={seed}");
        play(Dice(seed | 1), seed);
    }
}

/// What has become of each message.
#[derive(Default)]
struct World {
    /// With the peer, by the number it was read at; a second time is told apart.
    arrived: BTreeMap<u64, u32>,
    /// In the order in which they arrived for the first time.
    order: Vec<u64>,
    came_back: BTreeSet<u64>,
    stored: BTreeMap<u64, u64>,
    taken: BTreeSet<u64>,
}

fn play(mut dice: Dice, seed: u64) {
    let mut now = Now { monotonic: Instant::now() + Duration::from_secs(100_000), wall: Timestamp { millis: 1 } };
    let mut queues = Queues::new(Duration::from_secs(120));
    let mut world = World::default();
    let (mut sent, mut link, mut links) = (0u64, None::<(LinkId, u32, bool)>, 0u64);
    for step in 0..3000 {
        if dice.below(3) == 0 && step < 2000 {
            sent += 1;
            queues.push(now, chat(&sent.to_string()), Some(Receipt(sent))).unwrap();
        }
        let passed = Duration::from_millis(dice.below(400));
        now = Now { monotonic: now.monotonic + passed, wall: now.wall.plus(passed) };
        if let Some((id, read, counts)) = link.as_mut() {
            // The peer reads some of what is written, or the stream breaks before.
            let reads = dice.below(12) != 0;
            while let Some(next) = queues.next(*id, now.monotonic) {
                if let (Sent::Stanza(text), true) = (&next, reads) {
                    let number: u64 = stanza(text).id().unwrap().parse().unwrap();
                    let times = world.arrived.entry(number).or_default();
                    *times += 1;
                    if *times == 1 {
                        world.order.push(number);
                    }
                    *read += 1;
                }
            }
            match (reads, dice.below(4)) {
                (true, 0) if *counts => assert!(queues.acknowledged(*id, *read), "seed {seed}"),
                (true, 1) if !*counts => {
                    queues.ponged(PingNumber { link: *id, sent: u64::from(*read) }, &domain("b.example"));
                }
                (true, _) => {}
                (false, _) => {
                    queues.detach(*id, now.monotonic, 7);
                    link = None;
                }
            }
        }
        queues.tick(now.monotonic);
        for effect in queues.take_effects() {
            match effect {
                Effect::Dial(of) if dice.below(3) == 0 => {
                    queues.dial_failed(&of, &DialFault::Unreachable, now.monotonic, 7);
                }
                Effect::Dial(of) => {
                    links += 1;
                    let counts = dice.below(2) == 0;
                    queues.attach(&of, LinkId(links), Class::Domain, counts, true, now.monotonic);
                    link = Some((LinkId(links), 0, counts));
                }
                Effect::Taken(Receipt(number)) => {
                    assert!(world.taken.insert(number), "seed {seed}: {number} twice");
                    let safe = world.arrived.contains_key(&number) || world.came_back.contains(&number);
                    assert!(safe, "seed {seed}: {number} was promised and is nowhere");
                }
                Effect::Answer(answer) => {
                    world.came_back.insert(answer.id().unwrap().parse().unwrap());
                }
                Effect::Store(of, item) => {
                    if let Some(outgoing) = queues.to_store(&of, item) {
                        let number: u64 = stanza(&outgoing.text).id().unwrap().parse().unwrap();
                        world.stored.insert(item, number);
                        if let Some(Receipt(number)) = queues.stored(&of, item, OutgoingId(item)) {
                            assert!(world.taken.insert(number), "seed {seed}: {number} twice");
                        }
                    }
                }
                Effect::Forget(OutgoingId(item)) => {
                    let number = world.stored.remove(&item).unwrap();
                    let safe = world.arrived.contains_key(&number) || world.came_back.contains(&number);
                    assert!(safe, "seed {seed}: {number} was forgotten and is nowhere");
                }
            }
        }
    }
    // Time enough for all that is left to come back.
    let end = now.monotonic + limits::S2S_QUEUE_AGE;
    if let Some((id, ..)) = link {
        queues.detach(id, now.monotonic, 7);
    }
    queues.tick(end);
    for effect in queues.take_effects() {
        if let Effect::Answer(answer) = effect {
            world.came_back.insert(answer.id().unwrap().parse().unwrap());
        }
    }
    for number in 1..=sent {
        let found = world.arrived.contains_key(&number) || world.came_back.contains(&number);
        assert!(found, "seed {seed}: {number} is lost");
    }
    assert!(world.order.is_sorted(), "seed {seed}: out of order");
    assert_eq!((queues.stanzas(), queues.bytes()), (0, 0));
}
