//! What name servers say of a node.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::doctor::{NameFact, NameState};
use crate::net::dns::{DnsFault, Resolver, SrvRecord};
use crate::node::random::random_bytes;
use crate::setup::guide::{Reach, Record, records};

/// Each record that should be there with what is, and the addresses of the machines that they name. Asks these servers, or the
/// system's where there are none.
pub(super) fn look_up(reach: &Reach, servers: &[SocketAddr]) -> (Vec<NameFact>, Vec<IpAddr>) {
    let resolver = Resolver::new(servers.to_vec(), || u16::from_be_bytes(random_bytes()));
    smol::block_on(async {
        let mut facts = Vec::new();
        let mut hosts = BTreeSet::new();
        for wanted in records(reach) {
            let Record::Service { name, port, .. } = &wanted else { continue };
            let answer = resolver.services(name).await;
            if let Ok(found) = &answer {
                hosts.extend(found.iter().map(|record| record.target.clone()).filter(|target| !is_nowhere(target)));
            }
            let found = service(answer, *port);
            facts.push(NameFact { wanted, found });
            // One silence is enough to know.
            if facts.iter().any(|fact| fact.found == NameState::NoAnswer) {
                return (facts, Vec::new());
            }
        }
        if hosts.is_empty() || !reach.web.is_empty() {
            hosts.insert(reach.host.clone());
        }
        let mut addresses = Vec::new();
        for host in hosts {
            let mut found: Vec<IpAddr> = Vec::new();
            let (ipv4, ipv6) = (resolver.ipv4(&host).await, resolver.ipv6(&host).await);
            let silent = matches!((&ipv4, &ipv6), (Err(DnsFault::NoAnswer), Err(DnsFault::NoAnswer)));
            found.extend(ipv4.into_iter().flatten().map(IpAddr::from));
            found.extend(ipv6.into_iter().flatten().map(IpAddr::from));
            facts.extend(address(&host, &found, &reach.addresses, silent));
            addresses.extend(found);
        }
        (facts, addresses)
    })
}

fn is_nowhere(target: &str) -> bool {
    target.is_empty() || target == "."
}

/// Any machine will do; the port must be one on which the node listens.
fn service(answer: Result<Vec<SrvRecord>, DnsFault>, port: u16) -> NameState {
    match answer {
        Ok(found) if found.iter().any(|record| record.port == port && !is_nowhere(&record.target)) => {
            NameState::AsWanted
        }
        Ok(found) if !found.is_empty() => {
            let told: Vec<String> = found.iter().map(|record| format!("{} {}", record.target, record.port)).collect();
            NameState::Other(told.join(", "))
        }
        Ok(_) | Err(DnsFault::NoSuchName | DnsFault::NotAName) => NameState::Absent,
        Err(DnsFault::NoAnswer) => NameState::NoAnswer,
    }
}

/// One fact for the machine, or one for each address that the operator wants it to have.
fn address(host: &str, found: &[IpAddr], wanted: &[IpAddr], silent: bool) -> Vec<NameFact> {
    let fact = |address, found| NameFact { wanted: Record::Address { name: host.to_owned(), address }, found };
    if silent {
        return vec![fact(None, NameState::NoAnswer)];
    }
    if wanted.is_empty() {
        return vec![fact(None, if found.is_empty() { NameState::Absent } else { NameState::AsWanted })];
    }
    let state = |address: &IpAddr| match found {
        [] => NameState::Absent,
        found if found.contains(address) => NameState::AsWanted,
        found => NameState::Other(found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    wanted.iter().map(|address| fact(Some(*address), state(address))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_as_wanted_at_any_machine_by_its_port() {
        let record = |port, target: &str| SrvRecord { priority: 0, weight: 5, port, target: target.to_owned() };
        for (answer, state) in [
            (Ok(vec![record(5222, "pi.example")]), NameState::AsWanted),
            (Ok(vec![record(1, "a"), record(5222, "b")]), NameState::AsWanted),
            (Ok(vec![record(5222, ".")]), NameState::Other(". 5222".to_owned())),
            (Ok(vec![record(1, "a")]), NameState::Other("a 1".to_owned())),
            (Ok(vec![]), NameState::Absent),
            (Err(DnsFault::NoSuchName), NameState::Absent),
            (Err(DnsFault::NoAnswer), NameState::NoAnswer),
        ] {
            assert_eq!(service(answer, 5222), state);
        }
    }

    #[test]
    fn addresses_are_compared_with_those_the_operator_wants() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let states = |found: &[IpAddr], wanted: &[IpAddr], silent| {
            address("h", found, wanted, silent).into_iter().map(|fact| fact.found).collect::<Vec<_>>()
        };
        let (a, b) = (ip("192.0.2.1"), ip("2001:db8::1"));
        assert_eq!(states(&[], &[], false), [NameState::Absent]);
        assert_eq!(states(&[a], &[], false), [NameState::AsWanted]);
        assert_eq!(states(&[a], &[a, b], false), [NameState::AsWanted, NameState::Other("192.0.2.1".to_owned())]);
        assert_eq!(states(&[], &[a], true), [NameState::NoAnswer]);
    }
}
