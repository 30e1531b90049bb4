//! The node as its connections see it: one value that hands each question to whoever answers it.

use std::sync::Arc;
use std::time::Duration;

use super::desk::own_caps;
use super::hub::{Inbox, Input};
use super::identity;
use super::login::{Logins, lasting_secret};
use super::random::random_bytes;
use super::registration::Registrations;
use super::tokens::Tokens;
use super::trust::Trust;
use crate::c2s::{Answer, Host, Outbox, Peer};
use crate::config::Config;
use crate::jid::BareJid;
use crate::net::{OwnCertificate, ServerTls};
use crate::pgp::{self, Fingerprint, ServerKey};
use crate::router::{ConnectionId, Event, SESSION_START_FEATURES};
use crate::services::CAPS_NODE;
use crate::stanza::{SaslFailure, Stanza};
use crate::store::Store;
use crate::stream::{ClientId, HashedToken, IssuedToken, Password, ScramKeys, StreamConfig, TokenProof, TokenVerdict};
use crate::xml::{Element, ns};
use zeroize::Zeroizing;

pub(super) struct NodeHost {
    stream_config: Arc<StreamConfig>,
    resume_patience: Duration,
    certificate: Arc<OwnCertificate>,
    server_key: Arc<ServerKey>,
    logins: Logins,
    tokens: Tokens,
    registrations: Registrations,
    inbox: Inbox,
}

impl NodeHost {
    #[allow(clippy::too_many_arguments)] // Called once; what it takes has little in common but the host.
    pub(super) fn new(
        config: &Config,
        store: Store,
        server_key: Arc<ServerKey>,
        token_secret: Zeroizing<[u8; 32]>,
        certificate: Arc<OwnCertificate>,
        inbox: Inbox,
        registrations: Registrations,
        trust: Option<Arc<Trust>>,
    ) -> NodeHost {
        NodeHost {
            stream_config: Arc::new(StreamConfig {
                domain: config.domain.clone(),
                registration: config.registration.enabled,
                inline: SESSION_START_FEATURES,
                resource_secret: lasting_secret(&store, "resources"),
                caps: Some(
                    Element::new("c", ns::CAPS)
                        .with("hash", "sha-1")
                        .with("node", CAPS_NODE)
                        .with("ver", own_caps(config)),
                ),
            }),
            resume_patience: config.limits.resume,
            certificate,
            logins: Logins::new(
                config.domain.clone(),
                store.clone(),
                server_key.clone(),
                identity::former(&config.data_dir).map(Arc::new),
                trust,
            ),
            tokens: Tokens::new(token_secret, store),
            registrations,
            server_key,
            inbox,
        }
    }

    pub(super) fn server_fingerprint(&self) -> Fingerprint {
        self.server_key.fingerprint()
    }
}

impl Host for NodeHost {
    fn stream_config(&self) -> Arc<StreamConfig> {
        self.stream_config.clone()
    }

    fn tls(&self) -> Arc<ServerTls> {
        self.certificate.tls()
    }

    fn is_bridge_certificate(&self, certificate: &[u8]) -> bool {
        pgp::is_bridge_certificate(certificate)
    }

    fn random(&self) -> [u8; 32] {
        random_bytes()
    }

    fn resume_patience(&self) -> Duration {
        self.resume_patience
    }

    fn may_attempt(&self, peer: &Peer, account: Option<&BareJid>) -> Result<(), SaslFailure> {
        self.logins.may_attempt(peer, account)
    }

    fn attempt_failed(&self, peer: &Peer, account: Option<&BareJid>) {
        self.logins.attempt_failed(peer, account);
    }

    fn scram_keys<'a>(&'a self, account: &'a BareJid) -> Answer<'a, Result<ScramKeys, SaslFailure>> {
        Box::pin(async { self.logins.scram_keys(account) })
    }

    fn verify_plain<'a>(
        &'a self,
        account: &'a BareJid,
        password: Password,
    ) -> Answer<'a, Result<BareJid, SaslFailure>> {
        Box::pin(self.logins.plain(account, password))
    }

    fn verify_external<'a>(
        &'a self,
        peer: &'a Peer,
        authzid: Option<&'a BareJid>,
    ) -> Answer<'a, Result<BareJid, SaslFailure>> {
        Box::pin(self.logins.external(peer, authzid))
    }

    fn verify_token<'a>(&'a self, proof: TokenProof) -> Answer<'a, Result<TokenVerdict, SaslFailure>> {
        Box::pin(self.tokens.verify(proof))
    }

    fn issue_token<'a>(
        &'a self,
        account: &'a BareJid,
        client: ClientId,
        mechanism: HashedToken,
    ) -> Answer<'a, Option<IssuedToken>> {
        Box::pin(self.tokens.issue(account, client, mechanism))
    }

    fn register<'a>(&'a self, peer: &'a Peer, request: Stanza) -> Answer<'a, Stanza> {
        Box::pin(self.registrations.answer(peer, request))
    }

    fn attach<'a>(&'a self, connection: ConnectionId, outbox: Outbox) -> Answer<'a, ()> {
        Box::pin(self.inbox.send(Input::Attach(connection, outbox)))
    }

    fn tell<'a>(&'a self, event: Event) -> Answer<'a, ()> {
        Box::pin(self.inbox.send(Input::Event(event)))
    }
}
