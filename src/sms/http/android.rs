//! SMS Gateway for Android in local mode: an app makes an old telephone the modem. Facts as its source has them.
//!
//! The app takes a message (202), and the telephone sends it when it can; so what became of it is looked at until it is sent,
//! has failed, or our patience ends. The app knows each message by the id that we give it and refuses a second one of that id
//! (409), and so a message whose first answer was lost is offered once more: the one thing here that is asked twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::answer::{Answer, OUTAGE_REST};
use super::fault::Fault;
use super::line::Line;
use super::message::Message;
use super::request::{Request, percent_encoded};
use super::settings::Android;
use super::url::base_of;
use super::{Accepted, Random, Sending, SmsError, SmsSender, SmsText};
use crate::phone::PhoneNumber;

/// What to say to the app and what it answers.
pub(super) struct Dialect {
    url: String,
    user: String,
    sim: Option<u8>,
    delivery_reports: bool,
    poll: Duration,
    settle: Duration,
}

impl Dialect {
    pub(super) fn new(settings: &Android, faults: &mut Vec<Fault>) -> Option<Dialect> {
        let before = faults.len();
        if settings.login.user.is_empty() || settings.login.user.contains([':', '\n', '\r']) {
            faults.push(Fault::new("user", "not a user name", "the user that the app shows"));
        }
        if settings.sim.is_some_and(|sim| !(1..=3).contains(&sim)) {
            faults.push(Fault::new("sim", "no SIM card has this place", "1, 2 or 3"));
        }
        (faults.len() == before).then(|| Dialect {
            url: base_of(&settings.url),
            user: settings.login.user.clone(),
            sim: settings.sim,
            delivery_reports: settings.delivery_reports,
            poll: settings.poll,
            settle: settings.settle,
        })
    }

    pub(super) fn into_sender(self, line: Line, random: Random, about: String) -> AndroidSender {
        AndroidSender { line, dialect: Arc::new(self), random, about }
    }

    fn offer(&self, message: &Message, secret: &str) -> Request {
        let mut body = json!({
            "id": message.reference,
            "textMessage": {"text": message.text.as_str()},
            "phoneNumbers": [message.to.as_e164()],
            "ttl": message.lifetime_secs(),
            "withDeliveryReport": self.delivery_reports,
            // From 100 on the app's own delays and working hours do not apply.
            "priority": 100,
        });
        if let (Some(sim), Some(fields)) = (self.sim, body.as_object_mut()) {
            fields.insert("simNumber".to_owned(), json!(sim));
        }
        Request::json(format!("{}/messages", self.url), &body).basic(&self.user, secret)
    }

    fn offered(answer: &Answer) -> Offered {
        match answer.status {
            200..=299 | 409 => Offered::Taken,
            401 | 403 => Offered::Not(SmsError::NotAllowed(LOGIN.into())),
            // It may have the message or not.
            500 | 502 | 504 => Offered::Unknown(answer.by_status()),
            _ => Offered::Not(answer.by_status()),
        }
    }

    fn look(&self, reference: &str, secret: &str) -> Request {
        let url = format!("{}/messages/{}", self.url, percent_encoded(reference).as_str());
        Request::get(url).basic(&self.user, secret)
    }

    /// `None`: nothing is decided yet.
    fn fate(answer: &Answer) -> Option<Result<(), SmsError>> {
        let json = answer.json().filter(|_| answer.status == 200)?;
        match json.get("state").and_then(Value::as_str)? {
            "Sent" | "Delivered" => Some(Ok(())),
            "Failed" | "Cancelled" => {
                let recipients = json.get("recipients").and_then(Value::as_array).map(Vec::as_slice);
                let reasons = recipients.unwrap_or_default().iter().filter_map(|one| one.get("error")?.as_str());
                Some(Err(reasons.map(failure).next().unwrap_or_else(|| failure(""))))
            }
            _ => None,
        }
    }
}

enum Offered {
    Taken,
    Unknown(SmsError),
    Not(SmsError),
}

/// What Android's own words for a failure mean.
fn failure(reason: &str) -> SmsError {
    if reason.contains("LIMIT_EXCEEDED") {
        // About thirty messages in thirty minutes.
        SmsError::Later(LIMIT.into(), LIMIT_REST)
    } else if ["NO_SERVICE", "RADIO_OFF", "RADIO_NOT_AVAILABLE", "MODEM_ERROR"].iter().any(|word| reason.contains(word))
    {
        SmsError::Later(NO_SERVICE.into(), OUTAGE_REST)
    } else if reason.contains("SEND_SMS") || reason.contains("SIM_ABSENT") || reason.contains("USER_NOT_ALLOWED") {
        SmsError::NotAllowed(PERMISSION.into())
    } else {
        SmsError::Refused(FAILED.into())
    }
}

/// The app with its line.
pub(super) struct AndroidSender {
    line: Line,
    dialect: Arc<Dialect>,
    random: Random,
    about: String,
}

impl AndroidSender {
    /// Until the app has the message.
    async fn hand_over(&self, message: &Message) -> Result<(), SmsError> {
        let mut unknown = None;
        for _ in 0..2 {
            let (dialect, offered) = (self.dialect.clone(), message.clone());
            let outcome = match self.line.ask(move |secret| dialect.offer(&offered, secret)).await {
                Ok(answer) => Dialect::offered(&answer),
                Err(error) if error.may_have_been_sent() => Offered::Unknown(error),
                Err(error) => Offered::Not(error),
            };
            match (outcome, unknown) {
                (Offered::Taken, _) => return Ok(()),
                (Offered::Unknown(error), _) => unknown = Some(error),
                // That the second offer failed says nothing of the first.
                (Offered::Not(_), Some(error)) => return Err(error),
                (Offered::Not(error), None) => return Err(error),
            }
        }
        Err(unknown.unwrap_or(SmsError::Unknown(PENDING.into())))
    }

    /// Until the telephone has sent it or has failed.
    async fn see_off(&self, message: &Message) -> Result<(), SmsError> {
        let begun = Instant::now();
        loop {
            smol::Timer::after(self.dialect.poll).await;
            let (dialect, reference) = (self.dialect.clone(), message.reference.clone());
            // No answer to a look says nothing of the message.
            if let Ok(answer) = self.line.ask(move |secret| dialect.look(&reference, secret)).await
                && let Some(fate) = Dialect::fate(&answer)
            {
                return fate;
            }
            if begun.elapsed() >= self.dialect.settle {
                return Err(SmsError::Unknown(PENDING.into()));
            }
        }
    }
}

impl SmsSender for AndroidSender {
    fn send<'a>(&'a self, to: &'a PhoneNumber, text: &'a SmsText) -> Sending<'a> {
        Box::pin(async move {
            let message = Message::new(to, text, (self.random)());
            self.hand_over(&message).await?;
            self.see_off(&message).await?;
            Ok(Accepted { reference: Some(message.reference) })
        })
    }

    fn describe(&self) -> String {
        self.about.clone()
    }
}

const LIMIT_REST: Duration = Duration::from_secs(10 * 60);
const LOGIN: &str = "the telephone's app does not accept user and secret (remedy: compare them with what it shows)";
const LIMIT: &str = "the telephone has sent as many messages as Android allows for now";
const NO_SERVICE: &str = "the telephone has no network";
const PERMISSION: &str = "the telephone may not send messages, or has no SIM card (remedy: look at the app)";
const FAILED: &str =
    "the telephone could not send the message: no credit, no signal, or its SIM refuses delivery reports";
const PENDING: &str = "the telephone has the message and has not sent it yet";

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(status: u16, body: &str) -> Option<Result<(), SmsError>> {
        Dialect::fate(&Answer { status, retry_after: None, body: Some(body.as_bytes().to_vec().into()) })
    }

    #[test]
    fn what_became_of_a_message_is_read_from_its_state() {
        let failed = |error: &str| {
            format!(
                r#"{{"state":"Failed","recipients":[{{"phoneNumber":"+49151","state":"Failed","error":"{error}"}}]}}"#
            )
        };
        for (status, body, expected) in [
            (200, r#"{"state":"Sent"}"#.to_owned(), Some(Ok(()))),
            (200, r#"{"state":"Delivered"}"#.to_owned(), Some(Ok(()))),
            (200, r#"{"state":"Pending"}"#.to_owned(), None),
            (200, r#"{"state":"Processed"}"#.to_owned(), None),
            (200, r#"{"state":"Something new"}"#.to_owned(), None),
            (200, r#"{"state":"Failed"}"#.to_owned(), Some(Err(SmsError::Refused(FAILED.into())))),
            (200, failed("RESULT_ERROR_GENERIC_FAILURE"), Some(Err(SmsError::Refused(FAILED.into())))),
            (200, failed("RESULT_ERROR_LIMIT_EXCEEDED"), Some(Err(SmsError::Later(LIMIT.into(), LIMIT_REST)))),
            (200, failed("RESULT_ERROR_NO_SERVICE"), Some(Err(SmsError::Later(NO_SERVICE.into(), OUTAGE_REST)))),
            (200, failed("no SEND_SMS permission"), Some(Err(SmsError::NotAllowed(PERMISSION.into())))),
            (404, r#"{"state":"Sent"}"#.to_owned(), None),
            (200, "Sent".to_owned(), None),
            (200, r#"{"state":"Se"#.to_owned(), None),
        ] {
            assert_eq!(fate(status, &body), expected, "{status} {body}");
        }
    }
}
