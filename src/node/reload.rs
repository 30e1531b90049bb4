//! SIGHUP: what can change while the node runs is read again from its configuration; of the rest it is said that it needs a restart.
//!
//! At once: the certificate's files, `log.level`, and how many codes a day may go out. A configuration with problems changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::courier::Courier;
use super::journal::{self, Levels};
use crate::config::{self, Config};
use crate::net::OwnCertificate;

/// Who reloads.
pub(super) struct Reloader {
    /// `None`: a trial node has no file.
    pub(super) file: Option<PathBuf>,
    pub(super) in_force: Config,
    pub(super) certificate: Arc<OwnCertificate>,
    pub(super) courier: Arc<Courier>,
}

impl Reloader {
    /// Reads all again.
    pub(super) fn reload(&mut self) {
        if let Err(fault) = self.certificate.reload(SystemTime::now()) {
            log::warn!("the old TLS certificate stays in use: {fault}");
        }
        let Some(file) = &self.file else { return };
        let mut fresh = match config::read(file) {
            Ok(fresh) => fresh,
            Err(problems) => {
                for problem in problems {
                    log::warn!("{problem}");
                }
                return log::warn!("the configuration has problems, and the old one stays in force");
            }
        };
        for warning in std::mem::take(&mut fresh.warnings) {
            log::warn!("{warning}");
        }
        self.apply(fresh);
    }

    fn apply(&mut self, fresh: Config) {
        let now = &mut self.in_force;
        if now.log != fresh.log {
            now.log.clone_from(&fresh.log);
            journal::set_levels(Levels::of(fresh.log.level));
        }
        let (day, block) = (fresh.registration.codes_per_day_max, fresh.sms.prefix_codes_per_day_max);
        if (now.registration.codes_per_day_max, now.sms.prefix_codes_per_day_max) != (day, block) {
            (now.registration.codes_per_day_max, now.sms.prefix_codes_per_day_max) = (day, block);
            self.courier.dispatcher().set_budgets(day, block);
        }
        match needs_restart(now, &fresh).as_slice() {
            [] => log::info!("the configuration was read again"),
            sections => log::warn!(
                "the configuration was read again, but changes in {} need a restart (remedy: systemctl restart kontalk-node)",
                sections.join(", ")
            ),
        }
    }
}

/// The sections with changes that were not applied.
fn needs_restart(now: &Config, fresh: &Config) -> Vec<&'static str> {
    let changed = [
        ("domain", now.domain != fresh.domain),
        ("data_dir", now.data_dir != fresh.data_dir),
        ("contact", now.contact != fresh.contact),
        ("admins", now.admins != fresh.admins),
        ("[c2s]", now.c2s != fresh.c2s),
        ("[s2s]", now.s2s != fresh.s2s),
        ("[tls]", now.tls != fresh.tls),
        ("[registration]", now.registration != fresh.registration),
        ("[sms]", now.sms != fresh.sms),
        ("[trust]", now.trust != fresh.trust),
        ("[archive]", now.archive != fresh.archive),
        ("[web]", now.web != fresh.web),
        ("[upload]", now.upload != fresh.upload),
        ("[limits]", now.limits != fresh.limits),
        ("[components]", now.components != fresh.components),
        ("[push]", now.push != fresh.push),
        ("[acme]", now.acme != fresh.acme),
        ("[dns_update]", now.dns_update != fresh.dns_update),
        ("[dynamic_dns]", now.dynamic_dns != fresh.dynamic_dns),
        ("[metrics]", now.metrics != fresh.metrics),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(section, _)| section).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_applied_is_named() {
        let now = Config::trial();
        let mut fresh = now.clone();
        assert!(needs_restart(&now, &fresh).is_empty());
        fresh.log.level = log::LevelFilter::Off;
        assert!(needs_restart(&now, &fresh).is_empty());
        fresh.s2s.enabled = false;
        fresh.metrics = vec!["127.0.0.1:9464".parse().unwrap()];
        assert_eq!(needs_restart(&now, &fresh), ["[s2s]", "[metrics]"]);
    }
}
