/** The store for Deno and Deno Deploy. */
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
import type { DeadLetter, OutboxStore } from "./store.js";
import { unixNow } from "../platform/clock.js";

/** As much of `Deno.Kv` as is used. */
export interface DenoKvLike {
  get(key: string[]): Promise<KvEntry>;
  getMany(keys: string[][]): Promise<KvEntry[]>;
  list(selector: { prefix: string[] }, options: { batchSize: number; limit?: number }): AsyncIterable<KvEntry>;
  atomic(): KvAtomic;
}
export interface KvEntry {
  // As Deno types it: parts of keys may be other than text.
  readonly key: readonly unknown[];
  readonly value: unknown;
  readonly versionstamp: string | null;
}
export interface KvAtomic {
  check(entry: { key: string[]; versionstamp: string | null }): unknown;
  set(key: string[], value: unknown): unknown;
  delete(key: string[]): unknown;
  commit(): Promise<{ ok: boolean }>;
}

interface Lease {
  readonly owner: string;
  readonly until: number;
}

/** What is to be done, with what it costs of the limits. */
interface Step {
  readonly key: string[];
  readonly value?: Bytes;
}

const PLACE = "Deno KV";
/** A value may have 64 KiB with what is put around it. */
const LARGEST_VALUE = 60 * 1024;
/** A commit may have 1 000 of them, 800 KiB in all and 80 KiB of keys. */
const MOST_STEPS = 500;
const MOST_BYTES = 700 * 1024;
const MOST_KEY_BYTES = 60 * 1024;
/** Keys in one `getMany`. */
const MOST_READS = 10;

/**
 * Keeps events in Deno KV, under keys that start with `["eventferry", <name>]`, for all processes that have it open.
 *
 * A change of up to 700 KiB is one commit. A larger one takes several: first what is put, then what is taken away, so if the process ends in
 * between, events are there twice rather than not at all. Pieces of a segment that never became whole stay unseen until the same change is made again.
 *
 * @param kv what `Deno.openKv()` gives; `close` does not close it
 * @throws {FerryError} all calls: `ERR_STORE` with the `cause`
 */
export function denoKvStore(kv: DenoKvLike): OutboxStore {
  let root: string[] = [];
  /** How many pieces each segment and letter has that was seen, by its place. */
  const pieces = new Map<string, number>();
  /** One change after the other: commits that overlap may overtake each other. */
  let turn: Promise<unknown> = Promise.resolve();

  /** Where a segment (`s`) or letter (`d`) is; pieces behind the first are elsewhere, so that nobody meets them who looks for the oldest. */
  const pieceKey = ([kind, key]: Place, at: number) =>
    at === 0 ? [...root, kind, key] : [...root, `${kind}+`, key, String(at)];
  const steps = (place: Place, from: number): Step[] =>
    range(from, pieces.get(place.join("/")) ?? 1).map((at) => ({ key: pieceKey(place, at) }));

  function learn(place: Place, first: unknown): Uint8Array {
    pieces.set(place.join("/"), chunkCount(first as Uint8Array, LARGEST_VALUE));
    return first as Uint8Array;
  }

  async function many(keys: string[][]): Promise<unknown[]> {
    const values: unknown[] = [];
    for (let at = 0; at < keys.length; at += MOST_READS) {
      for (const { value } of await kv.getMany(keys.slice(at, at + MOST_READS))) values.push(value);
    }
    return values;
  }

  async function lookUp(places: Place[]): Promise<void> {
    const unknown = places.filter((place) => !pieces.has(place.join("/")));
    const firsts = await many(unknown.map((place) => pieceKey(place, 0)));
    unknown.forEach((place, at) => firsts[at] !== null && learn(place, firsts[at]));
  }

  /** Visits from the smallest key on, until `visit` returns false. */
  async function walk(kind: Kind, visit: (key: string, bytes: Bytes) => boolean, batchSize: number): Promise<void> {
    for await (const { key: path, value } of kv.list({ prefix: [...root, kind] }, { batchSize })) {
      const key = path[path.length - 1] as string;
      const first = learn([kind, key], value);
      const others = await many(steps([kind, key], 1).map((step) => step.key));
      // Another process may be taking it away.
      if (others.includes(null)) continue;
      if (visit(key, concat([first, ...(others as Uint8Array[])])) === false) return;
    }
  }

  /** Puts before removals, pieces before the first one, which makes them seen. */
  function plan(puts: [Place, Bytes][], removes: Place[]): Step[] {
    const hidden: Step[] = [];
    const seen: Step[] = [];
    const gone: Step[] = [];
    for (const [place, bytes] of puts) {
      const parts = splitChunks(bytes, LARGEST_VALUE);
      gone.push(...steps(place, parts.length));
      pieces.set(place.join("/"), parts.length);
      parts.forEach((value, at) => (at === 0 ? seen : hidden).push({ key: pieceKey(place, at), value }));
    }
    // The first piece goes first, so that what is left of it in a crash is not seen.
    for (const place of removes) gone.push(...steps(place, 0));
    return [...hidden, ...seen, ...gone];
  }

  async function commit(steps: readonly Step[]): Promise<void> {
    const atomic = kv.atomic();
    for (const { key, value } of steps) {
      if (value) atomic.set(key, value);
      else atomic.delete(key);
    }
    await atomic.commit();
  }

  return {
    kind: "deno-kv",

    open: (name) =>
      attempt(async () => {
        root = ["eventferry", name];
        await commit([{ key: [...root, "probe"], value: new Uint8Array(1) }]);
        await commit([{ key: [...root, "probe"] }]);
        return { durability: "disk", isShared: true };
      }),

    write: ({ put, remove, deadPut, deadRemove }) =>
      attempt(async () => {
        const puts: [Place, Bytes][] = [
          ...put.map((segment): [Place, Bytes] => [["s", segment.key], encodeSegment(segment)]),
          ...deadPut.map((letter): [Place, Bytes] => [["d", letter.key], encodeDeadLetter(letter)]),
        ];
        const removes: Place[] = [
          ...remove.map((key): Place => ["s", key]),
          ...deadRemove.map((key): Place => ["d", key]),
        ];
        const made = turn.then(async () => {
          await lookUp(removes);
          for (const some of commits(plan(puts, removes))) await commit(some);
          for (const place of removes) pieces.delete(place.join("/"));
        });
        turn = made.catch(() => undefined);
        await made;
      }),

    peek: (limit) =>
      attempt(async () => {
        const basket = peekUpTo(limit);
        await walk("s", (key, bytes) => basket.add(decodeSegment(key, bytes)), 16);
        return basket.taken;
      }),

    dead: (limit) =>
      attempt(async () => {
        const found: DeadLetter[] = [];
        if (limit > 0) await walk("d", (key, bytes) => found.push(decodeDeadLetter(key, bytes)) < limit, 16);
        return found;
      }),

    count: () =>
      attempt(async () => {
        const stock = countsOf([], []);
        await walk("s", (key, bytes) => !!countsOf([decodeSegment(key, bytes)], [], stock), 100);
        await walk("d", (key, bytes) => !!countsOf([], [decodeDeadLetter(key, bytes)], stock), 100);
        return stock;
      }),

    acquire: (owner, forMs) =>
      attempt(async () => {
        const key = [...root, "lease"];
        const entry = await kv.get(key);
        const lease = entry.value as Lease | null;
        if (lease && lease.owner !== owner && lease.until > unixNow()) return false;
        const atomic = kv.atomic();
        atomic.check({ key, versionstamp: entry.versionstamp });
        atomic.set(key, { owner, until: unixNow() + forMs } satisfies Lease);
        return (await atomic.commit()).ok;
      }),

    close: () => attempt(async () => void (await turn)),
  };
}

/** `s` for segments, `d` for dead letters. */
type Kind = "s" | "d";
type Place = readonly [kind: Kind, key: string];

async function attempt<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (cause) {
    throw storeError(PLACE, cause);
  }
}

/** As few commits as the limits allow, in order. An empty change needs one too if the lease is to be looked at. */
function* commits(steps: readonly Step[]): Generator<Step[]> {
  let some: Step[] = [];
  let bytes = 0;
  let keyBytes = 0;
  for (const step of steps) {
    const keySize = 3 * step.key.join("/").length + 8;
    const size = keySize + (step.value?.length ?? 0) + 64;
    if (some.length === MOST_STEPS || bytes + size > MOST_BYTES || keyBytes + keySize > MOST_KEY_BYTES) {
      yield some;
      some = [];
      bytes = keyBytes = 0;
    }
    some.push(step);
    bytes += size;
    keyBytes += keySize;
  }
  yield some;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, at) => from + at);
}
