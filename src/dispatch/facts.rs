//! How things are, for the operator.

use std::time::Duration;

use crate::phone::ChallengeKind;

/// How things are. Counts are of the present 24 hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Each route, in order.
    pub routes: Vec<RouteFacts>,
    /// Codes that may still go out.
    pub left: u32,
    /// Of these, to other countries, where a home is known.
    pub abroad_left: Option<u32>,
    /// Prefixes that get no codes at present.
    pub prefixes_closed: usize,
    /// The node's own country, if it is known.
    pub home: Option<u16>,
}

/// How a route is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFacts {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: ChallengeKind,
    /// Messages that the network took, or may have taken.
    pub sent: u32,
    /// Those of them that were proved.
    pub verified: u32,
    /// Messages that were not sent.
    pub failed: u32,
    /// Of those sent, nobody knows whether they were.
    pub unknown: u32,
    /// It failed, and is tried last for so long.
    pub resting: Option<Duration>,
    /// In so many countries it may not send.
    pub countries_barred: usize,
    /// Messages whose fate its network promised to report.
    pub reportable: u32,
    /// Those of them that arrived.
    pub arrived: u32,
    /// Those that did not.
    pub not_arrived: u32,
    /// In so many countries too little arrives, and other routes go first.
    pub countries_losing: usize,
    /// Codes it may still send, where it has a budget.
    pub left: Option<u32>,
}
