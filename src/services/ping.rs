//! Ping: is the other side there? XEP-0199 §4.2, §4.3.

use super::{Addressee, Facts};
use crate::stanza::StanzaError;
use crate::xml::{Element, ns};

pub(super) fn get(payload: &Element, _: Addressee, _: &Facts) -> Option<Result<Option<Element>, StanzaError>> {
    payload.is("ping", ns::PING).then_some(Ok(None))
}
