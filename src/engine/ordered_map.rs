//! A small ordered map.
//!
//! The compiler generates the map of the standard library once for every pair of types, at 3 to 6 KB of
//! WebAssembly each. Of this one it generates little, because the keys are all of one type, and their order is apart from
//! the values. Inserting the largest key and removing the smallest take constant time, which is the usual case for ids that
//! count up. In the middle, keys are moved, and no value.

use crate::base::ids::{ExchangeId, OpId};
use core::marker::PhantomData;

/// A key: a number.
pub trait Key: Copy {
    /// The number.
    fn number(self) -> u32;
    /// The key with this number.
    fn of(number: u32) -> Self;
}

impl Key for u32 {
    fn number(self) -> u32 {
        self
    }
    fn of(number: u32) -> Self {
        number
    }
}

/// Makes a key of a type that has a number and nothing else.
macro_rules! key {
    ($name:ident) => {
        impl $crate::engine::ordered_map::Key for $name {
            fn number(self) -> u32 {
                self.0
            }
            fn of(number: u32) -> Self {
                Self(number)
            }
        }
    };
}
pub(crate) use key;

key!(OpId);
key!(ExchangeId);

/// Values in the order of their keys. `OrderedMap<K>` is a set.
#[derive(Clone, Debug)]
pub struct OrderedMap<K, V = ()> {
    places: Places,
    /// By their places.
    values: Vec<Option<V>>,
    keys: PhantomData<K>,
}

/// The keys in their order, each with the place of its value.
#[derive(Clone, Debug)]
struct Places {
    /// The key in the upper half, the place in the lower. From `start` on; what is before it was removed. One list
    /// without a second part, as a ring buffer has it, halves the code of each loop.
    sorted: Vec<u64>,
    start: usize,
    /// Places without a value.
    free: Vec<u32>,
}

impl Places {
    fn entries(&self) -> &[u64] {
        self.sorted.get(self.start..).unwrap_or_default()
    }

    /// Where the entry of a key is, or where it would be.
    fn search(&self, key: u32) -> Result<usize, usize> {
        // A key that counts up goes to the end, without a search.
        let entries = self.entries();
        match entries.last() {
            Some(last) if key_of(*last) < key => Err(entries.len()),
            _ => entries.binary_search_by(|entry| key_of(*entry).cmp(&key)),
        }
    }

    fn get(&self, key: u32) -> Option<usize> {
        let index = self.search(key).ok()?;
        self.entries().get(index).map(|entry| place_of(*entry))
    }

    /// The place for a key. `used`: how many places there are.
    fn insert(&mut self, key: u32, used: usize) -> usize {
        match self.search(key) {
            Ok(index) => self.entries().get(index).map_or(used, |entry| place_of(*entry)),
            Err(index) => {
                let place = self.free.pop().unwrap_or(used as u32);
                self.sorted.insert(self.start + index, u64::from(key) << 32 | u64::from(place));
                place as usize
            }
        }
    }

    fn remove(&mut self, key: u32) -> Option<usize> {
        let index = self.search(key).ok()?;
        let place = self.entries().get(index).map(|entry| place_of(*entry))?;
        self.free.push(place as u32);
        if index > 0 {
            self.sorted.remove(self.start + index);
            return Some(place);
        }
        self.start += 1;
        // The rest is moved after as many removals as it has entries.
        if self.start * 2 >= self.sorted.len() {
            self.sorted.drain(..self.start);
            self.start = 0;
        }
        Some(place)
    }
}

fn key_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

fn place_of(entry: u64) -> usize {
    entry as u32 as usize
}

impl<K: Key, V> OrderedMap<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        let places = Places { sorted: Vec::new(), start: 0, free: Vec::new() };
        Self { places, values: Vec::new(), keys: PhantomData }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.places.entries().len()
    }

    /// Whether the map is empty.
    pub fn is_empty(&self) -> bool {
        self.places.entries().is_empty()
    }

    /// Whether the map has an entry for `key`.
    pub fn contains(&self, key: K) -> bool {
        self.places.search(key.number()).is_ok()
    }

    /// The value of `key`.
    pub fn get(&self, key: K) -> Option<&V> {
        self.values.get(self.places.get(key.number())?)?.as_ref()
    }

    /// The value of `key`, for changes.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.values.get_mut(self.places.get(key.number())?)?.as_mut()
    }

    /// Inserts a value, or replaces the one that `key` has.
    pub fn insert(&mut self, key: K, value: V) {
        let place = self.places.insert(key.number(), self.values.len());
        match self.values.get_mut(place) {
            Some(entry) => *entry = Some(value),
            None => self.values.push(Some(value)),
        }
    }

    /// Removes the entry of `key` and returns its value.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let place = self.places.remove(key.number())?;
        let value = self.values.get_mut(place)?.take();
        if self.is_empty() {
            self.values.clear();
            self.places.free.clear();
        }
        value
    }

    /// The smallest key.
    pub fn first(&self) -> Option<K> {
        self.keys().next()
    }

    /// The smallest key that is not less than `key`.
    pub fn first_from(&self, key: K) -> Option<K> {
        let (Ok(index) | Err(index)) = self.places.search(key.number());
        self.places.entries().get(index).map(|entry| K::of(key_of(*entry)))
    }

    /// The entries in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        let value = |entry: u64| self.values.get(place_of(entry))?.as_ref();
        self.places.entries().iter().filter_map(move |entry| Some((K::of(key_of(*entry)), value(*entry)?)))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.places.entries().iter().map(|entry| K::of(key_of(*entry)))
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The values, in any order, for changes.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.values.iter_mut().filter_map(Option::as_mut)
    }
}

impl<K: Key> OrderedMap<K> {
    /// Adds a key.
    pub fn add(&mut self, key: K) {
        self.insert(key, ());
    }
}

impl<K: Key, V> Default for OrderedMap<K, V> {
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
            let key = rng.up_to(40) as u32;
            if rng.up_to(2) == 0 {
                assert_eq!(ours.remove(key), theirs.remove(&key));
            } else {
                ours.insert(key, step);
                theirs.insert(key, step);
            }
            assert_eq!((ours.get(key), ours.contains(key)), (theirs.get(&key), theirs.contains_key(&key)));
            assert_eq!(ours.first(), theirs.keys().next().copied());
            assert_eq!(ours.first_from(key), theirs.range(key..).next().map(|(key, _)| *key));
            assert!(ours.iter().eq(theirs.iter().map(|(key, value)| (*key, value))));
            assert!(ours.keys().eq(theirs.keys().copied()));
            assert!(ours.values().eq(theirs.values()));
            assert_eq!((ours.len(), ours.is_empty()), (theirs.len(), theirs.is_empty()));
        }
    }

    #[test]
    fn places_are_used_again() {
        let mut map = OrderedMap::new();
        for key in 0..1000_u32 {
            map.insert(key, key);
            assert_eq!(map.remove(key.wrapping_sub(2)), key.checked_sub(2));
        }
        assert!(map.values.len() <= 3 && map.places.free.len() <= 3 && map.places.sorted.len() <= 8);
        assert_eq!((998..1000).filter_map(|key| map.remove(key)).count(), 2);
        assert!(map.values.is_empty() && map.places.free.is_empty() && map.places.sorted.is_empty());
    }
}
