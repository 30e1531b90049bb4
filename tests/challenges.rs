//! A node whose routes are a modem and a provider: each kind of challenge as a client meets it, and the second way when the first
//! is gone. The modem is simulated behind a serial line, the provider a stub.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/person.rs"]
mod person;
#[path = "support/provider_stub.rs"]
mod provider_stub;
mod support;

use std::thread;
use std::time::{Duration, Instant};

use person::Person;
use provider_stub::{Authority, Reply, Stub};
use support::client::Connect;
use support::modem_pty::PtyModem;
use support::modem_sim::Script;
use support::node::{Node, NodeOptions};
use support::registration::field;
use support::secret;
use support::stanzas::refusal;

/// The number of the node's SIM; it is no secret.
const OWN: &str = "+491700001234";

fn options(device: &PtyModem, routes: &str) -> NodeOptions {
    let mut options = NodeOptions::default();
    options.add_config(&format!("sms.modem.device = \"{}\"", device.device().display()));
    options.add_config(&format!("sms.own_number = \"{OWN}\""));
    options.add_config(&format!("sms.routes = {routes}"));
    options
}

fn ready(node: &Node) {
    let begun = Instant::now();
    while !String::from_utf8_lossy(&node.cli(&["modem", "status"]).stdout).contains("state       ready") {
        assert!(begun.elapsed() < Duration::from_secs(20), "the modem is never ready");
        thread::sleep(Duration::from_millis(50));
    }
}

fn code_at(device: &PtyModem, number: &str) -> String {
    let sim = device.sim();
    let sent = sim.sent.iter().rev().find(|sent| sent.to == number).expect("a code was sent");
    secret(sent.text.chars().take(6).collect::<String>())
}

#[test]
fn a_number_proves_itself_by_calling_the_node() {
    let device = PtyModem::start(Script::default());
    let node = Node::start(options(&device, r#"["modem", "modem challenge=callerid"]"#));
    ready(&node);
    let anna = Person::new(0, "+4915112345678", Connect::to(&node));
    let form = anna.stranger().registration_form().unwrap();
    assert!(form.to_text("jabber:client").contains("<value>callerid</value>"));
    let form = anna.stranger().request_challenge(&anna.number, Some("callerid")).unwrap();
    assert_eq!(field(&form, "challenge").as_deref(), Some("callerid"));
    assert_eq!(field(&form, "from").as_deref(), Some(OWN));
    assert_eq!(field(&form, "can-fallback").as_deref(), Some("1"));
    // Nobody has called yet; then somebody else does.
    let nothing = anna.with_certificate().submit_nothing();
    assert_eq!(nothing.err(), Some(refusal("bad-request", "modify")));
    device.sim().ring(device.now(), "+4915112345679", 2);
    node.log_says("somebody called, and nobody waits for a call");
    let nothing = anna.with_certificate().submit_nothing();
    assert_eq!(nothing.err(), Some(refusal("bad-request", "modify")));
    device.sim().ring(device.now(), &anna.number.e164, 2);
    node.log_says("a number proved itself by a call");
    let certified = anna.with_certificate().submit_nothing().expect("the number has called");
    assert_eq!(anna.with_certificate().submit_nothing().unwrap(), certified);
    let status = String::from_utf8(node.cli(&["sms", "status"]).stdout).unwrap();
    assert!(status.contains("modem/callerid    sent 1, verified 1, failed 0"), "{status}");
    assert_eq!(device.sim().sent, []);
}

#[test]
fn a_number_proves_itself_by_a_word_that_it_texts() {
    let device = PtyModem::start(Script::default());
    let node = Node::start(options(&device, r#"["modem challenge=word"]"#));
    ready(&node);
    let anna = Person::new(0, "+4915112345678", Connect::to(&node));
    let form = anna.stranger().request_code(&anna.number, false).unwrap();
    assert_eq!((field(&form, "challenge").as_deref(), field(&form, "from").as_deref()), (Some("callerid"), Some(OWN)));
    let word = secret(field(&form, "word").expect("a word to send"));
    device.sim().deliver(Duration::ZERO, &pdu(&anna.number.e164, "hello?"));
    node.log_says("a text message came in, and nobody waits for one");
    let nothing = anna.with_certificate().submit_nothing();
    assert_eq!(nothing.err(), Some(refusal("bad-request", "modify")));
    device.sim().deliver(Duration::ZERO, &pdu(&anna.number.e164, &format!("Kontalk {}.", word.to_lowercase())));
    node.log_says("a number proved itself by a text message");
    anna.with_certificate().submit_nothing().expect("the word came");
}

#[test]
fn a_number_proves_itself_by_the_call_that_it_sees() {
    let device = PtyModem::start(Script::default());
    let node = Node::start(options(&device, r#"["modem", "modem challenge=missedcall max=5"]"#));
    ready(&node);
    let anna = Person::new(0, "+4915112345678", Connect::to(&node));
    let form = anna.stranger().request_challenge(&anna.number, Some("missedcall")).unwrap();
    assert_eq!(field(&form, "challenge").as_deref(), Some("missedcall"));
    assert_eq!(field(&form, "from").as_deref(), Some("+49170000????"));
    assert_eq!(device.sim().dialled, [anna.number.e164.as_str()], "it rings already");
    assert_eq!(anna.with_certificate().submit_code("4321").err(), Some(refusal("bad-request", "modify")));
    anna.with_certificate().submit_code("1234").expect("the digits are right");
}

#[test]
fn what_the_modem_cannot_send_goes_by_the_provider_and_a_fallback_too() {
    let authority = Authority::new();
    let stub = Stub::start(&authority);
    let device = PtyModem::start(Script::default());
    let mut options = options(&device, r#"["modem +49", "stub sender=Kontalk"]"#);
    options.add_config("sms.countries = [\"+49\", \"+1\"]");
    options.files.push(("ca.pem".into(), authority.pem.clone()));
    options.files.push(("provider.secret".into(), secret("t0p-s3cr3t")));
    let lines = format!(
        "kind = \"vonage-sms\"\nuser = \"abcd1234\"\nfrom = \"Kontalk\"\nurl = \"{}\"\nsecret_file = \"provider.secret\"\n\
         ca_file = \"ca.pem\"\n",
        stub.url()
    );
    options.sections.insert("sms.http.stub".into(), lines);
    let node = Node::start(options);
    ready(&node);
    let taken = || Reply::json(200, r#"{"message-count":"1","messages":[{"status":"0","message-id":"0C1"}]}"#);
    let at_stub = |number: &str| {
        let form = stub.asked_once().form();
        assert!(form.contains(&format!("to={}", number.trim_start_matches('+'))), "{form:?}");
        let text = form.iter().find_map(|field| field.strip_prefix("text=")).expect("a text");
        secret(text.chars().take_while(char::is_ascii_digit).collect::<String>())
    };

    // By the modem; the message did not arrive: by the provider, whose code counts from then on.
    let anna = Person::new(0, "+4915112345678", Connect::to(&node));
    let form = anna.stranger().request_code(&anna.number, false).unwrap();
    assert_eq!(field(&form, "can-fallback").as_deref(), Some("1"));
    let first = code_at(&device, &anna.number.e164);
    stub.then(taken());
    let form = anna.stranger().request_challenge(&anna.number, None).unwrap();
    assert_eq!(field(&form, "from").as_deref(), Some("Kontalk"));
    assert_eq!(field(&form, "can-fallback"), None);
    let second = at_stub(&anna.number.e164);
    if first != second {
        assert_eq!(anna.with_certificate().submit_code(&first).err(), Some(refusal("bad-request", "modify")));
    }
    anna.with_certificate().submit_code(&second).expect("the provider's code is right");

    // Other countries are the provider's, and some are nobody's.
    let bruno = Person::new(1, "+15555215554", Connect::to(&node));
    stub.then(taken());
    bruno.stranger().request_code(&bruno.number, false).unwrap();
    bruno.with_certificate().submit_code(&at_stub(&bruno.number.e164)).expect("the code is right");
    let carla = Person::new(2, "+393351234567", Connect::to(&node));
    let refused = carla.stranger().request_code(&carla.number, false);
    assert_eq!(refused.err(), Some(refusal("not-acceptable", "modify")));

    // Without the modem the same code goes by the provider, in the same request.
    device.unplug();
    let dario = Person::new(3, "+4915112340000", Connect::to(&node));
    stub.then(taken());
    dario.stranger().request_code(&dario.number, false).unwrap();
    dario.with_certificate().submit_code(&at_stub(&dario.number.e164)).expect("the code is right");
    assert_eq!(device.sim().sent.len(), 1);
    let status = String::from_utf8(node.cli(&["sms", "status"]).stdout).unwrap();
    assert!(status.contains("modem             sent 1, verified 0, failed 1"), "{status}");
    assert!(status.contains("stub              sent 3, verified 3, failed 0"), "{status}");
    assert!(status.contains("left today  1996"), "{status}");
    // The modem's trouble is told, and that it is not all.
    let all = String::from_utf8(node.cli(&["status"]).stdout).unwrap();
    assert!(all.starts_with("The modem sends no codes, only other ways do: "), "{all}");
}

/// A message as the network hands it to the modem, in UCS-2. 3GPP TS 23.040 §9.2.2.1.
fn pdu(from: &str, text: &str) -> String {
    let digits = from.trim_start_matches('+');
    let padded: Vec<char> = digits.chars().chain((digits.len() % 2 == 1).then_some('F')).collect();
    let swapped: String = padded.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
    secret(swapped.clone());
    let words: String = text.encode_utf16().map(|unit| format!("{unit:04X}")).collect();
    let octets = words.len() / 2;
    format!("079194710167000004{:02X}91{swapped}000862010121436500{octets:02X}{words}", digits.len())
}
