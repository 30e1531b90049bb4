//! Which messages are archived. XEP-0313 §6.1.1, XEP-0334.

use crate::stanza::{Kind, MessageType, Stanza};
use crate::xml::{Element, ns};

/// Is the message worth keeping: part of a conversation, and not hinted away?
pub fn is_archived(stanza: &Stanza) -> bool {
    // XEP-0313 §6.1.1: normal and chat; rooms have archives of their own.
    if !matches!(stanza.kind(), Kind::Message(MessageType::Chat | MessageType::Normal)) {
        return false;
    }
    let hinted = |name: &str| stanza.element().children().any(|child| child.is(name, ns::HINTS));
    // XEP-0334 §4.1, §4.2, §4.4.
    if hinted("no-store") || hinted("no-permanent-store") {
        return false;
    }
    hinted("store") || stanza.element().children().any(tells_something)
}

/// Has the message a payload that people's conversations are made of, chat states included? XEP-0280 §6.1.
pub fn is_conversation(stanza: &Stanza) -> bool {
    let fleeting = |child: &Element| matches!(child.namespace(), ns::CHAT_STATES | ns::KONTALK_CHAT_STATES);
    stanza.element().children().any(|child| tells_something(child) || fleeting(child))
}

/// Changes what a reader of the conversation sees, now or later.
fn tells_something(child: &Element) -> bool {
    match child.namespace() {
        ns::CLIENT => child.name() == "body",
        // XEP-0184: that it arrived; that somebody wants to know is nothing by itself.
        ns::RECEIPTS => child.name() == "received",
        // XEP-0333: that it was read; that it can be told is nothing by itself.
        ns::CHAT_MARKERS => child.name() != "markable",
        namespace => TELLING.contains(&namespace),
    }
}

/// Payloads that make a message worth keeping without a body.
const TELLING: &[&str] = &[
    // XEP-0424, XEP-0444.
    ns::RETRACTION,
    ns::REACTIONS,
    // XEP-0308: a correction of an encrypted message has no body to see.
    ns::CORRECTION,
    // Encrypted bodies: OMEMO before and after its namespace changed, OpenPGP for XMPP, the legacy form, and Kontalk's.
    "eu.siacs.conversations.axolotl",
    "urn:xmpp:omemo:2",
    "urn:xmpp:openpgp:0",
    "jabber:x:encrypted",
    "urn:ietf:params:xml:ns:xmpp-e2e",
    // Invitations to rooms, and calls: who rang and who answered.
    "jabber:x:conference",
    "urn:xmpp:jingle-message:0",
];
