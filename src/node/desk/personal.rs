//! Personal data that is no node: the vCard (XEP-0054), which shares its picture with the avatar nodes (XEP-0398), and private XML
//! (XEP-0049).

use super::pep::{item, refusal};
use super::{Desk, Handled, Request};
use crate::jid::{BareJid, Jid};
use crate::limits;
use crate::node::random::random_id;
use crate::pubsub::{
    AVATAR_DATA, AVATAR_METADATA, Node, Photo, Refusal, current_avatar, item_event, no_avatar, photo_in_data,
    private_id, with_photo, without_photo,
};
use crate::services::Addressee;
use crate::stanza::{IqType, Kind, StanzaCondition, StanzaError};
use crate::store::{PRIVATE_SHELF, PepChange, StoreError, VCARD_ITEM, VCARD_SHELF, private_shelf};
use crate::xml::{Element, ns, parse_document};

/// The service for `vcard-temp`.
pub(super) fn vcard(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let payload = request.stanza.payload().filter(|payload| payload.is("vCard", ns::VCARD))?;
    let account = request.stanza.to().map(Jid::bare)?;
    let outcome = match (request.stanza.kind(), request.addressee) {
        (Kind::Iq(IqType::Get), Addressee::OwnAccount | Addressee::Contact) => {
            get_vcard(desk, account, request).map(|vcard| Handled::now(Some(request.stanza.result().with_child(vcard))))
        }
        // XEP-0054 §3.2: nobody changes another's.
        (Kind::Iq(IqType::Set), Addressee::Contact) => Err(Refusal::Forbidden),
        (Kind::Iq(IqType::Set), Addressee::OwnAccount) => set_vcard(desk, account, request, payload),
        // Strangers are answered like about an account that does not exist.
        _ => return None,
    };
    Some(outcome.unwrap_or_else(|refusal| Handled::now(request.stanza.error(&refusal.to_error()))))
}

/// The service for `jabber:iq:private`.
pub(super) fn private(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let payload = request.stanza.payload().filter(|payload| payload.is("query", ns::PRIVATE))?;
    let account = request.stanza.to().map(Jid::bare)?;
    if request.addressee != Addressee::OwnAccount {
        // XEP-0049 §4: it is nobody else's.
        let error = StanzaError::new(StanzaCondition::Forbidden);
        return (request.addressee == Addressee::Contact).then(|| Handled::now(request.stanza.error(&error)));
    }
    let outcome = match request.stanza.kind() {
        Kind::Iq(IqType::Get) => get_private(desk, account, payload)
            .map(|query| Handled::now(Some(request.stanza.result().with_child(query)))),
        _ => set_private(desk, account, request, payload),
    };
    Some(outcome.unwrap_or_else(|refusal| Handled::now(request.stanza.error(&refusal.to_error()))))
}

/// XEP-0054 §3.1: an account without a vCard has an empty one.
fn get_vcard(desk: &Desk, account: &BareJid, request: &Request<'_>) -> Result<Element, Refusal> {
    let stored = desk.store.pep_item(account, VCARD_SHELF, VCARD_ITEM).map_err(refusal)?;
    let vcard = stored.and_then(|item| parse(&item.payload)).unwrap_or_else(|| Element::new("vCard", ns::VCARD));
    // The picture is for those who may read its node.
    let node = desk.store.pep_node(account, AVATAR_METADATA).map_err(refusal)?;
    let reader = request.stanza.from_bare();
    let shown = node.is_some_and(|node| reader.is_some_and(|reader| desk.may_read(account, &node, reader)));
    match picture(desk, account).map_err(refusal)?.filter(|_| shown) {
        Some(photo) => Ok(with_photo(vcard, &photo)),
        None => Ok(vcard),
    }
}

/// XEP-0054 §3.2, XEP-0398 §3.2: the picture goes to its nodes.
fn set_vcard(desk: &mut Desk, account: &BareJid, request: &Request<'_>, vcard: &Element) -> Result<Handled, Refusal> {
    let photo = Photo::of_vcard(vcard);
    let kept = if photo.is_some() { without_photo(vcard.clone()) } else { vcard.clone() };
    let (shelf, vcard_item) = (Node::default(), item(VCARD_ITEM, &kept, request.now));
    let data_node = desk.store.pep_node(account, AVATAR_DATA).map_err(refusal)?.unwrap_or_default();
    let metadata_node = desk.store.pep_node(account, AVATAR_METADATA).map_err(refusal)?.unwrap_or_default();
    let before = picture(desk, account).map_err(refusal)?;
    let metadata = match (&photo, &before) {
        // Clients send the whole vCard back when they change a name.
        (Some(photo), Some(before)) if photo.id == before.id => None,
        (Some(photo), _) => Some(item(&photo.id, &photo.metadata(), request.now)),
        (None, Some(_)) if vcard.child("PHOTO", ns::VCARD).is_none() => {
            Some(item(&random_id(), &no_avatar(), request.now))
        }
        (None, _) => None,
    };
    let data = photo.as_ref().map(|photo| item(&photo.id, &photo.data(), request.now));
    let mut changes = vec![PepChange::Publish(VCARD_SHELF, &shelf, &vcard_item)];
    if let Some(metadata) = &metadata {
        changes.extend(data.as_ref().map(|data| PepChange::Publish(AVATAR_DATA, &data_node, data)));
        changes.push(PepChange::Publish(AVATAR_METADATA, &metadata_node, metadata));
    }
    let ticket = desk.store.pep_change(account, &changes).map_err(refusal)?;
    let mut stanzas = vec![request.stanza.result()];
    if let Some(metadata) = &metadata {
        let event = item_event(AVATAR_METADATA, &metadata_node.config, metadata);
        stanzas.extend(desk.notifications(request.router, account, AVATAR_METADATA, &metadata_node, &event));
        desk.avatar_may_have_changed(account);
    }
    Ok(Handled { stanzas, after: Some(ticket), ..Handled::default() })
}

/// The account's picture, if it keeps one and it is the one its hash says. XEP-0398 §3.1.
fn picture(desk: &Desk, account: &BareJid) -> Result<Option<Photo>, StoreError> {
    let metadata = desk.store.pep_last_item(account, AVATAR_METADATA)?.and_then(|item| parse(&item.payload));
    let Some((id, mime)) = metadata.as_ref().and_then(current_avatar) else { return Ok(None) };
    let data = desk.store.pep_item(account, AVATAR_DATA, id)?.and_then(|item| parse(&item.payload));
    Ok(data.and_then(|data| photo_in_data(&data, id, mime)))
}

/// XEP-0049 §4: what was never stored comes back as it was asked for, empty.
fn get_private(desk: &Desk, account: &BareJid, query: &Element) -> Result<Element, Refusal> {
    let asked = only_child(query)?;
    let stored = desk.store.pep_item(account, PRIVATE_SHELF, &private_id(asked)?).map_err(refusal)?;
    let content = stored.and_then(|item| parse(&item.payload));
    Ok(Element::new("query", ns::PRIVATE).with_child(content.unwrap_or_else(|| asked.clone())))
}

/// XEP-0049 §4.
fn set_private(desk: &mut Desk, account: &BareJid, request: &Request<'_>, query: &Element) -> Result<Handled, Refusal> {
    let content = only_child(query)?;
    let stored = item(&private_id(content)?, content, request.now);
    let shelf = private_shelf();
    let changes = [PepChange::Publish(PRIVATE_SHELF, &shelf, &stored)];
    let ticket = desk.store.pep_change(account, &changes).map_err(refusal)?;
    Ok(Handled { stanzas: vec![request.stanza.result()], after: Some(ticket), ..Handled::default() })
}

fn only_child(query: &Element) -> Result<&Element, Refusal> {
    let mut children = query.children();
    match (children.next(), children.next()) {
        (Some(child), None) => Ok(child),
        _ => Err(Refusal::BadRequest),
    }
}

fn parse(payload: &str) -> Option<Element> {
    parse_document(payload, ns::CLIENT, limits::STANZA_DEPTH_MAX).ok()
}
