/** What `indexedDbStore` does for an outbox. What only an outbox uses does not bring the marks of `dedupe` along. */

import { unixNow } from "../platform/clock.js";
import { random } from "../platform/random.js";
import { isLeaseFree, type Lease } from "./lease.js";
import { countsOf, peekUpTo } from "./peek-limit.js";
import { readDeadLetter, readSegment } from "./readable-row.js";
import type { DeadLetter, OutboxStore, StoreCounts } from "./store.js";
import { storeError } from "./store-error.js";
import { PageTransactions } from "./page-transactions.js";
import { UnreadableRows } from "./unreadable-rows.js";

const STORAGE = "IndexedDB";
const SEGMENTS = "segments";
const DEAD = "dead";
const META = "meta";
const STORES = [SEGMENTS, DEAD, META];
/** The version of the database. A newer version of the program may have raised it. */
const VERSION = 1;
/** Errors that concern the whole transaction, and not the row that was read. */
const TRANSACTION_ERRORS = ["AbortError", "InvalidStateError", "TransactionInactiveError"];

/** Runs `body` in one transaction, with the object stores of segments, dead letters and all else. */
export type Transact = <T>(
  mode: IDBTransactionMode,
  body: (segments: IDBObjectStore, dead: IDBObjectStore, meta: IDBObjectStore) => Promise<T>,
) => Promise<T>;

/** @param name see `indexedDbStore` */
export function indexedDbOutbox(
  name?: string,
  durability: "relaxed" | "strict" = "relaxed",
): { store: OutboxStore; transact: Transact } {
  let databaseName = name ?? "dedupe";
  const unreadable = new UnreadableRows(STORAGE);
  const running = new PageTransactions();
  let connection: Promise<IDBDatabase> | undefined;
  /** The id of the database of the last connection. */
  let lastId: string | undefined;

  /** Closes the connection, so that the next call opens a new one. Running transactions still complete. */
  function disconnect(): void {
    connection?.then((database) => database.close()).catch(() => undefined);
    connection = undefined;
  }

  async function connect(): Promise<IDBDatabase> {
    const fullName = `eventferry-${databaseName}`;
    running.start();
    const database = await openDatabase(fullName, running);
    await noticeDeletion(database, fullName);
    // Another tab deletes the database, or the browser has closed the connection.
    database.onversionchange = database.onclose = disconnect;
    return database;
  }

  /** Tells if the database is another one than when it was used last: somebody has deleted it. */
  async function noticeDeletion(database: IDBDatabase, fullName: string): Promise<void> {
    try {
      const id = await idOf(database, running);
      const last = lastId ?? markers()?.getItem(fullName) ?? id;
      lastId = id;
      if (last !== id) unreadable.problem(`the database ${fullName} was deleted, with the events that were only there`);
      markers()?.setItem(fullName, id);
    } catch {
      // Without this the store works too.
    }
  }

  /** @param canLeave whether the transaction is committed in this turn, so that the page may be left */
  async function begin(mode: IDBTransactionMode, canLeave: boolean): Promise<IDBTransaction> {
    if (!canLeave) await running.untilShown();
    const earlier = connection;
    connection ??= connect();
    const used = connection;
    try {
      const database = await used;
      if (running.isLeft && !canLeave) return await begin(mode, canLeave);
      const transaction = database.transaction(STORES, mode, { durability });
      running.add(transaction);
      return transaction;
    } catch (cause) {
      if (connection === used) disconnect();
      // Leaving the page has aborted the creation of the database.
      if (running.isLeft && !canLeave) return begin(mode, canLeave);
      if (!earlier) throw cause;
      // The connection was closed without an event. Nothing was done yet, so a second attempt is safe.
      return begin(mode, canLeave);
    }
  }

  /**
   * Runs `body` in a transaction. Resolves when the transaction has read everything, or when what it wrote is stored. If
   * the page is left meanwhile, `body` runs again when the page is back.
   */
  async function transact<T>(
    mode: IDBTransactionMode,
    body: (segments: IDBObjectStore, dead: IDBObjectStore, meta: IDBObjectStore) => Promise<T>,
    canLeave = false,
  ): Promise<T> {
    let transaction: IDBTransaction | undefined;
    try {
      const begun = await begin(mode, canLeave);
      transaction = begun;
      const complete = new Promise((resolve, reject) => {
        begun.oncomplete = resolve;
        begun.onabort = () => reject(begun.error);
        // Of a request without a listener. WebKit may complete the transaction nevertheless.
        begun.onerror = ({ target }) => reject((target as IDBRequest).error);
      });
      const [segments, dead, meta] = STORES.map((store) => begun.objectStore(store));
      const result = body(segments!, dead!, meta!).then((result) => {
        running.commit(begun);
        return result;
      });
      // What was read is valid. After a row that it has lost, Chromium aborts the transaction at its end.
      if (mode === "readonly") complete.catch(() => undefined);
      return mode === "readonly" ? await result : (await Promise.all([result, complete]))[0];
    } catch (cause) {
      try {
        transaction?.abort();
      } catch {
        // The transaction has ended already.
      }
      // Near the quota, a connection may stay broken after its first failure.
      disconnect();
      if (!transaction || !running.isInterrupted(transaction)) throw storeError(STORAGE, cause);
    } finally {
      unreadable.tell();
    }
    await running.untilShown();
    return transact(mode, body, canLeave);
  }

  const count = (prefix?: string) =>
    transact("readonly", async (segments, dead) => {
      const counts: StoreCounts = countsOf([], []);
      await walk(segments, unreadable, "segments", readSegment, (row) => !!countsOf([row], [], counts), prefix);
      await walk(dead, unreadable, "deadLetters", readDeadLetter, (row) => !!countsOf([], [row], counts), prefix);
      return counts;
    });

  const store: OutboxStore = {
    kind: "indexeddb",

    async open(given, onProblem) {
      unreadable.listen(onProblem);
      if (databaseName !== (name ?? given)) {
        // A claim may have opened the database of a store that is used as `dedupe` only.
        disconnect();
        lastId = undefined;
        databaseName = name ?? given;
      }
      await transact("readwrite", async (_segments, _dead, meta) => meta.put({ key: "probe" }));
      return {
        durability: durability === "strict" ? "disk" : "os",
        isShared: true,
        supportsPrefix: true,
        place: databaseName,
      };
    },

    async write({ put, remove, deadPut, deadRemove }) {
      const putAndRemove = async (segments: IDBObjectStore, dead: IDBObjectStore) => {
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
      };
      await transact("readwrite", putAndRemove, true);
      unreadable.forget("segments", remove);
      unreadable.forget("deadLetters", deadRemove);
    },

    peek: (limit) =>
      transact("readonly", async (segments) => {
        const { taken, add } = peekUpTo(limit);
        await walk(segments, unreadable, "segments", readSegment, add, limit.prefix);
        return taken;
      }),

    dead: (limit, prefix) =>
      transact("readonly", async (_segments, dead) => {
        const found: DeadLetter[] = [];
        if (limit > 0)
          await walk(dead, unreadable, "deadLetters", readDeadLetter, (letter) => found.push(letter) < limit, prefix);
        return found;
      }),

    count,

    async unreadable() {
      await count();
      return unreadable.keys;
    },

    acquire: (owner, durationMs, scope) =>
      transact("readwrite", async (_segments, _dead, meta) => {
        const key = `lease ${scope}`;
        const now = unixNow();
        const isFree = isLeaseFree(await resultOf(meta.get(key)), owner, now);
        if (isFree && durationMs > 0)
          meta.put({ key, owner, until: now + durationMs, durationMs } satisfies Lease & { key: string });
        else if (isFree) meta.delete(key);
        return isFree;
      }),

    async close() {
      running.stop();
      disconnect();
    },
  };
  return { store, transact };
}

/** Opens a database, and creates it if there is none. */
async function openDatabase(name: string, running: PageTransactions): Promise<IDBDatabase> {
  const open = (version?: number) => {
    const request = indexedDB.open(name, version);
    request.onupgradeneeded = () => {
      running.add(request.transaction!);
      for (const store of STORES) request.result.createObjectStore(store, { keyPath: "key" });
    };
    return resultOf(request);
  };
  try {
    return await open(VERSION);
  } catch (cause) {
    if ((cause as Error)?.name !== "VersionError") throw cause;
  }
  const database = await open();
  const isUsable =
    STORES.every((store) => database.objectStoreNames.contains(store)) &&
    STORES.every((store) => database.transaction(store).objectStore(store).keyPath === "key");
  if (isUsable) return database;
  database.close();
  throw new Error(`a newer version of the program has changed the database ${name}`);
}

/** The id of a database, which is drawn when the database is new. */
async function idOf(database: IDBDatabase, running: PageTransactions): Promise<string> {
  const rows = (mode: IDBTransactionMode) => {
    const transaction = database.transaction(META, mode);
    running.add(transaction);
    return transaction.objectStore(META);
  };
  const read = async (meta: IDBObjectStore): Promise<string | undefined> => (await resultOf(meta.get("id")))?.id;
  const known = await read(rows("readonly"));
  if (known !== undefined) return known;
  const meta = rows("readwrite");
  const other = await read(meta);
  const id = other ?? `${unixNow()}-${random()}`;
  if (other === undefined) await resultOf(meta.put({ key: "id", id }));
  return id;
}

/**
 * Where the id of a database is noted, to notice its deletion at the next visit: Chromium leaves `localStorage` alone when
 * it deletes databases to get space. Only pages have it; servers may have another object of this name.
 */
function markers(): Storage | undefined {
  return "document" in globalThis ? localStorage : undefined;
}

export function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = (event?: Event) => {
      // The transaction can go on without this row. Whoever cannot aborts it.
      event?.preventDefault();
      reject(request.error);
    };
  });
}

/**
 * Visits the rows whose keys begin with `prefix`, in order, until `visit` returns false, without those that cannot be
 * read. Reads groups of doubling size, so that many small rows need few requests.
 */
async function walk<T>(
  store: IDBObjectStore,
  unreadable: UnreadableRows,
  table: "segments" | "deadLetters",
  check: (row: unknown) => T,
  visit: (row: T) => boolean,
  prefix = "",
): Promise<void> {
  // No key has a character above `z`.
  const end = `${prefix}\uffff`;
  let range = IDBKeyRange.bound(prefix, end);
  for (let groupSize = 4; ; groupSize = Math.min(2 * groupSize, 128)) {
    const rows: readonly { key: IDBValidKey; read: () => unknown }[] = await readGroup(store, range, groupSize);
    for (const { key, read } of rows) {
      const row = unreadable.read(table, String(key), () => check(read()));
      if (row && !visit(row)) return;
    }
    if (rows.length < groupSize) return;
    range = IDBKeyRange.bound(rows.at(-1)!.key, end, true);
  }
}

/** Rows by their keys. `read` throws if the browser cannot read the row, for example because it has lost a file. */
async function readGroup(
  store: IDBObjectStore,
  range: IDBKeyRange,
  size: number,
): Promise<{ key: IDBValidKey; read: () => unknown }[]> {
  try {
    const rows: { key: IDBValidKey }[] = await resultOf(store.getAll(range, size));
    return rows.map((row) => ({ key: row.key, read: () => row }));
  } catch (cause) {
    if (TRANSACTION_ERRORS.includes((cause as Error)?.name)) throw cause;
  }
  // One row makes the whole group fail.
  const keys = await resultOf(store.getAllKeys(range, size));
  return Promise.all(
    keys.map(async (key) => {
      try {
        const row: unknown = await resultOf(store.get(key));
        return { key, read: () => row };
      } catch (cause) {
        if (TRANSACTION_ERRORS.includes((cause as Error)?.name)) throw cause;
        const read = () => {
          throw new Error(`the browser cannot read it: ${(cause as Error)?.message}`);
        };
        return { key, read };
      }
    }),
  );
}
