/** Keeps dead letters within their age and their share of the room. The oldest go first. */
import { startIdleTimer, stopTimer, type Timer, unixNow } from "../platform/clock.js";
import type { DeadLetter } from "../stores/store.js";

/** The bound of dead letters. */
export interface DeadLetterBound {
  maxAgeMs: number;
  maxBytes: number;
}

export interface DeadLetterLimitsOptions extends DeadLetterBound {
  /** Whether this tab or process is the one that removes. */
  isResponsible(): boolean;
  /** The oldest dead letters. */
  read(limit: number): Promise<readonly DeadLetter[]>;
  /** Removes dead letters. Rejects if the store fails. */
  remove(letters: readonly DeadLetter[]): Promise<void>;
}

const GROUP = 100;
const DAY_MS = 24 * 60 * 60 * 1000;

export class DeadLetterLimits {
  /** The bytes of all dead letters; undefined if another tab may have changed them. */
  #bytes: number | undefined;
  readonly #options: DeadLetterLimitsOptions;
  #enforcing: Promise<void> | undefined;
  #isStopped = false;
  #timer: Timer | undefined;

  constructor(options: DeadLetterLimitsOptions) {
    this.#options = options;
  }

  /** The store has so many bytes of dead letters. */
  counted(bytes: number): void {
    this.#bytes = bytes;
  }

  /** So many bytes were added, or removed if it is negative. */
  changed(bytes: number): void {
    if (this.#bytes !== undefined) this.#bytes = Math.max(0, this.#bytes + bytes);
  }

  /** Another tab or process was responsible until now. */
  takeOver(): Promise<void> {
    this.#bytes = undefined;
    return this.enforce();
  }

  /**
   * Removes what is too old or too much, now and every day, if this tab or process is responsible. Never rejects: after a
   * failure it is tried again later.
   */
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
    const { maxAgeMs, maxBytes, read, remove, isResponsible } = this.#options;
    for (let isDone = this.#bytes === 0; !isDone && !this.#isStopped && isResponsible(); ) {
      const letters = await read(this.#bytes === undefined ? Infinity : GROUP);
      this.#bytes ??= letters.reduce((sum, { body }) => sum + body.length, 0);
      const oldest = unixNow() - maxAgeMs;
      let tooMany = this.#bytes - maxBytes;
      const expired: DeadLetter[] = [];
      for (const letter of letters) {
        if (letter.at >= oldest && tooMany <= 0) break;
        expired.push(letter);
        tooMany -= letter.body.length;
      }
      isDone = expired.length < GROUP;
      if (letters.length === 0) this.#bytes = 0;
      if (expired.length > 0) await remove(expired);
    }
    this.#startTimer();
  }

  #startTimer(): void {
    stopTimer(this.#timer);
    if (this.#isStopped || this.#bytes === 0) return;
    this.#timer = startIdleTimer(() => void this.enforce(), DAY_MS);
  }
}
