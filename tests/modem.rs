//! The modem's driver behind a real serial line, as far as a pseudo terminal is one: the faults of [`modem_sim`] with their
//! outcomes, unplugging, PINs on the disk, what comes in; and gammu, which shows that the simulated modem is like a real one.
//! Hours and days of it are in `tests/modem_time.rs`.
//!
//! Times are short here, but no outcome depends on one: where a fault is silence, silence is waited for.
//!
//! [`modem_sim`]: support::modem_sim
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kontalk_node::phone::{Code, HashKey, PhoneNumber, SmsText};
use kontalk_node::sms::modem::{Dialled, Incoming, Modem, ModemError, Phase, Settings, SimState, Timing};
use kontalk_node::sms::pdu::{DeliveryState, Hidden};
use kontalk_node::sms::{Accepted, SmsError, SmsSender};
use smol::channel::Receiver;
use support::modem_pty::PtyModem;
use support::modem_sim::{Act, Script, SimModem, at_command, at_message};

/// A driver at work, in a thread of its own.
struct Driven {
    modem: Option<Modem>,
    incoming: Receiver<Incoming>,
    thread: Option<JoinHandle<()>>,
}

impl Driven {
    fn start(settings: Settings) -> Driven {
        let parts = Modem::prepare(settings, 1);
        let task = parts.task;
        let thread = thread::spawn(move || smol::block_on(task));
        Driven { modem: Some(parts.modem), incoming: parts.incoming, thread: Some(thread) }
    }

    /// On this modem, and ready.
    fn ready(device: &PtyModem) -> Driven {
        let driven = Driven::start(settings(device));
        driven.until_ready();
        driven
    }

    fn modem(&self) -> &Modem {
        self.modem.as_ref().unwrap()
    }

    fn send(&self, text: &str) -> Result<Accepted, SmsError> {
        smol::block_on(self.modem().send(&number(), Hidden::new(text), Duration::from_secs(600)))
    }

    fn until_ready(&self) {
        self.until(|modem| modem.is_ready());
    }

    fn until(&self, is: impl Fn(&Modem) -> bool) {
        let begun = Instant::now();
        while !is(self.modem()) {
            assert!(begun.elapsed() < PATIENCE, "it never comes to that:\n{}", self.modem().status());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn next(&self) -> Incoming {
        let late = async {
            smol::Timer::after(PATIENCE).await;
            panic!("nothing comes in:\n{}", self.modem().status())
        };
        smol::block_on(smol::future::or(async { self.incoming.recv().await.unwrap() }, late))
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.modem = None;
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()), "the driver panicked");
    }
}

fn settings(device: &PtyModem) -> Settings {
    let mut settings = Settings::new(device.dir(), HashKey::new([7; 32]));
    settings.device = Some(device.device());
    settings.watch_calls = true;
    settings.power_cycle = Some(device.power_switch());
    settings.timing = quick();
    settings
}

/// As short as it may be without a busy machine being taken for a broken modem.
fn quick() -> Timing {
    let millis = Duration::from_millis;
    Timing {
        answer: millis(5000),
        slow_answer: millis(5000),
        wake: millis(300),
        settle: millis(20),
        prompt: millis(5000),
        send: millis(5000),
        late_ok: millis(200),
        registration_poll: millis(20),
        registration: millis(5000),
        network_patience: millis(500),
        sim_poll: millis(20),
        sim_busy: millis(1000),
        health: millis(300),
        pause: millis(10),
        after_unknown: millis(20),
        retry: [millis(20), millis(20)],
        busy_retry: millis(20),
        radio_off: millis(20),
        restart: millis(50),
        absent_poll: millis(20),
        backoff_first: millis(20),
        backoff_longest: millis(100),
        ussd: millis(3000),
        dial: millis(3000),
        call_poll: millis(20),
        ..Timing::default()
    }
}

fn number() -> PhoneNumber {
    PhoneNumber::parse(NUMBER).unwrap()
}

fn word(outcome: &Result<Accepted, SmsError>) -> &'static str {
    match outcome {
        Ok(_) => "accepted",
        Err(SmsError::Refused(_)) => "refused",
        Err(SmsError::NotAllowed(_)) => "not allowed",
        Err(SmsError::Later(..)) => "later",
        Err(SmsError::Unknown(_)) => "unknown",
    }
}

fn texts(device: &PtyModem) -> Vec<String> {
    device.sim().sent.iter().map(|sent| sent.text.clone()).collect()
}

const NUMBER: &str = "+4915112345678";
const PATIENCE: Duration = Duration::from_secs(60);
const BOTH: &[&str] = &["the first", "the second"];
const SECOND: &[&str] = &["the second"];

/// A message that meets the fault, and one after it: how the first ended and what the network got.
fn two_messages(name: &str, script: Script, outcome: &str, sent: &[&str]) {
    let device = PtyModem::start(script);
    let driven = Driven::ready(&device);
    assert_eq!(word(&driven.send("the first")), outcome, "{name}:\n{}", driven.modem().status());
    if !device.sim().plugged {
        driven.until(|modem| modem.status().phase == Phase::Absent);
        device.plug();
    }
    // What does not answer is looked at first.
    driven.until_ready();
    let second = driven.send("the second");
    assert_eq!(word(&second), "accepted", "{name}: {second:?}\n{}", driven.modem().status());
    assert_eq!(texts(&device), sent, "{name}");
    assert_eq!(device.sim().early_bytes, 0, "{name}: bytes before the prompt are lost");
    assert!(device.sim().sent.iter().all(|sent| sent.to == NUMBER), "{name}");
}

#[test]
fn however_the_modem_talks_messages_are_sent_once() {
    let slow = Script { prompt_after: Duration::from_secs(1), network: Duration::from_secs(1), ..Script::default() };
    for (name, script) in [
        ("echo that stays on", Script { stubborn_echo: true, ..Script::default() }),
        ("one byte at a time", Script { bytewise: true, stubborn_echo: true, ..Script::default() }),
        ("notices everywhere", Script { chatter: true, ..Script::default() }),
        ("garbage everywhere", Script { garbage: true, ..Script::default() }),
        (
            "all of it",
            Script { bytewise: true, chatter: true, garbage: true, stubborn_echo: true, ..Script::default() },
        ),
        ("slow prompt and network", slow),
        ("slow network to register", Script { registers_after: Duration::from_millis(700), ..Script::default() }),
        ("SIM busy at the start", Script { sim_busy: Duration::from_millis(500), ..Script::default() }),
    ] {
        two_messages(name, script, "accepted", BOTH);
    }
}

#[test]
fn errors_have_the_outcome_that_they_mean() {
    for (words, outcome, sent) in [
        ("+CMS ERROR: 38", "accepted", BOTH),
        ("+CMS ERROR: 42", "accepted", BOTH),
        ("+CMS ERROR: 500", "accepted", BOTH),
        ("+CMS ERROR: 300", "accepted", BOTH),
        ("+CMS ERROR: 515", "accepted", BOTH),
        ("+CMS ERROR: 322", "accepted", BOTH),
        ("+CMS ERROR: 331", "accepted", BOTH),
        ("+CMS ERROR: 127", "accepted", BOTH),
        ("+CME ERROR: 14", "accepted", BOTH),
        ("ERROR", "accepted", BOTH),
        ("+CMS ERROR: 1", "refused", SECOND),
        ("+CMS ERROR: 8", "not allowed", SECOND),
        ("+CMS ERROR: 21", "not allowed", SECOND),
        ("+CMS ERROR: 330", "not allowed", SECOND),
        ("+CMS ERROR: 197", "accepted", SECOND),
        ("+CMS ERROR: 332", "unknown", SECOND),
    ] {
        two_messages(words, at_message(Act::Say(words)), outcome, sent);
    }
}

#[test]
fn silence_is_an_unknown_outcome_and_nothing_is_sent_twice() {
    for (name, act, outcome, sent) in [
        ("silence, taken", Act::Silence { taken: true }, "unknown", BOTH),
        ("silence, not taken", Act::Silence { taken: false }, "unknown", SECOND),
        ("no OK", Act::NoOk, "accepted", BOTH),
    ] {
        two_messages(name, at_message(act), outcome, sent);
    }
    two_messages("no prompt", at_command("AT+CMGS", Act::Silence { taken: false }), "accepted", BOTH);
}

#[test]
fn a_modem_that_reboots_is_set_up_again() {
    for (name, script, outcome, sent) in [
        ("reboot, taken", at_message(Act::Restart { taken: true }), "unknown", BOTH),
        ("reboot, not taken", at_message(Act::Restart { taken: false }), "unknown", SECOND),
        ("reboot before the prompt", at_command("AT+CMGS", Act::Restart { taken: false }), "refused", SECOND),
    ] {
        two_messages(name, script, outcome, sent);
    }
    // One that says nothing of it, and takes the length of a PDU for a telephone number then.
    let device = PtyModem::start(Script { text_by_default: true, silent_restart: true, ..Script::default() });
    let mut settings = settings(&device);
    settings.timing.health = Duration::from_secs(60);
    let driven = Driven::start(settings);
    driven.until_ready();
    let now = device.now();
    device.sim().plug(now);
    assert_eq!(word(&driven.send("careful")), "accepted");
    let receivers: Vec<String> = device.sim().sent.iter().map(|sent| sent.to.clone()).collect();
    assert_eq!(receivers, [NUMBER]);
}

#[test]
fn unplugged_in_the_middle_of_a_message_and_back_under_another_name() {
    for (name, script, outcome, sent) in [
        ("unplugged, taken", at_message(Act::Unplug { taken: true }), "unknown", BOTH),
        ("unplugged, not taken", at_message(Act::Unplug { taken: false }), "unknown", SECOND),
        ("unplugged before the prompt", at_command("AT+CMGS", Act::Unplug { taken: false }), "refused", SECOND),
    ] {
        two_messages(name, script, outcome, sent);
    }
}

#[test]
fn unplugged_at_leisure_messages_are_refused_at_once_and_go_out_when_it_is_back() {
    let device = PtyModem::start(Script::default());
    let driven = Driven::ready(&device);
    let before = device.terminal().unwrap();
    for round in 0..3 {
        assert_eq!(word(&driven.send(&format!("there {round}"))), "accepted");
        device.unplug();
        driven.until(|modem| modem.status().phase == Phase::Absent);
        assert_eq!(word(&driven.send("gone")), "refused");
        assert!(driven.modem().status().last_error.unwrap().text.contains("plug"));
        device.plug();
        driven.until_ready();
    }
    assert_ne!(device.terminal().unwrap(), before);
    assert_eq!(texts(&device), ["there 0", "there 1", "there 2"]);
    let status = driven.modem().status();
    assert_eq!((status.sent, status.refused, status.unknown), (3, 3, 0));
}

#[test]
fn a_modem_that_hangs_has_its_power_switched() {
    let script = at_message(Act::Hang { taken: true });
    let device = PtyModem::start(script);
    let driven = Driven::start(Settings {
        timing: Timing { answer: Duration::from_secs(1), send: Duration::from_secs(1), ..quick() },
        ..settings(&device)
    });
    driven.until_ready();
    assert_eq!(word(&driven.send("the first")), "unknown");
    driven.until(|modem| modem.is_ready() && device.sim().starts > 1);
    assert_eq!(word(&driven.send("the second")), "accepted");
    assert_eq!(texts(&device), BOTH);
}

#[test]
fn a_right_pin_opens_the_sim_and_a_wrong_one_is_entered_once_over_all_restarts() {
    for tells_tries in [true, false] {
        let device = PtyModem::start(Script { pin: Some("1234"), tells_tries, ..Script::default() });
        let with_pin = || Settings { pin_file: Some(device.dir().join("pin")), ..settings(&device) };
        fs::write(device.dir().join("pin"), "9876\n").unwrap();
        // A node that is started again and again, and a modem that is unplugged meanwhile.
        for _ in 0..3 {
            let driven = Driven::start(with_pin());
            driven.until(|modem| modem.status().sim == SimState::PinRefused);
            assert_eq!(driven.modem().status().phase, Phase::Blocked);
            assert_eq!(word(&driven.send("never")), "not allowed");
            drop(driven);
            device.unplug();
            device.plug();
        }
        assert_eq!(device.sim().pins, ["9876"]);
        let written = fs::read_to_string(device.dir().join("modem-pins")).unwrap();
        assert!(written.starts_with("wrong ") && !written.contains("9876") && !written.contains("1234"), "{written}");
        // Only a person may enter another now, where the tries are known; else the right one is tried once.
        fs::write(device.dir().join("pin"), "1234\n").unwrap();
        let driven = Driven::start(with_pin());
        if tells_tries {
            driven.until(|modem| modem.status().last_error.is_some_and(|error| error.text.contains("three tries")));
            assert_eq!(device.sim().pins, ["9876"]);
        } else {
            driven.until_ready();
            assert_eq!(device.sim().pins, ["9876", "1234"]);
        }
    }
    let device = PtyModem::start(Script { pin: Some("1234"), ..Script::default() });
    fs::write(device.dir().join("pin"), " 1234 \n").unwrap();
    let driven = Driven::start(Settings { pin_file: Some(device.dir().join("pin")), ..settings(&device) });
    driven.until_ready();
    assert_eq!(word(&driven.send("open")), "accepted");
    assert_eq!(device.sim().pins, ["1234"]);
    let written = fs::read_to_string(device.dir().join("modem-pins")).unwrap();
    assert_eq!(written, "");
}

#[test]
fn a_sim_that_wants_its_puk_and_one_that_is_missing_wait_for_a_person() {
    let mut sim = SimModem::new(Script { pin: Some("1234"), ..Script::default() });
    sim.puk = true;
    let device = PtyModem::with(sim);
    fs::write(device.dir().join("pin"), "1234").unwrap();
    let driven = Driven::start(Settings { pin_file: Some(device.dir().join("pin")), ..settings(&device) });
    driven.until(|modem| modem.status().phase == Phase::Blocked);
    assert_eq!(driven.modem().status().sim, SimState::PukWanted);
    assert_eq!(word(&driven.send("never")), "not allowed");
    assert!(device.sim().pins.is_empty());

    let mut sim = SimModem::new(Script::default());
    sim.sim_present = false;
    let device = PtyModem::with(sim);
    let driven = Driven::start(settings(&device));
    driven.until(|modem| modem.status().phase == Phase::Blocked);
    assert_eq!(driven.modem().status().sim, SimState::Missing);
    device.sim().sim_present = true;
    driven.until_ready();
    assert_eq!(word(&driven.send("now")), "accepted");
}

#[test]
fn without_a_network_a_message_is_refused_and_the_next_goes_out_with_one() {
    let device = PtyModem::start(Script::default());
    let driven = Driven::ready(&device);
    device.sim().coverage = false;
    driven.until(|modem| !modem.status().registration.is_registered());
    assert_eq!(word(&driven.send("unheard")), "refused");
    device.sim().coverage = true;
    driven.until_ready();
    assert_eq!(word(&driven.send("heard")), "accepted");
    assert_eq!(texts(&device), ["heard"]);
}

const ASKED: &str = "0791947101670000040C919471909999990000623040506070400BD6A23469CC8268B7580C";
const REPORT: &str = "079194710167000006050D91945111325476F8623040506070406230405060704000";

#[test]
fn messages_come_in_also_through_a_full_sim() {
    let device = PtyModem::start(Script { places: 2, chatter: true, ..Script::default() });
    for _ in 0..5 {
        device.sim().deliver(Duration::ZERO, ASKED);
    }
    let driven = Driven::ready(&device);
    for _ in 0..5 {
        let Incoming::Sms { from, text, centre } = driven.next() else { panic!("a message") };
        assert_eq!((from.as_e164(), text.as_str()), ("+491709999999", "VERIFY 4711"));
        assert_eq!(centre.unwrap().as_e164(), "+491710760000");
    }
    driven.until(|_| device.sim().stored() == 0);
    assert_eq!(driven.modem().status().country, Some(49));
}

#[test]
fn reports_calls_balances_and_missed_calls_work() {
    let device = PtyModem::start(Script { chatter: true, ..Script::default() });
    let driven = Driven::start(Settings { delivery_reports: true, ..settings(&device) });
    driven.until_ready();
    assert_eq!(word(&driven.send("with a report")), "accepted");
    assert!(device.sim().sent[0].report);
    let now = device.now();
    device.sim().deliver(now, REPORT);
    let Incoming::Report { reference, to, state } = driven.next() else { panic!("a report") };
    assert_eq!((reference.as_str(), to.unwrap(), state), ("5", number(), DeliveryState::Delivered));

    device.sim().ring(device.now(), "+491701234567", 4);
    let Incoming::Call { from } = driven.next() else { panic!("a call") };
    assert_eq!(from.as_e164(), "+491701234567");
    driven.until(|_| device.sim().hung_up > 0);
    device.sim().ring(device.now() + Duration::from_millis(300), "+491701234568", 2);
    let Incoming::Call { from } = driven.next() else { panic!("another call, told once") };
    assert_eq!(from.as_e164(), "+491701234568");

    device.sim().ussd = Some("+CUSD: 0,\"Credit 1.50 EUR\",15".to_owned());
    assert_eq!(smol::block_on(driven.modem().ussd("*100#")).unwrap().as_str(), "Credit 1.50 EUR");
    assert_eq!(smol::block_on(driven.modem().ussd("AT+CFUN=0")), Err(ModemError::NotACode));

    device.sim().call_states = [2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3].into();
    let rang = smol::block_on(driven.modem().dial(&number(), Duration::from_millis(200)));
    assert_eq!(rang, Ok(Dialled::Rang));
    assert_eq!(device.sim().dialled, [NUMBER]);
}

#[test]
fn a_verification_message_is_one_part_and_says_how_long_it_lasts() {
    let device = PtyModem::start(Script::default());
    let driven = Driven::ready(&device);
    let sender = driven.modem().sender();
    let text = SmsText::verification(&Code::parse("012345").unwrap());
    let accepted = smol::block_on(sender.send(&number(), &text)).unwrap();
    assert_eq!(accepted.reference.as_deref(), Some("1"));
    assert_eq!(texts(&device), [text.as_str()]);
    assert_eq!(sender.describe(), "modem: Simulated SIM1000");
}

#[test]
fn a_port_that_cannot_be_opened_is_told_with_a_remedy() {
    for (device, words) in
        [("/nonexistent/tty", "usb-modeswitch"), ("/dev/null", "name a serial port"), ("/proc/self/mem/x", "remedy")]
    {
        let device_path = Path::new(device).to_owned();
        let settings = Settings::new(std::env::temp_dir(), HashKey::new([7; 32]));
        let driven = Driven::start(Settings { device: Some(device_path), timing: quick(), ..settings });
        driven.until(|modem| modem.status().last_error.is_some());
        let text = driven.modem().status().last_error.unwrap().text;
        assert!(text.contains(device) && text.contains(words), "{text}");
        assert_eq!(word(&driven.send("never")), "refused");
    }
}

/// gammu on this modem, with these words on its command line. What it printed.
fn gammu(device: &PtyModem, words: &[&str]) -> String {
    let config = device.dir().join("gammurc");
    let log = device.dir().join("gammu.log");
    let text = format!(
        "[gammu]\ndevice = {}\nconnection = at115200\nlogfile = {}\nlogformat = textall\n",
        device.device().display(),
        log.display()
    );
    fs::write(&config, text).unwrap();
    let output = Command::new("timeout").arg("60").arg("gammu").arg("-c").arg(&config).args(words).output();
    let output = match output {
        Ok(output) if output.status.code() != Some(127) => output,
        _ => panic!("gammu is missing (remedy: apt-get install gammu)"),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = fs::read_to_string(log).unwrap_or_default();
    assert!(output.status.success(), "gammu {words:?} ended with {}\n{text}\n{errors}", output.status);
    text
}

/// An independent program finds nothing strange about the modem: it sends with it, and reads what came in.
#[test]
fn gammu_is_content_with_the_simulated_modem() {
    let device = PtyModem::start(Script::default());
    let identified = gammu(&device, &["identify"]);
    assert!(identified.contains("490154203237518") && identified.contains("SIM1000"), "{identified}");
    let locked = gammu(&device, &["getsecuritystatus"]);
    assert!(locked.contains("Nothing to enter"), "{locked}");

    let long = "Zehn Zeichen ".repeat(30);
    let cases: [(&[&str], &str); 4] = [
        (&["-text", "Your code is 123456"], "Your code is 123456"),
        (&["-text", "[5€] {a}~ Grüße"], "[5€] {a}~ Grüße"),
        (&["-unicode", "-text", "Код: 123456"], "Код: 123456"),
        (&["-len", "400", "-text", &long], long.trim()),
    ];
    for (options, text) in cases {
        device.sim().sent.clear();
        let words = [&["sendsms", "TEXT", NUMBER], options].concat();
        gammu(&device, &words);
        let sim = device.sim();
        assert_eq!(sim.sent.iter().map(|sent| sent.text.as_str()).collect::<String>().trim(), text);
        assert!(sim.sent.iter().all(|sent| sent.to == NUMBER) && sim.early_bytes == 0);
    }

    device.sim().deliver(Duration::ZERO, ASKED);
    let name = "0791947101670000040BD0CDBC30EC5E030000623040506070400B47B9DF53066D50B14D0A";
    device.sim().deliver(Duration::ZERO, name);
    let read = gammu(&device, &["getallsms"]);
    for part in ["+491709999999", "VERIFY 4711", "MyBank", "Grüße {1}"] {
        assert!(read.contains(part), "{read}");
    }
    gammu(&device, &["deletesms", "1", "1"]);
    assert_eq!(device.sim().stored(), 1);
}
