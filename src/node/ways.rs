//! The ways to send as configured, made into a courier, with what earlier runs of the node counted.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::NodeFault;
use super::courier::{Bell, Courier, CourierParts, Ledger, Ringing, Way};
use super::hub::{Inbox, Input};
use super::login::lasting_secret;
use super::random::random_bytes;
use super::reports::ReportDesks;
use crate::account::{Brand, Policy, Rate, Registrar};
use crate::config::{self, Config, MODEM, SmsCountries, TERMINAL};
use crate::dispatch::{Alert, CounterKey, Countries, Dispatcher, Kept, Plan, Route};
use crate::jid::{BareJid, Jid};
use crate::phone::{ChallengeKind, PhoneNumber};
use crate::router::{Event, Ticket};
use crate::sms::SmsError;
use crate::sms::http::{self, Provider};
use crate::sms::modem::{Dialled, Modem, ModemError};
use crate::sms::terminal::TerminalSender;
use crate::stanza::{Kind, MessageType, Stanza, Timestamp};
use crate::store::Store;
use crate::xml::{Element, ns};

/// The courier of this configuration.
pub(super) fn courier(
    config: &Config,
    store: &Store,
    modem: Option<&Modem>,
    desks: &ReportDesks,
) -> Result<Courier, NodeFault> {
    let mut dispatcher = Dispatcher::new(plan(config), lasting_secret(store, "dispatch"));
    let kept = store.dispatch_counters().map_err(NodeFault::StoreBroke)?;
    let over: Vec<_> = dispatcher.restore(Instant::now(), wall(), kept).into_iter().map(|key| (key, None)).collect();
    store.keep_dispatch_counters(&over).map_err(NodeFault::StoreBroke)?;
    let ways: Vec<Way> =
        config.sms.routes.iter().map(|route| way(config, route, modem, desks)).collect::<Result<_, NodeFault>>()?;
    for (route, way) in dispatcher.plan().routes.iter().zip(&ways) {
        match way {
            Way::Text(sender) => log::info!("codes go out by {}", sender.describe()),
            Way::Verify(verifier) => log::info!("codes are made by {}", verifier.describe()),
            Way::Ring(_) => log::info!("{}: the node calls numbers", route.name),
            Way::Hear => log::info!("{}: numbers call or text the node", route.name),
        }
    }
    if goes_everywhere(config) {
        log::warn!(
            "codes go to numbers of all countries, some of them dear (remedy: sms.countries = [\"+…\"], or sms.own_number)"
        );
    }
    Ok(Courier::new(CourierParts {
        registrar: Registrar::new(policy(config), random_bytes()),
        dispatcher,
        ways,
        reports: config.sms.routes.iter().map(|route| is_reported(config, route, desks)).collect(),
        senders: config.sms.routes.iter().map(|route| sender(config, route)).collect(),
        own_number: config.sms.own_number.clone(),
        app_hash: config.sms.app_hash.clone(),
        clock: Box::new(Instant::now),
        home: match modem.cloned() {
            Some(modem) => Box::new(move || modem.status().country),
            None => Box::new(|| None),
        },
        ledger: Box::new(StoreLedger(store.clone())),
    }))
}

/// Keeps counters in the store.
struct StoreLedger(Store);

impl Ledger for StoreLedger {
    fn take_down(&self, counters: &[(CounterKey, Option<Kept>)]) -> Result<Ticket, String> {
        self.0.keep_dispatch_counters(counters).map_err(|error| error.to_string())
    }

    fn durable(&self, ticket: Ticket) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async move { self.0.commit(ticket).await.is_ok() })
    }
}

/// Writes what changed of the courier's counters. Blocks for a moment.
pub(super) fn keep_counters(courier: &Courier) {
    if let Err(error) = courier.keep() {
        log::warn!("after a restart some codes of today may be counted twice, or their outcome forgotten: {error}");
    }
}

/// Keeps the counters of codes on the disk: what is spent is there before it is spent; how it went, and what is over, every ten minutes
/// (an SD card lives from not being written to), and within a minute when something was worth an alert.
pub(super) async fn keep_counting(courier: Arc<Courier>, announcer: Announcer) {
    for minute in 1u64.. {
        smol::Timer::after(Duration::from_secs(60)).await;
        courier.expire();
        let alerts = courier.take_alerts();
        announcer.tell(&alerts).await;
        let due = (minute.is_multiple_of(10) || announcer.told_lately()) && courier.dispatcher().has_changes();
        if due {
            let courier = courier.clone();
            smol::unblock(move || keep_counters(&courier)).await;
        }
    }
}

/// Tells the operator: in the log, and the administrators by a message from the node.
#[derive(Clone)]
pub(super) struct Announcer {
    domain: BareJid,
    admins: Arc<[BareJid]>,
    inbox: Inbox,
    told: Arc<std::sync::atomic::AtomicBool>,
}

impl Announcer {
    pub(super) fn new(config: &Config, inbox: Inbox) -> Announcer {
        Announcer { domain: config.domain.clone(), admins: config.admins.clone().into(), inbox, told: Arc::default() }
    }

    /// The node's domain.
    pub(super) fn domain(&self) -> &BareJid {
        &self.domain
    }

    pub(super) async fn tell(&self, alerts: &[Alert]) {
        for alert in alerts {
            self.told.store(true, std::sync::atomic::Ordering::Relaxed);
            self.say(&format!("registration: {alert}")).await;
        }
    }

    /// Something that needs a person, in a sentence with its remedy.
    pub(super) async fn say(&self, text: &str) {
        {
            log::warn!("{text}");
            for admin in self.admins.iter() {
                let body = Element::new("body", ns::CLIENT).with_text(&format!("{}: {text}", self.domain));
                let id = format!("alert-{:016x}", u64::from_le_bytes(random_bytes()));
                let kind = Kind::Message(MessageType::Chat);
                let (from, to) = (Jid::Bare(self.domain.clone()), Jid::Bare(admin.clone()));
                let message = Stanza::build(kind, Some(from), Some(to), Some(&id)).with_child(body);
                self.inbox.send(Input::Event(Event::FromServer(message))).await;
            }
        }
    }

    /// Was anything told since the last call?
    fn told_lately(&self) -> bool {
        self.told.swap(false, std::sync::atomic::Ordering::Relaxed)
    }
}

/// Could a way that costs money be made to send to any country, because nobody said which is home?
fn goes_everywhere(config: &Config) -> bool {
    let sms = &config.sms;
    let is_far = |route: &config::SmsRoute| route.name != TERMINAL && route.name != MODEM && route.areas.is_empty();
    let has_modem = sms.routes.iter().any(|route| route.name == MODEM);
    sms.countries == SmsCountries::Home && sms.own_number.is_none() && !has_modem && sms.routes.iter().any(is_far)
}

/// The way of a route; the configuration names none that is not there. A provider's thread runs from now on.
fn way(
    config: &Config,
    route: &config::SmsRoute,
    modem: Option<&Modem>,
    desks: &ReportDesks,
) -> Result<Way, NodeFault> {
    Ok(match (route.kind, modem.filter(|_| route.name == MODEM)) {
        (ChallengeKind::CallerId | ChallengeKind::Word, _) => Way::Hear,
        (ChallengeKind::MissedCall, Some(modem)) => Way::Ring(Arc::new(ModemBell(modem.clone()))),
        (_, Some(modem)) => Way::Text(Arc::new(modem.sender())),
        (_, None) => match config.sms.http.iter().find(|provider| provider.name == route.name) {
            None => Way::Text(Arc::new(TerminalSender::stdout())),
            Some(settings) => match http::build(&told(settings, desks), random_bytes) {
                Ok(Provider::Sender(sender)) => Way::Text(Arc::from(sender)),
                Ok(Provider::Verifier(verifier)) => Way::Verify(Arc::from(verifier)),
                Err(error) => return Err(NodeFault::Provider(route.name.clone(), error)),
            },
        },
    })
}

/// A provider with the address of its reports, where it makes any.
fn told(settings: &http::Settings, desks: &ReportDesks) -> http::Settings {
    match desks.url(&settings.name) {
        Some(url) => settings.clone().reporting_to(url),
        None => settings.clone(),
    }
}

/// Does anybody report what becomes of this route's messages?
fn is_reported(config: &Config, route: &config::SmsRoute, desks: &ReportDesks) -> bool {
    let by_modem = route.name == MODEM && config.sms.modem.delivery_reports;
    route.kind == ChallengeKind::Text && (by_modem || desks.url(&route.name).is_some())
}

/// Whom a route's messages come from, if not from whom `registration.sender` says.
fn sender(config: &Config, route: &config::SmsRoute) -> Option<String> {
    let provider = config.sms.http.iter().find(|provider| provider.name == route.name);
    let named = match provider.map(|provider| &provider.kind) {
        Some(http::Kind::VonageSms(vonage)) => Some(&vonage.from),
        // A messaging service chooses among several senders.
        Some(http::Kind::TwilioSms(twilio)) => Some(&twilio.from).filter(|from| !from.starts_with("MG")),
        Some(http::Kind::Template(template)) => template.sender.as_ref(),
        _ => None,
    };
    route.sender.as_ref().or(named).cloned()
}

/// Rings by the modem.
struct ModemBell(Modem);

impl Bell for ModemBell {
    fn ring<'a>(&'a self, number: &'a PhoneNumber) -> Ringing<'a> {
        Box::pin(async move {
            match self.0.dial(number, RING).await {
                // Also one that was rejected is shown by most telephones, with its number.
                Ok(Dialled::Rang | Dialled::Answered | Dialled::Rejected) => Ok(()),
                Err(ModemError::NoAnswer) => Err(SmsError::Unknown("the modem did not say whether it rang".into())),
                Err(error) => Err(SmsError::Refused(error.to_string().into())),
            }
        })
    }
}

fn plan(config: &Config) -> Plan {
    let sms = &config.sms;
    let route = |route: &config::SmsRoute| Route {
        name: match route.kind {
            ChallengeKind::Text | ChallengeKind::Provider => route.name.clone(),
            kind => format!("{}/{kind}", route.name),
        },
        kind: route.kind,
        areas: route.areas.clone(),
        day_max: route.day_max,
    };
    Plan {
        routes: sms.routes.iter().map(route).collect(),
        countries: match &sms.countries {
            SmsCountries::Home => Countries::Home,
            SmsCountries::All => Countries::All,
            SmsCountries::These(areas) => Countries::These(areas.clone()),
        },
        home: sms.own_number.as_ref().map(PhoneNumber::country_code),
        day_max: config.registration.codes_per_day_max,
        block_day_max: sms.prefix_codes_per_day_max,
    }
}

fn policy(config: &Config) -> Policy {
    let mut policy = Policy::new(config.domain.clone());
    let from = &config.registration;
    policy.enabled = from.enabled;
    policy.terms_url.clone_from(&from.terms_url);
    policy.sender.clone_from(&from.sender);
    policy.challenges = config.sms.routes.iter().map(|route| route.kind).collect();
    policy.brand = Brand {
        vector: from.brand.image_vector.clone(),
        small: from.brand.image_small.clone(),
        medium: from.brand.image_medium.clone(),
        large: from.brand.image_large.clone(),
        hd: from.brand.image_hd.clone(),
        link: from.brand.link.clone(),
    };
    let rate = |throttle: config::Throttle| Rate { burst: throttle.burst, refill: throttle.refill };
    policy.rates.number = rate(from.per_number);
    policy.rates.network = rate(from.per_address);
    policy.rates.block = rate(from.per_prefix);
    policy
}

fn wall() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

/// How long a telephone rings: twice, so that its owner's provider has time to tell it the number.
const RING: Duration = Duration::from_secs(7);
