//! The queues as tasks share them: the hub puts in, streams take out, the clerk does the rest. Nobody waits for anybody here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use smol::channel::{Receiver, Sender, bounded};

use crate::federation::{
    Class, Confirmation, DialFault, Effect, Outgoing, OutgoingId, Pair, PingNumber, Queues, Refused, Sent,
};
use crate::jid::BareJid;
use crate::router::{LinkId, Now, Receipt};
use crate::stanza::{Stanza, StreamError};

/// What a stream's task is to do for others.
#[derive(Debug)]
pub(super) enum Word {
    /// Write this.
    Text(Arc<str>),
    /// End the stream in order.
    Finish,
    /// End the stream with an error.
    Close(StreamError),
}

/// All queues to other domains, and what their streams are told.
pub struct Post {
    shared: Mutex<Shared>,
    /// Rung when there are effects.
    bell: Sender<()>,
    rung: Receiver<()>,
}

struct Shared {
    queues: Queues,
    mailboxes: HashMap<LinkId, Mailbox>,
}

/// One stream's.
#[derive(Default)]
struct Mailbox {
    /// Who has proved to be at its other end.
    peer: Option<(BareJid, Class)>,
    waker: Option<Waker>,
    /// The newest count that the peer may be told.
    ack: Option<u32>,
    end: Option<Word>,
}

impl Post {
    /// With nothing in it. `age_max`: how long a message waits for its domain.
    pub fn new(age_max: Duration) -> Post {
        let (bell, rung) = bounded(1);
        let shared = Shared { queues: Queues::new(age_max), mailboxes: HashMap::new() };
        Post { shared: Mutex::new(shared), bell, rung }
    }

    /// Takes a stanza for another domain.
    pub(super) fn send(&self, now: Now, stanza: Stanza, receipt: Option<Receipt>) -> Result<(), Refused> {
        self.change(|shared| {
            let pair = shared.queues.push(now, stanza, receipt)?;
            shared.wake_sender(&pair);
            Ok(())
        })
    }

    /// Tells the peer at the other end of a stream what was handled of what it sent. XEP-0198 §4.
    pub fn acknowledge(&self, link: LinkId, h: u32) {
        self.change(|shared| {
            if let Some(mailbox) = shared.mailboxes.get_mut(&link) {
                mailbox.ack = Some(h);
                mailbox.wake();
            }
        });
    }

    pub(super) fn restore(&self, now: Now, outgoing: Vec<Outgoing>) {
        self.change(|shared| shared.queues.restore(now, outgoing));
    }

    /// A stream begins: it can be told things from now on, until it is [closed](Post::close).
    pub(super) fn open(&self, link: LinkId) {
        self.change(|shared| drop(shared.mailboxes.insert(link, Mailbox::default())));
    }

    /// The peer of a stream has proved who it is.
    pub(super) fn identify(&self, link: LinkId, peer: &BareJid, class: Class) {
        self.change(|shared| {
            if let Some(mailbox) = shared.mailboxes.get_mut(&link) {
                mailbox.peer = Some((peer.clone(), class));
            }
        });
    }

    /// The stream is over.
    pub(super) fn close(&self, link: LinkId, now: Instant, random: u32) {
        self.change(|shared| {
            shared.mailboxes.remove(&link);
            if let Some(pair) = shared.queues.detach(link, now, random) {
                shared.wake_sender(&pair);
            }
        });
    }

    pub(super) fn attach(&self, pair: &Pair, link: LinkId, class: Class, managed: bool, dialled: bool, now: Instant) {
        self.change(|shared| {
            shared.queues.attach(pair, link, class, managed, dialled, now);
            shared.wake_sender(pair);
        });
    }

    pub(super) fn manage(&self, link: LinkId) {
        self.change(|shared| shared.queues.manage(link));
    }

    pub(super) fn acknowledged(&self, link: LinkId, h: u32) -> bool {
        self.change(|shared| shared.queues.acknowledged(link, h))
    }

    pub(super) fn ponged(&self, number: PingNumber, from: &BareJid) {
        self.change(|shared| {
            shared.queues.ponged(number, from);
            if let Some(mailbox) = shared.mailboxes.get_mut(&number.link) {
                mailbox.wake();
            }
        });
    }

    pub(super) fn closed_in_order(&self, link: LinkId) {
        self.change(|shared| shared.queues.closed_in_order(link));
    }

    pub(super) fn heard(&self, link: LinkId, now: Instant) {
        self.change(|shared| shared.queues.heard(link, now));
    }

    pub(super) fn look_at(&self, link: LinkId, now: Instant) -> Confirmation {
        self.change(|shared| shared.queues.look_at(link, now))
    }

    pub(super) fn dial_failed(&self, pair: &Pair, fault: &DialFault, now: Instant, random: u32) {
        self.change(|shared| shared.queues.dial_failed(pair, fault, now, random));
    }

    /// The next thing that the stream's task has to do for others; it is woken when there is one.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>, link: LinkId) -> Poll<Word> {
        let mut shared = self.lock();
        let Shared { queues, mailboxes } = &mut *shared;
        let Some(mailbox) = mailboxes.get_mut(&link) else { return Poll::Pending };
        if let Some(h) = mailbox.ack.take() {
            return Poll::Ready(Word::Text(format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>").into()));
        }
        if let Some(end) = mailbox.end.take() {
            return Poll::Ready(end);
        }
        match queues.next(link, Instant::now()) {
            Some(Sent::Stanza(text)) => Poll::Ready(Word::Text(text)),
            Some(Sent::Ask(text)) => Poll::Ready(Word::Text(text.into())),
            None => {
                mailbox.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(super) fn tick(&self, now: Instant) -> Vec<Effect> {
        let mut shared = self.lock();
        shared.queues.tick(now);
        shared.queues.take_effects()
    }

    pub(super) fn take_effects(&self) -> Vec<Effect> {
        self.lock().queues.take_effects()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.lock().queues.is_quiet()
    }

    /// Waits until there are effects.
    pub(super) async fn rung(&self) {
        // The sender lives as long as we do.
        let _ = self.rung.recv().await;
    }

    pub(super) fn to_store(&self, pair: &Pair, number: u64) -> Option<Outgoing> {
        self.lock().queues.to_store(pair, number)
    }

    pub(super) fn stored(&self, pair: &Pair, number: u64, id: OutgoingId) -> Option<Receipt> {
        self.lock().queues.stored(pair, number, id)
    }

    /// Is there a stream with this domain, of a node?
    pub fn has_node(&self, domain: &BareJid) -> bool {
        let shared = self.lock();
        shared.mailboxes.values().any(|mailbox| {
            mailbox.end.is_none()
                && mailbox.peer.as_ref().is_some_and(|(peer, class)| peer == domain && *class == Class::Node)
        })
    }

    /// A domain that is waited for is dialled again within `patience`.
    pub fn hurry(&self, pair: &Pair, patience: Duration) {
        self.change(|shared| shared.queues.hurry(pair, patience, Instant::now()));
    }

    /// The streams there are.
    pub(super) fn links(&self) -> Vec<LinkId> {
        self.lock().mailboxes.keys().copied().collect()
    }

    /// Nothing is taken or dialled any more, and every stream is ended in order.
    pub(super) fn begin_to_stop(&self) {
        self.change(|shared| {
            shared.queues.close();
            for mailbox in shared.mailboxes.values_mut() {
                mailbox.end = Some(Word::Finish);
                mailbox.wake();
            }
        });
    }

    /// What is left is to be stored.
    pub(super) fn stop(&self) -> Vec<Effect> {
        let mut shared = self.lock();
        shared.queues.stop();
        shared.queues.take_effects()
    }

    /// Ends those streams with a domain that may not go on: of which `goes` says so.
    pub fn expel(&self, domain: &BareJid, goes: impl Fn(Class) -> bool, error: &StreamError) {
        self.change(|shared| {
            let must_go = |mailbox: &&mut Mailbox| {
                mailbox.peer.as_ref().is_some_and(|(peer, class)| peer == domain && goes(*class))
            };
            for mailbox in shared.mailboxes.values_mut().filter(must_go) {
                mailbox.end = Some(Word::Close(error.clone()));
                mailbox.wake();
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Shared) -> T) -> T {
        let mut shared = self.lock();
        let outcome = change(&mut shared);
        let due = shared.queues.wants_clerk();
        drop(shared);
        if due {
            // Full: it is rung already.
            let _ = self.bell.try_send(());
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn wake_sender(&mut self, pair: &Pair) {
        if let Some(mailbox) = self.queues.sender(pair).and_then(|link| self.mailboxes.get_mut(&link)) {
            mailbox.wake();
        }
    }
}

impl Mailbox {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Post(…)")
    }
}
