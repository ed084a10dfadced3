/**
 * Segments as the outbox tracks them: the bodies of the events, their states, and the pending promises of their
 * receipts. The machine knows a segment by its handle, the store by its key.
 */
import type { Bytes, Uint32s } from "../platform/bytes.js";
import { FerryError } from "../engine/errors.js";
import { waitFor } from "../platform/waiters.js";
import type { DeadLetter, Segment } from "../stores/store.js";
import { joinTexts } from "./json-texts.js";
import { type DeadInfo, type DeliveryInfo, SegmentOutcomes, type State, UNKNOWN_DELIVERY } from "./segment-outcomes.js";
import { SegmentWaiters } from "./segment-waiters.js";
import type { TabMessage } from "./tab-message.js";

/** What a segment was committed from. */
export interface SegmentOrigin {
  /** The number of the session in the machine. */
  readonly id: number;
  /** Stages segments again, in front of all others. */
  restage(segments: TrackedSegment[]): void;
}

export class TrackedSegment {
  /** Where it is staged again if the store does not open. Undefined before it is committed, and once it is accepted. */
  origin: SegmentOrigin | undefined;
  /** What other tabs have told of it while the machine still had it. */
  readonly news: TabMessage[] = [];
  /** Its number in the machine, 0 before it is committed. */
  handle = 0;
  key = "";
  /** When it was committed, in Unix milliseconds. */
  at = 0;
  /** The JSON texts of its events, separated by commas. Only kept while the machine knows the segment. */
  body: Bytes | undefined;
  /**
   * The compressed body of a request with all of its events. Made at commit, because a page that is closed cannot wait.
   */
  compressedBody: Bytes | undefined;
  sizes: number[] | Uint32s = [];
  /** Empty if no event has an ordering key. */
  orderingKeys: number[] | Uint32s = [];
  /** The ids of its events. Only kept until it is committed. */
  ids: string[] = [];
  isAccepted = false;
  /** Whether some of its events may expire by an attribute of their own. */
  mayExpire = false;
  /** See `Segment.isReplayed`. */
  isReplayed = false;
  /** The engine that has it staged, see `engineGeneration` of the driver. */
  readonly generation: number;
  /** How many of its first events were dropped before it was committed. */
  #droppedCount = 0;
  /** How many of these are removed from its lists. */
  #removedCount = 0;
  /** Why its pending events will make no progress. */
  #abandonError: FerryError | undefined;
  /** Why the store did not open, while the segment is staged again for that reason. */
  #storeError: FerryError | undefined;
  readonly #outcomes = new SegmentOutcomes();
  readonly #waiters = new SegmentWaiters();

  constructor(generation = 0) {
    this.generation = generation;
  }

  get count(): number {
    return this.sizes.length;
  }

  /** How many events are neither delivered nor dead. */
  get pending(): number {
    return this.#outcomes.pending;
  }

  set pending(count: number) {
    this.#outcomes.pending = count;
  }

  /** Bytes of its pending events. */
  get pendingBytes(): number {
    if (this.pending === 0) return 0;
    return Math.max(0, this.bytesOf(0, this.count) - this.#outcomes.settledBytes);
  }

  /** Whether somebody waits for its events. */
  get hasWaiters(): boolean {
    return !this.#waiters.isEmpty;
  }

  /** The bytes of the events `from` up to but not including `to`, with the commas between them. */
  slice(from: number, to: number): Bytes {
    if (from === 0 && to === this.count) return this.body!;
    let start = 0;
    for (let at = 0; at < from; at++) start += this.sizes[at]! + 1;
    let end = start;
    for (let at = from; at < to; at++) end += this.sizes[at]! + 1;
    return this.body!.subarray(start, end - 1);
  }

  /** The number of bytes of the events `from` up to but not including `to`. */
  bytesOf(from: number, to: number): number {
    let bytes = 0;
    for (let at = from; at < to; at++) bytes += this.sizes[at]!;
    return bytes;
  }

  /**
   * The bytes of each of these events.
   *
   * @param body the events of a segment that is still open
   */
  texts(from: number, to: number, body: Bytes = this.body!): Bytes[] {
    let start = 0;
    for (let at = 0; at < from; at++) start += this.sizes[at]! + 1;
    const texts: Bytes[] = [];
    for (let at = from; at < to; start += this.sizes[at++]! + 1)
      texts.push(body.subarray(start, start + this.sizes[at]!));
    return texts;
  }

  /** The segment as the store keeps it: with all events, or with those at the given indices. */
  toSegment(indices?: Uint32Array): Segment {
    const pick = (numbers: ArrayLike<number>) =>
      indices ? indices.map((index) => numbers[index]!) : new Uint32Array(numbers);
    const body: Bytes = indices ? joinTexts(this.#runs(indices)) : this.body!;
    return {
      key: this.key,
      at: this.at,
      body,
      sizes: pick(this.sizes),
      ...(this.orderingKeys.length > 0 && { orderingKeys: pick(this.orderingKeys) }),
      ...(this.isReplayed && { isReplayed: true }),
    };
  }

  /** The bytes of the events at the given indices, which ascend: one chunk for each run of neighbours. */
  #runs(indices: Uint32Array): Bytes[] {
    const runs: Bytes[] = [];
    for (let first = 0, end = 1; first < indices.length; first = end++) {
      while (end < indices.length && indices[end] === indices[end - 1]! + 1) end++;
      runs.push(this.slice(indices[first]!, indices[end - 1]! + 1));
    }
    return runs;
  }

  /** The indices of its pending events. Only for a segment that is not in the store. */
  pendingIndices(): Uint32Array {
    return this.#outcomes.pendingIndices(this.count);
  }

  /** Drops the oldest staged event in favour of a newer one. */
  dropOldest(): void {
    this.#droppedCount++;
    this.#reject(-1, droppedForNewer());
  }

  /** How many staged events are not dropped. */
  get staged(): number {
    return this.ids.length - (this.#droppedCount - this.#removedCount);
  }

  /** Removes dropped events: from now on no event is added or dropped. */
  finishStaging(): void {
    const dropped = this.#droppedCount - this.#removedCount;
    if (dropped > 0) {
      const body = this.slice(dropped, this.count).slice();
      const ids = this.ids.slice(dropped);
      const sizes = this.sizes.slice(dropped);
      const orderingKeys = this.orderingKeys.slice(dropped);
      // All or none, should the script be terminated.
      this.body = body;
      this.ids = ids;
      this.sizes = sizes;
      this.orderingKeys = orderingKeys;
      this.#removedCount = this.#droppedCount;
    }
    this.pending = this.count;
    this.#storeError = undefined;
  }

  /** It is staged again, because the store did not open. Rejects what waits for it; later calls may wait again. */
  failStore(error: FerryError): void {
    this.#storeError = error;
    this.#waiters.rejectAll(error);
  }

  /** Why the store did not open, if it is staged again for that reason. */
  get storeError(): FerryError | undefined {
    return this.#storeError;
  }

  /** Settles when the event is accepted, or delivered. `index`: its place when it was staged. */
  wait(index: number, id: string, isForDelivery: boolean): Promise<DeliveryInfo | undefined> {
    return new Promise((resolve, reject) => {
      const at = index - this.#droppedCount;
      if (at < 0) return reject(droppedForNewer());
      if (this.isAccepted && !isForDelivery) return resolve(undefined);
      const error = this.#outcomes.errorOf(at, id);
      if (error) return reject(error);
      const delivery = this.#outcomes.deliveryOf(at, id);
      if (delivery) return resolve({ ...delivery, ids: [id] });
      const { replacement } = this.#outcomes;
      if (replacement) {
        const other = replacement.indices.get(id);
        return resolve(
          other === undefined ? { ...UNKNOWN_DELIVERY, ids: [id] } : replacement.segment.wait(other, id, isForDelivery),
        );
      }
      if (this.#abandonError) return reject(this.#abandonError);
      this.#waiters.add({ index, id, resolve, reject, isForDelivery });
    });
  }

  /** Calls `watcher` now and after every change, until it returns true or is removed. */
  watch(watcher: () => boolean): void {
    this.#waiters.watch(watcher);
  }

  unwatch(watcher: () => boolean): void {
    this.#waiters.unwatch(watcher);
  }

  markAccepted(): void {
    this.isAccepted = true;
    this.origin = undefined;
    this.#waiters.settle((waiter) => {
      if (waiter.isForDelivery) return false;
      waiter.resolve();
      return true;
    });
  }

  markDelivered(from: number, to: number, status: number, attempts: number): void {
    const info = { status, attempts };
    this.#outcomes.deliver(from, to, info, this.sizes);
    this.#waiters.settle(({ index, id, resolve }) => {
      const at = index - this.#droppedCount;
      if (at < from || at >= to) return false;
      resolve({ ...info, ids: [id] });
      return true;
    });
  }

  markDead(index: number, error: FerryError, letter: DeadLetter): void {
    this.#outcomes.die(index, error, letter, this.sizes);
    this.#reject(index, error);
  }

  /**
   * Another tab delivered these events, or with `error` kept them as dead letters. Without `ids` it settled all pending
   * ones. `bytes`: of the events with these ids. Returns how many events that are.
   */
  settleElsewhere(
    ids: readonly string[] | undefined,
    status: number,
    attempts: number,
    error: FerryError | undefined,
    bytes = 0,
  ): number {
    const count = Math.min(ids?.length ?? this.pending, this.pending);
    if (!ids && !error) {
      this.markDelivered(0, this.count, status, attempts);
      return count;
    }
    const info = { status, attempts };
    this.#outcomes.settleElsewhere(ids ?? [], info, error);
    this.pending -= count;
    this.#outcomes.settledBytes += bytes;
    this.#waiters.settle(({ id, resolve, reject }) => {
      if (!this.#outcomes.wasSettledElsewhere(id)) return false;
      if (error) reject(error);
      else resolve({ ...info, ids: [id] });
      return true;
    });
    return count;
  }

  /**
   * The store has only these of its pending events. The others were delivered elsewhere, or are dead letters with these
   * errors. Returns how many that are.
   */
  settleAbsent(
    present: ReadonlySet<string>,
    presentBytes: number,
    dead: ReadonlyMap<string, FerryError>,
  ): { delivered: number; dead: number } {
    for (const [id, error] of dead) this.#outcomes.settleElsewhere([id], UNKNOWN_DELIVERY, error);
    this.#outcomes.settledBytes += Math.max(0, this.pendingBytes - presentBytes);
    const settled = this.#outcomes.settleAbsent(present);
    this.#waiters.settle(({ id, resolve, reject }) => {
      if (present.has(id)) return false;
      const error = dead.get(id);
      if (error) reject(error);
      else resolve({ ...UNKNOWN_DELIVERY, ids: [id] });
      return true;
    });
    const died = Math.min(dead.size, settled);
    return { delivered: settled - died, dead: died };
  }

  /** Whether it is known here that an event became this dead letter. */
  hasDeadLetter(key: string): boolean {
    return this.#outcomes.hasDeadLetter(key);
  }

  /**
   * Takes over the waiters of a segment of which the store has other events than expected. Events are matched by id.
   */
  replace(previous: TrackedSegment, idAt: (index: number) => string): void {
    const indices = new Map(Array.from({ length: this.count }, (_, index) => [idAt(index), index]));
    previous.#outcomes.replacement = { segment: this, indices };
    for (const waiter of previous.#waiters.all()) {
      const index = indices.get(waiter.id);
      if (index === undefined) waiter.resolve({ ...UNKNOWN_DELIVERY, ids: [waiter.id] });
      else this.#waiters.add({ ...waiter, index });
    }
    this.watch(() => {
      if (this.pending > 0) return false;
      previous.pending = 0;
      previous.#waiters.settle(() => false);
      return true;
    });
  }

  /** Rejects what waits for its pending events. */
  abandon(error: FerryError): void {
    this.#abandonError = error;
    this.pending = 0;
    this.#waiters.rejectAll(error);
  }

  /** Whether it was abandoned before all its events were settled. */
  get isAbandoned(): boolean {
    return this.#abandonError !== undefined;
  }

  /** Whether all of its events are pending. */
  get isUntouched(): boolean {
    return this.#outcomes.isUntouched;
  }

  /** Whether all of its events were delivered from here. */
  get isDelivered(): boolean {
    return this.#outcomes.isDelivered(this.count);
  }

  stateOf(index: number, id: string): State {
    return this.#outcomes.stateOf(index, id);
  }

  deadLetterOf(index: number): DeadLetter | undefined {
    return this.#outcomes.deadLetterOf(index);
  }

  deadInfoOf(index: number, id: string): DeadInfo {
    return this.#outcomes.deadInfoOf(index, id);
  }

  #reject(index: number, error: FerryError): void {
    this.#waiters.settle((waiter) => {
      if (waiter.index - this.#droppedCount !== index) return false;
      waiter.reject(error);
      return true;
    });
  }
}

/** Resolves with true when all segments are done, with false when the wait ends earlier. */
export function untilSegments(
  segments: readonly TrackedSegment[],
  isDone: (segment: TrackedSegment) => boolean,
  signal: AbortSignal | undefined,
  deadlineMs: number | undefined,
): Promise<boolean> {
  const watchers = new Map<TrackedSegment, () => boolean>();
  return waitFor(signal, deadlineMs, (done) => {
    let remaining = segments.length;
    if (remaining === 0) return done();
    for (const segment of segments) {
      const watcher = () => {
        if (!isDone(segment)) return false;
        watchers.delete(segment);
        if (--remaining === 0) done();
        return true;
      };
      watchers.set(segment, watcher);
      segment.watch(watcher);
    }
  }).finally(() => {
    // A wait that ended early leaves nothing behind.
    for (const [segment, watcher] of watchers) segment.unwatch(watcher);
  });
}

function droppedForNewer(): FerryError {
  return new FerryError("ERR_QUEUE_FULL", "the event was dropped in favour of newer ones");
}
