/** Moves the rows of one identity to another, in the same store. */
import { countsOf } from "../stores/peek-limit.js";
import type { SharedStore } from "../stores/shared-store.js";
import type { StoreCounts } from "../stores/store.js";

/** How much is moved with one write. */
const GROUP = { events: 1000, bytes: 4 * 1024 * 1024, skip: new Set<string>() };

/** The key of a row after the move. Its age and its place in the order stay. */
export function movedKey(key: string, from: string, to: string): string {
  return to + key.slice(from.length);
}

/** Moves all segments and dead letters from a scope to another. Returns what was moved. */
export async function moveRows(store: SharedStore, from: string, to: string): Promise<StoreCounts> {
  const moved = countsOf([], []);
  const rows = store.view(from);
  const rename = <T extends { readonly key: string }>(row: T): T => ({ ...row, key: movedKey(row.key, from, to) });
  const keysOf = (of: readonly { readonly key: string }[]) => of.map(({ key }) => key);
  for (;;) {
    const [segments, letters] = await Promise.all([rows.peek(GROUP), rows.dead(GROUP.events)]);
    if (segments.length + letters.length === 0) return moved;
    await rows.write({
      put: segments.map(rename),
      remove: keysOf(segments),
      deadPut: letters.map(rename),
      deadRemove: keysOf(letters),
    });
    countsOf(segments, letters, moved);
  }
}
