//! The line to one provider: a thread of its own that asks one thing after another.
//!
//! The library asks in the blocking way, so each provider has a thread, and one that hangs holds up nobody but those who wait
//! for it. The future of a message waits for the thread; if it is dropped before its turn, nothing is sent.
//!
//! What is known of a request that failed depends on one thing: whether the connection was there, TLS included. Before that
//! nothing has left; after it the provider may have acted. No connection is used twice, for one that the other side has closed
//! meanwhile would blur that. Redirects are not followed, and no proxy of the environment is used.
//!
//! Limits: waiting messages and how long they wait, time to connect and time for all, bytes of head and body of the answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use smol::channel::{Receiver, Sender, TrySendError, bounded};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, Transport};
use ureq::{Agent, http};
use zeroize::Zeroizing;

use super::SmsError;
use super::answer::{Answer, OUTAGE_REST};
use super::fault::BuildError;
use super::request::{Method, Request};
use super::secret::SecretFile;
use super::settings::Settings;
use crate::limits::{SMS_ANSWER_BYTES_MAX, SMS_PROVIDER_PATIENCE, SMS_PROVIDER_QUEUE_MAX};

/// Dropping it ends the thread, after the request that is under way.
#[derive(Debug)]
pub(super) struct Line {
    jobs: Sender<Job>,
}

struct Job {
    make: Box<dyn FnOnce(&str) -> Request + Send>,
    asked: Instant,
    tell: Sender<Result<Answer, SmsError>>,
}

impl Line {
    /// Starts the thread. Nothing is asked yet. `roots`: instead of those compiled in.
    pub(super) fn open(
        settings: &Settings,
        secret: SecretFile,
        roots: Option<Vec<Certificate<'static>>>,
    ) -> Result<Line, BuildError> {
        let (jobs, waiting) = bounded(SMS_PROVIDER_QUEUE_MAX);
        let phone = Telephone::new(settings, secret, roots);
        let thread = std::thread::Builder::new().name(format!("sms-{}", settings.name));
        thread.spawn(move || serve(&waiting, phone)).map_err(BuildError::Thread)?;
        Ok(Line { jobs })
    }

    /// Asks the provider, when it is this request's turn. `make` is given the secret.
    pub(super) async fn ask(&self, make: impl FnOnce(&str) -> Request + Send + 'static) -> Result<Answer, SmsError> {
        let (tell, told) = bounded(1);
        match self.jobs.try_send(Job { make: Box::new(make), asked: Instant::now(), tell }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(crowded()),
            Err(TrySendError::Closed(_)) => return Err(SmsError::NotAllowed(NO_THREAD.into())),
        }
        // The thread tells of each job, unless the library failed under it.
        told.recv().await.unwrap_or_else(|_| Err(SmsError::Unknown(FAILED.into())))
    }
}

fn serve(waiting: &Receiver<Job>, mut phone: Telephone) {
    while let Ok(job) = waiting.recv_blocking() {
        if job.tell.is_closed() {
            continue;
        }
        let outcome = if job.asked.elapsed() > SMS_PROVIDER_PATIENCE {
            Err(crowded())
        } else {
            match catch_unwind(AssertUnwindSafe(|| phone.call(job.make))) {
                Ok(outcome) => outcome,
                Err(_) => {
                    log::error!("asking a provider of text messages failed in a way it must not");
                    continue;
                }
            }
        };
        // Who asked may have gone.
        let _ = job.tell.try_send(outcome);
    }
}

/// What the thread holds.
struct Telephone {
    agent: Agent,
    connected: Arc<AtomicBool>,
    secret: SecretFile,
}

impl Telephone {
    fn new(settings: &Settings, secret: SecretFile, roots: Option<Vec<Certificate<'static>>>) -> Telephone {
        let roots = roots.map_or(RootCerts::WebPki, |roots| RootCerts::Specific(Arc::new(roots)));
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .max_idle_connections(0)
            .user_agent(concat!("kontalk-node/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .max_response_header_size(HEAD_BYTES_MAX)
            .input_buffer_size(HEAD_BYTES_MAX)
            .output_buffer_size(HEAD_BYTES_MAX)
            .timeout_resolve(Some(settings.connect_timeout))
            .timeout_connect(Some(settings.connect_timeout))
            .timeout_global(Some(settings.timeout))
            .build();
        let connected = Arc::new(AtomicBool::new(false));
        let connector = DefaultConnector::new().chain(Mark { connected: connected.clone() });
        Telephone { agent: Agent::with_parts(config, connector, DefaultResolver::default()), connected, secret }
    }

    fn call(&mut self, make: impl FnOnce(&str) -> Request) -> Result<Answer, SmsError> {
        let secret = self.secret.current().map_err(|reason| SmsError::NotAllowed(reason.into()))?;
        let request = make(&secret);
        self.connected.store(false, Ordering::Relaxed);
        match self.send(&request) {
            Ok(response) => Ok(answer(response)),
            Err(_) if self.connected.load(Ordering::Relaxed) => Err(SmsError::Unknown(NO_ANSWER.into())),
            Err(error) => Err(not_sent(&error)),
        }
    }

    fn send(&self, request: &Request) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let mut head = http::Request::builder().uri(request.url.as_str()).method(match request.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
        });
        for (name, value) in &request.headers {
            let mut value = http::HeaderValue::from_bytes(value.as_bytes()).map_err(http::Error::from)?;
            value.set_sensitive(true);
            head = head.header(name.as_str(), value);
        }
        match request.method {
            Method::Get => self.agent.run(head.body(())?),
            Method::Post | Method::Put => self.agent.run(head.body(request.body.as_bytes())?),
        }
    }
}

/// Stands last in the chain that makes a connection: whoever comes here has one.
#[derive(Debug)]
struct Mark {
    connected: Arc<AtomicBool>,
}

impl<In: Transport> Connector<In> for Mark {
    type Out = In;

    fn connect(&self, _: &ConnectionDetails<'_>, made: Option<In>) -> Result<Option<In>, ureq::Error> {
        self.connected.store(made.is_some(), Ordering::Relaxed);
        Ok(made)
    }
}

fn answer(response: http::Response<ureq::Body>) -> Answer {
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let body = response.into_body().into_with_config().limit(SMS_ANSWER_BYTES_MAX as u64).read_to_vec();
    Answer { status, retry_after, body: body.ok().map(Zeroizing::new) }
}

/// Why nothing has left. Nothing of the library's own words, which may quote the address with all that is in it.
fn not_sent(error: &ureq::Error) -> SmsError {
    match error {
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            SmsError::NotAllowed(NOT_TRUSTED.into())
        }
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::TlsRequired => {
            SmsError::NotAllowed(NOT_TRUSTED.into())
        }
        ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => {
            SmsError::Later(UNREACHABLE.into(), OUTAGE_REST)
        }
        _ => SmsError::NotAllowed(NO_REQUEST.into()),
    }
}

fn crowded() -> SmsError {
    SmsError::Later(CROWDED.into(), CROWDED_REST)
}

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const CROWDED_REST: Duration = Duration::from_secs(5);
const CROWDED: &str = "too many messages wait for this provider";
const NO_THREAD: &str = "the provider's thread has ended (remedy: start the node again)";
const FAILED: &str = "the request failed in a way it must not";
const NO_ANSWER: &str = "the provider did not answer, or not in time";
const UNREACHABLE: &str = "the provider cannot be reached";
const NOT_TRUSTED: &str =
    "the provider's certificate is not trusted (remedy: check the url, this machine's clock, and ca_file)";
const NO_REQUEST: &str = "no request can be made of these settings (remedy: check url and headers)";
