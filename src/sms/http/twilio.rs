//! Twilio: messages, and verifications by Verify, version 2. Facts as its documentation and its libraries have them.
//!
//! Its errors have an HTTP status and a code inside. The codes are being split and refined, as it says itself; those that we
//! know decide, and else the status does.

use serde_json::Value;

use super::answer::{self, Answer, BUSY, CREDIT, LOGIN, RATE_REST, reference};
use super::fault::Fault;
use super::message::Message;
use super::request::{Request, percent_encoded};
use super::settings::{TwilioSms, TwilioVerify};
use super::url::base_of;
use super::vonage::locale;
use super::{Accepted, SmsError};
use crate::phone::{Code, PhoneNumber};
use crate::sms::{Checked, VerificationId};

/// Messages.
pub(super) struct Sms {
    url: String,
    user: String,
    from: String,
    redact: bool,
    callback: Option<String>,
}

impl Sms {
    pub(super) fn new(settings: &TwilioSms, faults: &mut Vec<Fault>) -> Option<Sms> {
        let before = faults.len();
        sid("account", &["AC"], &settings.account, faults);
        sid("user", &["AC", "SK"], &settings.login.user, faults);
        let from = settings.from.as_str();
        let digits = from.strip_prefix('+').unwrap_or(from);
        let is_number = (3..=15).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
        let is_name = (1..=11).contains(&from.len()) && from.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ');
        if !is_number && !is_name && !is_sid("MG", from) {
            let remedy = "a number of yours with its plus, a name of at most 11 letters, or a messaging service's MG…";
            faults.push(Fault::new("from", "not a sender", remedy));
        }
        (faults.len() == before).then(|| Sms {
            url: format!("{}/2010-04-01/Accounts/{}/Messages.json", base_of(&settings.url), settings.account),
            user: settings.login.user.clone(),
            from: settings.from.clone(),
            redact: settings.redact,
            callback: settings.callback.clone(),
        })
    }
}

impl super::Dialect for Sms {
    fn request(&self, message: &Message, secret: &str) -> Request {
        let validity = message.lifetime_secs().clamp(1, 36_000).to_string();
        let from = if is_sid("MG", &self.from) { "MessagingServiceSid" } else { "From" };
        let mut fields = vec![
            ("To", message.to.as_e164()),
            (from, &self.from),
            ("Body", message.text.as_str()),
            ("ValidityPeriod", &validity),
        ];
        if self.redact {
            fields.extend([("ContentRetention", "discard"), ("AddressRetention", "obfuscate")]);
        }
        if let Some(callback) = &self.callback {
            fields.push(("StatusCallback", callback));
        }
        Request::form(self.url.clone(), &fields).basic(&self.user, secret)
    }

    fn outcome(&self, answer: &Answer) -> Result<Accepted, SmsError> {
        let json = answer.json();
        let sid = json.as_ref().and_then(|json| reference(json.get("sid")));
        match (answer.status, sid) {
            (201, Some(sid)) => Ok(Accepted { reference: Some(sid) }),
            _ => Err(fault_of(answer, json.as_ref())),
        }
    }
}

/// What an answer means that is no success.
fn fault_of(answer: &Answer, json: Option<&Value>) -> SmsError {
    let code = json.and_then(|json| json.get("code")?.as_u64()).filter(|_| (400..500).contains(&answer.status));
    match code.unwrap_or_default() {
        20003 | 20005 | 20008 => SmsError::NotAllowed(LOGIN.into()),
        30002 => SmsError::NotAllowed(CREDIT.into()),
        21212 | 21603 | 21606 | 21659 | 21660 | 21701..=21714 => SmsError::NotAllowed(SENDER.into()),
        21408 => SmsError::NotAllowed(COUNTRY.into()),
        21608 => SmsError::NotAllowed(TRIAL.into()),
        30034 => SmsError::NotAllowed(REGISTRATION.into()),
        20429 | 21611 | 30001 | 60207 => SmsError::Later(BUSY.into(), answer.rest(RATE_REST)),
        21211 | 21214 | 21217 | 21612 | 21614 | 21635 | 60200 | 60205 => SmsError::Refused(NUMBER.into()),
        21610 => SmsError::Refused(OPTED_OUT.into()),
        30450 | 60238 | 60410 => SmsError::Refused(PUMPING.into()),
        60203 | 60212 => SmsError::Refused(TOO_OFTEN.into()),
        _ => answer.by_status(),
    }
}

/// Verify.
pub(super) struct Verify {
    url: String,
    user: String,
    locale: Option<String>,
}

impl Verify {
    pub(super) fn new(settings: &TwilioVerify, faults: &mut Vec<Fault>) -> Option<Verify> {
        let before = faults.len();
        sid("user", &["AC", "SK"], &settings.login.user, faults);
        sid("service", &["VA"], &settings.service, faults);
        locale(settings.locale.as_deref(), faults);
        (faults.len() == before).then(|| Verify {
            url: format!("{}/v2/Services/{}", base_of(&settings.url), percent_encoded(&settings.service).as_str()),
            user: settings.login.user.clone(),
            locale: settings.locale.clone(),
        })
    }
}

impl super::VerifyDialect for Verify {
    fn begin(&self, to: &PhoneNumber, secret: &str) -> Request {
        let mut fields = vec![("To", to.as_e164()), ("Channel", "sms")];
        fields.extend(self.locale.as_deref().map(|locale| ("Locale", locale)));
        Request::form(format!("{}/Verifications", self.url), &fields).basic(&self.user, secret)
    }

    fn begun(&self, answer: &Answer) -> Result<VerificationId, SmsError> {
        let json = answer.json();
        let id = json.as_ref().and_then(|json| VerificationId::new(json.get("sid")?.as_str()?));
        match (answer.status, id) {
            (200 | 201, Some(id)) => Ok(id),
            _ => Err(fault_of(answer, json.as_ref())),
        }
    }

    fn question(&self, id: &VerificationId, code: &Code, secret: &str) -> Request {
        let fields = [("VerificationSid", id.as_str()), ("Code", code.digits())];
        Request::form(format!("{}/VerificationCheck", self.url), &fields).basic(&self.user, secret)
    }

    fn checked(&self, answer: &Answer) -> Result<Checked, SmsError> {
        let json = answer.json();
        let field = |name| json.as_ref().and_then(|json| json.get(name).and_then(answer::scalar));
        match (answer.status, field("status").as_deref(), field("code").as_deref()) {
            (200 | 201, Some("approved"), _) => Ok(Checked::Right),
            (200 | 201, Some("pending"), _) => Ok(Checked::Wrong),
            (200 | 201, Some("canceled" | "expired" | "max_attempts_reached" | "deleted" | "failed"), _) => {
                Ok(Checked::Over)
            }
            // At its end; too many wrong codes.
            (404, ..) | (_, _, Some("60202")) => Ok(Checked::Over),
            _ => Err(fault_of(answer, json.as_ref())),
        }
    }
}

/// A SID: two letters that say of what, and 32 hexadecimal digits.
fn is_sid(kind: &str, text: &str) -> bool {
    let digits = text.strip_prefix(kind).unwrap_or_default();
    digits.len() == 32 && digits.chars().all(|c| c.is_ascii_hexdigit())
}

fn sid(key: &'static str, kinds: &[&str], text: &str, faults: &mut Vec<Fault>) {
    if !kinds.iter().any(|kind| is_sid(kind, text)) {
        let remedy = format!("{} and 32 hexadecimal digits, as the provider's console shows it", kinds.join(" or "));
        faults.push(Fault::new(key, "not a SID", remedy));
    }
}

const SENDER: &str = "the provider does not accept the sender (remedy: check from)";
const COUNTRY: &str = "the provider's account may not send to this country (remedy: enable it in the console)";
const TRIAL: &str = "the provider's account is one for trials, and the number is not on its list";
const REGISTRATION: &str = "the sender is not registered as this country wants it (remedy: register it)";
const NUMBER: &str = "the provider cannot reach this number by SMS";
const OPTED_OUT: &str = "the owner of this number wants no messages of this sender";
const PUMPING: &str = "the provider suspects fraud behind numbers like this one";
const TOO_OFTEN: &str = "this number was sent too many codes";
