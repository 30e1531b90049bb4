//! Text messages on their way out. An edge: it sends, and says what became of it.
//!
//! A [`SmsSender`] has three outcomes. *Accepted*: the network has taken the message. *Refused*: it has not, so the user can be
//! told and another way tried. *Unknown*: the line broke after the message had left; it is never sent again blindly, for the
//! user may get it twice. Numbers and texts stay in memory and out of every log and error.
//!
//! Some providers make, send and check the code themselves: they are not senders but a [`Verifier`].
//!
//! [`modem`] sends through a modem at this machine, and hears what comes in there, by the messages of [`pdu`]; [`http`] through
//! providers on the network or a telephone on the shelf. [`terminal`] is the sender of a trial node, [`script`] that of tests.

pub mod http;
pub mod modem;
pub mod pdu;
pub mod script;
pub mod terminal;
mod verifier;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::phone::PhoneNumber;
pub use crate::phone::SmsText;
pub use verifier::{Checked, Checking, Starting, VerificationId, Verifier};

/// A way to send text messages.
pub trait SmsSender: Send + Sync {
    /// Sends one message to one number and waits until its outcome is known, or known to be unknown.
    fn send<'a>(&'a self, to: &'a PhoneNumber, text: &'a SmsText) -> Sending<'a>;

    /// What it is, for status and logs: a few words without secrets.
    fn describe(&self) -> String;
}

/// The outcome to be of one message.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Accepted, SmsError>> + Send + 'a>>;

/// The network has taken the message. Whether it arrives is another matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// How the network calls the message, where it says.
    pub reference: Option<String>,
}

/// Why a message was not sent, or why nobody knows. The reasons are the sender's own words: what a network answers may quote
/// the number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SmsError {
    /// The message was not taken: no modem, no signal, a number that cannot be reached. Nothing was sent.
    Refused(Cow<'static, str>),
    /// The operator must do something first: no credit, wrong password, a country that is not enabled. Nothing was sent.
    NotAllowed(Cow<'static, str>),
    /// The network wants fewer messages, or cannot be reached just now. Nothing was sent, and nothing should be for so long.
    Later(Cow<'static, str>, Duration),
    /// The message left, and no answer came. It may arrive.
    Unknown(Cow<'static, str>),
}

impl SmsError {
    /// May the message arrive all the same? Then the user is asked for the code as if it had been accepted.
    pub fn may_have_been_sent(&self) -> bool {
        matches!(self, SmsError::Unknown(_))
    }

    /// How long the sender wants to be left in peace, where it says.
    pub fn rest(&self) -> Option<Duration> {
        match self {
            SmsError::Later(_, rest) => Some(*rest),
            SmsError::Refused(_) | SmsError::NotAllowed(_) | SmsError::Unknown(_) => None,
        }
    }
}

impl fmt::Display for SmsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SmsError::Refused(reason) => write!(f, "the message was not sent: {reason}"),
            SmsError::NotAllowed(reason) => write!(f, "the message may not be sent: {reason}"),
            SmsError::Later(reason, rest) => {
                write!(f, "the message was not sent, another may be in {} s: {reason}", rest.as_secs().max(1))
            }
            SmsError::Unknown(reason) => write!(f, "the message may have been sent: {reason}"),
        }
    }
}

impl std::error::Error for SmsError {}
