//! The machine: when to write, send, back off, and read from the store. For the states of an event see
//! [`super`].
//!
//! ```text
//!   open ──> writes: one at a time ───────────────> accepted
//!     │
//!   lead ──> peek ──> window of segments ──> batch ──> send ──┬─ accepted ───> delivered
//!              ▲                               ▲ ▲            ├─ retry ──────> delay, then the same batch
//!              │ capacity in the window        │ └── halves ──┼─ rejected or too large, several events
//!              └───────────────────────────────┘              └─ rejected, one event ──> dead
//! ```
//!
//! This file has staging, and the order of each step. `store` has what the store tells, `requests` what is sent,
//! `outcomes` what responses mean for events. The parts of the state, each with rules of its own, are
//! `Capacity`, `StoreSync`, `Writes` and `Delivery`. None of them knows bodies, keys of the store or
//! HTTP headers.

mod outcomes;
mod requests;
mod store;

use super::Options;
use super::capacity::Capacity;
use super::counters::Counters;
use super::delivery::{Delivery, SentBatch};
use super::effect::Effect;
use super::expiry::{ExpiryTimes, WallClock};
use super::segment::{Segment, SegmentId, StoreState};
use super::session::{Contents, Grouping, SessionId, StageResult};
use super::store_sync::StoreSync;
use super::writes::Writes;
use crate::base::http::Failure;
use crate::base::ids::Counter;
use crate::base::time::{Deadline, Moment};
use crate::engine::exchange::Exchanges;
use crate::engine::machine::{Input, Machine, Output, Poll};
use crate::engine::ordered_map::OrderedMap;

/// Later than everything that is waited for.
const FAR: Moment = Moment::from_millis(u64::MAX);

/// The machine.
#[derive(Clone, Debug)]
pub struct Outbox {
    options: Options,
    now: Moment,
    wall_clock: WallClock,
    is_leader: bool,
    counters: Counters,
    committed_ids: Counter,
    found_ids: Counter,
    /// The segments that are known here.
    segments: OrderedMap<SegmentId, Segment>,
    capacity: Capacity,
    store: StoreSync,
    writes: Writes,
    delivery: Delivery,
    exchanges: Exchanges<SentBatch, Effect>,
}

impl Outbox {
    /// An outbox whose store is not open yet. The seed is for the jitter of delays.
    pub fn new(options: Options, seed: u64) -> Self {
        Self {
            now: Moment::default(),
            wall_clock: WallClock::default(),
            is_leader: false,
            counters: Counters::default(),
            committed_ids: Counter::default(),
            found_ids: Counter::default(),
            segments: OrderedMap::new(),
            capacity: Capacity::default(),
            store: StoreSync::new(),
            writes: Writes::default(),
            delivery: Delivery::new(&options, seed),
            exchanges: Exchanges::new(),
            options,
        }
    }

    /// Stages an event of `size` bytes. Events with the same ordering key other than 0 keep their order.
    pub fn stage(&mut self, session: SessionId, size: u32, ordering_key: u32) -> StageResult {
        let result = self.capacity.stage(&self.options, session, size, ordering_key);
        match result {
            StageResult::Staged { dropped, .. } => self.counters.dropped_oldest += u64::from(dropped),
            StageResult::Refused => self.counters.refused += 1,
            StageResult::Dropped => self.counters.dropped_newest += 1,
        }
        self.update_pressure();
        result
    }

    /// How much more fits behind the staged events of a session: bytes, and events.
    pub fn credit(&self, session: SessionId) -> (u64, u32) {
        self.capacity.credit(&self.options, session)
    }

    /// Stages events for which there was [`Outbox::credit`].
    pub fn stage_many(&mut self, session: SessionId, sizes: &[u32], ordering_keys: &[u32]) {
        self.capacity.stage_many(session, sizes, ordering_keys);
        self.update_pressure();
    }

    /// Drops the staged events of a session. Returns how many there were.
    pub fn roll_back(&mut self, session: SessionId) -> u32 {
        let dropped = self.capacity.take_staged(session).iter().map(Contents::len).sum();
        self.update_pressure();
        dropped
    }

    /// Commits the staged events of a session, all or nothing. Returns the new segments in order.
    pub fn commit(&mut self, now: Moment, session: SessionId, grouping: Grouping) -> Vec<SegmentId> {
        let contents = self.capacity.take_staged(session);
        let bytes = contents.iter().map(Contents::bytes).sum();
        let mut ids = Vec::new();
        for contents in contents {
            ids.push(self.add_new(now, Contents { grouping, ..contents }));
        }
        if !ids.is_empty() {
            self.capacity.commit(bytes);
            self.writes.commit(ids.clone(), bytes);
        }
        self.advance(now);
        ids
    }

    /// Stages segments again, in front of what their session has staged: the store did not open. Returns those
    /// that were staged; events that a closing page has sent stay committed.
    pub fn uncommit(&mut self, now: Moment, session: SessionId, ids: Vec<SegmentId>) -> Vec<SegmentId> {
        let is_unsent = |id: &SegmentId| {
            self.segments
                .get(*id)
                .is_some_and(|segment| segment.store_state != StoreState::Written && segment.is_untouched())
        };
        let staged: Vec<SegmentId> = ids.into_iter().filter(is_unsent).collect();
        let mut all = Vec::new();
        for id in &staged {
            let Some(segment) = self.segments.remove(*id) else { continue };
            self.writes.cancel(*id, segment.contents().bytes());
            all.push(segment.contents().clone());
        }
        self.capacity.uncommit(session, all);
        self.advance(now);
        staged
    }

    /// Commits events again that were committed in a discarded engine.
    pub fn recommit(&mut self, now: Moment, contents: Contents) -> SegmentId {
        let bytes = contents.bytes();
        let id = self.add_new(now, contents);
        self.capacity.commit(bytes);
        self.writes.commit(vec![id], bytes);
        self.advance(now);
        id
    }

    /// Events of a segment expire by an attribute of their own. The wall clock has to be set.
    pub fn set_expiry_times(&mut self, id: SegmentId, times: ExpiryTimes) {
        if let Some(segment) = self.segments.get_mut(id) {
            segment.expiry_times = times;
        }
    }

    /// Sets the clock by which events expire.
    pub fn set_wall_clock(&mut self, clock: WallClock) {
        self.wall_clock = clock;
    }

    /// The counters.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The number of staged events.
    pub fn staged(&self) -> u64 {
        self.capacity.staged()
    }

    /// Bytes of staged, committed and dead events.
    pub fn bytes(&self) -> u64 {
        self.capacity.bytes()
    }

    /// Whether there is nothing to write, to send, or to find in the store.
    pub fn is_drained(&self) -> bool {
        let is_searching = self.is_leader && self.store.has_unknown();
        self.store.is_open()
            && !is_searching
            && self.counters.pending() == 0
            && self.is_settled()
            && self.segments.is_empty()
    }

    /// Whether all changes are written and no request is in flight.
    pub fn is_settled(&self) -> bool {
        self.writes.is_idle() && self.exchanges.in_flight() == 0
    }

    fn add_new(&mut self, now: Moment, contents: Contents) -> SegmentId {
        let id = SegmentId::committed(self.committed_ids.advance());
        let expires = now.after(self.options.max_age);
        self.segments.insert(id, Segment::new(contents, StoreState::Queued, now, expires));
        id
    }

    fn update_pressure(&mut self) {
        if let Some(is_high) = self.capacity.pressure_change(&self.options) {
            self.exchanges.emit(Effect::Pressure(is_high));
        }
    }

    fn advance(&mut self, now: Moment) {
        self.tick(now);
        self.release_idle();
        self.write();
        self.dispatch();
        // The requests that were started are recorded.
        self.write();
        self.peek_store();
        self.update_pressure();
    }

    fn tick(&mut self, now: Moment) {
        self.now = self.now.max(now);
        for id in self.exchanges.ids_where(|sent| sent.times_out_at <= self.now) {
            if let Some(sent) = self.exchanges.cancel(id) {
                self.record_progress(&sent.batch);
                self.apply_outcome(sent, &Err(Failure::Timeout));
            }
        }
    }

    /// When the machine has to be called next. Times in the past are ignored: what is due then waits for
    /// something else.
    fn deadline(&self) -> Deadline {
        let (now, mut next) = (self.now, FAR);
        let mut consider = |at: Moment| {
            if at > now && at < next {
                next = at;
            }
        };
        if self.store.is_open() {
            consider(self.writes.retry_at().unwrap_or(FAR));
        }
        for sent in self.exchanges.values() {
            consider(sent.times_out_at);
        }
        let has_events = !self.segments.is_empty() || self.delivery.has_queued();
        if has_events && !self.delivery.is_paused {
            consider(self.delivery.breaker.delay_until());
            for segment in self.segments.values() {
                consider(segment.next_retry().unwrap_or(FAR));
                if !self.delivery.is_flushing {
                    consider(segment.since.after(self.options.linger));
                }
            }
        }
        if self.is_leader {
            consider(self.store.next_peek().unwrap_or(FAR));
        }
        if next == FAR { Deadline::Never } else { Deadline::At(next) }
    }
}

impl Machine for Outbox {
    type Input = Input;
    type Output = Output<Effect>;

    fn handle(&mut self, now: Moment, input: Input) {
        if let Input::Exchange(id, outcome) = input
            && let Some(sent) = self.finish(id)
        {
            self.now = self.now.max(now);
            self.apply_outcome(sent, &outcome);
        }
        self.advance(now);
    }

    fn poll(&mut self) -> Poll<Output<Effect>> {
        self.exchanges.next_output().map_or_else(|| Poll::Wait(self.deadline()), Poll::Do)
    }
}
