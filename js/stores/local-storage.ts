/** The last resort in browsers. */
import { takeUpTo, countsOf } from "./peek-limit.js";
import { storeError } from "./store-error.js";
import type { DeadLetter, OutboxStore, Segment } from "./store.js";

/** How many characters of keys and values it keeps at most: the site wants its own part of the five million that there are. */
const QUOTA = 256 * 1024;

/**
 * Keeps events in `localStorage`, for pages where IndexedDB does not work. All its calls block the page while they run, so it
 * takes 256 KiB (of characters) at most; more is refused with `ERR_STORE`.
 *
 * Browsers write `localStorage` to disk when they find the time: a crash of the browser loses what was written in the last
 * seconds, although `write` had resolved. The end of a tab or a crash of it loses nothing.
 *
 * Two tabs may deliver the same events where there are no Web Locks: it has no lease.
 *
 * @param name @default the name of the outbox
 * @throws {FerryError} all calls: `ERR_STORE` with the `cause`; `open` rejects where storage is missing or blocked
 */
export function localStorageStore(name?: string): OutboxStore {
  let prefix = "";
  const segmentKey = ({ key }: { key: string }) => `${prefix}s/${key}`;
  const letterKey = ({ key }: { key: string }) => `${prefix}d/${key}`;
  const read = (key: string) => localStorage.getItem(key);
  /** Keys in the storage, oldest first. */
  const keys = (start: string) =>
    Object.keys(localStorage)
      .filter((key) => key.startsWith(start))
      .sort();

  function* rows<T>(start: string): Generator<T> {
    for (const key of keys(start)) {
      const text = read(key);
      // Another tab may have taken it away by now.
      if (text !== null) yield unpacked<T>(text);
    }
  }
  const segments = () => rows<Segment>(segmentKey({ key: "" }));
  const letters = () => rows<DeadLetter>(letterKey({ key: "" }));

  function checkQuota(puts: readonly Entry[], removes: readonly string[]): void {
    const gone = new Set([...removes, ...puts.map(([key]) => key)]);
    const rest = keys(prefix)
      .filter((key) => !gone.has(key))
      .map((key): Entry => [key, read(key) ?? ""]);
    const size = [...rest, ...puts].reduce((size, [key, text]) => size + key.length + text.length, 0);
    if (puts.length > 0 && size > QUOTA) throw new Error(`more than ${QUOTA} characters`);
  }

  /** Either all or, as it was before, none. */
  function putAll(puts: readonly Entry[]): void {
    const old = puts.map(([key]) => [key, read(key)] as const);
    try {
      for (const [key, text] of puts) localStorage.setItem(key, text);
    } catch (cause) {
      // This first, to make the room that the old ones need.
      for (const [key, text] of old) if (text === null) localStorage.removeItem(key);
      for (const [key, text] of old) if (text !== null) localStorage.setItem(key, text);
      throw cause;
    }
  }

  return {
    kind: "localstorage",

    open: (given) =>
      attempt(() => {
        prefix = `eventferry/${name ?? given}/`;
        localStorage.setItem(prefix, "");
        localStorage.removeItem(prefix);
        return { durability: "process", isShared: true };
      }),

    write: ({ put, remove, deadPut, deadRemove }) =>
      attempt(() => {
        const puts = [
          ...put.map((it): Entry => [segmentKey(it), packed(it)]),
          ...deadPut.map((it): Entry => [letterKey(it), packed(it)]),
        ];
        const removes = [...remove.map((key) => segmentKey({ key })), ...deadRemove.map((key) => letterKey({ key }))];
        checkQuota(puts, removes);
        // In this order a crash in between leaves an event twice, not gone.
        putAll(puts);
        for (const key of removes) localStorage.removeItem(key);
      }),

    peek: (limit) => attempt(() => takeUpTo(segments(), limit)),
    dead: (limit) => attempt(() => [...letters()].slice(0, limit)),
    count: () => attempt(() => countsOf(segments(), letters())),
    close: async () => undefined,
  };
}

/** A key and its text. */
type Entry = readonly [key: string, text: string];

async function attempt<T>(body: () => T): Promise<T> {
  try {
    return body();
  } catch (cause) {
    throw storeError("localStorage", cause);
  }
}

/** As JSON: the body as text, numbers as a list. */
function packed(row: Segment | DeadLetter): string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return JSON.stringify(row, (name, value) =>
    name === "body" ? decoder.decode(value) : ArrayBuffer.isView(value) ? [...(value as Uint32Array)] : value,
  );
}

function unpacked<T>(text: string): T {
  return JSON.parse(text, (name, value) =>
    name === "body" ? new TextEncoder().encode(value) : Array.isArray(value) ? new Uint32Array(value) : value,
  );
}
