//! Hostile PDUs for their reader, and a hostile modem for its driver.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kontalk_node::phone::{HashKey, PhoneNumber};
use kontalk_node::sms::modem::{
    Board, Dial, Driver, Gone, Incoming, Job, OpenFault, Opened, Pin, PinFate, PinSource, Settings, Task, Woken, World,
};
use kontalk_node::sms::pdu::{self, Address, Hidden, Message, Reassembly, Reference, Submit};
use zeroize::Zeroizing;

use crate::spoil::Random;

/// What is read has the size that a message can have; what could be sent as well comes back.
pub fn pdu(random: &mut Random, input: &[u8]) -> bool {
    let hex = pdu::to_hex(input);
    let length = [None, Some(input.len()), Some(random.below(300))][random.below(3)];
    let Ok(message) = pdu::read(&hex, length) else { return false };
    match message {
        Message::Deliver(deliver) => {
            assert!(deliver.text.as_str().chars().count() <= 160 && deliver.from.to_text().chars().count() <= 21);
            let _ = deliver.from.number(Some(49));
            let _ = Reassembly::new().take(Instant::now(), &deliver);
        }
        Message::Submit(submit) => {
            let validity = Duration::from_secs(600);
            let again = Submit { to: submit.to, text: submit.text, validity, report: false, flash: false };
            // A name cannot be sent to, nor all of what can be received fits again.
            if let Ok(parts) = again.encode(Reference::Short(7)) {
                let Ok(Message::Submit(read)) = pdu::read(parts[0].hex(), Some(parts[0].octets())) else {
                    panic!("our own PDU is one")
                };
                assert!(again.text.as_str().starts_with(read.text.as_str()));
            }
        }
        Message::Report(report) => drop(report.to.number(None)),
    }
    true
}

/// A modem that does what it must to be believed, and says the input in between. Sound if it was believed to the end.
pub fn modem(random: &mut Random, input: &[u8]) -> bool {
    let (text, to) = (Hidden::new("text"), PhoneNumber::parse("+4915112345678").unwrap());
    let validity = Duration::from_secs(600);
    let (send, message) =
        Task::new(Submit { to: Address::from(&to), text, validity, report: random.one_in(2), flash: false });
    let (code, balance) = Task::new(Hidden::new("*100#"));
    let (dial, call) = Task::new(Dial { to: Address::from(&to), ring: Duration::from_secs(3) });
    let now = Instant::now();
    let liar = Liar {
        pieces: input.chunks(1 + random.below(40)).map(<[u8]>::to_vec).collect(),
        said: VecDeque::new(),
        jobs: [Job::Send(send), Job::Ussd(code), Job::Dial(dial)].into(),
        random: random.next(),
        now,
        ends: now + Duration::from_secs(6 * 3600),
        turns: 0,
    };
    let mut settings = Settings::new("/nonexistent", HashKey::new([7; 32]));
    settings.watch_calls = true;
    smol::block_on(Driver::new(liar, settings, Arc::new(Board::new())).run());
    let outcomes = (message.try_outcome(), balance.try_outcome(), call.try_outcome());
    matches!(outcomes, (Some(Ok(_)), ..))
}

struct Liar {
    pieces: VecDeque<Vec<u8>>,
    said: VecDeque<Vec<u8>>,
    jobs: VecDeque<Job>,
    random: u64,
    now: Instant,
    ends: Instant,
    turns: u32,
}

impl Liar {
    fn one_in(&mut self, times: u64) -> bool {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33).is_multiple_of(times)
    }

    fn answer(&self, command: &[u8]) -> &'static [u8] {
        match command {
            [.., 0x1a] => b"\r\n+CMGS: 7\r\n\r\nOK\r\n",
            [b'A', b'T', b'+', b'C', b'M', b'G', b'S', b'=', ..] => b"\r\n> ",
            b"AT+CPIN?\r" => b"\r\n+CPIN: READY\r\n\r\nOK\r\n",
            b"AT+CREG?\r" => b"\r\n+CREG: 1,1\r\n\r\nOK\r\n",
            [.., b'\r'] => b"\r\nOK\r\n",
            _ => b"",
        }
    }
}

impl World for Liar {
    fn now(&self) -> Instant {
        self.now
    }

    async fn open(&mut self) -> Result<Opened, OpenFault> {
        Ok(Opened { device: "a liar".to_owned(), conflict: None })
    }

    fn close(&mut self) {
        self.said.clear();
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        if self.one_in(6) {
            self.said.extend(self.pieces.pop_front());
        }
        if !self.one_in(200) {
            self.said.push_back(self.answer(bytes).to_vec());
        }
        if self.one_in(500) { Err(Gone) } else { Ok(()) }
    }

    async fn wait(&mut self, until: Instant, work: bool) -> Woken {
        self.turns += 1;
        if self.now >= self.ends || self.turns > TURNS_MAX {
            return Woken::Closed;
        }
        if let Some(said) = self.said.pop_front().filter(|said| !said.is_empty()) {
            return Woken::Bytes(Zeroizing::new(said));
        }
        if work && let Some(job) = self.jobs.pop_front() {
            return Woken::Work(job);
        }
        if self.one_in(8)
            && let Some(piece) = self.pieces.pop_front()
        {
            return Woken::Bytes(Zeroizing::new(piece));
        }
        self.now = until.max(self.now);
        Woken::Time
    }

    async fn power_cycle(&mut self) -> bool {
        false
    }

    fn pin(&mut self) -> PinSource {
        PinSource::None
    }

    fn pin_fate(&mut self, _: &str, _: &Pin) -> Option<PinFate> {
        None
    }

    fn remember_pin(&mut self, _: &str, _: &Pin, _: Option<PinFate>) -> Result<(), String> {
        Ok(())
    }

    fn deliver(&mut self, incoming: Incoming) -> bool {
        // Whatever came in can be looked at, and does not print itself.
        assert!(!format!("{incoming:?}").contains("text:\""));
        true
    }

    fn random(&mut self) -> u32 {
        (self.random >> 32) as u32
    }
}

const TURNS_MAX: u32 = 800;
