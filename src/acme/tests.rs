use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::jws::{Jwk, Unsigned, dns_value};
use super::*;

fn key() -> Jwk {
    let mut point = [7; 65];
    point[0] = 4;
    Jwk::of_point(&point).unwrap()
}

fn purpose() -> Purpose {
    Purpose {
        directory: "https://ca.test/dir".to_owned(),
        contact: vec!["mailto:a@b.example".to_owned()],
        names: vec!["a.example".to_owned()],
        challenge: Challenge::Http01,
        key: key(),
        account: None,
        request: vec![1, 2, 3],
    }
}

fn ok(body: Value) -> Answer {
    Answer { status: 200, nonce: Some("n1".to_owned()), body: body.to_string().into_bytes(), ..Answer::default() }
}

fn at(location: &str, body: Value) -> Answer {
    Answer { status: 201, location: Some(location.to_owned()), ..ok(body) }
}

fn no(kind: &str) -> Answer {
    Answer { status: 400, ..ok(json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "words" })) }
}

fn directory() -> Answer {
    Answer {
        nonce: None,
        ..ok(
            json!({ "newNonce": "https://ca.test/n", "newAccount": "https://ca.test/a", "newOrder": "https://ca.test/o" }),
        )
    }
}

fn order(status: &str) -> Value {
    json!({ "status": status, "authorizations": ["https://ca.test/z"], "finalize": "https://ca.test/f",
            "certificate": "https://ca.test/c", "error": { "type": "urn:ietf:params:acme:error:caa", "detail": "no" } })
}

fn authorization(status: &str) -> Value {
    json!({ "status": status, "identifier": { "type": "dns", "value": "a.example" }, "challenges": [
        { "type": "other-99", "url": "https://ca.test/h0", "token": "x" },
        { "type": "http-01", "url": "https://ca.test/h", "token": "tok_en-1", "error": { "detail": "not\nfound" } },
    ] })
}

/// Plays a server that gives these answers, and tells what was done: requests as `HEAD url`, `POST url`, and the rest by name.
fn play(answers: Vec<Answer>) -> (Vec<String>, Step) {
    let (mut answers, mut told) = (VecDeque::from(answers), Vec::new());
    let mut errand = Errand::new(purpose());
    let mut step = errand.begin();
    loop {
        step = match step {
            Step::Ask(ask) => {
                let method = match &ask.method {
                    Method::Get => "GET",
                    Method::Head => "HEAD",
                    Method::Post { account: None, .. } => "JWK",
                    Method::Post { payload: None, .. } => "READ",
                    Method::Post { .. } => "POST",
                };
                told.push(format!("{method} {}", ask.url.trim_start_matches("https://ca.test/")));
                match answers.pop_front() {
                    Some(answer) => errand.answered(&answer),
                    None => return (told, Step::Ask(ask)),
                }
            }
            Step::Prove(proofs) => {
                assert_eq!(proofs[0].key_authorization, format!("tok_en-1.{}", key().thumbprint()));
                told.push("prove".to_owned());
                errand.proofs_are_there()
            }
            Step::Wait(time) => {
                told.push(format!("wait {}", time.as_secs()));
                errand.waited()
            }
            over => return (told, over),
        };
    }
}

fn until_proved() -> Vec<Answer> {
    vec![
        directory(),
        ok(json!(null)),
        at("https://ca.test/me", json!({})),
        at("https://ca.test/o/1", order("pending")),
        ok(authorization("pending")),
        ok(json!({})),
    ]
}

#[test]
fn an_order_goes_from_the_directory_to_the_chain() {
    let mut answers = until_proved();
    let pem = b"-----BEGIN CERTIFICATE-----\n".to_vec();
    answers.extend([
        Answer { retry_after: Some(Duration::from_secs(7)), ..ok(authorization("pending")) },
        ok(authorization("valid")),
        ok(order("processing")),
        ok(order("valid")),
        Answer { body: pem.clone(), ..ok(json!(null)) },
    ]);
    let (told, end) = play(answers);
    assert_eq!(end, Step::Done(pem));
    let expected = [
        "GET dir", "HEAD n", "JWK a", "POST o", "READ z", "prove", "POST h", "wait 1", "READ z", "wait 7", "READ z",
        "POST f", "wait 4", "READ o/1", "READ c",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_proved_already_is_not_proved_again() {
    let mut answers = until_proved();
    answers.truncate(4);
    answers.extend([ok(authorization("valid")), ok(order("valid"))]);
    let (told, _) = play(answers);
    assert_eq!(told[4..], ["READ z", "POST f", "READ c"]);
}

#[test]
fn a_stale_nonce_is_replaced_and_a_lost_account_made_anew() {
    let (told, _) = play(vec![directory(), ok(json!(null)), no("badNonce"), at("https://ca.test/me", json!({}))]);
    assert_eq!(told, ["GET dir", "HEAD n", "JWK a", "JWK a", "POST o"]);
    let mut errand = Errand::new(Purpose { account: Some("https://ca.test/old".to_owned()), ..purpose() });
    errand.begin();
    errand.answered(&directory());
    errand.answered(&ok(json!(null)));
    let step = errand.answered(&no("accountDoesNotExist"));
    assert!(matches!(step, Step::Ask(Ask { method: Method::Post { account: None, .. }, .. })), "{step:?}");
    assert_eq!(errand.account(), None);
}

#[test]
fn refusals_and_nonsense_end_the_errand_with_a_reason() {
    let with = |count: usize, last: Answer| {
        let mut answers = until_proved();
        answers.truncate(count);
        answers.push(last);
        match play(answers).1 {
            Step::Failed(fault) => fault.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let strange =
        json!({ "status": "pending", "identifier": { "type": "dns", "value": "b.example" }, "challenges": [] });
    let other_kind =
        json!({ "status": "pending", "identifier": { "type": "dns", "value": "a.example" }, "challenges": [] });
    let many: Vec<String> = (0..99).map(|n| format!("https://ca.test/{n}")).collect();
    let flood = json!({ "status": "pending", "authorizations": many, "finalize": "https://ca.test/f" });
    for (count, last, expected) in [
        (0, ok(json!({})), "a URL is missing"),
        (0, Answer { body: vec![b' '; 1 << 20], ..ok(json!(null)) }, "too long"),
        (0, ok(json!({ "newNonce": "http://ca.test/n", "newAccount": "", "newOrder": "" })), "a URL is missing"),
        (1, Answer { nonce: Some("no\r\nnonce".to_owned()), ..ok(json!(null)) }, "no nonce"),
        (2, no("rateLimited"), "refuses (rateLimited): words (remedy: nothing"),
        (2, Answer { location: Some("https://ca.test/\r\nx".to_owned()), ..ok(json!({})) }, "a URL is missing"),
        (3, at("https://ca.test/o/1", flood), "number of authorizations"),
        (3, at("https://ca.test/o/1", order("invalid")), "refuses (caa)"),
        (4, ok(strange), "was not asked for"),
        (4, ok(other_kind), "does not take proofs by http-01 for a.example"),
        (
            6,
            ok(authorization("invalid")),
            "did not find the proof for a.example by http-01: not found (remedy: port 80",
        ),
        (6, Answer { status: 302, ..ok(json!({})) }, "neither success nor a problem"),
        (6, Answer { status: 500, body: b"<html>".to_vec(), ..ok(json!({})) }, "(HTTP 500)"),
    ] {
        let fault = with(count, last);
        assert!(fault.contains(expected), "{fault} / {expected}");
    }
}

#[test]
fn a_server_that_never_comes_to_an_end_is_left() {
    let mut answers = until_proved();
    answers.extend((0..1000).map(|_| ok(authorization("pending"))));
    let (told, end) = play(answers);
    assert_eq!(end, Step::Failed(Fault::TooLong));
    assert!(told.len() < 100);
    let mut answers = until_proved();
    answers.truncate(2);
    answers.extend((0..1000).map(|_| no("badNonce")));
    let (told, end) = play(answers);
    assert!(matches!(end, Step::Failed(Fault::Refused { .. })) && told.len() < 20, "{end:?}");
}

#[test]
fn tokens_of_a_strange_form_are_no_offers() {
    for token in ["", "../../etc/passwd", "a b", "a\r\nb", &"a".repeat(300)] {
        let mut value = authorization("pending");
        value["challenges"][1]["token"] = json!(token);
        let mut answers = until_proved();
        answers.truncate(4);
        answers.push(ok(value));
        assert!(matches!(play(answers).1, Step::Failed(Fault::NotOffered { .. })), "{token:?}");
    }
}

#[test]
fn keys_and_texts_have_the_forms_of_their_rfcs() {
    // RFC 7638 §3.1 has an RSA key; this one was computed by hand of its rule. RFC 8555 §8.4 wants the digest, not the text.
    assert_eq!(key().thumbprint().len(), 43);
    assert_eq!(Jwk::of_point(&[4; 64]), None);
    assert_eq!(Jwk::of_point(&[3; 65]), None);
    assert_eq!(dns_value("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    let unsigned = Unsigned::new("https://ca.test/x", "n", &key(), Some("https://ca.test/me"), None);
    assert!(unsigned.signing_input().ends_with('.'), "POST-as-GET has an empty payload");
    let text: Value = serde_json::from_str(&unsigned.signed(&[0; 64])).unwrap();
    assert_eq!(text["payload"], "");
}

#[test]
fn renewal_is_at_two_thirds_and_failures_wait_longer_each_time() {
    let day = Duration::from_secs(86_400);
    let from = SystemTime::UNIX_EPOCH;
    assert_eq!(schedule::renew_at(from, from + 90 * day), from + 60 * day);
    assert_eq!(schedule::renew_at(from + day, from), from + day);
    let minutes = |failures, asked| schedule::retry_in(failures, u32::MAX, asked).as_secs() / 60;
    assert_eq!([1, 2, 3, 7, 8, 1000].map(|failures| minutes(failures, None)), [15, 30, 60, 960, 1440, 1440]);
    assert_eq!(minutes(1, Some(2 * day)), 2 * 1440);
    assert_eq!(minutes(1, Some(365 * day)), 7 * 1440);
    assert!(schedule::retry_in(1, 0, None) >= Duration::from_secs(450));
}
