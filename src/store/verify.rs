//! Reads every record of every tree, as a new version should before it takes an old one's place. Nothing is changed.

use super::record::{decode, whole};
use super::schema::{SCHEMA_KEY, address, split_key};
use super::{Account, Peer, Store, StoreError, Visit, archive, offline, outgoing, pubsub, push, session};
use crate::dispatch::{CounterKey, Kept};
use crate::jid::{BareJid, Jid};
use crate::limits::RING_BYTES_MAX;
use crate::roster::{Item, Request};
use crate::stanza::Timestamp;
use crate::stream::TokenSlots;
use crate::trust::NodeDomain;

/// What reading everything brought to light.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Each tree, ordered by name.
    pub trees: Vec<TreeFigures>,
    /// Records that were set aside before, because they could not be read.
    pub set_aside: u64,
    /// Accounts whose key is named and not there.
    pub keys_missing: u64,
}

/// What is in one tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFigures {
    /// Its name.
    pub name: String,
    /// Values in it.
    pub records: u64,
    /// Those among them that cannot be read.
    pub damaged: u64,
    /// Does this version know what it is for? If not, its records are only counted.
    pub known: bool,
}

impl Verified {
    /// Is all of it as it should be? Records set aside earlier are no new damage.
    pub fn is_sound(&self) -> bool {
        self.keys_missing == 0 && self.trees.iter().all(|tree| tree.damaged == 0)
    }

    /// Values in all trees.
    pub fn records(&self) -> u64 {
        self.trees.iter().map(|tree| tree.records).sum()
    }
}

/// How the values of a tree are read.
#[derive(Clone, Copy)]
enum Reading {
    /// Each by itself, with its key.
    Each(fn(&[u8], &[u8]) -> bool),
    /// Things in parts, with their key without the part.
    Parts(fn(&[u8], &[u8]) -> bool),
    /// They are what could not be read.
    SetAside,
}

impl Store {
    /// Reads every record. `progress` is told how many have been read, every now and then.
    ///
    /// Errors: [`StoreError::Broken`] where the database itself fails.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verified, StoreError> {
        self.read(|shared| {
            let mut names = shared.db.tree_names();
            names.sort();
            let mut verified = Verified::default();
            for name in names {
                let name = String::from_utf8_lossy(&name).into_owned();
                let tree = shared.db.open_tree(&name)?;
                let reading = TREES.iter().find(|(known, _)| *known == name).map(|(_, reading)| *reading);
                if reading.is_none() && tree.is_empty() {
                    continue;
                }
                let before = verified.records();
                let figures = figures(name, &tree, reading, &mut |records| progress(before + records))?;
                if matches!(reading, Some(Reading::SetAside)) {
                    verified.set_aside = figures.records;
                }
                verified.trees.push(figures);
            }
            for pair in shared.trees.accounts.iter() {
                let fingerprint = decode::<Account>(&pair?.1).and_then(|account| account.fingerprint);
                if let Some(fingerprint) = fingerprint
                    && shared.trees.rings.scan_prefix(fingerprint).next().is_none()
                {
                    verified.keys_missing += 1;
                }
            }
            Ok(verified)
        })
    }
}

fn figures(
    name: String,
    tree: &sled::Tree,
    reading: Option<Reading>,
    progress: &mut dyn FnMut(u64),
) -> Result<TreeFigures, StoreError> {
    let mut figures = TreeFigures { name, records: 0, damaged: 0, known: reading.is_some() };
    let mut thing: (Vec<u8>, Vec<sled::IVec>) = (Vec::new(), Vec::new());
    for pair in tree.iter() {
        let (key, value) = pair?;
        figures.records += 1;
        if figures.records.is_multiple_of(PROGRESS_EVERY) {
            progress(figures.records);
        }
        match reading {
            None | Some(Reading::SetAside) => {}
            Some(Reading::Each(reads)) => figures.damaged += u64::from(!reads(&key, &value)),
            Some(Reading::Parts(reads)) => {
                let name = key.get(..key.len().saturating_sub(2)).unwrap_or_default();
                if name != thing.0.as_slice() {
                    figures.damaged += damaged_parts(&thing, reads);
                    thing = (name.to_vec(), Vec::new());
                }
                thing.1.push(value);
            }
        }
    }
    if let Some(Reading::Parts(reads)) = reading {
        figures.damaged += damaged_parts(&thing, reads);
    }
    progress(figures.records);
    Ok(figures)
}

/// All parts of a thing are damaged if it cannot be read.
fn damaged_parts((key, values): &(Vec<u8>, Vec<sled::IVec>), reads: fn(&[u8], &[u8]) -> bool) -> u64 {
    let fine = values.is_empty() || whole(values).is_some_and(|whole| reads(key, &whole));
    if fine { 0 } else { super::count(values.len()) }
}

fn reads_as<T: serde::de::DeserializeOwned>(value: &[u8]) -> bool {
    decode::<T>(value).is_some()
}

fn is_account(key: &[u8]) -> bool {
    address::<BareJid>(key).is_some()
}

/// `ACCOUNT 00` and something behind it that will do.
fn is_of_account(key: &[u8], behind: impl FnOnce(&[u8]) -> bool) -> bool {
    split_key(key).is_some_and(|(account, rest)| is_account(account) && behind(rest))
}

fn is_node(key: &[u8]) -> bool {
    std::str::from_utf8(key).is_ok_and(|name| NodeDomain::parse(name).is_ok())
}

/// `DOMAIN 00` and something behind it that will do.
fn is_of_node(key: &[u8], behind: impl FnOnce(&[u8]) -> bool) -> bool {
    split_key(key).is_some_and(|(node, rest)| is_node(node) && behind(rest))
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

/// How each tree is read. A new tree needs a line.
const TREES: &[(&str, Reading)] = &[
    (
        "node",
        Reading::Each(|key, value| match key {
            key if key == SCHEMA_KEY.as_bytes() => value.len() == 4,
            key if key.starts_with(b"secret/") => value.len() == 32,
            _ => false,
        }),
    ),
    ("accounts", Reading::Each(|key, value| is_account(key) && reads_as::<Account>(value))),
    ("rings", Reading::Parts(|key, ring| key.len() == 20 && ring.len() <= RING_BYTES_MAX)),
    (
        "roster",
        Reading::Each(|key, value| match split_key(key) {
            Some((account, [])) => is_account(account) && reads_as::<u64>(value),
            _ => is_of_account(key, is_account) && reads_as::<Item>(value),
        }),
    ),
    ("requests", Reading::Each(|key, value| is_of_account(key, is_account) && reads_as::<Request>(value))),
    ("blocked", Reading::Each(|key, _| is_of_account(key, |jid| address::<Jid>(jid).is_some()))),
    (
        "offline",
        Reading::Parts(|key, chunk| is_of_account(key, |number| number.len() == 8) && offline::is_chunk(chunk)),
    ),
    (
        "archive",
        Reading::Parts(|key, chunk| is_of_account(key, |number| number.len() == 8) && archive::is_chunk(chunk)),
    ),
    ("archive_preferences", Reading::Each(|key, value| is_account(key) && archive::is_choice(value))),
    ("farewells", Reading::Each(|key, value| is_of_account(key, is_account) && reads_as::<(bool, bool)>(value))),
    ("sessions", Reading::Parts(|key, session| is_of_account(key, is_text) && session::is_session(session))),
    (
        "tokens",
        Reading::Each(|key, value| is_of_account(key, |client| client.len() == 16) && reads_as::<TokenSlots>(value)),
    ),
    ("card", Reading::Each(|key, value| is_of_node(key, |part| part != b"card" || is_text(value)))),
    ("reach", Reading::Each(|key, value| is_node(key) && is_text(value))),
    ("edge", Reading::Each(|key, _| is_of_node(key, |kid| kid.len() == 32))),
    ("peer", Reading::Each(|key, value| is_node(key) && reads_as::<Peer>(value))),
    ("visitors", Reading::Each(|key, value| is_account(key) && reads_as::<Visit>(value))),
    ("kill", Reading::Each(|key, _| is_of_node(key, is_account))),
    ("meta", Reading::Each(|_, value| value.len() == 8)),
    ("push", Reading::Each(|key, value| is_of_account(key, is_text) && push::is_record(value))),
    ("undiscoverable", Reading::Each(|key, _| is_account(key))),
    ("resets", Reading::Each(|key, value| is_account(key) && reads_as::<Timestamp>(value))),
    ("disabled", Reading::Each(|key, value| is_account(key) && reads_as::<Timestamp>(value))),
    ("inactive", Reading::Each(|key, value| is_account(key) && reads_as::<u16>(value))),
    (
        "nodes",
        Reading::Each(|key, value| match split_key(key) {
            Some((account, [])) => is_account(account) && pubsub::is_usage(value),
            _ => is_of_account(key, is_text) && pubsub::is_record(value),
        }),
    ),
    ("items", Reading::Parts(|key, item| is_of_account(key, |_| true) && reads_as::<crate::pubsub::Item>(item))),
    ("item_ids", Reading::Each(|key, value| is_of_account(key, is_text) && reads_as::<u64>(value))),
    ("outgoing", Reading::Parts(|key, stanza| key.len() == 8 && outgoing::is_record(stanza))),
    ("dispatch", Reading::Each(|key, value| CounterKey::from_bytes(key).is_some() && reads_as::<Kept>(value))),
    ("damaged", Reading::SetAside),
];

/// Records between two words of progress.
const PROGRESS_EVERY: u64 = 1024;
