//! A stream with another server, dialled or accepted, led into a state, then hostile bytes, with an edge that answers this and that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use kontalk_node::federation::{
    Action, DialbackSecret, Errand, NoPins, Pair, PeerConfig, PeerEvidence, PeerStream, PkixFault, Policy,
};
use kontalk_node::limits::{S2S_STANZA_BYTES_MAX, STRANGER_ELEMENT_BYTES_MAX};
use kontalk_node::stanza::{StanzaCondition, StreamCondition, StreamError};

use crate::spoil::Random;

/// Throws the input at a stream in some state. Says whether stanzas were carried.
pub fn peer(random: &mut Random, input: &[u8]) -> bool {
    let state = &STATES[random.below(STATES.len())];
    let answers = random.next();
    let chunk = 1 + random.below(input.len());
    let mut led = Led::into_state(state, answers);
    let before = led.actions;
    for bytes in input.chunks(chunk) {
        led.stream.receive(bytes);
        led.reads();
        let most = S2S_STANZA_BYTES_MAX.max(STRANGER_ELEMENT_BYTES_MAX) + chunk;
        assert!(led.stream.pending_bytes() <= most, "{} bytes wait", led.stream.pending_bytes());
    }
    // No input makes the stream talk without end.
    assert!(led.actions - before <= 100 + input.len(), "{} actions", led.actions);
    let now = Instant::now() + Duration::from_secs(3600);
    match random.below(4) {
        0 => led.stream.close(StreamError::new(StreamCondition::SystemShutdown)),
        1 => led.stream.finish(now),
        2 => led.stream.handle_timeout(now),
        _ => return led.carried,
    }
    led.reads();
    led.stream.handle_timeout(now + Duration::from_secs(3600));
    led.reads();
    led.carried
}

struct Led {
    stream: PeerStream,
    actions: usize,
    established: bool,
    carried: bool,
    closed: bool,
    /// Which answers are kind, a bit each.
    answers: u64,
}

impl Led {
    fn into_state(state: &State, answers: u64) -> Led {
        let config = Arc::new(PeerConfig {
            served: vec!["a.example".parse().unwrap(), "upload.a.example".parse().unwrap()],
            policy: Policy {
                allow: Vec::new(),
                deny: vec!["denied.example".parse().unwrap()],
                dialback: true,
                pins: Arc::new(NoPins),
            },
            secret: DialbackSecret::new(b"secret"),
        });
        let pair = || Pair { own: "a.example".parse().unwrap(), peer: "b.example".parse().unwrap() };
        let now = Instant::now();
        let stream = match state.role {
            Role::Accepts => PeerStream::accept(config, state.tls, [9; 32], now),
            Role::Carries => PeerStream::initiate(config, pair(), Errand::Carry, state.tls, [9; 32], now),
            Role::Asks => {
                let errand = Errand::Verify { id: "s1".to_owned(), key: "k".to_owned() };
                PeerStream::initiate(config, pair(), errand, state.tls, [9; 32], now)
            }
        };
        let (established, carried, closed) = (false, false, false);
        let mut led = Led { stream, actions: 0, established, carried, closed, answers: u64::MAX };
        for step in state.steps {
            led.reads();
            led.stream.receive(step.as_bytes());
            led.reads();
        }
        assert!(!led.closed, "the steps of a state lead to its end");
        led.answers = answers;
        led
    }

    fn reads(&mut self) {
        while let Some(action) = self.stream.next_action() {
            assert!(!self.closed, "something follows the end: {action:?}");
            self.actions += 1;
            self.reply(action);
        }
    }

    fn reply(&mut self, action: Action) {
        self.answers = self.answers.rotate_left(1);
        let kind = self.answers & 1 == 1;
        match action {
            Action::StartTls => self.stream.tls_established(),
            Action::Judge(domain) => {
                let pkix = if kind { Ok(()) } else { Err(PkixFault::Expired) };
                self.stream.judged(&PeerEvidence { domain, pkix, spki_sha256: None, tls13: kind });
            }
            Action::VerifyKey { pair, .. } => {
                assert_ne!(pair.peer.as_str(), "denied.example");
                let answer = match self.answers & 3 {
                    0 => Err(StanzaCondition::RemoteServerTimeout),
                    1 => Ok(false),
                    _ => Ok(true),
                };
                self.stream.key_verified(answer);
            }
            Action::Established(_) => {
                assert!(!self.established, "established twice");
                self.established = true;
            }
            Action::Stanza(stanza) => {
                assert!(self.established, "a stanza of nobody");
                self.carried = true;
                let (from, to) = (stanza.from().unwrap().domainpart(), stanza.to().unwrap().domainpart());
                assert!(["a.example", "upload.a.example"].contains(&to), "a stanza for {to}");
                assert_eq!(Some(from), self.stream.peer().map(|peer| peer.domainpart()));
            }
            Action::Close => self.closed = true,
            _ => {}
        }
    }
}

#[derive(Clone, Copy)]
enum Role {
    Accepts,
    Carries,
    Asks,
}

/// How far a stream is led.
struct State {
    role: Role,
    tls: bool,
    /// What the peer says first.
    steps: &'static [&'static str],
}

const fn state(role: Role, tls: bool, steps: &'static [&'static str]) -> State {
    State { role, tls, steps }
}

const STATES: &[State] = &[
    state(Role::Accepts, false, &[]),
    state(Role::Accepts, false, &[HEADER]),
    state(Role::Accepts, true, &[]),
    state(Role::Accepts, true, &[HEADER]),
    state(Role::Accepts, true, &[HEADER, AUTH]),
    state(Role::Accepts, true, &[HEADER, AUTH, HEADER]),
    state(Role::Accepts, true, &[HEADER, BIDI, RESULT]),
    state(Role::Carries, false, &[]),
    state(Role::Carries, false, &[ANSWER]),
    state(Role::Carries, true, &[ANSWER]),
    state(Role::Carries, true, &[ANSWER, FEATURES]),
    state(Role::Carries, true, &[ANSWER, FEATURES, SUCCESS, ANSWER]),
    state(Role::Carries, true, &[ANSWER, FEATURES, SUCCESS, ANSWER, MANAGEMENT, ENABLED]),
    state(Role::Carries, true, &[ANSWER, DIALBACK]),
    state(Role::Carries, true, &[ANSWER, DIALBACK, VALID]),
    state(Role::Asks, true, &[ANSWER]),
    state(Role::Asks, true, &[ANSWER, DIALBACK]),
];

const HEADER: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' from='b.example' to='a.example' version='1.0'>";
const ANSWER: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' from='b.example' to='a.example' id='s2' version='1.0'>";
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
const BIDI: &str = "<bidi xmlns='urn:xmpp:bidi'/>";
const RESULT: &str = "<db:result from='b.example' to='a.example'>key</db:result>";
const FEATURES: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms><bidi xmlns='urn:xmpp:features:bidi'/></stream:features>";
const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
const MANAGEMENT: &str = "<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>";
const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3'/>";
const DIALBACK: &str = "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/><bidi xmlns='urn:xmpp:features:bidi'/></stream:features>";
const VALID: &str = "<db:result from='b.example' to='a.example' type='valid'/>";
