//! The lock file of a serial port, as other programs for modems honour it (Filesystem Hierarchy Standard 3.0 §5.9). Where it
//! cannot be written, having the port alone must do.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Removes the file when dropped.
#[derive(Debug)]
pub(super) struct PortLock(PathBuf);

impl PortLock {
    /// Takes the lock of a device. An error is the process that has it.
    pub(super) fn take(dir: &Path, device: &Path) -> Result<Option<PortLock>, u32> {
        let Some(name) = device.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
        // Pseudo terminals have numbers for names, which other kinds of devices have too.
        if !name.starts_with("tty") {
            return Ok(None);
        }
        let path = dir.join(format!("LCK..{name}"));
        for _ in 0..2 {
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(mut file) => {
                    let _ = writeln!(file, "{:>10}", std::process::id());
                    return Ok(Some(PortLock(path)));
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => match owner(&path) {
                    Some(process) if process != std::process::id() => return Err(process),
                    // Left behind.
                    _ if fs::remove_file(&path).is_ok() => {}
                    _ => return Ok(None),
                },
                // Not writable for this user.
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }
}

impl Drop for PortLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The living process that has the lock. One that this user may not see lives too.
fn owner(path: &Path) -> Option<u32> {
    let process: u32 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    let id = rustix::process::Pid::from_raw(i32::try_from(process).ok()?)?;
    match rustix::process::test_kill_process(id) {
        Err(rustix::io::Errno::SRCH) => None,
        _ => Some(process),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_honoured_while_its_process_lives() {
        let dir = std::env::temp_dir().join(format!("kontalk-locks-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (device, file) = (Path::new("/dev/ttyUSB7"), dir.join("LCK..ttyUSB7"));
        let lock = PortLock::take(&dir, device).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap().trim(), std::process::id().to_string());
        drop(lock);
        assert!(!file.exists());
        // The parent of this process lives; a number beyond all does not.
        let parent = std::os::unix::process::parent_id();
        fs::write(&file, format!("{parent:>10}\n")).unwrap();
        assert_eq!(PortLock::take(&dir, device).unwrap_err(), parent);
        fs::write(&file, "2000000000\n").unwrap();
        assert!(PortLock::take(&dir, device).unwrap().is_some());
        assert!(PortLock::take(&dir, Path::new("/dev/pts/3")).unwrap().is_none());
        assert!(PortLock::take(Path::new("/nonexistent"), device).unwrap().is_none());
        fs::remove_dir_all(&dir).unwrap();
    }
}
