//! A provider that does as it is told: an HTTPS server on this machine that answers each connection with the next reply of its
//! script, and remembers what it was asked. Its certificate comes from an authority made for the test.

#![allow(dead_code)] // Each test binary uses its own part of this.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// What happens on one connection.
#[derive(Clone, Debug)]
pub enum Reply {
    /// An answer as it should be.
    Whole { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// The bytes as they stand, then the end.
    Raw(Vec<u8>),
    /// Nothing, until the client goes.
    Hang,
    /// A good beginning of a body, byte by byte, for ever.
    Drip { status: u16 },
    /// A body as fast as it goes, for ever.
    Endless { status: u16 },
    /// The connection ends when the request is there.
    Close,
    /// The connection ends before TLS.
    CloseInHandshake,
    /// Nothing is said, not even TLS, until the client goes.
    HangInHandshake,
    /// An answer without TLS.
    NoTls,
}

impl Reply {
    /// An answer with a JSON body.
    pub fn json(status: u16, body: impl Into<String>) -> Reply {
        Reply::Whole { status, headers: vec![("Content-Type", "application/json".into())], body: body.into() }
    }

    /// The same with one more header.
    pub fn with(self, name: &'static str, value: impl Into<String>) -> Reply {
        match self {
            Reply::Whole { status, mut headers, body } => {
                headers.push((name, value.into()));
                Reply::Whole { status, headers, body }
            }
            other => other,
        }
    }
}

/// A request that came.
#[derive(Clone)]
pub struct Asked {
    pub method: String,
    pub target: String,
    headers: BTreeMap<String, String>,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(&name.to_ascii_lowercase()).map_or("", String::as_str)
    }

    /// Name and password of HTTP Basic.
    pub fn basic(&self) -> String {
        let encoded = self.header("Authorization").strip_prefix("Basic ").expect("HTTP Basic");
        String::from_utf8(STANDARD.decode(encoded).expect("base64")).expect("UTF-8")
    }

    /// The fields of a form, with `name=value` in the order of the names.
    pub fn form(&self) -> Vec<String> {
        assert_eq!(self.header("Content-Type"), "application/x-www-form-urlencoded");
        let mut fields: Vec<String> = self.body.split('&').map(decoded).collect();
        fields.sort();
        fields
    }

    pub fn json(&self) -> Value {
        assert_eq!(self.header("Content-Type"), "application/json");
        serde_json::from_str(&self.body).expect("JSON")
    }
}

pub fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().expect("UTF-8").into_owned()
}

/// An authority that signs certificates of servers.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new() -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// The configuration of a server with a certificate for `name`. `expired`: it was good once.
    fn server(&self, name: &str, expired: bool) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        if expired {
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("they belong together");
        Arc::new(config)
    }
}

/// The server. Its threads end with the test's process.
pub struct Stub {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    replies: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<Asked>>,
    came: Condvar,
    tls: Arc<ServerConfig>,
}

impl Stub {
    /// With a certificate that is as it should be.
    pub fn start(authority: &Authority) -> Stub {
        Stub::start_as(authority, "127.0.0.1", false)
    }

    pub fn start_as(authority: &Authority, name: &str, expired: bool) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            replies: Mutex::default(),
            asked: Mutex::default(),
            came: Condvar::new(),
            tls: authority.server(name, expired),
        });
        let theirs = Arc::clone(&state);
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&theirs);
                thread::spawn(move || state.serve(socket));
            }
        });
        Stub { address, state }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// One more reply; each serves one connection. Without any the answer is 500.
    pub fn then(&self, reply: Reply) {
        lock(&self.state.replies).push_back(reply);
    }

    /// What was asked since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *lock(&self.state.asked))
    }

    /// The one thing that was asked since the last call.
    pub fn asked_once(&self) -> Asked {
        let mut asked = self.asked();
        assert_eq!(asked.len(), 1, "it was asked {} times", asked.len());
        asked.remove(0)
    }

    /// Waits until it was asked so often since the last call of the others.
    pub fn wait_for(&self, count: usize) {
        let asked = lock(&self.state.asked);
        let wait = self.state.came.wait_timeout_while(asked, PATIENCE, |asked| asked.len() < count);
        let (asked, _) = wait.unwrap_or_else(PoisonError::into_inner);
        assert!(asked.len() >= count, "it was asked {} times only", asked.len());
    }
}

impl State {
    fn serve(&self, mut socket: TcpStream) {
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        let reply = lock(&self.replies).pop_front().unwrap_or_else(|| Reply::json(500, "{}"));
        match reply {
            Reply::CloseInHandshake => return,
            Reply::HangInHandshake => {
                io::copy(&mut socket, &mut io::sink()).ok();
                return;
            }
            Reply::NoTls => {
                socket.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").ok();
                socket.read_exact(&mut [0]).ok();
                return;
            }
            _ => {}
        }
        let connection = ServerConnection::new(Arc::clone(&self.tls)).expect("TLS");
        let mut stream = StreamOwned::new(connection, socket);
        // A client that does not trust us goes here.
        let Ok(asked) = read_request(&mut stream) else { return };
        lock(&self.asked).push(asked);
        self.came.notify_all();
        // A client that has heard enough goes here.
        answer(&mut stream, reply).ok();
    }
}

/// One connection without TLS: reads its request and answers with these bytes.
pub fn answer_plainly(listener: &TcpListener, bytes: &[u8]) -> Asked {
    let (mut socket, _) = listener.accept().expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let asked = read_request(&mut socket).expect("a request");
    socket.write_all(bytes).expect("the client listens");
    asked
}

fn answer(stream: &mut StreamOwned<ServerConnection, TcpStream>, reply: Reply) -> io::Result<()> {
    match reply {
        Reply::Whole { status, headers, body } => {
            let mut head = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n", body.len());
            headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
            stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
        }
        Reply::Raw(bytes) => stream.write_all(&bytes)?,
        Reply::Hang => {
            io::copy(stream, &mut io::sink())?;
        }
        Reply::Drip { status } => {
            stream.write_all(format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 100000\r\n\r\n").as_bytes())?;
            loop {
                stream.write_all(b" ")?;
                stream.flush()?;
                thread::sleep(Duration::from_millis(20));
            }
        }
        Reply::Endless { status } => {
            stream.write_all(format!("HTTP/1.1 {status} Whatever\r\nConnection: close\r\n\r\n").as_bytes())?;
            loop {
                stream.write_all(&[b' '; 4096])?;
            }
        }
        Reply::Close | Reply::CloseInHandshake | Reply::HangInHandshake | Reply::NoTls => {}
    }
    stream.conn.send_close_notify();
    stream.flush()
}

fn read_request(stream: &mut impl Read) -> io::Result<Asked> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            continue;
        };
        let head = String::from_utf8(bytes[..end].to_vec()).expect("UTF-8");
        let mut lines = head.lines();
        let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
        let (method, target) = (first.next().expect("a method"), first.next().expect("a target"));
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().expect("a length"));
        let mut body = bytes[end + 4..].to_vec();
        let have = body.len();
        body.resize(length, 0);
        stream.read_exact(&mut body[have..])?;
        return Ok(Asked { method, target, headers, body: String::from_utf8(body).expect("UTF-8") });
    }
}

/// A directory for one test's files; it is removed at the end.
pub struct Files {
    dir: PathBuf,
}

impl Files {
    pub fn new() -> Files {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kontalk-stub-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("a directory");
        Files { dir }
    }

    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.join(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    pub fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An upper bound for a client that hangs; no test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);
