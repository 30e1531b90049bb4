//! The node's uploads: slots in memory, files on the disk.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use super::files::{About, Files, Partial, Stored, Swept};
use crate::jid::BareJid;
use crate::stanza::Timestamp;
use crate::upload::{Expected, FileKey, Form, KeySecret, Ledger, OwnerTag, Policy, PutRefusal, SlotRefusal, Wish};

/// Where uploaded files lie on the site.
pub const UPLOAD_PATH: &str = "/upload/";

/// Slots and files. One for all connections.
#[derive(Debug)]
pub struct Uploads {
    files: Files,
    ledger: Mutex<Ledger>,
    policy: Policy,
    secret: KeySecret,
    base_url: String,
}

impl Uploads {
    /// Opens the directory. `base_url` is how the site is reached from outside, without a slash at its end. Blocks.
    pub fn open(dir: &Path, policy: Policy, secret: KeySecret, base_url: String) -> io::Result<Uploads> {
        Ok(Uploads { files: Files::open(dir)?, ledger: Mutex::new(Ledger::new(policy)), policy, secret, base_url })
    }

    /// A slot for a file of this account: the URL to put it to, which is also the one to get it from. `random` must be fresh.
    /// Blocks.
    pub fn slot(
        &self,
        account: &BareJid,
        created: Timestamp,
        wish: Wish,
        random: [u8; 16],
        now: Instant,
    ) -> Result<String, SlotRefusal> {
        let owner = self.owner(account, created);
        let key = FileKey::new(owner, random);
        let reserved = self.ledger().reserved(now, owner);
        let usage = self.files.usage(owner).map_err(|error| {
            log::error!("uploads: the disk cannot be read: {error}");
            SlotRefusal::Fault
        })?;
        let url = format!("{}{UPLOAD_PATH}{}/{}", self.base_url, self.secret.to_segment(key), wish.name.to_segment());
        let outcome = self.ledger().open(now, key, wish, reserved, usage);
        if outcome == Err(SlotRefusal::DiskFull) {
            log::warn!(
                "an upload is refused, {} MiB are free (remedy: make space, or lower upload.free_mib_min)",
                usage.free_bytes / (1024 * 1024)
            );
        }
        outcome.map(|()| url)
    }

    /// The tag of an account's files.
    pub fn owner(&self, account: &BareJid, created: Timestamp) -> OwnerTag {
        self.secret.owner(account, created)
    }

    /// Removes files that are too old, and those of owners who are not `living`; to be called about hourly and when an account
    /// has ended. Blocks.
    pub fn sweep(&self, now: SystemTime, living: impl FnOnce() -> Option<HashSet<OwnerTag>>) -> io::Result<Swept> {
        // Before `living` is asked, for the same reason as the directory is read before.
        let holders = self.ledger().owners();
        self.files.sweep(now, self.policy.ttl, &holders, || {
            let living = living()?;
            let gone = holders.difference(&living).copied().collect();
            self.ledger().forget(&gone);
            Some(living)
        })
    }

    /// The key and the name in a path.
    pub(super) fn locate<'a>(&self, path: &'a str) -> Option<(FileKey, &'a str)> {
        let (key, name) = path.strip_prefix(UPLOAD_PATH)?.split_once('/')?;
        Some((self.secret.parse(key)?, name))
    }

    /// A PUT claims its slot.
    pub(super) fn claim(self: &Arc<Uploads>, key: FileKey, length: Option<u64>) -> Result<Claim, PutRefusal> {
        let expected = self.ledger().begin(Instant::now(), key, length)?;
        Ok(Claim { uploads: self.clone(), key, expected, done: false })
    }

    /// Blocks.
    pub(super) fn read(&self, key: FileKey) -> io::Result<Option<Stored>> {
        self.files.read(key)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot while its file is being received. Dropped before [`Claim::done`], the slot is open again.
#[derive(Debug)]
pub(super) struct Claim {
    uploads: Arc<Uploads>,
    key: FileKey,
    pub(super) expected: Expected,
    done: bool,
}

impl Claim {
    /// Begins the file. Blocks.
    pub(super) fn begin(&self) -> io::Result<Partial> {
        let wanted = self.expected.size.saturating_add(self.uploads.policy.free_bytes_min);
        if self.uploads.files.free_bytes()? < wanted {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let media_type = self.expected.media_type.clone().unwrap_or_default();
        // Kontalk's clients take the name from an attachment alone, and what they send is encrypted anyway.
        let shown = self.expected.form == Form::New && media_type.may_be_shown();
        self.uploads.files.begin(self.key, &About { name: self.expected.name.clone(), media_type, shown })
    }

    /// The file is whole. `false` if its account has ended meanwhile, and the file with it. Blocks.
    pub(super) fn done(mut self) -> io::Result<bool> {
        self.done = true;
        let kept = self.uploads.ledger().done(self.key);
        if !kept {
            self.uploads.files.remove(self.key)?;
        }
        Ok(kept)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.done {
            self.uploads.ledger().broke_off(Instant::now(), self.key);
        }
    }
}
