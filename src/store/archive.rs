//! Archives of accounts, packed like the messages that wait (`offline`).
//!
//! Messages of an account gather in its *open chunk*. The committer writes it as one compressed value, and writes it again when more
//! has come, until it has [`CHUNK_BYTES_SMALL`]; a burst may fill it up to [`CHUNK_BYTES`] before it is written first. So a
//! chat at leisure costs one small value a message and leaves few of them.
//!
//! An id is the chunk's number and the place in it. The number is the moment the chunk began, in milliseconds, or one more than the
//! last chunk's: it grows, and no id comes again, not after a restart either. Limits: `limits::ARCHIVE_VALUES_MAX` values an
//! account (the oldest chunks go), the age that the node is configured with, [`OPEN_MAX`] accounts with a chunk in memory.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::changes::{self, Changes};
use super::record::{
    decode, decode_or_set_aside, decode_packed, encode, encode_packed, parts, set_aside, unpacked, whole,
};
use super::schema::{Trees, account_prefix, chunk_key, split_chunk_key, split_key};
use super::{Shared, Store, StoreError};
use crate::archive::{ArchiveId, Archived, DefaultPreference, Filter, Preferences};
use crate::jid::{BareJid, Jid};
use crate::limits::{ARCHIVE_VALUES_MAX, STANZA_BYTES_MAX};
use crate::router::{ArchiveScan, Ticket};
use crate::stanza::Timestamp;

/// The archives, as far as they are in memory.
#[derive(Default)]
pub(super) struct Archives {
    open: HashMap<BareJid, Open>,
    /// Accounts whose open chunk has more than the tree.
    dirty: Vec<BareJid>,
}

/// The end of one account's archive.
struct Open {
    chunk: u64,
    bytes: usize,
    entries: Vec<Entry<String>>,
    dirty: bool,
    /// Values in the tree that belong to this chunk.
    parts: u16,
    /// Values of the whole archive, more or less.
    values: usize,
}

/// A message in a chunk.
#[derive(Serialize, Deserialize)]
struct Entry<S> {
    index: u16,
    stamp: Timestamp,
    /// The other side.
    with: S,
    stanza: S,
}

/// What a user chose, as it is written.
#[derive(Serialize, Deserialize)]
struct Choice {
    default: u8,
    always: Vec<String>,
    never: Vec<String>,
}

impl Archives {
    /// Appends a message; in memory only until the next [`Archives::write_all`].
    ///
    /// Errors: [`StoreError::TooLarge`].
    pub(super) fn append(
        &mut self,
        trees: &Trees,
        account: &BareJid,
        with: &Jid,
        stanza: &str,
        stamp: Timestamp,
    ) -> Result<ArchiveId, StoreError> {
        if stanza.len() > MESSAGE_BYTES_MAX {
            return Err(StoreError::TooLarge { bytes_max: MESSAGE_BYTES_MAX });
        }
        let with = with.to_string();
        let bytes = stanza.len() + with.len() + ENTRY_OVERHEAD;
        if self.open.get(account).is_some_and(|open| !open.takes(bytes)) {
            self.write(trees, account)?;
            self.begin_chunk(trees, account, stamp)?;
        } else if !self.open.contains_key(account) {
            self.make_room();
            self.begin_chunk(trees, account, stamp)?;
        }
        let Some(open) = self.open.get_mut(account) else { return Err(StoreError::Broken) };
        let index = u16::try_from(open.entries.len()).unwrap_or(u16::MAX);
        open.entries.push(Entry { index, stamp, with, stanza: stanza.to_owned() });
        open.bytes += bytes;
        if !std::mem::replace(&mut open.dirty, true) {
            self.dirty.push(account.clone());
        }
        Ok(id(open.chunk, index))
    }

    /// Writes every open chunk that has more than the tree.
    pub(super) fn write_all(&mut self, trees: &Trees) -> Result<(), StoreError> {
        for account in std::mem::take(&mut self.dirty) {
            self.write(trees, &account)?;
        }
        Ok(())
    }

    /// The account's archive is removed from the tree by the caller; here too it is no more.
    pub(super) fn forget(&mut self, account: &BareJid) {
        self.open.remove(account);
    }

    /// Writes the account's open chunk if it has more than the tree.
    pub(super) fn write(&mut self, trees: &Trees, account: &BareJid) -> Result<(), StoreError> {
        let Some(open) = self.open.get_mut(account).filter(|open| open.dirty) else { return Ok(()) };
        let mut changes = Changes::default();
        let mut count: u16 = 0;
        for value in parts(&encode_packed(&open.entries)?) {
            changes.put(&trees.archive, chunk_key(account, open.chunk, count), value);
            count = count.saturating_add(1);
        }
        changes.apply()?;
        open.values += usize::from(count.saturating_sub(open.parts));
        open.parts = count;
        open.dirty = false;
        Ok(())
    }

    /// A new chunk behind all others; the oldest go where there are too many.
    fn begin_chunk(&mut self, trees: &Trees, account: &BareJid, stamp: Timestamp) -> Result<(), StoreError> {
        let prefix = account_prefix(account);
        let before = self.open.remove(account);
        let (last, mut values) = match before {
            Some(open) => (Some(open.chunk), open.values),
            None => {
                let mut keys = trees.archive.scan_prefix(&prefix).keys();
                let last = keys.next_back().transpose()?;
                let last = last.and_then(|key| Some(split_chunk_key(key.get(prefix.len()..)?)?.0));
                (last, if last.is_some() { keys.count() + 1 } else { 0 })
            }
        };
        if values > ARCHIVE_VALUES_MAX {
            let mut changes = Changes::default();
            let excess = values - ARCHIVE_VALUES_MAX + ARCHIVE_VALUES_MAX / 16;
            for key in oldest_chunks(trees, &prefix, excess)? {
                changes.remove(&trees.archive, &key);
                values -= 1;
            }
            changes.apply()?;
        }
        let chunk = stamp.millis.min(CHUNK_MAX).max(last.map_or(0, |last| last + 1));
        let open = Open { chunk, bytes: 0, entries: Vec::new(), dirty: false, parts: 0, values };
        self.open.insert(account.clone(), open);
        Ok(())
    }

    /// Chunks that are written need not stay in memory.
    fn make_room(&mut self) {
        if self.open.len() >= OPEN_MAX {
            self.open.retain(|_, open| open.dirty);
        }
    }

    /// Removes the chunks of the next account after `after` whose messages are all older than `oldest`. Gives the account's key and
    /// how many values went, or `None` behind the last account.
    pub(super) fn expire_next(
        &mut self,
        trees: &Trees,
        after: Option<&[u8]>,
        oldest: Timestamp,
    ) -> Result<Option<(Vec<u8>, u64)>, StoreError> {
        let start = after.map(|account| [account, &[1]].concat()).unwrap_or_default();
        let Some(first) = trees.archive.range(start..).keys().next().transpose()? else { return Ok(None) };
        let Some((key, _)) = split_key(&first) else {
            let value = trees.archive.get(&first)?.unwrap_or_default();
            set_aside(trees, &trees.archive, &first, &value)?;
            return Ok(Some((first.to_vec(), 0)));
        };
        let Some(account) = super::schema::address::<BareJid>(key) else { return Ok(Some((key.to_vec(), 0))) };
        let mut removed = 0;
        let mut changes = Changes::default();
        let mut emptied = Vec::new();
        // Chunks are in order of time, so the first that holds something fresh ends the search.
        for_each_chunk(trees, &account, None, &mut |chunk, keys, entries| {
            if entries.iter().any(|entry| entry.stamp >= oldest) {
                return false;
            }
            keys.iter().for_each(|key| changes.remove(&trees.archive, key));
            removed += super::count(keys.len());
            emptied.push(chunk);
            true
        })?;
        changes.apply()?;
        let stale = self.open.get(&account).is_some_and(|open| !open.dirty && emptied.contains(&open.chunk));
        if stale {
            self.open.remove(&account);
        }
        Ok(Some((key.to_vec(), removed)))
    }
}

impl Open {
    fn takes(&self, bytes: usize) -> bool {
        let limit = if self.parts > 0 { CHUNK_BYTES_SMALL } else { CHUNK_BYTES };
        self.bytes + bytes <= limit && self.entries.len() < usize::from(u16::MAX)
    }
}

impl Store {
    /// How long the archive keeps messages from now on; zero: nothing is archived.
    pub fn set_archive_ttl(&self, ttl: std::time::Duration) {
        self.shared.archive_ttl_secs.store(ttl.as_secs(), std::sync::atomic::Ordering::Relaxed);
    }

    /// Forgets archived messages that are too old; call it about hourly, from a thread that may block. Gives back how many values
    /// were removed.
    pub fn expire_archives(&self, now: Timestamp) -> Result<u64, StoreError> {
        let ttl_millis = self.archive_ttl_secs().saturating_mul(1000);
        let oldest = Timestamp { millis: now.millis.saturating_sub(ttl_millis) };
        let mut removed = 0;
        let mut after = None;
        loop {
            let next =
                self.write(|shared, queues| queues.archives.expire_next(&shared.trees, after.as_deref(), oldest))?;
            let Some((account, count)) = next else { break };
            removed += count;
            after = Some(account);
        }
        if removed > 0 {
            self.shared.commits.wrote_lazily();
        }
        Ok(removed)
    }

    pub(super) fn archive_ttl_secs(&self) -> u64 {
        self.shared.archive_ttl_secs.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(super) fn read_preferences(&self, account: &BareJid) -> Result<Preferences, StoreError> {
        if self.archive_ttl_secs() == 0 {
            return Ok(Preferences::of(DefaultPreference::Never));
        }
        let chosen = self.read(|shared| chosen(&shared.trees, account))?;
        if let Some(preferences) = chosen {
            return Ok(preferences);
        }
        // Kontalk, privacy: an account that only has a key leaves nothing on the server that was delivered.
        let password = self.account(account)?.is_some_and(|account| account.password.is_some());
        Ok(Preferences::of(if password { DefaultPreference::Always } else { DefaultPreference::Never }))
    }

    pub(super) fn write_preferences(&self, account: &BareJid, chosen: &Preferences) -> Result<Ticket, StoreError> {
        let default = match chosen.default {
            DefaultPreference::Always => 0,
            DefaultPreference::Never => 1,
            DefaultPreference::Roster => 2,
        };
        let list = |jids: &std::collections::BTreeSet<Jid>| jids.iter().map(Jid::to_string).collect();
        let record = encode(&Choice { default, always: list(&chosen.always), never: list(&chosen.never) })?;
        self.write(|shared, _| {
            changes::put(&shared.trees.archive_preferences, account.as_str(), record)?;
            Ok(shared.commits.wrote())
        })
    }
}

fn chosen(trees: &Trees, account: &BareJid) -> Result<Option<Preferences>, StoreError> {
    let tree = &trees.archive_preferences;
    let Some(value) = tree.get(account.as_str())? else { return Ok(None) };
    let choice: Option<Choice> = decode_or_set_aside(trees, tree, account.as_str().as_bytes(), &value)?;
    let jids = |list: Vec<String>| list.iter().filter_map(|jid| jid.parse().ok()).collect();
    Ok(choice.map(|choice| Preferences {
        default: match choice.default {
            0 => DefaultPreference::Always,
            2 => DefaultPreference::Roster,
            _ => DefaultPreference::Never,
        },
        always: jids(choice.always),
        never: jids(choice.never),
    }))
}

/// The ids of an archive. The open chunk must have been written.
pub(super) fn scan(shared: &Shared, account: &BareJid, filter: &Filter) -> Result<ArchiveScan, StoreError> {
    let mut found = ArchiveScan::default();
    for_each_chunk(&shared.trees, account, None, &mut |chunk, _, entries| {
        for entry in entries {
            let id = id(chunk, entry.index);
            found.all.push(id);
            if filter.matches(id, entry.stamp, entry.with) {
                found.matching.push(id);
            }
        }
        true
    })?;
    Ok(found)
}

/// Messages in the order they are named. The open chunk must have been written.
pub(super) fn messages(
    shared: &Shared,
    account: &BareJid,
    ids: &[ArchiveId],
    bytes_max: usize,
) -> Result<Vec<Archived>, StoreError> {
    let mut found: Vec<Archived> = Vec::with_capacity(ids.len());
    let mut bytes = 0usize;
    let mut rest = ids;
    while let Some(first) = rest.first() {
        let chunk = chunk_of(*first);
        let here = rest.iter().take_while(|id| chunk_of(**id) == chunk).count();
        let (wanted, later) = rest.split_at(here);
        rest = later;
        let mut full = false;
        for_each_chunk(&shared.trees, account, Some(chunk), &mut |_, _, entries| {
            for named in wanted {
                let Some(entry) = entries.iter().find(|entry| id(chunk, entry.index) == *named) else { continue };
                bytes = bytes.saturating_add(entry.stanza.len());
                if bytes > bytes_max && !found.is_empty() {
                    full = true;
                    break;
                }
                found.push(Archived { id: *named, stamp: entry.stamp, stanza: entry.stanza.to_owned() });
            }
            false
        })?;
        if full {
            break;
        }
    }
    Ok(found)
}

/// What is done with a chunk: number, keys, entries. False ends the walk.
type Visit<'a> = dyn FnMut(u64, &[sled::IVec], &[Entry<&str>]) -> bool + 'a;

/// Walks over an account's chunks in order, or over one of them. Those that cannot be read are set aside.
fn for_each_chunk(
    trees: &Trees,
    account: &BareJid,
    only: Option<u64>,
    visit: &mut Visit<'_>,
) -> Result<(), StoreError> {
    let account_prefix = account_prefix(account);
    let mut prefix = account_prefix.clone();
    prefix.extend(only.map(u64::to_be_bytes).into_iter().flatten());
    let number = |key: &[u8]| Some(split_chunk_key(key.get(account_prefix.len()..)?)?.0);
    let mut pairs = trees.archive.scan_prefix(&prefix).peekable();
    while let Some(pair) = pairs.next() {
        let (key, value) = pair?;
        let Some(chunk) = number(&key) else {
            set_aside(trees, &trees.archive, &key, &value)?;
            continue;
        };
        let (mut keys, mut values) = (vec![key], vec![value]);
        while let Some(Ok((key, _))) = pairs.peek() {
            if number(key) != Some(chunk) {
                break;
            }
            let Some(pair) = pairs.next() else { break };
            let (key, value) = pair?;
            keys.push(key);
            values.push(value);
        }
        let plain = whole(&values).and_then(|packed| unpacked(&packed, CHUNK_BYTES_MAX));
        let entries: Option<Vec<Entry<&str>>> = plain.as_deref().and_then(|plain| postcard::from_bytes(plain).ok());
        match entries {
            Some(entries) => {
                if !visit(chunk, &keys, &entries) {
                    return Ok(());
                }
            }
            None => {
                for (key, value) in keys.iter().zip(&values) {
                    set_aside(trees, &trees.archive, key, value)?;
                }
            }
        }
    }
    Ok(())
}

/// Is it a chunk of archived messages?
pub(super) fn is_chunk(whole: &[u8]) -> bool {
    decode_packed::<Vec<Entry<String>>>(whole, CHUNK_BYTES_MAX).is_some()
}

/// Is it what a user chose?
pub(super) fn is_choice(value: &[u8]) -> bool {
    decode::<Choice>(value).is_some()
}

/// Keys of an account's oldest chunks, about so many, never a part of a chunk.
fn oldest_chunks(trees: &Trees, prefix: &[u8], about: usize) -> Result<Vec<sled::IVec>, StoreError> {
    let mut keys: Vec<sled::IVec> = Vec::new();
    for key in trees.archive.scan_prefix(prefix).keys() {
        let key = key?;
        let begins = key.get(prefix.len()..).and_then(split_chunk_key).is_none_or(|(_, part)| part == 0);
        if keys.len() >= about && begins {
            break;
        }
        keys.push(key);
    }
    Ok(keys)
}

fn id(chunk: u64, index: u16) -> ArchiveId {
    ArchiveId(chunk << 16 | u64::from(index))
}

fn chunk_of(id: ArchiveId) -> u64 {
    id.0 >> 16
}

/// When a chunk that was never written is full.
const CHUNK_BYTES: usize = 16 * 1024;

/// When one that was written is not written again.
const CHUNK_BYTES_SMALL: usize = 4 * 1024;

/// What a message takes beside its texts.
const ENTRY_OVERHEAD: usize = 20;

/// The largest message, as for those that wait.
const MESSAGE_BYTES_MAX: usize = STANZA_BYTES_MAX + 8 * 1024;

/// The most a chunk can be: nearly full, and then a message of the greatest size with the longest address.
const CHUNK_BYTES_MAX: usize = 2 * CHUNK_BYTES + MESSAGE_BYTES_MAX;

/// Accounts whose last chunk is in memory: at most 16 KiB each, mostly far less.
const OPEN_MAX: usize = 512;

/// The largest number that a moment gives a chunk: an id has 48 bits for it, and a wrong clock must leave some.
const CHUNK_MAX: u64 = 1 << 47;
