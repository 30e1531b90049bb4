//! Hostile cards, reaches and introductions of other nodes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use kontalk_node::pgp::ServerKey;
use kontalk_node::stanza::Timestamp;
use kontalk_node::trust::{
    Card, Endpoint, Introduction, KeyKind, NodeDomain, Note, Reach, RecoveryWords, SignedCard, SignedReach, Signer,
    accept, log_name, public_key, vote_name, witness_name,
};
use zeroize::Zeroizing;

use crate::spoil::Random;

/// A note is read in exactly the form that it is written; a card in it too.
pub fn card(random: &mut Random, input: &[u8]) -> bool {
    let Ok(note) = Note::parse(input) else { return false };
    assert_eq!(note.to_string().as_bytes(), input, "one note in two forms");
    let Ok(signed) = SignedCard::parse(input) else { return false };
    assert_eq!(signed.to_text().as_bytes(), input);
    assert_eq!(signed.card().to_text(), note.text());
    assert_eq!(signed.card().id(), Card::parse(note.text()).expect("it was read").id());
    // Verifies signatures, which takes its time.
    if random.one_in(8) {
        let ring = crate::judges().0.ring().expect("the corpus' own ring");
        let _ = accept(&signed, &ring, None, [].into_iter(), now());
    }
    true
}

/// The same for a reach.
pub fn reach(random: &mut Random, input: &[u8]) -> bool {
    let Ok(signed) = SignedReach::parse(input) else { return false };
    assert_eq!(signed.to_text().as_bytes(), input, "one reach in two forms");
    let again = Reach::parse(&signed.reach().to_text()).expect("our own text is a reach");
    assert_eq!(&again, signed.reach());
    assert!((1..=4).contains(&again.tls.len()) && again.s2s.len() <= 8 && again.http.len() <= 2);
    if random.one_in(8) {
        let _ = SignedReach::accept(input, &node(&crate::judges().0).0, Some(3));
    }
    true
}

/// What is read and written again reads the same.
pub fn introduction(_: &mut Random, input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let Ok(introduction) = Introduction::parse(text) else { return false };
    let again = Introduction::parse(&introduction.to_string()).expect("our own text is an introduction");
    assert_eq!(again, introduction);
    true
}

/// The corpus: folder, file, text.
pub fn samples(server: &ServerKey) -> Vec<(&'static str, &'static str, String)> {
    let (card, [vote, log, recovery]) = node(server);
    let sign = |card: &Card| {
        let openpgp = server.sign_detached(card.to_text().as_bytes(), now()).expect("a signature");
        SignedCard::make(card.clone(), openpgp, &[&vote, &log, &recovery], now())
    };
    let full = Reach {
        card: card.id(),
        seq: 8,
        tls: vec![[1; 32], [2; 32]],
        disco: Some(card.label),
        s2s: ["203.0.113.7:5269", "[2001:db8::7]:5269", "node.a.example:5269"]
            .map(|e| Endpoint::parse(e).unwrap())
            .to_vec(),
        http: vec!["https://a.example".to_owned(), "http://b.example:8080/x".to_owned()],
    };
    let least = Reach { seq: 1, tls: vec![[1; 32]], disco: None, s2s: Vec::new(), http: Vec::new(), ..full.clone() };
    let cut = Card { cut: Some(412), ..card.clone() };
    let reach = |reach: &Reach| SignedReach::make(reach.clone(), &vote, now());
    let introduction = |reach| Introduction { card: sign(&card), certificate: server.ring().expect("a ring"), reach };
    vec![
        ("card", "card", sign(&card).to_text()),
        ("card", "after-theft", sign(&cut).to_text()),
        ("reach", "full", reach(&full).to_text()),
        ("reach", "least", reach(&least).to_text()),
        ("introduction", "with-reach", introduction(Some(reach(&full))).to_string()),
        ("introduction", "without-reach", introduction(None).to_string()),
    ]
}

/// The corpus' card with its signatures, and the key that votes.
pub fn signed_card(server: &ServerKey) -> (Card, SignedCard, Signer) {
    let (card, [vote, log, recovery]) = node(server);
    let openpgp = server.sign_detached(card.to_text().as_bytes(), now()).expect("a signature");
    let signed = SignedCard::make(card.clone(), openpgp, &[&vote, &log, &recovery], now());
    (card, signed, vote)
}

fn node(server: &ServerKey) -> (Card, [Signer; 3]) {
    let domain = NodeDomain::parse("a.example").expect("a domain");
    let ring = server.ring().expect("a ring");
    let signer = |name: &str, kind, byte| Signer::new(name, kind, &Zeroizing::new([byte; 32])).expect("a sound key");
    let vote = signer(&vote_name(&domain), KeyKind::Note, 1);
    let log = signer(&log_name(&domain, 1), KeyKind::Note, 2);
    let witness = signer(&witness_name(&domain), KeyKind::Cosigner, 3);
    let recovery = RecoveryWords::from_random([4; 32]).signer(&domain).expect("a sound key");
    let card = Card {
        domain,
        kid: ring.kid(),
        fingerprint: ring.fingerprint(),
        vote: vote.public().clone(),
        witness: witness.public().clone(),
        log: log.public().clone(),
        label: public_key(&Zeroizing::new([5; 32]), b"label").expect("a point"),
        recovery: *recovery.public().key(),
        cut: None,
    };
    (card, [vote, log, recovery])
}

fn now() -> Timestamp {
    Timestamp { millis: 1_700_000_600_000 }
}
