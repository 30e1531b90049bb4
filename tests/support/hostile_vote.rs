//! Hostile objects of the network of nodes: texts with their signatures, stanzas that carry them, invitations, journals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use kontalk_node::limits::STANZA_DEPTH_MAX;
use kontalk_node::pgp::{Fingerprint, ServerKey};
use kontalk_node::trust::{Card, Endpoint, SignedCard, Signer};
use kontalk_node::vote::{
    Ballot, Bundle, CHARTER, CertifiedEpoch, Chain, Charter, Choice, Consent, Contact, Decision, DoubleVote, EpochId,
    Genesis, Invite, JournalWriter, Kind, Line, Moved, NetworkId, OBJECT_BYTES_MAX, Object, ObjectKind, Objects, PROTO,
    Phase, Pool, Proposal, Propose, ProvedCard, Request, Role, Said, SignedConsent, SignedProposal, SignedRequest,
    State, Sync, SyncAnswer, Token, Vote, precommit, push_element, read_epochs, read_push, read_votes,
};
use kontalk_node::xml::{Element, ns, parse_document};

use crate::spoil::Random;

/// The first line names the kind, the rest is the object: there is one way to write it.
pub fn object(_: &mut Random, input: &[u8]) -> bool {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return false };
    let kind = std::str::from_utf8(&input[..end]).ok().and_then(ObjectKind::parse);
    let (Some(kind), bytes) = (kind, &input[end + 1..]) else { return false };
    let Ok(object) = Object::parse(kind, bytes) else { return false };
    assert!(bytes.len() <= OBJECT_BYTES_MAX);
    let written = object.to_bytes();
    if kind == ObjectKind::Card {
        // A card comes with its certificate in armor, which people may have mailed.
        assert_eq!(Object::parse(kind, &written).as_ref(), Ok(&object));
    } else {
        assert_eq!(written, bytes, "one object in two forms");
    }
    assert!(!object.prefixes().is_empty());
    true
}

/// Texts and links that people hand over.
pub fn invite(_: &mut Random, input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    if let Ok(invite) = Invite::parse(text) {
        assert_eq!(invite.to_string(), text);
        assert!((1..=3).contains(&invite.contacts.len()) && invite.sponsor().is_some());
        return true;
    }
    if let Ok(request) = SignedRequest::parse(input) {
        assert_eq!(request.to_text(), text);
        return true;
    }
    let moved = Moved::parse(text);
    moved.map(|moved| assert_eq!(moved.to_text(), text)).is_ok()
}

/// Whatever is read of a journal is what its good bytes are made of.
pub fn journal(_: &mut Random, input: &[u8]) -> bool {
    if let Ok(read) = read_votes(input, NETWORK) {
        let (mut writer, mut file) = JournalWriter::votes(NETWORK);
        read.entries.iter().for_each(|said| file.push_str(&writer.said(said).expect("it was read")));
        assert_eq!(file.as_bytes(), &input[..read.good_bytes]);
        assert_eq!(writer, read.writer);
        return true;
    }
    read_epochs(input, NETWORK).is_ok_and(|read| read.good_bytes <= input.len())
}

/// Stanzas between nodes: what is read and written again reads the same.
pub fn gossip(_: &mut Random, input: &[u8]) -> bool {
    let Some(element) = element(input) else { return false };
    if let Ok(sync) = Sync::read(&element) {
        assert_eq!(Sync::read(&sync.to_element()), Ok(sync));
        return true;
    }
    if let Ok(answer) = SyncAnswer::read(&element) {
        let again = SyncAnswer::read(&answer.to_element()).expect("our own answer");
        assert_eq!((&again.objects.read, &again.want), (&answer.objects.read, &answer.want));
        return true;
    }
    let Ok(objects) = read_push(&element) else { return false };
    assert_eq!(read_push(&push_element(&objects.read)), Ok(Objects { malformed: 0, ..objects }));
    true
}

fn element(input: &[u8]) -> Option<Element> {
    parse_document(std::str::from_utf8(input).ok()?, ns::CLIENT, STANZA_DEPTH_MAX).ok()
}

/// The corpus: folder, file, text.
pub fn samples(
    server: &ServerKey,
    card: &Card,
    signed: SignedCard,
    vote: &Signer,
) -> Vec<(&'static str, &'static str, String)> {
    let domain = card.domain.clone();
    let proved = ProvedCard::check(signed, server.ring().expect("a ring")).expect("a card");
    let charter = Charter::parse("Be kind.\nSei gentile.\n".as_bytes()).expect("a charter");
    let param = |name: &str, value: String| Line::Param { name: name.to_owned(), value };
    let member = Line::Member { domain: domain.clone(), role: Role::Voter, card: card.id(), sponsor: None };
    let lines = [member, param(PROTO, "1".to_owned()), param(CHARTER, charter.hash().to_string())];
    let state = State::new(lines).expect("a state");
    let genesis = Genesis {
        name: "test-net".to_owned(),
        nonce: [7; 16],
        continues: Some((NetworkId([3; 32]), 41)),
        state: state.hash(),
    };
    let first = CertifiedEpoch::found(genesis, &[vote]);
    let founding = Bundle::of_first(first, state.clone(), [proved]);
    let chain = founding.begin().expect("a chain");
    let (decision, bundle) = decide(&chain, vote);
    let said = |byte: u8| {
        let value = Some(EpochId([byte; 32]));
        Vote { network: chain.network(), epoch: 2, round: 0, phase: Phase::Prevote, value }
    };
    let line_of = |said: Vote| match Object::vote(said, vote) {
        Object::Vote(said, lines) => (said, lines[0].clone()),
        _ => unreachable!("a vote is a vote"),
    };
    let proof =
        DoubleVote::new(domain.clone(), vote.public().clone(), line_of(said(1)), line_of(said(2))).expect("a proof");
    let propose = Propose { network: chain.network(), epoch: 2, round: 3, value: decision.id(), valid_round: Some(1) };
    let consent = Consent { network: chain.network(), charter: charter.hash(), by: domain.clone() };
    let mut objects = founding.objects();
    objects.extend(bundle.objects());
    objects.extend([
        Object::Value(decision),
        Object::vote(said(1), vote),
        Object::vote(Vote { value: None, phase: Phase::Precommit, ..said(1) }, vote),
        Object::propose(propose, vote),
        Object::Evidence(proof),
        Object::Consent(SignedConsent::make(consent, vote)),
        Object::Charter(charter),
    ]);
    let names = [
        "genesis",
        "state",
        "card",
        "epoch",
        "proposal",
        "ballot",
        "value",
        "vote",
        "precommit-nil",
        "propose",
        "evidence",
        "consent",
        "charter",
    ];
    assert_eq!(names.len(), objects.len());
    let text = |object: &Object| String::from_utf8(object.to_bytes()).expect("all are texts");
    let of_kind = |object: &Object| format!("{}\n{}", object.kind().as_str(), text(object));
    let mut files: Vec<_> =
        names.iter().zip(&objects).map(|(name, object)| ("object", *name, of_kind(object))).collect();
    let prefixes = objects.iter().flat_map(Object::prefixes).collect();
    let sync = Sync { network: chain.network(), number: 1, head: chain.head(), have: prefixes };
    let answer = SyncAnswer {
        number: 2,
        head: Some(chain.head()),
        objects: Objects { read: bundle.objects(), malformed: 0 },
        want: sync.have.clone(),
    };
    let xml = |element: Element| element.to_text(ns::CLIENT);
    let (mut writer, mut votes) = JournalWriter::votes(NETWORK);
    let ours = Vote { network: NETWORK, ..said(1) };
    for said in [
        Said::Vote(ours),
        Said::Vote(Vote { value: None, ..ours }),
        Said::Propose(Propose { network: NETWORK, ..propose }),
    ] {
        votes.push_str(&writer.said(&said).expect("a line"));
    }
    let (mut writer, mut epochs) = JournalWriter::epochs(NETWORK);
    [&founding, &bundle].into_iter().for_each(|bundle| epochs.push_str(&writer.decided(bundle).expect("a line")));
    files.extend([
        ("gossip", "sync", xml(sync.to_element())),
        ("gossip", "answer", xml(answer.to_element())),
        ("gossip", "push", xml(push_element(&objects[7..10]))),
        ("journal", "votes", votes),
        ("journal", "epochs", epochs),
    ]);
    files.extend(by_hand(card, vote, &chain));
    files
}

/// What people hand over.
fn by_hand(card: &Card, vote: &Signer, chain: &Chain) -> Vec<(&'static str, &'static str, String)> {
    let token = Token { network: chain.network(), invited: card.domain.clone(), nonce: [7; 8] };
    let contact =
        |at: &str| Contact { domain: card.domain.clone(), card: card.id(), at: Endpoint::parse(at).expect("one") };
    let invite = Invite {
        signature: token.sign(vote),
        number: 17,
        epoch: chain.head(),
        contacts: ["203.0.113.7:5269", "[2001:db8::7]:5269", "node.a.example:5269"].map(contact).to_vec(),
        token,
    };
    let request = Request {
        network: chain.network(),
        domain: card.domain.clone(),
        card: card.id(),
        token: Some((invite.token.nonce, invite.signature.clone())),
        words: "Carla, from the choir".to_owned(),
    };
    let account = "4bdd4f929f3a1062253e4e496bafba0bdfb5db75";
    let moved = Moved {
        from: format!("{account}@a.example").parse().expect("an address"),
        to: format!("{account}@c.example").parse().expect("an address"),
        key: Fingerprint([0xAB; 20]),
    };
    vec![
        ("invite", "link", invite.to_string()),
        ("invite", "request", SignedRequest::make(request.clone(), vote).to_text()),
        ("invite", "uninvited", SignedRequest::make(Request { token: None, ..request }, vote).to_text()),
        ("invite", "moved", moved.to_text()),
    ]
}

/// One decision of a network of one.
fn decide(chain: &Chain, vote: &Signer) -> (Decision, Bundle) {
    let domain = chain.electorate()[0].domain.clone();
    let proposal = Proposal {
        network: chain.network(),
        kind: Kind::SetParam,
        was: None,
        now: Some(Line::Param { name: "colour".to_owned(), value: "green".to_owned() }),
        opened: 0,
        nonce: [5; 8],
        evidence: Default::default(),
        by: domain,
        reason: "because it is".to_owned(),
    };
    let signed = SignedProposal::make(proposal, vote).expect("a proposal");
    let mut pool = Pool::default();
    pool.take_proposal(chain, signed.clone(), false).expect("it may be made");
    let ballot = Ballot { network: chain.network(), proposal: signed.id(), choice: Choice::Yes };
    if let Object::Ballot(ballot, lines) = Object::ballot(ballot, vote) {
        pool.take_ballot(chain, ballot, lines[0].clone()).expect("a ballot");
    }
    let decision = chain.draft(pool.approved(chain), &pool).expect("it is approved");
    let Object::Vote(_, lines) = Object::vote(precommit(&decision, 0), vote) else { unreachable!("a vote is a vote") };
    let certified = CertifiedEpoch::Decision { decision: decision.clone(), round: 0, lines };
    let bundle = Bundle::of(chain, certified, &pool).expect("all texts are there");
    (decision, bundle)
}

/// Of the journals in the corpus.
const NETWORK: NetworkId = NetworkId([1; 32]);
