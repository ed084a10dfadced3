//! Calls: one request and its response. All systems share this port; each selects its classifier.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::config;
use super::port::{failure, moment, response, time_of};
use crate::base::http::Request;
use crate::base::ids::{ExchangeId, OpId};
use crate::base::time::Millis;
use crate::boundary::numbers::{PORT_INPUTS, PortInput};
use crate::engine::calls::{Calls, Classifier, Settled};
use crate::engine::classify;
use crate::engine::machine::{Input, Machine, Output, Poll};
#[cfg(feature = "events-protocol")]
use crate::events_protocol;

/// The classifiers, in the order of `CLASSIFIER_NAMES`.
const CLASSIFIERS: &[Classifier] = &[
    classify::classify_response,
    #[cfg(feature = "events-protocol")]
    events_protocol::client::classify_response,
];

#[wasm_bindgen]
extern "C" {
    /// The effect queue of calls (`js/client/calls.ts`), or of an outbox (`src/wasm/outbox_effects.rs`).
    pub type Effects;
    #[wasm_bindgen(method, structural, catch)]
    #[allow(clippy::too_many_arguments, reason = "a call to JavaScript has only positional arguments")]
    fn send(
        this: &Effects,
        id: u32,
        method: &str,
        url: String,
        headers: String,
        body: Vec<u8>,
        timeout_ms: f64,
        max_response_bytes: u32,
        response_headers: &str,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn cancel(this: &Effects, id: u32) -> Result<(), JsValue>;
    /// The end of a call. `code` 0 is success; `detail` is that of the error; `status` 0 means that there was no
    /// response.
    #[wasm_bindgen(method, structural, catch)]
    #[allow(clippy::too_many_arguments, reason = "a call to JavaScript has only positional arguments")]
    fn settled(
        this: &Effects,
        op: u32,
        code: u8,
        detail: String,
        attempts: u32,
        status: u16,
        headers: String,
        body: Vec<u8>,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn wait(this: &Effects, at: f64) -> Result<(), JsValue>;
}

/// The calls of one client, behind one handle. Each input appends its effects to the queue.
#[wasm_bindgen]
pub struct CallsPort {
    calls: Calls,
    effects: Effects,
}

#[wasm_bindgen]
impl CallsPort {
    /// A client without calls. Its options are numbers in the order of `CALLS_OPTIONS`.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &[f64], classifier: usize, seed: f64, effects: Effects) -> Self {
        let classifier = CLASSIFIERS.get(classifier).copied().unwrap_or(classify::classify_response);
        Self { calls: Calls::new(config::calls(options), classifier, seed.to_bits()), effects }
    }

    /// Starts a `POST`, or a `GET`, which has no body. `timeout_ms` applies to each attempt; up to `max_response_bytes` of
    /// the response are read.
    #[allow(clippy::too_many_arguments, reason = "a call from JavaScript has only positional arguments")]
    pub fn send(
        &mut self,
        now: f64,
        is_get: bool,
        url: String,
        headers: String,
        body: Vec<u8>,
        timeout_ms: f64,
        max_response_bytes: u32,
    ) -> u32 {
        let request = if is_get { Request::get(url, headers) } else { Request::post(url, headers, body) };
        // The clients compare the media type of a response with the one they expect.
        let request = request
            .with_timeout(Millis(timeout_ms as u64))
            .with_max_response_bytes(max_response_bytes)
            .with_response_headers("content-type");
        let op = self.calls.send(moment(now), request);
        self.drain();
        op.0
    }

    /// Passes an input that has only numbers, by its place in `PORT_INPUTS`, with what `PortInputs` of
    /// `js/engine/ports.ts` says.
    pub fn input(&mut self, input: usize, now: f64, a: f64, b: f64) {
        match PORT_INPUTS.get(input) {
            Some(PortInput::Failure) => {
                self.calls.handle(moment(now), Input::Exchange(ExchangeId(a as u32), Err(failure(b))));
            }
            Some(PortInput::Cancel) => self.calls.cancel(OpId(a as u32)),
            Some(PortInput::Close) => self.calls.close(),
            Some(PortInput::Tick) | None => self.calls.handle(moment(now), Input::Tick),
        }
        self.drain();
    }

    /// An exchange ended with a response.
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
        self.calls.handle(moment(now), Input::Exchange(ExchangeId(id), Ok(response)));
        self.drain();
    }
}

impl CallsPort {
    /// Passes all outputs to the effect queue.
    fn drain(&mut self) {
        let effects = &self.effects;
        loop {
            let recorded = match self.calls.poll() {
                Poll::Do(Output::Send(id, request)) => send(effects, id, request),
                Poll::Do(Output::Cancel(id)) => effects.cancel(id.0),
                Poll::Do(Output::Event(settled)) => settle(effects, settled),
                Poll::Wait(deadline) => return drop(effects.wait(time_of(deadline))),
            };
            drop(recorded);
        }
    }
}

fn send(effects: &Effects, id: ExchangeId, request: Request) -> Result<(), JsValue> {
    let (method, response_headers) = (request.method().name(), request.response_headers());
    let (timeout_ms, max_response_bytes) = (request.timeout().0 as f64, request.max_response_bytes());
    let (url, headers, body) = request.into_parts();
    effects.send(id.0, method, url, headers, body, timeout_ms, max_response_bytes, response_headers)
}

fn settle(effects: &Effects, Settled { op, result, response, attempts }: Settled) -> Result<(), JsValue> {
    let (code, detail) = match result {
        Ok(()) => (0, String::new()),
        Err(error) => (error.code as u8 + 1, error.detail),
    };
    let response = response.unwrap_or_default();
    effects.settled(op.0, code, detail, attempts, response.status, response.headers, response.body)
}
