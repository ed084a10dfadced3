/** Who waits for the events of a segment: receipts for one event each, and flushes for all. */
import type { FerryError } from "../engine/errors.js";
import type { DeliveryInfo } from "./segment-outcomes.js";

/** The promise of a receipt. */
export interface Waiter {
  /** The place of its event when that was staged. */
  readonly index: number;
  readonly id: string;
  readonly resolve: (info?: DeliveryInfo | Promise<DeliveryInfo | undefined>) => void;
  readonly reject: (error: FerryError) => void;
  readonly isForDelivery: boolean;
}

export class SegmentWaiters {
  #waiters: Waiter[] = [];
  #watchers: (() => boolean)[] = [];

  get isEmpty(): boolean {
    return this.#waiters.length === 0 && this.#watchers.length === 0;
  }

  add(waiter: Waiter): void {
    this.#waiters.push(waiter);
  }

  /** The promises that are not settled. */
  all(): readonly Waiter[] {
    return this.#waiters;
  }

  /** Calls `watcher` now and after every change, until it returns true or is removed. */
  watch(watcher: () => boolean): void {
    if (!watcher()) this.#watchers.push(watcher);
  }

  unwatch(watcher: () => boolean): void {
    this.#watchers = this.#watchers.filter((other) => other !== watcher);
  }

  /** Removes the waiters for which `settle` returns true, then calls the watchers. */
  settle(settle: (waiter: Waiter) => boolean): void {
    if (this.#waiters.length > 0) this.#waiters = this.#waiters.filter((waiter) => !settle(waiter));
    if (this.#watchers.length > 0) this.#watchers = this.#watchers.filter((watcher) => !watcher());
  }

  rejectAll(error: FerryError): void {
    this.settle((waiter) => {
      waiter.reject(error);
      return true;
    });
  }
}
