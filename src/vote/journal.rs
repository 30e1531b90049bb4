//! The two files that must survive a power cut: what this node has said while an epoch was ordered (`votes.journal`, written before
//! it is said) and the epochs that were decided (`epochs.journal`). Here is their form; the store writes and reads them.
//!
//! A file is lines that are only ever added. Each begins with four bytes, in hexadecimal digits, of SHA-256 over the same four bytes
//! of the line before and its own body: a line that is lost, changed or moved is noticed. A last line that was not written to its
//! end is cut off; any other damage is an error, and a node with a damaged journal does not vote before the next epoch.

use std::fmt;

use sha2::{Digest, Sha256};

use super::bundle::Bundle;
use super::id::NetworkId;
use super::message::{Phase, Propose, Vote, nil_or, value_or_nil};
use super::text::{dash, or_dash};
use crate::trust::hex;

/// What this node has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A vote.
    Vote(Vote),
    /// A proposal for a round.
    Propose(Propose),
}

/// Which journal a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Votes,
    Epochs,
}

/// Makes lines; knows the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalWriter {
    network: NetworkId,
    kind: Kind,
    sum: [u8; 4],
}

/// A journal that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// What is in it, in order.
    pub entries: Vec<T>,
    /// How many bytes of the file are good; what is behind them is a line that power was lost in, and is cut off.
    pub good_bytes: usize,
    /// Goes on where it ends.
    pub writer: JournalWriter,
}

/// Why a file is no journal to rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalError {
    /// It is of another network or another kind, or none at all.
    Head,
    /// The line of this number, from 1, is not what was written.
    Damaged(usize),
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::Head => f.write_str("the journal is of another network, or none"),
            JournalError::Damaged(line) => write!(
                f,
                "line {line} of the journal is damaged (remedy: move the file away; this node then abstains until the next epoch)"
            ),
        }
    }
}

impl std::error::Error for JournalError {}

impl JournalWriter {
    /// A new `votes.journal`: the writer, and the file's first line.
    pub fn votes(network: NetworkId) -> (JournalWriter, String) {
        JournalWriter::begin(network, Kind::Votes)
    }

    /// A new `epochs.journal`, likewise.
    pub fn epochs(network: NetworkId) -> (JournalWriter, String) {
        JournalWriter::begin(network, Kind::Epochs)
    }

    /// The line to add before this is said; `None` if it is not of this network, or the journal not that of votes.
    pub fn said(&mut self, said: &Said) -> Option<String> {
        let (network, body) = match said {
            Said::Vote(Vote { network, epoch, round, phase, value }) => {
                (network, format!("{phase} {epoch} {round} {}", nil_or(value)))
            }
            Said::Propose(Propose { network, epoch, round, value, valid_round }) => {
                (network, format!("propose {epoch} {round} {value} {}", or_dash(valid_round)))
            }
        };
        (self.kind == Kind::Votes && *network == self.network).then(|| self.line(&body))
    }

    /// The line to add for a decided epoch with all that it needs to be judged again; `None` if the journal is that of votes.
    pub fn decided(&mut self, bundle: &Bundle) -> Option<String> {
        (self.kind == Kind::Epochs).then(|| self.line(&bundle.to_line()))
    }

    fn begin(network: NetworkId, kind: Kind) -> (JournalWriter, String) {
        let mut writer = JournalWriter { network, kind, sum: [0; 4] };
        let head = writer.line(&format!("{} {network}", kind.head()));
        (writer, head)
    }

    fn line(&mut self, body: &str) -> String {
        self.sum = sum(self.sum, body);
        format!("{} {body}\n", hex(&self.sum))
    }
}

impl Kind {
    fn head(self) -> &'static str {
        match self {
            Kind::Votes => "kontalk-votes-v1",
            Kind::Epochs => "kontalk-epochs-v1",
        }
    }
}

/// Reads a `votes.journal` of this network.
pub fn read_votes(bytes: &[u8], network: NetworkId) -> Result<Read<Said>, JournalError> {
    read(bytes, network, Kind::Votes, |body| read_said(network, body))
}

/// Reads an `epochs.journal` of this network.
pub fn read_epochs(bytes: &[u8], network: NetworkId) -> Result<Read<Bundle>, JournalError> {
    read(bytes, network, Kind::Epochs, Bundle::from_line)
}

fn read<T>(
    bytes: &[u8],
    network: NetworkId,
    kind: Kind,
    entry: impl Fn(&str) -> Option<T>,
) -> Result<Read<T>, JournalError> {
    let (mut writer, head) = JournalWriter::begin(network, kind);
    let mut rest = bytes.strip_prefix(head.as_bytes()).ok_or(JournalError::Head)?;
    let (mut entries, mut good_bytes) = (Vec::new(), head.len());
    // A line that has no end was not written to its end.
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = rest.split_at(end + 1);
        let read = std::str::from_utf8(line).ok().and_then(|line| {
            let body = line.strip_suffix('\n')?.get(9..)?;
            let mut next = writer.clone();
            (next.line(body) == line).then_some((next, entry(body)?))
        });
        match read {
            Some((next, entry)) => {
                writer = next;
                entries.push(entry);
                good_bytes += line.len();
            }
            // Even if it is the last: it may have been said, so it must not be forgotten.
            None => return Err(JournalError::Damaged(entries.len() + 2)),
        }
        rest = after;
    }
    Ok(Read { entries, good_bytes, writer })
}

fn read_said(network: NetworkId, body: &str) -> Option<Said> {
    let words: Vec<&str> = body.split(' ').collect();
    match words.as_slice() {
        ["propose", epoch, round, value, valid_round] => Some(Said::Propose(Propose {
            network,
            epoch: epoch.parse().ok()?,
            round: round.parse().ok()?,
            value: value.parse().ok()?,
            valid_round: dash(valid_round)?,
        })),
        [phase, epoch, round, value] => Some(Said::Vote(Vote {
            network,
            epoch: epoch.parse().ok()?,
            round: round.parse().ok()?,
            phase: Phase::parse(phase)?,
            value: value_or_nil(value)?,
        })),
        _ => None,
    }
}

fn sum(before: [u8; 4], body: &str) -> [u8; 4] {
    let digest: [u8; 32] = Sha256::new().chain_update(before).chain_update(body).finalize().into();
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::super::id::EpochId;
    use super::*;

    const NETWORK: NetworkId = NetworkId([1; 32]);

    fn said() -> Vec<Said> {
        let vote = Vote { network: NETWORK, epoch: 17, round: 0, phase: Phase::Prevote, value: Some(EpochId([2; 32])) };
        let propose = Propose { network: NETWORK, epoch: 17, round: 3, value: EpochId([2; 32]), valid_round: Some(1) };
        vec![
            Said::Vote(vote),
            Said::Vote(Vote { phase: Phase::Precommit, value: None, ..vote }),
            Said::Propose(propose),
            Said::Propose(Propose { valid_round: None, ..propose }),
        ]
    }

    fn file() -> (String, Vec<usize>) {
        let (mut writer, mut file) = JournalWriter::votes(NETWORK);
        let mut ends = vec![file.len()];
        for said in said() {
            file.push_str(&writer.said(&said).unwrap());
            ends.push(file.len());
        }
        (file, ends)
    }

    #[test]
    fn what_was_written_is_read_and_gone_on_with() {
        let (file, _) = file();
        let mut read = read_votes(file.as_bytes(), NETWORK).unwrap();
        assert_eq!((read.entries, read.good_bytes), (said(), file.len()));
        let more = read.writer.said(&said()[0]).unwrap();
        let again = read_votes((file + &more).as_bytes(), NETWORK).unwrap();
        assert_eq!(again.entries.len(), 5);
        let foreign =
            Said::Vote(Vote { network: NetworkId([9; 32]), epoch: 1, round: 0, phase: Phase::Prevote, value: None });
        assert_eq!(read.writer.said(&foreign), None);
    }

    #[test]
    fn cut_at_any_byte_it_holds_what_was_whole() {
        let (file, ends) = file();
        for cut in 0..file.len() {
            let read = read_votes(&file.as_bytes()[..cut], NETWORK);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            match whole.checked_sub(1) {
                None => assert_eq!(read.err(), Some(JournalError::Head)),
                Some(lines) => {
                    let read = read.unwrap();
                    assert_eq!((read.entries.as_slice(), read.good_bytes), (&said()[..lines], ends[lines]));
                }
            }
        }
    }

    #[test]
    fn a_changed_byte_a_lost_line_or_another_network_is_noticed() {
        let (file, ends) = file();
        assert_eq!(read_votes(file.as_bytes(), NetworkId([3; 32])).err(), Some(JournalError::Head));
        assert_eq!(read_epochs(file.as_bytes(), NETWORK).err(), Some(JournalError::Head));
        for at in 0..file.len() {
            let mut bytes = file.clone().into_bytes();
            bytes[at] ^= 1;
            match read_votes(&bytes, NETWORK) {
                Err(_) => {}
                // Without its end it cannot be told from a line that power was lost in.
                Ok(read) => assert!(at == file.len() - 1 && read.good_bytes == ends[3], "byte {at}"),
            }
        }
        for lost in 0..3 {
            let mut bytes = file.clone().into_bytes();
            bytes.drain(ends[lost]..ends[lost + 1]);
            assert_eq!(read_votes(&bytes, NETWORK).err(), Some(JournalError::Damaged(lost + 2)));
        }
    }
}
