//! One client's session with a real node: SASL, binding, stream management, acknowledgements, the node's end and return.
//! RFC 6120, XEP-0198, and the promise that what was acknowledged is not lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use kontalk_node::xml::ns;
use support::body;
use support::client::{Client, Connect, Lost, TlsVersion};
use support::login::Binding;
use support::node::{Node, NodeOptions, password_of};
use support::scram::{Exchange, Hash};
use support::stanzas::{chat, refusal};

const ROMEO: &str = "romeo@kontalk.test";
const JULIET: &str = "juliet@kontalk.test";

fn verona() -> Node {
    let node = Node::start(NodeOptions::default());
    node.add_account("romeo");
    node.add_account("juliet");
    node
}

#[test]
fn nothing_but_starttls_is_offered_before_tls() {
    let node = verona();
    let mut client = Client::connect_plain(node.address).unwrap();
    client.try_open_stream().unwrap();
    let starttls = client.features.child("starttls", ns::TLS).expect("STARTTLS is offered");
    assert!(starttls.child("required", ns::TLS).is_some());
    assert_eq!(client.features.children().count(), 1, "{:?}", client.features);
    // A password sent in the clear is refused before it is looked at.
    assert_eq!(client.plain("romeo", &password_of("romeo")), Err("encryption-required".to_owned()));
}

#[test]
fn every_password_mechanism_works_over_every_kind_of_tls() {
    let node = verona();
    let password = password_of("romeo");
    for version in [TlsVersion::V12, TlsVersion::V13] {
        for how in [Connect::to(&node), Connect::direct_to(&node)] {
            let how = how.version(version);
            let mut bindings = vec![Binding::None, Binding::TlsServerEndPoint];
            // RFC 9266 §3: the exporter is for TLS 1.3.
            bindings.extend((version == TlsVersion::V13).then_some(Binding::TlsExporter));
            for hash in [Hash::Sha1, Hash::Sha256] {
                for binding in &bindings {
                    let mut client = Client::connect(&how);
                    let outcome = client.scram("romeo", &password, hash, *binding);
                    assert_eq!(outcome, Ok(()), "{hash:?} {binding:?} {how:?}");
                    client.bind(None);
                    client.roundtrip();
                    client.close();
                }
            }
            let mut client = Client::connect(&how);
            client.plain("romeo", &password).unwrap();
            client.close();
        }
    }
}

#[test]
fn the_mechanisms_are_those_of_a_connection_without_certificate() {
    let node = verona();
    let client = Client::connect(&Connect::to(&node));
    let offered = client.mechanisms();
    // EXTERNAL stands there even without a certificate: Kontalk's clients wait for it before they register.
    for mechanism in ["EXTERNAL", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "PLAIN"] {
        assert!(offered.iter().any(|name| name == mechanism), "{mechanism} is not among {offered:?}");
    }
    assert!(client.features.child("register", ns::REGISTER_FEATURE).is_some());
    assert!(client.features.child("compression", "http://jabber.org/features/compress").is_none());
    let client = Client::authenticated(&node, "romeo");
    for (name, namespace) in [("bind", ns::BIND), ("sm", ns::SM), ("ver", ns::ROSTER_VERSIONING)] {
        assert!(client.features.child(name, namespace).is_some(), "{name} is missing");
    }
    let session = client.features.child("session", ns::SESSION).expect("the old session feature");
    assert!(session.child("optional", ns::SESSION).is_some());
}

#[test]
fn refused_logins_say_why_and_may_be_tried_again() {
    let node = verona();
    let refused = Err("not-authorized".to_owned());
    let mut client = Client::connect(&Connect::to(&node));
    assert_eq!(client.scram("romeo", "wrong", Hash::Sha256, Binding::None), refused);
    // Nobody learns whether there is such an account.
    assert_eq!(client.scram("nobody", "wrong", Hash::Sha256, Binding::None), refused);
    assert_eq!(client.external(""), refused);
    client.scram("romeo", &password_of("romeo"), Hash::Sha256, Binding::None).unwrap();

    let mut client = Client::connect(&Connect::to(&node));
    // RFC 5802 §6: the client could bind and believes that the server cannot. Somebody took the -PLUS away.
    let downgraded = Exchange::new(Hash::Sha256, "romeo", None).with_gs2_header("y,,");
    assert!(client.scram_exchange("SCRAM-SHA-256", downgraded, &password_of("romeo")).is_err());
    // Bound to another connection.
    let elsewhere = Exchange::new(Hash::Sha256, "romeo", Some(("tls-exporter", vec![7; 32])));
    assert!(client.scram_exchange("SCRAM-SHA-256-PLUS", elsewhere, &password_of("romeo")).is_err());
    let unknown = client.sasl_auth("X-UNKNOWN", "=");
    assert!(unknown.child("invalid-mechanism", ns::SASL).is_some(), "{unknown:?}");
}

#[test]
fn stanzas_before_login_end_the_stream() {
    let node = verona();
    for stanza in [chat(JULIET, "1", &body("too early")), "<presence/>".to_owned()] {
        let mut client = Client::connect(&Connect::to(&node));
        client.send(&stanza);
        assert_eq!(client.expect_end(), Lost::StreamError("not-authorized".to_owned()));
    }
}

#[test]
fn broken_streams_end_with_the_condition_of_the_rfc() {
    let node = verona();
    // RFC 6120 §4.9.3.
    for (text, condition) in [
        ("<!-- hello -->", "restricted-xml"),
        ("<message><body>&unknown;</body></message>", "restricted-xml"),
        ("<message></presence>", "not-well-formed"),
        ("<x:message/>", "bad-namespace-prefix"),
        ("<unknown/>", "unsupported-stanza-type"),
        ("<message from='mercutio@kontalk.test' to='juliet@kontalk.test'/>", "invalid-from"),
    ] {
        let mut client = Client::bound(&node, "romeo", "orchard");
        client.send_raw(text);
        assert_eq!(client.expect_end(), Lost::StreamError(condition.to_owned()), "{text}");
    }
}

#[test]
fn the_newest_stream_wins_a_resource() {
    let node = verona();
    let mut old = Client::online(&node, "juliet", "balcony");
    old.auto_ack = false;
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.say(JULIET, &body("seen but not acknowledged"));
    old.expect_body(&body("seen but not acknowledged"));

    // Kontalk, binding: the resource is constant, so a reconnecting client always collides with its dead stream.
    let mut new = Client::online(&node, "juliet", "balcony");
    assert_eq!(old.expect_end(), Lost::StreamError("conflict".to_owned()));
    new.expect_body(&body("seen but not acknowledged"));
    romeo.say(&new.full().to_string(), &body("to the new one"));
    new.expect_body(&body("to the new one"));
    new.nothing_waits();
}

#[test]
fn a_resource_is_made_when_none_is_asked_for_and_bound_once() {
    let node = verona();
    let mut client = Client::authenticated(&node, "romeo");
    client.bind(None);
    assert!(!client.full().resource().is_empty());
    let again = client.ask("set", None, &format!("<bind xmlns='{}'/>", ns::BIND));
    assert_eq!(again, Err(refusal("not-allowed", "cancel")));
}

#[test]
fn a_resumed_session_gets_each_message_once_and_in_order() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    juliet.auto_ack = false;
    for number in 0..4 {
        romeo.say(JULIET, &body(number));
    }
    juliet.expect_body(&body(0));
    juliet.expect_body(&body(1));
    // Two arrived and two may be on their way when the connection breaks.
    let handled = juliet.sm.as_ref().unwrap().handled;
    let full = juliet.full().clone();
    let mut session = juliet.cut().unwrap();
    session.handled = handled;
    for number in 4..8 {
        romeo.say(JULIET, &body(number));
    }
    romeo.roundtrip();

    let mut juliet = Client::authenticated(&node, "juliet");
    juliet.resume(&session).unwrap();
    juliet.jid = Some(full);
    assert_eq!(juliet.bodies(), (2..8).map(body).collect::<Vec<_>>());
    // It is the session that it was: present, and known to others by its full JID.
    romeo.say(&juliet.full().to_string(), &body("still there?"));
    juliet.expect_body(&body("still there?"));
    juliet.say(ROMEO, &body("yes"));
    romeo.expect_body(&body("yes"));
    romeo.wait_acked();
    juliet.wait_acked();
    // Resumed and acknowledged, so nothing was kept for later as well.
    juliet.close();
    let mut juliet = Client::online(&node, "juliet", "balcony");
    juliet.nothing_waits();
}

#[test]
fn resuming_tells_which_stanzas_arrived() {
    let node = verona();
    let mut juliet = Client::online(&node, "juliet", "balcony");
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.say(JULIET, &body("one"));
    romeo.say(JULIET, &body("two"));
    romeo.roundtrip();
    let session = romeo.cut().unwrap();
    let mut romeo = Client::authenticated(&node, "romeo");
    romeo.resume(&session).unwrap();
    let sm = romeo.sm.as_ref().unwrap();
    assert_eq!(sm.acked, sm.sent, "all stanzas had arrived before the cut");
    assert_eq!(juliet.bodies(), [body("one"), body("two")]);
}

#[test]
fn only_its_owner_resumes_a_session_and_only_once() {
    let node = verona();
    let session = Client::online(&node, "juliet", "balcony").cut().unwrap();
    let unknown = Err("item-not-found".to_owned());
    let mut romeo = Client::authenticated(&node, "romeo");
    assert_eq!(romeo.resume(&session), unknown);
    let mut made_up = session.clone();
    made_up.token = Some("no-such-session".to_owned());
    let mut juliet = Client::authenticated(&node, "juliet");
    assert_eq!(juliet.resume(&made_up), unknown);
    // XEP-0198 §5: after a refusal the stream goes on, with binding or another try.
    juliet.resume(&session).unwrap();
    let mut again = Client::authenticated(&node, "juliet");
    // Resuming what is still connected takes it over: the older stream is dead to the client.
    let outcome = again.resume(juliet.sm.as_ref().unwrap());
    assert!(outcome.is_ok() || outcome == unknown, "{outcome:?}");
}

#[test]
fn a_closed_session_cannot_be_resumed_and_its_messages_are_kept() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let juliet = Client::online(&node, "juliet", "balcony");
    let session = juliet.sm.clone().unwrap();
    juliet.close();
    romeo.say(JULIET, &body("after the close"));
    romeo.wait_acked();
    let mut juliet = Client::authenticated(&node, "juliet");
    assert_eq!(juliet.resume(&session), Err("item-not-found".to_owned()));
    juliet.bind(Some("balcony"));
    juliet.send("<presence/>");
    juliet.expect_body(&body("after the close"));
}

#[test]
fn an_acknowledged_message_survives_although_its_receiver_never_acknowledged_it() {
    let mut node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    juliet.auto_ack = false;
    romeo.say(JULIET, &body("promised"));
    juliet.expect_body(&body("promised"));
    // Juliet has it in a socket's buffer, for all the node knows. It keeps the promise by writing the message down.
    romeo.wait_acked();
    node.kill9();
    node.start_again();
    let mut juliet = Client::online(&node, "juliet", "balcony");
    juliet.expect_body(&body("promised"));
}

#[test]
fn what_the_receiver_acknowledged_does_not_come_again() {
    let mut node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    romeo.say(JULIET, &body("delivered"));
    juliet.expect_body(&body("delivered"));
    juliet.acknowledge().unwrap();
    juliet.roundtrip();
    romeo.wait_acked();
    node.sigterm();
    node.start_again();
    let mut juliet = Client::online(&node, "juliet", "balcony");
    juliet.nothing_waits();
}

#[test]
fn a_polite_end_says_system_shutdown_and_keeps_what_was_not_acknowledged() {
    let mut node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    let mut stranger = Client::connect(&Connect::to(&node));
    juliet.auto_ack = false;
    romeo.say(JULIET, &body("not acknowledged"));
    juliet.expect_body(&body("not acknowledged"));
    let garden = Client::online(&node, "juliet", "garden");
    let garden_jid = garden.full().clone();
    let hibernating = garden.cut().unwrap();
    romeo.say(&format!("{JULIET}/garden"), &body("to one who may come back"));
    romeo.roundtrip();

    // `sigterm` checks exit code 0 within 5 s.
    node.sigterm();
    for client in [&mut romeo, &mut juliet, &mut stranger] {
        assert_eq!(client.expect_end(), Lost::StreamError("system-shutdown".to_owned()));
    }
    node.start_again();
    // XEP-0198 §5: an orderly restart is no reason to lose a session. What a session that is replaced did not acknowledge goes
    // to the user's other one.
    Client::online(&node, "juliet", "balcony");
    let mut garden = Client::authenticated(&node, "juliet");
    garden.resume(&hibernating).unwrap();
    garden.jid = Some(garden_jid);
    let mut bodies = garden.bodies();
    bodies.sort();
    assert_eq!(bodies, [body("not acknowledged"), body("to one who may come back")]);
}

#[test]
fn a_second_instance_on_the_same_data_is_refused_in_plain_words() {
    let node = verona();
    let output = node.second_instance();
    assert!(!output.status.success(), "{output:?}");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("in use") || said.contains("running"), "it should say what is the matter: {said}");
    assert!(!said.contains("panicked"), "{said}");
    // The first one does not mind.
    Client::online(&node, "romeo", "orchard").close();
}

#[test]
fn account_commands_take_effect_at_once() {
    let node = verona();
    let said = |arguments: &[&str], input: &str| {
        let output = node.cli_with_input(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let list = said(&["account", "list"], "");
    assert!(list.contains(ROMEO) && list.contains(JULIET), "{list}");
    let json: serde_json::Value = serde_json::from_str(&said(&["account", "list", "--json"], "")).unwrap();
    assert!(json.to_string().contains(ROMEO), "{json}");
    assert!(said(&["account", "show", ROMEO], "").contains(ROMEO));
    assert!(!said(&["status"], "").is_empty());
    assert!(!node.cli_with_input(&["account", "add", ROMEO, "--password-file", "-"], "x").status.success());
    assert!(!node.cli(&["account", "show", "nobody@kontalk.test"]).status.success());

    let new = support::secret("pass-after-change");
    said(&["account", "set-password", ROMEO, "--password-file", "-"], &new);
    let mut client = Client::connect(&Connect::to(&node));
    let old = client.scram("romeo", &password_of("romeo"), Hash::Sha256, Binding::None);
    assert_eq!(old, Err("not-authorized".to_owned()));
    client.scram("romeo", &new, Hash::Sha256, Binding::None).unwrap();

    let mut juliet = Client::online(&node, "juliet", "balcony");
    said(&["account", "remove", JULIET], "");
    assert!(!matches!(juliet.expect_end(), Lost::Silent));
    let mut client = Client::connect(&Connect::to(&node));
    let gone = client.scram("juliet", &password_of("juliet"), Hash::Sha256, Binding::None);
    assert_eq!(gone, Err("not-authorized".to_owned()));
}
