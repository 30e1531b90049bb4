//! All writing to the trees: changes that happen together or not at all, and single ones. Nothing else may write, for a copy that is
//! being taken (`snapshot`) must hear of every key that changes.

use std::collections::BTreeMap;

use sled::Batch;
use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional};

use super::{StoreError, snapshot};

/// What one decision changes. A later change of a key replaces an earlier one.
#[derive(Default)]
pub(super) struct Changes<'a> {
    batches: BTreeMap<sled::IVec, (&'a sled::Tree, Batch)>,
    /// What they change.
    keys: Vec<(&'a sled::Tree, sled::IVec)>,
}

impl<'a> Changes<'a> {
    pub(super) fn put(&mut self, tree: &'a sled::Tree, key: Vec<u8>, value: Vec<u8>) {
        let key = sled::IVec::from(key);
        self.keys.push((tree, key.clone()));
        self.batch(tree).insert(key, value);
    }

    pub(super) fn remove(&mut self, tree: &'a sled::Tree, key: &[u8]) {
        let key = sled::IVec::from(key);
        self.keys.push((tree, key.clone()));
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
        let keys = self.keys;
        let batches: Vec<(&sled::Tree, Batch)> = self.batches.into_values().collect();
        match batches.as_slice() {
            [] => return Ok(()),
            [(tree, batch)] => tree.apply_batch(batch.clone())?,
            several => {
                let trees: Vec<&sled::Tree> = several.iter().map(|(tree, _)| *tree).collect();
                let outcome = trees.as_slice().transaction(|views| {
                    for (view, (_, batch)) in views.iter().zip(several) {
                        view.apply_batch(batch)?;
                    }
                    Ok::<(), ConflictableTransactionError<()>>(())
                });
                match outcome {
                    Ok(()) => {}
                    Err(TransactionError::Storage(error)) => return Err(error.into()),
                    Err(TransactionError::Abort(())) => {
                        return Err(StoreError::Database("a transaction was given up".into()));
                    }
                }
            }
        }
        if snapshot::is_watched() {
            keys.iter().for_each(|(tree, key)| snapshot::note(&tree.name(), key));
        }
        Ok(())
    }

    fn batch(&mut self, tree: &'a sled::Tree) -> &mut Batch {
        &mut self.batches.entry(tree.name()).or_insert_with(|| (tree, Batch::default())).1
    }
}

/// Writes one record.
pub(super) fn put(tree: &sled::Tree, key: impl AsRef<[u8]>, value: impl Into<sled::IVec>) -> Result<(), StoreError> {
    tree.insert(&key, value)?;
    noted(tree, key.as_ref());
    Ok(())
}

/// Removes one record; says whether there was one.
pub(super) fn remove(tree: &sled::Tree, key: impl AsRef<[u8]>) -> Result<bool, StoreError> {
    let removed = tree.remove(&key)?.is_some();
    noted(tree, key.as_ref());
    Ok(removed)
}

/// Removes all records of a tree.
pub(super) fn clear(tree: &sled::Tree) -> Result<(), StoreError> {
    for key in tree.iter().keys() {
        remove(tree, key?)?;
    }
    Ok(())
}

fn noted(tree: &sled::Tree, key: &[u8]) {
    if snapshot::is_watched() {
        snapshot::note(&tree.name(), key);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// A copy that is being taken would not hear of it. While the store is opened, there is none.
    #[test]
    fn nobody_else_writes_to_a_tree() {
        let mut written = Vec::new();
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if !name.ends_with(".rs") || ["changes.rs", "load.rs", "migrate.rs", "open.rs"].contains(&name.as_str()) {
                continue;
            }
            let code = fs::read_to_string(&path).unwrap();
            for (number, line) in code.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).enumerate() {
                let writes =
                    ["insert", "remove", "clear", "apply_batch", "transaction", "fetch_and_update", "update_and_fetch"];
                let on_tree = |at: usize| {
                    let owner =
                        line[..at].rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').next().unwrap();
                    owner == "tree" || owner.contains("trees.")
                };
                if writes.iter().any(|word| line.match_indices(&format!(".{word}(")).any(|(at, _)| on_tree(at))) {
                    written.push(format!(
                        "{name}:{}: {}; say `changes::put`, or use `Changes`",
                        number + 1,
                        line.trim()
                    ));
                }
            }
        }
        assert!(written.is_empty(), "{}", written.join("\n"));
    }
}
