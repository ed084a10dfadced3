//! The publisher: delivers each message over HTTP, with as many tries as were asked for.
//!
//! ```text
//!   send ──> flying ──Done──────────────────────> settled (delivered)
//!              │ ▲ ────Fail, or no try left─────> settled (error)
//!         Later│ │rest is over                 ▲
//!              ▼ │                             │
//!            resting ──cancel──────────────────┘ settled (aborted)
//! ```
//!
//! What lives here: which answer leads to which step. What this file must not know: CloudEvents. A message is
//! headers and bytes.

use crate::effect::{Input, Machine, Output};
use crate::engine::backoff::Backoff;
use crate::engine::exchange::Exchanges;
use crate::engine::noise::Noise;
use crate::engine::sorted::Sorted;
use crate::engine::timers::Timers;
use crate::engine::verdict::{self, Verdict};
use crate::error::{Code, Error};
use crate::http::Request;
use crate::ids::{Counter, ExchangeId, OpId};
use crate::time::{Deadline, Millis, Moment};

/// How a publisher works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Further tries after the first, 0 to 100. Default 0: every failure is reported at once. More tries hide
    /// short outages and may deliver an event twice when only the answer was lost.
    pub retries: u32,
    /// The longest first rest. Default 200.
    pub base: Millis,
    /// The longest rest, also for what a server asks with `Retry-After`; more than that ends the tries. Default 30 000.
    pub max: Millis,
    /// How many messages may be under way at once. Default 1 000; more are refused with `ERR_QUEUE_FULL`.
    pub window: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { retries: 0, base: Millis(200), max: Millis(30_000), window: 1000 }
    }
}

/// A message that was accepted by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The status, 200 to 299.
    pub status: u16,
    /// How many requests it took.
    pub attempts: u32,
}

/// The end of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which one.
    pub op: OpId,
    /// How it ended.
    pub result: Result<Delivery, Error>,
}

/// One message under way.
#[derive(Clone, Debug)]
struct Message {
    request: Request,
    backoff: Backoff,
    attempts: u32,
    exchange: Option<ExchangeId>,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Publisher {
    options: Options,
    noise: Noise,
    ops: Counter,
    messages: Sorted<OpId, Message>,
    exchanges: Exchanges<OpId, Settled>,
    rests: Timers<OpId>,
}

impl Publisher {
    /// A publisher with nothing to do. The seed feeds the jitter of the rests.
    pub fn new(options: Options, seed: u64) -> Self {
        Self {
            options,
            noise: Noise::new(seed),
            ops: Counter::default(),
            messages: Sorted::new(),
            exchanges: Exchanges::new(),
            rests: Timers::new(),
        }
    }

    /// Starts to deliver one message.
    pub fn send(&mut self, _now: Moment, request: Request) -> OpId {
        let op = OpId(self.ops.advance());
        if self.messages.len() >= self.options.window {
            self.exchanges.announce(Settled { op, result: Err(Error::new(Code::QueueFull)) });
            return op;
        }
        let backoff = Backoff::new(self.options.base, self.options.max, self.options.retries);
        self.messages.insert(op, Message { request, backoff, attempts: 0, exchange: None });
        self.try_again(op);
        op
    }

    /// Gives up a message. It settles with `ERR_ABORTED`, unless it has settled before.
    pub fn cancel(&mut self, op: OpId) {
        if let Some(message) = self.messages.get(op) {
            if let Some(exchange) = message.exchange {
                self.exchanges.cancel(exchange);
            }
            self.settle(op, Err(Error::new(Code::Aborted)));
        }
    }

    /// Gives up everything.
    pub fn close(&mut self) {
        let ops: Vec<OpId> = self.messages.keys().collect();
        for op in ops {
            self.cancel(op);
        }
    }

    fn try_again(&mut self, op: OpId) {
        if let Some(message) = self.messages.get_mut(op) {
            message.attempts += 1;
            message.exchange = Some(self.exchanges.start(op, message.request.clone()));
        }
    }

    fn rest(&mut self, now: Moment, op: OpId, error: Error, hint: Option<Millis>) {
        let Some(message) = self.messages.get_mut(op) else { return };
        message.exchange = None;
        match message.backoff.next(hint, &mut self.noise) {
            Some(rest) => self.rests.set(op, now.after(rest)),
            None => self.settle(op, Err(error)),
        }
    }

    fn settle(&mut self, op: OpId, result: Result<Delivery, Error>) {
        self.rests.clear(op);
        if self.messages.remove(op).is_some() {
            self.exchanges.announce(Settled { op, result });
        }
    }
}

impl Machine for Publisher {
    type Event = Settled;

    fn handle(&mut self, now: Moment, input: Input) {
        if let Input::Exchange(id, outcome) = input
            && let Some(op) = self.exchanges.land(id)
        {
            match verdict::judge(&outcome) {
                Verdict::Done => {
                    let status = outcome.map_or(0, |answer| answer.status);
                    let attempts = self.messages.get(op).map_or(0, |message| message.attempts);
                    self.settle(op, Ok(Delivery { status, attempts }));
                }
                Verdict::Later(error, hint) => self.rest(now, op, error, hint),
                Verdict::Fail(error) => self.settle(op, Err(error)),
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

impl Publisher {
    fn deadline(&self) -> Deadline {
        self.rests.next()
    }
}
