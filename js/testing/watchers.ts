/** Those who want to know when a service has taken something in. */
import { FerryError } from "../engine/errors.js";
import { type Lifetime, integer } from "./service.js";
import { startTimer, stopTimer } from "../platform/clock.js";

const MAX_TIMER_MS = 2 ** 31 - 1;

export class Watchers {
  readonly #all = new Set<() => void>();

  /** Calls `watcher` after each change. Gives back how to stop that. */
  add(watcher: () => void): () => void {
    this.#all.add(watcher);
    return () => this.#all.delete(watcher);
  }

  /** Something has changed. */
  notify(): void {
    for (const watcher of [...this.#all]) watcher();
  }

  /**
   * What `find` gives, as soon as that is something; it is asked now and after each change.
   *
   * @param late What has not come about, for the message of `ERR_TIMEOUT`.
   * @throws {FerryError} `ERR_TIMEOUT` after `timeoutMs` (10 000 if that is undefined), `ERR_CLOSED` if the emulator is closed meanwhile, and what `find` throws
   */
  until<T>(find: () => T | undefined, timeoutMs: unknown, lifetime: Lifetime, late: () => string): Promise<T> {
    return new Promise((resolve, reject) => {
      const ms = integer("timeoutMs", timeoutMs, 10_000, 0, MAX_TIMER_MS);
      const now = find();
      if (now !== undefined) return resolve(now);
      const settle = (then: () => void) => {
        stopTimer(timer);
        unwatch();
        leave();
        then();
      };
      const unwatch = this.add(() => {
        try {
          const found = find();
          if (found !== undefined) settle(() => resolve(found));
        } catch (error) {
          settle(() => reject(error));
        }
      });
      // Not in the background: a test that only waits must not end before its time.
      const timer = startTimer(
        () => settle(() => reject(new FerryError("ERR_TIMEOUT", `${late()} within ${ms} ms`))),
        ms,
      );
      let leave = () => {};
      leave = lifetime.onClose(() => settle(() => reject(new FerryError("ERR_CLOSED", "the emulator was closed"))));
    });
  }
}
