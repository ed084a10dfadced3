/** One value in JSON by its JSON Pointer (RFC 6901), found by the scanner without parsing the rest. */
import { mustBe } from "../../engine/messages.js";
import { codecs } from "../../engine/modules/codecs.js";

/** What was found in a JSON text. */
export interface Found {
  readonly value: unknown;
}

/** The longest pointer that the engine takes. */
const MAX_POINTER = 256;
/** The table has the extent of the value where a batch has that of an event. */
const START = 0;
const END = 9;
/** Where the payload starts in the event that was scanned last. */
const PAYLOAD_START = 10;
/** What `find` returns. */
const MISSING = 0;
const FOUND = 1;

/** The pointer that is in the memory of the engine: most programs ask for the same one again and again. */
let written: { readonly pointer: string; readonly generation: number } | undefined;

/**
 * Finds a value in JSON text that was checked before. `undefined` if that is left to a walk through the parsed value.
 *
 * @param json the text
 * @param received the event that the text is a part of, as it arrived
 */
export function findJson(json: string, received: string | Uint8Array | undefined, pointer: string): Found | undefined {
  if (pointer === "") return undefined;
  // Right after an event was decoded it is still in the memory of the engine, so that it need not be copied.
  const isHeld = received !== undefined && codecs.held === received;
  const start = isHeld ? codecs.table[PAYLOAD_START]! : 0;
  let length = isHeld ? codecs.heldLength : codecs.putText(json);
  if (length < 0 || !writePointer(pointer)) return undefined;
  let code = find(length, start, pointer);
  let first = start;
  if (isHeld && code > FOUND) {
    length = codecs.putText(json);
    first = 0;
    code = find(length, 0, pointer);
  }
  if (code === MISSING) return { value: undefined };
  if (code !== FOUND) return undefined;
  const { table } = codecs;
  return { value: parse(json.substring(table[START]! - first, table[END]! - first)) };
}

function find(length: number, start: number, pointer: string): number {
  try {
    return codecs.exports.find(length, start, pointer.length);
  } catch (error) {
    throw codecs.trapped(error);
  }
}

/** Brings an ASCII pointer into the memory of the engine. Returns false for any other. */
function writePointer(pointer: string): boolean {
  if (written?.pointer === pointer && written.generation === codecs.generation) return true;
  if (pointer.length > MAX_POINTER) return false;
  const { memory, pointer: address } = codecs.exports;
  const bytes = new Uint8Array(memory.buffer, address(), pointer.length);
  for (let at = 0; at < pointer.length; at++) {
    const unit = pointer.charCodeAt(at);
    if (unit > 0x7f) return false;
    bytes[at] = unit;
  }
  written = { pointer, generation: codecs.generation };
  return true;
}

/** The value of JSON text that was checked before. `JSON.parse` takes longer for what is short. */
function parse(json: string): unknown {
  switch (json.charCodeAt(0)) {
    case 0x22:
      // Most strings have no escapes.
      return json.includes("\\") ? JSON.parse(json) : json.slice(1, -1);
    case 0x74:
      return true;
    case 0x66:
      return false;
    case 0x6e:
      return null;
    case 0x5b:
    case 0x7b:
      return JSON.parse(json);
    default:
      return Number(json);
  }
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for text that is no JSON Pointer. */
export function checkPointer(pointer: unknown): void {
  if (written !== undefined && written.pointer === pointer) return;
  if (typeof pointer !== "string" || !/^(?:\/(?:[^~/]|~[01])*)*$/.test(pointer))
    throw mustBe("pointer", 'a JSON Pointer, such as "/order/total"', pointer);
}

/** The value in a parsed one. */
export function walk(value: unknown, pointer: string): unknown {
  for (const token of pointer.split("/").slice(1)) {
    if (typeof value !== "object" || value === null) return undefined;
    const name = token.replaceAll("~1", "/").replaceAll("~0", "~");
    if (Array.isArray(value) && !/^(?:0|[1-9]\d*)$/.test(name)) return undefined;
    if (!Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}
