/** The segments that a session has flushed, until they are settled: what its next flush waits for. */
import type { TrackedSegment } from "./tracked-segment.js";

/** So many segments are looked through at least before those that are settled are removed. */
const MIN_PRUNED = 64;

export class FlushedSegments {
  /** Segments that may not be accepted yet: few, also while a server is slow. */
  #unaccepted: TrackedSegment[] = [];
  /** Segments that may not be settled yet, those above included. */
  #unsettled = new Set<TrackedSegment>();
  /** How many of them there may be before the settled ones are removed. */
  #pruneFrom = MIN_PRUNED;

  /** Adds segments. Returns those, also of earlier flushes, that are not accepted, or not settled. */
  add(segments: readonly TrackedSegment[], until: "accepted" | "delivered"): readonly TrackedSegment[] {
    for (const segment of segments) this.#unsettled.add(segment);
    const candidates = this.#unaccepted.filter((segment) => !segments.includes(segment)).concat(segments);
    this.#unaccepted = candidates.filter(({ isAccepted, pending }) => !isAccepted && pending > 0);
    // Not with each flush: while a server is slow, there are thousands.
    if (until === "delivered" || this.#unsettled.size >= this.#pruneFrom) this.#prune();
    return until === "delivered" ? [...this.#unsettled] : this.#unaccepted;
  }

  #prune(): void {
    for (const segment of this.#unsettled) if (segment.pending === 0) this.#unsettled.delete(segment);
    this.#pruneFrom = Math.max(MIN_PRUNED, 2 * this.#unsettled.size);
  }
}
