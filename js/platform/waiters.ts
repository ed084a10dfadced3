/** Promises that always settle: by a condition, an abort signal, a timeout, or the end of all waiting. */
import { startTimer, stopTimer, type Timer } from "./clock.js";

const MAX_TIMER_MS = 2 ** 31 - 1;

/** Everything that waits on one object, so that it can be rechecked or ended together. */
export class Waiters {
  /** For each waiter: the function that checks its condition, and the one that ends it. */
  readonly #waiters = new Map<() => void, () => void>();

  /**
   * Waits until `isTrue` returns true; it is called now and on each `recheck`. Resolves with false if the signal, the
   * deadline or `end` comes first.
   */
  until(isTrue: () => boolean, signal?: AbortSignal, deadlineMs?: number): Promise<boolean> {
    let check: () => void;
    return waitFor(signal, deadlineMs, (done, giveUp) => {
      check = () => void (isTrue() && done());
      this.#waiters.set(check, giveUp);
      check();
    }).finally(() => this.#waiters.delete(check));
  }

  /** The result of `promise`. Rejects if it takes longer than `timeoutMs`, or on `end`. */
  async withTimeout<T>(timeoutMs: number, promise: Promise<T>): Promise<T> {
    let timer: Timer | undefined;
    const check = () => undefined;
    const tooLate = new Promise<never>((_, reject) => {
      const giveUp = () => reject(new Error(`no answer within ${timeoutMs / 1000} s`));
      timer = startTimer(giveUp, timeoutMs);
      this.#waiters.set(check, giveUp);
    });
    try {
      return await Promise.race([promise, tooLate]);
    } finally {
      stopTimer(timer);
      this.#waiters.delete(check);
    }
  }

  /** Checks all conditions again. */
  recheck(): void {
    for (const check of [...this.#waiters.keys()]) check();
  }

  /** Ends all waiting: `until` resolves with false, `withTimeout` rejects. */
  end(): void {
    for (const giveUp of [...this.#waiters.values()]) giveUp();
  }
}

/**
 * Waits until `start` calls `done`. Resolves with false if `start` calls `giveUp`, or the signal or the deadline comes
 * first.
 */
export function waitFor(
  signal: AbortSignal | undefined,
  deadlineMs: number | undefined,
  start: (done: () => void, giveUp: () => void) => void,
): Promise<boolean> {
  return new Promise((resolve) => {
    let isSettled = false;
    let timer: Timer | undefined;
    const settle = (isDone: boolean) => {
      isSettled = true;
      stopTimer(timer);
      signal?.removeEventListener("abort", giveUp);
      resolve(isDone);
    };
    const giveUp = () => settle(false);
    start(() => settle(true), giveUp);
    if (isSettled) return;
    if (signal?.aborted) return giveUp();
    signal?.addEventListener("abort", giveUp);
    if (deadlineMs !== undefined && deadlineMs <= MAX_TIMER_MS) timer = startTimer(giveUp, deadlineMs);
  });
}
