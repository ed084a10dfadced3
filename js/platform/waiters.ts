/** Waiting that comes to an end: with what was waited for, by a signal, by a time, or when all of it is over. */
import { startTimer, stopTimer, type Timer } from "./clock.js";

const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Waiters {
  /** Who looks whether it is there, and how to end that. */
  readonly #all = new Map<() => void, () => void>();

  /** True when `is` has become true: it is asked now, and whenever somebody calls `lookAround`. False when the waiting is over before. */
  until(isTrue: () => boolean, signal?: AbortSignal, deadlineMs?: number): Promise<boolean> {
    let look: () => void;
    return waitFor(signal, deadlineMs, (done, giveUp) => {
      look = () => void (isTrue() && done());
      this.#all.set(look, giveUp);
      look();
    }).finally(() => this.#all.delete(look));
  }

  /** What becomes of a promise. Rejects if that takes longer, or everything is over. */
  async withTimeout<T>(ms: number, promise: Promise<T>): Promise<T> {
    let timer: Timer | undefined;
    const look = () => undefined;
    const tooLate = new Promise<never>((_, reject) => {
      const giveUp = () => reject(new Error(`it did not answer within ${ms / 1000} s`));
      timer = startTimer(giveUp, ms);
      this.#all.set(look, giveUp);
    });
    try {
      return await Promise.race([promise, tooLate]);
    } finally {
      stopTimer(timer);
      this.#all.delete(look);
    }
  }

  /** Something may be there now. */
  recheck(): void {
    for (const look of [...this.#all.keys()]) look();
  }

  /** Nobody waits any longer. */
  end(): void {
    for (const giveUp of [...this.#all.values()]) giveUp();
  }
}

/** True when `start` has called back, false when the signal or the time came first. */
export function waitFor(
  signal: AbortSignal | undefined,
  deadlineMs: number | undefined,
  start: (done: () => void, giveUp: () => void) => void,
): Promise<boolean> {
  return new Promise((resolve) => {
    let isOver = false;
    let timer: Timer | undefined;
    const end = (isThere: boolean) => {
      isOver = true;
      stopTimer(timer);
      signal?.removeEventListener("abort", giveUp);
      resolve(isThere);
    };
    const giveUp = () => end(false);
    start(() => end(true), giveUp);
    if (isOver) return;
    if (signal?.aborted) return giveUp();
    signal?.addEventListener("abort", giveUp);
    if (deadlineMs !== undefined && deadlineMs <= LONGEST_TIMER_MS) timer = startTimer(giveUp, deadlineMs);
  });
}
