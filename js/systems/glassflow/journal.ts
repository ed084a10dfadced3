/**
 * What iterations have taken from a pipeline and nobody has acknowledged yet, in a store.
 *
 * ```text
 *   answer ──keep──> stored ──hand out──> in hand ──ack──> gone
 *     │                 ▲                    │
 *     │                 └── crash, or the end of the iteration: handed out first by the next one
 *     └──cannot be read──bury──> dead letter of the store
 * ```
 *
 * Of those who share a store in a browser or a Deno KV, one hands out at a time.
 */
import { FerryError } from "../../engine/errors.js";
import { Keys } from "../../outbox/keys.js";
import { Waiters } from "../../platform/waiters.js";
import { LeaderElection } from "../../platform/leader.js";
import { storeError } from "../../stores/store-error.js";
import type { Change, OutboxStore } from "../../stores/store.js";
import { formatValue } from "../../engine/messages.js";
import { unixNow } from "../../platform/clock.js";

/** An answer in the store. */
export interface Entry {
  readonly key: string;
  readonly body: Uint8Array;
}

const STORE_PATIENCE_MS = 10_000;
/** How much is read from the store at once. */
const PAGE = { events: 64, bytes: 1 << 20 };
const NOTHING: Change = { put: [], remove: [], deadPut: [], deadRemove: [] };

export class Journal {
  readonly isFailed: boolean;
  readonly #store: OutboxStore;
  readonly #name: string;
  readonly #keys = new Keys();
  readonly #patience = new Waiters();
  #tabs: LeaderElection | undefined;
  #opening: Promise<void> | undefined;
  #isLeader = false;
  #isClosed = false;
  /** Whether an iteration goes on. */
  #isBusy = false;
  /** Handed out in this iteration and not acknowledged, or about to be. */
  #inHand = new Set<string>();
  /** Found in the store, and not handed out yet. */
  #found: Entry[] = [];
  /** Whether what was in the store before has been found. */
  #isRecovered = false;

  constructor(store: OutboxStore, name: string, isFailed: boolean) {
    this.#store = store;
    this.#name = name;
    this.isFailed = isFailed;
  }

  /** How many events were handed out and are not acknowledged. */
  get inHand(): number {
    return this.#inHand.size;
  }

  /** Starts an iteration: whatever is in the store comes first. */
  begin(): void {
    if (this.#isBusy)
      throw new FerryError(
        "ERR_INVALID_ARGUMENT",
        "an iteration over this store goes on; end it first, with break or return()",
      );
    this.#isBusy = true;
    this.#forget();
    this.#tabs?.join();
  }

  /** Ends the iteration: others who share the store may have theirs. */
  end(): void {
    this.#isBusy = false;
    this.#tabs?.release();
  }

  /** The oldest that was not handed out in this iteration, once it is ours to hand out. `undefined`: there is none, or the signal came first. */
  async next(signal: AbortSignal): Promise<Entry | undefined> {
    await this.#open();
    if (!(await this.#patience.until(() => this.#isLeader || this.#isClosed, signal))) return undefined;
    this.#refuseClosed();
    if (this.#found.length === 0 && !this.#isRecovered) {
      const segments = await this.#call((store) => store.peek({ ...PAGE, skip: new Set(this.#inHand) }));
      this.#found = segments.map(({ key, body }) => ({ key, body: body.slice() }));
      this.#isRecovered = segments.length === 0;
    }
    const entry = this.#found.shift();
    if (entry) this.#inHand.add(entry.key);
    return entry;
  }

  /** Stores an answer, which then counts as handed out, and gives its key. */
  async keep(body: Uint8Array): Promise<string> {
    await this.#open();
    const at = unixNow();
    const key = this.#keys.next(at);
    // Copied: the store may keep the array, and the event has it too.
    const segment = { key, at, body: body.slice(), sizes: Uint32Array.of(body.length) };
    await this.#call((store) => store.write({ ...NOTHING, put: [segment] }));
    this.#inHand.add(key);
    return key;
  }

  /** Stores an answer for the next iteration, because nobody waits for it. */
  async keepForLater(body: Uint8Array): Promise<void> {
    const key = await this.keep(body);
    this.#inHand.delete(key);
    this.#isRecovered = false;
  }

  /** Makes an answer that cannot be read a dead letter of the store. `key`: it is there already. */
  async bury(body: Uint8Array, error: FerryError, key?: string): Promise<void> {
    await this.#open();
    const at = unixNow();
    const { code, status = 0, message: reason } = error;
    const letter = {
      key: key ?? this.#keys.next(at),
      body: body.slice(),
      orderingKey: 0,
      at,
      code,
      status,
      reason,
      attempts: 1,
    };
    await this.#call((store) => store.write({ ...NOTHING, remove: key === undefined ? [] : [key], deadPut: [letter] }));
    if (key !== undefined) this.#inHand.delete(key);
  }

  /** Forgets an answer. */
  async acknowledge(key: string): Promise<void> {
    this.#refuseClosed();
    await this.#call((store) => store.write({ ...NOTHING, remove: [key] }));
    this.#inHand.delete(key);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#tabs?.close();
    const opening = this.#opening;
    this.#patience.recheck();
    if (
      opening &&
      (await opening.then(
        () => true,
        () => false,
      ))
    )
      await this.#call((store) => store.close());
    this.#patience.end();
  }

  #open(): Promise<void> {
    this.#refuseClosed();
    if (!this.#opening) {
      this.#opening = this.#openStore();
      // It may work the next time.
      this.#opening.catch(() => (this.#opening = undefined));
    }
    return this.#opening;
  }

  async #openStore(): Promise<void> {
    const { isShared } = await this.#call((store) => store.open(this.#name));
    if (this.#isClosed) return;
    const { kind, acquire } = this.#store;
    // Who cannot get a lease hands out nothing: another may do so at the same time.
    const lease =
      acquire &&
      ((owner: string, forMs: number) => this.#call(async (store) => store.acquire!(owner, forMs)).catch(() => false));
    this.#tabs = new LeaderElection(
      { name: this.#name, kind, isShared, lease },
      {
        onLeaderChange: (leads) => {
          // Whoever led meanwhile has handed out and acknowledged.
          if (leads) this.#forget();
          this.#isLeader = leads;
          this.#patience.recheck();
        },
        onMessage: () => undefined,
      },
    );
    if (this.#isBusy) this.#tabs.join();
  }

  #forget(): void {
    this.#inHand = new Set();
    this.#found = [];
    this.#isRecovered = false;
  }

  async #call<T>(body: (store: OutboxStore) => Promise<T>): Promise<T> {
    try {
      return await this.#patience.withTimeout(STORE_PATIENCE_MS, body(this.#store));
    } catch (cause) {
      throw storeError(this.#store.kind, cause);
    }
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw new FerryError("ERR_CLOSED", "the sink is closed");
  }
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkStore(store: unknown): asserts store is OutboxStore {
  const its = (store ?? {}) as Record<string, unknown>;
  const method = ["open", "write", "peek", "dead", "count", "close"].find(
    (method) => typeof its[method] !== "function",
  );
  if (method)
    throw new FerryError(
      "ERR_INVALID_ARGUMENT",
      `store is a store such as indexedDbStore() or fileStore(path), with the method ${method}, not ${formatValue(store)}`,
    );
}
