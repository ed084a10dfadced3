/** The store in memory: for tests, and where there is no better place. */
import { MemoryTables } from "./ordered-map.js";
import type { OutboxStore } from "./store.js";

/**
 * Keeps events in memory. Events that are not delivered when the page or process ends are lost. It never fails. Its
 * content survives `close` and another `open` of the same object.
 */
export function memoryStore(): OutboxStore {
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
