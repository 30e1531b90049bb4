//! `setup` as a process, by flags: what it writes is a configuration, and it never changes what an operator wrote.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

#[test]
fn flags_make_a_configuration_and_the_same_flags_change_nothing() {
    let dir = Folder::new("fresh");
    let flags = [
        "--domain",
        "node.example",
        "--contact",
        "admin@node.example",
        "--certificate",
        "self-signed",
        "--codes",
        "modem",
    ];
    let first = dir.setup(&flags);
    assert!(first.status.success(), "{first:?}");
    let text = fs::read_to_string(dir.config()).unwrap();
    for line in ["domain = \"node.example\"", "contact = [\"admin@node.example\"]", "via = \"modem\""] {
        assert!(text.lines().any(|written| written == line), "{line}");
    }
    let told = said(&first);
    for part in
        ["_xmpp-client._tcp.node.example. 3600 IN SRV 0 5 5222 node.example.", "TCP 5269", "kontalk-node doctor"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    let checked = Command::new(binary()).arg("check-config").arg(dir.config()).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");

    let second = dir.setup(&flags);
    assert!(second.status.success() && said(&second).contains("nothing was changed"), "{second:?}");
    let third = dir.setup(&[]);
    assert!(third.status.success() && said(&third).contains("nothing was changed"), "{third:?}");
    assert_eq!(fs::read_to_string(dir.config()).unwrap(), text);
}

#[test]
fn the_sample_in_place_is_filled_and_an_operators_value_is_not_touched() {
    let dir = Folder::new("placed");
    let sample = Command::new(binary()).arg("sample-config").output().unwrap().stdout;
    fs::write(dir.config(), &sample).unwrap();
    let output = dir.setup(&["--domain", "node.example", "--certificate", "self-signed", "--codes", "none"]);
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(dir.config()).unwrap();
    assert_eq!(text.lines().count(), String::from_utf8(sample).unwrap().lines().count(), "its comments stay");

    let other = dir.setup(&["--domain", "other.example", "--codes", "terminal"]);
    assert_eq!(other.status.code(), Some(1), "{other:?}");
    assert!(said(&other).contains("domain is \"node.example\" already, not \"other.example\""), "{other:?}");
    assert_eq!(fs::read_to_string(dir.config()).unwrap(), text);
}

#[test]
fn without_answers_everything_that_is_missing_is_said_and_nothing_is_written() {
    let dir = Folder::new("missing");
    let output = dir.setup(&[]);
    assert_eq!(output.status.code(), Some(2));
    for flag in ["--domain: is missing", "--certificate: is missing", "--codes: is missing"] {
        assert!(said(&output).contains(flag), "{flag}: {output:?}");
    }
    let files = dir.setup(&[
        "--domain",
        "node.example",
        "--codes",
        "none",
        "--certificate",
        "files",
        "--tls-certificate",
        "no.pem",
        "--tls-key",
        "no.key",
    ]);
    assert_eq!(files.status.code(), Some(78), "{files:?}");
    assert!(said(&files).contains("tls.certificate"), "{files:?}");
    assert!(!dir.config().exists());
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("setup-{name}-{}", std::process::id()));
        fs::remove_dir_all(&path).ok();
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn config(&self) -> PathBuf {
        self.0.join("node.toml")
    }

    fn setup(&self, flags: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.arg("setup").arg("--yes").arg("--config").arg(self.config()).args(flags).stdin(Stdio::null());
        command.output().expect("it runs")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            fs::remove_dir_all(&self.0).ok();
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_kontalk-node")
}
