//! The components that are configured, with the connections of those that are there, and what is under way to each.
//!
//! What is put into a component's outbox is remembered until it has left for the socket: if the connection ends before, its sender
//! is told, and only then or when it left is a client's message acknowledged. Presence that spreads is not remembered. Limits: the
//! outbox's.

use std::collections::{BTreeMap, VecDeque};

use crate::c2s::{Outbox, Outgoing};
use crate::jid::BareJid;
use crate::router::{ConnectionId, Receipt};
use crate::stanza::{Kind, PresenceType, Stanza, StanzaCondition, StanzaError, StreamCondition, StreamError};

/// A stanza that does not get to its component.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) stanza: Stanza,
    pub(super) error: StanzaError,
    pub(super) receipt: Option<Receipt>,
}

/// What became of a stanza for another domain.
#[derive(Debug)]
pub(super) enum Sent {
    /// It is on its way; the receipt comes back later.
    Taken,
    /// Its domain is a component's, but it does not get there.
    Refused(Box<Refused>),
    /// The domain is no component's.
    NotOurs(Box<Stanza>, Option<Receipt>),
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Components {
    links: BTreeMap<BareJid, Option<Link>>,
}

/// A component that is connected.
#[derive(Debug)]
struct Link {
    connection: ConnectionId,
    outbox: Outbox,
    numbered: u64,
    under_way: VecDeque<(u64, Stanza, Option<Receipt>)>,
}

impl Components {
    /// Those that are configured, none of them connected.
    pub(super) fn new(domains: impl IntoIterator<Item = BareJid>) -> Components {
        Components { links: domains.into_iter().map(|domain| (domain, None)).collect() }
    }

    /// A component has shown its secret; false if another connection serves its domain.
    pub(super) fn attach(&mut self, connection: ConnectionId, domain: &BareJid, outbox: Outbox) -> bool {
        match self.links.get_mut(domain) {
            Some(link) if link.is_none() => {
                *link = Some(Link { connection, outbox, numbered: 0, under_way: VecDeque::new() });
                true
            }
            _ => false,
        }
    }

    /// Hands a stanza for another domain to the component that serves it.
    pub(super) fn send(&mut self, stanza: Stanza, receipt: Option<Receipt>) -> Sent {
        let domain = stanza.to().map(|to| to.bare().to_domain());
        let Some(link) = domain.and_then(|domain| self.links.get_mut(&domain)) else {
            return Sent::NotOurs(Box::new(stanza), receipt);
        };
        let Some(link) = link else {
            // RFC 6120 §8.3.3.16: the domain is known, its server is not there now.
            let error = StanzaError::new(StanzaCondition::RemoteServerTimeout).text("this component is not connected");
            return Sent::Refused(Box::new(Refused { stanza, error, receipt }));
        };
        let text = stanza.to_text().into();
        let spreads = matches!(
            stanza.kind(),
            Kind::Presence(PresenceType::Available | PresenceType::Unavailable | PresenceType::Probe)
        );
        let number = (!spreads).then(|| {
            link.numbered += 1;
            link.numbered
        });
        if link.outbox.push(Outgoing::Text(text, number)).is_err() {
            let error = StanzaError::new(StanzaCondition::ResourceConstraint).text("this component reads too slowly");
            return Sent::Refused(Box::new(Refused { stanza, error, receipt }));
        }
        link.under_way.extend(number.map(|number| (number, stanza, receipt)));
        Sent::Taken
    }

    /// All up to this number has left for a component's socket: the receipts to give back.
    pub(super) fn written(&mut self, connection: ConnectionId, up_to: u64) -> Vec<Receipt> {
        let Some(link) = self.links.values_mut().flatten().find(|link| link.connection == connection) else {
            return Vec::new();
        };
        let count = link.under_way.partition_point(|(number, ..)| *number <= up_to);
        link.under_way.drain(..count).filter_map(|(_, _, receipt)| receipt).collect()
    }

    /// A component is gone, with what it was not sent any more.
    pub(super) fn gone(&mut self, connection: ConnectionId) -> Vec<Refused> {
        let found = self.links.values_mut().find(|link| link.as_ref().is_some_and(|l| l.connection == connection));
        let lost = found.and_then(Option::take).map(|link| link.under_way).unwrap_or_default();
        let refused = |(_, stanza, receipt)| Refused {
            stanza,
            error: StanzaError::new(StanzaCondition::RemoteServerTimeout).text("this component has disconnected"),
            receipt,
        };
        lost.into_iter().map(refused).collect()
    }

    /// The node stops: all streams end.
    pub(super) fn shut_down(&self) {
        for link in self.links.values().flatten() {
            // RFC 6120 §4.9.3.20.
            let error = StreamError::new(StreamCondition::SystemShutdown);
            let _ = link.outbox.push(Outgoing::Close(Some(error)));
        }
    }

    /// The domains of those that are connected.
    pub(super) fn connected(&self) -> Vec<BareJid> {
        self.links.iter().filter(|(_, link)| link.is_some()).map(|(domain, _)| domain.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{ns, parse_document};

    fn stanza(text: &str) -> Stanza {
        Stanza::new(parse_document(text, ns::CLIENT, 10).unwrap()).unwrap()
    }

    fn one() -> (Components, BareJid) {
        let domain: BareJid = "chat.a.example".parse().unwrap();
        (Components::new([domain.clone()]), domain)
    }

    #[test]
    fn a_domain_has_one_connection_and_a_stanza_goes_there_or_back() {
        let (mut components, domain) = one();
        let message = || stanza("<message to='x@chat.a.example' from='romeo@a.example/o'/>");
        let away = components.send(message(), Some(Receipt(1)));
        assert!(matches!(&away, Sent::Refused(refused) if refused.receipt == Some(Receipt(1))), "{away:?}");
        let other = components.send(stanza("<message to='x@b.example' from='romeo@a.example/o'/>"), None);
        assert!(matches!(other, Sent::NotOurs(..)));
        assert!(components.attach(ConnectionId(1), &domain, Outbox::default()));
        assert!(!components.attach(ConnectionId(2), &domain, Outbox::default()));
        assert!(!components.attach(ConnectionId(2), &"b.example".parse().unwrap(), Outbox::default()));
        assert_eq!(components.connected(), std::slice::from_ref(&domain));
        for number in 1..=3 {
            assert!(matches!(components.send(message(), Some(Receipt(number))), Sent::Taken));
        }
        assert!(matches!(
            components.send(stanza("<presence to='chat.a.example' from='a@a.example'/>"), None),
            Sent::Taken
        ));
        assert_eq!(components.written(ConnectionId(1), 2), [Receipt(1), Receipt(2)]);
        // One of another connection's is none.
        assert_eq!(components.written(ConnectionId(2), 9), []);
        let lost = components.gone(ConnectionId(1));
        assert_eq!(lost.iter().map(|refused| refused.receipt).collect::<Vec<_>>(), [Some(Receipt(3))]);
        assert!(components.connected().is_empty());
        assert!(components.attach(ConnectionId(2), &domain, Outbox::default()));
    }

    #[test]
    fn a_component_that_does_not_read_is_sent_no_more_than_its_outbox_holds() {
        let (mut components, domain) = one();
        components.attach(ConnectionId(1), &domain, Outbox::default());
        let mut taken = 0;
        while let Sent::Taken = components.send(stanza("<message to='chat.a.example' from='a@a.example/o'/>"), None) {
            taken += 1;
        }
        assert_eq!(taken, crate::limits::OUTBOX_STANZAS_MAX);
        assert_eq!(components.gone(ConnectionId(1)).len(), taken);
    }
}
