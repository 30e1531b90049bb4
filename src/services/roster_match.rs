//! Roster match: which of these hashed numbers have an account? Kontalk's address book lookup, asked at `probe@DOMAIN`.
//!
//! SHA-1 hashes of telephone numbers are as good as the numbers, so each account has a budget of lookups: a phone's address book
//! fits, crawling a country does not. Who was asked about within a day is asked about again for free: clients do that at each
//! sync. Unknown accounts and those that block the asker are left out alike, without an error.
//!
//! Limits: [`LOOKUPS_AT_ONCE`], [`LOOKUP_REFILL`], [`ITEMS_MAX`] a request, and the table of repeats.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::jid::{BareJid, Jid};
use crate::limits::{self, BoundedMap, Buckets};
use crate::stanza::{ErrorType, StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

/// The addresses of a request that are accounts of our domain; others are ignored, as clients expect.
///
/// Errors: `not-acceptable` for more than [`ITEMS_MAX`].
pub fn read(query: &Element, domain: &BareJid) -> Result<BTreeSet<BareJid>, StanzaError> {
    let items = query.children().filter(|child| child.is("item", ns::KONTALK_ROSTER));
    let mut addresses = BTreeSet::new();
    for (index, item) in items.enumerate() {
        if index >= ITEMS_MAX {
            return Err(StanzaError::new(StanzaCondition::NotAcceptable).text("too many addresses in one request"));
        }
        let address: Option<Jid> = item.attribute("jid").and_then(|jid| jid.parse().ok());
        let ours = |jid: &Jid| jid.domainpart() == domain.domainpart() && jid.localpart().is_some();
        addresses.extend(address.filter(ours).map(|jid| jid.bare().clone()));
    }
    Ok(addresses)
}

/// The answer: those that were found, padded. `domain`: our own.
pub fn result(found: impl IntoIterator<Item = BareJid>, domain: &BareJid) -> Element {
    let mut query = Element::new("query", ns::KONTALK_ROSTER);
    for address in found {
        query.push(Element::new("item", ns::KONTALK_ROSTER).with("jid", address.as_str()));
    }
    padded(query, domain)
}

/// A question or an answer that is as long as one with a whole multiple of [`PADDED_ITEMS`] of our own users: who sees the encrypted
/// stream, and its lengths, does not learn how many were asked about or found.
///
/// The padding is white space behind the last item. Invented items would be worse: Android's app takes each item of the answer for the
/// address of one of its contacts, and the nodes of the first generation believe each. Text between items is skipped by all of them, for
/// whoever indents his XML sends the same.
pub fn padded(mut query: Element, domain: &BareJid) -> Element {
    let length = query.to_text(ns::CLIENT).len();
    let item = "<item jid='@'/>".len() + LOCALPART_BYTES + domain.as_str().len();
    let block = item * PADDED_ITEMS;
    // What opens and closes the query does not count.
    let frame = "<query xmlns=''></query>".len() + ns::KONTALK_ROSTER.len();
    let whole = length.saturating_sub(frame).div_ceil(block).max(1) * block + frame;
    query.push_text(&" ".repeat(whole.saturating_sub(length.max(frame))));
    query
}

/// How often accounts may ask about others whom they do not know.
#[derive(Debug)]
pub struct LookupBudget {
    buckets: Buckets<BareJid>,
    /// When an asker asked about somebody last.
    asked: BoundedMap<(BareJid, BareJid), Instant>,
}

impl Default for LookupBudget {
    fn default() -> LookupBudget {
        LookupBudget::new(LOOKUPS_AT_ONCE, LOOKUP_REFILL)
    }
}

impl LookupBudget {
    /// For other nodes, which ask for all of their users.
    pub fn of_nodes() -> LookupBudget {
        LookupBudget::new(NODE_LOOKUPS_AT_ONCE, NODE_LOOKUP_REFILL)
    }

    fn new(at_once: u32, refill: Duration) -> LookupBudget {
        LookupBudget {
            buckets: Buckets::new(limits::THROTTLE_ENTRIES_MAX, at_once, refill),
            asked: BoundedMap::new(REPEATS_MAX),
        }
    }

    /// Charges an account for lookups. Those of the last day are free.
    ///
    /// Errors: `resource-constraint`, type wait, when the budget is used up; what could be paid was.
    pub fn charge<'a>(
        &mut self,
        now: Instant,
        asker: &BareJid,
        targets: impl IntoIterator<Item = &'a BareJid>,
    ) -> Result<(), StanzaError> {
        for target in targets {
            let key = (asker.clone(), target.clone());
            let repeated = |asked: &Instant| now.saturating_duration_since(*asked) < REPEAT_FREE;
            if target == asker || self.asked.get(&key).is_some_and(repeated) {
                continue;
            }
            self.buckets.take(now, asker).map_err(|wait| {
                let text = format!("too many lookups; the next is possible in {} minutes", wait.as_secs() / 60 + 1);
                StanzaError::new(StanzaCondition::ResourceConstraint).of_type(ErrorType::Wait).text(text)
            })?;
            self.asked.insert(key, now);
        }
        Ok(())
    }
}

/// What is asked about or found is as long as a whole multiple of so many.
pub const PADDED_ITEMS: usize = 64;
/// A SHA-1 hash in hexadecimal.
const LOCALPART_BYTES: usize = 40;
/// Addresses in one request; Kontalk for Android sends at most 500.
const ITEMS_MAX: usize = 1000;
/// An address book of two thousand fits.
const LOOKUPS_AT_ONCE: u32 = 2000;
/// And two hundred more a day.
const LOOKUP_REFILL: Duration = Duration::from_secs(24 * 3600 / 200);
/// A node's users together: some address books at once,
const NODE_LOOKUPS_AT_ONCE: u32 = 5000;
/// and a lookup every four seconds, as a hundred users of it may have.
const NODE_LOOKUP_REFILL: Duration = Duration::from_secs(24 * 3600 / (200 * 100));
/// Asking again about the same is free for so long.
const REPEAT_FREE: Duration = Duration::from_secs(24 * 3600);
/// Remembered pairs: 50,000 × about 150 bytes at the worst. One forgotten costs its asker a lookup.
const REPEATS_MAX: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_document;

    fn account(number: u32) -> BareJid {
        format!("{number:040x}@a.example").parse().unwrap()
    }

    #[test]
    fn only_accounts_of_our_domain_are_looked_up() {
        let query = parse_document(
            "<query xmlns='http://kontalk.org/extensions/roster'><item jid='a@a.example'/><item jid='b@b.example'/>\
             <item jid='a.example'/><item jid='@'/><item/><item jid='A@a.example/phone'/></query>",
            ns::CLIENT,
            5,
        );
        let read = read(&query.unwrap(), &"a.example".parse().unwrap()).unwrap();
        assert_eq!(read.iter().map(BareJid::as_str).collect::<Vec<_>>(), ["a@a.example"]);
    }

    #[test]
    fn an_answer_does_not_tell_by_its_length_how_many_were_found() {
        let domain: BareJid = "a.example".parse().unwrap();
        let block = PADDED_ITEMS * "<item jid='0000000000000000000000000000000000000000@a.example'/>".len();
        let elsewhere = |number: u32| format!("{number:040x}@far.away.example").parse().unwrap();
        let length = |found: Vec<BareJid>| {
            let (count, answer) = (found.len(), result(found, &domain));
            // Clients see the items and nothing else.
            assert_eq!(answer.children().filter(|child| child.is("item", ns::KONTALK_ROSTER)).count(), count);
            assert_eq!(answer.children().count(), count);
            assert_eq!(answer.text().trim(), "");
            answer.to_text(ns::CLIENT).len()
        };
        let least = length(Vec::new());
        for (count, blocks) in [(0, 1), (1, 1), (63, 1), (64, 1), (65, 2), (128, 2), (500, 8), (1000, 16)] {
            assert_eq!(length((0..count).map(account).collect()), least + (blocks - 1) * block, "{count}");
        }
        for count in [1, 20, 50, 500] {
            assert_eq!((length((0..count).map(elsewhere).collect()) - least) % block, 0, "{count}");
        }
    }

    #[test]
    fn an_address_book_fits_and_a_crawl_does_not() {
        let (mut budget, start) = (LookupBudget::default(), Instant::now());
        let asker = account(0);
        let book: Vec<BareJid> = (1..=2000).map(account).collect();
        assert!(budget.charge(start, &asker, &book).is_ok());
        // The same again and again, as clients do.
        for hour in 0..23 {
            assert!(budget.charge(start + Duration::from_secs(hour * 3600), &asker, &book).is_ok());
        }
        let refused = budget.charge(start + Duration::from_secs(60), &asker, [&account(5000)]).unwrap_err();
        assert_eq!((refused.condition(), refused.error_type()), (StanzaCondition::ResourceConstraint, ErrorType::Wait));
        assert!(budget.charge(start, &account(1), [&account(5000)]).is_ok(), "others have budgets of their own");
        let later = start + Duration::from_secs(25 * 3600);
        let paid = (6000..7000).take_while(|n| budget.charge(later, &asker, [&account(*n)]).is_ok()).count();
        assert!((200..=210).contains(&paid), "{paid} more on the next day");
    }
}
