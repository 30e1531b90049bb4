//! A node whose codes go out by a modem: registration through the simulated modem, the operator's commands, unplugging; and
//! that neither log nor disk holds a number afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/person.rs"]
mod person;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use person::Person;
use support::client::Connect;
use support::modem_pty::PtyModem;
use support::modem_sim::{Act, Fault, On, Script};
use support::node::{Node, NodeOptions, binary};
use support::secret;

fn node_with(device: &PtyModem) -> Node {
    let mut options = NodeOptions::default();
    options.add_config("sms.via = \"modem\"");
    options.add_config("sms.countries = \"all\"");
    options.add_config(&format!("sms.modem.device = \"{}\"", device.device().display()));
    options.add_config("sms.modem.delivery_reports = true");
    options.add_config("sms.modem.watch_calls = true");
    Node::start(options)
}

/// The digits of a number as people and as PDUs write them are secrets.
fn person(index: usize, number: &str, node: &Node) -> Person {
    secret(swapped(number));
    Person::new(index, number, Connect::to(node))
}

fn swapped(number: &str) -> String {
    let digits: Vec<char> = number.trim_start_matches('+').chars().chain(['F']).collect();
    digits.chunks_exact(2).flat_map(|pair| [pair[1], pair[0]]).collect()
}

fn code_at(device: &PtyModem, number: &str) -> String {
    let sim = device.sim();
    let sent = sim.sent.iter().rev().find(|sent| sent.to == number).expect("a code was sent");
    secret(sent.text.clone());
    secret(sent.text.chars().take(6).collect::<String>())
}

fn until(node: &Node, words: &[&str], is: impl Fn(&Output) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let output = node.cli(words);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if is(&output) {
            return text;
        }
        assert!(begun.elapsed() < PATIENCE, "{words:?} never says so:\n{text}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn ready(node: &Node) -> String {
    until(node, &["modem", "status"], |output| String::from_utf8_lossy(&output.stdout).contains("state       ready"))
}

#[test]
fn codes_go_out_by_the_modem_and_it_may_be_unplugged() {
    let silence = Fault { on: On::Message, skip: 2, times: 1, act: Act::Say("+CMS ERROR: 332") };
    let device = PtyModem::start(Script { chatter: true, faults: vec![silence], ..Script::default() });
    let node = node_with(&device);
    let status = ready(&node);
    for line in
        ["Simulated SIM1000", "49015420…18", "country     +49", "operator    Simnet", "signal      good, -79 dBm"]
    {
        assert!(status.contains(line), "{status}");
    }
    let all = String::from_utf8(node.cli(&["status"]).stdout).unwrap();
    assert!(all.starts_with("All is well.") && all.contains("modem             ready, registered, Simnet"), "{all}");

    let mut anna = person(0, "+15555215554", &node);
    anna.stranger().request_code(&anna.number, false).expect("a code is sent");
    let code = code_at(&device, &anna.number.e164);
    anna.ring = anna.with_certificate().submit_code(&code).expect("the code is right");
    anna.online();

    // Unplugged, a user is told the truth, and so is the operator.
    device.unplug();
    let gone = until(&node, &["modem", "status"], |output| !output.status.success());
    assert!(gone.contains("no modem"), "{gone}");
    let bruno = person(1, "+393351234567", &node);
    let refused = bruno.stranger().request_code(&bruno.number, false).expect_err("no code is sent");
    assert_eq!(refused.condition, "not-acceptable", "{refused:?}");
    let all = node.cli(&["status"]);
    assert!(!all.status.success() && String::from_utf8_lossy(&all.stdout).starts_with("No codes can be sent: "));

    // Back under another name, without a restart.
    device.plug();
    ready(&node);
    bruno.stranger().request_code(&bruno.number, false).expect("a code is sent");
    let code = code_at(&device, &bruno.number.e164);
    bruno.with_certificate().submit_code(&code).expect("the code is right");

    // What nobody knows counts as sent: the user may well receive it, and nothing is sent twice.
    let carla = person(2, "+4915112345678", &node);
    carla.stranger().request_code(&carla.number, false).expect("a code may have been sent");
    assert_eq!(device.sim().sent.len(), 2);

    device.sim().deliver(Duration::ZERO, "0791947101670000040C919471909999990000623040506070400BD6A23469CC8268B7580C");
    secret("1709999999");
    secret("VERIFY 4711");
    secret("9471909999");
    device.sim().ussd = Some("+CUSD: 0,\"Your number is 01701234567, credit 1.50\",15".to_owned());
    secret("01701234567");
    let balance = node.cli(&["modem", "ussd", "*100#", "--json"]);
    assert_eq!(
        String::from_utf8(balance.stdout).unwrap(),
        "{\"answer\":\"Your number is 01701234567, credit 1.50\"}\n"
    );
    let refused = node.cli(&["modem", "ussd", "ATD110;"]);
    assert_eq!(refused.status.code(), Some(1));
    until(&node, &["modem", "status"], |_| device.sim().stored() == 0);
    let json: serde_json::Value = serde_json::from_slice(&node.cli(&["modem", "status", "--json"]).stdout).unwrap();
    assert_eq!((&json["sent"], &json["unknown"], &json["country"]), (&2.into(), &1.into(), &49.into()));

    nothing_secret_below(&node.data_dir());
    node.check_log();
}

#[test]
fn a_node_without_a_modem_says_so() {
    let node = Node::start(NodeOptions::default());
    for words in [&["modem", "status"][..], &["modem", "ussd", "*100#"]] {
        let output = node.cli(words);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("via = \"modem\""));
    }
}

/// A node in a process of its own that has no more rights than `nobody`.
struct Powerless {
    dir: PathBuf,
    child: Child,
}

impl Powerless {
    fn start(name: &str, device: &Path) -> Powerless {
        let dir = std::env::temp_dir().join(format!("kontalk-powerless-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let config = format!(
            "domain = \"kontalk.test\"\ndata_dir = \"data\"\n[c2s]\nlisten = [\"127.0.0.1:0\"]\nlisten_tls = []\n\
             [web]\nenabled = false\n[s2s]\nenabled = false\n[sms]\nvia = \"modem\"\nmodem.device = \"{}\"\n",
            device.display()
        );
        fs::write(dir.join("node.toml"), config).unwrap();
        let mut command = Command::new(binary());
        command.args(["serve", "--config", "node.toml"]).current_dir(&dir).stdout(Stdio::null()).stderr(Stdio::null());
        if is_root() {
            std::os::unix::fs::chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
            command.uid(NOBODY).gid(NOBODY);
        }
        Powerless { child: command.spawn().unwrap(), dir }
    }

    /// Waits until the modem's status says so.
    fn until(&self, words: &str) {
        let begun = Instant::now();
        loop {
            let output =
                Command::new(binary()).args(["modem", "status", "--data", "data"]).current_dir(&self.dir).output();
            let text = String::from_utf8(output.unwrap().stdout).unwrap();
            if text.contains(words) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "never {words:?}:\n{text}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Powerless {
    fn drop(&mut self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_user_without_rights_is_told_what_is_missing_and_needs_only_that() {
    let device = PtyModem::start(Script::default());
    fs::set_permissions(device.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let terminal = device.terminal().unwrap();
    fs::set_permissions(&terminal, fs::Permissions::from_mode(0o000)).unwrap();
    let node = Powerless::start("first", &device.device());
    node.until("add the node's user to the group dialout");
    // As if the user had joined the group.
    if is_root() {
        std::os::unix::fs::chown(&terminal, Some(NOBODY), None).unwrap();
    }
    fs::set_permissions(&terminal, fs::Permissions::from_mode(0o600)).unwrap();
    node.until("state       ready");
    // It has the port alone.
    let other = Powerless::start("second", &device.device());
    other.until("end the program that has it");
    drop(node);
    other.until("state       ready");
}

fn nothing_secret_below(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            nothing_secret_below(&path);
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            for secret in support::secrets() {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{} holds the secret {secret:?}", path.display());
            }
        }
    }
}

const NOBODY: u32 = 65_534;
const PATIENCE: Duration = Duration::from_secs(60);
