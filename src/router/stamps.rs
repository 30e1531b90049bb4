//! What the node writes into messages that pass: delay stamps (XEP-0203) and the ids of their place in an archive (XEP-0359).
//!
//! Messages are text by then, so both are put in as text, as the last children. Clients cannot write them in our name.

use super::{Router, Storage};
use crate::archive::ArchiveId;
use crate::jid::BareJid;
use crate::limits;
use crate::stanza::{Stanza, Timestamp, delay};
use crate::xml::{Element, escape_attribute, ns, parse_document};

impl<S: Storage> Router<S> {
    /// A client cannot stamp a delay in our name. XEP-0203 §4.
    pub(super) fn forget_own_delay_stamps(&self, stanza: &mut Stanza) {
        let domain = self.domain.as_str();
        let forged = |child: &Element| child.is("delay", ns::DELAY) && child.attribute("from") == Some(domain);
        if stanza.element().children().any(forged) {
            stanza.element_mut().retain_children(|child| !forged(child));
        }
    }
}

/// XEP-0359 §4.3: only the account's server says where in its archive a message is. Other ids pass, and so does `origin-id`.
pub(super) fn forget_stanza_ids_of(stanza: &mut Stanza, account: &BareJid) {
    let forged = |child: &Element| {
        child.is("stanza-id", ns::STANZA_ID)
            && child.attribute("by").is_some_and(|by| by.parse::<BareJid>().is_ok_and(|by| by == *account))
    };
    if stanza.element().children().any(forged) {
        stanza.element_mut().retain_children(|child| !forged(child));
    }
}

/// A serialised message with its id in the account's archive.
pub(super) fn with_stanza_id(text: &str, account: &BareJid, id: ArchiveId) -> String {
    with_child(text, &stanza_id(account, &id.to_string()))
}

/// The id that [`with_stanza_id`] wrote, if it did.
pub(super) fn stanza_id_in(text: &str, account: &BareJid) -> Option<ArchiveId> {
    // It stands behind anything that the sender wrote, quotations of other messages included.
    let whole = stanza_id(account, "|");
    let (before, behind) = whole.split_once('|')?;
    let (_, rest) = text.rsplit_once(before)?;
    rest.split_once(behind)?.0.parse().ok()
}

fn stanza_id(account: &BareJid, id: &str) -> String {
    let mut text = String::with_capacity(96 + account.as_str().len());
    text.push_str("<stanza-id xmlns='urn:xmpp:sid:0' by='");
    escape_attribute(account.as_str(), &mut text);
    text.push_str("' id='");
    text.push_str(id);
    text.push_str("'/>");
    text
}

/// A serialised stanza with the moment the node took it, unless it tells one already: clients take the first delay element.
pub(super) fn with_delay(text: &str, domain: &BareJid, stamp: Timestamp) -> String {
    if has_delay(text) { text.to_owned() } else { with_child(text, &delay(domain, stamp).to_text(ns::CLIENT)) }
}

fn has_delay(text: &str) -> bool {
    // Reading the stanza again is only needed where the namespace occurs at all, as in a forwarded message.
    text.contains(ns::DELAY)
        && parse_document(text, ns::CLIENT, limits::STANZA_DEPTH_MAX)
            .is_ok_and(|s| s.child("delay", ns::DELAY).is_some())
}

/// A serialised stanza with one more child.
fn with_child(text: &str, child: &str) -> String {
    let mut grown = String::with_capacity(text.len() + child.len() + 16);
    match (text.strip_suffix("/>"), text.rfind("</")) {
        // An element without content: the only one that ends so, since a stanza's own closing tag is last otherwise.
        (Some(open), _) => {
            let name: String = open.chars().skip(1).take_while(|c| c.is_alphabetic()).collect();
            grown.push_str(open);
            grown.push('>');
            grown.push_str(child);
            grown.push_str(&format!("</{name}>"));
        }
        (None, Some(end)) => {
            let (open, close) = text.split_at(end);
            grown.push_str(open);
            grown.push_str(child);
            grown.push_str(close);
        }
        (None, None) => grown.push_str(text),
    }
    grown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_last_thing_in_a_message_and_found_there_again() {
        let account: BareJid = "juliet@a.example".parse().unwrap();
        let id = ArchiveId(0x0123);
        let quoted = with_stanza_id("<message><body>old</body></message>", &account, ArchiveId(7));
        for text in [
            "<message to='x@y'/>".to_owned(),
            "<message><body>hi</body></message>".to_owned(),
            format!("<message><body>see</body><forwarded xmlns='urn:xmpp:forward:0'>{quoted}</forwarded></message>"),
        ] {
            let stamped = with_delay(&with_stanza_id(&text, &account, id), &account, Timestamp { millis: 0 });
            assert_eq!(stanza_id_in(&stamped, &account), Some(id), "{stamped}");
            let element = parse_document(&stamped, ns::CLIENT, 10).unwrap();
            let found = element.child("stanza-id", ns::STANZA_ID).unwrap();
            assert_eq!(
                (found.attribute("by"), found.attribute("id")),
                (Some("juliet@a.example"), Some("0000000000000123"))
            );
        }
        assert_eq!(stanza_id_in("<message><body>hi</body></message>", &account), None);
        assert_eq!(stanza_id_in(&quoted, &"romeo@a.example".parse().unwrap()), None);
    }

    #[test]
    fn only_ids_in_the_accounts_name_are_forged() {
        let account: BareJid = "juliet@a.example".parse().unwrap();
        let text = "<message><stanza-id xmlns='urn:xmpp:sid:0' by='Juliet@A.example' id='1'/>\
                    <stanza-id xmlns='urn:xmpp:sid:0' by='room@b.example' id='2'/>\
                    <origin-id xmlns='urn:xmpp:sid:0' id='3'/></message>";
        let mut stanza = Stanza::new(parse_document(text, ns::CLIENT, 10).unwrap()).unwrap();
        forget_stanza_ids_of(&mut stanza, &account);
        let left: Vec<&str> = stanza.element().children().filter_map(|child| child.attribute("id")).collect();
        assert_eq!(left, ["2", "3"]);
    }
}
