/**
 * Access to the store of an outbox: opens it, with retries; limits the time of each call; and asks the platform for a
 * wake-up while events are pending.
 *
 * ```text
 *   closed ──open──> opening ──> open ──close──> closed
 *                     ↑   │ failed
 *                     └───┘ after a delay
 * ```
 */
import { isFerryError } from "../engine/errors.js";
import { monotonicNow, unixNow } from "../platform/clock.js";
import type { ElectionScope } from "../platform/leader.js";
import type { Waiters } from "../platform/waiters.js";
import type { SharedStore } from "../stores/shared-store.js";
import type { Change, DeadLetter, OutboxStore, Segment, StoreCounts, StoreTraits } from "../stores/store.js";
import { storeError } from "../stores/store-error.js";

/** How long one call to the store may take. A call that finishes later has the effect of one that was made twice. */
const CALL_TIMEOUT_MS = 10_000;
/** How long `close` waits for a store whose last call failed. */
const FAILING_CLOSE_TIMEOUT_MS = 1000;
/** Interval of the wake-up alarm while events are pending. */
const WAKE_UP_MS = 10_000;
/** How long it is tried to open a store. */
const OPEN_TIMEOUT_MS = 30_000;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5000;
/** How much `deleteAll` deletes with one write. */
const DELETE_EVENTS = 1000;
const DELETE_BYTES = 4 * 1024 * 1024;

export const NO_CHANGE: Change = { put: [], remove: [], deadPut: [], deadRemove: [] };

export class StoreClient {
  /** The rows of the scope. Undefined until the store is open. */
  store: OutboxStore | undefined;
  traits: StoreTraits | undefined;
  /** Whether the platform was asked to start this program again. */
  hasWakeUp = false;
  /** Why the last attempt to open, count or write failed; undefined if it did not. */
  lastError: unknown;
  readonly #shared: SharedStore;
  readonly #scope: string;
  readonly #waiters: Waiters;
  readonly #onDegraded: (error: unknown) => void;
  #isStopped = false;
  /** Whether the last question for the lease has failed. It is repeated, so only the first failure is told. */
  #isLeaseFailing = false;

  constructor(shared: SharedStore, scope: string, waiters: Waiters, onDegraded: (error: unknown) => void) {
    this.#shared = shared;
    this.#scope = scope;
    this.#waiters = waiters;
    this.#onDegraded = onDegraded;
  }

  /** What takes part in the leader election. Only once the store is open. */
  get electionScope(): ElectionScope {
    const scope = this.#shared.electionScope(this.#scope);
    const { lease } = scope;
    return { ...scope, lease: lease && ((owner, durationMs) => this.#acquireLease(lease(owner, durationMs))) };
  }

  /** How long `close` waits for the last writes. */
  get closeTimeoutMs(): number {
    return this.lastError === undefined ? CALL_TIMEOUT_MS : FAILING_CLOSE_TIMEOUT_MS;
  }

  /** Opens the store. Resolves with whether it is open; `lastError` tells why not. */
  async open(): Promise<boolean> {
    this.lastError = undefined;
    const isOpen = await this.retry(async () => {
      const opening = this.#shared.open(this.#onDegraded);
      // What selects a store has time limits of its own.
      this.traits = await (this.#shared.isAuto ? opening : this.#withTimeout(opening, this.#shared.kind));
      this.store = this.#shared.view(this.#scope);
    });
    for (const error of this.#shared.takeRefused()) this.#onDegraded(error);
    return isOpen;
  }

  /**
   * Repeats an operation until it succeeds, which is the result. Ends when the outbox is stopped, and if time does not
   * mend the error, or it has failed for 30 s. Meanwhile committed events wait in memory.
   */
  async retry(operation: () => Promise<void>): Promise<boolean> {
    const end = monotonicNow() + OPEN_TIMEOUT_MS;
    let wasPermanent = false;
    for (let failures = 0; !this.#isStopped; failures++) {
      try {
        await operation();
        this.lastError = undefined;
        return true;
      } catch (error) {
        if (this.#isStopped) return false;
        const isPermanent = isFerryError(error) && !error.retryable;
        // Once more at once: a file may be missing only for the moment in which somebody replaces it.
        if (isPermanent && !wasPermanent) {
          wasPermanent = true;
          continue;
        }
        this.lastError = error;
        this.#waiters.recheck();
        this.#onDegraded(error);
        const delayMs = Math.min(FIRST_RETRY_MS * 2 ** failures, MAX_RETRY_MS);
        if (isPermanent || monotonicNow() + delayMs > end) return false;
        wasPermanent = false;
        await this.#waiters.until(() => false, undefined, delayMs);
      }
    }
    return false;
  }

  /**
   * Calls the store, with a time limit.
   *
   * @throws {FerryError} `ERR_STORE` if the call fails, takes too long, or the outbox is stopped
   */
  call<T>(operation: (store: OutboxStore) => Promise<T>): Promise<T> {
    const store = this.store!;
    // A custom store may throw where it should reject.
    return this.#withTimeout(new Promise((resolve) => resolve(operation(store))), store.kind);
  }

  /** What the store contains. */
  count(): Promise<StoreCounts> {
    return this.call(async (store) => {
      const counts = await store.count();
      if (typeof counts?.events !== "number") throw new Error("count must resolve with the counts");
      return counts;
    });
  }

  /** Returns whether the change is written. */
  async write(change: Change): Promise<boolean> {
    try {
      if (change.put.length > 0 && !this.hasWakeUp) await this.requestWakeUp();
      await this.call((store) => store.write(change));
      this.lastError = undefined;
    } catch (error) {
      if (this.lastError === undefined && !this.#isStopped) this.#onDegraded(error);
      this.lastError = error;
    }
    return this.lastError === undefined;
  }

  /** Segments whose keys are not in `skip`, the oldest first; undefined if the store failed. */
  async peek(events: number, bytes: number, skip: Set<string>): Promise<Segment[] | undefined> {
    try {
      return await this.call((store) => store.peek({ events, bytes, skip }));
    } catch (error) {
      if (!this.#isStopped) this.#onDegraded(error);
      return undefined;
    }
  }

  /** The segments with these keys that are stored, by key. */
  find(keys: ReadonlySet<string>): Promise<Map<string, Segment>> {
    return this.call(() => this.#shared.find(keys));
  }

  /** The oldest dead letters. */
  dead(limit: number): Promise<DeadLetter[]> {
    return this.call(async (store) => [...(await store.dead(limit))]);
  }

  /** Deletes everything except the segments with these keys. Rows that cannot be read are deleted too. */
  async deleteAll(exceptKeys: () => Set<string>): Promise<void> {
    const peek = () =>
      this.call((store) => store.peek({ events: DELETE_EVENTS, bytes: DELETE_BYTES, skip: exceptKeys() }));
    for (let segments = await peek(); segments.length > 0; segments = await peek()) {
      const remove = segments.map(({ key }) => key);
      await this.call((store) => store.write({ ...NO_CHANGE, remove }));
    }
    const dead = () => this.dead(DELETE_EVENTS);
    for (let letters = await dead(); letters.length > 0; letters = await dead()) {
      const deadRemove = letters.map(({ key }) => key);
      await this.call((store) => store.write({ ...NO_CHANGE, deadRemove }));
    }
    const { segments: remove, deadLetters: deadRemove } = (await this.call(async (store) => store.unreadable?.())) ?? {
      segments: [],
      deadLetters: [],
    };
    if (remove.length + deadRemove.length > 0)
      await this.call((store) => store.write({ ...NO_CHANGE, remove, deadRemove }));
  }

  /** Asks the platform to start this program again, because events are pending. */
  async requestWakeUp(): Promise<void> {
    if (!this.store?.wakeAt) return;
    try {
      await this.call((store) => store.wakeAt!(unixNow() + WAKE_UP_MS));
      this.hasWakeUp = true;
    } catch (error) {
      this.#onDegraded(error);
    }
  }

  /** Nothing is pending any more. */
  async cancelWakeUp(): Promise<void> {
    this.hasWakeUp = false;
    await this.call(async (store) => store.wakeAt?.(undefined)).catch(() => undefined);
  }

  /** Ends all retries. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Returns whether the store has given the lease; undefined if it has failed. */
  async #acquireLease(answer: Promise<boolean | undefined>): Promise<boolean | undefined> {
    try {
      const isGiven = await this.call(() => answer);
      this.#isLeaseFailing = false;
      return isGiven;
    } catch (error) {
      if (!this.#isStopped && !this.#isLeaseFailing) this.#onDegraded(error);
      this.#isLeaseFailing = true;
      return undefined;
    }
  }

  async #withTimeout<T>(operation: Promise<T>, kind: string): Promise<T> {
    try {
      return await this.#waiters.withTimeout(CALL_TIMEOUT_MS, operation);
    } catch (cause) {
      throw storeError(kind, cause);
    }
  }
}
