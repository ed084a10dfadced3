//! The outbox for JavaScript. Lists of records cross the boundary flat, see `js/outbox/segment-table.ts`.

use wasm_bindgen::prelude::wasm_bindgen;

use super::config;
use super::outbox_effects::{OutboxSink, push};
use super::port::{failure, moment, response, retry_after, time_of};
use crate::base;
use crate::base::ids::ExchangeId;
use crate::base::time::Millis;
use crate::bc_events;
use crate::boundary::numbers;
use crate::engine::machine::{Input, Machine, Output, Poll};
use crate::outbox::answer::{Classifier, by_status};
use crate::outbox::effect::StoreCounts;
use crate::outbox::expiry::{ExpiryTimes, WallClock};
use crate::outbox::machine::Outbox;
use crate::outbox::progress::Progress;
use crate::outbox::segment::SegmentId;
use crate::outbox::session::{Contents, Grouping, SessionId, StageResult};

/// A short name for a text that must not be shown, see [`base::digest`].
#[wasm_bindgen]
pub fn digest(text: &str) -> String {
    base::digest::digest(text)
}

/// In the order of `OUTBOX_CLASSIFIER_NAMES`.
const CLASSIFIERS: &[Classifier] = &[by_status, bc_events::wire::classify_response];

/// An outbox. Each method with `now` appends the effects that it has to the queue.
#[wasm_bindgen]
pub struct OutboxPort {
    outbox: Outbox,
    classify: Classifier,
    effects: OutboxSink,
}

#[wasm_bindgen]
impl OutboxPort {
    /// An outbox with options in the order of `OUTBOX_OPTIONS`, and the number of its classifier.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &[f64], classifier: usize, seed: f64, effects: OutboxSink) -> Self {
        let classify = CLASSIFIERS.get(classifier).copied().unwrap_or(by_status);
        Self { outbox: Outbox::new(config::outbox(options), seed.to_bits()), classify, effects }
    }

    /// Stages an event. Returns -2 if it is refused, -1 if it is dropped, and otherwise twice the number of
    /// older events that were dropped for it, plus one if it opens a segment.
    pub fn stage(&mut self, session: u32, size: u32, ordering_key: u32) -> i32 {
        match self.outbox.stage(SessionId(session), size, ordering_key) {
            StageResult::Refused => -2,
            StageResult::Dropped => -1,
            StageResult::Staged { opens_segment, dropped } => (dropped * 2) as i32 + i32::from(opens_segment),
        }
    }

    /// How much more fits behind the staged events: bytes up to `max_bytes` plus 2^32 times the events.
    pub fn credit(&self, session: u32, max_bytes: u32) -> f64 {
        let (bytes, events) = self.outbox.credit(SessionId(session));
        // A float keeps this many events exactly.
        let events = events.min(1 << 20);
        bytes.min(u64::from(max_bytes)) as f64 + f64::from(events) * 4_294_967_296.0
    }

    /// Stages events for which there was credit.
    pub fn stage_many(&mut self, session: u32, sizes: &[u32], ordering_keys: &[u32]) {
        self.outbox.stage_many(SessionId(session), sizes, ordering_keys);
    }

    /// Drops the staged events of a session. Returns how many there were.
    pub fn roll_back(&mut self, session: u32) -> u32 {
        self.run(|outbox| outbox.roll_back(SessionId(session)))
    }

    /// Commits the staged events and returns the handles of their segments. `max_grouped_events`: how many
    /// events of a segment may share a request, which then has no others; 0 if they may share it with any
    /// events.
    pub fn commit(&mut self, now: f64, session: u32, max_grouped_events: u32) -> Vec<u32> {
        let ids =
            self.run(|outbox| outbox.commit(moment(now), SessionId(session), grouping(max_grouped_events)));
        ids.into_iter().map(|id| id.0).collect()
    }

    /// Stages committed segments again. Returns the handles of those that were staged.
    pub fn uncommit(&mut self, now: f64, session: u32, segments: Vec<u32>) -> Vec<u32> {
        let segments = segments.into_iter().map(SegmentId).collect();
        let staged = self.run(|outbox| outbox.uncommit(moment(now), SessionId(session), segments));
        staged.into_iter().map(|id| id.0).collect()
    }

    /// Commits events again that were committed in a discarded engine.
    pub fn recommit(
        &mut self,
        now: f64,
        sizes: Vec<u32>,
        ordering_keys: Vec<u32>,
        max_grouped_events: u32,
    ) -> u32 {
        let contents = Contents { sizes, ordering_keys, grouping: grouping(max_grouped_events) };
        self.run(|outbox| outbox.recommit(moment(now), contents)).0
    }

    /// The store is open, with these contents.
    pub fn store_opened(&mut self, now: f64, events: f64, bytes: f64, dead: f64, dead_bytes: f64) {
        self.run(|outbox| outbox.store_opened(moment(now), counts(events, bytes, dead, dead_bytes)));
    }

    /// These contents were moved into the store.
    pub fn store_added(&mut self, now: f64, events: f64, bytes: f64, dead: f64, dead_bytes: f64) {
        self.run(|outbox| outbox.store_added(moment(now), counts(events, bytes, dead, dead_bytes)));
    }

    /// Segments that were committed here were moved out of the store.
    pub fn moved_away(&mut self, now: f64, segments: Vec<u32>) {
        self.run(|outbox| outbox.moved_away(moment(now), segments.into_iter().map(SegmentId)));
    }

    /// The last write is done, or failed.
    pub fn store_written(&mut self, now: f64, is_done: bool) {
        self.run(|outbox| outbox.store_written(moment(now), is_done));
    }

    /// A peek found a segment. `known` is its handle, or 0. For `progress` see [`Progress::to_numbers`]; it may
    /// be empty. Returns its handle.
    #[allow(clippy::too_many_arguments, reason = "a call from JavaScript has only positional arguments")]
    pub fn segment_found(
        &mut self,
        now: f64,
        sizes: Vec<u32>,
        ordering_keys: Vec<u32>,
        max_grouped_events: u32,
        age: f64,
        known: u32,
        progress: &[u32],
    ) -> u32 {
        let known = (known != 0).then_some(SegmentId(known));
        let contents = Contents { sizes, ordering_keys, grouping: grouping(max_grouped_events) };
        let progress = Progress::from_numbers(progress, contents.len());
        self.run(|outbox| {
            outbox.segment_found(moment(now), contents, Millis(age as u64), known, progress.as_ref())
        })
        .0
    }

    /// A peek ended. For `result` see `PEEK_RESULT` in `js/engine/ports.ts`.
    pub fn store_peeked(&mut self, now: f64, result: u8) {
        self.run(|outbox| {
            outbox.store_peeked(moment(now), if result > 1 { Err(()) } else { Ok(result == 0) })
        });
    }

    /// When the events of a segment expire, in Unix milliseconds; NaN for never.
    pub fn set_expiry_times(&mut self, segment: u32, times: Vec<f64>, is_replayed: bool) {
        self.outbox.set_expiry_times(SegmentId(segment), ExpiryTimes::new(times, is_replayed));
    }

    /// Sets the clock by which events expire: the Unix time `at`, which the destination has told with `is_confirmed`.
    pub fn set_wall_clock(&mut self, at: f64, unix_ms: f64, is_confirmed: bool) {
        let clock = if is_confirmed { WallClock::of_destination } else { WallClock::own };
        self.outbox.set_wall_clock(clock(moment(at), unix_ms as u64));
    }

    /// Another tab stored segments.
    pub fn store_changed(&mut self, now: f64) {
        self.run(|outbox| outbox.store_changed(moment(now)));
    }

    /// Another tab settled events that were committed here.
    pub fn settled_elsewhere(&mut self, now: f64, segment: u32, delivered: u32, dead: u32, bytes: f64) {
        self.run(|outbox| {
            outbox.settled_elsewhere(moment(now), SegmentId(segment), delivered, dead, bytes as u64)
        });
    }

    /// Others delivered events of a segment that the machine has.
    pub fn delivered_elsewhere(&mut self, now: f64, segment: u32, indices: &[u32], status: u16) {
        self.run(|outbox| outbox.delivered_elsewhere(moment(now), SegmentId(segment), indices, status));
    }

    /// Dead letters were removed, and with `is_replayed` stored as segments again.
    pub fn dead_removed(&mut self, now: f64, count: u32, bytes: f64, is_replayed: bool) {
        self.run(|outbox| outbox.dead_removed(moment(now), count, bytes as u64, is_replayed));
    }

    /// Forgets all committed events and dead letters. Returns how many there were.
    pub fn purge(&mut self, now: f64) -> f64 {
        self.run(|outbox| outbox.purge(moment(now))) as f64
    }

    /// Whether this outbox sends the stored events.
    pub fn set_leader(&mut self, now: f64, is_leader: bool) {
        self.run(|outbox| outbox.set_leader(moment(now), is_leader));
    }

    /// Stops sending, or sends again.
    pub fn pause(&mut self, now: f64, is_paused: bool) {
        self.run(|outbox| outbox.pause(moment(now), is_paused));
    }

    /// Ready events no longer wait for others.
    pub fn flush_now(&mut self, now: f64) {
        self.run(|outbox| outbox.flush_now(moment(now)));
    }

    /// Requests may succeed now: ends backoff delays.
    pub fn online(&mut self, now: f64) {
        self.run(|outbox| outbox.online(moment(now)));
    }

    /// How many requests may start from now on.
    pub fn allow_requests(&mut self, now: f64, requests: u32) {
        self.run(|outbox| outbox.allow_requests(moment(now), requests));
    }

    /// The page may be closed: sends up to `bytes` of events. `one_per_request`: one segment per request.
    pub fn page_hidden(&mut self, now: f64, bytes: f64, one_per_request: bool) {
        self.run(|outbox| outbox.page_hidden(moment(now), bytes as u64, one_per_request));
    }

    /// Time has passed.
    pub fn tick(&mut self, now: f64) {
        self.run(|outbox| outbox.handle(moment(now), Input::Tick));
    }

    /// An exchange ended with a response.
    pub fn response(&mut self, now: f64, id: u32, status: u16, after: f64, headers: String, body: Vec<u8>) {
        let (response, classify) = (response(status, after, headers, body), self.classify);
        self.run(|outbox| outbox.response(moment(now), ExchangeId(id), &response, classify));
    }

    /// The server accepts only smaller requests.
    pub fn limit_batches(&mut self, now: f64, id: u32, max_events: u32, concurrency: u32) {
        self.run(|outbox| outbox.limit_batches(moment(now), ExchangeId(id), max_events, concurrency));
    }

    /// The request of an exchange was not sent.
    pub fn not_sent(&mut self, now: f64, id: u32) {
        self.run(|outbox| outbox.not_sent(moment(now), ExchangeId(id)));
    }

    /// An exchange ended with a response that has a status for each event.
    pub fn response_each(&mut self, now: f64, id: u32, statuses: Vec<u16>, after: f64) {
        self.run(|outbox| outbox.response_each(moment(now), ExchangeId(id), &statuses, retry_after(after)));
    }

    /// An exchange failed.
    pub fn failure(&mut self, now: f64, id: u32, why: u8) {
        self.run(|outbox| outbox.handle(moment(now), Input::Exchange(ExchangeId(id), Err(failure(why)))));
    }

    /// The counters, in the order of `COUNTERS` in `js/engine/generated/tables.ts`.
    pub fn counters(&self) -> Vec<f64> {
        numbers::counters(&self.outbox).map(|count| count as f64).to_vec()
    }

    /// Whether there is nothing to write, to send, or to find in the store.
    pub fn is_drained(&self) -> bool {
        self.outbox.is_drained()
    }

    /// Whether all changes are written and no request is in flight.
    pub fn is_settled(&self) -> bool {
        self.outbox.is_settled()
    }
}

impl OutboxPort {
    fn run<R>(&mut self, input: impl FnOnce(&mut Outbox) -> R) -> R {
        let result = input(&mut self.outbox);
        self.drain();
        result
    }

    /// Appends all effects to the queue.
    fn drain(&mut self) {
        let sink = &self.effects;
        loop {
            let result = match self.outbox.poll() {
                Poll::Do(Output::Event(effect)) => push(sink, effect),
                Poll::Do(Output::Cancel(id)) => sink.cancel(id.0),
                Poll::Wait(deadline) => return drop(sink.wait(time_of(deadline))),
                // The outbox has an effect of its own for requests.
                Poll::Do(Output::Send(..)) => Ok(()),
            };
            drop(result);
        }
    }
}

fn counts(events: f64, bytes: f64, dead: f64, dead_bytes: f64) -> StoreCounts {
    StoreCounts {
        events: events as u64,
        bytes: bytes as u64,
        dead: dead as u64,
        dead_bytes: dead_bytes as u64,
    }
}

fn grouping(max_grouped_events: u32) -> Grouping {
    if max_grouped_events == 0 { Grouping::Any } else { Grouping::Separate(max_grouped_events) }
}
