//! Passwords as they are stored and checked: the SCRAM keys of RFC 5802 §3, for SHA-1 and SHA-256 (RFC 7677).

use std::fmt;

use hmac::digest::KeyInit;
use hmac::digest::generic_array::GenericArray;
use hmac::{Hmac, Mac};
use pbkdf2::pbkdf2_hmac;
use precis_profiles::OpaqueString;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::jid::BareJid;

/// A password on its way to be checked. It is wiped when dropped and does not print itself.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password in.
    pub fn new(text: String) -> Password {
        Password(Zeroizing::new(text))
    }

    /// The password in the clear.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Why a text cannot be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordError {
    /// Nothing at all.
    Empty,
    /// More than [`PASSWORD_BYTES_MAX`] bytes.
    TooLong,
    /// A control character or another one that RFC 8265 §4.2 forbids.
    CharacterNotAllowed,
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PasswordError::Empty => "the password is empty",
            PasswordError::TooLong => "the password is longer than 1023 bytes",
            PasswordError::CharacterNotAllowed => {
                "the password has a character that is not allowed there; use letters, digits, signs and spaces"
            }
        })
    }
}

impl std::error::Error for PasswordError {}

/// What is kept of a password: enough to check it and to prove to the client that we know it, not enough to log in
/// elsewhere. It does not print itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramKeys {
    /// Random, told to whoever tries to log in. [`SALT_BYTES`] long.
    pub salt: Vec<u8>,
    /// The iteration count.
    pub iterations: u32,
    /// For SCRAM-SHA-1.
    pub sha1: Keys,
    /// For SCRAM-SHA-256.
    pub sha256: Keys,
    /// Its account may not log in now; who proves to know the password is told so. Not kept with the keys.
    #[serde(skip)]
    pub disabled: bool,
}

impl ScramKeys {
    /// Prepares the password (RFC 8265 §4.2, OpaqueString) and derives the keys. `salt` is random; `iterations` of 0 count
    /// as 1. Takes milliseconds: call it where that does no harm.
    pub fn derive(password: &str, salt: Vec<u8>, iterations: u32) -> Result<ScramKeys, PasswordError> {
        let password = prepare(password)?;
        let iterations = iterations.max(1);
        let sha1 = keys_sha1(&password, &salt, iterations);
        let salted256 = salted_sha256(&password, &salt, iterations);
        let sha256 = keys_sha256(salted256.as_slice());
        Ok(ScramKeys { salt, iterations, sha1, sha256, disabled: false })
    }

    /// Is this the password? Takes as long as [`ScramKeys::derive`], whatever the answer.
    pub fn verify_password(&self, password: &str) -> bool {
        let Ok(password) = prepare(password) else { return false };
        if self.sha256.stored_key.is_empty() {
            // Brought along from a server that had no others.
            let sha1 = keys_sha1(&password, &self.salt, self.iterations.max(1));
            return bool::from(sha1.stored_key.ct_eq(&self.sha1.stored_key));
        }
        let salted = salted_sha256(&password, &self.salt, self.iterations.max(1));
        bool::from(keys_sha256(salted.as_slice()).stored_key.ct_eq(&self.sha256.stored_key))
    }

    /// As they are kept.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        postcard::to_allocvec(self).ok()
    }

    /// As they were kept.
    pub fn from_bytes(bytes: &[u8]) -> Option<ScramKeys> {
        postcard::from_bytes(bytes).ok()
    }

    /// Keys that no password fits, the same at each call, for an account that does not exist or has no password: a stranger
    /// is told a salt and refused as with a wrong password. `secret` is random and stays the same as long as the node's
    /// data.
    pub fn fake(secret: &[u8; 32], account: &BareJid) -> ScramKeys {
        let bytes = |label: &str, length: usize| -> Vec<u8> {
            hmac_sha256(secret, &[label.as_bytes(), &[0], account.as_str().as_bytes()])
                .into_iter()
                .take(length)
                .collect()
        };
        ScramKeys {
            salt: bytes("salt", SALT_BYTES),
            iterations: DEFAULT_ITERATIONS,
            sha1: Keys { stored_key: bytes("stored sha1", 20), server_key: bytes("server sha1", 20) },
            sha256: Keys { stored_key: bytes("stored sha256", 32), server_key: bytes("server sha256", 32) },
            disabled: false,
        }
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramKeys(..)")
    }
}

/// The two keys of one hash. They do not print themselves and are wiped when dropped.
#[derive(Clone, Serialize, Deserialize)]
pub struct Keys {
    /// `StoredKey`, against which the client's proof is checked.
    pub stored_key: Vec<u8>,
    /// `ServerKey`, with which we sign.
    pub server_key: Vec<u8>,
}

impl Keys {
    /// RFC 5802 §3.
    fn of(salted: &[u8], hmac: impl Fn(&[u8], &[u8]) -> Vec<u8>, hash: impl Fn(&[u8]) -> Vec<u8>) -> Keys {
        let client_key = Zeroizing::new(hmac(salted, b"Client Key"));
        Keys { stored_key: hash(&client_key), server_key: hmac(salted, b"Server Key") }
    }
}

impl PartialEq for Keys {
    /// In constant time.
    fn eq(&self, other: &Keys) -> bool {
        bool::from(self.stored_key.ct_eq(&other.stored_key) & self.server_key.ct_eq(&other.server_key))
    }
}

impl Eq for Keys {}

impl Drop for Keys {
    fn drop(&mut self) {
        self.stored_key.zeroize();
        self.server_key.zeroize();
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

pub(super) fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha1> as KeyInit>::new(GenericArray::from_slice(block.as_slice()));
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// HMAC (RFC 2104) over the parts in a row. Keys are at most one block, 64 bytes, long: those of SCRAM and of this room
/// are 20 or 32. A short key is filled up with zeros, as HMAC itself does, and then making it cannot fail.
pub(super) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha256> as KeyInit>::new(GenericArray::from_slice(block.as_slice()));
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn salted_sha256(password: &str, salt: &[u8], iterations: u32) -> Zeroizing<[u8; 32]> {
    let mut salted = Zeroizing::new([0; 32]);
    pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, salted.as_mut_slice());
    salted
}

fn keys_sha1(password: &str, salt: &[u8], iterations: u32) -> Keys {
    let mut salted = Zeroizing::new([0; 20]);
    pbkdf2_hmac::<Sha1>(password.as_bytes(), salt, iterations, salted.as_mut_slice());
    let hash = |key: &[u8]| Sha1::digest(key).to_vec();
    Keys::of(salted.as_slice(), |key, text| hmac_sha1(key, &[text]).to_vec(), hash)
}

fn keys_sha256(salted: &[u8]) -> Keys {
    Keys::of(salted, |key, text| hmac_sha256(key, &[text]).to_vec(), |key| Sha256::digest(key).to_vec())
}

fn prepare(password: &str) -> Result<Zeroizing<String>, PasswordError> {
    if password.is_empty() {
        return Err(PasswordError::Empty);
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    let prepared = OpaqueString::enforce(password).map_err(|_| PasswordError::CharacterNotAllowed)?;
    Ok(Zeroizing::new(prepared.into_owned()))
}

/// The iteration count of new keys: the least that RFC 7677 §4 allows. Each PLAIN login costs us as many, and each SCRAM
/// login the client.
pub const DEFAULT_ITERATIONS: u32 = 4096;
/// Bytes of a new salt.
pub const SALT_BYTES: usize = 16;
/// The longest password in bytes of UTF-8.
pub const PASSWORD_BYTES_MAX: usize = 1023;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_verified_by_its_keys_alone() {
        let keys = ScramKeys::derive("pencil", vec![1; SALT_BYTES], 10).unwrap();
        assert!(keys.verify_password("pencil"));
        for wrong in ["", "Pencil", "pencil ", "\u{0}"] {
            assert!(!keys.verify_password(wrong));
        }
        let stored = postcard::to_allocvec(&keys).unwrap();
        assert!(postcard::from_bytes::<ScramKeys>(&stored).unwrap() == keys);
    }

    #[test]
    fn keys_of_one_hash_alone_verify_the_password_and_no_other() {
        let whole = ScramKeys::derive("pencil", vec![1; SALT_BYTES], 10).unwrap();
        let none = Keys { stored_key: Vec::new(), server_key: Vec::new() };
        let old = ScramKeys { sha256: none.clone(), ..whole.clone() };
        let new = ScramKeys { sha1: none.clone(), ..whole.clone() };
        let neither = ScramKeys { sha1: none.clone(), sha256: none, ..whole };
        for keys in [old, new] {
            assert!(keys.verify_password("pencil") && !keys.verify_password("pen") && !keys.verify_password(""));
        }
        assert!(!neither.verify_password("pencil") && !neither.verify_password(""));
    }

    #[test]
    fn a_password_is_prepared_before_use() {
        // RFC 8265 §4.2.2: other spaces become U+0020, and NFC.
        let keys = ScramKeys::derive("ide\u{301}e fixe", vec![], 1).unwrap();
        assert!(keys.verify_password("id\u{e9}e\u{a0}fixe"));
        for (password, error) in [
            ("", PasswordError::Empty),
            ("a\u{7}b", PasswordError::CharacterNotAllowed),
            (&"x".repeat(1024), PasswordError::TooLong),
        ] {
            assert_eq!(ScramKeys::derive(password, vec![], 1), Err(error));
        }
    }

    #[test]
    fn fake_keys_are_constant_and_look_like_real_ones() {
        let (juliet, romeo): (BareJid, BareJid) =
            ("juliet@a.example".parse().unwrap(), "romeo@a.example".parse().unwrap());
        let fake = ScramKeys::fake(&[7; 32], &juliet);
        let real = ScramKeys::derive("pencil", vec![0; SALT_BYTES], DEFAULT_ITERATIONS).unwrap();
        assert!(fake == ScramKeys::fake(&[7; 32], &juliet));
        assert!(fake.salt != ScramKeys::fake(&[7; 32], &romeo).salt);
        assert!(fake.salt != ScramKeys::fake(&[8; 32], &juliet).salt);
        assert_eq!((fake.salt.len(), fake.iterations), (real.salt.len(), real.iterations));
        assert_eq!(fake.sha1.stored_key.len(), real.sha1.stored_key.len());
        assert_eq!(fake.sha256.stored_key.len(), real.sha256.stored_key.len());
        assert!(!fake.verify_password("pencil"));
    }

    #[test]
    fn secrets_do_not_print_themselves() {
        let keys = ScramKeys::derive("pencil", vec![1], 1).unwrap();
        assert_eq!(
            format!("{keys:?} {:?} {:?}", keys.sha1, Password::new("pencil".into())),
            "ScramKeys(..) Keys(..) Password(..)"
        );
    }
}
