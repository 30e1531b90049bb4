//! Chunks, pipelines and noise.

use super::sign_on::{EVERYTHING, authenticate};
use super::*;

/// A whole session in one breath; the client waits for nothing. The answers are what a friendly edge would say.
fn pipelined() -> String {
    format!(
        "{HEADER}<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>{}{}{HEADER}\
         <resume xmlns='urn:xmpp:sm:3' previd='t' h='0'/>\
         <iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>\
         <enable xmlns='urn:xmpp:sm:3'/><presence/> <message to='romeo@a.example'><body>é &lt;</body></message>\
         <r xmlns='urn:xmpp:sm:3'/></stream:stream>",
        auth("PLAIN", "\0juliet\0wrong"),
        auth("EXTERNAL", ""),
    )
}

/// Reads all actions and answers each that wants an answer.
fn read_and_answer(client: &mut Client, lines: &mut Vec<String>) {
    while let Some(action) = client.stream.next_action() {
        lines.push(line(&action));
        let stream = &mut client.stream;
        match action {
            Action::StartTls => stream.tls_established(tls()),
            Action::FetchScramKeys { account } => stream.scram_keys(Ok(ScramKeys::fake(&[1; 32], &account))),
            Action::VerifyPlain { .. } => stream.authenticated(Err(SaslFailure::new(SaslCondition::NotAuthorized))),
            Action::VerifyExternal { .. } => stream.authenticated(Ok(juliet())),
            Action::Register(request) => stream.registration_reply(request.result()),
            Action::Bind { account, resource, .. } => {
                let jid = account.with_resource(resource.as_deref().unwrap_or("phone")).unwrap();
                stream.bound(Ok(Bound { jid, inline: Vec::new() }));
            }
            Action::VerifyToken(_) => stream.token_verified(Ok(TokenVerdict { response: [3; 32], replacement: None })),
            Action::IssueToken { .. } => stream.token_issued(None),
            Action::Resume { .. } => stream.resumed(Err(ResumeRefused { h: None })),
            _ => {}
        }
    }
}

#[test]
fn a_pipelined_session_is_the_same_however_it_is_cut() {
    let text = pipelined();
    let mut whole = Vec::new();
    let mut client = Client::new(Security::Tls(tls()));
    client.stream.receive(text.as_bytes());
    read_and_answer(&mut client, &mut whole);
    assert_eq!(whole.last().map(String::as_str), Some("[Close]"));
    let kinds: Vec<&str> = whole
        .iter()
        .filter(|line| line.starts_with('['))
        .map(|line| line.split([' ', ']', '<']).next().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "[header",
            "[register",
            "[verify",
            "[failed:",
            "[verify",
            "[header",
            "[resume",
            "[bind",
            "[enable",
            "[route",
            "[route",
            "[AckRequest",
            "[StreamEnded",
            "[Close"
        ]
    );
    for chunk in 1..64 {
        let mut cut = Vec::new();
        let mut client = Client::new(Security::Tls(tls()));
        for bytes in text.as_bytes().chunks(chunk) {
            client.stream.receive(bytes);
            read_and_answer(&mut client, &mut cut);
        }
        assert_eq!(cut, whole, "chunks of {chunk}");
    }
}

#[test]
fn nothing_is_read_while_an_answer_is_awaited() {
    let mut client = Client::led_to(State::Secured);
    assert_eq!(client.says(&auth("EXTERNAL", "")), ["[verify certificate for None]"]);
    assert_eq!(client.says(HEADER), [""; 0]);
    assert_eq!(client.says("<iq"), [""; 0]);
    assert_eq!(client.stream.pending_bytes(), HEADER.len() + 3);
    client.stream.authenticated(Ok(juliet()));
    assert_eq!(client.reads(), [SUCCESS, CLIENT_FEATURES]);
}

#[test]
fn a_stranger_has_less_room_than_a_client() {
    let long = format!("<message><body>{}</body></message>", "x".repeat(limits::STRANGER_ELEMENT_BYTES_MAX));
    for state in [State::Plain, State::Secured] {
        assert_eq!(stream_error(&Client::led_to(state).says(&long)).as_deref(), Some("policy-violation"));
    }
    assert!(Client::led_to(State::Bound).says(&long).concat().starts_with("[route"));
    let longer = format!("<message><body>{}</body></message>", "x".repeat(limits::STANZA_BYTES_MAX));
    assert_eq!(stream_error(&Client::led_to(State::Bound).says(&longer)).as_deref(), Some("policy-violation"));
}

#[test]
fn an_idle_stream_holds_little_memory() {
    let mut client = Client::led_to(State::Bound);
    client.says("<message/>");
    assert_eq!((client.stream.queue.capacity(), client.stream.pending_bytes()), (0, 0));
    // Ten thousand idle sessions shall fit a small board; this is all that one costs here.
    assert!(size_of::<Stream>() <= 512, "{}", size_of::<Stream>());
    assert!(size_of::<Action>() <= 256, "{}", size_of::<Action>());
}

#[test]
fn noise_in_any_state_ends_in_order() {
    let pieces = pieces();
    for seed in 1..=300_u64 {
        for state in State::ALL {
            let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let mut client = Client::led_to(state);
            let mut lines = Vec::new();
            for _ in 0..30 {
                let mut bytes = pieces[random.below(pieces.len())].clone().into_bytes();
                if random.below(4) == 0 && !bytes.is_empty() {
                    let at = random.below(bytes.len());
                    bytes[at] = random.below(256) as u8;
                }
                if random.below(8) == 0 {
                    bytes.truncate(random.below(bytes.len() + 1));
                }
                client.stream.receive(&bytes);
                read_and_answer(&mut client, &mut lines);
            }
            client.stream.close(None);
            read_and_answer(&mut client, &mut lines);
            let closings = lines.iter().filter(|line| *line == "[Close]").count();
            assert_eq!(closings, 1, "seed {seed}, {state:?}: {lines:?}");
            assert_eq!(lines.last().map(String::as_str), Some("[Close]"), "seed {seed}, {state:?}");
        }
    }
}

/// What noise is made of: mostly sound elements, so that it reaches deep.
fn pieces() -> Vec<String> {
    let mut pieces: Vec<String> = [
        HEADER,
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>",
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>",
        "<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
        "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>Yz1iaXdzLHI9MSxwPQ==</response>",
        "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<resume xmlns='urn:xmpp:sm:3' previd='t' h='0'/>",
        "<enable xmlns='urn:xmpp:sm:3' resume='true' max='4294967296'/>",
        "<a xmlns='urn:xmpp:sm:3' h='4294967295'/>",
        "<abort xmlns='urn:xmpp:sasl:2'/>",
        "<response xmlns='urn:xmpp:sasl:2'>Yz1iaXdzLHI9MSxwPQ==</response>",
        "<message to='a@b/c' from='juliet@a.example'><body>x</body></message>",
        "<presence type='odd'/>",
        " ",
        "",
    ]
    .map(str::to_owned)
    .to_vec();
    pieces.extend([
        auth("PLAIN", "\0juliet\0pencil"),
        auth("EXTERNAL", "juliet@a.example"),
        auth("EXTERNAL", ""),
        auth("SCRAM-SHA-256", "n,,n=juliet,r=1"),
        auth("SCRAM-SHA-1-PLUS", "p=tls-exporter,,n=ju=3Dliet,r=1"),
        authenticate("PLAIN", Some(b"\0juliet\0pencil"), EVERYTHING),
        authenticate("SCRAM-SHA-1", Some(b"n,,n=juliet,r=1"), ""),
        authenticate("HT-SHA-256-NONE", Some(&[b"juliet\0".as_slice(), &[200; 32]].concat()), EVERYTHING),
        authenticate("EXTERNAL", None, "<bind xmlns='urn:xmpp:bind:0'/>"),
    ]);
    pieces
}

/// xorshift64, to be replayed by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
