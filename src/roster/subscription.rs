//! What subscription presence does to an entry. RFC 6121 §3 and the tables of its appendix A, pre-approval included (§3.4).
//!
//! An entry is in one of the nine states of appendix A.1: the subscription, `Pending Out` if the item has `ask`, `Pending In` if
//! a request waits. An account without item is in state `None`.

use super::{Entry, Item, Request, Subscription};
use crate::stanza::PresenceType;

/// What becomes of an entry when its account sends subscription presence to the contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// The entry afterwards.
    pub entry: Entry,
    /// Is it another than before, so that it must be saved?
    pub changed: bool,
    /// Must interested resources be told by a roster push? Not for a mere waiting request, which rosters do not show.
    pub push: bool,
    /// Is the stanza sent on to the contact (`ROUTE?` of appendix A.2)?
    pub route: bool,
    /// Does this change whether the contact may see the account's presence?
    pub contact_sees: ContactSees,
}

/// What becomes of an entry when subscription presence arrives from the contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// The entry afterwards.
    pub entry: Entry,
    /// Is it another than before, so that it must be saved?
    pub changed: bool,
    /// Must interested resources be told by a roster push?
    pub push: bool,
    /// Is the stanza handed to the account's resources (`DELIVER?` of appendix A.3)?
    pub deliver: bool,
    /// Presence that the account's server sends back in its name, from its bare JID.
    pub auto_reply: Option<PresenceType>,
    /// Does this change whether the contact may see the account's presence?
    pub contact_sees: ContactSees,
}

/// Whether a contact sees the account's presence, as far as the stanza changes that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactSees {
    /// As before: nothing to send.
    AsBefore,
    /// From now on: send the presence of every available resource. RFC 6121 §3.1.5.
    FromNow,
    /// No longer: send unavailable presence of every available resource. RFC 6121 §3.2.2, §3.3.3.
    NoMore,
}

/// Which presence a removed item's contact must be sent. RFC 6121 §2.5.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Send `unsubscribe`: the account sees the contact's presence or has asked to.
    pub unsubscribe: bool,
    /// Send `unsubscribed`: the contact sees the account's presence or has asked to.
    pub unsubscribed: bool,
}

/// The account sends `kind` to the contact. RFC 6121 appendix A.2. Presence of other kinds changes nothing here.
pub fn outbound(entry: &Entry, kind: PresenceType) -> Outbound {
    let mut after = entry.clone();
    let (route, contact_sees) = match kind {
        PresenceType::Subscribe => {
            outbound_subscribe(&mut after);
            (true, ContactSees::AsBefore)
        }
        PresenceType::Unsubscribe => {
            outbound_unsubscribe(&mut after);
            (true, ContactSees::AsBefore)
        }
        PresenceType::Subscribed => outbound_subscribed(&mut after),
        PresenceType::Unsubscribed => outbound_unsubscribed(&mut after),
        _ => (false, ContactSees::AsBefore),
    };
    let (changed, push) = (after != *entry, after.item != entry.item);
    Outbound { entry: after, changed, push, route, contact_sees }
}

/// Presence of `kind` arrives from the contact. RFC 6121 appendix A.3. `request` makes what is kept of a subscription request that
/// must wait for the user; it is asked only then. Presence of other kinds changes nothing here.
pub fn inbound(entry: &Entry, kind: PresenceType, request: impl FnOnce() -> Request) -> Inbound {
    let mut after = entry.clone();
    let mut auto_reply = None;
    let (deliver, contact_sees) = match kind {
        PresenceType::Subscribe => {
            let (deliver, granted) = inbound_subscribe(&mut after, request);
            // The contact believes that it does not see the account, so its presence is sent even where nothing changed.
            auto_reply = granted.then_some(PresenceType::Subscribed);
            (deliver, if granted { ContactSees::FromNow } else { ContactSees::AsBefore })
        }
        PresenceType::Unsubscribe => inbound_unsubscribe(&mut after),
        PresenceType::Subscribed => (inbound_subscribed(&mut after), ContactSees::AsBefore),
        PresenceType::Unsubscribed => (inbound_unsubscribed(&mut after), ContactSees::AsBefore),
        _ => (false, ContactSees::AsBefore),
    };
    let (changed, push) = (after != *entry, after.item != entry.item);
    Inbound { entry: after, changed, push, deliver, auto_reply, contact_sees }
}

/// The account removes the contact from its roster, or the whole account goes. RFC 6121 §2.5.2. Requests of either side that
/// still wait are taken back and refused as well, so that neither side remembers what the other forgot.
pub fn remove(entry: &Entry) -> Removal {
    let subscription = entry.subscription();
    Removal {
        unsubscribe: subscription.sees_contact() || entry.pending_out(),
        unsubscribed: subscription.seen_by_contact() || entry.pending_in(),
    }
}

impl Subscription {
    /// `To` or `Both`: the account sees the contact's presence.
    pub fn sees_contact(self) -> bool {
        matches!(self, Subscription::To | Subscription::Both)
    }

    /// `From` or `Both`: the contact sees the account's presence.
    pub fn seen_by_contact(self) -> bool {
        matches!(self, Subscription::From | Subscription::Both)
    }

    /// The attribute's value. RFC 6121 §2.1.2.5.
    pub fn as_str(self) -> &'static str {
        match self {
            Subscription::None => "none",
            Subscription::To => "to",
            Subscription::From => "from",
            Subscription::Both => "both",
        }
    }

    fn of(sees_contact: bool, seen_by_contact: bool) -> Subscription {
        match (sees_contact, seen_by_contact) {
            (false, false) => Subscription::None,
            (true, false) => Subscription::To,
            (false, true) => Subscription::From,
            (true, true) => Subscription::Both,
        }
    }
}

impl Entry {
    /// The subscription; `None` without item.
    pub fn subscription(&self) -> Subscription {
        self.item.as_ref().map(|item| item.subscription).unwrap_or_default()
    }

    /// Does a request of the account wait for the contact (`Pending Out`)?
    pub fn pending_out(&self) -> bool {
        self.item.as_ref().is_some_and(|item| item.ask)
    }

    /// Does a request of the contact wait for the user (`Pending In`)?
    pub fn pending_in(&self) -> bool {
        self.request.is_some()
    }

    /// Would a request of the contact be granted at once (RFC 6121 §3.4)?
    pub fn approved(&self) -> bool {
        self.item.as_ref().is_some_and(|item| item.approved)
    }

    /// Is nothing known of the contact?
    pub fn is_empty(&self) -> bool {
        self.item.is_none() && self.request.is_none()
    }

    /// The item, made if it is not there yet: RFC 6121 §3.1.2, §3.1.5 and §3.4.2 put the contact into the roster.
    fn item_made(&mut self) -> &mut Item {
        self.item.get_or_insert_with(Item::default)
    }

    fn set_sees_contact(&mut self, sees: bool) {
        if let Some(item) = &mut self.item {
            item.subscription = Subscription::of(sees, item.subscription.seen_by_contact());
        }
    }

    fn set_seen_by_contact(&mut self, seen: bool) {
        if let Some(item) = &mut self.item {
            item.subscription = Subscription::of(item.subscription.sees_contact(), seen);
        }
    }
}

/// Appendix A.2.1: always routed, even if it changes nothing: the other side may have forgotten.
fn outbound_subscribe(entry: &mut Entry) {
    if !entry.subscription().sees_contact() {
        entry.item_made().ask = true;
    }
}

/// Appendix A.2.2: ends the subscription to the contact, or takes the request for it back.
fn outbound_unsubscribe(entry: &mut Entry) {
    entry.set_sees_contact(false);
    if let Some(item) = &mut entry.item {
        item.ask = false;
    }
}

/// Appendix A.2.3: grants a waiting request; without one it is a pre-approval (§3.4.2), which the contact must not learn of.
fn outbound_subscribed(entry: &mut Entry) -> (bool, ContactSees) {
    if entry.request.take().is_some() {
        entry.item_made();
        entry.set_seen_by_contact(true);
        return (true, ContactSees::FromNow);
    }
    if !entry.subscription().seen_by_contact() {
        entry.item_made().approved = true;
    }
    (false, ContactSees::AsBefore)
}

/// Appendix A.2.4: refuses a waiting request or ends the contact's subscription; cancels a pre-approval (§3.4.2) in any case.
fn outbound_unsubscribed(entry: &mut Entry) -> (bool, ContactSees) {
    if let Some(item) = &mut entry.item {
        item.approved = false;
    }
    if entry.request.take().is_some() {
        return (true, ContactSees::AsBefore);
    }
    if entry.subscription().seen_by_contact() {
        entry.set_seen_by_contact(false);
        return (true, ContactSees::NoMore);
    }
    (false, ContactSees::AsBefore)
}

/// Appendix A.3.1. Gives (deliver, granted at once).
fn inbound_subscribe(entry: &mut Entry, request: impl FnOnce() -> Request) -> (bool, bool) {
    if entry.subscription().seen_by_contact() {
        // RFC 6121 §3.1.3: the contact has lost its memory; the answer is given again in the user's name.
        return (false, true);
    }
    if entry.approved() {
        // RFC 6121 §3.4.2.
        entry.request = None;
        entry.set_seen_by_contact(true);
        return (false, true);
    }
    if entry.pending_in() {
        return (false, false);
    }
    entry.request = Some(request());
    (true, false)
}

/// Appendix A.3.2: the contact no longer wants to see the account, or takes its request back.
fn inbound_unsubscribe(entry: &mut Entry) -> (bool, ContactSees) {
    if entry.request.take().is_some() {
        return (true, ContactSees::AsBefore);
    }
    if entry.subscription().seen_by_contact() {
        entry.set_seen_by_contact(false);
        return (true, ContactSees::NoMore);
    }
    (false, ContactSees::AsBefore)
}

/// Appendix A.3.3: an answer counts only if it was asked for.
fn inbound_subscribed(entry: &mut Entry) -> bool {
    if !entry.pending_out() || entry.subscription().sees_contact() {
        return false;
    }
    entry.set_sees_contact(true);
    if let Some(item) = &mut entry.item {
        item.ask = false;
    }
    true
}

/// Appendix A.3.4: the contact refuses the request, or ends the account's subscription.
fn inbound_unsubscribed(entry: &mut Entry) -> bool {
    if !entry.pending_out() && !entry.subscription().sees_contact() {
        return false;
    }
    outbound_unsubscribe(entry);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::Timestamp;

    /// The nine states of RFC 6121 appendix A.1, as its tables order and name them.
    const STATES: [&str; 9] = ["N", "N+O", "N+I", "N+OI", "T", "T+I", "F", "F+O", "B"];

    fn waiting() -> Request {
        Request { stanza: "<presence type='subscribe'/>".into(), stamp: Timestamp { millis: 7 } }
    }

    fn entry(state: &str) -> Entry {
        let (subscription, pending) = state.split_once('+').unwrap_or((state, ""));
        let subscription = match subscription {
            "N" => Subscription::None,
            "T" => Subscription::To,
            "F" => Subscription::From,
            _ => Subscription::Both,
        };
        let item = Item {
            name: Some("Juliet".into()),
            groups: vec!["Capulet".into()],
            subscription,
            ask: pending.contains('O'),
            approved: false,
        };
        Entry { item: Some(item), request: pending.contains('I').then(waiting) }
    }

    fn approved(state: &str) -> Entry {
        let mut entry = entry(state);
        entry.item.as_mut().unwrap().approved = true;
        entry
    }

    fn forbidden() -> Request {
        panic!("the request is asked for although it is not kept")
    }

    #[test]
    fn outbound_presence_follows_appendix_a_2() {
        // (kind, for each state: route, new state; A marks a pre-approval)
        let tables: [(PresenceType, [(bool, &str); 9]); 4] = [
            // Appendix A.2.1.
            (
                PresenceType::Subscribe,
                [
                    (true, "N+O"),
                    (true, "N+O"),
                    (true, "N+OI"),
                    (true, "N+OI"),
                    (true, "T"),
                    (true, "T+I"),
                    (true, "F+O"),
                    (true, "F+O"),
                    (true, "B"),
                ],
            ),
            // Appendix A.2.2.
            (
                PresenceType::Unsubscribe,
                [
                    (true, "N"),
                    (true, "N"),
                    (true, "N+I"),
                    (true, "N+I"),
                    (true, "N"),
                    (true, "N+I"),
                    (true, "F"),
                    (true, "F"),
                    (true, "F"),
                ],
            ),
            // Appendix A.2.3.
            (
                PresenceType::Subscribed,
                [
                    (false, "A N"),
                    (false, "A N+O"),
                    (true, "F"),
                    (true, "F+O"),
                    (false, "A T"),
                    (true, "B"),
                    (false, "F"),
                    (false, "F+O"),
                    (false, "B"),
                ],
            ),
            // Appendix A.2.4.
            (
                PresenceType::Unsubscribed,
                [
                    (false, "N"),
                    (false, "N+O"),
                    (true, "N"),
                    (true, "N+O"),
                    (false, "T"),
                    (true, "T"),
                    (true, "N"),
                    (true, "N+O"),
                    (true, "T"),
                ],
            ),
        ];
        for (kind, rows) in tables {
            for (state, (route, after)) in STATES.into_iter().zip(rows) {
                let before = entry(state);
                let outcome = outbound(&before, kind);
                let expected = match after.strip_prefix("A ") {
                    Some(after) => approved(after),
                    None => entry(after),
                };
                assert_eq!(outcome.entry, expected, "{kind:?} in {state}");
                assert_eq!(outcome.route, route, "{kind:?} in {state}");
                assert_eq!(outcome.changed, expected != before, "{kind:?} in {state}");
                assert_eq!(outcome.push, expected.item != before.item, "{kind:?} in {state}");
                assert_eq!(outcome.contact_sees, sees(&before, &expected), "{kind:?} in {state}");
            }
        }
    }

    #[test]
    fn inbound_presence_follows_appendix_a_3() {
        let tables: [(PresenceType, [(bool, &str); 9]); 4] = [
            // Appendix A.3.1.
            (
                PresenceType::Subscribe,
                [
                    (true, "N+I"),
                    (true, "N+OI"),
                    (false, "N+I"),
                    (false, "N+OI"),
                    (true, "T+I"),
                    (false, "T+I"),
                    (false, "F"),
                    (false, "F+O"),
                    (false, "B"),
                ],
            ),
            // Appendix A.3.2.
            (
                PresenceType::Unsubscribe,
                [
                    (false, "N"),
                    (false, "N+O"),
                    (true, "N"),
                    (true, "N+O"),
                    (false, "T"),
                    (true, "T"),
                    (true, "N"),
                    (true, "N+O"),
                    (true, "T"),
                ],
            ),
            // Appendix A.3.3.
            (
                PresenceType::Subscribed,
                [
                    (false, "N"),
                    (true, "T"),
                    (false, "N+I"),
                    (true, "T+I"),
                    (false, "T"),
                    (false, "T+I"),
                    (false, "F"),
                    (true, "B"),
                    (false, "B"),
                ],
            ),
            // Appendix A.3.4.
            (
                PresenceType::Unsubscribed,
                [
                    (false, "N"),
                    (true, "N"),
                    (false, "N+I"),
                    (true, "N+I"),
                    (true, "N"),
                    (true, "N+I"),
                    (false, "F"),
                    (true, "F"),
                    (true, "F"),
                ],
            ),
        ];
        for (kind, rows) in tables {
            for (state, (deliver, after)) in STATES.into_iter().zip(rows) {
                let (before, expected) = (entry(state), entry(after));
                let outcome = inbound(&before, kind, waiting);
                assert_eq!(outcome.entry, expected, "{kind:?} in {state}");
                assert_eq!(outcome.deliver, deliver, "{kind:?} in {state}");
                assert_eq!(outcome.changed, expected != before, "{kind:?} in {state}");
                assert_eq!(outcome.push, expected.item != before.item, "{kind:?} in {state}");
                // A.3.1, note 2: answered at once where the contact already sees the account.
                let granted = kind == PresenceType::Subscribe && before.subscription().seen_by_contact();
                assert_eq!(outcome.auto_reply, granted.then_some(PresenceType::Subscribed), "{kind:?} in {state}");
                let seen = if granted { ContactSees::FromNow } else { sees(&before, &expected) };
                assert_eq!(outcome.contact_sees, seen, "{kind:?} in {state}");
            }
        }
    }

    fn sees(before: &Entry, after: &Entry) -> ContactSees {
        match (before.subscription().seen_by_contact(), after.subscription().seen_by_contact()) {
            (false, true) => ContactSees::FromNow,
            (true, false) => ContactSees::NoMore,
            _ => ContactSees::AsBefore,
        }
    }

    #[test]
    fn a_pre_approved_request_is_granted_without_the_user() {
        for (before, after) in [("N", "F"), ("N+O", "F+O"), ("T", "B")] {
            let outcome = inbound(&approved(before), PresenceType::Subscribe, forbidden);
            assert_eq!(outcome.entry, approved(after));
            assert!(outcome.changed && outcome.push && !outcome.deliver);
            assert_eq!(outcome.auto_reply, Some(PresenceType::Subscribed));
            assert_eq!(outcome.contact_sees, ContactSees::FromNow);
        }
    }

    #[test]
    fn a_pre_approval_is_cancelled_by_unsubscribed() {
        for state in ["N", "N+O", "T"] {
            let outcome = outbound(&approved(state), PresenceType::Unsubscribed);
            assert_eq!(outcome.entry, entry(state));
            assert!(outcome.push && !outcome.route);
        }
        for (before, after) in [("F", "N"), ("B", "T"), ("N+I", "N")] {
            assert_eq!(outbound(&approved(before), PresenceType::Unsubscribed).entry, entry(after));
        }
    }

    #[test]
    fn a_stranger_enters_the_roster_by_asking_granting_or_pre_approving_and_only_so() {
        let nothing = Entry::default();
        let asked = outbound(&nothing, PresenceType::Subscribe);
        assert_eq!(asked.entry.item, Some(Item { ask: true, ..Item::default() }));
        let approval = outbound(&nothing, PresenceType::Subscribed);
        assert_eq!(approval.entry.item, Some(Item { approved: true, ..Item::default() }));
        let request = inbound(&nothing, PresenceType::Subscribe, waiting);
        assert_eq!(request.entry, Entry { item: None, request: Some(waiting()) });
        assert!(request.changed && !request.push && request.deliver);
        let granted = outbound(&request.entry, PresenceType::Subscribed);
        assert_eq!(granted.entry.item, Some(Item { subscription: Subscription::From, ..Item::default() }));
        let refused = outbound(&request.entry, PresenceType::Unsubscribed);
        assert!(refused.entry.is_empty() && refused.route && !refused.push);
        for kind in [PresenceType::Unsubscribe, PresenceType::Unsubscribed] {
            assert!(outbound(&nothing, kind).entry.is_empty());
            assert!(inbound(&nothing, kind, forbidden).entry.is_empty());
        }
    }

    #[test]
    fn other_presence_changes_nothing() {
        for kind in [PresenceType::Available, PresenceType::Unavailable, PresenceType::Probe, PresenceType::Error] {
            for state in STATES {
                assert!(!outbound(&entry(state), kind).changed);
                assert!(!inbound(&entry(state), kind, forbidden).changed);
            }
        }
    }

    #[test]
    fn a_removed_item_says_the_goodbyes_it_owes() {
        for (state, unsubscribe, unsubscribed) in [
            ("N", false, false),
            ("N+O", true, false),
            ("N+I", false, true),
            ("N+OI", true, true),
            ("T", true, false),
            ("T+I", true, true),
            ("F", false, true),
            ("F+O", true, true),
            ("B", true, true),
        ] {
            assert_eq!(remove(&entry(state)), Removal { unsubscribe, unsubscribed }, "{state}");
        }
    }
}
