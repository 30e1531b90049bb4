//! Accounts, their keys and passwords; the change of owner.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::changes::{self, Changes};
use super::offline::Queues;
use super::record::{decode_or_set_aside, encode, parts, whole};
use super::schema::{Trees, account_prefix, address, contact_key, ring_key, split_key};
use super::token::forget_tokens;
use super::trust::forget_visit;
use super::{Shared, Store, StoreError, reset, roster};
use crate::jid::BareJid;
use crate::limits::RING_BYTES_MAX;
use crate::roster::{Removal, remove};
use crate::router::Ticket;
use crate::stanza::Timestamp;

/// An OpenPGP v4 fingerprint.
pub type Fingerprint = [u8; 20];

/// What is kept of an account. Either credential may be missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// When it was made.
    pub created: Timestamp,
    /// The certified key it logs in with.
    pub fingerprint: Option<Fingerprint>,
    /// The password's verifier.
    pub password: Option<Credentials>,
    /// When it last logged in.
    pub last_login: Option<Timestamp>,
    /// When its last session ended.
    pub last_logout: Option<Timestamp>,
    /// Did a telephone number prove itself for it, or did an operator make it?
    pub number_verified: bool,
}

impl Account {
    /// An account without credentials yet.
    pub fn new(created: Timestamp) -> Account {
        Account {
            created,
            fingerprint: None,
            password: None,
            last_login: None,
            last_logout: None,
            number_verified: false,
        }
    }
}

/// A password's verifier, opaque to the store: at most [`CREDENTIALS_BYTES_MAX`] bytes, never printed, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials(Vec<u8>);

impl Credentials {
    /// From the bytes that [`Credentials::as_bytes`] shall give back.
    pub fn new(bytes: Vec<u8>) -> Credentials {
        Credentials(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What an account leaves behind that others must be told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Departed {
    /// The contacts to be told; each stays in [`Store::farewells`] until [`Store::farewell_said`].
    pub farewells: Vec<Farewell>,
}

/// A contact that must be told that the account's former owner is gone (Kontalk registration: the code step).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// The account that had another owner, or is no more.
    pub account: BareJid,
    /// Who must be told.
    pub contact: BareJid,
    /// Which presence to send it from the account's bare JID.
    pub presence: Removal,
}

impl Store {
    /// The account, if there is one.
    pub fn account(&self, address: &BareJid) -> Result<Option<Account>, StoreError> {
        self.read(|shared| account(&shared.trees, address))
    }

    /// All accounts, ordered by address.
    pub fn accounts(&self) -> impl Iterator<Item = Result<(BareJid, Account), StoreError>> + '_ {
        let trees = &self.shared.trees;
        trees.accounts.iter().filter_map(move |pair| self.shared.judge(listed(trees, pair)).transpose())
    }

    /// Adds an account, as an operator does.
    ///
    /// Errors: [`StoreError::AccountExists`], [`StoreError::TooLarge`].
    pub fn add_account(&self, address: &BareJid, new: &Account) -> Result<Ticket, StoreError> {
        check_credentials(new.password.as_ref())?;
        self.grow(|shared, queues| {
            let trees = &shared.trees;
            if trees.accounts.contains_key(address.as_str())? {
                return Err(StoreError::AccountExists);
            }
            let mut changes = Changes::default();
            // Leftovers of sessions that outlived an earlier account are not for this one.
            forget_belongings(&mut changes, trees, address)?;
            renew_roster(&mut changes, trees, address, new.created)?;
            changes.put(&trees.accounts, address.as_str().into(), encode(new)?);
            apply(shared, queues, changes, address)
        })
    }

    /// Sets or removes an account's password. What logged in by the old one, and was given a token for it, must do so anew.
    ///
    /// Errors: [`StoreError::NoAccount`], [`StoreError::TooLarge`].
    pub fn set_password(&self, address: &BareJid, password: Option<Credentials>) -> Result<Ticket, StoreError> {
        check_credentials(password.as_ref())?;
        self.write(|shared, _| {
            let trees = &shared.trees;
            let old = account(trees, address)?.ok_or(StoreError::NoAccount)?;
            let mut changes = Changes::default();
            changes.put(&trees.accounts, address.as_str().into(), encode(&Account { password, ..old })?);
            forget_tokens(&mut changes, trees, address)?;
            changes.apply()?;
            Ok(shared.commits.wrote())
        })
    }

    /// Removes an account with everything that belongs to it.
    ///
    /// Errors: [`StoreError::NoAccount`].
    pub fn remove_account(&self, address: &BareJid) -> Result<(Departed, Ticket), StoreError> {
        self.write(|shared, queues| {
            let trees = &shared.trees;
            let old = account(trees, address)?.ok_or(StoreError::NoAccount)?;
            let mut changes = Changes::default();
            let departed = depart(&mut changes, trees, address)?;
            forget_visit(&mut changes, trees, address)?;
            if let Some(fingerprint) = old.fingerprint {
                changes.remove_all(&trees.rings, &fingerprint)?;
            }
            changes.remove(&trees.roster, &account_prefix(address));
            changes.remove(&trees.accounts, address.as_str().as_bytes());
            changes.remove(&trees.disabled, address.as_str().as_bytes());
            Ok((departed, apply(shared, queues, changes, address)?))
        })
    }

    /// Takes away what came for an account between its removal and the end of its sessions. Nothing happens where there is an
    /// account. Becomes durable within half a minute.
    pub fn forget_leftovers(&self, address: &BareJid) -> Result<(), StoreError> {
        self.write(|shared, queues| {
            let trees = &shared.trees;
            if trees.accounts.contains_key(address.as_str())? {
                return Ok(());
            }
            queues.forget(address);
            // There is hardly ever anything, and what is not written costs nothing.
            for tree in trees_of_belongings(trees) {
                let mut changes = Changes::default();
                changes.remove_all(tree, &account_prefix(address))?;
                changes.apply()?;
            }
            for tree in [&trees.archive_preferences, &trees.inactive] {
                if tree.contains_key(address.as_str())? {
                    changes::remove(tree, address.as_str())?;
                }
            }
            shared.commits.wrote_lazily();
            Ok(())
        })
    }

    /// A number proved itself and a key is certified for it: the account is the key's from now on. What belonged to a previous
    /// owner (roster, requests, block list, offline messages, key, password) goes in the same transaction, because numbers change
    /// owners; the contacts to be told come back and are kept as [`Store::farewells`] until they are. Whoever registers again with
    /// the very same key is the same owner and keeps everything.
    ///
    /// Before the ticket is durable, a power cut leaves either everything of the previous owner or everything of the new one.
    ///
    /// Errors: [`StoreError::TooLarge`] for a ring over `limits::RING_BYTES_MAX`.
    pub fn accept_registration(
        &self,
        address: &BareJid,
        fingerprint: Fingerprint,
        ring: &[u8],
        now: Timestamp,
    ) -> Result<(Departed, Ticket), StoreError> {
        check_ring(ring)?;
        self.grow(|shared, queues| {
            let trees = &shared.trees;
            let old = account(trees, address)?;
            let mut changes = Changes::default();
            reset::note(&mut changes, trees, address, &fingerprint, now)?;
            // Who came as a visitor and proves his number is at home here, and keeps what he had.
            forget_visit(&mut changes, trees, address)?;
            match old {
                Some(old) if old.fingerprint == Some(fingerprint) => {
                    let kept = Account { number_verified: true, ..old };
                    changes.put(&trees.accounts, address.as_str().into(), encode(&kept)?);
                    put_ring(&mut changes, trees, &fingerprint, ring)?;
                    changes.apply()?;
                    return Ok((Departed::default(), shared.commits.wrote()));
                }
                Some(Account { fingerprint: Some(former), .. }) => changes.remove_all(&trees.rings, &former)?,
                _ => {}
            }
            let departed = depart(&mut changes, trees, address)?;
            renew_roster(&mut changes, trees, address, now)?;
            let new = Account { fingerprint: Some(fingerprint), number_verified: true, ..Account::new(now) };
            changes.put(&trees.accounts, address.as_str().into(), encode(&new)?);
            put_ring(&mut changes, trees, &fingerprint, ring)?;
            Ok((departed, apply(shared, queues, changes, address)?))
        })
    }

    /// An account's owner logged in with a key, which may be a new one or have new signatures: it is the account's from now on.
    /// Nothing is written where nothing changed.
    ///
    /// Errors: [`StoreError::NoAccount`], [`StoreError::TooLarge`].
    pub fn save_login(&self, address: &BareJid, fingerprint: Fingerprint, ring: &[u8]) -> Result<Ticket, StoreError> {
        check_ring(ring)?;
        self.write(|shared, _| {
            let trees = &shared.trees;
            let old = account(trees, address)?.ok_or(StoreError::NoAccount)?;
            let same_key = old.fingerprint == Some(fingerprint);
            if same_key && read_ring(trees, &fingerprint)?.as_deref() == Some(ring) {
                return Ok(shared.commits.last_written());
            }
            let mut changes = Changes::default();
            if let Some(former) = old.fingerprint.filter(|_| !same_key) {
                changes.remove_all(&trees.rings, &former)?;
            }
            let new = Account { fingerprint: Some(fingerprint), ..old };
            changes.put(&trees.accounts, address.as_str().into(), encode(&new)?);
            put_ring(&mut changes, trees, &fingerprint, ring)?;
            changes.apply()?;
            Ok(shared.commits.wrote())
        })
    }

    /// Notes when an account logged in. Becomes durable within half a minute.
    ///
    /// Errors: [`StoreError::NoAccount`].
    pub fn note_login(&self, address: &BareJid, now: Timestamp) -> Result<(), StoreError> {
        self.change_account(address, |account| account.last_login = Some(now))
            .map(|shared| shared.commits.wrote_lazily())
    }

    /// Notes when an account's last session ended. Becomes durable within half a minute.
    ///
    /// Errors: [`StoreError::NoAccount`].
    pub fn note_logout(&self, address: &BareJid, now: Timestamp) -> Result<(), StoreError> {
        self.change_account(address, |account| account.last_logout = Some(now))
            .map(|shared| shared.commits.wrote_lazily())
    }

    /// The OpenPGP ring with this fingerprint.
    pub fn ring(&self, fingerprint: &Fingerprint) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|shared| read_ring(&shared.trees, fingerprint))
    }

    /// The contacts still to be told that an account's owner is gone; after a crash these may be many accounts'.
    pub fn farewells(&self) -> Result<Vec<Farewell>, StoreError> {
        self.read(|shared| {
            let tree = &shared.trees.farewells;
            let mut farewells = Vec::new();
            for pair in tree.iter() {
                let (key, value) = pair?;
                let addresses = split_key(&key).and_then(|(a, c)| Some((address(a)?, address(c)?)));
                let owed = decode_or_set_aside::<(bool, bool)>(&shared.trees, tree, &key, &value)?;
                if let (Some((account, contact)), Some((unsubscribe, unsubscribed))) = (addresses, owed) {
                    let presence = Removal { unsubscribe, unsubscribed };
                    farewells.push(Farewell { account, contact, presence });
                }
            }
            Ok(farewells)
        })
    }

    /// The contact was told.
    pub fn farewell_said(&self, account: &BareJid, contact: &BareJid) -> Result<(), StoreError> {
        self.write(|shared, _| {
            if changes::remove(&shared.trees.farewells, contact_key(account, contact.as_str()))? {
                shared.commits.wrote_lazily();
            }
            Ok(())
        })
    }

    fn change_account(&self, address: &BareJid, change: impl FnOnce(&mut Account)) -> Result<&Shared, StoreError> {
        self.write(|shared, _| {
            let mut record = account(&shared.trees, address)?.ok_or(StoreError::NoAccount)?;
            change(&mut record);
            changes::put(&shared.trees.accounts, address.as_str(), encode(&record)?)?;
            Ok(())
        })?;
        Ok(&self.shared)
    }
}

pub(super) fn account(trees: &Trees, address: &BareJid) -> Result<Option<Account>, StoreError> {
    match trees.accounts.get(address.as_str())? {
        Some(value) => decode_or_set_aside(trees, &trees.accounts, address.as_str().as_bytes(), &value),
        None => Ok(None),
    }
}

fn listed(
    trees: &Trees,
    pair: sled::Result<(sled::IVec, sled::IVec)>,
) -> Result<Option<(BareJid, Account)>, StoreError> {
    let (key, value) = pair?;
    let Some(address) = address(&key) else { return Ok(None) };
    Ok(decode_or_set_aside(trees, &trees.accounts, &key, &value)?.map(|account| (address, account)))
}

/// Takes everything of an account's owner away, and keeps what contacts must be told.
fn depart<'a>(changes: &mut Changes<'a>, trees: &'a Trees, address: &BareJid) -> Result<Departed, StoreError> {
    let mut departed = Departed::default();
    let old = roster::roster(trees, address)?;
    forget_belongings(changes, trees, address)?;
    for (contact, entry) in old.entries {
        let presence = remove(&entry);
        if presence == Removal::default() {
            continue;
        }
        let owed = encode(&(presence.unsubscribe, presence.unsubscribed))?;
        changes.put(&trees.farewells, contact_key(address, contact.as_str()), owed);
        departed.farewells.push(Farewell { account: address.clone(), contact, presence });
    }
    Ok(departed)
}

/// Takes away all that lies under an account's address, save the account itself and its key.
pub(super) fn forget_belongings<'a>(
    changes: &mut Changes<'a>,
    trees: &'a Trees,
    address: &BareJid,
) -> Result<(), StoreError> {
    let prefix = account_prefix(address);
    for tree in trees_of_belongings(trees) {
        changes.remove_all(tree, &prefix)?;
    }
    changes.remove(&trees.archive_preferences, address.as_str().as_bytes());
    changes.remove(&trees.inactive, address.as_str().as_bytes());
    changes.remove(&trees.undiscoverable, address.as_str().as_bytes());
    Ok(())
}

/// Those whose keys begin with an account, but for farewells.
fn trees_of_belongings(trees: &Trees) -> [&sled::Tree; 11] {
    [
        &trees.roster,
        &trees.requests,
        &trees.blocked,
        &trees.offline,
        &trees.nodes,
        &trees.items,
        &trees.item_ids,
        &trees.archive,
        &trees.sessions,
        &trees.tokens,
        &trees.push,
    ]
}

/// A new owner's roster has a version that no client of the previous owner has seen: it could take an old roster for the present
/// one. Seconds grow faster than rosters change.
pub(super) fn renew_roster<'a>(
    changes: &mut Changes<'a>,
    trees: &'a Trees,
    address: &BareJid,
    now: Timestamp,
) -> Result<(), StoreError> {
    let version = roster::version(trees, address)?.saturating_add(1).max(now.secs());
    roster::put_version(changes, trees, address, version)
}

fn apply(shared: &Shared, queues: &mut Queues, changes: Changes<'_>, address: &BareJid) -> Result<Ticket, StoreError> {
    changes.apply()?;
    queues.forget(address);
    Ok(shared.commits.wrote())
}

pub(super) fn put_ring<'a>(
    changes: &mut Changes<'a>,
    trees: &'a Trees,
    fingerprint: &Fingerprint,
    ring: &[u8],
) -> Result<(), StoreError> {
    // The former ring may have had more parts.
    changes.remove_all(&trees.rings, fingerprint)?;
    for (part, value) in (0..).zip(parts(ring)) {
        changes.put(&trees.rings, ring_key(fingerprint, part), value);
    }
    Ok(())
}

pub(super) fn read_ring(trees: &Trees, fingerprint: &Fingerprint) -> Result<Option<Vec<u8>>, StoreError> {
    let values: Vec<sled::IVec> = trees.rings.scan_prefix(fingerprint).values().collect::<sled::Result<_>>()?;
    Ok(whole(&values))
}

pub(super) fn check_ring(ring: &[u8]) -> Result<(), StoreError> {
    if ring.len() > RING_BYTES_MAX { Err(StoreError::TooLarge { bytes_max: RING_BYTES_MAX }) } else { Ok(()) }
}

fn check_credentials(credentials: Option<&Credentials>) -> Result<(), StoreError> {
    if credentials.is_some_and(|credentials| credentials.0.len() > CREDENTIALS_BYTES_MAX) {
        return Err(StoreError::TooLarge { bytes_max: CREDENTIALS_BYTES_MAX });
    }
    Ok(())
}

/// The largest verifier of a password, in bytes: keys of several SCRAM mechanisms are under 1 KiB.
pub const CREDENTIALS_BYTES_MAX: usize = 4096;
