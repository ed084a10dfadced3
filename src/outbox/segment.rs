//! Segments: events that are stored together, and the state of each.
//!
//! ```text
//!   of a segment:  queued ──> written           of an event:  ready <──> batched ──> settled
//!                    │           ▲
//!                    └> failed ──┘
//! ```

use super::expiry::ExpiryTimes;
use super::session::Contents;
use crate::base::time::Moment;
use crate::engine::ordered_map::key;

/// The handle of a segment. Higher numbers are younger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u32);

key!(SegmentId);

/// Segments committed here have higher numbers than those found in the store, which are older.
const FIRST_COMMITTED: u32 = 1 << 31;

impl SegmentId {
    /// Lower than all others.
    pub const FIRST: Self = Self(0);

    /// The handle of a segment that is committed here.
    pub const fn committed(count: u32) -> Self {
        Self(FIRST_COMMITTED | count)
    }

    /// Whether it was committed here.
    pub const fn is_committed(self) -> bool {
        self.0 >= FIRST_COMMITTED
    }
}

/// Consecutive events of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRange {
    /// The segment.
    pub segment: SegmentId,
    /// The first index.
    pub from: u32,
    /// The index after the last.
    pub to: u32,
}

impl EventRange {
    /// The number of events.
    pub const fn len(self) -> u32 {
        self.to - self.from
    }

    /// Whether there are no events.
    pub const fn is_empty(self) -> bool {
        self.to == self.from
    }
}

/// Whether a segment is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// It waits for its first write, or is being written.
    Queued,
    /// Its write failed at least once. It may be sent from memory.
    Failed,
    /// It is written.
    Written,
}

/// Where one event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// To be sent.
    Ready,
    /// In a request, or in a batch that is queued.
    Batched,
    /// Delivered or dead.
    Settled,
}

#[derive(Clone, Copy, Debug)]
struct EventStatus {
    state: State,
    /// In how many requests it was.
    attempts: u8,
}

/// A segment that is known here.
#[derive(Clone, Debug)]
pub struct Segment {
    contents: Contents,
    events: Vec<EventStatus>,
    pending: u32,
    /// When each event may be sent that waits for a retry, and zero for the others. Empty if none has waited.
    retry_times: Vec<Moment>,
    /// Whether it is in the store.
    pub store_state: StoreState,
    /// It belongs to another leader: it is not sent, and forgotten as soon as its changes are written.
    pub is_released: bool,
    /// When it was committed or found.
    pub since: Moment,
    /// From when on a failed request makes dead letters of its events.
    pub expires: Moment,
    /// When its events expire by an attribute of their own.
    pub expiry_times: ExpiryTimes,
}

impl Segment {
    /// A segment with all events ready.
    pub fn new(contents: Contents, store_state: StoreState, since: Moment, expires: Moment) -> Self {
        let events = vec![EventStatus { state: State::Ready, attempts: 0 }; contents.sizes.len()];
        Self {
            pending: contents.len(),
            contents,
            events,
            retry_times: Vec::new(),
            store_state,
            is_released: false,
            since,
            expires,
            expiry_times: ExpiryTimes::default(),
        }
    }

    /// Sizes and ordering keys.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The number of events, settled ones included.
    pub fn len(&self) -> u32 {
        self.contents.len()
    }

    /// Whether it has no events.
    pub fn is_empty(&self) -> bool {
        self.contents.is_empty()
    }

    /// The number of events that are not settled.
    pub fn pending(&self) -> u32 {
        self.pending
    }

    /// Bytes of the events that are not settled.
    pub fn pending_bytes(&self) -> u64 {
        self.pending_indices().into_iter().map(|index| self.contents.size(index)).sum()
    }

    /// Indices of the events that are not settled.
    pub fn pending_indices(&self) -> Vec<u32> {
        (0..self.len()).filter(|index| self.state(*index) != State::Settled).collect()
    }

    /// Ordering keys of the events that are not settled, without 0.
    pub fn pending_ordering_keys(&self) -> impl Iterator<Item = u32> + '_ {
        let ordering_keys = self.contents.ordering_keys.iter().zip(&self.events);
        ordering_keys
            .filter(|(ordering_key, event)| **ordering_key != 0 && event.state != State::Settled)
            .map(|(ordering_key, _)| *ordering_key)
    }

    /// The state of an event.
    pub fn state(&self, index: u32) -> State {
        self.events.get(index as usize).map_or(State::Settled, |event| event.state)
    }

    /// In how many requests an event was.
    pub fn attempts(&self, index: u32) -> u32 {
        self.events.get(index as usize).map_or(0, |event| event.attempts.into())
    }

    /// Continues with the number of requests of an earlier program.
    pub fn resume(&mut self, index: u32, attempts: u32, not_before: Option<Moment>) {
        if let Some(event) = self.events.get_mut(index as usize) {
            event.attempts = u8::try_from(attempts).unwrap_or(u8::MAX);
        }
        if let Some(not_before) = not_before {
            self.set_retry(index, not_before);
        }
    }

    /// When an event that waits for a retry may be sent.
    pub fn retry_at(&self, index: u32) -> Option<Moment> {
        self.retry_times.get(index as usize).copied().filter(|at| *at > Moment::default())
    }

    /// Whether all events are ready and none waits for a retry.
    pub fn is_untouched(&self) -> bool {
        self.pending == self.len()
            && self.next_retry().is_none()
            && self.events.iter().all(|event| event.state == State::Ready)
    }

    /// Whether all events may be sent now, in any order.
    pub fn is_plain(&self) -> bool {
        self.contents.ordering_keys.is_empty() && self.is_untouched()
    }

    /// When the first event that waits for a retry may be sent.
    pub fn next_retry(&self) -> Option<Moment> {
        self.retry_times.iter().copied().filter(|at| *at > Moment::default()).min()
    }

    /// Puts events into a batch.
    pub fn mark_batched(&mut self, from: u32, to: u32) {
        for index in from..to {
            self.set_retry(index, Moment::default());
            self.set(index, State::Batched);
        }
    }

    /// Counts a request with these events.
    pub fn count_attempt(&mut self, from: u32, to: u32) {
        for event in self.events.get_mut(from as usize..to as usize).unwrap_or_default() {
            event.attempts = event.attempts.saturating_add(1);
        }
    }

    /// Takes back `count_attempt`, because the request was not sent.
    pub fn uncount_attempt(&mut self, from: u32, to: u32) {
        for event in self.events.get_mut(from as usize..to as usize).unwrap_or_default() {
            event.attempts = event.attempts.saturating_sub(1);
        }
    }

    /// Makes an event ready again, from `retry_at` on if given.
    pub fn requeue(&mut self, index: u32, retry_at: Option<Moment>) {
        if self.state(index) == State::Settled {
            return;
        }
        self.set(index, State::Ready);
        if let Some(retry_at) = retry_at {
            self.set_retry(index, retry_at);
        }
    }

    /// Settles an event that is delivered or dead. False if it was settled before.
    pub fn settle(&mut self, index: u32) -> bool {
        if self.state(index) == State::Settled {
            return false;
        }
        self.set_retry(index, Moment::default());
        self.set(index, State::Settled);
        self.pending -= 1;
        true
    }

    fn set_retry(&mut self, index: u32, at: Moment) {
        if self.retry_times.is_empty() && at > Moment::default() {
            self.retry_times = vec![Moment::default(); self.events.len()];
        }
        if let Some(time) = self.retry_times.get_mut(index as usize) {
            *time = at;
        }
    }

    fn set(&mut self, index: u32, state: State) {
        if let Some(event) = self.events.get_mut(index as usize) {
            event.state = state;
        }
    }
}
