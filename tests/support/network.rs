//! Nodes that know each other by their cards alone: each a process with an address of its own, a certificate that it made itself,
//! and no name server that would answer.
#![allow(dead_code)] // Each test binary uses its own part of this.

use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::loopback::own_address;
use crate::person::Person;
use crate::support::client::Connect;
use crate::support::node::{Node, NodeOptions};

/// A node of the network.
pub struct Place {
    pub node: Node,
    pub address: IpAddr,
    /// What its operator hands over, and the fingerprint that he reads out.
    pub card: String,
    pub fingerprint: String,
}

impl Place {
    /// Starts a node that tells others where it is. `more`: lines of its sections `s2s` and `trust`.
    pub fn new(domain: &'static str, s2s: &str, trust: &str) -> Place {
        Place::with(domain, s2s, trust, Vec::new())
    }

    /// The same with files beside its configuration.
    pub fn with(domain: &'static str, s2s: &str, trust: &str, files: Vec<(String, String)>) -> Place {
        let address = own_address();
        let mut options = NodeOptions { domain, files, ..NodeOptions::default() };
        let listen = format!("listen = [\"{address}:5269\"]\nlisten_tls = [\"{address}:5270\"]\n");
        options.sections.insert("s2s".to_owned(), format!("{listen}dns = [\"{address}:1\"]\n{s2s}"));
        let addresses = if trust.contains("addresses") { "" } else { &format!("addresses = [\"{address}:5269\"]\n") };
        options.sections.insert("trust".to_owned(), format!("{addresses}{trust}"));
        options.sections.insert("sms".to_owned(), "via = \"terminal\"\ncountries = \"all\"\n".to_owned());
        let node = Node::start(options);
        let made = node.cli(&["trust", "card", "--make"]);
        assert!(made.status.success(), "{made:?}");
        let card = String::from_utf8(made.stdout).expect("text");
        let fingerprint = node.cli(&["key", "fingerprint"]).stdout;
        Place { node, address, card, fingerprint: String::from_utf8(fingerprint).expect("text").trim().to_owned() }
    }

    pub fn domain(&self) -> &'static str {
        self.node.domain()
    }

    /// Its operator trusts another one, by card and fingerprint.
    pub fn trusts(&self, other: &Place) {
        self.add(other.domain(), &other.card, &other.fingerprint);
    }

    pub fn add(&self, domain: &str, card: &str, fingerprint: &str) {
        let done =
            self.node.cli_with_input(&["trust", "add", domain, "--card", "-", "--fingerprint", fingerprint], card);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Runs `trust …`, which must succeed; gives what it said.
    pub fn trust(&self, arguments: &[&str]) -> String {
        let words: Vec<&str> = ["trust"].into_iter().chain(arguments.iter().copied()).collect();
        let done = self.node.cli(&words);
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("text")
    }

    /// Stops the node; when it is started again it is somewhere else.
    pub fn move_away(&mut self) {
        let (old, new) = (self.address, own_address());
        let path = self.node.config_path();
        let config = fs::read_to_string(&path).expect("the configuration");
        fs::write(&path, config.replace(&format!("\"{old}:"), &format!("\"{new}:"))).expect("it can be written");
        self.address = new;
    }

    /// The number of the reach that this node has of another one.
    pub fn knows_reach(&self, of: &str) -> Option<u64> {
        let shown = self.node.cli(&["trust", "show", of]);
        let text = String::from_utf8(shown.stdout).expect("text");
        let (_, reach) = text.split_once("kontalk-reach-v1")?;
        reach.lines().find_map(|line| line.strip_prefix("seq "))?.parse().ok()
    }
}

/// Waits until something is so; it must be within `patience`. Gives how long it took.
pub fn within(patience: Duration, what: &str, so: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < patience, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    begun.elapsed()
}

/// From now on the person's app connects to this node.
pub fn goes_to(person: &mut Person, place: &Place) {
    person.how = Connect::to(&place.node);
    person.number.domain = place.domain();
}
