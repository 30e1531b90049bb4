//! Sends one message: 3GPP TS 27.005 §3.5.1, §4.3.
//!
//! Three outcomes. *Accepted*: the network gave it a number. *Refused*: an error came, or the modem was lost before the
//! message was complete. *Unknown*: the message was complete and nothing came back; then it is not sent again, here or by
//! anybody. Errors that pass are tried again, three tries at most; a modem that is busy is asked more often.

use std::borrow::Cow;
use std::time::Duration;

use super::advice::{Advice, advice};
use super::answer::{AtError, Final, final_of};
use super::dialogue::{Driver, Expect, Trouble};
use super::lines::Said;
use super::notice::fields;
use super::status::Phase;
use super::world::World;
use crate::sms::pdu::{EncodeError, Reference, Submit, SubmitPdu};
use crate::sms::{Accepted, SmsError};

/// What became of a message, and what is wrong with the modem, if anything is.
pub(super) type Sent = (Result<Accepted, SmsError>, Result<(), Trouble>);

/// One try.
enum Attempt {
    /// With the number that the modem gave it.
    Accepted(u8),
    Refused(AtError),
    /// The modem does not take messages; nothing was written.
    NoPrompt,
    /// The modem has lost its settings; nothing was written.
    Forgetful,
    /// It was complete, and no answer came.
    Unknown,
}

/// What to do after an error.
enum Next {
    Again,
    Over(Result<Accepted, SmsError>),
}

/// How often and since when a message was tried.
struct Tries {
    begun: std::time::Instant,
    full: usize,
    busy: u32,
    set_up: bool,
    last: AtError,
}

impl<W: World> Driver<W> {
    /// Sends all parts of a message.
    pub(super) async fn send(&mut self, message: &Submit) -> Sent {
        let mut message = message.clone();
        message.report &= !self.reports_refused;
        self.reference = self.reference.wrapping_add(1);
        let parts = match message.encode(Reference::Short(self.reference)) {
            Ok(parts) => parts,
            Err(error) => return (Err(unsendable(error)), Ok(())),
        };
        self.enter(Phase::Sending);
        if parts.len() > 1
            && let Err(trouble) = self.try_tell("AT+CMMS=1").await
        {
            // 27.005 §3.5.6: the link to the network stays open between the parts. Nothing has been sent yet.
            return (Err(SmsError::Refused(LOST.into())), Err(trouble));
        }
        let mut accepted = Accepted::default();
        for (index, part) in parts.into_iter().enumerate() {
            let (outcome, state) = self.send_part(&message, index, part).await;
            let unknown = matches!(outcome, Err(SmsError::Unknown(_)));
            let pause = if unknown { self.timing.after_unknown } else { self.timing.pause };
            self.next_send = self.world.now() + pause;
            match (outcome, state) {
                (Ok(now), Ok(())) => accepted = now,
                // Those parts that were taken will arrive.
                (Err(SmsError::Refused(reason) | SmsError::NotAllowed(reason)), state) if index > 0 => {
                    return (Err(SmsError::Unknown(reason)), state);
                }
                (outcome, state) => return (outcome, state),
            }
        }
        (Ok(accepted), Ok(()))
    }

    async fn send_part(&mut self, message: &Submit, index: usize, part: SubmitPdu) -> Sent {
        let begun = self.world.now();
        let mut tries = Tries { begun, full: 0, busy: 0, set_up: false, last: AtError::Plain };
        let mut part = part;
        loop {
            let attempt = match self.attempt(&part).await {
                Ok(attempt) => attempt,
                Err((outcome, trouble)) => return (outcome, Err(trouble)),
            };
            let (error, what) = match attempt {
                Attempt::Accepted(number) => return (Ok(Accepted { reference: Some(number.to_string()) }), Ok(())),
                // Whoever does not answer may do anything: set up again, but do not send again.
                Attempt::Unknown => return (Err(SmsError::Unknown(NO_ANSWER.into())), Err(Trouble::Mute)),
                Attempt::Forgetful => (AtError::Plain, Advice::SetUp),
                Attempt::NoPrompt if tries.full == 0 => (AtError::Plain, Advice::SetUp),
                Attempt::NoPrompt => return (Err(SmsError::Refused(NO_PROMPT.into())), Err(Trouble::Mute)),
                // Some prepaid SIMs refuse only the report so, not the message.
                Attempt::Refused(error @ AtError::Cms(21)) if message.report && !self.reports_refused => {
                    (error, Advice::WithoutReport)
                }
                Attempt::Refused(error) => (error, advice(error)),
            };
            tries.last = error;
            match self.after_error(what, &mut tries).await {
                Ok(Next::Again) => {}
                Ok(Next::Over(outcome)) => return (outcome, Ok(())),
                Err(trouble) => return (Err(refused(error)), Err(trouble)),
            }
            if self.reports_refused && message.report {
                let plain = Submit { report: false, ..message.clone() };
                let parts = plain.encode(Reference::Short(self.reference)).unwrap_or_default();
                part = parts.into_iter().nth(index).unwrap_or(part);
            }
        }
    }

    /// Decides, and waits or mends as long as it takes.
    async fn after_error(&mut self, what: Advice, tries: &mut Tries) -> Result<Next, Trouble> {
        let again = match what {
            Advice::AsSent => return over(Ok(Accepted::default())),
            Advice::Unknown => return over(Err(SmsError::Unknown("the network did not answer in time".into()))),
            Advice::Receiver(reason) => return over(Err(SmsError::Refused(reason.into()))),
            Advice::Operator(reason) => {
                self.fail(reason);
                return over(Err(SmsError::NotAllowed(reason.into())));
            }
            Advice::Ours => {
                log::error!("modem: a message was malformed: {}", tries.last);
                return over(Err(SmsError::Refused("the network did not understand the message".into())));
            }
            Advice::Sim => return Err(Trouble::Restarted),
            Advice::WithoutReport if self.reports_refused => false,
            Advice::WithoutReport => {
                self.reports_refused = true;
                self.fail("the network does not report deliveries; messages are sent without (remedy: none needed)");
                true
            }
            Advice::Busy => {
                // Does not count as a try: the modem has not even looked at it.
                tries.busy += 1;
                if tries.busy <= BUSY_MAX && self.pause(self.timing.busy_retry, tries).await? {
                    return Ok(Next::Again);
                }
                false
            }
            Advice::MemoryFull => {
                self.inbox.search = true;
                self.take_stored().await?;
                true
            }
            Advice::Centre => {
                self.find_centre().await?;
                self.settings.centre.is_some()
            }
            Advice::SetUp if tries.set_up => false,
            Advice::SetUp => {
                tries.set_up = true;
                self.set_up().await?;
                self.enter(Phase::Sending);
                true
            }
            Advice::NoNetwork => self.wait_for_network().await?,
            Advice::Later(_) => self.pause(self.retry_pause(tries), tries).await?,
            Advice::OutOfOrder => {
                if tries.full > 0 {
                    // 27.007 §7.3: chooses a network by itself again.
                    let _ = self.ask("AT+COPS=0", Expect::Nothing, self.timing.slow_answer).await?;
                }
                self.pause(self.retry_pause(tries), tries).await?
            }
            Advice::Vendor if tries.full > 0 => false,
            Advice::Vendor => {
                self.pause(self.retry_pause(tries), tries).await? && self.look_at_registration().await?.is_registered()
            }
        };
        tries.full += 1;
        if again && tries.full < TRIES_MAX {
            return Ok(Next::Again);
        }
        let outcome = match what {
            // The ladder of recovery comes to the radio by and by.
            Advice::OutOfOrder => return Err(Trouble::Faulty(OUT_OF_ORDER.to_owned())),
            Advice::Later(reason) => SmsError::Refused(reason.into()),
            Advice::NoNetwork => SmsError::Refused(NO_NETWORK.into()),
            Advice::Centre => {
                let reason = "the SIM knows no service centre (remedy: configure the number of its operator's)";
                SmsError::NotAllowed(reason.into())
            }
            _ => refused(tries.last),
        };
        if let SmsError::Refused(reason) = &outcome {
            self.fail(reason);
        }
        over(Err(outcome))
    }

    /// One try. An error holds the outcome too: after the end of the message it is unknown.
    async fn attempt(&mut self, part: &SubmitPdu) -> Result<Attempt, (Result<Accepted, SmsError>, Trouble)> {
        let prompted = self.prompt(part).await;
        let early = |trouble| (Err(SmsError::Refused(LOST.into())), trouble);
        if let Some(attempt) = prompted.map_err(early)? {
            self.answered();
            return Ok(attempt);
        }
        // Written apart from what ends the message: until then, nothing has been sent.
        let end = self.write(b"\x1a").await;
        end.map_err(early)?;
        let result = self.result().await;
        self.answered();
        result.map_err(|trouble| (Err(SmsError::Unknown(NO_ANSWER.into())), trouble))
    }

    /// Up to the whole PDU without its end; nothing means that all went well.
    async fn prompt(&mut self, part: &SubmitPdu) -> Result<Option<Attempt>, Trouble> {
        self.echoed = false;
        self.begin(&format!("AT+CMGS={}", part.octets()), Expect::Prefix("+CMGS:")).await?;
        let until = self.world.now() + self.timing.prompt;
        loop {
            match self.hear(until).await? {
                Some(Said::Prompt) if self.echo_off && self.echoed => {
                    // It has restarted without a word. If it is in text mode now, it takes the length for a number and would
                    // send the PDU as a text.
                    self.cancel().await?;
                    return Ok(Some(Attempt::Forgetful));
                }
                // Nothing is written before the prompt: it would be lost.
                Some(Said::Prompt) => break,
                Some(Said::Line(line)) => match final_of(&line) {
                    Some(Final::Error(error)) => return Ok(Some(Attempt::Refused(error))),
                    Some(Final::Ok) => return Ok(Some(Attempt::NoPrompt)),
                    _ => {}
                },
                None => {
                    self.cancel().await?;
                    return Ok(Some(Attempt::NoPrompt));
                }
            }
        }
        self.expect(part.hex(), Expect::Prefix("+CMGS:"));
        self.write(part.hex().as_bytes()).await?;
        Ok(None)
    }

    /// The network's answer to a complete message.
    async fn result(&mut self) -> Result<Attempt, Trouble> {
        let mut until = self.world.now() + self.timing.send;
        let mut number = None;
        loop {
            let said = match (self.hear(until).await, number) {
                // Whatever happens now, the network has it.
                (Err(_) | Ok(None), Some(number)) => return Ok(Attempt::Accepted(number)),
                (said, None) => said?,
                (said, Some(_)) => said?,
            };
            match said {
                None => return Ok(Attempt::Unknown),
                Some(Said::Prompt) => {}
                Some(Said::Line(line)) => {
                    if let Some(rest) = line.strip_prefix("+CMGS:") {
                        number = Some(fields(rest).next().and_then(|number| number.parse().ok()).unwrap_or_default());
                        until = self.world.now() + self.timing.late_ok;
                    } else if let Some(end) = final_of(&line) {
                        match (end, number) {
                            (Final::Ok | Final::Error(_), Some(number)) => return Ok(Attempt::Accepted(number)),
                            (Final::Error(error), None) => return Ok(Attempt::Refused(error)),
                            // Without a number: it may have been thrown away.
                            (Final::Ok, None) => return Ok(Attempt::Unknown),
                            (Final::Call(result), _) => self.inbox.call_ended = Some(result),
                        }
                    }
                }
            }
        }
    }

    /// Takes the modem out of the prompt. The answer is `OK`, `ERROR` or nothing.
    async fn cancel(&mut self) -> Result<(), Trouble> {
        self.write(b"\x1b").await?;
        self.rest(self.timing.settle).await
    }

    /// Waits between two tries, unless there is no time for it.
    async fn pause(&mut self, time: Duration, tries: &Tries) -> Result<bool, Trouble> {
        let spent = self.world.now().saturating_duration_since(tries.begun);
        if spent + time > self.timing.retry_within {
            return Ok(false);
        }
        self.rest(time).await?;
        Ok(true)
    }

    fn retry_pause(&self, tries: &Tries) -> Duration {
        let [first, second] = self.timing.retry;
        if tries.full == 0 { first } else { second }
    }

    /// True once there is a network, false if there is none in time.
    pub(super) async fn wait_for_network(&mut self) -> Result<bool, Trouble> {
        let until = self.world.now() + self.timing.network_patience;
        loop {
            if self.look_at_registration().await?.is_registered() {
                return Ok(true);
            }
            if self.world.now() >= until {
                return Ok(false);
            }
            self.rest(self.timing.registration_poll).await?;
        }
    }
}

fn over(outcome: Result<Accepted, SmsError>) -> Result<Next, Trouble> {
    Ok(Next::Over(outcome))
}

fn unsendable(error: EncodeError) -> SmsError {
    SmsError::Refused(Cow::Borrowed(match error {
        EncodeError::TooLong => "the text is too long for a text message",
        EncodeError::Receiver => "a name cannot receive a text message",
    }))
}

/// Codes are no secret.
fn refused(error: AtError) -> SmsError {
    SmsError::Refused(format!("the modem refused the message with {error}").into())
}

/// Of one message.
const TRIES_MAX: usize = 3;
/// How often a busy modem is asked.
const BUSY_MAX: u32 = 15;

const NO_PROMPT: &str = "the modem did not take the message";
const LOST: &str = "the modem was lost before the message had left";
const OUT_OF_ORDER: &str = "the modem finds the network out of order (remedy: none needed if it lasts for minutes; else another modem or place)";
const NO_ANSWER: &str = "the network's answer did not come";
pub(super) const NO_NETWORK: &str = "the modem has no network (remedy: look at its signal and SIM)";
