//! Federation put together: the configuration becomes rules and settings, and streams with other servers see the node.

use std::sync::Arc;

use super::hub::{Inbox, Input};
use super::login::lasting_secret;
use super::random::random_bytes;
use super::trust::{NodePins, Trust};
use crate::config::Config;
use crate::federation::{DialbackSecret, NoPins, Outgoing, OutgoingId, PeerConfig, Pins, Policy, SpkiHash, Target};
use crate::jid::{BareJid, Jid};
use crate::net::dns::Resolver;
use crate::net::{OwnCertificate, ServerTls};
use crate::router::{Event, Storage, Ticket};
use crate::s2s::{Answer, Host, Settings};
use crate::stanza::{IqType, Kind, MessageType, Stanza, StanzaCondition, StanzaError};
use crate::store::Store;
use crate::xml::Element;

/// The node, as streams with other servers see it.
pub(super) struct PeerHost {
    pub(super) certificate: Arc<OwnCertificate>,
    pub(super) inbox: Inbox,
    pub(super) store: Store,
    pub(super) trust: Option<Arc<Trust>>,
}

impl Host for PeerHost {
    fn tls(&self) -> Arc<ServerTls> {
        self.certificate.tls()
    }

    fn reach_shown<'a>(&'a self, domain: &'a BareJid, shown: Element, key: SpkiHash) -> Answer<'a, Option<Element>> {
        Box::pin(async move { self.trust.clone()?.reach_shown(domain, &shown, key, &self.inbox).await })
    }

    fn tell<'a>(&'a self, event: Event) -> Answer<'a, ()> {
        let event = match event {
            Event::FromPeer { link, stanza } if self.is_kept_out(&stanza) => {
                Event::PeerAnswered { link, reply: refused(&stanza) }
            }
            event => event,
        };
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

impl PeerHost {
    /// Of a banned node, only those come through whom somebody here has in his contact list.
    fn is_kept_out(&self, stanza: &Stanza) -> bool {
        let (Some(from), Some(to)) = (stanza.from().map(Jid::bare), stanza.to().map(Jid::bare)) else { return false };
        let quarantined = || {
            BareJid::domain(from.domainpart())
                .is_ok_and(|domain| self.trust.as_ref().is_some_and(|trust| trust.quarantines(&domain)))
        };
        // Answers to what was asked from here are what somebody wanted.
        let answer =
            matches!(stanza.kind(), Kind::Iq(IqType::Result | IqType::Error) | Kind::Message(MessageType::Error));
        !answer && quarantined() && !self.store.entry(to, from).is_ok_and(|entry| entry.item.is_some())
    }
}

/// Who is no contact looks for nobody: requests and messages are refused, presence is not answered.
fn refused(stanza: &Stanza) -> Option<Stanza> {
    match stanza.kind() {
        Kind::Presence(_) => None,
        _ => stanza.error(&StanzaError::new(StanzaCondition::ServiceUnavailable)),
    }
}

/// The rules and what they need. Components are domains of ours, too.
pub(super) fn settings<'a>(
    config: &'a Config,
    store: &Store,
    trust: Option<&Arc<Trust>>,
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
                pins: trust
                    .map_or_else(|| Arc::new(NoPins) as Arc<dyn Pins>, |trust| Arc::new(NodePins(trust.clone()))),
            },
            secret: DialbackSecret::new(&lasting_secret(store, "dialback")),
        },
        ca_file: s2s.ca_file.clone(),
        hosts: s2s.hosts.iter().map(target).collect(),
        resolver: Resolver::new(s2s.dns.clone(), || u16::from_be_bytes(random_bytes())),
        random: random_bytes,
    }
}
