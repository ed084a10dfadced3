/**
 * Cuts a stream of a JSON batch or of NDJSON into pieces of whole events, so that only one piece is in memory.
 *
 * ```text
 *   chunk ──> buffer ──> Splitter: the last place between two events ──> piece, when it is large enough
 *                └── the start of the next event stays
 * ```
 *
 * The splitters only look for quotes, brackets and line breaks. Each piece is checked like a batch of its own.
 */
import { FerryError, REASONS, sentenceOf } from "../../engine/errors.js";
import { mustBe } from "../../engine/messages.js";
import type { Bytes } from "../../platform/bytes.js";
import type { BatchFormat, BatchParseOptions } from "./batch-options.js";
import { checkLimit } from "./body.js";

/** How a stream of events is read. */
export interface BatchStreamOptions extends BatchParseOptions {
  /**
   * About how many bytes of the stream are in one batch. With larger ones more memory is used, with smaller ones more time.
   * @default 1 MiB
   */
  pieceBytes?: number | undefined;
  /** The largest event, in bytes. With a higher limit one sender can use more memory. @default 16 MiB */
  maxBytes?: number | undefined;
}

const DEFAULT_PIECE_BYTES = 1024 * 1024;
const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;
const NOT_JSON = 11;
const TRAILING = 15;
const NOT_ARRAY = 22;

/** Finds the places at which a stream may be cut. */
interface Splitter {
  /**
   * Reads the bytes from one position to another.
   *
   * @returns the position behind the last whole event; 0 if there is none
   */
  read(bytes: Uint8Array, from: number, to: number): number;
  /** The piece that ends at a position of the buffer, as text of the format. */
  piece(bytes: Uint8Array, end: number): Bytes;
  /** The last piece. `undefined` if no event is left. */
  last(bytes: Uint8Array, end: number): Bytes | undefined;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkStream(body: unknown, { pieceBytes, maxBytes }: BatchStreamOptions): void {
  if (typeof (body as ReadableStream | undefined)?.getReader !== "function")
    throw mustBe("body", "a ReadableStream of bytes", body);
  if (pieceBytes !== undefined && !(Number.isInteger(pieceBytes) && pieceBytes > 0))
    throw mustBe("pieceBytes", "a whole number of bytes above 0", pieceBytes);
  if (maxBytes !== undefined) checkLimit(maxBytes);
}

/** The pieces of a stream, each a batch or lines. */
export async function* piecesOf(
  body: ReadableStream<Uint8Array>,
  format: BatchFormat,
  { pieceBytes = DEFAULT_PIECE_BYTES, maxBytes = DEFAULT_MAX_BYTES }: BatchStreamOptions,
): AsyncGenerator<Bytes, void, undefined> {
  const splitter = format === "batch" ? new ArraySplitter() : new LineSplitter();
  const reader = body.getReader();
  let buffer = new Uint8Array(Math.min(pieceBytes, DEFAULT_PIECE_BYTES) * 2);
  /** The bytes in the buffer, and the position behind the last whole event there. */
  let size = 0;
  let cut = 0;
  let isDone = false;
  try {
    for (;;) {
      const chunk = await nextChunk(reader);
      if (chunk === undefined) break;
      // A large chunk is read in parts, so that the buffer stays small.
      for (let at = 0; at < chunk.length; at += pieceBytes) {
        const part = chunk.subarray(at, at + pieceBytes);
        if (size + part.length > buffer.length) {
          const larger = new Uint8Array(Math.max(buffer.length * 2, size + part.length));
          larger.set(buffer.subarray(0, size));
          buffer = larger;
        }
        buffer.set(part, size);
        const found = splitter.read(buffer, size, size + part.length);
        size += part.length;
        if (found > 0) cut = found;
        if (cut > 0 && size >= pieceBytes) {
          yield splitter.piece(buffer, cut);
          buffer.copyWithin(0, cut, size);
          size -= cut;
          cut = 0;
        }
        if (cut === 0 && size > maxBytes)
          throw new FerryError("ERR_TOO_LARGE", `an event of the stream is larger than the limit of ${maxBytes} bytes`);
      }
    }
    isDone = true;
    const last = splitter.last(buffer, size);
    if (last) yield last;
  } finally {
    // Not awaited: a source may take its time.
    if (!isDone) reader.cancel().catch(() => undefined);
    else reader.releaseLock();
  }
}

async function nextChunk(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array | undefined> {
  let step: ReadableStreamReadResult<Uint8Array>;
  try {
    step = await reader.read();
  } catch (cause) {
    throw new FerryError("ERR_NETWORK", "the stream ended before it was complete", { cause });
  }
  if (step.done) return undefined;
  // Strings would become zeros, one for each character.
  if (!(step.value instanceof Uint8Array)) throw mustBe("body", "a stream of bytes", step.value);
  return step.value;
}

/** NDJSON: an event ends with its line. */
class LineSplitter implements Splitter {
  read(bytes: Uint8Array, from: number, to: number): number {
    const at = bytes.subarray(from, to).lastIndexOf(NEWLINE);
    return at < 0 ? 0 : from + at + 1;
  }

  piece(bytes: Uint8Array, end: number): Bytes {
    return bytes.slice(0, end);
  }

  last(bytes: Uint8Array, end: number): Bytes | undefined {
    return end > 0 ? bytes.slice(0, end) : undefined;
  }
}

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * A JSON array: an event ends before a comma outside of all brackets but those of the array.
 *
 * ```text
 *   start ──[──> inside ──]──> after
 * ```
 */
class ArraySplitter implements Splitter {
  #state: "start" | "inside" | "after" = "start";
  /** The open brackets inside the array. */
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  /** Whether the element has begun, and whether a comma was before it. */
  #hasElement = false;
  #isAfterComma = false;
  /** The bytes before the first element of the piece: white space and `[`, or a comma. */
  #skip = 0;

  read(bytes: Uint8Array, from: number, to: number): number {
    let cut = 0;
    let [isInString, isEscaped] = [this.#isInString, this.#isEscaped];
    for (let at = from; at < to; at++) {
      const byte = bytes[at]!;
      if (isInString) {
        if (isEscaped) isEscaped = false;
        else if (byte === BACKSLASH) isEscaped = true;
        else if (byte === QUOTE) isInString = false;
        continue;
      }
      if (byte <= 0x20 && isSpace(byte)) continue;
      if (this.#state !== "inside") {
        this.#outside(byte, at);
        continue;
      }
      if (byte === COMMA && this.#depth === 0) {
        if (!this.#hasElement) throw invalidBatch(NOT_JSON);
        this.#hasElement = false;
        this.#isAfterComma = true;
        cut = at;
        continue;
      }
      if (byte === CLOSE_ARRAY && this.#depth === 0) {
        if (!this.#hasElement && this.#isAfterComma) throw invalidBatch(NOT_JSON);
        this.#state = "after";
        this.#end = at;
        continue;
      }
      this.#hasElement = true;
      if (byte === QUOTE) isInString = true;
      else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.#depth++;
      else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        if (--this.#depth < 0) throw invalidBatch(NOT_JSON);
      }
    }
    this.#isInString = isInString;
    this.#isEscaped = isEscaped;
    return cut;
  }

  /** Where the array ended in the buffer. */
  #end = 0;

  #outside(byte: number, at: number): void {
    // A byte order mark may come first.
    if (this.#state === "start" && at < 3 && byte === BYTE_ORDER_MARK[at]) return;
    if (this.#state === "after") throw invalidBatch(TRAILING);
    if (byte !== OPEN_ARRAY) throw invalidBatch(NOT_ARRAY);
    this.#state = "inside";
    this.#skip = at + 1;
  }

  piece(bytes: Uint8Array, end: number): Bytes {
    const piece = inBrackets(bytes.subarray(this.#skip, end));
    // What stays begins with the comma.
    this.#skip = 1;
    this.#end -= end;
    return piece;
  }

  last(bytes: Uint8Array): Bytes | undefined {
    if (this.#state === "start") throw invalidBatch(NOT_ARRAY);
    if (this.#state === "inside") throw invalidBatch(NOT_JSON);
    return this.#hasElement || this.#isAfterComma ? inBrackets(bytes.subarray(this.#skip, this.#end)) : undefined;
  }
}

const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === NEWLINE || byte === 0x0d || byte === 0x09;
}

function inBrackets(events: Uint8Array): Bytes {
  const piece = new Uint8Array(events.length + 2);
  piece[0] = OPEN_ARRAY;
  piece.set(events, 1);
  piece[events.length + 1] = CLOSE_ARRAY;
  return piece;
}

function invalidBatch(reason: number): FerryError {
  return new FerryError("ERR_INVALID_BATCH", `${sentenceOf("ERR_INVALID_BATCH")}: it ${REASONS[reason]}`);
}
