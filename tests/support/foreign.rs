//! Prosody and ejabberd as Debian has them, each with a directory, an address and a configuration of its own, run by whoever runs
//! the tests and ended by its process id.

#![allow(dead_code)] // Each test binary uses its own part of this.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::authority::Issued;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    Prosody,
    Ejabberd,
}

/// How it is configured.
pub struct Wishes<'a> {
    pub make: Make,
    pub domain: &'static str,
    pub ip: IpAddr,
    /// Where names are looked up.
    pub names: SocketAddr,
    pub issued: &'a Issued,
    /// Whose certificates it believes.
    pub authority: &'a str,
    /// It takes dialback from those whom it does not believe.
    pub dialback: bool,
}

/// A running server.
pub struct Foreign {
    pub make: Make,
    pub domain: &'static str,
    /// Where its clients connect.
    pub address: SocketAddr,
    child: Child,
    dir: PathBuf,
    log: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Foreign {
    pub fn start(wishes: &Wishes<'_>) -> Foreign {
        let dir = std::env::temp_dir().join(format!("kontalk-foreign-{}-{}", std::process::id(), wishes.ip));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("data")).expect("a directory");
        let write = |name: &str, content: &str| fs::write(dir.join(name), content).expect("a file");
        write("ca.pem", wishes.authority);
        write("chain.pem", &wishes.issued.certificate);
        write("key.pem", &wishes.issued.key);
        write("full.pem", &format!("{}{}", wishes.issued.certificate, wishes.issued.key));
        let (mut command, ready) = match wishes.make {
            Make::Prosody => {
                write("prosody.cfg.lua", &prosody(wishes, &dir));
                let mut command = Command::new("prosody");
                command.arg("--config").arg(dir.join("prosody.cfg.lua")).arg("-F");
                (command, "Activated service 's2s' on".to_owned())
            }
            Make::Ejabberd => {
                write("ejabberd.yml", &ejabberd(wishes, &dir));
                write("inetrc", &inetrc(wishes.names));
                let mut command = Command::new("erl");
                command.args(["-noinput", "-mnesia", "dir"]).arg(format!("\"{}\"", dir.join("data").display()));
                command.args(["-s", "ejabberd"]);
                command.env("EJABBERD_CONFIG_PATH", dir.join("ejabberd.yml"));
                command.env("EJABBERD_LOG_PATH", dir.join("ejabberd.log"));
                command.env("ERL_INETRC", dir.join("inetrc"));
                command.env("ERL_CRASH_DUMP", dir.join("crash.dump"));
                command.env("ERL_LIBS", erlang_libraries());
                command.env("HOME", &dir);
                (command, format!("Start accepting TCP connections at {}:5269", wishes.ip))
            }
        };
        command.current_dir(&dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{:?} does not start: {error}", wishes.make));
        let log: Arc<(Mutex<Vec<String>>, Condvar)> = Arc::default();
        read(child.stdout.take().expect("piped"), &log);
        read(child.stderr.take().expect("piped"), &log);
        let address = SocketAddr::new(wishes.ip, 5222);
        let foreign = Foreign { make: wishes.make, domain: wishes.domain, address, child, dir, log };
        foreign.log_says(&ready);
        foreign
    }

    /// Waits for a line that holds this text.
    pub fn log_says(&self, text: &str) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        let (lines, more) = &*self.log;
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{:?} never said {text:?}:\n{}", self.make, lines.join("\n"));
            (lines, _) = more.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn said(&self) -> String {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{:?} said:\n{}", self.make, self.said());
        }
        self.child.kill().ok();
        self.child.wait().ok();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn read(from: impl std::io::Read + Send + 'static, log: &Arc<(Mutex<Vec<String>>, Condvar)>) {
    let log = log.clone();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            log.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            log.1.notify_all();
        }
    });
}

fn prosody(wishes: &Wishes<'_>, dir: &Path) -> String {
    let dialback = if wishes.dialback { "\"dialback\";" } else { "" };
    format!(
        r#"
run_as_root = true
daemonize = false
pidfile = "{dir}/prosody.pid"
data_path = "{dir}/data"
interfaces = {{ "{ip}" }}
modules_enabled = {{ "disco"; "roster"; "saslauth"; "tls"; {dialback} "smacks"; "s2s_bidi"; "ping"; "version"; "register_ibr"; "posix" }}
modules_disabled = {{ "limits" }}
allow_registration = true
c2s_require_encryption = true
s2s_require_encryption = true
s2s_secure_auth = {secure}
authentication = "internal_plain"
unbound = {{ resolvconf = false; hoststxt = false; forward = "{names_ip}@{names_port}"; options = {{ ["do-not-query-localhost:"] = "no"; ["module-config:"] = "iterator" }} }}
log = {{ {{ levels = {{ min = "debug" }}; to = "console" }} }}
ssl = {{ certificate = "{dir}/chain.pem"; key = "{dir}/key.pem"; cafile = "{dir}/ca.pem" }}
VirtualHost "{domain}"
    ssl = {{ certificate = "{dir}/chain.pem"; key = "{dir}/key.pem"; cafile = "{dir}/ca.pem" }}
"#,
        dir = dir.display(),
        ip = wishes.ip,
        secure = !wishes.dialback,
        names_ip = wishes.names.ip(),
        names_port = wishes.names.port(),
        domain = wishes.domain,
    )
}

fn ejabberd(wishes: &Wishes<'_>, dir: &Path) -> String {
    let dialback = if wishes.dialback { "  mod_s2s_dialback: {}\n" } else { "" };
    format!(
        r#"
loglevel: debug
hosts: ["{domain}"]
certfiles: ["{dir}/full.pem"]
ca_file: "{dir}/ca.pem"
s2s_use_starttls: required
registration_timeout: infinity
auth_method: internal
listen:
  - port: 5222
    ip: "{ip}"
    module: ejabberd_c2s
    starttls: true
  - port: 5269
    ip: "{ip}"
    module: ejabberd_s2s_in
access_rules:
  register:
    allow: all
modules:
  mod_roster: {{}}
  mod_disco: {{}}
  mod_ping: {{}}
  mod_version: {{}}
  mod_stream_mgmt: {{}}
  mod_offline: {{}}
  mod_register:
    access: register
    ip_access: all
{dialback}"#,
        dir = dir.display(),
        ip = wishes.ip,
        domain = wishes.domain,
    )
}

fn inetrc(names: SocketAddr) -> String {
    let IpAddr::V4(ip) = names.ip() else { panic!("an IPv4 address") };
    let [a, b, c, d] = ip.octets();
    // Nothing of this machine's own.
    format!(
        "{{resolv_conf, \"\"}}.\n{{hosts_file, \"\"}}.\n{{lookup, [dns]}}.\n{{nameserver, {{{a},{b},{c},{d}}}, {}}}.\n",
        names.port()
    )
}

/// Where Debian puts ejabberd: a directory that is named for the machine.
fn erlang_libraries() -> PathBuf {
    let mut dirs = fs::read_dir("/usr/lib").expect("/usr/lib can be read").filter_map(Result::ok).map(|dir| dir.path());
    let has_ejabberd = |dir: &PathBuf| {
        let mut entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        entries.any(|entry| entry.file_name().to_string_lossy().starts_with("ejabberd-"))
    };
    dirs.find(has_ejabberd).expect("ejabberd is installed (remedy: apt-get install ejabberd)")
}
