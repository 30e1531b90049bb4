//! What the node remembers of the authority: the account's key, its URL, and how often it failed. Files of mode 0600 in the data
//! directory, each whole or not there.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::acme::jws::Jwk;
use crate::node::identity;

/// The account's key. Cannot be printed.
pub(super) struct AccountKey {
    pair: EcdsaKeyPair,
    pub(super) public: Jwk,
}

impl AccountKey {
    /// Reads it, or makes it where there is none.
    pub(super) fn open(data_dir: &Path) -> io::Result<AccountKey> {
        let path = data_dir.join(KEY);
        let pkcs8 = match fs::read(&path).map(Zeroizing::new) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
                let made = Zeroizing::new(made.map_err(|_| io::Error::other(NO_KEY))?.as_ref().to_vec());
                identity::write(data_dir, KEY, &made)?;
                log::info!("made a key for the account at the certificate authority");
                made
            }
            Err(error) => return Err(error),
        };
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &SystemRandom::new());
        let pair =
            pair.map_err(|_| io::Error::other(format!("{} holds no key (remedy: remove it)", path.display())))?;
        let public = Jwk::of_point(pair.public_key().as_ref()).ok_or_else(|| io::Error::other("a strange key"))?;
        Ok(AccountKey { pair, public })
    }

    /// r and s, 64 bytes.
    pub(super) fn sign(&self, text: &str) -> io::Result<Vec<u8>> {
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).map_err(|_| io::Error::other(NO_KEY))?;
        Ok(signature.as_ref().to_vec())
    }
}

/// How things stand with the authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    /// Which authority; with another one all else is void.
    pub(super) directory: String,
    /// The account's URL.
    pub(super) account: Option<String>,
    /// Orders that failed since the last that did not.
    pub(super) failures: u32,
    /// Seconds since 1970 before which nothing is asked: a node that is started again and again must not hammer.
    pub(super) quiet_until: u64,
}

impl Standing {
    /// Spoilt or absent is a new beginning: nothing in it cannot be found out again.
    pub(super) fn read(data_dir: &Path, directory: &str) -> Standing {
        let found = fs::read(data_dir.join(STANDING)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        found
            .filter(|standing: &Standing| standing.directory == directory)
            .unwrap_or_else(|| Standing { directory: directory.to_owned(), ..Standing::default() })
    }

    pub(super) fn write(&self, data_dir: &Path) {
        let text = serde_json::to_vec(self).unwrap_or_default();
        if let Err(error) = identity::write(data_dir, STANDING, &text) {
            log::warn!("{} cannot be written: {error}", data_dir.join(STANDING).display());
        }
    }

    /// How long nothing is to be asked. A clock that was far off must not silence the node for years.
    pub(super) fn rest(&self, now: SystemTime) -> Duration {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Duration::from_secs(self.quiet_until.saturating_sub(now)).min(Duration::from_secs(7 * 86_400))
    }
}

const NO_KEY: &str = "the library of ciphers fails";
const KEY: &str = "acme-account.key";
const STANDING: &str = "acme-state.json";
