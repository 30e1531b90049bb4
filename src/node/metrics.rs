//! Figures for a monitoring program on this machine, as OpenMetrics text. Sums alone: nothing in them is of one user, one number or one
//! other server.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::courier::Courier;
use super::hub::Inbox;
use super::watch::{Watch, free_bytes};
use crate::net::OwnCertificate;
use crate::store::Store;
use crate::web::{Answer, Method, Page, Request, StatusCode, answer};

/// The page.
pub(super) struct Metrics {
    pub(super) store: Store,
    pub(super) inbox: Inbox,
    pub(super) courier: Arc<Courier>,
    pub(super) certificate: Arc<OwnCertificate>,
    pub(super) watch: Watch,
    pub(super) data_dir: PathBuf,
    pub(super) begun: Instant,
}

impl Metrics {
    pub(super) const PATH: &'static str = "/metrics";

    async fn text(&self) -> Option<String> {
        let store = self.store.clone();
        let stats = smol::unblock(move || store.stats()).await.ok()?;
        let data_dir = self.data_dir.clone();
        let free = smol::unblock(move || free_bytes(&data_dir)).await;
        let sessions = self.inbox.sessions().await;
        let until = self.certificate.facts().not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let facts = self.courier.dispatcher().facts(Instant::now());
        let mut sheet = Sheet::default();
        sheet.gauge("uptime_seconds", "Time since the node started.", self.begun.elapsed().as_secs());
        sheet.gauge("sessions", "Sessions, those included whose client may come back.", sessions);
        sheet.gauge("accounts", "Accounts.", stats.accounts);
        sheet.gauge("offline_messages", "Messages that wait for their receivers.", stats.offline_messages);
        sheet.gauge("store_bytes", "Bytes of the store on the disk.", stats.bytes_on_disk);
        sheet.gauge("store_damaged_records", "Records that were set aside.", stats.damaged_records);
        sheet.gauge("store_broken", "1 when nothing is kept any more.", u8::from(stats.broken));
        if let Some(free) = free {
            sheet.gauge("disk_free_bytes", "Bytes left on the disk of the data directory.", free);
        }
        if let Some(bytes) = resident_bytes() {
            sheet.gauge("resident_memory_bytes", "Memory of the process.", bytes);
        }
        sheet.gauge("certificate_expiry_timestamp_seconds", "When the TLS certificate ends.", until.as_secs());
        sheet.gauge("alarms", "Things that need a person.", self.watch.troubles().len());
        sheet.gauge("codes_left", "Codes that may still go out in these 24 hours.", facts.left);
        let sum =
            |part: fn(&crate::dispatch::RouteFacts) -> u32| facts.routes.iter().map(part).map(u64::from).sum::<u64>();
        sheet.gauge("codes_sent_today", "Codes sent in these 24 hours.", sum(|route| route.sent));
        sheet.gauge("codes_verified_today", "Codes that were typed in.", sum(|route| route.verified));
        sheet.gauge("codes_failed_today", "Codes that were not sent.", sum(|route| route.failed));
        Some(sheet.close())
    }
}

impl Page for Metrics {
    fn answer(&self, request: Request) -> Answer<'_> {
        let method = request.method().clone();
        Box::pin(async move {
            if !matches!(method, Method::GET | Method::HEAD) {
                return answer::wrong_method("GET, HEAD");
            }
            let response = match self.text().await {
                Some(text) => answer::document(StatusCode::OK, MEDIA_TYPE, text),
                None => answer::line(StatusCode::SERVICE_UNAVAILABLE, "The store does not answer."),
            };
            answer::without_content(&method, response)
        })
    }
}

/// OpenMetrics 1.0.
#[derive(Default)]
struct Sheet {
    text: String,
}

impl Sheet {
    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        let name = format!("kontalk_{name}");
        let _ = writeln!(self.text, "# TYPE {name} gauge\n# HELP {name} {help}\n{name} {value}");
    }

    fn close(mut self) -> String {
        self.text.push_str("# EOF\n");
        self.text
    }
}

fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_has_a_type_for_each_figure_and_an_end() {
        let mut sheet = Sheet::default();
        sheet.gauge("sessions", "Sessions.", 3);
        let expected = "# TYPE kontalk_sessions gauge\n# HELP kontalk_sessions Sessions.\nkontalk_sessions 3\n# EOF\n";
        assert_eq!(sheet.close(), expected);
        assert!(resident_bytes().is_none_or(|bytes| bytes > 1 << 20));
    }
}
