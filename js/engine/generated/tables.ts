/** What both sides of the wasm boundary must know. Generated from the Rust crate by `tests/native/tables.rs`. */
/** Each code, its culprit, whether the same call may succeed later, and its sentence. The number of a code is its place and one more. */
export const CODES = [
  ["ERR_MISSING_ATTRIBUTE", "peer", false, "a required attribute is missing"],
  ["ERR_INVALID_ATTRIBUTE_NAME", "peer", false, "an attribute has a name that CloudEvents does not allow"],
  ["ERR_INVALID_ATTRIBUTE_VALUE", "peer", false, "an attribute has a value that its type does not allow"],
  ["ERR_UNSUPPORTED_SPECVERSION", "peer", false, "the specversion is neither 1.0 nor 0.3"],
  ["ERR_INVALID_EVENT", "peer", false, "the text is not an event in the JSON format"],
  ["ERR_INVALID_BATCH", "peer", false, "the text is not a batch in the JSON batch format"],
  ["ERR_INVALID_DATA", "peer", false, "the data of the event does not match its format"],
  ["ERR_INVALID_HEADER_VALUE", "peer", false, "a header value cannot be decoded"],
  ["ERR_UNSUPPORTED_FORMAT", "peer", false, "the event format is not supported"],
  ["ERR_NOT_A_CLOUDEVENT", "peer", false, "the message is not a CloudEvent"],
  ["ERR_NOT_CONVERTIBLE", "caller", false, "the event cannot be expressed in that version"],
  ["ERR_TOO_LARGE", "peer", false, "the input is larger than the limit"],
  ["ERR_INVALID_ARGUMENT", "caller", false, "an argument or option is invalid"],
  ["ERR_NOT_INITIALIZED", "caller", false, "the engine is not loaded yet"],
  ["ERR_WASM_INIT", "caller", false, "this runtime refused to start the WebAssembly module"],
  ["ERR_CLOSED", "caller", false, "the client is closed"],
  ["ERR_ABORTED", "caller", false, "the operation was aborted"],
  ["ERR_TIMEOUT", "network", true, "no response within the timeout"],
  ["ERR_NETWORK", "network", true, "the request did not reach the server, or its response was lost"],
  ["ERR_REDIRECTED", "peer", false, "the server responded with a redirect, which is not followed"],
  ["ERR_UNAUTHORIZED", "peer", false, "the server refused the credentials"],
  ["ERR_REJECTED", "peer", false, "the server refused the request"],
  ["ERR_NOT_FOUND", "peer", false, "there is no such resource"],
  ["ERR_CONFLICT", "peer", false, "the state of the resource does not allow the request"],
  ["ERR_NOT_READY", "peer", true, "the resource is not ready yet"],
  ["ERR_GONE", "peer", false, "the target is gone for good"],
  ["ERR_RATE_LIMITED", "peer", true, "the server limits the rate of requests"],
  ["ERR_UNAVAILABLE", "peer", true, "the server could not handle the request"],
  ["ERR_QUEUE_FULL", "caller", true, "too many operations are waiting"],
  ["ERR_STORE", "caller", true, "the store could not be read or written"],
  ["ERR_ROLLED_BACK", "caller", false, "the event was rolled back before it was flushed"],
  ["ERR_EXPIRED", "network", false, "the event was not delivered within its maximum age"],
  ["ERR_EXPIRYTIME", "network", false, "the expirytime of the event has passed"],
  ["ERR_DROPPED", "caller", false, "the event was dropped at the sign-out of its identity"],
  ["ERR_INTERNAL", "internal", false, "the engine stopped because of a bug and was reset"],
] as const;

/** What is exactly wrong with an event, by the number of the reason. */
export const REASONS = [
  "is missing",
  "must not be empty",
  "has a JSON value of the wrong kind",
  "contains a control character, a noncharacter or a lone surrogate",
  "is not an RFC 3339 timestamp",
  "is not a URI-reference (RFC 3986)",
  "is not an absolute URI (RFC 3986)",
  "is not a media type such as text/plain (RFC 2046)",
  "is not a 32-bit integer",
  "has an invalid name: only a-z and 0-9 are allowed, and data is reserved",
  "appears more than once",
  "is not JSON",
  "is not UTF-8",
  "is nested too deeply",
  "is not a JSON object",
  "has more text after its end",
  "has more than 128 extension attributes",
  "cannot be combined with data_base64",
  "is not Base64 (RFC 4648 section 4, with padding)",
  "must be a string, because the datacontenttype is not JSON",
  'is neither "1.0" nor "0.3"',
  'is not "base64"',
  "is not a JSON array",
  "has another specversion than the events before it",
] as const;

/** The values of `failure`'s argument `reason`. */
export const FAILURE = {
  timeout: 0,
  aborted: 1,
  network: 2,
  blocked: 3,
} as const;

/** The policies of replay positions. */
export const POLICIES = {
  automatic: 0,
  next: 1,
  manual: 2,
} as const;

/** Which function of the engine classifies the responses to calls. */
export const CLASSIFIERS = {
  webhook: 0,
  eventsProtocol: 1,
} as const;

/** Which function of the engine classifies the responses to an outbox. */
export const OUTBOX_CLASSIFIERS = {
  byStatus: 0,
  bcEvents: 1,
} as const;

/** The inputs of calls and of a GlassFlow sink that have only numbers. Those of an outbox and of a stream begin with `tick` and `failure` too. */
export const PORT_INPUTS = {
  tick: 0,
  failure: 1,
  cancel: 2,
  close: 3,
} as const;

/** The inputs of an outbox that have only numbers. */
export const OUTBOX_INPUTS = {
  tick: 0,
  failure: 1,
  stage: 2,
  credit: 3,
  counter: 4,
  isDrained: 5,
  isSettled: 6,
  rollBack: 7,
  storeOpened: 8,
  storeAdded: 9,
  storeWritten: 10,
  storePeeked: 11,
  storeChanged: 12,
  setWallClock: 13,
  settledElsewhere: 14,
  deadRemoved: 15,
  purge: 16,
  setLeader: 17,
  pause: 18,
  flushNow: 19,
  online: 20,
  allowRequests: 21,
  pageHidden: 22,
  limitBatches: 23,
  notSent: 24,
} as const;

/** The inputs of an outbox that have or give a list of numbers. */
export const OUTBOX_LIST_INPUTS = {
  commit: 0,
  uncommit: 1,
  movedAway: 2,
  deliveredElsewhere: 3,
  responseEach: 4,
  stageMany: 5,
  recommit: 6,
  segmentFound: 7,
  setExpiryTimes: 8,
} as const;

/** The inputs of a stream that have only numbers. */
export const STREAM_INPUTS = {
  tick: 0,
  failure: 1,
  open: 2,
  probe: 3,
  networkChanged: 4,
  setClock: 5,
  taken: 6,
  notSigned: 7,
  close: 8,
  socketOpened: 9,
  socketText: 10,
  socketClosed: 11,
} as const;

/** The inputs of a stream that have texts. */
export const STREAM_TEXT_INPUTS = {
  subscribe: 0,
  subscribeTogether: 1,
  unsubscribe: 2,
  unsubscribeAll: 3,
  publish: 4,
  setReplayId: 5,
  authorize: 6,
  unauthorized: 7,
  signed: 8,
} as const;

/** The inputs of replay positions that start an operation. */
export const MARKS_INPUTS = {
  received: 0,
  handled: 1,
  acked: 2,
  flush: 3,
} as const;

/** The counters of an outbox, in the order of their numbers. */
export const COUNTERS = [
  "accepted",
  "delivered",
  "dead",
  "purged",
  "pending",
  "attempts",
  "refused",
  "droppedOldest",
  "droppedNewest",
  "staged",
  "bytes",
] as const;

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
