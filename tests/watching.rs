//! Watching a node and changing what it logs while it runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use support::client::Client;
use support::node::{Node, NodeOptions, binary};

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn figures_are_read_on_this_machine_and_tell_sums_alone() {
    let mut options = NodeOptions::default();
    options.add_config("metrics.listen = [\"127.0.0.1:0\"]");
    let node = Node::start(options);
    node.add_account("romeo");
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.roundtrip();
    let line = node.log_says("listening for readers of figures on ");
    let address = line.rsplit(' ').next().unwrap().parse().unwrap();
    let text = get(address, "/metrics");
    assert!(text.contains("application/openmetrics-text; version=1.0.0"), "{text}");
    for figure in
        ["kontalk_sessions 1\n", "kontalk_accounts 1\n", "kontalk_store_broken 0\n", "kontalk_alarms 0\n", "# EOF\n"]
    {
        assert!(text.contains(figure), "{figure} {text}");
    }
    assert!(!text.contains("romeo") && !text.contains('@'), "{text}");
    assert!(get(address, "/").starts_with("HTTP/1.1 404"));
    assert!(get(address, "/.well-known/host-meta").starts_with("HTTP/1.1 404"));
}

#[test]
fn levels_change_by_command_and_by_reading_the_configuration_again() {
    let options = NodeOptions { log_level: "info", ..NodeOptions::default() };
    let node = Node::start(options);
    assert!(node.cli(&["log-level", "warn,c2s=trace"]).status.success());
    node.log_says("logging at warn,c2s=trace from now on");
    let refused = node.cli(&["log-level", "loud"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("loud is no log level"), "{refused:?}");
    let file = node.config_path();
    let text = fs::read_to_string(&file).unwrap();
    let changed = text.replace("level = \"info\"", "level = \"debug\"").replace("[web]\n", "[web]\nenabled = false\n");
    assert_ne!(text, changed);
    fs::write(&file, &changed).unwrap();
    let hangup = || {
        let pid = rustix::process::Pid::from_raw(i32::try_from(node.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    };
    hangup();
    node.log_says("changes in [web] need a restart");
    let lines = node.lines();
    fs::write(&file, "domain = 7\n").unwrap();
    hangup();
    node.log_says_since(lines, "domain = 7");
    node.log_says_since(lines, "the old one stays in force");
}

#[test]
fn lines_for_systemd_have_priorities_and_no_times() {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("journal-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    // No port can be had there: it ends at once, after its first lines.
    fs::write(
        dir.join("node.toml"),
        "domain = \"intranet\"\ndata_dir = \"data\"\nc2s.listen = [\"203.0.113.1:5222\"]\n",
    )
    .unwrap();
    let output = Command::new(binary())
        .args(["serve", "--config", "node.toml"])
        .current_dir(&dir)
        .env("JOURNAL_STREAM", "8:1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.lines().any(|line| line.starts_with("<4>[kontalk_node::command::serve] node.toml:1: domain")),
        "{text}"
    );
    assert!(text.lines().any(|line| line.starts_with("<6>[kontalk_node::")), "{text}");
    fs::remove_dir_all(&dir).ok();
}
