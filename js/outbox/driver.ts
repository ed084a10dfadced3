/**
 * Connects the machine of the outbox (`src/outbox/machine.rs`) with sessions, the store and the network.
 *
 * ```text
 *   session ──stage, commit──> machine ──┬─ write, peek ────────────────────> store-sync ──store_written, …──> machine
 *                                        ├─ send ──> sender ──> exchange ──response, failure─────────────────> machine
 *                                        └─ accepted, delivered, dead, forget ──> segments ──> receipts, events
 * ```
 */
import { publish } from "../engine/modules/publish.js";
import { codeOf, FerryError, isFerryError, messageOf } from "../engine/errors.js";
import { optionNumbers } from "../engine/machine-options.js";
import {
  COUNTERS,
  OUTBOX_CLASSIFIERS,
  OUTBOX_OPTIONS,
  type OutboxEffects,
  type OutboxPort,
  type PublishGlue,
} from "../engine/ports.js";
import { Pump } from "../engine/pump.js";
import { startTimer, unixNow } from "../platform/clock.js";
import type { ExchangeOutcome, FetchLike } from "../platform/fetch.js";
import { random } from "../platform/random.js";
import { Waiters } from "../platform/waiters.js";
import type { SharedStore } from "../stores/shared-store.js";
import type { DeadLetter, StoreCounts } from "../stores/store.js";
import { type Credit, MAX_CREDIT_BYTES, NO_CREDIT } from "./credit.js";
import type { DeadLetterBound } from "./dead-letter-limits.js";
import { toDeadLetter } from "./dead-letters.js";
import { InFlight } from "./in-flight.js";
import { Expiry } from "./expiry.js";
import { Keys } from "./keys.js";
import type { MachineConfig } from "./options.js";
import { orderingKeyOf } from "./ordering-key.js";
import { type PendingEvent, pendingEvents } from "./pending-events.js";
import { SegmentTable } from "./segment-table.js";
import { absent, Sender, type SenderOptions } from "./sender.js";
import type { SessionHost } from "./session.js";
import type { SessionBuffer } from "./session-buffer.js";
import type { StoreClient } from "./store-client.js";
import { outboxClosed, StoreSync, type StoreSyncHost } from "./store-sync.js";
import type { SegmentOrigin, TrackedSegment } from "./tracked-segment.js";
import type { Wire } from "./wire.js";

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
/** How long requests may go on after their identity is absent, beyond their own time limit. */
const SETTLE_EXTRA_MS = 10_000;
/** The delay before the n-th engine is used grows with n, in case every engine traps. */
const RESTART_DELAY_MS = 10;
const MAX_RESTART_DELAY_MS = 1000;

export class OutboxDriver<E> implements SessionHost<E>, StoreSyncHost {
  readonly wire: Wire<E>;
  readonly scope: string;
  /** Whether the application has paused it. */
  isPaused = false;
  /** Whether its identity is absent: it stores events and sends none. */
  isOnHold = false;
  /** Whether it takes no more events. */
  isClosed = false;
  /** Whether the machine is gone for good. */
  isStopped = false;
  engineGeneration = 0;
  /** How often the store did not open. */
  openFailures = 0;
  readonly stagingBuffers: Set<SessionBuffer<E>> = new Set();
  readonly #options: DriverOptions<E>;
  readonly #pump: Pump<OutboxPort, PublishGlue>;
  readonly #sender: Sender<E>;
  readonly #keys: Keys;
  readonly #expiry: Expiry<E>;
  readonly #segments: SegmentTable<E>;
  /** For what depends on the machine or the store. */
  readonly #waiters = new Waiters();
  readonly #inFlight: InFlight;
  readonly #sync: StoreSync<E>;
  /** Committed segments that a discarded engine had, and that may not be stored. */
  #toRecommit: TrackedSegment[] = [];
  #lastCounters: Float64Array | undefined;
  /** The buffer that has credit. */
  #creditHolder: SessionBuffer<E> | undefined;
  #sessionCount = 0;
  /** Why the last request failed; undefined if it did not. */
  #lastError: FerryError | undefined;
  /** Resolves when the last request of an absent identity has ended, with the number of pending events. */
  #holding: Promise<number> | undefined;

  constructor(options: DriverOptions<E>) {
    this.#options = options;
    this.wire = options.wire;
    this.scope = options.scope;
    this.#keys = new Keys(options.scope);
    this.#expiry = new Expiry(options.wire);
    this.#sender = new Sender(options, this.#expiry);
    this.#segments = new SegmentTable(options.wire);
    this.#inFlight = new InFlight(options.config.inFlightMs ?? 0);
    this.#sync = new StoreSync({
      host: this,
      wire: options.wire,
      store: options.store,
      scope: options.scope,
      segments: this.#segments,
      inFlight: this.#inFlight,
      keys: this.#keys,
      expiry: this.#expiry,
      waiters: this.#waiters,
      deadLetters: options.deadLetters,
    });
    this.#pump = new Pump<OutboxPort, PublishGlue>({
      module: publish,
      makePort: (glue, effects) =>
        new glue.OutboxPort(
          optionNumbers(OUTBOX_OPTIONS, options.config),
          options.wire.classifier ?? OUTBOX_CLASSIFIERS.byStatus,
          random(),
          effects,
        ),
      fetch: options.fetch,
      onReset: () => this.#onReset(),
      onStart: (port, now) => this.#onStart(port, now),
      handlers: {
        write: (...lists) => void this.#sync.write(this.#segments.change(...lists)),
        peek: (events, bytes) => void this.#sync.peek(events, bytes),
        send: (id, ranges, isPageHidden) => this.#onSend(id, ranges, isPageHidden),
        accepted: (handle) => this.#onAccepted(handle),
        delivered: (...details) => this.#onDelivered(...details),
        dead: (...details) => this.#onDead(...details),
        retry: (...details) => this.#onRetry(...details),
        forget: (handle, isStored) => this.#onForget(handle, isStored),
        pressure: (isHigh) => options.emit("pressure", () => ({ isHigh, ...this.counters() })),
      } satisfies OutboxEffects,
    });
  }

  get storeClient(): StoreClient {
    return this.#sync.client;
  }

  /** Whether it is known who sends. */
  get isLeaderKnown(): boolean {
    return this.#sync.isLeaderKnown;
  }

  /** How many dead letters were removed because of their age or their share of the room. */
  get deadExpired(): number {
    return this.#sync.deadExpired;
  }

  get isLeader(): boolean {
    return this.#sync.isLeader;
  }

  // ---- sessions

  newSessionId(): number {
    return ++this.#sessionCount;
  }

  stage(session: number, size: number, key: string | undefined): number {
    if (this.isClosed) throw outboxClosed();
    const { port } = this.#pump;
    try {
      return port.stage(session, size, key === undefined ? 0 : orderingKeyOf(key));
    } catch (error) {
      throw publish.trapped(error);
    }
  }

  credit(session: number): Credit {
    try {
      const credit = this.query((port) => port.credit(session, MAX_CREDIT_BYTES));
      return { bytes: credit % 2 ** 32, events: Math.floor(credit / 2 ** 32) };
    } catch {
      return NO_CREDIT;
    }
  }

  grantCredit(buffer: SessionBuffer<E>): void {
    this.#creditHolder?.returnCredit();
    this.#creditHolder = buffer;
  }

  stageMany(session: number, generation: number, sizes: number[], orderingKeys: ArrayLike<number>): void {
    if (generation !== this.engineGeneration || this.isClosed) return;
    try {
      this.query((port) => port.stage_many(session, Uint32Array.from(sizes), Uint32Array.from(orderingKeys)));
    } catch {
      // The engine trapped and forgot the session. The commit tells the next engine all of it.
    }
  }

  commit(origin: SegmentOrigin, segments: TrackedSegment[]): void {
    if (segments.length === 0) return;
    if (this.isClosed) {
      for (const segment of segments) segment.abandon(outboxClosed());
      throw outboxClosed();
    }
    void this.open();
    const at = unixNow();
    const eventCount = segments.reduce((sum, { count }) => sum + count, 0);
    for (const segment of segments) {
      segment.at = at;
      segment.key = this.#keys.next(at);
      segment.origin = origin;
      if (this.wire.onCommit) for (const text of segment.texts(0, segment.count)) this.wire.onCommit(text, eventCount);
    }
    try {
      this.send((port, now) => {
        // Events that were staged in a discarded engine are unknown to the present one.
        const isKnown = ({ generation }: TrackedSegment) => generation === this.engineGeneration;
        const known = segments.filter(isKnown);
        for (const segment of segments) if (!isKnown(segment)) this.#recommit(port, now, segment);
        const [{ body, sizes }] = segments as [TrackedSegment];
        const handles = port.commit(now, origin.id, this.#sync.maxGroupedEvents(body!, sizes));
        known.forEach((segment, index) => {
          this.#segments.add(segment, handles[index]!);
          this.#expiry.tellTimes(port, now, segment);
        });
        for (const segment of segments) this.#sender.compressSegment(segment);
      });
    } catch {
      // The engine trapped. The next one gets the segments.
      this.#toRecommit = [...new Set([...this.#toRecommit, ...segments])];
    }
  }

  rollBack(session: number): void {
    if (!this.isClosed) this.send((port) => port.roll_back(session));
  }

  queueFull(): FerryError {
    const { bytes } = this.counters();
    const maxBytes = this.#options.config.maxBytes;
    return new FerryError("ERR_QUEUE_FULL", `the outbox is full: it holds ${bytes} of ${maxBytes} bytes`);
  }

  // ---- commands

  /** Opens the store and joins the leader election. Resolves with whether the store is open; never rejects. */
  open(): Promise<boolean> {
    return this.#sync.open();
  }

  /** Gives the machine an input, then rechecks what waits for it. */
  send<T>(input: (port: OutboxPort, now: number) => T): T {
    const result = this.#pump.send(input);
    this.#waiters.recheck();
    return result;
  }

  /** The same, for an input that no caller waits for. */
  sendInBackground(input: (port: OutboxPort, now: number) => void): void {
    this.#pump.sendInBackground(input);
    this.#waiters.recheck();
  }

  /**
   * The store did not open. Events that wait for it are staged again, and everybody who waits for it is told. The next
   * call tries again.
   */
  onOpenFailed(error: FerryError): void {
    this.openFailures++;
    const byOrigin = new Map<SegmentOrigin, TrackedSegment[]>();
    for (const segment of this.#segments.known())
      if (segment.origin) byOrigin.set(segment.origin, [...(byOrigin.get(segment.origin) ?? []), segment]);
    for (const [origin, waiting] of byOrigin) {
      const handles = Uint32Array.from(waiting, ({ handle }) => handle);
      const staged = new Set(this.send((port, now) => port.uncommit(now, origin.id, handles)));
      const segments = waiting.filter(({ handle }) => staged.has(handle));
      for (const segment of segments) {
        segment.ids = this.#segments.ids(segment, 0, segment.count);
        this.#segments.remove(segment);
      }
      origin.restage(segments);
      for (const segment of segments) segment.failStore(error);
    }
    this.#waiters.recheck();
  }

  query<T>(question: (port: OutboxPort) => T): T {
    return this.#pump.query(question);
  }

  isTrue(question: (port: OutboxPort) => boolean): boolean {
    try {
      return this.#pump.isRunning && this.query(question);
    } catch (error) {
      // The engine trapped. The next one is asked again.
      if (!isFerryError(error, "ERR_INTERNAL")) throw error;
      return false;
    }
  }

  /** Resolves with true when the machine answers a question with true, with false when the wait ends earlier. */
  untilTrue(question: (port: OutboxPort) => boolean, signal?: AbortSignal, deadlineMs?: number): Promise<boolean> {
    return this.#waiters.until(() => this.isTrue(question), signal, deadlineMs);
  }

  emit(type: string, detail: () => object): void {
    this.#options.emit(type, detail);
  }

  flushNow(): void {
    void this.open();
    this.send((port, now) => port.flush_now(now));
  }

  pause(isPaused: boolean): void {
    this.isPaused = isPaused;
    this.#updatePause();
  }

  /**
   * Its identity is absent: sends nothing until `unhold`. Requests in flight finish, and then another tab in which the
   * identity is present may lead.
   */
  hold(): void {
    if (this.isOnHold || this.isClosed) return;
    this.isOnHold = true;
    this.#updatePause();
    this.#holding = this.#resignWhenSettled();
  }

  /** Resolves once it is on hold and no request is in flight, with the number of its pending events. */
  async untilHeld(deadlineMs: number): Promise<number> {
    await this.untilTrue((port) => port.is_settled(), undefined, deadlineMs);
    // After the resignation only events that were committed here are known.
    return (await Promise.race([this.#holding, undefined])) ?? this.counters().pending;
  }

  /** Its identity is present again. */
  unhold(): void {
    if (!this.isOnHold || this.isClosed) return;
    this.isOnHold = false;
    this.#holding = undefined;
    this.#updatePause();
    this.online();
    this.#sync.joinElection();
  }

  /** Whether everything is delivered or dead, also what others have stored. */
  get isDrained(): boolean {
    return this.#sync.isLeaderKnown && this.isTrue((port) => port.is_drained()) && this.#sync.isStoreEmpty;
  }

  /** Finds out whether the store is empty, until the returned function is called. */
  awaitEmptyStore(): () => void {
    return this.#sync.watch.awaitEmpty();
  }

  /** Whether nothing is staged or waits to be delivered. */
  get isIdle(): boolean {
    const { staged, pending } = this.counters();
    return staged === 0 && pending === 0 && this.isTrue((port) => port.is_settled());
  }

  /** Ends backoff delays, because requests may succeed now. */
  online(): void {
    if (!this.isClosed) this.send((port, now) => port.online(now));
  }

  counters(): Record<(typeof COUNTERS)[number], number> {
    this.#creditHolder?.returnCredit();
    const numbers = this.isStopped ? this.#lastCounters : this.#pump.query((port) => port.counters());
    return Object.fromEntries(COUNTERS.map((name, at) => [name, numbers?.[at] ?? 0])) as Record<
      (typeof COUNTERS)[number],
      number
    >;
  }

  /** When the oldest pending event known here was committed, in Unix milliseconds. */
  oldest(): number | undefined {
    return this.#segments.oldest();
  }

  /** The page is hidden or closed: sends what fits into requests that survive it, if `shouldResend`. */
  pageHidden(shouldResend: boolean): void {
    const bytes = this.#sender.keepaliveCapacity(this.#segments.known());
    if (shouldResend && this.#pump.isRunning)
      this.send((port, now) => port.page_hidden(now, bytes, this.#options.gzip));
  }

  /** The page is hidden, or it ends: saves what is not stored yet. */
  backUp(isEnding: boolean): void {
    const segments = [...this.#segments.unstored()].map((segment) => segment.toSegment(segment.pendingIndices()));
    const unsaved = this.#options.store.backUp(segments);
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
    this.#sync.resign();
  }

  joinElection(): void {
    this.#sync.joinElection();
  }

  /** Deletes the staged, stored and dead events. Their receipts reject with the errors. Returns how many there were. */
  async purge(ofStaged: FerryError, ofStored: FerryError): Promise<number> {
    let staged = 0;
    for (const buffer of [...this.stagingBuffers]) staged += buffer.rollback(ofStaged).length;
    this.#options.store.deleteBackup([...this.#segments.keys()]);
    return staged + (await this.#sync.purge(ofStored));
  }

  /** Takes what it knows of stored segments, because they get other keys: they are no longer its own. */
  takeStored(): TrackedSegment[] {
    const segments = this.#segments.takeStored();
    this.send((port, now) =>
      port.moved_away(
        now,
        Uint32Array.from(segments, ({ handle }) => handle),
      ),
    );
    return segments;
  }

  /** Takes over rows that were moved into its scope, and the segments that are known of them. */
  addStored(segments: TrackedSegment[], counts: StoreCounts): void {
    for (const segment of segments) this.#segments.addStored(segment);
    const { dead, deadBytes } = counts;
    // Only the leader finds the segments; for others they are pending at the leader.
    const { events, bytes } = this.isLeader ? counts : NOTHING;
    this.send((port, now) => port.store_added(now, events, bytes, dead, deadBytes));
    this.#sync.broadcastLazily(() => ({ isNew: true }));
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
    return pendingEvents(this.wire, stored, [...this.#segments.known()], this.#lastError).slice(0, limit);
  }

  dead(limit: number): Promise<DeadLetter[]> {
    return this.#sync.dead(limit);
  }

  removeDead(letters: DeadLetter[], isReplay: boolean): Promise<number> {
    return this.#sync.removeDead(letters, isReplay);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    if (this.#sync.isOpening) {
      // What is stored need not wait for more.
      this.flushNow();
      this.pause(true);
      await this.untilTrue((port) => port.is_settled(), undefined, this.storeClient.closeTimeoutMs);
    }
    if (this.#pump.isRunning) this.#lastCounters = this.#pump.query((port) => port.counters());
    this.isStopped = true;
    this.storeClient.stop();
    this.#pump.close();
    for (const segment of [...this.#segments.all(), ...this.#toRecommit]) segment.abandon(outboxClosed());
    this.#waiters.recheck();
    // A store that does not answer must not hold up the end.
    await this.#waiters.withTimeout(this.storeClient.closeTimeoutMs, this.#sync.close()).catch(() => undefined);
    this.#waiters.end();
  }

  // ---- effects of the machine

  #onSend(id: number, ranges: Uint32Array, isPageHidden: boolean): void {
    if (!this.#options.isPresent()) {
      this.send((port, now) => port.not_sent(now, id));
      return;
    }
    const [batch, compressedBody] = this.#segments.batch(ranges);
    this.#inFlight.start(id, () => this.#segments.ranges(ranges));
    const makePlan = () => this.#sender.plan(batch, isPageHidden, compressedBody);
    // What only this outbox has, nobody else can send.
    const mayStart = !this.#segments.hasStored(ranges) || this.#sync.confirmLead();
    const plan = typeof mayStart === "boolean" ? makePlan() : mayStart.then((leads) => (leads ? makePlan() : absent()));
    const report = (port: OutboxPort, now: number, outcome: ExchangeOutcome) => {
      this.#inFlight.end(id);
      this.#sender.reportOutcome(port, now, id, outcome, batch, (cause) => {
        this.#pump.cause = cause;
      });
      // After the effects of the outcome. Not with queueMicrotask, for which Node creates an async context.
      void Promise.resolve().then(() => this.#waiters.recheck());
    };
    this.#pump.startExchange(id, plan, report, this.#options.timeoutMs);
  }

  #onForget(handle: number, isStored: boolean): void {
    const segment = this.#segments.get(handle);
    this.#segments.forget(handle, isStored);
    if (isStored) this.#sync.onEvicted(segment);
  }

  #onAccepted(handle: number): void {
    const segment = this.#segments.get(handle);
    segment.markAccepted();
    this.emit("accepted", () => ({ ids: this.#segments.ids(segment, 0, segment.count) }));
  }

  #onDelivered(handle: number, from: number, to: number, status: number, attempts: number): void {
    this.#lastError = undefined;
    const segment = this.#segments.get(handle);
    const isAll = to - from === segment.count;
    const ids = () => this.#segments.ids(segment, from, to);
    segment.markDelivered(from, to, status, attempts);
    this.emit("delivered", () => ({ ids: ids(), status, attempts }));
    const part = () => ({ ids: ids(), bytes: segment.bytesOf(from, to) });
    this.#sync.broadcastLazily(() => ({ key: segment.key, status, attempts, ...(!isAll && part()) }));
  }

  #onDead(
    handle: number,
    index: number,
    attempts: number,
    code: number,
    status: number,
    detail: string,
    isAlone: boolean,
  ): void {
    const segment = this.#segments.get(handle);
    const message = messageOf(codeOf(code), status, this.#sender.secrets.redact(detail));
    const cause = this.#sender.secrets.redactError(this.#pump.cause);
    const error = new FerryError(codeOf(code), message, {
      status: status || undefined,
      ...(cause !== undefined && { cause }),
    });
    const letter = toDeadLetter(segment, index, error, status, attempts, isAlone);
    const id = this.wire.idOf(letter.body);
    segment.markDead(index, error, letter);
    this.emit("dead", () => ({ id, error, attempts }));
    this.#sync.broadcastLazily(() => ({
      key: segment.key,
      ids: [id],
      bytes: segment.bytesOf(index, index + 1),
      status,
      attempts,
      code: error.code,
      message,
    }));
  }

  #onRetry(delayMs: number, failures: number, code: number, status: number, detail: string, isBlocked: boolean): void {
    const { secrets } = this.#sender;
    const cause = secrets.redactError(this.#pump.cause);
    // An error that prevented the request, such as a header that HTTP does not allow, says more than the machine's.
    const error =
      cause instanceof FerryError
        ? cause
        : new FerryError(codeOf(code), messageOf(codeOf(code), status, secrets.redact(detail)), {
            status: status || undefined,
            ...(cause !== undefined && { cause }),
          });
    this.#lastError = error;
    this.emit("retry", () => ({ error, delayMs, failures }));
    if (!error.retryable || isBlocked) this.emit("degraded", () => ({ error }));
  }

  // ---- traps

  /**
   * The engine was discarded. The next one finds the stored segments in the store, and the others are committed to it
   * again.
   */
  #onReset(): void {
    const generation = ++this.engineGeneration;
    this.#toRecommit.push(...this.#segments.reset());
    // Without this timer, pending events would wait for the next call.
    const restart = () => {
      if (!this.isStopped && generation === this.engineGeneration) this.#sync.recount();
    };
    startTimer(restart, Math.min(RESTART_DELAY_MS * generation, MAX_RESTART_DELAY_MS));
  }

  #onStart(port: OutboxPort, now: number): void {
    // If the engine traps again, the remaining segments are still in the list.
    while (this.#toRecommit.length > 0) {
      this.#recommit(port, now, this.#toRecommit[0]!);
      this.#toRecommit.shift();
    }
    port.pause(now, this.isPaused || this.isOnHold || this.isClosed);
  }

  /** Returns how many events were pending when the last request had ended. */
  async #resignWhenSettled(): Promise<number> {
    const deadlineMs = this.#options.timeoutMs + SETTLE_EXTRA_MS;
    await this.untilTrue((port) => port.is_settled(), undefined, deadlineMs);
    const { pending } = this.counters();
    if (this.isOnHold && !this.isStopped) this.#sync.resign();
    return pending;
  }

  #updatePause(): void {
    const isPaused = this.isPaused || this.isOnHold;
    this.send((port, now) => port.pause(now, isPaused));
  }

  #recommit(port: OutboxPort, now: number, segment: TrackedSegment): void {
    const { body, sizes, orderingKeys } = segment;
    const maxGroupedEvents = this.#sync.maxGroupedEvents(body!, sizes);
    const handle = port.recommit(now, Uint32Array.from(sizes), Uint32Array.from(orderingKeys), maxGroupedEvents);
    this.#segments.add(segment, handle);
    this.#expiry.tellTimes(port, now, segment);
  }
}
