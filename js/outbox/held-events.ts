/**
 * Events of absent identities: how many there are, and what happens to those that wait too long. They are moved to the
 * dead letters of their identity.
 */
import { FerryError, sentenceOf } from "../engine/errors.js";
import { startIdleTimer, stopTimer, type Timer, unixNow } from "../platform/clock.js";
import { runAsLeader } from "../platform/leader.js";
import { type SharedStore, scopeOf } from "../stores/shared-store.js";
import type { Segment } from "../stores/store.js";
import { toDeadLetter } from "./dead-letters.js";
import { NO_CHANGE } from "./store-client.js";
import { TrackedSegment } from "./tracked-segment.js";

export interface HeldEventsOptions {
  store: SharedStore;
  /** The scopes whose events are not held. */
  ownScopes(): ReadonlySet<string>;
  emit(type: string, detail: () => object): void;
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** How long events wait for their identity. */
const MAX_AGE_MS = 30 * DAY_MS;

export class HeldEvents {
  readonly #options: HeldEventsOptions;
  /** How many events of each absent identity are stored. */
  #counts = new Map<string, number>();
  #counting: Promise<void> | undefined;
  /** Whether identities have come or gone since the last count. */
  #isStale = true;
  #isStopped = false;
  #timer: Timer | undefined;

  constructor(options: HeldEventsOptions) {
    this.#options = options;
  }

  /** How many events of absent identities there are, as far as known. */
  get count(): number {
    let count = 0;
    for (const events of this.#counts.values()) count += events;
    return count;
  }

  /** An identity is absent from now on, with so many events. */
  set(scope: string, events: number): void {
    this.#counts.set(scope, events);
    this.#isStale = true;
  }

  /** An identity is present again, or its events were moved. */
  remove(scope: string): void {
    this.#counts.delete(scope);
    this.#isStale = true;
  }

  /** The store has changed: counts again. */
  recount(): void {
    this.#isStale = true;
    void this.refresh();
  }

  stop(): void {
    this.#isStopped = true;
    stopTimer(this.#timer);
  }

  /**
   * Counts what the open store has, if identities have come or gone since the last time. Resolves when it is done, or
   * the store failed.
   */
  async refresh(): Promise<void> {
    this.#counting ??= this.#count().finally(() => {
      this.#counting = undefined;
    });
    await this.#counting;
  }

  async #count(): Promise<void> {
    while (this.#isStale && !this.#isStopped) {
      this.#isStale = false;
      const counts = new Map<string, number>();
      const expired = new Map<string, Segment[]>();
      try {
        const { events: all } = await this.#options.store.count();
        if (all > 0) await this.#visit(counts, expired);
      } catch {
        // The store failed. Whoever writes to it reports that.
        return;
      }
      if (this.#isStale) continue;
      this.#counts = counts;
      for (const [scope, segments] of expired) await this.#expire(scope, segments).catch(() => undefined);
      this.#startTimer();
    }
  }

  async #visit(counts: Map<string, number>, expired: Map<string, Segment[]>): Promise<void> {
    const oldest = unixNow() - MAX_AGE_MS;
    for await (const segments of this.#options.store.others(this.#options.ownScopes())) {
      for (const segment of segments) {
        const scope = scopeOf(segment.key);
        counts.set(scope, (counts.get(scope) ?? 0) + segment.sizes.length);
        if (segment.at < oldest) expired.set(scope, [...(expired.get(scope) ?? []), segment]);
      }
    }
  }

  /** Makes dead letters of events, unless their identity is present in another tab or process. */
  async #expire(scope: string, segments: readonly Segment[]): Promise<void> {
    const { store, emit } = this.#options;
    const error = new FerryError("ERR_EXPIRED", `${sentenceOf("ERR_EXPIRED")}: its identity was absent for 30 days`);
    let events = 0;
    await runAsLeader(store.electionScope(scope), async () => {
      for (const stored of segments) {
        const segment = Object.assign(new TrackedSegment(), { orderingKeys: [], ...stored });
        const deadPut = Array.from(stored.sizes, (_, index) => toDeadLetter(segment, index, error, 0, 0));
        await store.view(scope).write({ ...NO_CHANGE, remove: [stored.key], deadPut });
        events += deadPut.length;
        this.#counts.set(scope, (this.#counts.get(scope) ?? events) - deadPut.length);
      }
    });
    if (events === 0) return;
    const noun = events === 1 ? "1 event" : `${events} events`;
    const told = new FerryError("ERR_EXPIRED", `${noun} of an absent identity became its dead letters after 30 days`);
    emit("degraded", () => ({ error: told }));
  }

  /** Looks for expired events every day. */
  #startTimer(): void {
    stopTimer(this.#timer);
    if (this.#isStopped || this.count === 0) return;
    this.#timer = startIdleTimer(() => this.recount(), DAY_MS);
  }
}
