//! What the ordering asks, answered from chain and texts: is a value valid, and what do two contradicting votes prove?

use sha2::{Digest, Sha256};

use super::chain::{Chain, Texts};
use super::epoch::Decision;
use super::evidence::DoubleVote;
use super::message::Vote;
use super::objection::{Fault, Want};
use super::ordering::{self, Validity, ValueId};
use crate::trust::NoteSignature;

impl Want {
    /// A name for what is wanted: the SHA-256 of its text; for ballots that of the proposal, for a consent that of the domain.
    pub fn id(&self) -> [u8; 32] {
        match self {
            Want::Proposal(id) | Want::Ballots(id) => id.0,
            Want::Card(id) => id.0,
            Want::Evidence(id) => id.0,
            Want::Consent(domain) => Sha256::digest(domain.as_str()).into(),
        }
    }
}

impl Chain {
    /// May this value be the next epoch? `decision` is its text if that is here.
    pub fn validity(&self, value: ValueId, decision: Option<&Decision>, texts: &impl Texts) -> Validity {
        let Some(decision) = decision.filter(|decision| decision.id().0 == value.0) else {
            return Validity::Missing(vec![value.0]);
        };
        match self.judge(decision, texts) {
            Ok(_) => Validity::Valid,
            Err(Fault::Invalid(_)) => Validity::Invalid,
            Err(Fault::Missing(wants)) => Validity::Missing(wants.iter().map(Want::id).collect()),
        }
    }

    /// The evidence in two votes that the ordering has found to contradict each other; voters are numbered as in
    /// [`Chain::electorate`]. `None` if it is not the proof it is said to be.
    pub fn evidence(&self, found: &ordering::DoubleVote) -> Option<DoubleVote> {
        let elector = self.electorate().into_iter().nth(usize::from(found.voter.0))?;
        let signed = |(vote, signature): &(ordering::Vote, ordering::Signature)| {
            let name = elector.vote.name().to_owned();
            let line = NoteSignature { name, id: elector.vote.id(), bytes: signature.0.to_vec() };
            (Vote::of(self.network(), *vote), line)
        };
        let (first, second) = (signed(&found.first), signed(&found.second));
        DoubleVote::new(elector.domain.clone(), elector.vote.clone(), first, second).ok()
    }
}
