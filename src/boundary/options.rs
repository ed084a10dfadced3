//! The options of machines. Numbers cross as one list and texts as another, each in the order of its table. A number that
//! is not given is NaN, a text that is not given is empty.

const DAY_MS: u32 = 86_400_000;

/// Separates texts. A list of texts takes more: each has to be checked, and the message of that brings formatting.
pub const SEPARATOR: char = '\u{1e}';

/// A numeric option: its name in TypeScript, and the integers that TypeScript accepts. Without a range, the caller has
/// checked it.
#[derive(Clone, Copy, Debug)]
pub struct NumberOption {
    /// The name, with a dot for each level.
    pub name: &'static str,
    /// The lowest and the highest integer.
    pub range: Option<(u32, u32)>,
}

macro_rules! number_options {
    ($(#[$doc:meta])* $numbers:ident, $table:ident { $($field:ident $name:literal $($min:literal..=$max:expr)?;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        #[allow(missing_docs, reason = "the table has their names in TypeScript")]
        pub struct $numbers { $(pub $field: f64,)* }

        impl $numbers {
            /// The options in a list that has the order of the table.
            pub fn read(numbers: &[f64]) -> Self {
                let mut options = [f64::NAN; $table.len()];
                for (option, number) in options.iter_mut().zip(numbers) {
                    *option = *number;
                }
                let [$($field,)*] = options;
                Self { $($field,)* }
            }
        }

        $(#[$doc])*
        pub const $table: &[NumberOption] =
            &[$(NumberOption { name: $name, range: number_options!(@range $($min, $max)?) },)*];
    };
    (@range) => { None };
    (@range $min:expr, $max:expr) => { Some(($min, $max)) };
}

macro_rules! text_options {
    ($(#[$doc:meta])* $texts:ident, $table:ident { $($field:ident $name:literal;)* }) => {
        $(#[$doc])*
        #[allow(missing_docs, reason = "the table has their names in TypeScript")]
        pub struct $texts { $(pub $field: String,)* }

        impl $texts {
            /// The options, in the order of the table and separated by U+001E.
            pub fn read(texts: &str) -> Self {
                let mut options = [const { String::new() }; $table.len()];
                for (option, text) in options.iter_mut().zip(texts.split(SEPARATOR)) {
                    *option = text.to_owned();
                }
                let [$($field,)*] = options;
                Self { $($field,)* }
            }
        }

        $(#[$doc])*
        pub const $table: &[&str] = &[$($name,)*];
    };
}

number_options! {
    /// The options of calls.
    CallsNumbers, CALLS_OPTIONS {
        attempts "retry.attempts" 1..=101;
        base_ms "retry.baseMs" 0..=DAY_MS;
        max_ms "retry.maxMs" 0..=DAY_MS;
        max_in_flight "maxInFlight" 1..=1_000_000;
    }
}

number_options! {
    /// The options of an outbox. `overflow` is the place in `OVERFLOW` of `js/outbox/options.ts`.
    OutboxNumbers, OUTBOX_OPTIONS {
        max_bytes "maxBytes" 1..=u32::MAX;
        concurrency "concurrency" 1..=64;
        max_events "batch.maxEvents" 1..=10_000;
        max_batch_bytes "batch.maxBytes" 1..=(1 << 26);
        max_age_ms "batch.maxAgeMs" 0..=DAY_MS;
        base_ms "retry.baseMs" 0..=DAY_MS;
        max_ms "retry.maxMs" 0..=DAY_MS;
        give_up_ms "retry.maxAgeMs" 0..=u32::MAX;
        max_attempts "giveUpAfter" 1..=255;
        overflow "overflow";
        timeout_ms "timeoutMs";
        in_flight_ms "inFlightMs";
    }
}

number_options! {
    /// The numeric options of a stream. A flag is 0 or 1; `flow` is a number of `FLOWS` in
    /// `js/systems/salesforce/auth.ts`, which Bayeux has not; `epochUnixMs` is the Unix time at the zero of `now`.
    StreamNumbers, STREAM_NUMBERS {
        has_cookie_jar "hasCookieJar";
        epoch_unix_ms "epochUnixMs";
        timeout_ms "timeoutMs";
        connection_timeout_ms "connectionTimeoutMs";
        base_ms "baseMs";
        max_ms "maxMs";
        max_pending "maxPending";
        is_draining "isDraining";
        ack "ack";
        is_auth_required "isAuthRequired";
        flow "flow";
    }
}

text_options! {
    /// The texts in the options of a stream. `token`: the password, refresh token or access token. `audience`: the claim
    /// `aud` of a JWT. `instanceUrl`: that of an existing session. `transports` and `allowedInstances` are separated by
    /// spaces.
    StreamTexts, STREAM_TEXTS {
        url "url";
        transports "transports";
        consumer_key "consumerKey";
        username "username";
        consumer_secret "consumerSecret";
        token "token";
        audience "audience";
        instance_url "instanceUrl";
        token_url "tokenUrl";
        endpoint "endpoint";
        allowed_instances "allowedInstances";
        api_version "apiVersion";
        replay_start "replayStart";
        replay_fallback "replayFallback";
    }
}
