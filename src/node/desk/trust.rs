//! This node's introduction, for whoever asks: its card, the certificate of its key, and where it is. What it says is signed, and
//! believed or not wherever it came by; so it is no secret and needs no rights.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Desk, Handled, Request};
use crate::services::Addressee;
use crate::stanza::{IqType, Kind, StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

/// `<introduction xmlns='urn:kontalk:net:0'/>` at the domain.
pub(super) fn introduction(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    request.stanza.payload().filter(|payload| payload.is("introduction", ns::KONTALK_NET))?;
    if request.addressee != Addressee::Domain || request.stanza.kind() != Kind::Iq(IqType::Get) {
        return None;
    }
    let found = desk.trust.as_ref().map_or(Ok(None), |trust| trust.introduction());
    let outcome = match found {
        Ok(Some(text)) => Ok(Element::new("introduction", ns::KONTALK_NET).with_text(&STANDARD.encode(text))),
        Ok(None) => Err(StanzaError::new(StanzaCondition::ItemNotFound).text("this node has no card")),
        Err(fault) => {
            log::error!("trust: {fault}");
            Err(StanzaError::new(StanzaCondition::InternalServerError))
        }
    };
    Some(Handled::outcome(request.stanza, outcome))
}
