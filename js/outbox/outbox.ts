/// <reference lib="esnext.disposable" preserve="true" />
/** The outbox as applications see it: accepted events are delivered, or kept as dead letters. */
import { FerryError } from "../engine/errors.js";
import { mustBe } from "../engine/messages.js";
import type { OutboxPort } from "../engine/ports.js";
import { unixNow } from "../platform/clock.js";
import type { FetchLike } from "../platform/fetch.js";
import { watchPage } from "../platform/page-lifecycle.js";
import { requestPersistence } from "../platform/persistence.js";
import { memoryStore } from "../stores/memory.js";
import type { Durability } from "../stores/store.js";
import { type DeadEvent, toDeadEvent } from "./dead-letters.js";
import { OutboxDriver } from "./driver.js";
import { machineConfig, type OutboxOptions } from "./options.js";
import type { HeaderSource } from "./sender.js";
import { EventSession } from "./session.js";
import { checkMillis, checkWaitOptions, type WaitOptions } from "./wait-options.js";
import type { Wire } from "./wire.js";

/** What `drain` reports. */
export interface DrainReport {
  /** Events delivered since the outbox was opened. */
  delivered: number;
  /** Dead letters in the store. */
  dead: number;
  /** Events that are still to be delivered. */
  pending: number;
  /** Whether the wait ended before everything was delivered. */
  aborted: boolean;
}

/**
 * `accepted` is always the sum of `delivered`, `dead`, `pending` and `purged`. Events found in the store count as
 * accepted.
 */
export interface OutboxStats {
  /** Events that are published and not flushed. */
  staged: number;
  /** Events that are or were stored, or that the server accepted before they were stored. */
  accepted: number;
  /** Events that the server accepted. */
  delivered: number;
  /** Dead letters. */
  dead: number;
  /** Accepted events that are still to be delivered. */
  pending: number;
  /** Events deleted by `purge` or `dead.remove`. */
  purged: number;
  /** Bytes of staged and stored events, dead letters included. */
  bytes: number;
  /** Age of the oldest undelivered event, as far as known, in milliseconds. */
  oldestMs: number;
  /** Requests sent. */
  attempts: number;
  /** Events that were refused or dropped because the outbox was full. None of them was accepted. */
  droppedBy: { reject: number; dropOldest: number; dropNewest: number };
  /** The kind of the store; `undefined` until it is open. */
  store: string | undefined;
  /** What a stored event survives; `undefined` until the store is open. */
  durability: Durability | undefined;
  /** Whether this tab or process is the one that sends. */
  isLeader: boolean;
}

/** Events of an outbox, by type. */
export interface OutboxEvents {
  /** Events were stored. */
  accepted: CustomEvent<{ ids: string[] }>;
  /** The server accepted events. */
  delivered: CustomEvent<{ ids: string[]; status: number; attempts: number }>;
  /** A request failed and will be repeated after `delayMs`. `failures`: how many failed in a row. */
  retry: CustomEvent<{ error: FerryError; delayMs: number; failures: number }>;
  /** An event became a dead letter. */
  dead: CustomEvent<{ id: string; error: FerryError; attempts: number }>;
  /** The outbox is 80 % full (`isHigh`), or less than 60 % again. */
  pressure: CustomEvent<{ isHigh: boolean; bytes: number }>;
  /**
   * The store failed, or the server refuses all requests: no event is lost, but the cause needs attention. Or the store
   * has found that something in it is damaged or was deleted: the message says what.
   */
  degraded: CustomEvent<{ error: FerryError }>;
  /** This tab or process became the one that sends, or stopped being it. */
  leader: CustomEvent<{ leads: boolean }>;
}

/** What a system gives its outbox. @internal */
export interface OutboxSystem<E> {
  wire: Wire<E>;
  name: string;
  fetch: FetchLike | undefined;
  timeoutMs: number;
  headers: HeaderSource;
  /** Configuration of the machine, with the names of `src/wasm/config.rs`. */
  config: Record<string, number | boolean>;
}

/** Limits for the work after one call of an edge function. */
export interface KeepAliveOptions {
  /**
   * How long the work of one call may go on, in milliseconds. Workers allow 30 s after the response.
   * @default 25 000
   */
  budgetMs?: number;
  /** How many requests may start from now on. @default no limit */
  maxRequests?: number;
}

/** Access to dead letters. */
export interface DeadLetters {
  /** The oldest dead letters. @default 100 at most */
  list(limit?: number): Promise<DeadEvent[]>;
  /** Sends the events with these ids again. Their ids stay the same. Returns how many there were. */
  replay(ids: Iterable<string>): Promise<number>;
  /** Deletes the events with these ids. Returns how many there were. */
  remove(ids: Iterable<string>): Promise<number>;
}

const DEFAULT_BUDGET_MS = 25_000;
const DEFAULT_LIST_LIMIT = 100;

/** Stores the events that sessions flush, and delivers them. */
export class Outbox<E> extends EventTarget {
  readonly #driver: OutboxDriver<E>;
  readonly #resendsWhenHidden: boolean;
  /** Types that have had a listener. */
  readonly #listenedTypes = new Set<string>();
  #unwatchPage: (() => void) | undefined;
  #waitUntil: ((promise: Promise<unknown>) => void) | undefined;
  #budgetMs = DEFAULT_BUDGET_MS;
  #isKeptAlive = false;
  /** Whether the page was closed, though it may come back from the cache. */
  #isPageClosed = false;
  /** Calls of `dead.replay` and `dead.remove`, which run one after the other. */
  #removingDead: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(options: OutboxOptions, system: OutboxSystem<E>) {
    super();
    const config = machineConfig(options, system.config, system.timeoutMs);
    const { store = "auto", name = system.name, unload, gzip = false, persist = false } = options;
    this.#resendsWhenHidden = unload !== "hold";
    this.#driver = new OutboxDriver<E>({
      wire: system.wire,
      name,
      store: store === "memory" ? memoryStore() : store,
      config,
      fetch: system.fetch,
      timeoutMs: system.timeoutMs,
      headers: system.headers,
      gzip,
      emit: (type, detail) => {
        if (this.#listenedTypes.has(type)) this.dispatchEvent(new CustomEvent(type, { detail: detail() }));
      },
    });
    // Events left by an earlier run are delivered without a call. At module scope Workers allow no I/O.
    if (!("WebSocketPair" in globalThis))
      queueMicrotask(() => {
        if (!this.#closing) void this.#start();
      });
    if (persist) void this.#persist();
  }

  /**
   * Runs `body` with a new session, which is flushed when `body` returns and rolled back when it throws.
   *
   * @param options limits of the wait for the store; they do not end the delivery
   * @returns what `body` returns, when its events are accepted or the wait has ended
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`; and what `body` throws
   */
  async run<T>(body: (session: EventSession<E>) => Promise<T> | T, options: WaitOptions = {}): Promise<T> {
    if (typeof body !== "function") throw mustBe("the argument of run", "a function", body);
    checkWaitOptions(options);
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

  /** A new session. It is flushed when the page is hidden or closed. @internal */
  session(): EventSession<E> {
    return this.#newSession(true);
  }

  /**
   * Ends backoff delays, except those that the server asked for, and waits until every accepted event is delivered or
   * dead. Resolves also when the wait ends earlier, or the outbox is paused or closed; then `aborted` is true.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`
   */
  async drain(options: WaitOptions = {}): Promise<DrainReport> {
    const { signal, deadlineMs } = checkWaitOptions(options);
    void this.#start().then(() => this.#driver.online());
    this.#driver.online();
    let isDrained = false;
    const isOver = (port: OutboxPort) => {
      isDrained = port.is_drained();
      return isDrained || this.#driver.isPaused;
    };
    await this.#driver.untilTrue(isOver, signal, deadlineMs);
    const { delivered, dead, pending } = this.#driver.counters();
    if (!isDrained && pending > 0) await this.#driver.storeClient.requestWakeUp();
    return { delivered, dead, pending, aborted: !isDrained };
  }

  /** Stops sending until `resume`. Events are still stored, and requests in flight finish. */
  pause(): void {
    this.#driver.pause(true);
  }

  /** Sends again after `pause`. */
  resume(): void {
    this.#driver.pause(false);
    this.#driver.online();
  }

  /**
   * Deletes all undelivered events: staged, stored and dead. Returns how many there were.
   *
   * @throws {FerryError} `ERR_STORE` if the store fails, `ERR_CLOSED`
   */
  async purge(): Promise<number> {
    let staged = 0;
    for (const session of [...this.#driver.stagingSessions]) staged += session.rollback().length;
    return staged + (await this.#driver.purge());
  }

  /** The counters and the state at this moment. */
  stats(): OutboxStats {
    const { refused, droppedOldest, droppedNewest, ...counters } = this.#driver.counters();
    const oldest = this.#driver.oldest();
    return {
      ...counters,
      oldestMs: oldest === undefined ? 0 : Math.max(0, unixNow() - oldest),
      droppedBy: { reject: refused, dropOldest: droppedOldest, dropNewest: droppedNewest },
      store: this.#driver.storeClient.store?.kind,
      durability: this.#driver.storeClient.traits?.durability,
      isLeader: this.#driver.isLeader,
    };
  }

  /** Dead letters. Every method rejects with `ERR_STORE` if the store fails, and with `ERR_CLOSED`. */
  readonly dead: DeadLetters = {
    list: async (limit = DEFAULT_LIST_LIMIT) => {
      if (!(typeof limit === "number" && limit >= 0)) throw mustBe("the argument of list", "a number from 0", limit);
      return (await this.#driver.dead(limit)).map((letter) => toDeadEvent(this.#driver.wire, letter));
    },
    replay: (ids) => this.#removeDead(ids, true),
    remove: (ids) => this.#removeDead(ids, false),
  };

  /**
   * For edge functions, once per request: keeps the function alive with `waitUntil` while accepted events are
   * delivered, also after the response.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`
   * @example outbox.keepAlive((promise) => context.waitUntil(promise));
   */
  keepAlive(waitUntil: (promise: Promise<unknown>) => void, options: KeepAliveOptions = {}): void {
    if (typeof waitUntil !== "function") throw mustBe("waitUntil", "a function", waitUntil);
    const { budgetMs = DEFAULT_BUDGET_MS, maxRequests } = checkWaitOptions(options);
    checkMillis("budgetMs", budgetMs);
    if (maxRequests !== undefined && !(Number.isInteger(maxRequests) && maxRequests >= 0))
      throw mustBe("maxRequests", "an integer from 0", maxRequests);
    this.#waitUntil = waitUntil;
    this.#budgetMs = budgetMs;
    this.#isKeptAlive = false;
    if (maxRequests !== undefined) this.#driver.send((port, now) => port.allow_requests(now, maxRequests));
    if (this.#driver.counters().pending > 0) this.#keepAliveWhilePending();
  }

  /**
   * Flushes the sessions, finishes writing to the store, and stops. Stored events are delivered when an outbox of the
   * same name is opened again. A store in memory is lost, so call `drain` first.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes the outbox. */
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
    // Details are only made for types that have had a listener.
    this.#listenedTypes.add(type);
    super.addEventListener(type, listener, options);
  }

  async #persist(): Promise<void> {
    if ((await requestPersistence()) !== false) return;
    const error = new FerryError(
      "ERR_STORE",
      "the browser did not agree to keep what this site stores: it may delete events that are not delivered yet",
    );
    this.#driver.emit("degraded", () => ({ error }));
  }

  /** Opens the store and watches the page. */
  #start(): Promise<void> {
    if (this.#closing) throw new FerryError("ERR_CLOSED", "the outbox is closed");
    this.#unwatchPage ??= watchPage({
      onHidden: (isEnding) => {
        this.#commitAll();
        // Chromium hides a page after it was closed. By then everything was sent.
        if (!this.#isPageClosed) this.#driver.pageHidden(this.#resendsWhenHidden);
        this.#isPageClosed ||= isEnding;
        if (isEnding) this.#driver.resign(this.#resendsWhenHidden);
      },
      onVisible: () => {
        this.#isPageClosed = false;
        this.#driver.joinElection();
      },
      onOnline: () => this.#driver.online(),
    });
    return this.#driver.open();
  }

  #newSession(isFlushedWhenHidden: boolean): EventSession<E> {
    if (this.#closing) throw new FerryError("ERR_CLOSED", "the outbox is closed");
    const onCommit = () => this.#keepAliveWhilePending();
    return new EventSession<E>(this.#driver, this.#driver.newSessionId(), isFlushedWhenHidden, onCommit);
  }

  /** Keeps the edge function alive, if there is one. */
  #keepAliveWhilePending(): void {
    if (!this.#waitUntil || this.#isKeptAlive) return;
    this.#isKeptAlive = true;
    const work = this.drain({ deadlineMs: this.#budgetMs })
      .catch(() => undefined)
      .finally(() => {
        this.#isKeptAlive = false;
      });
    try {
      this.#waitUntil(work);
    } catch {
      // The request that it belongs to is over.
      this.#waitUntil = undefined;
    }
  }

  /** Commits the sessions, except those of `run`, which commit all or nothing when `body` returns. */
  #commitAll(): void {
    for (const session of [...this.#driver.stagingSessions]) if (session.isFlushedWhenHidden) session.commit();
  }

  async #removeDead(ids: Iterable<string>, isReplay: boolean): Promise<number> {
    if (typeof ids === "string" || typeof ids?.[Symbol.iterator] !== "function")
      throw mustBe("ids", "an iterable of strings", ids);
    const wanted = new Set(ids);
    // One call after the other: two calls with the same id must not find the same dead letter.
    const work = this.#removingDead.then(async () => {
      const all = await this.#driver.dead(Infinity);
      const letters = all.filter(({ body }) => wanted.has(this.#driver.wire.idOf(body)));
      return this.#driver.removeDead(letters, isReplay);
    });
    this.#removingDead = work.catch(() => undefined);
    return work;
  }

  async #close(): Promise<void> {
    this.#commitAll();
    this.#unwatchPage?.();
    await this.#driver.close();
  }
}
