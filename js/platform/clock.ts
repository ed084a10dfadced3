/**
 * Time and timers, in one place: everything above the engine reads them here and nowhere else, so that a test can put a
 * virtual clock in place of the platform's.
 */

/** A running timer. In Node, Deno and Bun it has `unref`. */
export type Timer = ReturnType<typeof setTimeout>;

/** Where time comes from. */
export interface Clock {
  /** Milliseconds since 1970. It may be set back. */
  unixNow(): number;
  /** Milliseconds since some moment; never goes backwards. */
  monotonicNow(): number;
  startTimer(callback: () => void, delayMs: number): Timer;
  stopTimer(timer: Timer | undefined): void;
}

// Each global is looked up when it is called, so that frameworks which replace one are served too.
const platformClock: Clock = {
  unixNow: () => Date.now(),
  monotonicNow: () => performance.now(),
  startTimer: (callback, delayMs) => setTimeout(callback, delayMs),
  stopTimer: (timer) => clearTimeout(timer),
};

let clock = platformClock;

/** Puts another clock in place; without one, the platform's is back. For tests. */
export function replaceClock(other: Clock = platformClock): void {
  clock = other;
}

/** Milliseconds since 1970. It may be set back. */
export function unixNow(): number {
  return clock.unixNow();
}

/** Milliseconds since some moment; never goes backwards. */
export function monotonicNow(): number {
  return clock.monotonicNow();
}

/** Calls back once, after so many milliseconds: at most 2^31 - 1. */
export function startTimer(callback: () => void, delayMs: number): Timer {
  return clock.startTimer(callback, delayMs);
}

/** Stops a timer. One that is over, or none, is ignored. */
export function stopTimer(timer: Timer | undefined): void {
  clock.stopTimer(timer);
}

/** Resolves after so many milliseconds. */
export function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => void startTimer(resolve, delayMs));
}
