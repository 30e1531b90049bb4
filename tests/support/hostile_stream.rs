//! A client stream led into a state, then hostile bytes, with an edge that answers this and that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use kontalk_node::limits::{STANZA_BYTES_MAX, STRANGER_ELEMENT_BYTES_MAX};
use kontalk_node::stanza::{SaslCondition, SaslFailure, StanzaCondition, StanzaError, Timestamp};
use kontalk_node::stream::{
    Action, Bound, ClientCertificate, IssuedToken, ResumeRefused, Resumed, ScramKeys, Security, Stream, StreamConfig,
    TlsFacts, TokenVerdict,
};
use kontalk_node::xml::ns;

use crate::spoil::Random;

/// Throws the input at a stream in some state. Says whether the client came to be, or stayed, bound.
pub fn stream(random: &mut Random, input: &[u8]) -> bool {
    let state = random.below(STATES.len());
    let answers = random.next();
    let chunk = 1 + random.below(input.len());
    let mut client = Led::into_state(&STATES[state], answers);
    client.hears(input, chunk);
    let bound = client.stream.full_jid().is_some();
    // In the clear it matters which bytes stood behind <starttls/> in one piece: they are thrown away.
    if STATES[state].tls && random.one_in(4) {
        let mut whole = Led::into_state(&STATES[state], answers);
        whole.hears(input, input.len().max(1));
        assert_eq!(whole.told, client.told, "in chunks of {chunk}");
    }
    match random.below(4) {
        0 => client.stream.close(None),
        1 => client.stream.handle_timeout(Instant::now() + Duration::from_secs(3600)),
        _ => return bound,
    }
    client.reads();
    let closed = client.told.iter().filter(|told| *told == "Close").count();
    assert!(closed == 1 || (closed == 0 && bound), "{closed} ends: {:?}", client.told);
    bound
}

struct Led {
    stream: Stream,
    /// What the edge was asked, kinds and texts, in order.
    told: Vec<String>,
    /// A question that the edge has not answered yet.
    owed: Option<Action>,
    /// Which answers are kind, a bit each.
    answers: u64,
}

impl Led {
    fn into_state(state: &State, answers: u64) -> Led {
        let config = Arc::new(StreamConfig {
            domain: "a.example".parse().unwrap(),
            registration: true,
            inline: &[ns::SM],
            resource_secret: [1; 32],
            caps: None,
        });
        let security = if state.tls { Security::Tls(facts(state.certificate)) } else { Security::Plain };
        let mut led = Led {
            stream: Stream::new(config, security, [9; 32], Instant::now()),
            told: Vec::new(),
            owed: None,
            answers: u64::MAX,
        };
        for step in state.steps {
            led.stream.receive(step.as_bytes());
            led.reads();
        }
        if let Some(step) = state.awaiting {
            led.stream.receive(step.as_bytes());
            led.reads_up_to_a_question();
            assert!(led.owed.is_some(), "{step} is answered without asking anybody");
        }
        led.answers = answers;
        led
    }

    /// Bytes from the client, and what follows from them.
    fn hears(&mut self, input: &[u8], chunk: usize) {
        if let Some(question) = self.owed.take() {
            let (early, late) = input.split_at(input.len() / 2);
            self.stream.receive(early);
            assert!(self.stream.next_action().is_none(), "something was done while an answer is awaited");
            self.reply(question);
            self.reads();
            return self.hears(late, chunk);
        }
        for bytes in input.chunks(chunk) {
            self.stream.receive(bytes);
            self.reads();
            let most = STANZA_BYTES_MAX.max(STRANGER_ELEMENT_BYTES_MAX) + chunk;
            assert!(self.stream.pending_bytes() <= most, "{} bytes wait", self.stream.pending_bytes());
        }
        // No input makes the stream talk without end.
        assert!(self.told.len() <= 100 + input.len(), "{} actions", self.told.len());
    }

    fn reads(&mut self) {
        while let Some(action) = self.stream.next_action() {
            self.note(&action);
            self.reply(action);
        }
    }

    fn reads_up_to_a_question(&mut self) {
        while let Some(action) = self.stream.next_action() {
            self.note(&action);
            if !matches!(action, Action::Send(_)) {
                self.owed = Some(action);
                return;
            }
        }
    }

    fn note(&mut self, action: &Action) {
        assert!(self.told.last().is_none_or(|last| last != "Close"), "something follows the end: {action:?}");
        self.told.push(match action {
            Action::Send(text) => text.clone(),
            Action::Stanza(stanza) => stanza.to_text(),
            other => format!("{other:?}"),
        });
    }

    /// The edge's answer, kind or not.
    fn reply(&mut self, action: Action) {
        self.answers = self.answers.rotate_left(1);
        let kind = self.answers & 1 == 1;
        let refused = || SaslFailure::new(SaslCondition::NotAuthorized);
        match action {
            Action::StartTls => self.stream.tls_established(facts(ClientCertificate::Other)),
            Action::FetchScramKeys { account } => {
                let keys = if kind { Ok(ScramKeys::fake(&[1; 32], &account)) } else { Err(refused()) };
                self.stream.scram_keys(keys);
            }
            Action::VerifyPlain { account, .. } => {
                self.stream.authenticated(if kind { Ok(account) } else { Err(refused()) });
            }
            Action::VerifyExternal { .. } => {
                let account = "romeo@a.example".parse().unwrap();
                self.stream.authenticated(if kind { Ok(account) } else { Err(refused()) });
            }
            Action::VerifyToken(_) => {
                let verdict = TokenVerdict { response: [2; 32], replacement: None };
                self.stream.token_verified(if kind { Ok(verdict) } else { Err(refused()) });
            }
            Action::IssueToken { .. } => {
                let token = IssuedToken { token: "t".to_owned().into(), expiry: Timestamp { millis: 1 } };
                self.stream.token_issued(kind.then_some(token));
            }
            Action::Register(request) => self.stream.registration_reply(request.result()),
            Action::Bind { account, resource, .. } => {
                let jid = account.with_resource(resource.as_deref().unwrap_or("made")).unwrap();
                let bound = Bound { jid, inline: Vec::new() };
                let full = || StanzaError::new(StanzaCondition::ResourceConstraint);
                self.stream.bound(if kind { Ok(bound) } else { Err(full()) });
            }
            Action::Resume { account, .. } => {
                let jid = account.with_resource("old").unwrap();
                self.stream.resumed(if kind { Ok(Resumed { jid, h: 1 }) } else { Err(ResumeRefused { h: None }) });
            }
            _ => {}
        }
    }
}

fn facts(client_certificate: ClientCertificate) -> TlsFacts {
    TlsFacts { exporter: Some([7; 32]), server_end_point: Some(vec![7; 32]), client_certificate, version: 0x0304 }
}

/// How far a client is led.
struct State {
    tls: bool,
    certificate: ClientCertificate,
    /// What it says first, each kindly answered.
    steps: &'static [&'static str],
    /// What it says then, to be answered when the input is half there.
    awaiting: Option<&'static str>,
}

const fn plain(steps: &'static [&'static str], awaiting: Option<&'static str>) -> State {
    State { tls: false, certificate: ClientCertificate::None, steps, awaiting }
}

const fn secured(steps: &'static [&'static str], awaiting: Option<&'static str>) -> State {
    State { tls: true, certificate: ClientCertificate::None, steps, awaiting }
}

const STATES: &[State] = &[
    plain(&[], None),
    plain(&[HEADER], None),
    plain(&[HEADER], Some(STARTTLS)),
    secured(&[], None),
    secured(&[HEADER], None),
    State { tls: true, certificate: ClientCertificate::Bridge, steps: &[HEADER], awaiting: None },
    State { tls: true, certificate: ClientCertificate::Bridge, steps: &[HEADER], awaiting: Some(EXTERNAL) },
    secured(&[HEADER], Some(PLAIN)),
    secured(&[HEADER], Some(SCRAM)),
    secured(&[HEADER, SCRAM], None),
    secured(&[HEADER], Some(REGISTER)),
    secured(&[HEADER], Some(TOKEN)),
    secured(&[HEADER, PLAIN], None),
    secured(&[HEADER, PLAIN, HEADER], None),
    secured(&[HEADER, PLAIN, HEADER], Some(BIND)),
    secured(&[HEADER, PLAIN, HEADER], Some(RESUME)),
    secured(&[HEADER, PLAIN, HEADER, BIND], None),
];

const HEADER: &str = "<?xml version='1.0'?><stream:stream to='a.example' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const SCRAM: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>biwsbj1yb21lbyxyPWFiY2RlZmdoaWprbA==</auth>";
const PLAIN: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>";
const EXTERNAL: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
const TOKEN: &str = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>cm9tZW8AyMnKy8zNzs/Q0dLT1NXW19jZ2tvc3d7f4OHi4+Tl5uc=</initial-response><user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><fast xmlns='urn:xmpp:fast:0' count='1'/></authenticate>";
const REGISTER: &str = "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>";
const BIND: &str =
    "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>orchard</resource></bind></iq>";
const RESUME: &str = "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>";
