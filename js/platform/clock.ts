/**
 * Time and timers. All other code reads them here, so that a test can replace the clock of the platform with a virtual
 * one.
 */

/** A running timer. In Node, Deno and Bun it has `unref`. */
export type Timer = ReturnType<typeof setTimeout>;

/** A source of time and timers. */
export interface Clock {
  /** Unix time in milliseconds. The user of the machine may change it. */
  unixNow(): number;
  /** Milliseconds since an unspecified moment; never goes backwards. */
  monotonicNow(): number;
  /** Calls `callback` once after `delayMs`, at most 2^31 - 1. */
  startTimer(callback: () => void, delayMs: number): Timer;
  /** Stops a timer. A timer that has fired, or `undefined`, is ignored. */
  stopTimer(timer: Timer | undefined): void;
}

// Each global is looked up on each call, because frameworks may replace it.
const platformClock: Clock = {
  unixNow: () => Date.now(),
  monotonicNow: () => performance.now(),
  startTimer: (callback, delayMs) => setTimeout(callback, delayMs),
  stopTimer: (timer) => clearTimeout(timer),
};

let clock = platformClock;

/** Replaces the clock; without an argument, restores the one of the platform. For tests. */
export function replaceClock(other: Clock = platformClock): void {
  clock = other;
}

/** Unix time in milliseconds. The user of the machine may change it. */
export function unixNow(): number {
  return clock.unixNow();
}

/** Milliseconds since an unspecified moment; never goes backwards. */
export function monotonicNow(): number {
  return clock.monotonicNow();
}

/** Calls `callback` once after `delayMs`, at most 2^31 - 1. */
export function startTimer(callback: () => void, delayMs: number): Timer {
  return clock.startTimer(callback, delayMs);
}

/** As `startTimer`, but a process need not stay alive for the timer. */
export function startIdleTimer(callback: () => void, delayMs: number): Timer {
  const timer = startTimer(callback, delayMs);
  (timer as { unref?: () => void }).unref?.();
  return timer;
}

/** Stops a timer. A timer that has fired, or `undefined`, is ignored. */
export function stopTimer(timer: Timer | undefined): void {
  clock.stopTimer(timer);
}

/** Resolves after `delayMs`. */
export function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => void startTimer(resolve, delayMs));
}
