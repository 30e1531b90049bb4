//! Counters of codes that went out (`dispatch`), under keyed hashes: what bounds the cost also after a restart.

use super::changes::{self, Changes};
use super::record::{decode_or_set_aside, encode};
use super::{Store, StoreError};
use crate::dispatch::{CounterKey, Kept};
use crate::router::Ticket;

impl Store {
    /// All counters that were kept. What cannot be read is set aside.
    pub fn dispatch_counters(&self) -> Result<Vec<(CounterKey, Kept)>, StoreError> {
        self.write(|shared, _| {
            let trees = &shared.trees;
            let mut kept = Vec::new();
            for pair in trees.dispatch.iter() {
                let (key, value) = pair?;
                let Some(counter) = decode_or_set_aside(trees, &trees.dispatch, &key, &value)? else { continue };
                match CounterKey::from_bytes(&key) {
                    Some(key) => kept.push((key, counter)),
                    // Of a kind that this program does not know; it counts nothing here.
                    None => drop(changes::remove(&trees.dispatch, &key)?),
                }
            }
            Ok(kept)
        })
    }

    /// Keeps counters, and lets those go that have no value any more. With none this is the ticket of what was written before.
    pub fn keep_dispatch_counters(&self, changed: &[(CounterKey, Option<Kept>)]) -> Result<Ticket, StoreError> {
        if changed.is_empty() {
            return Ok(self.last_written());
        }
        self.write(|shared, _| {
            let tree = &shared.trees.dispatch;
            let mut changes = Changes::default();
            for (key, kept) in changed {
                match kept {
                    Some(kept) => changes.put(tree, key.to_bytes().to_vec(), encode(kept)?),
                    None => changes.remove(tree, &key.to_bytes()),
                }
            }
            changes.apply()?;
            Ok(shared.commits.wrote())
        })
    }
}
