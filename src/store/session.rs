//! Sessions that wait for their clients while the node is started again.
//!
//! They are written when the node stops and taken out when it starts, all at once: what is true of a session then is not true any
//! more a moment later.

use super::changes;
use super::record::{decode_packed, encode_packed, parts, set_aside, whole};
use super::schema::{address, session_key, split_key};
use super::{Store, StoreError};
use crate::jid::{BareJid, FullJid};
use crate::limits::{KEPT_SESSION_BYTES_MAX, STANZA_BYTES_MAX};
use crate::router::KeptSession;

impl Store {
    /// Takes out the sessions that were kept, and waits until that is durable: a session from before a crash, of which more had
    /// happened since, must never come back.
    ///
    /// Errors: [`StoreError::Broken`].
    pub async fn take_sessions(&self) -> Result<Vec<KeptSession>, StoreError> {
        let (kept, ticket) = self.write(|shared, _| {
            let tree = &shared.trees.sessions;
            let mut kept = Vec::new();
            let mut found: Vec<(FullJid, Vec<sled::IVec>, Vec<sled::IVec>)> = Vec::new();
            for pair in tree.iter() {
                let (key, value) = pair?;
                let Some(jid) = jid_of(&key) else {
                    set_aside(&shared.trees, tree, &key, &value)?;
                    continue;
                };
                match found.last_mut() {
                    Some((last, keys, values)) if *last == jid => {
                        keys.push(key);
                        values.push(value);
                    }
                    _ => found.push((jid, vec![key], vec![value])),
                }
            }
            for (jid, keys, values) in found {
                match whole(&values).and_then(|packed| decode_packed(&packed, STATE_BYTES_MAX)) {
                    Some(state) => kept.push(KeptSession { jid, state }),
                    None => {
                        for (key, value) in keys.iter().zip(&values) {
                            set_aside(&shared.trees, tree, key, value)?;
                        }
                    }
                }
            }
            let ticket = match tree.is_empty() {
                true => None,
                false => {
                    changes::clear(tree)?;
                    Some(shared.commits.wrote())
                }
            };
            Ok((kept, ticket))
        })?;
        if let Some(ticket) = ticket {
            self.commit(ticket).await?;
        }
        Ok(kept)
    }

    pub(super) fn write_sessions(&self, sessions: &[KeptSession]) -> Result<(), StoreError> {
        self.write(|shared, _| {
            let tree = &shared.trees.sessions;
            changes::clear(tree)?;
            for session in sessions {
                let (account, resource) = (session.jid.bare(), session.jid.resource());
                for (part, value) in (0..).zip(parts(&encode_packed(&session.state)?)) {
                    changes::put(tree, session_key(account, resource, part), value)?;
                }
            }
            shared.commits.wrote();
            Ok(())
        })
    }
}

/// Is it a session?
pub(super) fn is_session(whole: &[u8]) -> bool {
    decode_packed::<crate::router::KeptState>(whole, STATE_BYTES_MAX).is_some()
}

fn jid_of(key: &[u8]) -> Option<FullJid> {
    let (account, rest) = split_key(key)?;
    let (resource, part) = split_key(rest)?;
    let account: BareJid = address(account)?;
    (part.len() == 2).then(|| account.with_resource(std::str::from_utf8(resource).ok()?).ok())?
}

/// The most that a session's record can be: its stanzas, its presence, the addresses of its directed presence.
const STATE_BYTES_MAX: usize = 2 * (KEPT_SESSION_BYTES_MAX + STANZA_BYTES_MAX) + 1024 * 1024;
