/**
 * The ports: what each machine of the engine offers to TypeScript. `src/wasm` implements them.
 * Times are in milliseconds: `now` is monotonic.
 */

/** What every machine's port has, see `src/wasm`. */
export interface Port {
  tick(now: number): void;
  response(now: number, id: number, status: number, retryAfterMs: number, headers: string, body: Uint8Array): void;
  failure(now: number, id: number, why: number): void;
  drain(sink: object): void;
  free(): void;
}

/** The handle of the machine. */
export interface CallsPort extends Port {
  post(
    now: number,
    url: string,
    headers: string,
    body: Uint8Array,
    timeoutMs: number,
    maxResponseBytes: number,
  ): number;
  get(now: number, url: string, headers: string, timeoutMs: number, maxResponseBytes: number): number;
  cancel(op: number): void;
  close(): void;
}

export interface OutboxPort extends Port {
  stage(session: number, size: number, orderingKey: number): number;
  credit_bytes(session: number): number;
  credit_events(session: number): number;
  stage_many(session: number, sizes: Uint32Array, orderingKeys: Uint32Array): void;
  roll_back(session: number): number;
  commit(now: number, session: number, separate: number): Uint32Array;
  recommit(now: number, sizes: Uint32Array, orderingKeys: Uint32Array, separate: number): number;
  opened(now: number, events: number, bytes: number, dead: number, deadBytes: number): void;
  written(now: number, isDone: boolean): void;
  found(
    now: number,
    sizes: Uint32Array,
    orderingKeys: Uint32Array,
    separate: number,
    ageMs: number,
    known: number,
  ): number;
  peeked(now: number, result: number): void;
  store_changed(now: number): void;
  settled_elsewhere(now: number, segment: number, delivered: number, dead: number, bytes: number): void;
  dead_removed(now: number, letters: number, bytes: number, isReplayed: boolean): void;
  purge(now: number): number;
  set_leader(now: number, leads: boolean): void;
  pause(now: number, isPaused: boolean): void;
  flush_now(now: number): void;
  online(now: number): void;
  allow_requests(now: number, requests: number): void;
  page_hidden(now: number, bytes: number, isApart: boolean): void;
  limit_batches(now: number, id: number, events: number, flights: number): void;
  response_each(now: number, id: number, statuses: Uint16Array, retryAfterMs: number): void;
  counters(): Float64Array;
  is_quiet(): boolean;
  is_settled(): boolean;
}

/** The port of a stream, see `src/wasm/stream.rs`. Methods that return a number return the id of the operation. */
export interface StreamPort extends Port {
  open(now: number): number;
  subscribe(now: number, channel: string): number;
  unsubscribe(now: number, channel: string, all: boolean): number;
  publish(now: number, channel: string, data: string): number;
  set_replay_id(channel: string, id: string): void;
  authorize(now: number, headers: string): void;
  unauthorized(now: number, message: string): void;
  signed(now: number, assertion: string | undefined): void;
  pause(now: number): void;
  resume(now: number): void;
  close(now: number): void;
  socket_opened(now: number, id: number): void;
  socket_text(now: number, id: number, text: Uint8Array): void;
  socket_closed(now: number, id: number, code: number): void;
}

/** The handle of the machine, see `src/wasm/glassflow.rs`. */
export interface PipelineSinkPort extends Port {
  consume(now: number, isFailed: boolean, timeoutMs: number): number;
  cancel(op: number): void;
  close(): void;
  is_idle(): boolean;
}

/** The last argument of `peeked`. */
export const PEEKED = { foundNothing: 0, found: 1, failed: 2 } as const;

/** What `counters` gives, in its order. */
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

/** Which function of the engine classifies responses, in the order of `CLASSIFIERS` in `src/wasm/calls.rs`. */
export const CLASSIFIERS = { webhook: 0, eventsProtocol: 1 } as const;

/** The same for an outbox, in the order of `CLASSIFIERS` in `src/wasm/outbox.rs`. */
export const OUTBOX_CLASSIFIERS = { byStatus: 0, bcEvents: 1 } as const;

/** The last argument of `failure`. */
export const FAILURE = { timeout: 0, aborted: 1, network: 2 } as const;
