/** Things in the order of their keys, in memory. Not for applications. */
import { Basket, countDead, countSegment, emptyStock } from "./basket.js";
import type { Change, DeadLetter, PeekLimit, Segment, Stock } from "./store.js";

/** A map that is walked from its smallest key. Keys that come in order cost nothing more than in a map. */
class Shelf<T extends { readonly key: string }> {
  readonly #items = new Map<string, T>();
  /** The keys in order, some of which may be gone by now. Undefined: to be sorted before the next walk. */
  #order: string[] | undefined = [];
  /** How many keys at the start of `#order` are gone. */
  #gone = 0;

  get size(): number {
    return this.#items.size;
  }

  set(item: T): void {
    const { key } = item;
    if (!this.#items.has(key) && this.#order) {
      const last = this.#order[this.#order.length - 1];
      if (last === undefined || last < key) this.#order.push(key);
      else this.#order = undefined;
    }
    this.#items.set(key, item);
  }

  delete(key: string): void {
    this.#items.delete(key);
  }

  get(key: string): T | undefined {
    return this.#items.get(key);
  }

  *[Symbol.iterator](): Generator<T> {
    if (!this.#order || this.#order.length > 2 * this.#items.size + 32) {
      this.#order = [...this.#items.keys()].sort();
      this.#gone = 0;
    }
    const order = this.#order;
    while (this.#gone < order.length && !this.#items.has(order[this.#gone]!)) this.#gone++;
    for (let at = this.#gone; at < order.length; at++) {
      const item = this.#items.get(order[at]!);
      if (item) yield item;
    }
  }
}

/** Everything a store has, in memory. */
export class Shelves {
  readonly segments = new Shelf<Segment>();
  readonly letters = new Shelf<DeadLetter>();

  apply({ put, remove, bury, exhume }: Change): void {
    for (const segment of put) this.segments.set(segment);
    for (const key of remove) this.segments.delete(key);
    for (const letter of bury) this.letters.set(letter);
    for (const key of exhume) this.letters.delete(key);
  }

  peek(limit: PeekLimit): Segment[] {
    const basket = new Basket(limit);
    for (const segment of this.segments) if (!basket.add(segment)) break;
    return basket.taken;
  }

  dead(limit: number): DeadLetter[] {
    const found: DeadLetter[] = [];
    for (const letter of this.letters) {
      if (found.length >= limit) break;
      found.push(letter);
    }
    return found;
  }

  count(): Stock {
    const stock = emptyStock();
    for (const segment of this.segments) countSegment(stock, segment);
    for (const letter of this.letters) countDead(stock, letter);
    return stock;
  }
}
