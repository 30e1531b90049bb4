//! The block list: whom it matches, what clients ask of it, what they are told. XEP-0191.

use std::collections::BTreeSet;

use super::BlockList;
use crate::jid::{BareJid, Jid};
use crate::limits::BLOCK_LIST_MAX;
use crate::stanza::{StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

/// A change that a client asks for, read and checked. XEP-0191 §3.3-3.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockingRequest {
    /// Block these addresses; at least one.
    Block(BTreeSet<Jid>),
    /// Unblock these addresses; at least one.
    Unblock(BTreeSet<Jid>),
    /// Unblock all.
    UnblockAll,
}

impl BlockingRequest {
    /// Reads the payload of an iq set in the blocking namespace.
    ///
    /// Errors: `bad-request` for an empty `<block/>` (XEP-0191 §3.3), an item without address or another payload;
    /// `jid-malformed` for no address; `not-allowed` for blocking oneself; `policy-violation` for more than fit a list.
    pub fn read(payload: &Element, account: &BareJid) -> Result<BlockingRequest, StanzaError> {
        let block = payload.is("block", ns::BLOCKING);
        if !block && !payload.is("unblock", ns::BLOCKING) {
            return Err(StanzaError::new(StanzaCondition::BadRequest));
        }
        let mut addresses = BTreeSet::new();
        for item in payload.children().filter(|child| child.is("item", ns::BLOCKING)) {
            let Some(jid) = item.attribute("jid") else {
                return refuse(StanzaCondition::BadRequest, "an item has no address");
            };
            let jid: Jid = jid.parse().map_err(|_| StanzaError::new(StanzaCondition::JidMalformed))?;
            if block && jid.bare() == account {
                // Messages between one's own resources would vanish.
                return refuse(StanzaCondition::NotAllowed, "you cannot block yourself");
            }
            addresses.insert(jid);
            if addresses.len() > BLOCK_LIST_MAX {
                return refuse(StanzaCondition::PolicyViolation, "more addresses than a block list may have");
            }
        }
        match (block, addresses.is_empty()) {
            (true, true) => refuse(StanzaCondition::BadRequest, "nobody to block is named"),
            (true, false) => Ok(BlockingRequest::Block(addresses)),
            (false, true) => Ok(BlockingRequest::UnblockAll),
            (false, false) => Ok(BlockingRequest::Unblock(addresses)),
        }
    }

    /// Changes the list and gives back the addresses that are blocked or unblocked now and were not before. What was so already is
    /// no error: XEP-0191 wants the same result.
    ///
    /// Errors: `resource-constraint` if the list would become too long; it is left as it was.
    pub fn apply(&self, list: &mut BlockList) -> Result<BTreeSet<Jid>, StanzaError> {
        match self {
            BlockingRequest::Block(addresses) => {
                let fresh: BTreeSet<Jid> = addresses.difference(&list.blocked).cloned().collect();
                if list.blocked.len() + fresh.len() > BLOCK_LIST_MAX {
                    return refuse(StanzaCondition::ResourceConstraint, "the block list is full");
                }
                list.blocked.extend(fresh.iter().cloned());
                Ok(fresh)
            }
            BlockingRequest::Unblock(addresses) => {
                let freed: BTreeSet<Jid> = addresses.intersection(&list.blocked).cloned().collect();
                list.blocked.retain(|jid| !freed.contains(jid));
                Ok(freed)
            }
            BlockingRequest::UnblockAll => Ok(std::mem::take(&mut list.blocked)),
        }
    }
}

impl BlockList {
    /// Is traffic with this address blocked? XEP-0191 §3.2: the list may name the full JID, the bare JID, the domain with
    /// resource, or the domain; a bare JID stands for all its resources, a domain for all in it, a resource only for itself.
    pub fn blocks(&self, other: &Jid) -> bool {
        if self.blocked.is_empty() {
            return false;
        }
        let bare = other.bare();
        self.blocked.contains(other)
            || self.blocked.contains(&Jid::Bare(bare.clone()))
            || (bare.localpart().is_some() && self.blocked.contains(&Jid::Bare(bare.to_domain())))
    }
}

/// Is this the payload that asks for the list? XEP-0191 §3.2.
pub fn is_blocklist_get(payload: &Element) -> bool {
    payload.is("blocklist", ns::BLOCKING)
}

/// The payload that answers it.
pub fn blocklist_result(list: &BlockList) -> Element {
    items("blocklist", &list.blocked)
}

/// The push that tells a user's other resources whom one of them blocked. XEP-0191 §3.3.
pub fn block_push(addresses: &BTreeSet<Jid>) -> Element {
    items("block", addresses)
}

/// The push that tells them who is unblocked; `None` means all. XEP-0191 §3.4, §3.5.
pub fn unblock_push(addresses: Option<&BTreeSet<Jid>>) -> Element {
    match addresses {
        Some(addresses) => items("unblock", addresses),
        None => Element::new("unblock", ns::BLOCKING),
    }
}

fn items(name: &'static str, addresses: &BTreeSet<Jid>) -> Element {
    let mut element = Element::new(name, ns::BLOCKING);
    for jid in addresses {
        element.push(Element::new("item", ns::BLOCKING).with("jid", jid.to_string()));
    }
    element
}

fn refuse<T>(condition: StanzaCondition, text: &'static str) -> Result<T, StanzaError> {
    Err(StanzaError::new(condition).text(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_document;

    fn list(addresses: &[&str]) -> BlockList {
        BlockList { blocked: set(addresses) }
    }

    fn set(addresses: &[&str]) -> BTreeSet<Jid> {
        addresses.iter().map(|jid| jid.parse().unwrap()).collect()
    }

    fn read(text: &str) -> Result<BlockingRequest, StanzaError> {
        let payload = parse_document(text, ns::BLOCKING, 10).unwrap();
        BlockingRequest::read(&payload, &"juliet@capulet.com".parse().unwrap())
    }

    #[test]
    fn a_listed_address_matches_what_lies_below_it() {
        // XEP-0191 §3.2: (listed, address, blocked).
        for (listed, address, blocked) in [
            ("romeo@montague.net/orchard", "romeo@montague.net/orchard", true),
            ("romeo@montague.net/orchard", "romeo@montague.net/balcony", false),
            ("romeo@montague.net/orchard", "romeo@montague.net", false),
            ("romeo@montague.net", "romeo@montague.net/orchard", true),
            ("romeo@montague.net", "romeo@montague.net", true),
            ("romeo@montague.net", "benvolio@montague.net", false),
            ("montague.net/orchard", "montague.net/orchard", true),
            ("montague.net/orchard", "romeo@montague.net/orchard", false),
            ("montague.net/orchard", "montague.net", false),
            ("montague.net", "montague.net", true),
            ("montague.net", "montague.net/orchard", true),
            ("montague.net", "romeo@montague.net/orchard", true),
            ("montague.net", "romeo@pda.montague.net", false),
        ] {
            assert_eq!(list(&[listed]).blocks(&address.parse().unwrap()), blocked, "{listed} for {address}");
        }
        assert!(!list(&[]).blocks(&"romeo@montague.net".parse().unwrap()));
    }

    #[test]
    fn requests_are_read_and_wrong_ones_refused() {
        assert_eq!(
            read("<block><item jid='romeo@montague.net'/><item jid='Romeo@montague.net'/></block>"),
            Ok(BlockingRequest::Block(set(&["romeo@montague.net"])))
        );
        assert_eq!(
            read("<unblock><item jid='montague.net'/></unblock>"),
            Ok(BlockingRequest::Unblock(set(&["montague.net"])))
        );
        assert_eq!(read("<unblock/>"), Ok(BlockingRequest::UnblockAll));
        let many: String = (0..=BLOCK_LIST_MAX).map(|n| format!("<item jid='a{n}@b'/>")).collect();
        for (text, condition) in [
            ("<block/>", StanzaCondition::BadRequest),
            ("<block><item/></block>", StanzaCondition::BadRequest),
            ("<block><item jid='@'/></block>", StanzaCondition::JidMalformed),
            ("<block><item jid='juliet@capulet.com'/></block>", StanzaCondition::NotAllowed),
            ("<blocklist><item jid='a@b'/></blocklist>", StanzaCondition::BadRequest),
            (&format!("<block>{many}</block>"), StanzaCondition::PolicyViolation),
        ] {
            assert_eq!(read(text).unwrap_err().condition(), condition, "{text}");
        }
    }

    #[test]
    fn a_request_changes_only_what_it_must_and_never_beyond_the_limit() {
        let mut blocked = list(&["a@b"]);
        assert_eq!(BlockingRequest::Block(set(&["a@b", "c@d"])).apply(&mut blocked), Ok(set(&["c@d"])));
        assert_eq!(BlockingRequest::Unblock(set(&["a@b", "e@f"])).apply(&mut blocked), Ok(set(&["a@b"])));
        assert_eq!(blocked, list(&["c@d"]));
        assert_eq!(BlockingRequest::UnblockAll.apply(&mut blocked), Ok(set(&["c@d"])));
        assert_eq!(blocked, list(&[]));
        let full: BTreeSet<Jid> = (0..BLOCK_LIST_MAX).map(|n| format!("a{n}@b").parse().unwrap()).collect();
        let mut blocked = BlockList { blocked: full };
        let error = BlockingRequest::Block(set(&["one@more"])).apply(&mut blocked).unwrap_err();
        assert_eq!(error.condition(), StanzaCondition::ResourceConstraint);
        assert_eq!(blocked.blocked.len(), BLOCK_LIST_MAX);
    }

    #[test]
    fn lists_and_pushes_look_as_the_xep_prints_them() {
        let addresses = set(&["iago@shakespeare.lit", "romeo@montague.net"]);
        let items = "<item jid='iago@shakespeare.lit'/><item jid='romeo@montague.net'/>";
        for (element, name) in [
            (blocklist_result(&BlockList { blocked: addresses.clone() }), "blocklist"),
            (block_push(&addresses), "block"),
            (unblock_push(Some(&addresses)), "unblock"),
        ] {
            let expected = format!("<{name} xmlns='urn:xmpp:blocking'>{items}</{name}>");
            assert_eq!(element.to_text(ns::CLIENT), expected);
        }
        assert_eq!(unblock_push(None).to_text(ns::CLIENT), "<unblock xmlns='urn:xmpp:blocking'/>");
        assert!(is_blocklist_get(&Element::new("blocklist", ns::BLOCKING)));
    }
}
