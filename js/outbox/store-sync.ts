/**
 * Keeps the machine and the store in agreement: counts, writes and reads the store, elects the tab that sends, and
 * exchanges messages with other tabs.
 *
 * ```text
 *   machine ──write, peek──> store ──store_written, segment_found, store_peeked──> machine
 *   other tab ──message────> store_changed, settled_elsewhere ───────────────────> machine
 * ```
 */
import { FerryError } from "../engine/errors.js";
import { type OutboxPort, PEEK_RESULT } from "../engine/ports.js";
import { unixNow } from "../platform/clock.js";
import { LeaderElection } from "../platform/leader.js";
import type { Waiters } from "../platform/waiters.js";
import type { SharedStore } from "../stores/shared-store.js";
import type { Change, DeadLetter, Segment } from "../stores/store.js";
import { type DeadLetterBound, DeadLetterLimits } from "./dead-letter-limits.js";
import { toSegments } from "./dead-letters.js";
import type { Expiry } from "./expiry.js";
import type { Keys } from "./keys.js";
import type { InFlight } from "./in-flight.js";
import { fromStoredProgress } from "./progress.js";
import type { SegmentTable } from "./segment-table.js";
import { NO_CHANGE, StoreClient } from "./store-client.js";
import { StoreWatch } from "./store-watch.js";
import type { TabMessage } from "./tab-message.js";
import { commonEvents } from "./stored-events.js";
import { TrackedSegment } from "./tracked-segment.js";
import type { Wire } from "./wire.js";

/** The driver as the store's side sees it. */
export interface StoreSyncHost {
  /** Whether the outbox takes no more events. */
  readonly isClosed: boolean;
  /** Whether the machine is gone for good. */
  readonly isStopped: boolean;
  /** Whether the identity is absent: another tab may lead. */
  readonly isOnHold: boolean;
  readonly engineGeneration: number;
  send<T>(input: (port: OutboxPort, now: number) => T): T;
  sendInBackground(input: (port: OutboxPort, now: number) => void): void;
  /** Whether the machine answers a question with true. False if there is no machine. */
  isTrue(question: (port: OutboxPort) => boolean): boolean;
  emit(type: string, detail: () => object): void;
  /** The store did not open. */
  onOpenFailed(error: FerryError): void;
}

export interface StoreSyncOptions<E> {
  host: StoreSyncHost;
  wire: Wire<E>;
  store: SharedStore;
  scope: string;
  segments: SegmentTable<E>;
  inFlight: InFlight;
  keys: Keys;
  expiry: Expiry<E>;
  waiters: Waiters;
  deadLetters: DeadLetterBound;
}

const NO_ORDERING_KEYS = new Uint32Array(0);

export class StoreSync<E> {
  readonly client: StoreClient;
  readonly watch: StoreWatch<E>;
  /** How many dead letters were removed because of their age or their share. */
  deadExpired = 0;
  readonly #limits: DeadLetterLimits;
  isLeader = false;
  readonly #host: StoreSyncHost;
  readonly #wire: Wire<E>;
  readonly #segments: SegmentTable<E>;
  readonly #inFlight: InFlight;
  readonly #keys: Keys;
  readonly #expiry: Expiry<E>;
  readonly #waiters: Waiters;
  #election: LeaderElection<TabMessage> | undefined;
  /** Whether it is known who leads. */
  isLeaderKnown = false;
  /** Whether that was known at any time. */
  #wasLeaderKnown = false;
  #opening: Promise<boolean> | undefined;
  /** The engine that knows what the store contains. */
  #countedGeneration = -1;
  #purging: Promise<unknown> | undefined;
  #purges = 0;

  constructor({
    host,
    wire,
    store,
    scope,
    segments,
    inFlight,
    keys,
    expiry,
    waiters,
    deadLetters,
  }: StoreSyncOptions<E>) {
    this.#host = host;
    this.#wire = wire;
    this.#segments = segments;
    this.#inFlight = inFlight;
    this.#keys = keys;
    this.#expiry = expiry;
    this.#waiters = waiters;
    this.#limits = new DeadLetterLimits({
      ...deadLetters,
      isResponsible: () => this.isLeader,
      read: (limit) => this.client.dead(limit),
      remove: (letters) => this.#expire(letters),
    });
    this.client = new StoreClient(store, scope, waiters, (error) => this.#host.emit("degraded", () => ({ error })));
    this.watch = new StoreWatch({
      client: this.client,
      segments,
      wire,
      isLeader: () => this.isLeader,
      hasNews: () => this.#election?.hasNews === true,
      onSettled: (segment, settled, bytes) => this.#tellSettled(segment, settled, bytes),
      onLook: () => this.#waiters.recheck(),
      onSearch: () => this.#host.sendInBackground((port, now) => port.store_changed(now)),
    });
  }

  /** Whether `open` was called. */
  get isOpening(): boolean {
    return this.#opening !== undefined;
  }

  /** Opens the store and joins the leader election. Resolves with whether the store is open; never rejects. */
  open(): Promise<boolean> {
    this.#opening ??= this.#open().then((isOpen) => this.#opened(isOpen));
    return this.#opening;
  }

  /** Gives the machine of a new engine the counts of the store. */
  recount(): void {
    if (this.client.traits) void this.#count().then((isOpen) => this.#opened(isOpen));
  }

  /** Deletes all segments and dead letters. Receipts reject with the error. Returns how many events those had. */
  async purge(error: FerryError): Promise<number> {
    await this.untilCounted();
    this.#purges++;
    // Deferred until the machine has forgotten all segments, below. Segments that are committed meanwhile are kept.
    this.#purging = Promise.resolve().then(() => this.client.deleteAll(() => this.#segments.keys()));
    const segments = this.#segments.all();
    const purged = this.#host.send((port, now) => port.purge(now));
    for (const segment of segments) segment.abandon(error);
    this.#segments.clearKeys();
    await this.#purging;
    return purged;
  }

  async dead(limit: number): Promise<DeadLetter[]> {
    await this.untilCounted();
    return this.client.dead(limit);
  }

  /** Removes dead letters. `isReplay`: their events are stored again under new keys. Returns how many there were. */
  async removeDead(letters: DeadLetter[], isReplay: boolean): Promise<number> {
    if (letters.length === 0) return 0;
    const put = isReplay ? toSegments(this.#wire, letters, (unixMs) => this.#keys.next(unixMs)) : [];
    const deadRemove = letters.map(({ key }) => key);
    try {
      await this.client.call((store) => store.write({ ...NO_CHANGE, put, deadRemove }));
    } catch (error) {
      void this.#settleRemoval(letters, isReplay);
      throw error;
    }
    this.#removed(letters, isReplay);
    return letters.length;
  }

  /** A removal has failed, though it may have been applied: finds out, as soon as the store can be read. */
  async #settleRemoval(letters: readonly DeadLetter[], isReplay: boolean): Promise<void> {
    await this.client.retry(async () => {
      const remaining = new Set((await this.client.dead(Infinity)).map(({ key }) => key));
      const removed = letters.filter(({ key }) => !remaining.has(key));
      if (removed.length > 0 && !this.#host.isStopped) this.#removed(removed, isReplay);
    });
  }

  async #expire(letters: readonly DeadLetter[]): Promise<void> {
    await this.client.call((store) => store.write({ ...NO_CHANGE, deadRemove: letters.map(({ key }) => key) }));
    if (this.#host.isStopped) return;
    this.deadExpired += letters.length;
    this.#removed(letters, false);
    this.#host.emit("dead-expired", () => ({ ids: letters.map(({ body }) => this.#wire.idOf(body)) }));
  }

  #removed(letters: readonly DeadLetter[], isReplay: boolean): void {
    const bytes = letters.reduce((sum, { body }) => sum + body.length, 0);
    this.#limits.changed(-bytes);
    this.#host.send((port, now) => port.dead_removed(now, letters.length, bytes, isReplay));
    this.#election?.broadcast({ isNew: true, deadBytes: bytes });
  }

  /** Acts on a `write` effect. */
  async write(change: Change): Promise<void> {
    const generation = this.#host.engineGeneration;
    // No `await` where it is not needed: the page may be closed.
    const rewritten = change.put.filter(({ key }) => this.#segments.getByKey(key)?.isAccepted);
    const isCertain = rewritten.length === 0 || this.confirmLead() === true;
    const isDone = await this.client.write(isCertain ? change : await this.#withoutSettled(change, rewritten));
    if (this.#isObsolete(generation)) return;
    if (isDone && change.put.length > 0) this.#election?.broadcast({ isNew: true });
    if (isDone) for (const { body } of change.deadPut) this.#limits.changed(body.length);
    this.#host.sendInBackground((port, now) => port.store_written(now, isDone));
    if (isDone && change.deadPut.length > 0) void this.#limits.enforce();
    if (this.client.hasWakeUp && this.#host.isTrue((port) => port.is_drained())) await this.client.cancelWakeUp();
  }

  /** Acts on a `peek` effect. */
  async peek(events: number, bytes: number, isRepeated = false): Promise<void> {
    const generation = this.#host.engineGeneration;
    // Segments that are being deleted must not be found.
    const purges = this.#purges;
    await this.#purging?.catch(() => undefined);
    const segments = await this.client.peek(events, bytes, this.#segments.knownKeys());
    if (this.#isObsolete(generation)) return;
    // Segments that are gone were settled by others; the store tells whether they are dead.
    if (segments?.length === 0 && this.client.traits?.isShared) await this.watch.look();
    if (this.#isObsolete(generation)) return;
    if (segments && segments.length > 0) this.#inFlight.load();
    // A segment may have been committed while the store was reading.
    const found = segments?.filter(({ key }) => purges === this.#purges && !this.#segments.getByKey(key)?.body);
    // The limit may have been used up by segments that are known here.
    if (segments && segments.length > 0 && found!.length === 0 && !isRepeated) return this.peek(events, bytes, true);
    this.#host.sendInBackground((port, now) => {
      for (const segment of found ?? []) this.#found(port, now, segment);
      const result = !found ? PEEK_RESULT.failed : found.length > 0 ? PEEK_RESULT.found : PEEK_RESULT.foundNothing;
      port.store_peeked(now, result);
    });
    this.watch.noteSearch((found?.length ?? 0) > 0);
  }

  /**
   * How many events of a segment may share a request, which then has no others; 0 if they may share it with any events.
   */
  maxGroupedEvents(body: Uint8Array, sizes: ArrayLike<number>): number {
    return this.#wire.grouping && sizes.length > 0 ? this.#wire.grouping(body.subarray(0, sizes[0])).maxEvents : 0;
  }

  /** Tells other tabs something, if there are any. */
  broadcastLazily(message: () => TabMessage): void {
    this.#election?.broadcastLazily(message);
  }

  /**
   * Whether it may start a request. A promise if it has to ask, because it may have hung for so long that another tab or
   * process was elected.
   */
  confirmLead(): boolean | Promise<boolean> {
    return this.#election?.confirm() ?? false;
  }

  /** Whether the store has no events of this scope, as far as this tab or process has to know. */
  get isStoreEmpty(): boolean {
    return this.isLeader || this.watch.storedEvents === 0;
  }

  joinElection(): void {
    if (this.#isCounted) this.#election?.join();
  }

  resign(): void {
    this.#election?.release();
    this.isLeaderKnown = false;
  }

  /** Resolves when the store is needed no more. */
  async close(): Promise<void> {
    this.#limits.stop();
    this.watch.stop();
    await this.#election?.close();
  }

  async #open(): Promise<boolean> {
    if (!(await this.client.open()) || this.#host.isStopped) return false;
    this.#election ??= new LeaderElection(this.client.electionScope, {
      onLeaderChange: (leads) => {
        const isChanged = this.isLeader !== leads || !this.#wasLeaderKnown;
        const isSuccessor = leads && this.#wasLeaderKnown;
        this.isLeader = leads;
        this.isLeaderKnown = this.#wasLeaderKnown = true;
        if (this.#isCounted) this.#host.sendInBackground((port, now) => port.set_leader(now, leads));
        if (isSuccessor) void this.#limits.takeOver();
        else if (leads) void this.#limits.enforce();
        if (isChanged) this.#host.emit("leader", () => ({ leads }));
        this.watch.storedEvents = undefined;
        if (isChanged && !leads) void this.watch.look();
        else this.watch.update();
      },
      onMessage: (message) => this.#onMessage(message),
    });
    if (!(await this.#count())) return false;
    if (!this.#host.isClosed && !this.#host.isOnHold) this.#election.join();
    return true;
  }

  /** An attempt to open has ended. After a failure the next call tries again. */
  #opened(isOpen: boolean): boolean {
    if (isOpen || this.#host.isStopped) return isOpen;
    this.#opening = undefined;
    this.#host.onOpenFailed(this.client.lastError as FerryError);
    return false;
  }

  get #isCounted(): boolean {
    return this.#countedGeneration === this.#host.engineGeneration;
  }

  /** Waits until the machine knows what the store contains. Rejects if the store fails. */
  async untilCounted(): Promise<void> {
    if (this.#host.isClosed) throw outboxClosed();
    void this.open();
    await this.#waiters.until(() => this.#isCounted || this.client.lastError !== undefined);
    if (this.#host.isClosed) throw outboxClosed();
    if (!this.#isCounted) throw this.client.lastError;
  }

  /** Tells the machine once what the store contains, and thereby that it is open. */
  #count(): Promise<boolean> {
    return this.client.retry(async () => {
      const generation = this.#host.engineGeneration;
      const { events, bytes, dead, deadBytes, lastKey } = await this.client.count();
      // A new engine counts anew, because its predecessor may have written since.
      if (this.#isObsolete(generation) || this.#countedGeneration === generation) return;
      // Nothing is written yet, so waiting segments can still get other keys.
      if (this.#countedGeneration < 0 && this.#keys.follow(lastKey)) this.#segments.renewKeys(this.#keys);
      this.#countedGeneration = generation;
      this.#host.sendInBackground((port, now) => {
        port.store_opened(now, events, bytes, dead, deadBytes);
        if (this.isLeaderKnown) port.set_leader(now, this.isLeader);
      });
      this.#limits.counted(deadBytes);
      if (dead > 0) void this.#limits.enforce();
    });
  }

  /** Whether the machine that asked is gone. */
  #isObsolete(generation: number): boolean {
    return this.#host.isStopped || generation !== this.#host.engineGeneration;
  }

  #found(port: OutboxPort, now: number, stored: Segment): void {
    const { key, at, body, sizes, orderingKeys = NO_ORDERING_KEYS, isReplayed = false } = stored;
    const known = this.#segments.getByKey(key);
    const isUnchanged = known !== undefined && known.count === sizes.length;
    const segment = isUnchanged ? known : new TrackedSegment();
    const ageMs = Math.max(0, unixNow() - at);
    const maxGroupedEvents = this.maxGroupedEvents(body, sizes);
    const progress = fromStoredProgress(this.#inFlight.withSaved(key, sizes.length, stored.progress));
    const handle = port.segment_found(now, sizes, orderingKeys, maxGroupedEvents, ageMs, known?.handle ?? 0, progress);
    Object.assign(segment, { at, key, body, sizes, orderingKeys, isAccepted: true, isReplayed });
    if (!isUnchanged) Object.assign(segment, { pending: segment.count, mayExpire: true });
    if (known && !isUnchanged) segment.replace(known, (index) => this.#wire.idOf(segment.slice(index, index + 1)));
    this.#segments.add(segment, handle);
    this.#expiry.tellTimes(port, now, segment);
  }

  /** Another tab has stored segments, removed dead letters, or settled events of a segment that was committed here. */
  #onMessage(news: TabMessage): void {
    const { isNew, key, deadBytes = 0 } = news;
    this.#limits.changed(-deadBytes);
    if (isNew) this.#host.sendInBackground((port, now) => port.store_changed(now));
    const segment = key === undefined ? undefined : this.#segments.getByKey(key);
    if (segment?.body && this.isLeader && !news.code) this.#deliveredElsewhere(segment, news);
    // The machine still has it: the news are faster than the end of its write.
    else if (segment?.body) segment.news.push(news);
    else if (segment) this.#settleElsewhere(segment, news);
  }

  /** The machine has forgotten a segment that is only in the store now: acts on what other tabs have told of it. */
  onEvicted(segment: TrackedSegment): void {
    for (const news of segment.news.splice(0)) this.#settleElsewhere(segment, news);
    this.watch.update();
  }

  /**
   * A change without the events that others have settled meanwhile: one who has lost the lead still stores what the
   * answers to its own requests say, and another may have changed the same segments.
   */
  async #withoutSettled(change: Change, rewritten: readonly Segment[]): Promise<Change> {
    if (await this.confirmLead()) return change;
    try {
      const stored = await this.client.find(new Set(rewritten.map(({ key }) => key)));
      const put = change.put.flatMap((segment) => {
        if (!rewritten.includes(segment)) return [segment];
        const row = stored.get(segment.key);
        const common = row && commonEvents(segment, row, (text) => this.#wire.idOf(text));
        return common ? [common] : [];
      });
      return { ...change, put };
    } catch {
      // The write fails too, or events are delivered twice. None is lost.
      return change;
    }
  }

  #settleElsewhere(segment: TrackedSegment, { ids, bytes = 0, status, attempts, code, message }: TabMessage): void {
    const error = code && new FerryError(code, message, { status });
    const before = segment.pendingBytes;
    const count = segment.settleElsewhere(ids, status ?? 0, attempts ?? 0, error, bytes);
    const settled = error ? { delivered: 0, dead: count } : { delivered: count, dead: 0 };
    this.#tellSettled(segment, settled, before - segment.pendingBytes);
  }

  /** A former leader has got the answer to a request of its own, before this one has sent the events again. */
  #deliveredElsewhere(segment: TrackedSegment, { ids, status = 0 }: TabMessage): void {
    const wanted = new Set(ids);
    const indices = this.#segments
      .ids(segment, 0, segment.count)
      .flatMap((id, index) => (!ids || wanted.has(id) ? index : []));
    this.#host.sendInBackground((port, now) =>
      port.delivered_elsewhere(now, segment.handle, Uint32Array.from(indices), status),
    );
  }

  /** Tells the machine that others have settled events of a segment that is only in the store. */
  #tellSettled(segment: TrackedSegment, { delivered, dead }: { delivered: number; dead: number }, bytes: number): void {
    this.#host.sendInBackground((port, now) => port.settled_elsewhere(now, segment.handle, delivered, dead, bytes));
    if (segment.pending === 0) this.#segments.deleteKey(segment.key);
  }
}

export function outboxClosed(): FerryError {
  return new FerryError("ERR_CLOSED", "the outbox is closed");
}
