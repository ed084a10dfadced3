/**
 * The store of an outbox. It is opened until that works, asked with patience, and asked to wake whoever can start us again as long as
 * something waits.
 *
 * ```text
 *   closed ──open──> opening ──> open ──close──> closed
 *                     ↑   │ fails
 *                     └───┘ after a rest
 * ```
 */
import { openAuto } from "../stores/auto.js";
import { storeError } from "../stores/store-error.js";
import type { Change, DeadLetter, OutboxStore, Segment, StoreTraits } from "../stores/store.js";
import type { Waiters } from "../platform/waiters.js";
import type { ElectionScope } from "../platform/leader.js";
import { unixNow } from "../platform/clock.js";

/** How long a store may take for one call. It may come to its end later, which is as if it had been done twice. */
const STORE_PATIENCE_MS = 10_000;
/** How long the end waits for a store that has failed the last time. */
const FAILING_PATIENCE_MS = 1000;
/** How often whoever starts us again shall do so. */
const WAKE_MS = 10_000;

export const NO_CHANGE: Change = { put: [], remove: [], deadPut: [], deadRemove: [] };

export class StoreClient {
  store: OutboxStore | undefined;
  traits: StoreTraits | undefined;
  readonly #given: OutboxStore | "auto";
  readonly #name: string;
  readonly #patience: Waiters;
  readonly #degraded: (error: unknown) => void;
  /** Whether somebody was asked to start us again. */
  isArmed = false;
  /** Why the last attempt to open, to count or to write came to nothing. */
  problem: unknown;
  #isOver = false;

  constructor(store: OutboxStore | "auto", name: string, patience: Waiters, degraded: (error: unknown) => void) {
    this.#given = store;
    this.#name = name;
    this.#patience = patience;
    this.#degraded = degraded;
  }

  /** What tabs share, once it is open. */
  get place(): ElectionScope {
    const { kind, acquire } = this.store!;
    return {
      name: this.#name,
      kind,
      isShared: this.traits!.isShared,
      lease: acquire && ((owner, forMs) => this.#lease(owner, forMs)),
    };
  }

  /** How long it makes sense to wait at the end until all is written. */
  get farewellMs(): number {
    return this.problem === undefined ? STORE_PATIENCE_MS : FAILING_PATIENCE_MS;
  }

  /** Resolves when the store is open, or all is over. */
  async open(): Promise<void> {
    const store = this.#given;
    let opening: Promise<StoreTraits> | undefined;
    await this.insist(async () => {
      if (store === "auto") {
        const opened = await openAuto(this.#name);
        opened.refused.forEach(this.#degraded);
        [this.store, this.traits] = [opened.store, opened.traits];
      } else {
        // One that is slow is not asked twice: it may be open by then.
        opening ??= this.#openGiven(store).catch((error: unknown) => {
          opening = undefined;
          throw error;
        });
        this.traits = await this.call(() => opening!, store);
        this.store = store;
      }
    });
  }

  /** Tries until it works. What is committed meanwhile waits in memory, and whoever waits for it can give up. */
  async insist(body: () => Promise<void>): Promise<void> {
    for (let failures = 0; !this.#isOver; failures++) {
      try {
        await body();
        this.problem = undefined;
        return;
      } catch (error) {
        if (this.#isOver) return;
        this.problem = error;
        this.#patience.recheck();
        this.#degraded(error);
        await this.#patience.until(() => false, undefined, Math.min(100 * 2 ** failures, 5000));
      }
    }
  }

  /** Asks the store for something, but not for ever, nor longer than until the end. Rejects with nothing but a `FerryError`. */
  async call<T>(body: (store: OutboxStore) => Promise<T>, store = this.store!): Promise<T> {
    try {
      return await this.#patience.withTimeout(STORE_PATIENCE_MS, body(store));
    } catch (cause) {
      throw storeError(store.kind, cause);
    }
  }

  /** What the store has in it: events, their bytes, dead letters, their bytes. */
  count(): Promise<readonly [number, number, number, number]> {
    return this.call(async (store) => {
      const { events, bytes, dead, deadBytes } = await store.count();
      return [events, bytes, dead, deadBytes] as const;
    });
  }

  /** Whether it is done. */
  async write(change: Change): Promise<boolean> {
    try {
      if (change.put.length > 0 && !this.isArmed) await this.arm();
      await this.call((store) => store.write(change));
      this.problem = undefined;
    } catch (error) {
      if (this.problem === undefined && !this.#isOver) this.#degraded(error);
      this.problem = error;
    }
    return this.problem === undefined;
  }

  /** Segments that are none of these, the oldest first; undefined if the store could not say. */
  async peek(events: number, bytes: number, skip: Set<string>): Promise<Segment[] | undefined> {
    try {
      return await this.call(async (store) => {
        const found = [...(await store.peek({ events, bytes, skip }))];
        const isGood = ({ key, body, sizes }: Segment) =>
          typeof key === "string" && ArrayBuffer.isView(body) && ArrayBuffer.isView(sizes);
        if (!found.every(isGood)) throw new Error("peek has to resolve with segments");
        return found;
      });
    } catch (error) {
      if (!this.#isOver) this.#degraded(error);
      return undefined;
    }
  }

  /** The oldest dead letters. */
  dead(limit: number): Promise<DeadLetter[]> {
    return this.call(async (store) => [...(await store.dead(limit))]);
  }

  /** Deletes everything but segments with these keys. */
  async empty(spared: () => Set<string>): Promise<void> {
    for (
      let segments;
      (segments = await this.call((store) => store.peek({ events: 1000, bytes: 1 << 22, skip: spared() }))).length > 0;
    ) {
      await this.call((store) => store.write({ ...NO_CHANGE, remove: segments.map(({ key }) => key) }));
    }
    for (let letters; (letters = await this.dead(1000)).length > 0; ) {
      await this.call((store) => store.write({ ...NO_CHANGE, deadRemove: letters.map(({ key }) => key) }));
    }
  }

  /** Whoever starts us again shall do so, because something still waits. */
  async arm(): Promise<void> {
    if (!this.store?.wakeAt) return;
    try {
      await this.call((store) => store.wakeAt!(unixNow() + WAKE_MS));
      this.isArmed = true;
    } catch (error) {
      this.#degraded(error);
    }
  }

  /** Nothing waits any more. */
  async disarm(): Promise<void> {
    this.isArmed = false;
    await this.call(async (store) => store.wakeAt?.(undefined)).catch(() => undefined);
  }

  /** Nobody insists on anything any more. */
  end(): void {
    this.#isOver = true;
  }

  async close(): Promise<void> {
    if (this.store) await this.call((store) => store.close());
  }

  /**
   * Whether we may lead. So it is where the store cannot say: one that is full has no room for a lease either, and only by sending does it
   * get some.
   */
  async #lease(owner: string, forMs: number): Promise<boolean> {
    try {
      return await this.call(async (store) => store.acquire!(owner, forMs));
    } catch (error) {
      if (!this.#isOver) this.#degraded(error);
      return true;
    }
  }

  async #openGiven(store: OutboxStore): Promise<StoreTraits> {
    const traits = await store.open(this.#name);
    // Should it open after all, nobody waits for it any more.
    if (this.#isOver) await store.close();
    if (!traits?.durability) throw new Error("open has to resolve with durability and isShared");
    return traits;
  }
}
