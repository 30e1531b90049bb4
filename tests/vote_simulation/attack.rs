//! The attacker: all rogue nodes are his, he hears all they hear at once, sees who is honest, and speaks to each alone. What he
//! does is a genome: choices for round, phase and half of the honest, and delays of links. A search looks for worse genomes.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use kontalk_node::vote::ordering::{Certificate, Message, Phase, Proposal, ValueId, Vote};

use super::dice::{Dice, mix};
use super::world::{EPOCH, Item, MINUTE, Node, Role, UNSIGNED, World, bytes, voter};

/// Genes of one attacker.
pub const GENES: usize = 64;

pub struct Attacker {
    genome: Vec<u8>,
    rogues: Vec<usize>,
    half: Vec<bool>,
    begun: BTreeSet<u32>,
    proposed: BTreeMap<u32, ValueId>,
    quorums: BTreeMap<u32, (u32, ValueId)>,
}

/// What he says to one half in one phase.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Proposed,
    Nil,
    Nothing,
    First,
    Second,
    Both,
}

impl Attacker {
    pub fn new(genome: Vec<u8>, nodes: &[Node], dice: &mut Dice) -> Self {
        let rogues = nodes.iter().enumerate().filter(|(_, node)| node.role == Role::Rogue).map(|(at, _)| at).collect();
        // Halves of the honest that a partition would part as well.
        let n = nodes.len();
        let half = (0..n)
            .map(|at| if genome.first().is_some_and(|gene| gene % 2 == 0) { at * 2 >= n } else { dice.chance(50) });
        let half = half.collect();
        Self { genome, rogues, half, begun: BTreeSet::new(), proposed: BTreeMap::new(), quorums: BTreeMap::new() }
    }

    /// The rogues, if this round is new to them.
    pub fn begins(&mut self, round: u32) -> Vec<usize> {
        if self.begun.insert(round) { self.rogues.clone() } else { Vec::new() }
    }

    fn gene(&self, what: u64) -> u8 {
        let len = self.genome.len().max(1) as u64;
        self.genome.get((what % len) as usize).copied().unwrap_or(0)
    }

    fn choice(&self, round: u32, phase: Phase, half: bool) -> Choice {
        let place = 1 + u64::from(round % 6) * 4 + u64::from(phase == Phase::Precommit) * 2 + u64::from(half);
        match self.gene(place) % 8 {
            0 | 1 => Choice::Proposed,
            2 => Choice::Nil,
            3 => Choice::Nothing,
            4 => Choice::First,
            5 => Choice::Second,
            6 => Choice::Both,
            _ if half => Choice::First,
            _ => Choice::Second,
        }
    }

    /// How much longer a thing is on the way.
    pub fn delay(&self, from: usize, to: usize, now: u64) -> u64 {
        let crossing = self.half[from] != self.half[to];
        let slice = now / (5 * MINUTE);
        let gene = self.gene(30 + mix(slice * 2 + u64::from(crossing)) % 30);
        match gene % 4 {
            0 => 0,
            1 if crossing => 4 * MINUTE,
            2 => mix((from * 31 + to) as u64 ^ slice) % (3 * MINUTE),
            _ => u64::from(gene) * 200,
        }
    }
}

impl World {
    /// The rogues hear.
    pub fn overhear(&mut self, rogue: usize, items: &Rc<Vec<Item>>) {
        let withholds = self.attacker.gene(29).is_multiple_of(2);
        for item in items.iter() {
            match item {
                Item::Said(Message::Proposal(_, proposal, _)) => {
                    self.attacker.proposed.entry(proposal.round).or_insert(proposal.value);
                }
                Item::Said(Message::Certificate(certificate)) => self.remember(certificate),
                // A text that only the rogue have is given to who asks, or is not.
                Item::Want(value) if !withholds => {
                    let text = Rc::new(vec![Item::Text(*value)]);
                    let asking = self.dice.below(self.nodes.len() as u64) as usize;
                    self.send(rogue, asking, text);
                }
                _ => {}
            }
        }
    }

    fn remember(&mut self, certificate: &Certificate) {
        if let (Phase::Prevote, Some(value)) = (certificate.vote.phase, certificate.vote.value) {
            self.attacker.quorums.insert(certificate.vote.round, (certificate.vote.round, value));
        }
    }

    /// What one rogue does in a round: proposals in its turn, and its votes, to each half its own.
    pub fn attack(&mut self, rogue: usize, round: u32) {
        let (first, second) = (ValueId(bytes(0, 1)), ValueId(bytes(1, 1)));
        let turn = self.electorate.proposer(round) == voter(rogue);
        let invented = ValueId(bytes(u64::from(round), 2));
        let gene = self.attacker.gene(25 + u64::from(round) % 4);
        for to in 0..self.nodes.len() {
            if self.nodes[to].role != Role::Honest {
                continue;
            }
            let half = self.attacker.half[to];
            let mut items = Vec::new();
            if turn {
                let old = self.attacker.quorums.values().find(|(valid, _)| *valid < round).copied();
                let (value, valid_round) = match (gene % 5, old) {
                    (0, Some((valid, value))) => (value, Some(valid)),
                    (1, _) => (invented, None),
                    (2, Some((valid, _))) => (second, Some(valid)),
                    _ if half => (first, None),
                    _ => (second, None),
                };
                // The text of what was invented may go to one half alone.
                if value != invented || half || gene.is_multiple_of(2) {
                    items.push(Item::Text(value));
                }
                let proposal = Proposal { epoch: EPOCH, round, value, valid_round };
                items.push(Item::Said(Message::Proposal(voter(rogue), proposal, UNSIGNED)));
            }
            let proposed = self.attacker.proposed.get(&round).copied();
            for phase in [Phase::Prevote, Phase::Precommit] {
                let values = match self.attacker.choice(round, phase, half) {
                    Choice::Proposed => vec![proposed.or(turn.then_some(if half { first } else { second }))],
                    Choice::Nil => vec![None],
                    Choice::Nothing => vec![],
                    Choice::First => vec![Some(first)],
                    Choice::Second => vec![Some(second)],
                    Choice::Both => vec![Some(first), Some(second), None],
                };
                items.extend(values.into_iter().map(|value| {
                    Item::Said(Message::Vote(voter(rogue), Vote { epoch: EPOCH, round, phase, value }, UNSIGNED))
                }));
            }
            if !items.is_empty() {
                self.send(rogue, to, Rc::new(items));
            }
        }
    }
}
