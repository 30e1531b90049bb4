//! Whether strangers who have a user's telephone number find the account: the user's choice, by an ad-hoc command (XEP-0050) at the own
//! address. Those who know the address already are not affected, nor is who may write.
//!
//! One form with one field; filled in, the command is completed. Nothing is remembered between the two.

use crate::stanza::{StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

/// The command's node.
pub const NODE: &str = "urn:kontalk:discover:0#discoverable";
/// What people read.
pub const TITLE: &str = "Who finds me by my telephone number";

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// See how it is.
    Ask,
    /// Have it so.
    Set(bool),
    /// Nothing, after all.
    Cancel,
}

/// Reads the `<command/>` of an iq set.
///
/// Errors: `bad-request`, for an action or a form that the command does not know (XEP-0050 §4.6).
pub fn read(command: &Element) -> Result<Wish, StanzaError> {
    let bad = || StanzaError::new(StanzaCondition::BadRequest);
    let form = command.child("x", ns::DATA_FORMS).filter(|form| form.attribute("type") == Some("submit"));
    match (command.attribute("action").unwrap_or("execute"), form) {
        ("cancel", _) => Ok(Wish::Cancel),
        ("execute", None) => Ok(Wish::Ask),
        ("execute" | "complete" | "next", Some(form)) => {
            let field = form.children().find(|field| field.attribute("var") == Some(FIELD)).ok_or_else(bad)?;
            // XEP-0004 §3.3: a boolean's two ways to be written.
            match field.child("value", ns::DATA_FORMS).map(Element::text).as_deref() {
                Some("1" | "true") => Ok(Wish::Set(true)),
                Some("0" | "false") => Ok(Wish::Set(false)),
                _ => Err(bad()),
            }
        }
        _ => Err(bad()),
    }
}

/// The form, as things stand.
pub fn form(discoverable: bool, session: &str) -> Element {
    let value = Element::new("value", ns::DATA_FORMS).with_text(if discoverable { "1" } else { "0" });
    let field = Element::new("field", ns::DATA_FORMS)
        .with("var", FIELD)
        .with("type", "boolean")
        .with("label", "People who have my number find me")
        .with_child(value);
    let kind = Element::new("field", ns::DATA_FORMS)
        .with("var", "FORM_TYPE")
        .with("type", "hidden")
        .with_child(Element::new("value", ns::DATA_FORMS).with_text(NODE));
    let title = Element::new("title", ns::DATA_FORMS).with_text(TITLE);
    let form = Element::new("x", ns::DATA_FORMS).with("type", "form").with_child(title).with_child(kind);
    let actions = Element::new("actions", ns::COMMANDS)
        .with("execute", "complete")
        .with_child(Element::new("complete", ns::COMMANDS));
    answer("executing", Some(session)).with_child(actions).with_child(form.with_child(field))
}

/// It is done, or was cancelled.
pub fn ended(wish: Wish) -> Element {
    let (status, note) = match wish {
        Wish::Set(true) => ("completed", Some("People who have your number find you.")),
        Wish::Set(false) => ("completed", Some("Only people you know already find you.")),
        Wish::Ask | Wish::Cancel => ("canceled", None),
    };
    let mut answer = answer(status, None);
    if let Some(note) = note {
        answer.push(Element::new("note", ns::COMMANDS).with("type", "info").with_text(note));
    }
    answer
}

fn answer(status: &str, session: Option<&str>) -> Element {
    let answer = Element::new("command", ns::COMMANDS).with("node", NODE).with("status", status);
    match session {
        Some(session) => answer.with("sessionid", session),
        None => answer,
    }
}

const FIELD: &str = "discoverable";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_document;

    #[test]
    fn a_command_is_read_step_by_step() {
        let form = |kind: &str, value: &str| {
            format!(
                "><x xmlns='jabber:x:data' type='{kind}'><field var='discoverable'><value>{value}</value></field></x></command>"
            )
        };
        for (rest, expected) in [
            ("/>".to_owned(), Some(Wish::Ask)),
            (" action='execute'/>".to_owned(), Some(Wish::Ask)),
            (" action='cancel'/>".to_owned(), Some(Wish::Cancel)),
            (form("submit", "0"), Some(Wish::Set(false))),
            (format!(" action='complete'{}", form("submit", "true")), Some(Wish::Set(true))),
            (form("submit", "maybe"), None),
            (" action='prev'/>".to_owned(), None),
            (" action='complete'/>".to_owned(), None),
            (form("submit", "0").replace("discoverable", "other"), None),
        ] {
            let text = format!("<command xmlns='http://jabber.org/protocol/commands' node='{NODE}'{rest}");
            let read = read(&parse_document(&text, ns::CLIENT, 10).unwrap());
            assert_eq!(read.ok(), expected, "{text}");
        }
    }
}
