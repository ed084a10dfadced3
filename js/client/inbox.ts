/**
 * A bounded inbox: what arrives waits here until somebody takes it. It holds no limit itself, because what has arrived cannot be sent back; it
 * says when it is full and when it has room again, and its owner stops asking for more.
 */
import { FerryError } from "../engine/errors.js";
import { aborted } from "./options.js";

/** Items that are made when they are taken. */
export interface Chunk<T> {
  readonly length: number;
  at(index: number): T;
}

export interface InboxOptions {
  /** From how many items on it is full. */
  limit: number;
  onFull(): void;
  /** Half of the limit is free again. */
  onDrained(): void;
}

interface Receiver<T> {
  resolve(item: T): void;
  reject(error: unknown): void;
}

export class Inbox<T> {
  readonly #options: InboxOptions;
  #chunks: Chunk<T>[] = [];
  /** How much of the first chunk is gone. */
  #taken = 0;
  #size = 0;
  #isFull = false;
  #takers = new Set<Receiver<T>>();
  #end: { error: FerryError | undefined } | undefined;
  /** Something went wrong that the next taker has to know, and no more than that. */
  #faults: FerryError[] = [];

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /** How many items wait. */
  get size(): number {
    return this.#size;
  }

  /** Whether nothing comes any more. What is there can still be taken. */
  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  push(chunk: Chunk<T>): void {
    if (this.#end || chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    this.#serve();
    if (this.#size >= this.#options.limit && !this.#isFull) {
      this.#isFull = true;
      this.#options.onFull();
    }
  }

  /** Puts an item back that was not used. */
  unshift(item: T): void {
    if (this.#taken > 0) {
      const [first] = this.#chunks;
      const rest = {
        length: first!.length - this.#taken,
        at: (
          (skipped) => (index: number) =>
            first!.at(index + skipped)
        )(this.#taken),
      };
      this.#chunks[0] = rest;
      this.#taken = 0;
    }
    this.#chunks.unshift({ length: 1, at: () => item });
    this.#size++;
    this.#serve();
  }

  /** Those who wait now are told of a fault; items may still come. */
  rejectWaiting(error: FerryError): void {
    for (const taker of [...this.#takers]) this.#settle(taker, () => taker.reject(error));
  }

  /** The next who takes is told of a fault. */
  pushError(error: FerryError): void {
    if (this.#takers.size > 0) this.rejectWaiting(error);
    else if (this.#faults.length < 100) this.#faults.push(error);
  }

  /** Nothing comes any more: `error`, or `ERR_CLOSED`, for those who take when all is gone. */
  end(error?: FerryError): void {
    if (this.#end) return;
    this.#end = { error };
    for (const taker of [...this.#takers]) this.#settle(taker, () => taker.reject(this.#over));
  }

  /** The next item. */
  take(signal?: AbortSignal): Promise<T> {
    if (signal?.aborted) return Promise.reject(aborted(signal));
    const fault = this.#faults.shift();
    if (fault) return Promise.reject(fault);
    if (this.#size > 0) return Promise.resolve(this.#shift());
    if (this.#end) return Promise.reject(this.#over);
    return new Promise<T>((resolve, reject) => {
      const giveUp = () => this.#settle(taker, () => reject(aborted(signal!)));
      const tidy = () => signal?.removeEventListener("abort", giveUp);
      const taker: Receiver<T> = {
        resolve: (item) => (tidy(), resolve(item)),
        reject: (error) => (tidy(), reject(error)),
      };
      signal?.addEventListener("abort", giveUp, { once: true });
      this.#takers.add(taker);
    });
  }

  get #over(): FerryError {
    return this.#end?.error ?? new FerryError("ERR_CLOSED");
  }

  /** Why it has ended, if that was not by us. */
  get error(): FerryError | undefined {
    return this.#end?.error;
  }

  #settle(taker: Receiver<T>, how: () => void): void {
    if (this.#takers.delete(taker)) how();
  }

  #serve(): void {
    for (const taker of [...this.#takers]) {
      if (this.#size === 0) return;
      const item = this.#shift();
      this.#settle(taker, () => taker.resolve(item));
    }
  }

  #shift(): T {
    const [first] = this.#chunks;
    const item = first!.at(this.#taken++);
    if (this.#taken === first!.length) {
      this.#chunks.shift();
      this.#taken = 0;
    }
    this.#size--;
    if (this.#isFull && this.#size <= this.#options.limit / 2) {
      this.#isFull = false;
      this.#options.onDrained();
    }
    return item;
  }
}
