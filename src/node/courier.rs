//! The courier: carries challenges out. It puts the decisions of `account` and `dispatch` together with the ways to send.
//!
//! A challenge is a [`Job`] from the moment its form is admitted until its outcome is known: it holds the number, in memory only, and
//! one of [`SENDING_MAX`] places; without one the client is told to come again. A job goes through the routes that `dispatch` names,
//! with the same code, until one takes it; before each that costs something, what it costs is on the disk, so that a crash makes nobody
//! forget it. Where networks report what became of a message, the number stays in memory until it is proved or its code has expired, and
//! what did not arrive goes out again by another route with the same code. What is lost in a crash is asked for again by its user.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use smol::future::FutureExt;

use super::random::random_bytes;
use crate::account::{Ask, CALLER_DIGITS, Fingerprint, Heard, PhoneForm, Refusal, Registrar, Shown, Verdict, Word};
use crate::dispatch::{Alert, Arrival, CounterKey, Dispatcher, Facts, Kept, Next, Outcome, Refused, Trip, Wish};
use crate::jid::BareJid;
use crate::limits::{
    BoundedMap, CHALLENGES_MAX, CODE_TTL, SENDING_MAX, SENDING_PATIENCE, SENDING_TIMEOUT, SENT_CODES_MAX,
};
use crate::phone::{AppHash, ChallengeKind, Code, PhoneNumber, SmsText};
use crate::router::Ticket;
use crate::sms::{Checked, SmsError, SmsSender, VerificationId, Verifier};
use crate::stanza::{StanzaError, Timestamp};
use crate::xml::Element;

/// A way to challenge a number, for the route with the same index.
#[derive(Clone)]
pub enum Way {
    /// By text message.
    Text(Arc<dyn SmsSender>),
    /// By a provider that makes, sends and judges the code.
    Verify(Arc<dyn Verifier>),
    /// By ringing.
    Ring(Arc<dyn Bell>),
    /// By waiting for the number to call or to text us.
    Hear,
}

/// Rings numbers.
pub trait Bell: Send + Sync {
    /// Lets the number ring, and hangs up.
    fn ring<'a>(&'a self, number: &'a PhoneNumber) -> Ringing<'a>;
}

/// The outcome to be of one call.
pub type Ringing<'a> = Pin<Box<dyn Future<Output = Result<(), SmsError>> + Send + 'a>>;

/// Where counters are kept, so that what was spent is known after a crash.
pub trait Ledger: Send + Sync {
    /// Takes counters down. An error is a plain sentence.
    fn take_down(&self, counters: &[(CounterKey, Option<Kept>)]) -> Result<Ticket, String>;

    /// Comes back when what was taken down survives a power cut, with `false` if it never will.
    fn durable(&self, ticket: Ticket) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
}

/// What the courier is made of.
pub struct CourierParts {
    /// Decides about registrations.
    pub registrar: Registrar,
    /// Decides about routes.
    pub dispatcher: Dispatcher,
    /// The ways, in the order of the dispatcher's routes.
    pub ways: Vec<Way>,
    /// Does the network report what became of a message? By the same order.
    pub reports: Vec<bool>,
    /// Whom messages come from, by the same order, where a route has a sender of its own.
    pub senders: Vec<Option<String>>,
    /// The node's own number, which users call, text, or are called from.
    pub own_number: Option<PhoneNumber>,
    /// Which app may read the message.
    pub app_hash: Option<AppHash>,
    /// The clock; the node's is [`Instant::now`].
    pub clock: Clock,
    /// Where home is, as soon as a SIM says it: a calling code.
    pub home: Box<dyn Fn() -> Option<u16> + Send + Sync>,
    /// Where counters are kept.
    pub ledger: Box<dyn Ledger>,
}

/// What time it is.
pub type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// Carries challenges out. One per node, shared by its connections.
pub struct Courier {
    registrar: Mutex<Registrar>,
    dispatcher: Mutex<Dispatcher>,
    ways: Vec<Way>,
    reports: Vec<bool>,
    senders: Vec<Option<String>>,
    own_number: Option<PhoneNumber>,
    app_hash: Option<AppHash>,
    clock: Clock,
    home: Box<dyn Fn() -> Option<u16> + Send + Sync>,
    ledger: Box<dyn Ledger>,
    under_way: Arc<AtomicUsize>,
    verifications: Mutex<BoundedMap<BareJid, Verification>>,
    /// By route and by what its network calls the message.
    sent: Mutex<BoundedMap<(usize, String), SentCode>>,
}

/// A code that a provider sent.
#[derive(Clone)]
struct Verification {
    serial: u64,
    verifier: Arc<dyn Verifier>,
    id: VerificationId,
}

/// A challenge to be carried out.
pub struct Job {
    form: PhoneForm,
    peer: IpAddr,
    trip: Trip,
    _place: Place,
}

/// A code that a network took, and of which it will report whether it arrived.
struct SentCode {
    form: PhoneForm,
    peer: IpAddr,
    trip: Trip,
    code: Code,
    serial: u64,
    until: Instant,
}

/// A code that did not arrive, to be sent by another route.
pub struct Resend {
    job: Job,
    code: Code,
    serial: u64,
}

/// One of the places of jobs; free again when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Courier {
    /// Nothing under way.
    pub fn new(parts: CourierParts) -> Courier {
        Courier {
            registrar: Mutex::new(parts.registrar),
            dispatcher: Mutex::new(parts.dispatcher),
            ways: parts.ways,
            reports: parts.reports,
            senders: parts.senders,
            own_number: parts.own_number,
            app_hash: parts.app_hash,
            clock: parts.clock,
            home: parts.home,
            ledger: parts.ledger,
            under_way: Arc::new(AtomicUsize::new(0)),
            verifications: Mutex::new(BoundedMap::new(CHALLENGES_MAX)),
            sent: Mutex::new(BoundedMap::new(SENT_CODES_MAX)),
        }
    }

    /// The decisions about registrations.
    pub fn registrar(&self) -> MutexGuard<'_, Registrar> {
        self.registrar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The decisions about routes. Who holds both locks takes this one last.
    pub fn dispatcher(&self) -> MutexGuard<'_, Dispatcher> {
        self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock.
    pub fn now(&self) -> Instant {
        (self.clock)()
    }

    /// May this form go on? Then look whether its number has an account, and [`Courier::accept`] it.
    pub fn admit(&self, peer: IpAddr, form: &PhoneForm) -> Result<(), StanzaError> {
        if let Some(home) = (self.home)() {
            self.dispatcher().learn_home(home);
        }
        // Whom we do not serve learns it at once, and pays nothing for it.
        self.dispatcher().serves(&form.number).map_err(refusal)?;
        self.registrar().admit(self.now(), peer, form)
    }

    /// Takes an admitted form on: it has a place, a route and its budgets, or is refused.
    pub fn accept(&self, peer: IpAddr, form: PhoneForm) -> Result<Job, StanzaError> {
        let Some(place) = self.place() else { return Err(self.registrar().declined(&form, Refusal::Busy)) };
        let wish = Wish {
            number: &form.number,
            address: &form.address,
            fallback: form.fallback,
            challenge: form.challenge.as_deref(),
        };
        let begun = self.dispatcher().begin(self.now(), &wish);
        match begun {
            Ok(trip) => Ok(Job { form, peer, trip, _place: place }),
            Err(refused) => Err(self.registrar().declined(&form, refusal(refused))),
        }
    }

    /// What the client is told if the job has not ended after so long.
    pub fn promise(&self, job: &Job) -> (Element, Duration) {
        // While it rings the user should be looking at what he is to type in.
        let rings = self.kind_of(job.trip.route()) == ChallengeKind::MissedCall;
        (self.shown(job, true, None), if rings { RINGING_PATIENCE } else { SENDING_PATIENCE })
    }

    /// Carries a job out. Gives the answer for the client.
    pub async fn deliver(&self, mut job: Job) -> Result<Element, StanzaError> {
        let code = Code::from_random(random_bytes());
        loop {
            let route = job.trip.route();
            let kind = self.kind_of(route);
            if !kind.is_free() && !self.spend().await {
                self.dispatcher().dropped(&job.trip);
                return Err(self.registrar().declined(&job.form, Refusal::Fault));
            }
            let word = (kind == ChallengeKind::Word).then(|| Word::from_random(random_bytes()));
            let ask = self.ask(&job, kind, &code, word.as_ref());
            let serial = self.registrar().challenge(self.now(), &job.form, &ask);
            let (outcome, reference) = self.try_route(route, &job, &code, serial).await;
            let next = self.dispatcher().ended(self.now(), &mut job.trip, outcome);
            match next {
                Next::Done => {
                    log::info!("{} was sent a challenge by {}", job.form.address.for_log(), self.name_of(route));
                    let shown = self.shown(&job, false, word.as_ref());
                    self.await_report(job, code, serial, reference);
                    return Ok(shown);
                }
                Next::Another => {}
                Next::Failed if outcome == Outcome::Lost => return Err(self.registrar().code_lost(&job.form, serial)),
                Next::Failed => return Err(self.registrar().send_failed(&job.form, serial)),
            }
        }
    }

    /// A number called or texted us. Says whether anybody waited for it.
    pub fn heard(&self, number: &PhoneNumber, what: Heard<'_>) -> bool {
        self.registrar().heard(self.now(), number, what)
    }

    /// Asks the provider about a code that only it knows, as [`Registrar::check`] said.
    pub async fn judge(&self, address: &BareJid, key: &Fingerprint, serial: u64, code: &Code) -> Verdict {
        let found = self.verifications().get(address).filter(|found| found.serial == serial).cloned();
        let Some(Verification { verifier, id, .. }) = found else {
            return self.registrar().judged(address, key, serial, code, false);
        };
        let mut answer = verifier.check(&id, code).or(too_long()).await;
        if matches!(answer, Err(SmsError::Unknown(_))) {
            // Once more is allowed, and tells whether the first arrived.
            answer = verifier.check(&id, code).or(too_long()).await;
        }
        match answer {
            Ok(Checked::Right) => {
                self.verifications().remove(address);
                self.registrar().judged(address, key, serial, code, true)
            }
            Ok(Checked::Wrong | Checked::Over) => self.registrar().judged(address, key, serial, code, false),
            Err(error) => {
                log::warn!("a code was not judged: {error}");
                Verdict::Refused(self.registrar().not_judged(address, serial))
            }
        }
    }

    fn await_report(&self, job: Job, code: Code, serial: u64, reference: Option<String>) {
        let route = job.trip.route();
        let Some(reference) = reference.filter(|_| self.reports.get(route) == Some(&true)) else { return };
        let now = self.now();
        self.dispatcher().await_report(now, &job.trip, &reference);
        let Job { form, peer, trip, _place } = job;
        if !self.registrar().is_open(now, &form.address, serial) {
            // Typed in already: no reason to keep the number.
            return;
        }
        let sent = SentCode { form, peer, trip, code, serial, until: now + CODE_TTL };
        self.sent().insert((route, reference), sent);
    }

    /// The network of the route with this name says how the message ended that it calls so. Says whether that was waited for, and what
    /// is to be sent again because of it.
    pub fn reported(&self, route: &str, reference: &str, arrival: Arrival) -> (bool, Option<Resend>) {
        let now = self.now();
        if !self.dispatcher().reported(now, route, reference, arrival) {
            return (false, None);
        }
        let index = self.dispatcher().plan().routes.iter().position(|known| known.name == route);
        let sent = index.and_then(|index| self.sent().remove(&(index, reference.to_owned())));
        let sent = sent
            .filter(|sent| arrival == Arrival::Lost && self.registrar().is_open(now, &sent.form.address, sent.serial));
        (true, sent.and_then(|sent| self.resend(now, sent)))
    }

    fn resend(&self, now: Instant, sent: SentCode) -> Option<Resend> {
        let SentCode { form, peer, mut trip, code, serial, .. } = sent;
        let place = self.place()?;
        if !self.dispatcher().again(now, &mut trip) {
            return None;
        }
        Some(Resend { job: Job { form, peer, trip, _place: place }, code, serial })
    }

    /// Sends the same code by another route; whoever waits for it need do nothing. If no route takes it, he can still ask for one himself.
    pub async fn send_again(&self, resend: Resend) {
        let Resend { mut job, code, serial } = resend;
        loop {
            if !self.spend().await {
                return self.dispatcher().dropped(&job.trip);
            }
            let route = job.trip.route();
            let (outcome, reference) = self.try_route(route, &job, &code, serial).await;
            let next = self.dispatcher().ended(self.now(), &mut job.trip, outcome);
            match next {
                Next::Done => {
                    log::info!("{} was sent his code again by {}", job.form.address.for_log(), self.name_of(route));
                    return self.await_report(job, code, serial, reference);
                }
                Next::Another => {}
                Next::Failed => return,
            }
        }
    }

    /// The user of this address has proved his number.
    pub fn proved(&self, address: &BareJid) {
        self.dispatcher().proved(address);
        self.sent().retain(|_, sent| sent.form.address != *address);
    }

    /// Forgets the numbers of codes that have expired.
    pub fn expire(&self) {
        let now = self.now();
        self.sent().retain(|_, sent| sent.until > now);
    }

    fn sent(&self) -> MutexGuard<'_, BoundedMap<(usize, String), SentCode>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the operator's test message to a number, whatever the countries and budgets: by the named route, or by all in order until
    /// one takes it. Gives each route that was tried, with how it went.
    pub async fn test(&self, number: &PhoneNumber, only: Option<&str>) -> Vec<(String, Result<(), SmsError>)> {
        let mut tried = Vec::new();
        for (route, way) in self.ways.iter().enumerate() {
            let name = self.name_of(route);
            if only.is_some_and(|only| only != name) {
                continue;
            }
            let code = Code::from_random(random_bytes());
            let text = SmsText::verification_in(&code, None, self.app_hash.as_ref());
            let outcome = match way {
                Way::Text(sender) => sender.send(number, &text).or(too_long()).await.map(|_| ()),
                Way::Verify(verifier) => verifier.start(number).or(too_long()).await.map(|_| ()),
                Way::Ring(bell) => bell.ring(number).or(too_long()).await,
                Way::Hear => continue,
            };
            self.dispatcher().tested(self.now(), route, number, outcome_of(&outcome));
            let sent = outcome.as_ref().map_or_else(SmsError::may_have_been_sent, |()| true);
            tried.push((name, outcome));
            if sent {
                break;
            }
        }
        tried
    }

    /// What the operator is to be told; once.
    pub fn take_alerts(&self) -> Vec<Alert> {
        self.dispatcher().take_alerts()
    }

    /// How things are, with the number of jobs under way.
    pub fn facts(&self) -> (Facts, usize) {
        (self.dispatcher().facts(self.now()), self.under_way.load(Ordering::Relaxed))
    }

    fn verifications(&self) -> MutexGuard<'_, BoundedMap<BareJid, Verification>> {
        self.verifications.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self) -> Option<Place> {
        let taken = self.under_way.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.under_way.clone());
        (taken < SENDING_MAX).then_some(place)
    }

    fn ask(&self, job: &Job, kind: ChallengeKind, code: &Code, word: Option<&Word>) -> Ask {
        match (kind, word) {
            (ChallengeKind::Text, _) => Ask::Code(code.clone()),
            (ChallengeKind::Provider, _) => Ask::Provider,
            (ChallengeKind::MissedCall, _) => {
                // Without a number of our own nothing that is typed in will do.
                let own = self.own_number.as_ref().and_then(|own| Code::typed(own.as_e164()));
                Ask::CallerDigits(own.unwrap_or_else(|| code.clone()))
            }
            (ChallengeKind::Word, Some(word)) => Ask::Word(word.clone(), job.peer),
            (ChallengeKind::CallerId | ChallengeKind::Word, _) => Ask::Call(job.peer),
        }
    }

    /// Takes down what is about to be spent, and waits until that survives a crash: a code that is sent is counted for ever. Says
    /// whether it is.
    async fn spend(&self) -> bool {
        match self.keep_counters(|dispatcher, now, wall| dispatcher.unkept(now, wall)) {
            Ok(ticket) => self.ledger.durable(ticket).await,
            Err(error) => {
                // What failed is logged where it did; a node that is stopping has closed its store.
                log::warn!("no code is sent, for it could not be counted: {error}");
                false
            }
        }
    }

    /// Takes down all that changed, and what is over.
    pub fn keep(&self) -> Result<(), String> {
        self.keep_counters(|dispatcher, now, wall| dispatcher.changes(now, wall)).map(drop)
    }

    /// The decisions wait meanwhile: what one task took out must be written before another takes the next, or it could believe that there
    /// is nothing to wait for.
    fn keep_counters(
        &self,
        changes: impl FnOnce(&mut Dispatcher, Instant, Timestamp) -> Vec<(CounterKey, Option<Kept>)>,
    ) -> Result<Ticket, String> {
        let mut dispatcher = self.dispatcher();
        let changed = changes(&mut dispatcher, self.now(), Timestamp::from_system(SystemTime::now()));
        self.ledger.take_down(&changed).inspect_err(|_| dispatcher.not_kept(changed.iter().map(|(key, _)| *key)))
    }

    /// Sends by one route. Gives how the network calls the message, too, where it took it.
    async fn try_route(&self, route: usize, job: &Job, code: &Code, serial: u64) -> (Outcome, Option<String>) {
        let outcome = match self.ways.get(route) {
            Some(Way::Text(sender)) => {
                let text = SmsText::verification_in(code, job.form.language.as_deref(), self.app_hash.as_ref());
                let outcome = sender.send(&job.form.number, &text).or(too_long()).await;
                self.log_failure(route, outcome.as_ref().err());
                return (outcome_of(&outcome), outcome.ok().and_then(|accepted| accepted.reference));
            }
            Some(Way::Verify(verifier)) => {
                let outcome = verifier.start(&job.form.number).or(too_long()).await;
                self.log_failure(route, outcome.as_ref().err());
                let told = outcome_of(&outcome);
                if let Ok(id) = outcome {
                    let verification = Verification { serial, verifier: verifier.clone(), id };
                    self.verifications().insert(job.form.address.clone(), verification);
                }
                // Without its name for the verification nothing that is typed in can be judged.
                if told == Outcome::Unknown { Outcome::Lost } else { told }
            }
            Some(Way::Ring(bell)) => {
                let outcome = bell.ring(&job.form.number).or(too_long()).await;
                self.log_failure(route, outcome.as_ref().err());
                outcome_of(&outcome)
            }
            Some(Way::Hear) => Outcome::Accepted,
            None => Outcome::Refused,
        };
        (outcome, None)
    }

    fn log_failure(&self, route: usize, error: Option<&SmsError>) {
        match error {
            Some(error) if error.may_have_been_sent() => {
                log::warn!("{}: a code may not have been sent: {error}", self.name_of(route));
            }
            Some(error) => log::warn!("{}: a code was not sent: {error}", self.name_of(route)),
            None => {}
        }
    }

    fn shown(&self, job: &Job, under_way: bool, word: Option<&Word>) -> Element {
        let route = job.trip.route();
        let kind = self.kind_of(route);
        let own = self.own_number.as_ref().map(PhoneNumber::as_e164);
        let mask = own.and_then(|own| Some(own.get(..own.len().checked_sub(CALLER_DIGITS)?)?.to_owned() + "????"));
        let from = match kind {
            ChallengeKind::Text | ChallengeKind::Provider => self.senders.get(route).and_then(Option::as_deref),
            ChallengeKind::MissedCall => mask.as_deref(),
            ChallengeKind::CallerId | ChallengeKind::Word => own,
        };
        let can_fall_back = job.trip.can_fall_back();
        self.registrar().reply(&Shown { kind, from, can_fall_back, under_way, word })
    }

    fn kind_of(&self, route: usize) -> ChallengeKind {
        self.dispatcher().plan().routes.get(route).map_or(ChallengeKind::Text, |route| route.kind)
    }

    fn name_of(&self, route: usize) -> String {
        self.dispatcher().plan().routes.get(route).map_or_else(String::new, |route| route.name.clone())
    }
}

/// A sender has its own limits of time; one that forgets them must not keep a place for ever.
async fn too_long<T>() -> Result<T, SmsError> {
    smol::Timer::after(SENDING_TIMEOUT).await;
    Err(SmsError::Unknown("it took too long".into()))
}

/// What the decisions want to know of how sending went.
fn outcome_of<T>(outcome: &Result<T, SmsError>) -> Outcome {
    match outcome {
        Ok(_) => Outcome::Accepted,
        Err(SmsError::Refused(_)) => Outcome::Refused,
        Err(SmsError::NotAllowed(_)) => Outcome::NotAllowed,
        Err(SmsError::Later(_, wait)) => Outcome::Busy(*wait),
        Err(SmsError::Unknown(_)) => Outcome::Unknown,
    }
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Country => Refusal::CountryNotServed,
        Refused::Prefix(wait) => Refusal::PrefixPaused { wait },
        Refused::Budget(wait) => Refusal::BudgetSpent { wait },
        Refused::Routes(wait) => Refusal::NoRoute { wait },
    }
}

/// In this time a modem that cannot call has said so.
const RINGING_PATIENCE: Duration = Duration::from_secs(3);
