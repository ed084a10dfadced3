//! The credit of an inbox: how many items the owner has not taken yet, and whether more may be read.

/// Counts the items that were delivered and not taken. Full at `limit`; has capacity again at half of it, so
/// that reading does not stop and start with every item.
#[derive(Clone, Copy, Debug)]
pub struct Inbox {
    limit: usize,
    size: usize,
    is_full: bool,
}

impl Inbox {
    /// An empty inbox that is full with `limit` items.
    pub const fn new(limit: usize) -> Self {
        Self { limit, size: 0, is_full: false }
    }

    /// Items were delivered. They are never refused, because they cannot be sent back.
    pub const fn add(&mut self, count: usize) {
        self.size = self.size.saturating_add(count);
        self.is_full |= self.size >= self.limit;
    }

    /// The owner has taken items, or has dropped them.
    pub const fn take(&mut self, count: usize) {
        self.size = self.size.saturating_sub(count);
        self.is_full &= self.size > self.limit / 2;
    }

    /// How many items must be taken before the owner reads on; 0 if it may read.
    pub const fn excess(&self) -> usize {
        if self.is_full { self.size - self.limit / 2 } else { 0 }
    }

    /// Whether the owner should read no more.
    pub const fn is_full(&self) -> bool {
        self.is_full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_full_at_the_limit_until_half_of_it_is_free() {
        let mut inbox = Inbox::new(4);
        inbox.add(3);
        assert!(!inbox.is_full());
        inbox.add(9);
        assert!(inbox.is_full());
        assert_eq!(inbox.excess(), 10);
        inbox.take(9);
        assert!(inbox.is_full());
        inbox.take(1);
        assert!(!inbox.is_full());
        assert_eq!(inbox.excess(), 0);
        inbox.take(100);
        inbox.add(3);
        assert!(!inbox.is_full());
    }

    #[test]
    fn an_inbox_of_one_item_is_full_until_that_is_taken() {
        let mut inbox = Inbox::new(1);
        inbox.add(1);
        assert!(inbox.is_full());
        inbox.take(1);
        assert!(!inbox.is_full());
    }
}
