/** The budget of a document for requests with `keepalive`, which survive the page. */
import { monotonicNow, startTimer } from "./clock.js";

/**
 * Fetch standard, "HTTP-network-or-cache fetch": the bodies of the `keepalive` requests of a document may have 64 KiB
 * together. The rest is for other code of the page.
 */
const KEEPALIVE_BYTES = 60 * 1024;

/** The time until the browser returns the bytes of a request to the budget; in Firefox another process does it. */
const RETURN_DELAY_MS = 100;

/** A part of the budget, for one request. */
export interface Keepalive {
  /**
   * Returns the part to the budget, a moment after the end of the request.
   *
   * @param isAnswered whether a response was read; if not, other code may have used up the budget
   */
  release(isAnswered: boolean): void;
}

/** The budget of this document, shared by all outboxes. */
export const keepaliveBudget: {
  remainingBytes: number;
  pausedUntilMs: number;
  take(bytes: number): Keepalive | undefined;
} = {
  remainingBytes: KEEPALIVE_BYTES,
  /** Monotonic time until which no part is given, after a request failed. */
  pausedUntilMs: 0,

  /** A part for a body of that many bytes; `undefined` if it does not fit, or there is no page. */
  take(bytes) {
    if (typeof document === "undefined" || bytes > this.remainingBytes || monotonicNow() < this.pausedUntilMs) {
      return undefined;
    }
    this.remainingBytes -= bytes;
    return {
      release: (isAnswered) => {
        if (!isAnswered) this.pausedUntilMs = monotonicNow() + 1000;
        startTimer(() => {
          this.remainingBytes += bytes;
        }, RETURN_DELAY_MS);
      },
    };
  },
};
