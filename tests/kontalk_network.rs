//! Kontalk's clients across nodes that trust each other, each a process with an address of its own: who is found where, keys,
//! messages and groups, with nodes that stop in between.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/keys.rs"]
mod keys;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/person.rs"]
mod person;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use authority::{Authority, Flaw};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keys::BridgeCertificate;
use kontalk_node::xml::{Element, ns};
use loopback::own_address;
use person::Person;
use support::body;
use support::client::{Client, ClientCertificate, Connect};
use support::node::{Node, NodeOptions};
use support::stanzas::{body_of, refusal};

const DOMAINS: [&str; 5] = ["a.kontalk.test", "b.kontalk.test", "c.kontalk.test", "d.kontalk.test", "e.kontalk.test"];

/// So many nodes, each of which knows where the others are and trusts them.
fn network(nodes: usize) -> Vec<Node> {
    let authority = Authority::new();
    let places: Vec<(&'static str, IpAddr)> =
        DOMAINS.iter().take(nodes).map(|domain| (*domain, own_address())).collect();
    let started: Vec<Node> = places
        .iter()
        .map(|(domain, address)| {
            let issued = authority.issue(domain, Flaw::None);
            let mut options = NodeOptions { domain, ..NodeOptions::default() };
            for (name, content) in
                [("ca.pem", authority.pem.clone()), ("chain.pem", issued.certificate), ("key.pem", issued.key)]
            {
                options.files.push((name.to_owned(), content));
            }
            let others = places.iter().filter(|(other, _)| other != domain);
            let hosts: Vec<String> = others.map(|(other, at)| format!("\"{other}={at}:5269\"")).collect();
            let s2s = format!(
                "listen = [\"{address}:5269\"]\nlisten_tls = []\nca_file = \"ca.pem\"\nhosts = [{}]\n\
                 dns = [\"{address}:1\"]\n",
                hosts.join(", ")
            );
            options.sections.insert("s2s".to_owned(), s2s);
            options.sections.insert("tls".to_owned(), "certificate = \"chain.pem\"\nkey = \"key.pem\"\n".to_owned());
            options.sections.insert("sms".to_owned(), "via = \"terminal\"\ncountries = \"all\"\n".to_owned());
            Node::start(options)
        })
        .collect();
    let cards: Vec<(&str, String, String)> = started
        .iter()
        .map(|node| {
            let card = node.cli(&["trust", "card", "--make"]);
            let fingerprint = node.cli(&["key", "fingerprint"]);
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            (node.domain(), text(card.stdout), text(fingerprint.stdout).trim().to_owned())
        })
        .collect();
    for node in &started {
        for (domain, card, fingerprint) in cards.iter().filter(|(domain, ..)| *domain != node.domain()) {
            let add = ["trust", "add", *domain, "--card", "-", "--fingerprint", fingerprint.as_str()];
            let done = node.cli_with_input(&add, card);
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
    }
    started
}

fn ask(client: &mut Client, to: &str, payload: &str) -> Element {
    client.ask("get", Some(to), payload).unwrap().expect("the answer has a payload")
}

#[test]
fn a_user_of_one_node_finds_subscribes_and_talks_to_one_of_another() {
    let mut nodes = network(2);
    let mut anna = Person::new(0, "+15555215554", Connect::to(&nodes[0]));
    let mut bruno = Person::new(1, "+393351234567", Connect::to(&nodes[1]));
    anna.register(&mut nodes[0], false);
    bruno.register(&mut nodes[1], false);
    let (mut app, mut friend) = (anna.online(), bruno.online());
    let (hers, his) = (anna.number.address(), bruno.number.address());

    // Asked with her own domain, as apps do; the answer has the true one. Who asks as a stranger learns nothing.
    let item = format!("<item jid='{}@{}'/>", bruno.number.localpart, DOMAINS[0]);
    let nobody = format!("<item jid='069e175e2bdfaf2779e43bb10dee192f77a47cc9@{}'/>", DOMAINS[0]);
    let query = format!("<query xmlns='{}'>{item}{nobody}</query>", ns::KONTALK_ROSTER);
    let found = ask(&mut app, &format!("probe@{}", DOMAINS[0]), &query);
    assert_eq!(found.children().map(|item| item.attribute("jid").unwrap()).collect::<Vec<_>>(), [his.as_str()]);
    assert!(app.ask("get", Some(&format!("probe@{}", DOMAINS[1])), &query).is_err(), "only nodes ask other nodes");

    // The server list is that of trust.
    let command = format!("<command xmlns='{}' node='serverlist' action='execute'/>", ns::COMMANDS);
    let list = ask(&mut app, &format!("network@{}", DOMAINS[0]), &command);
    let list = list.child("serverlist", ns::KONTALK_SERVER_LIST).unwrap();
    let known: Vec<&str> = list.children().map(|item| item.attribute("node").unwrap()).collect();
    assert_eq!(known, [DOMAINS[0], DOMAINS[1]]);
    let told = list.children().nth(1).unwrap().attribute("fingerprint").unwrap().to_owned();
    assert_eq!(told.as_bytes(), nodes[1].cli(&["key", "fingerprint"]).stdout.trim_ascii());

    // His key, and hers in the request that she sends.
    let ring = |answer: Element| STANDARD.decode(answer.text()).expect("base64 on one line");
    let pubkey = format!("<pubkey xmlns='{}'/>", ns::KONTALK_PUBKEY);
    assert_eq!(ring(ask(&mut app, &his, &pubkey)), bruno.ring);
    app.send(&format!("<presence to='{his}' type='subscribe'/>"));
    let request = friend.expect("her request", |el| el.attribute("type") == Some("subscribe"));
    let enclosed = request.child("pubkey", ns::KONTALK_PUBKEY).and_then(|key| key.child("key", ns::KONTALK_PUBKEY));
    assert_eq!(STANDARD.decode(enclosed.expect("her key").text()).unwrap(), anna.ring);
    friend.send(&format!("<presence to='{hers}' type='subscribed'/>"));
    friend.send(&format!("<presence to='{hers}' type='subscribe'/>"));
    app.expect("his request", |el| el.attribute("type") == Some("subscribe"));
    app.send(&format!("<presence to='{his}' type='subscribed'/>"));
    let seen = app.expect("his presence", |el| {
        el.name() == "presence"
            && el.attribute("type").is_none()
            && el.attribute("from").is_some_and(|f| f.starts_with(&his))
    });
    let print = seen.child("pubkey", ns::KONTALK_PUBKEY).and_then(|p| p.child("print", ns::KONTALK_PUBKEY));
    assert_eq!(print.map(Element::text), Some(bruno.key.fingerprint_hex()));
    let last = ask(&mut app, &his, "<query xmlns='jabber:iq:last'/>");
    assert!(last.attribute("seconds").is_some());

    // Messages and a group, and in the middle of it her node is started again.
    let words = body("before");
    app.say(&his, &words);
    friend.expect_body(&words);
    app.wait_acked();
    app.cut();
    nodes[0].sigterm();
    let words = body("while her node is away");
    friend.say(&hers, &words);
    nodes[0].start_again();
    anna.how = Connect::to(&nodes[0]);
    let mut app = anna.online();
    app.expect_body(&words);
    friend.wait_acked();
    let words = body("to the group");
    app.send(&format!(
        "<message type='chat' id='g1' to='multicast@{}'><addresses xmlns='{}'><address type='to' jid='{his}'/></addresses>\
         <body>{words}</body></message>",
        DOMAINS[0],
        ns::ADDRESS
    ));
    assert!(friend.expect_body(&words).child("addresses", ns::ADDRESS).is_none());
    app.wait_acked();
}

#[test]
fn a_node_that_is_away_delays_the_address_book_and_harms_nothing() {
    let mut nodes = network(3);
    let mut anna = Person::new(0, "+15555215554", Connect::to(&nodes[0]));
    let mut bruno = Person::new(1, "+393351234567", Connect::to(&nodes[1]));
    anna.register(&mut nodes[0], false);
    bruno.register(&mut nodes[1], false);
    let mut app = anna.online();
    app.set_patience(Duration::from_secs(30));
    nodes[2].kill9();
    let query = format!(
        "<query xmlns='{}'><item jid='{}@{}'/></query>",
        ns::KONTALK_ROSTER,
        bruno.number.localpart,
        DOMAINS[0]
    );
    let begun = Instant::now();
    let found = ask(&mut app, &format!("probe@{}", DOMAINS[0]), &query);
    assert_eq!(found.children().count(), 1);
    // The app gives up after 15 s.
    assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
}

#[test]
fn a_number_in_use_at_another_node_conflicts_unless_its_user_insists() {
    let mut nodes = network(3);
    let mut bruno = Person::new(1, "+393351234567", Connect::to(&nodes[1]));
    bruno.register(&mut nodes[1], false);
    let mut here = Person::new(2, "+393351234567", Connect::to(&nodes[0]));
    let conflict = refusal("conflict", "modify");
    let refused = here.stranger().request_code(&here.number, false);
    assert_eq!(refused.err(), Some(conflict.clone()));
    // A node that is silent changes neither what another says nor that newcomers get in; the app gives up after 15 s.
    nodes[2].kill9();
    let begun = Instant::now();
    let refused = here.stranger().request_code(&here.number, false);
    assert_eq!(refused.err(), Some(conflict));
    let mut carla = Person::new(3, "+4915112345678", Connect::to(&nodes[0]));
    carla.register(&mut nodes[0], false);
    assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
    // He insists, and has an account at each.
    here.register(&mut nodes[0], true);
    here.online().close();
    bruno.online().close();
}

/// A group of fifty, ten on each of five nodes.
struct Group {
    nodes: Vec<Node>,
    clients: BTreeMap<String, Client>,
    /// Who said what, in order.
    said: Vec<(String, String)>,
    /// How many of these each member has seen to.
    heard: BTreeMap<String, BTreeSet<String>>,
}

impl Group {
    fn new() -> Group {
        let nodes = network(DOMAINS.len());
        for node in &nodes {
            for index in 0..MEMBERS {
                node.add_account(&format!("member{index}"));
            }
        }
        let mut group = Group { nodes, clients: BTreeMap::new(), said: Vec::new(), heard: BTreeMap::new() };
        (0..DOMAINS.len()).for_each(|node| group.come(node));
        group
    }

    fn members(node: usize) -> impl Iterator<Item = String> {
        (0..MEMBERS).map(move |index| format!("member{index}@{}", DOMAINS[node]))
    }

    fn everybody() -> Vec<String> {
        (0..DOMAINS.len()).flat_map(Group::members).collect()
    }

    fn come(&mut self, node: usize) {
        for (index, address) in Group::members(node).enumerate() {
            let mut client = Client::online(&self.nodes[node], &format!("member{index}"), "phone");
            client.set_patience(Duration::from_secs(90));
            self.clients.insert(address, client);
        }
    }

    fn go(&mut self, node: usize) {
        for address in Group::members(node) {
            let mut client = self.clients.remove(&address).unwrap();
            client.wait_acked();
            client.close();
        }
    }

    /// One message to all the others.
    fn say(&mut self, from: &str, round: usize) {
        let words = body(format!("{from} in round {round}"));
        let others = Group::everybody().into_iter().filter(|to| to != from);
        let addresses: String = others.map(|to| format!("<address type='to' jid='{to}'/>")).collect();
        let domain = from.split_once('@').unwrap().1;
        self.clients.get_mut(from).unwrap().send(&format!(
            "<message type='chat' id='{round}' to='multicast@{domain}'><addresses xmlns='{}'>{addresses}</addresses>\
             <body>{words}</body></message>",
            ns::ADDRESS
        ));
        self.said.push((from.to_owned(), words));
    }

    /// Everybody who is there reads until nothing is missing; nothing comes twice.
    fn listen(&mut self) {
        for (address, client) in &mut self.clients {
            let heard = self.heard.entry(address.clone()).or_default();
            let from_others = self.said.iter().filter(|(from, _)| from != address).map(|(_, words)| words.as_str());
            let mut missing: BTreeSet<&str> = from_others.filter(|words| !heard.contains(*words)).collect();
            while !missing.is_empty() {
                let message = client.expect("a message", |el| body_of(el).is_some());
                let words = body_of(&message).unwrap();
                assert!(missing.remove(words.as_str()), "{address} has this twice, or nobody said it: {words}");
                heard.insert(words);
            }
        }
    }
}

#[test]
fn a_group_on_five_nodes_has_each_message_once_though_one_of_them_is_away() {
    let mut group = Group::new();
    let away = DOMAINS.len() - 1;
    // 1,000 messages: 20 rounds of 50 members. The last node is away from the sixth round to the tenth; its members say what they have
    // to say when they are back.
    let mut late: Vec<(String, usize)> = Vec::new();
    for round in 0..ROUNDS {
        if round == 5 {
            group.go(away);
            group.nodes[away].sigterm();
        }
        if round == 10 {
            group.nodes[away].start_again();
            group.come(away);
            for (from, round) in std::mem::take(&mut late) {
                group.say(&from, round);
            }
        }
        for from in Group::everybody() {
            match group.clients.contains_key(&from) {
                true => group.say(&from, round),
                false => late.push((from, round)),
            }
        }
        group.listen();
    }
    assert_eq!(group.said.len(), ROUNDS * DOMAINS.len() * MEMBERS);
    for client in group.clients.values_mut() {
        assert!(!client.drain().iter().any(|el| body_of(el).is_some()), "nothing more comes");
    }
}

const MEMBERS: usize = 10;
const ROUNDS: usize = 20;

#[test]
fn who_takes_a_number_over_is_at_home_at_once_and_nobodys_guest_before_the_hold_is_over() {
    let mut nodes = network(2);
    let at_home = Connect::to(&nodes[0]);
    let mut anna = Person::new(0, "+393351230010", at_home.clone());
    let mut bea = Person::new(1, "+393351230011", at_home.clone());
    anna.register(&mut nodes[0], false);
    bea.register(&mut nodes[0], false);
    let abroad = |person: &Person, node: &Node| {
        let BridgeCertificate { certificate_der, private_key_pkcs8_der } = person.key.bridge_certificate(&person.ring);
        let certificate = ClientCertificate { certificate_der, private_key_pkcs8_der };
        Client::connect(&Connect::to(node).certificate(certificate)).external("")
    };
    abroad(&anna, &nodes[1]).expect("a user who was never reset visits");

    let mut thief = Person::new(2, "+393351230010", at_home);
    thief.register(&mut nodes[0], true);
    assert_eq!(abroad(&thief, &nodes[1]), Err("temporary-auth-failure".to_owned()));
    nodes[1].log_says("may not visit: check 8: the number was registered anew at a.kontalk.test with another key");
    // At home there is no delay; and what the login gives back holds elsewhere no more than before.
    let mut app = thief.online();
    let own = ask(&mut app, &thief.number.address(), &format!("<pubkey xmlns='{}'/>", ns::KONTALK_PUBKEY));
    thief.ring = STANDARD.decode(own.text()).unwrap();
    assert_eq!(abroad(&thief, &nodes[1]), Err("temporary-auth-failure".to_owned()));
    // Registering once more with the same key does not end it, and others are not concerned.
    thief.register(&mut nodes[0], true);
    assert_eq!(abroad(&thief, &nodes[1]), Err("temporary-auth-failure".to_owned()));
    abroad(&bea, &nodes[1]).expect("she was never reset");
}
