/**
 * One driver for each identity that was present. Only the driver of the present identity sends.
 *
 * ```text
 *   identity ──read──> present driver: stores and sends
 *        │
 *        └─ another than before ──> the former driver is on hold: it stores, and sends when its identity is back
 * ```
 *
 * One driver for all identities, with an identity for each event, was the other design. Its machine would have needed
 * a window, a limit and an order for each identity, which is what several machines are.
 */
import { publish } from "../engine/modules/publish.js";
import { OUTBOX_INPUTS } from "../engine/ports.js";
import { startIdleTimer, stopTimer, type Timer } from "../platform/clock.js";
import { Waiters } from "../platform/waiters.js";
import { countsOf } from "../stores/peek-limit.js";
import type { SharedStore } from "../stores/shared-store.js";
import { storeError } from "../stores/store-error.js";
import type { OutboxDriver } from "./driver.js";
import { HeldEvents } from "./held-events.js";
import { type IdentityOption, readIdentity, scopeFor } from "./identity.js";
import { outboxClosed } from "./outbox-closed.js";
import type { Wire } from "./wire.js";

export interface OutboxDriversOptions<E> {
  wire: Wire<E>;
  store: SharedStore;
  destination: string;
  identity: IdentityOption;
  /** Makes the driver of an identity. `isPresent` tells whether the identity is present. */
  makeDriver(scope: string, isPresent: () => boolean): OutboxDriver<E>;
  emit(type: string, detail: () => object): void;
}

/** How often the identity is read while events wait for another one. */
const RECHECK_MS = 5000;
/** Drivers beyond this number are closed when they have nothing to do. */
const MAX_IDLE_DRIVERS = 8;
const CLOSE_TIMEOUT_MS = 10_000;

export class OutboxDrivers<E> {
  isClosed = false;
  readonly held: HeldEvents;
  readonly #options: OutboxDriversOptions<E>;
  /** By identity. */
  readonly #drivers = new Map<string, OutboxDriver<E>>();
  /** The identity that was read last, and its driver. Undefined if it could not be read. */
  #present: { identity: string; driver: OutboxDriver<E> } | undefined;
  /** The identities that signed out, until they publish again. */
  readonly #signedOut = new Set<string>();
  #isReading = false;
  #isPaused = false;
  #maxRequests: number | undefined;
  #timer: Timer | undefined;
  readonly #waiters = new Waiters();

  constructor(options: OutboxDriversOptions<E>) {
    this.#options = options;
    const { store, emit } = options;
    this.held = new HeldEvents({ store, emit, ownScopes: () => this.#ownScopes() });
    store.onMoved = (isOwn) => this.#onMoved(isOwn);
  }

  get wire(): Wire<E> {
    return this.#options.wire;
  }

  /**
   * The driver of the present identity; after `close`, that of the last one.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` if the identity cannot be read
   */
  present(): OutboxDriver<E> {
    if (this.isClosed && this.#present) return this.#present.driver;
    const identity = this.#read();
    if (this.#present?.identity === identity) return this.#present.driver;
    this.#holdPresent();
    let driver = this.#drivers.get(identity);
    if (!driver) {
      driver = this.#make(identity);
      this.#closeIdle();
      this.#drivers.set(identity, driver);
    }
    this.#present = { identity, driver };
    this.held.remove(driver.scope);
    if (this.#signedOut.has(identity)) driver.hold();
    else driver.unhold();
    this.recheck();
    return driver;
  }

  /**
   * The driver of the present identity, for an event that is published: whoever publishes is signed in.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` if the identity cannot be read, `ERR_CLOSED`
   */
  publishing(): OutboxDriver<E> {
    if (this.isClosed) throw outboxClosed();
    const driver = this.present();
    if (this.#signedOut.size > 0) this.signIn();
    return driver;
  }

  /** The driver of the present identity, without an error: undefined if there is none. */
  tryPresent(): OutboxDriver<E> | undefined {
    try {
      return this.present();
    } catch {
      return undefined;
    }
  }

  /** All drivers. */
  all(): OutboxDriver<E>[] {
    return [...this.#drivers.values()];
  }

  /** The scope of an identity. */
  scopeOf(identity: string): string {
    return scopeFor(this.#options.destination, identity);
  }

  /**
   * The script was terminated while it used the machines. Nothing that was under way can be trusted: new machines get what is
   * not stored.
   */
  restart(): void {
    this.#isReading = false;
    publish.discard();
  }

  /** Commits the sessions, except those of `run`, which commit all or nothing when its function returns. */
  commitAll(): void {
    for (const driver of this.all())
      for (const buffer of [...driver.stagingBuffers]) if (buffer.isFlushedWhenHidden) buffer.commit();
  }

  pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
    for (const driver of this.all()) driver.pause(isPaused);
  }

  allowRequests(maxRequests: number): void {
    this.#maxRequests = maxRequests;
    for (const driver of this.all())
      driver.send((port, now) => port.input(OUTBOX_INPUTS.allowRequests, now, maxRequests));
  }

  /** Puts the identity of a driver on hold until it publishes again. */
  signOut(driver: OutboxDriver<E>): void {
    for (const [identity, other] of this.#drivers) if (other === driver) this.#signedOut.add(identity);
    driver.hold();
  }

  /** Ends `signOut` for the present identity. */
  signIn(): void {
    if (this.#present && this.#signedOut.delete(this.#present.identity)) this.#present.driver.unhold();
  }

  /** Reads the identity again after a while, if events wait for another one. */
  recheck(): void {
    if (typeof this.#options.identity === "string" || this.#timer || this.isClosed) return;
    if (this.#present && this.held.count === 0) return;
    this.#timer = startIdleTimer(() => {
      this.#timer = undefined;
      if (this.isClosed) return;
      this.tryPresent();
      this.recheck();
    }, RECHECK_MS);
  }

  /** Finishes writing, stops all drivers, and closes the store. */
  async close(): Promise<void> {
    this.isClosed = true;
    stopTimer(this.#timer);
    this.held.stop();
    await Promise.all(this.all().map((driver) => driver.close()));
    const { store } = this.#options;
    try {
      await this.#waiters.withTimeout(CLOSE_TIMEOUT_MS, store.close());
    } catch (cause) {
      throw storeError(store.kind, cause);
    }
  }

  #make(identity: string): OutboxDriver<E> {
    const driver: OutboxDriver<E> = this.#options.makeDriver(this.scopeOf(identity), () => this.#isSending(driver));
    if (this.#isPaused) driver.pause(true);
    const maxRequests = this.#maxRequests;
    if (maxRequests !== undefined)
      driver.send((port, now) => port.input(OUTBOX_INPUTS.allowRequests, now, maxRequests));
    return driver;
  }

  /** Whether a driver may send. If not, it is on hold when this returns. */
  #isSending(driver: OutboxDriver<E>): boolean {
    if (typeof this.#options.identity === "string") return !driver.isOnHold;
    // Others that the identity function may call must not read the identity again.
    const isPresent = !this.#isReading && this.tryPresent() === driver && !driver.isOnHold;
    if (!isPresent) driver.hold();
    return isPresent;
  }

  #read(): string {
    const { identity } = this.#options;
    this.#isReading = true;
    try {
      return readIdentity(identity);
    } catch (error) {
      // Told once, not for each event that cannot be published.
      if (this.#present) this.#options.emit("degraded", () => ({ error }));
      this.#holdPresent();
      throw error;
    } finally {
      this.#isReading = false;
      this.recheck();
    }
  }

  #holdPresent(): void {
    const driver = this.#present?.driver;
    this.#present = undefined;
    if (!driver) return;
    this.held.set(driver.scope, driver.counters().pending);
    driver.hold();
    void driver.open().then(() => this.held.refresh());
  }

  #closeIdle(): void {
    for (const [identity, driver] of this.#drivers) {
      if (this.#drivers.size < MAX_IDLE_DRIVERS) return;
      if (!driver.isIdle) continue;
      this.#drivers.delete(identity);
      driver.close().catch(() => undefined);
    }
  }

  /** What other pages had left was moved into the store, for any identity. */
  #onMoved(isOwn: boolean): void {
    if (this.isClosed) return;
    for (const driver of this.all()) {
      // Others are told too.
      if (isOwn) driver.addStored([], countsOf([], []));
      else driver.storeChanged();
    }
    this.held.recount();
  }

  #ownScopes(): ReadonlySet<string> {
    return new Set(this.#present && [this.#present.driver.scope]);
  }
}
