/** The options of machines on their way to the engine: a list of numbers, and a list of texts. */
import { invalidArgument, mustBe } from "./messages.js";

/** Between texts that are passed as one. */
export const SEPARATOR = "\u001e";

/** A row of a table of numeric options: the name, and the integers that it accepts unless they have been checked. */
export type NumberOption = readonly [name: string, min?: number, max?: number];

/**
 * The numbers in the order of the table; NaN for those that are missing. Flags become 0 and 1.
 *
 * @param owner what stands before the name of an option in an error, such as `outbox.`
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for one that is not an integer in its range
 */
export function optionNumbers(
  table: readonly NumberOption[],
  values: Readonly<Record<string, unknown>>,
  owner = "",
): Float64Array {
  return Float64Array.from(table, ([name, min, max]) => {
    const value = values[name];
    if (value === undefined) return Number.NaN;
    if (min !== undefined && !(Number.isInteger(value) && (value as number) >= min && (value as number) <= max!))
      throw mustBe(owner + name, `an integer from ${min} to ${max}`, value);
    return Number(value);
  });
}

/**
 * The texts in the order of the table, see `joinedTexts`; empty for those that are missing.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for one that has the character that separates them
 */
export function optionTexts(table: readonly string[], values: Readonly<Record<string, unknown>>): string {
  return joinedTexts(
    table.map((name) => {
      const text = String(values[name] ?? "");
      // The text may be a secret, so it is not shown.
      if (text.includes(SEPARATOR)) throw invalidArgument(`${name} must not contain the character U+001E`);
      return text;
    }),
  );
}

/** Several texts as one. None of them has the character that separates them. */
export function joinedTexts(texts: readonly string[]): string {
  return texts.join(SEPARATOR);
}
