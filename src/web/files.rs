//! Uploaded files on the disk.
//!
//! | Path in the directory | What |
//! |---|---|
//! | `OWNER/ID` | a whole file: a head of 256 bytes with its name and media type, then its content |
//! | `partial/NUMBER` | one that is being received |
//!
//! `OWNER` and `ID` are hexadecimal ([`OwnerTag`], [`FileKey`]); nothing that a client says is ever part of a path. A file is written
//! as a partial one, synced, and then renamed, so that what lies under an owner is whole. Partial files of an earlier life are
//! removed at the start. The file's own times say when it was made. All functions block.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::stanza::Timestamp;
use crate::upload::{FileKey, FileName, MediaType, OwnerTag, Usage};

/// The directory of uploaded files.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    /// So that a broken upload, which another thread may still be removing, and its repetition have names of their own.
    partials: AtomicU64,
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) name: FileName,
    pub(super) media_type: MediaType,
    /// May a browser show it, rather than save it?
    pub(super) shown: bool,
}

/// A whole file, open.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) about: About,
    /// Bytes of its content.
    pub(super) length: u64,
    file: File,
}

impl Stored {
    /// The file, to be read from this byte of its content on.
    pub(super) fn starting_at(mut self, first: u64) -> io::Result<File> {
        self.file.seek(SeekFrom::Start(first.saturating_add(HEAD_BYTES)))?;
        Ok(self.file)
    }
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files that were too old.
    pub expired: u64,
    /// Files whose account is no more.
    pub orphaned: u64,
}

impl Files {
    /// Opens the directory, making it if it is not there, and throws away what was not whole when the node ended.
    pub(super) fn open(dir: &Path) -> io::Result<Files> {
        let partial = dir.join(PARTIAL);
        DirBuilder::new().recursive(true).mode(0o700).create(&partial)?;
        for entry in fs::read_dir(&partial)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Files { dir: dir.to_owned(), partials: AtomicU64::new(0) })
    }

    /// What an owner's files take, and what is left of the disk.
    pub(super) fn usage(&self, owner: OwnerTag) -> io::Result<Usage> {
        let mut usage = Usage { free_bytes: self.free_bytes()?, ..Usage::default() };
        for (_, metadata) in files_in(&self.dir_of(owner))? {
            let made = metadata.modified().map(Timestamp::from_system)?;
            usage.files += 1;
            usage.bytes = usage.bytes.saturating_add(metadata.len().saturating_sub(HEAD_BYTES));
            usage.oldest = Some(usage.oldest.map_or(made, |oldest| oldest.min(made)));
        }
        Ok(usage)
    }

    /// Free bytes of the disk.
    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.dir)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Begins a file.
    pub(super) fn begin(&self, key: FileKey, about: &About) -> io::Result<Partial> {
        let number = self.partials.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(PARTIAL).join(number.to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let target = self.dir_of(key.owner).join(key.id());
        let mut partial = Partial { file, path, target, written: 0, whole: false };
        partial.file.write_all(&encode(about)?)?;
        Ok(partial)
    }

    /// A whole file; `None` if there is none.
    pub(super) fn read(&self, key: FileKey) -> io::Result<Option<Stored>> {
        let mut file = match File::open(self.dir_of(key.owner).join(key.id())) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut head = [0; HEAD];
        file.read_exact(&mut head)?;
        let about = decode(&head).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "its head cannot be read"))?;
        let length = file.metadata()?.len().saturating_sub(HEAD_BYTES);
        Ok(Some(Stored { about, length, file }))
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, key: FileKey) -> io::Result<()> {
        match fs::remove_file(self.dir_of(key.owner).join(key.id())) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes files older than `ttl`, and all of owners that are not `living`. That is asked only if there are owners here or among
    /// `others`, and after the directory was read, so that an owner who has just come is not taken for one who is gone; `None`: it
    /// cannot be told.
    pub(super) fn sweep(
        &self,
        now: SystemTime,
        ttl: Duration,
        others: &HashSet<OwnerTag>,
        living: impl FnOnce() -> Option<HashSet<OwnerTag>>,
    ) -> io::Result<Swept> {
        let mut owners = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            owners.extend(entry?.file_name().to_str().and_then(OwnerTag::parse));
        }
        let mut swept = Swept::default();
        if owners.is_empty() && others.is_empty() {
            return Ok(swept);
        }
        let living = living();
        for owner in owners {
            let lives = living.as_ref().is_none_or(|living| living.contains(&owner));
            for (path, metadata) in files_in(&self.dir_of(owner))? {
                // A file from the future was made before the clock was set.
                let age = now.duration_since(metadata.modified()?).unwrap_or_default();
                if lives && age < ttl {
                    continue;
                }
                fs::remove_file(path)?;
                if lives {
                    swept.expired += 1;
                } else {
                    swept.orphaned += 1;
                }
            }
            // Fails where there are files left, as it should.
            let _ = fs::remove_dir(self.dir_of(owner));
        }
        Ok(swept)
    }

    fn dir_of(&self, owner: OwnerTag) -> PathBuf {
        self.dir.join(owner.to_string())
    }
}

/// A file that is being received. Dropped before it is whole, it is gone.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    target: PathBuf,
    written: u64,
    whole: bool,
}

impl Partial {
    /// Appends to it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.written = self.written.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Bytes of its content so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Makes it a whole file that survives a power cut.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        let Some(dir) = self.target.parent() else { return Err(ErrorKind::InvalidInput.into()) };
        if let Err(error) = self.rename_into(dir) {
            // A sweep may have removed the empty directory a moment ago.
            if error.kind() != ErrorKind::NotFound {
                return Err(error);
            }
            self.rename_into(dir)?;
        }
        File::open(dir)?.sync_all()?;
        self.whole = true;
        Ok(())
    }

    fn rename_into(&self, dir: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => {
                if let Some(above) = dir.parent() {
                    File::open(above)?.sync_all()?;
                }
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        fs::rename(&self.path, &self.target)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.whole {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            log::warn!("a broken upload stays on the disk until the next start: {error}");
        }
    }
}

/// The files of a directory that may not be there.
fn files_in(dir: &Path) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) => files.push((entry.path(), metadata)),
            // A sweep came in between.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

fn encode(about: &About) -> io::Result<[u8; HEAD]> {
    let mut head = [0; HEAD];
    let (magic, rest) = head.split_at_mut(MAGIC.len());
    magic.copy_from_slice(MAGIC);
    // Names and media types are short enough.
    postcard::to_slice(about, rest).map_err(io::Error::other)?;
    Ok(head)
}

fn decode(head: &[u8; HEAD]) -> Option<About> {
    let record = head.strip_prefix(MAGIC)?;
    postcard::take_from_bytes(record).ok().map(|(about, _)| about)
}

const PARTIAL: &str = "partial";
/// Layout 1 of an uploaded file.
const MAGIC: &[u8] = b"KNU1";
const HEAD: usize = 256;
const HEAD_BYTES: u64 = 256;

#[cfg(test)]
mod tests {
    use super::super::tests::fresh_dir;
    use super::*;
    use crate::upload::KeySecret;

    fn owner(name: &str) -> OwnerTag {
        KeySecret::new([1; 32]).owner(&format!("{name}@a.example").parse().unwrap(), Timestamp { millis: 0 })
    }

    fn about() -> About {
        About { name: FileName::new("n").unwrap(), media_type: MediaType::parse("image/png").unwrap(), shown: true }
    }

    fn put(files: &Files, owner: OwnerTag, id: u8, content: &[u8]) -> FileKey {
        let key = FileKey::new(owner, [id; 16]);
        let mut partial = files.begin(key, &about()).unwrap();
        partial.write(content).unwrap();
        partial.finish().unwrap();
        key
    }

    #[test]
    fn a_file_comes_back_with_what_is_known_of_it() {
        let dir = fresh_dir("files-back");
        let files = Files::open(&dir).unwrap();
        let long = About {
            name: FileName::new(&"ü".repeat(500)).unwrap(),
            media_type: MediaType::parse(&format!("a/{}", "b".repeat(98))).unwrap(),
            shown: false,
        };
        let key = FileKey::new(owner("a"), [1; 16]);
        let mut partial = files.begin(key, &long).unwrap();
        assert!(files.read(key).unwrap().is_none());
        partial.write(b"hello ").unwrap();
        partial.write(b"world").unwrap();
        assert_eq!(partial.written(), 11);
        partial.finish().unwrap();
        let stored = Files::open(&dir).unwrap().read(key).unwrap().unwrap();
        assert_eq!((&stored.about, stored.length), (&long, 11));
        let mut content = String::new();
        stored.starting_at(6).unwrap().read_to_string(&mut content).unwrap();
        assert_eq!(content, "world");
        assert!(files.read(FileKey::new(owner("b"), [1; 16])).unwrap().is_none());
        let usage = files.usage(owner("a")).unwrap();
        assert_eq!((usage.files, usage.bytes), (1, 11));
        assert!(usage.oldest.is_some() && usage.free_bytes > 0);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_is_not_whole_leaves_nothing() {
        let dir = fresh_dir("files-partial");
        let files = Files::open(&dir).unwrap();
        let key = FileKey::new(owner("a"), [1; 16]);
        let mut partial = files.begin(key, &about()).unwrap();
        partial.write(b"half").unwrap();
        drop(partial);
        assert_eq!(fs::read_dir(dir.join(PARTIAL)).unwrap().count(), 0);
        // As a crash leaves it.
        std::mem::forget(files.begin(key, &about()).unwrap());
        assert_eq!(fs::read_dir(dir.join(PARTIAL)).unwrap().count(), 1);
        let files = Files::open(&dir).unwrap();
        assert_eq!(fs::read_dir(dir.join(PARTIAL)).unwrap().count(), 0);
        put(&files, owner("a"), 1, b"whole");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_sweep_takes_the_old_and_the_orphaned() {
        let dir = fresh_dir("files-sweep");
        let files = Files::open(&dir).unwrap();
        let (old, young) = (put(&files, owner("a"), 1, b"old"), put(&files, owner("a"), 2, b"young"));
        let orphan = put(&files, owner("b"), 3, b"orphan");
        let day = Duration::from_secs(86_400);
        let now = SystemTime::now();
        let path = files.dir_of(owner("a")).join(old.id());
        File::options().write(true).open(path).unwrap().set_modified(now - 31 * day).unwrap();
        let swept = files.sweep(now, 30 * day, &HashSet::new(), || None).unwrap();
        assert_eq!(swept, Swept { expired: 1, orphaned: 0 });
        let swept = files.sweep(now, 30 * day, &HashSet::new(), || Some(HashSet::from([owner("a")]))).unwrap();
        assert_eq!(swept, Swept { expired: 0, orphaned: 1 });
        let there = |key| files.read(key).unwrap().is_some();
        assert_eq!([old, young, orphan].map(there), [false, true, false]);
        assert!(!files.dir_of(owner("b")).exists());
        // Before the clock was set there is only the future.
        assert_eq!(files.sweep(SystemTime::UNIX_EPOCH, day, &HashSet::new(), || None).unwrap(), Swept::default());
        assert_eq!(files.sweep(now + 31 * day, 30 * day, &HashSet::new(), || None).unwrap().expired, 1);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn damage_is_told() {
        let dir = fresh_dir("files-damage");
        let files = Files::open(&dir).unwrap();
        let key = put(&files, owner("a"), 1, b"content");
        let path = files.dir_of(owner("a")).join(key.id());
        fs::write(&path, vec![b'x'; 1000]).unwrap();
        assert_eq!(files.read(key).unwrap_err().kind(), ErrorKind::InvalidData);
        fs::write(&path, b"KNU1").unwrap();
        assert_eq!(files.read(key).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        fs::remove_dir_all(dir).unwrap();
    }
}
