//! Options of JavaScript objects. The only home of serde and serde-wasm-bindgen.

use serde::Deserialize;
use wasm_bindgen::{JsError, JsValue};

use crate::cloudevents::publisher::Options;
use crate::time::Millis;

/// What `new Publisher({ retry: …, maxInFlight: … })` may say. `js/cloudevents/publisher.ts` has checked that these
/// are the only names and that the values are numbers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublisherConfig {
    attempts: Option<f64>,
    base_ms: Option<f64>,
    max_ms: Option<f64>,
    max_in_flight: Option<f64>,
}

/// Reads the options of a publisher; the error names the field.
pub(super) fn publisher(options: JsValue) -> Result<Options, JsError> {
    let config: PublisherConfig =
        serde_wasm_bindgen::from_value(options).map_err(|error| JsError::new(&error.to_string()))?;
    let defaults = Options::default();
    Ok(Options {
        retries: whole("retry.attempts", config.attempts, 1, 101)?
            .map_or(defaults.retries, |attempts| attempts - 1),
        base: whole("retry.baseMs", config.base_ms, 0, 86_400_000)?
            .map_or(defaults.base, |ms| Millis(ms.into())),
        max: whole("retry.maxMs", config.max_ms, 0, 86_400_000)?.map_or(defaults.max, |ms| Millis(ms.into())),
        window: whole("maxInFlight", config.max_in_flight, 1, 1_000_000)?
            .map_or(defaults.window, |window| window as usize),
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
