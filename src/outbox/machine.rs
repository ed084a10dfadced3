//! The machine: when to write, send, rest and look for more. The states of an event are drawn in [`super`].
//!
//! ```text
//!   open ──> writes: one at a time ───────────────> accepted
//!     │
//!   lead ──> look ──> window of segments ──> batch ──> send ──┬─ taken ──────> delivered
//!              ▲                               ▲ ▲            ├─ later ──────> rest, same batch again
//!              │ the window has room           │ └── halves ──┼─ poison, too large, of several
//!              └───────────────────────────────┘              └─ poison alone ──> dead
//! ```
//!
//! What lives here: the state, staging, and the order of things in each step. `keeping` talks to the store, `sending` to the server. What
//! none of them must know: bodies, keys of the store, HTTP headers.

mod delivery;
mod store_sync;

use std::collections::VecDeque;

use super::Options;
use super::counters::Counters;
use super::effect::Effect;
use super::segment::{Part, Segment, SegmentId, State, Stored};
use super::session::{Contents, Grouping, SessionId, Sessions, Staged};
use super::writes::Writes;
use crate::base::error::{Code, Error};
use crate::base::http::Failure;
use crate::base::ids::Counter;
use crate::base::time::{Deadline, Millis, Moment};
use crate::engine::backoff::Backoff;
use crate::engine::exchange::Exchanges;
use crate::engine::jitter::Rng;
use crate::engine::machine::{Input, Machine, Output};
use crate::engine::ordered_map::OrderedMap;

#[derive(Clone, Debug)]
struct Flight {
    batch: Vec<Part>,
    started: Moment,
    overdue: Moment,
}

/// After so many failures in a row only a few events are sent, as a probe, and rests are long.
const BREAKER: u32 = 8;
const PROBE_EVENTS: u32 = 10;
/// No server may ask for a longer rest.
const LONGEST_HINT: Millis = Millis(60 * 60 * 1000);
/// How many batches the window has room for.
const WINDOW: u32 = 8;
/// The rest after a failed look.
const LOOK_REST: Millis = Millis(1000);

/// The machine.
#[derive(Clone, Debug)]
pub struct Outbox {
    options: Options,
    rng: Rng,
    backoff: Backoff,
    now: Moment,
    counters: Counters,
    sessions: Sessions,
    own_ids: Counter,
    found_ids: Counter,
    segments: OrderedMap<SegmentId, Segment>,
    /// Our own that only the store has: how many events of each are not gone, and their bytes.
    evicted: OrderedMap<SegmentId, (u32, u64)>,
    /// What the store had when it was opened and nobody has peeked at yet.
    unseen: (u64, u64),
    writes: Writes,
    /// Batches with their events taken that wait for their turn.
    plans: VecDeque<Vec<Part>>,
    exchanges: Exchanges<Flight, Effect>,
    /// Bytes of committed events that are not gone, and of dead letters.
    held: u64,
    /// As much of `held` as waits for its first write.
    unwritten: u64,
    is_open: bool,
    leads: bool,
    is_paused: bool,
    is_pressed: bool,
    rush: bool,
    failures: u32,
    rest_until: Moment,
    /// Until when the server has asked us to rest.
    asked_until: Moment,
    batch_bytes: u64,
    requests_left: u32,
    /// The store may have segments that are not known here.
    beyond: bool,
    /// Since we lead, the store has not been peeked through to its end: it may have older events of every ordering key.
    is_new: bool,
    /// Counts what makes `beyond` true.
    epoch: u32,
    looking: Option<u32>,
    look_at: Moment,
}

impl Outbox {
    /// An outbox whose store is not open yet. The seed feeds the jitter of the rests.
    pub fn new(options: Options, seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            backoff: Backoff::new(options.base, options.max, 0),
            batch_bytes: options.batch_bytes,
            options,
            now: Moment::default(),
            counters: Counters::default(),
            sessions: Sessions::default(),
            own_ids: Counter::default(),
            found_ids: Counter::default(),
            segments: OrderedMap::new(),
            evicted: OrderedMap::new(),
            unseen: (0, 0),
            writes: Writes::default(),
            plans: VecDeque::new(),
            exchanges: Exchanges::new(),
            held: 0,
            unwritten: 0,
            is_open: false,
            leads: false,
            is_paused: false,
            is_pressed: false,
            rush: false,
            failures: 0,
            rest_until: Moment::default(),
            asked_until: Moment::default(),
            requests_left: u32::MAX,
            beyond: false,
            is_new: true,
            epoch: 0,
            looking: None,
            look_at: Moment::default(),
        }
    }

    /// Stages an event of so many bytes. Events with the same ordering key other than 0 keep their order.
    pub fn stage(&mut self, session: SessionId, size: u32, ordering_key: u32) -> Staged {
        let staged = self.sessions.stage(&self.options, self.held, session, size, ordering_key);
        match staged {
            Staged::In { dropped, .. } => self.counters.dropped_oldest += u64::from(dropped),
            Staged::Refused => self.counters.refused += 1,
            Staged::Dropped => self.counters.dropped_newest += 1,
        }
        self.feel_pressure();
        staged
    }

    /// How much more surely fits behind what a session has staged: bytes, and events.
    pub fn credit(&self, session: SessionId) -> (u64, u32) {
        self.sessions.credit(&self.options, self.held, session)
    }

    /// Stages events for which there was [`Outbox::credit`].
    pub fn stage_many(&mut self, session: SessionId, sizes: &[u32], ordering_keys: &[u32]) {
        self.sessions.stage_many(session, sizes, ordering_keys);
        self.feel_pressure();
    }

    /// Drops what a session has staged and gives its number.
    pub fn roll_back(&mut self, session: SessionId) -> u32 {
        let dropped = self.sessions.take(session).iter().map(Contents::len).sum();
        self.feel_pressure();
        dropped
    }

    /// Hands what a session has staged over to be stored, all or nothing. Gives the new segments in their order.
    pub fn commit(&mut self, now: Moment, session: SessionId, grouping: Grouping) -> Vec<SegmentId> {
        let contents = self.sessions.take(session);
        let bytes = contents.iter().map(Contents::bytes).sum();
        let ids: Vec<SegmentId> = contents
            .into_iter()
            .map(|contents| self.add_new(now, Contents { grouping, ..contents }))
            .collect();
        if !ids.is_empty() {
            self.held += bytes;
            self.unwritten += bytes;
            self.writes.commit(ids.clone(), bytes);
        }
        self.go_on(now);
        ids
    }

    /// Takes events over that were committed before the engine was thrown away.
    pub fn recommit(&mut self, now: Moment, contents: Contents) -> SegmentId {
        let bytes = contents.bytes();
        let id = self.add_new(now, contents);
        self.held += bytes;
        self.unwritten += bytes;
        self.writes.commit(vec![id], bytes);
        self.go_on(now);
        id
    }

    /// The counters.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Events that are staged.
    pub fn staged(&self) -> u64 {
        self.sessions.events()
    }

    /// Bytes that are staged, stored, or about to be.
    pub fn bytes(&self) -> u64 {
        self.held + self.sessions.bytes()
    }

    /// Whether there is nothing to write, to send, or to look for.
    pub fn is_quiet(&self) -> bool {
        self.is_open && self.counters.pending() == 0 && self.is_settled() && self.segments.is_empty()
    }

    /// Whether all that was decided is written and nothing is under way.
    pub fn is_settled(&self) -> bool {
        self.writes.is_idle() && self.exchanges.in_flight() == 0
    }

    fn add_new(&mut self, now: Moment, contents: Contents) -> SegmentId {
        let id = SegmentId::own(self.own_ids.advance());
        let expires = now.after(self.options.max_age);
        self.segments.insert(id, Segment::new(contents, Stored::Queued, now, expires));
        id
    }

    /// Segments whose events do not count as accepted yet.
    fn uncounted(&self) -> impl Iterator<Item = &Segment> {
        self.segments.values().filter(|segment| segment.stored != Stored::Kept)
    }

    fn feel_pressure(&mut self) {
        let (used, most) = (self.bytes().saturating_mul(5), self.options.max_bytes);
        let is_pressed = used >= most.saturating_mul(if self.is_pressed { 3 } else { 4 }) && used > 0;
        if is_pressed != self.is_pressed {
            self.is_pressed = is_pressed;
            self.exchanges.emit(Effect::Pressure(is_pressed));
        }
    }

    fn go_on(&mut self, now: Moment) {
        self.tick(now);
        self.hand_off();
        self.write();
        self.dispatch();
        self.look();
        self.feel_pressure();
    }

    fn tick(&mut self, now: Moment) {
        self.now = self.now.max(now);
        for id in self.exchanges.ids_where(|flight| flight.overdue <= self.now) {
            if let Some(flight) = self.exchanges.cancel(id) {
                self.judge(flight, &Err(Failure::Timeout));
            }
        }
        let old: Vec<SegmentId> = self
            .segments
            .iter()
            .filter(|(_, segment)| segment.expires <= self.now)
            .map(|(id, _)| id)
            .collect();
        if !old.is_empty() {
            for batch in core::mem::take(&mut self.plans) {
                self.give_back(&batch);
            }
        }
        for id in old {
            let Some(segment) = self.segments.get(id) else { continue };
            let ready: Vec<u32> =
                segment.kept().into_iter().filter(|index| segment.state(*index) == State::Ready).collect();
            for index in ready {
                self.die(id, index, Error::new(Code::Expired));
            }
        }
    }

    /// The next moment at which something happens by itself. What is due already waits for something else.
    fn deadline(&self) -> Deadline {
        let mut next: Option<Moment> = None;
        let mut consider = |at: Option<Moment>| {
            if let Some(at) = at.filter(|at| *at > self.now) {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        };
        if self.is_open {
            consider(self.writes.wakes());
        }
        consider(self.exchanges.values().map(|flight| flight.overdue).min());
        let has_something = !self.segments.is_empty() || !self.plans.is_empty();
        if has_something && !self.is_paused {
            consider(Some(self.rest_until));
            for segment in self.segments.values() {
                consider(segment.next_rest());
                consider((!self.rush).then(|| segment.since.after(self.options.linger)));
            }
        }
        for segment in self.segments.values() {
            consider(Some(segment.expires));
        }
        if self.beyond && self.leads {
            consider(Some(self.look_at));
        }
        next.map_or(Deadline::Never, Deadline::At)
    }
}

impl Machine for Outbox {
    type Event = Effect;

    fn handle(&mut self, now: Moment, input: Input) {
        if let Input::Exchange(id, outcome) = input
            && let Some(flight) = self.exchanges.finish(id)
        {
            self.now = self.now.max(now);
            self.judge(flight, &outcome);
        }
        self.go_on(now);
    }

    fn poll(&mut self) -> Output<Effect> {
        self.exchanges.poll().unwrap_or_else(|| Output::Wait(self.deadline()))
    }
}
