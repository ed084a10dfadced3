/** What both sides of the wasm boundary must know. Generated from the Rust crate by `tests/native/tables.rs`. */

/** The options of calls, and the integers that each accepts. */
export const CALLS_OPTIONS = [
  ["retry.attempts", 1, 101],
  ["retry.baseMs", 0, 86400000],
  ["retry.maxMs", 0, 86400000],
  ["maxInFlight", 1, 1000000],
] as const;

/** The options of an outbox; one without a range is not an option of the user. */
export const OUTBOX_OPTIONS = [
  ["maxBytes", 1, 4294967295],
  ["concurrency", 1, 64],
  ["batch.maxEvents", 1, 10000],
  ["batch.maxBytes", 1, 67108864],
  ["batch.maxAgeMs", 0, 86400000],
  ["retry.baseMs", 0, 86400000],
  ["retry.maxMs", 0, 86400000],
  ["retry.maxAgeMs", 0, 4294967295],
  ["giveUpAfter", 1, 255],
  ["overflow"],
  ["timeoutMs"],
  ["inFlightMs"],
] as const;

/** The numbers in the options of a stream. */
export const STREAM_NUMBERS = [
  ["hasCookieJar"],
  ["epochUnixMs"],
  ["timeoutMs"],
  ["connectionTimeoutMs"],
  ["baseMs"],
  ["maxMs"],
  ["maxPending"],
  ["isDraining"],
  ["ack"],
  ["isAuthRequired"],
  ["flow"],
] as const;

/** The texts in the options of a stream. */
export const STREAM_TEXTS = [
  "url",
  "transports",
  "consumerKey",
  "username",
  "consumerSecret",
  "token",
  "audience",
  "instanceUrl",
  "tokenUrl",
  "endpoint",
  "allowedInstances",
  "apiVersion",
  "replayStart",
  "replayFallback",
] as const;
