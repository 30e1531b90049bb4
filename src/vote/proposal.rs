//! A proposal: one line of the state replaced by another, and why.

use std::collections::BTreeSet;
use std::fmt;

use super::id::{EvidenceId, NetworkId, ProposalId};
use super::state::{Line, LineKey};
use super::text::{self, Lines, OBJECT_BYTES_MAX, TextError, canonical, is_phrase};
use crate::trust::{NodeDomain, Note, Signer, Verifier};

/// What a proposal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A new member.
    Admit,
    /// An associate becomes a voter.
    GrantVote,
    /// A voter becomes an associate.
    StripVote,
    /// A member is banned, or a ban with grace takes effect at once.
    Ban,
    /// A banned node becomes an associate again.
    Reinstate,
    /// A member has another card.
    RotateKey,
    /// A member goes.
    Leave,
    /// A rule is set.
    SetParam,
    /// What was proved against a member is forgiven.
    Pardon,
}

/// What is proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// In which network.
    pub network: NetworkId,
    /// What for.
    pub kind: Kind,
    /// The line as it is; `None`: there is none.
    pub was: Option<Line>,
    /// As it shall be; `None`: there shall be none. One of both is there, and both are about the same.
    pub now: Option<Line>,
    /// The number of the last epoch when it was made.
    pub opened: u64,
    /// Makes its id its own.
    pub nonce: [u8; 8],
    /// What proves it; sorted, up to [`EVIDENCE_MAX`].
    pub evidence: BTreeSet<EvidenceId>,
    /// Whose it is.
    pub by: NodeDomain,
    /// For those who vote; a line of up to [`REASON_BYTES_MAX`] bytes.
    pub reason: String,
}

/// A proposal and who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedProposal {
    proposal: Proposal,
    id: ProposalId,
    note: Note,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 9] = [
        Kind::Admit,
        Kind::GrantVote,
        Kind::StripVote,
        Kind::Ban,
        Kind::Reinstate,
        Kind::RotateKey,
        Kind::Leave,
        Kind::SetParam,
        Kind::Pardon,
    ];

    /// As in a text.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Admit => "admit",
            Kind::GrantVote => "grant-vote",
            Kind::StripVote => "strip-vote",
            Kind::Ban => "ban",
            Kind::Reinstate => "reinstate",
            Kind::RotateKey => "rotate-key",
            Kind::Leave => "leave",
            Kind::SetParam => "set-param",
            Kind::Pardon => "pardon",
        }
    }

    /// Reads the same.
    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Proposal {
    /// Reads exactly the text that [`Proposal::to_text`] writes. Whether the change fits to its kind is judged later.
    pub fn parse(text: &str) -> Result<Proposal, TextError> {
        let mut lines = Lines::of(text, HEAD)?;
        let network = lines.read("network")?;
        let kind = lines.with("kind", Kind::parse)?;
        let subject = lines.value("subject")?;
        let was = lines.with("was", line_or_dash)?;
        let now = lines.with("now", line_or_dash)?;
        let opened = lines.read("opened")?;
        let nonce = lines.with("nonce", |value| u64::from_str_radix(value, 16).ok().map(u64::to_be_bytes))?;
        let mut evidence = BTreeSet::new();
        while let Some(id) = lines.maybe("evidence") {
            if evidence.len() == EVIDENCE_MAX {
                return Err(TextError::Line("evidence"));
            }
            evidence.insert(id.parse().map_err(|_| TextError::Line("evidence"))?);
        }
        let by = lines.domain("by")?;
        let reason = lines.value("reason")?.to_owned();
        if !is_phrase(&reason, REASON_BYTES_MAX) {
            return Err(TextError::Line("reason"));
        }
        let proposal = Proposal { network, kind, was, now, opened, nonce, evidence, by, reason };
        match proposal.key() {
            Some(key) if key.subject() == subject => canonical((), &proposal.to_text(), text).map(|()| proposal),
            _ => Err(TextError::Line("subject")),
        }
    }

    /// The one text of this proposal.
    pub fn to_text(&self) -> String {
        let key = self.key();
        let mut text = format!(
            "{HEAD}\nnetwork {}\nkind {}\nsubject {}\nwas {}\nnow {}\nopened {}\nnonce {:016x}\n",
            self.network,
            self.kind,
            key.as_ref().map_or("-", LineKey::subject),
            text::or_dash(&self.was),
            text::or_dash(&self.now),
            self.opened,
            u64::from_be_bytes(self.nonce),
        );
        for id in &self.evidence {
            text.push_str(&format!("evidence {id}\n"));
        }
        text.push_str(&format!("by {}\nreason {}\n", self.by, self.reason));
        text
    }

    /// Its name.
    pub fn id(&self) -> ProposalId {
        ProposalId::of(&self.to_text())
    }

    /// What it is about; `None` if both lines are missing or about different things.
    pub fn key(&self) -> Option<LineKey> {
        let (was, now) = (self.was.as_ref().map(Line::key), self.now.as_ref().map(Line::key));
        match (was, now) {
            (Some(was), Some(now)) => (was == now).then_some(was),
            (was, now) => was.or(now),
        }
    }

    /// The node it is about; `None` for a rule.
    pub fn node(&self) -> Option<NodeDomain> {
        match self.key()? {
            LineKey::Node(domain) | LineKey::Pardon(domain) => Some(domain),
            LineKey::Param(_) => None,
        }
    }
}

impl SignedProposal {
    /// Signs with the vote key of whose it is. `None` if it has no text that could be read again.
    pub fn make(proposal: Proposal, vote: &Signer) -> Option<SignedProposal> {
        let text = proposal.to_text();
        let proposal = Proposal::parse(&text).ok()?;
        let line = text::sign(vote, &text);
        Some(SignedProposal { id: ProposalId::of(&text), proposal, note: text::note(text, line) })
    }

    /// Reads one; whether the signature is good is judged where the keys are known.
    pub fn parse(bytes: &[u8]) -> Result<SignedProposal, TextError> {
        let note = Note::parse_within(bytes, OBJECT_BYTES_MAX, PROPOSAL_LINES_MAX).map_err(TextError::Note)?;
        let proposal = Proposal::parse(note.text())?;
        Ok(SignedProposal { id: ProposalId::of(note.text()), proposal, note })
    }

    /// What is signed.
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// Its name.
    pub fn id(&self) -> ProposalId {
        self.id
    }

    /// Has this key signed it?
    pub fn is_signed_by(&self, key: &Verifier) -> bool {
        self.note.is_signed_by(key)
    }

    /// Text and signature as one file.
    pub fn to_text(&self) -> String {
        self.note.to_string()
    }
}

fn line_or_dash(text: &str) -> Option<Option<Line>> {
    if text == "-" { Some(None) } else { Line::parse(text).map(Some) }
}

/// Pieces of evidence that one proposal may name.
pub const EVIDENCE_MAX: usize = 8;
/// Bytes of a proposal's reason.
pub const REASON_BYTES_MAX: usize = 280;
/// Epochs that a proposal may wait: then it is dead.
pub const PROPOSAL_EPOCHS: u64 = 64;
/// Proposals of one voter that may wait at once.
pub const OPEN_PER_PROPOSER_MAX: usize = 3;
/// One signature is needed; a former key's may stand beside it.
const PROPOSAL_LINES_MAX: usize = 4;
const HEAD: &str = "kontalk-proposal-v1";
