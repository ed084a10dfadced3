/** What stores have in common, whatever they keep things in. Not for applications. */
import type { DeadLetter, PeekLimit, Segment, StoreCounts } from "./store.js";

/** What `peek` gives: as much as the limit allows, and at least one segment. */
export interface PeekResult {
  readonly taken: Segment[];
  /** Takes the next segment if it fits. False when there is no use in coming with another. */
  add(segment: Segment): boolean;
}

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

/** What `peek` gives of these, oldest first. */
export function takeUpTo(segments: Iterable<Segment>, limit: PeekLimit): Segment[] {
  const { taken, add } = peekUpTo(limit);
  for (const segment of segments) if (!add(segment)) break;
  return taken;
}

/** Adds to what was counted so far. */
export function countsOf(
  segments: Iterable<Segment>,
  letters: Iterable<DeadLetter>,
  stock: StoreCounts = { events: 0, bytes: 0, dead: 0, deadBytes: 0 },
): StoreCounts {
  for (const { sizes, body } of segments) {
    stock.events += sizes.length;
    stock.bytes += body.length;
  }
  for (const { body } of letters) {
    stock.dead++;
    stock.deadBytes += body.length;
  }
  return stock;
}
