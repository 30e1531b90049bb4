//! What waits for other domains and what is under way to them. XEP-0198 §4, RFC 6120 §10.4.
//!
//! Each [`Pair`] of domains has one queue. While it holds something and no stream is there, somebody is told to dial
//! ([`Effect::Dial`]), one at a time per pair, later after each failure. A stream takes stanzas out ([`Queues::next`]); they stay
//! as *unconfirmed* until the peer confirms them: by an acknowledgement (XEP-0198), by the answer to a ping that was sent behind
//! them (XEP-0199), or by closing its stream in order. If the stream breaks they are sent again on the next one, so a peer may see
//! a message twice, with the same id; a request is answered with an error instead.
//!
//! **Nothing is lost silently.** What cannot be delivered in the time allowed is answered with an error. What a client waits for
//! an acknowledgement of, and no peer has confirmed within [`limits::ACK_PATIENCE`], is written to the store, and so is whatever
//! waits when the node stops.
//!
//! Limits: `S2S_QUEUE_*` per pair and in total, ages by kind.

mod item;
mod link;

pub use item::{Outgoing, OutgoingId};
pub use link::{Confirmation, Sent};

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use super::{Class, Pair, PeerFault, PingNumber, Refusal};
use crate::jid::BareJid;
use crate::limits::{self, Backoff};
use crate::router::{LinkId, Now, Receipt};
use crate::stanza::{Stanza, StanzaCondition, StanzaError};
use item::{Cargo, Item};
use link::Link;

/// Why no stream came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialFault {
    /// The name servers know of no such domain.
    NoSuchDomain,
    /// The domain says that it has no XMPP server.
    NoService,
    /// The name servers do not answer, or not sensibly.
    NoNameServer,
    /// No address of it takes a connection.
    Unreachable,
    /// No TLS came about.
    Tls,
    /// The negotiation failed.
    Peer(PeerFault),
}

impl DialFault {
    /// Is it useless to try again soon?
    fn is_lasting(&self) -> bool {
        if *self == DialFault::Peer(PeerFault::Refused(Refusal::OtherKey)) {
            // A node with a new key, which will say so shortly.
            return false;
        }
        matches!(
            self,
            DialFault::NoSuchDomain
                | DialFault::NoService
                | DialFault::Peer(
                    PeerFault::NoTls | PeerFault::Refused(_) | PeerFault::NoMechanism | PeerFault::NotBelieved(_)
                )
        )
    }

    fn to_error(&self) -> StanzaError {
        let condition = match self.is_lasting() {
            // RFC 6120 §8.3.3.16.
            true => StanzaCondition::RemoteServerNotFound,
            // RFC 6120 §8.3.3.17.
            false => StanzaCondition::RemoteServerTimeout,
        };
        StanzaError::new(condition).text(self.to_string())
    }
}

impl fmt::Display for DialFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialFault::NoSuchDomain => f.write_str("there is no such domain"),
            DialFault::NoService => f.write_str("the domain has no XMPP server"),
            DialFault::NoNameServer => f.write_str("its name cannot be looked up"),
            DialFault::Unreachable => f.write_str("its server cannot be reached"),
            DialFault::Tls => f.write_str("its server does not complete TLS"),
            DialFault::Peer(fault) => write!(f, "its server: {fault}"),
        }
    }
}

/// What is to be done by whoever holds the queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Dial for this pair, and tell [`Queues::attach`] or [`Queues::dial_failed`].
    Dial(Pair),
    /// A stanza is safe.
    Taken(Receipt),
    /// Route this error to the sender of a stanza that could not be delivered.
    Answer(Stanza),
    /// Write the item to the store, if [`Queues::to_store`] still gives it.
    Store(Pair, u64),
    /// The store need not keep this any longer.
    Forget(OutgoingId),
}

/// A stanza that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The stanza as it came.
    pub stanza: Box<Stanza>,
    /// Why, for its sender.
    pub error: StanzaError,
}

/// All queues to other domains.
#[derive(Debug)]
pub struct Queues {
    pairs: HashMap<Pair, Queue>,
    links: HashMap<LinkId, Pair>,
    effects: VecDeque<Effect>,
    /// All stanzas, waiting and unconfirmed.
    stanzas: usize,
    /// Bytes of the same.
    bytes: usize,
    was_quiet: bool,
    dials: usize,
    next_item: u64,
    age_max: Duration,
    closing: bool,
    stopped: bool,
}

/// One pair's queue.
#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Item>,
    /// Streams that we may send on; the first is used, the others wait for its end.
    links: Vec<Link>,
    dial: Dial,
    backoff: Backoff,
    stanzas: usize,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dial {
    Idle,
    UnderWay,
    NotBefore(Instant),
}

impl Queues {
    /// Empty ones. `age_max`: how long a message waits for its domain.
    pub fn new(age_max: Duration) -> Queues {
        Queues {
            pairs: HashMap::new(),
            links: HashMap::new(),
            effects: VecDeque::new(),
            stanzas: 0,
            bytes: 0,
            was_quiet: true,
            dials: 0,
            next_item: 0,
            age_max,
            closing: false,
            stopped: false,
        }
    }

    /// Takes a stanza for another domain; its addresses are both there. Gives the pair whose queue it is in.
    ///
    /// Errors: [`Refused`] where there is no room.
    pub fn push(&mut self, now: Now, stanza: Stanza, receipt: Option<Receipt>) -> Result<Pair, Refused> {
        let (Some(own), Some(peer)) = (domain_of(stanza.from()), domain_of(stanza.to())) else {
            let error = StanzaError::new(StanzaCondition::BadRequest);
            return Err(Refused { stanza: Box::new(stanza), error });
        };
        let pair = Pair { own, peer };
        let text = stanza.to_text();
        if self.pairs.len() >= limits::S2S_PAIRS_MAX {
            // Those that are only remembered for when to dial again go first.
            self.pairs.retain(|_, q| q.stanzas > 0 || !q.links.is_empty() || q.dial == Dial::UnderWay);
        }
        if !self.has_room(&pair, text.len()) {
            let error = StanzaError::new(StanzaCondition::ResourceConstraint)
                .text("too many stanzas wait for that domain or for all domains together");
            return Err(Refused { stanza: Box::new(stanza), error });
        }
        self.next_item += 1;
        let cargo = Cargo::of(&stanza);
        let mut item = Item::new(self.next_item, text.into(), cargo, now, receipt);
        if self.closing && cargo == Cargo::Kept {
            item.storing = true;
            self.effects.push_back(Effect::Store(pair.clone(), item.number));
        }
        self.append(pair.clone(), item, now.monotonic);
        Ok(pair)
    }

    /// What was under way when the node ended. Call it before anything is pushed.
    pub fn restore(&mut self, now: Now, outgoing: Vec<Outgoing>) {
        for Outgoing { id, pair, text, stamp } in outgoing {
            self.next_item += 1;
            let mut item = Item::new(self.next_item, text.into(), Cargo::Kept, now, None);
            (item.stamp, item.stored, item.storing) = (stamp, Some(id), true);
            item.since = now.monotonic.checked_sub(now.wall.since(stamp)).unwrap_or(now.monotonic);
            self.append(pair, item, now.monotonic);
        }
    }

    /// How many pairs of domains have something waiting or a stream.
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// How many stanzas wait or are unconfirmed.
    pub fn stanzas(&self) -> usize {
        self.stanzas
    }

    /// Bytes of the same.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Is there nothing that time could change?
    pub fn is_quiet(&self) -> bool {
        self.stanzas == 0
    }

    /// What is to be done, in order; once.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        self.effects.drain(..).collect()
    }

    /// Is there something to be done, or something waiting that time will change, since this was last asked?
    pub fn wants_clerk(&mut self) -> bool {
        let quiet = std::mem::replace(&mut self.was_quiet, self.stanzas == 0);
        !self.effects.is_empty() || (quiet && self.stanzas > 0)
    }

    /// The stream that takes stanzas of this pair now.
    pub fn sender(&self, pair: &Pair) -> Option<LinkId> {
        Some(self.pairs.get(pair)?.links.first()?.id)
    }

    /// To be called every [`limits::S2S_TICK`] while anything waits: expires, stores, dials.
    pub fn tick(&mut self, now: Instant) {
        let pairs: Vec<Pair> = self.pairs.keys().cloned().collect();
        for pair in pairs {
            self.expire(&pair, now);
            self.store_overdue(&pair, now);
            self.dial_if_due(&pair, now);
            self.forget_if_empty(&pair);
        }
    }

    /// No stream came about. `random` spreads the next attempt.
    pub fn dial_failed(&mut self, pair: &Pair, fault: &DialFault, now: Instant, random: u32) {
        let Some(queue) = self.pairs.get_mut(pair) else { return };
        if queue.dial == Dial::UnderWay {
            self.dials = self.dials.saturating_sub(1);
        }
        queue.dial = Dial::NotBefore(now + queue.backoff.failed(random));
        if !queue.links.is_empty() {
            return;
        }
        // Who asks waits for the answer: it gets one at once. Messages can wait.
        let is_over = |item: &Item| fault.is_lasting() || item.cargo == Cargo::Request;
        let (over, rest): (VecDeque<Item>, VecDeque<Item>) = queue.waiting.drain(..).partition(is_over);
        queue.waiting = rest;
        over.into_iter().for_each(|item| self.give_up(pair, item, fault.to_error()));
    }

    /// Who is waited for longer than `patience` is dialled again then, however often that failed.
    pub fn hurry(&mut self, pair: &Pair, patience: Duration, now: Instant) {
        if let Some(queue) = self.pairs.get_mut(pair)
            && let Dial::NotBefore(at) = &mut queue.dial
        {
            *at = (*at).min(now + patience);
        }
    }

    /// The node is about to stop: nothing is dialled any more, and what comes is to be stored at once.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// The node stops: what must not be lost is to be stored, and nothing more is taken.
    pub fn stop(&mut self) {
        (self.closing, self.stopped) = (true, true);
        for (pair, queue) in &mut self.pairs {
            let unconfirmed = queue.links.iter_mut().flat_map(|link| &mut link.unconfirmed);
            for item in unconfirmed.chain(&mut queue.waiting).filter(|item| item.cargo == Cargo::Kept && !item.storing)
            {
                item.storing = true;
                self.effects.push_back(Effect::Store(pair.clone(), item.number));
            }
        }
    }

    /// The item of an [`Effect::Store`], if it still waits.
    pub fn to_store(&self, pair: &Pair, number: u64) -> Option<Outgoing> {
        let item = self.pairs.get(pair)?.items().find(|item| item.number == number)?;
        Some(Outgoing { id: OutgoingId(0), pair: pair.clone(), text: item.text.to_string(), stamp: item.stamp })
    }

    /// The store has the item, and will say when it is durable. Gives what may be handed over then.
    pub fn stored(&mut self, pair: &Pair, number: u64, id: OutgoingId) -> Option<Receipt> {
        let item = self.pairs.get_mut(pair)?.items_mut().find(|item| item.number == number)?;
        item.stored = Some(id);
        item.receipt.take()
    }

    fn has_room(&self, pair: &Pair, bytes: usize) -> bool {
        if self.stopped || self.bytes + bytes > limits::S2S_QUEUED_BYTES_MAX {
            return false;
        }
        match self.pairs.get(pair) {
            None => self.pairs.len() < limits::S2S_PAIRS_MAX,
            Some(queue) => {
                queue.stanzas < limits::S2S_QUEUE_STANZAS_MAX
                    && (queue.stanzas == 0 || queue.bytes + bytes <= limits::S2S_QUEUE_BYTES_MAX)
            }
        }
    }

    fn append(&mut self, pair: Pair, item: Item, now: Instant) {
        self.stanzas += 1;
        self.bytes += item.text.len();
        let queue = self.pairs.entry(pair.clone()).or_insert_with(Queue::new);
        queue.stanzas += 1;
        queue.bytes += item.text.len();
        queue.waiting.push_back(item);
        self.dial_if_due(&pair, now);
    }

    fn dial_if_due(&mut self, pair: &Pair, now: Instant) {
        let Some(queue) = self.pairs.get_mut(pair) else { return };
        if let Dial::NotBefore(at) = queue.dial
            && at <= now
        {
            queue.dial = Dial::Idle;
        }
        let wanted = queue.dial == Dial::Idle && queue.links.is_empty() && !queue.waiting.is_empty();
        if wanted && !self.closing && self.dials < limits::S2S_DIALS_MAX {
            queue.dial = Dial::UnderWay;
            self.dials += 1;
            self.effects.push_back(Effect::Dial(pair.clone()));
        }
    }

    /// RFC 6120 §10.4: what could not be delivered in time comes back.
    fn expire(&mut self, pair: &Pair, now: Instant) {
        let age_max = self.age_max;
        let Some(queue) = self.pairs.get_mut(pair) else { return };
        let is_old = |item: &Item| now.saturating_duration_since(item.since) >= item.cargo.age_max(age_max);
        if !queue.waiting.iter().any(is_old) {
            return;
        }
        let (old, rest): (VecDeque<Item>, VecDeque<Item>) = queue.waiting.drain(..).partition(is_old);
        queue.waiting = rest;
        let error = || {
            let text = "the stanza could not be delivered to the other server in time";
            StanzaError::new(StanzaCondition::RemoteServerTimeout).text(text)
        };
        old.into_iter().for_each(|item| self.give_up(pair, item, error()));
    }

    fn store_overdue(&mut self, pair: &Pair, now: Instant) {
        let Some(queue) = self.pairs.get_mut(pair) else { return };
        let is_due = |item: &&mut Item| {
            item.receipt.is_some() && !item.storing && now.saturating_duration_since(item.since) >= limits::ACK_PATIENCE
        };
        let unconfirmed = queue.links.iter_mut().flat_map(|link| &mut link.unconfirmed);
        for item in unconfirmed.chain(&mut queue.waiting).filter(is_due) {
            if item.cargo == Cargo::Kept {
                item.storing = true;
                self.effects.push_back(Effect::Store(pair.clone(), item.number));
            } else {
                // Nobody wants it on a disk: its sender need not wait for it.
                self.effects.extend(item.receipt.take().map(Effect::Taken));
            }
        }
    }

    /// An item will not be delivered: its sender is told, where it may be and would care.
    fn give_up(&mut self, pair: &Pair, item: Item, error: StanzaError) {
        if let Some(answer) = item.answer(&error) {
            self.effects.push_back(Effect::Answer(answer));
        }
        self.done(pair, item);
    }

    /// An item is out of the queue for good.
    fn done(&mut self, pair: &Pair, item: Item) {
        self.stanzas = self.stanzas.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(item.text.len());
        if let Some(queue) = self.pairs.get_mut(pair) {
            queue.stanzas = queue.stanzas.saturating_sub(1);
            queue.bytes = queue.bytes.saturating_sub(item.text.len());
        }
        self.effects.extend(item.receipt.map(Effect::Taken));
        self.effects.extend(item.stored.map(Effect::Forget));
    }

    fn forget_if_empty(&mut self, pair: &Pair) {
        let is_empty = |queue: &Queue| queue.stanzas == 0 && queue.links.is_empty() && queue.dial == Dial::Idle;
        if self.pairs.get(pair).is_some_and(is_empty) {
            self.pairs.remove(pair);
        }
    }
}

impl Queue {
    fn new() -> Queue {
        Queue {
            waiting: VecDeque::new(),
            links: Vec::new(),
            dial: Dial::Idle,
            backoff: Backoff::new(limits::S2S_RETRY_FIRST, limits::S2S_RETRY_LONGEST),
            stanzas: 0,
            bytes: 0,
        }
    }

    fn items(&self) -> impl Iterator<Item = &Item> {
        self.links.iter().flat_map(|link| &link.unconfirmed).chain(&self.waiting)
    }

    fn items_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.links.iter_mut().flat_map(|link| &mut link.unconfirmed).chain(&mut self.waiting)
    }
}

fn domain_of(jid: Option<&crate::jid::Jid>) -> Option<BareJid> {
    BareJid::domain(jid?.domainpart()).ok()
}
