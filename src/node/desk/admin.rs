//! Administrators' commands put together: the decisions of [`crate::admin`], accounts, sessions. XEP-0050, XEP-0133. And the list of
//! all commands, each user's own one among them.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::job::{Job, committed, fault};
use super::own_account::refusal;
use super::{Desk, Handled, Request};
use crate::admin::{Audience, Command, Operation, Outcome, Pending, Step, Value};
use crate::jid::{BareJid, FullJid, Jid};
use crate::node::accounts::{self, AccountFault};
use crate::node::hub::Inbox;
use crate::node::random::random_id;
use crate::pgp::ServerKey;
use crate::router::{Event, Storage, Ticket};
use crate::services::{Addressee, discoverable};
use crate::stanza::{
    IqType, Kind, MessageType, Stanza, StanzaCondition, StanzaError, StreamCondition, StreamError, Timestamp,
};
use crate::store::{Store, StoreError};
use crate::stream::Password;
use crate::xml::{Element, ns};

/// `<command/>`, at the node's address or an administrator's own.
pub(super) fn commands(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let command = request.stanza.payload().filter(|payload| payload.is("command", ns::COMMANDS))?;
    if !matches!(request.addressee, Addressee::Domain | Addressee::OwnAccount) {
        return None;
    }
    let Some(by) = desk.administrator(request) else {
        // XEP-0133 §5: who may not is told so, whatever the command.
        let error = StanzaError::new(StanzaCondition::Forbidden);
        return Some(Handled::now(request.stanza.error(&error)));
    };
    if request.stanza.kind() != Kind::Iq(IqType::Set) {
        return Some(Handled::now(request.stanza.error(&StanzaError::new(StanzaCondition::BadRequest))));
    }
    let by = by.clone();
    Some(match desk.console.step(Instant::now(), &by, command, &random_id()) {
        Ok(Step::Answer(answer)) => Handled::outcome(request.stanza, Ok(answer)),
        Ok(Step::Perform(operation, pending)) => desk.perform(request, &by.bare().clone(), operation, pending),
        Err(error) => Handled::now(request.stanza.error(&error)),
    })
}

/// What there is to discover of them. XEP-0050 §2.2 and §2.3: administrators see all, others nothing.
pub(super) fn disco(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let query = request.stanza.payload().filter(|p| matches!(p.namespace(), ns::DISCO_INFO | ns::DISCO_ITEMS))?;
    let node = query.attribute("node")?;
    let command = Command::of(node);
    if request.stanza.kind() != Kind::Iq(IqType::Get)
        || !matches!(request.addressee, Addressee::Domain | Addressee::OwnAccount)
        || (command.is_none() && node != ns::COMMANDS)
    {
        return None;
    }
    let shown = desk.administrator(request).is_some();
    let info = query.namespace() == ns::DISCO_INFO;
    let mut answer = Element::new("query", query.namespace().to_owned()).with("node", node);
    match command {
        Some(_) if !shown => {
            return Some(Handled::outcome(request.stanza, Err(StanzaError::new(StanzaCondition::Forbidden))));
        }
        Some(command) if info => {
            answer.push(identity("command-node", command.title()));
            for feature in [ns::COMMANDS, ns::DATA_FORMS] {
                answer.push(Element::new("feature", ns::DISCO_INFO).with("var", feature));
            }
        }
        Some(_) => {}
        None if info => answer.push(identity("command-list", "Commands")),
        None => {
            let at = request.stanza.to().map(Jid::to_string).unwrap_or_default();
            let mut item = |node: &str, name: &str| {
                let item = Element::new("item", ns::DISCO_ITEMS).with("jid", at.as_str());
                answer.push(item.with("node", node).with("name", name));
            };
            if request.addressee == Addressee::OwnAccount {
                item(discoverable::NODE, discoverable::TITLE);
            }
            for command in Command::ALL.iter().filter(|_| shown) {
                item(&command.node(), command.title());
            }
        }
    }
    Some(Handled::outcome(request.stanza, Ok(answer)))
}

fn identity(kind: &str, name: &str) -> Element {
    Element::new("identity", ns::DISCO_INFO).with("category", "automation").with("type", kind).with("name", name)
}

impl Desk {
    /// The session that asks, if it is an administrator's.
    pub(super) fn administrator<'a>(&self, request: &Request<'a>) -> Option<&'a FullJid> {
        self.own_session(request.stanza).filter(|from| self.console.is_admin(from.bare()))
    }

    fn perform(&mut self, request: &Request<'_>, by: &BareJid, operation: Operation, pending: Pending) -> Handled {
        let now = request.now;
        let online = || request.router.online().cloned().collect::<Vec<_>>();
        let answer = |outcome: Outcome| Handled::outcome(request.stanza, Ok(pending.done(&outcome)));
        match operation {
            Operation::Count(Audience::Online) => {
                answer(Operation::counted(Audience::Online, request.router.online().count()))
            }
            Operation::List(Audience::Online, max) => {
                let mut found = online();
                found.sort();
                found.truncate(max);
                answer(Operation::listed(Audience::Online, found))
            }
            Operation::Statistics(account) => match self.statistics(request, &account) {
                Ok(outcome) => answer(outcome),
                Err(error) => Handled::outcome(request.stanza, Err(error)),
            },
            operation => {
                let office = Office {
                    store: self.store.clone(),
                    domain: self.domain.clone(),
                    server_key: self.server_key.clone(),
                    by: by.clone(),
                    online: if matches!(operation, Operation::Announce(Audience::Online, _)) {
                        online()
                    } else {
                        Vec::new()
                    },
                    now,
                };
                let result = request.stanza.result();
                let job = Job::answering(request.stanza, move |inbox| {
                    office.perform(operation, inbox).map(|outcome| result.with_child(pending.done(&outcome)))
                });
                Handled { job: Some(job), ..Handled::default() }
            }
        }
    }

    fn statistics(&self, request: &Request<'_>, account: &BareJid) -> Result<Outcome, StanzaError> {
        if self.store.account(account).map_err(fault)?.is_none() {
            return Ok(no_account(account));
        }
        let broken = |_| StanzaError::new(StanzaCondition::InternalServerError);
        let contacts =
            self.store.roster(account).map_err(broken)?.entries.iter().filter(|(_, e)| e.item.is_some()).count();
        let resources = request.router.sessions_of(account).iter().map(|jid| jid.resource().to_owned()).collect();
        let value = |var, label, kind, values| Value { var, label, kind, values };
        Ok(Outcome::Values(vec![
            value("rostersize", "Contacts", "text-single", vec![contacts.to_string()]),
            value("onlineresources", "Sessions", "text-multi", resources),
        ]))
    }
}

/// An administrator's order on its way, on a thread of its own.
struct Office {
    store: Store,
    domain: BareJid,
    server_key: Arc<ServerKey>,
    by: BareJid,
    /// Who was online when he gave it, where it matters.
    online: Vec<BareJid>,
    now: Timestamp,
}

impl Office {
    fn perform(&self, operation: Operation, inbox: &Inbox) -> Result<Outcome, StanzaError> {
        // All are to be there before anything is done to one.
        for account in operation.accounts() {
            if self.store.account(account).map_err(fault)?.is_none() {
                return Ok(no_account(account));
            }
        }
        match operation {
            Operation::Add(account, password) => {
                let password = Password::new(password.expose().to_owned());
                let added = accounts::check_address(&account, &self.domain)
                    .and_then(|()| accounts::add(&self.store, &account, &password, self.now));
                match added {
                    Ok(ticket) => committed(&self.store, ticket)?,
                    Err(fault) => return failed(fault),
                }
                self.log("added", &account);
                Ok(Outcome::Done(format!("{account} has an account.").into()))
            }
            Operation::ChangePassword(account, password) => {
                let password = Password::new(password.expose().to_owned());
                match accounts::set_password(&self.store, &account, &password) {
                    Ok(ticket) => committed(&self.store, ticket)?,
                    Err(fault) => return failed(fault),
                }
                self.log("set the password of", &account);
                Ok(Outcome::Done(format!("The password of {account} is changed.").into()))
            }
            Operation::Delete(accounts) => self.delete(&accounts, inbox),
            Operation::Disable(accounts) => self.disable(&accounts, inbox),
            Operation::Reenable(accounts) => {
                let open = |account: &BareJid| self.store.set_disabled(account, None).map(|ticket| (ticket, ()));
                self.for_each(&accounts, open, |account, ()| self.log("re-enabled", account))?;
                Ok(Outcome::Done(format!("{} can log in again.", listed(&accounts)).into()))
            }
            Operation::EndSessions(sessions) => {
                for jid in sessions {
                    self.log("ended sessions of", jid.bare());
                    inbox.tell_blocking(Event::EndSessions { jid, error: ended() });
                }
                Ok(Outcome::Done("The sessions are ended.".into()))
            }
            Operation::LastLogin(account) => {
                let record = self.store.account(&account).map_err(fault)?;
                let last_login = record.and_then(|record| record.last_login);
                let values = last_login.map(|moment| moment.to_string()).into_iter().collect();
                let value = |var, label, kind, values| Value { var, label, kind, values };
                Ok(Outcome::Values(vec![
                    value("accountjids", "Account", "jid-single", vec![account.to_string()]),
                    value("lastlogin", "Last login", "text-single", values),
                ]))
            }
            Operation::Count(audience) => Ok(Operation::counted(audience, self.audience(audience, usize::MAX)?.len())),
            Operation::List(audience, max) => Ok(Operation::listed(audience, self.audience(audience, max)?)),
            Operation::Announce(audience, text) => self.announce(audience, &text, inbox),
            // Answered at once.
            Operation::Statistics(_) => Err(StanzaError::new(StanzaCondition::InternalServerError)),
        }
    }

    fn delete(&self, accounts: &[BareJid], inbox: &Inbox) -> Result<Outcome, StanzaError> {
        let remove =
            |account: &BareJid| self.store.remove_account(account).map(|(departed, ticket)| (ticket, departed));
        self.for_each(accounts, remove, |account, departed| {
            self.log("deleted", account);
            inbox.account_ended_blocking(account.clone(), departed.farewells);
        })?;
        Ok(Outcome::Done(format!("Deleted: {}.", listed(accounts)).into()))
    }

    fn disable(&self, accounts: &[BareJid], inbox: &Inbox) -> Result<Outcome, StanzaError> {
        let shut = |account: &BareJid| self.store.set_disabled(account, Some(self.now)).map(|ticket| (ticket, ()));
        self.for_each(accounts, shut, |account, ()| {
            self.log("disabled", account);
            let error = StreamError::with_text(StreamCondition::NotAuthorized, "this account is disabled");
            inbox.tell_blocking(Event::EndSessions { jid: Jid::Bare(account.clone()), error });
        })?;
        Ok(Outcome::Done(format!("Disabled: {}.", listed(accounts)).into()))
    }

    /// Does it to one after the other, and when it is on the disk what follows from it; stops at the first that fails.
    fn for_each<T>(
        &self,
        accounts: &[BareJid],
        act: impl Fn(&BareJid) -> Result<(Ticket, T), StoreError>,
        follow: impl Fn(&BareJid, T),
    ) -> Result<(), StanzaError> {
        let (mut done, mut failure, mut last) = (Vec::new(), None, None);
        for account in accounts {
            match act(account) {
                Ok((ticket, outcome)) => {
                    last = Some(ticket);
                    done.push((account, outcome));
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if let Some(ticket) = last {
            committed(&self.store, ticket)?;
        }
        for (account, outcome) in done {
            follow(account, outcome);
        }
        failure.map_or(Ok(()), |error| Err(fault(error)))
    }

    fn audience(&self, audience: Audience, max: usize) -> Result<Vec<BareJid>, StanzaError> {
        match audience {
            Audience::Registered => {
                let addresses = self.store.accounts().map(|found| found.map(|(address, _)| address)).take(max);
                addresses.collect::<Result<Vec<_>, _>>().map_err(fault)
            }
            Audience::Disabled => {
                let found = self.store.disabled().map_err(fault)?;
                Ok(found.into_iter().map(|(address, _)| address).take(max).collect())
            }
            Audience::Online => Ok(self.online.iter().take(max).cloned().collect()),
        }
    }

    /// One after the other, as fast as the hub takes them. Who is not there finds it when he comes.
    fn announce(&self, audience: Audience, text: &str, inbox: &Inbox) -> Result<Outcome, StanzaError> {
        let accounts = self.audience(audience, usize::MAX)?;
        let from = Jid::Bare(self.domain.clone());
        let message = self.server_key.sign_text(text, self.now).map_err(|error| {
            log::error!("an announcement is not signed: {error}");
            StanzaError::new(StanzaCondition::InternalServerError)
        })?;
        // XEP-0027's element, with a whole message in it.
        let signed = Element::new("x", ns::SIGNED).with_text(&STANDARD.encode(message));
        for account in &accounts {
            let record = self.store.account(account).map_err(fault)?;
            let (key, password) = record.map_or((false, true), |r| (r.fingerprint.is_some(), r.password.is_some()));
            let body = (password || !key).then(|| Element::new("body", ns::CLIENT).with_text(text));
            // Kontalk's clients show what the server key has signed; others do not see it.
            let signed = key.then(|| signed.clone());
            for child in body.into_iter().chain(signed) {
                let to = Some(Jid::Bare(account.clone()));
                let message = Stanza::build(Kind::Message(MessageType::Normal), Some(from.clone()), to, None);
                inbox.tell_blocking(Event::FromServer(message.with_child(child)));
            }
        }
        // What waits for those who are not there is on the disk before the answer says so.
        smol::block_on(inbox.sessions());
        committed(&self.store, self.store.last_written())?;
        log::info!("{} announced something to {} accounts", self.by.for_log(), accounts.len());
        Ok(Outcome::Done(format!("Sent to {} accounts.", accounts.len()).into()))
    }

    fn log(&self, what: &str, account: &BareJid) {
        log::info!("{} {what} {}", self.by.for_log(), account.for_log());
    }
}

fn no_account(account: &BareJid) -> Outcome {
    Outcome::Failed(format!("{account} has no account; nothing was changed.").into())
}

/// XEP-0133 §5: a conflict is an error; what the administrator can do better is told him.
fn failed(fault: AccountFault) -> Result<Outcome, StanzaError> {
    match fault {
        AccountFault::Store(_) | AccountFault::Encoding => Err(refusal(fault)),
        fault => Ok(Outcome::Failed(fault.to_string().into())),
    }
}

fn ended() -> StreamError {
    StreamError::with_text(StreamCondition::PolicyViolation, "an administrator ended this session")
}

/// A few by name.
fn listed(accounts: &[BareJid]) -> String {
    match accounts {
        [one] => one.to_string(),
        several if several.len() <= NAMED_MAX => several.iter().map(BareJid::as_str).collect::<Vec<_>>().join(", "),
        several => format!("{} accounts", several.len()),
    }
}

/// More addresses than this are counted instead of named.
const NAMED_MAX: usize = 10;
