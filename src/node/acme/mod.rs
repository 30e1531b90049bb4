//! Certificates by themselves: looks at the one in use, orders another in time, and puts it in use. RFC 8555; what to ask and what the
//! answers mean is decided in [`crate::acme`].
//!
//! The key of the certificate stays the same: other nodes have pinned it, and trust is bound to it. Who wants another one removes its
//! file and starts the node; other nodes learn of it by the node's next signed address.
//!
//! States: content -> (two thirds of the time are over, a name is missing, or there is only a self-made one) -> an order -> content,
//! or a rest that grows with each failure and is kept over restarts. Streams that are up are not touched.

mod files;
mod proofs;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use smol::Timer;
use smol::future::FutureExt;

use self::files::{AccountKey, Standing};
use self::proofs::Prover;
use super::name_server::NameServer;
use super::random::random_bytes;
use super::watch::{Subject, Watch};
use crate::acme::jws::Unsigned;
use crate::acme::{Answer, Ask, Errand, Fault, Method, Proof, Purpose, Step, schedule};
use crate::config::Acme;
use crate::fetch::{Asker, Request, Response};
use crate::limits::ACME_ANSWER_BYTES_MAX;
use crate::net::OwnCertificate;
use crate::web::ProofBoard;

/// Who sees to the certificate.
pub(super) struct Keeper {
    prover: Prover,
    data_dir: PathBuf,
    watch: Watch,
}

impl Keeper {
    pub(super) fn new(
        settings: Acme,
        certificate: Arc<OwnCertificate>,
        board: ProofBoard,
        name_server: Option<NameServer>,
        data_dir: PathBuf,
        watch: Watch,
    ) -> Keeper {
        Keeper { prover: Prover { settings, certificate, board, name_server }, data_dir, watch }
    }

    /// Looks again and again. Ends with the node.
    pub(super) async fn run(self) {
        loop {
            let now = SystemTime::now();
            let mut standing = Standing::read(&self.data_dir, &self.prover.settings.directory);
            if let Some(wait) = self.due_in(now) {
                self.watch.over(Subject::Renewal);
                Timer::after(wait.clamp(Duration::from_secs(1), LOOK_EVERY)).await;
                continue;
            }
            let rest = standing.rest(now);
            if !rest.is_zero() {
                Timer::after(rest.min(LOOK_EVERY)).await;
                continue;
            }
            match self.order(&mut standing).await {
                Ok(()) => (standing.failures, standing.quiet_until) = (0, 0),
                Err((text, retry_after)) => self.failed(&mut standing, &text, retry_after),
            }
            standing.write(&self.data_dir);
        }
    }

    /// `None`: now.
    fn due_in(&self, now: SystemTime) -> Option<Duration> {
        let facts = self.prover.certificate.facts();
        if facts.self_signed || !self.prover.settings.names.iter().all(|name| facts.covers(name)) {
            return None;
        }
        let due = schedule::renew_at(facts.not_before, facts.not_after);
        due.duration_since(now).ok().filter(|wait| !wait.is_zero())
    }

    fn failed(&self, standing: &mut Standing, text: &str, retry_after: Option<Duration>) {
        standing.failures = standing.failures.saturating_add(1);
        let wait = schedule::retry_in(standing.failures, u32::from_le_bytes(random_bytes()), retry_after);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        standing.quiet_until = now.saturating_add(wait).as_secs();
        let text = format!("no certificate was issued: {text}; tried again in {} min", wait.as_secs().div_ceil(60));
        log::warn!("{text}");
        self.watch.trouble(Subject::Renewal, text);
    }

    /// One order, to its end. The account is remembered whatever comes of it.
    async fn order(&self, standing: &mut Standing) -> Result<(), (String, Option<Duration>)> {
        let plain = |text: String| (text, None);
        let settings = &self.prover.settings;
        log::info!("asking {} for a certificate for {}", settings.directory, settings.names.join(", "));
        let key = Arc::new(AccountKey::open(&self.data_dir).map_err(|error| plain(error.to_string()))?);
        let asker = Asker::new(settings.ca_file.as_deref(), ACME_ANSWER_BYTES_MAX).map_err(plain)?;
        let request = self.prover.certificate.request(&settings.names).map_err(|fault| plain(fault.to_string()))?;
        let mut errand = Errand::new(Purpose {
            directory: settings.directory.clone(),
            contact: settings.contact.clone(),
            names: settings.names.clone(),
            challenge: settings.challenge,
            key: key.public.clone(),
            account: standing.account.clone(),
            request,
        });
        let mut proofs = Vec::new();
        let late = async {
            Timer::after(ORDER_PATIENCE).await;
            Err(plain(Fault::TooLong.to_string()))
        };
        let outcome = self.carry_out(&mut errand, Arc::new(asker), key, &mut proofs).or(late).await;
        self.prover.remove(&proofs).await;
        standing.account = errand.account().map(str::to_owned);
        let chain = outcome?;
        let certificate = self.prover.certificate.clone();
        let installed = smol::unblock(move || certificate.install(&chain, SystemTime::now())).await;
        installed.map_err(|fault| plain(fault.to_string()))
    }

    async fn carry_out(
        &self,
        errand: &mut Errand,
        asker: Arc<Asker>,
        key: Arc<AccountKey>,
        proofs: &mut Vec<Proof>,
    ) -> Result<Vec<u8>, (String, Option<Duration>)> {
        let mut step = errand.begin();
        loop {
            step = match step {
                Step::Ask(ask) => {
                    let (asker, key) = (asker.clone(), key.clone());
                    let told = smol::unblock(move || tell(&asker, &key, &ask)).await;
                    let response = told.map_err(|why| (format!("the authority: {why}"), None))?;
                    errand.answered(&answer(response, SystemTime::now()))
                }
                Step::Prove(wanted) => {
                    proofs.clone_from(&wanted);
                    self.prover.put(&wanted).await.map_err(|text| (text, None))?;
                    errand.proofs_are_there()
                }
                Step::Wait(time) => {
                    Timer::after(time).await;
                    errand.waited()
                }
                Step::Done(chain) => return Ok(chain),
                Step::Failed(fault) => return Err((fault.to_string(), fault.retry_after())),
            };
        }
    }
}

/// One request, signed where it must be. Blocks.
fn tell(asker: &Asker, key: &AccountKey, ask: &Ask) -> Result<Response, String> {
    let (nonce, account, payload) = match &ask.method {
        Method::Get => return asker.ask(&Request { url: &ask.url, ..Request::default() }),
        Method::Head => return asker.ask(&Request { url: &ask.url, head: true, ..Request::default() }),
        Method::Post { nonce, account, payload } => (nonce, account, payload),
    };
    let unsigned = Unsigned::new(&ask.url, nonce, &key.public, account.as_deref(), payload.as_ref());
    let signature = key.sign(&unsigned.signing_input()).map_err(|error| error.to_string())?;
    let body = unsigned.signed(&signature);
    // RFC 8555 §6.2.
    asker.ask(&Request { url: &ask.url, body: Some(("application/jose+json", &body)), ..Request::default() })
}

fn answer(response: Response, now: SystemTime) -> Answer {
    let Response { status, location, nonce, retry_after, body } = response;
    Answer { status, location, nonce, retry_after: retry_after.and_then(|text| delay(&text, now)), body }
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn delay(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(secs) = text.trim().parse() {
        return Some(Duration::from_secs(secs));
    }
    // RFC 9110 §5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT"; the parser wants a zone in digits.
    let text = text.trim().strip_suffix("GMT")?;
    let format = &time::format_description::well_known::Rfc2822;
    let moment = time::OffsetDateTime::parse(&format!("{text}+0000"), format).ok()?;
    SystemTime::from(moment).duration_since(now).ok()
}

/// Between two looks at the certificate: its file may be replaced by hand.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// For one order, slow name servers included.
const ORDER_PATIENCE: Duration = Duration::from_secs(2 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_that_a_server_asks_for_is_read_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, secs) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:40:37 GMT", None),
            ("-5", None),
            ("soon", None),
        ] {
            assert_eq!(delay(text, now).map(|delay| delay.as_secs()), secs, "{text}");
        }
    }

    #[test]
    fn a_key_and_how_things_stand_survive_and_another_authority_begins_anew() {
        let dir = std::env::temp_dir().join(format!("kontalk-node-acme-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let made = AccountKey::open(&dir).unwrap();
        assert_eq!(AccountKey::open(&dir).unwrap().public, made.public);
        assert_eq!(made.sign("text").unwrap().len(), 64);
        let mut standing = Standing::read(&dir, "https://ca.example/");
        (standing.failures, standing.quiet_until) = (3, 1000);
        standing.write(&dir);
        assert_eq!(Standing::read(&dir, "https://ca.example/"), standing);
        assert_eq!(Standing::read(&dir, "https://other.example/").failures, 0);
        assert_eq!(standing.rest(SystemTime::UNIX_EPOCH + Duration::from_secs(400)).as_secs(), 600);
        assert!(standing.rest(SystemTime::now()).is_zero());
        std::fs::write(dir.join("acme-state.json"), "{").unwrap();
        assert_eq!(Standing::read(&dir, "https://ca.example/").failures, 0);
        let _ = std::fs::remove_dir_all(&dir);
    }
}
