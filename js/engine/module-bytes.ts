/**
 * A module as text: the bytes of its instructions, sorted into lists by what they mean, so that like stands beside like.
 * It is about a tenth smaller with brotli than one with the bytes in their order. `js/build/module-text.mjs` writes it.
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

/** Where `read-module-text.wat` writes the module. */
const START = 704;
/** The word that says where the module ends. Those before it say where the next character of each list stands. */
const END_WORD = 12;

let reader: WebAssembly.Module | undefined;

/** The bytes of a module. */
export function moduleBytes({ length, lists }: ModuleText): Uint8Array<ArrayBuffer> {
  reader ??= new WebAssembly.Module(Uint8Array.from(atob(code), (character) => character.charCodeAt(0)));
  const end = START + length;
  const size = lists.reduce((sum, text) => sum + text.length, end);
  const memory = new WebAssembly.Memory({ initial: Math.ceil(size / 65_536) });
  const buffer = memory.buffer as ArrayBuffer;
  const bytes = new Uint8Array(buffer);
  const words = new Uint32Array(buffer, 0, END_WORD + 1);
  const encoder = new TextEncoder();
  words[END_WORD] = end;
  let at = end;
  lists.forEach((text, list) => {
    words[list] = at;
    at += encoder.encodeInto(text, bytes.subarray(at)).written;
  });
  // All is done when this returns.
  new WebAssembly.Instance(reader, { engine: { memory } });
  return bytes.subarray(START, end);
}
