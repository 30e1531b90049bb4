//! Spoilt input: whatever comes, an answer and no panic.

use super::super::keys::ring_of;
use super::*;

#[test]
fn no_spoilt_ring_or_certificate_panics() {
    let seed = std::env::var("MUTATION_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(fresh_seed);
    println!("MUTATION_SEED={seed}");
    let mut random = Random(seed);
    let (key, other) = (client(0), client(1));
    let busy = {
        let revoked = server().revoke_certification(&certified(&key), &address(), stamp(day(3))).unwrap();
        let mut packets = packets_of(&server().certify(&revoked, &address(), stamp(day(4))).unwrap().to_bytes());
        packets.insert(1, key.revocation(day(3)).into());
        ring_of(&packets)
    };
    let rings = [key.public_ring(), busy, key.secret_ring(), key.ring_with_rsa_in_ec_packets(), other.public_ring()];
    let certificates: Vec<_> = rings.iter().map(|ring| key.bridge_certificate(ring).certificate_der).collect();
    let (stored, mut accepted) = (certified(&key), 0);
    for round in 0..ROUNDS {
        let ring = random.spoil(&rings[round % rings.len()], &rings);
        accepted += usize::from(exercise_ring(&ring, &stored));
        let certificate = random.spoil(&certificates[round % certificates.len()], &certificates);
        exercise_certificate(&certificate, &stored);
    }
    // Else the mutations are so coarse that nothing behind the first check is ever reached.
    assert!(accepted > ROUNDS / 20, "{accepted} of {ROUNDS} rings were read");
}

#[test]
fn every_beginning_of_a_ring_and_of_a_certificate_is_answered() {
    let key = client(0);
    let stored = certified(&key);
    let ring = stored.to_bytes();
    let certificate = key.bridge_certificate(&ring).certificate_der;
    for end in 0..ring.len() {
        exercise_ring(&ring[..end], &stored);
    }
    for end in 0..certificate.len() {
        assert_eq!(ring_of_certificate(&certificate[..end]).err(), Some(BridgeError::NotACertificate));
    }
}

/// All that can be done with a ring, once it is read; whether it was.
fn exercise_ring(bytes: &[u8], stored: &UserRing) -> bool {
    let Ok(ring) = UserRing::parse(bytes) else { return false };
    let written = ring.to_bytes();
    assert_eq!(UserRing::parse(&written).map(|ring| ring.to_bytes()), Ok(written), "what is written reads the same");
    let now = stamp(day(5));
    let _ = (ring.master_spki_der(), ring.first_address(), ring.created(), ring.tidy());
    let _ = judge_candidate(&ring, DOMAIN, now);
    let _ = judge_login(&ring, DOMAIN, server(), now, None, None);
    let _ = server().certify(&ring, &address(), now);
    let _ = server().revoke_certification(&ring, &address(), now);
    let _ = stored.clone().merge(&ring);
    true
}

fn exercise_certificate(bytes: &[u8], stored: &UserRing) {
    let _ = (is_bridge_certificate(bytes), certificate_spki(bytes));
    if let Ok(ring) = ring_of_certificate(bytes) {
        exercise_ring(&ring.to_bytes(), stored);
    }
}

/// xorshift64*: small, and the same everywhere for a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    /// One to four changes: a bit, a byte, a piece cut out, doubled, or taken from another sample.
    fn spoil(&mut self, sample: &[u8], samples: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = sample.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(64)).min(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][self.below(6)],
                3 => drop(bytes.drain(at..end)),
                4 => {
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => {
                    let donor = &samples[self.below(samples.len())];
                    let from = self.below(donor.len());
                    let to = (from + 1 + self.below(400)).min(donor.len());
                    bytes.splice(at..end, donor[from..to].iter().copied());
                }
            }
            if bytes.is_empty() {
                bytes.push(0);
            }
        }
        bytes
    }
}

fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() | 1
}

const ROUNDS: usize = 4000;
