//! A client played by hand: it speaks, answers what the core asks, and reads the actions as lines of text.

mod hostile;
mod negotiation;
mod session;
mod sign_on;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::stanza::{SaslCondition, StanzaCondition};

/// How far a client is led before a test begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    BeforeHeader,
    Plain,
    Secured,
    Authenticated,
    Bound,
}

impl State {
    const ALL: [State; 5] = [State::BeforeHeader, State::Plain, State::Secured, State::Authenticated, State::Bound];
}

struct Client {
    stream: Stream,
    start: Instant,
}

impl Client {
    fn new(security: Security) -> Client {
        Client::with_registration(security, true)
    }

    fn with_registration(security: Security, registration: bool) -> Client {
        let config = StreamConfig {
            domain: "a.example".parse().unwrap(),
            registration,
            inline: &[ns::SM],
            resource_secret: [1; 32],
            caps: None,
        };
        let start = Instant::now();
        Client { stream: Stream::new(Arc::new(config), security, [42; 32], start), start }
    }

    /// A client in this state, its past read.
    fn led_to(state: State) -> Client {
        let mut client = Client::new(if state < State::Secured { Security::Plain } else { Security::Tls(tls()) });
        if state >= State::Plain {
            client.says(HEADER);
        }
        if state >= State::Authenticated {
            client.says(&auth("PLAIN", "\0juliet\0pencil"));
            client.stream.authenticated(Ok(juliet()));
            client.says(HEADER);
        }
        if state == State::Bound {
            client.says("<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
            client.stream.bound(Ok(phone()));
            client.reads();
        }
        client
    }

    fn says(&mut self, text: &str) -> Vec<String> {
        self.stream.receive(text.as_bytes());
        self.reads()
    }

    fn reads(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.stream.next_action()).map(|action| line(&action)).collect()
    }
}

impl PartialOrd for State {
    fn partial_cmp(&self, other: &State) -> Option<std::cmp::Ordering> {
        (*self as u8).partial_cmp(&(*other as u8))
    }
}

/// An action as a line: what is sent as it is sent, with our header as `[header]`; all else in brackets.
fn line(action: &Action) -> String {
    match action {
        Action::Send(text) => without_header(text),
        Action::FetchScramKeys { account } => format!("[keys of {account}]"),
        Action::SaslAttemptFailed { account: Some(account) } => format!("[failed: {account}]"),
        Action::SaslAttemptFailed { account: None } => "[failed]".to_owned(),
        Action::VerifyPlain { account, password } => format!("[verify {account} {}]", password.expose()),
        Action::VerifyExternal { authzid } => format!("[verify certificate for {authzid:?}]"),
        Action::Register(stanza) => format!("[register {}]", stanza.to_text()),
        Action::Bind { account, resource, wishes } if *wishes == SessionWishes::default() => {
            format!("[bind {account} {resource:?}]")
        }
        Action::Bind { account, resource, wishes } => format!("[bind {account} {resource:?} {wishes:?}]"),
        Action::VerifyToken(proof) => {
            format!(
                "[verify token of {} by {:?}, {}, {}]",
                proof.account, proof.mechanism, proof.count, proof.invalidate
            )
        }
        Action::IssueToken { account, mechanism, .. } => format!("[token for {account} by {mechanism:?}]"),
        Action::Resume { account, token, h } => format!("[resume {account} {token} {h}]"),
        Action::EnableSm(Management { resume, max_secs }) => format!("[enable {resume} {max_secs:?}]"),
        Action::Ack { h } => format!("[ack {h}]"),
        Action::Csi { active } => format!("[active {active}]"),
        Action::Stanza(stanza) => format!("[route {}]", stanza.to_text()),
        Action::Answered(Some(reply)) => format!("[answered {}]", reply.to_text()),
        Action::Answered(None) => "[answered]".to_owned(),
        other => format!("[{other:?}]"),
    }
}

fn without_header(text: &str) -> String {
    let Some(rest) = text.strip_prefix(OUR_HEADER) else { return text.to_owned() };
    let (id, rest) = rest.split_at(32);
    assert!(id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    format!("[header]{}", rest.strip_prefix("' version='1.0' xml:lang='en'>").unwrap())
}

fn tls() -> TlsFacts {
    TlsFacts {
        exporter: Some([7; 32]),
        server_end_point: Some(vec![9; 32]),
        client_certificate: ClientCertificate::None,
        version: 0x0304,
    }
}

fn juliet() -> BareJid {
    "juliet@a.example".parse().unwrap()
}

fn phone() -> Bound {
    bound_as("phone")
}

fn bound_as(resource: &str) -> Bound {
    Bound { jid: juliet().with_resource(resource).unwrap(), inline: Vec::new() }
}

fn base64(data: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(data)
}

fn auth(mechanism: &str, data: &str) -> String {
    let data = if data.is_empty() { String::new() } else { base64(data) };
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{data}</auth>")
}

fn sasl_failure(condition: &str) -> String {
    format!("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{condition}/></failure>")
}

/// The condition of the stream error in these lines, if the stream ended with one as it has to.
fn stream_error(lines: &[String]) -> Option<String> {
    let [.., said, close] = lines else { return None };
    let (_, rest) = said.split_once("<stream:error><")?;
    assert!(said.ends_with("</stream:error></stream:stream>"), "{lines:?}");
    assert_eq!(close, "[Close]");
    rest.split_once(' ').map(|(condition, _)| condition.to_owned())
}

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' to='a.example' \
     xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en'>";
const OUR_HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
     xmlns:stream='http://etherx.jabber.org/streams' from='a.example' id='";
const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
const CLIENT_FEATURES: &str = "[header]<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>\
     <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session><sm xmlns='urn:xmpp:sm:3'/>\
     <ver xmlns='urn:xmpp:features:rosterver'/><sub xmlns='urn:xmpp:features:pre-approval'/><csi xmlns='urn:xmpp:csi:0'/>\
     <roster xmlns='http://kontalk.org/extensions/roster'/></stream:features>";
