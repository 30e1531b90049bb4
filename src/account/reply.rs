//! The answers of registration, each the `<query/>` of an iq result. Kontalk registration; XEP-0077, XEP-0004.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::policy::Policy;
use super::proof::Word;
use crate::phone::ChallengeKind;
use crate::xml::{Element, ns};

/// What the client is shown while it waits.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// How the number proves itself.
    pub kind: ChallengeKind,
    /// Who the message comes from, or which number rings (with question marks for what is to be typed in) or is to be rung; if
    /// nothing is said, the node's own.
    pub from: Option<&'a str>,
    /// There is another way to ask for.
    pub can_fall_back: bool,
    /// The message has not gone out yet.
    pub under_way: bool,
    /// The word to be sent.
    pub word: Option<&'a Word>,
}

/// What is to be filled in. Only challenges we can start are offered; the terms stand there only where there are any.
pub(super) fn instructions(policy: &Policy) -> Element {
    let mut challenges = typed("challenge", "list-single");
    let mut offered = Vec::new();
    for challenge in policy.challenges.iter().map(|kind| kind.as_challenge()) {
        if !offered.contains(&challenge) {
            offered.push(challenge);
            let label = match challenge {
                "missedcall" => "Call to you",
                "callerid" => "Call or message from you",
                _ => "Code by text message",
            };
            challenges.push(Element::new("option", ns::DATA_FORMS).with("label", label).with_child(value(challenge)));
        }
    }
    let mut form = form(ns::REGISTER)
        .with_child(
            typed("phone", "text-single")
                .with("label", "Telephone number with + and country code")
                .with_child(Element::new("required", ns::DATA_FORMS)),
        )
        .with_child(typed("force", "text-single"))
        .with_child(typed("fallback", "boolean"))
        .with_child(challenges);
    if let Some(url) = policy.terms() {
        form.push(typed("accept-terms", "boolean"));
        form.push(field("terms", "hidden", url));
    }
    query(Some("Accounts here are made with a Kontalk app, for a telephone number that receives text messages."), form)
}

/// What happens now: whom the code or the call comes from, and what to do.
pub(super) fn challenge(policy: &Policy, shown: &Shown<'_>) -> Element {
    let from = shown.from.map(str::trim).filter(|from| !from.is_empty()).unwrap_or_else(|| policy.sender());
    let mut form = form(ns::REGISTER).with_child(field("from", "text-single", from)).with_child(field(
        "challenge",
        "text-single",
        shown.kind.as_challenge(),
    ));
    if shown.can_fall_back {
        // Clients read it only as a boolean.
        form.push(field("can-fallback", "boolean", "1"));
    }
    if let Some(word) = shown.word {
        form.push(field("word", "text-single", word.letters()));
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
    let call;
    let words = match (shown.kind, shown.word) {
        (ChallengeKind::Text | ChallengeKind::Provider, _) if shown.under_way => {
            "A code is on its way to the telephone."
        }
        (ChallengeKind::Text | ChallengeKind::Provider, _) => "A code was sent to the telephone.",
        (ChallengeKind::MissedCall, _) => "The telephone rings. Type in the last digits of the number that calls.",
        (ChallengeKind::Word, Some(word)) => {
            call =
                format!("Send the word {} by text message to {from} from the telephone, then go on.", word.letters());
            &call
        }
        (ChallengeKind::CallerId | ChallengeKind::Word, _) => {
            call = format!("Call {from} from the telephone; nobody answers, and it costs nothing. Then go on.");
            &call
        }
    };
    query(Some(words), form)
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
