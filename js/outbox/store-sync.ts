/**
 * Keeps the machine and the store in agreement: counts, writes and reads the store, elects the tab that sends, and
 * exchanges messages with other tabs.
 *
 * ```text
 *   machine ──write, peek──> store ──storeWritten, segmentFound, storePeeked──> machine
 *   other tab ──message────> storeChanged, settledElsewhere ──────────────────> machine
 * ```
 */
import type { FerryError } from "../engine/errors.js";
import { OUTBOX_INPUTS, OUTBOX_LIST_INPUTS, type OutboxPort, PEEK_RESULT } from "../engine/ports.js";
import { unixNow } from "../platform/clock.js";
import type { Waiters } from "../platform/waiters.js";
import type { SharedStore } from "../stores/shared-store.js";
import type { Change, Segment } from "../stores/store.js";
import { contentsList } from "./contents-list.js";
import { DeadLetterBox } from "./dead-letter-box.js";
import type { DeadLetterBound } from "./dead-letter-limits.js";
import type { Expiry } from "./expiry.js";
import type { InFlight } from "./in-flight.js";
import type { Keys } from "./keys.js";
import { type LeaderChange, Leadership } from "./leadership.js";
import type { OutboxMachine } from "./machine.js";
import { outboxClosed } from "./outbox-closed.js";
import { fromStoredProgress } from "./progress.js";
import type { SegmentTable } from "./segment-table.js";
import { SettledElsewhere } from "./settled-elsewhere.js";
import { StoreClient } from "./store-client.js";
import { StoreWatch } from "./store-watch.js";
import type { TabMessage } from "./tab-message.js";
import { commonEvents } from "./stored-events.js";
import { TrackedSegment } from "./tracked-segment.js";
import { maxGroupedEvents, type Wire } from "./wire.js";

/** The driver as the store's side sees it. */
export interface StoreSyncHost {
  /** Whether the outbox takes no more events. */
  readonly isClosed: boolean;
  /** Whether the identity is absent: another tab may lead. */
  readonly isOnHold: boolean;
  readonly engineGeneration: number;
  emit(type: string, detail: () => object): void;
  /** The store did not open. */
  onOpenFailed(error: FerryError): void;
}

export interface StoreSyncOptions<E> {
  host: StoreSyncHost;
  machine: OutboxMachine;
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
  readonly dead: DeadLetterBox<E>;
  readonly leadership: Leadership;
  readonly #elsewhere: SettledElsewhere<E>;
  readonly #host: StoreSyncHost;
  readonly #machine: OutboxMachine;
  readonly #options: StoreSyncOptions<E>;
  readonly #segments: SegmentTable<E>;
  #opening: Promise<boolean> | undefined;
  /** The engine that knows what the store contains. */
  #countedGeneration = -1;
  #purging: Promise<unknown> | undefined;
  #purges = 0;

  constructor(options: StoreSyncOptions<E>) {
    const { host, machine, wire, store, scope, segments, keys, waiters, deadLetters } = options;
    this.#host = host;
    this.#machine = machine;
    this.#options = options;
    this.#segments = segments;
    const isLeader = () => this.leadership.isLeader;
    const emit = (type: string, detail: () => object) => host.emit(type, detail);
    this.client = new StoreClient(store, scope, waiters, (error) => emit("degraded", () => ({ error })));
    this.leadership = new Leadership({
      onChange: (change) => this.#onLeaderChange(change),
      onMessage: (message) => this.#onMessage(message),
    });
    this.dead = new DeadLetterBox({
      wire,
      keys,
      client: this.client,
      bound: deadLetters,
      isLeader,
      isStopped: () => machine.isStopped,
      onRemoved: (count, bytes, isReplay) => {
        machine.send((port, now) => port.input(OUTBOX_INPUTS.deadRemoved, now, count, bytes, isReplay));
        this.leadership.broadcast({ isNew: true, deadBytes: bytes });
      },
      emit,
    });
    this.#elsewhere = new SettledElsewhere({
      segments,
      isLeader,
      send: (input) => machine.sendInBackground(input),
    });
    this.watch = new StoreWatch({
      client: this.client,
      segments,
      wire,
      isLeader,
      hasNews: () => this.leadership.hasNews,
      onSettled: (segment, settled, bytes) => this.#elsewhere.tell(segment, settled, bytes),
      onLook: () => waiters.recheck(),
      onSearch: () => machine.sendInBackground((port, now) => port.input(OUTBOX_INPUTS.storeChanged, now)),
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
    const purged = this.#machine.send((port, now) => port.input(OUTBOX_INPUTS.purge, now));
    for (const segment of segments) segment.abandon(error);
    this.#segments.clearKeys();
    await this.#purging;
    return purged;
  }

  /** Acts on a `write` effect. */
  async write(change: Change): Promise<void> {
    const generation = this.#host.engineGeneration;
    // No `await` where it is not needed: the page may be closed.
    const rewritten = change.put.filter(({ key }) => this.#segments.getByKey(key)?.isAccepted);
    const isCertain = rewritten.length === 0 || this.confirmLead() === true;
    const isDone = await this.client.write(isCertain ? change : await this.#withoutSettled(change, rewritten));
    if (this.#isObsolete(generation)) return;
    if (isDone && change.put.length > 0) this.leadership.broadcast({ isNew: true });
    if (isDone) for (const { body } of change.deadPut) this.dead.limits.changed(body.length);
    this.#machine.sendInBackground((port, now) => port.input(OUTBOX_INPUTS.storeWritten, now, isDone));
    if (isDone && change.deadPut.length > 0) void this.dead.limits.enforce();
    if (this.client.hasWakeUp && this.#machine.isTrue(OUTBOX_INPUTS.isDrained)) await this.client.cancelWakeUp();
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
    if (segments && segments.length > 0) this.#options.inFlight.load();
    // A segment may have been committed while the store was reading.
    const found = segments?.filter(({ key }) => purges === this.#purges && !this.#segments.getByKey(key)?.body);
    // The limit may have been used up by segments that are known here.
    if (segments && segments.length > 0 && found!.length === 0 && !isRepeated) return this.peek(events, bytes, true);
    this.#machine.sendInBackground((port, now) => {
      for (const segment of found ?? []) this.#found(port, now, segment);
      const result = !found ? PEEK_RESULT.failed : found.length > 0 ? PEEK_RESULT.found : PEEK_RESULT.foundNothing;
      port.input(OUTBOX_INPUTS.storePeeked, now, result);
    });
    this.watch.noteSearch((found?.length ?? 0) > 0);
  }

  /**
   * Whether it may start a request. A promise if it has to ask, because it may have hung for so long that another tab or
   * process was elected.
   */
  confirmLead(): boolean | Promise<boolean> {
    return this.leadership.confirm();
  }

  /** Whether the store has no events of this scope, as far as this tab or process has to know. */
  get isStoreEmpty(): boolean {
    return this.leadership.isLeader || this.watch.storedEvents === 0;
  }

  joinElection(): void {
    if (this.#isCounted) this.leadership.join();
  }

  /** Resolves when the store is needed no more. */
  async close(): Promise<void> {
    this.dead.limits.stop();
    this.watch.stop();
    await this.leadership.close();
  }

  async #open(): Promise<boolean> {
    if (!(await this.client.open()) || this.#machine.isStopped) return false;
    this.leadership.open(this.client.electionScope);
    if (!(await this.#count())) return false;
    if (!this.#host.isClosed && !this.#host.isOnHold) this.leadership.join();
    return true;
  }

  #onLeaderChange({ leads, isChanged, isSuccessor }: LeaderChange): void {
    if (this.#isCounted) this.#machine.sendInBackground((port, now) => port.input(OUTBOX_INPUTS.setLeader, now, leads));
    if (isSuccessor) void this.dead.limits.takeOver();
    else if (leads) void this.dead.limits.enforce();
    if (isChanged) this.#host.emit("leader", () => ({ leads }));
    this.watch.storedEvents = undefined;
    if (isChanged && !leads) void this.watch.look();
    else this.watch.update();
  }

  /** An attempt to open has ended. After a failure the next call tries again. */
  #opened(isOpen: boolean): boolean {
    if (isOpen || this.#machine.isStopped) return isOpen;
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
    await this.#options.waiters.until(() => this.#isCounted || this.client.lastError !== undefined);
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
      if (this.#countedGeneration < 0 && this.#options.keys.follow(lastKey))
        this.#segments.renewKeys(this.#options.keys);
      this.#countedGeneration = generation;
      this.#machine.sendInBackground((port, now) => {
        const { isKnown, isLeader } = this.leadership;
        port.input(OUTBOX_INPUTS.storeOpened, now, events, bytes, dead, deadBytes);
        if (isKnown) port.input(OUTBOX_INPUTS.setLeader, now, isLeader);
      });
      this.dead.limits.counted(deadBytes);
      if (dead > 0) void this.dead.limits.enforce();
    });
  }

  /** Whether the machine that asked is gone. */
  #isObsolete(generation: number): boolean {
    return this.#machine.isStopped || generation !== this.#host.engineGeneration;
  }

  #found(port: OutboxPort, now: number, stored: Segment): void {
    const { key, at, body, sizes, orderingKeys = NO_ORDERING_KEYS, isReplayed = false } = stored;
    const known = this.#segments.getByKey(key);
    const isUnchanged = known !== undefined && known.count === sizes.length;
    const segment = isUnchanged ? known : new TrackedSegment();
    const ageMs = Math.max(0, unixNow() - at);
    const { wire, expiry, inFlight } = this.#options;
    const maxGrouped = maxGroupedEvents(wire, body, sizes);
    const progress = fromStoredProgress(inFlight.withSaved(key, sizes.length, stored.progress));
    const list = contentsList(maxGrouped, sizes, orderingKeys, progress);
    const knownHandle = known?.handle ?? 0;
    const [handle] = port.input_list(OUTBOX_LIST_INPUTS.segmentFound, now, knownHandle, ageMs, list);
    Object.assign(segment, { at, key, body, sizes, orderingKeys, isAccepted: true, isReplayed });
    if (!isUnchanged) Object.assign(segment, { pending: segment.count, mayExpire: true });
    if (known && !isUnchanged) segment.replace(known, (index) => wire.idOf(segment.slice(index, index + 1)));
    this.#segments.add(segment, handle!);
    expiry.tellTimes(port, now, segment);
  }

  /** Another tab has stored segments, removed dead letters, or settled events that are known here. */
  #onMessage(news: TabMessage): void {
    this.dead.limits.changed(-(news.deadBytes ?? 0));
    if (news.isNew) this.#machine.sendInBackground((port, now) => port.input(OUTBOX_INPUTS.storeChanged, now));
    this.#elsewhere.onMessage(news);
  }

  /** The machine has forgotten a segment that is only in the store now. */
  onEvicted(segment: TrackedSegment): void {
    this.#elsewhere.onEvicted(segment);
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
        const common = row && commonEvents(segment, row, (text) => this.#options.wire.idOf(text));
        return common ? [common] : [];
      });
      return { ...change, put };
    } catch {
      // The write fails too, or events are delivered twice. None is lost.
      return change;
    }
  }
}
