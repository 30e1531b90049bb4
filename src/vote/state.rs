//! The state: what everybody must agree on, a sorted list of lines. A proposal replaces one of them.

use std::collections::BTreeMap;
use std::fmt;

use super::id::{CharterHash, StateHash};
use super::text::{Lines, TextError};
use crate::trust::{CardId, NodeDomain};

/// What may be decided about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Trusted by all; sees everything, decides nothing.
    Associate,
    /// Decides.
    Voter,
}

/// How a ban takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BanEffect {
    /// Sessions end at once.
    Immediate,
    /// Who is there may stay for a week of running time.
    Grace,
}

/// One line of the state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// A member.
    Member {
        /// Which.
        domain: NodeDomain,
        /// What it may.
        role: Role,
        /// Its card.
        card: CardId,
        /// Who proposed it; `None` for founders.
        sponsor: Option<NodeDomain>,
    },
    /// A node that was banned.
    Banned {
        /// Which.
        domain: NodeDomain,
        /// The card it had.
        card: CardId,
        /// How.
        effect: BanEffect,
    },
    /// Evidence against a node about what it did in epochs up to this one is forgiven.
    Pardon {
        /// Which.
        domain: NodeDomain,
        /// The last epoch that is forgiven.
        epoch: u64,
    },
    /// A rule: the version of the software's rules (`proto`), the charter's hash (`charter`), or another with a name and a value.
    Param {
        /// Small letters, digits, hyphens.
        name: String,
        /// Visible ASCII without spaces.
        value: String,
    },
}

/// What a line is about. A state has one line of each at most, and a node is a member or banned, never both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LineKey {
    /// A node's membership or ban.
    Node(NodeDomain),
    /// What is forgiven of a node.
    Pardon(NodeDomain),
    /// A rule.
    Param(String),
}

/// All lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    lines: BTreeMap<LineKey, Line>,
}

impl Role {
    /// As in a line.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Associate => "associate",
            Role::Voter => "voter",
        }
    }
}

impl BanEffect {
    /// As in a line.
    pub fn as_str(self) -> &'static str {
        match self {
            BanEffect::Immediate => "immediate",
            BanEffect::Grace => "grace",
        }
    }
}

impl Line {
    /// Reads exactly the form that is printed.
    pub fn parse(text: &str) -> Option<Line> {
        let words: Vec<&str> = text.split(' ').collect();
        let read = match words.as_slice() {
            ["member", domain, role, card, sponsor] => Line::Member {
                domain: NodeDomain::parse(domain).ok()?,
                role: [Role::Associate, Role::Voter].into_iter().find(|known| known.as_str() == *role)?,
                card: card.parse().ok()?,
                sponsor: if *sponsor == "-" { None } else { Some(NodeDomain::parse(sponsor).ok()?) },
            },
            ["banned", domain, card, effect] => Line::Banned {
                domain: NodeDomain::parse(domain).ok()?,
                card: card.parse().ok()?,
                effect: [BanEffect::Immediate, BanEffect::Grace].into_iter().find(|known| known.as_str() == *effect)?,
            },
            ["pardon", domain, epoch] => {
                Line::Pardon { domain: NodeDomain::parse(domain).ok()?, epoch: epoch.parse().ok()? }
            }
            ["param", name, value] => {
                is_param(name, value).then(|| Line::Param { name: (*name).to_owned(), value: (*value).to_owned() })?
            }
            _ => return None,
        };
        (read.to_string() == text).then_some(read)
    }

    /// What it is about.
    pub fn key(&self) -> LineKey {
        match self {
            Line::Member { domain, .. } | Line::Banned { domain, .. } => LineKey::Node(domain.clone()),
            Line::Pardon { domain, .. } => LineKey::Pardon(domain.clone()),
            Line::Param { name, .. } => LineKey::Param(name.clone()),
        }
    }

    /// The card in it.
    pub fn card(&self) -> Option<CardId> {
        match self {
            Line::Member { card, .. } | Line::Banned { card, .. } => Some(*card),
            Line::Pardon { .. } | Line::Param { .. } => None,
        }
    }

    /// The role in it.
    pub fn role(&self) -> Option<Role> {
        match self {
            Line::Member { role, .. } => Some(*role),
            _ => None,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Member { domain, role, card, sponsor } => {
                let sponsor = sponsor.as_ref().map_or("-", NodeDomain::as_str);
                write!(f, "member {domain} {} {card} {sponsor}", role.as_str())
            }
            Line::Banned { domain, card, effect } => write!(f, "banned {domain} {card} {}", effect.as_str()),
            Line::Pardon { domain, epoch } => write!(f, "pardon {domain} {epoch}"),
            Line::Param { name, value } => write!(f, "param {name} {value}"),
        }
    }
}

impl LineKey {
    /// The subject of a proposal about it: a domain, or a rule's name.
    pub fn subject(&self) -> &str {
        match self {
            LineKey::Node(domain) | LineKey::Pardon(domain) => domain.as_str(),
            LineKey::Param(name) => name,
        }
    }
}

impl State {
    /// These lines; `None` if two are about the same.
    pub fn new(lines: impl IntoIterator<Item = Line>) -> Option<State> {
        let mut state = State::default();
        for line in lines {
            if state.lines.insert(line.key(), line).is_some() {
                return None;
            }
        }
        Some(state)
    }

    /// Reads exactly the text that [`State::to_text`] writes.
    pub fn parse(text: &str) -> Result<State, TextError> {
        let mut lines = Lines::of(text, HEAD)?;
        let mut state = State::default();
        while let Some(line) = lines.any() {
            if state.lines.len() == STATE_LINES_MAX {
                return Err(TextError::TooLong);
            }
            let line = Line::parse(line).ok_or(TextError::Line("member, banned, pardon or param"))?;
            if state.lines.insert(line.key(), line).is_some() {
                return Err(TextError::NotCanonical);
            }
        }
        super::text::canonical((), &state.to_text(), text).map(|()| state)
    }

    /// The one text of this state: its lines in the order of their bytes.
    pub fn to_text(&self) -> String {
        let mut lines: Vec<String> = self.lines.values().map(Line::to_string).collect();
        lines.sort_unstable();
        let mut text = format!("{HEAD}\n");
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// Its name.
    pub fn hash(&self) -> StateHash {
        StateHash::of(&self.to_text())
    }

    /// The line about this.
    pub fn line(&self, key: &LineKey) -> Option<&Line> {
        self.lines.get(key)
    }

    /// What was decided about a node.
    pub fn node(&self, domain: &NodeDomain) -> Option<&Line> {
        self.lines.get(&LineKey::Node(domain.clone()))
    }

    /// All lines, by what they are about.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.values()
    }

    /// Members and their role and card.
    pub fn members(&self) -> impl Iterator<Item = (&NodeDomain, Role, CardId)> {
        self.lines.values().filter_map(|line| match line {
            Line::Member { domain, role, card, .. } => Some((domain, *role, *card)),
            _ => None,
        })
    }

    /// Those who decide, in the order of their domains.
    pub fn voters(&self) -> impl Iterator<Item = (&NodeDomain, CardId)> {
        self.members().filter(|(_, role, _)| *role == Role::Voter).map(|(domain, _, card)| (domain, card))
    }

    /// How many decide.
    pub fn voter_count(&self) -> usize {
        self.voters().count()
    }

    /// Does it decide?
    pub fn is_voter(&self, domain: &NodeDomain) -> bool {
        self.node(domain).and_then(Line::role) == Some(Role::Voter)
    }

    /// A rule's value.
    pub fn param(&self, name: &str) -> Option<&str> {
        match self.lines.get(&LineKey::Param(name.to_owned())) {
            Some(Line::Param { value, .. }) => Some(value),
            _ => None,
        }
    }

    /// The charter that is in force.
    pub fn charter(&self) -> Option<CharterHash> {
        self.param(CHARTER).and_then(|value| value.parse().ok())
    }

    /// The version of the rules that decide what is valid.
    pub fn proto(&self) -> Option<u32> {
        self.param(PROTO).and_then(|value| value.parse().ok())
    }

    /// The last epoch of which evidence against this node is forgiven.
    pub fn forgiven(&self, domain: &NodeDomain) -> Option<u64> {
        match self.lines.get(&LineKey::Pardon(domain.clone())) {
            Some(Line::Pardon { epoch, .. }) => Some(*epoch),
            _ => None,
        }
    }

    /// Puts a line in the place of what was about the same; `None` takes that away.
    pub(super) fn replace(&mut self, key: LineKey, now: Option<Line>) {
        match now {
            Some(line) => self.lines.insert(key, line),
            None => self.lines.remove(&key),
        };
    }

    /// How many lines there are.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }
}

/// A rule's name and value have their form, and those of the rules that we know have theirs.
fn is_param(name: &str, value: &str) -> bool {
    let named = (1..=PARAM_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && name != "-";
    let valued = (1..=PARAM_BYTES_MAX).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic());
    let known = match name {
        PROTO => value.parse::<u32>().is_ok_and(|number| number > 0 && number.to_string() == value),
        CHARTER => value.parse::<CharterHash>().is_ok(),
        _ => true,
    };
    named && valued && known
}

/// The rule that holds the version of the rules.
pub const PROTO: &str = "proto";
/// The rule that holds the charter's hash.
pub const CHARTER: &str = "charter";
/// Lines of a state: a thousand voters and as many others. With 150 bytes each, 600 KiB in memory.
pub const STATE_LINES_MAX: usize = 4096;
const PARAM_BYTES_MAX: usize = 64;
const HEAD: &str = "kontalk-state-v1";
