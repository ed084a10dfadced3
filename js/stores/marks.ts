/** The marks of a store for one process, in memory. */
import { unixNow } from "../platform/clock.js";
import { type DedupeStore, isClaim, type Mark, SWEEP_COUNT, stateOf } from "./dedupe.js";

/** More marks would need too much memory: beyond this number the oldest are forgotten. */
const MAX_MARKS = 1_000_000;

export class Marks implements DedupeStore {
  /** The oldest first. */
  readonly #marks = new Map<string, Mark>();
  readonly #onSeenEnded: (key: string) => void;

  /** @param onSeenEnded told of a key that was seen and is forgotten, because its time is over or there are too many */
  constructor(onSeenEnded: (key: string) => void = () => undefined) {
    this.#onSeenEnded = onSeenEnded;
  }

  async claim(key: string, busyUntilMs: number): Promise<"new" | "busy" | "seen"> {
    this.#sweep();
    const state = stateOf(this.#marks.get(key), unixNow());
    if (state === "new") this.set(key, { isSeen: false, untilMs: busyUntilMs });
    return state;
  }

  async settle(key: string, seenUntilMs: number | undefined, busyUntilMs?: number): Promise<void> {
    if (seenUntilMs !== undefined) this.set(key, { isSeen: true, untilMs: seenUntilMs });
    else if (isClaim(this.#marks.get(key), busyUntilMs)) this.#marks.delete(key);
  }

  set(key: string, mark: Mark): void {
    this.#marks.delete(key);
    this.#marks.set(key, mark);
  }

  /** Removes some marks that have ended. */
  #sweep(): void {
    const now = unixNow();
    let looked = 0;
    for (const [key, mark] of this.#marks) {
      const isTooMany = this.#marks.size > MAX_MARKS;
      if (!isTooMany && (looked++ >= SWEEP_COUNT || mark.untilMs > now)) break;
      this.#marks.delete(key);
      if (mark.isSeen) this.#onSeenEnded(key);
    }
  }
}
