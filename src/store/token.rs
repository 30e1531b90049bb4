//! Login tokens (XEP-0484): what is kept of the tokens of each client of an account, which is not the tokens themselves.

use super::changes::Changes;
use super::record::{decode_or_set_aside, encode};
use super::schema::{Trees, account_prefix, token_key};
use super::{Store, StoreError};
use crate::jid::BareJid;
use crate::limits::TOKEN_CLIENTS_MAX;
use crate::router::Ticket;
use crate::stanza::Timestamp;
use crate::stream::{ClientId, Keep, TokenSlots};

impl Store {
    /// Lets `decide` see and change the tokens of a client; it says how soon the change must be durable. There is a ticket if
    /// that is at once. An account has tokens of at most [`TOKEN_CLIENTS_MAX`] clients: for one more, those go that have expired,
    /// or the one that expires first.
    ///
    /// Errors: [`StoreError::NoAccount`], also where the account has no password.
    pub fn change_tokens<T>(
        &self,
        account: &BareJid,
        client: ClientId,
        now: Timestamp,
        decide: impl FnOnce(&mut TokenSlots) -> (T, Keep),
    ) -> Result<(T, Option<Ticket>), StoreError> {
        self.write(|shared, _| {
            let trees = &shared.trees;
            // A password that was taken away takes the tokens along; so one that is being issued meanwhile must not stay.
            super::account::account(trees, account)?.filter(|a| a.password.is_some()).ok_or(StoreError::NoAccount)?;
            let key = token_key(account, client);
            let found = match trees.tokens.get(&key)? {
                Some(value) => decode_or_set_aside(trees, &trees.tokens, &key, &value)?,
                None => None,
            };
            let is_new = found.is_none();
            let mut slots = found.unwrap_or_default();
            let (outcome, keep) = decide(&mut slots);
            if keep == Keep::Unchanged {
                return Ok((outcome, None));
            }
            let mut changes = Changes::default();
            if slots == TokenSlots::default() {
                changes.remove(&trees.tokens, &key);
            } else {
                if is_new {
                    make_room(&mut changes, trees, account, now)?;
                }
                changes.put(&trees.tokens, key, encode(&slots)?);
            }
            changes.apply()?;
            let ticket = match keep {
                Keep::Now => Some(shared.commits.wrote()),
                Keep::Soon | Keep::Unchanged => {
                    shared.commits.wrote_lazily();
                    None
                }
            };
            Ok((outcome, ticket))
        })
    }
}

/// Takes all tokens of an account away.
pub(super) fn forget_tokens<'a>(
    changes: &mut Changes<'a>,
    trees: &'a Trees,
    account: &BareJid,
) -> Result<(), StoreError> {
    changes.remove_all(&trees.tokens, &account_prefix(account))
}

fn make_room<'a>(
    changes: &mut Changes<'a>,
    trees: &'a Trees,
    account: &BareJid,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut living = Vec::new();
    for pair in trees.tokens.scan_prefix(account_prefix(account)) {
        let (key, value) = pair?;
        let slots: Option<TokenSlots> = decode_or_set_aside(trees, &trees.tokens, &key, &value)?;
        match slots.and_then(|slots| slots.expiry()) {
            Some(expiry) if expiry > now => living.push((expiry, key)),
            _ => changes.remove(&trees.tokens, &key),
        }
    }
    living.sort();
    let surplus = (living.len() + 1).saturating_sub(TOKEN_CLIENTS_MAX);
    for (_, key) in living.iter().take(surplus) {
        changes.remove(&trees.tokens, key);
    }
    Ok(())
}
