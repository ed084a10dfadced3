//! Calls: each is one request with a configured number of attempts, and settles exactly once.
//!
//! ```text
//!   send ──> in flight ──Done───────────────────────> settled
//!              │ ▲   │ └──Fail, or no retry left────> settled (error)
//!         Retry│ │   └────cancel────────────────────> settled (aborted)
//!              ▼ │delay is over                   ▲
//!            waiting ──cancel─────────────────────┘
//! ```
//!
//! Each system provides a [`Classifier`], which decides what a response means.

use super::backoff::Backoff;
use super::classify::ResponseClass;
use super::exchange::Exchanges;
use super::jitter::Rng;
use super::ordered_map::OrderedMap;
use super::timers::Timers;
use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Request, Response};
use crate::base::ids::{Counter, ExchangeId, OpId};
use crate::base::time::{Millis, Moment};
use crate::engine::machine::{Input, Machine, Output, Poll};

/// Decides what the end of an exchange means.
pub type Classifier = fn(&Result<Response, Failure>) -> ResponseClass;

/// The options of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Attempts after the first, 0 to 100. Default 0: every failure is reported immediately. More retries
    /// hide short outages, but the server may receive a request twice when only its response was lost.
    pub retries: u32,
    /// The upper limit of the first delay. Default 200 ms.
    pub base_delay: Millis,
    /// The upper limit of every delay. A call fails if `Retry-After` asks for more. Default 30 000 ms.
    pub max_delay: Millis,
    /// Calls in progress at the same time; more fail with `ERR_QUEUE_FULL`. Default 1 000.
    pub max_in_flight: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { retries: 0, base_delay: Millis(200), max_delay: Millis(30_000), max_in_flight: 1000 }
    }
}

/// The end of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The call.
    pub op: OpId,
    /// Success, or the error of the last attempt.
    pub result: Result<(), Error>,
    /// The response of the last attempt, if there was one.
    pub response: Option<Response>,
    /// The number of requests that were sent.
    pub attempts: u32,
}

/// One call in progress.
#[derive(Clone, Debug)]
struct Call {
    request: Request,
    backoff: Backoff,
    attempts: u32,
    exchange: Option<ExchangeId>,
}

/// The machine that makes calls.
#[derive(Clone, Debug)]
pub struct Calls {
    options: Options,
    classify: Classifier,
    rng: Rng,
    ops: Counter,
    calls: OrderedMap<OpId, Call>,
    exchanges: Exchanges<OpId, Settled>,
    retry_timers: Timers<OpId>,
}

impl Calls {
    /// No calls. `seed` is for the jitter of the delays.
    pub fn new(options: Options, classify: Classifier, seed: u64) -> Self {
        Self {
            options,
            classify,
            rng: Rng::new(seed),
            ops: Counter::default(),
            calls: OrderedMap::new(),
            exchanges: Exchanges::new(),
            retry_timers: Timers::new(),
        }
    }

    /// Starts a call.
    pub fn send(&mut self, _now: Moment, request: Request) -> OpId {
        let op = OpId(self.ops.advance());
        if self.calls.len() >= self.options.max_in_flight {
            self.exchanges.emit(Settled {
                op,
                result: Err(Error::new(Code::QueueFull)),
                response: None,
                attempts: 0,
            });
            return op;
        }
        let backoff = Backoff::new(self.options.base_delay, self.options.max_delay, self.options.retries);
        self.calls.insert(op, Call { request, backoff, attempts: 0, exchange: None });
        self.start_attempt(op);
        op
    }

    /// Cancels a call. It settles with `ERR_ABORTED`, unless it has settled before.
    pub fn cancel(&mut self, op: OpId) {
        if let Some(call) = self.calls.get(op) {
            if let Some(exchange) = call.exchange {
                self.exchanges.cancel(exchange);
            }
            self.settle(op, Err(Error::new(Code::Aborted)), None);
        }
    }

    /// Cancels all calls.
    pub fn close(&mut self) {
        let ops: Vec<OpId> = self.calls.keys().collect();
        for op in ops {
            self.cancel(op);
        }
    }

    fn start_attempt(&mut self, op: OpId) {
        if let Some(call) = self.calls.get_mut(op) {
            call.attempts += 1;
            call.exchange = Some(self.exchanges.start(op, call.request.clone()));
        }
    }

    fn schedule_retry(
        &mut self,
        now: Moment,
        op: OpId,
        (error, retry_after): (Error, Option<Millis>),
        response: Option<Response>,
    ) {
        let Some(call) = self.calls.get_mut(op) else { return };
        call.exchange = None;
        match call.backoff.retry_delay(retry_after, &mut self.rng) {
            Some(delay) => self.retry_timers.set(op, now.after(delay)),
            None => self.settle(op, Err(error), response),
        }
    }

    fn settle(&mut self, op: OpId, result: Result<(), Error>, response: Option<Response>) {
        self.retry_timers.clear(op);
        if let Some(Call { attempts, .. }) = self.calls.remove(op) {
            self.exchanges.emit(Settled { op, result, response, attempts });
        }
    }
}

impl Machine for Calls {
    type Input = Input;
    type Output = Output<Settled>;

    fn handle(&mut self, now: Moment, input: Input) {
        if let Input::Exchange(id, outcome) = input
            && let Some(op) = self.exchanges.finish(id)
        {
            let class = (self.classify)(&outcome);
            let response = outcome.ok();
            match class {
                ResponseClass::Done => self.settle(op, Ok(()), response),
                ResponseClass::Retry(error, retry_after) => {
                    self.schedule_retry(now, op, (error, retry_after), response)
                }
                ResponseClass::Fail(error) => self.settle(op, Err(error), response),
            }
        }
        while let Some(op) = self.retry_timers.pop_due(now) {
            self.start_attempt(op);
        }
    }

    fn poll(&mut self) -> Poll<Output<Settled>> {
        let Self { exchanges, retry_timers, .. } = self;
        exchanges.poll(|| retry_timers.next_deadline())
    }
}
