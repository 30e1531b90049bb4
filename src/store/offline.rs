//! Messages that wait for their receivers, packed.
//!
//! One small value per message would cost sled ten times its size on the device. So messages of an account gather in memory, as
//! its *pending chunk*, until the committer comes by or [`CHUNK_BYTES`] are full; then the chunk is compressed and written as one
//! value. A chunk that is larger than a value, for a large message, is written in parts.
//!
//! Deleting is remembered in memory; a chunk goes when its last message goes, and one that is read in part is rewritten with the
//! rest when the committer tidies up. After a crash some messages are therefore there again, under the same place and stamp.
//!
//! Numbers of chunks only ever grow while the process lives, so an id never names another message later. Limits: per account
//! `limits::OFFLINE_MESSAGES_MAX` and `OFFLINE_BYTES_MAX`; age `OFFLINE_TTL`. What is known of an account's chunks (8 bytes a
//! message) stays in memory for up to [`CACHED_MESSAGES_MAX`] messages, and is read again when it is needed.

use std::collections::{BTreeMap, HashMap};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::archive::Archives;
use super::changes::Changes;
use super::record::{decode_packed, encode_packed, parts, set_aside, whole};
use super::schema::{Trees, account_prefix, chunk_key, split_chunk_key, split_key};
use crate::jid::BareJid;
use crate::limits::{OFFLINE_BYTES_MAX, OFFLINE_MESSAGES_MAX, OFFLINE_TTL, STANZA_BYTES_MAX};
use crate::router::{OfflineId, OfflineMessage};
use crate::stanza::Timestamp;

/// What an operator may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OfflineLimits {
    /// Messages of one account.
    pub(super) messages_max: usize,
    /// How long one waits.
    pub(super) ttl: Duration,
}

impl Default for OfflineLimits {
    fn default() -> OfflineLimits {
        OfflineLimits { messages_max: OFFLINE_MESSAGES_MAX, ttl: OFFLINE_TTL }
    }
}

/// The queues of all accounts, as far as they are in memory.
#[derive(Default)]
pub(super) struct Queues {
    pub(super) limits: OfflineLimits,
    queues: HashMap<BareJid, Queue>,
    /// Accounts with a pending chunk, in the order it began.
    pending: Vec<BareJid>,
    next_chunk: u64,
    /// Archived messages gather likewise, and are written with these.
    pub(super) archives: Archives,
}

/// One account's messages.
#[derive(Default)]
struct Queue {
    messages: usize,
    bytes: usize,
    /// Written chunks with what is left of them.
    chunks: BTreeMap<u64, Chunk>,
    pending: Option<Pending>,
}

/// A written chunk.
struct Chunk {
    /// Place and bytes of each message that is not deleted, ordered.
    left: Vec<(u16, u32)>,
    parts: u16,
    /// Is there more in the tree than is left?
    stale: bool,
}

/// The chunk that gathers.
struct Pending {
    chunk: u64,
    next_index: u16,
    bytes: usize,
    messages: Vec<Message<String>>,
}

/// A message in a chunk. Its place stays the same when the chunk is rewritten.
#[derive(Serialize, Deserialize)]
struct Message<S> {
    index: u16,
    stamp: Timestamp,
    stanza: S,
}

impl Queues {
    /// Takes a message in. It is in memory only until the next [`Queues::write_all_pending`].
    ///
    /// Errors: [`StoreError::Full`], [`StoreError::TooLarge`].
    pub(super) fn store(
        &mut self,
        trees: &Trees,
        account: &BareJid,
        stanza: &str,
        stamp: Timestamp,
    ) -> Result<OfflineId, StoreError> {
        if stanza.len() > MESSAGE_BYTES_MAX {
            return Err(StoreError::TooLarge { bytes_max: MESSAGE_BYTES_MAX });
        }
        let messages_max = self.limits.messages_max;
        if !self.queue(trees, account)?.has_room(stanza.len(), messages_max) {
            // Room may be taken by what is too old. This reads one chunk if it is not: a full account must not be dear.
            self.expire(trees, account, stamp)?;
            if !self.queue(trees, account)?.has_room(stanza.len(), messages_max) {
                return Err(StoreError::Full);
            }
        }
        let fits = |pending: &Pending| pending.bytes + stanza.len() + MESSAGE_OVERHEAD <= CHUNK_BYTES;
        if self.queue(trees, account)?.pending.as_ref().is_some_and(|pending| !fits(pending)) {
            self.write_pending(trees, account)?;
        }
        let next_chunk = self.next_chunk;
        let queue = self.queue(trees, account)?;
        let begins = queue.pending.is_none();
        let pending = queue.pending.get_or_insert_with(|| Pending::new(next_chunk));
        let id = OfflineId { chunk: pending.chunk, index: pending.next_index };
        pending.messages.push(Message { index: id.index, stamp, stanza: stanza.to_owned() });
        pending.next_index = pending.next_index.saturating_add(1);
        pending.bytes += stanza.len() + MESSAGE_OVERHEAD;
        let is_full = pending.bytes > CHUNK_BYTES || pending.next_index == u16::MAX;
        queue.messages += 1;
        queue.bytes += stanza.len();
        if begins {
            self.next_chunk += 1;
            self.pending.push(account.clone());
        }
        if is_full {
            self.write_pending(trees, account)?;
        }
        Ok(id)
    }

    /// Messages of an account in order, at most `count_max` of those behind `after`; those that are too old are removed. Says
    /// whether any were.
    pub(super) fn read(
        &mut self,
        trees: &Trees,
        account: &BareJid,
        now: Timestamp,
        after: Option<OfflineId>,
        count_max: usize,
    ) -> Result<(Vec<OfflineMessage>, bool), StoreError> {
        self.queue(trees, account)?;
        let mut found: Vec<OfflineMessage> = Vec::new();
        let mut expired = Vec::new();
        let mut full = false;
        let ttl = self.limits.ttl;
        let mut sort = |id: OfflineId, stamp: Timestamp, stanza: String| {
            if is_expired(stamp, now, ttl) {
                expired.push(id);
            } else if after.is_none_or(|after| id > after) && found.len() < count_max {
                found.push(OfflineMessage { id, stanza, stamp });
            }
            found.len() >= count_max
        };
        let mut chunks = WrittenChunks::new(trees, account);
        while !full && let Some((chunk, written)) = chunks.next_chunk()? {
            if after.is_some_and(|after| chunk < after.chunk) {
                continue;
            }
            let Some(messages) = written.messages_or_set_aside(trees)? else { continue };
            let left = self.queues.get(account).and_then(|queue| queue.chunks.get(&chunk));
            let Some(left) = left else { continue };
            for message in messages {
                if left.position(message.index).is_ok() {
                    full = sort(OfflineId { chunk, index: message.index }, message.stamp, message.stanza);
                }
            }
        }
        if let Some(pending) = self.queues.get(account).and_then(|queue| queue.pending.as_ref()) {
            for message in &pending.messages {
                let id = OfflineId { chunk: pending.chunk, index: message.index };
                sort(id, message.stamp, message.stanza.clone());
            }
        }
        let removed = self.delete(trees, account, &expired)?;
        Ok((found, removed))
    }

    /// Forgets messages; unknown ids are ignored. Says whether the tree changed or will.
    pub(super) fn delete(&mut self, trees: &Trees, account: &BareJid, ids: &[OfflineId]) -> Result<bool, StoreError> {
        if ids.is_empty() {
            return Ok(false);
        }
        let queue = self.queue(trees, account)?;
        let mut changes = Changes::default();
        let mut changed = false;
        for id in ids {
            if let Some(bytes) = queue.pending.as_mut().and_then(|pending| pending.delete(*id)) {
                // Never written, so nothing to undo.
                queue.count_down(bytes);
                continue;
            }
            let Some(chunk) = queue.chunks.get_mut(&id.chunk) else { continue };
            let Ok(position) = chunk.position(id.index) else { continue };
            let (_, bytes) = chunk.left.remove(position);
            chunk.stale = true;
            changed = true;
            if chunk.left.is_empty() {
                for part in 0..chunk.parts {
                    changes.remove(&trees.offline, &chunk_key(account, id.chunk, part));
                }
                queue.chunks.remove(&id.chunk);
            }
            queue.count_down(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        changes.apply()?;
        Ok(changed)
    }

    /// Writes every pending chunk.
    pub(super) fn write_all_pending(&mut self, trees: &Trees) -> Result<(), StoreError> {
        for account in std::mem::take(&mut self.pending) {
            self.write_pending(trees, &account)?;
        }
        self.archives.write_all(trees)
    }

    /// Writes what is pending and rewrites what is stale.
    pub(super) fn tidy(&mut self, trees: &Trees) -> Result<(), StoreError> {
        self.write_all_pending(trees)?;
        for (account, queue) in &mut self.queues {
            if queue.chunks.values().any(|chunk| chunk.stale) {
                queue.rewrite_stale(trees, account)?;
            }
        }
        Ok(())
    }

    /// The account's messages are removed from the tree by the caller; here too they are no more.
    pub(super) fn forget(&mut self, account: &BareJid) {
        self.queues.remove(account);
        self.archives.forget(account);
    }

    /// Removes the chunks of the next account after `after` that hold only messages that are too old. Gives the account's key and
    /// how many chunks went, or `None` behind the last account.
    pub(super) fn expire_next(
        &mut self,
        trees: &Trees,
        after: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Option<(Vec<u8>, u64)>, StoreError> {
        // Behind the account's own keys, which go on with a zero byte, and before those of all others.
        let start = after.map(|account| [account, &[1]].concat()).unwrap_or_default();
        let Some(first) = trees.offline.range(start..).keys().next() else { return Ok(None) };
        let first = first?;
        let Some((key, _)) = split_key(&first) else {
            let value = trees.offline.get(&first)?.unwrap_or_default();
            set_aside(trees, &trees.offline, &first, &value)?;
            return Ok(Some((first.to_vec(), 0)));
        };
        let Some(account) = super::schema::address::<BareJid>(key) else { return Ok(Some((key.to_vec(), 0))) };
        let removed = self.expire(trees, &account, now)?;
        Ok(Some((key.to_vec(), removed)))
    }

    /// Removes an account's written chunks that hold only messages that are too old; gives back how many.
    fn expire(&mut self, trees: &Trees, account: &BareJid, now: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        let mut changes = Changes::default();
        let mut chunks = WrittenChunks::new(trees, account);
        let ttl = self.limits.ttl;
        // Chunks are in order of time, so the first that holds something fresh ends the search.
        while let Some((chunk, written)) = chunks.next_chunk()? {
            let Some(messages) = written.messages_or_set_aside(trees)? else { continue };
            if messages.iter().any(|message| !is_expired(message.stamp, now, ttl)) {
                break;
            }
            written.keys.iter().for_each(|key| changes.remove(&trees.offline, key));
            removed += 1;
            if let Some(queue) = self.queues.get_mut(account) {
                queue.drop_chunk(chunk);
            }
        }
        changes.apply()?;
        Ok(removed)
    }

    /// The account's queue, read from the tree if it is not in memory.
    fn queue(&mut self, trees: &Trees, account: &BareJid) -> Result<&mut Queue, StoreError> {
        if !self.queues.contains_key(account) {
            self.make_room();
            let queue = Queue::load(trees, account)?;
            let newest = queue.chunks.last_key_value().map(|(chunk, _)| *chunk);
            self.next_chunk = self.next_chunk.max(newest.map_or(0, |chunk| chunk.saturating_add(1)));
            self.queues.insert(account.clone(), queue);
        }
        Ok(self.queues.entry(account.clone()).or_default())
    }

    /// Forgets what can be read again, if too much is in memory.
    fn make_room(&mut self) {
        let cached: usize = self.queues.values().map(|queue| queue.messages + QUEUE_WEIGHT).sum();
        if cached > CACHED_MESSAGES_MAX {
            self.queues.retain(|_, queue| queue.pending.is_some() || queue.chunks.values().any(|chunk| chunk.stale));
        }
    }

    fn write_pending(&mut self, trees: &Trees, account: &BareJid) -> Result<(), StoreError> {
        let Some(queue) = self.queues.get_mut(account) else { return Ok(()) };
        let Some(pending) = queue.pending.take() else { return Ok(()) };
        if pending.messages.is_empty() {
            return Ok(());
        }
        let parts = write_chunk(trees, account, pending.chunk, &pending.messages, 0)?;
        let left = pending.messages.iter().map(|message| (message.index, bytes_of(&message.stanza))).collect();
        queue.chunks.insert(pending.chunk, Chunk { left, parts, stale: false });
        Ok(())
    }
}

impl Queue {
    fn load(trees: &Trees, account: &BareJid) -> Result<Queue, StoreError> {
        let mut queue = Queue::default();
        for (number, written) in written_chunks(trees, account)? {
            let Some(messages) = written.messages_or_set_aside(trees)? else { continue };
            let left: Vec<(u16, u32)> = messages.iter().map(|m| (m.index, bytes_of(&m.stanza))).collect();
            queue.messages += left.len();
            queue.bytes += messages.iter().map(|message| message.stanza.len()).sum::<usize>();
            let parts = u16::try_from(written.values.len()).unwrap_or(u16::MAX);
            queue.chunks.insert(number, Chunk { left, parts, stale: false });
        }
        Ok(queue)
    }

    fn has_room(&self, bytes: usize, messages_max: usize) -> bool {
        self.messages < messages_max && self.bytes + bytes <= OFFLINE_BYTES_MAX
    }

    fn count_down(&mut self, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn drop_chunk(&mut self, number: u64) {
        let left = self.chunks.remove(&number).map(|chunk| chunk.left).unwrap_or_default();
        for (_, bytes) in left {
            self.count_down(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
    }

    fn rewrite_stale(&mut self, trees: &Trees, account: &BareJid) -> Result<(), StoreError> {
        for (number, written) in written_chunks(trees, account)? {
            let Some(chunk) = self.chunks.get_mut(&number).filter(|chunk| chunk.stale) else { continue };
            let Some(mut messages) = written.messages_or_set_aside(trees)? else { continue };
            messages.retain(|message| chunk.position(message.index).is_ok());
            chunk.parts = write_chunk(trees, account, number, &messages, chunk.parts)?;
            chunk.stale = false;
        }
        Ok(())
    }
}

impl Chunk {
    fn position(&self, index: u16) -> Result<usize, usize> {
        self.left.binary_search_by_key(&index, |(index, _)| *index)
    }
}

impl Pending {
    fn new(chunk: u64) -> Pending {
        Pending { chunk, next_index: 0, bytes: 0, messages: Vec::new() }
    }

    /// Takes a message back; gives its bytes.
    fn delete(&mut self, id: OfflineId) -> Option<usize> {
        if id.chunk != self.chunk {
            return None;
        }
        let position = self.messages.binary_search_by_key(&id.index, |message| message.index).ok()?;
        let bytes = self.messages.remove(position).stanza.len();
        self.bytes = self.bytes.saturating_sub(bytes + MESSAGE_OVERHEAD);
        Some(bytes)
    }
}

/// A chunk as it lies in the tree.
struct Written {
    keys: Vec<sled::IVec>,
    values: Vec<sled::IVec>,
}

impl Written {
    fn messages(&self) -> Option<Vec<Message<String>>> {
        decode_packed(&whole(&self.values)?, CHUNK_BYTES_MAX)
    }

    fn messages_or_set_aside(&self, trees: &Trees) -> Result<Option<Vec<Message<String>>>, StoreError> {
        let messages = self.messages();
        if messages.is_none() {
            for (key, value) in self.keys.iter().zip(&self.values) {
                set_aside(trees, &trees.offline, key, value)?;
            }
        }
        Ok(messages)
    }
}

/// Walks over an account's written chunks in order.
struct WrittenChunks {
    scan: std::iter::Peekable<sled::Iter>,
    prefix_len: usize,
}

impl WrittenChunks {
    fn new(trees: &Trees, account: &BareJid) -> WrittenChunks {
        let prefix = account_prefix(account);
        WrittenChunks { scan: trees.offline.scan_prefix(&prefix).peekable(), prefix_len: prefix.len() }
    }

    fn next_chunk(&mut self) -> Result<Option<(u64, Written)>, StoreError> {
        let mut written = Written { keys: Vec::new(), values: Vec::new() };
        let mut number = None;
        let prefix_len = self.prefix_len;
        let number_in = |key: &[u8]| key.get(prefix_len..).and_then(split_chunk_key).map(|(chunk, _)| chunk);
        loop {
            match self.scan.peek() {
                Some(Ok((key, _))) if number.is_none() || number == number_in(key) => {}
                Some(Err(error)) => return Err(error.clone().into()),
                Some(Ok(_)) | None => break,
            }
            let Some(pair) = self.scan.next() else { break };
            let (key, value) = pair?;
            let Some(chunk) = number_in(&key) else { continue };
            number = Some(chunk);
            written.keys.push(key);
            written.values.push(value);
        }
        Ok(number.map(|number| (number, written)))
    }
}

fn written_chunks(trees: &Trees, account: &BareJid) -> Result<Vec<(u64, Written)>, StoreError> {
    let mut walk = WrittenChunks::new(trees, account);
    let mut chunks = Vec::new();
    while let Some(chunk) = walk.next_chunk()? {
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// Writes a chunk over one that had `parts_before` parts; gives back how many it has now.
fn write_chunk(
    trees: &Trees,
    account: &BareJid,
    chunk: u64,
    messages: &Vec<Message<String>>,
    parts_before: u16,
) -> Result<u16, StoreError> {
    let mut changes = Changes::default();
    let mut count: u16 = 0;
    for value in parts(&encode_packed(messages)?) {
        changes.put(&trees.offline, chunk_key(account, chunk, count), value);
        count = count.saturating_add(1);
    }
    for part in count..parts_before {
        changes.remove(&trees.offline, &chunk_key(account, chunk, part));
    }
    changes.apply()?;
    Ok(count)
}

/// Is it a chunk of messages?
pub(super) fn is_chunk(whole: &[u8]) -> bool {
    decode_packed::<Vec<Message<String>>>(whole, CHUNK_BYTES_MAX).is_some()
}

/// How many messages and bytes wait in all; reads them all.
pub(super) fn totals(trees: &Trees) -> Result<(u64, u64), StoreError> {
    let (mut messages, mut bytes) = (0, 0);
    let mut after: Vec<u8> = Vec::new();
    while let Some(key) = trees.offline.range(after..).keys().next() {
        let key = key?;
        let account = split_key(&key).map_or(key.as_ref(), |(account, _)| account);
        if let Some(address) = super::schema::address::<BareJid>(account) {
            let mut walk = WrittenChunks::new(trees, &address);
            while let Some((_, written)) = walk.next_chunk()? {
                let chunk = written.messages().unwrap_or_default();
                messages += super::count(chunk.len());
                bytes += super::count(chunk.iter().map(|message| message.stanza.len()).sum());
            }
        }
        after = [account, &[1]].concat();
    }
    Ok((messages, bytes))
}

fn is_expired(stamp: Timestamp, now: Timestamp, ttl: Duration) -> bool {
    now.since(stamp) > ttl
}

fn bytes_of(stanza: &str) -> u32 {
    u32::try_from(stanza.len()).unwrap_or(u32::MAX)
}

/// When a pending chunk is full.
const CHUNK_BYTES: usize = 16 * 1024;

/// The most a chunk can be: nearly full, and then a message of the greatest size.
const CHUNK_BYTES_MAX: usize = 2 * CHUNK_BYTES + MESSAGE_BYTES_MAX;

/// What a message takes beside its stanza: place, stamp, length.
const MESSAGE_OVERHEAD: usize = 16;

/// The largest stanza: as large as any that is let in, with the delay stamp and the rest that the node adds.
const MESSAGE_BYTES_MAX: usize = STANZA_BYTES_MAX + 8 * 1024;

/// Messages whose places are kept in memory: 2 MiB.
const CACHED_MESSAGES_MAX: usize = 200_000;

/// What a queue takes by itself, counted in messages.
const QUEUE_WEIGHT: usize = 32;
