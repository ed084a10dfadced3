/** JSON texts in UTF-8, separated by commas: how the bodies of several events are kept and sent. */
import type { Bytes } from "../platform/bytes.js";

const COMMA = 44;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;

/** Joins texts with commas. `before` and `after` are bytes to leave free at the ends. */
export function joinTexts(texts: readonly Uint8Array[], before = 0, after = 0): Bytes {
  let length = before + after + texts.length - 1;
  for (const text of texts) length += text.length;
  const all = new Uint8Array(length);
  let at = before;
  for (const text of texts) {
    if (at > before) all[at++] = COMMA;
    all.set(text, at);
    at += text.length;
  }
  return all;
}

/** Copies texts into a buffer with one free byte at each end, so that `toJsonArray` needs no second copy. */
export function withBrackets(texts: Uint8Array): Bytes {
  const buffer = new Uint8Array(texts.length + 2);
  buffer.set(texts, 1);
  return buffer.subarray(1, -1);
}

/** The JSON array of these texts. A single chunk made by `withBrackets` is not copied. */
export function toJsonArray(chunks: readonly Uint8Array[]): Bytes {
  const [first] = chunks as readonly Bytes[];
  const hasFreeEnds = chunks.length === 1 && first!.byteOffset === 1 && first!.buffer.byteLength === first!.length + 2;
  const array = hasFreeEnds ? new Uint8Array(first!.buffer) : joinTexts(chunks, 1, 1);
  array[0] = OPENING_BRACKET;
  array[array.length - 1] = CLOSING_BRACKET;
  return array;
}
