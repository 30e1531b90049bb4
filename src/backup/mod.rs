//! Everything a node is, in one encrypted file, and back.
//!
//! A backup is an age file ([`crate::age`]) around a tar archive, so that in need the server key comes out of it with two programs
//! that every distribution has. In the archive, in this order:
//!
//! | Entry | What |
//! |---|---|
//! | `backup.json` | [`Manifest`]: whose it is, of when, in which form |
//! | `store/NUMBER` | records of the store, in the order to be put in place; postcard, one behind the other |
//! | `files/PATH` | the other files of the data directory: keys, certificates, uploads |
//! | `end.json` | how many there were: without it nothing is restored |
//!
//! The store is copied as of one moment ([`crate::store::Store::copy_out`]), while the node works; files, which are written once and
//! never changed, are copied behind it. Restoring fills a directory beside the wanted one, reads all of it again, and only then gives it
//! its name; it never writes over anything, and leaves a mark ([`mark`]) for those who must know that the past has come back.
//!
//! Limits: a part of the store [`PART_BYTES_MAX`], one file at a time, nothing else in memory.

mod mark;
mod place;
mod restore;
mod verify;
mod write;

pub use mark::{Mark, forget_mark, mark};
pub use place::NewFile;
pub use restore::{Restored, restore};
pub use verify::{Scratch, scratch_dir};
pub use write::write;

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::age::AgeError;
use crate::store::{CopyFault, OpenError, StoreError};

/// What stands first in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the archive; [`FORMAT`].
    pub format: u32,
    /// The program's version that made it.
    pub version: String,
    /// Of the store.
    pub schema: u32,
    /// The node's domain.
    pub domain: String,
    /// The fingerprint of the server key.
    pub key: String,
    /// When it was begun (XEP-0082).
    pub made: String,
}

/// How much a backup holds; its last entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Records of the store, some perhaps twice.
    pub records: u64,
    /// Files beside it.
    pub files: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Files and directories that were left out because they are none: links, devices.
    pub left_out: u64,
}

/// Why there is no backup, or nothing was restored from it.
#[derive(Debug)]
pub enum BackupFault {
    /// What is to be written is there already.
    Exists(PathBuf),
    /// The backup, or what is restored from it, cannot be written.
    Target(PathBuf, io::Error),
    /// A file of the node, or the backup, cannot be read.
    Source(PathBuf, io::Error),
    /// The store was not copied.
    Copy(CopyFault),
    /// A store does not open.
    Open(OpenError),
    /// A store does not close, or cannot be read.
    Store(StoreError),
    /// The backup does not open.
    Age(AgeError),
    /// It opens, but is no backup, or not a whole one.
    NotWhole(String),
    /// A newer version made it.
    Newer(String),
    /// A node works on the data.
    Running(PathBuf),
    /// There are no data.
    NoData(PathBuf),
}

impl fmt::Display for BackupFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackupFault::Exists(path) => {
                write!(
                    f,
                    "{} is there already and was left as it is (remedy: another name, or move it away)",
                    path.display()
                )
            }
            BackupFault::Target(path, error) => write!(
                f,
                "{} cannot be written: {error} (remedy: make room, or choose another place; what was begun there is removed)",
                path.display()
            ),
            BackupFault::Source(path, error) => {
                write!(
                    f,
                    "{} cannot be read: {error} (remedy: run this as the user that runs the node)",
                    path.display()
                )
            }
            BackupFault::Copy(fault) => fault.fmt(f),
            BackupFault::Open(fault) => fault.fmt(f),
            BackupFault::Store(fault) => fault.fmt(f),
            BackupFault::Age(fault @ AgeError::Passphrase) => {
                write!(f, "{fault} (remedy: try the passphrase again; nothing was written)")
            }
            BackupFault::Age(fault) => {
                write!(f, "{fault} (remedy: use another copy of it, or an older backup; nothing was written)")
            }
            BackupFault::NotWhole(why) => {
                write!(f, "this is not a whole backup: {why} (remedy: use another one; nothing was written)")
            }
            BackupFault::Newer(version) => {
                write!(f, "the backup was made by version {version} (remedy: install that version or a newer one)")
            }
            BackupFault::Running(dir) => {
                write!(f, "a node works on {} (remedy: stop it first, or ask it by its own commands)", dir.display())
            }
            BackupFault::NoData(dir) => write!(
                f,
                "there is no node's data in {} (remedy: name the directory with --data, or the configuration with --config)",
                dir.display()
            ),
        }
    }
}

impl std::error::Error for BackupFault {}

impl From<CopyFault> for BackupFault {
    fn from(fault: CopyFault) -> BackupFault {
        BackupFault::Copy(fault)
    }
}

impl From<OpenError> for BackupFault {
    fn from(error: OpenError) -> BackupFault {
        BackupFault::Open(error)
    }
}

/// What long work tells, now and then: bytes so far.
pub type Progress<'a> = dyn FnMut(u64) + 'a;

/// The form of the archive. A form that this version does not know is refused.
pub const FORMAT: u32 = 1;

/// Bytes of one part of the store, more or less.
const PART_BYTES: usize = 256 * 1024;

/// The largest part, and the largest entry that is read into memory.
pub const PART_BYTES_MAX: usize = 1024 * 1024;

/// The first entry.
const MANIFEST: &str = "backup.json";
/// The last.
const END: &str = "end.json";
/// The directory of the store, in the data directory and in the archive.
const STORE: &str = "store";
/// What other files are in, in the archive.
const FILES: &str = "files";
/// The control socket, which is no part of a node's data.
const SOCKET: &str = "control.sock";
/// The server key: what a backup without would be no backup.
const SERVER_KEY: &str = "server-key.pgp";
