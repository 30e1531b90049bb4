//! Files encrypted with a passphrase, in the format of age (age-encryption.org/v1, C2SP `age.md`), so that a backup can also be
//! opened by the program `age` on a machine that has nothing of ours.
//!
//! A header holds the file's key, wrapped with what scrypt makes of the passphrase, and a MAC of itself. The payload is cut into
//! chunks of 64 KiB, each sealed with ChaCha20-Poly1305 under a nonce that counts them and marks the last one: a chunk that was
//! changed, moved or left out, and a file that ends too early, are found out.
//!
//! [`Sealer`] writes such a file, [`Opener`] reads one; both hold one chunk. Only passphrases, no public keys. Limits: scrypt's work
//! when reading, which a forged file could ask for: [`WORK_MAX`], 256 MiB. Randomness is the caller's: [`Fresh`].

mod open;
mod seal;
#[cfg(test)]
mod tests;

pub use open::Opener;
pub use seal::Sealer;

use std::fmt;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use scrypt::{Params, scrypt};
use zeroize::{Zeroize, Zeroizing};

/// A passphrase. Not printed, wiped when dropped.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes a passphrase in.
    pub fn new(text: String) -> Passphrase {
        Passphrase(Zeroizing::new(text))
    }

    /// Is it long enough to keep a stolen file shut? [`PASSPHRASE_CHARS_MIN`] characters.
    pub fn is_long_enough(&self) -> bool {
        self.0.chars().count() >= PASSPHRASE_CHARS_MIN
    }

    /// Are the two the same? For one that is typed twice; in no constant time.
    pub fn is_same(&self, other: &Passphrase) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// Random bytes for one file, never for two. Wiped when dropped.
pub struct Fresh {
    /// The file's key.
    pub file_key: [u8; FILE_KEY_BYTES],
    /// scrypt's salt.
    pub salt: [u8; SALT_BYTES],
    /// What the payload's key is made with.
    pub nonce: [u8; NONCE_BYTES],
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.file_key.zeroize();
    }
}

/// Why a file does not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgeError {
    /// It is no age file at all.
    NotAge,
    /// It is one for other keys than a passphrase, or its header is spoilt.
    Header,
    /// It asks for more work than [`WORK_MAX`].
    Work,
    /// The passphrase does not fit, or the header was changed.
    Passphrase,
    /// A chunk was changed or moved; it begins at about this byte of the contents.
    Damaged(u64),
    /// The file ends too early, after about so many bytes of contents.
    CutShort(u64),
}

impl fmt::Display for AgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgeError::NotAge => f.write_str("this is no encrypted backup: it does not begin like an age file"),
            AgeError::Header => {
                f.write_str("the first lines are spoilt, or say that it was encrypted for another program")
            }
            AgeError::Work => f.write_str("opening it would take more memory than a backup of this program ever does"),
            AgeError::Passphrase => {
                f.write_str("the passphrase does not fit, or the first lines of the file are damaged")
            }
            AgeError::Damaged(at) => write!(f, "the file is damaged, {} KiB into it", at / 1024),
            AgeError::CutShort(at) => write!(f, "the file is damaged or cut short, {} KiB into it", at / 1024),
        }
    }
}

impl std::error::Error for AgeError {}

impl From<AgeError> for io::Error {
    fn from(error: AgeError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

impl AgeError {
    /// The one that an error of an [`Opener`] carries, if it is no fault of what it reads from.
    pub fn of(error: &io::Error) -> Option<&AgeError> {
        error.get_ref()?.downcast_ref()
    }
}

/// The key that wraps the file's key.
fn wrap_key(passphrase: &Passphrase, salt: &[u8; SALT_BYTES], work: u8) -> Result<LessSafeKey, AgeError> {
    let params = Params::new(work, 8, 1, 32).map_err(|_| AgeError::Work)?;
    let salt = [b"age-encryption.org/v1/scrypt".as_slice(), salt].concat();
    let mut key = Zeroizing::new([0; 32]);
    scrypt(passphrase.0.as_bytes(), &salt, &params, key.as_mut_slice()).map_err(|_| AgeError::Work)?;
    aead(&key)
}

/// The MAC over a header, up to and with `---`.
fn header_mac(file_key: &[u8; FILE_KEY_BYTES], header: &str) -> Result<hmac::Tag, AgeError> {
    let key = derive(file_key, &[], b"header")?;
    Ok(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), header.as_bytes()))
}

/// The key of the chunks.
fn payload_key(file_key: &[u8; FILE_KEY_BYTES], nonce: &[u8; NONCE_BYTES]) -> Result<LessSafeKey, AgeError> {
    aead(&*derive(file_key, nonce, b"payload")?)
}

fn derive(file_key: &[u8; FILE_KEY_BYTES], salt: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; 32]>, AgeError> {
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(file_key);
    let mut key = Zeroizing::new([0; 32]);
    let expanded = extracted.expand(&[info], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(key.as_mut_slice()));
    expanded.map(|()| key).map_err(|_| AgeError::Header)
}

fn aead(key: &[u8; 32]) -> Result<LessSafeKey, AgeError> {
    UnboundKey::new(&CHACHA20_POLY1305, key).map(LessSafeKey::new).map_err(|_| AgeError::Header)
}

/// The nonce of a chunk: its number in eleven bytes, and whether it is the last.
fn chunk_nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    for (place, byte) in nonce.iter_mut().skip(3).zip(number.to_be_bytes()) {
        *place = byte;
    }
    if let Some(flag) = nonce.last_mut() {
        *flag = u8::from(last);
    }
    Nonce::assume_unique_for_key(nonce)
}

/// The shortest passphrase that a backup is made with, in characters: four short words.
pub const PASSPHRASE_CHARS_MIN: usize = 12;

/// scrypt's work for a backup, as the logarithm of N: 64 MiB of memory while it is begun, a second or two on a small board.
pub const WORK: u8 = 16;

/// The most work that reading takes on: what `age` itself asks for, 256 MiB.
pub const WORK_MAX: u8 = 18;

const FILE_KEY_BYTES: usize = 16;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
const CHUNK_BYTES: usize = 64 * 1024;
const VERSION_LINE: &str = "age-encryption.org/v1";
