//! A home of its own for GnuPG.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::Command;

/// The directory. It goes with the value, and so does what GnuPG started there.
pub struct GnupgHome(pub PathBuf);

impl GnupgHome {
    pub fn new(name: &str) -> GnupgHome {
        let path = std::env::temp_dir().join(format!("gpg-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        GnupgHome(path)
    }

    /// GnuPG here, without questions.
    pub fn gpg(&self) -> Command {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(&self.0).args(["--batch", "--quiet", "--no-tty"]);
        command
    }
}

impl Drop for GnupgHome {
    fn drop(&mut self) {
        // Its agent or its dirmngr, if one was started, belongs to this home and would outlive it.
        let _ = Command::new("gpgconf").arg("--homedir").arg(&self.0).args(["--kill", "all"]).output();
        let _ = fs::remove_dir_all(&self.0);
    }
}
