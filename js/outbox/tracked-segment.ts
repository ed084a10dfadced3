/**
 * A packet: the bodies of one segment, and what is known of its events. The machine knows a segment by its number, the store by
 * its key; here the two meet, and the promises of receipts wait here.
 */
import { FerryError } from "../engine/errors.js";
import type { DeadLetter, Segment } from "../stores/store.js";
import { joinTexts } from "./json-texts.js";

/** What became of events that the server took. */
export interface DeliveryInfo {
  /** The status of the last answer, 200 to 299. 0 if there was nothing to send, or another tab has sent them. */
  status: number;
  /** How many requests it took. */
  attempts: number;
  /** The ids of the events. */
  ids: string[];
}

interface Waiter {
  readonly index: number;
  readonly id: string;
  readonly resolve: (info?: DeliveryInfo | Promise<DeliveryInfo | undefined>) => void;
  readonly reject: (error: FerryError) => void;
  readonly isForDelivery: boolean;
}

export const enum State {
  Pending,
  Delivered,
  Dead,
}

export class TrackedSegment {
  /** Its number in the machine, 0 before it is committed. */
  handle = 0;
  key = "";
  /** Unix milliseconds. */
  at = 0;
  /** The texts of its events, parted by commas. Only as long as the machine knows the packet. */
  body: Uint8Array<ArrayBuffer> | undefined;
  /** The body of a request with all of its events, compressed: made when they were committed, because a page that ends cannot wait for that. */
  zipped: Uint8Array<ArrayBuffer> | undefined;
  sizes: number[] | Uint32Array<ArrayBuffer> = [];
  lanes: number[] | Uint32Array<ArrayBuffer> = [];
  /** Only until it is committed. */
  ids: string[] = [];
  isAccepted = false;
  /** Which engine has it staged, see `lives` of the driver. */
  readonly life: number;
  /** Events that are neither delivered nor dead. */
  left = 0;
  /** So many events at the front were dropped before it was committed. */
  #dropped = 0;
  #states: Uint8Array<ArrayBuffer> | undefined;
  #parts: { from: number; to: number; info: Omit<DeliveryInfo, "ids"> }[] = [];
  #dead = new Map<number, { problem: FerryError; letter: DeadLetter }>();
  /** What another tab has settled, by id: here nobody knows any more where in the packet those are. */
  #elsewhere = new Map<string, { info: Omit<DeliveryInfo, "ids">; problem: FerryError | undefined }>();
  /** What the store has in place of this, and where the events are in there. Those that are not were settled by another tab. */
  #successor: { packet: TrackedSegment; places: Map<string, number> } | undefined;
  /** Why none of its events will get any further. */
  #end: FerryError | undefined;
  #waiters: Waiter[] = [];
  #watchers: (() => boolean)[] = [];

  constructor(life = 0) {
    this.life = life;
  }

  get count(): number {
    return this.sizes.length;
  }

  /** The bytes of the events from an index up to before another, with the commas between them. */
  slice(from: number, to: number): Uint8Array<ArrayBuffer> {
    if (from === 0 && to === this.count) return this.body!;
    let start = 0;
    for (let at = 0; at < from; at++) start += this.sizes[at]! + 1;
    let end = start;
    for (let at = from; at < to; at++) end += this.sizes[at]! + 1;
    return this.body!.subarray(start, end - 1);
  }

  /** The bytes of each of these events. */
  texts(from: number, to: number): Uint8Array<ArrayBuffer>[] {
    let start = 0;
    for (let at = 0; at < from; at++) start += this.sizes[at]! + 1;
    const texts: Uint8Array<ArrayBuffer>[] = [];
    for (let at = from; at < to; start += this.sizes[at++]! + 1)
      texts.push(this.body!.subarray(start, start + this.sizes[at]!));
    return texts;
  }

  /** As the store keeps it: with all events, or only some. */
  toSegment(kept?: Uint32Array): Segment {
    const pick = (numbers: ArrayLike<number>) =>
      kept ? Uint32Array.from(kept, (index) => numbers[index]!) : new Uint32Array(numbers);
    const body: Uint8Array<ArrayBuffer> = kept
      ? joinTexts([...kept].map((index) => this.slice(index, index + 1)))
      : this.body!;
    return {
      key: this.key,
      at: this.at,
      body,
      sizes: pick(this.sizes),
      ...(this.lanes.length > 0 && { orderingKeys: pick(this.lanes) }),
    };
  }

  /** The oldest events that are left make room for others. */
  dropOldest(): void {
    this.#dropped++;
    this.#reject(-1, madeRoom());
  }

  /** How many events `dropOldest` has left. */
  get staged(): number {
    return this.ids.length - this.#dropped;
  }

  /** Its events are final: those that were dropped are taken out. */
  seal(): void {
    if (this.#dropped > 0) {
      this.body = this.slice(this.#dropped, this.count).slice();
      this.ids = this.ids.slice(this.#dropped);
      this.sizes = this.sizes.slice(this.#dropped);
      this.lanes = this.lanes.slice(this.#dropped);
    }
    this.left = this.count;
  }

  /** Settles when the event with that place at the time of staging has got so far. */
  wait(index: number, id: string, isForDelivery: boolean): Promise<DeliveryInfo | undefined> {
    return new Promise((resolve, reject) => {
      const at = index - this.#dropped;
      if (at < 0) return reject(madeRoom());
      if (this.isAccepted && !isForDelivery) return resolve(undefined);
      const other = this.#elsewhere.get(id);
      const problem = other?.problem ?? this.#dead.get(at)?.problem;
      if (problem) return reject(problem);
      const part = other ?? this.#parts.find(({ from, to }) => from <= at && at < to);
      if (part) return resolve({ ...part.info, ids: [id] });
      if (this.#successor) {
        const { packet, places } = this.#successor;
        const place = places.get(id);
        return resolve(place === undefined ? { ...NOBODY_SAID, ids: [id] } : packet.wait(place, id, isForDelivery));
      }
      if (this.#end) return reject(this.#end);
      this.#waiters.push({ index, id, resolve, reject, isForDelivery });
    });
  }

  /** Calls back whenever something has changed, until it gets `true`. */
  watch(watcher: () => boolean): void {
    if (!watcher()) this.#watchers.push(watcher);
  }

  accept(): void {
    this.isAccepted = true;
    this.#settle((waiter) => !waiter.isForDelivery && (waiter.resolve(), true));
  }

  deliver(from: number, to: number, status: number, attempts: number): void {
    const info = { status, attempts };
    this.#parts.push({ from, to, info });
    this.#mark(from, to, State.Delivered);
    this.#settle(({ index, id, resolve }) => {
      const at = index - this.#dropped;
      if (at < from || at >= to) return false;
      resolve({ ...info, ids: [id] });
      return true;
    });
  }

  /** Another tab has delivered or buried these, by their ids; all that are left if none are given. */
  settleElsewhere(
    ids: readonly string[] | undefined,
    status: number,
    attempts: number,
    problem: FerryError | undefined,
  ): number {
    const count = Math.min(ids?.length ?? this.left, this.left);
    if (!ids && !problem) {
      this.deliver(0, this.count, status, attempts);
      return count;
    }
    const info = { status, attempts };
    for (const id of ids ?? []) this.#elsewhere.set(id, { info, problem });
    this.left -= count;
    this.#settle(({ id, resolve, reject }) => {
      if (!this.#elsewhere.has(id)) return false;
      if (problem) reject(problem);
      else resolve({ ...info, ids: [id] });
      return true;
    });
    return count;
  }

  /** The store has other events of a segment than we thought: whoever waits for one is found by its id. */
  follow(before: TrackedSegment, idAt: (index: number) => string): void {
    const places = new Map(Array.from({ length: this.count }, (_, index) => [idAt(index), index]));
    before.#successor = { packet: this, places };
    for (const waiter of before.#waiters) {
      const index = places.get(waiter.id);
      if (index === undefined) waiter.resolve({ ...NOBODY_SAID, ids: [waiter.id] });
      else this.#waiters.push({ ...waiter, index });
    }
    const watchers = before.#watchers;
    before.#watchers = [];
    this.watch(() => {
      if (this.left > 0) return false;
      before.left = 0;
      for (const watcher of watchers) watcher();
      return true;
    });
  }

  die(index: number, problem: FerryError, letter: DeadLetter): void {
    this.#mark(index, index + 1, State.Dead);
    this.#dead.set(index, { problem, letter });
    this.#reject(index, problem);
  }

  /** None of its events will get any further. */
  abandon(problem: FerryError): void {
    this.#end = problem;
    this.left = 0;
    this.#settle((waiter) => (waiter.reject(problem), true));
  }

  /** Whether all of its events are pending. */
  get isUntouched(): boolean {
    return !this.#states && !this.#successor && this.#elsewhere.size === 0;
  }

  /** Where an event is. */
  stateOf(index: number, id: string): State {
    const other = this.#elsewhere.get(id);
    if (other) return other.problem ? State.Dead : State.Delivered;
    const own = this.#states?.[index] ?? State.Pending;
    if (!this.#successor || own !== State.Pending) return own;
    const place = this.#successor.places.get(id);
    return place === undefined ? State.Delivered : this.#successor.packet.stateOf(place, id);
  }

  /** The one of an event that has died. */
  letterOf(index: number): DeadLetter | undefined {
    return this.#dead.get(index)?.letter;
  }

  /** What is known of an event that has died. */
  deathOf(index: number, id: string): { letter?: DeadLetter; problem?: FerryError | undefined; attempts?: number } {
    const other = this.#elsewhere.get(id);
    if (other) return { problem: other.problem, attempts: other.info.attempts };
    return this.#dead.get(index) ?? this.#successor?.packet.deathOf(this.#successor.places.get(id)!, id) ?? {};
  }

  /** Whether it was given up before all its events got as far as they could. */
  get isAbandoned(): boolean {
    return this.#end !== undefined;
  }

  #mark(from: number, to: number, state: State): void {
    this.#states ??= new Uint8Array(this.count);
    for (let at = from; at < to; at++) if (this.#states[at] === State.Pending) this.left--;
    this.#states.fill(state, from, to);
  }

  #reject(index: number, problem: FerryError): void {
    this.#settle((waiter) => waiter.index - this.#dropped === index && (waiter.reject(problem), true));
  }

  #settle(isDone: (waiter: Waiter) => boolean): void {
    if (this.#waiters.length > 0) this.#waiters = this.#waiters.filter((waiter) => !isDone(waiter));
    if (this.#watchers.length > 0) this.#watchers = this.#watchers.filter((watcher) => !watcher());
  }
}

/** Another tab has settled it, and has not told us how. */
const NOBODY_SAID = { status: 0, attempts: 0 };

function madeRoom(): FerryError {
  return new FerryError("ERR_QUEUE_FULL", "the event was dropped to make room for newer ones");
}
