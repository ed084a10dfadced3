/**
 * A module as text: the bytes of its instructions, sorted into lists by what they mean, so that like stands beside like.
 * It is about a ninth smaller with brotli than one with the bytes in their order. `js/build/module-text.mjs` writes it.
 *
 * A small module of WebAssembly puts the bytes back, `read-module-text.wat`. JavaScript took ten times as long: the work is
 * done once, before an engine has compiled the loop, and WebAssembly is compiled before it runs.
 */
import { TextEncoder } from "../platform/text.js";
import { code } from "../wasm/read-module-text.js";

/** A module as text: its length in bytes, and the text of each list. */
export interface ModuleText {
  readonly length: number;
  readonly lists: readonly string[];
}

/** Where `read-module-text.wat` finds its tables, and where it writes the module. */
const TABLES_START = 384;
const TABLE_LENGTH = 384;
const START = TABLES_START + 3 * TABLE_LENGTH;
/** The word that says where the module ends. Those before it say where the next character of each list stands. */
const END_WORD = 9;
/** A function is first written this much further on: its size, which stands before it, is known at its end. */
const MAX_SIZE_LENGTH = 5;

/**
 * The first bytes of each order, in Base64: what a module has most often stands where brotli tells characters apart by their
 * neighbours. `js/build/byte-orders.mjs` writes them.
 */
const FIRST_BYTES = [
  "AF9pf2VjASBzbAV0ZAJicnVnEGYvMB4scDcMH240NjEEAy4GYDgybac5",
  "IAwAA2pxQQsNRS0oRyE3EEIkRikb/QE6dCNJciJLT002a/xsCnYPOw4a",
  "AH8JwAIgAQOAChgE/0AUB4F4C1wiMByhDTgoDgUkD4QIECyQyPDg0H6I",
];

let reader: WebAssembly.Module | undefined;

/**
 * What stands for a byte, in an order: 91 characters alone, then each of them after }, then after ~. Alone is the code of the
 * character; } adds 128, ~ adds 256. They are printable, and neither escaped in a string nor } or ~ themselves.
 */
export function characterCodes(): number[] {
  const alone = [...Array(125).keys()].filter((code) => code >= 32 && code !== 34 && code !== 92);
  return [0, 128, 256].flatMap((part) => alone.map((code) => part + code));
}

/**
 * The bytes in the order of what stands for them: in all that is not an instruction, in instructions, and in operands.
 * Loops, because the first use of a page waits for them: iterators take Firefox three times as long.
 */
export function byteOrders(): number[][] {
  return FIRST_BYTES.map((first) => {
    const order = [...binary(first)];
    for (let byte = 0; byte < 256; byte++) if (order.indexOf(byte) < 0) order.push(byte);
    return order;
  });
}

/** The bytes of a module. */
export function moduleBytes({ length, lists }: ModuleText): Uint8Array<ArrayBuffer> {
  reader ??= new WebAssembly.Module(binary(code));
  const end = START + length;
  const start = end + MAX_SIZE_LENGTH;
  const size = lists.reduce((sum, text) => sum + text.length, start);
  const memory = new WebAssembly.Memory({ initial: Math.ceil(size / 65_536) });
  const buffer = memory.buffer as ArrayBuffer;
  const bytes = new Uint8Array(buffer);
  const words = new Uint32Array(buffer, 0, END_WORD + 1);
  const encoder = new TextEncoder();
  const codes = characterCodes();
  byteOrders().forEach((order, table) => {
    for (let place = 0; place < 256; place++)
      bytes[TABLES_START + table * TABLE_LENGTH + codes[place]!] = order[place]!;
  });
  words[END_WORD] = end;
  let at = start;
  lists.forEach((text, list) => {
    words[list] = at;
    at += encoder.encodeInto(text, bytes.subarray(at)).written;
  });
  // All is done when this returns.
  new WebAssembly.Instance(reader, { engine: { memory } });
  return bytes.subarray(START, end);
}

function binary(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}
