//! What a component and the node share, and how a component proves that it knows it. XEP-0114 §3.

use std::collections::BTreeMap;
use std::fmt;

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::jid::BareJid;

/// A shared secret. It is never printed, and wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// From the content of its file: what stands in the first line. `None` where that is empty.
    pub fn from_file(content: &str) -> Option<Secret> {
        let line = content.lines().next().unwrap_or_default().trim();
        (!line.is_empty()).then(|| Secret(Zeroizing::new(line.to_owned())))
    }

    /// Is this what a component that knows the secret says on the stream of this id? Takes as long whatever it says.
    pub fn proves(&self, stream_id: &str, said: &str) -> bool {
        let mut hash = Sha1::new();
        hash.update(stream_id);
        hash.update(self.0.as_bytes());
        let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        // XEP-0114 §3: in small letters, which some forget.
        hex.as_bytes().ct_eq(said.trim().to_ascii_lowercase().as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The components' domains, each with its secret.
pub type Secrets = BTreeMap<BareJid, Secret>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_the_hash_of_id_and_secret() {
        let secret = Secret::from_file("test\nsecond line\n").unwrap();
        // printf 3BF96D32test | sha1sum
        let right = "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e";
        assert!(secret.proves("3BF96D32", right));
        assert!(secret.proves("3BF96D32", &format!(" {} ", right.to_uppercase())));
        for (id, said) in [("3BF96D33", right), ("3BF96D32", ""), ("3BF96D32", &right[..39]), ("3BF96D32", "test")] {
            assert!(!secret.proves(id, said), "{id} {said}");
        }
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(Secret::from_file("\nlater\n").is_none() && Secret::from_file("  ").is_none());
    }
}
