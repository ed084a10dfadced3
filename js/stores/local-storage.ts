/** The last resort in browsers. */
import { FerryError } from "../errors.js";
import { Basket, countDead, countSegment, emptyStock } from "./basket.js";
import { storeFailure } from "./failure.js";
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
  const segmentKey = (key: string) => `${prefix}s/${key}`;
  const deadKey = (key: string) => `${prefix}d/${key}`;
  /** Keys in the storage, oldest first. */
  const keys = (start: string) => Object.keys(localStorage).filter((key) => key.startsWith(start)).sort();
  const read = (key: string) => localStorage.getItem(key);
  const segments = () => keyed(segmentKey(""), toSegment);
  const letters = () => keyed(deadKey(""), toLetter);

  function* keyed<T>(start: string, parse: (key: string, text: string) => T): Generator<T> {
    for (const key of keys(start)) {
      const text = read(key);
      // Another tab may have taken it away by now.
      if (text !== null) yield parse(key.slice(start.length), text);
    }
  }

  function makeRoom(puts: [string, string][], removes: string[]): void {
    const gone = new Set([...removes, ...puts.map(([key]) => key)]);
    let before = 0;
    let after = 0;
    for (const key of keys(prefix)) {
      const size = key.length + (read(key)?.length ?? 0);
      before += size;
      if (!gone.has(key)) after += size;
    }
    for (const [key, text] of puts) after += key.length + text.length;
    if (after > QUOTA && after > before) throw new FerryError("ERR_STORE", `localStorage: more than ${QUOTA} characters`);
  }

  /** Either all or, as it was before, none. */
  function putAll(puts: [string, string][]): void {
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
        localStorage.setItem(`${prefix}probe`, "");
        localStorage.removeItem(`${prefix}probe`);
        return { durability: "process", isShared: true };
      }),

    write: ({ put, remove, bury, exhume }) =>
      attempt(() => {
        const puts = [...put.map((it) => [segmentKey(it.key), segmentText(it)]), ...bury.map((it) => [deadKey(it.key), letterText(it)])] as [string, string][];
        const removes = [...remove.map(segmentKey), ...exhume.map(deadKey)];
        makeRoom(puts, removes);
        // In this order a crash in between leaves an event twice, not gone.
        putAll(puts);
        for (const key of removes) localStorage.removeItem(key);
      }),

    peek: (limit) =>
      attempt(() => {
        const basket = new Basket(limit);
        for (const segment of segments()) if (!basket.add(segment)) break;
        return basket.taken;
      }),

    dead: (limit) => attempt(() => [...letters()].slice(0, limit)),

    count: () =>
      attempt(() => {
        const stock = emptyStock();
        for (const segment of segments()) countSegment(stock, segment);
        for (const letter of letters()) countDead(stock, letter);
        return stock;
      }),

    close: async () => undefined,
  };
}

async function attempt<T>(body: () => T): Promise<T> {
  try {
    return body();
  } catch (cause) {
    throw storeFailure("localStorage", cause);
  }
}

/** A line of JSON, and behind it the body as it is. */
function lines(head: unknown, body: Uint8Array): string {
  return `${JSON.stringify(head)}\n${new TextDecoder("utf-8", { ignoreBOM: true }).decode(body)}`;
}

function parsed(text: string) {
  const end = text.indexOf("\n");
  return { head: JSON.parse(text.slice(0, end)), body: new TextEncoder().encode(text.slice(end + 1)) };
}

function segmentText({ body, sizes, lanes, at }: Segment): string {
  return lines([at, [...sizes], lanes && [...lanes]], body);
}

function toSegment(key: string, text: string): Segment {
  const { head, body } = parsed(text);
  const [at, sizes, lanes] = head;
  return { key, body, sizes: new Uint32Array(sizes), ...(lanes && { lanes: new Uint32Array(lanes) }), at };
}

function letterText({ body, key, ...rest }: DeadLetter): string {
  return lines(rest, body);
}

function toLetter(key: string, text: string): DeadLetter {
  const { head, body } = parsed(text);
  return { ...head, key, body };
}
