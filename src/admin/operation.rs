//! What administrators want done, read from their forms.

use std::borrow::Cow;

use super::command::Command;
use super::form::Submission;
use crate::jid::{BareJid, Jid};
use crate::limits;
use crate::stanza::{Secret, StanzaCondition, StanzaError};

/// Something to do. All addresses are of our domain and have a localpart; whether there is such an account is for the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Make an account. XEP-0133 §4.1.
    Add(BareJid, Secret),
    /// Remove accounts with all that is theirs. §4.2.
    Delete(Vec<BareJid>),
    /// Shut accounts: sessions end, logins are refused. §4.3.
    Disable(Vec<BareJid>),
    /// Open them again. §4.4.
    Reenable(Vec<BareJid>),
    /// End sessions: all of an account, or one. §4.5.
    EndSessions(Vec<Jid>),
    /// Set a password. §4.7.
    ChangePassword(BareJid, Secret),
    /// When did he last log in? §4.9.
    LastLogin(BareJid),
    /// Size of the roster, resources. §4.10.
    Statistics(BareJid),
    /// How many? §4.13 to §4.15.
    Count(Audience),
    /// Who? At most so many. §4.18 to §4.20.
    List(Audience, usize),
    /// Send this to them. §4.23.
    Announce(Audience, String),
}

/// Some of the accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// All of them.
    Registered,
    /// Those that an administrator shut.
    Disabled,
    /// Those that have sessions.
    Online,
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A sentence that tells so.
    Done(Cow<'static, str>),
    /// A sentence that tells why not.
    Failed(Cow<'static, str>),
    /// What was asked for.
    Values(Vec<Value>),
}

/// A field that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its name in XEP-0133.
    pub var: &'static str,
    /// For people.
    pub label: &'static str,
    /// Its type, XEP-0004 §3.3.
    pub kind: &'static str,
    /// Its values.
    pub values: Vec<String>,
}

impl Operation {
    /// The accounts that must be there for it to be done.
    pub fn accounts(&self) -> Vec<&BareJid> {
        match self {
            Operation::Delete(accounts) | Operation::Disable(accounts) | Operation::Reenable(accounts) => {
                accounts.iter().collect()
            }
            Operation::EndSessions(sessions) => sessions.iter().map(Jid::bare).collect(),
            Operation::ChangePassword(account, _) | Operation::LastLogin(account) | Operation::Statistics(account) => {
                vec![account]
            }
            Operation::Add(..) | Operation::Count(_) | Operation::List(..) | Operation::Announce(..) => Vec::new(),
        }
    }

    /// The answer to [`Operation::Count`].
    pub fn counted(audience: Audience, count: usize) -> Outcome {
        let (var, label) = match audience {
            Audience::Registered => ("registeredusersnum", "Registered users"),
            Audience::Disabled => ("disabledusersnum", "Disabled users"),
            Audience::Online => ("onlineusersnum", "Online users"),
        };
        Outcome::Values(vec![Value { var, label, kind: "text-single", values: vec![count.to_string()] }])
    }

    /// The answer to [`Operation::List`].
    pub fn listed(audience: Audience, addresses: impl IntoIterator<Item = BareJid>) -> Outcome {
        let (var, label) = match audience {
            Audience::Registered => ("registereduserjids", "Registered users"),
            Audience::Disabled => ("disableduserjids", "Disabled users"),
            Audience::Online => ("onlineuserjids", "Online users"),
        };
        let values = addresses.into_iter().map(|address| address.to_string()).collect();
        Outcome::Values(vec![Value { var, label, kind: "jid-multi", values }])
    }
}

/// Why a form does not become an operation.
#[derive(Debug)]
pub(super) enum Unfit {
    /// It can be filled in better: the reason.
    Again(Cow<'static, str>),
    /// It cannot be done at all.
    Refused(StanzaError),
}

pub(super) fn without_form(command: Command) -> Result<Operation, StanzaError> {
    match command {
        Command::GetRegisteredUsersNum => Ok(Operation::Count(Audience::Registered)),
        Command::GetDisabledUsersNum => Ok(Operation::Count(Audience::Disabled)),
        Command::GetOnlineUsersNum => Ok(Operation::Count(Audience::Online)),
        _ => Err(StanzaError::new(StanzaCondition::InternalServerError)),
    }
}

pub(super) fn of_form(
    command: Command,
    form: &Submission<'_>,
    domain: &BareJid,
    admins: &[BareJid],
) -> Result<Operation, Unfit> {
    let one = || account(form, domain);
    let protected = || {
        let addresses = accounts(form, domain)?;
        match addresses.iter().find(|address| admins.contains(address)) {
            // XEP-0133 §5: nobody is allowed to.
            Some(admin) => Err(Unfit::Refused(
                StanzaError::new(StanzaCondition::NotAllowed)
                    .text(format!("{admin} is an administrator by the node's configuration")),
            )),
            None => Ok(addresses),
        }
    };
    Ok(match command {
        Command::AddUser => Operation::Add(one()?, password(form, true)?),
        Command::ChangeUserPassword => Operation::ChangePassword(one()?, password(form, false)?),
        Command::DeleteUser => Operation::Delete(protected()?),
        Command::DisableUser => Operation::Disable(protected()?),
        Command::ReenableUser => Operation::Reenable(accounts(form, domain)?),
        Command::EndUserSession => Operation::EndSessions(addresses(form, domain)?),
        Command::GetUserLastlogin => Operation::LastLogin(one()?),
        Command::UserStats => Operation::Statistics(one()?),
        Command::GetRegisteredUsersList => Operation::List(Audience::Registered, max_items(form)?),
        Command::GetDisabledUsersList => Operation::List(Audience::Disabled, max_items(form)?),
        Command::GetOnlineUsersList => Operation::List(Audience::Online, max_items(form)?),
        Command::Announce => Operation::Announce(Audience::Online, announcement(form)?),
        Command::AnnounceAll => Operation::Announce(Audience::Registered, announcement(form)?),
        Command::GetRegisteredUsersNum | Command::GetDisabledUsersNum | Command::GetOnlineUsersNum => {
            return without_form(command).map_err(Unfit::Refused);
        }
    })
}

/// Clients and versions of XEP-0133 differ in which of the two names a field has that takes one address.
fn account(form: &Submission<'_>, domain: &BareJid) -> Result<BareJid, Unfit> {
    let found: Vec<String> = ["accountjid", "accountjids"].iter().flat_map(|var| form.values(var)).collect();
    match found.as_slice() {
        [one] => address(one, domain).map(|jid| jid.bare().clone()),
        [] => Err(unacceptable("the address is missing")),
        _ => Err(unacceptable("one address, please")),
    }
}

/// XEP-0133 §4.2 wants bare JIDs; a resource says no more about whose account it is.
fn accounts(form: &Submission<'_>, domain: &BareJid) -> Result<Vec<BareJid>, Unfit> {
    let mut accounts: Vec<BareJid> = Vec::new();
    for jid in addresses(form, domain)? {
        if !accounts.contains(jid.bare()) {
            accounts.push(jid.bare().clone());
        }
    }
    Ok(accounts)
}

fn addresses(form: &Submission<'_>, domain: &BareJid) -> Result<Vec<Jid>, Unfit> {
    let mut found: Vec<Jid> = Vec::new();
    for text in form.values("accountjids") {
        let jid = address(&text, domain)?;
        if !found.contains(&jid) {
            found.push(jid);
        }
        if found.len() > limits::ADMIN_ADDRESSES_MAX {
            return Err(unacceptable("too many addresses at once"));
        }
    }
    if found.is_empty() { Err(unacceptable("the addresses are missing")) } else { Ok(found) }
}

fn address(text: &str, domain: &BareJid) -> Result<Jid, Unfit> {
    let jid: Jid = text.parse().map_err(|error| unacceptable(format!("{text}: {error}")))?;
    if jid.domainpart() != domain.domainpart() || jid.localpart().is_none() {
        return Err(unacceptable(format!("{text} is no account of {domain}")));
    }
    Ok(jid)
}

fn password(form: &Submission<'_>, twice: bool) -> Result<Secret, Unfit> {
    let first = |var| form.lines(var).into_iter().next().map(Secret::new);
    let password = first("password").filter(|password| !password.expose().is_empty());
    let password = password.ok_or_else(|| unacceptable("the password is missing"))?;
    if twice && first("password-verify").as_ref() != Some(&password) {
        return Err(unacceptable("the two passwords differ"));
    }
    Ok(password)
}

fn max_items(form: &Submission<'_>) -> Result<usize, Unfit> {
    match form.values("max_items").first().map(String::as_str) {
        None | Some("none") => Ok(limits::ADMIN_ADDRESSES_MAX),
        Some(text) => match text.parse::<usize>() {
            Ok(count) => Ok(count.min(limits::ADMIN_ADDRESSES_MAX)),
            Err(_) => Err(unacceptable("max_items is a number or none")),
        },
    }
}

fn announcement(form: &Submission<'_>) -> Result<String, Unfit> {
    let text = form.lines("announcement").join("\n");
    let text = text.trim();
    if text.is_empty() {
        return Err(unacceptable("the announcement is missing"));
    }
    if text.len() > limits::ANNOUNCEMENT_BYTES_MAX {
        return Err(unacceptable("the announcement is too long"));
    }
    Ok(text.to_owned())
}

fn unacceptable(text: impl Into<Cow<'static, str>>) -> Unfit {
    Unfit::Again(text.into())
}
