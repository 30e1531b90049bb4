//! `kill -9` in the middle of a flood of messages, again and again on the same data: what was acknowledged is not lost, and
//! nothing comes twice under another id. Promises 1 and 2 of the node.
//!
//! `KONTALK_CRASH_ROUNDS` sets the rounds (default 200), `KONTALK_SEED` repeats a run's choices.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kontalk_node::xml::Element;
use support::client::{Client, Lost};
use support::node::{DOMAIN, Node, NodeOptions};
use support::stanzas::{body_of, chat};
use support::{Dice, body};

/// What one receiver is promised and has seen, over all rounds.
#[derive(Default)]
struct Ledger {
    /// Ids that the node acknowledged to the sender.
    acknowledged: BTreeSet<u64>,
    /// How often each id arrived.
    arrived: BTreeMap<u64, u32>,
    /// Sent, and neither acknowledged nor known to be lost: sent again in the next round with the same id, as Android does.
    open: BTreeSet<u64>,
    /// Given back to the sender as an error. That is no loss: the sender knows.
    refused: BTreeSet<u64>,
    /// Arrivals that came before an earlier one of the same session.
    reordered: u64,
}

impl Ledger {
    fn take(&mut self, elements: &[Element]) {
        let mut last = None;
        for element in elements {
            let Some(words) = body_of(element) else { continue };
            let id: u64 = element.attribute("id").and_then(|id| id.parse().ok()).expect("every message has our id");
            // The body tells the same number: a copy under another id would show here.
            assert_eq!(words, body(id), "a message came under the id of another");
            let seen = self.arrived.entry(id).or_default();
            *seen += 1;
            if *seen == 1 {
                self.reordered += u64::from(last.is_some_and(|last| last > id));
                last = Some(id);
            }
        }
    }

    fn lost(&self) -> Vec<u64> {
        let missing = |id: &&u64| !self.arrived.contains_key(id) && !self.refused.contains(id);
        self.acknowledged.iter().filter(missing).copied().collect()
    }

    fn twice(&self) -> usize {
        self.arrived.values().filter(|times| **times > 1).count()
    }
}

#[test]
fn no_acknowledged_message_is_lost_by_kill_9() {
    let rounds: u32 =
        std::env::var("KONTALK_CRASH_ROUNDS").map_or(200, |text| text.parse().expect("a number of rounds"));
    let mut dice = Dice::new();
    println!("{rounds} rounds, KONTALK_SEED={}", dice.seed);
    let mut node = Node::start(NodeOptions { log_level: "debug", ..NodeOptions::default() });
    for user in ["romeo", "benvolio", "juliet", "rosaline"] {
        node.add_account(user);
    }
    // Juliet stays online as far as she can, Rosaline is there only sometimes.
    let (mut juliet, mut rosaline) = (Ledger::default(), Ledger::default());
    let next_id = AtomicU64::new(1);
    let mut first_start = true;
    let begun = Instant::now();
    for round in 0..rounds {
        if !std::mem::take(&mut first_start) {
            node.start_again();
        }
        let plan = Round {
            flood: Duration::from_micros(1_000 + dice.below(30_000)),
            rosaline_comes: dice.below(4) != 0,
            // Half of her visits last until the kill, so that what waits for her does not grow for ever.
            rosaline_leaves_after: if dice.below(2) == 0 { u64::MAX } else { dice.below(40) },
            burst: 1 + dice.below(12),
        };
        play(&mut node, &plan, &next_id, &mut juliet, &mut rosaline);
        if (round + 1) % 50 == 0 {
            println!(
                "round {}: {} messages acknowledged",
                round + 1,
                juliet.acknowledged.len() + rosaline.acknowledged.len()
            );
        }
    }
    node.start_again();
    for (user, ledger) in [("juliet", &mut juliet), ("rosaline", &mut rosaline)] {
        ledger.take(&collect(&node, user));
        assert_eq!(ledger.lost(), [0; 0], "acknowledged to the sender, and {user} never got it");
    }
    // Delivered and acknowledged in order: nothing may come again, not even after another restart.
    node.sigterm();
    node.start_again();
    for user in ["juliet", "rosaline"] {
        let again: Vec<_> = collect(&node, user).iter().filter_map(body_of).collect();
        assert!(again.is_empty(), "{user} got {} messages again", again.len());
    }
    let sum = |count: fn(&Ledger) -> usize| count(&juliet) + count(&rosaline);
    println!(
        "{rounds} kills in {:.1} s: {} messages sent, {} acknowledged, {} refused, {} lost, {} arrived, {} of them more than once \
         (same id), {} out of order",
        begun.elapsed().as_secs_f64(),
        next_id.load(Ordering::SeqCst) - 1,
        sum(|ledger| ledger.acknowledged.len()),
        sum(|ledger| ledger.refused.len()),
        sum(|ledger| ledger.lost().len()),
        sum(|ledger| ledger.arrived.len()),
        sum(Ledger::twice),
        juliet.reordered + rosaline.reordered,
    );
    assert!(sum(|ledger| ledger.acknowledged.len()) > 0, "the flood never got going");
}

/// The choices of one round.
struct Round {
    /// From the first message to the kill.
    flood: Duration,
    rosaline_comes: bool,
    /// After so many messages she leaves, with a word or without.
    rosaline_leaves_after: u64,
    /// Messages between two requests for an acknowledgement.
    burst: u64,
}

fn play(node: &mut Node, plan: &Round, next_id: &AtomicU64, juliet: &mut Ledger, rosaline: &mut Ledger) {
    let receiver = Client::online(node, "juliet", "balcony");
    let visitor = plan.rosaline_comes.then(|| Client::online(node, "rosaline", "feast"));
    let romeo = Client::online(node, "romeo", "orchard");
    let benvolio = Client::online(node, "benvolio", "street");
    let (open_juliet, open_rosaline) = (juliet.open.clone(), rosaline.open.clone());
    thread::scope(|scope| {
        let heard = scope.spawn(move || listen(receiver, u64::MAX));
        let visit = scope.spawn(move || visitor.map_or_else(Vec::new, |v| listen(v, plan.rosaline_leaves_after)));
        let flood = |client: Client, to: &'static str, again: BTreeSet<u64>| {
            scope.spawn(move || flood(client, to, again, next_id, plan.burst))
        };
        let to_juliet = flood(romeo, "juliet", open_juliet);
        let to_rosaline = flood(benvolio, "rosaline", open_rosaline);
        // The one thing here that is about time: when to kill. Any moment is a good one.
        thread::sleep(plan.flood);
        node.kill9();
        for (ledger, sender, receiver) in [(juliet, to_juliet, heard), (rosaline, to_rosaline, visit)] {
            let sent = sender.join().expect("the sender");
            ledger.acknowledged.extend(sent.acknowledged);
            ledger.refused.extend(sent.refused);
            ledger.open = sent.open;
            ledger.take(&receiver.join().expect("the receiver"));
        }
    });
}

/// What one sender knows when its connection is dead.
#[derive(Default)]
struct Sent {
    acknowledged: Vec<u64>,
    refused: Vec<u64>,
    open: BTreeSet<u64>,
}

/// Sends what is open, then new messages until the node dies.
fn flood(mut client: Client, to: &str, open: BTreeSet<u64>, next_id: &AtomicU64, burst: u64) -> Sent {
    let to = format!("{to}@{DOMAIN}");
    let mut known = Sent { open, ..Sent::default() };
    // Which message each count of stream management stands for; the first stanzas were iqs and presence.
    let before = client.sm.as_ref().expect("stream management is on").sent;
    let mut sent: Vec<u64> = Vec::new();
    let mut again: Vec<u64> = known.open.iter().copied().collect();
    loop {
        let ids: Vec<u64> = match again.is_empty() {
            true if sent.len() >= PER_ROUND_MAX => Vec::new(),
            true => (0..burst).map(|_| next_id.fetch_add(1, Ordering::SeqCst)).collect(),
            false => std::mem::take(&mut again),
        };
        known.open.extend(&ids);
        let text: String = ids.iter().map(|id| chat(&to, &id.to_string(), &body(id))).collect();
        let count = u32::try_from(ids.len()).expect("few enough");
        sent.extend(&ids);
        // At most two bursts are open at a time, so that the kill finds some in each state.
        let outcome = match ids.is_empty() {
            true => client.try_next().map(|element| client.put_back(element)),
            false => client.try_send_many(&text, count).and_then(|()| client.try_wait_acked(count)),
        };
        let acked = client.sm.as_ref().expect("still on").acked.saturating_sub(before) as usize;
        for id in sent.get(known.acknowledged.len()..acked).unwrap_or_default() {
            known.open.remove(id);
            known.acknowledged.push(*id);
        }
        let errors = client.take_inbox().into_iter().filter(|el| el.attribute("type") == Some("error"));
        known.refused.extend(errors.filter_map(|el| el.attribute("id")?.parse::<u64>().ok()));
        match outcome {
            Ok(()) => {}
            Err(Lost::Silent) => panic!("the node neither acknowledges nor dies"),
            Err(_) => return known,
        }
    }
}

/// Reads until the connection dies or this many came, then leaves.
fn listen(mut client: Client, most: u64) -> Vec<Element> {
    let mut heard = client.take_inbox();
    while (heard.len() as u64) < most {
        match client.try_next() {
            Ok(element) => heard.push(element),
            Err(Lost::Silent) => panic!("neither messages nor an end"),
            Err(_) => return heard,
        }
    }
    if most.is_multiple_of(2) {
        // What was read without being acknowledged will come again.
        client.cut();
        return heard;
    }
    // In order: read on until the node has closed, too.
    if client.acknowledge().is_ok() && client.try_send_raw("</stream:stream>").is_ok() {
        while let Ok(element) = client.try_next() {
            heard.push(element);
        }
    }
    heard
}

/// All that waits for a user, acknowledged.
fn collect(node: &Node, user: &str) -> Vec<Element> {
    let mut client = Client::online(node, user, "collector");
    let heard = client.drain();
    client.acknowledge().expect("the node is there");
    client.roundtrip();
    client.close();
    heard
}

/// New messages of one sender in one round: many times more than fit between two acknowledgements, and few enough for what an
/// account may store over the rounds in which its owner is away.
const PER_ROUND_MAX: usize = 400;
