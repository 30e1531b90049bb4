//! Numbers that were taken over from another key lately: other nodes do not let their new owners in before the hold is over. Kept
//! when the account goes: whoever removes it and registers again does not get rid of the hold.
//!
//! One small record a takeover, for three days.

use super::account::account;
use super::changes::Changes;
use super::record::{decode_or_set_aside, encode};
use super::schema::Trees;
use super::{Account, Fingerprint, Store, StoreError};
use crate::jid::BareJid;
use crate::limits::RESET_HOLD;
use crate::stanza::Timestamp;

impl Store {
    /// When the account's number was taken over from another key, while that keeps its owner from visiting other nodes.
    pub fn reset(&self, account: &BareJid, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.read(|shared| held(&shared.trees, account, now))
    }

    /// The same as it will be once this key has registered, at `now`: a key other than the account's is a takeover.
    pub fn reset_by(
        &self,
        account: &BareJid,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.read(|shared| match takes_over(&shared.trees, account, fingerprint)? {
            true => Ok(Some(now)),
            false => held(&shared.trees, account, now),
        })
    }

    /// Forgets those whose hold is over. Becomes durable within half a minute.
    pub fn forget_resets(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(|shared, _| {
            let trees = &shared.trees;
            let mut changes = Changes::default();
            for pair in trees.resets.iter() {
                let (key, value) = pair?;
                let at = decode_or_set_aside::<Timestamp>(trees, &trees.resets, &key, &value)?;
                if at.is_some_and(|at| at.plus(RESET_HOLD) <= now) {
                    changes.remove(&trees.resets, &key);
                }
            }
            if !changes.is_empty() {
                changes.apply()?;
                shared.commits.wrote_lazily();
            }
            Ok(())
        })
    }
}

/// Notes what a registration with this key means.
pub(super) fn note<'a>(
    changes: &mut Changes<'a>,
    trees: &'a Trees,
    address: &BareJid,
    fingerprint: &Fingerprint,
    now: Timestamp,
) -> Result<(), StoreError> {
    if !takes_over(trees, address, fingerprint)? {
        return Ok(());
    }
    changes.put(&trees.resets, address.as_str().into(), encode(&now)?);
    Ok(())
}

/// Is there an account of our own with another key? Who is a visitor here was certified elsewhere.
fn takes_over(trees: &Trees, address: &BareJid, fingerprint: &Fingerprint) -> Result<bool, StoreError> {
    let other = match account(trees, address)? {
        Some(Account { fingerprint: Some(known), .. }) => known != *fingerprint,
        _ => false,
    };
    Ok(other && !trees.visitors.contains_key(address.as_str())?)
}

fn held(trees: &Trees, address: &BareJid, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let key = address.as_str();
    let Some(value) = trees.resets.get(key)? else { return Ok(None) };
    let at = decode_or_set_aside::<Timestamp>(trees, &trees.resets, key.as_bytes(), &value)?;
    Ok(at.filter(|at| now < at.plus(RESET_HOLD)))
}
