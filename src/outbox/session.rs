//! Sessions: what is staged, and how much of it fits.
//!
//! ```text
//!   stage ──> staged ──commit───> contents of new segments
//!               │ └────roll back─> gone
//!               └──────drop oldest (overflow)─> gone
//! ```

use std::collections::VecDeque;

use super::{Options, Overflow};
use crate::engine::ordered_map::OrderedMap;

/// A session of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

/// With whom the events of a segment may share a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// With whatever else there is.
    #[default]
    Any,
    /// Only with each other, because something outside of them says how they travel; so many in one request at most.
    Own(u32),
}

/// How large the events of one segment are, which must keep their order, and which may travel together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Bytes of each event.
    pub sizes: Vec<u32>,
    /// Lane of each event; empty if all are 0.
    pub ordering_keys: Vec<u32>,
    /// With whom they share a request.
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

    /// How many events there are.
    pub fn len(&self) -> u32 {
        self.sizes.len() as u32
    }

    /// Whether there are none.
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

/// What became of an event that was to be staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staged {
    /// It is staged.
    In {
        /// It is the first of a new segment.
        opens: bool,
        /// So many of the oldest of the session were dropped for it.
        dropped: u32,
    },
    /// It was refused.
    Refused,
    /// It was dropped.
    Dropped,
}

/// What one session has staged.
#[derive(Clone, Debug, Default)]
struct Session {
    segments: VecDeque<Contents>,
    /// Bytes of what is staged.
    bytes: u64,
    /// Bytes of the last segment.
    open_bytes: u64,
    /// So many of the first segment were dropped.
    gone: usize,
}

/// All sessions that have something staged.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    by_id: OrderedMap<SessionId, Session>,
    events: u64,
    bytes: u64,
}

impl Sessions {
    /// Stages an event, if `held` bytes outside of the sessions page_hidden room for it.
    pub fn stage(
        &mut self,
        options: &Options,
        held: u64,
        id: SessionId,
        size: u32,
        ordering_key: u32,
    ) -> Staged {
        let size_64 = u64::from(size);
        let limit = limit(options);
        let own = self.by_id.get(id).map_or(0, |session| session.bytes);
        let mut dropped = 0;
        while held + self.bytes + size_64 > limit {
            match options.overflow {
                Overflow::Reject | Overflow::Wait => return Staged::Refused,
                Overflow::DropNewest => return Staged::Dropped,
                // What would not fit without all of them shall not cost the others their place.
                Overflow::DropOldest if dropped == 0 && held + self.bytes - own + size_64 > limit => {
                    return Staged::Dropped;
                }
                Overflow::DropOldest if self.drop_oldest(id) => dropped += 1,
                Overflow::DropOldest => return Staged::Dropped,
            }
        }
        if !self.by_id.contains(id) {
            self.by_id.insert(id, Session::default());
        }
        let Some(session) = self.by_id.get_mut(id) else { return Staged::Refused };
        let fits = session.segments.back().is_some_and(|open| {
            open.len() < segment_events(options) && session.open_bytes + size_64 <= options.batch_bytes
        });
        if !fits {
            session.segments.push_back(Contents::default());
            session.open_bytes = 0;
        }
        if let Some(open) = session.segments.back_mut() {
            open.push(size, ordering_key);
        }
        session.open_bytes += size_64;
        session.bytes += size_64;
        self.events += 1;
        self.bytes += size_64;
        Staged::In { opens: !fits, dropped }
    }

    /// How much more surely fits into the last segment of a session: bytes, and events.
    pub fn credit(&self, options: &Options, held: u64, id: SessionId) -> (u64, u32) {
        let Some((session, open)) =
            self.by_id.get(id).and_then(|it| it.segments.back().map(|open| (it, open)))
        else {
            return (0, 0);
        };
        let room = limit(options).saturating_sub(held + self.bytes);
        let bytes = options.batch_bytes.saturating_sub(session.open_bytes).min(room);
        (bytes, segment_events(options).saturating_sub(open.len()))
    }

    /// Stages events for which there was [`Sessions::credit`], behind the last one of the session.
    pub fn stage_many(&mut self, id: SessionId, sizes: &[u32], ordering_keys: &[u32]) {
        let Some(session) = self.by_id.get_mut(id) else { return };
        let Some(open) = session.segments.back_mut() else { return };
        for (index, size) in sizes.iter().enumerate() {
            open.push(*size, ordering_keys.get(index).copied().unwrap_or(0));
            session.open_bytes += u64::from(*size);
            session.bytes += u64::from(*size);
            self.bytes += u64::from(*size);
        }
        self.events += sizes.len() as u64;
    }

    /// Takes out what a session has staged, as the contents of new segments. Those whose events were all dropped are left out.
    pub fn take(&mut self, id: SessionId) -> Vec<Contents> {
        let Some(mut session) = self.by_id.remove(id) else { return Vec::new() };
        if let Some(first) = session.segments.front_mut() {
            first.sizes.drain(..session.gone);
            first.ordering_keys.drain(..session.gone.min(first.ordering_keys.len()));
        }
        for contents in &session.segments {
            self.events -= u64::from(contents.len());
            self.bytes -= contents.bytes();
        }
        session.segments.into()
    }

    /// Events that are staged now.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn drop_oldest(&mut self, id: SessionId) -> bool {
        let Some(session) = self.by_id.get_mut(id) else { return false };
        let Some(first) = session.segments.front() else { return false };
        let size = first.size(session.gone as u32);
        self.events -= 1;
        self.bytes -= size;
        session.bytes -= size;
        session.gone += 1;
        if session.gone == first.sizes.len() {
            session.segments.pop_front();
            session.gone = 0;
        }
        true
    }
}

/// How many bytes there may be, staged ones included.
fn limit(options: &Options) -> u64 {
    if options.overflow == Overflow::Wait { options.max_bytes.saturating_mul(2) } else { options.max_bytes }
}

/// Segments are written again when a part of them was delivered, so those of single events are kept short.
fn segment_events(options: &Options) -> u32 {
    options.batch_events.max(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: SessionId = SessionId(1);

    fn options(max_bytes: u64, overflow: Overflow) -> Options {
        Options { max_bytes, overflow, batch_events: 16, batch_bytes: 100, ..Options::default() }
    }

    fn opens(opens: bool) -> Staged {
        Staged::In { opens, dropped: 0 }
    }

    #[test]
    fn cuts_segments_by_bytes_and_by_events() {
        let (mut sessions, options) = (Sessions::default(), options(10_000, Overflow::Reject));
        assert_eq!(sessions.stage(&options, 0, ME, 60, 0), opens(true));
        assert_eq!(sessions.stage(&options, 0, ME, 40, 7), opens(false));
        assert_eq!(sessions.stage(&options, 0, ME, 1, 0), opens(true));
        for _ in 0..15 {
            assert_eq!(sessions.stage(&options, 0, ME, 1, 0), opens(false));
        }
        assert_eq!(sessions.stage(&options, 0, ME, 500, 0), opens(true), "larger than a batch is alone");
        assert_eq!((sessions.events(), sessions.bytes()), (19, 616));
        let taken = sessions.take(ME);
        assert_eq!(taken.iter().map(Contents::len).collect::<Vec<_>>(), [2, 16, 1]);
        assert_eq!(taken[0].ordering_keys, [0, 7]);
        assert!(taken[1].ordering_keys.is_empty());
        assert_eq!((sessions.events(), sessions.bytes()), (0, 0));
        assert!(sessions.take(ME).is_empty());
    }

    #[test]
    fn a_full_outbox_does_as_it_was_told() {
        for (overflow, expected) in [
            (Overflow::Reject, Staged::Refused),
            (Overflow::DropNewest, Staged::Dropped),
            (Overflow::DropOldest, Staged::In { opens: false, dropped: 1 }),
            (Overflow::Wait, opens(false)),
        ] {
            let (mut sessions, options) = (Sessions::default(), options(50, overflow));
            for size in [20, 10] {
                sessions.stage(&options, 0, ME, size, 0);
            }
            assert_eq!(sessions.stage(&options, 15, ME, 10, 0), expected);
        }
        let (mut sessions, options) = (Sessions::default(), options(50, Overflow::Wait));
        assert_eq!(sessions.stage(&options, 95, ME, 10, 0), Staged::Refused, "twice the limit is the end");
    }

    #[test]
    fn what_is_appended_with_ease_is_staged_as_if_one_by_one() {
        let (mut one_by_one, mut at_once, options) =
            (Sessions::default(), Sessions::default(), options(10_000, Overflow::Reject));
        assert_eq!(at_once.credit(&options, 0, ME), (0, 0), "there is no segment to append to");
        one_by_one.stage(&options, 0, ME, 10, 0);
        at_once.stage(&options, 0, ME, 10, 0);
        assert_eq!(at_once.credit(&options, 0, ME), (90, 15));
        for (size, ordering_key) in [(20, 0), (30, 7), (40, 0)] {
            assert_eq!(one_by_one.stage(&options, 0, ME, size, ordering_key), opens(false));
        }
        at_once.stage_many(ME, &[20, 30, 40], &[0, 7]);
        assert_eq!(at_once.credit(&options, 0, ME), (0, 12));
        assert_eq!((at_once.events(), at_once.bytes()), (one_by_one.events(), one_by_one.bytes()));
        assert_eq!(at_once.stage(&options, 0, ME, 1, 0), opens(true));
        assert_eq!(one_by_one.stage(&options, 0, ME, 1, 0), opens(true));
        assert_eq!(at_once.take(ME), one_by_one.take(ME));
        at_once.stage_many(ME, &[1], &[]);
        assert_eq!(at_once.events(), 0, "a session that has nothing staged has nothing to append to");
    }

    #[test]
    fn there_is_no_ease_beyond_the_limit() {
        let (mut sessions, options) = (Sessions::default(), options(50, Overflow::Reject));
        sessions.stage(&options, 0, ME, 20, 0);
        sessions.stage(&options, 0, SessionId(2), 10, 0);
        assert_eq!(sessions.credit(&options, 15, ME), (5, 15));
        assert_eq!(sessions.credit(&options, 25, ME), (0, 15));
    }

    #[test]
    fn what_can_never_fit_costs_nobody_his_place() {
        let (mut sessions, options) = (Sessions::default(), options(50, Overflow::DropOldest));
        sessions.stage(&options, 0, ME, 20, 0);
        assert_eq!(sessions.stage(&options, 0, ME, 51, 0), Staged::Dropped);
        assert_eq!(sessions.events(), 1);
    }

    #[test]
    fn what_would_not_fit_without_its_whole_session_leaves_the_session_as_it_was() {
        let (mut sessions, options) = (Sessions::default(), options(50, Overflow::DropOldest));
        sessions.stage(&options, 0, SessionId(2), 30, 0);
        sessions.stage(&options, 0, ME, 10, 0);
        assert_eq!(sessions.stage(&options, 5, ME, 20, 0), Staged::Dropped);
        assert_eq!((sessions.events(), sessions.take(ME).len()), (2, 1));
    }

    #[test]
    fn dropped_events_are_not_committed() {
        let (mut sessions, options) = (Sessions::default(), options(100, Overflow::DropOldest));
        for size in [60, 30, 10, 55] {
            sessions.stage(&options, 0, ME, size, size);
        }
        let sizes: Vec<u32> = sessions.take(ME).into_iter().flat_map(|contents| contents.sizes).collect();
        assert_eq!(sizes, [30, 10, 55]);
        assert_eq!((sessions.events(), sessions.bytes()), (0, 0));
    }
}
