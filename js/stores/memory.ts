/** A store that forgets: for tests, and for when there is no better place. */
import { MemoryTables } from "./ordered-map.js";
import type { OutboxStore } from "./store.js";

/**
 * Keeps events in memory. What is not delivered when the page or process ends is lost.
 * It never fails, and what it has survives `close` and another `open` of the same store.
 */
export function memoryStore(): OutboxStore {
  const shelves = new MemoryTables();
  return {
    kind: "memory",
    open: async () => ({ durability: "none", isShared: false }),
    write: async (change) => shelves.apply(change),
    peek: async (limit) => shelves.peek(limit),
    dead: async (limit) => shelves.dead(limit),
    count: async () => shelves.count(),
    close: async () => undefined,
  };
}
