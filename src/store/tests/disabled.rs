//! Accounts that an administrator has shut.

use super::*;
use crate::store::{Account, StoreError};

#[test]
fn a_disabled_account_stays_so_through_restart_and_change_of_owner_until_it_is_removed() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let romeo = jid("romeo@a.example");
    assert!(matches!(store.set_disabled(&romeo, Some(at(5))), Err(StoreError::NoAccount)));
    store.add_account(&romeo, &Account::new(at(1))).unwrap();
    assert!(!store.is_disabled(&romeo).unwrap());
    store.set_disabled(&romeo, Some(at(5))).unwrap();
    drop(store);

    let store = scratch.open();
    assert_eq!(store.disabled().unwrap(), [(romeo.clone(), at(5))]);
    store.accept_registration(&romeo, [1; 20], b"ring", at(7)).unwrap();
    assert!(store.is_disabled(&romeo).unwrap());
    store.set_disabled(&romeo, None).unwrap();
    assert!(!store.is_disabled(&romeo).unwrap());

    store.set_disabled(&romeo, Some(at(9))).unwrap();
    store.remove_account(&romeo).unwrap();
    assert!(!store.is_disabled(&romeo).unwrap());
    assert!(store.disabled().unwrap().is_empty());
}
