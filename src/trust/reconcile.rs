//! The reconciler: what our signatures must be, given what was decided. It runs after every change, at start, and now and then, for
//! certifications end by themselves.

use std::time::Duration;

use super::domain::NodeDomain;
use super::edge::{EdgeFault, edge};
use super::peer::{End, State, Why};
use crate::pgp::{KeyFault, Statements};
use crate::stanza::Timestamp;

/// One node as it stands.
#[derive(Clone, Debug)]
pub struct Situation {
    /// Which.
    pub domain: NodeDomain,
    /// What was decided.
    pub state: State,
    /// What we have signed on its key.
    pub own: Statements,
    /// Is its key good?
    pub key: Result<(), KeyFault>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Certify its key, for the first time or because the certification ends soon.
    Certify(Why),
    /// Take the certification back.
    Revoke,
    /// We revoked it once and forgot that it was decided: it is revoked.
    Forget,
    /// Its owner revoked its key: it is revoked.
    KeyRevoked,
    /// End the sessions of its users.
    Kill(End),
}

/// What makes signatures and sessions agree with what was decided; nothing where they do.
pub fn reconcile<'a>(
    nodes: impl IntoIterator<Item = &'a Situation>,
    now: Timestamp,
) -> impl Iterator<Item = (&'a NodeDomain, Act)> {
    nodes.into_iter().flat_map(move |node| acts(node, now).into_iter().map(|act| (&node.domain, act)))
}

fn acts(node: &Situation, now: Timestamp) -> Vec<Act> {
    let holds = edge(&node.own, now);
    if !node.state.is_certified() {
        return match holds {
            // Expired ones too: with a clock set back they would count again.
            Ok(_) | Err(EdgeFault::Expired(_)) => vec![Act::Revoke, Act::Kill(end_of(node.state))],
            Err(EdgeFault::NotCertified | EdgeFault::Revoked(_)) => Vec::new(),
        };
    }
    match (&node.key, holds) {
        (Err(KeyFault::Revoked), _) => vec![Act::KeyRevoked],
        // It may be good again tomorrow, with a new self-signature.
        (Err(_), _) => vec![Act::Kill(End::Expired)],
        (Ok(()), Err(EdgeFault::Revoked(_))) => vec![Act::Forget],
        (Ok(()), Err(EdgeFault::NotCertified)) => match node.state {
            State::Trusted(why) => vec![Act::Certify(why)],
            _ => vec![Act::Kill(End::Suspended)],
        },
        (Ok(()), Err(EdgeFault::Expired(_))) => match node.state {
            State::Trusted(Why::Network) => vec![Act::Certify(Why::Network)],
            // What a person compared, a person compares again.
            _ => vec![Act::Kill(End::Expired)],
        },
        (Ok(()), Ok(edge)) => match (node.state, edge.expires) {
            (State::Suspended, _) => vec![Act::Kill(End::Suspended)],
            (State::Trusted(Why::Network), Some(expires)) if expires < now.plus(RENEW_BEFORE) => {
                vec![Act::Certify(Why::Network)]
            }
            _ => Vec::new(),
        },
    }
}

fn end_of(state: State) -> End {
    match state {
        State::Denied => End::Denied,
        _ => End::Revoked,
    }
}

/// How long a certification by the operator's word is good.
pub const VALID_BY_OPERATOR: Duration = Duration::from_secs(400 * 24 * 3600);
/// How long one by the network's decision is good.
pub const VALID_BY_NETWORK: Duration = Duration::from_secs(100 * 24 * 3600);
/// When the latter is renewed.
pub const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);
/// When the operator is told that the former ends.
pub const WARN_BEFORE: Duration = Duration::from_secs(14 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pgp::Certified;

    const DAY: u64 = 86_400;
    const OPERATOR: State = State::Trusted(Why::Operator);
    const NETWORK: State = State::Trusted(Why::Network);

    fn at(day: u64) -> Timestamp {
        Timestamp { millis: day * DAY * 1000 }
    }

    /// Certified on day 100 for 100 days, and revoked on these.
    fn own(certified: bool, revoked: &[u64]) -> Statements {
        let certification = Certified { at: at(100), expires: Some(at(200)), level: 0, reset: None };
        Statements {
            certifications: certified.then_some(certification).into_iter().collect(),
            revocations: revoked.iter().map(|day| at(*day)).collect(),
        }
    }

    #[test]
    fn signatures_follow_what_was_decided() {
        let good = Ok(());
        for (state, own, key, day, expected) in [
            (OPERATOR, own(true, &[]), good, 120, &[][..]),
            (OPERATOR, own(false, &[]), good, 120, &[Act::Certify(Why::Operator)]),
            (OPERATOR, own(true, &[]), good, 200, &[Act::Kill(End::Expired)]),
            (OPERATOR, own(true, &[110]), good, 120, &[Act::Forget]),
            (OPERATOR, own(true, &[]), Err(KeyFault::Revoked), 120, &[Act::KeyRevoked]),
            (OPERATOR, own(true, &[]), Err(KeyFault::Expired), 120, &[Act::Kill(End::Expired)]),
            (NETWORK, own(true, &[]), good, 169, &[]),
            (NETWORK, own(true, &[]), good, 171, &[Act::Certify(Why::Network)]),
            (NETWORK, own(true, &[]), good, 300, &[Act::Certify(Why::Network)]),
            (State::Suspended, own(true, &[]), good, 120, &[Act::Kill(End::Suspended)]),
            (State::Grace { left_secs: 1 }, own(true, &[]), good, 120, &[]),
            (State::Revoked, own(true, &[]), good, 120, &[Act::Revoke, Act::Kill(End::Revoked)]),
            (State::Revoked, own(true, &[]), good, 300, &[Act::Revoke, Act::Kill(End::Revoked)]),
            (State::Revoked, own(true, &[110]), good, 120, &[]),
            // The clock was set back before either.
            (State::Revoked, own(true, &[110]), good, 1, &[]),
            (State::Denied, own(true, &[]), good, 120, &[Act::Revoke, Act::Kill(End::Denied)]),
            (State::Denied, own(false, &[]), good, 120, &[]),
            (State::Seen, own(false, &[]), good, 120, &[]),
        ] {
            let node = Situation { domain: NodeDomain::parse("a.example").unwrap(), state, own, key };
            let acts: Vec<Act> = reconcile([&node], at(day)).map(|(_, act)| act).collect();
            assert_eq!(acts, expected, "{node:?} on day {day}");
        }
    }
}
