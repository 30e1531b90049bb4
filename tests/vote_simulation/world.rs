//! A network in one queue of events: nodes that run the shipping core, links with delays, and what goes wrong.
//!
//! Time is in milliseconds. A node's disk (journal, texts, a decided epoch) outlives its crashes, its memory does not. Links lose
//! what is on the way to a node that is down; what was lost is learned by comparing with two peers, after a start, after a link
//! came back and each ten minutes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use kontalk_node::vote::ordering::{
    Action, Certificate, Electorate, Entry, Message, Ordering, Phase, Said, Signature, Texts, Timer, Validity, ValueId,
    Voter,
};
use kontalk_node::vote::quorum;

use super::attack::Attacker;
use super::dice::{Dice, mix};

pub const SECOND: u64 = 1000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;
pub const EPOCH: u64 = 1;
/// How long a node collects what it has to forward.
const COLLECT: u64 = 200;
pub const UNSIGNED: Signature = Signature([0; 64]);

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Honest,
    /// Says nothing, ever.
    Silent,
    /// Is one of the attacker's.
    Rogue,
    /// Keeps to the rules of voting, but tells each thing only to some, and forwards nothing to the others.
    Withholder,
}

/// What travels.
#[derive(Clone)]
pub enum Item {
    Said(Message),
    Text(ValueId),
    Want(ValueId),
}

/// What a node knows of values: rivals have the first byte 1, what the rogue invent 2; both are valid when their text is here.
pub struct Shelf {
    pub here: BTreeSet<ValueId>,
    pub approved: BTreeSet<ValueId>,
}

impl Texts for Shelf {
    fn valid(&self, value: &ValueId) -> Validity {
        if self.here.contains(value) { Validity::Valid } else { Validity::Missing(vec![value.0]) }
    }

    fn candidate(&self) -> Option<ValueId> {
        self.approved.first().copied()
    }
}

pub struct Node {
    pub role: Role,
    pub up: bool,
    pub core: Ordering,
    pub journal: Vec<Entry>,
    /// The quorum behind the lock, on the disk as the journal is.
    kept: Option<Arc<Certificate>>,
    pub shelf: Shelf,
    pub decided: Option<(Arc<Certificate>, u64)>,
    pub peers: Vec<usize>,
    boot: u32,
    may_vote: bool,
    outbox: Vec<Item>,
    collecting: bool,
    helped: HashSet<usize>,
}

enum Event {
    Deliver { from: usize, to: usize, items: Rc<Vec<Item>> },
    Timer { node: usize, boot: u32, timer: Timer },
    Flush(usize),
    Compare(usize, bool),
    Up(usize),
    Down(usize),
    Approve(usize, ValueId),
    Attack(usize, u32),
}

/// What is played.
#[derive(Clone, Default)]
pub struct Setup {
    pub n: usize,
    pub silent: usize,
    pub rogue: usize,
    pub withholders: usize,
    /// Percent of the time that an honest node is up; 0: always.
    pub uptime: u64,
    /// Sizes of the parts in percent, and until when.
    pub parted: Vec<u64>,
    pub parted_until: u64,
    /// Links come and go, until `parted_until`.
    pub flapping: bool,
    /// An honest node crashes at this action that touches its journal (counted over all), and which side of it.
    pub crash: Option<(u64, bool)>,
    /// After the crash the disk is what it was so many entries before.
    pub restored: Option<usize>,
    /// How the rogue choose; see `attack`.
    pub genome: Vec<u8>,
    /// The rogue delay what honest nodes say to each other, until then.
    pub delays_until: u64,
}

pub struct World {
    pub now: u64,
    pub nodes: Vec<Node>,
    pub electorate: Electorate,
    pub setup: Setup,
    pub dice: Dice,
    pub attacker: Attacker,
    pub doubles: BTreeSet<Voter>,
    pub double_votes: u64,
    pub abstained: u64,
    pub messages: u64,
    pub faults: Vec<String>,
    parts: Vec<u8>,
    seed: u64,
    sequence: u64,
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
    said: BTreeMap<(usize, u32, u8), Entry>,
    journal_points: u64,
}

impl World {
    pub fn new(setup: &Setup, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let n = setup.n;
        let parent = bytes(mix(seed), 9);
        let kids = (0..n as u64).map(|at| bytes(at, 7)).collect();
        let electorate = Electorate::new(parent, kids).expect("an electorate");
        let mut roles = vec![Role::Honest; n];
        let bad = dice.pick(n, setup.silent + setup.rogue + setup.withholders);
        for (at, node) in bad.into_iter().enumerate() {
            roles[node] = match at {
                _ if at < setup.silent => Role::Silent,
                _ if at < setup.silent + setup.rogue => Role::Rogue,
                _ => Role::Withholder,
            };
        }
        let peers = links(n, &mut dice);
        let nodes = roles.into_iter().zip(peers).enumerate().map(|(at, (role, peers))| {
            let (core, _) = Ordering::start(EPOCH, electorate.clone(), Some(voter(at)), true, Said::default());
            Node {
                role,
                up: true,
                core,
                journal: Vec::new(),
                kept: None,
                shelf: Shelf { here: BTreeSet::new(), approved: BTreeSet::new() },
                decided: None,
                peers,
                boot: 0,
                may_vote: true,
                outbox: Vec::new(),
                collecting: false,
                helped: HashSet::new(),
            }
        });
        let nodes: Vec<Node> = nodes.collect();
        let attacker = Attacker::new(setup.genome.clone(), &nodes, &mut dice);
        let mut world = Self {
            now: 0,
            nodes,
            electorate,
            setup: setup.clone(),
            dice,
            attacker,
            doubles: BTreeSet::new(),
            double_votes: 0,
            abstained: 0,
            messages: 0,
            faults: Vec::new(),
            parts: Vec::new(),
            seed,
            sequence: 0,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            said: BTreeMap::new(),
            journal_points: 0,
        };
        world.prepare();
        world
    }

    fn prepare(&mut self) {
        let n = self.setup.n;
        let mut part = 0;
        let mut share = 0;
        for at in 0..n {
            while part + 1 < self.setup.parted.len()
                && (at as u64 * 100) >= (share + self.setup.parted[part]) * n as u64
            {
                share += self.setup.parted[part];
                part += 1;
            }
            self.parts.push(part as u8);
        }
        // Three rival values, each first known somewhere else.
        for rival in 0..3 {
            let honest: Vec<usize> = (0..n).filter(|at| self.nodes[*at].role == Role::Honest).collect();
            let at = honest[self.dice.below(honest.len() as u64) as usize];
            let delay = self.dice.below(5 * SECOND);
            self.later(delay, Event::Approve(at, ValueId(bytes(rival, 1))));
        }
        for at in 0..n {
            let first = self.dice.below(10 * MINUTE);
            self.later(first, Event::Compare(at, true));
            if self.setup.uptime > 0 && self.nodes[at].role == Role::Honest {
                let up = self.dice.chance(self.setup.uptime);
                self.nodes[at].up = up;
                self.change(at, up);
            }
        }
    }

    /// Plays until all honest nodes have decided, or until `end`.
    pub fn play(&mut self, end: u64) {
        let mut left = self.undecided();
        while left > 0 {
            let Some(Reverse((at, _, slot))) = self.queue.pop() else { break };
            if at > end {
                break;
            }
            self.now = at;
            let Some(event) = self.events[slot].take() else { continue };
            self.free.push(slot);
            let decides = self.happen(event);
            if decides {
                left = self.undecided();
            }
        }
    }

    fn undecided(&self) -> usize {
        self.honest().filter(|node| node.decided.is_none()).count()
    }

    pub fn honest(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.role == Role::Honest)
    }

    fn later(&mut self, delay: u64, event: Event) {
        self.sequence += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[slot] = Some(event);
        self.queue.push(Reverse((self.now + delay, self.sequence, slot)));
    }

    fn change(&mut self, at: usize, up: bool) {
        let uptime = self.setup.uptime;
        let share = if up { uptime } else { 100 - uptime };
        let lasts = self.dice.lifetime(2 * HOUR * share / 100);
        self.later(lasts, if up { Event::Down(at) } else { Event::Up(at) });
    }

    fn happen(&mut self, event: Event) -> bool {
        match event {
            Event::Deliver { from, to, items } => return self.deliver(from, to, &items),
            Event::Timer { node, boot, timer } => {
                let one = &mut self.nodes[node];
                if one.up && one.boot == boot && one.decided.is_none() {
                    let actions = one.core.expired(timer, &one.shelf);
                    return self.perform(node, actions);
                }
            }
            Event::Flush(node) => self.flush(node),
            Event::Compare(node, again) => {
                self.compare(node);
                if again {
                    self.later(10 * MINUTE, Event::Compare(node, true));
                }
            }
            Event::Up(node) => return self.start(node),
            Event::Down(node) => {
                self.stop(node);
                if self.setup.uptime > 0 {
                    self.change(node, false);
                }
            }
            Event::Approve(node, value) => {
                if !self.nodes[node].up {
                    self.later(MINUTE, Event::Approve(node, value));
                    return false;
                }
                return self.learn(node, value);
            }
            Event::Attack(rogue, round) => self.attack(rogue, round),
        }
        false
    }

    fn stop(&mut self, node: usize) {
        let one = &mut self.nodes[node];
        one.up = false;
        one.boot += 1;
        one.outbox.clear();
    }

    fn start(&mut self, node: usize) -> bool {
        let one = &mut self.nodes[node];
        one.up = true;
        one.helped.clear();
        let mut decides = false;
        if one.decided.is_none() {
            let said = Said::read(EPOCH, &one.journal);
            let (core, actions) =
                Ordering::start(EPOCH, self.electorate.clone(), Some(voter(node)), one.may_vote, said);
            one.core = core;
            decides |= self.perform(node, actions);
            let one = &mut self.nodes[node];
            if let Some(kept) = one.kept.clone()
                && let Ok(actions) = one.core.hear(Message::Certificate(kept), &one.shelf)
            {
                decides |= self.perform(node, actions);
            }
            let one = &mut self.nodes[node];
            let actions = one.core.approved(&one.shelf);
            decides |= self.perform(node, actions);
        }
        self.later(SECOND, Event::Compare(node, false));
        if self.setup.uptime > 0 {
            self.change(node, true);
        }
        decides
    }

    /// A text became known here, and is told.
    pub fn learn(&mut self, node: usize, value: ValueId) -> bool {
        let one = &mut self.nodes[node];
        if !one.shelf.here.insert(value) {
            return false;
        }
        if value.0[0] == 1 {
            one.shelf.approved.insert(value);
        }
        self.post(node, Item::Text(value));
        let one = &mut self.nodes[node];
        if one.decided.is_some() {
            return false;
        }
        let mut actions = one.core.texts_changed(&one.shelf);
        actions.extend(one.core.approved(&one.shelf));
        self.perform(node, actions)
    }

    fn deliver(&mut self, from: usize, to: usize, items: &Rc<Vec<Item>>) -> bool {
        let one = &self.nodes[to];
        if !one.up || one.role == Role::Silent {
            return false;
        }
        if one.role == Role::Rogue {
            self.overhear(to, items);
            return false;
        }
        let mut decides = false;
        for item in items.iter() {
            match item {
                Item::Text(value) => decides |= self.learn(to, *value),
                Item::Want(value) => {
                    if self.nodes[to].shelf.here.contains(value) {
                        self.send(to, from, Rc::new(vec![Item::Text(*value)]));
                    }
                }
                Item::Said(message) => {
                    let one = &mut self.nodes[to];
                    if let Some((certificate, _)) = &one.decided {
                        // The other has an older head.
                        let vote = matches!(message, Message::Vote(..) | Message::Proposal(..));
                        if vote && one.helped.insert(from) {
                            let whole = vec![
                                Item::Text(certificate.vote.value.expect("a value")),
                                Item::Said(Message::Certificate(certificate.clone())),
                            ];
                            self.send(to, from, Rc::new(whole));
                        }
                        continue;
                    }
                    match one.core.hear(message.clone(), &one.shelf) {
                        Ok(actions) if actions.is_empty() => {}
                        Ok(actions) => decides |= self.perform(to, actions),
                        Err(refusal) => self.faults.push(format!("refused: {refusal}")),
                    }
                }
            }
        }
        decides
    }

    /// Does what the core of a node wants. Whether it decided.
    fn perform(&mut self, node: usize, actions: Vec<Action>) -> bool {
        let mut decides = false;
        for action in actions {
            match action {
                Action::Journal(entry) => {
                    if self.crashes(node, true) {
                        return decides;
                    }
                    self.nodes[node].journal.push(entry);
                    if self.crashes(node, false) {
                        return decides;
                    }
                }
                Action::Keep(certificate) => self.nodes[node].kept = Some(certificate),
                Action::Say(entry) => {
                    self.watch(node, entry);
                    let message = signed(node, entry);
                    let one = &mut self.nodes[node];
                    if let Ok(actions) = one.core.hear(message, &one.shelf) {
                        decides |= self.perform(node, actions);
                    }
                    if !self.nodes[node].up {
                        return decides;
                    }
                }
                Action::Forward(message) => self.post(node, Item::Said(message)),
                Action::Arm(timer, after) => {
                    if let Timer::Propose(round) = timer {
                        self.rouse(round);
                    }
                    let boot = self.nodes[node].boot;
                    self.later(after.as_millis() as u64, Event::Timer { node, boot, timer });
                }
                Action::WantTexts(value, _) => {
                    let peers = self.nodes[node].peers.clone();
                    let wanted = Rc::new(vec![Item::Want(value)]);
                    for at in self.dice.pick(peers.len(), 4) {
                        self.send(node, peers[at], wanted.clone());
                    }
                }
                Action::Evidence(double) => {
                    self.double_votes += 1;
                    self.doubles.insert(double.voter);
                    if self.nodes[usize::from(double.voter.0)].role != Role::Rogue {
                        self.faults.push(format!("double vote of an honest node: {double:?}"));
                    }
                }
                Action::Abstain => self.abstained += 1,
                Action::Disagree(value) => self.faults.push(format!("disagrees about {value:?}")),
                Action::Decided(certificate) => {
                    self.nodes[node].decided = Some((certificate, self.now));
                    decides = true;
                }
            }
        }
        decides
    }

    /// Whether a node is killed at this point of its journal: before the entry is written, or after it and before it is sent.
    fn crashes(&mut self, node: usize, before: bool) -> bool {
        let Some((point, side)) = self.setup.crash else { return false };
        if self.nodes[node].role != Role::Honest || before != side {
            return false;
        }
        self.journal_points += 1;
        if self.journal_points != point {
            return false;
        }
        if let Some(older) = self.setup.restored {
            let kept = self.nodes[node].journal.len().saturating_sub(older);
            self.nodes[node].journal.truncate(kept);
            self.nodes[node].may_vote = false;
        }
        self.stop(node);
        let down = self.dice.between(SECOND, 3 * MINUTE);
        self.later(down, Event::Up(node));
        true
    }

    /// Nobody honest ever says a second thing.
    fn watch(&mut self, node: usize, entry: Entry) {
        let key = match entry {
            Entry::Proposal(proposal) => (node, proposal.round, 0),
            Entry::Vote(vote) => (node, vote.round, 1 + vote.phase as u8),
        };
        let before = *self.said.entry(key).or_insert(entry);
        if before != entry {
            self.faults.push(format!("node {node} said {before:?} and then {entry:?}"));
        }
    }

    /// The rogue see a round begin.
    fn rouse(&mut self, round: u32) {
        for rogue in self.attacker.begins(round) {
            let delay = self.dice.below(4 * SECOND);
            self.later(delay, Event::Attack(rogue, round));
        }
    }

    pub fn post(&mut self, node: usize, item: Item) {
        let one = &mut self.nodes[node];
        one.outbox.push(item);
        if !one.collecting {
            one.collecting = true;
            self.later(COLLECT, Event::Flush(node));
        }
    }

    fn flush(&mut self, node: usize) {
        let one = &mut self.nodes[node];
        one.collecting = false;
        let items = Rc::new(std::mem::take(&mut one.outbox));
        if items.is_empty() || !one.up {
            return;
        }
        for peer in one.peers.clone() {
            self.send(node, peer, items.clone());
        }
    }

    /// Puts items on a link, if there is one now.
    pub fn send(&mut self, from: usize, to: usize, items: Rc<Vec<Item>>) {
        if from == to || self.parted(from, to) {
            return;
        }
        let items = if self.nodes[from].role == Role::Withholder { self.withhold(from, to, &items) } else { items };
        if items.is_empty() {
            return;
        }
        self.messages += items.len() as u64;
        let mut delay = self.dice.between(500, 10 * SECOND);
        if self.now < self.setup.delays_until {
            delay += self.attacker.delay(from, to, self.now);
        }
        self.later(delay, Event::Deliver { from, to, items });
    }

    fn parted(&self, from: usize, to: usize) -> bool {
        if self.now >= self.setup.parted_until {
            return false;
        }
        if self.setup.flapping {
            let (low, high) = (from.min(to) as u64, from.max(to) as u64);
            return mix(self.seed ^ (low << 40) ^ (high << 20) ^ (self.now / (3 * MINUTE))) % 100 < 60;
        }
        self.parts[from] != self.parts[to] && self.nodes[from].role != Role::Rogue && self.nodes[to].role != Role::Rogue
    }

    /// A withholder tells a thing to about half of the others, always the same, and a text to one in eight.
    fn withhold(&self, from: usize, to: usize, items: &[Item]) -> Rc<Vec<Item>> {
        let told = |item: &&Item| {
            let (kind, round, of) = match item {
                Item::Said(Message::Certificate(certificate)) => (1, certificate.vote.round, 2),
                Item::Said(message) => (2, message.round(), 2),
                Item::Text(value) => (3, u32::from(value.0[1]), 8),
                Item::Want(_) => return true,
            };
            mix(self.seed ^ mix(from as u64 * 1009 + to as u64) ^ (u64::from(round) << 8) ^ kind).is_multiple_of(of)
        };
        Rc::new(items.iter().filter(told).cloned().collect())
    }

    /// Compares with two peers, both ways.
    fn compare(&mut self, node: usize) {
        if !self.nodes[node].up || matches!(self.nodes[node].role, Role::Silent | Role::Rogue) {
            return;
        }
        let mut all: Vec<usize> = (0..self.nodes.len()).filter(|peer| *peer != node).collect();
        all.retain(|peer| self.nodes[*peer].up && !self.parted(node, *peer));
        for at in self.dice.pick(all.len(), 2) {
            let peer = all[at];
            if matches!(self.nodes[peer].role, Role::Silent | Role::Rogue) {
                continue;
            }
            for (from, to) in [(node, peer), (peer, node)] {
                let items = self.difference(from, to);
                if !items.is_empty() {
                    self.send(from, to, Rc::new(items));
                }
            }
        }
    }

    fn difference(&self, from: usize, to: usize) -> Vec<Item> {
        let (a, b) = (&self.nodes[from], &self.nodes[to]);
        let mut items: Vec<Item> = a.shelf.here.difference(&b.shelf.here).copied().map(Item::Text).collect();
        if b.decided.is_some() {
            return items;
        }
        if let Some((certificate, _)) = &a.decided {
            items.push(Item::Said(Message::Certificate(certificate.clone())));
            return items;
        }
        let known: HashSet<u64> = b.core.messages().map(|message| key(&message)).collect();
        items.extend(a.core.messages().filter(|message| !known.contains(&key(message))).map(Item::Said));
        items
    }

    /// Two honest nodes that decided differently, if there are.
    pub fn fork(&self) -> Option<(Arc<Certificate>, Arc<Certificate>)> {
        let mut decided = self.honest().filter_map(|node| node.decided.as_ref()).map(|(certificate, _)| certificate);
        let first = decided.next()?;
        let other = decided.find(|other| other.vote.value != first.vote.value)?;
        Some((first.clone(), other.clone()))
    }

    /// For how many values the honest voted in one phase of one round, at most.
    pub fn most_divided(&self, phase: Phase) -> usize {
        let mut values: BTreeMap<u32, BTreeSet<ValueId>> = BTreeMap::new();
        for entry in self.said.values() {
            if let Entry::Vote(vote) = entry
                && vote.phase == phase
                && let Some(value) = vote.value
            {
                values.entry(vote.round).or_default().insert(value);
            }
        }
        values.values().map(BTreeSet::len).max().unwrap_or(0)
    }

    pub fn quorum(&self) -> usize {
        quorum(self.setup.n)
    }
}

/// Who talks to whom: everybody up to 20, then a ring and some by chance.
fn links(n: usize, dice: &mut Dice) -> Vec<Vec<usize>> {
    let mut peers = vec![BTreeSet::new(); n];
    for at in 0..n {
        let others = if n <= 20 { (0..n).collect() } else { [vec![(at + 1) % n], dice.pick(n, 3)].concat() };
        for other in others.into_iter().filter(|other| *other != at) {
            peers[at].insert(other);
            peers[other].insert(at);
        }
    }
    peers.into_iter().map(|peers| peers.into_iter().collect()).collect()
}

pub fn voter(at: usize) -> Voter {
    Voter(u16::try_from(at).expect("few nodes"))
}

pub fn signed(node: usize, entry: Entry) -> Message {
    match entry {
        Entry::Proposal(proposal) => Message::Proposal(voter(node), proposal, UNSIGNED),
        Entry::Vote(vote) => Message::Vote(voter(node), vote, UNSIGNED),
    }
}

/// An id that `number` gives, of a `kind`.
pub fn bytes(number: u64, kind: u8) -> [u8; 32] {
    let mut id = [0; 32];
    id[0] = kind;
    id[1] = number as u8;
    id[8..16].copy_from_slice(&number.to_be_bytes());
    id
}

fn key(message: &Message) -> u64 {
    let (kind, voter, vote) = match message {
        Message::Proposal(voter, proposal, _) => {
            return mix((u64::from(voter.0) << 40) ^ (u64::from(proposal.round) << 8) ^ 3);
        }
        Message::Vote(voter, vote, _) => (1, voter.0, vote),
        Message::Certificate(certificate) => (2, 0, &certificate.vote),
    };
    let value = vote.value.map_or(0, |value| {
        mix(u64::from(value.0[0]) << 16 ^ u64::from_be_bytes(value.0[8..16].try_into().expect("eight bytes")))
    });
    let phase = u64::from(vote.phase == Phase::Precommit);
    mix((u64::from(voter) << 40) ^ (u64::from(vote.round) << 8) ^ (phase << 4) ^ kind) ^ mix(value)
}
