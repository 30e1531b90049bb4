//! The store as its users see it, on a real directory.

mod accounts;
mod archives;
mod crash;
mod damage;
mod disabled;
mod dispatch;
mod durability;
mod expiry;
mod measure;
mod messages;
mod nodes;
mod outgoing;
mod pubsub;
mod push;
mod resets;
mod rosters;
mod snapshots;
mod tokens;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::Store;
use crate::jid::BareJid;
use crate::stanza::Timestamp;

/// A directory that is gone when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("kontalk-node-store-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Scratch(dir)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn open(&self) -> Store {
        Store::open(&self.0).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn jid(text: &str) -> BareJid {
    text.parse().unwrap()
}

fn at(secs: u64) -> Timestamp {
    Timestamp { millis: secs * 1000 }
}

fn blob_files(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("blobs")).unwrap().count()
}

#[test]
fn a_store_can_be_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Store>();
}
