/**
 * A compiled filter in the engine. It is compiled again after the instance of the module was discarded.
 *
 * Where a program needs a function of the user, the engine returns, the function is called here, and the program starts
 * again with all results so far. So the function may throw, use other filters or parse batches.
 */
import { FerryError } from "../../../engine/errors.js";
import { invalidArgument } from "../../../engine/messages.js";
import { filters } from "../../../engine/modules/filters.js";
import { TextDecoder, TextEncoder } from "../../../platform/text.js";
import { callFunction, type CesqlValue, type FunctionTable } from "./functions.js";

/** A kind of error of a CESQL evaluation, by the names of the conformance tests. */
export type CesqlError = "math" | "cast" | "missingAttribute" | "missingFunction" | "functionEvaluation";

/** In the order of `EvaluationError` in `src/cloudevents/filter/value.rs`. */
const ERRORS: readonly CesqlError[] = ["math", "cast", "missingAttribute", "missingFunction", "functionEvaluation"];

/** The result of an evaluation. */
export interface Evaluation {
  /** The value of the expression; of another dialect, whether it matches. */
  value: CesqlValue;
  /** The kinds of errors on the way to the value, each once. */
  errors: CesqlError[];
}

// What `evaluate` returns.
const VALUE = 2;

let encoder: TextEncoder | undefined;
let decoder: TextDecoder | undefined;
let registry: FinalizationRegistry<{ number: number; generation: number }> | undefined;

export class Program {
  readonly #text: string;
  readonly #isExpression: boolean;
  readonly #functions: FunctionTable;
  /** Its number in the instance of this generation. */
  #compiled = { number: -1, generation: -1 };
  #attributes: readonly string[] = [];
  /** Whether it calls functions of the user. */
  callsUser = false;

  /**
   * @param text an expression, or the JSON of a filter
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` with the position in the expression and what was expected there
   */
  constructor(text: string, isExpression: boolean, functions: FunctionTable) {
    this.#text = text;
    this.#isExpression = isExpression;
    this.#functions = functions;
    this.#number();
  }

  /** Evaluates it for an event. `read` gives the value of an attribute by its name. */
  evaluate(read: (name: string) => unknown): Evaluation {
    const values = JSON.stringify(this.#attributes.map((name) => cesqlValue(read(name))));
    return this.#run((number, returned) => {
      const length = writeBuffer(values, returned);
      return filters.exports.evaluate(number, length);
    });
  }

  /** The indices of the events of a scanned batch for which it is true, among these, or among the first ones. */
  select(indices: Uint32Array | number, ensureScanned: () => void): Uint32Array {
    const length = typeof indices === "number" ? indices : indices.length;
    if (length === 0) return new Uint32Array(0);
    if (this.callsUser) {
      const all = typeof indices === "number" ? Uint32Array.from({ length }, (_, index) => index) : indices;
      return all.filter((index) => this.#evaluateAt(index, ensureScanned).value === true);
    }
    const number = this.#number();
    ensureScanned();
    return filters.call(() => {
      const address = filters.exports.selection(length);
      const view = () => new Uint32Array(filters.exports.memory.buffer, address, length);
      if (typeof indices !== "number") view().set(indices);
      const count = filters.exports.select(number);
      return view().slice(0, count);
    });
  }

  #evaluateAt(index: number, ensureScanned: () => void): Evaluation {
    return this.#run((number, returned) => {
      // The function that was called last may have parsed another batch.
      ensureScanned();
      writeBuffer("", returned);
      return filters.exports.evaluate_at(number, index);
    });
  }

  #run(start: (number: number, returned: string) => number): Evaluation {
    const returned: (CesqlValue | null)[] = [];
    for (;;) {
      const number = this.#number();
      const code = filters.call(() => start(number, JSON.stringify(returned)));
      if (code < VALUE) return { value: code === 1, errors: [] };
      const result = JSON.parse(readBuffer()) as CesqlValue[];
      if (code === VALUE) {
        const [value, bits] = result as [CesqlValue, number];
        return { value, errors: ERRORS.filter((_, bit) => (bits >> bit) & 1) };
      }
      const [called, ...args] = result as [number, ...CesqlValue[]];
      returned.push(callFunction(this.#functions, called, args));
    }
  }

  /** The number of the program in the running instance. */
  #number(): number {
    void filters.glue;
    if (this.#compiled.generation !== filters.generation || this.#compiled.number < 0) this.#compile();
    return this.#compiled.number;
  }

  #compile(): void {
    const number = filters.call(() => {
      const length = writeBuffer(this.#text, this.#functions.signatures);
      return filters.exports.compile(length, +this.#isExpression);
    });
    if (number < 0) throw notAnExpression(readBuffer());
    this.callsUser = filters.call(() => filters.exports.describe(number)) !== 0;
    this.#attributes = JSON.parse(readBuffer());
    this.#compiled = { number, generation: filters.generation };
    if (typeof FinalizationRegistry === "undefined") return;
    registry ??= new FinalizationRegistry(({ number, generation }) => {
      if (generation === filters.generation) filters.call(() => filters.exports.forget(number));
    });
    registry.register(this, this.#compiled);
  }
}

/** The value of an attribute as CESQL has it: `null` for an object, which only 0.3 allows. */
function cesqlValue(value: unknown): CesqlValue | null {
  const isValue = typeof value === "string" || typeof value === "boolean" || typeof value === "number";
  return isValue ? (value as CesqlValue) : null;
}

function notAnExpression(json: string): FerryError {
  let error: [expression: string, at: number, expected: string];
  try {
    error = JSON.parse(json);
  } catch (cause) {
    return new FerryError("ERR_INTERNAL", undefined, { cause });
  }
  const [expression, at, expected] = error;
  const found = at >= expression.length ? "the end" : JSON.stringify(expression.slice(at, at + 20));
  return invalidArgument(`the CESQL expression is not valid at position ${at}: expected ${expected}; found ${found}`);
}

/** Writes two texts into the buffer of the engine, one behind the other. Returns the length of the first one in bytes. */
function writeBuffer(first: string, second: string): number {
  encoder ??= new TextEncoder();
  const [head, tail] = [encoder.encode(first), encoder.encode(second)];
  const address = filters.exports.buffer(head.length + tail.length);
  const view = new Uint8Array(filters.exports.memory.buffer, address, head.length + tail.length);
  view.set(head);
  view.set(tail, head.length);
  return head.length;
}

function readBuffer(): string {
  decoder ??= new TextDecoder("utf-8", { ignoreBOM: true });
  return filters.call(() => {
    const length = filters.exports.buffer_len();
    const address = filters.exports.buffer(length);
    return decoder!.decode(new Uint8Array(filters.exports.memory.buffer, address, length));
  });
}
