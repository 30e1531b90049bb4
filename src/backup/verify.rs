//! A store to look at: a copy, which may be opened and even migrated by a newer version while the old one's data stay as they are.

use std::fs::{self, DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::restore::unpack_store;
use super::{BackupFault, Progress, STORE};
use crate::store::Store;

/// A directory beside the data that is removed when this is dropped.
pub struct Scratch(PathBuf);

/// Makes one in `data_dir`, where there is room and the same owner.
///
/// Errors: [`BackupFault::Target`].
pub fn scratch_dir(data_dir: &Path) -> Result<Scratch, BackupFault> {
    remove_leftovers(data_dir);
    let path = data_dir.join(format!("{SCRATCH}{}", std::process::id()));
    let made = DirBuilder::new().mode(0o700).create(&path);
    made.map_err(|error| BackupFault::Target(path.clone(), error))?;
    Ok(Scratch(path))
}

impl Scratch {
    /// A copy of the store of a node that does not run, opened.
    ///
    /// Errors: [`BackupFault::Running`], [`BackupFault::NoData`], and those of files and stores.
    pub fn copy_stopped(&self, data_dir: &Path, progress: &mut Progress<'_>) -> Result<Store, BackupFault> {
        let from = data_dir.join(STORE);
        let path = from.join("db");
        let data = File::open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => BackupFault::NoData(data_dir.to_owned()),
            _ => BackupFault::Source(path.clone(), error),
        })?;
        // The lock that sled takes: nobody opens it while it is copied.
        flock(&data, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| BackupFault::Running(data_dir.to_owned()))?;
        let to = self.0.join(STORE);
        let mut bytes = 0;
        copy_files(&from, &to, &mut bytes, progress)?;
        Ok(Store::open(&to)?)
    }

    /// A copy of the store of a running node, from its archive.
    ///
    /// Errors: those of the archive, and of stores.
    pub fn unpack(&self, archive: impl Read, progress: &mut Progress<'_>) -> Result<Store, BackupFault> {
        unpack_store(archive, &self.0, progress)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Those of processes that were killed hold what users write to each other.
fn remove_leftovers(data_dir: &Path) {
    for entry in fs::read_dir(data_dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(SCRATCH)).and_then(|id| id.parse::<i32>().ok());
        let gone = process.and_then(rustix::process::Pid::from_raw).is_some_and(|id| {
            id.as_raw_nonzero().get().cast_unsigned() == std::process::id()
                || rustix::process::test_kill_process(id) == Err(rustix::io::Errno::SRCH)
        });
        if gone {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn copy_files(from: &Path, to: &Path, bytes: &mut u64, progress: &mut Progress<'_>) -> Result<(), BackupFault> {
    let source = |error| BackupFault::Source(from.to_owned(), error);
    let target = |error| BackupFault::Target(to.to_owned(), error);
    DirBuilder::new().mode(0o700).create(to).map_err(target)?;
    for entry in fs::read_dir(from).map_err(source)? {
        let entry = entry.map_err(source)?;
        let kind = entry.file_type().map_err(source)?;
        if kind.is_dir() {
            copy_files(&entry.path(), &to.join(entry.file_name()), bytes, progress)?;
        } else if kind.is_file() {
            *bytes += fs::copy(entry.path(), to.join(entry.file_name())).map_err(target)?;
            progress(*bytes);
        }
    }
    Ok(())
}

/// What the names of such directories begin with.
pub(super) const SCRATCH: &str = ".scratch-";
