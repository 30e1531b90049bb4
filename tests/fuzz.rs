//! What strangers may send, a million times wrong: framer, stream in every negotiation state, ring and certificate parser.
//!
//! Inputs are made from `tests/corpus/` by seeded mutation, some are random throughout. No panic, no hang (a watchdog names seed and
//! input), no memory beyond the limits. `KONTALK_SEED` replays a run, `KONTALK_FUZZ_INPUTS` says how many inputs; a fault's
//! input belongs into the corpus. `KONTALK_WRITE_CORPUS=1` makes the corpus' keys and certificates anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use keys::ClientKey;
use kontalk_node::limits::{STANZA_BYTES_MAX, STRANGER_ELEMENT_BYTES_MAX};
use kontalk_node::pgp::{UserRing, is_bridge_certificate, judge_candidate, ring_of_certificate};
use kontalk_node::stanza::{SaslCondition, SaslFailure, Stanza, Timestamp};
use kontalk_node::stream::{
    Action, Bound, ClientCertificate, IssuedToken, ResumeRefused, Resumed, ScramKeys, Security, Stream, StreamConfig,
    TlsFacts, TokenVerdict,
};
use kontalk_node::xml::{Frame, Framer, FramerLimits, XmlError, ns, parse_document};

#[test]
fn a_million_hostile_inputs_neither_panic_nor_hang_nor_eat_memory() {
    let seed = std::env::var("KONTALK_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(fresh_seed);
    let total: u64 = std::env::var("KONTALK_FUZZ_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    println!("{total} inputs, KONTALK_SEED={seed}");
    let before = peak_memory_kib();
    // Parsing a ring verifies signatures and costs a hundred times what a stanza costs.
    let targets: [(&str, u64, Target); 4] = [
        ("xml", total / 100 * 55, framer),
        ("stream", total / 100 * 39, stream),
        ("ring", total / 100 * 3, ring),
        ("certificate", total / 100 * 3, certificate),
    ];
    thread::scope(|scope| {
        for (index, (name, count, target)) in targets.into_iter().enumerate() {
            scope.spawn(move || run(name, seed.wrapping_add(index as u64), count, target));
        }
    });
    let grown = peak_memory_kib().saturating_sub(before);
    println!("memory grew by {grown} KiB at most");
    assert!(grown < 96 * 1024, "{grown} KiB for inputs of {INPUT_BYTES_MAX} bytes");
}

/// What an input is thrown at.
type Target = fn(&mut Random, &[u8]);

/// Feeds one target; a watchdog ends the process with the input's number if one takes too long.
fn run(name: &str, seed: u64, count: u64, target: Target) {
    let corpus = corpus(name);
    let current = Arc::new(AtomicU64::new(0));
    let watched = current.clone();
    let title = format!("{name}, seed {seed}");
    let watchdog = thread::spawn(move || {
        let mut last = u64::MAX;
        loop {
            thread::park_timeout(INPUT_TIME_MAX);
            match watched.load(Ordering::Relaxed) {
                DONE => return,
                stuck if stuck == last => {
                    eprintln!("{title}: input {stuck} takes longer than {INPUT_TIME_MAX:?}");
                    std::process::abort();
                }
                moving => last = moving,
            }
        }
    });
    let begun = Instant::now();
    for number in 0..count {
        current.store(number, Ordering::Relaxed);
        let mut random = Random(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let input = make(&mut random, &corpus);
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| target(&mut random, &input)));
        if outcome.is_err() {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fault-{name}-{number}"));
            fs::write(&path, &input).ok();
            panic!("{name}: input {number} of seed {seed}, kept in {}", path.display());
        }
    }
    current.store(DONE, Ordering::Relaxed);
    watchdog.thread().unpark();
    watchdog.join().expect("the watchdog ends");
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("{name}: {count} inputs from {} files, {rate:.0} a second", corpus.len());
}

/// The same frames whatever the chunks; what is accepted survives writing and reading.
fn framer(random: &mut Random, input: &[u8]) {
    let limits = FramerLimits { element_bytes_max: 4096, depth_max: 16 };
    let whole = frames(limits, input, input.len().max(1));
    let chunk = 1 + random.below(input.len().max(1));
    assert_eq!(frames(limits, input, chunk), whole, "in chunks of {chunk}");
    for frame in &whole.0 {
        if let Frame::Element(element) = frame {
            let again = parse_document(&element.to_text(ns::CLIENT), ns::CLIENT, 16).expect("our own text is XML");
            assert_eq!(&again, element);
            let _ = Stanza::new(again);
        }
    }
}

fn frames(limits: FramerLimits, input: &[u8], chunk: usize) -> (Vec<Frame>, Option<XmlError>) {
    let mut framer = Framer::new(limits);
    let mut found = Vec::new();
    for bytes in input.chunks(chunk) {
        framer.push(bytes);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
        assert!(framer.pending_bytes() <= limits.element_bytes_max + chunk);
    }
    (found, None)
}

/// A stream led into some state, then the input, with the edge answering this and that.
fn stream(random: &mut Random, input: &[u8]) {
    let mut client = Led::into_state(random.below(STATES));
    let chunk = 1 + random.below(input.len().max(1));
    for bytes in input.chunks(chunk) {
        client.stream.receive(bytes);
        client.answer(|| random.below(2) == 0);
        assert!(client.stream.pending_bytes() <= STANZA_BYTES_MAX.max(STRANGER_ELEMENT_BYTES_MAX) + chunk);
    }
    if random.below(4) == 0 {
        client.stream.close(None);
        client.answer(|| true);
    }
}

struct Led {
    stream: Stream,
}

impl Led {
    fn into_state(state: usize) -> Led {
        let config = Arc::new(StreamConfig {
            domain: "a.example".parse().unwrap(),
            registration: true,
            caps: None,
            inline: &[ns::SM],
            resource_secret: [1; 32],
        });
        let certificate = if state == 3 { ClientCertificate::Bridge } else { ClientCertificate::None };
        let facts = TlsFacts {
            exporter: Some([7; 32]),
            server_end_point: Some(vec![7; 32]),
            client_certificate: certificate,
            version: 0x0304,
        };
        let security = if state <= 1 { Security::Plain } else { Security::Tls(facts) };
        let mut led = Led { stream: Stream::new(config, security, [9; 32], Instant::now()) };
        let steps: &[&str] = match state {
            0 => &[],
            1..=3 => &[HEADER],
            4 => &[HEADER, SCRAM],
            5 => &[HEADER, PLAIN, HEADER],
            _ => &[HEADER, PLAIN, HEADER, BIND],
        };
        for step in steps {
            led.stream.receive(step.as_bytes());
            led.answer(|| true);
        }
        assert_eq!(led.stream.full_jid().is_some(), state >= 6);
        led
    }

    fn answer(&mut self, mut yes: impl FnMut() -> bool) {
        let refused = || SaslFailure::new(SaslCondition::NotAuthorized);
        while let Some(action) = self.stream.next_action() {
            match action {
                Action::StartTls => self.stream.tls_established(TlsFacts {
                    exporter: None,
                    server_end_point: None,
                    client_certificate: ClientCertificate::Other,
                    version: 0x0303,
                }),
                Action::FetchScramKeys { account } => {
                    let keys = if yes() { Ok(ScramKeys::fake(&[1; 32], &account)) } else { Err(refused()) };
                    self.stream.scram_keys(keys);
                }
                Action::VerifyPlain { account, .. } => {
                    self.stream.authenticated(if yes() { Ok(account) } else { Err(refused()) });
                }
                Action::VerifyExternal { .. } => {
                    let account = "romeo@a.example".parse().unwrap();
                    self.stream.authenticated(if yes() { Ok(account) } else { Err(refused()) });
                }
                Action::VerifyToken(_) => {
                    let verdict = TokenVerdict { response: [2; 32], replacement: None };
                    self.stream.token_verified(if yes() { Ok(verdict) } else { Err(refused()) });
                }
                Action::IssueToken { .. } => {
                    let token = IssuedToken { token: "t".to_owned().into(), expiry: Timestamp { millis: 1 } };
                    self.stream.token_issued(yes().then_some(token));
                }
                Action::Register(request) => self.stream.registration_reply(request.result()),
                Action::Bind { account, resource, .. } => {
                    let jid = account.with_resource(resource.as_deref().unwrap_or("made")).unwrap();
                    self.stream.bound(Ok(Bound { jid, inline: Vec::new() }));
                }
                Action::Resume { account, .. } => {
                    let jid = account.with_resource("old").unwrap();
                    self.stream.resumed(if yes() { Ok(Resumed { jid, h: 1 }) } else { Err(ResumeRefused { h: None }) });
                }
                _ => {}
            }
        }
    }
}

fn ring(_: &mut Random, input: &[u8]) {
    if let Ok(ring) = UserRing::parse(input) {
        let again = UserRing::parse(&ring.to_bytes()).expect("our own bytes are a ring");
        assert_eq!(again.fingerprint(), ring.fingerprint());
        let now = Timestamp { millis: 1_800_000_000_000 };
        let _ = (ring.first_address(), ring.master_spki_der(), judge_candidate(&ring, "a.example", now));
    }
}

fn certificate(_: &mut Random, input: &[u8]) {
    let has_ring = is_bridge_certificate(input);
    if let Ok(ring) = ring_of_certificate(input) {
        assert!(has_ring);
        assert!(ring.master_spki_der().is_ok());
    }
}

/// xorshift64*: what matters is that a seed replays.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = if self.0 == 0 { 1 } else { self.0 };
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or(0) % bound.max(1)
    }
}

/// One in sixteen is noise, the others are spoilt in up to eight places.
fn make(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    if random.below(16) == 0 {
        let length = random.below(400);
        return (0..length).map(|_| random.next().to_le_bytes()[3]).collect();
    }
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..random.below(8) {
        spoil(random, &mut input, corpus);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn spoil(random: &mut Random, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = random.below(input.len() + 1);
    let end = (at + random.below(64)).min(input.len());
    match random.below(7) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = INTERESTING[random.below(INTERESTING.len())],
        2 => drop(input.drain(at..end)),
        3 => {
            let copy = input[at..end].to_vec();
            input.splice(at..at, copy);
        }
        4 => {
            let token = TOKENS[random.below(TOKENS.len())];
            input.splice(at..at, token.bytes());
        }
        5 => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len() + 1);
            let to = (from + random.below(128)).min(other.len());
            input.splice(at..end, other[from..to].iter().copied());
        }
        _ => input.truncate(at),
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    if std::env::var_os("KONTALK_WRITE_CORPUS").is_some() && matches!(name, "ring" | "certificate") {
        write_keys(name);
    }
    let folder = corpus_folder(name);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).expect("a corpus").map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).expect("a corpus file")).collect();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    inputs
}

fn write_keys(name: &str) {
    let created = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let key = ClientKey::numbered(0, "Romeo <4bdd4f929f3a1062253e4e496bafba0bdfb5db75@a.example>", created);
    let ring = key.public_ring();
    let certificate = key.bridge_certificate(&ring);
    let files: &[(&str, Vec<u8>)] = match name {
        "ring" => &[
            ("kontalk", ring.clone()),
            ("revoked", key.revoked_ring(created + Duration::from_secs(60))),
            ("rsa-in-ec-packets", key.ring_with_rsa_in_ec_packets()),
        ],
        _ => &[
            ("bridge", certificate.certificate_der.clone()),
            ("without-ring", key.certificate_without_ring().certificate_der),
        ],
    };
    for (file, bytes) in files {
        fs::write(corpus_folder(name).join(file), bytes).expect("the corpus can be written");
    }
}

fn corpus_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

fn fresh_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64)
}

/// The most memory this process ever held.
fn peak_memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the peak");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

const STATES: usize = 7;
const DONE: u64 = u64::MAX;
const INPUT_TIME_MAX: Duration = Duration::from_secs(10);
const INPUT_BYTES_MAX: usize = 16 * 1024;

const HEADER: &str = "<?xml version='1.0'?><stream:stream to='a.example' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
const SCRAM: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>biwsbj1yb21lbyxyPWFiY2RlZmdoaWprbA==</auth>";
const PLAIN: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>";
const BIND: &str =
    "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>orchard</resource></bind></iq>";

const INTERESTING: &[u8] =
    &[0, 1, 0x7F, 0x80, 0x81, 0x84, 0xC0, 0xEF, 0xFE, 0xFF, b'<', b'>', b'&', b'\'', b'"', b'/', b'?', b'!'];

const TOKENS: &[&str] = &[
    "<",
    ">",
    "/>",
    "</",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?xml ",
    "?>",
    "<!DOCTYPE a [",
    "&lt;",
    "&#0;",
    "&#x10FFFF;",
    "&amp",
    "&a;",
    "xmlns=''",
    " xmlns='jabber:client' xmlns='jabber:client'",
    " xmlns:a='b'",
    "a:",
    ":",
    "\u{FFFF}",
    "\u{FEFF}",
    "\u{202E}",
    "<stream:stream>",
    "</stream:stream>",
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "=",
    "====",
    "<a/>",
    "<r xmlns='urn:xmpp:sm:3'/>",
    "<a xmlns='urn:xmpp:sm:3' h='4294967296'/>",
    "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
    "<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>",
    "n,,n=",
    "p=tls-exporter,,",
    "-1",
    "99999999999999999999",
];
