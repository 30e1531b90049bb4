//! What strangers and operators may send, a million times wrong: framer, streams in every negotiation state, ring and certificate
//! parser, telephone numbers, registration forms, roster and block lists, configuration, uploads, other nodes' cards and addresses,
//! their proposals, ballots and epochs, text messages, modems, reports of delivery.
//!
//! Inputs are the files of `tests/corpus/`, then these spoilt by a seed, some are noise. No panic, no hang (a watchdog names seed
//! and input), no memory beyond the limits. A fault's input belongs into the corpus; every run begins with that.
//!
//! - `KONTALK_SEED` replays a run.
//! - `KONTALK_FUZZ_INPUTS` says how many inputs.
//! - `KONTALK_FUZZ_TARGET` names the only target to run, such as `ring`.
//! - `KONTALK_WRITE_CORPUS=1` makes the corpus' keys and certificates anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/hostile_modem.rs"]
mod hostile_modem;
#[path = "support/hostile_peer.rs"]
mod hostile_peer;
#[path = "support/hostile_stream.rs"]
mod hostile_stream;
#[path = "support/hostile_trust.rs"]
mod hostile_trust;
#[path = "support/hostile_upload.rs"]
mod hostile_upload;
#[path = "support/hostile_vote.rs"]
mod hostile_vote;
#[path = "support/hostile_words.rs"]
mod hostile_words;
#[path = "support/keys.rs"]
mod keys;
#[path = "support/spoil.rs"]
mod spoil;

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use keys::{ClientKey, Recipe, Shape};
use kontalk_node::jid::BareJid;
use kontalk_node::pgp::{
    Fingerprint, ServerKey, UserRing, certificate_spki, is_bridge_certificate, judge_candidate, judge_login,
    ring_of_certificate,
};
use kontalk_node::stanza::Timestamp;
use spoil::{Random, hostile};

/// Throws one input at something, and says whether it was taken as sound.
type Target = fn(&mut Random, &[u8]) -> bool;

/// Name (that of the corpus' folder), share of all inputs in a thousand, and how many of a thousand must be taken as sound: were
/// it fewer, the inputs would be so coarse that what is behind the first check is never reached.
///
/// The shares go by cost: a ring costs forty times what a stanza costs, for signatures are verified.
const TARGETS: &[(&str, u64, u64, Target)] = &[
    ("xml", 200, 100, hostile_words::framer),
    ("stream", 300, 20, hostile_stream::stream),
    ("peer", 60, 20, hostile_peer::peer),
    ("ring", 40, 50, ring),
    ("certificate", 40, 20, certificate),
    ("phone", 100, 50, hostile_words::phone),
    ("registration", 80, 15, hostile_words::registration),
    ("roster", 80, 30, hostile_words::roster),
    ("admin", 30, 20, hostile_words::administration),
    ("config", 10, 10, hostile_words::config),
    ("card", 20, 50, hostile_trust::card),
    ("reach", 20, 50, hostile_trust::reach),
    ("introduction", 5, 20, hostile_trust::introduction),
    ("object", 30, 50, hostile_vote::object),
    ("gossip", 10, 20, hostile_vote::gossip),
    ("invite", 10, 50, hostile_vote::invite),
    ("journal", 10, 20, hostile_vote::journal),
    ("pdu", 100, 50, hostile_modem::pdu),
    ("modem", 3, 50, hostile_modem::modem),
    ("receipt", 10, 50, hostile_words::receipt),
    ("upload", 20, 20, hostile_upload::upload),
];

#[test]
fn a_million_hostile_inputs_neither_panic_nor_hang_nor_eat_memory() {
    let seed = from_env("KONTALK_SEED").unwrap_or_else(fresh_seed);
    let total = from_env("KONTALK_FUZZ_INPUTS").unwrap_or(1_000_000);
    println!("{total} inputs, KONTALK_SEED={seed}");
    let only = std::env::var("KONTALK_FUZZ_TARGET").ok();
    let only = only.as_deref();
    let chosen = TARGETS.iter().filter(|(name, ..)| only.is_none_or(|only| only == *name));
    let runs: Vec<Run> = chosen
        .map(|(name, share, sound_min, target)| {
            Run::new(name, seed, (total * share).div_ceil(1000), *sound_min, *target)
        })
        .collect();
    assert!(!runs.is_empty(), "there is no such target");
    let before = peak_memory_kib();
    // Pieces, so that all threads are busy to the end.
    let pieces: Vec<(&Run, u64)> = (0..PIECES).flat_map(|piece| runs.iter().map(move |run| (run, piece))).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let watched = Watched::begin(seed);
                while let Some((run, piece)) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run.piece(*piece, &watched);
                }
                watched.end();
            });
        }
    });
    runs.iter().for_each(Run::report);
    let grown = peak_memory_kib().saturating_sub(before);
    println!("memory grew by {grown} KiB at most");
    assert!(grown < MEMORY_KIB_MAX, "{grown} KiB for inputs of {} bytes", spoil::INPUT_BYTES_MAX);
}

/// All inputs of one target.
struct Run {
    name: &'static str,
    seed: u64,
    count: u64,
    sound_min: u64,
    target: Target,
    corpus: Vec<Vec<u8>>,
    sound: AtomicU64,
    nanos: AtomicU64,
}

impl Run {
    fn new(name: &'static str, seed: u64, count: u64, sound_min: u64, target: Target) -> Run {
        let corpus = corpus(name);
        let count = count.max(corpus.len() as u64);
        let (sound, nanos) = (AtomicU64::new(0), AtomicU64::new(0));
        Run { name, seed, count, sound_min, target, corpus, sound, nanos }
    }

    fn piece(&self, piece: u64, watched: &Watched) {
        let begun = Instant::now();
        let (from, to) = (self.count * piece / PIECES, self.count * (piece + 1) / PIECES);
        for number in from..to {
            watched.looks_at(self.name, number);
            let (mut random, input) = input(&self.corpus, self.seed, number);
            match std::panic::catch_unwind(AssertUnwindSafe(|| (self.target)(&mut random, &input))) {
                Ok(sound) => drop(self.sound.fetch_add(u64::from(sound), Ordering::Relaxed)),
                Err(_) => {
                    let kept = keep(self.name, number, &input);
                    panic!("{}: input {number} of seed {}, kept in {kept}", self.name, self.seed);
                }
            }
        }
        self.nanos.fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }

    fn report(&self) {
        let seconds = self.nanos.load(Ordering::Relaxed) as f64 / 1e9;
        let sound = self.sound.load(Ordering::Relaxed) * 1000 / self.count;
        println!(
            "{:12} {:7} inputs from {:2} files in {seconds:5.1} s of one core, {:6.0} a second, {sound} in a thousand sound",
            self.name,
            self.count,
            self.corpus.len(),
            self.count as f64 / seconds
        );
        let enough = sound >= self.sound_min || self.count < 10_000;
        assert!(enough, "{}: only {sound} in a thousand are sound", self.name);
    }
}

/// One input of a run, and the choices that are left for it: the corpus as it is comes first.
fn input(corpus: &[Vec<u8>], seed: u64, number: u64) -> (Random, Vec<u8>) {
    let mut random = Random::of_input(seed, number);
    let sample = usize::try_from(number).ok().and_then(|number| corpus.get(number));
    let input = sample.cloned().unwrap_or_else(|| hostile(&mut random, corpus));
    (random, input)
}

/// Keeps a fault's input for the eye, and says where.
fn keep(name: &str, number: u64, input: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fault-{name}-{number}"));
    fs::write(&path, input).ok();
    path.display().to_string()
}

/// What a thread is at. Its watchdog ends the process, naming the input, if that takes too long.
struct Watched {
    now: Arc<(AtomicUsize, AtomicU64)>,
    watchdog: thread::JoinHandle<()>,
}

impl Watched {
    fn begin(seed: u64) -> Watched {
        let now = Arc::new((AtomicUsize::new(0), AtomicU64::new(0)));
        let seen = now.clone();
        let watchdog = thread::spawn(move || {
            let mut last = None;
            loop {
                thread::park_timeout(INPUT_TIME_MAX);
                let at = (seen.0.load(Ordering::Relaxed), seen.1.load(Ordering::Relaxed));
                if at.1 == DONE {
                    return;
                }
                if last == Some(at) {
                    let name = TARGETS.get(at.0).map_or("?", |(name, ..)| name);
                    let (_, input) = input(&corpus(name), seed, at.1);
                    let kept = keep(name, at.1, &input);
                    eprintln!(
                        "{name}: input {} of seed {seed} takes longer than {INPUT_TIME_MAX:?}, kept in {kept}",
                        at.1
                    );
                    std::process::abort();
                }
                last = Some(at);
            }
        });
        Watched { now, watchdog }
    }

    fn looks_at(&self, name: &str, number: u64) {
        let place = TARGETS.iter().position(|(known, ..)| *known == name).unwrap_or(TARGETS.len());
        self.now.0.store(place, Ordering::Relaxed);
        self.now.1.store(number, Ordering::Relaxed);
    }

    fn end(self) {
        self.now.1.store(DONE, Ordering::Relaxed);
        self.watchdog.thread().unpark();
        self.watchdog.join().expect("the watchdog ends");
    }
}

/// Reads, writes and reads again, judges, merges; seldom certifies, for that signs.
fn ring(random: &mut Random, input: &[u8]) -> bool {
    let Ok(ring) = UserRing::parse(input) else { return false };
    let written = ring.to_bytes();
    let again = UserRing::parse(&written).expect("our own bytes are a ring");
    assert_eq!(again.to_bytes(), written);
    let (server, certified) = judges();
    let _ = (ring.first_address(), ring.master_spki_der(), ring.created(), ring.tidy());
    let _ = judge_candidate(&ring, DOMAIN, now());
    match random.below(8) {
        0 => {
            let stored = Some(Fingerprint([7; 20]));
            let _ = judge_login(&ring, DOMAIN, server, now(), stored, Some(certified));
        }
        1 => drop(certified.clone().merge(&ring)),
        2 => drop(server.certify(&ring, &address(), now())),
        3 => drop(server.revoke_certification(&ring, &address(), now())),
        _ => drop(judge_login(&ring, DOMAIN, server, now(), None, None)),
    }
    true
}

fn certificate(_: &mut Random, input: &[u8]) -> bool {
    let has_ring = is_bridge_certificate(input);
    let key = certificate_spki(input);
    let Ok(ring) = ring_of_certificate(input) else { return false };
    assert!(has_ring);
    assert_eq!(ring.master_spki_der().ok().as_deref(), key.ok(), "a ring that is not the certificate's key");
    true
}

/// The server of the corpus, and a ring that it certified.
fn judges() -> &'static (ServerKey, UserRing) {
    static JUDGES: OnceLock<(ServerKey, UserRing)> = OnceLock::new();
    JUDGES.get_or_init(|| {
        let server = fs::read(corpus_folder("server-key")).expect("the corpus' server key");
        let server = ServerKey::from_bytes(&server).expect("the server key is one");
        let certified = fs::read(corpus_folder("ring").join("certified")).expect("the certified ring");
        let certified = UserRing::parse(&certified).expect("the certified ring is one");
        assert_eq!(
            judge_login(&certified, DOMAIN, &server, now(), None, None),
            Ok(address()),
            "the corpus fits together"
        );
        (server, certified)
    })
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    static WRITTEN: OnceLock<()> = OnceLock::new();
    if std::env::var_os("KONTALK_WRITE_CORPUS").is_some() {
        WRITTEN.get_or_init(write_keys);
    }
    let folder = corpus_folder(name);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).expect("a corpus").map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).expect("a corpus file")).collect();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    inputs
}

/// Keys of nobody and for nothing else.
fn write_keys() {
    let made = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let stamp = |secs: u64| Timestamp::from_system(made + Duration::from_secs(secs));
    let id = format!("Romeo <{}>", address());
    let key = ClientKey::numbered(0, &id, made);
    let legacy = ClientKey::cook(1, Recipe { shape: Shape::Legacy, ..Recipe::new(&id, made) });
    let ring = key.public_ring();
    let server = ServerKey::generate(DOMAIN, stamp(0)).expect("a server key");
    let certified = server.certify(&UserRing::parse(&ring).unwrap(), &address(), stamp(60)).expect("certified");
    let revoked = server.revoke_certification(&certified, &address(), stamp(120)).expect("taken back");
    let folders = [
        (
            "ring",
            vec![
                ("kontalk", ring.clone()),
                ("legacy", legacy.public_ring()),
                ("revoked", key.revoked_ring(made + Duration::from_secs(60))),
                ("rsa-in-ec-packets", key.ring_with_rsa_in_ec_packets()),
                ("secret", key.secret_ring()),
                ("certified", certified.to_bytes()),
                ("certification-revoked", revoked.to_bytes()),
            ],
        ),
        (
            "certificate",
            vec![
                ("bridge", key.bridge_certificate(&ring).certificate_der),
                ("certified", key.bridge_certificate(&certified.to_bytes()).certificate_der),
                ("legacy", legacy.bridge_certificate(&legacy.public_ring()).certificate_der),
                ("other-key", key.bridge_certificate(&legacy.public_ring()).certificate_der),
                ("without-ring", key.certificate_without_ring().certificate_der),
            ],
        ),
    ];
    for (folder, files) in folders {
        for (file, bytes) in files {
            fs::write(corpus_folder(folder).join(file), bytes).expect("the corpus can be written");
        }
    }
    let (card, signed, vote) = hostile_trust::signed_card(&server);
    let of_votes = hostile_vote::samples(&server, &card, signed, &vote);
    for (folder, file, text) in hostile_trust::samples(&server).into_iter().chain(of_votes) {
        fs::create_dir_all(corpus_folder(folder)).expect("the corpus can be written");
        fs::write(corpus_folder(folder).join(file), text).expect("the corpus can be written");
    }
    fs::write(corpus_folder("server-key"), server.to_secret_bytes()).expect("the corpus can be written");
}

fn corpus_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

fn address() -> BareJid {
    format!("4bdd4f929f3a1062253e4e496bafba0bdfb5db75@{DOMAIN}").parse().unwrap()
}

fn now() -> Timestamp {
    Timestamp { millis: 1_800_000_000_000 }
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
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

const DOMAIN: &str = "a.example";
const THREADS: usize = 2;
const PIECES: u64 = 16;
const DONE: u64 = u64::MAX;
const INPUT_TIME_MAX: Duration = Duration::from_secs(10);
const MEMORY_KIB_MAX: u64 = 64 * 1024;
