//! What an ACME server says, read with care. RFC 8555 §7.1.

use std::time::Duration;

use serde_json::Value;

use super::{Challenge, Fault};
use crate::limits::{ACME_ANSWER_BYTES_MAX, ACME_NAMES_MAX};

/// An answer over HTTP, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// `Location`
    pub location: Option<String>,
    /// `Replay-Nonce`
    pub nonce: Option<String>,
    /// `Retry-After`, from now on.
    pub retry_after: Option<Duration>,
    /// The content; at most `ACME_ANSWER_BYTES_MAX` bytes.
    pub body: Vec<u8>,
}

impl Answer {
    /// A nonce of the form that RFC 8555 §6.5.1 wants; another would be refused anyway.
    pub(super) fn sound_nonce(&self) -> Option<String> {
        self.nonce.clone().filter(|nonce| is_base64url(nonce, NONCE_BYTES_MAX))
    }

    pub(super) fn json(&self) -> Result<Value, Fault> {
        if self.body.len() > ACME_ANSWER_BYTES_MAX {
            return Err(Fault::Answer("too long"));
        }
        serde_json::from_slice(&self.body).map_err(|_| Fault::Answer("no JSON"))
    }

    /// RFC 8555 §6.7: what is not well is a problem document; of anything else the status is told.
    pub(super) fn problem(&self) -> Fault {
        let value = self.json().unwrap_or(Value::Null);
        let (kind, detail) = problem(&value);
        let kind = if kind.is_empty() { format!("HTTP {}", self.status) } else { kind };
        Fault::Refused { kind, detail, retry_after: self.retry_after }
    }
}

/// Where the server's services are. RFC 8555 §7.1.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) new_nonce: String,
    pub(super) new_account: String,
    pub(super) new_order: String,
}

impl Directory {
    pub(super) fn read(value: &Value) -> Result<Directory, Fault> {
        Ok(Directory {
            new_nonce: url(value, "newNonce")?,
            new_account: url(value, "newAccount")?,
            new_order: url(value, "newOrder")?,
        })
    }
}

/// How far an order or an authorization is. RFC 8555 §7.1.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Pending,
    Ready,
    Processing,
    Valid,
    Invalid,
}

fn progress(value: &Value) -> Result<Progress, Fault> {
    match value.get("status").and_then(Value::as_str) {
        Some("pending") => Ok(Progress::Pending),
        Some("ready") => Ok(Progress::Ready),
        Some("processing") => Ok(Progress::Processing),
        Some("valid") => Ok(Progress::Valid),
        // The rest is no more of use, whatever it is called.
        Some("invalid" | "deactivated" | "expired" | "revoked") => Ok(Progress::Invalid),
        _ => Err(Fault::Answer("no status that RFC 8555 knows")),
    }
}

/// RFC 8555 §7.1.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) progress: Progress,
    pub(super) authorizations: Vec<String>,
    pub(super) finalize: String,
    pub(super) certificate: Option<String>,
    pub(super) error: (String, String),
}

impl Order {
    pub(super) fn read(value: &Value) -> Result<Order, Fault> {
        let list = value.get("authorizations").and_then(Value::as_array).ok_or(Fault::Answer("no authorizations"))?;
        if list.is_empty() || list.len() > ACME_NAMES_MAX {
            return Err(Fault::Answer("no sensible number of authorizations"));
        }
        let authorizations = list.iter().map(|entry| sound_url(entry.as_str())).collect::<Result<_, _>>()?;
        let certificate = match value.get("certificate") {
            Some(found) => Some(sound_url(found.as_str())?),
            None => None,
        };
        let error = value.get("error").map(problem).unwrap_or_default();
        Ok(Order { progress: progress(value)?, authorizations, finalize: url(value, "finalize")?, certificate, error })
    }
}

/// RFC 8555 §7.1.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authorization {
    pub(super) progress: Progress,
    pub(super) name: String,
    offers: Vec<Offer>,
}

/// One way to prove. RFC 8555 §7.1.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) challenge: Challenge,
    pub(super) url: String,
    pub(super) token: String,
    detail: String,
}

impl Authorization {
    pub(super) fn read(value: &Value) -> Result<Authorization, Fault> {
        let identifier = value.get("identifier");
        let part = |key| identifier.and_then(|found| found.get(key)).and_then(Value::as_str);
        let name = part("value").filter(|_| part("type") == Some("dns")).ok_or(Fault::Answer("no name"))?;
        let list = value.get("challenges").and_then(Value::as_array).ok_or(Fault::Answer("no challenges"))?;
        let offers = list.iter().take(OFFERS_MAX).filter_map(offer).collect();
        Ok(Authorization { progress: progress(value)?, name: clean(name, NAME_BYTES_MAX), offers })
    }

    pub(super) fn offer(&self, wanted: Challenge) -> Result<&Offer, Fault> {
        let missing = || Fault::NotOffered { name: self.name.clone(), challenge: wanted };
        self.offers.iter().find(|offer| offer.challenge == wanted).ok_or_else(missing)
    }

    /// Why it is invalid.
    pub(super) fn failure(&self, challenge: Challenge) -> Fault {
        let told = self.offers.iter().map(|offer| &offer.detail).find(|detail| !detail.is_empty());
        let detail = told.cloned().unwrap_or_else(|| "it does not say why".to_owned());
        Fault::NotProved { name: self.name.clone(), challenge, detail }
    }
}

/// Kinds that we do not know are passed over, as RFC 8555 §7.1.4 wants; so are those that break its rules.
fn offer(value: &Value) -> Option<Offer> {
    let challenge = Challenge::of_name(value.get("type")?.as_str()?)?;
    // RFC 8555 §8.1: a token of another form may be an attempt to have us write something else.
    let token = value.get("token")?.as_str().filter(|token| is_base64url(token, TOKEN_BYTES_MAX))?.to_owned();
    let detail = value.get("error").map(|error| problem(error).1).unwrap_or_default();
    Some(Offer { challenge, url: url(value, "url").ok()?, token, detail })
}

/// Type and words of a problem document. RFC 8555 §6.7; the first of its parts says more than the whole (§6.7.1).
fn problem(value: &Value) -> (String, String) {
    let part = value.get("subproblems").and_then(Value::as_array).and_then(|parts| parts.first()).unwrap_or(value);
    let text = |key| part.get(key).or_else(|| value.get(key)).and_then(Value::as_str).unwrap_or_default();
    let kind = text("type").rsplit(':').next().unwrap_or_default();
    (clean(kind, KIND_BYTES_MAX), clean(text("detail"), DETAIL_BYTES_MAX))
}

fn url(value: &Value, key: &'static str) -> Result<String, Fault> {
    sound_url(value.get(key).and_then(Value::as_str))
}

/// RFC 8555 §6.1: HTTPS always. Nothing that could break a line of HTTP.
pub(super) fn sound_url(text: Option<&str>) -> Result<String, Fault> {
    let sound = |text: &&str| {
        text.starts_with("https://") && text.len() <= URL_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    text.filter(sound).map(str::to_owned).ok_or(Fault::Answer("a URL is missing or none"))
}

fn is_base64url(text: &str, bytes_max: usize) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(fits)
}

/// Words of a stranger, made fit for a log line.
fn clean(text: &str, bytes_max: usize) -> String {
    let mut cleaned = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if cleaned.len() + c.len_utf8() > bytes_max {
            cleaned.push('…');
            break;
        }
        cleaned.push(c);
    }
    cleaned
}

const URL_BYTES_MAX: usize = 2048;
const NONCE_BYTES_MAX: usize = 512;
const TOKEN_BYTES_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 255;
const KIND_BYTES_MAX: usize = 64;
const DETAIL_BYTES_MAX: usize = 400;
const OFFERS_MAX: usize = 16;
