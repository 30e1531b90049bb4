//! A process is killed in the middle of its work, again and again; what it reported as durable must be there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::{Scratch, at, jid};
use crate::roster::{Entry, Item};
use crate::router::{Storage, Ticket};
use crate::store::Store;

/// The variable that tells the child where its store is.
const DIR: &str = "KONTALK_NODE_STORE_CRASH_DIR";
const ROUNDS: u64 = 20;
/// What a child writes at most; an account holds no more.
const STEPS: u64 = 4500;
/// How much of it may wait to be durable. So a child says more lines than it is ever let say.
const WINDOW: u64 = 100;
const LINES_MAX: u64 = 40;
const FIRST_STANZA_BYTES: usize = 200;

#[test]
fn what_was_durable_is_there_after_kill_9() {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = seed | 1;
    let scratch = Scratch::new();
    drop(scratch.open());
    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let lines = 1 + (random >> 33) % LINES_MAX;
        run_and_kill(&scratch, round, lines, &mut acknowledged);
        check(&scratch, &acknowledged);
    }
    assert!(acknowledged.values().all(|count| *count > 0), "{acknowledged:?}");
}

/// Starts the child, reads so many of its acknowledgements, kills it, and reads what else it managed to say.
fn run_and_kill(scratch: &Scratch, round: u64, lines: u64, acknowledged: &mut BTreeMap<u64, u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::crash::child", "--nocapture", "--ignored"])
        .env(DIR, scratch.path())
        .env("KONTALK_NODE_STORE_CRASH_ROUND", round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    acknowledged.insert(round, 0);
    let note = |line: &str, acknowledged: &mut BTreeMap<u64, u64>| {
        // A line cut by the kill is no acknowledgement.
        let number =
            line.strip_prefix("durable ").and_then(|rest| rest.strip_suffix(" .")).and_then(|n| n.parse().ok());
        number.is_some_and(|number| acknowledged.insert(round, number).is_some())
    };
    while seen < lines {
        let line = output.next().expect("the child ended by itself").unwrap();
        seen += u64::from(note(&line, acknowledged));
    }
    child.kill().unwrap();
    for line in output.map_while(Result::ok) {
        note(&line, acknowledged);
    }
    child.wait().unwrap();
}

fn check(scratch: &Scratch, acknowledged: &BTreeMap<u64, u64>) {
    let mut store = scratch.open();
    for (round, count) in acknowledged {
        let account = account(*round);
        let messages = store.offline(&account, at(1), None, usize::MAX).unwrap();
        let entries = store.roster(&account).unwrap().entries;
        for n in 0..*count {
            // Each acknowledged step has a message; each tenth a roster item as well.
            let index = usize::try_from(n).unwrap();
            assert_eq!(messages[index].stanza, stanza(*round, n), "round {round} message {n} of {count}");
        }
        assert!(entries.len() as u64 >= count / 10, "round {round}: {} items of {count}", entries.len());
        for (n, message) in messages.iter().enumerate() {
            assert_eq!(message.stanza, stanza(*round, n as u64), "nothing twice, nothing out of order");
        }
    }
    assert_eq!(store.stats().unwrap().damaged_records, 0);
}

fn account(round: u64) -> crate::jid::BareJid {
    jid(&format!("round{round}@a"))
}

fn stanza(round: u64, n: u64) -> String {
    let bytes = FIRST_STANZA_BYTES + usize::try_from((n * 7919) % 3000).unwrap();
    format!("<message id='{round}-{n}'>{}</message>", "x".repeat(bytes))
}

/// Runs in the child: writes as fast as it can and says what is durable. Does nothing when run as a test by itself.
#[test]
#[ignore = "the other half of what_was_durable_is_there_after_kill_9"]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let round: u64 = std::env::var("KONTALK_NODE_STORE_CRASH_ROUND").unwrap().parse().unwrap();
    let mut store = Store::open(std::path::Path::new(&dir)).unwrap();
    let events = store.take_durable_events().unwrap();
    let account = account(round);
    let mut steps: Vec<Ticket> = Vec::new();
    let mut durable = 0;
    while durable < STEPS {
        let n = steps.len() as u64;
        if n < STEPS {
            if n % 10 == 9 {
                let entry = Entry { item: Some(Item::default()), request: None };
                store.save_entry(&account, &jid(&format!("c{n}@b")), &entry, true).unwrap();
            }
            steps.push(store.store_offline(&account, &stanza(round, n), at(1)).unwrap().1);
        }
        let event =
            if n < durable + WINDOW && n < STEPS { events.try_recv().ok() } else { events.recv_blocking().ok() };
        if let Some(ticket) = event {
            durable = steps.iter().filter(|step| **step <= ticket).count() as u64;
            println!("durable {durable} .");
            std::io::stdout().flush().unwrap();
        }
    }
}
