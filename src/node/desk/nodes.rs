//! Discovery of an account's nodes and their items. XEP-0060 §5, XEP-0030.

use super::{Desk, Handled, Request};
use crate::jid::{BareJid, Jid};
use crate::pubsub::{check_access, disco_info, disco_items};
use crate::services::Addressee;
use crate::stanza::{IqType, Kind};
use crate::store::StoreError;
use crate::xml::{Element, ns};

/// The service: `None` for what it does not know, and for strangers.
pub(super) fn nodes(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let payload = request.stanza.payload().filter(|_| request.stanza.kind() == Kind::Iq(IqType::Get))?;
    let account = request.stanza.to().map(Jid::bare)?;
    if !matches!(request.addressee, Addressee::OwnAccount | Addressee::Contact) {
        return None;
    }
    let node = payload.attribute("node").filter(|node| !node.is_empty());
    let found = match (payload.name(), payload.namespace(), node) {
        ("query", ns::DISCO_INFO, Some(node)) => node_info(desk, account, request, node),
        ("query", ns::DISCO_ITEMS, None) => node_names(desk, account, request).map(Some),
        ("query", ns::DISCO_ITEMS, Some(node)) => item_names(desk, account, request, node),
        _ => return None,
    };
    let answer = found.unwrap_or_else(|error| {
        log::error!("nodes cannot be listed: {error}");
        None
    });
    answer.map(|payload| Handled::now(Some(request.stanza.result().with_child(payload))))
}

/// §5.3.
fn node_info(desk: &Desk, account: &BareJid, request: &Request<'_>, name: &str) -> Result<Option<Element>, StoreError> {
    let asker = desk.asker(account, request);
    let node = desk.store.pep_node(account, name)?.filter(|node| check_access(node, &asker).is_ok());
    Ok(node.map(|node| disco_info(name, &node.config)))
}

/// §5.2: those that the asker may read.
fn node_names(desk: &Desk, account: &BareJid, request: &Request<'_>) -> Result<Element, StoreError> {
    let asker = desk.asker(account, request);
    let nodes = desk.store.pep_nodes(account)?;
    let readable = nodes.iter().filter(|(_, node)| check_access(node, &asker).is_ok());
    Ok(disco_items(account, None, readable.map(|(name, _)| name.as_str())))
}

/// §5.5.
fn item_names(
    desk: &Desk,
    account: &BareJid,
    request: &Request<'_>,
    name: &str,
) -> Result<Option<Element>, StoreError> {
    let asker = desk.asker(account, request);
    let node = desk.store.pep_node(account, name)?;
    if node.is_none_or(|node| check_access(&node, &asker).is_err()) {
        return Ok(None);
    }
    let ids = desk.store.pep_item_ids(account, name)?;
    Ok(Some(disco_items(account, Some(name), ids.iter().map(String::as_str))))
}
