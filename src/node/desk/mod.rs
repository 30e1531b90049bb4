//! The desk: requests to the node or to an account that the node answers for, each handed to the service that knows it.
//!
//! Services that only state facts are pure and live in [`crate::services`]. One that reads or changes the store has a file here
//! that puts its decisions (a room of their own) together with the store; it says in [`Handled`] what goes out and when.

mod keys;
mod kontalk;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::account::Parking;
use crate::config::Config;
use crate::jid::{BareJid, Jid};
use crate::limits::{self, Buckets};
use crate::pgp::ServerKey;
use crate::router::{Storage, Ticket};
use crate::services::roster_match::LookupBudget;
use crate::services::{self, Addressee, COMPONENTS, Facts};
use crate::stanza::{Stanza, Timestamp};
use crate::store::Store;

/// Everything that services share.
pub(super) struct Desk {
    pub(super) domain: BareJid,
    pub(super) store: Store,
    server_key: Arc<ServerKey>,
    begun: Instant,
    contact: Vec<String>,
    registration: bool,
    lookups: LookupBudget,
    parking: Arc<Mutex<Parking>>,
    key_changes: Buckets<BareJid>,
}

/// A request at the desk.
pub(super) struct Request<'a> {
    /// The iq get or set.
    pub(super) stanza: &'a Stanza,
    /// Whom it is addressed to, seen by its sender.
    pub(super) addressee: Addressee,
    /// Has the account it is addressed to an available resource?
    pub(super) available: bool,
    /// Now.
    pub(super) now: Timestamp,
}

/// What becomes of a request.
#[derive(Debug, Default)]
pub(super) struct Handled {
    /// Stanzas to route, in order: the answer, and whatever others are told.
    pub(super) stanzas: Vec<Stanza>,
    /// They go out when this write is durable; at once if there is none.
    pub(super) after: Option<Ticket>,
}

impl Handled {
    /// An answer that needs no write.
    pub(super) fn now(answer: Option<Stanza>) -> Handled {
        Handled { stanzas: answer.into_iter().collect(), after: None }
    }
}

/// A service looks at a request: `None` if it is not for it.
type Service = fn(&mut Desk, &Request<'_>) -> Option<Handled>;

/// In the order they are asked.
const SERVICES: &[Service] =
    &[keys::key_forms, kontalk::roster_match, kontalk::server_list, kontalk::public_key, kontalk::last_activity, facts];

impl Desk {
    pub(super) fn new(
        config: &Config,
        store: Store,
        server_key: Arc<ServerKey>,
        parking: Arc<Mutex<Parking>>,
        begun: Instant,
    ) -> Desk {
        Desk {
            domain: config.domain.clone(),
            store,
            server_key,
            begun,
            contact: config.contact.clone(),
            registration: config.registration.enabled,
            lookups: LookupBudget::default(),
            parking,
            key_changes: Buckets::new(limits::THROTTLE_ENTRIES_MAX, KEY_CHANGES_AT_ONCE, KEY_CHANGE_REFILL),
        }
    }

    /// Answers a request; every one is answered (RFC 6120 §8.2.3).
    pub(super) fn handle(&mut self, stanza: &Stanza, available: bool, now: Timestamp) -> Handled {
        let request = Request { stanza, addressee: self.addressee(stanza), available, now };
        SERVICES.iter().find_map(|service| service(self, &request)).unwrap_or_default()
    }

    fn addressee(&self, request: &Stanza) -> Addressee {
        let (Some(to), Some(from)) = (request.to().map(Jid::bare), request.from_bare()) else {
            return Addressee::Stranger;
        };
        if *to == self.domain {
            return Addressee::Domain;
        }
        if to.localpart().is_some_and(|name| COMPONENTS.contains(&name)) {
            return Addressee::Component;
        }
        if to == from {
            return Addressee::OwnAccount;
        }
        // RFC 6121 §8.5.2.1.3 with the rule of presence: who may see when somebody is there may see that he exists.
        match self.store.entry(to, from) {
            Ok(entry) if entry.subscription().seen_by_contact() => Addressee::Contact,
            _ => Addressee::Stranger,
        }
    }
}

/// What needs no store; also the answer to what nobody knows.
fn facts(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let facts = Facts {
        domain: desk.domain.clone(),
        contact: desk.contact.clone(),
        registration: desk.registration,
        now: request.now,
    };
    Some(Handled::now(services::answer(request.stanza, request.addressee, &facts)))
}

/// New keys of one account at once, and how long until one more.
const KEY_CHANGES_AT_ONCE: u32 = 5;
const KEY_CHANGE_REFILL: Duration = Duration::from_secs(10 * 60);
