//! Cards, reaches and notes: what is accepted, and each way to be refused.

use std::time::Duration;

use super::super::*;
use super::vectors::{card, domain, log, vote};
use crate::pgp::{KeyFault, ServerKey, UserRing};
use crate::stanza::Timestamp;

const NODE: &str = "a.example";

fn at(secs: u64) -> Timestamp {
    Timestamp { millis: (1_700_000_000 + secs) * 1000 }
}

/// A node with its own keys.
struct Someone {
    key: ServerKey,
    words: RecoveryWords,
    card: Card,
}

impl Someone {
    fn new(made: Timestamp, words: [u8; 32]) -> Someone {
        let key = ServerKey::generate(NODE, made).unwrap();
        let words = RecoveryWords::from_random(words);
        let ring = key.ring().unwrap();
        let recovery = *words.signer(&domain(NODE)).unwrap().public().key();
        let card = Card { kid: ring.kid(), fingerprint: ring.fingerprint(), recovery, ..card(NODE) };
        Someone { key, words, card }
    }

    fn signed(&self) -> SignedCard {
        self.sign(&self.card, &[&vote(NODE), &log(NODE), &self.words.signer(&domain(NODE)).unwrap()])
    }

    fn sign(&self, card: &Card, signers: &[&Signer]) -> SignedCard {
        let openpgp = self.key.sign_detached(card.to_text().as_bytes(), at(5)).unwrap();
        SignedCard::make(card.clone(), openpgp, signers, at(5))
    }

    fn pinned(&self) -> Pinned<'_> {
        Pinned { card: &self.card, key_created: self.key.created(), former: &[] }
    }
}

fn judge(signed: &SignedCard, ring: &UserRing, pinned: Option<Pinned<'_>>) -> Result<Succession, CardRefusal> {
    let again = SignedCard::parse(signed.to_text().as_bytes()).unwrap();
    assert_eq!(&again, signed);
    accept(&again, ring, pinned, [].into_iter(), at(10))
}

#[test]
fn a_card_is_accepted_with_all_its_signatures_and_no_other_way() {
    let someone = Someone::new(at(0), [1; 32]);
    let ring = someone.key.ring().unwrap();
    assert_eq!(judge(&someone.signed(), &ring, None), Ok(Succession::First));
    assert_eq!(judge(&someone.signed(), &ring, Some(someone.pinned())), Ok(Succession::Same));

    let recovery = someone.words.signer(&domain(NODE)).unwrap();
    let (vote, log) = (vote(NODE), log(NODE));
    for (signers, refusal) in [
        (vec![&log, &recovery], CardRefusal::NotSignedByVote),
        (vec![&vote, &recovery], CardRefusal::NotSignedByLog),
        (vec![&vote, &log], CardRefusal::NotSignedByRecovery),
    ] {
        assert_eq!(judge(&someone.sign(&someone.card, &signers), &ring, None), Err(refusal));
    }
    // A recovery key that is pinned need not sign again.
    let known = someone.sign(&someone.card, &[&vote, &log]);
    assert_eq!(judge(&known, &ring, Some(someone.pinned())), Ok(Succession::Same));

    let other = Someone::new(at(0), [2; 32]);
    assert_eq!(judge(&someone.signed(), &other.key.ring().unwrap(), None), Err(CardRefusal::OtherKey));
    let unsigned = SignedCard::make(
        someone.card.clone(),
        other.key.sign_detached(b"x", at(5)).unwrap(),
        &[&vote, &log, &recovery],
        at(5),
    );
    assert_eq!(judge(&unsigned, &ring, None), Err(CardRefusal::NotSignedByKey));
    let others = [Card { domain: domain("b.example"), ..someone.card.clone() }];
    let outcome = accept(&someone.signed(), &ring, None, others.iter(), at(10));
    assert_eq!(outcome, Err(CardRefusal::KeyOfAnother));
}

#[test]
fn a_card_of_a_foreign_domain_or_user_id_is_refused() {
    let foreign = ServerKey::generate("b.example", at(0)).unwrap();
    let ring = foreign.ring().unwrap();
    let mut someone = Someone::new(at(0), [1; 32]);
    someone.card = Card { kid: ring.kid(), fingerprint: ring.fingerprint(), ..someone.card };
    someone.key = foreign;
    assert_eq!(judge(&someone.signed(), &ring, None), Err(CardRefusal::Certificate(KeyFault::NoSelfSignature)));
}

#[test]
fn only_the_recovery_key_changes_a_card_by_itself_and_never_back() {
    let before = Someone::new(at(0), [1; 32]);
    let after = Someone::new(at(100), [1; 32]);
    let ring = after.key.ring().unwrap();
    assert_eq!(judge_at(&after.signed(), &ring, before.pinned()), Ok(Succession::Recovered));
    // The same without the pinned recovery key's signature: a person must look.
    let by_itself = after.sign(&after.card, &[&vote(NODE), &log(NODE)]);
    assert_eq!(judge_at(&by_itself, &ring, before.pinned()), Ok(Succession::MustConfirm));
    let strange = Someone::new(at(100), [9; 32]);
    let strange_ring = strange.key.ring().unwrap();
    assert_eq!(judge_at(&strange.signed(), &strange_ring, before.pinned()), Ok(Succession::MustConfirm));

    // The stolen key's card was signed by the recovery key as well, once.
    let old_ring = before.key.ring().unwrap();
    assert_eq!(judge_at(&before.signed(), &old_ring, after.pinned()), Err(CardRefusal::StepBack));
    let former = [after.card.id()];
    let newest = Someone::new(at(50), [1; 32]);
    let pinned = Pinned { former: &former, ..newest.pinned() };
    assert_eq!(judge_at(&after.signed(), &ring, pinned), Err(CardRefusal::StepBack));
}

fn judge_at(signed: &SignedCard, ring: &UserRing, pinned: Pinned<'_>) -> Result<Succession, CardRefusal> {
    accept(signed, ring, Some(pinned), [].into_iter(), at(1000))
}

#[test]
fn every_other_way_to_write_a_card_is_refused() {
    let text = card(NODE).to_text();
    let line = |name: &str| text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_owned() + "\n";
    let swapped = text.replace(&(line("vote") + &line("witness")), &(line("witness") + &line("vote")));
    let upper = text.replace(&line("kid"), &line("kid").to_uppercase().replace("KID", "kid"));
    let of_other = text.replace("domain a.example", "domain b.example");
    for (wrong, error) in [
        (String::new(), CardError::Line("kontalk-card-v1")),
        (text.replace("card-v1", "card-v2"), CardError::Line("kontalk-card-v1")),
        (text.replace('\n', "\r\n"), CardError::Line("kontalk-card-v1")),
        (text.replace("domain a", "domain  a"), CardError::Line("domain")),
        (of_other, CardError::Line("vote")),
        (upper, CardError::NotCanonical),
        (swapped, CardError::Line("vote")),
        (text.replace(&line("log"), ""), CardError::Line("log")),
        (text.replace("/kt/1+", "/kt/01+"), CardError::Line("log")),
        (text.replace("label ristretto255 ", "label ristretto "), CardError::Line("label")),
        (text.replace("recovery ed25519 ", "recovery ed448 "), CardError::Line("recovery")),
        (format!("{text}cut 07\n"), CardError::NotCanonical),
        (format!("{text}cut 7"), CardError::NotCanonical),
        (format!("{text}cut -7\n"), CardError::Line("cut")),
        (format!("{text}cut 7\ncut 8\n"), CardError::NotCanonical),
        (format!("{text}more 1\n"), CardError::NotCanonical),
        (text.trim_end().to_owned(), CardError::Line("recovery")),
    ] {
        assert_eq!(Card::parse(&wrong), Err(error), "{wrong}");
    }
    let cut = Card { cut: Some(7), ..card(NODE) };
    assert_eq!(Card::parse(&cut.to_text()), Ok(cut));
    let twice = Card { recovery: *vote(NODE).public().key(), ..card(NODE) };
    assert_eq!(Card::parse(&twice.to_text()), Err(CardError::KeyTwice));
    let weak = Card { recovery: [0; 32], ..card(NODE) };
    assert_eq!(Card::parse(&weak.to_text()), Err(CardError::Line("recovery")));
    let no_point = Card { label: [0; 32], ..card(NODE) };
    assert_eq!(Card::parse(&no_point.to_text()), Err(CardError::Line("label")));
}

fn reach() -> Reach {
    Reach {
        card: card(NODE).id(),
        seq: 8,
        tls: vec![[1; 32], [2; 32]],
        disco: Some(card(NODE).label),
        s2s: ["203.0.113.7:5269", "[2001:db8::7]:5269", "a.example:5269"].map(|e| Endpoint::parse(e).unwrap()).to_vec(),
        http: vec!["https://a.example".to_owned()],
    }
}

#[test]
fn every_other_way_to_write_a_reach_is_refused() {
    let text = reach().to_text();
    assert!(text.starts_with("kontalk-reach-v1\ncard a3754c86"), "{text}");
    assert_eq!(Reach::parse(&text), Ok(reach()));
    let bare = Reach { disco: None, s2s: Vec::new(), http: Vec::new(), ..reach() };
    assert_eq!(Reach::parse(&bare.to_text()), Ok(bare));
    let tls = text.lines().find(|line| line.starts_with("tls ")).unwrap().to_owned() + "\n";
    for (wrong, error) in [
        (text.replace("seq 8", "seq 0"), CardError::Line("seq")),
        (text.replace("seq 8", "seq 08"), CardError::NotCanonical),
        (text.replace("seq 8", "seq 99999999999999999999"), CardError::Line("seq")),
        (text.replace("card a3", "card A3"), CardError::Line("card")),
        (text.replace(&tls, &tls.repeat(2)), CardError::Line("tls")),
        (text.replace("sha256:", "sha1:"), CardError::Line("tls")),
        (text.replace("203.0.113.7:5269", "203.0.113.7"), CardError::Line("s2s")),
        (text.replace("203.0.113.7:5269", "203.0.113.7:0"), CardError::Line("s2s")),
        (text.replace("203.0.113.7:5269", "203.0.113.7:05269"), CardError::Line("s2s")),
        (text.replace("2001:db8::7", "2001:db8:0::7"), CardError::Line("s2s")),
        (text.replace("s2s a.example", "s2s A.example"), CardError::Line("s2s")),
        (text.replace("https://", "ftp://"), CardError::Line("http")),
        (text.replace("https://a.example", "https://a.example/ x"), CardError::Line("http")),
        (format!("{text}http https://b.example\nhttp https://c.example\n"), CardError::NotCanonical),
    ] {
        assert_eq!(Reach::parse(&wrong), Err(error), "{wrong}");
    }
    let none = Reach { tls: Vec::new(), ..reach() };
    assert_eq!(Reach::parse(&none.to_text()), Err(CardError::Line("tls")));
}

#[test]
fn a_reach_counts_if_the_vote_key_signed_it_and_it_is_newer() {
    let card = card(NODE);
    let signed = SignedReach::make(reach(), &vote(NODE), at(0)).to_text();
    let bytes = signed.as_bytes();
    assert_eq!(SignedReach::accept(bytes, &card, None).unwrap().reach(), &reach());
    assert!(SignedReach::accept(bytes, &card, Some(7)).is_ok());
    assert_eq!(SignedReach::accept(bytes, &card, Some(8)), Err(ReachRefusal::NotNewer { held: 8 }));
    let by_log = SignedReach::make(reach(), &log(NODE), at(0)).to_text();
    assert_eq!(SignedReach::accept(by_log.as_bytes(), &card, None), Err(ReachRefusal::NotSigned));
    let other = super::vectors::card("b.example");
    assert_eq!(SignedReach::accept(bytes, &other, None), Err(ReachRefusal::OtherCard));
    let changed = signed.replace("seq 8", "seq 9");
    assert_eq!(SignedReach::accept(changed.as_bytes(), &card, None), Err(ReachRefusal::NotSigned));
}

#[test]
fn a_note_is_a_text_an_empty_line_and_signatures() {
    let good = SignedReach::make(reach(), &vote(NODE), at(0)).to_text();
    let line = good.lines().last().unwrap().to_owned();
    for (wrong, error) in [
        (String::new(), NoteError::NoSignature),
        (reach().to_text(), NoteError::NoSignature),
        (good.trim_end().to_owned(), NoteError::NoSignature),
        (good.replace("\n\n", "\n"), NoteError::NoSignature),
        (good.replace('—', "-"), NoteError::SignatureMalformed),
        (good.replace("— ", "—"), NoteError::SignatureMalformed),
        (format!("{good}\n"), NoteError::NoSignature),
        (format!("{good}{line} \n"), NoteError::SignatureMalformed),
        (good.replace("seq", "s\teq"), NoteError::NotText),
        (format!("{good}{}", format!("{line}\n").repeat(NOTE_SIGNATURES_MAX)), NoteError::TooLong),
        ("x".repeat(NOTE_BYTES_MAX + 1), NoteError::TooLong),
    ] {
        assert_eq!(Note::parse(wrong.as_bytes()), Err(error), "{wrong}");
    }
    assert_eq!(Note::parse(b"\xFF\n\n"), Err(NoteError::NotText));
    // A good line beside a false one of the same key does not count.
    let note = Note::parse(good.as_bytes()).unwrap();
    let mut false_line = vote(NODE).sign("other text\n", at(0));
    false_line.bytes.truncate(64);
    assert!(note.is_signed_by(vote(NODE).public()));
    assert!(!note.with(false_line).is_signed_by(vote(NODE).public()));
}

#[test]
fn a_node_key_expires_and_is_revoked_like_any() {
    let someone = Someone::new(at(0), [1; 32]);
    let ring = someone.key.ring().unwrap();
    assert_eq!(ring.check_node(NODE, at(10)), Ok(()));
    assert_eq!(ring.check_node("b.example", at(10)), Err(KeyFault::NoSelfSignature));
    let early = Timestamp { millis: at(0).millis - Duration::from_secs(3600).as_millis() as u64 };
    assert_eq!(ring.check_node(NODE, early), Err(KeyFault::CreatedInFuture));
}

#[test]
fn an_introduction_survives_the_mail() {
    let someone = Someone::new(at(0), [1; 32]);
    let own = Reach { card: someone.card.id(), ..reach() };
    let with_reach = Introduction {
        card: someone.signed(),
        certificate: someone.key.ring().unwrap(),
        reach: Some(SignedReach::make(own, &vote(NODE), at(0))),
    };
    let without = Introduction { reach: None, ..with_reach.clone() };
    for introduction in [with_reach, without] {
        let text = introduction.to_string();
        assert_eq!(Introduction::parse(&text).as_ref(), Ok(&introduction), "{text}");
        let mailed = format!("\n{}\n\n", text.replace('\n', "\r\n"));
        assert_eq!(Introduction::parse(&mailed), Ok(introduction));
    }
    assert_eq!(Introduction::parse("hello"), Err(IntroductionError::Form));
}
