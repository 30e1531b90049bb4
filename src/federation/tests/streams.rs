//! Streams: every way to authenticate, and every way not to.

use std::sync::Mutex;

use super::*;
use crate::xml::Element;

/// What TLS would show at one end.
#[derive(Clone)]
struct Shown {
    pkix: Result<(), PkixFault>,
    key: Option<SpkiHash>,
    tls13: bool,
}

const GOOD: Shown = Shown { pkix: Ok(()), key: None, tls13: true };
const SELF_SIGNED: Shown = Shown { pkix: Err(PkixFault::UnknownIssuer), key: Some(SpkiHash([7; 32])), tls13: true };

/// One end of a stream.
struct End {
    stream: PeerStream,
    /// What the other end shows.
    sees: Shown,
    lines: Vec<String>,
    out: Vec<String>,
    /// What the authoritative server will say.
    key_answer: Result<bool, StanzaCondition>,
    keys: Vec<(Pair, String, String)>,
    /// Believes what the peer shows of where it is.
    learns: Option<Arc<Cards>>,
}

impl End {
    fn new(stream: PeerStream, sees: &Shown) -> End {
        let (lines, out, keys) = (Vec::new(), Vec::new(), Vec::new());
        End { stream, sees: sees.clone(), lines, out, key_answer: Ok(true), keys, learns: None }
    }

    /// Does what the stream asks; true if it did anything.
    fn step(&mut self) -> bool {
        let mut acted = false;
        while let Some(action) = self.stream.next_action() {
            acted = true;
            match action {
                Action::Send(text) => self.out.push(text),
                Action::StartTls => self.stream.tls_established(),
                Action::Judge(domain) => {
                    let Shown { pkix, key, tls13 } = self.sees.clone();
                    self.stream.judged(&PeerEvidence { domain, pkix, spki_sha256: key, tls13 });
                }
                Action::Reach { domain, .. } => {
                    let Shown { pkix, key, tls13 } = self.sees.clone();
                    self.lines.push("shown where it is".to_owned());
                    if let Some(pins) = &self.learns {
                        pins.keys.lock().unwrap().extend(key);
                    }
                    let answer = Element::new("reach", ns::KONTALK_NET);
                    self.stream.reach_taken(Some(&answer), &PeerEvidence { domain, pkix, spki_sha256: key, tls13 });
                }
                Action::VerifyKey { pair, id, key } => {
                    self.keys.push((pair, id, key));
                    self.stream.key_verified(self.key_answer);
                }
                other => self.lines.push(line(&other)),
            }
        }
        acted
    }

    fn says(&mut self, text: &str) {
        self.stream.receive(text.as_bytes());
        self.step();
    }
}

fn line(action: &Action) -> String {
    match action {
        Action::Established(established) => {
            let Established { class, sends, receives, managed, .. } = established;
            format!("established {class:?} sends {sends} receives {receives} managed {managed}")
        }
        Action::Stanza(stanza) => stanza.to_text(),
        Action::Returned(Some(stanza)) => format!("returned {}", stanza.to_text()),
        Action::Failed(fault) => format!("failed: {fault}"),
        Action::Ack { h } => format!("ack {h}"),
        Action::KeyJudged(valid) => format!("key {valid}"),
        Action::Ended { answered } => format!("ended, answered {answered}"),
        other => format!("{other:?}"),
    }
}

#[derive(Debug)]
struct Pinned(&'static str, [u8; 32]);

impl Pins for Pinned {
    fn standing(&self, domain: &BareJid) -> Standing {
        if domain.as_str() == self.0 { Standing::Node(vec![SpkiHash(self.1)]) } else { Standing::Foreign }
    }
}

fn config(own: &str, dialback: bool) -> PeerConfig {
    PeerConfig {
        served: vec![domain(own), domain(&format!("upload.{own}"))],
        policy: Policy { allow: Vec::new(), deny: Vec::new(), dialback, pins: Arc::new(NoPins) },
        secret: DialbackSecret::new(own.as_bytes()),
    }
}

fn dial(config: PeerConfig, sees: &Shown, secured: bool) -> End {
    End::new(PeerStream::initiate(Arc::new(config), pair(), Errand::Carry, secured, [1; 32], Instant::now()), sees)
}

fn accept(config: PeerConfig, sees: &Shown, secured: bool) -> End {
    End::new(PeerStream::accept(Arc::new(config), secured, [2; 32], Instant::now()), sees)
}

/// Carries what each says to the other until both are silent, in pieces of this size.
fn connect(left: &mut End, right: &mut End, piece: usize) {
    loop {
        let mut acted = left.step() | right.step();
        for text in left.out.drain(..) {
            acted = true;
            text.as_bytes().chunks(piece).for_each(|bytes| right.stream.receive(bytes));
        }
        right.step();
        for text in right.out.drain(..) {
            acted = true;
            text.as_bytes().chunks(piece).for_each(|bytes| left.stream.receive(bytes));
        }
        left.step();
        if !acted {
            return;
        }
    }
}

#[test]
fn certificates_prove_both_sides_and_the_stream_goes_both_ways() {
    for secured in [false, true] {
        for piece in [1, 7, 4096] {
            let mut left = dial(config("a.example", false), &GOOD, secured);
            let mut right = accept(config("b.example", false), &GOOD, secured);
            connect(&mut left, &mut right, piece);
            assert_eq!(left.lines, ["established Domain sends true receives true managed true"]);
            assert_eq!(
                right.lines,
                ["established Domain sends true receives true managed false", "Managed"],
                "it counts once it was asked to"
            );
            let message = chat("1").to_text();
            left.out.push(message.clone() + "<r xmlns='urn:xmpp:sm:3'/>");
            right.out.push("<a xmlns='urn:xmpp:sm:3' h='1'/>".to_owned());
            connect(&mut left, &mut right, piece);
            assert_eq!(right.lines[2..], [message, "AckRequest".to_owned()]);
            assert_eq!(left.lines[1..], ["ack 1"]);
        }
    }
}

#[test]
fn dialback_proves_whom_certificates_do_not() {
    let mut left = dial(config("a.example", true), &SELF_SIGNED, false);
    let mut right = accept(config("b.example", true), &SELF_SIGNED, false);
    connect(&mut left, &mut right, 4096);
    assert_eq!(left.lines, ["established Dialback sends true receives true managed false"]);
    assert_eq!(right.lines, ["established Dialback sends true receives true managed false"]);
    // The key that was given is one that its authoritative server knows as its own.
    let (asked, id, key) = right.keys.pop().unwrap();
    assert_eq!(asked, Pair { own: domain("b.example"), peer: domain("a.example") });
    for (key, valid) in [(key.clone(), true), (key + "0", false)] {
        let errand = Errand::Verify { id: id.clone(), key };
        let asks = PeerStream::initiate(
            Arc::new(config("b.example", true)),
            asked.clone(),
            errand,
            false,
            [3; 32],
            Instant::now(),
        );
        let mut asks = End::new(asks, &SELF_SIGNED);
        let mut authoritative = accept(config("a.example", true), &SELF_SIGNED, false);
        connect(&mut asks, &mut authoritative, 4096);
        assert_eq!(asks.lines, [format!("key {valid}"), "Close".to_owned()]);
    }
}

#[test]
fn a_key_that_is_none_ends_the_stream_and_one_that_cannot_be_checked_does_not() {
    for (answer, left_says, right_says) in [
        (Ok(false), "failed: dialback did not prove us to it", Some("failed: dialback did not prove us to it")),
        (Err(StanzaCondition::RemoteServerTimeout), "failed: dialback did not prove us to it", None),
    ] {
        let mut left = dial(config("a.example", true), &SELF_SIGNED, false);
        let mut right = accept(config("b.example", true), &SELF_SIGNED, false);
        right.key_answer = answer;
        connect(&mut left, &mut right, 4096);
        assert_eq!(left.lines[0], left_says);
        assert!(right.lines.iter().all(|line| !line.starts_with("established")), "{:?}", right.lines);
        if let Some(expected) = right_says {
            assert_eq!(right.lines[0], expected);
        }
    }
}

#[test]
fn a_certificate_that_proves_nothing_is_refused_on_either_side() {
    for fault in [PkixFault::Expired, PkixFault::WrongName, PkixFault::UnknownIssuer, PkixFault::NoCertificate] {
        let bad = Shown { pkix: Err(fault), key: None, tls13: true };
        // The accepting side does not believe the dialling one, who hears why.
        let mut left = dial(config("a.example", false), &GOOD, false);
        let mut right = accept(config("b.example", false), &bad, false);
        connect(&mut left, &mut right, 4096);
        assert_eq!(right.lines[0], format!("failed: {fault}"));
        assert_eq!(left.lines[0], "failed: it ended the stream: policy-violation");
        // And the other way round.
        let mut left = dial(config("a.example", false), &bad, false);
        let mut right = accept(config("b.example", false), &GOOD, false);
        connect(&mut left, &mut right, 4096);
        assert_eq!(left.lines, [format!("failed: {fault}"), "Close".to_owned()]);
    }
}

#[test]
fn a_domain_with_a_card_is_known_by_its_key_alone() {
    let pinned = |own: &str, peer: &'static str| {
        let mut config = config(own, true);
        config.policy.pins = Arc::new(Pinned(peer, [7; 32]));
        config
    };
    let mut left = dial(pinned("a.example", "b.example"), &SELF_SIGNED, false);
    let mut right = accept(pinned("b.example", "a.example"), &SELF_SIGNED, false);
    connect(&mut left, &mut right, 4096);
    assert_eq!(left.lines, ["established Node sends true receives true managed true"]);
    // A certificate that authorities vouch for, and dialback, do not stand in for the key.
    let other_key = Shown { key: Some(SpkiHash([8; 32])), ..GOOD };
    let mut left = dial(config("a.example", true), &GOOD, false);
    let mut right = accept(pinned("b.example", "a.example"), &other_key, false);
    connect(&mut left, &mut right, 4096);
    assert_eq!(right.lines[0], "failed: it does not hold the key that this domain is known by");
    let mut left = dial(pinned("a.example", "b.example"), &other_key, false);
    let mut right = accept(config("b.example", true), &GOOD, false);
    connect(&mut left, &mut right, 4096);
    assert_eq!(left.lines[0], "failed: it does not hold the key that this domain is known by");
}

/// A node that knows its peer, by these keys.
#[derive(Debug)]
struct Cards {
    keys: Mutex<Vec<SpkiHash>>,
    /// The peer does not have what we say of ourselves.
    news: bool,
}

impl Pins for Cards {
    fn standing(&self, _domain: &BareJid) -> Standing {
        Standing::Node(self.keys.lock().unwrap().clone())
    }

    fn feature(&self, _domain: &BareJid) -> Option<Element> {
        Some(Element::new("node", ns::KONTALK_NET))
    }

    fn introduce(&self, _domain: &BareJid, features: &Element, proved: bool) -> Option<Element> {
        features.child("node", ns::KONTALK_NET)?;
        (self.news || !proved).then(|| Element::new("reach", ns::KONTALK_NET))
    }
}

#[test]
fn nodes_say_where_they_are_before_they_authenticate() {
    const ESTABLISHED: &str = "established Node sends true receives true";
    const REFUSED: &str = "failed: it does not hold the key that this domain is known by";
    let key = SELF_SIGNED.key.unwrap();
    // What the left knows of the right and the other way round, who has news, who believes news, and what comes of it.
    for (left_knows, right_knows, news, believes, left_says, right_says) in [
        (true, true, false, true, &[ESTABLISHED][..], &[ESTABLISHED][..]),
        (true, true, true, true, &["shown where it is", ESTABLISHED], &["shown where it is", ESTABLISHED]),
        (false, true, false, true, &["shown where it is", ESTABLISHED], &["shown where it is", ESTABLISHED]),
        (true, false, true, true, &["shown where it is", ESTABLISHED], &["shown where it is", ESTABLISHED]),
        (false, false, false, true, &["shown where it is", ESTABLISHED], &["shown where it is", ESTABLISHED]),
        // An impostor has nothing to show that would be believed.
        (false, true, false, false, &["shown where it is", REFUSED], &["shown where it is"]),
        (true, false, true, false, &["shown where it is"], &["shown where it is", REFUSED]),
        (true, false, false, false, &[], &[REFUSED]),
    ] {
        let cards =
            |knows: bool, news| Arc::new(Cards { keys: Mutex::new(knows.then_some(key).into_iter().collect()), news });
        let (here, there) = (cards(left_knows, news), cards(right_knows, false));
        let with = |own: &str, pins: &Arc<Cards>| {
            let mut config = config(own, true);
            config.policy.pins = pins.clone();
            config
        };
        let mut left = dial(with("a.example", &here), &SELF_SIGNED, false);
        let mut right = accept(with("b.example", &there), &SELF_SIGNED, false);
        (left.learns, right.learns) = (believes.then_some(here), believes.then_some(there));
        connect(&mut left, &mut right, 4096);
        let case = format!("{left_knows} {right_knows} {news} {believes}: {:?} {:?}", left.lines, right.lines);
        assert!(left.lines.iter().zip(left_says).all(|(line, said)| line.starts_with(said)), "{case}");
        assert!(right.lines.iter().zip(right_says).all(|(line, said)| line.starts_with(said)), "{case}");
        let established = |end: &End| end.lines.iter().any(|line| line.starts_with(ESTABLISHED));
        assert_eq!(established(&left), left_says.contains(&ESTABLISHED), "{case}");
        assert_eq!(established(&right), right_says.contains(&ESTABLISHED), "{case}");
    }
}

#[test]
fn what_nodes_say_to_each_other_is_taken_from_nodes_alone() {
    let push = "<iq type='set' id='1' from='a.example' to='b.example'><push xmlns='urn:kontalk:net:0'/></iq>";
    let asks = "<iq type='get' id='2' from='a.example' to='b.example'><introduction xmlns='urn:kontalk:net:0'/></iq>";
    for (node, taken) in [(true, true), (false, false)] {
        let mut configured = config("b.example", true);
        if node {
            configured.policy.pins = Arc::new(Pinned("a.example", [7; 32]));
        }
        let shown = Shown { pkix: Ok(()), ..SELF_SIGNED };
        let mut left = dial(config("a.example", true), &GOOD, false);
        let mut right = accept(configured, &shown, false);
        connect(&mut left, &mut right, 4096);
        right.lines.clear();
        right.says(push);
        right.says(asks);
        let refused = right.lines.iter().find(|line| line.starts_with("returned"));
        assert_eq!(refused.is_none(), taken, "{:?}", right.lines);
        assert!(refused.is_none_or(|line| line.contains("forbidden")), "{:?}", right.lines);
        assert!(right.lines.iter().any(|line| line.contains("introduction")), "{:?}", right.lines);
    }
}

#[test]
fn denied_domains_hear_that_it_is_policy() {
    let mut denies = config("b.example", true);
    denies.policy.deny = vec![domain("example")];
    let mut left = dial(config("a.example", true), &GOOD, false);
    let mut right = accept(denies, &GOOD, false);
    connect(&mut left, &mut right, 4096);
    assert_eq!(left.lines[0], "failed: it ended the stream: policy-violation");
    assert_eq!(right.lines[0], "failed: this server does not talk to that domain");
}

const HEADER: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' from='a.example' to='b.example'>";

/// A peer that has proved to be a.example, played by hand.
fn established() -> End {
    let mut end = accept(config("b.example", false), &GOOD, true);
    end.says(HEADER);
    end.says("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
    end.says(HEADER);
    assert_eq!(end.lines.pop().as_deref(), Some("established Domain sends false receives true managed false"));
    end.out.clear();
    end
}

#[test]
fn a_peer_speaks_for_its_own_domain_only() {
    for (text, condition) in [
        ("<message from='x@c.example' to='y@b.example'/>", "invalid-from"),
        ("<message from='x@sub.a.example' to='y@b.example'/>", "invalid-from"),
        ("<message from='x@b.example' to='y@b.example'/>", "invalid-from"),
        ("<message from='@' to='y@b.example'/>", "invalid-from"),
        ("<message to='y@b.example'/>", "improper-addressing"),
        ("<message from='x@a.example'/>", "improper-addressing"),
        ("<message from='x@a.example' to='y@c.example'/>", "host-unknown"),
        ("<message xmlns='jabber:client' from='x@a.example' to='y@b.example'/>", "unsupported-stanza-type"),
        ("<nonsense/>", "unsupported-stanza-type"),
        ("<message from='x@c.example' to='@'/>", "invalid-from"),
        ("<a xmlns='urn:xmpp:sm:3'/>", "bad-format"),
        ("<!-- -->", "restricted-xml"),
        ("<message from='x@a.example' to='y@b.example'></iq>", "not-well-formed"),
    ] {
        let mut end = established();
        end.says(text);
        assert_eq!(end.lines, [format!("failed: it broke the protocol: {condition}"), "Close".to_owned()], "{text}");
        assert!(end.out.concat().contains(&format!("<stream:error><{condition} ")), "{text}: {:?}", end.out);
    }
}

#[test]
fn stanzas_of_servers_become_those_of_clients() {
    let mut end = established();
    end.says("<message from='x@a.example' to='y@b.example' xml:lang='it'><body>ciao</body></message>");
    end.says("<message from='x@a.example' to='file@upload.b.example' id='2'><error type='cancel'/></message>");
    assert_eq!(
        end.lines,
        [
            "<message from='x@a.example' to='y@b.example' xml:lang='it'><body>ciao</body></message>",
            "<message from='x@a.example' to='file@upload.b.example' id='2'><error type='cancel'/></message>",
        ]
    );
}

#[test]
fn unsound_stanzas_are_answered_where_they_may_be() {
    for (text, answer) in [
        (
            "<iq type='get' from='x@a.example/r' to='y@b.example' id='7'/>",
            "returned <iq type='error' id='7' from='y@b.example' to='x@a.example/r'><error type='modify'><bad-request ",
        ),
        (
            "<message from='x@a.example' to='@' id='8'/>",
            "returned <message type='error' id='8' from='b.example' to='x@a.example'><error type='modify'><jid-malformed ",
        ),
        ("<message type='error' from='x@a.example' to='@'/>", "Returned"),
    ] {
        let mut end = established();
        end.says(text);
        assert!(end.lines[0].starts_with(answer), "{:?}", end.lines);
    }
}

#[test]
fn pongs_are_told_apart_from_other_answers() {
    let mut end = established();
    end.says("<iq type='result' from='a.example' to='b.example' id='alive-3-17'/>");
    end.says("<iq type='error' from='a.example' to='b.example' id='alive-3-18'><error type='cancel'/></iq>");
    assert_eq!(end.lines, ["Pong", "Pong"]);
    for text in [
        "<iq type='result' from='a.example' to='b.example' id='alive-3'/>",
        "<iq type='result' from='x@a.example' to='b.example' id='alive-3-17'/>",
        "<iq type='result' from='a.example' to='y@b.example/r' id='alive-3-17'/>",
    ] {
        let mut end = established();
        end.says(text);
        assert_eq!(end.lines, [text]);
    }
    let number = PingNumber { link: LinkId(3), sent: 17 };
    assert_eq!(PingNumber::from_id(&number.id()), Some(number));
}

#[test]
fn nothing_goes_before_tls_and_authentication() {
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
    let message = "<message from='x@a.example' to='y@b.example'/>";
    let result = "<result xmlns='jabber:server:dialback' from='a.example' to='b.example'>key</result>";
    for (secured, text, condition) in [
        (false, auth, "policy-violation"),
        (false, result, "policy-violation"),
        (false, message, "not-authorized"),
        (true, message, "not-authorized"),
        (true, "<r xmlns='urn:xmpp:sm:3'/>", "not-authorized"),
        (true, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "unsupported-stanza-type"),
    ] {
        let mut end = accept(config("b.example", true), &GOOD, secured);
        end.says(HEADER);
        end.says(text);
        assert_eq!(end.lines[0], format!("failed: it broke the protocol: {condition}"), "{text}");
    }
}

#[test]
fn what_is_said_in_the_clear_behind_starttls_does_not_count() {
    let mut end = accept(config("b.example", false), &GOOD, false);
    end.stream.receive(HEADER.as_bytes());
    end.stream
        .receive(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><message from='x@a.example' to='y@b.example'/>");
    end.step();
    assert_eq!(end.lines, [""; 0]);
    assert!(end.out.concat().ends_with("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"));
}

#[test]
fn external_is_for_the_domain_of_the_header() {
    let auth =
        |text: &str| format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{text}</auth>");
    for (text, answer) in [
        (auth("YS5leGFtcGxl"), "<success"),
        (auth("="), "<success"),
        (auth("Yy5leGFtcGxl"), "invalid-authzid"),
        (auth("%"), "incorrect-encoding"),
        (auth(""), "<challenge"),
        (auth("").replace("EXTERNAL", "PLAIN"), "invalid-mechanism"),
    ] {
        let mut end = accept(config("b.example", false), &GOOD, true);
        end.says(HEADER);
        end.out.clear();
        end.says(&text);
        assert!(end.out.concat().contains(answer), "{text}: {:?}", end.out);
    }
    // Who can only prove itself by dialback is not believed.
    let mut end = accept(config("b.example", true), &SELF_SIGNED, true);
    end.says(HEADER);
    assert!(!end.out.concat().contains("EXTERNAL") && end.out.concat().contains("urn:xmpp:features:dialback"));
    (0..5).for_each(|_| end.says(&auth("=")));
    assert!(end.out.concat().contains("<not-authorized/>"));
    assert_eq!(end.lines.last().map(String::as_str), Some("Close"), "not for ever");
    // Behind authentication it stays who it was.
    let mut end = accept(config("b.example", false), &GOOD, true);
    end.says(HEADER);
    end.says(&auth("="));
    end.says(&HEADER.replace("a.example", "c.example"));
    assert_eq!(end.lines[0], "failed: it broke the protocol: invalid-from");
}

#[test]
fn headers_are_checked() {
    for (header, condition) in [
        (HEADER.replace("b.example", "c.example"), "host-unknown"),
        (HEADER.replace("a.example", "upload.b.example"), "invalid-from"),
        (HEADER.replace("a.example", "x@a.example"), "invalid-from"),
        (HEADER.replace("jabber:server", "jabber:client"), "invalid-namespace"),
        (HEADER.replace("version='1.0'", ""), "unsupported-version"),
        (HEADER.replace("stream:stream", "stream:x"), "bad-format"),
    ] {
        let mut end = accept(config("b.example", false), &GOOD, false);
        end.says(&header);
        assert_eq!(end.lines[0], format!("failed: it broke the protocol: {condition}"), "{header}");
        assert!(end.out.concat().starts_with("<?xml"), "an error stands inside a stream");
    }
    // One who hides who it is may begin TLS, and then must say so, or prove itself by dialback.
    let hidden = HEADER.replace("from='a.example'", "");
    let mut end = accept(config("b.example", false), &GOOD, false);
    end.says(&hidden);
    assert!(end.lines.is_empty() && end.out.concat().contains("<starttls "));
    let mut end = accept(config("b.example", false), &GOOD, true);
    end.says(&hidden);
    assert_eq!(end.lines[0], "failed: it broke the protocol: improper-addressing");
    let mut end = accept(config("b.example", true), &GOOD, true);
    end.says(&hidden);
    end.says("<db:result xmlns:db='jabber:server:dialback' from='a.example' to='b.example'>key</db:result>");
    assert_eq!(end.lines, ["established Dialback sends false receives true managed false"]);
}

#[test]
fn streams_end_in_order_or_in_time() {
    let mut left = dial(config("a.example", false), &GOOD, false);
    let mut right = accept(config("b.example", false), &GOOD, false);
    connect(&mut left, &mut right, 4096);
    let now = Instant::now();
    left.stream.finish(now);
    connect(&mut left, &mut right, 4096);
    assert_eq!(right.lines[2..], ["ended, answered false", "Close"]);
    assert_eq!(left.lines[1..], ["ended, answered true", "Close"]);

    // A peer that does not answer the closing tag.
    let mut end = established();
    end.stream.finish(now);
    end.step();
    end.stream.handle_timeout(now + crate::limits::CLOSE_TIMEOUT);
    end.step();
    assert_eq!(end.lines, ["Close"]);

    // One that says nothing at all.
    let mut end = accept(config("b.example", false), &GOOD, false);
    let deadline = end.stream.deadline().unwrap();
    end.stream.handle_timeout(deadline - Duration::from_millis(1));
    end.step();
    assert_eq!(end.lines, [""; 0]);
    end.stream.handle_timeout(deadline);
    end.step();
    assert_eq!(end.lines, ["failed: it does not answer in time", "Close"]);
    assert!(end.out.concat().contains("connection-timeout"));
}

#[test]
fn an_initiator_gives_up_where_it_is_not_safe() {
    let header = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='s1' from='b.example'>";
    let features = |content: &str| format!("{header}<stream:features>{content}</stream:features>");
    let external = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>";
    let failure = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";
    for (secured, text, outcome) in [
        (false, features(""), "it offers no TLS"),
        (true, features(""), "it offers no way to authenticate that is allowed here"),
        (true, features(external) + failure, "it does not believe our certificate (not-authorized)"),
        (true, header.replace("id='s1'", ""), "it broke the protocol: bad-format"),
        (true, format!("{header}</stream:stream>"), "it closed the stream before it was established"),
        (
            true,
            format!("{header}<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"),
            "it ended the stream: host-unknown",
        ),
    ] {
        let mut end = dial(config("a.example", false), &GOOD, secured);
        end.says(&text);
        assert_eq!(end.lines[0], format!("failed: {outcome}"), "{text}");
    }
    // A stanza on a stream that was to be one way.
    let mut end = dial(config("a.example", false), &GOOD, true);
    end.says(&features(external));
    end.says("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    end.says(&features(""));
    assert_eq!(end.lines, ["established Domain sends true receives false managed false"]);
    end.says("<message from='x@b.example' to='y@a.example'/>");
    assert_eq!(end.lines[1], "failed: it broke the protocol: not-authorized");
}
