//! Login tokens.

use super::*;
use crate::limits::{TOKEN_CLIENTS_MAX, TOKEN_TTL};
use crate::store::{Account, Credentials, StoreError};
use crate::stream::{ClientId, HashedToken, Keep, TokenSlots};

fn client(number: usize) -> ClientId {
    ClientId::of(&number.to_string()).unwrap()
}

fn issue(store: &Store, account: &BareJid, number: usize, secs: u64) -> Result<(), StoreError> {
    let serial = [u8::try_from(number).unwrap(); 16];
    let issued = store.change_tokens(account, client(number), at(secs), |slots| {
        (slots.issue(serial, HashedToken::Unbound, at(secs)), Keep::Now)
    });
    issued.map(|(expiry, ticket)| assert!(expiry == at(secs).plus(TOKEN_TTL) && ticket.is_some()))
}

fn slots(store: &Store, account: &BareJid, number: usize) -> TokenSlots {
    store.change_tokens(account, client(number), at(0), |slots| (*slots, Keep::Unchanged)).unwrap().0
}

fn with_password(store: &Store, address: &str) -> BareJid {
    let account = Account { password: Some(Credentials::new(vec![1])), ..Account::new(at(1)) };
    store.add_account(&jid(address), &account).unwrap();
    jid(address)
}

#[test]
fn tokens_survive_a_restart_and_belong_to_one_client_of_one_account() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let (romeo, juliet) = (with_password(&store, "romeo@a.example"), with_password(&store, "juliet@a.example"));
    issue(&store, &romeo, 1, 10).unwrap();
    drop(store);
    let store = scratch.open();
    assert_eq!(slots(&store, &romeo, 1).new.unwrap().issued, at(10));
    for (account, number) in [(&romeo, 2), (&juliet, 1)] {
        assert_eq!(slots(&store, account, number), TokenSlots::default());
    }
    // An empty pair of slots takes no room.
    store.change_tokens(&romeo, client(1), at(11), |slots| (*slots = TokenSlots::default(), Keep::Now)).unwrap();
    assert_eq!(store.shared.trees.tokens.len(), 0);
}

#[test]
fn tokens_end_with_the_password_that_they_were_given_for() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let romeo = with_password(&store, "romeo@a.example");
    let rome = with_password(&store, "rome@a.example");
    issue(&store, &rome, 1, 10).unwrap();
    type End = fn(&Store, &BareJid);
    let ends: [End; 4] = [
        |store, romeo| assert!(store.set_password(romeo, Some(Credentials::new(vec![2]))).is_ok()),
        |store, romeo| assert!(store.set_password(romeo, None).is_ok()),
        |store, romeo| drop(store.remove_account(romeo).unwrap()),
        // The number has a new owner.
        |store, romeo| drop(store.accept_registration(romeo, [7; 20], b"ring", at(20)).unwrap()),
    ];
    for end in ends {
        store.remove_account(&romeo).unwrap();
        with_password(&store, "romeo@a.example");
        issue(&store, &romeo, 1, 10).unwrap();
        end(&store, &romeo);
        assert_eq!(store.shared.trees.tokens.len(), 1, "only the other account's");
        if store.account(&romeo).unwrap().is_none_or(|account| account.password.is_none()) {
            assert_eq!(issue(&store, &romeo, 1, 10), Err(StoreError::NoAccount));
        }
        if store.account(&romeo).unwrap().is_none() {
            with_password(&store, "romeo@a.example");
        }
    }
}

#[test]
fn one_more_client_than_fits_makes_the_first_to_expire_go() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let romeo = with_password(&store, "romeo@a.example");
    for number in 0..TOKEN_CLIENTS_MAX {
        issue(&store, &romeo, number, 100 + number as u64).unwrap();
    }
    issue(&store, &romeo, 0, 1000).unwrap();
    issue(&store, &romeo, 99, 1001).unwrap();
    assert_eq!(store.shared.trees.tokens.len(), TOKEN_CLIENTS_MAX);
    assert_eq!(slots(&store, &romeo, 1), TokenSlots::default());
    assert!(slots(&store, &romeo, 0).new.is_some() && slots(&store, &romeo, 2).new.is_some());
    // Expired ones go first of all.
    issue(&store, &romeo, 100, TOKEN_TTL.as_secs() + 1000).unwrap();
    assert_eq!(store.shared.trees.tokens.len(), 2);
}
