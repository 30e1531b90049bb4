//! `doctor` as a process: beside a running node, without one, and with a configuration that cannot be used.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use support::node::{Node, NodeOptions};

#[test]
fn a_running_node_is_asked_and_a_stopped_one_is_looked_at() {
    let mut options = NodeOptions::default();
    // Nobody answers there.
    options.add_config("s2s.dns = [\"127.0.0.1:1\"]");
    let mut node = Node::start(options);
    let running = findings(&doctor(&node, 2));
    let level = |findings: &[(String, String, String)], topic: &str| {
        findings.iter().find(|(_, found, _)| found == topic).map(|(level, _, text)| (level.clone(), text.clone()))
    };
    for (topic, wanted, part) in [
        ("node", "good", "it runs"),
        ("clock", "good", "right"),
        ("permissions", "good", "the node's alone"),
        ("store", "good", "0 accounts"),
        ("certificate", "doubt", "self-made"),
        ("codes", "doubt", "printed by the node"),
        ("trust", "doubt", "no card"),
        ("dns", "bad", "no name server answers"),
    ] {
        let (found, text) = level(&running, topic).unwrap_or_else(|| panic!("nothing of {topic}"));
        // A machine of the tests may have no clock that runs by itself.
        assert!(found == wanted || (topic == "clock" && found == "doubt"), "{topic}: {found}, {text}");
        assert!(text.contains(part) || topic == "clock", "{topic}: {text}");
    }

    let key = node.data_dir().join("server-key.pgp");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    node.sigterm();
    let stopped = findings(&doctor(&node, 2));
    assert_eq!(level(&stopped, "node").unwrap().0, "doubt");
    let (found, text) = level(&stopped, "permissions").unwrap();
    assert!(found == "bad" && text.contains("server-key.pgp"), "{text}");
    let words = String::from_utf8(run(&node, &[]).stdout).unwrap();
    assert!(words.contains(&format!("remedy: chmod o-rwx {}", key.display())), "{words}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    node.start_again();
}

#[test]
fn a_configuration_with_problems_is_a_finding() {
    let node = Node::start(NodeOptions::default());
    let config = fs::read_to_string(node.config_path()).unwrap();
    fs::write(node.config_path(), config + "\n[no-such-section]\nx = 1\n").unwrap();
    let found = findings(&doctor(&node, 2));
    assert!(
        found
            .iter()
            .any(|(level, topic, text)| level == "bad" && topic == "settings" && text.contains("no-such-section"))
    );
}

fn doctor(node: &Node, code: i32) -> Output {
    let output = run(node, &["--json"]);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    output
}

fn run(node: &Node, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kontalk-node"));
    command.args(["doctor", "--config"]).arg(node.config_path()).args(arguments).output().expect("it runs")
}

/// Level, topic and text of each.
fn findings(output: &Output) -> Vec<(String, String, String)> {
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().expect("a text").to_owned();
    let findings = report["findings"].as_array().expect("a list");
    findings.iter().map(|finding| (text(finding, "level"), text(finding, "topic"), text(finding, "text"))).collect()
}
