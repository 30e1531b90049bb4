//! Accounts whose owner does not want to be found by telephone number.

use super::{Store, StoreError, changes};
use crate::jid::BareJid;
use crate::router::Ticket;

impl Store {
    /// Shall strangers who have the number find the account?
    ///
    /// Errors: [`StoreError::NoAccount`].
    pub fn set_discoverable(&self, account: &BareJid, discoverable: bool) -> Result<Ticket, StoreError> {
        self.write(|shared, _| {
            let trees = &shared.trees;
            if !trees.accounts.contains_key(account.as_str())? {
                return Err(StoreError::NoAccount);
            }
            match discoverable {
                true => _ = changes::remove(&trees.undiscoverable, account.as_str())?,
                false => changes::put(&trees.undiscoverable, account.as_str(), &[])?,
            }
            Ok(shared.commits.wrote())
        })
    }

    /// Shall they? Everybody begins so.
    pub fn is_discoverable(&self, account: &BareJid) -> Result<bool, StoreError> {
        self.read(|shared| Ok(!shared.trees.undiscoverable.contains_key(account.as_str())?))
    }
}
