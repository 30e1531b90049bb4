//! Room on the disk. A database that runs into a full disk breaks, and takes no write until the node is started again; so what
//! would make it grow is refused while less than [`STORE_FREE_BYTES_MIN`] is free, and taken again when there is room. What
//! makes it smaller, or keeps it in order, is always done, and has that much for itself.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::STORE_FREE_BYTES_MIN;

/// When the disk was last looked at, and whether room was short.
#[derive(Default)]
pub(super) struct Space {
    looked: Mutex<(Option<Instant>, bool)>,
}

impl Space {
    /// Is room short on the disk of this directory? Looks again after [`LOOK_EVERY`]; says in the log when it changes.
    pub(super) fn is_short(&self, dir: &Path) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, was_short) = *looked;
        if at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return was_short;
        }
        // A disk that cannot be asked is not taken for full.
        let short = free_bytes(dir).is_some_and(|free| free < STORE_FREE_BYTES_MIN);
        if short && !was_short {
            log::warn!(
                "store: less than {} MiB are free on the disk of {}: nothing new is kept, messages to absent users are refused \
                 (remedy: make room; the node goes on by itself)",
                STORE_FREE_BYTES_MIN / (1024 * 1024),
                dir.display()
            );
        } else if was_short && !short {
            log::info!("store: there is room on the disk again");
        }
        *looked = (Some(Instant::now()), short);
        short
    }
}

fn free_bytes(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Nothing writes [`STORE_FREE_BYTES_MIN`] in so short a time.
const LOOK_EVERY: Duration = Duration::from_millis(250);
