//! GlassFlow as JavaScript sees it.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::arena;
use super::port::{failure, moment, response};
use crate::base::http::Request;
use crate::base::ids::{ExchangeId, OpId};
use crate::base::json::block::Native;
use crate::base::time::{Deadline, Millis};
use crate::engine::machine::{Input, Machine, Output};
use crate::glassflow::sink::{Options, Settled, Sink};
use crate::glassflow::wire::{self, Endpoint, Topic};

/// The URL of an endpoint by its number in `js/systems/glassflow/wire.ts`; empty if no URL can carry that id.
#[wasm_bindgen]
pub fn glassflow_url(base: &str, pipeline: &str, endpoint: usize) -> String {
    let endpoints = [
        Endpoint::Publish,
        Endpoint::Consume(Topic::Output),
        Endpoint::Consume(Topic::Failed),
        Endpoint::Status,
    ];
    endpoints.get(endpoint).and_then(|endpoint| wire::url(base, pipeline, *endpoint)).unwrap_or_default()
}

/// Where the parts of the consumed event stand that lies in the arena, in the order of [`wire::Parts::to_array`], each with its first byte
/// and the one behind its last. Empty if it is no event.
#[wasm_bindgen]
pub fn glassflow_event(len: usize) -> Vec<u32> {
    wire::read_event::<Native>(arena::parts(len).text)
        .map(|parts| parts.to_array().concat())
        .unwrap_or_default()
}

#[wasm_bindgen]
extern "C" {
    /// `js/systems/glassflow/driver.ts`
    pub type PipelineSink;
    #[wasm_bindgen(method, structural, catch)]
    fn send(this: &PipelineSink, id: u32, url: String, headers: String, timeout: f64) -> Result<(), JsValue>;
    /// The end of a call, or with `op` 0 an answer that nobody waits for. `exchange` 0: none was made; `code` 0: success.
    #[wasm_bindgen(method, structural, catch)]
    fn settled(
        this: &PipelineSink,
        op: u32,
        failed: bool,
        exchange: u32,
        status: u16,
        code: u8,
        rest: f64,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn wait(this: &PipelineSink, at: f64) -> Result<(), JsValue>;
}

/// The sink, behind one handle.
#[wasm_bindgen]
pub struct PipelineSinkPort(Sink);

#[wasm_bindgen]
impl PipelineSinkPort {
    /// A sink for these two addresses; `js/systems/glassflow/sink.ts` has checked the numbers.
    #[wasm_bindgen(constructor)]
    pub fn new(output: String, failed: String, base: f64, max: f64, seed: f64) -> Self {
        let (base, max) = (Millis(base as u64), Millis(max as u64));
        Self(Sink::new(Options { base, max, ..Options::new(output, failed) }, seed.to_bits()))
    }

    /// Asks for one event.
    pub fn consume(&mut self, now: f64, failed: bool, timeout: f64) -> u32 {
        let topic = if failed { Topic::Failed } else { Topic::Output };
        self.0.consume(moment(now), topic, Millis(timeout as u64)).0
    }

    /// Gives up a call, but not its request.
    pub fn cancel(&mut self, op: u32) {
        self.0.cancel(OpId(op));
    }

    /// Gives up all calls.
    pub fn close(&mut self) {
        self.0.close();
    }

    /// Whether no request is under way.
    pub fn is_idle(&self) -> bool {
        self.0.is_idle()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: f64) {
        self.0.handle(moment(now), Input::Tick);
    }

    /// An exchange was answered.
    pub fn response(&mut self, now: f64, id: u32, status: u16, after: f64, headers: String, body: Vec<u8>) {
        let answer = response(status, after, headers, body);
        self.0.handle(moment(now), Input::Exchange(ExchangeId(id), Ok(answer)));
    }

    /// An exchange came to nothing.
    pub fn failure(&mut self, now: f64, id: u32, why: u8) {
        self.0.handle(moment(now), Input::Exchange(ExchangeId(id), Err(failure(why))));
    }

    /// Says everything that is to be done.
    pub fn drain(&mut self, sink: &PipelineSink) {
        loop {
            let said = match self.0.poll() {
                Output::Send(id, request) => send(sink, id, request),
                Output::Event(settled) => settle(sink, settled),
                Output::Wait(Deadline::At(at)) => return drop(sink.wait(at.as_millis() as f64)),
                Output::Wait(Deadline::Never) => return,
                // A sink keeps nothing, and lets every request come to its end.
                Output::Cancel(_) | Output::Load(_) | Output::Save(..) => Ok(()),
            };
            drop(said);
        }
    }
}

fn send(sink: &PipelineSink, id: ExchangeId, request: Request) -> Result<(), JsValue> {
    let timeout = request.timeout().0 as f64;
    let (url, headers, _) = request.into_parts();
    sink.send(id.0, url, headers, timeout)
}

fn settle(
    sink: &PipelineSink,
    Settled { op, topic, exchange, result, rest }: Settled,
) -> Result<(), JsValue> {
    // What to say of an error is known where the answer is.
    let (status, code) = match result {
        Ok(status) => (status, 0),
        Err(error) => (error.status.unwrap_or(0), error.code as u8 + 1),
    };
    let exchange = exchange.map_or(0, |id| id.0);
    let op = op.map_or(0, |op| op.0);
    sink.settled(op, topic == Topic::Failed, exchange, status, code, rest.0 as f64)
}
