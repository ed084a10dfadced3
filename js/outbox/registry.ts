/** The open outboxes of this page or process, to find those that share their events and differ in their options. */
import { warnOnce } from "../platform/warn.js";
import type { OutboxStore } from "../stores/store.js";

type Settings = Record<string, unknown>;

const open = new Map<string, Set<Settings>>();

/**
 * Notes an outbox, and warns if another one with the same events has other settings. Returns the function that removes
 * it.
 */
export function registerOutbox(
  destination: string,
  store: OutboxStore | "auto" | "memory",
  settings: Settings,
): () => void {
  const place = placeOf(store);
  if (place === undefined) return () => undefined;
  const key = JSON.stringify([destination, place]);
  const others = open.get(key) ?? new Set();
  open.set(key, others);
  for (const other of others) {
    const names = new Set([...Object.keys(settings), ...Object.keys(other)]);
    const different = [...names].filter((name) => settings[name] !== other[name]);
    if (different.length > 0)
      warnOnce(
        `two outboxes have the same destination and differ in ${different.join(", ")}; either may send the events of both`,
      );
  }
  others.add(settings);
  return () => {
    others.delete(settings);
    if (others.size === 0) open.delete(key);
  };
}

/** The place of a store that several outboxes of a page share; undefined if each has its own. */
function placeOf(store: OutboxStore | "auto" | "memory"): string | undefined {
  if (store === "auto") return "indexedDB" in globalThis ? "indexeddb" : undefined;
  if (store === "memory") return undefined;
  return store.kind === "indexeddb" || store.kind === "localstorage" ? store.kind : undefined;
}
