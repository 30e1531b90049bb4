//! Roster sets as clients send them, results and pushes as they receive them. RFC 6121 §2.1-2.6.

use super::{Entry, Item, Roster};
use crate::jid::{BareJid, Jid};
use crate::limits::{ROSTER_GROUPS_MAX, ROSTER_ITEMS_MAX, ROSTER_NAME_BYTES_MAX};
use crate::stanza::{StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

/// What a roster set asks for. RFC 6121 §2.3-2.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RosterSet {
    /// Add the contact, or change its name and groups.
    Put {
        /// The contact.
        contact: BareJid,
        /// Its handle; an empty one is none.
        name: Option<String>,
        /// Its groups, none empty, none twice.
        groups: Vec<String>,
    },
    /// Remove the contact.
    Remove {
        /// The contact.
        contact: BareJid,
    },
}

impl RosterSet {
    /// Reads the `<query/>` of an iq set that `account` sent about its own roster. The attributes `ask` and `approved`, and
    /// `subscription` unless it is `remove`, are ignored (RFC 6121 §2.1.2): subscriptions change by presence alone.
    ///
    /// Errors are those of RFC 6121 §2.3.3: `bad-request` unless there is exactly one item with an address and no group twice,
    /// `not-acceptable` for a name or group that is too long, an empty group or too many groups, `not-allowed` for the account's
    /// own address, `jid-malformed` for no address at all.
    pub fn read(query: &Element, account: &BareJid) -> Result<RosterSet, StanzaError> {
        let mut items = query.children().filter(|child| child.is("item", ns::ROSTER));
        let (Some(item), None) = (items.next(), items.next()) else {
            return refuse(StanzaCondition::BadRequest, "a roster set holds exactly one item");
        };
        let contact = contact(item)?;
        if contact == *account {
            return refuse(StanzaCondition::NotAllowed, "your own address cannot be in your roster");
        }
        if item.attribute("subscription") == Some("remove") {
            return Ok(RosterSet::Remove { contact });
        }
        let name = item.attribute("name").filter(|name| !name.is_empty());
        if name.is_some_and(|name| name.len() > ROSTER_NAME_BYTES_MAX) {
            return refuse(StanzaCondition::NotAcceptable, "the name is longer than this server allows");
        }
        Ok(RosterSet::Put { contact, name: name.map(str::to_owned), groups: groups(item)? })
    }

    /// The contact it is about.
    pub fn contact(&self) -> &BareJid {
        match self {
            RosterSet::Put { contact, .. } | RosterSet::Remove { contact } => contact,
        }
    }

    /// The contact's entry afterwards; `items` is how many items the roster has now.
    ///
    /// Errors: `item-not-found` for the removal of what is not there (RFC 6121 §2.5.3), `resource-constraint` for one item too
    /// many.
    pub fn apply(&self, entry: &Entry, items: usize) -> Result<Entry, StanzaError> {
        match self {
            RosterSet::Remove { .. } if entry.item.is_none() => Err(StanzaError::new(StanzaCondition::ItemNotFound)),
            // A request that waits is refused by the same act, see `remove`.
            RosterSet::Remove { .. } => Ok(Entry::default()),
            RosterSet::Put { .. } if entry.item.is_none() && items >= ROSTER_ITEMS_MAX => {
                refuse(StanzaCondition::ResourceConstraint, "the roster is full")
            }
            RosterSet::Put { name, groups, .. } => {
                let kept = entry.item.clone().unwrap_or_default();
                let item = Item { name: name.clone(), groups: groups.clone(), ..kept };
                Ok(Entry { item: Some(item), request: entry.request.clone() })
            }
        }
    }
}

/// The `ver` of a roster get: the version the client has, empty if it has none yet. `None` if it knows no versions. RFC 6121 §2.6.2.
pub fn requested_version(query: &Element) -> Option<&str> {
    query.attribute("ver")
}

/// The payload that answers a roster get, or `None` if the client's version is the present one and the result stays empty
/// (RFC 6121 §2.6.3). Contacts with a waiting request alone are left out (§3.1.3).
pub fn result(roster: &Roster, client_version: Option<&str>) -> Option<Element> {
    let version = roster.version.to_string();
    if client_version == Some(version.as_str()) {
        return None;
    }
    let mut query = Element::new("query", ns::ROSTER).with("ver", version);
    for (contact, entry) in &roster.entries {
        if let Some(item) = &entry.item {
            query.push(item_element(contact, item));
        }
    }
    Some(query)
}

/// The payload of a roster push about one contact; a contact without item was removed. RFC 6121 §2.1.6, §2.6.3.
pub fn push(contact: &BareJid, entry: &Entry, version: u64) -> Element {
    let item = match &entry.item {
        Some(item) => item_element(contact, item),
        None => Element::new("item", ns::ROSTER).with("jid", contact.as_str()).with("subscription", "remove"),
    };
    Element::new("query", ns::ROSTER).with("ver", version.to_string()).with_child(item)
}

fn item_element(contact: &BareJid, item: &Item) -> Element {
    let mut element = Element::new("item", ns::ROSTER).with("jid", contact.as_str());
    if let Some(name) = &item.name {
        element.set_attribute("name", name.as_str());
    }
    element.set_attribute("subscription", item.subscription.as_str());
    // RFC 6121 §2.1.2.2, §2.1.2.1.
    if item.ask {
        element.set_attribute("ask", "subscribe");
    }
    if item.approved {
        element.set_attribute("approved", "true");
    }
    for group in &item.groups {
        element.push(Element::new("group", ns::ROSTER).with_text(group));
    }
    element
}

fn contact(item: &Element) -> Result<BareJid, StanzaError> {
    let Some(jid) = item.attribute("jid") else {
        return refuse(StanzaCondition::BadRequest, "the item has no address");
    };
    match jid.parse() {
        Ok(Jid::Bare(contact)) => Ok(contact),
        // Subscriptions are between bare JIDs (RFC 6121 §3.1.1), so an item for a resource could never be subscribed to.
        Ok(Jid::Full(_)) => refuse(StanzaCondition::NotAcceptable, "a roster item is for an address without resource"),
        Err(error) => Err(StanzaError::new(StanzaCondition::JidMalformed).text(error.to_string())),
    }
}

fn groups(item: &Element) -> Result<Vec<String>, StanzaError> {
    let mut groups: Vec<String> = Vec::new();
    for element in item.children().filter(|child| child.is("group", ns::ROSTER)) {
        let group = element.text();
        if group.is_empty() {
            return refuse(StanzaCondition::NotAcceptable, "a group has no name");
        }
        if group.len() > ROSTER_NAME_BYTES_MAX {
            return refuse(StanzaCondition::NotAcceptable, "a group's name is longer than this server allows");
        }
        if groups.contains(&group) {
            return refuse(StanzaCondition::BadRequest, "a group is named twice");
        }
        if groups.len() >= ROSTER_GROUPS_MAX {
            return refuse(StanzaCondition::NotAcceptable, "the item has more groups than this server allows");
        }
        groups.push(group);
    }
    Ok(groups)
}

fn refuse<T>(condition: StanzaCondition, text: &'static str) -> Result<T, StanzaError> {
    Err(StanzaError::new(condition).text(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roster::{Request, Subscription};
    use crate::stanza::Timestamp;
    use crate::xml::parse_document;

    fn account() -> BareJid {
        "romeo@example.net".parse().unwrap()
    }

    fn nurse() -> BareJid {
        "nurse@example.com".parse().unwrap()
    }

    fn read(items: &str) -> Result<RosterSet, StanzaError> {
        let text = format!("<query xmlns='jabber:iq:roster'>{items}</query>");
        RosterSet::read(&parse_document(&text, ns::CLIENT, 10).unwrap(), &account())
    }

    #[test]
    fn a_set_is_read_without_what_clients_may_not_set() {
        // RFC 6121 §2.3.1.
        let set = read(
            "<item jid='Nurse@example.com' name='Nurse' subscription='both' ask='subscribe' approved='true'>\
             <group>Servants</group><group>Capulet</group></item>",
        );
        let groups = vec!["Servants".to_owned(), "Capulet".to_owned()];
        let expected = RosterSet::Put { contact: nurse(), name: Some("Nurse".into()), groups: groups.clone() };
        assert_eq!(set, Ok(expected.clone()));
        let entry = expected.apply(&Entry::default(), 0).unwrap();
        assert_eq!(entry.item, Some(Item { name: Some("Nurse".into()), groups, ..Item::default() }));
        assert_eq!(
            read("<item jid='nurse@example.com' name=''/>"),
            Ok(RosterSet::Put { contact: nurse(), name: None, groups: vec![] })
        );
        assert_eq!(
            read("<item jid='nurse@example.com' subscription='remove'/>"),
            Ok(RosterSet::Remove { contact: nurse() })
        );
    }

    #[test]
    fn wrong_sets_are_refused_as_the_rfc_says() {
        let long = "x".repeat(ROSTER_NAME_BYTES_MAX + 1);
        let many: String = (0..=ROSTER_GROUPS_MAX).map(|n| format!("<group>{n}</group>")).collect();
        for (items, condition) in [
            ("", StanzaCondition::BadRequest),
            ("<item jid='a@b'/><item jid='c@d'/>", StanzaCondition::BadRequest),
            ("<item name='nobody'/>", StanzaCondition::BadRequest),
            ("<item jid='@'/>", StanzaCondition::JidMalformed),
            ("<item jid='a@b/c'/>", StanzaCondition::NotAcceptable),
            ("<item jid='romeo@example.net'/>", StanzaCondition::NotAllowed),
            ("<item jid='a@b'><group>A</group><group>A</group></item>", StanzaCondition::BadRequest),
            ("<item jid='a@b'><group/></item>", StanzaCondition::NotAcceptable),
            (&format!("<item jid='a@b' name='{long}'/>"), StanzaCondition::NotAcceptable),
            (&format!("<item jid='a@b'><group>{long}</group></item>"), StanzaCondition::NotAcceptable),
            (&format!("<item jid='a@b'>{many}</item>"), StanzaCondition::NotAcceptable),
        ] {
            assert_eq!(read(items).unwrap_err().condition(), condition, "{items}");
        }
    }

    #[test]
    fn a_change_keeps_the_subscription_and_a_removal_forgets_all() {
        let item = Item { subscription: Subscription::To, ask: false, approved: true, ..Item::default() };
        let request = Some(Request { stanza: "<presence/>".into(), stamp: Timestamp { millis: 1 } });
        let entry = Entry { item: Some(item.clone()), request: request.clone() };
        let put = RosterSet::Put { contact: nurse(), name: Some("N".into()), groups: vec![] };
        let after = put.apply(&entry, ROSTER_ITEMS_MAX).unwrap();
        assert_eq!(after, Entry { item: Some(Item { name: Some("N".into()), ..item }), request: request.clone() });
        let remove = RosterSet::Remove { contact: nurse() };
        assert_eq!(remove.apply(&entry, 1), Ok(Entry::default()));
        for (set, items, condition) in
            [(put, ROSTER_ITEMS_MAX, StanzaCondition::ResourceConstraint), (remove, 1, StanzaCondition::ItemNotFound)]
        {
            let entry = Entry { item: None, request: request.clone() };
            assert_eq!(set.apply(&entry, items).unwrap_err().condition(), condition);
        }
    }

    #[test]
    fn results_and_pushes_look_as_the_rfc_prints_them() {
        let item = Item {
            name: Some("Nurse".into()),
            groups: vec!["Servants".into()],
            subscription: Subscription::None,
            ask: true,
            approved: true,
        };
        let shown = Entry { item: Some(item), request: None };
        let hidden =
            Entry { item: None, request: Some(Request { stanza: String::new(), stamp: Timestamp { millis: 1 } }) };
        let stranger: BareJid = "stranger@example.com".parse().unwrap();
        let roster = Roster { version: 5, entries: vec![(nurse(), shown.clone()), (stranger, hidden)] };
        let items = "<item jid='nurse@example.com' name='Nurse' subscription='none' ask='subscribe' approved='true'>\
                     <group>Servants</group></item>";
        for (client_version, attribute) in [(None, " ver='5'"), (Some(""), " ver='5'"), (Some("4"), " ver='5'")] {
            let text = result(&roster, client_version).unwrap().to_text(ns::CLIENT);
            assert_eq!(text, format!("<query xmlns='jabber:iq:roster'{attribute}>{items}</query>"));
        }
        assert_eq!(result(&roster, Some("5")), None);
        let text = push(&nurse(), &shown, 6).to_text(ns::CLIENT);
        assert_eq!(text, format!("<query xmlns='jabber:iq:roster' ver='6'>{items}</query>"));
        assert_eq!(
            push(&nurse(), &Entry::default(), 7).to_text(ns::CLIENT),
            "<query xmlns='jabber:iq:roster' ver='7'><item jid='nurse@example.com' subscription='remove'/></query>"
        );
    }
}
