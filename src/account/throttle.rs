//! Who may ask for a code, and how often. Every key is a keyed hash: what is remembered here names no number and no address.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::policy::{Rate, Rates};
use crate::limits::{Buckets, THROTTLE_ENTRIES_MAX, network_of};
use crate::phone::{HashKey, KeyedHash, PhoneNumber};

/// The throttles of the telephone step and the code step. Five maps of at most [`THROTTLE_ENTRIES_MAX`].
#[derive(Debug)]
pub(super) struct Throttle {
    number: Buckets<KeyedHash>,
    number_long_run: Buckets<KeyedHash>,
    network: Buckets<KeyedHash>,
    block: Buckets<KeyedHash>,
    guess: Buckets<KeyedHash>,
}

impl Throttle {
    pub(super) fn new(rates: &Rates) -> Throttle {
        Throttle {
            number: buckets(rates.number),
            number_long_run: buckets(rates.number_long_run),
            network: buckets(rates.network),
            block: buckets(rates.block),
            guess: buckets(rates.guess),
        }
    }

    /// May a message go to this number? If not, how long until it may. A refusal takes nothing from any bucket.
    pub(super) fn message(
        &mut self,
        now: Instant,
        key: &HashKey,
        peer: IpAddr,
        number: &PhoneNumber,
    ) -> Result<(), Duration> {
        let (network, block) = (network_key(key, peer), block_key(key, number));
        let number = number_key(key, number);
        let answers = [
            self.network.check(now, &network),
            self.number.check(now, &number),
            self.number_long_run.check(now, &number),
            self.block.check(now, &block),
        ];
        // The longest wait of all: who comes back after it shall not meet the next one.
        if let Some(wait) = answers.into_iter().filter_map(Result::err).max() {
            return Err(wait);
        }
        self.network.take(now, &network)?;
        self.number.take(now, &number)?;
        self.number_long_run.take(now, &number)?;
        self.block.take(now, &block)?;
        Ok(())
    }

    /// No message went out after all: the number has its own back. The network and the block have not, since
    /// answers without a message tell who has an account. If there was a challenge, the long run has not either: its code
    /// could be guessed, and while the modem is dead guesses would have no bound.
    pub(super) fn message_not_sent(&mut self, key: &HashKey, number: &PhoneNumber, challenged: bool) {
        let number = number_key(key, number);
        self.number.give_back(&number);
        if !challenged {
            self.number_long_run.give_back(&number);
        }
    }

    /// May a code be tried from this address?
    pub(super) fn guess(&mut self, now: Instant, key: &HashKey, peer: IpAddr) -> Result<(), Duration> {
        self.guess.take(now, &network_key(key, peer))
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> [usize; 5] {
        [&self.number, &self.number_long_run, &self.network, &self.block, &self.guess].map(Buckets::len)
    }
}

fn buckets(rate: Rate) -> Buckets<KeyedHash> {
    Buckets::new(THROTTLE_ENTRIES_MAX, rate.burst.max(1), rate.refill.min(REFILL_MAX))
}

fn network_key(key: &HashKey, peer: IpAddr) -> KeyedHash {
    match network_of(peer) {
        IpAddr::V4(v4) => key.hash("network", &[&v4.octets()]),
        IpAddr::V6(v6) => key.hash("network", &[&v6.octets()]),
    }
}

fn number_key(key: &HashKey, number: &PhoneNumber) -> KeyedHash {
    key.hash("number", &[number.as_e164().as_bytes()])
}

fn block_key(key: &HashKey, number: &PhoneNumber) -> KeyedHash {
    key.hash("block", &[number.block(BLOCK_DIGITS).digits().as_bytes()])
}

/// The last digits that do not count for a block.
const BLOCK_DIGITS: usize = 4;
/// A longer one would let no clock's arithmetic end well.
const REFILL_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
