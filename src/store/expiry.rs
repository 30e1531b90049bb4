//! Accounts that nobody uses any more. Kontalk registration, expiry: numbers change owners, so an account without a sign of life goes,
//! and its contacts are told.
//!
//! A small board's clock may be wrong by years, and a node that was off for a month must not remove everybody when it comes back.
//! So an account goes only when it was found inactive in many rounds, which count the time that the node itself was running.

use super::changes::Changes;
use super::record::{decode_or_set_aside, encode};
use super::{Account, Store, StoreError};
use crate::jid::BareJid;

impl Store {
    /// One round: accounts that are inactive have one round more, others none. Gives those that have now been inactive for at
    /// least so many rounds; nothing is removed. Becomes durable within half a minute.
    pub fn count_inactive(
        &self,
        is_inactive: impl Fn(&Account) -> bool,
        rounds: u16,
    ) -> Result<Vec<BareJid>, StoreError> {
        let found: Vec<BareJid> = self
            .accounts()
            .filter_map(|listed| listed.map(|(address, account)| is_inactive(&account).then_some(address)).transpose())
            .collect::<Result<_, _>>()?;
        self.write(|shared, _| {
            let trees = &shared.trees;
            let mut changes = Changes::default();
            for pair in trees.inactive.iter() {
                let (key, _) = pair?;
                if found.binary_search_by(|address| address.as_str().as_bytes().cmp(&key)).is_err() {
                    changes.remove(&trees.inactive, &key);
                }
            }
            let mut expired = Vec::new();
            for address in &found {
                let key = address.as_str().as_bytes();
                let before: Option<u16> = match trees.inactive.get(key)? {
                    Some(value) => decode_or_set_aside(trees, &trees.inactive, key, &value)?,
                    None => None,
                };
                let now = before.unwrap_or(0).saturating_add(1);
                changes.put(&trees.inactive, key.to_vec(), encode(&now)?);
                if now >= rounds {
                    expired.push(address.clone());
                }
            }
            changes.apply()?;
            shared.commits.wrote_lazily();
            Ok(expired)
        })
    }
}
