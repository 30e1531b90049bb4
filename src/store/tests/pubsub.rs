//! Nodes and items.

use super::{Scratch, at, blob_files, jid};
use crate::jid::BareJid;
use crate::limits::{PEP_BYTES_MAX, PEP_NODES_MAX};
use crate::pubsub::{AVATAR_DATA, AVATAR_METADATA, Config, Item, Node, Photo};
use crate::router::Storage;
use crate::store::{Account, PepChange, SHELF, Store, StoreError};
use crate::xml::ns;

fn node(max_items: u32) -> Node {
    Node { config: Config { max_items, ..Config::default() }, ..Node::default() }
}

fn item(id: &str, payload: &str) -> Item {
    Item { id: id.into(), published: at(7), payload: payload.into() }
}

fn publish(store: &Store, account: &BareJid, name: &str, node: &Node, item: &Item) -> Result<(), StoreError> {
    store.pep_change(account, &[PepChange::Publish(name, node, item)]).map(|_| ())
}

fn romeo(store: &Store) -> BareJid {
    let romeo = jid("romeo@a");
    store.add_account(&romeo, &Account::new(at(1))).unwrap();
    romeo
}

fn all(store: &Store, account: &BareJid, name: &str) -> Vec<String> {
    let items = store.pep_items(account, name, usize::MAX, usize::MAX).unwrap();
    let ids: Vec<String> = items.into_iter().map(|item| item.id).collect();
    assert_eq!(store.pep_item_ids(account, name).unwrap(), ids);
    assert_eq!(store.pep_last_item(account, name).unwrap().map(|item| item.id), ids.last().cloned());
    ids
}

#[test]
fn items_keep_their_order_and_the_oldest_goes_first() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let romeo = romeo(&store);
    for id in ["a", "b", "a", "c"] {
        publish(&store, &romeo, "urn:n", &node(3), &item(id, id)).unwrap();
    }
    for reopened in [false, true] {
        if reopened {
            drop(store);
            store = scratch.open();
        }
        // What is published again is the newest but one.
        assert_eq!(all(&store, &romeo, "urn:n"), ["b", "a", "c"]);
        assert_eq!(store.pep_item(&romeo, "urn:n", "a").unwrap(), Some(item("a", "a")));
        assert_eq!(store.pep_node(&romeo, "urn:n").unwrap(), Some(node(3)));
        assert_eq!(store.pep_node(&romeo, "urn").unwrap(), None);
    }
    publish(&store, &romeo, "urn:n", &node(3), &item("d", "d")).unwrap();
    assert_eq!(all(&store, &romeo, "urn:n"), ["a", "c", "d"]);
    // Replacing one when the node is full costs no other.
    publish(&store, &romeo, "urn:n", &node(3), &item("a", "new")).unwrap();
    assert_eq!(all(&store, &romeo, "urn:n"), ["c", "d", "a"]);
    assert_eq!(store.pep_items(&romeo, "urn:n", 2, usize::MAX).unwrap(), [item("d", "d"), item("a", "new")]);
    assert_eq!(store.pep_items(&romeo, "urn:n", 9, 1).unwrap(), [item("a", "new")]);
    store.pep_change(&romeo, &[PepChange::Retract("urn:n", "a"), PepChange::Delete("urn:none")]).unwrap();
    assert_eq!(all(&store, &romeo, "urn:n"), ["c", "d"]);
    store.pep_change(&romeo, &[PepChange::Save("urn:n", &node(1))]).unwrap();
    assert_eq!(all(&store, &romeo, "urn:n"), ["d"]);
    store.pep_change(&romeo, &[PepChange::Purge("urn:n")]).unwrap();
    assert!(all(&store, &romeo, "urn:n").is_empty() && store.pep_node(&romeo, "urn:n").unwrap().is_some());
    store.pep_change(&romeo, &[PepChange::Delete("urn:n")]).unwrap();
    assert_eq!(store.pep_nodes(&romeo).unwrap(), []);
}

#[test]
fn nodes_of_similar_names_do_not_mix_and_shelves_are_no_nodes() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let romeo = romeo(&store);
    let shelf = format!("{SHELF}vcard");
    for name in ["n", "n1", "n\u{2}", &shelf] {
        publish(&store, &romeo, name, &node(1), &item(name, name)).unwrap();
    }
    store.pep_change(&romeo, &[PepChange::Purge("n")]).unwrap();
    assert_eq!(all(&store, &romeo, "n1"), ["n1"]);
    assert_eq!(store.pep_item(&romeo, &shelf, &shelf).unwrap(), Some(item(&shelf, &shelf)));
    let names: Vec<String> = store.pep_nodes(&romeo).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["n", "n\u{2}", "n1"]);
}

#[test]
fn an_account_has_its_share_and_gets_it_back() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let romeo = romeo(&store);
    let large = "x".repeat(200 * 1024);
    let fits = usize::try_from(PEP_BYTES_MAX).unwrap() / (large.len() + 100);
    for number in 0..fits {
        publish(&store, &romeo, "n", &node(100), &item(&number.to_string(), &large)).unwrap();
    }
    let one_more = item("more", &large);
    assert_eq!(publish(&store, &romeo, "n", &node(100), &one_more), Err(StoreError::Full));
    assert_eq!(store.pep_item(&romeo, "n", "more").unwrap(), None);
    // In the place of another there is room for it, and what is whole comes back whole.
    publish(&store, &romeo, "n", &node(100), &item("0", &large)).unwrap();
    store.pep_change(&romeo, &[PepChange::Retract("n", "1")]).unwrap();
    publish(&store, &romeo, "n", &node(100), &one_more).unwrap();
    assert_eq!(store.pep_item(&romeo, "n", "more").unwrap(), Some(one_more));
    assert_eq!(blob_files(scratch.path()), 0);
    store.pep_change(&romeo, &[PepChange::Delete("n")]).unwrap();
    for number in 0..PEP_NODES_MAX {
        store.pep_change(&romeo, &[PepChange::Save(&number.to_string(), &node(1))]).unwrap();
    }
    assert_eq!(store.pep_change(&romeo, &[PepChange::Save("more", &node(1))]), Err(StoreError::Full));
    store.pep_change(&romeo, &[PepChange::Delete("0")]).unwrap();
    store.pep_change(&romeo, &[PepChange::Save("more", &node(1))]).unwrap();
}

#[test]
fn changes_happen_together_or_not_at_all_and_go_with_the_account() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let romeo = romeo(&store);
    let photo = Photo::of_vcard(
        &crate::xml::parse_document(
            "<vCard xmlns='vcard-temp'><PHOTO><BINVAL>aGVsbG8=</BINVAL></PHOTO></vCard>",
            ns::CLIENT,
            10,
        )
        .unwrap(),
    )
    .unwrap();
    let data = item(&photo.id, &photo.data().to_text(ns::CLIENT));
    let metadata = item(&photo.id, &photo.metadata().to_text(ns::CLIENT));
    assert_eq!(store.avatar_hash(&romeo).unwrap(), None);
    publish(&store, &romeo, AVATAR_METADATA, &node(1), &metadata).unwrap();
    // The picture itself is not there yet.
    assert_eq!(store.avatar_hash(&romeo).unwrap(), None);
    let (one, two) = (node(1), item("x", &"x".repeat(PEP_BYTES_MAX as usize)));
    let too_much = [PepChange::Publish(AVATAR_DATA, &one, &data), PepChange::Publish("n", &one, &two)];
    assert_eq!(store.pep_change(&romeo, &too_much), Err(StoreError::Full));
    assert_eq!(store.pep_node(&romeo, AVATAR_DATA).unwrap(), None);
    publish(&store, &romeo, AVATAR_DATA, &node(1), &data).unwrap();
    assert_eq!(store.avatar_hash(&romeo).unwrap(), Some(photo.id));

    store.remove_account(&romeo).unwrap();
    assert!(!store.has_pep(&romeo).unwrap());
    assert_eq!(store.pep_item(&romeo, AVATAR_METADATA, &metadata.id).unwrap(), None);
    assert_eq!(publish(&store, &romeo, "n", &node(1), &metadata), Err(StoreError::NoAccount));
    store.add_account(&romeo, &Account::new(at(2))).unwrap();
    assert_eq!(store.pep_nodes(&romeo).unwrap(), []);
}
