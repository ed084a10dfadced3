/** Listeners that are called after each change of a service, and a way to wait for a condition. */
import { FerryError } from "../engine/errors.js";
import { startTimer, stopTimer } from "../platform/clock.js";
import { type Lifetime, integer } from "./service.js";

const MAX_TIMER_MS = 2 ** 31 - 1;

/** The listeners of one service. */
export class Watchers {
  readonly #listeners = new Set<() => void>();

  /** Calls `listener` after each change. Returns a function that removes it. */
  add(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls all listeners. */
  notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  /**
   * Resolves with the first value of `find` that is not undefined. `find` is called immediately and after each change.
   *
   * @param describe what is still missing, for the message of `ERR_TIMEOUT`
   * @throws {FerryError} `ERR_TIMEOUT` after `timeoutMs` (10 000 if undefined), `ERR_CLOSED` if the emulator is closed
   * first, and whatever `find` throws
   */
  until<T>(find: () => T | undefined, timeoutMs: unknown, lifetime: Lifetime, describe: () => string): Promise<T> {
    return new Promise((resolve, reject) => {
      const ms = integer("timeoutMs", timeoutMs, 10_000, 0, MAX_TIMER_MS);
      const now = find();
      if (now !== undefined) return resolve(now);
      const settle = (callback: () => void) => {
        stopTimer(timer);
        removeListener();
        removeOnClose();
        callback();
      };
      const removeListener = this.add(() => {
        try {
          const found = find();
          if (found !== undefined) settle(() => resolve(found));
        } catch (error) {
          settle(() => reject(error));
        }
      });
      // The timer keeps the process alive: a test that does nothing but wait must not end early.
      const timer = startTimer(
        () => settle(() => reject(new FerryError("ERR_TIMEOUT", `${describe()} within ${ms} ms`))),
        ms,
      );
      let removeOnClose = () => {};
      removeOnClose = lifetime.onClose(() =>
        settle(() => reject(new FerryError("ERR_CLOSED", "the emulator was closed"))),
      );
    });
  }
}
