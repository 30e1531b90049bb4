//! A simulated GSM modem with a fault script. It knows neither clock nor port: bytes and the time go in, bytes come out, so
//! that the same modem stands behind a pseudo terminal ([`super::modem_pty`]) and in simulated time ([`super::modem_world`]).
//!
//! It is written from 3GPP TS 27.005 and 27.007 and the behaviour of real sticks: answers have `\r\n` around them, the prompt has
//! no line end, bytes that come before the prompt are lost, a restart forgets all settings and brings the echo back. gammu is
//! content with it (see `tests/modem.rs`).

mod answers;

use std::collections::VecDeque;
use std::time::Duration;

use kontalk_node::sms::pdu::{Message, read};

/// How the modem behaves, and what goes wrong when.
#[derive(Clone, Debug)]
pub struct Script {
    /// Echo cannot be switched off.
    pub stubborn_echo: bool,
    /// Answers arrive a byte at a time.
    pub bytewise: bool,
    /// A notice, by turns of every kind, before every line and after the prompt.
    pub chatter: bool,
    /// Noise before every line: bytes that no line has.
    pub garbage: bool,
    /// Text mode is the default after a restart.
    pub text_by_default: bool,
    /// A restart tells nothing.
    pub silent_restart: bool,
    /// `AT+CPIN?` wants this PIN first.
    pub pin: Option<&'static str>,
    /// The modem tells how many tries are left.
    pub tells_tries: bool,
    /// From power-on until the SIM answers.
    pub sim_busy: Duration,
    /// From power-on until it is registered.
    pub registers_after: Duration,
    /// From `AT+CMGS` to the prompt.
    pub prompt_after: Duration,
    /// From the message to the network's answer.
    pub network: Duration,
    /// Places of the SIM for messages.
    pub places: usize,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            stubborn_echo: false,
            bytewise: false,
            chatter: false,
            garbage: false,
            text_by_default: false,
            silent_restart: false,
            pin: None,
            tells_tries: true,
            sim_busy: Duration::ZERO,
            registers_after: Duration::ZERO,
            prompt_after: Duration::ZERO,
            network: Duration::ZERO,
            places: 10,
            faults: Vec::new(),
        }
    }
}

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Where.
    pub on: On,
    /// After it went well so often.
    pub skip: u32,
    /// And then so often.
    pub times: u32,
    /// What happens.
    pub act: Act,
}

/// Goes wrong once, the first time.
pub fn fault(on: On, act: Act) -> Fault {
    Fault { on, skip: 0, times: 1, act }
}

/// The first message goes wrong.
pub fn at_message(act: Act) -> Script {
    Script { faults: vec![fault(On::Message, act)], ..Script::default() }
}

/// The first such command goes wrong.
pub fn at_command(command: &'static str, act: Act) -> Script {
    Script { faults: vec![fault(On::Command(command), act)], ..Script::default() }
}

/// Where something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// At a command that begins so.
    Command(&'static str),
    /// When a message is complete.
    Message,
}

/// What goes wrong. `taken`: the network has got the message all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// This is said instead of the answer.
    Say(&'static str),
    /// Nothing is said.
    Silence { taken: bool },
    /// `+CMGS` comes, `OK` does not.
    NoOk,
    /// The port vanishes.
    Unplug { taken: bool },
    /// The modem restarts.
    Restart { taken: bool },
    /// It hangs until its power is switched.
    Hang { taken: bool },
}

/// A message that the network has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentSms {
    /// To whom.
    pub to: String,
    /// What it says.
    pub text: String,
    /// The number that the modem gave it.
    pub reference: u8,
    /// Was a report asked for?
    pub report: bool,
}

/// The modem.
pub struct SimModem {
    /// How it behaves.
    pub script: Script,
    /// Is it plugged in?
    pub plugged: bool,
    /// What the network got, in order.
    pub sent: Vec<SentSms>,
    /// Bytes that came while the prompt was being waited for, and were lost.
    pub early_bytes: usize,
    /// PINs that were entered.
    pub pins: Vec<String>,
    /// Tries that are left.
    pub tries: u8,
    /// The SIM wants its PUK.
    pub puk: bool,
    /// Is there a SIM?
    pub sim_present: bool,
    /// All commands, in order.
    pub commands: Vec<String>,
    /// Numbers that were dialled.
    pub dialled: Vec<String>,
    /// How the next call goes: the states of `+CLCC`, one a question.
    pub call_states: VecDeque<u8>,
    /// Calls that were given up.
    pub hung_up: usize,
    /// The answer to a USSD code.
    pub ussd: Option<String>,
    /// Can it hear the network?
    pub coverage: bool,
    /// What lies on the SIM: state, PDU, octets.
    pub store: Vec<Option<(u8, String)>>,
    /// What the network keeps, because the SIM is full.
    pub kept_back: VecDeque<String>,
    /// How often it was started.
    pub starts: u32,
    now: Duration,
    started: Duration,
    hung: bool,
    echo: bool,
    text_mode: bool,
    charset: String,
    errors: u8,
    notices: bool,
    unlocked: bool,
    line: Vec<u8>,
    entry: Entry,
    reference: u8,
    chatter_turn: usize,
    out: VecDeque<(Duration, Vec<u8>)>,
}

/// What the bytes that come in are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Command,
    /// The prompt comes at this time.
    Awaiting(Duration, usize),
    Text(usize),
}

impl SimModem {
    /// A modem that was plugged in at the beginning of time.
    pub fn new(script: Script) -> SimModem {
        let mut modem = SimModem {
            store: vec![None; script.places],
            script,
            plugged: true,
            sent: Vec::new(),
            early_bytes: 0,
            pins: Vec::new(),
            tries: 3,
            puk: false,
            sim_present: true,
            commands: Vec::new(),
            dialled: Vec::new(),
            call_states: VecDeque::new(),
            hung_up: 0,
            ussd: None,
            coverage: true,
            kept_back: VecDeque::new(),
            starts: 0,
            now: Duration::ZERO,
            started: Duration::ZERO,
            hung: false,
            echo: true,
            text_mode: false,
            charset: String::new(),
            errors: 0,
            notices: false,
            unlocked: false,
            line: Vec::new(),
            entry: Entry::Command,
            reference: 0,
            chatter_turn: 0,
            out: VecDeque::new(),
        };
        modem.start();
        modem
    }

    /// Bytes from the computer.
    pub fn feed(&mut self, now: Duration, bytes: &[u8]) {
        self.tick(now);
        for byte in bytes {
            if self.plugged && !self.hung {
                self.byte(*byte);
            }
        }
    }

    /// What the modem says up to now.
    pub fn emit(&mut self, now: Duration) -> Vec<u8> {
        self.tick(now);
        let mut bytes = Vec::new();
        while self.out.front().is_some_and(|(at, _)| *at <= now) {
            bytes.extend(self.out.pop_front().unwrap().1);
        }
        bytes
    }

    /// When it will say something.
    pub fn next_at(&self) -> Option<Duration> {
        let prompt = match self.entry {
            Entry::Awaiting(at, _) => Some(at),
            _ => None,
        };
        let said = self.out.front().map(|(at, _)| *at);
        [prompt, said].into_iter().flatten().min()
    }

    /// The cable is pulled.
    pub fn unplug(&mut self) {
        self.plugged = false;
        self.out.clear();
    }

    /// And put in again: the modem starts.
    pub fn plug(&mut self, now: Duration) {
        self.now = now;
        self.plugged = true;
        self.start();
    }

    /// A message comes from the network.
    pub fn deliver(&mut self, now: Duration, pdu: &str) {
        self.tick(now);
        self.kept_back.push_back(pdu.to_owned());
        self.store_kept_back();
    }

    /// Somebody calls: so many rings, one a second.
    pub fn ring(&mut self, now: Duration, number: &str, rings: u32) {
        self.ring_as(now, number, 145, rings);
    }

    /// With a number of this type: 145 is international, 129 as it is dialled.
    pub fn ring_as(&mut self, now: Duration, number: &str, kind: u8, rings: u32) {
        self.tick(now);
        for ring in 0..rings {
            let at = now + Duration::from_millis(50) * ring;
            self.say_at(at, "RING");
            self.say_at(at, &format!("+CLIP: \"{number}\",{kind},\"\",,\"\",0"));
        }
    }

    /// Says a line of its own.
    pub fn say_now(&mut self, line: &str) {
        self.say(line);
    }

    /// How many messages lie on the SIM.
    pub fn stored(&self) -> usize {
        self.store.iter().flatten().count()
    }

    fn start(&mut self) {
        self.starts += 1;
        self.started = self.now;
        self.hung = false;
        self.echo = true;
        self.text_mode = self.script.text_by_default;
        self.charset = "GSM".to_owned();
        self.errors = 0;
        self.notices = false;
        self.unlocked = self.script.pin.is_none();
        self.line.clear();
        self.entry = Entry::Command;
        self.out.clear();
    }

    fn restart(&mut self) {
        self.start();
        if !self.script.silent_restart {
            self.say("RDY");
            self.say("+CPIN: READY");
        }
    }

    fn tick(&mut self, now: Duration) {
        self.now = self.now.max(now);
        if let Entry::Awaiting(at, octets) = self.entry
            && at <= self.now
        {
            self.entry = Entry::Text(octets);
            self.out.push_back((self.now, b"\r\n> ".to_vec()));
            self.chat();
        }
    }

    fn byte(&mut self, byte: u8) {
        match self.entry {
            Entry::Awaiting(..) => self.early_bytes += 1,
            Entry::Text(octets) => {
                self.echo_byte(byte);
                match byte {
                    0x1a => {
                        let text = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                        self.entry = Entry::Command;
                        self.message(octets, text.trim());
                    }
                    0x1b => {
                        self.line.clear();
                        self.entry = Entry::Command;
                        self.say("OK");
                    }
                    byte => self.line.push(byte),
                }
            }
            Entry::Command => {
                self.echo_byte(byte);
                match byte {
                    b'\r' => {
                        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim().to_owned();
                        // What stands before AT is ignored, V.250 §5.2.1.
                        if let Some(at) = line.to_ascii_uppercase().find("AT") {
                            self.command(&line[at..]);
                        }
                    }
                    0x1b | b'\n' | 0x1a => {}
                    0x08 | 0x7f => {
                        self.line.pop();
                    }
                    byte => self.line.push(byte),
                }
            }
        }
    }

    fn echo_byte(&mut self, byte: u8) {
        if self.echo {
            self.out.push_back((self.now, vec![byte]));
        }
    }

    /// The fault that strikes here, if one does.
    fn strikes(&mut self, here: impl Fn(On) -> bool) -> Option<Act> {
        let fault = self.script.faults.iter_mut().find(|fault| here(fault.on) && fault.times > 0)?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times -= 1;
        Some(fault.act)
    }

    fn command(&mut self, line: &str) {
        self.commands.push(line.to_owned());
        match self.strikes(|on| matches!(on, On::Command(prefix) if line.starts_with(prefix))) {
            None => self.answer(line),
            Some(Act::Say(words)) => self.say(words),
            Some(act) => self.break_down(act),
        }
    }

    fn break_down(&mut self, act: Act) {
        match act {
            Act::Say(words) => self.say(words),
            Act::NoOk | Act::Silence { .. } => {}
            Act::Unplug { .. } => self.unplug(),
            Act::Restart { .. } => self.restart(),
            Act::Hang { .. } => {
                self.hung = true;
                self.out.clear();
            }
        }
    }

    fn enter_pin(&mut self, pin: String) {
        let right = self.script.pin == Some(pin.as_str());
        self.pins.push(pin);
        if right && !self.puk {
            self.unlocked = true;
            self.tries = 3;
            return self.ok();
        }
        self.tries = self.tries.saturating_sub(1);
        self.puk |= self.tries == 0;
        self.error(if self.puk { 12 } else { 16 });
    }

    /// A complete message has come.
    fn message(&mut self, octets: usize, text: &str) {
        let act = self.strikes(|on| on == On::Message);
        let taken = match act {
            None | Some(Act::NoOk) => true,
            Some(Act::Say(_)) => false,
            Some(Act::Silence { taken } | Act::Unplug { taken } | Act::Restart { taken } | Act::Hang { taken }) => {
                taken
            }
        };
        if taken && !self.take(octets, text) {
            return self.say("+CMS ERROR: 304");
        }
        let answer = self.now + self.script.network;
        match act {
            None => {
                self.say_at(answer, &format!("+CMGS: {}", self.reference));
                self.say_at(answer, "OK");
            }
            Some(Act::NoOk) => self.say_at(answer, &format!("+CMGS: {}", self.reference)),
            Some(Act::Say(words)) => self.say_at(answer, words),
            Some(act) => self.break_down(act),
        }
    }

    /// The network gets it; false if it is not a message.
    fn take(&mut self, octets: usize, text: &str) -> bool {
        self.reference = self.reference.wrapping_add(1);
        let reference = self.reference;
        if self.text_mode {
            self.sent.push(SentSms { to: octets.to_string(), text: text.to_owned(), reference, report: false });
            return true;
        }
        match read(text, None) {
            Ok(Message::Submit(submit))
                if text.len() / 2 == octets + 1 + usize::from_str_radix(&text[..2], 16).unwrap() =>
            {
                let (to, text) = (submit.to.to_text().to_string(), submit.text.as_str().to_owned());
                self.sent.push(SentSms { to, text, reference, report: submit.report });
                true
            }
            _ => false,
        }
    }

    fn store_kept_back(&mut self) {
        while let Some(pdu) = self.kept_back.pop_front() {
            let Some(place) = self.store.iter().position(Option::is_none) else {
                self.kept_back.push_front(pdu);
                return self.say("^SMMEMFULL: \"SM\"");
            };
            let is_report = matches!(read(&pdu, None), Ok(Message::Report(_)));
            self.store[place] = Some((0, pdu));
            if self.notices {
                self.say(&format!("{}: \"SM\",{}", if is_report { "+CDSI" } else { "+CMTI" }, place + 1));
            }
        }
    }

    fn tell(&mut self, line: &str) {
        self.say(line);
        self.ok();
    }

    fn ok(&mut self) {
        self.say("OK");
    }

    fn error(&mut self, code: u16) {
        if self.errors == 0 { self.say("ERROR") } else { self.say(&format!("+CME ERROR: {code}")) }
    }

    fn say(&mut self, line: &str) {
        self.say_at(self.now, line);
    }

    fn say_at(&mut self, at: Duration, line: &str) {
        self.chat();
        self.out.push_back((at, format!("\r\n{line}\r\n").into_bytes()));
    }

    /// A line that belongs to the one before, with nothing in between but what the script wants.
    fn say_raw(&mut self, line: &str) {
        if self.script.chatter {
            self.chat();
        }
        self.out.push_back((self.now, format!("{line}\r\n").into_bytes()));
    }

    /// What is said without being asked.
    fn chat(&mut self) {
        if self.script.garbage {
            self.out.push_back((self.now, b"\r\n\0\xff\xfe\x80 \r\n".to_vec()));
        }
        if self.script.chatter {
            self.chatter_turn += 1;
            let line = CHATTER[self.chatter_turn % CHATTER.len()];
            self.out.push_back((self.now, format!("\r\n{line}\r\n").into_bytes()));
        }
    }
}

/// Notices of many makers, none of which means anything for what is being done.
const CHATTER: [&str; 12] = [
    "^RSSI:17",
    "^BOOT:23477482,0,0,0,6",
    "+CREG: 1",
    "^DSFLOWRPT:0000000C,00000000,00000000,0000000000000000,0000000000000000,00000000,00000000",
    "+CIEV: \"MESSAGE\",1",
    "+CEREG: 1,\"00AB\",\"01CD\",7",
    "+ZPASR: \"UMTS\"",
    "*PSUTTZ: 2026,3,4,5,6,7,\"+4\",0",
    "+CGEV: NW DETACH",
    "+CMTI: \"SM\",9",
    "+XUNKNOWN: 1,2,3",
    "DST: 1",
];
