//! Tickets, events, closing and breaking.

use std::path::Path;

use super::{Scratch, at, jid};
use crate::router::{Storage, StorageFault, Ticket};
use crate::store::{Account, StoreError};

#[test]
fn a_durable_ticket_includes_all_smaller_ones() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let events = store.take_durable_events().unwrap();
    assert!(store.take_durable_events().is_none(), "there is one channel");
    let romeo = jid("romeo@a");
    let (_, first) = store.store_offline(&romeo, "<message/>", at(1)).unwrap();
    let (_, second) = store.store_offline(&romeo, "<message/>", at(1)).unwrap();
    assert!(first < second);
    smol::block_on(async {
        store.commit(second).await.unwrap();
        store.commit(first).await.unwrap();
        // The newest event says what the earlier ones said.
        assert_eq!(events.recv().await, Ok(second));
    });
    assert_eq!(store.durable(), second);
    assert_eq!(smol::block_on(store.commit(Ticket(1000))), Err(StoreError::Broken), "no such write");
}

#[test]
fn several_wait_for_one_commit() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let tickets: Vec<Ticket> =
        (0..50).map(|_| store.store_offline(&jid("romeo@a"), "<message/>", at(1)).unwrap().1).collect();
    let executor = smol::LocalExecutor::new();
    let tasks: Vec<_> = tickets
        .into_iter()
        .map(|ticket| {
            let store = store.clone();
            executor.spawn(async move { store.commit(ticket).await })
        })
        .collect();
    smol::block_on(executor.run(async {
        for task in tasks {
            assert_eq!(task.await, Ok(()));
        }
    }));
}

#[test]
fn closing_commits_what_is_left_and_refuses_the_rest() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let other = store.clone();
    let events = store.take_durable_events().unwrap();
    let romeo = jid("romeo@a");
    let (_, ticket) = store.store_offline(&romeo, "<message/>", at(1)).unwrap();
    other.close().unwrap();
    other.close().unwrap();
    assert_eq!(store.durable(), ticket);
    assert_eq!(store.store_offline(&romeo, "<message/>", at(1)), Err(StorageFault::Broken));
    assert_eq!(smol::block_on(store.commit(ticket)), Ok(()));
    assert_eq!(events.recv_blocking(), Ok(ticket));
    assert!(events.recv_blocking().is_err(), "the channel ends");
    drop((store, other));
    assert_eq!(scratch.open().offline(&romeo, at(1), None, usize::MAX).unwrap().len(), 1);
}

#[test]
fn a_broken_store_fails_who_waits_and_refuses_writes_but_still_reads() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let events = store.take_durable_events().unwrap();
    let (romeo, juliet) = (jid("romeo@a"), jid("juliet@a"));
    let ticket = store.add_account(&romeo, &Account::new(at(1))).unwrap();
    smol::block_on(store.commit(ticket)).unwrap();
    let late = {
        // As if the disk failed before the committer comes by: it needs this lock.
        let _queues = store.shared.queues();
        let late = store.shared.commits.wrote();
        store.shared.commits.break_down(Path::new("/there"), "no space left on device");
        late
    };
    assert_eq!(smol::block_on(store.commit(late)), Err(StoreError::Broken));
    assert_eq!(smol::block_on(store.commit(ticket)), Ok(()), "what was durable is durable");
    assert_eq!(store.add_account(&juliet, &Account::new(at(1))), Err(StoreError::Broken));
    assert!(store.account(&romeo).unwrap().is_some());
    assert!(store.stats().unwrap().broken);
    while events.recv_blocking().is_ok() {}
    assert_eq!(store.close(), Err(StoreError::Broken));
}
