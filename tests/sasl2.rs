//! Signing on to a real node in one round trip: SASL2, Bind 2, inline resumption, login tokens.
//! XEP-0388, XEP-0386, XEP-0484, XEP-0198 §9.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::Path;

use kontalk_node::xml::ns;
use support::body;
use support::client::{Client, Connect, Lost, TlsVersion};
use support::login::Binding;
use support::node::{Node, NodeOptions, password_of};
use support::sasl2::{BIND, FAST, PHONE, Token, request_token, resume, token_in, token_login};
use support::scram::Hash;

const JULIET: &str = "juliet@kontalk.test";

fn verona() -> Node {
    let node = Node::start(NodeOptions::default());
    node.add_account("romeo");
    node.add_account("juliet");
    node
}

/// Juliet's token, asked for with her password.
fn token(node: &Node, mechanism: &'static str) -> Token {
    let (client, success) = Client::signed_on(node, "juliet", &format!("{PHONE}{}", request_token(mechanism)));
    client.close();
    token_in(&success, mechanism).expect("the node gives a token")
}

/// Logs juliet in with a token; a resource is bound and things work, or it is refused.
fn try_token(node: &Node, token: &Token, inner: &str) -> Result<Option<Token>, String> {
    let mut client = Client::connect(&Connect::to(node));
    let success = client.sign_on_token("juliet", token, &format!("{inner}{BIND}"))?;
    client.roundtrip();
    client.close();
    Ok(token_in(&success, token.mechanism))
}

#[test]
fn every_password_mechanism_works_by_sasl2_over_every_kind_of_tls() {
    let node = verona();
    let password = password_of("romeo");
    for version in [TlsVersion::V12, TlsVersion::V13] {
        for how in [Connect::to(&node), Connect::direct_to(&node)] {
            let how = how.version(version);
            let mut bindings = vec![Binding::None, Binding::TlsServerEndPoint];
            bindings.extend((version == TlsVersion::V13).then_some(Binding::TlsExporter));
            for hash in [Hash::Sha1, Hash::Sha256] {
                for binding in &bindings {
                    let mut client = Client::connect(&how);
                    let success = client.sign_on_scram("romeo", &password, hash, *binding, BIND).unwrap();
                    assert!(success.child("bound", ns::BIND2).unwrap().child("enabled", ns::SM).is_some());
                    client.roundtrip();
                    client.close();
                }
            }
            let mut client = Client::connect(&how);
            client.sign_on_plain("romeo", &password, "").unwrap();
            client.bind(Some("orchard"));
            client.roundtrip();
            client.close();
        }
    }
}

#[test]
fn a_refused_sign_on_may_be_tried_again_by_either_profile() {
    let node = verona();
    let mut client = Client::connect(&Connect::to(&node));
    let refused = Err("not-authorized".to_owned());
    for user in ["romeo", "nobody"] {
        let outcome = client.sign_on_scram(user, "wrong", Hash::Sha256, Binding::None, BIND);
        assert_eq!(outcome.map(|_| ()), refused);
    }
    client.scram("romeo", &password_of("romeo"), Hash::Sha256, Binding::None).unwrap();
    client.bind(None);
    client.roundtrip();
}

#[test]
fn a_client_that_signs_on_again_takes_its_own_place() {
    let node = verona();
    let (mut old, _) = Client::signed_on(&node, "juliet", &format!("{PHONE}{BIND}"));
    let (mut tablet, _) = Client::signed_on(&node, "juliet", BIND);
    let (mut new, _) = Client::signed_on(&node, "juliet", &format!("{PHONE}{BIND}"));
    assert_eq!(old.expect_end(), Lost::StreamError("conflict".to_owned()));
    assert_eq!(new.full(), old.full());
    assert!(new.full().resource().starts_with("Test~"));
    assert_ne!(new.full(), tablet.full());
    tablet.roundtrip();
    new.roundtrip();
}

#[test]
fn messages_are_managed_from_the_first_on() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.say(JULIET, &body("waiting"));
    romeo.wait_acked();
    let (mut juliet, _) = Client::signed_on(&node, "juliet", &format!("{PHONE}{BIND}"));
    juliet.send("<presence/>");
    juliet.expect_body(&body("waiting"));
    juliet.wait_acked();
    juliet.acknowledge().unwrap();
    juliet.roundtrip();
    juliet.close();
    let (mut juliet, _) = Client::signed_on(&node, "juliet", &format!("{PHONE}{BIND}"));
    juliet.send("<presence/>");
    juliet.roundtrip();
    juliet.take_own_presence();
    juliet.nothing_waits();
}

#[test]
fn a_session_is_resumed_in_one_round_trip_with_what_was_lost_behind_success() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let token = token(&node, "HT-SHA-256-NONE");
    let (mut juliet, _) = Client::signed_on(&node, "juliet", &format!("{PHONE}{BIND}"));
    juliet.send("<presence/>");
    juliet.roundtrip();
    let full = juliet.full().clone();
    let mut session = juliet.cut().unwrap();
    for number in 0..3 {
        romeo.say(JULIET, &body(number));
    }
    romeo.roundtrip();

    let inner = format!("{PHONE}{FAST}{}{BIND}", resume(&session));
    let login = token_login("juliet", &token, &[], &inner);
    let (mut juliet, outcome) = Client::sign_on_at_once(&Connect::direct_to(&node), &login);
    let success = outcome.unwrap();
    let resumed = success.child("resumed", ns::SM).expect("the session goes on");
    assert_eq!(resumed.attribute("previd"), session.token.as_deref());
    assert!(success.child("bound", ns::BIND2).is_none());
    assert_eq!(juliet.full(), &full);
    session.acked = resumed.attribute("h").unwrap().parse().unwrap();
    juliet.sm = Some(session);
    assert_eq!(juliet.bodies(), (0..3).map(body).collect::<Vec<_>>());
    juliet.say("romeo@kontalk.test", &body("back"));
    juliet.wait_acked();
    romeo.expect_body(&body("back"));
}

#[test]
fn what_cannot_be_resumed_is_bound_in_the_same_round_trip() {
    let node = verona();
    let token = token(&node, "HT-SHA-256-NONE");
    let (juliet, _) = Client::signed_on(&node, "juliet", &format!("{PHONE}{BIND}"));
    let session = juliet.sm.clone().unwrap();
    juliet.close();
    let inner = format!("{PHONE}{FAST}{}{BIND}", resume(&session));
    let login = token_login("juliet", &token, &[], &inner);
    let (mut juliet, outcome) = Client::sign_on_at_once(&Connect::direct_to(&node), &login);
    let success = outcome.unwrap();
    assert!(success.child("failed", ns::SM).unwrap().child("item-not-found", ns::STANZA_ERRORS).is_some());
    assert!(success.child("bound", ns::BIND2).unwrap().child("enabled", ns::SM).is_some());
    juliet.roundtrip();
}

#[test]
fn tokens_are_good_by_their_own_mechanism_over_either_tls() {
    let node = verona();
    let known = ["HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"];
    for (version, count) in [(TlsVersion::V13, 3), (TlsVersion::V12, 2)] {
        let how = Connect::to(&node).version(version);
        let offered = Client::connect(&how).sasl2_mechanisms().1;
        assert_eq!(offered, known[known.len() - count..]);
        for mechanism in known.into_iter().filter(|mechanism| offered.iter().any(|name| name == mechanism)) {
            let token = token(&node, mechanism);
            for _ in 0..2 {
                let mut client = Client::connect(&how);
                let success = client.sign_on_token("juliet", &token, &format!("{PHONE}{FAST}{BIND}")).unwrap();
                assert!(token_in(&success, mechanism).is_none(), "it is new enough");
                client.roundtrip();
            }
            for other in known.into_iter().filter(|other| *other != mechanism && offered.iter().any(|o| o == other)) {
                let mut client = Client::connect(&how);
                let moved = Token { mechanism: other, ..token.clone() };
                let outcome = client.sign_on_token("juliet", &moved, &format!("{PHONE}{FAST}"));
                assert_eq!(outcome.map(|_| ()), Err("not-authorized".to_owned()), "{mechanism} by {other}");
            }
        }
    }
}

#[test]
fn a_token_is_one_clients_and_one_accounts() {
    let node = verona();
    let token = token(&node, "HT-SHA-256-NONE");
    let refused = Err("not-authorized".to_owned());
    let tablet = "<user-agent id='8f3b1c9e-6d0a-4a6e-9d57-0b4e1d2c3f4a'/>";
    assert_eq!(try_token(&node, &token, &format!("{tablet}{FAST}")).map(|_| ()), refused);
    let mut romeo = Client::connect(&Connect::to(&node));
    let inner = format!("{PHONE}{FAST}");
    assert_eq!(romeo.sign_on_token("romeo", &token, &inner).map(|_| ()), refused);
    assert_eq!(romeo.sign_on_token("nobody", &token, &inner).map(|_| ()), refused);
    try_token(&node, &token, &inner).unwrap();
    // Nobody steals a token by looking at the database.
    assert_eq!(files_with(&node.data_dir(), token.text.as_bytes()), Vec::<String>::new());
}

#[test]
fn tokens_survive_a_restart_and_end_with_the_password_and_the_account() {
    let mut node = verona();
    let first = token(&node, "HT-SHA-256-NONE");
    let inner = format!("{PHONE}{FAST}");
    node.kill9();
    node.start_again();
    try_token(&node, &first, &inner).unwrap();

    let new_password = support::secret("pass-that-ends-tokens");
    let output = node.cli_with_input(&["account", "set-password", JULIET, "--password-file", "-"], &new_password);
    assert!(output.status.success(), "{output:?}");
    let refused = Err("not-authorized".to_owned());
    assert_eq!(try_token(&node, &first, &inner).map(|_| ()), refused);
    // The same stream goes on with the password, and there is a new token.
    let mut client = Client::connect(&Connect::to(&node));
    assert_eq!(client.sign_on_token("juliet", &first, &inner).map(|_| ()), refused);
    let wish = format!("{PHONE}{}", request_token("HT-SHA-256-NONE"));
    let success = client.sign_on_scram("juliet", &new_password, Hash::Sha256, Binding::None, &wish).unwrap();
    let second = token_in(&success, "HT-SHA-256-NONE").unwrap();
    try_token(&node, &second, &inner).unwrap();

    assert!(node.cli(&["account", "remove", JULIET]).status.success());
    node.add_account("juliet");
    assert_eq!(try_token(&node, &second, &inner).map(|_| ()), refused);
}

#[test]
fn a_client_asks_for_another_token_and_logs_out() {
    let node = verona();
    let first = token(&node, "HT-SHA-256-NONE");
    let inner = format!("{PHONE}{FAST}");
    let wish = request_token("HT-SHA-256-NONE");
    let second = try_token(&node, &first, &format!("{inner}{wish}")).unwrap().expect("it was asked for");
    // The new one never arrived; the old one is still good.
    try_token(&node, &first, &inner).unwrap();
    try_token(&node, &second, &inner).unwrap();
    let refused = Err("not-authorized".to_owned());
    assert_eq!(try_token(&node, &first, &inner).map(|_| ()), refused);
    let log_out = "<fast xmlns='urn:xmpp:fast:0' invalidate='true'/>";
    assert!(try_token(&node, &second, &format!("{PHONE}{log_out}")).unwrap().is_none());
    assert_eq!(try_token(&node, &second, &inner).map(|_| ()), refused);
}

#[test]
fn guessing_passwords_does_not_lock_the_owners_devices_out() {
    let node = verona();
    let token = token(&node, "HT-SHA-256-NONE");
    let mut refusals = Vec::new();
    for _ in 0..12 {
        let mut client = Client::connect(&Connect::to(&node));
        let outcome = client.sign_on_scram("juliet", "wrong", Hash::Sha256, Binding::None, "");
        refusals.push(outcome.unwrap_err());
    }
    assert_eq!(refusals.last().map(String::as_str), Some("temporary-auth-failure"), "{refusals:?}");
    try_token(&node, &token, &format!("{PHONE}{FAST}")).unwrap();
}

/// Names of the files below `dir` that hold these bytes.
fn files_with(dir: &Path, wanted: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, wanted));
        } else if path.is_file() && fs::read(&path).unwrap().windows(wanted.len()).any(|bytes| bytes == wanted) {
            found.push(path.display().to_string());
        }
    }
    found
}
