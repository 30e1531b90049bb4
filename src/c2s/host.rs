//! What a connection asks of the node around it.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::jid::BareJid;
use crate::net::ServerTls;
use crate::router::{ConnectionId, Event};
use crate::stanza::{SaslFailure, Stanza};
use crate::stream::{ClientId, HashedToken, IssuedToken, Password, ScramKeys, StreamConfig, TokenProof, TokenVerdict};

use super::Outbox;

/// An answer that may need the store or a busy thread.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who a connection belongs to until it has authenticated, as far as throttles and checks care.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The certificate it showed, in DER; it has proved to hold the key.
    pub certificate: Option<Arc<[u8]>>,
}

/// The node, as its connections see it. `node` implements it.
pub trait Host: Send + Sync {
    /// What all streams have in common.
    fn stream_config(&self) -> Arc<StreamConfig>;

    /// The certificate in force now.
    fn tls(&self) -> Arc<ServerTls>;

    /// Does the certificate carry an OpenPGP ring (a Kontalk bridge certificate)?
    fn is_bridge_certificate(&self, certificate: &[u8]) -> bool;

    /// Fresh bytes of the one random source.
    fn random(&self) -> [u8; 32];

    /// How long a session waits for its client, unless the client asks for less or more. XEP-0198 §5.
    fn resume_patience(&self) -> Duration;

    /// May this peer try to authenticate as this account now? Throttled by address and account.
    fn may_attempt(&self, peer: &Peer, account: Option<&BareJid>) -> Result<(), SaslFailure>;

    /// It tried and failed.
    fn attempt_failed(&self, peer: &Peer, account: Option<&BareJid>);

    /// The SCRAM keys of an account; of one without password, keys that fit no password.
    fn scram_keys<'a>(&'a self, account: &'a BareJid) -> Answer<'a, Result<ScramKeys, SaslFailure>>;

    /// PLAIN: is it the account's password?
    fn verify_plain<'a>(&'a self, account: &'a BareJid, password: Password)
    -> Answer<'a, Result<BareJid, SaslFailure>>;

    /// EXTERNAL: whose key is in the certificate, and may it log in?
    fn verify_external<'a>(
        &'a self,
        peer: &'a Peer,
        authzid: Option<&'a BareJid>,
    ) -> Answer<'a, Result<BareJid, SaslFailure>>;

    /// XEP-0484 §3.4: has this client a token that is good?
    fn verify_token<'a>(&'a self, proof: TokenProof) -> Answer<'a, Result<TokenVerdict, SaslFailure>>;

    /// XEP-0484 §3.3: a token for a client that has authenticated; `None` if none can be kept now.
    fn issue_token<'a>(
        &'a self,
        account: &'a BareJid,
        client: ClientId,
        mechanism: HashedToken,
    ) -> Answer<'a, Option<IssuedToken>>;

    /// Answers a registration request of a stranger.
    fn register<'a>(&'a self, peer: &'a Peer, request: Stanza) -> Answer<'a, Stanza>;

    /// A connection begins: from now on the router may write to it, until [`Event::Closed`] or [`Event::Lost`].
    fn attach<'a>(&'a self, connection: ConnectionId, outbox: Outbox) -> Answer<'a, ()>;

    /// Tells the router; waits when the router has too much to do, so a flood slows its own connection.
    fn tell<'a>(&'a self, event: Event) -> Answer<'a, ()>;
}
