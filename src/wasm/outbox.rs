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
    /// `js/engine/ports.ts` says. Returns the number that it gives, or 0. Those that return at once have no effects, or
    /// their effects wait for the next input.
    #[allow(clippy::too_many_arguments, reason = "a call from JavaScript has only positional arguments")]
    pub fn input(&mut self, input: usize, now: f64, a: f64, b: f64, c: f64, d: f64) -> f64 {
        let (outbox, now) = (&mut self.outbox, moment(now));
        let mut result = 0.0;
        match OUTBOX_INPUTS.get(input) {
            Some(OutboxInput::Tick) => outbox.handle(now, Input::Tick),
            Some(OutboxInput::Failure) => {
                outbox.handle(now, Input::Exchange(ExchangeId(a as u32), Err(failure(b))));
            }
            Some(OutboxInput::Stage) => {
                return stage_result(outbox.stage(SessionId(a as u32), b as u32, c as u32));
            }
            Some(OutboxInput::Credit) => return credit(outbox.credit(SessionId(a as u32)), b),
            Some(OutboxInput::Counter) => {
                return numbers::counters(outbox).get(a as usize).map_or(0.0, |count| *count as f64);
            }
            Some(OutboxInput::IsDrained) => return outbox.is_drained().into(),
            Some(OutboxInput::IsSettled) => return outbox.is_settled().into(),
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

    /// Passes an input that has or gives a list of numbers, by its place in `OUTBOX_LIST_INPUTS`, with what `OutboxListInputs`
    /// of `js/engine/ports.ts` says. Returns the handles that it gives, or none.
    pub fn input_list(&mut self, input: usize, now: f64, a: f64, b: f64, list: Vec<f64>) -> Vec<u32> {
        let (outbox, now) = (&mut self.outbox, moment(now));
        let (session, segment) = (SessionId(a as u32), SegmentId(a as u32));
        let numbers: Vec<u32> = list.iter().map(|number| *number as u32).collect();
        let mut ids = Vec::new();
        match OUTBOX_LIST_INPUTS.get(input) {
            Some(OutboxListInput::Commit) => ids = outbox.commit(now, session, grouping(b as u32)),
            Some(OutboxListInput::Uncommit) => ids = outbox.uncommit(now, session, segments(numbers)),
            Some(OutboxListInput::MovedAway) => outbox.moved_away(now, segments(numbers).into_iter()),
            Some(OutboxListInput::DeliveredElsewhere) => {
                outbox.delivered_elsewhere(now, segment, &numbers, b as u16);
            }
            Some(OutboxListInput::ResponseEach) => {
                outbox.response_each(now, ExchangeId(a as u32), &numbers, retry_after(b));
            }
            Some(OutboxListInput::StageMany) => {
                let Contents { sizes, ordering_keys, .. } = contents(&numbers).0;
                outbox.stage_many(session, &sizes, &ordering_keys);
                return Vec::new();
            }
            Some(OutboxListInput::Recommit) => ids.push(outbox.recommit(now, contents(&numbers).0)),
            Some(OutboxListInput::SegmentFound) => {
                let (contents, progress) = contents(&numbers);
                let progress = Progress::from_numbers(progress, contents.len());
                let known = (segment.0 != 0).then_some(segment);
                ids.push(outbox.segment_found(now, contents, Millis(b as u64), known, progress.as_ref()));
            }
            Some(OutboxListInput::SetExpiryTimes) => {
                outbox.set_expiry_times(segment, ExpiryTimes::new(list, b != 0.0));
            }
            None => {}
        }
        self.drain();
        ids.into_iter().map(|id| id.0).collect()
    }

    /// An exchange ended with a response.
    pub fn response(&mut self, now: f64, id: u32, status: u16, after: f64, headers: String, body: Vec<u8>) {
        let (response, classify) = (response(status, after, headers, body), self.classify);
        self.outbox.response(moment(now), ExchangeId(id), &response, classify);
        self.drain();
    }
}

impl OutboxPort {
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

/// -2 if the event is refused, -1 if it is dropped, and otherwise twice the number of older events that were dropped
/// for it, plus one if it opens a segment.
fn stage_result(result: StageResult) -> f64 {
    match result {
        StageResult::Refused => -2.0,
        StageResult::Dropped => -1.0,
        StageResult::Staged { opens_segment, dropped } => f64::from(dropped * 2 + u32::from(opens_segment)),
    }
}

/// Bytes up to `max_bytes`, plus 2^32 times the events.
fn credit((bytes, events): (u64, u32), max_bytes: f64) -> f64 {
    // A float keeps this many events exactly.
    let events = events.min(1 << 20);
    (bytes as f64).min(max_bytes) + f64::from(events) * 4_294_967_296.0
}

/// The contents of a segment, and the numbers behind them, see `contentsList` of `js/outbox/contents-list.ts`.
fn contents(numbers: &[u32]) -> (Contents, &[u32]) {
    let Some((&[max_grouped_events, sizes, ordering_keys], rest)) = numbers.split_first_chunk() else {
        return (Contents::default(), &[]);
    };
    let (sizes, rest) = rest.split_at_checked(sizes as usize).unwrap_or_default();
    let (ordering_keys, rest) = rest.split_at_checked(ordering_keys as usize).unwrap_or_default();
    let contents = Contents {
        sizes: sizes.to_vec(),
        ordering_keys: ordering_keys.to_vec(),
        grouping: grouping(max_grouped_events),
    };
    (contents, rest)
}

fn segments(handles: Vec<u32>) -> Vec<SegmentId> {
    handles.into_iter().map(SegmentId).collect()
}

fn grouping(max_grouped_events: u32) -> Grouping {
    if max_grouped_events == 0 { Grouping::Any } else { Grouping::Separate(max_grouped_events) }
}
