/**
 * Segments as the outbox tracks them: the bodies of the events, their states, and the pending promises of their
 * receipts. The machine knows a segment by its handle, the store by its key.
 */
import type { Bytes, Uint32s } from "../platform/bytes.js";
import { FerryError } from "../engine/errors.js";
import { waitFor } from "../platform/waiters.js";
import type { DeadLetter, Segment } from "../stores/store.js";
import { joinTexts } from "./json-texts.js";
import type { TabMessage } from "./tab-message.js";

/** How events were delivered. */
export interface DeliveryInfo {
  /** HTTP status of the last response, 200 to 299. 0 if there was nothing to send or another tab sent the events. */
  status: number;
  /** How many requests it took. */
  attempts: number;
  /** The ids of the events. */
  ids: string[];
}

/** Where an event is. */
export const State = { Pending: 0, Delivered: 1, Dead: 2 } as const;
export type State = (typeof State)[keyof typeof State];

interface Waiter {
  readonly index: number;
  readonly id: string;
  readonly resolve: (info?: DeliveryInfo | Promise<DeliveryInfo | undefined>) => void;
  readonly reject: (error: FerryError) => void;
  readonly isForDelivery: boolean;
}

/** What is known of an event that is dead. */
export interface DeadInfo {
  letter?: DeadLetter;
  error?: FerryError | undefined;
  attempts?: number;
}

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
  /** How many events are neither delivered nor dead. */
  pending = 0;
  /** How many of its first events were dropped before it was committed. */
  #droppedCount = 0;
  /** How many of these are removed from its lists. */
  #removedCount = 0;
  #states: Bytes | undefined;
  /** Bytes of the events that are settled. */
  #settledBytes = 0;
  #deliveries: { from: number; to: number; info: Omit<DeliveryInfo, "ids"> }[] = [];
  #dead = new Map<number, { error: FerryError; letter: DeadLetter }>();
  /** The ids that the store had when it was looked into last: the other pending events were settled elsewhere. */
  #present: ReadonlySet<string> | undefined;
  /** Events that another tab settled, by id: their indices are not known here. */
  #settledElsewhere = new Map<string, { info: Omit<DeliveryInfo, "ids">; error: FerryError | undefined }>();
  /**
   * What the store has in place of this segment, and the index of each event there. Missing events were settled by
   * another tab.
   */
  #replacement: { segment: TrackedSegment; indices: Map<string, number> } | undefined;
  /** Why its pending events will make no progress. */
  #abandonError: FerryError | undefined;
  /** Why the store did not open, while the segment is staged again for that reason. */
  #storeError: FerryError | undefined;
  #waiters: Waiter[] = [];
  #watchers: (() => boolean)[] = [];

  constructor(generation = 0) {
    this.generation = generation;
  }

  get count(): number {
    return this.sizes.length;
  }

  /** Bytes of its pending events. */
  get pendingBytes(): number {
    if (this.pending === 0) return 0;
    return Math.max(0, this.bytesOf(0, this.count) - this.#settledBytes);
  }

  /** Whether somebody waits for its events. */
  get hasWaiters(): boolean {
    return this.#waiters.length > 0 || this.#watchers.length > 0;
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
      indices ? Uint32Array.from(indices, (index) => numbers[index]!) : new Uint32Array(numbers);
    const body: Bytes = indices ? joinTexts([...indices].map((index) => this.slice(index, index + 1))) : this.body!;
    return {
      key: this.key,
      at: this.at,
      body,
      sizes: pick(this.sizes),
      ...(this.orderingKeys.length > 0 && { orderingKeys: pick(this.orderingKeys) }),
      ...(this.isReplayed && { isReplayed: true }),
    };
  }

  /** The indices of its pending events. Only for a segment that is not in the store. */
  pendingIndices(): Uint32Array {
    const states = this.#states ?? new Uint8Array(this.count);
    return Uint32Array.from(states.keys()).filter((index) => states[index] === State.Pending);
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
      this.body = this.slice(dropped, this.count).slice();
      this.ids = this.ids.slice(dropped);
      this.sizes = this.sizes.slice(dropped);
      this.orderingKeys = this.orderingKeys.slice(dropped);
      this.#removedCount = this.#droppedCount;
    }
    this.pending = this.count;
    this.#storeError = undefined;
  }

  /** It is staged again, because the store did not open. Rejects what waits for it; later calls may wait again. */
  failStore(error: FerryError): void {
    this.#storeError = error;
    this.#settle((waiter) => {
      waiter.reject(error);
      return true;
    });
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
      const elsewhere = this.#settledElsewhere.get(id);
      const error = elsewhere?.error ?? this.#dead.get(at)?.error;
      if (error) return reject(error);
      const delivery = elsewhere ?? this.#deliveries.find(({ from, to }) => from <= at && at < to);
      if (delivery) return resolve({ ...delivery.info, ids: [id] });
      if (this.#isAbsent(id)) return resolve({ ...UNKNOWN_DELIVERY, ids: [id] });
      if (this.#replacement) {
        const { segment, indices } = this.#replacement;
        const other = indices.get(id);
        return resolve(
          other === undefined ? { ...UNKNOWN_DELIVERY, ids: [id] } : segment.wait(other, id, isForDelivery),
        );
      }
      if (this.#abandonError) return reject(this.#abandonError);
      this.#waiters.push({ index, id, resolve, reject, isForDelivery });
    });
  }

  /** Calls `watcher` now and after every change, until it returns true or is removed. */
  watch(watcher: () => boolean): void {
    if (!watcher()) this.#watchers.push(watcher);
  }

  unwatch(watcher: () => boolean): void {
    this.#watchers = this.#watchers.filter((other) => other !== watcher);
  }

  markAccepted(): void {
    this.isAccepted = true;
    this.origin = undefined;
    this.#settle((waiter) => {
      if (waiter.isForDelivery) return false;
      waiter.resolve();
      return true;
    });
  }

  markDelivered(from: number, to: number, status: number, attempts: number): void {
    const info = { status, attempts };
    this.#deliveries.push({ from, to, info });
    this.#mark(from, to, State.Delivered);
    this.#settle(({ index, id, resolve }) => {
      const at = index - this.#droppedCount;
      if (at < from || at >= to) return false;
      resolve({ ...info, ids: [id] });
      return true;
    });
  }

  markDead(index: number, error: FerryError, letter: DeadLetter): void {
    this.#mark(index, index + 1, State.Dead);
    this.#dead.set(index, { error, letter });
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
    for (const id of ids ?? []) this.#settledElsewhere.set(id, { info, error });
    this.pending -= count;
    this.#settledBytes += bytes;
    this.#settle(({ id, resolve, reject }) => {
      if (!this.#settledElsewhere.has(id)) return false;
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
    for (const [id, error] of dead) this.#settledElsewhere.set(id, { info: UNKNOWN_DELIVERY, error });
    const settled = Math.max(0, this.pending - present.size);
    this.#settledBytes += Math.max(0, this.pendingBytes - presentBytes);
    this.#present = present;
    this.pending -= settled;
    this.#settle(({ id, resolve, reject }) => {
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
    for (const { letter } of this.#dead.values()) if (letter.key === key) return true;
    return false;
  }

  /**
   * Takes over the waiters of a segment of which the store has other events than expected. Events are matched by id.
   */
  replace(previous: TrackedSegment, idAt: (index: number) => string): void {
    const indices = new Map(Array.from({ length: this.count }, (_, index) => [idAt(index), index]));
    previous.#replacement = { segment: this, indices };
    for (const waiter of previous.#waiters) {
      const index = indices.get(waiter.id);
      if (index === undefined) waiter.resolve({ ...UNKNOWN_DELIVERY, ids: [waiter.id] });
      else this.#waiters.push({ ...waiter, index });
    }
    this.watch(() => {
      if (this.pending > 0) return false;
      previous.pending = 0;
      previous.#settle(() => false);
      return true;
    });
  }

  /** Rejects what waits for its pending events. */
  abandon(error: FerryError): void {
    this.#abandonError = error;
    this.pending = 0;
    this.#settle((waiter) => {
      waiter.reject(error);
      return true;
    });
  }

  /** Whether it was abandoned before all its events were settled. */
  get isAbandoned(): boolean {
    return this.#abandonError !== undefined;
  }

  /** Whether all of its events are pending. */
  get isUntouched(): boolean {
    return !this.#states && !this.#replacement && !this.#present && this.#settledElsewhere.size === 0;
  }

  stateOf(index: number, id: string): State {
    const elsewhere = this.#settledElsewhere.get(id);
    if (elsewhere) return elsewhere.error ? State.Dead : State.Delivered;
    const state = (this.#states?.[index] ?? State.Pending) as State;
    if (state === State.Pending && this.#isAbsent(id)) return State.Delivered;
    if (!this.#replacement || state !== State.Pending) return state;
    const other = this.#replacement.indices.get(id);
    return other === undefined ? State.Delivered : this.#replacement.segment.stateOf(other, id);
  }

  deadLetterOf(index: number): DeadLetter | undefined {
    return this.#dead.get(index)?.letter;
  }

  deadInfoOf(index: number, id: string): DeadInfo {
    const elsewhere = this.#settledElsewhere.get(id);
    if (elsewhere) return { error: elsewhere.error, attempts: elsewhere.info.attempts };
    const replacement = this.#replacement;
    return this.#dead.get(index) ?? replacement?.segment.deadInfoOf(replacement.indices.get(id)!, id) ?? {};
  }

  #mark(from: number, to: number, state: State): void {
    this.#states ??= new Uint8Array(this.count);
    for (let at = from; at < to; at++) {
      if (this.#states[at] !== State.Pending) continue;
      this.pending--;
      this.#settledBytes += this.sizes[at]!;
    }
    this.#states.fill(state, from, to);
  }

  #isAbsent(id: string): boolean {
    return this.#present !== undefined && !this.#present.has(id);
  }

  #reject(index: number, error: FerryError): void {
    this.#settle((waiter) => {
      if (waiter.index - this.#droppedCount !== index) return false;
      waiter.reject(error);
      return true;
    });
  }

  /** Removes the waiters for which `settle` returns true, then calls the watchers. */
  #settle(settle: (waiter: Waiter) => boolean): void {
    if (this.#waiters.length > 0) this.#waiters = this.#waiters.filter((waiter) => !settle(waiter));
    if (this.#watchers.length > 0) this.#watchers = this.#watchers.filter((watcher) => !watcher());
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

/** For events that another tab settled without telling how. */
const UNKNOWN_DELIVERY = { status: 0, attempts: 0 };

function droppedForNewer(): FerryError {
  return new FerryError("ERR_QUEUE_FULL", "the event was dropped in favour of newer ones");
}
