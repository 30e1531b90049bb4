//! Freshness: may trust be used now, or could the network have banned somebody while this node was away?
//!
//! Times are running times of this node, which stand still while it is off: no clock that can be set is asked. A node that returns, or
//! that is cut off, lets no visitors in until it has compared heads with enough voters.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::threshold::one_honest;
use crate::trust::NodeDomain;

/// When heads were compared, and what came of it. One entry for each voter.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    heads: BTreeMap<NodeDomain, (Duration, u64)>,
}

/// Why trust must not be used for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Too few other voters were heard within [`FRESH_FOR`].
    Unheard {
        /// With so many heads were compared.
        heard: usize,
        /// So many are needed.
        needed: usize,
    },
    /// A voter knows of later epochs than we.
    Behind {
        /// The number of the latest that is known of.
        number: u64,
    },
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stale::Unheard { heard, needed } => write!(
                f,
                "heads were compared with {heard} of the {needed} voters that are needed within a day (remedy: wait, or look \
                 whether this node reaches others)"
            ),
            Stale::Behind { number } => {
                write!(f, "the network is at epoch {number}, which is not here yet (remedy: wait)")
            }
        }
    }
}

impl std::error::Error for Stale {}

impl Compared {
    /// At this running time, this voter's last epoch had this number.
    pub fn heard(&mut self, voter: NodeDomain, at: Duration, number: u64) {
        self.heads.insert(voter, (at, number));
    }

    /// Forgets those who vote no more; so there are never more entries than voters.
    pub fn keep(&mut self, is_voter: impl Fn(&NodeDomain) -> bool) {
        self.heads.retain(|domain, _| is_voter(domain));
    }

    /// May trust be used at this running time? `voters` decide, ourselves included if we do; our last epoch is `number`.
    pub fn judge<'a>(
        &self,
        voters: impl Iterator<Item = &'a NodeDomain>,
        own: &NodeDomain,
        now: Duration,
        number: u64,
    ) -> Result<(), Stale> {
        let (mut count, mut others, mut heard, mut latest) = (0, 0, 0, number);
        for voter in voters {
            count += 1;
            if voter == own {
                continue;
            }
            others += 1;
            let Some((at, theirs)) = self.heads.get(voter) else { continue };
            if now.saturating_sub(*at) <= FRESH_FOR {
                heard += 1;
                latest = latest.max(*theirs);
            }
        }
        // Of so many voters at least one keeps to the rules; who votes alone has nobody to ask.
        let needed = one_honest(count).min(others);
        if heard < needed {
            return Err(Stale::Unheard { heard, needed });
        }
        if latest > number { Err(Stale::Behind { number: latest }) } else { Ok(()) }
    }
}

/// How long a comparison of heads is good, in running time.
pub const FRESH_FOR: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<NodeDomain> {
        (0..n).map(|at| NodeDomain::parse(&format!("n{at}.example")).unwrap()).collect()
    }

    #[test]
    fn so_many_heads_must_have_been_compared_within_a_day() {
        let hour = Duration::from_secs(3600);
        // Voters, and how many others a voter must have heard, and how many somebody else.
        for (n, as_voter, as_other) in [
            (1, 0, 1),
            (2, 1, 1),
            (3, 1, 1),
            (4, 2, 2),
            (5, 2, 2),
            (6, 2, 2),
            (7, 3, 3),
            (8, 3, 3),
            (9, 3, 3),
            (10, 4, 4),
        ] {
            let voters = names(n);
            let other = NodeDomain::parse("other.example").unwrap();
            for (own, needed, peers) in [(&voters[0], as_voter, &voters[1..]), (&other, as_other, &voters[..])] {
                let mut compared = Compared::default();
                for heard in 0..=needed {
                    let judged = compared.judge(voters.iter(), own, hour * 30, 7);
                    let stale = Stale::Unheard { heard, needed };
                    assert_eq!(judged, if heard < needed { Err(stale) } else { Ok(()) }, "{n} voters");
                    if let Some(peer) = peers.get(heard) {
                        compared.heard(peer.clone(), hour * 6, 7);
                    }
                }
                if needed > 0 {
                    let late = hour * 30 + Duration::from_secs(1);
                    assert!(compared.judge(voters.iter(), own, late, 7).is_err(), "a day and a second later");
                }
            }
        }
    }

    #[test]
    fn who_is_behind_waits_and_who_is_ahead_does_not() {
        let voters = names(4);
        let mut compared = Compared::default();
        let now = Duration::from_secs(60);
        compared.heard(voters[1].clone(), now, 6);
        compared.heard(voters[2].clone(), now, 8);
        let judge = |compared: &Compared, number| compared.judge(voters.iter(), &voters[0], now, number);
        assert_eq!(judge(&compared, 7), Err(Stale::Behind { number: 8 }));
        assert_eq!(judge(&compared, 8), Ok(()));
        compared.keep(|domain| *domain != voters[2]);
        assert_eq!(judge(&compared, 7), Err(Stale::Unheard { heard: 1, needed: 2 }));
        // Strangers' heads do not count.
        compared.heard(NodeDomain::parse("x.example").unwrap(), now, 99);
        assert_eq!(judge(&compared, 7), Err(Stale::Unheard { heard: 1, needed: 2 }));
    }
}
