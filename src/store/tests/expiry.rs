//! Rounds of inactivity.

use super::{Scratch, at, jid};
use crate::store::Account;

#[test]
fn an_account_is_given_up_after_many_rounds_without_a_sign_of_life() {
    let scratch = Scratch::new();
    let (romeo, juliet) = (jid("romeo@a.example"), jid("juliet@a.example"));
    let mut store = scratch.open();
    for address in [&romeo, &juliet] {
        store.add_account(address, &Account::new(at(1))).unwrap();
    }
    let silent = |account: &Account| account.last_login.is_none();
    store.note_login(&juliet, at(5)).unwrap();
    assert_eq!(store.count_inactive(silent, 3).unwrap(), []);
    // A restart does not begin anew.
    drop(store);
    store = scratch.open();
    assert_eq!(store.count_inactive(silent, 3).unwrap(), []);
    assert_eq!(store.count_inactive(silent, 3).unwrap(), std::slice::from_ref(&romeo));
    assert!(store.account(&romeo).unwrap().is_some(), "removing is another decision");
    // A sign of life, and it all begins anew.
    assert_eq!(store.count_inactive(|_| false, 3).unwrap(), []);
    assert_eq!(store.count_inactive(silent, 3).unwrap(), []);
    store.remove_account(&romeo).unwrap();
    store.add_account(&romeo, &Account::new(at(9))).unwrap();
    assert_eq!(store.count_inactive(silent, 2).unwrap(), [], "the next owner has all rounds");
}
