//! The simulated world: a virtual clock, and everything that the owner of an outbox does.

use std::collections::{BTreeMap, BTreeSet};

use eventferry::base::error::Code;
use eventferry::base::http::{Failure, Response};
use eventferry::base::ids::ExchangeId;
use eventferry::base::time::{Deadline, Millis, Moment};
use eventferry::engine::jitter::Rng;
use eventferry::engine::machine::{Input, Machine, Output, Poll};
use eventferry::outbox::Options;
use eventferry::outbox::effect::{Effect, StoreCounts};
use eventferry::outbox::machine::Outbox;
use eventferry::outbox::progress::{EventProgress, Progress};
use eventferry::outbox::segment::{EventRange, SegmentId};
use eventferry::outbox::session::{Grouping, SessionId, StageResult};

/// The id of an event: its place in the order of publishing.
pub(super) type EventNo = u32;

#[derive(Clone, Copy, Debug)]
pub(super) struct EventInfo {
    pub(super) size: u32,
    pub(super) ordering_key: u32,
    pub(super) grouping: Grouping,
}

/// A segment in the store.
#[derive(Clone, Debug)]
pub(super) struct StoredSegment {
    pub(super) events: Vec<EventNo>,
    /// What was stored of its requests, and when.
    pub(super) progress: Option<(u64, Progress)>,
}

impl StoredSegment {
    /// Its progress, counted from `now`.
    pub(super) fn progress_at(&self, now: u64) -> Option<Progress> {
        let (at, progress) = self.progress.as_ref()?;
        let later = |time: Millis| Millis(time.0.saturating_sub(now - at));
        let events = progress.events.iter().map(|event| EventProgress {
            in_flight: later(event.in_flight),
            retry: later(event.retry),
            ..*event
        });
        Some(Progress { backoff: later(progress.backoff), events: events.collect(), ..*progress })
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) segments: BTreeMap<u64, StoredSegment>,
    pub(super) dead: BTreeSet<EventNo>,
}

/// What happens at a scheduled time.
#[derive(Clone, Debug)]
pub(super) enum Occurrence {
    /// The store applies a change.
    Change(Vec<(u64, StoredSegment)>, Vec<u64>, Vec<EventNo>),
    Written(bool),
    Peeked(u32, u64),
    /// The server accepts events.
    Arrive(Vec<EventNo>),
    Answer(ExchangeId, ServerAnswer),
}

#[derive(Clone, Debug)]
pub(super) enum ServerAnswer {
    All(Result<Response, Failure>),
    Each(Vec<u32>),
}

/// How often operations fail, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FailureRates {
    pub(super) write_fails: u64,
    pub(super) peek_fails: u64,
    pub(super) lost_answer: u64,
    pub(super) refused: u64,
    pub(super) partial: u64,
    pub(super) hangs: u64,
    /// A request with more events is answered with 413.
    pub(super) max_events: Option<usize>,
}

pub(super) struct World {
    pub(super) machine: Outbox,
    pub(super) options: Options,
    pub(super) now: u64,
    /// What is added to the clock that the machine sees.
    pub(super) skew: u64,
    pub(super) rng: Rng,
    pub(super) rates: FailureRates,
    pub(super) initial_rates: FailureRates,
    pub(super) seed: u64,
    pub(super) store: Store,
    pub(super) next_key: u64,
    /// Segments in memory: their key and events.
    pub(super) bodies: BTreeMap<SegmentId, (u64, Vec<EventNo>)>,
    /// Committed segments that are only in the store, by key.
    pub(super) evicted: BTreeMap<u64, SegmentId>,
    pub(super) staged: BTreeMap<SessionId, Vec<EventNo>>,
    pub(super) schedule: BTreeMap<(u64, u64), Occurrence>,
    pub(super) sequence: u64,
    pub(super) events: Vec<EventInfo>,
    pub(super) rejected: BTreeSet<EventNo>,
    pub(super) accepted: BTreeSet<EventNo>,
    /// How often the server accepted each event.
    pub(super) deliveries: BTreeMap<EventNo, u32>,
    pub(super) first_deliveries: Vec<EventNo>,
    /// Events in the order of their commits.
    pub(super) committed: Vec<EventNo>,
    pub(super) requests: Vec<(u64, Vec<EventNo>)>,
    pub(super) dead: BTreeMap<EventNo, Code>,
    pub(super) dead_letters: BTreeMap<(SegmentId, u32), EventNo>,
    pub(super) effects: Vec<Effect>,
    pub(super) deadline: Deadline,
    pub(super) generation: u64,
}

impl World {
    pub(super) fn new(options: Options, seed: u64, rates: FailureRates) -> Self {
        let mut world = Self {
            machine: Outbox::new(options, seed),
            options,
            now: 1000,
            skew: 0,
            rng: Rng::new(seed ^ 0xabcd),
            rates,
            initial_rates: rates,
            seed,
            store: Store::default(),
            next_key: 0,
            bodies: BTreeMap::new(),
            evicted: BTreeMap::new(),
            staged: BTreeMap::new(),
            schedule: BTreeMap::new(),
            sequence: 0,
            events: Vec::new(),
            rejected: BTreeSet::new(),
            accepted: BTreeSet::new(),
            deliveries: BTreeMap::new(),
            first_deliveries: Vec::new(),
            committed: Vec::new(),
            requests: Vec::new(),
            dead: BTreeMap::new(),
            dead_letters: BTreeMap::new(),
            effects: Vec::new(),
            deadline: Deadline::Never,
            generation: 0,
        };
        world.open();
        world
    }

    pub(super) fn moment(&self) -> Moment {
        Moment::from_millis(self.now + self.skew)
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.rng.up_to(99) < percent
    }

    pub(super) fn schedule(&mut self, delay: u64, occurrence: Occurrence) {
        self.sequence += 1;
        self.schedule.insert((self.now + delay, self.sequence), occurrence);
    }

    pub(super) fn open(&mut self) {
        let size = |no: &EventNo| u64::from(self.events[*no as usize].size);
        let counts = StoreCounts {
            events: self.store.segments.values().map(|kept| kept.events.len() as u64).sum(),
            bytes: self.store.segments.values().flat_map(|kept| &kept.events).map(size).sum(),
            dead: self.store.dead.len() as u64,
            dead_bytes: self.store.dead.iter().map(size).sum(),
        };
        self.machine.store_opened(self.moment(), counts);
        self.machine.set_leader(self.moment(), true);
        self.run_machine();
    }

    /// The process ends. Changes and requests in flight may still reach the store and the server.
    pub(super) fn crash(&mut self) {
        self.generation += 1;
        self.machine = Outbox::new(self.options, self.generation);
        self.bodies.clear();
        self.evicted.clear();
        self.staged.clear();
        for (at, what) in std::mem::take(&mut self.schedule) {
            let survives = self.rng.up_to(1) == 0;
            match what {
                Occurrence::Change(..) if survives => self.happen(what),
                Occurrence::Arrive(..) if survives => drop(self.schedule.insert(at, what)),
                _ => {}
            }
        }
        self.open();
    }

    pub(super) fn publish(&mut self, session: SessionId, size: u32, ordering_key: u32) -> Option<EventNo> {
        let (bytes, events) = self.machine.credit(session);
        let dropped = if events > 0 && u64::from(size) <= bytes && self.rng.up_to(1) == 0 {
            self.machine.stage_many(session, &[size], &[ordering_key]);
            0
        } else {
            let StageResult::Staged { dropped, .. } = self.machine.stage(session, size, ordering_key) else {
                return None;
            };
            dropped
        };
        let no = self.events.len() as EventNo;
        self.events.push(EventInfo { size, ordering_key, grouping: Grouping::Any });
        let staged = self.staged.entry(session).or_default();
        staged.push(no);
        staged.drain(..dropped as usize);
        self.run_machine();
        Some(no)
    }

    pub(super) fn commit(&mut self, session: SessionId) -> Vec<EventNo> {
        self.commit_as(session, Grouping::Any)
    }

    pub(super) fn commit_as(&mut self, session: SessionId, grouping: Grouping) -> Vec<EventNo> {
        let ids = self.machine.commit(self.moment(), session, grouping);
        let events = self.staged.remove(&session).unwrap_or_default();
        for no in &events {
            self.events[*no as usize].grouping = grouping;
        }
        self.committed.extend(&events);
        let mut remaining = events.clone();
        for id in ids {
            let count = self.segment_len(&remaining);
            let tail = remaining.split_off(count);
            let key = self.next_key;
            self.next_key += 1;
            self.bodies.insert(id, (key, remaining));
            remaining = tail;
        }
        assert!(remaining.is_empty(), "every staged event is in a segment");
        self.run_machine();
        events
    }

    /// How many events the next segment has. The owner learns this from `stage`; here the rule is repeated.
    pub(super) fn segment_len(&self, events: &[EventNo]) -> usize {
        let max = self.options.batch_events.max(16) as usize;
        let mut bytes = 0;
        for (at, no) in events.iter().enumerate() {
            let size = u64::from(self.events[*no as usize].size);
            if at > 0 && (at == max || bytes + size > self.options.batch_bytes) {
                return at;
            }
            bytes += size;
        }
        events.len()
    }

    pub(super) fn events_of(&self, ranges: &[EventRange]) -> Vec<EventNo> {
        let events = |range: &EventRange| {
            self.bodies[&range.segment].1[range.from as usize..range.to as usize].to_vec()
        };
        ranges.iter().flat_map(events).collect()
    }

    pub(super) fn run_machine(&mut self) {
        for step in 0.. {
            assert!(step < 100_000, "the machine never waits");
            match self.machine.poll() {
                Poll::Do(Output::Event(effect)) => self.apply(effect),
                Poll::Do(Output::Cancel(id)) => {
                    self.schedule.retain(
                        |_, occurrence| !matches!(occurrence, Occurrence::Answer(other, ..) if *other == id),
                    );
                }
                Poll::Wait(deadline) => {
                    self.deadline = deadline;
                    assert!(matches!(self.machine.poll(), Poll::Wait(again) if again == deadline));
                    break;
                }
                _ => panic!("an outbox makes no requests of its own"),
            }
        }
        let counters = self.machine.counters();
        assert_eq!(
            counters.accepted,
            counters.delivered + counters.dead + counters.pending() + counters.purged,
            "the counters balance: {counters:?}"
        );
    }

    /// Advances to the next occurrence or deadline. False if there is none.
    pub(super) fn step(&mut self) -> bool {
        self.run_machine();
        let next = self.schedule.keys().next().copied();
        let wake_at = match self.deadline {
            Deadline::At(at) => Some(at.as_millis().saturating_sub(self.skew).max(self.now)),
            Deadline::Never => None,
        };
        match (next, wake_at) {
            (Some((at, sequence)), wake_at) if wake_at.is_none_or(|wake_at| at <= wake_at) => {
                self.now = self.now.max(at);
                let what = self.schedule.remove(&(at, sequence)).expect("scheduled");
                self.happen(what);
            }
            (_, Some(at)) => {
                self.now = at;
                self.machine.handle(self.moment(), Input::Tick);
            }
            _ => return false,
        }
        self.run_machine();
        true
    }

    /// Advances by so many milliseconds.
    pub(super) fn run_for(&mut self, millis: u64) {
        let end = self.now + millis;
        self.run_machine();
        for step in 0.. {
            assert!(step < 200_000, "there is always something to do");
            let wake_at = match self.deadline {
                Deadline::At(at) => at.as_millis().saturating_sub(self.skew),
                Deadline::Never => u64::MAX,
            };
            let next = self.schedule.keys().next().map_or(u64::MAX, |(at, _)| *at).min(wake_at);
            if next > end || !self.step() {
                break;
            }
        }
        self.now = self.now.max(end);
    }

    /// Ends all failures and runs until everything is delivered.
    pub(super) fn finish(&mut self) {
        self.rates = FailureRates::default();
        self.machine.pause(self.moment(), false);
        self.machine.set_leader(self.moment(), true);
        self.machine.allow_requests(self.moment(), u32::MAX);
        self.machine.online(self.moment());
        for _ in 0..100 {
            self.run_for(600_000);
            if self.machine.is_drained() && self.schedule.is_empty() && self.store.segments.is_empty() {
                return;
            }
            // A write that was applied late may have brought segments back.
            self.machine.store_changed(self.moment());
        }
        let debug = format!("{:?}", self.machine);
        let debug = debug.split("outputs").next().unwrap_or_default();
        panic!(
            "seed {} is not drained: {} schedule {:?} deadline {:?}",
            self.seed, debug, self.schedule, self.deadline
        );
    }

    /// How many deliveries were repetitions.
    pub(super) fn duplicates(&self) -> u32 {
        self.deliveries.values().map(|count| count - 1).sum()
    }
}

pub(super) const SESSION: SessionId = SessionId(1);

pub(super) fn small() -> Options {
    Options { batch_events: 10, batch_bytes: 2000, max_bytes: 1_000_000, ..Options::default() }
}

/// Publishes and commits `events` events.
pub(super) fn commit(world: &mut World, events: u32) -> Vec<EventNo> {
    for _ in 0..events {
        world.publish(SESSION, 100, 0).expect("it fits");
    }
    world.commit(SESSION)
}

pub(super) fn request_count(world: &World) -> usize {
    world.requests.len()
}
