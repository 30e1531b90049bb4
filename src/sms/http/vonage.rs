//! Vonage: messages by its SMS API, verifications by its Verify API, version 2. Facts as its documentation and its libraries
//! have them.
//!
//! The SMS API answers 200 to almost everything, with a status inside for each part of the message. Statuses that are not
//! documented count as refused: nothing says that something was sent.

use std::time::Duration;

use serde_json::{Value, json};

use super::answer::{self, Answer, CREDIT, LOGIN, OUTAGE_REST, REFUSED, reference};
use super::fault::Fault;
use super::message::Message;
use super::request::{Request, percent_encoded};
use super::settings::{VONAGE_CALLBACK_BYTES_MAX, VonageSms, VonageVerify};
use super::url::base_of;
use super::{Accepted, SmsError};
use crate::phone::{Code, PhoneNumber};
use crate::sms::{Checked, VerificationId};

/// The SMS API.
pub(super) struct Sms {
    url: String,
    user: String,
    from: String,
    callback: Option<String>,
}

impl Sms {
    pub(super) fn new(settings: &VonageSms, faults: &mut Vec<Fault>) -> Option<Sms> {
        let before = faults.len();
        user(&settings.login.user, faults);
        let from = settings.from.as_str();
        let is_name = (3..=11).contains(&from.len()) && from.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ');
        let is_number = (3..=15).contains(&from.len()) && from.chars().all(|c| c.is_ascii_digit());
        if !is_name && !is_number {
            faults.push(Fault::new("from", "not a sender", "digits without a plus, or 3 to 11 letters and digits"));
        }
        if settings.callback.as_ref().is_some_and(|url| url.len() > VONAGE_CALLBACK_BYTES_MAX) {
            faults.push(Fault::new("callback", "too long", "100 characters at most"));
        }
        (faults.len() == before).then(|| Sms {
            url: format!("{}/sms/json", base_of(&settings.url)),
            user: settings.login.user.clone(),
            from: settings.from.clone(),
            callback: settings.callback.clone(),
        })
    }
}

impl super::Dialect for Sms {
    fn request(&self, message: &Message, secret: &str) -> Request {
        // Between 20 s and a week, in milliseconds.
        let ttl = message.lifetime_secs().clamp(20, 604_800).saturating_mul(1000).to_string();
        let mut fields = vec![
            ("from", self.from.as_str()),
            ("to", message.digits()),
            ("text", message.text.as_str()),
            // Without it what is not in the GSM alphabet becomes question marks.
            ("type", if message.is_unicode() { "unicode" } else { "text" }),
            ("ttl", &ttl),
            ("client-ref", &message.reference),
        ];
        if let Some(callback) = &self.callback {
            fields.extend([("status-report-req", "1"), ("callback", callback.as_str())]);
        }
        Request::form(self.url.clone(), &fields).basic(&self.user, secret)
    }

    fn outcome(&self, answer: &Answer) -> Result<Accepted, SmsError> {
        let Some(json) = answer.json() else { return Err(answer.by_status()) };
        let parts = json.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let statuses: Option<Vec<String>> =
            parts.iter().map(|part| part.get("status").and_then(answer::scalar)).collect();
        let (Some(statuses), Some(first)) = (statuses, parts.first()) else { return Err(answer.by_status()) };
        let taken = statuses.iter().filter(|status| *status == "0").count();
        match statuses.iter().find(|status| *status != "0") {
            None => Ok(Accepted { reference: reference(first.get("message-id")) }),
            Some(_) if taken > 0 => Err(SmsError::Unknown(PARTLY.into())),
            Some(status) => Err(by_status_inside(status, answer)),
        }
    }
}

/// What a part's status means that is not 0.
fn by_status_inside(status: &str, answer: &Answer) -> SmsError {
    match status {
        "1" | "10" => SmsError::Later(answer::BUSY.into(), answer.rest(Duration::from_secs(1))),
        "5" => SmsError::Later(answer::UNAVAILABLE.into(), answer.rest(OUTAGE_REST)),
        "4" | "14" | "32" | "8" | "11" | "33" => SmsError::NotAllowed(LOGIN.into()),
        "9" => SmsError::NotAllowed(CREDIT.into()),
        "15" => SmsError::NotAllowed(SENDER.into()),
        "29" => SmsError::NotAllowed(TRIAL.into()),
        "6" | "7" => SmsError::Refused(NUMBER.into()),
        _ => SmsError::Refused(REFUSED.into()),
    }
}

/// The Verify API.
pub(super) struct Verify {
    url: String,
    user: String,
    brand: String,
    locale: Option<String>,
}

impl Verify {
    pub(super) fn new(settings: &VonageVerify, faults: &mut Vec<Fault>) -> Option<Verify> {
        let before = faults.len();
        user(&settings.login.user, faults);
        if !(1..=BRAND_CHARS_MAX).contains(&settings.brand.chars().count()) {
            faults.push(Fault::new("brand", "not a brand", "1 to 16 characters: who sends the code, for its text"));
        }
        locale(settings.locale.as_deref(), faults);
        (faults.len() == before).then(|| Verify {
            url: format!("{}/v2/verify", base_of(&settings.url)),
            user: settings.login.user.clone(),
            brand: settings.brand.clone(),
            locale: settings.locale.clone(),
        })
    }
}

impl super::VerifyDialect for Verify {
    fn begin(&self, to: &PhoneNumber, secret: &str) -> Request {
        let mut body = json!({
            "brand": self.brand,
            "workflow": [{"channel": "sms", "to": to.as_e164().trim_start_matches('+')}],
            "channel_timeout": 600,
            // As long as the clients' input box wants it.
            "code_length": crate::phone::CODE_DIGITS,
        });
        if let (Some(locale), Some(fields)) = (&self.locale, body.as_object_mut()) {
            fields.insert("locale".to_owned(), json!(locale));
        }
        Request::json(self.url.clone(), &body).basic(&self.user, secret)
    }

    fn begun(&self, answer: &Answer) -> Result<VerificationId, SmsError> {
        match answer.status {
            // The request is answered before anything is sent.
            202 => {
                let id = answer.json().as_ref().and_then(|json| VerificationId::new(json.get("request_id")?.as_str()?));
                id.ok_or_else(|| answer.by_status())
            }
            409 => Err(SmsError::Refused(RUNNING.into())),
            422 => Err(SmsError::Refused(NUMBER.into())),
            _ => Err(answer.by_status()),
        }
    }

    fn question(&self, id: &VerificationId, code: &Code, secret: &str) -> Request {
        let url = format!("{}/{}", self.url, percent_encoded(id.as_str()).as_str());
        Request::json(url, &json!({ "code": code.digits() })).basic(&self.user, secret)
    }

    fn checked(&self, answer: &Answer) -> Result<Checked, SmsError> {
        match answer.status {
            200 => {
                let status = answer.json().and_then(|json| json.get("status").and_then(answer::scalar));
                if status.as_deref() == Some("completed") { Ok(Checked::Right) } else { Err(answer.by_status()) }
            }
            400 => Ok(Checked::Wrong),
            // Unknown or at its end; too many wrong codes.
            404 | 410 => Ok(Checked::Over),
            _ => Err(answer.by_status()),
        }
    }
}

fn user(user: &str, faults: &mut Vec<Fault>) {
    if user.is_empty() || user.contains([':', ' ']) || user.contains(char::is_control) {
        faults.push(Fault::new("user", "not an API key", "the API key that the provider's console shows"));
    }
}

/// A language and perhaps a country, as in `de` or `en-gb`.
pub(super) fn locale(locale: Option<&str>, faults: &mut Vec<Fault>) {
    let is_tag = |text: &str| {
        (2..=8).contains(&text.len()) && text.starts_with(|c: char| c.is_ascii_alphabetic()) && {
            text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        }
    };
    if locale.is_some_and(|text| !is_tag(text)) {
        faults.push(Fault::new("locale", "not a language", "e.g. \"de-de\", as the provider lists them"));
    }
}

const BRAND_CHARS_MAX: usize = 16;
const PARTLY: &str = "the provider took only a part of the message";
const NUMBER: &str = "the provider cannot reach this number, or does not serve it";
const SENDER: &str = "the provider does not accept the sender (remedy: check from)";
const TRIAL: &str = "the provider's account is one for trials, and the number is not on its list";
const RUNNING: &str = "a code for this number is still on its way";
