//! What goes wrong at a volunteer's home, each by a real process: the message says what to do, and nothing is lost.
//!
//! Disks that are full or read-only are file systems in memory. They need name spaces of a user's own; where the system has none, the
//! test says so and ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/authority.rs"]
mod authority;
mod support;

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use authority::{Authority, Flaw};
use support::body;
use support::client::Client;
use support::node::{Node, NodeOptions};
use support::stanzas::{chat, refusal, refused};

const JULIET: &str = "juliet@kontalk.test";

#[test]
fn a_full_disk_refuses_for_a_while_and_loses_nothing() {
    if !in_a_room_of_its_own("a_full_disk_refuses_for_a_while_and_loses_nothing") {
        return;
    }
    let mut node = Node::start(NodeOptions { log_level: "info", ..NodeOptions::default() });
    node.add_account("romeo");
    node.add_account("juliet");
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.say(JULIET, &body("before"));
    romeo.wait_acked();

    let filler = node.data_dir().join("filler");
    fill(&filler, 8);
    let refused_once = until_answered(&mut romeo, true);
    assert_eq!(refused_once, Some(refusal("resource-constraint", "wait")));
    node.log_says("nothing new is kept, messages to absent users are refused");
    let added =
        node.cli_with_input(&["account", "add", "nurse@kontalk.test", "--password-file", "-"], "a long password");
    assert!(!added.status.success() && said(&added).contains("remedy: make room"), "{added:?}");
    // Who is there is served all the same.
    let mut second = Client::online(&node, "romeo", "tomb");
    second.roundtrip();
    romeo.take_own_presence();
    romeo.say(&second.full().to_string(), &body("meanwhile"));
    second.expect_body(&body("meanwhile"));

    fs::remove_file(&filler).unwrap();
    assert_eq!(until_answered(&mut romeo, false), None);
    node.log_says("there is room on the disk again");
    drop((romeo, second));
    node.kill9();
    node.start_again();
    let mut juliet = Client::online(&node, "juliet", "balcony");
    juliet.expect_body(&body("before"));
    juliet.expect_body(&body("try"));
}

#[test]
fn a_read_only_disk_is_told_and_nothing_is_lost() {
    if !in_a_room_of_its_own("a_read_only_disk_is_told_and_nothing_is_lost") {
        return;
    }
    let mut node = Node::start(NodeOptions::default());
    node.add_account("romeo");
    node.sigterm();
    let data = node.data_dir();
    let mount = |arguments: &[&str]| {
        let done = Command::new("mount").args(arguments).arg(&data).status().unwrap();
        assert!(done.success(), "mount {arguments:?}");
    };
    mount(&["--bind", data.to_str().unwrap()]);
    mount(&["-o", "remount,bind,ro"]);
    let refused = node.second_instance();
    assert!(Command::new("umount").arg(&data).status().unwrap().success());
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(said(&refused).contains("mounted read-only") && said(&refused).contains("fsck"), "{refused:?}");
    node.start_again();
    assert!(said(&node.cli(&["account", "list"])).contains("romeo@kontalk.test"));
}

#[test]
fn a_port_in_use_is_named_and_the_data_stay() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut node = Node::start(NodeOptions::default());
    node.add_account("romeo");
    node.sigterm();
    let config = fs::read_to_string(node.config_path()).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fs::write(node.config_path(), config.replacen("127.0.0.1:0", &address, 1)).unwrap();
    let refused = node.second_instance();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let port = format!("port {} on 127.0.0.1 is in use", taken.local_addr().unwrap().port());
    assert!(said(&refused).contains(&port) && said(&refused).contains("remedy:"), "{refused:?}");
    fs::write(node.config_path(), config).unwrap();
    node.start_again();
    assert!(said(&node.cli(&["account", "list"])).contains("romeo@kontalk.test"));
}

#[test]
fn broken_toml_and_missing_secrets_are_told_by_line() {
    let mut node = Node::start(NodeOptions::default());
    node.sigterm();
    let config = fs::read_to_string(node.config_path()).unwrap();
    for (change, parts) in [
        ("[log]\nlevel = info\n", vec!["node.toml:", "this is not TOML", "remedy: texts stand in \"quotes\""]),
        (
            "[tls]\ncertificate = \"no.pem\"\nkey = \"no.key\"\n",
            vec!["tls.key", "cannot be read", "2 problems, nothing started"],
        ),
        ("[tls]\ncertificate = \".\"\nkey = \".\"\n", vec!["not a file"]),
        ("[components]\nsecret_files = { \"bot.kontalk.test\" = \"none\" }\n", vec!["none", "remedy:"]),
    ] {
        let others = config.replace("[log]\nlevel = \"trace\"\n", "");
        fs::write(node.config_path(), format!("{others}\n{change}")).unwrap();
        let refused = node.second_instance();
        assert!(!refused.status.success(), "{change}: {refused:?}");
        for part in parts {
            assert!(said(&refused).contains(part), "{part}: {refused:?}");
        }
    }
    fs::write(node.config_path(), config).unwrap();
    node.start_again();
}

#[test]
fn a_spoilt_server_key_is_told_and_never_replaced() {
    let mut node = Node::start(NodeOptions::default());
    node.sigterm();
    let path = node.data_dir().join("server-key.pgp");
    let key = fs::read(&path).unwrap();
    fs::write(&path, b"spoilt").unwrap();
    let refused = node.second_instance();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("restore it from a backup"), "{refused:?}");
    assert_eq!(fs::read(&path).unwrap(), b"spoilt");
    fs::write(&path, key).unwrap();
    node.start_again();
}

#[test]
fn a_missing_modem_and_an_expired_certificate_do_not_keep_the_node_from_serving() {
    let issued = Authority::new().issue("kontalk.test", Flaw::Expired);
    let files = vec![("own.pem".to_owned(), issued.certificate), ("own.key".to_owned(), issued.key)];
    let mut options = NodeOptions { files, ..NodeOptions::default() };
    for setting in [
        "tls.certificate = \"own.pem\"",
        "tls.key = \"own.key\"",
        "sms.via = \"modem\"",
        "sms.modem.device = \"/dev/kontalk-not-here\"",
    ] {
        options.add_config(setting);
    }
    let node = Node::start(options);
    node.add_account("romeo");
    node.log_says("has expired on");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let status = node.cli(&["status"]);
        if status.status.code() == Some(1) && said(&status).contains("remedy:") {
            assert!(said(&status).contains("No codes can be sent"), "{status:?}");
            break;
        }
        assert!(Instant::now() < deadline, "the modem is not missed: {status:?}");
    }
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.roundtrip();
    let doctor =
        Command::new(env!("CARGO_BIN_EXE_kontalk-node")).args(["doctor", "--config"]).arg(node.config_path()).output();
    let told = said(&doctor.unwrap());
    assert!(told.contains("certificate  expired 0 days ago") && told.contains("remedy: renew it"), "{told}");
}

#[test]
fn a_clock_in_1970_starts_nothing() {
    if !Command::new("faketime").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no faketime here (Debian package faketime)");
        return;
    }
    let mut node = Node::start(NodeOptions::default());
    node.sigterm();
    let mut command = Command::new("faketime");
    command.args(["-f", "@1970-01-02 00:00:00"]).arg(env!("CARGO_BIN_EXE_kontalk-node")).args(["serve", "--config"]);
    let refused = command.arg(node.config_path()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(said(&refused).contains("remedy: let it set its clock"), "{refused:?}");
    node.start_again();
}

/// Runs the test of this name again in name spaces of its own, where the tests' directory is a small file system in memory. Is this
/// that second run?
fn in_a_room_of_its_own(test: &str) -> bool {
    let dir = env!("CARGO_TARGET_TMPDIR");
    if std::env::var_os("KONTALK_ROOM").is_some() {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=96m,mode=700", "tmpfs", dir]).status();
        assert!(mounted.unwrap().success());
        return true;
    }
    if !Command::new("unshare").args(["-Urm", "true"]).output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this system lets nobody have name spaces of his own");
        return false;
    }
    let mut command = Command::new("unshare");
    command
        .arg("-Urm")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("KONTALK_ROOM", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    false
}

/// Leaves so many MiB free on the disk of this file.
fn fill(path: &Path, mebibytes: u64) {
    let disk = rustix::fs::statvfs(path.parent().unwrap()).unwrap();
    let size = (disk.f_bavail * disk.f_frsize).saturating_sub(mebibytes * 1024 * 1024);
    let file = File::create(path).unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size).unwrap();
}

/// Sends to Juliet, who is away, until it is refused or taken, as wanted; gives the refusal.
fn until_answered(romeo: &mut Client, wanted_refused: bool) -> Option<support::stanzas::Refused> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let id = romeo.next_id();
        romeo.send(&chat(JULIET, &id, &body("try")));
        romeo.roundtrip();
        let answers = romeo.take_waiting(|element| element.attribute("id") == Some(&id));
        let refusal = answers.iter().find_map(refused);
        if refusal.is_some() == wanted_refused {
            return refusal;
        }
        assert!(Instant::now() < deadline, "the node does not notice the disk: {answers:?}");
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
