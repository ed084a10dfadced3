/** The limit of `peek`, and the counts of a store, for all kinds of stores. Internal. */
import type { DeadLetter, PeekLimit, Segment, StoreCounts } from "./store.js";

/** Collects the result of `peek`: as much as the limit allows, and at least one segment. */
export interface PeekResult {
  readonly taken: Segment[];
  /** Takes the next segment if it fits. Returns false if no further segment fits. */
  add(segment: Segment): boolean;
}

/** Starts the result of a `peek` with this limit. */
export function peekUpTo({ events, bytes, skip }: PeekLimit): PeekResult {
  const taken: Segment[] = [];
  const add = (segment: Segment) => {
    if (skip.has(segment.key)) return true;
    events -= segment.sizes.length;
    bytes -= segment.body.length;
    if (!taken[0] || (events >= 0 && bytes >= 0)) taken.push(segment);
    return events > 0 && bytes > 0;
  };
  return { taken, add };
}

/** The result of `peek` for these segments, which are in order. */
export function takeUpTo(segments: Iterable<Segment>, limit: PeekLimit): Segment[] {
  const { taken, add } = peekUpTo(limit);
  for (const segment of segments) if (!add(segment)) break;
  return taken;
}

/** Counts segments and dead letters, and adds them to `counts`. */
export function countsOf(
  segments: Iterable<Segment>,
  deadLetters: Iterable<DeadLetter>,
  counts: StoreCounts = { events: 0, bytes: 0, dead: 0, deadBytes: 0 },
): StoreCounts {
  for (const { key, sizes, body } of segments) {
    counts.events += sizes.length;
    counts.bytes += body.length;
    if (counts.lastKey === undefined || key > counts.lastKey) counts.lastKey = key;
  }
  for (const { body } of deadLetters) {
    counts.dead++;
    counts.deadBytes += body.length;
  }
  return counts;
}
