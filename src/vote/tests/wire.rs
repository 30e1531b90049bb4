//! What goes over the wire and to the disk: objects, stanzas, bundles.

use super::*;
use crate::pgp::ServerKey;
use crate::trust::SignedCard;
use crate::xml::{Element, ns};

const NAMES: [&str; 3] = ["a.example", "b.example", "c.example"];

fn at(secs: u64) -> Timestamp {
    Timestamp { millis: (1_700_000_000 + secs) * 1000 }
}

/// A card that a real OpenPGP key has signed.
fn real(name: &str) -> ProvedCard {
    let key = ServerKey::generate(name, at(0)).unwrap();
    let ring = key.ring().unwrap();
    let card = Card { kid: ring.kid(), fingerprint: ring.fingerprint(), ..keys(name).card() };
    let openpgp = key.sign_detached(card.to_text().as_bytes(), at(5)).unwrap();
    let (vote, log, recovery) = (keys(name).vote(), keys(name).log(), keys(name).recovery());
    let signed = SignedCard::make(card, openpgp, &[&vote, &log, &recovery], at(5));
    assert!(ProvedCard::check(signed.clone(), ServerKey::generate(name, at(1)).unwrap().ring().unwrap()).is_none());
    ProvedCard::check(signed, ring).unwrap()
}

/// A network of one that admits two others, as bundles.
fn bundles() -> (Vec<Bundle>, Chain) {
    let cards: Vec<ProvedCard> = NAMES.iter().map(|name| real(name)).collect();
    let line = |at: usize, sponsor: Option<&str>| Line::Member {
        domain: domain(NAMES[at]),
        role: Role::Voter,
        card: cards[at].id(),
        sponsor: sponsor.map(domain),
    };
    let charter = Charter::parse(b"be kind\n").unwrap().hash();
    let state = State::new([line(0, None), param(PROTO, "1"), param(CHARTER, &charter.to_string())]).unwrap();
    let genesis = Genesis { name: "n".to_owned(), nonce: [1; 16], continues: None, state: state.hash() };
    let first = CertifiedEpoch::found(genesis, &[&keys(NAMES[0]).vote()]);
    let mut bundles = vec![Bundle::of_first(first, state, [cards[0].clone()])];
    let mut chain = bundles[0].begin().unwrap();
    for new in 1..3 {
        let proposal = Proposal {
            network: chain.network(),
            kind: Kind::Admit,
            was: None,
            now: Some(line(new, Some(NAMES[0]))),
            opened: chain.number(),
            nonce: [new as u8; 8],
            evidence: Default::default(),
            by: domain(NAMES[0]),
            reason: "met".to_owned(),
        };
        let mut pool = Pool::default();
        let signed = SignedProposal::make(proposal, &keys(NAMES[0]).vote()).unwrap();
        let id = signed.id();
        pool.take_proposal(&chain, signed, false).unwrap();
        pool.take_card(&chain, cards[new].clone()).unwrap();
        let consent = Consent { network: chain.network(), charter, by: domain(NAMES[new]) };
        pool.take_consent(&chain, SignedConsent::make(consent, &keys(NAMES[new]).vote())).unwrap();
        let ballot = Ballot { network: chain.network(), proposal: id, choice: Choice::Yes };
        let voters = &NAMES[..new];
        for name in voters {
            let Object::Ballot(ballot, lines) = Object::ballot(ballot, &keys(name).vote()) else { panic!() };
            pool.take_ballot(&chain, ballot, lines[0].clone()).unwrap();
        }
        let decision = chain.draft(pool.approved(&chain), &pool).unwrap();
        let text = precommit(&decision, 0).to_text();
        let lines = voters.iter().map(|name| crate::vote::text::sign(&keys(name).vote(), &text)).collect();
        let bundle = Bundle::of(&chain, CertifiedEpoch::Decision { decision, round: 0, lines }, &pool).unwrap();
        chain = bundle.follow(&chain).unwrap();
        bundles.push(bundle);
    }
    (bundles, chain)
}

#[test]
fn a_chain_is_rebuilt_from_its_journal_and_from_what_a_peer_sends() {
    let (bundles, chain) = bundles();
    let (mut writer, mut file) = JournalWriter::epochs(chain.network());
    for bundle in &bundles {
        file.push_str(&writer.decided(bundle).unwrap());
    }
    let read = read_epochs(file.as_bytes(), chain.network()).unwrap();
    assert_eq!(read.good_bytes, file.len());
    let follow = |bundles: &[Bundle]| {
        let first = bundles[0].begin().unwrap();
        bundles[1..].iter().fold(first, |chain, bundle| bundle.follow(&chain).unwrap())
    };
    assert_eq!(follow(&read.entries).head(), chain.head());

    // As answers to a sync, one stanza an epoch.
    let received: Vec<Bundle> = bundles
        .iter()
        .map(|bundle| {
            let objects = Objects { read: bundle.objects(), malformed: 0 };
            let answer = SyncAnswer { number: 2, head: Some(chain.head()), objects, want: Default::default() };
            let again = SyncAnswer::read(&answer.to_element()).unwrap();
            assert_eq!(again, answer);
            let mut bundle = Bundle::default();
            again.objects.read.into_iter().for_each(|object| bundle.add(object));
            bundle
        })
        .collect();
    assert_eq!(follow(&received).state(), chain.state());
    // Without a card it is asked for, and nothing is taken.
    let mut less = Bundle::default();
    bundles[1].objects().into_iter().filter(|o| o.kind() != ObjectKind::Card).for_each(|object| less.add(object));
    let first = bundles[0].begin().unwrap();
    assert!(
        matches!(less.follow(&first), Err(Fault::Missing(wants)) if wants.iter().all(|w| matches!(w, Want::Card(_))))
    );
}

#[test]
fn every_object_reads_back_and_has_its_names() {
    let (bundles, chain) = bundles();
    let vote = Vote { network: chain.network(), epoch: 3, round: 0, phase: Phase::Prevote, value: None };
    let propose =
        Propose { network: chain.network(), epoch: 3, round: 1, value: EpochId([1; 32]), valid_round: Some(0) };
    let key = keys(NAMES[1]).vote();
    let mut objects: Vec<Object> = bundles.iter().flat_map(Bundle::objects).collect();
    objects.extend([
        Object::vote(vote, &key),
        Object::propose(propose, &key),
        Object::Charter(Charter::parse(b"be kind\n").unwrap()),
    ]);
    let mut names = std::collections::BTreeSet::new();
    for object in &objects {
        let bytes = object.to_bytes();
        assert_eq!(Object::parse(object.kind(), &bytes).as_ref(), Ok(object), "{}", object.kind().as_str());
        assert_eq!(ObjectKind::parse(object.kind().as_str()), Some(object.kind()));
        for name in object.prefixes() {
            assert!(names.insert(name), "two objects of one name: {object:?}");
        }
        for other in ObjectKind::ALL.into_iter().filter(|kind| *kind != object.kind()) {
            // A text of one kind is none of another; a charter is any text.
            assert!(Object::parse(other, &bytes).is_err() || other == ObjectKind::Charter, "{other:?}: {object:?}");
        }
    }
    let push = push_element(&objects);
    assert_eq!(read_push(&push), Ok(Objects { read: objects, malformed: 0 }));
    assert_eq!(Object::parse(ObjectKind::Charter, &[b'x'; OBJECT_BYTES_MAX + 1]), Err(TextError::TooLong.into()));
}

#[test]
fn a_sync_reads_back_and_its_limits_hold() {
    let have = |count: u64| (0..count).map(u64::to_be_bytes).collect();
    let sync = Sync { network: NetworkId([1; 32]), number: 17, head: EpochId([2; 32]), have: have(9) };
    assert_eq!(Sync::read(&sync.to_element()), Ok(sync.clone()));
    let none = Sync { have: Default::default(), ..sync.clone() };
    assert_eq!(Sync::read(&none.to_element()), Ok(none));
    let most = Sync { have: have(HAVE_MAX as u64 + 1), ..sync.clone() };
    assert_eq!(Sync::read(&most.to_element()).unwrap().have.len(), HAVE_MAX);
    let wrong = |change: &dyn Fn(&mut Element)| {
        let mut element = sync.to_element();
        change(&mut element);
        assert_eq!(Sync::read(&element), Err(GossipError), "{element:?}");
    };
    wrong(&|element| element.remove_attribute("head"));
    wrong(&|element| element.set_attribute("epoch", "-1"));
    wrong(&|element| element.set_attribute("network", "9DF4"));
    for text in ["AAAA", "!", &"A".repeat(HAVE_MAX * 8 * 2)] {
        wrong(&|element| {
            element.retain_children(|_| false);
            element.push(Element::new("have", ns::KONTALK_VOTE).with_text(text));
        });
    }
    // Kinds that are not known are passed over, what is malformed is counted, and there is a most.
    let o = |kind: &str, text: &str| Element::new("o", ns::KONTALK_VOTE).with("t", kind.to_owned()).with_text(text);
    let push =
        push_element(&[]).with_child(o("later", "AAAA")).with_child(o("vote", "!")).with_child(o("vote", "AAAA"));
    assert_eq!(read_push(&push), Ok(Objects { read: Vec::new(), malformed: 2 }));
    let full = (0..=OBJECTS_PER_STANZA_MAX).fold(push_element(&[]), |push, _| push.with_child(o("vote", "AAAA")));
    assert_eq!(read_push(&full), Err(GossipError));
    assert_eq!(read_push(&sync.to_element()), Err(GossipError));
}

#[test]
fn what_is_told_is_cut_into_stanzas() {
    let key = keys(NAMES[0]).vote();
    let vote = |round| {
        let network = NetworkId([1; 32]);
        Object::vote(Vote { network, epoch: 1, round, phase: Phase::Prevote, value: None }, &key)
    };
    let many: Vec<Object> = (0..600).map(vote).collect();
    let cut = batches(many.clone());
    assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 88]);
    assert_eq!(cut.concat(), many);
    let text =
        |byte: &str| Object::Charter(Charter::parse((byte.repeat(CHARTER_BYTES_MAX - 1) + "\n").as_bytes()).unwrap());
    let long = ["a", "b", "c", "d", "e"].map(text).to_vec();
    assert_eq!(batches(long).iter().map(Vec::len).collect::<Vec<_>>(), [4, 1]);
    assert!(push_element(&cut[0]).to_text(ns::CLIENT).len() < crate::limits::STANZA_BYTES_MAX);
}

#[test]
fn only_voters_votes_on_the_next_epoch_are_kept() {
    let (_, chain) = bundles();
    let vote = Vote { network: chain.network(), epoch: 3, round: 0, phase: Phase::Prevote, value: None };
    let judge = |vote: Vote, key: &str| {
        let Object::Vote(_, lines) = Object::vote(vote, &keys(key).vote()) else { panic!() };
        judge_vote(&chain, 5, &vote, &lines[0])
    };
    assert_eq!(judge(vote, NAMES[2]), Ok(domain(NAMES[2])));
    assert_eq!(judge(Vote { round: 105, ..vote }, NAMES[2]), Ok(domain(NAMES[2])));
    assert_eq!(judge(Vote { round: 106, ..vote }, NAMES[2]), Err(Refusal::NotNeeded));
    assert_eq!(judge(Vote { epoch: 2, ..vote }, NAMES[2]), Err(Refusal::Objection(Objection::Number)));
    assert_eq!(judge(Vote { epoch: 4, ..vote }, NAMES[2]), Err(Refusal::Objection(Objection::Number)));
    assert_eq!(judge(vote, "x.example"), Err(Refusal::NotSigned));
    let foreign = Vote { network: NetworkId([9; 32]), ..vote };
    assert_eq!(judge(foreign, NAMES[2]), Err(Refusal::Objection(Objection::OtherNetwork)));
    let propose = Propose { network: chain.network(), epoch: 3, round: 0, value: EpochId([1; 32]), valid_round: None };
    let Object::Propose(_, line) = Object::propose(propose, &keys(NAMES[0]).vote()) else { panic!() };
    assert_eq!(judge_propose(&chain, 0, &propose, &line), Ok(domain(NAMES[0])));
    assert_eq!(judge_propose(&chain, 0, &Propose { round: 1, ..propose }, &line), Err(Refusal::NotSigned));
}
