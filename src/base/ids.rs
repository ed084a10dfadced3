//! Ids of operations and exchanges. They count up from 1.

/// An operation that a command started. It settles exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u32);

/// An HTTP exchange that a machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u32);

/// A counter for ids.
#[derive(Clone, Debug, Default)]
pub struct Counter(u32);

impl Counter {
    /// A counter that continues after `last`.
    pub const fn after(last: u32) -> Self {
        Self(last)
    }

    /// The next number, never 0. After 2^32 - 1 it continues with 1.
    pub const fn advance(&mut self) -> u32 {
        self.0 = match self.0.checked_add(1) {
            Some(next) => next,
            None => 1,
        };
        self.0
    }
}
