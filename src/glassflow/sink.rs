//! The sink: asks a pipeline for events, one request at a time, and rests when there is nothing to be had.
//!
//! ```text
//!   consume ──> waiting ──rest is over, nothing flies──> flying ──answer──> settled: event, nothing there, or error
//!                  │                                        │
//!               cancel                                   cancel: the request goes on, because what it takes from the server is gone there.
//!                  ▼                                        ▼     Its answer settles the next call for the topic, or is nobody's
//!          settled (aborted)                        settled (aborted)
//! ```
//!
//! The rest is one for both topics. It starts at `base`, which means none, and is made before the next request:
//!
//! ```text
//!   200                      back to base
//!   204, 429, any error      twice as long, at most max, and a little jitter; Retry-After is a floor, up to an hour
//!   any other 2xx            as before
//! ```
//!
//! What lives here: when to ask, and who gets the answer. What this file must not know: what an event looks like. Bodies of events
//! never come here; the owner keeps them under the number of their exchange.

use std::collections::VecDeque;

use super::wire::Topic;
use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Request, Response};
use crate::base::ids::{Counter, ExchangeId, OpId};
use crate::base::time::{Deadline, Millis, Moment};
use crate::engine::classify::{self, ResponseClass};
use crate::engine::exchange::Exchanges;
use crate::engine::jitter::Rng;
use crate::engine::machine::{Input, Machine, Output};

/// How a sink works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where events of the output come from.
    pub output: String,
    /// Where events come from that the transformation failed at.
    pub failed: String,
    /// The shortest rest, which is none. Default 1 000.
    pub base: Millis,
    /// The longest rest, without jitter. Default 60 000.
    pub max: Millis,
    /// How many calls may wait at once. Default 1 000; more are refused with `ERR_QUEUE_FULL`.
    pub window: usize,
}

impl Options {
    /// The defaults, for these two addresses.
    pub const fn new(output: String, failed: String) -> Self {
        Self { output, failed, base: Millis(1000), max: Millis(60_000), window: 1000 }
    }
}

/// How long a server may have us rest with `Retry-After`.
pub const LONGEST_ASKED: Millis = Millis(60 * 60 * 1000);

/// The end of a call, or an answer that nobody waits for any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which call. `None`: its caller has given up, but the answer may have an event in it.
    pub op: Option<OpId>,
    /// Which topic was asked.
    pub topic: Topic,
    /// Which exchange has the answer, if one was made.
    pub exchange: Option<ExchangeId>,
    /// The status, 429 or 200 to 299; or why there is none.
    pub result: Result<u16, Error>,
    /// How long the next request will rest.
    pub rest: Millis,
}

/// A call that is not settled.
#[derive(Clone, Copy, Debug)]
struct Call {
    op: OpId,
    topic: Topic,
    timeout: Millis,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Sink {
    options: Options,
    rng: Rng,
    ops: Counter,
    /// The oldest first; the answer that is under way is for the first of its topic.
    calls: VecDeque<Call>,
    exchanges: Exchanges<Topic, Settled>,
    rest: Millis,
    /// Before that no request starts.
    not_before: Moment,
}

impl Sink {
    /// A sink with nothing to do. The seed feeds the jitter of the rests.
    pub fn new(options: Options, seed: u64) -> Self {
        Self {
            rest: options.base,
            options,
            rng: Rng::new(seed),
            ops: Counter::default(),
            calls: VecDeque::new(),
            exchanges: Exchanges::new(),
            not_before: Moment::default(),
        }
    }

    /// Asks for one event; the request may take as long as `timeout` says.
    pub fn consume(&mut self, now: Moment, topic: Topic, timeout: Millis) -> OpId {
        let op = OpId(self.ops.advance());
        if self.calls.len() >= self.options.window {
            self.settle(Some(op), topic, None, Err(Error::new(Code::QueueFull)), Millis(0));
            return op;
        }
        self.calls.push_back(Call { op, topic, timeout });
        self.ask(now);
        op
    }

    /// Gives up a call. It settles with `ERR_ABORTED`, unless it has settled before. A request that is under way goes on.
    pub fn cancel(&mut self, op: OpId) {
        if let Some(at) = self.calls.iter().position(|call| call.op == op)
            && let Some(call) = self.calls.remove(at)
        {
            self.settle(Some(op), call.topic, None, Err(Error::new(Code::Aborted)), Millis(0));
        }
    }

    /// Gives up all calls.
    pub fn close(&mut self) {
        for call in core::mem::take(&mut self.calls) {
            self.settle(Some(call.op), call.topic, None, Err(Error::new(Code::Aborted)), Millis(0));
        }
    }

    /// Whether no request is under way.
    pub fn is_idle(&self) -> bool {
        self.exchanges.in_flight() == 0
    }

    fn ask(&mut self, now: Moment) {
        if !self.is_idle() || now < self.not_before {
            return;
        }
        let Some(Call { topic, timeout, .. }) = self.calls.front().copied() else { return };
        let url = match topic {
            Topic::Output => &self.options.output,
            Topic::Failed => &self.options.failed,
        };
        let request = Request::post(url.as_str(), HEADERS, Vec::new()).with_timeout(timeout);
        self.exchanges.start(topic, request);
    }

    fn land(&mut self, now: Moment, topic: Topic, id: ExchangeId, outcome: &Result<Response, Failure>) {
        let (result, hint) = judge(outcome);
        self.pace(now, &result, hint);
        let call =
            self.calls.iter().position(|call| call.topic == topic).and_then(|at| self.calls.remove(at));
        let has_body = matches!(result, Ok(200..=203 | 205..=299));
        if call.is_some() || has_body {
            let rest = Millis(self.not_before.as_millis().saturating_sub(now.as_millis()));
            self.settle(call.map(|call| call.op), topic, Some(id), result, rest);
        }
    }

    /// Decides on the rest before the next request.
    fn pace(&mut self, now: Moment, result: &Result<u16, Error>, hint: Option<Millis>) {
        let Options { base, max, .. } = self.options;
        match result {
            Ok(200) => self.rest = base,
            Ok(204 | 429) | Err(_) => {
                let jitter = self.rng.up_to(base.0 / 10);
                self.rest = Millis(self.rest.0.saturating_mul(2).min(max.0).saturating_add(jitter));
            }
            Ok(_) => {}
        }
        let rest = if self.rest > base { self.rest } else { Millis(0) };
        self.not_before = now.after(rest.max(hint.unwrap_or_default().min(LONGEST_ASKED)));
    }

    fn settle(
        &mut self,
        op: Option<OpId>,
        topic: Topic,
        exchange: Option<ExchangeId>,
        result: Result<u16, Error>,
        rest: Millis,
    ) {
        self.exchanges.emit(Settled { op, topic, exchange, result, rest });
    }
}

impl Machine for Sink {
    type Event = Settled;

    fn handle(&mut self, now: Moment, input: Input) {
        if let Input::Exchange(id, outcome) = input
            && let Some(topic) = self.exchanges.finish(id)
        {
            self.land(now, topic, id, &outcome);
        }
        self.ask(now);
    }

    fn poll(&mut self) -> Output<Settled> {
        self.exchanges.poll().unwrap_or_else(|| {
            let is_resting = self.is_idle() && !self.calls.is_empty();
            Output::Wait(if is_resting { Deadline::At(self.not_before) } else { Deadline::Never })
        })
    }
}

/// What every request says; the owner adds the token.
const HEADERS: &str = "accept: application/json";

/// What an answer means, and how long the server asked to wait.
fn judge(outcome: &Result<Response, Failure>) -> (Result<u16, Error>, Option<Millis>) {
    let status = outcome.as_ref().map_or(0, |answer| answer.status);
    let hint = outcome.as_ref().ok().and_then(|answer| answer.retry_after);
    match classify::classify_response(outcome) {
        ResponseClass::Done => (Ok(status), hint),
        ResponseClass::Retry(error, hint) if error.code == Code::RateLimited => (Ok(429), hint),
        ResponseClass::Retry(error, _) | ResponseClass::Fail(error) => (Err(error), hint),
    }
}
