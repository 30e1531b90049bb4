//! The files of the node's own secrets: the server key, what login tokens are made of, and what hides the owners of uploaded files.
//! Made on first start, read ever after, never overwritten.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::random::random_bytes;
use crate::pgp::{ServerKey, ServerKeyError, UserRing};
use crate::stanza::Timestamp;

/// Why there is no server key, or no secret.
#[derive(Debug)]
pub enum IdentityFault {
    /// There is no server key: no node ever ran on this directory.
    Absent(PathBuf),
    /// A file cannot be read or written.
    File(PathBuf, io::Error),
    /// The file holds no usable key.
    Key(PathBuf, ServerKeyError),
    /// The key is another domain's.
    OtherDomain(PathBuf, String),
    /// The file of the keys that the node shows other nodes will not do: why.
    NodeKeys(PathBuf, String),
}

impl fmt::Display for IdentityFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityFault::Absent(path) => write!(
                f,
                "there is no server key {} yet (remedy: start the node once, which makes it, or name its data directory with --data)",
                path.display()
            ),
            IdentityFault::File(path, error) => write!(
                f,
                "{} cannot be used: {error} (remedy: it must belong to the user that runs the node)",
                path.display()
            ),
            IdentityFault::Key(path, error) => write!(
                f,
                "the server key {} cannot be used: {error} (remedy: restore it from a backup; without it all users must register again)",
                path.display()
            ),
            IdentityFault::NodeKeys(path, what) => write!(
                f,
                "the node's keys {} cannot be used: {what} (remedy: restore the file from a backup of the same time as the server key)",
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
        write(data_dir, FILE_NAME, &key.to_secret_bytes())
            .map_err(|error| IdentityFault::File(data_dir.join(FILE_NAME), error))?;
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
    let bytes = fs::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => IdentityFault::Absent(path.clone()),
        _ => IdentityFault::File(path.clone(), error),
    })?;
    let bytes = zeroize::Zeroizing::new(bytes);
    ServerKey::from_bytes(&bytes).map_err(|error| IdentityFault::Key(path, error))
}

/// Puts another server key in the place of the one that is there.
pub(super) fn replace(data_dir: &Path, key: &ServerKey) -> Result<(), IdentityFault> {
    write(data_dir, FILE_NAME, &key.to_secret_bytes())
        .map_err(|error| IdentityFault::File(data_dir.join(FILE_NAME), error))
}

/// Keeps the certificate of the former server key, with its revocation.
pub(super) fn keep_former(data_dir: &Path, ring: &[u8]) -> Result<(), IdentityFault> {
    write(data_dir, FORMER, ring).map_err(|error| IdentityFault::File(data_dir.join(FORMER), error))
}

/// The certificate of the server key before this one, if it was recovered. One that cannot be read is as good as none.
pub(super) fn former(data_dir: &Path) -> Option<UserRing> {
    let bytes = fs::read(data_dir.join(FORMER)).ok()?;
    let ring = UserRing::parse(&bytes);
    ring.inspect_err(|error| log::warn!("the certificate of the former server key cannot be read: {error}")).ok()
}

/// What login tokens are made of (`stream::token_text`), beside the database so that the database alone lets nobody in. Losing it
/// does little harm: clients fall back to their password once. A file that will not do is therefore replaced.
pub(super) fn token_secret(data_dir: &Path) -> Result<Zeroizing<[u8; 32]>, IdentityFault> {
    secret(data_dir, TOKEN_SECRET, "clients must log in by password once")
}

/// What hides owners in the paths of uploaded files (`upload::KeySecret`). Losing it loses these files, which do not live long
/// anyway: the node starts without them rather than not at all.
pub(super) fn upload_secret(data_dir: &Path) -> Result<Zeroizing<[u8; 32]>, IdentityFault> {
    secret(data_dir, UPLOAD_SECRET, "files that were uploaded before are removed")
}

/// 32 random bytes in a file of their own. One that is spoilt is replaced; `then` says what that means.
fn secret(data_dir: &Path, name: &str, then: &str) -> Result<Zeroizing<[u8; 32]>, IdentityFault> {
    let path = data_dir.join(name);
    let fault = |error| IdentityFault::File(path.clone(), error);
    match fs::read(&path).map(Zeroizing::new) {
        Ok(bytes) => match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(secret) => return Ok(Zeroizing::new(secret)),
            Err(_) => log::warn!("{} is spoilt and made anew; {then}", path.display()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fault(error)),
    }
    let secret = Zeroizing::new(random_bytes());
    write(data_dir, name, secret.as_slice()).map_err(fault)?;
    Ok(secret)
}

/// Written beside, synced, and only then put in place: a power cut leaves no key or a whole one.
pub(super) fn write(data_dir: &Path, name: &str, secret: &[u8]) -> io::Result<()> {
    let (path, fresh) = (data_dir.join(name), data_dir.join(format!("{name}.new")));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(secret)?;
    file.sync_all()?;
    fs::rename(&fresh, &path)?;
    File::open(data_dir)?.sync_all()
}

const FILE_NAME: &str = "server-key.pgp";
const FORMER: &str = "server-key-former.pgp";
const TOKEN_SECRET: &str = "login-tokens.key";
const UPLOAD_SECRET: &str = "uploads.key";
