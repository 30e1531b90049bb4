//! The operator's own modem: sends codes through a SIM, and hears what comes in by messages and calls. An edge.
//!
//! Specifications: 3GPP TS 27.005 (messages over AT commands), 27.007 (other AT commands), ITU-T V.250 (the syntax); PDU mode
//! only. One task owns the port; [`Modem`] is the handle to it. The dialogue is a [`Driver`] over a [`World`]: it knows no
//! device and no clock, and the tests move both by hand. Every command has its timeout; what the modem says unasked is sifted
//! out wherever it appears; a modem that restarts is set up again; one that fails is brought back step by step. The states
//! stand in `recovery`, the three outcomes of a message in `send`, the rules about the PIN in `sim`.
//!
//! Limits: [`QUEUE_MAX`] pieces of work wait; each waits at most [`Timing::patience`]; lines have 1,024 bytes; an answer has
//! 600 lines. Numbers, texts, codes and PINs are never logged, at no level: of a line only its name is.
//!
//! The service user needs the group `dialout`, and no other program may use the modem: ModemManager is told so by the udev
//! rule that comes with the node.

mod advice;
mod answer;
mod board;
mod call;
mod country;
mod dialogue;
mod find;
mod inbox;
mod lines;
mod lock;
mod notice;
mod pin;
mod port;
mod recovery;
mod send;
mod serial;
mod settings;
mod setup;
mod sim;
mod status;
mod ussd;
mod world;

pub use board::Board;
pub use dialogue::Driver;
pub use pin::{Pin, PinFate, PinMemory, PinSource};
pub use settings::{Settings, Timing};
pub use status::{LastError, Phase, Registration, Signal, SimState, Status};
pub use world::{Dial, Dialled, Gone, Incoming, Job, OpenFault, Opened, Task, Ticket, Woken, World};

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smol::Timer;
use smol::channel::{Receiver, Sender, TrySendError, bounded};
use smol::future::FutureExt;

use super::pdu::{Address, Hidden, Submit};
use super::{Accepted, Sending, SmsError, SmsSender, SmsText};
use crate::phone::PhoneNumber;
use send::NO_NETWORK;
use serial::SerialWorld;

/// The handle to a modem; clones are handles to the same. The modem's task ends when the last is gone.
#[derive(Clone)]
pub struct Modem {
    jobs: Sender<Job>,
    board: Arc<Board>,
    patience: Duration,
    reports: bool,
}

/// What a modem's task, handle and events are made of.
pub struct Parts<F> {
    /// The handle.
    pub modem: Modem,
    /// What comes in. If it is dropped, what comes in is deleted unread.
    pub incoming: Receiver<Incoming>,
    /// Serves the modem; to be run on an executor.
    pub task: F,
}

impl Modem {
    /// A modem as configured. Nothing happens before the task runs; then the modem is opened, and opened again whenever it
    /// comes back. `seed` is random, and spreads the pauses of recovery.
    pub fn prepare(settings: Settings, seed: u64) -> Parts<impl Future<Output = ()> + Send + 'static> {
        let (events, incoming) = bounded(INCOMING_MAX);
        let (modem, jobs) = Modem::with_queue(&settings);
        let world = SerialWorld::new(&settings, jobs, events, seed);
        let driver = Driver::new(world, settings, modem.board.clone());
        Parts { modem, incoming, task: driver.run() }
    }

    /// A handle, and the queue behind it for a world of the caller's own.
    pub fn with_queue(settings: &Settings) -> (Modem, Receiver<Job>) {
        let (sender, jobs) = bounded(QUEUE_MAX);
        let patience = settings.timing.patience;
        let reports = settings.delivery_reports;
        (Modem { jobs: sender, board: Arc::new(Board::new()), patience, reports }, jobs)
    }

    /// Where its status is written.
    pub fn board(&self) -> Arc<Board> {
        self.board.clone()
    }

    /// How it is now, for the operator.
    pub fn status(&self) -> Status {
        let mut status = self.board.status(Instant::now());
        status.queue = self.jobs.len();
        status
    }

    /// Can it send now? A modem that is busy counts too.
    pub fn is_ready(&self) -> bool {
        let status = self.board.status(Instant::now());
        matches!(status.phase, Phase::Ready | Phase::Sending) && status.registration.is_registered()
    }

    /// It as a way to send codes.
    pub fn sender(&self) -> ModemSender {
        ModemSender { modem: self.clone() }
    }

    /// Sends any text. In several parts, if it needs them.
    pub async fn send(&self, to: &PhoneNumber, text: Hidden, lifetime: Duration) -> Result<Accepted, SmsError> {
        let submit = Submit { to: Address::from(to), text, validity: lifetime, report: self.reports, flash: false };
        let (task, ticket) = Task::new(submit);
        match self.ordered(Job::Send(task), &ticket).await {
            Ok(outcome) => outcome,
            Err(NotDone::Full) => Err(SmsError::Refused("too many messages wait for the modem".into())),
            Err(NotDone::TooLate) => Err(SmsError::Refused("the modem was not ready in time".into())),
            Err(NotDone::Ended) => Err(SmsError::Refused("the modem's task has ended".into())),
        }
    }

    /// Sends a USSD code, such as `*100#`, and waits for what the network answers: for the operator's eyes, not for logs.
    pub async fn ussd(&self, code: &str) -> Result<Hidden, ModemError> {
        if !ussd::is_code(code) {
            return Err(ModemError::NotACode);
        }
        let (task, ticket) = Task::new(Hidden::new(code));
        self.ordered(Job::Ussd(task), &ticket).await?
    }

    /// Calls a number, lets it ring for so long, and hangs up.
    pub async fn dial(&self, to: &PhoneNumber, ring: Duration) -> Result<Dialled, ModemError> {
        let (task, ticket) = Task::new(Dial { to: Address::from(to), ring });
        self.ordered(Job::Dial(task), &ticket).await?
    }

    /// Queues work and waits for its outcome. What has not begun in time is taken back; what has begun is waited for.
    async fn ordered<O>(&self, job: Job, ticket: &Ticket<O>) -> Result<O, NotDone> {
        match self.jobs.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(NotDone::Full),
            Err(TrySendError::Closed(_)) => return Err(NotDone::Ended),
        }
        let patience = async {
            Timer::after(self.patience).await;
            if ticket.withdraw() { Err(NotDone::TooLate) } else { smol::future::pending().await }
        };
        let outcome = async { ticket.outcome().await.ok_or(NotDone::Ended) };
        outcome.or(patience).await
    }
}

impl fmt::Debug for Modem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Modem").field("queue", &self.jobs.len()).finish_non_exhaustive()
    }
}

/// The modem as a way to send codes.
#[derive(Clone, Debug)]
pub struct ModemSender {
    modem: Modem,
}

impl SmsSender for ModemSender {
    fn send<'a>(&'a self, to: &'a PhoneNumber, text: &'a SmsText) -> Sending<'a> {
        Box::pin(self.modem.send(to, Hidden::new(text.as_str()), text.lifetime()))
    }

    fn describe(&self) -> String {
        match self.modem.status().model {
            Some(model) => format!("modem: {model}"),
            None => "modem".to_owned(),
        }
    }
}

/// Why a call or a USSD code came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModemError {
    /// No modem, or one that is not ready: its status says more.
    NotReady,
    /// Too much work waits already.
    Full,
    /// It has no network.
    NoNetwork,
    /// The modem or the network cannot or will not do it.
    Refused,
    /// No answer came.
    NoAnswer,
    /// What was given is no USSD code.
    NotACode,
}

impl fmt::Display for ModemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ModemError::NotReady => "the modem is not ready (remedy: see `modem status`)",
            ModemError::Full => "too much work waits for the modem (remedy: try again later)",
            ModemError::NoNetwork => NO_NETWORK,
            ModemError::Refused => "the modem or its network does not do that",
            ModemError::NoAnswer => "no answer came (remedy: try again)",
            ModemError::NotACode => "a USSD code has only digits, * and #",
        })
    }
}

impl std::error::Error for ModemError {}

/// Why work was not done.
enum NotDone {
    Full,
    TooLate,
    Ended,
}

impl From<NotDone> for ModemError {
    fn from(why: NotDone) -> ModemError {
        match why {
            NotDone::Full => ModemError::Full,
            NotDone::TooLate | NotDone::Ended => ModemError::NotReady,
        }
    }
}

/// Work that waits for a modem: at twenty messages a minute, more would wait longer than anybody does.
pub const QUEUE_MAX: usize = 32;
/// What came in and waits to be taken; more stays on the SIM.
const INCOMING_MAX: usize = 64;
