//! What is kept of numbers that changed hands.

use super::{Scratch, at, jid};
use crate::limits::RESET_HOLD;
use crate::stanza::Timestamp;

#[test]
fn a_takeover_is_remembered_until_the_hold_is_over_whatever_its_owner_does() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let anna = jid("anna@a.example");
    let ring = vec![1, 2, 3];
    let register = |key: u8, now: Timestamp| {
        let reset = store.reset_by(&anna, &[key; 20], now).unwrap();
        store.accept_registration(&anna, [key; 20], &ring, now).unwrap();
        assert_eq!(store.reset(&anna, now).unwrap(), reset, "the certification says what is kept");
        reset
    };
    let hours = |hours: u64| at(0).plus(std::time::Duration::from_secs(hours * 3600));
    assert_eq!(register(1, hours(0)), None, "nobody had the number");
    assert_eq!(register(1, hours(1)), None, "the same key");
    assert_eq!(register(2, hours(2)), Some(hours(2)), "another key");
    assert_eq!(register(2, hours(3)), Some(hours(2)));
    // The account goes, and the hold stays.
    store.remove_account(&anna).unwrap();
    assert_eq!(register(3, hours(4)), Some(hours(2)));
    let end = hours(2).plus(RESET_HOLD);
    assert_eq!(store.reset(&anna, Timestamp { millis: end.millis - 1 }).unwrap(), Some(hours(2)));
    assert_eq!(store.reset(&anna, end).unwrap(), None);
    store.forget_resets(hours(2)).unwrap();
    assert_eq!(store.shared.trees.resets.len(), 1);
    store.forget_resets(end).unwrap();
    assert!(store.shared.trees.resets.is_empty());
    assert_eq!(register(1, hours(100)), Some(hours(100)), "its former owner is one who takes over, too");
}
