//! The names of counters in the store.

use crate::phone::{HASH_BYTES, KeyedHash};

/// Names a counter in the store: what it counts, and a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CounterKey {
    pub(super) kind: CounterKind,
    pub(super) hash: KeyedHash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum CounterKind {
    All,
    Abroad,
    Route,
    Prefix,
    /// What networks reported of a route's messages.
    Reports,
}

impl CounterKey {
    /// As it is stored.
    pub fn to_bytes(self) -> [u8; 1 + HASH_BYTES] {
        let mut bytes = [0; 1 + HASH_BYTES];
        let kind = match self.kind {
            CounterKind::All => b'a',
            CounterKind::Abroad => b'b',
            CounterKind::Route => b'r',
            CounterKind::Prefix => b'p',
            CounterKind::Reports => b'd',
        };
        let filled = std::iter::once(kind).chain(self.hash.to_bytes());
        bytes.iter_mut().zip(filled).for_each(|(to, from)| *to = from);
        bytes
    }

    /// From the store.
    pub fn from_bytes(bytes: &[u8]) -> Option<CounterKey> {
        let (kind, hash) = bytes.split_first()?;
        let kind = match kind {
            b'a' => CounterKind::All,
            b'b' => CounterKind::Abroad,
            b'r' => CounterKind::Route,
            b'p' => CounterKind::Prefix,
            b'd' => CounterKind::Reports,
            _ => return None,
        };
        Some(CounterKey { kind, hash: KeyedHash::from_bytes(hash.try_into().ok()?) })
    }
}
