//! Stanzas on their way to other domains whose peers have not confirmed them in time, or that waited when the node stopped.

use serde::{Deserialize, Serialize};

use super::changes::Changes;
use super::record::{decode_packed, encode_packed, parts, set_aside, whole};
use super::schema::outgoing_key;
use super::{Store, StoreError};
use crate::federation::{Outgoing, OutgoingId, Pair};
use crate::limits::STANZA_BYTES_MAX;
use crate::router::Ticket;
use crate::stanza::Timestamp;

/// As it lies in the tree.
#[derive(Serialize, Deserialize)]
struct Record {
    own: String,
    peer: String,
    stamp: Timestamp,
    text: String,
}

impl Store {
    /// Keeps a stanza until [`Store::forget_outgoing`]; gives it a name.
    ///
    /// Errors: [`StoreError::TooLarge`].
    pub fn keep_outgoing(&self, outgoing: &Outgoing) -> Result<(OutgoingId, Ticket), StoreError> {
        if outgoing.text.len() > TEXT_BYTES_MAX {
            return Err(StoreError::TooLarge { bytes_max: TEXT_BYTES_MAX });
        }
        let record = Record {
            own: outgoing.pair.own.to_string(),
            peer: outgoing.pair.peer.to_string(),
            stamp: outgoing.stamp,
            text: outgoing.text.clone(),
        };
        self.write(|shared, _| {
            let tree = &shared.trees.outgoing;
            let last = tree.last()?.and_then(|(key, _)| split(&key)).map_or(0, |(id, _)| id.0);
            let id = OutgoingId(last.saturating_add(1));
            let mut changes = Changes::default();
            for (part, value) in (0u16..).zip(parts(&encode_packed(&record)?)) {
                changes.put(tree, outgoing_key(id.0, part), value);
            }
            changes.apply()?;
            Ok((id, shared.commits.wrote()))
        })
    }

    /// These are with their peers, or their senders were told. After a crash they may be there again, and are sent again.
    pub fn forget_outgoing(&self, ids: &[OutgoingId]) -> Result<(), StoreError> {
        self.write(|shared, _| {
            let tree = &shared.trees.outgoing;
            let mut changes = Changes::default();
            for id in ids {
                changes.remove_all(tree, &id.0.to_be_bytes())?;
            }
            changes.apply()?;
            shared.commits.wrote_lazily();
            Ok(())
        })
    }

    /// All that was not forgotten, in the order it was kept. What cannot be read is set aside.
    pub fn outgoing(&self) -> Result<Vec<Outgoing>, StoreError> {
        self.write(|shared, _| {
            let trees = &shared.trees;
            let mut found: Vec<(OutgoingId, Vec<(sled::IVec, sled::IVec)>)> = Vec::new();
            for pair in trees.outgoing.iter() {
                let (key, value) = pair?;
                match (split(&key), found.last_mut()) {
                    (None, _) => set_aside(trees, &trees.outgoing, &key, &value)?,
                    (Some((id, _)), Some((last, pieces))) if id == *last => pieces.push((key, value)),
                    (Some((id, _)), _) => found.push((id, vec![(key, value)])),
                }
            }
            let mut outgoing = Vec::new();
            for (id, pieces) in found {
                let values: Vec<&sled::IVec> = pieces.iter().map(|(_, value)| value).collect();
                match read(id, &values) {
                    Some(one) => outgoing.push(one),
                    None => {
                        for (key, value) in &pieces {
                            set_aside(trees, &trees.outgoing, key, value)?;
                        }
                    }
                }
            }
            Ok(outgoing)
        })
    }
}

/// Is it a stanza on its way, as it lies in the tree?
pub(super) fn is_record(whole: &[u8]) -> bool {
    decode_packed::<Record>(whole, TEXT_BYTES_MAX + 4096).is_some()
}

fn read(id: OutgoingId, values: &[&sled::IVec]) -> Option<Outgoing> {
    let record: Record = decode_packed(&whole(values)?, TEXT_BYTES_MAX + 4096)?;
    let pair = Pair { own: record.own.parse().ok()?, peer: record.peer.parse().ok()? };
    Some(Outgoing { id, pair, text: record.text, stamp: record.stamp })
}

/// The stanza's name and the number of the part.
fn split(key: &[u8]) -> Option<(OutgoingId, u16)> {
    let (id, part) = key.split_first_chunk::<8>()?;
    Some((OutgoingId(u64::from_be_bytes(*id)), u16::from_be_bytes(part.try_into().ok()?)))
}

/// As large as any stanza that is let in, and what the node adds.
const TEXT_BYTES_MAX: usize = STANZA_BYTES_MAX + 8 * 1024;
