/** What a store has, in memory. Not for applications. */
import { takeUpTo, countsOf } from "./peek-limit.js";
import type { Change, DeadLetter, PeekLimit, Segment, StoreCounts } from "./store.js";

/** Things in the order of their keys. What comes last and what goes first costs next to nothing, and that is the rule. */
export class OrderedMap<T extends { readonly key: string }> {
  readonly items: T[] = [];

  get(key: string): T | undefined {
    const item = this.items[this.#place(key)];
    return item?.key === key ? item : undefined;
  }

  set(item: T): void {
    this.items.splice(this.#place(item.key), this.get(item.key) ? 1 : 0, item);
  }

  delete(key: string): void {
    if (this.get(key)) this.items.splice(this.#place(key), 1);
  }

  /** Where it is, or would be. */
  #place(key: string): number {
    let low = 0;
    for (let high = this.items.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.items[middle]!.key < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Everything a store has. */
export class MemoryTables {
  readonly segments = new OrderedMap<Segment>();
  readonly deadLetters = new OrderedMap<DeadLetter>();

  apply({ put, remove, deadPut, deadRemove }: Change): void {
    for (const segment of put) this.segments.set(segment);
    for (const key of remove) this.segments.delete(key);
    for (const letter of deadPut) this.deadLetters.set(letter);
    for (const key of deadRemove) this.deadLetters.delete(key);
  }

  peek(limit: PeekLimit): Segment[] {
    return takeUpTo(this.segments.items, limit);
  }

  dead(limit: number): DeadLetter[] {
    return this.deadLetters.items.slice(0, limit);
  }

  count(): StoreCounts {
    return countsOf(this.segments.items, this.deadLetters.items);
  }
}
