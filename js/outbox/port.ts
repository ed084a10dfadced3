/** The machine of the outbox, as `src/wasm/outbox.rs` hands it out. */
import type { Port } from "../engine/pump.js";

export interface OutboxPort extends Port {
  stage(session: number, size: number, lane: number): number;
  ease_bytes(session: number): number;
  ease_events(session: number): number;
  append(session: number, sizes: Uint32Array, lanes: Uint32Array): void;
  roll_back(session: number): number;
  commit(now: number, session: number, own: number): Uint32Array;
  recommit(now: number, sizes: Uint32Array, lanes: Uint32Array, own: number): number;
  opened(now: number, events: number, bytes: number, dead: number, deadBytes: number): void;
  written(now: number, isDone: boolean): void;
  found(now: number, sizes: Uint32Array, lanes: Uint32Array, own: number, ageMs: number, known: number): number;
  looked(now: number, result: number): void;
  stir(now: number): void;
  settled_elsewhere(now: number, segment: number, delivered: number, dead: number, bytes: number): void;
  exhumed(now: number, letters: number, bytes: number, isReplayed: boolean): void;
  purge(now: number): number;
  lead(now: number, leads: boolean): void;
  pause(now: number, isPaused: boolean): void;
  hurry(now: number): void;
  wake(now: number): void;
  allow(now: number, requests: number): void;
  leave(now: number, bytes: number, isApart: boolean): void;
  regroup(now: number, id: number, events: number, flights: number): void;
  partly(now: number, id: number, statuses: Uint16Array, retryAfterMs: number): void;
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
