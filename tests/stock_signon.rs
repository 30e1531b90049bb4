//! A stock client made for modern sign-on, @xmpp/client, logs in by SASL2, is bound by Bind 2 with stream management, gets a login
//! token, and comes back with it: resumed, or bound anew. XEP-0388, XEP-0386, XEP-0484.
//!
//! `tests/stock/xmppjs/` holds its driver; `tests/run` installs its library there with npm. It obeys `presence`, `send TO BODY`,
//! `cut`, `again` and `quit`, and tells `login PROFILE MECHANISM`, `success PARTS`, `failure CONDITION`, `online JID`, `resumed` and
//! `message FROM BODY`. It checks the node's certificate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use support::body;
use support::client::Client;
use support::node::{DOMAIN, Node, NodeOptions, password_of};

struct Stock {
    child: Child,
    orders: ChildStdin,
    told: Receiver<String>,
}

impl Stock {
    fn start(node: &Node, user: &str, password: &str) -> Stock {
        let library = Path::new(STOCK_DIR).join("node_modules/@xmpp/client");
        assert!(library.exists(), "@xmpp/client is not installed (remedy: `tests/run` installs and runs it)");
        let (host, port) = (node.address.ip().to_string(), node.address.port().to_string());
        let mut child = Command::new("node")
            .arg(Path::new(STOCK_DIR).join("client.js"))
            .args([format!("{user}@{DOMAIN}"), host, port])
            .env("NODE_EXTRA_CA_CERTS", node.data_dir().join("tls-certificate.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is installed");
        let mut orders = child.stdin.take().unwrap();
        writeln!(orders, "{password}").unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, told) = channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Stock { child, orders, told }
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("the stock client listens");
    }

    /// The next lines begin so, in this order; gives the rest of the last.
    fn expect(&mut self, beginnings: &[&str]) -> String {
        let mut rest = String::new();
        for beginning in beginnings {
            let line = self.told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it never told {beginning:?}"));
            rest = line.strip_prefix(beginning).unwrap_or_else(|| panic!("not {beginning:?}, but {line:?}")).to_owned();
        }
        rest
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn stock_clients_sign_on_in_one_round_trip_and_come_back_with_a_token() {
    let node = Node::start(NodeOptions::default());
    for user in ["romeo", "juliet"] {
        node.add_account(user);
    }
    let mut juliet = Client::online(&node, "juliet", "balcony");
    let mut romeo = Stock::start(&node, "romeo", &password_of("romeo"));
    let parts = "success additional-data authorization-identifier";
    romeo.expect(&["login urn:xmpp:sasl:2 SCRAM-SHA-1"]);
    assert_eq!(romeo.expect(&[parts]), " bound token");
    let jid = romeo.expect(&["online "]);
    assert!(jid.starts_with("romeo@kontalk.test/Stock~"), "{jid}");
    romeo.order(&format!("send juliet@kontalk.test {}", body("from the stock client")));
    juliet.expect_body(&body("from the stock client"));

    // The network goes and comes: its session goes on, with what it missed.
    romeo.order("cut");
    romeo.expect(&["login urn:xmpp:sasl:2 HT-SHA-256-NONE"]);
    assert_eq!(romeo.expect(&[parts]), " resumed");
    romeo.expect(&["resumed"]);
    juliet.say(&jid, &body("to the same session"));
    assert_eq!(romeo.expect(&["message juliet@kontalk.test/balcony "]), body("to the same session"));

    // It is closed and opened: another session at the same address, still without the password.
    romeo.order("again");
    romeo.expect(&["login urn:xmpp:sasl:2 HT-SHA-256-NONE"]);
    assert_eq!(romeo.expect(&[parts]), " bound");
    assert_eq!(romeo.expect(&["online "]), jid);
    juliet.say(&jid, &body("to the new session"));
    assert_eq!(romeo.expect(&["message juliet@kontalk.test/balcony "]), body("to the new session"));

    // Its user changes the password elsewhere: the token is refused, and what the client knows of the password too.
    let output = node.cli_with_input(
        &["account", "set-password", "romeo@kontalk.test", "--password-file", "-"],
        &support::secret("another-pass"),
    );
    assert!(output.status.success(), "{output:?}");
    romeo.order("again");
    romeo.expect(&["login urn:xmpp:sasl:2 HT-SHA-256-NONE", "failure not-authorized"]);
    romeo.expect(&["login urn:xmpp:sasl:2 SCRAM-SHA-1", "failure not-authorized"]);
}

const STOCK_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stock/xmppjs");
const PATIENCE: Duration = Duration::from_secs(15);
