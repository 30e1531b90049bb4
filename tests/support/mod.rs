//! What the tests of the whole node share: the node as a child process ([`node`]), the Kontalk test client ([`client`] and the
//! files that extend it), and the list of secrets that no log may hold.
//!
//! The client is written from the Kontalk protocol and the RFCs, not from the server: the two share only the crate's words
//! (`jid`, `xml`, `stanza`). Every read has a time limit of [`client::PATIENCE`]; it is an upper bound for a broken node, no
//! test waits for time to pass. [`client::Client::roundtrip`] is the barrier: what was sent before it has been handled.

#![allow(dead_code)] // Each test binary uses its own part of this.

pub mod client;
pub mod component;
pub mod figures;
pub mod gnupg;
pub mod http;
pub mod login;
pub mod modem_pty;
pub mod modem_sim;
pub mod modem_world;
pub mod node;
pub mod registration;
pub mod sasl2;
pub mod scram;
pub mod stanzas;
pub mod town;

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Remembers a text that must never stand in a log, and gives it back. [`node::Node`] greps all output for it at the end.
pub fn secret(text: impl Into<String>) -> String {
    let text = text.into();
    lock(&SECRETS).insert(text.clone());
    text
}

/// All texts that were named secret in this process.
pub fn secrets() -> Vec<String> {
    lock(&SECRETS).iter().cloned().collect()
}

/// The body of a test message. Every one holds the same marker, so that one search of the logs finds any of them.
pub fn body(words: impl std::fmt::Display) -> String {
    format!("{BODY_MARKER}: {words}")
}

/// Stands in every test message's body.
pub const BODY_MARKER: &str = "sekrit-words";

/// A small generator of reproducible choices (xorshift64*). Print [`Dice::seed`] wherever a run depends on it.
pub struct Dice {
    /// What the run can be repeated with.
    pub seed: u64,
    state: u64,
}

impl Dice {
    /// From the environment's `KONTALK_SEED`, else from the system's randomness.
    pub fn new() -> Dice {
        let seed = match std::env::var("KONTALK_SEED") {
            Ok(text) => text.parse().expect("KONTALK_SEED must be a number"),
            Err(_) => {
                let mut bytes = [0; 8];
                getrandom::fill(&mut bytes).expect("the system gives random bytes");
                u64::from_le_bytes(bytes)
            }
        };
        Dice { seed, state: seed | 1 }
    }

    /// From a seed that another generator gave.
    pub fn from_seed(seed: u64) -> Dice {
        Dice { seed, state: seed | 1 }
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}

/// Locks also after another test of the process has panicked.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static SECRETS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
