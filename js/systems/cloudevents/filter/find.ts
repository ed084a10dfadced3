/** Finds a value in JSON text by the scanner of the filters, which also decodes the event before, so that it has the text. */
import { filters } from "../../../engine/modules/filters.js";
import { TextEncoder } from "../../../platform/text.js";
import { isWellFormed } from "../../../engine/text-module.js";
import { CloudEvent, scanText } from "../event.js";
import { type PointerFinder, walk } from "../pointer.js";
import { payloadStart } from "../table.js";

/** The table has the extent of the value where a batch has that of an event. */
const START = 0;
const END = 9;

// What `find` returns.
const NOTHING = 0;
const PLAIN_STRING = 2;
const NUMBER = 3;
const INTEGER = 4;

/** A longer text is not kept: nobody else may need it any more. */
const MAX_KEPT = 65_536;

/** The event in the memory of the module, if it is short and in ASCII, so that positions are the same in text and memory. */
let kept = "";
/** The start of its data. */
let keptData = 0;
/** See `TextModule.writes`. */
let keptWrites = -1;

/** The pointer that the instance of this generation has. */
let current = "";
let generation = -1;

export const FINDER: PointerFinder = {
  decode(text, lenient) {
    const length = filters.putText(text);
    let code = -1;
    try {
      if (length >= 0) code = filters.exports.scan_event(length);
    } catch (error) {
      throw filters.trapped(error);
    }
    kept = "";
    // The codecs say what is wrong, or leave it off.
    if (code !== 0) return scanText(text, lenient);
    const { table } = filters;
    if (length === text.length && length <= MAX_KEPT) kept = text;
    keptData = payloadStart(table);
    keptWrites = filters.writes;
    return CloudEvent.fromRow(table, text, 0);
  },

  find(event, pointer, received) {
    // JSON that is not text was not checked.
    if (event.rawKind !== "json" || pointer === "" || !setPointer(pointer)) return walk(event.data, pointer);
    const json = event.rawData as string;
    // Memory that has grown has detached the table.
    const isKept = received === kept && filters.writes === keptWrites && filters.table.length > 0;
    const text = isKept ? kept : json;
    const length = isKept ? kept.length : filters.putText(json);
    if (length < 0) return walk(event.data, pointer);
    let kind: number;
    try {
      kind = filters.exports.find(length, isKept ? keptData : 0);
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
  },
};

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
