//! Whole nodes whose provider reports what became of a message: over the node's web listener, signed, and believed only then. A
//! crash forgets no message that was paid for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/person.rs"]
mod person;
#[path = "support/provider_stub.rs"]
mod provider_stub;
mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use person::Person;
use provider_stub::{Authority, Reply, Stub};
use sha1::Sha1;
use support::client::Connect;
use support::http::Http;
use support::node::{Node, NodeOptions};
use support::secret;

const TOKEN: &str = "the-account's-t0ken";

/// A node with these providers, in this order.
fn node(stubs: &[(&str, &Stub)], authority: &Authority) -> Node {
    let mut options = NodeOptions::default();
    options.files.push(("ca.pem".into(), authority.pem.clone()));
    options.files.push(("provider.secret".into(), secret("t0p-s3cr3t")));
    options.files.push(("token.secret".into(), secret(TOKEN)));
    let names: Vec<String> = stubs.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    options.add_config(&format!("sms.routes = [{}]", names.join(", ")));
    for (name, stub) in stubs {
        let lines = format!(
            "kind = \"twilio-sms\"\naccount = \"AC0123456789abcdef0123456789abcdef\"\nuser = \"SK0123456789abcdef0123456789abcdef\"\n\
             from = \"Kontalk\"\nurl = \"{}\"\nsecret_file = \"provider.secret\"\nca_file = \"ca.pem\"\n\
             report_secret_file = \"token.secret\"\n",
            stub.url()
        );
        options.sections.insert(format!("sms.http.{name}"), lines);
    }
    Node::start(options)
}

/// Has a code sent to a number, and the provider call the message so. Gives where it is to report to.
fn sent(person: &Person, stub: &Stub, reference: &str) -> String {
    stub.then(Reply::json(201, format!("{{\"sid\":\"{reference}\",\"status\":\"queued\"}}")));
    person.stranger().request_code(&person.number, false).unwrap();
    let form = stub.asked_once().form();
    form.iter().find_map(|field| field.strip_prefix("StatusCallback=")).expect("where to report to").to_owned()
}

/// A report as Twilio sends it: the path, its signature, its form.
struct Report {
    path: String,
    signature: String,
    form: String,
}

fn report(url: &str, reference: &str, status: &str, error: &str) -> Report {
    let fields = [("ErrorCode", error), ("MessageSid", reference), ("MessageStatus", status)];
    let signed: String = fields.iter().map(|(name, value)| format!("{name}{value}")).collect();
    let mut mac = Hmac::<Sha1>::new_from_slice(TOKEN.as_bytes()).unwrap();
    mac.update(format!("{url}{signed}").as_bytes());
    let form: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Report {
        path: url[url.find("/sms/").unwrap()..].to_owned(),
        signature: STANDARD.encode(mac.finalize().into_bytes()),
        form: form.join("&"),
    }
}

impl Report {
    fn post(&self, node: &Node) -> u16 {
        let fields =
            [("Content-Type", "application/x-www-form-urlencoded"), ("X-Twilio-Signature", self.signature.as_str())];
        Http::to(node).ask("POST", &self.path, &fields, self.form.as_bytes()).status
    }
}

fn status(node: &Node) -> String {
    String::from_utf8(node.cli(&["sms", "status"]).stdout).unwrap()
}

#[test]
fn reports_count_once_and_only_if_they_are_genuine() {
    let authority = Authority::new();
    let stub = Stub::start(&authority);
    let node = node(&[("stub", &stub)], &authority);
    let anna = Person::new(1, "+15555215554", Connect::to(&node));
    let url = sent(&anna, &stub, "SM1");
    assert!(url.starts_with("https://") && url.contains("/sms/stub/"), "{url}");
    assert!(status(&node).contains("sent 1, verified 0, failed 0, arrived 0 of 1, not arrived 0"), "{}", status(&node));

    let good = || report(&url, "SM1", "delivered", "");
    let with = |change: fn(&mut Report)| {
        let mut report = good();
        change(&mut report);
        report.post(&node)
    };
    let elsewhere = report(&url.replace("/sms/", "/sms/x/../"), "SM1", "delivered", "");
    for (what, status, expected) in [
        ("another path", with(|r| r.path.truncate(r.path.len() - 1)), 404),
        ("another token", with(|r| r.path.replace_range(r.path.len() - 1.., "x")), 404),
        ("another provider", with(|r| r.path = r.path.replace("stub", "stab")), 404),
        ("unsigned", with(|r| r.signature.clear()), 403),
        ("signed for something else", with(|r| r.form = r.form.replace("SM1", "SM2")), 403),
        ("signed for another address", Report { path: good().path, ..elsewhere }.post(&node), 403),
        ("too long", with(|r| r.form += &"a".repeat(17_000)), 413),
        ("no form", with(|r| r.form = "a=%ff".into()), 400),
        ("no text", Http::to(&node).ask("POST", &good().path, &[], &[0xff]).status, 400),
        ("in the address", Http::to(&node).get(&format!("{}?{}", good().path, good().form)).status, 400),
        ("put", Http::to(&node).put(&good().path, good().form.as_bytes()).status, 405),
        ("of a message that nobody sent", report(&url, "SM9", "delivered", "").post(&node), 204),
        ("not over yet", report(&url, "SM1", "sent", "").post(&node), 204),
    ] {
        assert_eq!(status, expected, "{what}");
        let status = self::status(&node);
        assert!(status.contains("arrived 0 of 1, not arrived 0"), "{what}: {status}");
    }
    node.log_says("stub: reports of delivery are not signed with what report_secret_file holds (remedy: ");
    // And then as it should be, and twice, and the other way round.
    for report in [good(), good(), report(&url, "SM1", "failed", "30008")] {
        assert_eq!(report.post(&node), 204);
        let status = status(&node);
        assert!(status.contains("arrived 1 of 1, not arrived 0"), "{status}");
    }
}

#[test]
fn a_provider_whose_messages_do_not_arrive_is_used_last() {
    let authority = Authority::new();
    let (first, second) = (Stub::start(&authority), Stub::start(&authority));
    let node = node(&[("first", &first), ("second", &second)], &authority);
    let person = |index: usize| Person::new(index, &format!("+1555521{index}554"), Connect::to(&node));

    // A telephone that is off is no fault of the provider; but the number gets its next code by the other one.
    let anna = person(1);
    let url = sent(&anna, &first, "SM1");
    assert_eq!(report(&url, "SM1", "undelivered", "30003").post(&node), 204);
    node.log_says("first: a code did not arrive: the telephone is off or out of reach");
    sent(&anna, &second, "SM2");
    // A code that was lost on its way goes out again at once, the same one, and its user types it in.
    for index in [2, 3, 4] {
        let reference = format!("SM{index}0");
        let person = person(index);
        first.then(Reply::json(201, format!("{{\"sid\":\"{reference}\",\"status\":\"queued\"}}")));
        person.stranger().request_code(&person.number, false).unwrap();
        let lost = first.asked_once();
        second.then(Reply::json(201, format!("{{\"sid\":\"{reference}2\",\"status\":\"queued\"}}")));
        assert_eq!(report(&url, &reference, "failed", "30007").post(&node), 204);
        second.wait_for(1);
        let again = second.asked_once();
        let body = |form: Vec<String>| form.into_iter().find(|field| field.starts_with("Body=")).expect("a text");
        let text = body(again.form());
        assert_eq!(text, body(lost.form()));
        node.log_says("was sent his code again by second");
        let code: String = text.chars().filter(char::is_ascii_digit).collect();
        person.with_certificate().submit_code(&code).unwrap();
    }
    // Others get theirs there from the start, when it was three in a row.
    sent(&person(5), &second, "SM5");
    assert!(first.asked().is_empty());
    let status = status(&node);
    assert!(
        status.contains("first             sent 4, verified 0, failed 0, arrived 0 of 4, not arrived 4"),
        "{status}"
    );
    assert!(status.contains("little arrives in 1 countries"), "{status}");
    let whole = String::from_utf8(node.cli(&["status"]).stdout).unwrap();
    assert!(whole.contains("arrived 0 of 4, not arrived 4"), "{whole}");
}

#[test]
fn a_crash_forgets_no_message_that_was_paid_for() {
    let authority = Authority::new();
    let stub = Stub::start(&authority);
    let mut node = node(&[("stub", &stub)], &authority);
    for index in 1..=3 {
        let person = Person::new(index, &format!("+1555521{index}554"), Connect::to(&node));
        sent(&person, &stub, &format!("SM{index}"));
        node.kill9();
        node.start_again();
        let status = status(&node);
        assert!(status.contains(&format!("sent {index}, ")), "{status}");
        assert!(status.contains(&format!("codes left today  {}", 2000 - index)), "{status}");
    }
}
