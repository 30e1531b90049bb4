//! First launch of the Kontalk app against a real node, as Kontalk's protocol tells it: form, number, code, certified key, new
//! bridge certificate, login, roster, messages; and everything that must be refused on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/person.rs"]
mod person;
mod support;

use std::time::{Duration, SystemTime};

use keys::ClientKey;
use kontalk_node::xml::ns;
use person::Person;
use support::body;
use support::client::{Connect, TlsVersion, authorities_were_named};
use support::node::{DOMAIN, Node, NodeOptions};
use support::registration::{Number, field, field_element};
use support::sasl2::BIND;
use support::stanzas::{body_of, refusal};

fn node() -> Node {
    Node::start(NodeOptions::default())
}

/// Refused for good: the app counts both conditions as one, and no other.
fn assert_refused_for_good(outcome: Result<(), String>) {
    let condition = outcome.expect_err("this login must be refused");
    assert!(matches!(condition.as_str(), "not-authorized" | "invalid-authzid"), "{condition}");
}

#[test]
fn first_launch_over_starttls_and_tls_1_2() {
    let mut node = node();
    let how = Connect::to(&node).version(TlsVersion::V12);
    first_launch(&mut node, &how);
}

#[test]
fn first_launch_over_starttls_and_tls_1_3() {
    let mut node = node();
    let how = Connect::to(&node);
    first_launch(&mut node, &how);
}

#[test]
fn first_launch_over_direct_tls_1_2() {
    let mut node = node();
    let how = Connect::direct_to(&node).version(TlsVersion::V12);
    first_launch(&mut node, &how);
}

#[test]
fn first_launch_over_direct_tls_1_3() {
    let mut node = node();
    let how = Connect::direct_to(&node);
    first_launch(&mut node, &how);
}

/// The whole story, with every step looked at.
fn first_launch(node: &mut Node, how: &Connect) {
    let mut anna = Person::new(1, "+15555215554", how.clone());
    let mut bruno = Person::new(2, "+393351234567", how.clone());
    assert_eq!(anna.number.localpart, "4bdd4f929f3a1062253e4e496bafba0bdfb5db75");

    // Form. The app waits for EXTERNAL and register, certificate or not.
    let mut client = anna.stranger();
    assert!(client.mechanisms().contains(&"EXTERNAL".to_owned()));
    assert!(client.features.child("register", ns::REGISTER_FEATURE).is_some());
    let form = client.registration_form().expect("the form");
    assert!(field_element(&form, "phone").is_some(), "{form:?}");

    // Number.
    let mut client = anna.stranger();
    let answer = client.request_code(&anna.number, false).expect("a code is sent");
    assert!(field(&answer, "from").is_some_and(|from| !from.is_empty()), "{answer:?}");
    assert_eq!(field(&answer, "challenge").as_deref(), Some("pin"));
    let code = node.code_for(&anna.number.e164);

    // Code, with the uncertified key's certificate. On such a connection nothing but EXTERNAL is offered.
    let mut client = anna.with_certificate();
    assert_eq!(client.mechanisms(), ["EXTERNAL"]);
    let certified = client.submit_code(&code).expect("the code is right");
    assert!(!authorities_were_named(), "the request for a certificate must name no authorities");
    assert!(certified.len() > anna.ring.len(), "a certification was added");
    drop(client);

    // The old certificate is no use, the new one is.
    assert_refused_for_good(anna.with_certificate().external(""));
    anna.ring = certified;
    let mut anna_app = anna.online();
    assert!(anna_app.roster().1.is_empty());

    bruno.register(node, false);
    let mut bruno_app = bruno.online();
    anna_app.befriend(&mut bruno_app);
    anna_app.say(&bruno.number.address(), &body("online"));
    bruno_app.expect_body(&body("online"));
    anna_app.wait_acked();

    // Offline and back.
    bruno_app.close();
    anna_app.expect_presence(Some("unavailable"), &format!("{}/{}", bruno.number.address(), bruno.device));
    anna_app.say(&bruno.number.address(), &body("offline"));
    anna_app.wait_acked();
    let mut bruno_app = bruno.online();
    let message = bruno_app.expect_body(&body("offline"));
    assert!(message.child("delay", ns::DELAY).is_some());

    // A broken connection, resumed.
    let full = bruno_app.full().clone();
    let session = bruno_app.cut().expect("stream management is on");
    anna_app.say(&bruno.number.address(), &body("between"));
    anna_app.roundtrip();
    let mut bruno_app = bruno.with_certificate();
    bruno_app.external("").unwrap();
    bruno_app.resume(&session).unwrap();
    bruno_app.jid = Some(full);
    bruno_app.expect_body(&body("between"));
    bruno_app.say(&anna.number.address(), &body("and back"));
    anna_app.expect_body(&body("and back"));
    bruno_app.nothing_waits();
}

#[test]
fn only_the_owner_of_a_certified_key_logs_in() {
    let mut node = node();
    let mut anna = Person::new(1, "+15555215554", Connect::to(&node));
    let uncertified = anna.ring.clone();
    for registered in [false, true] {
        if registered {
            anna.register(&mut node, false);
        }
        assert_refused_for_good(anna.with(anna.key.bridge_certificate(&uncertified)).external(""));
    }
    // Somebody who has seen Anna's certified ring wraps it with a key of his own.
    let thief = Person::new(3, "+4915112345678", Connect::to(&node));
    assert_refused_for_good(thief.with(thief.key.bridge_certificate(&anna.ring)).external(""));
    // Anna herself without a ring.
    assert_refused_for_good(anna.with(anna.key.certificate_without_ring()).external(""));
    assert_refused_for_good(anna.stranger().external(""));
    // A name that is not hers, then the one that is.
    assert_refused_for_good(anna.with_certificate().external(&thief.number.address()));
    anna.with_certificate().external(&anna.number.address()).unwrap();
    anna.online().close();
}

#[test]
fn a_key_of_another_domain_is_neither_certified_nor_logged_in() {
    let mut node = node();
    let mut anna = Person::new(1, "+15555215554", Connect::to(&node));
    let created = SystemTime::now() - Duration::from_secs(3600);
    anna.key = ClientKey::numbered(1, &format!("Anna <{}@elsewhere.example>", anna.number.localpart), created);
    anna.ring = anna.key.public_ring();
    anna.stranger().request_code(&anna.number, false).unwrap();
    let code = node.code_for(&anna.number.e164);
    let outcome = anna.with_certificate().submit_code(&code);
    assert_eq!(outcome, Err(refusal("bad-request", "modify")));
    assert_refused_for_good(anna.with_certificate().external(""));
}

#[test]
fn after_five_wrong_codes_the_right_one_is_refused_too() {
    let mut node = node();
    let anna = Person::new(1, "+15555215554", Connect::to(&node));
    anna.stranger().request_code(&anna.number, false).unwrap();
    let code = node.code_for(&anna.number.e164);
    let wrong = support::secret(if code == "000000" { "000001" } else { "000000" });
    for _ in 0..5 {
        assert_eq!(anna.with_certificate().submit_code(&wrong), Err(refusal("bad-request", "modify")));
    }
    assert_eq!(anna.with_certificate().submit_code(&code), Err(refusal("bad-request", "modify")));
    // A new code makes it good again.
    anna.stranger().request_code(&anna.number, false).unwrap();
    let code = node.code_for(&anna.number.e164);
    anna.with_certificate().submit_code(&code).unwrap();
}

#[test]
fn a_code_needs_the_bridge_certificate_of_its_own_number() {
    let mut node = node();
    let anna = Person::new(1, "+15555215554", Connect::to(&node));
    let thief = Person::new(3, "+4915112345678", Connect::to(&node));
    anna.stranger().request_code(&anna.number, false).unwrap();
    let code = node.code_for(&anna.number.e164);
    let refused = Err(refusal("bad-request", "modify"));
    assert_eq!(anna.stranger().submit_code(&code), refused);
    assert_eq!(anna.with(anna.key.certificate_without_ring()).submit_code(&code), refused);
    assert_eq!(thief.with_certificate().submit_code(&code), refused);
    assert_eq!(thief.with(thief.key.bridge_certificate(&anna.ring)).submit_code(&code), refused);
    anna.with_certificate().submit_code(&code).unwrap();
}

#[test]
fn a_lost_answer_can_be_asked_for_again_with_the_same_key() {
    let mut node = node();
    let anna = Person::new(1, "+15555215554", Connect::to(&node));
    anna.stranger().request_code(&anna.number, false).unwrap();
    let code = node.code_for(&anna.number.e164);
    let first = anna.with_certificate().submit_code(&code).unwrap();
    let again = anna.with_certificate().submit_code(&code).unwrap();
    assert_eq!(first, again);
    // Another key for the same number and code: no.
    let mut other = Person::new(4, "+15555215554", Connect::to(&node));
    other.number = anna.number.clone();
    assert_eq!(other.with_certificate().submit_code(&code), Err(refusal("bad-request", "modify")));
}

#[test]
fn a_number_in_use_conflicts_and_force_starts_it_afresh() {
    let mut node = node();
    let mut anna = Person::new(1, "+15555215554", Connect::to(&node));
    let mut bruno = Person::new(2, "+393351234567", Connect::to(&node));
    anna.register(&mut node, false);
    bruno.register(&mut node, false);
    let mut anna_app = anna.online();
    let mut bruno_app = bruno.online();
    anna_app.befriend(&mut bruno_app);
    anna_app.close();
    bruno_app.say(&anna.number.address(), &body("for the old Anna only"));
    bruno_app.wait_acked();
    bruno_app.drain();

    // The number has a new owner, who does not have Anna's key.
    let mut heir = Person::new(5, "+15555215554", Connect::to(&node));
    let conflict = heir.stranger().request_code(&heir.number, false);
    assert_eq!(conflict, Err(refusal("conflict", "modify")));
    heir.register(&mut node, true);
    // Kontalk registration: contacts of the previous owner are told, and nothing of hers is left.
    bruno_app.expect_presence(Some("unsubscribed"), &anna.number.address());
    let mut heir_app = heir.online();
    assert!(heir_app.roster().1.is_empty());
    assert!(heir_app.bodies().is_empty());
    assert_refused_for_good(anna.with_certificate().external(""));
    let items = bruno_app.roster().1;
    let item = items.iter().find(|item| item.attribute("jid") == Some(&anna.number.address()));
    assert!(!matches!(item.and_then(|item| item.attribute("subscription")), Some("to" | "both")), "{items:?}");
}

#[test]
fn force_ends_the_session_of_the_previous_owner() {
    let mut node = node();
    let mut anna = Person::new(1, "+15555215554", Connect::to(&node));
    anna.register(&mut node, false);
    let mut anna_app = anna.online();
    let session = anna_app.sm.clone().unwrap();
    let mut heir = Person::new(5, "+15555215554", Connect::to(&node));
    heir.register(&mut node, true);
    let notice = anna_app.expect("a word about it", |el| el.attribute("type") == Some("headline"));
    assert!(body_of(&notice).is_some_and(|text| text.contains("registered again")));
    anna_app.expect_end();
    let mut heir_app = heir.with_certificate();
    heir_app.external("").unwrap();
    assert_eq!(heir_app.resume(&session), Err("item-not-found".to_owned()));
}

#[test]
fn numbers_are_read_leniently_and_refused_plainly() {
    let mut node = node();
    let anna = Person::new(1, "+15555215554", Connect::to(&node));
    for number in ["", "5555215554", "+999123456789", "+1555CALLME1", "hello"] {
        let wrong = Number { e164: number.to_owned(), localpart: String::new(), domain: DOMAIN };
        let outcome = anna.stranger().request_code(&wrong, false);
        assert_eq!(outcome, Err(refusal("bad-request", "modify")), "{number:?}");
    }
    // The same number with the spaces and dashes of a human.
    let written = Number { e164: "+1 (555) 521-5554".to_owned(), ..anna.number.clone() };
    anna.stranger().request_code(&written, false).unwrap();
    let code = node.code_for(&anna.number.e164);
    anna.with_certificate().submit_code(&code).unwrap();
}

#[test]
fn too_many_codes_for_one_number_are_refused_for_a_while() {
    let node = node();
    let anna = Person::new(1, "+15555215554", Connect::to(&node));
    let outcomes: Vec<_> = (0..8).map(|_| anna.stranger().request_code(&anna.number, false)).collect();
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    // The type matters: `wait` is "try later", anything else "this server does not support registration".
    assert_eq!(outcomes[7], Err(refusal("service-unavailable", "wait")));
}

#[test]
fn a_registered_user_stays_registered_after_a_crash() {
    let mut node = node();
    let mut anna = Person::new(1, "+15555215554", Connect::to(&node));
    anna.register(&mut node, false);
    node.kill9();
    node.start_again();
    anna.how = Connect::to(&node);
    anna.online().close();
    let conflict = anna.stranger().request_code(&anna.number, false);
    assert_eq!(conflict, Err(refusal("conflict", "modify")));
}

#[test]
fn a_certified_key_signs_on_by_sasl2_and_needs_no_token() {
    let mut node = node();
    let how = Connect::to(&node);
    let mut person = Person::new(0, "+12025550170", how);
    person.register(&mut node, false);
    let mut client = person.with_certificate();
    assert_eq!(client.sasl2_mechanisms(), (vec!["EXTERNAL".to_owned()], vec![]));
    let wish = "<user-agent id='1'/><request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>";
    let success = client.sign_on_external(&format!("{wish}{BIND}")).expect("the certified key logs in");
    assert!(success.child("token", ns::FAST).is_none());
    assert_eq!(client.bare(), person.number.address());
    client.roundtrip();
    // No certificate, no EXTERNAL.
    let mut stranger = person.stranger();
    assert!(!stranger.sasl2_mechanisms().0.iter().any(|name| name == "EXTERNAL"));
    assert_eq!(stranger.sign_on_external(BIND).map(|_| ()), Err("invalid-mechanism".to_owned()));
}
