/** The staged events of one session under one identity: encoded, and cut into segments. */
import { type FerryError, traced } from "../engine/errors.js";
import type { Bytes } from "../platform/bytes.js";
import { arenaOf, keepArena } from "./arena.js";
import type { Numbers } from "./contents-list.js";
import type { Credit } from "./credit.js";
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
  stageMany(session: number, generation: number, sizes: Numbers, orderingKeys: Numbers): void;
  /** Keeps segments that are committed next. `origin` gets those back that cannot be stored. */
  keep(origin: SegmentOrigin, segments: TrackedSegment[]): void;
  /** Commits the staged events of a session. */
  commit(origin: SegmentOrigin, segments: TrackedSegment[]): void;
  rollBack(session: number): void;
  flushNow(): void;
}

const encoder = new TextEncoder();
const COMMA = 44;
/** UTF-8 takes at most this many bytes for one UTF-16 code unit. */
const MAX_BYTES_PER_UNIT = 3;

/** Buffers events until they are committed. */
export class SessionBuffer<E> implements SegmentOrigin {
  readonly #host: BufferHost<E>;
  readonly id: number;
  /** Events staged on credit and not encoded yet, separated by commas: engines join such texts once, when they are read. */
  #unencoded = "";
  /** The length of each of them. */
  #unencodedLengths: number[] = [];
  /** Remaining credit. Not one object: its numbers change with every event. */
  #creditBytes = 0;
  #creditEvents = 0;
  /** The encoded events of the last segment. */
  #arena: Bytes | undefined;
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
    if (this.#creditEvents === 0 || maxSize > this.#creditBytes || this.#host.isClosed) {
      if (!this.#stage(id, text, orderingKey)) return rejectedReceipt(id, this.#host.queueFull());
    } else {
      this.#creditEvents--;
      this.#creditBytes -= maxSize;
      this.#unencoded = this.#unencoded === "" ? text : `${this.#unencoded},${text}`;
      this.#unencodedLengths.push(text.length);
      this.#open.ids.push(id);
    }
    const segment = this.#open;
    const index = segment.ids.length - 1;
    if (mayExpire) segment.mayExpire = true;
    if (orderingKey !== undefined || segment.orderingKeys.length > 0) addOrderingKey(segment, index, orderingKey);
    return new Receipt(id, segment, index);
  }

  /** Stages an event that may not fit. Returns whether it is staged. */
  #stage(id: string, text: string, key: string | undefined): boolean {
    this.#host.grantCredit(this);
    const size = this.#encode(text, this.#arenaLength);
    const staged = this.#host.stage(this.id, size, key);
    if (staged === -2) throw this.#host.queueFull();
    if (staged === -1) return false;
    for (let dropped = staged >> 1; dropped > 0; dropped--) this.#dropOldest();
    this.#host.stagingBuffers.add(this);
    const opensSegment = (staged & 1) === 1;
    if (opensSegment || this.#segments.length === 0) this.#openSegment(size);
    else this.#arenaLength += size + 1;
    (this.#open.sizes as number[]).push(size);
    this.#open.ids.push(id);
    const { bytes, events } = this.#host.credit(this.id);
    this.#creditBytes = bytes;
    this.#creditEvents = events;
    return true;
  }

  /** Gives up the credit: encodes the events that were staged on it and reports their sizes to the machine. */
  returnCredit(): void {
    this.#creditBytes = this.#creditEvents = 0;
    if (this.#unencoded === "") return;
    const segment = this.#open;
    const from = segment.ids.length - this.#unencodedLengths.length;
    const [sizes, arenaLength] = this.#encodeAll(this.#unencoded, this.#unencodedLengths);
    // Right also if the script was terminated here before.
    const allSizes = segment.sizes as number[];
    allSizes.length = from;
    allSizes.push(...sizes);
    this.#arenaLength = arenaLength;
    this.#unencoded = "";
    this.#unencodedLengths = [];
    this.#host.stageMany(this.id, segment.generation, sizes, segment.orderingKeys.slice(from));
  }

  /** The staged events in their encoded form, the oldest first. */
  texts(): Uint8Array[] {
    this.returnCredit();
    const open = this.#openBytes();
    return this.#segments.flatMap((segment) => {
      const { length } = segment.sizes;
      return segment.texts(length - segment.staged, length, segment.body ?? open);
    });
  }

  /** Drops the staged events and returns their ids, the oldest first. Their receipts reject with `error`. */
  rollback(error: FerryError): string[] {
    const segments = this.#finish();
    this.#empty();
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
    const segments = this.#finish();
    const committed = segments.map((segment): [TrackedSegment, string[]] => [segment, segment.ids]);
    // First: the script of a page that is closed may be terminated at any point.
    this.#host.keep(this, segments);
    this.#empty();
    for (const segment of segments) segment.ids = [];
    this.#host.commit(this, segments);
    return committed;
  }

  /** Stages committed segments again, in front of all others. Each has the ids of its events. */
  restage(segments: TrackedSegment[]): void {
    this.#segments.unshift(...segments);
    this.#host.stagingBuffers.add(this);
  }

  /**
   * Writes texts of these lengths, which are separated by commas, behind the arena's content. Returns the bytes of each,
   * and the length of the content with them.
   */
  #encodeAll(all: string, lengths: number[]): [sizes: number[], arenaLength: number] {
    let used = this.#arenaLength;
    if (this.#encode(all, used) === all.length) return [lengths, used + all.length + 1];
    let at = 0;
    const sizes = lengths.map((length) => {
      const size = this.#encode(all.slice(at, at + length), used);
      at += length + 1;
      used += size + 1;
      return size;
    });
    return [sizes, used];
  }

  /** Writes a text behind the first `used` bytes of the arena, and returns its bytes. */
  #encode(text: string, used: number): number {
    const start = used && used + 1;
    for (let capacity = text.length; ; capacity = text.length * MAX_BYTES_PER_UNIT) {
      const arena = arenaOf(start + capacity, this.#arena, used);
      this.#arena = arena;
      const { read, written } = encoder.encodeInto(text, arena.subarray(start));
      if (read === text.length) {
        if (start > 0) arena[start - 1] = COMMA;
        return written;
      }
    }
  }

  /** The segment that events are added to. */
  get #open(): TrackedSegment {
    return this.#segments[this.#segments.length - 1]!;
  }

  /** Begins a new segment with the event that was encoded last. */
  #openSegment(size: number): void {
    const start = this.#arenaLength && this.#arenaLength + 1;
    this.#closeSegment();
    this.#arena!.copyWithin(0, start, start + size);
    this.#arenaLength = size;
    this.#segments.push(new TrackedSegment(this.#host.engineGeneration));
  }

  /** Copies the arena into the last segment. */
  #closeSegment(): void {
    const segment = this.#segments[this.#segments.length - 1];
    // One that was committed before has its body.
    if (segment && !segment.body) segment.body = withBrackets(this.#openBytes());
    this.#arenaLength = 0;
  }

  /** The encoded events of the last segment. */
  #openBytes(): Bytes {
    return this.#arena?.subarray(0, this.#arenaLength) ?? new Uint8Array(0);
  }

  /** Ends the staging of all segments, and returns them. They stay in the buffer until it is emptied. */
  #finish(): TrackedSegment[] {
    this.returnCredit();
    this.#closeSegment();
    for (const segment of this.#segments) segment.finishStaging();
    return this.#segments.filter((segment) => segment.count > 0);
  }

  #empty(): void {
    const arena = this.#arena;
    this.#arena = undefined;
    this.#segments = [];
    this.#host.stagingBuffers.delete(this);
    if (arena) keepArena(arena);
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

/** Adds the ordering key of an event. Those of the events before it are 0 if none had a key. */
function addOrderingKey({ orderingKeys }: TrackedSegment, index: number, key: string | undefined): void {
  while (orderingKeys.length < index) (orderingKeys as number[]).push(0);
  (orderingKeys as number[]).push(orderingKeyOf(key));
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
