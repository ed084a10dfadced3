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

/** Joins the bytes of the events of these rows. */
export function joinBytes(source: Uint8Array, rows: Uint32Array, format: BatchFormat): Bytes {
  let size = 2;
  for (let at = 0; at < rows.length; at += ROW_WORDS) size += rows[at + EVENT_END]! - rows[at + EVENT_START]! + 1;
  const bytes = new Uint8Array(size);
  let to = 0;
  if (format === "batch") bytes[to++] = 0x5b;
  for (let at = 0; at < rows.length; at += ROW_WORDS) {
    if (at > 0) bytes[to++] = format === "batch" ? 0x2c : 0x0a;
    const event = source.subarray(rows[at + EVENT_START], rows[at + EVENT_END]);
    bytes.set(format === "batch" ? event : onOneLine(event), to);
    to += event.length;
  }
  if (format === "batch") bytes[to++] = 0x5d;
  else if (rows.length > 0) bytes[to++] = 0x0a;
  return bytes.slice(0, to);
}

function onOneLine(event: Uint8Array): Uint8Array {
  return event.map((byte) => (byte === 0x0a || byte === 0x0d ? 0x20 : byte));
}
