//! Stock XMPP clients, made by people who never heard of this node, log in with SCRAM, see each other's presence and talk: with
//! each other and with the Kontalk test client.
//!
//! `tests/stock/` holds a small driver for each library. It obeys `send TO BODY`, `subscribe JID`, `subscribed JID` and
//! `quit` (`slixmpp_client.py`, `archive.py` and `component.py` others besides), and tells `online JID`, `presence FROM TYPE`,
//! `message FROM BODY` and `refused`. The libraries live in
//! `tests/.venv`, which `tests/run` makes; `KONTALK_TEST_PYTHON` names another Python that has them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use support::body;
use support::client::Client;
use support::component::{SECRET, port_of, with_components};
use support::node::{DOMAIN, Node, NodeOptions, password_of};

/// One stock client as a child process.
struct Stock {
    script: &'static str,
    child: Child,
    orders: ChildStdin,
    told: Receiver<String>,
    /// Told already and not asked for yet.
    waiting: Vec<String>,
}

impl Stock {
    fn start(script: &'static str, node: &Node, user: &str, password: &str) -> Stock {
        Stock::start_with(script, node, user, password, &[])
    }

    fn start_with(
        script: &'static str,
        node: &Node,
        user: &str,
        password: &str,
        environment: &[(&str, &Path)],
    ) -> Stock {
        Stock::start_at(script, node.address, &format!("{user}@{DOMAIN}"), password, environment)
    }

    /// A client or a component of this name at any port.
    fn start_at(
        script: &'static str,
        address: SocketAddr,
        name: &str,
        password: &str,
        environment: &[(&str, &Path)],
    ) -> Stock {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let mut child = Command::new(python())
            .arg(Path::new(STOCK_DIR).join(script))
            .args([name.to_owned(), host, port])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the stock client starts");
        let mut orders = child.stdin.take().unwrap();
        writeln!(orders, "{password}").unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, told) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Stock { script, child, orders, told, waiting: Vec::new() }
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("the stock client listens");
    }

    /// Waits until the client has told a line that begins so; gives the rest of it. Other lines stay for later.
    fn expect(&mut self, beginning: &str) -> String {
        loop {
            if let Some(at) = self.waiting.iter().position(|line| line.starts_with(beginning)) {
                return self.waiting.remove(at)[beginning.len()..].to_owned();
            }
            match self.told.recv_timeout(PATIENCE) {
                Ok(line) => self.waiting.push(line),
                Err(_) => panic!("{} never told {beginning:?}, but: {:#?}", self.script, self.waiting),
            }
        }
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn stock_clients_meet_and_talk() {
    let node = Node::start(NodeOptions::default());
    for user in ["romeo", "juliet", "nurse"] {
        node.add_account(user);
    }
    let mut romeo = Stock::start("slixmpp_client.py", &node, "romeo", &password_of("romeo"));
    let mut juliet = Stock::start("aioxmpp_client.py", &node, "juliet", &password_of("juliet"));
    let romeo_jid = romeo.expect("online ");
    let juliet_jid = juliet.expect("online ");
    assert!(romeo_jid.starts_with("romeo@kontalk.test/") && juliet_jid.starts_with("juliet@kontalk.test/"));

    // Each comes to see the other.
    romeo.order("subscribe juliet@kontalk.test");
    juliet.expect("presence romeo@kontalk.test subscribe");
    juliet.order("subscribed romeo@kontalk.test");
    juliet.order("subscribe romeo@kontalk.test");
    romeo.expect("presence juliet@kontalk.test subscribe");
    romeo.order("subscribed juliet@kontalk.test");
    romeo.expect(&format!("presence {juliet_jid} available"));
    juliet.expect(&format!("presence {romeo_jid} available"));

    romeo.order(&format!("send juliet@kontalk.test {}", body("from slixmpp")));
    assert_eq!(juliet.expect(&format!("message {romeo_jid} ")), body("from slixmpp"));
    juliet.order(&format!("send {romeo_jid} {}", body("from aioxmpp")));
    assert_eq!(romeo.expect(&format!("message {juliet_jid} ")), body("from aioxmpp"));

    // The Kontalk client among them.
    let mut nurse = Client::online(&node, "nurse", "house");
    let nurse_jid = nurse.full().to_string();
    for stock in [&mut romeo, &mut juliet] {
        stock.order(&format!("send nurse@kontalk.test {}", body("to the nurse")));
        let message = nurse.expect_body(&body("to the nurse"));
        nurse.say(message.attribute("from").unwrap(), &body("from the nurse"));
        assert_eq!(stock.expect(&format!("message {nurse_jid} ")), body("from the nurse"));
    }

    // One goes, the other sees it; what is said meanwhile waits.
    juliet.order("quit");
    romeo.expect(&format!("presence {juliet_jid} unavailable"));
    romeo.order(&format!("send juliet@kontalk.test {}", body("while you were away")));
    nurse.say("juliet@kontalk.test", &body("from me too"));
    nurse.wait_acked();
    let mut juliet = Stock::start("aioxmpp_client.py", &node, "juliet", &password_of("juliet"));
    juliet.expect("online ");
    assert_eq!(juliet.expect(&format!("message {romeo_jid} ")), body("while you were away"));
    assert_eq!(juliet.expect(&format!("message {nurse_jid} ")), body("from me too"));
}

#[test]
fn a_stock_client_pages_through_an_archive_of_a_thousand_messages() {
    let node = Node::start(NodeOptions::default());
    for user in ["romeo", "juliet"] {
        node.add_account(user);
    }
    let mut romeo = Client::online(&node, "romeo", "orchard");
    for number in 0..MANY {
        romeo.say("juliet@kontalk.test", &body(number));
    }
    romeo.wait_acked();
    let mut reader = Stock::start("archive.py", &node, "juliet", &password_of("juliet"));
    reader.expect("online ");
    reader.order("features");
    let features = reader.expect("features ");
    for feature in ["urn:xmpp:mam:2", "urn:xmpp:mam:2#extended", "urn:xmpp:sid:0"] {
        assert!(features.split(' ').any(|found| found == feature), "{feature} is not among {features}");
    }
    reader.order("archive 70");
    let mut ids: Vec<String> = Vec::new();
    for number in 0..MANY {
        let line = reader.expect("archived ");
        let (id, words) = line.split_once(' ').unwrap();
        assert_eq!(words, body(number));
        ids.push(id.to_owned());
    }
    reader.expect("read");
    reader.order("ends");
    assert_eq!(reader.expect("ends "), format!("{} {}", ids[0], ids[MANY - 1]));
}

#[test]
fn a_stock_client_finds_the_upload_service_and_sends_a_file() {
    let node = Node::start(NodeOptions::default());
    node.add_account("romeo");
    let mut romeo = Stock::start("slixmpp_client.py", &node, "romeo", &password_of("romeo"));
    romeo.expect("online ");
    romeo.order("upload täxt.txt what is in it");
    assert_eq!(romeo.expect("service "), DOMAIN);
    assert_eq!(romeo.expect("uploaded "), "201 200 what is in it");
}

#[test]
fn a_stock_component_serves_its_domain() {
    let gateway = "sms.kontalk.test";
    let node = Node::start(with_components(&[gateway]));
    node.add_account("romeo");
    let port = port_of(&node, 0);
    let mut refused = Stock::start_at("component.py", port, gateway, "a guess", &[]);
    refused.expect("refused not-authorized");
    drop(refused);
    let mut component = Stock::start_at("component.py", port, gateway, SECRET, &[]);
    component.expect("online ");
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let jid = romeo.full().to_string();

    // It answers whatever it is told, and discovery by itself.
    romeo.say("anybody@sms.kontalk.test", &body("to a stock component"));
    assert_eq!(component.expect(&format!("message {jid} ")), body("to a stock component"));
    let echo = romeo.expect_body(&body("to a stock component"));
    assert_eq!(echo.attribute("from"), Some("anybody@sms.kontalk.test"));
    let info = romeo.ask("get", Some(gateway), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    let info = info.unwrap().unwrap();
    assert!(info.children().any(|child| child.attribute("category") == Some("gateway")), "{info:?}");
    // It asks the node, and subscribes.
    component.order("ask kontalk.test");
    assert!(component.expect("features ").contains("http://jabber.org/protocol/disco#items"));
    component.order("subscribe romeo@kontalk.test");
    romeo.expect_presence(Some("subscribe"), "bot@sms.kontalk.test");
    romeo.send("<presence type='subscribed' to='bot@sms.kontalk.test'/>");
    component.expect("presence romeo@kontalk.test subscribed");
    component.expect(&format!("presence {jid} available"));
    component.order(&format!("send romeo@kontalk.test {}", body("from a stock component")));
    romeo.expect_body(&body("from a stock component"));
    component.order("quit");
    node.log_says("component sms.kontalk.test disconnected");
}

#[test]
fn stock_clients_understand_a_refused_password() {
    let node = Node::start(NodeOptions::default());
    node.add_account("romeo");
    for script in ["slixmpp_client.py", "aioxmpp_client.py"] {
        let mut stock = Stock::start(script, &node, "romeo", "wrong");
        stock.expect("refused");
    }
}

#[test]
fn stock_clients_exchange_omemo_messages_with_one_of_them_away_at_first() {
    let node = Node::start(NodeOptions::default());
    let keys = std::env::temp_dir().join(format!("kontalk-node-omemo-{}", std::process::id()));
    std::fs::create_dir_all(&keys).unwrap();
    for user in ["romeo", "juliet"] {
        node.add_account(user);
    }
    let start = |user: &str| {
        let file = keys.join(user);
        let environment = [("KONTALK_OMEMO_KEYS", file.as_path())];
        let mut client = Stock::start_with("omemo_client.py", &node, user, &password_of(user), &environment);
        let jid = client.expect("online ");
        client.expect("omemo");
        (client, jid)
    };
    // Juliet has published her keys and goes. The two are no contacts: her nodes are open.
    let (mut juliet, _) = start("juliet");
    juliet.order("quit");
    assert!(juliet.child.wait().unwrap().success());
    let (mut romeo, romeo_jid) = start("romeo");
    romeo.order(&format!("encrypt juliet@kontalk.test {}", body("while you were away")));
    romeo.order("quit");
    assert!(romeo.child.wait().unwrap().success());

    let (mut juliet, juliet_jid) = start("juliet");
    // Her client's capabilities say that it wants to hear of devices: XEP-0115, XEP-0163.
    juliet.expect("devices juliet@kontalk.test");
    assert_eq!(juliet.expect(&format!("decrypted {romeo_jid} ")), body("while you were away"));
    let (mut romeo, romeo_jid) = start("romeo");
    juliet.order(&format!("encrypt romeo@kontalk.test {}", body("and now I am here")));
    assert_eq!(romeo.expect(&format!("decrypted {juliet_jid} ")), body("and now I am here"));
    romeo.order(&format!("encrypt juliet@kontalk.test {}", body("so I see")));
    assert_eq!(juliet.expect(&format!("decrypted {romeo_jid} ")), body("so I see"));
    std::fs::remove_dir_all(keys).ok();
}

fn python() -> PathBuf {
    if let Some(python) = std::env::var_os("KONTALK_TEST_PYTHON") {
        return python.into();
    }
    let python = Path::new(STOCK_DIR).join("../.venv/bin/python");
    assert!(python.exists(), "the stock clients are not installed (remedy: `tests/run` installs and runs them)");
    python
}

/// Messages in a large archive.
const MANY: usize = 1000;
const STOCK_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stock");
const PATIENCE: Duration = Duration::from_secs(20);
