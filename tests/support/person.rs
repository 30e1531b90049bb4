//! An owner of a telephone number with its app, as Kontalk for Android behaves.
#![allow(dead_code)]

use std::time::{Duration, SystemTime};

use crate::keys::{BridgeCertificate, ClientKey};
use crate::support::client::{Client, ClientCertificate, Connect};
use crate::support::node::Node;
use crate::support::registration::Number;

/// An owner of a telephone number with its app.
pub struct Person {
    pub number: Number,
    pub key: ClientKey,
    /// The ring as last certified; the app's own until then.
    pub ring: Vec<u8>,
    pub how: Connect,
    /// The app's resource is the device's id and never changes.
    pub device: &'static str,
}

impl Person {
    /// Each index has an RSA key of its own.
    pub fn new(index: usize, number: &str, how: Connect) -> Person {
        let number = Number { domain: how.domain, ..Number::new(number) };
        // Some time ago, so that neither clock's rounding puts it into the future.
        let created = SystemTime::now() - Duration::from_secs(3600);
        let key = ClientKey::numbered(index, &format!("Person {index} <{}>", number.address()), created);
        Person { number, ring: key.public_ring(), key, how, device: "810eb5848f151178" }
    }

    /// A new connection without certificate, as the app makes for form and number.
    pub fn stranger(&self) -> Client {
        Client::connect(&self.how)
    }

    /// A new connection that shows the bridge certificate of the ring.
    pub fn with_certificate(&self) -> Client {
        self.with(self.key.bridge_certificate(&self.ring))
    }

    pub fn with(&self, certificate: BridgeCertificate) -> Client {
        let BridgeCertificate { certificate_der, private_key_pkcs8_der } = certificate;
        Client::connect(&self.how.clone().certificate(ClientCertificate { certificate_der, private_key_pkcs8_der }))
    }

    /// From the form to the certified key.
    pub fn register(&mut self, node: &mut Node, force: bool) {
        self.stranger().registration_form().expect("registration is open");
        self.stranger().request_code(&self.number, force).expect("a code is sent");
        let code = node.code_for(&self.number.e164);
        self.ring = self.with_certificate().submit_code(&code).expect("the code is right");
    }

    /// A session as the app makes it.
    pub fn online(&self) -> Client {
        let mut client = self.with_certificate();
        client.external("").expect("the certified key logs in");
        client.bind(Some(self.device));
        assert_eq!(client.full().to_string(), format!("{}/{}", self.number.address(), self.device));
        client.enable_sm(true);
        client.roster();
        client.send("<presence><status>hi</status><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://www.kontalk.org/' ver='none'/></presence>");
        client.roundtrip();
        client.take_own_presence();
        client
    }
}
