//! Makes the options of machines from what crosses the boundary.

use crate::base::time::Millis;
#[cfg(feature = "calls")]
use crate::boundary::options::CallsNumbers;
#[cfg(feature = "calls")]
use crate::engine::calls;
#[cfg(feature = "streams")]
use crate::{
    base::secret::Secret,
    bayeux::{session, wire::Transport},
    boundary::options::{StreamNumbers, StreamTexts},
    salesforce::{auth::Flow, client as salesforce},
};
#[cfg(feature = "publish")]
use crate::{
    boundary::options::OutboxNumbers,
    outbox::{self, Overflow},
};

fn millis(value: f64, default: Millis) -> Millis {
    if value.is_nan() { default } else { Millis(value as u64) }
}

fn integer(value: f64, default: u32) -> u32 {
    if value.is_nan() { default } else { value as u32 }
}

/// The options of calls, from numbers in the order of `CALLS_OPTIONS`.
#[cfg(feature = "calls")]
pub(super) fn calls(numbers: &[f64]) -> calls::Options {
    let numbers = CallsNumbers::read(numbers);
    let defaults = calls::Options::default();
    calls::Options {
        retries: integer(numbers.attempts, defaults.retries + 1).saturating_sub(1),
        base_delay: millis(numbers.base_ms, defaults.base_delay),
        max_delay: millis(numbers.max_ms, defaults.max_delay),
        max_in_flight: integer(numbers.max_in_flight, defaults.max_in_flight as u32) as usize,
    }
}

/// The options of an outbox, from numbers in the order of `OUTBOX_OPTIONS`. `js/outbox/options.ts` has set the defaults
/// that depend on the page.
#[cfg(feature = "publish")]
pub(super) fn outbox(numbers: &[f64]) -> outbox::Options {
    let numbers = OutboxNumbers::read(numbers);
    let defaults = outbox::Options::default();
    outbox::Options {
        batch_events: integer(numbers.max_events, defaults.batch_events),
        batch_bytes: integer(numbers.max_batch_bytes, defaults.batch_bytes as u32).into(),
        linger: millis(numbers.max_age_ms, defaults.linger),
        concurrency: integer(numbers.concurrency, defaults.concurrency),
        max_bytes: integer(numbers.max_bytes, defaults.max_bytes as u32).into(),
        overflow: match integer(numbers.overflow, 0) {
            1 => Overflow::DropOldest,
            2 => Overflow::DropNewest,
            3 => Overflow::Wait,
            _ => Overflow::Reject,
        },
        base_delay: millis(numbers.base_ms, defaults.base_delay),
        max_delay: millis(numbers.max_ms, defaults.max_delay),
        max_age: millis(numbers.give_up_ms, defaults.max_age),
        max_attempts: integer(numbers.max_attempts, defaults.max_attempts),
        timeout: millis(numbers.timeout_ms, defaults.timeout),
        in_flight: millis(numbers.in_flight_ms, defaults.in_flight),
        ..defaults
    }
}

/// The options of a stream of either kind.
#[cfg(feature = "streams")]
pub(super) enum StreamOptions {
    Bayeux(session::Options),
    Salesforce(salesforce::Options),
}

/// The options of a stream, from numbers in the order of `STREAM_NUMBERS` and texts in the order of `STREAM_TEXTS`.
#[cfg(feature = "streams")]
pub(super) fn stream(numbers: &[f64], texts: &str) -> StreamOptions {
    let numbers = StreamNumbers::read(numbers);
    let texts = StreamTexts::read(texts);
    let defaults =
        if numbers.flow.is_nan() { session::Options::default() } else { salesforce::session_defaults() };
    let transports: Vec<Transport> = texts.transports.split(' ').filter_map(transport).collect();
    let times = defaults.times;
    let is_set = |flag: f64| flag == 1.0;
    let session = session::Options {
        url: texts.url,
        transports: if transports.is_empty() { defaults.transports } else { transports },
        has_ack_extension: integer(numbers.ack, defaults.has_ack_extension.into()) != 0,
        is_auth_required: is_set(numbers.is_auth_required),
        has_cookie_jar: is_set(numbers.has_cookie_jar),
        is_draining: is_set(numbers.is_draining),
        epoch_unix_ms: numbers.epoch_unix_ms as u64,
        times: session::Times {
            max_network_delay: millis(numbers.timeout_ms, times.max_network_delay),
            connection_timeout: (!numbers.connection_timeout_ms.is_nan())
                .then_some(Millis(numbers.connection_timeout_ms as u64)),
            backoff_base: millis(numbers.base_ms, times.backoff_base),
            backoff_max: millis(numbers.max_ms, times.backoff_max),
            ..times
        },
        limits: session::Limits {
            max_pending: integer(numbers.max_pending, defaults.limits.max_pending as u32) as usize,
            ..defaults.limits
        },
        ..defaults
    };
    let given = |text: String| (!text.is_empty()).then_some(text);
    let StreamTexts { consumer_key, username, instance_url, audience, .. } = texts;
    let token = Secret::new(texts.token);
    if numbers.flow.is_nan() {
        return StreamOptions::Bayeux(session);
    }
    let flow = match numbers.flow as u32 {
        0 => Flow::Password {
            consumer_key,
            consumer_secret: Secret::new(texts.consumer_secret),
            username,
            password: token,
        },
        1 => Flow::RefreshToken {
            consumer_key,
            consumer_secret: given(texts.consumer_secret).map(Secret::new),
            refresh_token: token,
        },
        2 => Flow::ClientCredentials { consumer_key, consumer_secret: Secret::new(texts.consumer_secret) },
        3 => Flow::JwtBearer { consumer_key, username, audience },
        5 => Flow::Provider { instance_url },
        _ => Flow::ExistingSession { access_token: token, instance_url },
    };
    StreamOptions::Salesforce(salesforce::Options {
        flow,
        token_url: texts.token_url,
        endpoint: given(texts.endpoint),
        allowed_instances: texts.allowed_instances.split_whitespace().map(str::to_owned).collect(),
        api_version: texts.api_version,
        replay_start: texts.replay_start,
        replay_fallback: given(texts.replay_fallback),
        session,
    })
}

#[cfg(feature = "streams")]
fn transport(name: &str) -> Option<Transport> {
    [Transport::WebSocket, Transport::LongPolling].into_iter().find(|transport| transport.name() == name)
}
