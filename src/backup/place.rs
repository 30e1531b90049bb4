//! New files and directories that get their name when they are whole, and never take the place of another.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::BackupFault;

/// A file that only its owner can read, under another name until [`NewFile::keep`]; gone if that never comes.
pub struct NewFile {
    path: PathBuf,
    part: PathBuf,
    file: File,
    kept: bool,
}

impl NewFile {
    /// Begins it.
    ///
    /// Errors: [`BackupFault::Exists`], [`BackupFault::Target`].
    pub fn begin(path: &Path) -> Result<NewFile, BackupFault> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(BackupFault::Exists(path.to_owned()));
        }
        let part = beside(path, &format!("part-{}", std::process::id()));
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        let file = opened.map_err(|error| BackupFault::Target(path.to_owned(), error))?;
        Ok(NewFile { path: path.to_owned(), part, file, kept: false })
    }

    /// The name it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs it and gives it its name.
    ///
    /// Errors: as for [`NewFile::begin`].
    pub fn keep(mut self) -> Result<(), BackupFault> {
        let fault = |error| BackupFault::Target(self.path.clone(), error);
        self.file.sync_all().map_err(fault)?;
        rename_new(&self.part, &self.path)?;
        self.kept = true;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// A directory that only its owner can enter, beside the one it will be; gone with all in it if that never comes.
pub(super) struct NewDir {
    path: PathBuf,
    part: PathBuf,
    kept: bool,
}

impl NewDir {
    /// Begins it. An empty directory in its place will do.
    ///
    /// Errors: [`BackupFault::Exists`], [`BackupFault::Target`].
    pub(super) fn begin(path: &Path) -> Result<NewDir, BackupFault> {
        match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(BackupFault::Exists(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(BackupFault::Target(path.to_owned(), error)),
        }
        let part = beside(path, "restoring");
        if fs::symlink_metadata(&part).is_ok() {
            return Err(BackupFault::Exists(part));
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&part);
        made.map_err(|error| BackupFault::Target(part.clone(), error))?;
        Ok(NewDir { path: path.to_owned(), part, kept: false })
    }

    /// Where it is now.
    pub(super) fn part(&self) -> &Path {
        &self.part
    }

    /// Syncs all that is in it and gives it its name, and its owner if there was a directory of that name.
    ///
    /// Errors: as for [`NewDir::begin`].
    pub(super) fn keep(mut self) -> Result<(), BackupFault> {
        let fault = |error| BackupFault::Target(self.path.clone(), error);
        if let Ok(before) = fs::metadata(&self.path) {
            let ours = fs::metadata(&self.part).map_err(fault)?;
            if (before.uid(), before.gid()) != (ours.uid(), ours.gid()) {
                hand_over(&self.part, before.uid(), before.gid()).map_err(fault)?;
            }
            let permissions = fs::Permissions::from_mode(before.permissions().mode() & 0o700);
            fs::set_permissions(&self.part, permissions).map_err(fault)?;
        }
        let dir = File::open(&self.part).map_err(fault)?;
        rustix::fs::syncfs(&dir).map_err(|error| fault(error.into()))?;
        // Over an empty directory this works, over any other it does not.
        fs::rename(&self.part, &self.path).map_err(fault)?;
        self.kept = true;
        sync_parent(&self.path).map_err(fault)
    }
}

impl Drop for NewDir {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_dir_all(&self.part);
        }
    }
}

/// `/a/.NAME.SUFFIX` for `/a/NAME`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name.push(suffix);
    // `a/..` and the like have no name of their own; what is inside them is as good a place.
    if path.file_name().is_some() { path.with_file_name(name) } else { path.join(name) }
}

fn rename_new(from: &Path, to: &Path) -> Result<(), BackupFault> {
    let renamed = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot say "but not over another".
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if fs::symlink_metadata(to).is_err() => {
            fs::rename(from, to)
        }
        other => other.map_err(io::Error::from),
    };
    renamed.and_then(|()| sync_parent(to)).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BackupFault::Exists(to.to_owned()),
        _ => BackupFault::Target(to.to_owned(), error),
    })
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Gives a directory and all in it to another user.
fn hand_over(path: &Path, user: u32, group: u32) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            hand_over(&entry?.path(), user, group)?;
        }
    }
    chown(path, Some(user), Some(group))
}
