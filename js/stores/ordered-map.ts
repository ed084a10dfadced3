/** The content of a store in memory. Internal. */
import { countsOf, takeUpTo } from "./peek-limit.js";
import type { Change, DeadLetter, PeekLimit, Segment, StoreCounts } from "./store.js";

/** Rows in the order of their keys. Inserting the largest key and removing the smallest, the usual case, is fast. */
export class OrderedMap<T extends { readonly key: string }> {
  readonly items: T[] = [];

  get(key: string): T | undefined {
    const item = this.items[this.#indexOf(key)];
    return item?.key === key ? item : undefined;
  }

  set(item: T): void {
    this.items.splice(this.#indexOf(item.key), this.get(item.key) ? 1 : 0, item);
  }

  delete(key: string): void {
    if (this.get(key)) this.items.splice(this.#indexOf(key), 1);
  }

  /** The rows whose keys begin with a prefix. */
  withPrefix(prefix: string): T[] {
    // No key has a character above `z`.
    return prefix === "" ? this.items : this.items.slice(this.#indexOf(prefix), this.#indexOf(`${prefix}\uffff`));
  }

  /** The index of a key, or the one at which to insert it. */
  #indexOf(key: string): number {
    let low = 0;
    for (let high = this.items.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.items[middle]!.key < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The segments and dead letters of a store. */
export class MemoryTables {
  readonly segments: OrderedMap<Segment> = new OrderedMap<Segment>();
  readonly deadLetters: OrderedMap<DeadLetter> = new OrderedMap<DeadLetter>();

  apply({ put, remove, deadPut, deadRemove }: Change): void {
    for (const segment of put) this.segments.set(segment);
    for (const key of remove) this.segments.delete(key);
    for (const letter of deadPut) this.deadLetters.set(letter);
    for (const key of deadRemove) this.deadLetters.delete(key);
  }

  peek(limit: PeekLimit): Segment[] {
    return takeUpTo(this.segments.withPrefix(limit.prefix ?? ""), limit);
  }

  dead(limit: number, prefix = ""): DeadLetter[] {
    return this.deadLetters.withPrefix(prefix).slice(0, limit);
  }

  count(prefix = ""): StoreCounts {
    return countsOf(this.segments.withPrefix(prefix), this.deadLetters.withPrefix(prefix));
  }
}
