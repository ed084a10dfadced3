/**
 * An inbox in a store: the responses that iterations have received from a pipeline and that are not acknowledged yet.
 * It survives a crash.
 *
 * ```text
 *   response ──add──> stored ──next──> handed out ──acknowledge──> removed
 *      │                 ▲                 │
 *      │                 └─ crash, or the end of the iteration: the next iteration returns it first
 *      └─unreadable──addDeadLetter──> dead letter of the store
 * ```
 *
 * If several contexts share the store, as in a browser or in Deno KV, one at a time hands out events.
 */
import { FerryError } from "../../engine/errors.js";
import { mustBe } from "../../engine/messages.js";
import { Keys } from "../../outbox/keys.js";
import { NO_CHANGE } from "../../outbox/store-client.js";
import { unixNow } from "../../platform/clock.js";
import { LeaderElection } from "../../platform/leader.js";
import { Waiters } from "../../platform/waiters.js";
import { storeError } from "../../stores/store-error.js";
import type { OutboxStore, StoreProblemListener } from "../../stores/store.js";

/** A stored response. */
export interface InboxEntry {
  readonly key: string;
  readonly body: Uint8Array;
}

/** The beginning of all keys. A sink has no identities, because its name contains the pipeline. */
const SCOPE = "inbox";
const STORE_TIMEOUT_MS = 10_000;
/** How much one call reads from the store. */
const PAGE = { events: 64, bytes: 1 << 20 };

export class DurableInbox {
  readonly isFailed: boolean;
  readonly #store: OutboxStore;
  readonly #name: string;
  readonly #onProblem: StoreProblemListener;
  readonly #keys = new Keys(SCOPE);
  readonly #waiters = new Waiters();
  #election: LeaderElection | undefined;
  #opening: Promise<void> | undefined;
  #isLeader = false;
  #isClosed = false;
  #hasIteration = false;
  /** Keys of the entries that this iteration has handed out and that are not acknowledged. */
  #unacknowledged = new Set<string>();
  /** Entries that were read from the store and not handed out yet. */
  #page: InboxEntry[] = [];
  /** Whether this iteration has read all entries that were in the store. */
  #isStoreRead = false;

  constructor(store: OutboxStore, name: string, isFailed: boolean, onProblem: StoreProblemListener) {
    this.#onProblem = onProblem;
    this.#store = store;
    this.#name = name;
    this.isFailed = isFailed;
  }

  /** How many events were handed out and are not acknowledged. */
  get unacknowledgedCount(): number {
    return this.#unacknowledged.size;
  }

  /**
   * Starts an iteration: `next` returns all entries of the store first.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` if another iteration is in progress
   */
  startIteration(): void {
    if (this.#hasIteration)
      throw new FerryError(
        "ERR_INVALID_ARGUMENT",
        "another iteration over this store is in progress; end it first, with break or return()",
      );
    this.#hasIteration = true;
    this.#startOver();
    this.#election?.join();
  }

  /** Ends the iteration. Another context that shares the store may start one. */
  endIteration(): void {
    this.#hasIteration = false;
    this.#election?.release();
  }

  /**
   * The oldest entry that this iteration has not handed out, as soon as this context may hand out entries. `undefined`:
   * there is none, or the signal has aborted.
   */
  async next(signal: AbortSignal): Promise<InboxEntry | undefined> {
    await this.#open();
    if (!(await this.#waiters.until(() => this.#isLeader || this.#isClosed, signal))) return undefined;
    this.#checkOpen();
    if (this.#page.length === 0 && !this.#isStoreRead) {
      const segments = await this.#call((store) => store.peek({ ...PAGE, skip: new Set(this.#unacknowledged) }));
      this.#page = segments.map(({ key, body }) => ({ key, body: body.slice() }));
      this.#isStoreRead = segments.length === 0;
    }
    const entry = this.#page.shift();
    if (entry) this.#unacknowledged.add(entry.key);
    return entry;
  }

  /** Stores a response, which then counts as handed out. Resolves with its key. */
  async add(body: Uint8Array): Promise<string> {
    await this.#open();
    const at = unixNow();
    const key = this.#keys.next(at);
    // Copied: the store may keep the array, and the event uses it too.
    const segment = { key, at, body: body.slice(), sizes: Uint32Array.of(body.length) };
    await this.#call((store) => store.write({ ...NO_CHANGE, put: [segment] }));
    this.#unacknowledged.add(key);
    return key;
  }

  /** Stores a response that `next` returns later. */
  async addForLater(body: Uint8Array): Promise<void> {
    const key = await this.add(body);
    this.#unacknowledged.delete(key);
    this.#isStoreRead = false;
  }

  /** Makes an unreadable response a dead letter of the store. `key`: the key of a response that is already stored. */
  async addDeadLetter(body: Uint8Array, error: FerryError, key?: string): Promise<void> {
    await this.#open();
    const at = unixNow();
    const { code, status = 0, message: reason } = error;
    const deadLetter = {
      key: key ?? this.#keys.next(at),
      body: body.slice(),
      orderingKey: 0,
      at,
      code,
      status,
      reason,
      attempts: 1,
    };
    const remove = key === undefined ? [] : [key];
    await this.#call((store) => store.write({ ...NO_CHANGE, remove, deadPut: [deadLetter] }));
    if (key !== undefined) this.#unacknowledged.delete(key);
  }

  /** Removes a response. */
  async acknowledge(key: string): Promise<void> {
    this.#checkOpen();
    await this.#call((store) => store.write({ ...NO_CHANGE, remove: [key] }));
    this.#unacknowledged.delete(key);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const released = this.#election?.close();
    const opening = this.#opening;
    this.#waiters.recheck();
    const isOpen = await opening?.then(
      () => true,
      () => false,
    );
    await released;
    if (isOpen) await this.#call((store) => store.close());
    this.#waiters.end();
  }

  #open(): Promise<void> {
    this.#checkOpen();
    if (!this.#opening) {
      this.#opening = this.#openStore();
      // After a failure the next call tries again.
      this.#opening.catch(() => {
        this.#opening = undefined;
      });
    }
    return this.#opening;
  }

  async #openStore(): Promise<void> {
    const { isShared, place = "" } = await this.#call((store) => store.open(this.#name, this.#onProblem));
    if (this.#isClosed) return;
    const { kind, acquire } = this.#store;
    // Without a lease nothing is handed out: another context may hand out the same entries.
    const lease =
      acquire &&
      ((owner: string, durationMs: number) =>
        this.#call(async (store) => store.acquire!(owner, durationMs, SCOPE)).catch(() => false));
    this.#election = new LeaderElection(
      { name: `${kind}:${place}:${this.#name}`, isShared, lease },
      {
        onLeaderChange: (isLeader) => {
          // The previous leader may have changed the store.
          if (isLeader) this.#startOver();
          this.#isLeader = isLeader;
          this.#waiters.recheck();
        },
        onMessage: () => undefined,
      },
    );
    if (this.#hasIteration) this.#election.join();
  }

  #startOver(): void {
    this.#unacknowledged = new Set();
    this.#page = [];
    this.#isStoreRead = false;
  }

  async #call<T>(body: (store: OutboxStore) => Promise<T>): Promise<T> {
    try {
      return await this.#waiters.withTimeout(STORE_TIMEOUT_MS, body(this.#store));
    } catch (cause) {
      throw storeError(this.#store.kind, cause);
    }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new FerryError("ERR_CLOSED", "the sink is closed");
  }
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkStore(store: unknown): asserts store is OutboxStore {
  const methods = (store ?? {}) as Record<string, unknown>;
  const missing = ["open", "write", "peek", "dead", "count", "close"].find(
    (method) => typeof methods[method] !== "function",
  );
  if (missing)
    throw mustBe(
      "store",
      "an OutboxStore such as indexedDbStore() or fileStore(path)",
      store,
      `it has no method ${missing}`,
    );
}
