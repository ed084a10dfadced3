//! The counters. What comes in goes out by one of four doors, so they always balance.

/// How many events went which way since the outbox was opened; those found in the store count as accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Written, or taken by the server before they were.
    pub accepted: u64,
    /// Taken by the server.
    pub delivered: u64,
    /// Kept as dead letters.
    pub dead: u64,
    /// Deleted on request.
    pub purged: u64,
    /// Requests that carried events.
    pub attempts: u64,
    /// Refused, because there was no room.
    pub refused: u64,
    /// Staged events that made room for newer ones.
    pub dropped_oldest: u64,
    /// Dropped at once, because there was no room.
    pub dropped_newest: u64,
}

impl Counters {
    /// Accepted and neither delivered, dead nor purged.
    pub const fn pending(&self) -> u64 {
        self.accepted.saturating_sub(self.delivered + self.dead + self.purged)
    }
}
