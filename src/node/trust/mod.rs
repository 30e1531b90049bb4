//! Trust put together: the decisions of `trust`, the node's own keys, the store. What the operator does is in `acts`, who
//! visits in `visits`, what happens by itself in `upkeep`.
//!
//! One decision at a time: each reads what is, decides, and writes state and signatures in one transaction. Whoever must go because
//! of it comes back as [`Farewells`], and is told after the write is durable.

mod acts;
mod facts;
mod gossip;
mod keys;
mod links;
mod renewal;
#[cfg(test)]
mod tests;
mod upkeep;
mod visits;

pub use facts::{NodeFacts, TrustReply, TrustRequest};
pub(super) use links::{NodePins, keep_links};
pub use renewal::{Renewal, RenewalFault, Renewed, renew};
pub(super) use upkeep::keep;
pub(super) use visits::{Visited, must_go};

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use smol::channel::{Receiver, Sender, bounded};
use zeroize::Zeroizing;

use super::identity::IdentityFault;
use crate::backup;
use crate::config;
use crate::jid::BareJid;
use crate::limits::{Buckets, NODES_MAX};
use crate::pgp::{CertifyError, Fingerprint, NodeCertification, RevocationReason, ServerKey, UserRing};
use crate::router::Ticket;
use crate::s2s::Post;
use crate::stanza::Timestamp;
use crate::store::{Store, StoreError};
use crate::trust::{
    CardId, CardRefusal, Class, End, Home, Impossible, IntroductionError, NodeDomain, PinnedNode, Reach, ReachRefusal,
    SignedCard, SignedReach, State, Succession, VALID_BY_NETWORK, VALID_BY_OPERATOR, Why, issue_time, next_seq,
    seq_after_restore, take_reach,
};
use keys::NodeKeys;

/// All about other nodes. Shared by login, desk, control and upkeep.
pub(super) struct Trust {
    domain: BareJid,
    own: Own,
    data_dir: PathBuf,
    store: Store,
    server_key: Arc<ServerKey>,
    keys: Mutex<Option<NodeKeys>>,
    settings: config::Trust,
    /// Logins of visitors, by home.
    logins: Mutex<Buckets<NodeDomain>>,
    /// Held while something is decided.
    deciding: Mutex<()>,
    /// Homes whose certification has ended by itself, of which that was told.
    expired: Mutex<HashSet<NodeDomain>>,
    /// Nodes of which it was told that another card was shown.
    changed: Mutex<HashSet<NodeDomain>>,
    /// The TLS key that is in use, once that is known.
    tls: Mutex<Option<[u8; 32]>>,
    /// The number that others have shown of our reach, if it was higher than ours.
    shown_seq: Mutex<Option<u64>>,
    /// See [`backup::mark`]: others may know more of this node than it does.
    restored: Mutex<Option<Restored>>,
    /// The write of our newest reach: nobody is shown it before that is durable.
    reach_written: Mutex<Ticket>,
    /// The streams with other servers, if there are any.
    streams: OnceLock<Arc<Post>>,
    /// Nodes of which partners are to be told where they are; our own, perhaps.
    news: Mutex<BTreeSet<NodeDomain>>,
    /// The last question to each partner, while it has no answer.
    asked: Mutex<HashMap<BareJid, String>>,
    /// Rings when there is news, or a stream to be looked after.
    bell: (Sender<()>, Receiver<()>),
}

/// Who this node is to others.
struct Own {
    name: NodeDomain,
    ring: UserRing,
}

/// Visitors who must go: of which home, and why.
pub(super) type Farewells = Vec<(NodeDomain, End)>;

/// Why something was not done.
#[derive(Debug)]
pub(super) enum TrustFault {
    /// The node's own keys.
    Identity(IdentityFault),
    /// The node has no card yet.
    NoOwnCard,
    /// The store.
    Store(StoreError),
    /// A name that is no node's.
    Domain(String),
    /// It is this node itself.
    Ourselves,
    /// What was handed over is no introduction.
    Introduction(IntroductionError),
    /// It is another node's.
    OtherNode(NodeDomain),
    /// The card is not to be accepted.
    Card(CardRefusal),
    /// Its reach is not.
    Reach(ReachRefusal),
    /// The card changed, and nobody has compared the new fingerprint yet.
    CardChanged(NodeDomain),
    /// What the operator typed is not the key's fingerprint.
    OtherFingerprint { typed: String, known: String },
    /// What is stored of it cannot be read.
    Stored(NodeDomain, String),
    /// It cannot be from the state that it is in.
    Impossible(NodeDomain, Impossible),
    /// No signature could be made.
    Certify(CertifyError),
}

impl fmt::Display for TrustFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrustFault::Identity(fault) => fault.fmt(f),
            TrustFault::NoOwnCard => f.write_str(
                "this node has no card yet (remedy: kontalk-node trust card --make, which shows the recovery words once; have \
                 paper ready)",
            ),
            TrustFault::Store(StoreError::Full) => write!(f, "{NODES_MAX} nodes are known, and no more are kept"),
            TrustFault::Store(error) => error.fmt(f),
            TrustFault::Domain(text) => write!(f, "{text:?} is not the domain of a node (remedy: e.g. b.example)"),
            TrustFault::Ourselves => f.write_str("that is this node itself"),
            TrustFault::Introduction(error) => error.fmt(f),
            TrustFault::OtherNode(node) => write!(f, "the card is of {node}"),
            TrustFault::Card(refusal) => write!(f, "the card is not accepted: {refusal}"),
            TrustFault::Reach(refusal) => write!(f, "the addresses beside the card are not accepted: {refusal}"),
            TrustFault::CardChanged(node) => write!(
                f,
                "{node} has another card than the known one, and only its operator can say that it is right (remedy: compare \
                 the fingerprint with him, then kontalk-node trust add {node} --card FILE)"
            ),
            TrustFault::OtherFingerprint { typed, known } => write!(
                f,
                "the fingerprint does not match: {typed} was typed, the key has {known} (remedy: if it was copied rightly, this \
                 is not the key of the node you mean)"
            ),
            TrustFault::Stored(node, what) => {
                write!(f, "what is kept of {node} cannot be read: {what} (remedy: kontalk-node trust add {node} --card FILE)")
            }
            TrustFault::Impossible(node, impossible) => write!(f, "{node}: {impossible}"),
            TrustFault::Certify(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TrustFault {}

impl From<StoreError> for TrustFault {
    fn from(error: StoreError) -> TrustFault {
        TrustFault::Store(error)
    }
}

impl From<IdentityFault> for TrustFault {
    fn from(fault: IdentityFault) -> TrustFault {
        TrustFault::Identity(fault)
    }
}

impl Trust {
    /// Reads the node's own keys, if it has them already. `None` where the domain cannot be a node's, or the server key is of a
    /// kind that peers cannot read: such a node has users, and no peers.
    pub(super) fn open(
        domain: &BareJid,
        data_dir: &Path,
        store: Store,
        server_key: Arc<ServerKey>,
        settings: config::Trust,
        now: Timestamp,
    ) -> Result<Option<Trust>, IdentityFault> {
        let (name, ring) = match (NodeDomain::of(domain), server_key.ring()) {
            (Some(name), Ok(ring)) => (name, ring),
            (_, Err(error)) => {
                log::warn!("no other node can trust this one: {error} (remedy: none for a key of this kind)");
                return Ok(None);
            }
            (None, _) => {
                log::warn!("no other node can trust this one: {domain} cannot be the name of a node");
                return Ok(None);
            }
        };
        let keys = keys::read(data_dir, &name, &server_key, now)?;
        let per_hour = settings.visitor_logins_per_hour_max.max(1);
        Ok(Some(Trust {
            domain: domain.clone(),
            own: Own { name, ring },
            data_dir: data_dir.to_owned(),
            store,
            server_key,
            keys: Mutex::new(keys),
            logins: Mutex::new(Buckets::new(NODES_MAX, per_hour, Duration::from_secs(3600) / per_hour)),
            settings,
            deciding: Mutex::new(()),
            expired: Mutex::new(HashSet::new()),
            changed: Mutex::new(HashSet::new()),
            tls: Mutex::new(None),
            shown_seq: Mutex::new(None),
            restored: Mutex::new(restored(data_dir)),
            reach_written: Mutex::new(Ticket::default()),
            streams: OnceLock::new(),
            news: Mutex::new(BTreeSet::new()),
            asked: Mutex::new(HashMap::new()),
            bell: bounded(1),
        }))
    }

    /// Has it a card?
    pub(super) fn has_card(&self) -> bool {
        lock(&self.keys).is_some()
    }

    /// Makes keys and card where there are none: gives the words for paper. They are shown once and kept nowhere.
    pub(super) fn make_card(&self, now: Timestamp) -> Result<Option<Zeroizing<String>>, IdentityFault> {
        let mut keys = lock(&self.keys);
        if keys.is_some() {
            return Ok(None);
        }
        let (made, words) = keys::make(&self.data_dir, &self.own.name, &self.server_key, now)?;
        log::info!("made this node's card {}", made.card.card().id());
        *keys = Some(made);
        Ok(Some(words.phrase()))
    }

    /// What nodes show each other of themselves: the card's name.
    pub(super) fn own_card(&self) -> Option<SignedCard> {
        lock(&self.keys).as_ref().map(|keys| keys.card.clone())
    }

    /// The same for a stream's features.
    pub(super) fn own_card_id(&self) -> Option<CardId> {
        self.own_card().map(|card| card.card().id())
    }

    /// Our own newest reach.
    pub(super) fn own_reach(&self) -> Result<Option<SignedReach>, StoreError> {
        let note = self.store.reach(&self.own.name)?;
        Ok(note.and_then(|note| SignedReach::parse(note.as_bytes()).ok()))
    }

    /// The same, once it survives a power cut: others may be shown it.
    fn durable_reach(&self) -> Option<SignedReach> {
        let written = *lock(&self.reach_written);
        self.own_reach().ok().flatten().filter(|_| written <= self.store.durable())
    }

    /// Another server shows which number of our reach it has. A higher one than ours tells that we forgot some: the next will be
    /// above it. One who says much more than can be is not believed: numbers must not run out.
    pub(super) fn peer_has_our(&self, seq: u64) {
        let own = self.own_reach().ok().flatten().map_or(0, |reach| reach.reach().seq);
        let mut shown = lock(&self.shown_seq);
        let believed = seq > own && seq - own <= SEQ_LEAP_MAX;
        if believed && shown.is_none_or(|shown| shown < seq) {
            log::warn!(
                "a peer knows reach {seq} of this node, which has only {own}: an older backup was restored; the next will be above it"
            );
            *shown = Some(seq);
        }
    }

    /// Makes a new reach if what it says is not what is: another TLS key, other addresses, another card. Gives the ticket of the
    /// write; it must be durable before anybody is shown the reach.
    pub(super) fn renew_reach(&self, now: Timestamp) -> Result<Option<Ticket>, StoreError> {
        let keys = lock(&self.keys);
        let (Some(keys), Some(tls)) = (keys.as_ref(), *lock(&self.tls)) else { return Ok(None) };
        let held = self.own_reach()?;
        let shown = *lock(&self.shown_seq);
        let held_seq = held.as_ref().map(|held| held.reach().seq);
        let restored = lock(&self.restored).as_ref().filter(|restored| !restored.leapt).map(|it| now.since(it.made));
        let reach = Reach {
            card: keys.card.card().id(),
            seq: match restored {
                Some(age) => seq_after_restore(held_seq, shown, age),
                None => next_seq(held_seq, shown),
            },
            tls: vec![tls],
            disco: keys.disco,
            s2s: self.settings.addresses.clone(),
            http: self.settings.pages.clone(),
        };
        let behind = shown.is_some_and(|shown| held_seq.is_none_or(|held| held < shown));
        if !behind && restored.is_none() && held.is_some_and(|held| held.reach().says_what(&reach)) {
            return Ok(None);
        }
        let seq = reach.seq;
        let signed = SignedReach::make(reach, &keys.vote, now);
        let change = crate::store::PeerChange { reach: Some(signed.to_text()), ..Default::default() };
        let ticket = self.store.decide_peer(&self.own.name, change)?;
        if let Some(restored) = &mut *lock(&self.restored) {
            restored.leapt = true;
        }
        *lock(&self.reach_written) = ticket;
        lock(&self.news).insert(self.own.name.clone());
        self.ring();
        log::info!("made reach {seq}: other nodes will be told where this one is");
        Ok(Some(ticket))
    }

    /// The reach that leaps over those of a lost present is durable: the mark of the restored backup has done its work. Without a card
    /// nobody knows anything of this node, and there is nothing to guard.
    pub(super) fn restored_seen_to(&self) {
        let has_card = self.has_card();
        let mut restored = lock(&self.restored);
        if restored.as_ref().is_some_and(|restored| restored.leapt || !has_card) {
            match backup::forget_mark(&self.data_dir) {
                Ok(()) => *restored = None,
                Err(error) => log::warn!(
                    "the mark of the restored backup stays: {error} (remedy: look at the data directory's owner)"
                ),
            }
        }
    }

    /// The nodes whose users may come, with the fingerprints of their keys, by name.
    pub(super) fn nodes(&self) -> Result<Vec<(BareJid, Fingerprint)>, TrustFault> {
        let mut nodes = Vec::new();
        for (node, peer) in self.store.peers()? {
            if !matches!(peer.state, State::Trusted(_)) {
                continue;
            }
            if let (Some(pinned), Some(jid)) = (self.store.card(&node)?, node.to_jid()) {
                nodes.push((jid, read_card(&node, &pinned.note)?.card().fingerprint));
            }
        }
        Ok(nodes)
    }

    /// What is pinned of a domain, for the class of its streams.
    pub(super) fn pinned(&self, node: &NodeDomain) -> Result<Option<PinnedNode>, TrustFault> {
        let Some(pinned) = self.store.card(node)? else { return Ok(None) };
        let card = read_card(node, &pinned.note)?.card().clone();
        let reach = self.store.reach(node)?.and_then(|note| SignedReach::parse(note.as_bytes()).ok());
        let reach = reach.map(|signed| signed.reach().clone()).filter(|reach| reach.card == card.id());
        Ok(Some(PinnedNode { card, reach }))
    }

    /// A peer shows a reach on a stream with this TLS key: keeps it if it is to be believed.
    pub(super) fn peer_shows_reach(
        &self,
        node: &NodeDomain,
        shown: &[u8],
        spki_sha256: &[u8; 32],
    ) -> Result<(Class, Ticket), TrustFault> {
        let _deciding = lock(&self.deciding);
        let none = || TrustFault::Reach(ReachRefusal::OtherCard);
        let pinned = self.pinned(node)?.ok_or_else(none)?;
        let (signed, class) = take_reach(&pinned, shown, spki_sha256).map_err(TrustFault::Reach)?;
        Ok((class, self.keep_reach(node, &signed)?))
    }

    /// All that is known of a node; `None` without a card.
    fn home(&self, node: &NodeDomain) -> Result<Option<Home>, TrustFault> {
        let Some(pinned) = self.store.card(node)? else { return Ok(None) };
        let card = read_card(node, &pinned.note)?.card().clone();
        let read = |bytes: &[u8]| UserRing::parse(bytes).map_err(|e| TrustFault::Stored(node.clone(), e.to_string()));
        let certificate = read(&pinned.certificate)?;
        let former = pinned.former_certificate.as_deref().map(read).transpose()?;
        let words = self.store.own_words(node, &certificate.kid())?;
        let certificate = certificate.with_words(node.as_str(), &words);
        let own = certificate.node_statements(node.as_str(), &self.own.ring);
        let state = self.store.peer(node)?.map_or(State::Seen, |peer| peer.state);
        Ok(Some(Home { card, certificate, former, state, own }))
    }

    /// Our signatures on a node's key with one more, certifying it. Gives the kid they belong to.
    fn certified(&self, node: &NodeDomain, home: &Home, why: Why, now: Timestamp) -> Result<Words, TrustFault> {
        let how = NodeCertification {
            positive: why == Why::Operator,
            valid_for: match why {
                Why::Operator => VALID_BY_OPERATOR,
                Why::Network => VALID_BY_NETWORK,
            },
            notation: (NOTATION.to_owned(), "manual".to_owned()),
        };
        let at = issue_time(&home.own, now);
        let word = self.server_key.certify_node(&home.certificate, node.as_str(), &how, at);
        Ok(self.grown(node, &home.certificate, &word.map_err(TrustFault::Certify)?))
    }

    /// The same, taking the certification back.
    fn revoked(
        &self,
        node: &NodeDomain,
        certificate: &UserRing,
        reason: RevocationReason,
        now: Timestamp,
    ) -> Result<Words, TrustFault> {
        let at = issue_time(&certificate.node_statements(node.as_str(), &self.own.ring), now);
        let word = self.server_key.revoke_node(certificate, node.as_str(), reason, at);
        Ok(self.grown(node, certificate, &word.map_err(TrustFault::Certify)?))
    }

    fn grown(&self, node: &NodeDomain, certificate: &UserRing, word: &[u8]) -> Words {
        let with = certificate.clone().with_words(node.as_str(), word);
        (certificate.kid(), with.own_words(node.as_str(), &self.own.ring))
    }

    /// The name of another node, as an operator types it.
    fn node(&self, text: &str) -> Result<NodeDomain, TrustFault> {
        let node = BareJid::domain(text).ok().and_then(|domain| NodeDomain::of(&domain));
        let node = node.ok_or_else(|| TrustFault::Domain(text.to_owned()))?;
        if node == self.own.name { Err(TrustFault::Ourselves) } else { Ok(node) }
    }
}

/// The data come from a backup, and nobody has seen to it yet.
struct Restored {
    /// When the backup was made.
    made: Timestamp,
    /// A reach with a number that nobody can have seen was made.
    leapt: bool,
}

fn restored(data_dir: &Path) -> Option<Restored> {
    let mark = backup::mark(data_dir).unwrap_or_else(|error| {
        log::warn!("whether the data were restored from a backup cannot be read: {error} (remedy: look at the data directory's owner)");
        None
    })?;
    log::warn!(
        "the data were restored on {} from a backup of {}: what was decided about other nodes in between is forgotten here (remedy: \
         compare kontalk-node trust list with what you remember, and revoke again what you revoked)",
        mark.restored,
        mark.made
    );
    Some(Restored { made: Timestamp::parse(&mark.made).unwrap_or(Timestamp { millis: 0 }), leapt: false })
}

/// A kid, and our signatures on that key.
type Words = ([u8; 32], Vec<u8>);

fn read_card(node: &NodeDomain, note: &str) -> Result<SignedCard, TrustFault> {
    SignedCard::parse(note.as_bytes()).map_err(|error| TrustFault::Stored(node.clone(), error.to_string()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a succession of cards is told.
fn news(succession: Succession) -> &'static str {
    match succession {
        Succession::First => "its first card",
        Succession::Same => "the known card",
        Succession::Recovered => "a new card, signed by its recovery key",
        Succession::MustConfirm => "ANOTHER card than the known one, and nothing but your word makes it right",
    }
}

/// So far may a peer's word of our own reach be ahead of what we remember.
const SEQ_LEAP_MAX: u64 = 1_000_000;
/// Says in a certification why it was made.
const NOTATION: &str = "trust@kontalk.net";
