//! What the archive tells a client. XEP-0313 §4.2, §4.3, §5; XEP-0297.
//!
//! Results are put together from text, since the archived messages are text already and a page has many of them.

use super::{Archived, Page, Query};
use crate::jid::{BareJid, FullJid};
use crate::stanza::Timestamp;
use crate::xml::{Element, escape_attribute, ns};

/// One result, from the account to the session that asked.
pub fn result_message(archived: &Archived, query: &Query, account: &BareJid, to: &FullJid) -> String {
    let mut text = String::with_capacity(archived.stanza.len() + 400);
    text.push_str("<message from='");
    escape_attribute(account.as_str(), &mut text);
    text.push_str("' to='");
    escape_attribute(&to.to_string(), &mut text);
    text.push_str("'><result xmlns='urn:xmpp:mam:2' id='");
    text.push_str(&archived.id.to_string());
    if let Some(queryid) = &query.queryid {
        text.push_str("' queryid='");
        escape_attribute(queryid, &mut text);
    }
    text.push_str("'>");
    forwarded(&archived.stanza, Some(archived.stamp), &mut text);
    text.push_str("</result></message>");
    text
}

/// Appends a serialised message as forwarded, with the moment it was taken. XEP-0297 §3.1.
pub fn forwarded(stanza: &str, stamp: Option<Timestamp>, out: &mut String) {
    out.push_str("<forwarded xmlns='urn:xmpp:forward:0'>");
    if let Some(stamp) = stamp {
        out.push_str("<delay xmlns='urn:xmpp:delay' stamp='");
        out.push_str(&stamp.to_string());
        out.push_str("'/>");
    }
    // XEP-0297 §3.1: it is of the client namespace, and says so here.
    out.push_str("<message xmlns='jabber:client'");
    out.push_str(stanza.strip_prefix("<message").unwrap_or(stanza));
    out.push_str("</forwarded>");
}

/// What ends an answer. XEP-0313 §4.3: `complete` if there is no more in the direction of paging.
pub fn fin(query: &Query, page: &Page) -> Element {
    let mut set = Element::new("set", ns::RSM);
    if let (Some(first), Some(last)) = (page.ids.first(), page.ids.last()) {
        let first = Element::new("first", ns::RSM).with("index", page.index.to_string()).with_text(&first.to_string());
        set.push(first);
        set.push(Element::new("last", ns::RSM).with_text(&last.to_string()));
    }
    set.push(Element::new("count", ns::RSM).with_text(&page.count.to_string()));
    let mut fin = Element::new("fin", ns::MAM);
    if let Some(queryid) = &query.queryid {
        fin.set_attribute("queryid", queryid.clone());
    }
    if page.complete {
        fin.set_attribute("complete", "true");
    }
    fin.with_child(set)
}

/// The first and the last message. XEP-0313 §5.
pub fn metadata(ends: Option<(&Archived, &Archived)>) -> Element {
    let mut metadata = Element::new("metadata", ns::MAM);
    let end = |name: &'static str, archived: &Archived| {
        let end = Element::new(name, ns::MAM).with("id", archived.id.to_string());
        end.with("timestamp", archived.stamp.to_string())
    };
    if let Some((first, last)) = ends {
        metadata.push(end("start", first));
        metadata.push(end("end", last));
    }
    metadata
}

/// The fields that a query may have. XEP-0313 §4.1.5.
pub fn query_form() -> Element {
    let field = |kind: &'static str, var: &'static str| {
        Element::new("field", ns::DATA_FORMS).with("type", kind).with("var", var)
    };
    let form_type = Element::new("value", ns::DATA_FORMS).with_text(ns::MAM);
    // XEP-0122 §3.2.2: any id may be named.
    let open = Element::new("validate", ns::VALIDATION)
        .with("datatype", "xs:string")
        .with_child(Element::new("open", ns::VALIDATION));
    let form = Element::new("x", ns::DATA_FORMS)
        .with("type", "form")
        .with_child(field("hidden", "FORM_TYPE").with_child(form_type))
        .with_child(field("jid-single", "with"))
        .with_child(field("text-single", "start"))
        .with_child(field("text-single", "end"))
        .with_child(field("text-single", "before-id"))
        .with_child(field("text-single", "after-id"))
        .with_child(field("list-multi", "ids").with_child(open));
    Element::new("query", ns::MAM).with_child(form)
}
