//! What a node needs of the world around it: names in DNS, open ports, and its operator's next commands.

use std::fmt;
use std::net::IpAddr;

use super::{Certificate, Codes, Plan};
use crate::acme::Challenge;
use crate::jid::BareJid;

/// How a node is to be reached from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Its domain in ASCII.
    pub domain: String,
    /// The machine's name in DNS.
    pub host: String,
    /// By which the world reaches the machine; empty: not known.
    pub addresses: Vec<IpAddr>,
    /// For clients that start TLS.
    pub clients: Vec<u16>,
    /// For clients with TLS from the first byte.
    pub clients_tls: Vec<u16>,
    /// For other servers that start TLS.
    pub servers: Vec<u16>,
    /// For other servers with TLS from the first byte.
    pub servers_tls: Vec<u16>,
    /// For files.
    pub web: Vec<u16>,
}

/// A record in DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A or AAAA.
    Address {
        /// Whose.
        name: String,
        /// The address; nothing: not known.
        address: Option<IpAddr>,
    },
    /// SRV. RFC 2782; RFC 6120 §3.2.1, XEP-0368.
    Service {
        /// Such as `_xmpp-client._tcp.example.org`.
        name: String,
        /// The port.
        port: u16,
        /// The machine.
        target: String,
    },
}

/// `_xmpp-client._tcp.example.org. 3600 IN SRV 0 5 5222 example.org.`, as zone files have it.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Record::Address { name, address: Some(address @ IpAddr::V4(_)) } => {
                write!(f, "{name}. 3600 IN A {address}")
            }
            Record::Address { name, address: Some(address @ IpAddr::V6(_)) } => {
                write!(f, "{name}. 3600 IN AAAA {address}")
            }
            Record::Address { name, address: None } => {
                write!(f, "{name}. 3600 IN A <the address of your connection>")
            }
            Record::Service { name, port, target } => write!(f, "{name}. 3600 IN SRV 0 5 {port} {target}."),
        }
    }
}

/// A port that must be reached from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its number; TCP.
    pub number: u16,
    /// Who comes to it.
    pub purpose: &'static str,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TCP {:<5} {}", self.number, self.purpose)
    }
}

/// The records that let clients and servers find the node. Port 0, which is another each time, has none.
pub fn records(reach: &Reach) -> Vec<Record> {
    let mut records: Vec<Record> = if reach.addresses.is_empty() {
        vec![Record::Address { name: reach.host.clone(), address: None }]
    } else {
        let address = |address: &IpAddr| Record::Address { name: reach.host.clone(), address: Some(*address) };
        reach.addresses.iter().map(address).collect()
    };
    for (service, ports) in [
        ("_xmpp-client", &reach.clients),
        ("_xmpps-client", &reach.clients_tls),
        ("_xmpp-server", &reach.servers),
        ("_xmpps-server", &reach.servers_tls),
    ] {
        let name = format!("{service}._tcp.{}", reach.domain);
        let record = |port: &u16| Record::Service { name: name.clone(), port: *port, target: reach.host.clone() };
        records.extend(ports.iter().filter(|port| **port != 0).map(record));
    }
    records
}

/// The ports to forward on the router, each once.
pub fn ports(reach: &Reach, certificate: Certificate) -> Vec<Port> {
    let challenge: &[u16] = match certificate {
        Certificate::Acme(Challenge::Http01) => &[80],
        Certificate::Acme(Challenge::TlsAlpn01) => &[443],
        _ => &[],
    };
    let mut ports: Vec<Port> = Vec::new();
    for (numbers, purpose) in [
        (reach.clients.as_slice(), "clients"),
        (&reach.clients_tls, "clients, TLS from the first byte"),
        (&reach.servers, "other servers"),
        (&reach.servers_tls, "other servers, TLS from the first byte"),
        (&reach.web, "files (HTTPS)"),
        (challenge, "the certificate's authority"),
    ] {
        for &number in numbers {
            if number != 0 && !ports.iter().any(|port| port.number == number) {
                ports.push(Port { number, purpose });
            }
        }
    }
    ports
}

/// What is left to do, a line each, in order. `config` is how the file is to be named.
pub fn next_steps(plan: &Plan, config: &str) -> Vec<String> {
    let mut steps = Vec::new();
    steps.push("Put the DNS records above into your domain's zone, and forward the ports on your router.".to_owned());
    if let Codes::Provider(name) = &plan.codes {
        steps.push(format!(
            "See that the secret of sms.http.{name} is in its file, which only kontalk-node reads (chmod 640)."
        ));
    }
    if plan.codes == Codes::Modem {
        steps.push("Switch the SIM's PIN off in a telephone, and plug the modem in.".to_owned());
    }
    steps.push("Start the node:            sudo systemctl enable --now kontalk-node".to_owned());
    steps.push(format!("See what is left to do:    sudo kontalk-node doctor --config {config}"));
    steps.push(format!("Make its card, once, with paper at hand for 24 words:\n   sudo -u kontalk-node kontalk-node trust card --make --config {config}"));
    if let Some(peer) = &plan.join {
        steps.push(format!(
            "Exchange cards with the operator of {peer}, compare fingerprints by telephone, then:\n   \
             sudo -u kontalk-node kontalk-node trust add {peer} --card FILE --config {config}"
        ));
    }
    steps
}

/// A domain as DNS has it.
pub fn ascii(domain: &BareJid) -> String {
    idna::domain_to_ascii(domain.domainpart()).unwrap_or_else(|_| domain.domainpart().to_owned())
}
