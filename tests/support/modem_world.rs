//! The simulated modem in simulated time: a [`World`] whose clock jumps to whatever happens next. Hours take milliseconds.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kontalk_node::phone::PhoneNumber;
use kontalk_node::sms::modem::{
    Board, Dial, Dialled, Driver, Gone, Incoming, Job, ModemError, OpenFault, Opened, Pin, PinFate, PinSource,
    Settings, Status, Task, Ticket, Woken, World,
};
use kontalk_node::sms::pdu::{Address, Hidden, Submit};
use kontalk_node::sms::{Accepted, SmsError};
use zeroize::Zeroizing;

use super::lock;
use super::modem_sim::SimModem;

/// A modem, its driver's world, and what is to happen when.
pub struct Simulation {
    state: Arc<Mutex<State>>,
    board: Arc<Board>,
    settings: Settings,
    begun: Instant,
}

/// Everything that the events of a test can touch.
pub struct State {
    /// The modem.
    pub modem: SimModem,
    /// The name of its port.
    pub device: &'static str,
    /// The time.
    pub now: Duration,
    /// The PIN as it is configured.
    pub pin: Option<Pin>,
    /// What is remembered of PINs: it survives the driver.
    pub fates: HashMap<(String, String), PinFate>,
    /// What came in.
    pub incoming: Vec<Incoming>,
    /// Is there room for what comes in?
    pub room: bool,
    /// The power was switched so often.
    pub power_cycles: u32,
    /// What came of each message, in order.
    pub tickets: Vec<Ticket<Result<Accepted, SmsError>>>,
    /// What came of each call.
    pub calls: Vec<Ticket<Result<Dialled, ModemError>>>,
    /// What came of each code.
    pub codes: Vec<Ticket<Result<Hidden, ModemError>>>,
    /// Attempts to open the port.
    pub openings: u32,
    jobs: VecDeque<Job>,
    events: Vec<(Duration, Event)>,
    open: bool,
    ends: Duration,
    random: u32,
}

type Event = Box<dyn FnOnce(&mut State) + Send>;

impl State {
    /// Orders a message.
    pub fn order(&mut self, to: &str, text: &str) {
        self.order_as(to, text, false);
    }

    /// And a report of its delivery.
    pub fn order_with_report(&mut self, to: &str, text: &str) {
        self.order_as(to, text, true);
    }

    fn order_as(&mut self, to: &str, text: &str, report: bool) {
        let (to, text) = (Address::parse(to).unwrap(), Hidden::new(text));
        let submit = Submit { to, text, validity: Duration::from_secs(600), report, flash: false };
        let (task, ticket) = Task::new(submit);
        self.jobs.push_back(Job::Send(task));
        self.tickets.push(ticket);
    }

    /// Orders a call.
    pub fn dial(&mut self, to: &str, ring: Duration) {
        let to = Address::from(&PhoneNumber::parse(to).unwrap());
        let (task, ticket) = Task::new(Dial { to, ring });
        self.jobs.push_back(Job::Dial(task));
        self.calls.push(ticket);
    }

    /// Orders a code.
    pub fn ussd(&mut self, code: &str) {
        let (task, ticket) = Task::new(Hidden::new(code));
        self.jobs.push_back(Job::Ussd(task));
        self.codes.push(ticket);
    }

    /// Pulls the cable.
    pub fn unplug(&mut self) {
        self.modem.unplug();
    }

    /// Puts it in again, under this name.
    pub fn plug(&mut self, device: &'static str) {
        self.device = device;
        let now = self.now;
        self.modem.plug(now);
    }

    /// Messages that have not begun.
    pub fn waiting(&self) -> usize {
        self.jobs.len()
    }
}

impl Simulation {
    /// At the beginning of time.
    pub fn new(modem: SimModem, settings: Settings) -> Simulation {
        let state = State {
            modem,
            device: "/dev/ttyUSB2",
            now: Duration::ZERO,
            pin: None,
            fates: HashMap::new(),
            incoming: Vec::new(),
            room: true,
            power_cycles: 0,
            tickets: Vec::new(),
            calls: Vec::new(),
            codes: Vec::new(),
            openings: 0,
            jobs: VecDeque::new(),
            events: Vec::new(),
            open: false,
            ends: Duration::ZERO,
            random: 1,
        };
        Simulation {
            state: Arc::new(Mutex::new(state)),
            board: Arc::new(Board::new()),
            settings,
            begun: Instant::now(),
        }
    }

    /// Something that happens at this time.
    pub fn at(&mut self, seconds: u64, event: impl FnOnce(&mut State) + Send + 'static) {
        lock(&self.state).events.push((Duration::from_secs(seconds), Box::new(event)));
    }

    /// Runs a driver from now until this time. The next call is a restart of the node.
    pub fn run_until(&mut self, seconds: u64) {
        {
            let mut state = lock(&self.state);
            state.ends = Duration::from_secs(seconds);
            state.open = false;
        }
        let world = SimWorld { state: self.state.clone(), begun: self.begun };
        smol::block_on(Driver::new(world, self.settings.clone(), self.board.clone()).run());
    }

    /// What there is to see and to change between two runs.
    pub fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// What the operator would see.
    pub fn status(&self) -> Status {
        let now = self.state().now;
        self.board.status(self.begun + now)
    }
}

struct SimWorld {
    state: Arc<Mutex<State>>,
    begun: Instant,
}

impl World for SimWorld {
    fn now(&self) -> Instant {
        self.begun + lock(&self.state).now
    }

    async fn open(&mut self) -> Result<Opened, OpenFault> {
        let mut state = lock(&self.state);
        state.openings += 1;
        if !state.modem.plugged {
            return Err(OpenFault { reason: "the port is missing".to_owned(), conflict: None });
        }
        state.open = true;
        Ok(Opened { device: state.device.to_owned(), conflict: None })
    }

    fn close(&mut self) {
        lock(&self.state).open = false;
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let mut state = lock(&self.state);
        if !state.open || !state.modem.plugged {
            return Err(Gone);
        }
        let now = state.now;
        state.modem.feed(now, bytes);
        Ok(())
    }

    async fn wait(&mut self, until: Instant, work: bool) -> Woken {
        let until = until.saturating_duration_since(self.begun);
        loop {
            let mut state = lock(&self.state);
            let now = state.now;
            if let Some(due) = state.events.iter().position(|(at, _)| *at <= now) {
                let (_, event) = state.events.remove(due);
                event(&mut state);
                continue;
            }
            if now >= state.ends {
                return Woken::Closed;
            }
            if state.open && !state.modem.plugged {
                return Woken::Gone;
            }
            if state.open {
                let bytes = state.modem.emit(now);
                if !bytes.is_empty() {
                    return Woken::Bytes(Zeroizing::new(bytes));
                }
            }
            if work && let Some(job) = state.jobs.pop_front() {
                return Woken::Work(job);
            }
            if now >= until {
                return Woken::Time;
            }
            let events = state.events.iter().map(|(at, _)| *at);
            let modem = state.modem.next_at().filter(|_| state.open);
            let next = events.chain(modem).chain([until, state.ends]).min().unwrap();
            state.now = next.max(now);
        }
    }

    async fn power_cycle(&mut self) -> bool {
        let mut state = lock(&self.state);
        state.power_cycles += 1;
        let device = state.device;
        state.plug(device);
        true
    }

    fn pin(&mut self) -> PinSource {
        lock(&self.state).pin.clone().map_or(PinSource::None, PinSource::Pin)
    }

    fn pin_fate(&mut self, sim: &str, pin: &Pin) -> Option<PinFate> {
        lock(&self.state).fates.get(&(sim.to_owned(), key(pin))).copied()
    }

    fn remember_pin(&mut self, sim: &str, pin: &Pin, fate: Option<PinFate>) -> Result<(), String> {
        let mut state = lock(&self.state);
        match fate {
            Some(fate) => state.fates.insert((sim.to_owned(), key(pin)), fate),
            None => state.fates.remove(&(sim.to_owned(), key(pin))),
        };
        Ok(())
    }

    fn deliver(&mut self, incoming: Incoming) -> bool {
        let mut state = lock(&self.state);
        if state.room {
            state.incoming.push(incoming);
        }
        state.room
    }

    fn random(&mut self) -> u32 {
        let mut state = lock(&self.state);
        state.random = state.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.random
    }
}

/// PINs do not show their digits; but they compare.
fn key(pin: &Pin) -> String {
    (0..10_000).map(|n| format!("{n:04}")).find(|text| Pin::parse(text).as_ref() == Some(pin)).unwrap()
}
