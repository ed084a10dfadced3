/**
 * What the modules of the engine have: functions, and ports, the interfaces of the machines. `src/wasm` implements them. All
 * times are in milliseconds; `now` is monotonic.
 */
import type { Bytes } from "../platform/bytes.js";
import type {
  OUTBOX_INPUTS,
  OUTBOX_LIST_INPUTS,
  PORT_INPUTS,
  STREAM_INPUTS,
  STREAM_TEXT_INPUTS,
} from "./generated/tables.js";
import type { Glue } from "./module.js";
import type { TextExports } from "./text-module.js";

export {
  CALLS_OPTIONS,
  CLASSIFIERS,
  COUNTERS,
  FAILURE,
  MARKS_INPUTS,
  OUTBOX_CLASSIFIERS,
  OUTBOX_INPUTS,
  OUTBOX_LIST_INPUTS,
  OUTBOX_OPTIONS,
  POLICIES,
  PORT_INPUTS,
  STREAM_INPUTS,
  STREAM_NUMBERS,
  STREAM_TEXT_INPUTS,
  STREAM_TEXTS,
} from "./generated/tables.js";

/** The exports of a module that scans batches. Arguments and results are numbers; text is in memory. */
export interface ScannerExports extends TextExports {
  table(): number;
  rows(): number;
}

/** The exports of the codecs. */
export interface CodecsExports extends ScannerExports {
  scan(len: number): number;
  scan_all(len: number, lines: number, inBytes: number): number;
  is_json(len: number): number;
  matches_format(len: number, format: number): number;
  decode_header(len: number): number;
}

export type CodecsGlue = Glue<CodecsExports>;

/** The exports of the filters, see `src/wasm/filters.rs`. Programs have numbers; JSON is in the buffer. */
export interface FiltersExports extends ScannerExports {
  scan_noted(len: number, lines: number, inBytes: number, isTrusted: number): number;
  scan_event(len: number): number;
  set_pointer(): void;
  /** 0: nothing, 1: JSON, 2: the content of a string without escapes, 3: a number, 4: an integer, in the table. */
  find(len: number, start: number): number;
  buffer(len: number): number;
  buffer_len(): number;
  compile(len: number, isExpression: number): number;
  describe(program: number): number;
  forget(program: number): void;
  /** 0: false, 1: true, 2: another value or errors, 3: a call. */
  evaluate(program: number, len: number): number;
  evaluate_at(program: number, index: number): number;
  selection(count: number): number;
  select(program: number): number;
}

export type FiltersGlue = Glue<FiltersExports>;

/** A module that makes calls. */
export interface CallsGlue<X = object> extends Glue<X> {
  CallsPort: new (options: Float64Array, classifier: number, seed: number, effects: object) => CallsPort;
}

export interface PublishGlue extends CallsGlue {
  OutboxPort: new (options: Float64Array, classifier: number, seed: number, effects: object) => OutboxPort;
}

export interface GlassflowGlue extends Glue<TextExports> {
  PipelineSinkPort: new (
    outputUrl: string,
    failedUrl: string,
    baseDelayMs: number,
    maxDelayMs: number,
    seed: number,
    effects: object,
  ) => PipelineSinkPort;
  glassflow_url(base: string, pipelineId: string, endpoint: number): string;
  glassflow_event_spans(len: number): Uint32Array;
}

export interface GlassflowManagementGlue extends Glue {
  /** See `src/wasm/management.rs`. `settle` gets 0 or the number of an error code, the status, and a value. */
  management_call(
    fetch: (url: string, init: RequestInit) => Promise<[Response, Uint8Array]>,
    baseUrl: string,
    organizationId: string | undefined,
    headers: string,
    signal: AbortSignal,
    operation: object,
    settle: (code: number, status: number, value: unknown) => void,
  ): void;
}

export interface EventsProtocolGlue extends CallsGlue<TextExports> {
  events_read(len: number, rule: number): number;
  events_respond(len: number, outcome: number): Bytes;
}

export interface StreamsGlue extends Glue<{ readonly memory: { readonly buffer: ArrayBufferLike } }> {
  StreamPort: new (numbers: Float64Array, texts: string, seed: number, effects: object) => StreamPort;
  MarksPort: new (policy: number, effects: MarksEffects) => MarksPort;
  channel_name(channel: string): string;
}

/** What the inputs have that all ports share, beside the time. */
interface SharedInputs {
  /** Time has passed. */
  tick: [];
  /** An exchange ended without a response. `reason`: a value of `FAILURE`. */
  failure: [id: number, reason: number];
}

/** What the inputs of calls and of a GlassFlow sink have that consist of numbers, beside the time. */
interface PortInputs extends SharedInputs {
  /** Cancels a call. The request of a sink goes on. */
  cancel: [op: number];
  /** Cancels all calls. */
  close: [];
}

/** The same by the numbers of the inputs. */
type PortInputsByNumber = { [Name in keyof PortInputs as (typeof PORT_INPUTS)[Name]]: PortInputs[Name] };

/** What all ports have. Each input passes its outputs to the effect queue that the port was made with. */
export interface Port {
  /** An input that has only numbers. Each port has more of them. */
  input(input: typeof PORT_INPUTS.tick, now: number): unknown;
  input(input: typeof PORT_INPUTS.failure, now: number, ...numbers: SharedInputs["failure"]): unknown;
  /** An exchange ended with a response. `retryAfterMs` -1: none. A stream has `response_and_taken` in its place. */
  response?(now: number, id: number, status: number, retryAfterMs: number, headers: string, body: Uint8Array): void;
  /** Releases the machine. */
  free(): void;
}

/** The machine that makes calls, see `src/wasm/calls.rs`. */
export interface CallsPort extends Required<Port> {
  input<Input extends keyof PortInputsByNumber>(input: Input, now: number, ...numbers: PortInputsByNumber[Input]): void;
  /** A `GET` has no body. */
  send(
    now: number,
    isGet: boolean,
    url: string,
    headers: string,
    body: Uint8Array,
    timeoutMs: number,
    maxResponseBytes: number,
  ): number;
}

/** What the inputs of an outbox have that consist of numbers, beside the time. */
interface OutboxInputs extends SharedInputs {
  /**
   * Stages an event. Returns -2 if it is refused, -1 if it is dropped, and otherwise twice the number of older events that were
   * dropped for it, plus one if it opens a segment.
   */
  stage: [session: number, size: number, orderingKey: number];
  /** Returns how much more fits behind the staged events: bytes up to `maxBytes`, plus 2^32 times the events. */
  credit: [session: number, maxBytes: number];
  /** Returns a counter, by its place in `COUNTERS`. */
  counter: [at: number];
  /** Returns 1 if there is nothing to write, to send, or to find in the store. */
  isDrained: [];
  /** Returns 1 if all changes are written and no request is in flight. */
  isSettled: [];
  /** Returns how many events were staged. */
  rollBack: [session: number];
  storeOpened: [events: number, bytes: number, dead: number, deadBytes: number];
  storeAdded: [events: number, bytes: number, dead: number, deadBytes: number];
  storeWritten: [isDone: boolean];
  /** A value of `PEEK_RESULT`. */
  storePeeked: [result: number];
  storeChanged: [];
  /** The time is that at which the clock has shown `unixMs`. `isConfirmed`: the destination has told it. */
  setWallClock: [unixMs: number, isConfirmed: boolean];
  settledElsewhere: [handle: number, delivered: number, dead: number, bytes: number];
  deadRemoved: [count: number, bytes: number, isReplayed: boolean];
  /** Returns how many events there were. */
  purge: [];
  setLeader: [isLeader: boolean];
  pause: [isPaused: boolean];
  flushNow: [];
  online: [];
  allowRequests: [requests: number];
  pageHidden: [bytes: number, isOneSegmentPerRequest: boolean];
  limitBatches: [id: number, maxEvents: number, concurrency: number];
  notSent: [id: number];
}

/** The same by the numbers of the inputs. */
type OutboxInputsByNumber = { [Name in keyof OutboxInputs as (typeof OUTBOX_INPUTS)[Name]]: OutboxInputs[Name] };

/** What the inputs of an outbox have beside the time and a list of numbers, which takes integers of 32 bits unless it says more. */
interface OutboxListInputs {
  /**
   * Commits what is staged; the list is empty. `maxGroupedEvents`: how many events of a segment may share a request, which then
   * has no others; 0 if they may share it with any. Returns the handles of the segments.
   */
  commit: [session: number, maxGroupedEvents: number];
  /** Stages segments again. Returns the handles of those that were staged. */
  uncommit: [session: number, _: 0];
  /** Segments that were committed here were moved out of the store. */
  movedAway: [_: 0, _: 0];
  /** Others delivered the events of a segment with these indices. */
  deliveredElsewhere: [handle: number, status: number];
  /** The response to a request has these statuses, one for each event. `retryAfterMs` -1: none. */
  responseEach: [id: number, retryAfterMs: number];
  /** Stages events for which there was credit. The list is one of `contentsList`. */
  stageMany: [session: number, _: 0];
  /** Commits events again that were committed in a discarded engine. The list is one of `contentsList`. Returns one handle. */
  recommit: [_: 0, _: 0];
  /**
   * A peek found a segment. The list is one of `contentsList`. `knownHandle`: 0 if it was not committed here. Returns its
   * handle.
   */
  segmentFound: [knownHandle: number, ageMs: number];
  /** When the events of a segment expire: Unix times in milliseconds, NaN for events that do not. */
  setExpiryTimes: [handle: number, isReplayed: boolean];
}

/** The same by the numbers of the inputs. */
type OutboxListInputsByNumber = {
  [Name in keyof OutboxListInputs as (typeof OUTBOX_LIST_INPUTS)[Name]]: OutboxListInputs[Name];
};

/** The machine of an outbox, see `src/wasm/outbox.rs`. */
export interface OutboxPort extends Required<Port> {
  /** An input that has only numbers, see `src/outbox/machine`. Returns a number if one is named there, otherwise 0. */
  input<Input extends keyof OutboxInputsByNumber>(
    input: Input,
    now: number,
    ...numbers: OutboxInputsByNumber[Input]
  ): number;
  /** An input with a list of numbers. Returns handles if some are named there, otherwise none. */
  input_list<Input extends keyof OutboxListInputsByNumber>(
    input: Input,
    now: number,
    ...numbers: [...OutboxListInputsByNumber[Input], list: Float64Array]
  ): Uint32Array;
}

/** The effects of an outbox, by the names of `src/wasm/outbox_effects.rs`. Lists of records are flat. */
export type OutboxEffects = {
  write(puts: Uint32Array, removes: Uint32Array, deadPuts: Uint32Array, progress: Uint32Array): void;
  peek(events: number, bytes: number): void;
  send(id: number, ranges: Uint32Array, isPageHidden: boolean): void;
  accepted(handle: number): void;
  delivered(handle: number, from: number, to: number, status: number, attempts: number): void;
  dead(
    handle: number,
    index: number,
    attempts: number,
    code: number,
    status: number,
    detail: string,
    isAlone: boolean,
  ): void;
  retry(delayMs: number, failures: number, code: number, status: number, detail: string, isBlocked: boolean): void;
  forget(handle: number, isStored: boolean): void;
  pressure(isHigh: boolean): void;
};

/** An error of a stream. `reply`: the refusal of the server as JSON, then the arguments of its error; or empty. */
export type StreamErrorParts = [code: number, status: number, message: string, reply: string[]];

/**
 * The effects of a stream, by the names of `StreamEffects` in `src/wasm/stream_effects.rs`. `code` 0 means no error.
 *
 * @typeParam Text what `messages` gets: bytes in the memory of the engine, which are valid during the call
 */
export type StreamEffects<Text = Uint8Array> = {
  send(
    id: number,
    url: string,
    headers: string,
    body: Uint8Array,
    timeoutMs: number,
    maxResponseBytes: number,
    responseHeaders: string,
    isLogin: boolean,
  ): void;
  messages(table: Uint32Array, channels: string[], excess: number, text: Text): void;
  settled(op: number, ...error: StreamErrorParts): void;
  state(state: number): void;
  notice(kind: string, channel: string | undefined, ...error: StreamErrorParts): void;
  connection_lost(code: number, status: number, message: string, reply: string[], delayMs: number): void;
  ended(...error: StreamErrorParts): void;
  need_credentials(isRenewal: boolean): void;
  granted(authorization: string, instanceUrl: string, issuedAt: number): void;
  sign(claims: string): void;
  refresh_token(refreshToken: string): void;
  socket_open(id: number, url: string): void;
  socket_send(id: number, text: string): void;
  socket_close(id: number): void;
};

/** The effects of a login, which only Salesforce has. */
export type LoginEffects = Pick<StreamEffects, "granted" | "sign" | "refresh_token">;

/** What the inputs of a stream have that consist of numbers, beside the time. */
interface StreamInputs extends SharedInputs {
  open: [];
  probe: [];
  /** The network is back, or the computer has slept; if that is not certain, the page is visible again. */
  networkChanged: [isCertain: boolean];
  /** Sets the Unix time at the zero of `now`. */
  setClock: [epochUnixMs: number];
  /** The consumer has taken messages. Returns how many more it must take before polling goes on. */
  taken: [count: number];
  /** The JWT could not be signed. */
  notSigned: [];
  close: [];
  socketOpened: [id: number];
  /** A frame, whose bytes are in `body_buffer`. */
  socketText: [id: number];
  socketClosed: [id: number, code: number];
}

/** The texts that the other inputs of a stream have; the second may be empty. */
interface StreamTextInputs {
  subscribe: [channel: string, _: ""];
  /** `channels`: see `joinedTexts`. Returns the operation of the first channel; those of the others follow. */
  subscribeTogether: [channels: string, _: ""];
  /** Removes one subscription to a channel. */
  unsubscribe: [channel: string, _: ""];
  /** Removes all subscriptions to a channel. */
  unsubscribeAll: [channel: string, _: ""];
  publish: [channel: string, data: string];
  /** Sets the replay id after which the next subscription to a channel starts. */
  setReplayId: [channel: string, id: string];
  /** Provides credentials: header lines, with Salesforce an access token. */
  authorize: [credentials: string, _: ""];
  /** Reports that there are no credentials. That ends the session, but with Salesforce it asks again. */
  unauthorized: [message: string, _: ""];
  /** Provides a signed JWT. */
  signed: [assertion: string, _: ""];
}

/** The same by the numbers of the inputs. */
type StreamInputsByNumber = { [Name in keyof StreamInputs as (typeof STREAM_INPUTS)[Name]]: StreamInputs[Name] };
type StreamTextInputsByNumber = {
  [Name in keyof StreamTextInputs as (typeof STREAM_TEXT_INPUTS)[Name]]: StreamTextInputs[Name];
};

/** The port of a stream, see `src/wasm/stream.rs`. The outputs of an input that starts an operation wait for the next input. */
export interface StreamPort extends Port {
  /** An input that has only numbers. Returns its operation, or what is named there. */
  input<Input extends keyof StreamInputsByNumber>(
    input: Input,
    now: number,
    ...numbers: StreamInputsByNumber[Input]
  ): number;
  /** An input that has texts. Returns its operation. */
  input_texts<Input extends keyof StreamTextInputsByNumber>(
    input: Input,
    now: number,
    ...texts: StreamTextInputsByNumber[Input]
  ): number;
  /** The channels that the server has accepted. */
  subscriptions(): string[];
  /** The name of the transport in use. */
  transport(): string;
  /** The address of a buffer for the body of the next response, or the next frame, valid until the next call. */
  body_buffer(len: number): number;
  /** `taken` and `response` in one call. The body is in `body_buffer`. */
  response_and_taken(
    now: number,
    taken: number,
    id: number,
    status: number,
    retryAfterMs: number,
    headers: string,
  ): void;
}

/** The effects of replay positions, by the names of `MarksEffects` in `src/wasm/marks.rs`. */
export type MarksEffects = {
  save(channel: string, replayId: string, date: string | undefined): void;
  settled(op: number, isSaved: boolean): void;
};

/** The port of replay positions, see `src/wasm/marks.rs`. Each method but `free` runs the effects that are due. */
export interface MarksPort {
  /** Starts an operation: a value of `MARKS_INPUTS`. `received`: the operation of the hand-over of a message, or 0. */
  input(
    input: number,
    received: number,
    channel: string,
    replayId: string | undefined,
    date: string | undefined,
  ): number;
  saved(isSaved: boolean): void;
  free(): void;
}

/** The port of a GlassFlow sink, see `src/wasm/glassflow.rs`. */
export interface PipelineSinkPort extends Required<Port> {
  input<Input extends keyof PortInputsByNumber>(input: Input, now: number, ...numbers: PortInputsByNumber[Input]): void;
  consume(now: number, isFailed: boolean, timeoutMs: number): number;
  is_idle(): boolean;
}

/** The last argument of `store_peeked`. */
export const PEEK_RESULT = { foundNothing: 0, found: 1, failed: 2 } as const;
