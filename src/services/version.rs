//! Software version. XEP-0092. The operating system is nobody's business.

use super::{Addressee, Facts};
use crate::stanza::StanzaError;
use crate::xml::{Element, ns};

pub(super) fn get(payload: &Element, to: Addressee, _: &Facts) -> Option<Result<Option<Element>, StanzaError>> {
    if !payload.is("query", ns::VERSION) || to != Addressee::Domain {
        return None;
    }
    let query = Element::new("query", ns::VERSION)
        .with_child(Element::new("name", ns::VERSION).with_text(env!("CARGO_PKG_NAME")))
        .with_child(Element::new("version", ns::VERSION).with_text(env!("CARGO_PKG_VERSION")));
    Some(Ok(Some(query)))
}
