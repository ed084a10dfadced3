//! The exports of GlassFlow.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::arena;
use super::port::{failure, moment, response, time_of};
use crate::base::http::Request;
use crate::base::ids::{ExchangeId, OpId};
use crate::base::json::block::Native;
use crate::base::time::Millis;
use crate::boundary::numbers::{PORT_INPUTS, PortInput};
use crate::engine::machine::{Input, Machine, Output, Poll};
use crate::glassflow::sink::{Options, Settled, Sink};
use crate::glassflow::wire::{self, Endpoint, Topic};

/// The URL of an endpoint, by its number in `js/systems/glassflow/pipeline-access.ts`. Empty if the id cannot be a
/// segment of a URL path.
#[wasm_bindgen]
pub fn glassflow_url(base: &str, pipeline_id: &str, endpoint: usize) -> String {
    let endpoints = [
        Endpoint::Publish,
        Endpoint::Consume(Topic::Output),
        Endpoint::Consume(Topic::Failed),
        Endpoint::Status,
    ];
    endpoints.get(endpoint).and_then(|endpoint| wire::url(base, pipeline_id, *endpoint)).unwrap_or_default()
}

/// The positions of the fields of the consumed event in the arena: two offsets each, in the order of
/// [`wire::EventSpans::to_array`]. Empty if the text is not an event.
#[wasm_bindgen]
pub fn glassflow_event_spans(len: usize) -> Vec<u32> {
    wire::read_event::<Native>(arena::parts(len).text)
        .map(|spans| spans.to_array().concat())
        .unwrap_or_default()
}

#[wasm_bindgen]
extern "C" {
    /// The effects of a sink, which `js/systems/glassflow/driver.ts` runs.
    pub type PipelineSinkEffects;
    #[wasm_bindgen(method, structural, catch)]
    fn send(
        this: &PipelineSinkEffects,
        id: u32,
        url: String,
        headers: String,
        timeout_ms: f64,
    ) -> Result<(), JsValue>;
    /// The end of a call; with `op` 0, a response whose call was cancelled. `exchange` 0: no request was
    /// made; `code` 0: success.
    #[wasm_bindgen(method, structural, catch)]
    fn settled(
        this: &PipelineSinkEffects,
        op: u32,
        is_failed: bool,
        exchange: u32,
        status: u16,
        code: u8,
        next_delay_ms: f64,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn wait(this: &PipelineSinkEffects, at: f64) -> Result<(), JsValue>;
}

/// The handle of a sink. Each input reports its effects.
#[wasm_bindgen]
pub struct PipelineSinkPort {
    sink: Sink,
    effects: PipelineSinkEffects,
}

#[wasm_bindgen]
impl PipelineSinkPort {
    /// A sink for these two URLs. `js/systems/glassflow/sink.ts` checks the numbers.
    #[wasm_bindgen(constructor)]
    pub fn new(
        output_url: String,
        failed_url: String,
        base_delay_ms: f64,
        max_delay_ms: f64,
        seed: f64,
        effects: PipelineSinkEffects,
    ) -> Self {
        let (base_delay, max_delay) = (Millis(base_delay_ms as u64), Millis(max_delay_ms as u64));
        let options = Options { base_delay, max_delay, ..Options::new(output_url, failed_url) };
        Self { sink: Sink::new(options, seed.to_bits()), effects }
    }

    /// Requests one event.
    pub fn consume(&mut self, now: f64, is_failed: bool, timeout_ms: f64) -> u32 {
        let topic = if is_failed { Topic::Failed } else { Topic::Output };
        let op = self.sink.consume(moment(now), topic, Millis(timeout_ms as u64));
        self.drain();
        op.0
    }

    /// Passes an input that has only numbers, by its place in `PORT_INPUTS`, with what `PortInputs` of
    /// `js/engine/ports.ts` says. The request of a call that is cancelled goes on.
    pub fn input(&mut self, input: usize, now: f64, a: f64, b: f64) {
        match PORT_INPUTS.get(input) {
            Some(PortInput::Failure) => {
                self.sink.handle(moment(now), Input::Exchange(ExchangeId(a as u32), Err(failure(b))));
            }
            Some(PortInput::Cancel) => self.sink.cancel(OpId(a as u32)),
            Some(PortInput::Close) => self.sink.close(),
            Some(PortInput::Tick) | None => self.sink.handle(moment(now), Input::Tick),
        }
        self.drain();
    }

    /// Whether no request is in flight.
    pub fn is_idle(&self) -> bool {
        self.sink.is_idle()
    }

    /// An exchange has ended with a response.
    pub fn response(
        &mut self,
        now: f64,
        id: u32,
        status: u16,
        retry_after_ms: f64,
        headers: String,
        body: Vec<u8>,
    ) {
        let response = response(status, retry_after_ms, headers, body);
        self.sink.handle(moment(now), Input::Exchange(ExchangeId(id), Ok(response)));
        self.drain();
    }
}

impl PipelineSinkPort {
    /// Reports every effect until the machine waits.
    fn drain(&mut self) {
        let effects = &self.effects;
        loop {
            let reported = match self.sink.poll() {
                Poll::Do(Output::Send(id, request)) => send(effects, id, request),
                Poll::Do(Output::Event(settled)) => settle(effects, settled),
                Poll::Wait(deadline) => return drop(effects.wait(time_of(deadline))),
                // A sink cancels no request.
                Poll::Do(Output::Cancel(_)) => Ok(()),
            };
            drop(reported);
        }
    }
}

fn send(effects: &PipelineSinkEffects, id: ExchangeId, request: Request) -> Result<(), JsValue> {
    let timeout_ms = request.timeout().0 as f64;
    let (url, headers, _) = request.into_parts();
    effects.send(id.0, url, headers, timeout_ms)
}

fn settle(
    effects: &PipelineSinkEffects,
    Settled { op, topic, exchange, result, next_delay }: Settled,
) -> Result<(), JsValue> {
    // The message of an error is built in JavaScript, which has the body of the response.
    let (status, code) = match result {
        Ok(status) => (status, 0),
        Err(error) => (error.status.unwrap_or(0), error.code as u8 + 1),
    };
    let exchange = exchange.map_or(0, |id| id.0);
    let op = op.map_or(0, |op| op.0);
    effects.settled(op, topic == Topic::Failed, exchange, status, code, next_delay.0 as f64)
}
