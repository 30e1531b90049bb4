//! The answers of registration, each the `<query/>` of an iq result. Kontalk registration; XEP-0077, XEP-0004.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::policy::Policy;
use crate::xml::{Element, ns};

/// What is to be filled in. Only the challenge we can start is offered; the terms stand there only where there are any.
pub(super) fn instructions(policy: &Policy) -> Element {
    let option = Element::new("option", ns::DATA_FORMS).with("label", "Code by text message").with_child(value("pin"));
    let mut form = form(ns::REGISTER)
        .with_child(
            typed("phone", "text-single")
                .with("label", "Telephone number with + and country code")
                .with_child(Element::new("required", ns::DATA_FORMS)),
        )
        .with_child(typed("force", "text-single"))
        .with_child(typed("fallback", "boolean"))
        .with_child(typed("challenge", "list-single").with_child(option));
    if let Some(url) = policy.terms() {
        form.push(typed("accept-terms", "boolean"));
        form.push(field("terms", "hidden", url));
    }
    query(Some("Accounts here are made with a Kontalk app, for a telephone number that receives text messages."), form)
}

/// The code is on its way: whom it comes from, and what to do.
pub(super) fn challenge(policy: &Policy, fallback: bool) -> Element {
    let mut form = form(ns::REGISTER)
        .with_child(field("from", "text-single", policy.sender(fallback)))
        .with_child(field("challenge", "text-single", "pin"));
    if policy.fallback_sender.is_some() && !fallback {
        // Clients read it only as a boolean.
        form.push(field("can-fallback", "boolean", "1"));
    }
    let brand = &policy.brand;
    for (var, url) in [
        ("brand-image-vector", &brand.vector),
        ("brand-image-small", &brand.small),
        ("brand-image-medium", &brand.medium),
        ("brand-image-large", &brand.large),
        ("brand-image-hd", &brand.hd),
        ("brand-link", &brand.link),
    ] {
        if let Some(url) = url {
            form.push(field(var, "text-single", url));
        }
    }
    query(Some("A code was sent to the telephone."), form)
}

/// The certified key, for the client to merge; the same after a code and after a key update.
pub fn certified(ring: &[u8]) -> Element {
    form_reply(ns::KONTALK_REGISTER_CODE, "publickey", &STANDARD.encode(ring))
}

/// A form with one field.
pub(super) fn form_reply(form_type: &str, var: &'static str, text: &str) -> Element {
    query(None, form(form_type).with_child(field(var, "text-single", text)))
}

fn query(instructions: Option<&str>, form: Element) -> Element {
    let mut query = Element::new("query", ns::REGISTER);
    if let Some(text) = instructions {
        query.push(Element::new("instructions", ns::REGISTER).with_text(text));
    }
    query.with_child(form)
}

fn form(form_type: &str) -> Element {
    Element::new("x", ns::DATA_FORMS).with("type", "form").with_child(field("FORM_TYPE", "hidden", form_type))
}

fn typed(var: &'static str, kind: &'static str) -> Element {
    Element::new("field", ns::DATA_FORMS).with("var", var).with("type", kind)
}

fn field(var: &'static str, kind: &'static str, text: &str) -> Element {
    typed(var, kind).with_child(value(text))
}

fn value(text: &str) -> Element {
    Element::new("value", ns::DATA_FORMS).with_text(text)
}
