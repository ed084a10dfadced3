//! Reads options from JavaScript objects. The only user of serde and serde-wasm-bindgen.

#[cfg(feature = "calls")]
use js_sys::Number;
use serde::Deserialize;
use wasm_bindgen::{JsError, JsValue};

use crate::base::time::Millis;
#[cfg(feature = "calls")]
use crate::engine::calls;
#[cfg(feature = "publish")]
use crate::outbox::{self, Overflow};
#[cfg(feature = "streams")]
use crate::{
    base::secret::Secret,
    bayeux::{session, wire::Transport},
    salesforce::{auth::Flow, client as salesforce},
};

/// The options of calls, flat. `js/client/calls.ts` has checked the names, and that the values are numbers.
#[cfg(feature = "calls")]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallsConfig {
    attempts: Option<f64>,
    base_ms: Option<f64>,
    max_ms: Option<f64>,
    max_in_flight: Option<f64>,
}

/// Reads the options of calls. The error names the option.
#[cfg(feature = "calls")]
pub(super) fn calls(options: JsValue) -> Result<calls::Options, JsError> {
    let config: CallsConfig =
        serde_wasm_bindgen::from_value(options).map_err(|error| JsError::new(&error.to_string()))?;
    let defaults = calls::Options::default();
    Ok(calls::Options {
        retries: integer("retry.attempts", config.attempts, 1, 101)?
            .map_or(defaults.retries, |attempts| attempts - 1),
        base_delay: integer("retry.baseMs", config.base_ms, 0, 86_400_000)?
            .map_or(defaults.base_delay, |ms| Millis(ms.into())),
        max_delay: integer("retry.maxMs", config.max_ms, 0, 86_400_000)?
            .map_or(defaults.max_delay, |ms| Millis(ms.into())),
        max_in_flight: integer("maxInFlight", config.max_in_flight, 1, 1_000_000)?
            .map_or(defaults.max_in_flight, |calls| calls as usize),
    })
}

/// The options of an outbox, flat. `js/outbox/options.ts` has checked names and types, and has set the
/// defaults that depend on the page.
#[cfg(feature = "publish")]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OutboxConfig {
    max_events: Option<f64>,
    max_batch_bytes: Option<f64>,
    max_age_ms: Option<f64>,
    concurrency: Option<f64>,
    one_per_ordering_key: Option<bool>,
    max_bytes: Option<f64>,
    overflow: Option<u8>,
    base_ms: Option<f64>,
    max_ms: Option<f64>,
    give_up_ms: Option<f64>,
    max_attempts: Option<f64>,
    timeout_ms: Option<f64>,
    in_flight_ms: Option<f64>,
}

/// Reads the options of an outbox. The error names the option.
#[cfg(feature = "publish")]
pub(super) fn outbox(options: JsValue) -> Result<outbox::Options, JsError> {
    const DAY_MS: u32 = 86_400_000;
    let config: OutboxConfig =
        serde_wasm_bindgen::from_value(options).map_err(|error| JsError::new(&error.to_string()))?;
    let defaults = outbox::Options::default();
    let millis = |name, value, max, default: Millis| {
        Ok::<_, JsError>(integer(name, value, 0, max)?.map_or(default, |ms| Millis(ms.into())))
    };
    Ok(outbox::Options {
        batch_events: integer("outbox.batch.maxEvents", config.max_events, 1, 10_000)?
            .unwrap_or(defaults.batch_events),
        batch_bytes: integer("outbox.batch.maxBytes", config.max_batch_bytes, 1, 1 << 26)?
            .map_or(defaults.batch_bytes, u64::from),
        linger: millis("outbox.batch.maxAgeMs", config.max_age_ms, DAY_MS, defaults.linger)?,
        concurrency: integer("outbox.concurrency", config.concurrency, 1, 64)?
            .unwrap_or(defaults.concurrency),
        one_per_ordering_key: config.one_per_ordering_key.unwrap_or(defaults.one_per_ordering_key),
        max_bytes: integer("outbox.maxBytes", config.max_bytes, 1, u32::MAX)?
            .map_or(defaults.max_bytes, u64::from),
        overflow: match config.overflow {
            Some(1) => Overflow::DropOldest,
            Some(2) => Overflow::DropNewest,
            Some(3) => Overflow::Wait,
            _ => Overflow::Reject,
        },
        base_delay: millis("outbox.retry.baseMs", config.base_ms, DAY_MS, defaults.base_delay)?,
        max_delay: millis("outbox.retry.maxMs", config.max_ms, DAY_MS, defaults.max_delay)?,
        max_age: millis("outbox.retry.maxAgeMs", config.give_up_ms, u32::MAX, defaults.max_age)?,
        max_attempts: integer("outbox.giveUpAfter", config.max_attempts, 1, 255)?
            .unwrap_or(defaults.max_attempts),
        timeout: millis("timeoutMs", config.timeout_ms, u32::MAX, defaults.timeout)?,
        in_flight: millis("timeoutMs", config.in_flight_ms, u32::MAX, defaults.in_flight)?,
    })
}

/// The options of a stream, flat. `js/systems/bayeux` and `js/systems/salesforce` have checked names and types.
#[cfg(feature = "streams")]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamConfig {
    url: Option<String>,
    transports: Option<String>,
    ack: Option<bool>,
    is_auth_required: Option<bool>,
    has_cookie_jar: bool,
    is_draining: Option<bool>,
    /// The Unix time at the zero of `now`.
    epoch_unix_ms: f64,
    timeout_ms: Option<f64>,
    connection_timeout_ms: Option<f64>,
    base_ms: Option<f64>,
    max_ms: Option<f64>,
    max_pending: Option<f64>,
    /// The OAuth flow of Salesforce as a number, see `stream`; `None` for Bayeux.
    flow: Option<u8>,
    consumer_key: Option<String>,
    username: Option<String>,
    consumer_secret: Option<String>,
    /// The password, refresh token or access token.
    token: Option<String>,
    /// The URL of the login host: the `aud` claim of a JWT.
    audience: Option<String>,
    /// The URL of the instance of an existing session.
    instance_url: Option<String>,
    token_url: Option<String>,
    endpoint: Option<String>,
    /// URLs and host names, separated by spaces.
    allowed_instances: Option<String>,
    api_version: Option<String>,
    replay_start: Option<String>,
    replay_fallback: Option<String>,
}

/// The options of a stream of either kind.
#[cfg(feature = "streams")]
pub(super) enum StreamOptions {
    Bayeux(session::Options),
    Salesforce(salesforce::Options),
}

/// Reads the options of a stream; the error names the field.
#[cfg(feature = "streams")]
pub(super) fn stream(options: JsValue) -> Result<StreamOptions, JsError> {
    let config: StreamConfig =
        serde_wasm_bindgen::from_value(options).map_err(|error| JsError::new(&error.to_string()))?;
    let defaults =
        if config.flow.is_some() { salesforce::session_defaults() } else { session::Options::default() };
    let transports: Vec<Transport> =
        config.transports.iter().flat_map(|names| names.split(' ')).filter_map(transport).collect();
    let millis = |value: Option<f64>, default| value.map_or(default, |ms| Millis(ms as u64));
    let times = defaults.times;
    let session = session::Options {
        url: config.url.unwrap_or_default(),
        transports: if transports.is_empty() { defaults.transports } else { transports },
        has_ack_extension: config.ack.unwrap_or(defaults.has_ack_extension),
        is_auth_required: config.is_auth_required == Some(true),
        has_cookie_jar: config.has_cookie_jar,
        is_draining: config.is_draining == Some(true),
        epoch_unix_ms: config.epoch_unix_ms as u64,
        times: session::Times {
            max_network_delay: millis(config.timeout_ms, times.max_network_delay),
            connection_timeout: config.connection_timeout_ms.map(|ms| Millis(ms as u64)),
            backoff_base: millis(config.base_ms, times.backoff_base),
            backoff_max: millis(config.max_ms, times.backoff_max),
            ..times
        },
        limits: session::Limits {
            max_pending: config.max_pending.map_or(defaults.limits.max_pending, |count| count as usize),
            ..defaults.limits
        },
        ..defaults
    };
    let consumer_key = config.consumer_key.unwrap_or_default();
    let username = config.username.unwrap_or_default();
    let consumer_secret = config.consumer_secret.map(Secret::new);
    let token = Secret::new(config.token.unwrap_or_default());
    let required = |secret: Option<Secret>| secret.unwrap_or_else(|| Secret::new(String::new()));
    let flow = match config.flow {
        None => return Ok(StreamOptions::Bayeux(session)),
        Some(0) => Flow::Password {
            consumer_key,
            consumer_secret: required(consumer_secret),
            username,
            password: token,
        },
        Some(1) => Flow::RefreshToken { consumer_key, consumer_secret, refresh_token: token },
        Some(2) => Flow::ClientCredentials { consumer_key, consumer_secret: required(consumer_secret) },
        Some(3) => Flow::JwtBearer { consumer_key, username, audience: config.audience.unwrap_or_default() },
        Some(5) => Flow::Provider { instance_url: config.instance_url.unwrap_or_default() },
        Some(_) => Flow::ExistingSession {
            access_token: token,
            instance_url: config.instance_url.unwrap_or_default(),
        },
    };
    Ok(StreamOptions::Salesforce(salesforce::Options {
        flow,
        token_url: config.token_url.unwrap_or_default(),
        endpoint: config.endpoint,
        allowed_instances: config
            .allowed_instances
            .iter()
            .flat_map(|list| list.split_whitespace())
            .map(str::to_owned)
            .collect(),
        api_version: config.api_version.unwrap_or_default(),
        replay_start: config.replay_start.unwrap_or_default(),
        replay_fallback: config.replay_fallback,
        session,
    }))
}

#[cfg(feature = "streams")]
fn transport(name: &str) -> Option<Transport> {
    [Transport::WebSocket, Transport::LongPolling].into_iter().find(|transport| transport.name() == name)
}

#[cfg(feature = "calls")]
fn integer(name: &str, value: Option<f64>, min: u32, max: u32) -> Result<Option<u32>, JsError> {
    match value {
        None => Ok(None),
        Some(value) if value >= min.into() && value <= max.into() && value.fract() == 0.0 => {
            Ok(Some(value as u32))
        }
        Some(value) => {
            // JavaScript formats the number: the code for `f64` in the module would be 17 KB.
            let received = Number::from(value).to_string_with_radix(10).map(String::from).unwrap_or_default();
            Err(JsError::new(&format!("{name} must be an integer from {min} to {max}; received {received}")))
        }
    }
}
