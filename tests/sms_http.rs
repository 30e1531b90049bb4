//! HTTP providers against servers on this machine that speak, over TLS, each provider's documented answers, errors and rate
//! limits, and that hang, break off, drip and overflow. Of nothing that happens here does a log or an error tell a number, a
//! code, a text or a secret.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/provider_stub.rs"]
mod provider_stub;
#[path = "support/provider_world.rs"]
mod provider_world;

use std::net::TcpListener;
use std::time::Duration;

use kontalk_node::sms::http::{
    Android, Kind, Login, Settings, Template, TwilioSms, TwilioVerify, VonageSms, VonageVerify, build,
};
use provider_stub::{Authority, Reply, Stub, decoded};
use provider_world::{
    ACCOUNT, CODE, KEY, NUMBER, REFERENCE, SECRET, SERVICE, TEXT, World, by_status, check, message, send, start, word,
};
use serde_json::json;

#[test]
fn vonage_is_asked_as_it_wants_and_its_statuses_are_understood() {
    let world = World::new();
    let sender = world.sender(Kind::VonageSms(VonageSms {
        url: world.stub.url(),
        login: world.login("abcd1234"),
        from: "Kontalk".into(),
        callback: Some("https://a.example/r/x".into()),
    }));
    let parts = |statuses: &[&str]| {
        let one = |status: &&str| json!({"to": "4915112345678", "message-id": "0C0000", "status": status, "error-text": "quotes +4915112345678"});
        let messages: Vec<_> = statuses.iter().map(one).collect();
        json!({"message-count": messages.len().to_string(), "messages": messages}).to_string()
    };
    world.stub.then(Reply::json(200, parts(&["0"])));
    assert_eq!(send(&*sender), "accepted 0C0000");
    let asked = world.stub.asked_once();
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/sms/json"));
    assert_eq!(asked.basic(), format!("abcd1234:{SECRET}"));
    let mut fields = vec![
        "from=Kontalk".to_owned(),
        "to=4915112345678".into(),
        format!("text={TEXT}"),
        "type=text".into(),
        "ttl=600000".into(),
        format!("client-ref={REFERENCE}"),
        "status-report-req=1".into(),
        "callback=https://a.example/r/x".into(),
    ];
    fields.sort();
    assert_eq!(asked.form(), fields);

    let mut table = vec![
        (Reply::json(200, parts(&["0", "0"])), "accepted 0C0000"),
        // Nothing says what became of the first part.
        (Reply::json(200, parts(&["0", "1"])), "unknown"),
        (Reply::json(200, parts(&["1", "0"])), "unknown"),
        (Reply::json(200, parts(&["1"])), "later 1"),
        (Reply::json(200, parts(&["1"])).with("Retry-After", "7"), "later 7"),
        (Reply::json(200, parts(&["5"])), "later 60"),
        (Reply::json(200, r#"{"message-count":"0","messages":[]}"#), "unknown"),
        (Reply::json(200, r#"{"messages":[{}]}"#), "unknown"),
        (Reply::json(200, "{}"), "unknown"),
        (Reply::json(200, "OK"), "unknown"),
    ];
    for (statuses, expected) in [
        (vec!["4", "14", "32", "8", "11", "33", "9", "15", "29"], "not allowed"),
        (vec!["2", "3", "6", "7", "12", "22", "23", "99", "new"], "refused"),
        (vec!["10"], "later 1"),
    ] {
        table.extend(statuses.iter().map(|status| (Reply::json(200, parts(&[status])), expected)));
    }
    table.extend(by_status());
    // What it documents as 200 with a status inside counts whatever the outer status is.
    table.push((Reply::json(401, parts(&["4"])), "not allowed"));
    table.push((Reply::json(429, parts(&["1"])), "later 1"));
    world.sends(&*sender, table);
}

#[test]
fn twilio_is_asked_as_it_wants_and_its_codes_are_understood() {
    let world = World::new();
    let settings = |from: &str, redact| {
        Kind::TwilioSms(TwilioSms {
            url: world.stub.url() + "/",
            account: ACCOUNT.into(),
            login: world.login(KEY),
            from: from.into(),
            redact,
            callback: None,
        })
    };
    let sender = world.sender(settings("+12025550123", false));
    let taken = r#"{"sid":"SM0123","status":"queued","error_code":null}"#;
    world.stub.then(Reply::json(201, taken));
    assert_eq!(send(&*sender), "accepted SM0123");
    let asked = world.stub.asked_once();
    assert_eq!(asked.target, format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json"));
    assert_eq!(asked.basic(), format!("{KEY}:{SECRET}"));
    let body = format!("Body={TEXT}");
    assert_eq!(asked.form(), [body.as_str(), "From=+12025550123", "To=+4915112345678", "ValidityPeriod=600"]);

    let service = world.sender(settings("MG0123456789abcdef0123456789abcdef", true));
    world.stub.then(Reply::json(201, taken));
    assert_eq!(send(&*service), "accepted SM0123");
    let form = world.stub.asked_once().form();
    for field in [
        "MessagingServiceSid=MG0123456789abcdef0123456789abcdef",
        "ContentRetention=discard",
        "AddressRetention=obfuscate",
    ] {
        assert!(form.contains(&field.to_owned()), "{form:?}");
    }

    let fault = |status: u16, code: u32| {
        let text = format!("The 'To' number {NUMBER} is not a valid phone number.");
        Reply::json(status, json!({"code": code, "message": text, "status": status}).to_string())
    };
    let mut table = vec![
        (Reply::json(201, "{}"), "unknown"),
        (Reply::json(201, r#"{"sid":null}"#), "unknown"),
        (Reply::json(200, taken), "unknown"),
        (fault(429, 20429), "later 15"),
        (fault(429, 20429).with("Retry-After", "3"), "later 3"),
        (fault(429, 99999).with("Retry-After", "100000"), "later 3600"),
        (fault(400, 30001), "later 15"),
        (fault(503, 20503), "later 60"),
        // The code of a fault of theirs says nothing about the message.
        (fault(500, 21211), "unknown"),
    ];
    for (codes, status, expected) in [
        (vec![21211, 21610, 21612, 21614, 21635, 30450, 99999], 400, "refused"),
        (vec![20003], 401, "not allowed"),
        (vec![21408, 21606, 21608, 21659, 21660, 30034], 400, "not allowed"),
        (vec![21408, 20008], 403, "not allowed"),
        (vec![20404], 404, "not allowed"),
    ] {
        table.extend(codes.iter().map(|code| (fault(status, *code), expected)));
    }
    table.extend(by_status());
    world.sends(&*sender, table);
}

#[test]
fn vonage_verifies_by_itself() {
    let world = World::new();
    let verifier = world.verifier(Kind::VonageVerify(VonageVerify {
        url: world.stub.url(),
        login: world.login("abcd1234"),
        brand: "Kontalk".into(),
        locale: Some("de-de".into()),
    }));
    let id = "c11236f4-00bf-4b89-84ba-88b25df97315";
    world.stub.then(Reply::json(202, json!({"request_id": id, "check_url": "https://x.example"}).to_string()));
    let begun = start(&*verifier).unwrap();
    assert_eq!(begun.as_str(), id);
    let asked = world.stub.asked_once();
    assert_eq!((asked.target.as_str(), asked.basic()), ("/v2/verify", format!("abcd1234:{SECRET}")));
    let expected = json!({"brand": "Kontalk", "workflow": [{"channel": "sms", "to": "4915112345678"}],
        "channel_timeout": 600, "code_length": 6, "locale": "de-de"});
    assert_eq!(asked.json(), expected);

    let problem = |status: u16| Reply::json(status, r#"{"title":"Conflict","detail":"+4915112345678"}"#);
    let mut table = vec![
        (Reply::json(202, "{}"), "unknown"),
        (Reply::json(202, r#"{"request_id":"../.."}"#), "unknown"),
        (problem(402), "not allowed"),
        (problem(409), "refused"),
        (problem(422), "refused"),
        (problem(429).with("Retry-After", "30"), "later 30"),
    ];
    table.extend(by_status());
    world.starts(&*verifier, table);

    world.stub.then(Reply::json(200, json!({"request_id": id, "status": "completed"}).to_string()));
    assert_eq!(check(&*verifier, &begun), "right");
    let asked = world.stub.asked_once();
    assert_eq!((asked.target.clone(), asked.json()), (format!("/v2/verify/{id}"), json!({"code": CODE})));
    world.checks(
        &*verifier,
        vec![
            (problem(400), "wrong"),
            (problem(404), "over"),
            (problem(410), "over"),
            (problem(401), "not allowed"),
            (problem(429), "later 15"),
            (problem(500), "unknown"),
            (Reply::json(200, r#"{"status":"new"}"#), "unknown"),
            (Reply::Close, "unknown"),
        ],
    );
}

#[test]
fn twilio_verifies_by_itself() {
    let world = World::new();
    let verifier = world.verifier(Kind::TwilioVerify(TwilioVerify {
        url: world.stub.url(),
        login: world.login(ACCOUNT),
        service: SERVICE.into(),
        locale: Some("de".into()),
    }));
    let id = "VE0123456789abcdef0123456789abcdef";
    world.stub.then(Reply::json(201, json!({"sid": id, "status": "pending", "to": NUMBER}).to_string()));
    let begun = start(&*verifier).unwrap();
    assert_eq!(begun.as_str(), id);
    let asked = world.stub.asked_once();
    assert_eq!(asked.target, format!("/v2/Services/{SERVICE}/Verifications"));
    assert_eq!(asked.form(), ["Channel=sms", "Locale=de", "To=+4915112345678"]);

    let fault = |status: u16, code: u32| Reply::json(status, json!({"code": code, "message": NUMBER}).to_string());
    let mut table = vec![
        (fault(400, 60200), "refused"),
        (fault(403, 60205), "refused"),
        (fault(403, 60410), "refused"),
        // It is this number's limit, not ours.
        (fault(429, 60203), "refused"),
        (fault(429, 60207), "later 15"),
        (fault(401, 20003), "not allowed"),
        (fault(404, 20404), "not allowed"),
    ];
    table.extend(by_status());
    world.starts(&*verifier, table);

    let state = |state: &str| Reply::json(200, json!({"sid": id, "status": state, "to": NUMBER}).to_string());
    world.stub.then(state("approved"));
    assert_eq!(check(&*verifier, &begun), "right");
    let asked = world.stub.asked_once();
    assert_eq!(asked.target, format!("/v2/Services/{SERVICE}/VerificationCheck"));
    assert_eq!(asked.form(), [format!("Code={CODE}"), format!("VerificationSid={id}")]);
    world.checks(
        &*verifier,
        vec![
            (state("pending"), "wrong"),
            (state("canceled"), "over"),
            (state("max_attempts_reached"), "over"),
            (state("expired"), "over"),
            (state("new"), "unknown"),
            (fault(404, 20404), "over"),
            (fault(429, 60202), "over"),
            (fault(429, 20429), "later 15"),
            (Reply::json(503, ""), "later 60"),
            (Reply::Close, "unknown"),
        ],
    );
}

#[test]
fn an_android_telephone_sends_and_is_never_given_a_message_twice() {
    let world = World::new();
    let mut android = Android::new(world.stub.url(), world.login("sms"));
    android.sim = Some(2);
    android.poll = Duration::from_millis(1);
    let sender = world.sender(Kind::Android(android.clone()));
    let taken = || Reply::json(202, json!({"id": REFERENCE, "state": "Pending"}).to_string());
    let state = |state: &str, error: &str| {
        let recipient = json!({"phoneNumber": NUMBER, "state": state, "error": error});
        Reply::json(200, json!({"id": REFERENCE, "state": state, "recipients": [recipient]}).to_string())
    };
    for reply in [taken(), state("Pending", ""), Reply::Close, state("Processed", ""), state("Sent", "")] {
        world.stub.then(reply);
    }
    assert_eq!(send(&*sender), format!("accepted {REFERENCE}"));
    let asked = world.stub.asked();
    assert_eq!((asked[0].method.as_str(), asked[0].target.as_str()), ("POST", "/messages"));
    assert_eq!(asked[0].basic(), format!("sms:{SECRET}"));
    let expected = json!({"id": REFERENCE, "textMessage": {"text": TEXT}, "phoneNumbers": [NUMBER], "ttl": 600,
        "withDeliveryReport": false, "priority": 100, "simNumber": 2});
    assert_eq!(asked[0].json(), expected);
    for look in &asked[1..] {
        assert_eq!((look.method.as_str(), look.target.clone()), ("GET", format!("/messages/{REFERENCE}")));
    }
    for (story, expected) in [
        (vec![taken(), state("Failed", "RESULT_ERROR_GENERIC_FAILURE")], "refused"),
        (vec![taken(), state("Failed", "RESULT_ERROR_LIMIT_EXCEEDED")], "later 600"),
        (vec![taken(), state("Failed", "RESULT_ERROR_NO_SERVICE")], "later 60"),
        (vec![Reply::json(400, r#"{"message":"+4915112345678"}"#)], "refused"),
        (vec![Reply::json(401, "")], "not allowed"),
        (vec![Reply::json(503, "")], "later 60"),
        // The first offer was lost on the way here or on the way back: the second, of the same id, tells which.
        (vec![Reply::Close, Reply::json(409, ""), state("Sent", "")], "accepted"),
        (vec![Reply::Close, taken(), state("Sent", "")], "accepted"),
        (vec![Reply::json(500, ""), taken(), state("Sent", "")], "accepted"),
        (vec![Reply::Close, Reply::Close], "unknown"),
        (vec![Reply::Close, Reply::json(401, "")], "unknown"),
        (vec![Reply::Close, Reply::CloseInHandshake], "unknown"),
    ] {
        let told = format!("{story:?}");
        let offers = story.iter().take_while(|reply| !matches!(reply, Reply::Whole { status: 200, .. })).count();
        story.into_iter().for_each(|reply| world.stub.then(reply));
        let outcome = send(&*sender);
        assert!(outcome.starts_with(expected), "{told}: {outcome}");
        let asked = world.stub.asked();
        let ids: Vec<_> =
            asked.iter().filter(|asked| asked.method == "POST").map(|asked| asked.json()["id"].clone()).collect();
        assert!(ids.len() <= offers.min(2) && ids.iter().all(|id| id == REFERENCE), "{told}: {ids:?}");
    }
    android.settle = Duration::ZERO;
    let impatient = world.sender(Kind::Android(android));
    [taken(), state("Pending", "")].into_iter().for_each(|reply| world.stub.then(reply));
    assert_eq!(send(&*impatient), "unknown");
}

#[test]
fn a_template_describes_other_interfaces() {
    let world = World::new();
    let template = |method: &str, path: &str| Template {
        method: method.into(),
        url: world.stub.url() + path,
        secret_file: Some(world.secret_file()),
        sender: Some("A & Co".into()),
        ..Template::default()
    };
    // A query, as Kannel has it.
    let mut kannel = template("GET", "/cgi-bin/sendsms?username={user}&password={secret}&to={digits}&text={text}");
    kannel.user = Some("us&er".into());
    kannel.accepted = vec!["202".into(), "contains Accepted".into()];
    let kannel = world.sender(Kind::Template(kannel));
    world.stub.then(Reply::Whole { status: 202, headers: vec![], body: "0: Accepted for delivery".into() });
    assert_eq!(send(&*kannel), "accepted ");
    let asked = world.stub.asked_once();
    assert_eq!((asked.method.as_str(), asked.header("Authorization")), ("GET", ""));
    let (_, query) = asked.target.split_once('?').unwrap();
    let query: Vec<String> = query.split('&').map(decoded).collect();
    assert_eq!(
        query,
        ["username=us&er".to_owned(), format!("password={SECRET}"), "to=4915112345678".into(), format!("text={TEXT}")]
    );
    let plain = |status, body: &str| Reply::Whole { status, headers: vec![], body: body.into() };
    let table = vec![
        (plain(202, "4: Denied"), "refused"),
        (plain(200, "0: Accepted"), "refused"),
        (plain(403, "Authorization failed"), "not allowed"),
    ];
    world.sends(&*kannel, table);

    // JSON with a key in a header, and rules.
    let mut other = template("POST", "/v1/send");
    other.headers = vec![("X-Api-Key".into(), "{secret}".into())];
    other.content_type = Some("application/json".into());
    other.body = Some(r#"{"to":["{number}"],"n":1,"content":"{\"{code}\"} {sender}","ref":"{reference}"}"#.into());
    other.accepted = vec!["200".into(), "201".into(), "/messages/*/status = 0".into()];
    other.later = vec!["429".into(), "/messages/*/status = 1".into()];
    other.not_allowed = vec!["/messages/*/status = 9".into()];
    other.unknown = vec!["/messages/*/status = 7".into()];
    other.reference = Some("/messages/0/id".into());
    let other = world.sender(Kind::Template(other));
    let statuses = |statuses: &[&str]| {
        let messages: Vec<_> = statuses.iter().map(|status| json!({"id": "m1", "status": status})).collect();
        json!({ "messages": messages }).to_string()
    };
    world.stub.then(Reply::json(201, statuses(&["0"])));
    assert_eq!(send(&*other), "accepted m1");
    let asked = world.stub.asked_once();
    assert_eq!(asked.header("X-Api-Key"), SECRET);
    let content = format!("{{\"{CODE}\"}} A & Co");
    assert_eq!(asked.json(), json!({"to": [NUMBER], "n": 1, "content": content, "ref": REFERENCE}));
    let mut table = vec![
        (Reply::json(200, statuses(&["0", "0"])), "accepted m1"),
        (Reply::json(200, statuses(&["0", "2"])), "refused"),
        (Reply::json(200, statuses(&["0", "1"])), "later 15"),
        (Reply::json(200, statuses(&["9"])), "not allowed"),
        (Reply::json(200, statuses(&["7"])), "unknown"),
        (Reply::json(202, statuses(&["0"])), "refused"),
        (Reply::json(200, "{\"messages\":[{\"sta"), "unknown"),
    ];
    table.extend(by_status());
    world.sends(&*other, table);

    // XML and a form, with a name and a password.
    for (content_type, body, expected) in [
        (
            "text/xml; charset=utf-8",
            "<sms to='{number}' from='{sender}'>{code}</sms>",
            "<sms to='+4915112345678' from='A &amp; Co'>072953</sms>",
        ),
        (
            "application/x-www-form-urlencoded",
            "to={number}&from={sender}&m={code}",
            "to=%2B4915112345678&from=A%20%26%20Co&m=072953",
        ),
        ("text/plain", "{number} {code}", "+4915112345678 072953"),
    ] {
        let mut settings = template("PUT", "/x");
        settings.user = Some("me".into());
        settings.content_type = Some(content_type.into());
        settings.body = Some(body.into());
        let sender = world.sender(Kind::Template(settings));
        world.stub.then(plain(204, ""));
        assert_eq!(send(&*sender), "accepted ");
        let asked = world.stub.asked_once();
        assert_eq!((asked.method.as_str(), asked.body.as_str()), ("PUT", expected));
        assert_eq!((asked.header("Content-Type"), asked.basic()), (content_type, format!("me:{SECRET}")));
    }
}

#[test]
fn a_line_that_fails_says_whether_the_message_may_have_left() {
    let world = World::new();
    let sender = world.sender(world.twilio(&world.stub));
    let raw = |text: &str| Reply::Raw(text.as_bytes().to_vec());
    let good = r#"{"sid":"SM1"}"#;
    let huge = format!("HTTP/1.1 201 Created\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    for (reply, expected) in [
        (Reply::CloseInHandshake, "later 60"),
        (Reply::NoTls, "not allowed"),
        (Reply::Close, "unknown"),
        (raw("HTTP/1.1 20"), "unknown"),
        (raw("SSH-2.0-OpenSSH_9.2\r\n"), "unknown"),
        (raw(&huge), "unknown"),
        (raw(&format!("HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{good}")), "unknown"),
        (raw("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{\"sid\":\"SM1\"}"), "unknown"),
        (raw("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "unknown"),
        (
            raw(&format!("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{good}\r\n0\r\n\r\n")),
            "accepted SM1",
        ),
        (raw(&format!("HTTP/1.0 201 Created\r\n\r\n{good}")), "accepted SM1"),
        (Reply::json(201, format!("{good}{}", " ".repeat(64 * 1024))), "unknown"),
        (Reply::json(201, "[".repeat(60_000)), "unknown"),
        (Reply::Endless { status: 201 }, "unknown"),
        // The status is enough to know that nothing was sent.
        (Reply::Endless { status: 400 }, "refused"),
        (Reply::json(429, "x".repeat(100_000)).with("Retry-After", "9"), "later 9"),
    ] {
        let told = format!("{reply:?}");
        world.stub.then(reply);
        assert_eq!(send(&*sender), expected, "{}", &told[..told.len().min(200)]);
    }
    // A redirect would take number and text to somebody else.
    let elsewhere = Stub::start(&world.authority);
    world.stub.asked();
    for status in [301, 302, 303, 307, 308] {
        world.stub.then(Reply::json(status, "").with("Location", elsewhere.url() + "/"));
        assert_eq!(send(&*sender), "not allowed", "{status}");
    }
    assert_eq!((world.stub.asked().len(), elsewhere.asked().len()), (5, 0));
}

#[test]
fn a_line_that_is_slow_ends_when_its_time_is_over() {
    let world = World::new();
    let mut settings = world.settings(world.twilio(&world.stub));
    settings.timeout = Duration::from_secs(3);
    let sender = world.built_sender(&settings);
    for (reply, expected) in [
        (Reply::Hang, "unknown"),
        (Reply::Drip { status: 201 }, "unknown"),
        (Reply::Drip { status: 403 }, "not allowed"),
    ] {
        world.stub.then(reply);
        assert_eq!(send(&*sender), expected);
    }
    settings.connect_timeout = Duration::from_millis(200);
    let sender = world.built_sender(&settings);
    world.stub.then(Reply::HangInHandshake);
    assert_eq!(send(&*sender), "later 60");
}

#[test]
fn nothing_leaves_before_the_provider_has_proved_who_it_is() {
    let world = World::new();
    let stranger = Authority::new();
    for (what, stub) in [
        ("another authority", Stub::start(&stranger)),
        ("another name", Stub::start_as(&world.authority, "a.example", false)),
        ("expired", Stub::start_as(&world.authority, "127.0.0.1", true)),
    ] {
        stub.then(Reply::json(201, r#"{"sid":"SM1"}"#));
        assert_eq!(send(&*world.sender(world.twilio(&stub))), "not allowed", "{what}");
        assert_eq!(stub.asked().len(), 0, "{what}");
    }
    // Without a file of its own a provider must have a certificate of the world's authorities.
    let mut settings = world.settings(world.twilio(&world.stub));
    settings.ca_file = None;
    assert_eq!(send(&*world.built_sender(&settings)), "not allowed");
    assert_eq!(world.stub.asked().len(), 0);
    // Nobody is there.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let Kind::TwilioSms(mut nowhere) = world.twilio(&world.stub) else { unreachable!() };
    nowhere.url = format!("https://{closed}");
    assert_eq!(send(&*world.sender(Kind::TwilioSms(nowhere.clone()))), "later 60");
    nowhere.url = "https://nowhere.invalid".into();
    assert_eq!(send(&*world.sender(Kind::TwilioSms(nowhere))), "later 60");
}

#[test]
fn a_gateway_at_home_needs_no_tls() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = Template {
        method: "POST".into(),
        url: format!("http://{}/send", listener.local_addr().unwrap()),
        content_type: Some("text/plain".into()),
        body: Some("{digits} {text}".into()),
        accepted: vec!["begins OK".into()],
        ..Template::default()
    };
    let gateway = std::thread::spawn(move || {
        provider_stub::answer_plainly(&listener, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nOK 1")
    });
    assert_eq!(send(&*world.sender(Kind::Template(settings))), "accepted ");
    let asked = gateway.join().unwrap();
    assert_eq!((asked.target.as_str(), asked.body), ("/send", format!("4915112345678 {TEXT}")));
}

#[test]
fn a_secret_is_read_again_when_it_has_changed() {
    let world = World::new();
    let sender = world.sender(world.twilio(&world.stub));
    for secret in [SECRET, "n3w-s3cr3t"] {
        world.files.write("secret", &format!("{secret}\n"));
        world.stub.then(Reply::json(201, r#"{"sid":"SM1"}"#));
        assert_eq!(send(&*sender), "accepted SM1");
        assert_eq!(world.stub.asked_once().basic(), format!("{KEY}:{secret}"));
    }
    std::fs::remove_file(world.secret_file()).unwrap();
    assert_eq!(send(&*sender), "not allowed");
    assert_eq!(world.stub.asked().len(), 0);
    world.secret_file();
}

#[test]
fn a_provider_that_hangs_holds_up_only_its_own_and_not_too_many() {
    let world = World::new();
    let slow = Stub::start(&world.authority);
    let mut settings = world.settings(world.twilio(&slow));
    settings.timeout = Duration::from_secs(5);
    let hanging = world.built_sender(&settings);
    let quick = world.sender(world.twilio(&world.stub));
    slow.then(Reply::Hang);
    let (to, text) = message();
    let mut first = Box::pin(hanging.send(&to, &text));
    assert!(smol::block_on(smol::future::poll_once(&mut first)).is_none());
    slow.wait_for(1);
    // 32 wait; the next is told at once, and so nothing of it is sent.
    let mut waiting: Vec<_> = (0..32).map(|_| hanging.send(&to, &text)).collect();
    for message in &mut waiting {
        assert!(smol::block_on(smol::future::poll_once(message)).is_none());
    }
    assert_eq!(send(&*hanging), "later 5");
    world.stub.then(Reply::json(201, r#"{"sid":"SM1"}"#));
    assert_eq!(send(&*quick), "accepted SM1");
    // Who no longer waits is not sent to.
    let last = waiting.pop().unwrap();
    drop(waiting);
    slow.then(Reply::json(201, r#"{"sid":"SM2"}"#));
    assert_eq!(word(smol::block_on(first)), "unknown");
    assert_eq!(word(smol::block_on(last)), "accepted SM2");
    assert_eq!(slow.asked().len(), 2);
}

#[test]
fn settings_that_cannot_work_are_told_with_their_keys() {
    let world = World::new();
    let told = |settings: &Settings| {
        let error = build(settings, || [42; 16]).unwrap_err();
        assert!(error.to_string().contains("remedy: "), "{error}");
        let faults = kontalk_node::sms::http::check(settings);
        faults.iter().map(|fault| format!("{}: {}", fault.key, fault.text)).collect::<Vec<_>>()
    };
    let login = || Login { user: String::new(), secret_file: world.secret_file() };
    let (https, http) = ("https://a.example".to_owned(), "http://a.example".to_owned());
    let cases: Vec<(Kind, &[&str])> = vec![
        (
            Kind::VonageSms(VonageSms { url: http.clone(), login: login(), from: "+49".into(), callback: None }),
            &["url: everybody on the way could read numbers and codes", "user: not an API key", "from: not a sender"],
        ),
        (
            Kind::VonageVerify(VonageVerify {
                url: https.clone(),
                login: login(),
                brand: String::new(),
                locale: Some("Deutsch!".into()),
            }),
            &["user: not an API key", "brand: not a brand", "locale: not a language"],
        ),
        (
            Kind::TwilioSms(TwilioSms {
                url: https.clone(),
                account: KEY.into(),
                login: login(),
                from: String::new(),
                redact: false,
                callback: None,
            }),
            &["account: not a SID", "user: not a SID", "from: not a sender"],
        ),
        (
            Kind::TwilioVerify(TwilioVerify {
                url: https.clone(),
                login: login(),
                service: ACCOUNT.into(),
                locale: None,
            }),
            &["user: not a SID", "service: not a SID"],
        ),
        (
            Kind::Android(Android { sim: Some(9), ..Android::new(http, login()) }),
            &[
                "url: everybody on the way could read numbers and codes",
                "user: not a user name",
                "sim: no SIM card has this place",
            ],
        ),
        (
            Kind::Template(Template { method: "BREW".into(), url: https.clone() + "/{txet}", ..Template::default() }),
            &[
                "method: not a method",
                "url: {txet} is no placeholder",
                "body: the number is nowhere in the request",
                "body: the message is nowhere in the request",
            ],
        ),
        (
            Kind::Template(Template {
                method: "POST".into(),
                url: https + "/{number}?{user}{secret}{sender}",
                headers: vec![("Host".into(), "x".into())],
                content_type: Some("application/json".into()),
                body: Some("{\"text\": {text}}".into()),
                accepted: vec!["fine".into()],
                reference: Some("id".into()),
                ..Template::default()
            }),
            &[
                "headers: not a header that can be set: Host",
                "body: not JSON: key must be a string at line 1 column 11",
                "body: the message is nowhere in the request",
                "from: {sender} stands for nothing",
                "secret_file: {secret} stands for nothing",
                "user: {user} stands for nothing",
                "reference: not a JSON pointer",
                "accepted: not a rule: fine",
            ],
        ),
    ];
    for (kind, expected) in cases {
        assert_eq!(told(&Settings::new("a", kind)), expected);
    }
    let mut settings = world.settings(world.twilio(&world.stub));
    settings.name = "No Name".into();
    settings.ca_file = Some(world.files.write("empty.pem", "nothing"));
    assert_eq!(told(&settings), [": not a name for a provider", "ca_file: holds no certificate"]);
    settings.ca_file = Some("/nowhere".into());
    assert!(told(&settings)[1].starts_with("ca_file: cannot be read: "));
}
