//! The server key's file: made on first start, read ever after, never overwritten.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::pgp::{ServerKey, ServerKeyError};
use crate::stanza::Timestamp;

/// Why there is no server key.
#[derive(Debug)]
pub enum IdentityFault {
    /// The file cannot be read or written.
    File(PathBuf, io::Error),
    /// The file holds no usable key.
    Key(PathBuf, ServerKeyError),
    /// The key is another domain's.
    OtherDomain(PathBuf, String),
}

impl fmt::Display for IdentityFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityFault::File(path, error) => write!(
                f,
                "the server key {} cannot be used: {error} (remedy: it must belong to the user that runs the node)",
                path.display()
            ),
            IdentityFault::Key(path, error) => write!(
                f,
                "the server key {} cannot be used: {error} (remedy: restore it from a backup; without it all users must register again)",
                path.display()
            ),
            IdentityFault::OtherDomain(path, domain) => write!(
                f,
                "the server key {} is not for {domain} (remedy: use the data directory of {domain}, or a new one)",
                path.display()
            ),
        }
    }
}

impl std::error::Error for IdentityFault {}

/// Reads the key, or makes one where there is none.
pub(super) fn open(data_dir: &Path, domain: &str, now: Timestamp) -> Result<ServerKey, IdentityFault> {
    if !data_dir.join(FILE_NAME).exists() {
        let key = ServerKey::generate(domain, now).map_err(|e| IdentityFault::Key(data_dir.join(FILE_NAME), e))?;
        write(data_dir, &key).map_err(|error| IdentityFault::File(data_dir.join(FILE_NAME), error))?;
        log::info!("made the server key {}", key.fingerprint());
        return Ok(key);
    }
    let key = read_server_key(data_dir)?;
    if !key.is_for(domain) {
        return Err(IdentityFault::OtherDomain(data_dir.join(FILE_NAME), domain.to_owned()));
    }
    Ok(key)
}

/// Reads the key of a data directory; the node need not run.
pub fn read_server_key(data_dir: &Path) -> Result<ServerKey, IdentityFault> {
    let path = data_dir.join(FILE_NAME);
    let bytes = fs::read(&path).map_err(|error| IdentityFault::File(path.clone(), error))?;
    let bytes = zeroize::Zeroizing::new(bytes);
    ServerKey::from_bytes(&bytes).map_err(|error| IdentityFault::Key(path, error))
}

/// Written beside, synced, and only then put in place: a power cut leaves no key or a whole one.
fn write(data_dir: &Path, key: &ServerKey) -> io::Result<()> {
    let (path, fresh) = (data_dir.join(FILE_NAME), data_dir.join("server-key.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&key.to_secret_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, &path)?;
    File::open(data_dir)?.sync_all()
}

const FILE_NAME: &str = "server-key.pgp";
