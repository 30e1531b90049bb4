//! The desk: requests to the node or to an account that the node answers for, each handed to the service that knows it.
//!
//! Services that only state facts are pure and live in [`crate::services`]. One that reads or changes the store has a file here
//! that puts its decisions (a room of their own) together with the store; it says in [`Handled`] what goes out and when.

mod admin;
mod job;
mod kontalk;
mod own_account;

pub(super) use job::Job;

use std::sync::Arc;
use std::time::Instant;

use crate::admin::Console;
use crate::config::Config;
use crate::jid::{BareJid, FullJid, Jid};
use crate::pgp::ServerKey;
use crate::router::{Router, Storage, Ticket};
use crate::services::roster_match::LookupBudget;
use crate::services::{self, Addressee, COMPONENTS, Facts};
use crate::stanza::{Stanza, StanzaError, Timestamp};
use crate::store::Store;
use crate::xml::Element;

/// Everything that services share.
pub(super) struct Desk {
    pub(super) domain: BareJid,
    pub(super) store: Store,
    server_key: Arc<ServerKey>,
    begun: Instant,
    contact: Vec<String>,
    registration: bool,
    lookups: LookupBudget,
    console: Console,
}

/// A request at the desk.
pub(super) struct Request<'a> {
    /// The iq get or set.
    pub(super) stanza: &'a Stanza,
    /// Whom it is addressed to, seen by its sender.
    pub(super) addressee: Addressee,
    /// Has the account it is addressed to an available resource?
    pub(super) available: bool,
    /// The sessions.
    pub(super) router: &'a Router<Store>,
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
    /// What is to be done on another thread; it answers by itself.
    pub(super) job: Option<Job>,
}

impl Handled {
    /// An answer that needs no write.
    pub(super) fn now(answer: Option<Stanza>) -> Handled {
        Handled { stanzas: answer.into_iter().collect(), ..Handled::default() }
    }

    /// A result with this payload, or an error.
    fn outcome(request: &Stanza, outcome: Result<Element, StanzaError>) -> Handled {
        Handled::now(match outcome {
            Ok(payload) => Some(request.result().with_child(payload)),
            Err(error) => request.error(&error),
        })
    }
}

/// A service looks at a request: `None` if it is not for it.
type Service = fn(&mut Desk, &Request<'_>) -> Option<Handled>;

/// In the order they are asked.
const SERVICES: &[Service] =
    &[
    kontalk::roster_match,
    kontalk::server_list,
    kontalk::public_key,
    kontalk::last_activity,
    own_account::register,
    admin::commands,
    admin::disco,
    facts,
];

impl Desk {
    pub(super) fn new(config: &Config, store: Store, server_key: Arc<ServerKey>, begun: Instant) -> Desk {
        Desk {
            domain: config.domain.clone(),
            store,
            server_key,
            begun,
            contact: config.contact.clone(),
            registration: config.registration.enabled,
            lookups: LookupBudget::default(),
            console: Console::new(config.domain.clone(), config.admins.clone()),
        }
    }

    /// Answers a request; every one is answered (RFC 6120 §8.2.3).
    pub(super) fn handle(&mut self, stanza: &Stanza, router: &Router<Store>, now: Timestamp) -> Handled {
        let available = stanza.to().is_some_and(|to| router.is_available(to.bare()));
        let request = Request { stanza, addressee: self.addressee(stanza), available, router, now };
        SERVICES.iter().find_map(|service| service(self, &request)).unwrap_or_default()
    }

    /// The account of ours that asks, and by which session; `None` for others.
    fn asker<'a>(&self, request: &'a Stanza) -> Option<&'a FullJid> {
        let from = request.from()?.full()?;
        (from.bare().domainpart() == self.domain.domainpart() && from.bare().localpart().is_some()).then_some(from)
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
