//! Users and what is theirs, on the way from one server to another: files of XEP-0227.
//!
//! [`Export`] writes accounts with what is kept of their passwords (no password is known here), rosters, block lists (as privacy
//! lists, XEP-0016), waiting messages, vCards, private data, nodes with their items, and archives; into one file for all, or one for
//! each user. [`import`] reads such files, also those of other servers, into a store. Kontalk's own part of an account, its certified
//! key, stands in an element of its own ([`ns::KONTALK_ACCOUNT`](crate::xml::ns::KONTALK_ACCOUNT)), which others pass over.
//!
//! Importing is idempotent: what is there already is left as it is. Where the file says something else, or has what has no place
//! here, the operator is told in a line ([`Imported`] counts, a callback takes the lines).
//!
//! What does not go along: login tokens, sessions, preferences of archiving, uploads.
//!
//! Limits: both hold one element at a time ([`DOCUMENT_ELEMENT_BYTES_MAX`](crate::limits::DOCUMENT_ELEMENT_BYTES_MAX)), and the
//! hashes of one account's messages; files included in files, [`INCLUDE_DEPTH_MAX`] deep and below the first one's directory only.

mod export;
mod import;
mod password;
mod user;

pub use export::{Export, Exported};
pub use import::{Imported, import};

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::router::StorageFault;
use crate::store::StoreError;
use crate::xml::DocumentError;

/// Why an export or an import ended early. What was done up to then stays.
#[derive(Debug)]
pub enum PortableFault {
    /// The store failed.
    Store(StoreError),
    /// A file cannot be written.
    Write(io::Error),
    /// A file cannot be read, or is no XML.
    Read(PathBuf, DocumentError),
    /// It is no file of XEP-0227.
    NotPortable(PathBuf, String),
    /// A file includes another that is none of its company.
    Include(PathBuf, String),
}

impl fmt::Display for PortableFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortableFault::Store(error) => error.fmt(f),
            PortableFault::Write(error) => {
                write!(f, "the export cannot be written: {error} (remedy: make room, or choose another place)")
            }
            PortableFault::Read(path, error) => write!(
                f,
                "{} cannot be read: {error} (remedy: export it once more; what was imported so far stays, and importing again does no harm)",
                path.display()
            ),
            PortableFault::NotPortable(path, found) => write!(
                f,
                "{} begins with <{found}>: this is no export of XEP-0227 (remedy: ejabberd writes them with `ejabberdctl export_piefxis`, Prosody with prosody-migrator and its store xep0227)",
                path.display()
            ),
            PortableFault::Include(path, href) => write!(
                f,
                "{} includes {href:?}, which is not in or below its directory (remedy: put the files of the export together)",
                path.display()
            ),
        }
    }
}

impl std::error::Error for PortableFault {}

impl From<StoreError> for PortableFault {
    fn from(error: StoreError) -> PortableFault {
        PortableFault::Store(error)
    }
}

impl From<StorageFault> for PortableFault {
    fn from(_: StorageFault) -> PortableFault {
        PortableFault::Store(StoreError::Broken)
    }
}

impl From<io::Error> for PortableFault {
    fn from(error: io::Error) -> PortableFault {
        PortableFault::Write(error)
    }
}

/// How deep files may include files: one of hosts, one of users, and one more.
pub const INCLUDE_DEPTH_MAX: usize = 4;
