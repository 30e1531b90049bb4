//! A word now and then from work that takes long.

use std::time::{Duration, Instant};

use super::complain;

/// Says on standard error how far it is, every few seconds.
pub(super) struct Progress {
    what: &'static str,
    unit: Unit,
    last: Instant,
}

/// What is counted.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    /// Bytes, told in MiB.
    Bytes,
    /// Other things, by their name.
    Things(&'static str),
}

impl Progress {
    pub(super) fn new(what: &'static str, unit: Unit) -> Progress {
        Progress { what, unit, last: Instant::now() }
    }

    /// So many so far.
    pub(super) fn tell(&mut self, count: u64) {
        if self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            complain(&format!("{}: {} so far", self.what, in_words(count, self.unit)));
        }
    }
}

/// An amount as people read it.
pub(super) fn in_words(count: u64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => format!("{:.1} MiB", count as f64 / 1_048_576.0),
        Unit::Things(name) => format!("{count} {name}"),
    }
}

const EVERY: Duration = Duration::from_secs(3);
