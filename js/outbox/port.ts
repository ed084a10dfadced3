/** The machine of the outbox, as `src/wasm/outbox.rs` hands it out. */
import type { Port } from "../engine/pump.js";

export interface OutboxPort extends Port {
  stage(session: number, size: number, lane: number): number;
  credit_bytes(session: number): number;
  credit_events(session: number): number;
  stage_many(session: number, sizes: Uint32Array, lanes: Uint32Array): void;
  roll_back(session: number): number;
  commit(now: number, session: number, own: number): Uint32Array;
  recommit(now: number, sizes: Uint32Array, lanes: Uint32Array, own: number): number;
  opened(now: number, events: number, bytes: number, dead: number, deadBytes: number): void;
  written(now: number, isDone: boolean): void;
  found(now: number, sizes: Uint32Array, lanes: Uint32Array, own: number, ageMs: number, known: number): number;
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

/** For `looked`. */
export const LOOK = { foundNothing: 0, found: 1, failed: 2 } as const;

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
