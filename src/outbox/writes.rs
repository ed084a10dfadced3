//! Changes for the store. One write runs at a time; later changes go into the next write.
//!
//! ```text
//!   add ──> waiting ──start──> running ──done───> (nothing)
//!              ▲                  └────failed──> waiting, after a delay; changes that free space go first
//!              └────────────────────────────────────┘
//! ```

use super::progress::Progress;
use super::segment::SegmentId;
use crate::base::time::{Millis, Moment};
use crate::engine::ordered_map::OrderedMap;

/// A change that is applied all or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// Segments to insert or replace.
    pub put: Vec<Put>,
    /// Segments to remove.
    pub remove: Vec<SegmentId>,
    /// Events to store as dead letters, as described by `Effect::Dead`.
    pub dead_put: Vec<(SegmentId, u32)>,
}

/// One segment to put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The segment.
    pub segment: SegmentId,
    /// The indices of the events to store; `None` for all.
    pub indices: Option<Vec<u32>>,
    /// What to remember of their requests.
    pub progress: Option<Progress>,
}

/// The delay after a failed write. It doubles up to [`MAX_DELAY`].
const FIRST_DELAY: Millis = Millis(50);
const MAX_DELAY: Millis = Millis(5000);
/// Several commits share a write up to this many bytes.
const MAX_MERGED_BYTES: u64 = 4 * 1024 * 1024;

/// Segments that were committed together, and their bytes.
type Commit = (Vec<SegmentId>, u64);

/// The changes of one write.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    pub(super) commits: Vec<Commit>,
    pub(super) rewrite: OrderedMap<SegmentId>,
    /// Segments of which only the progress has changed. Not repeated after a failure.
    pub(super) progress: OrderedMap<SegmentId>,
    pub(super) remove: OrderedMap<SegmentId>,
    pub(super) dead_put: Vec<(SegmentId, u32)>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.progress.is_empty() && !self.frees_space()
    }

    fn frees_space(&self) -> bool {
        !self.rewrite.is_empty() || !self.remove.is_empty() || !self.dead_put.is_empty()
    }
}

/// The writes of one outbox.
#[derive(Clone, Debug, Default)]
pub(super) struct Writes {
    waiting: Changes,
    running: Option<Changes>,
    failures: u32,
    not_before: Moment,
    /// Requests whose outcome waits to be written, and requests whose outcome is being written.
    unrecorded: (usize, usize),
}

impl Writes {
    pub(super) fn commit(&mut self, segments: Vec<SegmentId>, bytes: u64) {
        self.waiting.commits.push((segments, bytes));
    }

    /// A segment has fewer events than in the store.
    pub(super) fn rewrite(&mut self, segment: SegmentId) {
        if !self.is_unwritten(segment) {
            self.waiting.progress.remove(segment);
            self.waiting.rewrite.add(segment);
        }
    }

    /// The progress of a segment has changed.
    pub(super) fn progress(&mut self, segment: SegmentId) {
        if !self.is_unwritten(segment) && !self.waiting.rewrite.contains(segment) {
            self.waiting.progress.add(segment);
        }
    }

    /// A segment has no events any more. It is removed even if it was never written, because a failed write
    /// may have been applied.
    pub(super) fn remove(&mut self, segment: SegmentId) {
        for (segments, _) in &mut self.waiting.commits {
            segments.retain(|other| *other != segment);
        }
        self.waiting.commits.retain(|(segments, _)| !segments.is_empty());
        self.waiting.rewrite.remove(segment);
        self.waiting.progress.remove(segment);
        self.waiting.remove.add(segment);
    }

    /// A segment that waits for its first write is not to be written.
    pub(super) fn cancel(&mut self, segment: SegmentId, bytes: u64) {
        for (segments, all) in &mut self.waiting.commits {
            let count = segments.len();
            segments.retain(|other| *other != segment);
            if segments.len() < count {
                *all = all.saturating_sub(bytes);
            }
        }
        self.waiting.commits.retain(|(segments, _)| !segments.is_empty());
    }

    pub(super) fn dead_put(&mut self, segment: SegmentId, index: u32) {
        self.waiting.dead_put.push((segment, index));
    }

    /// The outcome of a request is known. It counts as unrecorded until it is written.
    pub(super) fn note_outcome(&mut self) {
        self.unrecorded.0 += usize::from(self.waiting.frees_space());
    }

    /// How many requests would be repeated after a crash, because their outcome is not written. 0 while
    /// writes fail.
    pub(super) fn unrecorded(&self) -> usize {
        if self.failures > 0 { 0 } else { self.unrecorded.0 + self.unrecorded.1 }
    }

    /// Whether the last write failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether a segment is being rewritten, or waits for that.
    pub(super) fn is_rewriting(&self, segment: SegmentId) -> bool {
        [Some(&self.waiting), self.running.as_ref()]
            .into_iter()
            .flatten()
            .any(|changes| changes.rewrite.contains(segment))
    }

    /// Drops all waiting changes.
    pub(super) fn clear(&mut self) {
        self.waiting = Changes::default();
        self.unrecorded.0 = 0;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// Whether the next write should start now.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.running.is_none() && !self.waiting.is_empty() && self.not_before <= now
    }

    /// When the next write should start, if there are waiting changes.
    pub(super) fn retry_at(&self) -> Option<Moment> {
        (self.running.is_none() && !self.waiting.is_empty()).then_some(self.not_before)
    }

    /// Starts the next write, with up to `capacity` bytes of new segments; `None` means no limit. A full
    /// store refuses every change that has new segments, so after a failure changes that free space are
    /// written alone.
    pub(super) fn start(&mut self, capacity: Option<u64>) -> Option<&Changes> {
        let alone = self.failures > 0 && self.waiting.frees_space();
        let progress = core::mem::take(&mut self.waiting.progress);
        let mut changes = Changes {
            commits: Vec::new(),
            rewrite: core::mem::take(&mut self.waiting.rewrite),
            progress: if self.failures > 0 { OrderedMap::new() } else { progress },
            remove: core::mem::take(&mut self.waiting.remove),
            dead_put: core::mem::take(&mut self.waiting.dead_put),
        };
        let (mut bytes, mut count) = (0, 0);
        while !alone
            && let Some((_, more)) = self.waiting.commits.get(count)
            && (bytes == 0 || bytes + more <= MAX_MERGED_BYTES)
            && capacity.is_none_or(|capacity| bytes + more <= capacity)
        {
            bytes += more;
            count += 1;
        }
        let later = self.waiting.commits.split_off(count);
        changes.commits = core::mem::replace(&mut self.waiting.commits, later);
        if changes.is_empty() {
            return None;
        }
        self.unrecorded = (0, self.unrecorded.0);
        self.running = Some(changes);
        self.running.as_ref()
    }

    /// The write is done. Returns its changes.
    pub(super) fn done(&mut self) -> Option<Changes> {
        self.failures = 0;
        self.unrecorded.1 = 0;
        self.running.take()
    }

    /// The write failed, or its result is unknown: its changes wait again. Returns the segments that are
    /// still unwritten.
    pub(super) fn failed(&mut self, now: Moment) -> Vec<SegmentId> {
        let Some(changes) = self.running.take() else { return Vec::new() };
        let delay = FIRST_DELAY.0.checked_shl(self.failures).unwrap_or(u64::MAX).min(MAX_DELAY.0);
        self.failures = (self.failures + 1).min(16);
        self.unrecorded = (self.unrecorded.0 + self.unrecorded.1, 0);
        self.not_before = now.after(Millis(delay));
        for segment in changes.rewrite.keys() {
            self.waiting.rewrite.add(segment);
        }
        self.waiting.dead_put.extend(changes.dead_put);
        let mut unwritten = Vec::new();
        let mut commits = changes.commits;
        for (segments, _) in &mut commits {
            segments.retain(|segment| !self.waiting.remove.contains(*segment));
            unwritten.extend_from_slice(segments);
        }
        commits.retain(|(segments, _)| !segments.is_empty());
        commits.append(&mut self.waiting.commits);
        self.waiting.commits = commits;
        for segment in changes.remove.keys() {
            self.waiting.remove.add(segment);
        }
        unwritten
    }

    /// Whether a segment waits for its first write, which will write it as it is then.
    fn is_unwritten(&self, segment: SegmentId) -> bool {
        self.waiting.commits.iter().any(|(segments, _)| segments.contains(&segment))
    }
}
