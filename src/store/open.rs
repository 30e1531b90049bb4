//! Opening the database: making it, locking it, refusing what is newer, telling what is damaged.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::OpenError;
use super::migrate::{STEPS, Step, steps_from};
use super::schema::{SCHEMA_KEY, Trees, VERSION};

/// What opening gives.
pub(super) struct Opened {
    pub(super) db: sled::Db,
    pub(super) trees: Trees,
    pub(super) data_file: File,
}

/// Opens the database in `dir`, making it if it is not there; waits so long for a previous owner to let go.
pub(super) fn open(dir: &Path, lock_patience: Duration) -> Result<Opened, OpenError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| io_error(dir, &error))?;
    sync_what_a_killed_owner_wrote(dir)?;
    let db = open_or_mend(dir, lock_patience)?;
    let data_path = dir.join("db");
    let data_file = File::open(&data_path).map_err(|error| io_error(&data_path, &error))?;
    let trees = guarded(dir, || Trees::open(&db))?;
    check_schema(dir, &db, &trees, &data_file, STEPS)?;
    Ok(Opened { db, trees, data_file })
}

/// Makes an empty database in `dir`, without a schema version yet.
pub(super) fn create(dir: &Path) -> Result<sled::Db, OpenError> {
    if dir.exists() {
        return Err(OpenError::Io { path: dir.to_owned(), error: "it is there already".into() });
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| io_error(dir, &error))?;
    open_database(dir, Duration::ZERO)
}

/// Syncs what sled does not: its data, its configuration, the directory.
pub(super) fn sync(dir: &Path) -> Result<(), OpenError> {
    for path in [dir.join("conf"), dir.join("db"), dir.to_owned(), parent(dir)] {
        let synced = File::open(&path).and_then(|file| file.sync_all());
        synced.map_err(|error| io_error(&path, &error))?;
    }
    Ok(())
}

/// Opens, and if that fails for damage once more without sled's snapshots, which only shorten the reading of the log: first
/// without one that was being made when the process died, then without any.
fn open_or_mend(dir: &Path, lock_patience: Duration) -> Result<sled::Db, OpenError> {
    let mut outcome = open_database(dir, lock_patience);
    for suffix in [".generating", ""] {
        let Err(OpenError::Damaged { cause, .. }) = &outcome else { break };
        if set_snapshots_aside(dir, suffix)? {
            log::warn!(
                "store: {}: {cause}; opening again without its snapshots, now in the directory set-aside (remedy: check the disk)",
                dir.display()
            );
            outcome = open_database(dir, lock_patience);
        }
    }
    outcome
}

/// sled writes a snapshot while it opens and syncs that at once; the log it summarises must not be younger on disk.
fn sync_what_a_killed_owner_wrote(dir: &Path) -> Result<(), OpenError> {
    let path = dir.join("db");
    match File::open(&path) {
        Ok(file) => file.sync_data().map_err(|error| io_error(&path, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error(&path, &error)),
    }
}

fn open_database(dir: &Path, lock_patience: Duration) -> Result<sled::Db, OpenError> {
    let config = sled::Config::new()
        .path(dir)
        .mode(sled::Mode::LowSpace)
        .cache_capacity(CACHE_BYTES)
        .segment_size(SEGMENT_BYTES)
        // The committer decides when; sled's own flusher would wake up and sync twice a second for nothing.
        .flush_every_ms(None);
    let give_up = Instant::now() + lock_patience;
    loop {
        match guarded(dir, || config.open()) {
            // An owner that was killed a moment ago may still hold the lock.
            Err(OpenError::InUse { .. }) if Instant::now() < give_up => std::thread::sleep(LOCK_POLL),
            other => return other,
        }
    }
}

/// Runs a part of opening: sled panics on some damage and reports other.
fn guarded<T>(dir: &Path, work: impl FnOnce() -> sled::Result<T>) -> Result<T, OpenError> {
    let damaged = |cause: String| OpenError::Damaged { dir: dir.to_owned(), cause };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(sled::Error::Io(error))) => Err(match error.kind() {
            // sled tells of the lock in words only.
            _ if error.to_string().contains("could not acquire lock") => OpenError::InUse { dir: dir.to_owned() },
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => damaged(error.to_string()),
            _ => io_error(dir, &error),
        }),
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(_) => Err(damaged("sled gave up while reading it".into())),
    }
}

/// Moves snapshots whose names end so out of the way; says whether there were any.
fn set_snapshots_aside(dir: &Path, suffix: &str) -> Result<bool, OpenError> {
    let mut moved = false;
    for file in fs::read_dir(dir).map_err(|error| io_error(dir, &error))? {
        let file = file.map_err(|error| io_error(dir, &error))?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name.starts_with("snap.") && name.ends_with(suffix) {
            let aside: PathBuf = dir.join("set-aside");
            fs::create_dir_all(&aside).map_err(|error| io_error(&aside, &error))?;
            fs::rename(file.path(), aside.join(&name)).map_err(|error| io_error(&file.path(), &error))?;
            moved = true;
        }
    }
    Ok(moved)
}

/// Stamps a new database with the schema version, brings an older one to it by these steps, and refuses one that is newer.
fn check_schema(dir: &Path, db: &sled::Db, trees: &Trees, data_file: &File, steps: &[Step]) -> Result<(), OpenError> {
    let damaged = |cause: &str| OpenError::Damaged { dir: dir.to_owned(), cause: cause.to_owned() };
    match guarded(dir, || trees.node.get(SCHEMA_KEY))? {
        Some(value) => match <[u8; 4]>::try_from(value.as_ref()).map(u32::from_be_bytes) {
            Ok(VERSION) => Ok(()),
            Ok(found) if found > VERSION => Err(OpenError::Newer { dir: dir.to_owned(), found, known: VERSION }),
            Ok(found) => {
                let Some(steps) = steps_from(found, steps) else {
                    return Err(damaged(&format!("it has schema {found}, which never was")));
                };
                for step in steps {
                    guarded(dir, || step(trees))?;
                }
                // What the steps wrote must not be younger on disk than the stamp.
                guarded(dir, || db.flush())?;
                data_file.sync_all().map_err(|error| io_error(dir, &error))?;
                stamp(dir, db, trees, data_file)?;
                log::info!("store: {} was brought from schema {found} to {VERSION}", dir.display());
                Ok(())
            }
            Err(_) => Err(damaged("its schema version cannot be read")),
        },
        None if !trees.accounts.is_empty() => Err(damaged("its schema version is missing")),
        None => {
            // sled syncs neither its configuration nor the directory. The stamp comes last: a database that has it has all.
            sync(dir)?;
            stamp(dir, db, trees, data_file)
        }
    }
}

fn stamp(dir: &Path, db: &sled::Db, trees: &Trees, data_file: &File) -> Result<(), OpenError> {
    guarded(dir, || trees.node.insert(SCHEMA_KEY, &VERSION.to_be_bytes()).and_then(|_| db.flush()))?;
    data_file.sync_all().map_err(|error| io_error(dir, &error))
}

fn parent(dir: &Path) -> PathBuf {
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn io_error(path: &Path, error: &io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), error: error.to_string() }
}

/// sled's page cache. Its own default is 1 GiB.
const CACHE_BYTES: u64 = 4 << 20;

/// A segment of sled's log; cannot be changed later. With it no page of values up to 24 KiB goes to a file of its own.
const SEGMENT_BYTES: usize = 2 << 20;

/// How long to wait for a previous owner's lock.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// How often to ask for it.
const LOCK_POLL: Duration = Duration::from_millis(50);
