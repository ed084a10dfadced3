/** Finds a value in JSON text by the scanner of the filters. */
import { filters } from "../../../engine/modules/filters.js";
import { TextEncoder } from "../../../platform/text.js";
import { isWellFormed } from "../../../engine/text-module.js";
import { forgetScan } from "../batch-scanner.js";
import type { Found } from "../pointer.js";

/** The longest pointer that is written into the scratch space, which is larger. */
const MAX_POINTER = 1000;
/** The table has the extent of the value where a batch has that of an event. */
const START = 0;
const END = 9;

let encoder: TextEncoder | undefined;
/** The scratch space. Empty after the memory has grown. */
let scratch = new Uint8Array(0);

/** @param text JSON that was checked before */
export function findPointer(text: string, pointer: string): Found | undefined {
  if (pointer === "" || pointer.length > MAX_POINTER) return undefined;
  forgetScan();
  const length = filters.putText(text);
  if (length < 0) return undefined;
  const pointerLength = putPointer(pointer);
  if (pointerLength < 0) return undefined;
  const isFound = filters.call(() => filters.exports.find(length, pointerLength) !== 0);
  if (!isFound) return { value: undefined };
  const { table } = filters;
  const json = text.substring(table[START]!, table[END]!);
  const first = json.charCodeAt(0);
  // Most strings have no escapes. A number in JSON is one in JavaScript.
  if (first === QUOTE && !json.includes("\\")) return { value: json.slice(1, -1) };
  return { value: first <= NINE && first !== QUOTE ? Number(json) : JSON.parse(json) };
}

const QUOTE = 0x22;
const NINE = 0x39;

/** Writes a pointer into the scratch space. Returns its length in bytes, or -1 if it has an unpaired surrogate. */
function putPointer(pointer: string): number {
  const { exports } = filters;
  const address = exports.scratch();
  if (scratch.buffer !== exports.memory.buffer || scratch.byteOffset !== address)
    scratch = new Uint8Array(exports.memory.buffer as ArrayBuffer, address, 3 * MAX_POINTER);
  for (let at = 0; at < pointer.length; at++) {
    const unit = pointer.charCodeAt(at);
    if (unit > 0x7f) {
      if (!isWellFormed(pointer)) return -1;
      encoder ??= new TextEncoder();
      return encoder.encodeInto(pointer, scratch).written;
    }
    scratch[at] = unit;
  }
  return pointer.length;
}
