/** Moves the rows of one identity to another, in the same store. */
import { countsOf } from "../stores/peek-limit.js";
import type { SharedStore } from "../stores/shared-store.js";
import type { StoreCounts } from "../stores/store.js";
import type { OutboxDriver } from "./driver.js";

/** How long the former driver may take for what it is writing. */
const SETTLE_MS = 10_000;
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

/**
 * Moves the rows of a former identity to the driver of the present one. Returns how many events there were.
 *
 * @param former the driver of the former identity, if it was present in this outbox
 */
export async function adoptRows<E>(
  store: SharedStore,
  formerScope: string,
  former: OutboxDriver<E> | undefined,
  driver: OutboxDriver<E>,
): Promise<number> {
  await driver.untilCounted();
  // What another identity of this page is writing has to be there first.
  await former?.untilSettled(SETTLE_MS);
  let moved: StoreCounts;
  try {
    moved = await driver.storeClient.call(() => moveRows(store, formerScope, driver.scope));
  } catch (error) {
    // Some rows may have been moved.
    driver.addStored([], countsOf([], []));
    throw error;
  }
  const known = former?.takeStored() ?? [];
  for (const segment of known) segment.key = movedKey(segment.key, formerScope, driver.scope);
  driver.addStored(known, moved);
  return moved.events + moved.dead;
}
