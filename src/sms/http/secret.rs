//! A provider's secret: in a file of its own, read again when that has changed, never shown.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::limits::SMS_SECRET_BYTES_MAX;

/// The file and what it held last.
pub(super) struct SecretFile {
    path: Option<PathBuf>,
    held: Option<(Stamp, Zeroizing<String>)>,
}

impl SecretFile {
    /// `None`: the secret is empty.
    pub(super) fn new(path: Option<&Path>) -> SecretFile {
        SecretFile { path: path.map(Path::to_owned), held: None }
    }

    /// The secret as the file has it now, without line end. Reads the disk.
    pub(super) fn current(&mut self) -> Result<Zeroizing<String>, &'static str> {
        let Some(path) = &self.path else { return Ok(Zeroizing::default()) };
        // Opening a pipe would wait for ever.
        fs::metadata(path).ok().filter(|metadata| metadata.is_file()).ok_or(UNREADABLE)?;
        let file = File::open(path).map_err(|_| UNREADABLE)?;
        let stamp = Stamp::of(&file).ok_or(UNREADABLE)?;
        if let Some((held, secret)) = &self.held
            && *held == stamp
        {
            return Ok(secret.clone());
        }
        let secret = read(file)?;
        self.held = Some((stamp, secret.clone()));
        Ok(secret)
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretFile(…)")
    }
}

/// A file with another one of these has other content.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    changed: (i64, i64),
    modified: (i64, i64),
    inode: u64,
    size: u64,
}

impl Stamp {
    fn of(file: &File) -> Option<Stamp> {
        let metadata = file.metadata().ok()?;
        Some(Stamp {
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            inode: metadata.ino(),
            size: metadata.size(),
        })
    }
}

fn read(file: File) -> Result<Zeroizing<String>, &'static str> {
    // As much as it may hold, so that it never moves and leaves a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SMS_SECRET_BYTES_MAX + 1));
    file.take(SMS_SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|_| UNREADABLE)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
    let fits = !text.is_empty() && bytes.len() <= SMS_SECRET_BYTES_MAX && !text.contains(char::is_control);
    if fits { Ok(Zeroizing::new(text.to_owned())) } else { Err(NOT_A_SECRET) }
}

const UNREADABLE: &str = "its secret_file cannot be read (remedy: the user kontalk-node must be allowed to read it)";
const NOT_A_SECRET: &str = "its secret_file does not hold one line of text";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_line_and_is_read_again_when_it_changes() {
        let dir = std::env::temp_dir().join(format!("kontalk-node-secret-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("secret");
        let mut file = SecretFile::new(Some(&path));
        assert_eq!(file.current(), Err(UNREADABLE));
        for (content, expected) in [
            ("first\n".to_owned(), Ok("first")),
            ("second one\r\n".to_owned(), Ok("second one")),
            (String::new(), Err(NOT_A_SECRET)),
            ("a\nb\n".to_owned(), Err(NOT_A_SECRET)),
            ("x".repeat(SMS_SECRET_BYTES_MAX + 1), Err(NOT_A_SECRET)),
            ("third".to_owned(), Ok("third")),
        ] {
            fs::write(&path, content).unwrap();
            for _ in 0..2 {
                assert_eq!(file.current().as_deref().map(String::as_str), expected.as_ref().map(|text| *text));
            }
        }
        // A file that was put in its place, of the same length.
        fs::write(dir.join("new"), "forth").unwrap();
        fs::rename(dir.join("new"), &path).unwrap();
        assert_eq!(file.current().unwrap().as_str(), "forth");
        assert!(!format!("{file:?}").contains("forth"));
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(SecretFile::new(None).current().unwrap().as_str(), "");
    }
}
