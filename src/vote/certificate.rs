//! Quorum certificates: one text with the signature lines of many. Lines of keys that do not vote are ignored, two lines of one
//! voter count once, and a voter one of whose lines is false does not count at all (C2SP signed-note).

use std::collections::BTreeMap;

use super::epoch::{Decision, Epoch, Genesis};
use super::message::{Phase, Vote};
use super::text::{self, CERTIFICATE_LINES_MAX, OBJECT_BYTES_MAX, TextError};
use super::threshold::quorum;
use crate::trust::{NodeDomain, Note, NoteSignature, Signer, Verifier};

/// The voters of a state and their vote keys.
pub type VoterKeys = BTreeMap<NodeDomain, Verifier>;

/// Which of these voters have signed the text, by these lines? Each counts once.
pub fn signers<'a>(text: &str, lines: &[NoteSignature], voters: &'a VoterKeys) -> Vec<&'a NodeDomain> {
    // By key, so that thousands of lines cost no more than their own signatures.
    let by_key: BTreeMap<(&str, [u8; 4]), &NodeDomain> =
        voters.iter().map(|(domain, key)| ((key.name(), key.id()), domain)).collect();
    let mut good: BTreeMap<&NodeDomain, bool> = BTreeMap::new();
    for line in lines {
        let Some(domain) = by_key.get(&(line.name.as_str(), line.id)) else { continue };
        if good.get(domain) == Some(&false) {
            continue;
        }
        let is_good = voters.get(*domain).is_some_and(|key| key.has_signed(text, line));
        good.insert(domain, is_good);
    }
    good.into_iter().filter(|(_, is_good)| *is_good).map(|(domain, _)| domain).collect()
}

/// An epoch with what makes it certain: for a decision, precommits of a quorum of the electorate before it; for the first epoch the
/// signature of each founder on its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertifiedEpoch {
    /// The first.
    Genesis {
        /// What is signed.
        genesis: Genesis,
        /// By whom.
        lines: Vec<NoteSignature>,
    },
    /// Any other.
    Decision {
        /// What was decided.
        decision: Decision,
        /// In which round.
        round: u32,
        /// Signatures on the precommit for it.
        lines: Vec<NoteSignature>,
    },
}

impl CertifiedEpoch {
    /// Reads one: the epoch's text, an empty line, and the certificate's note; for the first epoch the note is on the text itself.
    /// Whether enough have signed is judged where the voters are known.
    pub fn parse(bytes: &[u8]) -> Result<CertifiedEpoch, TextError> {
        let whole = std::str::from_utf8(bytes).map_err(|_| TextError::Line("epoch"))?;
        let (text, rest) = whole.split_once("\n\n").ok_or(TextError::Line("certificate"))?;
        match Epoch::parse(&format!("{text}\n"))? {
            Epoch::Genesis(genesis) => {
                let note = parse_note(bytes)?;
                // A note's text ends at the last empty line, ours at the first.
                if note.text() != genesis.to_text() {
                    return Err(TextError::Line("certificate"));
                }
                Ok(CertifiedEpoch::Genesis { genesis, lines: note.signatures().to_vec() })
            }
            Epoch::Decision(decision) => {
                let note = parse_note(rest.as_bytes())?;
                let vote = Vote::parse(note.text())?;
                if vote != precommit(&decision, vote.round) {
                    return Err(TextError::Line("certificate"));
                }
                Ok(CertifiedEpoch::Decision { decision, round: vote.round, lines: note.signatures().to_vec() })
            }
        }
    }

    /// Text and certificate as one file.
    pub fn to_text(&self) -> String {
        match self {
            CertifiedEpoch::Genesis { genesis, lines } => with_lines(genesis.to_text(), lines).to_string(),
            CertifiedEpoch::Decision { decision, round, lines } => {
                let vote = precommit(decision, *round).to_text();
                format!("{}\n{}", decision.to_text(), with_lines(vote, lines))
            }
        }
    }

    /// The first epoch, signed by its founders.
    pub fn found(genesis: Genesis, founders: &[&Signer]) -> CertifiedEpoch {
        let text = genesis.to_text();
        let lines = founders.iter().map(|founder| text::sign(founder, &text)).collect();
        CertifiedEpoch::Genesis { genesis, lines }
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        match self {
            CertifiedEpoch::Genesis { genesis, .. } => Epoch::Genesis(genesis.clone()),
            CertifiedEpoch::Decision { decision, .. } => Epoch::Decision(decision.clone()),
        }
    }

    /// The number of the epoch.
    pub fn number(&self) -> u64 {
        match self {
            CertifiedEpoch::Genesis { .. } => 0,
            CertifiedEpoch::Decision { decision, .. } => decision.number,
        }
    }

    /// Have enough of these voters signed: a quorum, or all of them at the beginning?
    pub fn is_certified_by(&self, voters: &VoterKeys) -> bool {
        match self {
            CertifiedEpoch::Genesis { genesis, lines } => {
                signers(&genesis.to_text(), lines, voters).len() == voters.len()
            }
            CertifiedEpoch::Decision { decision, round, lines } => {
                let text = precommit(decision, *round).to_text();
                signers(&text, lines, voters).len() >= quorum(voters.len())
            }
        }
    }

    /// The same with one line for each of a quorum of these voters and no other: so it stays small enough to be passed on.
    #[must_use]
    pub fn least(self, voters: &VoterKeys) -> CertifiedEpoch {
        match self {
            CertifiedEpoch::Decision { decision, round, lines } => {
                let text = precommit(&decision, round).to_text();
                let mut enough = signers(&text, &lines, voters);
                enough.truncate(quorum(voters.len()));
                let of = |domain: &NodeDomain| {
                    let key = voters.get(domain)?;
                    lines.iter().find(|line| key.has_signed(&text, line)).cloned()
                };
                let lines = enough.into_iter().filter_map(of).collect();
                CertifiedEpoch::Decision { decision, round, lines }
            }
            genesis => genesis,
        }
    }
}

/// The vote that decides an epoch.
pub fn precommit(decision: &Decision, round: u32) -> Vote {
    Vote {
        network: decision.network,
        epoch: decision.number,
        round,
        phase: Phase::Precommit,
        value: Some(decision.id()),
    }
}

fn parse_note(bytes: &[u8]) -> Result<Note, TextError> {
    Note::parse_within(bytes, OBJECT_BYTES_MAX, CERTIFICATE_LINES_MAX).map_err(TextError::Note)
}

fn with_lines(text: String, lines: &[NoteSignature]) -> Note {
    lines.iter().cloned().fold(Note::new(text), Note::with)
}
