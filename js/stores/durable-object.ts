/** The store for Cloudflare Workers: the storage of a Durable Object, in both of its back ends. */
import { concat } from "../platform/bytes.js";
import { peekUpTo, countsOf } from "./peek-limit.js";
import {
  type Bytes,
  splitChunks,
  encodeDeadLetter,
  chunkCount,
  encodeSegment,
  decodeDeadLetter,
  decodeSegment,
} from "./codec.js";
import { storeError } from "./store-error.js";
import type { OutboxStore } from "./store.js";

/** As much of `ctx.storage` as is used. */
export interface DurableObjectStorageLike {
  get(keys: string[]): Promise<Map<string, unknown>>;
  put(entries: Record<string, unknown>): Promise<void>;
  delete(keys: string[]): Promise<number>;
  list(options: { prefix: string; startAfter?: string; limit: number }): Promise<Map<string, unknown>>;
  sync(): Promise<void>;
  getAlarm(): Promise<number | null>;
  setAlarm(unixMs: number): Promise<void>;
  deleteAlarm(): Promise<void>;
}

/** A value may have 128 KiB in the back end of keys and values, 2 MB in that of SQLite. */
const LARGEST_VALUE = 120 * 1024;
/** Keys in one call. */
const MOST_KEYS = 128;

/**
 * Keeps events in the storage of a Durable Object, under keys that start with `eventferry/<name>/`; other keys are left alone.
 * A change has reached the disk, and other machines, when it has resolved. Make one store for each object, and one outbox for each name.
 *
 * An object has a single alarm. `wakeAt` moves it only if it set it itself; an alarm of yours that comes earlier stays, so give the outbox
 * its turn whenever `alarm()` is called.
 *
 * Each call of `write` must be made in the object's own handlers, as all use of its storage.
 *
 * @param storage `ctx.storage`
 * @throws {FerryError} all calls: `ERR_STORE` with the `cause`
 */
export function durableObjectStore(storage: DurableObjectStorageLike): OutboxStore {
  let prefix = "";
  /** How many pieces each segment and letter has that was seen, by its key in the storage. */
  const pieces = new Map<string, number>();
  /** The alarm that we have set, as far as we know. */
  let alarm: number | undefined;
  /** Changes that must first look up what they remove hold up those behind them. */
  let turn: Promise<unknown> = Promise.resolve();

  const segmentKey = (key: string) => `${prefix}s/${key}`;
  const letterKey = (key: string) => `${prefix}d/${key}`;
  const pieceKey = (key: string, at: number) => (at === 0 ? key : `${prefix}p/${key.slice(prefix.length)}/${at}`);
  const pieceKeys = (key: string, from: number) => range(from, pieces.get(key) ?? 1).map((at) => pieceKey(key, at));

  /** Remembers from the first piece how many there are. */
  function learn(key: string, first: unknown): Uint8Array {
    pieces.set(key, chunkCount(first as Uint8Array, LARGEST_VALUE));
    return first as Uint8Array;
  }

  async function lookUp(keys: string[]): Promise<void> {
    for (const some of chunks(keys.filter((key) => !pieces.has(key)))) {
      for (const [key, first] of await storage.get(some)) learn(key, first);
    }
  }

  /** Visits from the smallest key on, until `visit` returns false. Rows come in portions that double. */
  async function walk(start: string, visit: (key: string, bytes: Bytes) => boolean): Promise<void> {
    let last: string | undefined;
    for (let limit = 4; ; limit = Math.min(2 * limit, 64)) {
      const rows = await storage.list({ prefix: start, limit, ...(last !== undefined && { startAfter: last }) });
      for (const [key, first] of rows) {
        last = key;
        const bytes = await whole(key, learn(key, first));
        if (bytes && visit(key.slice(start.length), bytes) === false) return;
      }
      if (rows.size < limit) return;
    }
  }

  /** Undefined if it was taken away in the meantime. */
  async function whole(key: string, first: Uint8Array): Promise<Bytes | undefined> {
    const found = new Map<string, unknown>();
    const others = pieceKeys(key, 1);
    for (const some of chunks(others)) for (const [name, piece] of await storage.get(some)) found.set(name, piece);
    return found.size < others.length
      ? undefined
      : concat([first, ...others.map((name) => found.get(name) as Uint8Array)]);
  }

  /**
   * Nothing is awaited between the calls, so the storage takes all of them at once or none: it says so of both back ends.
   * (`transaction` would do the same, but lets others in between, and may run its body again.)
   */
  function submit(puts: Map<string, Bytes>, removes: string[]): Promise<unknown> {
    const entries: [string, Bytes][] = [];
    const gone: string[] = [];
    for (const [key, bytes] of puts) {
      const parts = splitChunks(bytes, LARGEST_VALUE);
      gone.push(...pieceKeys(key, parts.length));
      pieces.set(key, parts.length);
      parts.forEach((part, at) => entries.push([pieceKey(key, at), part]));
    }
    for (const key of removes) gone.push(...pieceKeys(key, 0));
    const calls = [
      ...chunks(entries).map((some) => storage.put(Object.fromEntries(some))),
      ...chunks(gone).map((some) => storage.delete(some)),
    ];
    return Promise.all(calls);
  }

  return {
    kind: "durable-object",

    open: (name) =>
      attempt(async () => {
        prefix = `eventferry/${name}/`;
        await Promise.all([storage.put({ [`${prefix}probe`]: 1 }), storage.delete([`${prefix}probe`]), storage.sync()]);
        return { durability: "replicated", isShared: false };
      }),

    write: ({ put, remove, deadPut, deadRemove }) =>
      attempt(async () => {
        const puts = new Map<string, Bytes>();
        for (const segment of put) puts.set(segmentKey(segment.key), encodeSegment(segment));
        for (const letter of deadPut) puts.set(letterKey(letter.key), encodeDeadLetter(letter));
        const removes = [...remove.map(segmentKey), ...deadRemove.map(letterKey)];
        const submitted = turn.then(async () => {
          await lookUp(removes);
          return { written: submit(puts, removes) };
        });
        turn = submitted.catch(() => undefined);
        await (await submitted).written;
        await storage.sync();
        for (const key of removes) pieces.delete(key);
      }),

    peek: (limit) =>
      attempt(async () => {
        const basket = peekUpTo(limit);
        await walk(segmentKey(""), (key, bytes) => basket.add(decodeSegment(key, bytes)));
        return basket.taken;
      }),

    dead: (limit) =>
      attempt(async () => {
        const found: ReturnType<typeof decodeDeadLetter>[] = [];
        if (limit > 0) await walk(letterKey(""), (key, bytes) => found.push(decodeDeadLetter(key, bytes)) < limit);
        return found;
      }),

    count: () =>
      attempt(async () => {
        const stock = countsOf([], []);
        await walk(segmentKey(""), (key, bytes) => !!countsOf([decodeSegment(key, bytes)], [], stock));
        await walk(letterKey(""), (key, bytes) => !!countsOf([], [decodeDeadLetter(key, bytes)], stock));
        return stock;
      }),

    close: () => attempt(async () => void (await turn)),

    wakeAt: (unixMs) =>
      attempt(async () => {
        const set = await storage.getAlarm();
        const isOurs = set !== null && set === alarm;
        if (unixMs === undefined) {
          if (isOurs) await storage.deleteAlarm();
          alarm = undefined;
        } else if (set === null || isOurs || unixMs < set) {
          await storage.setAlarm(unixMs);
          alarm = unixMs;
        }
        await storage.sync();
      }),
  };
}

async function attempt<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (cause) {
    throw storeError("the storage of the Durable Object", cause);
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, at) => from + at);
}

function chunks<T>(items: T[]): T[][] {
  return range(0, Math.ceil(items.length / MOST_KEYS)).map((at) => items.slice(at * MOST_KEYS, (at + 1) * MOST_KEYS));
}
