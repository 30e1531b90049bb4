//! Changes to several trees that happen together or not at all.

use std::collections::BTreeMap;

use sled::Batch;
use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional};

use super::StoreError;

/// What one decision changes. A later change of a key replaces an earlier one.
#[derive(Default)]
pub(super) struct Changes<'a> {
    batches: BTreeMap<sled::IVec, (&'a sled::Tree, Batch)>,
}

impl<'a> Changes<'a> {
    pub(super) fn put(&mut self, tree: &'a sled::Tree, key: Vec<u8>, value: Vec<u8>) {
        self.batch(tree).insert(key, value);
    }

    pub(super) fn remove(&mut self, tree: &'a sled::Tree, key: &[u8]) {
        self.batch(tree).remove(key);
    }

    /// Removes all keys that begin so.
    pub(super) fn remove_all(&mut self, tree: &'a sled::Tree, prefix: &[u8]) -> Result<(), StoreError> {
        for key in tree.scan_prefix(prefix).keys() {
            self.remove(tree, &key?);
        }
        Ok(())
    }

    /// Is there nothing to be changed?
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Makes them, all or none: sled recovers either the whole batch or nothing of it.
    pub(super) fn apply(self) -> Result<(), StoreError> {
        let batches: Vec<(&sled::Tree, Batch)> = self.batches.into_values().collect();
        match batches.as_slice() {
            [] => Ok(()),
            [(tree, batch)] => Ok(tree.apply_batch(batch.clone())?),
            several => {
                let trees: Vec<&sled::Tree> = several.iter().map(|(tree, _)| *tree).collect();
                let outcome = trees.as_slice().transaction(|views| {
                    for (view, (_, batch)) in views.iter().zip(several) {
                        view.apply_batch(batch)?;
                    }
                    Ok::<(), ConflictableTransactionError<()>>(())
                });
                match outcome {
                    Ok(()) => Ok(()),
                    Err(TransactionError::Storage(error)) => Err(error.into()),
                    Err(TransactionError::Abort(())) => Err(StoreError::Database("a transaction was given up".into())),
                }
            }
        }
    }

    fn batch(&mut self, tree: &'a sled::Tree) -> &mut Batch {
        &mut self.batches.entry(tree.name()).or_insert_with(|| (tree, Batch::default())).1
    }
}
