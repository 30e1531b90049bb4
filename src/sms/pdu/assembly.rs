//! Puts the parts of longer messages together: 3GPP TS 23.040 §9.2.3.24.1.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::{Address, Deliver, Hidden, Part};

/// Messages of which some parts are missing. Parts come in any order, twice, or never.
#[derive(Debug, Default)]
pub struct Reassembly {
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    from: Address,
    reference: u16,
    total: u8,
    begun: Instant,
    parts: BTreeMap<u8, Hidden>,
}

impl Reassembly {
    /// Nothing waits.
    pub fn new() -> Reassembly {
        Reassembly::default()
    }

    /// Takes a message or a part: returns the whole text once it is there.
    pub fn take(&mut self, now: Instant, message: &Deliver) -> Option<Hidden> {
        self.waiting.retain(|waiting| now.saturating_duration_since(waiting.begun) < PART_PATIENCE);
        let Some(part) = message.part.filter(|part| part.total > 1) else { return Some(message.text.clone()) };
        let position = self.waiting.iter().position(|waiting| waiting.is_of(&message.from, part));
        let position = position.unwrap_or_else(|| self.begin(now, &message.from, part));
        let waiting = self.waiting.get_mut(position)?;
        waiting.parts.entry(part.number).or_insert_with(|| message.text.clone());
        if waiting.parts.len() < usize::from(waiting.total) {
            return None;
        }
        let whole = self.waiting.remove(position);
        let length = whole.parts.values().map(|part| part.as_str().len()).sum();
        let mut text = Zeroizing::new(String::with_capacity(length));
        whole.parts.values().for_each(|part| text.push_str(part.as_str()));
        Some(Hidden::new(text.as_str()))
    }

    /// Messages that miss a part.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Is none waiting?
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn begin(&mut self, now: Instant, from: &Address, part: Part) -> usize {
        if self.waiting.len() >= INCOMPLETE_MAX {
            // The oldest has had the best chance.
            self.waiting.remove(0);
        }
        let (reference, total) = (part.reference, part.total);
        self.waiting.push(Waiting { from: from.clone(), reference, total, begun: now, parts: BTreeMap::new() });
        self.waiting.len() - 1
    }
}

impl Waiting {
    fn is_of(&self, from: &Address, part: Part) -> bool {
        self.from == *from && self.reference == part.reference && self.total == part.total
    }
}

/// How long a message waits for its other parts.
const PART_PATIENCE: Duration = Duration::from_secs(600);
/// Incomplete messages at once, of up to 255 parts and 160 characters each: whoever sends so much pays for it.
const INCOMPLETE_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn part(from: &str, reference: u16, total: u8, number: u8, text: &str) -> Deliver {
        let from = Address::parse(from).unwrap();
        let part = Some(Part { reference, total, number });
        Deliver { centre: None, from, text: Hidden::new(text), part, sent: None }
    }

    #[test]
    fn parts_come_in_any_order_and_twice() {
        let now = Instant::now();
        let mut reassembly = Reassembly::new();
        for (number, text) in [(3, "three"), (1, "one "), (3, "three"), (1, "other")] {
            assert_eq!(reassembly.take(now, &part("+491701", 7, 3, number, text)), None);
        }
        // The same reference from somebody else is another message.
        assert_eq!(reassembly.take(now, &part("+491702", 7, 3, 2, "two ")), None);
        let whole = reassembly.take(now, &part("+491701", 7, 3, 2, "two "));
        assert_eq!(whole.unwrap().as_str(), "one two three");
        assert_eq!(reassembly.len(), 1);
    }

    #[test]
    fn incomplete_messages_are_dropped_after_ten_minutes_and_bounded_in_number() {
        let now = Instant::now();
        let mut reassembly = Reassembly::new();
        assert_eq!(reassembly.take(now, &part("+491701", 7, 2, 1, "one ")), None);
        let later = now + Duration::from_secs(600);
        assert_eq!(reassembly.take(later, &part("+491701", 7, 2, 2, "two")), None);
        for reference in 0..1000 {
            assert_eq!(reassembly.take(later, &part("+491701", reference, 9, 1, "x")), None);
        }
        assert_eq!(reassembly.len(), INCOMPLETE_MAX);
        let mut single = part("+491701", 7, 1, 1, "whole");
        assert_eq!(reassembly.take(later, &single).unwrap().as_str(), "whole");
        single.part = None;
        assert_eq!(reassembly.take(later, &single).unwrap().as_str(), "whole");
    }
}
