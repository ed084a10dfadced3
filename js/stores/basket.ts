/** What `peek` gives: as much as the limit allows, and at least one segment. Not for applications. */
import type { DeadLetter, PeekLimit, Segment, Stock } from "./store.js";

export class Basket {
  readonly taken: Segment[] = [];
  readonly #skip: ReadonlySet<string>;
  #events: number;
  #bytes: number;

  constructor({ events, bytes, skip }: PeekLimit) {
    this.#skip = skip;
    this.#events = events;
    this.#bytes = bytes;
  }

  /** Takes the next segment if it fits. False when there is no use in coming with another. */
  add(segment: Segment): boolean {
    if (this.#skip.has(segment.key)) return true;
    this.#events -= segment.sizes.length;
    this.#bytes -= segment.body.length;
    if (this.taken.length === 0 || (this.#events >= 0 && this.#bytes >= 0)) this.taken.push(segment);
    return this.#events > 0 && this.#bytes > 0;
  }
}

/** A stock with nothing in it. */
export const emptyStock = (): Stock => ({ events: 0, bytes: 0, dead: 0, deadBytes: 0 });

export function countSegment(stock: Stock, { sizes, body }: Segment): void {
  stock.events += sizes.length;
  stock.bytes += body.length;
}

export function countDead(stock: Stock, { body }: DeadLetter): void {
  stock.dead++;
  stock.deadBytes += body.length;
}
