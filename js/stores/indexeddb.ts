/** The store for browsers: pages and workers. */

import { unixNow } from "../platform/clock.js";
import { type DedupeStore, isClaim, type Mark, stateOf, SWEEP_COUNT } from "./dedupe.js";
import { indexedDbOutbox, resultOf } from "./indexeddb-outbox.js";
import type { OutboxStore } from "./store.js";

/** The options of `indexedDbStore`. */
export interface IndexedDbOptions {
  /**
   * When a change resolves. `relaxed`: when the operating system has it; it survives a crash of the browser, but
   * perhaps not a loss of power. `strict`: when the disk has it, which takes two to four times as long. @default
   * "relaxed"
   */
  durability?: "relaxed" | "strict";
}

/** The keys of the marks of `dedupe`, among the other rows of the object store, begin with this. */
const MARKS = "mark ";

/**
 * Keeps events in the database `eventferry-<name>`, for all tabs and workers of the origin. Every change is one
 * transaction. If the browser closes the connection, the next call opens a new one. A database that a newer version of
 * the program has changed is used as it is, if it still has the object stores of this version.
 *
 * The browser decides the capacity. It may also delete the data of the site: when the disk is full, and Safari after
 * seven days of use without a visit, unless the outbox has the option `persist`. The outbox has a `degraded` event when
 * the database was deleted, as far as that can be known: at the next visit a page remembers the database by an entry of
 * `localStorage` with its name, which the browser may have deleted too.
 *
 * As the `dedupe` of a receiver it is shared by all tabs and workers of the origin.
 *
 * @param name @default the name of the outbox; as `dedupe` without an outbox, `dedupe`
 * @throws {FerryError} from all methods: `ERR_STORE` with the `cause`; the message tells if the storage is full. `open`
 * rejects where IndexedDB is missing or blocked. It has no timeout: with a damaged profile, the request may never
 * settle.
 */
export function indexedDbStore(name?: string, { durability }: IndexedDbOptions = {}): OutboxStore & DedupeStore {
  const { store, transact } = indexedDbOutbox(name, durability);
  /** Up to where the marks were looked at. */
  let sweptTo = MARKS;
  return {
    ...store,

    claim: (key, busyUntilMs) =>
      transact("readwrite", async (_segments, _dead, meta) => {
        const row: (Mark & { key: string }) | undefined = await resultOf(meta.get(MARKS + key));
        const state = stateOf(row, unixNow());
        if (state === "new") meta.put({ key: MARKS + key, isSeen: false, untilMs: busyUntilMs });
        sweptTo = await sweepMarks(meta, sweptTo);
        return state;
      }),

    settle: (key, seenUntilMs, busyUntilMs) =>
      transact("readwrite", async (_segments, _dead, meta) => {
        if (seenUntilMs !== undefined) meta.put({ key: MARKS + key, isSeen: true, untilMs: seenUntilMs });
        else if (isClaim(await resultOf(meta.get(MARKS + key)), busyUntilMs)) meta.delete(MARKS + key);
      }),
  };
}

/** Removes some marks that have ended, behind a key. Returns the key up to which it got. */
async function sweepMarks(meta: IDBObjectStore, after: string): Promise<string> {
  const range = IDBKeyRange.bound(after, `${MARKS}\uffff`, true);
  const rows: (Mark & { key: string })[] = await resultOf(meta.getAll(range, SWEEP_COUNT));
  for (const row of rows) if (stateOf(row, unixNow()) === "new") meta.delete(row.key);
  return rows.length < SWEEP_COUNT ? MARKS : rows.at(-1)!.key;
}
