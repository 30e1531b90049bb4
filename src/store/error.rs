//! Why the store did not open, or did not do what it was asked.

use std::fmt;
use std::path::PathBuf;

use crate::router::StorageFault;

/// Why the store does not open. In no case was anything deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Another process has it open.
    InUse {
        /// The store's directory.
        dir: PathBuf,
    },
    /// It was written by a newer version of this program.
    Newer {
        /// The store's directory.
        dir: PathBuf,
        /// The schema version found.
        found: u32,
        /// The newest schema version this program knows.
        known: u32,
    },
    /// The database is damaged.
    Damaged {
        /// The store's directory.
        dir: PathBuf,
        /// What the database says.
        cause: String,
    },
    /// The directory or a file in it cannot be made, read or written.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        error: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::InUse { dir } => write!(
                f,
                "{}: another process has the store open (remedy: stop the node that is running, or ask it by its own commands)",
                dir.display()
            ),
            OpenError::Newer { dir, found, known } => write!(
                f,
                "{}: the store was written by a newer version (schema {found}, this version knows up to {known}; remedy: install \
                 the newer version again, or restore a backup made by this one)",
                dir.display()
            ),
            OpenError::Damaged { dir, cause } => write!(
                f,
                "{}: the database is damaged: {cause} (remedy: keep a copy of this directory, check the disk, move the directory \
                 away and restore the latest backup; nothing was deleted)",
                dir.display()
            ),
            OpenError::Io { path, error } => {
                write!(f, "{}: {error} (remedy: {})", path.display(), remedy_for(error))
            }
        }
    }
}

impl std::error::Error for OpenError {}

/// What an operator does about a file that cannot be written, by what the operating system says of it.
pub fn remedy_for(error: &str) -> &'static str {
    // EROFS, ENOSPC, EDQUOT, EIO.
    for (number, remedy) in [
        (
            "(os error 30)",
            "the disk is mounted read-only, perhaps after an error of the card: see `dmesg`, check it with fsck, replace it if it comes again",
        ),
        ("(os error 28)", "the disk is full: make room, e.g. sudo journalctl --vacuum-size=100M, sudo apt clean"),
        ("(os error 122)", "the quota is used up: make room"),
        ("(os error 5)", "the disk fails: make a backup of what can be read, and replace it"),
    ] {
        if error.contains(number) {
            return remedy;
        }
    }
    "check owner, permissions and free space"
}

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Reading or writing failed before, or the store is closed; the particulars were logged then.
    Broken,
    /// The account's share is used up.
    Full,
    /// The disk is nearly full, and nothing that makes the store larger is taken until there is room.
    NoSpace,
    /// There is no such account.
    NoAccount,
    /// There is such an account already.
    AccountExists,
    /// The value is larger than this kind of value may be.
    TooLarge {
        /// Bytes that are allowed.
        bytes_max: usize,
    },
    /// The database failed. Never seen outside this room: there it has become [`StoreError::Broken`].
    #[doc(hidden)]
    Database(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Broken => {
                f.write_str("the store failed and takes no more writes until the node is started again")
            }
            StoreError::Full => f.write_str("the account's share of the store is used up"),
            StoreError::NoSpace => f.write_str(
                "the disk is nearly full, and nothing new is kept (remedy: make room; the node goes on by itself)",
            ),
            StoreError::NoAccount => f.write_str("there is no such account"),
            StoreError::AccountExists => f.write_str("there is such an account already"),
            StoreError::TooLarge { bytes_max } => write!(f, "the value is larger than {bytes_max} bytes"),
            StoreError::Database(cause) => f.write_str(cause),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> StoreError {
        StoreError::Database(error.to_string())
    }
}

impl From<StoreError> for StorageFault {
    fn from(error: StoreError) -> StorageFault {
        match error {
            StoreError::Full | StoreError::NoSpace | StoreError::TooLarge { .. } => StorageFault::Full,
            StoreError::Broken | StoreError::NoAccount | StoreError::AccountExists | StoreError::Database(_) => {
                StorageFault::Broken
            }
        }
    }
}
