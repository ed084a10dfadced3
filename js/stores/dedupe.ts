/**
 * Which events were handled before: the interface of the stores that a web hook receiver uses for it.
 *
 * ```text
 *   claim ──> "new"   the caller handles it now ──settle(seenUntilMs)──> "seen" until then
 *        │                                     └──settle(undefined)────> "new" for the next claim, if it is still this one
 *        ├──> "busy"  another caller handles it, until its busyUntilMs, after which it is "new" again
 *        └──> "seen"
 * ```
 *
 * How each store claims a key for one caller only:
 *
 * | store | claim |
 * |---|---|
 * | `memoryStore` | in one turn of JavaScript; only this process knows the keys |
 * | `fileStore` | the same; the lock of the file keeps other processes out |
 * | `indexedDbStore` | in one transaction, for all tabs and workers of the origin |
 * | `durableObjectStore` | one claim after the other, and the platform runs one instance of the object |
 * | `denoKvStore` | a commit that fails if the key has changed since it was read, for all processes |
 *
 * `localStorageStore` has no `claim`: two tabs could claim the same key at the same time.
 */

/** Remembers keys for a while. Implement it for any place that can claim a key atomically. */
export interface DedupeStore {
  /**
   * Claims a key for the caller, for no one else at the same time.
   *
   * @param key consists of `0-9` and `a-f`
   * @param busyUntilMs when the claim ends by itself, in Unix milliseconds
   * @returns `"new"`: the caller has it. `"busy"`: another caller has it. `"seen"`: it was settled with a later time
   */
  claim(key: string, busyUntilMs: number): Promise<"new" | "busy" | "seen">;
  /**
   * Ends a claim.
   *
   * @param seenUntilMs until when the key is known, in Unix milliseconds; `undefined`: not at all
   * @param busyUntilMs the claim that ends, by what was given to `claim`. Without `seenUntilMs`, the key is released only
   * if this claim still has it: a claim that was over may have been followed by one of another caller, or by "seen".
   * @default the key is released whoever has it
   */
  settle(key: string, seenUntilMs: number | undefined, busyUntilMs?: number): Promise<void>;
}

/** What is known of a key, as stores keep it. */
export interface Mark {
  readonly isSeen: boolean;
  /** In Unix milliseconds. */
  readonly untilMs: number;
}

/** What a claim finds: a mark that has ended says nothing. */
export function stateOf(mark: Mark | undefined, nowMs: number): "new" | "busy" | "seen" {
  return !mark || mark.untilMs <= nowMs ? "new" : mark.isSeen ? "seen" : "busy";
}

/** Whether the claim still has the key, so that its caller may release it. */
export function isClaim(mark: Mark | undefined, busyUntilMs: number | undefined): boolean {
  return busyUntilMs === undefined || (mark !== undefined && !mark.isSeen && mark.untilMs === busyUntilMs);
}

/** With each claim so many old marks are looked at, and removed if they have ended. So marks do not pile up. */
export const SWEEP_COUNT = 4;
