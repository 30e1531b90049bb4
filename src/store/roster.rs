//! Rosters, waiting requests and block lists in the trees.

use super::StoreError;
use super::changes::Changes;
use super::record::{decode_or_set_aside, encode};
use super::schema::{Trees, account_prefix, address, contact_key};
use crate::jid::{BareJid, Jid};
use crate::roster::{BlockList, Entry, Item, Request, Roster};

/// The whole roster, items and waiting requests merged by contact.
pub(super) fn roster(trees: &Trees, account: &BareJid) -> Result<Roster, StoreError> {
    let mut entries = std::collections::BTreeMap::<BareJid, Entry>::new();
    for (contact, item) in scan::<Item>(trees, &trees.roster, account)? {
        entries.entry(contact).or_default().item = Some(item);
    }
    for (contact, request) in scan::<Request>(trees, &trees.requests, account)? {
        entries.entry(contact).or_default().request = Some(request);
    }
    Ok(Roster { version: version(trees, account)?, entries: entries.into_iter().collect() })
}

/// What is known of one contact.
pub(super) fn entry(trees: &Trees, account: &BareJid, contact: &BareJid) -> Result<Entry, StoreError> {
    let key = contact_key(account, contact.as_str());
    Ok(Entry { item: get(trees, &trees.roster, &key)?, request: get(trees, &trees.requests, &key)? })
}

/// Replaces what is known of one contact, and gives back the roster's version.
pub(super) fn save_entry(
    trees: &Trees,
    account: &BareJid,
    contact: &BareJid,
    entry: &Entry,
    bump: bool,
) -> Result<u64, StoreError> {
    let key = contact_key(account, contact.as_str());
    let mut changes = Changes::default();
    replace(&mut changes, &trees.roster, &key, entry.item.as_ref())?;
    replace(&mut changes, &trees.requests, &key, entry.request.as_ref())?;
    let mut version = version(trees, account)?;
    if bump {
        version = version.saturating_add(1);
        put_version(&mut changes, trees, account, version)?;
    }
    changes.apply()?;
    Ok(version)
}

/// The roster's version; 0 before the first change.
pub(super) fn version(trees: &Trees, account: &BareJid) -> Result<u64, StoreError> {
    Ok(get(trees, &trees.roster, &account_prefix(account))?.unwrap_or(0))
}

/// Sets the roster's version.
pub(super) fn put_version<'a>(
    changes: &mut Changes<'a>,
    trees: &'a Trees,
    account: &BareJid,
    version: u64,
) -> Result<(), StoreError> {
    changes.put(&trees.roster, account_prefix(account), encode(&version)?);
    Ok(())
}

/// The block list.
pub(super) fn block_list(trees: &Trees, account: &BareJid) -> Result<BlockList, StoreError> {
    let prefix = account_prefix(account);
    let mut list = BlockList::default();
    for key in trees.blocked.scan_prefix(&prefix).keys() {
        if let Some(jid) = key?.get(prefix.len()..).and_then(address::<Jid>) {
            list.blocked.insert(jid);
        }
    }
    Ok(list)
}

/// Replaces the block list, writing what differs only.
pub(super) fn save_block_list(trees: &Trees, account: &BareJid, list: &BlockList) -> Result<(), StoreError> {
    let before = block_list(trees, account)?;
    let mut changes = Changes::default();
    for gone in before.blocked.difference(&list.blocked) {
        changes.remove(&trees.blocked, &contact_key(account, &gone.to_string()));
    }
    for new in list.blocked.difference(&before.blocked) {
        changes.put(&trees.blocked, contact_key(account, &new.to_string()), Vec::new());
    }
    changes.apply()
}

/// All records of one account in a tree keyed by contact. What cannot be read is set aside and left out.
pub(super) fn scan<T: serde::de::DeserializeOwned>(
    trees: &Trees,
    tree: &sled::Tree,
    account: &BareJid,
) -> Result<Vec<(BareJid, T)>, StoreError> {
    let prefix = account_prefix(account);
    let mut records = Vec::new();
    for pair in tree.scan_prefix(&prefix) {
        let (key, value) = pair?;
        let rest = key.get(prefix.len()..).unwrap_or_default();
        if rest.is_empty() {
            continue; // The version.
        }
        match address(rest) {
            Some(contact) => {
                if let Some(record) = decode_or_set_aside(trees, tree, &key, &value)? {
                    records.push((contact, record));
                }
            }
            None => super::record::set_aside(trees, tree, &key, &value)?,
        }
    }
    Ok(records)
}

fn get<T: serde::de::DeserializeOwned>(trees: &Trees, tree: &sled::Tree, key: &[u8]) -> Result<Option<T>, StoreError> {
    match tree.get(key)? {
        Some(value) => decode_or_set_aside(trees, tree, key, &value),
        None => Ok(None),
    }
}

fn replace<'a, T: serde::Serialize>(
    changes: &mut Changes<'a>,
    tree: &'a sled::Tree,
    key: &[u8],
    record: Option<&T>,
) -> Result<(), StoreError> {
    let before = tree.get(key)?;
    match record.map(encode).transpose()? {
        Some(value) if before.as_deref() == Some(value.as_slice()) => {}
        Some(value) => changes.put(tree, key.to_vec(), value),
        None if before.is_some() => changes.remove(tree, key),
        None => {}
    }
    Ok(())
}
