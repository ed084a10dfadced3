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

/** @param text JSON that was checked before */
export function findPointer(text: string, pointer: string): Found | undefined {
  if (pointer === "" || pointer.length > MAX_POINTER || !isWellFormed(pointer)) return undefined;
  encoder ??= new TextEncoder();
  forgetScan();
  const length = filters.putText(text);
  if (length < 0) return undefined;
  const { exports } = filters;
  const isFound = filters.call(() => {
    const scratch = new Uint8Array(exports.memory.buffer, exports.scratch(), 3 * MAX_POINTER);
    return exports.find(length, encoder!.encodeInto(pointer, scratch).written) !== 0;
  });
  if (!isFound) return { value: undefined };
  const table = new Uint32Array(exports.memory.buffer, exports.table(), END + 1);
  const json = text.substring(table[START]!, table[END]!);
  // Most strings have no escapes.
  return { value: json[0] === '"' && !json.includes("\\") ? json.slice(1, -1) : JSON.parse(json) };
}
