/** The store for browsers: pages, and workers of all kinds. */
import { Basket, countDead, countSegment, emptyStock } from "./basket.js";
import { notOwner, storeFailure } from "./failure.js";
import type { DeadLetter, OutboxStore, Segment } from "./store.js";

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

  function connect(): Promise<IDBDatabase> {
    const opening = openDatabase(`eventferry-${title}`);
    connection = opening;
    opening.then(
      // Somebody wants to delete it, or the browser has closed it.
      (database) => (database.onversionchange = database.onclose = () => drop(opening)),
      () => drop(opening),
    );
    return opening;
  }

  /** Whoever comes next opens another one. What runs on this one still comes to its end. */
  function drop(broken: Promise<IDBDatabase> | undefined): void {
    if (connection === broken) connection = undefined;
    broken?.then((database) => database.close(), () => undefined);
  }

  async function transact<T>(mode: IDBTransactionMode, body: (transaction: IDBTransaction) => Promise<T>): Promise<T> {
    const stores = [SEGMENTS, DEAD, META];
    let used = connection ?? connect();
    try {
      let transaction: IDBTransaction;
      try {
        transaction = (await used).transaction(stores, mode, { durability });
      } catch {
        // It was closed, and nobody told us. Nothing has happened yet, so it is safe to try again.
        drop(used);
        used = connection ?? connect();
        transaction = (await used).transaction(stores, mode, { durability });
      }
      return await outcome(transaction, body);
    } catch (cause) {
      // Near the quota a connection may stay broken after it has failed once.
      drop(used);
      throw storeFailure(PLACE, cause);
    }
  }

  return {
    kind: "indexeddb",

    async open(given) {
      title = name ?? given;
      await transact("readwrite", async (transaction) => transaction.objectStore(META).put({ key: "probe" }));
      return { durability: durability === "strict" ? "disk" : "os", isShared: true };
    },

    write: ({ put, remove, bury, exhume, owner }) =>
      transact("readwrite", async (transaction) => {
        const [segments, dead, meta] = [SEGMENTS, DEAD, META].map((store) => transaction.objectStore(store)) as [IDBObjectStore, IDBObjectStore, IDBObjectStore];
        if (owner !== undefined) {
          const lease = await answer(meta.get("lease"));
          if (lease && lease.owner !== owner) throw notOwner(PLACE);
        }
        for (const segment of put) segments.put(tightened(segment));
        for (const letter of bury) dead.put(tightened(letter));
        for (const key of remove) segments.delete(key);
        for (const key of exhume) dead.delete(key);
      }),

    peek: (limit) =>
      transact("readonly", async (transaction) => {
        const basket = new Basket(limit);
        await walk<Segment>(transaction, SEGMENTS, (segment) => basket.add(segment));
        return basket.taken;
      }),

    dead: (limit) => transact("readonly", async (transaction) => (limit > 0 ? answer<DeadLetter[]>(transaction.objectStore(DEAD).getAll(null, limit)) : [])),

    count: () =>
      transact("readonly", async (transaction) => {
        const stock = emptyStock();
        await walk<Segment>(transaction, SEGMENTS, (segment) => countSegment(stock, segment));
        await walk<DeadLetter>(transaction, DEAD, (letter) => countDead(stock, letter));
        return stock;
      }),

    acquire: (owner, forMs) =>
      transact("readwrite", async (transaction) => {
        const meta = transaction.objectStore(META);
        const lease = await answer(meta.get("lease"));
        const isFree = !lease || lease.owner === owner || lease.until <= Date.now();
        if (isFree) meta.put({ key: "lease", owner, until: Date.now() + forMs });
        return isFree;
      }),

    close: async () => drop(connection),
  };
}

async function openDatabase(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => {
    for (const store of [SEGMENTS, DEAD, META]) request.result.createObjectStore(store, { keyPath: "key" });
  };
  return answer(request);
}

function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** What the body gave, once the transaction is complete. */
function outcome<T>(transaction: IDBTransaction, body: (transaction: IDBTransaction) => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const result = body(transaction);
    transaction.oncomplete = () => resolve(result);
    transaction.onabort = () => reject(transaction.error ?? new Error("the transaction was aborted"));
    result
      .then(() => transaction.commit?.())
      .catch((cause: unknown) => {
        reject(cause);
        // Throws if the transaction has ended by itself.
        transaction.abort();
      })
      .catch(() => undefined);
  });
}

/** Visits from the smallest key on, until `visit` returns false. Rows come in portions that double, so that many small ones do not take many trips. */
async function walk<T extends { key: string }>(transaction: IDBTransaction, store: string, visit: (row: T) => boolean | void): Promise<void> {
  let range: IDBKeyRange | null = null;
  for (let portion = 4; ; portion = Math.min(2 * portion, 128)) {
    const rows: T[] = await answer(transaction.objectStore(store).getAll(range, portion));
    for (const row of rows) if (visit(row) === false) return;
    if (rows.length < portion) return;
    range = IDBKeyRange.lowerBound(rows[portion - 1]!.key, true);
  }
}

/** A copy of a view would bring all that is behind it. */
function tightened<T extends object>(row: T): T {
  const fix = (value: unknown) => (ArrayBuffer.isView(value) && value.byteLength < value.buffer.byteLength ? (value as Uint8Array).slice() : value);
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, fix(value)])) as T;
}
