//! Measures a release build of the node as a child process and prints a table beside the targets. Run it by `tests/bench`.
//!
//! Processor time and memory are the node's alone, as the kernel counts them; the clients live in this process. Rates are
//! what both together reach on this machine, so compare them only within one run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::body;
use support::client::{Client, Connect};
use support::figures::{Process, percentile};
use support::login::Binding;
use support::node::{DOMAIN, Node, NodeOptions, binary, password_of};
use support::scram::Hash;
use support::stanzas::{body_of, chat};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    println!("{:<10} {:<56} {:>12} {:>12}", "name", "figure", "measured", "target");
    for (name, measure) in FIGURES {
        if wanted.is_empty() || wanted.iter().any(|wish| wish == name) {
            measure(name);
        }
    }
    println!("\nDone. A figure marked MISS is over its target on this machine.");
}

type Measure = fn(&str);

const FIGURES: &[(&str, Measure)] = &[
    ("size", binary_size),
    ("ready", ready_time_and_idle_memory),
    ("logins", logins),
    ("sessions", memory_per_session),
    ("latency", latency_of_one_pair),
    ("messages", online_messages),
    ("archive", archived_messages),
    ("presence", presence_fan_out),
    ("offline", offline_messages),
];

fn row(name: &str, figure: &str, measured: f64, unit: &str, target: Option<f64>) {
    let precision = if measured < 10.0 { 2 } else { usize::from(measured < 100.0) };
    let target_text = target.map_or("-".to_owned(), |target| format!("{target} {unit}"));
    let miss = if target.is_some_and(|target| measured > target) { "  MISS" } else { "" };
    println!("{name:<10} {figure:<56} {:>12} {target_text:>12}{miss}", format!("{measured:.precision$} {unit}"));
}

/// A node as an operator runs it, with these accounts.
fn node_with(users: &[&str]) -> (Node, Process) {
    node_configured(users, "")
}

fn node_configured(users: &[&str], config: &str) -> (Node, Process) {
    let extra_config = config.to_owned();
    let node = Node::start(NodeOptions { log_level: "info", extra_config, ..NodeOptions::default() });
    for user in users {
        node.add_account(user);
    }
    let process = Process { pid: node.pid() };
    (node, process)
}

fn binary_size(name: &str) {
    let size = std::fs::metadata(binary()).expect("the binary is there").len();
    row(name, "binary, stripped", size as f64 / 1024.0 / 1024.0, "MiB", Some(8.0));
}

fn ready_time_and_idle_memory(name: &str) {
    let (mut node, _) = node_with(&["romeo", "juliet"]);
    let mut times = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..10 {
        node.sigterm();
        times.push(node.start_again().as_secs_f64() * 1000.0);
        memory.push(Process { pid: node.pid() }.rss_kib() / 1024.0);
    }
    row(name, "ready after exec, existing store (median of 10)", percentile(&mut times, 0.5), "ms", Some(30.0));
    row(name, "idle RSS (median of 10)", percentile(&mut memory, 0.5), "MiB", Some(8.0));
}

fn logins(name: &str) {
    let users = ["romeo", "juliet", "nurse", "tybalt"];
    let (node, process) = node_with(&users);
    let log_in = |user: &str| {
        let mut client = Client::connect(&Connect::direct_to(&node));
        client.scram(user, &password_of(user), Hash::Sha256, Binding::TlsExporter).expect("the password is right");
        client.bind(None);
        client.send("<presence/>");
        client.roundtrip();
        client.close();
    };
    users.iter().for_each(|user| log_in(user));
    let (cpu, begun) = (process.cpu_ms(), Instant::now());
    thread::scope(|scope| {
        for user in users {
            scope.spawn(move || (0..LOGINS_PER_USER).for_each(|_| log_in(user)));
        }
    });
    let count = (users.len() * LOGINS_PER_USER) as f64;
    row(
        name,
        "CPU per login (TLS 1.3, SCRAM-SHA-256-PLUS, presence)",
        (process.cpu_ms() - cpu) / count,
        "ms",
        Some(1.5),
    );
    row(name, "logins per second, 4 clients at once", count / begun.elapsed().as_secs_f64(), "/s", None);
}

fn memory_per_session(name: &str) {
    let users: Vec<String> = (0..SESSIONS / SESSIONS_PER_ACCOUNT).map(|number| format!("user{number}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let (node, process) = node_with(&users);
    let session = |user: &str, number: usize| {
        let mut client = Client::bound(&node, user, &format!("r{number}"));
        client.enable_sm(true);
        client.roster();
        // Without presence: each account's sessions would hear of each other, and the traffic is not what is measured.
        client
    };
    // What the first session brings along for all is not counted.
    let first = session(users[0], 0);
    let before = process.rss_kib();
    let clients: Vec<Client> = users
        .iter()
        .flat_map(|user| (1..=SESSIONS_PER_ACCOUNT).map(move |number| (*user, number)))
        .map(|(user, number)| session(user, number))
        .collect();
    let kib = (process.rss_kib() - before) / clients.len() as f64;
    row(name, &format!("RSS per idle TLS session ({} sessions)", clients.len()), kib, "KiB", Some(10.0));
    let cpu = process.cpu_ms();
    thread::sleep(Duration::from_secs(2));
    row(name, "CPU per second with these idle", (process.cpu_ms() - cpu) / 2.0, "ms", None);
    drop((first, clients));
}

fn latency_of_one_pair(name: &str) {
    let (node, _) = node_with(&["romeo", "juliet"]);
    let (mut romeo, mut juliet) = (Client::online(&node, "romeo", "a"), Client::online(&node, "juliet", "b"));
    let to = juliet.full().to_string();
    let mut times: Vec<f64> = (0..3000)
        .map(|number| {
            let stanza = chat(&to, &number.to_string(), &body(number));
            let begun = Instant::now();
            romeo.send(&stanza);
            while body_of(&juliet.next()).is_none() {}
            begun.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    row(name, "delivery, one pair, p50", percentile(&mut times, 0.5), "ms", Some(0.15));
    row(name, "delivery, one pair, p99", percentile(&mut times, 0.99), "ms", Some(1.0));
}

fn online_messages(name: &str) {
    let figures = messages_between_pairs("\n[archive]\ndays = 0\n");
    row(name, "CPU per 1,000 delivered messages (TLS, SM)", figures.cpu, "ms", Some(25.0));
    row(name, "messages per second, 2 pairs", figures.rate, "/s", None);
    row(name, "written to the device per message, both online", figures.written, "B", Some(0.0));
}

fn archived_messages(name: &str) {
    let figures = messages_between_pairs("");
    row(name, "CPU per 1,000 delivered messages, archived by both", figures.cpu, "ms", Some(60.0));
    row(name, "messages per second, 2 pairs, archived", figures.rate, "/s", None);
    row(name, "written to the device per message, archived by both", figures.written, "B", None);
}

/// Per 1,000 messages, per second, per message.
struct MessageFigures {
    cpu: f64,
    rate: f64,
    written: f64,
}

fn messages_between_pairs(config: &str) -> MessageFigures {
    let (node, process) = node_configured(&["romeo", "juliet", "nurse", "tybalt"], config);
    let pairs = [("romeo", "juliet"), ("nurse", "tybalt")]
        .map(|(from, to)| (Client::online(&node, from, "a"), Client::online(&node, to, "b")));
    let (cpu, written, begun) = (process.cpu_ms(), process.bytes_written(), Instant::now());
    thread::scope(|scope| {
        for (sender, receiver) in pairs {
            let to = receiver.full().to_string();
            scope.spawn(move || receive(receiver, MESSAGES_PER_PAIR));
            scope.spawn(move || send(sender, &to, MESSAGES_PER_PAIR));
        }
    });
    let (took, count) = (begun.elapsed().as_secs_f64(), (2 * MESSAGES_PER_PAIR) as f64);
    MessageFigures {
        cpu: (process.cpu_ms() - cpu) / count * 1000.0,
        rate: count / took,
        written: (process.bytes_written() - written) / count,
    }
}

fn presence_fan_out(name: &str) {
    let contacts: Vec<String> = (0..FANS).map(|number| format!("fan{number}")).collect();
    let mut users: Vec<&str> = contacts.iter().map(String::as_str).collect();
    users.push("star");
    let (node, process) = node_with(&users);
    let mut star = Client::online(&node, "star", "stage");
    let fans: Vec<Client> = contacts
        .iter()
        .map(|user| {
            let mut fan = Client::online(&node, user, "seat");
            star.befriend(&mut fan);
            fan
        })
        .collect();
    let cpu = process.cpu_ms();
    thread::scope(|scope| {
        for mut fan in fans {
            scope.spawn(move || {
                let mut seen = 0;
                while seen < PRESENCES {
                    seen += usize::from(fan.next().child("status", "jabber:client").is_some());
                }
            });
        }
        for number in 0..PRESENCES {
            star.send(&format!("<presence><status>number {number}</status></presence>"));
            if number % 20 == 0 {
                star.drain();
            }
        }
        star.drain();
    });
    let count = (FANS * PRESENCES) as f64;
    row(name, "CPU per 1,000 presence stanzas fanned out", (process.cpu_ms() - cpu) / count * 1000.0, "ms", Some(12.0));
}

fn offline_messages(name: &str) {
    let absent: Vec<String> = (0..ABSENT).map(|number| format!("absent{number}")).collect();
    let mut users: Vec<&str> = absent.iter().map(String::as_str).collect();
    users.push("romeo");
    let (node, process) = node_with(&users);
    let mut romeo = Some(Client::online(&node, "romeo", "a"));
    let count = (ABSENT * OFFLINE_PER_ACCOUNT) as f64;

    let (cpu, written, begun) = (process.cpu_ms(), process.bytes_written(), Instant::now());
    for user in &absent {
        romeo = romeo.map(|client| send(client, &format!("{user}@{DOMAIN}"), OFFLINE_PER_ACCOUNT));
    }
    let took = begun.elapsed().as_secs_f64();
    row(name, "CPU per 1,000 messages stored", (process.cpu_ms() - cpu) / count * 1000.0, "ms", Some(50.0));
    let bytes = (process.bytes_written() - written) / count;
    row(name, "written to the device per message stored, bulk", bytes / 1024.0, "KiB", Some(2.0));
    row(name, "messages stored and acknowledged per second", count / took, "/s", None);

    let written = process.bytes_written();
    let cpu = process.cpu_ms();
    for user in &absent {
        let mut client = Client::bound(&node, user, "b");
        client.enable_sm(false);
        client.send("<presence/>");
        receive(client, OFFLINE_PER_ACCOUNT);
    }
    // A few logins are in it; they weigh little among so many messages.
    row(name, "CPU per 1,000 messages drained", (process.cpu_ms() - cpu) / count * 1000.0, "ms", Some(30.0));
    row(name, "written to the device per message drained", (process.bytes_written() - written) / count, "B", None);
}

/// Sends messages of a 100-byte body, a window of them at a time, until all are acknowledged.
fn send(mut client: Client, to: &str, count: usize) -> Client {
    let words = body("x".repeat(BODY_BYTES.saturating_sub(body("").len())));
    let mut sent = 0;
    while sent < count {
        let burst = BURST.min(count - sent);
        let text: String = (sent..sent + burst).map(|number| chat(to, &format!("m{number}"), &words)).collect();
        let stanzas = u32::try_from(burst).expect("few");
        client.try_send_many(&text, stanzas).expect("sent");
        client.try_wait_acked(stanzas * WINDOW_BURSTS).expect("acknowledged");
        sent += burst;
    }
    client.wait_acked();
    client
}

/// Receives that many messages and acknowledges them.
fn receive(mut client: Client, count: usize) {
    let mut seen = 0;
    while seen < count {
        seen += usize::from(body_of(&client.next()).is_some());
    }
    client.acknowledge().expect("acknowledged");
    client.roundtrip();
    client.close();
}

const LOGINS_PER_USER: usize = 100;
const SESSIONS: usize = 1000;
/// Below the node's limit, one being left for the session that is not counted.
const SESSIONS_PER_ACCOUNT: usize = 10;
const MESSAGES_PER_PAIR: usize = 20_000;
const BURST: usize = 50;
const WINDOW_BURSTS: u32 = 3;
const BODY_BYTES: usize = 100;
const FANS: usize = 20;
const PRESENCES: usize = 500;
const ABSENT: usize = 4;
const OFFLINE_PER_ACCOUNT: usize = 2500;
