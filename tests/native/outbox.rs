//! The outbox in a simulated world: a virtual clock, a store and a server that fail in every way, and crashes.

use std::collections::{BTreeMap, BTreeSet};

use eventferry::base::error::Code;
use eventferry::base::http::{Failure, Response};
use eventferry::base::ids::ExchangeId;
use eventferry::base::time::{Deadline, Millis, Moment};
use eventferry::engine::jitter::Rng;
use eventferry::engine::machine::{Input, Machine, Output};
use eventferry::outbox::answer::{Answer, Classified, classify};
use eventferry::outbox::effect::{Effect, Outcome, StoreCounts};
use eventferry::outbox::machine::Outbox;
use eventferry::outbox::segment::{EventRange, SegmentId};
use eventferry::outbox::session::{Contents, Grouping, SessionId, StageResult};
use eventferry::outbox::writes::Write;
use eventferry::outbox::{Options, Overflow};

/// The id of an event: its place in the order of publishing.
type EventNo = u32;

#[derive(Clone, Copy, Debug)]
struct EventInfo {
    size: u32,
    ordering_key: u32,
    grouping: Grouping,
}

/// A segment in the store.
#[derive(Clone, Debug)]
struct StoredSegment {
    events: Vec<EventNo>,
}

#[derive(Clone, Debug, Default)]
struct Store {
    segments: BTreeMap<u64, StoredSegment>,
    dead: BTreeSet<EventNo>,
}

/// What happens at a scheduled time.
#[derive(Clone, Debug)]
enum Occurrence {
    /// The store applies a change.
    Change(Vec<(u64, StoredSegment)>, Vec<u64>, Vec<EventNo>),
    Written(bool),
    Peeked(u32, u64),
    /// The server accepts events.
    Arrive(Vec<EventNo>),
    Answer(ExchangeId, ServerAnswer),
}

#[derive(Clone, Debug)]
enum ServerAnswer {
    All(Result<Response, Failure>),
    Each(Vec<u16>),
}

/// How often operations fail, in percent.
#[derive(Clone, Copy, Debug, Default)]
struct FailureRates {
    write_fails: u64,
    peek_fails: u64,
    lost_answer: u64,
    refused: u64,
    partial: u64,
    hangs: u64,
    /// A request with more events is answered with 413.
    max_events: Option<usize>,
}

struct World {
    machine: Outbox,
    options: Options,
    now: u64,
    /// What is added to the clock that the machine sees.
    skew: u64,
    rng: Rng,
    rates: FailureRates,
    initial_rates: FailureRates,
    seed: u64,
    store: Store,
    next_key: u64,
    /// Segments in memory: their key and events.
    bodies: BTreeMap<SegmentId, (u64, Vec<EventNo>)>,
    /// Committed segments that are only in the store, by key.
    evicted: BTreeMap<u64, SegmentId>,
    staged: BTreeMap<SessionId, Vec<EventNo>>,
    schedule: BTreeMap<(u64, u64), Occurrence>,
    sequence: u64,
    events: Vec<EventInfo>,
    rejected: BTreeSet<EventNo>,
    accepted: BTreeSet<EventNo>,
    /// How often the server accepted each event.
    deliveries: BTreeMap<EventNo, u32>,
    first_deliveries: Vec<EventNo>,
    /// Events in the order of their commits.
    committed: Vec<EventNo>,
    requests: Vec<(u64, Vec<EventNo>)>,
    dead: BTreeMap<EventNo, Code>,
    dead_letters: BTreeMap<(SegmentId, u32), EventNo>,
    effects: Vec<Effect>,
    deadline: Deadline,
    generation: u64,
}

impl World {
    fn new(options: Options, seed: u64, rates: FailureRates) -> Self {
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

    fn moment(&self) -> Moment {
        Moment::from_millis(self.now + self.skew)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.rng.up_to(99) < percent
    }

    fn schedule(&mut self, delay: u64, what: Occurrence) {
        self.sequence += 1;
        self.schedule.insert((self.now + delay, self.sequence), what);
    }

    fn open(&mut self) {
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
    fn crash(&mut self) {
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

    fn publish(&mut self, session: SessionId, size: u32, ordering_key: u32) -> Option<EventNo> {
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

    fn commit(&mut self, session: SessionId) -> Vec<EventNo> {
        self.commit_as(session, Grouping::Any)
    }

    fn commit_as(&mut self, session: SessionId, grouping: Grouping) -> Vec<EventNo> {
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
    fn segment_len(&self, events: &[EventNo]) -> usize {
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

    fn events_of(&self, ranges: &[EventRange]) -> Vec<EventNo> {
        let events = |range: &EventRange| {
            self.bodies[&range.segment].1[range.from as usize..range.to as usize].to_vec()
        };
        ranges.iter().flat_map(events).collect()
    }

    fn run_machine(&mut self) {
        for step in 0.. {
            assert!(step < 100_000, "the machine never waits");
            match self.machine.poll() {
                Output::Event(effect) => self.apply(effect),
                Output::Cancel(id) => {
                    self.schedule.retain(
                        |_, occurrence| !matches!(occurrence, Occurrence::Answer(other, ..) if *other == id),
                    );
                }
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    assert!(matches!(self.machine.poll(), Output::Wait(again) if again == deadline));
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

    fn apply(&mut self, effect: Effect) {
        self.effects.push(effect.clone());
        match effect {
            Effect::Write(write) => self.write(write),
            Effect::Peek { events, bytes } => {
                let delay = self.rng.up_to(20);
                self.schedule(delay, Occurrence::Peeked(events, bytes));
            }
            Effect::Send { exchange, batch, is_page_hidden } => {
                let events = self.events_of(&batch);
                self.check_grouping(&batch, &events, is_page_hidden);
                self.requests.push((self.now, events.clone()));
                self.serve(exchange, events);
            }
            Effect::Accepted(segment) => {
                let events = self.bodies[&segment].1.clone();
                self.accepted.extend(events);
            }
            Effect::Delivered { events, .. } => {
                for no in self.events_of(&[events]) {
                    assert!(self.deliveries.contains_key(&no), "{no} is reported as delivered");
                    self.accepted.insert(no);
                }
            }
            Effect::Dead { segment, index, error, .. } => {
                let no = self.bodies[&segment].1[index as usize];
                self.dead.insert(no, error.code);
                self.dead_letters.insert((segment, index), no);
            }
            Effect::Forget(segment, reason) => {
                let (key, _) = self.bodies.remove(&segment).expect("known");
                if reason == Outcome::Evicted {
                    self.evicted.insert(key, segment);
                }
            }
            Effect::Retry { .. } | Effect::Pressure(_) => {}
        }
    }

    fn check_grouping(&self, batch: &[EventRange], events: &[EventNo], is_page_hidden: bool) {
        for no in events {
            if let Grouping::Separate(max) = self.events[*no as usize].grouping {
                assert!(batch.iter().all(|range| range.segment == batch[0].segment), "{no} shares a request");
                assert!(is_page_hidden || events.len() <= max as usize, "{} events with {no}", events.len());
            }
        }
    }

    fn write(&mut self, write: Write) {
        let put = write
            .put
            .iter()
            .map(|put| {
                let (key, events) = &self.bodies[&put.segment];
                let events = match &put.indices {
                    None => events.clone(),
                    Some(indices) => indices.iter().map(|index| events[*index as usize]).collect(),
                };
                (*key, StoredSegment { events })
            })
            .collect();
        let remove = write.remove.iter().filter_map(|id| Some(self.bodies.get(id)?.0)).collect();
        let dead_put = write.dead_put.iter().map(|letter| self.dead_letters[letter]).collect();
        let change = Occurrence::Change(put, remove, dead_put);
        let delay = 1 + self.rng.up_to(10);
        if !self.chance(self.rates.write_fails) {
            self.schedule(delay, change);
            self.schedule(delay, Occurrence::Written(true));
            return;
        }
        match self.rng.up_to(2) {
            // It fails and is not applied.
            0 => {}
            // It is applied, but reported as failed.
            1 => self.schedule(delay, change),
            // It is applied long after it was reported as failed.
            _ => {
                let much_later = delay + self.rng.up_to(200);
                self.schedule(much_later, change);
            }
        }
        self.schedule(delay, Occurrence::Written(false));
    }

    fn serve(&mut self, exchange: ExchangeId, events: Vec<EventNo>) {
        let delay = 1 + self.rng.up_to(100);
        let rates = self.rates;
        let answer = |world: &mut Self, answer| world.schedule(delay, Occurrence::Answer(exchange, answer));
        if self.chance(rates.hangs) {
            if self.rng.up_to(1) == 0 {
                self.schedule(delay, Occurrence::Arrive(events.clone()));
            }
        } else if self.chance(rates.refused) {
            let outcome = match self.rng.up_to(4) {
                0 => Err(Failure::Network),
                1 => Err(Failure::Timeout),
                2 => Ok(Response { retry_after: Some(Millis(self.rng.up_to(3000))), ..Response::new(429) }),
                _ => Ok(Response::new([500, 503, 401, 404, 307][self.rng.up_to(4) as usize])),
            };
            answer(self, ServerAnswer::All(outcome));
        } else if rates.max_events.is_some_and(|max| events.len() > max) {
            answer(self, ServerAnswer::All(Ok(Response::new(413))));
        } else if self.chance(rates.partial) {
            let statuses: Vec<u16> = events
                .iter()
                .map(|no| {
                    if self.rejected.contains(no) {
                        422
                    } else {
                        [200, 201, 503, 429][self.rng.up_to(3) as usize]
                    }
                })
                .collect();
            let accepted = events
                .iter()
                .zip(&statuses)
                .filter(|(_, status)| **status < 300)
                .map(|(no, _)| *no)
                .collect();
            self.schedule(delay, Occurrence::Arrive(accepted));
            answer(self, ServerAnswer::Each(statuses));
        } else if events.iter().any(|no| self.rejected.contains(no)) {
            answer(self, ServerAnswer::All(Ok(Response::new(400))));
        } else {
            self.schedule(delay, Occurrence::Arrive(events.clone()));
            let outcome =
                if self.chance(rates.lost_answer) { Err(Failure::Network) } else { Ok(Response::new(202)) };
            answer(self, ServerAnswer::All(outcome));
        }
    }

    fn happen(&mut self, occurrence: Occurrence) {
        match occurrence {
            Occurrence::Change(put, remove, dead_put) => {
                for (key, kept) in put {
                    self.store.segments.insert(key, kept);
                }
                for key in remove {
                    self.store.segments.remove(&key);
                }
                self.store.dead.extend(dead_put);
            }
            Occurrence::Written(is_done) => self.machine.store_written(self.moment(), is_done),
            Occurrence::Peeked(events, bytes) => self.peek(events, bytes),
            Occurrence::Arrive(events) => {
                for no in events {
                    let count = self.deliveries.entry(no).or_default();
                    *count += 1;
                    if *count == 1 {
                        self.first_deliveries.push(no);
                    }
                }
            }
            Occurrence::Answer(id, ServerAnswer::All(outcome)) => {
                self.machine.handle(self.moment(), Input::Exchange(id, outcome));
            }
            Occurrence::Answer(id, ServerAnswer::Each(statuses)) => {
                self.machine.response_each(self.moment(), id, &statuses, None);
            }
        }
    }

    fn peek(&mut self, max_events: u32, max_bytes: u64) {
        if self.chance(self.rates.peek_fails) {
            return self.machine.store_peeked(self.moment(), Err(()));
        }
        let skip: BTreeSet<u64> = self.bodies.values().map(|(key, _)| *key).collect();
        let (mut events, mut bytes, mut found) = (0, 0, 0);
        for (key, kept) in self.store.segments.clone() {
            if skip.contains(&key) {
                continue;
            }
            let mut contents = Contents::default();
            for no in &kept.events {
                let EventInfo { size, ordering_key, grouping } = self.events[*no as usize];
                contents.push(size, ordering_key);
                contents.grouping = grouping;
            }
            if found > 0 && (events + contents.len() > max_events || bytes + contents.bytes() > max_bytes) {
                break;
            }
            (events, bytes, found) = (events + contents.len(), bytes + contents.bytes(), found + 1);
            let known = self.evicted.remove(&key);
            let age = Millis(self.rng.up_to(50_000));
            let id = self.machine.segment_found(self.moment(), contents, age, known);
            self.bodies.insert(id, (key, kept.events));
        }
        self.machine.store_peeked(self.moment(), Ok(found == 0));
    }

    /// Advances to the next occurrence or deadline. False if there is none.
    fn step(&mut self) -> bool {
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
    fn run_for(&mut self, millis: u64) {
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
    fn finish(&mut self) {
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
    fn duplicates(&self) -> u32 {
        self.deliveries.values().map(|count| count - 1).sum()
    }
}

const SESSION: SessionId = SessionId(1);

fn small() -> Options {
    Options { batch_events: 10, batch_bytes: 2000, max_bytes: 1_000_000, ..Options::default() }
}

/// Publishes and commits `events` events.
fn commit(world: &mut World, events: u32) -> Vec<EventNo> {
    for _ in 0..events {
        world.publish(SESSION, 100, 0).expect("it fits");
    }
    world.commit(SESSION)
}

fn request_count(world: &World) -> usize {
    world.requests.len()
}

#[test]
fn committed_events_are_stored_sent_and_removed() {
    let mut world = World::new(small(), 1, FailureRates::default());
    let events = commit(&mut world, 25);
    world.finish();
    assert_eq!(world.accepted, events.iter().copied().collect());
    assert_eq!(world.first_deliveries, events);
    assert_eq!(world.requests.iter().map(|(_, events)| events.len()).collect::<Vec<_>>(), [10, 10, 5]);
    assert!(world.store.segments.is_empty());
    let counters = world.machine.counters();
    assert_eq!((counters.accepted, counters.delivered, counters.attempts), (25, 25, 3));
    assert_eq!(world.machine.bytes(), 0);
}

#[test]
fn rolling_back_drops_only_staged_events() {
    let mut world = World::new(small(), 1, FailureRates::default());
    let events = commit(&mut world, 3);
    world.publish(SESSION, 100, 0);
    world.publish(SESSION, 100, 0);
    assert_eq!(world.machine.roll_back(SESSION), 2);
    world.staged.clear();
    assert_eq!(world.machine.roll_back(SESSION), 0);
    world.finish();
    assert_eq!(world.first_deliveries, events);
}

#[test]
fn events_are_not_sent_before_they_are_stored() {
    let mut world = World::new(small(), 1, FailureRates::default());
    commit(&mut world, 3);
    while world.accepted.is_empty() {
        assert!(world.requests.is_empty());
        world.step();
    }
    world.run_for(50);
    assert_eq!((world.accepted.len(), world.requests.len()), (3, 1));
}

#[test]
fn a_failing_store_does_not_prevent_delivery() {
    let mut world = World::new(small(), 1, FailureRates { write_fails: 100, ..FailureRates::default() });
    let events = commit(&mut world, 3);
    world.run_for(10_000);
    assert_eq!(world.first_deliveries, events);
    assert_eq!(world.accepted.len(), 3, "a delivered event counts as accepted");
    let counters = world.machine.counters();
    assert_eq!((counters.accepted, counters.delivered), (3, 3));
    world.finish();
    assert!(world.store.segments.is_empty());
}

#[test]
fn one_rejected_event_among_250_costs_few_requests_and_no_other_event() {
    let options = Options { batch_events: 250, batch_bytes: 1_000_000, ..small() };
    for place in [0, 1, 124, 125, 248, 249] {
        let mut world = World::new(options, 1, FailureRates::default());
        world.rejected.insert(place);
        commit(&mut world, 250);
        world.finish();
        assert_eq!(world.store.dead, BTreeSet::from([place]));
        assert_eq!(world.deliveries.len(), 249);
        assert_eq!(world.duplicates(), 0);
        assert!(request_count(&world) <= 17, "{} requests for {place}", request_count(&world));
        assert_eq!(world.dead, BTreeMap::from([(place, Code::Rejected)]));
    }
}

#[test]
fn a_request_that_is_too_large_is_halved_and_its_size_becomes_the_limit() {
    let mut world = World::new(small(), 1, FailureRates { max_events: Some(4), ..FailureRates::default() });
    commit(&mut world, 40);
    world.run_for(60_000);
    assert_eq!((world.deliveries.len(), world.dead.len()), (40, 0));
    assert!(request_count(&world) <= 30, "{} requests", request_count(&world));
    let mut world = World::new(small(), 1, FailureRates { max_events: Some(0), ..FailureRates::default() });
    commit(&mut world, 2);
    world.run_for(60_000);
    assert_eq!(world.dead.values().collect::<Vec<_>>(), [&Code::TooLarge, &Code::TooLarge]);
}

#[test]
fn only_the_failed_events_of_a_partial_response_are_sent_again() {
    let mut world = World::new(small(), 3, FailureRates { partial: 100, ..FailureRates::default() });
    world.rejected.insert(4);
    commit(&mut world, 10);
    world.run_for(3_600_000);
    assert_eq!((world.deliveries.len(), world.duplicates()), (9, 0));
    assert_eq!(world.store.dead, BTreeSet::from([4]));
}

#[test]
fn the_failed_events_of_a_partial_response_share_the_next_request() {
    let mut world = World::new(small(), 3, FailureRates { hangs: 100, ..FailureRates::default() });
    commit(&mut world, 10);
    world.run_for(50);
    world.rates = FailureRates::default();
    let statuses = [200, 503, 200, 429, 200, 422, 200, 500, 200, 200];
    world.deliveries.extend([0, 2, 4, 6, 8, 9].map(|no| (no, 1)));
    world.machine.response_each(world.moment(), ExchangeId(1), &statuses, None);
    world.run_for(10_000);
    assert_eq!(world.requests.iter().map(|(_, events)| events.clone()).collect::<Vec<_>>()[1..], [[1, 3, 7]]);
    assert_eq!(world.store.dead, BTreeSet::from([5]));
}

#[test]
fn separate_segments_share_no_request_and_keep_their_order() {
    let options = Options { concurrency: 3, ..small() };
    let mut world = World::new(options, 1, FailureRates::default());
    world.run_for(500);
    world.machine.pause(world.moment(), true);
    let (any, separate) = (Grouping::Any, Grouping::Separate);
    for (count, ordering_key, grouping) in
        [(2, 7, any), (3, 7, separate(1)), (4, 8, separate(3)), (1, 0, any), (2, 7, any)]
    {
        for _ in 0..count {
            world.publish(SESSION, 10, ordering_key).expect("it fits");
        }
        world.commit_as(SESSION, grouping);
    }
    world.run_for(500);
    world.finish();
    let mut requests: Vec<Vec<EventNo>> = world.requests.iter().map(|(_, events)| events.clone()).collect();
    requests.sort();
    assert_eq!(requests, [vec![0, 1, 9], vec![2], vec![3], vec![4], vec![5, 6, 7], vec![8], vec![10, 11]]);
    check_order_by_key(&world);
}

#[test]
fn a_hidden_page_sends_a_separate_segment_in_one_request() {
    let mut world = World::new(small(), 1, FailureRates::default());
    world.run_for(500);
    for _ in 0..4 {
        world.publish(SESSION, 10, 7).expect("it fits");
    }
    world.commit_as(SESSION, Grouping::Separate(1));
    world.rates.refused = 100;
    world.machine.page_hidden(world.moment(), 1000, false);
    world.run_machine();
    world.finish();
    // The request failed, and the page was not closed.
    assert_eq!(world.requests.iter().map(|(_, events)| events.len()).collect::<Vec<_>>(), [4, 1, 1, 1, 1]);
}

#[test]
fn a_classifier_may_give_one_answer_for_each_event() {
    let mut world = World::new(small(), 1, FailureRates { hangs: 100, ..FailureRates::default() });
    commit(&mut world, 3);
    world.run_for(50);
    world.rates = FailureRates::default();
    world.deliveries.clear();
    world.deliveries.insert(1, 1);
    let response = Response { body: b"text".to_vec(), ..Response::new(201) };
    world.machine.response(world.moment(), ExchangeId(1), &response, |response, events| {
        assert_eq!((events, response.status), (3, 201));
        let answer_to = |status| classify(&Ok(Response::new(status)));
        // There is no answer for the third.
        Classified::Each(vec![answer_to(400), Answer::Delivered(201)])
    });
    world.finish();
    assert_eq!(world.store.dead, BTreeSet::from([0]));
    assert_eq!(
        world.requests.iter().map(|(_, events)| events.clone()).collect::<Vec<_>>(),
        [vec![0, 1, 2], vec![2]]
    );
    // A response to an unknown exchange is ignored.
    world
        .machine
        .response(world.moment(), ExchangeId(77), &response, |_, _| Classified::All(Answer::Delivered(201)));
    world.run_machine();
}

#[test]
fn new_events_never_shorten_a_backoff_delay() {
    let mut world = World::new(small(), 1, FailureRates { refused: 100, ..FailureRates::default() });
    for _ in 0..2000 {
        commit(&mut world, 1);
        world.run_for(10);
    }
    assert!(request_count(&world) <= 12, "{} requests in 20 s", request_count(&world));
    world.finish();
    assert_eq!(world.deliveries.len(), 2000);
}

#[test]
fn retry_after_is_honoured_up_to_an_hour() {
    for (asked, expected) in [(5_000, 5_000), (365 * 86_400_000, 3_600_000)] {
        let mut world = World::new(small(), 1, FailureRates { hangs: 100, ..FailureRates::default() });
        commit(&mut world, 1);
        world.run_for(50);
        let response = Response { retry_after: Some(Millis(asked)), ..Response::new(429) };
        world.machine.handle(world.moment(), Input::Exchange(ExchangeId(1), Ok(response)));
        world.run_machine();
        world.rates = FailureRates::default();
        // `online` does not shorten it.
        world.machine.online(world.moment());
        let start = world.now;
        while request_count(&world) < 2 {
            assert!(world.step());
        }
        let delay = world.now - start;
        assert!((expected..expected + 31_000).contains(&delay), "{delay}");
    }
}

#[test]
fn after_many_failures_only_small_probes_are_sent() {
    let options = Options { batch_events: 100, batch_bytes: 1_000_000, ..small() };
    let mut world = World::new(options, 1, FailureRates { refused: 100, ..FailureRates::default() });
    commit(&mut world, 100);
    while request_count(&world) < 12 {
        world.step();
    }
    assert_eq!(world.requests[7].1.len(), 100);
    assert_eq!(world.requests[9].1.len(), 10);
    let gap = world.requests[11].0 - world.requests[10].0;
    assert!(gap >= 15_000, "a probe after {gap} ms");
    world.finish();
    assert_eq!(world.deliveries.len(), 100);
}

#[test]
fn events_with_the_same_ordering_key_keep_their_order_while_others_go_on() {
    let options = Options { batch_events: 2, concurrency: 3, one_per_ordering_key: true, ..small() };
    let mut world = World::new(options, 5, FailureRates { partial: 60, ..FailureRates::default() });
    for no in 0..60 {
        world.publish(SESSION, 10, no % 3);
    }
    world.commit(SESSION);
    world.run_for(3_600_000);
    for ordering_key in [1, 2] {
        let order: Vec<EventNo> =
            world.first_deliveries.iter().copied().filter(|no| no % 3 == ordering_key).collect();
        assert!(order.is_sorted() && order.len() == 20, "{order:?}");
    }
}

#[test]
fn older_events_are_found_even_if_the_window_is_full_of_events_that_wait_for_them() {
    let mut machine = Outbox::new(small(), 1);
    let mut peeks = 0;
    machine
        .store_opened(Moment::from_millis(0), StoreCounts { events: 1, bytes: 10, ..StoreCounts::default() });
    machine.set_leader(Moment::from_millis(0), true);
    for no in 0..320 {
        machine.stage(SESSION, 10, no % 2);
    }
    machine.commit(Moment::from_millis(0), SESSION, Grouping::Any);
    // The first peek and the first writes fail: events without an ordering key are sent from memory, the others fill the window.
    for millis in 0..5000 {
        machine.handle(Moment::from_millis(millis), Input::Tick);
        loop {
            match machine.poll() {
                Output::Event(Effect::Peek { .. }) => {
                    peeks += 1;
                    machine.store_peeked(
                        Moment::from_millis(millis),
                        if peeks == 1 { Err(()) } else { Ok(true) },
                    );
                }
                Output::Event(Effect::Write(_)) => {
                    machine.store_written(Moment::from_millis(millis), millis > 300)
                }
                Output::Event(Effect::Send { exchange, .. }) => {
                    machine.handle(
                        Moment::from_millis(millis),
                        Input::Exchange(exchange, Ok(Response::new(200))),
                    );
                }
                Output::Wait(_) => break,
                _ => {}
            }
        }
    }
    assert!(peeks > 1, "it never peeked again");
    assert_eq!((machine.counters().delivered, machine.counters().pending()), (320, 0));
}

#[test]
fn an_expired_event_becomes_a_dead_letter() {
    let options = Options { max_age: Millis(60_000), ..small() };
    let mut world = World::new(options, 1, FailureRates { refused: 100, ..FailureRates::default() });
    commit(&mut world, 3);
    world.run_for(600_000);
    assert_eq!(world.dead.values().collect::<Vec<_>>(), [&Code::Expired; 3]);
    assert_eq!(world.store.dead.len(), 3);
    assert!(world.machine.is_drained());
}

#[test]
fn a_full_outbox_refuses_events_until_others_are_delivered() {
    let options = Options { max_bytes: 250, ..small() };
    let mut world = World::new(options, 1, FailureRates::default());
    commit(&mut world, 2);
    assert_eq!(world.publish(SESSION, 100, 0), None);
    assert!(world.effects.contains(&Effect::Pressure(true)));
    world.finish();
    assert!(world.effects.contains(&Effect::Pressure(false)));
    assert!(world.publish(SESSION, 100, 0).is_some());
    assert_eq!(world.machine.counters().refused, 1);
}

#[test]
fn waiting_events_are_written_when_there_is_free_space() {
    let options = Options { max_bytes: 250, overflow: Overflow::Wait, ..small() };
    let mut world = World::new(options, 1, FailureRates::default());
    commit(&mut world, 2);
    commit(&mut world, 2);
    assert_eq!(world.publish(SESSION, 200, 0), None, "nothing is staged beyond twice the limit");
    world.run_for(5);
    assert!(world.store.segments.len() <= 1);
    world.finish();
    assert_eq!(world.deliveries.len(), 4);
}

#[test]
fn a_response_that_never_comes_does_not_block_other_requests() {
    let mut world = World::new(small(), 1, FailureRates { hangs: 100, ..FailureRates::default() });
    commit(&mut world, 3);
    world.run_for(16_000);
    assert!(world.machine.counters().attempts >= 1);
    world.finish();
    assert_eq!(world.deliveries.len(), 3);
}

#[test]
fn a_follower_stores_and_does_not_send() {
    let mut world = World::new(small(), 1, FailureRates::default());
    world.machine.set_leader(world.moment(), false);
    commit(&mut world, 3);
    world.run_for(60_000);
    assert_eq!((world.requests.len(), world.accepted.len(), world.store.segments.len()), (0, 3, 1));
    world.machine.set_leader(world.moment(), true);
    world.run_for(60_000);
    assert_eq!(world.deliveries.len(), 3);
}

#[test]
fn a_hidden_page_sends_unwritten_events_within_the_budget() {
    let mut world = World::new(small(), 1, FailureRates::default());
    commit(&mut world, 15);
    world.machine.page_hidden(world.moment(), 1200, false);
    world.run_machine();
    let sent: Vec<usize> = world.requests.iter().map(|(_, events)| events.len()).collect();
    assert_eq!(sent, [10, 2]);
    world.finish();
    assert_eq!((world.deliveries.len(), world.duplicates()), (15, 0));
}

/// Where a request carries one event, the server would ignore a second one in the body.
#[test]
fn a_hidden_page_respects_the_batch_limit() {
    let mut world =
        World::new(Options { batch_events: 1, concurrency: 6, ..small() }, 1, FailureRates::default());
    commit(&mut world, 15);
    world.machine.page_hidden(world.moment(), 1200, false);
    world.run_machine();
    let sent: Vec<usize> = world.requests.iter().map(|(_, events)| events.len()).collect();
    assert_eq!(sent, [1; 12]);
    world.finish();
    assert_eq!((world.deliveries.len(), world.duplicates()), (15, 0));
}

#[test]
fn pausing_keeps_all_events_and_purging_deletes_them() {
    let mut world = World::new(small(), 1, FailureRates::default());
    world.machine.pause(world.moment(), true);
    commit(&mut world, 30);
    world.run_for(60_000);
    assert_eq!((world.requests.len(), world.machine.counters().pending()), (0, 30));
    assert_eq!(world.machine.purge(world.moment()), 30);
    world.run_machine();
    world.store.segments.clear();
    world.finish();
    assert!(world.deliveries.is_empty());
    assert_eq!(world.machine.bytes(), 0);
}

#[test]
fn no_request_exceeds_the_request_budget() {
    let mut world = World::new(small(), 1, FailureRates::default());
    world.machine.allow_requests(world.moment(), 2);
    commit(&mut world, 50);
    world.run_for(60_000);
    assert_eq!(world.deliveries.len(), 20);
    world.machine.allow_requests(world.moment(), 9);
    world.run_for(60_000);
    assert_eq!(world.deliveries.len(), 50);
}

#[test]
fn events_wait_for_others_unless_they_are_flushed() {
    let options = Options { linger: Millis(250), ..small() };
    let mut world = World::new(options, 1, FailureRates::default());
    for _ in 0..4 {
        commit(&mut world, 1);
        world.run_for(40);
    }
    assert!(world.requests.is_empty());
    world.run_for(1000);
    assert_eq!(world.requests.len(), 1);
    commit(&mut world, 1);
    world.machine.flush_now(world.moment());
    world.run_for(30);
    assert_eq!(world.requests.len(), 2);
}

#[test]
fn a_crash_repeats_at_most_one_batch() {
    for seed in 0..300 {
        let mut world = World::new(small(), seed, FailureRates::default());
        for _ in 0..5 {
            commit(&mut world, 7);
            let wait = world.rng.up_to(150);
            world.run_for(wait);
        }
        world.crash();
        world.finish();
        assert!(world.duplicates() <= 10, "{} duplicates", world.duplicates());
    }
}

/// In every other world some sessions have separate segments.
fn grouping(seed: u64, session: SessionId) -> Grouping {
    match (seed % 2, session.0) {
        (1, session @ 2..) => Grouping::Separate(session * session - 3),
        _ => Grouping::Any,
    }
}

/// In every fourth world a partial response may accept a later event of an ordering key and refuse an earlier one, as some
/// systems do.
fn may_reorder(seed: u64) -> bool {
    seed % 4 == 3
}

/// A random run: everything that can fail does, then the failures end.
fn random_world(seed: u64) -> World {
    let mut rng = Rng::new(seed.wrapping_mul(0x1234_5678_9abc_def1));
    let percent = |rng: &mut Rng, max| if rng.up_to(2) == 0 { 0 } else { rng.up_to(max) };
    let rates = FailureRates {
        write_fails: percent(&mut rng, 60),
        peek_fails: percent(&mut rng, 40),
        lost_answer: percent(&mut rng, 30),
        refused: percent(&mut rng, 50),
        partial: percent(&mut rng, 40),
        hangs: percent(&mut rng, 10),
        max_events: (rng.up_to(3) == 0).then(|| 1 + rng.up_to(9) as usize),
    };
    let options = Options {
        batch_events: 1 + rng.up_to(19) as u32,
        batch_bytes: 50 + rng.up_to(3000),
        linger: Millis(rng.up_to(1) * rng.up_to(300)),
        concurrency: 1 + rng.up_to(3) as u32,
        one_per_ordering_key: rates.partial > 0 && !may_reorder(seed),
        max_bytes: 100_000,
        ..Options::default()
    };
    let mut world = World::new(options, seed, rates);
    for _ in 0..60 {
        let session = SessionId(1 + rng.up_to(2) as u32);
        let ordering_key = (rng.up_to(5) as u32).saturating_sub(2);
        if let Some(no) = world.publish(session, 1 + rng.up_to(120) as u32, ordering_key)
            && rng.up_to(20) == 0
        {
            world.rejected.insert(no);
        }
        match rng.up_to(24) {
            0..=9 => drop(world.commit_as(session, grouping(seed, session))),
            10 => {
                world.machine.roll_back(session);
                world.staged.remove(&session);
            }
            11 => world.crash(),
            12 => {
                let at = world.moment();
                let is_paused = rng.up_to(1) == 0;
                world.machine.pause(at, is_paused);
            }
            13 => {
                let at = world.moment();
                let is_leader = rng.up_to(1) == 0;
                world.machine.set_leader(at, is_leader);
            }
            14 => world.machine.online(world.moment()),
            15 => world.machine.flush_now(world.moment()),
            16 => world.machine.page_hidden(world.moment(), 500, false),
            // The clock jumps: forwards to stay, and backwards for one call.
            17 => world.skew += rng.up_to(100_000),
            18 => world.machine.handle(Moment::default(), Input::Tick),
            // Feffects about exchanges that nobody asked for.
            19 => world
                .machine
                .handle(world.moment(), Input::Exchange(ExchangeId(9999), Ok(Response::new(200)))),
            _ => world.run_for(rng.up_to(400)),
        }
        world.run_machine();
    }
    for session in 1..=3 {
        world.commit_as(SessionId(session), grouping(seed, SessionId(session)));
    }
    world.run_for(2000);
    world.finish();
    world
}

#[test]
fn ten_thousand_random_worlds_lose_no_accepted_event_and_keep_the_order_of_each_key() {
    let (mut accepted, mut duplicates) = (0, 0);
    for seed in 0..10_000 {
        let world = random_world(seed);
        check_no_event_is_lost(&world);
        if world.initial_rates.partial == 0 || !may_reorder(seed) {
            check_order_by_key(&world);
        }
        accepted += world.accepted.len();
        duplicates += world.duplicates();
    }
    assert!(accepted > 100_000 && duplicates > 1000, "too few failures: {accepted}, {duplicates}");
}

fn check_no_event_is_lost(world: &World) {
    let seed = world.seed;
    for no in &world.accepted {
        let is_poison = world.rejected.contains(no);
        assert!(world.deliveries.contains_key(no) || is_poison, "seed {seed}: {no} is lost");
        assert_eq!(world.store.dead.contains(no), is_poison, "seed {seed}: {no} among the dead letters");
    }
    for no in &world.store.dead {
        assert!(world.rejected.contains(no), "seed {seed}: {no} was not rejected");
    }
    assert!(world.store.segments.is_empty(), "seed {seed}: the store is not empty");
    let counters = world.machine.counters();
    assert_eq!(counters.pending(), 0, "seed {seed}");
    let bytes = world.store.dead.iter().map(|no| u64::from(world.events[*no as usize].size)).sum();
    // A write that is applied late brings events back, and rejected ones become dead letters twice.
    let is_exact = world.initial_rates.write_fails == 0;
    let (dead, found) = ((counters.dead, world.machine.bytes()), (world.store.dead.len() as u64, bytes));
    assert!(
        dead == found || (!is_exact && dead > found),
        "seed {seed}: the store has {found:?}, the counters {dead:?}"
    );
}

fn check_order_by_key(world: &World) {
    let position: BTreeMap<EventNo, usize> =
        world.committed.iter().enumerate().map(|(position, no)| (*no, position)).collect();
    let mut last = BTreeMap::new();
    // Events that were not accepted may arrive late from a process that crashed.
    for no in world.first_deliveries.iter().filter(|no| world.accepted.contains(no)) {
        let ordering_key = world.events[*no as usize].ordering_key;
        if ordering_key != 0 {
            let before = last.insert(ordering_key, *no).unwrap_or(*no);
            assert!(
                position[&before] <= position[no],
                "seed {}: {before} before {no} in ordering_key {ordering_key}",
                world.seed
            );
        }
    }
}

#[test]
fn a_server_that_rejects_batches_gets_single_events() {
    let mut world = World::new(small(), 1, FailureRates { hangs: 100, ..FailureRates::default() });
    commit(&mut world, 25);
    world.run_for(50);
    world.rates = FailureRates::default();
    world.machine.limit_batches(world.moment(), ExchangeId(1), 1, 6);
    // The outcome of an exchange counts once.
    world.machine.limit_batches(world.moment(), ExchangeId(1), 3, 1);
    world.finish();
    assert!(world.requests[1..].iter().all(|(_, events)| events.len() == 1));
    assert_eq!((world.deliveries.len(), world.dead.len()), (25, 0));
}

#[test]
fn a_follower_does_not_wait_for_events_that_others_stored() {
    let mut world = World::new(small(), 1, FailureRates { hangs: 100, ..FailureRates::default() });
    commit(&mut world, 25);
    world.run_for(50);
    world.crash();
    assert_eq!(world.machine.counters().pending(), 25, "until it is known who leads");
    world.machine.set_leader(world.moment(), false);
    world.run_machine();
    assert_eq!(world.machine.counters().pending(), 0);
    world.finish();
    assert_eq!(world.deliveries.len(), 25);
}

#[test]
fn a_hidden_page_with_prepared_bodies_sends_one_segment_per_request() {
    let mut world = World::new(small(), 1, FailureRates::default());
    for _ in 0..3 {
        commit(&mut world, 2);
    }
    world.machine.page_hidden(world.moment(), 10_000, true);
    world.run_machine();
    assert_eq!(world.requests.iter().map(|(_, events)| events.len()).collect::<Vec<_>>(), [2, 2, 2]);
    world.finish();
    assert_eq!((world.deliveries.len(), world.duplicates()), (6, 0));
}
