/** Rows as JSON, for storage that keeps text: the body as text, numbers as a list. Internal. */
import { parseJson } from "./codec.js";
import type { DeadLetter, Segment } from "./store.js";
import { TextDecoder, TextEncoder } from "../platform/text.js";

export function encodeRow(row: Segment | DeadLetter): string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return JSON.stringify(row, (name, value) =>
    name === "body" ? decoder.decode(value) : ArrayBuffer.isView(value) ? [...(value as Uint32Array)] : value,
  );
}

/** A row that is not checked yet. @throws if the text is no JSON */
export function decodeRow(text: string): unknown {
  return parseJson(text, (name, value) =>
    name === "body" && typeof value === "string"
      ? new TextEncoder().encode(value)
      : Array.isArray(value) && name !== "progress"
        ? new Uint32Array(value)
        : value,
  );
}
