//! One challenge on its way: what is wanted, by which routes, how it went.

use std::time::Duration;

use crate::jid::BareJid;
use crate::phone::{KeyedHash, PhoneNumber};

/// What a client wants.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The number.
    pub number: &'a PhoneNumber,
    /// The account's address to be.
    pub address: &'a BareJid,
    /// The client waited in vain and asks for another way.
    pub fallback: bool,
    /// The challenge it prefers; what is not known is no error.
    pub challenge: Option<&'a str>,
}

/// A challenge on its way: by which route, and what comes after it.
#[derive(Debug)]
pub struct Trip {
    pub(super) address: KeyedHash,
    pub(super) country: u16,
    pub(super) abroad: bool,
    pub(super) block: KeyedHash,
    pub(super) wide: Option<KeyedHash>,
    /// The route in use, then those that are left.
    pub(super) routes: Vec<usize>,
    pub(super) legs_left: u8,
    pub(super) had: Vec<usize>,
    /// Of these, routes whose message did not arrive.
    pub(super) lost: Vec<usize>,
}

impl Trip {
    /// The index of the route in use, as in [`Plan::routes`].
    pub fn route(&self) -> usize {
        self.routes.first().copied().unwrap_or_default()
    }

    /// Could the client ask for another way, if this one brings nothing? Kontalk registration: can-fallback.
    pub fn can_fall_back(&self) -> bool {
        self.routes.iter().skip(1).any(|route| !self.had.contains(route))
    }
}

/// How sending by one route went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The network took it, or there was nothing to send.
    Accepted,
    /// It was certainly not sent.
    Refused,
    /// Not sent, and the route wants to be left alone for so long.
    Busy(Duration),
    /// Not sent, since the operator must do something first.
    NotAllowed,
    /// Nobody knows.
    Unknown,
    /// Nobody knows, and what may come is good for nothing: a provider's code whose verification has no name. Nothing is tried
    /// again blindly, and the user is told.
    Lost,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The user can be asked for his answer.
    Done,
    /// Try again, by [`Trip::route`], which is another now.
    Another,
    /// No route is left, and nothing was sent; or what was sent is lost.
    Failed,
}

/// Why nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Numbers of this country are not served, or no route reaches them.
    Country,
    /// Codes to numbers that begin alike were not used, or there were too many.
    Prefix(Duration),
    /// The day's codes are used up.
    Budget(Duration),
    /// All routes that reach the number may not be used for a while.
    Routes(Duration),
}
