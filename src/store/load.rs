//! A store made of the records of a copy.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::schema::VERSION;
use super::snapshot::Record;
use super::{OpenError, Store, open};

/// A database that is being filled. It becomes a store with [`Loader::finish`].
pub struct Loader {
    dir: PathBuf,
    db: sled::Db,
    tree: Option<(String, sled::Tree)>,
    trees: usize,
    unflushed: usize,
}

impl Loader {
    /// Makes an empty database in `dir`.
    ///
    /// Errors: see [`OpenError`]; also if there is one already.
    pub fn new(dir: &Path) -> Result<Loader, OpenError> {
        let db = open::create(dir)?;
        Ok(Loader { dir: dir.to_owned(), db, tree: None, trees: 0, unflushed: 0 })
    }

    /// Puts one record in place.
    ///
    /// Errors: those of the disk, and records that no copy has.
    pub fn put(&mut self, record: Record<'_>) -> Result<(), OpenError> {
        if self.tree.as_ref().is_none_or(|(name, _)| name != record.tree) {
            self.choose(record.tree)?;
        }
        let Some((_, tree)) = &self.tree else { return Ok(()) };
        self.unflushed += record.key.len() + record.value.map_or(0, <[u8]>::len);
        guarded(&self.dir, || match record.value {
            Some(value) => tree.insert(record.key, value),
            None => tree.remove(record.key),
        })?;
        if self.unflushed > FLUSH_BYTES {
            self.unflushed = 0;
            guarded(&self.dir, || self.db.flush())?;
        }
        Ok(())
    }

    /// All records are there: syncs them and opens the store, which migrates it if it is of an older schema.
    ///
    /// Errors: see [`OpenError`].
    pub fn finish(self) -> Result<Store, OpenError> {
        let Loader { dir, db, tree, .. } = self;
        guarded(&dir, || db.flush())?;
        drop(tree);
        // sled writes once more while it closes.
        let closed = catch_unwind(AssertUnwindSafe(|| drop(db)));
        closed.map_err(|_| OpenError::Io { path: dir.clone(), error: "the database could not be written".into() })?;
        open::sync(&dir)?;
        Store::open(&dir)
    }

    fn choose(&mut self, name: &str) -> Result<(), OpenError> {
        self.trees += 1;
        let fits = name.len() <= TREE_NAME_BYTES_MAX && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if !fits || self.db.tree_names().len() > TREES_MAX {
            return Err(OpenError::Damaged { dir: self.dir.clone(), cause: format!("it cannot have a tree {name:?}") });
        }
        let tree = guarded(&self.dir, || self.db.open_tree(name))?;
        self.tree = Some((name.to_owned(), tree));
        Ok(())
    }
}

/// The schema version of the stores that this program writes.
pub const fn schema_version() -> u32 {
    VERSION
}

/// A write to a new database: it fails for want of space, nothing else, and sled says that in several ways.
fn guarded<T>(dir: &Path, work: impl FnOnce() -> sled::Result<T>) -> Result<T, OpenError> {
    let fault = |error: String| OpenError::Io { path: dir.to_owned(), error };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(sled::Error::Io(error))) => Err(fault(error.to_string())),
        Ok(Err(error)) => Err(fault(error.to_string())),
        Err(_) => Err(fault(io::Error::other("the database could not be written").to_string())),
    }
}

/// How much gathers in sled before it is told to write.
const FLUSH_BYTES: usize = 4 << 20;

const TREE_NAME_BYTES_MAX: usize = 64;
const TREES_MAX: usize = 256;
