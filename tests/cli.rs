//! The real binary's command line: help, exit codes, configuration checks, accounts with and without a running node, the server
//! key, and what happens where permissions are wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use kontalk_node::node::control::{AccountFacts, Status};
use support::client::{Client, Connect};
use support::login::Binding;
use support::node::{Node, NodeOptions, binary};
use support::scram::Hash;
use support::secret;

#[test]
fn every_command_explains_itself_with_examples_that_it_understands() {
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    let mut commands = Vec::new();
    while let Some(command) = waiting.pop() {
        let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let output = run(&words);
        let help = stdout(&output);
        assert_eq!((code(&output), stderr(&output)), (0, String::new()), "{words:?}");
        let examples = section(&help, "Examples:");
        assert!(!examples.is_empty(), "{words:?} shows no example:\n{help}");
        for example in examples.iter().filter_map(|line| command_in(line)) {
            understands(&example);
        }
        // A command's name stands two columns in; its explanation goes on further in.
        for line in section(&help, "Commands:") {
            if let Some(name) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) {
                let name = name.split(' ').next().unwrap().to_owned();
                waiting.push(command.iter().cloned().chain([name]).collect());
            }
        }
        commands.push(command.join(" "));
    }
    for known in ["", "serve", "check-config", "sample-config", "status", "account add", "key export", "version"] {
        assert!(commands.iter().any(|command| command == known), "{known:?} is not among {commands:?}");
    }
}

#[test]
fn the_version_is_told_both_ways() {
    let told = format!("kontalk-node {}\n", env!("CARGO_PKG_VERSION"));
    for words in [&["version"][..], &["--version"]] {
        let output = run(words);
        assert_eq!((code(&output), stdout(&output), stderr(&output)), (0, told.clone(), String::new()));
    }
}

#[test]
fn arguments_that_are_not_understood_exit_2() {
    for words in [
        &["nonsense"][..],
        &["--nonsense"],
        &["serve", "--nonsense"],
        &["account"],
        &["account", "add"],
        &["account", "add", "alice@kontalk.test", "bob@kontalk.test"],
        &["key", "export", "--armor=yes"],
        &["check-config"],
        &["status", "--data"],
    ] {
        let output = run(words);
        assert_eq!((code(&output), stdout(&output)), (2, String::new()), "{words:?}");
        assert!(!stderr(&output).is_empty(), "{words:?} is refused without a word");
    }
}

#[test]
fn where_no_node_is_commands_exit_69_and_make_nothing() {
    let dir = Dir::new();
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["account", "list"],
        &["account", "show", "alice@kontalk.test"],
        &["account", "remove", "alice@kontalk.test"],
    ] {
        let output = dir.run(words);
        assert_eq!((code(&output), stdout(&output)), (69, String::new()), "{words:?}");
        assert!(stderr(&output).contains("no node runs on ./kontalk-data (remedy: "), "{}", stderr(&output));
    }
    let output = dir.run(&["key", "fingerprint"]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).starts_with("there is no server key ./kontalk-data/server-key.pgp yet (remedy: start the node")
    );
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 0, "asking must not make anything");
}

#[test]
fn all_problems_of_a_configuration_are_told_with_their_lines_and_exit_78() {
    let dir = Dir::new();
    let bad = "domain = \"exa mple\"\nnonsense = 3\n[c2s]\nlisten = [\"x\"]\n[tls]\ncertificate = \"absent.pem\"\n\
               [limits]\noffline_days = 0\n[log]\nlevl = \"info\"\n";
    fs::write(dir.0.join("bad.toml"), bad).unwrap();
    for words in [
        &["check-config", "bad.toml"][..],
        &["serve", "--config", "bad.toml"],
        &["status", "--config", "bad.toml"],
        &["account", "list", "--config", "bad.toml"],
        &["key", "export", "--config", "bad.toml"],
    ] {
        let output = dir.run(words);
        let said = stderr(&output);
        assert_eq!((code(&output), stdout(&output)), (78, String::new()), "{words:?}");
        for place in [
            "bad.toml:1: domain = ",
            "bad.toml:2: nonsense: ",
            "bad.toml:4: c2s.listen = \"x\": ",
            "bad.toml:6: tls.certificate = ",
            "bad.toml: tls.key: is missing",
            "bad.toml:8: limits.offline_days = 0: ",
            "bad.toml:10: log.levl: ",
        ] {
            assert_eq!(said.matches(place).count(), 1, "{place} in\n{said}");
        }
        assert!(said.ends_with("7 problems, nothing started.\n"), "{said}");
        assert!(said.lines().rev().skip(1).all(|line| line.contains("(remedy: ")), "{said}");
    }
    let output = dir.run(&["check-config", "absent.toml"]);
    assert_eq!(code(&output), 78);
    assert!(stderr(&output).contains("absent.toml: the configuration cannot be read"), "{}", stderr(&output));
}

#[test]
fn the_sample_configuration_is_the_file_and_passes_once_the_domain_is_set() {
    let dir = Dir::new();
    let sample = stdout(&dir.run(&["sample-config"]));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/node.toml");
    assert_eq!(sample, fs::read_to_string(file).unwrap());
    fs::write(dir.0.join("node.toml"), &sample).unwrap();
    let untouched = dir.run(&["check-config", "node.toml"]);
    assert_eq!(code(&untouched), 78, "the sample's own domain is nobody's");
    assert!(stderr(&untouched).contains("node.toml:8: domain"), "{}", stderr(&untouched));
    fs::write(dir.0.join("node.toml"), sample.replace("\"example.org\"", "\"kontalk.test\"")).unwrap();
    let set = dir.run(&["check-config", "node.toml"]);
    assert_eq!((code(&set), stderr(&set)), (0, String::new()));
    assert_eq!(stdout(&set), "node.toml: no problems; serves kontalk.test\n");
}

#[test]
fn accounts_are_kept_with_and_without_a_running_node() {
    let mut node = Node::start(NodeOptions::default());
    keep_accounts(&node, true);
    let (first, second) = (secret("first-pass-of-carol"), secret("second-pass-of-carol"));
    assert_done(&node.cli_with_input(&["account", "add", CAROL, "--password-file", "-"], &first));
    log_in(&node, &first).expect("the password holds");
    assert_done(&node.cli_with_input(&["account", "set-password", CAROL, "--password-file", "-"], &second));
    log_in(&node, &first).expect_err("the old password is gone");
    log_in(&node, &second).expect("the new password holds");
    node.sigterm();
    keep_accounts(&node, false);
    assert_done(&node.cli_with_input(&["account", "set-password", CAROL, "--password-file", "-"], &first));
    node.start_again();
    log_in(&node, &first).expect("what was set without a node holds in one");
}

/// The whole life of an account by commands alone.
fn keep_accounts(node: &Node, running: bool) {
    const ALICE: &str = "alice@kontalk.test";
    let (password, other) = (secret("swordfish-of-alice"), secret("marlin-of-alice"));
    let when = if running { "" } else { " (no node runs; it will see this when it starts)" };
    let file = node.data_dir().join("alice.txt");
    fs::write(&file, format!("{password}\nnot this line\n")).unwrap();
    let said = |words: &[&str]| {
        let output = node.cli(words);
        assert_eq!((code(&output), stderr(&output)), (0, String::new()), "{words:?}");
        stdout(&output)
    };
    let from_file = file.to_str().unwrap();
    assert_eq!(said(&["account", "add", ALICE, "--password-file", from_file]), format!("{ALICE} is there{when}\n"));
    assert!(said(&["account", "list"]).lines().any(|line| line == format!("{ALICE}  password")));
    let listed: Vec<AccountFacts> = serde_json::from_str(&said(&["account", "list", "--json"])).unwrap();
    let shown: Vec<AccountFacts> = serde_json::from_str(&said(&["account", "show", "--json", ALICE])).unwrap();
    assert_eq!(shown, listed.into_iter().filter(|account| account.address == ALICE).collect::<Vec<_>>());
    assert!(shown[0].password && shown[0].key.is_none() && !shown[0].number_verified);
    let words = said(&["account", "show", ALICE]);
    assert!(words.contains(&format!("address      {ALICE}\n")) && words.contains("key          none\n"), "{words}");

    let set = node.cli_with_input(&["account", "set-password", ALICE, "--password-file", "-"], &other);
    assert_eq!((code(&set), stdout(&set)), (0, format!("{ALICE} has a new password{when}\n")));
    for (words, input, reason) in [
        (&["account", "add", ALICE, "--password-file", "-"][..], other.as_str(), "such an account already"),
        (&["account", "add", "dora@elsewhere.test", "--password-file", "-"], &other, "(remedy: "),
        (&["account", "add", "kontalk.test", "--password-file", "-"], &other, "(remedy: "),
        (&["account", "add", "@@", "--password-file", "-"], &other, "(remedy: "),
        // Its name before the @ is a service's.
        (&["account", "add", "probe@kontalk.test", "--password-file", "-"], &other, "service"),
        (&["account", "add", "dora@kontalk.test", "--password-file", "-"], "", "empty"),
        (&["account", "add", "dora@kontalk.test", "--password-file", "/absent.txt"], "", "cannot be read"),
        (&["account", "set-password", "dora@kontalk.test", "--password-file", "-"], &other, "no such account"),
        (&["account", "show", "dora@kontalk.test"], "", "no such account"),
        (&["account", "remove", "dora@kontalk.test"], "", "no such account"),
    ] {
        let output = node.cli_with_input(words, input);
        let refusal = stderr(&output);
        assert_eq!((code(&output), stdout(&output)), (1, String::new()), "{words:?}: {refusal}");
        assert!(refusal.contains(reason), "{words:?}: {refusal}");
        assert!(!refusal.contains(&other), "{words:?} prints the password");
    }
    assert_eq!(said(&["account", "remove", ALICE]), format!("{ALICE} is gone{when}\n"));
    assert!(!said(&["account", "list"]).contains(ALICE));
    fs::remove_file(&file).unwrap();
}

#[test]
fn a_password_is_never_an_argument_and_never_printed() {
    let dir = Dir::new();
    for command in ["add", "set-password"] {
        for words in [["--password", "swordfish"], ["-p", "swordfish"]] {
            let output = dir.run(&["account", command, "alice@kontalk.test", words[0], words[1]]);
            assert_eq!(code(&output), 2, "{words:?}");
            assert!(!format!("{}{}", stdout(&output), stderr(&output)).contains("swordfish"), "{words:?}");
        }
        let help = stdout(&dir.run(&["account", command, "--help"]));
        assert!(help.contains("--password-file") && !help.contains("--password "), "{help}");
    }
}

#[test]
fn the_status_of_a_running_node_is_told_in_words_and_in_json() {
    let mut node = Node::start(NodeOptions::default());
    node.add_account("juliet");
    let client = Client::online(&node, "juliet", "balcony");
    let output = node.cli(&["status"]);
    let words = stdout(&output);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    assert!(words.starts_with("All is well.\ndomain            kontalk.test\n"), "{words}");
    let status: Status = serde_json::from_str(&stdout(&node.cli(&["status", "--json"]))).unwrap();
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
    assert_eq!((status.domain.as_str(), status.sessions, status.accounts), ("kontalk.test", 1, 1));
    assert_eq!(format!("{}\n", status.key), stdout(&node.cli(&["key", "fingerprint"])));
    assert!(!status.store_broken && status.damaged_records == 0 && status.store_bytes > 0);
    // The same data directory, named by the configuration.
    let output = run(&["status", "--config", node.config_path().to_str().unwrap()]);
    assert!(stdout(&output).starts_with("All is well."));
    drop(client);
    node.sigterm();
    assert_eq!(code(&node.cli(&["status"])), 69);
}

#[test]
fn gnupg_reads_the_exported_server_key() {
    let mut node = Node::start(NodeOptions::default());
    node.sigterm();
    let fingerprint = stdout(&node.cli(&["key", "fingerprint"])).trim_end().to_owned();
    assert!(fingerprint.len() == 40 && fingerprint.bytes().all(|b| b.is_ascii_hexdigit()), "{fingerprint}");
    for words in [&["key", "export"][..], &["key", "export", "--armor"]] {
        let exported = node.cli(words);
        assert_eq!((code(&exported), stderr(&exported)), (0, String::new()));
        let listing = gpg_shows(&exported.stdout);
        let records: Vec<Vec<&str>> = listing.lines().map(|line| line.split(':').collect()).collect();
        let field = |kind: &str, at: usize| records.iter().find(|record| record[0] == kind).map(|record| record[at]);
        assert_eq!(field("fpr", 9), Some(fingerprint.as_str()), "{listing}");
        assert_eq!(field("uid", 9), Some("xmpp\\x3akontalk.test"), "{listing}");
        assert_eq!((field("sec", 0), field("ssb", 0)), (None, None), "secret parts left the node:\n{listing}");
    }
}

#[test]
fn what_the_node_writes_is_for_its_own_user_only() {
    let node = Node::start(NodeOptions::default());
    node.add_account("juliet");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let data = node.data_dir();
    assert_eq!(mode(&data), 0o700);
    for file in ["server-key.pgp", "control.sock"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    assert_eq!(mode(&data.join("store")) & 0o077, 0);
}

#[test]
fn a_data_directory_that_others_can_read_is_warned_of() {
    let mut node = Node::start(NodeOptions::default());
    node.sigterm();
    fs::set_permissions(node.data_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    node.start_again();
    node.log_says("can be read by others (remedy: chmod 700 ");
}

#[test]
fn a_tls_key_that_others_can_read_is_warned_of() {
    let dir = Dir::new();
    fs::write(dir.0.join("chain.pem"), "").unwrap();
    fs::write(dir.0.join("key.pem"), "").unwrap();
    fs::set_permissions(dir.0.join("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let config = "domain = \"kontalk.test\"\n[tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n";
    fs::write(dir.0.join("node.toml"), config).unwrap();
    let output = dir.run(&["check-config", "node.toml"]);
    assert_eq!(code(&output), 0);
    assert!(
        stderr(&output)
            .contains("node.toml:4: tls.key = \"key.pem\": anybody on this machine can read the key (remedy: ")
    );
}

#[test]
fn what_may_not_be_opened_is_told_with_a_remedy() {
    let dir = Dir::new();
    let closed = fs::Permissions::from_mode(0o000);
    fs::write(dir.0.join("closed.toml"), "domain = \"kontalk.test\"\n").unwrap();
    fs::set_permissions(dir.0.join("closed.toml"), closed.clone()).unwrap();
    fs::create_dir(dir.0.join("closed")).unwrap();
    fs::set_permissions(dir.0.join("closed"), closed).unwrap();
    let config =
        "domain = \"kontalk.test\"\ndata_dir = \"closed\"\n[c2s]\nlisten = [\"127.0.0.1:0\"]\nlisten_tls = []\n";
    fs::write(dir.0.join("node.toml"), config).unwrap();
    for (words, exit, beginning) in [
        (&["check-config", "closed.toml"][..], 78, "closed.toml: the configuration cannot be read: Permission denied"),
        (&["serve", "--config", "closed.toml"], 78, "closed.toml: the configuration cannot be read: Permission denied"),
        (&["status", "--data", "closed"], 1, "the node at closed does not answer: Permission denied"),
        (&["account", "list", "--data", "closed"], 1, "the node at closed does not answer: Permission denied"),
        (&["key", "export", "--data", "closed"], 1, "closed/server-key.pgp cannot be used: Permission denied"),
        (&["serve", "--config", "node.toml"], 1, ""),
    ] {
        let output = powerless(dir.command(words)).output().expect("the command starts");
        let said = stderr(&output);
        assert_eq!(code(&output), exit, "{words:?}: {said}");
        assert!(said.starts_with(beginning) && said.contains("(remedy: "), "{words:?}: {said}");
    }
}

/// Permissions mean nothing to root, so as root the command runs as nobody.
fn powerless(mut command: Command) -> Command {
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// The SASL exchange, with this password.
fn log_in(node: &Node, password: &str) -> Result<(), String> {
    Client::connect(&Connect::to(node)).scram("carol", password, Hash::Sha256, Binding::None)
}

/// What GnuPG says about a key, in its form for programs.
fn gpg_shows(key: &[u8]) -> String {
    let home = Dir::new();
    let mut gpg = Command::new("gpg")
        .args(["--batch", "--with-colons", "--show-keys"])
        .env("GNUPGHOME", &home.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("gpg is installed");
    gpg.stdin.take().expect("piped").write_all(key).expect("gpg reads");
    let output = gpg.wait_with_output().expect("gpg ends");
    assert!(output.status.success(), "gpg: {}", stderr(&output));
    stdout(&output)
}

/// Runs an example's words as far as help goes: with `--help` behind them nothing is done, but all must be understood.
fn understands(example: &str) {
    let words: Vec<&str> = example.split_whitespace().skip(1).chain(["--help"]).collect();
    let output = run(&words);
    assert_eq!(code(&output), 0, "the example {example:?}: {}", stderr(&output));
}

/// The call of our binary in a line of an example: not what is piped into it, nor what it is piped into.
fn command_in(line: &str) -> Option<String> {
    let call = line.split(['|', '>']).map(str::trim).find(|part| part.split(' ').next() == Some("kontalk-node"))?;
    Some(call.to_owned())
}

/// The lines below a heading of the help.
fn section(help: &str, heading: &str) -> Vec<String> {
    let below = help.lines().skip_while(|line| *line != heading).skip(1);
    below.take_while(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn run(words: &[&str]) -> Output {
    Dir::new().run(words)
}

fn assert_done(output: &Output) {
    assert_eq!((code(output), stderr(output)), (0, String::new()));
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ends by itself")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// An empty directory that anybody can enter; gone at the end.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let name = format!("kontalk-cli-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("it is ours");
        Dir(dir)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(words).current_dir(&self.0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the command starts")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

const CAROL: &str = "carol@kontalk.test";
const NOBODY: u32 = 65534;
