//! The edge: does a key's certification hold? The same rule for a node that certifies a node, and a node that certifies a user.
//!
//! Only the issuer's own signatures are compared with each other, by the times that they bear and without any "now", so that a clock
//! that is set back does not bring back what was revoked. The present matters for expiry alone.

use std::fmt;
use std::time::Duration;

use crate::pgp::Statements;
use crate::stanza::Timestamp;

/// A certification that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// When it was made.
    pub since: Timestamp,
    /// When it ends by itself; `None`: never.
    pub expires: Option<Timestamp>,
}

/// Why none holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeFault {
    /// There is none.
    NotCertified,
    /// It was taken back at this time, and not given again later.
    Revoked(Timestamp),
    /// It ended at this time.
    Expired(Timestamp),
}

impl fmt::Display for EdgeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EdgeFault::NotCertified => f.write_str("it is not certified"),
            EdgeFault::Revoked(at) => write!(f, "its certification was revoked on {at}"),
            EdgeFault::Expired(at) => write!(f, "its certification ended on {at}"),
        }
    }
}

impl std::error::Error for EdgeFault {}

/// Does the newest of these statements certify, later than every revocation, and not expired?
pub fn edge(own: &Statements, now: Timestamp) -> Result<Edge, EdgeFault> {
    let newest = own.certifications.iter().max_by_key(|certified| certified.at);
    let revoked = own.revocations.iter().max().copied();
    match (newest, revoked) {
        (None, None) => Err(EdgeFault::NotCertified),
        // Times are whole seconds: at the same one the revocation counts, for locking out is the safe side.
        (Some(certified), Some(revoked)) if revoked >= certified.at => Err(EdgeFault::Revoked(revoked)),
        (None, Some(revoked)) => Err(EdgeFault::Revoked(revoked)),
        (Some(certified), _) => match certified.expires {
            Some(expires) if expires <= now => Err(EdgeFault::Expired(expires)),
            expires => Ok(Edge { since: certified.at, expires }),
        },
    }
}

/// The time that the next signature must bear to count: now, and later than all that were made before.
pub fn issue_time(own: &Statements, now: Timestamp) -> Timestamp {
    let made = own.certifications.iter().map(|certified| certified.at).chain(own.revocations.iter().copied());
    let after = made.max().map(|newest| newest.plus(Duration::from_secs(1)));
    after.map_or(now, |after| now.max(after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pgp::Certified;

    fn at(secs: u64) -> Timestamp {
        Timestamp { millis: secs * 1000 }
    }

    fn statements(certifications: &[(u64, Option<u64>)], revocations: &[u64]) -> Statements {
        let certified = |(made, expires): &(u64, Option<u64>)| Certified {
            at: at(*made),
            expires: expires.map(at),
            level: 3,
            reset: None,
        };
        Statements {
            certifications: certifications.iter().map(certified).collect(),
            revocations: revocations.iter().map(|secs| at(*secs)).collect(),
        }
    }

    #[test]
    fn the_newest_word_counts_whatever_the_clock_says() {
        // Certified, revoked, and what comes out at each of these times: a clock that is right, and one set back before either.
        for (certified, revoked, held) in [
            (&[100][..], &[][..], true),
            (&[100], &[99], true),
            (&[100], &[100], false),
            (&[100], &[101], false),
            (&[100, 102], &[101], true),
            (&[100, 102], &[101, 102], false),
            (&[102, 100], &[101], true),
            (&[], &[101], false),
            (&[], &[], false),
        ] {
            let certifications: Vec<(u64, Option<u64>)> = certified.iter().map(|secs| (*secs, Some(10_000))).collect();
            let own = statements(&certifications, revoked);
            for now in [0, 50, 100, 101, 9_999] {
                assert_eq!(edge(&own, at(now)).is_ok(), held, "{certified:?} {revoked:?} at {now}");
            }
            assert!(edge(&own, at(10_000)).is_err(), "{certified:?} {revoked:?} when it has expired");
        }
    }

    #[test]
    fn the_newest_certification_counts_though_an_older_one_lasts_longer() {
        let own = statements(&[(100, None), (200, Some(300))], &[]);
        assert_eq!(edge(&own, at(250)), Ok(Edge { since: at(200), expires: Some(at(300)) }));
        assert_eq!(edge(&own, at(300)), Err(EdgeFault::Expired(at(300))));
    }

    #[test]
    fn the_next_signature_is_later_than_all_before() {
        assert_eq!(issue_time(&Statements::default(), at(50)), at(50));
        assert_eq!(issue_time(&statements(&[(100, None)], &[120]), at(50)), at(121));
        assert_eq!(issue_time(&statements(&[(100, None)], &[20]), at(100)), at(101));
        assert_eq!(issue_time(&statements(&[(100, None)], &[20]), at(500)), at(500));
    }
}
