//! One provider's reports as they come in over HTTP: read, and believed only if they are signed with what the operator and the provider
//! alone know.
//!
//! Three kinds of provider report and sign: Vonage (HMAC-SHA256 with the account's signature secret, by GET or POST, form or JSON),
//! Twilio (HMAC-SHA1 with the account's auth token over the address and a form) and the Android app (HMAC-SHA256 with the app's key
//! over body and time). Of the others nothing is believed. A signature that is good does not make a report new: whoever counts it
//! takes each message's only once.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::receipt::{self, Fields, Receipt};
use super::secret::SecretFile;
use super::settings::{Kind, Settings};

/// A request that may be a report, taken apart.
#[derive(Clone, Default)]
pub struct Came {
    /// Was it a GET? Then the report is in the query.
    pub get: bool,
    /// The query of its address, without the question mark.
    pub query: String,
    /// Is the body JSON, by its content type?
    pub json: bool,
    /// The body.
    pub body: String,
    /// The header `X-Twilio-Signature`, or the Android app's `X-Signature`.
    pub signature: String,
    /// The header `X-Timestamp`.
    pub timestamp: String,
}

impl fmt::Debug for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Came(…)")
    }
}

/// Why a request is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoReport {
    /// It is of no form that the provider documents.
    Malformed,
    /// It is not signed as the provider signs.
    NotGenuine,
    /// The file of the secret cannot be used; the reason is for the operator.
    Secret(&'static str),
}

/// What a provider signs by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signs {
    Vonage,
    Twilio,
    Android,
}

/// Reads one provider's reports.
pub struct Reporter {
    signs: Signs,
    /// The address that the provider was told.
    url: String,
    secret: Mutex<SecretFile>,
}

impl Reporter {
    /// For a provider whose reports come to this address; `None` if it makes none, or the operator does not want any.
    pub fn new(settings: &Settings, url: &str) -> Option<Reporter> {
        let signs = signs(&settings.kind)?;
        let file: &PathBuf = settings.report_secret_file.as_ref()?;
        Some(Reporter { signs, url: url.to_owned(), secret: Mutex::new(SecretFile::new(Some(file))) })
    }

    /// Must the operator tell the provider where its reports go? The others are told with each message.
    pub fn is_told_by_operator(&self) -> bool {
        self.signs == Signs::Android
    }

    /// The address of its reports.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What a request reports; `None` is a report of something else. `now`: since 1970. Reads the disk.
    ///
    /// # Errors
    /// It is no report, or not a genuine one; then nothing of it may be believed.
    pub fn read(&self, came: &Came, now: Duration) -> Result<Option<Receipt>, NoReport> {
        let secret = self.secret.lock().unwrap_or_else(PoisonError::into_inner).current().map_err(NoReport::Secret)?;
        match self.signs {
            Signs::Vonage => {
                let text = if came.get { &came.query } else { &came.body };
                let fields = if came.json && !came.get { Fields::of_json(text) } else { Fields::of_form(text) };
                let fields = fields.ok_or(NoReport::Malformed)?;
                genuine(receipt::vonage_is_genuine(&fields, &secret))?;
                receipt::vonage(&fields).map(Some).ok_or(NoReport::Malformed)
            }
            Signs::Twilio if came.get || came.json => Err(NoReport::Malformed),
            Signs::Twilio => {
                let fields = Fields::of_form(&came.body).ok_or(NoReport::Malformed)?;
                let signed = |url: &str| receipt::twilio_is_genuine(url, &fields, &came.signature, &secret);
                // Twilio signs some addresses with their port and some without it.
                genuine(signed(&self.url) || without_port(&self.url).is_some_and(|url| signed(&url)))?;
                receipt::twilio(&fields).map(Some).ok_or(NoReport::Malformed)
            }
            Signs::Android if came.get => Err(NoReport::Malformed),
            Signs::Android => {
                genuine(receipt::android_is_genuine(&came.body, &came.timestamp, &came.signature, &secret, now))?;
                Ok(receipt::android(&came.body))
            }
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reporter({:?})", self.signs)
    }
}

impl Settings {
    /// Does a provider of this kind report, and sign its reports?
    pub fn can_report(&self) -> bool {
        signs(&self.kind).is_some()
    }

    /// Tells the provider with each message where its reports go. One that is told by its operator stays as it is.
    #[must_use]
    pub fn reporting_to(mut self, url: &str) -> Settings {
        match &mut self.kind {
            Kind::VonageSms(vonage) => vonage.callback = Some(url.to_owned()),
            Kind::TwilioSms(twilio) => twilio.callback = Some(url.to_owned()),
            Kind::Android(_) | Kind::VonageVerify(_) | Kind::TwilioVerify(_) | Kind::Template(_) => {}
        }
        self
    }
}

fn signs(kind: &Kind) -> Option<Signs> {
    match kind {
        Kind::VonageSms(_) => Some(Signs::Vonage),
        Kind::TwilioSms(_) => Some(Signs::Twilio),
        Kind::Android(_) => Some(Signs::Android),
        Kind::VonageVerify(_) | Kind::TwilioVerify(_) | Kind::Template(_) => None,
    }
}

fn genuine(is_genuine: bool) -> Result<(), NoReport> {
    if is_genuine { Ok(()) } else { Err(NoReport::NotGenuine) }
}

/// An address without its port, if it has one.
fn without_port(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_once('/')?;
    let (host, port) = authority.rsplit_once(':')?;
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    is_port.then(|| format!("{scheme}://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sms::http::receipt::Fate;
    use crate::sms::http::{Android, Login, TwilioSms, VonageSms, VonageVerify};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hmac::{Hmac, Mac};
    use sha1::Sha1;
    use sha2::Sha256;

    const URL: &str = "https://a.example:5280/sms/x/0123";
    const NOW: Duration = Duration::from_secs(1_767_268_800);

    struct Secret(PathBuf);

    impl Secret {
        fn new(name: &str) -> Secret {
            let path = std::env::temp_dir().join(format!("kontalk-node-report-{name}-{}", std::process::id()));
            std::fs::write(&path, "key\n").unwrap();
            Secret(path)
        }
    }

    impl Drop for Secret {
        fn drop(&mut self) {
            std::fs::remove_file(&self.0).ok();
        }
    }

    fn login() -> Login {
        Login { user: "u".into(), secret_file: "/nowhere".into() }
    }

    fn vonage() -> Kind {
        let url = "https://v.example".into();
        Kind::VonageSms(VonageSms { url, login: login(), from: "K".into(), callback: None })
    }

    fn twilio() -> Kind {
        Kind::TwilioSms(TwilioSms {
            url: "https://t.example".into(),
            account: "AC".into(),
            login: login(),
            from: "K".into(),
            redact: false,
            callback: None,
        })
    }

    fn reporter(kind: Kind, secret: &Secret) -> Reporter {
        let settings = Settings { report_secret_file: Some(secret.0.clone()), ..Settings::new("x", kind) };
        Reporter::new(&settings, URL).unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn sha256(text: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    fn sha1(text: &str) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(b"key").unwrap();
        mac.update(text.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }

    fn arrived(reference: &str) -> Result<Option<Receipt>, NoReport> {
        Ok(Some(Receipt { reference: reference.into(), fate: Fate::Delivered }))
    }

    #[test]
    fn only_kinds_that_sign_report_and_only_if_the_operator_gave_the_secret() {
        let secret = Secret::new("kinds");
        let verify = VonageVerify { url: "https://v".into(), login: login(), brand: "K".into(), locale: None };
        let android = || Kind::Android(Android::new("http://10.0.0.2", login()));
        for (kind, can, by_operator) in [
            (vonage(), true, false),
            (twilio(), true, false),
            (android(), true, true),
            (Kind::VonageVerify(verify), false, false),
        ] {
            let mut settings = Settings::new("x", kind);
            assert_eq!(settings.can_report(), can);
            assert!(Reporter::new(&settings, URL).is_none());
            settings.report_secret_file = Some(secret.0.clone());
            let reporter = Reporter::new(&settings, URL);
            assert_eq!(reporter.as_ref().map(Reporter::is_told_by_operator), can.then_some(by_operator));
            let callback = match settings.reporting_to(URL).kind {
                Kind::VonageSms(VonageSms { callback, .. }) | Kind::TwilioSms(TwilioSms { callback, .. }) => callback,
                _ => None,
            };
            assert_eq!(callback.is_some(), can && !by_operator);
        }
        assert_eq!(format!("{:?} {:?}", reporter(twilio(), &secret), Came::default()), "Reporter(Twilio) Came(…)");
    }

    #[test]
    fn vonage_reports_by_query_form_and_json() {
        let secret = Secret::new("vonage");
        let reporter = reporter(vonage(), &secret);
        let sig = sha256("&messageId=0C01&status=delivered");
        let form = format!("messageId=0C01&status=delivered&sig={sig}");
        let json = format!(r#"{{"messageId":"0C01","status":"delivered","sig":"{sig}"}}"#);
        let came = |get, query: &str, json, body: &str| Came {
            get,
            query: query.into(),
            json,
            body: body.into(),
            ..Came::default()
        };
        for (came, expected) in [
            (came(true, &form, false, ""), arrived("0C01")),
            (came(false, "", false, &form), arrived("0C01")),
            (came(false, "", true, &json), arrived("0C01")),
            (came(false, "", false, &form.replace("0C01", "0C02")), Err(NoReport::NotGenuine)),
            (came(false, "", false, "messageId=0C01&status=delivered"), Err(NoReport::NotGenuine)),
            (came(true, "", false, &form), Err(NoReport::NotGenuine)),
            (came(false, "", true, &form), Err(NoReport::Malformed)),
            (came(false, "", false, "a=%ff"), Err(NoReport::Malformed)),
            (came(false, "", false, &format!("x=1&sig={}", sha256("&x=1"))), Err(NoReport::Malformed)),
        ] {
            assert_eq!(reporter.read(&came, NOW), expected, "{:?} {:?}", came.query, came.body);
        }
    }

    #[test]
    fn twilio_reports_by_form_to_the_address_it_was_told_with_or_without_its_port() {
        let secret = Secret::new("twilio");
        let reporter = reporter(twilio(), &secret);
        let signed = "MessageSidSM1MessageStatusdelivered";
        let form = "MessageSid=SM1&MessageStatus=delivered";
        for (url, expected) in [
            (URL, arrived("SM1")),
            ("https://a.example/sms/x/0123", arrived("SM1")),
            ("https://a.example:5280/sms/y/0123", Err(NoReport::NotGenuine)),
            ("https://b.example/sms/x/0123", Err(NoReport::NotGenuine)),
        ] {
            let signature = sha1(&format!("{url}{signed}"));
            let came = Came { body: form.into(), signature, ..Came::default() };
            assert_eq!(reporter.read(&came, NOW), expected, "{url}");
            for broken in [
                Came { signature: String::new(), ..came.clone() },
                Came { body: format!("{form}&x=1"), ..came.clone() },
                Came { get: true, query: form.into(), ..came.clone() },
                Came { json: true, ..came.clone() },
            ] {
                assert!(reporter.read(&broken, NOW).is_err());
            }
        }
    }

    #[test]
    fn the_android_app_reports_lately_or_not_at_all() {
        let secret = Secret::new("android");
        let reporter = reporter(Kind::Android(Android::new("http://10.0.0.2", login())), &secret);
        let body = r#"{"event":"sms:delivered","payload":{"messageId":"aa"}}"#;
        let other = r#"{"event":"sms:received","payload":{"messageId":"aa"}}"#;
        for (body, age, expected) in [
            (body, 0, arrived("aa")),
            (body, 300, arrived("aa")),
            (body, 301, Err(NoReport::NotGenuine)),
            (other, 0, Ok(None)),
            ("{", 0, Ok(None)),
        ] {
            let timestamp = (NOW.as_secs() - age).to_string();
            let signature = sha256(&format!("{body}{timestamp}"));
            let came = Came { json: true, body: body.into(), signature, timestamp, ..Came::default() };
            assert_eq!(reporter.read(&came, NOW), expected, "{body} {age}");
            assert_eq!(reporter.read(&Came { signature: "00".into(), ..came }, NOW), Err(NoReport::NotGenuine));
        }
    }

    #[test]
    fn without_a_secret_nothing_is_believed() {
        let secret = Secret::new("none");
        let reporter = reporter(vonage(), &secret);
        std::fs::write(&secret.0, "").unwrap();
        let forged = format!("messageId=0C01&status=delivered&sig={}", sha256("&messageId=0C01&status=delivered"));
        let came = Came { body: forged, ..Came::default() };
        assert!(matches!(reporter.read(&came, NOW), Err(NoReport::Secret(_))));
    }
}
