//! Machines as JavaScript sees them: facts go in, `drain` pushes what is to be done into a sink.
//!
//! The sink's methods only append to an array. They are declared with `catch`, because a throw through an
//! import without it would leave the machine locked; there is nothing to be done about such an error here.

use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

use super::config;
use crate::cloudevents::publisher::{Publisher, Settled};
use crate::effect::{Input, Machine, Output};
use crate::http::{Failure, Request, Response};
use crate::ids::{ExchangeId, OpId};
use crate::time::{Deadline, Millis, Moment};

#[wasm_bindgen]
extern "C" {
    /// `js/sink.ts`
    pub type Sink;
    #[wasm_bindgen(method, structural, catch)]
    fn send(
        this: &Sink,
        id: u32,
        url: String,
        headers: String,
        body: Vec<u8>,
        patience: f64,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn cancel(this: &Sink, id: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn delivered(this: &Sink, op: u32, status: u16, attempts: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn failed(this: &Sink, op: u32, code: u8, status: u16, message: String) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn wait(this: &Sink, at: f64) -> Result<(), JsValue>;
}

pub(super) fn moment(now: f64) -> Moment {
    Moment::from_millis(now as u64)
}

/// A negative one is none.
pub(super) fn retry_after(after: f64) -> Option<Millis> {
    (after >= 0.0).then_some(Millis(after as u64))
}

/// 0 time is up, 1 given up, otherwise the network.
pub(super) fn failure(why: u8) -> Failure {
    [Failure::Timeout, Failure::Aborted].get(why as usize).copied().unwrap_or(Failure::Network)
}

/// The publisher, behind one handle.
#[wasm_bindgen]
pub struct PublisherPort(Publisher);

#[wasm_bindgen]
impl PublisherPort {
    /// A publisher with options as `config.rs` reads them.
    #[wasm_bindgen(constructor)]
    pub fn new(options: JsValue, seed: f64) -> Result<Self, JsError> {
        Ok(Self(Publisher::new(config::publisher(options)?, seed.to_bits())))
    }

    /// Whether the options are good, without making anything: module scope of an edge runtime has no randomness.
    pub fn check(options: JsValue) -> Result<(), JsError> {
        config::publisher(options).map(drop)
    }

    /// Starts to deliver a message; each try may take `patience` milliseconds.
    pub fn send(&mut self, now: f64, url: String, headers: String, body: Vec<u8>, patience: f64) -> u32 {
        let request = Request::post(url, headers, body).with_patience(Millis(patience as u64));
        self.0.send(moment(now), request).0
    }

    /// Gives up a message.
    pub fn cancel(&mut self, op: u32) {
        self.0.cancel(OpId(op));
    }

    /// Gives up all messages.
    pub fn close(&mut self) {
        self.0.close();
    }

    /// Time has passed.
    pub fn tick(&mut self, now: f64) {
        self.0.handle(moment(now), Input::Tick);
    }

    /// An exchange was answered.
    pub fn response(&mut self, now: f64, id: u32, status: u16, after: f64, body: Vec<u8>) {
        let response = Response { status, retry_after: retry_after(after), body };
        self.0.handle(moment(now), Input::Exchange(ExchangeId(id), Ok(response)));
    }

    /// An exchange came to nothing.
    pub fn failure(&mut self, now: f64, id: u32, why: u8) {
        self.0.handle(moment(now), Input::Exchange(ExchangeId(id), Err(failure(why))));
    }

    /// Says everything that is to be done.
    pub fn drain(&mut self, sink: &Sink) {
        loop {
            let said = match self.0.poll() {
                Output::Send(id, request) => {
                    let patience = request.patience().0 as f64;
                    let (url, headers, body) = request.into_parts();
                    sink.send(id.0, url, headers, body, patience)
                }
                Output::Cancel(id) => sink.cancel(id.0),
                Output::Event(Settled { op, result: Ok(done) }) => {
                    sink.delivered(op.0, done.status, done.attempts)
                }
                Output::Event(Settled { op, result: Err(error) }) => {
                    sink.failed(op.0, error.code as u8 + 1, error.status.unwrap_or(0), error.to_string())
                }
                Output::Wait(Deadline::At(at)) => return drop(sink.wait(at.as_millis() as f64)),
                Output::Wait(Deadline::Never) => return,
                // A publisher keeps nothing.
                Output::Load(_) | Output::Save(..) => Ok(()),
            };
            drop(said);
        }
    }
}
