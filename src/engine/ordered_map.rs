//! A map for not too many things, in the order of their keys.
//!
//! The map of the standard library is written anew into the module for every pair of types, at 3 to 6 KB each. This one costs a tenth of
//! that. What comes last and what goes first takes constant time, which is the rule for everything that is numbered as it comes; in the
//! middle the shorter side is moved.

use std::collections::VecDeque;

/// Values by key. A set is a map to nothing.
#[derive(Clone, Debug)]
pub struct OrderedMap<K, V = ()>(VecDeque<(K, V)>);

impl<K: Ord + Copy, V> OrderedMap<K, V> {
    /// Nothing.
    pub const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is one with that key.
    pub fn contains(&self, key: K) -> bool {
        self.place(key).is_ok()
    }

    /// The value of a key.
    pub fn get(&self, key: K) -> Option<&V> {
        self.0.get(self.place(key).ok()?).map(|(_, value)| value)
    }

    /// The value of a key.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let place = self.place(key).ok()?;
        self.0.get_mut(place).map(|(_, value)| value)
    }

    /// Puts a value, in place of the one that is there.
    pub fn insert(&mut self, key: K, value: V) {
        match self.place(key) {
            Ok(place) => {
                if let Some(there) = self.0.get_mut(place) {
                    there.1 = value;
                }
            }
            Err(place) => self.0.insert(place, (key, value)),
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let place = self.place(key).ok()?;
        self.0.remove(place).map(|(_, value)| value)
    }

    /// The smallest key, and its value.
    pub fn first(&self) -> Option<(K, &V)> {
        self.0.front().map(|(key, value)| (*key, value))
    }

    /// The smallest key that is not less than this one.
    pub fn first_from(&self, key: K) -> Option<K> {
        let (Ok(place) | Err(place)) = self.place(key);
        self.0.get(place).map(|(key, _)| *key)
    }

    /// All, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    /// All keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.0.iter().map(|(key, _)| *key)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// All values, in the order of their keys.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Takes everything out.
    pub fn take(&mut self) -> VecDeque<(K, V)> {
        core::mem::take(&mut self.0)
    }

    fn place(&self, key: K) -> Result<usize, usize> {
        // Numbers that count up go to the end.
        match self.0.back() {
            Some((last, _)) if *last < key => Err(self.0.len()),
            _ => self.0.binary_search_by(|(other, _)| other.cmp(&key)),
        }
    }
}

impl<K: Ord + Copy> OrderedMap<K> {
    /// Adds a key. False if it was there.
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
    fn does_what_the_map_of_the_standard_library_does() {
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
