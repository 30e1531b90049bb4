//! The archive of an account's messages: what goes in, what a client asks of it, what it is told. Pure decisions. XEP-0313, with
//! XEP-0059 for paging, XEP-0359 for ids, XEP-0441 for preferences.
//!
//! An archive is a list of messages in the order they came. Each has an [`ArchiveId`], which grows with that order and is never
//! used again. [`is_archived`] says which messages are worth it, [`Preferences`] whether the user wants it. [`Query`] is a
//! question read and checked; [`Query::page`] answers it from the matching ids alone, so that the store reads only the messages
//! of that page.
//!
//! Nothing is kept here: the store does that, and forgets what is older than it should be. Limits: `ARCHIVE_*` of [`crate::limits`].

mod answer;
mod page;
mod preferences;
mod query;
mod rules;
#[cfg(test)]
mod tests;

pub use answer::{fin, forwarded, metadata, query_form, result_message};
pub use page::{Page, Paging};
pub use preferences::{DefaultPreference, Preferences};
pub use query::{Filter, Query};
pub use rules::{is_archived, is_conversation};

use std::fmt;
use std::str::FromStr;

use crate::stanza::Timestamp;

/// Names an archived message of one account. Grows in the order of the archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveId(pub u64);

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The text is no id of an archive of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoArchiveId;

impl FromStr for ArchiveId {
    type Err = NoArchiveId;

    fn from_str(text: &str) -> Result<ArchiveId, NoArchiveId> {
        let ours = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        u64::from_str_radix(text, 16).ok().filter(|_| ours).map(ArchiveId).ok_or(NoArchiveId)
    }
}

/// One message of an archive.
#[derive(Clone, PartialEq, Eq)]
pub struct Archived {
    /// Its name.
    pub id: ArchiveId,
    /// When the node took it.
    pub stamp: Timestamp,
    /// The message as it was sent or received, serialised.
    pub stanza: String,
}

impl fmt::Debug for Archived {
    /// Without the message: what people write to each other is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archived").field("id", &self.id).field("stamp", &self.stamp).finish_non_exhaustive()
    }
}
