//! Who votes on an epoch, how many must agree, whose turn it is to propose, and how patient a round is.

use std::fmt;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::message::Voter;
use crate::vote::threshold::{one_honest, quorum};

/// Voters of one network. Everybody counts everybody's votes; more than this is a network of associates.
pub const VOTERS_MAX: usize = 1024;
/// No round is waited for longer than this in one phase.
pub const PATIENCE_MAX: Duration = Duration::from_secs(3600);

/// How long a phase of a round lasts that began with `first`: longer with each round, up to [`PATIENCE_MAX`].
pub fn patience(first: Duration, round: u32) -> Duration {
    first.saturating_mul(round.saturating_add(1)).min(PATIENCE_MAX)
}

/// The voters of the parent epoch's state, in its order, and what the turns are drawn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Electorate {
    parent: [u8; 32],
    kids: Vec<[u8; 32]>,
}

/// These are no voters of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectorateError {
    /// There is nobody.
    Empty,
    /// There are more than [`VOTERS_MAX`].
    TooMany,
    /// Two have the same key.
    Twice,
}

impl fmt::Display for ElectorateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no voter"),
            Self::TooMany => write!(f, "there are more than {VOTERS_MAX} voters"),
            Self::Twice => f.write_str("two voters have the same key"),
        }
    }
}

impl std::error::Error for ElectorateError {}

impl Electorate {
    /// The voters with these key ids (SHA-256 each), in the state's order, after the epoch with the id `parent`. An error for
    /// nobody, for more than [`VOTERS_MAX`] and for a key that is there twice.
    pub fn new(parent: [u8; 32], kids: Vec<[u8; 32]>) -> Result<Self, ElectorateError> {
        if kids.is_empty() {
            return Err(ElectorateError::Empty);
        }
        if kids.len() > VOTERS_MAX {
            return Err(ElectorateError::TooMany);
        }
        let mut sorted: Vec<_> = kids.iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != kids.len() {
            return Err(ElectorateError::Twice);
        }
        Ok(Self { parent, kids })
    }

    /// How many there are, 1 to [`VOTERS_MAX`].
    pub fn n(&self) -> usize {
        self.kids.len()
    }

    /// q(n).
    pub fn quorum(&self) -> usize {
        quorum(self.n())
    }

    /// n − q(n) + 1.
    pub fn weak_quorum(&self) -> usize {
        one_honest(self.n())
    }

    /// The voter with this key id.
    pub fn find(&self, kid: &[u8; 32]) -> Option<Voter> {
        self.kids.iter().position(|one| one == kid).and_then(|at| u16::try_from(at).ok()).map(Voter)
    }

    /// The key id of a voter.
    pub fn kid(&self, voter: Voter) -> Option<&[u8; 32]> {
        self.kids.get(usize::from(voter.0))
    }

    /// All voters.
    pub fn voters(&self) -> impl Iterator<Item = Voter> + use<> {
        (0..self.kids.len()).filter_map(|at| u16::try_from(at).ok()).map(Voter)
    }

    /// Whose turn it is: the smallest SHA-256 of (`kontalk-proposer-v1` and a zero byte, parent, round, key id). Nobody can choose
    /// it, everybody can compute it.
    pub fn proposer(&self, round: u32) -> Voter {
        let turn = |kid: &[u8; 32]| -> [u8; 32] {
            let mut hash = Sha256::new();
            hash.update(b"kontalk-proposer-v1\0");
            hash.update(self.parent);
            hash.update(round.to_be_bytes());
            hash.update(kid);
            hash.finalize().into()
        };
        let first = self.voters().zip(&self.kids).min_by_key(|(_, kid)| turn(kid));
        first.map_or(Voter(0), |(voter, _)| voter)
    }
}
