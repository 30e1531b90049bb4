//! Figures, printed by `cargo test --release --lib store::tests::measure -- --ignored --nocapture`. Nothing depends on them.

use std::time::Instant;

use super::{Scratch, at, jid};
use crate::router::{OfflineId, Storage};

/// Bytes this process made the kernel write to devices.
fn written_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    line.trim().parse().unwrap()
}

/// Milliseconds of processor time that this process has had.
fn cpu_millis() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks * 10
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[test]
#[ignore = "prints figures"]
fn bytes_and_time_per_offline_message() {
    let mut random = 1_u64;
    let mut stanza = |n: usize| {
        // As Kontalk's: a body of 100 bytes that does not compress, since it is encrypted.
        let body: String = (0..100)
            .map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(BASE64[(random >> 58) as usize])
            })
            .collect();
        format!(
            "<message from='5d2b1c3f0e4a59687786958a4b3c2d1e0f112233@a.example/phone' to='{n:040x}@a.example' \
             type='chat' id='{:x}'><body>{body}</body><request xmlns='urn:xmpp:receipts'/>\
             <delay xmlns='urn:xmpp:delay' from='a.example' stamp='2026-01-02T03:04:05.678Z'/></message>",
            random >> 16
        )
    };
    for (accounts, gap_every) in [(1, usize::MAX), (20, usize::MAX), (1, 20), (20, 20), (1, 5), (1, 1)] {
        let scratch = Scratch::new();
        let mut store = scratch.open();
        let count = if gap_every < 20 { 1000 } else { 20_000 };
        let names: Vec<_> = (0..accounts).map(|n| jid(&format!("{n:040x}@a.example"))).collect();
        let per_round = 4000 * accounts;
        let (mut stored, mut drained) = ((0, 0, 0.0), (0, 0, 0.0));
        let mut done = 0;
        while done < count {
            let round = per_round.min(count - done);
            let (bytes, cpu, start) = (written_bytes(), cpu_millis(), Instant::now());
            for n in 0..round {
                let (_, ticket) = store.store_offline(&names[n % accounts], &stanza(n % accounts), at(1)).unwrap();
                if n % gap_every.min(round) == gap_every.min(round) - 1 {
                    smol::block_on(store.commit(ticket)).unwrap();
                }
            }
            stored.0 += written_bytes() - bytes;
            stored.1 += cpu_millis() - cpu;
            stored.2 += start.elapsed().as_secs_f64();
            let (bytes, cpu, start) = (written_bytes(), cpu_millis(), Instant::now());
            for name in &names {
                let ids: Vec<OfflineId> =
                    store.offline(name, at(1), None, usize::MAX).unwrap().iter().map(|m| m.id).collect();
                for some in ids.chunks(5) {
                    store.delete_offline(name, some).unwrap();
                }
            }
            store.secret(&format!("{done}"), &[0; 32]).unwrap();
            store.shared.db.flush().unwrap();
            store.shared.data_file.sync_data().unwrap();
            drained.0 += written_bytes() - bytes;
            drained.1 += cpu_millis() - cpu;
            drained.2 += start.elapsed().as_secs_f64();
            done += round;
        }
        let per = |total: u64| total as f64 / count as f64;
        println!(
            "{accounts} accounts, commit every {gap_every}: stored {:.0} B/message, {:.1} CPU-ms and {:.0} ms per 1000; \
             drained {:.0} B, {:.1} CPU-ms and {:.0} ms; {} KiB on disk",
            per(stored.0),
            per(stored.1) * 1000.0,
            stored.2 / count as f64 * 1e6,
            per(drained.0),
            per(drained.1) * 1000.0,
            drained.2 / count as f64 * 1e6,
            store.stats().unwrap().bytes_on_disk / 1024,
        );
    }
}
