//! A queue that its owner empties before it waits: what was taken out keeps its place until the queue is empty.

/// The first in is the first out.
#[derive(Clone, Debug)]
pub struct Queue<T> {
    items: Vec<Option<T>>,
    /// How many were taken out.
    taken: usize,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { items: Vec::new(), taken: 0 }
    }

    /// Adds an item at the end.
    pub fn push(&mut self, item: T) {
        self.items.push(Some(item));
    }

    /// Takes the first item.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.items.get_mut(self.taken).and_then(Option::take);
        self.taken += 1;
        if self.taken >= self.items.len() {
            self.items.clear();
            self.taken = 0;
        }
        item
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_in_is_the_first_out_and_an_empty_queue_has_no_places() {
        let mut queue = Queue::new();
        assert_eq!(queue.pop(), None::<u32>);
        (0..3).for_each(|item| queue.push(item));
        assert_eq!((queue.pop(), queue.pop()), (Some(0), Some(1)));
        queue.push(3);
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(2), Some(3), None));
        assert!(queue.items.is_empty() && queue.taken == 0);
    }
}
