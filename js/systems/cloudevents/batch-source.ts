/** The text or bytes of a batch, from which its events are cut. The batches that are filtered from it share it. */
import type { Bytes } from "../../platform/bytes.js";
import type { BatchFormat } from "./batch-options.js";
import { utf8 } from "./event-data.js";
import { EVENT_END, EVENT_START, ROW_WORDS } from "./table.js";

export class BatchSource {
  readonly input: string | Uint8Array;
  /** The bytes as text, decoded on first use. Empty if they are not ASCII and so have other positions. */
  #ascii: string | undefined;

  constructor(input: string | Uint8Array) {
    this.input = input;
  }

  /** The event of a row: text if the batch arrived as text or as ASCII bytes, else bytes. */
  slice(rows: Uint32Array, at: number): string | Uint8Array {
    const { input } = this;
    const start = rows[at * ROW_WORDS + EVENT_START]!;
    const end = rows[at * ROW_WORDS + EVENT_END]!;
    if (typeof input === "string") return input.slice(start, end);
    if (this.#ascii === undefined) {
      // The engine has checked that it is UTF-8, so text with as many characters as there are bytes is ASCII.
      const text = utf8.decode(input);
      this.#ascii = text.length === input.length ? text : "";
    }
    return this.#ascii.slice(start, end) || input.slice(start, end);
  }

  /** The event of a row as text. */
  textAt(rows: Uint32Array, at: number): string {
    const source = this.slice(rows, at);
    return typeof source === "string" ? source : utf8.decode(source);
  }
}

/** Joins the texts of events. */
export function joinTexts(texts: readonly string[], format: BatchFormat): string {
  if (format === "batch") return `[${texts.join(",")}]`;
  // A line break can only be white space between tokens, because strings in JSON must escape it.
  return texts.map((text) => `${text.replace(/[\r\n]/g, " ")}\n`).join("");
}

/**
 * Joins the bytes of the events of these rows.
 *
 * @param mayBreak an event in NDJSON may keep its line breaks
 */
export function joinBytes(source: Uint8Array, rows: Uint32Array, format: BatchFormat, mayBreak = false): Bytes {
  const isArray = format === "batch";
  // Each event has a separator or an end behind it; there are brackets also around none.
  let size = isArray ? 1 : 0;
  for (let at = 0; at < rows.length; at += ROW_WORDS) size += rows[at + EVENT_END]! - rows[at + EVENT_START]! + 1;
  const bytes = new Uint8Array(isArray && rows.length === 0 ? 2 : size);
  if (isArray) bytes[0] = 0x5b;
  let to = +isArray;
  for (let at = 0; at < rows.length; at += ROW_WORDS) {
    const event = source.subarray(rows[at + EVENT_START], rows[at + EVENT_END]);
    bytes.set(isArray || mayBreak ? event : onOneLine(event), to);
    to += event.length;
    bytes[to++] = isArray ? 0x2c : 0x0a;
  }
  if (isArray) bytes[bytes.length - 1] = 0x5d;
  return bytes;
}

/** Makes a source of its own of the events of these rows, which are then those of that source. */
export function cutSource(source: Uint8Array, rows: Uint32Array, format: BatchFormat): BatchSource {
  const bytes = joinBytes(source, rows, format, true);
  let start = format === "batch" ? 1 : 0;
  for (let at = 0; at < rows.length; at += ROW_WORDS) {
    const end = start + rows[at + EVENT_END]! - rows[at + EVENT_START]!;
    rows[at + EVENT_START] = start;
    rows[at + EVENT_END] = end;
    start = end + 1;
  }
  return new BatchSource(bytes);
}

function onOneLine(event: Uint8Array): Uint8Array {
  return event.map((byte) => (byte === 0x0a || byte === 0x0d ? 0x20 : byte));
}
