//! Backups of a whole node: taken in the middle of a flood and restored elsewhere; every way in which making or restoring one can
//! fail, each with its remedy and nothing destroyed; and reading all data before an upgrade.
//!
//! `KONTALK_SEED` repeats the choices of bytes to spoil.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use support::client::Client;
use support::node::{DOMAIN, Node, NodeOptions, binary};
use support::stanzas::{body_of, chat};
use support::{Dice, body, secret};

/// A node with a passphrase file beside its data.
struct Place {
    node: Node,
    passphrase: PathBuf,
}

impl Place {
    fn new() -> Place {
        let node = Node::start(NodeOptions { log_level: "debug", ..NodeOptions::default() });
        let passphrase = node.config_path().with_file_name("passphrase");
        fs::write(&passphrase, secret("four words of nonsense") + "\n").unwrap();
        Place { node, passphrase }
    }

    /// A path beside the data.
    fn beside(&self, name: &str) -> PathBuf {
        self.node.config_path().with_file_name(name)
    }

    fn back_up(&self, name: &str) -> PathBuf {
        let file = self.beside(name);
        let output = self.run(&["backup", "--to", text(&file)], &self.node.data_dir());
        assert!(output.status.success(), "{output:?}");
        file
    }

    /// Runs a command that takes the passphrase, on some data directory.
    fn run(&self, arguments: &[&str], data: &Path) -> Output {
        let mut command = Command::new(binary());
        command.args(arguments).args(["--passphrase-file", text(&self.passphrase), "--data", text(data)]);
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn restore(&self, file: &Path, data: &Path) -> Output {
        self.run(&["restore", text(file)], data)
    }

    /// It must fail, name the cause and a remedy, and leave nothing behind.
    fn refuses_to_restore(&self, file: &Path, cause: &[&str]) {
        let data = self.beside("elsewhere");
        let output = self.restore(file, &data);
        refused(&output, cause);
        self.is_clean(&["elsewhere"]);
    }

    /// Nothing half made lies beside the data, and nothing of these names at all.
    fn is_clean(&self, absent: &[&str]) {
        for entry in fs::read_dir(self.beside("")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.contains(".part-") && !name.ends_with(".restoring"), "{name} was left behind");
            assert!(!absent.contains(&name.as_str()), "{name} was made");
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn refused(output: &Output, cause: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(cause.iter().any(|cause| told.contains(cause)) && told.contains("(remedy: "), "{cause:?}: {told}");
    assert!(!told.contains("nonsense"), "the passphrase is told");
}

#[test]
fn a_backup_from_the_middle_of_a_flood_has_every_acknowledged_message_and_the_same_keys() {
    let mut place = Place::new();
    for user in ["romeo", "juliet"] {
        place.node.add_account(user);
    }
    fs::create_dir_all(place.node.data_dir().join("uploads/ab")).unwrap();
    fs::write(place.node.data_dir().join("uploads/ab/picture"), vec![7; 300_000]).unwrap();
    let last_year = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let upload = place.node.data_dir().join("uploads/ab/picture");
    fs::File::options().write(true).open(&upload).unwrap().set_modified(last_year).unwrap();
    symlink("/etc", place.node.data_dir().join("link")).unwrap();
    let fingerprint = stdout(&place.node.cli(&["key", "fingerprint"]));
    let secrets =
        ["server-key.pgp", "login-tokens.key"].map(|name| fs::read(place.node.data_dir().join(name)).unwrap());

    // Juliet is away. Romeo writes and waits for each acknowledgement in turn.
    let acknowledged = AtomicU64::new(0);
    let stop = AtomicU64::new(u64::MAX);
    let (mut before, mut after) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut romeo = Client::online(&place.node, "romeo", "orchard");
            for id in 1.. {
                romeo.send(&chat(&format!("juliet@{DOMAIN}"), &id.to_string(), &body(id)));
                romeo.wait_acked();
                acknowledged.store(id, Ordering::SeqCst);
                if id >= stop.load(Ordering::SeqCst) {
                    break;
                }
            }
            romeo.close();
        });
        while acknowledged.load(Ordering::SeqCst) < 50 {
            thread::yield_now();
        }
        before = acknowledged.load(Ordering::SeqCst);
        place.back_up("flood.age");
        after = acknowledged.load(Ordering::SeqCst);
        stop.store(after + 1, Ordering::SeqCst);
    });
    assert!(after > before, "nothing was written during the backup");
    let file = place.beside("flood.age");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let readable = fs::read(&file).unwrap();
    assert!(!contains(&readable, b"romeo") && !contains(&readable, b"kontalk.test"), "something is in the clear");

    place.node.sigterm();
    fs::rename(place.node.data_dir(), place.beside("before")).unwrap();
    let output = place.restore(&file, &place.node.data_dir());
    assert!(output.status.success(), "{output:?}");
    let verified = place.node.cli(&["verify-data", "--json"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    assert!(kontalk_node::backup::mark(&place.node.data_dir()).unwrap().is_some(), "the mark is missing");
    for (name, bytes) in ["server-key.pgp", "login-tokens.key"].iter().zip(&secrets) {
        assert_eq!(&fs::read(place.node.data_dir().join(name)).unwrap(), bytes, "{name}");
        let mode = fs::metadata(place.node.data_dir().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(fs::read(place.node.data_dir().join("uploads/ab/picture")).unwrap(), vec![7; 300_000]);
    assert_eq!(fs::metadata(&upload).unwrap().modified().unwrap(), last_year);
    assert!(!place.node.data_dir().join("link").exists());

    place.node.start_again();
    assert_eq!(stdout(&place.node.cli(&["key", "fingerprint"])), fingerprint);
    let mut juliet = Client::online(&place.node, "juliet", "balcony");
    let heard: Vec<String> = juliet.drain().iter().filter_map(body_of).collect();
    juliet.close();
    // As of one moment: the first so many, without a gap, and at least those that were acknowledged before it began.
    let expected: Vec<String> = (1..=heard.len()).map(body).collect();
    assert_eq!(heard, expected);
    let count = heard.len() as u64;
    assert!(before <= count && count <= after + 1, "{before} <= {count} <= {after}");
    println!("{before} messages acknowledged before the backup, {after} after it, {count} in it");
}

#[test]
fn without_a_running_node_the_data_are_backed_up_as_they_lie() {
    let mut place = Place::new();
    place.node.add_account("juliet");
    place.node.sigterm();
    let file = place.back_up("stopped.age");
    let data = place.beside("elsewhere");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o750)).unwrap();
    // Through a pipe, as from another machine.
    let mut piped = Command::new(binary());
    piped.args(["restore", "/dev/stdin", "--passphrase-file", text(&place.passphrase), "--data", text(&data)]);
    let output = piped.stdin(fs::File::open(&file).unwrap()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    let listed = Command::new(binary()).args(["account", "list", "--data", text(&data)]).output().unwrap();
    assert!(stdout(&listed).starts_with("juliet@kontalk.test"), "{listed:?}");

    // Where nothing is, nothing is made; and a file that is there is left alone.
    let output = place.run(&["backup", "--to", text(&place.beside("none.age"))], &place.beside("nowhere"));
    refused(&output, &["there is no node's data"]);
    let before = fs::read(&file).unwrap();
    refused(&place.run(&["backup", "--to", text(&file)], &data), &["is there already"]);
    assert_eq!(fs::read(&file).unwrap(), before);
    place.is_clean(&["none.age", "nowhere"]);

    // Into a directory it goes under a name of its own.
    fs::create_dir(place.beside("stick")).unwrap();
    assert!(place.run(&["backup", "--to", text(&place.beside("stick"))], &data).status.success());
    let names: Vec<_> = fs::read_dir(place.beside("stick")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(names.len() == 1 && names[0].to_str().unwrap().ends_with(".age"), "{names:?}");
}

#[test]
fn a_spoilt_backup_is_told_apart_from_a_wrong_passphrase_and_nothing_is_made_of_it() {
    let mut place = Place::new();
    place.node.add_account("juliet");
    fs::write(place.node.data_dir().join("upload"), vec![1; 200_000]).unwrap();
    let file = place.back_up("good.age");
    let good = fs::read(&file).unwrap();
    place.node.sigterm();

    let mut dice = Dice::new();
    println!("KONTALK_SEED={}", dice.seed);
    let spoilt = place.beside("spoilt.age");
    let payload = good.windows(4).position(|window| window == b"--- ").unwrap() + 64;
    for round in 0..12 {
        let mut bytes = good.clone();
        let range = if round % 4 == 0 { 0..payload } else { payload..good.len() };
        let at = range.start + dice.below(range.len() as u64) as usize;
        bytes[at] ^= 1 << dice.below(8);
        fs::write(&spoilt, bytes).unwrap();
        let cause = ["damaged", "does not fit", "no encrypted backup", "first lines", "more memory"];
        place.refuses_to_restore(&spoilt, &cause);
    }
    for length in [0, 10, payload - 1, payload + 5, payload + 16 + 65_536 + 16, good.len() - 1] {
        fs::write(&spoilt, &good[..length]).unwrap();
        place.refuses_to_restore(&spoilt, &["no encrypted backup", "cut short"]);
    }
    fs::write(&spoilt, [good.as_slice(), b"tail"].concat()).unwrap();
    place.refuses_to_restore(&spoilt, &["damaged"]);

    fs::write(&place.passphrase, "another passphrase\n").unwrap();
    place.refuses_to_restore(&file, &["the passphrase does not fit"]);
    fs::write(&place.passphrase, "short\n").unwrap();
    refused(&place.run(&["backup", "--to", text(&place.beside("new.age"))], &place.node.data_dir()), &["too short"]);
    place.is_clean(&["new.age"]);

    // The data of another node are not written over.
    fs::write(&place.passphrase, "four words of nonsense\n").unwrap();
    let before = listing(&place.node.data_dir());
    refused(&place.restore(&file, &place.node.data_dir()), &["is there already"]);
    assert_eq!(listing(&place.node.data_dir()), before);
}

/// A limit on the size of files stands for a full disk: the same calls fail, with another word.
#[test]
fn where_there_is_no_room_nothing_is_left_behind() {
    let mut place = Place::new();
    place.node.add_account("juliet");
    fs::write(place.node.data_dir().join("upload"), vec![1; 3_000_000]).unwrap();
    let file = place.back_up("good.age");
    let cramped = |arguments: &str, kib: u32| {
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" {arguments}");
        let mut command = Command::new("bash");
        command.args(["-c", &script]).arg(binary());
        command.stdin(Stdio::null()).output().unwrap()
    };
    let passphrase = text(&place.passphrase).to_owned();
    let data = place.node.data_dir();
    let new = place.beside("new.age");
    let arguments = format!("backup --to {} --passphrase-file {passphrase} --data {}", text(&new), text(&data));
    refused(&cramped(&arguments, 1000), &["new.age cannot be written"]);
    place.is_clean(&["new.age"]);

    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(binary());
    command.args(["backup", "--to", "-", "--passphrase-file", &passphrase, "--data", text(&data)]);
    refused(&command.stdout(full).output().unwrap(), &["standard output cannot be written: No space left"]);

    // The files do not fit, and then the database does not.
    for kib in [2500, 100] {
        let elsewhere = place.beside("elsewhere");
        let arguments = format!("restore {} --passphrase-file {passphrase} --data {}", text(&file), text(&elsewhere));
        refused(&cramped(&arguments, kib), &["File too large", "could not be written", "cannot be written"]);
        place.is_clean(&["elsewhere"]);
    }
    // All of it can still be read, and the node never noticed.
    assert!(place.restore(&file, &place.beside("elsewhere")).status.success());
    place.node.sigterm();
}

#[test]
fn a_backup_opens_without_this_program() {
    let mut place = Place::new();
    place.node.add_account("juliet");
    let file = place.back_up("plain.age");
    place.node.sigterm();
    // age asks the terminal only, so it gets one.
    let command = format!("age -d -o {} {}", text(&place.beside("plain.tar")), text(&file));
    let mut terminal = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is there");
    std::io::Write::write_all(&mut terminal.stdin.take().unwrap(), b"four words of nonsense\n").unwrap();
    let output = terminal.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let tar =
        Command::new("tar").arg("xf").arg(place.beside("plain.tar")).current_dir(place.beside("")).output().unwrap();
    assert!(tar.status.success(), "{tar:?}");
    let key = fs::read(place.beside("files/server-key.pgp")).unwrap();
    assert_eq!(key, fs::read(place.node.data_dir().join("server-key.pgp")).unwrap());
    assert!(fs::read_to_string(place.beside("backup.json")).unwrap().contains("kontalk.test"));
}

#[test]
fn all_data_are_read_before_an_upgrade_and_stay_as_they_are() {
    let mut place = Place::new();
    for user in ["romeo", "juliet"] {
        place.node.add_account(user);
    }
    let mut romeo = Client::online(&place.node, "romeo", "orchard");
    romeo.say(&format!("juliet@{DOMAIN}"), &body("waits"));
    romeo.wait_acked();
    romeo.close();
    let running = place.node.cli(&["verify-data"]);
    assert_eq!(running.status.code(), Some(0), "{running:?}");
    assert!(stdout(&running).contains("All of it can be read"), "{running:?}");
    place.node.sigterm();
    let before = listing(&place.node.data_dir());
    let stopped = place.node.cli(&["verify-data", "--json"]);
    assert_eq!(stopped.status.code(), Some(0), "{stopped:?}");
    let report: serde_json::Value = serde_json::from_slice(&stopped.stdout).unwrap();
    let records = |name: &str| {
        let trees = report["trees"].as_array().unwrap();
        trees.iter().find(|tree| tree["name"] == name).map(|tree| tree["records"].as_u64().unwrap())
    };
    assert_eq!((records("accounts"), records("offline")), (Some(2), Some(1)), "{report}");
    assert_eq!(listing(&place.node.data_dir()), before);

    // The database does not open: what it is made of is spoilt.
    let path = place.node.data_dir().join("store/conf");
    let conf = fs::read(&path).unwrap();
    fs::write(&path, &conf[..conf.len() / 2]).unwrap();
    let spoilt = place.node.cli(&["verify-data"]);
    refused(&spoilt, &["the database is damaged"]);
    fs::write(&path, conf).unwrap();
    assert_eq!(listing(&place.node.data_dir()), before);
    // Whoever looks at nothing says so.
    let nothing = Command::new(binary()).args(["verify-data", "--data", "/nonexistent"]).output().unwrap();
    refused(&nothing, &["there is no node's data"]);
}

/// Paths and contents.
fn listing(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(listing(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
