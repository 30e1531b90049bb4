//! What codes cost, and whom: an attack, five hundred users with bad luck, restarts, and what is left on the disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kontalk_node::account::Refusal;
use kontalk_node::dispatch::{Countries, Plan, Route};
use kontalk_node::node::control::{SmsStatus, SmsTried, Status};
use kontalk_node::node::courier::Way;
use kontalk_node::phone::{ChallengeKind, HashKey, PhoneNumber};
use kontalk_node::sms::modem::Settings;
use kontalk_node::sms::{Accepted, Sending, SmsError, SmsSender, SmsText};
use kontalk_node::stanza::StanzaCondition;
use support::client::{Client, Connect};
use support::modem_sim::{Act, Fault, On, Script, SimModem};
use support::modem_world::Simulation;
use support::node::{Node, NodeOptions};
use support::registration::Number;
use support::stanzas::{Refused, body_of, refusal};
use support::town::{End, Town, form, number_in};
use support::{Dice, lock};

/// Counts what it is given, and takes all of it.
#[derive(Default)]
struct Meter(Mutex<Vec<(PhoneNumber, String)>>);

impl SmsSender for Meter {
    fn send<'a>(&'a self, to: &'a PhoneNumber, text: &'a SmsText) -> Sending<'a> {
        lock(&self.0).push((to.clone(), text.code().digits().to_owned()));
        Box::pin(std::future::ready(Ok(Accepted::default())))
    }

    fn describe(&self) -> String {
        "a meter".to_owned()
    }
}

/// One of the attacker's addresses or an honest user's.
fn peer(network: u8, n: u32) -> IpAddr {
    let [_, _, high, low] = n.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, network, high, low))
}

/// Three hundred blocks of ten thousand numbers: a hundred in far countries where messages are dear, two hundred at home.
fn attacked_blocks(dice: &mut Dice) -> Vec<String> {
    let mut blocks = Vec::new();
    for n in 0..300 {
        let country = match n % 9 {
            0 => "+2217",
            1 => "+9607",
            2 => "+3736",
            _ => "+4915",
        };
        let mut block = country.to_owned();
        while block.len() < 9 {
            block.push(char::from_digit(u32::try_from(dice.below(10)).unwrap(), 10).unwrap());
        }
        blocks.push(block);
    }
    blocks
}

struct Siege {
    /// Seconds that the attack lasts.
    secs: u64,
    countries: Countries,
    /// Every so many codes the attacker types one in: he owns some of the numbers.
    proves_one_in: Option<usize>,
}

const REQUESTS: u32 = 10_000;
const ADDRESSES: u32 = 2_000;
const HONEST: u32 = 100;

fn siege(siege: &Siege, dice: &mut Dice) {
    let meter = Arc::new(Meter::default());
    let plan = Plan {
        home: Some(49),
        countries: siege.countries.clone(),
        ..Plan::new(vec![Route::new("modem", ChallengeKind::Text)])
    };
    let (day_max, block_day_max) = (plan.day_max as usize, plan.block_day_max as usize);
    let town = Town::new(plan, vec![Way::Text(meter.clone())]);
    let blocks = attacked_blocks(dice);
    let pause = Duration::from_millis(siege.secs * 1000 / u64::from(REQUESTS));
    let (mut neighbours_in, mut sent_to_attacker) = (0, 0);
    for n in 0..REQUESTS {
        let number = number_in(dice, &blocks[n as usize % blocks.len()]);
        let address = peer(1, n % ADDRESSES);
        let before = lock(&meter.0).len();
        match town.ask(address, form(&number, false)) {
            Ok(_) => {
                sent_to_attacker += 1;
                if siege.proves_one_in.is_some_and(|one_in| sent_to_attacker % one_in == 0) {
                    let code = lock(&meter.0).last().unwrap().1.clone();
                    assert!(town.type_in(address, &number, &code));
                }
            }
            Err(error) => {
                let refused = [StanzaCondition::ServiceUnavailable, StanzaCondition::NotAcceptable];
                assert!(refused.contains(&error.condition()), "{error:?}");
                assert_eq!(lock(&meter.0).len(), before, "refused, and all the same a message went out");
            }
        }
        if n % (REQUESTS / HONEST) == 7 {
            // An honest user of the home country, whose block nobody attacks.
            let home = loop {
                let number = number_in(dice, "+491");
                if !blocks.iter().any(|block| number.as_e164().starts_with(block)) {
                    break number;
                }
            };
            let end = town.register(peer(2, n), &home, || arrived_at(&meter, &home), |_, _| {});
            assert_eq!(end, End::Verified(1), "an honest user in the middle of the attack");
            // His neighbour in a block under attack may have to wait, and is told so.
            let neighbour = number_in(dice, &blocks[(n as usize * 7 + 3) % blocks.len()]);
            match town.ask(peer(3, n), form(&neighbour, false)) {
                Ok(_) => neighbours_in += 1,
                Err(error) => {
                    let text = error.to_element().to_text("jabber:client");
                    assert!(text.contains("Try again in") || text.contains("Choose another server"), "{text}");
                }
            }
        }
        town.pass(pause);
    }

    let sent = lock(&meter.0).clone();
    let mut per_block: HashMap<String, usize> = HashMap::new();
    for (number, _) in &sent {
        let digits = number.as_e164();
        *per_block.entry(digits[..digits.len() - 4].to_owned()).or_default() += 1;
    }
    let days = siege.secs as usize / 86_400 + 1;
    let abroad = sent.iter().filter(|(number, _)| number.country_code() != 49).count();
    assert!(sent.len() <= day_max * days, "{} codes", sent.len());
    assert!(abroad <= day_max.div_ceil(2) * days, "{abroad} codes abroad");
    if siege.countries == Countries::Home {
        assert_eq!(abroad, 0);
    }
    let most = per_block.values().max().unwrap();
    assert!(*most <= block_day_max * days, "{most} codes to one block");
    let alerts = town.courier.take_alerts();
    assert!(!alerts.is_empty() && alerts.len() < 30, "{} alerts", alerts.len());
    assert!(alerts.iter().all(|alert| !sent.iter().any(|(n, _)| alert.to_string().contains(&n.as_e164()[1..9]))));
    println!(
        "{} s, {:?}: {sent_to_attacker} codes of {REQUESTS} requests, {abroad} abroad, {most} at most to one block; all {HONEST} honest \
         users got in, {neighbours_in} of {HONEST} in attacked blocks at once; {} alerts",
        siege.secs,
        siege.countries,
        alerts.len()
    );
    // A day later the neighbours get in too.
    town.pass(Duration::from_secs(86_400));
    let neighbour = number_in(dice, blocks.iter().find(|block| block.starts_with("+49")).unwrap());
    let end = town.register(peer(3, 65_000), &neighbour, || arrived_at(&meter, &neighbour), |_, _| {});
    assert_eq!(end, End::Verified(1));
}

fn arrived_at(meter: &Meter, number: &PhoneNumber) -> Vec<String> {
    lock(&meter.0).iter().filter(|(to, _)| to == number).map(|(_, code)| code.clone()).collect()
}

#[test]
fn an_attack_stays_inside_every_budget_and_honest_users_still_get_in() {
    let mut dice = Dice::new();
    println!("KONTALK_SEED={}", dice.seed);
    for secs in [3600, 20 * 3600] {
        for countries in [Countries::Home, Countries::All] {
            for proves_one_in in [None, Some(40)] {
                siege(&Siege { secs, countries: countries.clone(), proves_one_in }, &mut dice);
            }
        }
    }
}

/// Fails one message in five, in every way there is.
struct Unlucky {
    dice: Mutex<Dice>,
    arrived: Arc<Mutex<HashMap<String, Vec<String>>>>,
}

impl SmsSender for Unlucky {
    fn send<'a>(&'a self, to: &'a PhoneNumber, text: &'a SmsText) -> Sending<'a> {
        let (fails, how) = {
            let mut dice = lock(&self.dice);
            (dice.below(5) == 0, dice.below(5))
        };
        let arrives = !fails || how == 3;
        if arrives {
            let mut arrived = lock(&self.arrived);
            arrived.entry(to.as_e164().to_owned()).or_default().push(text.code().digits().to_owned());
        }
        let outcome = match (fails, how) {
            (false, _) => Ok(Accepted::default()),
            (true, 0) => Err(SmsError::Refused("no signal".into())),
            (true, 1) => Err(SmsError::NotAllowed("no credit".into())),
            // The line broke: before the network had the message, or behind it.
            (true, 2 | 3) => Err(SmsError::Unknown("no answer".into())),
            // Taken, and lost in the network.
            (true, _) => Ok(Accepted::default()),
        };
        Box::pin(std::future::ready(outcome))
    }

    fn describe(&self) -> String {
        "an unlucky sender".to_owned()
    }
}

#[test]
fn five_hundred_users_with_bad_luck_end_verified_or_are_told_the_truth() {
    let mut dice = Dice::new();
    println!("KONTALK_SEED={}", dice.seed);
    let arrived: Arc<Mutex<HashMap<String, Vec<String>>>> = Arc::default();
    let unlucky = |seed: u64| {
        let dice = Mutex::new(Dice::from_seed(seed));
        Way::Text(Arc::new(Unlucky { dice, arrived: arrived.clone() }))
    };
    let routes = vec![Route::new("modem", ChallengeKind::Text), Route::new("gateway", ChallengeKind::Text)];
    let plan = Plan { home: Some(49), ..Plan::new(routes) };
    let ways = vec![unlucky(dice.seed ^ 1), unlucky(dice.seed ^ 2)];
    let town = Town::new(plan, ways);
    let received = |number: &PhoneNumber| lock(&arrived).get(number.as_e164()).cloned().unwrap_or_default();
    let verified = five_hundred(&town, &mut dice, received);
    assert!(verified >= 495, "{verified}");
    let (facts, _) = town.courier.facts();
    assert!(facts.routes.iter().all(|route| route.failed > 0 && route.unknown > 0));
}

/// Five hundred users register, one after the other. Each is verified, or was told the truth each time: that nothing was sent when
/// nothing was, that something may come when it may; and no request brings two messages. Gives how many are verified.
fn five_hundred(town: &Town, dice: &mut Dice, received: impl Fn(&PhoneNumber) -> Vec<String>) -> u32 {
    let (mut verified, mut requests, mut wasted) = (0, 0, 0);
    for n in 0..500 {
        let number = number_in(dice, "+491");
        let (mut before, mut promised) = (0, 0);
        let arrived = || received(&number);
        let end = town.register(peer(2, n), &number, arrived, |answer, codes| {
            assert!(codes.len() <= before + 1, "one request brought two messages");
            match answer {
                Ok(_) => promised += 1,
                Err(error) => {
                    assert_eq!(codes.len(), before, "told that nothing was sent, and a message came");
                    let text = error.to_element().to_text("jabber:client");
                    let failed = Refusal::SmsFailed.to_error().to_element().to_text("jabber:client");
                    assert!(text == failed || text.contains("Try again in"), "{text}");
                }
            }
            before = codes.len();
        });
        match end {
            End::Verified(asked) => {
                verified += 1;
                requests += asked;
            }
            End::Refused(_) | End::NothingCame => {}
        }
        assert!(before <= promised, "more messages than promises");
        wasted += before.saturating_sub(1);
        town.pass(Duration::from_secs(30));
    }
    println!("{verified} of 500 verified with {requests} requests; {wasted} asked again for a message that had come");
    // Who typed in what came never needed a second one.
    assert_eq!(wasted, 0);
    let (facts, under_way) = town.courier.facts();
    assert_eq!(under_way, 0);
    assert_eq!(facts.routes.iter().map(|route| route.verified).sum::<u32>(), verified);
    verified
}

/// The modem with all its faults, in simulated time. After each message its driver is started anew, as if the node were; so every
/// message also meets what the one before it left behind.
struct SimulatedModem {
    simulation: Mutex<Simulation>,
    dice: Mutex<Dice>,
}

impl SimulatedModem {
    fn new(seed: u64) -> SimulatedModem {
        let settings = Settings::new("/nonexistent", HashKey::new([7; 32]));
        let simulation = Simulation::new(SimModem::new(Script { chatter: true, ..Script::default() }), settings);
        SimulatedModem { simulation: Mutex::new(simulation), dice: Mutex::new(Dice::from_seed(seed)) }
    }

    fn received(&self, number: &PhoneNumber) -> Vec<String> {
        let simulation = lock(&self.simulation);
        let state = simulation.state();
        let texts = state.modem.sent.iter().filter(|sent| sent.to == number.as_e164());
        texts.map(|sent| sent.text.chars().take(6).collect()).collect()
    }

    /// One message in five meets one of these.
    fn fault(&self) -> Option<Fault> {
        let mut dice = lock(&self.dice);
        if dice.below(5) > 0 {
            return None;
        }
        let taken = dice.below(2) == 0;
        let on = if dice.below(4) == 0 { On::Command("AT+CMGS") } else { On::Message };
        let taken = taken && on == On::Message;
        let act = match dice.below(8) {
            0 => Act::Say("+CMS ERROR: 500"),
            1 => Act::Say("+CMS ERROR: 38"),
            2 => Act::Say("ERROR"),
            3 => Act::Silence { taken },
            4 if on == On::Message => Act::NoOk,
            4 | 5 => Act::Unplug { taken },
            6 => Act::Restart { taken },
            _ => Act::Hang { taken },
        };
        Some(Fault { on, skip: 0, times: 1 + u32::try_from(dice.below(3)).unwrap(), act })
    }
}

impl SmsSender for SimulatedModem {
    fn send<'a>(&'a self, to: &'a PhoneNumber, text: &'a SmsText) -> Sending<'a> {
        let fault = self.fault();
        let mut simulation = lock(&self.simulation);
        let (to, text) = (to.as_e164().to_owned(), text.as_str().to_owned());
        let now = {
            let mut state = simulation.state();
            state.modem.script.faults = fault.into_iter().collect();
            if !state.modem.plugged {
                state.plug("/dev/ttyUSB5");
            }
            state.now.as_secs()
        };
        simulation.at(now + 10, move |state| state.order(&to, &text));
        simulation.run_until(now + 300);
        let outcome = simulation.state().tickets.pop().unwrap().try_outcome();
        Box::pin(std::future::ready(outcome.unwrap_or_else(|| Err(SmsError::Unknown("it took too long".into())))))
    }

    fn describe(&self) -> String {
        "a simulated modem".to_owned()
    }
}

#[test]
fn five_hundred_users_of_a_modem_with_faults_end_verified_or_are_told_the_truth() {
    let mut dice = Dice::new();
    println!("KONTALK_SEED={}", dice.seed);
    let modem = Arc::new(SimulatedModem::new(dice.seed ^ 1));
    let plan = Plan { home: Some(49), ..Plan::new(vec![Route::new("modem", ChallengeKind::Text)]) };
    let town = Town::new(plan, vec![Way::Text(modem.clone())]);
    let verified = five_hundred(&town, &mut dice, |number| modem.received(number));
    assert!(verified >= 480, "{verified}");
    let route = &town.courier.facts().0.routes[0];
    assert!(route.failed > 0 && route.unknown > 0, "{route:?}");
}

#[test]
fn the_message_is_in_the_clients_language() {
    let sender = Arc::new(kontalk_node::sms::script::ScriptSender::new());
    let town = Town::new(Plan::new(vec![Route::new("modem", ChallengeKind::Text)]), vec![Way::Text(sender.clone())]);
    let number = PhoneNumber::parse("+4915112345678").unwrap();
    for (language, words) in [(None, "is your Kontalk code"), (Some("de-CH"), "ist dein Kontalk-Code")] {
        let form = kontalk_node::account::PhoneForm { language: language.map(str::to_owned), ..form(&number, false) };
        town.ask(peer(2, 1), form).unwrap();
        assert!(sender.sent().last().unwrap().text.as_str().contains(words));
    }
}

#[test]
fn no_more_jobs_than_places_and_none_is_lost() {
    let meter = Arc::new(Meter::default());
    let town = Town::new(Plan::new(vec![Route::new("modem", ChallengeKind::Text)]), vec![Way::Text(meter.clone())]);
    let mut dice = Dice::new();
    let mut jobs = Vec::new();
    let busy = loop {
        let form = form(&number_in(&mut dice, "+49"), false);
        match town.courier.accept(peer(2, 1), form) {
            Ok(job) => jobs.push(job),
            Err(error) => break error,
        }
    };
    assert_eq!((jobs.len(), busy.condition()), (64, StanzaCondition::ServiceUnavailable));
    jobs.into_iter().for_each(|job| drop(smol::block_on(town.courier.deliver(job)).unwrap()));
    assert_eq!((lock(&meter.0).len(), town.courier.facts().1), (64, 0));
}

fn options() -> NodeOptions {
    let mut options = NodeOptions::default();
    options.add_config("registration.codes_per_day_max = 3");
    options.add_config("registration.number_burst = 10");
    options.add_config("admins = [\"boss@kontalk.test\"]");
    options
}

fn wait() -> Refused {
    refusal("service-unavailable", "wait")
}

#[test]
fn a_restart_keeps_what_was_spent_and_no_number_is_on_the_disk() {
    let mut node = Node::start(options());
    node.add_account("boss");
    let how = Connect::to(&node);
    let numbers: Vec<Number> = (0..5).map(|n| Number::new(&format!("+49151{}", 70_123_456 + n * 1_010_101))).collect();
    let mut boss = Client::online(&node, "boss", "desk");
    for number in &numbers[..3] {
        Client::connect(&how).request_code(number, false).unwrap();
        node.code_for(&number.e164);
    }
    let refused = Client::connect(&how).request_code(&numbers[3], false);
    assert_eq!(refused.err(), Some(wait()));
    // The administrators hear of it, wherever they are.
    boss.expect("an alert", |stanza| {
        stanza.attribute("from") == Some("kontalk.test")
            && body_of(stanza).is_some_and(|body| body.contains("the limit of 3 codes in 24 hours is reached"))
    });
    node.log_says("the limit of 3 codes in 24 hours is reached");
    let status = sms_status(&node);
    assert_eq!((status.routes[0].sent, status.left), (3, 0));
    boss.close();

    node.sigterm();
    node.start_again();
    let how = Connect::to(&node);
    let refused = Client::connect(&how).request_code(&numbers[4], false);
    assert_eq!(refused.err(), Some(wait()));
    let status = sms_status(&node);
    assert_eq!((status.routes[0].sent, status.left), (3, 0));

    // The operator's test goes out all the same, and tells no secret.
    let output = node.cli(&["sms", "test", &numbers[4].e164, "--json"]);
    let tried: Vec<SmsTried> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(tried, [SmsTried { route: "terminal".to_owned(), sent: Some(true), reason: None }]);
    node.code_for(&numbers[4].e164);
    let wrong = node.cli(&["sms", "test", "12345"]);
    assert_eq!(wrong.status.code(), Some(1));
    let absent = node.cli(&["sms", "test", &numbers[4].e164, "--route", "pigeon"]);
    assert!(String::from_utf8_lossy(&absent.stderr).contains("no route of that name"));
    let words = node.cli(&["sms", "status"]);
    assert!(String::from_utf8_lossy(&words.stdout).contains("terminal          sent 4, verified 0, failed 0"));
    let whole = node.cli(&["status", "--json"]);
    let whole: Status = serde_json::from_slice(&whole.stdout).unwrap();
    assert_eq!(whole.sms, sms_status(&node));

    node.sigterm();
    for number in &numbers {
        let digits = &number.e164[number.e164.len() - 9..];
        assert_eq!(files_with(&node.data_dir(), digits.as_bytes()), Vec::<String>::new());
    }
    node.start_again();
}

fn sms_status(node: &Node) -> SmsStatus {
    serde_json::from_slice(&node.cli(&["sms", "status", "--json"]).stdout).unwrap()
}

/// The files below a directory that hold these bytes.
fn files_with(dir: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if path.is_file() && std::fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
            found.push(path.display().to_string());
        }
    }
    found
}
