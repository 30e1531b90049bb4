//! Counters of codes that went out.

use std::time::Instant;

use super::*;
use crate::dispatch::{Dispatcher, Outcome, Plan, Route, Wish};
use crate::phone::{ChallengeKind, PhoneNumber};

fn dispatcher() -> Dispatcher {
    Dispatcher::new(Plan::new(vec![Route::new("modem", ChallengeKind::Text)]), [5; 32])
}

fn send(dispatcher: &mut Dispatcher, now: Instant, number: &str) -> bool {
    let number = PhoneNumber::parse(number).unwrap();
    let address = BareJid::new(Some(&number.localpart()), "a.example").unwrap();
    let wish = Wish { number: &number, address: &address, fallback: false, challenge: None };
    dispatcher.begin(now, &wish).map(|mut trip| dispatcher.ended(now, &mut trip, Outcome::Accepted)).is_ok()
}

#[test]
fn counters_survive_a_restart_and_go_when_they_are_over() {
    let scratch = Scratch::new();
    let now = Instant::now();
    let day = std::time::Duration::from_secs(24 * 3600);
    let mut before = dispatcher();
    let sent = (0..10).filter(|n| send(&mut before, now, &format!("+491511234000{n}"))).count();
    let store = scratch.open();
    store.keep_dispatch_counters(&before.changes(now, at(1000))).unwrap();
    store.close().unwrap();
    drop(store);

    let store = scratch.open();
    let mut after = dispatcher();
    assert_eq!(after.restore(now, at(1060), store.dispatch_counters().unwrap()), []);
    assert_eq!(after.facts(now).routes[0].sent as usize, sent);
    assert!(!send(&mut after, now, "+4915112340009"), "the breaker is still open");
    // The block and the prefix around it go; the node's own and the route's counters stay.
    store.keep_dispatch_counters(&after.changes(now + day, at(1060))).unwrap();
    assert_eq!(store.dispatch_counters().unwrap().len(), 2);
}
