//! Requests for upload slots. XEP-0363 §5. What can be decided without the disk is decided here, the rest by the clerk.

use super::{Desk, Handled, Request};
use crate::node::web::Errand;
use crate::services::Addressee;
use crate::stanza::{IqType, Kind};
use crate::upload::{SlotRefusal, Wish};

/// The domain itself is the upload service: Kontalk's clients send their requests to whatever address shows the feature.
pub(super) fn slot(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let clerk = desk.upload_clerk.as_ref()?;
    if request.addressee != Addressee::Domain || request.stanza.kind() != Kind::Iq(IqType::Get) {
        return None;
    }
    let stanza = request.stanza;
    let wish = match Wish::read(stanza.payload()?)? {
        Ok(wish) => wish,
        Err(error) => return Some(Handled::now(stanza.error(&error))),
    };
    let form = wish.form;
    let refusal = if stanza.from_bare().is_none_or(|from| from.domainpart() != desk.domain.domainpart()) {
        SlotRefusal::NoAccount
    } else if clerk.try_send(Errand::Slot(Box::new(stanza.clone()), wish)).is_err() {
        SlotRefusal::TooManySlots
    } else {
        // The clerk answers.
        return Some(Handled::default());
    };
    Some(Handled::now(stanza.error(&refusal.to_error(form))))
}
