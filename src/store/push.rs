//! Push registrations (XEP-0357): how the devices of each account are woken.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::changes::Changes;
use super::record::{decode, decode_or_set_aside, encode};
use super::schema::{Trees, account_prefix, address, push_key, split_key};
use super::{Store, StoreError};
use crate::jid::{BareJid, Jid};
use crate::limits::PUSH_SERVICES_MAX;
use crate::push::Registration;
use crate::router::Ticket;

/// What stands behind service and node.
#[derive(Serialize, Deserialize)]
struct Record {
    resource: String,
    options: Option<String>,
}

/// Is it what is kept of a registration?
pub(super) fn is_record(value: &[u8]) -> bool {
    decode::<Record>(value).is_some()
}

impl Store {
    /// Keeps a registration, in place of one of the same service and node; with `alone`, in place of all of the service.
    ///
    /// Errors: [`StoreError::NoAccount`], [`StoreError::Full`] where the account has `limits::PUSH_SERVICES_MAX` others.
    pub fn save_push(&self, account: &BareJid, registration: &Registration, alone: bool) -> Result<Ticket, StoreError> {
        self.write(|shared, _| {
            let trees = &shared.trees;
            if !trees.accounts.contains_key(account.as_str())? {
                return Err(StoreError::NoAccount);
            }
            let mut changes = Changes::default();
            if alone {
                changes.remove_all(&trees.push, &push_key(account, &registration.service, ""))?;
            }
            let key = push_key(account, &registration.service, &registration.node);
            let others = trees.push.scan_prefix(account_prefix(account)).keys();
            let others = others.filter(|other| other.as_ref().is_ok_and(|other| *other != key)).count();
            if others >= PUSH_SERVICES_MAX && !alone {
                return Err(StoreError::Full);
            }
            let record = Record { resource: registration.resource.clone(), options: registration.options.clone() };
            changes.put(&trees.push, key, encode(&record)?);
            changes.apply()?;
            Ok(shared.commits.wrote())
        })
    }

    /// Forgets a registration, or all of a service.
    pub fn remove_push(&self, account: &BareJid, service: &Jid, node: Option<&str>) -> Result<Ticket, StoreError> {
        self.write(|shared, _| {
            let trees = &shared.trees;
            let mut changes = Changes::default();
            match node {
                Some(node) => changes.remove(&trees.push, &push_key(account, service, node)),
                None => changes.remove_all(&trees.push, &push_key(account, service, ""))?,
            }
            changes.apply()?;
            Ok(shared.commits.wrote())
        })
    }

    /// Forgets all registrations of these accounts. Nothing is written where there are none.
    pub fn forget_pushes(&self, accounts: &[BareJid]) -> Result<(), StoreError> {
        self.write(|shared, _| {
            let mut changes = Changes::default();
            for account in accounts {
                changes.remove_all(&shared.trees.push, &account_prefix(account))?;
            }
            if !changes.is_empty() {
                changes.apply()?;
                shared.commits.wrote_lazily();
            }
            Ok(())
        })
    }

    /// All registrations of an account.
    pub fn pushes(&self, account: &BareJid) -> Result<Vec<Registration>, StoreError> {
        self.read(|shared| pushes(&shared.trees, account))
    }

    /// The accounts that have any.
    pub fn push_accounts(&self) -> Result<HashSet<BareJid>, StoreError> {
        self.read(|shared| {
            let mut accounts = HashSet::new();
            for key in shared.trees.push.iter().keys() {
                accounts.extend(split_key(&key?).and_then(|(account, _)| address(account)));
            }
            Ok(accounts)
        })
    }
}

fn pushes(trees: &Trees, account: &BareJid) -> Result<Vec<Registration>, StoreError> {
    let prefix = account_prefix(account);
    let mut found = Vec::new();
    for pair in trees.push.scan_prefix(&prefix) {
        let (key, value) = pair?;
        let place = key.get(prefix.len()..).and_then(split_key);
        let place = place.and_then(|(service, node)| Some((address(service)?, std::str::from_utf8(node).ok()?)));
        let record = decode_or_set_aside::<Record>(trees, &trees.push, &key, &value)?;
        if let (Some((service, node)), Some(Record { resource, options })) = (place, record) {
            found.push(Registration { service, node: node.to_owned(), resource, options });
        }
    }
    Ok(found)
}
