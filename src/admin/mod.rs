//! Administration in chat: forms in, operations out. XEP-0050 (ad-hoc commands), XEP-0133 (their nodes and fields).
//!
//! A [`Console`] is asked with each `<command/>` of an administrator ([`Console::step`]); who is one is the caller's to know. States
//! of a command: form sent -> filled in: an [`Operation`], which the caller performs and answers with [`Pending::done`]. Commands
//! without form are operations at once. A form that will not do is sent once more with a note that says why, as it was filled in
//! but for passwords.
//!
//! Nobody's password can be asked for: none is kept. Administrators are named in the configuration alone: they can be neither
//! deleted nor disabled here. Limits: [`limits::ADMIN_COMMANDS_MAX`] open commands, each for [`limits::ADMIN_COMMAND_TTL`];
//! [`limits::ADMIN_ADDRESSES_MAX`] addresses in a form; [`limits::ANNOUNCEMENT_BYTES_MAX`].

mod command;
mod form;
mod operation;
#[cfg(test)]
mod tests;

pub use command::Command;
use operation::Unfit;
pub use operation::{Audience, Operation, Outcome, Value};

use std::time::Instant;

use crate::jid::{BareJid, FullJid};
use crate::limits::{self, BoundedMap};
use crate::stanza::{ErrorType, StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

/// The commands that administrators have begun.
#[derive(Debug)]
pub struct Console {
    domain: BareJid,
    admins: Vec<BareJid>,
    open: BoundedMap<String, Open>,
}

/// A command whose form is out.
#[derive(Debug)]
struct Open {
    command: Command,
    by: FullJid,
    until: Instant,
}

/// What becomes of a step.
#[derive(Debug)]
pub enum Step {
    /// The payload of the result.
    Answer(Element),
    /// Do this, then answer with [`Pending::done`].
    Perform(Operation, Pending),
}

/// A command on its last step.
#[derive(Debug)]
pub struct Pending {
    command: Command,
    session: String,
}

impl Console {
    /// For these administrators of a domain.
    pub fn new(domain: BareJid, admins: Vec<BareJid>) -> Console {
        Console { domain, admins, open: BoundedMap::new(limits::ADMIN_COMMANDS_MAX) }
    }

    /// Is this one of them?
    pub fn is_admin(&self, account: &BareJid) -> bool {
        self.admins.contains(account)
    }

    /// Handles a `<command/>` of an administrator's session. `fresh` is an unguessable name for a command that begins.
    ///
    /// Errors: `item-not-found` for a node that is no command, `feature-not-implemented` for one of XEP-0133 that is not offered;
    /// `bad-request` and `not-allowed` with the conditions of XEP-0050 §4.5; `not-allowed` for what is done to no administrator.
    pub fn step(&mut self, now: Instant, by: &FullJid, element: &Element, fresh: &str) -> Result<Step, StanzaError> {
        let node = element.attribute("node").unwrap_or_default();
        let command = Command::of(node).ok_or_else(|| unknown(node))?;
        let action = Action::read(element.attribute("action"))?;
        match element.attribute("sessionid") {
            None => self.begin(now, by, command, action, fresh),
            Some(session) => self.go_on(now, by, command, action, session, element),
        }
    }

    fn begin(
        &mut self,
        now: Instant,
        by: &FullJid,
        command: Command,
        action: Action,
        fresh: &str,
    ) -> Result<Step, StanzaError> {
        if action != Action::Execute {
            // XEP-0050 §3.3: a command begins with execute.
            return Err(refused(StanzaCondition::BadRequest, "bad-action"));
        }
        let pending = Pending { command, session: fresh.to_owned() };
        if command.fields().is_empty() {
            return operation::without_form(command).map(|operation| Step::Perform(operation, pending));
        }
        let answer = pending.asking(None, &form::form(command, None));
        let open = Open { command, by: by.clone(), until: now + limits::ADMIN_COMMAND_TTL };
        self.open.insert(pending.session, open);
        Ok(Step::Answer(answer))
    }

    fn go_on(
        &mut self,
        now: Instant,
        by: &FullJid,
        command: Command,
        action: Action,
        session: &str,
        element: &Element,
    ) -> Result<Step, StanzaError> {
        self.open.retain(|name, open| open.until > now || name == session);
        let open = self.open.get(&session.to_owned()).filter(|open| open.by == *by && open.command == command);
        let Some(open) = open else { return Err(refused(StanzaCondition::BadRequest, "bad-sessionid")) };
        let pending = Pending { command, session: session.to_owned() };
        if open.until <= now {
            self.open.remove(&pending.session);
            return Err(refused(StanzaCondition::NotAllowed, "session-expired"));
        }
        match action {
            Action::Cancel => {
                self.open.remove(&pending.session);
                Ok(Step::Answer(pending.element("canceled")))
            }
            // XEP-0050 §3.4: there is no stage before the form.
            Action::Prev => Err(refused(StanzaCondition::BadRequest, "bad-action")),
            Action::Execute | Action::Complete | Action::Next => {
                let submission =
                    form::Submission::of(element).ok_or_else(|| refused(StanzaCondition::BadRequest, "bad-payload"))?;
                match operation::of_form(command, &submission, &self.domain, &self.admins) {
                    Ok(operation) => {
                        self.open.remove(&pending.session);
                        Ok(Step::Perform(operation, pending))
                    }
                    Err(Unfit::Again(reason)) => {
                        let form = form::form(command, Some(&submission));
                        Ok(Step::Answer(pending.asking(Some(&reason), &form)))
                    }
                    Err(Unfit::Refused(error)) => Err(error),
                }
            }
        }
    }
}

impl Pending {
    /// The answer, once it is done or has failed.
    pub fn done(&self, outcome: &Outcome) -> Element {
        let mut answer = self.element("completed");
        match outcome {
            Outcome::Done(text) => answer.push(note("info", text)),
            Outcome::Failed(text) => answer.push(note("error", text)),
            Outcome::Values(values) => answer.push(form::result(values)),
        }
        answer
    }

    /// The form is out, for the first time or once more with the reason.
    fn asking(&self, reason: Option<&str>, form: &Element) -> Element {
        let complete = Element::new("complete", ns::COMMANDS);
        let actions = Element::new("actions", ns::COMMANDS).with("execute", "complete").with_child(complete);
        let mut asking = self.element("executing").with_child(actions);
        if let Some(reason) = reason {
            asking.push(note("error", reason));
        }
        asking.with_child(form.clone())
    }

    fn element(&self, status: &str) -> Element {
        Element::new("command", ns::COMMANDS)
            .with("node", self.command.node())
            .with("sessionid", self.session.as_str())
            .with("status", status)
    }
}

/// XEP-0050 §3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Execute,
    Complete,
    Next,
    Prev,
    Cancel,
}

impl Action {
    fn read(text: Option<&str>) -> Result<Action, StanzaError> {
        Ok(match text.unwrap_or("execute") {
            "execute" => Action::Execute,
            "complete" => Action::Complete,
            "next" => Action::Next,
            "prev" => Action::Prev,
            "cancel" => Action::Cancel,
            _ => return Err(refused(StanzaCondition::BadRequest, "malformed-action")),
        })
    }
}

fn note(kind: &str, text: &str) -> Element {
    Element::new("note", ns::COMMANDS).with("type", kind).with_text(text)
}

/// XEP-0133 §5: one of its commands that there is not is not implemented; other nodes are not there.
fn unknown(node: &str) -> StanzaError {
    let known_elsewhere = node.strip_prefix(ns::ADMIN).is_some_and(|rest| rest.starts_with('#'));
    StanzaError::new(match known_elsewhere {
        true => StanzaCondition::FeatureNotImplemented,
        false => StanzaCondition::ItemNotFound,
    })
}

/// XEP-0050 §4.5: the application's condition beside the stanza's.
fn refused(condition: StanzaCondition, detail: &'static str) -> StanzaError {
    let kind = if condition == StanzaCondition::NotAllowed { ErrorType::Cancel } else { ErrorType::Modify };
    StanzaError::new(condition).of_type(kind).application(Element::new(detail, ns::COMMANDS))
}
