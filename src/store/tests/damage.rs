//! What does not open, and what does not decode.

use std::fs;
use std::time::Duration;

use super::{Scratch, at, jid};
use crate::roster::{Entry, Item};
use crate::router::Storage;
use crate::store::schema::{SCHEMA_KEY, account_prefix};
use crate::store::{Account, OpenError, Store, open};

#[test]
fn a_second_instance_is_refused_in_a_plain_sentence() {
    let scratch = Scratch::new();
    let first = scratch.open();
    let refused = open::open(scratch.path(), Duration::ZERO).map(|_| ()).unwrap_err();
    assert_eq!(refused, OpenError::InUse { dir: scratch.path().to_owned() });
    assert!(refused.to_string().contains("another process has the store open"));
    drop(first);
    scratch.open();
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.shared.trees.node.insert(SCHEMA_KEY, &9_u32.to_be_bytes()).unwrap();
    drop(store);
    for _ in 0..2 {
        let refused = Store::open(scratch.path()).unwrap_err();
        assert_eq!(refused, OpenError::Newer { dir: scratch.path().to_owned(), found: 9, known: 1 });
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let scratch = Scratch::new();
    fs::write(scratch.path(), "a file").unwrap();
    let refused = Store::open(scratch.path()).unwrap_err();
    assert!(matches!(&refused, OpenError::Io { path, .. } if path == scratch.path()), "{refused:?}");
    fs::remove_file(scratch.path()).unwrap();
}

/// A closed store with an account in it, and a snapshot: sled makes one whenever it opens.
fn closed_store() -> Scratch {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.add_account(&jid("romeo@a"), &Account::new(at(1))).unwrap();
    drop(store);
    drop(scratch.open());
    scratch
}

fn snapshot(scratch: &Scratch) -> std::path::PathBuf {
    let files = fs::read_dir(scratch.path()).unwrap().map(|file| file.unwrap().path());
    files.into_iter().find(|path| path.file_name().unwrap().to_string_lossy().starts_with("snap.")).unwrap()
}

#[test]
fn an_unfinished_snapshot_does_not_keep_the_store_from_opening() {
    let scratch = closed_store();
    let whole = snapshot(&scratch);
    let half = fs::read(&whole).unwrap();
    fs::write(format!("{}.generating", whole.display()), &half[..half.len() / 2]).unwrap();
    let store = scratch.open();
    assert!(store.account(&jid("romeo@a")).unwrap().is_some());
}

#[test]
fn a_damaged_snapshot_is_set_aside_and_made_anew_from_the_log() {
    let scratch = closed_store();
    let path = snapshot(&scratch);
    let mut bytes = fs::read(&path).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(&path, &bytes).unwrap();
    let store = scratch.open();
    assert!(store.account(&jid("romeo@a")).unwrap().is_some());
    let aside = scratch.path().join("set-aside").join(path.file_name().unwrap());
    assert_eq!(fs::read(aside).unwrap(), bytes, "kept as it was");
}

#[test]
fn a_damaged_configuration_is_reported_and_nothing_is_deleted() {
    let scratch = closed_store();
    fs::write(scratch.path().join("conf"), "nonsense that is longer than eight bytes").unwrap();
    let before = fs::read(scratch.path().join("db")).unwrap();
    let refused = Store::open(scratch.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
    assert!(refused.to_string().contains("remedy"));
    assert!(fs::read(scratch.path().join("db")).unwrap() == before);
}

#[test]
fn records_that_cannot_be_read_are_moved_not_deleted() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let romeo = jid("romeo@a");
    let trees = &store.shared.trees;
    let chunk = crate::store::schema::chunk_key(&romeo, 5, 0);
    let item = [account_prefix(&romeo), b"x@y".to_vec()].concat();
    for (tree, key) in [(&trees.accounts, b"romeo@a".to_vec()), (&trees.roster, item), (&trees.offline, chunk)] {
        tree.insert(key, b"\xffnonsense").unwrap();
    }
    assert_eq!(store.account(&romeo), Ok(None));
    assert_eq!(store.roster(&romeo).unwrap().entries, []);
    store.store_offline(&romeo, "<message/>", at(1)).unwrap();
    assert_eq!(store.offline(&romeo, at(1), None, usize::MAX).unwrap().len(), 1);
    assert_eq!(store.stats().unwrap().damaged_records, 3);
    let kept = store.shared.trees.damaged.get(b"accounts\0romeo@a").unwrap().unwrap();
    assert_eq!(kept.as_ref(), b"\xffnonsense");
}

#[test]
fn without_its_snapshot_a_much_used_store_is_read_from_the_log_alone() {
    let scratch = Scratch::new();
    let accounts: Vec<_> = (0..7).map(|n| jid(&format!("user{n}@a"))).collect();
    let mut expected = Vec::new();
    for round in 0..5 {
        // Most of what is written is deleted again, so that sled uses segments of its log anew.
        let mut store = scratch.open();
        for n in 0..2000 {
            let (account, text) = (&accounts[n % accounts.len()], format!("{round} {n} {}", "x".repeat(500 + n % 900)));
            store.store_offline(account, &text, at(1)).unwrap();
            let entry = Entry { item: Some(Item { name: Some(text), ..Item::default() }), request: None };
            store.save_entry(account, &jid(&format!("contact{}@b", n % 400)), &entry, true).unwrap();
        }
        expected.clear();
        for account in &accounts {
            let ids: Vec<_> =
                store.offline(account, at(1), None, usize::MAX).unwrap().iter().map(|message| message.id).collect();
            store.delete_offline(account, &ids[..ids.len() * 9 / 10]).unwrap();
            expected.push((store.offline(account, at(1), None, usize::MAX).unwrap(), store.roster(account).unwrap()));
        }
    }
    fs::remove_file(snapshot(&scratch)).unwrap();
    for _ in 0..2 {
        let mut store = scratch.open();
        for (account, (messages, roster)) in accounts.iter().zip(&expected) {
            assert!(store.offline(account, at(1), None, usize::MAX).unwrap() == *messages);
            assert!(store.roster(account).unwrap() == *roster);
        }
    }
}
