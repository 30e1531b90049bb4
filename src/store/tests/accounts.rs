//! Accounts, keys, secrets and the change of owner.

use std::collections::BTreeSet;

use super::{Scratch, at, jid};
use crate::jid::Jid;
use crate::limits::RING_BYTES_MAX;
use crate::roster::{BlockList, Entry, Item, Removal, Request, Subscription};
use crate::router::Storage;
use crate::store::{Account, Credentials, Store, StoreError};

const OLD_KEY: [u8; 20] = [1; 20];
const NEW_KEY: [u8; 20] = [2; 20];

#[test]
fn accounts_passwords_and_secrets_are_there_after_reopening() {
    let scratch = Scratch::new();
    let (romeo, nobody) = (jid("romeo@a.example"), jid("nobody@a.example"));
    let store = scratch.open();
    let account = Account { password: Some(Credentials::new(vec![7; 100])), ..Account::new(at(5)) };
    store.add_account(&romeo, &account).unwrap();
    assert_eq!(store.add_account(&romeo, &account), Err(StoreError::AccountExists));
    assert_eq!(store.set_password(&nobody, None), Err(StoreError::NoAccount));
    store.note_login(&romeo, at(6)).unwrap();
    store.note_logout(&romeo, at(7)).unwrap();
    assert_eq!(store.secret("salt", &[3; 32]), Ok([3; 32]));
    drop(store);

    let store = scratch.open();
    let expected = Account { last_login: Some(at(6)), last_logout: Some(at(7)), ..account };
    assert_eq!(store.account(&romeo), Ok(Some(expected.clone())));
    assert_eq!(store.accounts().collect::<Vec<_>>(), [Ok((romeo.clone(), expected))]);
    assert_eq!(store.account(&nobody), Ok(None));
    assert_eq!(store.secret("salt", &[4; 32]), Ok([3; 32]));
    assert_eq!(store.secret("other", &[4; 32]), Ok([4; 32]));
    assert!(store.account_exists(&romeo).unwrap() && !store.account_exists(&nobody).unwrap());
    store.set_password(&romeo, None).unwrap();
    assert_eq!(store.account(&romeo).unwrap().unwrap().password, None);
}

#[test]
fn credentials_do_not_print_themselves_and_have_a_limit() {
    let printed = format!("{:?}", Account { password: Some(Credentials::new(vec![77])), ..Account::new(at(1)) });
    assert!(!printed.contains("77"), "{printed}");
    let scratch = Scratch::new();
    let large = Account { password: Some(Credentials::new(vec![0; 5000])), ..Account::new(at(1)) };
    let refused = scratch.open().add_account(&jid("romeo@a.example"), &large);
    assert_eq!(refused, Err(StoreError::TooLarge { bytes_max: 4096 }));
}

#[test]
fn rings_of_any_allowed_size_come_back_and_follow_their_account() {
    let scratch = Scratch::new();
    let romeo = jid("romeo@a.example");
    let store = scratch.open();
    let ring = |length: usize, fill: u8| vec![fill; length];
    store.accept_registration(&romeo, OLD_KEY, &ring(RING_BYTES_MAX, 1), at(1)).unwrap();
    assert_eq!(store.ring(&OLD_KEY), Ok(Some(ring(RING_BYTES_MAX, 1))));
    // A smaller one leaves no part of the larger behind.
    store.save_login(&romeo, OLD_KEY, &ring(100, 2)).unwrap();
    assert_eq!(store.ring(&OLD_KEY), Ok(Some(ring(100, 2))));
    store.save_login(&romeo, NEW_KEY, &ring(30_000, 3)).unwrap();
    assert_eq!(store.ring(&OLD_KEY), Ok(None));
    assert_eq!(store.ring(&NEW_KEY), Ok(Some(ring(30_000, 3))));
    assert_eq!(store.account(&romeo).unwrap().unwrap().fingerprint, Some(NEW_KEY));
    let written = store.save_login(&romeo, NEW_KEY, &ring(100, 4)).unwrap();
    assert_eq!(store.save_login(&romeo, NEW_KEY, &ring(100, 4)), Ok(written), "nothing to write");
    let too_large = store.save_login(&romeo, NEW_KEY, &ring(RING_BYTES_MAX + 1, 4));
    assert_eq!(too_large, Err(StoreError::TooLarge { bytes_max: RING_BYTES_MAX }));
    store.remove_account(&romeo).unwrap();
    assert_eq!(store.ring(&NEW_KEY), Ok(None));
    assert_eq!(store.remove_account(&romeo).unwrap_err(), StoreError::NoAccount);
}

#[test]
fn of_a_removed_account_no_tree_keeps_anything() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let romeo = jid("romeo@a.example");
    store.accept_registration(&romeo, OLD_KEY, b"ring", at(1)).unwrap();
    // One more tree, and its keys are here as well.
    let trees = || store.shared.db.tree_names().into_iter().map(|name| store.shared.db.open_tree(name).unwrap());
    let below = crate::store::schema::contact_key(&romeo, "x");
    let neighbour = crate::store::schema::contact_key(&jid("romeo@a.example.org"), "x");
    for tree in trees() {
        for key in [&below, &neighbour] {
            tree.insert(key, b"").unwrap();
        }
        if *tree.name() != *b"accounts" {
            tree.insert(romeo.as_str(), b"").unwrap();
        }
    }
    store.remove_account(&romeo).unwrap();
    assert_eq!(store.ring(&OLD_KEY), Ok(None));
    // The node's own things and counts, other nodes, rings by fingerprint, farewells still to be said, what is on its way, holds
    // (some days).
    let exempt =
        ["node", "rings", "farewells", "outgoing", "accounts", "dispatch", "resets", "damaged", "__sled__default"];
    let of_nodes = ["card", "reach", "edge", "peer", "kill", "meta"];
    let exempt: Vec<&str> = exempt.into_iter().chain(of_nodes).collect();
    for tree in trees().filter(|tree| !exempt.iter().any(|name| *tree.name() == *name.as_bytes())) {
        let name = String::from_utf8_lossy(&tree.name()).into_owned();
        // A few have one record of an account, the others many below it.
        let key =
            if ["archive_preferences", "disabled", "inactive", "undiscoverable", "visitors"].contains(&name.as_str()) {
                romeo.as_str().into()
            } else {
                below.clone()
            };
        assert!(!tree.contains_key(key).unwrap(), "{name}");
        assert!(tree.contains_key(&neighbour).unwrap(), "{name}");
    }
    assert!(store.account(&romeo).unwrap().is_none());
}

#[test]
fn what_comes_for_an_account_that_is_gone_is_taken_away_but_not_from_one_that_is_there() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let romeo = jid("romeo@a.example");
    let waiting = |store: &mut Store| store.offline(&romeo, at(3), None, 10).unwrap().len();
    store.add_account(&romeo, &Account::new(at(1))).unwrap();
    store.store_offline(&romeo, "<message/>", at(2)).unwrap();
    store.forget_leftovers(&romeo).unwrap();
    assert_eq!(waiting(&mut store), 1);
    store.remove_account(&romeo).unwrap();
    store.store_offline(&romeo, "<message/>", at(2)).unwrap();
    store
        .save_entry(&romeo, &jid("juliet@a.example"), &Entry { item: Some(Item::default()), request: None }, true)
        .unwrap();
    store.forget_leftovers(&romeo).unwrap();
    assert_eq!(waiting(&mut store), 0);
    assert!(store.shared.trees.roster.is_empty(), "not even a version");
}

/// An account with something of each kind.
fn furnish(store: &mut Store, name: &str, fingerprint: [u8; 20]) {
    let account = jid(name);
    store.accept_registration(&account, fingerprint, b"ring", at(1)).unwrap();
    store.set_password(&account, Some(Credentials::new(vec![1]))).unwrap();
    let item = |subscription, ask| Some(Item { subscription, ask, name: Some("N".into()), ..Item::default() });
    let request = Some(Request { stanza: "<presence/>".into(), stamp: at(2) });
    for (contact, entry) in [
        ("both@b", Entry { item: item(Subscription::Both, false), request: None }),
        ("asked@b", Entry { item: item(Subscription::None, true), request: None }),
        ("none@b", Entry { item: item(Subscription::None, false), request: None }),
        ("wants@b", Entry { item: None, request }),
    ] {
        store.save_entry(&account, &jid(contact), &entry, true).unwrap();
    }
    store.save_block_list(&account, &blocked()).unwrap();
    // Some written, some pending.
    for n in 0..100 {
        store.store_offline(&account, &format!("<message id='{n}'>{}</message>", "x".repeat(300)), at(3)).unwrap();
    }
}

fn blocked() -> BlockList {
    BlockList { blocked: BTreeSet::from(["foe@b".parse::<Jid>().unwrap(), "c".parse().unwrap()]) }
}

fn is_furnished(store: &mut Store, name: &str) -> bool {
    let account = jid(name);
    store.roster(&account).unwrap().entries.len() == 4
        && store.block_list(&account).unwrap() == blocked()
        && store.offline(&account, at(3), None, usize::MAX).unwrap().len() == 100
        && store.account(&account).unwrap().unwrap().password.is_some()
}

#[test]
fn a_new_owner_of_a_number_finds_nothing_of_the_previous_one() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    // Names that begin alike, to show that keys do not run into each other.
    furnish(&mut store, "romeo@a.example", OLD_KEY);
    furnish(&mut store, "romeo@a.example2", [9; 20]);
    let romeo = jid("romeo@a.example");
    let before = store.roster(&romeo).unwrap().version;

    let (departed, ticket) = store.accept_registration(&romeo, NEW_KEY, b"new ring", at(50)).unwrap();
    let owed: Vec<(String, Removal)> =
        departed.farewells.iter().map(|farewell| (farewell.contact.to_string(), farewell.presence)).collect();
    assert_eq!(
        owed,
        [
            ("asked@b".into(), Removal { unsubscribe: true, unsubscribed: false }),
            ("both@b".into(), Removal { unsubscribe: true, unsubscribed: true }),
            ("wants@b".into(), Removal { unsubscribe: false, unsubscribed: true }),
        ]
    );
    smol::block_on(store.commit(ticket)).unwrap();
    for reopened in [false, true] {
        if reopened {
            drop(store);
            store = scratch.open();
        }
        let roster = store.roster(&romeo).unwrap();
        assert_eq!(roster.entries, []);
        assert!(roster.version > before, "an old client must not take its roster for the present one");
        assert_eq!(store.block_list(&romeo).unwrap(), BlockList::default());
        assert_eq!(store.offline(&romeo, at(50), None, usize::MAX).unwrap(), []);
        assert_eq!(store.ring(&OLD_KEY), Ok(None));
        assert_eq!(store.ring(&NEW_KEY), Ok(Some(b"new ring".to_vec())));
        let account = store.account(&romeo).unwrap().unwrap();
        let expected = Account { fingerprint: Some(NEW_KEY), number_verified: true, ..Account::new(at(50)) };
        assert_eq!(account, expected);
        assert!(is_furnished(&mut store, "romeo@a.example2"));
        assert_eq!(store.farewells().unwrap(), departed.farewells, "kept until they are said");
    }
    for farewell in &departed.farewells {
        store.farewell_said(&farewell.account, &farewell.contact).unwrap();
    }
    assert_eq!(store.farewells().unwrap(), []);
}

#[test]
fn registering_again_with_the_same_key_keeps_everything() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    furnish(&mut store, "romeo@a.example", OLD_KEY);
    let (departed, _) = store.accept_registration(&jid("romeo@a.example"), OLD_KEY, b"certified anew", at(9)).unwrap();
    assert_eq!(departed.farewells, []);
    assert!(is_furnished(&mut store, "romeo@a.example"));
    assert_eq!(store.ring(&OLD_KEY), Ok(Some(b"certified anew".to_vec())));
}

#[test]
fn a_removed_account_leaves_nothing_but_its_farewells() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    furnish(&mut store, "romeo@a.example", OLD_KEY);
    let romeo = jid("romeo@a.example");
    let (departed, _) = store.remove_account(&romeo).unwrap();
    assert_eq!(departed.farewells.len(), 3);
    drop(store);
    let mut store = scratch.open();
    assert_eq!(store.account(&romeo), Ok(None));
    assert_eq!(store.ring(&OLD_KEY), Ok(None));
    assert_eq!(store.offline(&romeo, at(3), None, usize::MAX).unwrap(), []);
    assert_eq!(store.farewells().unwrap().len(), 3);
    let trees = &store.shared.trees;
    for tree in [&trees.accounts, &trees.rings, &trees.roster, &trees.requests, &trees.blocked, &trees.offline] {
        assert!(tree.is_empty(), "{}", String::from_utf8_lossy(&tree.name()));
    }
}
