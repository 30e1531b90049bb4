//! What an operator's commands find out about a node and the machine around it.

use std::net::{IpAddr, SocketAddr};

use crate::config::Config;
use crate::setup::guide::{self, Reach};

/// How a configuration wants to be reached from outside: by the machine's name, and addresses where they are known.
pub fn reach(config: &Config, host: &str, addresses: Vec<IpAddr>) -> Reach {
    let public = |listen: &[SocketAddr]| {
        let mut ports: Vec<u16> = listen.iter().filter(|at| !at.ip().is_loopback()).map(SocketAddr::port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    };
    let servers = |listen: &[SocketAddr]| if config.s2s.enabled { public(listen) } else { Vec::new() };
    Reach {
        domain: guide::ascii(&config.domain),
        host: host.to_owned(),
        addresses,
        clients: public(&config.c2s.listen),
        clients_tls: public(&config.c2s.listen_tls),
        servers: servers(&config.s2s.listen),
        servers_tls: servers(&config.s2s.listen_tls),
        web: if config.web.enabled { public(&config.web.listen) } else { Vec::new() },
    }
}
