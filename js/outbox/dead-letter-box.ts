/** The dead letters of an outbox: kept within their limits, removed, and replayed. */
import type { DeadLetter } from "../stores/store.js";
import { type DeadLetterBound, DeadLetterLimits } from "./dead-letter-limits.js";
import { toSegments } from "./dead-letters.js";
import type { Keys } from "./keys.js";
import { NO_CHANGE, type StoreClient } from "./store-client.js";
import type { Wire } from "./wire.js";

export interface DeadLetterBoxOptions<E> {
  wire: Wire<E>;
  keys: Keys;
  client: StoreClient;
  bound: DeadLetterBound;
  /** Whether this tab or process is the one that enforces the limits. */
  isLeader(): boolean;
  isStopped(): boolean;
  /** So many dead letters were removed; with `isReplay` they are stored as segments again. */
  onRemoved(count: number, bytes: number, isReplay: boolean): void;
  emit(type: string, detail: () => object): void;
}

export class DeadLetterBox<E> {
  /** How many were removed because of their age or their share. */
  expired = 0;
  readonly limits: DeadLetterLimits;
  readonly #options: DeadLetterBoxOptions<E>;

  constructor(options: DeadLetterBoxOptions<E>) {
    this.#options = options;
    this.limits = new DeadLetterLimits({
      ...options.bound,
      isResponsible: options.isLeader,
      read: (limit) => options.client.dead(limit),
      remove: (letters) => this.#expire(letters),
    });
  }

  /** Removes dead letters. `isReplay`: their events are stored again under new keys. Returns how many there were. */
  async remove(letters: DeadLetter[], isReplay: boolean): Promise<number> {
    if (letters.length === 0) return 0;
    const { wire, keys, client } = this.#options;
    const put = isReplay ? toSegments(wire, letters, (unixMs) => keys.next(unixMs)) : [];
    const deadRemove = letters.map(({ key }) => key);
    try {
      await client.call((store) => store.write({ ...NO_CHANGE, put, deadRemove }));
    } catch (error) {
      void this.#settleRemoval(letters, isReplay);
      throw error;
    }
    this.#removed(letters, isReplay);
    return letters.length;
  }

  /** A removal has failed, though it may have been applied: finds out, as soon as the store can be read. */
  async #settleRemoval(letters: readonly DeadLetter[], isReplay: boolean): Promise<void> {
    const { client, isStopped } = this.#options;
    await client.retry(async () => {
      const remaining = new Set((await client.dead(Infinity)).map(({ key }) => key));
      const removed = letters.filter(({ key }) => !remaining.has(key));
      if (removed.length > 0 && !isStopped()) this.#removed(removed, isReplay);
    });
  }

  async #expire(letters: readonly DeadLetter[]): Promise<void> {
    const { wire, client, isStopped, emit } = this.#options;
    await client.call((store) => store.write({ ...NO_CHANGE, deadRemove: letters.map(({ key }) => key) }));
    if (isStopped()) return;
    this.expired += letters.length;
    this.#removed(letters, false);
    emit("dead-expired", () => ({ ids: letters.map(({ body }) => wire.idOf(body)) }));
  }

  #removed(letters: readonly DeadLetter[], isReplay: boolean): void {
    const bytes = letters.reduce((sum, { body }) => sum + body.length, 0);
    this.limits.changed(-bytes);
    this.#options.onRemoved(letters.length, bytes, isReplay);
  }
}
