//! Permits for connections that have not authenticated: strangers can fill memory and sockets only up to here.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::{STRANGERS_MAX, STRANGERS_PER_ADDRESS_MAX, network_of};

/// Counts the connections that have not authenticated. Clones share the count.
#[derive(Clone, Debug)]
pub struct Permits {
    counts: Arc<Mutex<Counts>>,
    total_max: usize,
    per_network_max: usize,
}

impl Permits {
    /// At most `total_max` permits at once, of which one network (an IPv4 address or an IPv6 /64) has at most
    /// `per_network_max`.
    pub fn new(total_max: usize, per_network_max: usize) -> Permits {
        Permits { counts: Arc::default(), total_max, per_network_max }
    }

    /// A permit for one more connection from `peer`, to be dropped when it has authenticated or closed.
    pub fn take(&self, peer: IpAddr) -> Result<Permit, Refusal> {
        let network = network_of(peer);
        let mut counts = lock(&self.counts);
        // The network's share first: one that floods hears of its own fault, also while the whole is full.
        let from_network = counts.per_network.get(&network).copied().unwrap_or(0);
        if from_network >= self.per_network_max {
            return Err(Refusal::NetworkFull);
        }
        if counts.total >= self.total_max {
            return Err(Refusal::TotalFull);
        }
        counts.total += 1;
        counts.per_network.insert(network, from_network + 1);
        drop(counts);
        Ok(Permit { counts: Arc::clone(&self.counts), network })
    }

    /// How many permits are out.
    pub fn in_use(&self) -> usize {
        lock(&self.counts).total
    }
}

impl Default for Permits {
    /// With the limits of the one table.
    fn default() -> Permits {
        Permits::new(STRANGERS_MAX, STRANGERS_PER_ADDRESS_MAX)
    }
}

/// Allows one connection to be there without having authenticated; gives its place back when dropped.
#[derive(Debug)]
#[must_use = "the place is free again as soon as the permit is dropped"]
pub struct Permit {
    counts: Arc<Mutex<Counts>>,
    network: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        counts.total = counts.total.saturating_sub(1);
        if let Some(count) = counts.per_network.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            // A network without connections costs no memory.
            if *count == 0 {
                counts.per_network.remove(&self.network);
            }
        }
    }
}

/// Why there is no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// All places are taken.
    TotalFull,
    /// The peer's network has all the places it may have.
    NetworkFull,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::TotalFull => "too many connections wait to authenticate",
            Refusal::NetworkFull => "too many connections from this network wait to authenticate",
        })
    }
}

impl std::error::Error for Refusal {}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    per_network: HashMap<IpAddr, usize>,
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_share_and_all_together_the_total() {
        let permits = Permits::new(4, 2);
        let mut held = Vec::new();
        for (peer, refusal) in [
            ("192.0.2.1", None),
            ("::ffff:192.0.2.1", None), // The same address, seen by a dual stack socket.
            ("192.0.2.1", Some(Refusal::NetworkFull)),
            ("2001:db8::1", None),
            ("2001:db8::ffff:1", None), // The same /64.
            ("2001:db8::2", Some(Refusal::NetworkFull)),
            ("192.0.2.2", Some(Refusal::TotalFull)),
            ("192.0.2.1", Some(Refusal::NetworkFull)), // Not told of the total.
        ] {
            let outcome = permits.take(peer.parse().unwrap());
            assert_eq!(outcome.as_ref().err(), refusal.as_ref(), "{peer}");
            held.extend(outcome);
        }
        assert_eq!(permits.in_use(), 4);
        held.pop();
        assert!(permits.take("192.0.2.2".parse().unwrap()).is_ok());
        held.clear();
        assert_eq!(permits.in_use(), 0);
        assert!(lock(&permits.counts).per_network.is_empty(), "an empty network is forgotten");
    }
}
