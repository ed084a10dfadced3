/** The store for Deno and Deno Deploy. */
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
import { type DedupeStore, isClaim, type Mark, stateOf } from "./dedupe.js";
import { isLeaseFree, type Lease } from "./lease.js";
import { countsOf, peekUpTo } from "./peek-limit.js";
import type { DeadLetter, OutboxStore, StoreCounts } from "./store.js";
import { UnreadableRows } from "./unreadable-rows.js";

/** The members of `Deno.Kv` that the store uses. */
export interface DenoKvLike {
  get(key: string[]): Promise<KvEntry>;
  getMany(keys: string[][]): Promise<KvEntry[]>;
  list(
    selector: { prefix: string[] } | { start: string[]; end: string[] },
    options: { batchSize: number; limit?: number },
  ): AsyncIterable<KvEntry>;
  atomic(): KvAtomic;
}
/** An entry of Deno KV. */
export interface KvEntry {
  // The type of Deno: key parts may be other than strings.
  readonly key: readonly unknown[];
  readonly value: unknown;
  readonly versionstamp: string | null;
}
/** An atomic operation of Deno KV. */
export interface KvAtomic {
  check(entry: { key: string[]; versionstamp: string | null }): unknown;
  set(key: string[], value: unknown, options?: { expireIn?: number }): unknown;
  delete(key: string[]): unknown;
  commit(): Promise<{ ok: boolean }>;
}

/** A mutation: sets a value, or deletes the key if there is none. */
interface Mutation {
  readonly key: string[];
  readonly value?: Bytes;
}

const STORAGE = "Deno KV";
/** Deno KV allows 64 KiB for a value and its envelope. */
const MAX_VALUE_BYTES = 60 * 1024;
/** Deno KV allows 1 000 mutations, 800 KiB in all and 80 KiB of keys in a commit. */
const MAX_MUTATIONS = 500;
const MAX_COMMIT_BYTES = 700 * 1024;
const MAX_KEY_BYTES = 60 * 1024;
/** The key of a mark of `dedupe` is behind this. */
const MARKS = "eventferry-dedupe";
/** How often a claim is tried that another process has overtaken. */
const MAX_CLAIM_ATTEMPTS = 8;
/** The maximum number of keys in one `getMany`. */
const MAX_READS = 10;

/**
 * Keeps events in Deno KV, under keys that start with `["eventferry", <name>]`, for all processes that have it open.
 *
 * A change of up to 700 KiB is one commit. A larger one needs several, insertions before removals: if the process ends
 * in between, events are duplicated, not lost. An incomplete segment is invisible until the same change is made again.
 *
 * As the `dedupe` of a receiver it is shared by all processes; the marks expire by themselves.
 *
 * @param kv the result of `Deno.openKv()`; `close` does not close it
 * @throws {FerryError} from all methods: `ERR_STORE` with the `cause`
 */
export function denoKvStore(kv: DenoKvLike): OutboxStore & DedupeStore {
  let root: string[] = [];
  const unreadable = new UnreadableRows(STORAGE);
  /** The number of chunks of each known segment and dead letter, by its row. */
  const chunkCounts = new Map<string, number>();
  /** The last change. Changes are made one after the other, because overlapping commits may overtake each other. */
  let lastChange: Promise<unknown> = Promise.resolve();

  /** The key of a chunk. All but the first have another prefix, so that a list of the rows does not contain them. */
  const chunkKey = ([kind, key]: Row, at: number) =>
    at === 0 ? [...root, kind, key] : [...root, `${kind}+`, key, String(at)];
  const deletions = (row: Row, from: number): Mutation[] =>
    range(from, chunkCounts.get(row.join("/")) ?? 1).map((at) => ({ key: chunkKey(row, at) }));

  async function getValues(keys: string[][]): Promise<unknown[]> {
    const values: unknown[] = [];
    for (let at = 0; at < keys.length; at += MAX_READS) {
      for (const { value } of await kv.getMany(keys.slice(at, at + MAX_READS))) values.push(value);
    }
    return values;
  }

  /** The number of chunks in the storage of a row whose first chunk cannot be read. */
  async function findChunkCount(row: Row): Promise<number> {
    for (let from = 1; ; from += MAX_READS) {
      const values = await getValues(range(from, from + MAX_READS).map((at) => chunkKey(row, at)));
      const missing = values.indexOf(null);
      if (missing >= 0) return from + missing;
    }
  }

  async function lookUp(rows: Row[]): Promise<void> {
    const unknown = rows.filter((row) => !chunkCounts.has(row.join("/")));
    const firsts = await getValues(unknown.map((row) => chunkKey(row, 0)));
    for (const [index, row] of unknown.entries()) {
      if (firsts[index] === null) continue;
      let count: number | undefined;
      try {
        count = chunkCount(firsts[index], MAX_VALUE_BYTES);
      } catch {
        count = await findChunkCount(row);
      }
      chunkCounts.set(row.join("/"), count);
    }
  }

  /** Visits the rows whose keys begin with `prefix`, in order, until `visit` returns false. */
  async function walk<T>(
    kind: Kind,
    decode: (key: string, bytes: Bytes) => T,
    visit: (row: T) => boolean,
    batchSize: number,
    prefix = "",
  ): Promise<void> {
    const rows = [...root, kind];
    // No key has a character above `z`.
    const selector = prefix ? { start: [...rows, prefix], end: [...rows, `${prefix}\uffff`] } : { prefix: rows };
    const table = kind === "s" ? "segments" : "deadLetters";
    for await (const { key: path, value: first } of kv.list(selector, { batchSize })) {
      const key = path[path.length - 1] as string;
      const count = unreadable.read(table, key, () => chunkCount(first, MAX_VALUE_BYTES));
      if (count === undefined) continue;
      chunkCounts.set([kind, key].join("/"), count);
      const others = await getValues(deletions([kind, key], 1).map((chunk) => chunk.key));
      // Another process may be removing the row, or replacing it.
      if (others.includes(null) && !isSameChunk((await kv.get(chunkKey([kind, key], 0))).value, first)) continue;
      const row = unreadable.read(table, key, () => decode(key, concat(completeChunks([first, ...others]))));
      if (row && visit(row) === false) return;
    }
  }

  /** Insertions before removals. The first chunk is written last, because it makes the row visible. */
  function mutations(puts: [Row, Bytes][], removes: Row[]): Mutation[] {
    const invisible: Mutation[] = [];
    const visible: Mutation[] = [];
    const removals: Mutation[] = [];
    for (const [row, bytes] of puts) {
      const chunks = splitChunks(bytes, MAX_VALUE_BYTES);
      removals.push(...deletions(row, chunks.length));
      chunkCounts.set(row.join("/"), chunks.length);
      for (const [at, value] of chunks.entries()) {
        (at === 0 ? visible : invisible).push({ key: chunkKey(row, at), value });
      }
    }
    // The first chunk is removed first, so that the others are invisible after a crash.
    for (const row of removes) removals.push(...deletions(row, 0));
    return [...invisible, ...visible, ...removals];
  }

  async function commit(group: readonly Mutation[]): Promise<void> {
    const atomic = kv.atomic();
    for (const { key, value } of group) {
      if (value) atomic.set(key, value);
      else atomic.delete(key);
    }
    await atomic.commit();
  }

  async function count(prefix?: string): Promise<StoreCounts> {
    const counts = countsOf([], []);
    await walk("s", decodeSegment, (segment) => !!countsOf([segment], [], counts), 100, prefix);
    await walk("d", decodeDeadLetter, (letter) => !!countsOf([], [letter], counts), 100, prefix);
    return counts;
  }

  const attempt = <T>(body: () => T | Promise<T>): Promise<T> => unreadable.attempt(body);

  return {
    kind: "deno-kv",

    open: (name, onProblem) =>
      attempt(async () => {
        unreadable.listen(onProblem);
        root = ["eventferry", name];
        await commit([{ key: [...root, "probe"], value: new Uint8Array(1) }]);
        await commit([{ key: [...root, "probe"] }]);
        return { durability: "disk", isShared: true, supportsPrefix: true };
      }),

    write: ({ put, remove, deadPut, deadRemove }) =>
      attempt(async () => {
        const puts: [Row, Bytes][] = [
          ...put.map((segment): [Row, Bytes] => [["s", segment.key], encodeSegment(segment)]),
          ...deadPut.map((letter): [Row, Bytes] => [["d", letter.key], encodeDeadLetter(letter)]),
        ];
        const removes: Row[] = [...remove.map((key): Row => ["s", key]), ...deadRemove.map((key): Row => ["d", key])];
        const made = lastChange.then(async () => {
          await lookUp(removes);
          for (const group of commits(mutations(puts, removes))) await commit(group);
          for (const row of removes) chunkCounts.delete(row.join("/"));
        });
        lastChange = made.catch(() => undefined);
        await made;
        unreadable.forget("segments", remove);
        unreadable.forget("deadLetters", deadRemove);
      }),

    peek: (limit) =>
      attempt(async () => {
        const result = peekUpTo(limit);
        await walk("s", decodeSegment, result.add, 16, limit.prefix);
        return result.taken;
      }),

    dead: (limit, prefix) =>
      attempt(async () => {
        const found: DeadLetter[] = [];
        if (limit > 0) await walk("d", decodeDeadLetter, (letter) => found.push(letter) < limit, 16, prefix);
        return found;
      }),

    count: (prefix) => attempt(() => count(prefix)),

    unreadable: () =>
      attempt(async () => {
        await count();
        return unreadable.keys;
      }),

    acquire: (owner, durationMs, scope) =>
      attempt(async () => {
        const key = [...root, "lease", scope];
        const entry = await kv.get(key);
        const now = unixNow();
        if (!isLeaseFree(entry.value as Lease | null, owner, now)) return false;
        const atomic = kv.atomic();
        atomic.check({ key, versionstamp: entry.versionstamp });
        if (durationMs > 0) atomic.set(key, { owner, until: now + durationMs, durationMs } satisfies Lease);
        else atomic.delete(key);
        return (await atomic.commit()).ok;
      }),

    close: () => attempt(async () => void (await lastChange)),

    claim: (key, busyUntilMs) =>
      attempt(async () => {
        for (let tried = 0; tried < MAX_CLAIM_ATTEMPTS; tried++) {
          const entry = await kv.get([MARKS, key]);
          const state = stateOf((entry.value as Mark | null) ?? undefined, unixNow());
          if (state !== "new") return state;
          const atomic = kv.atomic();
          atomic.check({ key: [MARKS, key], versionstamp: entry.versionstamp });
          setMark(atomic, key, { isSeen: false, untilMs: busyUntilMs });
          if ((await atomic.commit()).ok) return "new";
        }
        return "busy";
      }),

    settle: (key, seenUntilMs, busyUntilMs) =>
      attempt(async () => {
        const atomic = kv.atomic();
        if (seenUntilMs !== undefined) setMark(atomic, key, { isSeen: true, untilMs: seenUntilMs });
        else {
          const entry = await kv.get([MARKS, key]);
          if (!isClaim((entry.value as Mark | null) ?? undefined, busyUntilMs)) return;
          // If the key changes before the commit, the claim has it no more.
          atomic.check({ key: [MARKS, key], versionstamp: entry.versionstamp });
          atomic.delete([MARKS, key]);
        }
        await atomic.commit();
      }),
  };
}

function setMark(atomic: KvAtomic, key: string, mark: Mark): void {
  atomic.set([MARKS, key], mark, { expireIn: Math.max(1, mark.untilMs - unixNow()) });
}

/** `s` for segments, `d` for dead letters. */
type Kind = "s" | "d";
/** The kind and key of a segment or dead letter. */
type Row = readonly [kind: Kind, key: string];

/** Groups mutations, in order, into as few commits as the limits allow. At least one. */
function* commits(mutations: readonly Mutation[]): Generator<Mutation[]> {
  let group: Mutation[] = [];
  let bytes = 0;
  let keyBytes = 0;
  for (const mutation of mutations) {
    const keySize = 3 * mutation.key.join("/").length + 8;
    const size = keySize + (mutation.value?.length ?? 0) + 64;
    if (group.length === MAX_MUTATIONS || bytes + size > MAX_COMMIT_BYTES || keyBytes + keySize > MAX_KEY_BYTES) {
      yield group;
      group = [];
      bytes = keyBytes = 0;
    }
    group.push(mutation);
    bytes += size;
    keyBytes += keySize;
  }
  yield group;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, at) => from + at);
}
