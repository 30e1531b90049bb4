//! Registration as clients go through it, and as strangers try to get around it.

mod flow;
mod forms;
mod proofs;
mod throttles;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::phone::{ChallengeKind, PhoneNumber};
use crate::xml::{ns, parse_document};

const NUMBER: &str = "+15555215554";
const LOCALPART: &str = "4bdd4f929f3a1062253e4e496bafba0bdfb5db75";
const KEY: Fingerprint = [1; 20];
const OTHER_KEY: Fingerprint = [2; 20];

fn policy() -> Policy {
    Policy { sender: "+12025550123".to_owned(), ..Policy::new("example.org".parse().unwrap()) }
}

/// Throttles that nobody meets, for tests of other things.
fn boundless() -> Rates {
    let rate = Rate { burst: 1_000_000, refill: Duration::from_secs(1) };
    Rates { number: rate, number_long_run: rate, network: rate, block: rate, guess: rate }
}

fn registrar(policy: Policy) -> Registrar {
    Registrar::new(policy, [7; 32])
}

fn form(number: &str) -> PhoneForm {
    let number = PhoneNumber::parse(number).unwrap();
    let address = BareJid::new(Some(&number.localpart()), "example.org").unwrap();
    PhoneForm { number, address, force: false, fallback: false, challenge: None, language: None }
}

fn peer(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn home() -> IpAddr {
    peer("192.0.2.7")
}

fn code(digits: &str) -> Code {
    Code::parse(digits).unwrap()
}

fn iq(kind: &str, payload: &str) -> Stanza {
    let text = format!("<iq type='{kind}' id='r1' to='example.org'>{payload}</iq>");
    Stanza::new(parse_document(&text, ns::CLIENT, 20).unwrap()).unwrap()
}

/// A set with these fields, each `var=value`.
fn set(fields: &[&str]) -> Stanza {
    let fields: String = fields
        .iter()
        .map(|field| field.split_once('=').unwrap())
        .map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>"))
        .collect();
    iq("set", &format!("<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>{fields}</x></query>"))
}

fn bad_code() -> Verdict {
    Verdict::Refused(Refusal::BadCode.into())
}

fn throttled(secs: u64) -> StanzaError {
    Refusal::Throttled { wait: Duration::from_secs(secs) }.into()
}
