/** Keeps dead letters within their age and their share of the room. The oldest go first. */
import { startTimer, stopTimer, type Timer, unixNow } from "../platform/clock.js";
import type { DeadLetter } from "../stores/store.js";

/** The bound of dead letters. */
export interface DeadLetterBound {
  maxAgeMs: number;
  maxBytes: number;
}

export interface DeadLetterLimitsOptions extends DeadLetterBound {
  /** The oldest dead letters. */
  read(limit: number): Promise<readonly DeadLetter[]>;
  /** Removes dead letters. Rejects if the store fails. */
  remove(letters: readonly DeadLetter[]): Promise<void>;
}

const GROUP = 100;
const DAY_MS = 24 * 60 * 60 * 1000;

export class DeadLetterLimits {
  /** The bytes of all dead letters. */
  bytes = 0;
  readonly #options: DeadLetterLimitsOptions;
  #enforcing: Promise<void> | undefined;
  #isStopped = false;
  #timer: Timer | undefined;

  constructor(options: DeadLetterLimitsOptions) {
    this.#options = options;
  }

  /** Removes what is too old or too much, now and every day. Never rejects: after a failure it is tried again later. */
  enforce(): Promise<void> {
    this.#enforcing ??= this.#enforce()
      .catch(() => undefined)
      .finally(() => {
        this.#enforcing = undefined;
      });
    return this.#enforcing;
  }

  stop(): void {
    this.#isStopped = true;
    stopTimer(this.#timer);
  }

  async #enforce(): Promise<void> {
    const { maxAgeMs, maxBytes, read, remove } = this.#options;
    for (let isDone = false; !isDone && !this.#isStopped; ) {
      const letters = await read(GROUP);
      const oldest = unixNow() - maxAgeMs;
      let tooMany = this.bytes - maxBytes;
      const expired: DeadLetter[] = [];
      for (const letter of letters) {
        if (letter.at >= oldest && tooMany <= 0) break;
        expired.push(letter);
        tooMany -= letter.body.length;
      }
      isDone = expired.length < GROUP;
      if (letters.length === 0) this.bytes = 0;
      if (expired.length > 0) await remove(expired);
    }
    this.#startTimer();
  }

  #startTimer(): void {
    stopTimer(this.#timer);
    if (this.#isStopped || this.bytes === 0) return;
    this.#timer = startTimer(() => void this.enforce(), DAY_MS);
    // Without it, Node would not exit.
    (this.#timer as { unref?: () => void }).unref?.();
  }
}
