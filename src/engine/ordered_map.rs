//! A small ordered map.
//!
//! The compiler generates the map of the standard library once for every pair of types, at 3 to 6 KB of
//! WebAssembly each; this one costs a tenth of that. Inserting the largest key and removing the smallest take
//! constant time, which is the usual case for ids that count up. In the middle, the shorter side is moved.

use std::collections::VecDeque;

/// Values in the order of their keys. `OrderedMap<K>` is a set.
#[derive(Clone, Debug)]
pub struct OrderedMap<K, V = ()>(VecDeque<(K, V)>);

impl<K: Ord + Copy, V> OrderedMap<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the map is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the map has an entry for `key`.
    pub fn contains(&self, key: K) -> bool {
        self.search(key).is_ok()
    }

    /// The value of `key`.
    pub fn get(&self, key: K) -> Option<&V> {
        self.0.get(self.search(key).ok()?).map(|(_, value)| value)
    }

    /// The value of `key`, for changes.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let index = self.search(key).ok()?;
        self.0.get_mut(index).map(|(_, value)| value)
    }

    /// Inserts a value, or replaces the one that `key` has.
    pub fn insert(&mut self, key: K, value: V) {
        match self.search(key) {
            Ok(index) => {
                if let Some(entry) = self.0.get_mut(index) {
                    entry.1 = value;
                }
            }
            Err(index) => self.0.insert(index, (key, value)),
        }
    }

    /// Removes the entry of `key` and returns its value.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let index = self.search(key).ok()?;
        self.0.remove(index).map(|(_, value)| value)
    }

    /// The entry with the smallest key.
    pub fn first(&self) -> Option<(K, &V)> {
        self.0.front().map(|(key, value)| (*key, value))
    }

    /// The smallest key that is not less than `key`.
    pub fn first_from(&self, key: K) -> Option<K> {
        let (Ok(index) | Err(index)) = self.search(key);
        self.0.get(index).map(|(key, _)| *key)
    }

    /// The entries in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.0.iter().map(|(key, _)| *key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values in the order of their keys, for changes.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Removes all entries and returns them in order.
    pub fn take(&mut self) -> VecDeque<(K, V)> {
        core::mem::take(&mut self.0)
    }

    fn search(&self, key: K) -> Result<usize, usize> {
        // A key that counts up goes to the end, without a search.
        match self.0.back() {
            Some((last, _)) if *last < key => Err(self.0.len()),
            _ => self.0.binary_search_by(|(other, _)| other.cmp(&key)),
        }
    }
}

impl<K: Ord + Copy> OrderedMap<K> {
    /// Adds a key. False if the set has it already.
    pub fn add(&mut self, key: K) -> bool {
        let is_new = !self.contains(key);
        if is_new {
            self.insert(key, ());
        }
        is_new
    }
}

impl<K: Ord + Copy, V> Default for OrderedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::jitter::Rng;

    #[test]
    fn behaves_like_the_map_of_the_standard_library() {
        let mut rng = Rng::new(1);
        let (mut ours, mut theirs) = (OrderedMap::new(), BTreeMap::new());
        for step in 0..20_000 {
            let key = rng.up_to(40);
            if rng.up_to(2) == 0 {
                assert_eq!(ours.remove(key), theirs.remove(&key));
            } else {
                ours.insert(key, step);
                theirs.insert(key, step);
            }
            assert_eq!(ours.get(key), theirs.get(&key));
            assert_eq!(ours.first().map(|(key, _)| key), theirs.keys().next().copied());
            assert_eq!(ours.first_from(key), theirs.range(key..).next().map(|(key, _)| *key));
            assert!(ours.iter().eq(theirs.iter().map(|(key, value)| (*key, value))));
        }
    }
}
