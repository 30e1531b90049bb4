//! Public keys for ordinary OpenPGP tools: a real node, GnuPG and Sequoia. Web Key Directory and key server, who is found and who is
//! not, and that nobody can try out numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/person.rs"]
mod person;
mod support;

use std::process::Command;

use kontalk_node::limits::KEY_QUESTIONS_PER_NETWORK;
use kontalk_node::pgp::UserRing;
use kontalk_node::xml::ns;
use person::Person;
use sha1::{Digest, Sha1};
use support::client::Connect;
use support::gnupg::GnupgHome;
use support::http::Http;
use support::node::{DOMAIN, Node, NodeOptions};

fn node(settings: &[&str]) -> Node {
    let mut options = NodeOptions::default();
    options.add_config("web.reverse_proxy = true");
    for setting in settings {
        options.add_config(setting);
    }
    Node::start(options)
}

fn get(node: &Node, client: &str, path: &str) -> (u16, Vec<u8>) {
    let answer = Http::plain_to(node).ask("GET", path, &[("X-Forwarded-For", client)], b"");
    (answer.status, answer.content)
}

fn wkd_hash(name: &str) -> String {
    let letters = b"ybndrfg8ejkmcpqxot1uwisza345h769";
    let bits: String = Sha1::digest(name).iter().map(|byte| format!("{byte:08b}")).collect();
    let groups = (0..32).map(|at| usize::from_str_radix(&bits[at * 5..at * 5 + 5], 2).unwrap());
    groups.map(|group| char::from(letters[group])).collect()
}

/// Runs a program that must be there; gives what it printed if it succeeded.
fn run(program: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let mut command = Command::new(program);
    command.args(arguments);
    output(command)
}

fn output(mut command: Command) -> Result<Vec<u8>, String> {
    let done = command.output();
    let done = done.unwrap_or_else(|error| panic!("{command:?}: {error} (remedy: apt-get install gnupg dirmngr sq)"));
    if done.status.success() { Ok(done.stdout) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

/// GnuPG with a home of its own.
struct Gpg(GnupgHome);

impl Gpg {
    fn new(name: &str) -> Gpg {
        Gpg(GnupgHome::new(name))
    }

    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = self.0.gpg();
        command.arg("--with-colons").args(arguments);
        output(command).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[test]
fn gnupg_and_sequoia_find_the_server_and_its_users() {
    let mut node = node(&[]);
    let mut anna = Person::new(0, "+393351230020", Connect::to(&node));
    anna.register(&mut node, false);
    let own = String::from_utf8(node.cli(&["key", "fingerprint"]).stdout).unwrap().trim().to_owned();
    let hers = UserRing::parse(&anna.ring).unwrap().fingerprint().to_string();
    let server = format!("hkp://{}", node.address_web());

    let gpg = Gpg::new("keys");
    // Unless told otherwise, it drops all that others signed of what a key server gives.
    let receive = ["--keyserver", &server, "--keyserver-options", "no-self-sigs-only,no-import-clean", "--recv-keys"];
    for fingerprint in [&own, &hers] {
        gpg.run(&[&receive[..], &[fingerprint.as_str()]].concat()).unwrap();
        assert!(gpg.run(&["--list-keys", fingerprint]).unwrap().contains(fingerprint.as_str()));
    }
    let signatures = gpg.run(&["--check-signatures", &hers]).unwrap();
    let by_server = |line: &&str| line.starts_with("sig:!") && line.contains(&own) && line.contains(":10x:");
    assert_eq!(signatures.lines().filter(by_server).count(), 1, "{signatures}");

    // By the address, with nothing known before.
    let fresh = Gpg::new("located");
    let locate = ["--keyserver", &server, "--auto-key-locate", "clear,keyserver", "--locate-keys"];
    let address = anna.number.address();
    let found = fresh.run(&[&locate[..], &[address.as_str()]].concat()).unwrap();
    assert!(found.contains(&hers), "{found}");
    let found = fresh.run(&["--keyserver", &server, "--search-keys", &format!("xmpp:{DOMAIN}")]).unwrap();
    assert!(found.contains(&own), "{found}");

    // Whom nobody knows is not there.
    let nobody = format!("069e175e2bdfaf2779e43bb10dee192f77a47cc9@{DOMAIN}");
    assert!(fresh.run(&[&locate[..], &[nobody.as_str()]].concat()).is_err());

    for (query, fingerprint) in [(&own, &own), (&hers, &hers), (&address, &hers)] {
        let ring = run("sq", &["keyserver", "-p", "insecure", "-s", &server, "get", "-B", query]).unwrap();
        assert_eq!(UserRing::parse(&ring).unwrap().fingerprint().to_string(), *fingerprint, "{query}");
    }

    // The directory gives the very ring that the client has.
    let path = format!("hu/{}?l={}", wkd_hash(&anna.number.localpart), anna.number.localpart);
    for form in ["/.well-known/openpgpkey".to_owned(), format!("/.well-known/openpgpkey/{DOMAIN}")] {
        assert_eq!(get(&node, "192.0.2.1", &format!("{form}/{path}")), (200, anna.ring.clone()));
        assert_eq!(get(&node, "192.0.2.1", &format!("{form}/policy")), (200, Vec::new()));
    }
    let url = String::from_utf8(run("sq", &["wkd", "url", &address]).unwrap()).unwrap();
    assert!(url.contains(&path), "{url} is not the form that is answered");
}

#[test]
fn who_does_not_want_to_be_found_is_not_and_numbers_cannot_be_tried_out() {
    let mut node = node(&[]);
    let mut anna = Person::new(0, "+393351230021", Connect::to(&node));
    anna.register(&mut node, false);
    let hers = UserRing::parse(&anna.ring).unwrap().fingerprint();
    let by_print = format!("/pks/lookup?op=get&search=0x{hers}");
    let by_address = format!("/pks/lookup?op=get&search={}", anna.number.address());
    let wkd = format!("/.well-known/openpgpkey/hu/{}?l={}", wkd_hash(&anna.number.localpart), anna.number.localpart);
    let all = [by_print, by_address.clone(), wkd];
    let statuses = |client: &str| all.each_ref().map(|path| get(&node, client, path).0);
    assert_eq!(statuses("192.0.2.1"), [200; 3]);

    let mut app = anna.online();
    let command = format!(
        "<command xmlns='{}' node='urn:kontalk:discover:0#discoverable' action='complete'><x xmlns='{}' type='submit'>\
         <field var='discoverable'><value>0</value></field></x></command>",
        ns::COMMANDS,
        ns::DATA_FORMS
    );
    app.ask("set", Some(&anna.number.address()), &command).unwrap();
    assert_eq!(statuses("192.0.2.2"), [404; 3]);

    // One network's questions come to an end, whatever they are about; the server's own key costs nothing.
    let asked = (0..=KEY_QUESTIONS_PER_NETWORK).map(|_| get(&node, "192.0.2.3", &by_address).0);
    let asked: Vec<u16> = asked.collect();
    assert_eq!(asked.iter().filter(|status| **status == 404).count(), KEY_QUESTIONS_PER_NETWORK as usize);
    assert_eq!(asked.last(), Some(&429));
    assert_eq!(get(&node, "192.0.2.3", &format!("/pks/lookup?op=get&search=xmpp:{DOMAIN}")).0, 200);
    assert_eq!(get(&node, "192.0.2.4", &by_address).0, 404);
}

#[test]
fn where_users_keys_are_not_given_the_servers_is() {
    let mut node = node(&["web.user_keys = false"]);
    let mut anna = Person::new(0, "+393351230022", Connect::to(&node));
    anna.register(&mut node, false);
    let hers = UserRing::parse(&anna.ring).unwrap().fingerprint();
    assert_eq!(get(&node, "192.0.2.1", &format!("/pks/lookup?op=get&search=0x{hers}")).0, 404);
    let (status, index) = get(&node, "192.0.2.1", &format!("/pks/lookup?op=index&options=mr&search={DOMAIN}"));
    let own = String::from_utf8(node.cli(&["key", "fingerprint"]).stdout).unwrap().trim().to_owned();
    assert_eq!(status, 200);
    let index = String::from_utf8(index).unwrap();
    assert!(index.starts_with(&format!("info:1:1\npub:{own}:")) && index.contains("\nuid:xmpp%3A"), "{index}");
}
