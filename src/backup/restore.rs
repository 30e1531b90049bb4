//! From the archive to a data directory.

use std::cell::RefCell;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tar::{Archive, Entry};

use super::place::NewDir;
use super::{
    BackupFault, END, FILES, FORMAT, MANIFEST, Manifest, Mark, PART_BYTES_MAX, Progress, SERVER_KEY, SOCKET, STORE,
    Summary, mark,
};
use crate::age::{AgeError, Opener};
use crate::pgp::ServerKey;
use crate::stanza::Timestamp;
use crate::store::{Loader, Record, Store, Verified, schema_version};

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What the backup said of itself.
    pub manifest: Manifest,
    /// What it held.
    pub summary: Summary,
    /// What reading the restored store brought to light: damage that was in it when the backup was made.
    pub verified: Verified,
}

/// Restores a data directory, which must not be there yet or be empty. Everything is read and judged before it gets its name.
///
/// Errors: see [`BackupFault`]; what was begun is removed.
pub fn restore<R: Read>(
    backup: Opener<R>,
    data_dir: &Path,
    now: Timestamp,
    progress: &mut Progress<'_>,
) -> Result<Restored, BackupFault> {
    let dir = NewDir::begin(data_dir)?;
    let (manifest, summary, store) = unpack(backup, dir.part(), progress)?;
    check_server_key(dir.part(), &manifest)?;
    let verified = store.verify(&mut |_| ()).map_err(BackupFault::Store)?;
    store.close().map_err(BackupFault::Store)?;
    drop(store);
    let mark = Mark { made: manifest.made.clone(), restored: now.to_string() };
    let text = serde_json::to_vec(&mark).unwrap_or_default();
    write_file(&dir.part().join(mark::FILE_NAME), 0o600, None, &mut text.as_slice())?;
    dir.keep()?;
    Ok(Restored { manifest, summary, verified })
}

/// Unpacks an archive into an empty directory and opens the store in it. All of the backup was read and found to be whole.
fn unpack<R: Read>(
    backup: Opener<R>,
    dir: &Path,
    progress: &mut Progress<'_>,
) -> Result<(Manifest, Summary, Store), BackupFault> {
    let fault = Rc::new(RefCell::new(None));
    let mut archive = Archive::new(Watched { backup, fault: Rc::clone(&fault) });
    let mut unpacking = Unpacking::new(dir);
    let unpacked = unpacking.all(&mut archive, progress);
    // Behind the archive nothing is to come but the end, and that it is the end is to be seen too.
    let drained = io::copy(&mut archive.into_inner(), &mut io::sink());
    if let Some(error) = fault.take() {
        return Err(BackupFault::Age(error));
    }
    unpacked?;
    drained.map_err(|error| BackupFault::Source(PathBuf::from("the backup"), error))?;
    unpacking.finish()
}

/// The archive of a running node, which came through its control socket and is in no file, unpacked as a store in `dir` alone.
pub(super) fn unpack_store(archive: impl Read, dir: &Path, progress: &mut Progress<'_>) -> Result<Store, BackupFault> {
    let mut unpacking = Unpacking { store_only: true, ..Unpacking::new(dir) };
    let mut archive = Archive::new(archive);
    unpacking.all(&mut archive, progress)?;
    let drained = io::copy(&mut archive.into_inner(), &mut io::sink());
    drained.map_err(|error| BackupFault::Source(PathBuf::from("the running node's data"), error))?;
    unpacking.finish().map(|(_, _, store)| store)
}

/// Keeps what the backup's decryption complained of, which tar would tell in words of its own.
struct Watched<R: Read> {
    backup: Opener<R>,
    fault: Rc<RefCell<Option<AgeError>>>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.backup.read(buffer).inspect_err(|error| {
            if let Some(fault) = AgeError::of(error) {
                self.fault.borrow_mut().get_or_insert_with(|| fault.clone());
            }
        })
    }
}

struct Unpacking<'a> {
    dir: &'a Path,
    store_only: bool,
    manifest: Option<Manifest>,
    loader: Option<Loader>,
    found: Summary,
    end: Option<Summary>,
}

impl<'a> Unpacking<'a> {
    fn new(dir: &'a Path) -> Unpacking<'a> {
        Unpacking { dir, store_only: false, manifest: None, loader: None, found: Summary::default(), end: None }
    }

    fn all<R: Read>(&mut self, archive: &mut Archive<R>, progress: &mut Progress<'_>) -> Result<(), BackupFault> {
        let broken = |error: io::Error| not_whole(format!("the archive in it cannot be read: {error}"));
        for entry in archive.entries().map_err(broken)? {
            let mut entry = entry.map_err(broken)?;
            self.take(&mut entry)?;
            self.found.bytes += entry.size();
            progress(self.found.bytes);
        }
        Ok(())
    }

    fn take<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), BackupFault> {
        let path = entry.path().map_err(|error| not_whole(error.to_string()))?.into_owned();
        if !entry.header().entry_type().is_file() || self.end.is_some() {
            return Err(not_whole(format!("{} has no place in it", path.display())));
        }
        let Some(manifest) = &self.manifest else {
            if path != Path::new(MANIFEST) {
                return Err(not_whole("it does not begin like one".into()));
            }
            let manifest: Manifest = json(entry, &path)?;
            if manifest.format > FORMAT || manifest.schema > schema_version() {
                return Err(BackupFault::Newer(manifest.version));
            }
            self.loader = Some(Loader::new(&self.dir.join(STORE))?);
            self.manifest = Some(manifest);
            return Ok(());
        };
        log::trace!("{} of the backup of {}", path.display(), manifest.domain);
        if path.starts_with(STORE) {
            self.part(&small(entry, &path)?)
        } else if let Ok(inner) = path.strip_prefix(FILES) {
            self.found.files += 1;
            if self.store_only { Ok(()) } else { self.file(entry, inner) }
        } else if path == Path::new(END) {
            self.end = Some(json(entry, &path)?);
            Ok(())
        } else {
            Err(not_whole(format!("{} has no place in it", path.display())))
        }
    }

    fn part(&mut self, part: &[u8]) -> Result<(), BackupFault> {
        let Some(loader) = &mut self.loader else { return Err(not_whole("it does not begin like one".into())) };
        let mut rest = part;
        while !rest.is_empty() {
            type Fields<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);
            let ((tree, key, value), behind): (Fields<'_>, _) = postcard::take_from_bytes(rest)
                .map_err(|error| not_whole(format!("a part of the store cannot be read: {error}")))?;
            loader.put(Record { tree, key, value })?;
            self.found.records += 1;
            rest = behind;
        }
        Ok(())
    }

    fn file<R: Read>(&mut self, entry: &mut Entry<'_, R>, inner: &Path) -> Result<(), BackupFault> {
        let mut components = inner.components().peekable();
        let reserved = [STORE, SOCKET].iter().any(|name| inner.starts_with(name));
        if reserved || components.peek().is_none() || !components.all(|part| matches!(part, Component::Normal(_))) {
            return Err(not_whole(format!("a file cannot be named {}", inner.display())));
        }
        let path = self.dir.join(inner);
        if let Some(parent) = path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
            made.map_err(|error| BackupFault::Target(parent.to_owned(), error))?;
        }
        let mode = entry.header().mode().unwrap_or(0o600) & 0o777;
        let modified = UNIX_EPOCH + Duration::from_secs(entry.header().mtime().unwrap_or_default());
        write_file(&path, mode, Some(modified), entry)
    }

    fn finish(self) -> Result<(Manifest, Summary, Store), BackupFault> {
        let (Some(manifest), Some(loader), Some(end)) = (self.manifest, self.loader, self.end) else {
            return Err(not_whole("its end is missing".into()));
        };
        if (self.found.records, self.found.files) != (end.records, end.files) {
            return Err(not_whole(format!(
                "it has {} records and {} files instead of {} and {}",
                self.found.records, self.found.files, end.records, end.files
            )));
        }
        Ok((manifest, end, loader.finish()?))
    }
}

/// An entry that is read as a whole.
fn small<R: Read>(entry: &mut Entry<'_, R>, path: &Path) -> Result<Vec<u8>, BackupFault> {
    if entry.size() > PART_BYTES_MAX as u64 {
        return Err(not_whole(format!("{} is too large", path.display())));
    }
    let mut bytes = Vec::new();
    let read = entry.read_to_end(&mut bytes);
    read.map_err(|error| not_whole(format!("{} cannot be read: {error}", path.display())))?;
    Ok(bytes)
}

fn json<R: Read, T: serde::de::DeserializeOwned>(entry: &mut Entry<'_, R>, path: &Path) -> Result<T, BackupFault> {
    serde_json::from_slice(&small(entry, path)?).map_err(|error| not_whole(format!("{}: {error}", path.display())))
}

/// Writes a file that is not there yet. An error of either side counts as one of the disk's; one of the backup's is known otherwise.
fn write_file(path: &Path, mode: u32, modified: Option<SystemTime>, from: &mut dyn Read) -> Result<(), BackupFault> {
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).and_then(|mut file| {
        io::copy(from, &mut file)?;
        file.flush()?;
        modified.map_or(Ok(()), |modified| file.set_modified(modified))
    });
    written.map_err(|error| BackupFault::Target(path.to_owned(), error))
}

fn check_server_key(dir: &Path, manifest: &Manifest) -> Result<(), BackupFault> {
    let path = dir.join(SERVER_KEY);
    let bytes = fs::read(&path).map_err(|_| not_whole("the server key is missing".into()))?;
    let bytes = zeroize::Zeroizing::new(bytes);
    let key = ServerKey::from_bytes(&bytes).map_err(|error| not_whole(format!("the server key in it: {error}")))?;
    if key.fingerprint().to_string() != manifest.key {
        return Err(not_whole("the server key in it is another than it says".into()));
    }
    Ok(())
}

fn not_whole(why: String) -> BackupFault {
    BackupFault::NotWhole(why)
}
