//! What an operator's commands find out about a node and the machine around it: facts for [`crate::doctor`], which judges them.
//!
//! Nothing is changed. A running node is asked over its control socket; the data of one that does not run are not opened, for the
//! files would belong to whoever looks. Waits at most [`CONNECT_PATIENCE`] for a port and what the resolver waits for a name.

mod machine;
mod names;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::control::{ControlFault, Reply, Request, SmsStatus, Status, TrustReply, TrustRequest, ask};
use crate::config::{Config, MODEM, TERMINAL};
use crate::doctor::{CertificateFact, Facts, ModemFact, PortFact, PortState, ProviderFact, StoreFact, TrustFact};
use crate::net::{self, Authorities, CertificateSource, ChainFault, SELF_MADE_CERTIFICATE};
use crate::setup::guide::{self, Reach};

/// Looks at everything. `file` is the configuration's, `addresses` those that the machine's name should have, where the operator
/// says. Blocks, up to half a minute where name servers do not answer.
pub fn examine(config: &Config, file: Option<&Path>, addresses: &[IpAddr]) -> Facts {
    let mut facts = machine_facts(&config.data_dir);
    facts.config_doubts = config.warnings.iter().map(ToString::to_string).collect();
    facts.places = machine::places(&config.data_dir, &secrets(config, file));
    let asked = ask(&config.data_dir, Request::Status);
    let status = match asked.map(|asked| asked.reply) {
        Ok(Reply::Status(status)) => Some(status),
        Ok(_) | Err(ControlFault::NotRunning(_)) => None,
        Err(fault) => {
            facts.store = StoreFact::Fault(fault.to_string());
            None
        }
    };
    facts.running = status.is_some();
    let has_store = config.data_dir.join("store").exists();
    match &status {
        Some(status) => facts.store = store(status),
        None if has_store && facts.store == StoreFact::Absent => facts.store = StoreFact::NotAsked,
        None => {}
    }
    facts.ports = ports(config, facts.running);
    facts.certificate = Some(certificate(config));
    if !config.trial {
        let reach = reach(config, &guide::ascii(&config.domain), addresses.to_vec());
        (facts.names, facts.host_addresses) = names::look_up(&reach, &config.s2s.dns);
    }
    facts.modem = modem(config, status.as_ref());
    facts.providers = providers(config, status.as_ref().map(|status| &status.sms));
    facts.codes_on_terminal = !config.trial && config.sms.routes.iter().all(|route| route.name == TERMINAL);
    if facts.running {
        facts.trust = trust(&config.data_dir);
    }
    facts
}

/// What can be found out without a configuration that can be used.
pub fn machine_facts(data_dir: &Path) -> Facts {
    let now_secs = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Facts {
        now_secs,
        clock_synchronised: machine::clock_synchronised(),
        no_hardware_clock: !Path::new("/dev/rtc0").exists(),
        disk: machine::disk(data_dir),
        memory: machine::memory(),
        ..Facts::default()
    }
}

/// Files that the node must read, none of which is its own.
fn secrets(config: &Config, file: Option<&Path>) -> Vec<PathBuf> {
    let mut secrets: Vec<PathBuf> = file.map(Path::to_owned).into_iter().collect();
    secrets.extend(config.tls.iter().flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]));
    secrets.extend(config.sms.http.iter().filter_map(|provider| provider.kind.secret_file()).map(Path::to_owned));
    secrets.extend(config.sms.modem.pin_file.clone());
    secrets.extend(config.components.secret_files.iter().map(|(_, file)| file.clone()));
    secrets
}

fn store(status: &Status) -> StoreFact {
    let mebibytes = status.store_bytes as f64 / 1_048_576.0;
    let holds = format!(
        "{} accounts, {} waiting messages, {mebibytes:.1} MiB; to read every record: kontalk-node verify-data",
        status.accounts, status.offline_messages
    );
    StoreFact::Told { broken: status.store_broken, damaged: status.damaged_records, holds }
}

fn ports(config: &Config, running: bool) -> Vec<PortFact> {
    let mut listening: Vec<SocketAddr> = config.c2s.listen.iter().chain(&config.c2s.listen_tls).copied().collect();
    if config.s2s.enabled {
        listening.extend(config.s2s.listen.iter().chain(&config.s2s.listen_tls));
    }
    if config.web.enabled {
        listening.extend(&config.web.listen);
    }
    if !config.components.secret_files.is_empty() {
        listening.extend(&config.components.listen);
    }
    listening.retain(|address| address.port() != 0);
    let fact = |address: &SocketAddr| PortFact {
        address: address.to_string(),
        port: address.port(),
        state: if running { answers(*address) } else { is_free(*address) },
    };
    listening.iter().map(fact).collect()
}

fn answers(address: SocketAddr) -> PortState {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        // A machine without IPv6 listens on 0.0.0.0 instead.
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let connects = |ip: IpAddr| TcpStream::connect_timeout(&(ip, address.port()).into(), CONNECT_PATIENCE).is_ok();
    let other = address.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED) && connects(Ipv4Addr::LOCALHOST.into());
    if other || connects(ip) { PortState::Answered } else { PortState::Silent }
}

fn is_free(address: SocketAddr) -> PortState {
    match net::bind(&[address]) {
        Ok(_) => PortState::Free,
        Err(errors) => match errors.first().map(|fault| fault.error.kind()) {
            Some(io::ErrorKind::PermissionDenied) => PortState::Forbidden,
            Some(io::ErrorKind::AddrNotAvailable) => PortState::NoSuchAddress,
            _ => PortState::Taken,
        },
    }
}

fn certificate(config: &Config) -> CertificateFact {
    let source = match &config.tls {
        Some(files) => CertificateSource::Files { certificate: files.certificate.clone(), key: files.key.clone() },
        None if !config.data_dir.join(SELF_MADE_CERTIFICATE).exists() => return CertificateFact::NotMadeYet,
        None if config.acme.is_some() => CertificateSource::Ordered { dir: config.data_dir.clone() },
        None => CertificateSource::SelfMade { dir: config.data_dir.clone() },
    };
    let (facts, judged) =
        match net::examine(&source, config.domain.as_str(), &Authorities::new(None), SystemTime::now()) {
            Ok(examined) => examined,
            Err(fault) => return CertificateFact::Unusable(fault.to_string()),
        };
    let secs = |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let chain_fault = match judged {
        // Told by its dates.
        Ok(()) | Err(ChainFault::Expired | ChainFault::NotYetValid) => None,
        Err(ChainFault::UnknownIssuer) if facts.self_signed => Some("self-signed: telephones refuse it".to_owned()),
        Err(ChainFault::UnknownIssuer) => {
            Some("its issuer is not one that this machine trusts, or is missing from the file".to_owned())
        }
        Err(ChainFault::WrongName) => Some("it is for other names".to_owned()),
        Err(ChainFault::Unusable) => Some("its chain breaks a rule".to_owned()),
    };
    CertificateFact::Read {
        not_after_secs: secs(facts.not_after),
        not_before_secs: secs(facts.not_before),
        // Until an authority has given one, a node that asks for one uses its own.
        self_made: config.tls.is_none() && (config.acme.is_none() || facts.self_signed),
        chain_fault,
    }
}

fn modem(config: &Config, status: Option<&Status>) -> Option<ModemFact> {
    if !config.sms.routes.iter().any(|route| route.name == MODEM) {
        return None;
    }
    Some(match status.and_then(|status| status.modem.as_ref()) {
        Some(modem) => ModemFact::Told { short: modem.in_short(), trouble: modem.trouble() },
        None => machine::modem_ports(config.sms.modem.device.as_deref()),
    })
}

fn providers(config: &Config, sms: Option<&SmsStatus>) -> Vec<ProviderFact> {
    let used =
        config.sms.http.iter().filter(|provider| config.sms.routes.iter().any(|route| route.name == provider.name));
    let fact = |provider: &crate::sms::http::Settings| {
        let route = sms.and_then(|sms| sms.routes.iter().find(|route| route.name == provider.name));
        ProviderFact {
            name: provider.name.clone(),
            resting_secs: route.and_then(|route| route.resting_secs),
            counts: route.map(|route| (route.sent, route.failed)),
        }
    };
    used.map(fact).collect()
}

fn trust(data_dir: &Path) -> TrustFact {
    let mut fact = TrustFact::default();
    let told = |request| ask(data_dir, Request::Trust { request }).map(|asked| asked.reply);
    match told(TrustRequest::List) {
        Ok(Reply::Trust { reply: TrustReply::Nodes { nodes, clock } }) => {
            fact.trusted = nodes.iter().filter(|node| node.state == "TRUSTED").map(|_| 1).sum();
            let flags = nodes.iter().filter(|node| !node.flags.is_empty());
            fact.flagged = flags.map(|node| format!("{}: {}", node.node, node.flags.join(", "))).collect();
            fact.flagged.extend(clock);
        }
        Ok(Reply::Refused { reason }) => fact.fault = Some(format!("{reason} (remedy: kontalk-node trust list)")),
        Ok(_) => {}
        Err(fault) => fact.fault = Some(fault.to_string()),
    }
    fact.card = match told(TrustRequest::Card { make: false }) {
        Ok(Reply::Trust { reply: TrustReply::Card { .. } }) => Some(true),
        Ok(Reply::Refused { .. }) => Some(false),
        _ => None,
    };
    fact
}

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

/// How long a port of this machine may take to answer.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
