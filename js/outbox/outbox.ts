/// <reference lib="esnext.disposable" preserve="true" />
/** The outbox as applications see it. What is accepted is delivered, or kept where somebody can look at it. */
import { FerryError, shown, type FerryErrorCode } from "../errors.js";
import { memoryStore } from "../stores/memory.js";
import type { Durability } from "../stores/store.js";
import type { FetchLike } from "../transport.js";
import { Driver } from "./driver.js";
import { configured, type OutboxOptions } from "./options.js";
import { watchPage } from "./page.js";
import { EventSession } from "./session.js";
import type { Wire } from "./wire.js";

/** An event that will not be delivered unless it is replayed. */
export interface DeadEvent {
  readonly id: string;
  /** Its JSON text. */
  readonly text: string;
  /** When it died. */
  readonly at: Date;
  readonly code: FerryErrorCode;
  /** The HTTP status, 0 if there was none. */
  readonly status: number;
  readonly reason: string;
  /** How many requests had it in them. */
  readonly attempts: number;
}

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
  /** A request has failed and will be repeated: `{ error, restMs, failures }`. */
  retry: CustomEvent<{ error: FerryError; restMs: number; failures: number }>;
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
  headerLines(own: Record<string, string>): Promise<string> | string;
  /** Of the machine, see `src/wasm/config.rs`. */
  config: Record<string, number | boolean>;
}

export interface KeepAliveOptions {
  /** How long the work of one call may go on. Workers have 30 s after the answer. @default 25 000 */
  budgetMs?: number;
  /** How many requests may start from now on. @default without limit */
  maxRequests?: number;
}

export interface WaitOptions {
  signal?: AbortSignal;
  deadlineMs?: number;
}

/** Keeps what sessions have flushed until it is delivered. */
export class Outbox<E> extends EventTarget {
  readonly #driver: Driver<E>;
  readonly #sessions = new Set<WeakRef<EventSession<E>>>();
  readonly #isResending: boolean;
  readonly #listened = new Map<string, number>();
  #unwatch: (() => void) | undefined;
  #waitUntil: ((promise: Promise<unknown>) => void) | undefined;
  #budgetMs = 25_000;
  #isCovered = false;
  #isPaused = false;
  #hasLeft = false;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(options: OutboxOptions, room: Room<E>) {
    super();
    const config = configured(options, room.config, room.timeoutMs);
    const { store = "auto", name = room.name, unload, gzip = false } = options;
    this.#isResending = unload !== "hold";
    this.#driver = new Driver<E>({
      wire: room.wire,
      name,
      store: store === "memory" ? memoryStore() : store,
      config,
      fetch: room.fetch,
      timeoutMs: room.timeoutMs,
      headerLines: room.headerLines,
      gzip,
      tell: (type, detail) => {
        if (this.#listened.get(type)) this.dispatchEvent(new CustomEvent(type, { detail: detail() }));
      },
    });
    // What was left the last time shall go out without being asked for. At module scope of a Worker nothing may happen.
    if (!("WebSocketPair" in globalThis)) queueMicrotask(() => void this.#start().catch(() => undefined));
  }

  /**
   * A session that is committed when `body` returns and rolled back when it throws.
   *
   * @returns what `body` returns, when its events are accepted.
   */
  async run<T>(body: (session: EventSession<E>) => Promise<T> | T): Promise<T> {
    const session = this.#newSession();
    let result: T;
    try {
      result = await body(session);
    } catch (error) {
      session.rollback();
      throw error;
    }
    await session.flush();
    return result;
  }

  /** A session of its own. A page that is hidden or ends flushes it. @internal */
  session(): EventSession<E> {
    const session = this.#newSession();
    for (const known of this.#sessions) if (!known.deref()) this.#sessions.delete(known);
    this.#sessions.add(new WeakRef(session));
    return session;
  }

  /**
   * Tries at once what rests, unless the server has asked for the rest, and waits until everything that was accepted is delivered or dead.
   * Resolves as well when the waiting was ended, or the outbox is paused; then `aborted` is true.
   */
  async drain({ signal, deadlineMs }: WaitOptions = {}): Promise<DrainReport> {
    const started = Date.now();
    const opened = this.#start();
    const isOpen = await Promise.race([opened.then(() => true), this.#driver.untilIt(() => false, signal, deadlineMs)]);
    if (isOpen) this.#driver.tell((port, now) => port.wake(now));
    const left = deadlineMs === undefined ? undefined : Math.max(0, deadlineMs - (Date.now() - started));
    const isDone = isOpen && !this.#isPaused && (await this.#driver.untilIt((port) => port.is_quiet(), signal, left));
    const { delivered, dead, pending } = this.#driver.counters();
    if (isOpen && pending > 0) await this.#driver.arm();
    return { delivered, dead, pending, aborted: !isDone };
  }

  /** Stores, but sends nothing, until `resume`. What is under way comes to its end. */
  pause(): void {
    this.#setPaused(true);
  }

  resume(): void {
    this.#setPaused(false);
    this.#driver.tell((port, now) => port.wake(now));
  }

  /** Deletes everything that is not delivered: staged, stored and dead. Gives the number of events. */
  async purge(): Promise<number> {
    let staged = 0;
    for (const session of this.#live()) staged += session.rollback().length;
    return staged + (await this.#driver.purge());
  }

  stats(): OutboxStats {
    const { refused, droppedOldest, droppedNewest, ...counters } = this.#driver.counters();
    const oldest = this.#driver.oldest();
    return {
      ...counters,
      oldestMs: oldest === undefined ? 0 : Math.max(0, Date.now() - oldest),
      droppedBy: { reject: refused, dropOldest: droppedOldest, dropNewest: droppedNewest },
      store: this.#driver.store?.kind,
      durability: this.#driver.traits?.durability,
      isLeader: this.#driver.isLeader,
    };
  }

  /** Events that will not be delivered by themselves. */
  readonly dead = {
    /** The oldest of them. */
    list: async (limit = 100): Promise<DeadEvent[]> => {
      const letters = await this.#driver.dead(limit);
      return letters.map(({ body, at, code, status, reason, attempts }) => ({
        id: this.#driver.wire.idOf(body),
        text: new TextDecoder().decode(body),
        at: new Date(at),
        code,
        status,
        reason,
        attempts,
      }));
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
  keepAlive(waitUntil: (promise: Promise<unknown>) => void, { budgetMs = 25_000, maxRequests }: KeepAliveOptions = {}): void {
    if (typeof waitUntil !== "function") throw new FerryError("ERR_INVALID_ARGUMENT", `keepAlive takes the function waitUntil, not ${shown(waitUntil)}`);
    this.#waitUntil = waitUntil;
    this.#budgetMs = budgetMs;
    this.#isCovered = false;
    if (maxRequests !== undefined) this.#driver.tell((port, now) => port.allow(now, maxRequests));
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

  override addEventListener<K extends keyof OutboxEvents>(type: K, listener: (event: OutboxEvents[K]) => void, options?: boolean | AddEventListenerOptions): void;
  override addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  override addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void {
    // Details cost something, so they are only made for a type that somebody has listened to.
    this.#listened.set(type, 1);
    super.addEventListener(type, listener, options);
  }

  /** Opens the store, and watches the page. */
  async #start(): Promise<void> {
    if (this.#closing) throw new FerryError("ERR_CLOSED", "the outbox is closed");
    this.#unwatch ??= watchPage({
      hidden: (isEnding) => {
        for (const session of this.#live()) session.commit();
        // In Chromium a page that has ended is hidden after that: what it has sent already it must not send again.
        if (!this.#hasLeft) this.#driver.leave(this.#isResending);
        this.#hasLeft ||= isEnding;
        if (isEnding) this.#driver.stepAside(this.#isResending);
      },
      shown: () => {
        this.#hasLeft = false;
        this.#driver.standInLine();
      },
      online: () => this.#driver.tell((port, now) => port.wake(now)),
    });
    return this.#driver.open();
  }

  #newSession(): EventSession<E> {
    if (this.#closing) throw new FerryError("ERR_CLOSED", "the outbox is closed");
    return new EventSession<E>(this.#driver, this.#driver.newSession(), () => this.#cover());
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

  #setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#driver.tell((port, now) => port.pause(now, isPaused));
  }

  #live(): EventSession<E>[] {
    return [...this.#sessions].map((known) => known.deref()).filter((session) => session !== undefined);
  }

  async #exhume(ids: Iterable<string>, isReplay: boolean): Promise<number> {
    const wanted = new Set(ids);
    const letters = (await this.#driver.dead(Infinity)).filter(({ body }) => wanted.has(this.#driver.wire.idOf(body)));
    return this.#driver.exhume(letters, isReplay);
  }

  async #close(): Promise<void> {
    for (const session of this.#live()) session.commit();
    this.#unwatch?.();
    await this.#driver.close();
  }
}
