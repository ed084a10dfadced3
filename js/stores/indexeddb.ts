/** The store for browsers: pages, and workers of all kinds. */
import { peekUpTo, countsOf } from "./peek-limit.js";
import { storeError } from "./store-error.js";
import type { DeadLetter, OutboxStore, Segment } from "./store.js";
import { unixNow } from "../platform/clock.js";

export interface IndexedDbOptions {
  /**
   * `relaxed`: a change counts as made when the operating system has it; a crash of the browser does not lose it, a loss of
   * power may. `strict`: when the disk has it, which takes two to four times as long. @default "relaxed"
   */
  durability?: "relaxed" | "strict";
}

const PLACE = "IndexedDB";
const SEGMENTS = "segments";
const DEAD = "dead";
const META = "meta";
const STORES = [SEGMENTS, DEAD, META];

/**
 * Keeps events in the database `eventferry-<name>`, for all tabs and workers of the origin. Every change is one transaction.
 * A connection that the browser has broken is opened again by the next call.
 *
 * How much there is room for is the browser's to say; it may also clear what an origin has that was not visited for long.
 *
 * @param name @default the name of the outbox
 * @throws {FerryError} all calls: `ERR_STORE` with the `cause`; the message says when the storage is full. `open` rejects where
 * IndexedDB is missing or blocked. It has no time limit of its own: with a damaged profile a browser may never answer.
 */
export function indexedDbStore(name?: string, { durability = "relaxed" }: IndexedDbOptions = {}): OutboxStore {
  let title = "";
  let connection: Promise<IDBDatabase> | undefined;

  /** Whoever comes next opens another one. What runs on this one still comes to its end. */
  function drop(): void {
    connection?.then((database) => database.close()).catch(() => undefined);
    connection = undefined;
  }

  async function connect(): Promise<IDBDatabase> {
    const request = indexedDB.open(`eventferry-${title}`, 1);
    request.onupgradeneeded = () => {
      for (const store of STORES) request.result.createObjectStore(store, { keyPath: "key" });
    };
    const database = await answer(request);
    // Somebody wants to delete it, or the browser has closed it.
    database.onversionchange = database.onclose = drop;
    return database;
  }

  async function begin(mode: IDBTransactionMode): Promise<IDBTransaction> {
    const old = connection;
    const used = (connection ??= connect());
    try {
      return (await used).transaction(STORES, mode, { durability });
    } catch (cause) {
      if (connection === used) drop();
      if (!old) throw cause;
      // It was closed, and nobody told us. Nothing has happened yet, so it is safe to try again.
      return begin(mode);
    }
  }

  /** Resolves when the transaction is complete. */
  async function transact<T>(
    mode: IDBTransactionMode,
    body: (segments: IDBObjectStore, dead: IDBObjectStore, meta: IDBObjectStore) => Promise<T>,
  ): Promise<T> {
    let transaction: IDBTransaction | undefined;
    try {
      const begun = (transaction = await begin(mode));
      const complete = new Promise((resolve, reject) => {
        begun.oncomplete = resolve;
        begun.onabort = () => reject(begun.error);
      });
      const [segments, dead, meta] = STORES.map((store) => begun.objectStore(store));
      const result = body(segments!, dead!, meta!).then((result) => {
        begun.commit?.();
        return result;
      });
      return (await Promise.all([result, complete]))[0];
    } catch (cause) {
      try {
        transaction?.abort();
      } catch {
        // It has ended by itself.
      }
      // Near the quota a connection may stay broken after it has failed once.
      drop();
      throw storeError(PLACE, cause);
    }
  }

  return {
    kind: "indexeddb",

    async open(given) {
      title = name ?? given;
      await transact("readwrite", async (_segments, _dead, meta) => meta.put({ key: "probe" }));
      return { durability: durability === "strict" ? "disk" : "os", isShared: true };
    },

    write: ({ put, remove, deadPut, deadRemove }) =>
      transact("readwrite", async (segments, dead) => {
        for (const { body, sizes, orderingKeys, ...rest } of put) {
          // Copies, because with a view all that is behind it would be stored.
          segments.put({
            ...rest,
            body: body.slice(),
            sizes: sizes.slice(),
            ...(orderingKeys && { orderingKeys: orderingKeys.slice() }),
          });
        }
        for (const letter of deadPut) dead.put({ ...letter, body: letter.body.slice() });
        for (const key of remove) segments.delete(key);
        for (const key of deadRemove) dead.delete(key);
      }),

    peek: (limit) =>
      transact("readonly", async (segments) => {
        const { taken, add } = peekUpTo(limit);
        await walk(segments, add);
        return taken;
      }),

    dead: (limit) =>
      transact("readonly", async (_segments, dead) =>
        limit > 0 ? answer<DeadLetter[]>(dead.getAll(null, limit)) : [],
      ),

    count: () =>
      transact("readonly", async (segments, dead) => {
        const stock = countsOf([], []);
        await walk<Segment>(segments, (row) => !!countsOf([row], [], stock));
        await walk<DeadLetter>(dead, (row) => !!countsOf([], [row], stock));
        return stock;
      }),

    acquire: (owner, forMs) =>
      transact("readwrite", async (_segments, _dead, meta) => {
        const lease = await answer(meta.get("lease"));
        const now = unixNow();
        const isFree = !lease || lease.owner === owner || lease.until <= now;
        if (isFree) meta.put({ key: "lease", owner, until: now + forMs });
        return isFree;
      }),

    close: async () => drop(),
  };
}

function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Visits from the smallest key on, until `visit` returns false. Rows come in portions that double, so that many small ones do not take many trips. */
async function walk<T extends { key: string }>(store: IDBObjectStore, visit: (row: T) => boolean): Promise<void> {
  let range: IDBKeyRange | null = null;
  for (let portion = 4; ; portion = Math.min(2 * portion, 128)) {
    const rows: T[] = await answer(store.getAll(range, portion));
    if (!rows.every(visit) || rows.length < portion) return;
    range = IDBKeyRange.lowerBound(rows.pop()!.key, true);
  }
}
