// A store as an application may write one: rows as JSON in a map of another library. It supports no prefix.
import { FerryError } from "../../dist/entries/index.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

const encode = ({ body, sizes, orderingKeys, ...rest }) =>
  JSON.stringify({
    ...rest,
    body: decoder.decode(body),
    ...(sizes && { sizes: [...sizes] }),
    ...(orderingKeys && { orderingKeys: [...orderingKeys] }),
  });

function decode(text) {
  const { body, sizes, orderingKeys, ...rest } = JSON.parse(text);
  if (typeof body !== "string" || rest.form !== undefined) throw new Error("unknown form");
  return {
    ...rest,
    body: encoder.encode(body),
    ...(sizes && { sizes: Uint32Array.from(sizes) }),
    ...(orderingKeys && { orderingKeys: Uint32Array.from(orderingKeys) }),
  };
}

/** @param places the rows of each name: `{ segments, deadLetters }`, maps of texts by key */
function customStore(places) {
  let place;
  let tell = () => undefined;
  const unreadable = { segments: new Set(), deadLetters: new Set() };
  const rows = (table, prefix = "") =>
    [...place()[table]]
      .filter(([key]) => key.startsWith(prefix))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([key, text]) => {
        try {
          return [decode(text)];
        } catch {
          if (!unreadable[table].has(key)) tell(new FerryError("ERR_STORE", `the row ${key} cannot be read`));
          unreadable[table].add(key);
          return [];
        }
      });
  const bytesOf = (rows) => rows.reduce((sum, { body }) => sum + body.length, 0);
  return {
    kind: "custom",
    async open(name, onProblem) {
      place = () => {
        if (!places.has(name)) places.set(name, { segments: new Map(), deadLetters: new Map() });
        return places.get(name);
      };
      tell = onProblem;
      return { durability: "process", isShared: true };
    },
    async write({ put, remove, deadPut, deadRemove }) {
      const { segments, deadLetters } = place();
      for (const segment of put) segments.set(segment.key, encode(segment));
      for (const letter of deadPut) deadLetters.set(letter.key, encode(letter));
      for (const key of remove) segments.delete(key);
      for (const key of deadRemove) deadLetters.delete(key);
      for (const key of remove) unreadable.segments.delete(key);
      for (const key of deadRemove) unreadable.deadLetters.delete(key);
    },
    async peek({ events, bytes, skip, prefix }) {
      const found = [];
      for (const segment of rows("segments", prefix).filter(({ key }) => !skip.has(key))) {
        events -= segment.sizes.length;
        bytes -= segment.body.length;
        if (found.length > 0 && (events < 0 || bytes < 0)) break;
        found.push(segment);
      }
      return found;
    },
    dead: async (limit, prefix) => rows("deadLetters", prefix).slice(0, limit),
    async count(prefix) {
      const [segments, letters] = [rows("segments", prefix), rows("deadLetters", prefix)];
      return {
        events: segments.reduce((sum, { sizes }) => sum + sizes.length, 0),
        bytes: bytesOf(segments),
        dead: letters.length,
        deadBytes: bytesOf(letters),
        ...(segments.length > 0 && { lastKey: segments.at(-1).key }),
      };
    },
    async unreadable() {
      rows("segments");
      rows("deadLetters");
      return { segments: [...unreadable.segments], deadLetters: [...unreadable.deadLetters] };
    },
    close: async () => undefined,
  };
}

/** A new, empty storage, for `checkContract`. */
export function customStorage() {
  const places = new Map();
  const change = (of) => async (name, table, key) => {
    const rows = places.get(name)[table];
    rows.set(key, of(rows.get(key)));
  };
  return {
    make: () => customStore(places),
    isShared: true,
    damages: {
      "the form of a newer version": change((text) => JSON.stringify({ ...JSON.parse(text), form: 1 })),
      "a text that is no JSON": change(() => "12345}"),
    },
    empty: async (name) => places.delete(name),
  };
}
