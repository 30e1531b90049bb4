//! Copies of a working store, and what they are read for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Scratch, at, jid};
use crate::router::Storage;
use crate::store::{Account, Credentials, Loader, Record, Store};

/// The records of a copy, put in their places.
fn copied(store: &Store) -> BTreeMap<(String, Vec<u8>), Vec<u8>> {
    let mut records = BTreeMap::new();
    store
        .copy_out(&mut |record| {
            let place = (record.tree.to_owned(), record.key.to_vec());
            match record.value {
                Some(value) => records.insert(place, value.to_vec()),
                None => records.remove(&place),
            };
            Ok(())
        })
        .unwrap();
    records
}

fn loaded(scratch: &Scratch, records: &BTreeMap<(String, Vec<u8>), Vec<u8>>) -> Store {
    let mut loader = Loader::new(scratch.path()).unwrap();
    for ((tree, key), value) in records {
        loader.put(Record { tree, key, value: Some(value) }).unwrap();
    }
    loader.finish().unwrap()
}

#[test]
fn a_copy_loaded_elsewhere_is_the_same_store() {
    let (here, there) = (Scratch::new(), Scratch::new());
    let mut store = here.open();
    let alice = jid("alice@a.example");
    store.add_account(&alice, &Account::new(at(1))).unwrap();
    store.store_offline(&alice, "<message><body>waits</body></message>", at(2)).unwrap();
    let secret = store.secret("test", &[7; 32]).unwrap();
    let mut copy = loaded(&there, &copied(&store));
    assert_eq!(copy.account(&alice).unwrap(), store.account(&alice).unwrap());
    assert_eq!(copy.offline(&alice, at(3), None, 10).unwrap(), store.offline(&alice, at(3), None, 10).unwrap());
    assert_eq!(copy.secret("test", &[0; 32]).unwrap(), secret);
    assert!(Loader::new(there.path()).is_err(), "an existing store is not written over");
}

/// Each decision makes two changes that belong together: an account and the version of its roster. A copy never has one without
/// the other, and all that was written before it began.
#[test]
fn a_copy_taken_amid_writing_has_each_decision_whole() {
    let scratch = Scratch::new();
    let store = scratch.open();
    for number in 0..500 {
        store.add_account(&jid(&format!("early{number}@a.example")), &Account::new(at(1))).unwrap();
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0_u64.. {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                let account = jid(&format!("late{number}@a.example"));
                store.add_account(&account, &Account::new(at(1))).unwrap();
                if number % 3 == 0 {
                    store.remove_account(&account).unwrap();
                }
            }
        });
        for _ in 0..5 {
            let records = copied(&store);
            let of = |tree: &str| -> Vec<Vec<u8>> {
                records.keys().filter(|(name, _)| name == tree).map(|(_, key)| key.clone()).collect()
            };
            let accounts = of("accounts");
            let mut rosters: Vec<Vec<u8>> = of("roster").iter().map(|key| key[..key.len() - 1].to_vec()).collect();
            rosters.sort();
            assert_eq!(accounts, rosters);
            assert!(accounts.iter().filter(|account| account.starts_with(b"early")).count() == 500);
            let mut late: Vec<u64> = accounts
                .iter()
                .filter_map(|account| std::str::from_utf8(account).unwrap().strip_prefix("late")?.split_once('@'))
                .map(|(number, _)| number.parse().unwrap())
                .collect();
            late.sort_unstable();
            // No gap: as of one moment. The newest may be one that is going to be removed.
            let newest = late.last().copied().unwrap_or(0);
            let expected: Vec<u64> = (0..=newest).filter(|n| n % 3 != 0 || *n == newest).collect();
            assert!(late.is_empty() || late == expected, "{late:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_slow_taker_holds_nobody_up() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.add_account(&jid("first@a.example"), &Account::new(at(1))).unwrap();
    let mut written = 0;
    store
        .copy_out(&mut |_| {
            // More than sled keeps for those who listen, while the taker has its first record in hand.
            while written < 3000 {
                written += 1;
                store.add_account(&jid(&format!("a{written}@a.example")), &Account::new(at(1))).unwrap();
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(written, 3000);
}

/// The moment at which a copy is wanted most.
#[test]
fn a_store_that_takes_no_more_writes_can_still_be_copied() {
    let (here, there) = (Scratch::new(), Scratch::new());
    let store = here.open();
    let alice = jid("alice@a.example");
    store.add_account(&alice, &Account::new(at(1))).unwrap();
    smol::block_on(store.commit(store.last_written())).unwrap();
    store.shared.commits.break_down(here.path(), "the disk is full");
    let copy = loaded(&there, &copied(&store));
    assert!(copy.account(&alice).unwrap().is_some());
}

#[test]
fn every_tree_is_read_and_damage_is_counted_where_it_is() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let alice = jid("alice@a.example");
    let account = Account { password: Some(Credentials::new(vec![1; 100])), ..Account::new(at(1)) };
    store.add_account(&alice, &account).unwrap();
    store.store_offline(&alice, &"x".repeat(100_000), at(2)).unwrap();
    store.archive(&alice, &"bob@a.example".parse().unwrap(), "<message/>", at(2)).unwrap();
    store.stats().unwrap();
    let sound = store.verify(&mut |_| ()).unwrap();
    assert!(sound.is_sound(), "{sound:?}");
    assert_eq!(sound.trees.iter().filter(|tree| !tree.known).count(), 0, "a tree without a line in verify::TREES");
    let trees = store.shared.db.tree_names().len();
    assert_eq!(sound.trees.len() + 1, trees, "sled's own default is not counted");

    for (tree, key) in [("accounts", alice.as_str().as_bytes().to_vec()), ("roster", b"no account".to_vec())] {
        store.shared.db.open_tree(tree).unwrap().insert(key, b"\x01spoilt").unwrap();
    }
    let archive = store.shared.db.open_tree("archive").unwrap();
    let (key, value) = archive.iter().next().unwrap().unwrap();
    archive.insert(key, &value[..value.len() - 1]).unwrap();
    let spoilt = store.verify(&mut |_| ()).unwrap();
    assert!(!spoilt.is_sound());
    let damaged: Vec<&str> = spoilt.trees.iter().filter(|t| t.damaged == 1).map(|t| t.name.as_str()).collect();
    assert_eq!(damaged, ["accounts", "archive", "roster"]);
    assert_eq!(spoilt.records(), sound.records() + 1, "nothing is moved");
}
