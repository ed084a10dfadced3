//! Calls: one request, its answer. One port for all rooms; a room names who judges its answers.

use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

use super::config;
use super::port::{failure, moment, response};
use crate::base::http::Request;
use crate::base::ids::{ExchangeId, OpId};
use crate::base::time::{Deadline, Millis};
use crate::engine::calls::{Calls, Classifier, Settled};
use crate::engine::classify;
use crate::engine::machine::{Input, Machine, Output};
use crate::events_protocol;

/// Who judges, by the number that `CLASSIFIERS` in `js/client/calls.ts` gives it.
const CLASSIFIERS: &[Classifier] = &[classify::classify_response, events_protocol::client::classify_response];

#[wasm_bindgen]
extern "C" {
    /// `js/client/calls.ts`
    pub type CallsSink;
    #[wasm_bindgen(method, structural, catch)]
    #[allow(clippy::too_many_arguments, reason = "a call to JavaScript has no other way to name them")]
    fn send(
        this: &CallsSink,
        id: u32,
        method: &str,
        url: String,
        headers: String,
        body: Vec<u8>,
        timeout: f64,
        room: u32,
        wanted: &str,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn cancel(this: &CallsSink, id: u32) -> Result<(), JsValue>;
    /// The end of a call: `code` 0 is success, `status` 0 no answer.
    #[wasm_bindgen(method, structural, catch)]
    #[allow(clippy::too_many_arguments, reason = "a call to JavaScript has no other way to name them")]
    fn settled(
        this: &CallsSink,
        op: u32,
        code: u8,
        message: String,
        attempts: u32,
        status: u16,
        headers: String,
        body: Vec<u8>,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn wait(this: &CallsSink, at: f64) -> Result<(), JsValue>;
}

/// The calls of one client, behind one handle.
#[wasm_bindgen]
pub struct CallsPort(Calls);

#[wasm_bindgen]
impl CallsPort {
    /// No calls yet; options as `config.rs` reads them.
    #[wasm_bindgen(constructor)]
    pub fn new(options: JsValue, classifier: usize, seed: f64) -> Result<Self, JsError> {
        let classifier = CLASSIFIERS.get(classifier).copied().unwrap_or(classify::classify_response);
        Ok(Self(Calls::new(config::calls(options)?, classifier, seed.to_bits())))
    }

    /// Whether the options are good, without making anything: module scope of an edge runtime has no randomness.
    pub fn check(options: JsValue) -> Result<(), JsError> {
        config::calls(options).map(drop)
    }

    /// Posts `body`; each try may take `timeout` milliseconds, and up to `room` bytes of an answer are read.
    pub fn post(
        &mut self,
        now: f64,
        url: String,
        headers: String,
        body: Vec<u8>,
        timeout: f64,
        room: u32,
    ) -> u32 {
        self.send(now, Request::post(url, headers, body), timeout, room)
    }

    /// Gets what is at `url`.
    pub fn get(&mut self, now: f64, url: String, headers: String, timeout: f64, room: u32) -> u32 {
        self.send(now, Request::get(url, headers), timeout, room)
    }

    /// Gives up a call.
    pub fn cancel(&mut self, op: u32) {
        self.0.cancel(OpId(op));
    }

    /// Gives up all calls.
    pub fn close(&mut self) {
        self.0.close();
    }

    /// Time has passed.
    pub fn tick(&mut self, now: f64) {
        self.0.handle(moment(now), Input::Tick);
    }

    /// An exchange was answered.
    pub fn response(&mut self, now: f64, id: u32, status: u16, after: f64, headers: String, body: Vec<u8>) {
        self.0
            .handle(moment(now), Input::Exchange(ExchangeId(id), Ok(response(status, after, headers, body))));
    }

    /// An exchange came to nothing.
    pub fn failure(&mut self, now: f64, id: u32, why: u8) {
        self.0.handle(moment(now), Input::Exchange(ExchangeId(id), Err(failure(why))));
    }

    /// Says everything that is to be done.
    pub fn drain(&mut self, sink: &CallsSink) {
        loop {
            let said = match self.0.poll() {
                Output::Send(id, request) => send(sink, id, request),
                Output::Cancel(id) => sink.cancel(id.0),
                Output::Event(settled) => settle(sink, settled),
                Output::Wait(Deadline::At(at)) => return drop(sink.wait(at.as_millis() as f64)),
                Output::Wait(Deadline::Never) => return,
                // Calls keep nothing.
                Output::Load(_) | Output::Save(..) => Ok(()),
            };
            drop(said);
        }
    }
}

impl CallsPort {
    fn send(&mut self, now: f64, request: Request, timeout: f64, room: u32) -> u32 {
        // An answer that is not what it says it is has to be told from one that is.
        let request = request
            .with_timeout(Millis(timeout as u64))
            .with_max_response_bytes(room)
            .with_response_headers("content-type");
        self.0.send(moment(now), request).0
    }
}

fn send(sink: &CallsSink, id: ExchangeId, request: Request) -> Result<(), JsValue> {
    let (method, wanted) = (request.method().name(), request.response_headers());
    let (timeout, room) = (request.timeout().0 as f64, request.max_response_bytes());
    let (url, headers, body) = request.into_parts();
    sink.send(id.0, method, url, headers, body, timeout, room, wanted)
}

fn settle(sink: &CallsSink, Settled { op, result, answer, attempts }: Settled) -> Result<(), JsValue> {
    let (code, message) = match result {
        Ok(()) => (0, String::new()),
        Err(error) => (error.code as u8 + 1, error.to_string()),
    };
    let answer = answer.unwrap_or_default();
    sink.settled(op.0, code, message, attempts, answer.status, answer.headers, answer.body)
}
