//! The keys of dialback: made without a memory of streams, checked without one. XEP-0185.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::jid::BareJid;

/// What all keys are made from. Belongs to the node alone and never leaves it.
#[derive(Clone)]
pub struct DialbackSecret(Zeroizing<String>);

impl DialbackSecret {
    /// From bytes that nobody else knows.
    pub fn new(secret: &[u8]) -> DialbackSecret {
        // XEP-0185 §3: hashed first, and the hash used in hexadecimal digits.
        DialbackSecret(Zeroizing::new(hex(&Sha256::digest(secret))))
    }

    /// The key with which `originating` (we) proves itself to `receiving` on the stream `id` that the latter named. XEP-0185 §3.
    pub fn key(&self, receiving: &BareJid, originating: &BareJid, id: &str) -> String {
        let text = format!("{} {} {id}", receiving.domainpart(), originating.domainpart());
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).map(|mac| mac.chain_update(text));
        // HMAC takes keys of any length; a key nobody has is the safe way to be wrong about that.
        mac.map(|mac| hex(&mac.finalize().into_bytes())).unwrap_or_default()
    }

    /// Is it our key for this stream? XEP-0220 §2.2.2.
    pub fn is_key(&self, key: &str, receiving: &BareJid, originating: &BareJid, id: &str) -> bool {
        let own = self.key(receiving, originating, id);
        !own.is_empty() && bool::from(own.as_bytes().ct_eq(key.trim().as_bytes()))
    }
}

impl fmt::Debug for DialbackSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DialbackSecret(…)")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_one_of_the_specification() {
        // XEP-0185 §3.1.
        let secret = DialbackSecret::new(b"s3cr3tf0rd14lb4ck");
        let (receiving, originating) = ("xmpp.example.com".parse().unwrap(), "example.org".parse().unwrap());
        let key = secret.key(&receiving, &originating, "D60000229F");
        assert_eq!(key, "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643");
        assert!(secret.is_key(&key, &receiving, &originating, "D60000229F"));
        assert!(!secret.is_key(&key, &originating, &receiving, "D60000229F"));
        assert!(!secret.is_key(&key, &receiving, &originating, "D60000229E"));
        assert!(!secret.is_key("", &receiving, &originating, "D60000229F"));
        assert_eq!(format!("{secret:?}"), "DialbackSecret(…)");
    }
}
