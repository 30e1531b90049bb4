//! SASL2, Bind 2, inline resumption and tokens.

use std::collections::BTreeSet;

use super::session::{keys, prove, unwrap_base64};
use super::*;
use crate::stanza::Timestamp;
use crate::stream::keys::hmac_sha256;

#[test]
fn sasl2_is_offered_with_what_fits_the_connection() {
    let offered = |facts: TlsFacts| {
        let said = Client::new(Security::Tls(facts)).says(HEADER).concat();
        let (_, rest) = said.split_once("<authentication xmlns='urn:xmpp:sasl:2'>").unwrap();
        let (list, inline) = rest.split_once("</authentication>").unwrap().0.split_once("<inline>").unwrap();
        assert!(inline.contains("<sm xmlns='urn:xmpp:sm:3'/>") && inline.contains("<bind xmlns='urn:xmpp:bind:0'>"));
        let names = |text: &str| {
            let names = text.split("<mechanism>").skip(1).filter_map(|rest| rest.split('<').next());
            names.collect::<Vec<_>>().join(" ")
        };
        (names(list), names(inline))
    };
    let passwords = "SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-1 PLAIN";
    for (facts, list, tokens) in [
        (tls(), passwords.to_owned(), "HT-SHA-256-EXPR HT-SHA-256-ENDP HT-SHA-256-NONE"),
        (TlsFacts { exporter: None, ..tls() }, passwords.to_owned(), "HT-SHA-256-ENDP HT-SHA-256-NONE"),
        (
            TlsFacts { exporter: None, server_end_point: None, ..tls() },
            "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN".to_owned(),
            "HT-SHA-256-NONE",
        ),
        (
            TlsFacts { client_certificate: ClientCertificate::Other, ..tls() },
            format!("EXTERNAL {passwords}"),
            "HT-SHA-256-EXPR HT-SHA-256-ENDP HT-SHA-256-NONE",
        ),
        (TlsFacts { client_certificate: ClientCertificate::Bridge, ..tls() }, "EXTERNAL".to_owned(), ""),
    ] {
        assert_eq!(offered(facts.clone()), (list, tokens.to_owned()), "{facts:?}");
    }
    assert!(!Client::new(Security::Plain).says(HEADER).concat().contains("sasl:2"));
}

#[test]
fn a_plain_login_goes_on_without_a_new_header() {
    // XEP-0388 §5.1.
    let mut client = Client::led_to(State::Secured);
    assert_eq!(client.says(&authenticate("PLAIN", Some(PLAIN), USER_AGENT)), ["[verify juliet@a.example pencil]"]);
    client.stream.authenticated(Ok(juliet()));
    let features = CLIENT_FEATURES.strip_prefix("[header]").unwrap();
    assert_eq!(client.reads(), [format!("{}{features}", success("juliet@a.example", ""))]);
    assert_eq!(client.stream.authenticated_as(), Some(&juliet()));
    let bind = "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    assert_eq!(client.says(bind), ["[bind juliet@a.example None]"]);
}

#[test]
fn one_round_trip_binds_and_enables_what_was_asked_for() {
    let mut client = Client::led_to(State::Secured);
    client.says(&authenticate(
        "PLAIN",
        Some(PLAIN),
        "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>AwesomeXMPP</software></user-agent>\
         <bind xmlns='urn:xmpp:bind:0'><tag>AwesomeXMPP</tag><enable xmlns='urn:xmpp:carbons:2'/>\
         <enable xmlns='urn:xmpp:sm:3' resume='1' max='60'/><inactive xmlns='urn:xmpp:csi:0'/></bind>",
    ));
    client.stream.authenticated(Ok(juliet()));
    let [Action::Bind { resource: Some(resource), wishes, .. }] = &client.actions()[..] else { panic!("no binding") };
    let management = Some(Management { resume: true, max_secs: Some(60) });
    assert_eq!(*wishes, SessionWishes { management, carbons: true, inactive: true });
    let unique = resource.strip_prefix("AwesomeXMPP~").unwrap();
    assert!(unique.len() == 16 && !unique.contains("d4565fa7"), "{resource}");
    let enabled = Element::new("enabled", ns::SM).with("id", "t1");
    client.stream.bound(Ok(Bound { inline: vec![enabled], ..bound_as(resource) }));
    // No <bind/> and no <sm/>: both are done.
    let bound = "<bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' id='t1'/></bound>";
    let full = format!("juliet@a.example/{resource}");
    let expected = format!(
        "{}<stream:features><ver xmlns='urn:xmpp:features:rosterver'/><sub xmlns='urn:xmpp:features:pre-approval'/><csi xmlns='urn:xmpp:csi:0'/>\
         <roster xmlns='http://kontalk.org/extensions/roster'/></stream:features>",
        success(&full, bound)
    );
    assert_eq!(client.reads(), [expected]);
    assert_eq!(client.says("<presence/>"), [format!("[route <presence from='{full}'/>]")]);
    assert_eq!((client.stream.deadline(), client.stream.sign_on.is_none()), (None, true));
}

#[test]
fn a_client_gets_the_same_resource_again_and_nobody_else_does() {
    let resource = |user: &str, inner: &str| {
        let mut client = Client::led_to(State::Secured);
        client.says(&authenticate("EXTERNAL", None, inner));
        client.says(&authenticate("PLAIN", Some(format!("\0{user}\0x").as_bytes()), inner));
        client.stream.authenticated(Ok(format!("{user}@a.example").parse().unwrap()));
        match client.actions().pop() {
            Some(Action::Bind { resource: Some(resource), .. }) => resource,
            other => panic!("{other:?}"),
        }
    };
    let agent =
        |id: &str, tag: &str| format!("<user-agent id='{id}'/><bind xmlns='urn:xmpp:bind:0'><tag>{tag}</tag></bind>");
    let first = resource("juliet", &agent("1", "App"));
    assert_eq!(resource("juliet", &agent("1", "App")), first);
    let others = [
        resource("romeo", &agent("1", "App")),
        resource("juliet", &agent("2", "App")),
        resource("juliet", &agent("1", "Ap")),
    ];
    assert!(others.iter().all(|other| other.rsplit('~').next() != first.rsplit('~').next()), "{first} {others:?}");
    // A tag that no resource can begin with is left out.
    for tag in ["", &"x".repeat(129)] {
        assert_eq!(resource("juliet", &agent("1", tag)).len(), 16, "{tag}");
    }
    // Without an id it is another one each time.
    let mut client = Client::led_to(State::Secured);
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        seen.insert(client.stream.resource(&juliet(), None));
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_session_is_resumed_inside_success() {
    let mut client = Client::led_to(State::Secured);
    client.says(&authenticate("PLAIN", Some(PLAIN), &format!("{RESUME}<bind xmlns='urn:xmpp:bind:0'/>")));
    client.stream.authenticated(Ok(juliet()));
    assert_eq!(client.reads(), ["[resume juliet@a.example t1 7]"]);
    client.stream.resumed(Ok(Resumed { jid: phone().jid, h: 345 }));
    // XEP-0198 §9.2: no binding, no features.
    let resumed = "<resumed xmlns='urn:xmpp:sm:3' h='345' previd='t1'/>";
    assert_eq!(client.reads(), [success("juliet@a.example/phone", resumed)]);
    assert_eq!(client.stream.full_jid(), Some(&phone().jid));
}

#[test]
fn a_failed_resumption_is_told_and_binding_goes_on() {
    let not_found = "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>";
    let bad = "<bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>";
    for (resume, asked, h, failed) in [
        (RESUME, true, Some(3), format!("<failed xmlns='urn:xmpp:sm:3' h='3'>{not_found}</failed>")),
        (RESUME, true, None, format!("<failed xmlns='urn:xmpp:sm:3'>{not_found}</failed>")),
        (
            "<resume xmlns='urn:xmpp:sm:3' previd='t1' h='x'/>",
            false,
            None,
            format!("<failed xmlns='urn:xmpp:sm:3'>{bad}</failed>"),
        ),
    ] {
        for binds in [true, false] {
            let bind = if binds { "<bind xmlns='urn:xmpp:bind:0'/>" } else { "" };
            let mut client = Client::led_to(State::Secured);
            client.says(&authenticate("PLAIN", Some(PLAIN), &format!("{resume}{bind}")));
            client.stream.authenticated(Ok(juliet()));
            let mut lines = client.reads();
            if asked {
                assert_eq!(lines, ["[resume juliet@a.example t1 7]"]);
                client.stream.resumed(Err(ResumeRefused { h }));
                lines = client.reads();
            }
            if binds {
                assert!(lines.concat().starts_with("[bind juliet@a.example Some("), "{lines:?}");
                client.stream.bound(Ok(phone()));
                lines = client.reads();
            }
            let (who, bound) = if binds {
                ("juliet@a.example/phone", "<bound xmlns='urn:xmpp:bind:0'/>")
            } else {
                ("juliet@a.example", "")
            };
            let expected = success(who, &format!("{failed}{bound}"));
            let said = lines.concat();
            assert!(said.starts_with(&expected), "{said}");
            assert_eq!(said.contains("xmpp-bind"), !binds, "{said}");
            assert!(said.contains("<sm xmlns"), "{said}");
        }
    }
}

#[test]
fn a_client_that_gets_no_resource_is_told_by_the_old_way() {
    let mut client = Client::led_to(State::Secured);
    client.says(&authenticate("PLAIN", Some(PLAIN), "<bind xmlns='urn:xmpp:bind:0'/>"));
    client.stream.authenticated(Ok(juliet()));
    client.reads();
    client.stream.bound(Err(StanzaError::new(StanzaCondition::ResourceConstraint)));
    let features = CLIENT_FEATURES.strip_prefix("[header]").unwrap();
    assert_eq!(client.reads(), [format!("{}{features}", success("juliet@a.example", ""))]);
}

#[test]
fn scram_by_sasl2_carries_the_signature_and_guards_against_downgrades() {
    for (mechanism, flag, binding) in
        [("SCRAM-SHA-1", "n", &[][..]), ("SCRAM-SHA-256", "n", &[]), ("SCRAM-SHA-256-PLUS", "p=tls-exporter", &[7; 32])]
    {
        let mut client = Client::led_to(State::Secured);
        let bare = "n=Juliet,r=abcdef";
        let first = format!("{flag},,{bare}");
        let lines = client.says(&authenticate(mechanism, Some(first.as_bytes()), USER_AGENT));
        assert_eq!(lines, ["[keys of juliet@a.example]"]);
        client.stream.scram_keys(Ok(keys()));
        let said = client.reads().concat();
        assert!(said.starts_with("<challenge xmlns='urn:xmpp:sasl:2'>"), "{said}");
        let challenge =
            unwrap_base64(&said.replace("urn:xmpp:sasl:2", "urn:ietf:params:xml:ns:xmpp-sasl"), "challenge");
        let gs2: Vec<u8> = [format!("{flag},,").as_bytes(), binding].concat();
        let (last, verifier) = prove(mechanism.contains("256"), &gs2, bare, &challenge, "pencil");
        let lines = client.says(&format!("<response xmlns='urn:xmpp:sasl:2'>{}</response>", base64(&last)));
        let expected = format!(
            "<success xmlns='urn:xmpp:sasl:2'><additional-data>{}</additional-data>\
             <authorization-identifier>juliet@a.example</authorization-identifier></success>",
            base64(&verifier)
        );
        assert!(lines.concat().starts_with(&expected), "{lines:?}");
    }
}

#[test]
fn the_challenge_tells_what_was_offered_and_which_tls_we_see() {
    use base64::Engine;
    use sha1::Digest;
    let said = |facts: TlsFacts, sasl2: bool| {
        let mut client = Client::new(Security::Tls(facts));
        client.says(HEADER);
        let first = "n,,n=juliet,r=1";
        client.says(&match sasl2 {
            true => authenticate("SCRAM-SHA-1", Some(first.as_bytes()), ""),
            false => auth("SCRAM-SHA-1", first),
        });
        client.stream.scram_keys(Ok(keys()));
        let said = client.reads().concat().replace("urn:xmpp:sasl:2", "urn:ietf:params:xml:ns:xmpp-sasl");
        let challenge = unwrap_base64(&said, "challenge");
        challenge.split_once(",h=").map(|(_, rest)| rest.to_owned()).unwrap()
    };
    let hash = |list: &str| base64::engine::general_purpose::STANDARD.encode(sha1::Sha1::digest(list));
    // XEP-0474 §6.1, with its own example first.
    assert_eq!(
        hash("SCRAM-SHA-1\u{1e}SCRAM-SHA-1-PLUS\u{1f}tls-exporter\u{1e}tls-server-end-point"),
        "G6k/rBLDqgOhRRaCuuatSDFkJ08="
    );
    let passwords = "PLAIN\u{1e}SCRAM-SHA-1\u{1e}SCRAM-SHA-1-PLUS\u{1e}SCRAM-SHA-256\u{1e}SCRAM-SHA-256-PLUS";
    let bindings = "\u{1f}tls-exporter\u{1e}tls-server-end-point";
    // XEP-0515 §4.1.
    assert_eq!(said(tls(), true), format!("{},t=0304", hash(&format!("{passwords}{bindings}"))));
    assert_eq!(said(tls(), false), format!("{},t=0304", hash(&format!("EXTERNAL\u{1e}{passwords}{bindings}"))));
    let old = TlsFacts { version: 0x0303, exporter: None, server_end_point: None, ..tls() };
    let list = "PLAIN\u{1e}SCRAM-SHA-1\u{1e}SCRAM-SHA-256";
    assert_eq!(said(old, true), format!("{},t=0303", hash(list)));
}

#[test]
fn a_token_is_asked_for_and_given_with_success() {
    let mut client = Client::led_to(State::Secured);
    let wish = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-ENDP'/>";
    client.says(&authenticate("PLAIN", Some(PLAIN), &format!("{USER_AGENT}<bind xmlns='urn:xmpp:bind:0'/>{wish}")));
    client.stream.authenticated(Ok(juliet()));
    assert_eq!(client.reads(), ["[token for juliet@a.example by ServerEndPoint]"]);
    client.stream.token_issued(Some(token()));
    assert!(client.reads().concat().starts_with("[bind juliet@a.example"));
    client.stream.bound(Ok(phone()));
    let said = client.reads().concat();
    let expected = success("juliet@a.example/phone", &format!("<bound xmlns='urn:xmpp:bind:0'/>{TOKEN}"));
    assert!(said.starts_with(&expected), "{said}");

    // The node's disk failed: the login does not.
    let mut client = Client::led_to(State::Secured);
    client.says(&authenticate("PLAIN", Some(PLAIN), &format!("{USER_AGENT}{wish}")));
    client.stream.authenticated(Ok(juliet()));
    client.reads();
    client.stream.token_issued(None);
    assert!(client.reads().concat().starts_with(&success("juliet@a.example", "")));
}

#[test]
fn a_token_is_not_given_to_whom_it_is_not_for() {
    let wish = |name: &str| format!("<request-token xmlns='urn:xmpp:fast:0' mechanism='{name}'/>");
    let bridge = TlsFacts { client_certificate: ClientCertificate::Bridge, ..tls() };
    let unbound = TlsFacts { exporter: None, ..tls() };
    for (facts, mechanism, inner) in [
        // Without a name there is nobody to keep it for.
        (tls(), "PLAIN", wish("HT-SHA-256-NONE")),
        (tls(), "PLAIN", format!("{USER_AGENT}{}", wish("SCRAM-SHA-1"))),
        (unbound, "PLAIN", format!("{USER_AGENT}{}", wish("HT-SHA-256-EXPR"))),
        // Who has a key needs none.
        (bridge, "EXTERNAL", format!("{USER_AGENT}{}", wish("HT-SHA-256-NONE"))),
    ] {
        let mut client = Client::new(Security::Tls(facts));
        client.says(HEADER);
        client.says(&authenticate(mechanism, Some(if mechanism == "PLAIN" { PLAIN } else { b"" }), &inner));
        client.stream.authenticated(Ok(juliet()));
        assert!(client.reads().concat().starts_with(&success("juliet@a.example", "")), "{inner}");
    }
}

#[test]
fn a_token_logs_in_at_once() {
    for (mechanism, name, binding) in [
        ("HT-SHA-256-NONE", "Unbound", &b""[..]),
        ("HT-SHA-256-ENDP", "ServerEndPoint", &[9; 32]),
        ("HT-SHA-256-EXPR", "Exporter", &[7; 32]),
    ] {
        let mut client = Client::led_to(State::Secured);
        let hash = hmac_sha256(b"secret token", &[b"Initiator", binding]);
        let inner = format!("{USER_AGENT}<fast xmlns='urn:xmpp:fast:0' count='123'/>");
        let message = [b"juliet\0".as_slice(), &hash].concat();
        client.stream.receive(authenticate(mechanism, Some(&message), &inner).as_bytes());
        let actions = client.actions();
        let [Action::VerifyToken(proof)] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!((proof.hash, &proof.binding[..], proof.count, proof.invalidate), (hash, binding, 123, false));
        assert_eq!(format!("{:?}", proof.mechanism), name);
        assert_eq!(proof.client, ClientId::of("d4565fa7-4d72-4749-b3d3-740edbf87770").unwrap());
        client.stream.token_verified(Ok(TokenVerdict { response: [3; 32], replacement: Some(token()) }));
        use base64::Engine;
        let response = base64::engine::general_purpose::STANDARD.encode([3; 32]);
        let expected = format!(
            "<success xmlns='urn:xmpp:sasl:2'><additional-data>{response}</additional-data>\
             <authorization-identifier>juliet@a.example</authorization-identifier>{TOKEN}</success><stream:features>"
        );
        let said = client.reads().concat();
        assert!(said.starts_with(&expected), "{said}");
    }
}

#[test]
fn a_refused_token_leaves_the_password() {
    let mut client = Client::led_to(State::Secured);
    let inner = format!("{USER_AGENT}<fast xmlns='urn:xmpp:fast:0' invalidate='true'/>{RESUME}");
    let message = [b"juliet\0".as_slice(), &[1; 32]].concat();
    let attempt = authenticate("HT-SHA-256-NONE", Some(&message), &inner);
    for (condition, told) in [
        (SaslCondition::NotAuthorized, true),
        (SaslCondition::CredentialsExpired, true),
        (SaslCondition::TemporaryAuthFailure, false),
    ] {
        assert_eq!(client.says(&attempt), ["[verify token of juliet@a.example by Unbound, 0, true]"]);
        client.stream.token_verified(Err(SaslFailure::new(condition)));
        let mut expected = vec![failure(condition.as_str())];
        expected.extend(told.then(|| "[failed: juliet@a.example]".to_owned()));
        assert_eq!(client.reads(), expected);
    }
    // The next attempt is its own: nothing of what was asked for before.
    client.says(&authenticate("PLAIN", Some(PLAIN), ""));
    client.stream.authenticated(Ok(juliet()));
    assert!(client.reads().concat().starts_with(&success("juliet@a.example", "")));
}

#[test]
fn faulty_sign_ons_are_refused_by_name_in_their_own_profile() {
    let raw = |mechanism: &str, inner: &str| {
        format!("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'>{inner}</authenticate>")
    };
    let hash = [b"juliet\0".as_slice(), &[1; 32]].concat();
    let fast = "<fast xmlns='urn:xmpp:fast:0'/>";
    let header = HEADER.replace(" to=", " from='romeo@a.example' to=");
    for (header, text, condition) in [
        (HEADER, raw("PLAIN", "<initial-response>!</initial-response>"), "incorrect-encoding"),
        (HEADER, raw("PLAIN", "<initial-response>=</initial-response>"), "incorrect-encoding"),
        (HEADER, raw("PLAIN", "<initial-response/>"), "malformed-request"),
        (HEADER, raw("DIGEST-MD5", ""), "invalid-mechanism"),
        // Nobody without a certificate need try.
        (HEADER, raw("EXTERNAL", ""), "invalid-mechanism"),
        (HEADER, "<authenticate xmlns='urn:xmpp:sasl:2'/>".to_owned(), "invalid-mechanism"),
        (HEADER, "<response xmlns='urn:xmpp:sasl:2'/>".to_owned(), "malformed-request"),
        (HEADER, "<abort xmlns='urn:xmpp:sasl:2'/>".to_owned(), "aborted"),
        (HEADER, format!("{}<abort xmlns='urn:xmpp:sasl:2'><text>no</text></abort>", raw("PLAIN", "")), "aborted"),
        (HEADER, format!("{0}{0}", raw("PLAIN", "")), "malformed-request"),
        (HEADER, authenticate("HT-SHA-256-NONE", Some(&hash), USER_AGENT), "malformed-request"),
        (HEADER, authenticate("HT-SHA-256-NONE", Some(&hash), fast), "malformed-request"),
        (HEADER, authenticate("HT-SHA-256-NONE", Some(b"juliet"), &format!("{USER_AGENT}{fast}")), "malformed-request"),
        (
            HEADER,
            authenticate("HT-SHA-256-NONE", Some(b"juliet\0x"), &format!("{USER_AGENT}{fast}")),
            "malformed-request",
        ),
        (
            HEADER,
            authenticate("HT-SHA-256-NONE", Some(&hash[6..]), &format!("{USER_AGENT}{fast}")),
            "malformed-request",
        ),
        (HEADER, authenticate("HT-SHA-256-UNIQ", Some(&hash), &format!("{USER_AGENT}{fast}")), "invalid-mechanism"),
        // XEP-0388 §4.4.
        (&header, authenticate("PLAIN", Some(b"juliet@a.example\0juliet\0pencil"), ""), "invalid-authzid"),
    ] {
        let mut client = Client::new(Security::Tls(tls()));
        client.says(header);
        let lines = client.says(&text).concat();
        let expected =
            format!("<failure xmlns='urn:xmpp:sasl:2'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        assert!(lines.contains(&expected), "{text}: {lines}");
    }
    // A token by the old profile.
    let mut client = Client::led_to(State::Secured);
    assert_eq!(client.says(&auth("HT-SHA-256-NONE", "x")), [sasl_failure("invalid-mechanism")]);
    // In the clear.
    let mut client = Client::led_to(State::Plain);
    assert_eq!(client.says(&authenticate("PLAIN", Some(PLAIN), "")), [failure("encryption-required")]);
}

#[test]
fn nothing_else_goes_while_a_sign_on_is_in_progress() {
    // XEP-0388 §2.4.
    for text in [
        "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>",
        "<presence/>",
    ] {
        let mut client = Client::led_to(State::Secured);
        assert_eq!(client.says(&authenticate("PLAIN", None, "")), ["<challenge xmlns='urn:xmpp:sasl:2'/>"]);
        assert!(stream_error(&client.says(text)).is_some(), "{text}");
    }
}

#[test]
fn what_was_pipelined_behind_a_sign_on_is_heard_in_the_session() {
    let mut client = Client::new(Security::Tls(tls()));
    let sign_on = authenticate("PLAIN", Some(PLAIN), &format!("{USER_AGENT}{RESUME}"));
    let lines = client.says(&format!("{HEADER}{sign_on}<presence/>"));
    assert_eq!(lines.len(), 2, "{lines:?}");
    client.stream.authenticated(Ok(juliet()));
    assert_eq!(client.reads(), ["[resume juliet@a.example t1 7]"]);
    client.stream.resumed(Ok(Resumed { jid: phone().jid, h: 0 }));
    let lines = client.reads();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1], "[route <presence from='juliet@a.example/phone'/>]");
}

impl Client {
    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.stream.next_action()).collect()
    }
}

/// `<authenticate/>` with this initial response and more inside.
pub(super) fn authenticate(mechanism: &str, data: Option<&[u8]>, inner: &str) -> String {
    use base64::Engine;
    let data = data.map(|data| base64::engine::general_purpose::STANDARD.encode(data));
    let data = data.map_or(String::new(), |data| format!("<initial-response>{data}</initial-response>"));
    format!("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'>{data}{inner}</authenticate>")
}

fn success(who: &str, inner: &str) -> String {
    format!(
        "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>{who}</authorization-identifier>{inner}</success>"
    )
}

fn failure(condition: &str) -> String {
    format!("<failure xmlns='urn:xmpp:sasl:2'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>")
}

fn token() -> IssuedToken {
    IssuedToken { token: "WXZz".to_owned().into(), expiry: Timestamp { millis: 1_584_023_775_000 } }
}

const PLAIN: &[u8] = b"\0juliet\0pencil";
const USER_AGENT: &str = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>";
const RESUME: &str = "<resume xmlns='urn:xmpp:sm:3' previd='t1' h='7'/>";
const TOKEN: &str = "<token xmlns='urn:xmpp:fast:0' expiry='2020-03-12T14:36:15.000Z' token='WXZz'/>";
/// All that can stand beside an initial response.
pub(super) const EVERYTHING: &str = "<user-agent id='1'/><fast xmlns='urn:xmpp:fast:0' count='1'/>\
     <request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/><resume xmlns='urn:xmpp:sm:3' previd='t' h='0'/>\
     <bind xmlns='urn:xmpp:bind:0'><tag>x</tag><enable xmlns='urn:xmpp:sm:3'/></bind>";
