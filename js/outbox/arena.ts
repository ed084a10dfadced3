/**
 * Memory in which sessions encode their events. One that a session does not need any more is kept for the next one that
 * does: a program may have thousands of sessions, and few of them have staged events at the same time.
 */
import type { Bytes } from "../platform/bytes.js";

const MIN_BYTES = 1024;
/**
 * A larger one is not kept. The events of a segment have 256 KiB by default, and an arena is doubled when it is full.
 */
const MAX_KEPT_BYTES = 512 * 1024;

let kept: Bytes | undefined;

/** An arena of at least this length: the present one, or another with its first `used` bytes. */
export function arenaOf(length: number, present: Bytes | undefined, used: number): Bytes {
  if (present && present.length >= length) return present;
  const arena = (present ? undefined : takeKept(length)) ?? new Uint8Array(newLength(length, present?.length ?? 0));
  if (present) arena.set(present.subarray(0, used));
  return arena;
}

/** Keeps an arena that nobody uses any more, unless a larger one is kept. */
export function keepArena(arena: Bytes): void {
  if (arena.length <= MAX_KEPT_BYTES && arena.length > (kept?.length ?? 0)) kept = arena;
}

function takeKept(length: number): Bytes | undefined {
  const arena = kept;
  kept = undefined;
  return arena && arena.length >= length ? arena : undefined;
}

function newLength(length: number, present: number): number {
  return Math.max(MIN_BYTES, 2 * present, length);
}
