//! Other nodes and visitors: cards, reaches, our own signatures on others' keys, what was decided, who is here from where.

use serde::{Deserialize, Serialize};

use super::account::{self, forget_belongings, put_ring, renew_roster};
use super::changes::{self, Changes};
use super::record::{decode_or_set_aside, encode};
use super::schema::{Trees, address, node_key, node_prefix, split_key, visit_key};
use super::{Account, Fingerprint, Store, StoreError};
use crate::jid::BareJid;
use crate::limits::{NODE_CERTIFICATE_BYTES_MAX, NODES_MAX};
use crate::router::Ticket;
use crate::stanza::Timestamp;
use crate::trust::{NOTE_BYTES_MAX, NodeDomain, State, Visitor};

/// What was decided about another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// What it is to us.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// What the operator said of it; empty: nothing.
    pub reason: String,
    /// Ids of cards of it that were pinned before, the latest last.
    pub former_cards: Vec<[u8; 32]>,
}

/// The pinned card of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedCard {
    /// The signed card.
    pub note: String,
    /// The certificate of its OpenPGP key.
    pub certificate: Vec<u8>,
    /// The certificate of its key before, if that was another.
    pub former_certificate: Option<Vec<u8>>,
}

/// All that one decision about a node writes, in one transaction.
#[derive(Clone, Debug, Default)]
pub struct PeerChange {
    /// What was decided; `Some(None)` forgets the node but for its card.
    pub peer: Option<Option<Peer>>,
    /// Another card is pinned.
    pub card: Option<PinnedCard>,
    /// Our signatures on the key with this kid, in place of those before; OpenPGP packets.
    pub words: Vec<([u8; 32], Vec<u8>)>,
    /// Its reach; replaces an older one.
    pub reach: Option<String>,
}

/// Somebody who is here from another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// His address at home.
    pub home_address: String,
    /// His home's domain, in ASCII.
    pub home: String,
    /// When he came first.
    pub since: Timestamp,
    /// When he logged in last.
    pub seen: Timestamp,
}

impl Visit {
    /// The address at home.
    pub fn home_address(&self) -> Option<BareJid> {
        self.home_address.parse().ok()
    }

    /// The home.
    pub fn home(&self) -> Option<NodeDomain> {
        NodeDomain::parse(&self.home).ok()
    }
}

impl Store {
    /// What was decided about a node.
    pub fn peer(&self, node: &NodeDomain) -> Result<Option<Peer>, StoreError> {
        self.read(|shared| peer(&shared.trees, node))
    }

    /// All nodes about which something was decided, by name.
    pub fn peers(&self) -> Result<Vec<(NodeDomain, Peer)>, StoreError> {
        self.read(|shared| {
            let mut peers = Vec::new();
            for pair in shared.trees.peer.iter() {
                let (key, value) = pair?;
                let node = std::str::from_utf8(&key).ok().and_then(|name| NodeDomain::parse(name).ok());
                let peer = decode_or_set_aside(&shared.trees, &shared.trees.peer, &key, &value)?;
                peers.extend(node.zip(peer));
            }
            Ok(peers)
        })
    }

    /// The pinned card of a node.
    pub fn card(&self, node: &NodeDomain) -> Result<Option<PinnedCard>, StoreError> {
        self.read(|shared| {
            let get = |part: &str| shared.trees.card.get(node_key(node, part.as_bytes()));
            let (note, certificate, former) = (get(CARD)?, get(CERTIFICATE)?, get(FORMER)?);
            let note = note.and_then(|note| String::from_utf8(note.to_vec()).ok());
            Ok(note.zip(certificate).map(|(note, certificate)| PinnedCard {
                note,
                certificate: certificate.to_vec(),
                former_certificate: former.map(|former| former.to_vec()),
            }))
        })
    }

    /// The newest reach that is known of a node; our own under our own name.
    pub fn reach(&self, node: &NodeDomain) -> Result<Option<String>, StoreError> {
        self.read(|shared| {
            let found = shared.trees.reach.get(node.as_str())?;
            Ok(found.and_then(|note| String::from_utf8(note.to_vec()).ok()))
        })
    }

    /// Our own signatures on the key of a node with this kid, as OpenPGP packets.
    pub fn own_words(&self, node: &NodeDomain, kid: &[u8; 32]) -> Result<Vec<u8>, StoreError> {
        self.read(|shared| {
            let found = shared.trees.edge.get(node_key(node, kid))?;
            Ok(found.map(|words| words.to_vec()).unwrap_or_default())
        })
    }

    /// Writes a decision about a node: state, card and signatures together or not at all.
    ///
    /// Errors: [`StoreError::TooLarge`]; [`StoreError::Full`] when it would be one node too many.
    pub fn decide_peer(&self, node: &NodeDomain, change: PeerChange) -> Result<Ticket, StoreError> {
        change.check()?;
        self.write(|shared, _| {
            let trees = &shared.trees;
            let is_new = trees.peer.get(node.as_str())?.is_none();
            if is_new && matches!(change.peer, Some(Some(_))) && trees.peer.len() >= NODES_MAX {
                return Err(StoreError::Full);
            }
            let mut changes = Changes::default();
            match &change.peer {
                Some(Some(peer)) => changes.put(&trees.peer, node.as_str().into(), encode(peer)?),
                Some(None) => changes.remove(&trees.peer, node.as_str().as_bytes()),
                None => {}
            }
            if let Some(card) = change.card {
                changes.put(&trees.card, node_key(node, CARD.as_bytes()), card.note.into_bytes());
                changes.put(&trees.card, node_key(node, CERTIFICATE.as_bytes()), card.certificate);
                match card.former_certificate {
                    Some(former) => changes.put(&trees.card, node_key(node, FORMER.as_bytes()), former),
                    None => changes.remove(&trees.card, &node_key(node, FORMER.as_bytes())),
                }
            }
            for (kid, words) in change.words {
                changes.put(&trees.edge, node_key(node, &kid), words);
            }
            if let Some(reach) = change.reach {
                changes.put(&trees.reach, node.as_str().into(), reach.into_bytes());
            }
            changes.apply()?;
            Ok(shared.commits.wrote())
        })
    }

    /// The latest time ever seen; 1970 on a new store.
    pub fn clock_floor(&self) -> Result<Timestamp, StoreError> {
        self.read(|shared| {
            let found = shared.trees.meta.get(CLOCK_FLOOR)?;
            let millis = found.and_then(|value| <[u8; 8]>::try_from(value.as_ref()).ok()).map_or(0, u64::from_be_bytes);
            Ok(Timestamp { millis })
        })
    }

    /// Notes the time, if it is later than ever before; becomes durable within half a minute.
    pub fn raise_clock_floor(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.clock_floor()? >= now {
            return Ok(());
        }
        self.write(|shared, _| {
            changes::put(&shared.trees.meta, CLOCK_FLOOR, now.millis.to_be_bytes().as_slice())?;
            shared.commits.wrote_lazily();
            Ok(())
        })
    }

    /// The clock is right, says the operator, though it was later once.
    pub fn set_clock_floor(&self, now: Timestamp) -> Result<Ticket, StoreError> {
        self.write(|shared, _| {
            changes::put(&shared.trees.meta, CLOCK_FLOOR, now.millis.to_be_bytes().as_slice())?;
            Ok(shared.commits.wrote())
        })
    }

    /// The visit that an address here is, if it is one.
    pub fn visit(&self, account: &BareJid) -> Result<Option<Visit>, StoreError> {
        self.read(|shared| visit(&shared.trees, account))
    }

    /// Who is here from a home.
    pub fn visitors_of(&self, home: &NodeDomain) -> Result<Vec<BareJid>, StoreError> {
        self.read(|shared| {
            let mut found = Vec::new();
            for key in shared.trees.kill.scan_prefix(node_prefix(home)).keys() {
                let key = key?;
                found.extend(split_key(&key).and_then(|(_, account)| address(account)));
            }
            Ok(found)
        })
    }

    /// All who are here from elsewhere.
    pub fn visitors(&self) -> Result<Vec<(BareJid, Visit)>, StoreError> {
        self.read(|shared| {
            let mut found = Vec::new();
            for pair in shared.trees.visitors.iter() {
                let (key, value) = pair?;
                let visit = decode_or_set_aside(&shared.trees, &shared.trees.visitors, &key, &value)?;
                found.extend(address(&key).zip(visit));
            }
            Ok(found)
        })
    }

    /// How many are here from elsewhere, and from this home.
    pub fn count_visitors(&self, home: &NodeDomain) -> Result<(usize, usize), StoreError> {
        self.read(|shared| Ok((shared.trees.visitors.len(), shared.trees.kill.scan_prefix(node_prefix(home)).count())))
    }

    /// A visitor comes in: he has an address here from now on, and his key is known. What another key of his left goes first.
    /// A visitor who is known already costs no write that is waited for.
    ///
    /// Errors: [`StoreError::TooLarge`]; [`StoreError::AccountExists`] if an account of our own has the name.
    pub fn admit_visitor(&self, visitor: &Visitor, ring: &[u8], now: Timestamp) -> Result<Ticket, StoreError> {
        account::check_ring(ring)?;
        self.write(|shared, queues| {
            let trees = &shared.trees;
            let place = &visitor.address;
            let key: Fingerprint = visitor.key.0;
            let old = account::account(trees, place)?;
            let before = visit(trees, place)?;
            if old.is_some() && before.is_none() {
                return Err(StoreError::AccountExists);
            }
            let stored = account::read_ring(trees, &key)?;
            let record = Visit {
                home_address: visitor.home_address.to_string(),
                home: visitor.home.to_string(),
                since: before.as_ref().map_or(now, |visit| visit.since),
                seen: now,
            };
            let same_home = before.as_ref().is_some_and(|visit| visit.home == record.home);
            let same_key = old.as_ref().is_some_and(|old| old.fingerprint == Some(key));
            if same_home && same_key && stored.as_deref() == Some(ring) {
                changes::put(&trees.visitors, place.as_str(), encode(&record)?)?;
                shared.commits.wrote_lazily();
                return Ok(shared.commits.last_written());
            }
            let mut changes = Changes::default();
            if let Some(old) = &old
                && !same_key
            {
                forget_belongings(&mut changes, trees, place)?;
                renew_roster(&mut changes, trees, place, now)?;
                if let Some(former) = old.fingerprint {
                    changes.remove_all(&trees.rings, &former)?;
                }
            }
            if let Some(home) = before.as_ref().and_then(Visit::home) {
                changes.remove(&trees.kill, &visit_key(&home, place));
            }
            let fresh = Account { fingerprint: Some(key), ..Account::new(now) };
            let account = old.filter(|_| same_key).unwrap_or(fresh);
            changes.put(&trees.accounts, place.as_str().into(), encode(&account)?);
            put_ring(&mut changes, trees, &key, ring)?;
            changes.put(&trees.visitors, place.as_str().into(), encode(&record)?);
            changes.put(&trees.kill, visit_key(&visitor.home, place), Vec::new());
            changes.apply()?;
            if !same_key {
                queues.forget(place);
            }
            Ok(shared.commits.wrote())
        })
    }
}

impl PeerChange {
    fn check(&self) -> Result<(), StoreError> {
        let too_large = |bytes_max| Err(StoreError::TooLarge { bytes_max });
        let notes = [self.card.as_ref().map(|card| card.note.len()), self.reach.as_ref().map(String::len)];
        if notes.into_iter().flatten().any(|length| length > NOTE_BYTES_MAX) {
            return too_large(NOTE_BYTES_MAX);
        }
        let certificates =
            self.card.iter().flat_map(|card| [Some(&card.certificate), card.former_certificate.as_ref()]);
        let words = self.words.iter().map(|(_, words)| words);
        if certificates.flatten().chain(words).any(|bytes| bytes.len() > NODE_CERTIFICATE_BYTES_MAX) {
            return too_large(NODE_CERTIFICATE_BYTES_MAX);
        }
        Ok(())
    }
}

/// The address is no visitor's any more: an account of our own has it, or nobody.
pub(super) fn forget_visit<'a>(
    changes: &mut Changes<'a>,
    trees: &'a Trees,
    account: &BareJid,
) -> Result<(), StoreError> {
    if let Some(visit) = visit(trees, account)? {
        changes.remove(&trees.visitors, account.as_str().as_bytes());
        if let Some(home) = visit.home() {
            changes.remove(&trees.kill, &visit_key(&home, account));
        }
    }
    Ok(())
}

fn visit(trees: &Trees, account: &BareJid) -> Result<Option<Visit>, StoreError> {
    match trees.visitors.get(account.as_str())? {
        Some(value) => decode_or_set_aside(trees, &trees.visitors, account.as_str().as_bytes(), &value),
        None => Ok(None),
    }
}

fn peer(trees: &Trees, node: &NodeDomain) -> Result<Option<Peer>, StoreError> {
    match trees.peer.get(node.as_str())? {
        Some(value) => decode_or_set_aside(trees, &trees.peer, node.as_str().as_bytes(), &value),
        None => Ok(None),
    }
}

const CARD: &str = "card";
const CERTIFICATE: &str = "certificate";
const FORMER: &str = "former";
const CLOCK_FLOOR: &str = "clock_floor";
