/// <reference lib="esnext.disposable" preserve="true" />
/** The outbox as applications see it. What is accepted is delivered, or kept where somebody can look at it. */
import { FerryError } from "../engine/errors.js";
import { memoryStore } from "../stores/memory.js";
import type { Durability } from "../stores/store.js";
import type { FetchLike } from "../platform/fetch.js";
import { OutboxDriver } from "./driver.js";
import { type DeadEvent, deadEvent } from "./dead-letters.js";
import { configured, type OutboxOptions } from "./options.js";
import { watchPage } from "../platform/page-lifecycle.js";
import type { Headerer } from "./sender.js";
import { checkedWait, checkMillis, EventSession, type WaitOptions } from "./session.js";
import type { Wire } from "./wire.js";
import { formatValue } from "../engine/messages.js";
import { unixNow } from "../platform/clock.js";

export interface DrainReport {
  /** Events delivered since the outbox was opened. */
  delivered: number;
  dead: number;
  /** Those that are still to be delivered. */
  pending: number;
  /** Whether the waiting ended before everything was delivered. */
  aborted: boolean;
}

/** `accepted` is always the sum of `delivered`, `dead`, `pending` and `purged`. Events found in the store count as accepted. */
export interface OutboxStats {
  staged: number;
  accepted: number;
  delivered: number;
  dead: number;
  pending: number;
  /** Deleted by `purge` or `dead.remove`. */
  purged: number;
  /** Bytes that are staged and kept, dead letters included. */
  bytes: number;
  /** Age of the oldest event that is not delivered, as far as known, in milliseconds. */
  oldestMs: number;
  /** Requests. */
  attempts: number;
  /** Events that were refused or dropped because there was no room. None of them was accepted. */
  droppedBy: { reject: number; dropOldest: number; dropNewest: number };
  /** Which store is in use; `undefined` until it is open. */
  store: string | undefined;
  durability: Durability | undefined;
  /** Whether this tab or process is the one that sends. */
  isLeader: boolean;
}

export interface OutboxEvents {
  /** Events were stored: `{ ids }`. */
  accepted: CustomEvent<{ ids: string[] }>;
  /** The server has taken events: `{ ids, status, attempts }`. */
  delivered: CustomEvent<{ ids: string[]; status: number; attempts: number }>;
  /** A request has failed and will be repeated: `{ error, delayMs, failures }`. */
  retry: CustomEvent<{ error: FerryError; delayMs: number; failures: number }>;
  /** An event has become a dead letter: `{ id, error, attempts }`. */
  dead: CustomEvent<{ id: string; error: FerryError; attempts: number }>;
  /** Four fifths of the room are used (`isHigh`), or no longer three fifths. */
  pressure: CustomEvent<{ isHigh: boolean; bytes: number }>;
  /** A store does not work, or the server refuses everything: `{ error }`. Nothing is lost, but somebody should look. */
  degraded: CustomEvent<{ error: FerryError }>;
  /** This tab or process sends from now on, or another does: `{ leads }`. */
  leader: CustomEvent<{ leads: boolean }>;
}

/** What a room gives. @internal */
export interface Room<E> {
  wire: Wire<E>;
  name: string;
  fetch: FetchLike | undefined;
  timeoutMs: number;
  headers: Headerer;
  /** Of the machine, see `src/wasm/config.rs`. */
  config: Record<string, number | boolean>;
}

export interface KeepAliveOptions {
  /** How long the work of one call may go on. Workers have 30 s after the answer. @default 25 000 */
  budgetMs?: number;
  /** How many requests may start from now on. @default without limit */
  maxRequests?: number;
}

/** Keeps what sessions have flushed until it is delivered. */
export class Outbox<E> extends EventTarget {
  readonly #driver: OutboxDriver<E>;
  readonly #isResending: boolean;
  readonly #listened = new Set<string>();
  #unwatch: (() => void) | undefined;
  #waitUntil: ((promise: Promise<unknown>) => void) | undefined;
  #budgetMs = 25_000;
  #isCovered = false;
  #hasLeft = false;
  #exhuming: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(options: OutboxOptions, room: Room<E>) {
    super();
    const config = configured(options, room.config, room.timeoutMs);
    const { store = "auto", name = room.name, unload, gzip = false } = options;
    this.#isResending = unload !== "hold";
    this.#driver = new OutboxDriver<E>({
      wire: room.wire,
      name,
      store: store === "memory" ? memoryStore() : store,
      config,
      fetch: room.fetch,
      timeoutMs: room.timeoutMs,
      headers: room.headers,
      gzip,
      tell: (type, detail) => {
        if (this.#listened.has(type)) this.dispatchEvent(new CustomEvent(type, { detail: detail() }));
      },
    });
    // What was left the last time shall go out without being asked for. At module scope of a Worker nothing may happen.
    if (!("WebSocketPair" in globalThis)) queueMicrotask(() => this.#closing ?? this.#start());
  }

  /**
   * A session that is committed when `body` returns and rolled back when it throws.
   *
   * @param options end the waiting for the store, not the delivery
   * @returns what `body` returns, when its events are accepted, or the waiting was ended.
   */
  async run<T>(body: (session: EventSession<E>) => Promise<T> | T, options: WaitOptions = {}): Promise<T> {
    if (typeof body !== "function") throw invalid(`run takes a function, not ${formatValue(body)}`);
    checkedWait(options);
    const session = this.#newSession(false);
    let result: T;
    try {
      result = await body(session);
    } catch (error) {
      session.rollback();
      throw error;
    }
    await session.flush({ ...options, until: "accepted" });
    return result;
  }

  /** A session of its own. A page that is hidden or ends flushes it. @internal */
  session(): EventSession<E> {
    return this.#newSession(true);
  }

  /**
   * Tries at once what rests, unless the server has asked for the rest, and waits until everything that was accepted is delivered or dead.
   * Resolves as well when the waiting was ended, or the outbox is paused or closed; then `aborted` is true.
   */
  async drain(options: WaitOptions = {}): Promise<DrainReport> {
    const { signal, deadlineMs } = checkedWait(options);
    void this.#start().then(() => this.#driver.online());
    this.#driver.online();
    let isQuiet = false;
    await this.#driver.untilIt((port) => (isQuiet = port.is_quiet()) || this.#driver.isPaused, signal, deadlineMs);
    const { delivered, dead, pending } = this.#driver.counters();
    if (!isQuiet && pending > 0) await this.#driver.keeper.arm();
    return { delivered, dead, pending, aborted: !isQuiet };
  }

  /** Stores, but sends nothing, until `resume`. What is under way comes to its end. */
  pause(): void {
    this.#driver.pause(true);
  }

  resume(): void {
    this.#driver.pause(false);
    this.#driver.online();
  }

  /**
   * Deletes everything that is not delivered: staged, stored and dead. Gives the number of events.
   *
   * @throws {FerryError} `ERR_STORE` if the store does not open or does not delete, `ERR_CLOSED`
   */
  async purge(): Promise<number> {
    let staged = 0;
    for (const session of [...this.#driver.staging]) staged += session.rollback().length;
    return staged + (await this.#driver.purge());
  }

  stats(): OutboxStats {
    const { refused, droppedOldest, droppedNewest, ...counters } = this.#driver.counters();
    const oldest = this.#driver.oldest();
    return {
      ...counters,
      oldestMs: oldest === undefined ? 0 : Math.max(0, unixNow() - oldest),
      droppedBy: { reject: refused, dropOldest: droppedOldest, dropNewest: droppedNewest },
      store: this.#driver.keeper.store?.kind,
      durability: this.#driver.keeper.traits?.durability,
      isLeader: this.#driver.isLeader,
    };
  }

  /** Events that will not be delivered by themselves. All of this rejects with `ERR_STORE` if the store does not open or fails, and `ERR_CLOSED`. */
  readonly dead = {
    /** The oldest of them. */
    list: async (limit = 100): Promise<DeadEvent[]> => {
      if (!(typeof limit === "number" && limit >= 0))
        throw invalid(`list takes a number of events, not ${formatValue(limit)}`);
      return (await this.#driver.dead(limit)).map((letter) => deadEvent(this.#driver.wire, letter));
    },
    /** Sends these once more, with the ids they have. Gives how many there were. */
    replay: (ids: Iterable<string>): Promise<number> => this.#exhume(ids, true),
    /** Deletes these. */
    remove: (ids: Iterable<string>): Promise<number> => this.#exhume(ids, false),
  };

  /**
   * For edge functions, once per request: what is accepted from now on is worked on within `waitUntil`, after the answer too.
   *
   * @example outbox.keepAlive((promise) => context.waitUntil(promise));
   */
  keepAlive(waitUntil: (promise: Promise<unknown>) => void, options: KeepAliveOptions = {}): void {
    if (typeof waitUntil !== "function")
      throw invalid(`keepAlive takes the function waitUntil, not ${formatValue(waitUntil)}`);
    const { budgetMs = 25_000, maxRequests } = checkedWait(options);
    checkMillis("budgetMs", budgetMs);
    if (maxRequests !== undefined && !(Number.isInteger(maxRequests) && maxRequests >= 0))
      throw invalid(`maxRequests is a number of requests, not ${formatValue(maxRequests)}`);
    this.#waitUntil = waitUntil;
    this.#budgetMs = budgetMs;
    this.#isCovered = false;
    if (maxRequests !== undefined) this.#driver.send((port, now) => port.allow_requests(now, maxRequests));
    if (this.#driver.counters().pending > 0) this.#cover();
  }

  /**
   * Flushes the sessions, writes what is to be written and stops. What the store keeps is delivered when an outbox of the same
   * name is opened again; a store in memory keeps nothing, so `drain` first.
   */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  override addEventListener<K extends keyof OutboxEvents>(
    type: K,
    listener: (event: OutboxEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void {
    // Details cost something, so they are only made for a type that somebody has listened to.
    this.#listened.add(type);
    super.addEventListener(type, listener, options);
  }

  /** Opens the store, and watches the page. */
  #start(): Promise<void> {
    if (this.#closing) throw new FerryError("ERR_CLOSED", "the outbox is closed");
    this.#unwatch ??= watchPage({
      onHidden: (isEnding) => {
        this.#commitAll();
        // In Chromium a page that has ended is hidden after that: what it has sent already it must not send again.
        if (!this.#hasLeft) this.#driver.pageHidden(this.#isResending);
        this.#hasLeft ||= isEnding;
        if (isEnding) this.#driver.resign(this.#isResending);
      },
      onVisible: () => {
        this.#hasLeft = false;
        this.#driver.joinElection();
      },
      onOnline: () => this.#driver.online(),
    });
    return this.#driver.open();
  }

  #newSession(isFree: boolean): EventSession<E> {
    if (this.#closing) throw new FerryError("ERR_CLOSED", "the outbox is closed");
    return new EventSession<E>(this.#driver, this.#driver.newSession(), isFree, () => this.#cover());
  }

  /** Somebody shall keep the function alive while there is work. */
  #cover(): void {
    if (!this.#waitUntil || this.#isCovered) return;
    this.#isCovered = true;
    const work = this.drain({ deadlineMs: this.#budgetMs })
      .catch(() => undefined)
      .finally(() => (this.#isCovered = false));
    try {
      this.#waitUntil(work);
    } catch {
      // Its request is over.
      this.#waitUntil = undefined;
    }
  }

  /** Those of `run` go all or nothing, so they have to be at their end first. */
  #commitAll(): void {
    for (const session of [...this.#driver.staging]) if (session.isFree) session.commit();
  }

  async #exhume(ids: Iterable<string>, isReplay: boolean): Promise<number> {
    if (typeof ids === "string" || typeof ids?.[Symbol.iterator] !== "function")
      throw invalid(`a list of ids is wanted, not ${formatValue(ids)}`);
    const wanted = new Set(ids);
    // One after the other: two that are asked for the same letter must not both find it.
    const work = this.#exhuming.then(async () => {
      const letters = (await this.#driver.dead(Infinity)).filter(({ body }) =>
        wanted.has(this.#driver.wire.idOf(body)),
      );
      return this.#driver.removeDead(letters, isReplay);
    });
    this.#exhuming = work.catch(() => undefined);
    return work;
  }

  async #close(): Promise<void> {
    this.#commitAll();
    this.#unwatch?.();
    await this.#driver.close();
  }
}

function invalid(problem: string): FerryError {
  return new FerryError("ERR_INVALID_ARGUMENT", problem);
}
