/**
 * What became of the events of a segment: delivered or dead here, or settled by another tab or process, which tells it in
 * a message, or of which the store shows it.
 */
import type { Bytes } from "../platform/bytes.js";
import type { FerryError } from "../engine/errors.js";
import type { DeadLetter } from "../stores/store.js";

/** How events were delivered. */
export interface DeliveryInfo {
  /** HTTP status of the last response, 200 to 299. 0 if there was nothing to send or another tab sent the events. */
  status: number;
  /** How many requests it took. */
  attempts: number;
  /** The ids of the events. */
  ids: string[];
}

type Delivery = Omit<DeliveryInfo, "ids">;

/** Where an event is. */
export const State = { Pending: 0, Delivered: 1, Dead: 2 } as const;
export type State = (typeof State)[keyof typeof State];

/** What is known of an event that is dead. */
export interface DeadInfo {
  letter?: DeadLetter;
  error?: FerryError | undefined;
  attempts?: number;
}

/** A segment as the one sees it in whose place it is. */
export interface Successor {
  wait(index: number, id: string, isForDelivery: boolean): Promise<DeliveryInfo | undefined>;
  stateOf(index: number, id: string): State;
  deadInfoOf(index: number, id: string): DeadInfo;
}

/** What the store has in place of a segment, and the index of each event there. Missing events were settled by others. */
export interface Replacement {
  segment: Successor;
  indices: Map<string, number>;
}

/** For events that another tab settled without telling how. */
export const UNKNOWN_DELIVERY: Delivery = { status: 0, attempts: 0 };

export class SegmentOutcomes {
  /** How many events are neither delivered nor dead. */
  pending = 0;
  /** Bytes of the events that are settled. */
  settledBytes = 0;
  replacement: Replacement | undefined;
  #states: Bytes | undefined;
  /** How many events were delivered from here. */
  #deliveredCount = 0;
  #deliveries: { from: number; to: number; info: Delivery }[] = [];
  #dead = new Map<number, { error: FerryError; letter: DeadLetter }>();
  /** The ids that the store had when it was looked into last: the other pending events were settled elsewhere. */
  #present: ReadonlySet<string> | undefined;
  /** Events that another tab settled, by id: their indices are not known here. */
  #elsewhere = new Map<string, { info: Delivery; error: FerryError | undefined }>();

  /** Whether all events are pending. */
  get isUntouched(): boolean {
    return !this.#states && !this.replacement && !this.#present && this.#elsewhere.size === 0;
  }

  /** Whether all of so many events were delivered from here, and no other tab or process has told of any. */
  isDelivered(count: number): boolean {
    return this.#deliveredCount === count && this.#elsewhere.size === 0;
  }

  /** The indices of the events that are pending here. */
  pendingIndices(count: number): Uint32Array {
    const states = this.#states ?? new Uint8Array(count);
    return Uint32Array.from(states.keys()).filter((index) => states[index] === State.Pending);
  }

  deliver(from: number, to: number, info: Delivery, sizes: ArrayLike<number>): void {
    this.#deliveries.push({ from, to, info });
    this.#mark(from, to, State.Delivered, sizes);
  }

  die(index: number, error: FerryError, letter: DeadLetter, sizes: ArrayLike<number>): void {
    this.#mark(index, index + 1, State.Dead, sizes);
    this.#dead.set(index, { error, letter });
  }

  /** Another tab delivered these events, or with `error` made dead letters of them. */
  settleElsewhere(ids: readonly string[], info: Delivery, error: FerryError | undefined): void {
    for (const id of ids) this.#elsewhere.set(id, { info, error });
  }

  /** The store has only these of the pending events. Returns how many others there were. */
  settleAbsent(present: ReadonlySet<string>): number {
    const settled = Math.max(0, this.pending - present.size);
    this.#present = present;
    this.pending -= settled;
    return settled;
  }

  wasSettledElsewhere(id: string): boolean {
    return this.#elsewhere.has(id);
  }

  /** Why an event is dead, if it is known here. */
  errorOf(index: number, id: string): FerryError | undefined {
    return this.#elsewhere.get(id)?.error ?? this.#dead.get(index)?.error;
  }

  /** How an event was delivered. Undefined if that is not known here. */
  deliveryOf(index: number, id: string): Delivery | undefined {
    const delivery = this.#elsewhere.get(id) ?? this.#deliveries.find(({ from, to }) => from <= index && index < to);
    return delivery?.info ?? (this.#isAbsent(id) ? UNKNOWN_DELIVERY : undefined);
  }

  stateOf(index: number, id: string): State {
    const elsewhere = this.#elsewhere.get(id);
    if (elsewhere) return elsewhere.error ? State.Dead : State.Delivered;
    const state = (this.#states?.[index] ?? State.Pending) as State;
    if (state === State.Pending && this.#isAbsent(id)) return State.Delivered;
    if (!this.replacement || state !== State.Pending) return state;
    const other = this.replacement.indices.get(id);
    return other === undefined ? State.Delivered : this.replacement.segment.stateOf(other, id);
  }

  deadLetterOf(index: number): DeadLetter | undefined {
    return this.#dead.get(index)?.letter;
  }

  /** Whether it is known here that an event became this dead letter. */
  hasDeadLetter(key: string): boolean {
    for (const { letter } of this.#dead.values()) if (letter.key === key) return true;
    return false;
  }

  deadInfoOf(index: number, id: string): DeadInfo {
    const elsewhere = this.#elsewhere.get(id);
    if (elsewhere) return { error: elsewhere.error, attempts: elsewhere.info.attempts };
    const { replacement } = this;
    return this.#dead.get(index) ?? replacement?.segment.deadInfoOf(replacement.indices.get(id)!, id) ?? {};
  }

  #mark(from: number, to: number, state: State, sizes: ArrayLike<number>): void {
    this.#states ??= new Uint8Array(sizes.length);
    for (let at = from; at < to; at++) {
      if (this.#states[at] !== State.Pending) continue;
      this.pending--;
      if (state === State.Delivered) this.#deliveredCount++;
      this.settledBytes += sizes[at]!;
    }
    this.#states.fill(state, from, to);
  }

  #isAbsent(id: string): boolean {
    return this.#present !== undefined && !this.#present.has(id);
  }
}
