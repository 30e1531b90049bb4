//! Providers' reports of what became of a message, and the checks that they come from the provider.
//!
//! Reports arrive twice, late, out of order, and in some countries are made up; they are good for statistics, never for
//! deciding that a number is verified. The address that providers are given should have an unguessable part. Whoever listens
//! takes the fields apart with [`Fields`], checks the signature, and asks for the [`Receipt`]; [`Reporter`](super::Reporter) does all of
//! it.
//!
//! Nothing here reads a socket or a clock. Limits: 16 KiB and 64 fields.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use sha1::Sha1;
use sha2::Sha256;

use super::answer::scalar;

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// How the provider calls the message: the `reference` of its [`Accepted`](crate::sms::Accepted).
    pub reference: String,
    /// How it went.
    pub fate: Fate,
}

/// How it went with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing is decided yet.
    OnItsWay,
    /// The telephone has it, as far as the network says.
    Delivered,
    /// It will not arrive.
    Failed(Failure),
}

/// Why a message will not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The telephone is off or out of reach.
    Unreachable,
    /// The number is not in use, or takes no messages.
    NoSuchNumber,
    /// Somebody on the way does not let it pass.
    Blocked,
    /// Its time was over.
    TooLate,
    /// Any other reason, or none that is told.
    Other,
}

impl Failure {
    /// Does it say something of the number rather than of the way that the message took?
    pub fn is_of_the_number(self) -> bool {
        matches!(self, Failure::Unreachable | Failure::NoSuchNumber)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Unreachable => "the telephone is off or out of reach",
            Failure::NoSuchNumber => "the number is not in use, or takes no messages",
            Failure::Blocked => "the message was blocked",
            Failure::TooLate => "it could not be delivered in time",
            Failure::Other => "it could not be delivered",
        })
    }
}

/// The fields of a report. Never printed: they name the number.
#[derive(Clone, PartialEq, Eq)]
pub struct Fields {
    pairs: Vec<(String, String)>,
}

impl Fields {
    /// The fields of a form or of a URL's query; `None` if it is not one, or too long.
    pub fn of_form(text: &str) -> Option<Fields> {
        if text.len() > REPORT_BYTES_MAX {
            return None;
        }
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decoded(name)?, decoded(value)?));
        }
        (pairs.len() <= FIELDS_MAX).then_some(Fields { pairs })
    }

    /// The fields of a flat JSON object.
    pub fn of_json(text: &str) -> Option<Fields> {
        if text.len() > REPORT_BYTES_MAX {
            return None;
        }
        let Ok(Value::Object(object)) = serde_json::from_str(text) else { return None };
        let pairs: Vec<_> = object.iter().filter_map(|(name, value)| Some((name.clone(), scalar(value)?))).collect();
        (pairs.len() <= FIELDS_MAX).then_some(Fields { pairs })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn sorted(&self) -> Vec<&(String, String)> {
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort();
        pairs
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fields({} …)", self.pairs.len())
    }
}

/// A report of Vonage's SMS API.
pub fn vonage(fields: &Fields) -> Option<Receipt> {
    let reference = fields.get("messageId").or_else(|| fields.get("message-id"))?;
    let fate = match fields.get("status")? {
        "delivered" => Fate::Delivered,
        "expired" => Fate::Failed(Failure::TooLate),
        "failed" | "rejected" => Fate::Failed(match fields.get("err-code").unwrap_or_default() {
            "2" | "3" | "12" => Failure::Unreachable,
            "5" | "9" | "11" => Failure::NoSuchNumber,
            "4" | "6" | "13" | "14" | "50" | "51" | "52" | "53" | "54" => Failure::Blocked,
            _ => Failure::Other,
        }),
        _ => Fate::OnItsWay,
    };
    Some(Receipt { reference: known(reference)?, fate })
}

/// Is a report of Vonage's signed with the account's signature secret, by HMAC with SHA-256? The other methods that an
/// account can be set to are not supported.
pub fn vonage_is_genuine(fields: &Fields, signature_secret: &str) -> bool {
    let Some(signature) = fields.get("sig").and_then(from_hex) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(signature_secret.as_bytes()) else { return false };
    for (name, value) in fields.sorted() {
        if name != "sig" {
            mac.update(format!("&{name}={}", value.replace(['&', '='], "_")).as_bytes());
        }
    }
    mac.verify_slice(&signature).is_ok()
}

/// A report of Twilio's.
pub fn twilio(fields: &Fields) -> Option<Receipt> {
    let reference = fields.get("MessageSid").or_else(|| fields.get("SmsSid"))?;
    let fate = match fields.get("MessageStatus").or_else(|| fields.get("SmsStatus"))? {
        "delivered" | "read" => Fate::Delivered,
        "canceled" => Fate::Failed(Failure::TooLate),
        "undelivered" | "failed" => Fate::Failed(match fields.get("ErrorCode").unwrap_or_default() {
            "30003" => Failure::Unreachable,
            "30005" | "30006" => Failure::NoSuchNumber,
            "30004" | "30007" | "21610" => Failure::Blocked,
            "30036" => Failure::TooLate,
            _ => Failure::Other,
        }),
        _ => Fate::OnItsWay,
    };
    Some(Receipt { reference: known(reference)?, fate })
}

/// Is a report of Twilio's signed with the account's auth token? `url`: the address it was sent to, exactly as Twilio was told
/// it; `signature`: the header `X-Twilio-Signature`.
pub fn twilio_is_genuine(url: &str, fields: &Fields, signature: &str, auth_token: &str) -> bool {
    let Ok(signature) = STANDARD.decode(signature.trim()) else { return false };
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()) else { return false };
    mac.update(url.as_bytes());
    for (name, value) in fields.sorted() {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    mac.verify_slice(&signature).is_ok()
}

/// A report of the Android app: the body of its webhook. Other events than those of a message on its way give nothing.
pub fn android(body: &str) -> Option<Receipt> {
    let json: Value = serde_json::from_str(body).ok().filter(|_| body.len() <= REPORT_BYTES_MAX)?;
    let fate = match json.get("event")?.as_str()? {
        "sms:sent" => Fate::OnItsWay,
        "sms:delivered" => Fate::Delivered,
        "sms:failed" => Fate::Failed(Failure::Other),
        _ => return None,
    };
    Some(Receipt { reference: known(json.get("payload")?.get("messageId")?.as_str()?)?, fate })
}

/// Is a report of the Android app signed with the key that it shows? `timestamp` and `signature`: its headers `X-Timestamp` and
/// `X-Signature`; `now`: since 1970. One that is older than five minutes is not.
pub fn android_is_genuine(body: &str, timestamp: &str, signature: &str, key: &str, now: Duration) -> bool {
    let Some(signature) = from_hex(signature.trim()) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else { return false };
    mac.update(body.as_bytes());
    mac.update(timestamp.as_bytes());
    let made = timestamp.parse().ok().map(Duration::from_secs);
    mac.verify_slice(&signature).is_ok() && made.is_some_and(|made| now.abs_diff(made) <= AGE_MAX)
}

fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|text| text.into_owned())
}

fn known(reference: &str) -> Option<String> {
    let fits = (1..=128).contains(&reference.len()) && reference.chars().all(|c| c.is_ascii_graphic());
    fits.then(|| reference.to_owned())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0 && digits.len() <= 128)?;
    digits.chunks(2).map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte * 16 + digit)).ok()).collect()
}

/// Bytes of a report, of which real ones have some hundreds.
pub const REPORT_BYTES_MAX: usize = 16 * 1024;
const FIELDS_MAX: usize = 64;
const AGE_MAX: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vonage_tells_by_form_or_json_and_signs() {
        for (status, code, fate) in [
            ("accepted", "0", Fate::OnItsWay),
            ("buffered", "0", Fate::OnItsWay),
            ("delivered", "0", Fate::Delivered),
            ("expired", "0", Fate::Failed(Failure::TooLate)),
            ("failed", "2", Fate::Failed(Failure::Unreachable)),
            ("failed", "9", Fate::Failed(Failure::NoSuchNumber)),
            ("rejected", "14", Fate::Failed(Failure::Blocked)),
            ("failed", "99", Fate::Failed(Failure::Other)),
            ("something new", "0", Fate::OnItsWay),
        ] {
            let expected = Some(Receipt { reference: "0C01".into(), fate });
            let form =
                format!("msisdn=4915112345678&messageId=0C01&status={}&err-code={code}", status.replace(' ', "+"));
            assert_eq!(vonage(&Fields::of_form(&form).unwrap()), expected, "{status}");
            let json =
                format!(r#"{{"msisdn":"4915112345678","messageId":"0C01","status":"{status}","err-code":"{code}"}}"#);
            assert_eq!(vonage(&Fields::of_json(&json).unwrap()), expected, "{status}");
        }
        let form = "message-timestamp=2026-01-01+12%3A00%3A00&messageId=0C01&msisdn=4915112345678&status=delivered&\
                    err-code=0&timestamp=1767268800&x=a%26b%3Dc&\
                    sig=127659883586d055603bd2da91505d0404025fbd134be13df7180b879fabc268";
        assert!(vonage_is_genuine(&Fields::of_form(form).unwrap(), "sigsecret"));
        assert!(!vonage_is_genuine(&Fields::of_form(form).unwrap(), "other"));
        assert!(!vonage_is_genuine(&Fields::of_form(&form.replace("=0C01", "=0C02")).unwrap(), "sigsecret"));
        assert!(!vonage_is_genuine(&Fields::of_form("messageId=0C01").unwrap(), "sigsecret"));
    }

    #[test]
    fn twilio_tells_by_form_and_signs() {
        for (status, code, fate) in [
            ("queued", "", Fate::OnItsWay),
            ("sent", "", Fate::OnItsWay),
            ("delivered", "", Fate::Delivered),
            ("undelivered", "30003", Fate::Failed(Failure::Unreachable)),
            ("undelivered", "30005", Fate::Failed(Failure::NoSuchNumber)),
            ("failed", "30007", Fate::Failed(Failure::Blocked)),
            ("failed", "30008", Fate::Failed(Failure::Other)),
        ] {
            let form = format!("MessageSid=SM1&MessageStatus={status}&To=%2B4915112345678&ErrorCode={code}");
            let expected = Some(Receipt { reference: "SM1".into(), fate });
            assert_eq!(twilio(&Fields::of_form(&form).unwrap()), expected, "{status}");
        }
        // The example of Twilio's documentation.
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        let form = "Digits=1234&To=%2B18005551212&From=%2B14158675309&Caller=%2B14158675309&CallSid=CA1234567890ABCDE";
        let fields = Fields::of_form(form).unwrap();
        assert!(twilio_is_genuine(url, &fields, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "12345"));
        assert!(!twilio_is_genuine(url, &fields, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "12346"));
        assert!(!twilio_is_genuine("https://mycompany.com/", &fields, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "12345"));
        assert!(!twilio_is_genuine(url, &fields, "", "12345"));
    }

    #[test]
    fn the_android_app_tells_by_json_and_signs_with_a_time() {
        let body = r#"{"event":"sms:delivered","payload":{"messageId":"aa","recipient":"+4915112345678"}}"#;
        assert_eq!(android(body), Some(Receipt { reference: "aa".into(), fate: Fate::Delivered }));
        for (event, fate) in [
            ("sms:sent", Some(Fate::OnItsWay)),
            ("sms:failed", Some(Fate::Failed(Failure::Other))),
            ("sms:received", None),
            ("system:ping", None),
        ] {
            let body = body.replace("sms:delivered", event);
            assert_eq!(android(&body).map(|receipt| receipt.fate), fate, "{event}");
        }
        let signature = "d2b60fe32ad67b56101abb1b356a2a79d451874c2b45fdf7d4cdfc6022f811b1";
        let at = |secs| Duration::from_secs(secs);
        for (body, timestamp, key, now, genuine) in [
            (body, "1767268800", "key1", 1_767_268_800, true),
            (body, "1767268800", "key1", 1_767_269_100, true),
            (body, "1767268800", "key1", 1_767_269_101, false),
            (body, "1767268800", "key1", 1_767_268_000, false),
            (body, "1767268801", "key1", 1_767_268_800, false),
            (body, "", "key1", 1_767_268_800, false),
            (body, "1767268800", "key2", 1_767_268_800, false),
            ("{}", "1767268800", "key1", 1_767_268_800, false),
        ] {
            assert_eq!(
                android_is_genuine(body, timestamp, signature, key, at(now)),
                genuine,
                "{timestamp} {key} {now}"
            );
        }
        assert!(!android_is_genuine(body, "1767268800", "zz", "key1", at(1_767_268_800)));
    }

    #[test]
    fn what_is_no_report_gives_nothing_and_nothing_is_shown() {
        for text in ["", "a", "messageId=&status=delivered", "messageId=a%20b&status=delivered", "messageId=0C01"] {
            assert_eq!(Fields::of_form(text).as_ref().and_then(vonage), None, "{text}");
            assert_eq!(Fields::of_form(text).as_ref().and_then(twilio), None, "{text}");
            assert_eq!(android(text), None, "{text}");
        }
        assert_eq!(Fields::of_form("a=%ff"), None);
        assert_eq!(Fields::of_form(&"a=b&".repeat(65)), None);
        assert_eq!(Fields::of_form(&"a".repeat(REPORT_BYTES_MAX + 1)), None);
        for text in ["", "[]", "{", "7"] {
            assert_eq!(Fields::of_json(text), None, "{text}");
        }
        assert_eq!(format!("{:?}", Fields::of_form("msisdn=49151").unwrap()), "Fields(1 …)");
    }
}
