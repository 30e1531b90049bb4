//! What the router needs kept. The store implements it; tests keep it in memory.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::KeptSession;
use crate::archive::{ArchiveId, Archived, Filter, Preferences};
use crate::jid::{BareJid, Jid};
use crate::roster::{BlockList, Entry, Roster};
use crate::stanza::Timestamp;

/// A write's place in the order of all writes. Once the store reports a ticket as durable, so are all smaller ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names one stored message of an account; ordered as they were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OfflineId {
    /// The chunk of messages that it was written with.
    pub chunk: u64,
    /// Its place in the chunk.
    pub index: u16,
}

/// A stanza that waits for its receiver.
#[derive(Clone, PartialEq, Eq)]
pub struct OfflineMessage {
    /// Its name in the store.
    pub id: OfflineId,
    /// The stanza, serialised, delay stamp included.
    pub stanza: String,
    /// When the node took it.
    pub stamp: Timestamp,
}

impl fmt::Debug for OfflineMessage {
    /// Without the stanza: what people write to each other is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfflineMessage").field("id", &self.id).field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

/// Why the store did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageFault {
    /// The account's share is used up.
    Full,
    /// The disk or the database failed; the store has logged the particulars.
    Broken,
}

impl fmt::Display for StorageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StorageFault::Full => "the account's share of the store is used up",
            StorageFault::Broken => "the store failed",
        })
    }
}

impl std::error::Error for StorageFault {}

/// The ids of an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveScan {
    /// All of them, in order.
    pub all: Vec<ArchiveId>,
    /// Those that a filter lets through, in order.
    pub matching: Vec<ArchiveId>,
}

/// Reads see all earlier writes at once; a write survives a power cut when its ticket is reported durable.
pub trait Storage {
    /// Is there such an account?
    fn account_exists(&self, account: &BareJid) -> Result<bool, StorageFault>;
    /// The fingerprint of the account's OpenPGP key, in capital hexadecimal digits, if it has one.
    fn key_fingerprint(&self, account: &BareJid) -> Result<Option<String>, StorageFault>;
    /// The account's certified OpenPGP ring, binary, if it has one.
    fn key_ring(&self, account: &BareJid) -> Result<Option<Vec<u8>>, StorageFault>;
    /// Is it the domain of another node whose users we let in? What it says of its own users' keys is passed on.
    fn trusts_node(&self, domain: &BareJid) -> bool;
    /// The whole roster with waiting requests.
    fn roster(&self, account: &BareJid) -> Result<Roster, StorageFault>;
    /// What the account knows of one contact; the empty entry if nothing.
    fn entry(&self, account: &BareJid, contact: &BareJid) -> Result<Entry, StorageFault>;
    /// Replaces it; an empty entry removes it. If `bump` the roster's version grows. Gives back the roster's version.
    fn save_entry(
        &mut self,
        account: &BareJid,
        contact: &BareJid,
        entry: &Entry,
        bump: bool,
    ) -> Result<(u64, Ticket), StorageFault>;
    /// The block list.
    fn block_list(&self, account: &BareJid) -> Result<BlockList, StorageFault>;
    /// Replaces the block list.
    fn save_block_list(&mut self, account: &BareJid, list: &BlockList) -> Result<Ticket, StorageFault>;
    /// Keeps a stanza for an account.
    fn store_offline(
        &mut self,
        account: &BareJid,
        stanza: &str,
        stamp: Timestamp,
    ) -> Result<(OfflineId, Ticket), StorageFault>;
    /// Stanzas kept for an account, in the order they came: at most so many, those behind `after`. Expired ones are left out
    /// and removed.
    fn offline(
        &mut self,
        account: &BareJid,
        now: Timestamp,
        after: Option<OfflineId>,
        count_max: usize,
    ) -> Result<Vec<OfflineMessage>, StorageFault>;
    /// Forgets stanzas that were delivered. Needs no durability: after a crash they are delivered again, same id and stamp.
    fn delete_offline(&mut self, account: &BareJid, ids: &[OfflineId]) -> Result<(), StorageFault>;
    /// The address at home of an account that is a visitor's.
    fn visitor_home(&self, _account: &BareJid) -> Result<Option<BareJid>, StorageFault> {
        Ok(None)
    }
    /// When the account's last resource went; where none ever did, when the account was made.
    fn last_seen(&self, _account: &BareJid) -> Result<Option<Timestamp>, StorageFault> {
        Ok(None)
    }
    /// The SHA-1 of the account's picture in hexadecimal digits, if it has one.
    fn avatar_hash(&self, _account: &BareJid) -> Result<Option<String>, StorageFault> {
        Ok(None)
    }
    /// What the account wants archived; what holds for accounts of its kind if it never said.
    fn archive_preferences(&self, account: &BareJid) -> Result<Preferences, StorageFault>;
    /// Replaces it.
    fn save_archive_preferences(
        &mut self,
        account: &BareJid,
        preferences: &Preferences,
    ) -> Result<Ticket, StorageFault>;
    /// Appends a message to an account's archive; `with` is the address of the other side.
    fn archive(
        &mut self,
        account: &BareJid,
        with: &Jid,
        stanza: &str,
        stamp: Timestamp,
    ) -> Result<(ArchiveId, Ticket), StorageFault>;
    /// Looks through an archive.
    fn archive_scan(&mut self, account: &BareJid, filter: &Filter) -> Result<ArchiveScan, StorageFault>;
    /// Archived messages, in the order they are named; those after `bytes_max` bytes are left out, the first never.
    fn archived(
        &mut self,
        account: &BareJid,
        ids: &[ArchiveId],
        bytes_max: usize,
    ) -> Result<Vec<Archived>, StorageFault>;
    /// Keeps sessions whose clients may resume them after the node was started again, in place of all that were kept before.
    fn keep_sessions(&mut self, sessions: Vec<KeptSession>) -> Result<(), StorageFault>;
}
