/** The store in memory: for tests, and where there is no better place. */
import type { DedupeStore } from "./dedupe.js";
import { Marks } from "./marks.js";
import { MemoryTables } from "./ordered-map.js";
import type { OutboxStore } from "./store.js";

/** What `memoryStore` does for an outbox. What only an outbox uses does not bring the marks of `dedupe` along. */
export function memoryOutbox(): OutboxStore {
  const tables = new MemoryTables();
  return {
    kind: "memory",
    open: async () => ({ durability: "none", isShared: false, supportsPrefix: true }),
    write: async (change) => tables.apply(change),
    peek: async (limit) => tables.peek(limit),
    dead: async (limit, prefix) => tables.dead(limit, prefix),
    count: async (prefix) => tables.count(prefix),
    close: async () => undefined,
  };
}

/**
 * Keeps events in memory. Events that are not delivered when the page or process ends are lost. It never fails. Its
 * content survives `close` and another `open` of the same object. As the `dedupe` of a receiver it knows the deliveries to
 * this process only.
 */
export function memoryStore(): OutboxStore & DedupeStore {
  const marks = new Marks();
  return {
    ...memoryOutbox(),
    claim: (key, busyUntilMs) => marks.claim(key, busyUntilMs),
    settle: (...claim) => marks.settle(...claim),
  };
}
