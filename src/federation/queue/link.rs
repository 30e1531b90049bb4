//! One stream that takes stanzas out of a queue, and what the peer has confirmed of them. XEP-0198 §4, XEP-0199.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::item::{Cargo, Item};
use super::{Class, Dial, Pair, PingNumber, Queue, Queues};
use crate::jid::BareJid;
use crate::limits;
use crate::router::LinkId;
use crate::stanza::{StanzaCondition, StanzaError};
use crate::xml::escape_attribute;

/// The next thing to write to a peer.
#[derive(Clone, PartialEq, Eq)]
pub enum Sent {
    /// A stanza.
    Stanza(Arc<str>),
    /// The question whether all before has arrived.
    Ask(String),
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Sent::Stanza(_) => "Stanza",
            Sent::Ask(_) => "Ask",
        })
    }
}

/// What time has made of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// All is well.
    Fine,
    /// The peer has not answered for too long: it is not there any more.
    Dead,
    /// Nothing was said for long: the stream may be closed in order.
    Idle,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    class: Class,
    /// How many stanzas had been sent when the peer began to count. XEP-0198 §3.
    counts_from: Option<u64>,
    pub(super) unconfirmed: VecDeque<Item>,
    sent: u64,
    /// What had been sent when we asked, and when.
    asked: Option<(u64, Instant)>,
    /// It has answered a ping before: when it does not, it is dead.
    answers_pings: bool,
    used_at: Instant,
}

impl Link {
    fn confirmed(&self) -> u64 {
        self.sent - u64::try_from(self.unconfirmed.len()).unwrap_or(self.sent)
    }

    /// How long an answer may take.
    fn patience(&self) -> Duration {
        if self.class == Class::Node { limits::S2S_NODE_PING_TIMEOUT } else { limits::PING_TIMEOUT }
    }

    fn question(&self, pair: &Pair) -> String {
        if self.counts_from.is_some() {
            return "<r xmlns='urn:xmpp:sm:3'/>".to_owned();
        }
        // XEP-0199 §4.2: every entity must answer, so the answer says that what came before has arrived.
        let mut text = String::from("<iq type='get' from='");
        escape_attribute(pair.own.as_str(), &mut text);
        text.push_str("' to='");
        escape_attribute(pair.peer.as_str(), &mut text);
        let id = PingNumber { link: self.id, sent: self.sent }.id();
        text.push_str(&format!("' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>"));
        text
    }
}

impl Queues {
    /// A stream is established on which we may send. `dialled`: it is what [`super::Effect::Dial`] asked for.
    pub fn attach(&mut self, pair: &Pair, id: LinkId, class: Class, managed: bool, dialled: bool, now: Instant) {
        let queue = self.pairs.entry(pair.clone()).or_insert_with(Queue::new);
        if dialled && queue.dial == Dial::UnderWay {
            queue.dial = Dial::Idle;
            self.dials = self.dials.saturating_sub(1);
        }
        queue.links.push(Link {
            id,
            class,
            counts_from: managed.then_some(0),
            unconfirmed: VecDeque::new(),
            sent: 0,
            asked: None,
            answers_pings: false,
            used_at: now,
        });
        self.links.insert(id, pair.clone());
    }

    /// Both count from now on; nothing that was taken before counts. XEP-0198 §3.
    pub fn manage(&mut self, id: LinkId) {
        if let Some((_, link)) = self.link_mut(id) {
            link.counts_from = Some(link.sent);
            link.asked = None;
        }
    }

    /// What the stream is to write now, if anything.
    pub fn next(&mut self, id: LinkId, now: Instant) -> Option<Sent> {
        let pair = self.links.get(&id)?.clone();
        let queue = self.pairs.get_mut(&pair)?;
        let (first, waiting) = (queue.links.first_mut()?, &mut queue.waiting);
        if first.id != id {
            return None;
        }
        let recent = first.asked.map_or(first.confirmed(), |(sent, _)| sent);
        let due = first.asked.is_none() && first.sent.saturating_sub(recent) >= STANZAS_BETWEEN_QUESTIONS;
        if !due && let Some(item) = waiting.pop_front() {
            let text = item.to_send(&pair, now);
            first.unconfirmed.push_back(item);
            first.sent += 1;
            first.used_at = now;
            return Some(Sent::Stanza(text));
        }
        // A node is asked now and then even if there is nothing new: its stream is the only way to it, perhaps.
        let kept_alive = first.class == Class::Node
            && now.saturating_duration_since(first.used_at) >= limits::S2S_NODE_IDLE_BEFORE_PING;
        if first.asked.is_none() && (!first.unconfirmed.is_empty() || kept_alive) {
            first.asked = Some((first.sent, now));
            first.used_at = now;
            return Some(Sent::Ask(first.question(&pair)));
        }
        None
    }

    /// `<a/>`: the peer has handled so many. False if it was never sent so many: then the stream is to be closed.
    #[must_use]
    pub fn acknowledged(&mut self, id: LinkId, h: u32) -> bool {
        let Some((_, link)) = self.link_mut(id) else { return true };
        let Some(counts_from) = link.counts_from else { return true };
        // XEP-0198 §4: the count is modulo 2^32, and does not go back. What was sent before counting began was read before the
        // peer could count.
        let counted = link.confirmed().saturating_sub(counts_from);
        let low = u32::try_from(counted & u64::from(u32::MAX)).unwrap_or(0);
        let total = counts_from + counted + u64::from(h.wrapping_sub(low));
        if total > link.sent {
            return false;
        }
        self.confirm(id, total);
        true
    }

    /// The answer to a ping came from this domain, on whichever stream.
    pub fn ponged(&mut self, number: PingNumber, from: &BareJid) {
        let Some((pair, link)) = self.link_mut(number.link) else { return };
        if pair.peer.domainpart() == from.domainpart() && number.sent <= link.sent {
            link.answers_pings = true;
            self.confirm(number.link, number.sent);
        }
    }

    /// The peer answered our closing tag: it has all that was sent. RFC 6120 §4.4.
    pub fn closed_in_order(&mut self, id: LinkId) {
        let sent = self.link_mut(id).map(|(_, link)| link.sent);
        self.confirm(id, sent.unwrap_or(0));
    }

    /// What is to become of the stream now?
    pub fn look_at(&mut self, id: LinkId, now: Instant) -> Confirmation {
        let waiting = self.links.get(&id).and_then(|pair| self.pairs.get(pair)).is_some_and(|q| !q.waiting.is_empty());
        let Some((_, link)) = self.link_mut(id) else { return Confirmation::Idle };
        if let Some((sent, since)) = link.asked
            && now.saturating_duration_since(since) >= link.patience()
        {
            if link.counts_from.is_some() || link.answers_pings {
                return Confirmation::Dead;
            }
            // It answers no pings, or cannot reach us. It took the bytes; more cannot be known.
            self.confirm(id, sent);
            return Confirmation::Fine;
        }
        let idle = now.saturating_duration_since(link.used_at) >= limits::S2S_IDLE;
        match idle && !waiting && link.unconfirmed.is_empty() && link.class != Class::Node {
            true => Confirmation::Idle,
            false => Confirmation::Fine,
        }
    }

    /// The peer said something: the stream is in use.
    pub fn heard(&mut self, id: LinkId, now: Instant) {
        if let Some((_, link)) = self.link_mut(id) {
            link.used_at = now;
        }
    }

    /// The stream is over. What it did not confirm goes out again on the next one, in its old place. `random` spreads the next
    /// attempt to dial. Gives its pair, if we could send on it.
    pub fn detach(&mut self, id: LinkId, now: Instant, random: u32) -> Option<Pair> {
        let pair = self.links.remove(&id)?;
        let queue = self.pairs.get_mut(&pair)?;
        let place = queue.links.iter().position(|link| link.id == id)?;
        let link = queue.links.remove(place);
        let mut requests = Vec::new();
        for item in link.unconfirmed.into_iter().rev() {
            // A request may have been obeyed already: obeying it twice could do harm.
            if item.cargo == Cargo::Request { requests.push(item) } else { queue.waiting.push_front(item) }
        }
        if queue.links.is_empty() && queue.dial == Dial::Idle {
            queue.dial = Dial::NotBefore(now + queue.backoff.failed(random));
        }
        for item in requests.into_iter().rev() {
            let error = StanzaError::new(StanzaCondition::RemoteServerTimeout)
                .text("the stream to the other server broke before the answer came");
            self.give_up(&pair, item, error);
        }
        Some(pair)
    }

    fn link_mut(&mut self, id: LinkId) -> Option<(Pair, &mut Link)> {
        let pair = self.links.get(&id)?.clone();
        let link = self.pairs.get_mut(&pair)?.links.iter_mut().find(|link| link.id == id)?;
        Some((pair, link))
    }

    /// The first `total` stanzas of the stream are with the peer.
    fn confirm(&mut self, id: LinkId, total: u64) {
        let Some((pair, link)) = self.link_mut(id) else { return };
        let news = total.saturating_sub(link.confirmed());
        let count = usize::try_from(news).unwrap_or(usize::MAX).min(link.unconfirmed.len());
        let confirmed: Vec<Item> = link.unconfirmed.drain(..count).collect();
        if link.asked.is_some_and(|(sent, _)| sent <= total) {
            link.asked = None;
        }
        if link.unconfirmed.is_empty() {
            link.unconfirmed = VecDeque::new();
        }
        if let Some(queue) = self.pairs.get_mut(&pair) {
            // It works: the next failure is the first.
            queue.backoff.succeeded();
        }
        confirmed.into_iter().for_each(|item| self.done(&pair, item));
    }
}

/// So many stanzas behind the last question there is another, even in the midst of a flood.
const STANZAS_BETWEEN_QUESTIONS: u64 = 32;
