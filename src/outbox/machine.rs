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
//! This file has the state, staging, and the order of each step. `store_sync` deals with the store,
//! `delivery` with the server. None of them knows bodies, keys of the store or HTTP headers.

mod delivery;
mod store_sync;

use std::collections::VecDeque;

use super::Options;
use super::bisection::Bisection;
use super::counters::Counters;
use super::effect::Effect;
use super::expiry::{ExpiryTimes, WallClock};
use super::segment::{EventRange, Segment, SegmentId, StoreState};
use super::session::{Contents, Grouping, SessionId, Sessions, StageResult};
use super::writes::Writes;
use crate::base::http::Failure;
use crate::base::ids::Counter;
use crate::base::time::{Deadline, Millis, Moment};
use crate::engine::backoff::Backoff;
use crate::engine::exchange::Exchanges;
use crate::engine::jitter::Rng;
use crate::engine::machine::{Input, Machine, Output, Poll};
use crate::engine::ordered_map::OrderedMap;

/// The batch of a request in flight.
#[derive(Clone, Debug)]
struct SentBatch {
    batch: Vec<EventRange>,
    sent_at: Moment,
    times_out_at: Moment,
}

impl SentBatch {
    fn has(&self, segment: SegmentId, index: u32) -> bool {
        self.batch.iter().any(|range| range.segment == segment && range.from <= index && index < range.to)
    }
}

/// After this many failures in a row, requests are probes with few events, and delays are long.
const BREAKER_FAILURES: u32 = 8;
const PROBE_EVENTS: u32 = 10;
/// Upper limit of the delays when it seems that an extension of the browser blocks all requests.
const MAX_BLOCKED_DELAY: Millis = Millis(60 * 60 * 1000);
/// Upper limit for `Retry-After`.
const MAX_RETRY_AFTER: Millis = Millis(60 * 60 * 1000);
/// The capacity of the window, in batches.
const WINDOW_BATCHES: u32 = 8;
/// The delay after a failed peek.
const PEEK_RETRY_DELAY: Millis = Millis(1000);

/// The machine.
#[derive(Clone, Debug)]
pub struct Outbox {
    options: Options,
    rng: Rng,
    backoff: Backoff,
    now: Moment,
    counters: Counters,
    sessions: Sessions,
    committed_ids: Counter,
    found_ids: Counter,
    segments: OrderedMap<SegmentId, Segment>,
    /// Segments that were committed here and are only in the store: the number and bytes of their pending
    /// events.
    evicted: OrderedMap<SegmentId, (u32, u64)>,
    /// Events and bytes that the store had when it was opened and that were not found yet.
    unseen: (u64, u64),
    writes: Writes,
    /// Batches that wait to be sent.
    queued: VecDeque<Vec<EventRange>>,
    exchanges: Exchanges<SentBatch, Effect>,
    /// Bytes of committed events that are not settled, and of dead letters.
    held_bytes: u64,
    /// The part of `held_bytes` that waits for its first write.
    unwritten_bytes: u64,
    is_open: bool,
    is_leader: bool,
    is_paused: bool,
    is_pressure_high: bool,
    /// Ready events do not wait for others.
    is_flushing: bool,
    failures: u32,
    /// How many requests in a row the browser has refused without a reason.
    blocked: u32,
    backoff_until: Moment,
    /// Until when the server asked to wait.
    retry_after_until: Moment,
    batch_bytes: u64,
    /// The batch that is being halved.
    bisection: Option<Bisection>,
    requests_left: u32,
    /// The store may have segments that are not known here.
    has_unknown: bool,
    /// Not all segments were found since this outbox leads: the store may have older events of every ordering
    /// key.
    is_unscanned: bool,
    /// Counts the changes that set `has_unknown`.
    store_version: u32,
    /// The `store_version` for which a peek runs.
    peeking: Option<u32>,
    peek_not_before: Moment,
    wall_clock: WallClock,
}

impl Outbox {
    /// An outbox whose store is not open yet. The seed is for the jitter of delays.
    pub fn new(options: Options, seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            backoff: Backoff::new(options.base_delay, options.max_delay, 0),
            batch_bytes: options.batch_bytes,
            options,
            now: Moment::default(),
            counters: Counters::default(),
            sessions: Sessions::default(),
            committed_ids: Counter::default(),
            found_ids: Counter::default(),
            segments: OrderedMap::new(),
            evicted: OrderedMap::new(),
            unseen: (0, 0),
            writes: Writes::default(),
            queued: VecDeque::new(),
            exchanges: Exchanges::new(),
            held_bytes: 0,
            unwritten_bytes: 0,
            is_open: false,
            is_leader: false,
            is_paused: false,
            is_pressure_high: false,
            is_flushing: false,
            failures: 0,
            blocked: 0,
            backoff_until: Moment::default(),
            retry_after_until: Moment::default(),
            bisection: None,
            requests_left: u32::MAX,
            has_unknown: false,
            is_unscanned: true,
            store_version: 0,
            peeking: None,
            peek_not_before: Moment::default(),
            wall_clock: WallClock::default(),
        }
    }

    /// Stages an event of `size` bytes. Events with the same ordering key other than 0 keep their order.
    pub fn stage(&mut self, session: SessionId, size: u32, ordering_key: u32) -> StageResult {
        let result = self.sessions.stage(&self.options, self.held_bytes, session, size, ordering_key);
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
        self.sessions.credit(&self.options, self.held_bytes, session)
    }

    /// Stages events for which there was [`Outbox::credit`].
    pub fn stage_many(&mut self, session: SessionId, sizes: &[u32], ordering_keys: &[u32]) {
        self.sessions.stage_many(session, sizes, ordering_keys);
        self.update_pressure();
    }

    /// Drops the staged events of a session. Returns how many there were.
    pub fn roll_back(&mut self, session: SessionId) -> u32 {
        let dropped = self.sessions.take(session).iter().map(Contents::len).sum();
        self.update_pressure();
        dropped
    }

    /// Commits the staged events of a session, all or nothing. Returns the new segments in order.
    pub fn commit(&mut self, now: Moment, session: SessionId, grouping: Grouping) -> Vec<SegmentId> {
        let contents = self.sessions.take(session);
        let bytes = contents.iter().map(Contents::bytes).sum();
        let ids: Vec<SegmentId> = contents
            .into_iter()
            .map(|contents| self.add_new(now, Contents { grouping, ..contents }))
            .collect();
        if !ids.is_empty() {
            self.held_bytes += bytes;
            self.unwritten_bytes += bytes;
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
            let bytes = segment.contents().bytes();
            self.held_bytes = self.held_bytes.saturating_sub(bytes);
            self.unwritten_bytes = self.unwritten_bytes.saturating_sub(bytes);
            self.writes.cancel(*id, bytes);
            all.push(segment.contents().clone());
        }
        self.sessions.restage(session, all);
        self.advance(now);
        staged
    }

    /// Commits events again that were committed in a discarded engine.
    pub fn recommit(&mut self, now: Moment, contents: Contents) -> SegmentId {
        let bytes = contents.bytes();
        let id = self.add_new(now, contents);
        self.held_bytes += bytes;
        self.unwritten_bytes += bytes;
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
        self.sessions.events()
    }

    /// Bytes of staged, committed and dead events.
    pub fn bytes(&self) -> u64 {
        self.held_bytes + self.sessions.bytes()
    }

    /// Whether there is nothing to write, to send, or to find in the store.
    pub fn is_drained(&self) -> bool {
        let is_searching = self.is_leader && self.has_unknown;
        self.is_open
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

    /// Segments whose events are not counted as accepted yet.
    fn unaccepted(&self) -> impl Iterator<Item = &Segment> {
        self.segments.values().filter(|segment| segment.store_state != StoreState::Written)
    }

    fn update_pressure(&mut self) {
        let (used, limit) = (self.bytes().saturating_mul(5), self.options.max_bytes);
        let is_high = used >= limit.saturating_mul(if self.is_pressure_high { 3 } else { 4 }) && used > 0;
        if is_high != self.is_pressure_high {
            self.is_pressure_high = is_high;
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
        let mut next: Option<Moment> = None;
        let mut consider = |at: Option<Moment>| {
            if let Some(at) = at.filter(|at| *at > self.now) {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        };
        if self.is_open {
            consider(self.writes.retry_at());
        }
        consider(self.exchanges.values().map(|sent| sent.times_out_at).min());
        let has_events = !self.segments.is_empty() || !self.queued.is_empty();
        if has_events && !self.is_paused {
            consider(Some(self.backoff_until));
            for segment in self.segments.values() {
                consider(segment.next_retry());
                consider((!self.is_flushing).then(|| segment.since.after(self.options.linger)));
            }
        }
        if self.has_unknown && self.is_leader {
            consider(Some(self.peek_not_before));
        }
        next.map_or(Deadline::Never, Deadline::At)
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
