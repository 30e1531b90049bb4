//! Logging in: SASL, resource binding, stream management.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kontalk_node::xml::{Element, ns};
use sha2::{Digest, Sha256};

use super::client::{Client, Connect, Lost, Sm};
use super::node::{Node, password_of};
use super::scram::{Exchange, Hash};
use super::secret;

/// What a SCRAM exchange is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Nothing: the mechanism without `-PLUS`.
    None,
    /// RFC 9266; TLS 1.3 only.
    TlsExporter,
    /// RFC 5929 §4.
    TlsServerEndPoint,
}

impl Client {
    /// A session as a modern client makes it: SCRAM-SHA-256, a resource, stream management with resumption, roster, presence.
    /// The account is one of [`Node::add_account`]; what its own presence brings back has been read.
    pub fn online(node: &Node, user: &str, resource: &str) -> Client {
        let mut client = Client::bound(node, user, resource);
        client.enable_sm(true);
        // Only a session that asked for its roster hears of changes to it (an interested resource, RFC 6121 §2.1.6).
        client.roster();
        client.send("<presence/>");
        client.roundtrip();
        client.take_own_presence();
        client
    }

    /// The same without stream management and presence.
    pub fn bound(node: &Node, user: &str, resource: &str) -> Client {
        let mut client = Client::authenticated(node, user);
        client.bind(Some(resource));
        client
    }

    /// Logged in, with no resource yet.
    pub fn authenticated(node: &Node, user: &str) -> Client {
        let mut client = Client::connect(&Connect::to(node));
        client.scram(user, &password_of(user), Hash::Sha256, Binding::None).expect("the password is right");
        client
    }

    /// The SASL mechanisms that the node offers.
    pub fn mechanisms(&self) -> Vec<String> {
        let mechanisms = self.features.child("mechanisms", ns::SASL);
        mechanisms.map_or_else(Vec::new, |m| m.children().map(Element::text).collect())
    }

    /// SCRAM. On success the stream has been restarted; a refusal gives its condition.
    pub fn scram(&mut self, user: &str, password: &str, hash: Hash, binding: Binding) -> Result<(), String> {
        let (plus, data) = match binding {
            Binding::None => ("", None),
            Binding::TlsExporter => ("-PLUS", Some(("tls-exporter", self.tls_exporter()))),
            Binding::TlsServerEndPoint => ("-PLUS", Some(("tls-server-end-point", self.tls_server_end_point()))),
        };
        let mechanism = format!("{}{plus}", hash.mechanism());
        self.scram_exchange(&mechanism, Exchange::new(hash, user, data), password)
    }

    /// SCRAM with an exchange that the test made.
    pub fn scram_exchange(&mut self, mechanism: &str, mut exchange: Exchange, password: &str) -> Result<(), String> {
        let challenge = self.sasl_auth(mechanism, &exchange.first());
        refusal(&challenge)?;
        assert!(challenge.is("challenge", ns::SASL), "{challenge:?}");
        let answer = exchange.answer(&challenge.text(), password);
        self.send_raw(&format!("<response xmlns='{}'>{answer}</response>", ns::SASL));
        let outcome = self.next();
        refusal(&outcome)?;
        exchange.verify(&outcome.text());
        self.restart_after(&outcome)
    }

    /// PLAIN, RFC 4616.
    pub fn plain(&mut self, user: &str, password: &str) -> Result<(), String> {
        let message = secret(STANDARD.encode(format!("\0{user}\0{password}")));
        let outcome = self.sasl_auth("PLAIN", &message);
        refusal(&outcome)?;
        self.restart_after(&outcome)
    }

    /// EXTERNAL with the TLS certificate; `authzid` empty as Kontalk clients have it.
    pub fn external(&mut self, authzid: &str) -> Result<(), String> {
        let message = if authzid.is_empty() { "=".to_owned() } else { STANDARD.encode(authzid) };
        let outcome = self.sasl_auth("EXTERNAL", &message);
        refusal(&outcome)?;
        self.restart_after(&outcome)
    }

    /// Sends `<auth/>` and gives the answer.
    pub fn sasl_auth(&mut self, mechanism: &str, initial: &str) -> Element {
        self.send_raw(&format!("<auth xmlns='{}' mechanism='{mechanism}'>{initial}</auth>", ns::SASL));
        self.next()
    }

    /// Binds a resource, one of the node's making without wish. RFC 6120 §7.
    pub fn bind(&mut self, resource: Option<&str>) {
        let wish = resource.map_or_else(String::new, |name| format!("<resource>{name}</resource>"));
        let result = self.iq("set", None, &format!("<bind xmlns='{}'>{wish}</bind>", ns::BIND));
        let bind = result.child("bind", ns::BIND).unwrap_or_else(|| panic!("binding was refused: {result:?}"));
        let jid = bind.child("jid", ns::BIND).expect("the bound JID").text();
        self.jid = Some(jid.parse().expect("the bound JID is a full JID"));
    }

    /// Turns stream management on, as Android does without resumption.
    pub fn enable_sm(&mut self, resume: bool) {
        let wish = if resume { " resume='true'" } else { "" };
        self.send_raw(&format!("<enable xmlns='{}'{wish}/>", ns::SM));
        let enabled = self.expect("<enabled/>", |el| el.namespace() == ns::SM);
        assert!(enabled.is("enabled", ns::SM), "stream management was refused: {enabled:?}");
        let token = enabled.attribute("id").map(str::to_owned);
        assert_eq!(resume, token.is_some(), "a token comes exactly with resumption: {enabled:?}");
        assert!(resume == matches!(enabled.attribute("resume"), Some("true" | "1")), "{enabled:?}");
        self.sm = Some(Sm { token, ..Sm::default() });
    }

    /// Resumes a session on this authenticated stream. The old session's counts go on; a refusal gives its condition.
    pub fn resume(&mut self, session: &Sm) -> Result<(), String> {
        let token = session.token.as_deref().expect("the session can be resumed");
        self.send_raw(&format!("<resume xmlns='{}' previd='{token}' h='{}'/>", ns::SM, session.handled));
        let answer = self.next();
        if answer.is("failed", ns::SM) {
            return Err(answer.first_child().map_or("none", Element::name).to_owned());
        }
        assert!(answer.is("resumed", ns::SM), "{answer:?}");
        assert_eq!(answer.attribute("previd"), Some(token));
        let h: u32 = answer.attribute("h").and_then(|h| h.parse().ok()).expect("<resumed/> has a number");
        assert!((session.acked..=session.sent).contains(&h), "the node counts {h}, which it cannot have");
        self.sm = Some(Sm { acked: h, ..session.clone() });
        Ok(())
    }

    /// Keying material of the TLS connection. RFC 9266 §2.
    pub fn tls_exporter(&self) -> Vec<u8> {
        let material = self.tls().export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[]));
        material.expect("the TLS handshake is done").to_vec()
    }

    /// The hash of the node's certificate. RFC 5929 §4.1; the node's certificates are signed with SHA-256.
    pub fn tls_server_end_point(&self) -> Vec<u8> {
        let certificate = self.tls().peer_certificates().and_then(<[_]>::first).expect("the node has a certificate");
        Sha256::digest(certificate).to_vec()
    }

    fn restart_after(&mut self, outcome: &Element) -> Result<(), String> {
        assert!(outcome.is("success", ns::SASL), "{outcome:?}");
        self.try_open_stream().map_err(|lost: Lost| lost.to_string())
    }
}

fn refusal(answer: &Element) -> Result<(), String> {
    if answer.is("failure", ns::SASL) {
        return Err(answer.first_child().map_or("none", Element::name).to_owned());
    }
    Ok(())
}
