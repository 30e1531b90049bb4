//! The Debian package in a root directory of its own: configured, started as its unit says and by its user, a number registered
//! through a modem, messages, an upgrade to a package with a new schema, removal and purge. `tests/install` prepares all that and
//! runs this; by itself it does nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/person.rs"]
mod person;
mod support;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use person::Person;
use rustix::process::{Pid, Signal, kill_process};
use support::client::{Connect, TlsVersion};
use support::modem_pty::PtyModem;
use support::modem_sim::Script;
use support::node::DOMAIN;
use support::{body, secret, secrets};

#[test]
#[ignore = "tests/install prepares a root directory for it"]
fn a_package_is_installed_used_upgraded_removed_and_purged() {
    let place = Place::named();
    place.is_installed_as_it_should_be();
    let modem = PtyModem::start(Script::default());
    place.configure(&modem);

    let mut node = Started::by_its_unit(&place);
    let how = Connect {
        address: "127.0.0.1:5222".parse().unwrap(),
        domain: DOMAIN,
        direct: false,
        version: TlsVersion::V13,
        certificate: None,
        from: None,
    };
    let mut anna = Person::new(0, "+15555215554", how.clone());
    let mut bruno = Person::new(1, "+393351234567", how);
    register(&mut anna, &modem);
    register(&mut bruno, &modem);
    let (mut anna_app, mut bruno_app) = (anna.online(), bruno.online());
    anna_app.befriend(&mut bruno_app);
    anna_app.say(&bruno.number.address(), &body("there"));
    bruno_app.expect_body(&body("there"));
    bruno_app.say(&anna.number.address(), &body("and back"));
    anna_app.expect_body(&body("and back"));
    bruno_app.close();
    anna_app.expect_presence(Some("unavailable"), &format!("{}/{}", bruno.number.address(), bruno.device));
    anna_app.say(&bruno.number.address(), &body("for later"));
    anna_app.wait_acked();

    node.hears("WATCHDOG=1");
    node.signal(Signal::HUP);
    node.hears("RELOADING=1");
    node.hears("READY=1");

    // The new version reads a copy of all data while the old one serves; then systemd starts it in the old one's place.
    let upgrade = place.run(&["apt-get", "install", "-y", "/packages/next.deb"]);
    assert!(upgrade.contains("All of it can be read"), "nobody looked at the data:\n{upgrade}");
    anna_app.roundtrip();
    node.stop();
    let mut node = Started::by_its_unit(&place);
    assert!(node.log().contains("was brought from schema 1 to 2"), "{}", node.log());
    let mut bruno_app = bruno.online();
    bruno_app.expect_body(&body("for later"));
    let mut anna_app = anna.online();
    bruno_app.say(&anna.number.address(), &body("from the new version"));
    anna_app.expect_body(&body("from the new version"));
    place.run(&["kontalk-node", "verify-data", "--config", CONFIG]);
    node.stop();

    place.run(&["apt-get", "remove", "-y", "kontalk-node"]);
    assert!(!place.has("usr/bin/kontalk-node"));
    for kept in ["etc/kontalk-node/node.toml", "var/lib/kontalk-node/store/db"] {
        assert!(place.has(kept), "{kept} is gone though the package was not purged");
    }
    place.run(&["apt-get", "purge", "-y", "kontalk-node"]);
    place.is_as_before();
}

fn register(person: &mut Person, modem: &PtyModem) {
    let begun = Instant::now();
    // The modem may still be asked who it is.
    while let Err(refused) = person.stranger().request_code(&person.number, false) {
        assert!(begun.elapsed() < PATIENCE, "no code is sent: {refused:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let sim = modem.sim();
    let sent = sim.sent.iter().rev().find(|sent| sent.to == person.number.e164).expect("a code was sent");
    let code = secret(sent.text.chars().take(6).collect::<String>());
    drop(sim);
    person.ring = person.with_certificate().submit_code(&code).expect("the code is right");
}

/// A root directory with Debian and the package in it.
struct Place {
    root: PathBuf,
}

impl Place {
    fn named() -> Place {
        Place { root: std::env::var_os("KONTALK_INSTALL_ROOT").expect("tests/install names the directory").into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.root).args(["/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"]);
        command.args(["DEBIAN_FRONTEND=noninteractive"]).args(words);
        command
    }

    /// Runs a command as root, which must succeed; gives all it said.
    fn run(&self, words: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(words).output().expect("it starts");
        let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        assert!(status.success(), "{words:?}: {status}\n{said}");
        said
    }

    /// Mode, owner and group of something in it.
    fn rights(&self, path: &str) -> String {
        self.run(&["stat", "--format", "%a %U:%G", &format!("/{path}")]).trim().to_owned()
    }

    fn is_installed_as_it_should_be(&self) {
        for (path, rights) in [
            ("usr/bin/kontalk-node", "755 root:root"),
            ("etc/kontalk-node", "750 root:kontalk-node"),
            ("etc/kontalk-node/node.toml", "640 root:kontalk-node"),
            ("var/lib/kontalk-node", "700 kontalk-node:kontalk-node"),
            ("usr/lib/systemd/system/kontalk-node.service", "644 root:root"),
            ("usr/lib/udev/rules.d/60-kontalk-node-modem.rules", "644 root:root"),
        ] {
            assert_eq!(self.rights(path), rights, "{path}");
        }
        assert_eq!(self.run(&["id", "-Gn", "kontalk-node"]).trim(), "kontalk-node dialout");
        let conffiles = self.run(&["dpkg-query", "--show", "--showformat=${Conffiles}", "kontalk-node"]);
        assert!(conffiles.contains("/etc/kontalk-node/node.toml"), "{conffiles}");
    }

    fn is_as_before(&self) {
        let accounts = self.run(&["cat", "/etc/passwd", "/etc/group"]);
        assert!(!accounts.contains("kontalk"), "{accounts}");
        let left = self.run(&["find", "/", "-xdev", "-iname", "*kontalk*"]);
        assert_eq!(left, "", "this is left");
        let states = self.run(&["dpkg-query", "--show", "--showformat=${Package} ${Status}\n"]);
        assert!(!states.contains("kontalk-node"), "{states}");
    }

    /// What the operator sets in the file that the package brought.
    fn configure(&self, modem: &PtyModem) {
        let device = fs::read_link(modem.device()).expect("a terminal behind a link");
        let dialout: u32 = self.run(&["getent", "group", "dialout"]).split(':').nth(2).unwrap().parse().unwrap();
        // As udev does it with modems.
        chown(&device, Some(0), Some(dialout)).unwrap();
        fs::set_permissions(&device, fs::Permissions::from_mode(0o660)).unwrap();
        let path = self.path(&CONFIG[1..]);
        // The file that the package brought lies there: what is unset in it is set, and nothing the second time.
        let port = device.display().to_string();
        let mut setup = vec!["kontalk-node", "setup", "--yes", "--domain", DOMAIN, "--contact", "admin@kontalk.test"];
        setup.extend(["--certificate", "self-signed", "--codes", "modem", "--modem-device", &port]);
        self.run(&setup);
        let text = fs::read_to_string(&path).unwrap();
        self.run(&setup);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        // The people of this story live in several countries.
        let home = "#countries = [\"home\"]";
        assert!(text.contains(home), "{text}");
        fs::write(&path, text.replacen(home, "countries = \"all\"", 1)).unwrap();
        assert_eq!(self.rights(&CONFIG[1..]), "640 root:kontalk-node");
        self.run(&["kontalk-node", "check-config", CONFIG]);
    }
}

/// The node, as systemd would run it.
struct Started {
    child: Child,
    ear: UnixDatagram,
    log: PathBuf,
}

impl Started {
    fn by_its_unit(place: &Place) -> Started {
        let unit = fs::read_to_string(place.path("usr/lib/systemd/system/kontalk-node.service")).unwrap();
        let setting = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)).expect("the unit has it");
        assert_eq!(setting("Type="), "notify");
        let socket = place.path("run/notify");
        let _ = fs::remove_file(&socket);
        let ear = UnixDatagram::bind(&socket).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        ear.set_read_timeout(Some(PATIENCE)).unwrap();
        let log = place.root.with_extension("node.log");
        let output = File::create(&log).unwrap();
        let user = setting("User=");
        let words: Vec<&str> = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "env"]
            .into_iter()
            .chain(["NOTIFY_SOCKET=/run/notify", "WATCHDOG_USEC=2000000"])
            .chain(setting("ExecStart=").split(' '))
            .collect();
        let mut command = place.command(&words);
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let mut node = Started { child: command.spawn().unwrap(), ear, log };
        node.hears("READY=1");
        node
    }

    /// What it said up to now.
    fn log(&self) -> String {
        read(&self.log)
    }

    /// Waits until its supervisor is told this.
    fn hears(&mut self, news: &str) {
        let begun = Instant::now();
        let mut bytes = [0; 256];
        while begun.elapsed() < PATIENCE {
            match self.ear.recv(&mut bytes) {
                Ok(size) if &bytes[..size] == news.as_bytes() => return,
                Ok(_) => {}
                Err(error) => panic!("{news} never came: {error}\n{}", self.log()),
            }
        }
        panic!("{news} never came\n{}", self.log());
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.hears("STOPPING=1");
        let status = self.child.wait().unwrap();
        let log = self.log();
        assert!(status.success(), "{status}\n{log}");
        for forbidden in secrets() {
            assert!(!log.contains(&forbidden), "a secret is in the log");
        }
        assert!(!log.contains("ERROR"), "{log}");
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

const CONFIG: &str = "/etc/kontalk-node/node.toml";
const PATIENCE: Duration = Duration::from_secs(30);
