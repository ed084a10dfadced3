/**
 * A queue of received items. It has no limit, because items cannot be sent back: the engine counts them and stops
 * reading (`src/engine/inbox.rs`).
 */
import { FerryError } from "../engine/errors.js";
import { aborted } from "./options.js";

/** A group of items that arrived together. An item is created when it is taken. */
export interface Chunk<T> {
  readonly length: number;
  at(index: number): T;
}

interface Receiver<T> {
  resolve(item: T): void;
  reject(error: unknown): void;
}

/** Items that have arrived, and the receivers that wait for items. */
export class Inbox<T> {
  #chunks: Chunk<T>[] = [];
  /** The number of items that were taken from the first chunk. */
  #taken = 0;
  #size = 0;
  #receivers = new Set<Receiver<T>>();
  #end: { error: FerryError | undefined } | undefined;
  /** Errors for the next receivers. Items may still arrive. */
  #errors: FerryError[] = [];

  /** The number of items. */
  get size(): number {
    return this.#size;
  }

  /** Whether no more items arrive. Those in the inbox can still be taken. */
  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** Adds items. */
  push(chunk: Chunk<T>): void {
    if (this.#end || chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    this.#serve();
  }

  /** Puts an item back as the first one. */
  unshift(item: T): void {
    if (this.#taken > 0) {
      const first = this.#chunks[0]!;
      const taken = this.#taken;
      this.#chunks[0] = { length: first.length - taken, at: (index) => first.at(index + taken) };
      this.#taken = 0;
    }
    this.#chunks.unshift({ length: 1, at: () => item });
    this.#size++;
    this.#serve();
  }

  /** Drops all items, and returns how many there were. */
  clear(): number {
    const count = this.#size;
    this.#chunks = [];
    this.#taken = this.#size = 0;
    return count;
  }

  /** Rejects the receivers that wait now. Items may still arrive. */
  rejectWaiting(error: FerryError): void {
    for (const receiver of [...this.#receivers]) this.#settle(receiver, () => receiver.reject(error));
  }

  /** Rejects the receivers that wait now, or else the next one. */
  pushError(error: FerryError): void {
    if (this.#receivers.size > 0) this.rejectWaiting(error);
    else if (this.#errors.length < 100) this.#errors.push(error);
  }

  /** No more items arrive. Receivers of an empty inbox are rejected with `error`, or `ERR_CLOSED`. */
  end(error?: FerryError): void {
    if (this.#end) return;
    this.#end = { error };
    for (const receiver of [...this.#receivers]) this.#settle(receiver, () => receiver.reject(this.#endError));
  }

  /**
   * The next item; waits until there is one.
   *
   * @throws {FerryError} `ERR_ABORTED`, `ERR_CLOSED` or the error of the connection
   */
  take(signal?: AbortSignal): Promise<T> {
    if (signal?.aborted) return Promise.reject(aborted(signal));
    const error = this.#errors.shift();
    if (error) return Promise.reject(error);
    if (this.#size > 0) return Promise.resolve(this.#shift());
    if (this.#end) return Promise.reject(this.#endError);
    return new Promise<T>((resolve, reject) => {
      const onAbort = () => this.#settle(receiver, () => reject(aborted(signal!)));
      const stopListening = () => signal?.removeEventListener("abort", onAbort);
      const receiver: Receiver<T> = {
        resolve: (item) => {
          stopListening();
          resolve(item);
        },
        reject: (error) => {
          stopListening();
          reject(error);
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#receivers.add(receiver);
    });
  }

  get #endError(): FerryError {
    return this.#end?.error ?? new FerryError("ERR_CLOSED");
  }

  /** The error that ended the inbox, if there was one. */
  get error(): FerryError | undefined {
    return this.#end?.error;
  }

  #settle(receiver: Receiver<T>, how: () => void): void {
    if (this.#receivers.delete(receiver)) how();
  }

  #serve(): void {
    for (const receiver of [...this.#receivers]) {
      if (this.#size === 0) return;
      const item = this.#shift();
      this.#settle(receiver, () => receiver.resolve(item));
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
    return item;
  }
}
