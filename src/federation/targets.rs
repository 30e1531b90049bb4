//! Where a domain's server is to be looked for, in which order. RFC 2782, RFC 6120 §3.2, RFC 8305 §4, XEP-0368 §3.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRecord {
    /// Lower goes first.
    pub priority: u16,
    /// Among equals, its share.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; `.` or empty: the service is decidedly not there.
    pub target: String,
    /// It is of `_xmpps-server`: TLS from the first byte.
    pub direct_tls: bool,
}

/// A place to dial.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// A host name, or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// TLS from the first byte (XEP-0368), or STARTTLS.
    pub direct_tls: bool,
}

/// The targets in the order they are to be tried, at most `count_max`. Records of both services count as one set (XEP-0368 §3).
/// `random` gives a number from 0 to what it is told, both included. Nothing is left if the domain offers no such service.
pub fn order_targets(records: Vec<ServiceRecord>, count_max: usize, mut random: impl FnMut(u32) -> u32) -> Vec<Target> {
    let mut by_priority: BTreeMap<u16, Vec<ServiceRecord>> = BTreeMap::new();
    for record in records.into_iter().filter(|record| !matches!(record.target.as_str(), "" | ".")) {
        by_priority.entry(record.priority).or_default().push(record);
    }
    let mut targets = Vec::new();
    for mut equals in by_priority.into_values() {
        // RFC 2782: those of weight 0 first, so that they are chosen seldom.
        equals.sort_by_key(|record| record.weight);
        while !equals.is_empty() && targets.len() < count_max {
            let total: u32 = equals.iter().map(|record| u32::from(record.weight)).sum();
            let chosen = random(total).min(total);
            let mut sum = 0;
            let place = equals.iter().position(|record| {
                sum += u32::from(record.weight);
                sum >= chosen
            });
            let record = equals.remove(place.unwrap_or(0));
            let host = record.target.trim_end_matches('.').to_owned();
            targets.push(Target { host, port: record.port, direct_tls: record.direct_tls });
        }
    }
    targets
}

/// Addresses of one host in the order they are to be tried: families take turns, IPv6 begins. RFC 8305 §4.
pub fn interleaved(v6: &[Ipv6Addr], v4: &[Ipv4Addr], count_max: usize) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for place in 0..v6.len().max(v4.len()) {
        addresses.extend(v6.get(place).copied().map(IpAddr::V6));
        addresses.extend(v4.get(place).copied().map(IpAddr::V4));
    }
    addresses.truncate(count_max);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> ServiceRecord {
        ServiceRecord { priority, weight, port: 5269, target: target.to_owned(), direct_tls: false }
    }

    fn hosts(targets: &[Target]) -> Vec<&str> {
        targets.iter().map(|target| target.host.as_str()).collect()
    }

    #[test]
    fn priorities_go_in_order_and_weights_by_lot() {
        let records =
            vec![record(20, 0, "last."), record(10, 60, "big."), record(10, 0, "never."), record(10, 40, "small.")];
        for (lots, expected) in [
            (vec![0, 0, 0, 0], vec!["never", "small", "big", "last"]),
            (vec![41, 1, 0, 0], vec!["big", "small", "never", "last"]),
            (vec![100, 0, 0, 0], vec!["big", "never", "small", "last"]),
            (vec![40, 60, 0, 0], vec!["small", "big", "never", "last"]),
        ] {
            let mut lots = lots.into_iter();
            let targets = order_targets(records.clone(), 8, |_| lots.next().unwrap());
            assert_eq!(hosts(&targets), expected);
        }
        assert_eq!(order_targets(records, 2, |_| 0).len(), 2);
    }

    #[test]
    fn shares_are_those_of_the_weights() {
        let mut state = 1u32;
        let mut random = |limit: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u32::try_from((u64::from(state >> 8) * u64::from(limit + 1)) >> 24).unwrap()
        };
        let records = [record(1, 1, "a"), record(1, 3, "b")];
        let first = (0..4000).filter(|_| order_targets(records.to_vec(), 1, &mut random)[0].host == "b").count();
        // RFC 2782 counts the 0 in, so the lighter has a little more than its share.
        assert!((2300..3100).contains(&first), "{first}");
    }

    #[test]
    fn a_dot_says_that_there_is_no_such_service() {
        assert_eq!(order_targets(vec![record(0, 0, "."), record(0, 0, "")], 8, |_| 0), []);
    }

    #[test]
    fn families_take_turns() {
        let (v6, v4): (Ipv6Addr, Ipv4Addr) = ("2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        let order = interleaved(&[v6, v6], &[v4], 8);
        assert_eq!(order, [IpAddr::V6(v6), IpAddr::V4(v4), IpAddr::V6(v6)]);
        assert_eq!(interleaved(&[v6, v6], &[v4], 2).len(), 2);
    }
}
