//! What the store tells, and what it is asked for: writes, reads, the window of known segments, and whose they
//! are.

use super::Outbox;
use crate::base::time::{Millis, Moment};
use crate::outbox::breaker::MAX_RETRY_AFTER;
use crate::outbox::effect::{Effect, Outcome, StoreCounts};
use crate::outbox::progress::{EventProgress, Progress};
use crate::outbox::segment::{EventRange, Segment, SegmentId, State, StoreState};
use crate::outbox::session::Contents;
use crate::outbox::writes::{Put, Write};

/// The capacity of the window, in batches.
const WINDOW_BATCHES: u32 = 8;

impl Outbox {
    /// The store is open, with these contents.
    pub fn store_opened(&mut self, now: Moment, counts: StoreCounts) {
        self.store.open();
        self.store_added(now, counts);
    }

    /// These contents were moved into the store.
    pub fn store_added(&mut self, now: Moment, counts: StoreCounts) {
        self.store.expect(counts);
        self.counters.accepted += counts.events + counts.dead;
        self.counters.dead += counts.dead;
        self.capacity.hold(counts.bytes + counts.dead_bytes);
        self.store_changed(now);
    }

    /// Segments that were committed here and are only in the store were moved out of it. They no longer count
    /// as accepted here.
    pub fn moved_away(&mut self, now: Moment, segments: impl Iterator<Item = SegmentId>) {
        for (events, bytes) in segments.filter_map(|id| self.store.take_evicted(id)) {
            self.counters.accepted = self.counters.accepted.saturating_sub(events);
            self.capacity.release(bytes);
        }
        self.advance(now);
    }

    /// The last write is done; or it failed, or its result is unknown.
    pub fn store_written(&mut self, now: Moment, is_done: bool) {
        if is_done {
            self.apply_written();
        } else {
            for id in self.writes.failed(now) {
                if let Some(segment) = self.segments.get_mut(id) {
                    segment.store_state = StoreState::Failed;
                }
            }
        }
        self.advance(now);
    }

    /// A peek found a segment of this age. `known` is its handle if it was committed here; others get a new
    /// one.
    pub fn segment_found(
        &mut self,
        now: Moment,
        contents: Contents,
        age: Millis,
        known: Option<SegmentId>,
        progress: Option<&Progress>,
    ) -> SegmentId {
        let expected = known.and_then(|id| self.store.take_evicted(id)).unwrap_or_default();
        // Segments that were stored earlier are older than those committed here.
        let id = known.unwrap_or_else(|| SegmentId(self.found_ids.advance()));
        let (events, bytes) = (u64::from(contents.len()), contents.bytes());
        if known.is_none() {
            let uncounted = self.store.see((events, bytes));
            self.counters.accepted += uncounted.0;
            self.capacity.hold(uncounted.1);
        } else {
            // Another tab may have delivered some events; or events are back, because a write was lost.
            self.counters.accepted += events.saturating_sub(expected.0);
            self.counters.delivered += expected.0.saturating_sub(events);
            self.capacity.hold(bytes);
            self.capacity.release(expected.1);
        }
        let remaining = Millis(self.options.max_age.0.saturating_sub(age.0));
        let mut segment = Segment::new(contents, StoreState::Written, now, now.after(remaining));
        if let Some(progress) = progress {
            self.resume(now, &mut segment, progress);
        }
        self.segments.insert(id, segment);
        id
    }

    /// Continues where an earlier program has stopped. Times that are too long come from a clock that was set.
    fn resume(&mut self, now: Moment, segment: &mut Segment, progress: &Progress) {
        for (index, event) in (0..).zip(&progress.events) {
            let in_flight =
                if event.in_flight > self.options.in_flight { Millis(0) } else { event.in_flight };
            let delay = in_flight.max(event.retry.min(MAX_RETRY_AFTER));
            segment.resume(index, event.attempts, (delay.0 > 0).then(|| now.after(delay)));
        }
        // Somebody who waits for the delivery has ended all delays.
        if !self.delivery.is_flushing {
            self.delivery.breaker.resume(now, progress.failures, progress.backoff);
        }
    }

    /// What a later program has to know of the requests of a segment.
    fn progress_of(&self, id: SegmentId, segment: &Segment) -> Option<Progress> {
        if self.options.in_flight.0 == 0 || self.writes.is_failing() {
            return None;
        }
        let until = |at: Moment| Millis(at.as_millis().saturating_sub(self.now.as_millis()));
        let in_flight = |index: u32| {
            let mut sent = self.exchanges.values().filter(|sent| sent.has(id, index));
            sent.next().map_or(Millis(0), |sent| until(sent.sent_at.after(self.options.in_flight)))
        };
        let events = segment.pending_indices().into_iter().map(|index| EventProgress {
            attempts: segment.attempts(index),
            in_flight: in_flight(index),
            retry: segment.retry_at(index).map_or(Millis(0), until),
        });
        let progress = Progress {
            failures: self.delivery.breaker.failures(),
            backoff: until(self.delivery.breaker.delay_until()),
            events: events.collect(),
        };
        (!progress.is_empty()).then_some(progress)
    }

    /// Other tabs or processes delivered events of a segment that is known here: another leader has got the
    /// answers to its own requests.
    pub fn delivered_elsewhere(&mut self, now: Moment, id: SegmentId, indices: &[u32], status: u16) {
        for index in indices {
            let is_pending =
                self.segments.get(id).is_some_and(|segment| segment.state(*index) != State::Settled);
            if is_pending {
                self.mark_delivered(EventRange { segment: id, from: *index, to: index + 1 }, status);
            }
        }
        self.delivery.drop_settled(&self.segments);
        self.writes.note_outcome();
        self.advance(now);
    }

    /// A peek ended: with true if it found no unknown segments, with an error if it failed.
    pub fn store_peeked(&mut self, now: Moment, result: Result<bool, ()>) {
        if self.store.end_peek(self.now.max(now), result, self.is_leader) {
            self.forget_unseen();
            // Segments that are not in the store any more were settled by other tabs.
            let (events, bytes) = self.store.take_all_evicted();
            self.counters.delivered += events;
            self.capacity.release(bytes);
        }
        self.advance(now);
    }

    /// Another tab stored segments.
    pub fn store_changed(&mut self, now: Moment) {
        self.store.note_change();
        self.advance(now);
    }

    /// Another tab settled events of a segment that was committed here and is only in the store.
    pub fn settled_elsewhere(&mut self, now: Moment, id: SegmentId, delivered: u32, dead: u32, bytes: u64) {
        if let Some((delivered, dead, bytes)) = self.store.settle_evicted(id, delivered, dead, bytes) {
            self.counters.delivered += delivered;
            self.counters.dead += dead;
            self.capacity.release(bytes);
        }
        self.advance(now);
    }

    /// Dead letters were removed from the store, and with `is_replayed` stored as segments again.
    pub fn dead_removed(&mut self, now: Moment, count: u32, bytes: u64, is_replayed: bool) {
        let count = u64::from(count).min(self.counters.dead);
        self.counters.dead -= count;
        if is_replayed {
            // They are counted as accepted already, and will be found.
            self.store.expect(StoreCounts { events: count, bytes, ..StoreCounts::default() });
            self.store_changed(now);
        } else {
            self.counters.purged += count;
            self.capacity.release(bytes);
            self.advance(now);
        }
    }

    /// Forgets all committed events and dead letters, which the owner then deletes from the store. Returns
    /// how many there were.
    pub fn purge(&mut self, now: Moment) -> u64 {
        // Not counted as accepted yet.
        let unwritten = self.segments.values().filter(|segment| segment.store_state != StoreState::Written);
        let queued: u64 = unwritten.map(|segment| u64::from(segment.pending())).sum();
        let purged = self.counters.pending() + queued + self.counters.dead;
        self.counters.accepted += queued;
        self.counters.purged += purged;
        self.counters.dead = 0;
        self.exchanges.cancel_all();
        self.delivery.take_queued();
        self.writes.clear();
        for id in core::mem::take(&mut self.segments).keys() {
            self.exchanges.emit(Effect::Forget(id, Outcome::Removed));
        }
        self.store.take_all_evicted();
        self.store.forget_unseen();
        self.capacity.clear();
        self.store_changed(now);
        purged
    }

    pub(super) fn apply_written(&mut self) {
        let Some(changes) = self.writes.done() else { return };
        for id in changes.remove.keys() {
            self.exchanges.emit(Effect::Forget(id, Outcome::Removed));
        }
        let mut window = self.window_capacity();
        // Until the store was scanned they wait here for what is older, see `BatchRules::is_unscanned`.
        let store = &self.store;
        let mut may_keep =
            self.is_leader && (!store.has_unknown() || store.is_unscanned() && !store.has_evicted());
        for (ids, _) in changes.commits {
            for id in ids {
                let Some(segment) = self.segments.get_mut(id) else { continue };
                segment.store_state = StoreState::Written;
                self.counters.accepted += u64::from(segment.pending());
                self.capacity.written(segment.contents().bytes());
                self.exchanges.emit(Effect::Accepted(id));
                // A segment younger than one that is only in the store has to wait for it there.
                let is_untouched = segment.is_untouched();
                match window.checked_sub(segment.pending()) {
                    Some(remaining) if may_keep => window = remaining,
                    _ if is_untouched => {
                        self.evict(id);
                        may_keep = false;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Forgets a segment that is in the store and was committed here.
    pub(super) fn evict(&mut self, id: SegmentId) {
        let Some(segment) = self.segments.remove(id) else { return };
        self.store.evict(id, (segment.pending().into(), segment.pending_bytes()));
        self.exchanges.emit(Effect::Forget(id, Outcome::Evicted));
    }

    /// How many more events fit into the window.
    pub(super) fn window_capacity(&self) -> u32 {
        let written = self.segments.values().filter(|segment| segment.store_state == StoreState::Written);
        (WINDOW_BATCHES * self.options.batch_events.max(16))
            .saturating_sub(written.map(Segment::pending).sum())
    }

    pub(super) fn forget_unseen(&mut self) {
        let (events, bytes) = self.store.forget_unseen();
        self.counters.accepted -= events.min(self.counters.accepted);
        self.capacity.release(bytes);
    }

    /// Leadership lost: stored segments now belong to the new leader. Requests in flight go on, and what their
    /// answers say is stored.
    pub(super) fn lose_leadership(&mut self) {
        self.store.unscan();
        self.delivery.end_bisection();
        self.forget_unseen();
        for batch in self.delivery.take_queued() {
            self.requeue(&batch);
        }
        for segment in self.segments.values_mut() {
            segment.is_released = segment.store_state == StoreState::Written;
        }
    }

    /// Releases stored segments that are not in flight and belong to another leader.
    pub(super) fn release_idle(&mut self) {
        let is_leader = self.is_leader;
        let is_idle = |segment: &Segment| {
            segment.store_state == StoreState::Written
                && (segment.is_released || !is_leader)
                && segment.pending_indices().iter().all(|at| segment.state(*at) == State::Ready)
        };
        let ids: Vec<SegmentId> =
            self.segments.iter().filter(|(_, segment)| is_idle(segment)).map(|(id, _)| id).collect();
        for id in ids {
            self.release(id);
        }
    }

    /// Forgets a stored segment that another leader will send, unless its changes are still to be written.
    pub(super) fn release(&mut self, id: SegmentId) {
        if self.writes.is_rewriting(id) {
            return;
        }
        if id.is_committed() {
            self.evict(id);
        } else if let Some(segment) = self.segments.remove(id) {
            self.counters.accepted -= u64::from(segment.pending()).min(self.counters.accepted);
            self.capacity.release(segment.pending_bytes());
            self.exchanges.emit(Effect::Forget(id, Outcome::Disowned));
        }
    }

    pub(super) fn write(&mut self) {
        if !self.store.is_open() || !self.writes.is_due(self.now) {
            return;
        }
        let Some(changes) = self.writes.start(self.capacity.writable(&self.options)) else { return };
        let mut write = Write {
            put: Vec::new(),
            remove: changes.remove.keys().collect(),
            dead_put: changes.dead_put.clone(),
        };
        let mut ids = Vec::new();
        for (committed, _) in &changes.commits {
            ids.extend_from_slice(committed);
        }
        for changed in [&changes.rewrite, &changes.progress] {
            ids.extend(changed.keys());
        }
        for id in ids {
            let Some(segment) = self.segments.get(id) else { continue };
            let indices = (segment.pending() < segment.len()).then(|| segment.pending_indices());
            write.put.push(Put { segment: id, indices, progress: self.progress_of(id, segment) });
        }
        if write.put.is_empty() && write.remove.is_empty() && write.dead_put.is_empty() {
            self.apply_written();
        } else {
            self.exchanges.emit(Effect::Write(write));
        }
    }

    /// Schedules the write for settled events of a segment.
    pub(super) fn record_settled(&mut self, id: SegmentId) {
        let Some(segment) = self.segments.get(id) else { return };
        if segment.pending() > 0 {
            self.writes.rewrite(id);
            return;
        }
        if segment.store_state != StoreState::Written {
            self.capacity.written(segment.contents().bytes());
        }
        self.writes.remove(id);
        self.segments.remove(id);
    }

    /// Reads more segments from the store, if the window has capacity.
    pub(super) fn peek_store(&mut self) {
        let all = WINDOW_BATCHES * self.options.batch_events.max(16);
        let window = self.window_capacity();
        let first_committed = self.segments.first_from(SegmentId::committed(0));
        // Segments committed here may fill the window while they wait for older ones that were not found yet.
        let found = self.segments.iter().filter(|(id, _)| !id.is_committed());
        let older: u32 = found.map(|(_, segment)| segment.pending()).sum();
        let waits_for_older = first_committed.is_some_and(|first| {
            (self.store.is_unscanned() && older < all / 2)
                || self.store.oldest_evicted().is_some_and(|id| id < first)
        });
        if self.is_leader
            && !self.delivery.is_paused
            && self.store.may_peek(self.now)
            && (window >= all / 2 || waits_for_older)
            // Released segments have to be found again, in their order.
            && !self.segments.values().any(|segment| segment.is_released)
        {
            self.store.start_peek();
            let bytes = u64::from(WINDOW_BATCHES) * self.options.batch_bytes;
            self.exchanges.emit(Effect::Peek { events: window.max(self.options.batch_events), bytes });
        }
    }
}
