//! A map that strangers may fill: at its limit it forgets the entry that was inserted first.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A map of at most `entries_max` entries; inserting one more evicts the oldest.
#[derive(Debug)]
pub struct BoundedMap<K, V> {
    map: HashMap<K, (u64, V)>,
    order: VecDeque<(u64, K)>,
    entries_max: usize,
    next: u64,
}

impl<K: Hash + Eq + Clone, V> BoundedMap<K, V> {
    /// An empty map. A limit of 0 counts as 1.
    pub fn new(entries_max: usize) -> BoundedMap<K, V> {
        BoundedMap { map: HashMap::new(), order: VecDeque::new(), entries_max: entries_max.max(1), next: 0 }
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key).map(|(_, value)| value)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.map.get_mut(key).map(|(_, value)| value)
    }

    /// Sets a key's value; it counts as new. Gives back what had to go for it.
    pub fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        self.next += 1;
        self.map.insert(key.clone(), (self.next, value));
        self.order.push_back((self.next, key));
        self.compact();
        if self.map.len() > self.entries_max { self.pop_oldest() } else { None }
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.map.remove(key).map(|(_, value)| value)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.map.iter().map(|(key, (_, value))| (key, value))
    }

    /// Removes what `keep` says no to.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.map.retain(|key, (_, value)| keep(key, value));
    }

    fn pop_oldest(&mut self) -> Option<(K, V)> {
        while let Some((number, key)) = self.order.pop_front() {
            if self.map.get(&key).is_some_and(|(current, _)| *current == number) {
                return self.map.remove(&key).map(|(_, value)| (key, value));
            }
        }
        None
    }

    /// Entries that were replaced or removed leave their place in the order behind; it must not grow for ever.
    fn compact(&mut self) {
        if self.order.len() > 2 * self.entries_max.max(16) {
            let map = &self.map;
            self.order.retain(|(number, key)| map.get(key).is_some_and(|(current, _)| current == number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_an_update_makes_new() {
        let mut map = BoundedMap::new(2);
        assert_eq!(map.insert("a", 1), None);
        assert_eq!(map.insert("b", 2), None);
        assert_eq!(map.insert("a", 3), None);
        assert_eq!(map.insert("c", 4), Some(("b", 2)));
        assert_eq!((map.get(&"a"), map.get(&"c"), map.len()), (Some(&3), Some(&4), 2));
    }

    #[test]
    fn a_million_updates_hold_no_more_than_the_limit() {
        let mut map = BoundedMap::new(10);
        for n in 0..1_000_000u32 {
            map.insert(n % 7, n);
            map.remove(&(n % 3));
        }
        assert!(map.order.len() <= 33 && map.len() <= 10);
    }
}
