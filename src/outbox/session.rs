//! Sessions: staged events, and how many of them fit.
//!
//! ```text
//!   stage ──> staged ──commit───> contents of new segments
//!               │ └────roll back─> dropped
//!               └──────drop oldest (overflow)─> dropped
//! ```

use super::{Options, Overflow};
use crate::engine::ordered_map::{OrderedMap, key};

/// A session of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

key!(SessionId);

/// Which events may share a request with those of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// Any other events.
    #[default]
    Any,
    /// Only events of the same segment, so many in one request at most: their requests depend on something
    /// that they have in common.
    Separate(u32),
}

/// What is known of the events of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Bytes of each event.
    pub sizes: Vec<u32>,
    /// Ordering key of each event; empty if all are 0.
    pub ordering_keys: Vec<u32>,
    /// Which events may share a request with them.
    pub grouping: Grouping,
}

impl Contents {
    /// Adds an event at the end.
    pub fn push(&mut self, size: u32, ordering_key: u32) {
        if ordering_key != 0 && self.ordering_keys.is_empty() {
            self.ordering_keys = vec![0; self.sizes.len()];
        }
        if ordering_key != 0 || !self.ordering_keys.is_empty() {
            self.ordering_keys.push(ordering_key);
        }
        self.sizes.push(size);
    }

    /// The number of events.
    pub fn len(&self) -> u32 {
        self.sizes.len() as u32
    }

    /// Whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Bytes of all events.
    pub fn bytes(&self) -> u64 {
        self.sizes.iter().map(|size| u64::from(*size)).sum()
    }

    /// The ordering key of an event, 0 for none.
    pub fn ordering_key(&self, index: u32) -> u32 {
        self.ordering_keys.get(index as usize).copied().unwrap_or(0)
    }

    /// The bytes of an event.
    pub fn size(&self, index: u32) -> u64 {
        self.sizes.get(index as usize).copied().unwrap_or(0).into()
    }
}

/// The result of staging an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageResult {
    /// It is staged.
    Staged {
        /// It is the first of a new segment.
        opens_segment: bool,
        /// How many of the oldest events of the session were dropped for it.
        dropped: u32,
    },
    /// It was refused.
    Refused,
    /// It was dropped.
    Dropped,
}

/// The staged events of one session.
#[derive(Clone, Debug, Default)]
struct Session {
    segments: Vec<Contents>,
    /// Bytes of the staged events.
    bytes: u64,
    /// Bytes of the last segment.
    open_bytes: u64,
    /// How many events of the first segment were dropped.
    dropped: usize,
}

/// All sessions that have staged events.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    by_id: OrderedMap<SessionId, Session>,
    events: u64,
    bytes: u64,
}

impl Sessions {
    /// Stages an event, if it fits beside `held` bytes outside of the sessions.
    pub fn stage(
        &mut self,
        options: &Options,
        held: u64,
        id: SessionId,
        size: u32,
        ordering_key: u32,
    ) -> StageResult {
        let size_64 = u64::from(size);
        let limit = limit(options);
        let session_bytes = self.by_id.get(id).map_or(0, |session| session.bytes);
        let mut dropped = 0;
        while held + self.bytes + size_64 > limit {
            match options.overflow {
                Overflow::Reject | Overflow::Wait => return StageResult::Refused,
                Overflow::DropNewest => return StageResult::Dropped,
                // Without the whole session it would not fit either: then no event is dropped for it.
                Overflow::DropOldest
                    if dropped == 0 && held + self.bytes - session_bytes + size_64 > limit =>
                {
                    return StageResult::Dropped;
                }
                Overflow::DropOldest if self.drop_oldest(id) => dropped += 1,
                Overflow::DropOldest => return StageResult::Dropped,
            }
        }
        if !self.by_id.contains(id) {
            self.by_id.insert(id, Session::default());
        }
        let Some(session) = self.by_id.get_mut(id) else { return StageResult::Refused };
        let fits = session.segments.last().is_some_and(|open| {
            open.len() < segment_events(options)
                && session.open_bytes.saturating_add(size_64) <= options.batch_bytes
        });
        if !fits {
            session.segments.push(Contents::default());
            session.open_bytes = 0;
        }
        if let Some(open) = session.segments.last_mut() {
            open.push(size, ordering_key);
        }
        session.open_bytes += size_64;
        session.bytes += size_64;
        self.events += 1;
        self.bytes += size_64;
        StageResult::Staged { opens_segment: !fits, dropped }
    }

    /// How much more fits into the last segment of a session: bytes, and events.
    pub fn credit(&self, options: &Options, held: u64, id: SessionId) -> (u64, u32) {
        let Some((session, open)) =
            self.by_id.get(id).and_then(|it| it.segments.last().map(|open| (it, open)))
        else {
            return (0, 0);
        };
        let capacity = limit(options).saturating_sub(held + self.bytes);
        let bytes = options.batch_bytes.saturating_sub(session.open_bytes).min(capacity);
        (bytes, segment_events(options).saturating_sub(open.len()))
    }

    /// Stages events for which there was [`Sessions::credit`], behind the last one of the session.
    pub fn stage_many(&mut self, id: SessionId, sizes: &[u32], ordering_keys: &[u32]) {
        let Some(session) = self.by_id.get_mut(id) else { return };
        let Some(open) = session.segments.last_mut() else { return };
        for (index, size) in sizes.iter().enumerate() {
            open.push(*size, ordering_keys.get(index).copied().unwrap_or(0));
            session.open_bytes += u64::from(*size);
            session.bytes += u64::from(*size);
            self.bytes += u64::from(*size);
        }
        self.events += sizes.len() as u64;
    }

    /// Stages the contents of segments again, in front of what the session has staged. No event is added to
    /// them.
    pub fn restage(&mut self, id: SessionId, all: Vec<Contents>) {
        if all.is_empty() {
            return;
        }
        let later = self.take(id);
        let has_later = !later.is_empty();
        let mut session = Session { open_bytes: u64::MAX, ..Session::default() };
        if has_later {
            session.open_bytes = later.last().map_or(0, Contents::bytes);
        }
        session.segments = all;
        session.segments.extend(later);
        for contents in &session.segments {
            self.events += u64::from(contents.len());
            session.bytes += contents.bytes();
        }
        self.bytes += session.bytes;
        self.by_id.insert(id, session);
    }

    /// Takes the staged events out of a session, as the contents of new segments. Empty segments are left
    /// out.
    pub fn take(&mut self, id: SessionId) -> Vec<Contents> {
        let Some(mut session) = self.by_id.remove(id) else { return Vec::new() };
        if let Some(first) = session.segments.first_mut() {
            first.sizes.drain(..session.dropped);
            first.ordering_keys.drain(..session.dropped.min(first.ordering_keys.len()));
        }
        for contents in &session.segments {
            self.events -= u64::from(contents.len());
            self.bytes -= contents.bytes();
        }
        session.segments
    }

    /// The number of staged events.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Bytes of the staged events.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn drop_oldest(&mut self, id: SessionId) -> bool {
        let Some(session) = self.by_id.get_mut(id) else { return false };
        let Some(first) = session.segments.first() else { return false };
        let size = first.size(session.dropped as u32);
        self.events -= 1;
        self.bytes -= size;
        session.bytes -= size;
        session.dropped += 1;
        if session.dropped == first.sizes.len() {
            session.segments.remove(0);
            session.dropped = 0;
        }
        true
    }
}

/// How many bytes may be held, staged ones included.
fn limit(options: &Options) -> u64 {
    if options.overflow == Overflow::Wait { options.max_bytes.saturating_mul(2) } else { options.max_bytes }
}

/// How many events a segment has at most. It is rewritten whenever some of its events are delivered, so it is
/// short.
fn segment_events(options: &Options) -> u32 {
    options.batch_events.max(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId(1);

    fn options(max_bytes: u64, overflow: Overflow) -> Options {
        Options { max_bytes, overflow, batch_events: 16, batch_bytes: 100, ..Options::default() }
    }

    fn staged(opens_segment: bool) -> StageResult {
        StageResult::Staged { opens_segment, dropped: 0 }
    }

    #[test]
    fn cuts_segments_by_bytes_and_by_events() {
        let (mut sessions, options) = (Sessions::default(), options(10_000, Overflow::Reject));
        assert_eq!(sessions.stage(&options, 0, SESSION, 60, 0), staged(true));
        assert_eq!(sessions.stage(&options, 0, SESSION, 40, 7), staged(false));
        assert_eq!(sessions.stage(&options, 0, SESSION, 1, 0), staged(true));
        for _ in 0..15 {
            assert_eq!(sessions.stage(&options, 0, SESSION, 1, 0), staged(false));
        }
        assert_eq!(
            sessions.stage(&options, 0, SESSION, 500, 0),
            staged(true),
            "an event larger than a batch has its own segment"
        );
        assert_eq!((sessions.events(), sessions.bytes()), (19, 616));
        let taken = sessions.take(SESSION);
        assert_eq!(taken.iter().map(Contents::len).collect::<Vec<_>>(), [2, 16, 1]);
        assert_eq!(taken[0].ordering_keys, [0, 7]);
        assert!(taken[1].ordering_keys.is_empty());
        assert_eq!((sessions.events(), sessions.bytes()), (0, 0));
        assert!(sessions.take(SESSION).is_empty());
    }

    #[test]
    fn a_full_outbox_follows_its_overflow_option() {
        for (overflow, expected) in [
            (Overflow::Reject, StageResult::Refused),
            (Overflow::DropNewest, StageResult::Dropped),
            (Overflow::DropOldest, StageResult::Staged { opens_segment: false, dropped: 1 }),
            (Overflow::Wait, staged(false)),
        ] {
            let (mut sessions, options) = (Sessions::default(), options(50, overflow));
            for size in [20, 10] {
                sessions.stage(&options, 0, SESSION, size, 0);
            }
            assert_eq!(sessions.stage(&options, 15, SESSION, 10, 0), expected);
        }
        let (mut sessions, options) = (Sessions::default(), options(50, Overflow::Wait));
        assert_eq!(
            sessions.stage(&options, 95, SESSION, 10, 0),
            StageResult::Refused,
            "nothing is staged beyond twice the limit"
        );
    }

    #[test]
    fn staging_many_events_on_credit_equals_staging_them_one_by_one() {
        let (mut one_by_one, mut together, options) =
            (Sessions::default(), Sessions::default(), options(10_000, Overflow::Reject));
        assert_eq!(together.credit(&options, 0, SESSION), (0, 0), "there is no open segment");
        one_by_one.stage(&options, 0, SESSION, 10, 0);
        together.stage(&options, 0, SESSION, 10, 0);
        assert_eq!(together.credit(&options, 0, SESSION), (90, 15));
        for (size, ordering_key) in [(20, 0), (30, 7), (40, 0)] {
            assert_eq!(one_by_one.stage(&options, 0, SESSION, size, ordering_key), staged(false));
        }
        together.stage_many(SESSION, &[20, 30, 40], &[0, 7]);
        assert_eq!(together.credit(&options, 0, SESSION), (0, 12));
        assert_eq!((together.events(), together.bytes()), (one_by_one.events(), one_by_one.bytes()));
        assert_eq!(together.stage(&options, 0, SESSION, 1, 0), staged(true));
        assert_eq!(one_by_one.stage(&options, 0, SESSION, 1, 0), staged(true));
        assert_eq!(together.take(SESSION), one_by_one.take(SESSION));
        together.stage_many(SESSION, &[1], &[]);
        assert_eq!(together.events(), 0, "a session without staged events has no open segment");
    }

    #[test]
    fn there_is_no_credit_beyond_the_limit() {
        let (mut sessions, options) = (Sessions::default(), options(50, Overflow::Reject));
        sessions.stage(&options, 0, SESSION, 20, 0);
        sessions.stage(&options, 0, SessionId(2), 10, 0);
        assert_eq!(sessions.credit(&options, 15, SESSION), (5, 15));
        assert_eq!(sessions.credit(&options, 25, SESSION), (0, 15));
    }

    #[test]
    fn an_event_that_can_never_fit_drops_no_other() {
        let (mut sessions, options) = (Sessions::default(), options(50, Overflow::DropOldest));
        sessions.stage(&options, 0, SESSION, 20, 0);
        assert_eq!(sessions.stage(&options, 0, SESSION, 51, 0), StageResult::Dropped);
        assert_eq!(sessions.events(), 1);
    }

    #[test]
    fn an_event_that_would_not_fit_without_its_whole_session_drops_no_other() {
        let (mut sessions, options) = (Sessions::default(), options(50, Overflow::DropOldest));
        sessions.stage(&options, 0, SessionId(2), 30, 0);
        sessions.stage(&options, 0, SESSION, 10, 0);
        assert_eq!(sessions.stage(&options, 5, SESSION, 20, 0), StageResult::Dropped);
        assert_eq!((sessions.events(), sessions.take(SESSION).len()), (2, 1));
    }

    #[test]
    fn restaged_segments_come_first_and_get_no_more_events() {
        let (mut sessions, options) = (Sessions::default(), options(10_000, Overflow::DropOldest));
        for size in [20, 30] {
            sessions.stage(&options, 0, SESSION, size, 0);
        }
        let committed = sessions.take(SESSION);
        sessions.restage(SESSION, committed.clone());
        assert_eq!((sessions.events(), sessions.bytes()), (2, 50));
        assert_eq!(sessions.credit(&options, 0, SESSION), (0, 14), "there is no room in bytes");
        assert_eq!(sessions.stage(&options, 0, SESSION, 5, 7), staged(true));
        let all = sessions.take(SESSION);
        sessions.restage(SESSION, all);
        sessions.stage(&options, 0, SESSION, 1, 0);
        let sizes: Vec<Vec<u32>> =
            sessions.take(SESSION).into_iter().map(|contents| contents.sizes).collect();
        assert_eq!(sizes, [vec![20, 30], vec![5], vec![1]]);
        assert_eq!((sessions.events(), sessions.bytes()), (0, 0));
    }

    #[test]
    fn dropped_events_are_not_committed() {
        let (mut sessions, options) = (Sessions::default(), options(100, Overflow::DropOldest));
        for size in [60, 30, 10, 55] {
            sessions.stage(&options, 0, SESSION, size, size);
        }
        let sizes: Vec<u32> =
            sessions.take(SESSION).into_iter().flat_map(|contents| contents.sizes).collect();
        assert_eq!(sizes, [30, 10, 55]);
        assert_eq!((sessions.events(), sessions.bytes()), (0, 0));
    }
}
