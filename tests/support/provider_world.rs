//! A provider of text messages with what it needs to be believed, the one message that is sent through it, and the search of
//! log and errors for what must not be told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use kontalk_node::phone::{Code, PhoneNumber, SmsText};
use kontalk_node::sms::http::{Kind, Login, Provider, Settings, TwilioSms, build};
use kontalk_node::sms::{Accepted, Checked, SmsError, SmsSender, VerificationId, Verifier};

use crate::provider_stub::{Authority, Files, Reply, Stub};

pub const NUMBER: &str = "+4915112345678";
pub const CODE: &str = "072953";
pub const TEXT: &str = "072953 is your Kontalk code, good for ten minutes. Do not share it.";
pub const SECRET: &str = "s3cr3t/of+the=provider";
pub const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub const KEY: &str = "SK0123456789abcdef0123456789abcdef";
pub const SERVICE: &str = "VA0123456789abcdef0123456789abcdef";
/// What the node calls the message, if its randomness is 42.
pub const REFERENCE: &str = "2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a";

/// What every interface's answers mean that say nothing but their status.
pub fn by_status() -> Vec<(Reply, &'static str)> {
    let reply = |status| Reply::json(status, "");
    vec![
        (reply(401), "not allowed"),
        (reply(402), "not allowed"),
        (reply(403), "not allowed"),
        (reply(408), "later 15"),
        (reply(429).with("Retry-After", "20"), "later 20"),
        (reply(429).with("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"), "later 15"),
        (reply(500), "unknown"),
        (reply(502), "unknown"),
        (reply(503).with("Retry-After", "120"), "later 120"),
        (reply(503), "later 60"),
        (reply(504), "unknown"),
        (Reply::Close, "unknown"),
    ]
}

/// A provider, and what it needs to be believed.
pub struct World {
    pub authority: Authority,
    pub stub: Stub,
    pub files: Files,
}

impl World {
    pub fn new() -> World {
        LOG.start();
        let authority = Authority::new();
        let files = Files::new();
        files.write("ca.pem", &authority.pem);
        files.write("secret", &format!("{SECRET}\n"));
        World { stub: Stub::start(&authority), authority, files }
    }

    pub fn secret_file(&self) -> PathBuf {
        self.files.path().join("secret")
    }

    pub fn login(&self, user: &str) -> Login {
        Login { user: user.into(), secret_file: self.secret_file() }
    }

    pub fn twilio(&self, stub: &Stub) -> Kind {
        Kind::TwilioSms(TwilioSms {
            url: stub.url(),
            account: ACCOUNT.into(),
            login: self.login(KEY),
            from: "+12025550123".into(),
            redact: false,
            callback: None,
        })
    }

    pub fn settings(&self, kind: Kind) -> Settings {
        let mut settings = Settings::new("stub", kind);
        settings.ca_file = Some(self.files.path().join("ca.pem"));
        // An upper bound for a busy machine.
        settings.connect_timeout = Duration::from_secs(20);
        settings
    }

    pub fn sender(&self, kind: Kind) -> Box<dyn SmsSender> {
        self.built_sender(&self.settings(kind))
    }

    pub fn built_sender(&self, settings: &Settings) -> Box<dyn SmsSender> {
        match build(settings, || [42; 16]).unwrap() {
            Provider::Sender(sender) => {
                innocent(&sender.describe());
                sender
            }
            Provider::Verifier(_) => panic!("it sends messages"),
        }
    }

    pub fn verifier(&self, kind: Kind) -> Box<dyn Verifier> {
        match build(&self.settings(kind), || [42; 16]).unwrap() {
            Provider::Verifier(verifier) => verifier,
            Provider::Sender(_) => panic!("it makes the codes itself"),
        }
    }

    pub fn sends(&self, sender: &dyn SmsSender, table: Vec<(Reply, &str)>) {
        self.each(table, || send(sender));
    }

    pub fn starts(&self, verifier: &dyn Verifier, table: Vec<(Reply, &str)>) {
        self.each(table, || word(start(verifier).map(|_| Accepted::default())));
    }

    pub fn checks(&self, verifier: &dyn Verifier, table: Vec<(Reply, &str)>) {
        let id = VerificationId::new("VE1").unwrap();
        self.each(table, || check(verifier, &id));
    }

    /// Every reply has its outcome, and nothing is asked twice.
    fn each(&self, table: Vec<(Reply, &str)>, ask: impl Fn() -> String) {
        for (reply, expected) in table {
            let told = format!("{reply:?}");
            self.stub.then(reply);
            assert_eq!(ask(), expected, "{told}");
            self.stub.asked_once();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            LOG.check();
        }
    }
}

pub fn message() -> (PhoneNumber, SmsText) {
    (PhoneNumber::parse(NUMBER).unwrap(), SmsText::verification(&Code::parse(CODE).unwrap()))
}

pub fn send(sender: &dyn SmsSender) -> String {
    let (to, text) = message();
    word(smol::block_on(sender.send(&to, &text)))
}

pub fn start(verifier: &dyn Verifier) -> Result<VerificationId, SmsError> {
    smol::block_on(verifier.start(&message().0))
}

pub fn check(verifier: &dyn Verifier, id: &VerificationId) -> String {
    match smol::block_on(verifier.check(id, &Code::parse(CODE).unwrap())) {
        Ok(Checked::Right) => "right".into(),
        Ok(Checked::Wrong) => "wrong".into(),
        Ok(Checked::Over) => "over".into(),
        Err(error) => word(Err(error)),
    }
}

/// An outcome in a word, with what belongs to it.
pub fn word(outcome: Result<Accepted, SmsError>) -> String {
    if let Err(error) = &outcome {
        innocent(&format!("{error} {error:?}"));
        log::info!("{error}");
    }
    match outcome {
        Ok(accepted) => format!("accepted {}", accepted.reference.unwrap_or_default()),
        Err(SmsError::Refused(_)) => "refused".into(),
        Err(SmsError::NotAllowed(_)) => "not allowed".into(),
        Err(SmsError::Later(_, rest)) => format!("later {}", rest.as_secs()),
        Err(SmsError::Unknown(_)) => "unknown".into(),
    }
}

/// Holds nothing that must not be shown.
pub fn innocent(text: &str) {
    for secret in ["15112345678", CODE, "is your Kontalk code", SECRET, "s3cr3t"] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// The log as the node has it at its most talkative: everything of its own, warnings of its libraries.
static LOG: Log = Log { lines: Mutex::new(String::new()), start: Once::new() };

struct Log {
    lines: Mutex<String>,
    start: Once,
}

impl Log {
    fn start(&'static self) {
        self.start.call_once(|| {
            log::set_logger(self).unwrap();
            log::set_max_level(log::LevelFilter::Trace);
            // So that an empty log means that nothing is caught.
            log::info!("the log begins");
        });
    }

    fn check(&self) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!lines.is_empty() && !lines.contains("ERROR"), "{lines}");
        innocent(&lines);
    }
}

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        let ours = metadata.target().starts_with("kontalk_node") || metadata.target().starts_with("sms_http");
        ours || metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            *lines += &format!("{} {}\n", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}
