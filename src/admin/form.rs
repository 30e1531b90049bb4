//! Data forms (XEP-0004) as these commands use them.

use super::command::{Command, Field};
use super::operation::Value;
use crate::xml::{Element, ns};

/// The form that a command begins with, or the same with what was filled in before.
pub(super) fn form(command: Command, before: Option<&Submission<'_>>) -> Element {
    let mut form = Element::new("x", ns::DATA_FORMS)
        .with("type", "form")
        .with_child(Element::new("title", ns::DATA_FORMS).with_text(command.title()))
        .with_child(form_type());
    for field in command.fields() {
        form.push(asked(field, before));
    }
    form
}

fn asked(field: &Field, before: Option<&Submission<'_>>) -> Element {
    let mut element = named(field.var).with("type", field.kind).with("label", field.label);
    let private = field.kind == "text-private";
    for text in before.filter(|_| !private).map(|before| before.lines(field.var)).unwrap_or_default() {
        element.push(value(&text));
    }
    if field.kind == "list-single" {
        // XEP-0133 §4.18: how many at most.
        if before.is_none() {
            element.push(value("none"));
        }
        for choice in ["25", "50", "75", "100", "150", "200", "none"] {
            let option = Element::new("option", ns::DATA_FORMS).with("label", choice).with_child(value(choice));
            element.push(option);
        }
    }
    if field.required {
        element.push(Element::new("required", ns::DATA_FORMS));
    }
    element
}

/// The form that tells what was found.
pub(super) fn result(values: &[Value]) -> Element {
    let mut form = Element::new("x", ns::DATA_FORMS).with("type", "result").with_child(form_type());
    for Value { var, label, kind, values } in values {
        let mut field = named(var).with("type", *kind).with("label", *label);
        for text in values {
            field.push(value(text));
        }
        form.push(field);
    }
    form
}

/// What an administrator filled in.
pub(super) struct Submission<'a>(&'a Element);

impl<'a> Submission<'a> {
    /// The submitted form in a `<command/>`.
    pub(super) fn of(command: &'a Element) -> Option<Submission<'a>> {
        command.child("x", ns::DATA_FORMS).filter(|form| form.attribute("type") == Some("submit")).map(Submission)
    }

    /// All values of a field, white space around them gone, empty ones left out.
    pub(super) fn values(&self, var: &str) -> Vec<String> {
        let texts = self.lines(var).into_iter().map(|text| text.trim().to_owned());
        texts.filter(|text| !text.is_empty()).collect()
    }

    /// All values of a field as they stand.
    pub(super) fn lines(&self, var: &str) -> Vec<String> {
        let is_it = |child: &&Element| child.is("field", ns::DATA_FORMS) && child.attribute("var") == Some(var);
        let fields = self.0.children().find(is_it).into_iter().flat_map(Element::children);
        fields.filter(|child| child.is("value", ns::DATA_FORMS)).map(Element::text).collect()
    }
}

fn form_type() -> Element {
    named("FORM_TYPE").with("type", "hidden").with_child(value(ns::ADMIN))
}

fn named(var: &str) -> Element {
    Element::new("field", ns::DATA_FORMS).with("var", var)
}

fn value(text: &str) -> Element {
    Element::new("value", ns::DATA_FORMS).with_text(text)
}
