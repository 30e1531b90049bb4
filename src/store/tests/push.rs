//! Push registrations over restarts, and with their account.

use super::*;
use crate::limits::PUSH_SERVICES_MAX;
use crate::push::Registration;
use crate::store::{Account, StoreError};

fn registration(service: &str, node: &str) -> Registration {
    Registration {
        service: service.parse().unwrap(),
        node: node.to_owned(),
        resource: "phone".to_owned(),
        options: Some("<x xmlns='jabber:x:data'/>".to_owned()),
    }
}

#[test]
fn registrations_survive_a_restart_and_go_with_their_account() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let (romeo, rome) = (jid("romeo@a.example"), jid("rome@a.example"));
    assert!(matches!(store.save_push(&romeo, &registration("b", "1"), false), Err(StoreError::NoAccount)));
    for account in [&romeo, &rome] {
        store.add_account(account, &Account::new(at(1))).unwrap();
    }
    let all = [registration("b.example", "1"), registration("b.example", "2"), registration("b.example.org/x", "")];
    for one in &all {
        store.save_push(&romeo, one, false).unwrap();
    }
    store.save_push(&rome, &all[0], false).unwrap();
    // The same again from another device.
    let moved = Registration { resource: "tablet".to_owned(), ..all[0].clone() };
    store.save_push(&romeo, &moved, false).unwrap();
    drop(store);
    let store = scratch.open();
    assert_eq!(store.pushes(&romeo).unwrap(), [moved.clone(), all[1].clone(), all[2].clone()]);
    assert_eq!(store.push_accounts().unwrap(), [romeo.clone(), rome.clone()].into());
    store.remove_push(&romeo, &all[1].service, Some("2")).unwrap();
    assert_eq!(store.pushes(&romeo).unwrap().len(), 2);
    // In place of all of the service, as Kontalk's has one a device.
    store.save_push(&romeo, &registration("b.example", "3"), true).unwrap();
    assert_eq!(store.pushes(&romeo).unwrap(), [registration("b.example", "3"), all[2].clone()]);
    store.remove_push(&romeo, &all[0].service, None).unwrap();
    assert_eq!(store.pushes(&romeo).unwrap(), [all[2].clone()]);
    store.remove_account(&romeo).unwrap();
    assert_eq!(store.push_accounts().unwrap(), [rome.clone()].into());
    // The number has a new owner.
    store.accept_registration(&rome, [7; 20], b"ring", at(20)).unwrap();
    assert!(store.push_accounts().unwrap().is_empty());
}

#[test]
fn an_account_has_only_so_many() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let romeo = jid("romeo@a.example");
    store.add_account(&romeo, &Account::new(at(1))).unwrap();
    for number in 0..PUSH_SERVICES_MAX {
        store.save_push(&romeo, &registration("b", &number.to_string()), false).unwrap();
    }
    assert!(matches!(store.save_push(&romeo, &registration("b", "more"), false), Err(StoreError::Full)));
    store.save_push(&romeo, &registration("b", "0"), false).unwrap();
}
