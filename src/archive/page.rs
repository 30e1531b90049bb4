//! Which of the matching messages are the page that was asked for. XEP-0059, XEP-0313 §4.3.

use super::{ArchiveId, Query};
use crate::stanza::{StanzaCondition, StanzaError};

/// Where a page lies among the matching messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// At the beginning.
    First,
    /// At the end. XEP-0059 §2.5.
    Last,
    /// Behind this message.
    After(ArchiveId),
    /// Before this one.
    Before(ArchiveId),
    /// From this place on, counted from 0. XEP-0059 §2.4.
    Index(usize),
}

/// A page of messages, in the order of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its messages.
    pub ids: Vec<ArchiveId>,
    /// The place of the first among all that match.
    pub index: usize,
    /// How many match.
    pub count: usize,
    /// No more come in the direction of paging.
    pub complete: bool,
}

impl Query {
    /// Finds the page. `matching` holds the ids that the filter lets through, in order; `exists` tells whether the archive has a
    /// message.
    ///
    /// Errors: `item-not-found` where a message that the query names is not in the archive.
    pub fn page(&self, matching: &[ArchiveId], exists: impl Fn(ArchiveId) -> bool) -> Result<Page, StanzaError> {
        let anchor = match self.paging {
            Paging::After(id) | Paging::Before(id) => Some(id),
            Paging::First | Paging::Last | Paging::Index(_) => None,
        };
        // XEP-0313 §4.1.3, §4.3.2.
        if self.filter.named().chain(anchor).any(|id| !exists(id)) {
            return Err(StanzaError::new(StanzaCondition::ItemNotFound));
        }
        let count = matching.len();
        let before = |end: usize| (end.saturating_sub(self.max), end, end <= self.max);
        let from = |start: usize| {
            let end = start.saturating_add(self.max).min(count);
            (start, end, end == count)
        };
        let (start, end, complete) = match self.paging {
            Paging::First => from(0),
            Paging::After(id) => from(matching.partition_point(|other| *other <= id)),
            Paging::Index(index) if index > count => return Err(StanzaError::new(StanzaCondition::ItemNotFound)),
            Paging::Index(index) => from(index),
            Paging::Last => before(count),
            Paging::Before(id) => before(matching.partition_point(|other| *other < id)),
        };
        let ids = matching.get(start..end).unwrap_or_default().to_vec();
        Ok(Page { ids, index: start, count, complete })
    }
}

impl Page {
    /// Only these of its messages could be given, in the order of the archive.
    pub fn only(&mut self, given: Vec<ArchiveId>, paging: Paging) {
        let left_out = self.ids.len().saturating_sub(given.len());
        if left_out > 0 {
            self.complete = false;
            self.index += if paging.is_backwards() { left_out } else { 0 };
            self.ids = given;
        }
    }
}

impl Paging {
    /// Is the message nearest to where the client is the last of the page?
    pub fn is_backwards(self) -> bool {
        matches!(self, Paging::Last | Paging::Before(_))
    }
}
