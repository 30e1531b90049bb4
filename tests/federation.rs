//! Two real nodes that federate, each a process with an address of its own: messages, presence and iqs both ways, restarts in
//! between, and who is not believed. RFC 6120, RFC 6121, XEP-0178, XEP-0198, XEP-0220.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/loopback.rs"]
mod loopback;
mod support;

use std::net::IpAddr;

use authority::{Authority, Flaw};
use kontalk_node::xml::{Element, ns};
use loopback::own_address;
use support::body;
use support::client::Client;
use support::component::{Component, with_components};
use support::node::{Node, NodeOptions};
use support::stanzas::{body_of, refused};

const VERONA: &str = "verona.test";
const MANTUA: &str = "mantua.test";
const ROMEO: &str = "romeo@verona.test";
const BALTHASAR: &str = "balthasar@mantua.test";

/// Two nodes that know where each other is.
struct World {
    verona: Node,
    mantua: Node,
}

/// What is different about a node.
#[derive(Clone, Copy)]
struct Side {
    flaw: Flaw,
    dialback: bool,
    more: &'static str,
}

const PLAIN: Side = Side { flaw: Flaw::None, dialback: false, more: "" };

fn options(
    authority: &Authority,
    domain: &'static str,
    address: IpAddr,
    side: Side,
    peer: (&str, IpAddr),
) -> NodeOptions {
    let issued = authority.issue(domain, side.flaw);
    let mut options = NodeOptions { domain, ..NodeOptions::default() };
    for (name, content) in
        [("ca.pem", authority.pem.clone()), ("chain.pem", issued.certificate), ("key.pem", issued.key)]
    {
        options.files.push((name.to_owned(), content));
    }
    let s2s = format!(
        "listen = [\"{address}:5269\"]\nlisten_tls = [\"{address}:5270\"]\nca_file = \"ca.pem\"\n\
         hosts = [\"{}={}:5269\"]\ndns = [\"{address}:1\"]\ndialback = {}\n{}",
        peer.0, peer.1, side.dialback, side.more
    );
    options.sections.insert("s2s".to_owned(), s2s);
    options.sections.insert("tls".to_owned(), "certificate = \"chain.pem\"\nkey = \"key.pem\"\n".to_owned());
    options
}

impl World {
    fn new(verona: Side, mantua: Side) -> World {
        let authority = Authority::new();
        let (here, there) = (own_address(), own_address());
        let verona = Node::start(options(&authority, VERONA, here, verona, (MANTUA, there)));
        let mantua = Node::start(options(&authority, MANTUA, there, mantua, (VERONA, here)));
        verona.add_account("romeo");
        mantua.add_account("balthasar");
        World { verona, mantua }
    }

    fn romeo(&self) -> Client {
        Client::online(&self.verona, "romeo", "orchard")
    }

    fn balthasar(&self) -> Client {
        Client::online(&self.mantua, "balthasar", "tomb")
    }
}

/// The next message that came back, with its condition.
fn bounced(client: &mut Client, id: &str) -> String {
    let error = client.expect("an error", |el| {
        el.is("message", ns::CLIENT) && el.attribute("type") == Some("error") && el.attribute("id") == Some(id)
    });
    refused(&error).expect("it is one").condition
}

#[test]
fn messages_presence_and_iqs_go_both_ways() {
    let world = World::new(PLAIN, PLAIN);
    let (mut romeo, mut balthasar) = (world.romeo(), world.balthasar());
    romeo.say(BALTHASAR, &body("news?"));
    let heard = balthasar.expect_body(&body("news?"));
    assert_eq!(heard.attribute("from"), Some(romeo.full().to_string().as_str()));
    // The stream that Verona dialled serves Mantua too (XEP-0288).
    balthasar.say(&romeo.full().to_string(), &body("her body sleeps"));
    romeo.expect_body(&body("her body sleeps"));
    romeo.wait_acked();
    balthasar.wait_acked();
    let line = world.mantua.log_says("stream from verona.test");
    assert!(line.contains("by certificate") && line.contains("TLS 1.3") && line.contains("both ways"), "{line}");

    romeo.befriend(&mut balthasar);
    balthasar.send("<presence><show>away</show></presence>");
    let away = romeo.expect_presence(None, &balthasar.full().to_string());
    assert_eq!(away.child("show", ns::CLIENT).map(Element::text).as_deref(), Some("away"));

    // To a client, to a server, and to an account on whose behalf the server answers.
    let ping = format!("<ping xmlns='{}'/>", ns::PING);
    assert_eq!(romeo.ask("get", Some(MANTUA), &ping), Ok(None));
    let info = romeo.ask("get", Some(BALTHASAR), &format!("<query xmlns='{}'/>", ns::DISCO_INFO)).unwrap().unwrap();
    assert!(info.is("query", ns::DISCO_INFO));
    let version = romeo.ask("get", Some(MANTUA), &format!("<query xmlns='{}'/>", ns::VERSION)).unwrap().unwrap();
    assert!(version.child("name", ns::VERSION).is_some());
    let id = romeo.next_id();
    romeo.send(&format!("<iq type='get' id='{id}' to='{}'><x xmlns='urn:test'/></iq>", balthasar.full()));
    let asked = balthasar.expect("the question", |el| el.is("iq", ns::CLIENT) && el.attribute("id") == Some(&id));
    balthasar.send(&format!("<iq type='result' id='{id}' to='{}'/>", asked.attribute("from").unwrap()));
    romeo.expect("the answer", |el| el.attribute("id") == Some(&id) && el.attribute("type") == Some("result"));

    // Going is told too.
    balthasar.close();
    romeo.expect_presence(Some("unavailable"), "balthasar@mantua.test/tomb");
}

#[test]
fn components_are_reached_from_other_domains() {
    let authority = Authority::new();
    let (here, there) = (own_address(), own_address());
    let mut verona = options(&authority, VERONA, here, PLAIN, (MANTUA, there));
    let components = with_components(&["echo.verona.test"]);
    verona.files.extend(components.files);
    verona.sections.extend(components.sections);
    let verona = Node::start(verona);
    let mut mantua = options(&authority, MANTUA, there, PLAIN, (VERONA, here));
    let hosts = format!("[\"verona.test={here}:5269\", \"echo.verona.test={here}:5269\"]");
    let section = mantua.sections.get_mut("s2s").unwrap();
    *section = section.replace(&format!("[\"verona.test={here}:5269\"]"), &hosts);
    let mantua = Node::start(mantua);
    mantua.add_account("balthasar");
    let mut echo = Component::serve(&verona, "echo.verona.test");
    let mut balthasar = Client::online(&mantua, "balthasar", "tomb");
    balthasar.say("cave@echo.verona.test", &body("who's there?"));
    let heard = echo.expect("the message", |el| body_of(el).is_some());
    let from = heard.attribute("from").unwrap();
    assert_eq!(from, balthasar.full().to_string());
    let text = body("there");
    echo.send(&format!("<message type='chat' from='cave@echo.verona.test' to='{from}'><body>{text}</body></message>"));
    assert_eq!(balthasar.expect_body(&text).attribute("from"), Some("cave@echo.verona.test"));
    balthasar.wait_acked();
}

#[test]
fn a_message_waits_for_an_absent_user_of_another_domain() {
    let world = World::new(PLAIN, PLAIN);
    let mut romeo = world.romeo();
    for n in 0..3 {
        romeo.say(BALTHASAR, &body(n));
    }
    romeo.wait_acked();
    let mut balthasar = world.balthasar();
    for n in 0..3 {
        let message = balthasar.expect_body(&body(n));
        assert!(message.child("delay", ns::DELAY).is_some());
    }
    // Nobody of that name, and nobody is told so either.
    romeo.say("nobody@mantua.test", &body("hello?"));
    romeo.wait_acked();
    romeo.nothing_waits();
}

#[test]
fn messages_outlive_restarts_of_either_side_and_a_kill() {
    let mut world = World::new(PLAIN, PLAIN);
    let mut romeo = world.romeo();
    romeo.say(BALTHASAR, &body("one"));
    romeo.wait_acked();
    world.mantua.sigterm();
    // Nobody is there; the promise is kept by the disk.
    romeo.say(BALTHASAR, &body("two"));
    romeo.say(BALTHASAR, &body("three"));
    romeo.wait_acked();
    world.verona.kill9();
    drop(romeo);
    world.verona.start_again();
    let mut romeo = world.romeo();
    romeo.say(BALTHASAR, &body("four"));
    // The node has it, and has promised nothing yet.
    romeo.roundtrip();
    world.verona.sigterm();
    world.mantua.start_again();
    world.verona.start_again();
    let mut balthasar = world.balthasar();
    for words in ["one", "two", "three", "four"] {
        balthasar.expect_body(&body(words));
    }
    balthasar.nothing_waits();
}

#[test]
fn what_a_server_had_before_it_stopped_in_order_does_not_come_again() {
    let mut world = World::new(PLAIN, PLAIN);
    let mut romeo = world.romeo();
    for round in 0..5 {
        let mut balthasar = world.balthasar();
        let said: Vec<String> = (0..20).map(|number| body(format!("{number} in round {round}"))).collect();
        for words in &said {
            romeo.say(BALTHASAR, words);
        }
        for words in &said {
            balthasar.expect_body(words);
        }
        balthasar.close();
        world.mantua.sigterm();
        world.mantua.start_again();
        let mut balthasar = world.balthasar();
        let last = body(format!("the last in round {round}"));
        romeo.say(BALTHASAR, &last);
        let first = balthasar.expect("a message", |el| body_of(el).is_some());
        assert_eq!(body_of(&first), Some(last));
        balthasar.close();
    }
}

#[test]
fn certificates_that_prove_nothing_are_refused_and_the_sender_is_told() {
    for flaw in [Flaw::Expired, Flaw::OtherName, Flaw::SelfSigned] {
        // The one who is asked, and the one who asks.
        for (verona, mantua) in [(PLAIN, Side { flaw, ..PLAIN }), (Side { flaw, ..PLAIN }, PLAIN)] {
            let world = World::new(verona, mantua);
            let (mut romeo, mut balthasar) = (world.romeo(), world.balthasar());
            let ping = format!("<ping xmlns='{}'/>", ns::PING);
            let refusal = romeo.ask("get", Some(MANTUA), &ping).expect_err("no stream");
            assert!(refusal.condition.starts_with("remote-server-"), "{flaw:?}: {refusal:?}");
            if verona.flaw == Flaw::None {
                let id = romeo.say(BALTHASAR, &body("psst"));
                assert_eq!(bounced(&mut romeo, &id), "remote-server-not-found", "{flaw:?}");
            }
            balthasar.nothing_waits();
        }
    }
}

#[test]
fn dialback_proves_self_signed_servers_where_it_is_allowed() {
    let side = Side { flaw: Flaw::SelfSigned, dialback: true, more: "" };
    let world = World::new(side, side);
    let (mut romeo, mut balthasar) = (world.romeo(), world.balthasar());
    romeo.say(BALTHASAR, &body("news?"));
    balthasar.expect_body(&body("news?"));
    balthasar.say(ROMEO, &body("none"));
    romeo.expect_body(&body("none"));
    romeo.wait_acked();
    assert!(world.mantua.log_says("stream from verona.test").contains("by dialback"));
}

#[test]
fn denied_and_unlisted_domains_are_told_apart_from_nobody() {
    let world = World::new(Side { more: "deny = [\"mantua.test\"]\n", ..PLAIN }, PLAIN);
    let (mut romeo, mut balthasar) = (world.romeo(), world.balthasar());
    let id = romeo.say(BALTHASAR, &body("psst"));
    assert_eq!(bounced(&mut romeo, &id), "not-allowed");
    romeo.wait_acked();
    // And from the other side: Verona refuses the stream.
    let ping = format!("<ping xmlns='{}'/>", ns::PING);
    let refusal = balthasar.ask("get", Some(VERONA), &ping).expect_err("no stream");
    assert_eq!(refusal.condition, "remote-server-timeout");
    world.mantua.log_says("no stream to verona.test: its server: it ended the stream: policy-violation");
    // Presence is not answered, and one's own domain is not elsewhere.
    romeo.send(&format!("<presence to='{BALTHASAR}'/>"));
    romeo.nothing_waits();

    let world = World::new(Side { more: "allow = [\"padua.test\"]\n", ..PLAIN }, PLAIN);
    let mut romeo = world.romeo();
    let id = romeo.say(BALTHASAR, &body("psst"));
    assert_eq!(bounced(&mut romeo, &id), "not-allowed");
}
