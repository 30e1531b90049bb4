//! Finding another domain's server, and connecting to it. RFC 6120 §3.2, XEP-0368.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use smol::future::{FutureExt, zip};

use crate::federation::{DialFault, Pins, ServiceRecord, Target, interleaved, order_targets};
use crate::jid::BareJid;
use crate::limits;
use crate::net::dns::{DnsFault, Resolver, SrvRecord};
use crate::net::{ServerTls, Transport, connect_any, timed_out};

/// Knows where servers are.
#[derive(Debug)]
pub(super) struct Dialler {
    /// Where some are, as the operator says.
    pub(super) hosts: Vec<(BareJid, Target)>,
    /// Where nodes are, as they say themselves.
    pub(super) pins: Arc<dyn Pins>,
    pub(super) resolver: Resolver,
    pub(super) random: fn() -> [u8; 32],
}

/// A connection, and whether TLS is there already.
pub(super) struct Dialled {
    pub(super) transport: Transport,
    pub(super) secured: bool,
}

impl Dialler {
    /// Connects to the domain's server: the first target that takes the connection, and completes TLS if it begins with that.
    pub(super) async fn dial(&self, domain: &BareJid, tls: &Arc<ServerTls>) -> Result<Dialled, DialFault> {
        let name = ascii(domain).ok_or(DialFault::NoSuchDomain)?;
        // A node is first where it said itself, and needs no name server then. Whoever is there must show its key.
        let said = if self.is_configured(domain) { Vec::new() } else { self.pins.targets(domain) };
        if !said.is_empty()
            && let Ok(dialled) = self.dial_one_of(said, domain, &name, tls).await
        {
            return Ok(dialled);
        }
        self.dial_one_of(self.targets(domain, &name).await?, domain, &name, tls).await
    }

    async fn dial_one_of(
        &self,
        targets: Vec<Target>,
        domain: &BareJid,
        name: &str,
        tls: &Arc<ServerTls>,
    ) -> Result<Dialled, DialFault> {
        let mut fault = DialFault::NoService;
        for target in targets {
            let addresses = match self.addresses(&target).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    fault = error;
                    continue;
                }
            };
            let connected = connect_any(&addresses).or(timed_out(limits::S2S_CONNECT_TIMEOUT)).await;
            let transport = match connected {
                Ok(transport) => transport,
                Err(error) => {
                    log::debug!("{domain} at {}:{}: {error}", target.host, target.port);
                    fault = DialFault::Unreachable;
                    continue;
                }
            };
            if !target.direct_tls {
                return Ok(Dialled { transport, secured: false });
            }
            match connect_tls(transport, tls, name, true).await {
                Ok(transport) => return Ok(Dialled { transport, secured: true }),
                Err(error) => {
                    log::debug!("{domain} at {}:{}: {error}", target.host, target.port);
                    fault = DialFault::Tls;
                }
            }
        }
        Err(fault)
    }

    fn is_configured(&self, domain: &BareJid) -> bool {
        self.hosts.iter().any(|(known, _)| known == domain)
    }

    async fn targets(&self, domain: &BareJid, name: &str) -> Result<Vec<Target>, DialFault> {
        let known: Vec<Target> =
            self.hosts.iter().filter(|(known, _)| known == domain).map(|(_, target)| target.clone()).collect();
        if !known.is_empty() {
            return Ok(known);
        }
        let at_domain = |host: &str| vec![Target { host: host.to_owned(), port: DEFAULT_PORT, direct_tls: false }];
        if let Ok(address) = name.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(at_domain(&address.to_string()));
        }
        let (direct, plain) = (format!("_xmpps-server._tcp.{name}"), format!("_xmpp-server._tcp.{name}"));
        let (direct, plain) = zip(self.resolver.services(&direct), self.resolver.services(&plain)).await;
        let mut records = Vec::new();
        let mut no_answer = false;
        for (answer, direct_tls) in [(direct, true), (plain, false)] {
            match answer {
                Ok(found) => records.extend(found.into_iter().map(|record| service(record, direct_tls))),
                Err(DnsFault::NoSuchName | DnsFault::NotAName) => {}
                Err(DnsFault::NoAnswer) => no_answer = true,
            }
        }
        if !records.is_empty() {
            let targets = order_targets(records, limits::S2S_TARGETS_MAX, |limit| self.below(limit));
            return if targets.is_empty() { Err(DialFault::NoService) } else { Ok(targets) };
        }
        if no_answer {
            // What is not known is not "none": RFC 6120 §3.2.1 falls back only where there are no records.
            return Err(DialFault::NoNameServer);
        }
        // RFC 6120 §3.2.2.
        Ok(at_domain(name))
    }

    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, DialFault> {
        if let Ok(address) = target.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, target.port)]);
        }
        let (v6, v4) = zip(self.resolver.ipv6(&target.host), self.resolver.ipv4(&target.host)).await;
        let fault = match (&v6, &v4) {
            (Err(DnsFault::NoSuchName | DnsFault::NotAName), _)
            | (_, Err(DnsFault::NoSuchName | DnsFault::NotAName)) => DialFault::NoSuchDomain,
            (Err(DnsFault::NoAnswer), _) | (_, Err(DnsFault::NoAnswer)) => DialFault::NoNameServer,
            (Ok(_), Ok(_)) => DialFault::NoService,
        };
        let addresses = interleaved(&v6.unwrap_or_default(), &v4.unwrap_or_default(), limits::S2S_ADDRESSES_MAX);
        if addresses.is_empty() {
            return Err(fault);
        }
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, target.port)).collect())
    }

    /// A number from 0 to `limit`, both included.
    fn below(&self, limit: u32) -> u32 {
        let [a, b, c, d, ..] = (self.random)();
        let random = u64::from(u32::from_be_bytes([a, b, c, d]));
        u32::try_from((random * (u64::from(limit) + 1)) >> 32).unwrap_or(limit)
    }
}

/// The dialling side's handshake.
pub(super) async fn connect_tls(
    transport: Transport,
    tls: &Arc<ServerTls>,
    name: &str,
    direct: bool,
) -> io::Result<Transport> {
    transport.connect_tls(tls, name, direct).or(timed_out(limits::TLS_HANDSHAKE_TIMEOUT)).await
}

/// A domain as name servers and certificates have it.
pub(super) fn ascii(domain: &BareJid) -> Option<String> {
    let name = idna::domain_to_ascii(domain.domainpart()).ok()?;
    (!name.is_empty()).then_some(name)
}

fn service(record: SrvRecord, direct_tls: bool) -> ServiceRecord {
    let SrvRecord { priority, weight, port, target } = record;
    ServiceRecord { priority, weight, port, target, direct_tls }
}

/// RFC 6120 §14.7.
const DEFAULT_PORT: u16 = 5269;
