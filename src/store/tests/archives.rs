//! Archives, and sessions that wait over a restart.

use std::time::Duration;

use super::{Scratch, at, blob_files, jid};
use crate::archive::{ArchiveId, DefaultPreference, Filter, Preferences};
use crate::jid::{BareJid, FullJid, Jid};
use crate::limits::{ARCHIVE_TTL, ARCHIVE_VALUES_MAX, STANZA_BYTES_MAX};
use crate::router::{ConnectionId, Event, Now, Resumption, Router, SessionStart, Storage};
use crate::store::{Account, Credentials, Store};

fn romeo() -> Jid {
    "romeo@a/orchard".parse().unwrap()
}

fn stanza(n: usize) -> String {
    format!("<message id='{n}'><body>{}</body></message>", "b".repeat(300))
}

fn fill(store: &mut Store, account: &BareJid, numbers: std::ops::Range<usize>) -> Vec<ArchiveId> {
    numbers.map(|n| store.archive(account, &romeo(), &stanza(n), at(1000 + n as u64)).unwrap().0).collect()
}

fn commit_all(store: &Store) {
    let ticket = store.shared.commits.last_written();
    smol::block_on(store.commit(ticket)).unwrap();
}

fn all(store: &mut Store, account: &BareJid) -> Vec<ArchiveId> {
    store.archive_scan(account, &Filter::default()).unwrap().all
}

#[test]
fn messages_come_back_whether_pending_written_or_reopened() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let juliet = jid("juliet@a");
    let mut ids = fill(&mut store, &juliet, 0..200);
    fill(&mut store, &jid("juliet@a2"), 0..10);
    assert_eq!(all(&mut store, &juliet), ids);
    // One at a time, as people chat: each is committed before the next.
    for n in 200..240 {
        ids.extend(fill(&mut store, &juliet, n..n + 1));
        commit_all(&store);
    }
    assert_eq!(all(&mut store, &juliet), ids);
    drop(store);
    let mut store = scratch.open();
    ids.extend(fill(&mut store, &juliet, 240..250));
    assert_eq!(all(&mut store, &juliet), ids);
    assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
    // Some of them, in any order, as they are named.
    let wanted = [ids[249], ids[0], ids[205], ids[204]];
    let found = store.archived(&juliet, &wanted, usize::MAX).unwrap();
    let numbers: Vec<_> = found.iter().map(|archived| (archived.id, archived.stamp, archived.stanza.clone())).collect();
    let expected = [249usize, 0, 205, 204].map(|n| (ids[n], at(1000 + n as u64), stanza(n)));
    assert_eq!(numbers, expected);
    // As many as fit, and one in any case.
    assert_eq!(store.archived(&juliet, &wanted, 800).unwrap().len(), 2);
    assert_eq!(store.archived(&juliet, &wanted, 0).unwrap().len(), 1);
    // 250 messages of 350 bytes, 40 of them one by one.
    let values = store.shared.trees.archive.len();
    assert!((8..25).contains(&values), "{values} values");
    assert_eq!(blob_files(scratch.path()), 0);
}

#[test]
fn filters_see_the_other_side_and_the_moment() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let juliet = jid("juliet@a");
    fill(&mut store, &juliet, 0..10);
    let nurse: Jid = "nurse@a/x".parse().unwrap();
    let (from_nurse, _) = store.archive(&juliet, &nurse, "<message/>", at(2000)).unwrap();
    let with = Filter { with: Some("nurse@a".parse().unwrap()), ..Filter::default() };
    let scan = store.archive_scan(&juliet, &with).unwrap();
    assert_eq!((scan.all.len(), scan.matching), (11, vec![from_nurse]));
    let late = Filter { start: Some(at(1008)), end: Some(at(1999)), ..Filter::default() };
    assert_eq!(store.archive_scan(&juliet, &late).unwrap().matching.len(), 2);
    assert_eq!(store.archive_scan(&jid("nobody@a"), &late).unwrap().all, []);
}

#[test]
fn an_id_is_never_used_again_whatever_the_clock_does() {
    let scratch = Scratch::new();
    let juliet = jid("juliet@a");
    let mut ids = Vec::new();
    for moment in [2000, 1000, 3000, 0, u64::MAX / 1000] {
        let mut store = scratch.open();
        ids.push(store.archive(&juliet, &romeo(), "<message/>", at(moment)).unwrap().0);
    }
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
}

#[test]
fn large_messages_are_archived_in_parts_and_larger_ones_are_not() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let juliet = jid("juliet@a");
    // Text that does not compress.
    let mut state = 7u32;
    let mut noise = |bytes: usize| {
        let digit = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'0' + u8::try_from((state >> 24) % 64).unwrap())
        };
        (0..bytes).map(digit).collect::<String>()
    };
    let texts: Vec<String> =
        [10, 15_000, 16_000, 24_000, 100_000, STANZA_BYTES_MAX, 10].into_iter().map(&mut noise).collect();
    let ids: Vec<ArchiveId> =
        texts.iter().map(|text| store.archive(&juliet, &romeo(), text, at(1)).unwrap().0).collect();
    drop(store);
    let mut store = scratch.open();
    assert_eq!(all(&mut store, &juliet), ids);
    let found = store.archived(&juliet, &ids, usize::MAX).unwrap();
    assert!(found.iter().map(|archived| &archived.stanza).eq(&texts));
    assert_eq!(blob_files(scratch.path()), 0);
    assert!(store.archive(&juliet, &romeo(), &noise(2 * STANZA_BYTES_MAX), at(1)).is_err());
}

#[test]
fn old_messages_go_and_so_do_the_oldest_of_too_many() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let (juliet, nurse) = (jid("juliet@a"), jid("nurse@a"));
    fill(&mut store, &juliet, 0..100);
    fill(&mut store, &nurse, 0..5);
    commit_all(&store);
    let fresh = store.archive(&juliet, &romeo(), "<message/>", at(1_000_000)).unwrap().0;
    commit_all(&store);
    // The open chunk of the nurse is old too, and still takes a message behind the old ones.
    let now = at(1100).plus(ARCHIVE_TTL);
    assert_eq!(store.expire_archives(at(900).plus(ARCHIVE_TTL)), Ok(0));
    assert!(store.expire_archives(now).unwrap() > 0);
    assert_eq!(all(&mut store, &nurse), []);
    let left = all(&mut store, &juliet);
    assert!(left.ends_with(&[fresh]) && left.len() < 20, "{} left", left.len());
    let (again, _) = store.archive(&nurse, &romeo(), "<message/>", now).unwrap();
    assert_eq!(all(&mut store, &nurse), [again]);
    // Chunks that cannot be compressed to less than a value each, until there are too many.
    let text = "t".repeat(17_000);
    let many = jid("many@a");
    for n in 0..ARCHIVE_VALUES_MAX + 10 {
        store.archive(&many, &romeo(), &text, at(n as u64)).unwrap();
    }
    let left = all(&mut store, &many).len();
    assert!(left <= ARCHIVE_VALUES_MAX + 2 && left > ARCHIVE_VALUES_MAX / 2, "{left} left");
}

#[test]
fn accounts_with_a_password_archive_unless_they_choose_otherwise() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let (with, without) = (jid("password@a"), jid("key@a"));
    let password = Some(Credentials::new(vec![1]));
    store.add_account(&with, &Account { password, ..Account::new(at(1)) }).unwrap();
    store.add_account(&without, &Account::new(at(1))).unwrap();
    let default_of = |store: &Store, account: &BareJid| store.archive_preferences(account).unwrap().default;
    assert_eq!(default_of(&store, &with), DefaultPreference::Always);
    assert_eq!(default_of(&store, &without), DefaultPreference::Never);
    assert_eq!(default_of(&store, &jid("nobody@a")), DefaultPreference::Never);
    let mut chosen = Preferences::of(DefaultPreference::Roster);
    chosen.always.insert(romeo());
    chosen.never.insert("tybalt@a".parse().unwrap());
    store.save_archive_preferences(&without, &chosen).unwrap();
    store.archive(&without, &romeo(), "<message/>", at(1)).unwrap();
    drop(store);
    let mut store = scratch.open();
    assert_eq!(store.archive_preferences(&without), Ok(chosen));
    // Off for the whole node.
    store.set_archive_ttl(Duration::ZERO);
    assert_eq!(default_of(&store, &with), DefaultPreference::Never);
    assert_eq!(default_of(&store, &without), DefaultPreference::Never);
    store.set_archive_ttl(ARCHIVE_TTL);
    // All of it belongs to the owner.
    store.remove_account(&without).unwrap();
    assert_eq!(default_of(&store, &without), DefaultPreference::Never);
    assert_eq!(all(&mut store, &without), []);
    assert!(store.shared.trees.archive.is_empty() && store.shared.trees.archive_preferences.is_empty());
}

#[test]
fn a_damaged_chunk_is_set_aside_and_the_rest_stays_readable() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let juliet = jid("juliet@a");
    let ids = fill(&mut store, &juliet, 0..200);
    store.archive_scan(&juliet, &Filter::default()).unwrap();
    let key = store.shared.trees.archive.iter().keys().nth(1).unwrap().unwrap();
    store.shared.trees.archive.insert(key, b"nonsense").unwrap();
    let left = all(&mut store, &juliet);
    assert!(left.len() < ids.len() && left.len() > 100, "{} left", left.len());
    assert_eq!(store.stats().unwrap().damaged_records, 1);
}

/// A session as the router keeps it, by the router.
fn keep(store: &Store, jid: &FullJid, token: &str) {
    let now = Now { monotonic: std::time::Instant::now(), wall: at(1) };
    let mut router = Router::new("a".parse().unwrap(), store.clone(), now);
    let resumption = Resumption { token: token.into(), patience: Duration::from_secs(60) };
    let start = SessionStart { management: Some(Some(resumption)), ..SessionStart::default() };
    let mut actions = Vec::new();
    router.handle(now, Event::Bind { connection: ConnectionId(1), jid: jid.clone(), start }, &mut actions);
    router.handle(now, Event::Shutdown, &mut actions);
}

#[test]
fn sessions_are_taken_out_once_and_go_with_their_account() {
    let scratch = Scratch::new();
    let full: FullJid = "juliet@a/balcony".parse().unwrap();
    let store = scratch.open();
    store.add_account(full.bare(), &Account::new(at(1))).unwrap();
    keep(&store, &full, "secret-token");
    store.close().unwrap();
    drop(store);
    let store = scratch.open();
    let kept = smol::block_on(store.take_sessions()).unwrap();
    assert_eq!(kept.iter().map(|session| session.jid.clone()).collect::<Vec<_>>(), std::slice::from_ref(&full));
    assert_eq!(smol::block_on(store.take_sessions()).unwrap().len(), 0);
    drop(store);
    let store = scratch.open();
    assert_eq!(smol::block_on(store.take_sessions()).unwrap().len(), 0);
    keep(&store, &full, "secret-token");
    assert!(!store.shared.trees.sessions.is_empty());
    store.remove_account(full.bare()).unwrap();
    assert!(store.shared.trees.sessions.is_empty());
}
