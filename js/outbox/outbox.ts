/// <reference lib="esnext.disposable" preserve="true" />
/** The outbox as applications see it: accepted events are delivered, or kept as dead letters. */
import { closeOnAbort } from "../client/time-limit.js";
import { FerryError, traced } from "../engine/errors.js";
import { invalidArgument, mustBe } from "../engine/messages.js";
import { unixNow } from "../platform/clock.js";
import { requestPersistence } from "../platform/persistence.js";
import { warn, warnOnce } from "../platform/warn.js";
import { memoryOutbox } from "../stores/memory.js";
import { SharedStore } from "../stores/shared-store.js";
import { adoptRows } from "./adopt.js";
import { deadLetterCalls } from "./dead-letter-calls.js";
import { OutboxDriver } from "./driver.js";
import { OutboxDrivers } from "./drivers.js";
import { digestOf, formerIdentity } from "./identity.js";
import { KeepAlive } from "./keep-alive.js";
import { deadLetterBound, machineConfig, type OutboxOptions } from "./options.js";
import type {
  DeadLetters,
  DrainReport,
  KeepAliveOptions,
  OutboxEvents,
  OutboxStats,
  OutboxSystem,
  SignOutOptions,
  SignOutReport,
} from "./outbox-types.js";
import { PageWatch } from "./page-watch.js";
import type { PendingEvent } from "./pending-events.js";
import { registerOutbox } from "./registry.js";
import { EventSession, type EventSessionOptions, type SessionOutbox } from "./session.js";
import { checkMillis, checkWaitOptions, type WaitOptions } from "./wait-options.js";
import type {
  AddEventListenerOptions,
  EventListenerOrEventListenerObject,
  HeadersInit,
} from "../platform/web-types.js";

const DEFAULT_SIGN_OUT_MS = 10_000;
const DEFAULT_BUDGET_MS = 25_000;
const DEFAULT_LIST_LIMIT = 100;

/**
 * Stores the events that sessions flush, and delivers them.
 *
 * An outbox belongs to a destination: the URL with its query, or the option `name`. Each event also belongs to the
 * identity that was present when it was published; the option `identity` tells it. The methods show and touch the
 * events of the present identity. Those of other identities are held: they stay in the store, take no room, and are
 * sent when their identity is back. After 30 days they become its dead letters.
 *
 * Methods throw or reject with `ERR_INVALID_ARGUMENT` if the function `identity` fails.
 */
export class Outbox<E> extends EventTarget {
  readonly #drivers: OutboxDrivers<E>;
  readonly #page: PageWatch<E>;
  readonly #keepAlive = new KeepAlive((deadlineMs) => this.drain({ deadlineMs }));
  readonly #beforeSend: OutboxSystem<E>["beforeSend"];
  /** Types that have had a listener. */
  readonly #listenedTypes = new Set<string>();
  readonly #store: SharedStore;
  readonly #unregister: () => void;
  #stopListening: (() => void) | undefined;
  /** Whether the console has shown a problem. */
  #hasWarned = false;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(options: OutboxOptions, system: OutboxSystem<E>) {
    super();
    const config = machineConfig(options, system.config, system.timeoutMs);
    const {
      store: given = "auto",
      name,
      identity = system.identity.text,
      unload,
      gzip = false,
      persist = false,
    } = options;
    if (options.identity === undefined && system.identity.warning !== undefined) warnOnce(system.identity.warning);
    this.#beforeSend = system.beforeSend;
    const [url] = system.url.split("#");
    const destination = JSON.stringify([system.system, name === undefined ? { url } : { name }]);
    const emit = (type: string, detail: () => object) => {
      if (this.#listenedTypes.has(type)) this.dispatchEvent(new CustomEvent(type, { detail: detail() }));
      else if (type === "degraded") this.#warnOfDegraded(detail() as { error: FerryError });
    };
    const store = new SharedStore(given === "memory" ? memoryOutbox() : given, digestOf(destination));
    const { credentials, keepalive, wire, fetch, timeoutMs, headers, classify, sign } = system;
    const deadLetters = deadLetterBound(options, config.maxBytes!);
    this.#drivers = new OutboxDrivers<E>({
      wire,
      store,
      destination,
      identity,
      makeDriver: (scope, isPresent) =>
        new OutboxDriver<E>({
          wire,
          scope,
          store,
          config,
          fetch,
          timeoutMs,
          headers,
          classify,
          credentials,
          keepalive,
          sign,
          gzip,
          deadLetters,
          emit,
          isPresent,
        }),
      emit,
    });
    this.dead = deadLetterCalls(wire, () => this.#started());
    this.#page = new PageWatch(this.#drivers, unload !== "hold");
    this.#store = store;
    this.#unregister = registerOutbox(destination, given, { url, ...config, gzip, unload });
    // Events left by an earlier run are delivered without a call. At module scope Workers allow no I/O.
    if (!("WebSocketPair" in globalThis))
      queueMicrotask(() => {
        if (!this.#closing) this.#start(this.#drivers.tryPresent());
      });
    if (persist) void this.#persist(emit);
  }

  /**
   * Runs `body` with a new session, which is flushed when `body` returns and rolled back when it throws.
   *
   * @param options limits of the wait for the store; they do not end the delivery
   * @returns what `body` returns, when its events are accepted or the wait has ended
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`; `ERR_STORE` if the store does not open, after which the
   * events are rolled back; and what `body` throws
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
    try {
      await session.flush({ ...options, until: "accepted" });
    } catch (error) {
      // Nothing is accepted, and nobody else can flush this session.
      session.rollback();
      throw error;
    }
    return result;
  }

  /** A new session. It is flushed when the page is hidden or closed. @internal */
  session(options?: EventSessionOptions): EventSession<E> {
    return this.#newSession(true, options);
  }

  /**
   * Ends backoff delays, except those that the server asked for, and waits until every accepted event is delivered or
   * dead. Resolves also when the wait ends earlier, or the outbox is paused or closed; then `aborted` is true.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`; `ERR_STORE` if the store does not open, as for `flush`
   */
  drain(options: WaitOptions = {}): Promise<DrainReport> {
    return traced(this.#drain(options));
  }

  async #drain(options: WaitOptions): Promise<DrainReport> {
    const { signal, deadlineMs } = checkWaitOptions(options);
    const driver = this.#started();
    void driver.open().then(() => driver.online());
    driver.online();
    const { openFailures } = driver;
    let isDrained = false;
    const isOver = () => {
      isDrained = driver.isDrained;
      return isDrained || driver.isPaused || driver.isOnHold || driver.openFailures > openFailures;
    };
    const stopWatching = driver.awaitEmptyStore();
    await driver.until(isOver, signal, deadlineMs);
    stopWatching();
    if (driver.openFailures > openFailures && !isDrained) throw driver.storeClient.lastError;
    const { delivered, dead, pending } = driver.counters();
    if (!isDrained && pending > 0) await driver.storeClient.requestWakeUp();
    return { delivered, dead, pending, aborted: !isDrained };
  }

  /** Stops sending until `resume`. Events are still stored, and requests in flight finish. */
  pause(): void {
    this.#drivers.pause(true);
  }

  /** Sends again after `pause` or `signOut`. */
  resume(): void {
    this.#drivers.pause(false);
    const driver = this.#drivers.tryPresent();
    this.#drivers.signIn();
    driver?.online();
  }

  /**
   * Deletes all undelivered events: staged, stored and dead. Returns how many there were.
   *
   * @throws {FerryError} `ERR_STORE` if the store fails, `ERR_CLOSED`
   */
  async purge(): Promise<number> {
    const purged = new FerryError("ERR_ABORTED", "the event was purged");
    return this.#started().purge(new FerryError("ERR_ROLLED_BACK"), purged);
  }

  /**
   * Ends the presence of the identity, before the application signs its user out: flushes the sessions, deals with the
   * undelivered events, and sends no more until an event is published under the same identity, or `resume` is called.
   * Receipts of dropped events reject with `ERR_DROPPED`.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`; `ERR_STORE` if events are to be dropped and the store
   * fails
   */
  async signOut(options: SignOutOptions): Promise<SignOutReport> {
    const { pending, deadlineMs = DEFAULT_SIGN_OUT_MS } = checkWaitOptions(options);
    if (pending !== "send" && pending !== "hold" && pending !== "drop")
      throw mustBe("pending", '"send", "hold" or "drop"', pending);
    const driver = this.#started();
    const before = driver.counters().delivered;
    let dropped = 0;
    if (pending === "drop") {
      const error = new FerryError("ERR_DROPPED");
      dropped = await driver.purge(error, error);
    } else {
      for (const buffer of [...driver.stagingBuffers]) buffer.commit();
      if (pending === "send") await this.drain({ deadlineMs });
    }
    this.#drivers.signOut(driver);
    const held = await driver.untilHeld(deadlineMs);
    return { delivered: driver.counters().delivered - before, held, dropped };
  }

  /**
   * Takes over the stored events and dead letters of a former identity, for example after its name has changed. Returns
   * how many there were.
   *
   * @param from the former identity; or the `headers` of the former client, if it had no option `identity`
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_STORE` if the store fails, `ERR_CLOSED`
   */
  async adopt(from: string | HeadersInit): Promise<number> {
    const formerScope = this.#drivers.scopeOf(formerIdentity(from));
    const driver = this.#started();
    if (formerScope === driver.scope) throw invalidArgument("the argument of adopt is the present identity");
    const former = this.#drivers.all().find(({ scope }) => scope === formerScope);
    const adopted = await adoptRows(this.#store, formerScope, former, driver);
    this.#drivers.held.remove(formerScope);
    void this.#drivers.held.refresh();
    return adopted;
  }

  /**
   * The oldest events that are accepted and still to be delivered, each with its age and the error of the last request.
   *
   * @param limit how many. @default 100
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_STORE` if the store fails, `ERR_CLOSED`
   */
  async inspect(limit: number = DEFAULT_LIST_LIMIT): Promise<PendingEvent[]> {
    if (!(typeof limit === "number" && limit >= 0)) throw mustBe("the argument of inspect", "a number from 0", limit);
    return this.#started().inspect(limit);
  }

  /** The counters and the state at this moment. */
  stats(): OutboxStats {
    const driver = this.#drivers.present();
    const { refused, droppedOldest, droppedNewest, ...counters } = driver.counters();
    const oldest = driver.oldest();
    return {
      ...counters,
      held: this.#drivers.held.count,
      deadExpired: driver.deadExpired,
      oldestMs: oldest === undefined ? 0 : Math.max(0, unixNow() - oldest),
      droppedBy: { reject: refused, dropOldest: droppedOldest, dropNewest: droppedNewest },
      store: driver.storeClient.store?.kind,
      durability: driver.storeClient.traits?.durability,
      isLeader: driver.isLeader,
    };
  }

  /** Dead letters. Every method rejects with `ERR_STORE` if the store fails, and with `ERR_CLOSED`. */
  readonly dead: DeadLetters;

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
    this.#keepAlive.begin(waitUntil, budgetMs);
    if (maxRequests !== undefined) this.#drivers.allowRequests(maxRequests);
    if ((this.#drivers.tryPresent()?.counters().pending ?? 0) > 0) this.#keepAlive.extend();
  }

  /**
   * Flushes the sessions, finishes writing to the store, and stops. Stored events are delivered when an outbox of the
   * same name is opened again. A store in memory is lost, so call `drain` first.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes the outbox when the signal of its client aborts. @internal */
  closeOnAbort(signal: AbortSignal | undefined): void {
    this.#stopListening = closeOnAbort(signal, () => void this.close().catch(() => undefined));
  }

  /** Closes the outbox. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Calls a listener for each event of a type; see {@link OutboxEvents}. */
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

  /** Nobody listens for `degraded`: its first cause is shown, because it would stay unknown. */
  #warnOfDegraded({ error: { code, message } }: { error: FerryError }): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    warn(`an outbox has a problem: ${code}: ${message}; outbox.addEventListener("degraded", …) tells of all of them`);
  }

  async #persist(emit: (type: string, detail: () => object) => void): Promise<void> {
    if ((await requestPersistence()) !== false) return;
    const error = new FerryError(
      "ERR_STORE",
      "the browser did not agree to keep what this site stores: it may delete events that are not delivered yet",
    );
    emit("degraded", () => ({ error }));
  }

  /** The driver of the present identity, started. @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_CLOSED` */
  #started(): OutboxDriver<E> {
    if (this.#closing) throw new FerryError("ERR_CLOSED", "the outbox is closed");
    const driver = this.#drivers.present();
    this.#start(driver);
    return driver;
  }

  /** Watches the page, and opens the store. */
  #start(driver: OutboxDriver<E> | undefined): void {
    this.#page.start();
    void driver?.open().then(() => this.#drivers.held.refresh());
  }

  #newSession(isFlushedWhenHidden: boolean, options?: EventSessionOptions): EventSession<E> {
    if (this.#closing) throw new FerryError("ERR_CLOSED", "the outbox is closed");
    const outbox: SessionOutbox<E> = {
      wire: this.#drivers.wire,
      beforeSend: this.#beforeSend,
      presentHost: () => this.#drivers.publishing().staging,
      onCommit: () => {
        this.#start(undefined);
        this.#keepAlive.extend();
      },
    };
    return new EventSession<E>(outbox, isFlushedWhenHidden, options);
  }

  async #close(): Promise<void> {
    this.#drivers.commitAll();
    this.#page.stop();
    this.#stopListening?.();
    this.#unregister();
    await this.#drivers.close();
  }
}
