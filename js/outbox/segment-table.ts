/** The segments of an outbox, found by the machine's handles and by the store's keys. */
import type { Change, DeadLetter, Segment } from "../stores/store.js";
import type { Keys } from "./keys.js";
import type { SentRange } from "./in-flight.js";
import { toStoredProgress } from "./progress.js";
import { NO_CHANGE } from "./store-client.js";
import type { TrackedSegment } from "./tracked-segment.js";
import type { Batch, Wire } from "./wire.js";

export class SegmentTable<E> {
  readonly #wire: Wire<E>;
  /** Segments that the machine knows. */
  readonly #byHandle = new Map<number, TrackedSegment>();
  /** The same, and segments that were committed here and are now only in the store. */
  readonly #byKey = new Map<string, TrackedSegment>();

  constructor(wire: Wire<E>) {
    this.#wire = wire;
  }

  add(segment: TrackedSegment, handle: number): void {
    segment.handle = handle;
    this.#byHandle.set(handle, segment);
    this.#byKey.set(segment.key, segment);
  }

  get(handle: number): TrackedSegment {
    return this.#byHandle.get(handle)!;
  }

  getByKey(key: string): TrackedSegment | undefined {
    return this.#byKey.get(key);
  }

  /** Segments that the machine knows. */
  known(): Iterable<TrackedSegment> {
    return this.#byHandle.values();
  }

  /** Segments that are neither stored nor settled, as far as known. */
  *unstored(): Iterable<TrackedSegment> {
    for (const segment of this.#byHandle.values())
      if (segment.body && !segment.isAccepted && segment.pending > 0) yield segment;
  }

  /** Keys of the segments that the machine knows. */
  knownKeys(): Set<string> {
    return new Set(Array.from(this.#byHandle.values(), ({ key }) => key));
  }

  all(): TrackedSegment[] {
    return [...this.#byKey.values()];
  }

  keys(): Set<string> {
    return new Set(this.#byKey.keys());
  }

  /** Removes the segments that were committed here and are only in the store, and returns them. */
  takeStored(): TrackedSegment[] {
    const stored = [...this.#byKey.values()].filter(({ body, isAccepted }) => !body && isAccepted);
    for (const { key } of stored) this.#byKey.delete(key);
    return stored;
  }

  /** Adds a segment that is only in the store. */
  addStored(segment: TrackedSegment): void {
    segment.handle = 0;
    this.#byKey.set(segment.key, segment);
  }

  /** Gives all segments, none of which is stored, new keys in the same order. */
  renewKeys(keys: Keys): void {
    const segments = [...this.#byKey.values()];
    this.#byKey.clear();
    for (const segment of segments) {
      segment.key = keys.next(segment.at);
      this.#byKey.set(segment.key, segment);
    }
  }

  /** Forgets a segment that is staged again. */
  remove({ handle, key }: TrackedSegment): void {
    this.#byHandle.delete(handle);
    this.#byKey.delete(key);
  }

  deleteKey(key: string): void {
    this.#byKey.delete(key);
  }

  clearKeys(): void {
    this.#byKey.clear();
  }

  /** The machine does not know the segment any more. `isStored`: it will be found in the store again. */
  forget(handle: number, isStored: boolean): void {
    const segment = this.get(handle);
    this.#byHandle.delete(handle);
    segment.body = undefined;
    segment.compressedBody = undefined;
    if (!isStored) this.#byKey.delete(segment.key);
  }

  /** The machine was discarded. Returns the segments that may not be stored. */
  reset(): TrackedSegment[] {
    const unstored = [...this.#byHandle.values()].filter(({ isAccepted, pending }) => !isAccepted && pending > 0);
    this.#byHandle.clear();
    for (const segment of this.#byKey.values()) {
      segment.handle = 0;
      if (segment.pending === 0) {
        // If it was delivered before it was stored, the store may have it: then it is found like a segment of another
        // tab.
        this.#byKey.delete(segment.key);
      } else if (segment.isAccepted) {
        segment.body = undefined;
        segment.compressedBody = undefined;
      }
    }
    return unstored;
  }

  /** When the oldest pending event known here was committed, in Unix milliseconds. */
  oldest(): number | undefined {
    let oldest: number | undefined;
    for (const { at, pending } of this.#byKey.values())
      if (pending > 0 && (oldest === undefined || at < oldest)) oldest = at;
    return oldest;
  }

  ids(segment: TrackedSegment, from: number, to: number): string[] {
    return segment.texts(from, to).map((text) => this.#wire.idOf(text));
  }

  /**
   * The change for a `write` effect. `puts`: for each segment its handle, a count, and so many indices of events; the
   * count 0 stands for all events. `deadPuts`: pairs of handle and index. `progress`: empty, or for each segment a count
   * and so many numbers.
   */
  change(puts: Uint32Array, removes: Uint32Array, deadPuts: Uint32Array, progress: Uint32Array): Change {
    const put: Segment[] = [];
    for (let at = 0, progressAt = 0; at < puts.length; ) {
      const segment = this.get(puts[at]!);
      const count = puts[at + 1]!;
      const stored = segment.toSegment(count > 0 ? puts.subarray(at + 2, at + 2 + count) : undefined);
      const numbers = progress[progressAt++] ?? 0;
      const remembered = toStoredProgress(progress.subarray(progressAt, progressAt + numbers));
      put.push(remembered ? { ...stored, progress: remembered } : stored);
      at += 2 + count;
      progressAt += numbers;
    }
    const remove = [...removes].map((handle) => this.#byHandle.get(handle)?.key).filter((key) => key !== undefined);
    const deadPut: (DeadLetter | undefined)[] = [];
    for (let at = 0; at < deadPuts.length; at += 2)
      deadPut.push(this.#byHandle.get(deadPuts[at]!)?.deadLetterOf(deadPuts[at + 1]!));
    const isDelivered = put.length + deadPuts.length === 0;
    return { ...NO_CHANGE, put, remove, deadPut: deadPut.filter((letter) => letter !== undefined), isDelivered };
  }

  /** The events of a `send` effect: for each segment its key, how many events it has, and which ones are sent. */
  ranges(ranges: Uint32Array): SentRange[] {
    const sent: SentRange[] = [];
    for (let at = 0; at < ranges.length; at += 3) {
      const { key, count } = this.get(ranges[at]!);
      sent.push([key, count, ranges[at + 1]!, ranges[at + 2]!]);
    }
    return sent;
  }

  /**
   * The batch for a `send` effect, and its compressed body if there is one. `ranges`: triples of handle, `from` and
   * `to`.
   */
  batch(ranges: Uint32Array): [Batch, Uint8Array | undefined] {
    const parts: [TrackedSegment, number, number][] = [];
    let count = 0;
    for (let at = 0; at < ranges.length; at += 3) {
      const [from, to] = [ranges[at + 1]!, ranges[at + 2]!];
      parts.push([this.get(ranges[at]!), from, to]);
      count += to - from;
    }
    const batch: Batch = {
      count,
      chunks: parts.map(([segment, from, to]) => segment.slice(from, to)),
      ids: () => parts.flatMap(([segment, from, to]) => this.ids(segment, from, to)),
      texts: () => parts.flatMap(([segment, from, to]) => segment.texts(from, to)),
      isStored: () => parts.some(([segment]) => segment.isAccepted),
    };
    const [[segment, from, to]] = parts as [[TrackedSegment, number, number]];
    const isWholeSegment = parts.length === 1 && from === 0 && to === segment.count;
    return [batch, isWholeSegment ? segment.compressedBody : undefined];
  }
}
