//! All that survives a restart: accounts, key rings, rosters, block lists, offline messages. The sole user of sled.
//!
//! One database, opened once, one typed function per decision, each a single transaction. [`Store`] is a cheap handle; reads see all
//! earlier writes at once.
//!
//! **When a write is safe.** A write gives back a [`Ticket`]. One thread, the committer, gathers writes for a moment, lets sled
//! flush, syncs the database file (sled's own flush reaches the operating system, not the disk), and then reports the newest ticket
//! as durable: by [`Store::commit`] to who waits for one, and on the channel of [`Store::take_durable_events`]. While one sync
//! runs the next writes gather, so that a busy node pays for one sync what an idle one pays for one message. Nothing is flushed
//! while nothing is dirty.
//!
//! **States.** Working, then, after a failed write or sync, broken: what waits fails, later writes are refused, the reason is
//! logged once with a remedy. A failed sync is never tried again, because the kernel may have dropped what it could not write.
//!
//! **Limits.** No stored value is over 24 KiB: sled writes larger pages to files of their own, which no sync covers; larger things
//! are stored in parts. Offline messages have the limits of `limits`; they are packed, many to a value (see `offline`). What cannot
//! be read is moved to a tree of its own and logged, never deleted. The trees, their keys and records: `schema`.

mod account;
mod archive;
mod changes;
mod committer;
mod disabled;
mod discoverable;
mod dispatch;
mod error;
mod expiry;
mod load;
mod migrate;
mod offline;
mod open;
mod outgoing;
mod pubsub;
mod push;
mod record;
mod reset;
mod roster;
mod schema;
mod session;
mod snapshot;
mod space;
mod token;
mod trust;
mod verify;

#[cfg(test)]
mod tests;

pub use account::{Account, CREDENTIALS_BYTES_MAX, Credentials, Departed, Farewell, Fingerprint};
pub use error::{OpenError, StoreError, remedy_for};
pub use load::{Loader, schema_version};
pub use pubsub::{PRIVATE_SHELF, PepChange, SHELF, VCARD_ITEM, VCARD_SHELF, private_shelf};
pub use snapshot::{CopyFault, Record};
pub use trust::{Peer, PeerChange, PinnedCard, Visit};
pub use verify::{TreeFigures, Verified};

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smol::channel::Receiver;

use crate::archive::{ArchiveId, Archived, Filter, Preferences};
use crate::jid::{BareJid, Jid};
use crate::limits::ARCHIVE_TTL;
use crate::roster::{BlockList, Entry, Roster};
use crate::router::{ArchiveScan, KeptSession, OfflineId, OfflineMessage, Storage, StorageFault, Ticket};
use crate::stanza::Timestamp;
use crate::trust::{NodeDomain, State};
use committer::{Commits, Committer};
use offline::{OfflineLimits, Queues};
use schema::Trees;
use space::Space;

/// The open store. Clones share it; the last one dropped commits what is left and closes it.
#[derive(Clone)]
pub struct Store {
    // First, so that the committer has ended before the database is closed.
    committer: Arc<Committer>,
    shared: Arc<Shared>,
}

/// Figures for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Accounts.
    pub accounts: u64,
    /// Stanzas that wait for their receivers.
    pub offline_messages: u64,
    /// Bytes of the same.
    pub offline_bytes: u64,
    /// Records that could not be read and were set aside.
    pub damaged_records: u64,
    /// Bytes the database takes on disk.
    pub bytes_on_disk: u64,
    /// Did writing fail, so that nothing more is written until a restart?
    pub broken: bool,
}

impl Store {
    /// Opens the store in `dir`, which is made if it is not there. Waits up to three seconds for a previous owner to let go.
    ///
    /// Errors: see [`OpenError`]; nothing is ever deleted.
    pub fn open(dir: &Path) -> Result<Store, OpenError> {
        let opened = open::open(dir, open::LOCK_PATIENCE)?;
        let shared = Arc::new(Shared {
            db: opened.db,
            trees: opened.trees,
            dir: dir.to_owned(),
            data_file: opened.data_file,
            queues: Mutex::new(Queues::default()),
            commits: Commits::default(),
            space: Space::default(),
            archive_ttl_secs: AtomicU64::new(ARCHIVE_TTL.as_secs()),
        });
        let committer = Committer::start(Arc::clone(&shared))
            .map_err(|error| OpenError::Io { path: dir.to_owned(), error: error.to_string() })?;
        Ok(Store { committer: Arc::new(committer), shared })
    }

    /// How many messages may wait for one account, and how long; without this call as `limits` has it.
    pub fn set_offline_limits(&self, messages_max: usize, ttl: Duration) {
        self.shared.queues().limits = OfflineLimits { messages_max, ttl };
    }

    /// Waits until the write with this ticket survives a power cut.
    ///
    /// Errors: [`StoreError::Broken`] if it never will.
    pub async fn commit(&self, ticket: Ticket) -> Result<(), StoreError> {
        self.shared.commits.wait(ticket).await
    }

    /// The ticket of the last write that somebody waits for.
    pub fn last_written(&self) -> Ticket {
        self.shared.commits.last_written()
    }

    /// The newest ticket all whose writes survive a power cut.
    pub fn durable(&self) -> Ticket {
        self.shared.commits.durable()
    }

    /// The channel of durable tickets; only the first call gets it. It holds the newest ticket only, which says all the older ones
    /// said, and it is closed when the store is broken or closed.
    pub fn take_durable_events(&self) -> Option<Receiver<Ticket>> {
        self.shared.commits.take_events()
    }

    /// Commits what is left and ends the committer; blocks until it is on disk. Later writes are refused.
    ///
    /// Errors: [`StoreError::Broken`] if the last commit failed.
    pub fn close(&self) -> Result<(), StoreError> {
        self.committer.stop();
        if self.shared.commits.is_broken() { Err(StoreError::Broken) } else { Ok(()) }
    }

    /// A small named secret of the node, such as the one that makes up salts for unknown accounts. If there is none of this name
    /// yet, `fresh`, which the caller draws at random, becomes it. It may be lost again if power goes within the next seconds.
    pub fn secret(&self, name: &str, fresh: &[u8; 32]) -> Result<[u8; 32], StoreError> {
        self.write(|shared, _| {
            let key = schema::secret_key(name);
            let found = shared.trees.node.get(&key)?;
            if let Some(secret) = found.and_then(|value| <[u8; 32]>::try_from(value.as_ref()).ok()) {
                return Ok(secret);
            }
            changes::put(&shared.trees.node, key, fresh.as_slice())?;
            shared.commits.wrote_lazily();
            Ok(*fresh)
        })
    }

    /// Figures for the operator. Reads all accounts and offline messages: for a command, not for every stanza.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let trees = &self.shared.trees;
        let broken = match self.write(|_, queues| queues.write_all_pending(trees)) {
            Ok(()) => false,
            Err(StoreError::Broken) => true,
            Err(other) => return Err(other),
        };
        // Without the lock: stanzas do not wait for this.
        self.read(|shared| {
            let (offline_messages, offline_bytes) = offline::totals(trees)?;
            Ok(Stats {
                accounts: count(trees.accounts.len()),
                offline_messages,
                offline_bytes,
                damaged_records: count(trees.damaged.len()),
                bytes_on_disk: shared.db.size_on_disk()?,
                broken,
            })
        })
    }

    /// Forgets offline messages older than `limits::OFFLINE_TTL`, also of users who never come back; call it about hourly, from a
    /// thread that may block. Gives back how many values were removed.
    pub fn expire_offline(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        let mut after = None;
        // One account at a time, so that stanzas do not wait for the whole of it.
        loop {
            let next = self.write(|shared, queues| queues.expire_next(&shared.trees, after.as_deref(), now))?;
            let Some((account, count)) = next else { break };
            removed += count;
            after = Some(account);
        }
        if removed > 0 {
            self.shared.commits.wrote_lazily();
        }
        Ok(removed)
    }

    /// Runs a read.
    fn read<T>(&self, work: impl FnOnce(&Shared) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.shared.judge(work(&self.shared))
    }

    /// Runs what writes, one at a time.
    fn write<T>(&self, work: impl FnOnce(&Shared, &mut Queues) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if !self.shared.commits.is_writable() {
            return Err(StoreError::Broken);
        }
        let mut queues = self.shared.queues();
        self.shared.judge(work(&self.shared, &mut queues))
    }
}

impl Store {
    /// Runs what makes the store larger, one at a time.
    ///
    /// Errors: [`StoreError::NoSpace`].
    fn grow<T>(&self, work: impl FnOnce(&Shared, &mut Queues) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.shared.space.is_short(&self.shared.dir) {
            return Err(StoreError::NoSpace);
        }
        self.write(work)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.shared.dir).finish_non_exhaustive()
    }
}

impl Storage for Store {
    fn account_exists(&self, account: &BareJid) -> Result<bool, StorageFault> {
        Ok(self.read(|shared| Ok(shared.trees.accounts.contains_key(account.as_str())?))?)
    }

    fn key_fingerprint(&self, account: &BareJid) -> Result<Option<String>, StorageFault> {
        let fingerprint = self.account(account)?.and_then(|account| account.fingerprint);
        Ok(fingerprint.map(|bytes| bytes.iter().map(|byte| format!("{byte:02X}")).collect()))
    }

    fn key_ring(&self, account: &BareJid) -> Result<Option<Vec<u8>>, StorageFault> {
        match self.account(account)?.and_then(|account| account.fingerprint) {
            Some(fingerprint) => Ok(self.ring(&fingerprint)?),
            None => Ok(None),
        }
    }

    fn trusts_node(&self, domain: &BareJid) -> bool {
        let node = NodeDomain::of(domain);
        node.is_some_and(|node| matches!(self.peer(&node), Ok(Some(Peer { state: State::Trusted(_), .. }))))
    }

    fn roster(&self, account: &BareJid) -> Result<Roster, StorageFault> {
        Ok(self.read(|shared| roster::roster(&shared.trees, account))?)
    }

    fn entry(&self, account: &BareJid, contact: &BareJid) -> Result<Entry, StorageFault> {
        Ok(self.read(|shared| roster::entry(&shared.trees, account, contact))?)
    }

    fn save_entry(
        &mut self,
        account: &BareJid,
        contact: &BareJid,
        entry: &Entry,
        bump: bool,
    ) -> Result<(u64, Ticket), StorageFault> {
        Ok(self.write(|shared, _| {
            let version = roster::save_entry(&shared.trees, account, contact, entry, bump)?;
            Ok((version, shared.commits.wrote()))
        })?)
    }

    fn block_list(&self, account: &BareJid) -> Result<BlockList, StorageFault> {
        Ok(self.read(|shared| roster::block_list(&shared.trees, account))?)
    }

    fn save_block_list(&mut self, account: &BareJid, list: &BlockList) -> Result<Ticket, StorageFault> {
        Ok(self.write(|shared, _| {
            roster::save_block_list(&shared.trees, account, list)?;
            Ok(shared.commits.wrote())
        })?)
    }

    fn store_offline(
        &mut self,
        account: &BareJid,
        stanza: &str,
        stamp: Timestamp,
    ) -> Result<(OfflineId, Ticket), StorageFault> {
        Ok(self.grow(|shared, queues| {
            let id = queues.store(&shared.trees, account, stanza, stamp)?;
            Ok((id, shared.commits.wrote()))
        })?)
    }

    fn offline(
        &mut self,
        account: &BareJid,
        now: Timestamp,
        after: Option<OfflineId>,
        count_max: usize,
    ) -> Result<Vec<OfflineMessage>, StorageFault> {
        Ok(self.write(|shared, queues| {
            let (messages, removed) = queues.read(&shared.trees, account, now, after, count_max)?;
            if removed {
                shared.commits.wrote_lazily();
            }
            Ok(messages)
        })?)
    }

    fn delete_offline(&mut self, account: &BareJid, ids: &[OfflineId]) -> Result<(), StorageFault> {
        Ok(self.write(|shared, queues| {
            if queues.delete(&shared.trees, account, ids)? {
                shared.commits.wrote_lazily();
            }
            Ok(())
        })?)
    }

    fn visitor_home(&self, account: &BareJid) -> Result<Option<BareJid>, StorageFault> {
        Ok(self.visit(account)?.and_then(|visit| visit.home_address()))
    }

    fn last_seen(&self, account: &BareJid) -> Result<Option<Timestamp>, StorageFault> {
        Ok(self.account(account)?.map(|account| account.last_logout.unwrap_or(account.created)))
    }

    fn avatar_hash(&self, account: &BareJid) -> Result<Option<String>, StorageFault> {
        Ok(self.stored_avatar(account)?)
    }

    fn archive_preferences(&self, account: &BareJid) -> Result<Preferences, StorageFault> {
        Ok(self.read_preferences(account)?)
    }

    fn save_archive_preferences(
        &mut self,
        account: &BareJid,
        preferences: &Preferences,
    ) -> Result<Ticket, StorageFault> {
        Ok(self.write_preferences(account, preferences)?)
    }

    fn archive(
        &mut self,
        account: &BareJid,
        with: &Jid,
        stanza: &str,
        stamp: Timestamp,
    ) -> Result<(ArchiveId, Ticket), StorageFault> {
        Ok(self.grow(|shared, queues| {
            let id = queues.archives.append(&shared.trees, account, with, stanza, stamp)?;
            Ok((id, shared.commits.wrote()))
        })?)
    }

    fn archive_scan(&mut self, account: &BareJid, filter: &Filter) -> Result<ArchiveScan, StorageFault> {
        Ok(self.write(|shared, queues| {
            queues.archives.write(&shared.trees, account)?;
            archive::scan(shared, account, filter)
        })?)
    }

    fn archived(
        &mut self,
        account: &BareJid,
        ids: &[ArchiveId],
        bytes_max: usize,
    ) -> Result<Vec<Archived>, StorageFault> {
        Ok(self.read(|shared| archive::messages(shared, account, ids, bytes_max))?)
    }

    fn keep_sessions(&mut self, sessions: Vec<KeptSession>) -> Result<(), StorageFault> {
        Ok(self.write_sessions(&sessions)?)
    }
}

/// What handles and committer share.
struct Shared {
    db: sled::Db,
    trees: Trees,
    dir: PathBuf,
    /// Our own handle of the database file: syncing it is what makes writes durable.
    data_file: File,
    /// Offline messages not yet written; whoever writes anything holds it.
    queues: Mutex<Queues>,
    commits: Commits,
    space: Space,
    /// How long the archive keeps messages; zero: nothing is archived.
    archive_ttl_secs: AtomicU64,
}

impl Shared {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A database that failed once is not to be trusted with more.
    fn judge<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        match result {
            Err(StoreError::Database(cause)) => {
                self.commits.break_down(&self.dir, &cause);
                Err(StoreError::Broken)
            }
            other => other,
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
