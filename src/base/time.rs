//! Monotonic time in milliseconds. The owner of a machine reads the clock.

/// A duration in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

/// A point on the owner's monotonic clock. Only differences have a meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The moment `millis` after the zero of the clock.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the zero of the clock.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment `delay` later; saturates at the largest value.
    #[must_use]
    pub const fn after(self, delay: Millis) -> Self {
        Self(self.0.saturating_add(delay.0))
    }
}

/// When a machine must be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// At this moment, unless another input comes before.
    At(Moment),
    /// Not before the next input.
    Never,
}
