//! Five hundred people register at a whole node, one after the other over TLS, while one message in five goes wrong at one of its two
//! providers: each ends with a key that logs in, or was told the truth each time, and no request brings two messages. In between the
//! node is killed. Neither log nor disk holds a number afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/person.rs"]
mod person;
#[path = "support/provider_stub.rs"]
mod provider_stub;
mod support;

use std::collections::HashSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use keys::ClientKey;
use person::Person;
use provider_stub::{Authority, Reply, Stub};
use support::Dice;
use support::client::Connect;
use support::node::{Node, NodeOptions};
use support::secret;

/// A provider with bad luck: what it answers next, and whether the message arrives.
struct Unlucky {
    stub: Stub,
    next: Option<bool>,
    failed: u32,
}

impl Unlucky {
    fn new(authority: &Authority) -> Unlucky {
        Unlucky { stub: Stub::start(authority), next: None, failed: 0 }
    }

    /// Settles how the next message goes, if it is not settled.
    fn prepare(&mut self, dice: &mut Dice) {
        if self.next.is_some() {
            return;
        }
        let (reply, arrives) = match if dice.below(5) == 0 { 1 + dice.below(5) } else { 0 } {
            1 => (Reply::json(400, r#"{"code":21211,"message":"no such number"}"#), false),
            2 => (Reply::json(429, "{}").with("Retry-After", "1"), false),
            3 => (Reply::json(500, "{}"), dice.below(2) == 0),
            // The line breaks: before it took the message, or behind it.
            4 => (Reply::Close, dice.below(2) == 0),
            // Taken, and lost in the network.
            5 => (Reply::json(201, TAKEN), false),
            _ => (Reply::json(201, TAKEN), true),
        };
        self.stub.then(reply);
        self.next = Some(arrives);
    }

    /// The codes that arrived since the last call.
    fn arrived(&mut self) -> Vec<String> {
        let asked = self.stub.asked();
        assert!(asked.len() <= 1, "one request was sent twice by one way");
        let Some(asked) = asked.first() else { return Vec::new() };
        let arrives = self.next.take().expect("it was settled");
        self.failed += u32::from(!arrives);
        let form = asked.form();
        let body = form.iter().find_map(|field| field.strip_prefix("Body=")).expect("a text");
        let code: String = body.chars().filter(char::is_ascii_digit).take(6).collect();
        if arrives { vec![code] } else { Vec::new() }
    }
}

fn node(providers: &[Unlucky], authority: &Authority) -> Node {
    let mut options = NodeOptions::default();
    options.files.push(("ca.pem".into(), authority.pem.clone()));
    options.files.push(("provider.secret".into(), secret("t0p-s3cr3t")));
    for setting in [
        "sms.routes = [\"first\", \"second\"]",
        // So that the numbers are of the node's own country.
        "sms.own_number = \"+4930123456789\"",
        // All come within a minute.
        "registration.prefix_burst = 10000",
    ] {
        options.add_config(setting);
    }
    for (name, provider) in ["first", "second"].iter().zip(providers) {
        let lines = format!(
            "kind = \"twilio-sms\"\naccount = \"AC0123456789abcdef0123456789abcdef\"\nfrom = \"Kontalk\"\nurl = \"{}\"\n\
             secret_file = \"provider.secret\"\nca_file = \"ca.pem\"\n",
            provider.stub.url()
        );
        options.sections.insert(format!("sms.http.{name}"), lines);
    }
    Node::start(options)
}

/// A number of a block of its own, and a key of its own.
fn newcomer(index: usize, how: Connect) -> Person {
    let number = format!("+4915{index:04}{:04}", 1234 + index);
    let mut person = Person::new(index % 3, &number, how);
    let created = SystemTime::now() - Duration::from_secs(3600 + index as u64);
    person.key = ClientKey::numbered(index % 3, &format!("Person {index} <{}>", person.number.address()), created);
    person.ring = person.key.public_ring();
    person
}

#[test]
fn five_hundred_people_register_over_the_wire_while_one_message_in_five_goes_wrong() {
    let mut dice = Dice::new();
    println!("KONTALK_SEED={}", dice.seed);
    let authority = Authority::new();
    let mut providers = [Unlucky::new(&authority), Unlucky::new(&authority)];
    let mut node = node(&providers, &authority);
    let (mut verified, mut requests, mut people) = (0u32, 0u32, Vec::new());
    for index in 0..PEOPLE {
        if index % 100 == 99 {
            node.kill9();
            node.start_again();
        }
        // Each from a network of his own, as the throttles count.
        let [high, low] = u16::try_from(index).unwrap().to_be_bytes();
        let from = Some(IpAddr::from([127, 77, high, low]));
        let person = newcomer(index, Connect { from, ..Connect::to(&node) });
        people.push(person.number.e164.clone());
        for attempt in 0..3 {
            providers.iter_mut().for_each(|provider| provider.prepare(&mut dice));
            requests += 1;
            let mut stranger = person.stranger();
            let told = match attempt {
                0 => stranger.request_code(&person.number, false),
                _ => stranger.request_challenge(&person.number, None),
            };
            let codes: Vec<String> = providers.iter_mut().flat_map(Unlucky::arrived).collect();
            assert!(codes.len() <= 1, "one request brought two messages");
            match (told, codes.first()) {
                (Ok(_), Some(code)) => {
                    let ring = person.with_certificate().submit_code(code).expect("the code is right");
                    let mut person = person;
                    person.ring = ring;
                    if index % 50 == 0 {
                        person.online().close();
                    }
                    verified += 1;
                    break;
                }
                // It is on its way, they say, and it never comes; the user asks for another way.
                (Ok(_), None) => {}
                (Err(refused), None) => {
                    let truth = ["not-acceptable", "service-unavailable"];
                    assert!(truth.contains(&refused.condition.as_str()), "{refused:?}");
                }
                (Err(refused), Some(_)) => panic!("told that nothing was sent, and a message came: {refused:?}"),
            }
        }
    }
    println!("{verified} of {PEOPLE} verified with {requests} requests");
    assert!(verified as usize >= PEOPLE - 10, "{verified}");
    assert!(providers.iter().all(|provider| provider.failed > 0));
    let accounts = String::from_utf8(node.cli(&["status"]).stdout).unwrap();
    assert!(accounts.contains(&format!("accounts          {verified}\n")), "{accounts}");
    no_number_below(&node.data_dir(), &people);
    node.check_log();
}

/// No file below this holds one of these numbers.
fn no_number_below(dir: &Path, numbers: &[String]) {
    let digits: HashSet<&[u8]> = numbers.iter().map(|number| number.trim_start_matches('+').as_bytes()).collect();
    let length = digits.iter().next().expect("there are numbers").len();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            no_number_below(&path, numbers);
        } else if let Ok(bytes) = fs::read(&path) {
            assert!(!bytes.windows(length).any(|window| digits.contains(window)), "{} holds a number", path.display());
        }
    }
}

const PEOPLE: usize = 500;
const TAKEN: &str = r#"{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued"}"#;
