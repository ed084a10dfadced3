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
//! What lives here: the order of things. What this file must not know: bodies, keys of the store, HTTP headers.

use std::collections::VecDeque;

use super::answer::{Answer, judge, judge_status};
use super::batch::{self, Haste, Terms, split};
use super::ledger::Ledger;
use super::segment::{Part, Segment, SegmentId, State, Stored};
use super::session::{Contents, SessionId, Sessions, Staged};
use super::writes::{Put, Write, Writes};
use super::{Options, Overflow};
use crate::effect::{Input, Machine, Output};
use crate::engine::backoff::Backoff;
use crate::engine::exchange::Exchanges;
use crate::engine::noise::Noise;
use crate::engine::sorted::Sorted;
use crate::error::{Code, Error};
use crate::http::{Failure, Response};
use crate::ids::{Counter, ExchangeId};
use crate::time::{Deadline, Millis, Moment};

/// What the owner is to do or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Write this, then say [`Outbox::written`].
    Write(Write),
    /// Look for segments that are not known here, the oldest first, up to so many events and bytes; then say
    /// [`Outbox::found`] for each and [`Outbox::looked`].
    Look {
        /// Events.
        events: u32,
        /// Bytes.
        bytes: u64,
    },
    /// Make one request of these events. `leaving`: the page may end before the answer.
    Send {
        /// Under which the answer comes back.
        exchange: ExchangeId,
        /// Which events, in order.
        batch: Vec<Part>,
        /// Whether it must get away at once.
        leaving: bool,
    },
    /// All events of a segment that are not gone are written.
    Accepted(SegmentId),
    /// The server has taken these.
    Delivered {
        /// Which.
        part: Part,
        /// With which status.
        status: u16,
        /// In how many requests the first of them was.
        tries: u32,
    },
    /// This one will never be delivered. A [`Write`] will bury it.
    Died {
        /// Its segment.
        segment: SegmentId,
        /// Its place there.
        index: u32,
        /// Why.
        error: Error,
        /// In how many requests it was.
        tries: u32,
    },
    /// A request has failed and will be tried again after a rest.
    Retry {
        /// Why.
        error: Error,
        /// How long the rest is.
        rest: Millis,
        /// How many requests have failed in a row.
        failures: u32,
    },
    /// The owner need not know the segment under this number any more.
    Forget(SegmentId, Fate),
    /// Four fifths of the room are used, or no longer three fifths.
    Pressure(bool),
}

/// Why a segment is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// All its events are gone, and the store has none of them any more.
    Removed,
    /// The store has it, and it is ours: it will be found again.
    Evicted,
    /// The store has it, and others will deliver it.
    Disowned,
}

/// How many segments of what size the owner found when it opened the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Events in segments.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Dead letters.
    pub dead: u64,
    /// Their bytes.
    pub dead_bytes: u64,
}

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
    noise: Noise,
    backoff: Backoff,
    now: Moment,
    ledger: Ledger,
    sessions: Sessions,
    own_ids: Counter,
    found_ids: Counter,
    segments: Sorted<SegmentId, Segment>,
    /// Our own that only the store has: how many events of each are not gone, and their bytes.
    evicted: Sorted<SegmentId, (u32, u64)>,
    /// What the store had when it was opened and nobody has looked at yet.
    unseen: (u64, u64),
    writes: Writes,
    /// Batches with their events taken that wait for their turn.
    plans: VecDeque<Vec<Part>>,
    exchanges: Exchanges<Flight, Act>,
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
    /// Since we lead, the store has not been looked through to its end: it may have older events of every lane.
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
            noise: Noise::new(seed),
            backoff: Backoff::new(options.base, options.max, 0),
            batch_bytes: options.batch_bytes,
            options,
            now: Moment::default(),
            ledger: Ledger::default(),
            sessions: Sessions::default(),
            own_ids: Counter::default(),
            found_ids: Counter::default(),
            segments: Sorted::new(),
            evicted: Sorted::new(),
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

    // ---- staging

    /// Stages an event of so many bytes. Events with the same lane other than 0 keep their order.
    pub fn stage(&mut self, session: SessionId, size: u32, lane: u32) -> Staged {
        let staged = self.sessions.stage(&self.options, self.held, session, size, lane);
        match staged {
            Staged::In { dropped, .. } => self.ledger.dropped_oldest += u64::from(dropped),
            Staged::Refused => self.ledger.refused += 1,
            Staged::Dropped => self.ledger.dropped_newest += 1,
        }
        self.feel_pressure();
        staged
    }

    /// Drops what a session has staged and gives its number.
    pub fn roll_back(&mut self, session: SessionId) -> u32 {
        let dropped = self.sessions.take(session).iter().map(Contents::len).sum();
        self.feel_pressure();
        dropped
    }

    /// Hands what a session has staged over to be stored, all or nothing. Gives the new segments in their order.
    pub fn commit(&mut self, now: Moment, session: SessionId) -> Vec<SegmentId> {
        let contents = self.sessions.take(session);
        let bytes = contents.iter().map(Contents::bytes).sum();
        let ids: Vec<SegmentId> = contents.into_iter().map(|contents| self.add_new(now, contents)).collect();
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

    // ---- the store

    /// The store is open, and this is in it.
    pub fn opened(&mut self, now: Moment, stock: Stock) {
        self.is_open = true;
        self.unseen = (stock.events, stock.bytes);
        self.ledger.accepted += stock.events + stock.dead;
        self.ledger.dead += stock.dead;
        self.held += stock.bytes + stock.dead_bytes;
        self.stir(now);
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
            self.ledger.accepted += more - seen.0;
            self.held += bytes - seen.1;
        } else {
            // Others may have delivered some of it; or some is there again, because the store did not hear that it was gone.
            self.ledger.accepted += more;
            self.ledger.delivered += u64::from(owed.saturating_sub(events));
            self.held = (self.held + bytes).saturating_sub(owed_bytes);
        }
        let left = Millis(self.options.max_age.0.saturating_sub(age.0));
        self.segments.insert(id, Segment::new(contents, Stored::Kept, now, now.after(left)));
        id
    }

    /// A look has ended. `is_all`: it has found nothing that was not known.
    pub fn looked(&mut self, now: Moment, result: Result<bool, ()>) {
        let started = self.looking.take();
        match result {
            Ok(is_all) => {
                if is_all && started == Some(self.epoch) {
                    self.beyond = false;
                    self.is_new = !self.leads;
                    self.forget_unseen();
                    // What is not there any more was settled by others.
                    for (_, (events, bytes)) in self.evicted.take() {
                        self.ledger.delivered += u64::from(events);
                        self.held = self.held.saturating_sub(bytes);
                    }
                }
            }
            Err(()) => self.look_at = self.now.max(now).after(LOOK_REST),
        }
        self.go_on(now);
    }

    /// Somebody else has stored something.
    pub fn stir(&mut self, now: Moment) {
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
            self.ledger.delivered += u64::from(delivered);
            self.ledger.dead += u64::from(dead);
            self.held = self.held.saturating_sub(bytes);
        }
        self.go_on(now);
    }

    /// Dead letters were put back among the events of the store (`replayed`), or removed.
    pub fn exhumed(&mut self, now: Moment, letters: u32, bytes: u64, replayed: bool) {
        let letters = u64::from(letters).min(self.ledger.dead);
        self.ledger.dead -= letters;
        if replayed {
            self.stir(now);
        } else {
            self.ledger.purged += letters;
            self.held = self.held.saturating_sub(bytes);
            self.go_on(now);
        }
    }

    /// Everything is to be deleted, staged events and dead letters too; the owner empties the store when this has returned.
    pub fn purge(&mut self, now: Moment) -> u64 {
        let queued: u64 = self.uncounted().map(|segment| u64::from(segment.left())).sum();
        let purged = self.ledger.pending() + queued + self.ledger.dead;
        self.ledger.accepted += queued;
        self.ledger.purged += purged;
        self.ledger.dead = 0;
        self.exchanges.cancel_all();
        self.plans.clear();
        self.writes.clear();
        for (id, _) in self.segments.take() {
            self.exchanges.announce(Act::Forget(id, Fate::Removed));
        }
        self.evicted.take();
        (self.unseen, self.held, self.unwritten) = ((0, 0), 0, 0);
        self.stir(now);
        purged
    }

    // ---- sending

    /// Whether this outbox is the one that sends from the store.
    pub fn lead(&mut self, now: Moment, leads: bool) {
        if self.leads != leads {
            self.leads = leads;
            if leads {
                self.rest_until = self.asked_until;
            } else {
                self.step_down();
            }
        }
        self.stir(now);
    }

    /// Sends nothing from now on, or goes on. What is under way comes to its end.
    pub fn pause(&mut self, now: Moment, is_paused: bool) {
        self.is_paused = is_paused;
        self.go_on(now);
    }

    /// What is ready shall not wait for company.
    pub fn hurry(&mut self, now: Moment) {
        self.rush = true;
        self.go_on(now);
    }

    /// There is reason to believe that it works now: a rest of our own choice ends.
    pub fn wake(&mut self, now: Moment) {
        self.rush = true;
        self.rest_until = self.asked_until;
        self.look_at = self.now;
        self.go_on(now);
    }

    /// How many requests may start from now on.
    pub fn allow(&mut self, now: Moment, requests: u32) {
        self.requests_left = requests;
        self.go_on(now);
    }

    /// The page may end at any moment: sends what is ready and what is not stored yet, up to so many bytes, whatever else
    /// would make it wait, except a pause.
    pub fn leave(&mut self, now: Moment, mut bytes: u64) {
        self.tick(now);
        while !self.is_paused && bytes > 0 {
            let most = (self.options.batch_events, bytes.min(self.batch_bytes));
            let Some((batch, taken)) = self.pick(most, Haste::Leaving) else { break };
            if taken > bytes {
                // A single event that is larger than what is left.
                self.give_back(&batch);
                break;
            }
            bytes -= taken;
            self.send(batch, true);
        }
    }

    /// An answer that speaks of each event of a request: their statuses, in order.
    pub fn partly(&mut self, now: Moment, exchange: ExchangeId, statuses: &[u16], hint: Option<Millis>) {
        let Some(flight) = self.exchanges.land(exchange) else { return };
        self.now = self.now.max(now);
        let mut is_progress = false;
        let mut worst = None;
        let mut statuses = statuses.iter();
        for part in &flight.batch {
            for index in part.from..part.to {
                // An event of which nothing is said was not taken, as far as we know.
                match judge_status(statuses.next().copied().unwrap_or(0)) {
                    Answer::Taken(status) => {
                        is_progress = true;
                        self.deliver(Part { from: index, to: index + 1, ..*part }, status);
                    }
                    Answer::TooLarge(error) | Answer::Poison(error) => {
                        is_progress = true;
                        self.die(part.segment, index, error);
                    }
                    Answer::Later(error, _) => {
                        self.rest_alone(*part, index, hint);
                        worst = Some(error);
                    }
                }
            }
        }
        if is_progress {
            self.recover();
            self.writes.note_decision();
        } else if let Some(error) = worst {
            self.rest(error, hint, flight.started);
        }
        self.go_on(now);
    }

    // ---- asking

    /// The counters.
    pub fn ledger(&self) -> Ledger {
        self.ledger
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
        self.is_open && self.ledger.pending() == 0 && self.is_settled() && self.segments.is_empty()
    }

    /// Whether all that was decided is written and nothing is under way.
    pub fn is_settled(&self) -> bool {
        self.writes.is_idle() && self.exchanges.flying() == 0
    }

    // ---- inside

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
            self.exchanges.announce(Act::Pressure(is_pressed));
        }
    }

    fn note_written(&mut self) {
        let Some(work) = self.writes.done() else { return };
        for id in work.remove.keys() {
            self.exchanges.announce(Act::Forget(id, Fate::Removed));
        }
        let mut window = self.window();
        for (ids, _) in work.commits {
            for id in ids {
                let Some(segment) = self.segments.get_mut(id) else { continue };
                segment.stored = Stored::Kept;
                self.ledger.accepted += u64::from(segment.left());
                self.unwritten = self.unwritten.saturating_sub(segment.contents().bytes());
                self.exchanges.announce(Act::Accepted(id));
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

    fn evict(&mut self, id: SegmentId) {
        let Some(segment) = self.segments.remove(id) else { return };
        self.evicted.insert(id, (segment.left(), segment.left_bytes()));
        self.beyond = true;
        self.epoch = self.epoch.wrapping_add(1);
        self.exchanges.announce(Act::Forget(id, Fate::Evicted));
    }

    /// How many more events the window has room for.
    fn window(&self) -> u32 {
        let kept = self.segments.values().filter(|segment| segment.stored == Stored::Kept);
        (WINDOW * self.options.batch_events.max(16)).saturating_sub(kept.map(Segment::left).sum())
    }

    fn forget_unseen(&mut self) {
        let (events, bytes) = core::mem::take(&mut self.unseen);
        self.ledger.accepted -= events.min(self.ledger.accepted);
        self.held = self.held.saturating_sub(bytes);
    }

    /// Somebody else sends from now on: what the store has is his.
    fn step_down(&mut self) {
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
    fn hand_off(&mut self) {
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
    fn release(&mut self, id: SegmentId) {
        if self.writes.rewrites(id) {
            return;
        }
        if id.is_own() {
            self.evict(id);
        } else if let Some(segment) = self.segments.remove(id) {
            self.ledger.accepted -= u64::from(segment.left()).min(self.ledger.accepted);
            self.held = self.held.saturating_sub(segment.left_bytes());
            self.exchanges.announce(Act::Forget(id, Fate::Disowned));
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

    fn write(&mut self) {
        if !self.is_open || !self.writes.is_due(self.now) {
            return;
        }
        let kept = self.held - self.unwritten.min(self.held);
        // A commit that is larger than everything may be goes when nothing else is there.
        let room = (self.options.overflow == Overflow::Wait && kept > 0)
            .then(|| self.options.max_bytes.saturating_sub(kept));
        let Some(work) = self.writes.start(room) else { return };
        let mut write =
            Write { put: Vec::new(), remove: work.remove.keys().collect(), bury: work.bury.clone() };
        for id in work.commits.iter().flat_map(|(ids, _)| ids.iter().copied()).chain(work.rewrite.keys()) {
            let Some(segment) = self.segments.get(id) else { continue };
            let kept = (segment.left() < segment.len()).then(|| segment.kept());
            write.put.push(Put { segment: id, kept });
        }
        self.exchanges.announce(Act::Write(write));
    }

    fn dispatch(&mut self) {
        while self.may_send() {
            let most = if self.failures >= BREAKER { PROBE_EVENTS } else { self.options.batch_events };
            let planned = self.next_plan(most);
            let haste = if self.rush { Haste::Rush } else { Haste::None };
            let Some(batch) = planned.or_else(|| Some(self.pick((most, self.batch_bytes), haste)?.0)) else {
                break;
            };
            self.send(batch, false);
        }
        if self.rush && self.ledger.pending() == 0 && self.segments.is_empty() {
            self.rush = false;
        }
    }

    fn may_send(&self) -> bool {
        // After a failure one request shows whether it works again.
        let most = if self.failures > 0 { 1 } else { self.options.flights };
        !self.is_paused
            && self.rest_until <= self.now
            && self.requests_left > 0
            // What was answered and not written yet would be sent again after a crash, like what is under way.
            && self.exchanges.flying() + self.writes.unsettled() < most as usize
    }

    /// The next of the batches that wait, or its first events. A batch waits longer if it would overtake one in a lane.
    fn next_plan(&mut self, most: u32) -> Option<Vec<Part>> {
        let mut busy: Sorted<u32> = Sorted::new();
        for flight in self.exchanges.values() {
            for lane in self.lanes_of(&flight.batch) {
                busy.add(lane);
            }
        }
        let at = self.plans.iter().position(|plan| {
            let lanes = self.lanes_of(plan);
            let is_free = !lanes.iter().any(|lane| busy.contains(*lane));
            for lane in lanes {
                busy.add(lane);
            }
            is_free
        })?;
        let batch = self.plans.remove(at)?;
        let (head, tail) = split(&batch, most);
        if !tail.is_empty() {
            self.plans.insert(at, tail);
        }
        Some(head)
    }

    fn lanes_of(&self, batch: &[Part]) -> Vec<u32> {
        let contents = |part: &Part| Some((*part, self.segments.get(part.segment)?.contents()));
        let with_lanes = batch.iter().filter_map(contents).filter(|(_, contents)| !contents.lanes.is_empty());
        with_lanes
            .flat_map(|(part, contents)| (part.from..part.to).map(|index| contents.lane(index)))
            .filter(|lane| *lane != 0)
            .collect()
    }

    /// Takes events for a request, and says how many bytes they have.
    fn pick(&mut self, most: (u32, u64), haste: Haste) -> Option<(Vec<Part>, u64)> {
        let terms = Terms {
            most_events: most.0,
            most_bytes: most.1,
            now: self.now,
            linger: self.options.linger,
            strict_lanes: self.options.strict_lanes,
            leads: self.leads,
            older: if self.is_new { Some(SegmentId::FIRST) } else { self.evicted.keys().next() },
            haste,
        };
        let (batch, bytes) = batch::pick(&self.segments, &terms)?;
        for part in &batch {
            if let Some(segment) = self.segments.get_mut(part.segment) {
                segment.take(part.from, part.to);
            }
        }
        Some((batch, bytes))
    }

    fn send(&mut self, batch: Vec<Part>, leaving: bool) {
        for part in &batch {
            if let Some(segment) = self.segments.get_mut(part.segment) {
                segment.count_try(part.from, part.to);
            }
        }
        self.ledger.attempts += 1;
        self.requests_left = self.requests_left.saturating_sub(1);
        let overdue = self.now.after(self.options.patience);
        let flight = Flight { batch: batch.clone(), started: self.now, overdue };
        let exchange = self.exchanges.expect(flight);
        self.exchanges.announce(Act::Send { exchange, batch, leaving });
    }

    fn judge(&mut self, flight: Flight, outcome: &Result<Response, Failure>) {
        let events: u32 = flight.batch.iter().map(|part| part.len()).sum();
        match judge(outcome) {
            Answer::Taken(status) => {
                self.recover();
                for part in flight.batch {
                    self.deliver(part, status);
                }
                self.writes.note_decision();
            }
            Answer::Later(error, hint) => {
                self.plans.push_front(flight.batch);
                self.rest(error, hint, flight.started);
            }
            Answer::Poison(error) | Answer::TooLarge(error) => {
                self.recover();
                if error.code == Code::TooLarge && events > 1 {
                    self.batch_bytes = (self.bytes_of(&flight.batch) / 2).max(1);
                }
                if events > 1 {
                    let (head, tail) = split(&flight.batch, events / 2);
                    self.plans.push_front(tail);
                    self.plans.push_front(head);
                } else if let Some(part) = flight.batch.first() {
                    self.die(part.segment, part.from, error);
                    self.writes.note_decision();
                }
            }
        }
    }

    fn bytes_of(&self, batch: &[Part]) -> u64 {
        let size = |part: &Part| {
            let contents = self.segments.get(part.segment)?.contents();
            Some((part.from..part.to).map(|index| contents.size(index)).sum::<u64>())
        };
        batch.iter().filter_map(size).sum()
    }

    fn recover(&mut self) {
        self.failures = 0;
        self.backoff.reset();
    }

    fn rest(&mut self, error: Error, hint: Option<Millis>, started: Moment) {
        let hint = hint.map_or(Millis(0), |hint| hint.min(LONGEST_HINT));
        self.asked_until = self.asked_until.max(self.now.after(hint));
        // Several requests that were under way together are one failure.
        if self.failures == 0 || started >= self.rest_until {
            self.failures += 1;
            let mut rest = self.backoff.rest(&mut self.noise);
            if self.failures >= BREAKER {
                rest = Millis(self.options.max.0 / 2 + rest.0 / 2);
            }
            self.rest_until = self.now.after(rest);
        }
        self.rest_until = self.rest_until.max(self.asked_until);
        let rest = Millis(self.rest_until.as_millis() - self.now.as_millis());
        self.exchanges.announce(Act::Retry { error, rest, failures: self.failures });
    }

    /// One event of a request rests, because the answer says that it was not taken.
    fn rest_alone(&mut self, part: Part, index: u32, hint: Option<Millis>) {
        let Some(segment) = self.segments.get_mut(part.segment) else { return };
        let backoff = Backoff::new(self.options.base, self.options.max, 0);
        let rest = backoff.rest_after(segment.tries(index).saturating_sub(1), &mut self.noise);
        let rest = rest.max(hint.map_or(Millis(0), |hint| hint.min(LONGEST_HINT)));
        segment.give_back(index, Some(self.now.after(rest)));
    }

    fn give_back(&mut self, batch: &[Part]) {
        for part in batch {
            if let Some(segment) = self.segments.get_mut(part.segment) {
                for index in part.from..part.to {
                    segment.give_back(index, None);
                }
            }
        }
    }

    fn deliver(&mut self, part: Part, status: u16) {
        let tries = self.segments.get(part.segment).map_or(0, |segment| segment.tries(part.from));
        let gone = (part.from..part.to).filter(|index| self.let_go(part.segment, *index)).count();
        self.ledger.delivered += gone as u64;
        self.exchanges.announce(Act::Delivered { part, status, tries });
        self.store_less(part.segment);
    }

    fn die(&mut self, id: SegmentId, index: u32, error: Error) {
        let Some(segment) = self.segments.get(id) else { return };
        let (tries, bytes) = (segment.tries(index), segment.contents().size(index));
        if self.let_go(id, index) {
            self.ledger.dead += 1;
            // Dead letters are kept, so they need their room.
            self.held += bytes;
            self.exchanges.announce(Act::Died { segment: id, index, error, tries });
            self.writes.bury(id, index);
            self.store_less(id);
        }
    }

    fn let_go(&mut self, id: SegmentId, index: u32) -> bool {
        let Some(segment) = self.segments.get_mut(id) else { return false };
        if !segment.let_go(index) {
            return false;
        }
        let bytes = segment.contents().size(index);
        self.held = self.held.saturating_sub(bytes);
        if segment.stored != Stored::Kept {
            self.ledger.accepted += 1;
        }
        true
    }

    /// The store has to hear that events of a segment are gone.
    fn store_less(&mut self, id: SegmentId) {
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

    fn look(&mut self) {
        let all = WINDOW * self.options.batch_events.max(16);
        let window = self.window();
        let first_here = self.segments.first_from(SegmentId::own(0));
        let waits_for_older =
            first_here.is_some_and(|first| self.evicted.keys().next().is_some_and(|id| id < first));
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
            self.exchanges.announce(Act::Look { events: window.max(self.options.batch_events), bytes });
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
    type Event = Act;

    fn handle(&mut self, now: Moment, input: Input) {
        if let Input::Exchange(id, outcome) = input
            && let Some(flight) = self.exchanges.land(id)
        {
            self.now = self.now.max(now);
            self.judge(flight, &outcome);
        }
        self.go_on(now);
    }

    fn poll(&mut self) -> Output<Act> {
        self.exchanges.poll().unwrap_or_else(|| Output::Wait(self.deadline()))
    }
}
