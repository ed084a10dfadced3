//! Calls: each is one request with as many tries as were asked for, and settles once.
//!
//! ```text
//!   send ──> flying ──Done──────────────────────> settled
//!              │ ▲ ────Fail, or no try left─────> settled (error)
//!         Later│ │rest is over                 ▲
//!              ▼ │                             │
//!            resting ──cancel──────────────────┘ settled (aborted)
//! ```
//!
//! What an answer means is the caller's to say: a room gives its own [`Classifier`].

use super::backoff::Backoff;
use super::classify::ResponseClass;
use super::exchange::Exchanges;
use super::jitter::Rng;
use super::ordered_map::OrderedMap;
use super::timers::Timers;
use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Request, Response};
use crate::base::ids::{Counter, ExchangeId, OpId};
use crate::base::time::{Deadline, Millis, Moment};
use crate::engine::machine::{Input, Machine, Output};

/// Says what the end of an exchange means.
pub type Classifier = fn(&Result<Response, Failure>) -> ResponseClass;

/// How calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Further tries after the first, 0 to 100. Default 0: every failure is reported at once. More tries hide
    /// short outages, and the server may see a request twice when only its answer was lost.
    pub retries: u32,
    /// The longest first rest. Default 200.
    pub base: Millis,
    /// The longest rest, also for what a server asks with `Retry-After`; more than that ends the tries. Default 30 000.
    pub max: Millis,
    /// How many calls may be under way at once. Default 1 000; more are refused with `ERR_QUEUE_FULL`.
    pub window: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { retries: 0, base: Millis(200), max: Millis(30_000), window: 1000 }
    }
}

/// The end of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which one.
    pub op: OpId,
    /// How it ended.
    pub result: Result<(), Error>,
    /// What the server said last, if it said anything in the last try.
    pub answer: Option<Response>,
    /// How many requests it took.
    pub attempts: u32,
}

/// One call under way.
#[derive(Clone, Debug)]
struct Call {
    request: Request,
    backoff: Backoff,
    attempts: u32,
    exchange: Option<ExchangeId>,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Calls {
    options: Options,
    judge: Classifier,
    rng: Rng,
    ops: Counter,
    calls: OrderedMap<OpId, Call>,
    exchanges: Exchanges<OpId, Settled>,
    rests: Timers<OpId>,
}

impl Calls {
    /// No calls. The seed feeds the jitter of the rests.
    pub fn new(options: Options, judge: Classifier, seed: u64) -> Self {
        Self {
            options,
            judge,
            rng: Rng::new(seed),
            ops: Counter::default(),
            calls: OrderedMap::new(),
            exchanges: Exchanges::new(),
            rests: Timers::new(),
        }
    }

    /// Starts to deliver one call.
    pub fn send(&mut self, _now: Moment, request: Request) -> OpId {
        let op = OpId(self.ops.advance());
        if self.calls.len() >= self.options.window {
            self.exchanges.announce(Settled {
                op,
                result: Err(Error::new(Code::QueueFull)),
                answer: None,
                attempts: 0,
            });
            return op;
        }
        let backoff = Backoff::new(self.options.base, self.options.max, self.options.retries);
        self.calls.insert(op, Call { request, backoff, attempts: 0, exchange: None });
        self.try_again(op);
        op
    }

    /// Gives up a call. It settles with `ERR_ABORTED`, unless it has settled before.
    pub fn cancel(&mut self, op: OpId) {
        if let Some(call) = self.calls.get(op) {
            if let Some(exchange) = call.exchange {
                self.exchanges.cancel(exchange);
            }
            self.settle(op, Err(Error::new(Code::Aborted)), None);
        }
    }

    /// Gives up everything.
    pub fn close(&mut self) {
        let ops: Vec<OpId> = self.calls.keys().collect();
        for op in ops {
            self.cancel(op);
        }
    }

    fn try_again(&mut self, op: OpId) {
        if let Some(call) = self.calls.get_mut(op) {
            call.attempts += 1;
            call.exchange = Some(self.exchanges.start(op, call.request.clone()));
        }
    }

    fn rest(
        &mut self,
        now: Moment,
        op: OpId,
        (error, hint): (Error, Option<Millis>),
        answer: Option<Response>,
    ) {
        let Some(call) = self.calls.get_mut(op) else { return };
        call.exchange = None;
        match call.backoff.next(hint, &mut self.rng) {
            Some(rest) => self.rests.set(op, now.after(rest)),
            None => self.settle(op, Err(error), answer),
        }
    }

    fn settle(&mut self, op: OpId, result: Result<(), Error>, answer: Option<Response>) {
        self.rests.clear(op);
        if let Some(Call { attempts, .. }) = self.calls.remove(op) {
            self.exchanges.announce(Settled { op, result, answer, attempts });
        }
    }
}

impl Machine for Calls {
    type Event = Settled;

    fn handle(&mut self, now: Moment, input: Input) {
        if let Input::Exchange(id, outcome) = input
            && let Some(op) = self.exchanges.land(id)
        {
            let class = (self.judge)(&outcome);
            let answer = outcome.ok();
            match class {
                ResponseClass::Done => self.settle(op, Ok(()), answer),
                ResponseClass::Retry(error, hint) => self.rest(now, op, (error, hint), answer),
                ResponseClass::Fail(error) => self.settle(op, Err(error), answer),
            }
        }
        while let Some(op) = self.rests.due(now) {
            self.try_again(op);
        }
    }

    fn poll(&mut self) -> Output<Settled> {
        self.exchanges.poll().unwrap_or_else(|| Output::Wait(self.deadline()))
    }
}

impl Calls {
    fn deadline(&self) -> Deadline {
        self.rests.next()
    }
}
