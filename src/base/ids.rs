//! Names for things that are alive between two calls. All are counters that start at 1 and never repeat.

/// One operation that a command started; it settles exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u32);

/// One HTTP exchange that a machine asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u32);

/// A name under which a machine loads and saves something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub String);

/// Hands out the next number.
#[derive(Clone, Debug, Default)]
pub struct Counter(u32);

impl Counter {
    /// The next number, never 0. After 2^32 - 1 numbers it starts again at 1.
    pub const fn advance(&mut self) -> u32 {
        self.0 = match self.0.checked_add(1) {
            Some(next) => next,
            None => 1,
        };
        self.0
    }
}
