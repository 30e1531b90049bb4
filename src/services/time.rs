//! Entity time. XEP-0202. A server has no time zone worth telling: it answers in UTC.

use super::{Addressee, Facts};
use crate::stanza::StanzaError;
use crate::xml::{Element, ns};

pub(super) fn get(payload: &Element, to: Addressee, facts: &Facts) -> Option<Result<Option<Element>, StanzaError>> {
    if !payload.is("time", ns::TIME) || to != Addressee::Domain {
        return None;
    }
    // XEP-0082 wants no fraction where it says nothing.
    let stamp = facts.now.to_string();
    let utc = stamp.split_once('.').map_or(stamp.clone(), |(secs, _)| format!("{secs}Z"));
    let time = Element::new("time", ns::TIME)
        .with_child(Element::new("tzo", ns::TIME).with_text("+00:00"))
        .with_child(Element::new("utc", ns::TIME).with_text(&utc));
    Some(Ok(Some(time)))
}
