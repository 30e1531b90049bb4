//! Token buckets: so many at once, so many per time. Refused attempts cost nothing, so a ban does not prolong itself.

use std::hash::Hash;
use std::time::{Duration, Instant};

use super::BoundedMap;

/// One bucket. Holds up to `burst` tokens and gains one every `refill`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    /// When the bucket will be full again.
    full_at: Instant,
    burst: u32,
    refill: Duration,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(now: Instant, burst: u32, refill: Duration) -> TokenBucket {
        TokenBucket { full_at: now, burst, refill }
    }

    /// Takes a token, or says how long until there is one.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.check(now)?;
        self.full_at = self.full_at.max(now) + self.refill;
        Ok(())
    }

    /// Says whether there is a token, without taking it.
    pub fn check(&self, now: Instant) -> Result<(), Duration> {
        let owed = self.full_at.saturating_duration_since(now) + self.refill;
        let capacity = self.refill.saturating_mul(self.burst);
        match owed.checked_sub(capacity) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(wait) => Err(wait),
        }
    }

    /// Puts a token back that was taken for nothing.
    pub fn give_back(&mut self) {
        self.full_at = self.full_at.checked_sub(self.refill).unwrap_or(self.full_at);
    }

    /// Is it full, and so not worth remembering?
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

/// A bucket per key, for at most so many keys; the least recently used are forgotten first.
#[derive(Debug)]
pub struct Buckets<K> {
    map: BoundedMap<K, TokenBucket>,
    burst: u32,
    refill: Duration,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// Buckets that hold `burst` and gain one every `refill`, for `keys_max` keys.
    pub fn new(keys_max: usize, burst: u32, refill: Duration) -> Buckets<K> {
        Buckets { map: BoundedMap::new(keys_max), burst, refill }
    }

    /// Takes a token from the key's bucket, or says how long until there is one.
    pub fn take(&mut self, now: Instant, key: &K) -> Result<(), Duration> {
        match self.map.get_mut(key) {
            Some(bucket) => bucket.take(now),
            None => {
                let mut bucket = TokenBucket::new(now, self.burst, self.refill);
                let outcome = bucket.take(now);
                self.map.insert(key.clone(), bucket);
                outcome
            }
        }
    }

    /// Says whether there is a token, without taking it.
    pub fn check(&self, now: Instant, key: &K) -> Result<(), Duration> {
        self.map.get(key).map_or(Ok(()), |bucket| bucket.check(now))
    }

    /// Puts a token back into the key's bucket that was taken for nothing.
    pub fn give_back(&mut self, key: &K) {
        if let Some(bucket) = self.map.get_mut(key) {
            bucket.give_back();
        }
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Is none?
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_one_per_refill_and_refusals_prolong_nothing() {
        let start = Instant::now();
        let refill = Duration::from_secs(10);
        let mut bucket = TokenBucket::new(start, 3, refill);
        for _ in 0..3 {
            assert_eq!(bucket.take(start), Ok(()));
        }
        for _ in 0..5 {
            assert_eq!(bucket.take(start), Err(refill));
        }
        assert_eq!(bucket.take(start + refill), Ok(()));
        assert_eq!(bucket.take(start + refill), Err(refill));
        assert!(!bucket.is_full(start + refill));
        assert!(bucket.is_full(start + refill * 4));
    }

    #[test]
    fn a_token_given_back_can_be_taken_again_but_makes_no_more_than_the_burst() {
        let now = Instant::now() + Duration::from_secs(3600);
        let mut buckets = Buckets::new(2, 2, Duration::from_secs(10));
        assert!(buckets.take(now, &1).is_ok() && buckets.take(now, &1).is_ok() && buckets.take(now, &1).is_err());
        buckets.give_back(&1);
        assert!(buckets.take(now, &1).is_ok() && buckets.take(now, &1).is_err());
        (0..10).for_each(|_| buckets.give_back(&1));
        assert!(buckets.take(now, &1).is_ok() && buckets.take(now, &1).is_ok() && buckets.take(now, &1).is_err());
        buckets.give_back(&2);
        assert_eq!(buckets.len(), 1);
    }

    #[test]
    fn keys_have_buckets_of_their_own() {
        let now = Instant::now();
        let mut buckets = Buckets::new(2, 1, Duration::from_secs(1));
        assert!(buckets.take(now, &1).is_ok());
        assert!(buckets.take(now, &1).is_err());
        assert!(buckets.check(now, &1).is_err());
        assert!(buckets.take(now, &2).is_ok());
        assert!(buckets.check(now, &3).is_ok());
    }
}
