//! Reports of delivery: providers of text messages say at a page of the web listener what became of a message, and the courier hears
//! it.
//!
//! Each provider whose reports the operator wants has an address of its own: `/sms/NAME/SECRET`, of which the last part is 128 bits
//! derived from a secret of the store, so that it stays the same over restarts. Whoever does not know it is told that there is nothing;
//! whoever knows it and does not sign as the provider does (`sms::http::Reporter`) is refused. What is signed is answered well even if
//! it changes nothing, being a repetition or about a message that is no longer waited for: providers repeat what is not.
//!
//! Limits: 16 KiB a report, and the listener's own; the disk is touched only for who knows the address.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use smol::Executor;

use super::courier::Courier;
use super::login::lasting_secret;
use crate::config::Config;
use crate::dispatch::Arrival;
use crate::phone::{HASH_BYTES, HashKey, KeyedHash};
use crate::sms::http::receipt::{Fate, REPORT_BYTES_MAX, Receipt};
use crate::sms::http::{Came, NoReport, Reporter};
use crate::store::Store;
use crate::web::{Answer, Method, Pace, Page, Request, Response, StatusCode, answer, content, header};

/// Where reports come in.
pub(super) const REPORTS_PATH: &str = "/sms/";

/// The desks at which providers report, one each.
#[derive(Clone, Default)]
pub(super) struct ReportDesks(Vec<Arc<ReportDesk>>);

/// Takes the reports of one provider.
struct ReportDesk {
    name: String,
    token: KeyedHash,
    reporter: Reporter,
    /// When the operator was told last that reports are not genuine, in seconds since 1970.
    told: AtomicU64,
}

impl ReportDesks {
    /// For the providers of this configuration; `base`: how the web listener is reached, without it there are none.
    pub(super) fn new(config: &Config, store: &Store, base: Option<&str>) -> ReportDesks {
        let wanted: Vec<_> = config.sms.http.iter().filter(|settings| settings.report_secret_file.is_some()).collect();
        let (Some(base), false) = (base, wanted.is_empty()) else { return ReportDesks::default() };
        let key = HashKey::new(lasting_secret(store, "sms reports"));
        let desks = wanted.into_iter().filter_map(|settings| {
            let token = key.hash("report address", &[settings.name.as_bytes()]);
            let url = format!("{base}{REPORTS_PATH}{}/{}", settings.name, token.to_hex());
            let reporter = Reporter::new(settings, &url)?;
            Some(Arc::new(ReportDesk { name: settings.name.clone(), token, reporter, told: AtomicU64::new(0) }))
        });
        ReportDesks(desks.collect())
    }

    /// Where the provider of this name is to report to.
    pub(super) fn url(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|desk| desk.name == name).map(|desk| desk.reporter.url())
    }

    /// The addresses that the operator must give to a provider himself, with their names.
    pub(super) fn for_operator(&self) -> Vec<(String, String)> {
        let by_hand = self.0.iter().filter(|desk| desk.reporter.is_told_by_operator());
        by_hand.map(|desk| (desk.name.clone(), desk.reporter.url().to_owned())).collect()
    }

    /// Are there none?
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The page below [`REPORTS_PATH`].
    pub(super) fn page(self, courier: Arc<Courier>, executor: &'static Executor<'static>) -> ReportPage {
        ReportPage { desks: self, courier, executor }
    }

    /// The desk at this path. The token is compared in constant time.
    fn at(&self, path: &str) -> Option<&Arc<ReportDesk>> {
        let (name, token) = path.strip_prefix(REPORTS_PATH)?.split_once('/')?;
        let token = from_hex(token)?;
        self.0.iter().find(|desk| desk.name == name && desk.token == token)
    }
}

impl ReportDesk {
    /// Reads the disk.
    fn read(&self, came: &Came) -> Result<Option<Receipt>, StatusCode> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        match self.reporter.read(came, now) {
            Ok(receipt) => Ok(receipt),
            Err(NoReport::Malformed) => {
                log::debug!("{}: what came as a report of delivery is none", self.name);
                Err(StatusCode::BAD_REQUEST)
            }
            Err(NoReport::NotGenuine) => {
                self.tell(now, "are not signed with what report_secret_file holds (remedy: compare it with the provider's settings)");
                Err(StatusCode::FORBIDDEN)
            }
            Err(NoReport::Secret(reason)) => {
                let reason = reason.strip_prefix("its secret_file").unwrap_or(reason);
                self.tell(now, &format!("cannot be checked: report_secret_file{reason}"));
                // They come again.
                Err(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }

    /// Once an hour: who sends them can send many.
    fn tell(&self, now: Duration, what: &str) {
        let (now, before) = (now.as_secs(), self.told.load(Ordering::Relaxed));
        if now.abs_diff(before) >= QUIET_SECS {
            self.told.store(now, Ordering::Relaxed);
            log::warn!("{}: reports of delivery {what}", self.name);
        } else {
            log::debug!("{}: reports of delivery {what}", self.name);
        }
    }
}

/// The page of all desks.
pub(super) struct ReportPage {
    desks: ReportDesks,
    courier: Arc<Courier>,
    executor: &'static Executor<'static>,
}

impl ReportPage {
    async fn take(&self, request: Request) -> Response {
        let Some(desk) = self.desks.at(request.uri().path()).cloned() else { return answer::not_found() };
        let get = match *request.method() {
            Method::GET => true,
            Method::POST => false,
            _ => return answer::wrong_method("GET, POST"),
        };
        let field = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut came = Came {
            get,
            query: request.uri().query().unwrap_or_default().to_owned(),
            json: field(header::CONTENT_TYPE.as_str()).trim_start().starts_with("application/json"),
            body: String::new(),
            signature: [field("x-twilio-signature"), field("x-signature")].concat(),
            timestamp: field("x-timestamp").to_owned(),
        };
        match content(request, REPORT_BYTES_MAX, Pace::default()).await {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(body) => came.body = body,
                Err(_) => return refused(StatusCode::BAD_REQUEST),
            },
            Err(too_much) => return too_much.to_answer(),
        }
        let at = desk.clone();
        match smol::unblock(move || at.read(&came)).await {
            Ok(receipt) => {
                if let Some(receipt) = receipt {
                    self.apply(&desk.name, &receipt);
                }
                answer::empty(StatusCode::NO_CONTENT)
            }
            Err(status) => refused(status),
        }
    }

    fn apply(&self, name: &str, receipt: &Receipt) {
        let arrival = match receipt.fate {
            Fate::OnItsWay => return,
            Fate::Delivered => Arrival::Arrived,
            Fate::Failed(failure) if failure.is_of_the_number() => Arrival::Unreachable,
            Fate::Failed(_) => Arrival::Lost,
        };
        let (awaited, resend) = self.courier.reported(name, &receipt.reference, arrival);
        match receipt.fate {
            Fate::Failed(failure) if awaited => log::warn!("{name}: a code did not arrive: {failure}"),
            _ => log::debug!("{name}: a report of delivery{}", if awaited { "" } else { " that nobody waits for" }),
        }
        if let Some(resend) = resend {
            // The provider does not wait for another's answer.
            let courier = self.courier.clone();
            self.executor.spawn(async move { courier.send_again(resend).await }).detach();
        }
    }
}

impl Page for ReportPage {
    fn answer(&self, request: Request) -> Answer<'_> {
        Box::pin(self.take(request))
    }
}

fn refused(status: StatusCode) -> Response {
    answer::line(status, "This is no report of delivery.")
}

fn from_hex(text: &str) -> Option<KeyedHash> {
    if text.len() != HASH_BYTES * 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = u128::from_str_radix(text, 16).ok()?;
    Some(KeyedHash::from_bytes(number.to_be_bytes()))
}

const QUIET_SECS: u64 = 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_by_all_of_it_alone() {
        let token = HashKey::new([1; 32]).hash("x", &[]);
        assert_eq!(from_hex(&token.to_hex()), Some(token));
        for text in ["", "00", "+0000000000000000000000000000000", &"g".repeat(32), &"é".repeat(16), &"0".repeat(33)] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
