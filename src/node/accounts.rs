//! What an operator does with accounts, in a running node (which then ends sessions) or on its data alone.

use serde::{Deserialize, Serialize};

use super::login::encode;
use super::random::random_bytes;
use crate::jid::{BareJid, JidError};
use crate::router::Ticket;
use crate::services::COMPONENTS;
use crate::stanza::Timestamp;
use crate::store::{Account, Departed, Store, StoreError};
use crate::stream::{DEFAULT_ITERATIONS, Password, PasswordError, SALT_BYTES, ScramKeys};

/// An account, as `account show` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountFacts {
    /// Its address.
    pub address: String,
    /// When it was made, as a date-time of XEP-0082.
    pub created: String,
    /// The fingerprint of the key that logs in to it.
    pub key: Option<String>,
    /// Has it a password?
    pub password: bool,
    /// Did a telephone number prove itself for it?
    pub number_verified: bool,
    /// Has an administrator shut it?
    #[serde(default)]
    pub disabled: bool,
    /// When it last logged out.
    pub last_logout: Option<String>,
    /// The address at home of a visitor.
    #[serde(default)]
    pub home: Option<String>,
}

/// Why an account was not changed.
#[derive(Debug)]
pub enum AccountFault {
    /// The store says no.
    Store(StoreError),
    /// The password will not do.
    Password(PasswordError),
    /// The address is none.
    Address(JidError),
    /// The address is of another domain.
    OtherDomain(String),
    /// An account has a part before the @.
    NoLocalpart,
    /// The name is one of the node's services.
    Reserved,
    /// The keys made of the password cannot be kept.
    Encoding,
    /// It is a visitor's, who comes by the key of his home and no other way.
    Visitor,
}

impl std::fmt::Display for AccountFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AccountFault::Store(error) => error.fmt(f),
            AccountFault::Password(error) => error.fmt(f),
            AccountFault::Address(error) => write!(f, "{error} (remedy: e.g. alice@example.org)"),
            AccountFault::OtherDomain(domain) => {
                write!(f, "this node serves {domain} (remedy: an address that ends in @{domain})")
            }
            AccountFault::NoLocalpart => {
                f.write_str("an account has a name before the @ (remedy: e.g. alice@example.org)")
            }
            AccountFault::Reserved => f.write_str("the name belongs to a service of the node (remedy: another name)"),
            AccountFault::Visitor => {
                f.write_str("a visitor from another node comes by his key, and can have no password here")
            }
            AccountFault::Encoding => f.write_str("the password's keys cannot be encoded"),
        }
    }
}

impl std::error::Error for AccountFault {}

impl From<StoreError> for AccountFault {
    fn from(error: StoreError) -> AccountFault {
        AccountFault::Store(error)
    }
}

/// Checks an address that an operator typed.
pub(super) fn check_address(address: &BareJid, domain: &BareJid) -> Result<(), AccountFault> {
    if address.localpart().is_none() {
        return Err(AccountFault::NoLocalpart);
    }
    if address.localpart().is_some_and(|name| COMPONENTS.contains(&name)) {
        return Err(AccountFault::Reserved);
    }
    if address.domainpart() != domain.domainpart() {
        return Err(AccountFault::OtherDomain(domain.to_string()));
    }
    Ok(())
}

/// Makes an account with a password. Takes the time of a key derivation.
pub(super) fn add(
    store: &Store,
    address: &BareJid,
    password: &Password,
    now: Timestamp,
) -> Result<Ticket, AccountFault> {
    let account = Account { password: Some(credentials(password)?), ..Account::new(now) };
    Ok(store.add_account(address, &account)?)
}

/// Sets an account's password; the key stays.
pub(super) fn set_password(store: &Store, address: &BareJid, password: &Password) -> Result<Ticket, AccountFault> {
    if store.visit(address)?.is_some() {
        return Err(AccountFault::Visitor);
    }
    Ok(store.set_password(address, Some(credentials(password)?))?)
}

/// Removes an account with all that belongs to it. Who was in its roster is to be told.
pub(super) fn remove(store: &Store, address: &BareJid) -> Result<(Departed, Ticket), AccountFault> {
    Ok(store.remove_account(address)?)
}

/// One account.
pub(super) fn show(store: &Store, address: &BareJid) -> Result<AccountFacts, AccountFault> {
    let account = store.account(address)?.ok_or(StoreError::NoAccount)?;
    Ok(facts(store, address, &account)?)
}

/// All accounts, ordered by address.
pub(super) fn list(store: &Store) -> Result<Vec<AccountFacts>, AccountFault> {
    let listed = store.accounts().map(|found| {
        let (address, account) = found?;
        facts(store, &address, &account)
    });
    Ok(listed.collect::<Result<Vec<_>, StoreError>>()?)
}

fn facts(store: &Store, address: &BareJid, account: &Account) -> Result<AccountFacts, StoreError> {
    Ok(AccountFacts {
        address: address.to_string(),
        created: account.created.to_string(),
        key: account.fingerprint.map(|key| crate::pgp::Fingerprint(key).to_string()),
        password: account.password.is_some(),
        number_verified: account.number_verified,
        disabled: store.is_disabled(address)?,
        last_logout: account.last_logout.map(|moment| moment.to_string()),
        home: store.visit(address)?.map(|visit| visit.home_address),
    })
}

fn credentials(password: &Password) -> Result<crate::store::Credentials, AccountFault> {
    let salt: [u8; SALT_BYTES] = random_bytes();
    let keys =
        ScramKeys::derive(password.expose(), salt.to_vec(), DEFAULT_ITERATIONS).map_err(AccountFault::Password)?;
    encode(&keys).ok_or(AccountFault::Encoding)
}
