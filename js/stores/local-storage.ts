/** The store for browsers without IndexedDB. */
import { unixNow } from "../platform/clock.js";
import { random } from "../platform/random.js";
import { decodeRow, encodeRow } from "./json-row.js";
import { countsOf, takeUpTo } from "./peek-limit.js";
import { ensure, readDeadLetter, readSegment } from "./readable-row.js";
import type { DeadLetter, OutboxStore, Segment } from "./store.js";
import { UnreadableRows } from "./unreadable-rows.js";

const STORAGE = "localStorage";
/** The maximum number of characters in keys and values. An origin has five million, most of which are for the site. */
const MAX_CHARACTERS = 256 * 1024;

/**
 * Keeps events in `localStorage`, for pages where IndexedDB does not work. Its calls block the page, so it keeps at
 * most 262 144 characters; more are rejected with `ERR_STORE`.
 *
 * Browsers write `localStorage` to disk with a delay: a crash of the browser loses the changes of the last seconds,
 * although `write` has resolved. The end or crash of a tab loses nothing.
 *
 * A page that uses the store notices when somebody deletes its entries, and tells of it as `degraded`. At the next visit
 * nothing is left that could tell.
 *
 * It has no lease: where there are no Web Locks, two tabs may deliver the same events.
 *
 * @param name @default the name of the outbox
 * @throws {FerryError} from all methods: `ERR_STORE` with the `cause`; `open` rejects where the storage is missing or
 * blocked
 */
export function localStorageStore(name?: string): OutboxStore {
  let prefix = "";
  /** What the entry with the key `prefix` has, until somebody empties the storage. */
  let id: string | undefined;
  const unreadable = new UnreadableRows(STORAGE);
  const segmentKey = ({ key }: { key: string }) => `${prefix}s/${key}`;
  const deadLetterKey = ({ key }: { key: string }) => `${prefix}d/${key}`;
  const read = (key: string) => localStorage.getItem(key);
  /** The keys in the storage that start with `start`, oldest first. */
  const keys = (start: string) =>
    Object.keys(localStorage)
      .filter((key) => key.startsWith(start))
      .sort();

  function* rows<T extends Segment | DeadLetter>(
    table: "segments" | "deadLetters",
    prefix: string,
    check: (row: unknown) => T,
  ): Generator<T> {
    const start = table === "segments" ? segmentKey({ key: "" }) : deadLetterKey({ key: "" });
    for (const storageKey of keys(start + prefix)) {
      const text = read(storageKey);
      // Another tab may have removed it.
      if (text === null) continue;
      const key = storageKey.slice(start.length);
      const row = unreadable.read(table, key, () => {
        const row = check(decodeRow(text));
        ensure(row.key === key, "it has another key");
        return row;
      });
      if (row) yield row;
    }
  }
  const segments = (prefix = "") => rows("segments", prefix, readSegment);
  const deadLetters = (prefix = "") => rows("deadLetters", prefix, readDeadLetter);
  const count = (prefix?: string) => countsOf(segments(prefix), deadLetters(prefix));

  const attempt = <T>(body: () => T | Promise<T>): Promise<T> =>
    unreadable.attempt(() => {
      noticeDeletion();
      return body();
    });

  /** Tells if the entries were deleted since the last call, as `localStorage.clear()` does. */
  function noticeDeletion(): void {
    if (id === undefined) return;
    const found = read(prefix);
    if (found === id) return;
    // Another tab may have noticed it first.
    id = found ?? newId();
    unreadable.problem(`the entries ${prefix} were deleted, with the events that were only there`);
    try {
      localStorage.setItem(prefix, id);
    } catch {
      // The next call tells of it again.
    }
  }

  function checkQuota(puts: readonly Entry[], removes: readonly string[]): void {
    const replaced = new Set([...removes, ...puts.map(([key]) => key)]);
    const kept = keys(prefix)
      .filter((key) => !replaced.has(key))
      .map((key): Entry => [key, read(key) ?? ""]);
    const size = [...kept, ...puts].reduce((size, [key, text]) => size + key.length + text.length, 0);
    if (puts.length > 0 && size > MAX_CHARACTERS)
      throw new Error(`the change would need more than ${MAX_CHARACTERS} characters`);
  }

  /** Writes all entries, or restores the old ones. */
  function putAll(puts: readonly Entry[]): void {
    const old = puts.map(([key]) => [key, read(key)] as const);
    try {
      for (const [key, text] of puts) localStorage.setItem(key, text);
    } catch (cause) {
      // First, to free the space that the old entries need.
      for (const [key, text] of old) if (text === null) localStorage.removeItem(key);
      for (const [key, text] of old) if (text !== null) localStorage.setItem(key, text);
      throw cause;
    }
  }

  return {
    kind: "localstorage",

    open: (given, onProblem) =>
      unreadable.attempt(() => {
        unreadable.listen(onProblem);
        // Without the encoding, the rows of the name `a/s` would be among those of `a`.
        prefix = `eventferry/${encodeURIComponent(name ?? given)}/`;
        id = read(prefix) ?? newId();
        localStorage.setItem(prefix, id);
        return { durability: "process", isShared: true, supportsPrefix: true, place: prefix };
      }),

    write: ({ put, remove, deadPut, deadRemove }) =>
      attempt(() => {
        const puts = [
          ...put.map((segment): Entry => [segmentKey(segment), encodeRow(segment)]),
          ...deadPut.map((letter): Entry => [deadLetterKey(letter), encodeRow(letter)]),
        ];
        const removes = [
          ...remove.map((key) => segmentKey({ key })),
          ...deadRemove.map((key) => deadLetterKey({ key })),
        ];
        checkQuota(puts, removes);
        // In this order, a crash in between duplicates events and loses none.
        putAll(puts);
        for (const key of removes) localStorage.removeItem(key);
        unreadable.forget("segments", remove);
        unreadable.forget("deadLetters", deadRemove);
      }),

    peek: (limit) => attempt(() => takeUpTo(segments(limit.prefix), limit)),
    dead: (limit, start) => attempt(() => [...deadLetters(start)].slice(0, limit)),
    count: (start) => attempt(() => count(start)),
    unreadable: () =>
      attempt(() => {
        count();
        return unreadable.keys;
      }),
    close: async () => undefined,
  };
}

/** The id of entries, by which it is noticed that they were deleted and written again. */
function newId(): string {
  return `${unixNow()}-${random()}`;
}

/** A key and its text. */
type Entry = readonly [key: string, text: string];
