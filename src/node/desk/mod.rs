//! The desk: requests to the node or to an account that the node answers for, each handed to the service that knows it.
//!
//! Services that only state facts are pure and live in [`crate::services`]. One that reads or changes the store has a file here
//! that puts its decisions (a room of their own) together with the store; it says in [`Handled`] what goes out and when.

mod admin;
mod arrivals;
mod discoverable;
mod gossip;
mod job;
mod keys;
mod kontalk;
mod nodes;
mod own_account;
mod pep;
mod personal;
mod push;
mod trust;
mod upload;

pub(super) use job::Job;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use smol::channel::Sender;

use crate::account::Parking;
use crate::admin::Console;
use crate::caps::{self, Hash};
use crate::config::Config;
use crate::jid::{BareJid, FullJid, Jid};
use crate::limits::{self, Buckets};
use crate::node::trust::Trust;
use crate::node::web::Errand;
use crate::pgp::ServerKey;
use crate::router::{Event, Router, Storage, Ticket};
use crate::services::network_match::Lookups;
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
    archive: bool,
    lookups: LookupBudget,
    /// Other nodes' lookups.
    node_lookups: LookupBudget,
    /// Lookups that wait for other nodes.
    abroad: Lookups,
    /// Registrations among them, by the number that names them.
    registrations: BTreeMap<u64, Sender<bool>>,
    next_registration: u64,
    console: Console,
    parking: Arc<Mutex<Parking>>,
    key_changes: Buckets<BareJid>,
    password_changes: Buckets<BareJid>,
    /// What the domain can do, by its hash. XEP-0115.
    own_caps: String,
    /// What clients can do.
    caps: caps::Cache,
    /// Other nodes.
    trust: Option<Arc<Trust>>,
    /// What the router is to be told besides the answers.
    follow_up: Vec<Event>,
    /// Bytes that an uploaded file may have, if files can be uploaded.
    upload_bytes_max: Option<u64>,
    /// Who hands out upload slots.
    upload_clerk: Option<Sender<Errand>>,
    /// Who is woken.
    push: push::Waking,
    /// The domains of the components that are connected.
    pub(super) components: Vec<BareJid>,
}

/// A request at the desk.
pub(super) struct Request<'a> {
    /// The iq get or set.
    pub(super) stanza: &'a Stanza,
    /// Whom it is addressed to, seen by its sender.
    pub(super) addressee: Addressee,
    /// The addressee blocks the sender, who must not notice.
    pub(super) blocked: bool,
    /// Who is there.
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
const SERVICES: &[Service] = &[
    keys::key_forms,
    kontalk::roster_match,
    kontalk::server_list,
    kontalk::public_key,
    kontalk::last_activity,
    own_account::register,
    discoverable::command,
    admin::commands,
    admin::disco,
    pep::pubsub,
    personal::vcard,
    personal::private,
    nodes::nodes,
    upload::slot,
    push::push,
    push::kontalk,
    push::kontalk_sender,
    trust::introduction,
    gossip::gossip,
    facts,
];

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
            archive: !config.archive.ttl.is_zero(),
            lookups: LookupBudget::default(),
            node_lookups: LookupBudget::of_nodes(),
            abroad: Lookups::default(),
            registrations: BTreeMap::new(),
            next_registration: 0,
            console: Console::new(config.domain.clone(), config.admins.clone()),
            parking,
            key_changes: Buckets::new(limits::THROTTLE_ENTRIES_MAX, KEY_CHANGES_AT_ONCE, KEY_CHANGE_REFILL),
            password_changes: Buckets::new(limits::THROTTLE_ENTRIES_MAX, KEY_CHANGES_AT_ONCE, KEY_CHANGE_REFILL),
            own_caps: own_caps(config),
            caps: caps::Cache::default(),
            trust: None,
            follow_up: Vec::new(),
            upload_bytes_max: config.upload_bytes_max(),
            upload_clerk: None,
            components: Vec::new(),
            push: push::Waking::new(config),
        }
    }

    /// Requests for upload slots go to this clerk.
    pub(super) fn set_upload_clerk(&mut self, clerk: Option<Sender<Errand>>) {
        self.upload_clerk = clerk;
    }

    /// An account has ended or has a new owner.
    pub(super) fn account_ended(&self) {
        if let Some(clerk) = &self.upload_clerk {
            // One who is that busy will sweep within the hour.
            let _ = clerk.try_send(Errand::AccountEnded);
        }
    }

    /// Whom it introduces to other nodes.
    pub(super) fn set_trust(&mut self, trust: Option<Arc<Trust>>) {
        self.trust = trust;
    }

    /// Answers a request; every one is answered (RFC 6120 §8.2.3).
    pub(super) fn handle(&mut self, stanza: &Stanza, now: Timestamp, router: &Router<Store>) -> Handled {
        let blocked = self.is_blocked(stanza);
        let addressee = if blocked { Addressee::Stranger } else { self.addressee(stanza) };
        let request = Request { stanza, addressee, blocked, router, now };
        SERVICES.iter().find_map(|service| service(self, &request)).unwrap_or_default()
    }

    /// The session of ours that asks; `None` for others.
    fn own_session<'a>(&self, request: &'a Stanza) -> Option<&'a FullJid> {
        let from = request.from()?.full()?;
        (from.bare().domainpart() == self.domain.domainpart() && from.bare().localpart().is_some()).then_some(from)
    }

    /// What the router is to be told besides the answers; once.
    pub(super) fn take_follow_up(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.follow_up)
    }

    /// XEP-0191 §3.3: an account that blocks the sender looks like none.
    fn is_blocked(&self, request: &Stanza) -> bool {
        let (Some(to), Some(from)) = (request.to().map(Jid::bare), request.from()) else { return false };
        to.localpart().is_some()
            && to != from.bare()
            && self.store.block_list(to).is_ok_and(|list| !list.blocked.is_empty() && list.blocks(from))
    }

    /// Is the address one of this node's domain?
    fn is_ours(&self, jid: &BareJid) -> bool {
        jid.domainpart() == self.domain.domainpart()
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
        caps: desk.own_caps.clone(),
        archive: desk.archive,
        upload_bytes_max: desk.upload_bytes_max,
        components: desk.components.clone(),
        kontalk_push: desk.push.is_kontalks(),
        administrator: desk.administrator(request).is_some(),
        now: request.now,
    };
    Some(Handled::now(services::answer(request.stanza, request.addressee, &facts)))
}

/// The hash of what the domain answers to disco#info. XEP-0115 §5.
pub(super) fn own_caps(config: &Config) -> String {
    let facts = Facts {
        domain: config.domain.clone(),
        contact: config.contact.clone(),
        registration: config.registration.enabled,
        caps: String::new(),
        archive: false,
        upload_bytes_max: config.upload_bytes_max(),
        components: Vec::new(),
        kontalk_push: config.push.is_some(),
        administrator: false,
        now: Timestamp { millis: 0 },
    };
    caps::verification(&services::domain_info(&facts), Hash::Sha1).unwrap_or_default()
}

/// New keys of one account at once, or new passwords, and how long until one more.
const KEY_CHANGES_AT_ONCE: u32 = 5;
const KEY_CHANGE_REFILL: Duration = Duration::from_secs(10 * 60);
