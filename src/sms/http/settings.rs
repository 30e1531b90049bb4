//! What a provider is told by the configuration: plain data. Secrets are not in it, only the files they are in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::limits;

/// One provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The operator's own name for it, for routes, status and logs.
    pub name: String,
    /// Which interface it has, and what that needs.
    pub kind: Kind,
    /// Certificates in PEM that its certificate must come from, instead of the authorities of Mozilla's programme, which are
    /// compiled in: for a gateway at home, or `/etc/ssl/certs/ca-certificates.crt` for the system's own choice.
    pub ca_file: Option<PathBuf>,
    /// The file of what the provider signs its reports of delivery with, and nothing else: Vonage's signature secret, Twilio's auth
    /// token, the Android app's signing key. `None`: it is not asked for reports.
    pub report_secret_file: Option<PathBuf>,
    /// Until it is connected, TLS included.
    pub connect_timeout: Duration,
    /// One whole request.
    pub timeout: Duration,
}

impl Settings {
    /// A provider with the usual times.
    pub fn new(name: impl Into<String>, kind: Kind) -> Settings {
        Settings {
            name: name.into(),
            kind,
            ca_file: None,
            report_secret_file: None,
            connect_timeout: limits::SMS_CONNECT_TIMEOUT,
            timeout: limits::SMS_REQUEST_TIMEOUT,
        }
    }
}

/// The interfaces there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Vonage (once Nexmo), SMS API.
    VonageSms(VonageSms),
    /// Vonage, Verify API version 2: makes and checks the code itself.
    VonageVerify(VonageVerify),
    /// Twilio, Messages.
    TwilioSms(TwilioSms),
    /// Twilio, Verify version 2: makes and checks the code itself.
    TwilioVerify(TwilioVerify),
    /// The app SMS Gateway for Android in its local mode: an old telephone is the modem.
    Android(Android),
    /// Any other, described by a template.
    Template(Template),
}

impl Kind {
    /// The file with its secret, if it has one.
    pub fn secret_file(&self) -> Option<&Path> {
        match self {
            Kind::VonageSms(provider) => Some(&provider.login.secret_file),
            Kind::VonageVerify(provider) => Some(&provider.login.secret_file),
            Kind::TwilioSms(provider) => Some(&provider.login.secret_file),
            Kind::TwilioVerify(provider) => Some(&provider.login.secret_file),
            Kind::Android(provider) => Some(&provider.login.secret_file),
            Kind::Template(provider) => provider.secret_file.as_deref(),
        }
    }

    /// Does it make, send and check codes itself, instead of taking messages?
    pub fn makes_codes(&self) -> bool {
        matches!(self, Kind::VonageVerify(_) | Kind::TwilioVerify(_))
    }
}

/// A name and a password; HTTP Basic (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The name: Vonage's API key, Twilio's account or API key SID, the user shown in the Android app.
    pub user: String,
    /// The file that holds the password and nothing else. It is read again when it has changed.
    pub secret_file: PathBuf,
}

/// Vonage, SMS API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VonageSms {
    /// Where the interface is; [`VONAGE_SMS_URL`].
    pub url: String,
    /// API key and API secret.
    pub login: Login,
    /// Whom the message is from: digits, or 3 to 11 letters and digits.
    pub from: String,
    /// Where delivery receipts go, with an unguessable part: at most 100 characters.
    pub callback: Option<String>,
}

/// Vonage, Verify API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VonageVerify {
    /// Where the interface is; [`VONAGE_VERIFY_URL`].
    pub url: String,
    /// API key and API secret.
    pub login: Login,
    /// Who wants to know, as the message says: 1 to 16 characters.
    pub brand: String,
    /// The language of the message, as in `de-de`; else the number's country decides.
    pub locale: Option<String>,
}

/// Twilio, Messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwilioSms {
    /// Where the interface is; [`TWILIO_SMS_URL`].
    pub url: String,
    /// The account's SID, `AC…`.
    pub account: String,
    /// The account's SID and its auth token, or better an API key's SID and its secret.
    pub login: Login,
    /// Whom the message is from: a number with its plus, a name, or a messaging service's SID, `MG…`.
    pub from: String,
    /// Have text and number removed from the provider's records. The account must have the feature.
    pub redact: bool,
    /// Where delivery receipts go.
    pub callback: Option<String>,
}

/// Twilio, Verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwilioVerify {
    /// Where the interface is; [`TWILIO_VERIFY_URL`].
    pub url: String,
    /// As for [`TwilioSms`].
    pub login: Login,
    /// The Verify service's SID, `VA…`. It must make codes of six digits.
    pub service: String,
    /// The language of the message, as in `de`; else the number's country decides.
    pub locale: Option<String>,
}

/// SMS Gateway for Android.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Android {
    /// The telephone, as in `http://192.168.1.20:8080`. Without TLS only on a private network.
    pub url: String,
    /// As the app shows them.
    pub login: Login,
    /// Which of its SIM cards, counted from 1; else the telephone's own choice.
    pub sim: Option<u8>,
    /// Ask the network for a report of delivery; some SIM cards refuse messages that do.
    pub delivery_reports: bool,
    /// Between two looks at what became of a message.
    pub poll: Duration,
    /// How long to look; what is not sent by then counts as unknown.
    pub settle: Duration,
}

impl Android {
    /// A telephone with the usual times.
    pub fn new(url: impl Into<String>, login: Login) -> Android {
        Android {
            url: url.into(),
            login,
            sim: None,
            delivery_reports: false,
            poll: Duration::from_secs(1),
            settle: Duration::from_secs(20),
        }
    }
}

/// A provider that is described instead of known. Placeholders ([`PLACEHOLDERS`](super::PLACEHOLDERS)) in braces stand for
/// the message's parts; each is escaped as its place wants it, once, and what comes in by one is not looked at again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// `GET`, `POST` or `PUT`.
    pub method: String,
    /// The address. Placeholders may stand behind the host, and are percent-encoded.
    pub url: String,
    /// The name for HTTP Basic, and for `{user}`.
    pub user: Option<String>,
    /// The file of the password for HTTP Basic (if there is a `user` and no placeholder uses it), and for `{secret}`.
    pub secret_file: Option<PathBuf>,
    /// More headers. Line ends in what is put in become spaces.
    pub headers: Vec<(String, String)>,
    /// How the body is to be read, and its placeholders to be escaped: JSON (as text inside of its strings), XML, an HTML
    /// form (`application/x-www-form-urlencoded`), or plain text (as they are).
    pub content_type: Option<String>,
    /// The body.
    pub body: Option<String>,
    /// Whom the message is from, for `{sender}`.
    pub sender: Option<String>,
    /// Rules that say the message was taken: one of the statuses, and all of the others; nothing: any status 2xx.
    pub accepted: Vec<String>,
    /// Rules, any of which says that nothing more will be taken until the operator does something.
    pub not_allowed: Vec<String>,
    /// Rules, any of which says that the provider wants to be left in peace for a while.
    pub later: Vec<String>,
    /// Rules, any of which says that it is not known what became of the message.
    pub unknown: Vec<String>,
    /// Where in a JSON answer the provider's name for the message is: a JSON pointer (RFC 6901).
    pub reference: Option<String>,
}

/// Characters of an address that Vonage sends reports to.
pub const VONAGE_CALLBACK_BYTES_MAX: usize = 100;
/// Where Vonage takes messages.
pub const VONAGE_SMS_URL: &str = "https://rest.nexmo.com";
/// Where Vonage verifies.
pub const VONAGE_VERIFY_URL: &str = "https://api.nexmo.com";
/// Where Twilio takes messages.
pub const TWILIO_SMS_URL: &str = "https://api.twilio.com";
/// Where Twilio verifies.
pub const TWILIO_VERIFY_URL: &str = "https://verify.twilio.com";
