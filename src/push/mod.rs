//! Push: whom to wake when a message waits for a device that is not there, how that is asked for, and what is said. XEP-0357, and
//! Kontalk's registration, which is older.
//!
//! A client names a service that knows how to wake its device. The node tells that service how many messages wait, and nothing
//! else: neither who wrote nor what, nor whose the device is. What the service needs to recognise the device is what the client
//! gave for it: a node and options, a secret among them as a rule; neither is ever printed.
//!
//! A registration belongs to the resource that made it; while that is connected, it is not woken. What a service refuses for good
//! is forgotten ([`Pace::answered`]), what fails for the moment is tried again with the next message, but not for more than a day.
//!
//! Limits: [`limits::PUSH_SERVICES_MAX`] an account, [`limits::PUSH_OPTIONS_BYTES_MAX`], a bucket for each registration
//! ([`limits::PUSH_BURST`], [`limits::PUSH_REFILL`]).

mod notice;
mod pace;
mod request;

pub use notice::publish;
pub use pace::{Pace, Verdict};
pub use request::{KontalkRequest, Request};

use std::fmt;

use crate::jid::Jid;
#[allow(unused_imports)] // The documentation above names it.
use crate::limits;

/// How one device is woken.
#[derive(Clone, PartialEq, Eq)]
pub struct Registration {
    /// The service that wakes it.
    pub service: Jid,
    /// What the service knows it by; may be empty.
    pub node: String,
    /// The resource that it belongs to.
    pub resource: String,
    /// What is to be said to the service with each push: a form, serialised. XEP-0357 §5.
    pub options: Option<String>,
}

impl fmt::Debug for Registration {
    /// Without what only client and service should know.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("service", &self.service).finish_non_exhaustive()
    }
}
