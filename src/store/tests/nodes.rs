//! Other nodes and visitors in the store.

use super::{Scratch, at, jid};
use crate::limits::NODE_CERTIFICATE_BYTES_MAX;
use crate::pgp::Fingerprint;
use crate::router::Storage;
use crate::store::{Peer, PeerChange, PinnedCard, StoreError};
use crate::trust::{NodeDomain, State, Visitor, Why};

const HASH: &str = "4bdd4f929f3a1062253e4e496bafba0bdfb5db75";

fn node(name: &str) -> NodeDomain {
    NodeDomain::parse(name).unwrap()
}

fn peer(state: State) -> Peer {
    Peer { state, since: at(1), reason: "met".to_owned(), former_cards: vec![[1; 32]] }
}

fn visitor(home: &str, key: u8) -> Visitor {
    Visitor {
        address: jid(&format!("{HASH}@b.example")),
        home_address: jid(&format!("{HASH}@{home}")),
        home: node(home),
        key: Fingerprint([key; 20]),
        replaces_key: false,
    }
}

#[test]
fn a_decision_about_a_node_is_written_whole_and_read_after_a_restart() {
    let scratch = Scratch::new();
    let (a, trusted) = (node("a.example"), peer(State::Trusted(Why::Operator)));
    let card = PinnedCard {
        note: "card\n".to_owned(),
        certificate: vec![7; NODE_CERTIFICATE_BYTES_MAX],
        former_certificate: Some(vec![8]),
    };
    {
        let store = scratch.open();
        let change = PeerChange {
            peer: Some(Some(trusted.clone())),
            card: Some(card.clone()),
            words: vec![([1; 32], b"certification".to_vec())],
            reach: Some("reach\n".to_owned()),
        };
        let ticket = store.decide_peer(&a, change).unwrap();
        smol::block_on(store.commit(ticket)).unwrap();
        // Another kid's words are other words; a name that another begins with is another node.
        let words = vec![([2; 32], b"other".to_vec())];
        store.decide_peer(&a, PeerChange { words, ..PeerChange::default() }).unwrap();
        store
            .decide_peer(
                &node("a.example.org"),
                PeerChange { peer: Some(Some(peer(State::Seen))), ..Default::default() },
            )
            .unwrap();
        store.close().unwrap();
    }
    let store = scratch.open();
    assert_eq!(store.peer(&a).unwrap(), Some(trusted.clone()));
    assert_eq!(store.card(&a).unwrap(), Some(card.clone()));
    assert_eq!(store.own_words(&a, &[1; 32]).unwrap(), b"certification");
    assert_eq!(store.own_words(&a, &[2; 32]).unwrap(), b"other");
    assert_eq!(store.own_words(&a, &[3; 32]).unwrap(), b"");
    assert_eq!(store.reach(&a).unwrap().as_deref(), Some("reach\n"));
    assert_eq!(store.peers().unwrap().len(), 2);
    assert_eq!(store.card(&node("a.example.org")).unwrap(), None);

    let too_large = PinnedCard { certificate: vec![7; NODE_CERTIFICATE_BYTES_MAX + 1], ..card };
    let refused =
        store.decide_peer(&a, PeerChange { peer: Some(None), card: Some(too_large), ..PeerChange::default() });
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
    assert_eq!(store.peer(&a).unwrap(), Some(trusted), "all or nothing");
    store.decide_peer(&a, PeerChange { peer: Some(None), ..PeerChange::default() }).unwrap();
    assert_eq!(store.peer(&a).unwrap(), None);
}

#[test]
fn the_clocks_floor_only_rises_but_by_the_operators_word() {
    let scratch = Scratch::new();
    let store = scratch.open();
    assert_eq!(store.clock_floor().unwrap(), at(0));
    for (told, floor) in [(100, 100), (50, 100), (200, 200)] {
        store.raise_clock_floor(at(told)).unwrap();
        assert_eq!(store.clock_floor().unwrap(), at(floor));
    }
    store.set_clock_floor(at(150)).unwrap();
    assert_eq!(store.clock_floor().unwrap(), at(150));
}

#[test]
fn a_visitor_has_an_address_until_he_is_forgotten_or_at_home() {
    let scratch = Scratch::new();
    let mut store = scratch.open();
    let anna = visitor("a.example", 1);
    let address = &anna.address;
    store.admit_visitor(&anna, b"ring", at(10)).unwrap();
    assert_eq!(store.visitor_home(address).unwrap(), Some(anna.home_address.clone()));
    assert_eq!(store.visitors_of(&anna.home).unwrap(), std::slice::from_ref(address));
    assert_eq!(store.count_visitors(&anna.home).unwrap(), (1, 1));
    assert_eq!(store.count_visitors(&node("c.example")).unwrap(), (1, 0));
    assert!(!store.account(address).unwrap().unwrap().number_verified);

    // Coming again changes nothing but when he was seen.
    store.store_offline(address, "<message/>", at(11)).unwrap();
    store.admit_visitor(&anna, b"ring", at(20)).unwrap();
    let visit = store.visit(address).unwrap().unwrap();
    assert_eq!((visit.since, visit.seen), (at(10), at(20)));
    assert_eq!(store.offline(address, at(21), None, 9).unwrap().len(), 1);

    // Another key is another owner: what waited is not for him.
    store.admit_visitor(&visitor("a.example", 2), b"other ring", at(30)).unwrap();
    assert_eq!(store.offline(address, at(31), None, 9).unwrap().len(), 0);
    assert_eq!(store.ring(&[1; 20]).unwrap(), None);
    assert_eq!(store.ring(&[2; 20]).unwrap().as_deref(), Some(b"other ring".as_slice()));

    // When he must go, nobody wakes his devices.
    let service = jid("push.example").into();
    let registration =
        crate::push::Registration { service, node: "n".to_owned(), resource: "r".to_owned(), options: None };
    store.save_push(address, &registration, false).unwrap();
    store.forget_pushes(std::slice::from_ref(address)).unwrap();
    assert_eq!(store.pushes(address).unwrap(), []);

    // The same key from another home: the index follows.
    store.admit_visitor(&visitor("c.example", 2), b"other ring", at(40)).unwrap();
    assert_eq!(store.visitors_of(&anna.home).unwrap(), []);
    assert_eq!(store.visitors_of(&node("c.example")).unwrap(), std::slice::from_ref(address));

    // He registers with his key, and is no visitor any more.
    store.accept_registration(address, [2; 20], b"certified", at(50)).unwrap();
    assert_eq!(store.visit(address).unwrap(), None);
    assert_eq!(store.count_visitors(&node("c.example")).unwrap(), (0, 0));
    assert!(matches!(store.admit_visitor(&anna, b"ring", at(60)), Err(StoreError::AccountExists)));
    store.remove_account(address).unwrap();
    store.admit_visitor(&anna, b"ring", at(70)).unwrap();
    store.remove_account(address).unwrap();
    assert_eq!(store.count_visitors(&anna.home).unwrap(), (0, 0));
    assert_eq!(store.visitor_home(address).unwrap(), None);
}
