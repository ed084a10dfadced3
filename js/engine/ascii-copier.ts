/**
 * Copies short ASCII texts into the memory of a module. In Chromium and Firefox `encodeInto` takes 150 to 200 ns before the
 * first character, and the string builtins of WebAssembly copy a text in less. Their limit is the loop that makes bytes of
 * the UTF-16 units: from about 300 of them on `encodeInto` is faster in Firefox, from about 1,000 in Chromium. Node, Deno and
 * Bun have an `encodeInto` that needs no help.
 *
 * Reading the text unit by unit with the builtin `charCodeAt` was slower than `encodeInto` in Firefox.
 */
import { isBrowser } from "../platform/runtime.js";
import { text } from "../wasm/copy-ascii.inline.js";
import { moduleBytes } from "./module-bytes.js";

/** The texts that are worth it, in UTF-16 units. `copy-ascii.wat` has room for 1,024. */
export const MAX_SHORT_TEXT = 320;

/** Writes a text to an address. Returns its length in bytes, or -1 if it is not ASCII. */
export type AsciiCopier = (text: string, length: number, address: number) => number;

// The types of the platform do not have the second argument yet.
type ModuleConstructor = new (bytes: Uint8Array<ArrayBuffer>, options: { builtins: string[] }) => WebAssembly.Module;

let compiled: WebAssembly.Module | undefined;

/** What copies into this memory; undefined where the runtime cannot, or where `encodeInto` is faster. */
export function asciiCopier(memory: unknown): AsciiCopier | undefined {
  if (!isBrowser()) return undefined;
  try {
    const ModuleWithBuiltins = WebAssembly.Module as unknown as ModuleConstructor;
    compiled ??= new ModuleWithBuiltins(moduleBytes(text), { builtins: ["js-string"] });
    // Without the builtins their imports are missing here.
    const { exports } = new WebAssembly.Instance(compiled, { engine: { memory: memory as WebAssembly.Memory } });
    return exports["copy"] as AsciiCopier;
  } catch {
    return undefined;
  }
}
