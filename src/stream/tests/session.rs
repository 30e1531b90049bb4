//! Authentication in all its forms, and what an authenticated client says.

use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::*;

/// The client's side of SCRAM, from the RFC and on its own: the last message without base64, and the `v=` it expects.
pub(super) fn prove(sha256: bool, gs2: &[u8], first_bare: &str, challenge: &str, password: &str) -> (String, String) {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let attribute = |name: &str| challenge.split(',').find_map(|a| a.strip_prefix(name)).unwrap().to_owned();
    let (nonce, salt, iterations) = (attribute("r="), attribute("s="), attribute("i=").parse().unwrap());
    let salt = STANDARD.decode(salt).unwrap();
    let hmac = |key: &[u8], text: &[u8]| -> Vec<u8> {
        if sha256 {
            Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
        } else {
            Hmac::<Sha1>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
        }
    };
    let hash = |b: &[u8]| if sha256 { Sha256::digest(b).to_vec() } else { Sha1::digest(b).to_vec() };
    let mut salted = vec![0; if sha256 { 32 } else { 20 }];
    match sha256 {
        true => pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, iterations, &mut salted),
        false => pbkdf2::pbkdf2_hmac::<Sha1>(password.as_bytes(), &salt, iterations, &mut salted),
    }
    let client_key = hmac(&salted, b"Client Key");
    let without_proof = format!("c={},r={nonce}", STANDARD.encode(gs2));
    let message = format!("{first_bare},{challenge},{without_proof}");
    let signature = hmac(&hash(&client_key), message.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    let verifier = hmac(&hmac(&salted, b"Server Key"), message.as_bytes());
    (format!("{without_proof},p={}", STANDARD.encode(proof)), format!("v={}", STANDARD.encode(verifier)))
}

pub(super) fn unwrap_base64(element: &str, name: &str) -> String {
    use base64::Engine;
    let text = element
        .strip_prefix(&format!("<{name} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"))
        .and_then(|rest| rest.strip_suffix(&format!("</{name}>")))
        .unwrap_or_else(|| panic!("{element}"));
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}

fn response(data: &str) -> String {
    format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</response>", base64(data))
}

pub(super) fn keys() -> ScramKeys {
    ScramKeys::derive("pencil", b"0123456789abcdef".to_vec(), 7).unwrap()
}

/// Runs a SCRAM exchange to the client's last message; gives the lines after it and the `v=` that success must hold.
fn scram(client: &mut Client, mechanism: &str, flag: &str, binding: &[u8], password: &str) -> (Vec<String>, String) {
    let bare = "n=Juliet,r=abcdef";
    assert_eq!(client.says(&auth(mechanism, &format!("{flag},,{bare}"))), ["[keys of juliet@a.example]"]);
    client.stream.scram_keys(Ok(keys()));
    let challenge = unwrap_base64(&client.reads().concat(), "challenge");
    assert!(challenge.starts_with("r=abcdef"));
    let gs2: Vec<u8> = [format!("{flag},,").as_bytes(), binding].concat();
    let (last, verifier) = prove(mechanism.contains("256"), &gs2, bare, &challenge, password);
    (client.says(&response(&last)), verifier)
}

#[test]
fn scram_logs_in_and_proves_that_the_server_knows_the_password() {
    for (mechanism, flag, binding) in [
        ("SCRAM-SHA-1", "n", &[][..]),
        ("SCRAM-SHA-256", "n", &[]),
        ("SCRAM-SHA-1-PLUS", "p=tls-exporter", &[7; 32]),
        ("SCRAM-SHA-256-PLUS", "p=tls-exporter", &[7; 32]),
        ("SCRAM-SHA-1-PLUS", "p=tls-server-end-point", &[9; 32]),
        ("SCRAM-SHA-256-PLUS", "p=tls-server-end-point", &[9; 32]),
    ] {
        let mut client = Client::led_to(State::Secured);
        let (lines, verifier) = scram(&mut client, mechanism, flag, binding, "pencil");
        assert_eq!(unwrap_base64(&lines.concat(), "success"), verifier, "{mechanism}");
        assert_eq!(client.stream.authenticated_as(), Some(&juliet()));
        assert_eq!(client.says(HEADER), [CLIENT_FEATURES]);
    }
}

#[test]
fn scram_refuses_a_wrong_password_and_a_foreign_channel() {
    let mut client = Client::led_to(State::Secured);
    let (lines, _) = scram(&mut client, "SCRAM-SHA-256", "n", &[], "pencils");
    assert_eq!(lines, [sasl_failure("not-authorized"), "[failed: juliet@a.example]".to_owned()]);
    let (lines, _) = scram(&mut client, "SCRAM-SHA-256-PLUS", "p=tls-exporter", &[8; 32], "pencil");
    assert!(lines.concat().contains("<not-authorized/>"), "{lines:?}");
    // The same stream may still log in.
    let (lines, _) = scram(&mut client, "SCRAM-SHA-1", "n", &[], "pencil");
    assert!(lines.concat().starts_with("<success"));
}

#[test]
fn a_first_word_left_out_is_asked_for() {
    let mut client = Client::led_to(State::Secured);
    let challenge = "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
    assert_eq!(client.says(&auth("PLAIN", "")), [challenge]);
    assert_eq!(client.says(&response("\0juliet\0pencil")), ["[verify juliet@a.example pencil]"]);
    client.stream.authenticated(Err(SaslFailure::new(SaslCondition::TemporaryAuthFailure)));
    assert_eq!(client.reads(), [sasl_failure("temporary-auth-failure")]);
    assert_eq!(client.says(&auth("SCRAM-SHA-1", "")), [challenge]);
    assert_eq!(client.says(&response("n,,n=juliet,r=1")), ["[keys of juliet@a.example]"]);
    // EXTERNAL's only word may be missing, empty, or an identity.
    client.stream.scram_keys(Err(SaslFailure::new(SaslCondition::TemporaryAuthFailure)));
    client.reads();
    assert_eq!(client.says(&auth("EXTERNAL", "")), ["[verify certificate for None]"]);
    client.stream.authenticated(Ok(juliet()));
    assert_eq!(client.reads(), [SUCCESS]);
}

#[test]
fn faulty_authentication_is_refused_by_name() {
    let raw = |mechanism: &str, data: &str| {
        format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{data}</auth>")
    };
    for (text, condition) in [
        (raw("PLAIN", "!"), "incorrect-encoding"),
        (raw("PLAIN", "AGp1bGlldABwZW5jaWw"), "incorrect-encoding"),
        (raw("PLAIN", "/w=="), "malformed-request"),
        (raw("PLAIN", "="), "malformed-request"),
        (auth("PLAIN", "\0juliet\0"), "malformed-request"),
        (auth("PLAIN", "\0\0pencil"), "malformed-request"),
        (auth("PLAIN", "\0juliet\0a\0b"), "malformed-request"),
        (auth("PLAIN", "juliet"), "malformed-request"),
        (auth("PLAIN", "\0ju liet\0pencil"), "not-authorized"),
        (auth("PLAIN", "romeo@a.example\0juliet\0pencil"), "invalid-authzid"),
        (auth("PLAIN", "@\0juliet\0pencil"), "invalid-authzid"),
        (auth("SCRAM-SHA-1", "n,a=romeo@a.example,n=juliet,r=1"), "invalid-authzid"),
        (auth("SCRAM-SHA-1", "y,,n=juliet,r=1"), "not-authorized"),
        (auth("SCRAM-SHA-1", "p=tls-exporter,,n=juliet,r=1"), "malformed-request"),
        (auth("SCRAM-SHA-1-PLUS", "n,,n=juliet,r=1"), "malformed-request"),
        (auth("SCRAM-SHA-1-PLUS", "p=tls-unique,,n=juliet,r=1"), "malformed-request"),
        (auth("SCRAM-SHA-1", "n,,r=1"), "malformed-request"),
        (auth("EXTERNAL", "@"), "malformed-request"),
        (auth("EXTERNAL", "juliet@a.example/r"), "malformed-request"),
        (auth("DIGEST-MD5", ""), "invalid-mechanism"),
        (auth("plain", "\0juliet\0pencil"), "invalid-mechanism"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned(), "invalid-mechanism"),
        (response("x"), "malformed-request"),
        ("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned(), "aborted"),
        (format!("{0}{0}", auth("PLAIN", "")), "malformed-request"),
        (format!("{}<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", auth("PLAIN", "")), "aborted"),
    ] {
        let lines = Client::led_to(State::Secured).says(&text).concat();
        assert!(lines.contains(&format!("<{condition}/>")), "{text}: {lines}");
        let refused = matches!(condition, "not-authorized" | "invalid-authzid");
        assert_eq!(lines.contains("[failed"), refused, "{text}: {lines}");
    }
}

#[test]
fn the_identity_wished_for_is_accepted_or_passed_on() {
    let mut client = Client::led_to(State::Secured);
    let lines = client.says(&auth("PLAIN", "Juliet@A.example\0juliet\0pen cil"));
    assert_eq!(lines, ["[verify juliet@a.example pen cil]"]);
    client.stream.authenticated(Err(SaslFailure::new(SaslCondition::NotAuthorized)));
    assert_eq!(client.reads(), [sasl_failure("not-authorized"), "[failed: juliet@a.example]".to_owned()]);
    let lines = client.says(&auth("EXTERNAL", "Juliet@b.example"));
    assert_eq!(lines, ["[verify certificate for Some(juliet@b.example)]"]);
}

#[test]
fn a_mechanism_that_was_not_offered_is_refused() {
    let facts = TlsFacts { client_certificate: ClientCertificate::Bridge, ..tls() };
    let mut client = Client::new(Security::Tls(facts));
    client.says(HEADER);
    assert_eq!(client.says(&auth("PLAIN", "\0juliet\0pencil")), [sasl_failure("invalid-mechanism")]);
    let mut client = Client::new(Security::Tls(TlsFacts { exporter: None, server_end_point: None, ..tls() }));
    client.says(HEADER);
    let lines = client.says(&auth("SCRAM-SHA-1-PLUS", "p=tls-exporter,,n=juliet,r=1"));
    assert_eq!(lines, [sasl_failure("invalid-mechanism")]);
    // Where no binding is offered, a client may truly say so.
    assert_eq!(client.says(&auth("SCRAM-SHA-1", "y,,n=juliet,r=1")), ["[keys of juliet@a.example]"]);
}

#[test]
fn attempts_on_one_stream_are_counted() {
    let mut client = Client::led_to(State::Secured);
    for attempt in 1..=limits::SASL_ATTEMPTS_PER_STREAM_MAX {
        client.says(&auth("EXTERNAL", ""));
        client.stream.authenticated(Err(SaslFailure::new(SaslCondition::NotAuthorized)));
        let lines = client.reads();
        assert_eq!(lines.first(), Some(&sasl_failure("not-authorized")));
        let ended = stream_error(&lines);
        let last = attempt == limits::SASL_ATTEMPTS_PER_STREAM_MAX;
        assert_eq!(ended.as_deref(), last.then_some("policy-violation"), "{attempt}");
    }
}

#[test]
fn the_same_seed_gives_other_nonces_each_time() {
    let mut client = Client::led_to(State::Secured);
    let mut nonces = std::collections::HashSet::new();
    for _ in 0..3 {
        client.says(&auth("SCRAM-SHA-1", "n,,n=juliet,r=1"));
        client.stream.scram_keys(Ok(keys()));
        assert!(nonces.insert(client.reads().concat()));
        client.says("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    }
}

#[test]
fn binding_is_asked_for_answered_and_may_be_tried_again() {
    let bind = |inner: &str| {
        format!("<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{inner}</bind></iq>")
    };
    let mut client = Client::led_to(State::Authenticated);
    assert_eq!(client.says(&bind("<resource/>")), ["[bind juliet@a.example None]"]);
    client.stream.bound(Err(StanzaError::new(StanzaCondition::ResourceConstraint)));
    let refused = client.reads().concat();
    assert!(refused.starts_with("<iq type='error' id='b1'><error type='wait'><resource-constraint "), "{refused}");
    let refused = client.says(&bind(&format!("<resource>{}</resource>", "x".repeat(1024)))).concat();
    assert!(refused.contains("<bad-request "), "{refused}");
    let refused = client.says("<iq type='set' id='b1'/>").concat();
    assert!(refused.contains("<bad-request "), "{refused}");
    let session = "<iq type='set' id='s1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>";
    assert_eq!(client.says(session), ["<iq type='result' id='s1'/>"]);
    assert_eq!(client.says(&bind("<resource>a b</resource>")), ["[bind juliet@a.example Some(\"a b\")]"]);
}

#[test]
fn a_session_is_resumed_or_refused_instead_of_bound() {
    let mut client = Client::led_to(State::Authenticated);
    let resume = "<resume xmlns='urn:xmpp:sm:3' previd='t1' h='4294967295'/>";
    assert_eq!(client.says(resume), ["[resume juliet@a.example t1 4294967295]"]);
    client.stream.resumed(Err(ResumeRefused { h: Some(3) }));
    let item_not_found = "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>";
    assert_eq!(client.reads(), [format!("<failed xmlns='urn:xmpp:sm:3' h='3'>{item_not_found}</failed>")]);
    for faulty in ["previd='t1'", "h='1'", "previd='' h='1'", "previd='t1' h='-1'"] {
        let lines = client.says(&format!("<resume xmlns='urn:xmpp:sm:3' {faulty}/>")).concat();
        assert!(lines.starts_with("<failed xmlns='urn:xmpp:sm:3'><bad-request "), "{faulty}: {lines}");
    }
    let lines = client.says("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").concat();
    assert!(lines.starts_with("<failed xmlns='urn:xmpp:sm:3'><unexpected-request "), "{lines}");
    client.says(resume);
    client.stream.resumed(Ok(Resumed { jid: phone().jid, h: 9 }));
    assert_eq!(client.reads(), ["<resumed xmlns='urn:xmpp:sm:3' h='9' previd='t1'/>"]);
    assert_eq!(client.stream.deadline(), None);
    assert_eq!(client.says("<presence/>"), ["[route <presence from='juliet@a.example/phone'/>]"]);
}

#[test]
fn a_bound_client_is_heard_in_order_and_stamped() {
    let full = "from='juliet@a.example/phone'";
    for (text, expected) in [
        ("<message to='romeo@b.example'/>", format!("[route <message to='romeo@b.example' {full}/>]")),
        ("<message from='juliet@a.example'/>", format!("[route <message {full}/>]")),
        ("<message from='Juliet@a.example/phone'/>", "[route <message from='Juliet@a.example/phone'/>]".to_owned()),
        ("<iq type='result' id='1'/>", format!("[route <iq type='result' id='1' {full}/>]")),
        (
            "<iq type='set' id='1'><query xmlns='jabber:iq:register'/></iq>",
            format!("[route <iq type='set' id='1' {full}><query xmlns='jabber:iq:register'/></iq>]"),
        ),
        ("<r xmlns='urn:xmpp:sm:3'/>", "[AckRequest]".to_owned()),
        ("<a xmlns='urn:xmpp:sm:3' h='7'/>", "[ack 7]".to_owned()),
        ("<enable xmlns='urn:xmpp:sm:3' resume='1' max='60'/>", "[enable true Some(60)]".to_owned()),
        ("<enable xmlns='urn:xmpp:sm:3' resume='yes' max='x'/>", "[enable false None]".to_owned()),
        ("<active xmlns='urn:xmpp:csi:0'/>", "[active true]".to_owned()),
        ("<inactive xmlns='urn:xmpp:csi:0'/>", "[active false]".to_owned()),
    ] {
        assert_eq!(Client::led_to(State::Bound).says(text), [expected], "{text}");
    }
    let lines = Client::led_to(State::Bound).says("<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>").concat();
    assert!(lines.starts_with("<failed xmlns='urn:xmpp:sm:3'><unexpected-request "), "{lines}");
}

#[test]
fn what_the_core_answers_itself_is_counted_and_ordered_by_the_session() {
    let to_us = "to='juliet@a.example/phone'";
    for (text, expected) in [
        (
            "<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
            format!("[answered <iq type='result' id='s' {to_us}/>]"),
        ),
        (
            "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
            format!("[answered <iq type='error' id='b' {to_us}><error type='cancel'><not-allowed "),
        ),
        (
            "<iq type='get'><q/></iq>",
            format!("[answered <iq type='error' from='a.example' {to_us}><error type='modify'><bad-request "),
        ),
        (
            "<presence type='odd' to='romeo@b.example'/>",
            format!(
                "[answered <presence type='error' from='romeo@b.example' {to_us}><error type='modify'><bad-request "
            ),
        ),
        (
            "<message to='@'/>",
            format!("[answered <message type='error' from='a.example' {to_us}><error type='modify'><jid-malformed "),
        ),
        ("<message to='@' type='error'/>", "[answered]".to_owned()),
        ("<iq to='@' type='result' id='1'/>", "[answered]".to_owned()),
        ("<iq type='error'/>", "[answered]".to_owned()),
        // Another's business.
        (
            "<iq type='set' id='b' to='romeo@b.example'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
            "[route <iq type='set' id='b' to='romeo@b.example' ".to_owned(),
        ),
    ] {
        let lines = Client::led_to(State::Bound).says(text).concat();
        assert!(lines.starts_with(&expected), "{text}: {lines}");
    }
}

#[test]
fn the_language_of_the_stream_is_told_on_each_stanza_unless_it_is_ours() {
    for (lang, expected) in [("de-CH", " xml:lang='de-CH'"), ("en", ""), ("EN", ""), ("", ""), ("d e", "")] {
        let mut client = Client::led_to(State::Secured);
        client.says(&auth("EXTERNAL", ""));
        client.stream.authenticated(Ok(juliet()));
        client.says(&HEADER.replace("xml:lang='en'", &format!("xml:lang='{lang}'")));
        client.says("<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
        client.stream.bound(Ok(phone()));
        client.reads();
        let lines = client.says("<message/><message xml:lang='fr'/>");
        let from = "from='juliet@a.example/phone'";
        assert_eq!(
            lines,
            [format!("[route <message {from}{expected}/>]"), format!("[route <message xml:lang='fr' {from}/>]")]
        );
    }
}
