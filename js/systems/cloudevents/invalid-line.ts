/** A line of NDJSON that was left out, because it is not a valid event. */
import type { FerryError } from "../../engine/errors.js";
import { TextDecoder } from "../../platform/text.js";
import type { RejectedEvent } from "./batch-options.js";
import { adviseLenient } from "./lenient.js";
import { EVENT_END, EVENT_START, invalidError, invalidIndex, ROW_WORDS } from "./table.js";

/** Errors and texts are made when they are read: a stack takes longer than to check the line. */
class InvalidLine implements RejectedEvent {
  readonly index: number;
  readonly #source: string | Uint8Array;
  readonly #row: Uint32Array;
  #error: FerryError | undefined;

  constructor(source: string | Uint8Array, row: Uint32Array, firstIndex: number) {
    this.index = firstIndex + invalidIndex(row);
    this.#source = source;
    this.#row = row;
    Object.freeze(this);
  }

  get text(): string {
    const line = this.#source.slice(this.#row[EVENT_START], this.#row[EVENT_END]);
    return (typeof line === "string" ? line : new TextDecoder().decode(line)).trim();
  }

  get error(): FerryError {
    this.#error ??= adviseLenient(invalidError(this.#row, this.text));
    return this.#error;
  }

  toJSON(): RejectedEvent {
    return { index: this.index, error: this.error, text: this.text };
  }
}

// The text that the consoles of Node and Deno show.
Object.defineProperty(InvalidLine.prototype, Symbol.for("nodejs.util.inspect.custom"), {
  value(this: InvalidLine): RejectedEvent {
    return this.toJSON();
  },
});

/** The lines that were left out, in their order. Their rows are in the opposite one. */
export function invalidLines(
  source: string | Uint8Array,
  rows: Uint32Array,
  firstIndex: number,
): readonly RejectedEvent[] {
  const lines: RejectedEvent[] = [];
  for (let at = rows.length - ROW_WORDS; at >= 0; at -= ROW_WORDS)
    lines.push(new InvalidLine(source, rows.subarray(at, at + ROW_WORDS), firstIndex));
  return Object.freeze(lines);
}
