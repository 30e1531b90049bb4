//! Nodes and items of personal eventing, and what lies beside them: vCard and private data.
//!
//! One decision is a list of [`PepChange`]s that happen together. Each account has a share: a record of its use lies in front of
//! its nodes and is written with them. Names that begin with [`SHELF`] are no nodes: XML has no such character, so no peer can
//! name them; they hold what else an account keeps in items.

use serde::{Deserialize, Serialize};

use super::changes::Changes;
use super::record::{decode, decode_or_set_aside, encode, parts, set_aside, whole};
use super::schema::{Trees, account_prefix, contact_key, item_id_key, item_key, items_prefix};
use super::{Store, StoreError};
use crate::jid::BareJid;
use crate::limits;
use crate::pubsub::{AVATAR_DATA, AVATAR_METADATA, Item, Node, current_avatar};
use crate::router::Ticket;
use crate::xml::{ns, parse_document};

/// One change of one node. All are of the same account.
#[derive(Clone, Copy, Debug)]
pub enum PepChange<'a> {
    /// The node is like this from now on; it is made if it is not there. Items beyond what it keeps go, the oldest first.
    Save(&'a str, &'a Node),
    /// The same, and an item is published, replacing one of its name.
    Publish(&'a str, &'a Node, &'a Item),
    /// An item goes, if it is there.
    Retract(&'a str, &'a str),
    /// All items go.
    Purge(&'a str),
    /// The node goes, with its items.
    Delete(&'a str),
}

/// Begins the names of what is no node.
pub const SHELF: char = '\u{1}';

/// Where the vCard lies, without its picture.
pub const VCARD_SHELF: &str = "\u{1}vcard";
/// Its one item.
pub const VCARD_ITEM: &str = "vcard";
/// Where private XML lies, an item for each element ([`crate::pubsub::private_id`]).
pub const PRIVATE_SHELF: &str = "\u{1}private";

/// What [`PRIVATE_SHELF`] is like.
pub fn private_shelf() -> Node {
    let config =
        crate::pubsub::Config { max_items: limits::PEP_ITEMS_PER_NODE_MAX, ..crate::pubsub::Config::default() };
    Node { config, ..Node::default() }
}

/// A node as it is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    node: Node,
    /// How many items there are.
    items: u32,
    /// Numbers the items in the order they were published.
    next: u64,
}

/// What an account uses of its share.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Usage {
    bytes: u64,
    nodes: u32,
}

impl Store {
    /// A node, if there is one of this name.
    pub fn pep_node(&self, account: &BareJid, name: &str) -> Result<Option<Node>, StoreError> {
        self.read(|shared| Ok(record(&shared.trees, account, name)?.map(|record| record.node)))
    }

    /// All nodes, ordered by name. Shelves are not among them.
    pub fn pep_nodes(&self, account: &BareJid) -> Result<Vec<(String, Node)>, StoreError> {
        self.read(|shared| {
            let prefix = account_prefix(account);
            let mut nodes = Vec::new();
            for pair in shared.trees.nodes.scan_prefix(&prefix) {
                let (key, value) = pair?;
                let Some(name) = key.get(prefix.len()..).and_then(|name| std::str::from_utf8(name).ok()) else {
                    continue;
                };
                if name.is_empty() || name.starts_with(SHELF) {
                    continue;
                }
                if let Some(record) = decode_or_set_aside::<Record>(&shared.trees, &shared.trees.nodes, &key, &value)? {
                    nodes.push((name.to_owned(), record.node));
                }
            }
            Ok(nodes)
        })
    }

    /// Has the account any node or shelf? Quick: for looking through rosters.
    pub fn has_pep(&self, account: &BareJid) -> Result<bool, StoreError> {
        self.read(|shared| Ok(shared.trees.nodes.contains_key(account_prefix(account))?))
    }

    /// One item.
    pub fn pep_item(&self, account: &BareJid, node: &str, id: &str) -> Result<Option<Item>, StoreError> {
        self.read(|shared| {
            let prefix = items_prefix(account, node);
            match number_of(&shared.trees, &prefix, id)? {
                Some(number) => Ok(item(&shared.trees, &prefix, number)?.map(|(item, _)| item)),
                None => Ok(None),
            }
        })
    }

    /// The newest items of a node, at most so many and, but for the first, so many bytes; the oldest of them first.
    pub fn pep_items(
        &self,
        account: &BareJid,
        node: &str,
        items_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Item>, StoreError> {
        self.read(|shared| {
            let prefix = items_prefix(account, node);
            let mut found = Vec::new();
            let mut bytes = 0;
            for number in numbers(&shared.trees, &prefix)?.into_iter().rev().take(items_max) {
                let Some((item, size)) = item(&shared.trees, &prefix, number)? else { continue };
                bytes += size;
                if bytes > bytes_max && !found.is_empty() {
                    break;
                }
                found.push(item);
            }
            found.reverse();
            Ok(found)
        })
    }

    /// The item published last.
    pub fn pep_last_item(&self, account: &BareJid, node: &str) -> Result<Option<Item>, StoreError> {
        self.read(|shared| {
            let prefix = items_prefix(account, node);
            let Some(pair) = shared.trees.items.scan_prefix(&prefix).next_back() else { return Ok(None) };
            match number_in(&prefix, &pair?.0) {
                Some(number) => Ok(item(&shared.trees, &prefix, number)?.map(|(item, _)| item)),
                None => Ok(None),
            }
        })
    }

    /// The names of a node's items, the oldest first.
    pub fn pep_item_ids(&self, account: &BareJid, node: &str) -> Result<Vec<String>, StoreError> {
        self.read(|shared| {
            let prefix = items_prefix(account, node);
            let mut ids = Vec::new();
            for pair in shared.trees.item_ids.scan_prefix(&prefix) {
                let (key, value) = pair?;
                let id = key.get(prefix.len()..).and_then(|id| String::from_utf8(id.to_vec()).ok());
                if let (Some(id), Some(number)) = (id, decode::<u64>(&value)) {
                    ids.push((number, id));
                }
            }
            ids.sort_unstable();
            Ok(ids.into_iter().map(|(_, id)| id).collect())
        })
    }

    /// The SHA-1 of the account's picture: what its avatar nodes say, if the picture itself is there (XEP-0398 §3.1).
    pub(super) fn stored_avatar(&self, account: &BareJid) -> Result<Option<String>, StoreError> {
        if !self.has_pep(account)? {
            return Ok(None);
        }
        let Some(metadata) = self.pep_last_item(account, AVATAR_METADATA)? else { return Ok(None) };
        let Ok(metadata) = parse_document(&metadata.payload, ns::CLIENT, limits::STANZA_DEPTH_MAX) else {
            return Ok(None);
        };
        let Some((id, _)) = current_avatar(&metadata) else { return Ok(None) };
        let kept = self.read(|shared| number_of(&shared.trees, &items_prefix(account, AVATAR_DATA), id))?;
        Ok(kept.map(|_| id.to_ascii_lowercase()))
    }

    /// Makes the changes, all or none; no two of them may be of the same node.
    ///
    /// Errors: [`StoreError::Full`] where they would take the account over its share (`limits::PEP_BYTES_MAX`,
    /// `limits::PEP_NODES_MAX`), [`StoreError::NoAccount`].
    pub fn pep_change(&self, account: &BareJid, wanted: &[PepChange<'_>]) -> Result<Ticket, StoreError> {
        self.write(|shared, _| {
            let trees = &shared.trees;
            if !trees.accounts.contains_key(account.as_str())? {
                return Err(StoreError::NoAccount);
            }
            let mut writing = Writing { account, trees, changes: Changes::default(), usage: usage(trees, account)? };
            let before = (writing.usage.bytes, writing.usage.nodes);
            for change in wanted {
                writing.make(change)?;
            }
            let after = (writing.usage.bytes, writing.usage.nodes);
            let grown = after.0 > before.0 && after.0 > limits::PEP_BYTES_MAX;
            if grown || (after.1 > before.1 && after.1 > limits::PEP_NODES_MAX) {
                return Err(StoreError::Full);
            }
            if after.0 > before.0 && shared.space.is_short(&shared.dir) {
                return Err(StoreError::NoSpace);
            }
            let value = encode(&writing.usage)?;
            writing.changes.put(&trees.nodes, account_prefix(account), value);
            writing.changes.apply()?;
            Ok(shared.commits.wrote())
        })
    }
}

/// A transaction in the making.
struct Writing<'a> {
    account: &'a BareJid,
    trees: &'a Trees,
    changes: Changes<'a>,
    usage: Usage,
}

impl Writing<'_> {
    fn make(&mut self, change: &PepChange<'_>) -> Result<(), StoreError> {
        match *change {
            PepChange::Save(name, node) => self.publish(name, node, None),
            PepChange::Publish(name, node, item) => self.publish(name, node, Some(item)),
            PepChange::Retract(name, id) => self.retract(name, id),
            PepChange::Purge(name) => self.purge(name, false),
            PepChange::Delete(name) => self.purge(name, true),
        }
    }

    fn publish(&mut self, name: &str, node: &Node, item: Option<&Item>) -> Result<(), StoreError> {
        let prefix = items_prefix(self.account, name);
        let mut record = match record(self.trees, self.account, name)? {
            Some(record) => record,
            None => {
                self.usage.nodes = self.usage.nodes.saturating_add(1);
                Record::default()
            }
        };
        record.node = node.clone();
        let keeps = node.config.items_max();
        let mut replaced = None;
        if let Some(item) = item.filter(|_| keeps > 0) {
            replaced = number_of(self.trees, &prefix, &item.id)?;
            if let Some(number) = replaced {
                self.remove_parts(&prefix, number)?;
                record.items = record.items.saturating_sub(1);
            }
            self.put_item(&prefix, record.next, item)?;
            record.next = record.next.saturating_add(1);
            record.items = record.items.saturating_add(1);
        }
        if record.items > keeps {
            self.trim(&prefix, &mut record, keeps, replaced)?;
        }
        let value = encode(&record)?;
        self.changes.put(&self.trees.nodes, contact_key(self.account, name), value);
        Ok(())
    }

    /// The oldest items go. What was just replaced is gone already, what was just published is in no tree yet.
    fn trim(
        &mut self,
        prefix: &[u8],
        record: &mut Record,
        keeps: u32,
        replaced: Option<u64>,
    ) -> Result<(), StoreError> {
        for number in numbers(self.trees, prefix)?.into_iter().filter(|number| Some(*number) != replaced) {
            if record.items <= keeps {
                break;
            }
            if let Some((item, _)) = item(self.trees, prefix, number)? {
                self.changes.remove(&self.trees.item_ids, &item_id_key(prefix, &item.id));
            }
            self.remove_parts(prefix, number)?;
            record.items = record.items.saturating_sub(1);
        }
        Ok(())
    }

    fn retract(&mut self, name: &str, id: &str) -> Result<(), StoreError> {
        let prefix = items_prefix(self.account, name);
        let found = (record(self.trees, self.account, name)?, number_of(self.trees, &prefix, id)?);
        let (Some(mut record), Some(number)) = found else { return Ok(()) };
        self.changes.remove(&self.trees.item_ids, &item_id_key(&prefix, id));
        self.remove_parts(&prefix, number)?;
        record.items = record.items.saturating_sub(1);
        let value = encode(&record)?;
        self.changes.put(&self.trees.nodes, contact_key(self.account, name), value);
        Ok(())
    }

    fn purge(&mut self, name: &str, and_node: bool) -> Result<(), StoreError> {
        let prefix = items_prefix(self.account, name);
        let Some(mut record) = record(self.trees, self.account, name)? else { return Ok(()) };
        for number in numbers(self.trees, &prefix)? {
            self.remove_parts(&prefix, number)?;
        }
        self.changes.remove_all(&self.trees.item_ids, &prefix)?;
        let key = contact_key(self.account, name);
        if and_node {
            self.usage.nodes = self.usage.nodes.saturating_sub(1);
            self.changes.remove(&self.trees.nodes, &key);
        } else {
            record.items = 0;
            let value = encode(&record)?;
            self.changes.put(&self.trees.nodes, key, value);
        }
        Ok(())
    }

    fn put_item(&mut self, prefix: &[u8], number: u64, item: &Item) -> Result<(), StoreError> {
        let whole = encode(item)?;
        self.usage.bytes = self.usage.bytes.saturating_add(cost(whole.len()));
        for (part, value) in (0..).zip(parts(&whole)) {
            self.changes.put(&self.trees.items, item_key(prefix, number, part), value);
        }
        let number = encode(&number)?;
        self.changes.put(&self.trees.item_ids, item_id_key(prefix, &item.id), number);
        Ok(())
    }

    fn remove_parts(&mut self, prefix: &[u8], number: u64) -> Result<(), StoreError> {
        let mut bytes = 0;
        for pair in self.trees.items.scan_prefix(item_prefix(prefix, number)) {
            let (key, value) = pair?;
            bytes += value.len();
            self.changes.remove(&self.trees.items, &key);
        }
        // The first part begins with four bytes of length.
        self.usage.bytes = self.usage.bytes.saturating_sub(cost(bytes.saturating_sub(4)));
        Ok(())
    }
}

/// Is it what is kept of a node?
pub(super) fn is_record(value: &[u8]) -> bool {
    decode::<Record>(value).is_some()
}

/// Is it what an account uses of its share?
pub(super) fn is_usage(value: &[u8]) -> bool {
    decode::<Usage>(value).is_some()
}

/// An item of a few bytes takes more than these.
fn cost(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(ITEM_OVERHEAD)
}

fn usage(trees: &Trees, account: &BareJid) -> Result<Usage, StoreError> {
    let key = account_prefix(account);
    match trees.nodes.get(&key)? {
        Some(value) => Ok(decode_or_set_aside(trees, &trees.nodes, &key, &value)?.unwrap_or_default()),
        None => Ok(Usage::default()),
    }
}

fn record(trees: &Trees, account: &BareJid, name: &str) -> Result<Option<Record>, StoreError> {
    let key = contact_key(account, name);
    match trees.nodes.get(&key)? {
        Some(value) => decode_or_set_aside(trees, &trees.nodes, &key, &value),
        None => Ok(None),
    }
}

fn number_of(trees: &Trees, prefix: &[u8], id: &str) -> Result<Option<u64>, StoreError> {
    let key = item_id_key(prefix, id);
    match trees.item_ids.get(&key)? {
        Some(value) => decode_or_set_aside(trees, &trees.item_ids, &key, &value),
        None => Ok(None),
    }
}

/// The numbers of a node's items, the oldest first.
fn numbers(trees: &Trees, prefix: &[u8]) -> Result<Vec<u64>, StoreError> {
    let mut numbers = Vec::new();
    for key in trees.items.scan_prefix(prefix).keys() {
        if let Some(number) = number_in(prefix, &key?)
            && numbers.last() != Some(&number)
        {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

fn number_in(prefix: &[u8], key: &[u8]) -> Option<u64> {
    let (number, _) = key.get(prefix.len()..)?.split_first_chunk::<8>()?;
    Some(u64::from_be_bytes(*number))
}

fn item_prefix(prefix: &[u8], number: u64) -> Vec<u8> {
    [prefix, number.to_be_bytes().as_slice()].concat()
}

/// An item and its bytes. What cannot be read is set aside.
fn item(trees: &Trees, prefix: &[u8], number: u64) -> Result<Option<(Item, usize)>, StoreError> {
    let mut values = Vec::new();
    let mut keys = Vec::new();
    for pair in trees.items.scan_prefix(item_prefix(prefix, number)) {
        let (key, value) = pair?;
        keys.push(key);
        values.push(value);
    }
    let read = whole(&values).and_then(|bytes| Some((decode(&bytes)?, bytes.len())));
    if read.is_none() {
        for (key, value) in keys.iter().zip(&values) {
            set_aside(trees, &trees.items, key, value)?;
        }
    }
    Ok(read)
}

const ITEM_OVERHEAD: u64 = 64;
