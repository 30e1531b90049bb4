//! Rosters, requests and block lists.

use super::{Scratch, at, blob_files, jid};
use crate::jid::Jid;
use crate::limits::{BLOCK_LIST_MAX, ROSTER_GROUPS_MAX, ROSTER_NAME_BYTES_MAX};
use crate::roster::{BlockList, Entry, Item, Request, Subscription};
use crate::router::Storage;

#[test]
fn rosters_keep_order_version_and_waiting_requests() {
    let scratch = Scratch::new();
    let (romeo, juliet, nurse) = (jid("romeo@a"), jid("juliet@b"), jid("nurse@b"));
    let mut store = scratch.open();
    assert_eq!(store.roster(&romeo).unwrap().version, 0);
    let item = Item {
        name: Some("Nurse".into()),
        groups: vec!["Servants".into()],
        subscription: Subscription::To,
        ask: false,
        approved: true,
    };
    let request = Request { stanza: "<presence type='subscribe'/>".into(), stamp: at(4) };
    let both = Entry { item: Some(item.clone()), request: Some(request.clone()) };
    let waiting = Entry { item: None, request: Some(request) };
    assert_eq!(store.save_entry(&romeo, &nurse, &both, true).unwrap().0, 1);
    assert_eq!(store.save_entry(&romeo, &juliet, &waiting, false).unwrap().0, 1);
    for reopened in [false, true] {
        if reopened {
            drop(store);
            store = scratch.open();
        }
        let roster = store.roster(&romeo).unwrap();
        assert_eq!(roster.version, 1);
        assert_eq!(roster.entries, [(juliet.clone(), waiting.clone()), (nurse.clone(), both.clone())]);
        assert_eq!(store.entry(&romeo, &nurse).unwrap(), both);
        assert_eq!(store.entry(&romeo, &jid("other@b")).unwrap(), Entry::default());
        assert_eq!(store.roster(&juliet).unwrap().entries, []);
    }
    let answered = Entry { item: Some(item), request: None };
    assert_eq!(store.save_entry(&romeo, &nurse, &answered, true).unwrap().0, 2);
    assert_eq!(store.save_entry(&romeo, &juliet, &Entry::default(), false).unwrap().0, 2);
    assert_eq!(store.roster(&romeo).unwrap().entries, [(nurse.clone(), answered)]);
    assert_eq!(store.save_entry(&romeo, &nurse, &Entry::default(), true).unwrap().0, 3);
    assert_eq!(store.roster(&romeo).unwrap().entries, []);
}

#[test]
fn block_lists_are_replaced_whole() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let romeo = jid("romeo@a");
    let list = |addresses: &[&str]| BlockList {
        blocked: addresses.iter().map(|address| address.parse::<Jid>().unwrap()).collect(),
    };
    for addresses in [&["a@b", "c@d/e"][..], &["c@d/e", "f", "f/g h"], &[], &["a@b"]] {
        store.save_block_list(&romeo, &list(addresses)).unwrap();
        assert_eq!(store.block_list(&romeo).unwrap(), list(addresses));
    }
    let full = BlockList {
        blocked: (0..BLOCK_LIST_MAX).map(|n| format!("{n}{}@b", "x".repeat(900)).parse().unwrap()).collect(),
    };
    store.save_block_list(&romeo, &full).unwrap();
    drop(store);
    assert_eq!(scratch.open().block_list(&romeo).unwrap(), full);
}

#[test]
fn the_largest_items_stay_in_the_database_file() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let text = |n: usize| format!("{n:04}{}", "x".repeat(ROSTER_NAME_BYTES_MAX - 4));
    let item = Item { name: Some(text(0)), groups: (0..ROSTER_GROUPS_MAX).map(text).collect(), ..Item::default() };
    let request = Request { stanza: "y".repeat(8 * 1024), stamp: at(1) };
    let entry = Entry { item: Some(item), request: Some(request) };
    for n in 0..100 {
        let contact = jid(&format!("{}@{}", text(n), "d".repeat(1000)));
        store.save_entry(&jid("romeo@a"), &contact, &entry, true).unwrap();
    }
    store.close().unwrap();
    assert_eq!(blob_files(scratch.path()), 0);
    assert_eq!(store.roster(&jid("romeo@a")).unwrap().entries.len(), 100);
}
