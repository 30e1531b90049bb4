//! Logging in by SASL2, with what can be asked for in the same breath. XEP-0388, XEP-0386, XEP-0484.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use kontalk_node::xml::{Element, Frame, ns};
use sha2::Sha256;

use super::client::{Client, Connect, Sm};
use super::login::Binding;
use super::node::{DOMAIN, Node, password_of};
use super::scram::{Exchange, Hash};
use super::secret;

/// A login token and what it is good for.
#[derive(Clone, Debug)]
pub struct Token {
    pub text: String,
    pub expiry: String,
    pub mechanism: &'static str,
}

impl Client {
    /// Connected and signed on as an account of [`Node::add_account`].
    pub fn signed_on(node: &Node, user: &str, inner: &str) -> (Client, Element) {
        let mut client = Client::connect(&Connect::to(node));
        let success = client.sign_on_scram(user, &password_of(user), Hash::Sha256, Binding::None, inner);
        (client, success.expect("the password is right"))
    }

    /// The mechanisms offered by SASL2, and those for tokens.
    pub fn sasl2_mechanisms(&self) -> (Vec<String>, Vec<String>) {
        let names = |list: Option<&Element>| {
            let all = list.into_iter().flat_map(Element::children).filter(|child| child.name() == "mechanism");
            all.map(Element::text).collect()
        };
        let authentication = self.features.child("authentication", ns::SASL2);
        let fast = authentication.and_then(|a| a.child("inline", ns::SASL2)).and_then(|i| i.child("fast", ns::FAST));
        (names(authentication), names(fast))
    }

    /// SCRAM by SASL2; `inner` stands beside the first message. Gives `<success/>`, or the condition of the failure.
    pub fn sign_on_scram(
        &mut self,
        user: &str,
        password: &str,
        hash: Hash,
        binding: Binding,
        inner: &str,
    ) -> Result<Element, String> {
        let (plus, data) = match binding {
            Binding::None => ("", None),
            Binding::TlsExporter => ("-PLUS", Some(("tls-exporter", self.tls_exporter()))),
            Binding::TlsServerEndPoint => ("-PLUS", Some(("tls-server-end-point", self.tls_server_end_point()))),
        };
        let mut exchange = Exchange::new(hash, user, data);
        self.send_raw(&authenticate(&format!("{}{plus}", hash.mechanism()), Some(&exchange.first()), inner));
        let challenge = self.next();
        refusal(&challenge)?;
        assert!(challenge.is("challenge", ns::SASL2), "{challenge:?}");
        let answer = exchange.answer(&challenge.text(), password);
        self.send_raw(&format!("<response xmlns='{}'>{answer}</response>", ns::SASL2));
        let success = self.sign_on_outcome(inner)?;
        exchange.verify(&additional_data(&success));
        Ok(success)
    }

    /// PLAIN by SASL2.
    pub fn sign_on_plain(&mut self, user: &str, password: &str, inner: &str) -> Result<Element, String> {
        let message = secret(STANDARD.encode(format!("\0{user}\0{password}")));
        self.send_raw(&authenticate("PLAIN", Some(&message), inner));
        self.sign_on_outcome(inner)
    }

    /// EXTERNAL by SASL2.
    pub fn sign_on_external(&mut self, inner: &str) -> Result<Element, String> {
        self.send_raw(&authenticate("EXTERNAL", Some(""), inner));
        self.sign_on_outcome(inner)
    }

    /// HT-*: `inner` must hold `<user-agent/>` and `<fast/>`. Checks that the node knows the token too.
    pub fn sign_on_token(&mut self, user: &str, token: &Token, inner: &str) -> Result<Element, String> {
        let binding = match token.mechanism {
            "HT-SHA-256-EXPR" => self.tls_exporter(),
            "HT-SHA-256-ENDP" => self.tls_server_end_point(),
            _ => Vec::new(),
        };
        self.send_raw(&token_login(user, token, &binding, inner));
        let success = self.sign_on_outcome(inner)?;
        assert_eq!(additional_data(&success), STANDARD.encode(hashed(token, "Responder", &binding)));
        Ok(success)
    }

    /// Says everything in one flight behind the TLS handshake, as a client does that knows the node.
    pub fn sign_on_at_once(how: &Connect, authenticate: &str) -> (Client, Result<Element, String>) {
        assert!(how.direct, "STARTTLS needs round trips of its own");
        let mut client = Client::connect_plain(how.address).expect("the node listens");
        client.start_tls(how).expect("the node speaks TLS");
        client.send_raw(&format!(
            "<stream:stream xmlns='{}' xmlns:stream='{}' to='{DOMAIN}' version='1.0'>{authenticate}",
            ns::CLIENT,
            ns::STREAM
        ));
        assert!(matches!(client.read_frame(), Ok(Frame::Header(_))));
        client.features = client.next();
        let outcome = client.sign_on_outcome(authenticate);
        (client, outcome)
    }

    /// Reads what came of `<authenticate/>` with this inside, and takes the session up.
    fn sign_on_outcome(&mut self, inner: &str) -> Result<Element, String> {
        let success = self.next();
        refusal(&success)?;
        assert!(success.is("success", ns::SASL2), "{success:?}");
        let identity = success.child("authorization-identifier", ns::SASL2).expect("who we are").text();
        self.jid = identity.parse().ok();
        let bound = success.child("bound", ns::BIND2);
        let resumed = success.child("resumed", ns::SM);
        assert_eq!(self.jid.is_some(), bound.is_some() || resumed.is_some(), "{success:?}");
        if let Some(enabled) = bound.and_then(|bound| bound.child("enabled", ns::SM)) {
            self.sm = Some(Sm { token: enabled.attribute("id").map(str::to_owned), ..Sm::default() });
        }
        if resumed.is_none() {
            self.features = self.next();
            assert!(self.features.is("features", ns::STREAM), "{:?}", self.features);
            assert_eq!(self.features.child("bind", ns::BIND).is_none(), bound.is_some(), "{inner}");
        }
        Ok(success)
    }
}

/// The token in `<success/>`, if there is one.
pub fn token_in(success: &Element, mechanism: &'static str) -> Option<Token> {
    let token = success.child("token", ns::FAST)?;
    let text = secret(token.attribute("token").expect("a token has a text"));
    Some(Token { text, expiry: token.attribute("expiry").expect("a token expires").to_owned(), mechanism })
}

/// `<authenticate/>` with a token.
pub fn token_login(user: &str, token: &Token, binding: &[u8], inner: &str) -> String {
    let message = [user.as_bytes(), &[0], &hashed(token, "Initiator", binding)].concat();
    authenticate(token.mechanism, Some(&secret(STANDARD.encode(message))), inner)
}

/// `<request-token/>`.
pub fn request_token(mechanism: &str) -> String {
    format!("<request-token xmlns='{}' mechanism='{mechanism}'/>", ns::FAST)
}

/// `<resume/>` of a session, counts included.
pub fn resume(session: &Sm) -> String {
    let token = session.token.as_deref().expect("the session can be resumed");
    format!("<resume xmlns='{}' previd='{token}' h='{}'/>", ns::SM, session.handled)
}

fn authenticate(mechanism: &str, initial: Option<&str>, inner: &str) -> String {
    let initial = initial.map_or_else(String::new, |data| format!("<initial-response>{data}</initial-response>"));
    format!("<authenticate xmlns='{}' mechanism='{mechanism}'>{initial}{inner}</authenticate>", ns::SASL2)
}

fn hashed(token: &Token, role: &str, binding: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(token.text.as_bytes()).expect("any key will do");
    mac.chain_update(role).chain_update(binding).finalize().into_bytes().to_vec()
}

fn additional_data(success: &Element) -> String {
    success.child("additional-data", ns::SASL2).expect("the mechanism has a last word").text()
}

fn refusal(answer: &Element) -> Result<(), String> {
    if answer.is("failure", ns::SASL2) {
        let condition = answer.children().find(|child| child.namespace() == ns::SASL);
        return Err(condition.map_or("none", Element::name).to_owned());
    }
    Ok(())
}

/// A client that can be told apart from others.
pub const PHONE: &str = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Test</software></user-agent>";
pub const FAST: &str = "<fast xmlns='urn:xmpp:fast:0'/>";
/// A session with a resource and stream management.
pub const BIND: &str =
    "<bind xmlns='urn:xmpp:bind:0'><tag>Test</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>";
