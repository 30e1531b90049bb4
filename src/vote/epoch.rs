//! An epoch: one decision. Epochs form a chain, each naming the one before and the state that results.

use std::collections::BTreeSet;

use super::id::{EpochId, NetworkId, ProposalId, StateHash};
use super::text::{self, Lines, TextError, canonical, is_phrase};

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Epoch {
    /// The first, which begins a network.
    Genesis(Genesis),
    /// Any other.
    Decision(Decision),
}

/// The first epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// What the network is called; a line of up to [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// Makes its id its own.
    pub nonce: [u8; 16],
    /// The network that its founders were in before, and the number of its last epoch.
    pub continues: Option<(NetworkId, u64)>,
    /// The state it begins with.
    pub state: StateHash,
}

/// Any other epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// In which network.
    pub network: NetworkId,
    /// Its number; from 1.
    pub number: u64,
    /// The one before.
    pub parent: EpochId,
    /// What is decided; 1 to [`APPLY_MAX`], sorted.
    pub apply: BTreeSet<ProposalId>,
    /// The state that results.
    pub state: StateHash,
}

impl Epoch {
    /// Reads exactly the text that [`Epoch::to_text`] writes.
    pub fn parse(text: &str) -> Result<Epoch, TextError> {
        let mut lines = Lines::of(text, HEAD)?;
        let network: Option<NetworkId> = lines.with("network", text::dash)?;
        let number: u64 = lines.read("number")?;
        let parent: Option<EpochId> = lines.with("parent", text::dash)?;
        let epoch = match (network, number, parent) {
            (None, 0, None) => Epoch::Genesis(read_genesis(&mut lines)?),
            (Some(network), 1.., Some(parent)) => {
                let apply = read_apply(&mut lines)?;
                Epoch::Decision(Decision { network, number, parent, apply, state: lines.read("state")? })
            }
            (_, 0, _) => return Err(TextError::Line("network")),
            _ => return Err(TextError::Line("number")),
        };
        let written = epoch.to_text();
        canonical(epoch, &written, text)
    }

    /// The one text of this epoch.
    pub fn to_text(&self) -> String {
        match self {
            Epoch::Genesis(genesis) => genesis.to_text(),
            Epoch::Decision(decision) => decision.to_text(),
        }
    }

    /// Its name.
    pub fn id(&self) -> EpochId {
        EpochId::of(&self.to_text())
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        match self {
            Epoch::Genesis(_) => 0,
            Epoch::Decision(decision) => decision.number,
        }
    }
}

fn read_genesis(lines: &mut Lines<'_>) -> Result<Genesis, TextError> {
    let name = lines.value("name")?.to_owned();
    if !is_phrase(&name, NAME_BYTES_MAX) {
        return Err(TextError::Line("name"));
    }
    let nonce = lines.with("nonce", |value| u128::from_str_radix(value, 16).ok().map(u128::to_be_bytes))?;
    let continues = lines.maybe("continues").map(|value| {
        let (network, number) = value.split_once(' ')?;
        Some((network.parse().ok()?, number.parse().ok()?))
    });
    if continues == Some(None) {
        return Err(TextError::Line("continues"));
    }
    Ok(Genesis { name, nonce, continues: continues.flatten(), state: lines.read("state")? })
}

fn read_apply(lines: &mut Lines<'_>) -> Result<BTreeSet<ProposalId>, TextError> {
    let mut apply = BTreeSet::new();
    while let Some(id) = lines.maybe("apply") {
        if apply.len() == APPLY_MAX {
            return Err(TextError::Line("apply"));
        }
        apply.insert(id.parse().map_err(|_| TextError::Line("apply"))?);
    }
    if apply.is_empty() { Err(TextError::Line("apply")) } else { Ok(apply) }
}

impl Genesis {
    /// The one text of this epoch.
    pub fn to_text(&self) -> String {
        let nonce = u128::from_be_bytes(self.nonce);
        let mut text = format!("{HEAD}\nnetwork -\nnumber 0\nparent -\nname {}\nnonce {nonce:032x}\n", self.name);
        if let Some((network, number)) = &self.continues {
            text.push_str(&format!("continues {network} {number}\n"));
        }
        text.push_str(&format!("state {}\n", self.state));
        text
    }

    /// The network that it begins.
    pub fn network(&self) -> NetworkId {
        EpochId::of(&self.to_text()).begins()
    }
}

impl Decision {
    /// The one text of this epoch.
    pub fn to_text(&self) -> String {
        let Decision { network, number, parent, apply, state } = self;
        let mut text = format!("{HEAD}\nnetwork {network}\nnumber {number}\nparent {parent}\n");
        for proposal in apply {
            text.push_str(&format!("apply {proposal}\n"));
        }
        text.push_str(&format!("state {state}\n"));
        text
    }

    /// Its name.
    pub fn id(&self) -> EpochId {
        EpochId::of(&self.to_text())
    }
}

/// Proposals that one epoch decides.
pub const APPLY_MAX: usize = 8;
/// Bytes of a network's name.
pub const NAME_BYTES_MAX: usize = 64;
const HEAD: &str = "kontalk-epoch-v1";
