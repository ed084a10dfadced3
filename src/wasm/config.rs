//! Options of JavaScript objects. The only home of serde and serde-wasm-bindgen.

use serde::Deserialize;
use wasm_bindgen::{JsError, JsValue};

use crate::engine::calls;
use crate::outbox::{self, Overflow};
use crate::time::Millis;

/// What `{ retry: …, maxInFlight: … }` of a client may say. `js/calls.ts` has checked that these
/// are the only names and that the values are numbers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallsConfig {
    attempts: Option<f64>,
    base_ms: Option<f64>,
    max_ms: Option<f64>,
    max_in_flight: Option<f64>,
}

/// Reads the options of calls; the error names the field.
pub(super) fn calls(options: JsValue) -> Result<calls::Options, JsError> {
    let config: CallsConfig =
        serde_wasm_bindgen::from_value(options).map_err(|error| JsError::new(&error.to_string()))?;
    let defaults = calls::Options::default();
    Ok(calls::Options {
        retries: whole("retry.attempts", config.attempts, 1, 101)?
            .map_or(defaults.retries, |attempts| attempts - 1),
        base: whole("retry.baseMs", config.base_ms, 0, 86_400_000)?
            .map_or(defaults.base, |ms| Millis(ms.into())),
        max: whole("retry.maxMs", config.max_ms, 0, 86_400_000)?.map_or(defaults.max, |ms| Millis(ms.into())),
        window: whole("maxInFlight", config.max_in_flight, 1, 1_000_000)?
            .map_or(defaults.window, |window| window as usize),
    })
}

/// What `outbox: { … }` may say, flat. `js/outbox/options.ts` has checked that these are the only names and that the values are
/// numbers; it knows which defaults a browser has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OutboxConfig {
    max_events: Option<f64>,
    max_batch_bytes: Option<f64>,
    max_age_ms: Option<f64>,
    concurrency: Option<f64>,
    strict_lanes: Option<bool>,
    max_bytes: Option<f64>,
    overflow: Option<u8>,
    base_ms: Option<f64>,
    max_ms: Option<f64>,
    give_up_ms: Option<f64>,
    timeout_ms: Option<f64>,
}

/// Reads the options of an outbox; the error names the field.
pub(super) fn outbox(options: JsValue) -> Result<outbox::Options, JsError> {
    const DAY_MS: u32 = 86_400_000;
    let config: OutboxConfig =
        serde_wasm_bindgen::from_value(options).map_err(|error| JsError::new(&error.to_string()))?;
    let defaults = outbox::Options::default();
    let millis = |name, value, most, default: Millis| {
        Ok::<_, JsError>(whole(name, value, 0, most)?.map_or(default, |ms| Millis(ms.into())))
    };
    Ok(outbox::Options {
        batch_events: whole("outbox.batch.maxEvents", config.max_events, 1, 10_000)?
            .unwrap_or(defaults.batch_events),
        batch_bytes: whole("outbox.batch.maxBytes", config.max_batch_bytes, 1, 1 << 26)?
            .map_or(defaults.batch_bytes, u64::from),
        linger: millis("outbox.batch.maxAgeMs", config.max_age_ms, DAY_MS, defaults.linger)?,
        flights: whole("outbox.concurrency", config.concurrency, 1, 64)?.unwrap_or(defaults.flights),
        strict_lanes: config.strict_lanes.unwrap_or(defaults.strict_lanes),
        max_bytes: whole("outbox.maxBytes", config.max_bytes, 1, u32::MAX)?
            .map_or(defaults.max_bytes, u64::from),
        overflow: match config.overflow {
            Some(1) => Overflow::DropOldest,
            Some(2) => Overflow::DropNewest,
            Some(3) => Overflow::Wait,
            _ => Overflow::Reject,
        },
        base: millis("outbox.retry.baseMs", config.base_ms, DAY_MS, defaults.base)?,
        max: millis("outbox.retry.maxMs", config.max_ms, DAY_MS, defaults.max)?,
        max_age: millis("outbox.retry.maxAgeMs", config.give_up_ms, u32::MAX, defaults.max_age)?,
        patience: millis("timeoutMs", config.timeout_ms, u32::MAX, defaults.patience)?,
    })
}

fn whole(name: &str, value: Option<f64>, least: u32, most: u32) -> Result<Option<u32>, JsError> {
    match value {
        None => Ok(None),
        Some(value) if value >= least.into() && value <= most.into() && value.fract() == 0.0 => {
            Ok(Some(value as u32))
        }
        Some(_) => Err(JsError::new(&format!("{name} is a whole number from {least} to {most}"))),
    }
}
