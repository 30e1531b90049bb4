//! From the first byte to authentication.

use super::*;
use crate::stanza::Stanza;
use crate::xml::parse_document;

#[test]
fn android_logs_in_by_starttls_and_certificate() {
    let mut client = Client::new(Security::Plain);
    assert_eq!(
        client.says(HEADER),
        [
            "[header]<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
        ]
    );
    let lines = client.says("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert_eq!(lines, ["<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "[StartTls]"]);
    client.stream.tls_established(TlsFacts { client_certificate: ClientCertificate::Bridge, ..tls() });
    assert_eq!(
        client.says(HEADER),
        [
            "[header]<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>\
          </mechanisms><authentication xmlns='urn:xmpp:sasl:2'><mechanism>EXTERNAL</mechanism><inline>\
          <bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/></inline></bind><sm xmlns='urn:xmpp:sm:3'/>\
          </inline></authentication><register xmlns='http://jabber.org/features/iq-register'/></stream:features>"
        ]
    );
    let lines = client.says("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
    assert_eq!(lines, ["[verify certificate for None]"]);
    client.stream.authenticated(Ok(juliet()));
    assert_eq!(client.reads(), [SUCCESS]);
    assert_eq!(client.stream.authenticated_as(), Some(&juliet()));
    // Its library repeats our stream id in its own header.
    let with_id = HEADER.replace("version='1.0' xml", "id='2f4a' version='1.0' xml");
    assert_eq!(client.says(&with_id), [CLIENT_FEATURES]);
    let lines = client.says(
        "<iq id='b1' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>0a1b</resource></bind></iq>",
    );
    assert_eq!(lines, ["[bind juliet@a.example Some(\"0a1b\")]"]);
    assert_eq!(client.stream.full_jid(), None);
    client.stream.bound(Ok(bound_as("0a1b")));
    assert_eq!(
        client.reads(),
        [
            "<iq type='result' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@a.example/0a1b</jid></bind></iq>"
        ]
    );
    assert_eq!(client.stream.full_jid().unwrap().to_string(), "juliet@a.example/0a1b");
    assert_eq!(client.says("<enable xmlns='urn:xmpp:sm:3'/>"), ["[enable false None]"]);
    assert_eq!(client.says("</stream:stream>"), ["</stream:stream>", "[StreamEnded]", "[Close]"]);
    assert_eq!(client.says("<r xmlns='urn:xmpp:sm:3'/>"), [""; 0]);
}

#[test]
fn mechanisms_depend_on_certificate_and_channel_binding() {
    let mechanisms = |facts: TlsFacts| {
        let said = Client::new(Security::Tls(facts)).says(HEADER).concat();
        let bindings = said.matches("<channel-binding type='").count();
        let (said, _) = said.split_once("</mechanisms>").unwrap();
        let names: Vec<&str> = said.split("<mechanism>").skip(1).filter_map(|rest| rest.split('<').next()).collect();
        (names.join(" "), bindings)
    };
    let all = "EXTERNAL SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-1 PLAIN";
    assert_eq!(mechanisms(tls()), (all.to_owned(), 2));
    assert_eq!(mechanisms(TlsFacts { exporter: None, ..tls() }), (all.to_owned(), 1));
    assert_eq!(
        mechanisms(TlsFacts { exporter: None, server_end_point: None, ..tls() }),
        ("EXTERNAL SCRAM-SHA-256 SCRAM-SHA-1 PLAIN".to_owned(), 0)
    );
    assert_eq!(mechanisms(TlsFacts { client_certificate: ClientCertificate::Other, ..tls() }), (all.to_owned(), 2));
    assert_eq!(
        mechanisms(TlsFacts { client_certificate: ClientCertificate::Bridge, ..tls() }),
        ("EXTERNAL".to_owned(), 0)
    );
    let quiet = Client::with_registration(Security::Tls(tls()), false).says(HEADER).concat();
    assert!(!quiet.contains("register"));
}

#[test]
fn what_was_said_in_the_clear_behind_starttls_is_forgotten() {
    let mut client = Client::led_to(State::Plain);
    client.says(&format!("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>{HEADER}<evil"));
    client.stream.receive(b"/>");
    client.stream.tls_established(tls());
    assert_eq!(client.reads(), [""; 0]);
    assert!(client.says(HEADER).concat().contains("EXTERNAL"));
}

#[test]
fn headers_are_checked_as_the_rfc_has_them() {
    let header = |root: &str, content: &str, rest: &str| {
        format!("<s:{root} xmlns='{content}' xmlns:s='http://etherx.jabber.org/streams' {rest}>")
    };
    let good = |rest: &str| header("stream", "jabber:client", rest);
    for (text, condition) in [
        (good("to='a.example' version='1.0'"), None),
        (good("to='A.Example.' version='1.0'"), None),
        (good("version='1.0'"), None),
        (good("to='a.example' version='1.1'"), None),
        (good("to='a.example' version='2.0' id='x' from='@'"), None),
        (good("to='b.example' version='1.0'"), Some("host-unknown")),
        (good("to='juliet@a.example' version='1.0'"), Some("host-unknown")),
        (good("to='a.example/r' version='1.0'"), Some("host-unknown")),
        (good("to='' version='1.0'"), Some("host-unknown")),
        (good("to='a.example'"), Some("unsupported-version")),
        (good("to='a.example' version='0.9'"), Some("unsupported-version")),
        (good("to='a.example' version='1'"), Some("unsupported-version")),
        (good("to='a.example' version='one.0'"), Some("unsupported-version")),
        (header("stream", "jabber:server", "version='1.0'"), Some("invalid-namespace")),
        (header("flow", "jabber:client", "version='1.0'"), Some("bad-format")),
        ("<stream xmlns='jabber:client' version='1.0'>".to_owned(), Some("invalid-namespace")),
        ("<s:stream xmlns='jabber:client' version='1.0'>".to_owned(), Some("bad-namespace-prefix")),
        ("<?xml version='1.0' encoding='latin1'?>".to_owned(), Some("unsupported-encoding")),
        ("<!DOCTYPE stream>".to_owned(), Some("restricted-xml")),
        ("GET / HTTP/1.1\r\n".to_owned(), Some("not-well-formed")),
    ] {
        for security in [Security::Plain, Security::Tls(tls())] {
            let lines = Client::new(security).says(&text);
            assert_eq!(stream_error(&lines).as_deref(), condition, "{text} {lines:?}");
            // RFC 6120 §4.9.1.2: also an error stands in a stream.
            assert!(lines.concat().starts_with("[header]"), "{lines:?}");
        }
    }
}

#[test]
fn a_client_that_names_itself_is_named_in_return() {
    let header = HEADER.replace("to='", "from='Romeo@a.example/x' to='");
    let said = |client: &mut Client| {
        client.stream.receive(header.as_bytes());
        match client.stream.next_action() {
            Some(Action::Send(text)) => text,
            other => panic!("{other:?}"),
        }
    };
    let mut client = Client::new(Security::Tls(tls()));
    let before = said(&mut client);
    assert!(before.contains(" to='romeo@a.example' "), "{before}");
    client.says(&auth("PLAIN", "\0juliet\0pencil"));
    client.stream.authenticated(Ok(juliet()));
    client.reads();
    let after = said(&mut client);
    assert!(after.contains(" to='juliet@a.example' "), "{after}");
    let id = |text: &str| text.split("id='").nth(1).map(|rest| rest.split('\'').next().unwrap().to_owned());
    assert_ne!(id(&before), id(&after));
}

#[test]
fn what_comes_before_its_time_is_refused_by_name() {
    let register = "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>";
    let elsewhere = "<iq type='get' id='r' to='b.example'><query xmlns='jabber:iq:register'/></iq>";
    let ping = "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";
    for (state, text, condition) in [
        (State::Plain, register, "policy-violation"),
        (State::Plain, ping, "policy-violation"),
        (State::Plain, "<message/>", "policy-violation"),
        (State::Plain, "<enable xmlns='urn:xmpp:sm:3'/>", "policy-violation"),
        (State::Plain, "<foo/>", "unsupported-stanza-type"),
        (State::Secured, elsewhere, "not-authorized"),
        (State::Secured, "<iq type='result' id='r'><query xmlns='jabber:iq:register'/></iq>", "not-authorized"),
        (State::Secured, "<iq type='get'><query xmlns='jabber:iq:register'/></iq>", "not-authorized"),
        (State::Secured, ping, "not-authorized"),
        (State::Secured, "<presence/>", "not-authorized"),
        (State::Secured, "<resume xmlns='urn:xmpp:sm:3' previd='x' h='1'/>", "not-authorized"),
        (State::Secured, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "unsupported-stanza-type"),
        (State::Secured, "<foo xmlns='urn:x'/>", "unsupported-stanza-type"),
        (State::Secured, "<success xmlns='urn:xmpp:sasl:2'/>", "unsupported-stanza-type"),
        (State::Authenticated, "<authenticate xmlns='urn:xmpp:sasl:2'/>", "unsupported-stanza-type"),
        (State::Bound, "<authenticate xmlns='urn:xmpp:sasl:2'/>", "unsupported-stanza-type"),
        (State::Authenticated, register, "not-authorized"),
        (State::Authenticated, ping, "not-authorized"),
        (State::Authenticated, "<message to='romeo@a.example'/>", "not-authorized"),
        (State::Authenticated, "<r xmlns='urn:xmpp:sm:3'/>", "not-authorized"),
        (State::Authenticated, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "unsupported-stanza-type"),
        (State::Authenticated, "<iq", "none"),
        (State::Bound, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "unsupported-stanza-type"),
        (State::Bound, "<foo/>", "unsupported-stanza-type"),
        (State::Bound, "<message xmlns='jabber:server'/>", "unsupported-stanza-type"),
        (State::Bound, "<message from='romeo@a.example'/>", "invalid-from"),
        (State::Bound, "<message from='juliet@a.example/other'/>", "invalid-from"),
        (State::Bound, "<message from='@'/>", "invalid-from"),
        (State::Bound, "<a xmlns='urn:xmpp:sm:3'/>", "bad-format"),
        (State::Bound, "<a xmlns='urn:xmpp:sm:3' h='4294967296'/>", "bad-format"),
        (State::Bound, "<message><!-- c --></message>", "restricted-xml"),
        (State::Bound, "<message></presence>", "not-well-formed"),
    ] {
        let lines = Client::led_to(state).says(text);
        assert_eq!(stream_error(&lines).as_deref().unwrap_or("none"), condition, "{state:?} {text}: {lines:?}");
    }
}

#[test]
fn starttls_inside_tls_fails_and_ends_the_stream() {
    let lines = Client::led_to(State::Secured).says("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert_eq!(lines, ["<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "</stream:stream>", "[Close]"]);
}

#[test]
fn sasl_before_tls_needs_encryption() {
    let lines = Client::led_to(State::Plain).says(&auth("PLAIN", "\0juliet\0pencil"));
    assert_eq!(lines, [sasl_failure("encryption-required")]);
}

#[test]
fn registration_goes_out_and_its_reply_comes_back_before_what_follows() {
    let mut client = Client::led_to(State::Secured);
    let request =
        "<iq type='get' id='r1' to='a.example' from='romeo@a.example'><query xmlns='jabber:iq:register'/></iq>";
    let lines = client.says(&format!("{request}{}", auth("PLAIN", "\0juliet\0pencil")));
    assert_eq!(lines, [format!("[register {}]", request.replace(" from='romeo@a.example'", ""))]);
    let reply = parse_document("<iq type='result' id='r1' from='a.example'/>", ns::CLIENT, 9).unwrap();
    client.stream.registration_reply(Stanza::new(reply).unwrap());
    assert_eq!(client.reads(), ["<iq type='result' id='r1' from='a.example'/>", "[verify juliet@a.example pencil]"]);
}

#[test]
fn registration_that_is_off_is_not_allowed() {
    let mut client = Client::with_registration(Security::Tls(tls()), false);
    client.says(HEADER);
    let lines = client.says("<iq type='get' id='r1'><query xmlns='jabber:iq:register'/></iq>").concat();
    assert!(
        lines.starts_with("<iq type='error' id='r1' from='a.example'><error type='cancel'><not-allowed "),
        "{lines}"
    );
}

#[test]
fn registration_requests_on_one_stream_are_counted() {
    let mut client = Client::led_to(State::Secured);
    let request = "<iq type='get' id='r1'><query xmlns='jabber:iq:register'/></iq>";
    let reply = Stanza::new(parse_document("<iq type='result' id='r1'/>", ns::CLIENT, 9).unwrap()).unwrap();
    for _ in 0..limits::REGISTRATION_REQUESTS_PER_STREAM_MAX {
        assert!(client.says(request).concat().starts_with("[register"));
        client.stream.registration_reply(reply.clone());
        client.reads();
    }
    assert_eq!(stream_error(&client.says(request)).as_deref(), Some("policy-violation"));
}

#[test]
fn a_stream_that_is_not_bound_in_time_is_closed() {
    for state in State::ALL {
        let mut client = Client::led_to(state);
        let Some(deadline) = client.stream.deadline() else {
            assert_eq!(state, State::Bound);
            continue;
        };
        assert_eq!(deadline, client.start + limits::NEGOTIATION_TIMEOUT);
        client.stream.handle_timeout(deadline - Duration::from_millis(1));
        assert_eq!(client.reads(), [""; 0]);
        client.stream.handle_timeout(deadline);
        assert_eq!(stream_error(&client.reads()).as_deref(), Some("connection-timeout"), "{state:?}");
        assert_eq!(client.stream.deadline(), None);
    }
}

#[test]
fn our_own_end_is_said_in_a_stream_wherever_the_client_is() {
    for state in State::ALL {
        let mut client = Client::led_to(state);
        client.stream.close(Some(StreamError::new(StreamCondition::SystemShutdown)));
        let lines = client.reads();
        assert_eq!(stream_error(&lines).as_deref(), Some("system-shutdown"), "{state:?}");
        assert_eq!(lines.concat().starts_with("[header]"), state == State::BeforeHeader);
        client.stream.close(None);
        assert_eq!(client.says("<message/>"), [""; 0]);
    }
    // Behind TLS and behind success a new stream begins, which we open if the client did not.
    let mut client = Client::led_to(State::Plain);
    client.says("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    client.stream.tls_established(tls());
    client.stream.close(Some(StreamError::new(StreamCondition::SystemShutdown)));
    assert!(client.reads().concat().starts_with("[header]<stream:error>"));
    let mut client = Client::led_to(State::Secured);
    client.says(&auth("EXTERNAL", ""));
    client.stream.authenticated(Ok(juliet()));
    client.reads();
    client.stream.close(Some(StreamError::new(StreamCondition::Conflict)));
    assert!(client.reads().concat().starts_with("[header]<stream:error>"));
    let mut client = Client::new(Security::Plain);
    client.stream.close(None);
    assert_eq!(client.reads(), ["[Close]"]);
    // In the middle of a TLS handshake nothing can be said.
    let mut client = Client::led_to(State::Plain);
    client.says("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    client.stream.handle_timeout(client.start + limits::NEGOTIATION_TIMEOUT);
    assert_eq!(client.reads(), ["[Close]"]);
    client.stream.tls_established(tls());
    assert_eq!(client.says(HEADER), [""; 0]);
}

#[test]
fn late_answers_to_a_closed_stream_change_nothing() {
    let mut client = Client::led_to(State::Secured);
    client.says(&auth("PLAIN", "\0juliet\0pencil"));
    client.stream.close(None);
    client.reads();
    client.stream.authenticated(Ok(juliet()));
    client.stream.bound(Ok(bound_as("x")));
    assert_eq!(client.reads(), [""; 0]);
    assert_eq!(client.stream.authenticated_as(), None);
}
