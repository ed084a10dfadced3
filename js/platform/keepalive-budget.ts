/** The budget of a document for requests that survive it. */
import { monotonicNow, startTimer } from "./clock.js";

/**
 * Fetch standard, "HTTP-network-or-cache fetch": the bodies of a document's requests with `keepalive` may have 64 KiB together. Others on
 * the page may use some of it, so we leave them a little.
 */
const KEEPALIVE_BYTES = 60 * 1024;

/** How long the browser may take to give room back; in Firefox another process does it. */
const RETURN_MS = 100;

/** A share of the budget. */
export interface Keepalive {
  /** Gives it back. `isAnswered`: an answer was read; the browser gives the room back a moment later. */
  release(isAnswered: boolean): void;
}

/** The budget of this document, whatever number of outboxes there are. */
export const keepaliveBudget = {
  remainingBytes: KEEPALIVE_BYTES,
  /** Until then it is not used: it has failed, and others may have used it up. */
  pausedUntilMs: 0,

  take(bytes: number): Keepalive | undefined {
    if (typeof document === "undefined" || bytes > this.remainingBytes || monotonicNow() < this.pausedUntilMs)
      return undefined;
    this.remainingBytes -= bytes;
    return {
      release: (isAnswered) => {
        if (!isAnswered) this.pausedUntilMs = monotonicNow() + 1000;
        startTimer(() => (this.remainingBytes += bytes), RETURN_MS);
      },
    };
  },
};
