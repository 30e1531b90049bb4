//! Vectors computed once and cross-checked with a second implementation: seeds are SHA-256 of ASCII such as `test vote a.example`.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::super::card::{log_name, vote_name, witness_name};
use super::super::*;
use crate::pgp::Fingerprint;
use crate::stanza::Timestamp;

pub(crate) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

pub(crate) fn domain(name: &str) -> NodeDomain {
    NodeDomain::parse(name).unwrap()
}

pub(crate) fn signer(what: &str, name: &str, node: &str, kind: KeyKind) -> Signer {
    Signer::new(name, kind, &Zeroizing::new(hash(&format!("test {what} {node}")))).unwrap()
}

pub(crate) fn vote(node: &str) -> Signer {
    signer("vote", &vote_name(&domain(node)), node, KeyKind::Note)
}

pub(crate) fn log(node: &str) -> Signer {
    signer("log", &log_name(&domain(node), 1), node, KeyKind::Note)
}

fn witness(node: &str) -> Signer {
    signer("witness", &witness_name(&domain(node)), node, KeyKind::Cosigner)
}

fn recovery(node: &str) -> Signer {
    signer("recovery", &format!("{node}/recovery"), node, KeyKind::Note)
}

pub(crate) fn card(node: &str) -> Card {
    let [fingerprint @ .., _, _, _, _, _, _, _, _, _, _, _, _] = hash(&format!("test fpr {node}"));
    Card {
        domain: domain(node),
        kid: hash(&format!("test kid {node}")),
        fingerprint: Fingerprint(fingerprint),
        vote: vote(node).public().clone(),
        witness: witness(node).public().clone(),
        log: log(node).public().clone(),
        label: public_key(&Zeroizing::new([0xA3; 32]), b"test key").unwrap(),
        recovery: *recovery(node).public().key(),
        cut: None,
    }
}

#[test]
fn keys_have_the_names_of_the_vectors() {
    assert_eq!(
        vote("a.example").public().to_string(),
        "a.example/vote+40992167+AV2/3qAAHwConQAGjzeSFSfniW5kD0Sbo6+aEUukRTIQ"
    );
    assert_eq!(
        witness("b.example").public().to_string(),
        "b.example/witness+d29b79b3+BOaOghnnhVnh0qgp+rNYV7UmENi8ZzK7XHhhwt4ODVW8"
    );
}

#[test]
fn cards_have_the_ids_of_the_vectors() {
    for (node, id) in [
        ("a.example", "a3754c86a5656b9f03566fe49e9df81644008e20c2859bb8294bff6204e4dd67"),
        ("b.example", "4cfd31955df64030add06172d37bce8890701d4bcbd1e374495ea9f6d633ad61"),
    ] {
        let card = card(node);
        assert_eq!(card.id().to_string(), id);
        assert_eq!(Card::parse(&card.to_text()), Ok(card));
    }
}

#[test]
fn notes_have_the_signatures_of_the_vectors() {
    let now = Timestamp { millis: 1_700_000_000_000 };
    let ballot = "kontalk-ballot-v1\n\
                  network 9df4d12d0d3be2578332b3112da807a8a9d7955debd004a281ab8edf2dea602e\n\
                  proposal 35b240e738f83b230e69452f106a21b5d1932eb35d33c8ec5dfcfba95c6cda3b\nyes\n";
    assert_eq!(
        vote("a.example").sign(ballot, now).encoded(),
        "QJkhZ1jkJL9e6OqVeZD4O+WDNcc8D1bY3Y59AjZvgmGhfLNnyfuj2jEhK7oHvPGwXg+eqJ0eXqD/dv33bDr96mzmPw8="
    );
    let root = [
        0xef, 0xcc, 0xdb, 0xd8, 0x3e, 0x2b, 0x7b, 0x21, 0x3e, 0xe9, 0x85, 0xdc, 0x24, 0xe6, 0xcf, 0xf1, 0x12, 0x1d,
        0x61, 0x8d, 0xa7, 0x64, 0xfc, 0x1e, 0x74, 0x54, 0xc0, 0xad, 0x6a, 0xef, 0xc8, 0x3b,
    ];
    use base64::Engine;
    let checkpoint = format!("a.example/kt/1\n2\n{}\n", base64::engine::general_purpose::STANDARD.encode(root));
    assert_eq!(
        log("a.example").sign(&checkpoint, now).encoded(),
        "XKdcB1flFySl8c+K4+KBf81PCvvTkLUCv7Ny8Zq911bd+s+ztX2SyTtks2umBtqUX2NuO5wxQCsK+grFSnDrp+7APg0="
    );
    let witness = witness("b.example");
    assert_eq!(
        witness.sign(&checkpoint, now).encoded(),
        "0pt5swAAAABlU/EAZ1Cpis3qEE5zkv8+doO5A9kxpfuBfaUkQuAWHRm4CCVtHcZADj68LTnLO1EMARGKwUiRBtuue84PKv4svM4BCw=="
    );
    let note = Note::new(checkpoint).signed(&log("a.example"), now).signed(&witness, now);
    let note = Note::parse(note.to_string().as_bytes()).unwrap();
    assert!(note.is_signed_by(log("a.example").public()));
    assert_eq!(note.cosigned_by(witness.public()), Some(now));
    assert!(!note.is_signed_by(vote("a.example").public()));
}

#[test]
fn the_example_of_the_signed_note_specification_verifies() {
    // C2SP signed-note, its example.
    let key = Verifier::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
    let note = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n\n\
                — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let note = Note::parse(note.as_bytes()).unwrap();
    assert!(note.is_signed_by(&key));
}
