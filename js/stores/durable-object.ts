/** The store for Cloudflare Workers: the storage of a Durable Object, with both of its back ends. */
import type { Bytes } from "../platform/bytes.js";
import { concat } from "../platform/bytes.js";
import { unixNow } from "../platform/clock.js";
import {
  chunkCount,
  completeChunks,
  decodeDeadLetter,
  decodeSegment,
  encodeDeadLetter,
  encodeSegment,
  isSameChunk,
  splitChunks,
} from "./codec.js";
import { type DedupeStore, isClaim, type Mark, stateOf, SWEEP_COUNT } from "./dedupe.js";
import { countsOf, peekUpTo } from "./peek-limit.js";
import type { DeadLetter, OutboxStore, StoreCounts } from "./store.js";
import { UnreadableRows } from "./unreadable-rows.js";

/** The members of `ctx.storage` that the store uses. */
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

const STORAGE = "the storage of the Durable Object";
/** The keys of the marks of `dedupe` begin with this. */
const MARKS = "eventferry-dedupe/";
/** The key-value back end allows 128 KiB for a value, the SQLite back end 2 MB. */
const MAX_VALUE_BYTES = 120 * 1024;
/** The maximum number of keys in one call. */
const MAX_KEYS = 128;

/**
 * Keeps events in the storage of a Durable Object, under keys that start with `eventferry/<name>/`. It does not touch
 * other keys. A resolved change is on the disks of several machines. Create one store for each object, and one outbox
 * for each name.
 *
 * An object has one alarm. `wakeAt` changes it only if it is its own or later than requested. An earlier alarm of the
 * application stays, so call the outbox in each `alarm()`.
 *
 * As the `dedupe` of a receiver it knows the deliveries to this object, under keys that start with `eventferry-dedupe/`.
 *
 * Like all use of the storage, `write` must be called in the handlers of the object.
 *
 * @param storage `ctx.storage`
 * @throws {FerryError} from all methods: `ERR_STORE` with the `cause`
 */
export function durableObjectStore(storage: DurableObjectStorageLike): OutboxStore & DedupeStore {
  let prefix = "";
  const unreadable = new UnreadableRows(STORAGE);
  /** The number of chunks of each known segment and dead letter, by its key in the storage. */
  const chunkCounts = new Map<string, number>();
  /** The alarm that this store has set. */
  let ownAlarm: number | undefined;
  /** The last change. A change that must look up its removals first delays the later ones. */
  let lastChange: Promise<unknown> = Promise.resolve();
  /** The last access to the marks. The next one must see its result, and must not come between its reads and writes. */
  let lastMark: Promise<unknown> = Promise.resolve();
  /** Up to where the marks were looked at. */
  let sweptTo = MARKS;

  const segmentKey = (key: string) => `${prefix}s/${key}`;
  const deadLetterKey = (key: string) => `${prefix}d/${key}`;
  const chunkKey = (key: string, at: number) => (at === 0 ? key : `${prefix}p/${key.slice(prefix.length)}/${at}`);
  const chunkKeys = (key: string, from: number) =>
    range(from, chunkCounts.get(key) ?? 1).map((at) => chunkKey(key, at));

  /** The number of chunks in the storage of a row whose first chunk cannot be read. */
  async function findChunkCount(key: string): Promise<number> {
    for (let from = 1; ; from += MAX_KEYS) {
      const found = await storage.get(range(from, from + MAX_KEYS).map((at) => chunkKey(key, at)));
      if (found.size < MAX_KEYS) return from + found.size;
    }
  }

  async function lookUp(keys: string[]): Promise<void> {
    for (const group of keyGroups(keys.filter((key) => !chunkCounts.has(key)))) {
      for (const [key, first] of await storage.get(group)) {
        let count: number | undefined;
        try {
          count = chunkCount(first, MAX_VALUE_BYTES);
        } catch {
          count = await findChunkCount(key);
        }
        chunkCounts.set(key, count);
      }
    }
  }

  /**
   * Visits the rows whose keys begin with `keyPrefix`, in order, until `visit` returns false. Reads groups of doubling
   * size.
   */
  async function walk<T>(
    table: "segments" | "deadLetters",
    decode: (key: string, bytes: Bytes) => T,
    visit: (row: T) => boolean,
    keyPrefix = "",
  ): Promise<void> {
    const all = table === "segments" ? segmentKey("") : deadLetterKey("");
    const start = all + keyPrefix;
    let last: string | undefined;
    for (let limit = 4; ; limit = Math.min(2 * limit, 64)) {
      const rows = await storage.list({ prefix: start, limit, ...(last !== undefined && { startAfter: last }) });
      for (const [key, first] of rows) {
        last = key;
        const name = key.slice(all.length);
        const count = unreadable.read(table, name, () => chunkCount(first, MAX_VALUE_BYTES));
        if (count === undefined) continue;
        chunkCounts.set(key, count);
        const chunks = await readChunks(key, first as Uint8Array);
        const row = chunks && unreadable.read(table, name, () => decode(name, concat(completeChunks(chunks))));
        if (row && visit(row) === false) return;
      }
      if (rows.size < limit) return;
    }
  }

  /** All chunks of a row, some of them perhaps missing; undefined if it was removed or replaced in the meantime. */
  async function readChunks(key: string, first: Uint8Array): Promise<unknown[] | undefined> {
    const others = chunkKeys(key, 1);
    const found = new Map<string, unknown>();
    for (const group of keyGroups(others)) {
      for (const [name, chunk] of await storage.get(group)) found.set(name, chunk);
    }
    if (found.size < others.length && !isSameChunk((await storage.get([key])).get(key), first)) return undefined;
    return [first, ...others.map((name) => found.get(name))];
  }

  /**
   * Starts all calls of a change without an await between them. Both back ends apply such calls atomically.
   * (`transaction` does that too, but other code can run in between, and it may run its body twice.)
   */
  function submit(puts: Map<string, Bytes>, removes: string[]): Promise<unknown> {
    const entries: [string, Bytes][] = [];
    const removals: string[] = [];
    for (const [key, bytes] of puts) {
      const chunks = splitChunks(bytes, MAX_VALUE_BYTES);
      removals.push(...chunkKeys(key, chunks.length));
      chunkCounts.set(key, chunks.length);
      for (const [at, chunk] of chunks.entries()) entries.push([chunkKey(key, at), chunk]);
    }
    for (const key of removes) removals.push(...chunkKeys(key, 0));
    const calls = [
      ...keyGroups(entries).map((group) => storage.put(Object.fromEntries(group))),
      ...keyGroups(removals).map((group) => storage.delete(group)),
    ];
    return Promise.all(calls);
  }

  async function count(start?: string): Promise<StoreCounts> {
    const counts = countsOf([], []);
    await walk("segments", decodeSegment, (segment) => !!countsOf([segment], [], counts), start);
    await walk("deadLetters", decodeDeadLetter, (letter) => !!countsOf([], [letter], counts), start);
    return counts;
  }

  /** Removes some marks that have ended. */
  async function sweep(): Promise<void> {
    const marks = await storage.list({ prefix: MARKS, startAfter: sweptTo, limit: SWEEP_COUNT });
    const ended = [...marks].filter(([, mark]) => stateOf(mark as Mark, unixNow()) === "new").map(([key]) => key);
    if (ended.length > 0) await storage.delete(ended);
    sweptTo = marks.size < SWEEP_COUNT ? MARKS : [...marks.keys()].at(-1)!;
  }

  async function claim(key: string, busyUntilMs: number): Promise<"new" | "busy" | "seen"> {
    const marks = await storage.get([MARKS + key]);
    const state = stateOf(marks.get(MARKS + key) as Mark | undefined, unixNow());
    if (state === "new") await storage.put({ [MARKS + key]: { isSeen: false, untilMs: busyUntilMs } satisfies Mark });
    await sweep();
    return state;
  }

  const attempt = <T>(body: () => T | Promise<T>): Promise<T> => unreadable.attempt(body);
  const afterLastMark = <T>(body: () => Promise<T>): Promise<T> => {
    const done = lastMark.then(body);
    lastMark = done.catch(() => undefined);
    return done;
  };

  return {
    kind: "durable-object",

    open: (name, onProblem) =>
      attempt(async () => {
        unreadable.listen(onProblem);
        // Without the encoding, the rows of the name `a/s` would be among those of `a`.
        prefix = `eventferry/${encodeURIComponent(name)}/`;
        await Promise.all([storage.put({ [`${prefix}probe`]: 1 }), storage.delete([`${prefix}probe`]), storage.sync()]);
        return { durability: "replicated", isShared: false, supportsPrefix: true };
      }),

    write: ({ put, remove, deadPut, deadRemove }) =>
      attempt(async () => {
        const puts = new Map<string, Bytes>();
        for (const segment of put) puts.set(segmentKey(segment.key), encodeSegment(segment));
        for (const letter of deadPut) puts.set(deadLetterKey(letter.key), encodeDeadLetter(letter));
        const removes = [...remove.map(segmentKey), ...deadRemove.map(deadLetterKey)];
        const submitted = lastChange.then(async () => {
          await lookUp(removes);
          return { written: submit(puts, removes) };
        });
        lastChange = submitted.catch(() => undefined);
        await (await submitted).written;
        await storage.sync();
        for (const key of removes) chunkCounts.delete(key);
        unreadable.forget("segments", remove);
        unreadable.forget("deadLetters", deadRemove);
      }),

    peek: (limit) =>
      attempt(async () => {
        const result = peekUpTo(limit);
        await walk("segments", decodeSegment, result.add, limit.prefix);
        return result.taken;
      }),

    dead: (limit, start) =>
      attempt(async () => {
        const found: DeadLetter[] = [];
        if (limit > 0) await walk("deadLetters", decodeDeadLetter, (letter) => found.push(letter) < limit, start);
        return found;
      }),

    count: (start) => attempt(() => count(start)),

    unreadable: () =>
      attempt(async () => {
        await count();
        return unreadable.keys;
      }),

    close: () => attempt(async () => void (await lastChange)),

    claim: (key, busyUntilMs) => attempt(() => afterLastMark(() => claim(key, busyUntilMs))),

    settle: (key, seenUntilMs, busyUntilMs) =>
      attempt(async () => {
        await afterLastMark(async () => {
          if (seenUntilMs !== undefined)
            await storage.put({ [MARKS + key]: { isSeen: true, untilMs: seenUntilMs } satisfies Mark });
          else if (isClaim((await storage.get([MARKS + key])).get(MARKS + key) as Mark | undefined, busyUntilMs))
            await storage.delete([MARKS + key]);
        });
        await storage.sync();
      }),

    wakeAt: (unixMs) =>
      attempt(async () => {
        const current = await storage.getAlarm();
        const isOurs = current !== null && current === ownAlarm;
        if (unixMs === undefined) {
          if (isOurs) await storage.deleteAlarm();
          ownAlarm = undefined;
        } else if (current === null || isOurs || unixMs < current) {
          await storage.setAlarm(unixMs);
          ownAlarm = unixMs;
        }
        await storage.sync();
      }),
  };
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, at) => from + at);
}

/** Groups that fit in one call. */
function keyGroups<T>(items: T[]): T[][] {
  return range(0, Math.ceil(items.length / MAX_KEYS)).map((at) => items.slice(at * MAX_KEYS, (at + 1) * MAX_KEYS));
}
