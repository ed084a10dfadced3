/**
 * Connects the machine of the outbox (`src/outbox/machine.rs`) with sessions, the store and the network.
 *
 * ```text
 *   session ──> staging ──stage, commit──> machine ──┬─ write, peek ──> store-sync ──store_written, …──> machine
 *                                                    ├─ send ─────────> delivery ──response, failure───> machine
 *                                                    └─ accepted, delivered, dead ──> segments ──> receipts, events
 * ```
 */
import { FerryError } from "../engine/errors.js";
import { OUTBOX_INPUTS, type OutboxPort, OUTBOX_LIST_INPUTS } from "../engine/ports.js";
import type { FetchLike } from "../platform/fetch.js";
import { Waiters } from "../platform/waiters.js";
import type { SharedStore } from "../stores/shared-store.js";
import type { DeadLetter, StoreCounts } from "../stores/store.js";
import type { DeadLetterBound } from "./dead-letter-limits.js";
import { Delivery } from "./delivery.js";
import { Expiry } from "./expiry.js";
import { InFlight } from "./in-flight.js";
import { Keys } from "./keys.js";
import { type Counters, OutboxMachine } from "./machine.js";
import type { MachineConfig } from "./options.js";
import { outboxClosed } from "./outbox-closed.js";
import { type PendingEvent, pendingEvents } from "./pending-events.js";
import { Recovery } from "./recovery.js";
import { SegmentTable } from "./segment-table.js";
import { SendPause } from "./send-pause.js";
import { Sender, type SenderOptions } from "./sender.js";
import type { SessionBuffer } from "./session-buffer.js";
import { Staging } from "./staging.js";
import type { StoreClient } from "./store-client.js";
import { StoreSync, type StoreSyncHost } from "./store-sync.js";
import type { TrackedSegment } from "./tracked-segment.js";

export interface DriverOptions<E> extends SenderOptions<E> {
  /** Of the rows of its identity. */
  scope: string;
  store: SharedStore;
  /** Options of the machine. */
  config: MachineConfig;
  fetch: FetchLike | undefined;
  deadLetters: DeadLetterBound;
  emit(type: string, detail: () => object): void;
}

const NOTHING = { events: 0, bytes: 0 };

export class OutboxDriver<E> implements StoreSyncHost {
  /** Where sessions stage and commit events. */
  readonly staging: Staging<E>;
  /** How often the store did not open. */
  openFailures = 0;
  readonly #options: DriverOptions<E>;
  readonly #sender: Sender<E>;
  readonly #segments: SegmentTable<E>;
  readonly #machine: OutboxMachine;
  readonly #delivery: Delivery<E>;
  readonly #recovery: Recovery<E>;
  readonly #pause: SendPause;
  readonly #inFlight: InFlight;
  readonly #sync: StoreSync<E>;
  /** For what depends on the machine or the store. */
  readonly #waiters = new Waiters();

  constructor(options: DriverOptions<E>) {
    this.#options = options;
    const { wire, scope, store, config, fetch, deadLetters, timeoutMs, isPresent, emit } = options;
    const expiry = new Expiry(wire);
    const keys = new Keys(scope);
    const segments = new SegmentTable(wire);
    const sender = new Sender(options, expiry);
    const waiters = this.#waiters;
    const inFlight = new InFlight(config.inFlightMs ?? 0);
    const machine = new OutboxMachine({
      config,
      classifier: wire.classifier,
      fetch,
      waiters,
      onReset: () => this.#recovery.onReset(),
      onStart: (port, now) => {
        this.#recovery.onStart(port, now);
        port.input(OUTBOX_INPUTS.pause, now, this.isPaused || this.isOnHold || this.isClosed);
      },
      effects: {
        write: (...lists) => void this.#sync.write(segments.change(...lists)),
        peek: (events, bytes) => void this.#sync.peek(events, bytes),
        send: (...request) => this.#delivery.send(...request),
        accepted: (handle) => this.#delivery.accepted(handle),
        delivered: (...details) => this.#delivery.delivered(...details),
        dead: (...details) => this.#delivery.dead(...details),
        retry: (...details) => this.#delivery.retry(...details),
        forget: (handle, isStored) => this.#onForget(handle, isStored),
        pressure: (isHigh) => emit("pressure", () => ({ isHigh, ...this.counters() })),
      },
    });
    this.#sender = sender;
    this.#segments = segments;
    this.#machine = machine;
    this.#inFlight = inFlight;
    this.#sync = new StoreSync({
      host: this,
      machine,
      wire,
      store,
      scope,
      segments,
      inFlight,
      keys,
      expiry,
      waiters,
      deadLetters,
    });
    const { leadership } = this.#sync;
    this.#recovery = new Recovery({
      wire,
      segments,
      expiry,
      isStopped: () => machine.isStopped,
      restart: () => this.#sync.recount(),
    });
    this.#delivery = new Delivery({
      wire,
      machine,
      segments,
      inFlight,
      sender,
      timeoutMs,
      isPresent,
      confirmLead: () => this.#sync.confirmLead(),
      broadcast: (message) => leadership.broadcastLazily(message),
      emit,
    });
    this.#pause = new SendPause({ machine, timeoutMs, resign: () => leadership.resign() });
    this.staging = new Staging({
      wire,
      maxBytes: config.maxBytes!,
      machine,
      segments,
      keys,
      expiry,
      sender,
      recovery: this.#recovery,
      open: () => void this.open(),
    });
  }

  get scope(): string {
    return this.#options.scope;
  }

  get storeClient(): StoreClient {
    return this.#sync.client;
  }

  get isLeader(): boolean {
    return this.#sync.leadership.isLeader;
  }

  /** How many dead letters were removed because of their age or their share of the room. */
  get deadExpired(): number {
    return this.#sync.dead.expired;
  }

  /** Whether it takes no more events. */
  get isClosed(): boolean {
    return this.staging.isClosed;
  }

  /** Whether the application has paused it. */
  get isPaused(): boolean {
    return this.#pause.isPaused;
  }

  /** Whether its identity is absent: it stores events and sends none. */
  get isOnHold(): boolean {
    return this.#pause.isOnHold;
  }

  get engineGeneration(): number {
    return this.#recovery.generation;
  }

  /** Buffers that have staged events. */
  get stagingBuffers(): ReadonlySet<SessionBuffer<E>> {
    return this.staging.stagingBuffers;
  }

  /** Whether everything is delivered or dead, also what others have stored. */
  get isDrained(): boolean {
    const { leadership, isStoreEmpty } = this.#sync;
    return leadership.isKnown && this.#machine.isTrue(OUTBOX_INPUTS.isDrained) && isStoreEmpty;
  }

  /** Whether nothing is staged or waits to be delivered. */
  get isIdle(): boolean {
    const { staged, pending } = this.counters();
    return staged === 0 && pending === 0 && this.#machine.isTrue(OUTBOX_INPUTS.isSettled);
  }

  /** Opens the store and joins the leader election. Resolves with whether the store is open; never rejects. */
  open(): Promise<boolean> {
    return this.#sync.open();
  }

  /**
   * The store did not open. Events that wait for it are staged again, and everybody who waits for it is told. The next
   * call tries again.
   */
  onOpenFailed(error: FerryError): void {
    this.openFailures++;
    this.staging.restage(error);
    this.#waiters.recheck();
  }

  /** Gives the machine an input, then rechecks what waits for it. */
  send<T>(input: (port: OutboxPort, now: number) => T): T {
    return this.#machine.send(input);
  }

  /** Resolves with true when a question is answered with true, with false when the wait ends earlier. */
  until(isTrue: () => boolean, signal?: AbortSignal, deadlineMs?: number): Promise<boolean> {
    return this.#waiters.until(isTrue, signal, deadlineMs);
  }

  /** Resolves when all changes are written and no request is in flight, or the time is over. */
  async untilSettled(deadlineMs: number): Promise<void> {
    await this.#machine.untilTrue(OUTBOX_INPUTS.isSettled, undefined, deadlineMs);
  }

  emit(type: string, detail: () => object): void {
    this.#options.emit(type, detail);
  }

  pause(isPaused: boolean): void {
    this.#pause.pause(isPaused);
  }

  /**
   * Its identity is absent: sends nothing until `unhold`. Requests in flight finish, and then another tab in which the
   * identity is present may lead.
   */
  hold(): void {
    if (!this.isOnHold && !this.isClosed) this.#pause.hold();
  }

  /** Resolves once it is on hold and no request is in flight, with the number of its pending events. */
  untilHeld(deadlineMs: number): Promise<number> {
    return this.#pause.untilHeld(deadlineMs);
  }

  /** Its identity is present again. */
  unhold(): void {
    if (!this.isOnHold || this.isClosed) return;
    this.#pause.unhold();
    this.online();
    this.#sync.joinElection();
  }

  /** Ends backoff delays, because requests may succeed now. */
  online(): void {
    if (!this.isClosed) this.send((port, now) => port.input(OUTBOX_INPUTS.online, now));
  }

  /** Finds out whether the store is empty, until the returned function is called. */
  awaitEmptyStore(): () => void {
    return this.#sync.watch.awaitEmpty();
  }

  counters(): Counters {
    this.staging.returnCredit();
    return this.#machine.counters();
  }

  /** When the oldest pending event known here was committed, in Unix milliseconds. */
  oldest(): number | undefined {
    return this.#segments.oldest();
  }

  /** The page is hidden or closed: sends what fits into requests that survive it, if `shouldResend`. */
  pageHidden(shouldResend: boolean): void {
    const bytes = this.#sender.keepaliveCapacity(this.#segments.known());
    if (shouldResend && (this.#machine.isRunning || this.#recovery.lost.size > 0))
      this.send((port, now) => port.input(OUTBOX_INPUTS.pageHidden, now, bytes, this.#options.gzip));
  }

  /** The page is hidden, or it ends, perhaps for ever: saves what is not stored yet. */
  backUp(isEnding: boolean, isGone: boolean): void {
    const lost = [...this.#recovery.lost].filter(({ pending }) => pending > 0);
    const segments = Array.from(new Set([...lost, ...this.#segments.unstored()]), (segment) =>
      segment.toSegment(segment.pendingIndices()),
    );
    const unsaved = this.#options.store.backUp(segments, isGone);
    if (unsaved === 0 || !isEnding) return;
    const text = `the page ends before ${unsaved} events are stored, and localStorage has no room for them`;
    this.emit("degraded", () => ({ error: new FerryError("ERR_STORE", `${text}: they may be lost`) }));
  }

  /** The page ends: later pages will know of its requests. */
  saveInFlight(): void {
    if (this.#options.store.kind !== "memory") this.#inFlight.save();
  }

  /** The page is back from the back/forward cache. */
  pageShown(): void {
    this.#inFlight.forget();
  }

  /** Lets another tab lead. Requests in flight go on, and what their answers say is stored. */
  resign(): void {
    this.#sync.leadership.resign();
  }

  joinElection(): void {
    this.#sync.joinElection();
  }

  /** Deletes the staged, stored and dead events. Their receipts reject with the errors. Returns how many there were. */
  async purge(ofStaged: FerryError, ofStored: FerryError): Promise<number> {
    const staged = this.staging.rollBackAll(ofStaged);
    this.#options.store.deleteBackup([...this.#segments.keys()]);
    return staged + (await this.#sync.purge(ofStored));
  }

  /** Takes what it knows of stored segments, because they get other keys: they are no longer its own. */
  takeStored(): TrackedSegment[] {
    const segments = this.#segments.takeStored();
    const handles = Float64Array.from(segments, ({ handle }) => handle);
    this.send((port, now) => port.input_list(OUTBOX_LIST_INPUTS.movedAway, now, 0, 0, handles));
    return segments;
  }

  /** Takes over rows that were moved into its scope, and the segments that are known of them. */
  addStored(segments: TrackedSegment[], counts: StoreCounts): void {
    for (const segment of segments) this.#segments.addStored(segment);
    const { dead, deadBytes } = counts;
    // Only the leader finds the segments; for others they are pending at the leader.
    const { events, bytes } = this.isLeader ? counts : NOTHING;
    this.send((port, now) => port.input(OUTBOX_INPUTS.storeAdded, now, events, bytes, dead, deadBytes));
    this.#sync.leadership.broadcastLazily(() => ({ isNew: true }));
  }

  /** Others may have stored segments. */
  storeChanged(): void {
    this.send((port, now) => port.input(OUTBOX_INPUTS.storeChanged, now));
  }

  /** Waits until the machine knows what the store contains. @throws {FerryError} `ERR_STORE`, `ERR_CLOSED` */
  untilCounted(): Promise<void> {
    return this.#sync.untilCounted();
  }

  /** The oldest pending events. */
  async inspect(limit: number): Promise<PendingEvent[]> {
    await this.untilCounted();
    const stored = await this.storeClient.call((store) =>
      store.peek({ events: limit, bytes: Number.MAX_SAFE_INTEGER, skip: new Set() }),
    );
    const known = [...this.#segments.known()];
    return pendingEvents(this.#options.wire, stored, known, this.#delivery.lastError).slice(0, limit);
  }

  async dead(limit: number): Promise<DeadLetter[]> {
    await this.untilCounted();
    return this.storeClient.dead(limit);
  }

  removeDead(letters: DeadLetter[], isReplay: boolean): Promise<number> {
    return this.#sync.dead.remove(letters, isReplay);
  }

  async close(): Promise<void> {
    this.staging.isClosed = true;
    if (this.#sync.isOpening) {
      // What is stored need not wait for more.
      this.staging.flushNow();
      this.pause(true);
      await this.untilSettled(this.storeClient.closeTimeoutMs);
    }
    this.#machine.stop();
    this.storeClient.stop();
    for (const segment of [...this.#segments.all(), ...this.#recovery.lost]) segment.abandon(outboxClosed());
    this.#waiters.recheck();
    // A store that does not answer must not hold up the end.
    await this.#waiters.withTimeout(this.storeClient.closeTimeoutMs, this.#sync.close()).catch(() => undefined);
    this.#waiters.end();
  }

  #onForget(handle: number, isStored: boolean): void {
    const segment = this.#segments.get(handle);
    this.#segments.forget(handle, isStored);
    if (isStored) this.#sync.onEvicted(segment);
  }
}
