//! The outbox for JavaScript. Lists of records cross the boundary flat, see `js/outbox/segment-table.ts`.

use wasm_bindgen::prelude::wasm_bindgen;

use super::calls::Effects;
use super::config;
use super::outbox_effects::push;
use super::port::{failure, moment, response, retry_after, time_of};
use crate::base::ids::ExchangeId;
use crate::base::time::Millis;
use crate::bc_events;
use crate::boundary::numbers::{self, OUTBOX_INPUTS, OUTBOX_LIST_INPUTS, OutboxInput, OutboxListInput};
use crate::engine::machine::{Input, Machine, Output, Poll};
use crate::outbox::answer::{Classifier, by_status};
use crate::outbox::effect::StoreCounts;
use crate::outbox::expiry::{ExpiryTimes, WallClock};
use crate::outbox::machine::Outbox;
use crate::outbox::progress::Progress;
use crate::outbox::segment::SegmentId;
use crate::outbox::session::{Contents, Grouping, SessionId, StageResult};

/// In the order of `OUTBOX_CLASSIFIER_NAMES`.
const CLASSIFIERS: &[Classifier] = &[by_status, bc_events::wire::classify_response];

/// An outbox. Each method with `now` appends the effects that it has to the queue.
#[wasm_bindgen]
pub struct OutboxPort {
    outbox: Outbox,
    classify: Classifier,
    effects: Effects,
}

#[wasm_bindgen]
impl OutboxPort {
    /// An outbox with options in the order of `OUTBOX_OPTIONS`, and the number of its classifier.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &[f64], classifier: usize, seed: f64, effects: Effects) -> Self {
        let classify = CLASSIFIERS.get(classifier).copied().unwrap_or(by_status);
        Self { outbox: Outbox::new(config::outbox(options), seed.to_bits()), classify, effects }
    }

    /// Passes an input that has only numbers, by its place in `OUTBOX_INPUTS`, with what `OutboxInputs` of
    /// `js/engine/ports.ts` says. Returns the number that it gives, or 0.
    #[allow(clippy::too_many_arguments, reason = "a call from JavaScript has only positional arguments")]
    pub fn input(&mut self, input: usize, now: f64, a: f64, b: f64, c: f64, d: f64) -> f64 {
        let (outbox, now) = (&mut self.outbox, moment(now));
        let mut result = 0.0;
        match OUTBOX_INPUTS.get(input) {
            Some(OutboxInput::RollBack) => result = outbox.roll_back(SessionId(a as u32)).into(),
            Some(OutboxInput::StoreOpened) => outbox.store_opened(now, counts(a, b, c, d)),
            Some(OutboxInput::StoreAdded) => outbox.store_added(now, counts(a, b, c, d)),
            Some(OutboxInput::StoreWritten) => outbox.store_written(now, a != 0.0),
            Some(OutboxInput::StorePeeked) => {
                outbox.store_peeked(now, if a > 1.0 { Err(()) } else { Ok(a == 0.0) });
            }
            Some(OutboxInput::StoreChanged) => outbox.store_changed(now),
            Some(OutboxInput::SetWallClock) => {
                let clock = if b == 0.0 { WallClock::own } else { WallClock::of_destination };
                outbox.set_wall_clock(clock(now, a as u64));
            }
            Some(OutboxInput::SettledElsewhere) => {
                outbox.settled_elsewhere(now, SegmentId(a as u32), b as u32, c as u32, d as u64);
            }
            Some(OutboxInput::DeadRemoved) => outbox.dead_removed(now, a as u32, b as u64, c != 0.0),
            Some(OutboxInput::Purge) => result = outbox.purge(now) as f64,
            Some(OutboxInput::SetLeader) => outbox.set_leader(now, a != 0.0),
            Some(OutboxInput::Pause) => outbox.pause(now, a != 0.0),
            Some(OutboxInput::FlushNow) => outbox.flush_now(now),
            Some(OutboxInput::Online) => outbox.online(now),
            Some(OutboxInput::AllowRequests) => outbox.allow_requests(now, a as u32),
            Some(OutboxInput::PageHidden) => outbox.page_hidden(now, a as u64, b != 0.0),
            Some(OutboxInput::LimitBatches) => {
                outbox.limit_batches(now, ExchangeId(a as u32), b as u32, c as u32);
            }
            Some(OutboxInput::NotSent) => outbox.not_sent(now, ExchangeId(a as u32)),
            None => {}
        }
        self.drain();
        result
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

    /// Passes an input that has or gives a list of numbers, by its place in `OUTBOX_LIST_INPUTS`, with what `OutboxListInputs`
    /// of `js/engine/ports.ts` says. Returns the handles that it gives, or none.
    pub fn input_list(&mut self, input: usize, now: f64, a: f64, b: f64, list: Vec<u32>) -> Vec<u32> {
        let (outbox, now) = (&mut self.outbox, moment(now));
        let ids = match OUTBOX_LIST_INPUTS.get(input) {
            Some(OutboxListInput::Commit) => outbox.commit(now, SessionId(a as u32), grouping(b as u32)),
            Some(OutboxListInput::Uncommit) => outbox.uncommit(now, SessionId(a as u32), segments(list)),
            Some(OutboxListInput::MovedAway) => {
                outbox.moved_away(now, segments(list).into_iter());
                Vec::new()
            }
            Some(OutboxListInput::DeliveredElsewhere) => {
                outbox.delivered_elsewhere(now, SegmentId(a as u32), &list, b as u16);
                Vec::new()
            }
            Some(OutboxListInput::ResponseEach) => {
                outbox.response_each(now, ExchangeId(a as u32), &list, retry_after(b));
                Vec::new()
            }
            None => Vec::new(),
        };
        self.drain();
        ids.into_iter().map(|id| id.0).collect()
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

    /// When the events of a segment expire, in Unix milliseconds; NaN for never.
    pub fn set_expiry_times(&mut self, segment: u32, times: Vec<f64>, is_replayed: bool) {
        self.outbox.set_expiry_times(SegmentId(segment), ExpiryTimes::new(times, is_replayed));
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

    /// An exchange failed.
    pub fn failure(&mut self, now: f64, id: u32, why: u8) {
        self.run(|outbox| outbox.handle(moment(now), Input::Exchange(ExchangeId(id), Err(failure(why)))));
    }

    /// A counter, by its place in `COUNTERS` of `js/engine/generated/tables.ts`.
    pub fn counter(&self, at: usize) -> f64 {
        numbers::counters(&self.outbox).get(at).map_or(0.0, |count| *count as f64)
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

fn segments(handles: Vec<u32>) -> Vec<SegmentId> {
    handles.into_iter().map(SegmentId).collect()
}

fn grouping(max_grouped_events: u32) -> Grouping {
    if max_grouped_events == 0 { Grouping::Any } else { Grouping::Separate(max_grouped_events) }
}
