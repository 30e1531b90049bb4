//! What needs a person: seen every minute, told to the administrators once a day for each subject, and part of `status` as long as
//! it lasts. Codes that do not go out have alerts of their own (`dispatch`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::ways::Announcer;
use crate::limits::{ALARM_QUIET, DISK_FREE_BYTES_MIN, MODEM_DEAD_AFTER};
use crate::net::{CertificateFacts, OwnCertificate};
use crate::sms::modem::Modem;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// The certificate in use ends soon, or has ended.
    Certificate,
    /// The authority gives no new one.
    Renewal,
    /// The disk is nearly full.
    Disk,
    /// The modem has not worked for long.
    Modem,
    /// This machine's clock is wrong.
    Clock,
    /// A name does not follow the node's address.
    Address,
}

/// What is wrong now. Cheap to share.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    alarms: Arc<Mutex<Alarms>>,
}

impl Watch {
    /// This is wrong, in a sentence with its remedy.
    pub(super) fn trouble(&self, subject: Subject, text: String) {
        self.lock().present.insert(subject, text);
    }

    /// It is not, or no longer.
    pub(super) fn over(&self, subject: Subject) {
        self.lock().present.remove(&subject);
    }

    /// All that is wrong now.
    pub(super) fn troubles(&self) -> Vec<String> {
        self.lock().present.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Alarms {
    present: BTreeMap<Subject, String>,
    told: BTreeMap<Subject, Instant>,
}

impl Alarms {
    /// What is to be told now. A subject that comes and goes is told once a day all the same.
    fn take_untold(&mut self, now: Instant) -> Vec<String> {
        let told = &mut self.told;
        let mut due = |subject: &Subject| {
            let lately = told.get(subject).is_some_and(|at| now.saturating_duration_since(*at) < ALARM_QUIET);
            if !lately {
                told.insert(*subject, now);
            }
            !lately
        };
        self.present.iter().filter(|(subject, _)| due(subject)).map(|(_, text)| text.clone()).collect()
    }
}

/// What is looked at.
pub(super) struct Watchman {
    pub(super) watch: Watch,
    pub(super) certificate: Arc<OwnCertificate>,
    pub(super) data_dir: PathBuf,
    pub(super) modem: Option<Modem>,
    pub(super) announcer: Announcer,
}

impl Watchman {
    /// Looks every minute. Ends with the node.
    pub(super) async fn run(self) {
        let mut modem_well = Instant::now();
        loop {
            let wall = SystemTime::now();
            let facts = self.certificate.facts();
            self.note(Subject::Clock, clock_trouble(&facts, wall));
            self.note(Subject::Certificate, certificate_trouble(&facts, wall));
            let data_dir = self.data_dir.clone();
            let free = smol::unblock(move || free_bytes(&data_dir)).await;
            self.note(Subject::Disk, free.and_then(disk_trouble));
            let trouble = self.modem.as_ref().and_then(|modem| modem.status().trouble());
            if trouble.is_none() {
                modem_well = Instant::now();
            }
            let long = modem_well.elapsed() >= MODEM_DEAD_AFTER;
            self.note(
                Subject::Modem,
                trouble.filter(|_| long).map(|why| format!("the modem sends nothing for an hour: {why}")),
            );
            let untold = self.watch.lock().take_untold(Instant::now());
            for text in untold {
                self.announcer.say(&text).await;
            }
            smol::Timer::after(LOOK_EVERY).await;
        }
    }

    fn note(&self, subject: Subject, trouble: Option<String>) {
        match trouble {
            Some(text) => self.watch.trouble(subject, text),
            None => self.watch.over(subject),
        }
    }
}

/// Told when less than a sixth of its life is left: two thirds are when it should have been renewed.
fn certificate_trouble(facts: &CertificateFacts, now: SystemTime) -> Option<String> {
    let life = facts.not_after.duration_since(facts.not_before).unwrap_or_default();
    let left = match facts.not_after.duration_since(now) {
        Ok(left) => left,
        Err(_) => {
            return Some("the TLS certificate has expired: clients cannot connect (remedy: renew it)".to_owned());
        }
    };
    let hours = left.as_secs() / 3600;
    let text = || {
        format!("the TLS certificate is good for {} days and {} hours more (remedy: renew it)", hours / 24, hours % 24)
    };
    (left < life / 6).then(text)
}

/// Certificates and trust mean nothing with a wrong clock.
fn clock_trouble(facts: &CertificateFacts, now: SystemTime) -> Option<String> {
    let floor = SystemTime::UNIX_EPOCH + CLOCK_FLOOR;
    (now < floor || (now < facts.not_before && !facts.self_signed))
        .then(|| "this machine's clock is in the past (remedy: timedatectl set-ntp true, or a clock module)".to_owned())
}

fn disk_trouble(free: u64) -> Option<String> {
    (free < DISK_FREE_BYTES_MIN).then(|| {
        format!(
            "only {} MiB are left on the disk of data_dir (remedy: make room; a full disk stops messages)",
            free >> 20
        )
    })
}

/// What is left for us on the disk of this directory.
pub(super) fn free_bytes(dir: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(dir).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The product is younger than no clock that is right: 2026-01-01.
const CLOCK_FLOOR: Duration = Duration::from_secs(1_767_225_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_told_once_a_day_and_lasts_in_the_status() {
        let watch = Watch::default();
        let (start, day) = (Instant::now(), ALARM_QUIET);
        let take = |at| watch.lock().take_untold(at);
        watch.trouble(Subject::Disk, "full".to_owned());
        watch.trouble(Subject::Clock, "slow".to_owned());
        assert_eq!(take(start), ["full", "slow"]);
        watch.trouble(Subject::Disk, "fuller".to_owned());
        assert_eq!(take(start + day / 2), Vec::<String>::new());
        watch.over(Subject::Clock);
        watch.trouble(Subject::Clock, "slow again".to_owned());
        assert_eq!(take(start + day / 2), Vec::<String>::new());
        assert_eq!(watch.troubles(), ["fuller", "slow again"]);
        watch.over(Subject::Clock);
        assert_eq!(take(start + day), ["fuller"]);
        assert_eq!(disk_trouble(DISK_FREE_BYTES_MIN), None);
        assert!(disk_trouble(5 << 20).unwrap().starts_with("only 5 MiB"));
    }
}
