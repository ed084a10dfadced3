/** Finds a value in JSON text by the scanner of the filters. */
import { filters } from "../../../engine/modules/filters.js";
import { TextEncoder } from "../../../platform/text.js";
import { isWellFormed } from "../../../engine/text-module.js";
import { forgetScan } from "../batch-scanner.js";
import { NOT_SEARCHED } from "../pointer.js";

/** The table has the extent of the value where a batch has that of an event. */
const START = 0;
const END = 9;

// What `find` returns.
const NOTHING = 0;
const PLAIN_STRING = 2;
const NUMBER = 3;
const INTEGER = 4;

/** The pointer that the instance of this generation has. */
let current = "";
let generation = -1;

/** @param text JSON that was checked before */
export function findPointer(text: string, pointer: string): unknown {
  if (pointer === "" || !setPointer(pointer)) return NOT_SEARCHED;
  forgetScan();
  const length = filters.putText(text);
  if (length < 0) return NOT_SEARCHED;
  let kind: number;
  try {
    kind = filters.exports.find(length);
  } catch (error) {
    throw filters.trapped(error);
  }
  if (kind === NOTHING) return undefined;
  const { table } = filters;
  if (kind === INTEGER) return table[START];
  const part = text.substring(table[START]!, table[END]!);
  if (kind === PLAIN_STRING) return part;
  // A number in JSON is one in JavaScript.
  return kind === NUMBER ? Number(part) : JSON.parse(part);
}

/** Gives the pointer to the module, unless it has it. Returns false if it has an unpaired surrogate. */
function setPointer(pointer: string): boolean {
  if (pointer === current && generation === filters.generation) return true;
  if (!isWellFormed(pointer)) return false;
  const bytes = new TextEncoder().encode(pointer);
  // Starts the module after a trap.
  void filters.glue;
  filters.call(() => {
    const { exports } = filters;
    const address = exports.buffer(bytes.length);
    new Uint8Array(exports.memory.buffer, address, bytes.length).set(bytes);
    exports.set_pointer();
  });
  current = pointer;
  generation = filters.generation;
  return true;
}
