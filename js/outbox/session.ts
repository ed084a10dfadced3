/// <reference lib="esnext.disposable" preserve="true" />
/** Sessions: what is published is staged, ready to be stored, until it is flushed or rolled back. */
import { FerryError } from "../engine/errors.js";
import { type OutboxDriver, type Credit, NO_CREDIT } from "./driver.js";
import { withBrackets } from "./json-texts.js";
import { type DeliveryInfo, TrackedSegment } from "./tracked-segment.js";
import { type FlushReport, report } from "./report.js";
import { formatValue } from "../engine/messages.js";

/** What becomes of one event. Nothing is computed unless it is asked for. */
export interface EventReceipt {
  readonly id: string;
  /**
   * Resolves when the event is stored as safely as `stats().durability` says, or the server has it. Rejects with
   * `ERR_ROLLED_BACK`, `ERR_QUEUE_FULL` (dropped to make room), `ERR_ABORTED` (purged) or `ERR_CLOSED`, and with what the server
   * said if the store did not work and the server refused it.
   */
  readonly accepted: Promise<void>;
  /** Resolves when the server has taken the event. Rejects as `accepted` does, and with what the server said if it never will. */
  readonly delivered: Promise<DeliveryInfo>;
}

export interface WaitOptions {
  /** Ends the waiting, not the delivery. */
  signal?: AbortSignal;
  /** Ends the waiting after so many milliseconds. */
  deadlineMs?: number;
}

export interface FlushOptions extends WaitOptions {
  /** How far the events have to get. @default "accepted" */
  until?: "accepted" | "delivered";
}

const encoder = new TextEncoder();
const COMMA = 44;

/** Buffers events until `flush`. */
export class EventSession<E> {
  readonly #driver: OutboxDriver<E>;
  readonly #number: number;
  /** Staged, but not encoded yet: however many bytes they have, the engine will take them. */
  #texts: string[] = [];
  /** What it will surely take besides. */
  #ease: Credit = NO_CREDIT;
  #arena = new Uint8Array(1024);
  #used = 0;
  /** The last one is still in the arena. */
  #packets: TrackedSegment[] = [];
  /** Flushed, and not settled. */
  #underWay = new Set<TrackedSegment>();

  readonly #committed: () => void;
  /** Whether a page that ends may flush it. @internal */
  readonly isFree: boolean;

  /** @internal */
  constructor(driver: OutboxDriver<E>, number: number, isFree: boolean, committed: () => void) {
    this.#driver = driver;
    this.#number = number;
    this.isFree = isFree;
    this.#committed = committed;
  }

  /** How many events are staged. */
  get staged(): number {
    return this.#packets.reduce((sum, packet) => sum + packet.staged, 0);
  }

  /**
   * Stages an event: it is checked and written down at once, so later changes to the object have no effect.
   *
   * @throws {FerryError} what the event has wrong, with `attribute`; `ERR_QUEUE_FULL` if there is no room and `overflow` is
   * `"reject"` or `"wait"`; `ERR_CLOSED`.
   */
  publish(event: E): EventReceipt {
    const { id, text, orderingKey: key } = this.#driver.wire.encode(event);
    // UTF-8 has at most three bytes for what is one unit of a text. Most events need no answer of the engine, so they are told to it together.
    const most = text.length * 3;
    if (this.#ease.events > 0 && most <= this.#ease.bytes && !this.#driver.isClosed) {
      this.#ease.events--;
      this.#ease.bytes -= most;
      this.#texts.push(text);
    } else if (!this.#stage(text, key)) {
      return new Receipt(id, droppedPacket(this.#driver.full()), 0);
    }
    const packet = this.#packets[this.#packets.length - 1]!;
    const { ids } = packet;
    const lanes = packet.lanes as number[];
    ids.push(id);
    if (key !== undefined || lanes.length > 0) {
      while (lanes.length < ids.length - 1) lanes.push(0);
      lanes.push(orderingKeyOf(key));
    }
    return new Receipt(id, packet, ids.length - 1);
  }

  /** Stages an event that may not fit. Gives whether it is staged. */
  #stage(text: string, key: string | undefined): boolean {
    this.#driver.grantCredit(this);
    const size = this.#write(text);
    const staged = this.#driver.stage(this.#number, size, key);
    if (staged === -2) throw this.#driver.full();
    if (staged === -1) return false;
    for (let dropped = staged >> 1; dropped > 0; dropped--) this.#dropOldest();
    this.#driver.staging.add(this);
    if (staged & 1 || this.#packets.length === 0) this.#open(size);
    else this.#used += size + 1;
    (this.#packets[this.#packets.length - 1]!.sizes as number[]).push(size);
    this.#ease = this.#driver.credit(this.#number);
    return true;
  }

  /** Encodes what waits for it, and tells the engine how large it is. @internal */
  settle(): void {
    const texts = this.#texts;
    this.#texts = [];
    this.#ease = NO_CREDIT;
    if (texts.length === 0) return;
    const packet = this.#packets[this.#packets.length - 1]!;
    const sizes = packet.sizes as number[];
    const from = sizes.length;
    const all = texts.join(",");
    const isAscii = this.#write(all) === all.length;
    for (const text of texts) {
      const size = isAscii ? text.length : this.#write(text);
      this.#used += size + 1;
      sizes.push(size);
    }
    this.#driver.stageMany(this.#number, packet.life, sizes.slice(from), packet.lanes.slice(from));
  }

  /**
   * Hands what is staged over, all or nothing, and waits until it is stored (or delivered). Resolves also when that
   * takes longer than asked: then `aborted` is true, and the events are on their way all the same.
   */
  async flush(options: FlushOptions = {}): Promise<FlushReport> {
    const { until = "accepted", signal, deadlineMs } = checkedWait(options);
    if (until !== "accepted" && until !== "delivered")
      throw invalid(`until is "accepted" or "delivered", not ${formatValue(until)}`);
    const packets = this.#take();
    const ids = packets.map((packet) => packet.ids);
    this.#commit(packets);
    for (const packet of packets) this.#underWay.add(packet);
    for (const packet of this.#underWay) if (packet.left === 0) this.#underWay.delete(packet);
    if (until === "delivered") this.#driver.flushNow();
    const isThere = (packet: TrackedSegment) => packet.left === 0 || (until === "accepted" && packet.isAccepted);
    const isDone = await this.#driver.until([...this.#underWay], isThere, signal, deadlineMs);
    return report(this.#driver.wire, packets, ids, !isDone || packets.some(({ isAbandoned }) => isAbandoned));
  }

  /** Drops what is staged and gives the ids, the oldest first. What was flushed stays. */
  rollback(): string[] {
    const packets = this.#take();
    this.#driver.rollBack(this.#number);
    for (const packet of packets) packet.abandon(new FerryError("ERR_ROLLED_BACK"));
    return packets.flatMap((packet) => packet.ids);
  }

  /** Hands what is staged over and does not wait. @internal */
  commit(): void {
    this.#commit(this.#take());
  }

  /** Flushes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
  }

  /** Writes a text behind what is staged, and gives its bytes. */
  #write(text: string): number {
    for (let room = text.length; ; room = text.length * 3) {
      const start = this.#used && this.#used + 1;
      if (this.#arena.length < start + room) {
        const larger = new Uint8Array(Math.max(this.#arena.length * 2, start + room));
        larger.set(this.#arena.subarray(0, this.#used));
        this.#arena = larger;
      }
      const { read, written } = encoder.encodeInto(text, this.#arena.subarray(start));
      if (read === text.length) {
        if (start > 0) this.#arena[start - 1] = COMMA;
        return written;
      }
    }
  }

  /** The event that was written last begins a new packet. */
  #open(size: number): void {
    const start = this.#used && this.#used + 1;
    this.#end();
    this.#arena.copyWithin(0, start, start + size);
    this.#used = size;
    this.#packets.push(new TrackedSegment(this.#driver.lives));
  }

  /** Ends the last packet. */
  #end(): void {
    const packet = this.#packets[this.#packets.length - 1];
    if (packet) packet.body = withBrackets(this.#arena.subarray(0, this.#used));
    this.#used = 0;
  }

  #commit(packets: TrackedSegment[]): void {
    for (const packet of packets) packet.ids = [];
    this.#driver.commit(this.#number, packets);
    if (packets.length > 0) this.#committed();
  }

  #take(): TrackedSegment[] {
    this.settle();
    this.#end();
    this.#driver.staging.delete(this);
    for (const packet of this.#packets) packet.seal();
    const packets = this.#packets.filter((packet) => packet.count > 0);
    this.#packets = [];
    if (this.#arena.length > 65_536) this.#arena = new Uint8Array(1024);
    return packets;
  }

  /** Of those that the engine knows. */
  #dropOldest(): void {
    this.#packets.find(({ staged, life }) => staged > 0 && life === this.#driver.lives)?.dropOldest();
  }
}

/** The promises of one event. Its fields are not private to the engine, because there is one for every event. */
class Receipt implements EventReceipt {
  readonly id: string;
  private readonly packet: TrackedSegment;
  private readonly index: number;

  constructor(id: string, packet: TrackedSegment, index: number) {
    this.id = id;
    this.packet = packet;
    this.index = index;
  }

  get accepted(): Promise<void> {
    return this.packet.wait(this.index, this.id, false).then(() => undefined);
  }

  get delivered(): Promise<DeliveryInfo> {
    return this.packet.wait(this.index, this.id, true) as Promise<DeliveryInfo>;
  }
}

/** A number for a key, 0 for none (FNV-1a). Two keys with the same number only wait for each other without need. */
export function orderingKeyOf(key: string | undefined): number {
  if (key === undefined) return 0;
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  return hash >>> 0 || 1;
}

function droppedPacket(problem: FerryError): TrackedSegment {
  const packet = new TrackedSegment();
  packet.abandon(problem);
  return packet;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkedWait<T extends object>(options: T & WaitOptions): T & WaitOptions {
  if (typeof options !== "object" || options === null)
    throw invalid(`an object of options is wanted, not ${formatValue(options)}`);
  const { signal, deadlineMs } = options;
  if (signal !== undefined && typeof signal?.addEventListener !== "function")
    throw invalid(`signal is an AbortSignal, not ${formatValue(signal)}`);
  checkMillis("deadlineMs", deadlineMs);
  return options;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkMillis(name: string, value: unknown): void {
  if (value !== undefined && !(typeof value === "number" && value >= 0))
    throw invalid(`${name} is a number of milliseconds, not ${formatValue(value)}`);
}

function invalid(problem: string): FerryError {
  return new FerryError("ERR_INVALID_ARGUMENT", problem);
}
