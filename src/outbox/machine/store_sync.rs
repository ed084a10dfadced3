//! What the machine and the store say to each other: writing, looking, the window of what is known, and whose it is.

use super::{LOOK_REST, Outbox, WINDOW};
use crate::base::time::{Millis, Moment};
use crate::outbox::Overflow;
use crate::outbox::effect::{Effect, Outcome, StoreCounts};
use crate::outbox::segment::{Segment, SegmentId, State, Stored};
use crate::outbox::session::Contents;
use crate::outbox::writes::{Put, Write};

impl Outbox {
    /// The store is open, and this is in it.
    pub fn opened(&mut self, now: Moment, stock: StoreCounts) {
        self.is_open = true;
        self.unseen = (stock.events, stock.bytes);
        self.counters.accepted += stock.events + stock.dead;
        self.counters.dead += stock.dead;
        self.held += stock.bytes + stock.dead_bytes;
        self.store_changed(now);
    }

    /// The last write was done, or has failed, or nobody knows.
    pub fn written(&mut self, now: Moment, is_done: bool) {
        if is_done {
            self.note_written();
        } else {
            for id in self.writes.failed(now) {
                if let Some(segment) = self.segments.get_mut(id) {
                    segment.stored = Stored::Loose;
                }
            }
        }
        self.go_on(now);
    }

    /// A segment that a look has found, of that age. `own` is its number if it was committed here; others get one.
    pub fn found(
        &mut self,
        now: Moment,
        contents: Contents,
        age: Millis,
        own: Option<SegmentId>,
    ) -> SegmentId {
        let (owed, owed_bytes) = own.and_then(|id| self.evicted.remove(id)).unwrap_or_default();
        // What was stored before this life comes before what was committed in it.
        let id = own.unwrap_or_else(|| SegmentId(self.found_ids.advance()));
        let events = contents.len();
        let (more, bytes) = (u64::from(events.saturating_sub(owed)), contents.bytes());
        if own.is_none() {
            let seen = (more.min(self.unseen.0), bytes.min(self.unseen.1));
            self.unseen = (self.unseen.0 - seen.0, self.unseen.1 - seen.1);
            self.counters.accepted += more - seen.0;
            self.held += bytes - seen.1;
        } else {
            // Others may have delivered some of it; or some is there again, because the store did not hear that it was gone.
            self.counters.accepted += more;
            self.counters.delivered += u64::from(owed.saturating_sub(events));
            self.held = (self.held + bytes).saturating_sub(owed_bytes);
        }
        let left = Millis(self.options.max_age.0.saturating_sub(age.0));
        self.segments.insert(id, Segment::new(contents, Stored::Kept, now, now.after(left)));
        id
    }

    /// A look has ended. `is_all`: it has found nothing that was not known.
    pub fn peeked(&mut self, now: Moment, result: Result<bool, ()>) {
        let started = self.looking.take();
        match result {
            Ok(is_all) => {
                if is_all && started == Some(self.epoch) {
                    self.beyond = false;
                    self.is_new = !self.leads;
                    self.forget_unseen();
                    // What is not there any more was settled by others.
                    for (_, (events, bytes)) in self.evicted.take() {
                        self.counters.delivered += u64::from(events);
                        self.held = self.held.saturating_sub(bytes);
                    }
                }
            }
            Err(()) => self.look_at = self.now.max(now).after(LOOK_REST),
        }
        self.go_on(now);
    }

    /// Somebody else has stored something.
    pub fn store_changed(&mut self, now: Moment) {
        self.beyond = true;
        self.epoch = self.epoch.wrapping_add(1);
        self.go_on(now);
    }

    /// Others have settled events of a segment of ours that only the store had.
    pub fn settled_elsewhere(&mut self, now: Moment, id: SegmentId, delivered: u32, dead: u32, bytes: u64) {
        if let Some(owed) = self.evicted.get_mut(id) {
            let delivered = delivered.min(owed.0);
            let dead = dead.min(owed.0 - delivered);
            let bytes = bytes.min(owed.1);
            *owed = (owed.0 - delivered - dead, owed.1 - bytes);
            if owed.0 == 0 {
                self.evicted.remove(id);
            }
            self.counters.delivered += u64::from(delivered);
            self.counters.dead += u64::from(dead);
            self.held = self.held.saturating_sub(bytes);
        }
        self.go_on(now);
    }

    /// Dead letters were put back among the events of the store (`replayed`), or removed.
    pub fn dead_removed(&mut self, now: Moment, letters: u32, bytes: u64, replayed: bool) {
        let letters = u64::from(letters).min(self.counters.dead);
        self.counters.dead -= letters;
        if replayed {
            // They are counted already, and will be found.
            self.unseen = (self.unseen.0 + letters, self.unseen.1 + bytes);
            self.store_changed(now);
        } else {
            self.counters.purged += letters;
            self.held = self.held.saturating_sub(bytes);
            self.go_on(now);
        }
    }

    /// Everything is to be deleted, staged events and dead letters too; the owner empties the store when this has returned.
    pub fn purge(&mut self, now: Moment) -> u64 {
        let queued: u64 = self.uncounted().map(|segment| u64::from(segment.left())).sum();
        let purged = self.counters.pending() + queued + self.counters.dead;
        self.counters.accepted += queued;
        self.counters.purged += purged;
        self.counters.dead = 0;
        self.exchanges.cancel_all();
        self.plans.clear();
        self.writes.clear();
        for (id, _) in self.segments.take() {
            self.exchanges.emit(Effect::Forget(id, Outcome::Removed));
        }
        self.evicted.take();
        (self.unseen, self.held, self.unwritten) = ((0, 0), 0, 0);
        self.store_changed(now);
        purged
    }

    pub(super) fn note_written(&mut self) {
        let Some(work) = self.writes.done() else { return };
        for id in work.remove.keys() {
            self.exchanges.emit(Effect::Forget(id, Outcome::Removed));
        }
        let mut window = self.window();
        for (ids, _) in work.commits {
            for id in ids {
                let Some(segment) = self.segments.get_mut(id) else { continue };
                segment.stored = Stored::Kept;
                self.counters.accepted += u64::from(segment.left());
                self.unwritten = self.unwritten.saturating_sub(segment.contents().bytes());
                self.exchanges.emit(Effect::Accepted(id));
                // What is behind something that only the store has must come after it.
                let is_whole = segment.is_untouched();
                match window.checked_sub(segment.left()) {
                    Some(rest) if self.leads && !self.beyond => window = rest,
                    _ if is_whole => self.evict(id),
                    _ => {}
                }
            }
        }
    }

    pub(super) fn evict(&mut self, id: SegmentId) {
        let Some(segment) = self.segments.remove(id) else { return };
        self.evicted.insert(id, (segment.left(), segment.left_bytes()));
        self.beyond = true;
        self.epoch = self.epoch.wrapping_add(1);
        self.exchanges.emit(Effect::Forget(id, Outcome::Evicted));
    }

    /// How many more events the window has room for.
    pub(super) fn window(&self) -> u32 {
        let kept = self.segments.values().filter(|segment| segment.stored == Stored::Kept);
        (WINDOW * self.options.batch_events.max(16)).saturating_sub(kept.map(Segment::left).sum())
    }

    pub(super) fn forget_unseen(&mut self) {
        let (events, bytes) = core::mem::take(&mut self.unseen);
        self.counters.accepted -= events.min(self.counters.accepted);
        self.held = self.held.saturating_sub(bytes);
    }

    /// Somebody else sends from now on: what the store has is his.
    pub(super) fn step_down(&mut self) {
        self.is_new = true;
        self.exchanges.cancel_all();
        self.plans.clear();
        self.forget_unseen();
        for segment in self.segments.values_mut() {
            segment.is_leaving = segment.stored == Stored::Kept;
            for index in segment.kept() {
                segment.give_back(index, None);
            }
        }
    }

    /// Whoever does not lead need not know what the store has, when nothing of it is under way.
    pub(super) fn hand_off(&mut self) {
        let leads = self.leads;
        let is_idle = |segment: &Segment| {
            segment.stored == Stored::Kept
                && (segment.is_leaving || !leads)
                && segment.kept().iter().all(|at| segment.state(*at) == State::Ready)
        };
        let ids: Vec<SegmentId> =
            self.segments.iter().filter(|(_, segment)| is_idle(segment)).map(|(id, _)| id).collect();
        for id in ids {
            self.release(id);
        }
    }

    /// A segment that the store has is not ours to send any more. What we know of it is written first.
    pub(super) fn release(&mut self, id: SegmentId) {
        if self.writes.rewrites(id) {
            return;
        }
        if id.is_own() {
            self.evict(id);
        } else if let Some(segment) = self.segments.remove(id) {
            self.counters.accepted -= u64::from(segment.left()).min(self.counters.accepted);
            self.held = self.held.saturating_sub(segment.left_bytes());
            self.exchanges.emit(Effect::Forget(id, Outcome::Disowned));
        }
    }

    pub(super) fn write(&mut self) {
        if !self.is_open || !self.writes.is_due(self.now) {
            return;
        }
        let kept = self.held - self.unwritten.min(self.held);
        // A commit that is larger than everything may be goes when nothing else is there.
        let room = (self.options.overflow == Overflow::Wait && kept > 0)
            .then(|| self.options.max_bytes.saturating_sub(kept));
        let Some(work) = self.writes.start(room) else { return };
        let mut write =
            Write { put: Vec::new(), remove: work.remove.keys().collect(), dead_put: work.dead_put.clone() };
        for id in work.commits.iter().flat_map(|(ids, _)| ids.iter().copied()).chain(work.rewrite.keys()) {
            let Some(segment) = self.segments.get(id) else { continue };
            let kept = (segment.left() < segment.len()).then(|| segment.kept());
            write.put.push(Put { segment: id, kept });
        }
        self.exchanges.emit(Effect::Write(write));
    }

    /// The store has to hear that events of a segment are gone.
    pub(super) fn store_less(&mut self, id: SegmentId) {
        let Some(segment) = self.segments.get(id) else { return };
        if segment.left() > 0 {
            self.writes.rewrite(id);
            return;
        }
        if segment.stored != Stored::Kept {
            self.unwritten = self.unwritten.saturating_sub(segment.contents().bytes());
        }
        self.writes.remove(id);
        self.segments.remove(id);
    }

    pub(super) fn look(&mut self) {
        let all = WINDOW * self.options.batch_events.max(16);
        let window = self.window();
        let first_here = self.segments.first_from(SegmentId::own(0));
        // Our own may fill the window and wait for older ones that nobody has seen yet.
        let found = self.segments.iter().filter(|(id, _)| !id.is_own());
        let older: u32 = found.map(|(_, segment)| segment.left()).sum();
        let waits_for_older = first_here.is_some_and(|first| {
            (self.is_new && older < all / 2) || self.evicted.keys().next().is_some_and(|id| id < first)
        });
        if self.is_open
            && self.leads
            && !self.is_paused
            && self.beyond
            && self.looking.is_none()
            && self.look_at <= self.now
            && (window >= all / 2 || waits_for_older)
            // They are to be found again, in their place.
            && !self.segments.values().any(|segment| segment.is_leaving)
        {
            self.looking = Some(self.epoch);
            let bytes = u64::from(WINDOW) * self.options.batch_bytes;
            self.exchanges.emit(Effect::Look { events: window.max(self.options.batch_events), bytes });
        }
    }
}
