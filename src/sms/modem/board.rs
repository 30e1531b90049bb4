//! The status that the dialogue writes and everybody may read.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::status::{LastError, Phase, Status};

/// Shared between the modem's task and its handles.
#[derive(Debug, Default)]
pub struct Board {
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    status: Status,
    failed: Option<(String, Instant)>,
}

impl Board {
    /// Nothing is known yet.
    pub fn new() -> Board {
        Board::default()
    }

    /// As it is now.
    pub fn status(&self, now: Instant) -> Status {
        let written = self.written();
        let mut status = written.status.clone();
        status.last_error = written.failed.as_ref().map(|(text, at)| LastError {
            text: text.clone(),
            seconds_ago: now.saturating_duration_since(*at).as_secs(),
        });
        status
    }

    /// Changes what stands there.
    pub(super) fn write(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.written().status);
    }

    /// Something went wrong: a sentence with its remedy. True if it was not the last thing already.
    pub(super) fn failed(&self, now: Instant, text: &str) -> bool {
        let mut written = self.written();
        let is_new = written.failed.as_ref().is_none_or(|(last, _)| last != text);
        written.failed = Some((text.to_owned(), now));
        is_new
    }

    /// What the modem is doing; true if it is something else than before.
    pub(super) fn enter(&self, phase: Phase) -> bool {
        let mut written = self.written();
        let is_new = written.status.phase != phase;
        written.status.phase = phase;
        is_new
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
