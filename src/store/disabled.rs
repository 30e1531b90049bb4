//! Accounts that an administrator has shut: nobody logs in, messages wait. A change of owner does not open them.

use super::changes;
use super::record::{decode_or_set_aside, encode};
use super::schema::address;
use super::{Store, StoreError};
use crate::jid::BareJid;
use crate::router::Ticket;
use crate::stanza::Timestamp;

impl Store {
    /// Shuts an account, or opens it again with `None`. Sessions are the caller's business.
    ///
    /// Errors: [`StoreError::NoAccount`].
    pub fn set_disabled(&self, account: &BareJid, since: Option<Timestamp>) -> Result<Ticket, StoreError> {
        self.write(|shared, _| {
            let trees = &shared.trees;
            if !trees.accounts.contains_key(account.as_str())? {
                return Err(StoreError::NoAccount);
            }
            match since {
                Some(since) => changes::put(&trees.disabled, account.as_str(), encode(&since)?)?,
                None => _ = changes::remove(&trees.disabled, account.as_str())?,
            }
            Ok(shared.commits.wrote())
        })
    }

    /// May its owner not log in?
    pub fn is_disabled(&self, account: &BareJid) -> Result<bool, StoreError> {
        self.read(|shared| Ok(shared.trees.disabled.contains_key(account.as_str())?))
    }

    /// All that are shut, ordered by address, with the moment since when.
    pub fn disabled(&self) -> Result<Vec<(BareJid, Timestamp)>, StoreError> {
        self.read(|shared| {
            let tree = &shared.trees.disabled;
            let mut found = Vec::new();
            for pair in tree.iter() {
                let (key, value) = pair?;
                if let (Some(account), Some(since)) =
                    (address(&key), decode_or_set_aside(&shared.trees, tree, &key, &value)?)
                {
                    found.push((account, since));
                }
            }
            Ok(found)
        })
    }
}
