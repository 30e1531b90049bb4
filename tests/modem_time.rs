//! The modem's driver in simulated time: every fault with its outcome, over seconds and hours that take milliseconds. The
//! same faults behind a real serial line are in `tests/modem.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use kontalk_node::phone::HashKey;
use kontalk_node::sms::modem::{Dialled, Incoming, ModemError, Phase, Pin, PinFate, Registration, Settings, SimState};
use kontalk_node::sms::pdu::DeliveryState;
use kontalk_node::sms::{Accepted, SmsError};
use support::Dice;
use support::modem_sim::{Act, Fault, On, Script, SimModem, at_command, at_message, fault};
use support::modem_world::Simulation;

const NUMBER: &str = "+4915112345678";

fn settings() -> Settings {
    Settings::new("/nonexistent", HashKey::new([7; 32]))
}

fn simulation(script: Script) -> Simulation {
    Simulation::new(SimModem::new(script), settings())
}

/// How a message ended, in a word.
fn word(outcome: Option<Result<Accepted, SmsError>>) -> &'static str {
    match outcome {
        Some(Ok(_)) => "accepted",
        Some(Err(SmsError::Refused(_))) => "refused",
        Some(Err(SmsError::NotAllowed(_))) => "not allowed",
        Some(Err(SmsError::Later(..))) => "later",
        Some(Err(SmsError::Unknown(_))) => "unknown",
        None => "waiting",
    }
}

/// Messages at seconds 10 and 200, and how both ended. The second shows that all is well again.
fn two_messages(script: Script) -> (Simulation, [&'static str; 2]) {
    let mut simulation = simulation(script);
    simulation.at(10, |state| state.order(NUMBER, "the first"));
    simulation.at(200, |state| state.order(NUMBER, "the second"));
    simulation.run_until(400);
    let outcomes = {
        let state = simulation.state();
        [0, 1].map(|index| word(state.tickets[index].try_outcome()))
    };
    (simulation, outcomes)
}

fn texts(simulation: &Simulation) -> Vec<String> {
    simulation.state().modem.sent.iter().map(|sent| sent.text.clone()).collect()
}

#[test]
fn every_fault_of_a_message_has_its_outcome_and_the_next_is_sent() {
    use Act::{Hang, NoOk, Restart, Say, Silence, Unplug};
    let both: &[&str] = &["the first", "the second"];
    let second: &[&str] = &["the second"];
    let message = at_message;
    let prompt = |act| at_command("AT+CMGS", act);
    for (name, script, first, sent) in [
        ("none", Script::default(), "accepted", both),
        // Errors that pass are tried again, and the message arrives once.
        ("network out of order", message(Say("+CMS ERROR: 38")), "accepted", both),
        ("congestion", message(Say("+CMS ERROR: 42")), "accepted", both),
        ("the vendor's own", message(Say("+CMS ERROR: 500")), "accepted", both),
        ("device failure", message(Say("+CMS ERROR: 300")), "accepted", both),
        ("plain", message(Say("ERROR")), "accepted", both),
        ("busy", message(Say("+CMS ERROR: 515")), "accepted", both),
        ("busy SIM", message(Say("+CME ERROR: 14")), "accepted", both),
        ("full memory", message(Say("+CMS ERROR: 322")), "accepted", both),
        ("no network for a moment", message(Say("+CMS ERROR: 331")), "accepted", both),
        // Errors that do not are final.
        ("unassigned number", message(Say("+CMS ERROR: 1")), "refused", second),
        ("barred", message(Say("+CMS ERROR: 8")), "not allowed", second),
        ("rejected", message(Say("+CMS ERROR: 21")), "not allowed", second),
        ("malformed", message(Say("+CMS ERROR: 304")), "refused", second),
        ("no service centre", message(Say("+CMS ERROR: 330")), "not allowed", second),
        ("duplicate", message(Say("+CMS ERROR: 197")), "accepted", second),
        ("the network is silent", message(Say("+CMS ERROR: 332")), "unknown", second),
        // What nobody knows is not sent again.
        ("silence, taken", message(Silence { taken: true }), "unknown", both),
        ("silence, not taken", message(Silence { taken: false }), "unknown", second),
        ("no OK", message(NoOk), "accepted", both),
        ("restart, taken", message(Restart { taken: true }), "unknown", both),
        ("restart, not taken", message(Restart { taken: false }), "unknown", second),
        // Nothing was written: another try is no duplicate.
        ("no prompt", prompt(Silence { taken: false }), "accepted", both),
        ("restart before the prompt", prompt(Restart { taken: false }), "refused", second),
        ("error before the prompt", prompt(Say("+CMS ERROR: 302")), "accepted", both),
        ("OK instead of a prompt", prompt(Say("OK")), "accepted", both),
        ("SIM lost before the prompt", prompt(Say("+CMS ERROR: 310")), "refused", second),
        // The port stays away until somebody plugs it in; here nobody does.
        ("unplugged, taken", message(Unplug { taken: true }), "unknown", &["the first"]),
        ("unplugged, not taken", message(Unplug { taken: false }), "unknown", &[]),
        ("unplugged before the prompt", prompt(Unplug { taken: false }), "refused", &[]),
        // It says nothing at all any more: the ladder ends with switching its power.
        ("hangs, taken", message(Hang { taken: true }), "unknown", both),
        ("hangs before the prompt", prompt(Hang { taken: false }), "refused", second),
    ] {
        let (simulation, [first_outcome, second_outcome]) = two_messages(script);
        assert_eq!(first_outcome, first, "{name}: {}", simulation.status());
        let unplugged = name.starts_with("unplugged");
        assert_eq!(second_outcome, if unplugged { "refused" } else { "accepted" }, "{name}: {}", simulation.status());
        assert_eq!(texts(&simulation), sent, "{name}");
        assert_eq!(simulation.state().modem.early_bytes, 0, "{name}");
    }
}

#[test]
fn errors_that_last_end_after_three_tries() {
    for (words, outcome) in [("+CMS ERROR: 38", "refused"), ("+CMS ERROR: 500", "refused"), ("ERROR", "refused")] {
        let faults = vec![Fault { on: On::Message, skip: 0, times: 100, act: Act::Say(words) }];
        let mut simulation = simulation(Script { faults, ..Script::default() });
        simulation.at(10, |state| state.order(NUMBER, "never"));
        simulation.run_until(400);
        let state = simulation.state();
        assert_eq!(word(state.tickets[0].try_outcome()), outcome);
        let tries = state.modem.commands.iter().filter(|line| line.starts_with("AT+CMGS")).count();
        assert!((2..=3).contains(&tries), "{words}: {tries}");
    }
}

#[test]
fn an_hour_without_the_modem_and_another_port_need_no_restart() {
    let mut simulation = simulation(Script::default());
    simulation.at(10, |state| state.order(NUMBER, "before"));
    simulation.at(60, |state| state.unplug());
    simulation.at(600, |state| state.order(NUMBER, "meanwhile"));
    simulation.at(3660, |state| state.plug("/dev/ttyUSB7"));
    simulation.at(3720, |state| state.order(NUMBER, "after"));
    simulation.run_until(4000);
    assert_eq!(texts(&simulation), ["before", "after"]);
    let status = simulation.status();
    assert_eq!((status.phase, status.device.as_deref()), (Phase::Ready, Some("/dev/ttyUSB7")));
    let state = simulation.state();
    let outcomes = [0, 1, 2].map(|index| word(state.tickets[index].try_outcome()));
    assert_eq!(outcomes, ["accepted", "refused", "accepted"]);
    // It was looked for all the time, and at leisure.
    assert!((1000..3000).contains(&state.openings), "{}", state.openings);
}

#[test]
fn work_is_refused_at_once_while_there_is_no_modem() {
    let mut simulation = simulation(Script::default());
    simulation.state().modem.unplug();
    simulation.at(10, |state| {
        state.order(NUMBER, "text");
        state.dial(NUMBER, Duration::from_secs(5));
        state.ussd("*100#");
    });
    simulation.run_until(13);
    let state = simulation.state();
    assert_eq!(word(state.tickets[0].try_outcome()), "refused");
    assert_eq!(state.calls[0].try_outcome(), Some(Err(ModemError::NotReady)));
    assert!(matches!(state.codes[0].try_outcome(), Some(Err(ModemError::NotReady))));
}

#[test]
fn noise_and_notices_everywhere_change_nothing() {
    for script in [
        Script { chatter: true, ..Script::default() },
        Script { garbage: true, ..Script::default() },
        Script { chatter: true, garbage: true, stubborn_echo: true, ..Script::default() },
        Script { prompt_after: Duration::from_secs(9), network: Duration::from_secs(50), ..Script::default() },
    ] {
        let name = format!("{script:?}");
        let (simulation, outcomes) = two_messages(script);
        assert_eq!(outcomes, ["accepted", "accepted"], "{name}");
        assert_eq!(texts(&simulation), ["the first", "the second"], "{name}");
        assert_eq!(simulation.state().modem.early_bytes, 0);
        assert_eq!(simulation.status().registration, Registration::Home);
    }
}

#[test]
fn messages_keep_their_distance() {
    let mut simulation = simulation(Script::default());
    simulation.at(10, |state| (0..5).for_each(|n| state.order(NUMBER, &format!("message {n}"))));
    simulation.at(18, |state| assert_eq!(state.modem.sent.len(), 3));
    simulation.run_until(30);
    assert_eq!(texts(&simulation).len(), 5);
}

#[test]
fn a_message_of_three_parts_is_sent_whole() {
    let text = "Zehn Zeichen".repeat(30);
    let mut simulation = simulation(Script::default());
    let long = text.clone();
    simulation.at(10, move |state| state.order(NUMBER, &long));
    simulation.run_until(60);
    assert_eq!(texts(&simulation).concat(), text);
    assert_eq!(texts(&simulation).len(), 3);
}

#[test]
fn a_silent_restart_into_text_mode_sends_nothing_to_a_wrong_number() {
    // The device loses its settings between two checks, and takes the length of a PDU for a telephone number now.
    let mut simulation = simulation(Script { text_by_default: true, silent_restart: true, ..Script::default() });
    simulation.at(30, |state| {
        let now = state.now;
        state.modem.plug(now);
        state.order(NUMBER, "careful");
    });
    simulation.run_until(100);
    let state = simulation.state();
    assert_eq!(word(state.tickets[0].try_outcome()), "accepted");
    let receivers: Vec<&str> = state.modem.sent.iter().map(|sent| sent.to.as_str()).collect();
    assert_eq!(receivers, [NUMBER]);
}

#[test]
fn a_right_pin_is_entered_once_for_each_start() {
    let mut simulation = simulation(Script { pin: Some("1234"), ..Script::default() });
    simulation.state().pin = Pin::parse("1234");
    simulation.at(60, |state| state.unplug());
    simulation.at(120, |state| state.plug("/dev/ttyUSB3"));
    simulation.at(200, |state| state.order(NUMBER, "text"));
    simulation.run_until(300);
    assert_eq!(texts(&simulation), ["text"]);
    assert_eq!(simulation.status().sim, SimState::Ready);
    assert_eq!(simulation.state().modem.pins, ["1234", "1234"]);
    assert!(simulation.state().fates.is_empty());
}

#[test]
fn a_wrong_pin_is_entered_once_and_never_again_through_restarts_and_replugs() {
    for tells_tries in [true, false] {
        let mut simulation = simulation(Script { pin: Some("1234"), tells_tries, ..Script::default() });
        simulation.state().pin = Pin::parse("9999");
        simulation.at(300, |state| state.unplug());
        simulation.at(400, |state| state.plug("/dev/ttyUSB3"));
        simulation.at(500, |state| state.order(NUMBER, "text"));
        // Three starts of the node, a day each.
        for day in 1..4 {
            simulation.run_until(day * 86_400);
        }
        assert_eq!(simulation.state().modem.pins, ["9999"]);
        assert_eq!(word(simulation.state().tickets[0].try_outcome()), "not allowed");
        let status = simulation.status();
        assert_eq!((status.phase, status.sim), (Phase::Blocked, SimState::PinRefused));
        assert!(status.last_error.unwrap().text.contains("remedy"));
        // Another PIN is noticed without a restart; but with a try lost, a person must enter it.
        simulation.state().pin = Pin::parse("1234");
        simulation.run_until(4 * 86_400);
        let pins = simulation.state().modem.pins.clone();
        if tells_tries {
            assert_eq!(pins, ["9999"]);
            assert!(simulation.status().last_error.unwrap().text.contains("three tries"));
        } else {
            assert_eq!(pins, ["9999", "1234"]);
            assert_eq!(simulation.status().phase, Phase::Ready);
        }
    }
}

#[test]
fn another_pin_is_noticed_while_the_modem_waits_for_one() {
    let mut simulation = simulation(Script { pin: Some("1234"), ..Script::default() });
    simulation.at(100, |state| {
        assert!(state.modem.pins.is_empty());
        state.pin = Pin::parse("1234");
    });
    simulation.run_until(300);
    assert_eq!((simulation.status().phase, simulation.status().sim), (Phase::Ready, SimState::Ready));
}

#[test]
fn a_pin_whose_answer_was_lost_is_entered_again_only_if_no_try_was_lost() {
    let lost = |tells_tries| {
        let faults = vec![fault(On::Command("AT+CPIN="), Act::Unplug { taken: false })];
        let mut simulation = simulation(Script { pin: Some("1234"), tells_tries, faults, ..Script::default() });
        simulation.state().pin = Pin::parse("1234");
        simulation.at(60, |state| {
            assert_eq!(state.fates.values().collect::<Vec<_>>(), [&PinFate::Tried]);
            state.plug("/dev/ttyUSB2");
        });
        simulation.run_until(300);
        simulation
    };
    let counted = lost(true);
    assert_eq!(counted.status().phase, Phase::Ready);
    assert!(counted.state().fates.is_empty());
    let uncounted = lost(false);
    assert_eq!(uncounted.status().phase, Phase::Blocked);
    assert!(uncounted.state().modem.pins.is_empty());
}

#[test]
fn a_puk_and_a_missing_sim_block_until_a_person_has_acted() {
    let mut locked = SimModem::new(Script { pin: Some("1234"), ..Script::default() });
    locked.puk = true;
    let mut simulation = Simulation::new(locked, settings());
    simulation.state().pin = Pin::parse("1234");
    simulation.at(100, |state| state.order(NUMBER, "text"));
    simulation.run_until(200);
    assert_eq!((simulation.status().phase, simulation.status().sim), (Phase::Blocked, SimState::PukWanted));
    assert_eq!(word(simulation.state().tickets[0].try_outcome()), "not allowed");
    assert!(simulation.state().modem.pins.is_empty());

    let mut empty = SimModem::new(Script::default());
    empty.sim_present = false;
    let mut simulation = Simulation::new(empty, settings());
    simulation.at(600, |state| {
        state.modem.sim_present = true;
    });
    simulation.at(800, |state| state.order(NUMBER, "text"));
    simulation.run_until(500);
    assert_eq!((simulation.status().phase, simulation.status().sim), (Phase::Blocked, SimState::Missing));
    simulation.run_until(900);
    assert_eq!(texts(&simulation), ["text"]);
}

#[test]
fn a_slow_sim_and_a_slow_network_are_waited_for() {
    let (sim_busy, registers_after) = (Duration::from_secs(20), Duration::from_secs(80));
    let mut simulation = simulation(Script { sim_busy, registers_after, ..Script::default() });
    simulation.at(50, |state| state.order(NUMBER, "text"));
    simulation.run_until(120);
    assert_eq!(texts(&simulation), ["text"]);
}

#[test]
fn without_a_network_messages_are_refused_and_later_ones_go_out() {
    let mut simulation = simulation(Script::default());
    simulation.at(30, |state| state.modem.coverage = false);
    simulation.at(100, |state| state.order(NUMBER, "unheard"));
    simulation.at(2000, |state| state.modem.coverage = true);
    simulation.at(2200, |state| state.order(NUMBER, "heard"));
    simulation.run_until(2400);
    assert_eq!(texts(&simulation), ["heard"]);
    assert_eq!(word(simulation.state().tickets[0].try_outcome()), "refused");
    // The search was begun anew.
    assert!(simulation.state().modem.commands.iter().any(|line| line == "AT+COPS=0"));
}

#[test]
fn a_modem_that_hangs_gets_its_power_switched_in_the_end() {
    let mut simulation = simulation(at_command("AT+CSQ", Act::Hang { taken: false }));
    simulation.at(600, |state| state.order(NUMBER, "text"));
    simulation.run_until(700);
    assert_eq!(simulation.state().power_cycles, 1);
    assert_eq!(texts(&simulation), ["text"]);
}

#[test]
fn a_modem_that_never_comes_back_is_tried_less_and_less() {
    let faults = vec![Fault { on: On::Command("AT"), skip: 0, times: u32::MAX, act: Act::Silence { taken: false } }];
    let mut simulation = simulation(Script { faults, ..Script::default() });
    simulation.run_until(6 * 3600);
    // About every eight minutes at last.
    assert!(simulation.state().power_cycles < 60, "{}", simulation.state().power_cycles);
    assert_eq!(simulation.status().phase, Phase::Recovering);
}

const INCOMING: &str = "0791947101670000040C919471909999990000623040506070400BD6A23469CC8268B7580C";

#[test]
fn messages_come_in_by_notice_and_by_search_and_are_deleted() {
    let mut simulation = simulation(Script { chatter: true, ..Script::default() });
    // One while nobody listens, one while all is quiet, one without a notice.
    simulation.state().modem.deliver(Duration::ZERO, INCOMING);
    simulation.at(100, |state| {
        let now = state.now;
        state.modem.deliver(now, INCOMING);
    });
    simulation.at(200, |state| state.modem.store[4] = Some((0, INCOMING.to_owned())));
    simulation.run_until(300);
    let state = simulation.state();
    assert_eq!((state.incoming.len(), state.modem.stored()), (3, 0));
    for incoming in &state.incoming {
        let Incoming::Sms { from, text, centre } = incoming else { panic!("{incoming:?}") };
        assert_eq!((from.as_e164(), text.as_str()), ("+491709999999", "VERIFY 4711"));
        assert_eq!(centre.as_ref().unwrap().as_e164(), "+491710760000");
    }
}

#[test]
fn a_full_sim_is_emptied_and_what_nobody_can_take_stays_there() {
    let mut simulation = simulation(Script { places: 3, ..Script::default() });
    simulation.state().room = false;
    for _ in 0..8 {
        simulation.state().modem.deliver(Duration::ZERO, INCOMING);
    }
    simulation.at(200, |state| {
        assert_eq!((state.incoming.len(), state.modem.stored()), (0, 3));
        state.room = true;
    });
    simulation.run_until(400);
    let state = simulation.state();
    assert_eq!((state.incoming.len(), state.modem.stored(), state.modem.kept_back.len()), (8, 0, 0));
}

#[test]
fn reports_of_delivery_are_handed_over() {
    let mut settings = settings();
    settings.delivery_reports = true;
    let mut simulation = Simulation::new(SimModem::new(Script::default()), settings);
    simulation.at(100, |state| {
        let now = state.now;
        let report = "079194710167000006050D91945111325476F8623040506070406230405060704000";
        state.modem.deliver(now, report);
    });
    simulation.run_until(200);
    let state = simulation.state();
    let [Incoming::Report { reference, to, state: delivered }] = state.incoming.as_slice() else {
        panic!("{:?}", state.incoming)
    };
    assert_eq!((reference.as_str(), *delivered), ("5", DeliveryState::Delivered));
    assert_eq!(to.as_ref().unwrap().as_e164(), NUMBER);
}

#[test]
fn a_caller_is_told_and_rejected_unless_calls_are_not_watched() {
    for (watch, calls, hung_up) in [(true, 1, 1), (false, 0, 0)] {
        let mut settings = settings();
        settings.watch_calls = watch;
        let mut simulation = Simulation::new(SimModem::new(Script::default()), settings);
        simulation.at(100, |state| {
            let now = state.now;
            state.modem.ring(now, "+491701234567", 1);
        });
        simulation.run_until(200);
        let state = simulation.state();
        assert_eq!((state.incoming.len(), state.modem.hung_up), (calls, hung_up));
        for incoming in &state.incoming {
            let Incoming::Call { from } = incoming else { panic!() };
            assert_eq!(from.as_e164(), "+491701234567");
        }
    }
}

#[test]
fn calls_ring_and_are_given_up_and_answered_ones_at_once() {
    for (states, outcome) in
        [("2222333333333333", Ok(Dialled::Rang)), ("222230", Ok(Dialled::Answered)), ("22223", Ok(Dialled::Rejected))]
    {
        let mut simulation = simulation(Script::default());
        simulation.at(10, move |state| {
            state.modem.call_states = states.bytes().map(|digit| digit - b'0').collect();
            state.dial(NUMBER, Duration::from_secs(5));
        });
        simulation.run_until(100);
        let state = simulation.state();
        assert_eq!(state.calls[0].try_outcome(), Some(outcome), "{states}");
        assert_eq!(state.modem.dialled, [NUMBER]);
        assert_eq!(state.modem.hung_up, 1);
    }
    let mut simulation = simulation(at_command("ATD", Act::Say("NO CARRIER")));
    simulation.at(10, |state| state.dial(NUMBER, Duration::from_secs(5)));
    simulation.run_until(100);
    assert_eq!(simulation.state().calls[0].try_outcome(), Some(Err(ModemError::Refused)));
}

#[test]
fn balances_are_asked_for_and_read() {
    for (said, text) in [
        ("+CUSD: 0,\"Credit 1.50 EUR\",15", Some("Credit 1.50 EUR")),
        ("+CUSD: 0,\"Credit\r\n1.50 EUR\",15", Some("Credit\n1.50 EUR")),
        ("+CUSD: 2", Some("")),
        ("+CUSD: 4", None),
    ] {
        let mut simulation = simulation(Script { chatter: false, ..Script::default() });
        simulation.at(10, move |state| {
            state.modem.ussd = Some(said.to_owned());
            state.ussd("*100#");
        });
        simulation.run_until(100);
        let outcome = simulation.state().codes[0].try_outcome().unwrap();
        assert_eq!(outcome.as_ref().ok().map(kontalk_node::sms::pdu::Hidden::as_str), text, "{said:?}");
    }
}

#[test]
fn a_tariff_without_reports_gets_messages_without_them() {
    let mut simulation = simulation(at_message(Act::Say("+CMS ERROR: 69")));
    simulation.at(10, |state| state.order(NUMBER, "text"));
    simulation.run_until(100);
    assert_eq!(texts(&simulation), ["text"]);
}

fn asked(simulation: &Simulation, command: &str) -> usize {
    simulation.state().modem.commands.iter().filter(|line| *line == command).count()
}

#[test]
fn a_network_that_stays_out_of_order_is_looked_for_anew() {
    let faults = vec![Fault { on: On::Message, skip: 0, times: 2, act: Act::Say("+CMS ERROR: 38") }];
    let mut simulation = simulation(Script { faults, ..Script::default() });
    simulation.at(10, |state| state.order(NUMBER, "text"));
    simulation.run_until(100);
    assert_eq!(texts(&simulation), ["text"]);
    assert_eq!(asked(&simulation, "AT+COPS=0"), 1);
}

#[test]
fn a_rejected_report_is_left_out_before_the_message_is_given_up() {
    let mut settings = settings();
    settings.delivery_reports = true;
    let mut simulation = Simulation::new(SimModem::new(at_message(Act::Say("+CMS ERROR: 21"))), settings);
    simulation.at(10, |state| state.order_with_report(NUMBER, "text"));
    simulation.run_until(100);
    let state = simulation.state();
    assert_eq!(word(state.tickets[0].try_outcome()), "accepted");
    assert_eq!(state.modem.sent.iter().map(|sent| sent.report).collect::<Vec<_>>(), [false]);
}

#[test]
fn a_command_that_is_never_answered_is_left_out_and_one_that_was_not_once_is_asked_again() {
    for (times, registered) in [(1, 2), (1000, 0)] {
        let act = Act::Silence { taken: false };
        let faults = vec![Fault { on: On::Command("AT+CLIP"), skip: 0, times, act }];
        let mut settings = settings();
        settings.watch_calls = true;
        let mut simulation = Simulation::new(SimModem::new(Script { faults, ..Script::default() }), settings);
        simulation.at(200, |state| state.unplug());
        simulation.at(210, |state| state.plug("/dev/ttyUSB1"));
        simulation.at(400, |state| state.order(NUMBER, "text"));
        simulation.run_until(500);
        assert_eq!(texts(&simulation), ["text"], "{}", simulation.status());
        let answered = asked(&simulation, "AT+CLIP=1") - if times == 1 { 1 } else { 2 };
        assert_eq!(answered, registered);
    }
}

#[test]
fn a_call_that_was_cut_off_by_trouble_does_not_ring_for_ever() {
    let mut simulation = simulation(at_command("AT+CLCC", Act::Silence { taken: false }));
    simulation.at(10, |state| {
        state.modem.call_states = vec![3; 20].into();
        state.dial(NUMBER, Duration::from_secs(5));
    });
    simulation.run_until(100);
    let state = simulation.state();
    assert_eq!(state.calls[0].try_outcome(), Some(Err(ModemError::NoAnswer)));
    assert_eq!(state.modem.hung_up, 1);
}

#[test]
fn a_caller_that_goes_on_ringing_is_told_once_and_the_next_one_too() {
    let mut settings = settings();
    settings.watch_calls = true;
    let mut simulation = Simulation::new(SimModem::new(Script::default()), settings);
    for (second, number) in
        [(100, "+491701234567"), (104, "+491701234567"), (110, "+491701234568"), (200, "+491701234568")]
    {
        simulation.at(second, move |state| {
            let now = state.now;
            state.modem.ring(now, number, 2);
        });
    }
    simulation.run_until(300);
    let state = simulation.state();
    let callers: Vec<&str> = state
        .incoming
        .iter()
        .map(|incoming| match incoming {
            Incoming::Call { from } => from.as_e164(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(callers, ["+491701234567", "+491701234568", "+491701234568"]);
    assert!(state.modem.hung_up >= 4);
}

#[test]
fn national_senders_are_of_the_sims_country_unless_told_otherwise() {
    for (country, number) in [(None, "+491701234567"), (Some(39), "+391701234567")] {
        let mut settings = settings();
        settings.watch_calls = true;
        settings.country = country;
        let mut simulation = Simulation::new(SimModem::new(Script::default()), settings);
        simulation.at(100, |state| {
            let now = state.now;
            state.modem.ring_as(now, "01701234567", 129, 2);
        });
        simulation.run_until(200);
        let state = simulation.state();
        let [Incoming::Call { from }] = state.incoming.as_slice() else { panic!("{:?}", state.incoming) };
        assert_eq!(from.as_e164(), number);
        assert_eq!(simulation_country(country), country.unwrap_or(49));
    }
}

fn simulation_country(configured: Option<u16>) -> u16 {
    let mut settings = settings();
    settings.country = configured;
    let mut simulation = Simulation::new(SimModem::new(Script::default()), settings);
    simulation.run_until(60);
    simulation.status().country.unwrap()
}

/// A year of bad luck: none of the messages is lost or doubled beyond what the outcome says.
#[test]
fn a_thousand_messages_through_random_faults_are_neither_lost_nor_doubled() {
    let mut dice = Dice::new();
    println!("seed {}", dice.seed);
    let mut faults = Vec::new();
    for _ in 0..600 {
        let taken = dice.below(2) == 0;
        let act = match dice.below(12) {
            0 => Act::Silence { taken },
            1 => Act::Restart { taken },
            2 => Act::Hang { taken },
            3 => Act::NoOk,
            4 => Act::Say("ERROR"),
            5 => Act::Say("+CME ERROR: 14"),
            6 => Act::Unplug { taken },
            code => Act::Say(
                ["+CMS ERROR: 38", "+CMS ERROR: 500", "+CMS ERROR: 332", "+CMS ERROR: 1", "+CMS ERROR: 302"]
                    [code as usize - 7],
            ),
        };
        let on = match dice.below(6) {
            0 => On::Command("AT+CMGS"),
            1 => On::Command("AT+CREG?"),
            2 => On::Command("AT+CMGF"),
            _ => On::Message,
        };
        // What is said must be an answer to what was asked.
        let act = match (on, act) {
            (On::Message, act) => act,
            (_, Act::NoOk | Act::Say(_)) => Act::Say("ERROR"),
            (_, act) => act,
        };
        faults.push(Fault { on, skip: dice.below(4) as u32, times: 1, act });
    }
    let script = Script { faults, chatter: true, ..Script::default() };
    let mut simulation = simulation(script);
    for n in 0..1000u64 {
        simulation.at(100 + n * 300, move |state| {
            // Somebody plugs it in again, sooner or later.
            if !state.modem.plugged {
                state.plug(["/dev/ttyUSB0", "/dev/ttyUSB5"][n as usize % 2]);
            }
            state.order(NUMBER, &format!("message {n}."));
        });
    }
    simulation.run_until(100 + 1002 * 300);
    let sent = texts(&simulation);
    let state = simulation.state();
    let mut counts = std::collections::BTreeMap::new();
    for n in 0..1000 {
        let times = sent.iter().filter(|text| **text == format!("message {n}.")).count();
        let outcome = word(state.tickets[n].try_outcome());
        *counts.entry(outcome).or_insert(0) += 1;
        let fits = match outcome {
            "accepted" => times == 1,
            "refused" | "not allowed" => times == 0,
            "unknown" => times <= 1,
            _ => false,
        };
        assert!(fits, "message {n}: {outcome}, sent {times} times; seed {}", dice.seed);
    }
    println!("{counts:?}, started {} times", state.modem.starts);
    assert!(counts["accepted"] > 500, "{counts:?}");
}
