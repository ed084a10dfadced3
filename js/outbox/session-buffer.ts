/** The staged events of one session under one identity: encoded, and cut into segments. */
import { type FerryError, traced } from "../engine/errors.js";
import { type Credit, NO_CREDIT } from "./credit.js";
import { withBrackets } from "./json-texts.js";
import { orderingKeyOf } from "./ordering-key.js";
import type { DeliveryInfo } from "./segment-outcomes.js";
import { type SegmentOrigin, TrackedSegment } from "./tracked-segment.js";
import type { Wire } from "./wire.js";
import { TextEncoder } from "../platform/text.js";

/** The state of one published event. Its promises are made only when they are read. */
export interface EventReceipt {
  /** The id of the event. */
  readonly id: string;
  /**
   * Resolves when the event is stored as safely as `stats().durability` says, or the server has accepted it. Rejects
   * with `ERR_ROLLED_BACK`, `ERR_QUEUE_FULL` (dropped in favour of newer events), `ERR_ABORTED` (purged) or
   * `ERR_CLOSED`. If the store failed and the server refused the event, it rejects with the server's error.
   */
  readonly accepted: Promise<void>;
  /**
   * Resolves when the server has accepted the event. Rejects as `accepted` does, and with the server's error if it
   * refuses the event.
   */
  readonly delivered: Promise<DeliveryInfo>;
}

/** The driver as its buffers see it. */
export interface BufferHost<E> {
  readonly wire: Wire<E>;
  readonly isClosed: boolean;
  /** How many engines were discarded after a trap. */
  readonly engineGeneration: number;
  /** Buffers that have staged events. */
  readonly stagingBuffers: Set<SessionBuffer<E>>;
  /** A number for a new buffer. */
  newSessionId(): number;
  /** The error for an event that does not fit. */
  queueFull(): FerryError;
  /** Stages an event. The result is that of `stage` in `src/wasm/outbox.rs`. */
  stage(session: number, size: number, key: string | undefined): number;
  /** How much more fits behind the staged events of a session. */
  credit(session: number): Credit;
  /** Makes a buffer the only one that has credit. */
  grantCredit(buffer: SessionBuffer<E>): void;
  /** Stages events for which there was credit. `generation`: the engine that has the other events of the segment. */
  stageMany(session: number, generation: number, sizes: number[], orderingKeys: ArrayLike<number>): void;
  /** Commits the staged events of a session. `origin` gets those back that cannot be stored. */
  commit(origin: SegmentOrigin, segments: TrackedSegment[]): void;
  rollBack(session: number): void;
  flushNow(): void;
}

const encoder = new TextEncoder();
const COMMA = 44;
/** UTF-8 takes at most this many bytes for one UTF-16 code unit. */
const MAX_BYTES_PER_UNIT = 3;
const ARENA_BYTES = 1024;
/** A larger arena is not kept for the next flush. */
const MAX_KEPT_ARENA_BYTES = 256 * 1024;

/** Buffers events until they are committed. */
export class SessionBuffer<E> implements SegmentOrigin {
  readonly #host: BufferHost<E>;
  readonly id: number;
  /** Events staged on credit and not encoded yet. */
  #unencoded: string[] = [];
  /** Remaining credit. */
  #credit: Credit = NO_CREDIT;
  /** The encoded events of the last segment. */
  #arena: Uint8Array<ArrayBuffer> = new Uint8Array(ARENA_BYTES);
  #arenaLength = 0;
  /** Staged segments. The body of the last one is still in the arena. */
  #segments: TrackedSegment[] = [];
  /** Whether it is committed when the page is hidden. */
  readonly isFlushedWhenHidden: boolean;

  constructor(host: BufferHost<E>, isFlushedWhenHidden: boolean) {
    this.#host = host;
    this.id = host.newSessionId();
    this.isFlushedWhenHidden = isFlushedWhenHidden;
  }

  /** How many events are staged. */
  get staged(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.staged, 0);
  }

  /** See `EventSession.publish`. */
  publish(event: E): EventReceipt {
    const { id, text, orderingKey, mayExpire } = this.#host.wire.encode(event);
    // Most events need no decision of the machine: with credit they are reported to it together.
    const maxSize = text.length * MAX_BYTES_PER_UNIT;
    if (this.#credit.events > 0 && maxSize <= this.#credit.bytes && !this.#host.isClosed) {
      this.#credit.events--;
      this.#credit.bytes -= maxSize;
      this.#unencoded.push(text);
    } else if (!this.#stage(text, orderingKey)) {
      return new Receipt(id, abandonedSegment(this.#host.queueFull()), 0);
    }
    const segment = this.#segments[this.#segments.length - 1]!;
    const { ids } = segment;
    const orderingKeys = segment.orderingKeys as number[];
    ids.push(id);
    if (mayExpire) segment.mayExpire = true;
    if (orderingKey !== undefined || orderingKeys.length > 0) {
      while (orderingKeys.length < ids.length - 1) orderingKeys.push(0);
      orderingKeys.push(orderingKeyOf(orderingKey));
    }
    return new Receipt(id, segment, ids.length - 1);
  }

  /** Stages an event that may not fit. Returns whether it is staged. */
  #stage(text: string, key: string | undefined): boolean {
    this.#host.grantCredit(this);
    const size = this.#encode(text);
    const staged = this.#host.stage(this.id, size, key);
    if (staged === -2) throw this.#host.queueFull();
    if (staged === -1) return false;
    for (let dropped = staged >> 1; dropped > 0; dropped--) this.#dropOldest();
    this.#host.stagingBuffers.add(this);
    const opensSegment = (staged & 1) === 1;
    if (opensSegment || this.#segments.length === 0) this.#openSegment(size);
    else this.#arenaLength += size + 1;
    (this.#segments[this.#segments.length - 1]!.sizes as number[]).push(size);
    this.#credit = this.#host.credit(this.id);
    return true;
  }

  /** Gives up the credit: encodes the events that were staged on it and reports their sizes to the machine. */
  returnCredit(): void {
    const texts = this.#unencoded;
    this.#unencoded = [];
    this.#credit = NO_CREDIT;
    if (texts.length === 0) return;
    const segment = this.#segments[this.#segments.length - 1]!;
    const sizes = segment.sizes as number[];
    const from = sizes.length;
    const all = texts.join(",");
    const isAscii = this.#encode(all) === all.length;
    for (const text of texts) {
      const size = isAscii ? text.length : this.#encode(text);
      this.#arenaLength += size + 1;
      sizes.push(size);
    }
    this.#host.stageMany(this.id, segment.generation, sizes.slice(from), segment.orderingKeys.slice(from));
  }

  /** The staged events in their encoded form, the oldest first. */
  texts(): Uint8Array[] {
    this.returnCredit();
    const open = this.#arena.subarray(0, this.#arenaLength);
    return this.#segments.flatMap((segment) => {
      const { length } = segment.sizes;
      return segment.texts(length - segment.staged, length, segment.body ?? open);
    });
  }

  /** Drops the staged events and returns their ids, the oldest first. Their receipts reject with `error`. */
  rollback(error: FerryError): string[] {
    const segments = this.#take();
    this.#host.rollBack(this.id);
    for (const segment of segments) segment.abandon(error);
    return segments.flatMap((segment) => segment.ids);
  }

  /**
   * Commits the staged events, all or none. Returns their segments, each with the ids of its events.
   *
   * @throws {FerryError} `ERR_CLOSED`
   */
  commit(): [TrackedSegment, string[]][] {
    const segments = this.#take();
    const committed = segments.map((segment): [TrackedSegment, string[]] => [segment, segment.ids]);
    for (const segment of segments) segment.ids = [];
    this.#host.commit(this, segments);
    return committed;
  }

  /** Stages committed segments again, in front of all others. Each has the ids of its events. */
  restage(segments: TrackedSegment[]): void {
    this.#segments.unshift(...segments);
    this.#host.stagingBuffers.add(this);
  }

  /** Writes a text behind the arena's content, and returns its bytes. */
  #encode(text: string): number {
    for (let capacity = text.length; ; capacity = text.length * MAX_BYTES_PER_UNIT) {
      const start = this.#arenaLength && this.#arenaLength + 1;
      if (this.#arena.length < start + capacity) {
        const larger = new Uint8Array(Math.max(this.#arena.length * 2, start + capacity));
        larger.set(this.#arena.subarray(0, this.#arenaLength));
        this.#arena = larger;
      }
      const { read, written } = encoder.encodeInto(text, this.#arena.subarray(start));
      if (read === text.length) {
        if (start > 0) this.#arena[start - 1] = COMMA;
        return written;
      }
    }
  }

  /** Begins a new segment with the event that was encoded last. */
  #openSegment(size: number): void {
    const start = this.#arenaLength && this.#arenaLength + 1;
    this.#closeSegment();
    this.#arena.copyWithin(0, start, start + size);
    this.#arenaLength = size;
    this.#segments.push(new TrackedSegment(this.#host.engineGeneration));
  }

  /** Copies the arena into the last segment. */
  #closeSegment(): void {
    const segment = this.#segments[this.#segments.length - 1];
    // One that was committed before has its body.
    if (segment && !segment.body) segment.body = withBrackets(this.#arena.subarray(0, this.#arenaLength));
    this.#arenaLength = 0;
  }

  /** Takes the staged segments out of the buffer. */
  #take(): TrackedSegment[] {
    this.returnCredit();
    this.#closeSegment();
    this.#host.stagingBuffers.delete(this);
    for (const segment of this.#segments) segment.finishStaging();
    const segments = this.#segments.filter((segment) => segment.count > 0);
    this.#segments = [];
    if (this.#arena.length > MAX_KEPT_ARENA_BYTES) this.#arena = new Uint8Array(ARENA_BYTES);
    return segments;
  }

  /** Drops the oldest event among those that the present engine knows. */
  #dropOldest(): void {
    const { engineGeneration } = this.#host;
    this.#segments.find(({ staged, generation }) => staged > 0 && generation === engineGeneration)?.dropOldest();
  }
}

/** The promises of one event. The fields are not `#private`, which costs time and memory for every event. */
class Receipt implements EventReceipt {
  readonly id: string;
  private readonly segment: TrackedSegment;
  private readonly index: number;

  constructor(id: string, segment: TrackedSegment, index: number) {
    this.id = id;
    this.segment = segment;
    this.index = index;
  }

  get accepted(): Promise<void> {
    return traced(this.segment.wait(this.index, this.id, false)).then(() => undefined);
  }

  get delivered(): Promise<DeliveryInfo> {
    return traced(this.segment.wait(this.index, this.id, true) as Promise<DeliveryInfo>);
  }
}

/** The receipt of an event that is not even staged. */
export function rejectedReceipt(id: string, error: FerryError): EventReceipt {
  return new Receipt(id, abandonedSegment(error), 0);
}

function abandonedSegment(error: FerryError): TrackedSegment {
  const segment = new TrackedSegment();
  segment.abandon(error);
  return segment;
}
