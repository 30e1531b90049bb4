//! A copy of everything as of one moment, taken while the node works.
//!
//! sled has no snapshots. So the trees are read while others write, and `changes`, by which all writing goes, tells which keys changed
//! meanwhile. These are read once more, and again, until few are left; then all writing stops for the moment it takes to read the
//! last few. Whoever puts the records of the copy in place in their order has the store as it was at that moment: each decision
//! whole, none from later.
//!
//! Nobody who writes waits for whoever takes the copy, however slow that is. (sled's own way to tell of changes, its subscribers, is
//! no help: it lets writers wait when nobody listens, and a listener of it can get stuck.) Limits: the keys that changed,
//! [`CHANGED_BYTES_MAX`] in memory; what is read at the end, [`LAST_BYTES_MAX`].

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Shared, Store, StoreError};

/// One record of a copy: the tree's name, the key, and the value, or that there is none any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The tree's name.
    pub tree: &'a str,
    /// The key in it.
    pub key: &'a [u8],
    /// The value; `None` takes back what an earlier record said.
    pub value: Option<&'a [u8]>,
}

/// Why there is no copy.
#[derive(Debug)]
pub enum CopyFault {
    /// The store failed.
    Store(StoreError),
    /// More changed than could be copied.
    TooBusy,
    /// Whoever takes the records did not.
    Taker(io::Error),
}

impl fmt::Display for CopyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyFault::Store(error) => error.fmt(f),
            CopyFault::TooBusy => f.write_str(
                "more is being written than could be copied (remedy: try again when less is going on, or write the copy to a faster place)",
            ),
            CopyFault::Taker(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CopyFault {}

impl From<StoreError> for CopyFault {
    fn from(error: StoreError) -> CopyFault {
        CopyFault::Store(error)
    }
}

impl Store {
    /// Gives out all records as of one moment, which is near the end of this call; see the head of this file. Sessions that wait
    /// over a restart are left out: what they hold is stored elsewhere too, and they are of no use later. Gives how many
    /// records it gave out. To be called where blocking does no harm.
    ///
    /// Errors: see [`CopyFault`].
    pub fn copy_out(&self, take: &mut dyn FnMut(Record<'_>) -> io::Result<()>) -> Result<u64, CopyFault> {
        let trees = self.read(|shared| {
            let mut trees = Vec::new();
            for name in shared.db.tree_names() {
                let name = String::from_utf8_lossy(&name).into_owned();
                if !LEFT_OUT.contains(&name.as_str()) {
                    trees.push((name.clone(), shared.db.open_tree(&name)?));
                }
            }
            Ok(trees)
        })?;
        let watch = Watch::start();
        let find = |name: &sled::IVec| trees.iter().find(|(known, _)| known.as_bytes() == name.as_ref());
        let mut given = 0;
        let mut give = |tree: &str, key: &[u8], value: Option<&[u8]>| {
            given += 1;
            take(Record { tree, key, value }).map_err(CopyFault::Taker)
        };
        for (name, tree) in &trees {
            for pair in tree.iter() {
                let (key, value) = self.shared.judge(pair.map_err(StoreError::from))?;
                give(name, &key, Some(&value))?;
            }
        }
        for _ in 0..ROUNDS_MAX {
            let changed = watch.take_changed()?;
            for (name, key) in &changed {
                let Some((name, tree)) = find(name) else { continue };
                let value = self.shared.judge(tree.get(key).map_err(StoreError::from))?;
                give(name, key, value.as_deref())?;
            }
            if changed.len() <= FEW {
                break;
            }
        }
        let last = |_: &Shared| {
            let Ok(changed) = watch.take_changed() else { return Ok(None) };
            let mut bytes = 0;
            let mut last = Vec::new();
            for (name, key) in changed {
                let Some((name, tree)) = find(&name) else { continue };
                let value = tree.get(&key)?;
                bytes += key.len() + value.as_ref().map_or(0, |value| value.len());
                last.push((name, key, value));
                if bytes > LAST_BYTES_MAX {
                    return Ok(None);
                }
            }
            Ok(Some(last))
        };
        let read = self.write(|shared, queues| {
            queues.write_all_pending(&shared.trees)?;
            last(shared)
        });
        let last = match read {
            // Where writing has failed nothing changes any more, and a copy is wanted all the more.
            Err(StoreError::Broken) if self.shared.commits.is_broken() => self.read(last)?,
            other => other?,
        };
        for (name, key, value) in last.ok_or(CopyFault::TooBusy)? {
            give(name, &key, value.as_deref())?;
        }
        Ok(given)
    }
}

/// Keys that changed: the tree's name, the key.
type Changed = BTreeSet<(sled::IVec, sled::IVec)>;

/// Notes the keys that change while it lives, of every store in the process; a key of another one is looked up in vain, and harms
/// nothing.
struct Watch(Arc<Noted>);

/// Keys, and their bytes with what holding them takes.
type Noted = Mutex<(Changed, usize)>;

impl Watch {
    fn start() -> Watch {
        let noted = Arc::new(Noted::default());
        watches().push(Arc::clone(&noted));
        WATCHES_COUNT.fetch_add(1, Ordering::SeqCst);
        Watch(noted)
    }

    /// What changed since the last call.
    fn take_changed(&self) -> Result<Changed, CopyFault> {
        let mut noted = locked(&self.0);
        if noted.1 > CHANGED_BYTES_MAX {
            return Err(CopyFault::TooBusy);
        }
        noted.1 = 0;
        Ok(std::mem::take(&mut noted.0))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        watches().retain(|other| !Arc::ptr_eq(other, &self.0));
        WATCHES_COUNT.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Is a copy being taken, so that changes are to be noted?
pub(super) fn is_watched() -> bool {
    WATCHES_COUNT.load(Ordering::SeqCst) > 0
}

/// A key has changed. Said behind the change, and by who writes in turn before the next one may write.
pub(super) fn note(tree: &sled::IVec, key: &[u8]) {
    for watch in watches().iter() {
        let mut noted = locked(watch);
        // Too many: the copy fails, whatever else comes.
        if noted.1 <= CHANGED_BYTES_MAX && noted.0.insert((tree.clone(), key.into())) {
            noted.1 += key.len() + KEY_OVERHEAD;
        }
    }
}

fn watches() -> MutexGuard<'static, Vec<Arc<Noted>>> {
    locked(&WATCHES)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static WATCHES: Mutex<Vec<Arc<Noted>>> = Mutex::new(Vec::new());
static WATCHES_COUNT: AtomicUsize = AtomicUsize::new(0);

/// Trees that are no part of a copy: sled's own default, which is empty, and sessions.
const LEFT_OUT: &[&str] = &["__sled__default", "sessions"];

/// So few changed keys are read while all writing waits.
const FEW: usize = 64;

/// How often changed keys are read before writing has to wait all the same.
const ROUNDS_MAX: usize = 20;

/// The most that is read while writing waits.
const LAST_BYTES_MAX: usize = 16 << 20;

/// Changed keys in memory, with what holding them takes.
const CHANGED_BYTES_MAX: usize = 32 << 20;
const KEY_OVERHEAD: usize = 64;
