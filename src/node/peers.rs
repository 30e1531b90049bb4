//! Federation put together: the configuration becomes rules and settings, and streams with other servers see the node.

use std::sync::Arc;

use super::hub::{Inbox, Input};
use super::login::lasting_secret;
use super::random::random_bytes;
use crate::config::Config;
use crate::federation::{DialbackSecret, NoPins, Outgoing, OutgoingId, PeerConfig, Policy, Target};
use crate::jid::BareJid;
use crate::net::dns::Resolver;
use crate::net::{OwnCertificate, ServerTls};
use crate::router::{Event, Ticket};
use crate::s2s::{Answer, Host, Settings};
use crate::store::Store;

/// The node, as streams with other servers see it.
pub(super) struct PeerHost {
    pub(super) certificate: Arc<OwnCertificate>,
    pub(super) inbox: Inbox,
    pub(super) store: Store,
}

impl Host for PeerHost {
    fn tls(&self) -> Arc<ServerTls> {
        self.certificate.tls()
    }

    fn tell<'a>(&'a self, event: Event) -> Answer<'a, ()> {
        Box::pin(self.inbox.send(Input::Event(event)))
    }

    fn keep(&self, outgoing: &Outgoing) -> Option<(OutgoingId, Ticket)> {
        match self.store.keep_outgoing(outgoing) {
            Ok(kept) => Some(kept),
            Err(error) => {
                log::warn!("a stanza for {} that waits is not stored: {error}", outgoing.pair.peer);
                None
            }
        }
    }

    fn forget(&self, ids: &[OutgoingId]) {
        if let Err(error) = self.store.forget_outgoing(ids) {
            log::warn!("stanzas that other servers have will be sent to them again after a restart: {error}");
        }
    }
}

/// The rules and what they need. Components are domains of ours, too.
pub(super) fn settings<'a>(
    config: &'a Config,
    store: &Store,
    components: impl Iterator<Item = &'a BareJid>,
) -> Settings {
    let s2s = &config.s2s;
    let target = |host: &crate::config::PeerHost| {
        let (ip, port) = (host.address.ip().to_string(), host.address.port());
        (host.domain.clone(), Target { host: ip, port, direct_tls: host.direct_tls })
    };
    Settings {
        peers: PeerConfig {
            served: std::iter::once(&config.domain).chain(components).cloned().collect(),
            policy: Policy {
                allow: s2s.allow.clone(),
                deny: s2s.deny.clone(),
                dialback: s2s.dialback,
                pins: Arc::new(NoPins),
            },
            secret: DialbackSecret::new(&lasting_secret(store, "dialback")),
        },
        ca_file: s2s.ca_file.clone(),
        hosts: s2s.hosts.iter().map(target).collect(),
        resolver: Resolver::new(s2s.dns.clone(), || u16::from_be_bytes(random_bytes())),
        random: random_bytes,
    }
}
