//! Connections without a network: slow and rude clients, expired slots, a reverse proxy's clients, and odd requests.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::limits::{UPLOAD_SLOT_TTL, WEB_CONNECTIONS_PER_ADDRESS_MAX, WEB_HEAD_BYTES_MAX, WEB_HEADERS_MAX};
use crate::net::Transport;
use crate::stanza::Timestamp;
use crate::upload::{FileName, Form, KeySecret, Policy, Wish};

/// A directory of a test's own.
pub(super) fn fresh_dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("kontalk-node-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// A site with uploads behind a reverse proxy.
struct Play {
    dir: PathBuf,
    uploads: Arc<Uploads>,
    server: Server,
    slots: u8,
}

impl Drop for Play {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Takes a little content and says how much it was.
struct Echo(Pace);

impl Page for Echo {
    fn answer(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            match content(request, 10, self.0).await {
                Ok(content) => answer::document(StatusCode::OK, "text/plain", content),
                Err(fault) => fault.to_answer(),
            }
        })
    }
}

impl Play {
    fn new(name: &str, pace: Pace) -> Play {
        let dir = fresh_dir(name);
        let policy = Policy {
            file_bytes_max: 1 << 30,
            quota_bytes: 1 << 30,
            free_bytes_min: 0,
            ttl: Duration::from_secs(86_400),
        };
        let uploads = Uploads::open(&dir, policy, KeySecret::new([1; 32]), "https://a.example".to_owned()).unwrap();
        let uploads = Arc::new(uploads);
        let site = Site::default()
            .with(HostMeta::XML_PATH, HostMeta::xml(Vec::new()))
            .with(UPLOAD_PATH, UploadPage::new(uploads.clone(), pace))
            .with("/echo", Echo(pace));
        Play { dir, uploads, server: Server::new(site, None, pace), slots: 0 }
    }

    /// The path of a slot that was given out at that time.
    fn slot(&mut self, size: u64, now: Instant) -> String {
        self.slots += 1;
        let wish = Wish { form: Form::New, name: FileName::new("n").unwrap(), size, media_type: None };
        let account = "a@a.example".parse().unwrap();
        let url = self.uploads.slot(&account, Timestamp { millis: 0 }, wish, [self.slots; 16], now).unwrap();
        url.strip_prefix("https://a.example").unwrap().to_owned()
    }

    /// Writes a request and gives all that comes back until the node ends the connection, which it must do by itself.
    fn exchange(&self, request: &[u8]) -> String {
        let (ours, theirs) = Transport::pair().unwrap();
        smol::block_on(async {
            let client = async {
                let mut ours = ours;
                // The node may have heard enough before the end.
                let _ = ours.write_all(request).await;
                let mut answer = Vec::new();
                let _ = ours.read_to_end(&mut answer).await;
                String::from_utf8_lossy(&answer).into_owned()
            };
            let (answer, ()) = smol::future::zip(client, self.server.connection(theirs)).await;
            answer
        })
    }

    fn partials(&self) -> usize {
        fs::read_dir(self.dir.join("partial")).unwrap().count()
    }
}

fn request(method: &str, path: &str, fields: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n{fields}\r\n").into_bytes()
}

fn put(path: &str, announced: usize, content: &[u8]) -> Vec<u8> {
    let mut bytes = request("PUT", path, &format!("Content-Length: {announced}\r\n"));
    bytes.extend_from_slice(content);
    bytes
}

fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ").or_else(|| answer.strip_prefix("HTTP/1.0 "))?.get(..3)?.parse().ok()
}

const SOON: Duration = Duration::from_millis(50);
const PATIENT: Duration = Duration::from_secs(60);
/// Nobody is too slow.
const PATIENCE: Pace = Pace { head: PATIENT, stall: PATIENT, grace: PATIENT, bytes_per_sec_min: 1 };

#[test]
fn who_does_not_finish_a_head_is_let_go() {
    let play = Play::new("web-heads", Pace { head: SOON, ..PATIENCE });
    for request in ["", "G", "GET / HTTP/1.1\r\nHost: a", "GET / HTTP/1.1\r\nHost: a.example\r\nX: y\r\n"] {
        assert_eq!(play.exchange(request.as_bytes()), "", "{request:?}");
    }
    // After an answer the next head has as long.
    let answer = play.exchange(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(status(&answer), Some(404));
}

#[test]
fn a_silent_sender_is_let_go_and_may_try_again() {
    let mut play = Play::new("web-silent", Pace { stall: SOON, ..PATIENCE });
    let path = play.slot(5, Instant::now());
    assert_eq!(status(&play.exchange(&put(&path, 5, b"hel"))), Some(400));
    assert_eq!(play.partials(), 0);
    assert_eq!(status(&play.exchange(&request("GET", &path, ""))), Some(404));
    assert_eq!(status(&play.exchange(&put(&path, 5, b"hello"))), Some(201));
    assert!(play.exchange(&request("GET", &path, "")).ends_with("\r\n\r\nhello"));
}

#[test]
fn bodies_that_trickle_are_given_up_either_way() {
    let mut play = Play::new("web-trickle", PATIENCE);
    let size = 3 * 1024 * 1024;
    let path = play.slot(size, Instant::now());
    let content = vec![b'x'; usize::try_from(size).unwrap()];
    assert_eq!(status(&play.exchange(&put(&path, content.len(), &content))), Some(201));
    let uploads = play.uploads.clone();

    // Any time at all is too long for this one.
    let strict = Pace { grace: Duration::ZERO, bytes_per_sec_min: u64::MAX, ..PATIENCE };
    let site = Site::default().with(UPLOAD_PATH, UploadPage::new(uploads, strict));
    play.server = Server::new(site, None, strict);
    let answer = play.exchange(&request("GET", &path, ""));
    assert!(status(&answer).is_none_or(|status| status == 200) && answer.len() < content.len());
    let path = play.slot(size, Instant::now());
    assert_eq!(status(&play.exchange(&put(&path, content.len(), &content))), Some(400));
    assert_eq!(play.partials(), 0);
}

#[test]
fn a_receiver_that_does_not_read_is_let_go() {
    let mut play = Play::new("web-deaf", PATIENCE);
    let size = 3 * 1024 * 1024;
    let path = play.slot(size, Instant::now());
    let content = vec![b'x'; usize::try_from(size).unwrap()];
    assert_eq!(status(&play.exchange(&put(&path, content.len(), &content))), Some(201));
    let pace = Pace { stall: SOON, ..PATIENCE };
    play.server =
        Server::new(Site::default().with(UPLOAD_PATH, UploadPage::new(play.uploads.clone(), pace)), None, pace);
    let (mut ours, theirs) = Transport::pair().unwrap();
    smol::block_on(async {
        ours.write_all(&request("GET", &path, "")).await.unwrap();
        // It ends although we are there and do not read.
        play.server.connection(theirs).await;
    });
}

#[test]
fn a_slot_has_its_time() {
    let mut play = Play::new("web-expired", PATIENCE);
    let long_ago = Instant::now().checked_sub(UPLOAD_SLOT_TTL).unwrap();
    let path = play.slot(5, long_ago);
    let answer = play.exchange(&put(&path, 5, b"hello"));
    assert_eq!(status(&answer), Some(403), "{answer}");
    assert!(fs::read_dir(&play.dir).unwrap().all(|entry| entry.unwrap().file_name() == "partial"));
}

#[test]
fn a_file_that_arrives_after_its_account_ended_is_not_kept() {
    let mut play = Play::new("web-ended", PATIENCE);
    let path = play.slot(5, Instant::now());
    let (mut ours, theirs) = Transport::pair().unwrap();
    smol::block_on(async {
        let client = async {
            ours.write_all(&put(&path, 5, b"hel")).await.unwrap();
            while play.partials() == 0 {
                smol::future::yield_now().await;
            }
            let uploads = play.uploads.clone();
            smol::unblock(move || uploads.sweep(SystemTime::now(), || Some(Default::default()))).await.unwrap();
            ours.write_all(b"lo").await.unwrap();
            let mut answer = String::new();
            let _ = ours.read_to_string(&mut answer).await;
            assert_eq!(status(&answer), Some(400), "{answer}");
        };
        smol::future::zip(client, play.server.connection(theirs)).await;
    });
    assert_eq!(status(&play.exchange(&request("GET", &path, ""))), Some(404));
    assert_eq!(status(&play.exchange(&put(&path, 5, b"hello"))), Some(403));
}

#[test]
fn the_clients_of_a_reverse_proxy_are_counted_apart() {
    let mut play = Play::new("web-proxy", PATIENCE);
    let size = 3 * 1024 * 1024;
    let path = play.slot(size, Instant::now());
    let content = vec![b'x'; usize::try_from(size).unwrap()];
    assert_eq!(status(&play.exchange(&put(&path, content.len(), &content))), Some(201));
    let ask = |of: &str| request("GET", &path, &format!("X-Forwarded-For: 192.0.2.9, {of}\r\n"));
    smol::block_on(async {
        let connections = smol::LocalExecutor::new();
        let mut held = Vec::new();
        for _ in 0..WEB_CONNECTIONS_PER_ADDRESS_MAX {
            let (mut ours, theirs) = Transport::pair().unwrap();
            connections.spawn(play.server.connection(theirs)).detach();
            // The beginning of an answer whose rest is not fetched.
            let begun = async {
                ours.write_all(&ask("192.0.2.1")).await.unwrap();
                let mut status = [0; 12];
                ours.read_exact(&mut status).await.unwrap();
                assert_eq!(&status, b"HTTP/1.1 200");
            };
            connections.run(begun).await;
            held.push(ours);
        }
        for (of, expected) in [("192.0.2.1", "429"), ("192.0.2.2", "200"), ("nobody", "200")] {
            let (mut ours, theirs) = Transport::pair().unwrap();
            let begun = async {
                ours.write_all(&ask(of)).await.unwrap();
                let mut status = [0; 12];
                ours.read_exact(&mut status).await.unwrap();
                assert_eq!(std::str::from_utf8(&status).unwrap(), format!("HTTP/1.1 {expected}"), "{of}");
            };
            let served = async {
                play.server.connection(theirs).await;
                std::future::pending().await
            };
            begun.or(served).await;
        }
    });
}

#[test]
fn odd_requests_get_sober_answers() {
    let play = Play::new("web-odd", PATIENCE);
    let get = |path: &str| String::from_utf8(request("GET", path, "")).unwrap();
    let with = |fields: &str| String::from_utf8(request("GET", "/.well-known/host-meta", fields)).unwrap();
    let post = |fields: &str, content: &str| String::from_utf8(request("POST", "/echo", fields)).unwrap() + content;
    let cases: Vec<(String, Option<u16>)> = vec![
        (get("/.well-known/host-meta"), Some(200)),
        // The table of pages.
        (get("/"), Some(404)),
        (get("/upload"), Some(404)),
        (get("/upload/"), Some(404)),
        (get("/.well-known/host-meta/"), Some(404)),
        (get("/.well-known/../.well-known/host-meta"), Some(404)),
        (get("//.well-known/host-meta"), Some(404)),
        (get("/upload/../uploads.key"), Some(404)),
        (get("/upload/%2e%2e/%2e%2e/etc/passwd"), Some(404)),
        (get("/.well-known/host-meta?a=b"), Some(200)),
        (get("http://other.example/.well-known/host-meta"), Some(200)),
        (get("*"), Some(404)),
        // Request lines.
        ("\r\n\r\n".to_owned() + &get("/"), Some(404)),
        ("GET / HTTP/1.1\nHost: a.example\nConnection: close\n\n".to_owned(), Some(404)),
        ("GET /\r\n\r\n".to_owned(), Some(400)),
        ("GET / HTTP/2.0\r\n\r\n".to_owned(), Some(400)),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), None),
        ("GET  / HTTP/1.1\r\n\r\n".to_owned(), Some(400)),
        ("G\u{e9}T / HTTP/1.1\r\n\r\n".to_owned(), Some(400)),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}".to_owned(), Some(400)),
        ("<stream:stream to='a.example'>".to_owned(), Some(400)),
        (String::from_utf8(request("TRACE", "/echo", "")).unwrap(), Some(200)),
        (String::from_utf8(request("BREW", "/.well-known/host-meta", "")).unwrap(), Some(405)),
        (String::from_utf8(request("DELETE", "/upload/x/y", "")).unwrap(), Some(405)),
        (String::from_utf8(request("POST", "/upload/x/y", "")).unwrap(), Some(405)),
        (String::from_utf8(request("OPTIONS", "/upload/x/y", "")).unwrap(), Some(204)),
        (String::from_utf8(request("CONNECT", "a.example:80", "")).unwrap(), Some(404)),
        // RFC 9112 §3.2.
        ("GET /.well-known/host-meta HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), Some(400)),
        (with("Host: b.example\r\n"), Some(400)),
        ("GET /.well-known/host-meta HTTP/1.0\r\n\r\n".to_owned(), Some(200)),
        // Fields.
        (with(" folded: x\r\n"), Some(400)),
        (with("no colon\r\n"), Some(400)),
        (with("bad name: x\r\n"), Some(400)),
        (with("X: a\0b\r\n"), Some(400)),
        (with(&format!("X: {}\r\n", "y".repeat(WEB_HEAD_BYTES_MAX))), Some(431)),
        (with(&"X: y\r\n".repeat(WEB_HEADERS_MAX)), Some(431)),
        // Lengths. RFC 9112 §6.3: two ways to say it are one too many.
        (post("Content-Length: 5\r\n", "hello"), Some(200)),
        (post("Content-Length: 11\r\n", "hello world"), Some(413)),
        (post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), Some(200)),
        (post("Transfer-Encoding: chunked\r\n", "b\r\nhello world\r\n0\r\n\r\n"), Some(413)),
        (post("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\nhello"), Some(400)),
        (post("Transfer-Encoding: chunked\r\n", "x\r\nhello"), Some(400)),
        (post("Content-Length: -5\r\n", "hello"), Some(400)),
        (post("Content-Length: +5\r\n", "hello"), Some(400)),
        (post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), Some(400)),
        (post("Content-Length: 99999999999999999999999\r\n", "hello"), Some(400)),
        (post("Transfer-Encoding: gzip\r\n", "hello"), Some(400)),
        (post("Transfer-Encoding: chunked, gzip\r\n", "hello"), Some(400)),
    ];
    for (request, expected) in cases {
        let answer = play.exchange(request.as_bytes());
        let shown: String = request.chars().take(120).collect();
        assert_eq!(status(&answer), expected, "{shown:?}: {answer:?}");
    }
}
