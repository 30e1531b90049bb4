//! Stanzas that wait for other domains, over restarts and damage.

use super::*;
use crate::federation::{Outgoing, OutgoingId, Pair};

fn outgoing(text: &str, millis: u64) -> Outgoing {
    let pair = Pair { own: "a.example".parse().unwrap(), peer: "b.example".parse().unwrap() };
    Outgoing { id: OutgoingId(0), pair, text: text.to_owned(), stamp: Timestamp { millis } }
}

#[test]
fn what_waits_for_other_domains_outlives_a_restart_in_order() {
    let dir = Scratch::new();
    let store = dir.open();
    let long = format!("<message><body>{}</body></message>", noise(100_000));
    let mut ids = Vec::new();
    for text in ["<message id='1'/>", &long, "<message id='3'/>", "<message id='4'/>"] {
        ids.push(store.keep_outgoing(&outgoing(text, 7)).unwrap().0);
    }
    store.forget_outgoing(&ids[2..3]).unwrap();
    store.close().unwrap();
    drop(store);
    let store = dir.open();
    let texts: Vec<String> = store.outgoing().unwrap().into_iter().map(|one| one.text).collect();
    assert_eq!(texts, ["<message id='1'/>", &long, "<message id='4'/>"]);
    store.forget_outgoing(&ids).unwrap();
    assert_eq!(store.outgoing().unwrap(), []);
    let too_long = outgoing(&"x".repeat(300_000), 7);
    assert!(store.keep_outgoing(&too_long).is_err());
}

/// Text that does not compress.
fn noise(bytes: usize) -> String {
    let mut state = 7u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + u8::try_from((state >> 40) % 26).unwrap())
    };
    (0..bytes).map(|_| letter()).collect()
}
