/** A module that reads text: JavaScript writes it into the memory of the module, and the exports take its length. */
import { type AsciiCopier, asciiCopier } from "./ascii-copier.js";
import { FerryError } from "./errors.js";
import { EngineModule, type Glue } from "./module.js";
import { TextDecoder, TextEncoder } from "../platform/text.js";

/** The exports of the memory area, see `src/wasm/arena.rs`. Arguments and results are numbers. */
export interface TextExports {
  readonly memory: { readonly buffer: ArrayBufferLike };
  reserve(len: number): number;
  scratch(): number;
  /** The address of the table of the last scan. Only the codecs have one. */
  table?(): number;
}

/** The size of the table in 32-bit integers; `src/cloudevents/table.rs` has the layout. */
const TABLE_WORDS = 21 + 12 * 7 + 128 * 6;
/** 128 MiB. With scratch space and rows, a module then uses a third of a gigabyte. */
const MAX_INPUT_BYTES = 0x800_0000;
const MIN_INPUT_BYTES = 8192;
/** How many texts are encoded without the copier of ASCII texts. With fewer, its start takes longer than it saves. */
const TEXTS_BEFORE_COPIER = 1000;

// Created when they are needed: not every test environment has them when it loads the package.
let encoder: InstanceType<typeof TextEncoder> | undefined;
let decoder: InstanceType<typeof TextDecoder> | undefined;

export class TextModule<G extends Glue<TextExports>> extends EngineModule<G> {
  /** The exports of the running instance. Valid after `putText` or `putBytes`. */
  exports!: ReturnType<G["exportsNow"]>;
  /** The table of the last scan, of a module that has one. Valid after `putText` or `putBytes`. */
  table: Uint32Array = new Uint32Array(0);
  /** How often the input area was written. As long as this is the same, it has what was written last. */
  writes = 0;
  /** The input area, up to its capacity. */
  #input = new Uint8Array(0);
  #copier: AsciiCopier | undefined;
  #textsBeforeCopier = TEXTS_BEFORE_COPIER;

  /** Writes text to the input area. Returns its length in bytes, or -1 if it has an unpaired surrogate. */
  putText(text: string): number {
    encoder ??= new TextEncoder();
    const units = text.length;
    if (units > MAX_INPUT_BYTES) throw tooLarge(units);
    const copier = this.#copier;
    if (copier && units <= copier.maxText) {
      const length = copier.copy(text, units, this.#inputOf(units).byteOffset);
      if (length >= 0) return length;
    }
    let { read, written } = encoder.encodeInto(text, this.#inputOf(units));
    if (read < units) ({ read, written } = encoder.encodeInto(text, this.#inputOf(units * 3)));
    if (--this.#textsBeforeCopier === 0) this.#copier = asciiCopier(this.exports.memory);
    return written === units || isWellFormed(text) ? written : -1;
  }

  /** Writes bytes to the input area. Returns their number. */
  putBytes(bytes: Uint8Array): number {
    if (bytes.length > MAX_INPUT_BYTES) throw tooLarge(bytes.length);
    this.#inputOf(bytes.length).set(bytes);
    return bytes.length;
  }

  /** The first `len` bytes of the scratch space as text. */
  takeScratch(len: number): string {
    decoder ??= new TextDecoder("utf-8", { ignoreBOM: true });
    return decoder.decode(new Uint8Array(this.exports.memory.buffer, this.exports.scratch(), len));
  }

  protected override onInstance(): void {
    this.exports = this.glue.exportsNow() as ReturnType<G["exportsNow"]>;
    this.#input = new Uint8Array(0);
    this.writes++;
    if (this.#textsBeforeCopier <= 0) this.#copier = asciiCopier(this.exports.memory);
  }

  /** The input area with room for `len` bytes, with current views, to write to it. */
  #inputOf(len: number): Uint8Array<ArrayBuffer> {
    this.writes++;
    const input = this.#input;
    // Growing the memory detaches the views: their length becomes 0.
    return input.length >= len && input.length > 0 ? input : this.#reserve(Math.max(len, MIN_INPUT_BYTES));
  }

  #reserve(len: number): Uint8Array<ArrayBuffer> {
    const { glue } = this;
    return this.call(() => {
      if (len > 3 * MAX_INPUT_BYTES) throw tooLarge(len);
      const exports = glue.exportsNow();
      const address = exports.reserve(len) >>> 0;
      if (address === 0) throw tooLarge(len);
      const { buffer } = exports.memory as { buffer: ArrayBuffer };
      if (exports.table) this.table = new Uint32Array(buffer, exports.table(), TABLE_WORDS);
      this.#input = new Uint8Array(buffer, address, len);
      return this.#input;
    });
  }
}

function tooLarge(len: number): FerryError {
  return new FerryError(
    "ERR_TOO_LARGE",
    `an input of ${len} bytes is too large; the limit is ${MAX_INPUT_BYTES} bytes, or less if memory is short`,
  );
}

/** Whether a text has no unpaired surrogate. */
export const isWellFormed: (text: string) => boolean =
  "isWellFormed" in String.prototype
    ? (text) => (text as string & { isWellFormed(): boolean }).isWellFormed()
    : (text) => !/\p{Surrogate}/u.test(text);
