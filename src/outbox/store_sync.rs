//! What is known of the store: whether it is open, what it has that is not known here, and when to read it.
//!
//! ```text
//!   committed here ──written, and the window is full──> evicted ──found by a peek──> known again
//!   stored earlier ──counted──> unseen ───────────────────────────found by a peek──> known
//! ```

use super::effect::StoreCounts;
use super::segment::SegmentId;
use crate::base::time::{Millis, Moment};
use crate::engine::ordered_map::OrderedMap;

/// The delay after a failed peek.
const PEEK_RETRY_DELAY: Millis = Millis(1000);

/// A number of events, and their bytes.
pub(super) type Amount = (u64, u64);

/// What is known of the store.
#[derive(Clone, Debug)]
pub(super) struct StoreSync {
    is_open: bool,
    /// Segments that were committed here and are only in the store, with their pending events.
    evicted: OrderedMap<SegmentId, Amount>,
    /// What the store had when it was opened and that was not found yet.
    unseen: Amount,
    /// The store may have segments that are not known here.
    has_unknown: bool,
    /// Not all segments were found since this outbox leads: the store may have older events of every ordering
    /// key.
    is_unscanned: bool,
    /// Counts the changes that set `has_unknown`.
    version: u32,
    /// The `version` for which a peek runs.
    peeking: Option<u32>,
    peek_not_before: Moment,
}

impl StoreSync {
    pub(super) fn new() -> Self {
        Self {
            is_open: false,
            evicted: OrderedMap::new(),
            unseen: (0, 0),
            has_unknown: false,
            is_unscanned: true,
            version: 0,
            peeking: None,
            peek_not_before: Moment::default(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) fn open(&mut self) {
        self.is_open = true;
    }

    pub(super) fn has_unknown(&self) -> bool {
        self.has_unknown
    }

    pub(super) fn is_unscanned(&self) -> bool {
        self.is_unscanned
    }

    /// The store may have to be scanned for older events again, because another outbox leads.
    pub(super) fn unscan(&mut self) {
        self.is_unscanned = true;
    }

    /// The store may have segments that are not known here.
    pub(super) fn note_change(&mut self) {
        self.has_unknown = true;
        self.version = self.version.wrapping_add(1);
    }

    /// The store has contents that were counted and not found yet.
    pub(super) fn expect(&mut self, counts: StoreCounts) {
        self.unseen = (self.unseen.0 + counts.events, self.unseen.1 + counts.bytes);
    }

    /// A segment was found. Returns how much of it was not counted.
    pub(super) fn see(&mut self, (events, bytes): Amount) -> Amount {
        let seen = (events.min(self.unseen.0), bytes.min(self.unseen.1));
        self.unseen = (self.unseen.0 - seen.0, self.unseen.1 - seen.1);
        (events - seen.0, bytes - seen.1)
    }

    /// What was counted will not be found here. Returns how much that is.
    pub(super) fn forget_unseen(&mut self) -> Amount {
        core::mem::take(&mut self.unseen)
    }

    /// A segment that was committed here is only in the store now.
    pub(super) fn evict(&mut self, id: SegmentId, pending: Amount) {
        self.evicted.insert(id, pending);
        self.note_change();
    }

    pub(super) fn has_evicted(&self) -> bool {
        !self.evicted.is_empty()
    }

    /// The oldest segment that was committed here and is only in the store.
    pub(super) fn oldest_evicted(&self) -> Option<SegmentId> {
        self.evicted.first()
    }

    /// An evicted segment is known again, or gone. Returns its pending events.
    pub(super) fn take_evicted(&mut self, id: SegmentId) -> Option<Amount> {
        self.evicted.remove(id)
    }

    /// All evicted segments are gone. Returns their pending events.
    pub(super) fn take_all_evicted(&mut self) -> Amount {
        let all = core::mem::take(&mut self.evicted);
        all.values().fold((0, 0), |sum, pending| (sum.0 + pending.0, sum.1 + pending.1))
    }

    /// Others settled events of an evicted segment. Returns how many of them were still pending: delivered,
    /// dead, and their bytes.
    pub(super) fn settle_evicted(
        &mut self,
        id: SegmentId,
        delivered: u32,
        dead: u32,
        bytes: u64,
    ) -> Option<(u64, u64, u64)> {
        let pending = self.evicted.get_mut(id)?;
        let delivered = u64::from(delivered).min(pending.0);
        let dead = u64::from(dead).min(pending.0 - delivered);
        let bytes = bytes.min(pending.1);
        *pending = (pending.0 - delivered - dead, pending.1 - bytes);
        if pending.0 == 0 {
            self.evicted.remove(id);
        }
        Some((delivered, dead, bytes))
    }

    /// Whether a peek may start.
    pub(super) fn may_peek(&self, now: Moment) -> bool {
        self.is_open && self.has_unknown && self.peeking.is_none() && self.peek_not_before <= now
    }

    /// A peek starts.
    pub(super) fn start_peek(&mut self) {
        self.peeking = Some(self.version);
    }

    /// A peek ended: with true if it found no unknown segments, with an error if it failed. Returns whether
    /// everything in the store is known here now.
    pub(super) fn end_peek(&mut self, now: Moment, result: Result<bool, ()>, is_leader: bool) -> bool {
        let started = self.peeking.take();
        let is_complete = result == Ok(true) && started == Some(self.version);
        if is_complete {
            self.has_unknown = false;
            self.is_unscanned = !is_leader;
        }
        if result.is_err() {
            self.peek_not_before = now.after(PEEK_RETRY_DELAY);
        }
        is_complete
    }

    /// The next peek need not wait.
    pub(super) fn end_delay(&mut self, now: Moment) {
        self.peek_not_before = now;
    }

    /// When the next peek may start.
    pub(super) fn next_peek(&self) -> Option<Moment> {
        self.has_unknown.then_some(self.peek_not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SegmentId = SegmentId::committed(1);

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    #[test]
    fn only_what_was_not_counted_is_new() {
        let mut store = StoreSync::new();
        store.expect(StoreCounts { events: 3, bytes: 300, ..StoreCounts::default() });
        assert_eq!(store.see((2, 250)), (0, 0));
        assert_eq!(store.see((2, 100)), (1, 50));
        assert_eq!(store.forget_unseen(), (0, 0));
    }

    #[test]
    fn a_peek_is_complete_only_if_nothing_changed_meanwhile() {
        let mut store = StoreSync::new();
        store.note_change();
        assert!(!store.may_peek(at(0)), "it is not open");
        store.open();
        store.start_peek();
        assert!(!store.may_peek(at(0)), "one runs");
        store.note_change();
        assert!(!store.end_peek(at(0), Ok(true), true) && store.has_unknown());
        store.start_peek();
        assert!(store.end_peek(at(0), Ok(true), true));
        assert_eq!((store.has_unknown(), store.is_unscanned(), store.next_peek()), (false, false, None));
    }

    #[test]
    fn a_failed_peek_is_repeated_after_a_delay() {
        let mut store = StoreSync::new();
        store.open();
        store.note_change();
        store.start_peek();
        assert!(!store.end_peek(at(500), Err(()), true));
        assert_eq!((store.may_peek(at(1499)), store.may_peek(at(1500))), (false, true));
        store.end_delay(at(600));
        assert_eq!(store.next_peek(), Some(at(600)));
    }

    #[test]
    fn others_settle_no_more_events_than_are_pending() {
        let mut store = StoreSync::new();
        store.evict(ID, (5, 500));
        assert_eq!(store.settle_evicted(ID, 2, 1, 300), Some((2, 1, 300)));
        assert_eq!(store.settle_evicted(ID, 9, 9, 900), Some((2, 0, 200)));
        assert_eq!(store.settle_evicted(ID, 1, 0, 100), None, "it is settled");
        assert!(!store.has_evicted() && store.take_evicted(ID).is_none());
        store.evict(ID, (1, 10));
        store.evict(SegmentId::committed(2), (2, 20));
        assert_eq!((store.oldest_evicted(), store.take_all_evicted()), (Some(ID), (3, 30)));
    }
}
