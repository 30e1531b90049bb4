//! Making the archive.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tar::{Builder, Header};

use super::{BackupFault, END, FILES, MANIFEST, Manifest, PART_BYTES, Progress, SOCKET, STORE, Summary, mark, verify};
use crate::stanza::Timestamp;
use crate::store::{CopyFault, Record, Store};

/// Writes the archive of a node's data to `out`. The server key must be among the files.
///
/// Errors: see [`BackupFault`]; those of `out` come as [`BackupFault::Target`] with an empty path.
pub fn write(
    store: &Store,
    data_dir: &Path,
    manifest: &Manifest,
    out: &mut dyn Write,
    progress: &mut Progress<'_>,
) -> Result<Summary, BackupFault> {
    let made = Timestamp::parse(&manifest.made).map_or(0, |made| made.secs());
    let mut archive = Archive { out: Builder::new(out), made, summary: Summary::default(), progress };
    archive.json(MANIFEST, manifest)?;
    archive.store(store)?;
    archive.directory(data_dir, Path::new(""))?;
    archive.json(END, &archive.summary.clone())?;
    archive.out.finish().map_err(target)?;
    Ok(archive.summary)
}

struct Archive<'a, 'p> {
    out: Builder<&'a mut dyn Write>,
    /// Seconds since 1970, for what is no file.
    made: u64,
    summary: Summary,
    progress: &'p mut Progress<'a>,
}

impl Archive<'_, '_> {
    fn store(&mut self, store: &Store) -> Result<(), BackupFault> {
        let (mut part, mut number) = (Vec::with_capacity(2 * PART_BYTES), 0);
        let records = store.copy_out(&mut |Record { tree, key, value }| {
            let gathered = std::mem::take(&mut part);
            part = postcard::to_extend(&(tree, key, value), gathered).map_err(io::Error::other)?;
            if part.len() >= PART_BYTES {
                number += 1;
                self.entry(&format!("{STORE}/{number:08}"), self.plain(), part.len() as u64, &mut part.as_slice())?;
                part.clear();
            }
            Ok(())
        });
        self.summary.records = records.map_err(|fault| match fault {
            CopyFault::Taker(error) => target(error),
            other => BackupFault::Copy(other),
        })?;
        if !part.is_empty() {
            let name = format!("{STORE}/{:08}", number + 1);
            self.entry(&name, self.plain(), part.len() as u64, &mut part.as_slice()).map_err(target)?;
        }
        Ok(())
    }

    /// The files in a directory, and those in the directories in it.
    fn directory(&mut self, data_dir: &Path, inner: &Path) -> Result<(), BackupFault> {
        let dir = data_dir.join(inner);
        let source = |error| BackupFault::Source(dir.clone(), error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&dir).map_err(source)? {
            names.push(entry.map_err(source)?.file_name());
        }
        names.sort();
        for name in names {
            let path = inner.join(&name);
            if is_passing(&path) {
                continue;
            }
            let Some(kind) = existing(&data_dir.join(&path), |path| fs::symlink_metadata(path))? else { continue };
            if kind.is_dir() {
                self.directory(data_dir, &path)?;
            } else if kind.is_file() {
                self.file(data_dir, &path)?;
            } else {
                self.summary.left_out += 1;
            }
        }
        Ok(())
    }

    fn file(&mut self, data_dir: &Path, path: &Path) -> Result<(), BackupFault> {
        let from = data_dir.join(path);
        let open = |path: &Path| {
            let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
            File::options().read(true).custom_flags(nofollow).open(path)
        };
        // It may have gone since the directory was read.
        let Some(file) = existing(&from, open)? else { return Ok(()) };
        let known = file.metadata().map_err(|error| BackupFault::Source(from.clone(), error))?;
        let mut whole = Whole { file, left: known.len(), failed: None };
        let name = Path::new(FILES).join(path);
        let name = name.to_str().ok_or_else(|| {
            BackupFault::Source(from.clone(), io::Error::new(io::ErrorKind::InvalidData, "its name is not UTF-8"))
        })?;
        let written = self.entry(name, stamped(known.mode(), known.mtime()), known.len(), &mut whole);
        if let Some(error) = whole.failed {
            return Err(BackupFault::Source(from, error));
        }
        written.map_err(target)?;
        self.summary.files += 1;
        Ok(())
    }

    fn json<T: serde::Serialize>(&mut self, name: &str, value: &T) -> Result<(), BackupFault> {
        let text = serde_json::to_vec_pretty(value).map_err(|error| target(error.into()))?;
        self.entry(name, self.plain(), text.len() as u64, &mut text.as_slice()).map_err(target)
    }

    fn plain(&self) -> Header {
        stamped(0o600, i64::try_from(self.made).unwrap_or_default())
    }

    fn entry(&mut self, name: &str, mut header: Header, bytes: u64, from: &mut dyn Read) -> io::Result<()> {
        header.set_size(bytes);
        self.out.append_data(&mut header, name, from)?;
        self.summary.bytes += bytes;
        (self.progress)(self.summary.bytes);
        Ok(())
    }
}

/// What is told of an entry besides its name: when a file was written tells how long an upload is kept.
fn stamped(mode: u32, modified: i64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode & 0o777);
    header.set_mtime(u64::try_from(modified).unwrap_or_default());
    header
}

/// As many bytes of a file as it had when it was opened, or an error of its own.
struct Whole {
    file: File,
    left: u64,
    failed: Option<io::Error>,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = match self.file.read(buffer.get_mut(..wanted).unwrap_or_default()) {
            Ok(0) if wanted > 0 => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read"))
            }
            other => other,
        };
        match read {
            Ok(count) => {
                self.left -= count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.failed = Some(error);
                Err(io::ErrorKind::Other.into())
            }
        }
    }
}

/// Is it of the moment only: the store, which is copied otherwise, the socket, what is half written?
fn is_passing(path: &Path) -> bool {
    let at_top = [STORE, SOCKET, mark::FILE_NAME, PARTIAL_UPLOADS].iter().any(|name| path == Path::new(name));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    at_top || name.ends_with(".new") || name.starts_with(verify::SCRATCH)
}

/// What is found at a path, or nothing where it is gone.
fn existing<T>(path: &Path, find: impl FnOnce(&Path) -> io::Result<T>) -> Result<Option<T>, BackupFault> {
    match find(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BackupFault::Source(path.to_owned(), error)),
    }
}

fn target(error: io::Error) -> BackupFault {
    BackupFault::Target(PathBuf::new(), error)
}

/// Where uploads lie that are being received.
const PARTIAL_UPLOADS: &str = "uploads/partial";
