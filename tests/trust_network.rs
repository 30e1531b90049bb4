//! Nodes that trust each other, each a process with an address of its own, without authorities and name servers: what is promised of
//! trust by the operator's word, letter by letter. (c), (f), (g) and the parsers of (h) are also shown in `trust` and `fuzz`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/home.rs"]
mod home;
#[path = "support/keys.rs"]
mod keys;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/network.rs"]
mod network;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/person.rs"]
mod person;
#[path = "support/router.rs"]
mod router;
mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use authority::{Authority, Flaw, Issued};
use home::Home;
use kontalk_node::net::spki_sha256;
use kontalk_node::pgp::{ServerKey, UserRing};
use kontalk_node::stanza::Timestamp;
use kontalk_node::trust::{introduction_nonza, reach_nonza, read_known_card, read_node_feature, read_reach};
use kontalk_node::xml::{Element, ns};
use network::{Place, goes_to, within};
use peer::Peer;
use person::Person;
use router::Router;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sequoia_openpgp::types::HashAlgorithm;
use support::body;
use support::client::{Client, Connect};

const A: &str = "a.net.test";
const B: &str = "b.net.test";
const C: &str = "c.net.test";
/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:9";
const MINUTE: Duration = Duration::from_secs(60);

/// Two nodes that trust each other.
fn pair() -> (Place, Place) {
    let (a, b) = (Place::new(A, "", ""), Place::new(B, "", ""));
    a.trusts(&b);
    b.trusts(&a);
    (a, b)
}

fn login(person: &Person) -> Result<Client, String> {
    let mut client = person.with_certificate();
    client.external("")?;
    Ok(client)
}

fn user(place: &Place, name: &str) -> Client {
    place.node.add_account(name);
    Client::online(&place.node, name, "phone")
}

/// What a client is told before its stream ends.
fn last_words(client: &mut Client) -> Element {
    loop {
        let element = client.read_any().expect("the stream's error before its end");
        if element.is("error", ns::STREAM) {
            return element;
        }
    }
}

/// The hash of a certificate's key.
fn key_of(issued: &Issued) -> [u8; 32] {
    spki_sha256(&CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()).unwrap()
}

fn direct(place: &Place) -> SocketAddr {
    (place.address, 5270).into()
}

#[test]
fn a_user_of_a_trusted_node_comes_in_and_is_out_within_five_seconds_of_its_end() {
    let (mut a, b) = (Place::new(A, "", ""), Place::new(B, "", ""));
    let mut anna = Person::new(0, "+393351240001", Connect::to(&a.node));
    anna.register(&mut a.node, false);
    goes_to(&mut anna, &b);
    assert_eq!(login(&anna).err().as_deref(), Some("not-authorized"));
    b.trusts(&a);
    let waiting = anna.online().cut().expect("a session that can be resumed");
    anna.device = "another";
    let mut live = anna.online();

    let begun = Instant::now();
    b.trust(&["revoke", A, "--reason", "test"]);
    let told = last_words(&mut live);
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    assert!(told.child("trust-ended", ns::KONTALK_NET).is_some(), "{told:?}");
    assert_eq!(login(&anna).err().as_deref(), Some("not-authorized"));
    // (g) Certified again after the revocation: he comes in, and what was cut off stays cut off.
    b.trust(&["add", A, "--fingerprint", &a.fingerprint]);
    let mut client = login(&anna).unwrap();
    assert_eq!(client.resume(&waiting), Err("item-not-found".to_owned()));
}

#[test]
fn b_what_is_wrong_with_a_card_or_a_signature_lets_nobody_in() {
    let b = Place::new(B, "", "");
    let home = Home::new(A, 1);
    let add = |domain: &str, home: &Home| {
        let add = ["trust", "add", domain, "--card", "-", "--fingerprint", &home.fingerprint()].map(str::to_owned);
        let add: Vec<&str> = add.iter().map(String::as_str).collect();
        let done = b.node.cli_with_input(&add, &home.introduction(1));
        assert_eq!(done.status.code(), Some(1), "{domain}");
        String::from_utf8(done.stderr).unwrap()
    };
    // The card of another domain, and a key that names another one.
    assert!(add(C, &home).contains("the card is of a.net.test"));
    let mut other = Home::new(A, 1);
    let made = Timestamp::from_system(SystemTime::now() - Duration::from_secs(7200));
    other.key = ServerKey::generate(C, made).unwrap();
    let complaint = add(A, &other);
    assert!(complaint.contains("does not sign its user id"), "{complaint}");

    b.add(A, &home.introduction(1), &home.fingerprint());
    let anna = home.user(0, "+393351240002", Connect::to(&b.node));
    let now = Timestamp::from_system(SystemTime::now());
    let ring = UserRing::parse(&anna.ring).unwrap();
    let address = home.address(&anna.number);
    let taken_back = home.key.revoke_certification(&ring, &address, now).unwrap().to_bytes();
    let own = anna.key.public_ring();
    let created = SystemTime::now() - Duration::from_secs(3600);
    let recipe = keys::Recipe { hash: HashAlgorithm::SHA1, ..keys::Recipe::new(&format!("Anna <{address}>"), created) };
    let weak = keys::ClientKey::cook(1, recipe);
    let weak =
        Person { ring: weak.public_ring(), key: weak, number: anna.number.clone(), how: anna.how.clone(), ..anna };
    assert_eq!(login(&weak).err().as_deref(), Some("not-authorized"));
    b.node.log_says("may not visit: check 2");
    for (ring, admitted) in [(own, false), (anna.ring.clone(), true), (taken_back, false)] {
        let bridge = anna.key.bridge_certificate(&ring);
        assert_eq!(anna.with(bridge).external("").is_ok(), admitted);
    }
    b.node.log_says("may not visit: check 7");
}

#[test]
fn d_a_good_certificate_does_not_stand_in_for_the_key_of_a_carded_domain() {
    let authority = Authority::new();
    let files = vec![("ca.pem".to_owned(), authority.pem.clone())];
    let b = Place::with(B, "ca_file = \"ca.pem\"\ndialback = true\n", "", files);
    let (theirs, thief, later) =
        (authority.issue(A, Flaw::SelfSigned), authority.issue(A, Flaw::None), authority.issue(A, Flaw::SelfSigned));
    // As long as there is no card the authority's word counts.
    drop(Peer::dial(direct(&b), &thief, A, B));
    let mut home = Home::new(A, 1);
    (home.tls, home.address) = (key_of(&theirs), NOWHERE);
    b.add(A, &home.introduction(3), &home.fingerprint());

    let (mut impostor, features) = Peer::knock(direct(&b), &thief, A, B);
    assert_eq!(read_node_feature(&features).map(|(seq, _)| seq), Some(3), "it shows which reach it has");
    assert!(features.child("dialback", ns::DIALBACK_FEATURE).is_none());
    // Neither by nothing, nor by a reach that is known already.
    impostor.send(&reach_nonza(&home.reach(3).to_text()).to_text(ns::SERVER));
    impostor.next().expect("an answer");
    impostor.send(&format!("<bidi xmlns='{}'/><auth xmlns='{}' mechanism='EXTERNAL'>=</auth>", ns::BIDI, ns::SASL));
    let refused = impostor.next().expect("an error");
    assert!(refused.child("policy-violation", ns::STREAM_ERRORS).is_some(), "{refused:?}");

    // The node itself comes in, both ways or not at all.
    let (mut node, _) = Peer::knock(direct(&b), &theirs, A, B);
    node.send(&format!("<bidi xmlns='{}'/>", ns::BIDI));
    node.authenticate(B);
    node.send("<enable xmlns='urn:xmpp:sm:3'/>");
    b.node.log_says("stream from a.net.test (by pinned key");
    let (mut half, _) = Peer::knock(direct(&b), &theirs, A, B);
    half.send(&format!("<auth xmlns='{}' mechanism='EXTERNAL'>=</auth>", ns::SASL));
    assert!(half.next().expect("an answer").child("mechanism-too-weak", ns::SASL).is_some());

    // With another key it shows a newer reach first.
    home.tls = key_of(&later);
    let (mut node, _) = Peer::knock(direct(&b), &later, A, B);
    node.send(&reach_nonza(&home.reach(4).to_text()).to_text(ns::SERVER));
    let (own, accepted) = read_reach(&node.next().expect("an answer")).expect("its reach");
    assert_eq!((accepted, String::from_utf8(own).unwrap().contains("kontalk-reach-v1")), (Some(true), true));
    node.send(&format!("<bidi xmlns='{}'/>", ns::BIDI));
    node.authenticate(B);
    assert_eq!(b.knows_reach(A), Some(4));
}

#[test]
fn a_recovered_node_shows_its_new_card_itself_and_a_thief_cannot() {
    let authority = Authority::new();
    let b = Place::new(B, "", "");
    let [first, second, third] = [(); 3].map(|()| authority.issue(A, Flaw::SelfSigned));
    let mut home = Home::new(A, 1);
    (home.tls, home.address) = (key_of(&first), NOWHERE);
    let old_card = home.card().id();
    b.add(A, &home.introduction(7), &home.fingerprint());

    // Another card that the recovery key has not signed.
    let mut thief = Home::new(A, 2);
    (thief.tls, thief.address) = (key_of(&third), NOWHERE);
    let (mut peer, features) = Peer::knock(direct(&b), &third, A, B);
    assert_eq!(read_known_card(&features), Some(old_card));
    peer.send(&introduction_nonza(&thief.introduction(8)).to_text(ns::SERVER));
    assert_eq!(read_reach(&peer.next().expect("an answer")).expect("its reach").1, Some(false));
    peer.send(&format!("<bidi xmlns='{}'/><auth xmlns='{}' mechanism='EXTERNAL'>=</auth>", ns::BIDI, ns::SASL));
    let refused = peer.next().expect("an error");
    assert!(refused.child("policy-violation", ns::STREAM_ERRORS).is_some(), "{refused:?}");

    let mut home = home.recovered();
    home.tls = key_of(&second);
    let (mut peer, _) = Peer::knock(direct(&b), &second, A, B);
    peer.send(&introduction_nonza(&home.introduction(1)).to_text(ns::SERVER));
    assert_eq!(read_reach(&peer.next().expect("an answer")).expect("its reach").1, Some(true));
    peer.send(&format!("<bidi xmlns='{}'/>", ns::BIDI));
    peer.authenticate(B);
    let shown = b.trust(&["show", A]);
    assert!(shown.contains("TRUSTED") && shown.contains(&home.card().id().to_string()), "{shown}");
    assert_eq!(b.knows_reach(A), Some(1));
}

#[test]
fn e_a_node_whose_address_changes_is_back_within_a_minute_without_dns() {
    let (mut a, b) = pair();
    let c = Place::new(C, "", "");
    for (one, other) in [(&b, &c), (&c, &b)] {
        one.trusts(other);
    }
    // C knows A, which does not know C: news of A comes to it by way of B.
    c.trusts(&a);
    let (mut anna, mut bruno) = (user(&a, "anna"), user(&b, "bruno"));
    let words = body("before");
    bruno.say(&anna.bare(), &words);
    anna.expect_body(&words);
    b.node.log_says("a.net.test (by pinned key");
    anna.close();

    a.node.sigterm();
    a.move_away();
    let before = b.node.lines();
    a.node.start_again();
    let begun = Instant::now();
    a.node.log_says("made reach 2");
    b.node.log_says_since(before, "trust: a.net.test says with reach 2 where it is now");
    b.node.log_says_since(before, "a.net.test (by pinned key");
    assert!(begun.elapsed() < MINUTE, "it took {:?}", begun.elapsed());
    let mut anna = Client::online(&a.node, "anna", "phone");
    let words = body("after");
    bruno.say(&anna.bare(), &words);
    anna.expect_body(&words);
    within(MINUTE, "the third node knows", || c.knows_reach(A) == Some(2));
    c.node.log_says("trust: a.net.test says with reach 2");
}

#[test]
fn e_a_node_behind_a_router_whose_address_changes_is_back_within_a_minute() {
    let b = Place::new(B, "", "");
    // Nobody can dial A, and A reaches B by way of its router.
    let router = Router::new((b.address, 5269).into());
    let hosts = format!("hosts = [\"{B}={}:5269\"]\n", router.address);
    let a = Place::new(A, &hosts, &format!("addresses = [\"{NOWHERE}\"]\n"));
    b.trusts(&a);
    a.trusts(&b);
    let (mut anna, mut bruno) = (user(&a, "anna"), user(&b, "bruno"));
    let words = body("before");
    bruno.say(&anna.bare(), &words);
    anna.expect_body(&words);
    bruno.wait_acked();

    // From now on what goes over the old connections gets nowhere, and nobody is told.
    router.new_address();
    let begun = Instant::now();
    let words = body("after");
    bruno.say(&anna.bare(), &words);
    anna.set_patience(MINUTE);
    anna.expect_body(&words);
    assert!(begun.elapsed() < MINUTE, "it took {:?}", begun.elapsed());
    println!("the link was back after {:?}", begun.elapsed());
}

#[test]
fn streams_are_judged_again_when_trust_ends_and_when_it_begins() {
    let (a, b) = pair();
    let (mut anna, mut bruno) = (user(&a, "anna"), user(&b, "bruno"));
    let say = |from: &mut Client, to: &mut Client, what: &str| {
        let words = body(what);
        from.say(&to.bare(), &words);
        to.expect_body(&words);
        // What was confirmed is not sent again when the stream ends.
        from.wait_acked();
    };
    say(&mut bruno, &mut anna, "as nodes");
    let before = b.node.lines();
    b.trust(&["revoke", A]);
    a.node.log_says("with b.net.test ended: it ended the stream: reset");
    // A server as any other, which its key still proves.
    say(&mut bruno, &mut anna, "as foreign servers");
    b.node.log_says_since(before, "a.net.test (by certificate");
    let before = b.node.lines();
    b.trust(&["add", A, "--fingerprint", &a.fingerprint]);
    b.node.log_says_since(before, "a.net.test (by pinned key");
    say(&mut anna, &mut bruno, "as nodes again");
}

#[test]
fn who_is_denied_reaches_his_contacts_here_and_nobody_else() {
    for (banned, to_friend, to_stranger) in
        [("quarantine", true, false), ("allow", true, true), ("block", false, false)]
    {
        let a = Place::new(A, "", "");
        let b = Place::new(B, "", &format!("banned_s2s = \"{banned}\"\n"));
        a.trusts(&b);
        b.trusts(&a);
        let (mut anna, mut friend, mut stranger) = (user(&a, "anna"), user(&b, "friend"), user(&b, "stranger"));
        friend.befriend(&mut anna);
        b.trust(&["deny", A]);
        for (client, arrives) in [(&mut friend, to_friend), (&mut stranger, to_stranger)] {
            let words = body(format!("{banned} to {}", client.bare()));
            let id = anna.next_id();
            anna.send(&format!("<message type='chat' id='{id}' to='{}'><body>{words}</body></message>", client.bare()));
            if arrives {
                client.expect_body(&words);
            } else if banned == "quarantine" {
                anna.expect("an error", |el| el.attribute("type") == Some("error") && el.attribute("id") == Some(&id));
            }
        }
        if banned == "block" {
            a.node.log_says("no stream to b.net.test: its server: it ended the stream: policy-violation");
            let id = friend.next_id();
            friend.send(&format!("<message type='chat' id='{id}' to='{}'><body>x</body></message>", anna.bare()));
            friend.expect("an error", |el| el.attribute("type") == Some("error") && el.attribute("id") == Some(&id));
        }
    }
}

#[test]
fn i_a_peer_that_speaks_for_another_domain_is_cut_off() {
    let authority = Authority::new();
    let b = Place::new(B, "", "");
    let mut bruno = user(&b, "bruno");
    let issued = authority.issue(A, Flaw::SelfSigned);
    let mut home = Home::new(A, 1);
    (home.tls, home.address) = (key_of(&issued), NOWHERE);
    b.add(A, &home.introduction(1), &home.fingerprint());
    let (mut node, _) = Peer::knock(direct(&b), &issued, A, B);
    node.send(&format!("<bidi xmlns='{}'/>", ns::BIDI));
    node.authenticate(B);
    let (words, lie) = (body("its own"), body("another's"));
    let message = |from: &str, words: &str| {
        format!("<message from='{from}' to='{}' type='chat' id='m'><body>{words}</body></message>", bruno_address())
    };
    node.send(&message("x@a.net.test", &words));
    bruno.expect_body(&words);
    node.send(&message("x@c.net.test", &lie));
    loop {
        let element = node.next().expect("an error");
        if element.is("error", ns::STREAM) {
            assert!(element.child("invalid-from", ns::STREAM_ERRORS).is_some(), "{element:?}");
            break;
        }
    }
    b.node.log_says("with a.net.test ended");
    assert!(bruno.take_inbox().iter().all(|element| element.child("body", ns::CLIENT).is_none()));
}

fn bruno_address() -> String {
    format!("bruno@{B}")
}
