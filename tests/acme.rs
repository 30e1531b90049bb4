//! Certificates from a real ACME server (pebble) on loopback, by every kind of proof; changes at a real name server (BIND).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/authority.rs"]
mod authority;
mod support;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use authority::{Authority, Flaw};
use support::client::Client;
use support::node::{DOMAIN, Node, NodeOptions};

/// A process that ends with the test.
struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn start(dir: &Path, program: &str, arguments: &[&str]) -> Helper {
    let log = fs::File::create(dir.join(format!("{}.log", program.rsplit('/').next().unwrap()))).unwrap();
    let child = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .env("PEBBLE_VA_NOSLEEP", "1")
        // One nonce in seven is refused, as RFC 8555 allows.
        .env("PEBBLE_WFE_NONCEREJECT", "15")
        .env("PEBBLE_AUTHZREUSE", "0")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error} (remedy: `tests/run` installs it)"));
    Helper(child)
}

fn wait_for_port(port: u16) {
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < PATIENCE, "nothing listens on port {port}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Free for TCP and UDP at this moment.
fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The authority, and a name server that sends every name to this machine.
struct World {
    dir: PathBuf,
    directory: String,
    /// Where the authority looks for proofs by HTTP and by TLS.
    http: u16,
    tls: u16,
    management: u16,
    _helpers: Vec<Helper>,
}

impl World {
    fn new(name: &str, validity_secs: u32, dns: Option<u16>) -> World {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("acme-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let authority = Authority::new();
        let own = authority.issue("localhost", Flaw::None);
        for (file, text) in [("ca.pem", &authority.pem), ("cert.pem", &own.certificate), ("key.pem", &own.key)] {
            fs::write(dir.join(file), text).unwrap();
        }
        let [listen, pebble_management, http, tls, management] = [(); 5].map(|()| free_port());
        let config = format!(
            r#"{{"pebble": {{"listenAddress": "127.0.0.1:{listen}", "managementListenAddress": "127.0.0.1:{pebble_management}",
            "certificate": "cert.pem", "privateKey": "key.pem", "httpPort": {http}, "tlsPort": {tls}, "ocspResponderURL": "",
            "externalAccountBindingRequired": false, "certificateValidityPeriod": {validity_secs}}}}}"#
        );
        fs::write(dir.join("pebble.json"), config).unwrap();
        let mut helpers = Vec::new();
        let dns = dns.unwrap_or_else(|| {
            let port = free_port();
            let (dns, management) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{management}"));
            let mut arguments = vec!["-dns01", &dns, "-management", &management, "-defaultIPv4", "127.0.0.1"];
            arguments.extend(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
            helpers.push(start(&dir, "pebble-challtestsrv", &arguments));
            wait_for_port(port);
            port
        });
        let dns = format!("127.0.0.1:{dns}");
        helpers.push(start(&dir, "pebble", &["-config", "pebble.json", "-strict", "-dnsserver", &dns]));
        wait_for_port(listen);
        World { dir, directory: format!("https://localhost:{listen}/dir"), http, tls, management, _helpers: helpers }
    }

    fn options(&self, challenge: &str) -> NodeOptions {
        let mut options = NodeOptions::default();
        options.add_config("acme.accept_terms = true");
        options.add_config(&format!("acme.directory = \"{}\"", self.directory));
        options.add_config(&format!("acme.ca_file = \"{}\"", self.dir.join("ca.pem").display()));
        options.add_config(&format!("acme.challenge = \"{challenge}\""));
        options.add_config("acme.names = [\"chat.kontalk.test\"]");
        options
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !thread::panicking() {
            fs::remove_dir_all(&self.dir).ok();
        }
    }
}

/// The certificate that a new connection sees: its public key and its text, by OpenSSL.
fn seen(node: &Node) -> (String, String) {
    let connect = format!("{}", node.address_tls);
    let shown = openssl(&["s_client", "-connect", &connect, "-servername", DOMAIN, "-alpn", "xmpp-client"], "");
    let text = openssl(&["x509", "-noout", "-text"], &shown);
    let key = openssl(&["x509", "-noout", "-pubkey"], &shown);
    (key, text)
}

fn openssl(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
}

fn assert_issued(text: &str) {
    assert!(text.contains("Pebble Intermediate CA"), "{text}");
    assert!(text.contains("DNS:kontalk.test") && text.contains("DNS:chat.kontalk.test"), "{text}");
}

#[test]
fn a_certificate_comes_by_http_and_is_renewed_with_the_same_key_under_a_session() {
    // Of 12 s, so that it is renewed after 8.
    let world = World::new("http", 12, None);
    let mut options = world.options("http-01");
    options.add_config(&format!("acme.listen = [\"127.0.0.1:{}\"]", world.http));
    let mut node = Node::start(options);
    node.log_says("TLS certificate replaced");
    let (first_key, first) = seen(&node);
    assert_issued(&first);
    node.add_account("alice");
    let mut alice = Client::online(&node, "alice", "phone");
    let lines = node.lines();
    node.log_says_since(lines, "TLS certificate replaced");
    let (second_key, second) = seen(&node);
    assert_issued(&second);
    assert_ne!(first, second);
    assert_eq!(first_key, second_key, "other nodes have pinned the key");
    alice.roundtrip();
    drop(alice);
    for file in ["acme-account.key", "acme-state.json", "tls-certificate.pem", "tls-key.pem"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(node.data_dir().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    // A node that is started again has what it had, and the same account.
    let account = fs::read_to_string(node.data_dir().join("acme-state.json")).unwrap();
    node.sigterm();
    node.start_again();
    assert_issued(&seen(&node).1);
    assert_eq!(seen(&node).0, first_key);
    assert!(account.contains("/my-account/"), "{account}");
}

#[test]
fn a_certificate_comes_by_tls_on_the_clients_port() {
    let world = World::new("tls", 3600, None);
    // The authority knows a fixed port; behind it is the node's, which is known only when it runs.
    let (tell, told) = mpsc::channel::<SocketAddr>();
    let listener = TcpListener::bind(("127.0.0.1", world.tls)).unwrap();
    thread::spawn(move || {
        let Ok(address) = told.recv() else { return };
        for stream in listener.incoming().flatten() {
            thread::spawn(move || join(stream, address));
        }
    });
    let node = Node::start(world.options("tls-alpn-01"));
    tell.send(node.address_tls).unwrap();
    node.log_says("TLS certificate replaced");
    assert_issued(&seen(&node).1);
    // Who asks for a proof now gets no handshake, and no certificate.
    let connect = node.address_tls.to_string();
    let shown = openssl(&["s_client", "-connect", &connect, "-servername", DOMAIN, "-alpn", "acme-tls/1"], "");
    assert!(!shown.contains("BEGIN CERTIFICATE"), "{shown}");
}

fn join(mut here: TcpStream, to: SocketAddr) -> io::Result<()> {
    let mut there = TcpStream::connect(to)?;
    let (mut back_from, mut back_to) = (there.try_clone()?, here.try_clone()?);
    thread::spawn(move || io::copy(&mut back_from, &mut back_to));
    io::copy(&mut here, &mut there)?;
    Ok(())
}

#[test]
fn a_certificate_comes_by_a_record_that_a_program_sets() {
    let world = World::new("hook", 3600, None);
    let hook = world.dir.join("hook.py");
    let program = format!(
        "import json, sys, urllib.request\n\
         verb, name, value = sys.argv[2:]\n\
         path, body = {{'set': ('set-txt', {{'host': name + '.', 'value': value}}), 'unset': ('clear-txt', {{'host': name + '.'}})}}[verb]\n\
         urllib.request.urlopen('http://127.0.0.1:{}/' + path, json.dumps(body).encode())\n\
         open('{}', 'a').write(verb + ' ' + sys.argv[1] + '\\n')\n",
        world.management,
        world.dir.join("hook.log").display()
    );
    fs::write(&hook, program).unwrap();
    let mut options = world.options("dns-01");
    options.add_config(&format!("acme.dns_hook = [\"python3\", \"{}\", \"extra\"]", hook.display()));
    options.add_config("acme.dns_wait_secs = 0");
    let node = Node::start(options);
    node.log_says("TLS certificate replaced");
    assert_issued(&seen(&node).1);
    let calls = fs::read_to_string(world.dir.join("hook.log")).unwrap();
    assert_eq!(calls, "set extra\nset extra\nunset extra\nunset extra\n");
}

#[test]
fn a_certificate_comes_and_a_name_follows_by_updates_of_a_name_server() {
    let port = free_port();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("named-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let secret = "c2VjcmV0LW9mLXRoZS1uYW1lLXNlcnZlci1mb3ItdGVzdHM=";
    let path = dir.display();
    let config = format!(
        "options {{ directory \"{path}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file \"{path}/pid\";\n\
         session-keyfile \"{path}/session.key\"; recursion no; dnssec-validation no; notify no; }};\n\
         controls {{ }};\n\
         key \"node\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n\
         zone \"kontalk.test\" {{ type primary; file \"{path}/zone\"; update-policy {{ grant node zonesub ANY; }}; }};\n"
    );
    fs::write(dir.join("named.conf"), config).unwrap();
    let zone = "$TTL 1\n@ SOA ns h 1 1 1 1 1\n@ NS ns\nns A 127.0.0.1\n@ A 127.0.0.1\nchat A 127.0.0.1\n";
    fs::write(dir.join("zone"), zone).unwrap();
    let conf = dir.join("named.conf");
    let _named = start(&dir, "named", &["-g", "-c", conf.to_str().unwrap()]);
    wait_for_port(port);
    let world = World::new("update", 3600, Some(port));
    // Who tells the node its address.
    let teller = TcpListener::bind("127.0.0.1:0").unwrap();
    let address_url = format!("http://{}/", teller.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in teller.incoming().flatten() {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n198.51.100.7\n").ok();
        }
    });
    let mut options = world.options("dns-01");
    options.files.push(("update.key".to_owned(), format!("{secret}\n")));
    options.add_config("acme.dns_wait_secs = 0");
    options.add_config(&format!("dns_update.server = \"127.0.0.1:{port}\""));
    options.add_config("dns_update.zone = \"kontalk.test\"");
    options.add_config("dns_update.key_name = \"node\"");
    options.add_config("dns_update.key_file = \"update.key\"");
    options.add_config("dynamic_dns.names = [\"home.kontalk.test\"]");
    options.add_config(&format!("dynamic_dns.address_urls = [\"{address_url}\"]"));
    support::secret(secret);
    let node = Node::start(options);
    node.log_says("home.kontalk.test now lead to 198.51.100.7");
    node.log_says("TLS certificate replaced");
    assert_issued(&seen(&node).1);
    let answer = |name: &str, kind: &str| {
        let (server, port) = ("@127.0.0.1", port.to_string());
        let output = Command::new("dig").args([server, "-p", &port, "+short", name, kind]).output();
        String::from_utf8(output.expect("dig is installed (remedy: `tests/run` installs it)").stdout).unwrap()
    };
    assert_eq!(answer("home.kontalk.test", "A"), "198.51.100.7\n");
    // The proofs are gone before the certificate is in use.
    assert_eq!(answer("_acme-challenge.kontalk.test", "TXT"), "");
    drop(node);
    fs::remove_dir_all(&dir).ok();
}

#[test]
fn what_fails_is_told_once_and_waits_also_over_a_restart() {
    let world = World::new("fails", 3600, None);
    // Nothing listens where the authority looks.
    let mut options = world.options("http-01");
    options.add_config("acme.listen = [\"127.0.0.1:0\"]");
    let mut node = Node::start(options);
    let line = node.log_says("no certificate was issued");
    assert!(line.contains("port 80 of the name must reach acme.listen"), "{line}");
    assert!(line.contains("tried again in"), "{line}");
    assert_eq!(node.cli(&["status"]).status.code(), Some(1));
    let status = String::from_utf8(node.cli(&["status"]).stdout).unwrap();
    assert!(status.starts_with("Something needs you.\n  - no certificate was issued"), "{status}");
    // The self-made certificate serves meanwhile.
    assert!(seen(&node).1.contains("DNS:kontalk.test"));
    let state = fs::read_to_string(node.data_dir().join("acme-state.json")).unwrap();
    assert!(state.contains("\"failures\":1"), "{state}");
    node.sigterm();
    let lines = node.lines();
    node.start_again();
    node.log_says_since(lines, "serving kontalk.test");
    assert_eq!(fs::read_to_string(node.data_dir().join("acme-state.json")).unwrap(), state, "it was not asked again");
}

const PATIENCE: Duration = Duration::from_secs(20);
