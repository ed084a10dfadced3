//! What the store has to be told. One write at a time; what comes up while it runs goes into the next one.
//!
//! ```text
//!   add ──> waiting ──start──> running ──done───> (nothing)
//!              ▲                  └────failed──> waiting, after a rest; then what makes room goes first
//!              └────────────────────────────────────┘
//! ```

use std::collections::VecDeque;

use super::segment::SegmentId;
use crate::base::time::{Millis, Moment};
use crate::engine::ordered_map::OrderedMap;

/// What shall be written at once, all or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// Segments to put under their keys, in place of what is there.
    pub put: Vec<Put>,
    /// Segments to remove.
    pub remove: Vec<SegmentId>,
    /// Events to keep as dead letters, as `Effect::Died` has described them.
    pub dead_put: Vec<(SegmentId, u32)>,
}

/// One segment to put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Which.
    pub segment: SegmentId,
    /// The indices of its events that are to be kept; `None` for all.
    pub kept: Option<Vec<u32>>,
}

/// The first rest after a failed write; it doubles up to [`LONGEST_REST`].
const FIRST_REST: Millis = Millis(50);
const LONGEST_REST: Millis = Millis(5000);
/// New segments of several commits share a write up to this many bytes.
const MANY_BYTES: u64 = 4 * 1024 * 1024;

/// New segments that were committed together, and their bytes.
type Commit = (Vec<SegmentId>, u64);

/// What belongs in one write.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    pub(super) commits: VecDeque<Commit>,
    pub(super) rewrite: OrderedMap<SegmentId>,
    pub(super) remove: OrderedMap<SegmentId>,
    pub(super) dead_put: Vec<(SegmentId, u32)>,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.commits.is_empty() && !self.makes_room()
    }

    fn makes_room(&self) -> bool {
        !self.rewrite.is_empty() || !self.remove.is_empty() || !self.dead_put.is_empty()
    }
}

/// The writes of one outbox.
#[derive(Clone, Debug, Default)]
pub(super) struct Writes {
    waiting: Work,
    running: Option<Work>,
    failures: u32,
    not_before: Moment,
    /// Requests whose outcome waits to be written, and those whose outcome is being written.
    unsettled: (usize, usize),
}

impl Writes {
    pub(super) fn commit(&mut self, segments: Vec<SegmentId>, bytes: u64) {
        self.waiting.commits.push_back((segments, bytes));
    }

    /// A segment has fewer events than the store knows.
    pub(super) fn rewrite(&mut self, segment: SegmentId) {
        if !self.is_to_be_put(segment) {
            self.waiting.rewrite.add(segment);
        }
    }

    /// A segment has no events any more. Also said of one that was never written: a write that failed may have been done.
    pub(super) fn remove(&mut self, segment: SegmentId) {
        for (segments, _) in &mut self.waiting.commits {
            segments.retain(|other| *other != segment);
        }
        self.waiting.commits.retain(|(segments, _)| !segments.is_empty());
        self.waiting.rewrite.remove(segment);
        self.waiting.remove.add(segment);
    }

    pub(super) fn dead_put(&mut self, segment: SegmentId, index: u32) {
        self.waiting.dead_put.push((segment, index));
    }

    /// The outcome of one request was said; it is not settled before it is written.
    pub(super) fn note_decision(&mut self) {
        self.unsettled.0 += usize::from(self.waiting.makes_room());
    }

    /// How many requests would be repeated after a crash, because the store does not know how they ended. None if it cannot be told.
    pub(super) fn unsettled(&self) -> usize {
        if self.failures > 0 { 0 } else { self.unsettled.0 + self.unsettled.1 }
    }

    /// Whether a segment is being rewritten, or waits for that.
    pub(super) fn rewrites(&self, segment: SegmentId) -> bool {
        [Some(&self.waiting), self.running.as_ref()]
            .into_iter()
            .flatten()
            .any(|work| work.rewrite.contains(segment))
    }

    /// Forgets everything that waits.
    pub(super) fn clear(&mut self) {
        self.waiting = Work::default();
        self.unsettled.0 = 0;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// Whether nothing runs, something waits, and its moment is this one or has passed.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.running.is_none() && !self.waiting.is_empty() && self.not_before <= now
    }

    /// When to try again, if something waits for that.
    pub(super) fn wakes(&self) -> Option<Moment> {
        (self.running.is_none() && !self.waiting.is_empty()).then_some(self.not_before)
    }

    /// Takes what the next write shall do, as far as `room` bytes of new segments are allowed; `None` for without limit.
    /// A full store refuses everything that comes together with new segments, so after a failure what makes room goes alone.
    pub(super) fn start(&mut self, room: Option<u64>) -> Option<&Work> {
        let alone = self.failures > 0 && self.waiting.makes_room();
        let mut work = Work {
            commits: VecDeque::new(),
            rewrite: core::mem::take(&mut self.waiting.rewrite),
            remove: core::mem::take(&mut self.waiting.remove),
            dead_put: core::mem::take(&mut self.waiting.dead_put),
        };
        let mut bytes = 0;
        while !alone
            && let Some((_, more)) = self.waiting.commits.front()
            && (bytes == 0 || bytes + more <= MANY_BYTES)
            && room.is_none_or(|room| bytes + more <= room)
        {
            bytes += more;
            work.commits.extend(self.waiting.commits.pop_front());
        }
        if work.is_empty() {
            return None;
        }
        self.unsettled = (0, self.unsettled.0);
        self.running = Some(work);
        self.running.as_ref()
    }

    /// The write is done: what it has done.
    pub(super) fn done(&mut self) -> Option<Work> {
        self.failures = 0;
        self.unsettled.1 = 0;
        self.running.take()
    }

    /// The write failed, or nobody knows: it waits again. Gives the segments that it was to put for the first time.
    pub(super) fn failed(&mut self, now: Moment) -> Vec<SegmentId> {
        let Some(work) = self.running.take() else { return Vec::new() };
        let rest = FIRST_REST.0.checked_shl(self.failures).unwrap_or(u64::MAX).min(LONGEST_REST.0);
        self.failures = (self.failures + 1).min(16);
        self.unsettled = (self.unsettled.0 + self.unsettled.1, 0);
        self.not_before = now.after(Millis(rest));
        for segment in work.rewrite.keys() {
            self.waiting.rewrite.add(segment);
        }
        self.waiting.dead_put.extend(work.dead_put);
        let mut unwritten = Vec::new();
        for (mut segments, bytes) in work.commits.into_iter().rev() {
            segments.retain(|segment| !self.waiting.remove.contains(*segment));
            unwritten.extend_from_slice(&segments);
            if !segments.is_empty() {
                self.waiting.commits.push_front((segments, bytes));
            }
        }
        for segment in work.remove.keys() {
            self.waiting.remove.add(segment);
        }
        unwritten
    }

    /// What waits for its first write will be written as it is then.
    fn is_to_be_put(&self, segment: SegmentId) -> bool {
        self.waiting.commits.iter().any(|(segments, _)| segments.contains(&segment))
    }
}
