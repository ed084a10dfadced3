//! Timers by key.

use crate::base::time::{Deadline, Moment};

/// At most one timer for each key.
#[derive(Clone, Debug)]
pub struct Timers<K> {
    /// The earliest is the last.
    sorted: Vec<(Moment, K)>,
}

impl<K: Ord + Copy> Timers<K> {
    /// No timers.
    pub const fn new() -> Self {
        Self { sorted: Vec::new() }
    }

    /// Sets or moves the timer of `key`.
    pub fn set(&mut self, key: K, at: Moment) {
        self.clear(key);
        let index = self.sorted.partition_point(|other| *other > (at, key));
        self.sorted.insert(index, (at, key));
    }

    /// Sets the timer of `key` unless it is set already.
    pub fn set_unless_running(&mut self, key: K, at: Moment) {
        if self.due(key).is_none() {
            self.set(key, at);
        }
    }

    /// When the timer of `key` is due, if it is set.
    pub fn due(&self, key: K) -> Option<Moment> {
        self.sorted.iter().find(|(_, other)| *other == key).map(|(at, _)| *at)
    }

    /// Removes the timer of `key`.
    pub fn clear(&mut self, key: K) {
        if let Some(index) = self.sorted.iter().position(|(_, other)| *other == key) {
            self.sorted.remove(index);
        }
    }

    /// Removes the earliest timer that is due and returns its key.
    pub fn pop_due(&mut self, now: Moment) -> Option<K> {
        self.sorted.pop_if(|(at, _)| *at <= now).map(|(_, key)| key)
    }

    /// When the earliest timer is due.
    pub fn next_deadline(&self) -> Deadline {
        self.sorted.last().map_or(Deadline::Never, |(at, _)| Deadline::At(*at))
    }
}

impl<K: Ord + Copy> Default for Timers<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_once_and_in_order() {
        let at = Moment::from_millis;
        let mut timers = Timers::new();
        timers.set('b', at(20));
        timers.set('a', at(30));
        timers.set('b', at(10));
        timers.set('c', at(10));
        timers.clear('c');
        assert_eq!(timers.next_deadline(), Deadline::At(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(40)), Some('b'));
        assert_eq!(timers.pop_due(at(40)), Some('a'));
        assert_eq!(timers.pop_due(at(40)), None);
        assert_eq!(timers.next_deadline(), Deadline::Never);
    }
}
