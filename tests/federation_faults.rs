//! Other servers that break off, never read, lie about who they are, or cannot be found: nothing that a user was promised is lost
//! silently, memory stays bounded, and others are not kept waiting.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/name_server.rs"]
mod name_server;
#[path = "support/peer.rs"]
mod peer;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use authority::{Authority, Flaw};
use kontalk_node::xml::{Element, ns};
use loopback::own_address;
use name_server::{Manner, NameServer};
use peer::{Peer, PeerServer};
use support::body;
use support::client::Client;
use support::node::{Node, NodeOptions};
use support::stanzas::refused;

const VERONA: &str = "verona.test";
const MANTUA: &str = "mantua.test";
const BALTHASAR: &str = "balthasar@mantua.test";

/// A node, and what is around it.
struct World {
    authority: Authority,
    node: Node,
    here: IpAddr,
    there: IpAddr,
    names: NameServer,
}

impl World {
    /// `known`: the node is told where Mantua is; else it asks the name server.
    fn new(known: bool) -> World {
        let authority = Authority::new();
        let (here, there) = (own_address(), own_address());
        let names = NameServer::start(here);
        let issued = authority.issue(VERONA, Flaw::None);
        let mut options = NodeOptions { domain: VERONA, log_level: "debug", ..NodeOptions::default() };
        for (name, content) in
            [("ca.pem", authority.pem.clone()), ("chain.pem", issued.certificate), ("key.pem", issued.key)]
        {
            options.files.push((name.to_owned(), content));
        }
        let hosts = if known { format!("\"{MANTUA}=tls:{there}:5270\"") } else { String::new() };
        let s2s = format!(
            "listen = [\"{here}:5269\"]\nlisten_tls = [\"{here}:5270\"]\nca_file = \"ca.pem\"\n\
             hosts = [{hosts}]\ndns = [\"{}\"]\n",
            names.address
        );
        options.sections.insert("s2s".to_owned(), s2s);
        options.sections.insert("tls".to_owned(), "certificate = \"chain.pem\"\nkey = \"key.pem\"\n".to_owned());
        let node = Node::start(options);
        node.add_account("romeo");
        node.add_account("juliet");
        World { authority, node, here, there, names }
    }

    fn romeo(&self) -> Client {
        Client::online(&self.node, "romeo", "orchard")
    }

    fn mantua(&self) -> PeerServer {
        PeerServer::bind(self.there, &self.authority.issue(MANTUA, Flaw::None), MANTUA)
    }
}

/// The ids of messages that came back, with the condition of the last.
fn came_back(elements: &[Element]) -> BTreeSet<String> {
    let is_error = |el: &&Element| el.is("message", ns::CLIENT) && refused(el).is_some();
    elements.iter().filter(is_error).filter_map(|el| el.attribute("id")).map(str::to_owned).collect()
}

#[test]
fn what_a_broken_stream_did_not_confirm_is_sent_again_in_order() {
    let world = World::new(true);
    let mantua = world.mantua();
    let mut romeo = world.romeo();
    let ids: Vec<String> = (0..20).map(|n| romeo.say(BALTHASAR, &body(n))).collect();
    let mut peer = mantua.accept(true);
    let mut arrived: Vec<String> = Vec::new();
    while arrived.len() < 8 {
        // Told of the first five; the other three are read, and the node cannot know.
        let message = if arrived.len() < 5 { peer.next_stanza() } else { peer.next() };
        let message = message.unwrap();
        if message.is("message", ns::SERVER) {
            arrived.push(message.attribute("id").unwrap().to_owned());
        }
    }
    peer.reset();
    // It breaks once more, in the midst of a stanza of its own.
    let mut peer = mantua.accept(true);
    peer.next_stanza().unwrap();
    peer.send("<message from='x@mantua.test' to='romeo@verona.te");
    peer.reset();
    let mut peer = mantua.accept(true);
    loop {
        let message = peer.next_stanza().unwrap();
        let id = message.attribute("id").unwrap().to_owned();
        if !arrived.contains(&id) {
            arrived.push(id.clone());
        }
        if Some(&id) == ids.last() {
            break;
        }
    }
    assert_eq!(arrived, ids);
    peer.send(&format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", peer.received));
    romeo.wait_acked();
    romeo.nothing_waits();
}

#[test]
fn a_peer_that_never_reads_costs_itself_alone_and_loses_nothing() {
    let world = World::new(true);
    let mantua = world.mantua();
    let mut romeo = world.romeo();
    let mut juliet = Client::online(&world.node, "juliet", "balcony");
    let first = romeo.say(BALTHASAR, &body("first"));
    let mut peer = mantua.accept(true);
    assert_eq!(peer.next_stanza().unwrap().attribute("id"), Some(first.as_str()));
    let before = memory_kib(&world.node);

    // More than may wait for one domain, in pieces: what is read of the answers is little.
    let text = "x".repeat(4000);
    let mut ids = BTreeSet::from([first]);
    let mut refusals = BTreeSet::new();
    for _ in 0..20 {
        for _ in 0..100 {
            ids.insert(romeo.say(BALTHASAR, &body(&text)));
        }
        refusals.extend(came_back(&romeo.drain()));
    }
    romeo.wait_acked();
    refusals.extend(came_back(&romeo.drain()));
    assert!(!refusals.is_empty() && refusals.len() < 1500, "{} of 2001 came back", refusals.len());
    // Others do not notice.
    juliet.say("romeo@verona.test", &body("still there?"));
    romeo.expect_body(&body("still there?"));
    let grown = memory_kib(&world.node).saturating_sub(before);
    assert!(grown < 24 * 1024, "{grown} KiB");

    peer.reset();
    let mut peer = mantua.accept(true);
    let mut arrived = BTreeSet::new();
    while arrived.len() + refusals.len() < ids.len() {
        let message = peer.next_stanza().unwrap();
        arrived.insert(message.attribute("id").unwrap().to_owned());
    }
    // The first was confirmed by nobody, so it may have come twice.
    assert_eq!(arrived.union(&refusals).cloned().collect::<BTreeSet<_>>(), ids);
    assert!(arrived.is_disjoint(&refusals));
}

#[test]
fn without_acknowledgements_a_ping_says_what_has_arrived() {
    let world = World::new(true);
    let mantua = world.mantua();
    let mut romeo = world.romeo();
    let one = romeo.say(BALTHASAR, &body("one"));
    let mut peer = mantua.accept(false);
    assert_eq!(peer.next().unwrap().attribute("id"), Some(one.as_str()));
    let ping = peer.next().unwrap();
    assert!(ping.child("ping", ns::PING).is_some());
    // The answer comes on a stream of Mantua's own.
    let issued = world.authority.issue(MANTUA, Flaw::None);
    let mut back = Peer::dial(SocketAddr::new(world.here, 5270), &issued, MANTUA, VERONA);
    let id = ping.attribute("id").unwrap();
    back.send(&format!("<iq type='result' from='{MANTUA}' to='{VERONA}' id='{id}'/>"));
    let two = romeo.say(BALTHASAR, &body("two"));
    assert_eq!(peer.next().unwrap().attribute("id"), Some(two.as_str()));
    romeo.wait_acked();
    peer.reset();
    // The first was confirmed, the second was not.
    let mut peer = mantua.accept(false);
    assert_eq!(peer.next().unwrap().attribute("id"), Some(two.as_str()));
}

#[test]
fn a_peer_that_speaks_for_another_domain_is_cut_off() {
    let world = World::new(true);
    let mut romeo = world.romeo();
    let issued = world.authority.issue(MANTUA, Flaw::None);
    let port = SocketAddr::new(world.here, 5270);
    for (text, condition) in [
        ("<message from='x@padua.test' to='romeo@verona.test'><body>x</body></message>", "invalid-from"),
        ("<message from='juliet@verona.test' to='romeo@verona.test'><body>x</body></message>", "invalid-from"),
        ("<message from='x@mantua.test' to='romeo@padua.test'><body>x</body></message>", "host-unknown"),
    ] {
        let mut peer = Peer::dial(port, &issued, MANTUA, VERONA);
        peer.send("<message type='chat' from='x@mantua.test' to='romeo@verona.test'><body>honest</body></message>");
        peer.send(text);
        let error = peer.next().unwrap();
        assert!(error.is("error", ns::STREAM) && error.child(condition, ns::STREAM_ERRORS).is_some(), "{error:?}");
        assert!(peer.next().is_err(), "the stream goes on");
        assert_eq!(romeo.expect_body("honest").attribute("from"), Some("x@mantua.test"));
    }
    romeo.nothing_waits();
}

#[test]
fn a_counting_peer_is_told_what_is_safe() {
    let world = World::new(true);
    let issued = world.authority.issue(MANTUA, Flaw::None);
    let mut peer = Peer::dial(SocketAddr::new(world.here, 5270), &issued, MANTUA, VERONA);
    peer.send("<enable xmlns='urn:xmpp:sm:3'/>");
    assert!(peer.next().unwrap().is("enabled", ns::SM));
    // Nobody is there: the disk has them before the peer hears so.
    for n in 0..3 {
        let text = body(n);
        peer.send(&format!(
            "<message type='chat' id='{n}' from='x@mantua.test' to='romeo@verona.test'><body>{text}</body></message>"
        ));
    }
    peer.send("<r xmlns='urn:xmpp:sm:3'/>");
    let told = peer.next().unwrap();
    assert_eq!((told.name(), told.attribute("h")), ("a", Some("3")));
    let mut world = world;
    world.node.kill9();
    world.node.start_again();
    let mut romeo = world.romeo();
    for n in 0..3 {
        romeo.expect_body(&body(n));
    }
}

#[test]
fn name_servers_that_lie_or_hang_delay_only_their_own() {
    let world = World::new(false);
    let mut romeo = world.romeo();
    romeo.set_patience(Duration::from_secs(30));
    let ping = format!("<ping xmlns='{}'/>", ns::PING);
    let refusal = romeo.ask("get", Some("nowhere.test"), &ping).expect_err("there is no such domain");
    assert_eq!(refusal.condition, "remote-server-not-found");
    for manner in [Manner::Lies, Manner::Hangs] {
        world.names.behaves(manner);
        let domain = format!("{manner:?}.test").to_lowercase();
        let message = romeo.say(&format!("x@{domain}"), &body("hello?"));
        // The promise is kept by the disk, long before the name server has been given up.
        romeo.wait_acked();
        let refusal = romeo.ask("get", Some(&domain), &ping).expect_err("nobody can be found");
        assert_eq!(refusal.condition, "remote-server-timeout");
        // It becomes honest: then it is known that there is no such domain.
        world.names.behaves(Manner::Honest);
        let error = romeo.expect("the message", |el| el.attribute("id") == Some(&message));
        assert_eq!(refused(&error).unwrap().condition, "remote-server-not-found");
    }
    // And one that is there is found.
    world.names.knows(MANTUA, SocketAddr::new(world.there, 5269));
    let refusal = romeo.ask("get", Some(MANTUA), &ping).expect_err("nobody listens there");
    assert_eq!(refusal.condition, "remote-server-timeout");
}

#[test]
fn a_thousand_domains_wait_in_little_memory_and_all_senders_are_told() {
    let mut world = World::new(false);
    world.names.behaves(Manner::Hangs);
    let mut romeo = world.romeo();
    let before = memory_kib(&world.node);
    let mut ids = BTreeSet::new();
    for n in 0..1000 {
        ids.insert(romeo.say(&format!("x@d{n}.test"), &body(n)));
    }
    romeo.wait_acked();
    let grown = memory_kib(&world.node).saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB for a thousand domains");
    // Not even a kill loses them.
    world.node.kill9();
    drop(romeo);
    world.node.start_again();
    let mut romeo = world.romeo();
    romeo.set_patience(Duration::from_secs(60));
    world.names.behaves(Manner::Honest);
    let mut told = BTreeSet::new();
    while told.len() < ids.len() {
        let error = romeo.expect("an error", |el| el.is("message", ns::CLIENT) && refused(el).is_some());
        assert_eq!(refused(&error).unwrap().condition, "remote-server-not-found");
        assert!(told.insert(error.attribute("id").unwrap().to_owned()), "told twice");
    }
    assert_eq!(told, ids);
}

fn memory_kib(node: &Node) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("the size");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}
