//! How nodes tell each other what they know: `sync` compares and answers with what the other lacks, `push` hands on what is new. Our
//! own namespace `urn:kontalk:vote:0`, over streams between nodes alone.
//!
//! Limits: [`OBJECT_BYTES_MAX`] for each object, [`OBJECTS_PER_STANZA_MAX`] of them in a stanza, [`HAVE_MAX`] names to compare by,
//! votes of today's voters alone and at most [`ROUNDS_AHEAD_MAX`] rounds ahead. Kinds that are not known are passed over.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::chain::Chain;
use super::id::{EpochId, NetworkId};
use super::message::{Propose, Vote};
use super::object::{Object, ObjectKind, Prefix};
use super::objection::Objection;
use super::pool::Refusal;
use super::text::OBJECT_BYTES_MAX;
use crate::trust::{NodeDomain, NoteSignature};
use crate::xml::{Element, ns};

/// What one node asks another: where are you, and what have you that I lack?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// In which network.
    pub network: NetworkId,
    /// The number of the last epoch of who asks.
    pub number: u64,
    /// And its id.
    pub head: EpochId,
    /// What it has of what waits.
    pub have: BTreeSet<Prefix>,
}

/// The answer to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncAnswer {
    /// The number of the last epoch of who answers.
    pub number: u64,
    /// And its id; `None` if it is not in that network.
    pub head: Option<EpochId>,
    /// What the other lacks.
    pub objects: Objects,
    /// What it would have in turn.
    pub want: BTreeSet<Prefix>,
}

/// Objects of a stanza.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// Those of the right form, in order.
    pub read: Vec<Object>,
    /// How many were not: the peer's fault, which it pays for.
    pub malformed: usize,
}

/// Why an element is not what its name says. The peer's fault: `bad-request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GossipError;

impl std::fmt::Display for GossipError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not what nodes of a network tell each other, or too much of it")
    }
}

impl std::error::Error for GossipError {}

impl Sync {
    /// Writes it.
    pub fn to_element(&self) -> Element {
        let sync = Element::new("sync", ns::KONTALK_VOTE)
            .with("network", self.network.to_string())
            .with("epoch", self.number.to_string())
            .with("head", self.head.to_string());
        sync.with_child(prefixes("have", &self.have))
    }

    /// Reads it.
    pub fn read(element: &Element) -> Result<Sync, GossipError> {
        if !element.is("sync", ns::KONTALK_VOTE) {
            return Err(GossipError);
        }
        let attribute = |name: &str| element.attribute(name).ok_or(GossipError);
        Ok(Sync {
            network: attribute("network")?.parse().map_err(|_| GossipError)?,
            number: attribute("epoch")?.parse().map_err(|_| GossipError)?,
            head: attribute("head")?.parse().map_err(|_| GossipError)?,
            have: read_prefixes(element, "have")?,
        })
    }
}

impl SyncAnswer {
    /// Writes it. Who calls has seen to it that it fits ([`batches`]).
    pub fn to_element(&self) -> Element {
        let mut sync = Element::new("sync", ns::KONTALK_VOTE).with("epoch", self.number.to_string());
        if let Some(head) = self.head {
            sync.set_attribute("head", head.to_string());
        }
        self.objects.read.iter().for_each(|object| sync.push(object_element(object)));
        if !self.want.is_empty() {
            sync.push(prefixes("want", &self.want));
        }
        sync
    }

    /// Reads it.
    pub fn read(element: &Element) -> Result<SyncAnswer, GossipError> {
        if !element.is("sync", ns::KONTALK_VOTE) {
            return Err(GossipError);
        }
        let head = element.attribute("head").map(|head| head.parse().map_err(|_| GossipError)).transpose()?;
        Ok(SyncAnswer {
            number: element.attribute("epoch").and_then(|number| number.parse().ok()).ok_or(GossipError)?,
            head,
            objects: read_objects(element)?,
            want: read_prefixes(element, "want")?,
        })
    }
}

/// Writes a `push`.
pub fn push_element(objects: &[Object]) -> Element {
    objects.iter().fold(Element::new("push", ns::KONTALK_VOTE), |push, object| push.with_child(object_element(object)))
}

/// Reads a `push`.
pub fn read_push(element: &Element) -> Result<Objects, GossipError> {
    if element.is("push", ns::KONTALK_VOTE) { read_objects(element) } else { Err(GossipError) }
}

/// Cuts what is to be told into pieces that fit into a stanza each, in order. What is too long for any is left out.
pub fn batches(objects: Vec<Object>) -> Vec<Vec<Object>> {
    let mut batches: Vec<Vec<Object>> = Vec::new();
    let mut room = 0;
    for object in objects {
        let bytes = object.to_bytes().len();
        if bytes > OBJECT_BYTES_MAX {
            continue;
        }
        match batches.last_mut().filter(|batch| bytes <= room && batch.len() < OBJECTS_PER_STANZA_MAX) {
            Some(batch) => batch.push(object),
            None => {
                batches.push(vec![object]);
                room = STANZA_OBJECT_BYTES_MAX;
            }
        }
        room = room.saturating_sub(bytes);
    }
    batches
}

/// May this vote be kept? It is on the next epoch, at most [`ROUNDS_AHEAD_MAX`] rounds ahead of ours, and of a voter, who is returned.
pub fn judge_vote(chain: &Chain, round: u32, vote: &Vote, line: &NoteSignature) -> Result<NodeDomain, Refusal> {
    judge_message(chain, round, (vote.network, vote.epoch, vote.round), &vote.to_text(), line)
}

/// The same for what a round's proposer says; whose turn it is, the ordering knows.
pub fn judge_propose(
    chain: &Chain,
    round: u32,
    propose: &Propose,
    line: &NoteSignature,
) -> Result<NodeDomain, Refusal> {
    judge_message(chain, round, (propose.network, propose.epoch, propose.round), &propose.to_text(), line)
}

fn judge_message(
    chain: &Chain,
    own_round: u32,
    (network, epoch, round): (NetworkId, u64, u32),
    text: &str,
    line: &NoteSignature,
) -> Result<NodeDomain, Refusal> {
    if network != chain.network() {
        return Err(Objection::OtherNetwork.into());
    }
    if epoch != chain.number() + 1 {
        return Err(Objection::Number.into());
    }
    if round > own_round.saturating_add(ROUNDS_AHEAD_MAX) {
        return Err(Refusal::NotNeeded);
    }
    let domain = super::pool::voter_of(chain, line).ok_or(Refusal::NotSigned)?;
    let key = chain.card_of(&domain).map(|card| card.vote());
    if key.is_some_and(|key| key.has_signed(text, line)) { Ok(domain) } else { Err(Refusal::NotSigned) }
}

fn object_element(object: &Object) -> Element {
    let bytes = STANDARD.encode(object.to_bytes());
    Element::new("o", ns::KONTALK_VOTE).with("t", object.kind().as_str()).with_text(&bytes)
}

fn read_objects(element: &Element) -> Result<Objects, GossipError> {
    let mut objects = Objects::default();
    let children = element.children().filter(|child| child.is("o", ns::KONTALK_VOTE));
    for (count, child) in children.enumerate() {
        if count == OBJECTS_PER_STANZA_MAX {
            return Err(GossipError);
        }
        // A later version may know more kinds.
        let Some(kind) = child.attribute("t").and_then(ObjectKind::parse) else { continue };
        let text = child.text();
        let bytes = (text.len() <= OBJECT_BYTES_MAX * 3 / 2).then(|| STANDARD.decode(text.trim()).ok()).flatten();
        match bytes.and_then(|bytes| Object::parse(kind, &bytes).ok()) {
            Some(object) => objects.read.push(object),
            None => objects.malformed += 1,
        }
    }
    Ok(objects)
}

fn prefixes(name: &'static str, prefixes: &BTreeSet<Prefix>) -> Element {
    let bytes: Vec<u8> = prefixes.iter().take(HAVE_MAX).flatten().copied().collect();
    Element::new(name, ns::KONTALK_VOTE).with_text(&STANDARD.encode(bytes))
}

fn read_prefixes(element: &Element, name: &str) -> Result<BTreeSet<Prefix>, GossipError> {
    let Some(child) = element.child(name, ns::KONTALK_VOTE) else { return Ok(BTreeSet::new()) };
    let text = child.text();
    if text.len() > HAVE_MAX * 8 * 3 / 2 {
        return Err(GossipError);
    }
    let bytes = STANDARD.decode(text.trim()).map_err(|_| GossipError)?;
    let (prefixes, rest) = bytes.as_chunks::<8>();
    if rest.is_empty() && prefixes.len() <= HAVE_MAX {
        Ok(prefixes.iter().copied().collect())
    } else {
        Err(GossipError)
    }
}

/// Objects in one stanza.
pub const OBJECTS_PER_STANZA_MAX: usize = 256;
/// Names in one list to compare by: 32 KiB.
pub const HAVE_MAX: usize = 4096;
/// Rounds that a vote may be ahead of ours.
pub const ROUNDS_AHEAD_MAX: u32 = 100;
/// Bytes of all objects in a stanza, before base64 makes a third more of them and each has its tag: a stanza has 256 KiB.
const STANZA_OBJECT_BYTES_MAX: usize = 128 * 1024;
