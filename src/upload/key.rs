//! Where a file lies, as a text that tells a stranger nothing.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::jid::BareJid;
use crate::stanza::Timestamp;

/// Whose file it is: a short keyed hash of an account's address and the moment it was made, so that the next owner of the same
/// address has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerTag(u64);

impl OwnerTag {
    /// Sixteen hexadecimal digits.
    pub fn parse(text: &str) -> Option<OwnerTag> {
        hex_number(text, 16).and_then(|number| u64::try_from(number).ok()).map(OwnerTag)
    }
}

impl fmt::Display for OwnerTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A file's place: owner and 128 random bits. Who knows it may read the file, so it is not printed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// Whose file it is.
    pub owner: OwnerTag,
    id: u128,
}

impl FileKey {
    /// A new file's key.
    pub fn new(owner: OwnerTag, random: [u8; 16]) -> FileKey {
        FileKey { owner, id: u128::from_be_bytes(random) }
    }

    /// The random part, 32 hexadecimal digits: the file's name on our disk.
    pub fn id(&self) -> String {
        format!("{:032x}", self.id)
    }

    /// For the file of this owner with this name on our disk.
    pub fn of_disk(owner: OwnerTag, name: &str) -> Option<FileKey> {
        hex_number(name, 32).map(|id| FileKey { owner, id })
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(…)")
    }
}

/// The node's secret that hides owners in paths.
pub struct KeySecret([u8; 32]);

impl KeySecret {
    /// From 32 random bytes, the same in every life of the node.
    pub fn new(bytes: [u8; 32]) -> KeySecret {
        KeySecret(bytes)
    }

    /// The tag of an account made at this moment.
    pub fn owner(&self, account: &BareJid, created: Timestamp) -> OwnerTag {
        OwnerTag(self.hash(&[b"owner", account.as_str().as_bytes(), b"\0", &created.millis.to_be_bytes()]))
    }

    /// The key as a segment of a path: the random part, then the owner under a mask that only we can make, so that two files of one
    /// owner have nothing in common.
    pub fn to_segment(&self, key: FileKey) -> String {
        format!("{:032x}{:016x}", key.id, key.owner.0 ^ self.mask(key.id))
    }

    /// Back from a segment of a path; `None` if it is no key. That it is one does not mean that there is such a file.
    pub fn parse(&self, segment: &str) -> Option<FileKey> {
        let (id, masked) = segment.split_at_checked(32)?;
        let id = hex_number(id, 32)?;
        let masked = hex_number(masked, 16).and_then(|number| u64::try_from(number).ok())?;
        Some(FileKey { owner: OwnerTag(masked ^ self.mask(id)), id })
    }

    fn mask(&self, id: u128) -> u64 {
        self.hash(&[b"mask", &id.to_be_bytes()])
    }

    fn hash(&self, parts: &[&[u8]]) -> u64 {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return 0 };
        for part in parts {
            mac.update(part);
        }
        let digest = mac.finalize().into_bytes();
        digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(…)")
    }
}

/// Exactly so many small hexadecimal digits.
fn hex_number(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != digits || !text.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> KeySecret {
        KeySecret::new([7; 32])
    }

    fn owner(address: &str, millis: u64) -> OwnerTag {
        secret().owner(&address.parse().unwrap(), Timestamp { millis })
    }

    #[test]
    fn a_key_comes_back_from_its_segment_and_hides_its_owner() {
        let owner = owner("a@b.example", 1);
        let (one, two) = (FileKey::new(owner, [1; 16]), FileKey::new(owner, [2; 16]));
        let segments = [one, two].map(|key| secret().to_segment(key));
        assert_eq!(segments.each_ref().map(|segment| secret().parse(segment)), [Some(one), Some(two)]);
        assert!(segments.iter().all(|segment| segment.len() == 48 && !segment.contains(&owner.to_string())));
        assert_ne!(segments[0].get(32..), segments[1].get(32..));
        assert_ne!(KeySecret::new([8; 32]).parse(&segments[0]), Some(one));
        assert_eq!(FileKey::of_disk(owner, &one.id()), Some(one));
        assert_eq!(OwnerTag::parse(&owner.to_string()), Some(owner));
    }

    #[test]
    fn owners_differ_by_address_and_by_the_moment_the_account_was_made() {
        assert_eq!(owner("a@b.example", 1), owner("a@b.example", 1));
        assert_ne!(owner("a@b.example", 1), owner("a@b.example", 2));
        assert_ne!(owner("a@b.example", 1), owner("c@b.example", 1));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let good = secret().to_segment(FileKey::new(owner("a@b.example", 1), [1; 16]));
        assert!(secret().parse(&good).is_some());
        for bad in [
            "",
            "..",
            "0",
            &good[1..],
            &good.to_uppercase(),
            &format!("{good}0"),
            &good.replace('0', "+"),
            &"é".repeat(24),
        ] {
            assert_eq!(secret().parse(bad), None, "{bad}");
        }
    }
}
