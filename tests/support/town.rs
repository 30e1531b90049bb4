//! A town whose people register telephone numbers, with hand-driven time: the courier with all its decisions, ways that the test
//! chooses, and users who behave as Kontalk's clients do. The same loop serves any way to send: what arrived is asked of the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kontalk_node::account::{PhoneForm, Policy, Registrar, Verdict};
use kontalk_node::dispatch::{CounterKey, Dispatcher, Kept, Plan};
use kontalk_node::jid::BareJid;
use kontalk_node::node::courier::{Courier, CourierParts, Ledger, Way};
use kontalk_node::phone::{Code, PhoneNumber};
use kontalk_node::router::Ticket;
use kontalk_node::stanza::{StanzaCondition, StanzaError};
use kontalk_node::xml::ns;

use super::{Dice, lock};

/// The town's domain.
pub const TOWN: &str = "town.example";
/// The secret of its counters.
pub const SECRET: [u8; 32] = [11; 32];

/// The courier and its clock.
pub struct Town {
    pub courier: Courier,
    now: Arc<Mutex<Instant>>,
}

/// A town has no disk.
struct NoDisk;

impl Ledger for NoDisk {
    fn take_down(&self, _counters: &[(CounterKey, Option<Kept>)]) -> Result<Ticket, String> {
        Ok(Ticket(0))
    }

    fn durable(&self, _ticket: Ticket) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(std::future::ready(true))
    }
}

/// How a user's wish to register ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// He has his account, after so many requests.
    Verified(u32),
    /// He was told why not, at the last request.
    Refused(String),
    /// Messages were said to be on their way, and none came; each time he asked for another way.
    NothingCame,
}

impl Town {
    pub fn new(plan: Plan, ways: Vec<Way>) -> Town {
        let now = Arc::new(Mutex::new(Instant::now()));
        let clock = now.clone();
        let courier = Courier::new(CourierParts {
            registrar: Registrar::new(Policy::new(TOWN.parse().unwrap()), [7; 32]),
            dispatcher: Dispatcher::new(plan, SECRET),
            senders: ways.iter().map(|_| None).collect(),
            reports: ways.iter().map(|_| false).collect(),
            ways,
            own_number: None,
            app_hash: None,
            clock: Box::new(move || *lock(&clock)),
            home: Box::new(|| None),
            ledger: Box::new(NoDisk),
        });
        Town { courier, now }
    }

    /// Moves the clock on.
    pub fn pass(&self, time: Duration) {
        *lock(&self.now) += time;
        let now = *lock(&self.now);
        self.courier.registrar().expire(now);
    }

    /// Asks for a code. Gives the answer as text.
    pub fn ask(&self, peer: IpAddr, form: PhoneForm) -> Result<String, StanzaError> {
        self.courier.admit(peer, &form)?;
        let job = self.courier.accept(peer, form)?;
        smol::block_on(self.courier.deliver(job)).map(|reply| reply.to_text(ns::CLIENT))
    }

    /// Types a code in. `true`: the number is proved, the key certified.
    pub fn type_in(&self, peer: IpAddr, number: &PhoneNumber, code: &str) -> bool {
        let (address, key) = (address(number), [1; 20]);
        let verdict =
            self.courier.registrar().check(self.courier.now(), peer, &address, &key, Code::parse(code).as_ref());
        let accepted = verdict == Verdict::Accepted;
        if accepted {
            self.courier.registrar().registered(self.courier.now(), &address, &key);
            self.courier.proved(&address);
        }
        accepted
    }

    /// A user registers as Kontalk's clients do: asks, types in what arrives; if nothing does in a minute, asks for another way; if
    /// told to wait or that nothing was sent, tries again after a while; and gives up after six requests. `arrived` says which codes
    /// his telephone has received since it was last asked; `told` sees each answer with what had arrived before it was given.
    pub fn register(
        &self,
        peer: IpAddr,
        number: &PhoneNumber,
        mut arrived: impl FnMut() -> Vec<String>,
        mut told: impl FnMut(&Result<String, StanzaError>, &[String]),
    ) -> End {
        let mut end = End::NothingCame;
        let mut fallback = false;
        for request in 1..=6 {
            let answer = self.ask(peer, form(number, fallback));
            let codes = arrived();
            told(&answer, &codes);
            match answer {
                Ok(reply) => {
                    if let Some(code) = codes.last()
                        && self.type_in(peer, number, code)
                    {
                        return End::Verified(request);
                    }
                    fallback = reply.contains("can-fallback");
                    end = End::NothingCame;
                    self.pass(Duration::from_secs(60));
                }
                Err(error) => {
                    let wait = if error.condition() == StanzaCondition::ServiceUnavailable { 900 } else { 60 };
                    end = End::Refused(error.to_element().to_text(ns::CLIENT));
                    self.pass(Duration::from_secs(wait));
                }
            }
        }
        end
    }
}

/// A client's first form for a number, or the one by which it asks for another way.
pub fn form(number: &PhoneNumber, fallback: bool) -> PhoneForm {
    PhoneForm {
        number: number.clone(),
        address: address(number),
        force: false,
        fallback,
        challenge: (!fallback).then(|| "pin".to_owned()),
        language: None,
    }
}

pub fn address(number: &PhoneNumber) -> BareJid {
    BareJid::new(Some(&number.localpart()), TOWN).unwrap()
}

/// A number that begins so, the rest at random, of twelve digits in all.
pub fn number_in(dice: &mut Dice, start: &str) -> PhoneNumber {
    let mut text = start.to_owned();
    while text.len() < 13 {
        text.push(char::from_digit(u32::try_from(dice.below(10)).unwrap(), 10).unwrap());
    }
    PhoneNumber::parse(&text).unwrap()
}
