//! The effects of an outbox, as calls of its effect queue in JavaScript: `OutboxEffects` in `js/engine/ports.ts`. Lists of
//! records are flat.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::calls::Effects;
use crate::base::error::Error;
use crate::outbox::effect::{Effect, Outcome};
use crate::outbox::progress::Progress;
use crate::outbox::segment::{EventRange, SegmentId};
use crate::outbox::writes::{Put, Write};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(method, structural, catch)]
    fn write(
        this: &Effects,
        put: Vec<u32>,
        remove: Vec<u32>,
        dead_put: Vec<u32>,
        progress: Vec<u32>,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn peek(this: &Effects, events: u32, bytes: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = send)]
    fn send_batch(this: &Effects, id: u32, ranges: Vec<u32>, is_page_hidden: bool) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn accepted(this: &Effects, segment: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn delivered(
        this: &Effects,
        segment: u32,
        from: u32,
        to: u32,
        status: u16,
        attempts: u32,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn dead(
        this: &Effects,
        segment: u32,
        index: u32,
        attempts: u32,
        code: u8,
        status: u16,
        detail: String,
        is_alone: bool,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn retry(
        this: &Effects,
        delay: f64,
        failures: u32,
        code: u8,
        status: u16,
        detail: String,
        is_blocked: bool,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn forget(this: &Effects, segment: u32, is_stored: bool) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn pressure(this: &Effects, is_high: bool) -> Result<(), JsValue>;
}

/// Pushes an effect.
pub(super) fn push(sink: &Effects, effect: Effect) -> Result<(), JsValue> {
    let parts = |error: Error| (error.code as u8 + 1, error.status.unwrap_or(0), error.detail);
    match effect {
        Effect::Write(write) => push_write(sink, &write),
        Effect::Peek { events, bytes } => sink.peek(events, bytes as f64),
        Effect::Send { exchange, batch, is_page_hidden } => {
            let mut ranges = Vec::new();
            for EventRange { segment, from, to } in batch {
                ranges.extend_from_slice(&[segment.0, from, to]);
            }
            sink.send_batch(exchange.0, ranges, is_page_hidden)
        }
        Effect::Accepted(segment) => sink.accepted(segment.0),
        Effect::Delivered { events, status, attempts } => {
            sink.delivered(events.segment.0, events.from, events.to, status, attempts)
        }
        Effect::Dead { segment, index, error, attempts, is_alone } => {
            let (code, status, detail) = parts(error);
            sink.dead(segment.0, index, attempts, code, status, detail, is_alone)
        }
        Effect::Retry { error, delay, failures, is_blocked } => {
            let (code, status, detail) = parts(error);
            sink.retry(delay.0 as f64, failures, code, status, detail, is_blocked)
        }
        Effect::Forget(segment, reason) => sink.forget(segment.0, reason == Outcome::Evicted),
        Effect::Pressure(is_high) => sink.pressure(is_high),
    }
}

fn push_write(sink: &Effects, Write { put, remove, dead_put }: &Write) -> Result<(), JsValue> {
    let (mut puts, mut removes, mut dead_puts) = (Vec::new(), Vec::new(), Vec::new());
    for Put { segment, indices, .. } in put {
        let indices = indices.as_deref().unwrap_or_default();
        puts.extend_from_slice(&[segment.0, indices.len() as u32]);
        puts.extend_from_slice(indices);
    }
    for SegmentId(segment) in remove {
        removes.push(*segment);
    }
    for (SegmentId(segment), index) in dead_put {
        dead_puts.extend_from_slice(&[*segment, *index]);
    }
    sink.write(puts, removes, dead_puts, progress_of(put))
}

/// The progress of each segment: how many numbers, then the numbers. Empty if there is none at all.
fn progress_of(put: &[Put]) -> Vec<u32> {
    let mut all = Vec::new();
    if put.iter().all(|put| put.progress.is_none()) {
        return all;
    }
    for put in put {
        let numbers = put.progress.as_ref().map_or_else(Vec::new, Progress::to_numbers);
        all.push(numbers.len() as u32);
        all.extend_from_slice(&numbers);
    }
    all
}
