/** The store for browsers: pages and workers. */

import { unixNow } from "../platform/clock.js";
import { countsOf, peekUpTo } from "./peek-limit.js";
import type { DeadLetter, OutboxStore, Segment } from "./store.js";
import { storeError } from "./store-error.js";

/** The options of `indexedDbStore`. */
export interface IndexedDbOptions {
  /**
   * When a change resolves. `relaxed`: when the operating system has it; it survives a crash of the browser, but
   * perhaps not a loss of power. `strict`: when the disk has it, which takes two to four times as long. @default
   * "relaxed"
   */
  durability?: "relaxed" | "strict";
}

const STORAGE = "IndexedDB";
const SEGMENTS = "segments";
const DEAD = "dead";
const META = "meta";
const STORES = [SEGMENTS, DEAD, META];

/**
 * Keeps events in the database `eventferry-<name>`, for all tabs and workers of the origin. Every change is one
 * transaction. If the browser closes the connection, the next call opens a new one.
 *
 * The browser decides the capacity. It may also delete the data of origins that were not visited for a long time.
 *
 * @param name @default the name of the outbox
 * @throws {FerryError} from all methods: `ERR_STORE` with the `cause`; the message tells if the storage is full. `open`
 * rejects where IndexedDB is missing or blocked. It has no timeout: with a damaged profile, the request may never
 * settle.
 */
export function indexedDbStore(name?: string, { durability = "relaxed" }: IndexedDbOptions = {}): OutboxStore {
  let databaseName = "";
  let connection: Promise<IDBDatabase> | undefined;

  /** Closes the connection, so that the next call opens a new one. Running transactions still complete. */
  function disconnect(): void {
    connection?.then((database) => database.close()).catch(() => undefined);
    connection = undefined;
  }

  async function connect(): Promise<IDBDatabase> {
    const request = indexedDB.open(`eventferry-${databaseName}`, 1);
    request.onupgradeneeded = () => {
      for (const store of STORES) request.result.createObjectStore(store, { keyPath: "key" });
    };
    const database = await resultOf(request);
    // Another tab deletes the database, or the browser has closed the connection.
    database.onversionchange = database.onclose = disconnect;
    return database;
  }

  async function begin(mode: IDBTransactionMode): Promise<IDBTransaction> {
    const earlier = connection;
    connection ??= connect();
    const used = connection;
    try {
      return (await used).transaction(STORES, mode, { durability });
    } catch (cause) {
      if (connection === used) disconnect();
      if (!earlier) throw cause;
      // The connection was closed without an event. Nothing was done yet, so a second attempt is safe.
      return begin(mode);
    }
  }

  /** Runs `body` in a transaction. Resolves when the transaction is complete. */
  async function transact<T>(
    mode: IDBTransactionMode,
    body: (segments: IDBObjectStore, dead: IDBObjectStore, meta: IDBObjectStore) => Promise<T>,
  ): Promise<T> {
    let transaction: IDBTransaction | undefined;
    try {
      const begun = await begin(mode);
      transaction = begun;
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
        // The transaction has ended already.
      }
      // Near the quota, a connection may stay broken after its first failure.
      disconnect();
      throw storeError(STORAGE, cause);
    }
  }

  return {
    kind: "indexeddb",

    async open(given) {
      databaseName = name ?? given;
      await transact("readwrite", async (_segments, _dead, meta) => meta.put({ key: "probe" }));
      return {
        durability: durability === "strict" ? "disk" : "os",
        isShared: true,
        supportsPrefix: true,
        place: databaseName,
      };
    },

    write: ({ put, remove, deadPut, deadRemove }) =>
      transact("readwrite", async (segments, dead) => {
        for (const { body, sizes, orderingKeys, ...rest } of put) {
          // Copies, because of a view the whole buffer would be stored.
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
        await walk(segments, add, limit.prefix);
        return taken;
      }),

    dead: (limit, prefix) =>
      transact("readonly", async (_segments, dead) => {
        const found: DeadLetter[] = [];
        if (limit > 0) await walk<DeadLetter>(dead, (row) => found.push(row) < limit, prefix);
        return found;
      }),

    count: (prefix) =>
      transact("readonly", async (segments, dead) => {
        const counts = countsOf([], []);
        await walk<Segment>(segments, (row) => !!countsOf([row], [], counts), prefix);
        await walk<DeadLetter>(dead, (row) => !!countsOf([], [row], counts), prefix);
        return counts;
      }),

    acquire: (owner, durationMs, scope) =>
      transact("readwrite", async (_segments, _dead, meta) => {
        const key = `lease ${scope}`;
        const lease = await resultOf(meta.get(key));
        const now = unixNow();
        const isFree = !lease || lease.owner === owner || lease.until <= now;
        if (isFree && durationMs > 0) meta.put({ key, owner, until: now + durationMs });
        else if (isFree) meta.delete(key);
        return isFree;
      }),

    close: async () => disconnect(),
  };
}

function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * Visits the rows whose keys begin with `prefix`, in order, until `visit` returns false. Reads groups of doubling size,
 * so that many small rows need few requests.
 */
async function walk<T extends { key: string }>(
  store: IDBObjectStore,
  visit: (row: T) => boolean,
  prefix = "",
): Promise<void> {
  // No key has a character above `z`.
  const end = `${prefix}\uffff`;
  let range = IDBKeyRange.bound(prefix, end);
  for (let groupSize = 4; ; groupSize = Math.min(2 * groupSize, 128)) {
    const rows: T[] = await resultOf(store.getAll(range, groupSize));
    if (!rows.every(visit) || rows.length < groupSize) return;
    range = IDBKeyRange.bound(rows.pop()!.key, end, true);
  }
}
