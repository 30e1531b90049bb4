//! The command line as an operator meets it: the real binary, its words and its exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::{env, fs};

use support::node::{DOMAIN, Node, NodeOptions, password_of};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kontalk-node")).args(arguments).output().expect("the binary runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    fs::write(&path, text).expect("a file");
    path
}

#[test]
fn every_command_explains_itself() {
    for (command, word) in [
        ("--help", "Examples:"),
        ("serve --help", "--config"),
        ("check-config --help", "78"),
        ("status --help", "--json"),
        ("account --help", "Examples:"),
        ("account add --help", "--password-file"),
        ("key --help", "gpg --import"),
        ("sample-config --help", "node.toml"),
    ] {
        let output = run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert!(out(&output).contains(word), "{command}: {}", out(&output));
    }
    for version in [&["version"][..], &["--version"]] {
        assert_eq!(out(&run(version)), format!("kontalk-node {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let nowhere = env::temp_dir().join("kontalk-nowhere");
    let nowhere = nowhere.to_str().unwrap();
    for (arguments, code, words) in [
        (&["nonsense"][..], 2, "nonsense"),
        (&["account", "add"], 2, "address"),
        (&["status", "--data", nowhere], 69, "remedy: start it"),
        (&["account", "list", "--data", nowhere], 69, "no node runs"),
        (&["key", "fingerprint", "--data", nowhere], 1, "remedy"),
        (&["serve", "--config", "/does/not/exist.toml"], 78, "exist.toml"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", err(&output));
        assert!(err(&output).contains(words), "{arguments:?}: {}", err(&output));
    }
}

#[test]
fn all_problems_of_a_configuration_are_told_at_once_with_line_and_remedy() {
    let path = file("bad.toml", "domain = \"x y\"\nfoo = 1\n[c2s]\nlisten = [\"nonsense\"]\n[sms]\nvia = \"pigeon\"\n");
    for command in [&["check-config"][..], &["serve", "--config"]] {
        let output = run(&[command, &[path.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(78));
        let told = err(&output);
        for line in [":1: domain", ":2: foo", ":4: c2s.listen", ":6: sms.via", "4 problems, nothing started."] {
            assert!(told.contains(line), "{line} in {told}");
        }
        assert_eq!(told.matches("(remedy: ").count(), 4, "{told}");
    }
    fs::remove_file(path).unwrap();
}

#[test]
fn the_sample_is_the_file_in_the_repository_and_only_its_domain_must_be_changed() {
    let sample = out(&run(&["sample-config"]));
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/node.toml");
    assert_eq!(sample, fs::read_to_string(shipped).unwrap());
    let path = file("good.toml", &sample.replace("example.org", "kontalk.test"));
    let output = run(&["check-config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains("no problems"));
    fs::remove_file(path).unwrap();
}

#[test]
fn accounts_are_managed_with_and_without_a_running_node() {
    let mut node = Node::start(NodeOptions::default());
    for running in [true, false] {
        let name = if running { "anna" } else { "bruno" };
        let address = format!("{name}@{DOMAIN}");
        if !running {
            node.sigterm();
        }
        let add = |node: &Node, address: &str| {
            node.cli_with_input(&["account", "add", address, "--password-file", "-"], &password_of(name))
        };
        let added = add(&node, &address);
        assert!(added.status.success(), "{}", err(&added));
        assert_eq!(out(&added).contains("no node runs"), !running);
        assert_eq!(add(&node, &address).status.code(), Some(1), "a second time");
        for (wrong, word) in
            [("anna@elsewhere.example", DOMAIN), (DOMAIN, "before the @"), ("probe@kontalk.test", "service")]
        {
            let refused = add(&node, wrong);
            assert_eq!(refused.status.code(), Some(1), "{wrong}");
            assert!(err(&refused).contains(word), "{wrong}: {}", err(&refused));
        }
        let set = node.cli_with_input(&["account", "set-password", &address, "--password-file", "-"], "another one");
        assert!(set.status.success());
        let listed = out(&node.cli(&["account", "list", "--json"]));
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        assert!(listed.as_array().unwrap().iter().any(|account| account["address"] == address.as_str()));
        let shown = out(&node.cli(&["account", "show", &address]));
        assert!(shown.contains("password     yes"), "{shown}");
        assert!(node.cli(&["account", "remove", &address]).status.success());
        assert_eq!(node.cli(&["account", "show", &address]).status.code(), Some(1));
        if running {
            let status = out(&node.cli(&["status", "--json"]));
            let status: serde_json::Value = serde_json::from_str(&status).unwrap();
            assert_eq!((&status["domain"], &status["store_broken"]), (&DOMAIN.into(), &false.into()));
            assert!(out(&node.cli(&["status"])).starts_with("All is well."));
        }
    }
    node.start_again();
}

#[test]
fn the_servers_key_is_told_and_gnupg_reads_it() {
    let node = Node::start(NodeOptions::default());
    let fingerprint = out(&node.cli(&["key", "fingerprint"]));
    for arguments in [&["key", "export"][..], &["key", "export", "--armor"]] {
        let key = node.cli(arguments).stdout;
        let path =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{}", std::process::id(), arguments.len()));
        fs::write(&path, key).unwrap();
        let shown = Command::new("gpg").args(["--batch", "--show-keys", "--with-colons"]).arg(&path).output();
        let shown = out(&shown.expect("gpg is installed (remedy: apt-get install gnupg)"));
        assert!(shown.contains(fingerprint.trim()), "{shown}");
        assert!(shown.contains("xmpp\\x3akontalk.test"), "{shown}");
        fs::remove_file(path).unwrap();
    }
}
