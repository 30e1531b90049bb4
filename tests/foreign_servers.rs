//! Federation with servers that others made: Debian's Prosody and ejabberd. Messages, subscriptions, presence and iqs both ways, with
//! certificates of a test authority and with dialback; certificates that prove nothing and denied domains are refused.
//!
//! `tests/run` installs the packages. Each server has an address of its own, so it has its usual port, and asks the test's name
//! server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/foreign.rs"]
mod foreign;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/name_server.rs"]
mod name_server;
mod support;

use std::net::{IpAddr, SocketAddr};

use authority::{Authority, Flaw};
use foreign::{Foreign, Make, Wishes};
use kontalk_node::xml::{Element, ns};
use loopback::own_address;
use name_server::NameServer;
use support::body;
use support::client::{Client, Connect};
use support::node::{Node, NodeOptions};
use support::stanzas::{Refused, refused};

const VERONA: &str = "verona.example.net";
const PADUA: &str = "padua.example.net";
const ROMEO: &str = "romeo@verona.example.net";

/// A node and a server of another make.
struct World {
    node: Node,
    foreign: Foreign,
    _names: NameServer,
}

/// What is different from a world in which both prove themselves by certificate.
#[derive(Clone, Copy)]
struct Setting {
    /// Of the node's certificate.
    ours: Flaw,
    /// Of the other server's.
    theirs: Flaw,
    dialback: bool,
    /// More of the node's section `[s2s]`.
    more: &'static str,
}

const PLAIN: Setting = Setting { ours: Flaw::None, theirs: Flaw::None, dialback: false, more: "" };

impl World {
    fn new(make: Make, setting: Setting) -> World {
        let authority = Authority::new();
        let (here, there): (IpAddr, IpAddr) = (own_address(), own_address());
        let names = NameServer::start(here);
        names.knows(VERONA, SocketAddr::new(here, 5269));
        names.knows(PADUA, SocketAddr::new(there, 5269));
        let wishes = Wishes {
            make,
            domain: PADUA,
            ip: there,
            names: names.address,
            issued: &authority.issue(PADUA, setting.theirs),
            authority: &authority.pem,
            dialback: setting.dialback,
        };
        let foreign = Foreign::start(&wishes);
        let issued = authority.issue(VERONA, setting.ours);
        let mut options = NodeOptions { domain: VERONA, ..NodeOptions::default() };
        for (name, content) in
            [("ca.pem", authority.pem.clone()), ("chain.pem", issued.certificate), ("key.pem", issued.key)]
        {
            options.files.push((name.to_owned(), content));
        }
        let s2s = format!(
            "listen = [\"{here}:5269\"]\nlisten_tls = []\nca_file = \"ca.pem\"\ndns = [\"{}\"]\ndialback = {}\n{}",
            names.address, setting.dialback, setting.more
        );
        options.sections.insert("s2s".to_owned(), s2s);
        options.sections.insert("tls".to_owned(), "certificate = \"chain.pem\"\nkey = \"key.pem\"\n".to_owned());
        let node = Node::start(options);
        node.add_account("romeo");
        World { node, foreign, _names: names }
    }

    fn romeo(&self) -> Client {
        Client::online(&self.node, "romeo", "orchard")
    }

    /// A user of the other server, registered on the spot.
    fn bianca(&self) -> Client {
        let how = Connect { address: self.foreign.address, domain: PADUA, ..Connect::to(&self.node) };
        let mut stranger = Client::connect(&how);
        let form = "<username>bianca</username><password>secret-of-bianca</password>";
        let query = format!("<query xmlns='{}'>{form}</query>", ns::REGISTER);
        stranger.send_raw(&format!("<iq type='set' id='r1'>{query}</iq>"));
        let answer = stranger.expect("the answer", |el| el.attribute("id") == Some("r1"));
        assert_eq!(answer.attribute("type"), Some("result"), "{answer:?}");
        drop(stranger);
        let mut bianca = Client::connect(&how);
        bianca.plain("bianca", "secret-of-bianca").expect("the password is right");
        bianca.bind(Some("garden"));
        bianca.roster();
        bianca.send("<presence/>");
        bianca.expect("her own presence", |el| el.is("presence", ns::CLIENT));
        bianca
    }
}

fn ping(client: &mut Client, to: &str) -> Result<Option<Element>, Refused> {
    client.ask("get", Some(to), &format!("<ping xmlns='{}'/>", ns::PING))
}

/// Everything that users do with each other, both ways.
fn everything_works(world: &World, proof: &str) {
    let (mut romeo, mut bianca) = (world.romeo(), world.bianca());
    let bianca_bare = bianca.bare();
    bianca.say(ROMEO, &body("who's there?"));
    romeo.expect_body(&body("who's there?"));
    romeo.say(&bianca_bare, &body("nobody"));
    let heard = bianca.expect_body(&body("nobody"));
    assert_eq!(heard.attribute("from"), Some(romeo.full().to_string().as_str()));
    for n in 0..50 {
        romeo.say(&bianca.full().to_string(), &body(n));
        bianca.say(&romeo.full().to_string(), &body(n));
    }
    for n in 0..50 {
        bianca.expect_body(&body(n));
        romeo.expect_body(&body(n));
    }
    romeo.wait_acked();
    world.node.log_says(&format!("{PADUA} ({proof}"));

    // Subscriptions and presence.
    romeo.send(&format!("<presence type='subscribe' to='{bianca_bare}'/>"));
    bianca.expect_presence(Some("subscribe"), ROMEO);
    bianca.send(&format!("<presence type='subscribed' to='{ROMEO}'/>"));
    romeo.expect_presence(Some("subscribed"), &bianca_bare);
    romeo.expect_presence(None, &bianca.full().to_string());
    bianca.send(&format!("<presence type='subscribe' to='{ROMEO}'/>"));
    romeo.expect_presence(Some("subscribe"), &bianca_bare);
    romeo.send(&format!("<presence type='subscribed' to='{bianca_bare}'/>"));
    bianca.expect_presence(Some("subscribed"), ROMEO);
    bianca.expect_presence(None, &romeo.full().to_string());
    romeo.send("<presence><show>dnd</show></presence>");
    bianca.expect("his presence", |el| {
        el.is("presence", ns::CLIENT) && el.child("show", ns::CLIENT).is_some_and(|show| show.text() == "dnd")
    });

    // Iqs to servers and to clients.
    assert_eq!(ping(&mut romeo, PADUA), Ok(None));
    assert_eq!(ping(&mut bianca, VERONA), Ok(None));
    let version = format!("<query xmlns='{}'/>", ns::VERSION);
    let name = romeo.ask("get", Some(PADUA), &version).unwrap().unwrap().child("name", ns::VERSION).unwrap().text();
    assert_eq!(name.to_ascii_lowercase(), format!("{:?}", world.foreign.make).to_ascii_lowercase());
    bianca.ask("get", Some(VERONA), &version).unwrap().unwrap();
    let id = bianca.next_id();
    bianca.send(&format!("<iq type='get' id='{id}' to='{}'><x xmlns='urn:test'/></iq>", romeo.full()));
    let asked = romeo.expect("the question", |el| el.is("iq", ns::CLIENT) && el.attribute("id") == Some(&id));
    romeo.send(&format!("<iq type='result' id='{id}' to='{}'/>", asked.attribute("from").unwrap()));
    bianca.expect("the answer", |el| el.attribute("id") == Some(&id) && el.attribute("type") == Some("result"));

    // One who is not there.
    let refusal = bianca.ask("get", Some(&format!("nobody@{VERONA}")), &version).expect_err("nobody");
    assert_eq!(refusal.condition, "service-unavailable");
    drop(bianca);
    romeo.expect_presence(Some("unavailable"), &format!("bianca@{PADUA}/garden"));
}

/// One who shows a certificate that proves nothing is refused, whichever side dials.
fn bad_certificates_are_refused(make: Make) {
    for flaw in [Flaw::Expired, Flaw::OtherName, Flaw::SelfSigned] {
        let world = World::new(make, Setting { theirs: flaw, ..PLAIN });
        let (mut romeo, mut bianca) = (world.romeo(), world.bianca());
        let id = romeo.say(&bianca.bare(), &body("psst"));
        let error = romeo.expect("an error", |el| el.attribute("id") == Some(&id));
        assert_eq!(refused(&error).expect("it is one").condition, "remote-server-not-found", "{flaw:?}");
        assert!(ping(&mut bianca, VERONA).is_err(), "{flaw:?}");
        assert!(world.node.log_says("no stream to padua.example.net").contains("certificate"));
    }
    let world = World::new(make, Setting { ours: Flaw::Expired, ..PLAIN });
    let (mut romeo, mut bianca) = (world.romeo(), world.bianca());
    assert!(ping(&mut bianca, VERONA).is_err());
    assert!(ping(&mut romeo, PADUA).is_err());
}

/// Neither side of a denied domain gets through, and its users are told.
fn denied_domains_are_refused(make: Make) {
    let world = World::new(make, Setting { more: "deny = [\"padua.example.net\"]\n", ..PLAIN });
    let (mut romeo, mut bianca) = (world.romeo(), world.bianca());
    assert_eq!(ping(&mut romeo, PADUA).expect_err("denied").condition, "not-allowed");
    assert!(ping(&mut bianca, VERONA).is_err());
    romeo.nothing_waits();
}

#[test]
fn foreign_servers_prosody_with_certificates() {
    everything_works(&World::new(Make::Prosody, PLAIN), "by certificate");
}

#[test]
fn foreign_servers_prosody_with_dialback() {
    let setting = Setting { ours: Flaw::SelfSigned, theirs: Flaw::SelfSigned, dialback: true, more: "" };
    everything_works(&World::new(Make::Prosody, setting), "by dialback");
}

#[test]
fn foreign_servers_prosody_and_bad_certificates() {
    bad_certificates_are_refused(Make::Prosody);
}

#[test]
fn foreign_servers_prosody_denied() {
    denied_domains_are_refused(Make::Prosody);
}

#[test]
fn foreign_servers_ejabberd_with_certificates() {
    everything_works(&World::new(Make::Ejabberd, PLAIN), "by certificate");
}

#[test]
fn foreign_servers_ejabberd_with_dialback() {
    let setting = Setting { ours: Flaw::SelfSigned, theirs: Flaw::SelfSigned, dialback: true, more: "" };
    everything_works(&World::new(Make::Ejabberd, setting), "by dialback");
}

#[test]
fn foreign_servers_ejabberd_and_bad_certificates() {
    bad_certificates_are_refused(Make::Ejabberd);
}

#[test]
fn foreign_servers_ejabberd_denied() {
    denied_domains_are_refused(Make::Ejabberd);
}
