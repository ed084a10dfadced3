//! The sink: requests events from a pipeline, one at a time, and waits longer while the pipeline has none.
//!
//! ```text
//!   consume ──> pending ──delay has passed, no request in flight──> in flight ──response──> settled
//!                  │                                                   │
//!               cancel                                              cancel
//!                  ▼                                                   ▼
//!          settled (aborted)                                   settled (aborted)
//! ```
//!
//! The request of a cancelled call continues, because the server deletes an event when it hands it over. Its
//! response settles the next call for the same topic; without such a call it is reported with no operation.
//!
//! Both topics share one delay. At `base_delay` the next request starts without a delay.
//!
//! ```text
//!   200                      the delay returns to base_delay
//!   204, 429, any error      the delay doubles up to max_delay, plus jitter; Retry-After up to an hour is a minimum
//!   any other 2xx            the delay stays as it is
//! ```
//!
//! This file decides when to send a request and which call gets the response. It does not know the format of
//! events: their bodies stay with the owner, under the id of their exchange.

use super::wire::Topic;
use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Request, Response};
use crate::base::ids::{Counter, ExchangeId, OpId};
use crate::base::time::{Deadline, Millis, Moment};
use crate::engine::classify::{ResponseClass, classify_response};
use crate::engine::exchange::Exchanges;
use crate::engine::jitter::Rng;
use crate::engine::machine::{Input, Machine, Output, Poll};

/// Options of a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// URL that consumes events of the output.
    pub output_url: String,
    /// URL that consumes events that the transformation failed at.
    pub failed_url: String,
    /// Half of the first delay. Default 1 000.
    pub base_delay: Millis,
    /// The longest delay, without jitter. Default 60 000.
    pub max_delay: Millis,
    /// Limit of pending calls. Default 1 000; further calls are refused with `ERR_QUEUE_FULL`.
    pub max_pending: usize,
}

impl Options {
    /// The defaults, for these two URLs.
    pub const fn new(output_url: String, failed_url: String) -> Self {
        Self {
            output_url,
            failed_url,
            base_delay: Millis(1000),
            max_delay: Millis(60_000),
            max_pending: 1000,
        }
    }
}

/// The longest `Retry-After` that is honoured.
pub const MAX_RETRY_AFTER: Millis = Millis(60 * 60 * 1000);

/// The end of a call, or a response whose call was cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The call. `None`: the call was cancelled, but the response may contain an event.
    pub op: Option<OpId>,
    /// The topic of the call.
    pub topic: Topic,
    /// The exchange that has the response, if a request was made.
    pub exchange: Option<ExchangeId>,
    /// The status, 429 or 200 to 299, or the error.
    pub result: Result<u16, Error>,
    /// The delay before the next request.
    pub next_delay: Millis,
}

/// A call that is not settled.
#[derive(Clone, Copy, Debug)]
struct Call {
    op: OpId,
    topic: Topic,
    timeout: Millis,
}

/// The machine of a sink.
#[derive(Clone, Debug)]
pub struct Sink {
    options: Options,
    rng: Rng,
    ops: Counter,
    /// Oldest first. The response in flight settles the first call for its topic.
    calls: Vec<Call>,
    exchanges: Exchanges<Topic, Settled>,
    delay: Millis,
    /// No request starts before this moment.
    not_before: Moment,
}

impl Sink {
    /// A sink without calls. The seed determines the jitter of the delays.
    pub fn new(options: Options, seed: u64) -> Self {
        Self {
            delay: options.base_delay,
            options,
            rng: Rng::new(seed),
            ops: Counter::default(),
            calls: Vec::new(),
            exchanges: Exchanges::new(),
            not_before: Moment::default(),
        }
    }

    /// Requests one event, with a time limit for the request.
    pub fn consume(&mut self, now: Moment, topic: Topic, timeout: Millis) -> OpId {
        let op = OpId(self.ops.advance());
        if self.calls.len() >= self.options.max_pending {
            self.settle(Some(op), topic, None, Err(Error::new(Code::QueueFull)), Millis(0));
            return op;
        }
        self.calls.push(Call { op, topic, timeout });
        self.start_next(now);
        op
    }

    /// Cancels a call: it settles with `ERR_ABORTED`, unless it has settled before. A request in flight
    /// continues.
    pub fn cancel(&mut self, op: OpId) {
        if let Some(at) = self.calls.iter().position(|call| call.op == op) {
            let call = self.calls.remove(at);
            self.settle(Some(op), call.topic, None, Err(Error::new(Code::Aborted)), Millis(0));
        }
    }

    /// Cancels all calls.
    pub fn close(&mut self) {
        for call in core::mem::take(&mut self.calls) {
            self.settle(Some(call.op), call.topic, None, Err(Error::new(Code::Aborted)), Millis(0));
        }
    }

    /// Whether no request is in flight.
    pub fn is_idle(&self) -> bool {
        self.exchanges.in_flight() == 0
    }

    fn start_next(&mut self, now: Moment) {
        if !self.is_idle() || now < self.not_before {
            return;
        }
        let Some(Call { topic, timeout, .. }) = self.calls.first().copied() else { return };
        let url = match topic {
            Topic::Output => &self.options.output_url,
            Topic::Failed => &self.options.failed_url,
        };
        let request = Request::post(url.as_str(), HEADERS, Vec::new()).with_timeout(timeout);
        self.exchanges.start(topic, request);
    }

    fn finish(&mut self, now: Moment, topic: Topic, id: ExchangeId, outcome: &Result<Response, Failure>) {
        let (result, retry_after) = classify(outcome);
        self.update_delay(now, &result, retry_after);
        let call = self.calls.iter().position(|call| call.topic == topic).map(|at| self.calls.remove(at));
        let has_body = matches!(result, Ok(200..=203 | 205..=299));
        if call.is_some() || has_body {
            let delay = Millis(self.not_before.as_millis().saturating_sub(now.as_millis()));
            self.settle(call.map(|call| call.op), topic, Some(id), result, delay);
        }
    }

    /// Decides when the next request may start.
    fn update_delay(&mut self, now: Moment, result: &Result<u16, Error>, retry_after: Option<Millis>) {
        let Options { base_delay, max_delay, .. } = self.options;
        match result {
            Ok(200) => self.delay = base_delay,
            Ok(204 | 429) | Err(_) => {
                let jitter = self.rng.up_to(base_delay.0 / 10);
                self.delay = Millis(self.delay.0.saturating_mul(2).min(max_delay.0).saturating_add(jitter));
            }
            Ok(_) => {}
        }
        let delay = if self.delay > base_delay { self.delay } else { Millis(0) };
        self.not_before = now.after(delay.max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER)));
    }

    fn settle(
        &mut self,
        op: Option<OpId>,
        topic: Topic,
        exchange: Option<ExchangeId>,
        result: Result<u16, Error>,
        next_delay: Millis,
    ) {
        self.exchanges.emit(Settled { op, topic, exchange, result, next_delay });
    }
}

impl Machine for Sink {
    type Input = Input;
    type Output = Output<Settled>;

    fn handle(&mut self, now: Moment, input: Input) {
        if let Input::Exchange(id, outcome) = input
            && let Some(topic) = self.exchanges.finish(id)
        {
            self.finish(now, topic, id, &outcome);
        }
        self.start_next(now);
    }

    fn poll(&mut self) -> Poll<Output<Settled>> {
        let is_delayed = self.is_idle() && !self.calls.is_empty();
        let deadline = if is_delayed { Deadline::At(self.not_before) } else { Deadline::Never };
        self.exchanges.poll(|| deadline)
    }
}

/// Headers of every request; the owner adds the token.
const HEADERS: &str = "accept: application/json";

/// The result of a request, and the `Retry-After` of its response.
fn classify(outcome: &Result<Response, Failure>) -> (Result<u16, Error>, Option<Millis>) {
    let status = outcome.as_ref().map_or(0, |response| response.status);
    let retry_after = outcome.as_ref().ok().and_then(|response| response.retry_after);
    match classify_response(outcome) {
        ResponseClass::Done => (Ok(status), retry_after),
        ResponseClass::Retry(error, retry_after) if error.code == Code::RateLimited => (Ok(429), retry_after),
        ResponseClass::Retry(error, _) | ResponseClass::Fail(error) => (Err(error), retry_after),
    }
}
