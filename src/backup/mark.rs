//! The mark that a restored data directory bears. What this node has told others since the backup was made, it does not know any
//! more: whoever speaks to other nodes in its name must ask them first (a restored backup must not look like a node that says two
//! things), and takes the mark away when that is done.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::stanza::Timestamp;

/// That the data were restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When the backup was made (XEP-0082).
    pub made: String,
    /// When it was restored (XEP-0082).
    pub restored: String,
}

/// The mark, if the data were restored and nobody has seen to it yet. One that cannot be read says so too.
///
/// Errors: the file is there and cannot be opened.
pub fn mark(data_dir: &Path) -> io::Result<Option<Mark>> {
    match fs::read(data_dir.join(FILE_NAME)) {
        Ok(bytes) => {
            let unknown = || Timestamp { millis: 0 }.to_string();
            Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| Mark { made: unknown(), restored: unknown() })))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes the mark away, if there is one.
///
/// Errors: it cannot be removed.
pub fn forget_mark(data_dir: &Path) -> io::Result<()> {
    match fs::remove_file(data_dir.join(FILE_NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// In the data directory.
pub(super) const FILE_NAME: &str = "restored.json";
