//! What the dialogue needs of the world, and what it is given to do. The dialogue itself touches no device, file or clock.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use smol::channel::{Receiver, Sender, bounded};
use zeroize::Zeroizing;

use super::ModemError;
use super::pin::{Pin, PinFate, PinSource};
use crate::phone::PhoneNumber;
use crate::sms::pdu::{Address, DeliveryState, Hidden, Submit};
use crate::sms::{Accepted, SmsError};

/// Port, clock, files and queue of one modem. The real one is a serial port under smol; tests bring a simulated modem and a
/// clock that they move by hand.
pub trait World: Send {
    /// The time, which only grows.
    fn now(&self) -> Instant;

    /// Opens the port, and says which. Tried again and again while there is none.
    fn open(&mut self) -> impl Future<Output = Result<Opened, OpenFault>> + Send;

    /// Closes it, if it is open.
    fn close(&mut self);

    /// Writes all bytes. An error means that the port is gone.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Waits until something happens, at most to `until`. Work is taken from the queue only if `work` says so.
    fn wait(&mut self, until: Instant, work: bool) -> impl Future<Output = Woken> + Send;

    /// Switches the modem's power off and on, if there is a way: whether it was done.
    fn power_cycle(&mut self) -> impl Future<Output = bool> + Send;

    /// The PIN as it is configured now.
    fn pin(&mut self) -> PinSource;

    /// What is remembered of a PIN.
    fn pin_fate(&mut self, sim: &str, pin: &Pin) -> Option<PinFate>;

    /// Remembers, or with `None` forgets, and returns when that is on the disk. An error says why it could not.
    fn remember_pin(&mut self, sim: &str, pin: &Pin, fate: Option<PinFate>) -> Result<(), String>;

    /// Hands over what came in. False if there is no room now: then it is kept in the modem and handed over later.
    fn deliver(&mut self, incoming: Incoming) -> bool;

    /// A random number, to spread pauses.
    fn random(&mut self) -> u32;
}

/// The port has vanished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// A port that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its path.
    pub device: String,
    /// Another program that may disturb, and what to do about it.
    pub conflict: Option<String>,
}

/// Why the port cannot be opened: a sentence with its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFault {
    /// Why.
    pub reason: String,
    /// The other program that has it, if one does.
    pub conflict: Option<String>,
}

/// Why waiting ended.
pub enum Woken {
    /// The modem said something.
    Bytes(Zeroizing<Vec<u8>>),
    /// There is work.
    Work(Job),
    /// Time is up.
    Time,
    /// The port has vanished.
    Gone,
    /// Nobody can bring work any more.
    Closed,
}

/// What comes in by itself.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// A text message, put together from its parts. Who claims to have sent it can be forged by those with access to a
    /// network or a bulk service.
    Sms {
        /// The number that the network names.
        from: PhoneNumber,
        /// What it says.
        text: Hidden,
        /// The service centre it came through, where known: a foreign one makes the sender doubtful.
        centre: Option<PhoneNumber>,
    },
    /// Somebody called; nobody answered. The number is easy to forge.
    Call {
        /// The number that the network names.
        from: PhoneNumber,
    },
    /// The fate of a message that was sent. It can come late, twice, or never.
    Report {
        /// As in [`Accepted::reference`]; it wraps at 255.
        reference: String,
        /// Who was to receive it.
        to: Option<PhoneNumber>,
        /// What became of it.
        state: DeliveryState,
    },
}

/// Work for a modem.
pub enum Job {
    /// A text message.
    Send(Task<Submit, Result<Accepted, SmsError>>),
    /// A USSD code, such as the one that asks for the balance.
    Ussd(Task<Hidden, Result<Hidden, ModemError>>),
    /// A call that rings and is given up.
    Dial(Task<Dial, Result<Dialled, ModemError>>),
}

/// A call to be made.
#[derive(Clone, Debug)]
pub struct Dial {
    /// Who is called.
    pub to: Address,
    /// How long it rings.
    pub ring: Duration,
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// It rang, and was given up as planned: it is shown as missed.
    Rang,
    /// Somebody, or a mailbox, answered, and the call was given up at once. It may be charged.
    Answered,
    /// The line was busy or the call was rejected while it rang; most telephones show it all the same.
    Rejected,
}

/// Work, and where its outcome goes.
pub struct Task<W, O> {
    /// What is to be done.
    pub work: W,
    outcome: Sender<O>,
    state: Arc<AtomicU8>,
}

/// The other end of a [`Task`]. Dropped, it takes the work back if it has not begun.
pub struct Ticket<O> {
    outcome: Receiver<O>,
    state: Arc<AtomicU8>,
}

impl<W, O> Task<W, O> {
    /// Work that waits, and the ticket for it.
    pub fn new(work: W) -> (Task<W, O>, Ticket<O>) {
        let (sender, receiver) = bounded(1);
        let state = Arc::new(AtomicU8::new(WAITING));
        (Task { work, outcome: sender, state: state.clone() }, Ticket { outcome: receiver, state })
    }

    /// Now it is done; false if nobody wants it any more.
    pub(super) fn begin(&self) -> bool {
        self.state.compare_exchange(WAITING, BEGUN, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// This became of it.
    pub(super) fn finish(self, outcome: O) {
        // Room for one, and nobody else has sent. Who does not listen any more does not want it.
        let _ = self.outcome.try_send(outcome);
    }
}

impl<O> Ticket<O> {
    /// Takes the work back; false if it has begun, and then its outcome is worth waiting for.
    pub fn withdraw(&self) -> bool {
        self.state.compare_exchange(WAITING, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Waits for the outcome; nothing if the modem's task has ended.
    pub async fn outcome(&self) -> Option<O> {
        self.outcome.recv().await.ok()
    }

    /// The outcome, if it is there.
    pub fn try_outcome(&self) -> Option<O> {
        self.outcome.try_recv().ok()
    }
}

impl<O> Drop for Ticket<O> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const WITHDRAWN: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_taken_back_only_before_it_begins() {
        let (task, ticket) = Task::<(), u8>::new(());
        assert!(ticket.withdraw() && !task.begin());
        let (task, ticket) = Task::new(());
        assert!(task.begin() && !ticket.withdraw());
        task.finish(7);
        assert_eq!(ticket.try_outcome(), Some(7));
        let (task, ticket) = Task::<(), u8>::new(());
        drop(ticket);
        assert!(!task.begin());
    }
}
