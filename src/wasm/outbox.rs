//! The outbox as JavaScript sees it. Lists of numbers go out flat; `js/outbox/driver.ts` reads them.

use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

use super::config;
use super::port::{failure, moment, response, retry_after};
use crate::base::error::Error;
use crate::base::ids::ExchangeId;
use crate::base::time::{Deadline, Millis};
use crate::bc_events;
use crate::engine::machine::{Input, Machine, Output};
use crate::outbox::answer::{Classifier, by_status};
use crate::outbox::effect::{Effect, Outcome, StoreCounts};
use crate::outbox::machine::Outbox;
use crate::outbox::segment::{Part, SegmentId};
use crate::outbox::session::{Contents, Grouping, SessionId, Staged};
use crate::outbox::writes::Write;

#[wasm_bindgen]
extern "C" {
    /// `js/outbox/driver.ts`
    pub type OutboxSink;
    #[wasm_bindgen(method, structural, catch)]
    fn write(this: &OutboxSink, put: Vec<u32>, remove: Vec<u32>, dead_put: Vec<u32>) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn look(this: &OutboxSink, events: u32, bytes: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn dispatch(this: &OutboxSink, id: u32, parts: Vec<u32>, leaving: bool) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn cancel(this: &OutboxSink, id: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn accepted(this: &OutboxSink, segment: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn delivered(
        this: &OutboxSink,
        segment: u32,
        from: u32,
        to: u32,
        status: u16,
        tries: u32,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn died(
        this: &OutboxSink,
        segment: u32,
        index: u32,
        tries: u32,
        code: u8,
        status: u16,
        message: String,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn retry(
        this: &OutboxSink,
        rest: f64,
        failures: u32,
        code: u8,
        status: u16,
        message: String,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn forget(this: &OutboxSink, segment: u32, is_kept: bool) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn pressure(this: &OutboxSink, is_high: bool) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn wait(this: &OutboxSink, at: f64) -> Result<(), JsValue>;
}

/// Who judges answers, by the number that `OUTBOX_CLASSIFIERS` in `js/outbox/wire.ts` gives it.
const CLASSIFIERS: &[Classifier] = &[by_status, bc_events::wire::classify_response];

/// The outbox, behind one handle.
#[wasm_bindgen]
pub struct OutboxPort(Outbox, Classifier);

#[wasm_bindgen]
impl OutboxPort {
    /// An outbox with options as `config.rs` reads them, and the number of its classifier.
    #[wasm_bindgen(constructor)]
    pub fn new(options: JsValue, classifier: usize, seed: f64) -> Result<Self, JsError> {
        let classifier = CLASSIFIERS.get(classifier).copied().unwrap_or(by_status);
        Ok(Self(Outbox::new(config::outbox(options)?, seed.to_bits()), classifier))
    }

    /// Whether the options are good.
    pub fn check(options: JsValue) -> Result<(), JsError> {
        config::outbox(options).map(drop)
    }

    /// Stages an event: -2 refused, -1 dropped, otherwise twice the number of older ones that were dropped for it, and one
    /// more if it opens a segment.
    pub fn stage(&mut self, session: u32, size: u32, ordering_key: u32) -> i32 {
        match self.0.stage(SessionId(session), size, ordering_key) {
            Staged::Refused => -2,
            Staged::Dropped => -1,
            Staged::In { opens, dropped } => (dropped * 2) as i32 + i32::from(opens),
        }
    }

    /// How many more bytes surely fit behind what is staged.
    pub fn credit_bytes(&self, session: u32) -> u32 {
        u32::try_from(self.0.credit(SessionId(session)).0).unwrap_or(u32::MAX)
    }

    /// How many more events do.
    pub fn credit_events(&self, session: u32) -> u32 {
        self.0.credit(SessionId(session)).1
    }

    /// Stages events that fit with credit.
    pub fn stage_many(&mut self, session: u32, sizes: &[u32], ordering_keys: &[u32]) {
        self.0.stage_many(SessionId(session), sizes, ordering_keys);
    }

    /// Drops what is staged.
    pub fn roll_back(&mut self, session: u32) -> u32 {
        self.0.roll_back(SessionId(session))
    }

    /// Commits what is staged, and gives the numbers of the segments. `own`: how many events of a segment go in one request that then
    /// has no others, 0 if they may go with others.
    pub fn commit(&mut self, now: f64, session: u32, own: u32) -> Vec<u32> {
        let ids = self.0.commit(moment(now), SessionId(session), grouping(own));
        ids.into_iter().map(|id| id.0).collect()
    }

    /// Commits what an engine that was thrown away had committed.
    pub fn recommit(&mut self, now: f64, sizes: Vec<u32>, ordering_keys: Vec<u32>, own: u32) -> u32 {
        self.0.recommit(moment(now), Contents { sizes, ordering_keys, grouping: grouping(own) }).0
    }

    /// The store is open.
    pub fn opened(&mut self, now: f64, events: f64, bytes: f64, dead: f64, dead_bytes: f64) {
        let stock = StoreCounts {
            events: events as u64,
            bytes: bytes as u64,
            dead: dead as u64,
            dead_bytes: dead_bytes as u64,
        };
        self.0.opened(moment(now), stock);
    }

    /// The last write has ended.
    pub fn written(&mut self, now: f64, is_done: bool) {
        self.0.written(moment(now), is_done);
    }

    /// A look has found a segment; `known` is its number, or 0. Gives its number.
    pub fn found(
        &mut self,
        now: f64,
        sizes: Vec<u32>,
        ordering_keys: Vec<u32>,
        own: u32,
        age: f64,
        known: u32,
    ) -> u32 {
        let known = (known != 0).then_some(SegmentId(known));
        let contents = Contents { sizes, ordering_keys, grouping: grouping(own) };
        self.0.found(moment(now), contents, Millis(age as u64), known).0
    }

    /// A look has ended: 0 it found nothing new, 1 it found something, 2 it failed.
    pub fn peeked(&mut self, now: f64, result: u8) {
        self.0.peeked(moment(now), if result > 1 { Err(()) } else { Ok(result == 0) });
    }

    /// Somebody else has stored something.
    pub fn store_changed(&mut self, now: f64) {
        self.0.store_changed(moment(now));
    }

    /// Somebody else has settled events of ours.
    pub fn settled_elsewhere(&mut self, now: f64, segment: u32, delivered: u32, dead: u32, bytes: f64) {
        self.0.settled_elsewhere(moment(now), SegmentId(segment), delivered, dead, bytes as u64);
    }

    /// Dead letters were put back, or removed.
    pub fn dead_removed(&mut self, now: f64, letters: u32, bytes: f64, replayed: bool) {
        self.0.dead_removed(moment(now), letters, bytes as u64, replayed);
    }

    /// Everything is deleted.
    pub fn purge(&mut self, now: f64) -> f64 {
        self.0.purge(moment(now)) as f64
    }

    /// Whether we are the ones that send.
    pub fn set_leader(&mut self, now: f64, leads: bool) {
        self.0.set_leader(moment(now), leads);
    }

    /// Sends nothing from now on, or goes on.
    pub fn pause(&mut self, now: f64, is_paused: bool) {
        self.0.pause(moment(now), is_paused);
    }

    /// What is ready shall not wait for others.
    pub fn flush_now(&mut self, now: f64) {
        self.0.flush_now(moment(now));
    }

    /// It may work now.
    pub fn online(&mut self, now: f64) {
        self.0.online(moment(now));
    }

    /// How many requests may start from now on.
    pub fn allow_requests(&mut self, now: f64, requests: u32) {
        self.0.allow_requests(moment(now), requests);
    }

    /// The page may end: sends up to so many bytes at once.
    pub fn page_hidden(&mut self, now: f64, bytes: f64, apart: bool) {
        self.0.page_hidden(moment(now), bytes as u64, apart);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: f64) {
        self.0.handle(moment(now), Input::Tick);
    }

    /// An exchange was answered.
    pub fn response(&mut self, now: f64, id: u32, status: u16, after: f64, headers: String, body: Vec<u8>) {
        let response = response(status, after, headers, body);
        self.0.answered(moment(now), ExchangeId(id), &response, self.1);
    }

    /// The server wants other requests.
    pub fn limit_batches(&mut self, now: f64, id: u32, events: u32, flights: u32) {
        self.0.limit_batches(moment(now), ExchangeId(id), events, flights);
    }

    /// An exchange was answered event by event.
    pub fn response_each(&mut self, now: f64, id: u32, statuses: Vec<u16>, after: f64) {
        self.0.response_each(moment(now), ExchangeId(id), &statuses, retry_after(after));
    }

    /// An exchange came to nothing.
    pub fn failure(&mut self, now: f64, id: u32, why: u8) {
        self.0.handle(moment(now), Input::Exchange(ExchangeId(id), Err(failure(why))));
    }

    /// The counters: accepted, delivered, dead, purged, pending, attempts, refused, dropped oldest, dropped newest, staged, bytes.
    pub fn counters(&self) -> Vec<f64> {
        let counters = self.0.counters();
        [
            counters.accepted,
            counters.delivered,
            counters.dead,
            counters.purged,
            counters.pending(),
            counters.attempts,
            counters.refused,
            counters.dropped_oldest,
            counters.dropped_newest,
            self.0.staged(),
            self.0.bytes(),
        ]
        .map(|count| count as f64)
        .to_vec()
    }

    /// Whether there is nothing left to do.
    pub fn is_quiet(&self) -> bool {
        self.0.is_quiet()
    }

    /// Whether nothing waits to be written and nothing is under way.
    pub fn is_settled(&self) -> bool {
        self.0.is_settled()
    }

    /// Says everything that is to be done.
    pub fn drain(&mut self, sink: &OutboxSink) {
        loop {
            let said = match self.0.poll() {
                Output::Event(act) => say(sink, act),
                Output::Cancel(id) => sink.cancel(id.0),
                Output::Wait(Deadline::At(at)) => return drop(sink.wait(at.as_millis() as f64)),
                Output::Wait(Deadline::Never) => return,
                // An outbox makes no requests itself, and its store has words of its own.
                Output::Send(..) | Output::Load(_) | Output::Save(..) => Ok(()),
            };
            drop(said);
        }
    }
}

fn grouping(own: u32) -> Grouping {
    if own == 0 { Grouping::Any } else { Grouping::Own(own) }
}

fn say(sink: &OutboxSink, act: Effect) -> Result<(), JsValue> {
    let particulars = |error: &Error| (error.code as u8 + 1, error.status.unwrap_or(0), error.to_string());
    match act {
        Effect::Write(Write { put, remove, dead_put }) => sink.write(
            put.into_iter()
                .flat_map(|put| {
                    let kept = put.kept.unwrap_or_default();
                    [put.segment.0, kept.len() as u32].into_iter().chain(kept)
                })
                .collect(),
            remove.into_iter().map(|id| id.0).collect(),
            dead_put.into_iter().flat_map(|(id, index)| [id.0, index]).collect(),
        ),
        Effect::Look { events, bytes } => sink.look(events, bytes as f64),
        Effect::Send { exchange, batch, leaving } => {
            let flat = |part: Part| [part.segment.0, part.from, part.to];
            sink.dispatch(exchange.0, batch.into_iter().flat_map(flat).collect(), leaving)
        }
        Effect::Accepted(segment) => sink.accepted(segment.0),
        Effect::Delivered { part, status, tries } => {
            sink.delivered(part.segment.0, part.from, part.to, status, tries)
        }
        Effect::Died { segment, index, error, tries } => {
            let (code, status, message) = particulars(&error);
            sink.died(segment.0, index, tries, code, status, message)
        }
        Effect::Retry { error, rest, failures } => {
            let (code, status, message) = particulars(&error);
            sink.retry(rest.0 as f64, failures, code, status, message)
        }
        Effect::Forget(segment, fate) => sink.forget(segment.0, fate == Outcome::Evicted),
        Effect::Pressure(is_high) => sink.pressure(is_high),
    }
}
