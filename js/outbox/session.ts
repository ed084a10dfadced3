/// <reference lib="esnext.disposable" preserve="true" />
/** Sessions: what is published is staged as bytes, ready to be stored, until it is flushed or rolled back. */
import { FerryError } from "../errors.js";
import type { Driver } from "./driver.js";
import { type DeliveryInfo, Packet, State, framed } from "./packet.js";

/** What becomes of one event. Nothing is computed unless it is asked for. */
export interface EventReceipt {
  readonly id: string;
  /**
   * Resolves when the event is stored as safely as `stats().durability` says, or the server has it. Rejects with
   * `ERR_ROLLED_BACK`, `ERR_QUEUE_FULL` (dropped to make room), `ERR_ABORTED` (purged) or `ERR_CLOSED`.
   */
  readonly accepted: Promise<void>;
  /** Resolves when the server has taken the event. Rejects as `accepted` does, and with what the server said if it never will. */
  readonly delivered: Promise<DeliveryInfo>;
}

export interface FlushOptions {
  /** How far the events have to get. @default "accepted" */
  until?: "accepted" | "delivered";
  /** Ends the waiting, not the delivery. */
  signal?: AbortSignal;
  /** Ends the waiting after so many milliseconds. */
  deadlineMs?: number;
}

/** What became of the events of one flush. The lists are made when they are read. */
export interface FlushReport {
  /** Ids of those that are stored or delivered. */
  readonly accepted: string[];
  readonly delivered: string[];
  /** Ids of those that are not delivered yet. */
  readonly pending: string[];
  readonly dead: { id: string; error: FerryError }[];
  /** Whether the waiting ended before the goal. */
  readonly aborted: boolean;
}

const encoder = new TextEncoder();
const COMMA = 44;

/** Buffers events until `flush`. */
export class EventSession<E> {
  readonly #driver: Driver<E>;
  readonly #number: number;
  #arena = new Uint8Array(1024);
  #used = 0;
  /** All but the last are sealed. */
  #packets: Packet[] = [];
  /** Flushed, and not settled. */
  #underWay = new Set<Packet>();

  readonly #committed: () => void;

  /** @internal */
  constructor(driver: Driver<E>, number: number, committed: () => void) {
    this.#driver = driver;
    this.#number = number;
    this.#committed = committed;
  }

  /** How many events are staged. */
  get staged(): number {
    return this.#packets.reduce((sum, packet) => sum + packet.staged, 0);
  }

  /**
   * Stages an event: it is checked and turned into bytes at once, so later changes to the object have no effect.
   *
   * @throws {FerryError} what the event has wrong, with `attribute`; `ERR_QUEUE_FULL` if there is no room and `overflow` is
   * `"reject"` or `"wait"`; `ERR_CLOSED`.
   */
  publish(event: E): EventReceipt {
    const { id, text, key } = this.#driver.wire.encode(event);
    const size = this.#write(text);
    const staged = this.#driver.stage(this.#number, size, key);
    if (staged === -2) throw this.#driver.full();
    if (staged === -1) return new Receipt(id, droppedPacket(this.#driver.full()), 0);
    for (let dropped = staged >> 1; dropped > 0; dropped--) this.#dropOldest();
    if (staged & 1 || this.#packets.length === 0) this.#open(size);
    else this.#used += size + 1;
    const packet = this.#packets[this.#packets.length - 1]!;
    (packet.sizes as number[]).push(size);
    if (key !== undefined || packet.lanes.length > 0) this.#noteLane(packet, key);
    return new Receipt(id, packet, packet.count - 1);
  }

  /**
   * Hands what is staged over, all or nothing, and waits until it is stored (or delivered). Resolves also when that
   * takes longer than asked: then `aborted` is true, and the events are on their way all the same.
   */
  async flush(options: FlushOptions = {}): Promise<FlushReport> {
    const { until = "accepted", signal, deadlineMs } = options;
    if (until !== "accepted" && until !== "delivered") throw new FerryError("ERR_INVALID_ARGUMENT", `until is "accepted" or "delivered"`);
    const packets = this.commit();
    const bodies = packets.map((packet) => packet.body);
    for (const packet of packets) this.#underWay.add(packet);
    for (const packet of this.#underWay) if (packet.left === 0) this.#underWay.delete(packet);
    if (until === "delivered") this.#driver.hurry();
    const isThere = (packet: Packet) => packet.left === 0 || (until === "accepted" && packet.isAccepted);
    const aborted = !(await this.#driver.until([...this.#underWay], isThere, signal, deadlineMs));
    return report(this.#driver, packets, bodies, aborted);
  }

  /** Drops what is staged and gives the ids, the oldest first. What was flushed stays. */
  rollback(): string[] {
    const packets = this.#take();
    this.#driver.rollBack(this.#number);
    const ids = packets.flatMap((packet) => Array.from({ length: packet.count }, (_, at) => this.#driver.wire.idOf(packet.slice(at, at + 1))));
    for (const packet of packets) packet.abandon(new FerryError("ERR_ROLLED_BACK"));
    return ids;
  }

  /** Hands what is staged over and does not wait. @internal */
  commit(): Packet[] {
    const packets = this.#take();
    this.#driver.commit(this.#number, packets);
    if (packets.length > 0) this.#committed();
    return packets;
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
    this.#seal();
    this.#arena.copyWithin(0, start, start + size);
    this.#used = size;
    this.#packets.push(new Packet());
  }

  #seal(): void {
    this.#packets[this.#packets.length - 1]?.seal(framed(this.#arena.subarray(0, this.#used)));
    this.#used = 0;
  }

  #take(): Packet[] {
    this.#seal();
    const packets = this.#packets.filter((packet) => packet.count > 0);
    this.#packets = [];
    if (this.#arena.length > 65_536) this.#arena = new Uint8Array(1024);
    return packets;
  }

  #dropOldest(): void {
    const packet = this.#packets.find((packet) => packet.staged > 0)!;
    packet.dropOldest();
  }

  #noteLane(packet: Packet, key: string | undefined): void {
    const lanes = packet.lanes as number[];
    while (lanes.length < packet.count - 1) lanes.push(0);
    lanes.push(laneOf(key));
  }
}

/** The promises of one event. Its fields are not private to the engine, because there is one for every event. */
class Receipt implements EventReceipt {
  readonly id: string;
  private readonly packet: Packet;
  private readonly index: number;

  constructor(id: string, packet: Packet, index: number) {
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
export function laneOf(key: string | undefined): number {
  if (key === undefined) return 0;
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  return hash >>> 0 || 1;
}

function droppedPacket(problem: FerryError): Packet {
  const packet = new Packet();
  packet.abandon(problem);
  return packet;
}

function report<E>(driver: Driver<E>, packets: Packet[], bodies: (Uint8Array<ArrayBuffer> | undefined)[], aborted: boolean): FlushReport {
  const states = packets.map((packet) => packet.states());
  const stored = packets.map((packet) => packet.isAccepted);
  const ids = (test: (state: State, at: number) => boolean) =>
    packets.flatMap((packet, at) => {
      let start = 0;
      return Array.from(packet.sizes, (size, index) => {
        const text = bodies[at]!.subarray(start, start + size);
        start += size + 1;
        return test(states[at]![index]!, at) ? driver.wire.idOf(text) : undefined;
      }).filter((id) => id !== undefined);
    });
  const dead = () => {
    const all: FlushReport["dead"] = [];
    packets.forEach((packet, at) => {
      let start = 0;
      packet.sizes.forEach((size, index) => {
        const error = packet.problemOf(index);
        if (error) all.push({ id: driver.wire.idOf(bodies[at]!.subarray(start, start + size)), error });
        start += size + 1;
      });
    });
    return all;
  };
  return {
    get accepted() {
      return ids((state, at) => stored[at]! || state !== State.Pending);
    },
    get delivered() {
      return ids((state) => state === State.Delivered);
    },
    get pending() {
      return ids((state) => state === State.Pending);
    },
    get dead() {
      return dead();
    },
    aborted,
  };
}
