//! Text messages by way of HTTP: providers that are paid for each, an old telephone on the shelf, and any other interface that
//! a template can describe.
//!
//! [`build`] makes of [`Settings`] either a sender of messages, or a [`Verifier`] for providers that make and check the code
//! themselves. Each has a thread of its own (`line`). What a provider's answer means is decided by its file here, from what
//! it documents: *accepted*; *refused*, this message or number; *not allowed*, until the operator does something; *later*, with
//! the rest it asks for; *unknown*. Nothing is sent twice, with one exception: the Android app knows a message by the id that we
//! give it, and so may be asked again. Answers that are cut short, or of a form nobody documented, are unknown.
//!
//! TLS is required but on private networks; the authorities are those of Mozilla's programme, compiled in, or a file of the
//! operator's. Numbers, texts, codes and secrets are in no log and no error: the reasons are our words, never the provider's.
//!
//! [`receipt`] reads the providers' reports of delivery and checks their signatures, a [`Reporter`] does so for one provider; who
//! listens for them is not here.

mod android;
mod answer;
mod fault;
mod line;
mod message;
mod pattern;
pub mod receipt;
mod reporter;
mod request;
mod rule;
mod secret;
mod settings;
mod template;
mod twilio;
mod url;
mod vonage;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, parse_pem};

use self::answer::Answer;
use self::line::Line;
use self::message::Message;
use self::request::Request;
use self::secret::SecretFile;
use super::{Accepted, Checked, Checking, Sending, SmsError, SmsSender, SmsText, Starting, VerificationId, Verifier};
use crate::phone::{Code, PhoneNumber};
pub use fault::{BuildError, Fault};
pub use pattern::PLACEHOLDERS;
pub use reporter::{Came, NoReport, Reporter};
pub use settings::*;

/// A provider, ready to be used.
pub enum Provider {
    /// It takes messages.
    Sender(Box<dyn SmsSender>),
    /// It makes codes, sends them and checks them.
    Verifier(Box<dyn Verifier>),
}

impl Provider {
    /// What it is, for status and logs.
    pub fn describe(&self) -> String {
        match self {
            Provider::Sender(sender) => sender.describe(),
            Provider::Verifier(verifier) => verifier.describe(),
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.describe())
    }
}

/// Where the names that we give to messages come from: sixteen bytes of the operating system's randomness.
pub type Random = fn() -> [u8; 16];

/// Makes a provider ready: its thread runs, nothing is asked of it yet, and its secret is not read yet.
///
/// # Errors
/// All that [`check`] finds, or no thread.
pub fn build(settings: &Settings, random: Random) -> Result<Provider, BuildError> {
    let parts = Parts::new(settings).map_err(BuildError::Settings)?;
    let line = Line::open(settings, SecretFile::new(parts.secret_file.as_deref()), parts.roots)?;
    let about = format!("{}: {} at {}", settings.name, parts.what, parts.host);
    Ok(match parts.interface {
        Interface::Messages(dialect) => Provider::Sender(Box::new(Sender { line, dialect, random, about })),
        Interface::Android(android) => Provider::Sender(Box::new(android.into_sender(line, random, about))),
        Interface::Verifications(dialect) => Provider::Verifier(Box::new(Asker { line, dialect, about })),
    })
}

/// All that is wrong with the settings. Reads the certificates' file, and nothing else.
pub fn check(settings: &Settings) -> Vec<Fault> {
    Parts::new(settings).err().unwrap_or_default()
}

/// What settings become before there is a thread.
struct Parts {
    interface: Interface,
    what: &'static str,
    host: String,
    secret_file: Option<PathBuf>,
    roots: Option<Vec<Certificate<'static>>>,
}

enum Interface {
    Messages(Arc<dyn Dialect>),
    Android(android::Dialect),
    Verifications(Arc<dyn VerifyDialect>),
}

impl Parts {
    fn new(settings: &Settings) -> Result<Parts, Vec<Fault>> {
        let mut faults = Vec::new();
        let name = settings.name.as_str();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.chars().all(fits) {
            let remedy = format!("1 to {NAME_BYTES_MAX} small letters, digits, - and _");
            faults.push(Fault::new("", "not a name for a provider", remedy));
        }
        let roots = settings.ca_file.as_deref().and_then(|path| roots(path).map_err(|fault| faults.push(fault)).ok());
        let (what, url, secret_file) = match &settings.kind {
            Kind::VonageSms(it) => ("Vonage SMS", &it.url, Some(&it.login.secret_file)),
            Kind::VonageVerify(it) => ("Vonage Verify", &it.url, Some(&it.login.secret_file)),
            Kind::TwilioSms(it) => ("Twilio Messages", &it.url, Some(&it.login.secret_file)),
            Kind::TwilioVerify(it) => ("Twilio Verify", &it.url, Some(&it.login.secret_file)),
            Kind::Android(it) => ("SMS Gateway for Android", &it.url, Some(&it.login.secret_file)),
            Kind::Template(it) => ("a template", &it.url, it.secret_file.as_ref()),
        };
        let host = url::host_of(url).map_err(|fault| faults.push(fault)).unwrap_or_default();
        let interface = match &settings.kind {
            Kind::VonageSms(it) => messages(vonage::Sms::new(it, &mut faults)),
            Kind::VonageVerify(it) => verifications(vonage::Verify::new(it, &mut faults)),
            Kind::TwilioSms(it) => messages(twilio::Sms::new(it, &mut faults)),
            Kind::TwilioVerify(it) => verifications(twilio::Verify::new(it, &mut faults)),
            Kind::Android(it) => android::Dialect::new(it, &mut faults).map(Interface::Android),
            Kind::Template(it) => messages(template::Dialect::new(it, &mut faults)),
        };
        match interface {
            Some(interface) if faults.is_empty() => {
                Ok(Parts { interface, what, host, secret_file: secret_file.cloned(), roots })
            }
            _ => Err(faults),
        }
    }
}

fn messages<D: Dialect + 'static>(dialect: Option<D>) -> Option<Interface> {
    Some(Interface::Messages(Arc::new(dialect?)))
}

fn verifications<D: VerifyDialect + 'static>(dialect: Option<D>) -> Option<Interface> {
    Some(Interface::Verifications(Arc::new(dialect?)))
}

/// How to ask one provider to send a message, and what its answers mean.
trait Dialect: Send + Sync {
    fn request(&self, message: &Message, secret: &str) -> Request;

    fn outcome(&self, answer: &Answer) -> Result<Accepted, SmsError>;
}

/// Sends in a dialect that needs one question and one answer.
struct Sender {
    line: Line,
    dialect: Arc<dyn Dialect>,
    random: Random,
    about: String,
}

impl SmsSender for Sender {
    fn send<'a>(&'a self, to: &'a PhoneNumber, text: &'a SmsText) -> Sending<'a> {
        Box::pin(async move {
            let message = Message::new(to, text, (self.random)());
            let dialect = self.dialect.clone();
            let answer = self.line.ask(move |secret| dialect.request(&message, secret)).await?;
            self.dialect.outcome(&answer)
        })
    }

    fn describe(&self) -> String {
        self.about.clone()
    }
}

/// How to ask one provider to verify a number, and what its answers mean.
trait VerifyDialect: Send + Sync {
    fn begin(&self, to: &PhoneNumber, secret: &str) -> Request;

    fn begun(&self, answer: &Answer) -> Result<VerificationId, SmsError>;

    fn question(&self, id: &VerificationId, code: &Code, secret: &str) -> Request;

    fn checked(&self, answer: &Answer) -> Result<Checked, SmsError>;
}

/// Verifies in a dialect.
struct Asker {
    line: Line,
    dialect: Arc<dyn VerifyDialect>,
    about: String,
}

impl Verifier for Asker {
    fn start<'a>(&'a self, to: &'a PhoneNumber) -> Starting<'a> {
        Box::pin(async move {
            let (dialect, to) = (self.dialect.clone(), to.clone());
            self.dialect.begun(&self.line.ask(move |secret| dialect.begin(&to, secret)).await?)
        })
    }

    fn check<'a>(&'a self, id: &'a VerificationId, code: &'a Code) -> Checking<'a> {
        Box::pin(async move {
            let (dialect, id, code) = (self.dialect.clone(), id.clone(), code.clone());
            self.dialect.checked(&self.line.ask(move |secret| dialect.question(&id, &code, secret)).await?)
        })
    }

    fn describe(&self) -> String {
        self.about.clone()
    }
}

/// The certificates of a file.
fn roots(path: &Path) -> Result<Vec<Certificate<'static>>, Fault> {
    let unreadable = |error: std::io::Error| {
        let remedy = "it must exist, and the user kontalk-node be allowed to read it";
        Fault::new("ca_file", format!("cannot be read: {error}"), remedy)
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    // A device would give bytes for ever, a pipe none.
    let fits = metadata.is_file() && metadata.len() <= CA_FILE_BYTES_MAX;
    let text = if fits { fs::read(path).map_err(unreadable)? } else { Vec::new() };
    let mut roots = Vec::new();
    for item in parse_pem(&text) {
        if let Ok(PemItem::Certificate(certificate)) = item {
            roots.push(certificate);
        }
    }
    if roots.is_empty() {
        return Err(Fault::new("ca_file", "holds no certificate", "certificates in PEM, 1 MiB at most"));
    }
    Ok(roots)
}

const NAME_BYTES_MAX: usize = 32;
const CA_FILE_BYTES_MAX: u64 = 1024 * 1024;
