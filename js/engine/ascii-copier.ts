/**
 * Copies ASCII texts into the memory of a module. In Chromium and Firefox `encodeInto` takes 150 to 200 ns before the
 * first character, and the string builtins of WebAssembly copy a text in less. In Firefox that is so up to about 300 UTF-16
 * units; in Chromium each unit takes 0.7 times what `encodeInto` takes, also in longer texts. Node, Deno and Bun have an
 * `encodeInto` that needs no help.
 *
 * Reading the text unit by unit with the builtin `charCodeAt` was slower than `encodeInto` in both. Stores of four
 * bytes, or of eight by SIMD, are not faster than those of one: the builtin takes most of the time.
 */
import { isBrowser } from "../platform/runtime.js";
import { text } from "../wasm/copy-ascii.inline.js";
import { moduleBytes } from "./module-bytes.js";

/** The longest texts that are worth it, in UTF-16 units. `copy-ascii.wat` has room for 16,384. */
const MAX_TEXT_CHROMIUM = 16_384;
const MAX_TEXT = 320;

export interface AsciiCopier {
  /** The longest text that it copies faster than `encodeInto`, in UTF-16 units. */
  readonly maxText: number;
  /** Writes a text to an address. Returns its length in bytes, or -1 if it is not ASCII. */
  readonly copy: (text: string, length: number, address: number) => number;
}

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
    const maxText = /Chrom/.test(navigator.userAgent) ? MAX_TEXT_CHROMIUM : MAX_TEXT;
    return { maxText, copy: exports["copy"] as AsciiCopier["copy"] };
  } catch {
    return undefined;
  }
}
