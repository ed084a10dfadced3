//! The counters. Every accepted event is delivered, dead, purged or pending, so they always balance.

/// Counts since the outbox was opened. Events found in the store count as accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Written, or accepted by the server before they were written.
    pub accepted: u64,
    /// Accepted by the server.
    pub delivered: u64,
    /// Kept as dead letters.
    pub dead: u64,
    /// Deleted on request.
    pub purged: u64,
    /// Requests.
    pub attempts: u64,
    /// Refused, because they did not fit.
    pub refused: u64,
    /// Staged events that were dropped for newer ones.
    pub dropped_oldest: u64,
    /// Dropped when published, because they did not fit.
    pub dropped_newest: u64,
}

impl Counters {
    /// Accepted events that are neither delivered, dead nor purged.
    pub const fn pending(&self) -> u64 {
        self.accepted.saturating_sub(self.delivered + self.dead + self.purged)
    }
}
