//! Offline messages.

use super::{Scratch, at, blob_files, jid};
use crate::limits::{OFFLINE_BYTES_MAX, OFFLINE_MESSAGES_MAX, OFFLINE_TTL, STANZA_BYTES_MAX};
use crate::router::{OfflineId, OfflineMessage, Storage, StorageFault};
use crate::store::Store;

fn stanza(n: usize) -> String {
    format!("<message id='{n}'><body>{}</body></message>", "b".repeat(300))
}

fn fill(store: &mut Store, name: &str, count: usize) -> Vec<OfflineMessage> {
    (0..count)
        .map(|n| {
            let (id, _) = store.store_offline(&jid(name), &stanza(n), at(1)).unwrap();
            OfflineMessage { id, stanza: stanza(n), stamp: at(1) }
        })
        .collect()
}

fn commit_all(store: &Store) {
    let ticket = store.shared.commits.last_written();
    smol::block_on(store.commit(ticket)).unwrap();
}

fn tidy(store: &Store) {
    store.shared.queues().tidy(&store.shared.trees).unwrap();
}

#[test]
fn messages_come_back_in_order_whether_pending_written_or_reopened() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let mut expected = fill(&mut store, "romeo@a", 1000);
    fill(&mut store, "romeo@a2", 10);
    assert_eq!(store.offline(&jid("romeo@a"), at(2), None, usize::MAX).unwrap(), expected);
    commit_all(&store);
    expected.extend(fill(&mut store, "romeo@a", 30));
    assert_eq!(store.offline(&jid("romeo@a"), at(2), None, usize::MAX).unwrap(), expected);
    drop(store);
    let mut store = scratch.open();
    assert_eq!(store.offline(&jid("romeo@a"), at(2), None, usize::MAX).unwrap(), expected);
    expected.extend(fill(&mut store, "romeo@a", 3));
    assert_eq!(store.offline(&jid("romeo@a"), at(2), None, usize::MAX).unwrap(), expected);
    assert!(expected.is_sorted_by_key(|message| message.id));
    let stats = store.stats().unwrap();
    assert_eq!((stats.offline_messages, stats.damaged_records), (1043, 0));
}

#[test]
fn many_messages_share_one_value() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    fill(&mut store, "romeo@a", 400);
    store.close().unwrap();
    // 400 × about 350 bytes in chunks of 16 KiB.
    let values = store.shared.trees.offline.len();
    assert!((9..25).contains(&values), "{values} values");
}

#[test]
fn deleted_messages_stay_away_and_the_rest_survives() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let romeo = jid("romeo@a");
    let all = fill(&mut store, "romeo@a", 200);
    commit_all(&store);
    let (odd, even): (Vec<_>, Vec<_>) = all.into_iter().enumerate().partition(|(n, _)| n % 2 == 1);
    let odd: Vec<OfflineId> = odd.into_iter().map(|(_, message)| message.id).collect();
    let even: Vec<OfflineMessage> = even.into_iter().map(|(_, message)| message).collect();
    store.delete_offline(&romeo, &odd).unwrap();
    // Twice does no harm, nor does what never was.
    store.delete_offline(&romeo, &odd).unwrap();
    store.delete_offline(&romeo, &[OfflineId { chunk: 99, index: 7 }]).unwrap();
    assert_eq!(store.offline(&romeo, at(2), None, usize::MAX).unwrap(), even);
    tidy(&store);
    assert_eq!(store.offline(&romeo, at(2), None, usize::MAX).unwrap(), even);
    drop(store);
    let mut store = scratch.open();
    assert_eq!(
        store.offline(&romeo, at(2), None, usize::MAX).unwrap(),
        even,
        "closing tidied up, and ids are the same"
    );
    let ids: Vec<OfflineId> = even.iter().map(|message| message.id).collect();
    store.delete_offline(&romeo, &ids).unwrap();
    assert_eq!(store.offline(&romeo, at(2), None, usize::MAX).unwrap(), []);
    assert!(store.shared.trees.offline.is_empty());
}

#[test]
fn a_message_that_is_fetched_at_once_is_never_written() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let mut queues = crate::store::offline::Queues::default();
    let trees = &store.shared.trees;
    let romeo = jid("romeo@a");
    let id = queues.store(trees, &romeo, "<message/>", at(1)).unwrap();
    let (messages, removed) = queues.read(trees, &romeo, at(1), None, usize::MAX).unwrap();
    assert_eq!((messages.len(), removed), (1, false));
    assert!(!queues.delete(trees, &romeo, &[id]).unwrap());
    queues.write_all_pending(trees).unwrap();
    assert!(trees.offline.is_empty());
    assert_eq!(store.offline(&romeo, at(1), None, usize::MAX).unwrap(), []);
}

#[test]
fn an_id_never_names_a_later_message() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let romeo = jid("romeo@a");
    let (old, _) = store.store_offline(&romeo, "<message id='old'/>", at(1)).unwrap();
    commit_all(&store);
    store.delete_offline(&romeo, &[old]).unwrap();
    // Even if the account's queue was forgotten meanwhile.
    store.shared.queues().forget(&romeo);
    let (new, _) = store.store_offline(&romeo, "<message id='new'/>", at(1)).unwrap();
    assert_ne!(old, new);
    store.delete_offline(&romeo, &[old]).unwrap();
    assert_eq!(store.offline(&romeo, at(1), None, usize::MAX).unwrap().len(), 1);
}

#[test]
fn large_stanzas_are_stored_in_parts_and_never_in_blob_files() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let romeo = jid("romeo@a");
    let mut expected = Vec::new();
    for n in 0..40 {
        let stanza = "s".repeat([10, 15_000, 16_000, 24_000, 100_000, STANZA_BYTES_MAX][n % 6] + n);
        let (id, _) = store.store_offline(&romeo, &stanza, at(1)).unwrap();
        expected.push(OfflineMessage { id, stanza, stamp: at(1) });
    }
    commit_all(&store);
    assert_eq!(store.offline(&romeo, at(1), None, usize::MAX).unwrap(), expected);
    drop(store);
    let mut store = scratch.open();
    assert_eq!(store.offline(&romeo, at(1), None, usize::MAX).unwrap(), expected);
    assert_eq!(blob_files(scratch.path()), 0);
    let too_large = "s".repeat(2 * STANZA_BYTES_MAX);
    assert_eq!(store.store_offline(&romeo, &too_large, at(1)), Err(StorageFault::Full));
    let ids: Vec<OfflineId> = expected.iter().map(|message| message.id).collect();
    store.delete_offline(&romeo, &ids).unwrap();
    assert!(store.shared.trees.offline.is_empty());
}

#[test]
fn an_account_has_its_share_and_no_more() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let (many, large) = (jid("many@a"), jid("large@a"));
    for n in 0..OFFLINE_MESSAGES_MAX {
        assert!(store.store_offline(&many, "<message/>", at(1)).is_ok(), "{n}");
    }
    assert_eq!(store.store_offline(&many, "<message/>", at(1)), Err(StorageFault::Full));
    let stanza = "s".repeat(STANZA_BYTES_MAX);
    for _ in 0..OFFLINE_BYTES_MAX / STANZA_BYTES_MAX {
        store.store_offline(&large, &stanza, at(1)).unwrap();
    }
    assert_eq!(store.store_offline(&large, "<message/>", at(1)), Err(StorageFault::Full));
    // Others have theirs; what is fetched makes room; what is too old does, too.
    store.store_offline(&jid("other@a"), "<message/>", at(1)).unwrap();
    let first = store.offline(&many, at(1), None, usize::MAX).unwrap().first().unwrap().id;
    store.delete_offline(&many, &[first]).unwrap();
    store.store_offline(&many, "<message/>", at(1)).unwrap();
    let later = at(2).plus(OFFLINE_TTL);
    store.store_offline(&large, "<message/>", later).unwrap();
    assert_eq!(store.offline(&large, later, None, usize::MAX).unwrap().len(), 1);
    drop(store);
    let mut store = scratch.open();
    assert_eq!(store.store_offline(&many, "<message/>", at(1)), Err(StorageFault::Full), "counted anew");
}

#[test]
fn messages_expire_whether_or_not_their_receiver_comes_back() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let (romeo, juliet, nurse) = (jid("romeo@a"), jid("juliet@a"), jid("nurse@a"));
    let later = at(1).plus(OFFLINE_TTL);
    for account in [&romeo, &juliet] {
        for n in 0..100 {
            store.store_offline(account, &stanza(n), at(1)).unwrap();
        }
    }
    commit_all(&store);
    let (fresh, _) = store.store_offline(&romeo, "<message id='fresh'/>", later).unwrap();
    store.store_offline(&nurse, "<message/>", later).unwrap();
    commit_all(&store);
    assert_eq!(store.offline(&romeo, later, None, usize::MAX).unwrap().len(), 101, "not a moment too early");
    let too_late = later.plus(std::time::Duration::from_millis(1));
    let left = store.offline(&romeo, too_late, None, usize::MAX).unwrap();
    assert_eq!(left.iter().map(|message| message.id).collect::<Vec<_>>(), [fresh]);
    assert_eq!(store.expire_offline(later), Ok(0));
    assert!(store.expire_offline(too_late).unwrap() > 0);
    assert_eq!(store.stats().unwrap().offline_messages, 2);
    assert_eq!(store.offline(&juliet, too_late, None, usize::MAX).unwrap(), []);
    assert_eq!(store.offline(&nurse, too_late, None, usize::MAX).unwrap().len(), 1);
}

#[test]
fn queues_that_are_not_needed_are_read_again_later() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    // Each queue weighs 32 and more, so these do not all fit the cache.
    for n in 0..8000 {
        store.store_offline(&jid(&format!("user{n}@a")), "<message/>", at(1)).unwrap();
        if n % 1000 == 0 {
            commit_all(&store);
        }
    }
    for n in (0..8000).step_by(500) {
        assert_eq!(store.offline(&jid(&format!("user{n}@a")), at(1), None, usize::MAX).unwrap().len(), 1, "{n}");
    }
    assert_eq!(store.stats().unwrap().offline_messages, 8000);
}

#[test]
fn an_operators_limits_hold() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    store.set_offline_limits(2, std::time::Duration::from_secs(60));
    let romeo = jid("romeo@a");
    store.store_offline(&romeo, "<message/>", at(1)).unwrap();
    store.store_offline(&romeo, "<message/>", at(2)).unwrap();
    assert_eq!(store.store_offline(&romeo, "<message/>", at(3)), Err(StorageFault::Full));
    assert_eq!(store.offline(&romeo, at(62), None, usize::MAX).unwrap().len(), 1, "the older one waited too long");
}
