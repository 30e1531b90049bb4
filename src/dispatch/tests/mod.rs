//! Routes, budgets, breakers and alerts, by hand-driven time.

mod budgets;
mod reports;
mod routes;

use std::time::Duration;

use super::*;
use crate::phone::Area;

fn number(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text).unwrap()
}

fn address(number: &PhoneNumber) -> BareJid {
    BareJid::new(Some(&number.localpart()), "example.org").unwrap()
}

fn area(text: &str) -> Area {
    Area::parse(text).unwrap()
}

/// Two ways by text, the second only to Germany and Austria, and a third by ringing.
fn routes() -> Vec<Route> {
    vec![
        Route::new("modem", ChallengeKind::Text),
        Route { areas: vec![area("+49"), area("+43")], ..Route::new("gateway", ChallengeKind::Text) },
        Route::new("ring", ChallengeKind::MissedCall),
    ]
}

fn dispatcher(plan: Plan) -> Dispatcher {
    Dispatcher::new(plan, [9; 32])
}

fn begin(dispatcher: &mut Dispatcher, now: Instant, text: &str) -> Result<Trip, Refused> {
    wish(dispatcher, now, text, false, None)
}

fn wish(
    d: &mut Dispatcher,
    now: Instant,
    text: &str,
    fallback: bool,
    challenge: Option<&str>,
) -> Result<Trip, Refused> {
    let number = number(text);
    d.begin(now, &Wish { number: &number, address: &address(&number), fallback, challenge })
}

/// The numbers of one block of ten thousand.
fn in_block(n: u32) -> String {
    format!("+4915112{n:04}")
}

/// A number of a block of its own.
fn own_block(n: u32) -> String {
    format!("+4916{n:04}0000")
}
