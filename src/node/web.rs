//! The web listener with its pages, and the clerk who hands out upload slots. Slots need the disk, which the hub must not wait
//! for: the desk passes requests on to the clerk, and the clerk's answers come to the hub like anybody's events.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use smol::channel::{Receiver, Sender, bounded};
use smol::future::FutureExt;
use smol::{Executor, Task, Timer};

use super::NodeFault;
use super::hub::{Inbox, Input};
use super::identity;
use super::key_directory::KeysOfNode;
use super::random::random_bytes;
use crate::config::Config;
use crate::jid::{BareJid, Jid};
use crate::limits::UPLOAD_REQUESTS_MAX;
use crate::net::{self, Listener, OwnCertificate};
use crate::pgp::ServerKey;
use crate::router::Event;
use crate::stanza::Stanza;
use crate::store::Store;
use crate::upload::{KeySecret, Policy, SlotRefusal, Wish};
use crate::web::{HostMeta, KeyPage, Pace, Page, ProofBoard, Server, Site, UPLOAD_PATH, UploadPage, Uploads};

/// What the clerk is to do.
#[derive(Debug)]
pub(super) enum Errand {
    /// Answer this request for a slot.
    Slot(Box<Stanza>, Wish),
    /// An account has ended or has a new owner: its files go soon.
    AccountEnded,
}

/// The listener, bound and not yet serving.
pub(super) struct Website {
    listeners: Vec<Listener>,
    site: Site,
    /// `None`: behind a reverse proxy.
    certificate: Option<Arc<OwnCertificate>>,
    url: String,
    uploads: Option<(Arc<Uploads>, Receiver<Errand>)>,
}

impl Website {
    /// As configured; `None` if it is switched off. With it comes the way to the clerk, if files can be uploaded.
    pub(super) fn open(
        config: &Config,
        certificate: &Arc<OwnCertificate>,
        board: &ProofBoard,
        store: &Store,
        server_key: &Arc<ServerKey>,
    ) -> Result<(Option<Website>, Option<Sender<Errand>>), NodeFault> {
        if !config.web.enabled {
            return Ok((None, None));
        }
        let listeners = net::bind(&config.web.listen).map_err(NodeFault::Listen)?;
        let port = listeners.first().map_or(0, |listener| listener.local_addr().port());
        let url = config.web.url.clone().unwrap_or_else(|| derived_url(&config.domain, config.web.reverse_proxy, port));
        let mut site = Site::default()
            .with(HostMeta::XML_PATH, HostMeta::xml(Vec::new()))
            .with(HostMeta::JSON_PATH, HostMeta::json(Vec::new()))
            // Also here, where a reverse proxy or a redirection from port 80 leads.
            .with(ProofBoard::PATH, board.clone());
        let former = identity::former(&config.data_dir).map(Arc::new);
        let user_keys = config.web.user_keys;
        let keys = KeysOfNode::new(config.domain.clone(), store.clone(), server_key.clone(), former, user_keys);
        let (keys, name) = (Arc::new(keys), ascii(&config.domain));
        site = site.with(KeyPage::WKD_PATH, KeyPage::wkd(keys.clone(), name.clone()));
        site = site.with(KeyPage::HKP_PATH, KeyPage::hkp(keys, name));
        let mut uploads = None;
        let mut to_clerk = None;
        if config.upload.enabled {
            let opened = Arc::new(open_uploads(config, url.clone())?);
            site = site.with(UPLOAD_PATH, UploadPage::new(opened.clone(), Pace::default()));
            let (sender, errands) = bounded(UPLOAD_REQUESTS_MAX);
            uploads = Some((opened, errands));
            to_clerk = Some(sender);
        }
        let certificate = (!config.web.reverse_proxy).then(|| certificate.clone());
        Ok((Some(Website { listeners, site, certificate, url, uploads }), to_clerk))
    }

    /// How it is reached from outside, without a slash at its end.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Adds a page of another part of the node.
    pub(super) fn add(&mut self, path: &'static str, page: impl Page + 'static) {
        self.site = std::mem::take(&mut self.site).with(path, page);
    }

    /// Where it listens, a line each.
    pub(super) fn listening(&self) -> Vec<String> {
        let what = if self.certificate.is_some() { "HTTPS" } else { "HTTP from a reverse proxy" };
        self.listeners.iter().map(|l| format!("listening for {what} on {}", l.local_addr())).collect()
    }

    /// Serves until the tasks are dropped.
    pub(super) fn start(self, executor: &'static Executor<'static>, store: Store, inbox: Inbox) -> Vec<Task<()>> {
        let server = Arc::new(Server::new(self.site, self.certificate, Pace::default()));
        let listeners = self.listeners.into_iter();
        let mut tasks: Vec<Task<()>> =
            listeners.map(|listener| executor.spawn(server.clone().serve(listener))).collect();
        if let Some((uploads, errands)) = self.uploads {
            tasks.push(executor.spawn(Clerk { uploads, errands, store, inbox }.run()));
        }
        tasks
    }
}

fn open_uploads(config: &Config, url: String) -> Result<Uploads, NodeFault> {
    let dir = config.data_dir.join("uploads");
    let secret = identity::upload_secret(&config.data_dir).map_err(NodeFault::Identity)?;
    let policy = Policy {
        file_bytes_max: config.upload.file_bytes_max,
        quota_bytes: config.upload.quota_bytes,
        free_bytes_min: config.upload.free_bytes_min,
        ttl: config.upload.ttl,
    };
    Uploads::open(&dir, policy, KeySecret::new(*secret), url).map_err(|error| NodeFault::DataDir(dir, error))
}

/// How the listener is reached where nobody says: by the domain; at a reverse proxy by the usual port.
fn derived_url(domain: &BareJid, reverse_proxy: bool, port: u16) -> String {
    // Kontalk's clients write URLs as they are; ASCII does no harm anywhere.
    let host = ascii(domain);
    if reverse_proxy || port == 443 { format!("https://{host}") } else { format!("https://{host}:{port}") }
}

fn ascii(domain: &BareJid) -> String {
    idna::domain_to_ascii(domain.domainpart()).unwrap_or_else(|_| domain.domainpart().to_owned())
}

struct Clerk {
    uploads: Arc<Uploads>,
    errands: Receiver<Errand>,
    store: Store,
    inbox: Inbox,
}

impl Clerk {
    /// Works errands off one by one, and sweeps at the start, every hour, and some time after an account has ended.
    async fn run(self) {
        let mut sweep_at = Instant::now();
        loop {
            let errand = async { Some(self.errands.recv().await) };
            let due = async {
                Timer::at(sweep_at).await;
                None
            };
            match errand.or(due).await {
                Some(Ok(Errand::Slot(request, wish))) => self.slot(*request, wish).await,
                Some(Ok(Errand::AccountEnded)) => sweep_at = sweep_at.min(Instant::now() + SWEEP_DELAY),
                // The hub is gone.
                Some(Err(_)) => return,
                None => {
                    self.sweep().await;
                    sweep_at = Instant::now() + SWEEP_INTERVAL;
                }
            }
        }
    }

    async fn slot(&self, request: Stanza, wish: Wish) {
        let Some(account) = request.from().map(Jid::bare).cloned() else { return };
        let (uploads, store, form) = (self.uploads.clone(), self.store.clone(), wish.form);
        let outcome = smol::unblock(move || match store.account(&account) {
            Ok(Some(facts)) => uploads.slot(&account, facts.created, wish, random_bytes(), Instant::now()),
            Ok(None) => Err(SlotRefusal::NoAccount),
            Err(error) => {
                log::error!("an upload slot cannot be given: {error}");
                Err(SlotRefusal::Fault)
            }
        });
        let answer = match outcome.await {
            Ok(url) => Some(request.result().with_child(form.slot(&url, &url))),
            Err(refusal) => {
                log::debug!("no upload slot: {refusal:?}");
                request.error(&refusal.to_error(form))
            }
        };
        if let Some(answer) = answer {
            self.inbox.send(Input::Event(Event::FromServer(answer))).await;
        }
    }

    async fn sweep(&self) {
        let (uploads, store) = (self.uploads.clone(), self.store.clone());
        let swept = smol::unblock(move || {
            let living = || {
                let owners =
                    store.accounts().map(|found| found.map(|(account, facts)| uploads.owner(&account, facts.created)));
                owners.collect::<Result<HashSet<_>, _>>().ok()
            };
            uploads.sweep(SystemTime::now(), living)
        });
        match swept.await {
            Ok(swept) if swept.expired + swept.orphaned > 0 => log::info!(
                "removed uploaded files: {} were too old, {} of accounts that are no more",
                swept.expired,
                swept.orphaned
            ),
            Ok(_) => {}
            Err(error) => log::error!("uploaded files that are too old are not removed: {error}"),
        }
    }
}

const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);
/// Many accounts may end together; one sweep does for all of them.
const SWEEP_DELAY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_derived_from_the_domain_and_the_port() {
        for (domain, reverse_proxy, port, expected) in [
            ("a.example", false, 5280, "https://a.example:5280"),
            ("a.example", false, 443, "https://a.example"),
            ("a.example", true, 5280, "https://a.example"),
            ("bücher.example", false, 1, "https://xn--bcher-kva.example:1"),
        ] {
            assert_eq!(derived_url(&domain.parse().unwrap(), reverse_proxy, port), expected);
        }
    }
}
