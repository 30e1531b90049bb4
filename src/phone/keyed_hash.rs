//! Hashes that mean nothing without the key: what is remembered of numbers, codes and addresses. HMAC-SHA256, RFC 2104.

use std::fmt;
use std::hash::{Hash, Hasher};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The key of all hashes of one process. Never printed, wiped when dropped.
///
/// A number or a code has too few digits for a plain hash to hide it: only the key does.
pub struct HashKey(Zeroizing<[u8; BLOCK_BYTES]>);

impl HashKey {
    /// From 32 random bytes.
    pub fn new(secret: [u8; 32]) -> HashKey {
        // RFC 2104 §2: a key shorter than the hash's block is filled up with zeros.
        let mut block = Zeroizing::new([0; BLOCK_BYTES]);
        block.iter_mut().zip(secret).for_each(|(to, from)| *to = from);
        HashKey(block)
    }

    /// The hash of `parts` for one `purpose`; other purposes and other divisions of the same bytes have other hashes.
    pub fn hash(&self, purpose: &str, parts: &[&[u8]]) -> KeyedHash {
        let mut mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new((&*self.0).into());
        for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        let mut hash = [0; HASH_BYTES];
        hash.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
        KeyedHash(hash)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(…)")
    }
}

/// A hash under a [`HashKey`]: 128 bits. Compares in constant time.
#[derive(Clone, Copy, Eq)]
pub struct KeyedHash([u8; HASH_BYTES]);

impl KeyedHash {
    /// As it is written into a file: 32 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl PartialEq for KeyedHash {
    fn eq(&self, other: &KeyedHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Hash for KeyedHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash(…)")
    }
}

/// The block of SHA-256.
const BLOCK_BYTES: usize = 64;
/// Half of SHA-256's output, RFC 2104 §5.
const HASH_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_divisions_are_kept_apart() {
        let key = HashKey::new([7; 32]);
        let hash = key.hash("a", &[b"bc", b"d"]);
        assert_eq!(hash, key.hash("a", &[b"bc", b"d"]));
        for other in [key.hash("a", &[b"b", b"cd"]), key.hash("ab", &[b"c", b"d"]), key.hash("a", &[b"bcd"])] {
            assert_ne!(hash, other);
        }
        assert_eq!(format!("{key:?} {hash:?}"), "HashKey(…) KeyedHash(…)");
    }
}
