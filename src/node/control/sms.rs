//! What the operator asks about codes: how they go out, and whether one does.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smol::channel::bounded;
use smol::future::FutureExt;
use smol::{Executor, Timer};

use super::{Reply, Secret};
use crate::node::courier::Courier;
use crate::phone::PhoneNumber;
use crate::sms::SmsError;

/// How codes go out. Counts are of the present 24 hours; they begin with the first code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsStatus {
    /// Each way, in the order in which they are tried.
    pub routes: Vec<RouteStatus>,
    /// Codes that are on their way at this moment.
    pub under_way: u64,
    /// Codes that may still go out.
    pub left: u32,
    /// Of these, to other countries; `None` while the node does not know its own.
    pub abroad_left: Option<u32>,
    /// Groups of numbers that get no codes because theirs were not used.
    pub prefixes_closed: u64,
    /// The calling code of the node's own country.
    pub home: Option<u16>,
}

/// How one way is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteStatus {
    /// Its name.
    pub name: String,
    /// What it asks of a number: text, verify, missedcall, callerid, word.
    pub challenge: String,
    /// Messages that the network took, or may have taken.
    pub sent: u32,
    /// Of these, whose code was typed in.
    pub verified: u32,
    /// Messages that were not sent.
    pub failed: u32,
    /// Of those sent, nobody knows whether they were.
    pub unknown: u32,
    /// It failed, and is tried last for so many seconds.
    pub resting_secs: Option<u64>,
    /// In so many countries its network does not let it send.
    pub countries_barred: u64,
    /// Messages whose fate its network reports.
    #[serde(default)]
    pub reportable: u32,
    /// Of these, those that arrived.
    #[serde(default)]
    pub arrived: u32,
    /// Those that did not.
    #[serde(default)]
    pub not_arrived: u32,
    /// In so many countries too few arrive, and other ways go first.
    #[serde(default)]
    pub countries_losing: u64,
    /// Where its provider is to report, if only the operator can tell it so: an address that nobody guesses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reports_to: Option<String>,
    /// Codes that it may still send, where it has a limit of its own.
    pub left: Option<u32>,
}

/// How a test message went by one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsTried {
    /// The way's name.
    pub route: String,
    /// Was it sent? `None`: nobody knows.
    pub sent: Option<bool>,
    /// Why not, or what is not known.
    pub reason: Option<String>,
}

impl SmsStatus {
    /// As the courier sees it. `addresses`: where providers report that only the operator can tell so, with their names.
    pub(super) fn of(courier: &Courier, addresses: &[(String, String)]) -> SmsStatus {
        let (facts, under_way) = courier.facts();
        let routes = facts.routes.into_iter().map(|route| RouteStatus {
            reportable: route.reportable,
            arrived: route.arrived,
            not_arrived: route.not_arrived,
            countries_losing: wide(route.countries_losing),
            reports_to: addresses.iter().find(|(name, _)| *name == route.name).map(|(_, url)| url.clone()),
            name: route.name,
            challenge: route.kind.to_string(),
            sent: route.sent,
            verified: route.verified,
            failed: route.failed,
            unknown: route.unknown,
            resting_secs: route.resting.map(|rest| rest.as_secs().max(1)),
            countries_barred: wide(route.countries_barred),
            left: route.left,
        });
        SmsStatus {
            routes: routes.collect(),
            under_way: wide(under_way),
            left: facts.left,
            abroad_left: facts.abroad_left,
            prefixes_closed: wide(facts.prefixes_closed),
            home: facts.home,
        }
    }
}

/// Sends a test message, in a task of its own: the operator's patience ends before some modems'.
pub(super) async fn test(
    executor: &'static Executor<'static>,
    courier: Arc<Courier>,
    number: Secret,
    route: Option<String>,
) -> Reply {
    let number = match PhoneNumber::parse(&number.into_text()) {
        Ok(number) => number,
        Err(error) => return Reply::Refused { reason: format!("this is no telephone number: {error}") },
    };
    let (tell, told) = bounded(1);
    let send = async move {
        let tried = courier.test(&number, route.as_deref()).await;
        // Who asked may be gone.
        let _ = tell.try_send(tried);
    };
    executor.spawn(send).detach();
    let answer = async { told.recv().await.ok() }.or(async {
        Timer::after(PATIENCE).await;
        None
    });
    match answer.await {
        None => Reply::Refused {
            reason: format!(
                "the message is still on its way after {} s (remedy: wait for it, then see `kontalk-node sms status`)",
                PATIENCE.as_secs()
            ),
        },
        Some(tried) if tried.is_empty() => Reply::Refused {
            reason: "no route of that name sends text messages (remedy: `kontalk-node sms status` names them)"
                .to_owned(),
        },
        Some(tried) => {
            Reply::SmsTested { tried: tried.into_iter().map(|(route, outcome)| told_of(route, outcome)).collect() }
        }
    }
}

fn told_of(route: String, outcome: Result<(), SmsError>) -> SmsTried {
    match outcome {
        Ok(()) => SmsTried { route, sent: Some(true), reason: None },
        Err(error) => {
            let sent = if error.may_have_been_sent() { None } else { Some(false) };
            SmsTried { route, sent, reason: Some(error.to_string()) }
        }
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Shorter than a command may take.
const PATIENCE: Duration = Duration::from_secs(25);
